/* See ack.h. */
#include "mqtt/ack.h"

#include "mqtt/frame.h"
#include "mqtt/packet_priv.h"
#include "mqtt/writer.h"

static const uint8_t received_codes[] = {
    NJ_RC_SUCCESS,
    NJ_RC_NO_MATCHING_SUBSCRIBERS,
    NJ_RC_UNSPECIFIED,
    NJ_RC_IMPLEMENTATION_SPECIFIC,
    NJ_RC_NOT_AUTHORIZED,
    NJ_RC_TOPIC_NAME_INVALID,
    NJ_RC_PACKET_ID_IN_USE,
    NJ_RC_QUOTA_EXCEEDED,
    NJ_RC_PAYLOAD_FORMAT_INVALID,
};
static const uint8_t release_codes[] = {NJ_RC_SUCCESS, NJ_RC_PACKET_ID_NOT_FOUND};

bool nj_mqtt_ack_code_is_known(enum nj_mqtt_type type, uint8_t code)
{
    if (type == NJ_MQTT_PUBREL || type == NJ_MQTT_PUBCOMP) {
        return NJ_MQTT_CODE_IN(release_codes, code);
    }
    return NJ_MQTT_CODE_IN(received_codes, code);
}

static enum nj_err read_ack_props(struct nj_mqtt_reader *reader, enum nj_mqtt_type type,
                                  struct nj_mqtt_ack *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_props props;
    enum nj_err err = nj_mqtt_read_props(reader, type, &props, reason);
    if (err == NJ_OK) {
        out->props = props.raw;
    }
    return err;
}

enum nj_err nj_mqtt_ack_decode(struct nj_bytes body, enum nj_mqtt_type type,
                               enum nj_mqtt_version version, struct nj_mqtt_ack *out,
                               enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    *out = (struct nj_mqtt_ack){.packet_id = nj_mqtt_read_u16(&reader)};
    if (reader.is_short) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (version == NJ_MQTT_5 && nj_mqtt_left(&reader)) {
        out->code = nj_mqtt_read_u8(&reader);
    }
    if (version == NJ_MQTT_5 && nj_mqtt_left(&reader)) {
        enum nj_err err = read_ack_props(&reader, type, out, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    if (nj_mqtt_left(&reader)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (out->packet_id == 0 || (out->code && !nj_mqtt_ack_code_is_known(type, out->code))) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return NJ_OK;
}

static size_t body_size(const struct nj_mqtt_ack *packet, enum nj_mqtt_version version)
{
    if (version != NJ_MQTT_5) {
        return 2;
    }
    if (packet->props.len == 0) {
        return packet->code ? 3 : 2;
    }
    size_t props = packet->props.len;
    return props > NJ_MQTT_VARINT_MAX ? 0 : 3 + nj_mqtt_varint_size((uint32_t)props) + props;
}

size_t nj_mqtt_ack_size(const struct nj_mqtt_ack *packet, enum nj_mqtt_version version)
{
    size_t body = body_size(packet, version);
    return body ? nj_mqtt_frame_size(body) : 0;
}

uint8_t *nj_mqtt_ack_encode(const struct nj_mqtt_ack *packet, enum nj_mqtt_type type,
                            enum nj_mqtt_version version, uint8_t *at)
{
    size_t body = body_size(packet, version);
    at = nj_mqtt_frame_put(at, type, type == NJ_MQTT_PUBREL ? 2 : 0, body);
    at = nj_mqtt_put_u16(at, packet->packet_id);
    if (body > 2) {
        at = nj_mqtt_put_u8(at, packet->code);
    }
    if (body > 3) {
        at = nj_mqtt_varint_put(at, (uint32_t)packet->props.len);
        at = nj_mqtt_put_bytes(at, packet->props);
    }
    return at;
}
