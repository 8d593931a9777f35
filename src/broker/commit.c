/* See commit.h. */
#include "broker/commit.h"

#include "base/fault.h"
#include "base/mem.h"
#include "broker/handover.h"
#include "broker/link.h"
#include "broker/rows.h"
#include "broker/session.h"
#include "broker/shard.h"

#define FIRST_OPS         16
#define FIRST_UNDOS       64
#define LOOK_MS           200
#define JOINT_SHARD_SHIFT 48

/* A row that was appended in a group whose fate is not known. */
struct nj_undo {
    uint64_t group;
    uint64_t owner;
    uint64_t seq;
    uint32_t bytes;
    uint16_t packet_id;
};

struct nj_store_op *nj_shard_op(struct nj_shard *shard, enum nj_store_op_kind kind, uint64_t owner)
{
    if (shard->op_count == shard->op_cap) {
        uint32_t cap = shard->op_cap ? shard->op_cap * 2 : FIRST_OPS;
        struct nj_store_op *grown = nj_try_realloc(shard->ops, cap * sizeof(*grown));
        if (!grown) {
            shard->is_group_broken = true;
            return NULL;
        }
        shard->ops = grown;
        shard->op_cap = cap;
    }
    struct nj_store_op *op = &shard->ops[shard->op_count++];
    *op = (struct nj_store_op){.kind = kind, .owner = owner};
    return op;
}

uint64_t nj_shard_open_group(const struct nj_shard *shard)
{
    return shard->submitted + 1;
}

uint64_t nj_shard_next_seq(struct nj_shard *shard)
{
    return atomic_fetch_add_explicit(&shard->core->next_seq, 1, memory_order_relaxed) + 1;
}

uint64_t nj_shard_next_joint(struct nj_shard *shard)
{
    return (uint64_t)(shard->id + 1) << JOINT_SHARD_SHIFT | ++shard->next_joint;
}

/* ---- rows that may have to be taken back */

static struct nj_undo undo_of(const struct nj_store_op *op, uint64_t group)
{
    return (struct nj_undo){
        .group = group,
        .owner = op->owner,
        .seq = op->seq,
        .bytes = op->message->payload_len,
        .packet_id = op->packet_id,
    };
}

static void take_back(struct nj_shard *shard, const struct nj_undo *undo)
{
    struct nj_session *session = nj_session_by_id(shard, undo->owner);
    if (session) {
        const struct nj_row row = {
            .seq = undo->seq, .bytes = undo->bytes, .packet_id = undo->packet_id};
        nj_rows_take_back(session, &row);
    }
}

/* The group never reached the store. */
static void take_ops_back(struct nj_shard *shard, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (shard->ops[i].kind == NJ_STORE_QUEUE_APPEND && shard->ops[i].message) {
            struct nj_undo undo = undo_of(&shard->ops[i], 0);
            take_back(shard, &undo);
        }
    }
}

static enum nj_err grow_undos(struct nj_shard *shard)
{
    uint32_t cap = shard->undo_cap ? shard->undo_cap * 2 : FIRST_UNDOS;
    struct nj_undo *grown = nj_try_alloc(cap * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; i < shard->undo_count; i++) {
        grown[i] = shard->undos[(shard->undo_head + i) & (shard->undo_cap - 1)];
    }
    nj_free(shard->undos);
    shard->undos = grown;
    shard->undo_cap = cap;
    shard->undo_head = 0;
    return NJ_OK;
}

/* All or, with NJ_ENOMEM, none. */
static enum nj_err note_undos(struct nj_shard *shard, uint32_t count)
{
    uint32_t before = shard->undo_count;
    for (uint32_t i = 0; i < count; i++) {
        if (shard->ops[i].kind != NJ_STORE_QUEUE_APPEND) {
            continue;
        }
        if (shard->undo_count == shard->undo_cap && grow_undos(shard) != NJ_OK) {
            shard->undo_count = before;
            return NJ_ENOMEM;
        }
        uint32_t at = (shard->undo_head + shard->undo_count) & (shard->undo_cap - 1);
        shard->undos[at] = undo_of(&shard->ops[i], shard->submitted + 1);
        shard->undo_count++;
    }
    return NJ_OK;
}

/* ---- commit */

/* While the broker stops, the store is closed before the last sessions are let go. */
static uint64_t submit(struct nj_shard *shard, uint32_t count, const struct nj_store_joint *joint,
                       enum nj_err *err)
{
    uint32_t undos = shard->undo_count;
    nj_crash_point("submit");
    *err = note_undos(shard, count);
    if (*err == NJ_OK) {
        *err = nj_store_submit(shard->core->store, shard->id, shard->ops, count,
                               shard->submitted + 1, joint);
    }
    if (*err == NJ_OK) {
        return ++shard->submitted;
    }
    shard->undo_count = undos;
    take_ops_back(shard, count);
    return 0;
}

uint64_t nj_shard_commit(struct nj_shard *shard, enum nj_err *err)
{
    uint32_t count = shard->op_count;
    bool is_broken = shard->is_group_broken;
    shard->is_group_broken = false;
    shard->op_count = 0;
    *err = is_broken ? NJ_ENOMEM : NJ_OK;
    if (!shard->core->store) {
        return 0;
    }
    if (is_broken) {
        take_ops_back(shard, count);
        return 0;
    }
    return count ? submit(shard, count, NULL, err) : 0;
}

uint64_t nj_shard_commit_joint(struct nj_shard *shard, struct nj_store_joint *joint,
                               enum nj_err *err)
{
    uint32_t count = shard->op_count;
    nj_crash_point("joint-part");
    joint->is_aborted |= shard->is_group_broken;
    shard->is_group_broken = false;
    shard->op_count = 0;
    *err = NJ_OK;
    if (!shard->core->store) {
        return 0;
    }
    if (joint->is_aborted) {
        take_ops_back(shard, count);
        count = 0;
    }
    uint64_t group = submit(shard, count, joint, err);
    if (!group && !joint->is_aborted) {
        /* The others must learn that this part is missing. */
        enum nj_err again;
        joint->is_aborted = true;
        group = submit(shard, 0, joint, &again);
    }
    return group;
}

/* ---- the store's health */

bool nj_shard_store_is_behind(const struct nj_shard *shard)
{
    struct nj_store *store = shard->core->store;
    return store && nj_store_waiting(store) > NJ_STORE_BEHIND_BYTES;
}

bool nj_shard_store_has_caught_up(const struct nj_shard *shard)
{
    return shard->store_state == NJ_STORE_GOOD && shard->core->store &&
           nj_store_waiting(shard->core->store) < NJ_STORE_CAUGHT_UP_BYTES;
}

static void read_on(struct nj_shard *shard)
{
    struct nj_list *node = shard->held_back.next;
    while (node != &shard->held_back) {
        struct nj_link *link = NJ_CONTAINER(node, struct nj_link, held_back_node);
        node = node->next;
        nj_link_read_on(link);
    }
}

void nj_shard_look_at_store(struct nj_shard *shard)
{
    struct nj_store *store = shard->core->store;
    if (NJ_LIKELY(shard->now_ms < shard->store_look_ms) || !store || !store->vtable->status) {
        return;
    }
    struct nj_store_status status;
    nj_store_status(store, &status);
    shard->store_look_ms = shard->now_ms + LOOK_MS;
    shard->store_state = (uint8_t)status.state;
    if (nj_shard_store_has_caught_up(shard)) {
        read_on(shard);
    }
    if (status.state == NJ_STORE_GOOD) {
        nj_handovers_go_on(shard);
    }
}

uint64_t nj_shard_next_look_ms(const struct nj_shard *shard)
{
    uint64_t links_ms = nj_list_is_empty(&shard->held_back) ? UINT64_MAX : shard->store_look_ms;
    uint64_t handovers_ms = nj_handovers_next_ms(shard);
    if (handovers_ms < shard->store_look_ms) {
        handovers_ms = shard->store_look_ms;
    }
    return links_ms < handovers_ms ? links_ms : handovers_ms;
}

/* ---- completion */

/* Almost always for the newest group, hence the search from the end. */
void nj_shard_after(struct nj_shard *shard, struct nj_after *after, uint64_t group)
{
    struct nj_list *place = shard->afters.prev;
    after->group = group;
    while (place != &shard->afters && NJ_CONTAINER(place, struct nj_after, node)->group > group) {
        place = place->prev;
    }
    nj_list_insert_after(place, &after->node);
}

static struct nj_after *first_after(const struct nj_shard *shard)
{
    return nj_list_is_empty(&shard->afters)
               ? NULL
               : NJ_CONTAINER(shard->afters.next, struct nj_after, node);
}

void nj_commit_completed(struct nj_shard *shard, uint64_t group, enum nj_err err)
{
    if (NJ_UNLIKELY(err != NJ_OK)) {
        shard->store_look_ms = 0; /* something is wrong: look at once */
    }
    while (shard->undo_count && shard->undos[shard->undo_head].group <= group) {
        struct nj_undo undo = shard->undos[shard->undo_head];
        shard->undo_head = (shard->undo_head + 1) & (shard->undo_cap - 1);
        shard->undo_count--;
        if (NJ_UNLIKELY(err != NJ_OK && undo.group == group)) {
            take_back(shard, &undo);
        }
    }
    if (NJ_UNLIKELY(shard->was_store_behind) && nj_shard_store_has_caught_up(shard)) {
        shard->was_store_behind = false;
        read_on(shard);
    }
    struct nj_after *after;
    while ((after = first_after(shard)) && after->group <= group) {
        nj_list_remove(&after->node);
        after->run(shard, after, after->group == group ? err : NJ_OK);
    }
}

void nj_commit_fini(struct nj_shard *shard)
{
    struct nj_after *after;
    while ((after = first_after(shard))) {
        nj_list_remove(&after->node);
        after->run(shard, after, NJ_ECLOSED);
    }
    nj_free(shard->undos);
    nj_free(shard->ops);
}
