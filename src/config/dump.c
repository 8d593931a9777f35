/* The effective settings for people and for golden files. See config.h. */
#include <stdio.h>

#include "base/mem.h"
#include "config/config.h"
#include "config/config_priv.h"
#include "config/custom.h"

#define VALUE_MAX (NJ_VALUE_MAX + 1)

/* In the largest unit that divides it, so that the number is one that a file may hold. */
static void print_duration(uint64_t seconds, char *value, size_t size)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'y', 31536000}, {'m', 2592000}, {'w', 604800},
                 {'d', 86400},    {'h', 3600},    {'s', 1}};
    size_t i = 0;
    while (seconds % units[i].seconds || seconds / units[i].seconds > INT32_MAX) {
        i++;
    }
    (void)snprintf(value, size, "%llu%c", (unsigned long long)(seconds / units[i].seconds),
                   units[i].unit);
}

/* Options whose number is not what a file would say. */
static void print_special(const struct nj_option *option, const void *base, char *value,
                          size_t size)
{
    const struct nj_settings *settings = base;
    const struct nj_listener_settings *listener = base;
    if (option->parse == nj_parse_expiration && value[0]) {
        print_duration(settings->persistent_client_expiration_s, value, size);
    } else if (option->parse == nj_parse_durability &&
               settings->durability == NJ_DURABILITY_INTERVAL) {
        (void)snprintf(value, size, "interval %u", settings->durability_interval_ms);
    } else if (option->parse == nj_parse_socket_domain && value[0]) {
        (void)snprintf(value, size, "ipv%d", listener->socket_domain);
    } else if (option->parse == nj_parse_versions) {
        (void)snprintf(value, size, "%s%s%s", listener->accept_versions & 1u << 3 ? "3 " : "",
                       listener->accept_versions & 1u << 4 ? "4 " : "",
                       listener->accept_versions & 1u << 5 ? "5" : "");
    }
}

static void print_place(enum nj_option_place place, const void *base, const char *indent, FILE *out)
{
    char *value = nj_alloc(VALUE_MAX);
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        if (option->place != place || option->alias || option->kind == NJ_OPT_CUSTOM ||
            option->flags & NJ_OPTION_UNBUILT) {
            continue;
        }
        nj_option_print(option, base, value, VALUE_MAX);
        print_special(option, base, value, VALUE_MAX);
        if (value[0]) {
            (void)fprintf(out, "%s%s %s\n", indent, option->name, value);
        }
    }
    nj_free(value);
}

static void print_log(const struct nj_settings *settings, FILE *out)
{
    static const char *const types[] = {"error",       "warning",  "notice",
                                        "information", "debug",    "subscribe",
                                        "unsubscribe", "internal", "websockets"};
    const struct {
        const char *name;
        bool is_on;
    } destinations[] = {{"stderr", settings->log_stderr},
                        {"stdout", settings->log_stdout},
                        {"syslog", settings->log_syslog},
                        {"topic", settings->log_topic}};
    bool is_silent = !settings->log_file;
    for (size_t i = 0; i < sizeof(destinations) / sizeof(destinations[0]); i++) {
        if (destinations[i].is_on) {
            (void)fprintf(out, "log_dest %s\n", destinations[i].name);
            is_silent = false;
        }
    }
    if (settings->log_file) {
        (void)fprintf(out, "log_dest file %s\n", settings->log_file);
    }
    if (is_silent) {
        (void)fprintf(out, "log_dest none\n");
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (settings->log_types >> i & 1) {
            (void)fprintf(out, "log_type %s\n", types[i]);
        }
    }
}

static const char *or_none(const char *text)
{
    return text ? text : "none";
}

static void print_policy(const struct nj_settings *settings, size_t place, FILE *out)
{
    const struct nj_listener_settings *listener = &settings->listeners[place];
    const struct nj_scope_settings *scope = nj_settings_scope(settings, place);
    char where[256];
    const char *tls = !nj_settings_uses_tls(listener)      ? "no"
                      : !listener->require_certificate     ? "yes"
                      : listener->use_identity_as_username ? "certificate as name"
                      : listener->use_subject_as_username  ? "certificate subject as name"
                                                           : "certificate";
    (void)fprintf(out, "%s: anonymous %s, %spasswords %s, rights %s%s, tls %s\n",
                  nj_listener_text(listener, where, sizeof(where)),
                  nj_settings_anonymous(settings, place) ? "yes" : "no",
                  scope->dynamic_security ? "dynamic security, " : "",
                  or_none(scope->password_file),
                  scope->acl_file                    ? ""
                  : scope->dynamic_security          ? "by its roles"
                  : settings->mode.acl_default_allow ? "everything"
                                                     : "nothing",
                  scope->acl_file ? scope->acl_file : "", tls);
}

void nj_config_print_policy(const struct nj_settings *settings, FILE *out)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        print_policy(settings, i, out);
    }
}

static void print_listener(const struct nj_settings *settings, size_t place, FILE *out)
{
    const struct nj_listener_settings *listener = &settings->listeners[place];
    const char *address = listener->unix_path ? listener->unix_path : listener->host;
    (void)fprintf(out, "listener %d%s%s\n", listener->port, address ? " " : "",
                  address ? address : "");
    print_place(NJ_PLACE_LISTENER, listener, "  ", out);
    for (size_t i = 0; i < listener->websockets_origin_count; i++) {
        (void)fprintf(out, "  websockets_origin %s\n", listener->websockets_origins[i]);
    }
    for (size_t i = 0; i < listener->proxy_trusted_count; i++) {
        char range[NJ_CIDR_TEXT_MAX];
        (void)fprintf(out, "  proxy_trusted %s\n",
                      nj_cidr_text(&listener->proxy_trusted[i], range));
    }
    if (settings->per_listener) {
        print_place(NJ_PLACE_SCOPE, &listener->scope, "  ", out);
    }
}

void nj_config_print_effective(const struct nj_settings *settings, FILE *out)
{
    (void)fprintf(out, "# mode: %s\n",
                  settings->mode.is_compat ? "compat (Mosquitto 2.1.2)" : "native");
    for (size_t i = 0; settings->differences[i]; i++) {
        (void)fprintf(out, "# - %s\n", settings->differences[i]);
    }
    (void)fprintf(out, "# who gets in, and what decides about rights:\n");
    for (size_t i = 0; i < settings->listener_count; i++) {
        (void)fprintf(out, "# - ");
        print_policy(settings, i, out);
    }
    (void)fprintf(out, "\n");
    print_place(NJ_PLACE_GLOBAL, settings, "", out);
    if (!settings->per_listener) {
        print_place(NJ_PLACE_SCOPE, &settings->scope, "", out);
    }
    print_log(settings, out);
    for (size_t i = 0; i < settings->listener_count; i++) {
        (void)fprintf(out, "\n");
        print_listener(settings, i, out);
    }
}
