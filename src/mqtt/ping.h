/* PINGREQ and PINGRESP (MQTT5 3.12, 3.13): two bytes, never a body. */
#ifndef NJ_MQTT_PING_H
#define NJ_MQTT_PING_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/types.h"

#define NJ_MQTT_PING_SIZE 2

static inline enum nj_err nj_mqtt_ping_decode(struct nj_bytes body, enum nj_mqtt_reason *reason)
{
    if (body.len) {
        *reason = NJ_RC_MALFORMED_PACKET;
        return NJ_EMALFORMED;
    }
    return NJ_OK;
}

/* `type` is NJ_MQTT_PINGREQ or NJ_MQTT_PINGRESP. */
static inline uint8_t *nj_mqtt_ping_encode(enum nj_mqtt_type type, uint8_t *at)
{
    at[0] = (uint8_t)(type << 4);
    at[1] = 0;
    return at + NJ_MQTT_PING_SIZE;
}

#endif
