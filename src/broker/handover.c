/* See handover.h. */
#include "broker/handover.h"

#include "base/fault.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"

#define PAGE_ROWS  256u
#define PAGE_BYTES ((uint64_t)1024 * 1024)
/* Handed on at the same time by one worker. */
#define AT_WORK_MAX 8u
/* Before what the store refused is tried again. */
#define PAUSE_MS 200u
/* No session has it in its number: what sessions asked for is told from what is asked here. */
#define COOKIE_BIT ((uint64_t)1 << 63)

struct nj_handover {
    struct nj_after after; /* first: when the group in hand is complete */
    struct nj_parted parted;
    struct nj_list node; /* in shard->handovers or shard->handovers_waiting */
    uint64_t owner;
    struct nj_shared_subs *subs;
    uint64_t from; /* rows before it are through */
    uint64_t next; /* `from` when the page in hand is through, too */
    uint64_t joint;
    uint64_t *seqs; /* of the page in hand: rows that go */
    uint32_t seq_count;
    bool is_last_page; /* the page in hand is the last one */
    bool is_through;   /* only the record is left */
};

static void begin_some(struct nj_shard *shard);

static void handover_free(struct nj_handover *handover)
{
    nj_list_remove(&handover->node);
    nj_share_subs_free(handover->subs);
    nj_free(handover->seqs);
    nj_free(handover);
}

static void forget_page(struct nj_handover *handover)
{
    nj_free(handover->seqs);
    handover->seqs = NULL;
    handover->seq_count = 0;
}

/* Nothing of the page in hand, or of the deletion, is done: the same again, later. */
static void put_off(struct nj_shard *shard, struct nj_handover *handover)
{
    forget_page(handover);
    nj_list_remove(&handover->node);
    nj_list_push_back(&shard->handovers_waiting, &handover->node);
    shard->handovers_at_work--;
    shard->handovers_from_ms = shard->now_ms + PAUSE_MS;
}

/* ---- its record goes */

static void run_deleted(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    struct nj_handover *handover = (struct nj_handover *)after;
    if (err == NJ_ECLOSED) {
        return; /* nj_handovers_fini follows */
    }
    if (err != NJ_OK) {
        put_off(shard, handover);
        return;
    }
    shard->handovers_at_work--;
    nj_share_let_go(shard, handover->subs);
    handover->subs = NULL;
    handover_free(handover);
    begin_some(shard);
}

static enum nj_err delete_record(struct nj_shard *shard, struct nj_handover *handover)
{
    enum nj_err err;
    nj_crash_point("handover-end");
    (void)nj_shard_op(shard, NJ_STORE_SESSION_DELETE, handover->owner);
    uint64_t group = nj_shard_commit(shard, &err);
    if (!group) {
        return NJ_ENOMEM;
    }
    handover->after.run = run_deleted;
    nj_shard_after(shard, &handover->after, group);
    return NJ_OK;
}

/* ---- its rows */

/* The next page, or the end. */
static enum nj_err step(struct nj_shard *shard, struct nj_handover *handover)
{
    if (handover->is_through) {
        return delete_record(shard, handover);
    }
    const struct nj_store_read read = {
        .owner = handover->owner,
        .from_seq = handover->from,
        .max_bytes = PAGE_BYTES,
        .max_rows = PAGE_ROWS,
        .with_flights = handover->from == 0,
        .cookie = handover->owner | COOKIE_BIT,
    };
    return shard->core->store ? nj_store_read(shard->core->store, shard->id, &read) : NJ_ECLOSED;
}

static void go_on(struct nj_shard *shard, struct nj_handover *handover)
{
    if (step(shard, handover) != NJ_OK) {
        put_off(shard, handover);
    }
}

static void page_is_through(struct nj_shard *shard, struct nj_handover *handover)
{
    forget_page(handover);
    handover->from = handover->next;
    handover->is_through = handover->is_last_page;
    go_on(shard, handover);
}

static void run_page(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    struct nj_handover *handover = (struct nj_handover *)after;
    if (err == NJ_ECLOSED) {
        return; /* nj_handovers_fini follows */
    }
    if (err == NJ_OK) {
        page_is_through(shard, handover);
    } else {
        put_off(shard, handover);
    }
}

/* All messages of the page have found their receivers, whose parts are submitted: the last part
 * takes the rows out of where they were. */
static void counted(struct nj_shard *shard, struct nj_parted *parted, enum nj_err err,
                    uint32_t parts)
{
    struct nj_handover *handover = NJ_CONTAINER(parted, struct nj_handover, parted);
    struct nj_store_joint joint = {
        .id = handover->joint,
        .parts = parts + 1,
        .is_aborted = err != NJ_OK,
    };
    nj_crash_point("handover-counted");
    for (uint32_t i = 0; i < handover->seq_count; i++) {
        struct nj_store_op *op = nj_shard_op(shard, NJ_STORE_QUEUE_REMOVE, handover->owner);
        if (op) {
            op->seq = handover->seqs[i];
        }
    }
    uint64_t group = nj_shard_commit_joint(shard, &joint, &err);
    if (!group) {
        put_off(shard, handover);
        return;
    }
    handover->after.run = run_page;
    nj_shard_after(shard, &handover->after, group);
}

/* QoS 2 in flight is nobody else's: the member may have it. */
static bool may_pass_on(const struct nj_store_row *row)
{
    return row->message && row->share &&
           (row->state == NJ_STORE_ROW_QUEUED ||
            (row->state == NJ_STORE_ROW_SENT && row->qos == 1));
}

static void pass_on(struct nj_shard *shard, struct nj_handover *handover,
                    const struct nj_store_rows *rows, struct nj_hold *hold)
{
    const struct nj_share_passed passed = {
        .subs = handover->subs,
        .ticket = hold->ticket,
        .joint = handover->joint,
    };
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct nj_store_row *row = &rows->row[i];
        if (may_pass_on(row) && nj_share_pass_on(shard, &passed, row->share, row->message)) {
            handover->seqs[handover->seq_count++] = row->seq;
        }
    }
}

static enum nj_err hand_on(struct nj_shard *shard, struct nj_handover *handover,
                           const struct nj_store_rows *rows)
{
    handover->seqs = nj_try_alloc((rows->count + 1) * sizeof(*handover->seqs));
    struct nj_hold *hold =
        handover->seqs ? nj_shard_hold_parts(shard, &handover->parted, ++shard->next_ticket, 1)
                       : NULL;
    if (!hold) {
        return NJ_ENOMEM;
    }
    nj_crash_point("handover-page");
    handover->joint = nj_shard_next_joint(shard);
    pass_on(shard, handover, rows, hold);
    if (!handover->seq_count) {
        nj_shard_drop_hold(shard, hold);
        page_is_through(shard, handover);
        return NJ_OK;
    }
    hold->tickets_left += handover->seq_count;
    nj_shard_ticket_done(shard, hold->ticket, NJ_OK, 0);
    return NJ_OK;
}

void nj_handover_rows(struct nj_shard *shard, struct nj_store_rows *rows)
{
    struct nj_handover *handover = NULL;
    for (struct nj_list *node = shard->handovers.next; node != &shard->handovers && !handover;
         node = node->next) {
        handover = NJ_CONTAINER(node, struct nj_handover, node);
        handover = (handover->owner | COOKIE_BIT) == rows->cookie ? handover : NULL;
    }
    if (!handover) {
        return; /* asked for by a connection that is gone, and so is its session */
    }
    uint64_t last = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        last = rows->row[i].seq > last ? rows->row[i].seq : last;
    }
    handover->next = last + 1;
    handover->is_last_page = rows->is_end || !last;
    if (rows->err != NJ_OK || hand_on(shard, handover, rows) != NJ_OK) {
        put_off(shard, handover);
    }
}

/* ---- which sessions */

static void begin_some(struct nj_shard *shard)
{
    while (shard->handovers_at_work < AT_WORK_MAX) {
        struct nj_list *node = nj_list_pop_front(&shard->handovers_waiting);
        if (!node) {
            return;
        }
        struct nj_handover *handover = NJ_CONTAINER(node, struct nj_handover, node);
        nj_list_push_back(&shard->handovers, node);
        shard->handovers_at_work++;
        if (step(shard, handover) != NJ_OK) {
            put_off(shard, handover);
            return;
        }
    }
}

static bool has_rows(const struct nj_flow *flow)
{
    bool has_some = false;
    for (uint32_t i = 0; flow->flights && i <= flow->flight_mask && !has_some; i++) {
        has_some = flow->flights[i].state != NJ_FLIGHT_FREE && flow->flights[i].delivery.seq;
    }
    for (uint32_t i = 0; i < flow->queue_count && !has_some; i++) {
        has_some = flow->queue[(flow->queue_head + i) & (flow->queue_cap - 1)].seq != 0;
    }
    return has_some;
}

bool nj_handover_is_due(const struct nj_session *session)
{
    const struct nj_backlog *backlog = &session->backlog;
    return session->has_record && nj_share_count(session) &&
           (backlog->count || (backlog->flights && !backlog->is_loaded) ||
            (session->flow && has_rows(session->flow)));
}

void nj_handover_start(struct nj_session *session, struct nj_shared_subs *subs)
{
    struct nj_shard *shard = session->shard;
    struct nj_handover *handover = nj_zalloc(sizeof(*handover));
    enum nj_err err;
    nj_list_init(&handover->after.node);
    nj_list_init(&handover->node);
    handover->parted.counted = counted;
    handover->owner = session->id;
    handover->subs = subs;
    session->is_ending = true;
    nj_session_save(session);
    (void)nj_shard_commit(shard, &err);
    nj_list_push_back(&shard->handovers_waiting, &handover->node);
    begin_some(shard);
}

void nj_handovers_go_on(struct nj_shard *shard)
{
    if (shard->now_ms >= shard->handovers_from_ms) {
        begin_some(shard);
    }
}

uint64_t nj_handovers_next_ms(const struct nj_shard *shard)
{
    return nj_list_is_empty(&shard->handovers_waiting) || shard->handovers_at_work
               ? UINT64_MAX
               : shard->handovers_from_ms;
}

static void free_all(struct nj_list *list)
{
    while (!nj_list_is_empty(list)) {
        handover_free(NJ_CONTAINER(list->next, struct nj_handover, node));
    }
}

void nj_handovers_fini(struct nj_shard *shard)
{
    free_all(&shard->handovers);
    free_all(&shard->handovers_waiting);
}
