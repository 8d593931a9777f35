/* See file.h. */
#include "base/file.h"

#include <sys/stat.h>
#include <dirent.h>
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

/* A sync waits for whatever the disk was given before it, and on ext4 for the data of every file
 * that grew meanwhile: so a large file goes there in steps, and nobody else's sync meets more than
 * two of them. */
#define PACED_FROM ((size_t)1024 * 1024)
#define PACED_STEP ((size_t)256 * 1024)

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

/* What is being written from a file's beginning on. */
struct course {
    int fd;
    size_t done;
    size_t begun;  /* up to here it is on its way to the disk, */
    size_t pushed; /* up to here it is there */
};

/* Sends the newest step off and waits for the one before. An error of the disk is told here or by
 * the sync that follows, never by both; a file system that knows no steps does all in the sync. */
static enum nj_err push_on(struct course *course)
{
    int done = sync_file_range(course->fd, (off64_t)course->begun,
                               (off64_t)(course->done - course->begun), SYNC_FILE_RANGE_WRITE);
    if (done == 0 && course->begun > course->pushed) {
        done = sync_file_range(course->fd, (off64_t)course->pushed,
                               (off64_t)(course->begun - course->pushed),
                               SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER);
    }
    if (done != 0 && errno != EINVAL && errno != ENOSYS && errno != ESPIPE) {
        return errno == ENOSPC || errno == EDQUOT ? NJ_ENOSPC : NJ_EIO;
    }
    course->pushed = course->begun;
    course->begun = course->done;
    return NJ_OK;
}

static enum nj_err write_paced(struct course *course, const uint8_t *data, size_t len)
{
    enum nj_err err = NJ_OK;
    while (len && err == NJ_OK) {
        size_t step = len < PACED_STEP ? len : PACED_STEP;
        err = write_all(course->fd, data, step);
        data += step;
        len -= step;
        course->done += step;
        if (err == NJ_OK && course->done > PACED_FROM &&
            course->done - course->begun >= PACED_STEP) {
            err = push_on(course);
        }
    }
    return err;
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

/* Without what a reader does not need, which spares the file system a commit of its own journal
 * when no block and no size changed. */
static enum nj_err sync_data(int fd)
{
    if (nj_fault_hit(NJ_FAULT_SYNC)) {
        errno = EIO;
        return NJ_EIO;
    }
    if (fdatasync(fd) == 0) {
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

#define DRAFT_DIGITS 16

static bool is_draft_of(const char *name, const char *base)
{
    size_t len = strlen(base);
    return strncmp(name, base, len) == 0 && name[len] == '.' &&
           strspn(name + len + 1, "0123456789abcdef") == DRAFT_DIGITS &&
           strcmp(name + len + 1 + DRAFT_DIGITS, ".tmp") == 0;
}

/* A symbolic link stands for the file it names: that one is replaced, the link stays. */
static char *real_target(const char *path)
{
    char *target = realpath(path, NULL);
    char *copy = nj_strdup(target ? target : path);
    free(target);
    return copy;
}

struct nj_file_draft {
    char *target;
    char *temp; /* NULL: it is there no more */
    int dir_fd;
    struct course course; /* its fd is -1 when it is closed */
};

static enum nj_err take_after(int fd, const char *target, mode_t mode)
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
    return fchmod(fd, has_old ? old.st_mode & 0777 : mode) == 0 ? NJ_OK : fail_errno(errno);
}

static enum nj_err begin_draft(struct nj_file_draft *draft, mode_t mode)
{
    size_t size = strlen(draft->target) + 32;
    draft->dir_fd = open_directory(draft->target);
    if (draft->dir_fd < 0) {
        return fail_errno(errno);
    }
    char *temp = nj_alloc(size);
    (void)snprintf(temp, size, "%s.%016llx.tmp", draft->target, (unsigned long long)nj_rand_u64());
    draft->course.fd = nj_fault_hit(NJ_FAULT_OPEN)
                           ? (errno = EMFILE, -1)
                           : open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (draft->course.fd < 0) {
        int cause = errno;
        nj_free(temp);
        return fail_errno(cause);
    }
    draft->temp = temp;
    return take_after(draft->course.fd, draft->target, mode);
}

enum nj_err nj_file_draft_new(const char *path, mode_t mode, struct nj_file_draft **out)
{
    struct nj_file_draft *draft = nj_zalloc(sizeof(*draft));
    draft->target = real_target(path);
    draft->dir_fd = -1;
    draft->course.fd = -1;
    enum nj_err err = begin_draft(draft, mode);
    if (err != NJ_OK) {
        nj_file_draft_free(draft);
        return err;
    }
    *out = draft;
    return NJ_OK;
}

enum nj_err nj_file_draft_write(struct nj_file_draft *draft, const void *data, size_t len)
{
    return write_paced(&draft->course, data, len);
}

enum nj_err nj_file_draft_sync(struct nj_file_draft *draft)
{
    enum nj_err err = sync_fd(draft->course.fd);
    int cause = errno;
    if (close(draft->course.fd) != 0 && err == NJ_OK) {
        err = fail_errno(errno);
        cause = errno;
    }
    draft->course.fd = -1;
    errno = cause;
    return err;
}

void nj_file_draft_free(struct nj_file_draft *draft)
{
    int cause = errno;
    if (!draft) {
        return;
    }
    if (draft->course.fd >= 0) {
        (void)close(draft->course.fd);
    }
    if (draft->dir_fd >= 0) {
        (void)close(draft->dir_fd);
    }
    if (draft->temp) {
        (void)unlink(draft->temp);
    }
    nj_free(draft->temp);
    nj_free(draft->target);
    nj_free(draft);
    errno = cause;
}

enum nj_err nj_file_draft_place(struct nj_file_draft *draft)
{
    int done =
        nj_fault_hit(NJ_FAULT_RENAME) ? (errno = EROFS, -1) : rename(draft->temp, draft->target);
    if (done != 0) {
        return fail_errno(errno);
    }
    nj_free(draft->temp);
    draft->temp = NULL;
    enum nj_err err = sync_fd(draft->dir_fd);
    /* Some file systems cannot sync a directory and say so. */
    return err != NJ_OK && errno == EINVAL ? NJ_OK : err;
}

void nj_file_sweep_drafts(const char *path)
{
    char *target = real_target(path);
    const char *slash = strrchr(target, '/');
    int fd = open_directory(target);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (is_draft_of(entry->d_name, slash ? slash + 1 : target)) {
            (void)unlinkat(fd, entry->d_name, 0);
        }
    }
    if (folder) {
        (void)closedir(folder);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    nj_free(target);
}

enum nj_err nj_file_replace(const char *path, const void *data, size_t len, mode_t mode)
{
    struct nj_file_draft *draft = NULL;
    enum nj_err err = nj_file_draft_new(path, mode, &draft);
    err = err == NJ_OK ? nj_file_draft_write(draft, data, len) : err;
    err = err == NJ_OK ? nj_file_draft_sync(draft) : err;
    err = err == NJ_OK ? nj_file_draft_place(draft) : err;
    nj_file_draft_free(draft);
    return err;
}

/* The first byte comes last: until then it is one that begins no text of ours, so that half of the
 * new over half of the old cannot be taken for a whole. */
static enum nj_err overwrite_fd(int fd, const uint8_t *data, size_t len)
{
    static const uint8_t unfinished = 0;
    struct course course = {.fd = fd};
    if (len == 0) {
        return ftruncate(fd, 0) == 0 ? sync_fd(fd) : fail_errno(errno);
    }
    enum nj_err err = nj_file_put(fd, 0, &unfinished, 1);
    if (err == NJ_OK && lseek(fd, 1, SEEK_SET) != 1) {
        err = fail_errno(errno);
    }
    err = err == NJ_OK ? write_paced(&course, data + 1, len - 1) : err;
    if (err == NJ_OK && ftruncate(fd, (off_t)len) != 0) {
        err = fail_errno(errno);
    }
    err = err == NJ_OK ? sync_fd(fd) : err;
    return err == NJ_OK ? nj_file_put(fd, 0, data, 1) : err;
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
        err = overwrite_fd(fd, data, len);
    }
    int cause = errno;
    (void)close(fd);
    errno = cause;
    return err;
}

int nj_file_open_write(const char *path)
{
    if (nj_fault_hit(NJ_FAULT_OPEN)) {
        errno = EMFILE;
        return -1;
    }
    return open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
}

enum nj_err nj_file_put(int fd, size_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;
    for (size_t done = 0; done < len;) {
        ssize_t step = nj_fault_hit(NJ_FAULT_WRITE)
                           ? (errno = ENOSPC, -1)
                           : pwrite(fd, from + done, len - done, (off_t)(offset + done));
        if (step < 0 && errno == EINTR) {
            continue;
        }
        if (step <= 0) {
            return fail_errno(step < 0 ? errno : ENOSPC);
        }
        done += (size_t)step;
    }
    return sync_data(fd);
}
