/* One packet of a connection: decoded here, handled by the core. */
#include "base/log.h"
#include "base/mem.h"
#include "broker/explain.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/publish.h"
#include "broker/replay.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/subscribe.h"
#include "front/conn.h"
#include "front/front.h"
#include "front/login.h"
#include "mqtt/ack.h"
#include "mqtt/auth.h"
#include "mqtt/disconnect.h"
#include "mqtt/frame.h"
#include "mqtt/publish.h"
#include "mqtt/suback.h"
#include "mqtt/subscribe.h"
#include "mqtt/topic.h"
#include "mqtt/unsuback.h"
#include "mqtt/unsubscribe.h"
#include "mqtt/utf8.h"

/* What the log calls the end: natively what it was, in compat mode in the original's words. */
static const char *why_of(const struct nj_conn *conn, enum nj_mqtt_reason reason)
{
    const char *text = nj_explain_reason(reason);
    if (text && !conn->link.shard->limits->errors_as_original) {
        return text;
    }
    switch (reason) {
    case NJ_RC_MALFORMED_PACKET:
        return "malformed packet";
    case NJ_RC_NOT_AUTHORIZED:
        return "not authorised";
    case NJ_RC_PACKET_TOO_LARGE:
        return "oversize packet";
    default:
        return "protocol error";
    }
}

/* Before anything came of the packet, for it may have another turn. */
static bool bad(struct nj_conn *conn, enum nj_mqtt_reason reason)
{
    if (conn->state == NJ_CONN_ACTIVE && nj_session_owes_answers(conn->link.session)) {
        return false;
    }
    NJ_STAT_ADD(conn->link.shard, bad_packets, 1);
    nj_conn_end(conn, reason, why_of(conn, reason));
    return false;
}

static bool fail_memory(struct nj_conn *conn)
{
    nj_conn_close(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
    return false;
}

/* Compat mode: control characters in topics are malformed; elsewhere only logs have to care. */
static bool has_bad_text(const struct nj_conn *conn, struct nj_bytes topic)
{
    return !conn->link.shard->limits->refuses_control_chars && nj_mqtt_utf8_has_control(topic);
}

/* What MQTT5 1.2 calls a protocol error, or gives a code of its own, and the original malformed. */
static enum nj_mqtt_reason as_original(const struct nj_conn *conn, enum nj_mqtt_reason reason)
{
    return conn->link.shard->limits->errors_as_original ? NJ_RC_MALFORMED_PACKET : reason;
}

/* For SUBSCRIBE and UNSUBSCRIBE that do not decode: not what is wrong with properties. */
static bool bad_subscribe(struct nj_conn *conn, const struct nj_mqtt_subscribe *packet,
                          enum nj_mqtt_reason reason)
{
    return bad(conn, packet->filters.ptr ? as_original(conn, reason) : reason);
}

/* ---- PUBLISH */

static struct nj_bytes forwarded(struct nj_shard *shard, const struct nj_mqtt_props *props)
{
    shard->props_buf.len = 0;
    if (nj_buf_reserve(&shard->props_buf, props->raw.len + 1) != NJ_OK) {
        return nj_bytes(NULL, 0);
    }
    return nj_mqtt_props_forwarded(props, shard->props_buf.data);
}

static bool on_publish(struct nj_conn *conn, struct nj_bytes body, uint8_t flags)
{
    struct nj_session *session = conn->link.session;
    struct nj_mqtt_publish packet;
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    if (nj_mqtt_publish_decode(body, flags, conn->link.version, &packet, &reason) != NJ_OK) {
        bool has_no_topic = reason == NJ_RC_PROTOCOL_ERROR && !packet.topic.len;
        return bad(conn, has_no_topic ? as_original(conn, reason) : reason);
    }
    if (has_bad_text(conn, packet.topic)) {
        return bad(conn, NJ_RC_MALFORMED_PACKET);
    }
    struct nj_publish_in in = {
        .topic = packet.topic,
        .payload = packet.payload,
        .packet_id = packet.packet_id,
        .qos = packet.qos,
        .is_retain = packet.is_retain,
        .is_dup = packet.is_dup,
    };
    if (conn->link.version == NJ_MQTT_5) {
        in.has_expiry = nj_mqtt_props_has(&packet.props, NJ_PROP_MESSAGE_EXPIRY);
        in.expiry_s = packet.props.message_expiry_s;
        in.alias = packet.props.topic_alias;
        in.says_utf8 = packet.props.payload_format == 1;
        in.props = forwarded(conn->link.shard, &packet.props);
    }
    if (NJ_UNLIKELY(nj_log_wants(NJ_LOG_DEBUG))) {
        struct nj_bytes id = nj_session_client_id(session);
        nj_log(NJ_LOG_DEBUG,
               "Received PUBLISH from %.*s (d%d, q%d, r%d, m%u, '%.*s', ... (%zu bytes))",
               (int)id.len, (const char *)id.ptr, in.is_dup, in.qos, in.is_retain, in.packet_id,
               (int)in.topic.len, (const char *)in.topic.ptr, in.payload.len);
    }
    if (nj_session_must_wait(session, &in)) {
        return false;
    }
    if (nj_session_publish(session, &in, &reason) != NJ_OK) {
        return bad(conn, reason == NJ_RC_TOPIC_NAME_INVALID ? as_original(conn, reason) : reason);
    }
    return true;
}

/* ---- acknowledgements */

static bool on_ack(struct nj_conn *conn, const struct nj_mqtt_frame *frame, struct nj_bytes body)
{
    struct nj_session *session = conn->link.session;
    struct nj_mqtt_ack ack;
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    if (nj_mqtt_ack_decode(body, frame->type, conn->link.version, &ack, &reason) != NJ_OK) {
        return bad(conn, reason);
    }
    if (conn->link.shard->limits->errors_as_original &&
        !nj_session_expects(session, frame->type, ack.packet_id)) {
        return bad(conn, NJ_RC_PROTOCOL_ERROR);
    }
    switch (frame->type) {
    case NJ_MQTT_PUBACK:
        nj_session_puback(session, ack.packet_id);
        return true;
    case NJ_MQTT_PUBREC:
        nj_session_pubrec(session, ack.packet_id, ack.code >= NJ_RC_UNSPECIFIED);
        return true;
    case NJ_MQTT_PUBREL:
        nj_session_pubrel(session, ack.packet_id);
        return true;
    default:
        nj_session_pubcomp(session, ack.packet_id);
        return true;
    }
}

/* ---- SUBSCRIBE, UNSUBSCRIBE */

/* An invalid filter ends the connection (MQTT3 3.8.3-1 asks for it): so all are
 * looked at before the first one is entered. NJ_RC_SUCCESS, or what is wrong with one. */
static enum nj_mqtt_reason check_filters(struct nj_conn *conn, struct nj_bytes rest,
                                         bool is_subscribe)
{
    unsigned levels = conn->link.shard->limits->topic_levels;
    struct nj_mqtt_filter filter = {.is_no_local = false};
    while (is_subscribe ? nj_mqtt_subscribe_next(&rest, &filter)
                        : nj_mqtt_unsubscribe_next(&rest, &filter.filter)) {
        if (!nj_mqtt_subscription_is_valid(filter.filter, levels) ||
            has_bad_text(conn, filter.filter)) {
            return NJ_RC_MALFORMED_PACKET;
        }
        if (filter.is_no_local && nj_mqtt_is_share(filter.filter)) {
            return NJ_RC_PROTOCOL_ERROR; /* MQTT5 3.8.3-4 */
        }
    }
    return NJ_RC_SUCCESS;
}

static void log_filter(const struct nj_session *session, enum nj_log_type type, uint8_t qos,
                       struct nj_bytes filter)
{
    struct nj_bytes id = nj_session_client_id(session);
    if (type == NJ_LOG_SUBSCRIBE) {
        nj_log(type, "%.*s %d %.*s", (int)id.len, (const char *)id.ptr, qos, (int)filter.len,
               (const char *)filter.ptr);
    } else {
        nj_log(type, "%.*s %.*s", (int)id.len, (const char *)id.ptr, (int)filter.len,
               (const char *)filter.ptr);
    }
}

/* Sends the SUBACK or UNSUBACK, with a text about the first filter that is refused where the client
 * takes it. False: it cannot be made. */
static bool answer_codes(struct nj_conn *conn, enum nj_hold_kind kind, uint16_t packet_id,
                         struct nj_bytes codes, struct nj_replay *replay)
{
    char buf[NJ_EXPLAIN_MAX];
    enum nj_mqtt_version version = conn->link.version;
    bool is_suback = kind == NJ_HOLD_SUBACK;
    struct nj_mqtt_suback packet = {.packet_id = packet_id, .codes = codes};
    packet.props.reason_string = nj_explain_codes(&conn->link, codes, buf);
    packet.props.present = (uint64_t)(packet.props.reason_string.len > 0) << NJ_PROP_REASON_STRING;
    size_t size =
        is_suback ? nj_mqtt_suback_size(&packet, version) : nj_mqtt_unsuback_size(&packet, version);
    if (!nj_link_takes(&conn->link, size)) {
        packet.props.present = 0;
        size = is_suback ? nj_mqtt_suback_size(&packet, version)
                         : nj_mqtt_unsuback_size(&packet, version);
    }
    uint8_t *frame = nj_try_alloc(size);
    if (!frame) {
        nj_replay_free(replay);
        return false;
    }
    uint8_t *end = is_suback ? nj_mqtt_suback_encode(&packet, version, frame)
                             : nj_mqtt_unsuback_encode(&packet, version, frame);
    nj_session_answer(conn->link.session, kind, frame, (uint32_t)(end - frame), replay,
                      nj_session_lane_wait(conn->link.session));
    nj_free(frame);
    return true;
}

static bool on_subscribe(struct nj_conn *conn, struct nj_bytes body)
{
    struct nj_session *session = conn->link.session;
    struct nj_mqtt_subscribe packet;
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    if (nj_mqtt_subscribe_decode(body, conn->link.version, &packet, &reason) != NJ_OK) {
        return bad_subscribe(conn, &packet, reason);
    }
    reason = check_filters(conn, packet.filters, true);
    if (reason != NJ_RC_SUCCESS) {
        return bad(conn, reason);
    }
    uint8_t *codes = nj_try_alloc(packet.count);
    if (!codes) {
        return fail_memory(conn);
    }
    conn->link.shard->turn.filters += packet.count;
    uint8_t *at = codes;
    struct nj_replay *replay = NULL;
    struct nj_bytes rest = packet.filters;
    struct nj_mqtt_filter filter;
    while (nj_mqtt_subscribe_next(&rest, &filter)) {
        struct nj_subscribe_in in = {
            .filter = filter.filter,
            .options = {.sub_id = packet.subscription_id,
                        .qos = filter.qos,
                        .is_no_local = filter.is_no_local,
                        .is_retain_as_published = filter.is_retain_as_published},
            .retain_handling = filter.retain_handling,
        };
        *at++ = nj_session_subscribe(session, &in, &replay);
        if (NJ_UNLIKELY(nj_log_wants(NJ_LOG_SUBSCRIBE))) {
            log_filter(session, NJ_LOG_SUBSCRIBE, filter.qos, filter.filter);
        }
    }
    bool is_answered =
        answer_codes(conn, NJ_HOLD_SUBACK, packet.packet_id, nj_bytes(codes, packet.count), replay);
    nj_free(codes);
    return is_answered ? conn->state == NJ_CONN_ACTIVE : fail_memory(conn);
}

static bool on_unsubscribe(struct nj_conn *conn, struct nj_bytes body)
{
    struct nj_session *session = conn->link.session;
    struct nj_mqtt_subscribe packet;
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    if (nj_mqtt_unsubscribe_decode(body, conn->link.version, &packet, &reason) != NJ_OK) {
        return bad_subscribe(conn, &packet, reason);
    }
    reason = check_filters(conn, packet.filters, false);
    if (reason != NJ_RC_SUCCESS) {
        return bad(conn, reason);
    }
    uint8_t *codes = nj_try_alloc(packet.count);
    if (!codes) {
        return fail_memory(conn);
    }
    conn->link.shard->turn.filters += packet.count;
    uint8_t *at = codes;
    struct nj_bytes rest = packet.filters;
    struct nj_bytes filter;
    while (nj_mqtt_unsubscribe_next(&rest, &filter)) {
        *at++ = nj_session_unsubscribe(session, filter);
        if (NJ_UNLIKELY(nj_log_wants(NJ_LOG_UNSUBSCRIBE))) {
            log_filter(session, NJ_LOG_UNSUBSCRIBE, 0, filter);
        }
    }
    bool is_answered =
        answer_codes(conn, NJ_HOLD_UNSUBACK, packet.packet_id, nj_bytes(codes, packet.count), NULL);
    nj_free(codes);
    return is_answered ? conn->state == NJ_CONN_ACTIVE : fail_memory(conn);
}

/* ---- PINGREQ, DISCONNECT, AUTH */

static bool on_ping(struct nj_conn *conn, struct nj_bytes body)
{
    if (body.len) {
        return bad(conn, NJ_RC_MALFORMED_PACKET);
    }
    if (!nj_session_pong(conn->link.session)) {
        nj_conn_await_pong(conn);
    }
    return conn->state == NJ_CONN_ACTIVE;
}

static bool on_disconnect(struct nj_conn *conn, struct nj_bytes body)
{
    struct nj_session *session = conn->link.session;
    struct nj_mqtt_coded packet;
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    if (nj_mqtt_disconnect_decode(body, conn->link.version, &packet, &reason) != NJ_OK) {
        return bad(conn, reason);
    }
    bool has_expiry = nj_mqtt_props_has(&packet.props, NJ_PROP_SESSION_EXPIRY);
    if (has_expiry && session->expiry_s == 0 && packet.props.session_expiry_s != 0) {
        return bad(conn, NJ_RC_PROTOCOL_ERROR); /* MQTT5 3.14.2.2.2 */
    }
    if (nj_session_owes_answers(session)) {
        return false;
    }
    if (has_expiry) {
        nj_session_set_expiry(session, packet.props.session_expiry_s);
    }
    conn->keeps_will = packet.code == NJ_RC_SUCCESS; /* MQTT5 3.14.4-3 */
    nj_conn_end(conn, NJ_RC_SUCCESS, NULL);
    return false;
}

static bool on_active_packet(struct nj_conn *conn, const struct nj_mqtt_frame *frame,
                             struct nj_bytes body)
{
    switch (frame->type) {
    case NJ_MQTT_PUBLISH:
        return on_publish(conn, body, frame->flags);
    case NJ_MQTT_PUBACK:
    case NJ_MQTT_PUBREC:
    case NJ_MQTT_PUBREL:
    case NJ_MQTT_PUBCOMP:
        return on_ack(conn, frame, body);
    case NJ_MQTT_SUBSCRIBE:
        return on_subscribe(conn, body);
    case NJ_MQTT_UNSUBSCRIBE:
        return on_unsubscribe(conn, body);
    case NJ_MQTT_PINGREQ:
        return on_ping(conn, body);
    case NJ_MQTT_DISCONNECT:
        return on_disconnect(conn, body);
    default:
        /* A second CONNECT, a server's packet, or AUTH without a method. */
        return bad(conn, conn->link.version == NJ_MQTT_5 || frame->type != NJ_MQTT_AUTH
                             ? NJ_RC_PROTOCOL_ERROR
                             : NJ_RC_MALFORMED_PACKET);
    }
}

bool nj_conn_handle_packet(struct nj_conn *conn, const uint8_t *packet, uint32_t header_len,
                           uint32_t body_len)
{
    struct nj_bytes body = nj_bytes(packet + header_len, body_len);
    struct nj_mqtt_frame frame = {
        .type = (enum nj_mqtt_type)(packet[0] >> 4),
        .flags = packet[0] & 0x0f,
        .header_len = header_len,
        .body_len = body_len,
    };
    if (!nj_mqtt_flags_are_valid_in(frame.type, frame.flags, conn->link.version)) {
        return bad(conn, NJ_RC_MALFORMED_PACKET);
    }
    if (conn->state == NJ_CONN_ACTIVE) {
        return on_active_packet(conn, &frame, body) && conn->state == NJ_CONN_ACTIVE;
    }
    nj_login_begin(conn, body);
    return conn->state == NJ_CONN_ACTIVE;
}
