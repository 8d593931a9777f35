/* The language of -F:
 *
 *     %[-][0][width][.precision][separator]X   a part of the message, see print_conversion
 *     @X                                       strftime's %X; @N nanoseconds, @@ itself
 *     \X                                       \\ \0 \a \e \n \r \t \v
 *
 * check and print read it with the same function, so that what passes the check can be printed. */
#include "format.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

#include "format_json.h"

/* Wider than any terminal, narrow enough not to be an accident with memory. */
#define WIDTH_MAX 1000000

struct spec {
    char conversion;
    bool is_left;
    bool is_zero_padded;
    int width;     /* 0 = none */
    int precision; /* -1 = none */
    char separator;
};

/* Reads what follows a `%`; *at ends behind it. False: the text ends too early. */
static bool read_spec(const char **at, struct spec *out)
{
    const char *p = *at;
    *out = (struct spec){.precision = -1, .separator = ' '};
    for (; *p == '-' || *p == '0'; p++) {
        if (*p == '-') {
            out->is_left = true;
        } else {
            out->is_zero_padded = true;
        }
    }
    for (; isdigit((unsigned char)*p); p++) {
        out->width = out->width * 10 + (*p - '0');
        out->width = out->width < WIDTH_MAX ? out->width : WIDTH_MAX;
    }
    if (*p == '.') {
        p++;
        out->precision = 0;
        for (; isdigit((unsigned char)*p); p++) {
            out->precision = out->precision * 10 + (*p - '0');
            out->precision = out->precision < WIDTH_MAX ? out->precision : WIDTH_MAX;
        }
        bool has_separator = ispunct((unsigned char)*p) && (p[1] == 'x' || p[1] == 'X');
        if (has_separator) {
            out->separator = *p++;
        }
    }
    if (*p == '\0') {
        return false;
    }
    out->conversion = *p++;
    *at = p;
    return true;
}

/* What a backslash with this letter stands for; -1 = nothing. */
static int escape_value(char letter)
{
    switch (letter) {
    case '\\':
        return '\\';
    case '0':
        return '\0';
    case 'a':
        return '\a';
    case 'e':
        return '\033';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'v':
        return '\v';
    default:
        return -1;
    }
}

bool nj_format_check(const char *format, FILE *err)
{
    static const char CONVERSIONS[] = "%ACDdEFfIjJlmPpqRrStUxX";
    const char *p = format;
    while (*p != '\0') {
        char kind = *p++;
        struct spec spec;
        if (kind == '%') {
            if (!read_spec(&p, &spec)) {
                fprintf(err, "Error: Incomplete format specifier.\n");
                return false;
            }
            if (strchr(CONVERSIONS, spec.conversion) == NULL) {
                fprintf(err, "Error: Invalid format specifier '%c'.\n", spec.conversion);
                return false;
            }
        } else if (kind == '@' || kind == '\\') {
            if (*p == '\0') {
                fprintf(err, "Error: Incomplete %s specifier.\n",
                        kind == '@' ? "format" : "escape");
                return false;
            }
            if (kind == '\\' && escape_value(*p) < 0) {
                fprintf(err, "Error: Invalid escape specifier '%c'.\n", *p);
                return false;
            }
            p++;
        }
    }
    return true;
}

struct writer {
    struct nj_buf *out;
    const struct nj_client_message *message;
    const struct nj_format_options *options;
    struct tm local;
    enum nj_err err;
};

static void put(struct writer *w, const void *data, size_t len)
{
    if (w->err == NJ_OK && len > 0) {
        w->err = nj_buf_append(w->out, data, len);
    }
}

static void put_padding(struct writer *w, char pad, size_t count)
{
    for (size_t i = 0; i < count && w->err == NJ_OK; i++) {
        put(w, &pad, 1);
    }
}

/* `data` in its field. `may_zero`: the conversion takes the 0 flag. */
static void put_field(struct writer *w, const struct spec *spec, struct nj_bytes data,
                      bool may_zero)
{
    size_t width = (size_t)spec->width;
    size_t missing = width > data.len ? width - data.len : 0;
    if (!spec->is_left) {
        put_padding(w, may_zero && spec->is_zero_padded ? '0' : ' ', missing);
    }
    put(w, data.ptr, data.len);
    if (spec->is_left) {
        put_padding(w, ' ', missing);
    }
}

static void put_int(struct writer *w, const struct spec *spec, uint32_t value)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%u", value);
    put_field(w, spec, nj_bytes_of(digits), true);
}

static void put_string(struct writer *w, const struct spec *spec, struct nj_bytes text)
{
    if (spec->precision >= 0 && text.len > (size_t)spec->precision) {
        text.len = (size_t)spec->precision;
    }
    put_field(w, spec, text, false);
}

static void put_int_prop(struct writer *w, const struct spec *spec, enum nj_client_prop_id id)
{
    const struct nj_client_prop *prop = nj_client_message_prop(w->message, id);
    if (prop != NULL) {
        put_int(w, spec, prop->number);
    } else {
        put_field(w, spec, nj_bytes_of(""), true);
    }
}

static void put_string_prop(struct writer *w, const struct spec *spec, enum nj_client_prop_id id)
{
    const struct nj_client_prop *prop = nj_client_message_prop(w->message, id);
    put_string(w, spec, prop != NULL ? prop->text : nj_bytes_of(""));
}

static void put_user_props(struct writer *w)
{
    bool is_first = true;
    for (size_t i = 0; i < w->message->props_count; i++) {
        const struct nj_client_prop *prop = &w->message->props[i];
        if (prop->id != NJ_CLIENT_USER_PROPERTY) {
            continue;
        }
        if (!is_first) {
            put(w, " ", 1);
        }
        is_first = false;
        put(w, prop->name.ptr, prop->name.len);
        put(w, ":", 1);
        put(w, prop->text.ptr, prop->text.len);
    }
}

/* The width is the least; for the original's payload it is also the most. */
static void put_payload(struct writer *w, const struct spec *spec)
{
    struct nj_bytes payload = w->message->payload;
    if (w->options->is_compat && spec->width > 0 && payload.len > (size_t)spec->width) {
        payload.len = (size_t)spec->width;
    }
    put_field(w, spec, payload, true);
}

/* The payload in hexadecimal; a precision cuts it into groups of that many digits. */
static void put_hex(struct writer *w, const struct spec *spec)
{
    const char *digits = spec->conversion == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
    struct nj_bytes payload = w->message->payload;
    size_t group = spec->precision > 0 ? (size_t)spec->precision : 0;
    size_t count = payload.len * 2;
    size_t separators = group > 0 && count > 0 ? (count - 1) / group : 0;
    size_t width = (size_t)spec->width;
    size_t missing = width > count + separators ? width - count - separators : 0;
    if (!spec->is_left) {
        put_padding(w, spec->is_zero_padded ? '0' : ' ', missing);
    }
    for (size_t i = 0; i < count; i++) {
        if (group > 0 && i > 0 && i % group == 0) {
            put(w, &spec->separator, 1);
        }
        uint8_t byte = payload.ptr[i / 2];
        put(w, &digits[i % 2 == 0 ? byte >> 4 : byte & 0x0F], 1);
    }
    if (spec->is_left) {
        put_padding(w, ' ', missing);
    }
}

/* The payload as a C float (%f) or double (%d) of this machine's byte order. */
static void put_float(struct writer *w, const struct spec *spec)
{
    struct nj_bytes payload = w->message->payload;
    bool is_double = spec->conversion == 'd';
    double value = 0;
    float single = 0;
    if (payload.len != (is_double ? sizeof(value) : sizeof(single))) {
        if (w->options->err != NULL) {
            fprintf(w->options->err, "requested %s printing, but non-%s data received\n",
                    is_double ? "double" : "float", is_double ? "double" : "float");
        }
        return;
    }
    if (is_double) {
        memcpy(&value, payload.ptr, sizeof(value));
    } else {
        memcpy(&single, payload.ptr, sizeof(single));
        value = (double)single;
    }
    char text[512];
    int precision = spec->precision < 0 ? 6 : spec->precision;
    int len = snprintf(text, sizeof(text), "%.*f", precision < 100 ? precision : 100, value);
    put_field(w, spec, nj_bytes(text, len > 0 ? (size_t)len : 0), true);
}

/* The format comes from the user, one conversion at a time: strftime has none that reads memory. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void put_time(struct writer *w, const struct spec *spec, const char *strftime_format)
{
    char text[256];
    size_t len = strftime(text, sizeof(text), strftime_format, &w->local);
    put_string(w, spec, nj_bytes(text, len));
}
#pragma GCC diagnostic pop

static void put_json(struct writer *w, bool is_parsed)
{
    if (w->err != NJ_OK) {
        return;
    }
    w->err = nj_format_json(w->out, w->message, w->options, is_parsed);
    if (w->err == NJ_EMALFORMED) {
        w->err = NJ_OK;
        if (w->options->err != NULL) {
            fprintf(w->options->err, "Error: Message payload is not valid JSON on topic %.*s.\n",
                    (int)w->message->topic.len, (const char *)w->message->topic.ptr);
        }
    }
}

static void print_number(struct writer *w, const struct spec *spec)
{
    static const struct spec PLAIN = {.precision = -1};
    switch (spec->conversion) {
    case 'A':
        put_int_prop(w, spec, NJ_CLIENT_TOPIC_ALIAS);
        break;
    case 'E':
        put_int_prop(w, spec, NJ_CLIENT_MESSAGE_EXPIRY);
        break;
    case 'F':
        put_int_prop(w, spec, NJ_CLIENT_PAYLOAD_FORMAT);
        break;
    case 'S':
        put_int_prop(w, spec, NJ_CLIENT_SUBSCRIPTION_ID);
        break;
    case 'l':
        put_int(w, spec, (uint32_t)w->message->payload.len);
        break;
    case 'm':
        put_int(w, spec, w->message->packet_id);
        break;
    case 'q':
        put_int(w, &PLAIN, w->message->qos);
        break;
    default:
        put_int(w, &PLAIN, w->message->retain ? 1 : 0);
        break;
    }
}

static void print_text(struct writer *w, const struct spec *spec)
{
    const struct nj_client_prop *prop;
    switch (spec->conversion) {
    case 'C':
        put_string_prop(w, spec, NJ_CLIENT_CONTENT_TYPE);
        break;
    case 'D':
        prop = nj_client_message_prop(w->message, NJ_CLIENT_CORRELATION_DATA);
        if (prop != NULL) {
            put(w, prop->text.ptr, prop->text.len);
        }
        break;
    case 'P':
        put_user_props(w);
        break;
    case 'R':
        /* As the original: no response topic, no field, whatever its width. */
        if (nj_client_message_prop(w->message, NJ_CLIENT_RESPONSE_TOPIC) != NULL) {
            put_string_prop(w, spec, NJ_CLIENT_RESPONSE_TOPIC);
        }
        break;
    case 't':
        put_string(w, spec, w->message->topic);
        break;
    case 'p':
        put_payload(w, spec);
        break;
    default:
        put_hex(w, spec);
        break;
    }
}

static void print_conversion(struct writer *w, const struct spec *spec)
{
    static const struct spec PLAIN = {.precision = -1};
    char text[16];
    switch (spec->conversion) {
    case '%':
        put(w, "%", 1);
        break;
    case 'I':
        put_time(w, spec, "%Y-%m-%dT%H:%M:%S%z");
        break;
    case 'U':
        put_time(w, &PLAIN, "%s");
        snprintf(text, sizeof(text), ".%09u", (unsigned)(w->options->now_ns % 1000000000));
        put(w, text, 10);
        break;
    case 'j':
    case 'J':
        put_json(w, spec->conversion == 'J');
        break;
    case 'd':
    case 'f':
        put_float(w, spec);
        break;
    default:
        if (strchr("AEFSlmqr", spec->conversion) != NULL) {
            print_number(w, spec);
        } else {
            print_text(w, spec);
        }
        break;
    }
}

static void print_at(struct writer *w, char letter)
{
    static const struct spec PLAIN = {.precision = -1};
    char text[16];
    if (letter == '@') {
        put(w, "@", 1);
    } else if (letter == 'N') {
        snprintf(text, sizeof(text), "%09u", (unsigned)(w->options->now_ns % 1000000000));
        put(w, text, 9);
    } else {
        const char conversion[3] = {'%', letter, '\0'};
        put_time(w, &PLAIN, conversion);
    }
}

enum nj_err nj_format_message(struct nj_buf *out, const char *format,
                              const struct nj_client_message *message,
                              const struct nj_format_options *options)
{
    struct writer w = {.out = out, .message = message, .options = options};
    time_t seconds = (time_t)(options->now_ns / 1000000000);
    localtime_r(&seconds, &w.local);
    const char *p = format;
    while (*p != '\0' && w.err == NJ_OK) {
        size_t plain = strcspn(p, "%@\\");
        put(&w, p, plain);
        p += plain;
        if (*p == '\0') {
            break;
        }
        char kind = *p++;
        struct spec spec;
        if (kind == '%') {
            if (!read_spec(&p, &spec)) {
                break;
            }
            print_conversion(&w, &spec);
        } else if (*p != '\0') {
            if (kind == '@') {
                print_at(&w, *p);
            } else {
                char c = (char)escape_value(*p);
                put(&w, &c, 1);
            }
            p++;
        }
    }
    return w.err;
}
