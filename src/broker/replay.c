/* See replay.h. */
#include "broker/replay.h"

#include "base/mem.h"
#include "broker/deliver.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/session.h"
#include "broker/shard.h"

/* Output above this waits for the socket before more is replayed. */
#define PENDING_MAX ((size_t)256 * 1024)

struct nj_replay *nj_replay_new(struct nj_session *session, struct nj_bytes filter,
                                const struct nj_sub_options *options, struct nj_replay *next)
{
    struct nj_shard *shard = session->shard;
    struct nj_retained *items;
    uint32_t count;
    if (nj_retain_match(shard->core->retain, filter, shard->now_ms, shard->scratch, &items,
                        &count) != NJ_OK ||
        count == 0) {
        nj_free(items);
        return next;
    }
    struct nj_replay *replay = nj_try_zalloc(sizeof(*replay));
    if (!replay) {
        for (uint32_t i = 0; i < count; i++) {
            nj_retained_unref(&items[i]);
        }
        nj_free(items);
        return next;
    }
    replay->items = items;
    replay->count = count;
    replay->options = *options;
    replay->next = next;
    return replay;
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
        *chain = replay->next;
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

bool nj_replay_still_holds(struct nj_shard *shard, const struct nj_retained *item)
{
    uint64_t expires_ms = item->message->expires_ms;
    return (!expires_ms || expires_ms > shard->now_ms) &&
           nj_retain_is_current(shard->core->retain, item->message) &&
           origin_still_may(shard, item);
}

void nj_replay_start(struct nj_session *session, struct nj_replay *replay)
{
    struct nj_replay **end = &session->replay;
    while (*end) {
        end = &(*end)->next;
    }
    *end = replay;
    nj_session_pump(session);
}

bool nj_replay_run(struct nj_session *session, uint32_t *steps)
{
    struct nj_shard *shard = session->shard;
    while (session->replay) {
        struct nj_replay *replay = session->replay;
        while (replay->at < replay->count) {
            if (!*steps || session->link->out.pending > PENDING_MAX) {
                return false;
            }
            (*steps)--;
            struct nj_retained *item = &replay->items[replay->at];
            if (nj_replay_still_holds(shard, item) &&
                !nj_deliver_retained(session, item, &replay->options)) {
                return false;
            }
            nj_retained_unref(item);
            replay->at++;
        }
        session->replay = replay->next;
        replay->next = NULL;
        nj_replay_free(replay);
    }
    return true;
}
