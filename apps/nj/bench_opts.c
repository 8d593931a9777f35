/* See bench_opts.h. */
#include "bench_opts.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bench_verify.h"
#include "manual.h"

enum kind {
    KIND_FLAG,
    KIND_NUMBER, /* uint32_t */
    KIND_REAL,   /* double, not negative */
    KIND_TEXT
};

struct option_row {
    const char *name;
    char letter; /* 0 = none */
    enum kind kind;
    size_t offset;
    uint32_t min;
    uint32_t max;
    const char *argument;
    const char *help;
};

#define AT(field) offsetof(struct nj_bench_options, field)

static const struct option_row ROWS[] = {
    {"host", 'h', KIND_TEXT, AT(host), 0, 0, "HOST", "broker's address (127.0.0.1)"},
    {"port", 'p', KIND_NUMBER, AT(port), 1, 65535, "PORT", "its port (1883, with --tls 8883)"},
    {"broker-pid", 0, KIND_NUMBER, AT(pid), 1, INT32_MAX, "PID",
     "its process, to measure CPU and memory"},
    {"broker", 0, KIND_TEXT, AT(broker), 0, 0, "PATH", "start this program as the broker instead"},
    {"compare", 0, KIND_TEXT, AT(compare), 0, 0, "PATH",
     "a second broker: a program, or HOST:PORT[:PID]"},
    {"broker-conf", 0, KIND_TEXT, AT(conf), 0, 0, "FILE",
     "more configuration for brokers started here"},
    {"rounds", 0, KIND_NUMBER, AT(rounds), 1, 1000, "N", "rounds of a comparison (3)"},
    {"qos", 'q', KIND_NUMBER, AT(qos), 0, 2, "0|1|2", "publish and subscribe with this QoS (0)"},
    {"publishers", 0, KIND_NUMBER, AT(publishers), 1, 60000, "N", "publishing connections"},
    {"subscribers", 0, KIND_NUMBER, AT(subscribers), 1, 60000, "N", "subscribing connections"},
    {"stored", 0, KIND_FLAG, AT(is_stored), 0, 0, NULL,
     "subscribers have sessions that outlive their connection"},
    {"size", 's', KIND_NUMBER, AT(size), NJ_BENCH_STAMP_SIZE, NJ_BENCH_PAYLOAD_MAX, "BYTES",
     "payload size, at least 16 (16)"},
    {"rate", 'r', KIND_REAL, AT(rate), 0, 0, "N",
     "publish N messages/s in all; latency counts from the\nintended moment. Without: as fast as "
     "the window lets"},
    {"window", 'w', KIND_NUMBER, AT(window), 1, 32768, "N",
     "saturated: messages of one publisher under way (8)"},
    {"warmup", 0, KIND_REAL, AT(warmup_s), 0, 0, "SECONDS", "not measured (1)"},
    {"time", 't', KIND_REAL, AT(time_s), 0, 0, "SECONDS", "measured (5)"},
    {"threads", 'T', KIND_NUMBER, AT(threads), 1, 64, "N", "generator threads (1)"},
    {"subscriptions", 0, KIND_NUMBER, AT(subscriptions), 1, 4000000, "N",
     "subs: literal, + and # filters, besides a shared one (100000)"},
    {"connections", 0, KIND_NUMBER, AT(connections), 1, 1000000, "N",
     "idle: connections to hold (10000)"},
    {"logins", 0, KIND_NUMBER, AT(logins), 1, 1000000, "N",
     "storm: logins, one attempt each (2000)"},
    {"login-file", 0, KIND_TEXT, AT(login_file), 0, 0, "FILE",
     "storm: lines user:password, one per login"},
    {"calibrate", 0, KIND_NUMBER, AT(calibrate), 0, 1000, "N",
     "storm: first logins done one by one, to learn what one costs (10)"},
    {"concurrency", 0, KIND_NUMBER, AT(concurrency), 1, 100000, "N",
     "connections being opened at once (64; storm: all)"},
    {"username", 'u', KIND_TEXT, AT(username), 0, 0, "NAME",
     "user name; %n becomes the connection's number"},
    {"password", 'P', KIND_TEXT, AT(password), 0, 0, "TEXT", "password; %n likewise"},
    {"topic-prefix", 0, KIND_TEXT, AT(topic_prefix), 0, 0, "TOPIC",
     "first levels of every topic (nj/bench/<random>)"},
    {"tls", 0, KIND_FLAG, AT(is_tls), 0, 0, NULL, "use TLS"},
    {"cafile", 0, KIND_TEXT, AT(capath_or_file), 0, 0, "FILE",
     "trust these certificates; implies --tls"},
    {"insecure", 0, KIND_FLAG, AT(is_insecure), 0, 0, NULL, "TLS: do not check the certificate"},
    {"resume", 0, KIND_FLAG, AT(is_resume), 0, 0, NULL, "TLS: resume sessions"},
    {"json", 0, KIND_FLAG, AT(is_json), 0, 0, NULL, "results as one JSON object"},
    {"quiet", 0, KIND_FLAG, AT(is_quiet), 0, 0, NULL, "no progress"},
    {"help", 0, KIND_FLAG, AT(wants_help), 0, 0, NULL, "this text"},
};
#define ROWS_COUNT (sizeof(ROWS) / sizeof(ROWS[0]))

struct scenario_row {
    const char *name;
    const char *help;
    uint32_t publishers;
    uint32_t subscribers;
    uint32_t window;
    double rate;
};

static const struct scenario_row SCENARIOS[NJ_BENCH_SCENARIO_COUNT] = {
    [NJ_BENCH_PAIRS] = {"pairs", "N publishers, each to a subscriber of its own", 50, 50, 8, 0},
    [NJ_BENCH_FANOUT] = {"fanout", "every subscriber gets every message", 1, 50, 8, 0},
    [NJ_BENCH_FANIN] = {"fanin", "many publishers to one subscriber", 100, 1, 8, 0},
    [NJ_BENCH_SUBS] = {"subs", "publish into many subscriptions of all kinds", 10, 50, 8, 0},
    [NJ_BENCH_CONNECT] = {"connect", "connect and disconnect, over and over", 0, 0, 1, 0},
    [NJ_BENCH_STORM] = {"storm", "logins arrive at once while steady traffic is measured", 10, 10,
                        64, 1000},
    [NJ_BENCH_IDLE] = {"idle", "hold connections that do nothing; memory of each", 0, 0, 1, 0},
};

const char *nj_bench_scenario_name(enum nj_bench_scenario scenario)
{
    return SCENARIOS[scenario].name;
}

static void print_option(FILE *out, const struct option_row *row)
{
    char left[64];
    if (row->letter) {
        (void)snprintf(left, sizeof(left), "-%c, --%s %s", row->letter, row->name,
                       row->argument ? row->argument : "");
    } else {
        (void)snprintf(left, sizeof(left), "    --%s %s", row->name,
                       row->argument ? row->argument : "");
    }
    const char *text = row->help;
    const char *line = left;
    while (text) {
        const char *end = strchr(text, '\n');
        int len = end ? (int)(end - text) : (int)strlen(text);
        (void)fprintf(out, "  %-28s %.*s\n", line, len, text);
        line = "";
        text = end ? end + 1 : NULL;
    }
}

void nj_bench_help_print(FILE *out)
{
    (void)fprintf(out, "nj bench: put load on an MQTT broker, check every message, measure\n\n"
                       "Usage: nj bench <scenario> [options]\n\nScenarios:\n");
    for (size_t i = 0; i < NJ_BENCH_SCENARIO_COUNT; i++) {
        (void)fprintf(out, "  %-9s %s", SCENARIOS[i].name, SCENARIOS[i].help);
        if (SCENARIOS[i].publishers) {
            (void)fprintf(out, " (%u to %u)", SCENARIOS[i].publishers, SCENARIOS[i].subscribers);
        }
        (void)fputc('\n', out);
    }
    (void)fprintf(out, "\nOptions (default in brackets):\n");
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        print_option(out, &ROWS[i]);
        if (strcmp(ROWS[i].name, "qos") == 0) {
            (void)fprintf(out, "  %-28s %s\n", "-V, --mqtt 3.1|3.1.1|5",
                          "protocol version (3.1.1)");
        }
    }
    (void)fprintf(
        out,
        "\nExit status: 0 all messages came once, whole and in order; 1 they did not;\n"
        "2 wrong usage; 3 the run could not be done.\n\n"
        "Examples:\n"
        "  nj bench pairs -p 1883 --broker-pid $(pidof nightjar)\n"
        "  nj bench fanout --subscribers 500 --broker build/bin/nightjar --compare mosquitto\n");
}

/* The rows in the form that man pages and shells are made from. */
static const struct nj_option_text *option_text(size_t index)
{
    static struct nj_option_text texts[ROWS_COUNT + 1];
    static char names[ROWS_COUNT][2][24];
    if (index == ROWS_COUNT) {
        texts[index] = (struct nj_option_text){
            "-V", "--mqtt", "VERSION", "3.1|3.1.1|5", "Options", "protocol version (3.1.1)", 1};
    } else if (index < ROWS_COUNT) {
        const struct option_row *row = &ROWS[index];
        (void)snprintf(names[index][0], sizeof(names[index][0]), "-%c", row->letter);
        (void)snprintf(names[index][1], sizeof(names[index][1]), "--%s", row->name);
        bool is_path = row->argument != NULL &&
                       (strcmp(row->argument, "FILE") == 0 || strcmp(row->argument, "PATH") == 0);
        texts[index] = (struct nj_option_text){
            .shorts = row->letter != 0 ? names[index][0] : NULL,
            .longs = names[index][1],
            .value = row->argument,
            .complete = is_path ? "<file>" : NULL,
            .group = "Options",
            .help = row->help,
            .tools = 1,
        };
    }
    return index <= ROWS_COUNT ? &texts[index] : NULL;
}

const struct nj_manual NJ_MANUAL_BENCH = {
    .word = "bench",
    .summary = "put load on an MQTT broker, check every message, and measure",
    .synopsis = {"SCENARIO [options]"},
    .description =
        "Scenarios: pairs (N publishers, each to a subscriber of its own), fanout (every "
        "subscriber "
        "gets every message), fanin (many publishers to one subscriber), subs (publish into many "
        "subscriptions of all kinds), connect (connect and disconnect, over and over), storm "
        "(logins arrive at once while steady traffic is measured), idle (hold connections that do "
        "nothing; memory of each).\n\n"
        "Every message is checked to have come once, whole and in order.",
    .tool = 1,
    .option = option_text,
    .words = "pairs|fanout|fanin|subs|connect|storm|idle",
    .statuses = {{"0", "all messages came once, whole and in order"},
                 {"1", "they did not"},
                 {"2", "wrong usage"},
                 {"3", "the run could not be done"}},
    .examples = {{"nj bench pairs -p 1883 --broker-pid $(pidof nightjar)",
                  "a running broker, with its CPU time and memory"},
                 {"nj bench fanout --subscribers 500 --broker ./nightjar --compare mosquitto",
                  "two brokers in turn"}},
    .see_also = "nj(1), nightjar(8)",
};

static bool parse_version(const char *text, uint32_t *out)
{
    static const struct {
        const char *text;
        uint32_t version;
    } NAMES[] = {{"3.1", 3},      {"31", 3}, {"mqttv31", 3}, {"3.1.1", 4}, {"311", 4},
                 {"mqttv311", 4}, {"5", 5},  {"5.0", 5},     {"mqttv5", 5}};
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        if (strcasecmp(text, NAMES[i].text) == 0) {
            *out = NAMES[i].version;
            return true;
        }
    }
    return false;
}

static bool parse_number(const struct option_row *row, const char *text, uint32_t *out)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || text[0] == '-' || value < row->min || value > row->max) {
        (void)fprintf(stderr, "Error: --%s takes a number from %u to %u, not '%s'.\n", row->name,
                      row->min, row->max, text);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_real(const struct option_row *row, const char *text, double *out)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value) || value < 0 || value > 1e9) {
        (void)fprintf(stderr, "Error: --%s takes a number that is not negative, not '%s'.\n",
                      row->name, text);
        return false;
    }
    *out = value;
    return true;
}

static bool set_value(struct nj_bench_options *options, const struct option_row *row,
                      const char *text)
{
    char *field = (char *)options + row->offset;
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)(void *)field = true;
        return true;
    case KIND_NUMBER:
        return parse_number(row, text, (uint32_t *)(void *)field);
    case KIND_REAL:
        return parse_real(row, text, (double *)(void *)field);
    case KIND_TEXT:
        *(const char **)(void *)field = text;
        return true;
    }
    return false;
}

static const struct option_row *find_row(const char *arg)
{
    for (size_t i = 0; i < ROWS_COUNT; i++) {
        bool is_long = strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, ROWS[i].name) == 0;
        bool is_short = ROWS[i].letter && arg[0] == '-' && arg[1] == ROWS[i].letter && !arg[2];
        if (is_long || is_short) {
            return &ROWS[i];
        }
    }
    return NULL;
}

/* One option at argv[*at]; moves *at behind what it used. */
static bool parse_option(struct nj_bench_options *options, int argc, char **argv, int *at)
{
    const char *arg = argv[(*at)++];
    bool is_version = strcmp(arg, "-V") == 0 || strcmp(arg, "--mqtt") == 0;
    const struct option_row *row = is_version ? NULL : find_row(arg);
    if (row == NULL && !is_version) {
        (void)fprintf(stderr,
                      "Error: nj bench knows no option '%s'. `nj bench --help` lists them.\n", arg);
        return false;
    }
    if (row && row->kind == KIND_FLAG) {
        return set_value(options, row, "");
    }
    if (*at >= argc) {
        (void)fprintf(stderr, "Error: '%s' needs a value.\n", arg);
        return false;
    }
    const char *value = argv[(*at)++];
    if (row) {
        return set_value(options, row, value);
    }
    if (!parse_version(value, &options->version)) {
        (void)fprintf(stderr, "Error: '%s' is no MQTT version; 3.1, 3.1.1 and 5 are.\n", value);
        return false;
    }
    return true;
}

static bool parse_scenario(struct nj_bench_options *options, const char *word)
{
    for (size_t i = 0; i < NJ_BENCH_SCENARIO_COUNT; i++) {
        if (strcmp(SCENARIOS[i].name, word) == 0) {
            options->scenario = (enum nj_bench_scenario)i;
            return true;
        }
    }
    (void)fprintf(stderr, "Error: nj bench knows no scenario '%s'; there are", word);
    for (size_t i = 0; i < NJ_BENCH_SCENARIO_COUNT; i++) {
        (void)fprintf(stderr, "%s %s", i ? "," : "", SCENARIOS[i].name);
    }
    (void)fprintf(stderr, ".\n");
    return false;
}

static bool check(struct nj_bench_options *options)
{
    if (options->capath_or_file) {
        options->is_tls = true;
    }
    if (options->port == 0) {
        options->port = options->is_tls ? 8883 : 1883;
    }
    if (options->scenario == NJ_BENCH_PAIRS && options->publishers != options->subscribers) {
        /* One of the two was given: it means pairs. */
        uint32_t given = options->publishers != SCENARIOS[NJ_BENCH_PAIRS].publishers
                             ? options->publishers
                             : options->subscribers;
        options->publishers = given;
        options->subscribers = given;
    }
    if (options->scenario == NJ_BENCH_STORM) {
        options->subscribers = options->publishers;
        if (options->rate <= 0) {
            (void)fprintf(stderr,
                          "Error: storm measures steady traffic: --rate must be above 0.\n");
            return false;
        }
    }
    if (options->scenario == NJ_BENCH_STORM && options->login_file == NULL) {
        (void)fprintf(stderr, "Error: storm needs --login-file with lines user:password.\n");
        return false;
    }
    if (options->time_s <= 0) {
        (void)fprintf(stderr, "Error: --time must be above 0.\n");
        return false;
    }
    return true;
}

enum nj_err nj_bench_options_parse(struct nj_bench_options *options, int argc, char **argv)
{
    *options = (struct nj_bench_options){
        .host = "127.0.0.1",
        .rounds = 3,
        .version = 4,
        .size = NJ_BENCH_STAMP_SIZE,
        .warmup_s = 1,
        .time_s = 5,
        .threads = 1,
        .subscriptions = 100000,
        .logins = 2000,
        .connections = 10000,
        .calibrate = 10,
    };
    int at = 1;
    if (argc < 2) {
        (void)fprintf(stderr, "Error: which scenario? `nj bench --help` lists them.\n");
        return NJ_EINVAL;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        options->wants_help = true;
        return NJ_OK;
    }
    if (!parse_scenario(options, argv[at++])) {
        return NJ_EINVAL;
    }
    const struct scenario_row *row = &SCENARIOS[options->scenario];
    options->publishers = row->publishers;
    options->subscribers = row->subscribers;
    options->window = row->window;
    options->rate = row->rate;
    while (at < argc) {
        if (!parse_option(options, argc, argv, &at)) {
            return NJ_EINVAL;
        }
    }
    if (options->wants_help) {
        return NJ_OK;
    }
    return check(options) ? NJ_OK : NJ_EINVAL;
}
