/* Retained messages on their way to a new subscription, paced by what the connection takes, so that
 * a subscription to `#` over a million topics holds references and never copies (MQTT5 3.3.1.3).
 *
 *   session ──► replay ──► replay ──► …      one for each filter, in the order they are sent;
 *                 └─ items                   looked for when its turn has come
 *
 * So one SUBSCRIBE with thousands of filters costs a few bytes for each, and its worker looks for
 * one of them at a time. A message that was replaced meanwhile is skipped: its successor went out
 * live, and so did what was retained after the subscription. */
#ifndef NJ_BROKER_REPLAY_H
#define NJ_BROKER_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/filters.h"
#include "broker/retain.h"
#include "broker/turn.h"

struct nj_session;
struct nj_shard;

struct nj_replay {
    struct nj_replay *next;
    struct nj_replay *last; /* of the chain, in its first one */
    struct nj_job job;      /* the session is away: the first one goes into its queue */
    struct nj_session *session;
    struct nj_retained *items; /* references */
    uint32_t count;
    uint32_t at;
    uint64_t clock; /* nothing younger */
    struct nj_sub_options options;
    bool has_looked;
    uint32_t filter_len;
    char filter[];
};

/* For what was retained up to `clock`, in front of `next`; `next` itself when nothing is retained
 * at all or memory is short. */
struct nj_replay *nj_replay_new(struct nj_session *session, struct nj_bytes filter,
                                const struct nj_sub_options *options, uint64_t clock,
                                struct nj_replay *next);
/* Frees the whole chain. Accepts NULL. */
void nj_replay_free(struct nj_replay *replay);
/* As much of it as there are steps (turn.h), which it takes. True when nothing is left. */
bool nj_replay_free_some(struct nj_replay **chain, uint32_t *steps);
/* Behind what the session still replays; sends what fits. Takes the chain over. */
void nj_replay_start(struct nj_session *session, struct nj_replay *replay);
/* Sends what fits, one message for each of `*steps` (turn.h). True when nothing is left. */
bool nj_replay_run(struct nj_session *session, uint32_t *steps);

/* The connection is gone: what was not replayed goes into the queue for the next one, as a job. */
void nj_replay_keep(struct nj_session *session);
/* Stops that: the next connection is there, or the session ends. */
void nj_replay_keep_no_more(struct nj_session *session);

#endif
