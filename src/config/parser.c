/* Reading a configuration file: lines, the option table, contexts. Rules: `#` begins a comment only
 * as the first character of a line, blanks separate and are trimmed, CRLF and a byte order mark are
 * taken as they come. A context (listener, bridge, plugin) ends with its file. */
#include <sys/stat.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config_priv.h"
#include "config/custom.h"
#include "mqtt/utf8.h"

#define BLANKS " \t"

static void say_place(const struct nj_parser *parser)
{
    if (parser->file && parser->line) {
        nj_log(NJ_LOG_ERROR, "Error found at %s:%u.", parser->file, parser->line);
    }
}

enum nj_err nj_parser_fail(struct nj_parser *parser, const char *fmt, ...)
{
    char text[NJ_CONFIG_ERROR_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    nj_log(NJ_LOG_ERROR, "%s", text);
    if (!parser->error[0]) {
        memcpy(parser->error, text, sizeof(text));
    }
    say_place(parser);
    return NJ_EINVAL;
}

/* A line of its own, because the one before it is the original's. */
static void say_choice(const struct nj_option *option)
{
    if (option->kind == NJ_OPT_BOOL || option->kind == NJ_OPT_TRI) {
        nj_log(NJ_LOG_INFO, "'%s' takes true or false.", option->name);
    } else if (option->words) {
        nj_log(NJ_LOG_INFO, "'%s' takes %s.", option->name, option->words);
    } else if (option->kind == NJ_OPT_INT && !option->parse && option->max < INT32_MAX) {
        nj_log(NJ_LOG_INFO, "'%s' takes numbers from %lld to %lld.", option->name,
               (long long)option->min, (long long)option->max);
    } else if (option->kind == NJ_OPT_INT && !option->parse) {
        nj_log(NJ_LOG_INFO, "'%s' takes numbers from %lld.", option->name, (long long)option->min);
    }
}

enum nj_err nj_parser_invalid(struct nj_parser *parser, const struct nj_option *option,
                              const char *value)
{
    enum nj_err err =
        nj_parser_fail(parser, "Error: Invalid '%s' value (%.200s).", option->name, value);
    say_choice(option);
    return err;
}

enum nj_err nj_parser_empty(struct nj_parser *parser, const char *name)
{
    return nj_parser_fail(parser, "Error: Empty '%s' value in configuration.", name);
}

void nj_parser_defer(const struct nj_parser *parser, struct nj_deferred *deferred, const char *fmt,
                     ...)
{
    char text[NJ_CONFIG_ERROR_MAX];
    va_list args;
    if (deferred->text) {
        return;
    }
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    deferred->text = nj_strdup(text);
    (void)snprintf(text, sizeof(text), "Error found at %s:%u.", parser->file ? parser->file : "",
                   parser->line);
    deferred->place = nj_strdup(text);
}

enum nj_err nj_parser_fail_deferred(struct nj_parser *parser, const struct nj_deferred *deferred)
{
    (void)nj_parser_fail(parser, "%s", deferred->text);
    nj_log(NJ_LOG_ERROR, "%s", deferred->place);
    return NJ_EINVAL;
}

void nj_parser_refuse(struct nj_parser *parser, const char *name, const char *why)
{
    nj_parser_defer(parser, &parser->refusal,
                    "Error: The '%s' option is not available in this version of nightjar: %s.",
                    name, why);
}

char *nj_next_token(char **rest)
{
    char *word = *rest + strspn(*rest, BLANKS);
    if (!*word) {
        *rest = word;
        return NULL;
    }
    char *end = word + strcspn(word, BLANKS);
    if (*end) {
        *end++ = '\0';
        end += strspn(end, BLANKS);
    }
    *rest = end;
    return word;
}

const struct nj_option *nj_option_find(const char *name)
{
    for (size_t i = 0; i < nj_option_count; i++) {
        /* The first character alone tells most apart: a file may have 10^6 lines. */
        if (nj_options[i].name[0] == name[0] && strcmp(nj_options[i].name, name) == 0) {
            return &nj_options[i];
        }
    }
    return NULL;
}

static bool is_per_listener(const struct nj_parser *parser)
{
    return parser->settings->per_listener;
}

struct nj_scope_settings *nj_parser_scope(struct nj_parser *parser)
{
    struct nj_settings *settings = parser->settings;
    return is_per_listener(parser) && parser->context.listener >= 0
               ? &settings->listeners[parser->context.listener].scope
               : &settings->scope;
}

/* The struct that an option's offset counts from. */
static void *target_of(struct nj_parser *parser, const struct nj_option *option)
{
    struct nj_settings *settings = parser->settings;
    switch (option->place) {
    case NJ_PLACE_LISTENER:
        return &settings->listeners[parser->context.listener];
    case NJ_PLACE_SCOPE:
        return nj_parser_scope(parser);
    case NJ_PLACE_BRIDGE:
        return &settings->bridges[parser->context.bridge];
    default:
        return settings;
    }
}

void nj_parser_use_default_listener(struct nj_parser *parser)
{
    if (parser->default_listener < 0) {
        struct nj_listener_settings *listener = nj_settings_add_listener(parser->settings);
        listener->port = 1883;
        parser->default_listener = (int)parser->settings->listener_count - 1;
    }
    if (parser->context.listener != parser->default_listener) {
        parser->context.listener = parser->default_listener;
        memset(parser->context.seen_listener, 0, sizeof(parser->context.seen_listener));
    }
}

static enum nj_err requires(struct nj_parser *parser, const char *name, const char *what) {
    return nj_parser_fail(parser, "Error: The '%s' option requires a %s to be defined first.", name,
                          what);
}

static enum nj_err check_place(struct nj_parser *parser, const struct nj_option *option)
{
    int listener = parser->context.listener;
    bool is_default = listener >= 0 && listener == parser->default_listener;
    switch (option->place) {
    case NJ_PLACE_LISTENER:
        if (option->needs == NJ_NEEDS_DEFAULT && listener < 0) {
            nj_log(NJ_LOG_INFO,
                   "Creating default listener due to '%s' option. It is best practice to define a "
                   "'listener' first.",
                   option->name);
            nj_parser_defer(parser, &parser->misplaced,
                            "Error: The '%s' option requires a listener to be defined first.",
                            option->name);
            nj_parser_use_default_listener(parser);
        } else if (listener < 0 || (option->needs == NJ_NEEDS_EXPLICIT && is_default)) {
            return requires(parser, option->name, "listener");
        }
        return NJ_OK;
    case NJ_PLACE_SCOPE:
        return is_per_listener(parser) && listener < 0 ? requires(parser, option->name, "listener")
                                                       : NJ_OK;
    case NJ_PLACE_BRIDGE:
        return parser->context.bridge < 0 ? requires(parser, option->name, "bridge") : NJ_OK;
    default:
        return NJ_OK;
    }
}

enum nj_err nj_parser_mark_seen(struct nj_parser *parser, const struct nj_option *option)
{
    const struct nj_option *real = option->alias ? nj_option_find(option->alias) : option;
    size_t index = (size_t)(real - nj_options);
    bool *seen = parser->seen;
    if (option->place == NJ_PLACE_BRIDGE) {
        seen = parser->context.seen_bridge;
    } else if (option->place == NJ_PLACE_LISTENER ||
               (option->place == NJ_PLACE_SCOPE && is_per_listener(parser))) {
        seen = parser->context.seen_listener;
    }
    if (seen[index] && !(option->flags & NJ_OPTION_REPEATS)) {
        return nj_parser_fail(parser, "Error: Duplicate '%s' value in configuration.",
                              option->label ? option->label : option->name);
    }
    seen[index] = true;
    return NJ_OK;
}

static enum nj_err check_text(struct nj_parser *parser, const char *name, const char *value)
{
    struct nj_bytes text = nj_bytes_of(value);
    if (text.len > NJ_VALUE_MAX) {
        return nj_parser_fail(parser, "Error: Invalid '%.200s' value: longer than %u bytes.", name,
                              NJ_VALUE_MAX);
    }
    if (!nj_mqtt_utf8_is_valid(text) || nj_mqtt_utf8_has_control(text)) {
        return nj_parser_fail(parser, "Error: Malformed UTF-8 in configuration.");
    }
    return NJ_OK;
}

/* An option that is not built, but says what is so anyway (`false`), harms nobody. */
static void note_unbuilt(struct nj_parser *parser, const struct nj_option *option,
                         const char *value)
{
    if (!(option->flags & NJ_OPTION_UNBUILT) || (option->def && strcmp(option->def, value) == 0) ||
        (option->kind == NJ_OPT_BOOL && nj_parse_bool(value) == 0)) {
        return;
    }
    nj_parser_refuse(parser, option->name, "it is known, but not built yet");
}

static enum nj_err check_option(struct nj_parser *parser, const struct nj_option *option,
                                const char *value)
{
    if (option->flags & NJ_OPTION_MAIN_FILE && parser->is_included) {
        return nj_parser_fail(
            parser, "Error: The '%s' option is only valid in the main configuration file.",
            option->name);
    }
    enum nj_err err = check_place(parser, option);
    if (err == NJ_OK && !*value) {
        err = option->empty ? nj_parser_fail(parser, "%s", option->empty)
                            : nj_parser_empty(parser, option->label ? option->label : option->name);
    }
    if (err == NJ_OK) {
        err = check_text(parser, option->name, value);
    }
    return err == NJ_OK ? nj_parser_mark_seen(parser, option) : err;
}

static enum nj_err parse_pair(struct nj_parser *parser, const char *key, char *value)
{
    if (strncmp(key, "plugin_opt_", 11) == 0 || strncmp(key, "auth_opt_", 9) == 0) {
        enum nj_err text = check_text(parser, key, value);
        return text == NJ_OK ? nj_parse_plugin_pair(parser, key, value) : text;
    }
    const struct nj_option *option = nj_option_find(key);
    if (!option) {
        return nj_parser_fail(parser, "Error: Unknown configuration variable '%.200s'.", key);
    }
    if (option->kind == NJ_OPT_IGNORED) {
        nj_log(NJ_LOG_WARNING, "Warning: The '%s' option is no longer available.", key);
        return NJ_OK;
    }
    enum nj_err err = check_option(parser, option, value);
    if (err != NJ_OK) {
        return err;
    }
    if (option->flags & NJ_OPTION_DEPRECATED) {
        nj_log(NJ_LOG_NOTICE, "The '%s' option is deprecated.", key);
    }
    note_unbuilt(parser, option, value);
    return option->parse ? option->parse(parser, option, value)
                         : nj_option_set(parser, option, target_of(parser, option), value);
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
    char *value = line;
    const char *key = nj_next_token(&value);
    return key ? parse_pair(parser, key, value) : NJ_OK;
}

static enum nj_err parse_text(struct nj_parser *parser, char *text, size_t len)
{
    size_t at = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
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
    return nj_parser_plugin_done(parser);
}

static enum nj_err say_unreadable(struct nj_parser *parser, const char *path, enum nj_err why)
{
    const char *reason = nj_file_why(why);
    struct stat info;
    if (why == NJ_EINVAL && stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return nj_parser_fail(parser, "Error: Config file '%s' is a directory.", path);
    }
    (void)nj_parser_fail(parser, "Error: Unable to open config file '%s'.", path);
    nj_log(NJ_LOG_ERROR, "Error: Reading '%s': %s.", path,
           why == NJ_ETOOBIG ? "larger than 16 MiB" : reason);
    return NJ_EINVAL;
}

/* The NUL behind the text lets the last line be cut like the others. */
static enum nj_err read_text(const char *path, struct nj_buf *text)
{
    enum nj_err err = nj_file_read(path, NJ_CONF_FILE_MAX, false, text);
    return err == NJ_OK ? nj_buf_append(text, "", 1) : err;
}

enum nj_err nj_parser_file(struct nj_parser *parser, const char *path)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = read_text(path, &text);
    if (err != NJ_OK) {
        err = say_unreadable(parser, path, err);
    } else {
        const char *file = parser->file;
        unsigned line = parser->line;
        struct nj_context context = parser->context;
        parser->file = path;
        parser->line = 0;
        parser->context = (struct nj_context){.listener = -1, .bridge = -1};
        err = parse_text(parser, (char *)text.data, text.len - 1);
        parser->file = file;
        parser->line = line;
        parser->context = context;
        if (err != NJ_OK) {
            say_place(parser);
        }
    }
    nj_buf_fini(&text);
    return err;
}
