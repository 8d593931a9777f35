/* See bench_run.h. The coordinator moves the phases, samples counters and the broker's CPU at the
 * same moments, and adds everything up after the threads have ended. */
#include "bench_run.h"

#include <sys/resource.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench_engine.h"
#include "bench_proc.h"

#define POLL_NS 50000000ull
/* A set-up or a drain in which nothing happens for so long has failed. */
#define STALL_NS 10000000000ull
/* Hash times may be long, and a broker may hold back refusals. */
#define STORM_STALL_NS 60000000000ull

struct run {
    struct nj_bench_engine engine;
    const struct nj_bench_options *options;
    struct nj_bench_result *result;
    nj_bench_progress_fn progress;
    void *progress_arg;
    uint64_t reported_ns;
    uint64_t reported_delivered;
};

struct sample {
    struct nj_bench_usage broker;
    uint64_t at_ns;
    uint64_t delivered;
    uint64_t published;
    uint64_t cycles;
    uint64_t own_cpu_ns;
};

static bool has_failed(const struct run *run)
{
    return atomic_load(&run->engine.failed) == 2;
}

static void set_phase(struct run *run, enum nj_bench_phase phase)
{
    atomic_store(&run->engine.phase, (int)phase);
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        nj_bench_thread_wake(&run->engine.threads[i]);
    }
}

static uint64_t own_cpu_ns(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

static struct sample take_sample(struct run *run)
{
    struct sample sample = {.at_ns = nj_clock_mono_ns(), .own_cpu_ns = own_cpu_ns()};
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        struct nj_bench_thread *thread = &run->engine.threads[i];
        sample.delivered += atomic_load(&thread->delivered);
        sample.published += atomic_load(&thread->published);
        sample.cycles += atomic_load(&thread->cycles);
    }
    if (run->result->has_usage &&
        nj_bench_usage_read((pid_t)run->options->pid, &sample.broker) != NJ_OK) {
        nj_bench_fail(&run->engine, "the broker's process %" PRIu32 " is gone", run->options->pid);
    }
    return sample;
}

static void pause_ns(uint64_t ns)
{
    struct timespec time = {.tv_sec = (time_t)(ns / 1000000000ull),
                            .tv_nsec = (long)(ns % 1000000000ull)};
    nanosleep(&time, NULL);
}

static void report(struct run *run, const char *phase, double share)
{
    uint64_t now = nj_clock_mono_ns();
    if (run->progress == NULL || now - run->reported_ns < 4 * POLL_NS) {
        return;
    }
    uint64_t delivered = 0;
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        delivered += atomic_load(&run->engine.threads[i].delivered);
    }
    double rate = 0;
    if (run->reported_ns) {
        rate =
            (double)(delivered - run->reported_delivered) * 1e9 / (double)(now - run->reported_ns);
    }
    run->progress(run->progress_arg, phase, share, rate);
    run->reported_ns = now;
    run->reported_delivered = delivered;
}

/* Waits `seconds`, unless the run fails. */
static void wait_for(struct run *run, const char *phase, double seconds)
{
    uint64_t start = nj_clock_mono_ns();
    uint64_t end = start + (uint64_t)(seconds * 1e9);
    uint64_t now = start;
    while (now < end && !has_failed(run)) {
        report(run, phase, (double)(now - start) / (double)(end - start));
        pause_ns(end - now < POLL_NS ? end - now : POLL_NS);
        now = nj_clock_mono_ns();
    }
}

/* How far a phase without an end of its own is, and how far it has to go. */
typedef uint64_t (*level_fn)(struct run *run);

/* Waits until level() reaches `goal`; false (and no failure) when it stalls. */
static bool wait_level(struct run *run, const char *phase, level_fn level, uint64_t goal,
                       uint64_t stall_ns)
{
    uint64_t seen = 0;
    uint64_t moved = nj_clock_mono_ns();
    while (!has_failed(run)) {
        uint64_t now = nj_clock_mono_ns();
        uint64_t at = level(run);
        if (at >= goal) {
            return true;
        }
        if (at != seen) {
            seen = at;
            moved = now;
        } else if (now - moved > stall_ns) {
            return false;
        }
        report(run, phase, (double)at / (double)goal);
        pause_ns(POLL_NS / 10);
    }
    return false;
}

static uint64_t ready_level(struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        sum += atomic_load(&run->engine.threads[i].ready);
    }
    return sum;
}

static uint64_t logins_level(struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        sum += atomic_load(&run->engine.threads[i].logins_done);
    }
    return sum;
}

/* Deliveries that have come back; the goal is what was sent. */
static uint64_t returned_level(struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->engine.pubs_count; i++) {
        sum += atomic_load(&run->engine.pubs[i].returned);
    }
    return sum;
}

/* How many acknowledgements are still to come, from a fixed base. */
static uint64_t acked_level(struct run *run)
{
    uint64_t sum = UINT64_MAX / 2;
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        sum -= atomic_load(&run->engine.threads[i].unacked);
    }
    return sum;
}

static void fill_latency(const struct nj_bench_hist *hist, struct nj_bench_latency *out)
{
    out->count = hist->count;
    out->p50_us = nj_bench_hist_quantile(hist, 0.5);
    out->p99_us = nj_bench_hist_quantile(hist, 0.99);
    out->p999_us = nj_bench_hist_quantile(hist, 0.999);
    out->max_us = (double)hist->max_us;
}

static void fill_window(struct run *run, const struct sample *from, const struct sample *to)
{
    struct nj_bench_result *result = run->result;
    result->seconds = (double)(to->at_ns - from->at_ns) / 1e9;
    result->delivered = to->delivered - from->delivered;
    result->published = to->published - from->published;
    result->connections = to->cycles - from->cycles;
    uint64_t units =
        run->options->scenario == NJ_BENCH_CONNECT ? result->connections : result->delivered;
    result->generator_cpu_us =
        units ? (double)(to->own_cpu_ns - from->own_cpu_ns) / 1e3 / (double)units : 0;
    if (!result->has_usage) {
        return;
    }
    double cpu_ns = (double)nj_bench_usage_cpu_ns(&from->broker, &to->broker);
    double ticks = (double)(to->broker.cpu_ns - from->broker.cpu_ns);
    result->cpu_us = units ? cpu_ns / 1e3 / (double)units : 0;
    result->cpu_cores = cpu_ns / (double)(to->at_ns - from->at_ns);
    result->cpu_user_share =
        ticks > 0 ? (double)(to->broker.user_ns - from->broker.user_ns) / ticks : 0;
    result->rss_end = to->broker.rss_bytes;
}

static bool set_up(struct run *run)
{
    struct nj_bench_engine *engine = &run->engine;
    uint64_t goal = 0;
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        struct nj_bench_thread *thread = &engine->threads[i];
        goal += thread->conns_count;
        if (nj_thread_start(&thread->worker, "bench", nj_bench_thread_main, thread) != NJ_OK) {
            nj_bench_fail(engine, "cannot start a thread");
            return false;
        }
    }
    if (run->options->scenario == NJ_BENCH_CONNECT) {
        return true; /* its connections come and go in the measured time */
    }
    if (!wait_level(run, "connecting", ready_level, goal, STALL_NS)) {
        nj_bench_fail(engine, "only %" PRIu64 " of %" PRIu64 " connections got ready",
                      ready_level(run), goal);
        return false;
    }
    return true;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void calibrate(struct run *run)
{
    uint32_t count = run->options->calibrate;
    count =
        count < run->engine.threads[0].logins_count ? count : run->engine.threads[0].logins_count;
    if (count == 0) {
        return;
    }
    set_phase(run, NJ_BENCH_PHASE_CALIBRATE);
    if (!wait_level(run, "calibrating", logins_level, count, STALL_NS)) {
        nj_bench_fail(&run->engine, "logins done one by one got no answer");
        return;
    }
    uint64_t *times = nj_alloc(count * sizeof(*times));
    for (uint32_t i = 0; i < count; i++) {
        times[i] = run->engine.threads[0].logins[i].login->took_ns;
    }
    qsort(times, count, sizeof(*times), compare_u64);
    uint32_t middle = count / 2;
    run->result->login_ms = 1e-6 * (double)times[middle];
    nj_free(times);
}

static void storm(struct run *run)
{
    uint64_t start = nj_clock_mono_ns();
    set_phase(run, NJ_BENCH_PHASE_STORM);
    (void)wait_level(run, "storm", logins_level, run->engine.logins_count, STORM_STALL_NS);
    run->result->storm_s = (double)(nj_clock_mono_ns() - start) / 1e9;
}

/* The measured part. */
static void measure(struct run *run)
{
    struct sample from;
    struct sample to;
    set_phase(run, NJ_BENCH_PHASE_WARMUP);
    wait_for(run, "warming up", run->options->warmup_s);
    from = take_sample(run);
    set_phase(run, NJ_BENCH_PHASE_MEASURE);
    wait_for(run, "measuring", run->options->time_s);
    to = take_sample(run);
    fill_window(run, &from, &to);
    if (run->options->scenario == NJ_BENCH_STORM && !has_failed(run)) {
        storm(run);
    }
}

static void drain(struct run *run)
{
    struct nj_bench_engine *engine = &run->engine;
    set_phase(run, NJ_BENCH_PHASE_DRAIN);
    /* A turn that began before may still publish; after this, the counts stand. */
    pause_ns(2 * POLL_NS);
    uint64_t goal = 0;
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        goal += atomic_load(&engine->threads[i].published) * engine->deliveries;
    }
    if (wait_level(run, "draining", returned_level, goal, STALL_NS / 5)) {
        (void)wait_level(run, "draining", acked_level, UINT64_MAX / 2, STALL_NS / 5);
        /* What comes twice may come late. */
        pause_ns(2 * POLL_NS);
    }
}

static void join_threads(struct run *run)
{
    set_phase(run, NJ_BENCH_PHASE_STOP);
    for (uint32_t i = 0; i < run->engine.threads_count; i++) {
        nj_thread_join(&run->engine.threads[i].worker);
    }
}

/* Each message must have gone to exactly one member of the group. */
static void check_group(struct run *run, uint64_t mix_sent)
{
    struct nj_bench_tally *tally = &run->result->tally;
    uint64_t sent = run->result->sent;
    if (!run->engine.has_group) {
        return;
    }
    if (tally->shared < sent) {
        tally->lost += sent - tally->shared;
    } else if (tally->shared > sent) {
        tally->duplicates += tally->shared - sent;
    } else if (tally->mix != mix_sent) {
        /* The count is right, the messages are not: as many lost as doubled. */
        tally->lost++;
        tally->duplicates++;
    }
}

static void verify(struct run *run)
{
    struct nj_bench_engine *engine = &run->engine;
    struct nj_bench_result *result = run->result;
    uint64_t mix_sent = 0;
    uint64_t late = 0;
    uint64_t storm_late = 0;
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        nj_bench_tally_add(&result->tally, &engine->threads[i].tally);
        result->resumed += engine->threads[i].resumed;
        late += engine->threads[i].late[0];
        storm_late += engine->threads[i].late[1];
        result->stray += engine->threads[i].stray;
        result->unacked += atomic_load(&engine->threads[i].unacked);
    }
    for (uint32_t p = 0; p < engine->pubs_count; p++) {
        result->sent += engine->pubs[p].sent;
        mix_sent += engine->pubs[p].mix;
    }
    result->expected = result->sent * engine->deliveries;
    result->storm_late_share = (double)storm_late; /* a share once they are counted */
    result->late_share = result->published ? (double)late / (double)result->published : 0;
    for (uint32_t s = 0; s < engine->subs_count; s++) {
        struct nj_bench_sub *sub = &engine->subs[s];
        if (sub->is_shared) {
            continue;
        }
        for (uint32_t p = 0; p < engine->pubs_count; p++) {
            nj_bench_flow_finish(&sub->flows[p], engine->pubs[p].seqs[sub->dest], &result->tally);
        }
    }
    check_group(run, mix_sent);
}

static void fill_end(struct run *run)
{
    struct nj_bench_engine *engine = &run->engine;
    struct nj_bench_result *result = run->result;
    struct nj_bench_hist *sum = nj_zalloc(4 * sizeof(*sum));
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        struct nj_bench_thread *thread = &engine->threads[i];
        nj_bench_hist_merge(&sum[0], &thread->hists[0]);
        nj_bench_hist_merge(&sum[1], &thread->hists[1]);
        nj_bench_hist_merge(&sum[2], &thread->connect_hist);
        nj_bench_hist_merge(&sum[3], &thread->ack_hist);
    }
    fill_latency(&sum[0], &result->latency);
    fill_latency(&sum[1], &result->storm);
    fill_latency(&sum[2], &result->connect);
    fill_latency(&sum[3], &result->ack);
    if (result->storm.count) {
        result->storm_late_share /= (double)result->storm.count;
    }
    nj_free(sum);
    for (uint32_t i = 0; i < engine->logins_count; i++) {
        result->logins_in += engine->logins[i].outcome == NJ_BENCH_OUTCOME_IN;
        result->logins_refused += engine->logins[i].outcome == NJ_BENCH_OUTCOME_REFUSED;
        result->logins_broken += engine->logins[i].outcome == NJ_BENCH_OUTCOME_BROKEN;
    }
    if (result->has_usage && result->rss_ready) {
        double grown = (double)result->rss_ready - (double)result->rss_start;
        result->bytes_per_connection =
            run->options->scenario == NJ_BENCH_IDLE ? grown / run->options->connections : 0;
        result->bytes_per_subscription =
            run->options->scenario == NJ_BENCH_SUBS ? grown / run->options->subscriptions : 0;
    }
}

static void go(struct run *run)
{
    struct nj_bench_result *result = run->result;
    struct nj_bench_usage usage = {0};
    if (run->options->pid) {
        result->has_usage = nj_bench_usage_read((pid_t)run->options->pid, &usage) == NJ_OK;
        if (!result->has_usage) {
            nj_bench_fail(&run->engine, "no process %" PRIu32 " to measure", run->options->pid);
            return;
        }
        result->rss_start = usage.rss_bytes;
    }
    if (!set_up(run)) {
        return;
    }
    set_phase(run, NJ_BENCH_PHASE_READY);
    if (run->options->scenario == NJ_BENCH_IDLE) {
        wait_for(run, "settling", 1);
    }
    result->rss_ready = take_sample(run).broker.rss_bytes;
    result->is_run = true;
    if (run->options->scenario == NJ_BENCH_STORM) {
        calibrate(run);
    }
    if (run->options->scenario != NJ_BENCH_IDLE && !has_failed(run)) {
        measure(run);
        drain(run);
    }
}

void nj_bench_run(const struct nj_bench_options *options, nj_bench_progress_fn progress, void *arg,
                  struct nj_bench_result *result)
{
    struct run *run = nj_zalloc(sizeof(*run));
    memset(result, 0, sizeof(*result));
    run->options = options;
    run->result = result;
    run->progress = progress;
    run->progress_arg = arg;
    if (nj_bench_plan_init(&run->engine, options) == NJ_OK) {
        go(run);
        join_threads(run);
        verify(run);
        fill_end(run);
    }
    if (has_failed(run)) {
        (void)snprintf(result->problem, sizeof(result->problem), "%s", run->engine.problem);
        /* Before the load began it is no broker's mistake, but a wrong address or password. */
        result->is_wrong = result->is_run;
        result->is_run = false;
    }
    nj_bench_plan_fini(&run->engine);
    nj_free(run);
}

bool nj_bench_result_is_good(const struct nj_bench_result *result)
{
    return result->is_run && !result->is_wrong && result->stray == 0 && result->unacked == 0 &&
           result->logins_broken == 0 && nj_bench_tally_is_clean(&result->tally);
}
