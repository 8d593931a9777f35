/* See utf8.h. */
#include "mqtt/utf8.h"

#include "mqtt/swar_priv.h"

/* Decodes one character of more than one byte; 0 when it is malformed. */
static size_t decode(const uint8_t *at, size_t left, uint32_t *code)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] >= 0xf0 && at[0] < 0xf8   ? 4
                 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3
                 : at[0] >= 0xc0 && at[0] < 0xe0 ? 2
                                                 : 0;
    if (len == 0 || len > left) {
        return 0;
    }
    uint32_t value = at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3f);
    }
    *code = value;
    return value < smallest[len] ? 0 : len;
}

static bool is_character(uint32_t code)
{
    return code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
}

static bool is_noncharacter(uint32_t code)
{
    return (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
}

/* Eight plain characters: no high bit, no zero byte. */
static inline bool is_plain(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return !((word & NJ_MQTT_EACH_BYTE(0x80)) | nj_mqtt_zero_byte_in(word));
}

/* What is at `i` when it is not eight plain characters: one character. 0 = not allowed. */
static size_t check_char(struct nj_bytes text, size_t i, bool is_string)
{
    uint32_t code;
    if (text.ptr[i] < 0x80) {
        return text.ptr[i] != 0 || !is_string;
    }
    size_t len = decode(text.ptr + i, text.len - i, &code);
    return len && is_character(code) && !(is_string && is_noncharacter(code)) ? len : 0;
}

/* `is_string`: what MQTT forbids in its strings is not allowed either. */
static inline bool check(struct nj_bytes text, bool is_string)
{
    size_t i = 0;
    while (i < text.len) {
        if (text.len - i >= sizeof(uint64_t)) {
            if (is_plain(text.ptr + i)) {
                i += sizeof(uint64_t);
                continue;
            }
        } else if (text.len >= sizeof(uint64_t) &&
                   is_plain(text.ptr + text.len - sizeof(uint64_t))) {
            return true; /* the rest, with some bytes of before */
        }
        size_t len = check_char(text, i, is_string);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}

bool nj_mqtt_utf8_is_valid(struct nj_bytes text)
{
    return check(text, true);
}

bool nj_mqtt_utf8_is_well_formed(struct nj_bytes data)
{
    return check(data, false);
}

bool nj_mqtt_utf8_has_control(struct nj_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte < 0x20 || byte == 0x7f ||
            (byte == 0xc2 && i + 1 < text.len && text.ptr[i + 1] < 0xa0)) {
            return true;
        }
    }
    return false;
}
