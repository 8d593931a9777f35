/* DISCONNECT and AUTH, which have the same form. See disconnect.h, auth.h. */
#include "mqtt/disconnect.h"

#include "mqtt/auth.h"
#include "mqtt/frame.h"
#include "mqtt/packet_priv.h"
#include "mqtt/writer.h"

/* MQTT5 table 3-10: what a client may say … */
static const uint8_t client_codes[] = {
    NJ_RC_SUCCESS,
    NJ_RC_DISCONNECT_WITH_WILL,
    NJ_RC_UNSPECIFIED,
    NJ_RC_MALFORMED_PACKET,
    NJ_RC_PROTOCOL_ERROR,
    NJ_RC_IMPLEMENTATION_SPECIFIC,
    NJ_RC_TOPIC_NAME_INVALID,
    NJ_RC_RECEIVE_MAXIMUM_EXCEEDED,
    NJ_RC_TOPIC_ALIAS_INVALID,
    NJ_RC_PACKET_TOO_LARGE,
    NJ_RC_MESSAGE_RATE_TOO_HIGH,
    NJ_RC_QUOTA_EXCEEDED,
    NJ_RC_ADMINISTRATIVE_ACTION,
    NJ_RC_PAYLOAD_FORMAT_INVALID,
};
/* … and what a server may say. */
static const uint8_t server_codes[] = {
    NJ_RC_SUCCESS,
    NJ_RC_UNSPECIFIED,
    NJ_RC_MALFORMED_PACKET,
    NJ_RC_PROTOCOL_ERROR,
    NJ_RC_IMPLEMENTATION_SPECIFIC,
    NJ_RC_NOT_AUTHORIZED,
    NJ_RC_SERVER_BUSY,
    NJ_RC_SERVER_SHUTTING_DOWN,
    NJ_RC_KEEP_ALIVE_TIMEOUT,
    NJ_RC_SESSION_TAKEN_OVER,
    NJ_RC_TOPIC_FILTER_INVALID,
    NJ_RC_TOPIC_NAME_INVALID,
    NJ_RC_RECEIVE_MAXIMUM_EXCEEDED,
    NJ_RC_TOPIC_ALIAS_INVALID,
    NJ_RC_PACKET_TOO_LARGE,
    NJ_RC_MESSAGE_RATE_TOO_HIGH,
    NJ_RC_QUOTA_EXCEEDED,
    NJ_RC_ADMINISTRATIVE_ACTION,
    NJ_RC_PAYLOAD_FORMAT_INVALID,
    NJ_RC_RETAIN_NOT_SUPPORTED,
    NJ_RC_QOS_NOT_SUPPORTED,
    NJ_RC_USE_ANOTHER_SERVER,
    NJ_RC_SERVER_MOVED,
    NJ_RC_SHARED_SUBS_NOT_SUPPORTED,
    NJ_RC_CONNECTION_RATE_EXCEEDED,
    NJ_RC_MAXIMUM_CONNECT_TIME,
    NJ_RC_SUBSCRIPTION_IDS_NOT_SUPPORTED,
    NJ_RC_WILDCARD_SUBS_NOT_SUPPORTED,
};
/* MQTT5 table 3-11 */
static const uint8_t client_auth_codes[] = {NJ_RC_CONTINUE_AUTHENTICATION, NJ_RC_REAUTHENTICATE};
static const uint8_t server_auth_codes[] = {NJ_RC_SUCCESS, NJ_RC_CONTINUE_AUTHENTICATION};

static enum nj_err decode(struct nj_bytes body, enum nj_mqtt_type type, struct nj_mqtt_coded *out,
                          enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    *out = (struct nj_mqtt_coded){0};
    if (nj_mqtt_left(&reader)) {
        out->code = nj_mqtt_read_u8(&reader);
    }
    if (nj_mqtt_left(&reader)) {
        enum nj_err err = nj_mqtt_read_props(&reader, type, &out->props, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    return nj_mqtt_left(&reader) ? nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET) : NJ_OK;
}

enum nj_err nj_mqtt_disconnect_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                      struct nj_mqtt_coded *out, enum nj_mqtt_reason *reason)
{
    if (version != NJ_MQTT_5) {
        *out = (struct nj_mqtt_coded){0};
        return body.len ? nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET) : NJ_OK;
    }
    enum nj_err err = decode(body, NJ_MQTT_DISCONNECT, out, reason);
    if (err == NJ_OK && !NJ_MQTT_CODE_IN(client_codes, out->code)) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return err;
}

enum nj_err nj_mqtt_disconnect_decode_from_server(struct nj_bytes body, struct nj_mqtt_coded *out,
                                                  enum nj_mqtt_reason *reason)
{
    enum nj_err err = decode(body, NJ_MQTT_DISCONNECT, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    /* MQTT5 3.14.2.2.2: the session expiry is the client's to say. */
    if (!NJ_MQTT_CODE_IN(server_codes, out->code) ||
        nj_mqtt_props_has(&out->props, NJ_PROP_SESSION_EXPIRY)) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return NJ_OK;
}

static enum nj_err check_auth(const struct nj_mqtt_coded *packet, bool is_code_known,
                              enum nj_mqtt_reason *reason)
{
    /* MQTT5 3.15.2.2.2: only the short form, which means success, may be without a method. */
    bool needs_method = packet->code != NJ_RC_SUCCESS || packet->props.raw.len;
    bool has_method = nj_mqtt_props_has(&packet->props, NJ_PROP_AUTH_METHOD);
    if (!is_code_known || (needs_method && !has_method)) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return NJ_OK;
}

enum nj_err nj_mqtt_auth_decode(struct nj_bytes body, struct nj_mqtt_coded *out,
                                enum nj_mqtt_reason *reason)
{
    enum nj_err err = decode(body, NJ_MQTT_AUTH, out, reason);
    return err == NJ_OK ? check_auth(out, NJ_MQTT_CODE_IN(client_auth_codes, out->code), reason)
                        : err;
}

enum nj_err nj_mqtt_auth_decode_from_server(struct nj_bytes body, struct nj_mqtt_coded *out,
                                            enum nj_mqtt_reason *reason)
{
    enum nj_err err = decode(body, NJ_MQTT_AUTH, out, reason);
    return err == NJ_OK ? check_auth(out, NJ_MQTT_CODE_IN(server_auth_codes, out->code), reason)
                        : err;
}

/* ---- encoding */

/* Of code and properties; NJ_MQTT_VARINT_MAX + 1 = cannot be expressed. */
static size_t body_size(const struct nj_mqtt_coded *packet, enum nj_mqtt_version version)
{
    if (version != NJ_MQTT_5) {
        return 0;
    }
    size_t props = nj_mqtt_props_size(&packet->props);
    if (props == 1) {
        return packet->code ? 1 : 0;
    }
    return props ? 1 + props : NJ_MQTT_VARINT_MAX + 1;
}

static uint8_t *encode(const struct nj_mqtt_coded *packet, enum nj_mqtt_type type,
                       enum nj_mqtt_version version, uint8_t *at)
{
    size_t body = body_size(packet, version);
    at = nj_mqtt_frame_put(at, type, 0, body);
    if (body > 0) {
        at = nj_mqtt_put_u8(at, packet->code);
    }
    return body > 1 ? nj_mqtt_props_encode(&packet->props, at) : at;
}

size_t nj_mqtt_disconnect_size(const struct nj_mqtt_coded *packet, enum nj_mqtt_version version)
{
    return nj_mqtt_frame_size(body_size(packet, version));
}

uint8_t *nj_mqtt_disconnect_encode(const struct nj_mqtt_coded *packet, enum nj_mqtt_version version,
                                   uint8_t *at)
{
    return encode(packet, NJ_MQTT_DISCONNECT, version, at);
}

size_t nj_mqtt_auth_size(const struct nj_mqtt_coded *packet)
{
    return nj_mqtt_frame_size(body_size(packet, NJ_MQTT_5));
}

uint8_t *nj_mqtt_auth_encode(const struct nj_mqtt_coded *packet, uint8_t *at)
{
    return encode(packet, NJ_MQTT_AUTH, NJ_MQTT_5, at);
}
