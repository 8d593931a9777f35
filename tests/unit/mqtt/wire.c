/* See wire.h. */
#include "unit/mqtt/wire.h"

#include <stdlib.h>

#include "mqtt/utf8.h"

/* Looks at every byte, so that a wrong view is found by the sanitizer. */
static void touch(struct nj_bytes bytes)
{
    static volatile uint8_t sum;
    for (size_t i = 0; i < bytes.len; i++) {
        sum = (uint8_t)(sum + bytes.ptr[i]);
    }
}

static void touch_props(const struct nj_mqtt_props *props)
{
    struct nj_bytes key;
    struct nj_bytes value;
    size_t at = 0;
    uint32_t count = 0;
    while (nj_mqtt_props_next_user(props, &at, &key, &value)) {
        touch(key);
        touch(value);
        count++;
    }
    NJ_ASSERT(count == props->user_count);
    uint32_t id;
    at = 0;
    count = 0;
    while (nj_mqtt_props_next_subscription_id(props, &at, &id)) {
        NJ_ASSERT(id != 0);
        NJ_ASSERT(count >= props->subscription_id_count || props->subscription_ids[count] == id);
        count++;
    }
    NJ_ASSERT(count >= props->subscription_id_count);
    touch(props->content_type);
    touch(props->response_topic);
    touch(props->correlation_data);
    touch(props->assigned_client_id);
    touch(props->auth_method);
    touch(props->auth_data);
    touch(props->response_info);
    touch(props->server_reference);
    touch(props->reason_string);
    touch(props->raw);
    NJ_ASSERT(props->users.len == 0);
}

static void touch_filters(const struct wire_any *any)
{
    struct nj_bytes rest = any->subscribe.filters;
    struct nj_mqtt_filter filter;
    uint32_t count = 0;
    while (any->type == NJ_MQTT_SUBSCRIBE ? nj_mqtt_subscribe_next(&rest, &filter)
                                          : nj_mqtt_unsubscribe_next(&rest, &filter.filter)) {
        touch(filter.filter);
        count++;
    }
    NJ_ASSERT(count == any->subscribe.count && count > 0);
    touch_props(&any->subscribe.props);
}

static void touch_any(const struct wire_any *any)
{
    switch (any->type) {
    case NJ_MQTT_CONNECT:
        touch(any->connect.client_id);
        touch(any->connect.username);
        touch(any->connect.password);
        touch(any->connect.will_topic);
        touch(any->connect.will_payload);
        touch_props(&any->connect.props);
        touch_props(&any->connect.will_props);
        break;
    case NJ_MQTT_CONNACK:
        touch_props(&any->connack.props);
        break;
    case NJ_MQTT_PUBLISH:
        touch(any->publish.topic);
        touch(any->publish.payload);
        (void)nj_mqtt_utf8_is_well_formed(any->publish.payload);
        if (any->version == NJ_MQTT_5) {
            touch_props(&any->publish.props);
        }
        break;
    case NJ_MQTT_SUBSCRIBE:
    case NJ_MQTT_UNSUBSCRIBE:
        touch_filters(any);
        break;
    case NJ_MQTT_SUBACK:
    case NJ_MQTT_UNSUBACK:
        touch(any->suback.codes);
        touch_props(&any->suback.props);
        break;
    case NJ_MQTT_DISCONNECT:
    case NJ_MQTT_AUTH:
        touch_props(&any->coded.props);
        break;
    default:
        break;
    }
}

static enum nj_err decode(struct wire_any *any, struct nj_bytes body, enum nj_mqtt_reason *reason)
{
    switch (any->type) {
    case NJ_MQTT_CONNECT:
        return nj_mqtt_connect_decode(body, &any->connect, reason);
    case NJ_MQTT_CONNACK:
        return nj_mqtt_connack_decode(body, any->version, &any->connack, reason);
    case NJ_MQTT_PUBLISH:
        return any->is_from_server
                   ? nj_mqtt_publish_decode_from_server(body, any->flags, any->version,
                                                        &any->publish, reason)
                   : nj_mqtt_publish_decode(body, any->flags, any->version, &any->publish, reason);
    case NJ_MQTT_PUBACK:
    case NJ_MQTT_PUBREC:
    case NJ_MQTT_PUBREL:
    case NJ_MQTT_PUBCOMP:
        return nj_mqtt_ack_decode(body, any->type, any->version, &any->ack, reason);
    case NJ_MQTT_SUBSCRIBE:
        return nj_mqtt_subscribe_decode(body, any->version, &any->subscribe, reason);
    case NJ_MQTT_UNSUBSCRIBE:
        return nj_mqtt_unsubscribe_decode(body, any->version, &any->subscribe, reason);
    case NJ_MQTT_SUBACK:
        return nj_mqtt_suback_decode(body, any->version, &any->suback, reason);
    case NJ_MQTT_UNSUBACK:
        return nj_mqtt_unsuback_decode(body, any->version, &any->suback, reason);
    case NJ_MQTT_DISCONNECT:
        return any->is_from_server
                   ? nj_mqtt_disconnect_decode_from_server(body, &any->coded, reason)
                   : nj_mqtt_disconnect_decode(body, any->version, &any->coded, reason);
    case NJ_MQTT_AUTH:
        return any->is_from_server ? nj_mqtt_auth_decode_from_server(body, &any->coded, reason)
                                   : nj_mqtt_auth_decode(body, &any->coded, reason);
    default:
        return nj_mqtt_ping_decode(body, reason);
    }
}

enum nj_err wire_decode(struct wire_any *any, struct nj_bytes body, enum nj_mqtt_reason *reason)
{
    *reason = NJ_RC_SUCCESS;
    if (!nj_mqtt_type_is_known(any->type, any->version) ||
        !nj_mqtt_flags_are_valid_in(any->type, any->flags, any->version)) {
        *reason = NJ_RC_MALFORMED_PACKET;
        return NJ_EMALFORMED;
    }
    enum nj_err err = decode(any, body, reason);
    NJ_ASSERT((err == NJ_OK) == (*reason == NJ_RC_SUCCESS));
    NJ_ASSERT((err == NJ_EMALFORMED) == (*reason == NJ_RC_MALFORMED_PACKET));
    if (err == NJ_OK) {
        touch_any(any);
    }
    return err;
}

/* ---- encoding */

/* The decoded properties, made ready for encoding. props->users is to be freed. */
static struct nj_mqtt_props for_encoding(const struct nj_mqtt_props *decoded)
{
    struct nj_mqtt_props props = *decoded;
    uint8_t *block = malloc(decoded->raw.len + 1);
    uint8_t *end = block;
    struct nj_bytes key;
    struct nj_bytes value;
    size_t at = 0;
    NJ_ASSERT(block);
    while (nj_mqtt_props_next_user(decoded, &at, &key, &value)) {
        size_t size = nj_mqtt_prop_size(NJ_PROP_USER_PROPERTY, key.len + value.len);
        uint8_t *next = nj_mqtt_prop_put_user(end, key, value);
        NJ_ASSERT(next == end + size);
        end = next;
    }
    props.users = nj_bytes(block, (size_t)(end - block));
    return props;
}

static uint8_t *new_frame(size_t size)
{
    uint8_t *frame = malloc(size);
    NJ_ASSERT(size >= 2 && frame);
    return frame;
}

static struct nj_bytes frame_done(uint8_t *frame, size_t size, const uint8_t *end)
{
    NJ_ASSERT(end == frame + size);
    return nj_bytes(frame, size);
}

static struct nj_bytes encode_connect(const struct nj_mqtt_connect *decoded)
{
    struct nj_mqtt_connect packet = *decoded;
    packet.props = for_encoding(&decoded->props);
    packet.will_props = for_encoding(&decoded->will_props);
    size_t size = nj_mqtt_connect_size(&packet);
    uint8_t *frame = new_frame(size);
    uint8_t *end = nj_mqtt_connect_encode(&packet, frame);
    wire_free(packet.props.users);
    wire_free(packet.will_props.users);
    return frame_done(frame, size, end);
}

static struct nj_bytes encode_connack(const struct wire_any *any)
{
    struct nj_mqtt_connack packet = any->connack;
    packet.props = for_encoding(&any->connack.props);
    size_t size = nj_mqtt_connack_size(&packet, any->version);
    uint8_t *frame = new_frame(size);
    uint8_t *end = nj_mqtt_connack_encode(&packet, any->version, frame);
    wire_free(packet.props.users);
    return frame_done(frame, size, end);
}

static size_t collect_subscription_ids(const struct nj_mqtt_props *props, uint32_t *ids)
{
    size_t at = 0;
    size_t count = 0;
    uint32_t id;
    while (nj_mqtt_props_next_subscription_id(props, &at, &id)) {
        ids[count++] = id;
    }
    return count;
}

static struct nj_bytes encode_publish(const struct wire_any *any)
{
    const struct nj_mqtt_publish *decoded = &any->publish;
    const struct nj_mqtt_props *props = &decoded->props;
    uint8_t *scratch = malloc(props->raw.len + 1);
    uint32_t *ids = malloc((props->raw.len + 1) * sizeof(*ids));
    NJ_ASSERT(scratch && ids);
    bool has_alias = nj_mqtt_props_has(props, NJ_PROP_TOPIC_ALIAS);
    bool has_expiry = nj_mqtt_props_has(props, NJ_PROP_MESSAGE_EXPIRY);
    struct nj_mqtt_publish_fields fields = {
        .topic = decoded->topic,
        .payload = decoded->payload,
        .props = nj_mqtt_props_forwarded(props, scratch),
        .subscription_ids = ids,
        .subscription_id_count = collect_subscription_ids(props, ids),
        .has_message_expiry = has_expiry,
        .message_expiry_s = has_expiry ? props->message_expiry_s : 0,
        .topic_alias = has_alias ? props->topic_alias : 0,
        .qos = decoded->qos,
        .is_retain = decoded->is_retain,
        .version = any->version,
    };
    struct nj_mqtt_publish_layout layout = nj_mqtt_publish_size(&fields);
    uint8_t *frame = new_frame(layout.total_len);
    uint8_t *end = nj_mqtt_publish_encode(&fields, &layout, frame);
    struct nj_bytes done = frame_done(frame, layout.total_len, end);
    NJ_ASSERT(nj_mqtt_publish_packet_id_at(done) == layout.packet_id_at);
    if (decoded->qos) {
        nj_mqtt_publish_set_packet_id(frame, layout.packet_id_at, decoded->packet_id);
    }
    if (decoded->is_dup) {
        nj_mqtt_publish_set_dup(frame);
    }
    free(scratch);
    free(ids);
    return done;
}

static struct nj_bytes encode_ack(const struct wire_any *any)
{
    size_t size = nj_mqtt_ack_size(&any->ack, any->version);
    uint8_t *frame = new_frame(size);
    return frame_done(frame, size, nj_mqtt_ack_encode(&any->ack, any->type, any->version, frame));
}

static struct nj_bytes encode_subscribe(const struct wire_any *any)
{
    struct nj_mqtt_filter *filters = calloc(any->subscribe.count, sizeof(*filters));
    struct nj_bytes rest = any->subscribe.filters;
    NJ_ASSERT(filters);
    for (uint32_t i = 0; i < any->subscribe.count; i++) {
        NJ_ASSERT(nj_mqtt_subscribe_next(&rest, &filters[i]));
    }
    struct nj_mqtt_props props = for_encoding(&any->subscribe.props);
    struct nj_mqtt_subscribe_fields fields = {
        .packet_id = any->subscribe.packet_id,
        .filters = filters,
        .count = any->subscribe.count,
        .props = &props,
    };
    size_t size = nj_mqtt_subscribe_size(&fields, any->version);
    uint8_t *frame = new_frame(size);
    uint8_t *end = nj_mqtt_subscribe_encode(&fields, any->version, frame);
    wire_free(props.users);
    free(filters);
    return frame_done(frame, size, end);
}

static struct nj_bytes encode_unsubscribe(const struct wire_any *any)
{
    struct nj_bytes *filters = calloc(any->subscribe.count, sizeof(*filters));
    struct nj_bytes rest = any->subscribe.filters;
    NJ_ASSERT(filters);
    for (uint32_t i = 0; i < any->subscribe.count; i++) {
        NJ_ASSERT(nj_mqtt_unsubscribe_next(&rest, &filters[i]));
    }
    struct nj_mqtt_props props = for_encoding(&any->subscribe.props);
    struct nj_mqtt_unsubscribe_fields fields = {
        .packet_id = any->subscribe.packet_id,
        .filters = filters,
        .count = any->subscribe.count,
        .props = &props,
    };
    size_t size = nj_mqtt_unsubscribe_size(&fields, any->version);
    uint8_t *frame = new_frame(size);
    uint8_t *end = nj_mqtt_unsubscribe_encode(&fields, any->version, frame);
    wire_free(props.users);
    free(filters);
    return frame_done(frame, size, end);
}

static struct nj_bytes encode_suback(const struct wire_any *any)
{
    bool is_suback = any->type == NJ_MQTT_SUBACK;
    struct nj_mqtt_suback packet = any->suback;
    packet.props = for_encoding(&any->suback.props);
    size_t size = is_suback ? nj_mqtt_suback_size(&packet, any->version)
                            : nj_mqtt_unsuback_size(&packet, any->version);
    uint8_t *frame = new_frame(size);
    uint8_t *end = is_suback ? nj_mqtt_suback_encode(&packet, any->version, frame)
                             : nj_mqtt_unsuback_encode(&packet, any->version, frame);
    wire_free(packet.props.users);
    return frame_done(frame, size, end);
}

static struct nj_bytes encode_coded(const struct wire_any *any)
{
    bool is_auth = any->type == NJ_MQTT_AUTH;
    struct nj_mqtt_coded packet = any->coded;
    packet.props = for_encoding(&any->coded.props);
    size_t size =
        is_auth ? nj_mqtt_auth_size(&packet) : nj_mqtt_disconnect_size(&packet, any->version);
    uint8_t *frame = new_frame(size);
    uint8_t *end = is_auth ? nj_mqtt_auth_encode(&packet, frame)
                           : nj_mqtt_disconnect_encode(&packet, any->version, frame);
    wire_free(packet.props.users);
    return frame_done(frame, size, end);
}

struct nj_bytes wire_encode(const struct wire_any *any)
{
    switch (any->type) {
    case NJ_MQTT_CONNECT:
        return encode_connect(&any->connect);
    case NJ_MQTT_CONNACK:
        return encode_connack(any);
    case NJ_MQTT_PUBLISH:
        return encode_publish(any);
    case NJ_MQTT_PUBACK:
    case NJ_MQTT_PUBREC:
    case NJ_MQTT_PUBREL:
    case NJ_MQTT_PUBCOMP:
        return encode_ack(any);
    case NJ_MQTT_SUBSCRIBE:
        return encode_subscribe(any);
    case NJ_MQTT_UNSUBSCRIBE:
        return encode_unsubscribe(any);
    case NJ_MQTT_SUBACK:
    case NJ_MQTT_UNSUBACK:
        return encode_suback(any);
    case NJ_MQTT_DISCONNECT:
    case NJ_MQTT_AUTH:
        return encode_coded(any);
    default: {
        uint8_t *frame = new_frame(NJ_MQTT_PING_SIZE);
        return frame_done(frame, NJ_MQTT_PING_SIZE, nj_mqtt_ping_encode(any->type, frame));
    }
    }
}

struct nj_bytes wire_copy(struct nj_bytes bytes)
{
    /* malloc(0) has no byte that could be read either. */
    uint8_t *copy = malloc(bytes.len);
    if (bytes.len) {
        NJ_ASSERT(copy);
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return nj_bytes(copy, bytes.len);
}

void wire_free(struct nj_bytes bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}

struct wire_any wire_any_of(const struct wire_packet *packet, struct nj_bytes *body)
{
    struct nj_mqtt_frame frame;
    enum nj_err err = nj_mqtt_frame_peek(packet->frame.ptr, packet->frame.len, &frame);
    NJ_ASSERT(err == NJ_OK && frame.header_len + frame.body_len == packet->frame.len);
    *body = nj_bytes(packet->frame.ptr + frame.header_len, frame.body_len);
    return (struct wire_any){
        .type = frame.type,
        .version = packet->version,
        .flags = frame.flags,
        .is_from_server = packet->is_from_server,
    };
}
