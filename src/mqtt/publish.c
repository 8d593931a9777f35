/* See publish.h. */
#include "mqtt/publish.h"

#include "mqtt/frame.h"
#include "mqtt/packet_priv.h"
#include "mqtt/utf8.h"
#include "mqtt/writer.h"

#define FLAG_DUP    8
#define FLAG_RETAIN 1

static enum nj_err read_publish_props(struct nj_mqtt_reader *reader, struct nj_mqtt_publish *out,
                                      enum nj_mqtt_reason *reason)
{
    enum nj_err err = nj_mqtt_read_props(reader, NJ_MQTT_PUBLISH, &out->props, reason);
    if (err != NJ_OK) {
        return err;
    }
    bool has_alias = nj_mqtt_props_has(&out->props, NJ_PROP_TOPIC_ALIAS);
    if (has_alias && out->props.topic_alias == 0) {
        return nj_mqtt_fail(reason, NJ_RC_TOPIC_ALIAS_INVALID);
    }
    /* MQTT5 3.3.2.1 */
    return out->topic.len || has_alias ? NJ_OK : nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
}

static void clear_props(struct nj_mqtt_props *props)
{
    props->present = 0;
    props->raw = nj_bytes(NULL, 0);
    props->user_count = 0;
    props->subscription_id_count = 0;
}

enum nj_err nj_mqtt_publish_decode_from_server(struct nj_bytes body, uint8_t flags,
                                               enum nj_mqtt_version version,
                                               struct nj_mqtt_publish *out,
                                               enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    out->qos = (flags >> 1) & 3;
    out->is_dup = (flags & FLAG_DUP) != 0;
    out->is_retain = (flags & FLAG_RETAIN) != 0;
    out->packet_id = 0;
    if (out->qos == 3 || (out->qos == 0 && out->is_dup)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    out->topic = nj_mqtt_read_lv(&reader);
    if (out->qos) {
        out->packet_id = nj_mqtt_read_u16(&reader);
    }
    if (reader.is_short || !nj_mqtt_utf8_is_valid(out->topic)) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (version == NJ_MQTT_5) {
        enum nj_err err = read_publish_props(&reader, out, reason);
        if (err != NJ_OK) {
            return err;
        }
    } else {
        clear_props(&out->props);
        if (out->topic.len == 0) {
            return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
        }
    }
    if (out->qos && out->packet_id == 0) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    out->payload = nj_bytes(reader.at, nj_mqtt_left(&reader));
    return NJ_OK;
}

enum nj_err nj_mqtt_publish_decode(struct nj_bytes body, uint8_t flags,
                                   enum nj_mqtt_version version, struct nj_mqtt_publish *out,
                                   enum nj_mqtt_reason *reason)
{
    enum nj_err err = nj_mqtt_publish_decode_from_server(body, flags, version, out, reason);
    if (err == NJ_OK && nj_mqtt_props_has(&out->props, NJ_PROP_SUBSCRIPTION_ID)) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR); /* MQTT5 3.3.4 */
    }
    return err;
}

/* ---- encoding */

static bool add_subscription_ids(const struct nj_mqtt_publish_fields *fields, size_t *size)
{
    for (size_t i = 0; i < fields->subscription_id_count; i++) {
        uint32_t id = fields->subscription_ids[i];
        if (id == 0 || id > NJ_MQTT_VARINT_MAX) {
            return false;
        }
        *size += 1 + nj_mqtt_varint_size(id);
    }
    return true;
}

/* Length of what stands between fixed header and payload, for a block of `props_len`. */
static size_t variable_len(const struct nj_mqtt_publish_fields *fields, size_t props_len)
{
    size_t len = 2 + fields->topic.len + (fields->qos ? 2 : 0);
    return fields->version == NJ_MQTT_5 ? len + nj_mqtt_varint_size((uint32_t)props_len) + props_len
                                        : len;
}

struct nj_mqtt_publish_layout nj_mqtt_publish_size(const struct nj_mqtt_publish_fields *fields)
{
    struct nj_mqtt_publish_layout none = {0};
    size_t props = 0;
    if (fields->version == NJ_MQTT_5) {
        props = fields->props.len + (fields->topic_alias ? 3 : 0) +
                (fields->has_message_expiry ? 5 : 0);
        if (fields->subscription_id_count && !add_subscription_ids(fields, &props)) {
            return none;
        }
    }
    if (fields->topic.len > NJ_MQTT_TEXT_MAX || props > NJ_MQTT_VARINT_MAX ||
        fields->payload.len > NJ_MQTT_VARINT_MAX) {
        return none;
    }
    size_t variable = variable_len(fields, props);
    size_t body = variable + fields->payload.len;
    if (body > NJ_MQTT_VARINT_MAX) {
        return none;
    }
    size_t fixed = 1 + nj_mqtt_varint_size((uint32_t)body);
    return (struct nj_mqtt_publish_layout){
        .total_len = (uint32_t)(fixed + body),
        .header_len = (uint32_t)(fixed + variable),
        .props_len = (uint32_t)props,
        .packet_id_at = fields->qos ? (uint32_t)(fixed + 2 + fields->topic.len) : 0,
    };
}

static uint8_t *put_props(const struct nj_mqtt_publish_fields *fields, uint32_t props_len,
                          uint8_t *at)
{
    at = nj_mqtt_varint_put(at, props_len);
    if (fields->topic_alias) {
        at = nj_mqtt_put_u8(at, NJ_PROP_TOPIC_ALIAS);
        at = nj_mqtt_put_u16(at, fields->topic_alias);
    }
    for (size_t i = 0; i < fields->subscription_id_count; i++) {
        at = nj_mqtt_put_u8(at, NJ_PROP_SUBSCRIPTION_ID);
        at = nj_mqtt_varint_put(at, fields->subscription_ids[i]);
    }
    at = nj_mqtt_put_bytes(at, fields->props);
    if (fields->has_message_expiry) {
        at = nj_mqtt_put_u8(at, NJ_PROP_MESSAGE_EXPIRY);
        at = nj_mqtt_put_u32(at, fields->message_expiry_s);
    }
    return at;
}

uint8_t *nj_mqtt_publish_encode_header(const struct nj_mqtt_publish_fields *fields,
                                       const struct nj_mqtt_publish_layout *layout, uint8_t *at)
{
    size_t payload = layout->total_len - layout->header_len;
    uint8_t flags = (uint8_t)((fields->is_dup ? FLAG_DUP : 0) | fields->qos << 1 |
                              (fields->is_retain ? FLAG_RETAIN : 0));
    at = nj_mqtt_frame_put(at, NJ_MQTT_PUBLISH, flags,
                           variable_len(fields, layout->props_len) + payload);
    at = nj_mqtt_put_lv(at, fields->topic);
    if (fields->qos) {
        at = nj_mqtt_put_u16(at, fields->packet_id);
    }
    return fields->version == NJ_MQTT_5 ? put_props(fields, layout->props_len, at) : at;
}

uint8_t *nj_mqtt_publish_encode(const struct nj_mqtt_publish_fields *fields,
                                const struct nj_mqtt_publish_layout *layout, uint8_t *at)
{
    at = nj_mqtt_publish_encode_header(fields, layout, at);
    return nj_mqtt_put_bytes(at, fields->payload);
}

uint32_t nj_mqtt_publish_packet_id_at(struct nj_bytes frame)
{
    struct nj_mqtt_frame header;
    if (nj_mqtt_frame_peek(frame.ptr, frame.len, &header) != NJ_OK ||
        header.type != NJ_MQTT_PUBLISH || !(header.flags & 6)) {
        return 0;
    }
    struct nj_mqtt_reader reader =
        nj_mqtt_reader(nj_bytes(frame.ptr + header.header_len, frame.len - header.header_len));
    (void)nj_mqtt_read_lv(&reader);
    uint32_t at = (uint32_t)(reader.at - frame.ptr);
    (void)nj_mqtt_read_u16(&reader);
    return reader.is_short ? 0 : at;
}
