/* What the writer has in memory of owners and their rows. For src/store alone; lmdb_priv.h is the
 * map. */
#ifndef NJ_STORE_LMDB_INDEX_H
#define NJ_STORE_LMDB_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* ---- owners and tails (lmdb_index.c). The writer's; it shows what is committed. */

/* Rows of an owner that are in no page yet, rising. */
struct nj_lmdb_tail {
    uint64_t *seqs;
    uint32_t head;
    uint32_t count;
    uint32_t cap;
};

struct nj_lmdb_owner {
    uint64_t owner; /* 0 = free place */
    uint32_t tail;  /* 0 = none, else index + 1 */
    bool is_away;
    bool is_ghost; /* no session: a grave is to be emptied */
};

struct nj_lmdb_index {
    struct nj_lmdb_owner *slots;
    uint64_t mask;
    uint64_t used; /* places that are not free */
    struct nj_lmdb_tail *tails;
    uint32_t tail_count;
    uint32_t tail_cap;
    uint32_t free_tail; /* chained through .cap; 0 = none */
};

enum nj_err nj_lmdb_index_init(struct nj_lmdb_index *index) NJ_NODISCARD;
void nj_lmdb_index_fini(struct nj_lmdb_index *index);
struct nj_lmdb_owner *nj_lmdb_index_find(const struct nj_lmdb_index *index, uint64_t owner);
/* Finds or makes it; NULL when memory is short. Pointers to owners are good until the next add. */
struct nj_lmdb_owner *nj_lmdb_index_add(struct nj_lmdb_index *index, uint64_t owner);
void nj_lmdb_index_remove(struct nj_lmdb_index *index, uint64_t owner);
/* NULL when it has none. */
struct nj_lmdb_tail *nj_lmdb_index_tail(const struct nj_lmdb_index *index,
                                        const struct nj_lmdb_owner *owner);
void nj_lmdb_tail_push(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner, uint64_t seq);
void nj_lmdb_tail_drop(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner, uint64_t seq);

#endif
