/* SUBSCRIBE (MQTT5 3.8, MQTT3 3.8). */
#ifndef NJ_MQTT_SUBSCRIBE_H
#define NJ_MQTT_SUBSCRIBE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

struct nj_mqtt_subscribe {
    uint16_t packet_id;
    uint32_t subscription_id; /* 0 = none */
    uint32_t count;           /* of filters, at least 1 */
    struct nj_bytes filters;  /* for the iterator */
    struct nj_mqtt_props props;
};

struct nj_mqtt_filter {
    struct nj_bytes filter;
    uint8_t qos;
    uint8_t retain_handling;
    bool is_no_local;
    bool is_retain_as_published;
};

/* The whole packet is checked here, so that the iteration cannot fail. The filters are well-formed
 * UTF-8; their grammar is the caller's: nj_mqtt_subscription_is_valid. */
enum nj_err nj_mqtt_subscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                     struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;
/* Takes the first one off *rest (begin with packet->filters). False when none is left. */
bool nj_mqtt_subscribe_next(struct nj_bytes *rest, struct nj_mqtt_filter *out);

struct nj_mqtt_subscribe_fields {
    uint16_t packet_id;
    const struct nj_mqtt_filter *filters; /* options before MQTT 5: the QoS alone */
    size_t count;
    const struct nj_mqtt_props *props; /* subscription identifier, user properties; NULL = none */
};

/* Size of the whole packet; 0 when it cannot be expressed. */
size_t nj_mqtt_subscribe_size(const struct nj_mqtt_subscribe_fields *fields,
                              enum nj_mqtt_version version);
uint8_t *nj_mqtt_subscribe_encode(const struct nj_mqtt_subscribe_fields *fields,
                                  enum nj_mqtt_version version, uint8_t *at);

#endif
