/* The broker core: one nj_core for the process, one nj_shard for each worker.
 *
 * A shard holds all sessions that live on its worker and everything needed to handle a packet
 * without asking another thread. It does no I/O: front calls it with decoded packets and writes out
 * what it left in the links' outputs; records for other shards wait in `outbox` until front hands
 * them over at the end of the turn. */
#ifndef NJ_BROKER_SHARD_H
#define NJ_BROKER_SHARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "broker/batch.h"
#include "broker/filters.h"
#include "broker/group.h"
#include "broker/limits.h"
#include "broker/out.h"
#include "broker/stats.h"
#include "broker/timers.h"
#include "broker/tree.h"
#include "broker/turn.h"
#include "mqtt/types.h"
#include "store/store.h"

struct nj_interest;
struct nj_link;
struct nj_policy;
struct nj_undo;
struct nj_publish_in;
struct nj_qsbr;
struct nj_retain;
struct nj_session;
struct nj_shard;

/* What the core asks of whoever owns the connections. All calls come on the shard's worker. */
struct nj_link_ops {
    /* Ends the connection at the end of the turn: for MQTT 5 with DISCONNECT and `reason`.
     * `why` is a static text for the log. Must not call back into the session at once. */
    void (*close)(struct nj_link *link, enum nj_mqtt_reason reason, const char *why);
    /* Pending bytes that the transport has sealed already and that must go out as they are. */
    size_t (*committed)(struct nj_link *link);
    /* CONNACK is out: the connection reads on. */
    void (*ready)(struct nj_link *link);
    /* Instead of CONNACK: the connection is refused and ends. */
    void (*refuse)(struct nj_link *link, enum nj_mqtt_reason reason, const char *why);
    /* It was held back (link.h) and need not be any more. */
    void (*read_on)(struct nj_link *link);
};

/* Denials are told to whoever writes the log (front). */
struct nj_denial;
struct nj_core_events {
    void (*denied)(struct nj_shard *shard, const struct nj_denial *denial);
    /* A record of kind NJ_RECORD_FRONT or above. */
    void (*record)(struct nj_shard *shard, unsigned kind, const void *body);
    /* An authorised PUBLISH to $CONTROL/…, with the mount point in `topic`. What the
     * acknowledgement says. */
    enum nj_mqtt_reason (*request)(struct nj_session *session, struct nj_bytes topic,
                                   const struct nj_publish_in *in);
};

struct nj_core {
    unsigned shard_count;
    struct nj_shard **shards;
    struct nj_qsbr *qsbr; /* one slot for each worker, one for the control thread (the last) */
    struct nj_interest *interest;
    struct nj_retain *retain;
    struct nj_store *store;
    const struct nj_link_ops *link_ops;
    const struct nj_core_events *events;
    _Atomic uint64_t next_session_id; /* also above every one that the store ever saw */
    _Atomic uint64_t next_seq;        /* of rows in the store */
    /* Published by the control thread; a worker takes it over at a turn boundary. */
    _Atomic(struct nj_policy *) policy;
    _Atomic(const struct nj_limits *) limits;
};

/* Of lines about denials; see front/denial_log.c. */
struct nj_denial_rate {
    uint64_t second;
    uint32_t lines;
    uint32_t suppressed;
};

struct nj_shard {
    unsigned id;
    struct nj_core *core;
    uint64_t now_ms; /* set once per turn */
    struct nj_policy *policy;
    uint64_t changed_scopes; /* bit n: the last change of policy changed the rules of scope n, */
    uint64_t changed_acls;   /* its ACL file, */
    uint64_t changed_logins; /* who may be logged in under it: */
    bool all_logins_changed; /* anybody, or these (security/policy.h, nj_policy_login_names) */
    unsigned changed_name_count;
    uint64_t changed_names[16];
    const struct nj_limits *limits;
    /* sessions, chained by hash */
    struct nj_session **table;
    struct nj_session **by_id; /* the same size */
    uint64_t table_mask;
    uint64_t session_count;
    struct nj_filters *filters;
    struct nj_groups groups; /* of shared subscriptions, whose home is here */
    struct nj_btimers timers;
    /* output */
    struct nj_chunk_pool chunks;
    struct nj_link **dirty; /* to flush at the end of the turn */
    uint32_t dirty_count;
    uint32_t dirty_cap;
    struct nj_link **dirty_late; /* only answers to publishers: flushed last */
    uint32_t late_count;
    uint32_t late_cap;
    bool is_answer_early;  /* among what is flushed first: batches are to go before it */
    struct nj_link **rest; /* dirty ones with much to write: see turn.h */
    uint32_t rest_count;
    uint32_t rest_cap;
    struct nj_turn turn;
    bool is_stopping;       /* it is being freed, others may be already: nobody is told anything */
    struct nj_list blocked; /* links whose socket takes no more */
    /* to other workers */
    struct nj_batch *outbox[NJ_WORKERS_MAX];
    struct nj_batch *spare; /* drained blocks, for reuse */
    unsigned spare_count;
    /* store */
    struct nj_store_op *ops; /* of the group being built */
    uint32_t op_count;
    uint32_t op_cap;
    struct nj_store_session saved;       /* for a SESSION_SAVE in it */
    struct nj_store_origin saved_origin; /* for a RETAIN_SET in it */
    bool is_group_broken; /* something is missing in it for want of memory: it is not submitted */
    uint64_t submitted;   /* number of the last group */
    uint64_t completed;
    struct nj_undo *undos; /* ring: rows whose groups are not complete, in order of these */
    uint32_t undo_head;
    uint32_t undo_count;
    uint32_t undo_cap;                /* power of two */
    struct nj_list afters;            /* what runs when a group is complete, in order of these */
    struct nj_list handovers;         /* sessions that ended with messages for others; */
    struct nj_list handovers_waiting; /* those whose turn is still to come */
    uint32_t handovers_at_work;
    uint64_t handovers_from_ms;    /* not before */
    uint64_t next_joint;           /* number of the last joint group that began here */
    struct nj_release *last_will;  /* the newest that waits for the store: none may pass it */
    struct nj_list held_back;      /* links that are not read until the store has caught up */
    uint64_t store_look_ms;        /* when its state is asked for next */
    uint8_t store_state;           /* enum nj_store_state */
    bool was_store_behind;         /* links are held back because of it */
    struct nj_list waiting;        /* holds that wait for a group, in order of its number */
    struct nj_hold_table *tickets; /* holds that wait for other workers */
    uint64_t next_ticket;
    uint64_t join_ticket; /* joins of the SUBSCRIBE in hand that homes have to answer */
    uint32_t join_count;
    uint64_t publication; /* number of the last one routed, for session->mark */
    struct nj_tree_nodes scratch[2];
    struct nj_buf topic_buf; /* topic with mount point */
    struct nj_buf props_buf; /* forwarded properties of the packet in hand */
    struct nj_buf frame_buf; /* the encoded frame being fanned out */
    struct nj_stats stats;
    struct nj_denial_rate denial_rate;
    /* aligned last: written by other threads */
    _Alignas(64) struct nj_inbox inbox;
};

/* -- life (shard.c) -- */
struct nj_shard *nj_shard_new(struct nj_core *core, unsigned id);
void nj_shard_free(struct nj_shard *shard);

/* Which worker a client id lives on. */
unsigned nj_core_home(const struct nj_core *core, struct nj_bytes client_id);

/* Room for a record to shard `target` in this turn's batch; full batches are pushed at once to the
 * target's inbox (the turn's end wakes it). NULL when memory is short. */
void *nj_shard_post(struct nj_shard *shard, unsigned target, uint16_t kind, uint32_t body_len,
                    uint32_t weight) NJ_NODISCARD;
/* For short records that must not get lost (answers, members leaving): ends the process rather than
 * fail. */
void *nj_shard_post_surely(struct nj_shard *shard, unsigned target, uint16_t kind,
                           uint32_t body_len) __attribute__((returns_nonnull));
/* Runs the batches, oldest first, and gives their blocks back. */
void nj_shard_run(struct nj_shard *shard, struct nj_batch *batches);
/* Puts a drained block into the spare list or frees it. */
void nj_shard_recycle(struct nj_shard *shard, struct nj_batch *batch);
/* Session timers that are due, a bounded number of them in one turn. */
void nj_shard_run_timers(struct nj_shard *shard);

/* Removes expired retained messages, a bounded number of them. True when more are due. For one
 * worker, turn by turn. */
bool nj_shard_sweep_retained(struct nj_shard *shard);

/* Of what waits to be written, for nj_turn_open: messages (of all workers together), and copies for
 * a quarter, because a message to very many takes a chunk for each and is still one message. */
size_t nj_shard_output_memory(const struct nj_shard *shard);

void nj_shard_mark_dirty(struct nj_shard *shard, struct nj_link *link);
void nj_shard_mark_rest(struct nj_shard *shard, struct nj_link *link);
void nj_shard_mark_late(struct nj_shard *shard, struct nj_link *link);

/* Takes the newest policy and limits over: resolves nothing, but drops frames still unwritten that
 * are now forbidden. Gives the policy that was replaced, with its reference, to the caller, who can
 * see by it what changed for whom; NULL when it is the same. */
struct nj_policy *nj_shard_adopt(struct nj_shard *shard) NJ_NODISCARD;

/* -- what waits for the store (hold.c, commit.h) -- */
/* From the worker's inbox: the store says `group` is done. */
void nj_shard_completed(struct nj_shard *shard, uint64_t group, enum nj_err err);

#endif
