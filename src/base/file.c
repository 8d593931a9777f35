/* See file.h. */
#include "base/file.h"

#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/rand.h"

#define READ_STEP ((size_t)64 * 1024)

static enum nj_err fail_errno(int cause)
{
    errno = cause;
    return cause == ENOSPC || cause == EDQUOT ? NJ_ENOSPC : cause == ENOENT ? NJ_ENOENT : NJ_ESYS;
}

const char *nj_file_why(enum nj_err err)
{
    const char *text = NULL;
    if (err == NJ_EINVAL) {
        text = "not a regular file";
    } else if (err == NJ_ESYS || err == NJ_ENOENT || err == NJ_ENOSPC || err == NJ_EIO) {
        text = strerrordesc_np(errno);
    }
    return text ? text : nj_err_text(err);
}

static enum nj_err read_all(int fd, size_t max_bytes, struct nj_buf *out)
{
    size_t start = out->len;
    for (;;) {
        if (nj_buf_reserve(out, READ_STEP) != NJ_OK) {
            return NJ_ENOMEM;
        }
        ssize_t got = nj_fault_hit(NJ_FAULT_READ) ? (errno = EIO, -1)
                                                  : read(fd, out->data + out->len, READ_STEP);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail_errno(errno);
        }
        if (got == 0) {
            return NJ_OK;
        }
        out->len += (size_t)got;
        if (out->len - start > max_bytes) {
            return NJ_ETOOBIG;
        }
    }
}

enum nj_err nj_file_read(const char *path, size_t max_bytes, bool nofollow, struct nj_buf *out)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (nofollow ? O_NOFOLLOW : 0);
    int fd = nj_fault_hit(NJ_FAULT_OPEN) ? (errno = EMFILE, -1) : open(path, flags);
    if (fd < 0) {
        return fail_errno(errno);
    }
    struct stat info;
    enum nj_err err;
    size_t before = out->len;
    if (fstat(fd, &info) != 0) {
        err = fail_errno(errno);
    } else if (!S_ISREG(info.st_mode)) {
        err = NJ_EINVAL;
    } else if ((uint64_t)info.st_size > max_bytes) {
        err = NJ_ETOOBIG;
    } else {
        err = read_all(fd, max_bytes, out);
    }
    if (err != NJ_OK) {
        out->len = before;
    }
    int cause = errno;
    (void)close(fd);
    errno = cause;
    return err;
}

static enum nj_err write_all(int fd, const uint8_t *data, size_t len)
{
    while (len) {
        ssize_t done = nj_fault_hit(NJ_FAULT_WRITE) ? (errno = ENOSPC, -1) : write(fd, data, len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return fail_errno(done < 0 ? errno : ENOSPC);
        }
        data += done;
        len -= (size_t)done;
    }
    return NJ_OK;
}

static enum nj_err sync_fd(int fd)
{
    if (nj_fault_hit(NJ_FAULT_SYNC)) {
        errno = EIO;
        return NJ_EIO;
    }
    if (fsync(fd) == 0) {
        return NJ_OK;
    }
    return errno == ENOSPC || errno == EDQUOT ? NJ_ENOSPC : NJ_EIO;
}

static int open_directory(const char *path)
{
    if (nj_fault_hit(NJ_FAULT_OPEN)) {
        errno = EMFILE;
        return -1;
    }
    char *dir = nj_strdup(path);
    char *slash = strrchr(dir, '/');
    if (slash == dir) {
        slash[1] = '\0';
    } else if (slash) {
        *slash = '\0';
    }
    int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int cause = errno;
    nj_free(dir);
    errno = cause;
    return fd;
}

/* A symbolic link stands for the file it names: that one is replaced, the link stays. */
static char *real_target(const char *path)
{
    char *target = realpath(path, NULL);
    char *copy = nj_strdup(target ? target : path);
    free(target);
    return copy;
}

static enum nj_err fill_temp(int fd, const char *target, const void *data, size_t len, mode_t mode)
{
    struct stat old;
    bool has_old = stat(target, &old) == 0;
    if (has_old && !S_ISREG(old.st_mode)) {
        errno = EINVAL;
        return NJ_EINVAL;
    }
    if (has_old && fchown(fd, old.st_uid, old.st_gid) != 0 && errno != EPERM) {
        return fail_errno(errno);
    }
    if (fchmod(fd, has_old ? old.st_mode & 0777 : mode) != 0) {
        return fail_errno(errno);
    }
    enum nj_err err = write_all(fd, data, len);
    return err == NJ_OK ? sync_fd(fd) : err;
}

/* Puts the filled file at its place; from the rename on the new content is what readers see. */
static enum nj_err swap_in(const char *temp, const char *target, int dir_fd)
{
    int done = nj_fault_hit(NJ_FAULT_RENAME) ? (errno = EROFS, -1) : rename(temp, target);
    if (done != 0) {
        return fail_errno(errno);
    }
    enum nj_err err = sync_fd(dir_fd);
    /* Some file systems cannot sync a directory and say so. */
    return err != NJ_OK && errno == EINVAL ? NJ_OK : err;
}

enum nj_err nj_file_replace(const char *path, const void *data, size_t len, mode_t mode)
{
    char *target = real_target(path);
    size_t size = strlen(target) + 32;
    char *temp = nj_alloc(size);
    (void)snprintf(temp, size, "%s.%016llx.tmp", target, (unsigned long long)nj_rand_u64());
    enum nj_err err = NJ_OK;
    int cause;
    int fd = -1;
    int dir_fd = open_directory(target);
    if (dir_fd < 0) {
        err = fail_errno(errno);
        goto out;
    }
    fd = nj_fault_hit(NJ_FAULT_OPEN)
             ? (errno = EMFILE, -1)
             : open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        err = fail_errno(errno);
        goto out;
    }
    err = fill_temp(fd, target, data, len, mode);
    cause = errno;
    if (close(fd) != 0 && err == NJ_OK) {
        err = fail_errno(errno);
        cause = errno;
    }
    errno = cause;
    if (err == NJ_OK) {
        err = swap_in(temp, target, dir_fd);
    }
    if (err != NJ_OK) {
        cause = errno;
        (void)unlink(temp); /* gone already when only the directory's sync failed */
        errno = cause;
    }
out:
    cause = errno;
    if (dir_fd >= 0) {
        (void)close(dir_fd);
    }
    nj_free(temp);
    nj_free(target);
    errno = cause;
    return err;
}

enum nj_err nj_file_overwrite(const char *path, const void *data, size_t len)
{
    struct stat info;
    enum nj_err err;
    int fd = nj_fault_hit(NJ_FAULT_OPEN) ? (errno = EMFILE, -1)
                                         : open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail_errno(errno);
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        errno = EINVAL;
        err = NJ_EINVAL;
    } else {
        err = write_all(fd, data, len);
        if (err == NJ_OK && ftruncate(fd, (off_t)len) != 0) {
            err = fail_errno(errno);
        }
        err = err == NJ_OK ? sync_fd(fd) : err;
    }
    int cause = errno;
    (void)close(fd);
    errno = cause;
    return err;
}

int nj_file_open_append(const char *path)
{
    if (nj_fault_hit(NJ_FAULT_OPEN)) {
        errno = EMFILE;
        return -1;
    }
    return open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
}

enum nj_err nj_file_append(int fd, const void *data, size_t len)
{
    enum nj_err err = write_all(fd, data, len);
    return err == NJ_OK ? sync_fd(fd) : err;
}
