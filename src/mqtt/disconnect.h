/* DISCONNECT (MQTT5 3.14, MQTT3 3.14). Servers send it to MQTT 5 clients only. */
#ifndef NJ_MQTT_DISCONNECT_H
#define NJ_MQTT_DISCONNECT_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

/* A reason code and properties: DISCONNECT and AUTH. */
struct nj_mqtt_coded {
    uint8_t code;
    struct nj_mqtt_props props;
};

/* A client's; codes that only a server may send are a protocol error. */
enum nj_err nj_mqtt_disconnect_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                      struct nj_mqtt_coded *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;
/* A server's (MQTT 5). */
enum nj_err nj_mqtt_disconnect_decode_from_server(struct nj_bytes body, struct nj_mqtt_coded *out,
                                                  enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed. Short forms as for acknowledgements;
 * before MQTT 5, code and properties are left out. */
size_t nj_mqtt_disconnect_size(const struct nj_mqtt_coded *packet, enum nj_mqtt_version version);
uint8_t *nj_mqtt_disconnect_encode(const struct nj_mqtt_coded *packet, enum nj_mqtt_version version,
                                   uint8_t *at);

#endif
