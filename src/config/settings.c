/* Defaults, mode table, and freeing of the settings. */
#include "config/settings.h"

#include <stddef.h>

#include "base/mem.h"
#include "config/config_priv.h"

static void free_scope(struct nj_scope_settings *scope)
{
    nj_free(scope->acl_file);
    nj_free(scope->password_file);
}

static void free_listener(struct nj_listener_settings *listener)
{
    char *const texts[] = {
        listener->host,        listener->unix_path,      listener->bind_interface,
        listener->mount_point, listener->cafile,         listener->capath,
        listener->certfile,    listener->keyfile,        listener->crlfile,
        listener->ciphers,     listener->ciphers_tls13,  listener->tls_version,
        listener->dhparamfile, listener->auto_id_prefix,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        nj_free(texts[i]);
    }
    for (size_t i = 0; i < listener->websockets_origin_count; i++) {
        nj_free(listener->websockets_origins[i]);
    }
    nj_free(listener->websockets_origins);
    free_scope(&listener->scope);
}

void nj_settings_free(struct nj_settings *settings)
{
    if (!settings) {
        return;
    }
    char *const texts[] = {
        settings->config_file,
        settings->auto_id_prefix,
        settings->clientid_prefixes,
        settings->log_file,
        settings->log_timestamp_format,
        settings->persistence_file,
        settings->persistence_location,
        settings->pid_file,
        settings->user,
        settings->tls_keylog,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        nj_free(texts[i]);
    }
    for (size_t i = 0; i < settings->listener_count; i++) {
        free_listener(&settings->listeners[i]);
    }
    nj_free(settings->listeners);
    free_scope(&settings->scope);
    nj_free(settings);
}

const struct nj_scope_settings *nj_settings_scope(const struct nj_settings *settings,
                                                  size_t listener)
{
    return settings->per_listener ? &settings->listeners[listener].scope : &settings->scope;
}

bool nj_settings_anonymous(const struct nj_settings *settings, size_t listener)
{
    const struct nj_listener_settings *own = &settings->listeners[listener];
    if (own->allow_anonymous != NJ_UNSET) {
        return own->allow_anonymous == NJ_YES;
    }
    enum nj_tristate given = nj_settings_scope(settings, listener)->allow_anonymous;
    if (given != NJ_UNSET) {
        return given == NJ_YES;
    }
    return settings->is_local_only && settings->mode.local_anonymous;
}

void nj_mode_init(struct nj_mode_settings *mode, bool is_compat)
{
    /* One row of product.md's table each: native value, compat value. */
    *mode = (struct nj_mode_settings){
        .is_compat = is_compat,
        .local_anonymous = is_compat,
        .acl_default_allow = is_compat,
        .default_covers_sys = is_compat,
        .unverified_user_counts = is_compat,
        .leading_topics_for_all = !is_compat,
        .any_case_keywords = !is_compat,
        .checks_subscribe = !is_compat,
        .share_as_whole = is_compat,
        .capath_by_content = !is_compat,
        .rights_change = is_compat ? NJ_RIGHTS_KICK : NJ_RIGHTS_RECHECK,
        .session_owner = !is_compat,
        .will_checked_at_connect = !is_compat,
        .retain_rechecks_origin = !is_compat,
        .share_skips_denied = !is_compat,
        .default_argon2id = !is_compat,
        .persistence_default = !is_compat,
        .reload_keeps_old = !is_compat,
        .refuses_control_chars = !is_compat,
        .nofollow_credentials = false,
    };
}
