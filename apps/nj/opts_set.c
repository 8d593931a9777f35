/* What each option does with its value. Texts of errors are the original's. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "format.h"
#include "opts_priv.h"

static char **text_field(struct nj_opts *opts, const struct nj_opts_row *row)
{
    return (char **)(void *)((char *)opts + row->offset);
}

static int *int_field(struct nj_opts *opts, const struct nj_opts_row *row)
{
    return (int *)(void *)((char *)opts + row->offset);
}

/* As atoi, but natively a value that is not wholly a number fits no range. */
static long number(const struct nj_opts *opts, const char *value)
{
    char *end = NULL;
    long n = strtol(value, &end, 10);
    if (!opts->command->is_compat && (end == value || *end != '\0')) {
        return LONG_MIN;
    }
    return n < INT_MIN ? INT_MIN : n > INT_MAX ? INT_MAX : n;
}

/* A refused number, as the original says it: what atoi made of it. Natively as it was written. */
static enum nj_opts_result refuse_number(const struct nj_opts *opts, const char *before,
                                         const char *value, const char *after)
{
    if (opts->command->is_compat) {
        fprintf(opts->err, "Error: Invalid %s%ld%s", before, number(opts, value), after);
    } else {
        fprintf(opts->err, "Error: Invalid %s%s%s", before, value, after);
    }
    return NJ_OPTS_BAD;
}

enum nj_opts_result nj_opt_set_text(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value)
{
    nj_opts_set(text_field(opts, row), value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_secret(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value)
{
    nj_opts_set_secret(text_field(opts, row), value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_flag(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value)
{
    (void)value;
    *(bool *)((char *)opts + row->offset) = true;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_clear_session(struct nj_opts *opts, const struct nj_opts_row *row,
                                         const char *value)
{
    (void)row;
    (void)value;
    opts->clean_session = false;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_id(struct nj_opts *opts, const struct nj_opts_row *row,
                                  const char *value)
{
    bool is_prefix = row->offset == FIELD(id_prefix);
    if (is_prefix ? opts->id != NULL : opts->id_prefix != NULL) {
        fprintf(opts->err, "Error: -i and -I argument cannot be used together.\n\n");
        return NJ_OPTS_BAD;
    }
    nj_opts_set(text_field(opts, row), value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_port(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 0 || n > 65535) {
        return refuse_number(opts, "port given: ", value, "\n");
    }
    opts->port = (int)n;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_keepalive(struct nj_opts *opts, const struct nj_opts_row *row,
                                         const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 5 || n > 65535) {
        fprintf(opts->err,
                "Error: Invalid keepalive given, it must be between 5 and 65535 inclusive.\n\n");
        return NJ_OPTS_BAD;
    }
    opts->keepalive = (int)n;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_qos(struct nj_opts *opts, const struct nj_opts_row *row,
                                   const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 0 || n > 2) {
        return refuse_number(opts, "QoS given: ", value, "\n");
    }
    opts->qos = (int)n;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_will_qos(struct nj_opts *opts, const struct nj_opts_row *row,
                                        const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 0 || n > 2) {
        return refuse_number(opts, "will QoS ", value, ".\n\n");
    }
    opts->will.qos = (int)n;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_will_topic(struct nj_opts *opts, const struct nj_opts_row *row,
                                          const char *value)
{
    (void)row;
    if (!nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in --will-topic argument.\n\n");
        return NJ_OPTS_BAD;
    }
    if (!nj_opts_is_topic(value)) {
        fprintf(opts->err, "Error: Invalid will topic '%s', does it contain '+' or '#'?\n", value);
        return NJ_OPTS_BAD;
    }
    nj_opts_set(&opts->will.topic, value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_positive(struct nj_opts *opts, const struct nj_opts_row *row,
                                        const char *value)
{
    static const struct {
        size_t offset;
        const char *text;
    } TEXTS[] = {
        {FIELD(max_inflight), "Error: Maximum inflight messages must be greater than 0.\n\n"},
        {FIELD(repeat_count), "Error: --repeat argument must be >0.\n\n"},
    };
    long n = number(opts, value);
    if (n >= 1 && (row->offset != FIELD(max_inflight) || n <= 65535)) {
        *int_field(opts, row) = (int)n;
        return NJ_OPTS_OK;
    }
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        if (TEXTS[i].offset == row->offset) {
            (void)fputs(TEXTS[i].text, opts->err);
            return NJ_OPTS_BAD;
        }
    }
    return refuse_number(opts,
                         row->offset == FIELD(message_count) ? "message count \"" : "timeout \"",
                         value, "\".\n\n");
}

enum nj_opts_result nj_opt_set_repeat_delay(struct nj_opts *opts, const struct nj_opts_row *row,
                                            const char *value)
{
    (void)row;
    double seconds = strtod(value, NULL);
    /* The upper bound keeps the conversion below defined; it is a thousand years. */
    if (!(seconds >= 0.0 && seconds < 3.2e10)) {
        fprintf(opts->err, "Error: --repeat-delay argument must be >=0.0.\n\n");
        return NJ_OPTS_BAD;
    }
    opts->repeat_delay_us = (uint64_t)(seconds * 1e6);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_random_filter(struct nj_opts *opts, const struct nj_opts_row *row,
                                             const char *value)
{
    (void)row;
    double chance = strtod(value, NULL);
    /* The original lets more than 100 pass, to the same effect. */
    if (!(chance >= 0.1 && chance <= (opts->command->is_compat ? 1000.0 : 100.0))) {
        fprintf(opts->err, "Error: --random-filter chance must be between 0.1-100.0\n\n");
        return NJ_OPTS_BAD;
    }
    opts->random_filter = (int)(chance * 100.0);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_session_expiry(struct nj_opts *opts, const struct nj_opts_row *row,
                                              const char *value)
{
    (void)row;
    if (strcmp(value, "∞") == 0) {
        opts->session_expiry = UINT32_MAX;
        return NJ_OPTS_OK;
    }
    char *end = NULL;
    long n = strtol(value, &end, 0);
    if (end == value || *end != '\0') {
        fprintf(opts->err, "Error: session-expiry-interval not a number.\n\n");
        return NJ_OPTS_BAD;
    }
    if (n < -1 || n > (long)UINT32_MAX) {
        fprintf(opts->err, "Error: session-expiry-interval out of range.\n\n");
        return NJ_OPTS_BAD;
    }
    opts->session_expiry = n == -1 ? (int64_t)UINT32_MAX : n;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_version(struct nj_opts *opts, const struct nj_opts_row *row,
                                       const char *value)
{
    (void)row;
    static const struct {
        const char *name;
        enum nj_mqtt_version version;
    } NAMES[] = {
        {"mqttv31", NJ_MQTT_31}, {"31", NJ_MQTT_31},    {"mqttv311", NJ_MQTT_311},
        {"311", NJ_MQTT_311},    {"mqttv5", NJ_MQTT_5}, {"5", NJ_MQTT_5},
    };
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (strcmp(NAMES[i].name, value) == 0) {
            opts->version = NAMES[i].version;
            return NJ_OPTS_OK;
        }
    }
    fprintf(opts->err, "Error: Invalid protocol version argument given.\n\n");
    return NJ_OPTS_BAD;
}

enum nj_opts_result nj_opt_set_retain_handling(struct nj_opts *opts, const struct nj_opts_row *row,
                                               const char *value)
{
    (void)row;
    static const char *const NAMES[] = {"always", "new", "never"};
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(NAMES[i], value) == 0) {
            opts->retain_handling = i;
            return NJ_OPTS_OK;
        }
    }
    fprintf(opts->err,
            "Error: Unknown value '%s' for --retain-handling, use always, new or "
            "never.\n\n",
            value);
    return NJ_OPTS_BAD;
}

enum nj_opts_result nj_opt_add_topic(struct nj_opts *opts, const struct nj_opts_row *row,
                                     const char *value)
{
    (void)row;
    if (!nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in %s argument.\n\n", "-t");
        return NJ_OPTS_BAD;
    }
    if (opts->tool != NJ_TOOL_SUB) {
        if (!nj_opts_is_topic(value)) {
            fprintf(opts->err, "Error: Invalid publish topic '%s', does it contain '+' or '#'?\n",
                    value);
            return NJ_OPTS_BAD;
        }
        if (opts->topics.count == 1) {
            nj_opts_set(&opts->topics.items[0], value);
            return NJ_OPTS_OK;
        }
    } else if (!nj_opts_is_filter(value)) {
        fprintf(opts->err,
                "Error: Invalid subscription topic '%s', are all '+' and '#' wildcards correct?\n",
                value);
        return NJ_OPTS_BAD;
    }
    nj_opts_list_add(&opts->topics, value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_response_topic(struct nj_opts *opts, const struct nj_opts_row *row,
                                              const char *value)
{
    (void)row;
    if (!nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in %s argument.\n\n", "-e");
        return NJ_OPTS_BAD;
    }
    if (!nj_opts_is_topic(value)) {
        fprintf(opts->err, "Error: Invalid response topic '%s', does it contain '+' or '#'?\n",
                value);
        return NJ_OPTS_BAD;
    }
    nj_opts_set(&opts->response_topic, value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_add_filter(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value)
{
    bool is_out = row->offset == FIELD(filters_out);
    if (!nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in %s argument.\n\n", row->text.shorts);
        return NJ_OPTS_BAD;
    }
    if (!nj_opts_is_filter(value)) {
        fprintf(opts->err, "Error: Invalid %s topic '%s', are all '+' and '#' wildcards correct?\n",
                is_out ? "filter" : "unsubscribe", value);
        return NJ_OPTS_BAD;
    }
    nj_opts_list_add(is_out ? &opts->filters_out : &opts->unsubscribes, value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_mode(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value)
{
    if (opts->mode != NJ_PUB_NONE) {
        fprintf(opts->err, "Error: Only one type of message can be sent at once.\n\n");
        return NJ_OPTS_BAD;
    }
    switch (row->text.shorts[1]) {
    case 'm':
        opts->mode = NJ_PUB_MESSAGE;
        nj_opts_set(&opts->message, value);
        break;
    case 'f':
        opts->mode = NJ_PUB_FILE;
        nj_opts_set(&opts->file, value);
        break;
    case 'l':
        opts->mode = NJ_PUB_STDIN_LINES;
        break;
    case 's':
        opts->mode = NJ_PUB_STDIN_FILE;
        break;
    default:
        opts->mode = NJ_PUB_NULL;
        break;
    }
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_set_format(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value)
{
    (void)row;
    if (!nj_format_check(value, opts->err)) {
        return NJ_OPTS_BAD;
    }
    nj_opts_set(&opts->format, value);
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_read_url(struct nj_opts *opts, const struct nj_opts_row *row,
                                    const char *value)
{
    (void)row;
    return nj_opts_read_url(opts, value);
}

enum nj_opts_result nj_opt_read_proxy(struct nj_opts *opts, const struct nj_opts_row *row,
                                      const char *value)
{
    (void)row;
    return nj_opts_read_proxy(opts, value);
}

/* The file was read before everything else: see nj_opts_load. */
enum nj_opts_result nj_opt_skip(struct nj_opts *opts, const struct nj_opts_row *row,
                                const char *value)
{
    (void)opts;
    (void)row;
    (void)value;
    return NJ_OPTS_OK;
}

enum nj_opts_result nj_opt_help(struct nj_opts *opts, const struct nj_opts_row *row,
                                const char *value)
{
    (void)opts;
    (void)value;
    return strcmp(row->text.longs, "--help") == 0 ? NJ_OPTS_HELP : NJ_OPTS_VERSION;
}
