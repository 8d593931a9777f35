/* UNSUBSCRIBE (MQTT5 3.10, MQTT3 3.10). */
#ifndef NJ_MQTT_UNSUBSCRIBE_H
#define NJ_MQTT_UNSUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/subscribe.h"
#include "mqtt/types.h"

/* As nj_mqtt_subscribe_decode; the filters have no options. */
enum nj_err nj_mqtt_unsubscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                       struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;
/* Takes the first one off *rest (begin with packet->filters). False when none is left. */
bool nj_mqtt_unsubscribe_next(struct nj_bytes *rest, struct nj_bytes *filter);

struct nj_mqtt_unsubscribe_fields {
    uint16_t packet_id;
    const struct nj_bytes *filters;
    size_t count;
    const struct nj_mqtt_props *props; /* user properties; NULL = none */
};

/* Size of the whole packet; 0 when it cannot be expressed. */
size_t nj_mqtt_unsubscribe_size(const struct nj_mqtt_unsubscribe_fields *fields,
                                enum nj_mqtt_version version);
uint8_t *nj_mqtt_unsubscribe_encode(const struct nj_mqtt_unsubscribe_fields *fields,
                                    enum nj_mqtt_version version, uint8_t *at);

#endif
