/* See bench_report.h. */
#include "bench_report.h"

#include <inttypes.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024.0)

static void print_latency(FILE *out, const char *what, const struct nj_bench_latency *latency)
{
    if (latency->count) {
        (void)fprintf(out, "  %-12s p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us\n", what,
                      latency->p50_us, latency->p99_us, latency->p999_us, latency->max_us);
    }
}

void nj_bench_report_wrongs(FILE *out, const struct nj_bench_result *result)
{
    const struct nj_bench_tally *tally = &result->tally;
    const struct {
        uint64_t count;
        const char *what;
    } wrongs[] = {
        {tally->lost, "lost"},
        {tally->duplicates, "twice"},
        {tally->reordered, "out of order"},
        {tally->corrupt, "corrupt or on a wrong topic"},
        {tally->strange, "with wrong QoS, flags or receiver"},
        {result->stray, "acknowledgements of nothing"},
        {result->unacked, "not acknowledged"},
        {result->logins_broken, "logins cut off"},
    };
    const char *between = "  WRONG        ";
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        if (wrongs[i].count) {
            (void)fprintf(out, "%s%" PRIu64 " %s", between, wrongs[i].count, wrongs[i].what);
            between = ", ";
        }
    }
    if (between[0] == ',') {
        (void)fputc('\n', out);
    }
}

static void print_usage(FILE *out, const struct nj_bench_options *options,
                        const struct nj_bench_result *result)
{
    if (!result->has_usage) {
        (void)fprintf(out, "  broker       not measured (give --broker-pid)\n");
        return;
    }
    const char *unit = options->scenario == NJ_BENCH_CONNECT ? "connection" : "delivered message";
    if (options->scenario != NJ_BENCH_IDLE) {
        (void)fprintf(out, "  broker       %.2f us CPU per %s (%.0f %% user), %.2f cores\n",
                      result->cpu_us, unit, result->cpu_user_share * 100, result->cpu_cores);
    }
    (void)fprintf(out, "  memory       %.1f MiB before, %.1f MiB connected",
                  (double)result->rss_start / MIB, (double)result->rss_ready / MIB);
    if (result->rss_end) {
        (void)fprintf(out, ", %.1f MiB at the end", (double)result->rss_end / MIB);
    }
    (void)fputc('\n', out);
    if (options->scenario == NJ_BENCH_IDLE) {
        (void)fprintf(out, "  each         %.0f bytes per connection (%.2f KiB)\n",
                      result->bytes_per_connection, result->bytes_per_connection / KIB);
    }
    if (options->scenario == NJ_BENCH_SUBS) {
        (void)fprintf(out, "  each         %.0f bytes per subscription\n",
                      result->bytes_per_subscription);
    }
}

static void print_storm(FILE *out, const struct nj_bench_result *result)
{
    uint32_t all = result->logins_in + result->logins_refused + result->logins_broken;
    (void)fprintf(out,
                  "  logins       %" PRIu32 " in, %" PRIu32 " refused, %" PRIu32
                  " cut off; %.1f s, %.0f/s; alone one takes %.1f ms\n",
                  result->logins_in, result->logins_refused, result->logins_broken, result->storm_s,
                  result->storm_s > 0 ? all / result->storm_s : 0, result->login_ms);
    print_latency(out, "in the storm", &result->storm);
    if (result->storm_late_share > 0.01) {
        (void)fprintf(out, "  generator    late with %.1f %% of its messages in the storm\n",
                      result->storm_late_share * 100);
    }
    if (result->latency.p99_us > 0) {
        (void)fprintf(out, "  p99          %.2f times the quiet one\n",
                      result->storm.p99_us / result->latency.p99_us);
    }
}

void nj_bench_report_text(FILE *out, const char *name, const struct nj_bench_options *options,
                          const struct nj_bench_result *result)
{
    (void)fprintf(out, "%s: %s, QoS %" PRIu32 ", %" PRIu32 " bytes", name,
                  nj_bench_scenario_name(options->scenario), options->qos, options->size);
    if (options->publishers) {
        (void)fprintf(out, ", %" PRIu32 " to %" PRIu32, options->publishers, options->subscribers);
    }
    if (options->rate > 0) {
        (void)fprintf(out, ", %.0f messages/s", options->rate);
    } else if (options->publishers) {
        (void)fprintf(out, ", saturated (window %" PRIu32 ")", options->window);
    }
    (void)fprintf(out, "%s\n", options->is_tls ? ", TLS" : "");
    if (result->problem[0]) {
        (void)fprintf(out, "  FAILED       %s\n", result->problem);
        nj_bench_report_wrongs(out, result);
        return;
    }
    double seconds = result->seconds > 0 ? result->seconds : 1;
    if (options->scenario == NJ_BENCH_CONNECT) {
        (void)fprintf(out, "  connections  %" PRIu64 " in %.1f s: %.0f/s\n", result->connections,
                      result->seconds, (double)result->connections / seconds);
        print_latency(out, "CONNACK", &result->connect);
        if (options->is_resume) {
            (void)fprintf(out, "  resumed      %" PRIu64 " TLS sessions (warm-up included)\n",
                          result->resumed);
        }
    } else if (options->scenario != NJ_BENCH_IDLE) {
        (void)fprintf(out, "  delivered    %" PRIu64 " in %.1f s: %.0f/s (%.0f/s published)\n",
                      result->delivered, result->seconds, (double)result->delivered / seconds,
                      (double)result->published / seconds);
        print_latency(out, "latency", &result->latency);
        print_latency(out, "answer", &result->ack);
        (void)fprintf(out, "  generator    %.2f us CPU per message\n", result->generator_cpu_us);
        if (result->late_share > 0.01) {
            (void)fprintf(out,
                          "  DISTURBED    %.1f %% of the messages left more than 1 ms late: the "
                          "generator was starved\n",
                          result->late_share * 100);
        }
    }
    print_usage(out, options, result);
    if (options->scenario == NJ_BENCH_STORM) {
        print_storm(out, result);
    }
    nj_bench_report_wrongs(out, result);
    if (nj_bench_result_is_good(result) && result->expected) {
        (void)fprintf(out, "  verified     %" PRIu64 " messages, each once, whole and in order\n",
                      result->tally.received);
    }
}

static void json_text(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            (void)fprintf(out, "\\u%04x", c);
        } else {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

static void json_latency(FILE *out, const char *name, const struct nj_bench_latency *latency)
{
    (void)fprintf(out,
                  ",\"%s\":{\"count\":%" PRIu64
                  ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.0f}",
                  name, latency->count, latency->p50_us, latency->p99_us, latency->p999_us,
                  latency->max_us);
}

static void json_options(FILE *out, const struct nj_bench_options *options)
{
    (void)fprintf(out,
                  ",\"scenario\":\"%s\",\"qos\":%" PRIu32 ",\"size\":%" PRIu32
                  ",\"publishers\":%" PRIu32 ",\"subscribers\":%" PRIu32
                  ",\"rate\":%.3f,\"window\":%" PRIu32 ",\"threads\":%" PRIu32
                  ",\"tls\":%s,\"mqtt\":%" PRIu32,
                  nj_bench_scenario_name(options->scenario), options->qos, options->size,
                  options->publishers, options->subscribers, options->rate, options->window,
                  options->threads, options->is_tls ? "true" : "false", options->version);
}

static void json_wrongs(FILE *out, const struct nj_bench_result *result)
{
    const struct nj_bench_tally *tally = &result->tally;
    (void)fprintf(out,
                  ",\"sent\":%" PRIu64 ",\"expected\":%" PRIu64 ",\"received\":%" PRIu64
                  ",\"lost\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"reordered\":%" PRIu64
                  ",\"corrupt\":%" PRIu64 ",\"strange\":%" PRIu64 ",\"stray_acks\":%" PRIu64
                  ",\"unacked\":%" PRIu64,
                  result->sent, result->expected, tally->received, tally->lost, tally->duplicates,
                  tally->reordered, tally->corrupt, tally->strange, result->stray, result->unacked);
}

void nj_bench_report_json(FILE *out, const char *name, const struct nj_bench_options *options,
                          const struct nj_bench_result *result)
{
    double seconds = result->seconds > 0 ? result->seconds : 1;
    (void)fprintf(out, "{\"broker\":");
    json_text(out, name);
    json_options(out, options);
    (void)fprintf(out,
                  ",\"good\":%s,\"problem\":", nj_bench_result_is_good(result) ? "true" : "false");
    json_text(out, result->problem);
    (void)fprintf(out,
                  ",\"seconds\":%.3f,\"delivered\":%" PRIu64 ",\"published\":%" PRIu64
                  ",\"throughput\":%.1f,\"generator_cpu_us\":%.4f,\"late_share\":%.5f",
                  result->seconds, result->delivered, result->published,
                  (double)result->delivered / seconds, result->generator_cpu_us,
                  result->late_share);
    json_latency(out, "latency", &result->latency);
    if (result->ack.count) {
        json_latency(out, "ack", &result->ack);
    }
    if (result->has_usage) {
        (void)fprintf(
            out,
            ",\"cpu_us\":%.4f,\"cpu_cores\":%.3f,\"cpu_user_share\":%.3f,\"rss_start\":%" PRIu64
            ",\"rss_ready\":%" PRIu64 ",\"rss_end\":%" PRIu64,
            result->cpu_us, result->cpu_cores, result->cpu_user_share, result->rss_start,
            result->rss_ready, result->rss_end);
    }
    json_wrongs(out, result);
    if (options->scenario == NJ_BENCH_CONNECT) {
        (void)fprintf(out,
                      ",\"connections\":%" PRIu64 ",\"connection_rate\":%.1f,\"resumed\":%" PRIu64,
                      result->connections, (double)result->connections / seconds, result->resumed);
        json_latency(out, "connect", &result->connect);
    }
    if (options->scenario == NJ_BENCH_IDLE) {
        (void)fprintf(out, ",\"bytes_per_connection\":%.1f", result->bytes_per_connection);
    }
    if (options->scenario == NJ_BENCH_SUBS) {
        (void)fprintf(out, ",\"subscriptions\":%" PRIu32 ",\"bytes_per_subscription\":%.1f",
                      options->subscriptions, result->bytes_per_subscription);
    }
    if (options->scenario == NJ_BENCH_STORM) {
        (void)fprintf(out,
                      ",\"logins_in\":%" PRIu32 ",\"logins_refused\":%" PRIu32
                      ",\"logins_broken\":%" PRIu32
                      ",\"storm_seconds\":%.3f,\"login_ms\":%.3f,\"storm_late_share\":%.5f",
                      result->logins_in, result->logins_refused, result->logins_broken,
                      result->storm_s, result->login_ms, result->storm_late_share);
        json_latency(out, "storm", &result->storm);
    }
    (void)fputc('}', out);
}
