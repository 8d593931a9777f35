/* Fuzzes the JSON that `nj sub` checks and lays out anew. The first byte is the style, the rest the
 * text.
 *
 * Oracle: what a strict library reads is read here, too, and printed it means the same; what was
 * printed prints as itself; a text that is refused leaves nothing behind; what comes out for a
 * terminal steers none; and any bytes, quoted, are a JSON string. */
#include <jansson.h>

#include "fuzz/fuzz.h"
#include "json.h"

#define INPUT_MAX 4096
/* The library's own limits are others: of nesting, and of numbers that no double holds. */
#define LOAD_FLAGS (JSON_DECODE_ANY | JSON_ALLOW_NUL)

/* As apps/nj/pretty.c asks before it lays JSON out for a terminal. */
static bool is_presentable(struct nj_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_c1 = text.ptr[i] == 0xc2 && i + 1 < text.len && text.ptr[i + 1] < 0xa0;
        bool is_blank = text.ptr[i] == '\t' || text.ptr[i] == '\r' || text.ptr[i] == '\n';
        if (is_c1 || text.ptr[i] == 0x7f || (text.ptr[i] < 0x20 && !is_blank)) {
            return false;
        }
    }
    return fuzz_is_utf8(text);
}

static void compare(struct nj_bytes text, struct nj_bytes printed,
                    const struct nj_json_style *style)
{
    json_t *wanted = json_loadb((const char *)text.ptr, text.len, LOAD_FLAGS, NULL);
    json_t *got = json_loadb((const char *)printed.ptr, printed.len, LOAD_FLAGS, NULL);
    if (wanted && style->has_exact_numbers && !style->has_colour) {
        need(got && json_equal(wanted, got));
    }
    json_decref(wanted);
    json_decref(got);
}

static bool reads_strictly(struct nj_bytes text)
{
    json_t *value = json_loadb((const char *)text.ptr, text.len, LOAD_FLAGS, NULL);
    json_decref(value);
    return value != NULL;
}

static bool is_deep(struct nj_bytes text)
{
    size_t opened = 0;
    for (size_t i = 0; i < text.len; i++) {
        opened += text.ptr[i] == '[' || text.ptr[i] == '{';
    }
    return opened >= NJ_JSON_DEPTH_MAX - 1;
}

static void print(struct nj_bytes text, const struct nj_json_style *style)
{
    struct nj_buf out;
    struct nj_buf again;
    nj_buf_init(&out);
    nj_buf_init(&again);
    need(nj_buf_append(&out, "before", 6) == NJ_OK);
    enum nj_err err = nj_json_print(&out, text, style);
    need(err == NJ_OK || err == NJ_EMALFORMED);
    need(out.len >= 6 && memcmp(out.data, "before", 6) == 0 && (err == NJ_OK) == (out.len > 6));
    if (err != NJ_OK) {
        need(!style->has_exact_numbers || is_deep(text) || !reads_strictly(text));
    } else {
        struct nj_bytes printed = nj_bytes(out.data + 6, out.len - 6);
        compare(text, printed, style);
        bool is_for_terminal = style->layout == NJ_JSON_SPACES && !style->has_colour;
        need(!is_for_terminal || !is_presentable(text) || fuzz_is_tame(printed));
        if (!style->has_colour) {
            need(nj_json_print(&again, printed, style) == NJ_OK);
            need(nj_bytes_equal(nj_buf_bytes(&again), printed));
        }
    }
    nj_buf_fini(&again);
    nj_buf_fini(&out);
}

static void quote(struct nj_bytes text, const struct nj_json_style *style)
{
    struct nj_buf out;
    nj_buf_init(&out);
    need(nj_json_quote(&out, text, style) == NJ_OK);
    if (!style->has_colour && (style->replaces_bad_utf8 || fuzz_is_utf8(text))) {
        json_t *value = json_loadb((const char *)out.data, out.len, LOAD_FLAGS, NULL);
        need(json_is_string(value));
        struct nj_bytes read = nj_bytes(json_string_value(value), json_string_length(value));
        need(!fuzz_is_utf8(text) || nj_bytes_equal(read, text));
        json_decref(value);
    }
    nj_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    const struct nj_json_style style = {
        .layout = (enum nj_json_layout)((data[0] & 3) % 3),
        .depth = data[0] >> 6,
        .has_exact_numbers = data[0] & 4,
        .has_colour = data[0] & 8,
        .replaces_bad_utf8 = data[0] & 16,
    };
    struct nj_bytes text = nj_bytes(data + 1, size - 1);
    print(text, &style);
    quote(text, &style);
    return 0;
}
