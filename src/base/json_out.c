/* See json_out.h. */
#include "base/json_out.h"

#include <stdio.h>

void nj_json_out_init(struct nj_json_out *out, struct nj_buf *buf, bool is_pretty)
{
    *out = (struct nj_json_out){.buf = buf, .is_pretty = is_pretty};
}

/* The whole of a large state goes through here in small bits: without a call when there is room. */
static inline void put(struct nj_json_out *out, const void *data, size_t len)
{
    struct nj_buf *buf = out->buf;
    if (out->err == NJ_OK && buf->cap - buf->len < len) {
        out->err = nj_buf_reserve(buf, len);
    }
    if (out->err == NJ_OK && len) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
}

static void put_byte(struct nj_json_out *out, char byte)
{
    put(out, &byte, 1);
}

static bool is_in_object(const struct nj_json_out *out)
{
    return out->nesting && (out->objects >> (out->nesting - 1) & 1);
}

static void put_tabs(struct nj_json_out *out)
{
    for (unsigned i = 0; i < out->depth; i++) {
        put_byte(out, '\t');
    }
}

/* What stands between the last thing and the next. */
static void separate(struct nj_json_out *out)
{
    if (out->is_after_key) {
        out->is_after_key = false;
        return;
    }
    if (out->needs_comma) {
        put_byte(out, ',');
    }
    if (!out->is_pretty) {
        return;
    }
    if (is_in_object(out)) {
        put_byte(out, '\n');
        put_tabs(out);
    } else if (out->needs_comma) {
        put_byte(out, ' ');
    }
}

static void begin(struct nj_json_out *out, bool is_object)
{
    separate(out);
    NJ_ASSERT(out->nesting < 64);
    uint64_t bit = 1ull << out->nesting++;
    out->objects = is_object ? out->objects | bit : out->objects & ~bit;
    out->depth++;
    put_byte(out, is_object ? '{' : '[');
    out->needs_comma = false;
}

void nj_json_out_object(struct nj_json_out *out)
{
    begin(out, true);
}

void nj_json_out_array(struct nj_json_out *out)
{
    begin(out, false);
}

void nj_json_out_end(struct nj_json_out *out)
{
    NJ_ASSERT(out->nesting > 0);
    bool is_object = is_in_object(out);
    out->nesting--;
    out->depth--;
    if (is_object && out->is_pretty) {
        put_byte(out, '\n');
        put_tabs(out);
    }
    put_byte(out, is_object ? '}' : ']');
    out->needs_comma = true;
}

static bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte != '"' && byte != '\\';
}

static void put_escape(struct nj_json_out *out, uint8_t byte)
{
    static const char short_forms[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char escape[8];
    int len;
    char letter = '\0';
    if (byte < sizeof(short_forms)) {
        letter = short_forms[byte];
    }
    if (byte == '"' || byte == '\\' || letter) {
        len = snprintf(escape, sizeof(escape), "\\%c", letter ? letter : byte);
    } else {
        len = snprintf(escape, sizeof(escape), "\\u%04x", byte);
    }
    put(out, escape, (size_t)len);
}

static void put_escaped(struct nj_json_out *out, struct nj_bytes text)
{
    size_t done = 0;
    size_t i = 0;
    put_byte(out, '"');
    while (done < text.len) {
        while (i < text.len && is_plain(text.ptr[i])) {
            i++;
        }
        put(out, text.ptr + done, i - done);
        if (i < text.len) {
            put_escape(out, text.ptr[i++]);
        }
        done = i;
    }
    put_byte(out, '"');
}

void nj_json_out_key(struct nj_json_out *out, const char *key)
{
    separate(out);
    put_escaped(out, nj_bytes_of(key));
    put(out, ":\t", out->is_pretty ? 2 : 1);
    out->is_after_key = true;
    out->needs_comma = true;
}

void nj_json_out_text(struct nj_json_out *out, struct nj_bytes text)
{
    separate(out);
    put_escaped(out, text);
    out->needs_comma = true;
}

static void put_plain(struct nj_json_out *out, const char *text)
{
    separate(out);
    put(out, text, strlen(text));
    out->needs_comma = true;
}

void nj_json_out_int(struct nj_json_out *out, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    put_plain(out, text);
}

void nj_json_out_bool(struct nj_json_out *out, bool value)
{
    put_plain(out, value ? "true" : "false");
}

void nj_json_out_null(struct nj_json_out *out)
{
    put_plain(out, "null");
}
