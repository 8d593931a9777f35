/* A connection takes its session: on the session's worker, before the old connection is touched
 * (MQTT5 3.1.4, 4.1), and only if it belongs to the same owner. */
#ifndef NJ_BROKER_CLAIM_H
#define NJ_BROKER_CLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "broker/hold.h"
#include "mqtt/types.h"

struct nj_link;
struct nj_message;
struct nj_origin;
struct nj_session;

struct nj_claim {
    struct nj_origin *origin;
    struct nj_message *will; /* NULL = none; the reference goes over on success */
    uint32_t will_delay_s;
    uint32_t expiry_s;
    bool is_clean_start;
    uint64_t credential;
};

struct nj_claimed {
    struct nj_session *session;
    bool is_present;     /* the session was there: Session Present */
    struct nj_wait wait; /* what the CONNACK has to follow */
};

/* On an error *reason says what the CONNACK tells and *why what the log says. */
enum nj_err nj_session_claim(struct nj_link *link, const struct nj_claim *claim,
                             struct nj_claimed *out, enum nj_mqtt_reason *reason, const char **why)
    NJ_NODISCARD;

#endif
