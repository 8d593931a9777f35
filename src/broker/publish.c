/* See publish.h. */
#include "broker/publish.h"

#include "base/mem.h"
#include "broker/commit.h"
#include "broker/denial.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/retain.h"
#include "broker/rows.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

#define MS_PER_S 1000ull

static enum nj_err refuse(enum nj_mqtt_reason *reason, enum nj_mqtt_reason why)
{
    *reason = why;
    return NJ_EPROTOCOL;
}

/* ---- topic: alias, then mount point */

static enum nj_err alias_store(struct nj_link *link, uint16_t alias, struct nj_bytes topic)
{
    if (!link->alias_in) {
        uint16_t max = link->alias_in_max;
        link->alias_in =
            nj_try_zalloc(sizeof(*link->alias_in) + max * sizeof(link->alias_in->entry[0]));
        if (!link->alias_in) {
            return NJ_ENOMEM;
        }
        link->alias_in->max = max;
    }
    char *copy = nj_try_bytes_dup(topic);
    if (!copy) {
        return NJ_ENOMEM;
    }
    nj_free(link->alias_in->entry[alias - 1].topic);
    link->alias_in->entry[alias - 1].topic = copy;
    link->alias_in->entry[alias - 1].len = (uint32_t)topic.len;
    return NJ_OK;
}

/* The topic that is meant, before the mount point. */
static enum nj_err resolve_alias(struct nj_link *link, const struct nj_publish_in *in,
                                 struct nj_bytes *topic, enum nj_mqtt_reason *reason)
{
    *topic = in->topic;
    if (!in->alias) {
        return in->topic.len ? NJ_OK : refuse(reason, NJ_RC_PROTOCOL_ERROR);
    }
    if (in->alias > link->alias_in_max) {
        return refuse(reason, NJ_RC_TOPIC_ALIAS_INVALID);
    }
    if (in->topic.len == 0) {
        if (!link->alias_in || !link->alias_in->entry[in->alias - 1].topic) {
            return refuse(reason, NJ_RC_PROTOCOL_ERROR);
        }
        *topic = nj_bytes(link->alias_in->entry[in->alias - 1].topic,
                          link->alias_in->entry[in->alias - 1].len);
    }
    return NJ_OK;
}

enum nj_err nj_shard_mounted(struct nj_shard *shard, struct nj_bytes mount_point,
                             struct nj_bytes *topic)
{
    if (!mount_point.len) {
        return NJ_OK;
    }
    shard->topic_buf.len = 0;
    if (nj_buf_append(&shard->topic_buf, mount_point.ptr, mount_point.len) != NJ_OK ||
        nj_buf_append(&shard->topic_buf, topic->ptr, topic->len) != NJ_OK) {
        return NJ_ENOMEM;
    }
    *topic = nj_buf_bytes(&shard->topic_buf);
    return NJ_OK;
}

/* ---- accepted publications */

bool nj_shard_retain_clear(struct nj_shard *shard, struct nj_bytes topic)
{
    if (!nj_retain_clear(shard->core->retain, topic)) {
        return false;
    }
    struct nj_store_op *op = nj_shard_op(shard, NJ_STORE_RETAIN_CLEAR, 0);
    if (op) {
        op->bytes = topic;
    }
    return true;
}

void nj_shard_retain_store(struct nj_shard *shard, struct nj_message *message,
                           struct nj_origin *origin, uint64_t over)
{
    struct nj_store_op *op = nj_shard_op(shard, NJ_STORE_RETAIN_SET, 0);
    if (!op) {
        return;
    }
    op->message = message;
    op->value = over;
    if (origin) {
        shard->saved_origin = (struct nj_store_origin){
            .user = nj_origin_user(origin),
            .client_id = nj_origin_client_id(origin),
            .scope = origin->scope_id,
            .by_certificate = origin->by_certificate,
        };
        op->origin = &shard->saved_origin;
    }
}

static void retain(struct nj_shard *shard, struct nj_publication *publication,
                   struct nj_origin *origin)
{
    struct nj_bytes topic = publication->view.topic;
    if (publication->view.payload.len == 0) {
        (void)nj_shard_retain_clear(shard, topic);
        publication->retain_clock = (uint32_t)nj_retain_clock(shard->core->retain);
        return;
    }
    struct nj_message_view view = publication->view;
    if (shard->limits->retain_expiry_ms && !view.expires_ms) {
        view.expires_ms = shard->now_ms + shard->limits->retain_expiry_ms;
    }
    bool is_refused = origin && publication->phase == NJ_PHASE_ALL && !publication->is_accepted &&
                      nj_mem_is_short();
    struct nj_message *message = NULL;
    if (!is_refused) {
        message = view.expires_ms == publication->view.expires_ms ? nj_publication_keep(publication)
                                                                  : nj_message_new(&view);
    }
    uint64_t clock;
    if (!message || nj_retain_put(shard->core->retain, message, origin, &clock) != NJ_OK) {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        shard->is_group_broken |= publication->view.qos > 0; /* the publisher learns of it */
    } else {
        nj_shard_retain_store(shard, message, origin, 0);
        publication->retain_clock = (uint32_t)clock;
    }
    if (message && message != publication->kept) {
        /* It is what the index holds; the group refers to it until it is committed. */
        nj_message_unref(message);
    }
}

struct nj_routed nj_publish_accepted(struct nj_session *session, struct nj_publication *publication,
                                     bool wants_ticket)
{
    struct nj_shard *shard = session->shard;
    /* Retained first, then matched: whoever subscribes meanwhile sees the one or the other. */
    if (NJ_UNLIKELY(publication->view.is_retain)) {
        retain(shard, publication, session->origin);
    }
    return nj_route(shard, publication, wants_ticket);
}

void nj_publish_by_broker(struct nj_shard *shard, const struct nj_message_view *view)
{
    struct nj_publication publication = {.view = *view};
    if (view->is_retain) {
        retain(shard, &publication, NULL);
        shard->op_count = 0; /* $SYS is made anew after a restart, not stored */
    }
    (void)nj_route(shard, &publication, false);
    enum nj_err err;
    (void)nj_shard_commit(shard, &err);
    nj_publication_fini(&publication); /* the group refers to it until then */
}

/* ---- PUBLISH */

static uint8_t puback_reason(const struct nj_link *link, const struct nj_routed *routed)
{
    return link->version == NJ_MQTT_5 && !routed->has_subscribers ? NJ_RC_NO_MATCHING_SUBSCRIBERS
                                                                  : NJ_RC_SUCCESS;
}

static void publish_now(struct nj_session *session, const struct nj_publish_in *in,
                        struct nj_publication *publication)
{
    struct nj_routed routed = nj_publish_accepted(session, publication, in->qos > 0);
    struct nj_wait wait = {.ticket = routed.ticket, .tickets = routed.tickets};
    wait.group = nj_shard_commit(session->shard, &wait.err);
    if (in->qos == 1) {
        nj_session_ack(session, NJ_HOLD_PUBACK, in->packet_id,
                       puback_reason(session->link, &routed), wait);
    }
}

static struct nj_flow *demand_flow(struct nj_session *session)
{
    if (!session->flow) {
        session->flow = nj_flow_new();
    }
    return session->flow;
}

/* Records the incoming message and answers when that is durable. */
static void store_incoming(struct nj_session *session, const struct nj_incoming *incoming)
{
    struct nj_wait wait = {0};
    if (session->is_stored) {
        struct nj_store_op *op = nj_shard_op(session->shard, NJ_STORE_INCOMING_PUT, session->id);
        if (op) {
            op->message = incoming->message;
            op->packet_id = incoming->packet_id;
        }
        wait.group = nj_shard_commit(session->shard, &wait.err);
    }
    nj_session_ack(session, NJ_HOLD_PUBREC, incoming->packet_id, NJ_RC_SUCCESS, wait);
}

/* Older versions have no receive maximum; what they may leave unreleased is bounded all the same.
 */
static bool is_incoming_full(const struct nj_session *session)
{
    const struct nj_limits *limits = session->shard->limits;
    return limits->max_queued &&
           session->flow->incoming.count >= limits->max_queued + limits->max_inflight;
}

/* A publish that is not accepted but does not end the connection: MQTT 5 says why in the
 * acknowledgement, older versions get a normal one (MQTT3 3.3.5.2). */
static void answer_refused(struct nj_session *session, const struct nj_publish_in *in,
                           enum nj_mqtt_reason why)
{
    uint8_t reason = session->link->version == NJ_MQTT_5 ? (uint8_t)why : 0;
    if (in->qos == 1) {
        nj_session_ack(session, NJ_HOLD_PUBACK, in->packet_id, reason, (struct nj_wait){0});
    } else if (in->qos == 2) {
        nj_session_ack(session, NJ_HOLD_PUBREC, in->packet_id, reason, (struct nj_wait){0});
    }
}

/* QoS 2 is kept until PUBREL. A duplicate is recorded again: the connection that sent it first may
 * have gone before it was known whether its record was kept (MQTT5 4.3.3). */
static enum nj_err publish_qos2(struct nj_session *session, const struct nj_publish_in *in,
                                struct nj_publication *publication, enum nj_mqtt_reason *reason)
{
    struct nj_flow *flow = demand_flow(session);
    struct nj_incoming *incoming = flow ? nj_flow_incoming_find(flow, in->packet_id) : NULL;
    if (!incoming) {
        /* A request is at work already, and only its id is kept. */
        bool is_short = nj_mem_is_short() && !nj_publish_is_request(publication->view.topic);
        if (is_short && session->link->version == NJ_MQTT_5) {
            NJ_STAT_ADD(session->shard, dropped_memory, 1);
            answer_refused(session, in, NJ_RC_QUOTA_EXCEEDED);
            return NJ_OK;
        }
        struct nj_message *message = flow && !is_short && !is_incoming_full(session)
                                         ? nj_publication_keep(publication)
                                         : NULL;
        incoming = message ? nj_flow_incoming_add(flow, in->packet_id) : NULL;
        if (!incoming) {
            return refuse(reason, NJ_RC_QUOTA_EXCEEDED);
        }
        incoming->message = nj_message_ref(message);
    }
    if (incoming->connection != session->connection) {
        /* Once for each connection: the same message again takes no more of the quota. */
        incoming->connection = session->connection;
        session->link->receive_in++;
    }
    store_incoming(session, incoming);
    return NJ_OK;
}

/* ---- requests to the broker: handed on at once, never routed, retained or stored */

bool nj_publish_is_request(struct nj_bytes topic)
{
    return nj_bytes_starts_with(topic, NJ_BYTES_LIT("$CONTROL/"));
}

/* With QoS 2 it is passed on with the first PUBLISH, and only its packet id is kept until PUBREL
 * (MQTT5 4.3.3, the second way): what a request says, perhaps a password, is not stored. */
static enum nj_err take_request(struct nj_session *session, const struct nj_publish_in *in,
                                struct nj_publication *publication, enum nj_mqtt_reason *reason)
{
    struct nj_flow *flow = in->qos == 2 ? demand_flow(session) : NULL;
    if (in->qos == 2 && (!flow || is_incoming_full(session))) {
        return refuse(reason, NJ_RC_QUOTA_EXCEEDED);
    }
    bool is_known = flow && nj_flow_incoming_find(flow, in->packet_id);
    enum nj_mqtt_reason answer = NJ_RC_SUCCESS;
    if (!is_known) {
        answer = session->shard->core->events->request(session, publication->view.topic, in);
    }
    if (in->qos < 2 || answer != NJ_RC_SUCCESS) {
        answer_refused(session, in, answer);
        return NJ_OK;
    }
    publication->view.payload = nj_bytes(NULL, 0);
    publication->view.props = nj_bytes(NULL, 0);
    publication->view.is_retain = false;
    return publish_qos2(session, in, publication, reason);
}

static bool is_format_wrong(const struct nj_shard *shard, const struct nj_publish_in *in)
{
    return shard->limits->checks_payload_format && !nj_mqtt_utf8_is_well_formed(in->payload);
}

/* A QoS 0 publish has no acknowledgement that could say so (MQTT5 3.3.2.3.2). */
static enum nj_err refuse_format(struct nj_session *session, const struct nj_publish_in *in,
                                 enum nj_mqtt_reason *reason)
{
    NJ_STAT_ADD(session->shard, publish_dropped, 1);
    if (in->qos == 0) {
        return refuse(reason, NJ_RC_PAYLOAD_FORMAT_INVALID);
    }
    answer_refused(session, in, NJ_RC_PAYLOAD_FORMAT_INVALID);
    return NJ_OK;
}

static enum nj_err check(struct nj_session *session, const struct nj_publish_in *in,
                         struct nj_bytes topic, enum nj_mqtt_reason *reason)
{
    const struct nj_limits *limits = session->shard->limits;
    const struct nj_link *link = session->link;
    if (!nj_mqtt_topic_is_valid(topic, limits->topic_levels)) {
        return refuse(reason, NJ_RC_TOPIC_NAME_INVALID);
    }
    if (in->qos > link->max_qos) {
        return refuse(reason, NJ_RC_QOS_NOT_SUPPORTED);
    }
    if (in->is_retain && !limits->retain_available) {
        return refuse(reason, NJ_RC_RETAIN_NOT_SUPPORTED);
    }
    return NJ_OK;
}

/* Whether it may. A mount point or an alias is not looked behind: then it is taken to. */
static bool needs_store(struct nj_session *session, const struct nj_publish_in *in)
{
    return (in->qos == 2 && session->is_stored) || in->is_retain ||
           session->link->mount_point.len || !in->topic.len ||
           nj_route_reaches_stored(session->shard, in->topic);
}

bool nj_session_must_wait(struct nj_session *session, const struct nj_publish_in *in)
{
    struct nj_shard *shard = session->shard;
    struct nj_link *link = session->link;
    if (NJ_LIKELY(in->qos == 0 && !in->is_retain && !shard->limits->queue_qos0)) {
        return false; /* whatever the store does */
    }
    bool has_much_held = in->qos > 0 && session->held_count >= NJ_HELD_MAX;
    bool is_mute = in->qos > 0 && shard->store_state != NJ_STORE_GOOD && link->version != NJ_MQTT_5;
    bool is_behind = nj_shard_store_is_behind(shard);
    if (NJ_LIKELY(!has_much_held && !is_mute && !is_behind)) {
        return false;
    }
    if (!has_much_held && !needs_store(session, in)) {
        return false;
    }
    shard->was_store_behind |= is_behind;
    nj_link_hold_back(link);
    return true;
}

enum nj_err nj_session_publish(struct nj_session *session, const struct nj_publish_in *in,
                               enum nj_mqtt_reason *reason)
{
    struct nj_shard *shard = session->shard;
    struct nj_link *link = session->link;
    struct nj_publication publication = {
        .view = {.props = in->props,
                 .payload = in->payload,
                 .qos = in->qos,
                 .is_retain = in->is_retain,
                 .expires_ms = in->has_expiry ? shard->now_ms + in->expiry_s * MS_PER_S : 0},
        .sender = session->id,
    };
    struct nj_bytes topic;
    enum nj_err err = resolve_alias(link, in, &topic, reason);
    if (err == NJ_OK) {
        err = check(session, in, topic, reason);
    }
    if (err != NJ_OK) {
        return err;
    }
    /* Whatever becomes of the message: from here on the alias means this topic. */
    if (in->alias && in->topic.len && alias_store(link, in->alias, in->topic) != NJ_OK) {
        return refuse(reason, NJ_RC_QUOTA_EXCEEDED);
    }
    publication.view.topic = topic;
    if (nj_shard_mounted(shard, link->mount_point, &publication.view.topic) != NJ_OK) {
        return refuse(reason, NJ_RC_QUOTA_EXCEEDED);
    }
    NJ_STAT_ADD(shard, publish_received, 1);
    link->traffic.published_in++;
    NJ_STAT_ADD(shard, publish_bytes_received, in->payload.len);

    struct nj_verdict verdict;
    nj_authz(shard->policy, &session->subject, NJ_ACTION_PUBLISH, publication.view.topic, &verdict);
    if (!verdict.allowed) {
        nj_session_denied(session, NJ_ACTION_PUBLISH, publication.view.topic, &verdict);
        answer_refused(session, in, NJ_RC_NOT_AUTHORIZED);
        return NJ_OK;
    }
    if (shard->limits->max_payload && in->payload.len > shard->limits->max_payload) {
        NJ_STAT_ADD(shard, publish_dropped, 1);
        answer_refused(session, in, NJ_RC_PACKET_TOO_LARGE);
        return NJ_OK;
    }
    if (NJ_UNLIKELY(in->says_utf8) && is_format_wrong(shard, in)) {
        return refuse_format(session, in, reason);
    }
    if (in->qos && link->receive_max_in && link->receive_in >= link->receive_max_in) {
        return refuse(reason, NJ_RC_RECEIVE_MAXIMUM_EXCEEDED);
    }
    if (NJ_UNLIKELY(nj_publish_is_request(publication.view.topic))) {
        err = take_request(session, in, &publication, reason);
    } else if (in->qos == 2) {
        err = publish_qos2(session, in, &publication, reason);
    } else {
        publish_now(session, in, &publication);
    }
    nj_publication_fini(&publication);
    return err;
}

/* ---- the client's answers */

static void finish(struct nj_session *session, struct nj_flight *flight)
{
    nj_rows_remove(session, flight->delivery.seq);
    nj_flow_done(session->flow, flight);
    enum nj_err err;
    (void)nj_shard_commit(session->shard, &err);
    nj_session_pump(session);
}

bool nj_session_expects(const struct nj_session *session, enum nj_mqtt_type ack, uint16_t packet_id)
{
    const struct nj_flight *flight = session->flow ? nj_flow_find(session->flow, packet_id) : NULL;
    if (!flight || ack == NJ_MQTT_PUBREL) {
        return true;
    }
    if (flight->state == NJ_FLIGHT_WAIT_PUBACK) {
        return ack == NJ_MQTT_PUBACK;
    }
    return ack == NJ_MQTT_PUBREC ||
           (ack == NJ_MQTT_PUBCOMP && flight->state == NJ_FLIGHT_WAIT_PUBCOMP);
}

void nj_session_puback(struct nj_session *session, uint16_t packet_id)
{
    struct nj_flight *flight = session->flow ? nj_flow_find(session->flow, packet_id) : NULL;
    if (flight && flight->state == NJ_FLIGHT_WAIT_PUBACK) {
        finish(session, flight);
    }
}

void nj_session_pubrec(struct nj_session *session, uint16_t packet_id, bool is_error)
{
    struct nj_flight *flight = session->flow ? nj_flow_find(session->flow, packet_id) : NULL;
    if (!flight || flight->state == NJ_FLIGHT_WAIT_PUBACK) {
        /* MQTT5 4.3.3: answered, so that the receiver can let go of its half. */
        if (!is_error) {
            nj_session_ack_unknown(session, NJ_HOLD_PUBREL, packet_id);
        }
        return;
    }
    if (is_error) {
        finish(session, flight);
        return;
    }
    struct nj_wait wait = {0};
    nj_flow_sent(session->flow, flight);
    if (flight->state == NJ_FLIGHT_WAIT_PUBREC) {
        flight->state = NJ_FLIGHT_WAIT_PUBCOMP;
        nj_rows_released(session, flight->delivery.seq);
        wait.group = nj_shard_commit(session->shard, &wait.err);
    }
    nj_session_ack(session, NJ_HOLD_PUBREL, packet_id, NJ_RC_SUCCESS, wait);
}

void nj_session_pubcomp(struct nj_session *session, uint16_t packet_id)
{
    struct nj_flight *flight = session->flow ? nj_flow_find(session->flow, packet_id) : NULL;
    if (flight && flight->state == NJ_FLIGHT_WAIT_PUBCOMP) {
        finish(session, flight);
    }
}
