/* The fixed header (MQTT5 2.1). */
#ifndef NJ_MQTT_FRAME_H
#define NJ_MQTT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "mqtt/types.h"
#include "mqtt/varint.h"

struct nj_mqtt_frame {
    enum nj_mqtt_type type;
    uint8_t flags;
    uint32_t header_len;
    uint32_t body_len;
};

/* NJ_OK as soon as the fixed header is complete; the body may still be missing. NJ_EAGAIN: more
 * bytes are needed. NJ_EPROTOCOL: type 0, which is reserved. NJ_EMALFORMED: a length of more than
 * four bytes or not shortest. */
static inline enum nj_err nj_mqtt_frame_peek(const uint8_t *data, size_t len,
                                             struct nj_mqtt_frame *out)
{
    uint32_t body;
    size_t used;
    if (len == 0) {
        return NJ_EAGAIN;
    }
    if (data[0] >> 4 == 0) {
        return NJ_EPROTOCOL;
    }
    enum nj_err err = nj_mqtt_varint_get(data + 1, len - 1, &body, &used);
    if (err != NJ_OK) {
        return err;
    }
    *out = (struct nj_mqtt_frame){
        .type = (enum nj_mqtt_type)(data[0] >> 4),
        .flags = data[0] & 0x0f,
        .header_len = (uint32_t)(1 + used),
        .body_len = body,
    };
    return NJ_OK;
}

/* MQTT5 2.1.3. The flags of PUBLISH are fields of their own and always pass here. */
static inline bool nj_mqtt_flags_are_valid(enum nj_mqtt_type type, uint8_t flags)
{
    switch (type) {
    case NJ_MQTT_PUBLISH:
        return true;
    case NJ_MQTT_PUBREL:
    case NJ_MQTT_SUBSCRIBE:
    case NJ_MQTT_UNSUBSCRIBE:
        return flags == 2;
    default:
        return flags == 0;
    }
}

/* MQTT 3.1 marks a repeated PUBREL, SUBSCRIBE or UNSUBSCRIBE with DUP (MQTT 3.1 section 2.1). */
static inline bool nj_mqtt_flags_are_valid_in(enum nj_mqtt_type type, uint8_t flags,
                                              enum nj_mqtt_version version)
{
    bool may_repeat =
        version == NJ_MQTT_31 &&
        (type == NJ_MQTT_PUBREL || type == NJ_MQTT_SUBSCRIBE || type == NJ_MQTT_UNSUBSCRIBE);
    return nj_mqtt_flags_are_valid(type, may_repeat ? flags & 7 : flags);
}

/* AUTH came with MQTT 5; before, type 15 is malformed. */
static inline bool nj_mqtt_type_is_known(enum nj_mqtt_type type, enum nj_mqtt_version version)
{
    return type >= NJ_MQTT_CONNECT &&
           type <= (version == NJ_MQTT_5 ? NJ_MQTT_AUTH : NJ_MQTT_DISCONNECT);
}

/* Size of a whole packet with a body of `body_len` bytes; 0 when that is too long for MQTT. */
static inline size_t nj_mqtt_frame_size(size_t body_len)
{
    return body_len > NJ_MQTT_VARINT_MAX ? 0
                                         : 1 + nj_mqtt_varint_size((uint32_t)body_len) + body_len;
}

/* Writes the fixed header; returns its end. */
static inline uint8_t *nj_mqtt_frame_put(uint8_t *at, enum nj_mqtt_type type, uint8_t flags,
                                         size_t body_len)
{
    *at++ = (uint8_t)(type << 4 | flags);
    return nj_mqtt_varint_put(at, (uint32_t)body_len);
}

#endif
