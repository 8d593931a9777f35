/* Variable byte integers (MQTT5 1.5.5): at most four bytes, shortest form only. */
#ifndef NJ_MQTT_VARINT_H
#define NJ_MQTT_VARINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NJ_MQTT_VARINT_MAX 268435455u

static inline size_t nj_mqtt_varint_size(uint32_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static inline uint8_t *nj_mqtt_varint_put(uint8_t *at, uint32_t value)
{
    while (value >= 128) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/* NJ_EAGAIN: not all there; NJ_EMALFORMED: a fifth byte, or longer than necessary. */
static inline enum nj_err nj_mqtt_varint_get(const uint8_t *data, size_t len, uint32_t *value,
                                             size_t *used)
{
    uint32_t result = 0;
    for (size_t i = 0; i < 4; i++) {
        if (i == len) {
            return NJ_EAGAIN;
        }
        result |= (uint32_t)(data[i] & 0x7f) << (7 * i);
        if (!(data[i] & 0x80)) {
            *value = result;
            *used = i + 1;
            return nj_mqtt_varint_size(result) == i + 1 ? NJ_OK : NJ_EMALFORMED;
        }
    }
    return NJ_EMALFORMED;
}

#endif
