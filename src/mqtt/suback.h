/* SUBACK (MQTT5 3.9, MQTT3 3.9): one code per filter of the SUBSCRIBE. */
#ifndef NJ_MQTT_SUBACK_H
#define NJ_MQTT_SUBACK_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

struct nj_mqtt_suback {
    uint16_t packet_id;
    struct nj_bytes codes;      /* at least one; 0x80 for any failure before MQTT 5 */
    struct nj_mqtt_props props; /* reason string, user properties */
};

enum nj_err nj_mqtt_suback_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                  struct nj_mqtt_suback *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed. */
size_t nj_mqtt_suback_size(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version);
uint8_t *nj_mqtt_suback_encode(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version,
                               uint8_t *at);

#endif
