/* A tree of topic levels: topics, or topic filters whose '+' and '#' are levels like any other.
 *
 *   root ── "a" ── "b" ── "#"          every node hangs in one hash table, keyed by
 *        └─ "+" ── "x"                 (parent, level text), so a step down costs one look-up
 *
 * Three users: each worker's private subscription index, the shared interest index, and the shared
 * retained index. A shared tree has a qsbr domain: readers that are online in it take no lock,
 * writers hold the user's own mutex, and unlinked nodes are freed after all readers moved on. A
 * private tree has no domain and frees at once.
 *
 * A node lives as long as it has a value or children; nj_tree_prune takes it and its now empty
 * ancestors away. */
#ifndef NJ_BROKER_TREE_H
#define NJ_BROKER_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_qsbr;
struct nj_tree;

#define NJ_TREE_PLUS 1
#define NJ_TREE_HASH 2

/* Visible because the match loops are the hottest code of the broker. */
struct nj_tree_node {
    struct nj_tree_node *parent;
    _Atomic(struct nj_tree_node *) bucket_next;
    _Atomic(struct nj_tree_node *) first_child;
    _Atomic(struct nj_tree_node *) next_sibling;
    struct nj_tree_node *prev_sibling; /* writers only; the first one's is the last */
    _Atomic(void *) value;             /* the user's; NULL = this node is only a way to others */
    uint32_t hash;
    uint32_t child_count; /* writers only */
    uint16_t level_len;
    uint16_t depth; /* root = 0 */
    /* Bits NJ_TREE_PLUS, NJ_TREE_HASH: there may be a child '+', '#'. Most nodes have neither, and
     * a look-up that finds nothing costs a cache miss in a big table. Set before the child can be
     * found, cleared after it cannot. */
    _Atomic uint8_t wild;
    char level[];
};

/* `bucket_bits`: size of the hash table; a private tree grows it by itself, a shared one cannot. */
struct nj_tree *nj_tree_new(struct nj_qsbr *domain, unsigned bucket_bits);
/* Accepts NULL. `value_free` (may be NULL) is called with every value that is left. */
void nj_tree_free(struct nj_tree *tree, void (*value_free)(void *));

/* The node of exactly this path, or NULL. Readers and writers. */
struct nj_tree_node *nj_tree_find(const struct nj_tree *tree, struct nj_bytes path);
/* Finds or makes the node. NULL when memory is short (nothing is left behind). Writers. */
struct nj_tree_node *nj_tree_insert(struct nj_tree *tree, struct nj_bytes path) NJ_NODISCARD;
/* Removes `node` and its ancestors as far as they have neither value nor children. Writers. */
void nj_tree_prune(struct nj_tree *tree, struct nj_tree_node *node);
/* Changes whenever a node appears or goes: the key of caches over match results. Writers that
 * take a value out of a node that stays call nj_tree_touch. */
void nj_tree_touch(struct nj_tree *tree);
uint64_t nj_tree_generation(const struct nj_tree *tree);
uint64_t nj_tree_node_count(const struct nj_tree *tree);

/* A growing list of nodes, reused between calls. init by zero, fini by nj_tree_nodes_fini. */
struct nj_tree_nodes {
    struct nj_tree_node **node;
    uint32_t count;
    uint32_t cap;
};
void nj_tree_nodes_fini(struct nj_tree_nodes *nodes);

/* Tree of filters: all nodes with a value whose filter matches `topic` (MQTT5 4.7). `scratch` is
 * working space. NJ_ENOMEM leaves a partial result. Readers. */
enum nj_err nj_tree_match_topic(const struct nj_tree *tree, struct nj_bytes topic,
                                struct nj_tree_nodes *scratch, struct nj_tree_nodes *out)
    NJ_NODISCARD;
/* Puts what nj_tree_match_topic found into the order in which Mosquitto goes through filters, the
 * narrowest first: who has overlapping ones gets the copies in it. For the owner of a private tree.
 */
void nj_tree_order_matches(struct nj_tree_nodes *nodes);
/* Tree of topics: all nodes with a value whose topic is matched by `filter`, siblings in the order
 * in which they came. Readers. */
enum nj_err nj_tree_match_filter(const struct nj_tree *tree, struct nj_bytes filter,
                                 struct nj_tree_nodes *scratch, struct nj_tree_nodes *out)
    NJ_NODISCARD;
/* Writes the node's path into buf; returns its length, or the length needed if buf is too small. */
size_t nj_tree_path(const struct nj_tree_node *node, char *buf, size_t size);

#endif
