/* Fuzzes how `nj sub` shows a message: -F, %j and %J, and the view for a terminal.
 *
 *     how │ flags │ length of the format │ format │ length of the topic │ topic │ payload
 *
 * Oracle: a format that passes the check prints; %p, %t, %l and %x say what they should; %j is JSON
 * that holds the payload; and nothing in a message steers a terminal. */
#include <jansson.h>
#include <stdio.h>

#include "format.h"
#include "fuzz/fuzz.h"
#include "mqtt/topic.h"
#include "pretty.h"

#define INPUT_MAX  2048
#define FORMAT_MAX 64

static struct nj_bytes take(struct nj_bytes *rest, size_t len)
{
    len = len < rest->len ? len : rest->len;
    struct nj_bytes taken = nj_bytes(rest->ptr, len);
    *rest = nj_bytes(rest->ptr + len, rest->len - len);
    return taken;
}

static uint8_t take_byte(struct nj_bytes *rest)
{
    struct nj_bytes byte = take(rest, 1);
    return byte.len > 0 ? byte.ptr[0] : 0;
}

/* A width of thousands is what the user asked for, and only slow here. */
static bool has_wide_field(const char *format)
{
    size_t digits = 0;
    for (; *format; format++) {
        digits = *format >= '0' && *format <= '9' ? digits + 1 : 0;
        if (digits > 3) {
            return true;
        }
    }
    return false;
}

static void print(struct nj_buf *out, const char *format, const struct nj_client_message *message,
                  const struct nj_format_options *options)
{
    out->len = 0;
    need(nj_format_message(out, format, message, options) == NJ_OK);
}

static void check_plain(const struct nj_client_message *message,
                        const struct nj_format_options *options)
{
    struct nj_buf out;
    char wanted[64];
    nj_buf_init(&out);
    print(&out, "%p", message, options);
    need(nj_bytes_equal(nj_buf_bytes(&out), message->payload));
    print(&out, "%t", message, options);
    need(nj_bytes_equal(nj_buf_bytes(&out), message->topic));
    print(&out, "%l %q %r", message, options);
    (void)snprintf(wanted, sizeof(wanted), "%zu %u %d", message->payload.len, message->qos,
                   message->retain);
    need(nj_bytes_equal(nj_buf_bytes(&out), nj_bytes_of(wanted)));
    print(&out, "%x", message, options);
    need(out.len == 2 * message->payload.len);
    for (size_t i = 0; i < message->payload.len; i++) {
        (void)snprintf(wanted, sizeof(wanted), "%02x", message->payload.ptr[i]);
        need(memcmp(out.data + 2 * i, wanted, 2) == 0);
    }
    nj_buf_fini(&out);
}

static void check_json(const struct nj_client_message *message,
                       const struct nj_format_options *options)
{
    struct nj_buf out;
    nj_buf_init(&out);
    print(&out, "%j", message, options);
    bool is_text = fuzz_is_utf8(message->payload);
    json_t *value = json_loadb((const char *)out.data, out.len, JSON_ALLOW_NUL, NULL);
    need(value || (options->is_compat && !is_text));
    const json_t *payload = json_object_get(value, "payload");
    if (is_text && message->payload.len > 0) {
        need(nj_bytes_equal(nj_bytes(json_string_value(payload), json_string_length(payload)),
                            message->payload));
    }
    json_decref(value);
    print(&out, "%J", message, options); /* nothing at all when the payload is no JSON */
    value = json_loadb((const char *)out.data, out.len, JSON_ALLOW_NUL, NULL);
    need(value || out.len == 0 || !is_text || options->is_compat || out.len > 100);
    json_decref(value);
    nj_buf_fini(&out);
}

/* Colours are the only thing that begins with ESC. Removes them in place. */
static void strip_colours(struct nj_buf *buf)
{
    size_t len = 0;
    for (size_t i = 0; i < buf->len; i++) {
        if (buf->data[i] == '\033') {
            need(i + 1 < buf->len && buf->data[i + 1] == '[');
            i += 2;
            while (i < buf->len && buf->data[i] != 'm') {
                need(buf->data[i] == ';' || (buf->data[i] >= '0' && buf->data[i] <= '9'));
                i++;
            }
            continue;
        }
        buf->data[len++] = buf->data[i];
    }
    buf->len = len;
}

static void check_pretty(const struct nj_client_message *message, int64_t now_ns)
{
    struct nj_buf plain;
    struct nj_buf coloured;
    nj_buf_init(&plain);
    nj_buf_init(&coloured);
    need(nj_pretty_message(&plain, message, now_ns, false) == NJ_OK);
    need(fuzz_is_tame(nj_buf_bytes(&plain)) && plain.data[plain.len - 1] == '\n');
    need(nj_pretty_message(&coloured, message, now_ns, true) == NJ_OK);
    strip_colours(&coloured);
    need(nj_bytes_equal(nj_buf_bytes(&plain), nj_buf_bytes(&coloured)));
    nj_buf_fini(&plain);
    nj_buf_fini(&coloured);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_bytes rest = nj_bytes(data, size);
    if (size > INPUT_MAX) {
        return 0;
    }
    uint8_t how = take_byte(&rest);
    uint8_t flags = take_byte(&rest);
    char *format = fuzz_text(take(&rest, take_byte(&rest) % FORMAT_MAX));
    struct nj_bytes topic = take(&rest, take_byte(&rest));
    const struct nj_client_prop props[] = {
        {.id = NJ_CLIENT_CONTENT_TYPE, .text = topic},
        {.id = NJ_CLIENT_MESSAGE_EXPIRY, .number = flags * 1000u},
        {.id = NJ_CLIENT_USER_PROPERTY, .name = topic, .text = topic},
        {.id = NJ_CLIENT_CORRELATION_DATA, .text = topic},
        {.id = NJ_CLIENT_RESPONSE_TOPIC, .text = topic},
        {.id = NJ_CLIENT_SUBSCRIPTION_ID, .number = 7},
    };
    const struct nj_client_message message = {
        .topic = topic,
        .payload = rest,
        .qos = flags % 3,
        .packet_id = flags % 3 ? 9 : 0,
        .retain = flags & 8,
        .is_dup = flags & 16,
        .props = props,
        .props_count = (how >> 2) % (sizeof(props) / sizeof(props[0]) + 1),
    };
    const struct nj_format_options options = {
        .now_ns = 1588803120LL * 1000000000 + flags, .is_compat = how & 1, .is_pretty = how & 2};
    struct nj_buf out;
    FILE *nowhere = fopen("/dev/null", "w");
    nj_buf_init(&out);
    need(nowhere != NULL);
    /* Nothing else reaches this code: the client library refuses other topics. */
    if (format && topic.len > 0 && fuzz_is_utf8(topic) && nj_mqtt_topic_is_valid(topic, 0)) {
        if (nj_format_check(format, nowhere) && !has_wide_field(format)) {
            print(&out, format, &message, &options);
        }
        check_plain(&message, &options);
        check_json(&message, &options);
        check_pretty(&message, options.now_ns);
    }
    (void)fclose(nowhere);
    nj_buf_fini(&out);
    free(format);
    return 0;
}
