/* A reply of the broker to one connection: what a client asked on $CONTROL. */
#ifndef NJ_BROKER_REPLY_H
#define NJ_BROKER_REPLY_H

#include <stdint.h>

#include "broker/message.h"

struct nj_shard;

enum nj_reply_way {
    NJ_REPLY_STRAIGHT, /* to the connection, whatever it subscribed and may receive (MQTT5 4.10) */
    NJ_REPLY_SUBSCRIBED, /* to the connection, if its session subscribed the topic and may receive
                          * it
                          */
    NJ_REPLY_ROUTED,     /* to every subscriber that may receive it (the original's way) */
};

/* To connection number `connection` of session `session` on its worker; nothing happens when that
 * is gone. Never retained, never queued: QoS 0. NJ_ETOOBIG: the connection does not take packets of
 * this size, so nothing was sent. */
enum nj_err nj_shard_reply(struct nj_shard *shard, uint64_t session, uint32_t connection,
                           const struct nj_message_view *view, enum nj_reply_way way) NJ_NODISCARD;

#endif
