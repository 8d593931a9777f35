/* Memory, with accounting against one process-wide limit.
 *
 * Two families: nj_alloc… for start-up and for structures whose size no peer chooses (it ends the
 * process with a message when memory is gone), and nj_try_… for everything whose amount a peer
 * chooses (it returns NULL and the caller refuses that peer). Both count against the limit set with
 * nj_mem_set_limit; only nj_try_… honours it. Every block is released with nj_free.
 * Tests can make the n-th nj_try_… call fail: see base/fault.h. Any thread. */
#ifndef NJ_BASE_MEM_H
#define NJ_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

void *nj_alloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *nj_zalloc(size_t size) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *nj_realloc(void *ptr, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
char *nj_strdup(const char *text) __attribute__((malloc, returns_nonnull, nonnull));
/* A NUL-terminated copy of `bytes` (which may hold NULs itself). */
char *nj_bytes_dup(struct nj_bytes bytes) __attribute__((malloc, returns_nonnull));

void *nj_try_alloc(size_t size) NJ_NODISCARD __attribute__((malloc, alloc_size(1)));
void *nj_try_zalloc(size_t size) NJ_NODISCARD __attribute__((malloc, alloc_size(1)));
/* On failure the old block stays as it was. */
void *nj_try_realloc(void *ptr, size_t size) NJ_NODISCARD __attribute__((alloc_size(2)));
char *nj_try_bytes_dup(struct nj_bytes bytes) NJ_NODISCARD __attribute__((malloc));

void nj_free(void *ptr);
/* Overwrites the block's bytes so that the compiler cannot drop it, then frees. For secrets. */
void nj_free_secret(void *ptr, size_t size);
void nj_wipe(void *ptr, size_t size);

/* Bytes in use now / the highest so far (as the allocator rounds them). Approximate to ±64 KiB per
 * thread, because threads publish their share in batches. */
int64_t nj_mem_used(void);
int64_t nj_mem_peak(void);
/* 0 = no limit. */
void nj_mem_set_limit(int64_t limit_bytes);
/* More than seven eighths of the limit are in use. What is to stay (messages that wait,
 * subscriptions, new sessions that last) is refused from here on, so that what makes room again
 * (logins of those it waits for, acknowledgements) and answers still find some. */
bool nj_mem_is_short(void);

#endif
