/* Making and freeing settings, and what holds on a listener. */
#include "config/settings.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"

struct nj_settings *nj_settings_new(bool is_compat)
{
    struct nj_settings *settings = nj_zalloc(sizeof(*settings));
    nj_options_init(NJ_PLACE_GLOBAL, settings);
    nj_mode_init(&settings->mode, is_compat);
    settings->persistence = settings->mode.persistence_default;
    settings->log_facility = -1;
    settings->rights_change = -1;
    return settings;
}

struct nj_listener_settings *nj_settings_add_listener(struct nj_settings *settings)
{
    size_t count = settings->listener_count;
    settings->listeners =
        nj_realloc(settings->listeners, (count + 1) * sizeof(*settings->listeners));
    struct nj_listener_settings *listener = &settings->listeners[count];
    memset(listener, 0, sizeof(*listener));
    nj_options_init(NJ_PLACE_LISTENER, listener);
    listener->accept_versions = 1u << 3 | 1u << 4 | 1u << 5;
    settings->listener_count++;
    return listener;
}

struct nj_bridge_settings *nj_settings_add_bridge(struct nj_settings *settings)
{
    size_t count = settings->bridge_count;
    settings->bridges = nj_realloc(settings->bridges, (count + 1) * sizeof(*settings->bridges));
    struct nj_bridge_settings *bridge = &settings->bridges[count];
    memset(bridge, 0, sizeof(*bridge));
    nj_options_init(NJ_PLACE_BRIDGE, bridge);
    bridge->restart_base_s = 5;
    bridge->restart_cap_s = 30;
    bridge->tcp_user_timeout_ms = -1;
    settings->bridge_count++;
    return bridge;
}

void nj_listener_settings_fini(struct nj_listener_settings *listener)
{
    nj_options_fini(NJ_PLACE_LISTENER, listener);
    nj_options_fini(NJ_PLACE_SCOPE, &listener->scope);
    nj_set_text(&listener->host, NULL);
    nj_set_text(&listener->unix_path, NULL);
    for (size_t i = 0; i < listener->websockets_origin_count; i++) {
        nj_free(listener->websockets_origins[i]);
    }
    nj_free(listener->websockets_origins);
    listener->websockets_origins = NULL;
    listener->websockets_origin_count = 0;
    nj_free(listener->proxy_trusted);
    listener->proxy_trusted = NULL;
    listener->proxy_trusted_count = 0;
}

static void copy_scope(struct nj_scope_settings *to, const struct nj_scope_settings *from)
{
    for (size_t i = 0; i < nj_option_count; i++) {
        if (nj_options[i].place == NJ_PLACE_SCOPE) {
            nj_option_copy(&nj_options[i], to, from);
        }
    }
}

void nj_listener_settings_copy_origins(struct nj_listener_settings *to,
                                       const struct nj_listener_settings *from)
{
    for (size_t i = 0; i < to->websockets_origin_count; i++) {
        nj_free(to->websockets_origins[i]);
    }
    nj_free(to->websockets_origins);
    to->websockets_origins = NULL;
    to->websockets_origin_count = from->websockets_origin_count;
    if (from->websockets_origin_count) {
        to->websockets_origins = nj_alloc(from->websockets_origin_count * sizeof(char *));
    }
    for (size_t i = 0; i < from->websockets_origin_count; i++) {
        to->websockets_origins[i] = nj_strdup(from->websockets_origins[i]);
    }
}

void nj_listener_settings_copy_trusted(struct nj_listener_settings *to,
                                       const struct nj_listener_settings *from)
{
    size_t size = from->proxy_trusted_count * sizeof(*from->proxy_trusted);
    nj_free(to->proxy_trusted);
    to->proxy_trusted = NULL;
    to->proxy_trusted_count = from->proxy_trusted_count;
    if (size) {
        to->proxy_trusted = nj_alloc(size);
        memcpy(to->proxy_trusted, from->proxy_trusted, size);
    }
}

void nj_listener_settings_copy(struct nj_listener_settings *to,
                               const struct nj_listener_settings *from)
{
    for (size_t i = 0; i < nj_option_count; i++) {
        if (nj_options[i].place == NJ_PLACE_LISTENER) {
            nj_option_copy(&nj_options[i], to, from);
        }
    }
    to->port = from->port;
    nj_set_text(&to->host, from->host);
    nj_set_text(&to->unix_path, from->unix_path);
    copy_scope(&to->scope, &from->scope);
    nj_listener_settings_copy_origins(to, from);
    nj_listener_settings_copy_trusted(to, from);
}

void nj_bridge_settings_fini(struct nj_bridge_settings *bridge)
{
    nj_options_fini(NJ_PLACE_BRIDGE, bridge);
    nj_free(bridge->name);
    for (size_t i = 0; i < bridge->address_count; i++) {
        nj_free(bridge->addresses[i].host);
    }
    nj_free(bridge->addresses);
    for (size_t i = 0; i < bridge->topic_count; i++) {
        nj_free(bridge->topics[i].pattern);
        nj_free(bridge->topics[i].local_prefix);
        nj_free(bridge->topics[i].remote_prefix);
    }
    nj_free(bridge->topics);
}

void nj_settings_free(struct nj_settings *settings)
{
    if (!settings) {
        return;
    }
    nj_options_fini(NJ_PLACE_GLOBAL, settings);
    nj_options_fini(NJ_PLACE_SCOPE, &settings->scope);
    nj_free(settings->config_file);
    nj_free(settings->tls_keylog);
    nj_free(settings->log_file);
    nj_free(settings->auto_id_prefix);
    for (size_t i = 0; i < settings->listener_count; i++) {
        nj_listener_settings_fini(&settings->listeners[i]);
    }
    nj_free(settings->listeners);
    for (size_t i = 0; i < settings->bridge_count; i++) {
        nj_bridge_settings_fini(&settings->bridges[i]);
    }
    nj_free(settings->bridges);
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

bool nj_settings_zero_length_clientid(const struct nj_settings *settings, size_t listener)
{
    return nj_settings_scope(settings, listener)->allow_zero_length_clientid != NJ_NO;
}

const char *nj_settings_auto_id_prefix(const struct nj_settings *settings, size_t listener)
{
    const char *own = settings->listeners[listener].auto_id_prefix;
    const char *scope = nj_settings_scope(settings, listener)->auto_id_prefix;
    return own ? own : scope ? scope : "auto-";
}

const char *nj_settings_response_information(const struct nj_settings *settings)
{
    if (!settings->mode.sends_response_info) {
        return NULL;
    }
    return settings->response_information ? settings->response_information : "response/%c";
}

bool nj_settings_uses_tls(const struct nj_listener_settings *listener)
{
    return (listener->certfile && listener->keyfile) || listener->psk_hint;
}

static bool is_same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool nj_listener_is_same_address(const struct nj_listener_settings *a,
                                 const struct nj_listener_settings *b)
{
    return a->port == b->port && is_same_text(a->unix_path, b->unix_path) &&
           is_same_text(a->host, b->host) && is_same_text(a->bind_interface, b->bind_interface);
}

const char *nj_listener_text(const struct nj_listener_settings *listener, char *out, size_t size)
{
    if (listener->unix_path) {
        (void)snprintf(out, size, "unix socket %s", listener->unix_path);
    } else {
        (void)snprintf(out, size, "port %d of %s", listener->port,
                       listener->host ? listener->host : "every address");
    }
    return out;
}
