/* Accounting allocator: malloc plus a per-thread counter that is published in batches, so that
 * counting costs no shared cache line on the message path. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"

#define PUBLISH_BYTES ((int64_t)64 * 1024)

static _Atomic int64_t used_bytes;
static _Atomic int64_t peak_bytes;
static _Atomic int64_t limit_bytes;
static _Thread_local int64_t unpublished;

static void account(int64_t delta)
{
    unpublished += delta;
    if (unpublished < PUBLISH_BYTES && unpublished > -PUBLISH_BYTES) {
        return;
    }
    int64_t now =
        atomic_fetch_add_explicit(&used_bytes, unpublished, memory_order_relaxed) + unpublished;
    unpublished = 0;
    int64_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (now > peak && !atomic_compare_exchange_weak_explicit(
                             &peak_bytes, &peak, now, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static void *counted(void *ptr)
{
    if (ptr) {
        account((int64_t)malloc_usable_size(ptr));
    }
    return ptr;
}

static bool may_take(size_t size)
{
    if (NJ_UNLIKELY(nj_fault_hit(NJ_FAULT_ALLOC))) {
        return false;
    }
    int64_t limit = atomic_load_explicit(&limit_bytes, memory_order_relaxed);
    return limit == 0 ||
           atomic_load_explicit(&used_bytes, memory_order_relaxed) + (int64_t)size <= limit;
}

static void *or_die(void *ptr, size_t size)
{
    if (!ptr) {
        (void)fprintf(stderr, "nightjar: out of memory (%zu bytes wanted)\n", size);
        abort();
    }
    return counted(ptr);
}

bool nj_mem_is_short(void)
{
    int64_t limit = atomic_load_explicit(&limit_bytes, memory_order_relaxed);
    return limit && atomic_load_explicit(&used_bytes, memory_order_relaxed) > limit - limit / 8;
}

void *nj_alloc(size_t size)
{
    return or_die(malloc(size ? size : 1), size);
}

void *nj_zalloc(size_t size)
{
    return or_die(calloc(1, size ? size : 1), size);
}

void *nj_realloc(void *ptr, size_t size)
{
    int64_t before = ptr ? (int64_t)malloc_usable_size(ptr) : 0;
    void *grown = realloc(ptr, size ? size : 1);
    if (grown) {
        account(-before);
    }
    return or_die(grown, size);
}

char *nj_strdup(const char *text)
{
    return nj_bytes_dup(nj_bytes_of(text));
}

char *nj_bytes_dup(struct nj_bytes bytes)
{
    char *copy = nj_alloc(bytes.len + 1);
    if (bytes.len) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    copy[bytes.len] = '\0';
    return copy;
}

void *nj_try_alloc(size_t size)
{
    return may_take(size) ? counted(malloc(size ? size : 1)) : NULL;
}

void *nj_try_zalloc(size_t size)
{
    return may_take(size) ? counted(calloc(1, size ? size : 1)) : NULL;
}

void *nj_try_realloc(void *ptr, size_t size)
{
    if (!may_take(size)) {
        return NULL;
    }
    int64_t before = ptr ? (int64_t)malloc_usable_size(ptr) : 0;
    void *grown = realloc(ptr, size ? size : 1);
    if (grown) {
        account(-before);
    }
    return counted(grown);
}

char *nj_try_bytes_dup(struct nj_bytes bytes)
{
    char *copy = nj_try_alloc(bytes.len + 1);
    if (!copy) {
        return NULL;
    }
    if (bytes.len) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    copy[bytes.len] = '\0';
    return copy;
}

void nj_free(void *ptr)
{
    if (ptr) {
        account(-(int64_t)malloc_usable_size(ptr));
        free(ptr);
    }
}

void nj_wipe(void *ptr, size_t size)
{
    if (size) {
        explicit_bzero(ptr, size);
    }
}

void nj_free_secret(void *ptr, size_t size)
{
    if (ptr) {
        nj_wipe(ptr, size);
        nj_free(ptr);
    }
}

int64_t nj_mem_used(void)
{
    return atomic_load_explicit(&used_bytes, memory_order_relaxed) + unpublished;
}

int64_t nj_mem_peak(void)
{
    return atomic_load_explicit(&peak_bytes, memory_order_relaxed);
}

void nj_mem_set_limit(int64_t limit)
{
    atomic_store_explicit(&limit_bytes, limit, memory_order_relaxed);
}
