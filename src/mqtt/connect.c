/* CONNECT (MQTT5 3.1, MQTT3 3.1). See packets.h. */
#include "mqtt/packets.h"
#include "mqtt/utf8.h"

#define LEVEL_BRIDGE 0x80

enum connect_flag {
    FLAG_RESERVED = 1,
    FLAG_CLEAN = 2,
    FLAG_WILL = 4,
    FLAG_WILL_QOS = 0x18,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USERNAME = 0x80,
};

static enum nj_err fail(enum nj_mqtt_reason *reason, enum nj_mqtt_reason why)
{
    *reason = why;
    return why == NJ_RC_MALFORMED_PACKET ? NJ_EMALFORMED : NJ_EPROTOCOL;
}

static enum nj_err read_protocol(struct nj_mqtt_reader *reader, struct nj_mqtt_connect *out,
                                 enum nj_mqtt_reason *reason)
{
    struct nj_bytes name = nj_mqtt_read_lv(reader);
    uint8_t level = nj_mqtt_read_u8(reader);
    if (reader->is_short) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    out->is_bridge = (level & LEVEL_BRIDGE) != 0;
    level &= (uint8_t)~LEVEL_BRIDGE;
    bool is_old = nj_bytes_equal(name, NJ_BYTES_LIT("MQIsdp")) && level == NJ_MQTT_31;
    bool is_new = nj_bytes_equal(name, NJ_BYTES_LIT("MQTT")) &&
                  (level == NJ_MQTT_311 || (level == NJ_MQTT_5 && !out->is_bridge));
    if (!is_old && !is_new) {
        *reason = NJ_RC_UNSUPPORTED_PROTOCOL_VERSION;
        return NJ_ENOTSUP;
    }
    out->version = (enum nj_mqtt_version)level;
    return NJ_OK;
}

static bool flags_are_valid(uint8_t flags, enum nj_mqtt_version version)
{
    uint8_t will_qos = (flags & FLAG_WILL_QOS) >> 3;
    if ((flags & FLAG_RESERVED) && version != NJ_MQTT_31) {
        return false;
    }
    if (!(flags & FLAG_WILL) && (flags & (FLAG_WILL_QOS | FLAG_WILL_RETAIN))) {
        return false;
    }
    /* Only MQTT 5 allows a password without a user name (MQTT3 3.1.2.9). */
    bool lone_password = (flags & FLAG_PASSWORD) && !(flags & FLAG_USERNAME);
    return will_qos < 3 && !(lone_password && version != NJ_MQTT_5);
}

static enum nj_err read_will(struct nj_mqtt_reader *reader, struct nj_mqtt_connect *out,
                             enum nj_mqtt_reason *reason)
{
    if (out->version == NJ_MQTT_5) {
        enum nj_err err = nj_mqtt_props_decode(reader, NJ_MQTT_WILL_PROPS, &out->will_props);
        if (err != NJ_OK) {
            return fail(reason,
                        err == NJ_EMALFORMED ? NJ_RC_MALFORMED_PACKET : NJ_RC_PROTOCOL_ERROR);
        }
    }
    out->will_topic = nj_mqtt_read_lv(reader);
    out->will_payload = nj_mqtt_read_lv(reader);
    if (reader->is_short || !nj_mqtt_utf8_is_valid(out->will_topic)) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (out->will_props.payload_format == 1 && !nj_mqtt_utf8_is_valid(out->will_payload)) {
        return fail(reason, NJ_RC_PAYLOAD_FORMAT_INVALID);
    }
    return NJ_OK;
}

static enum nj_err read_payload(struct nj_mqtt_reader *reader, struct nj_mqtt_connect *out,
                                enum nj_mqtt_reason *reason)
{
    out->client_id = nj_mqtt_read_lv(reader);
    if (reader->is_short || !nj_mqtt_utf8_is_valid(out->client_id)) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (out->has_will) {
        enum nj_err err = read_will(reader, out, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    if (out->has_username) {
        out->username = nj_mqtt_read_lv(reader);
        /* MQTT 3.1: a packet that ends before its user name has none (3.1 section 3.1). */
        if (!reader->is_short && !nj_mqtt_utf8_is_valid(out->username)) {
            return fail(reason, NJ_RC_MALFORMED_PACKET);
        }
    }
    if (out->has_password) {
        out->password = nj_mqtt_read_lv(reader);
    }
    if (reader->is_short && out->version == NJ_MQTT_31) {
        out->has_username = out->has_username && out->username.ptr;
        out->has_password = out->has_password && out->password.ptr;
        return NJ_OK;
    }
    return reader->is_short || nj_mqtt_left(reader) ? fail(reason, NJ_RC_MALFORMED_PACKET) : NJ_OK;
}

enum nj_err nj_mqtt_connect_decode(struct nj_bytes body, struct nj_mqtt_connect *out,
                                   enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    *out = (struct nj_mqtt_connect){.version = NJ_MQTT_311};
    enum nj_err err = read_protocol(&reader, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    uint8_t flags = nj_mqtt_read_u8(&reader);
    out->keep_alive_s = nj_mqtt_read_u16(&reader);
    if (reader.is_short || !flags_are_valid(flags, out->version)) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    out->is_clean_start = (flags & FLAG_CLEAN) != 0;
    out->has_will = (flags & FLAG_WILL) != 0;
    out->will_qos = (flags & FLAG_WILL_QOS) >> 3;
    out->will_retain = (flags & FLAG_WILL_RETAIN) != 0;
    out->has_username = (flags & FLAG_USERNAME) != 0;
    out->has_password = (flags & FLAG_PASSWORD) != 0;
    if (out->version == NJ_MQTT_5) {
        err = nj_mqtt_props_decode(&reader, NJ_MQTT_CONNECT, &out->props);
        if (err != NJ_OK) {
            return fail(reason,
                        err == NJ_EMALFORMED ? NJ_RC_MALFORMED_PACKET : NJ_RC_PROTOCOL_ERROR);
        }
        if (nj_mqtt_props_has(&out->props, NJ_PROP_AUTH_DATA) &&
            !nj_mqtt_props_has(&out->props, NJ_PROP_AUTH_METHOD)) {
            return fail(reason, NJ_RC_PROTOCOL_ERROR);
        }
    }
    return read_payload(&reader, out, reason);
}
