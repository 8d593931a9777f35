/* The table of properties (MQTT5 table 2-4), for decoding and encoding. */
#ifndef NJ_MQTT_PROPS_PRIV_H
#define NJ_MQTT_PROPS_PRIV_H

#include <stdint.h>

#include "mqtt/props.h"

enum nj_mqtt_prop_shape {
    NJ_MQTT_SHAPE_NONE, /* no such property */
    NJ_MQTT_SHAPE_BYTE, /* every one of them is a choice of 0 or 1 */
    NJ_MQTT_SHAPE_U16,
    NJ_MQTT_SHAPE_U32,
    NJ_MQTT_SHAPE_VARINT, /* subscription identifier: into an array of its own */
    NJ_MQTT_SHAPE_STRING,
    NJ_MQTT_SHAPE_BINARY,
    NJ_MQTT_SHAPE_PAIR /* user property: counted, not kept */
};

struct nj_mqtt_prop_rule {
    uint8_t shape;    /* enum nj_mqtt_prop_shape */
    uint16_t at;      /* of its field in struct nj_mqtt_props */
    uint16_t packets; /* bit n: allowed in packet type n; bit 0: in a will */
};

extern const struct nj_mqtt_prop_rule nj_mqtt_prop_rules[NJ_PROP_COUNT];

static inline enum nj_mqtt_prop_shape nj_mqtt_prop_shape(unsigned id)
{
    return id < NJ_PROP_COUNT ? (enum nj_mqtt_prop_shape)nj_mqtt_prop_rules[id].shape
                              : NJ_MQTT_SHAPE_NONE;
}

#endif
