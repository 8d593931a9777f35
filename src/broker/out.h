/* What waits to be written to one connection: whole MQTT frames in order.
 *
 *   head ─► [ frames … ] ─► [ header │ ─► message's payload ] ─► [ frames … ] ◄─ tail
 *
 * Small frames are copied into chunks of three sizes that come from the worker's free lists and go
 * back as soon as they are drained, so an idle connection owns none. A large payload is referenced.
 * A frame's header (fixed header, topic, properties) never straddles two chunks, so the bounds of
 * frames can be found again: a change of rights drops forbidden frames that were not started. */
#ifndef NJ_BROKER_OUT_H
#define NJ_BROKER_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct iovec;
struct nj_message;

struct nj_chunk;

/* Chunks not in use, one per worker. init by zero. */
struct nj_chunk_pool {
    size_t used; /* bytes of chunks that outputs have */
    struct nj_chunk *free_list[3];
    uint32_t free_count[3];
};
void nj_chunk_pool_fini(struct nj_chunk_pool *pool);

struct nj_out {
    struct nj_chunk *head;
    struct nj_chunk *tail;
    size_t pending;      /* bytes */
    uint32_t frames;     /* whole or begun frames pending */
    uint32_t begun_left; /* bytes left of a frame whose beginning was written already */
};

/* Room for one frame (or the header of one whose payload follows by nj_out_reference) of `len`
 * contiguous bytes; counts a frame. NULL when memory is short. */
uint8_t *nj_out_frame(struct nj_chunk_pool *pool, struct nj_out *out, size_t len) NJ_NODISCARD;
/* The payload behind the header given last, without copying it. Cannot fail when nj_out_prepare was
 * called before that header: a frame is never begun without its end. */
void nj_out_reference(struct nj_chunk_pool *pool, struct nj_out *out, struct nj_message *message,
                      struct nj_bytes bytes);
enum nj_err nj_out_prepare(struct nj_chunk_pool *pool) NJ_NODISCARD;

/* Fills at most `max` vectors from the front; returns how many. */
int nj_out_vectors(const struct nj_out *out, struct iovec *iov, int max);
/* `len` bytes were written. */
void nj_out_consume(struct nj_chunk_pool *pool, struct nj_out *out, size_t len);
void nj_out_clear(struct nj_chunk_pool *pool, struct nj_out *out);

/* Takes out every frame for which `keep` says no, unless it was begun or has bytes among the first
 * `committed` ones (those the transport has sealed already). The header is the frame's bytes from
 * its fixed header on, as far as they are contiguous (topic and properties always are). Works in
 * place, so it cannot fail; `keep` must not touch the output. */
typedef bool (*nj_out_keep_fn)(void *arg, struct nj_bytes header);
void nj_out_filter(struct nj_chunk_pool *pool, struct nj_out *out, size_t committed,
                   nj_out_keep_fn keep, void *arg);

#endif
