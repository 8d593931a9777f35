/* One generator thread. A turn: read all that is there, send what the phase asks for, write once
 * per connection, sleep until the next event or the next message that is due. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench_engine.h"

#define EVENTS_MAX 512
/* How long a thread may sleep when nothing else wakes it. */
#define SLEEP_MAX_NS 100000000ull

void nj_bench_thread_wake(struct nj_bench_thread *thread)
{
    uint64_t one = 1;
    if (write(thread->wake_fd, &one, sizeof(one)) < 0) {
        /* The counter is full: it wakes as it is. */
        return;
    }
}

static bool is_moving(int phase)
{
    return phase >= NJ_BENCH_PHASE_WARMUP && phase <= NJ_BENCH_PHASE_STORM;
}

static void open_planned(struct nj_bench_thread *thread)
{
    uint32_t limit = thread->engine->options->concurrency;
    limit = limit ? limit : 64;
    while (thread->conns_at < thread->conns_count && thread->opening < limit) {
        nj_bench_conn_open(&thread->conns[thread->conns_at++]);
    }
}

/* Calibration: the first ones, each after the one before. Storm: all the others. */
static void open_logins(struct nj_bench_thread *thread)
{
    const struct nj_bench_engine *engine = thread->engine;
    uint32_t limit = thread->logins_count;
    uint32_t together = engine->options->concurrency ? engine->options->concurrency : UINT32_MAX;
    if (thread->phase == NJ_BENCH_PHASE_CALIBRATE) {
        limit = thread->index ? 0 : engine->options->calibrate;
        limit = limit < thread->logins_count ? limit : thread->logins_count;
        together = 1;
    }
    uint32_t done = atomic_load_explicit(&thread->logins_done, memory_order_relaxed);
    while (thread->logins_at < limit && thread->logins_at - done < together) {
        nj_bench_conn_open(&thread->logins[thread->logins_at++]);
        done = atomic_load_explicit(&thread->logins_done, memory_order_relaxed);
    }
}

static void reopen(struct nj_bench_thread *thread)
{
    while (thread->reopen) {
        struct nj_bench_conn *conn = thread->reopen;
        thread->reopen = conn->next_dirty;
        conn->next_dirty = NULL;
        nj_bench_conn_open(conn);
    }
}

static void act(struct nj_bench_thread *thread)
{
    const struct nj_bench_options *options = thread->engine->options;
    bool is_cycling = options->scenario == NJ_BENCH_CONNECT;
    if (thread->phase == NJ_BENCH_PHASE_SETUP || (is_cycling && is_moving(thread->phase))) {
        open_planned(thread);
        reopen(thread);
    }
    if (thread->phase == NJ_BENCH_PHASE_STORM || thread->phase == NJ_BENCH_PHASE_CALIBRATE) {
        open_logins(thread);
    }
    if (is_moving(thread->phase) && thread->pubs_count) {
        if (options->rate > 0) {
            nj_bench_send_due(thread);
        } else {
            nj_bench_send_window(thread);
        }
    }
}

static uint64_t sleep_ns(const struct nj_bench_thread *thread)
{
    const struct nj_bench_options *options = thread->engine->options;
    if (!is_moving(thread->phase) || options->rate <= 0 || thread->pubs_count == 0) {
        return SLEEP_MAX_NS;
    }
    uint64_t now = nj_clock_mono_ns();
    if (thread->due_ns <= now) {
        return 0;
    }
    uint64_t left = thread->due_ns - now;
    return left < SLEEP_MAX_NS ? left : SLEEP_MAX_NS;
}

/* The others may have publishers that wait for what came back here. */
static void wake_others(struct nj_bench_thread *thread)
{
    struct nj_bench_engine *engine = thread->engine;
    if (engine->options->rate > 0) {
        return;
    }
    for (uint32_t i = 0; i < engine->threads_count; i++) {
        struct nj_bench_thread *other = &engine->threads[i];
        if (other != thread && atomic_load(&other->is_sleeping)) {
            nj_bench_thread_wake(other);
        }
    }
}

void *nj_bench_thread_main(void *arg)
{
    struct nj_bench_thread *thread = arg;
    struct nj_bench_engine *engine = thread->engine;
    struct epoll_event events[EVENTS_MAX];
    /* The default slack of 50 us would be a quarter of the latency at a fixed rate. */
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    for (;;) {
        thread->phase = atomic_load(&engine->phase);
        if (thread->phase == NJ_BENCH_PHASE_STOP) {
            break;
        }
        act(thread);
        nj_bench_flush(thread);
        uint64_t timeout_ns = sleep_ns(thread);
        struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / 1000000000ull),
                                   .tv_nsec = (long)(timeout_ns % 1000000000ull)};
        atomic_store(&thread->is_sleeping, true);
        int count = epoll_pwait2(thread->epoll_fd, events, EVENTS_MAX, &timeout, NULL);
        atomic_store(&thread->is_sleeping, false);
        thread->phase = atomic_load(&engine->phase);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == thread) {
                continue; /* the eventfd: edge-triggered, never read */
            }
            nj_bench_conn_event(events[i].data.ptr, events[i].events);
        }
        nj_bench_credit_flush(thread);
        if (engine->threads_count > 1 && count > 0) {
            wake_others(thread);
        }
    }
    return NULL;
}
