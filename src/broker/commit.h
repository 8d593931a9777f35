/* The store group of the packet in hand, and what happens when a group's fate is known.
 *
 *   op ─ op ─ op ─ commit ──► store ──► completed:  failed? rows are taken back (undo)
 *                                                   what was to follow runs     (after)
 *                                                   answers leave               (hold.h)
 *
 * Operations collect in shard->ops; everything they point to has to live until the commit, which
 * comes before the packet is done with. */
#ifndef NJ_BROKER_COMMIT_H
#define NJ_BROKER_COMMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "store/store.h"

struct nj_shard;

/* NULL when memory is short: then the whole group is given up and its commit says so. */
struct nj_store_op *nj_shard_op(struct nj_shard *shard, enum nj_store_op_kind kind, uint64_t owner);
/* Submits what was collected. Returns the group's number; 0 when there was nothing, or it was
 * given up or refused by the store: *err tells, and its rows were taken back. */
uint64_t nj_shard_commit(struct nj_shard *shard, enum nj_err *err);
/* The same as a part of `joint`; also an empty group is submitted, and one that has to be given up
 * as aborted. */
uint64_t nj_shard_commit_joint(struct nj_shard *shard, struct nj_store_joint *joint,
                               enum nj_err *err);
/* The number that the open group gets. */
uint64_t nj_shard_open_group(const struct nj_shard *shard);
uint64_t nj_shard_next_seq(struct nj_shard *shard);
/* For nj_store_joint. */
uint64_t nj_shard_next_joint(struct nj_shard *shard);

/* Runs when `group` is complete, after its rows were taken back if it failed. With NJ_ECLOSED the
 * broker stops: free what is yours. The owner embeds it. */
struct nj_after {
    struct nj_list node;
    uint64_t group;
    void (*run)(struct nj_shard *shard, struct nj_after *after, enum nj_err err);
};
/* Those of one group run in the order of these calls. */
void nj_shard_after(struct nj_shard *shard, struct nj_after *after, uint64_t group);

/* Bytes before the store's writer above which whoever publishes what it has to write is not read
 * (nj_session_must_wait), and below which everybody is again. */
#define NJ_STORE_BEHIND_BYTES    ((size_t)32 * 1024 * 1024)
#define NJ_STORE_CAUGHT_UP_BYTES (NJ_STORE_BEHIND_BYTES / 2)
bool nj_shard_store_is_behind(const struct nj_shard *shard);
/* It is well, too. */
bool nj_shard_store_has_caught_up(const struct nj_shard *shard);
/* At the beginning of a turn: asks the store how it is, now and then. When it is well (again),
 * links that were held back are let go, and sessions' messages are handed over that it refused. */
void nj_shard_look_at_store(struct nj_shard *shard);
/* When that has to happen next for somebody's sake; UINT64_MAX = never. */
uint64_t nj_shard_next_look_ms(const struct nj_shard *shard);

/* From nj_shard_completed. */
void nj_commit_completed(struct nj_shard *shard, uint64_t group, enum nj_err err);
void nj_commit_fini(struct nj_shard *shard);

#endif
