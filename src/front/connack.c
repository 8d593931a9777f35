/* See connack.h. The order of the properties is the original's: clients of conformance suites
 * compare the whole packet (compat-contract, "Bytes"). */
#include "front/connack.h"

#include "broker/limits.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/front.h"
#include "front/login_check.h"
#include "mqtt/props.h"
#include "mqtt/varint.h"

static uint8_t *put_properties(const struct nj_conn *conn, const struct nj_login *login,
                               uint8_t *at, const uint8_t *end)
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
    if (login->is_id_assigned && id.len + 64 < (size_t)(end - at)) {
        at = nj_mqtt_prop_put_bytes(at, NJ_PROP_ASSIGNED_CLIENT_ID, id);
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

uint32_t nj_connack_encode(const struct nj_conn *conn, const struct nj_login *login,
                           bool session_present, uint8_t *out, uint32_t size)
{
    uint8_t props[NJ_CONNACK_MAX - 16];
    /* MQTT 3.1 has no session present flag. */
    uint8_t flags = session_present && conn->link.version != NJ_MQTT_31;
    uint8_t *at = out;
    *at++ = NJ_MQTT_CONNACK << 4;
    if (conn->link.version != NJ_MQTT_5) {
        *at++ = 2;
        *at++ = flags;
        *at++ = 0;
        return (uint32_t)(at - out);
    }
    uint32_t len = (uint32_t)(put_properties(conn, login, props, props + sizeof(props)) - props);
    NJ_ASSERT(len + 16 <= size);
    at = nj_mqtt_varint_put(at, (uint32_t)(2 + nj_mqtt_varint_size(len) + len));
    *at++ = flags;
    *at++ = 0;
    at = nj_mqtt_varint_put(at, len);
    memcpy(at, props, len);
    return (uint32_t)(at - out) + len;
}
