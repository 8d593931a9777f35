/* See shard.h: life of a shard, records to and from other workers. */
#include "broker/shard.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/handover.h"
#include "broker/hold.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/record.h"
#include "broker/release.h"
#include "broker/session.h"
#include "broker/share.h"
#include "security/policy.h"

#define SPARE_MAX 16

struct nj_shard *nj_shard_new(struct nj_core *core, unsigned id)
{
    struct nj_shard *shard = aligned_alloc(64, (sizeof(*shard) + 63) & ~63ul);
    NJ_ASSERT(shard);
    *shard = (struct nj_shard){.id = id, .core = core};
    shard->filters = nj_filters_new(id, core->interest);
    nj_turn_init(&shard->turn);
    nj_list_init(&shard->blocked);
    nj_list_init(&shard->waiting);
    nj_list_init(&shard->afters);
    nj_list_init(&shard->held_back);
    nj_list_init(&shard->handovers);
    nj_list_init(&shard->handovers_waiting);
    nj_buf_init(&shard->topic_buf);
    nj_buf_init(&shard->frame_buf);
    nj_buf_init(&shard->props_buf);
    shard->limits = atomic_load(&core->limits);
    shard->policy = nj_policy_ref(atomic_load(&core->policy));
    return shard;
}

static void free_batches(struct nj_batch *batch)
{
    while (batch) {
        struct nj_batch *next = batch->next;
        nj_batch_free(batch);
        batch = next;
    }
}

void nj_shard_free(struct nj_shard *shard)
{
    if (!shard) {
        return;
    }
    for (uint64_t i = 0; shard->table && i <= shard->table_mask; i++) {
        while (shard->table[i]) {
            nj_session_discard(shard->table[i]); /* the broker stops: wills are not sent */
        }
    }
    shard->is_stopping = true;
    nj_jobs_finish(shard);
    nj_shard_holds_fini(shard);
    nj_commit_fini(shard);
    nj_handovers_fini(shard);
    nj_filters_free(shard->filters);
    nj_groups_fini(&shard->groups);
    nj_btimers_fini(&shard->timers);
    nj_chunk_pool_fini(&shard->chunks);
    for (unsigned i = 0; i < shard->core->shard_count; i++) {
        nj_batch_free(shard->outbox[i]);
    }
    free_batches(shard->spare);
    free_batches(nj_inbox_drain(&shard->inbox));
    nj_tree_nodes_fini(&shard->scratch[0]);
    nj_tree_nodes_fini(&shard->scratch[1]);
    nj_buf_fini(&shard->topic_buf);
    nj_buf_fini(&shard->frame_buf);
    nj_buf_fini(&shard->props_buf);
    nj_free(shard->dirty);
    nj_free(shard->dirty_late);
    nj_free(shard->rest);
    nj_free(shard->table);
    nj_free(shard->by_id);
    nj_policy_unref(shard->policy);
    free(shard);
}

unsigned nj_core_home(const struct nj_core *core, struct nj_bytes client_id)
{
    return (unsigned)(nj_hash_bytes(client_id) % core->shard_count);
}

/* ---- records out */

static struct nj_batch *fresh_batch(struct nj_shard *shard, uint32_t body_len)
{
    struct nj_batch *batch = shard->spare;
    if (!batch || body_len + sizeof(struct nj_record) + 16 > batch->cap) {
        return nj_batch_new(body_len);
    }
    shard->spare = batch->next;
    shard->spare_count--;
    batch->next = NULL;
    batch->used = 0;
    batch->weight = 0;
    return batch;
}

void nj_shard_recycle(struct nj_shard *shard, struct nj_batch *batch)
{
    if (shard->spare_count >= SPARE_MAX || batch->cap != NJ_BATCH_BYTES) {
        nj_batch_free(batch);
        return;
    }
    batch->next = shard->spare;
    shard->spare = batch;
    shard->spare_count++;
}

void *nj_shard_post(struct nj_shard *shard, unsigned target, uint16_t kind, uint32_t body_len,
                    uint32_t weight)
{
    struct nj_batch *batch = shard->outbox[target];
    void *body = batch ? nj_batch_add(batch, kind, body_len) : NULL;
    if (!body) {
        struct nj_batch *next = fresh_batch(shard, body_len);
        if (!next) {
            return NULL;
        }
        if (batch) {
            nj_inbox_push(&shard->core->shards[target]->inbox, batch);
        }
        shard->outbox[target] = next;
        batch = next;
        body = nj_batch_add(batch, kind, body_len);
    }
    batch->weight += weight;
    return body;
}

void *nj_shard_post_surely(struct nj_shard *shard, unsigned target, uint16_t kind,
                           uint32_t body_len)
{
    void *body = nj_shard_post(shard, target, kind, body_len, 1);
    if (body) {
        return body;
    }
    if (shard->outbox[target]) {
        nj_inbox_push(&shard->core->shards[target]->inbox, shard->outbox[target]);
    }
    shard->outbox[target] = nj_batch_new_small(body_len);
    body = nj_batch_add(shard->outbox[target], kind, body_len);
    NJ_ASSERT(body);
    return body;
}

/* ---- records in */

static void run_publish(struct nj_shard *shard, const struct nj_record_publish *record)
{
    struct nj_publication publication = {.sender = record->sender};
    if (record->message) {
        publication.kept = record->message; /* the reference came along */
        publication.view = nj_message_view(record->message);
    } else {
        const uint8_t *at = (const uint8_t *)(record + 1);
        publication.view.topic = nj_bytes(at, record->topic_len);
        at += record->topic_len;
        publication.view.props = nj_bytes(at, record->props_len);
        at += record->props_len;
        publication.view.payload = nj_bytes(at, record->payload_len);
    }
    publication.view.qos = record->qos;
    publication.view.is_retain = record->is_retain;
    publication.retain_clock = record->retain_clock;
    publication.view.expires_ms = record->expires_ms;
    publication.is_accepted = record->is_accepted;
    publication.joint = record->joint;
    publication.phase = record->joint ? NJ_PHASE_ROWS : NJ_PHASE_ALL;

    const struct nj_match *match = nj_filters_match_own(shard->filters, publication.view.topic);
    enum nj_err err = NJ_OK;
    struct nj_wait wait = {.ticket = record->ticket ? ++shard->next_ticket : 0};
    wait.tickets = nj_route_local(shard, &publication, match, wait.ticket);
    if (record->joint) {
        wait.parts = nj_release_take_part(shard, &publication, record->joint);
        err = wait.parts ? NJ_OK : NJ_ENOMEM;
    } else {
        wait.group = nj_shard_commit(shard, &err);
    }
    nj_publication_fini(&publication); /* the group refers to it until then */
    if (record->ticket) {
        nj_shard_ticket_reply(shard, record->from, record->ticket, wait, err);
    }
}

static void run_record(struct nj_shard *shard, const struct nj_record *record)
{
    const void *body = nj_record_body(record);
    const struct nj_record_ticket *ticket = body;
    const struct nj_record_store *store = body;
    switch (record->kind) {
    case NJ_RECORD_PUBLISH:
        run_publish(shard, body);
        break;
    case NJ_RECORD_TICKET_DONE:
        nj_shard_ticket_done(shard, ticket->ticket, ticket->err, ticket->parts);
        break;
    case NJ_RECORD_STORE_DONE:
        nj_shard_completed(shard, store->group, store->err);
        break;
    case NJ_RECORD_STORE_ROWS:
        nj_rows_arrived(shard, ((const struct nj_record_rows *)body)->rows);
        break;
    case NJ_RECORD_STORE_EXPIRED:
        nj_rows_expired(shard, body);
        break;
    case NJ_RECORD_GROUP_JOIN:
        nj_share_member_joined(shard, body);
        break;
    case NJ_RECORD_GROUP_LEAVE:
        nj_share_member_left(shard, body);
        break;
    case NJ_RECORD_GROUP_STATE:
        nj_share_member_state(shard, body);
        break;
    case NJ_RECORD_GROUP_DELIVER:
        nj_share_record_deliver(shard, body);
        break;
    default:
        NJ_ASSERT(record->kind >= NJ_RECORD_FRONT);
        shard->core->events->record(shard, record->kind, body);
        break;
    }
}

void nj_shard_run(struct nj_shard *shard, struct nj_batch *batch)
{
    while (batch) {
        struct nj_batch *next = batch->next;
        uint32_t at = 0;
        const struct nj_record *record;
        while ((record = nj_batch_next(batch, &at))) {
            run_record(shard, record);
        }
        nj_shard_recycle(shard, batch);
        batch = next;
    }
}

/* ---- dirty links */

size_t nj_shard_output_memory(const struct nj_shard *shard)
{
    return shard->chunks.used / 4 + (size_t)nj_message_bytes();
}

static void mark(struct nj_link ***list, uint32_t *count, uint32_t *cap, struct nj_link *link)
{
    if (*count == *cap) {
        *cap = *cap ? *cap * 2 : 256;
        *list = nj_realloc(*list, *cap * sizeof(struct nj_link *));
    }
    (*list)[(*count)++] = link;
    link->is_dirty = true;
}

void nj_shard_mark_dirty(struct nj_shard *shard, struct nj_link *link)
{
    mark(&shard->dirty, &shard->dirty_count, &shard->dirty_cap, link);
}

void nj_shard_mark_rest(struct nj_shard *shard, struct nj_link *link)
{
    mark(&shard->rest, &shard->rest_count, &shard->rest_cap, link);
}

void nj_shard_mark_late(struct nj_shard *shard, struct nj_link *link)
{
    mark(&shard->dirty_late, &shard->late_count, &shard->late_cap, link);
    link->is_late = true;
}
