/* Sessions: the table, their beginning and end, connecting and leaving. See session.h. */
#include "broker/session.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/mem.h"
#include "broker/ack.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/flow.h"
#include "broker/handover.h"
#include "broker/hold.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/remains.h"
#include "broker/replay.h"
#include "broker/rows.h"
#include "broker/shard.h"
#include "broker/share.h"
#include "broker/will.h"

#define FIRST_TABLE 256
#define MS_PER_S    1000ull
#define NS_PER_MS   1000000ull
/* Ended sessions and fired wills; each may cost a publication. */
#define TIMERS_PER_TURN 256

/* ---- table */

static void grow_table(struct nj_shard *shard)
{
    uint64_t size = shard->table ? (shard->table_mask + 1) * 2 : FIRST_TABLE;
    struct nj_session **table = nj_try_zalloc(size * sizeof(struct nj_session *));
    struct nj_session **by_id = nj_try_zalloc(size * sizeof(struct nj_session *));
    if (!table || !by_id) {
        nj_free(table);
        nj_free(by_id);
        return; /* longer chains, but correct */
    }
    for (uint64_t i = 0; shard->table && i <= shard->table_mask; i++) {
        struct nj_session *session = shard->table[i];
        while (session) {
            struct nj_session *next = session->hash_next;
            session->hash_next = table[session->hash & (size - 1)];
            table[session->hash & (size - 1)] = session;
            session->id_next = by_id[session->id & (size - 1)];
            by_id[session->id & (size - 1)] = session;
            session = next;
        }
    }
    nj_free(shard->table);
    nj_free(shard->by_id);
    shard->table = table;
    shard->by_id = by_id;
    shard->table_mask = size - 1;
}

struct nj_session *nj_session_find(struct nj_shard *shard, struct nj_bytes client_id)
{
    if (!shard->table) {
        return NULL;
    }
    uint64_t hash = nj_hash_bytes(client_id);
    struct nj_session *session = shard->table[hash & shard->table_mask];
    while (session &&
           !(session->hash == hash && nj_bytes_equal(nj_session_client_id(session), client_id))) {
        session = session->hash_next;
    }
    return session;
}

struct nj_session *nj_session_by_id(struct nj_shard *shard, uint64_t id)
{
    if (!shard->by_id) {
        return NULL;
    }
    struct nj_session *session = shard->by_id[id & shard->table_mask];
    while (session && session->id != id) {
        session = session->id_next;
    }
    return session;
}

static void table_remove(struct nj_session *session)
{
    struct nj_shard *shard = session->shard;
    struct nj_session **at = &shard->table[session->hash & shard->table_mask];
    while (*at != session) {
        at = &(*at)->hash_next;
    }
    *at = session->hash_next;
    at = &shard->by_id[session->id & shard->table_mask];
    while (*at != session) {
        at = &(*at)->id_next;
    }
    *at = session->id_next;
    shard->session_count--;
    NJ_STAT_SUB(shard, sessions, 1);
}

/* ---- beginning and end */

struct nj_session *nj_session_restore(struct nj_shard *shard, struct nj_origin *origin, uint64_t id)
{
    if (!shard->table || shard->session_count > shard->table_mask) {
        grow_table(shard);
    }
    struct nj_session *session = shard->table ? nj_try_zalloc(sizeof(*session)) : NULL;
    if (!session) {
        return NULL;
    }
    session->shard = shard;
    session->id = id;
    nj_list_init(&session->held);
    nj_session_set_origin(session, origin);
    session->hash = nj_hash_bytes(nj_session_client_id(session));
    struct nj_session **bucket = &shard->table[session->hash & shard->table_mask];
    session->hash_next = *bucket;
    *bucket = session;
    bucket = &shard->by_id[session->id & shard->table_mask];
    session->id_next = *bucket;
    *bucket = session;
    shard->session_count++;
    NJ_STAT_ADD(shard, sessions, 1);
    return session;
}

struct nj_session *nj_session_new(struct nj_shard *shard, struct nj_origin *origin)
{
    struct nj_core *core = shard->core;
    uint64_t last = atomic_fetch_add_explicit(&core->next_session_id, 1, memory_order_relaxed);
    return nj_session_restore(shard, origin, last + 1);
}

void nj_session_set_origin(struct nj_session *session, struct nj_origin *origin)
{
    struct nj_origin *old = session->origin;
    session->origin = nj_origin_ref(origin);
    nj_subject_fini(&session->subject);
    nj_subject_init(&session->subject, nj_origin_user(origin), nj_origin_client_id(origin),
                    origin->scope);
    session->subject.by_certificate = origin->by_certificate;
    nj_origin_unref(old);
}

void nj_session_save(struct nj_session *session)
{
    struct nj_shard *shard = session->shard;
    struct nj_store_op *op = nj_shard_op(shard, NJ_STORE_SESSION_SAVE, session->id);
    if (!op) {
        return;
    }
    shard->saved = (struct nj_store_session){
        .owner = session->id,
        .origin = {.user = nj_origin_user(session->origin),
                   .client_id = nj_session_client_id(session),
                   .scope = session->origin->scope_id,
                   .by_certificate = session->origin->by_certificate},
        .away_ms = session->away_wall_ms,
        .expiry_s = session->expiry_s,
        .version = session->version,
        .has_login = session->credential != 0,
        .is_ending = session->is_ending,
        .is_bridge = session->is_bridge,
    };
    op->session = &shard->saved;
    session->has_record = true;
}

static void store_delete(struct nj_session *session)
{
    enum nj_err err;
    if (!session->has_record) {
        return;
    }
    (void)nj_shard_op(session->shard, NJ_STORE_SESSION_DELETE, session->id);
    (void)nj_shard_commit(session->shard, &err);
}

void nj_session_set_expiry(struct nj_session *session, uint32_t expiry_s)
{
    uint32_t cap = session->shard->limits->persistent_expiry_s;
    session->expiry_s = cap && expiry_s > cap ? cap : expiry_s;
    bool is_stored = session->expiry_s > 0;
    if (is_stored != session->is_stored) {
        if (!is_stored && session->has_record) {
            /* It ends with this connection, and must not come back after a restart. */
            enum nj_err err;
            nj_session_save(session);
            (void)nj_shard_commit(session->shard, &err);
        }
        nj_filters_set_stored(session->shard->filters, session, is_stored);
        nj_share_tell_state(session);
    }
}

uint64_t nj_session_queued(const struct nj_session *session, uint64_t *bytes)
{
    const struct nj_flow *flow = session->flow;
    *bytes = session->backlog.bytes + (flow ? flow->queue_bytes : 0);
    return session->backlog.count + (flow ? flow->queue_count : 0);
}

static void queue_count_changed(struct nj_session *session)
{
    uint64_t bytes;
    NJ_STAT_SUB(session->shard, queued, nj_session_queued(session, &bytes));
}

static void discard(struct nj_session *session)
{
    nj_replay_keep_no_more(session);
    queue_count_changed(session);
    nj_flow_free(session->flow);
    table_remove(session);
    nj_remains_leave(session);
}

void nj_session_end(struct nj_session *session)
{
    struct nj_shard *shard = session->shard;
    NJ_ASSERT(!session->link);
    nj_btimer_clear(&shard->timers, &session->timer);
    nj_session_drop_held(session);
    NJ_STAT_SUB(shard, subscriptions, session->sub_count);
    nj_crash_point("session-end");
    session->has_ended = true; /* not even its own will comes to it */
    bool is_handed_over = nj_handover_is_due(session);
    struct nj_shared_subs *shared = nj_share_take(session);
    nj_share_hand_on(session, shared, is_handed_over);
    nj_share_leave_all(shard, shared, is_handed_over);
    if (is_handed_over) {
        nj_handover_start(session, shared);
    }
    bool is_deleted = nj_will_fire(session, !is_handed_over);
    if (!is_handed_over && !is_deleted) {
        store_delete(session);
    }
    discard(session);
}

void nj_session_discard(struct nj_session *session)
{
    NJ_ASSERT(!session->link);
    nj_btimer_clear(&session->shard->timers, &session->timer);
    nj_session_drop_held(session);
    nj_filters_remove_all(session->shard->filters, session);
    nj_share_subs_free(nj_share_take(session));
    nj_will_forget(session);
    discard(session);
}

/* ---- connecting and leaving */

void nj_session_attach(struct nj_session *session, struct nj_link *link)
{
    NJ_ASSERT(!session->link && !link->session);
    session->link = link;
    session->away_wall_ms = 0;
    session->connection++;
    link->session = session;
    nj_btimer_clear(&session->shard->timers, &session->timer);
    nj_replay_keep_no_more(session);
    session->expires_ms = 0;
    NJ_STAT_ADD(session->shard, clients_connected, 1);
    nj_share_tell_state(session);
}

void nj_session_watch(struct nj_session *session)
{
    uint64_t due = session->expires_ms;
    if (session->will && session->will_due_ms < due) {
        due = session->will_due_ms;
    }
    if (due != UINT64_MAX) {
        nj_btimer_set(&session->shard->timers, &session->timer, due);
    }
}

void nj_session_detach(struct nj_session *session, bool with_will)
{
    struct nj_shard *shard = session->shard;
    struct nj_link *link = session->link;
    NJ_ASSERT(link);
    session->link = NULL;
    session->away_wall_ms = (uint64_t)nj_clock_wall_ns() / NS_PER_MS;
    link->session = NULL;
    link->is_ready = false;
    NJ_STAT_SUB(shard, clients_connected, 1);
    nj_session_drop_held(session);
    if (session->will && !with_will) {
        nj_will_drop(session);
    }
    if (session->expiry_s == 0) {
        nj_session_end(session);
        return;
    }
    nj_replay_keep(session);
    nj_rows_leave(session);
    nj_share_tell_state(session);
    session->expires_ms = session->expiry_s == NJ_EXPIRY_NEVER
                              ? UINT64_MAX
                              : shard->now_ms + session->expiry_s * MS_PER_S;
    if (session->will) {
        if (session->will->delay_s == 0) {
            (void)nj_will_fire(session, false);
        } else {
            session->will_due_ms = shard->now_ms + session->will->delay_s * MS_PER_S;
        }
    }
    nj_session_save(session);
    enum nj_err err;
    (void)nj_shard_commit(shard, &err);
    nj_session_watch(session);
}

void nj_shard_run_timers(struct nj_shard *shard)
{
    struct nj_btimer *timer;
    /* Many sessions may end at the same time: the next turn goes on with them. */
    for (int i = 0; i < TIMERS_PER_TURN; i++) {
        timer = nj_btimers_take_due(&shard->timers, shard->now_ms);
        if (!timer) {
            return;
        }
        struct nj_session *session = NJ_CONTAINER(timer, struct nj_session, timer);
        if (session->expires_ms <= shard->now_ms) {
            NJ_STAT_ADD(shard, clients_expired, 1);
            nj_session_end(session);
            continue;
        }
        if (session->will && session->will_due_ms <= shard->now_ms) {
            (void)nj_will_fire(session, false);
        }
        nj_session_watch(session);
    }
}

/* ---- resuming and pumping */

static int by_order(const void *a, const void *b)
{
    const struct nj_flight *left = *(struct nj_flight *const *)a;
    const struct nj_flight *right = *(struct nj_flight *const *)b;
    return (left->order > right->order) - (left->order < right->order);
}

/* What was in flight waits to go out again, in the first order (MQTT5 4.4, 4.6). */
static void resume_flights(struct nj_session *session)
{
    struct nj_flow *flow = session->flow;
    struct nj_flight **sorted = nj_try_alloc(flow->flight_count * sizeof(struct nj_flight *));
    if (!sorted) {
        nj_link_fail_memory(session->link);
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i <= flow->flight_mask; i++) {
        if (flow->flights[i].state != NJ_FLIGHT_FREE) {
            sorted[count++] = &flow->flights[i];
        }
    }
    qsort(sorted, count, sizeof(struct nj_flight *), by_order);
    for (uint32_t i = 0; i < count; i++) {
        if (nj_flow_wait(flow, sorted[i]) != NJ_OK) {
            nj_link_fail_memory(session->link);
            break;
        }
    }
    nj_free(sorted);
}

void nj_session_resume(struct nj_session *session)
{
    session->link->is_ready = true;
    session->shard->core->link_ops->ready(session->link);
    if (session->flow && session->flow->flight_count) {
        resume_flights(session);
    }
    nj_session_pump(session);
}

/* PUBREL where the client had the message, else the PUBLISH. Only the latter has to wait for the
 * window (MQTT5 4.9), but keeps back what comes after it. False when the window or memory is in the
 * way. */
static bool pump_unsent(struct nj_session *session)
{
    struct nj_flight *flight;
    while (session->flow && (flight = nj_flow_unsent(session->flow))) {
        if (flight->delivery.group > session->shard->completed) {
            nj_session_pump_later(session, flight->delivery.group);
            return true; /* what is taken now goes behind it, and QoS 1 may pass it */
        }
        if (flight->state == NJ_FLIGHT_WAIT_PUBCOMP) {
            nj_flow_sent(session->flow, flight);
            nj_ack_send(session->link, NJ_HOLD_PUBREL, flight->packet_id, NJ_RC_SUCCESS);
        } else if (!nj_deliver_may_send(session) || !nj_deliver_flight(session, flight)) {
            return false;
        }
    }
    return true;
}

/* Retained messages are older than what is queued, so they go first; but what keeps them back may
 * be the queue, which may empty itself without a word. A part of it only, when it is much. */
static void pump_waiting(struct nj_session *session)
{
    uint32_t steps = NJ_PUMP_STEPS;
    bool has_moved;
    do {
        has_moved = false;
        (void)nj_replay_run(session, &steps);
        while (steps && session->flow && session->flow->queue_count && nj_deliver_queued(session)) {
            has_moved = true;
            steps--;
        }
    } while (has_moved && steps && session->replay);
    (void)nj_turn_spend(&session->shard->turn, NJ_PUMP_STEPS - steps);
    if (!steps) {
        nj_link_go_on(session->link);
    }
}

void nj_session_pump(struct nj_session *session)
{
    struct nj_link *link = session->link;
    if (!link || !link->is_ready || link->is_closing) {
        return;
    }
    if (pump_unsent(session)) {
        pump_waiting(session);
    }
    if (session->backlog.count && !link->is_closing) {
        nj_rows_refill(session);
    }
    enum nj_err err;
    (void)nj_shard_commit(session->shard, &err);
}
