/* See disk.h. */
#include "disk.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "store/lmdb_env.h"

static struct {
    pthread_mutex_t lock; /* guards what follows */
    char path[256];
    struct disk_journal journal;
    char prefix[256];
    uint64_t nth;
    uint64_t calls;
    uint64_t failed;
    int cause;
    bool forever;
    bool lies;
    bool dies;
    uint64_t room;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .room = UINT64_MAX};

void disk_record(const char *path)
{
    disk_forget();
    (void)pthread_mutex_lock(&disk.lock);
    (void)snprintf(disk.path, sizeof(disk.path), "%s", path);
    (void)pthread_mutex_unlock(&disk.lock);
}

struct disk_journal *disk_journal(void)
{
    return &disk.journal;
}

uint32_t disk_written(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    uint32_t count = disk.journal.count;
    (void)pthread_mutex_unlock(&disk.lock);
    return count;
}

void disk_forget(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    for (uint32_t i = 0; i < disk.journal.count; i++) {
        free(disk.journal.writes[i].data);
    }
    free(disk.journal.writes);
    disk.journal = (struct disk_journal){0};
    disk.path[0] = '\0';
    (void)pthread_mutex_unlock(&disk.lock);
}

void disk_fail(const char *prefix, uint64_t nth, int cause, bool forever)
{
    (void)pthread_mutex_lock(&disk.lock);
    (void)snprintf(disk.prefix, sizeof(disk.prefix), "%s", prefix);
    disk.nth = nth;
    disk.calls = 0;
    disk.failed = 0;
    disk.cause = cause;
    disk.forever = forever;
    disk.lies = false;
    disk.dies = false;
    (void)pthread_mutex_unlock(&disk.lock);
}

void disk_lie(const char *prefix, uint64_t nth)
{
    disk_fail(prefix, nth, EIO, true);
    (void)pthread_mutex_lock(&disk.lock);
    disk.lies = true;
    (void)pthread_mutex_unlock(&disk.lock);
}

void disk_die(const char *prefix, uint64_t nth)
{
    disk_fail(prefix, nth, EIO, true);
    (void)pthread_mutex_lock(&disk.lock);
    disk.dies = true;
    (void)pthread_mutex_unlock(&disk.lock);
}

/* One more step. */
static void live_or_die(void)
{
    if (disk.dies && ++disk.calls >= disk.nth) {
        _exit(9);
    }
}

void disk_room(uint64_t bytes)
{
    (void)pthread_mutex_lock(&disk.lock);
    disk.room = bytes;
    (void)pthread_mutex_unlock(&disk.lock);
}

uint64_t disk_failed(void)
{
    (void)pthread_mutex_lock(&disk.lock);
    uint64_t failed = disk.failed;
    (void)pthread_mutex_unlock(&disk.lock);
    return failed;
}

static void path_of(int fd, char path[256])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, 255);
    path[len > 0 ? len : 0] = '\0';
}

static void keep(int fd, const struct iovec *iov, int count, uint64_t offset)
{
    struct disk_journal *journal = &disk.journal;
    size_t len = 0;
    for (int i = 0; i < count; i++) {
        len += iov[i].iov_len;
    }
    if (journal->count == journal->cap) {
        journal->cap = journal->cap ? journal->cap * 2 : 256;
        journal->writes = realloc(journal->writes, journal->cap * sizeof(*journal->writes));
        NJ_ASSERT(journal->writes);
    }
    struct disk_write *write = &journal->writes[journal->count++];
    *write = (struct disk_write){.offset = offset,
                                 .data = malloc(len ? len : 1),
                                 .len = (uint32_t)len,
                                 .is_synced = fcntl(fd, F_GETFL) & O_DSYNC,
                                 .syncs = nj_lmdb_sync_count()};
    NJ_ASSERT(write->data);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        memcpy(write->data + at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
}

enum verdict {
    GO_ON,
    WRITE_HALF,
    FAIL,
    WRITE_AND_FAIL
};

static enum verdict decide(int fd, const struct iovec *iov, int count, off_t offset)
{
    char path[256];
    enum verdict verdict = GO_ON;
    (void)pthread_mutex_lock(&disk.lock);
    if (disk.path[0] || disk.nth) {
        path_of(fd, path);
        if (disk.path[0] && strcmp(path, disk.path) == 0) {
            keep(fd, iov, count, (uint64_t)offset);
        }
        if (disk.dies && strncmp(path, disk.prefix, strlen(disk.prefix)) == 0) {
            live_or_die();
        } else if (disk.nth && strncmp(path, disk.prefix, strlen(disk.prefix)) == 0) {
            disk.calls++;
            if (disk.calls == disk.nth || (disk.forever && disk.calls > disk.nth)) {
                disk.failed++;
                verdict = disk.cause ? FAIL : WRITE_HALF;
                if (disk.lies && disk.calls == disk.nth) {
                    verdict = WRITE_AND_FAIL;
                }
                errno = disk.cause;
            }
        }
    }
    (void)pthread_mutex_unlock(&disk.lock);
    return verdict;
}

typedef ssize_t (*pwrite_fn)(int fd, const void *data, size_t len, off_t offset);
typedef ssize_t (*writev_fn)(int fd, const struct iovec *iov, int count);

/* By its plain name: with 64-bit offsets the headers call it pwrite64, which liblmdb does not. */
ssize_t disk_pwrite(int fd, const void *data, size_t len, off_t offset) __asm__("pwrite");

ssize_t disk_pwrite(int fd, const void *data, size_t len, off_t offset)
{
    static pwrite_fn next;
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "pwrite");
    }
    const struct iovec one = {.iov_base = (void *)data, .iov_len = len};
    enum verdict verdict = decide(fd, &one, 1, offset);
    if (verdict == FAIL) {
        return -1;
    }
    ssize_t done = next(fd, data, verdict == WRITE_HALF ? len / 2 : len, offset);
    return verdict == WRITE_AND_FAIL ? (errno = EIO, -1) : done;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    static writev_fn next;
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "writev");
    }
    enum verdict verdict = decide(fd, iov, count, lseek(fd, 0, SEEK_CUR));
    if (verdict == FAIL) {
        return -1;
    }
    ssize_t done = next(fd, iov, verdict == WRITE_HALF ? (count + 1) / 2 : count);
    return verdict == WRITE_AND_FAIL ? (errno = EIO, -1) : done;
}

typedef ssize_t (*write_fn)(int fd, const void *data, size_t len);

ssize_t write(int fd, const void *data, size_t len)
{
    static write_fn next;
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "write");
    }
    const struct iovec one = {.iov_base = (void *)data, .iov_len = len};
    enum verdict verdict = decide(fd, &one, 1, 0);
    if (verdict == FAIL) {
        return -1;
    }
    ssize_t done = next(fd, data, verdict == WRITE_HALF ? len / 2 : len);
    return verdict == WRITE_AND_FAIL ? (errno = EIO, -1) : done;
}

typedef int (*fstatvfs_fn)(int fd, struct statvfs *info);

int fstatvfs(int fd, struct statvfs *info)
{
    static fstatvfs_fn next;
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "fstatvfs");
    }
    int done = next(fd, info);
    (void)pthread_mutex_lock(&disk.lock);
    if (done == 0 && disk.room != UINT64_MAX) {
        info->f_bavail = disk.room / info->f_frsize;
        info->f_blocks = (fsblkcnt_t)(1ull << 40) / info->f_frsize;
    }
    (void)pthread_mutex_unlock(&disk.lock);
    return done;
}

typedef int (*renameat_fn)(int from_dir, const char *from, int to_dir, const char *to);

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    static renameat_fn next;
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "renameat");
    }
    (void)pthread_mutex_lock(&disk.lock);
    live_or_die();
    (void)pthread_mutex_unlock(&disk.lock);
    return next(from_dir, from, to_dir, to);
}

typedef int (*linkat_fn)(int from_dir, const char *from, int to_dir, const char *to, int flags);

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    static linkat_fn next;
    if (!next) {
        *(void **)&next = dlsym(RTLD_NEXT, "linkat");
    }
    (void)pthread_mutex_lock(&disk.lock);
    live_or_die();
    (void)pthread_mutex_unlock(&disk.lock);
    return next(from_dir, from, to_dir, to, flags);
}
