/* What workers say to each other: records in blocks, pushed to an inbox.
 *
 * A batch is a block filled with records of different kinds; a worker keeps at most one open batch
 * per target and hands it over once per turn. Nothing in a record points into data that belongs to
 * one worker or to the reclaimed indexes: only copies, counted references, and session ids.
 *
 * The inbox takes batches from any thread by compare-and-swap and gives them all at once, oldest
 * first, to the one who drains it. */
#ifndef NJ_BROKER_BATCH_H
#define NJ_BROKER_BATCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NJ_BATCH_BYTES (64u * 1024u)

struct nj_batch {
    struct nj_batch *next;
    uint32_t used;
    uint32_t cap;
    uint32_t weight; /* rough number of deliveries, to decide between helping and waking */
    _Alignas(16) uint8_t data[];
};

struct nj_record {
    uint32_t len; /* this header included, a multiple of 16 */
    uint16_t kind;
    uint16_t reserved;
    uint64_t aligned; /* keeps the body, which follows, on a 16-byte boundary */
};

struct nj_batch *nj_batch_new(uint32_t min_body) NJ_NODISCARD;
/* A block for a single short record that must not get lost, also for senders that are no workers.
 * Ends the process when memory is gone: memory_limit does not count for it. */
struct nj_batch *nj_batch_new_small(uint32_t body) NJ_NODISCARD __attribute__((returns_nonnull));
void nj_batch_free(struct nj_batch *batch);
/* Room for a record's body, or NULL when the block is full. */
void *nj_batch_add(struct nj_batch *batch, uint16_t kind, uint32_t body_len);

/* Walks the records: at = 0 first; NULL at the end. */
const struct nj_record *nj_batch_next(const struct nj_batch *batch, uint32_t *at);
static inline const void *nj_record_body(const struct nj_record *record)
{
    return record + 1;
}

struct nj_inbox {
    _Atomic(struct nj_batch *) newest;
    _Atomic uint32_t bytes; /* waiting; whoever fills it too fast is slowed down by it */
};

/* Sequentially consistent, so that "push, then see the owner awake" and "look at the inbox, then
 * sleep" cannot miss each other. Takes the batch. Returns true when the inbox was empty. */
bool nj_inbox_push(struct nj_inbox *inbox, struct nj_batch *batch);
/* All batches, oldest first, or NULL. */
struct nj_batch *nj_inbox_drain(struct nj_inbox *inbox);
static inline bool nj_inbox_is_empty(struct nj_inbox *inbox)
{
    return atomic_load_explicit(&inbox->newest, memory_order_seq_cst) == NULL;
}

#endif
