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
 * bytes are needed. NJ_EMALFORMED: type 0, or a length of more than four bytes or not shortest. */
static inline enum nj_err nj_mqtt_frame_peek(const uint8_t *data, size_t len,
                                             struct nj_mqtt_frame *out)
{
    uint32_t body;
    size_t used;
    if (len == 0) {
        return NJ_EAGAIN;
    }
    if (data[0] >> 4 == 0) {
        return NJ_EMALFORMED;
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

#endif
