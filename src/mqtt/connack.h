/* CONNACK (MQTT5 3.2, MQTT3 3.2). */
#ifndef NJ_MQTT_CONNACK_H
#define NJ_MQTT_CONNACK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

struct nj_mqtt_connack {
    bool is_session_present;
    uint8_t code; /* MQTT 5: enum nj_mqtt_reason; before: return code 0–5 */
    struct nj_mqtt_props props;
};

/* The return code that says a reason code to a client of MQTT 3.1 and 3.1.1 (MQTT3 table 3.1). */
uint8_t nj_mqtt_connack_old_code(enum nj_mqtt_reason reason);

/* For clients. An MQTT 5 client may also get the two-byte refusal of a server that knows only older
 * versions: `code` is then 1 to 5, which MQTT 5 does not use otherwise. */
enum nj_err nj_mqtt_connack_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                   struct nj_mqtt_connack *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed. Properties go out in the order of
 * props.h, and only to MQTT 5. */
size_t nj_mqtt_connack_size(const struct nj_mqtt_connack *packet, enum nj_mqtt_version version);
uint8_t *nj_mqtt_connack_encode(const struct nj_mqtt_connack *packet, enum nj_mqtt_version version,
                                uint8_t *at);

#endif
