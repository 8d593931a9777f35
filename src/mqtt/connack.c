/* See connack.h. */
#include "mqtt/connack.h"

#include "mqtt/frame.h"
#include "mqtt/packet_priv.h"
#include "mqtt/writer.h"

#define FLAG_SESSION_PRESENT 1

/* MQTT3 table 3.1 */
#define OLD_CODE_VERSION     1
#define OLD_CODE_ID          2
#define OLD_CODE_UNAVAILABLE 3
#define OLD_CODE_PASSWORD    4
#define OLD_CODE_DENIED      5

/* MQTT5 table 3-1 */
static const uint8_t codes[] = {
    NJ_RC_SUCCESS,
    NJ_RC_UNSPECIFIED,
    NJ_RC_MALFORMED_PACKET,
    NJ_RC_PROTOCOL_ERROR,
    NJ_RC_IMPLEMENTATION_SPECIFIC,
    NJ_RC_UNSUPPORTED_PROTOCOL_VERSION,
    NJ_RC_CLIENTID_NOT_VALID,
    NJ_RC_BAD_USERNAME_OR_PASSWORD,
    NJ_RC_NOT_AUTHORIZED,
    NJ_RC_SERVER_UNAVAILABLE,
    NJ_RC_SERVER_BUSY,
    NJ_RC_BANNED,
    NJ_RC_BAD_AUTHENTICATION_METHOD,
    NJ_RC_TOPIC_NAME_INVALID,
    NJ_RC_PACKET_TOO_LARGE,
    NJ_RC_QUOTA_EXCEEDED,
    NJ_RC_PAYLOAD_FORMAT_INVALID,
    NJ_RC_RETAIN_NOT_SUPPORTED,
    NJ_RC_QOS_NOT_SUPPORTED,
    NJ_RC_USE_ANOTHER_SERVER,
    NJ_RC_SERVER_MOVED,
    NJ_RC_CONNECTION_RATE_EXCEEDED,
};

uint8_t nj_mqtt_connack_old_code(enum nj_mqtt_reason reason)
{
    switch (reason) {
    case NJ_RC_SUCCESS:
        return 0;
    case NJ_RC_UNSUPPORTED_PROTOCOL_VERSION:
        return OLD_CODE_VERSION;
    case NJ_RC_CLIENTID_NOT_VALID:
        return OLD_CODE_ID;
    case NJ_RC_BAD_USERNAME_OR_PASSWORD:
        return OLD_CODE_PASSWORD;
    case NJ_RC_SERVER_UNAVAILABLE:
    case NJ_RC_SERVER_BUSY:
    case NJ_RC_SERVER_SHUTTING_DOWN:
    case NJ_RC_QUOTA_EXCEEDED:
    case NJ_RC_USE_ANOTHER_SERVER:
    case NJ_RC_SERVER_MOVED:
    case NJ_RC_CONNECTION_RATE_EXCEEDED:
        return OLD_CODE_UNAVAILABLE;
    default:
        return OLD_CODE_DENIED; /* trying again later would not help */
    }
}

static bool code_is_known(uint8_t code, enum nj_mqtt_version version, bool has_props)
{
    if (version != NJ_MQTT_5) {
        return code <= OLD_CODE_DENIED;
    }
    return has_props ? NJ_MQTT_CODE_IN(codes, code) : code && code <= OLD_CODE_DENIED;
}

enum nj_err nj_mqtt_connack_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                   struct nj_mqtt_connack *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    *out = (struct nj_mqtt_connack){0};
    uint8_t flags = nj_mqtt_read_u8(&reader);
    out->code = nj_mqtt_read_u8(&reader);
    if (reader.is_short) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    bool has_props = version == NJ_MQTT_5 && nj_mqtt_left(&reader);
    if (has_props) {
        enum nj_err err = nj_mqtt_read_props(&reader, NJ_MQTT_CONNACK, &out->props, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    /* MQTT 3.1 reserves the whole byte and says nothing about its value. */
    bool has_flags = version != NJ_MQTT_31;
    out->is_session_present = has_flags && (flags & FLAG_SESSION_PRESENT);
    if (nj_mqtt_left(&reader) || (has_flags && (flags & ~FLAG_SESSION_PRESENT))) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (!code_is_known(out->code, version, has_props) || (out->code && out->is_session_present)) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return NJ_OK;
}

/* 0 = cannot be expressed. */
static size_t body_size(const struct nj_mqtt_connack *packet, enum nj_mqtt_version version)
{
    if (version != NJ_MQTT_5) {
        return 2;
    }
    size_t props = nj_mqtt_props_size(&packet->props);
    return props ? 2 + props : 0;
}

size_t nj_mqtt_connack_size(const struct nj_mqtt_connack *packet, enum nj_mqtt_version version)
{
    size_t body = body_size(packet, version);
    return body ? nj_mqtt_frame_size(body) : 0;
}

uint8_t *nj_mqtt_connack_encode(const struct nj_mqtt_connack *packet, enum nj_mqtt_version version,
                                uint8_t *at)
{
    at = nj_mqtt_frame_put(at, NJ_MQTT_CONNACK, 0, body_size(packet, version));
    bool has_flags = version != NJ_MQTT_31;
    at = nj_mqtt_put_u8(at, has_flags && packet->is_session_present ? FLAG_SESSION_PRESENT : 0);
    at = nj_mqtt_put_u8(at, packet->code);
    return version == NJ_MQTT_5 ? nj_mqtt_props_encode(&packet->props, at) : at;
}
