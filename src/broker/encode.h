/* The PUBLISH that goes to a subscriber. Apart from the codec room because this is the broker's
 * hottest encoder: it is asked for the size first, writes into the output chunk itself, and says
 * where the packet id sits, so that one encoding serves a whole fan-out. */
#ifndef NJ_BROKER_ENCODE_H
#define NJ_BROKER_ENCODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "mqtt/types.h"

struct nj_publish_out {
    struct nj_bytes topic; /* empty when the alias is known to the peer */
    struct nj_bytes props; /* encoded properties that are passed on */
    struct nj_bytes payload;
    uint32_t sub_id;   /* 0 = none */
    uint32_t expiry_s; /* with has_expiry */
    uint16_t alias;    /* 0 = none */
    uint8_t qos;
    bool has_expiry;
    bool is_retain;
    bool is_dup;
    enum nj_mqtt_version version;
};

struct nj_publish_size {
    uint32_t total;
    uint32_t header; /* all but the payload */
    uint32_t props;
    uint32_t id_at; /* offset of the packet id; 0 for QoS 0 */
};

struct nj_publish_size nj_publish_out_size(const struct nj_publish_out *out);
/* Writes everything but the payload; the packet id is left 0. */
void nj_publish_out_header(const struct nj_publish_out *out, const struct nj_publish_size *size,
                           uint8_t *at);

/* The topic alias in a frame that nj_publish_out_header wrote; `props` begins at the property
 * length. 0 = none. */
uint16_t nj_publish_frame_alias(struct nj_bytes props);

#endif
