/* See utf8.h. */
#include "mqtt/utf8.h"

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

static bool is_allowed(uint32_t code)
{
    return code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) &&
           !(code >= 0xfdd0 && code <= 0xfdef) && (code & 0xfffe) != 0xfffe;
}

bool nj_mqtt_utf8_is_valid(struct nj_bytes text)
{
    size_t i = 0;
    while (i < text.len) {
        /* Eight plain characters at a time: no high bit, no zero byte. */
        uint64_t word;
        if (text.len - i >= sizeof(word)) {
            memcpy(&word, text.ptr + i, sizeof(word));
            uint64_t zero = (word - 0x0101010101010101ull) & ~word & 0x8080808080808080ull;
            if (!((word & 0x8080808080808080ull) | zero)) {
                i += sizeof(word);
                continue;
            }
        }
        if (text.ptr[i] < 0x80) {
            if (text.ptr[i] == 0) {
                return false;
            }
            i++;
            continue;
        }
        uint32_t code;
        size_t len = decode(text.ptr + i, text.len - i, &code);
        if (len == 0 || !is_allowed(code)) {
            return false;
        }
        i += len;
    }
    return true;
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
