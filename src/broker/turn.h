/* What one turn of a worker may cost, and the work that goes on in the next one.
 *
 * A worker serves all its connections in turns, so whatever takes long makes all of them wait. Work
 * whose size somebody outside decides (retained messages, filters of a session, receivers of a
 * large message) is therefore done in parts:
 *
 *   - what goes out is bounded by the turn's steps (nj_turn_spend): who has more is marked dirty
 * and has its next part in the next turn;
 *   - everything else is a job (nj_job_add), of which each turn runs some steps.
 *
 * A step is about a microsecond of work, counted and not measured, so that a test sees the same
 * parts every time. Output and jobs have steps of their own: neither can take the other's.
 *
 * All of it belongs to the shard's worker. Nothing here blocks or fails. */
#ifndef NJ_BROKER_TURN_H
#define NJ_BROKER_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

struct nj_shard;

/* Of one turn, for output that is not urgent and for jobs. */
#define NJ_TURN_STEPS 1000u
/* Of one session in one go: retained messages, queued messages. */
#define NJ_PUMP_STEPS 256u

/* Each time that so much more waits than usual, a turn may cost twice as much. */
#define NJ_TURN_MEMORY ((size_t)2 << 20)
/* So many times; beyond, it writes all there is. */
#define NJ_TURN_DOUBLINGS 16u

struct nj_job {
    struct nj_list node;
    /* Does some work, about `steps` of it. True when it is done: then it is the job's own to free
     * (it is in no list any more). */
    bool (*run)(struct nj_job *job, struct nj_shard *shard, uint32_t steps);
};

/* Of a shard. */
struct nj_turn {
    uint32_t steps_left; /* for output */
    uint32_t filters; /* that the connection which is read has named in this turn: front counts */
    size_t usual_memory; /* what waits to be written had when nothing was left over */
    struct nj_list jobs; /* the first one is next */
};

void nj_turn_init(struct nj_turn *turn);
/* `has_rest`: the last turn left something unwritten for want of steps. */
void nj_turn_begin(struct nj_turn *turn, size_t memory, bool has_rest);
/* Steps for writing: the more, the more memory waits. So a flood is slowed down by what it causes,
 * and memory stays bounded. */
void nj_turn_open(struct nj_turn *turn, size_t memory);
/* Takes steps; false when none is left. */
static inline bool nj_turn_spend(struct nj_turn *turn, uint32_t steps)
{
    turn->steps_left -= steps < turn->steps_left ? steps : turn->steps_left;
    return turn->steps_left > 0;
}

/* The job is run in this turn or the next ones, until it says that it is done. */
void nj_job_add(struct nj_turn *turn, struct nj_job *job);
/* Runs jobs in turns, NJ_TURN_STEPS together. True when some are left. */
bool nj_jobs_run(struct nj_shard *shard);
/* Runs all of them to their end: the broker stops. */
void nj_jobs_finish(struct nj_shard *shard);

#endif
