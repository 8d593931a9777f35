/* See out.h. */
#include "broker/out.h"

#include <sys/uio.h>

#include "base/mem.h"
#include "broker/message.h"

struct nj_chunk {
    struct nj_chunk *next;
    struct nj_message *message; /* NULL: the bytes are data[] */
    const uint8_t *bytes;       /* data, or inside the message */
    uint32_t off;               /* written so far */
    uint32_t len;
    uint32_t cap;
    int8_t size_class; /* -1: not from a free list */
    uint8_t data[];
};

static const uint32_t class_bytes[3] = {512, 4096, 32768};
/* What a worker keeps at most: 64 KiB, 1 MiB, 1 MiB. */
static const uint32_t class_keep[3] = {128, 256, 32};

static struct nj_chunk *chunk_new(int8_t size_class)
{
    struct nj_chunk *chunk = nj_try_alloc(class_bytes[size_class]);
    if (chunk) {
        chunk->cap = class_bytes[size_class] - (uint32_t)sizeof(*chunk);
        chunk->size_class = size_class;
        chunk->message = NULL;
    }
    return chunk;
}

static size_t memory_of(const struct nj_chunk *chunk)
{
    return sizeof(*chunk) + chunk->cap;
}

static struct nj_chunk *chunk_get(struct nj_chunk_pool *pool, size_t len)
{
    for (int8_t c = 0; c < 3; c++) {
        if (len > class_bytes[c] - sizeof(struct nj_chunk)) {
            continue;
        }
        struct nj_chunk *chunk = pool->free_list[c];
        if (chunk) {
            pool->free_list[c] = chunk->next;
            pool->free_count[c]--;
        } else {
            chunk = chunk_new(c);
            if (!chunk) {
                return NULL;
            }
        }
        chunk->next = NULL;
        chunk->message = NULL;
        chunk->bytes = chunk->data;
        chunk->off = 0;
        chunk->len = 0;
        pool->used += memory_of(chunk);
        return chunk;
    }
    struct nj_chunk *chunk = nj_try_zalloc(sizeof(*chunk) + len);
    if (chunk) {
        chunk->cap = (uint32_t)len;
        chunk->size_class = -1;
        chunk->bytes = chunk->data;
        pool->used += memory_of(chunk);
    }
    return chunk;
}

/* Into the free list, or to the allocator. */
static void keep_or_free(struct nj_chunk_pool *pool, struct nj_chunk *chunk)
{
    int8_t c = chunk->size_class;
    if (c < 0 || pool->free_count[c] >= class_keep[c]) {
        nj_free(chunk);
        return;
    }
    chunk->next = pool->free_list[c];
    pool->free_list[c] = chunk;
    pool->free_count[c]++;
}

static void chunk_put(struct nj_chunk_pool *pool, struct nj_chunk *chunk)
{
    pool->used -= memory_of(chunk);
    nj_message_unref(chunk->message);
    keep_or_free(pool, chunk);
}

void nj_chunk_pool_fini(struct nj_chunk_pool *pool)
{
    for (int c = 0; c < 3; c++) {
        while (pool->free_list[c]) {
            struct nj_chunk *chunk = pool->free_list[c];
            pool->free_list[c] = chunk->next;
            nj_free(chunk);
        }
        pool->free_count[c] = 0;
    }
}

static void append(struct nj_out *out, struct nj_chunk *chunk)
{
    if (out->tail) {
        out->tail->next = chunk;
    } else {
        out->head = chunk;
    }
    out->tail = chunk;
}

/* The next chunk is a size larger than the one that got full, up to the largest. */
static size_t next_size(const struct nj_chunk *tail, size_t len)
{
    size_t want = len;
    if (tail && tail->size_class >= 0 && !tail->message) {
        int c = tail->size_class < 2 ? tail->size_class + 1 : 2;
        want = class_bytes[c] - sizeof(struct nj_chunk);
    }
    return want > len ? want : len;
}

uint8_t *nj_out_frame(struct nj_chunk_pool *pool, struct nj_out *out, size_t len)
{
    struct nj_chunk *tail = out->tail;
    if (!tail || tail->message || tail->cap - tail->len < len) {
        tail = chunk_get(pool, next_size(tail, len));
        if (!tail) {
            return NULL;
        }
        append(out, tail);
    }
    uint8_t *room = tail->data + tail->len;
    tail->len += (uint32_t)len;
    out->pending += len;
    out->frames++;
    return room;
}

enum nj_err nj_out_prepare(struct nj_chunk_pool *pool)
{
    /* One for the payload, and one that the header may take. */
    while (NJ_UNLIKELY(pool->free_count[0] < 2)) {
        struct nj_chunk *chunk = chunk_new(0);
        if (!chunk) {
            return NJ_ENOMEM;
        }
        keep_or_free(pool, chunk);
    }
    return NJ_OK;
}

void nj_out_reference(struct nj_chunk_pool *pool, struct nj_out *out, struct nj_message *message,
                      struct nj_bytes bytes)
{
    struct nj_chunk *chunk = chunk_get(pool, 0);
    NJ_ASSERT(chunk);
    chunk->message = nj_message_ref(message);
    chunk->bytes = bytes.ptr;
    chunk->len = (uint32_t)bytes.len;
    append(out, chunk);
    out->pending += bytes.len;
}

int nj_out_vectors(const struct nj_out *out, struct iovec *iov, int max)
{
    int n = 0;
    for (struct nj_chunk *chunk = out->head; chunk && n < max; chunk = chunk->next) {
        iov[n].iov_base = (void *)(chunk->bytes + chunk->off);
        iov[n].iov_len = chunk->len - chunk->off;
        n++;
    }
    return n;
}

/* Length of the frame at `at`, whose fixed header is contiguous by construction. */
static size_t frame_len(const uint8_t *at)
{
    size_t body = 0;
    size_t i = 1;
    unsigned shift = 0;
    do {
        body |= (size_t)(at[i] & 0x7f) << shift;
        shift += 7;
    } while (at[i++] & 0x80);
    return i + body;
}

/* Keeps frames and begun_left right over the next `len` bytes, which lie in the first chunks. */
static void count_frames(struct nj_out *out, size_t len)
{
    const struct nj_chunk *chunk = out->head;
    size_t off = chunk->off;
    while (len) {
        if (off == chunk->len) {
            chunk = chunk->next;
            off = chunk->off;
            continue;
        }
        if (out->begun_left == 0) {
            out->begun_left = (uint32_t)frame_len(chunk->bytes + off);
        }
        size_t step = chunk->len - off;
        step = step < len ? step : len;
        step = step < out->begun_left ? step : out->begun_left;
        off += step;
        len -= step;
        out->begun_left -= (uint32_t)step;
        if (out->begun_left == 0) {
            out->frames--;
        }
    }
}

void nj_out_consume(struct nj_chunk_pool *pool, struct nj_out *out, size_t len)
{
    NJ_ASSERT(len <= out->pending);
    if (len == out->pending) {
        nj_out_clear(pool, out);
        return;
    }
    count_frames(out, len);
    out->pending -= len;
    while (len) {
        struct nj_chunk *chunk = out->head;
        size_t left = chunk->len - chunk->off;
        if (len < left) {
            chunk->off += (uint32_t)len;
            return;
        }
        len -= left;
        out->head = chunk->next;
        chunk_put(pool, chunk);
    }
    if (!out->head) {
        out->tail = NULL;
    }
}

void nj_out_clear(struct nj_chunk_pool *pool, struct nj_out *out)
{
    struct nj_chunk *chunk = out->head;
    while (chunk) {
        struct nj_chunk *next = chunk->next;
        chunk_put(pool, chunk);
        chunk = next;
    }
    *out = (struct nj_out){0};
}

/* The frames of one chunk; what is kept moves up. *begun: bytes left of a frame that is not judged;
 * *passed: bytes of the output before. */
struct sieve {
    size_t committed;
    nj_out_keep_fn keep;
    void *arg;
    size_t begun;
    size_t passed;
};

static void pass_begun(struct sieve *sieve, const struct nj_chunk *chunk, uint32_t *at)
{
    size_t step = chunk->len - *at;
    step = step < sieve->begun ? step : sieve->begun;
    sieve->begun -= step;
    sieve->passed += step;
    *at += (uint32_t)step;
}

static void drop_reference(struct nj_chunk_pool *pool, struct nj_chunk *chunk)
{
    struct nj_chunk *payload = chunk->next;
    NJ_ASSERT(payload && payload->message);
    chunk->next = payload->next;
    chunk_put(pool, payload);
}

static void sift_chunk(struct nj_chunk_pool *pool, struct nj_out *out, struct nj_chunk *chunk,
                       struct sieve *sieve)
{
    uint32_t at = chunk->off;
    pass_begun(sieve, chunk, &at);
    uint32_t end = at; /* of what stays */
    while (at < chunk->len) {
        uint8_t *frame = chunk->data + at;
        size_t total = frame_len(frame);
        size_t here = chunk->len - at;
        here = here < total ? here : total;
        if (sieve->passed < sieve->committed || sieve->keep(sieve->arg, nj_bytes(frame, here))) {
            if (end != at) {
                memmove(chunk->data + end, frame, here);
            }
            end += (uint32_t)here;
        } else {
            out->pending -= total;
            out->frames--;
            if (here < total) {
                drop_reference(pool, chunk);
            }
        }
        at += (uint32_t)here;
        sieve->passed += total;
    }
    chunk->len = end;
}

void nj_out_filter(struct nj_chunk_pool *pool, struct nj_out *out, size_t committed,
                   nj_out_keep_fn keep, void *arg)
{
    struct sieve sieve = {
        .committed = committed, .keep = keep, .arg = arg, .begun = out->begun_left};
    struct nj_chunk **link = &out->head;
    out->tail = NULL;
    while (*link) {
        struct nj_chunk *chunk = *link;
        if (!chunk->message) {
            sift_chunk(pool, out, chunk, &sieve);
        } else if (sieve.begun) {
            uint32_t at = chunk->off;
            pass_begun(&sieve, chunk, &at);
        }
        if (chunk->off == chunk->len) {
            *link = chunk->next;
            chunk_put(pool, chunk);
        } else {
            out->tail = chunk;
            link = &chunk->next;
        }
    }
}
