/* One pass over the text: what is read is printed at once. The stack of open arrays and objects is
 * a bit per level, so that depth costs no recursion. RFC 8259, and as lenient as the original where
 * that loses nothing (raw control characters in strings). */
#include "json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLOUR_KEY    "\033[36m"
#define COLOUR_STRING "\033[32m"
#define COLOUR_NUMBER "\033[33m"
#define COLOUR_WORD   "\033[35m"
#define COLOUR_OFF    "\033[0m"

struct printer {
    struct nj_buf *out;
    const struct nj_json_style *style;
    const uint8_t *at;
    const uint8_t *end;
    enum nj_err err;
    int depth;
    uint8_t is_object[NJ_JSON_DEPTH_MAX / 8 + 1];
};

static void put(struct printer *p, const char *text, size_t len)
{
    if (p->err == NJ_OK) {
        p->err = nj_buf_append(p->out, text, len);
    }
}

static void put_text(struct printer *p, const char *text)
{
    put(p, text, strlen(text));
}

static void put_colour(struct printer *p, const char *colour)
{
    if (p->style->has_colour) {
        put_text(p, colour);
    }
}

static void fail(struct printer *p)
{
    if (p->err == NJ_OK) {
        p->err = NJ_EMALFORMED;
    }
}

/* The length of the UTF-8 character at `at`, 0 when there is none. */
static size_t utf8_len(const uint8_t *at, const uint8_t *end)
{
    static const struct {
        uint8_t mask;
        uint8_t lead;
        uint32_t least;
    } FORMS[] = {{0x80, 0x00, 0}, {0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    for (size_t len = 1; len <= 4; len++) {
        if ((at[0] & FORMS[len - 1].mask) != FORMS[len - 1].lead) {
            continue;
        }
        if ((size_t)(end - at) < len) {
            return 0;
        }
        uint32_t code = at[0] & (uint8_t)~FORMS[len - 1].mask;
        for (size_t i = 1; i < len; i++) {
            if ((at[i] & 0xC0) != 0x80) {
                return 0;
            }
            code = code << 6 | (at[i] & 0x3F);
        }
        bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
        return code >= FORMS[len - 1].least && code <= 0x10FFFF && !is_surrogate ? len : 0;
    }
    return 0;
}

/* One byte below 0x80, quoted. */
static void put_ascii(struct printer *p, uint8_t c)
{
    static const char SHORT_FROM[] = "\"\\\b\f\n\r\t";
    static const char SHORT_TO[] = "\"\\bfnrt";
    const char *found = c != '\0' ? strchr(SHORT_FROM, c) : NULL;
    if (found != NULL) {
        const char pair[2] = {'\\', SHORT_TO[found - SHORT_FROM]};
        put(p, pair, 2);
    } else if (c < 0x20) {
        char code[8];
        snprintf(code, sizeof(code), "\\u%04x", c);
        put(p, code, 6);
    } else {
        put(p, (const char *)&c, 1);
    }
}

/* Characters between quotes, from plain bytes. */
static void put_bytes(struct printer *p, const uint8_t *at, const uint8_t *end)
{
    while (at < end && p->err == NJ_OK) {
        if (*at < 0x80) {
            put_ascii(p, *at++);
            continue;
        }
        size_t len = utf8_len(at, end);
        if (len == 0 && p->style->replaces_bad_utf8) {
            put_text(p, "\xEF\xBF\xBD");
            at++;
        } else {
            put(p, (const char *)at, len == 0 ? 1 : len);
            at += len == 0 ? 1 : len;
        }
    }
}

static void put_code(struct printer *p, uint32_t code)
{
    uint8_t utf8[4];
    char escaped[8];
    if (p->style->layout == NJ_JSON_SPACES && code >= 0x7F && code <= 0x9F) {
        /* For a terminal, which may take a C1 control for the start of a command. */
        (void)snprintf(escaped, sizeof(escaped), "\\u%04x", code);
        put(p, escaped, 6);
    } else if (code < 0x80) {
        put_ascii(p, (uint8_t)code);
    } else if (code < 0x800) {
        utf8[0] = (uint8_t)(0xC0 | code >> 6);
        utf8[1] = (uint8_t)(0x80 | (code & 0x3F));
        put(p, (char *)utf8, 2);
    } else if (code < 0x10000) {
        utf8[0] = (uint8_t)(0xE0 | code >> 12);
        utf8[1] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        utf8[2] = (uint8_t)(0x80 | (code & 0x3F));
        put(p, (char *)utf8, 3);
    } else {
        utf8[0] = (uint8_t)(0xF0 | code >> 18);
        utf8[1] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        utf8[2] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        utf8[3] = (uint8_t)(0x80 | (code & 0x3F));
        put(p, (char *)utf8, 4);
    }
}

/* Four hexadecimal digits. */
static bool read_hex4(struct printer *p, uint32_t *out)
{
    if (p->end - p->at < 4) {
        return false;
    }
    char digits[5] = {0};
    for (int i = 0; i < 4; i++) {
        if (!isxdigit(p->at[i])) {
            return false;
        }
        digits[i] = (char)p->at[i];
    }
    *out = (uint32_t)strtoul(digits, NULL, 16);
    p->at += 4;
    return true;
}

/* Behind "\u". */
static void copy_unicode(struct printer *p)
{
    uint32_t code = 0;
    if (!read_hex4(p, &code)) {
        fail(p);
        return;
    }
    if (code >= 0xD800 && code <= 0xDFFF) {
        uint32_t low = 0;
        bool has_low = code < 0xDC00 && p->end - p->at >= 6 && p->at[0] == '\\' && p->at[1] == 'u';
        if (!has_low) {
            fail(p);
            return;
        }
        p->at += 2;
        if (!read_hex4(p, &low) || low < 0xDC00 || low > 0xDFFF) {
            fail(p);
            return;
        }
        code = 0x10000 + ((code & 0x3FF) << 10 | (low & 0x3FF));
    }
    put_code(p, code);
}

static void copy_escape(struct printer *p)
{
    static const char FROM[] = "\"\\/bfnrt";
    static const char TO[] = "\"\\/\b\f\n\r\t";
    if (p->at == p->end) {
        fail(p);
        return;
    }
    char c = (char)*p->at++;
    const char *found = c != '\0' ? strchr(FROM, c) : NULL;
    if (c == 'u') {
        copy_unicode(p);
    } else if (found != NULL) {
        put_ascii(p, (uint8_t)TO[found - FROM]);
    } else {
        fail(p);
    }
}

/* A string, from its opening quote on. */
static void copy_string(struct printer *p, const char *colour)
{
    put_colour(p, colour);
    put(p, "\"", 1);
    p->at++;
    while (p->err == NJ_OK) {
        const uint8_t *plain = p->at;
        while (p->at < p->end && *p->at != '"' && *p->at != '\\') {
            p->at++;
        }
        put_bytes(p, plain, p->at);
        if (p->at == p->end) {
            fail(p);
            return;
        }
        if (*p->at++ == '"') {
            break;
        }
        copy_escape(p);
    }
    put(p, "\"", 1);
    put_colour(p, COLOUR_OFF);
}

static bool skip_digits(struct printer *p)
{
    const uint8_t *start = p->at;
    while (p->at < p->end && isdigit(*p->at)) {
        p->at++;
    }
    return p->at > start;
}

/* As cJSON writes it: 15 digits when they give the same number, else 17. */
static void put_double(struct printer *p, const char *digits)
{
    double value = strtod(digits, NULL);
    if (isnan(value) || isinf(value)) {
        put_text(p, "null");
        return;
    }
    char text[40];
    snprintf(text, sizeof(text), "%1.15g", value);
    double again = strtod(text, NULL);
    double larger = fmax(fabs(again), fabs(value));
    if (!(fabs(again - value) <= larger * 2.2204460492503131e-16)) {
        snprintf(text, sizeof(text), "%1.17g", value);
    }
    put_text(p, text);
}

static void copy_number(struct printer *p)
{
    const uint8_t *start = p->at;
    if (*p->at == '-') {
        p->at++;
    }
    bool is_good = skip_digits(p);
    if (is_good && p->at < p->end && *p->at == '.') {
        p->at++;
        is_good = skip_digits(p);
    }
    if (is_good && p->at < p->end && (*p->at == 'e' || *p->at == 'E')) {
        p->at++;
        if (p->at < p->end && (*p->at == '+' || *p->at == '-')) {
            p->at++;
        }
        is_good = skip_digits(p);
    }
    char digits[64];
    size_t len = (size_t)(p->at - start);
    if (!is_good || (len >= sizeof(digits) && !p->style->has_exact_numbers)) {
        fail(p);
        return;
    }
    put_colour(p, COLOUR_NUMBER);
    if (p->style->has_exact_numbers) {
        put(p, (const char *)start, len);
    } else {
        memcpy(digits, start, len);
        digits[len] = '\0';
        put_double(p, digits);
    }
    put_colour(p, COLOUR_OFF);
}

static void copy_word(struct printer *p)
{
    static const char *const WORDS[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(WORDS[i]);
        if ((size_t)(p->end - p->at) >= len && memcmp(p->at, WORDS[i], len) == 0) {
            p->at += len;
            put_colour(p, COLOUR_WORD);
            put(p, WORDS[i], len);
            put_colour(p, COLOUR_OFF);
            return;
        }
    }
    fail(p);
}

static void skip_space(struct printer *p)
{
    while (p->at < p->end && *p->at <= ' ') {
        p->at++;
    }
}

static bool in_object(const struct printer *p)
{
    return (p->is_object[p->depth / 8] >> (p->depth % 8) & 1) != 0;
}

/* Levels that are indented: deeper ones stay in that column, or two bytes of a hostile message
 * would become thousands. */
#define INDENT_MAX 64

static void put_line(struct printer *p, int depth)
{
    put(p, "\n", 1);
    for (int i = 0; i < depth + p->style->depth && i < INDENT_MAX; i++) {
        put_text(p, p->style->layout == NJ_JSON_TABS ? "\t" : "  ");
    }
}

/* Between two members, or before the first one. */
static void put_gap(struct printer *p, bool is_first)
{
    enum nj_json_layout layout = p->style->layout;
    if (!is_first) {
        put(p, ",", 1);
    }
    if (layout == NJ_JSON_COMPACT) {
        return;
    }
    if (in_object(p) || layout == NJ_JSON_SPACES) {
        put_line(p, p->depth);
    } else if (!is_first) {
        put(p, " ", 1);
    }
}

static void open_level(struct printer *p)
{
    bool is_object = *p->at == '{';
    p->at++;
    if (p->depth == NJ_JSON_DEPTH_MAX - 1) {
        fail(p);
        return;
    }
    p->depth++;
    uint8_t bit = (uint8_t)(1u << (p->depth % 8));
    p->is_object[p->depth / 8] &= (uint8_t)~bit;
    if (is_object) {
        p->is_object[p->depth / 8] |= bit;
    }
    put(p, is_object ? "{" : "[", 1);
}

static void close_level(struct printer *p, bool is_empty)
{
    bool is_object = in_object(p);
    p->at++;
    p->depth--;
    bool has_line = p->style->layout == NJ_JSON_TABS     ? is_object
                    : p->style->layout == NJ_JSON_SPACES ? !is_empty
                                                         : false;
    if (has_line) {
        put_line(p, p->depth);
    }
    put(p, is_object ? "}" : "]", 1);
}

/* The name of an object's member and its colon. */
static void copy_name(struct printer *p)
{
    skip_space(p);
    if (p->at == p->end || *p->at != '"') {
        fail(p);
        return;
    }
    copy_string(p, COLOUR_KEY);
    skip_space(p);
    if (p->at == p->end || *p->at != ':') {
        fail(p);
        return;
    }
    p->at++;
    put_text(p, p->style->layout == NJ_JSON_COMPACT ? ":"
                : p->style->layout == NJ_JSON_TABS  ? ":\t"
                                                    : ": ");
}

static void copy_scalar(struct printer *p)
{
    if (*p->at == '"') {
        copy_string(p, COLOUR_STRING);
    } else if (*p->at == '-' || isdigit(*p->at)) {
        copy_number(p);
    } else {
        copy_word(p);
    }
}

/* Behind a value: closes levels, then leaves `at` on the next member. True: the text is at an
 * end. */
static bool after_value(struct printer *p)
{
    while (p->err == NJ_OK) {
        skip_space(p);
        if (p->depth == 0) {
            if (p->at != p->end) {
                fail(p);
            }
            return true;
        }
        uint8_t c = p->at < p->end ? *p->at : '\0';
        if (c == ',') {
            p->at++;
            put_gap(p, false);
            return false;
        }
        if (c == (in_object(p) ? '}' : ']')) {
            close_level(p, false);
        } else {
            fail(p);
        }
    }
    return true;
}

/* Reads one value; of a container only its opening. True: something of it is left. */
static bool copy_value(struct printer *p)
{
    if (p->depth > 0 && in_object(p)) {
        copy_name(p);
    }
    skip_space(p);
    if (p->at == p->end) {
        fail(p);
        return false;
    }
    if (p->err != NJ_OK) {
        return false;
    }
    if (*p->at != '{' && *p->at != '[') {
        copy_scalar(p);
        return false;
    }
    open_level(p);
    skip_space(p);
    if (p->err == NJ_OK && p->at < p->end && *p->at == (in_object(p) ? '}' : ']')) {
        close_level(p, true);
        return false;
    }
    put_gap(p, true);
    return true;
}

enum nj_err nj_json_print(struct nj_buf *out, struct nj_bytes text,
                          const struct nj_json_style *style)
{
    if (text.len == 0) {
        return NJ_EMALFORMED;
    }
    size_t start = out->len;
    struct printer p = {
        .out = out, .style = style, .at = text.ptr, .end = text.ptr + text.len, .err = NJ_OK};
    bool is_done = false;
    while (!is_done && p.err == NJ_OK) {
        if (!copy_value(&p) && p.err == NJ_OK) {
            is_done = after_value(&p);
        }
    }
    if (p.err != NJ_OK) {
        out->len = start;
    }
    return p.err;
}

enum nj_err nj_json_quote(struct nj_buf *out, struct nj_bytes text,
                          const struct nj_json_style *style)
{
    struct printer p = {.out = out, .style = style, .err = NJ_OK};
    put_colour(&p, COLOUR_STRING);
    put(&p, "\"", 1);
    if (text.len > 0) {
        put_bytes(&p, text.ptr, text.ptr + text.len);
    }
    put(&p, "\"", 1);
    put_colour(&p, COLOUR_OFF);
    return p.err;
}
