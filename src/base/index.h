/* A hash table of records that their owner keeps elsewhere as well: an intrusive node in each,
 * chained by hash.
 *
 *     slots ──► node ──► node        by the low bits of the hash
 *
 * It grows by one slot with each node (linear hashing): the nodes of one slot are shared out
 * between that and the new one, so that no addition ever waits for all of them to move. It never
 * shrinks. A growth that memory is too short for makes longer chains and nothing worse. Not thread
 * safe.
 *
 * Hash with nj_hash_bytes or nj_hash_seeded: whoever chooses the keys must not choose the chains.
 * Numbers that the broker counts itself are good hashes as they are. */
#ifndef NJ_BASE_INDEX_H
#define NJ_BASE_INDEX_H

#include <stdint.h>

#include "base/err.h"

struct nj_index_node {
    struct nj_index_node *next;
    uint64_t hash;
};

/* All zero is an empty one. */
struct nj_index {
    struct nj_index_node **slots;
    uint32_t slot_count; /* in use, */
    uint32_t slot_cap;   /* and allocated */
    uint32_t count;      /* nodes */
};

/* Forgets all nodes and frees the table; the records are their owner's. */
void nj_index_fini(struct nj_index *index);
/* `node` is in no index. NJ_ENOMEM: there is no table yet and no memory for one. */
enum nj_err nj_index_add(struct nj_index *index, struct nj_index_node *node, uint64_t hash)
    NJ_NODISCARD;
/* `node` is in it. */
void nj_index_remove(struct nj_index *index, struct nj_index_node *node);

/* The nodes with this hash, one after the other; NULL = no (more). What they are the caller
 * compares. */
struct nj_index_node *nj_index_first(const struct nj_index *index, uint64_t hash);
struct nj_index_node *nj_index_next(const struct nj_index_node *node);

#endif
