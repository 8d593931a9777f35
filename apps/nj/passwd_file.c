/* See passwd_file.h. */
#include "passwd_file.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

#define FILE_MAX (256u << 20)
#define NEW_MODE 0600

static void say_cannot_open(const char *path, int cause)
{
    fprintf(stderr, "Error: Unable to open password file %s. %s.\n", path, strerror(cause));
}

/* A link is as trustworthy as its owner. */
static bool resolve(struct nj_passwd_file *file, bool follows_links)
{
    struct stat info;
    if (lstat(file->path, &info) != 0) {
        say_cannot_open(file->path, errno);
        return false;
    }
    if (!S_ISLNK(info.st_mode)) {
        file->real_path = nj_strdup(file->path);
        return true;
    }
    if (!follows_links || (info.st_uid != 0 && info.st_uid != geteuid())) {
        say_cannot_open(file->path, ELOOP);
        return false;
    }
    char *real = realpath(file->path, NULL);
    if (real == NULL) {
        say_cannot_open(file->path, errno);
        return false;
    }
    file->real_path = nj_strdup(real);
    free(real);
    return true;
}

static void lock_directory(struct nj_passwd_file *file)
{
    char *copy = nj_strdup(file->real_path);
    file->lock_fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    nj_free(copy);
    if (file->lock_fd >= 0) {
        /* A file system without locks is no reason to refuse: replacing is atomic anyway. */
        (void)flock(file->lock_fd, LOCK_EX);
    }
}

bool nj_passwd_file_open(struct nj_passwd_file *file, const char *path, bool follows_links)
{
    *file = (struct nj_passwd_file){.path = path, .lock_fd = -1};
    nj_buf_init(&file->text);
    if (!resolve(file, follows_links)) {
        return false;
    }
    lock_directory(file);
    errno = 0;
    enum nj_err err = nj_file_read(file->real_path, FILE_MAX, true, &file->text);
    if (err == NJ_OK) {
        return true;
    }
    if (errno != 0) {
        say_cannot_open(path, errno);
    } else {
        fprintf(stderr, "Error: Unable to open password file %s. %s.\n", path,
                err == NJ_EINVAL ? "Not a regular file" : nj_err_text(err));
    }
    nj_passwd_file_close(file);
    return false;
}

void nj_passwd_file_close(struct nj_passwd_file *file)
{
    nj_buf_fini(&file->text);
    nj_free(file->real_path);
    file->real_path = NULL;
    if (file->lock_fd >= 0) {
        (void)close(file->lock_fd);
        file->lock_fd = -1;
    }
}

static void block_signals(sigset_t *old)
{
    sigset_t all;
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, old);
}

bool nj_passwd_file_replace(const struct nj_passwd_file *file, struct nj_bytes text)
{
    sigset_t old;
    block_signals(&old);
    errno = 0;
    enum nj_err err = nj_file_replace(file->real_path, text.ptr, text.len, NEW_MODE);
    int cause = errno;
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    if (err != NJ_OK) {
        fprintf(stderr, "Error: Unable to write password file %s. %s.\n", file->path,
                cause != 0 ? strerror(cause) : nj_err_text(err));
    }
    return err == NJ_OK;
}

static enum nj_err write_new(int fd, struct nj_bytes text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0) {
            return NJ_ESYS;
        }
        text = nj_bytes(text.ptr + n, text.len - (size_t)n);
    }
    return fsync(fd) == 0 ? NJ_OK : NJ_ESYS;
}

static void sync_directory(const char *path)
{
    char *copy = nj_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    nj_free(copy);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

enum nj_err nj_passwd_file_create(const char *path, struct nj_bytes text)
{
    sigset_t old;
    block_signals(&old);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, NEW_MODE);
    enum nj_err err = fd >= 0 ? NJ_OK : errno == EEXIST ? NJ_EEXIST : NJ_ESYS;
    if (err == NJ_OK) {
        err = write_new(fd, text);
        int cause = errno;
        if (close(fd) != 0 && err == NJ_OK) {
            cause = errno;
            err = NJ_ESYS;
        }
        if (err != NJ_OK) {
            (void)unlink(path);
        } else {
            sync_directory(path);
        }
        errno = cause;
    }
    int cause = errno;
    (void)sigprocmask(SIG_SETMASK, &old, NULL);
    errno = cause;
    return err;
}
