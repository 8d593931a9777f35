/* A disk that misbehaves when told to, for a broker under test: LD_PRELOAD with
 * DISK_FAULT=<file>. While the file's first word is
 *
 *   good        nothing happens
 *   fail NAME   writes of the store fail with ENOSPC, EDQUOT or EIO
 *   sync        only syncs fail, with EIO
 *   slow MS     each sync takes that much longer
 *
 * Only files below a directory whose name ends in .store are meant. */
#undef _FILE_OFFSET_BITS /* pwrite and pwrite64 are two symbols here */
#include <sys/uio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum kind {
    GOOD,
    FAIL,
    SYNC,
    SLOW,
};

struct fault {
    enum kind kind;
    int number; /* errno, or milliseconds */
};

static int number_of(const char *name)
{
    return strcmp(name, "ENOSPC") == 0 ? ENOSPC : strcmp(name, "EDQUOT") == 0 ? EDQUOT : EIO;
}

static struct fault present(void)
{
    char text[64] = "";
    char word[16] = "";
    char rest[16] = "";
    const char *path = getenv("DISK_FAULT");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return (struct fault){GOOD, 0};
    }
    ssize_t len = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (len <= 0 || sscanf(text, "%15s %15s", word, rest) < 1) {
        return (struct fault){GOOD, 0};
    }
    if (strcmp(word, "fail") == 0) {
        return (struct fault){FAIL, number_of(rest)};
    }
    if (strcmp(word, "sync") == 0) {
        return (struct fault){SYNC, EIO};
    }
    return strcmp(word, "slow") == 0 ? (struct fault){SLOW, (int)strtol(rest, NULL, 10)}
                                     : (struct fault){GOOD, 0};
}

enum file {
    OTHER,
    STORE,
    DATA,
};

static enum file file_of(int fd)
{
    char link[64];
    char path[4096];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof(path) - 1);
    if (len <= 0) {
        return OTHER;
    }
    path[len] = '\0';
    if (!strstr(path, ".store/")) {
        return OTHER;
    }
    return strstr(path, "/data.mdb") ? DATA : STORE;
}

/* What a full disk refuses is new room; the first two pages, which say what is valid, have theirs.
 */
#define META_BYTES 8192

/* True when the write has to fail; errno is set. */
static int fails_write(int fd, off64_t offset)
{
    enum file file = file_of(fd);
    if (file == OTHER || (file == DATA && offset < META_BYTES)) {
        return 0;
    }
    struct fault fault = present();
    errno = fault.number;
    return fault.kind == FAIL;
}

static int fails_sync(int fd)
{
    if (file_of(fd) == OTHER) {
        return 0;
    }
    struct fault fault = present();
    if (fault.kind == SLOW) {
        struct timespec pause = {fault.number / 1000, fault.number % 1000 * 1000000L};
        (void)nanosleep(&pause, NULL);
        return 0;
    }
    errno = fault.number;
    return fault.kind == SYNC;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

ssize_t pwrite(int fd, const void *buf, size_t count, off_t offset)
{
    return fails_write(fd, offset) ? -1 : REAL(pwrite)(fd, buf, count, offset);
}

ssize_t pwrite64(int fd, const void *buf, size_t count, off64_t offset)
{
    return fails_write(fd, offset) ? -1 : REAL(pwrite64)(fd, buf, count, offset);
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    return fails_write(fd, lseek64(fd, 0, SEEK_CUR)) ? -1 : REAL(writev)(fd, iov, count);
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return fails_write(fd, offset) ? -1 : REAL(pwritev)(fd, iov, count, offset);
}

int fdatasync(int fd)
{
    return fails_sync(fd) ? -1 : REAL(fdatasync)(fd);
}

int fsync(int fd)
{
    return fails_sync(fd) ? -1 : REAL(fsync)(fd);
}
