/* The contract between the broker and whatever keeps its state over a restart.
 *
 * The broker submits *groups* of operations. A group is atomic: after a crash all of it is there or
 * nothing. Guarantees and duties:
 *
 *  - Each worker has its own lane. Groups of one lane are completed in the order of submission;
 *    lanes are independent of each other, except for joint groups.
 *  - submit never blocks and never completes inline: the completion comes later, from any thread,
 *    through the events given to open, which must only hand it to the worker's inbox.
 *  - Completion with NJ_OK means: on stable storage to the degree the store promises
 *    (`is_durable`). With an error it means: nothing of the group is kept.
 *  - The store takes what it needs from the operations during submit (it references messages and
 *    copies bytes); the caller's memory is free again afterwards.
 *  - flush is the hint that the lane has nothing more to say this turn: a good moment to commit.
 *  - Operations on a session that does not exist (any more), or on a row that does not, are no
 *    errors and do nothing.
 *
 * What is kept:
 *
 *   session (owner) ─┬─ subscriptions                owner: the session's number, chosen by the
 *                    ├─ will                                broker, never used twice in a database
 *                    ├─ incoming QoS 2 messages      by packet id, until PUBREL
 *                    └─ rows: what goes to it        by seq: rising over the whole database,
 *   retained messages, by topic                            chosen by the broker at arrival
 *
 * Message expiry: nj_message holds monotonic milliseconds, which mean nothing after a restart. The
 * store keeps wall-clock deadlines and converts both ways at its border. A will's expires_ms is an
 * interval (see broker/will.c) and is kept as it is. Rows that expire while they are queued are
 * removed by the store, which says so (`expired`); everything else is removed by the broker only.
 *
 * Implementations (open.h) are named by their file: store_ram.c (keeps nothing over a restart),
 * store_lmdb*.c (durable), store_chaos.c (a store for tests: delays, batches and fails by a
 * seed). */
#ifndef NJ_STORE_STORE_H
#define NJ_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "store/message.h"

enum nj_store_op_kind {
    NJ_STORE_SESSION_SAVE,     /* session: its record as it is now, made or replaced */
    NJ_STORE_SESSION_DELETE,   /* owner and everything that hangs on it */
    NJ_STORE_SUBSCRIBE,        /* owner, bytes = filter, value = options, share */
    NJ_STORE_UNSUBSCRIBE,      /* owner, bytes = filter */
    NJ_STORE_QUEUE_APPEND,     /* owner, seq, message, row fields; packet_id != 0: SENT already */
    NJ_STORE_QUEUE_SENT,       /* owner, seq, packet_id: now in flight */
    NJ_STORE_QUEUE_RELEASED,   /* owner, seq: PUBREC was received, PUBREL is due */
    NJ_STORE_QUEUE_REMOVE,     /* owner, seq: acknowledged, expired or dropped */
    NJ_STORE_INCOMING_PUT,     /* owner, packet_id, message: QoS 2, not yet released; may replace */
    NJ_STORE_INCOMING_RELEASE, /* owner, packet_id */
    NJ_STORE_RETAIN_SET,   /* message, origin; value != 0: only over one whose owner has the scope
                              value - 1, whatever other lanes have done meanwhile */
    NJ_STORE_RETAIN_CLEAR, /* bytes = topic */
    NJ_STORE_WILL_SET,     /* owner, message, value = delay in seconds */
    NJ_STORE_WILL_CLEAR,   /* owner */
    NJ_STORE_OP_KIND_COUNT
};

/* Who a session or a retained message belongs to. */
struct nj_store_origin {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    uint32_t scope;      /* what its listener's settings are called */
    bool by_certificate; /* the user is the name in a certificate */
};

struct nj_store_session {
    uint64_t owner;
    struct nj_store_origin origin;
    uint64_t away_ms;  /* wall clock; 0 = it had a connection */
    uint32_t expiry_s; /* UINT32_MAX = never; 0 = kept for its will only, ends at a restart */
    uint8_t version;   /* enum nj_mqtt_version of the last connection */
    bool has_login;    /* its user was verified (not only named) */
    bool is_ending;    /* expired; its rows are still being handed on */
    bool is_bridge;    /* the last connection was another broker's */
};

struct nj_store_op {
    enum nj_store_op_kind kind;
    uint8_t qos; /* of the row */
    bool is_retain;
    uint16_t packet_id;
    uint32_t sub_id;
    uint32_t share; /* number of the shared subscription in its session; 0 = none */
    uint64_t owner;
    uint64_t seq;
    uint64_t value;
    struct nj_bytes bytes;
    struct nj_message *message; /* the same pointer twice in a group: one body */
    const struct nj_store_session *session;
    const struct nj_store_origin *origin; /* NULL = the broker itself */
};

/* Groups of several lanes that become durable together or not at all. Each lane submits its part
 * (count may be 0) with the same id; exactly one part names the total of parts, this one included,
 * and until it is there the others wait, and their lanes behind them. Whoever submits a part sees
 * to it that the total is said in the end. `is_aborted` in any part: all fail with NJ_ENOMEM. */
struct nj_store_joint {
    uint64_t id;    /* never used twice by one process */
    uint32_t parts; /* 0 = said by another part */
    bool is_aborted;
};

/* ---- reading a session back */

enum nj_store_row_state {
    NJ_STORE_ROW_QUEUED,
    NJ_STORE_ROW_SENT,     /* in flight with packet_id */
    NJ_STORE_ROW_RELEASED, /* the same, PUBREL is due; message may be NULL */
    NJ_STORE_ROW_INCOMING, /* incoming QoS 2: packet_id and message only */
};

struct nj_store_row {
    uint64_t seq;
    struct nj_message *message; /* counted */
    uint32_t sub_id;
    uint32_t share;
    uint16_t packet_id;
    uint8_t qos;
    uint8_t state; /* enum nj_store_row_state */
    bool is_retain;
};

/* The answer: first incoming, then in order of seq. */
struct nj_store_rows {
    uint64_t cookie;
    enum nj_err err; /* then count is 0 */
    bool is_end;     /* no durable row lies beyond */
    uint32_t count;
    struct nj_store_row row[];
};
/* With the messages that are still there (row.message set to NULL = taken). Accepts NULL. */
void nj_store_rows_free(struct nj_store_rows *rows);

/* Queued rows with seq >= from_seq up to the limits (at least one), in order. With `with_flights`
 * (from_seq is 0 then) also every row in flight and every incoming message, which do not count
 * towards the limits. Sees every group that the lane submitted before, and what is durable of
 * others. Rows in flight lie before all queued ones. */
struct nj_store_read {
    uint64_t owner;
    uint64_t from_seq;
    uint64_t max_bytes;
    uint32_t max_rows;
    bool with_flights;
    uint64_t cookie;
};

/* A queued row that the store removed because its time had come. */
struct nj_store_expired {
    uint64_t owner;
    uint64_t seq;
    uint64_t bytes; /* of its payload */
};

/* Called on any thread, never inside a call of the lane; `done` and `rows` in order per lane. */
struct nj_store_events {
    void *arg;
    void (*done)(void *arg, unsigned lane, uint64_t cookie, enum nj_err err);
    /* The receiver frees the rows. */
    void (*rows)(void *arg, unsigned lane, struct nj_store_rows *rows);
    void (*expired)(void *arg, const struct nj_store_expired *expired, uint32_t count);
};

/* ---- loading at the start */

/* What of a session's rows is not loaded but read when it is needed. */
struct nj_store_backlog {
    uint64_t bytes; /* of the payloads of queued rows */
    uint32_t queued;
    uint32_t flights; /* SENT and RELEASED */
    uint32_t incoming;
};

/* A session comes before what hangs on it. Bytes are valid during the call; a message's reference
 * is lent. An error ends the loading. */
struct nj_store_loader {
    void *arg;
    enum nj_err (*session)(void *arg, const struct nj_store_session *session,
                           const struct nj_store_backlog *backlog);
    enum nj_err (*subscription)(void *arg, uint64_t owner, struct nj_bytes filter, uint64_t value,
                                uint32_t share);
    enum nj_err (*will)(void *arg, uint64_t owner, struct nj_message *message, uint64_t delay_s);
    enum nj_err (*retained)(void *arg, struct nj_message *message,
                            const struct nj_store_origin *origin);
};

/* The highest numbers that were ever given, also to what is gone. */
struct nj_store_highest {
    uint64_t owner;
    uint64_t seq;
};

/* ---- status */

enum nj_store_state {
    NJ_STORE_GOOD,
    NJ_STORE_FULL,   /* refuses what makes it grow; recovers by itself */
    NJ_STORE_FAILED, /* refuses everything until the broker is started anew */
};

struct nj_store_status {
    enum nj_store_state state;
    uint64_t bytes_used;
    uint64_t bytes_max;   /* 0 = no limit of its own */
    uint64_t commits;     /* since the start */
    uint64_t rows;        /* queued or in flight */
    uint64_t quarantined; /* records set aside because they were damaged */
    uint64_t broken;      /* groups that were completed early and not kept after all */
    char text[160];       /* what is wrong, in words; empty when nothing is */
};

struct nj_store;

struct nj_store_vtable {
    const char *name;
    bool is_durable;
    enum nj_err (*submit)(struct nj_store *store, unsigned lane, const struct nj_store_op *ops,
                          unsigned count, uint64_t cookie, const struct nj_store_joint *joint);
    enum nj_err (*read)(struct nj_store *store, unsigned lane, const struct nj_store_read *read);
    void (*flush)(struct nj_store *store, unsigned lane);
    enum nj_err (*load)(struct nj_store *store, const struct nj_store_loader *loader,
                        struct nj_store_highest *highest);
    uint64_t (*waiting)(struct nj_store *store);
    void (*status)(struct nj_store *store, struct nj_store_status *status);
    void (*close)(struct nj_store *store);
};

/* First member of every implementation. */
struct nj_store {
    const struct nj_store_vtable *vtable;
};

/* NJ_ENOMEM, NJ_ENOSPC or NJ_EIO refuse the group at once; then no completion follows (and a part
 * of a joint group that is refused aborts all of it). Groups without a joint: NULL. Owner of the
 * lane.
 */
static inline enum nj_err nj_store_submit(struct nj_store *store, unsigned lane,
                                          const struct nj_store_op *ops, unsigned count,
                                          uint64_t cookie, const struct nj_store_joint *joint)
{
    return store->vtable->submit(store, lane, ops, count, cookie, joint);
}

/* Answered by `rows` with the request's cookie, unless refused with NJ_ENOMEM. Owner of the lane.
 */
static inline enum nj_err nj_store_read(struct nj_store *store, unsigned lane,
                                        const struct nj_store_read *read)
{
    return store->vtable->read(store, lane, read);
}

static inline void nj_store_flush(struct nj_store *store, unsigned lane)
{
    store->vtable->flush(store, lane);
}

/* Before the first submit, on the thread that opened it. */
static inline enum nj_err nj_store_load(struct nj_store *store,
                                        const struct nj_store_loader *loader,
                                        struct nj_store_highest *highest)
{
    return store->vtable->load(store, loader, highest);
}

/* Bytes submitted and not yet completed, for back-pressure. Cheap. Any thread. */
static inline uint64_t nj_store_waiting(struct nj_store *store)
{
    return store->vtable->waiting(store);
}

/* Any thread. */
static inline void nj_store_status(struct nj_store *store, struct nj_store_status *status)
{
    store->vtable->status(store, status);
}

/* Completes what was submitted first. No lane may be in use any more. */
static inline void nj_store_close(struct nj_store *store)
{
    if (store) {
        store->vtable->close(store);
    }
}

#endif
