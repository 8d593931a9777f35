/* See index.h. */
#include "base/index.h"

#include <stddef.h>

#include "base/mem.h"

#define SLOTS_MIN 8u
#define SLOTS_MAX (1u << 30)

/* The largest power of two that is not above `count`. */
static uint32_t floor_pow2(uint32_t count)
{
    return 1u << (31 - __builtin_clz(count));
}

/* Slots below the next power of two that are not there yet are still part of their lower half. */
static struct nj_index_node **slot_of(const struct nj_index *index, uint64_t hash)
{
    uint32_t whole = floor_pow2(index->slot_count);
    uint32_t place = (uint32_t)hash & (2 * whole - 1);
    return &index->slots[place < index->slot_count ? place : place - whole];
}

static enum nj_err reserve_slot(struct nj_index *index)
{
    if (index->slot_count < index->slot_cap) {
        return NJ_OK;
    }
    uint32_t cap = index->slot_cap ? index->slot_cap * 2 : SLOTS_MIN;
    if (cap > SLOTS_MAX) {
        return NJ_ENOMEM;
    }
    struct nj_index_node **grown =
        nj_try_realloc(index->slots, cap * sizeof(struct nj_index_node *));
    if (!grown) {
        return NJ_ENOMEM;
    }
    index->slots = grown;
    index->slot_cap = cap;
    return NJ_OK;
}

static enum nj_err add_slot(struct nj_index *index)
{
    if (reserve_slot(index) != NJ_OK) {
        return index->slot_count ? NJ_OK : NJ_ENOMEM;
    }
    uint32_t place = index->slot_count++;
    index->slots[place] = NULL;
    if (!place) {
        return NJ_OK;
    }
    struct nj_index_node **split = &index->slots[place - floor_pow2(place)];
    struct nj_index_node *node = *split;
    *split = NULL;
    while (node) {
        struct nj_index_node *next = node->next;
        struct nj_index_node **slot = slot_of(index, node->hash);
        node->next = *slot;
        *slot = node;
        node = next;
    }
    return NJ_OK;
}

void nj_index_fini(struct nj_index *index)
{
    nj_free(index->slots);
    *index = (struct nj_index){0};
}

enum nj_err nj_index_add(struct nj_index *index, struct nj_index_node *node, uint64_t hash)
{
    /* By two when memory was too short for a while. */
    for (int i = 0; i < 2 && index->count >= index->slot_count; i++) {
        if (add_slot(index) != NJ_OK) {
            return NJ_ENOMEM;
        }
    }
    struct nj_index_node **slot = slot_of(index, hash);
    node->hash = hash;
    node->next = *slot;
    *slot = node;
    index->count++;
    return NJ_OK;
}

void nj_index_remove(struct nj_index *index, struct nj_index_node *node)
{
    struct nj_index_node **at = slot_of(index, node->hash);
    while (*at != node) {
        at = &(*at)->next;
    }
    *at = node->next;
    index->count--;
}

static struct nj_index_node *with_hash(struct nj_index_node *node, uint64_t hash)
{
    while (node && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct nj_index_node *nj_index_first(const struct nj_index *index, uint64_t hash)
{
    return index->slot_count ? with_hash(*slot_of(index, hash), hash) : NULL;
}

struct nj_index_node *nj_index_next(const struct nj_index_node *node)
{
    return with_hash(node->next, node->hash);
}
