/* A store for tests: it does late what it was asked, in batches, and fails some groups, all decided
 * by a seed. One thread plays the disk. Order per lane is kept, as the contract asks; a group that
 * was not yet due is not there for whoever reads, and would be lost with the process. */
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/group.h"
#include "store/open.h"

struct store_chaos {
    struct nj_store base;
    struct nj_store_chaos_plan plan;
    struct nj_store_events events;
    struct nj_store *inner; /* used by the thread only, but for load and status */
    pthread_t thread;
    pthread_cond_t wake;
    pthread_mutex_t lock; /* guards everything below */
    struct nj_store_group *head;
    struct nj_store_group **tail;
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

static enum nj_err put(struct store_chaos *chaos, struct nj_store_group *group)
{
    if (!group) {
        return NJ_ENOMEM;
    }
    (void)pthread_mutex_lock(&chaos->lock);
    uint64_t delay = chaos->plan.delay_max_ms ? next_random(chaos) % chaos->plan.delay_max_ms : 0;
    group->due_ms = nj_clock_mono_ms() + delay;
    if (group->due_ms < chaos->last_due_ms) {
        group->due_ms = chaos->last_due_ms;
    }
    chaos->last_due_ms = group->due_ms;
    bool fails = !group->is_read && next_random(chaos) % 1000 < chaos->plan.fail_per_mille;
    group->err = fails ? NJ_ENOSPC : NJ_OK;
    *chaos->tail = group;
    chaos->tail = &group->next;
    (void)pthread_cond_signal(&chaos->wake);
    (void)pthread_mutex_unlock(&chaos->lock);
    return NJ_OK;
}

static enum nj_err chaos_submit(struct nj_store *store, unsigned lane,
                                const struct nj_store_op *ops, unsigned count, uint64_t cookie,
                                const struct nj_store_joint *joint)
{
    return put((struct store_chaos *)store, nj_store_group_new(lane, ops, count, cookie, joint));
}

static enum nj_err chaos_read(struct nj_store *store, unsigned lane,
                              const struct nj_store_read *read)
{
    return put((struct store_chaos *)store, nj_store_group_new_read(lane, read));
}

static void chaos_flush(struct nj_store *store, unsigned lane)
{
    (void)store;
    (void)lane;
}

/* Waits until the first group is due; returns it unlinked, or NULL at the end. Holds the lock. */
static struct nj_store_group *take_due(struct store_chaos *chaos)
{
    for (;;) {
        struct nj_store_group *group = chaos->head;
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

static void say_failed(struct store_chaos *chaos, const struct nj_store_group *group,
                       enum nj_err err)
{
    if (group->is_read) {
        struct nj_store_rows *rows = nj_zalloc(sizeof(*rows));
        rows->cookie = group->read.cookie;
        rows->err = err;
        chaos->events.rows(chaos->events.arg, group->lane, rows);
    } else {
        chaos->events.done(chaos->events.arg, group->lane, group->cookie, err);
    }
}

/* A part of a joint group that fails takes the others with it. */
static void run(struct store_chaos *chaos, struct nj_store_group *group)
{
    enum nj_err err = group->err;
    bool is_joint = group->joint.id != 0;
    if (is_joint && err != NJ_OK) {
        group->joint.is_aborted = true;
    }
    if (group->is_read) {
        err = nj_store_read(chaos->inner, group->lane, &group->read);
    } else if (err == NJ_OK || is_joint) {
        err = nj_store_submit(chaos->inner, group->lane, group->ops, group->count, group->cookie,
                              is_joint ? &group->joint : NULL);
    }
    if (err != NJ_OK) {
        say_failed(chaos, group, err);
    }
    nj_store_flush(chaos->inner, group->lane);
}

static void *chaos_thread(void *arg)
{
    struct store_chaos *chaos = arg;
    struct nj_store_group *group;
    (void)pthread_mutex_lock(&chaos->lock);
    while ((group = take_due(chaos))) {
        (void)pthread_mutex_unlock(&chaos->lock);
        run(chaos, group);
        nj_store_group_free(group);
        (void)pthread_mutex_lock(&chaos->lock);
    }
    (void)pthread_mutex_unlock(&chaos->lock);
    return NULL;
}

static enum nj_err chaos_load(struct nj_store *store, const struct nj_store_loader *loader,
                              struct nj_store_highest *highest)
{
    return nj_store_load(((struct store_chaos *)store)->inner, loader, highest);
}

static uint64_t chaos_waiting(struct nj_store *store)
{
    return nj_store_waiting(((struct store_chaos *)store)->inner);
}

static void chaos_status(struct nj_store *store, struct nj_store_status *status)
{
    nj_store_status(((struct store_chaos *)store)->inner, status);
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
    nj_store_close(chaos->inner);
    nj_free(chaos);
}

static const struct nj_store_vtable chaos_vtable = {
    .name = "chaos",
    .is_durable = false,
    .submit = chaos_submit,
    .read = chaos_read,
    .flush = chaos_flush,
    .load = chaos_load,
    .waiting = chaos_waiting,
    .status = chaos_status,
    .close = chaos_close,
};

struct nj_store *nj_store_chaos_open(const struct nj_store_chaos_plan *plan, struct nj_store *inner,
                                     const struct nj_store_events *events)
{
    struct store_chaos *chaos = nj_zalloc(sizeof(*chaos));
    chaos->base.vtable = &chaos_vtable;
    chaos->plan = *plan;
    chaos->state = plan->seed ? plan->seed : 1;
    chaos->inner = inner;
    chaos->events = *events;
    chaos->tail = &chaos->head;
    (void)pthread_mutex_init(&chaos->lock, NULL);
    (void)pthread_cond_init(&chaos->wake, NULL);
    if (pthread_create(&chaos->thread, NULL, chaos_thread, chaos) != 0) {
        nj_free(chaos);
        return NULL;
    }
    return &chaos->base;
}
