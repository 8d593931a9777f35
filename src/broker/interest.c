/* See interest.h. */
#include "broker/interest.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/tree.h"

/* Pages of the table are touched only as filters come, so a small broker pays nothing for it. */
#define BUCKET_BITS 18

struct masks {
    _Atomic uint64_t any;
    _Atomic uint64_t stored;
};

struct nj_interest {
    struct nj_qsbr *domain;
    _Atomic uint64_t generation;
    pthread_mutex_t lock; /* guards writing the tree */
    struct nj_tree *tree;
};

struct nj_interest *nj_interest_new(struct nj_qsbr *domain)
{
    struct nj_interest *interest = nj_zalloc(sizeof(*interest));
    interest->domain = domain;
    interest->tree = nj_tree_new(domain, BUCKET_BITS);
    (void)pthread_mutex_init(&interest->lock, NULL);
    return interest;
}

void nj_interest_free(struct nj_interest *interest)
{
    if (!interest) {
        return;
    }
    nj_tree_free(interest->tree, nj_free);
    (void)pthread_mutex_destroy(&interest->lock);
    nj_free(interest);
}

static enum nj_err add(struct nj_interest *interest, uint64_t bit, struct nj_bytes filter,
                       bool wants_stored)
{
    struct nj_tree_node *node = nj_tree_insert(interest->tree, filter);
    if (!node) {
        return NJ_ENOMEM;
    }
    struct masks *masks = atomic_load_explicit(&node->value, memory_order_relaxed);
    if (!masks) {
        masks = nj_try_zalloc(sizeof(*masks));
        if (!masks) {
            nj_tree_prune(interest->tree, node);
            return NJ_ENOMEM;
        }
        atomic_store_explicit(&node->value, masks, memory_order_release);
    }
    atomic_fetch_or_explicit(&masks->any, bit, memory_order_release);
    if (wants_stored) {
        atomic_fetch_or_explicit(&masks->stored, bit, memory_order_release);
    } else {
        atomic_fetch_and_explicit(&masks->stored, ~bit, memory_order_release);
    }
    return NJ_OK;
}

static void drop(struct nj_interest *interest, uint64_t bit, struct nj_bytes filter)
{
    struct nj_tree_node *node = nj_tree_find(interest->tree, filter);
    struct masks *masks = node ? atomic_load_explicit(&node->value, memory_order_relaxed) : NULL;
    if (!masks) {
        return;
    }
    atomic_fetch_and_explicit(&masks->any, ~bit, memory_order_release);
    atomic_fetch_and_explicit(&masks->stored, ~bit, memory_order_release);
    if (atomic_load_explicit(&masks->any, memory_order_relaxed) == 0) {
        atomic_store_explicit(&node->value, NULL, memory_order_release);
        nj_qsbr_defer(interest->domain, nj_free, masks);
        nj_tree_prune(interest->tree, node);
    }
}

enum nj_err nj_interest_set(struct nj_interest *interest, unsigned worker, struct nj_bytes filter,
                            bool wants_any, bool wants_stored)
{
    NJ_ASSERT(worker < NJ_WORKERS_MAX);
    enum nj_err err = NJ_OK;
    (void)pthread_mutex_lock(&interest->lock);
    if (wants_any || wants_stored) {
        err = add(interest, 1ull << worker, filter, wants_stored);
    } else {
        drop(interest, 1ull << worker, filter);
    }
    atomic_fetch_add_explicit(&interest->generation, 1, memory_order_seq_cst);
    (void)pthread_mutex_unlock(&interest->lock);
    nj_qsbr_reclaim(interest->domain);
    return err;
}

struct nj_interest_set nj_interest_match(const struct nj_interest *interest, struct nj_bytes topic,
                                         struct nj_tree_nodes scratch[2])
{
    struct nj_interest_set set = {0, 0};
    if (nj_tree_match_topic(interest->tree, topic, &scratch[0], &scratch[1]) != NJ_OK) {
        return (struct nj_interest_set){UINT64_MAX, UINT64_MAX};
    }
    for (uint32_t i = 0; i < scratch[1].count; i++) {
        const struct masks *masks =
            atomic_load_explicit(&scratch[1].node[i]->value, memory_order_acquire);
        if (masks) {
            set.any |= atomic_load_explicit(&masks->any, memory_order_acquire);
            set.stored |= atomic_load_explicit(&masks->stored, memory_order_acquire);
        }
    }
    return set;
}

uint64_t nj_interest_generation(const struct nj_interest *interest)
{
    return atomic_load_explicit(&interest->generation, memory_order_seq_cst);
}
