/* The store's directory: lock, database, tables. See lmdb_priv.h.
 *
 *   <path>/nightjar.lock   held while a broker uses the directory
 *   <path>/data.mdb        the database; lock.mdb beside it is LMDB's table of readers
 *   <path>/blobs/<number>  payloads above NJ_LMDB_BLOB_MIN
 *   <path>/damaged-<time>  what was set aside (lmdb_salvage.c)
 *   <path>/salvage         what is taken over from it, until it is complete
 *
 * How large the database may get is lmdb_room.c's business. */
#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_check.h"
#include "store/lmdb_priv.h"

#define FORMAT      2
#define MAP_FIRST   (64ull << 20)
#define MAP_DEFAULT (sizeof(void *) == 8 ? 1ull << 40 : 1ull << 30)
#define MAP_STEP    (1ull << 20)
#define READERS_MAX 64

const struct nj_lmdb_table_info nj_lmdb_tables[NJ_LMDB_TABLE_COUNT] = {
    [NJ_LMDB_META] = {"meta", NJ_TABLE_META},
    [NJ_LMDB_SESSION] = {"session", NJ_TABLE_SESSION},
    [NJ_LMDB_SUB] = {"subscription", NJ_TABLE_SUB},
    [NJ_LMDB_WILL] = {"will", NJ_TABLE_WILL},
    [NJ_LMDB_INCOMING] = {"incoming", NJ_TABLE_INCOMING},
    [NJ_LMDB_BODY] = {"body", NJ_TABLE_BODY},
    [NJ_LMDB_REFS] = {"refs", NJ_TABLE_REFS},
    [NJ_LMDB_ROW] = {"row", NJ_TABLE_ROW},
    [NJ_LMDB_PAGE] = {"page", NJ_TABLE_PAGE},
    [NJ_LMDB_EXPIRY] = {"expiry", NJ_TABLE_EXPIRY},
    [NJ_LMDB_RETAINED] = {"retained", NJ_TABLE_RETAINED},
    [NJ_LMDB_BLOB] = {"blob", NJ_TABLE_BLOB},
    [NJ_LMDB_GRAVE] = {"grave", NJ_TABLE_GRAVE},
};

enum nj_err nj_lmdb_error(int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return NJ_OK;
    case MDB_NOTFOUND:
        return NJ_ENOENT;
    case MDB_MAP_FULL:
        return NJ_ELIMIT; /* the map may grow */
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return NJ_ENOSPC;
    case ENOMEM:
        return NJ_ENOMEM;
    case MDB_TXN_FULL:
        return NJ_ETOOBIG;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return NJ_EMALFORMED;
    case EACCES:
    case EPERM:
    case EROFS:
        return NJ_EACCES;
    default:
        return NJ_EIO;
    }
}

/* ---- the directory */

static enum nj_err refuse(const char *path, const char *why)
{
    nj_log(NJ_LOG_ERROR, "Error: the store %s cannot be used: %s.", path, why);
    return NJ_EACCES;
}

static enum nj_err open_directory(struct nj_lmdb_env *env, bool may_make)
{
    struct stat info;
    if (lstat(env->path, &info) != 0) {
        if (errno != ENOENT || !may_make || mkdir(env->path, 0700) != 0 ||
            lstat(env->path, &info) != 0) {
            return refuse(env->path, strerror(errno));
        }
    }
    if (!S_ISDIR(info.st_mode)) {
        return refuse(env->path,
                      S_ISLNK(info.st_mode) ? "it is a symbolic link" : "it is no directory");
    }
    if (info.st_uid != geteuid() && geteuid() != 0) {
        return refuse(env->path, "it belongs to another user");
    }
    env->dir_fd = open(env->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (env->dir_fd < 0) {
        return refuse(env->path, strerror(errno));
    }
    if (fstatat(env->dir_fd, "data.mdb", &info, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISREG(info.st_mode)) {
        return refuse(env->path, "its data.mdb is no regular file");
    }
    return NJ_OK;
}

/* A second broker on the same data would destroy them. */
static enum nj_err lock_directory(struct nj_lmdb_env *env)
{
    char text[32];
    env->lock_fd =
        nj_fault_hit(NJ_FAULT_OPEN)
            ? (errno = EMFILE, -1)
            : openat(env->dir_fd, "nightjar.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (env->lock_fd < 0) {
        return refuse(env->path, strerror(errno));
    }
    if (flock(env->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) {
            return refuse(env->path, strerror(errno));
        }
        ssize_t got = pread(env->lock_fd, text, sizeof(text) - 1, 0);
        text[got > 0 ? got : 0] = '\0';
        nj_log(NJ_LOG_ERROR, "Error: the store %s is in use by process %s.", env->path,
               got > 0 ? text : "(unknown)");
        return NJ_EBUSY;
    }
    int len = snprintf(text, sizeof(text), "%ld", (long)getpid());
    /* Only for the message above: not being able to write it is no reason to stop. */
    if (ftruncate(env->lock_fd, 0) == 0) {
        ssize_t done = pwrite(env->lock_fd, text, (size_t)len, 0);
        (void)done;
    }
    if (mkdirat(env->dir_fd, "blobs", 0700) != 0 && errno != EEXIST) {
        return refuse(env->path, strerror(errno));
    }
    return NJ_OK;
}

/* ---- the database */

static uint64_t file_bytes(const struct nj_lmdb_env *env)
{
    struct stat info;
    return fstatat(env->dir_fd, "data.mdb", &info, AT_SYMLINK_NOFOLLOW) == 0
               ? (uint64_t)info.st_size
               : 0;
}

static enum nj_err open_tables(struct nj_lmdb_env *env, unsigned txn_flags)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env->env, NULL, txn_flags, &txn);
    for (int i = 0; rc == MDB_SUCCESS && i < NJ_LMDB_TABLE_COUNT; i++) {
        rc = mdb_dbi_open(txn, nj_lmdb_tables[i].name, txn_flags & MDB_RDONLY ? 0 : MDB_CREATE,
                          &env->dbi[i]);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_txn_commit(txn);
    } else if (txn) {
        mdb_txn_abort(txn);
    }
    return nj_lmdb_error(rc);
}

static enum nj_err open_database(struct nj_lmdb_env *env, unsigned flags)
{
    uint64_t want = MAP_FIRST;
    while (want < 2 * file_bytes(env) && want < env->map_max) {
        want *= 2;
    }
    env->map_bytes = want < env->map_max ? want : env->map_max;
    int rc = mdb_env_create(&env->env);
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_mapsize(env->env, env->map_bytes);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_maxdbs(env->env, NJ_LMDB_TABLE_COUNT);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_set_maxreaders(env->env, READERS_MAX);
    }
    if (rc == MDB_SUCCESS) {
        rc = mdb_env_open(env->env, env->path, flags, 0600);
    }
    if (rc != MDB_SUCCESS) {
        nj_log(NJ_LOG_ERROR, "Error: the store %s cannot be opened: %s.", env->path,
               mdb_strerror(rc));
        return nj_lmdb_error(rc);
    }
    MDB_stat stat;
    MDB_envinfo info;
    (void)mdb_env_stat(env->env, &stat);
    (void)mdb_env_info(env->env, &info);
    env->page_bytes = stat.ms_psize;
    env->map_bytes = info.me_mapsize; /* more, when the file is larger already */
    return NJ_OK;
}

/* ---- format */

static enum nj_err read_format(struct nj_lmdb_env *env, MDB_txn *txn, uint64_t *format)
{
    struct nj_record_key key = nj_record_key_text("format");
    MDB_val k = nj_lmdb_key(&key);
    MDB_val value;
    int rc = mdb_get(txn, env->dbi[NJ_LMDB_META], &k, &value);
    if (rc != MDB_SUCCESS) {
        *format = 0;
        return rc == MDB_NOTFOUND ? NJ_OK : nj_lmdb_error(rc);
    }
    return nj_record_get_number(NJ_TABLE_META, nj_lmdb_bytes(k), nj_lmdb_bytes(value), format);
}

static enum nj_err write_format(struct nj_lmdb_env *env, MDB_txn *txn)
{
    struct nj_record_key key = nj_record_key_text("format");
    struct nj_buf buf;
    nj_buf_init(&buf);
    enum nj_err err = nj_record_put_number(&buf, NJ_TABLE_META, &key, FORMAT);
    if (err == NJ_OK) {
        MDB_val k = nj_lmdb_key(&key);
        MDB_val value = nj_lmdb_val(nj_buf_bytes(&buf));
        err = nj_lmdb_error(mdb_put(txn, env->dbi[NJ_LMDB_META], &k, &value, 0));
    }
    nj_buf_fini(&buf);
    return err;
}

/* What turns a database of format n (the index) into one of n + 1, in the same transaction. Format
 * 0 is an empty one. */
static enum nj_err (*const upgrades[FORMAT])(struct nj_lmdb_env *env, MDB_txn *txn) = {
    [0] = write_format,
    /* Owners named the listener's place in the configuration, now what it is called. The old places
     * are understood (nj_policy_scope_of) and replaced at the start (broker/boot.c); a program that
     * takes names for places must not open this. */
    [1] = write_format,
};

bool nj_lmdb_is_newer_format(struct nj_bytes key, struct nj_bytes value, uint64_t *format)
{
    return nj_bytes_equal(key, NJ_BYTES_LIT("format")) &&
           nj_record_get_number(NJ_TABLE_META, key, value, format) == NJ_OK && *format > FORMAT;
}

enum nj_err nj_lmdb_refuse_format(const struct nj_lmdb_env *env, uint64_t format)
{
    nj_log(NJ_LOG_ERROR,
           "Error: the store %s has format %" PRIu64 "; this program writes format %d. %s.",
           env->path, format, FORMAT,
           format > FORMAT ? "Use the program that wrote it, or another directory"
                           : "Start the broker once to bring it up to date");
    return NJ_ENOTSUP;
}

static enum nj_err check_format(struct nj_lmdb_env *env, bool may_upgrade)
{
    MDB_txn *txn;
    uint64_t format;
    int rc = mdb_txn_begin(env->env, NULL, may_upgrade ? 0 : MDB_RDONLY, &txn);
    if (rc != MDB_SUCCESS) {
        return nj_lmdb_error(rc);
    }
    enum nj_err err = read_format(env, txn, &format);
    if (err == NJ_OK && (format > FORMAT || (format < FORMAT && !may_upgrade))) {
        err = nj_lmdb_refuse_format(env, format);
    }
    for (uint64_t from = format; err == NJ_OK && from < FORMAT; from++) {
        err = upgrades[from](env, txn);
    }
    if (err != NJ_OK) {
        mdb_txn_abort(txn);
        return err;
    }
    nj_crash_point("upgrade");
    err = nj_lmdb_error(mdb_txn_commit(txn));
    nj_crash_point("upgraded");
    return err;
}

/* ---- life */

static void close_database(struct nj_lmdb_env *env)
{
    if (env->env) {
        mdb_env_close(env->env);
        env->env = NULL;
    }
}

static enum nj_err open_all(struct nj_lmdb_env *env)
{
    enum nj_err err = open_database(env, MDB_NOTLS);
    if (err == NJ_OK) {
        int dead = 0;
        (void)mdb_reader_check(env->env, &dead);
        err = open_tables(env, 0);
    }
    if (err == NJ_OK) {
        err = check_format(env, true);
    }
    if (err != NJ_OK) {
        close_database(env);
    }
    return err;
}

static void init(struct nj_lmdb_env *env, const char *path, uint64_t map_max)
{
    *env = (struct nj_lmdb_env){.lock_fd = -1, .dir_fd = -1, .path = nj_strdup(path)};
    uint64_t max = map_max ? map_max : MAP_DEFAULT;
    env->map_max = max < MAP_STEP ? MAP_STEP : max / MAP_STEP * MAP_STEP;
    (void)pthread_rwlock_init(&env->map_lock, NULL);
}

enum nj_err nj_lmdb_env_open(struct nj_lmdb_env *env, const char *path, uint64_t map_max)
{
    init(env, path, map_max);
    enum nj_err err = open_directory(env, true);
    if (err == NJ_OK) {
        err = lock_directory(env);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_check_file(env->dir_fd, "data.mdb", NULL, NULL, NULL);
        if (err == NJ_OK) {
            err = open_all(env);
        }
        if (err == NJ_EMALFORMED) {
            err = nj_lmdb_salvage(env, open_all);
        }
    }
    if (err != NJ_OK) {
        nj_lmdb_env_close(env);
    }
    return err;
}

enum nj_err nj_lmdb_env_open_readonly(struct nj_lmdb_env *env, const char *path)
{
    init(env, path, 0);
    env->map_max = MAP_DEFAULT;
    enum nj_err err = open_directory(env, false);
    if (err == NJ_OK) {
        err = open_database(env, MDB_NOTLS | MDB_RDONLY);
    }
    if (err == NJ_OK) {
        err = open_tables(env, MDB_RDONLY);
    }
    if (err == NJ_OK) {
        err = check_format(env, false);
    }
    if (err != NJ_OK) {
        nj_lmdb_env_close(env);
    }
    return err;
}

void nj_lmdb_env_close(struct nj_lmdb_env *env)
{
    if (!env->path) {
        return;
    }
    close_database(env);
    if (env->lock_fd >= 0) {
        (void)close(env->lock_fd);
    }
    if (env->dir_fd >= 0) {
        (void)close(env->dir_fd);
    }
    (void)pthread_rwlock_destroy(&env->map_lock);
    nj_free(env->path);
    env->path = NULL;
}
