/* Walking over a worker's sessions in parts, so that no turn of it is long. */
#ifndef NJ_CONTROL_WALK_H
#define NJ_CONTROL_WALK_H

#include <stdbool.h>
#include <stdint.h>

struct nj_session;
struct nj_shard;

/* Zeroed at the beginning. */
struct nj_walk {
    uint64_t cursor;
};

/* Calls `fn` for the sessions of some buckets more; true when all were visited. On the worker.
 * Sessions that live as long as the walk are visited once, also when the table grows meanwhile;
 * `fn` may end its session. */
bool nj_walk_sessions(struct nj_walk *walk, struct nj_shard *shard,
                      void (*fn)(void *arg, struct nj_session *session), void *arg);

#endif
