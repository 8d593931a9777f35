/* Decoding the packets that a client sends, and the two encoders that servers need besides the
 * message path: CONNACK and DISCONNECT. One struct a packet; all texts are views into the packet.
 *
 * Decoders get the body behind the fixed header. On an error *reason is the MQTT 5 reason code to
 * tell the peer: NJ_RC_MALFORMED_PACKET for what cannot be read (MQTT5 4.13), NJ_RC_PROTOCOL_ERROR
 * for what can but may not be. */
#ifndef NJ_MQTT_PACKETS_H
#define NJ_MQTT_PACKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

/* -- CONNECT (MQTT5 3.1) -- */
struct nj_mqtt_connect {
    enum nj_mqtt_version version;
    bool is_bridge; /* the high bit of the protocol level */
    bool is_clean_start;
    bool has_will;
    bool has_username;
    bool has_password;
    bool will_retain;
    uint8_t will_qos;
    uint16_t keep_alive_s;
    struct nj_bytes client_id;
    struct nj_bytes will_topic;
    struct nj_bytes will_payload;
    struct nj_bytes username;
    struct nj_bytes password;
    struct nj_mqtt_props props;
    struct nj_mqtt_props will_props;
};
/* An unknown protocol or level gives NJ_ENOTSUP and NJ_RC_UNSUPPORTED_PROTOCOL_VERSION. */
enum nj_err nj_mqtt_connect_decode(struct nj_bytes body, struct nj_mqtt_connect *out,
                                   enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* -- PUBLISH (MQTT5 3.3) -- */
struct nj_mqtt_publish {
    struct nj_bytes topic;
    struct nj_bytes payload;
    uint16_t packet_id; /* 0 with QoS 0 */
    uint8_t qos;
    bool is_dup;
    bool is_retain;
    struct nj_mqtt_props props; /* set for MQTT 5 only */
};
enum nj_err nj_mqtt_publish_decode(struct nj_bytes body, uint8_t flags,
                                   enum nj_mqtt_version version, struct nj_mqtt_publish *out,
                                   enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* -- PUBACK, PUBREC, PUBREL, PUBCOMP (MQTT5 3.4 – 3.7) -- */
struct nj_mqtt_ack {
    uint16_t packet_id;
    uint8_t code;
};
enum nj_err nj_mqtt_ack_decode(struct nj_bytes body, enum nj_mqtt_type type,
                               enum nj_mqtt_version version, struct nj_mqtt_ack *out,
                               enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* -- SUBSCRIBE, UNSUBSCRIBE (MQTT5 3.8, 3.10) -- */
struct nj_mqtt_subscribe {
    uint16_t packet_id;
    uint32_t subscription_id; /* 0 = none */
    uint32_t count;           /* of filters, at least 1 */
    struct nj_bytes filters;  /* for the iterators */
};
struct nj_mqtt_filter {
    struct nj_bytes filter;
    uint8_t qos;
    uint8_t retain_handling;
    bool is_no_local;
    bool is_retain_as_published;
};
/* The whole packet is checked here, so that the iteration cannot fail. */
enum nj_err nj_mqtt_subscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                     struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;
enum nj_err nj_mqtt_unsubscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                       struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;
/* Takes the first one off *rest (begin with packet->filters). */
bool nj_mqtt_subscribe_next(struct nj_bytes *rest, struct nj_mqtt_filter *out);
bool nj_mqtt_unsubscribe_next(struct nj_bytes *rest, struct nj_bytes *filter);

/* -- DISCONNECT, AUTH (MQTT5 3.14, 3.15): `code` and the properties -- */
struct nj_mqtt_coded {
    uint8_t code;
    struct nj_mqtt_props props;
};
enum nj_err nj_mqtt_disconnect_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                      struct nj_mqtt_coded *out, enum nj_mqtt_reason *reason)
    NJ_NODISCARD;
enum nj_err nj_mqtt_auth_decode(struct nj_bytes body, struct nj_mqtt_coded *out,
                                enum nj_mqtt_reason *reason) NJ_NODISCARD;

#endif
