/* The settings that the core obeys, as one immutable snapshot. Made by apps/broker from the
 * configuration; replaced as a whole on reload. Units are in the names; 0 means no limit unless
 * said otherwise. */
#ifndef NJ_BROKER_LIMITS_H
#define NJ_BROKER_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct nj_limits {
    uint32_t max_inflight; /* messages; towards clients that name no receive maximum */
    uint64_t max_inflight_bytes;
    uint32_t max_queued; /* messages above those in flight */
    uint64_t max_queued_bytes;
    uint32_t max_packet_size;
    uint32_t max_payload;
    uint32_t max_sessions;        /* of the whole broker */
    uint32_t max_subscriptions;   /* of one session */
    uint32_t persistent_expiry_s; /* cap on session expiry; 0 = none */
    uint64_t retain_expiry_ms;
    unsigned topic_levels;
    bool retain_available;
    bool queue_qos0;
    bool upgrade_outgoing_qos;
    bool allows_duplicates; /* MQTT 3: a copy for each of several overlapping subscriptions */
    /* Native and compat mode (config/settings.h) */
    bool share_skips_denied; /* members: online first, denied ones are skipped */
    bool retain_rechecks_origin;
    bool will_checked_at_connect;
    bool session_owner;
    bool refuses_control_chars;
    bool sends_reason_strings;
    bool checks_payload_format; /* what is said to be UTF-8 has to be */
    bool names_unknown_ids;     /* 0x92 in PUBREL and PUBCOMP */
    bool errors_as_original;    /* 0x81 for more, answers of the wrong kind end it */
    bool is_compat_store;
};

#endif
