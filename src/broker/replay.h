/* Retained messages on their way to a new subscription, paced by what the connection takes, so that
 * a subscription to `#` over a million topics holds references and never copies (MQTT5 3.3.1.3).
 * A message that was replaced meanwhile is skipped: its successor went out live. */
#ifndef NJ_BROKER_REPLAY_H
#define NJ_BROKER_REPLAY_H

#include <stdint.h>

#include "broker/filters.h"
#include "broker/retain.h"

struct nj_session;
struct nj_shard;

struct nj_replay {
    struct nj_replay *next;
    struct nj_retained *items; /* references */
    uint32_t count;
    uint32_t at;
    struct nj_sub_options options;
};

/* What is retained for `filter` now, in front of `next`; `next` itself when there is nothing or
 * memory is short. */
struct nj_replay *nj_replay_new(struct nj_session *session, struct nj_bytes filter,
                                const struct nj_sub_options *options, struct nj_replay *next);
/* Frees the whole chain. Accepts NULL. */
void nj_replay_free(struct nj_replay *replay);
/* As much of it as there are steps (turn.h), which it takes. True when nothing is left. */
bool nj_replay_free_some(struct nj_replay **chain, uint32_t *steps);
/* Whether the item is still what is retained, and its publisher still may (a retained message
 * whose publisher lost the right is not delivered). */
bool nj_replay_still_holds(struct nj_shard *shard, const struct nj_retained *item);
/* Behind what the session still replays; sends what fits. Takes the chain over. */
void nj_replay_start(struct nj_session *session, struct nj_replay *replay);
/* Sends what fits, one message for each of `*steps` (turn.h). True when nothing is left. */
bool nj_replay_run(struct nj_session *session, uint32_t *steps);

#endif
