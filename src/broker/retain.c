/* See retain.h. */
#include "broker/retain.h"

#include <pthread.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/timers.h"
#include "broker/tree.h"

#define BUCKET_BITS 18

/* What a node of the tree holds. */
struct kept {
    struct nj_retained retained; /* first */
    struct nj_btimer expiry;     /* set when the message expires; writers only */
    uint64_t clock;              /* when it came */
};

struct nj_retain {
    struct nj_qsbr *domain;
    _Atomic int64_t count;
    _Atomic uint64_t clock;
    _Atomic uint64_t next_due_ms;
    pthread_mutex_t lock; /* guards writing the tree, and what follows */
    struct nj_tree *tree; /* values: struct kept */
    struct nj_btimers expiries;
};

struct nj_retain *nj_retain_new(struct nj_qsbr *domain)
{
    struct nj_retain *retain = nj_zalloc(sizeof(*retain));
    retain->domain = domain;
    retain->tree = nj_tree_new(domain, BUCKET_BITS);
    atomic_init(&retain->next_due_ms, UINT64_MAX);
    (void)pthread_mutex_init(&retain->lock, NULL);
    return retain;
}

void nj_retained_unref(struct nj_retained *retained)
{
    nj_message_unref(retained->message);
    nj_origin_unref(retained->origin);
}

static void value_free(void *ptr)
{
    nj_retained_unref(ptr);
    nj_free(ptr);
}

void nj_retain_free(struct nj_retain *retain)
{
    if (!retain) {
        return;
    }
    nj_tree_free(retain->tree, value_free);
    nj_btimers_fini(&retain->expiries);
    (void)pthread_mutex_destroy(&retain->lock);
    nj_free(retain);
}

static void note_next_due(struct nj_retain *retain)
{
    atomic_store_explicit(&retain->next_due_ms, nj_btimers_next_ms(&retain->expiries),
                          memory_order_relaxed);
}

/* In the order in which the new value takes the old one's place. */
static void change_expiry(struct nj_retain *retain, struct kept *old, struct kept *fresh)
{
    if (old) {
        nj_btimer_clear(&retain->expiries, &old->expiry);
    }
    if (fresh && fresh->retained.message->expires_ms) {
        nj_btimer_set(&retain->expiries, &fresh->expiry, fresh->retained.message->expires_ms);
    }
    note_next_due(retain);
}

/* Whoever subscribes writes the index of interest and reads this; whoever retains writes this and
 * reads that. One of them has to see the other, hence the order that is the same for all. */
uint64_t nj_retain_clock(const struct nj_retain *retain)
{
    return atomic_load_explicit(&retain->clock, memory_order_seq_cst) | 1;
}

/* By two, so that the lower half is never 0 with the lowest bit. After the change, under the lock.
 */
static void tick(struct nj_retain *retain)
{
    (void)atomic_fetch_add_explicit(&retain->clock, 2, memory_order_seq_cst);
}

enum nj_err nj_retain_put(struct nj_retain *retain, struct nj_message *message,
                          struct nj_origin *origin, uint64_t *clock)
{
    struct kept *fresh = nj_try_zalloc(sizeof(*fresh));
    if (!fresh) {
        return NJ_ENOMEM;
    }
    (void)pthread_mutex_lock(&retain->lock);
    struct nj_tree_node *node = nj_tree_insert(retain->tree, nj_message_topic(message));
    if (!node) {
        (void)pthread_mutex_unlock(&retain->lock);
        nj_free(fresh);
        return NJ_ENOMEM;
    }
    fresh->retained.message = nj_message_ref(message);
    fresh->retained.origin = origin ? nj_origin_ref(origin) : NULL;
    fresh->clock = nj_retain_clock(retain) + 2; /* which the tick will make it */
    if (clock) {
        *clock = fresh->clock;
    }
    struct kept *old = atomic_exchange_explicit(&node->value, fresh, memory_order_acq_rel);
    change_expiry(retain, old, fresh);
    if (!old) {
        /* Before the tick: whoever sees that sees that there is something to look for. */
        atomic_fetch_add_explicit(&retain->count, 1, memory_order_relaxed);
    }
    tick(retain);
    (void)pthread_mutex_unlock(&retain->lock);
    if (old) {
        nj_qsbr_defer(retain->domain, value_free, old);
        nj_qsbr_reclaim(retain->domain);
    }
    return NJ_OK;
}

/* Under the lock. Takes the value out of its node. */
static void take_away(struct nj_retain *retain, struct nj_tree_node *node, struct kept *old)
{
    atomic_store_explicit(&node->value, NULL, memory_order_release);
    nj_tree_prune(retain->tree, node);
    change_expiry(retain, old, NULL);
    atomic_fetch_sub_explicit(&retain->count, 1, memory_order_relaxed);
    nj_qsbr_defer(retain->domain, value_free, old);
}

bool nj_retain_clear(struct nj_retain *retain, struct nj_bytes topic)
{
    struct kept *old = NULL;
    (void)pthread_mutex_lock(&retain->lock);
    struct nj_tree_node *node = nj_tree_find(retain->tree, topic);
    if (node) {
        old = atomic_load_explicit(&node->value, memory_order_relaxed);
    }
    if (old) {
        take_away(retain, node, old);
    }
    tick(retain);
    (void)pthread_mutex_unlock(&retain->lock);
    nj_qsbr_reclaim(retain->domain);
    return old != NULL;
}

uint64_t nj_retain_next_due_ms(const struct nj_retain *retain)
{
    return atomic_load_explicit(&retain->next_due_ms, memory_order_relaxed);
}

void nj_retain_sweep(struct nj_retain *retain, uint64_t now_ms, unsigned max,
                     void (*removed)(void *arg, struct nj_bytes topic), void *arg)
{
    (void)pthread_mutex_lock(&retain->lock);
    for (unsigned i = 0; i < max; i++) {
        struct nj_btimer *timer = nj_btimers_take_due(&retain->expiries, now_ms);
        if (!timer) {
            break;
        }
        struct kept *old = NJ_CONTAINER(timer, struct kept, expiry);
        struct nj_bytes topic = nj_message_topic(old->retained.message);
        removed(arg, topic);
        take_away(retain, nj_tree_find(retain->tree, topic), old);
    }
    (void)pthread_mutex_unlock(&retain->lock);
    nj_qsbr_reclaim(retain->domain);
}

enum nj_err nj_retain_match(struct nj_retain *retain, const struct nj_retain_query *query,
                            struct nj_tree_nodes scratch[2], struct nj_retained **out,
                            uint32_t *count)
{
    *out = NULL;
    *count = 0;
    enum nj_err err = nj_tree_match_filter(retain->tree, query->filter, &scratch[0], &scratch[1]);
    if (err != NJ_OK || scratch[1].count == 0) {
        return err;
    }
    struct nj_retained *found = nj_try_alloc(scratch[1].count * sizeof(*found));
    if (!found) {
        return NJ_ENOMEM;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < scratch[1].count; i++) {
        const struct kept *kept =
            atomic_load_explicit(&scratch[1].node[i]->value, memory_order_acquire);
        if (!kept || kept->clock > query->clock) {
            continue;
        }
        const struct nj_retained *value = &kept->retained;
        if (value->message->expires_ms && value->message->expires_ms <= query->now_ms) {
            continue; /* the sweep takes it */
        }
        found[n].message = nj_message_ref(value->message);
        found[n].origin = value->origin ? nj_origin_ref(value->origin) : NULL;
        n++;
    }
    *out = found;
    *count = n;
    return NJ_OK;
}

bool nj_retain_is_current(const struct nj_retain *retain, const struct nj_message *message)
{
    struct nj_tree_node *node = nj_tree_find(retain->tree, nj_message_topic(message));
    struct nj_retained *value =
        node ? atomic_load_explicit(&node->value, memory_order_acquire) : NULL;
    return value && value->message == message;
}

int64_t nj_retain_count(const struct nj_retain *retain)
{
    return atomic_load_explicit(&retain->count, memory_order_relaxed);
}
