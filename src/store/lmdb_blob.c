/* Payloads too long for the database: one file each, written and synced before the transaction that
 * names it is committed, removed after the one that lets go of it. What a crash leaves behind no
 * record names, and the next start removes it. */
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/fault.h"
#include "base/log.h"
#include "store/lmdb_priv.h"

#define NAME_BYTES 32

static void name_of(char name[NAME_BYTES], uint64_t number)
{
    (void)snprintf(name, NAME_BYTES, "blobs/%016" PRIx64, number);
}

static enum nj_err error_of(int cause)
{
    return cause == ENOSPC || cause == EDQUOT || cause == EFBIG ? NJ_ENOSPC : NJ_EIO;
}

static enum nj_err write_all(int fd, struct nj_bytes payload)
{
    while (payload.len) {
        ssize_t done = nj_fault_hit(NJ_FAULT_WRITE) ? (errno = ENOSPC, -1)
                                                    : write(fd, payload.ptr, payload.len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return error_of(done < 0 ? errno : ENOSPC);
        }
        payload.ptr += done;
        payload.len -= (size_t)done;
    }
    return NJ_OK;
}

enum nj_err nj_lmdb_blob_write(struct nj_lmdb_env *env, uint64_t number, struct nj_bytes payload)
{
    char name[NAME_BYTES];
    name_of(name, number);
    nj_crash_point("blob");
    int fd = nj_fault_hit(NJ_FAULT_OPEN)
                 ? (errno = EMFILE, -1)
                 : openat(env->dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                          0600);
    if (fd < 0) {
        return error_of(errno);
    }
    enum nj_err err = write_all(fd, payload);
    nj_crash_point("blob-written");
    /* By the counting door: a failure here is one of the store. */
    if (err == NJ_OK && fdatasync(fd) != 0) {
        err = NJ_EIO;
    }
    if (close(fd) != 0 && err == NJ_OK) {
        err = error_of(errno);
    }
    if (err != NJ_OK) {
        nj_lmdb_blob_remove(env, number);
    }
    return err;
}

enum nj_err nj_lmdb_blob_sync(struct nj_lmdb_env *env)
{
    int fd = openat(env->dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return error_of(errno);
    }
    enum nj_err err = fdatasync(fd) != 0 && errno != EINVAL ? NJ_EIO : NJ_OK;
    (void)close(fd);
    return err;
}

static enum nj_err read_all(int fd, uint8_t *into, uint64_t bytes)
{
    while (bytes) {
        ssize_t got = nj_fault_hit(NJ_FAULT_READ) ? (errno = EIO, -1) : read(fd, into, bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? NJ_EIO : NJ_EMALFORMED;
        }
        into += got;
        bytes -= (uint64_t)got;
    }
    return NJ_OK;
}

enum nj_err nj_lmdb_blob_read(const struct nj_lmdb_env *env, uint64_t number,
                              const struct nj_record_blob *blob, uint8_t *into)
{
    char name[NAME_BYTES];
    struct stat info;
    name_of(name, number);
    int fd = openat(env->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? NJ_EMALFORMED : NJ_EIO;
    }
    enum nj_err err =
        fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (uint64_t)info.st_size == blob->bytes
            ? read_all(fd, into, blob->bytes)
            : NJ_EMALFORMED;
    (void)close(fd);
    if (err == NJ_OK && nj_crc32c(0, into, blob->bytes) != blob->crc) {
        err = NJ_EMALFORMED;
    }
    return err;
}

void nj_lmdb_blob_remove(const struct nj_lmdb_env *env, uint64_t number)
{
    char name[NAME_BYTES];
    name_of(name, number);
    nj_crash_point("blob-remove");
    /* A file that stays behind costs room until the next start, nothing else. */
    (void)unlinkat(env->dir_fd, name, 0);
}

static bool is_named(const struct nj_lmdb_env *env, MDB_txn *txn, uint64_t number)
{
    struct nj_record_key key = nj_record_key_u64(number);
    MDB_val k = nj_lmdb_key(&key);
    MDB_val value;
    return mdb_get(txn, env->dbi[NJ_LMDB_BLOB], &k, &value) == MDB_SUCCESS;
}

bool nj_lmdb_blob_is_named(const struct nj_lmdb_env *env, uint64_t number)
{
    MDB_txn *txn;
    if (mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn) != MDB_SUCCESS) {
        return true; /* not known */
    }
    bool is_there = is_named(env, txn, number);
    mdb_txn_abort(txn);
    return is_there;
}

static void sweep(struct nj_lmdb_env *env, MDB_txn *txn, DIR *dir, uint64_t *highest)
{
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        char *end;
        uint64_t number = strtoull(entry->d_name, &end, 16);
        if (strlen(entry->d_name) != 16 || *end) {
            continue;
        }
        if (number > *highest) {
            *highest = number;
        }
        if (!is_named(env, txn, number)) {
            nj_lmdb_blob_remove(env, number);
        }
    }
}

enum nj_err nj_lmdb_blob_sweep(struct nj_lmdb_env *env, uint64_t *highest)
{
    MDB_txn *txn;
    *highest = 0;
    int fd = openat(env->dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return NJ_ESYS;
    }
    int rc = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);
    if (rc == MDB_SUCCESS) {
        sweep(env, txn, dir, highest);
        mdb_txn_abort(txn);
    }
    (void)closedir(dir);
    return nj_lmdb_error(rc);
}
