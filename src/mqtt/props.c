/* See props.h. */
#include "mqtt/props.h"

#include "mqtt/utf8.h"
#include "mqtt/varint.h"

enum shape {
    SHAPE_NONE, /* no such property */
    SHAPE_BYTE,
    SHAPE_U16,
    SHAPE_U32,
    SHAPE_VARINT,
    SHAPE_STRING,
    SHAPE_BINARY,
    SHAPE_PAIR,
};

#define IN(type) (1u << NJ_MQTT_##type)
#define IN_WILL  (1u << NJ_MQTT_WILL_PROPS)
#define IN_ACKS  (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK))
#define IN_ALL                                                                                     \
    (IN_WILL | IN_ACKS | IN(CONNECT) | IN(CONNACK) | IN(PUBLISH) | IN(SUBSCRIBE) |                 \
     IN(UNSUBSCRIBE) | IN(DISCONNECT) | IN(AUTH))

/* MQTT5 table 2-4. */
static const struct rule {
    uint8_t shape; /* enum shape */
    uint32_t packets;
} rules[NJ_PROP_COUNT] = {
    [NJ_PROP_PAYLOAD_FORMAT] = {SHAPE_BYTE, IN(PUBLISH) | IN_WILL},
    [NJ_PROP_MESSAGE_EXPIRY] = {SHAPE_U32, IN(PUBLISH) | IN_WILL},
    [NJ_PROP_CONTENT_TYPE] = {SHAPE_STRING, IN(PUBLISH) | IN_WILL},
    [NJ_PROP_RESPONSE_TOPIC] = {SHAPE_STRING, IN(PUBLISH) | IN_WILL},
    [NJ_PROP_CORRELATION_DATA] = {SHAPE_BINARY, IN(PUBLISH) | IN_WILL},
    [NJ_PROP_SUBSCRIPTION_ID] = {SHAPE_VARINT, IN(PUBLISH) | IN(SUBSCRIBE)},
    [NJ_PROP_SESSION_EXPIRY] = {SHAPE_U32, IN(CONNECT) | IN(CONNACK) | IN(DISCONNECT)},
    [NJ_PROP_ASSIGNED_CLIENT_ID] = {SHAPE_STRING, IN(CONNACK)},
    [NJ_PROP_SERVER_KEEP_ALIVE] = {SHAPE_U16, IN(CONNACK)},
    [NJ_PROP_AUTH_METHOD] = {SHAPE_STRING, IN(CONNECT) | IN(CONNACK) | IN(AUTH)},
    [NJ_PROP_AUTH_DATA] = {SHAPE_BINARY, IN(CONNECT) | IN(CONNACK) | IN(AUTH)},
    [NJ_PROP_REQUEST_PROBLEM_INFO] = {SHAPE_BYTE, IN(CONNECT)},
    [NJ_PROP_WILL_DELAY] = {SHAPE_U32, IN_WILL},
    [NJ_PROP_REQUEST_RESPONSE_INFO] = {SHAPE_BYTE, IN(CONNECT)},
    [NJ_PROP_RESPONSE_INFO] = {SHAPE_STRING, IN(CONNACK)},
    [NJ_PROP_SERVER_REFERENCE] = {SHAPE_STRING, IN(CONNACK) | IN(DISCONNECT)},
    [NJ_PROP_REASON_STRING] = {SHAPE_STRING, IN_ACKS | IN(CONNACK) | IN(DISCONNECT) | IN(AUTH)},
    [NJ_PROP_RECEIVE_MAXIMUM] = {SHAPE_U16, IN(CONNECT) | IN(CONNACK)},
    [NJ_PROP_TOPIC_ALIAS_MAXIMUM] = {SHAPE_U16, IN(CONNECT) | IN(CONNACK)},
    [NJ_PROP_TOPIC_ALIAS] = {SHAPE_U16, IN(PUBLISH)},
    [NJ_PROP_MAXIMUM_QOS] = {SHAPE_BYTE, IN(CONNACK)},
    [NJ_PROP_RETAIN_AVAILABLE] = {SHAPE_BYTE, IN(CONNACK)},
    [NJ_PROP_USER_PROPERTY] = {SHAPE_PAIR, IN_ALL},
    [NJ_PROP_MAXIMUM_PACKET_SIZE] = {SHAPE_U32, IN(CONNECT) | IN(CONNACK)},
    [NJ_PROP_WILDCARD_AVAILABLE] = {SHAPE_BYTE, IN(CONNACK)},
    [NJ_PROP_SUBSCRIPTION_IDS_AVAILABLE] = {SHAPE_BYTE, IN(CONNACK)},
    [NJ_PROP_SHARED_AVAILABLE] = {SHAPE_BYTE, IN(CONNACK)},
};

static uint8_t *byte_field(struct nj_mqtt_props *out, enum nj_mqtt_prop prop)
{
    switch (prop) {
    case NJ_PROP_PAYLOAD_FORMAT:
        return &out->payload_format;
    case NJ_PROP_REQUEST_PROBLEM_INFO:
        return &out->request_problem_info;
    case NJ_PROP_REQUEST_RESPONSE_INFO:
        return &out->request_response_info;
    case NJ_PROP_MAXIMUM_QOS:
        return &out->max_qos;
    case NJ_PROP_RETAIN_AVAILABLE:
        return &out->retain_available;
    case NJ_PROP_WILDCARD_AVAILABLE:
        return &out->wildcard_available;
    case NJ_PROP_SUBSCRIPTION_IDS_AVAILABLE:
        return &out->subscription_ids_available;
    default:
        return &out->shared_available;
    }
}

static uint16_t *u16_field(struct nj_mqtt_props *out, enum nj_mqtt_prop prop)
{
    switch (prop) {
    case NJ_PROP_SERVER_KEEP_ALIVE:
        return &out->server_keep_alive;
    case NJ_PROP_RECEIVE_MAXIMUM:
        return &out->receive_maximum;
    case NJ_PROP_TOPIC_ALIAS_MAXIMUM:
        return &out->topic_alias_maximum;
    default:
        return &out->topic_alias;
    }
}

static uint32_t *u32_field(struct nj_mqtt_props *out, enum nj_mqtt_prop prop)
{
    switch (prop) {
    case NJ_PROP_MESSAGE_EXPIRY:
        return &out->message_expiry_s;
    case NJ_PROP_SESSION_EXPIRY:
        return &out->session_expiry_s;
    case NJ_PROP_WILL_DELAY:
        return &out->will_delay_s;
    default:
        return &out->maximum_packet_size;
    }
}

static struct nj_bytes *bytes_field(struct nj_mqtt_props *out, enum nj_mqtt_prop prop)
{
    switch (prop) {
    case NJ_PROP_CONTENT_TYPE:
        return &out->content_type;
    case NJ_PROP_RESPONSE_TOPIC:
        return &out->response_topic;
    case NJ_PROP_CORRELATION_DATA:
        return &out->correlation_data;
    case NJ_PROP_ASSIGNED_CLIENT_ID:
        return &out->assigned_client_id;
    case NJ_PROP_AUTH_METHOD:
        return &out->auth_method;
    case NJ_PROP_AUTH_DATA:
        return &out->auth_data;
    case NJ_PROP_RESPONSE_INFO:
        return &out->response_info;
    case NJ_PROP_SERVER_REFERENCE:
        return &out->server_reference;
    default:
        return &out->reason_string;
    }
}

static enum nj_err read_varint(struct nj_mqtt_reader *reader, uint32_t *value)
{
    size_t used;
    if (nj_mqtt_varint_get(reader->at, nj_mqtt_left(reader), value, &used) != NJ_OK) {
        return NJ_EMALFORMED;
    }
    reader->at += used;
    return NJ_OK;
}

static enum nj_err read_subscription_id(struct nj_mqtt_reader *reader, struct nj_mqtt_props *out)
{
    uint32_t id;
    if (read_varint(reader, &id) != NJ_OK) {
        return NJ_EMALFORMED;
    }
    if (id == 0) {
        return NJ_EPROTOCOL;
    }
    if (out->subscription_id_count < NJ_MQTT_SUBSCRIPTION_IDS_MAX) {
        out->subscription_ids[out->subscription_id_count++] = id;
    }
    return NJ_OK;
}

static enum nj_err read_user(struct nj_mqtt_reader *reader, struct nj_mqtt_props *out)
{
    struct nj_bytes key = nj_mqtt_read_lv(reader);
    struct nj_bytes value = nj_mqtt_read_lv(reader);
    out->user_count++;
    bool is_valid = !reader->is_short && nj_mqtt_utf8_is_valid(key) && nj_mqtt_utf8_is_valid(value);
    return is_valid ? NJ_OK : NJ_EMALFORMED;
}

static enum nj_err read_value(struct nj_mqtt_reader *reader, enum nj_mqtt_prop prop,
                              struct nj_mqtt_props *out)
{
    switch (rules[prop].shape) {
    case SHAPE_BYTE:
        *byte_field(out, prop) = nj_mqtt_read_u8(reader);
        /* Every byte property is a choice of 0 or 1. */
        return *byte_field(out, prop) > 1 ? NJ_EPROTOCOL : NJ_OK;
    case SHAPE_U16:
        *u16_field(out, prop) = nj_mqtt_read_u16(reader);
        return prop == NJ_PROP_RECEIVE_MAXIMUM && out->receive_maximum == 0 && !reader->is_short
                   ? NJ_EPROTOCOL
                   : NJ_OK;
    case SHAPE_U32:
        *u32_field(out, prop) = nj_mqtt_read_u32(reader);
        return prop == NJ_PROP_MAXIMUM_PACKET_SIZE && out->maximum_packet_size == 0 &&
                       !reader->is_short
                   ? NJ_EPROTOCOL
                   : NJ_OK;
    case SHAPE_VARINT:
        return read_subscription_id(reader, out);
    case SHAPE_PAIR:
        return read_user(reader, out);
    default:
        *bytes_field(out, prop) = nj_mqtt_read_lv(reader);
        return rules[prop].shape == SHAPE_STRING && !nj_mqtt_utf8_is_valid(*bytes_field(out, prop))
                   ? NJ_EMALFORMED
                   : NJ_OK;
    }
}

/* User properties may repeat in every packet, subscription identifiers in PUBLISH. */
static bool may_repeat(enum nj_mqtt_prop prop, unsigned type)
{
    return prop == NJ_PROP_USER_PROPERTY ||
           (prop == NJ_PROP_SUBSCRIPTION_ID && type == NJ_MQTT_PUBLISH);
}

enum nj_err nj_mqtt_props_decode(struct nj_mqtt_reader *reader, unsigned type,
                                 struct nj_mqtt_props *out)
{
    uint32_t len;
    *out = (struct nj_mqtt_props){0};
    if (read_varint(reader, &len) != NJ_OK || len > nj_mqtt_left(reader)) {
        return NJ_EMALFORMED;
    }
    out->raw = nj_mqtt_read_bytes(reader, len);
    struct nj_mqtt_reader block = nj_mqtt_reader(out->raw);
    while (block.at < block.end) {
        uint8_t id = nj_mqtt_read_u8(&block);
        if (id >= NJ_PROP_COUNT || !(rules[id].packets >> type & 1)) {
            return NJ_EMALFORMED;
        }
        bool is_repeated = (out->present >> id & 1) != 0;
        if (is_repeated && !may_repeat((enum nj_mqtt_prop)id, type)) {
            return NJ_EPROTOCOL;
        }
        out->present |= 1ull << id;
        enum nj_err err = read_value(&block, (enum nj_mqtt_prop)id, out);
        if (block.is_short) {
            return NJ_EMALFORMED;
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

/* Moves over one property of a block that was decoded before. Returns its identifier. */
static uint8_t skip_prop(struct nj_mqtt_reader *block)
{
    uint8_t id = nj_mqtt_read_u8(block);
    uint32_t ignored;
    switch (id < NJ_PROP_COUNT ? rules[id].shape : SHAPE_NONE) {
    case SHAPE_BYTE:
        (void)nj_mqtt_read_u8(block);
        break;
    case SHAPE_U16:
        (void)nj_mqtt_read_u16(block);
        break;
    case SHAPE_U32:
        (void)nj_mqtt_read_u32(block);
        break;
    case SHAPE_VARINT:
        (void)read_varint(block, &ignored);
        break;
    case SHAPE_PAIR:
        (void)nj_mqtt_read_lv(block);
        (void)nj_mqtt_read_lv(block);
        break;
    default:
        (void)nj_mqtt_read_lv(block);
        break;
    }
    return id;
}

bool nj_mqtt_props_next_user(const struct nj_mqtt_props *props, size_t *at, struct nj_bytes *key,
                             struct nj_bytes *value)
{
    struct nj_mqtt_reader block =
        nj_mqtt_reader(nj_bytes(props->raw.ptr + *at, props->raw.len - *at));
    while (block.at < block.end) {
        struct nj_mqtt_reader before = block;
        if (skip_prop(&block) == NJ_PROP_USER_PROPERTY) {
            (void)nj_mqtt_read_u8(&before);
            *key = nj_mqtt_read_lv(&before);
            *value = nj_mqtt_read_lv(&before);
            *at = (size_t)(block.at - props->raw.ptr);
            return true;
        }
    }
    *at = props->raw.len;
    return false;
}

size_t nj_mqtt_prop_size(enum nj_mqtt_prop prop, size_t len)
{
    switch (rules[prop].shape) {
    case SHAPE_BYTE:
        return 2;
    case SHAPE_U16:
        return 3;
    case SHAPE_U32:
        return 5;
    case SHAPE_VARINT:
        return 1 + nj_mqtt_varint_size((uint32_t)len);
    case SHAPE_PAIR:
        return 5 + len;
    default:
        return 3 + len;
    }
}

static uint8_t *put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static uint8_t *put_lv(uint8_t *at, struct nj_bytes value)
{
    at = put_u16(at, (uint32_t)value.len);
    if (value.len) {
        memcpy(at, value.ptr, value.len);
    }
    return at + value.len;
}

uint8_t *nj_mqtt_prop_put_int(uint8_t *at, enum nj_mqtt_prop prop, uint32_t value)
{
    *at++ = (uint8_t)prop;
    switch (rules[prop].shape) {
    case SHAPE_BYTE:
        *at = (uint8_t)value;
        return at + 1;
    case SHAPE_U16:
        return put_u16(at, value);
    case SHAPE_U32:
        return put_u16(put_u16(at, value >> 16), value & 0xffff);
    default:
        return nj_mqtt_varint_put(at, value);
    }
}

uint8_t *nj_mqtt_prop_put_bytes(uint8_t *at, enum nj_mqtt_prop prop, struct nj_bytes value)
{
    *at++ = (uint8_t)prop;
    return put_lv(at, value);
}

uint8_t *nj_mqtt_prop_put_user(uint8_t *at, struct nj_bytes key, struct nj_bytes value)
{
    *at++ = NJ_PROP_USER_PROPERTY;
    return put_lv(put_lv(at, key), value);
}

static bool is_forwarded(uint8_t id)
{
    return id != NJ_PROP_TOPIC_ALIAS && id != NJ_PROP_MESSAGE_EXPIRY &&
           id != NJ_PROP_SUBSCRIPTION_ID;
}

struct nj_bytes nj_mqtt_props_forwarded(const struct nj_mqtt_props *props, uint8_t *scratch)
{
    uint64_t hop = 1ull << NJ_PROP_TOPIC_ALIAS | 1ull << NJ_PROP_MESSAGE_EXPIRY |
                   1ull << NJ_PROP_SUBSCRIPTION_ID;
    if (!(props->present & hop)) {
        return props->raw;
    }
    if (!(props->present & ~hop)) {
        return nj_bytes(NULL, 0);
    }
    struct nj_mqtt_reader block = nj_mqtt_reader(props->raw);
    uint8_t *at = scratch;
    while (block.at < block.end) {
        const uint8_t *from = block.at;
        if (is_forwarded(skip_prop(&block))) {
            memcpy(at, from, (size_t)(block.at - from));
            at += block.at - from;
        }
    }
    return nj_bytes(scratch, (size_t)(at - scratch));
}
