/* Reading the file again while the broker runs: new settings that differ from the old ones only
 * where the option table says that a running broker can follow. See config.h. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/config_priv.h"

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_socket(const struct nj_listener_settings *a,
                           const struct nj_listener_settings *b)
{
    return a->port == b->port && is_same_text(a->host, b->host) &&
           is_same_text(a->unix_path, b->unix_path);
}

static bool has_same_origins(const struct nj_listener_settings *a,
                             const struct nj_listener_settings *b)
{
    if (a->websockets_origin_count != b->websockets_origin_count) {
        return false;
    }
    for (size_t i = 0; i < a->websockets_origin_count; i++) {
        if (strcmp(a->websockets_origins[i], b->websockets_origins[i]) != 0) {
            return false;
        }
    }
    return true;
}

static void warn_kept(const char *option, const char *where)
{
    nj_log(NJ_LOG_WARNING,
           "Warning: '%s'%s%s cannot be changed while the broker runs: the old value stays until "
           "it is restarted.",
           option, where ? " of " : "", where ? where : "");
}

/* Options of a place that need a restart get their old value back. */
static void keep_old(enum nj_option_place place, void *fresh, const void *old, const char *where)
{
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        if (option->place != place || option->reload != NJ_RELOAD_RESTART ||
            nj_option_is_equal(option, fresh, old)) {
            continue;
        }
        warn_kept(option->name, where);
        nj_option_copy(option, fresh, old);
    }
}

static bool has_same_kind_of_tls(const struct nj_listener_settings *a,
                                 const struct nj_listener_settings *b)
{
    return nj_settings_uses_tls(a) == nj_settings_uses_tls(b) && !a->psk_hint == !b->psk_hint;
}

/* Clients of a listener that speaks TLS must not be spoken to in the clear, nor the other way, nor
 * be let in by a key where a certificate was wanted. */
static void keep_tls(struct nj_listener_settings *fresh, const struct nj_listener_settings *old,
                     const char *where)
{
    static const char *const names[] = {
        "cafile",
        "capath",
        "certificate_management",
        "certfile",
        "keyfile",
        "crlfile",
        "ciphers",
        "ciphers_tls1.3",
        "tls_version",
        "dhparamfile",
        "require_certificate",
        "use_identity_as_username",
        "use_subject_as_username",
        "disable_client_cert_date_checks",
        "psk_hint",
        "tls_engine",
        "tls_engine_kpass_sha1",
        "tls_keyform",
    };
    if (has_same_kind_of_tls(fresh, old)) {
        return;
    }
    warn_kept(fresh->psk_hint || old->psk_hint ? "psk_hint" : "certfile", where);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        nj_option_copy(nj_option_find(names[i]), fresh, old);
    }
}

/* A listener that goes on to speak the PROXY protocol, although the file says otherwise, goes on to
 * believe those whom it believed: an empty list may mean anybody. */
static void keep_proxy(struct nj_listener_settings *fresh, const struct nj_listener_settings *old)
{
    if (fresh->proxy_protocol != old->proxy_protocol) {
        nj_listener_settings_copy_trusted(fresh, old);
        fresh->proxy_requires_tls = old->proxy_requires_tls;
    }
}

static void merge_listener(struct nj_listener_settings *fresh,
                           const struct nj_listener_settings *old)
{
    char where[256];
    (void)nj_listener_text(old, where, sizeof(where));
    keep_proxy(fresh, old);
    keep_old(NJ_PLACE_LISTENER, fresh, old, where);
    keep_old(NJ_PLACE_SCOPE, &fresh->scope, &old->scope, where);
    keep_tls(fresh, old, where);
    if (!has_same_origins(fresh, old)) {
        warn_kept("websockets_origin", where);
        nj_listener_settings_copy_origins(fresh, old);
    }
}

/* The new listener with the old one's address; of several (bind_interface) the very same one. */
static const struct nj_listener_settings *find_match(const struct nj_settings *fresh,
                                                     const bool *is_taken,
                                                     const struct nj_listener_settings *old)
{
    const struct nj_listener_settings *match = NULL;
    for (size_t i = 0; i < fresh->listener_count; i++) {
        const struct nj_listener_settings *one = &fresh->listeners[i];
        if (is_taken[i] || !is_same_socket(one, old)) {
            continue;
        }
        if (is_same_text(one->bind_interface, old->bind_interface)) {
            return one;
        }
        match = match ? match : one;
    }
    return match;
}

static void warn_not_opened(const struct nj_listener_settings *listener)
{
    char where[256];
    nj_log(NJ_LOG_WARNING,
           "Warning: The new listener (%s) is not opened before the broker is restarted.",
           nj_listener_text(listener, where, sizeof(where)));
}

/* The old listener with what may be changed of it; `match` is NULL when it is configured no more.
 */
static void make_merged(struct nj_listener_settings *merged,
                        const struct nj_listener_settings *match,
                        const struct nj_listener_settings *old)
{
    char where[256];
    nj_listener_settings_copy(merged, match ? match : old);
    merged->port = old->port;
    if (match) {
        merge_listener(merged, old);
    } else {
        nj_log(NJ_LOG_WARNING,
               "Warning: The listener (%s) is no longer configured; it stays open with its old "
               "settings until the broker is restarted.",
               nj_listener_text(old, where, sizeof(where)));
    }
}

/* Gives `fresh` the listeners of `old`, in their order, with what may be changed of them. */
static void merge_listeners(struct nj_settings *fresh, const struct nj_settings *old)
{
    struct nj_listener_settings *merged = nj_zalloc(old->listener_count * sizeof(*merged));
    bool *is_taken = nj_zalloc(fresh->listener_count * sizeof(bool));
    /* Those of -p, or of no configured listener at all, are all like the default listener. */
    bool is_local = old->is_local_only && fresh->is_local_only;
    for (size_t i = 0; i < old->listener_count; i++) {
        const struct nj_listener_settings *match =
            is_local ? &fresh->listeners[0] : find_match(fresh, is_taken, &old->listeners[i]);
        make_merged(&merged[i], match, &old->listeners[i]);
        if (match) {
            is_taken[match - fresh->listeners] = true;
        }
    }
    for (size_t i = 0; i < fresh->listener_count; i++) {
        if (!is_taken[i]) {
            warn_not_opened(&fresh->listeners[i]);
        }
        nj_listener_settings_fini(&fresh->listeners[i]);
    }
    nj_free(fresh->listeners);
    nj_free(is_taken);
    fresh->listeners = merged;
    fresh->listener_count = old->listener_count;
    /* Decides whether anonymous clients get in: it belongs to the listeners that are open. */
    fresh->is_local_only = old->is_local_only;
}

static void merge_globals(struct nj_settings *fresh, const struct nj_settings *old)
{
    keep_old(NJ_PLACE_GLOBAL, fresh, old, NULL);
    keep_old(NJ_PLACE_SCOPE, &fresh->scope, &old->scope, NULL);
    if (fresh->durability == NJ_DURABILITY_INTERVAL &&
        fresh->durability_interval_ms != old->durability_interval_ms) {
        warn_kept("durability interval", NULL);
    }
    fresh->durability_interval_ms = old->durability_interval_ms;
    fresh->persistence_is_set = old->persistence_is_set;
    int mode = nj_config_compat_line(old->config_file);
    if (!old->compat_is_forced && mode >= 0 && (mode == 1) != old->mode.is_compat) {
        warn_kept("compat", NULL);
    }
}

static struct nj_settings *start_from(const struct nj_settings *old)
{
    struct nj_settings *fresh = nj_settings_new(old->mode.is_compat);
    fresh->compat_is_forced = old->compat_is_forced;
    fresh->is_daemon = old->is_daemon;
    fresh->is_quiet = old->is_quiet;
    fresh->is_verbose = old->is_verbose;
    nj_set_text(&fresh->config_file, old->config_file);
    nj_set_text(&fresh->tls_keylog, old->tls_keylog);
    return fresh;
}

enum nj_err nj_config_reload_explained(const struct nj_settings *old, struct nj_settings **out,
                                       char *error)
{
    struct nj_settings *fresh = start_from(old);
    enum nj_err err = nj_config_parse(fresh, error);
    if (err == NJ_OK && fresh->per_listener != old->per_listener) {
        /* Every other security option was read under the new meaning: none can be used. */
        (void)snprintf(error, NJ_CONFIG_ERROR_MAX,
                       "Error: per_listener_settings cannot be changed while the broker runs.");
        nj_log(NJ_LOG_ERROR, "%s", error);
        err = NJ_EINVAL;
    }
    if (err != NJ_OK) {
        nj_settings_free(fresh);
        return err;
    }
    merge_listeners(fresh, old);
    merge_globals(fresh, old);
    nj_config_apply(fresh);
    *out = fresh;
    return NJ_OK;
}

enum nj_err nj_config_reload(const struct nj_settings *old, struct nj_settings **out)
{
    char error[NJ_CONFIG_ERROR_MAX];
    return nj_config_reload_explained(old, out, error);
}
