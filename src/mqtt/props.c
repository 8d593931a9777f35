/* The table of properties, and decoding. See props.h; encoding is in props_encode.c. */
#include "mqtt/props.h"

#include <stddef.h>

#include "mqtt/props_priv.h"
#include "mqtt/utf8.h"
#include "mqtt/varint.h"

#define IN(type) (1u << NJ_MQTT_##type)
#define IN_WILL  (1u << NJ_MQTT_WILL_PROPS)
#define IN_ACKS  (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP) | IN(SUBACK) | IN(UNSUBACK))
#define IN_ALL                                                                                     \
    (IN_WILL | IN_ACKS | IN(CONNECT) | IN(CONNACK) | IN(PUBLISH) | IN(SUBSCRIBE) |                 \
     IN(UNSUBSCRIBE) | IN(DISCONNECT) | IN(AUTH))

#define RULE(shape, field, packets)                                                                \
    {                                                                                              \
        NJ_MQTT_SHAPE_##shape, (uint16_t)offsetof(struct nj_mqtt_props, field), packets            \
    }

const struct nj_mqtt_prop_rule nj_mqtt_prop_rules[NJ_PROP_COUNT] = {
    [NJ_PROP_PAYLOAD_FORMAT] = RULE(BYTE, payload_format, IN(PUBLISH) | IN_WILL),
    [NJ_PROP_MESSAGE_EXPIRY] = RULE(U32, message_expiry_s, IN(PUBLISH) | IN_WILL),
    [NJ_PROP_CONTENT_TYPE] = RULE(STRING, content_type, IN(PUBLISH) | IN_WILL),
    [NJ_PROP_RESPONSE_TOPIC] = RULE(STRING, response_topic, IN(PUBLISH) | IN_WILL),
    [NJ_PROP_CORRELATION_DATA] = RULE(BINARY, correlation_data, IN(PUBLISH) | IN_WILL),
    [NJ_PROP_SUBSCRIPTION_ID] = RULE(VARINT, subscription_ids, IN(PUBLISH) | IN(SUBSCRIBE)),
    [NJ_PROP_SESSION_EXPIRY] =
        RULE(U32, session_expiry_s, IN(CONNECT) | IN(CONNACK) | IN(DISCONNECT)),
    [NJ_PROP_ASSIGNED_CLIENT_ID] = RULE(STRING, assigned_client_id, IN(CONNACK)),
    [NJ_PROP_SERVER_KEEP_ALIVE] = RULE(U16, server_keep_alive, IN(CONNACK)),
    [NJ_PROP_AUTH_METHOD] = RULE(STRING, auth_method, IN(CONNECT) | IN(CONNACK) | IN(AUTH)),
    [NJ_PROP_AUTH_DATA] = RULE(BINARY, auth_data, IN(CONNECT) | IN(CONNACK) | IN(AUTH)),
    [NJ_PROP_REQUEST_PROBLEM_INFO] = RULE(BYTE, request_problem_info, IN(CONNECT)),
    [NJ_PROP_WILL_DELAY] = RULE(U32, will_delay_s, IN_WILL),
    [NJ_PROP_REQUEST_RESPONSE_INFO] = RULE(BYTE, request_response_info, IN(CONNECT)),
    [NJ_PROP_RESPONSE_INFO] = RULE(STRING, response_info, IN(CONNACK)),
    [NJ_PROP_SERVER_REFERENCE] = RULE(STRING, server_reference, IN(CONNACK) | IN(DISCONNECT)),
    [NJ_PROP_REASON_STRING] =
        RULE(STRING, reason_string, IN_ACKS | IN(CONNACK) | IN(DISCONNECT) | IN(AUTH)),
    [NJ_PROP_RECEIVE_MAXIMUM] = RULE(U16, receive_maximum, IN(CONNECT) | IN(CONNACK)),
    [NJ_PROP_TOPIC_ALIAS_MAXIMUM] = RULE(U16, topic_alias_maximum, IN(CONNECT) | IN(CONNACK)),
    [NJ_PROP_TOPIC_ALIAS] = RULE(U16, topic_alias, IN(PUBLISH)),
    [NJ_PROP_MAXIMUM_QOS] = RULE(BYTE, max_qos, IN(CONNACK)),
    [NJ_PROP_RETAIN_AVAILABLE] = RULE(BYTE, retain_available, IN(CONNACK)),
    [NJ_PROP_USER_PROPERTY] = RULE(PAIR, user_count, IN_ALL),
    [NJ_PROP_MAXIMUM_PACKET_SIZE] = RULE(U32, maximum_packet_size, IN(CONNECT) | IN(CONNACK)),
    [NJ_PROP_WILDCARD_AVAILABLE] = RULE(BYTE, wildcard_available, IN(CONNACK)),
    [NJ_PROP_SUBSCRIPTION_IDS_AVAILABLE] = RULE(BYTE, subscription_ids_available, IN(CONNACK)),
    [NJ_PROP_SHARED_AVAILABLE] = RULE(BYTE, shared_available, IN(CONNACK)),
};

static bool read_varint(struct nj_mqtt_reader *reader, uint32_t *value)
{
    size_t used;
    if (nj_mqtt_varint_get(reader->at, nj_mqtt_left(reader), value, &used) != NJ_OK) {
        return false;
    }
    reader->at += used;
    return true;
}

static enum nj_err read_subscription_id(struct nj_mqtt_reader *reader, struct nj_mqtt_props *out)
{
    uint32_t id;
    if (!read_varint(reader, &id)) {
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
    bool is_valid = nj_mqtt_utf8_is_valid(key) && nj_mqtt_utf8_is_valid(value);
    return is_valid ? NJ_OK : NJ_EMALFORMED;
}

static enum nj_err read_string(struct nj_mqtt_reader *reader, enum nj_mqtt_prop prop,
                               struct nj_bytes *field)
{
    *field = nj_mqtt_read_lv(reader);
    if (!nj_mqtt_utf8_is_valid(*field)) {
        return NJ_EMALFORMED;
    }
    /* A topic that cannot be published to (MQTT5 3.3.2.3.5). */
    if (prop == NJ_PROP_RESPONSE_TOPIC && (field->len == 0 || memchr(field->ptr, '+', field->len) ||
                                           memchr(field->ptr, '#', field->len))) {
        return NJ_EPROTOCOL;
    }
    return NJ_OK;
}

static enum nj_err read_value(struct nj_mqtt_reader *reader, enum nj_mqtt_prop prop,
                              struct nj_mqtt_props *out)
{
    void *field = (char *)out + nj_mqtt_prop_rules[prop].at;
    switch (nj_mqtt_prop_rules[prop].shape) {
    case NJ_MQTT_SHAPE_BYTE: {
        uint8_t *byte = field;
        *byte = nj_mqtt_read_u8(reader);
        return *byte > 1 ? NJ_EPROTOCOL : NJ_OK;
    }
    case NJ_MQTT_SHAPE_U16: {
        uint16_t *number = field;
        *number = nj_mqtt_read_u16(reader);
        return prop == NJ_PROP_RECEIVE_MAXIMUM && *number == 0 ? NJ_EPROTOCOL : NJ_OK;
    }
    case NJ_MQTT_SHAPE_U32: {
        uint32_t *number = field;
        *number = nj_mqtt_read_u32(reader);
        return prop == NJ_PROP_MAXIMUM_PACKET_SIZE && *number == 0 ? NJ_EPROTOCOL : NJ_OK;
    }
    case NJ_MQTT_SHAPE_VARINT:
        return read_subscription_id(reader, out);
    case NJ_MQTT_SHAPE_PAIR:
        return read_user(reader, out);
    case NJ_MQTT_SHAPE_STRING:
        return read_string(reader, prop, field);
    default: {
        struct nj_bytes *bytes = field;
        *bytes = nj_mqtt_read_lv(reader);
        return NJ_OK;
    }
    }
}

/* User properties may repeat in every packet, subscription identifiers in PUBLISH. */
static bool may_repeat(unsigned id, unsigned type)
{
    return id == NJ_PROP_USER_PROPERTY ||
           (id == NJ_PROP_SUBSCRIPTION_ID && type == NJ_MQTT_PUBLISH);
}

/* Told the size, gcc 12 clears the struct by `rep stos`, which costs more than the rest of decoding
 * a PUBLISH; memset itself takes a tenth. */
static void clear(struct nj_mqtt_props *out)
{
    size_t size = sizeof(*out);
    __asm__("" : "+r"(size));
    memset(out, 0, size);
}

enum nj_err nj_mqtt_props_parse(struct nj_bytes raw, unsigned type, struct nj_mqtt_props *out)
{
    clear(out);
    out->raw = raw;
    struct nj_mqtt_reader block = nj_mqtt_reader(raw);
    while (nj_mqtt_left(&block)) {
        uint8_t id = nj_mqtt_read_u8(&block);
        if (id >= NJ_PROP_COUNT || !(nj_mqtt_prop_rules[id].packets >> type & 1)) {
            return NJ_EMALFORMED;
        }
        bool is_repeated = (out->present >> id & 1) != 0;
        if (is_repeated && !may_repeat(id, type)) {
            return NJ_EPROTOCOL;
        }
        out->present |= 1ull << id;
        enum nj_err err = read_value(&block, (enum nj_mqtt_prop)id, out);
        /* A value that is not all there was read as 0 and may have been found wrong for that. */
        if (block.is_short) {
            return NJ_EMALFORMED;
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

enum nj_err nj_mqtt_props_read_block(struct nj_mqtt_reader *reader, struct nj_bytes *raw)
{
    uint32_t len;
    if (!read_varint(reader, &len) || len > nj_mqtt_left(reader)) {
        return NJ_EMALFORMED;
    }
    *raw = nj_mqtt_read_bytes(reader, len);
    return NJ_OK;
}

enum nj_err nj_mqtt_props_decode(struct nj_mqtt_reader *reader, unsigned type,
                                 struct nj_mqtt_props *out)
{
    struct nj_bytes raw;
    enum nj_err err = nj_mqtt_props_read_block(reader, &raw);
    return err == NJ_OK ? nj_mqtt_props_parse(raw, type, out) : err;
}

/* Moves over one property of a block that was decoded before. Returns its identifier. */
static uint8_t skip_prop(struct nj_mqtt_reader *block)
{
    uint8_t id = nj_mqtt_read_u8(block);
    uint32_t ignored;
    switch (nj_mqtt_prop_shape(id)) {
    case NJ_MQTT_SHAPE_BYTE:
        (void)nj_mqtt_read_u8(block);
        break;
    case NJ_MQTT_SHAPE_U16:
        (void)nj_mqtt_read_u16(block);
        break;
    case NJ_MQTT_SHAPE_U32:
        (void)nj_mqtt_read_u32(block);
        break;
    case NJ_MQTT_SHAPE_VARINT:
        (void)read_varint(block, &ignored);
        break;
    case NJ_MQTT_SHAPE_PAIR:
        (void)nj_mqtt_read_lv(block);
        (void)nj_mqtt_read_lv(block);
        break;
    default:
        (void)nj_mqtt_read_lv(block);
        break;
    }
    return id;
}

/* Finds the next property `wanted` at or behind *at. `value` is set to what follows its id. */
static bool next_of(const struct nj_mqtt_props *props, enum nj_mqtt_prop wanted, size_t *at,
                    struct nj_mqtt_reader *value)
{
    if (*at >= props->raw.len) {
        return false;
    }
    struct nj_mqtt_reader block =
        nj_mqtt_reader(nj_bytes(props->raw.ptr + *at, props->raw.len - *at));
    while (nj_mqtt_left(&block)) {
        *value = block;
        bool is_found = skip_prop(&block) == wanted;
        *at = (size_t)(block.at - props->raw.ptr);
        if (is_found) {
            (void)nj_mqtt_read_u8(value);
            return true;
        }
    }
    return false;
}

bool nj_mqtt_props_next_user(const struct nj_mqtt_props *props, size_t *at, struct nj_bytes *key,
                             struct nj_bytes *value)
{
    struct nj_mqtt_reader reader;
    if (!next_of(props, NJ_PROP_USER_PROPERTY, at, &reader)) {
        return false;
    }
    *key = nj_mqtt_read_lv(&reader);
    *value = nj_mqtt_read_lv(&reader);
    return true;
}

bool nj_mqtt_props_next_subscription_id(const struct nj_mqtt_props *props, size_t *at, uint32_t *id)
{
    struct nj_mqtt_reader reader;
    return next_of(props, NJ_PROP_SUBSCRIPTION_ID, at, &reader) && read_varint(&reader, id);
}

static bool is_forwarded(uint8_t id)
{
    return id != NJ_PROP_TOPIC_ALIAS && id != NJ_PROP_MESSAGE_EXPIRY &&
           id != NJ_PROP_SUBSCRIPTION_ID && id != NJ_PROP_WILL_DELAY;
}

struct nj_bytes nj_mqtt_props_forwarded(const struct nj_mqtt_props *props, uint8_t *scratch)
{
    uint64_t hop = 1ull << NJ_PROP_TOPIC_ALIAS | 1ull << NJ_PROP_MESSAGE_EXPIRY |
                   1ull << NJ_PROP_SUBSCRIPTION_ID | 1ull << NJ_PROP_WILL_DELAY;
    if (!(props->present & hop)) {
        return props->raw;
    }
    if (!(props->present & ~hop)) {
        return nj_bytes(NULL, 0);
    }
    struct nj_mqtt_reader block = nj_mqtt_reader(props->raw);
    struct nj_bytes run = {0}; /* what was found, as long as it is one piece of `raw` */
    uint8_t *at = NULL;        /* its end in `scratch`, once it is not */
    while (nj_mqtt_left(&block)) {
        const uint8_t *from = block.at;
        if (!is_forwarded(skip_prop(&block))) {
            continue;
        }
        size_t len = (size_t)(block.at - from);
        if (!at && (!run.len || from == run.ptr + run.len)) {
            run = nj_bytes(run.len ? run.ptr : from, run.len + len);
            continue;
        }
        if (!at) {
            memcpy(scratch, run.ptr, run.len);
            at = scratch + run.len;
        }
        memcpy(at, from, len);
        at += len;
    }
    return at ? nj_bytes(scratch, (size_t)(at - scratch)) : run;
}
