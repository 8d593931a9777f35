/* See connack.h. The order of the properties is the original's: clients of conformance suites
 * compare the whole packet. */
#include "front/connack.h"

#include "base/buf.h"
#include "broker/limits.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/front.h"
#include "front/login_check.h"
#include "mqtt/props.h"
#include "mqtt/utf8.h"
#include "mqtt/varint.h"

/* What the other properties need at most. */
#define OTHERS_MAX         128
#define RESPONSE_TOPIC_MAX 512

/* ---- response information (MQTT5 3.2.2.3.15): a part of the topic tree for the client alone */

/* A name that stands for itself as one level of a topic and of a filter. */
static bool is_level(struct nj_bytes name)
{
    return name.len && !memchr(name.ptr, '/', name.len) && !memchr(name.ptr, '+', name.len) &&
           !memchr(name.ptr, '#', name.len) && !nj_mqtt_utf8_has_control(name);
}

/* Fills %c and %u in. False: it does not fit, or a name is no level. */
static bool expand(const char *template, const struct nj_subject *subject, struct nj_buf *out)
{
    while (*template) {
        size_t plain = strcspn(template, "%");
        struct nj_bytes name = nj_bytes(template, plain);
        template += plain;
        if (!plain) {
            name = template[1] == 'c' ? subject->client_id : subject->user;
            template += 2;
            if (!is_level(name)) {
                return false;
            }
        }
        if (out->len + name.len > RESPONSE_TOPIC_MAX ||
            nj_buf_append(out, name.ptr, name.len) != NJ_OK) {
            return false;
        }
    }
    return true;
}

/* Whether the client may subscribe below the prefix, which would be of no use otherwise. */
static bool may_use(const struct nj_conn *conn, struct nj_buf *prefix)
{
    struct nj_shard *shard = conn->link.shard;
    struct nj_verdict verdict;
    size_t len = prefix->len;
    if (nj_buf_append(prefix, "/#", 2) != NJ_OK) {
        return false;
    }
    struct nj_bytes filter = nj_buf_bytes(prefix);
    bool is_mounted = nj_shard_mounted(shard, conn->link.mount_point, &filter) == NJ_OK;
    prefix->len = len;
    if (!is_mounted) {
        return false;
    }
    nj_authz(shard->policy, &conn->link.session->subject, NJ_ACTION_SUBSCRIBE, filter, &verdict);
    return verdict.allowed;
}

static uint8_t *put_response_info(const struct nj_conn *conn, uint8_t *at)
{
    const struct nj_settings *settings = atomic_load(&conn->worker->front->settings);
    const char *template = nj_settings_response_information(settings);
    struct nj_buf prefix;
    nj_buf_init(&prefix);
    if (template && expand(template, &conn->link.session->subject, &prefix) &&
        may_use(conn, &prefix)) {
        at = nj_mqtt_prop_put_bytes(at, NJ_PROP_RESPONSE_INFO, nj_buf_bytes(&prefix));
    }
    nj_buf_fini(&prefix);
    return at;
}

/* ---- the packet */

static uint8_t *put_properties(const struct nj_conn *conn, const struct nj_login *login,
                               bool with_response_info, uint8_t *at, const uint8_t *end)
{
    const struct nj_limits *limits = conn->link.shard->limits;
    struct nj_bytes id = nj_bytes(login->client_id, login->client_id_len);
    if (login->has_capped_expiry) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_SESSION_EXPIRY, login->expiry_s);
    }
    if (login->has_server_keep_alive) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_SERVER_KEEP_ALIVE, conn->keep_alive_s);
    }
    if (conn->link.alias_in_max) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_TOPIC_ALIAS_MAXIMUM, conn->link.alias_in_max);
    }
    if (login->is_id_assigned && id.len + OTHERS_MAX < (size_t)(end - at)) {
        at = nj_mqtt_prop_put_bytes(at, NJ_PROP_ASSIGNED_CLIENT_ID, id);
    }
    if (with_response_info && RESPONSE_TOPIC_MAX + OTHERS_MAX < end - at) {
        at = put_response_info(conn, at);
    }
    if (!limits->retain_available) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_RETAIN_AVAILABLE, 0);
    }
    if (limits->max_packet_size) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_MAXIMUM_PACKET_SIZE, limits->max_packet_size);
    }
    if (limits->max_inflight) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_RECEIVE_MAXIMUM, limits->max_inflight);
    }
    if (conn->link.max_qos < 2) {
        at = nj_mqtt_prop_put_int(at, NJ_PROP_MAXIMUM_QOS, conn->link.max_qos);
    }
    return at;
}

static uint32_t encode_v5(const struct nj_conn *conn, const struct nj_login *login,
                          bool session_present, bool with_response_info, uint8_t *out)
{
    uint8_t props[NJ_CONNACK_MAX - 16];
    const uint8_t *end =
        put_properties(conn, login, with_response_info, props, props + sizeof(props));
    uint32_t len = (uint32_t)(end - props);
    uint8_t *at = out;
    *at++ = NJ_MQTT_CONNACK << 4;
    at = nj_mqtt_varint_put(at, (uint32_t)(2 + nj_mqtt_varint_size(len) + len));
    *at++ = session_present;
    *at++ = NJ_RC_SUCCESS;
    at = nj_mqtt_varint_put(at, len);
    memcpy(at, props, len);
    return (uint32_t)(at - out) + len;
}

uint32_t nj_connack_encode(const struct nj_conn *conn, const struct nj_login *login,
                           bool session_present, uint8_t out[NJ_CONNACK_MAX])
{
    if (conn->link.version == NJ_MQTT_5) {
        uint32_t len = encode_v5(conn, login, session_present, login->wants_response_info, out);
        bool can_do_without = login->wants_response_info && !nj_link_takes(&conn->link, len);
        return can_do_without ? encode_v5(conn, login, session_present, false, out) : len;
    }
    out[0] = NJ_MQTT_CONNACK << 4;
    out[1] = 2;
    /* MQTT 3.1 has no session present flag. */
    out[2] = session_present && conn->link.version != NJ_MQTT_31;
    out[3] = 0;
    return 4;
}
