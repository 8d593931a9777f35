/* Setting a damaged database aside, and taking over what can be read of it. See lmdb_check.h.
 *
 *   salvage/data.mdb ──(complete)──► data.mdb ──► damaged-<time>/data.mdb
 *
 * Nothing is thrown away: the old file gets a directory of its own, for somebody to look at. The
 * new one gets every record that stands on a sound page and has its checksum; what hangs on nothing
 * then (rows without a session) is cleared away as the rest of a deleted session is. It takes the
 * old one's place in one step when it is complete: who is killed before that, or finds no room,
 * begins anew with the damaged file. */
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_check.h"
#include "store/lmdb_priv.h"

#define BYTES_PER_TXN (8u << 20)
#define FOLDER        "salvage"

struct salvage {
    struct nj_lmdb_env *env;
    MDB_txn *txn;
    uint64_t bytes; /* in the transaction */
    uint64_t taken;
    uint64_t refused;
    uint64_t format; /* with NJ_ENOTSUP: which one it has */
    enum nj_err err;
};

static int table_by_name(struct nj_bytes name)
{
    for (int i = 0; i < NJ_LMDB_TABLE_COUNT; i++) {
        if (nj_bytes_equal(name, nj_bytes_of(nj_lmdb_tables[i].name))) {
            return i;
        }
    }
    return NJ_LMDB_TABLE_COUNT;
}

/* The table, or NJ_LMDB_TABLE_COUNT when the record is not sound. */
static int table_of(struct nj_bytes name, struct nj_bytes key, struct nj_bytes value)
{
    int named = name.len ? table_by_name(name) : NJ_LMDB_TABLE_COUNT;
    if (named < NJ_LMDB_TABLE_COUNT) {
        return nj_record_check(nj_lmdb_tables[named].letter, key, value) == NJ_OK
                   ? named
                   : NJ_LMDB_TABLE_COUNT;
    }
    for (int i = 0; i < NJ_LMDB_TABLE_COUNT; i++) {
        if (nj_record_check(nj_lmdb_tables[i].letter, key, value) == NJ_OK) {
            return i;
        }
    }
    return NJ_LMDB_TABLE_COUNT;
}

static void commit(struct salvage *salvage)
{
    if (salvage->txn) {
        enum nj_err err = nj_lmdb_error(mdb_txn_commit(salvage->txn));
        salvage->txn = NULL;
        salvage->err = salvage->err == NJ_OK ? err : salvage->err;
    }
}

static void take(void *arg, struct nj_bytes name, struct nj_bytes key, struct nj_bytes value)
{
    struct salvage *salvage = arg;
    int table = table_of(name, key, value);
    if (table == NJ_LMDB_TABLE_COUNT) {
        salvage->refused++;
        return;
    }
    if (salvage->err != NJ_OK) {
        return;
    }
    if (table == NJ_LMDB_META && nj_lmdb_is_newer_format(key, value, &salvage->format)) {
        salvage->err = NJ_ENOTSUP;
        return;
    }
    if (!salvage->txn) {
        (void)nj_lmdb_env_grow(salvage->env, false);
        salvage->err = nj_lmdb_error(mdb_txn_begin(salvage->env->env, NULL, 0, &salvage->txn));
        if (salvage->err != NJ_OK) {
            return;
        }
    }
    MDB_val k = nj_lmdb_val(key);
    MDB_val v = nj_lmdb_val(value);
    int rc = mdb_put(salvage->txn, salvage->env->dbi[table], &k, &v, MDB_NOOVERWRITE);
    if (rc != MDB_SUCCESS && rc != MDB_KEYEXIST) {
        salvage->err = nj_lmdb_error(rc);
        mdb_txn_abort(salvage->txn);
        salvage->txn = NULL;
        return;
    }
    salvage->taken++;
    salvage->bytes += key.len + value.len;
    if (salvage->bytes >= BYTES_PER_TXN) {
        salvage->bytes = 0;
        commit(salvage);
    }
}

/* An empty database beside the damaged one. */
static enum nj_err make_new(const struct nj_lmdb_env *env, struct nj_lmdb_env *made)
{
    size_t size = strlen(env->path) + sizeof("/" FOLDER);
    *made = (struct nj_lmdb_env){
        .path = nj_alloc(size), .lock_fd = -1, .dir_fd = -1, .map_max = env->map_max};
    (void)snprintf(made->path, size, "%s/%s", env->path, FOLDER);
    (void)pthread_rwlock_init(&made->map_lock, NULL);
    if (mkdirat(env->dir_fd, FOLDER, 0700) != 0 && errno != EEXIST) {
        return NJ_EACCES;
    }
    made->dir_fd = openat(env->dir_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (made->dir_fd < 0) {
        return NJ_EACCES;
    }
    /* What an attempt left that was killed. */
    (void)unlinkat(made->dir_fd, "data.mdb", 0);
    (void)unlinkat(made->dir_fd, "lock.mdb", 0);
    return NJ_OK;
}

static void remove_rest(const struct nj_lmdb_env *env)
{
    (void)unlinkat(env->dir_fd, FOLDER "/data.mdb", 0);
    (void)unlinkat(env->dir_fd, FOLDER "/lock.mdb", 0);
    (void)unlinkat(env->dir_fd, FOLDER, AT_REMOVEDIR);
}

static enum nj_err set_aside(const struct nj_lmdb_env *env, char name[64])
{
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(name, 64, "damaged-%" PRId64 "-%u", nj_clock_wall_s(), i);
        if (mkdirat(env->dir_fd, name, 0700) == 0) {
            break;
        }
        if (errno != EEXIST) {
            return NJ_EACCES;
        }
    }
    char to[80];
    (void)snprintf(to, sizeof(to), "%s/data.mdb", name);
    /* A second name, where the file system knows such: there is always one under the first. */
    if (linkat(env->dir_fd, "data.mdb", env->dir_fd, to, 0) != 0 &&
        renameat(env->dir_fd, "data.mdb", env->dir_fd, to) != 0) {
        return NJ_EACCES;
    }
    return NJ_OK;
}

static enum nj_err put_in_place(const struct nj_lmdb_env *env)
{
    if (renameat(env->dir_fd, FOLDER "/data.mdb", env->dir_fd, "data.mdb") != 0) {
        return NJ_EACCES;
    }
    (void)unlinkat(env->dir_fd, "lock.mdb", 0);
    return fsync(env->dir_fd) == 0 ? NJ_OK : NJ_EIO;
}

/* Into salvage->env, which is open only meanwhile. */
static enum nj_err take_over(struct salvage *salvage, const struct nj_lmdb_env *env,
                             enum nj_err (*open)(struct nj_lmdb_env *env),
                             struct nj_lmdb_check *check)
{
    enum nj_err err = make_new(env, salvage->env);
    if (err == NJ_OK) {
        err = open(salvage->env);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_check_file(env->dir_fd, "data.mdb", check, take, salvage);
        err = err == NJ_EMALFORMED ? NJ_OK : err;
        commit(salvage);
    }
    nj_lmdb_env_close(salvage->env);
    return err == NJ_OK ? salvage->err : err;
}

enum nj_err nj_lmdb_salvage(struct nj_lmdb_env *env, enum nj_err (*open)(struct nj_lmdb_env *env))
{
    struct nj_lmdb_env made;
    struct salvage salvage = {.env = &made};
    struct nj_lmdb_check check = {0};
    char name[64];
    enum nj_err err = take_over(&salvage, env, open, &check);
    if (err == NJ_OK) {
        err = set_aside(env, name);
    }
    if (err == NJ_OK) {
        err = put_in_place(env);
    }
    remove_rest(env);
    if (err == NJ_ENOTSUP && salvage.format) {
        return nj_lmdb_refuse_format(env, salvage.format);
    }
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR,
               "Error: what is sound of the damaged store %s cannot be taken over: %s.", env->path,
               nj_err_text(err));
        return err;
    }
    env->set_aside = salvage.refused + 1;
    nj_log(NJ_LOG_ERROR,
           "Error: the store %s was damaged (%s). %" PRIu64 " records were taken over, %" PRIu64
           " could not be read, %" PRIu64 " pages are damaged. The old file is kept in %s/%s.",
           env->path, check.text, salvage.taken, salvage.refused, check.damaged, env->path, name);
    return open(env);
}
