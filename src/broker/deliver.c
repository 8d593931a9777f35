/* See deliver.h. Which session gets a publication and when it may go out; route.c finds the
 * sessions, output.c writes the frame. */
#include "broker/deliver.h"

#include "base/mem.h"
#include "broker/ack.h"
#include "broker/commit.h"
#include "broker/denial.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/origin.h"
#include "broker/output.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/shard.h"

/* QoS 0 for a socket that takes nothing, when max_queued_bytes sets no bound: its other end may
 * never read it. */
#define SLOW_BYTES_MAX ((size_t)16 << 20)
/* And when memory is short, for any. */
#define SHORT_BYTES_MAX ((size_t)64 << 10)

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

static void drop(struct nj_session *session)
{
    NJ_STAT_ADD(session->shard, publish_dropped, 1);
    if (session->link) {
        session->link->traffic.dropped++;
    }
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

static uint32_t window_of(const struct nj_session *session)
{
    const struct nj_limits *limits = session->shard->limits;
    uint32_t window = limits->max_inflight ? limits->max_inflight : UINT16_MAX;
    uint32_t peer = session->link->receive_max_out;
    return peer && peer < window ? peer : window;
}

uint32_t nj_deliver_window(const struct nj_session *session)
{
    const struct nj_limits *limits = session->shard->limits;
    const struct nj_flow *flow = session->flow;
    uint32_t window = window_of(session);
    if (!flow) {
        return window;
    }
    if (limits->max_inflight_bytes && flow->flight_bytes >= limits->max_inflight_bytes &&
        flow->flight_count) {
        return 0;
    }
    return flow->flight_count < window ? window - flow->flight_count : 0;
}

bool nj_deliver_may_send(const struct nj_session *session)
{
    const struct nj_flow *flow = session->flow;
    return flow->flight_count - flow->unsent_count < window_of(session);
}

/* `window`: what could be in flight now, but has to wait for its record, takes no room from others.
 */
static bool queue_is_full(const struct nj_session *session, const struct nj_message_view *view,
                          uint32_t window)
{
    const struct nj_limits *limits = session->shard->limits;
    uint64_t bytes;
    uint64_t count = nj_session_queued(session, &bytes);
    if (limits->max_queued && count >= (uint64_t)limits->max_queued + window) {
        return true;
    }
    return limits->max_queued_bytes && bytes + view->payload.len > limits->max_queued_bytes;
}

static bool demand_flow(struct nj_session *session)
{
    if (!session->flow) {
        session->flow = nj_flow_new();
        if (session->flow) {
            session->flow->last_packet_id = session->last_packet_id;
        }
    }
    return session->flow != NULL;
}

/* ---- queue */

/* It would have to stay, and memory is short. What QoS 2 released is there already, and so is what
 * is retained or was given to a member of a shared subscription that went. */
static bool must_not_stay(const struct nj_publication *publication)
{
    return NJ_UNLIKELY(nj_mem_is_short()) && publication->phase == NJ_PHASE_ALL &&
           !publication->is_accepted;
}

static void drop_full(struct nj_session *session)
{
    NJ_STAT_ADD(session->shard, dropped_queue_full, 1);
    drop(session);
}

/* It is no limit that the publisher has to expect: told, it sends again. */
static void drop_memory(struct nj_session *session, uint8_t qos)
{
    struct nj_shard *shard = session->shard;
    NJ_STAT_ADD(shard, dropped_memory, 1);
    shard->is_group_broken |= qos > 0;
    drop(session);
}

/* Keeps the publication in memory for later. */
static enum nj_err enqueue(struct nj_session *session, struct nj_publication *publication,
                           struct nj_delivery *delivery)
{
    struct nj_message *message = demand_flow(session) ? nj_publication_keep(publication) : NULL;
    if (!message) {
        return NJ_ENOMEM;
    }
    delivery->message = message;
    enum nj_err err = nj_flow_enqueue(session->flow, delivery);
    if (err == NJ_OK) {
        (void)nj_message_ref(message);
        NJ_STAT_ADD(session->shard, queued, 1);
    }
    return err;
}

static void enqueue_volatile(struct nj_session *session, struct nj_publication *publication,
                             struct nj_delivery *delivery, uint32_t window)
{
    if (queue_is_full(session, &publication->view, window)) {
        drop_full(session);
    } else if (must_not_stay(publication) || enqueue(session, publication, delivery) != NJ_OK) {
        drop_memory(session, delivery->qos);
    }
}

/* ---- sending */

static struct nj_flight *take_flight(struct nj_session *session, const struct nj_delivery *delivery,
                                     uint32_t payload_len)
{
    struct nj_flight *flight = demand_flow(session) ? nj_flow_take(session->flow) : NULL;
    if (flight) {
        flight->delivery = *delivery;
        flight->delivery.message = NULL;
        flight->state = delivery->qos == 1 ? NJ_FLIGHT_WAIT_PUBACK : NJ_FLIGHT_WAIT_PUBREC;
        flight->bytes = payload_len;
        session->flow->flight_bytes += payload_len;
    }
    return flight;
}

/* A QoS > 0 frame takes a packet id and a place in flight. True when it is done with: sent, and
 * *packet_id says how, or dropped, then that is 0. False when memory is short for now. */
static bool send_counted(struct nj_session *session, struct nj_publication *publication,
                         const struct nj_delivery *delivery, uint16_t *packet_id)
{
    *packet_id = 0;
    struct nj_flight *flight =
        take_flight(session, delivery, (uint32_t)publication->view.payload.len);
    if (!flight) {
        return false;
    }
    enum nj_output_result result =
        nj_output_publish(session->link, publication, delivery, flight->packet_id);
    if (result != NJ_OUTPUT_SENT) {
        nj_flow_done(session->flow, flight);
        if (result == NJ_OUTPUT_TOO_LARGE) {
            nj_rows_remove(session, delivery->seq);
            return true;
        }
        return false;
    }
    /* A shared message is kept, too: if the session ends, another member gets it. */
    if (session->is_stored || delivery->share) {
        struct nj_message *message = nj_publication_keep(publication);
        flight->delivery.message = message ? nj_message_ref(message) : NULL;
    }
    *packet_id = flight->packet_id;
    return true;
}

/* A packet id and a place in flight for what goes out when `delivery->group` is durable. Takes a
 * reference to the message. 0 = memory is short. */
static uint16_t reserve(struct nj_session *session, const struct nj_delivery *delivery)
{
    struct nj_message *message = delivery->message;
    struct nj_flight *flight = take_flight(session, delivery, message->payload_len);
    if (!flight) {
        return 0;
    }
    if (nj_flow_wait(session->flow, flight) != NJ_OK) {
        nj_flow_done(session->flow, flight);
        return 0;
    }
    flight->delivery.message = nj_message_ref(message);
    nj_session_pump_later(session, delivery->group);
    return flight->packet_id;
}

/* The socket takes nothing, and as much as may wait waits already. */
static bool is_too_slow(const struct nj_link *link)
{
    const struct nj_limits *limits = link->shard->limits;
    size_t bytes_max = limits->max_queued_bytes ? limits->max_queued_bytes : SLOW_BYTES_MAX;
    return link->is_blocked && ((limits->max_queued && link->out.frames >= limits->max_queued) ||
                                link->out.pending >= bytes_max);
}

static void deliver_qos0(struct nj_session *session, struct nj_publication *publication,
                         const struct nj_delivery *delivery)
{
    struct nj_link *link = session->link;
    struct nj_shard *shard = session->shard;
    if (NJ_UNLIKELY(is_too_slow(link))) {
        NJ_STAT_ADD(shard, dropped_slow, 1);
        drop(session);
        return;
    }
    bool would_stay =
        (link->is_blocked || link->out.pending > SHORT_BYTES_MAX) && nj_mem_is_short();
    if (would_stay || nj_output_publish(link, publication, delivery, 0) == NJ_OUTPUT_NO_MEMORY) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        drop(session);
    }
}

static bool is_online(const struct nj_session *session)
{
    return session->link && session->link->is_ready && !session->link->is_closing;
}

static bool keeps_rows(const struct nj_session *session)
{
    return session->is_stored || session->has_rows;
}

/* `is_ahead`: need not go behind what is queued. */
static void deliver_volatile(struct nj_session *session, struct nj_publication *publication,
                             struct nj_delivery *delivery, bool is_ahead)
{
    uint16_t packet_id;
    uint32_t window = is_online(session) ? nj_deliver_window(session) : 0;
    bool may_go = window > 0 && (is_ahead || !session->flow || !session->flow->queue_count);
    bool would_stay = may_go && session->link->is_blocked && must_not_stay(publication);
    if (!may_go || would_stay || !send_counted(session, publication, delivery, &packet_id)) {
        enqueue_volatile(session, publication, delivery, window);
    }
}

/* A row of its own, in the group that the publisher waits for. QoS 1 goes out at once: it may come
 * twice. What must not come twice waits for the group. */
static void deliver_stored(struct nj_session *session, struct nj_publication *publication,
                           struct nj_delivery *delivery)
{
    struct nj_shard *shard = session->shard;
    uint32_t window = is_online(session) ? nj_deliver_window(session) : 0;
    bool is_spilled = nj_rows_must_spill(session);
    bool may_go = window > 0 && !is_spilled && (!session->flow || !session->flow->queue_count);
    if (!may_go && queue_is_full(session, &publication->view, window)) {
        drop_full(session);
        return;
    }
    if (must_not_stay(publication)) {
        drop_memory(session, delivery->qos);
        return;
    }
    delivery->message = nj_publication_keep(publication);
    uint32_t at = shard->op_count;
    if (nj_rows_append(session, delivery->message, delivery) != NJ_OK) {
        drop_memory(session, delivery->qos);
        return;
    }
    if (is_spilled) {
        nj_rows_spilled(session, delivery->qos, publication->view.payload.len);
        return;
    }
    nj_rows_kept(session, delivery->seq);
    uint16_t packet_id = 0;
    bool is_done = false;
    if (may_go && (delivery->qos == 2 || publication->phase == NJ_PHASE_ROWS)) {
        packet_id = reserve(session, delivery);
        is_done = packet_id != 0;
    } else if (may_go) {
        is_done = send_counted(session, publication, delivery, &packet_id);
    }
    shard->ops[at].packet_id = packet_id;
    if (!is_done && enqueue(session, publication, delivery) != NJ_OK) {
        drop_memory(session, delivery->qos); /* its row goes with the group */
    }
}

static void deliver_counted(struct nj_session *session, struct nj_publication *publication,
                            struct nj_delivery *delivery, bool is_ahead)
{
    if (keeps_rows(session)) {
        deliver_stored(session, publication, delivery);
    } else {
        deliver_volatile(session, publication, delivery, is_ahead);
    }
}

static void deliver_uncounted(struct nj_session *session, struct nj_publication *publication,
                              struct nj_delivery *delivery)
{
    /* Never past one of its kind that waits in the queue (MQTT5 4.6), here or in the store. */
    bool is_behind = (session->flow && session->flow->queued_qos0) ||
                     (session->backlog.count && session->backlog.has_qos0);
    if (is_online(session) && NJ_LIKELY(!is_behind)) {
        deliver_qos0(session, publication, delivery);
    } else if (session->link && !session->link->is_closing &&
               !(keeps_rows(session) && nj_rows_must_spill(session))) {
        enqueue_volatile(session, publication, delivery, 0);
    } else if (keeps_rows(session) && (session->link || session->shard->limits->queue_qos0)) {
        deliver_stored(session, publication, delivery);
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
    if (options->is_no_local && session->id == publication->sender) {
        return true;
    }
    if (NJ_UNLIKELY(session->has_ended || !may_receive(session, publication->view.topic))) {
        return false;
    }
    uint8_t qos = granted_qos(session, publication->view.qos, options->qos);
    struct nj_delivery delivery = {
        .sub_id = options->sub_id,
        .share = publication->share,
        .qos = qos,
        .is_retain =
            publication->view.is_retain && (options->is_retain_as_published || session->is_bridge),
    };
    bool has_row = keeps_rows(session) && qos > 0;
    if (NJ_UNLIKELY(publication->phase != NJ_PHASE_ALL) &&
        has_row != (publication->phase == NJ_PHASE_ROWS)) {
        publication->is_deferred = true; /* it has its turn in the other phase */
        return true;
    }
    if (qos > 0) {
        deliver_counted(session, publication, &delivery, false);
    } else {
        deliver_uncounted(session, publication, &delivery);
    }
    return true;
}

/* ---- later */

static bool is_expired(const struct nj_shard *shard, uint64_t expires_ms)
{
    return expires_ms && expires_ms <= shard->now_ms;
}

/* The head goes: expired, no longer allowed, or on its way. */
static void take_head(struct nj_session *session)
{
    struct nj_delivery delivery = nj_flow_dequeue(session->flow);
    NJ_STAT_SUB(session->shard, queued, 1);
    nj_message_unref(delivery.message);
}

static void drop_head(struct nj_session *session)
{
    nj_rows_remove(session, nj_flow_head(session->flow)->seq);
    take_head(session);
}

/* QoS 2 of a stored session: its packet id is recorded before it is sent for the first time, or a
 * crash between the two would send it again under another one. */
static bool reserve_head(struct nj_session *session)
{
    struct nj_delivery delivery = *nj_flow_head(session->flow);
    delivery.group = nj_shard_open_group(session->shard);
    uint16_t packet_id = reserve(session, &delivery);
    if (packet_id) {
        nj_rows_sent(session, delivery.seq, packet_id);
        take_head(session);
    }
    return packet_id != 0;
}

static bool send_head(struct nj_session *session)
{
    struct nj_delivery delivery = *nj_flow_head(session->flow);
    struct nj_publication publication = {
        .view = nj_message_view(delivery.message),
        .kept = nj_message_ref(delivery.message),
    };
    bool is_done = true;
    uint16_t packet_id = 0;
    if (delivery.qos) {
        is_done = send_counted(session, &publication, &delivery, &packet_id);
    } else {
        deliver_qos0(session, &publication, &delivery);
        nj_rows_remove(session, delivery.seq);
    }
    nj_publication_fini(&publication);
    if (is_done) {
        if (packet_id) {
            nj_rows_sent(session, delivery.seq, packet_id);
        }
        take_head(session);
    }
    return is_done;
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
        drop(session);
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
    if (head->group > shard->completed) {
        nj_session_pump_later(session, head->group);
        return false;
    }
    return head->qos == 2 && head->seq ? reserve_head(session) : send_head(session);
}

void nj_deliver_take_back(struct nj_session *session, struct nj_flight *flight)
{
    if (flight->delivery.qos == 2 && flight->delivery.was_sent) {
        /* The client may have it: the pump finishes it. */
        if (nj_flow_wait(session->flow, flight) != NJ_OK) {
            nj_link_fail_memory(session->link);
        }
        return;
    }
    drop(session);
    nj_rows_remove(session, flight->delivery.seq);
    nj_flow_done(session->flow, flight);
}

/* What was in flight will not be sent again. With QoS 2 the client may have it and wait for PUBREL:
 * its packet id is free only after that (MQTT5 4.3.3). */
static void give_up_flight(struct nj_session *session, struct nj_flight *flight)
{
    struct nj_wait wait = {0};
    if (flight->delivery.qos == 2 && flight->delivery.was_sent) {
        flight->state = NJ_FLIGHT_WAIT_PUBCOMP;
        nj_rows_released(session, flight->delivery.seq);
        wait.group = nj_shard_commit(session->shard, &wait.err);
        nj_session_ack(session, NJ_HOLD_PUBREL, flight->packet_id, NJ_RC_SUCCESS, wait);
    } else {
        nj_deliver_take_back(session, flight);
    }
}

/* A QoS 2 message that the client may have is finished whatever its age. */
static bool may_go_on(struct nj_session *session, const struct nj_flight *flight)
{
    const struct nj_message *message = flight->delivery.message;
    bool may_expire = flight->delivery.qos == 1 || !flight->delivery.was_sent;
    return message && may_receive(session, nj_message_topic(message)) &&
           !(may_expire && is_expired(session->shard, message->expires_ms));
}

bool nj_deliver_flight(struct nj_session *session, struct nj_flight *flight)
{
    struct nj_message *message = flight->delivery.message;
    enum nj_output_result result = NJ_OUTPUT_TOO_LARGE;
    nj_flow_sent(session->flow, flight);
    if (may_go_on(session, flight)) {
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
        flight->is_unsent = true; /* it has kept its place */
        session->flow->unsent_count++;
        return false;
    }
    give_up_flight(session, flight);
    return true;
}

/* ---- retained */

/* What a stored session has to wait for takes a place in its queue: no more of them than can be
 * sent then. */
static bool has_room_for_replay(const struct nj_session *session)
{
    uint64_t waiting = 0;
    if (keeps_rows(session)) {
        waiting = session->backlog.count + (session->flow ? session->flow->queue_count : 0);
    }
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
        .is_accepted = true,
    };
    struct nj_delivery delivery = {.sub_id = options->sub_id, .qos = qos, .is_retain = true};
    bool is_done = true;
    if (qos == 0) {
        is_done =
            nj_output_publish(session->link, &publication, &delivery, 0) != NJ_OUTPUT_NO_MEMORY;
    } else if (!has_room_for_replay(session)) {
        is_done = false;
    } else {
        deliver_counted(session, &publication, &delivery, true);
        enum nj_err err;
        (void)nj_shard_commit(shard, &err);
    }
    nj_publication_fini(&publication);
    return is_done;
}
