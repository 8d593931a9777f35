/* PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT5 3.4–3.7, MQTT3 3.4–3.7). */
#ifndef NJ_MQTT_ACK_H
#define NJ_MQTT_ACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/types.h"

/* Longest form without properties. */
#define NJ_MQTT_ACK_PLAIN_MAX 5

struct nj_mqtt_ack {
    uint16_t packet_id;
    uint8_t code; /* enum nj_mqtt_reason; 0 before MQTT 5 */
    /* Encoded properties without their length: reason string and user properties. Decoding has
     * checked them; nj_mqtt_props_parse takes them apart. */
    struct nj_bytes props;
};

/* Whether a reason code may stand in an acknowledgement of this type (MQTT5 tables 3-4 to 3-7). */
bool nj_mqtt_ack_code_is_known(enum nj_mqtt_type type, uint8_t code);

enum nj_err nj_mqtt_ack_decode(struct nj_bytes body, enum nj_mqtt_type type,
                               enum nj_mqtt_version version, struct nj_mqtt_ack *out,
                               enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed. Short forms: the property length is left
 * out when there are no properties, and the reason code, too, when it is 0. */
size_t nj_mqtt_ack_size(const struct nj_mqtt_ack *packet, enum nj_mqtt_version version);
uint8_t *nj_mqtt_ack_encode(const struct nj_mqtt_ack *packet, enum nj_mqtt_type type,
                            enum nj_mqtt_version version, uint8_t *at);

#endif
