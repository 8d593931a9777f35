/* See auth_pool.h. */
#include "security/auth_pool.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/thread.h"
#include "security/login.h"
#include "security/password.h"

#define LANES          1024
#define JOBS_MAX       20000u
#define BYTES_MAX      ((size_t)64 << 20)
#define MEMORY_MAX_KIB (1u << 20) /* of all hashes that run; one alone may take it all */
#define THREADS_MAX    32
/* What a hash is taken to cost before the first one was measured. */
#define FIRST_COST_MS 100

struct job {
    struct nj_list node; /* of a lane */
    nj_auth_done_fn done;
    void *arg;
    const _Atomic bool *is_abandoned;
    unsigned lane;
    uint32_t memory_kib;
    uint32_t user_len;
    uint32_t password_len;
    uint32_t hash_len;
    uint8_t bytes[]; /* user, password, hash */
};

struct lane {
    struct nj_list jobs;
    struct nj_list node; /* of the lanes that wait, when it has jobs */
    unsigned count;
    size_t bytes;
};

struct nj_auth_pool {
    struct nj_remembered *remembered;
    unsigned thread_count;
    struct nj_thread threads[THREADS_MAX];
    _Atomic unsigned depth;
    _Atomic uint64_t cost_ms; /* the longest that a hash took lately */
    pthread_cond_t wake;
    pthread_mutex_t lock; /* guards what follows */
    struct lane lanes[LANES];
    struct nj_list turn; /* lanes that have jobs; the first one is next */
    unsigned waiting;
    size_t bytes;
    uint32_t busy_kib;
    bool is_closing;
};

static size_t job_size(const struct job *job)
{
    return sizeof(*job) + job->user_len + job->password_len + job->hash_len;
}

static void job_free(struct job *job)
{
    nj_free_secret(job, job_size(job));
}

/* ---- lanes; all under the lock */

static bool has_room(const struct nj_auth_pool *pool, const struct job *job)
{
    const struct lane *lane = &pool->lanes[job->lane];
    return lane->count < JOBS_MAX - pool->waiting &&
           lane->bytes + job_size(job) <= BYTES_MAX - pool->bytes;
}

static void put(struct nj_auth_pool *pool, struct job *job)
{
    struct lane *lane = &pool->lanes[job->lane];
    nj_list_push_back(&lane->jobs, &job->node);
    if (lane->count++ == 0) {
        nj_list_push_back(&pool->turn, &lane->node);
    }
    lane->bytes += job_size(job);
    pool->bytes += job_size(job);
    pool->waiting++;
}

/* The next job, lanes in turn; NULL when there is none, or when the memory for it is in use. */
static struct job *take(struct nj_auth_pool *pool)
{
    if (nj_list_is_empty(&pool->turn)) {
        return NULL;
    }
    struct lane *lane = NJ_CONTAINER(pool->turn.next, struct lane, node);
    struct job *job = NJ_CONTAINER(lane->jobs.next, struct job, node);
    if (pool->busy_kib && pool->busy_kib + job->memory_kib > MEMORY_MAX_KIB) {
        return NULL;
    }
    nj_list_remove(&job->node);
    nj_list_remove(&lane->node);
    if (--lane->count > 0) {
        nj_list_push_back(&pool->turn, &lane->node);
    }
    lane->bytes -= job_size(job);
    pool->bytes -= job_size(job);
    pool->waiting--;
    pool->busy_kib += job->memory_kib;
    return job;
}

/* ---- threads */

static struct nj_bytes part(const struct job *job, uint32_t at, uint32_t len)
{
    return nj_bytes(job->bytes + at, len);
}

static bool is_abandoned(const struct job *job)
{
    return job->is_abandoned && atomic_load_explicit(job->is_abandoned, memory_order_acquire);
}

static void finish(struct job *job, bool ok, uint64_t due_ms)
{
    job->done(job->arg, ok, due_ms);
    job_free(job);
}

/* Follows a slower hash at once and a faster one slowly. Threads may overwrite each other's value:
 * it is an estimate. */
static void note_cost(struct nj_auth_pool *pool, uint64_t took_ms)
{
    uint64_t old = atomic_load_explicit(&pool->cost_ms, memory_order_relaxed);
    uint64_t decayed = old - old / 16;
    atomic_store_explicit(&pool->cost_ms, took_ms > decayed ? took_ms : decayed,
                          memory_order_relaxed);
}

static void run(struct nj_auth_pool *pool, struct job *job)
{
    struct nj_bytes user = part(job, 0, job->user_len);
    struct nj_bytes password = part(job, job->user_len, job->password_len);
    struct nj_bytes hash = part(job, job->user_len + job->password_len, job->hash_len);
    uint64_t begun_ms = nj_clock_mono_ms();
    bool ok = false;
    if (hash.len && !is_abandoned(job)) {
        ok = nj_password_verify(hash, password);
        note_cost(pool, nj_clock_mono_ms() - begun_ms);
    }
    if (ok && pool->remembered) {
        nj_remembered_add(pool->remembered, user, password, hash, nj_clock_mono_ms());
    }
    atomic_fetch_sub_explicit(&pool->depth, 1, memory_order_relaxed);
    finish(job, ok, begun_ms + atomic_load_explicit(&pool->cost_ms, memory_order_relaxed));
}

/* One job, or waiting for one. Holds the lock outside of jobs. */
static void turn(struct nj_auth_pool *pool)
{
    struct job *job = take(pool);
    if (!job) {
        (void)pthread_cond_wait(&pool->wake, &pool->lock);
        return;
    }
    uint32_t memory_kib = job->memory_kib;
    /* Who was woken for a job that had to wait for memory went to sleep again: so each one who
     * takes a job wakes another for the next one, and none waits while a thread is idle. */
    if (pool->waiting && pool->thread_count > 1) {
        (void)pthread_cond_signal(&pool->wake);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    run(pool, job);
    (void)pthread_mutex_lock(&pool->lock);
    pool->busy_kib -= memory_kib; /* for whoever is next: this thread looks at once */
}

static void *pool_thread(void *arg)
{
    struct nj_auth_pool *pool = arg;
    nj_thread_give_way(); /* traffic comes before logins */
    (void)pthread_mutex_lock(&pool->lock);
    while (!pool->is_closing) {
        turn(pool);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* ---- life */

static void start_threads(struct nj_auth_pool *pool, unsigned threads)
{
    if (threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores > 3 ? (unsigned)cores / 2 : 1;
    }
    threads = threads > THREADS_MAX ? THREADS_MAX : threads;
    for (unsigned i = 0; i < threads; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "nj-auth-%u", i);
        if (nj_thread_start(&pool->threads[i], name, pool_thread, pool) != NJ_OK) {
            break;
        }
        pool->thread_count++;
    }
}

struct nj_auth_pool *nj_auth_pool_new(unsigned threads, struct nj_remembered *remembered)
{
    struct nj_auth_pool *pool = nj_zalloc(sizeof(*pool));
    pool->remembered = remembered;
    nj_list_init(&pool->turn);
    atomic_init(&pool->cost_ms, FIRST_COST_MS);
    for (unsigned i = 0; i < LANES; i++) {
        nj_list_init(&pool->lanes[i].jobs);
        nj_list_init(&pool->lanes[i].node);
    }
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wake, NULL);
    start_threads(pool, threads);
    if (pool->thread_count == 0) {
        nj_auth_pool_free(pool);
        return NULL;
    }
    return pool;
}

static void refuse_all(struct nj_list *jobs)
{
    struct nj_list *node;
    while ((node = nj_list_pop_front(jobs))) {
        finish(NJ_CONTAINER(node, struct job, node), false, 0);
    }
}

void nj_auth_pool_free(struct nj_auth_pool *pool)
{
    if (!pool) {
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->is_closing = true;
    (void)pthread_cond_broadcast(&pool->wake);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->thread_count; i++) {
        nj_thread_join(&pool->threads[i]);
    }
    for (unsigned i = 0; i < LANES; i++) {
        refuse_all(&pool->lanes[i].jobs);
    }
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_mutex_destroy(&pool->lock);
    nj_free(pool);
}

static struct job *job_new(const struct nj_auth_job *from)
{
    struct job *job =
        nj_try_alloc(sizeof(*job) + from->user.len + from->password.len + from->hash.len);
    if (!job) {
        return NULL;
    }
    *job = (struct job){
        .done = from->done,
        .arg = from->arg,
        .is_abandoned = from->is_abandoned,
        .lane = (unsigned)(from->source % LANES),
        .memory_kib = nj_password_memory_kib(from->hash),
        .user_len = (uint32_t)from->user.len,
        .password_len = (uint32_t)from->password.len,
        .hash_len = (uint32_t)from->hash.len,
    };
    uint8_t *at = job->bytes;
    const struct nj_bytes parts[3] = {from->user, from->password, from->hash};
    for (int i = 0; i < 3; i++) {
        if (parts[i].len) {
            memcpy(at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    }
    return job;
}

enum nj_err nj_auth_pool_submit(struct nj_auth_pool *pool, const struct nj_auth_job *job)
{
    struct job *copy = job_new(job);
    if (!copy) {
        return NJ_EBUSY;
    }
    (void)pthread_mutex_lock(&pool->lock);
    bool is_taken = has_room(pool, copy);
    if (is_taken) {
        put(pool, copy);
        atomic_fetch_add_explicit(&pool->depth, 1, memory_order_relaxed);
        (void)pthread_cond_signal(&pool->wake);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (!is_taken) {
        job_free(copy);
        return NJ_EBUSY;
    }
    return NJ_OK;
}

unsigned nj_auth_pool_depth(const struct nj_auth_pool *pool)
{
    return atomic_load_explicit(&pool->depth, memory_order_relaxed);
}

unsigned nj_auth_pool_threads(const struct nj_auth_pool *pool)
{
    return pool->thread_count;
}
