/* SUBACK and UNSUBACK, which differ in their codes alone. See suback.h, unsuback.h. */
#include "mqtt/suback.h"

#include "mqtt/frame.h"
#include "mqtt/packet_priv.h"
#include "mqtt/unsuback.h"
#include "mqtt/writer.h"

#define OLD_CODE_FAILURE 0x80

/* MQTT5 table 3-8 */
static const uint8_t suback_codes[] = {
    NJ_RC_SUCCESS,
    NJ_RC_GRANTED_QOS_1,
    NJ_RC_GRANTED_QOS_2,
    NJ_RC_UNSPECIFIED,
    NJ_RC_IMPLEMENTATION_SPECIFIC,
    NJ_RC_NOT_AUTHORIZED,
    NJ_RC_TOPIC_FILTER_INVALID,
    NJ_RC_PACKET_ID_IN_USE,
    NJ_RC_QUOTA_EXCEEDED,
    NJ_RC_SHARED_SUBS_NOT_SUPPORTED,
    NJ_RC_SUBSCRIPTION_IDS_NOT_SUPPORTED,
    NJ_RC_WILDCARD_SUBS_NOT_SUPPORTED,
};
/* MQTT5 table 3-9 */
static const uint8_t unsuback_codes[] = {
    NJ_RC_SUCCESS,          NJ_RC_NO_SUBSCRIPTION_EXISTED,
    NJ_RC_UNSPECIFIED,      NJ_RC_IMPLEMENTATION_SPECIFIC,
    NJ_RC_NOT_AUTHORIZED,   NJ_RC_TOPIC_FILTER_INVALID,
    NJ_RC_PACKET_ID_IN_USE,
};

static bool code_is_known(enum nj_mqtt_type type, enum nj_mqtt_version version, uint8_t code)
{
    if (version != NJ_MQTT_5) {
        return code <= 2 || code == OLD_CODE_FAILURE;
    }
    return type == NJ_MQTT_SUBACK ? NJ_MQTT_CODE_IN(suback_codes, code)
                                  : NJ_MQTT_CODE_IN(unsuback_codes, code);
}

/* Before MQTT 5, UNSUBACK has none. */
static bool has_codes(enum nj_mqtt_type type, enum nj_mqtt_version version)
{
    return type == NJ_MQTT_SUBACK || version == NJ_MQTT_5;
}

static enum nj_err decode(struct nj_bytes body, enum nj_mqtt_type type,
                          enum nj_mqtt_version version, struct nj_mqtt_suback *out,
                          enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    *out = (struct nj_mqtt_suback){.packet_id = nj_mqtt_read_u16(&reader)};
    if (reader.is_short) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (version == NJ_MQTT_5) {
        enum nj_err err = nj_mqtt_read_props(&reader, type, &out->props, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    if (!has_codes(type, version) && nj_mqtt_left(&reader)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    out->codes = nj_mqtt_read_bytes(&reader, nj_mqtt_left(&reader));
    if (out->packet_id == 0 || (has_codes(type, version) && out->codes.len == 0)) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    for (size_t i = 0; i < out->codes.len; i++) {
        if (!code_is_known(type, version, out->codes.ptr[i])) {
            return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
        }
    }
    return NJ_OK;
}

/* 0 = cannot be expressed. */
static size_t body_size(const struct nj_mqtt_suback *packet, enum nj_mqtt_type type,
                        enum nj_mqtt_version version)
{
    size_t size = 2 + (has_codes(type, version) ? packet->codes.len : 0);
    if (version != NJ_MQTT_5) {
        return size;
    }
    size_t props = nj_mqtt_props_size(&packet->props);
    return props ? size + props : 0;
}

static uint8_t *encode(const struct nj_mqtt_suback *packet, enum nj_mqtt_type type,
                       enum nj_mqtt_version version, uint8_t *at)
{
    at = nj_mqtt_frame_put(at, type, 0, body_size(packet, type, version));
    at = nj_mqtt_put_u16(at, packet->packet_id);
    if (version == NJ_MQTT_5) {
        at = nj_mqtt_props_encode(&packet->props, at);
    }
    return has_codes(type, version) ? nj_mqtt_put_bytes(at, packet->codes) : at;
}

enum nj_err nj_mqtt_suback_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                  struct nj_mqtt_suback *out, enum nj_mqtt_reason *reason)
{
    return decode(body, NJ_MQTT_SUBACK, version, out, reason);
}

size_t nj_mqtt_suback_size(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version)
{
    size_t body = body_size(packet, NJ_MQTT_SUBACK, version);
    return body ? nj_mqtt_frame_size(body) : 0;
}

uint8_t *nj_mqtt_suback_encode(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version,
                               uint8_t *at)
{
    return encode(packet, NJ_MQTT_SUBACK, version, at);
}

enum nj_err nj_mqtt_unsuback_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                    struct nj_mqtt_suback *out, enum nj_mqtt_reason *reason)
{
    return decode(body, NJ_MQTT_UNSUBACK, version, out, reason);
}

size_t nj_mqtt_unsuback_size(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version)
{
    size_t body = body_size(packet, NJ_MQTT_UNSUBACK, version);
    return body ? nj_mqtt_frame_size(body) : 0;
}

uint8_t *nj_mqtt_unsuback_encode(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version,
                                 uint8_t *at)
{
    return encode(packet, NJ_MQTT_UNSUBACK, version, at);
}
