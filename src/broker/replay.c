/* See replay.h. */
#include "broker/replay.h"

#include "base/list.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/session.h"
#include "broker/shard.h"

/* Output above this waits for the socket before more is replayed. */
#define PENDING_MAX ((size_t)256 * 1024)

/* Topics that are looked at in one step. */
#define LOOKED_AT_PER_STEP 16u

static bool keep_some(struct nj_job *job, struct nj_shard *shard, uint32_t steps);

struct nj_replay *nj_replay_new(struct nj_session *session, struct nj_bytes filter,
                                const struct nj_sub_options *options, uint64_t clock,
                                struct nj_replay *next)
{
    bool is_needed = nj_retain_count(session->shard->core->retain) > 0;
    struct nj_replay *replay = is_needed ? nj_try_zalloc(sizeof(*replay) + filter.len) : NULL;
    if (!replay) {
        return next;
    }
    replay->next = next;
    replay->last = next ? next->last : replay;
    replay->job.run = keep_some;
    nj_list_init(&replay->job.node);
    replay->session = session;
    replay->clock = clock;
    replay->options = *options;
    replay->filter_len = (uint32_t)filter.len;
    memcpy(replay->filter, filter.ptr, filter.len);
    return replay;
}

static void take_steps(uint32_t *steps, uint32_t taken)
{
    *steps -= taken < *steps ? taken : *steps;
}

/* Finds its messages, if nobody did before. In one piece, and paid for: who asks for much waits. */
static void look(struct nj_shard *shard, struct nj_replay *replay, uint32_t *steps)
{
    if (replay->has_looked) {
        return;
    }
    const struct nj_retain_query query = {
        .filter = nj_bytes(replay->filter, replay->filter_len),
        .now_ms = shard->now_ms,
        .clock = replay->clock,
    };
    replay->has_looked = true;
    if (nj_retain_match(shard->core->retain, &query, shard->scratch, &replay->items,
                        &replay->count) != NJ_OK) {
        replay->items = NULL;
        replay->count = 0;
    }
    take_steps(steps, (shard->scratch[0].count + shard->scratch[1].count) / LOOKED_AT_PER_STEP + 1);
}

/* The first one is through. */
static void drop_first(struct nj_session *session)
{
    struct nj_replay *replay = session->replay;
    session->replay = replay->next;
    if (session->replay) {
        session->replay->last = replay->last;
    }
    replay->next = NULL;
    nj_replay_free(replay);
}

void nj_replay_free(struct nj_replay *replay)
{
    uint32_t all = UINT32_MAX;
    (void)nj_replay_free_some(&replay, &all);
}

/* Letting go is quicker than sending. */
#define FREED_PER_STEP 4u

bool nj_replay_free_some(struct nj_replay **chain, uint32_t *steps)
{
    while (*chain) {
        struct nj_replay *replay = *chain;
        while (replay->at < replay->count) {
            if (!*steps) {
                return false;
            }
            for (uint32_t i = 0; i < FREED_PER_STEP && replay->at < replay->count; i++) {
                nj_retained_unref(&replay->items[replay->at++]);
            }
            (*steps)--;
        }
        if (!*steps) {
            return false;
        }
        (*steps)--;
        *chain = replay->next;
        nj_list_remove(&replay->job.node);
        nj_free(replay->items);
        nj_free(replay);
    }
    return true;
}

static bool origin_still_may(struct nj_shard *shard, const struct nj_retained *item)
{
    if (!item->origin || !shard->limits->retain_rechecks_origin) {
        return true;
    }
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, nj_origin_user(item->origin), nj_origin_client_id(item->origin),
                    item->origin->scope);
    subject.by_certificate = item->origin->by_certificate;
    nj_authz(shard->policy, &subject, NJ_ACTION_PUBLISH, nj_message_topic(item->message), &verdict);
    nj_subject_fini(&subject);
    return verdict.allowed;
}

static bool still_holds(struct nj_shard *shard, const struct nj_retained *item)
{
    uint64_t expires_ms = item->message->expires_ms;
    return (!expires_ms || expires_ms > shard->now_ms) &&
           nj_retain_is_current(shard->core->retain, item->message) &&
           origin_still_may(shard, item);
}

void nj_replay_start(struct nj_session *session, struct nj_replay *replay)
{
    if (session->replay) {
        session->replay->last->next = replay;
        session->replay->last = replay->last;
    } else {
        session->replay = replay;
    }
    nj_session_pump(session);
}

bool nj_replay_run(struct nj_session *session, uint32_t *steps)
{
    struct nj_shard *shard = session->shard;
    while (session->replay) {
        struct nj_replay *replay = session->replay;
        if (!*steps) {
            return false;
        }
        look(shard, replay, steps);
        while (replay->at < replay->count) {
            if (!*steps || session->link->out.pending > PENDING_MAX) {
                return false;
            }
            (*steps)--;
            struct nj_retained *item = &replay->items[replay->at];
            if (still_holds(shard, item) && !nj_deliver_retained(session, item, &replay->options)) {
                return false;
            }
            nj_retained_unref(item);
            replay->at++;
        }
        drop_first(session);
    }
    return true;
}

/* ---- for the next connection */

static void keep_item(struct nj_session *session, const struct nj_retained *item,
                      const struct nj_sub_options *given)
{
    if (!still_holds(session->shard, item)) {
        return;
    }
    struct nj_publication publication = {
        .view = nj_message_view(item->message),
        .kept = nj_message_ref(item->message),
        .is_accepted = true,
    };
    struct nj_sub_options options = *given;
    options.is_retain_as_published = true;
    publication.view.is_retain = true;
    session->shard->publication++;
    (void)nj_deliver(session, &publication, &options);
    nj_publication_fini(&publication);
}

/* True when nothing is left. */
static bool keep_part(struct nj_session *session, uint32_t steps)
{
    struct nj_shard *shard = session->shard;
    enum nj_err err;
    while (session->replay && steps) {
        struct nj_replay *replay = session->replay;
        look(shard, replay, &steps);
        for (; replay->at < replay->count && steps; steps--) {
            struct nj_retained *item = &replay->items[replay->at++];
            keep_item(session, item, &replay->options);
            nj_retained_unref(item);
        }
        if (replay->at == replay->count) {
            drop_first(session);
        }
    }
    (void)nj_shard_commit(shard, &err);
    return !session->replay;
}

/* The job is the first one's, whichever that is. */
static bool keep_some(struct nj_job *job, struct nj_shard *shard, uint32_t steps)
{
    struct nj_session *session = NJ_CONTAINER(job, struct nj_replay, job)->session;
    const struct nj_replay *first = session->replay;
    if (keep_part(session, steps)) {
        return true;
    }
    if (session->replay == first) {
        return false;
    }
    nj_job_add(&shard->turn, &session->replay->job);
    return true;
}

void nj_replay_keep(struct nj_session *session)
{
    if (session->replay && !keep_part(session, NJ_PUMP_STEPS)) {
        nj_job_add(&session->shard->turn, &session->replay->job);
    }
}

void nj_replay_keep_no_more(struct nj_session *session)
{
    if (session->replay) {
        nj_list_remove(&session->replay->job.node);
    }
}
