/* A session: what the broker knows about one client id (MQTT5 4.1).
 *
 * Lives on one worker for its whole life, the one its client id hashes to; only that worker (or
 * one that holds its baton) touches it. Connected or away; `link` tells. */
#ifndef NJ_BROKER_SESSION_H
#define NJ_BROKER_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/index.h"
#include "base/list.h"
#include "broker/filters.h"
#include "broker/rows.h"
#include "broker/timers.h"
#include "broker/turn.h"
#include "mqtt/types.h"
#include "security/authz.h"

struct nj_flow;
struct nj_link;
struct nj_message;
struct nj_origin;
struct nj_release;
struct nj_replay;
struct nj_shard;

/* MQTT5 3.1.2.5. The message's topic has the mount point already. */
struct nj_will {
    struct nj_message *message;
    uint32_t delay_s;
};

/* A shared subscription as its member sees it; the group itself lives on its home worker. */
struct nj_shared_sub {
    struct nj_shared_sub *next; /* in the order they were made */
    struct nj_shared_sub **at;  /* what points to it there */
    struct nj_index_node node;
    uint32_t number; /* in its session, for deliveries that came by it */
    struct nj_sub_options options;
    uint32_t group_len;
    uint32_t filter_len;
    char text[]; /* group, filter */
};

/* All of a session, made with the first; it outlives the session until all homes know of its end.
 * Only share.c changes it. */
struct nj_shared_subs {
    struct nj_job job; /* tells homes in parts what they have to know */
    struct nj_shared_sub *first;
    struct nj_shared_sub **end;
    struct nj_shared_sub *to_tell; /* whose home is told next */
    struct nj_index index;         /* by group and filter; of a session that has ended: by number */
    uint64_t owner;
    bool is_kept;   /* of a session that has ended: somebody still asks by number */
    bool is_online; /* what homes are told */
    bool is_stored;
};

#define NJ_EXPIRY_NEVER UINT32_MAX

struct nj_session {
    struct nj_session *hash_next;
    struct nj_session *id_next;
    uint64_t hash;
    uint64_t id; /* never given again, not even after a restart: the owner in the store */
    struct nj_shard *shard;
    struct nj_link *link;      /* NULL = away */
    struct nj_origin *origin;  /* client id and user of the last connection */
    struct nj_subject subject; /* its texts are the origin's */
    struct nj_sub_ref *subs;
    uint32_t sub_count;
    uint32_t sub_cap;
    uint32_t expiry_s;             /* 0 = ends with the connection */
    bool is_stored;                /* survives a restart: expiry_s > 0 */
    bool has_ended;                /* only filters still name it: see remains.h */
    uint8_t version;               /* enum nj_mqtt_version of the last connection */
    uint8_t mark_qos;              /* with `mark`: highest QoS among overlapping subscriptions */
    uint64_t mark;                 /* number of the publication last delivered */
    struct nj_flow *flow;          /* made when the first QoS > 0 message or queue needs it */
    struct nj_shared_subs *shared; /* NULL: it never had one */
    uint32_t last_share;
    uint32_t connection;         /* number of the present connection, counted from 1 */
    struct nj_replay *replay;    /* retained messages on their way */
    struct nj_release *releases; /* QoS 2 messages that it released, not yet durable */
    struct nj_backlog backlog;   /* rows that are in the store only */
    uint16_t last_packet_id;     /* while it has no flow */
    bool has_record;             /* in the store */
    bool has_rows;               /* it had when it was resumed: new ones go behind them */
    bool is_ending;              /* it ended; the record says so, too */
    bool is_bridge;              /* its last connection was another broker's: every subscription
                                    is no-local and retain-as-published, for which MQTT 3 has no
                                    options */
    struct nj_will *will;
    struct nj_list held; /* answers that wait for the store, in order */
    uint32_t held_count;
    struct nj_btimer timer; /* away: will delay, expiry */
    uint64_t expires_ms;
    uint64_t will_due_ms;
    uint64_t connected_wall_s;
    uint64_t away_wall_ms; /* since when it is away; 0 = connected */
    uint64_t credential;   /* what the login was verified against; see security/login.h */
};

static inline struct nj_bytes nj_session_client_id(const struct nj_session *session)
{
    return session->subject.client_id;
}

/* Messages that wait for it, in memory and in the store, and the bytes of their payloads. */
uint64_t nj_session_queued(const struct nj_session *session, uint64_t *bytes);

/* -- finding, making, ending (session.c) -- */

struct nj_session *nj_session_find(struct nj_shard *shard, struct nj_bytes client_id);
struct nj_session *nj_session_by_id(struct nj_shard *shard, uint64_t id);
struct nj_session *nj_session_new(struct nj_shard *shard, struct nj_origin *origin) NJ_NODISCARD;
/* The same with a number that it had before, for boot.c. */
struct nj_session *nj_session_restore(struct nj_shard *shard, struct nj_origin *origin, uint64_t id)
    NJ_NODISCARD;
/* It is away: sets the timer for its will and its end. */
void nj_session_watch(struct nj_session *session);
/* Ends it: fires a due will, leaves every subscription, frees. The link must be detached. */
void nj_session_end(struct nj_session *session);
/* Frees it and tells nobody, not even the store: the broker stops. */
void nj_session_discard(struct nj_session *session);
/* Takes over the (new) owner's name for decisions. Takes a reference. */
void nj_session_set_origin(struct nj_session *session, struct nj_origin *origin);
void nj_session_set_expiry(struct nj_session *session, uint32_t expiry_s);
/* Puts its record into the open store group, of which there may be one. */
void nj_session_save(struct nj_session *session);

/* The connection is there / gone. Detach decides about will, expiry and queue; the session may be
 * freed by it. `with_will`: the connection ended without a DISCONNECT that discards the will. */
void nj_session_attach(struct nj_session *session, struct nj_link *link);
void nj_session_detach(struct nj_session *session, bool with_will);
/* CONNACK is out: resend what was in flight, then the queue. */
void nj_session_resume(struct nj_session *session);
/* Sends what now fits: retained replay, queue. Called after acknowledgements and drained sockets.
 */
void nj_session_pump(struct nj_session *session);

#endif
