/* The part of a connection that the broker core knows. front embeds it first in its own struct.
 * Owned by the worker of its session (before a session exists: by the accepting worker). */
#ifndef NJ_BROKER_LINK_H
#define NJ_BROKER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/list.h"
#include "broker/out.h"
#include "mqtt/types.h"

struct nj_session;
struct nj_shard;

/* Outgoing topic aliases of one connection: alias number = place + 1. Made at first use. */
struct nj_alias_out {
    uint16_t count;
    uint16_t max;
    uint16_t next_victim;
    struct {
        char *topic;
        uint32_t len;
        bool is_known; /* the peer was told */
    } entry[];
};

/* Incoming topic aliases (MQTT5 3.3.2.3.4). */
struct nj_alias_in {
    uint16_t max;
    struct {
        char *topic;
        uint32_t len;
    } entry[];
};

/* What went over one connection, for who asks about it. Plain numbers of its worker. */
struct nj_traffic {
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t published_in; /* PUBLISH packets, refused ones, too */
    uint64_t published_out;
    uint64_t dropped; /* messages that it should have got: too slow, full, expired, too large */
};

struct nj_link {
    struct nj_shard *shard;
    struct nj_session *session; /* NULL until the session is attached, and after it is detached */
    struct nj_out out;
    struct nj_traffic traffic;
    struct nj_list blocked_node; /* in shard->blocked while the socket takes no more */
    struct nj_list
        held_back_node; /* in shard->held_back while it is not read for the store's sake */
    struct nj_alias_out *alias_out;
    struct nj_alias_in *alias_in;
    struct nj_bytes mount_point; /* the listener's, or empty */
    uint32_t max_packet_out;     /* what the peer takes; 0 = any */
    uint16_t receive_max_out;    /* QoS > 0 in flight towards the peer; 0 = no limit */
    uint16_t alias_out_max;
    uint16_t alias_in_max;
    uint16_t receive_max_in; /* what we allow the peer */
    uint16_t receive_in;     /* QoS 2 not released, QoS 1 not answered; begins at 0 on every
                               connection (MQTT5 4.9) */
    uint8_t max_qos;         /* of the listener */
    enum nj_mqtt_version version;
    bool wants_problem_info;
    bool is_dirty;     /* in shard->dirty or shard->dirty_late */
    bool is_late;      /* in the latter */
    bool is_blocked;   /* waits for the socket */
    bool is_closing;   /* no more input or output for it */
    bool is_ready;     /* CONNACK is out: messages may follow */
    bool is_held_back; /* not read: the store is behind, or full */
    bool is_bridge;    /* another broker, by the protocol level of its CONNECT */
};

/* Whether the peer takes a packet of `len` bytes (MQTT5 3.1.2.11.4). */
static inline bool nj_link_takes(const struct nj_link *link, size_t len)
{
    return link->max_packet_out == 0 || len <= link->max_packet_out;
}

void nj_link_init(struct nj_link *link, struct nj_shard *shard);
/* Frees buffers and aliases; the link must have been detached from its session. */
void nj_link_fini(struct nj_link *link);

/* Room for one whole frame to this peer; marks the link for the flush at the end of the turn.
 * NULL when memory is short or the link is closing. */
uint8_t *nj_link_frame(struct nj_link *link, size_t len) NJ_NODISCARD;
/* It has more to send than a turn allows: it has its next part in the next turn. */
void nj_link_go_on(struct nj_link *link);
/* Not to be read until the store has caught up / it may be read again. */
void nj_link_hold_back(struct nj_link *link);
void nj_link_read_on(struct nj_link *link);
/* Memory is short in a place where the connection cannot go on: it is closed. */
void nj_link_fail_memory(struct nj_link *link);
/* For acknowledgements to publishers and PINGRESP: flushed after everything else, so that whoever
 * has the answer knows that what came before it was handed to the other workers. */
uint8_t *nj_link_frame_late(struct nj_link *link, size_t len) NJ_NODISCARD;

#endif
