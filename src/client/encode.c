/* The packets of a client as bytes. MQTT5 chapter 3. */
#include <string.h>

#include "client/client_priv.h"
#include "mqtt/ack.h"
#include "mqtt/publish.h"
#include "mqtt/varint.h"

/* A packet in the making: the first error stays, appending after it does nothing. */
struct writer {
    struct nj_buf *buf;
    enum nj_err err;
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->err == NJ_OK && len > 0) {
        w->err = nj_buf_append(w->buf, data, len);
    }
}

static void put_u8(struct writer *w, uint8_t value)
{
    put(w, &value, 1);
}

static void put_u16(struct writer *w, uint16_t value)
{
    const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(w, bytes, 2);
}

static void put_varint(struct writer *w, size_t value)
{
    uint8_t bytes[4];
    if (value > NJ_MQTT_VARINT_MAX) {
        w->err = NJ_ETOOBIG;
        return;
    }
    put(w, bytes, (size_t)(nj_mqtt_varint_put(bytes, (uint32_t)value) - bytes));
}

static void put_lv(struct writer *w, struct nj_bytes bytes)
{
    if (bytes.len > UINT16_MAX) {
        w->err = w->err == NJ_OK ? NJ_ETOOBIG : w->err;
        return;
    }
    put_u16(w, (uint16_t)bytes.len);
    put(w, bytes.ptr, bytes.len);
}

static bool is_text_prop(uint8_t id)
{
    switch (id) {
    case NJ_PROP_CONTENT_TYPE:
    case NJ_PROP_RESPONSE_TOPIC:
    case NJ_PROP_CORRELATION_DATA:
    case NJ_PROP_AUTH_METHOD:
    case NJ_PROP_AUTH_DATA:
    case NJ_PROP_SERVER_REFERENCE:
    case NJ_PROP_REASON_STRING:
        return true;
    default:
        return false;
    }
}

static void put_prop(struct writer *w, const struct nj_client_prop *prop)
{
    bool is_user = prop->id == NJ_PROP_USER_PROPERTY;
    bool is_text = is_text_prop(prop->id);
    if (w->err != NJ_OK) {
        return;
    }
    if (prop->name.len > UINT16_MAX || prop->text.len > UINT16_MAX) {
        w->err = NJ_ETOOBIG;
        return;
    }
    /* identifier, two lengths: never more than 5 bytes besides the texts */
    w->err = nj_buf_reserve(w->buf, 8 + prop->name.len + prop->text.len);
    if (w->err != NJ_OK) {
        return;
    }
    uint8_t *at = w->buf->data + w->buf->len;
    uint8_t *end = is_user   ? nj_mqtt_prop_put_user(at, prop->name, prop->text)
                   : is_text ? nj_mqtt_prop_put_bytes(at, (enum nj_mqtt_prop)prop->id, prop->text)
                             : nj_mqtt_prop_put_int(at, (enum nj_mqtt_prop)prop->id, prop->number);
    w->buf->len += (size_t)(end - at);
}

/* Length and properties; nothing at all before MQTT 5. */
static void put_props(struct writer *w, enum nj_mqtt_version version,
                      const struct nj_client_props *props, const struct nj_client_prop *extra)
{
    if (version != NJ_MQTT_5 || w->err != NJ_OK) {
        return;
    }
    struct nj_buf block;
    nj_buf_init(&block);
    struct writer inner = {&block, NJ_OK};
    for (size_t i = 0; props != NULL && i < props->count; i++) {
        put_prop(&inner, &props->items[i]);
    }
    if (extra != NULL) {
        put_prop(&inner, extra);
    }
    w->err = inner.err;
    put_varint(w, block.len);
    put(w, block.data, block.len);
    nj_buf_fini(&block);
}

/* Puts the fixed header before `body` and both into `out`. Takes the body. */
static enum nj_err finish(struct writer *body, uint8_t first, struct nj_buf *out)
{
    struct writer w = {out, body->err};
    size_t start = out->len;
    put_u8(&w, first);
    if (w.err == NJ_OK) {
        put_varint(&w, body->buf->len);
    }
    put(&w, body->buf->data, body->buf->len);
    nj_buf_fini(body->buf);
    if (w.err != NJ_OK) {
        out->len = start;
    }
    return w.err;
}

static uint8_t connect_flags(const struct nj_client_config *config)
{
    unsigned flags = config->is_clean_start ? 0x02 : 0;
    if (config->will.topic != NULL) {
        flags |= 0x04 | (unsigned)(config->will.qos & 3) << 3 | (config->will.retain ? 0x20 : 0);
    }
    flags |= config->password.ptr != NULL ? 0x40 : 0;
    flags |= config->username != NULL ? 0x80 : 0;
    return (uint8_t)flags;
}

static bool has_prop(const struct nj_client_props *props, uint8_t id)
{
    for (size_t i = 0; i < props->count; i++) {
        if (props->items[i].id == id) {
            return true;
        }
    }
    return false;
}

enum nj_err nj_client_put_connect(const struct nj_client *client, struct nj_buf *out)
{
    const struct nj_client_config *config = &client->config;
    struct nj_buf buf;
    nj_buf_init(&buf);
    struct writer w = {&buf, NJ_OK};
    const struct nj_client_prop receive_max = {.id = NJ_PROP_RECEIVE_MAXIMUM,
                                               .number = client->our_receive_max};
    bool is_ours = !has_prop(&config->connect_props, NJ_PROP_RECEIVE_MAXIMUM);
    put_lv(&w, nj_bytes_of(config->version == NJ_MQTT_31 ? "MQIsdp" : "MQTT"));
    put_u8(&w, (uint8_t)config->version);
    put_u8(&w, connect_flags(config));
    put_u16(&w, config->keep_alive_s);
    put_props(&w, config->version, &config->connect_props, is_ours ? &receive_max : NULL);
    put_lv(&w, nj_bytes_of(client->id));
    if (config->will.topic != NULL) {
        put_props(&w, config->version, &config->will.props, NULL);
        put_lv(&w, nj_bytes_of(config->will.topic));
        put_lv(&w, config->will.payload);
    }
    if (config->username != NULL) {
        put_lv(&w, nj_bytes_of(config->username));
    }
    if (config->password.ptr != NULL) {
        put_lv(&w, config->password);
    }
    return finish(&w, NJ_MQTT_CONNECT << 4, out);
}

enum nj_err nj_client_put_publish(const struct nj_client *client,
                                  const struct nj_client_publish *publish, uint16_t packet_id,
                                  struct nj_buf *out)
{
    struct nj_buf props;
    nj_buf_init(&props);
    struct writer w = {&props, NJ_OK};
    for (size_t i = 0; i < publish->props.count; i++) {
        put_prop(&w, &publish->props.items[i]);
    }
    const struct nj_mqtt_publish_fields fields = {
        .topic = publish->topic,
        .payload = publish->payload,
        .props = nj_buf_bytes(&props),
        .packet_id = packet_id,
        .qos = publish->qos,
        .is_retain = publish->retain,
        .version = client->config.version,
    };
    const struct nj_mqtt_publish_layout layout = nj_mqtt_publish_size(&fields);
    enum nj_err err = w.err == NJ_OK && layout.total_len == 0 ? NJ_ETOOBIG : w.err;
    err = err == NJ_OK ? nj_buf_reserve(out, layout.total_len) : err;
    if (err == NJ_OK) {
        (void)nj_mqtt_publish_encode(&fields, &layout, out->data + out->len);
        out->len += layout.total_len;
    }
    nj_buf_fini(&props);
    return err;
}

enum nj_err nj_client_put_ack(struct nj_client *client, enum nj_mqtt_type type, uint16_t packet_id,
                              uint8_t code)
{
    const struct nj_mqtt_ack ack = {.packet_id = packet_id, .code = code};
    uint8_t packet[NJ_MQTT_ACK_PLAIN_MAX];
    const uint8_t *end = nj_mqtt_ack_encode(&ack, type, client->config.version, packet);
    return nj_buf_append(&client->out, packet, (size_t)(end - packet));
}

enum nj_err nj_client_put_subscribe(const struct nj_client *client,
                                    const struct nj_client_filter *filters, size_t count,
                                    const struct nj_client_props *props, uint16_t packet_id,
                                    struct nj_buf *out)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    struct writer w = {&buf, NJ_OK};
    uint8_t mask = client->config.version == NJ_MQTT_5 ? 0x3F : 0x03;
    put_u16(&w, packet_id);
    put_props(&w, client->config.version, props, NULL);
    for (size_t i = 0; i < count; i++) {
        put_lv(&w, filters[i].filter);
        put_u8(&w, filters[i].options & mask);
    }
    return finish(&w, NJ_MQTT_SUBSCRIBE << 4 | 2, out);
}

enum nj_err nj_client_put_unsubscribe(const struct nj_client *client,
                                      const struct nj_bytes *filters, size_t count,
                                      const struct nj_client_props *props, uint16_t packet_id,
                                      struct nj_buf *out)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    struct writer w = {&buf, NJ_OK};
    put_u16(&w, packet_id);
    put_props(&w, client->config.version, props, NULL);
    for (size_t i = 0; i < count; i++) {
        put_lv(&w, filters[i]);
    }
    return finish(&w, NJ_MQTT_UNSUBSCRIBE << 4 | 2, out);
}

enum nj_err nj_client_put_disconnect(const struct nj_client *client, uint8_t code,
                                     const struct nj_client_props *props, struct nj_buf *out)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    struct writer w = {&buf, NJ_OK};
    bool has_props = props != NULL && props->count > 0;
    if (client->config.version == NJ_MQTT_5 && (code != 0 || has_props)) {
        put_u8(&w, code);
        if (has_props) {
            put_props(&w, NJ_MQTT_5, props, NULL);
        }
    }
    return finish(&w, (uint8_t)(NJ_MQTT_DISCONNECT << 4), out);
}
