/* See remains.h. */
#include "broker/remains.h"

#include "base/mem.h"
#include "broker/filters.h"
#include "broker/origin.h"
#include "broker/replay.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/turn.h"

/* Filters and messages that are let go at once. */
#define QUICK_STEPS 64u

struct remains {
    struct nj_job job; /* first */
    struct nj_session *session;
};

/* True when nothing is left. */
static bool take_apart(struct nj_session *session, uint32_t steps)
{
    return nj_filters_remove_some(session->shard->filters, session, &steps) &&
           nj_replay_free_some(&session->replay, &steps);
}

static void finish(struct nj_session *session)
{
    nj_subject_fini(&session->subject);
    nj_origin_unref(session->origin);
    nj_free(session);
}

static bool run(struct nj_job *job, struct nj_shard *shard, uint32_t steps)
{
    struct nj_session *session = ((struct remains *)job)->session;
    (void)shard;
    if (!take_apart(session, steps)) {
        return false;
    }
    finish(session);
    nj_free(job);
    return true;
}

void nj_remains_leave(struct nj_session *session)
{
    session->has_ended = true;
    if (take_apart(session, QUICK_STEPS)) {
        finish(session);
        return;
    }
    struct remains *remains = nj_try_zalloc(sizeof(*remains));
    if (!remains) {
        (void)take_apart(session, UINT32_MAX); /* the others wait; memory comes back */
        finish(session);
        return;
    }
    remains->job.run = run;
    remains->session = session;
    nj_job_add(&session->shard->turn, &remains->job);
}
