/* Fuzzes what a peer may write into the log.
 *
 * Oracle: a line is one line of well-formed text without control characters and without marks that
 * end a line or turn the direction of writing; it is what a naive escape makes of the text, up to
 * the limit of a line; and escaping what was escaped changes nothing. */
#include <stdio.h>

#include "base/log.h"
#include "fuzz/fuzz.h"

/* Of a message, as base/log.c has it; a line may be longer by its escapes. */
#define TEXT_MAX 1500
#define LINE_MAX 4096

/* Owner: this file; what the log handed out last. */
static char line[LINE_MAX + 1];
static size_t line_len;

static void on_line(void *arg, enum nj_log_type type, const char *text, size_t len)
{
    (void)arg;
    (void)type;
    need(len <= LINE_MAX && text[len] == '\0');
    memcpy(line, text, len + 1);
    line_len = len;
}

static void open_log(void)
{
    static const struct nj_log_settings settings = {
        .types = NJ_LOG_ALL, .syslog_facility = -1, .to_topic = true, .topic_fn = on_line};
    static bool is_open;
    if (!is_open) {
        need(nj_log_configure(&settings) == NJ_OK);
        is_open = true;
    }
}

static bool is_plain(uint32_t code)
{
    bool misleads = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    return code >= 0x20 && (code < 0x7f || code > 0x9f) && !misleads;
}

static size_t escape(const char *text, char *out)
{
    size_t left = strlen(text);
    size_t len = 0;
    while (left > 0) {
        uint32_t code = 0;
        size_t n = fuzz_char((const uint8_t *)text, left, &code);
        if (n > 0 && is_plain(code)) {
            memcpy(out + len, text, n);
            len += n;
        } else {
            n = 1;
            (void)snprintf(out + len, 5, "\\x%02x", (uint8_t)*text);
            len += 4;
        }
        text += n;
        left -= n;
    }
    return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char wanted[4 * TEXT_MAX + 1];
    char first[LINE_MAX + 1];
    char *text = fuzz_text(nj_bytes(data, size));
    if (!text) {
        return 0;
    }
    open_log();
    nj_log(NJ_LOG_NOTICE, "%s", text);
    if (size >= TEXT_MAX) {
        text[TEXT_MAX - 1] = '\0'; /* it may end within a character now, as the log's own copy */
    }
    size_t wanted_len = escape(text, wanted);
    free(text);
    need(fuzz_is_tame(nj_bytes(line, line_len)) && !memchr(line, '\n', line_len));
    need(line_len <= wanted_len && memcmp(line, wanted, line_len) == 0);
    need(line_len == wanted_len || line_len > LINE_MAX - 16);
    if (line_len < TEXT_MAX) {
        size_t first_len = line_len;
        memcpy(first, line, line_len + 1);
        nj_log(NJ_LOG_NOTICE, "%s", first);
        need(line_len == first_len && memcmp(line, first, first_len) == 0);
    }
    return 0;
}
