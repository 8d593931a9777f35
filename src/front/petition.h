/* Requests to `$CONTROL/…` on the worker's side: in at the door, and the reply back to whoever
 * asked. */
#ifndef NJ_FRONT_PETITION_H
#define NJ_FRONT_PETITION_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/reply.h"
#include "mqtt/types.h"

struct nj_front;
struct nj_publish_in;
struct nj_record_reply;
struct nj_session;
struct nj_shard;

/* A PUBLISH to $CONTROL whose right was decided. What the acknowledgement says. The core calls it
 * on the session's worker. */
enum nj_mqtt_reason nj_petition_take(struct nj_session *session, struct nj_bytes topic,
                                     const struct nj_publish_in *in);

/* A reply on its way back; copied. */
struct nj_petition_reply {
    uint64_t session;
    uint32_t connection;
    unsigned worker;
    struct nj_bytes topic;
    struct nj_bytes correlation_data; /* ptr NULL = none */
    struct nj_bytes payload;
    enum nj_reply_way way;
};
/* From the control thread. NJ_ENOMEM: nothing was sent. */
enum nj_err nj_petition_answer(struct nj_front *front, const struct nj_petition_reply *reply)
    NJ_NODISCARD;
/* The record arrived on the worker. */
void nj_petition_deliver(struct nj_shard *shard, const struct nj_record_reply *record);

#endif
