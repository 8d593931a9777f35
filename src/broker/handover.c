/* See handover.h. */
#include "broker/handover.h"

#include "base/mem.h"
#include "broker/commit.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"

#define PAGE_ROWS  256u
#define PAGE_BYTES ((uint64_t)1024 * 1024)

struct nj_handover {
    struct nj_handover *next;
    uint64_t owner;
    struct nj_shared_sub *subs; /* copies */
};

static void handover_free(struct nj_handover *handover)
{
    while (handover->subs) {
        struct nj_shared_sub *sub = handover->subs;
        handover->subs = sub->next;
        nj_free(sub);
    }
    nj_free(handover);
}

static bool copy_subs(struct nj_handover *handover, const struct nj_session *session)
{
    for (const struct nj_shared_sub *sub = session->shared; sub; sub = sub->next) {
        size_t size = sizeof(*sub) + sub->group_len + sub->filter_len;
        struct nj_shared_sub *copy = nj_try_alloc(size);
        if (!copy) {
            return false;
        }
        memcpy(copy, sub, size);
        copy->next = handover->subs;
        handover->subs = copy;
    }
    return true;
}

static bool ask(struct nj_shard *shard, uint64_t owner, uint64_t from_seq)
{
    const struct nj_store_read read = {
        .owner = owner,
        .from_seq = from_seq,
        .max_bytes = PAGE_BYTES,
        .max_rows = PAGE_ROWS,
        .with_flights = from_seq == 0,
        .cookie = owner,
    };
    return shard->core->store && nj_store_read(shard->core->store, shard->id, &read) == NJ_OK;
}

bool nj_handover_start(struct nj_session *session)
{
    const struct nj_backlog *backlog = &session->backlog;
    bool has_rows = backlog->count || (backlog->flights && !backlog->is_loaded);
    if (!session->has_record || !session->shared || !has_rows) {
        return false;
    }
    struct nj_shard *shard = session->shard;
    struct nj_handover *handover = nj_try_zalloc(sizeof(*handover));
    if (!handover) {
        return false;
    }
    handover->owner = session->id;
    if (!copy_subs(handover, session) || !ask(shard, session->id, 0)) {
        handover_free(handover);
        return false;
    }
    handover->next = shard->handovers;
    shard->handovers = handover;
    enum nj_err err;
    session->is_ending = true;
    nj_session_save(session);
    (void)nj_shard_commit(shard, &err);
    return true;
}

static void finish(struct nj_shard *shard, struct nj_handover **at)
{
    struct nj_handover *handover = *at;
    *at = handover->next;
    enum nj_err err;
    (void)nj_shard_op(shard, NJ_STORE_SESSION_DELETE, handover->owner);
    (void)nj_shard_commit(shard, &err);
    handover_free(handover);
}

/* QoS 2 in flight is nobody else's: the member may have it. */
static bool may_pass_on(const struct nj_store_row *row)
{
    return row->state == NJ_STORE_ROW_QUEUED || (row->state == NJ_STORE_ROW_SENT && row->qos == 1);
}

void nj_handover_rows(struct nj_shard *shard, struct nj_store_rows *rows)
{
    struct nj_handover **at = &shard->handovers;
    while (*at && (*at)->owner != rows->cookie) {
        at = &(*at)->next;
    }
    if (!*at) {
        return;
    }
    uint64_t last = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct nj_store_row *row = &rows->row[i];
        last = row->seq > last ? row->seq : last;
        if (row->message && row->share && may_pass_on(row)) {
            nj_share_pass_on(shard, (*at)->owner, (*at)->subs, row->share, row->message);
        }
    }
    if (rows->err != NJ_OK || rows->is_end || !last || !ask(shard, (*at)->owner, last + 1)) {
        finish(shard, at);
    }
}

void nj_handovers_fini(struct nj_shard *shard)
{
    while (shard->handovers) {
        struct nj_handover *handover = shard->handovers;
        shard->handovers = handover->next;
        handover_free(handover);
    }
}
