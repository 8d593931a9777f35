/* The contract between the broker and whatever keeps its state over a restart.
 *
 * The broker submits *groups* of operations. A group is atomic: after a crash all of it is there or
 * nothing. Guarantees and duties:
 *
 *  - Each worker has its own lane. Groups of one lane are completed in the order of submission;
 *    lanes are independent of each other.
 *  - submit never blocks and never completes inline: the completion comes later, from any thread,
 *    through the callback given to open, which must only hand it to the worker's inbox.
 *  - Completion with NJ_OK means: on stable storage to the degree the store promises
 *    (`is_durable`). With an error it means: nothing of the group is kept.
 *  - The store takes what it needs from the operations during submit (it references messages and
 *    copies bytes); the caller's memory is free again afterwards.
 *  - flush is the hint that the lane has nothing more to say this turn: a good moment to commit.
 *
 * Implementations are named by their file: store_ram.c (keeps nothing over a restart; the default
 * until a durable one exists), store_chaos.c (wraps another one; delays, batches and fails by a
 * seed, for tests). */
#ifndef NJ_STORE_STORE_H
#define NJ_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_message;

enum nj_store_op_kind {
    NJ_STORE_SESSION_CLAIM,    /* session: a connection takes it; ordered before what follows */
    NJ_STORE_SESSION_SAVE,     /* session, value = expiry in seconds, bytes = user name */
    NJ_STORE_SESSION_DELETE,   /* session and everything that hangs on it */
    NJ_STORE_SUBSCRIBE,        /* session, bytes = filter, value = options and identifier */
    NJ_STORE_UNSUBSCRIBE,      /* session, bytes = filter */
    NJ_STORE_QUEUE_APPEND,     /* session, seq, message: one more for this session */
    NJ_STORE_QUEUE_SENT,       /* session, seq, value = packet id (QoS 2 states follow) */
    NJ_STORE_QUEUE_RELEASED,   /* session, seq: PUBREC was received, PUBREL is due */
    NJ_STORE_QUEUE_REMOVE,     /* session, seq: acknowledged, expired or dropped */
    NJ_STORE_INCOMING_PUT,     /* session, value = packet id, message: QoS 2, not yet released */
    NJ_STORE_INCOMING_RELEASE, /* session, value = packet id */
    NJ_STORE_RETAIN_SET,       /* message, bytes = user name of the publisher */
    NJ_STORE_RETAIN_CLEAR,     /* bytes = topic */
    NJ_STORE_WILL_SET,         /* session, message, value = delay in seconds */
    NJ_STORE_WILL_CLEAR,       /* session */
    NJ_STORE_OP_KIND_COUNT
};

struct nj_store_op {
    enum nj_store_op_kind kind;
    struct nj_bytes session; /* client id */
    struct nj_bytes bytes;
    struct nj_message *message;
    uint64_t seq;
    uint64_t value;
};

/* `cookie` is the one given to submit. Called in order per lane, never inside submit. */
typedef void (*nj_store_done_fn)(void *arg, unsigned lane, uint64_t cookie, enum nj_err err);

struct nj_store;

struct nj_store_vtable {
    const char *name;
    bool is_durable;
    enum nj_err (*submit)(struct nj_store *store, unsigned lane, const struct nj_store_op *ops,
                          unsigned count, uint64_t cookie);
    void (*flush)(struct nj_store *store, unsigned lane);
    void (*close)(struct nj_store *store);
};

/* First member of every implementation. */
struct nj_store {
    const struct nj_store_vtable *vtable;
};

/* NJ_ENOMEM or NJ_ENOSPC refuse the group at once; then no completion follows. Owner of the lane.
 */
static inline enum nj_err nj_store_submit(struct nj_store *store, unsigned lane,
                                          const struct nj_store_op *ops, unsigned count,
                                          uint64_t cookie)
{
    return store->vtable->submit(store, lane, ops, count, cookie);
}

static inline void nj_store_flush(struct nj_store *store, unsigned lane)
{
    store->vtable->flush(store, lane);
}

/* No lane may be in use any more. */
static inline void nj_store_close(struct nj_store *store)
{
    if (store) {
        store->vtable->close(store);
    }
}

struct nj_store *nj_store_ram_open(unsigned lanes, nj_store_done_fn done, void *arg);

struct nj_store_chaos_plan {
    uint64_t seed;
    unsigned delay_max_ms;   /* every completion waits up to this long */
    unsigned fail_per_mille; /* so many of 1,000 groups fail with NJ_ENOSPC */
};
struct nj_store *nj_store_chaos_open(unsigned lanes, const struct nj_store_chaos_plan *plan,
                                     nj_store_done_fn done, void *arg);

#endif
