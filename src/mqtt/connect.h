/* CONNECT (MQTT5 3.1, MQTT3 3.1). Texts are views into the packet. Any thread; nothing blocks. */
#ifndef NJ_MQTT_CONNECT_H
#define NJ_MQTT_CONNECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

struct nj_mqtt_connect {
    enum nj_mqtt_version version;
    bool is_bridge; /* the high bit of the protocol level (3.1 and 3.1.1) */
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
    struct nj_bytes password; /* any bytes, NUL too */
    struct nj_mqtt_props props;
    struct nj_mqtt_props will_props;
};

/* `body` is the packet behind its fixed header. On an error *reason says why:
 *   NJ_ENOTSUP    an MQTT of another level: UNSUPPORTED_PROTOCOL_VERSION (out->version is 3.1.1,
 * the form of the answer, and its return code 1) NJ_EDECLINED  not MQTT at all,
 * UNSUPPORTED_PROTOCOL_VERSION; close without an answer NJ_EMALFORMED MALFORMED_PACKET NJ_EPROTOCOL
 * PROTOCOL_ERROR, TOPIC_NAME_INVALID (will topic empty or with a wildcard) or
 *                 PAYLOAD_FORMAT_INVALID (will payload that is not the UTF-8 it says it is)
 * out->version is set even then. What depends on limits is the caller's: length and characters of
 * client id and user name, level count and `$` of the will topic, number of user properties. */
enum nj_err nj_mqtt_connect_decode(struct nj_bytes body, struct nj_mqtt_connect *out,
                                   enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed (a text above 65,535 bytes). */
size_t nj_mqtt_connect_size(const struct nj_mqtt_connect *packet);
/* Writes as many bytes as the (non-zero) size; returns the end. */
uint8_t *nj_mqtt_connect_encode(const struct nj_mqtt_connect *packet, uint8_t *at);

#endif
