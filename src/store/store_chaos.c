/* A store for tests: it completes late, in batches, and fails some groups, all decided by a seed.
 * One thread plays the disk. Order per lane is kept, as the contract asks. */
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"

struct group {
    struct group *next;
    unsigned lane;
    uint64_t cookie;
    uint64_t due_ms;
    enum nj_err err;
};

struct store_chaos {
    struct nj_store base;
    struct nj_store_chaos_plan plan;
    nj_store_done_fn done;
    void *arg;
    pthread_t thread;
    pthread_cond_t wake;
    pthread_mutex_t lock; /* guards everything below */
    struct group *head;
    struct group **tail;
    uint64_t state;
    uint64_t last_due_ms;
    bool is_closing;
};

static uint64_t next_random(struct store_chaos *chaos)
{
    chaos->state ^= chaos->state << 13;
    chaos->state ^= chaos->state >> 7;
    chaos->state ^= chaos->state << 17;
    return chaos->state;
}

static enum nj_err chaos_submit(struct nj_store *store, unsigned lane,
                                const struct nj_store_op *ops, unsigned count, uint64_t cookie)
{
    struct store_chaos *chaos = (struct store_chaos *)store;
    struct group *group = nj_try_zalloc(sizeof(*group));
    (void)ops;
    (void)count;
    if (!group) {
        return NJ_ENOMEM;
    }
    (void)pthread_mutex_lock(&chaos->lock);
    uint64_t delay = chaos->plan.delay_max_ms ? next_random(chaos) % chaos->plan.delay_max_ms : 0;
    group->lane = lane;
    group->cookie = cookie;
    group->due_ms = nj_clock_mono_ms() + delay;
    if (group->due_ms < chaos->last_due_ms) {
        group->due_ms = chaos->last_due_ms;
    }
    chaos->last_due_ms = group->due_ms;
    group->err = next_random(chaos) % 1000 < chaos->plan.fail_per_mille ? NJ_ENOSPC : NJ_OK;
    *chaos->tail = group;
    chaos->tail = &group->next;
    (void)pthread_cond_signal(&chaos->wake);
    (void)pthread_mutex_unlock(&chaos->lock);
    return NJ_OK;
}

static void chaos_flush(struct nj_store *store, unsigned lane)
{
    (void)store;
    (void)lane;
}

/* Waits until the first group is due; returns it unlinked, or NULL at the end. Holds the lock. */
static struct group *take_due(struct store_chaos *chaos)
{
    for (;;) {
        struct group *group = chaos->head;
        if (!group) {
            if (chaos->is_closing) {
                return NULL;
            }
            (void)pthread_cond_wait(&chaos->wake, &chaos->lock);
            continue;
        }
        uint64_t now = nj_clock_mono_ms();
        if (group->due_ms <= now || chaos->is_closing) {
            chaos->head = group->next;
            if (!chaos->head) {
                chaos->tail = &chaos->head;
            }
            return group;
        }
        struct timespec until;
        (void)clock_gettime(CLOCK_REALTIME, &until);
        uint64_t ns = (uint64_t)until.tv_nsec + (group->due_ms - now) * 1000000;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        (void)pthread_cond_timedwait(&chaos->wake, &chaos->lock, &until);
    }
}

static void *chaos_thread(void *arg)
{
    struct store_chaos *chaos = arg;
    struct group *group;
    (void)pthread_mutex_lock(&chaos->lock);
    while ((group = take_due(chaos))) {
        (void)pthread_mutex_unlock(&chaos->lock);
        chaos->done(chaos->arg, group->lane, group->cookie, group->err);
        nj_free(group);
        (void)pthread_mutex_lock(&chaos->lock);
    }
    (void)pthread_mutex_unlock(&chaos->lock);
    return NULL;
}

static void chaos_close(struct nj_store *store)
{
    struct store_chaos *chaos = (struct store_chaos *)store;
    (void)pthread_mutex_lock(&chaos->lock);
    chaos->is_closing = true;
    (void)pthread_cond_signal(&chaos->wake);
    (void)pthread_mutex_unlock(&chaos->lock);
    (void)pthread_join(chaos->thread, NULL);
    (void)pthread_cond_destroy(&chaos->wake);
    (void)pthread_mutex_destroy(&chaos->lock);
    nj_free(chaos);
}

static const struct nj_store_vtable chaos_vtable = {
    .name = "chaos",
    .is_durable = false,
    .submit = chaos_submit,
    .flush = chaos_flush,
    .close = chaos_close,
};

struct nj_store *nj_store_chaos_open(unsigned lanes, const struct nj_store_chaos_plan *plan,
                                     nj_store_done_fn done, void *arg)
{
    struct store_chaos *chaos = nj_zalloc(sizeof(*chaos));
    (void)lanes;
    chaos->base.vtable = &chaos_vtable;
    chaos->plan = *plan;
    chaos->state = plan->seed ? plan->seed : 1;
    chaos->done = done;
    chaos->arg = arg;
    chaos->tail = &chaos->head;
    (void)pthread_mutex_init(&chaos->lock, NULL);
    (void)pthread_cond_init(&chaos->wake, NULL);
    if (pthread_create(&chaos->thread, NULL, chaos_thread, chaos) != 0) {
        nj_free(chaos);
        return NULL;
    }
    return &chaos->base;
}
