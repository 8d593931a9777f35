/* The turn of a worker, and the baton. See worker.h and docs/ARCHITECTURE.md ("Threads").
 *
 * Order of a turn, each step measured: what waits in the inbox; all events; flush own connections;
 * hand batches to other workers; drain the inbox and flush what it brought; answers to publishers
 * and PINGRESP last. So a client that has its answer, and then asks another connection with
 * PINGREQ, finds there what it had caused, whichever worker that connection lives on. */
#include "front/worker.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/commit.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/front.h"
#include "security/policy.h"

/* Above so many deliveries for a sleeping worker it is woken to do them itself. */
#define HELP_WEIGHT_MAX 16u
/* A connection with more than this to write has to wait for its turn among its like. */
#define QUICK_BYTES ((size_t)64 * 1024)
/* Turns that jobs get when the broker stops: a second or two of work. */
#define LAST_TURNS 2000u
/* A worker with more than this in its inbox makes others stop reading publishers. */
#define INBOX_BYTES_HIGH  (32u * 1024u * 1024u)
#define INBOX_BYTES_LOW   (8u * 1024u * 1024u)
#define CONGESTED_WAIT_MS 1

static void baton_taken(struct nj_worker *worker)
{
    atomic_store_explicit(&worker->is_awake, true, memory_order_relaxed);
}

static void baton_take(struct nj_worker *worker)
{
    (void)pthread_mutex_lock(&worker->baton);
    baton_taken(worker);
}

static bool baton_try(struct nj_worker *worker)
{
    if (atomic_load_explicit(&worker->is_awake, memory_order_relaxed) ||
        pthread_mutex_trylock(&worker->baton) != 0) {
        return false;
    }
    baton_taken(worker);
    return true;
}

static void baton_drop(struct nj_worker *worker)
{
    /* Sequentially consistent, like the push: whoever pushed before this saw it awake, and the
     * inbox is looked at after it, so no batch is left behind a sleeping worker. */
    atomic_store_explicit(&worker->is_awake, false, memory_order_seq_cst);
    (void)pthread_mutex_unlock(&worker->baton);
}

void nj_worker_wake(struct nj_worker *worker)
{
    nj_loop_wake(worker->loop);
}

/* ---- flushing */

static void forget_first(struct nj_link **links, uint32_t *count, uint32_t done)
{
    *count -= done;
    if (*count && done) {
        memmove(links, links + done, *count * sizeof(struct nj_link *));
    }
}

static void flush_link(struct nj_link *link)
{
    link->is_dirty = false;
    link->is_late = false;
    nj_conn_flush(nj_conn_of(link));
}

/* Those with little to write first, so that a heartbeat does not wait for ten thousand copies of
 * somebody's film. What is marked meanwhile (flushing pumps queues) is done in the next round. */
static void flush_dirty(struct nj_worker *worker)
{
    struct nj_shard *shard = worker->shard;
    uint32_t count = shard->dirty_count;
    uint32_t done = 0;
    nj_turn_open(&shard->turn, nj_shard_output_memory(shard));
    while (done < count && shard->turn.steps_left) {
        struct nj_link *link = shard->dirty[done++];
        if (NJ_UNLIKELY(link->out.pending > QUICK_BYTES)) {
            nj_shard_mark_rest(shard, link);
        } else {
            flush_link(link);
        }
    }
    forget_first(shard->dirty, &shard->dirty_count, done);
}

/* The others in turns, as far as this turn goes. */
static void flush_rest(struct nj_worker *worker)
{
    struct nj_shard *shard = worker->shard;
    uint32_t count = shard->rest_count;
    uint32_t done = 0;
    nj_turn_open(&shard->turn, nj_shard_output_memory(shard));
    while (done < count && shard->turn.steps_left) {
        flush_link(shard->rest[done++]);
    }
    forget_first(shard->rest, &shard->rest_count, done);
}

static void flush_late(struct nj_worker *worker)
{
    struct nj_shard *shard = worker->shard;
    uint32_t count = shard->late_count;
    for (uint32_t i = 0; i < count; i++) {
        flush_link(shard->dirty_late[i]);
    }
    forget_first(shard->dirty_late, &shard->late_count, count);
}

/* ---- the turn */

static void begin(struct nj_worker *worker)
{
    struct nj_shard *shard = worker->shard;
    shard->now_ms = nj_clock_mono_ms();
    nj_turn_begin(&shard->turn, nj_shard_output_memory(shard),
                  shard->rest_count || shard->dirty_count);
    nj_shard_look_at_store(shard);
    struct nj_policy *old = nj_shard_adopt(shard);
    if (NJ_UNLIKELY(old)) {
        nj_front_recheck(worker, old);
        nj_policy_unref(old);
        atomic_store_explicit(&worker->adopted_epoch, nj_policy_epoch(shard->policy),
                              memory_order_release);
    }
}

static void drain(struct nj_worker *worker)
{
    struct nj_batch *batches = nj_inbox_drain(&worker->shard->inbox);
    if (!batches) {
        return;
    }
    nj_shard_run(worker->shard, batches);
}

static void push(struct nj_worker *target, struct nj_batch *batch)
{
    (void)nj_inbox_push(&target->shard->inbox, batch);
}

void nj_worker_push(struct nj_worker *worker, struct nj_batch *batch)
{
    push(worker, batch);
    if (!atomic_load_explicit(&worker->is_awake, memory_order_seq_cst)) {
        nj_worker_wake(worker);
    }
}

static bool is_above(const struct nj_front *front, uint32_t bytes)
{
    for (unsigned i = 0; i < front->worker_count; i++) {
        if (atomic_load_explicit(&front->core.shards[i]->inbox.bytes, memory_order_relaxed) >
            bytes) {
            return true;
        }
    }
    return false;
}

static void hand_over(struct nj_worker *worker, bool may_help);

/* What every holder of a baton does before it lets go. */
static void finish(struct nj_worker *worker)
{
    flush_dirty(worker);
    flush_rest(worker);
    flush_late(worker);
    nj_conn_reap(worker);
    nj_store_flush(worker->front->core.store, worker->id);
}

static uint64_t next_due_ms(const struct nj_worker *worker)
{
    uint64_t conns = nj_timers_next_ms(&worker->timers);
    uint64_t sessions = nj_btimers_next_ms(&worker->shard->timers);
    uint64_t look = nj_shard_next_look_ms(worker->shard);
    uint64_t first = conns < sessions ? conns : sessions;
    return first < look ? first : look;
}

static bool has_work(const struct nj_worker *worker)
{
    const struct nj_shard *shard = worker->shard;
    return shard->dirty_count || shard->late_count || shard->rest_count ||
           !nj_list_is_empty(&shard->turn.jobs) || !nj_list_is_empty(&worker->reread) ||
           !nj_list_is_empty(&worker->closing) || worker->must_sweep;
}

/* Acts for `target`, which sleeps, as long as its inbox has something. False when somebody else had
 * the baton; true when `mine`, which may be NULL, was run (then its block went to the target). */
static bool help(struct nj_worker *target, struct nj_batch *mine)
{
    bool had_baton = false;
    while (baton_try(target)) {
        had_baton = true;
        begin(target);
        drain(target);
        if (mine) {
            nj_shard_run(target->shard, mine);
            mine = NULL;
        }
        finish(target);
        hand_over(target, false);
        bool must_wake = has_work(target) ||
                         next_due_ms(target) <
                             atomic_load_explicit(&target->sleeps_until_ms, memory_order_relaxed);
        baton_drop(target);
        if (must_wake) {
            nj_worker_wake(target);
        }
        if (nj_inbox_is_empty(&target->shard->inbox)) {
            break;
        }
    }
    return had_baton;
}

static void give(struct nj_worker *worker, struct nj_worker *target, struct nj_batch *batch,
                 bool may_help)
{
    bool is_awake = atomic_load_explicit(&target->is_awake, memory_order_relaxed);
    bool is_small = batch->weight <= HELP_WEIGHT_MAX;
    if (may_help && is_small && !is_awake && help(target, batch)) {
        return;
    }
    push(target, batch);
    worker->is_congested |=
        atomic_load_explicit(&target->shard->inbox.bytes, memory_order_relaxed) > INBOX_BYTES_HIGH;
    if (atomic_load_explicit(&target->is_awake, memory_order_seq_cst)) {
        /* It looks at its inbox before it sleeps. */
    } else if (!may_help || !is_small || !help(target, NULL)) {
        /* Also when its baton was not free although it seemed to sleep: whoever lets go of it may
         * have looked at the inbox already. */
        nj_worker_wake(target);
    }
}

static void hand_over(struct nj_worker *worker, bool may_help)
{
    struct nj_front *front = worker->front;
    struct nj_shard *shard = worker->shard;
    for (unsigned i = 0; i < front->worker_count; i++) {
        struct nj_batch *batch = shard->outbox[i];
        if (!batch || !batch->used) {
            continue;
        }
        shard->outbox[i] = NULL;
        if (i == worker->id) {
            push(worker, batch);
        } else {
            give(worker, &front->workers[i], batch, may_help);
        }
    }
}

static void handle_events(struct nj_worker *worker, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned ready;
        struct nj_loop_source *source = nj_loop_event(worker->loop, i, &ready);
        if (source) {
            source->fn(source, ready, worker);
        }
    }
}

/* Not in begin(): who helps a worker proves nothing about its thread. */
static void give_pulse(struct nj_worker *worker)
{
    uint64_t asked = atomic_load_explicit(&worker->front->pulse, memory_order_relaxed);
    if (NJ_UNLIKELY(asked != atomic_load_explicit(&worker->pulse, memory_order_relaxed))) {
        atomic_store_explicit(&worker->pulse, asked, memory_order_relaxed);
    }
}

static void turn(struct nj_worker *worker, unsigned events)
{
    struct nj_shard *shard = worker->shard;
    begin(worker);
    give_pulse(worker);
    if (NJ_UNLIKELY(worker->is_congested)) {
        worker->is_congested = is_above(worker->front, INBOX_BYTES_LOW);
    }
    if (!nj_inbox_is_empty(&shard->inbox)) {
        drain(worker); /* what was handed here is older than what is about to be read */
    }
    nj_conn_reread(worker);
    handle_events(worker, events);
    (void)nj_timers_run(&worker->timers, shard->now_ms, worker);
    nj_shard_run_timers(shard);
    if (worker->id == 0) {
        worker->must_sweep = nj_shard_sweep_retained(shard);
    }
    (void)nj_jobs_run(shard);
    if (shard->is_answer_early) {
        shard->is_answer_early = false;
        hand_over(worker, true);
    }
    flush_dirty(worker);
    hand_over(worker, true);
    drain(worker);
    finish(worker);
    hand_over(worker, true);
}

static int wait_ms(struct nj_worker *worker)
{
    if (!nj_inbox_is_empty(&worker->shard->inbox) || has_work(worker)) {
        return worker->is_congested ? CONGESTED_WAIT_MS : 0;
    }
    uint64_t due = next_due_ms(worker);
    atomic_store_explicit(&worker->sleeps_until_ms, due, memory_order_relaxed);
    if (due == UINT64_MAX) {
        return -1;
    }
    uint64_t now = nj_clock_mono_ms();
    uint64_t left = due > now ? due - now : 0;
    return left > 60000 ? 60000 : (int)left;
}

static void *worker_main(void *arg)
{
    struct nj_worker *worker = arg;
    struct nj_front *front = worker->front;
    struct nj_qsbr *qsbr = front->core.qsbr;
    baton_take(worker);
    nj_qsbr_online(qsbr, worker->id);
    while (!atomic_load_explicit(&front->is_stopping, memory_order_acquire)) {
        int timeout = wait_ms(worker);
        nj_qsbr_offline(qsbr, worker->id);
        baton_drop(worker);
        if (timeout != 0 && !nj_inbox_is_empty(&worker->shard->inbox)) {
            timeout = 0;
        }
        unsigned events = nj_loop_wait(worker->loop, timeout);
        baton_take(worker);
        nj_qsbr_online(qsbr, worker->id);
        turn(worker, events);
    }
    nj_conn_close_all(worker);
    /* What sessions were to be replayed goes into their queues; but nobody may make a stop long. */
    for (unsigned i = 0; i < LAST_TURNS && nj_jobs_run(worker->shard); i++) {
    }
    nj_qsbr_offline(qsbr, worker->id);
    baton_drop(worker);
    return NULL;
}

enum nj_err nj_worker_start(struct nj_worker *worker)
{
    char name[16];
    (void)snprintf(name, sizeof(name), "nj-worker-%u", worker->id);
    return nj_thread_start(&worker->thread, name, worker_main, worker);
}
