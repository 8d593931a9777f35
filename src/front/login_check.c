/* See login_check.h. */
#include "front/login_check.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"
#include "broker/limits.h"
#include "broker/message.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/front.h"
#include "front/goodbye.h"
#include "front/proxied.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "net/stream.h"

static bool refuse(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why)
{
    nj_goodbye_refuse(conn, reason, why);
    return false;
}

/* ---- client id */

/* "auto-" and a random UUID; drawn again until it belongs to this worker, so that the connection
 * need not move. */
static bool assign_id(struct nj_conn *conn, const struct nj_settings *settings)
{
    struct nj_login *login = conn->login;
    const char *prefix = nj_settings_auto_id_prefix(settings, conn->listener->index);
    size_t size = strlen(prefix) + 40;
    login->client_id = nj_try_alloc(size);
    if (!login->client_id) {
        return refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
    }
    do {
        uint8_t b[16];
        nj_rand_bytes(b, sizeof(b));
        login->client_id_len = (uint32_t)snprintf(
            login->client_id, size,
            "%s%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X", prefix, b[0],
            b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
            b[15]);
    } while (nj_core_home(&conn->worker->front->core,
                          nj_bytes(login->client_id, login->client_id_len)) != conn->worker->id);
    login->is_id_assigned = true;
    return true;
}

static bool check_id(struct nj_conn *conn, const struct nj_mqtt_connect *packet,
                     const struct nj_settings *settings)
{
    const struct nj_limits *limits = conn->link.shard->limits;
    struct nj_bytes id = packet->client_id;
    if (nj_mqtt_utf8_has_control(id) || nj_mqtt_utf8_has_control(packet->username)) {
        if (!limits->refuses_control_chars) {
            nj_conn_close(conn, NJ_RC_SUCCESS, "malformed packet");
            return false;
        }
        return refuse(conn, NJ_RC_CLIENTID_NOT_VALID,
                      "control character in client id or user name");
    }
    if (id.len == 0) {
        /* MQTT3 3.1.3-8; MQTT 3.1 knows no empty one. */
        bool is_lawful = packet->version == NJ_MQTT_5 ||
                         (packet->version == NJ_MQTT_311 && packet->is_clean_start);
        if (is_lawful && conn->listener->settings->use_username_as_clientid) {
            conn->login->is_id_assigned = true; /* it will have one */
            return true;
        }
        return is_lawful && nj_settings_zero_length_clientid(settings, conn->listener->index)
                   ? assign_id(conn, settings)
                   : refuse(conn, NJ_RC_CLIENTID_NOT_VALID, "identifier rejected");
    }
    if (settings->clientid_prefixes &&
        !nj_bytes_starts_with(id, nj_bytes_of(settings->clientid_prefixes))) {
        return refuse(conn, NJ_RC_NOT_AUTHORIZED, "client id without the required prefix");
    }
    conn->login->client_id = nj_try_bytes_dup(id);
    conn->login->client_id_len = (uint32_t)id.len;
    return conn->login->client_id ? true : refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
}

/* ---- keep alive, properties */

static bool check_keep_alive(struct nj_conn *conn, const struct nj_mqtt_connect *packet,
                             const struct nj_settings *settings)
{
    uint32_t max = settings->max_keepalive;
    conn->keep_alive_s = packet->keep_alive_s;
    if (!max || (packet->keep_alive_s && packet->keep_alive_s <= max)) {
        return true;
    }
    if (packet->version != NJ_MQTT_5) {
        return refuse(conn, NJ_RC_CLIENTID_NOT_VALID, "keep alive too long");
    }
    conn->keep_alive_s = (uint16_t)max;
    conn->login->has_server_keep_alive = true;
    return true;
}

static void take_properties(struct nj_conn *conn, const struct nj_mqtt_connect *packet)
{
    struct nj_login *login = conn->login;
    struct nj_link *link = &conn->link;
    const struct nj_mqtt_props *props = &packet->props;
    const struct nj_listener_settings *listener = conn->listener->settings;
    uint32_t cap = link->shard->limits->persistent_expiry_s;
    login->is_clean_start = packet->is_clean_start;
    if (packet->version != NJ_MQTT_5) {
        login->expiry_s = packet->is_clean_start ? 0 : NJ_EXPIRY_NEVER;
        return;
    }
    login->expiry_s = props->session_expiry_s;
    if (cap && login->expiry_s > cap) {
        login->expiry_s = cap;
        login->has_capped_expiry = true;
    }
    link->receive_max_out = props->receive_maximum;
    link->receive_max_in = (uint16_t)link->shard->limits->max_inflight;
    link->alias_in_max = (uint16_t)listener->max_topic_alias;
    link->alias_out_max = props->topic_alias_maximum < listener->max_topic_alias_broker
                              ? props->topic_alias_maximum
                              : (uint16_t)listener->max_topic_alias_broker;
    login->wants_response_info = props->request_response_info == 1;
}

void nj_login_take_manners(struct nj_conn *conn, const struct nj_mqtt_connect *packet)
{
    const struct nj_mqtt_props *props = &packet->props;
    bool has_a_say =
        packet->version == NJ_MQTT_5 && nj_mqtt_props_has(props, NJ_PROP_REQUEST_PROBLEM_INFO);
    conn->link.wants_problem_info = !has_a_say || props->request_problem_info == 1;
    conn->link.max_packet_out = packet->version == NJ_MQTT_5 ? props->maximum_packet_size : 0;
}

/* ---- will */

static bool check_will(struct nj_conn *conn, const struct nj_mqtt_connect *packet)
{
    const struct nj_limits *limits = conn->link.shard->limits;
    struct nj_bytes topic = packet->will_topic;
    if (!packet->has_will) {
        return true;
    }
    bool is_text = limits->refuses_control_chars || !nj_mqtt_utf8_has_control(topic);
    if (!is_text || !nj_mqtt_topic_is_valid(topic, limits->topic_levels)) {
        if (packet->version == NJ_MQTT_5) {
            return refuse(conn, is_text ? NJ_RC_TOPIC_NAME_INVALID : NJ_RC_MALFORMED_PACKET,
                          "invalid will topic");
        }
        nj_conn_close(conn, NJ_RC_SUCCESS, "invalid will topic");
        return false;
    }
    if (limits->checks_payload_format && packet->will_props.payload_format == 1 &&
        !nj_mqtt_utf8_is_well_formed(packet->will_payload)) {
        return refuse(conn, NJ_RC_PAYLOAD_FORMAT_INVALID, "the will is not the UTF-8 it says");
    }
    if (nj_bytes_starts_with(topic, NJ_BYTES_LIT("$CONTROL/")) ||
        nj_bytes_starts_with(topic, NJ_BYTES_LIT("$share/")) ||
        (limits->will_checked_at_connect && nj_bytes_starts_with(topic, NJ_BYTES_LIT("$SYS/")) &&
         !nj_mqtt_topic_matches(NJ_BYTES_LIT("$SYS/broker/connection/+/state"), topic))) {
        return refuse(conn, NJ_RC_NOT_AUTHORIZED, "will topic not authorised");
    }
    if (packet->will_qos > conn->link.max_qos) {
        return refuse(conn, NJ_RC_QOS_NOT_SUPPORTED, "will QoS not supported");
    }
    if (packet->will_retain && !limits->retain_available) {
        return refuse(conn, NJ_RC_RETAIN_NOT_SUPPORTED, "retained will not supported");
    }
    if (limits->max_payload && packet->will_payload.len > limits->max_payload) {
        return refuse(conn, NJ_RC_PACKET_TOO_LARGE, "will too large");
    }
    return true;
}

/* Relative here: the interval begins when the will is published. One of 0 is over at once, while a
 * message without one stays. */
static uint64_t will_expiry_ms(const struct nj_mqtt_props *props)
{
    if (!nj_mqtt_props_has(props, NJ_PROP_MESSAGE_EXPIRY)) {
        return 0;
    }
    return props->message_expiry_s ? props->message_expiry_s * 1000ull : 1;
}

static bool make_will(struct nj_conn *conn, const struct nj_mqtt_connect *packet)
{
    struct nj_shard *shard = conn->link.shard;
    if (!packet->has_will) {
        return true;
    }
    struct nj_message_view view = {
        .topic = packet->will_topic,
        .payload = packet->will_payload,
        .qos = packet->will_qos,
        .is_retain = packet->will_retain,
        .expires_ms = will_expiry_ms(&packet->will_props),
    };
    shard->props_buf.len = 0;
    if (nj_shard_mounted(shard, conn->link.mount_point, &view.topic) != NJ_OK ||
        nj_buf_reserve(&shard->props_buf, packet->will_props.raw.len) != NJ_OK) {
        return refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
    }
    view.props = nj_mqtt_props_forwarded(&packet->will_props, shard->props_buf.data);
    conn->login->will_delay_s = packet->will_props.will_delay_s;
    conn->login->will = nj_message_new(&view);
    return conn->login->will ? true : refuse(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
}

bool nj_login_check(struct nj_conn *conn, const struct nj_mqtt_connect *packet)
{
    const struct nj_settings *settings = atomic_load(&conn->worker->front->settings);
    if (!(conn->listener->settings->accept_versions >> packet->version & 1)) {
        return refuse(conn, NJ_RC_UNSUPPORTED_PROTOCOL_VERSION, "protocol version not accepted");
    }
    if (nj_mqtt_props_has(&packet->props, NJ_PROP_AUTH_METHOD)) {
        return refuse(conn, NJ_RC_BAD_AUTHENTICATION_METHOD, "unknown authentication method");
    }
    if (!check_id(conn, packet, settings) || !check_keep_alive(conn, packet, settings) ||
        !check_will(conn, packet)) {
        return false;
    }
    conn->link.is_bridge = packet->is_bridge;
    take_properties(conn, packet);
    return make_will(conn, packet);
}

/* ---- certificate */

const char *nj_login_certificate(struct nj_conn *conn, struct nj_tls_identity *identity,
                                 struct nj_bytes *out)
{
    const struct nj_listener_settings *listener = conn->listener->settings;
    struct nj_tls_conn *tls = nj_stream_tls(conn->stream);
    *out = nj_bytes(NULL, 0);
    if (!listener->use_identity_as_username && !listener->use_subject_as_username) {
        return NULL;
    }
    if (!tls && conn->proxied) {
        return nj_proxied_identity(conn, out);
    }
    const char *psk_identity = tls ? nj_tls_conn_psk_identity(tls) : NULL;
    if (psk_identity && listener->use_identity_as_username) {
        *out = nj_bytes_of(psk_identity);
        return NULL;
    }
    if (!tls || nj_tls_conn_identity(tls, identity) != NJ_OK) {
        return "no client certificate";
    }
    if (listener->use_identity_as_username) {
        if (identity->name_state != NJ_TLS_NAME_OK) {
            return nj_tls_name_text(identity->name_state);
        }
        *out = nj_bytes_of(identity->common_name);
    } else {
        *out = nj_bytes_of(identity->subject);
    }
    return NULL;
}
