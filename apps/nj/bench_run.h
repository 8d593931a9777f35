/* One measurement of one broker, and what came out of it. */
#ifndef NJ_APPS_NJ_BENCH_RUN_H
#define NJ_APPS_NJ_BENCH_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bench_opts.h"
#include "bench_verify.h"

struct nj_bench_latency {
    uint64_t count;
    double p50_us;
    double p99_us;
    double p999_us;
    double max_us;
};

struct nj_bench_result {
    bool is_run;   /* the measurement came to its end */
    bool is_wrong; /* a broker's mistake: lost, twice, … or it hung up */
    char problem[256];
    double seconds;     /* measured */
    uint64_t published; /* in this time */
    uint64_t delivered;
    struct nj_bench_latency latency;
    struct nj_bench_latency ack; /* fixed rate, QoS 1 and 2 */
    /* Only with a known process; else has_usage is false. */
    bool has_usage;
    double cpu_us; /* of the broker per delivered message or per connection; 0 = none were */
    double cpu_user_share; /* 0 … 1 */
    double cpu_cores;
    double generator_cpu_us;
    double late_share;  /* fixed rate: of messages that left more than 1 ms late, 0 … 1 */
    uint64_t rss_start; /* before we connected, connected and subscribed, at the end */
    uint64_t rss_ready;
    uint64_t rss_end;
    /* The whole run, warm-up too. */
    uint64_t sent;
    uint64_t expected;
    struct nj_bench_tally tally;
    uint64_t stray;   /* acknowledgements of nothing */
    uint64_t unacked; /* messages that were never acknowledged */
    /* connect */
    uint64_t connections;
    uint64_t resumed; /* TLS handshakes of the whole run that resumed a session */
    struct nj_bench_latency connect;
    /* idle */
    double bytes_per_connection;
    /* subs */
    double bytes_per_subscription;
    /* storm */
    double login_ms; /* median of those done one by one */
    uint32_t logins_in;
    uint32_t logins_refused;
    uint32_t logins_broken;
    double storm_s;
    struct nj_bench_latency storm;
    double storm_late_share;
};

/* Called several times a second. `share` is how much of the phase is over, or negative. */
typedef void (*nj_bench_progress_fn)(void *arg, const char *phase, double share, double rate);

/* Runs options->scenario against options->host, port and pid. Always fills *result; blocks for as
 * long as the measurement takes. The calling thread coordinates, generator threads are started. */
void nj_bench_run(const struct nj_bench_options *options, nj_bench_progress_fn progress, void *arg,
                  struct nj_bench_result *result);

/* Whether the run is good: it came to its end and the broker made no mistake. */
bool nj_bench_result_is_good(const struct nj_bench_result *result);

#endif
