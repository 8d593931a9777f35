/* PUBLISH (MQTT5 3.3, MQTT3 3.3). The hot packet: decoding copies nothing, and encoding is split so
 * that one header serves many receivers that differ in nothing but the packet id. */
#ifndef NJ_MQTT_PUBLISH_H
#define NJ_MQTT_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

struct nj_mqtt_publish {
    struct nj_bytes topic; /* empty when a topic alias stands for it */
    struct nj_bytes payload;
    uint16_t packet_id; /* 0 with QoS 0 */
    uint8_t qos;
    bool is_dup;
    bool is_retain;
    /* MQTT 5; props.raw is the block as it came. For older versions only `present`, `raw`,
     * `user_count` and `subscription_id_count` are set: to nothing. */
    struct nj_mqtt_props props;
};

/* A client's PUBLISH. The topic is well-formed UTF-8 and not empty (unless there is an alias); its
 * wildcards, levels and meaning are the caller's: nj_mqtt_topic_is_valid; so is whether the payload
 * is the UTF-8 that its payload format says: nj_mqtt_utf8_is_well_formed. Reasons:
 * MALFORMED_PACKET, PROTOCOL_ERROR, TOPIC_ALIAS_INVALID (alias 0). */
enum nj_err nj_mqtt_publish_decode(struct nj_bytes body, uint8_t flags,
                                   enum nj_mqtt_version version, struct nj_mqtt_publish *out,
                                   enum nj_mqtt_reason *reason) NJ_NODISCARD;
/* A server's PUBLISH: may carry subscription identifiers. */
enum nj_err nj_mqtt_publish_decode_from_server(struct nj_bytes body, uint8_t flags,
                                               enum nj_mqtt_version version,
                                               struct nj_mqtt_publish *out,
                                               enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* -- encoding -- */

struct nj_mqtt_publish_fields {
    struct nj_bytes topic; /* empty when the receiver knows the alias */
    struct nj_bytes payload;
    struct nj_bytes props; /* encoded; without topic alias, expiry and subscription identifiers */
    const uint32_t *subscription_ids;
    size_t subscription_id_count;
    uint32_t message_expiry_s; /* with has_message_expiry */
    uint16_t topic_alias;      /* 0 = none */
    uint16_t packet_id;        /* may be set later: nj_mqtt_publish_set_packet_id */
    uint8_t qos;
    bool has_message_expiry;
    bool is_retain;
    bool is_dup;
    enum nj_mqtt_version version; /* before MQTT 5, everything that is a property is left out */
};

/* Where things sit in the frame; the frame begins at offset 0. */
struct nj_mqtt_publish_layout {
    uint32_t total_len;    /* 0: cannot be expressed (topic or whole packet too long) */
    uint32_t header_len;   /* all before the payload */
    uint32_t props_len;    /* of the block, without its length; 0 before MQTT 5 */
    uint32_t packet_id_at; /* 0 with QoS 0 */
};

struct nj_mqtt_publish_layout nj_mqtt_publish_size(const struct nj_mqtt_publish_fields *fields);
/* Writes header_len bytes; returns their end. Order of properties: topic alias, subscription
 * identifiers, `props`, message expiry. */
uint8_t *nj_mqtt_publish_encode_header(const struct nj_mqtt_publish_fields *fields,
                                       const struct nj_mqtt_publish_layout *layout, uint8_t *at);
/* Header and payload. */
uint8_t *nj_mqtt_publish_encode(const struct nj_mqtt_publish_fields *fields,
                                const struct nj_mqtt_publish_layout *layout, uint8_t *at);

/* `id_at` is layout.packet_id_at or what nj_mqtt_publish_packet_id_at found. */
static inline void nj_mqtt_publish_set_packet_id(uint8_t *frame, uint32_t id_at, uint16_t packet_id)
{
    frame[id_at] = (uint8_t)(packet_id >> 8);
    frame[id_at + 1] = (uint8_t)packet_id;
}

/* For sending again. */
static inline void nj_mqtt_publish_set_dup(uint8_t *frame)
{
    frame[0] |= 8;
}

/* Where the packet id of an encoded PUBLISH sits; 0 with QoS 0, or when the frame ends before. */
uint32_t nj_mqtt_publish_packet_id_at(struct nj_bytes frame);

#endif
