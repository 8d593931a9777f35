/* UNSUBACK (MQTT5 3.11, MQTT3 3.11): one code per filter; before MQTT 5 the packet id alone. */
#ifndef NJ_MQTT_UNSUBACK_H
#define NJ_MQTT_UNSUBACK_H

#include "mqtt/suback.h"

enum nj_err nj_mqtt_unsuback_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                    struct nj_mqtt_suback *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed. */
size_t nj_mqtt_unsuback_size(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version);
uint8_t *nj_mqtt_unsuback_encode(const struct nj_mqtt_suback *packet, enum nj_mqtt_version version,
                                 uint8_t *at);

#endif
