/* A copy of what was submitted, for stores that do it later. */
#ifndef NJ_STORE_GROUP_H
#define NJ_STORE_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

/* A group, or a read in its place in the lane. */
struct nj_store_group {
    struct nj_store_group *next;
    unsigned lane;
    bool is_read;
    bool is_told;    /* its completion was reported already */
    enum nj_err err; /* its outcome, once known */
    struct nj_store_read read;
    uint64_t cookie;
    uint64_t due_ms;
    struct nj_store_joint joint; /* id 0 = none */
    unsigned count;
    struct nj_store_op ops[];
};

/* With references to the messages and copies of the bytes, all in one block; NULL when memory is
 * short. */
struct nj_store_group *nj_store_group_new(unsigned lane, const struct nj_store_op *ops,
                                          unsigned count, uint64_t cookie,
                                          const struct nj_store_joint *joint) NJ_NODISCARD;
struct nj_store_group *nj_store_group_new_read(unsigned lane, const struct nj_store_read *read)
    NJ_NODISCARD;
void nj_store_group_free(struct nj_store_group *group);

/* Room for `count` rows; NULL when memory is short. */
struct nj_store_rows *nj_store_rows_new(uint64_t cookie, uint32_t count) NJ_NODISCARD;

#endif
