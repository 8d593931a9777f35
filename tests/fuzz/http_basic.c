/* Fuzzes the Authorization header of the HTTP API.
 *
 * Oracle: what is accepted encodes to the header that came, but for bits that base64 leaves open;
 * the name ends at the first colon and is one that MQTT could carry; what a naive reading takes is
 * taken. */
#include <strings.h>

#include "fuzz/fuzz.h"
#include "http/basic.h"
#include "mqtt/utf8.h"

#define INPUT_MAX 16384

static int value_of(char digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* Bit by bit; -1 = not base64. */
static int decode_naively(const char *text, uint8_t *out)
{
    size_t len = strlen(text);
    size_t padding = 0;
    unsigned bits = 0;
    unsigned held = 0;
    int size = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=') {
        padding++;
    }
    if (len == 0 || len % 4 != 0) {
        return -1;
    }
    for (size_t i = 0; i < len - padding; i++) {
        int value = value_of(text[i]);
        if (value < 0) {
            return -1;
        }
        bits = (bits << 6 | (unsigned)value) & 0xfff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[size++] = (uint8_t)(bits >> held);
        }
    }
    return size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t wanted[INPUT_MAX];
    char *value = fuzz_text(nj_bytes(data, size));
    struct nj_http_credentials got = {0};
    if (!value || size > INPUT_MAX) {
        free(value);
        return 0;
    }
    nj_http_basic_read(value, &got);
    const char *encoded = strncasecmp(value, "Basic ", 6) == 0 ? value + 6 : "";
    int len = decode_naively(encoded + strspn(encoded, " "), wanted);
    const uint8_t *colon = len > 0 ? memchr(wanted, ':', (size_t)len) : NULL;
    bool is_good = colon && nj_mqtt_utf8_is_valid(nj_bytes(wanted, (size_t)(colon - wanted))) &&
                   (len + 2) / 3 * 3 <= 8192;
    need(is_good == (got.fault == NULL));
    if (is_good) {
        need(nj_bytes_equal(got.user, nj_bytes(wanted, (size_t)(colon - wanted))));
        need(nj_bytes_equal(got.password, nj_bytes(colon + 1, (size_t)(wanted + len - colon - 1))));
        need(got.password.ptr + got.password.len <= got.text + got.size);
    }
    nj_http_credentials_fini(&got);
    need(!got.text && !got.user.ptr && !got.password.ptr);
    free(value);
    return 0;
}
