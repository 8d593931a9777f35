/* Fuzzes the UTF-8 check against a reference written from RFC 3629, at every alignment. */
#include <stdlib.h>

#include "mqtt/utf8.h"
#include "unit/mqtt/naive.h"
#include "unit/mqtt/wire.h"

#define ALIGNMENTS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool naive_has_control(struct nj_bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        bool is_c1 = i > 0 && text.ptr[i - 1] == 0xc2 && text.ptr[i] >= 0x80 && text.ptr[i] < 0xa0;
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f || is_c1) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nj_bytes text = nj_bytes(data, size);
    bool is_valid = naive_utf8_is_valid(text);
    for (size_t shift = 0; shift < ALIGNMENTS; shift++) {
        uint8_t *copy = malloc(shift + size);
        if (size) {
            memcpy(copy + shift, data, size);
        }
        struct nj_bytes shifted = nj_bytes(size ? copy + shift : NULL, size);
        NJ_ASSERT(nj_mqtt_utf8_is_valid(shifted) == is_valid);
        free(copy);
    }
    if (is_valid) {
        NJ_ASSERT(nj_mqtt_utf8_has_control(text) == naive_has_control(text));
    }
    return 0;
}
