/* See bench_compare.h. */
#include "bench_compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "bench_report.h"
#include "bench_spawn.h"

struct side {
    char name[128];
    struct nj_bench_options options;
    struct nj_bench_broker broker; /* when we started it */
    struct nj_bench_result *results;
};

/* One figure of a result that is worth a ratio. */
struct figure {
    const char *name;
    const char *unit;
    double (*get)(const struct nj_bench_result *result);
};

static double get_cpu(const struct nj_bench_result *result)
{
    return result->cpu_us;
}

static double get_rate(const struct nj_bench_result *result)
{
    uint64_t units = result->connections ? result->connections : result->delivered;
    return result->seconds > 0 ? (double)units / result->seconds : 0;
}

static double get_p50(const struct nj_bench_result *result)
{
    return result->connect.count ? result->connect.p50_us : result->latency.p50_us;
}

static double get_p99(const struct nj_bench_result *result)
{
    return result->connect.count ? result->connect.p99_us : result->latency.p99_us;
}

static double get_memory(const struct nj_bench_result *result)
{
    return result->bytes_per_connection > 0 ? result->bytes_per_connection
                                            : (double)result->rss_ready;
}

static const struct figure FIGURES[] = {
    {"CPU each", "us", get_cpu}, {"rate", "/s", get_rate},        {"p50", "us", get_p50},
    {"p99", "us", get_p99},      {"memory", "bytes", get_memory},
};
#define FIGURES_COUNT (sizeof(FIGURES) / sizeof(FIGURES[0]))

/* The number that `text` begins with, up to `end`, which must follow it. */
static bool take_number(const char **text, char end, uint32_t max, uint32_t *out)
{
    char *after;
    unsigned long value = strtoul(*text, &after, 10);
    if (after == *text || *after != end || **text == '-' || value == 0 || value > max) {
        return false;
    }
    *out = (uint32_t)value;
    *text = after + (end != '\0');
    return true;
}

/* HOST:PORT or HOST:PORT:PID; everything else is a program. */
static bool parse_address(struct nj_bench_options *options, const char *text)
{
    static char host[128];
    const char *colon = strchr(text, ':');
    if (strchr(text, '/') != NULL || colon == NULL || (size_t)(colon - text) >= sizeof(host)) {
        return false;
    }
    const char *at = colon + 1;
    uint32_t port;
    uint32_t pid = 0;
    if (!take_number(&at, '\0', 65535, &port) &&
        !(take_number(&at, ':', 65535, &port) && take_number(&at, '\0', INT32_MAX, &pid))) {
        return false;
    }
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    options->host = host;
    options->port = port;
    options->pid = pid;
    return true;
}

static enum nj_err open_side(struct side *side, const struct nj_bench_options *options,
                             const char *program, const char *address)
{
    side->options = *options;
    side->results = nj_zalloc(options->rounds * sizeof(*side->results));
    if (address && parse_address(&side->options, address)) {
        (void)snprintf(side->name, sizeof(side->name), "%s", address);
        return NJ_OK;
    }
    program = program ? program : address;
    if (program == NULL) {
        (void)snprintf(side->name, sizeof(side->name), "%s:%" PRIu32, options->host, options->port);
        return NJ_OK;
    }
    const char *slash = strrchr(program, '/');
    (void)snprintf(side->name, sizeof(side->name), "%s", slash ? slash + 1 : program);
    enum nj_err err = nj_bench_broker_start(program, options->conf, &side->broker);
    side->options.host = "127.0.0.1";
    side->options.port = side->broker.port;
    side->options.pid = (uint32_t)side->broker.pid;
    return err;
}

static void close_side(struct side *side)
{
    nj_bench_broker_stop(&side->broker);
    nj_free(side->results);
}

static int compare_real(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

struct spread {
    double min;
    double median;
    double max;
};

/* Of figure(a[i]) / figure(b[i]), or of figure(a[i]) without b. All 0 when it was not measured. */
static struct spread spread_of(const struct figure *figure, const struct side *a,
                               const struct side *b, uint32_t rounds)
{
    double *values = nj_zalloc(rounds * sizeof(*values));
    for (uint32_t i = 0; i < rounds; i++) {
        double value = figure->get(&a->results[i]);
        double base = b ? figure->get(&b->results[i]) : 1;
        values[i] = base > 0 ? value / base : 0;
    }
    qsort(values, rounds, sizeof(*values), compare_real);
    double middle = values[rounds / 2];
    if (rounds % 2 == 0) {
        middle = (middle + values[rounds / 2 - 1]) / 2;
    }
    struct spread spread = {values[0], middle, values[rounds - 1]};
    nj_free(values);
    return spread;
}

static void print_text(const struct side sides[2], uint32_t rounds)
{
    printf("\n%-10s %6s %14s %14s   ratio min / median / max of %" PRIu32 " rounds\n", "", "",
           sides[0].name, sides[1].name, rounds);
    for (size_t i = 0; i < FIGURES_COUNT; i++) {
        struct spread a = spread_of(&FIGURES[i], &sides[0], NULL, rounds);
        struct spread b = spread_of(&FIGURES[i], &sides[1], NULL, rounds);
        struct spread ratio = spread_of(&FIGURES[i], &sides[0], &sides[1], rounds);
        if (a.median > 0 && b.median > 0) {
            printf("%-10s %6s %14.2f %14.2f   %.3f / %.3f / %.3f\n", FIGURES[i].name,
                   FIGURES[i].unit, a.median, b.median, ratio.min, ratio.median, ratio.max);
        }
    }
}

static void print_json(const struct side sides[2], uint32_t rounds)
{
    printf("{\"rounds\":[");
    for (uint32_t i = 0; i < rounds; i++) {
        for (int s = 0; s < 2; s++) {
            printf("%s", i || s ? ",\n " : "");
            nj_bench_report_json(stdout, sides[s].name, &sides[s].options, &sides[s].results[i]);
        }
    }
    printf("],\n\"ratios\":{");
    for (size_t i = 0; i < FIGURES_COUNT; i++) {
        struct spread ratio = spread_of(&FIGURES[i], &sides[0], &sides[1], rounds);
        printf("%s\"%s\":{\"min\":%.4f,\"median\":%.4f,\"max\":%.4f}", i ? "," : "",
               FIGURES[i].name, ratio.min, ratio.median, ratio.max);
    }
    printf("}}\n");
}

static int run_rounds(struct side sides[2], nj_bench_progress_fn progress, void *arg)
{
    int status = NJ_BENCH_EXIT_OK;
    const struct nj_bench_options *options = &sides[0].options;
    for (uint32_t round = 0; round < options->rounds; round++) {
        for (uint32_t turn = 0; turn < 2; turn++) {
            struct side *side = &sides[(turn + round) % 2];
            struct nj_bench_result *result = &side->results[round];
            nj_bench_run(&side->options, progress, arg, result);
            if (progress) {
                (void)fprintf(stderr, "\r\033[K");
            }
            if (!options->is_json) {
                nj_bench_report_text(stdout, side->name, &side->options, result);
                (void)fflush(stdout);
            }
            if (!result->is_run && !result->is_wrong) {
                (void)fprintf(stderr, "Error: %s: %s.\n", side->name, result->problem);
                return NJ_BENCH_EXIT_FAILED;
            }
            if (!nj_bench_result_is_good(result)) {
                status = NJ_BENCH_EXIT_WRONG;
            }
        }
    }
    return status;
}

int nj_bench_compare(const struct nj_bench_options *options, nj_bench_progress_fn progress,
                     void *arg)
{
    struct side *sides = nj_zalloc(2 * sizeof(*sides));
    int status = NJ_BENCH_EXIT_FAILED;
    if (open_side(&sides[0], options, options->broker, NULL) == NJ_OK &&
        open_side(&sides[1], options, NULL, options->compare) == NJ_OK) {
        status = run_rounds(sides, progress, arg);
        if (status != NJ_BENCH_EXIT_FAILED && options->is_json) {
            print_json(sides, options->rounds);
        } else if (status != NJ_BENCH_EXIT_FAILED) {
            print_text(sides, options->rounds);
        }
    }
    close_side(&sides[0]);
    close_side(&sides[1]);
    nj_free(sides);
    return status;
}
