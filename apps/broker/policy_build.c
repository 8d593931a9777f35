/* See policy_build.h. */
#include "policy_build.h"

#include "base/log.h"
#include "base/mem.h"
#include "broker/limits.h"
#include "config/settings.h"
#include "dynsec_setup.h"
#include "security/acl.h"
#include "security/password_file.h"
#include "security/policy.h"
#include "security/psk_file.h"

#define TOPIC_LEVELS 200

static enum nj_err load_acl(const struct nj_settings *settings, const char *path,
                            struct nj_acl **out)
{
    char error[512];
    const struct nj_acl_options options = {
        .leading_for_all = settings->mode.leading_topics_for_all,
        .any_case_keywords = settings->mode.any_case_keywords,
        .nofollow = settings->mode.nofollow_credentials,
        .doubtful_as_text = settings->mode.doubtful_acl_as_text,
    };
    enum nj_err err = nj_acl_load(path, &options, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s.", error);
        return err;
    }
    for (size_t i = 0; i < nj_acl_warning_count(*out); i++) {
        nj_log(NJ_LOG_WARNING, "Warning: %s.", nj_acl_warning(*out, i));
    }
    return NJ_OK;
}

static enum nj_err load_passwords(const struct nj_settings *settings, const char *path,
                                  struct nj_passwords **out)
{
    char error[512];
    enum nj_err err =
        nj_passwords_load(path, settings->mode.nofollow_credentials, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "%s%s.", error[0] == 'E' ? "" : "Error: ", error);
    }
    return err;
}

static enum nj_err load_psks(const struct nj_settings *settings, const char *path,
                             struct nj_psks **out)
{
    char error[512];
    enum nj_err err =
        nj_psks_load(path, settings->mode.nofollow_credentials, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s.", error);
        return err;
    }
    if (nj_psks_short_count(*out)) {
        nj_log(NJ_LOG_WARNING,
               "Warning: %zu of the keys in psk_file %s have fewer than %d bytes and can be "
               "guessed.",
               nj_psks_short_count(*out), path, NJ_PSK_KEY_SHORT);
    }
    return NJ_OK;
}

/* Each listener has a scope of its own, so that anonymous access can differ; without
 * per_listener_settings they share one loaded copy of the files. */
static enum nj_err fill_scope(const struct nj_settings *settings, size_t listener,
                              struct nj_scope *scope)
{
    const struct nj_scope_settings *given = nj_settings_scope(settings, listener);
    const struct nj_mode_settings *mode = &settings->mode;
    *scope = (struct nj_scope){
        .acl_default_allow = mode->acl_default_allow,
        .allow_anonymous = nj_settings_anonymous(settings, listener),
        .unverified_user_counts = mode->unverified_user_counts,
        .checks_subscribe = mode->checks_subscribe,
        .share_as_whole = mode->share_as_whole,
        .default_covers_sys = mode->default_covers_sys,
    };
    if (!settings->per_listener && listener > 0) {
        const struct nj_scope *first = scope - listener;
        scope->acl = first->acl ? nj_acl_ref(first->acl) : NULL;
        scope->passwords = first->passwords ? nj_passwords_ref(first->passwords) : NULL;
        scope->psks = first->psks ? nj_psks_ref(first->psks) : NULL;
        return NJ_OK;
    }
    enum nj_err err = NJ_OK;
    if (given->acl_file) {
        err = load_acl(settings, given->acl_file, &scope->acl);
    }
    if (err == NJ_OK && given->password_file) {
        err = load_passwords(settings, given->password_file, &scope->passwords);
    }
    if (err == NJ_OK && given->psk_file) {
        err = load_psks(settings, given->psk_file, &scope->psks);
    }
    return err;
}

enum nj_err nj_policy_build(const struct nj_settings *settings, const struct nj_dynsec *dynsec,
                            uint64_t epoch, struct nj_policy **out)
{
    size_t count = settings->listener_count;
    struct nj_scope *scopes = nj_zalloc(count * sizeof(*scopes));
    enum nj_err err = NJ_OK;
    for (size_t i = 0; i < count && err == NJ_OK; i++) {
        err = fill_scope(settings, i, &scopes[i]);
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
        .topic_levels = TOPIC_LEVELS,
        .retain_available = settings->retain_available,
        .queue_qos0 = settings->queue_qos0_messages,
        .upgrade_outgoing_qos = settings->upgrade_outgoing_qos,
        .share_skips_denied = mode->share_skips_denied,
        .retain_rechecks_origin = mode->retain_rechecks_origin,
        .will_checked_at_connect = mode->will_checked_at_connect,
        .session_owner = mode->session_owner,
        .refuses_control_chars = mode->refuses_control_chars,
        .sends_reason_strings = mode->sends_reason_strings,
        .checks_payload_format = mode->checks_payload_format,
    };
    return limits;
}
