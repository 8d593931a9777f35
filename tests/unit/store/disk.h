/* A disk that remembers: write, pwrite and writev of this program go through disk.c, which
 * liblmdb's calls meet first, too. It keeps every write to one file with what had been synced by
 * then, so that a power cut at any moment can be played: what was not synced is there, or not, or
 * in part, in any order. It can also fail writes. */
#ifndef NJ_TESTS_UNIT_STORE_DISK_H
#define NJ_TESTS_UNIT_STORE_DISK_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_write {
    uint64_t offset;
    uint8_t *data;
    uint32_t len;
    bool is_synced; /* by itself: the file was opened so */
    uint64_t syncs; /* completed before this write */
};

struct disk_journal {
    struct disk_write *writes;
    uint32_t count;
    uint32_t cap;
};

/* Begins to record what is written to `path` from now on. */
void disk_record(const char *path);
/* Its content is for when nobody writes any more; how much there is, for any time. */
struct disk_journal *disk_journal(void);
uint32_t disk_written(void);
/* Stops and forgets. */
void disk_forget(void);

/* The n-th write to any file whose path begins with `prefix` fails with `cause` (0 = half of it is
 * written, as on a full disk), once or from then on; n = 0 stops it. */
void disk_fail(const char *prefix, uint64_t nth, int cause, bool forever);
uint64_t disk_failed(void);
/* The n-th such write is done and reported as failed all the same, and all after it fail: what a
 * power cut or a controller may make of it. */
void disk_lie(const char *prefix, uint64_t nth);
/* The process ends as if killed before the n-th such write, link or renaming of files anywhere. */
void disk_die(const char *prefix, uint64_t nth);
/* What file systems say that they have left; UINT64_MAX = the truth. */
void disk_room(uint64_t bytes);

#endif
