/* The table of options and what each does with its value. Order and texts matter only where two
 * mistakes meet: the first one on the line is the one reported, as in the original. */
#include "opts.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "format.h"

struct row;
typedef enum nj_opts_result (*option_fn)(struct nj_opts *opts, const struct row *row,
                                         const char *value);

struct row {
    const char *shorts; /* "-h", or NULL */
    const char *longs;  /* "--host", or NULL */
    unsigned tools;
    const char *missing; /* NULL = takes no value; else what the error says when there is none */
    option_fn fn;
    size_t offset; /* of the field that fn sets */
};

#define BOTH        (NJ_TOOL_PUB | NJ_TOOL_SUB)
#define FIELD(name) offsetof(struct nj_opts, name)

static char **text_field(struct nj_opts *opts, const struct row *row)
{
    return (char **)(void *)((char *)opts + row->offset);
}

static int *int_field(struct nj_opts *opts, const struct row *row)
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

static enum nj_opts_result set_text(struct nj_opts *opts, const struct row *row, const char *value)
{
    nj_opts_set(text_field(opts, row), value);
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_secret(struct nj_opts *opts, const struct row *row,
                                      const char *value)
{
    nj_opts_set_secret(text_field(opts, row), value);
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_flag(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)value;
    *(bool *)((char *)opts + row->offset) = true;
    return NJ_OPTS_OK;
}

static enum nj_opts_result clear_session(struct nj_opts *opts, const struct row *row,
                                         const char *value)
{
    (void)row;
    (void)value;
    opts->clean_session = false;
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_id(struct nj_opts *opts, const struct row *row, const char *value)
{
    bool is_prefix = row->offset == FIELD(id_prefix);
    if (is_prefix ? opts->id != NULL : opts->id_prefix != NULL) {
        fprintf(opts->err, "Error: -i and -I argument cannot be used together.\n\n");
        return NJ_OPTS_BAD;
    }
    nj_opts_set(text_field(opts, row), value);
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_port(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 0 || n > 65535) {
        fprintf(opts->err, "Error: Invalid port given: %s\n", value);
        return NJ_OPTS_BAD;
    }
    opts->port = (int)n;
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_keepalive(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result set_qos(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 0 || n > 2) {
        fprintf(opts->err, "Error: Invalid QoS given: %s\n", value);
        return NJ_OPTS_BAD;
    }
    opts->qos = (int)n;
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_will_qos(struct nj_opts *opts, const struct row *row,
                                        const char *value)
{
    (void)row;
    long n = number(opts, value);
    if (n < 0 || n > 2) {
        fprintf(opts->err, "Error: Invalid will QoS %s.\n\n", value);
        return NJ_OPTS_BAD;
    }
    opts->will.qos = (int)n;
    return NJ_OPTS_OK;
}

static enum nj_opts_result set_will_topic(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result set_positive(struct nj_opts *opts, const struct row *row,
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
    bool is_count = row->offset == FIELD(message_count);
    fprintf(opts->err, "Error: Invalid %s \"%s\".\n\n", is_count ? "message count" : "timeout",
            value);
    return NJ_OPTS_BAD;
}

static enum nj_opts_result set_repeat_delay(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result set_random_filter(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result set_session_expiry(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result set_version(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result set_retain_handling(struct nj_opts *opts, const struct row *row,
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

static enum nj_opts_result add_topic(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)row;
    if (!nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in %s argument.\n\n", "-t");
        return NJ_OPTS_BAD;
    }
    if (opts->tool == NJ_TOOL_PUB) {
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

static enum nj_opts_result add_filter(struct nj_opts *opts, const struct row *row,
                                      const char *value)
{
    bool is_out = row->offset == FIELD(filters_out);
    if (!nj_opts_is_utf8(value)) {
        fprintf(opts->err, "Error: Malformed UTF-8 in %s argument.\n\n", row->shorts);
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

static enum nj_opts_result set_mode(struct nj_opts *opts, const struct row *row, const char *value)
{
    if (opts->mode != NJ_PUB_NONE) {
        fprintf(opts->err, "Error: Only one type of message can be sent at once.\n\n");
        return NJ_OPTS_BAD;
    }
    switch (row->shorts[1]) {
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

static enum nj_opts_result set_format(struct nj_opts *opts, const struct row *row,
                                      const char *value)
{
    (void)row;
    if (!nj_format_check(value, opts->err)) {
        return NJ_OPTS_BAD;
    }
    nj_opts_set(&opts->format, value);
    return NJ_OPTS_OK;
}

static enum nj_opts_result read_url(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)row;
    return nj_opts_read_url(opts, value);
}

static enum nj_opts_result read_proxy(struct nj_opts *opts, const struct row *row,
                                      const char *value)
{
    (void)row;
    return nj_opts_read_proxy(opts, value);
}

/* The file was read before everything else: see nj_opts_load. */
static enum nj_opts_result skip(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)opts;
    (void)row;
    (void)value;
    return NJ_OPTS_OK;
}

static enum nj_opts_result help(struct nj_opts *opts, const struct row *row, const char *value)
{
    (void)opts;
    (void)value;
    return strcmp(row->longs, "--help") == 0 ? NJ_OPTS_HELP : NJ_OPTS_VERSION;
}

#define GIVEN              " argument given but no "
#define FILE_GIVEN(option) option GIVEN "file specified"

static const struct row ROWS[] = {
    {"-A", NULL, BOTH, "-A" GIVEN "address specified", set_text, FIELD(bind_address)},
    {"-c", "--disable-clean-session", BOTH, NULL, clear_session, 0},
    {NULL, "--cafile", BOTH, FILE_GIVEN("--cafile"), set_text, FIELD(tls.cafile)},
    {NULL, "--capath", BOTH, "--capath" GIVEN "directory specified", set_text, FIELD(tls.capath)},
    {NULL, "--cert", BOTH, FILE_GIVEN("--cert"), set_text, FIELD(tls.certfile)},
    {NULL, "--ciphers", BOTH, "--ciphers" GIVEN "ciphers specified", set_text, FIELD(tls.ciphers)},
    {"-C", NULL, NJ_TOOL_SUB, "-C" GIVEN "count specified", set_positive, FIELD(message_count)},
    {"-d", "--debug", BOTH, NULL, set_flag, FIELD(is_debug)},
    {"-E", NULL, NJ_TOOL_SUB, NULL, set_flag, FIELD(exit_after_sub)},
    {"-f", "--file", NJ_TOOL_PUB, FILE_GIVEN("-f"), set_mode, 0},
    {"-F", NULL, NJ_TOOL_SUB, "-F" GIVEN "format specified", set_format, 0},
    {NULL, "--help", BOTH, NULL, help, 0},
    {"-h", "--host", BOTH, "-h" GIVEN "host specified", set_text, FIELD(host)},
    {NULL, "--insecure", BOTH, NULL, set_flag, FIELD(tls.is_insecure)},
    {"-i", "--id", BOTH, "-i" GIVEN "id specified", set_id, FIELD(id)},
    {"-I", "--id-prefix", BOTH, "-I" GIVEN "id prefix specified", set_id, FIELD(id_prefix)},
    {"-k", "--keepalive", BOTH, "-k" GIVEN "keepalive specified", set_keepalive, 0},
    {NULL, "--key", BOTH, FILE_GIVEN("--key"), set_text, FIELD(tls.keyfile)},
    {NULL, "--keyform", BOTH, "--keyform" GIVEN "keyform specified", set_text, FIELD(tls.keyform)},
    {"-L", "--url", BOTH, "-L" GIVEN "URL specified", read_url, 0},
    {"-l", "--stdin-line", NJ_TOOL_PUB, NULL, set_mode, 0},
    {"-m", "--message", NJ_TOOL_PUB, "-m" GIVEN "message specified", set_mode, 0},
    {"-M", NULL, BOTH, "-M argument given but max_inflight not specified", set_positive,
     FIELD(max_inflight)},
    {NULL, "--message-rate", NJ_TOOL_SUB, NULL, set_flag, FIELD(is_message_rate)},
    {NULL, "--nodelay", BOTH, NULL, set_flag, FIELD(nodelay)},
    {NULL, "--no-tls", BOTH, NULL, set_flag, FIELD(tls.no_tls)},
    {"-n", "--null-message", NJ_TOOL_PUB, NULL, set_mode, 0},
    {"-N", NULL, NJ_TOOL_SUB, NULL, set_flag, FIELD(no_eol)},
    {"-o", NULL, BOTH, "-o" GIVEN "options file specified", skip, 0},
    {"-p", "--port", BOTH, "-p" GIVEN "port specified", set_port, 0},
    {"-P", "--pw", BOTH, "-P" GIVEN "password specified", set_secret, FIELD(password)},
    {NULL, "--pretty", NJ_TOOL_SUB, NULL, set_flag, FIELD(is_pretty)},
    {NULL, "--proxy", BOTH, "--proxy" GIVEN "proxy url specified", read_proxy, 0},
    {NULL, "--psk", BOTH, "--psk" GIVEN "key specified", set_secret, FIELD(tls.psk)},
    {NULL, "--psk-identity", BOTH, "--psk-identity" GIVEN "identity specified", set_text,
     FIELD(tls.psk_identity)},
    {"-q", "--qos", BOTH, "-q" GIVEN "QoS specified", set_qos, 0},
    {NULL, "--quiet", BOTH, NULL, set_flag, FIELD(is_quiet)},
    {"-r", "--retain", NJ_TOOL_PUB, NULL, set_flag, FIELD(retain)},
    {"-R", NULL, NJ_TOOL_SUB, NULL, set_flag, FIELD(no_retain)},
    {NULL, "--random-filter", NJ_TOOL_SUB, "--random-filter" GIVEN "chance specified",
     set_random_filter, 0},
    {NULL, "--remove-retained", NJ_TOOL_SUB, NULL, set_flag, FIELD(remove_retained)},
    {NULL, "--repeat", NJ_TOOL_PUB, "--repeat" GIVEN "count specified", set_positive,
     FIELD(repeat_count)},
    {NULL, "--repeat-delay", NJ_TOOL_PUB, "--repeat-delay" GIVEN "time specified", set_repeat_delay,
     0},
    {NULL, "--retain-as-published", NJ_TOOL_SUB, NULL, set_flag, FIELD(retain_as_published)},
    {NULL, "--retain-handling", NJ_TOOL_SUB, "--retain-handling" GIVEN "option specified",
     set_retain_handling, 0},
    {NULL, "--retained-only", NJ_TOOL_SUB, NULL, set_flag, FIELD(retained_only)},
    {"-s", "--stdin-file", NJ_TOOL_PUB, NULL, set_mode, 0},
    {"-S", NULL, BOTH, NULL, set_flag, FIELD(use_srv)},
    {"-t", "--topic", BOTH, "-t" GIVEN "topic specified", add_topic, 0},
    {"-T", "--filter-out", NJ_TOOL_SUB, "-T" GIVEN "topic filter specified", add_filter,
     FIELD(filters_out)},
    {NULL, "--tls-alpn", BOTH, "--tls-alpn" GIVEN "protocol specified", set_text, FIELD(tls.alpn)},
    {NULL, "--tls-engine", BOTH, "--tls-engine" GIVEN "engine_id specified", set_text,
     FIELD(tls.engine)},
    {NULL, "--tls-engine-kpass-sha1", BOTH, "--tls-engine-kpass-sha1" GIVEN "kpass sha1 specified",
     set_secret, FIELD(tls.engine_kpass_sha1)},
    {NULL, "--tls-keylog", BOTH, FILE_GIVEN("--tls-keylog"), set_text, FIELD(tls.keylog)},
    {NULL, "--tls-use-os-certs", BOTH, NULL, set_flag, FIELD(tls.use_os_certs)},
    {NULL, "--tls-version", BOTH, "--tls-version" GIVEN "version specified", set_text,
     FIELD(tls.version)},
    {"-u", "--username", BOTH, "-u" GIVEN "username specified", set_text, FIELD(username)},
    {NULL, "--unix", BOTH, "--unix" GIVEN "socket path specified", set_text, FIELD(unix_path)},
    {"-U", "--unsubscribe", NJ_TOOL_SUB, "-U" GIVEN "unsubscribe topic specified", add_filter,
     FIELD(unsubscribes)},
    {"-v", "--verbose", NJ_TOOL_SUB, NULL, set_flag, FIELD(is_verbose)},
    {"-V", "--protocol-version", BOTH, "--protocol-version" GIVEN "version specified", set_version,
     0},
    {NULL, "--version", BOTH, NULL, help, 0},
    {"-w", "--watch", NJ_TOOL_SUB, NULL, set_flag, FIELD(is_watch)},
    {"-W", NULL, NJ_TOOL_SUB, "-W" GIVEN "timeout specified", set_positive, FIELD(timeout_s)},
    {NULL, "--will-payload", BOTH, "--will-payload" GIVEN "will payload specified", set_text,
     FIELD(will.payload)},
    {NULL, "--will-qos", BOTH, "--will-qos" GIVEN "will QoS specified", set_will_qos, 0},
    {NULL, "--will-retain", BOTH, NULL, set_flag, FIELD(will.retain)},
    {NULL, "--will-topic", BOTH, "--will-topic" GIVEN "will topic specified", set_will_topic, 0},
    {NULL, "--ws", BOTH, NULL, set_flag, FIELD(is_ws)},
    {"-x", NULL, BOTH, "-x" GIVEN "session expiry interval specified", set_session_expiry, 0},
};
#define ROWS_COUNT (sizeof(ROWS) / sizeof(ROWS[0]))

static const struct row *find_row(const struct nj_opts *opts, const char *arg)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        const struct row *row = &ROWS[i];
        if ((row->tools & opts->tool) != 0 &&
            ((row->shorts != NULL && strcmp(row->shorts, arg) == 0) ||
             (row->longs != NULL && strcmp(row->longs, arg) == 0))) {
            return row;
        }
    }
    return NULL;
}

enum nj_opts_result nj_opts_read_args(struct nj_opts *opts, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char plain[64];
        const char *arg = nj_opts_plain_dashes(argv[i], plain, sizeof(plain));
        enum nj_opts_result result = NJ_OPTS_OK;
        if (strcmp(arg, "-D") == 0 || strcmp(arg, "--property") == 0) {
            int used = 0;
            result = nj_opts_read_prop(opts, argc - i - 1, argv + i + 1, &used);
            i += used;
        } else {
            const struct row *row = find_row(opts, arg);
            if (row == NULL) {
                fprintf(opts->err, "Error: Unknown option '%s'.\n", argv[i]);
                return NJ_OPTS_BAD;
            }
            if (row->missing == NULL) {
                result = row->fn(opts, row, NULL);
            } else if (i + 1 == argc) {
                fprintf(opts->err, "Error: %s.\n\n", row->missing);
                return NJ_OPTS_BAD;
            } else {
                result = row->fn(opts, row, argv[++i]);
            }
        }
        if (result != NJ_OPTS_OK) {
            return result;
        }
    }
    return NJ_OPTS_OK;
}
