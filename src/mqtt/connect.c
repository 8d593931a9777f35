/* See connect.h. */
#include "mqtt/connect.h"

#include "mqtt/frame.h"
#include "mqtt/packet_priv.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "mqtt/writer.h"

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

static enum nj_err read_protocol(struct nj_mqtt_reader *reader, struct nj_mqtt_connect *out,
                                 enum nj_mqtt_reason *reason)
{
    struct nj_bytes name = nj_mqtt_read_lv(reader);
    uint8_t level = nj_mqtt_read_u8(reader);
    if (reader->is_short) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    bool is_old = nj_bytes_equal(name, NJ_BYTES_LIT("MQIsdp"));
    if (!is_old && !nj_bytes_equal(name, NJ_BYTES_LIT("MQTT"))) {
        *reason = NJ_RC_UNSUPPORTED_PROTOCOL_VERSION;
        return NJ_EDECLINED;
    }
    out->is_bridge = (level & LEVEL_BRIDGE) != 0;
    level &= (uint8_t)~LEVEL_BRIDGE;
    bool is_known = is_old ? level == NJ_MQTT_31
                           : level == NJ_MQTT_311 || (level == NJ_MQTT_5 && !out->is_bridge);
    if (!is_known) {
        *reason = NJ_RC_UNSUPPORTED_PROTOCOL_VERSION;
        return NJ_ENOTSUP;
    }
    out->version = (enum nj_mqtt_version)level;
    return NJ_OK;
}

static bool flags_are_valid(uint8_t flags, enum nj_mqtt_version version)
{
    uint8_t will_qos = (flags & FLAG_WILL_QOS) >> 3;
    /* MQTT 3.1 leaves the bit without a meaning. */
    if ((flags & FLAG_RESERVED) && version != NJ_MQTT_31) {
        return false;
    }
    if (!(flags & FLAG_WILL) && (flags & (FLAG_WILL_QOS | FLAG_WILL_RETAIN))) {
        return false;
    }
    /* Only MQTT 5 allows a password without a user name (MQTT3 3.1.2.9). */
    bool is_lone_password = (flags & FLAG_PASSWORD) && !(flags & FLAG_USERNAME);
    return will_qos < 3 && !(is_lone_password && version != NJ_MQTT_5);
}

static enum nj_err read_will(struct nj_mqtt_reader *reader, struct nj_mqtt_connect *out,
                             enum nj_mqtt_reason *reason)
{
    if (out->version == NJ_MQTT_5) {
        enum nj_err err = nj_mqtt_read_props(reader, NJ_MQTT_WILL_PROPS, &out->will_props, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    out->will_topic = nj_mqtt_read_lv(reader);
    out->will_payload = nj_mqtt_read_lv(reader);
    if (reader->is_short || !nj_mqtt_utf8_is_valid(out->will_topic)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (!nj_mqtt_topic_is_valid(out->will_topic, 0)) {
        return nj_mqtt_fail(reason, NJ_RC_TOPIC_NAME_INVALID);
    }
    return NJ_OK;
}

/* MQTT 3.1: a packet that ends before its user name or password has none, whatever its flags say
 * (MQTT 3.1 section 3.1). One that ends within it is malformed like any other. */
static void forgive_missing(const struct nj_mqtt_reader *reader, bool *has_field,
                            enum nj_mqtt_version version)
{
    if (version == NJ_MQTT_31 && nj_mqtt_left(reader) == 0) {
        *has_field = false;
    }
}

static enum nj_err read_payload(struct nj_mqtt_reader *reader, struct nj_mqtt_connect *out,
                                enum nj_mqtt_reason *reason)
{
    out->client_id = nj_mqtt_read_lv(reader);
    if (reader->is_short || !nj_mqtt_utf8_is_valid(out->client_id)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (out->has_will) {
        enum nj_err err = read_will(reader, out, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    forgive_missing(reader, &out->has_username, out->version);
    if (out->has_username) {
        out->username = nj_mqtt_read_lv(reader);
    }
    forgive_missing(reader, &out->has_password, out->version);
    if (out->has_password) {
        out->password = nj_mqtt_read_lv(reader);
    }
    if (reader->is_short || nj_mqtt_left(reader) || !nj_mqtt_utf8_is_valid(out->username)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    return NJ_OK;
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
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    out->is_clean_start = (flags & FLAG_CLEAN) != 0;
    out->has_will = (flags & FLAG_WILL) != 0;
    out->will_qos = (flags & FLAG_WILL_QOS) >> 3;
    out->will_retain = (flags & FLAG_WILL_RETAIN) != 0;
    out->has_username = (flags & FLAG_USERNAME) != 0;
    out->has_password = (flags & FLAG_PASSWORD) != 0;
    if (out->version == NJ_MQTT_5) {
        err = nj_mqtt_read_props(&reader, NJ_MQTT_CONNECT, &out->props, reason);
        if (err != NJ_OK) {
            return err;
        }
        /* MQTT5 3.1.2.11.10 */
        if (nj_mqtt_props_has(&out->props, NJ_PROP_AUTH_DATA) &&
            !nj_mqtt_props_has(&out->props, NJ_PROP_AUTH_METHOD)) {
            return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
        }
    }
    return read_payload(&reader, out, reason);
}

/* ---- encoding */

static struct nj_bytes protocol_name(enum nj_mqtt_version version)
{
    return version == NJ_MQTT_31 ? NJ_BYTES_LIT("MQIsdp") : NJ_BYTES_LIT("MQTT");
}

/* Adds a text and its length to *size; false when it is too long. */
static bool add_lv(size_t *size, struct nj_bytes text)
{
    *size += 2 + text.len;
    return text.len <= NJ_MQTT_TEXT_MAX;
}

static bool add_props(size_t *size, const struct nj_mqtt_props *props)
{
    size_t len = nj_mqtt_props_size(props);
    *size += len;
    return len != 0;
}

/* 0 = cannot be expressed. */
static size_t body_size(const struct nj_mqtt_connect *packet)
{
    bool is_5 = packet->version == NJ_MQTT_5;
    size_t size = 2 + protocol_name(packet->version).len + 4;
    bool is_valid = add_lv(&size, packet->client_id);
    if (is_5) {
        is_valid = is_valid && add_props(&size, &packet->props);
    }
    if (packet->has_will) {
        is_valid = is_valid && (!is_5 || add_props(&size, &packet->will_props)) &&
                   add_lv(&size, packet->will_topic) && add_lv(&size, packet->will_payload);
    }
    if (packet->has_username) {
        is_valid = is_valid && add_lv(&size, packet->username);
    }
    if (packet->has_password) {
        is_valid = is_valid && add_lv(&size, packet->password);
    }
    return is_valid ? size : 0;
}

size_t nj_mqtt_connect_size(const struct nj_mqtt_connect *packet)
{
    size_t body = body_size(packet);
    return body ? nj_mqtt_frame_size(body) : 0;
}

static uint8_t connect_flags(const struct nj_mqtt_connect *packet)
{
    uint8_t flags = packet->is_clean_start ? FLAG_CLEAN : 0;
    if (packet->has_will) {
        flags |= (uint8_t)(FLAG_WILL | (packet->will_qos << 3 & FLAG_WILL_QOS));
        flags |= packet->will_retain ? FLAG_WILL_RETAIN : 0;
    }
    flags |= packet->has_username ? FLAG_USERNAME : 0;
    flags |= packet->has_password ? FLAG_PASSWORD : 0;
    return flags;
}

uint8_t *nj_mqtt_connect_encode(const struct nj_mqtt_connect *packet, uint8_t *at)
{
    bool is_5 = packet->version == NJ_MQTT_5;
    at = nj_mqtt_frame_put(at, NJ_MQTT_CONNECT, 0, body_size(packet));
    at = nj_mqtt_put_lv(at, protocol_name(packet->version));
    at = nj_mqtt_put_u8(at, packet->version | (packet->is_bridge && !is_5 ? LEVEL_BRIDGE : 0));
    at = nj_mqtt_put_u8(at, connect_flags(packet));
    at = nj_mqtt_put_u16(at, packet->keep_alive_s);
    if (is_5) {
        at = nj_mqtt_props_encode(&packet->props, at);
    }
    at = nj_mqtt_put_lv(at, packet->client_id);
    if (packet->has_will) {
        if (is_5) {
            at = nj_mqtt_props_encode(&packet->will_props, at);
        }
        at = nj_mqtt_put_lv(at, packet->will_topic);
        at = nj_mqtt_put_lv(at, packet->will_payload);
    }
    if (packet->has_username) {
        at = nj_mqtt_put_lv(at, packet->username);
    }
    if (packet->has_password) {
        at = nj_mqtt_put_lv(at, packet->password);
    }
    return at;
}
