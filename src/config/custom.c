/* Global options with parsers of their own. See custom.h. */
#include "config/custom.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mqtt/topic.h"

#define AUTO_ID_PREFIX_MAX 50
/* 136 years: session expiry is 32 bits of seconds everywhere else, and its highest value is
 * "never". More than that must not become less. */
#define EXPIRATION_MAX_S (INT64_C(136) * 31536000)

NJ_CUSTOM_PARSER(nj_parse_per_listener)
{
    static const char *const first[] = {
        "acl_file",       "allow_anonymous", "allow_zero_length_clientid",
        "auto_id_prefix", "password_file",   "psk_file",
        "plugin",
    };
    enum nj_err err = nj_option_set(parser, option, parser->settings, value);
    if (err != NJ_OK || !parser->settings->per_listener) {
        return err;
    }
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        if (parser->seen[nj_option_find(first[i]) - nj_options]) {
            return nj_parser_fail(parser, "Error: per_listener_settings must be set before any "
                                          "other security settings.");
        }
    }
    return NJ_OK;
}

/* The line was looked for before everything else (load.c); here it is only checked. */
NJ_CUSTOM_PARSER(nj_parse_compat)
{
    return nj_parse_word(value, option->words) < 0 ? nj_parser_invalid(parser, option, value)
                                                   : NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_auto_id_prefix)
{
    bool is_listeners = option->place == NJ_PLACE_LISTENER;
    if (strlen(value) > AUTO_ID_PREFIX_MAX) {
        return nj_parser_fail(parser, is_listeners
                                          ? "Error: 'listener_auto_id_prefix' length must be <= 50."
                                          : "Error: auto_id_prefix length must be <= 50.");
    }
    void *base = is_listeners ? (void *)&parser->settings->listeners[parser->context.listener]
                              : (void *)nj_parser_scope(parser);
    return nj_option_set(parser, option, base, value);
}

/* `none`, or a topic name of our own tree in which the client's id is a level, so that no two
 * clients share it. */
static bool is_response_prefix(const char *value)
{
    bool has_client_id = false;
    if (value[0] == '$' || strlen(value) > NJ_RESPONSE_PREFIX_MAX ||
        !nj_mqtt_topic_is_valid(nj_bytes_of(value), 0)) {
        return false;
    }
    for (const char *at = value; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t len = strcspn(at, "/");
        bool is_placeholder = len == 2 && at[0] == '%' && (at[1] == 'c' || at[1] == 'u');
        if (!is_placeholder && memchr(at, '%', len)) {
            return false;
        }
        has_client_id |= is_placeholder && at[1] == 'c';
    }
    return has_client_id;
}

NJ_CUSTOM_PARSER(nj_parse_response_information)
{
    if (strcmp(value, "none") != 0 && !is_response_prefix(value)) {
        return nj_parser_fail(parser,
                              "Error: 'response_information' must be `none` or a topic of at most "
                              "%d bytes in which %%c, and perhaps %%u, is a whole level.",
                              NJ_RESPONSE_PREFIX_MAX);
    }
    return nj_option_set(parser, option, parser->settings, value);
}

NJ_CUSTOM_PARSER(nj_parse_expiration)
{
    static const struct {
        char unit;
        int64_t seconds;
    } units[] = {{'s', 1},      {'h', 3600},    {'d', 86400},
                 {'w', 604800}, {'m', 2592000}, {'y', 31536000}};
    size_t len = strlen(value);
    char unit = value[len - 1];
    (void)option;
    value[len - 1] = '\0';
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t number = 0;
        if (units[i].unit == unit && nj_parse_number(value, &number) == NJ_NUMBER_OK &&
            number >= 1 && number <= INT32_MAX) {
            int64_t seconds = number * units[i].seconds;
            parser->settings->persistent_client_expiration_s =
                (uint64_t)(seconds < EXPIRATION_MAX_S ? seconds : EXPIRATION_MAX_S);
            return NJ_OK;
        }
    }
    return nj_parser_fail(
        parser, "Error: Invalid 'persistent_client_expiration' duration in configuration.");
}

static enum nj_err take_log_file(struct nj_parser *parser, const char *path)
{
    if (parser->settings->log_file) {
        return nj_parser_fail(parser, "Error: Duplicate \"log_dest file\" value.");
    }
    if (!*path) {
        return nj_parser_fail(parser, "Error: Empty \"log_dest file\" value in configuration.");
    }
    nj_set_text(&parser->settings->log_file, path);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_log_dest)
{
    struct nj_settings *settings = parser->settings;
    char *rest = value;
    const char *word = nj_next_token(&rest);
    if (strcmp(word, "file") == 0) {
        return take_log_file(parser, rest);
    }
    if (*rest) {
        return nj_parser_invalid(parser, option, rest);
    }
    switch (nj_parse_word(word, "none|syslog|stdout|stderr|topic|dlt")) {
    case 0: /* takes back what came before it */
        settings->log_none = true;
        settings->log_syslog = settings->log_stdout = settings->log_stderr = false;
        settings->log_topic = false;
        nj_set_text(&settings->log_file, NULL);
        break;
    case 1:
        settings->log_syslog = true;
        break;
    case 2:
        settings->log_stdout = true;
        break;
    case 3:
        settings->log_stderr = true;
        break;
    case 4:
        settings->log_topic = true;
        break;
    case 5:
        nj_parser_refuse(parser, "log_dest dlt", "logging to DLT is not built");
        break;
    default:
        return nj_parser_invalid(parser, option, word);
    }
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_log_type)
{
    static const char words[] = "error|warning|notice|information|debug|subscribe|unsubscribe|"
                                "internal|websockets|none|all";
    struct nj_settings *settings = parser->settings;
    int place = nj_parse_word(value, words);
    /* The first line replaces the default; `none` takes back what came before it. */
    if (place < 0) {
        return nj_parser_invalid(parser, option, value);
    }
    settings->has_log_types = true;
    if (place == 9) {
        settings->log_types = 0;
    } else if (place == 10) {
        settings->log_types = NJ_LOG_ALL;
    } else {
        settings->log_types |= 1u << place;
    }
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_persistence)
{
    parser->settings->persistence_is_set = true;
    return nj_option_set(parser, option, parser->settings, value);
}

NJ_CUSTOM_PARSER(nj_parse_durability)
{
    char *rest = value;
    const char *word = nj_next_token(&rest);
    int64_t ms = 0;
    enum nj_err err = nj_option_set(parser, option, parser->settings, word);
    if (err != NJ_OK) {
        return err;
    }
    if (parser->settings->durability != NJ_DURABILITY_INTERVAL) {
        return *rest ? nj_parser_invalid(parser, option, rest) : NJ_OK;
    }
    if (nj_parse_number(rest, &ms) != NJ_NUMBER_OK || ms < 1 || ms > 60000) {
        return nj_parser_fail(parser,
                              "Error: Invalid 'durability interval' value (%.200s): "
                              "1 to 60000 milliseconds.",
                              rest);
    }
    parser->settings->durability_interval_ms = (uint32_t)ms;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_include_dir)
{
    if (parser->is_included) {
        return nj_parser_fail(parser, "Error: The include_dir option is only valid in the main "
                                      "configuration file.");
    }
    (void)option;
    return nj_parser_include(parser, value);
}

NJ_CUSTOM_PARSER(nj_parse_number_only)
{
    return nj_option_set(parser, option, NULL, value);
}
