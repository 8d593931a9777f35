/* See retain.h. */
#include "broker/retain.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/tree.h"

#define BUCKET_BITS 18

struct nj_retain {
    struct nj_qsbr *domain;
    _Atomic int64_t count;
    pthread_mutex_t lock; /* guards writing the tree */
    struct nj_tree *tree; /* values: struct nj_retained */
};

struct nj_retain *nj_retain_new(struct nj_qsbr *domain)
{
    struct nj_retain *retain = nj_zalloc(sizeof(*retain));
    retain->domain = domain;
    retain->tree = nj_tree_new(domain, BUCKET_BITS);
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
    (void)pthread_mutex_destroy(&retain->lock);
    nj_free(retain);
}

enum nj_err nj_retain_put(struct nj_retain *retain, struct nj_message *message,
                          struct nj_origin *origin)
{
    struct nj_retained *fresh = nj_try_alloc(sizeof(*fresh));
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
    fresh->message = nj_message_ref(message);
    fresh->origin = origin ? nj_origin_ref(origin) : NULL;
    struct nj_retained *old = atomic_exchange_explicit(&node->value, fresh, memory_order_acq_rel);
    (void)pthread_mutex_unlock(&retain->lock);
    if (old) {
        nj_qsbr_defer(retain->domain, value_free, old);
        nj_qsbr_reclaim(retain->domain);
    } else {
        atomic_fetch_add_explicit(&retain->count, 1, memory_order_relaxed);
    }
    return NJ_OK;
}

/* Removes the value of `topic`, if `only` is NULL or is that value's message. */
static bool take_away(struct nj_retain *retain, struct nj_bytes topic,
                      const struct nj_message *only)
{
    struct nj_retained *old = NULL;
    (void)pthread_mutex_lock(&retain->lock);
    struct nj_tree_node *node = nj_tree_find(retain->tree, topic);
    if (node) {
        old = atomic_load_explicit(&node->value, memory_order_relaxed);
    }
    if (old && (!only || old->message == only)) {
        atomic_store_explicit(&node->value, NULL, memory_order_release);
        nj_tree_prune(retain->tree, node);
    } else {
        old = NULL;
    }
    (void)pthread_mutex_unlock(&retain->lock);
    if (!old) {
        return false;
    }
    atomic_fetch_sub_explicit(&retain->count, 1, memory_order_relaxed);
    nj_qsbr_defer(retain->domain, value_free, old);
    nj_qsbr_reclaim(retain->domain);
    return true;
}

bool nj_retain_clear(struct nj_retain *retain, struct nj_bytes topic)
{
    return take_away(retain, topic, NULL);
}

enum nj_err nj_retain_match(struct nj_retain *retain, struct nj_bytes filter, uint64_t now_ms,
                            struct nj_tree_nodes scratch[2], struct nj_retained **out,
                            uint32_t *count)
{
    *out = NULL;
    *count = 0;
    enum nj_err err = nj_tree_match_filter(retain->tree, filter, &scratch[0], &scratch[1]);
    if (err != NJ_OK || scratch[1].count == 0) {
        return err;
    }
    struct nj_retained *found = nj_try_alloc(scratch[1].count * sizeof(*found));
    if (!found) {
        return NJ_ENOMEM;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < scratch[1].count; i++) {
        struct nj_retained *value =
            atomic_load_explicit(&scratch[1].node[i]->value, memory_order_acquire);
        if (!value) {
            continue;
        }
        if (value->message->expires_ms && value->message->expires_ms <= now_ms) {
            (void)take_away(retain, nj_message_topic(value->message), value->message);
            continue;
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
