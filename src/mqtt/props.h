/* MQTT 5 properties (MQTT5 2.2.2): decoded into one struct of fields, whatever the packet. */
#ifndef NJ_MQTT_PROPS_H
#define NJ_MQTT_PROPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "mqtt/reader.h"
#include "mqtt/types.h"

enum nj_mqtt_prop {
    NJ_PROP_PAYLOAD_FORMAT = 1,
    NJ_PROP_MESSAGE_EXPIRY = 2,
    NJ_PROP_CONTENT_TYPE = 3,
    NJ_PROP_RESPONSE_TOPIC = 8,
    NJ_PROP_CORRELATION_DATA = 9,
    NJ_PROP_SUBSCRIPTION_ID = 11,
    NJ_PROP_SESSION_EXPIRY = 17,
    NJ_PROP_ASSIGNED_CLIENT_ID = 18,
    NJ_PROP_SERVER_KEEP_ALIVE = 19,
    NJ_PROP_AUTH_METHOD = 21,
    NJ_PROP_AUTH_DATA = 22,
    NJ_PROP_REQUEST_PROBLEM_INFO = 23,
    NJ_PROP_WILL_DELAY = 24,
    NJ_PROP_REQUEST_RESPONSE_INFO = 25,
    NJ_PROP_RESPONSE_INFO = 26,
    NJ_PROP_SERVER_REFERENCE = 28,
    NJ_PROP_REASON_STRING = 31,
    NJ_PROP_RECEIVE_MAXIMUM = 33,
    NJ_PROP_TOPIC_ALIAS_MAXIMUM = 34,
    NJ_PROP_TOPIC_ALIAS = 35,
    NJ_PROP_MAXIMUM_QOS = 36,
    NJ_PROP_RETAIN_AVAILABLE = 37,
    NJ_PROP_USER_PROPERTY = 38,
    NJ_PROP_MAXIMUM_PACKET_SIZE = 39,
    NJ_PROP_WILDCARD_AVAILABLE = 40,
    NJ_PROP_SUBSCRIPTION_IDS_AVAILABLE = 41,
    NJ_PROP_SHARED_AVAILABLE = 42,
    NJ_PROP_COUNT
};

/* A will's properties have rules of their own; the value lies beside the packet types. */
#define NJ_MQTT_WILL_PROPS 0

/* Subscription identifiers kept of one packet; a PUBLISH may carry more, which are skipped. */
#define NJ_MQTT_SUBSCRIPTION_IDS_MAX 8

struct nj_mqtt_props {
    uint64_t present; /* bit n: property n was there */
    uint8_t payload_format;
    uint8_t request_problem_info;
    uint8_t request_response_info;
    uint8_t max_qos;
    uint8_t retain_available;
    uint8_t wildcard_available;
    uint8_t subscription_ids_available;
    uint8_t shared_available;
    uint16_t server_keep_alive;
    uint16_t receive_maximum;
    uint16_t topic_alias_maximum;
    uint16_t topic_alias;
    uint32_t message_expiry_s;
    uint32_t session_expiry_s;
    uint32_t will_delay_s;
    uint32_t maximum_packet_size;
    uint32_t subscription_ids[NJ_MQTT_SUBSCRIPTION_IDS_MAX];
    uint32_t subscription_id_count;
    uint32_t user_count;
    struct nj_bytes content_type;
    struct nj_bytes response_topic;
    struct nj_bytes correlation_data;
    struct nj_bytes assigned_client_id;
    struct nj_bytes auth_method;
    struct nj_bytes auth_data;
    struct nj_bytes response_info;
    struct nj_bytes server_reference;
    struct nj_bytes reason_string;
    struct nj_bytes raw; /* decoding: the whole block, without its length */
    /* Encoding: the user properties, already encoded with nj_mqtt_prop_put_user; they go out last.
     * Decoding leaves it empty; nj_mqtt_props_next_user reads them. */
    struct nj_bytes users;
};

/* Fields that are not present are 0. */
static inline bool nj_mqtt_props_has(const struct nj_mqtt_props *props, enum nj_mqtt_prop prop)
{
    return (props->present >> prop & 1) != 0;
}

/* Reads the property length and the properties of a packet of `type` (or NJ_MQTT_WILL_PROPS). On an
 * error *out is undefined.
 * NJ_EMALFORMED: lengths, UTF-8, unknown or misplaced identifiers. NJ_EPROTOCOL: one given twice,
 * or a value that its property may not have. */
enum nj_err nj_mqtt_props_decode(struct nj_mqtt_reader *reader, unsigned type,
                                 struct nj_mqtt_props *out) NJ_NODISCARD;

/* The same for a block whose length is already taken off. */
enum nj_err nj_mqtt_props_parse(struct nj_bytes raw, unsigned type, struct nj_mqtt_props *out)
    NJ_NODISCARD;

/* Takes the property length and that many bytes off, without looking at them. */
enum nj_err nj_mqtt_props_read_block(struct nj_mqtt_reader *reader, struct nj_bytes *raw)
    NJ_NODISCARD;

/* User properties of a decoded block. Start with *at = 0; false at the end. */
bool nj_mqtt_props_next_user(const struct nj_mqtt_props *props, size_t *at, struct nj_bytes *key,
                             struct nj_bytes *value);
/* All subscription identifiers of a decoded block, also those beyond the array. */
bool nj_mqtt_props_next_subscription_id(const struct nj_mqtt_props *props, size_t *at,
                                        uint32_t *id);

/* -- encoding a struct: what is in `present`, and `users` -- */

/* Size of the property length and the block; 0 when it cannot be expressed (a text above 65,535
 * bytes). NULL stands for no properties. The order on the wire is fixed; for CONNACK it is
 * Mosquitto's: server keep alive, topic alias maximum, assigned client id, …, retain available,
 * maximum packet size, receive maximum, maximum QoS. */
size_t nj_mqtt_props_size(const struct nj_mqtt_props *props);
uint8_t *nj_mqtt_props_encode(const struct nj_mqtt_props *props, uint8_t *at);
/* To be set with the field. */
static inline void nj_mqtt_props_mark(struct nj_mqtt_props *props, enum nj_mqtt_prop prop)
{
    props->present |= 1ull << prop;
}

/* -- encoding one property after the other into room that the caller has made -- */

/* Size of a property with its identifier byte. `len` is that of a string or binary value, the sum
 * of both for a user property, and the value itself for a subscription identifier. */
size_t nj_mqtt_prop_size(enum nj_mqtt_prop prop, size_t len);
uint8_t *nj_mqtt_prop_put_int(uint8_t *at, enum nj_mqtt_prop prop, uint32_t value);
uint8_t *nj_mqtt_prop_put_bytes(uint8_t *at, enum nj_mqtt_prop prop, struct nj_bytes value);
uint8_t *nj_mqtt_prop_put_user(uint8_t *at, struct nj_bytes key, struct nj_bytes value);

/* The properties of a PUBLISH that go on to its receivers: everything but topic alias, message
 * expiry and subscription identifiers. They are a part of `raw` when those stand at its ends;
 * otherwise they are copied to `scratch`, which has room for raw.len bytes. */
struct nj_bytes nj_mqtt_props_forwarded(const struct nj_mqtt_props *props, uint8_t *scratch);

#endif
