/* See db_json.h. Payloads and correlation data are base64, because JSON has no bytes. */
#include "db_json.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/mem.h"
#include "mqtt/props.h"
#include "mqtt/types.h"
#include "store/mosquitto_db.h"

struct tree {
    json_t *messages;
    json_t *clients;
    json_t *client_messages;
    json_t *retained;
    json_t *subs;
};

/* Text that is not UTF-8 has no place in JSON: such a file is called malformed. */
static enum nj_err set_text(json_t *object, const char *key, struct nj_bytes text)
{
    json_t *value = json_stringn(text.len ? (const char *)text.ptr : "", text.len);
    return value && json_object_set_new(object, key, value) == 0 ? NJ_OK : NJ_EMALFORMED;
}

static enum nj_err set_base64(json_t *object, const char *key, struct nj_bytes bytes)
{
    unsigned char *text = nj_alloc(bytes.len / 3 * 4 + 5);
    int len = EVP_EncodeBlock(text, bytes.ptr, (int)bytes.len);
    enum nj_err err = set_text(object, key, nj_bytes(text, (size_t)len));
    nj_free(text);
    return err;
}

static json_t *add_object(json_t *array)
{
    json_t *object = json_object();
    return object && json_array_append_new(array, object) == 0 ? object : NULL;
}

static void set_number(json_t *object, const char *key, int64_t number)
{
    (void)json_object_set_new(object, key, json_integer(number));
}

/* ---- properties: [{"identifier": NAME, "value": VALUE}, …], user properties with "name" */

static json_t *add_prop(json_t *array, const char *name)
{
    json_t *prop = add_object(array);
    if (prop) {
        (void)json_object_set_new(prop, "identifier", json_string(name));
    }
    return prop;
}

static enum nj_err add_user_props(json_t *array, const struct nj_mqtt_props *props)
{
    size_t at = 0;
    struct nj_bytes name;
    struct nj_bytes value;
    while (nj_mqtt_props_next_user(props, &at, &name, &value)) {
        json_t *prop = add_prop(array, "user-property");
        if (!prop || set_text(prop, "name", name) != NJ_OK ||
            set_text(prop, "value", value) != NJ_OK) {
            return NJ_EMALFORMED;
        }
    }
    return NJ_OK;
}

static enum nj_err add_props(json_t *message, struct nj_bytes raw)
{
    struct nj_mqtt_props props;
    if (raw.len == 0) {
        return NJ_OK;
    }
    json_t *array = json_array();
    if (!array || json_object_set_new(message, "properties", array) != 0 ||
        nj_mqtt_props_parse(raw, NJ_MQTT_PUBLISH, &props) != NJ_OK) {
        return NJ_EMALFORMED;
    }
    if (nj_mqtt_props_has(&props, NJ_PROP_PAYLOAD_FORMAT)) {
        set_number(add_prop(array, "payload-format-indicator"), "value", props.payload_format);
    }
    const struct {
        enum nj_mqtt_prop prop;
        const char *name;
        struct nj_bytes text;
    } texts[] = {
        {NJ_PROP_CONTENT_TYPE, "content-type", props.content_type},
        {NJ_PROP_RESPONSE_TOPIC, "response-topic", props.response_topic},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (nj_mqtt_props_has(&props, texts[i].prop) &&
            set_text(add_prop(array, texts[i].name), "value", texts[i].text) != NJ_OK) {
            return NJ_EMALFORMED;
        }
    }
    if (nj_mqtt_props_has(&props, NJ_PROP_CORRELATION_DATA) &&
        set_base64(add_prop(array, "correlation-data"), "value", props.correlation_data) != NJ_OK) {
        return NJ_EMALFORMED;
    }
    return add_user_props(array, &props);
}

/* ---- chunks */

static enum nj_err on_message(void *arg, const struct nj_mosquitto_message *message)
{
    const struct tree *tree = arg;
    json_t *object = add_object(tree->messages);
    set_number(object, "storeid", (int64_t)message->id);
    set_number(object, "expiry-time", message->expires_s);
    set_number(object, "source-mid", message->source_mid);
    set_number(object, "source-port", message->source_port);
    set_number(object, "qos", message->qos);
    set_number(object, "retain", message->is_retain);
    enum nj_err err = set_text(object, "topic", message->topic);
    if (err == NJ_OK && message->source_id.len) {
        err = set_text(object, "clientid", message->source_id);
    }
    if (err == NJ_OK && message->source_user.len) {
        err = set_text(object, "username", message->source_user);
    }
    if (err == NJ_OK && message->payload.len) {
        err = set_base64(object, "payload", message->payload);
    }
    return err == NJ_OK ? add_props(object, message->props) : err;
}

static enum nj_err on_client(void *arg, const struct nj_mosquitto_client *client)
{
    const struct tree *tree = arg;
    json_t *object = add_object(tree->clients);
    set_number(object, "last-mid", client->last_mid);
    set_number(object, "session-expiry-time", client->expires_s);
    set_number(object, "session-expiry-interval", client->expiry_s);
    set_number(object, "listener-port", client->port);
    enum nj_err err = set_text(object, "clientid", client->client_id);
    return err == NJ_OK ? set_text(object, "username", client->user) : err;
}

static enum nj_err on_client_message(void *arg, const struct nj_mosquitto_client_message *message)
{
    const struct tree *tree = arg;
    json_t *object = add_object(tree->client_messages);
    set_number(object, "storeid", (int64_t)message->message);
    set_number(object, "mid", message->mid);
    set_number(object, "qos", message->qos);
    set_number(object, "state", message->raw_state);
    set_number(object, "retain", message->is_retain);
    set_number(object, "dup", message->is_dup);
    set_number(object, "direction", message->direction);
    set_number(object, "subscription-identifier", message->sub_id);
    return set_text(object, "clientid", message->client_id);
}

static enum nj_err on_sub(void *arg, const struct nj_mosquitto_sub *sub)
{
    const struct tree *tree = arg;
    json_t *object = add_object(tree->subs);
    set_number(object, "qos", sub->qos);
    set_number(object, "options", sub->options);
    set_number(object, "identifier", sub->sub_id);
    enum nj_err err = set_text(object, "clientid", sub->client_id);
    return err == NJ_OK ? set_text(object, "topic", sub->filter) : err;
}

static enum nj_err on_retained(void *arg, uint64_t message)
{
    const struct tree *tree = arg;
    set_number(add_object(tree->retained), "storeid", (int64_t)message);
    return NJ_OK;
}

enum nj_err nj_db_json_print(struct nj_bytes file)
{
    struct tree tree = {json_array(), json_array(), json_array(), json_array(), json_array()};
    const struct nj_mosquitto_reader reader = {
        .arg = &tree,
        .message = on_message,
        .client = on_client,
        .client_message = on_client_message,
        .sub = on_sub,
        .retained = on_retained,
    };
    json_t *all = json_pack("{s:o, s:o, s:o, s:o, s:o}", "base-messages", tree.messages, "clients",
                            tree.clients, "client-messages", tree.client_messages,
                            "retained-messages", tree.retained, "subscriptions", tree.subs);
    enum nj_err err = all ? nj_mosquitto_db_read(file, &reader) : NJ_ENOMEM;
    if (err == NJ_OK) {
        err = json_dumpf(all, stdout, JSON_INDENT(2)) == 0 ? NJ_OK : NJ_EIO;
        (void)putchar('\n');
    }
    json_decref(all);
    return err;
}
