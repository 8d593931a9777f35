/* See auth_pool.h. */
#include "security/auth_pool.h"

#include <sys/resource.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/thread.h"
#include "security/login.h"
#include "security/password.h"

#define LANES       64
#define JOBS_MAX    20000
#define THREADS_MAX 32
#define NICE_VALUE  10

struct job {
    struct nj_list node;
    nj_auth_done_fn done;
    void *arg;
    uint32_t user_len;
    uint32_t password_len;
    uint32_t hash_len;
    uint8_t bytes[]; /* user, password, hash */
};

struct nj_auth_pool {
    struct nj_remembered *remembered;
    unsigned thread_count;
    struct nj_thread threads[THREADS_MAX];
    _Atomic unsigned depth;
    pthread_cond_t wake;
    pthread_mutex_t lock; /* guards what follows */
    struct nj_list lanes[LANES];
    unsigned turn;
    unsigned waiting;
    bool is_closing;
};

/* The next job, lanes in turn. Holds the lock; NULL at the end. */
static struct job *take(struct nj_auth_pool *pool)
{
    while (!pool->is_closing) {
        for (unsigned i = 0; pool->waiting && i < LANES; i++) {
            unsigned lane = (pool->turn + i) % LANES;
            struct nj_list *node = nj_list_pop_front(&pool->lanes[lane]);
            if (node) {
                pool->turn = (lane + 1) % LANES;
                pool->waiting--;
                return NJ_CONTAINER(node, struct job, node);
            }
        }
        (void)pthread_cond_wait(&pool->wake, &pool->lock);
    }
    return NULL;
}

static struct nj_bytes part(const struct job *job, uint32_t at, uint32_t len)
{
    return nj_bytes(job->bytes + at, len);
}

static void job_free(struct job *job)
{
    nj_free_secret(job, sizeof(*job) + job->user_len + job->password_len + job->hash_len);
}

static void run(struct nj_auth_pool *pool, struct job *job)
{
    struct nj_bytes user = part(job, 0, job->user_len);
    struct nj_bytes password = part(job, job->user_len, job->password_len);
    struct nj_bytes hash = part(job, job->user_len + job->password_len, job->hash_len);
    bool ok = hash.len && nj_password_verify(hash, password);
    if (ok && pool->remembered) {
        nj_remembered_add(pool->remembered, user, password, hash, nj_clock_mono_ms());
    }
    atomic_fetch_sub_explicit(&pool->depth, 1, memory_order_relaxed);
    job->done(job->arg, ok);
    job_free(job);
}

static void *pool_thread(void *arg)
{
    struct nj_auth_pool *pool = arg;
    struct job *job;
    /* Best effort: traffic comes before logins. */
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_VALUE);
    (void)pthread_mutex_lock(&pool->lock);
    while ((job = take(pool))) {
        (void)pthread_mutex_unlock(&pool->lock);
        run(pool, job);
        (void)pthread_mutex_lock(&pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

struct nj_auth_pool *nj_auth_pool_new(unsigned threads, struct nj_remembered *remembered)
{
    struct nj_auth_pool *pool = nj_zalloc(sizeof(*pool));
    if (threads == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        threads = cores > 3 ? (unsigned)cores / 2 : 1;
    }
    pool->remembered = remembered;
    for (unsigned i = 0; i < LANES; i++) {
        nj_list_init(&pool->lanes[i]);
    }
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wake, NULL);
    threads = threads > THREADS_MAX ? THREADS_MAX : threads;
    for (unsigned i = 0; i < threads; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "nj-auth-%u", i);
        if (nj_thread_start(&pool->threads[i], name, pool_thread, pool) != NJ_OK) {
            break;
        }
        pool->thread_count++;
    }
    if (pool->thread_count == 0) {
        nj_free(pool);
        return NULL;
    }
    return pool;
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
        struct nj_list *node;
        while ((node = nj_list_pop_front(&pool->lanes[i]))) {
            struct job *job = NJ_CONTAINER(node, struct job, node);
            job->done(job->arg, false);
            job_free(job);
        }
    }
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_mutex_destroy(&pool->lock);
    nj_free(pool);
}

enum nj_err nj_auth_pool_submit(struct nj_auth_pool *pool, const struct nj_auth_job *job)
{
    struct job *copy =
        nj_try_alloc(sizeof(*copy) + job->user.len + job->password.len + job->hash.len);
    if (!copy) {
        return NJ_EBUSY;
    }
    nj_list_init(&copy->node);
    copy->done = job->done;
    copy->arg = job->arg;
    copy->user_len = (uint32_t)job->user.len;
    copy->password_len = (uint32_t)job->password.len;
    copy->hash_len = (uint32_t)job->hash.len;
    uint8_t *at = copy->bytes;
    const struct nj_bytes parts[3] = {job->user, job->password, job->hash};
    for (int i = 0; i < 3; i++) {
        if (parts[i].len) {
            memcpy(at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    }
    (void)pthread_mutex_lock(&pool->lock);
    bool is_full = pool->waiting >= JOBS_MAX;
    if (!is_full) {
        nj_list_push_back(&pool->lanes[job->source % LANES], &copy->node);
        pool->waiting++;
        atomic_fetch_add_explicit(&pool->depth, 1, memory_order_relaxed);
        (void)pthread_cond_signal(&pool->wake);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (is_full) {
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
