/* Bridge options with parsers of their own: their errors are the original's, although bridges are
 * refused in the end. See custom.h. */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "config/custom.h"
#include "mqtt/topic.h"

#define RESTART_MAX_S 3600
#define CAP_MAX_S     7200

static struct nj_bridge_settings *current(struct nj_parser *parser)
{
    return &parser->settings->bridges[parser->context.bridge];
}

NJ_CUSTOM_PARSER(nj_parse_connection)
{
    struct nj_settings *settings = parser->settings;
    if (strpbrk(value, " \t")) {
        return nj_parser_invalid(parser, option, value);
    }
    for (size_t i = 0; i < settings->bridge_count; i++) {
        if (strcmp(settings->bridges[i].name, value) == 0) {
            return nj_parser_fail(parser, "Error: Duplicate bridge name '%.200s'.", value);
        }
    }
    if (settings->bridge_count >= NJ_LISTENERS_MAX) {
        return nj_parser_fail(parser, "Error: More than %d bridges.", NJ_LISTENERS_MAX);
    }
    nj_settings_add_bridge(settings)->name = nj_strdup(value);
    parser->context.bridge = (int)settings->bridge_count - 1;
    memset(parser->context.seen_bridge, 0, sizeof(parser->context.seen_bridge));
    return NJ_OK;
}

/* The port is what follows the last colon, so an IPv6 address needs one. */
static enum nj_err add_address(struct nj_parser *parser, char *word)
{
    struct nj_bridge_settings *bridge = current(parser);
    char *colon = strrchr(word, ':');
    int64_t port = 1883;
    if (colon) {
        *colon = '\0';
        if (nj_parse_number(colon + 1, &port) != NJ_NUMBER_OK || port < 1 || port > 65535) {
            return nj_parser_fail(parser, "Error: Invalid bridge port value (%.40s).", colon + 1);
        }
    }
    bridge->addresses =
        nj_realloc(bridge->addresses, (bridge->address_count + 1) * sizeof(*bridge->addresses));
    bridge->addresses[bridge->address_count++] =
        (struct nj_bridge_address){.host = nj_strdup(word), .port = (int)port};
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_bridge_address)
{
    char *rest = value;
    enum nj_err err = NJ_OK;
    (void)option;
    if (current(parser)->address_count) {
        return nj_parser_fail(parser,
                              "Error: Invalid bridge configuration, 'address' only allowed once.");
    }
    for (char *word = nj_next_token(&rest); word && *word != '#' && err == NJ_OK;
         word = nj_next_token(&rest)) {
        err = add_address(parser, word);
    }
    if (err == NJ_OK && current(parser)->address_count == 0) {
        err = nj_parser_fail(parser, "Error: Empty address value in configuration.");
    }
    return err;
}

/* A pattern, perhaps in quotes because of its blanks. Cut off *rest; NULL: no closing quote. */
static char *take_pattern(char **rest)
{
    if (**rest != '"' || (*rest)[1] == '"') {
        return nj_next_token(rest);
    }
    char *pattern = *rest + 1;
    char *end = strchr(pattern, '"');
    if (!end) {
        return NULL;
    }
    *end++ = '\0';
    *rest = end + strspn(end, " \t");
    return pattern;
}

static enum nj_err check_prefix(struct nj_parser *parser, const char *prefix, const char *which)
{
    return !prefix || nj_mqtt_topic_is_valid(nj_bytes_of(prefix), 0)
               ? NJ_OK
               : nj_parser_fail(parser, "Error: Invalid bridge topic %s prefix '%.200s'.", which,
                                prefix);
}

static enum nj_err check_topic(struct nj_parser *parser, const struct nj_bridge_topic *topic)
{
    enum nj_err err = check_prefix(parser, topic->local_prefix, "local");
    if (err == NJ_OK) {
        err = check_prefix(parser, topic->remote_prefix, "remote");
    }
    if (err == NJ_OK && !topic->pattern && !(topic->local_prefix && topic->remote_prefix)) {
        err = nj_parser_fail(parser, "Error: Invalid bridge remapping.");
    }
    if (err == NJ_OK && topic->pattern &&
        !nj_mqtt_filter_is_valid(nj_bytes_of(topic->pattern), 0)) {
        err = nj_parser_fail(parser, "Error: Invalid bridge topic '%.200s'.", topic->pattern);
    }
    return err;
}

/* [out|in|both] [qos] [local prefix] [remote prefix], then nothing or a comment. */
static enum nj_err read_topic_words(struct nj_parser *parser, char *rest, char **words)
{
    size_t count = 0;
    while (count < 4 && *rest && *rest != '#') {
        words[count++] = nj_next_token(&rest);
    }
    for (char *at = words[0]; at && *at; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + ('a' - 'A') : *at);
    }
    if (words[0] && nj_parse_word(words[0], "out|in|both") < 0) {
        return nj_parser_fail(parser, "Error: Invalid bridge topic direction '%.40s'.", words[0]);
    }
    if (words[1] && nj_parse_word(words[1], "0|1|2") < 0) {
        return nj_parser_fail(parser, "Error: Invalid bridge QoS level '%.40s'.", words[1]);
    }
    return *rest && *rest != '#'
               ? nj_parser_fail(parser, "Error: Invalid 'topic' value (%.200s).", rest)
               : NJ_OK;
}

static char *dup_unless_nothing(const char *word)
{
    return word && strcmp(word, "\"\"") != 0 ? nj_strdup(word) : NULL;
}

NJ_CUSTOM_PARSER(nj_parse_bridge_topic)
{
    struct nj_bridge_settings *bridge = current(parser);
    char *rest = value;
    char *words[4] = {NULL};
    (void)option;
    const char *pattern = take_pattern(&rest);
    if (!pattern) {
        return nj_parser_fail(parser, "Error: Missing closing quote in topic value (%.200s).",
                              value);
    }
    enum nj_err err = read_topic_words(parser, rest, words);
    if (err != NJ_OK) {
        return err;
    }
    bridge->topics =
        nj_realloc(bridge->topics, (bridge->topic_count + 1) * sizeof(*bridge->topics));
    struct nj_bridge_topic *topic = &bridge->topics[bridge->topic_count++];
    *topic = (struct nj_bridge_topic){
        .pattern = dup_unless_nothing(pattern),
        .direction = words[0] ? (enum nj_bridge_direction)nj_parse_word(words[0], "out|in|both")
                              : NJ_BRIDGE_OUT,
        .qos = words[1] ? nj_parse_word(words[1], "0|1|2") : 0,
        .local_prefix = dup_unless_nothing(words[2]),
        .remote_prefix = dup_unless_nothing(words[3]),
    };
    return check_topic(parser, topic);
}

NJ_CUSTOM_PARSER(nj_parse_bridge_certificate)
{
    const struct nj_bridge_settings *bridge = current(parser);
    if (bridge->identity || bridge->psk) {
        return nj_parser_fail(parser,
                              "Error: '%s': Cannot use both certificate and psk encryption in a "
                              "single bridge.",
                              option->name);
    }
    return nj_option_set(parser, option, current(parser), value);
}

NJ_CUSTOM_PARSER(nj_parse_bridge_psk)
{
    const struct nj_bridge_settings *bridge = current(parser);
    if (bridge->cafile || bridge->capath || bridge->certfile || bridge->keyfile) {
        return nj_parser_fail(parser,
                              "Error: '%s': Cannot use both certificate and identity encryption "
                              "in a single bridge.",
                              option->name);
    }
    return nj_option_set(parser, option, current(parser), value);
}

NJ_CUSTOM_PARSER(nj_parse_bridge_word)
{
    if (strcmp(option->name, "start_type") == 0 && strcmp(value, "manual") == 0) {
        return nj_parser_fail(parser, "Error: Manual start_type not supported.");
    }
    if (nj_parse_word(value, option->words) < 0) {
        return nj_parser_fail(parser, "Error: Invalid '%s' value in configuration (%.200s).",
                              option->name, value);
    }
    return nj_option_set(parser, option, current(parser), value);
}

/* One of several numbers on a line, under a name of its own. */
static enum nj_err take_number(struct nj_parser *parser, char **rest, const char *name, int *out)
{
    int64_t number = 0;
    const char *word = nj_next_token(rest);
    if (!word) {
        return nj_parser_empty(parser, name);
    }
    enum nj_number is = nj_parse_number(word, &number);
    if (is == NJ_NUMBER_BAD) {
        return nj_parser_fail(parser, "Error: '%s' value not a number.", name);
    }
    if (is == NJ_NUMBER_HUGE || number > INT32_MAX || number < INT32_MIN) {
        return nj_parser_fail(parser, "Error: '%s' value out of range.", name);
    }
    *out = (int)number;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_bridge_tcp_keepalive)
{
    static const char *const names[] = {"bridge_tcp_keepalive_idle",
                                        "bridge_tcp_keepalive_interval",
                                        "bridge_tcp_keepalive_counter"};
    static const char *const what[] = {"idle", "interval", "counter"};
    struct nj_bridge_settings *bridge = current(parser);
    int *const fields[] = {&bridge->tcp_keepalive_idle_s, &bridge->tcp_keepalive_interval_s,
                           &bridge->tcp_keepalive_count};
    char *rest = value;
    for (int i = 0; i < 3; i++) {
        enum nj_err err = take_number(parser, &rest, names[i], fields[i]);
        if (err != NJ_OK) {
            return err;
        }
        if (*fields[i] <= 0) {
            return nj_parser_fail(parser, "Error: invalid TCP keepalive %s value.", what[i]);
        }
    }
    return *rest ? nj_parser_invalid(parser, option, rest) : NJ_OK;
}

static int within(const char *what, int number, int min, int max)
{
    int kept = number < min ? min : number > max ? max : number;
    if (kept != number) {
        nj_log(NJ_LOG_NOTICE, "restart_timeout %s too %s, using %d seconds.", what,
               number < min ? "low" : "high", kept);
    }
    return kept;
}

NJ_CUSTOM_PARSER(nj_parse_bridge_restart)
{
    struct nj_bridge_settings *bridge = current(parser);
    char *rest = value;
    int base = 0;
    enum nj_err err = take_number(parser, &rest, option->name, &base);
    if (err != NJ_OK) {
        return err;
    }
    base = within("interval", base, 1, RESTART_MAX_S);
    bridge->restart_base_s = 0;
    bridge->restart_cap_s = base;
    if (!*rest) {
        return NJ_OK;
    }
    bridge->restart_base_s = base;
    err = take_number(parser, &rest, option->name, &bridge->restart_cap_s);
    if (err == NJ_OK && bridge->restart_cap_s < base) {
        err =
            nj_parser_fail(parser, "Error: backoff cap is lower than the base in restart_timeout.");
    }
    bridge->restart_cap_s = err == NJ_OK ? within("cap", bridge->restart_cap_s, 1, CAP_MAX_S) : 0;
    if (err == NJ_OK && *rest) {
        err = take_number(parser, &rest, option->name, &bridge->restart_stable_s);
    }
    if (err == NJ_OK && bridge->restart_stable_s < 0) {
        err = nj_parser_fail(parser, "Error: stable connection period cannot be negative.");
    }
    return err == NJ_OK && *rest ? nj_parser_invalid(parser, option, rest) : err;
}
