/* Layout: one line for a message that fits one, else a head line and an indented block. */
#include "pretty.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "json.h"
#include "mqtt/utf8.h"

#define HEX_MAX 256

static enum nj_err put(struct nj_buf *out, const char *text)
{
    return nj_buf_append(out, text, strlen(text));
}

static enum nj_err put_coloured(struct nj_buf *out, bool has_colour, const char *colour,
                                const char *text)
{
    if (!has_colour) {
        return put(out, text);
    }
    return nj_buf_printf(out, "\033[%sm%s\033[0m", colour, text);
}

/* Could this byte (or the C1 control that begins here) steer a terminal? */
static bool is_control(const uint8_t *at, const uint8_t *end)
{
    bool is_c1 = at[0] == 0xC2 && end - at > 1 && at[1] >= 0x80 && at[1] <= 0x9F;
    return at[0] < 0x20 || at[0] == 0x7F || is_c1;
}

enum nj_err nj_pretty_put_safe(struct nj_buf *out, struct nj_bytes text)
{
    enum nj_err err = NJ_OK;
    const uint8_t *end = text.ptr + text.len;
    for (const uint8_t *at = text.ptr; err == NJ_OK && at < end; at++) {
        if (is_control(at, end)) {
            if (at[0] == 0xC2) {
                at++;
            }
            err = nj_buf_printf(out, "\\x%02x", *at);
        } else {
            err = nj_buf_append(out, at, 1);
        }
    }
    return err;
}

enum kind {
    KIND_EMPTY,
    KIND_LINE,
    KIND_LINES,
    KIND_JSON,
    KIND_BINARY
};

static enum kind kind_of(struct nj_bytes payload)
{
    if (payload.len == 0) {
        return KIND_EMPTY;
    }
    bool has_lines = false;
    const uint8_t *end = payload.ptr + payload.len;
    for (const uint8_t *at = payload.ptr; at < end; at++) {
        if (*at == '\n') {
            has_lines = true;
        } else if (is_control(at, end) && *at != '\t' && *at != '\r') {
            return KIND_BINARY;
        }
    }
    if (!nj_mqtt_utf8_is_valid(payload)) {
        return KIND_BINARY;
    }
    if (payload.ptr[0] == '{' || payload.ptr[0] == '[') {
        return KIND_JSON;
    }
    return has_lines ? KIND_LINES : KIND_LINE;
}

static enum nj_err put_head(struct nj_buf *out, const struct nj_client_message *message,
                            int64_t now_ns, bool has_colour)
{
    char clock[16];
    char flags[48];
    time_t seconds = (time_t)(now_ns / 1000000000);
    struct tm local;
    localtime_r(&seconds, &local);
    clock[strftime(clock, sizeof(clock) - 1, "%H:%M:%S", &local)] = '\0';
    snprintf(flags, sizeof(flags), "(qos %u%s%s)", message->qos,
             message->retain ? ", retained" : "", message->is_dup ? ", dup" : "");
    enum nj_err err = put_coloured(out, has_colour, "2", clock);
    if (err == NJ_OK) {
        err = put(out, has_colour ? " \033[1;36m" : " ");
    }
    if (err == NJ_OK) {
        err = nj_pretty_put_safe(out, message->topic);
    }
    if (err == NJ_OK) {
        err = put(out, has_colour ? "\033[0m " : " ");
    }
    return err == NJ_OK ? put_coloured(out, has_colour, "2", flags) : err;
}

static enum nj_err put_lines(struct nj_buf *out, struct nj_bytes payload)
{
    enum nj_err err = NJ_OK;
    while (err == NJ_OK && payload.len > 0) {
        const uint8_t *newline = memchr(payload.ptr, '\n', payload.len);
        size_t len = newline != NULL ? (size_t)(newline - payload.ptr) : payload.len;
        size_t used = newline != NULL ? len + 1 : len;
        if (len > 0 && payload.ptr[len - 1] == '\r') {
            len--;
        }
        err = put(out, "\n  ");
        if (err == NJ_OK) {
            err = nj_pretty_put_safe(out, nj_bytes(payload.ptr, len));
        }
        payload = nj_bytes(payload.ptr + used, payload.len - used);
    }
    return err;
}

static enum nj_err put_binary(struct nj_buf *out, struct nj_bytes payload)
{
    enum nj_err err = nj_buf_printf(out, "  binary, %zu bytes", payload.len);
    size_t shown = payload.len < HEX_MAX ? payload.len : HEX_MAX;
    for (size_t i = 0; i < shown && err == NJ_OK; i++) {
        const char *gap = i % 16 == 0 ? "\n  " : i % 8 == 0 ? "  " : " ";
        err = nj_buf_printf(out, "%s%02x", gap, payload.ptr[i]);
    }
    if (err == NJ_OK && shown < payload.len) {
        err = put(out, " …");
    }
    return err;
}

static enum nj_err put_payload(struct nj_buf *out, struct nj_bytes payload, bool has_colour)
{
    const struct nj_json_style style = {
        .layout = NJ_JSON_SPACES, .depth = 1, .has_exact_numbers = true, .has_colour = has_colour};
    enum kind kind = kind_of(payload);
    enum nj_err err = NJ_OK;
    switch (kind) {
    case KIND_EMPTY:
        return put(out, "  empty");
    case KIND_BINARY:
        return put_binary(out, payload);
    case KIND_JSON: {
        size_t start = out->len;
        err = put(out, "\n  ");
        if (err == NJ_OK) {
            err = nj_json_print(out, payload, &style);
        }
        if (err != NJ_EMALFORMED) {
            return err;
        }
        out->len = start; /* it only looked like it */
        return put_lines(out, payload);
    }
    case KIND_LINES:
        return put_lines(out, payload);
    default:
        err = put(out, "  ");
        return err == NJ_OK ? nj_pretty_put_safe(out, payload) : err;
    }
}

enum nj_err nj_pretty_message(struct nj_buf *out, const struct nj_client_message *message,
                              int64_t now_ns, bool has_colour)
{
    enum nj_err err = put_head(out, message, now_ns, has_colour);
    if (err == NJ_OK) {
        err = put_payload(out, message->payload, has_colour);
    }
    return err == NJ_OK ? put(out, "\n") : err;
}

bool nj_pretty_wants_colour(void)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_colour == NULL || no_colour[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}
