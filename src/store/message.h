/* A message that has to be kept: in a queue, in flight to a stored session, or retained.
 *
 * Immutable after nj_message_new, reference counted, shared by all receivers and threads.
 * Layout of data[]:   topic | properties | payload
 * The properties are the bytes an MQTT 5 receiver gets as they came (payload format, content type,
 * response topic, correlation data, user properties), without topic alias, subscription identifier
 * and message expiry, which belong to one hop. */
#ifndef NJ_STORE_MESSAGE_H
#define NJ_STORE_MESSAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_message {
    _Atomic uint32_t refs;
    uint8_t qos;
    bool is_retain; /* the RETAIN flag of the publisher's packet */
    uint32_t topic_len;
    uint32_t props_len;
    uint32_t payload_len;
    uint64_t expires_ms; /* monotonic; 0 = never */
    uint8_t data[];
};

/* What nj_message_new copies; also the view of a message that is on its way and not kept. */
struct nj_message_view {
    struct nj_bytes topic;
    struct nj_bytes props;
    struct nj_bytes payload;
    uint8_t qos;
    bool is_retain;
    uint64_t expires_ms;
};

/* NULL when memory is short. The caller holds the first reference. */
struct nj_message *nj_message_new(const struct nj_message_view *view) NJ_NODISCARD;
struct nj_message *nj_message_ref(struct nj_message *message);
/* Accepts NULL. */
void nj_message_unref(struct nj_message *message);

static inline struct nj_bytes nj_message_topic(const struct nj_message *message)
{
    return nj_bytes(message->data, message->topic_len);
}

static inline struct nj_message_view nj_message_view(const struct nj_message *message)
{
    const uint8_t *at = message->data;
    return (struct nj_message_view){
        .topic = nj_bytes(at, message->topic_len),
        .props = nj_bytes(at + message->topic_len, message->props_len),
        .payload = nj_bytes(at + message->topic_len + message->props_len, message->payload_len),
        .qos = message->qos,
        .is_retain = message->is_retain,
        .expires_ms = message->expires_ms,
    };
}

/* Messages alive and their bytes, over all threads, for $SYS. */
int64_t nj_message_count(void);
int64_t nj_message_bytes(void);

#endif
