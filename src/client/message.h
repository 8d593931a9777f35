/* A message as the client library hands it to its callback. Plain values: the views are valid for
 * the call only. */
#ifndef NJ_CLIENT_MESSAGE_H
#define NJ_CLIENT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Property identifiers that a PUBLISH may carry, MQTT5 3.3.2.3. */
enum nj_client_prop_id {
    NJ_CLIENT_PAYLOAD_FORMAT = 0x01,
    NJ_CLIENT_MESSAGE_EXPIRY = 0x02,
    NJ_CLIENT_CONTENT_TYPE = 0x03,
    NJ_CLIENT_RESPONSE_TOPIC = 0x08,
    NJ_CLIENT_CORRELATION_DATA = 0x09,
    NJ_CLIENT_SUBSCRIPTION_ID = 0x0B,
    NJ_CLIENT_TOPIC_ALIAS = 0x23,
    NJ_CLIENT_USER_PROPERTY = 0x26
};

/* One property. `number` for the integer types, `text` for strings, binary data and the value of
 * a user property, `name` for the name of a user property. */
struct nj_client_prop {
    uint8_t id;
    uint32_t number;
    struct nj_bytes name;
    struct nj_bytes text;
};

struct nj_client_message {
    struct nj_bytes topic;
    struct nj_bytes payload;
    uint16_t packet_id; /* 0 for QoS 0 */
    uint8_t qos;
    bool retain;
    bool is_dup;
    const struct nj_client_prop *props; /* in the order of the packet */
    size_t props_count;
};

/* The first property with this id, or NULL. */
static inline const struct nj_client_prop *
nj_client_message_prop(const struct nj_client_message *message, enum nj_client_prop_id id)
{
    for (size_t i = 0; i < message->props_count; i++) {
        if (message->props[i].id == id) {
            return &message->props[i];
        }
    }
    return NULL;
}

#endif
