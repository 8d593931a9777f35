/* What can only be checked when all files were read. In the original's order: bridges, then
 * listeners; what is not built comes last, so that real mistakes are told first. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/config_priv.h"

#define HOST_MAX 256

static enum nj_err check_bridge(struct nj_parser *parser, const struct nj_bridge_settings *bridge)
{
    static const char start[] = "Error: Invalid bridge configuration:";
    if (bridge->address_count == 0) {
        return nj_parser_fail(parser, "%s no remote addresses defined.", start);
    }
    if (bridge->topic_count == 0) {
        return nj_parser_fail(parser, "%s no topics defined.", start);
    }
    if (bridge->psk && !bridge->identity) {
        return nj_parser_fail(parser, "%s missing bridge_identity.", start);
    }
    if (bridge->identity && !bridge->psk) {
        return nj_parser_fail(parser, "%s missing bridge_psk.", start);
    }
    return NJ_OK;
}

/* Unset ids are the host's name and the bridge's, so they differ unless somebody set them. */
static void local_id(const struct nj_bridge_settings *bridge, const char *host, char *out,
                     size_t size)
{
    if (bridge->local_clientid) {
        (void)snprintf(out, size, "%s", bridge->local_clientid);
    } else if (bridge->remote_clientid) {
        (void)snprintf(out, size, "local.%s", bridge->remote_clientid);
    } else {
        (void)snprintf(out, size, "local.%s.%s", host, bridge->name);
    }
}

static enum nj_err check_bridge_ids(struct nj_parser *parser, size_t place)
{
    const struct nj_settings *settings = parser->settings;
    char host[HOST_MAX] = "";
    char mine[1024];
    char other[1024];
    (void)gethostname(host, sizeof(host) - 1);
    local_id(&settings->bridges[place], host, mine, sizeof(mine));
    for (size_t i = 0; i < place; i++) {
        local_id(&settings->bridges[i], host, other, sizeof(other));
        if (strcmp(mine, other) == 0) {
            return nj_parser_fail(parser,
                                  "Error: Bridge local_clientid '%.200s' is not unique. Try "
                                  "changing or setting the local_clientid value for one of the "
                                  "bridges.",
                                  mine);
        }
    }
    return NJ_OK;
}

static enum nj_err check_bridges(struct nj_parser *parser)
{
    const struct nj_settings *settings = parser->settings;
    enum nj_err err = NJ_OK;
    for (size_t i = 0; i < settings->bridge_count && err == NJ_OK; i++) {
        err = check_bridge(parser, &settings->bridges[i]);
    }
    for (size_t i = 0; i < settings->bridge_count && err == NJ_OK; i++) {
        err = check_bridge_ids(parser, i);
    }
    return err;
}

static enum nj_err check_tls(struct nj_parser *parser, const struct nj_listener_settings *listener)
{
    bool has_certificate = listener->certfile != NULL;
    char text[256];
    if (has_certificate != (listener->keyfile != NULL)) {
        return nj_parser_fail(parser, "Error: Both certfile and keyfile must be provided to enable "
                                      "a TLS listener.");
    }
    if (listener->cafile && !has_certificate) {
        return nj_parser_fail(parser, "Error: cafile specified without certfile and keyfile.");
    }
    if (listener->capath && !has_certificate) {
        return nj_parser_fail(parser, "Error: capath specified without certfile and keyfile.");
    }
    (void)nj_listener_text(listener, text, sizeof(text));
    if (listener->tls_keyform == 1 && !listener->tls_engine) {
        return nj_parser_fail(parser, "Error: `tls_keyform engine` needs tls_engine (%s).", text);
    }
    /* Both would leave a listener open to everybody that was meant to ask for certificates. The
     * proxy verifies them for a listener without TLS of its own. */
    bool is_proxys = listener->proxy_protocol == 2 && !has_certificate;
    if (listener->require_certificate && !has_certificate && !is_proxys) {
        return nj_parser_fail(parser, "Error: require_certificate needs certfile and keyfile (%s).",
                              text);
    }
    if (listener->require_certificate && !listener->cafile && !listener->capath && !is_proxys) {
        return nj_parser_fail(parser, "Error: require_certificate needs cafile or capath (%s).",
                              text);
    }
    bool uses_certificate = listener->use_identity_as_username || listener->use_subject_as_username;
    if (uses_certificate && !listener->require_certificate && !listener->psk_hint) {
        nj_log(NJ_LOG_WARNING,
               "Warning: use_identity_as_username and use_subject_as_username need "
               "require_certificate: nobody can log in on %s.",
               text);
    }
    return NJ_OK;
}

static enum nj_err check_proxy(struct nj_parser *parser,
                               const struct nj_listener_settings *listener)
{
    bool excludes_tls = !parser->settings->mode.proxy_v2_before_tls;
    char text[256];
    if (listener->proxy_trusted_count && !listener->proxy_protocol) {
        nj_log(NJ_LOG_WARNING,
               "Warning: proxy_trusted has no effect on %s without "
               "enable_proxy_protocol.",
               nj_listener_text(listener, text, sizeof(text)));
    }
    if (listener->proxy_requires_tls && listener->proxy_protocol != 2) {
        static const char wording[] =
            "proxy_protocol_v2_require_tls needs `enable_proxy_protocol 2`";
        if (parser->settings->mode.proxy_needs_trusted) {
            return nj_parser_fail(parser, "Error: %s (%s).", wording,
                                  nj_listener_text(listener, text, sizeof(text)));
        }
        nj_log(NJ_LOG_WARNING, "Warning: %s.", wording);
    }
    if (listener->proxy_protocol && !listener->proxy_trusted_count && !listener->unix_path &&
        parser->settings->mode.proxy_needs_trusted) {
        return nj_parser_fail(parser,
                              "Error: enable_proxy_protocol needs proxy_trusted, the addresses of "
                              "the proxies: everybody else could say that he comes from anywhere "
                              "(%s).",
                              nj_listener_text(listener, text, sizeof(text)));
    }
    if (listener->proxy_protocol != 2) {
        return NJ_OK;
    }
    if (listener->use_subject_as_username && (excludes_tls || !listener->certfile)) {
        return nj_parser_fail(parser, "Error: use_subject_as_username cannot be used with "
                                      "`enable_proxy_protocol 2`.");
    }
    if (excludes_tls && (listener->certfile || listener->keyfile)) {
        return nj_parser_fail(parser, "Error: certfile and keyfile cannot be used with "
                                      "`enable_proxy_protocol 2`.");
    }
    return NJ_OK;
}

/* What an http_api listener cannot do is refused rather than left out. */
static enum nj_err check_http(struct nj_parser *parser, const struct nj_listener_settings *listener)
{
    char text[256];
    (void)nj_listener_text(listener, text, sizeof(text));
    if (listener->protocol != NJ_PROTOCOL_HTTP_API) {
        return listener->http_dir
                   ? nj_parser_fail(parser,
                                    "Error: http_dir is available with `protocol http_api` only "
                                    "(%s).",
                                    text)
                   : NJ_OK;
    }
    const char *option = listener->require_certificate ? "require_certificate"
                         : listener->psk_hint          ? "psk_hint"
                         : listener->proxy_protocol    ? "enable_proxy_protocol"
                         : listener->tls_keyform       ? "tls_keyform engine"
                         : listener->ciphers           ? "ciphers"
                         : listener->ciphers_tls13     ? "ciphers_tls1.3"
                                                       : NULL;
    if (option) {
        return nj_parser_fail(parser, "Error: %s cannot be used with `protocol http_api` (%s).",
                              option, text);
    }
    return NJ_OK;
}

static enum nj_err check_listener(struct nj_parser *parser, size_t place)
{
    const struct nj_settings *settings = parser->settings;
    const struct nj_listener_settings *listener = &settings->listeners[place];
    char text[256];
    for (size_t i = 0; i < place; i++) {
        if (nj_listener_is_same_address(&settings->listeners[i], listener)) {
            return nj_parser_fail(parser, "Error: Two listeners have the same address (%s).",
                                  nj_listener_text(listener, text, sizeof(text)));
        }
    }
    if (listener->psk_hint && (listener->certfile || listener->cafile)) {
        return nj_parser_fail(parser, "Error: Cannot use both certificate and psk encryption in a "
                                      "single listener.");
    }
    if (listener->psk_hint && !nj_settings_scope(settings, place)->psk_file) {
        return nj_parser_fail(parser, "Error: psk_hint needs a psk_file (%s).",
                              nj_listener_text(listener, text, sizeof(text)));
    }
    if (listener->websockets_origin_count && listener->protocol != NJ_PROTOCOL_WEBSOCKETS) {
        nj_log(NJ_LOG_WARNING,
               "Warning: websockets_origin has no effect on %s, which does not "
               "speak WebSocket.",
               nj_listener_text(listener, text, sizeof(text)));
    }
    enum nj_err err = check_proxy(parser, listener);
    if (err == NJ_OK) {
        err = check_http(parser, listener);
    }
    return err == NJ_OK ? check_tls(parser, listener) : err;
}

/* global_plugin counts on every listener, whatever per_listener_settings says. */
static enum nj_err spread(struct nj_parser *parser, const char *from, char **to, const char *name)
{
    if (!from) {
        return NJ_OK;
    }
    if (*to) {
        return nj_parser_fail(parser,
                              "Error: '%s' is given by a global_plugin and by a listener; only one "
                              "of them can be used.",
                              name);
    }
    nj_set_text(to, from);
    return NJ_OK;
}

static enum nj_err spread_global_plugin(struct nj_parser *parser)
{
    struct nj_settings *settings = parser->settings;
    enum nj_err err = NJ_OK;
    if (!settings->per_listener) {
        return NJ_OK;
    }
    for (size_t i = 0; i < settings->listener_count && err == NJ_OK; i++) {
        struct nj_scope_settings *scope = &settings->listeners[i].scope;
        err = spread(parser, settings->scope.acl_file, &scope->acl_file, "acl_file");
        if (err == NJ_OK) {
            err = spread(parser, settings->scope.password_file, &scope->password_file,
                         "password_file");
        }
        if (err == NJ_OK) {
            err = spread(parser, settings->scope.dynamic_security, &scope->dynamic_security,
                         "dynamic_security");
        }
        if (err == NJ_OK) {
            err = spread(parser, settings->scope.dynamic_security_password_file,
                         &scope->dynamic_security_password_file, "dynamic_security_password_file");
        }
    }
    return err;
}

/* One module for the broker: every scope that has one has the same. */
static enum nj_err check_dynamic_security(struct nj_parser *parser)
{
    const struct nj_settings *settings = parser->settings;
    const char *first = NULL;
    for (size_t i = 0; i < settings->listener_count; i++) {
        const char *path = nj_settings_scope(settings, i)->dynamic_security;
        if (path && first && strcmp(path, first) != 0) {
            return nj_parser_fail(parser, "Error: All 'dynamic_security' lines have to name the "
                                          "same file.");
        }
        first = path ? path : first;
    }
    return NJ_OK;
}

/* Without a `listener`, `port` or `bind_address` line only this machine can connect. */
static void complete_listeners(struct nj_parser *parser)
{
    struct nj_settings *settings = parser->settings;
    settings->is_local_only = !parser->is_public;
    if (settings->is_local_only) {
        nj_parser_use_default_listener(parser);
        nj_set_text(&settings->listeners[parser->default_listener].host, "localhost");
    }
}

/* A plugin line for all listeners means those whose CA certificates are in a directory. */
static enum nj_err check_certificate_management(struct nj_parser *parser)
{
    struct nj_settings *settings = parser->settings;
    for (size_t i = 0; i < settings->listener_count; i++) {
        struct nj_listener_settings *listener = &settings->listeners[i];
        if (listener->certificate_management && !listener->capath) {
            char text[256];
            return nj_parser_fail(parser, "Error: certificate_management needs a capath (%s).",
                                  nj_listener_text(listener, text, sizeof(text)));
        }
        listener->certificate_management |=
            settings->certificate_management && listener->capath != NULL;
    }
    return NJ_OK;
}

static void fill_global_scope(struct nj_settings *settings)
{
    settings->allow_zero_length_clientid = settings->scope.allow_zero_length_clientid != NJ_NO;
    nj_set_text(&settings->auto_id_prefix, settings->scope.auto_id_prefix);
}

static enum nj_err tell_refusal(struct nj_parser *parser)
{
    if (parser->settings->bridge_count) {
        (void)snprintf(parser->error, sizeof(parser->error),
                       "Error: The 'connection' option is not available in this version of "
                       "nightjar: bridges (here: %.200s) are not built yet.",
                       parser->settings->bridges[0].name);
        nj_log(NJ_LOG_ERROR, "%s", parser->error);
        return NJ_EINVAL;
    }
    return parser->refusal.text ? nj_parser_fail_deferred(parser, &parser->refusal) : NJ_OK;
}

/* The original opens port 1883 to everybody, beside the listeners that were asked for, because of a
 * line in the wrong place; here nothing is open that nobody opened. */
static enum nj_err check_default_listener(struct nj_parser *parser)
{
    return parser->is_public && parser->misplaced.text && !parser->default_is_asked_for
               ? nj_parser_fail_deferred(parser, &parser->misplaced)
               : NJ_OK;
}

enum nj_err nj_parser_finish(struct nj_parser *parser)
{
    enum nj_err err = check_bridges(parser);
    complete_listeners(parser);
    if (err == NJ_OK) {
        err = check_default_listener(parser);
    }
    for (size_t i = 0; i < parser->settings->listener_count && err == NJ_OK; i++) {
        err = check_listener(parser, i);
    }
    if (err == NJ_OK) {
        err = spread_global_plugin(parser);
    }
    if (err == NJ_OK) {
        err = check_certificate_management(parser);
    }
    if (err == NJ_OK) {
        err = check_dynamic_security(parser);
    }
    if (err == NJ_OK) {
        err = tell_refusal(parser);
    }
    if (parser->settings->persistence_by_plugin) {
        parser->settings->persistence = true;
    }
    fill_global_scope(parser->settings);
    return err;
}
