/* See tool.h. The thorough check is in tool_check.c. */
#include "store/tool.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_check.h"
#include "store/tool_priv.h"

#define TRIES      10
#define NAME_BYTES 32

_Static_assert(NJ_STORE_TABLES == NJ_LMDB_TABLE_COUNT, "every table has its statistics");

static enum nj_err complain(const char *path, const char *what, const char *why)
{
    nj_log(NJ_LOG_ERROR, "Error: %s: %s: %s.", path, what, why);
    return NJ_ESYS;
}

static bool is_in_use(int dir_fd)
{
    int fd = openat(dir_fd, "nightjar.lock", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool is_locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_locked;
}

/* LMDB trusts a file, and damage can end the process: so all pages are walked before LMDB opens it.
 * Not beside a broker, which did so when it started and writes meanwhile. `is_ours`: the lock is.
 * check->pages stays 0 when nothing was walked. */
static enum nj_err look_first(const char *path, bool is_ours, struct nj_lmdb_check *check)
{
    int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    enum nj_err err = NJ_OK;
    if (dir_fd < 0) {
        return NJ_OK; /* opening it says why */
    }
    if (is_ours || !is_in_use(dir_fd)) {
        err = nj_lmdb_check_file(dir_fd, "data.mdb", check, NULL, NULL);
    }
    if (err == NJ_EMALFORMED && !is_ours && is_in_use(dir_fd)) {
        *check = (struct nj_lmdb_check){0}; /* a broker began to write under the walk */
        err = NJ_OK;
    }
    if (err == NJ_EMALFORMED) {
        (void)complain(path, "the database is damaged", check->text);
    } else if (err != NJ_OK) {
        (void)complain(path, "cannot be read", strerror(errno));
    }
    (void)close(dir_fd);
    return err;
}

/* While the transaction is open, no page of the newest state is written again: so the file can be
 * looked at beside a broker that writes. */
enum nj_err nj_tool_view_open(struct nj_tool_view *view, const char *path,
                              struct nj_lmdb_check *pages)
{
    struct nj_lmdb_check own = {0};
    struct nj_lmdb_check *check = pages ? pages : &own;
    enum nj_err err = look_first(path, false, check);
    if (err == NJ_OK) {
        err = nj_lmdb_env_open_readonly(&view->env, path);
    }
    if (err != NJ_OK) {
        return err;
    }
    int rc = mdb_txn_begin(view->env.env, NULL, MDB_RDONLY, &view->txn);
    if (rc == MDB_SUCCESS) {
        if (check->pages == 0) {
            err = nj_lmdb_check_file(view->env.dir_fd, "data.mdb", check, NULL, NULL);
        }
        if (err == NJ_OK) {
            return NJ_OK;
        }
        mdb_txn_abort(view->txn);
        (void)complain(path, "the database is damaged", check->text);
    } else {
        err = nj_lmdb_error(rc);
        (void)complain(path, "cannot be read", mdb_strerror(rc));
    }
    nj_lmdb_env_close(&view->env);
    return err;
}

void nj_tool_view_close(struct nj_tool_view *view)
{
    mdb_txn_abort(view->txn);
    nj_lmdb_env_close(&view->env);
}

/* ---- statistics */

static void count_blobs(const struct nj_lmdb_env *env, struct nj_store_stats *stats)
{
    int fd = openat(env->dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    struct stat info;
    while (dir && (entry = readdir(dir))) {
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode)) {
            stats->blobs++;
            stats->blob_bytes += (uint64_t)info.st_size;
        }
    }
    if (dir) {
        (void)closedir(dir);
    }
}

enum nj_err nj_store_stats_read(const char *path, struct nj_store_stats *stats)
{
    struct nj_tool_view view;
    MDB_stat table;
    MDB_envinfo info;
    struct stat file;
    *stats = (struct nj_store_stats){0};
    enum nj_err err = nj_tool_view_open(&view, path, NULL);
    if (err != NJ_OK) {
        return err;
    }
    for (int i = 0; i < NJ_LMDB_TABLE_COUNT; i++) {
        (void)mdb_stat(view.txn, view.env.dbi[i], &table);
        stats->tables[i] = (struct nj_store_table_stats){
            .name = nj_lmdb_tables[i].name,
            .records = table.ms_entries,
            .pages = table.ms_branch_pages + table.ms_leaf_pages + table.ms_overflow_pages,
            .depth = table.ms_depth,
        };
    }
    (void)mdb_env_info(view.env.env, &info);
    stats->map_bytes = info.me_mapsize;
    stats->transaction = info.me_last_txnid;
    stats->page_bytes = view.env.page_bytes;
    stats->is_running = is_in_use(view.env.dir_fd);
    if (fstatat(view.env.dir_fd, "data.mdb", &file, AT_SYMLINK_NOFOLLOW) == 0) {
        stats->file_bytes = (uint64_t)file.st_size;
    }
    count_blobs(&view.env, stats);
    stats->used_bytes = nj_lmdb_env_live(&view.env, view.txn);
    nj_tool_view_close(&view);
    return NJ_OK;
}

/* ---- all records */

enum nj_err nj_tool_view_each(struct nj_tool_view *view, enum nj_lmdb_table table,
                              nj_store_each_fn each, void *arg)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    enum nj_err err = nj_lmdb_error(mdb_cursor_open(view->txn, view->env.dbi[table], &cursor));
    if (err != NJ_OK) {
        return err;
    }
    int rc = MDB_SUCCESS;
    while (err == NJ_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        err = each(arg, nj_lmdb_tables[table].letter, nj_lmdb_bytes(key), nj_lmdb_bytes(value));
    }
    mdb_cursor_close(cursor);
    return err == NJ_OK && rc != MDB_NOTFOUND ? nj_lmdb_error(rc) : err;
}

enum nj_err nj_store_each(const char *path, nj_store_each_fn each, void *arg)
{
    struct nj_tool_view view;
    enum nj_err err = nj_tool_view_open(&view, path, NULL);
    if (err != NJ_OK) {
        return err;
    }
    for (int i = 0; i < NJ_LMDB_TABLE_COUNT && err == NJ_OK; i++) {
        err = nj_tool_view_each(&view, (enum nj_lmdb_table)i, each, arg);
    }
    nj_tool_view_close(&view);
    return err;
}

/* ---- backup */

struct copy {
    const struct nj_lmdb_env *env;
    int to_fd; /* the new directory */
};

static enum nj_err copy_blob(void *arg, enum nj_record_table table, struct nj_bytes key,
                             struct nj_bytes value)
{
    const struct copy *copy = arg;
    char name[NAME_BYTES];
    struct nj_record_blob blob;
    uint64_t number;
    (void)table;
    enum nj_err err = nj_record_key_read_u64(key, &number);
    if (err == NJ_OK) {
        err = nj_record_get_blob(key, value, &blob);
    }
    if (err != NJ_OK) {
        return err;
    }
    uint8_t *payload = nj_try_alloc(blob.bytes);
    if (!payload) {
        return NJ_ENOMEM;
    }
    (void)snprintf(name, sizeof(name), "blobs/%016" PRIx64, number);
    err = nj_lmdb_blob_read(copy->env, number, &blob, payload);
    if (err == NJ_OK) {
        struct nj_lmdb_env to = {.dir_fd = copy->to_fd};
        err = nj_lmdb_blob_write(&to, number, nj_bytes(payload, blob.bytes));
    }
    nj_free(payload);
    return err;
}

static enum nj_err copy_once(const char *path, const char *to, int to_fd)
{
    struct nj_lmdb_env env;
    struct nj_tool_view made;
    struct nj_lmdb_check check = {0};
    enum nj_err err = look_first(path, false, &check);
    if (err == NJ_OK) {
        err = nj_lmdb_env_open_readonly(&env, path);
    }
    if (err != NJ_OK) {
        return err;
    }
    (void)unlinkat(to_fd, "data.mdb", 0);
    nj_crash_point("backup");
    int rc = mdb_env_copy2(env.env, to, MDB_CP_COMPACT);
    nj_crash_point("backup-copied");
    if (rc != MDB_SUCCESS) {
        (void)complain(to, "cannot be written", mdb_strerror(rc));
        nj_lmdb_env_close(&env);
        return nj_lmdb_error(rc);
    }
    err = nj_tool_view_open(&made, to, NULL);
    if (err == NJ_OK) {
        struct copy copy = {.env = &env, .to_fd = to_fd};
        err = nj_tool_view_each(&made, NJ_LMDB_BLOB, copy_blob, &copy);
        nj_tool_view_close(&made);
    }
    nj_lmdb_env_close(&env);
    return err;
}

static enum nj_err sync_backup(int to_fd)
{
    int file = openat(to_fd, "data.mdb", O_RDONLY | O_CLOEXEC);
    struct nj_lmdb_env to = {.dir_fd = to_fd};
    enum nj_err err = file >= 0 && fdatasync(file) == 0 ? NJ_OK : NJ_EIO;
    if (file >= 0) {
        (void)close(file);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_blob_sync(&to);
    }
    return err == NJ_OK && fsync(to_fd) != 0 ? NJ_EIO : err;
}

enum nj_err nj_store_backup(const char *path, const char *to)
{
    char name[4096];
    (void)snprintf(name, sizeof(name), "%s/data.mdb", path);
    /* First, so that a mistyped name leaves nothing behind. */
    if (access(name, R_OK) != 0) {
        return complain(path, "cannot be read", strerror(errno));
    }
    if (mkdir(to, 0700) != 0) {
        return complain(to, "cannot be made", strerror(errno));
    }
    int to_fd = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (to_fd < 0 || mkdirat(to_fd, "blobs", 0700) != 0) {
        (void)complain(to, "cannot be used", strerror(errno));
        if (to_fd >= 0) {
            (void)close(to_fd);
        }
        return NJ_ESYS;
    }
    /* A payload beside the database may go between the copy of the database and its own: then the
     * copy is made again of a later moment. */
    enum nj_err err = NJ_EMALFORMED;
    for (int i = 0; err == NJ_EMALFORMED && i < TRIES; i++) {
        err = copy_once(path, to, to_fd);
    }
    if (err == NJ_OK) {
        err = sync_backup(to_fd);
    }
    (void)unlinkat(to_fd, "lock.mdb", 0);
    (void)close(to_fd);
    return err;
}

/* ---- compacting */

static enum nj_err lock(const char *path, int *lock_fd)
{
    char name[4096];
    (void)snprintf(name, sizeof(name), "%s/nightjar.lock", path);
    *lock_fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*lock_fd < 0) {
        return complain(path, "cannot be used", strerror(errno));
    }
    if (flock(*lock_fd, LOCK_EX | LOCK_NB) != 0) {
        (void)complain(path, "it is in use",
                       "stop the broker first, or make a backup, which is "
                       "compacted, too");
        (void)close(*lock_fd);
        return NJ_EBUSY;
    }
    return NJ_OK;
}

static enum nj_err swap_in(struct nj_lmdb_env *env, int new_fd)
{
    nj_crash_point("compact-written");
    if (fdatasync(new_fd) != 0) {
        return NJ_EIO;
    }
    if (renameat(env->dir_fd, "compact.mdb", env->dir_fd, "data.mdb") != 0) {
        return complain(env->path, "the new database cannot take its place", strerror(errno));
    }
    nj_crash_point("compact-renamed");
    return fsync(env->dir_fd) == 0 ? NJ_OK : NJ_EIO;
}

static enum nj_err rewrite(struct nj_lmdb_env *env, uint64_t *after)
{
    struct stat info;
    int fd = openat(env->dir_fd, "compact.mdb", O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    if (fd < 0) {
        return complain(env->path, "cannot be written", strerror(errno));
    }
    int rc = mdb_env_copyfd2(env->env, fd, MDB_CP_COMPACT);
    enum nj_err err = nj_lmdb_error(rc);
    if (rc != MDB_SUCCESS) {
        (void)complain(env->path, "cannot be compacted", mdb_strerror(rc));
    }
    if (err == NJ_OK) {
        err = swap_in(env, fd);
    }
    *after = fstat(fd, &info) == 0 ? (uint64_t)info.st_size : 0;
    (void)close(fd);
    if (err != NJ_OK) {
        (void)unlinkat(env->dir_fd, "compact.mdb", 0);
    }
    return err;
}

enum nj_err nj_store_compact(const char *path, uint64_t *before, uint64_t *after)
{
    struct nj_tool_view view;
    int lock_fd;
    struct stat info;
    struct nj_lmdb_check check = {0};
    enum nj_err err = lock(path, &lock_fd);
    if (err != NJ_OK) {
        return err;
    }
    err = look_first(path, true, &check);
    err = err == NJ_OK ? nj_tool_view_open(&view, path, NULL) : err;
    if (err == NJ_OK) {
        *before = fstatat(view.env.dir_fd, "data.mdb", &info, 0) == 0 ? (uint64_t)info.st_size : 0;
        err = rewrite(&view.env, after);
        nj_tool_view_close(&view);
    }
    (void)close(lock_fd);
    return err;
}
