/* Key names and their order are the original's. */
#include "format_json.h"

#include <string.h>
#include <time.h>

#include "json.h"

struct object {
    struct nj_buf *out;
    struct nj_json_style style;
    enum nj_err err;
    int depth; /* of the object that is open */
    bool is_first;
};

static void put(struct object *o, const char *text)
{
    if (o->err == NJ_OK) {
        o->err = nj_buf_append(o->out, text, strlen(text));
    }
}

static void put_indent(struct object *o)
{
    if (o->style.layout == NJ_JSON_COMPACT) {
        return;
    }
    put(o, "\n");
    for (int i = 0; i < o->depth; i++) {
        put(o, "\t");
    }
}

static void put_string(struct object *o, struct nj_bytes text)
{
    if (o->err == NJ_OK) {
        o->err = nj_json_quote(o->out, text, &o->style);
    }
}

static void put_key(struct object *o, struct nj_bytes key)
{
    if (!o->is_first) {
        put(o, ",");
    }
    o->is_first = false;
    put_indent(o);
    put_string(o, key);
    put(o, o->style.layout == NJ_JSON_COMPACT ? ":" : ":\t");
}

static void put_number(struct object *o, const char *key, uint32_t value)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%u", value);
    put_key(o, nj_bytes_of(key));
    put(o, digits);
}

static void open_object(struct object *o)
{
    put(o, "{");
    o->depth++;
    o->is_first = true;
}

static void close_object(struct object *o)
{
    o->depth--;
    put_indent(o);
    put(o, "}");
    o->is_first = false;
}

static const char *prop_name(uint8_t id)
{
    static const struct {
        uint8_t id;
        const char *name;
    } NAMES[] = {
        {NJ_CLIENT_PAYLOAD_FORMAT, "payload-format-indicator"},
        {NJ_CLIENT_MESSAGE_EXPIRY, "message-expiry-interval"},
        {NJ_CLIENT_CONTENT_TYPE, "content-type"},
        {NJ_CLIENT_RESPONSE_TOPIC, "response-topic"},
        {NJ_CLIENT_CORRELATION_DATA, "correlation-data"},
        {NJ_CLIENT_SUBSCRIPTION_ID, "subscription-identifier"},
        {NJ_CLIENT_TOPIC_ALIAS, "topic-alias"},
    };
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (NAMES[i].id == id) {
            return NAMES[i].name;
        }
    }
    return "unknown";
}

/* All user properties, at the place of the first one. */
static void put_user_props(struct object *o, const struct nj_client_message *message)
{
    put_key(o, nj_bytes_of("user-properties"));
    open_object(o);
    for (size_t i = 0; i < message->props_count; i++) {
        if (message->props[i].id == NJ_CLIENT_USER_PROPERTY) {
            put_key(o, message->props[i].name);
            put_string(o, message->props[i].text);
        }
    }
    close_object(o);
}

static void put_props(struct object *o, const struct nj_client_message *message)
{
    bool has_user_props = false;
    put_key(o, nj_bytes_of("properties"));
    open_object(o);
    for (size_t i = 0; i < message->props_count; i++) {
        const struct nj_client_prop *prop = &message->props[i];
        switch (prop->id) {
        case NJ_CLIENT_USER_PROPERTY:
            if (!has_user_props) {
                put_user_props(o, message);
            }
            has_user_props = true;
            break;
        case NJ_CLIENT_CONTENT_TYPE:
        case NJ_CLIENT_RESPONSE_TOPIC:
        case NJ_CLIENT_CORRELATION_DATA:
            put_key(o, nj_bytes_of(prop_name(prop->id)));
            put_string(o, prop->text);
            break;
        default:
            put_number(o, prop_name(prop->id), prop->number);
            break;
        }
    }
    close_object(o);
}

static void put_time(struct object *o, const struct nj_format_options *options)
{
    time_t seconds = (time_t)(options->now_ns / 1000000000);
    struct tm local;
    localtime_r(&seconds, &local);
    char day[64];
    char zone[16];
    char text[128];
    day[strftime(day, sizeof(day) - 1, "%Y-%m-%dT%H:%M:%S", &local)] = '\0';
    zone[strftime(zone, sizeof(zone) - 1, "%z", &local)] = '\0';
    /* The original writes a Z before the offset; strict readers of ISO 8601 stumble over it. */
    snprintf(text, sizeof(text), "%s.%06u%s%s", day,
             (unsigned)(options->now_ns % 1000000000 / 1000), options->is_compat ? "Z" : "", zone);
    put_key(o, nj_bytes_of("tst"));
    put_string(o, nj_bytes_of(text));
}

static void put_payload(struct object *o, struct nj_bytes payload, bool is_parsed)
{
    put_key(o, nj_bytes_of("payload"));
    if (payload.len == 0) {
        put(o, "null");
    } else if (!is_parsed) {
        put_string(o, payload);
    } else if (o->err == NJ_OK) {
        o->style.depth = o->depth;
        o->err = nj_json_print(o->out, payload, &o->style);
    }
}

enum nj_err nj_format_json(struct nj_buf *out, const struct nj_client_message *message,
                           const struct nj_format_options *options, bool is_parsed)
{
    size_t start = out->len;
    struct object o = {
        .out = out,
        .style = {.layout = options->is_pretty ? NJ_JSON_TABS : NJ_JSON_COMPACT,
                  .has_exact_numbers = !options->is_compat,
                  .replaces_bad_utf8 = !options->is_compat},
        .err = NJ_OK,
    };
    open_object(&o);
    put_time(&o, options);
    put_key(&o, nj_bytes_of("topic"));
    put_string(&o, message->topic);
    put_number(&o, "qos", message->qos);
    put_number(&o, "retain", message->retain ? 1 : 0);
    put_number(&o, "payloadlen", (uint32_t)message->payload.len);
    if (message->qos > 0) {
        put_number(&o, "mid", message->packet_id);
    }
    if (message->props_count > 0) {
        put_props(&o, message);
    }
    put_payload(&o, message->payload, is_parsed);
    close_object(&o);
    if (o.err != NJ_OK) {
        out->len = start;
    }
    return o.err;
}
