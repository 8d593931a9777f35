/* Global options with parsers of their own. See custom.h. */
#include "config/custom.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/mem.h"

static enum nj_err invalid(struct nj_parser *parser, const struct nj_option *option,
                           const char *value)
{
    return nj_parser_fail(parser, "Error: Invalid '%s' value (%s).", option->name, value);
}

static void set_text(char **field, const char *value)
{
    nj_free(*field);
    *field = nj_strdup(value);
}

static int parse_bool(const char *value)
{
    if (strcmp(value, "true") == 0 || strcmp(value, "1") == 0) {
        return 1;
    }
    return strcmp(value, "false") == 0 || strcmp(value, "0") == 0 ? 0 : -1;
}

/* Place of `value` in a NULL-terminated list, or -1. */
static int choice(const char *value, const char *const *list)
{
    for (int i = 0; list[i]; i++) {
        if (strcmp(value, list[i]) == 0) {
            return i;
        }
    }
    return -1;
}

NJ_CUSTOM_PARSER(nj_parse_per_listener)
{
    int on = parse_bool(value);
    const struct nj_scope_settings *scope = &parser->settings->scope;
    if (on < 0) {
        return invalid(parser, option, value);
    }
    if (on && (parser->listener || scope->acl_file || scope->password_file ||
               scope->allow_anonymous != NJ_UNSET)) {
        return nj_parser_fail(parser, "Error: per_listener_settings must be set before any other "
                                      "security settings.");
    }
    parser->settings->per_listener = on == 1;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_acl_default)
{
    static const char *const words[] = {"deny", "allow", NULL};
    int at = choice(value, words);
    if (at < 0) {
        return invalid(parser, option, value);
    }
    parser->settings->acl_default = at ? NJ_YES : NJ_NO;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_rights_change)
{
    static const char *const words[] = {"recheck", "kick", "strict", NULL};
    int at = choice(value, words);
    if (at < 0) {
        return invalid(parser, option, value);
    }
    parser->settings->rights_change = at;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_session_owner)
{
    static const char *const words[] = {"none", "user", NULL};
    int at = choice(value, words);
    if (at < 0) {
        return invalid(parser, option, value);
    }
    parser->settings->session_owner = at ? NJ_YES : NJ_NO;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_compat)
{
    static const char *const words[] = {"none", "mosquitto", NULL};
    /* The word was looked for before everything else (mode.c); here it is only checked. */
    return choice(value, words) < 0 ? invalid(parser, option, value) : NJ_OK;
}

/* ---- plugins */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

NJ_CUSTOM_PARSER(nj_parse_plugin)
{
    static const char *const unbuilt[] = {
        "mosquitto_dynamic_security.so",    "cedalo_ha.so",
        "cedalo_certificate_management.so", "mosquitto_persist_sqlite.so",
        "mosquitto_sparkplug_aware.so",     NULL};
    const char *name = base_name(value);
    parser->in_plugin = true;
    parser->in_bridge = false;
    if (*name == '\0') {
        return nj_parser_fail(
            parser,
            "Error: The '%s' path '%s' names no file. It can mean "
            "mosquitto_dynamic_security.so (clients, groups and roles), cedalo_ha.so (the same, "
            "with high availability) or cedalo_certificate_management.so (CA certificates).",
            option->name, value);
    }
    if (strcmp(name, "mosquitto_acl_file.so") == 0 ||
        strcmp(name, "mosquitto_password_file.so") == 0) {
        parser->plugin = strcmp(name, "mosquitto_acl_file.so") == 0 ? "acl" : "password";
        return NJ_OK;
    }
    if (choice(name, unbuilt) >= 0) {
        return nj_parser_fail(parser,
                              "Error: The '%s' module %s is not available in this version of "
                              "nightjar.",
                              option->name, name);
    }
    return nj_parser_fail(parser,
                          "Error: Unable to load plugin %s: the '%s' option cannot load foreign "
                          "modules in this version of nightjar.",
                          value, option->name);
}

static struct nj_scope_settings *current_scope(struct nj_parser *parser)
{
    return parser->settings->per_listener && parser->listener ? &parser->listener->scope
                                                              : &parser->settings->scope;
}

enum nj_err nj_parse_plugin_option(struct nj_parser *parser, const char *key, char *value)
{
    struct nj_scope_settings *scope = current_scope(parser);
    if (!parser->in_plugin) {
        return nj_parser_fail(parser,
                              "Error: The '%s' option requires a plugin/global_plugin/plugin_load "
                              "to be defined first.",
                              key);
    }
    const char *name = strchr(strchr(key, '_') + 1, '_') + 1;
    if (strcmp(parser->plugin, "acl") == 0 && strcmp(name, "acl_file") == 0) {
        set_text(&scope->acl_file, value);
        return NJ_OK;
    }
    if (strcmp(parser->plugin, "password") == 0 && strcmp(name, "password_file") == 0) {
        set_text(&scope->password_file, value);
        return NJ_OK;
    }
    return nj_parser_fail(parser, "Error: Unknown configuration variable '%s'.", key);
}

/* ---- times, log, persistence */

NJ_CUSTOM_PARSER(nj_parse_expiration)
{
    static const struct {
        char unit;
        uint32_t seconds;
    } units[] = {{'s', 1},      {'h', 3600},    {'d', 86400},
                 {'w', 604800}, {'m', 2592000}, {'y', 31536000}};
    size_t len = strlen(value);
    char unit = len ? value[len - 1] : '\0';
    int64_t number = 0;
    char digits[16] = "";
    if (len > 1 && len < sizeof(digits)) {
        memcpy(digits, value, len - 1);
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].unit == unit && nj_parse_number(digits, 1, 100000000, &number)) {
            uint64_t seconds = (uint64_t)number * units[i].seconds;
            parser->settings->persistent_client_expiration_s =
                seconds < UINT32_MAX ? seconds : UINT32_MAX - 1;
            return NJ_OK;
        }
    }
    return nj_parser_fail(parser, "Error: Invalid duration unit in '%s' (%s).", option->name,
                          value);
}

NJ_CUSTOM_PARSER(nj_parse_log_dest)
{
    struct nj_settings *settings = parser->settings;
    char *rest = value;
    char *word = nj_next_token(&rest);
    if (strcmp(word, "none") == 0) {
        settings->log_none = true;
    } else if (strcmp(word, "syslog") == 0) {
        settings->log_syslog = true;
    } else if (strcmp(word, "stdout") == 0) {
        settings->log_stdout = true;
    } else if (strcmp(word, "stderr") == 0) {
        settings->log_stderr = true;
    } else if (strcmp(word, "topic") == 0) {
        settings->log_topic = true;
    } else if (strcmp(word, "dlt") == 0 || strcmp(word, "android") == 0) {
        return nj_parser_fail(parser,
                              "Error: The '%s %s' destination is not available in this "
                              "version of nightjar.",
                              option->name, word);
    } else if (strcmp(word, "file") == 0) {
        if (settings->log_file) {
            return nj_parser_fail(parser, "Error: Duplicate 'log_dest file' value in "
                                          "configuration.");
        }
        if (!rest || !*rest) {
            return nj_parser_fail(parser, "Error: Empty 'log_dest file' value in configuration.");
        }
        set_text(&settings->log_file, rest);
    } else {
        return invalid(parser, option, word);
    }
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_log_type)
{
    static const struct {
        const char *word;
        unsigned bits;
    } types[] = {
        {"none", 0},
        {"error", NJ_LOG_ERROR},
        {"warning", NJ_LOG_WARNING},
        {"notice", NJ_LOG_NOTICE},
        {"information", NJ_LOG_INFO},
        {"debug", NJ_LOG_DEBUG},
        {"subscribe", NJ_LOG_SUBSCRIBE},
        {"unsubscribe", NJ_LOG_UNSUBSCRIBE},
        {"internal", NJ_LOG_INTERNAL},
        {"websockets", NJ_LOG_WEBSOCKETS},
        {"all", NJ_LOG_ALL},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strcmp(types[i].word, value) == 0) {
            /* The first line replaces the default; `none` takes back what came before it. */
            unsigned *bits = &parser->settings->log_types;
            *bits = types[i].bits ? *bits | types[i].bits : 0;
            parser->settings->has_log_types = true;
            return NJ_OK;
        }
    }
    return invalid(parser, option, value);
}

NJ_CUSTOM_PARSER(nj_parse_persistence)
{
    int on = parse_bool(value);
    if (on < 0) {
        return invalid(parser, option, value);
    }
    parser->settings->persistence = on == 1;
    parser->settings->persistence_is_set = true;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_durability)
{
    static const char *const words[] = {"fsync", "interval", "memory", NULL};
    char *rest = value;
    char *word = nj_next_token(&rest);
    int at = choice(word, words);
    int64_t ms = 0;
    bool has_number = rest && *rest;
    if (at < 0 || (at == 1) != has_number ||
        (has_number && !nj_parse_number(rest, 1, 60000, &ms))) {
        return invalid(parser, option, has_number ? rest : word);
    }
    parser->settings->durability = (enum nj_durability)at;
    parser->settings->durability_interval_ms = (uint32_t)ms;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_control_api)
{
    int on = parse_bool(value);
    if (on < 0) {
        return invalid(parser, option, value);
    }
    if (on) {
        return nj_parser_fail(parser,
                              "Error: The '%s' option is not available in this version of "
                              "nightjar.",
                              option->name);
    }
    return NJ_OK;
}

/* ---- include_dir: names in the order A a B b */

static int by_name(const void *left, const void *right)
{
    const char *a = *(char *const *)left;
    const char *b = *(char *const *)right;
    int order = strcasecmp(a, b);
    return order ? order : strcmp(a, b);
}

static bool is_conf(const char *name)
{
    size_t len = strlen(name);
    return name[0] != '.' && len > 5 && strcmp(name + len - 5, ".conf") == 0;
}

static size_t list_conf(DIR *dir, char ***names)
{
    size_t count = 0;
    const struct dirent *entry;
    *names = NULL;
    /* Only this thread reads this directory stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while ((entry = readdir(dir))) {
        if (is_conf(entry->d_name)) {
            *names = nj_realloc(*names, (count + 1) * sizeof(char *));
            (*names)[count++] = nj_strdup(entry->d_name);
        }
    }
    if (count) {
        qsort(*names, count, sizeof(char *), by_name);
    }
    return count;
}

NJ_CUSTOM_PARSER(nj_parse_include_dir)
{
    if (parser->is_included) {
        return nj_parser_fail(parser, "Error: '%s' is only allowed in the main configuration file.",
                              option->name);
    }
    DIR *dir = opendir(value);
    if (!dir) {
        return nj_parser_fail(parser, "Error: Unable to open include_dir '%s'.", value);
    }
    char **names;
    size_t count = list_conf(dir, &names);
    (void)closedir(dir);
    const char *file = parser->file;
    unsigned line = parser->line;
    enum nj_err err = NJ_OK;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(value) + strlen(names[i]) + 2;
        char *path = nj_alloc(size);
        (void)snprintf(path, size, "%s/%s", value, names[i]);
        parser->is_included = true;
        if (err == NJ_OK) {
            err = nj_parser_file(parser, path);
        }
        parser->is_included = false;
        nj_free(path);
        nj_free(names[i]);
    }
    nj_free(names);
    parser->file = file;
    parser->line = line;
    return err;
}
