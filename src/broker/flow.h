/* The QoS > 0 state of a session: what is in flight to the client, what waits, and the incoming
 * QoS 2 messages that were not released yet (MQTT5 4.3, 4.4, 4.9).
 *
 * In flight is a table indexed by the low bits of the packet id: an id whose place is taken is
 * skipped, so a look-up is one probe whatever the client acknowledges in which order. */
#ifndef NJ_BROKER_FLOW_H
#define NJ_BROKER_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/index.h"

struct nj_message;

enum nj_flight_state {
    NJ_FLIGHT_FREE,
    NJ_FLIGHT_WAIT_PUBACK,  /* QoS 1 PUBLISH is out */
    NJ_FLIGHT_WAIT_PUBREC,  /* QoS 2 PUBLISH is out */
    NJ_FLIGHT_WAIT_PUBCOMP, /* PUBREL is out, or waits for its record */
};

/* A message on its way to one session. */
struct nj_delivery {
    struct nj_message *message; /* counted; NULL in flight of a session that cannot resume */
    uint64_t seq;               /* its row in the store; 0 = not stored */
    uint64_t group;             /* store group that makes the row durable */
    uint32_t sub_id;
    uint32_t share; /* number of the shared subscription it came by; 0 = none */
    uint8_t qos;
    bool is_retain; /* RETAIN flag towards the client */
    bool was_sent;  /* began on an earlier connection: DUP when it is sent again */
};

struct nj_flight {
    struct nj_delivery delivery;
    uint64_t order; /* of the first sending, for resending in order */
    uint32_t bytes; /* of its payload, in flight_bytes */
    uint16_t packet_id;
    uint8_t state;  /* enum nj_flight_state */
    bool is_unsent; /* PUBLISH or PUBREL not yet sent on this connection: it was resumed, or the
                       record is not durable */
};

struct nj_incoming {
    struct nj_index_node node;
    uint32_t connection; /* number of the session's connection whose quota it counts against */
    struct nj_message *message;
    uint16_t packet_id;
};

struct nj_flow {
    struct nj_flight *flights;
    uint32_t flight_mask; /* table size - 1 */
    uint32_t flight_count;
    uint32_t unsent_count;
    uint64_t flight_bytes;
    uint64_t next_order;
    uint16_t last_packet_id;
    bool is_pump_held; /* the pump will be called when a group is complete */
    uint16_t *unsent;  /* ring: ids of unsent flights in the order they go out; some may be done */
    uint32_t unsent_head;
    uint32_t unsent_len;
    uint32_t unsent_cap;       /* power of two */
    struct nj_delivery *queue; /* ring */
    uint32_t queue_head;
    uint32_t queue_count;
    uint32_t queue_cap; /* power of two */
    uint64_t queue_bytes;
    uint32_t queued_qos0;
    struct nj_index incoming; /* by packet id */
};

struct nj_flow *nj_flow_new(void) NJ_NODISCARD;
void nj_flow_free(struct nj_flow *flow);

/* A free packet id with its place; NULL when memory is short or 65,535 are in flight. The place is
 * taken when the caller sets its state. */
struct nj_flight *nj_flow_take(struct nj_flow *flow) NJ_NODISCARD;
struct nj_flight *nj_flow_find(const struct nj_flow *flow, uint16_t packet_id);
/* The place of an id that was given in an earlier life of the broker or on an earlier connection.
 * NULL when memory is short or the id is taken. The next one taken follows it. */
struct nj_flight *nj_flow_put(struct nj_flow *flow, uint16_t packet_id) NJ_NODISCARD;
/* The flight is not sent yet: it waits behind those that were said so before it. */
enum nj_err nj_flow_wait(struct nj_flow *flow, struct nj_flight *flight) NJ_NODISCARD;
/* The first of them, or NULL. nj_flow_sent: it waits no longer. */
struct nj_flight *nj_flow_unsent(struct nj_flow *flow);
void nj_flow_sent(struct nj_flow *flow, struct nj_flight *flight);
/* Frees the place and drops the message. */
void nj_flow_done(struct nj_flow *flow, struct nj_flight *flight);

/* Takes over the delivery's reference on success. */
enum nj_err nj_flow_enqueue(struct nj_flow *flow, const struct nj_delivery *delivery) NJ_NODISCARD;
struct nj_delivery *nj_flow_head(const struct nj_flow *flow);
/* Takes the head off; the reference is the caller's. */
struct nj_delivery nj_flow_dequeue(struct nj_flow *flow);

/* Takes the delivery of row `seq` out, wherever it is, and drops the message. */
bool nj_flow_forget(struct nj_flow *flow, uint64_t seq);

/* Stays where it is until it is dropped. */
struct nj_incoming *nj_flow_incoming_find(const struct nj_flow *flow, uint16_t packet_id);
struct nj_incoming *nj_flow_incoming_add(struct nj_flow *flow, uint16_t packet_id) NJ_NODISCARD;
/* Forgets a packet id and drops its message; false when it is not known. `flow` may be NULL. */
bool nj_flow_incoming_drop(struct nj_flow *flow, uint16_t packet_id);

#endif
