/* How large the database may get, and what is left. See lmdb_priv.h.
 *
 *   0            live            9/10        limit
 *   ├─────────────┼────────────────┼───────────┼ ─ ─ ─ ─ ─
 *   │ what grows: taken            │ refused   │
 *   │ what shrinks: taken                      │ taken, the map grows for it
 *
 * LMDB writes every changed page to a new place, and what one transaction lets go of is free for
 * the next but one, or when the last reader of it is gone, in whatever process. So a deletion needs
 * pages before it gives some back, and no reserve of a fixed size is always enough for it. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "store/lmdb_priv.h"

#define MAP_STEP     (1ull << 20)
#define BEYOND_PART  16 /* of the limit, at a time */
#define DISK_RESERVE (16ull << 20)
#define DISK_PART    20 /* of a small disk */
#define PROBE_BYTES  (256u << 10)
#define PROBE_PUTS   64
#define PROBE_PART   20 /* of a small limit */
#define META_PAGES   2

enum {
    ROOM_PERCENT = 90,
    ROOM_AGAIN_PERCENT = 85
};

/* ---- what is there */

uint64_t nj_lmdb_env_live(const struct nj_lmdb_env *env, MDB_txn *txn)
{
    uint64_t pages = META_PAGES;
    /* LMDB's own two tables are 0 and 1: free pages, names. */
    for (int i = -2; i < NJ_LMDB_TABLE_COUNT; i++) {
        MDB_stat stat;
        if (mdb_stat(txn, i < 0 ? (MDB_dbi)(i + 2) : env->dbi[i], &stat) == MDB_SUCCESS) {
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        }
    }
    return pages * env->page_bytes;
}

/* Of the file, free ones included. */
static uint64_t used_bytes(const struct nj_lmdb_env *env)
{
    MDB_envinfo info;
    (void)mdb_env_info(env->env, &info);
    return (info.me_last_pgno + 1) * (uint64_t)env->page_bytes;
}

bool nj_lmdb_env_is_nearly_full(const struct nj_lmdb_env *env, uint64_t live, bool was_full)
{
    return live > env->map_max / 100 * (was_full ? ROOM_AGAIN_PERCENT : ROOM_PERCENT);
}

bool nj_lmdb_env_has_disk(const struct nj_lmdb_env *env, uint64_t live, uint64_t bytes,
                          bool was_full)
{
    struct statvfs info;
    if (fstatvfs(env->dir_fd, &info) != 0) {
        return true; /* the write will tell */
    }
    uint64_t part = (uint64_t)info.f_blocks * info.f_frsize / DISK_PART;
    uint64_t reserve = part < DISK_RESERVE ? part : DISK_RESERVE;
    uint64_t want = bytes + reserve + (was_full ? reserve / 4 : 0);
    if ((uint64_t)info.f_bavail * info.f_frsize >= want) {
        return true;
    }
    uint64_t used = used_bytes(env);
    return used > live && used - live >= want;
}

/* ---- the map */

/* LMDB takes the old map away before it makes the new one, and cannot go on when that fails. */
static bool has_address_space(uint64_t bytes)
{
    /* cppcheck-suppress invalidFunctionArg ; -1 is how one says that there is no file */
    void *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at != MAP_FAILED && munmap(at, bytes) == 0;
}

/* At least what the file has. */
static int set_map(struct nj_lmdb_env *env, uint64_t want)
{
    MDB_envinfo info;
    if (want > env->map_bytes && !has_address_space(want)) {
        return ENOMEM;
    }
    (void)pthread_rwlock_wrlock(&env->map_lock);
    int rc = mdb_env_set_mapsize(env->env, want);
    (void)mdb_env_info(env->env, &info);
    env->map_bytes = info.me_mapsize;
    (void)pthread_rwlock_unlock(&env->map_lock);
    return rc;
}

bool nj_lmdb_env_grow(struct nj_lmdb_env *env, bool is_full)
{
    if (env->map_bytes >= env->map_max || (!is_full && used_bytes(env) < env->map_bytes / 4 * 3)) {
        return false;
    }
    nj_lmdb_env_forget_dead(env);
    int rc = set_map(env, env->map_bytes < env->map_max / 2 ? env->map_bytes * 2 : env->map_max);
    if (rc != MDB_SUCCESS) {
        nj_log(NJ_LOG_WARNING,
               "Warning: no room in the address space for more than %" PRIu64
               " bytes of the store %s (%s).",
               env->map_bytes, env->path, mdb_strerror(rc));
        env->map_max = env->map_bytes;
        return false;
    }
    return true;
}

bool nj_lmdb_env_grow_beyond(struct nj_lmdb_env *env)
{
    uint64_t step = env->map_max / BEYOND_PART / MAP_STEP * MAP_STEP;
    nj_lmdb_env_forget_dead(env);
    return set_map(env, env->map_bytes + (step > MAP_STEP ? step : MAP_STEP)) == MDB_SUCCESS;
}

void nj_lmdb_env_bind(struct nj_lmdb_env *env)
{
    if (env->map_bytes > env->map_max && env->map_bytes > used_bytes(env)) {
        (void)set_map(env, env->map_max);
    }
}

void nj_lmdb_env_forget_dead(struct nj_lmdb_env *env)
{
    int dead = 0;
    if (mdb_reader_check(env->env, &dead) == MDB_SUCCESS && dead > 0) {
        nj_log(NJ_LOG_NOTICE, "%d processes ended while they read the store %s.", dead, env->path);
    }
}

/* ---- trying */

static enum nj_err probe_disk(const struct nj_lmdb_env *env)
{
    static const uint8_t zeros[PROBE_BYTES];
    int fd =
        openat(env->dir_fd, "probe", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return nj_lmdb_error(errno);
    }
    ssize_t done =
        nj_fault_hit(NJ_FAULT_WRITE) ? (errno = ENOSPC, -1) : pwrite(fd, zeros, sizeof(zeros), 0);
    enum nj_err err =
        done == (ssize_t)sizeof(zeros) ? NJ_OK : nj_lmdb_error(done < 0 ? errno : ENOSPC);
    (void)close(fd);
    (void)unlinkat(env->dir_fd, "probe", 0);
    return err;
}

/* Are there pages? It is given up, so nothing is written. */
static enum nj_err probe_map(struct nj_lmdb_env *env)
{
    static uint8_t zeros[PROBE_BYTES / PROBE_PUTS / 2];
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->env, NULL, 0, &txn);
    if (rc != MDB_SUCCESS) {
        return nj_lmdb_error(rc);
    }
    uint64_t part = env->map_max / env->page_bytes / PROBE_PART;
    uint64_t puts = part < PROBE_PUTS ? part : PROBE_PUTS;
    for (uint64_t i = 0; rc == MDB_SUCCESS && i < puts; i++) {
        struct nj_record_key key = nj_record_key_pair(UINT64_MAX, i);
        MDB_val k = nj_lmdb_key(&key);
        MDB_val value = {sizeof(zeros), zeros};
        rc = mdb_put(txn, env->dbi[NJ_LMDB_META], &k, &value, 0);
    }
    mdb_txn_abort(txn);
    return nj_lmdb_error(rc);
}

enum nj_err nj_lmdb_env_probe(struct nj_lmdb_env *env)
{
    enum nj_err err = probe_disk(env);
    if (err != NJ_OK) {
        return err;
    }
    nj_lmdb_env_forget_dead(env);
    nj_lmdb_env_bind(env);
    err = probe_map(env);
    return err == NJ_ELIMIT && nj_lmdb_env_grow(env, true) ? probe_map(env) : err;
}
