/* Putting values into room that the caller has made; each returns where the next one goes. */
#ifndef NJ_MQTT_WRITER_H
#define NJ_MQTT_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Longest string or binary value (MQTT5 1.5.4, 1.5.6). */
#define NJ_MQTT_TEXT_MAX 65535u

static inline uint8_t *nj_mqtt_put_u8(uint8_t *at, uint32_t value)
{
    *at = (uint8_t)value;
    return at + 1;
}

static inline uint8_t *nj_mqtt_put_u16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

static inline uint8_t *nj_mqtt_put_u32(uint8_t *at, uint32_t value)
{
    return nj_mqtt_put_u16(nj_mqtt_put_u16(at, value >> 16), value & 0xffff);
}

static inline uint8_t *nj_mqtt_put_bytes(uint8_t *at, struct nj_bytes bytes)
{
    if (bytes.len) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

/* Two-byte length, then the bytes; at most NJ_MQTT_TEXT_MAX of them. */
static inline uint8_t *nj_mqtt_put_lv(uint8_t *at, struct nj_bytes bytes)
{
    return nj_mqtt_put_bytes(nj_mqtt_put_u16(at, (uint32_t)bytes.len), bytes);
}

#endif
