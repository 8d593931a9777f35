/* Cursor over a packet's bytes, shared by the decoders of this room. Reading past the end sets
 * `is_short` once and gives zeros, so a decoder checks at its end instead of at every step. */
#ifndef NJ_MQTT_READER_H
#define NJ_MQTT_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct nj_mqtt_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool is_short;
};

static inline struct nj_mqtt_reader nj_mqtt_reader(struct nj_bytes bytes)
{
    /* No arithmetic with the NULL of an empty view. */
    const uint8_t *end = bytes.len ? bytes.ptr + bytes.len : bytes.ptr;
    return (struct nj_mqtt_reader){bytes.ptr, end, false};
}

static inline size_t nj_mqtt_left(const struct nj_mqtt_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

static inline struct nj_bytes nj_mqtt_read_bytes(struct nj_mqtt_reader *reader, size_t len)
{
    if (nj_mqtt_left(reader) < len) {
        reader->is_short = true;
        reader->at = reader->end;
        return nj_bytes(NULL, 0);
    }
    struct nj_bytes bytes = nj_bytes(reader->at, len);
    reader->at += len;
    return bytes;
}

static inline uint8_t nj_mqtt_read_u8(struct nj_mqtt_reader *reader)
{
    struct nj_bytes bytes = nj_mqtt_read_bytes(reader, 1);
    return bytes.len ? bytes.ptr[0] : 0;
}

static inline uint16_t nj_mqtt_read_u16(struct nj_mqtt_reader *reader)
{
    struct nj_bytes bytes = nj_mqtt_read_bytes(reader, 2);
    return bytes.len ? (uint16_t)(bytes.ptr[0] << 8 | bytes.ptr[1]) : 0;
}

static inline uint32_t nj_mqtt_read_u32(struct nj_mqtt_reader *reader)
{
    uint32_t high = nj_mqtt_read_u16(reader);
    return high << 16 | nj_mqtt_read_u16(reader);
}

/* Two-byte length, then so many bytes (MQTT5 1.5.4, 1.5.6). */
static inline struct nj_bytes nj_mqtt_read_lv(struct nj_mqtt_reader *reader)
{
    uint16_t len = nj_mqtt_read_u16(reader);
    return nj_mqtt_read_bytes(reader, len);
}

#endif
