/* See encode.h. MQTT5 3.3.2. */
#include "broker/encode.h"

#define PROP_MESSAGE_EXPIRY  2
#define PROP_SUBSCRIPTION_ID 11
#define PROP_TOPIC_ALIAS     35

static uint32_t varint_len(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static uint8_t *put_varint(uint8_t *at, uint32_t value)
{
    while (value >= 128) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put_bytes(uint8_t *at, struct nj_bytes bytes)
{
    if (bytes.len) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

struct nj_publish_size nj_publish_out_size(const struct nj_publish_out *out)
{
    struct nj_publish_size size = {0};
    uint32_t body = 2 + (uint32_t)out->topic.len + (out->qos ? 2 : 0);
    if (out->version == NJ_MQTT_5) {
        size.props = (uint32_t)out->props.len;
        size.props += out->sub_id ? 1 + varint_len(out->sub_id) : 0;
        size.props += out->alias ? 3 : 0;
        size.props += out->has_expiry ? 5 : 0;
        body += varint_len(size.props) + size.props;
    }
    uint32_t remaining = body + (uint32_t)out->payload.len;
    uint32_t fixed = 1 + varint_len(remaining);
    size.header = fixed + body;
    size.total = fixed + remaining;
    size.id_at = out->qos ? fixed + 2 + (uint32_t)out->topic.len : 0;
    return size;
}

void nj_publish_out_header(const struct nj_publish_out *out, const struct nj_publish_size *size,
                           uint8_t *at)
{
    *at++ = (uint8_t)(NJ_MQTT_PUBLISH << 4 | (out->is_dup ? 8 : 0) | out->qos << 1 |
                      (out->is_retain ? 1 : 0));
    at = put_varint(at,
                    size->total - size->header + 2 + (uint32_t)out->topic.len + (out->qos ? 2 : 0) +
                        (out->version == NJ_MQTT_5 ? varint_len(size->props) + size->props : 0));
    at = put_u16(at, (uint32_t)out->topic.len);
    at = put_bytes(at, out->topic);
    if (out->qos) {
        at = put_u16(at, 0);
    }
    if (out->version != NJ_MQTT_5) {
        return;
    }
    at = put_varint(at, size->props);
    /* The alias comes first: nj_publish_frame_alias has to find it again. */
    if (out->alias) {
        *at++ = PROP_TOPIC_ALIAS;
        at = put_u16(at, out->alias);
    }
    if (out->sub_id) {
        *at++ = PROP_SUBSCRIPTION_ID;
        at = put_varint(at, out->sub_id);
    }
    at = put_bytes(at, out->props);
    if (out->has_expiry) {
        *at++ = PROP_MESSAGE_EXPIRY;
        at = put_u16(at, out->expiry_s >> 16);
        put_u16(at, out->expiry_s & 0xffff);
    }
}

uint16_t nj_publish_frame_alias(struct nj_bytes props)
{
    size_t at = 0;
    while (at < props.len && props.ptr[at++] & 0x80) {
    }
    return at + 3 <= props.len && props.ptr[at] == PROP_TOPIC_ALIAS
               ? (uint16_t)(props.ptr[at + 1] << 8 | props.ptr[at + 2])
               : 0;
}
