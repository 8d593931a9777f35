/* SUBSCRIBE and UNSUBSCRIBE (MQTT5 3.8 – 3.11), one filter at a time. */
#ifndef NJ_BROKER_SUBSCRIBE_H
#define NJ_BROKER_SUBSCRIBE_H

#include <stdint.h>

#include "base/bytes.h"
#include "broker/filters.h"

struct nj_replay;
struct nj_session;

struct nj_subscribe_in {
    struct nj_bytes filter; /* valid by the grammar; may begin with $share/ */
    struct nj_sub_options options;
    uint8_t retain_handling;
};

/* Returns the reason code for the SUBACK (an MQTT 5 one, or QoS / 0x80 for older versions). Adds
 * what is retained to *replay. The store operations join the open group. */
uint8_t nj_session_subscribe(struct nj_session *session, const struct nj_subscribe_in *in,
                             struct nj_replay **replay);
/* Returns the reason code for the UNSUBACK. */
uint8_t nj_session_unsubscribe(struct nj_session *session, struct nj_bytes filter);

#endif
