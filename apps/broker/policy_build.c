/* See policy_build.h. */
#include "policy_build.h"

#include "base/mem.h"
#include "broker/limits.h"
#include "config/settings.h"
#include "dynsec_setup.h"
#include "mqtt/topic.h"
#include "security/policy.h"
#include "security/scope_load.h"

enum nj_err nj_policy_build(const struct nj_settings *settings, const struct nj_dynsec *dynsec,
                            uint64_t epoch, struct nj_policy **out)
{
    size_t count = settings->listener_count;
    struct nj_scope *scopes = nj_zalloc(count * sizeof(*scopes));
    enum nj_err err = NJ_OK;
    for (size_t i = 0; i < count && err == NJ_OK; i++) {
        err = nj_scope_load(settings, i, i > 0 ? &scopes[0] : NULL, &scopes[i]);
    }
    err = err == NJ_OK ? nj_dynsec_setup_scopes(settings, dynsec, scopes, count) : err;
    struct nj_policy *policy = nj_policy_new(epoch, scopes, count);
    nj_free(scopes);
    if (err != NJ_OK) {
        nj_policy_unref(policy);
        return err;
    }
    *out = policy;
    return NJ_OK;
}

struct nj_limits *nj_limits_build(const struct nj_settings *settings)
{
    const struct nj_mode_settings *mode = &settings->mode;
    struct nj_limits *limits = nj_zalloc(sizeof(*limits));
    *limits = (struct nj_limits){
        .max_inflight = settings->max_inflight_messages,
        .max_inflight_bytes = settings->max_inflight_bytes,
        .max_queued = settings->max_queued_messages,
        .max_queued_bytes = settings->max_queued_bytes,
        .max_sessions =
            settings->global_max_clients > 0 ? (uint32_t)settings->global_max_clients : 0,
        .max_packet_size = settings->max_packet_size,
        .max_payload = settings->message_size_limit,
        .persistent_expiry_s = (uint32_t)settings->persistent_client_expiration_s,
        .retain_expiry_ms = settings->retain_expiry_interval_min * 60000ull,
        .topic_levels = NJ_MQTT_LEVELS_MAX,
        .retain_available = settings->retain_available,
        .queue_qos0 = settings->queue_qos0_messages,
        .allows_duplicates = settings->allow_duplicate_messages,
        .upgrade_outgoing_qos = settings->upgrade_outgoing_qos,
        .share_skips_denied = mode->share_skips_denied,
        .retain_rechecks_origin = mode->retain_rechecks_origin,
        .will_checked_at_connect = mode->will_checked_at_connect,
        .session_owner = mode->session_owner,
        .refuses_control_chars = mode->refuses_control_chars,
        .sends_reason_strings = mode->sends_reason_strings,
        .checks_payload_format = mode->checks_payload_format,
        .names_unknown_ids = mode->names_unknown_ids,
        .errors_as_original = mode->errors_as_original,
    };
    return limits;
}
