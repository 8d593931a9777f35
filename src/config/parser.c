/* Reading a configuration file: lines, the option table, contexts. Rules: feature-map B0. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config_priv.h"
#include "config/custom.h"

#define FILE_MAX (16u * 1024u * 1024u)

enum nj_err nj_parser_fail(struct nj_parser *parser, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    nj_log(NJ_LOG_ERROR, "%s", text);
    if (parser->file && parser->line) {
        nj_log(NJ_LOG_ERROR, "Error found at %s:%u.", parser->file, parser->line);
    }
    return NJ_EINVAL;
}

bool nj_parse_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t len = strlen(digits);
    if (len == 0 || len > 18 || strspn(digits, "0123456789") != len ||
        (digits[0] == '0' && len > 1)) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value * 10 + (digits[i] - '0');
    }
    *out = text[0] == '-' ? -value : value;
    return *out >= min && *out <= max;
}

char *nj_next_token(char **rest)
{
    char *word = *rest;
    char *blank = word + strcspn(word, " \t");
    if (*blank) {
        *blank++ = '\0';
        blank += strspn(blank, " \t");
    }
    *rest = blank;
    return word;
}

static const struct nj_option *find_option(const char *name)
{
    for (size_t i = 0; i < nj_option_count; i++) {
        if (strcmp(nj_options[i].name, name) == 0) {
            return &nj_options[i];
        }
    }
    return NULL;
}

/* The struct that an option's offset counts from. */
static char *target_of(struct nj_parser *parser, const struct nj_option *option)
{
    if (option->place == NJ_PLACE_LISTENER) {
        return (char *)parser->listener;
    }
    if (option->place == NJ_PLACE_SCOPE) {
        return parser->settings->per_listener && parser->listener
                   ? (char *)&parser->listener->scope
                   : (char *)&parser->settings->scope;
    }
    return (char *)parser->settings;
}

static enum nj_err set_bool(struct nj_parser *parser, const struct nj_option *option,
                            const char *value)
{
    bool is_true = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    bool is_false = strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
    if (!is_true && !is_false) {
        return nj_parser_fail(parser, "Error: Invalid '%s' value (%s).", option->name, value);
    }
    char *target = target_of(parser, option) + option->offset;
    if (option->kind == NJ_OPT_TRI) {
        *(enum nj_tristate *)(void *)target = is_true ? NJ_YES : NJ_NO;
    } else {
        *(bool *)(void *)target = is_true;
    }
    return NJ_OK;
}

static enum nj_err set_number(struct nj_parser *parser, const struct nj_option *option,
                              const char *value)
{
    int64_t number;
    if (!nj_parse_number(value, option->min, option->max, &number)) {
        return nj_parser_fail(parser, "Error: Invalid '%s' value (%s).", option->name, value);
    }
    char *target = target_of(parser, option) + option->offset;
    if (option->size == sizeof(int64_t)) {
        *(int64_t *)(void *)target = number;
    } else {
        *(int32_t *)(void *)target = (int32_t)number;
    }
    return NJ_OK;
}

static enum nj_err set_value(struct nj_parser *parser, const struct nj_option *option, char *value)
{
    char **text;
    switch (option->kind) {
    case NJ_OPT_BOOL:
    case NJ_OPT_TRI:
        return set_bool(parser, option, value);
    case NJ_OPT_INT:
        return set_number(parser, option, value);
    case NJ_OPT_STRING:
        text = (char **)(void *)(target_of(parser, option) + option->offset);
        nj_free(*text);
        *text = nj_strdup(value);
        return NJ_OK;
    case NJ_OPT_CUSTOM:
        return option->parse(parser, option, value);
    case NJ_OPT_UNBUILT:
        return nj_parser_fail(parser,
                              "Error: The '%s' option is not available in this version of "
                              "nightjar.",
                              option->name);
    default:
        return NJ_OK;
    }
}

/* Options before any listener line that belong to one begin the default listener, as the original
 * allows for compatibility with its old versions. */
static enum nj_err check_place(struct nj_parser *parser, const struct nj_option *option)
{
    if (option->place == NJ_PLACE_LISTENER && !parser->listener) {
        return nj_parser_fail(parser,
                              "Error: The '%s' option requires a listener to be defined first.",
                              option->name);
    }
    if (option->place == NJ_PLACE_BRIDGE && !parser->in_bridge) {
        return nj_parser_fail(
            parser, "Error: The '%s' option requires a bridge to be defined first.", option->name);
    }
    return NJ_OK;
}

static enum nj_err check_seen(struct nj_parser *parser, const struct nj_option *option)
{
    size_t index = (size_t)(option - nj_options);
    bool is_listeners =
        option->place == NJ_PLACE_LISTENER ||
        (option->place == NJ_PLACE_SCOPE && parser->settings->per_listener && parser->listener);
    uint8_t *seen = is_listeners ? &parser->seen_listener[index] : &parser->seen[index];
    if (*seen && !option->may_repeat) {
        return nj_parser_fail(parser, "Error: Duplicate '%s' value in configuration.",
                              option->name);
    }
    *seen = 1;
    return NJ_OK;
}

static enum nj_err parse_pair(struct nj_parser *parser, const char *key, char *value)
{
    if (strncmp(key, "plugin_opt_", 11) == 0 || strncmp(key, "auth_opt_", 9) == 0) {
        return nj_parse_plugin_option(parser, key, value);
    }
    const struct nj_option *option = find_option(key);
    if (!option) {
        return nj_parser_fail(parser, "Error: Unknown configuration variable '%s'.", key);
    }
    if (!*value) {
        return nj_parser_fail(parser, "Error: Empty '%s' value in configuration.", key);
    }
    enum nj_err err = check_place(parser, option);
    if (err == NJ_OK) {
        err = check_seen(parser, option);
    }
    return err == NJ_OK ? set_value(parser, option, value) : err;
}

static enum nj_err parse_line(struct nj_parser *parser, char *line, size_t len)
{
    if (memchr(line, 0, len)) {
        return nj_parser_fail(parser, "Error: The configuration holds a NUL byte.");
    }
    while (len && strchr(" \t\r", line[len - 1])) {
        line[--len] = '\0';
    }
    if (line[0] == '#') {
        return NJ_OK;
    }
    line += strspn(line, " \t");
    if (!*line) {
        return NJ_OK;
    }
    char *value = line;
    const char *key = nj_next_token(&value);
    return parse_pair(parser, key, value);
}

static enum nj_err parse_text(struct nj_parser *parser, char *text, size_t len)
{
    size_t at = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    parser->line = 0;
    while (at < len) {
        char *line = text + at;
        char *end = memchr(line, '\n', len - at);
        size_t line_len = end ? (size_t)(end - line) : len - at;
        line[line_len] = '\0';
        parser->line++;
        enum nj_err err = parse_line(parser, line, line_len);
        if (err != NJ_OK) {
            return err;
        }
        at += line_len + 1;
    }
    return NJ_OK;
}

enum nj_err nj_parser_file(struct nj_parser *parser, const char *path)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, FILE_MAX, false, &text);
    if (err != NJ_OK) {
        parser->line = 0;
        err = nj_parser_fail(parser, "Error: Unable to open config file '%s'.", path);
    } else if (nj_buf_append(&text, "", 1) != NJ_OK) {
        err = NJ_ENOMEM;
    } else {
        parser->file = path;
        err = parse_text(parser, (char *)text.data, text.len - 1);
    }
    nj_buf_fini(&text);
    return err;
}

static enum nj_err finish_bridge(struct nj_parser *parser)
{
    parser->line = 0;
    if (!parser->bridge) {
        return NJ_OK;
    }
    if (!parser->bridge_has_address) {
        return nj_parser_fail(parser,
                              "Error: Invalid bridge configuration: no remote addresses defined.");
    }
    if (!parser->bridge_has_topic) {
        return nj_parser_fail(parser, "Error: Invalid bridge configuration: no topics defined.");
    }
    return nj_parser_fail(parser,
                          "Error: The 'connection' option (bridge %s) is not available in this "
                          "version of nightjar.",
                          parser->bridge);
}

static enum nj_err finish_listener(struct nj_parser *parser,
                                   const struct nj_listener_settings *listener)
{
    bool has_cert = listener->certfile != NULL;
    if (has_cert != (listener->keyfile != NULL)) {
        return nj_parser_fail(parser,
                              "Error: Both certfile and keyfile must be provided to enable "
                              "a TLS listener (port %d).",
                              listener->port);
    }
    if (listener->require_certificate && has_cert && !listener->cafile && !listener->capath) {
        return nj_parser_fail(parser,
                              "Error: require_certificate is true, but neither cafile nor "
                              "capath is set (port %d).",
                              listener->port);
    }
    bool uses_certificate = listener->use_identity_as_username || listener->use_subject_as_username;
    if (uses_certificate && !(listener->require_certificate && has_cert)) {
        nj_log(NJ_LOG_WARNING,
               "Warning: use_identity_as_username or use_subject_as_username needs "
               "require_certificate and TLS: nobody can log in on port %d.",
               listener->port);
    }
    return NJ_OK;
}

enum nj_err nj_parser_finish(struct nj_parser *parser)
{
    struct nj_settings *settings = parser->settings;
    enum nj_err err = finish_bridge(parser);
    if (err != NJ_OK) {
        return err;
    }
    bool has_old_style = parser->default_port || parser->default_host;
    if (settings->listener_count == 0) {
        settings->is_local_only = !has_old_style;
        struct nj_listener_settings *listener = nj_settings_add_listener(settings);
        listener->port = parser->default_port ? parser->default_port : 1883;
        listener->host = parser->default_host ? nj_strdup(parser->default_host) : NULL;
        if (settings->is_local_only) {
            listener->host = nj_strdup("localhost");
        }
    } else if (has_old_style) {
        struct nj_listener_settings *listener = nj_settings_add_listener(settings);
        listener->port = parser->default_port ? parser->default_port : 1883;
        listener->host = parser->default_host ? nj_strdup(parser->default_host) : NULL;
    }
    for (size_t i = 0; i < settings->listener_count; i++) {
        err = finish_listener(parser, &settings->listeners[i]);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}
