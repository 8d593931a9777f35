/* From a publication to the outputs of the subscribers on this worker.
 *
 * The right to receive is decided here and only here, when a frame is put into an output (or
 * before it is queued for a session that is away, and again when it leaves the queue). */
#ifndef NJ_BROKER_DELIVER_H
#define NJ_BROKER_DELIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/filters.h"
#include "broker/flow.h"
#include "broker/message.h"

struct nj_origin;
struct nj_retained;
struct nj_session;
struct nj_shard;

/* A QoS 2 message reaches its receivers in two steps (release.h): first rows for stored sessions,
 * in one transaction with the release of its packet id, then, when that is durable, all others. */
enum nj_phase {
    NJ_PHASE_ALL,  /* not divided */
    NJ_PHASE_ROWS, /* stored sessions with QoS > 0, and one member of each shared subscription */
    NJ_PHASE_REST,
};

/* A publication on its way through one worker. */
struct nj_publication {
    struct nj_message_view view;
    struct nj_message *kept; /* made when the first receiver needs it; counted */
    uint64_t sender;         /* session id, 0 = the broker */
    uint8_t phase;           /* enum nj_phase */
    bool is_deferred;      /* NJ_PHASE_ROWS: a member of a shared subscription has its turn later */
    uint64_t moment;       /* NJ_PHASE_REST: of the filters when it was released */
    uint32_t retain_clock; /* nj_retain_clock when it was retained; 0 = was not */
    uint64_t joint;        /* NJ_PHASE_ROWS: the joint group of the rows */
    uint64_t ticket;       /* NJ_PHASE_ROWS: what other workers answer to */
    uint32_t share;        /* for one member of a shared subscription: its number there */
    bool is_accepted;      /* its publisher was told, or never asks: it is not refused any more */
    bool is_single;        /* one receiver: not worth keeping for sharing */
    uint64_t frame_key;    /* shape of the frame in shard->frame_buf; 0 = none */
    uint32_t frame_len;    /* in the buffer */
    uint32_t frame_total;  /* with a payload that is referenced */
    uint32_t frame_id_at;  /* where the packet id goes in it; 0 = QoS 0 */
};

/* What became of it. */
struct nj_routed {
    uint64_t ticket; /* to wait for, when stored subscribers live elsewhere */
    uint32_t tickets;
    bool has_subscribers;
};

/* To every subscriber, wherever it lives. `wants_ticket`: QoS > 0 and the publisher waits. */
struct nj_routed nj_route(struct nj_shard *shard, struct nj_publication *publication,
                          bool wants_ticket);
/* Whether a session that survives a restart subscribed to the topic, on any worker. */
bool nj_route_reaches_stored(struct nj_shard *shard, struct nj_bytes topic);
/* To the subscribers on this worker. Returns how many members of shared subscriptions will answer
 * this worker's `ticket` (0: none is asked). */
uint32_t nj_route_local(struct nj_shard *shard, struct nj_publication *publication,
                        const struct nj_match *match, uint64_t ticket);
/* The kept form, made at first use; NULL when memory is short. */
struct nj_message *nj_publication_keep(struct nj_publication *publication) NJ_NODISCARD;
void nj_publication_fini(struct nj_publication *publication);

/* To one session. False when it may not have it or it is gone (shared subscriptions try the next
 * member then). */
bool nj_deliver(struct nj_session *session, struct nj_publication *publication,
                const struct nj_sub_options *options);
/* A retained message to a new subscription. False when the window is full: try again later. */
bool nj_deliver_retained(struct nj_session *session, const struct nj_retained *retained,
                         const struct nj_sub_options *options);
/* Sends the head of the queue or a resumed flight. False when it does not fit now. */
bool nj_deliver_queued(struct nj_session *session);
/* Sends `flight` (again); it keeps its packet id. False when memory is short. */
bool nj_deliver_flight(struct nj_session *session, struct nj_flight *flight);
/* Its frame was taken out of the output before it was begun. The row goes with the open group. */
void nj_deliver_take_back(struct nj_session *session, struct nj_flight *flight);
/* How many more QoS > 0 messages may take a place in flight now. */
uint32_t nj_deliver_window(const struct nj_session *session);
/* Whether one that has a place may be sent now. The session has a flow. */
bool nj_deliver_may_send(const struct nj_session *session);

#endif
