/* Encoding of properties. See props.h. */
#include "mqtt/props.h"
#include "mqtt/props_priv.h"
#include "mqtt/varint.h"
#include "mqtt/writer.h"

/* The order on the wire. What CONNACK has comes first, in Mosquitto's order: clients that compare
 * the whole packet depend on it. */
static const uint8_t order[] = {
    NJ_PROP_SERVER_KEEP_ALIVE, NJ_PROP_TOPIC_ALIAS_MAXIMUM,  NJ_PROP_ASSIGNED_CLIENT_ID,
    NJ_PROP_SESSION_EXPIRY,    NJ_PROP_AUTH_METHOD,          NJ_PROP_AUTH_DATA,
    NJ_PROP_RESPONSE_INFO,     NJ_PROP_SERVER_REFERENCE,     NJ_PROP_REASON_STRING,
    NJ_PROP_RETAIN_AVAILABLE,  NJ_PROP_MAXIMUM_PACKET_SIZE,  NJ_PROP_RECEIVE_MAXIMUM,
    NJ_PROP_MAXIMUM_QOS,       NJ_PROP_WILDCARD_AVAILABLE,   NJ_PROP_SUBSCRIPTION_IDS_AVAILABLE,
    NJ_PROP_SHARED_AVAILABLE,  NJ_PROP_REQUEST_PROBLEM_INFO, NJ_PROP_REQUEST_RESPONSE_INFO,
    NJ_PROP_WILL_DELAY,        NJ_PROP_TOPIC_ALIAS,          NJ_PROP_SUBSCRIPTION_ID,
    NJ_PROP_PAYLOAD_FORMAT,    NJ_PROP_MESSAGE_EXPIRY,       NJ_PROP_CONTENT_TYPE,
    NJ_PROP_RESPONSE_TOPIC,    NJ_PROP_CORRELATION_DATA,
};

size_t nj_mqtt_prop_size(enum nj_mqtt_prop prop, size_t len)
{
    switch (nj_mqtt_prop_shape(prop)) {
    case NJ_MQTT_SHAPE_BYTE:
        return 2;
    case NJ_MQTT_SHAPE_U16:
        return 3;
    case NJ_MQTT_SHAPE_U32:
        return 5;
    case NJ_MQTT_SHAPE_VARINT:
        return 1 + nj_mqtt_varint_size((uint32_t)len);
    case NJ_MQTT_SHAPE_PAIR:
        return 5 + len;
    default:
        return 3 + len;
    }
}

uint8_t *nj_mqtt_prop_put_int(uint8_t *at, enum nj_mqtt_prop prop, uint32_t value)
{
    at = nj_mqtt_put_u8(at, prop);
    switch (nj_mqtt_prop_shape(prop)) {
    case NJ_MQTT_SHAPE_BYTE:
        return nj_mqtt_put_u8(at, value);
    case NJ_MQTT_SHAPE_U16:
        return nj_mqtt_put_u16(at, value);
    case NJ_MQTT_SHAPE_U32:
        return nj_mqtt_put_u32(at, value);
    default:
        return nj_mqtt_varint_put(at, value);
    }
}

uint8_t *nj_mqtt_prop_put_bytes(uint8_t *at, enum nj_mqtt_prop prop, struct nj_bytes value)
{
    return nj_mqtt_put_lv(nj_mqtt_put_u8(at, prop), value);
}

uint8_t *nj_mqtt_prop_put_user(uint8_t *at, struct nj_bytes key, struct nj_bytes value)
{
    at = nj_mqtt_put_u8(at, NJ_PROP_USER_PROPERTY);
    return nj_mqtt_put_lv(nj_mqtt_put_lv(at, key), value);
}

/* Adds the subscription identifiers to *size; false when one cannot be expressed. */
static bool add_subscription_ids(const struct nj_mqtt_props *props, size_t *size)
{
    if (props->subscription_id_count > NJ_MQTT_SUBSCRIPTION_IDS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < props->subscription_id_count; i++) {
        uint32_t id = props->subscription_ids[i];
        if (id == 0 || id > NJ_MQTT_VARINT_MAX) {
            return false;
        }
        *size += nj_mqtt_prop_size(NJ_PROP_SUBSCRIPTION_ID, id);
    }
    return true;
}

static bool block_size(const struct nj_mqtt_props *props, size_t *size)
{
    *size = props->users.len;
    for (size_t i = 0; i < sizeof(order); i++) {
        enum nj_mqtt_prop prop = (enum nj_mqtt_prop)order[i];
        if (!nj_mqtt_props_has(props, prop)) {
            continue;
        }
        enum nj_mqtt_prop_shape shape = nj_mqtt_prop_shape(prop);
        size_t len = 0;
        if (shape == NJ_MQTT_SHAPE_VARINT) {
            if (!add_subscription_ids(props, size)) {
                return false;
            }
            continue;
        }
        if (shape == NJ_MQTT_SHAPE_STRING || shape == NJ_MQTT_SHAPE_BINARY) {
            len =
                ((const struct nj_bytes *)((const char *)props + nj_mqtt_prop_rules[prop].at))->len;
        }
        if (len > NJ_MQTT_TEXT_MAX) {
            return false;
        }
        *size += nj_mqtt_prop_size(prop, len);
    }
    return *size <= NJ_MQTT_VARINT_MAX;
}

size_t nj_mqtt_props_size(const struct nj_mqtt_props *props)
{
    size_t size = 0;
    if (props && !block_size(props, &size)) {
        return 0;
    }
    return nj_mqtt_varint_size((uint32_t)size) + size;
}

static uint8_t *put_field(const struct nj_mqtt_props *props, enum nj_mqtt_prop prop, uint8_t *at)
{
    const void *field = (const char *)props + nj_mqtt_prop_rules[prop].at;
    switch (nj_mqtt_prop_shape(prop)) {
    case NJ_MQTT_SHAPE_BYTE:
        return nj_mqtt_prop_put_int(at, prop, *(const uint8_t *)field);
    case NJ_MQTT_SHAPE_U16:
        return nj_mqtt_prop_put_int(at, prop, *(const uint16_t *)field);
    case NJ_MQTT_SHAPE_U32:
        return nj_mqtt_prop_put_int(at, prop, *(const uint32_t *)field);
    case NJ_MQTT_SHAPE_VARINT:
        for (uint32_t i = 0; i < props->subscription_id_count; i++) {
            at = nj_mqtt_prop_put_int(at, prop, props->subscription_ids[i]);
        }
        return at;
    default:
        return nj_mqtt_prop_put_bytes(at, prop, *(const struct nj_bytes *)field);
    }
}

uint8_t *nj_mqtt_props_encode(const struct nj_mqtt_props *props, uint8_t *at)
{
    size_t size = 0;
    if (!props) {
        return nj_mqtt_put_u8(at, 0);
    }
    bool is_valid = block_size(props, &size);
    NJ_ASSERT(is_valid); /* the caller had to ask for the size first */
    at = nj_mqtt_varint_put(at, (uint32_t)size);
    for (size_t i = 0; i < sizeof(order); i++) {
        if (nj_mqtt_props_has(props, (enum nj_mqtt_prop)order[i])) {
            at = put_field(props, (enum nj_mqtt_prop)order[i], at);
        }
    }
    return nj_mqtt_put_bytes(at, props->users);
}
