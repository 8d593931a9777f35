/* See deliver.h. Which session gets a publication and when it may go out; route.c finds the
 * sessions, output.c writes the frame. */
#include "broker/deliver.h"

#include "base/mem.h"
#include "broker/ack.h"
#include "broker/denial.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/origin.h"
#include "broker/output.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/shard.h"

struct nj_message *nj_publication_keep(struct nj_publication *publication)
{
    if (!publication->kept) {
        publication->kept = nj_message_new(&publication->view);
    }
    return publication->kept;
}

void nj_publication_fini(struct nj_publication *publication)
{
    nj_message_unref(publication->kept);
    publication->kept = NULL;
}

static void drop(struct nj_shard *shard)
{
    NJ_STAT_ADD(shard, publish_dropped, 1);
}

static bool may_receive(struct nj_session *session, struct nj_bytes topic)
{
    struct nj_verdict verdict;
    nj_authz(session->shard->policy, &session->subject, NJ_ACTION_DELIVER, topic, &verdict);
    if (NJ_UNLIKELY(!verdict.allowed)) {
        nj_session_denied(session, NJ_ACTION_DELIVER, topic, &verdict);
    }
    return verdict.allowed;
}

/* ---- windows and limits */

uint32_t nj_deliver_window(const struct nj_session *session)
{
    const struct nj_limits *limits = session->shard->limits;
    const struct nj_flow *flow = session->flow;
    uint32_t window = limits->max_inflight ? limits->max_inflight : UINT16_MAX;
    uint32_t peer = session->link->receive_max_out;
    if (peer && peer < window) {
        window = peer;
    }
    if (!flow) {
        return window;
    }
    if (limits->max_inflight_bytes && flow->flight_bytes >= limits->max_inflight_bytes &&
        flow->flight_count) {
        return 0;
    }
    uint32_t used = flow->flight_count - flow->unsent_count;
    return used < window ? window - used : 0;
}

/* `window`: what could be in flight now, but has to wait for its record, takes no room from others.
 */
static bool queue_is_full(const struct nj_session *session, const struct nj_message_view *view,
                          uint32_t window)
{
    const struct nj_limits *limits = session->shard->limits;
    const struct nj_flow *flow = session->flow;
    if (limits->max_queued && flow->queue_count >= (uint64_t)limits->max_queued + window) {
        return true;
    }
    return limits->max_queued_bytes &&
           flow->queue_bytes + view->payload.len > limits->max_queued_bytes;
}

static bool demand_flow(struct nj_session *session)
{
    if (!session->flow) {
        session->flow = nj_flow_new();
    }
    return session->flow != NULL;
}

/* ---- queue */

static void store_row(struct nj_session *session, enum nj_store_op_kind kind, uint64_t seq)
{
    struct nj_store_op *op = seq ? nj_shard_op(session->shard, kind, session->id) : NULL;
    if (op) {
        op->seq = seq;
    }
}

static void store_remove(struct nj_session *session, uint64_t seq)
{
    store_row(session, NJ_STORE_QUEUE_REMOVE, seq);
}

static enum nj_err try_enqueue(struct nj_session *session, struct nj_publication *publication,
                               struct nj_delivery *delivery, uint32_t window)
{
    if (!demand_flow(session)) {
        return NJ_ENOMEM;
    }
    if (queue_is_full(session, &publication->view, window)) {
        return NJ_ELIMIT;
    }
    struct nj_message *message = nj_publication_keep(publication);
    if (!message) {
        return NJ_ENOMEM;
    }
    delivery->message = message;
    enum nj_err err = nj_flow_enqueue(session->flow, delivery);
    if (err == NJ_OK) {
        (void)nj_message_ref(message);
    }
    return err;
}

/* Keeps the publication for later. A row that it has in the open store group goes when it is
 * dropped. */
static void enqueue(struct nj_session *session, struct nj_publication *publication,
                    struct nj_delivery *delivery, uint32_t window)
{
    struct nj_shard *shard = session->shard;
    enum nj_err err = try_enqueue(session, publication, delivery, window);
    if (err == NJ_OK) {
        NJ_STAT_ADD(shard, queued, 1);
        return;
    }
    if (err == NJ_ELIMIT) {
        NJ_STAT_ADD(shard, dropped_queue_full, 1);
    } else {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        /* It is no limit that the publisher has to expect: told, it sends again. */
        shard->is_group_broken |= delivery->qos > 0;
    }
    drop(shard);
    store_remove(session, delivery->seq);
}

/* Gives the delivery its row in the store and the group that makes it durable. */
static void store_append(struct nj_session *session, struct nj_publication *publication,
                         struct nj_delivery *delivery)
{
    struct nj_shard *shard = session->shard;
    struct nj_message *message = nj_publication_keep(publication);
    struct nj_store_op *op =
        message ? nj_shard_op(shard, NJ_STORE_QUEUE_APPEND, session->id) : NULL;
    if (!op) {
        shard->is_group_broken = true;
        return;
    }
    delivery->seq = atomic_fetch_add_explicit(&shard->core->next_seq, 1, memory_order_relaxed) + 1;
    /* The open group gets the next number when it is committed. */
    delivery->group = shard->submitted + 1;
    op->message = message;
    op->seq = delivery->seq;
    op->sub_id = delivery->sub_id;
    op->share = delivery->share;
    op->qos = delivery->qos;
    op->is_retain = delivery->is_retain;
}

/* ---- sending */

/* A QoS > 0 frame takes a packet id and a place in flight. True when it is done with, sent or
 * dropped; false when memory is short for now. */
static bool send_counted(struct nj_session *session, struct nj_publication *publication,
                         const struct nj_delivery *delivery)
{
    struct nj_flight *flight = demand_flow(session) ? nj_flow_take(session->flow) : NULL;
    if (!flight) {
        return false;
    }
    flight->delivery = *delivery;
    flight->state = delivery->qos == 1 ? NJ_FLIGHT_WAIT_PUBACK : NJ_FLIGHT_WAIT_PUBREC;
    flight->delivery.message = NULL;
    enum nj_output_result result =
        nj_output_publish(session->link, publication, delivery, flight->packet_id);
    if (result != NJ_OUTPUT_SENT) {
        nj_flow_done(session->flow, flight);
        if (result == NJ_OUTPUT_TOO_LARGE) {
            store_remove(session, delivery->seq);
            return true;
        }
        return false;
    }
    /* A shared message is kept, too: if the session ends, another member gets it. */
    if (session->is_stored || delivery->share) {
        struct nj_message *message = nj_publication_keep(publication);
        flight->delivery.message = message ? nj_message_ref(message) : NULL;
    }
    flight->bytes = (uint32_t)publication->view.payload.len;
    session->flow->flight_bytes += flight->bytes;
    return true;
}

static void deliver_qos0(struct nj_session *session, struct nj_publication *publication,
                         const struct nj_delivery *delivery)
{
    struct nj_link *link = session->link;
    struct nj_shard *shard = session->shard;
    uint32_t frames_max = shard->limits->max_queued;
    if (NJ_UNLIKELY(link->is_blocked && frames_max && link->out.frames >= frames_max)) {
        NJ_STAT_ADD(shard, dropped_slow, 1);
        drop(shard);
        return;
    }
    if (nj_output_publish(link, publication, delivery, 0) == NJ_OUTPUT_NO_MEMORY) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        drop(shard);
    }
}

static bool is_online(const struct nj_session *session)
{
    return session->link && session->link->is_ready && !session->link->is_closing;
}

/* `is_ahead`: need not go behind what is queued. */
static void deliver_counted(struct nj_session *session, struct nj_publication *publication,
                            struct nj_delivery *delivery, bool is_ahead)
{
    struct nj_shard *shard = session->shard;
    bool is_on = is_online(session);
    uint32_t window = is_on ? nj_deliver_window(session) : 0;
    bool may_go = window > 0 && (is_ahead || !session->flow || !session->flow->queue_count);
    if (session->is_stored) {
        if (!may_go && session->flow && queue_is_full(session, &publication->view, window)) {
            NJ_STAT_ADD(shard, dropped_queue_full, 1);
            drop(shard);
            return;
        }
        store_append(session, publication, delivery);
    }
    bool must_wait = delivery->qos == 2 && delivery->group > shard->completed;
    if (may_go && !must_wait && send_counted(session, publication, delivery)) {
        return;
    }
    enqueue(session, publication, delivery, window);
    if (must_wait && is_on && session->flow && !session->flow->is_pump_held) {
        nj_session_pump_later(session, delivery->group);
    }
}

static uint8_t granted_qos(const struct nj_session *session, uint8_t published, uint8_t subscribed)
{
    uint8_t qos = published;
    if (qos > subscribed || (session->shard->limits->upgrade_outgoing_qos && qos < subscribed)) {
        qos = subscribed;
    }
    return session->link && qos > session->link->max_qos ? session->link->max_qos : qos;
}

bool nj_deliver(struct nj_session *session, struct nj_publication *publication,
                const struct nj_sub_options *options)
{
    struct nj_shard *shard = session->shard;
    if (options->is_no_local && session->id == publication->sender) {
        return true;
    }
    if (NJ_UNLIKELY(!may_receive(session, publication->view.topic))) {
        return false;
    }
    uint8_t qos = granted_qos(session, publication->view.qos, options->qos);
    struct nj_delivery delivery = {
        .sub_id = options->sub_id,
        .share = publication->share,
        .qos = qos,
        .is_retain = options->is_retain_as_published && publication->view.is_retain,
    };
    if (qos > 0) {
        deliver_counted(session, publication, &delivery, false);
        return true;
    }
    bool is_on = is_online(session);
    /* Never past one of its kind that waits in the queue (MQTT5 4.6). */
    if (is_on && NJ_LIKELY(!session->flow || !session->flow->queued_qos0)) {
        deliver_qos0(session, publication, &delivery);
    } else if ((session->link && !session->link->is_closing) ||
               (session->is_stored && shard->limits->queue_qos0)) {
        enqueue(session, publication, &delivery, 0);
    }
    return true;
}

/* ---- later */

static bool is_expired(const struct nj_shard *shard, uint64_t expires_ms)
{
    return expires_ms && expires_ms <= shard->now_ms;
}

/* The head goes: sent, expired, or no longer allowed. */
static void drop_head(struct nj_session *session)
{
    struct nj_delivery delivery = nj_flow_dequeue(session->flow);
    NJ_STAT_SUB(session->shard, queued, 1);
    store_remove(session, delivery.seq);
    nj_message_unref(delivery.message);
    enum nj_err err;
    (void)nj_shard_commit(session->shard, &err);
}

bool nj_deliver_queued(struct nj_session *session)
{
    struct nj_shard *shard = session->shard;
    struct nj_delivery *head = nj_flow_head(session->flow);
    if (session->link->is_blocked && session->link->out.pending > NJ_OUTPUT_PUMP_MAX) {
        return false;
    }
    if (is_expired(shard, head->message->expires_ms)) {
        NJ_STAT_ADD(shard, dropped_expired, 1);
        drop(shard);
        drop_head(session);
        return true;
    }
    if (!may_receive(session, nj_message_topic(head->message))) {
        drop_head(session);
        return true;
    }
    if (head->qos && nj_deliver_window(session) == 0) {
        return false;
    }
    if (head->qos == 2 && head->group > shard->completed) {
        if (!session->flow->is_pump_held) {
            nj_session_pump_later(session, head->group);
        }
        return false;
    }
    struct nj_publication publication = {
        .view = nj_message_view(head->message),
        .kept = nj_message_ref(head->message),
    };
    struct nj_delivery delivery = *head;
    bool is_done = true;
    if (delivery.qos) {
        is_done = send_counted(session, &publication, &delivery);
    } else {
        deliver_qos0(session, &publication, &delivery);
    }
    nj_publication_fini(&publication);
    if (is_done) {
        struct nj_delivery gone = nj_flow_dequeue(session->flow);
        NJ_STAT_SUB(shard, queued, 1);
        nj_message_unref(gone.message);
        enum nj_err err;
        (void)nj_shard_commit(shard, &err); /* the row of what was too large */
    }
    return is_done;
}

void nj_deliver_take_back(struct nj_session *session, struct nj_flight *flight)
{
    if (flight->delivery.qos == 2 && flight->delivery.was_sent) {
        flight->is_unsent = true; /* the client may have it: the pump finishes it */
        session->flow->unsent_count++;
        return;
    }
    drop(session->shard);
    store_remove(session, flight->delivery.seq);
    nj_flow_done(session->flow, flight);
}

/* What was in flight will not be sent again. With QoS 2 the client may have it and wait for PUBREL:
 * its packet id is free only after that (MQTT5 4.3.3). */
static void give_up_flight(struct nj_session *session, struct nj_flight *flight)
{
    enum nj_err err;
    if (flight->delivery.qos == 2) {
        flight->state = NJ_FLIGHT_WAIT_PUBCOMP;
        store_row(session, NJ_STORE_QUEUE_RELEASED, flight->delivery.seq);
        nj_ack_send(session->link, NJ_HOLD_PUBREL, flight->packet_id, NJ_RC_SUCCESS);
    } else {
        nj_deliver_take_back(session, flight);
    }
    (void)nj_shard_commit(session->shard, &err);
}

bool nj_deliver_flight(struct nj_session *session, struct nj_flight *flight)
{
    struct nj_shard *shard = session->shard;
    struct nj_message *message = flight->delivery.message;
    flight->is_unsent = false;
    session->flow->unsent_count--;
    bool is_gone = !message || !may_receive(session, nj_message_topic(message)) ||
                   (flight->delivery.qos == 1 && is_expired(shard, message->expires_ms));
    enum nj_output_result result = NJ_OUTPUT_TOO_LARGE;
    if (!is_gone) {
        struct nj_publication publication = {
            .view = nj_message_view(message),
            .kept = nj_message_ref(message),
        };
        result =
            nj_output_publish(session->link, &publication, &flight->delivery, flight->packet_id);
        nj_publication_fini(&publication);
    }
    if (result == NJ_OUTPUT_SENT) {
        return true;
    }
    if (result == NJ_OUTPUT_NO_MEMORY) {
        flight->is_unsent = true;
        session->flow->unsent_count++;
        return false;
    }
    give_up_flight(session, flight);
    return true;
}

/* ---- retained */

/* QoS 2 messages of a stored session wait in the queue for their records: no more of them than can
 * be sent then. */
static bool has_room_for_replay(const struct nj_session *session, uint8_t qos)
{
    uint32_t waiting =
        qos == 2 && session->is_stored && session->flow ? session->flow->queue_count : 0;
    return waiting < nj_deliver_window(session);
}

bool nj_deliver_retained(struct nj_session *session, const struct nj_retained *retained,
                         const struct nj_sub_options *options)
{
    struct nj_shard *shard = session->shard;
    struct nj_message *message = retained->message;
    if (!may_receive(session, nj_message_topic(message))) {
        return true;
    }
    uint8_t qos = granted_qos(session, message->qos, options->qos);
    struct nj_publication publication = {
        .view = nj_message_view(message),
        .kept = nj_message_ref(message),
    };
    struct nj_delivery delivery = {.sub_id = options->sub_id, .qos = qos, .is_retain = true};
    bool is_done = true;
    if (qos == 0) {
        is_done =
            nj_output_publish(session->link, &publication, &delivery, 0) != NJ_OUTPUT_NO_MEMORY;
    } else if (!has_room_for_replay(session, qos)) {
        is_done = false;
    } else {
        deliver_counted(session, &publication, &delivery, true);
        enum nj_err err;
        (void)nj_shard_commit(shard, &err);
    }
    nj_publication_fini(&publication);
    return is_done;
}
