/* Plugin lines. Mosquitto's own plugins are known by their file name: what is built in is turned
 * on, what is not ends the start. See custom.h. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/custom.h"

static const struct {
    const char *file;
    enum nj_plugin_kind kind;
    const char *what;
} modules[] = {
    {"mosquitto_acl_file.so", NJ_PLUGIN_ACL_FILE, NULL},
    {"mosquitto_password_file.so", NJ_PLUGIN_PASSWORD_FILE, NULL},
    {"mosquitto_dynamic_security.so", NJ_PLUGIN_DYNSEC, NULL},
    {"cedalo_ha.so", NJ_PLUGIN_HA, NULL},
    {"cedalo_certificate_management.so", NJ_PLUGIN_CERTIFICATES, NULL},
    {"mosquitto_persist_sqlite.so", NJ_PLUGIN_STORE, NULL},
    {"mosquitto_sparkplug_aware.so", NJ_PLUGIN_OTHER, "Sparkplug awareness"},
};

#define MODULE_COUNT (sizeof(modules) / sizeof(modules[0]))

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool names_a_module(const char *name)
{
    size_t len = strlen(name);
    return len > 3 && strcmp(name + len - 3, ".so") == 0;
}

enum nj_err nj_parser_plugin_done(struct nj_parser *parser)
{
    enum nj_plugin_kind kind = parser->context.plugin;
    bool is_complete = parser->context.plugin_is_complete;
    static const struct {
        const char *plugin;
        const char *option;
    } needs[] = {
        [NJ_PLUGIN_ACL_FILE] = {"mosquitto_acl_file.so", "plugin_opt_acl_file"},
        [NJ_PLUGIN_PASSWORD_FILE] = {"mosquitto_password_file.so", "plugin_opt_password_file"},
        [NJ_PLUGIN_DYNSEC] = {"mosquitto_dynamic_security.so", "plugin_opt_config_file"},
        [NJ_PLUGIN_OTHER] = {NULL, NULL},
    };
    parser->context.plugin = NJ_PLUGIN_NONE;
    if (is_complete || !needs[kind].plugin) {
        return NJ_OK;
    }
    /* A module that was meant to close the broker and has no file must not leave it open. */
    return nj_parser_fail(parser, "Error: The plugin %s needs the option '%s'.", needs[kind].plugin,
                          needs[kind].option);
}

static enum nj_err no_file(struct nj_parser *parser, const struct nj_option *option,
                           const char *path)
{
    return nj_parser_fail(parser,
                          "Error: Invalid '%s' value (%.200s): it names no plugin file. It can "
                          "mean mosquitto_dynamic_security.so (clients, groups and roles), "
                          "cedalo_ha.so (the same with high availability) or "
                          "cedalo_certificate_management.so (CA certificates).",
                          option->name, path);
}

static enum nj_plugin_kind find_module(struct nj_parser *parser, const char *option,
                                       const char *path)
{
    char why[256];
    const char *name = file_name(path);
    for (size_t i = 0; i < MODULE_COUNT; i++) {
        if (strcmp(modules[i].file, name) != 0) {
            continue;
        }
        if (modules[i].what) {
            (void)snprintf(why, sizeof(why), "%s (%s) is not built yet", name, modules[i].what);
            nj_parser_refuse(parser, option, why);
        }
        return modules[i].kind;
    }
    (void)snprintf(why, sizeof(why), "foreign plugins (%.150s) cannot be loaded yet", name);
    nj_parser_refuse(parser, option, why);
    return NJ_PLUGIN_OTHER;
}

/* High availability keeps dynamic security where everything else is kept. */
static enum nj_err use_persistence_location(struct nj_parser *parser, bool is_global)
{
    int listener = parser->context.listener;
    parser->context.listener = is_global ? -1 : listener;
    enum nj_err err = nj_parser_mark_seen(parser, nj_option_find("dynamic_security"));
    if (err == NJ_OK) {
        nj_set_text(&nj_parser_scope(parser)->dynamic_security, "");
    }
    parser->context.listener = listener;
    return err;
}

/* Below a listener it is that listener's; before any, it is all of them's (finish.c). */
static void manage_certificates(struct nj_parser *parser, bool is_global)
{
    int listener = parser->context.listener;
    if (is_global || listener < 0) {
        parser->settings->certificate_management = true;
    } else {
        parser->settings->listeners[listener].certificate_management = true;
    }
}

NJ_CUSTOM_PARSER(nj_parse_plugin)
{
    bool is_global = strcmp(option->name, "global_plugin") == 0;
    enum nj_err err = nj_parser_plugin_done(parser);
    if (err != NJ_OK) {
        return err;
    }
    if (parser->settings->per_listener && !is_global && parser->context.listener < 0) {
        return nj_parser_fail(parser,
                              "Error: The '%s' option requires a listener to be defined first.",
                              option->name);
    }
    if (!names_a_module(file_name(value))) {
        return no_file(parser, option, value);
    }
    parser->seen[nj_option_find("plugin") - nj_options] = true;
    parser->context.plugin = find_module(parser, option->name, value);
    parser->context.plugin_is_global = is_global;
    parser->context.plugin_is_complete = false;
    if (parser->context.plugin == NJ_PLUGIN_STORE) {
        parser->settings->persistence_by_plugin = true;
    } else if (parser->context.plugin == NJ_PLUGIN_CERTIFICATES) {
        manage_certificates(parser, is_global);
    } else if (parser->context.plugin == NJ_PLUGIN_HA) {
        return use_persistence_location(parser, is_global);
    }
    return NJ_OK;
}

/* The option that the module's option stands for: both together are a duplicate. */
static enum nj_err take_file(struct nj_parser *parser, const char *key, const char *value)
{
    const struct nj_option *option = nj_option_find(key);
    int listener = parser->context.listener;
    if (parser->context.plugin_is_global) {
        parser->context.listener = -1;
    }
    struct nj_scope_settings *scope = nj_parser_scope(parser);
    char *const *given = (char *const *)(void *)((char *)scope + option->offset);
    enum nj_err err = NJ_OK;
    if (*given) {
        err = nj_parser_fail(parser, "Error: Duplicate '%s' value in configuration.", key);
    } else if (scope != &parser->settings->scope || !parser->settings->per_listener) {
        err = nj_parser_mark_seen(parser, option);
    }
    if (err == NJ_OK) {
        err = nj_option_set(parser, option, scope, value);
        parser->context.plugin_is_complete = true;
    }
    parser->context.listener = listener;
    return err;
}

/* How the module writes its file is its own affair: the store is always current, and its place is
 * persistence_location, or else where the module's file would be. */
static enum nj_err take_store_option(struct nj_parser *parser, const char *key, const char *name,
                                     char *value)
{
    static const char *const moot[] = {"sync", "flush_period", "page_size"};
    for (size_t i = 0; i < sizeof(moot) / sizeof(moot[0]); i++) {
        if (strcmp(name, moot[i]) == 0) {
            return NJ_OK;
        }
    }
    if (strcmp(name, "db_file") != 0) {
        return nj_parser_fail(parser, "Error: Unknown configuration variable '%.200s'.", key);
    }
    char *slash = strrchr(value, '/');
    if (slash && !parser->settings->persistence_location) {
        slash[1] = '\0';
        nj_set_text(&parser->settings->persistence_location, value);
    }
    return NJ_OK;
}

enum nj_err nj_parse_plugin_pair(struct nj_parser *parser, const char *key, char *value)
{
    const char *name = key + (key[0] == 'p' ? strlen("plugin_opt_") : strlen("auth_opt_"));
    enum nj_plugin_kind kind = parser->context.plugin;
    if (kind == NJ_PLUGIN_NONE) {
        return nj_parser_fail(parser,
                              "Error: The '%.200s' option requires plugin/global_plugin/"
                              "plugin_load to be defined first.",
                              key);
    }
    if (strlen(name) < 3) {
        return nj_parser_fail(parser, "Error: Invalid 'plugin_opt_' config option.");
    }
    if (!*value) {
        return nj_parser_empty(parser, name);
    }
    if (kind == NJ_PLUGIN_ACL_FILE && strcmp(name, "acl_file") == 0) {
        return take_file(parser, "acl_file", value);
    }
    if (kind == NJ_PLUGIN_PASSWORD_FILE && strcmp(name, "password_file") == 0) {
        return take_file(parser, "password_file", value);
    }
    if (kind == NJ_PLUGIN_DYNSEC && strcmp(name, "config_file") == 0) {
        return take_file(parser, "dynamic_security", value);
    }
    if (kind == NJ_PLUGIN_DYNSEC && strcmp(name, "password_init_file") == 0) {
        bool is_complete = parser->context.plugin_is_complete;
        enum nj_err err = take_file(parser, "dynamic_security_password_file", value);
        parser->context.plugin_is_complete = is_complete;
        return err;
    }
    if (kind == NJ_PLUGIN_STORE) {
        return take_store_option(parser, key, name, value);
    }
    return kind == NJ_PLUGIN_OTHER
               ? NJ_OK
               : nj_parser_fail(parser, "Error: Unknown configuration variable '%.200s'.", key);
}

/* Complete by its two table rows; every `plugin_opt_…` goes through nj_parse_plugin_pair. */
NJ_CUSTOM_PARSER(nj_parse_plugin_option)
{
    return nj_parse_plugin_pair(parser, option->name, value);
}

static bool is_loaded(const struct nj_parser *parser, const char *name)
{
    for (size_t i = 0; i < parser->plugin_name_count; i++) {
        if (strcmp(parser->plugin_names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

NJ_CUSTOM_PARSER(nj_parse_plugin_load)
{
    char *rest = value;
    const char *name = nj_next_token(&rest);
    (void)option;
    if (is_loaded(parser, name)) {
        return nj_parser_fail(parser, "Error: Duplicate plugin name '%.200s'.", name);
    }
    if (!*rest) {
        return nj_parser_fail(parser, "Error: Missing plugin path for plugin name '%.200s'.", name);
    }
    enum nj_err err = nj_parser_plugin_done(parser);
    if (err != NJ_OK) {
        return err;
    }
    parser->plugin_names =
        nj_realloc(parser->plugin_names, (parser->plugin_name_count + 1) * sizeof(char *));
    parser->plugin_names[parser->plugin_name_count++] = nj_strdup(name);
    parser->context.plugin = NJ_PLUGIN_OTHER;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_plugin_use)
{
    (void)option;
    return is_loaded(parser, value)
               ? NJ_OK
               : nj_parser_fail(parser, "Error: Plugin '%.200s' not previously loaded.", value);
}

NJ_CUSTOM_PARSER(nj_parse_deny_special_chars)
{
    if (parser->context.plugin == NJ_PLUGIN_NONE) {
        return nj_parser_fail(parser,
                              "Error: An auth_plugin_deny_special_chars option exists in the "
                              "config file without a plugin.");
    }
    return nj_parse_bool(value) < 0 ? nj_parser_invalid(parser, option, value) : NJ_OK;
}
