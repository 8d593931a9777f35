/* See tree.h. */
#include "broker/tree.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/qsbr.h"

struct nj_tree {
    struct nj_qsbr *domain; /* NULL = private */
    _Atomic(struct nj_tree_node *) *buckets;
    uint64_t bucket_mask;
    uint64_t count;
    _Atomic uint64_t generation;
    struct nj_tree_node *root;
};

static uint32_t level_hash(const struct nj_tree_node *parent, struct nj_bytes level)
{
    return (uint32_t)nj_hash_seeded(level, (uint64_t)(uintptr_t)parent);
}

struct nj_tree *nj_tree_new(struct nj_qsbr *domain, unsigned bucket_bits)
{
    struct nj_tree *tree = nj_zalloc(sizeof(*tree));
    tree->domain = domain;
    tree->bucket_mask = (1ull << bucket_bits) - 1;
    tree->buckets = nj_zalloc(sizeof(*tree->buckets) << bucket_bits);
    tree->root = nj_zalloc(sizeof(*tree->root));
    return tree;
}

void nj_tree_free(struct nj_tree *tree, void (*value_free)(void *))
{
    if (!tree) {
        return;
    }
    for (uint64_t i = 0; i <= tree->bucket_mask; i++) {
        struct nj_tree_node *node = atomic_load_explicit(&tree->buckets[i], memory_order_relaxed);
        while (node) {
            struct nj_tree_node *next =
                atomic_load_explicit(&node->bucket_next, memory_order_relaxed);
            void *value = atomic_load_explicit(&node->value, memory_order_relaxed);
            if (value && value_free) {
                value_free(value);
            }
            nj_free(node);
            node = next;
        }
    }
    nj_free(tree->root);
    nj_free(tree->buckets);
    nj_free(tree);
}

static struct nj_tree_node *child_find(const struct nj_tree *tree,
                                       const struct nj_tree_node *parent, struct nj_bytes level)
{
    uint32_t hash = level_hash(parent, level);
    struct nj_tree_node *node =
        atomic_load_explicit(&tree->buckets[hash & tree->bucket_mask], memory_order_acquire);
    while (node) {
        if (node->hash == hash && node->parent == parent && node->level_len == level.len &&
            memcmp(node->level, level.ptr, level.len) == 0) {
            return node;
        }
        node = atomic_load_explicit(&node->bucket_next, memory_order_acquire);
    }
    return NULL;
}

static uint8_t wild_bit(const char *level, size_t len)
{
    if (len != 1) {
        return 0;
    }
    return level[0] == '+' ? NJ_TREE_PLUS : level[0] == '#' ? NJ_TREE_HASH : 0;
}

/* The child '+' or '#', if any. */
static struct nj_tree_node *wild_find(const struct nj_tree *tree, const struct nj_tree_node *parent,
                                      uint8_t bit)
{
    if (NJ_LIKELY(!(atomic_load_explicit(&parent->wild, memory_order_acquire) & bit))) {
        return NULL;
    }
    return child_find(tree, parent, bit == NJ_TREE_PLUS ? NJ_BYTES_LIT("+") : NJ_BYTES_LIT("#"));
}

/* Takes the first level off *rest. False when the path is used up. An empty level counts. */
static bool next_level(struct nj_bytes *rest, struct nj_bytes *level)
{
    if (!rest->ptr) {
        return false;
    }
    const uint8_t *slash = memchr(rest->ptr, '/', rest->len);
    if (slash) {
        *level = nj_bytes(rest->ptr, (size_t)(slash - rest->ptr));
        *rest = nj_bytes(slash + 1, rest->len - level->len - 1);
    } else {
        *level = *rest;
        *rest = nj_bytes(NULL, 0);
    }
    return true;
}

struct nj_tree_node *nj_tree_find(const struct nj_tree *tree, struct nj_bytes path)
{
    struct nj_tree_node *node = tree->root;
    struct nj_bytes level;
    while (node && next_level(&path, &level)) {
        node = child_find(tree, node, level);
    }
    return node;
}

/* Only a private tree may move its chains: nobody else is reading them. */
static void grow(struct nj_tree *tree)
{
    if (tree->domain || tree->count <= tree->bucket_mask) {
        return;
    }
    uint64_t mask = (tree->bucket_mask + 1) * 2 - 1;
    _Atomic(struct nj_tree_node *) *buckets = nj_try_zalloc((mask + 1) * sizeof(*buckets));
    if (!buckets) {
        return; /* longer chains, but correct */
    }
    for (uint64_t i = 0; i <= tree->bucket_mask; i++) {
        struct nj_tree_node *node = atomic_load_explicit(&tree->buckets[i], memory_order_relaxed);
        while (node) {
            struct nj_tree_node *next =
                atomic_load_explicit(&node->bucket_next, memory_order_relaxed);
            struct nj_tree_node *head =
                atomic_load_explicit(&buckets[node->hash & mask], memory_order_relaxed);
            atomic_store_explicit(&node->bucket_next, head, memory_order_relaxed);
            atomic_store_explicit(&buckets[node->hash & mask], node, memory_order_relaxed);
            node = next;
        }
    }
    nj_free(tree->buckets);
    tree->buckets = buckets;
    tree->bucket_mask = mask;
}

void nj_tree_touch(struct nj_tree *tree)
{
    atomic_fetch_add_explicit(&tree->generation, 1, memory_order_release);
}

/* As the last one, so that children are found in the order in which they came. */
static void link_sibling(struct nj_tree_node *parent, struct nj_tree_node *node)
{
    struct nj_tree_node *first = atomic_load_explicit(&parent->first_child, memory_order_relaxed);
    if (!first) {
        node->prev_sibling = node;
        atomic_store_explicit(&parent->first_child, node, memory_order_release);
        return;
    }
    node->prev_sibling = first->prev_sibling;
    atomic_store_explicit(&first->prev_sibling->next_sibling, node, memory_order_release);
    first->prev_sibling = node;
}

static struct nj_tree_node *child_add(struct nj_tree *tree, struct nj_tree_node *parent,
                                      struct nj_bytes level)
{
    struct nj_tree_node *node = nj_try_zalloc(sizeof(*node) + level.len);
    if (!node) {
        return NULL;
    }
    node->parent = parent;
    node->hash = level_hash(parent, level);
    node->level_len = (uint16_t)level.len;
    node->depth = (uint16_t)(parent->depth + 1);
    if (level.len) {
        memcpy(node->level, level.ptr, level.len);
    }
    _Atomic(struct nj_tree_node *) *bucket = &tree->buckets[node->hash & tree->bucket_mask];
    atomic_store_explicit(&node->bucket_next, atomic_load_explicit(bucket, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_fetch_or_explicit(&parent->wild, wild_bit(node->level, node->level_len),
                             memory_order_relaxed);
    /* The node is complete before it can be reached by either way. */
    atomic_store_explicit(bucket, node, memory_order_release);
    link_sibling(parent, node);
    parent->child_count++;
    tree->count++;
    return node;
}

struct nj_tree_node *nj_tree_insert(struct nj_tree *tree, struct nj_bytes path)
{
    struct nj_tree_node *node = tree->root;
    struct nj_bytes level;
    while (next_level(&path, &level)) {
        struct nj_tree_node *child = child_find(tree, node, level);
        if (!child) {
            child = child_add(tree, node, level);
            grow(tree);
        }
        if (!child) {
            nj_tree_prune(tree, node);
            return NULL;
        }
        node = child;
    }
    /* Also when the node was there without a value: it is about to match. */
    nj_tree_touch(tree);
    return node;
}

/* An unlinked node keeps its own links: a reader standing on it still finds its way on. */
static void unlink_bucket(struct nj_tree *tree, struct nj_tree_node *node)
{
    _Atomic(struct nj_tree_node *) *link = &tree->buckets[node->hash & tree->bucket_mask];
    struct nj_tree_node *at;
    while ((at = atomic_load_explicit(link, memory_order_relaxed)) != node) {
        link = &at->bucket_next;
    }
    atomic_store_explicit(link, atomic_load_explicit(&node->bucket_next, memory_order_relaxed),
                          memory_order_release);
}

static void unlink_sibling(struct nj_tree_node *node)
{
    struct nj_tree_node *next = atomic_load_explicit(&node->next_sibling, memory_order_relaxed);
    struct nj_tree_node *first =
        atomic_load_explicit(&node->parent->first_child, memory_order_relaxed);
    _Atomic(struct nj_tree_node *) *link =
        node == first ? &node->parent->first_child : &node->prev_sibling->next_sibling;
    atomic_store_explicit(link, next, memory_order_release);
    if (next) {
        next->prev_sibling = node->prev_sibling;
    } else if (node != first) {
        first->prev_sibling = node->prev_sibling;
    }
}

void nj_tree_prune(struct nj_tree *tree, struct nj_tree_node *node)
{
    while (node != tree->root && node->child_count == 0 &&
           !atomic_load_explicit(&node->value, memory_order_relaxed)) {
        struct nj_tree_node *parent = node->parent;
        unlink_bucket(tree, node);
        unlink_sibling(node);
        atomic_fetch_and_explicit(&parent->wild, (uint8_t)~wild_bit(node->level, node->level_len),
                                  memory_order_release);
        parent->child_count--;
        tree->count--;
        nj_tree_touch(tree);
        if (tree->domain) {
            nj_qsbr_defer(tree->domain, nj_free, node);
        } else {
            nj_free(node);
        }
        node = parent;
    }
}

uint64_t nj_tree_generation(const struct nj_tree *tree)
{
    return atomic_load_explicit(&tree->generation, memory_order_acquire);
}

uint64_t nj_tree_node_count(const struct nj_tree *tree)
{
    return tree->count;
}

void nj_tree_nodes_fini(struct nj_tree_nodes *nodes)
{
    nj_free(nodes->node);
    *nodes = (struct nj_tree_nodes){0};
}

static enum nj_err nodes_add(struct nj_tree_nodes *nodes, struct nj_tree_node *node)
{
    if (nodes->count == nodes->cap) {
        uint32_t cap = nodes->cap ? nodes->cap * 2 : 16;
        struct nj_tree_node **grown =
            nj_try_realloc(nodes->node, cap * sizeof(struct nj_tree_node *));
        if (!grown) {
            return NJ_ENOMEM;
        }
        nodes->node = grown;
        nodes->cap = cap;
    }
    nodes->node[nodes->count++] = node;
    return NJ_OK;
}

static bool has_value(const struct nj_tree_node *node)
{
    return atomic_load_explicit(&node->value, memory_order_acquire) != NULL;
}

static enum nj_err add_if_valued(struct nj_tree_nodes *out, struct nj_tree_node *node)
{
    return node && has_value(node) ? nodes_add(out, node) : NJ_OK;
}

/* One step: for every node of the frontier [from, to) its children that `level` leads to. The '#'
 * child of a node matches the level and everything below. '$' topics are not matched by a wildcard
 * in first place (MQTT5 4.7.2). */
static enum nj_err step_filters(const struct nj_tree *tree, struct nj_bytes level, bool is_guarded,
                                struct nj_tree_nodes *frontier, uint32_t from,
                                struct nj_tree_nodes *out)
{
    uint32_t to = frontier->count;
    enum nj_err err = NJ_OK;
    for (uint32_t i = from; i < to && err == NJ_OK; i++) {
        struct nj_tree_node *at = frontier->node[i];
        if (!atomic_load_explicit(&at->first_child, memory_order_relaxed)) {
            continue;
        }
        struct nj_tree_node *child = child_find(tree, at, level);
        if (child) {
            err = nodes_add(frontier, child);
        }
        if (is_guarded || err != NJ_OK) {
            continue;
        }
        child = wild_find(tree, at, NJ_TREE_PLUS);
        if (child) {
            err = nodes_add(frontier, child);
        }
        if (err == NJ_OK) {
            err = add_if_valued(out, wild_find(tree, at, NJ_TREE_HASH));
        }
    }
    return err;
}

/* Where two filters part, the level's own text comes first, then '+', then '#'. Of two of which one
 * goes on where the other ends, which can only be by '#', the longer one comes first. */
static int by_narrowness(const void *a, const void *b)
{
    const struct nj_tree_node *left = *(struct nj_tree_node *const *)a;
    const struct nj_tree_node *right = *(struct nj_tree_node *const *)b;
    int longer_first = (left->depth < right->depth) - (left->depth > right->depth);
    while (left->depth > right->depth) {
        left = left->parent;
    }
    while (right->depth > left->depth) {
        right = right->parent;
    }
    if (left == right) {
        return longer_first;
    }
    while (left->parent != right->parent) {
        left = left->parent;
        right = right->parent;
    }
    return wild_bit(left->level, left->level_len) - wild_bit(right->level, right->level_len);
}

void nj_tree_order_matches(struct nj_tree_nodes *nodes)
{
    if (nodes->count > 1) {
        qsort(nodes->node, nodes->count, sizeof(struct nj_tree_node *), by_narrowness);
    }
}

enum nj_err nj_tree_match_topic(const struct nj_tree *tree, struct nj_bytes topic,
                                struct nj_tree_nodes *scratch, struct nj_tree_nodes *out)
{
    bool is_guarded = topic.len && topic.ptr[0] == '$';
    struct nj_bytes level;
    uint32_t from = 0;
    scratch->count = 0;
    out->count = 0;
    enum nj_err err = nodes_add(scratch, tree->root);
    while (err == NJ_OK && from < scratch->count && next_level(&topic, &level)) {
        uint32_t end = scratch->count;
        err = step_filters(tree, level, is_guarded, scratch, from, out);
        from = end;
        is_guarded = false;
    }
    for (uint32_t i = from; i < scratch->count && err == NJ_OK && !topic.ptr; i++) {
        struct nj_tree_node *at = scratch->node[i];
        err = add_if_valued(out, at);
        if (err == NJ_OK && atomic_load_explicit(&at->first_child, memory_order_relaxed)) {
            err = add_if_valued(out, wild_find(tree, at, NJ_TREE_HASH));
        }
    }
    return err;
}

static bool is_hidden(const struct nj_tree *tree, const struct nj_tree_node *parent,
                      const struct nj_tree_node *child)
{
    return parent == tree->root && child->level_len && child->level[0] == '$';
}

static enum nj_err add_children(const struct nj_tree *tree, struct nj_tree_node *at,
                                struct nj_tree_nodes *frontier)
{
    enum nj_err err = NJ_OK;
    struct nj_tree_node *child = atomic_load_explicit(&at->first_child, memory_order_acquire);
    while (child && err == NJ_OK) {
        if (!is_hidden(tree, at, child)) {
            err = nodes_add(frontier, child);
        }
        child = atomic_load_explicit(&child->next_sibling, memory_order_acquire);
    }
    return err;
}

/* The node after `at` in the subtree of `top`, parents before their children; NULL at the end. What
 * is hidden below the root is left out. A node that was unlinked meanwhile still leads on. */
static struct nj_tree_node *next_below(const struct nj_tree *tree, const struct nj_tree_node *top,
                                       const struct nj_tree_node *at)
{
    struct nj_tree_node *next = atomic_load_explicit(&at->first_child, memory_order_acquire);
    const struct nj_tree_node *parent = at;
    while (next ? is_hidden(tree, parent, next) : parent != top) {
        const struct nj_tree_node *from = next ? next : parent;
        parent = from->parent;
        next = atomic_load_explicit(&from->next_sibling, memory_order_acquire);
    }
    return next;
}

/* Everything below the nodes of the frontier, each of them itself at the end (but not the root,
 * which has no value): the order in which Mosquitto goes through retained messages. */
static enum nj_err add_subtrees(const struct nj_tree *tree, const struct nj_tree_nodes *frontier,
                                uint32_t from, struct nj_tree_nodes *out)
{
    enum nj_err err = NJ_OK;
    for (uint32_t i = from; i < frontier->count && err == NJ_OK; i++) {
        struct nj_tree_node *top = frontier->node[i];
        struct nj_tree_node *at = next_below(tree, top, top);
        while (at && err == NJ_OK) {
            err = add_if_valued(out, at);
            at = next_below(tree, top, at);
        }
        if (err == NJ_OK) {
            err = add_if_valued(out, top);
        }
    }
    return err;
}

enum nj_err nj_tree_match_filter(const struct nj_tree *tree, struct nj_bytes filter,
                                 struct nj_tree_nodes *scratch, struct nj_tree_nodes *out)
{
    struct nj_bytes level;
    uint32_t from = 0;
    scratch->count = 0;
    out->count = 0;
    enum nj_err err = nodes_add(scratch, tree->root);
    while (err == NJ_OK && from < scratch->count && next_level(&filter, &level)) {
        uint32_t end = scratch->count;
        if (level.len == 1 && level.ptr[0] == '#') {
            return add_subtrees(tree, scratch, from, out);
        }
        bool is_any = level.len == 1 && level.ptr[0] == '+';
        for (uint32_t i = from; i < end && err == NJ_OK; i++) {
            struct nj_tree_node *at = scratch->node[i];
            if (is_any) {
                err = add_children(tree, at, scratch);
                continue;
            }
            struct nj_tree_node *child = child_find(tree, at, level);
            err = child ? nodes_add(scratch, child) : NJ_OK;
        }
        from = end;
    }
    for (uint32_t i = from; i < scratch->count && err == NJ_OK && !filter.ptr; i++) {
        err = add_if_valued(out, scratch->node[i]);
    }
    return err;
}

size_t nj_tree_path(const struct nj_tree_node *node, char *buf, size_t size)
{
    size_t len = 0;
    for (const struct nj_tree_node *at = node; at->parent; at = at->parent) {
        len += at->level_len + (at->parent->parent ? 1u : 0u);
    }
    if (len > size) {
        return len;
    }
    size_t end = len;
    for (const struct nj_tree_node *at = node; at->parent; at = at->parent) {
        end -= at->level_len;
        memcpy(buf + end, at->level, at->level_len);
        if (at->parent->parent) {
            buf[--end] = '/';
        }
    }
    return len;
}
