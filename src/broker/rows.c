/* See rows.h. */
#include "broker/rows.h"

#include "base/fault.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/flow.h"
#include "broker/handover.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "store/message.h"

/* What a connected session keeps of its queue in memory. */
#define RING_ROWS  256u
#define RING_BYTES ((uint64_t)512 * 1024)

/* ---- operations */

static struct nj_store_op *row_op(struct nj_session *session, enum nj_store_op_kind kind,
                                  uint64_t seq)
{
    struct nj_store_op *op = seq ? nj_shard_op(session->shard, kind, session->id) : NULL;
    if (op) {
        op->seq = seq;
    }
    return op;
}

void nj_rows_remove(struct nj_session *session, uint64_t seq)
{
    (void)row_op(session, NJ_STORE_QUEUE_REMOVE, seq);
}

void nj_rows_sent(struct nj_session *session, uint64_t seq, uint16_t packet_id)
{
    struct nj_store_op *op = row_op(session, NJ_STORE_QUEUE_SENT, seq);
    if (op) {
        op->packet_id = packet_id;
    }
}

void nj_rows_released(struct nj_session *session, uint64_t seq)
{
    (void)row_op(session, NJ_STORE_QUEUE_RELEASED, seq);
}

enum nj_err nj_rows_append(struct nj_session *session, struct nj_message *message,
                           struct nj_delivery *delivery)
{
    struct nj_shard *shard = session->shard;
    uint64_t seq = nj_shard_next_seq(shard);
    struct nj_store_op *op = message ? row_op(session, NJ_STORE_QUEUE_APPEND, seq) : NULL;
    if (!op) {
        shard->is_group_broken = true;
        return NJ_ENOMEM;
    }
    delivery->seq = seq;
    delivery->group = nj_shard_open_group(shard);
    op->message = message;
    op->sub_id = delivery->sub_id;
    op->share = delivery->share;
    op->qos = delivery->qos;
    op->is_retain = delivery->is_retain;
    return NJ_OK;
}

/* ---- memory or store */

static bool has_room(const struct nj_flow *flow)
{
    return !flow || (flow->queue_count < RING_ROWS && flow->queue_bytes < RING_BYTES);
}

bool nj_rows_must_spill(const struct nj_session *session)
{
    const struct nj_backlog *backlog = &session->backlog;
    return !session->link || !backlog->is_loaded || backlog->is_reading || backlog->count ||
           !has_room(session->flow);
}

static void count_row(struct nj_backlog *backlog, uint8_t qos, uint64_t bytes)
{
    backlog->has_qos0 = qos == 0 || (backlog->count && backlog->has_qos0);
    backlog->count++;
    backlog->bytes += bytes;
}

void nj_rows_spilled(struct nj_session *session, uint8_t qos, uint64_t bytes)
{
    struct nj_backlog *backlog = &session->backlog;
    count_row(backlog, qos, bytes);
    if (backlog->is_reading) {
        backlog->since++;
        backlog->since_bytes += bytes;
    }
    NJ_STAT_ADD(session->shard, queued, 1);
}

void nj_rows_kept(struct nj_session *session, uint64_t seq)
{
    session->backlog.from = seq + 1;
}

static void forget_counted(struct nj_session *session, uint64_t seq, uint64_t bytes)
{
    struct nj_backlog *backlog = &session->backlog;
    if (!backlog->count) {
        return;
    }
    backlog->count--;
    backlog->bytes -= bytes < backlog->bytes ? bytes : backlog->bytes;
    if (backlog->is_reading && seq > backlog->upto && backlog->since) {
        backlog->since--;
        backlog->since_bytes -= bytes < backlog->since_bytes ? bytes : backlog->since_bytes;
    }
    NJ_STAT_SUB(session->shard, queued, 1);
}

/* ---- reading back */

static enum nj_err ask(struct nj_session *session, bool with_flights)
{
    struct nj_shard *shard = session->shard;
    struct nj_backlog *backlog = &session->backlog;
    const struct nj_store_read read = {
        .owner = session->id,
        .from_seq = with_flights ? 0 : backlog->from,
        .max_bytes = RING_BYTES,
        .max_rows = RING_ROWS,
        .with_flights = with_flights,
        .cookie = session->id,
    };
    enum nj_err err =
        shard->core->store ? nj_store_read(shard->core->store, shard->id, &read) : NJ_ECLOSED;
    if (err != NJ_OK) {
        return err;
    }
    backlog->is_reading = true;
    backlog->since = 0;
    backlog->since_bytes = 0;
    backlog->upto = atomic_load_explicit(&shard->core->next_seq, memory_order_relaxed);
    return NJ_OK;
}

uint64_t nj_rows_claim(struct nj_session *session, enum nj_err *err)
{
    struct nj_backlog *backlog = &session->backlog;
    *err = NJ_OK;
    if (!backlog->count && !backlog->flights && !backlog->incoming) {
        backlog->is_loaded = true;
        return 0;
    }
    *err = ask(session, true);
    if (*err != NJ_OK) {
        return 0;
    }
    backlog->ticket = ++session->shard->next_ticket;
    return backlog->ticket;
}

void nj_rows_refill(struct nj_session *session)
{
    const struct nj_flow *flow = session->flow;
    struct nj_backlog *backlog = &session->backlog;
    bool is_low =
        !flow || (flow->queue_count < RING_ROWS / 2 && flow->queue_bytes < RING_BYTES / 2);
    if (!backlog->count || backlog->is_reading || !backlog->is_loaded || !is_low) {
        return;
    }
    if (ask(session, false) != NJ_OK) {
        nj_link_fail_memory(session->link);
    }
}

/* ---- rows come */

/* With the reference of the row, which goes over when the delivery has its place. */
static struct nj_delivery delivery_of(const struct nj_store_row *row)
{
    return (struct nj_delivery){
        .message = row->message,
        .seq = row->seq,
        .sub_id = row->sub_id,
        .share = row->share,
        .qos = row->qos,
        .is_retain = row->is_retain,
    };
}

static enum nj_err restore_flight(struct nj_session *session, struct nj_store_row *row)
{
    struct nj_flow *flow = session->flow;
    struct nj_flight *flight = nj_flow_put(flow, row->packet_id);
    if (!flight) {
        return NJ_ENOMEM;
    }
    flight->delivery = delivery_of(row);
    flight->delivery.was_sent = true;
    flight->state = row->state == NJ_STORE_ROW_RELEASED ? NJ_FLIGHT_WAIT_PUBCOMP
                    : row->qos == 1                     ? NJ_FLIGHT_WAIT_PUBACK
                                                        : NJ_FLIGHT_WAIT_PUBREC;
    flight->bytes = row->message ? row->message->payload_len : 0;
    flow->flight_bytes += flight->bytes;
    row->message = NULL;
    return NJ_OK;
}

static enum nj_err restore_incoming(struct nj_session *session, struct nj_store_row *row)
{
    struct nj_incoming *incoming = nj_flow_incoming_add(session->flow, row->packet_id);
    if (!incoming) {
        return NJ_ENOMEM;
    }
    incoming->message = row->message;
    row->message = NULL;
    return NJ_OK;
}

static enum nj_err restore_queued(struct nj_session *session, struct nj_store_row *row)
{
    struct nj_backlog *backlog = &session->backlog;
    const struct nj_delivery delivery = delivery_of(row);
    enum nj_err err = nj_flow_enqueue(session->flow, &delivery);
    if (err != NJ_OK) {
        return err;
    }
    uint64_t bytes = row->message->payload_len;
    row->message = NULL;
    forget_counted(session, row->seq, bytes);
    NJ_STAT_ADD(session->shard, queued, 1); /* it still is */
    backlog->from = row->seq + 1;
    return NJ_OK;
}

static enum nj_err restore(struct nj_session *session, struct nj_store_rows *rows)
{
    if (!session->flow) {
        session->flow = nj_flow_new();
        if (!session->flow) {
            return NJ_ENOMEM;
        }
        session->flow->last_packet_id = session->last_packet_id;
    }
    for (uint32_t i = 0; i < rows->count; i++) {
        struct nj_store_row *row = &rows->row[i];
        enum nj_err err = row->state == NJ_STORE_ROW_INCOMING ? restore_incoming(session, row)
                          : row->state == NJ_STORE_ROW_QUEUED ? restore_queued(session, row)
                                                              : restore_flight(session, row);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

/* The end of the rows was seen: what is counted and was not given is not there (any more). */
static void settle(struct nj_session *session)
{
    struct nj_backlog *backlog = &session->backlog;
    NJ_STAT_SUB(session->shard, queued, backlog->count - backlog->since);
    backlog->count = backlog->since;
    backlog->bytes = backlog->since_bytes;
}

static void accept(struct nj_session *session, struct nj_store_rows *rows)
{
    struct nj_backlog *backlog = &session->backlog;
    uint64_t ticket = backlog->ticket;
    enum nj_err err = rows->err != NJ_OK ? rows->err : restore(session, rows);
    if (err == NJ_OK && rows->is_end) {
        settle(session);
    }
    backlog->is_reading = false;
    backlog->ticket = 0;
    backlog->is_loaded |= err == NJ_OK;
    if (ticket) {
        nj_shard_ticket_done(session->shard, ticket, err, 0);
    } else if (err != NJ_OK) {
        session->shard->core->link_ops->close(session->link, NJ_RC_UNSPECIFIED,
                                              "its queue could not be read");
    } else {
        nj_session_pump(session);
    }
}

void nj_rows_arrived(struct nj_shard *shard, struct nj_store_rows *rows)
{
    struct nj_session *session = nj_session_by_id(shard, rows->cookie);
    nj_crash_point("rows");
    if (!session) {
        nj_handover_rows(shard, rows); /* of a session that ended with work for others */
    } else if (session->backlog.stale_reads) {
        session->backlog.stale_reads--;
    } else if (session->backlog.is_reading && session->link) {
        accept(session, rows);
    }
    nj_store_rows_free(rows);
}

void nj_rows_expired(struct nj_shard *shard, const struct nj_store_expired *expired)
{
    struct nj_session *session = nj_session_by_id(shard, expired->owner);
    if (!session || expired->seq < session->backlog.from) {
        return; /* one in memory is counted when its turn comes */
    }
    NJ_STAT_ADD(shard, dropped_expired, 1);
    NJ_STAT_ADD(shard, publish_dropped, 1);
    forget_counted(session, expired->seq, expired->bytes);
}

/* ---- the connection goes */

static void leave_queue(struct nj_session *session)
{
    struct nj_shard *shard = session->shard;
    struct nj_flow *flow = session->flow;
    struct nj_backlog *backlog = &session->backlog;
    while (flow->queue_count) {
        struct nj_delivery delivery = nj_flow_dequeue(flow);
        uint64_t expires_ms = delivery.message->expires_ms;
        bool is_expired = expires_ms && expires_ms <= shard->now_ms;
        uint32_t bytes = delivery.message->payload_len;
        NJ_STAT_SUB(shard, queued, 1);
        if (!is_expired && !delivery.seq && shard->limits->queue_qos0 &&
            nj_rows_append(session, delivery.message, &delivery) != NJ_OK) {
            NJ_STAT_ADD(shard, dropped_memory, 1);
        }
        if (is_expired) {
            nj_rows_remove(session, delivery.seq);
            NJ_STAT_ADD(shard, dropped_expired, 1);
            NJ_STAT_ADD(shard, publish_dropped, 1);
        } else if (delivery.seq) {
            count_row(backlog, delivery.qos, bytes);
            NJ_STAT_ADD(shard, queued, 1);
        } else {
            NJ_STAT_ADD(shard, publish_dropped, 1);
        }
        enum nj_err err;
        (void)nj_shard_commit(shard, &err); /* its message is let go */
        nj_message_unref(delivery.message);
    }
}

void nj_rows_leave(struct nj_session *session)
{
    struct nj_flow *flow = session->flow;
    struct nj_backlog *backlog = &session->backlog;
    backlog->stale_reads += backlog->is_reading;
    backlog->is_reading = false;
    backlog->ticket = 0;
    backlog->from = 0;
    if (flow) {
        session->last_packet_id = flow->last_packet_id;
        if (backlog->is_loaded) {
            backlog->flights = 0;
            for (uint32_t i = 0; flow->flights && i <= flow->flight_mask; i++) {
                const struct nj_flight *flight = &flow->flights[i];
                backlog->flights += flight->state != NJ_FLIGHT_FREE && flight->delivery.seq;
            }
            backlog->incoming = flow->incoming.count;
        }
        leave_queue(session);
        nj_flow_free(flow);
        session->flow = NULL;
    } else if (backlog->is_loaded) {
        backlog->flights = 0;
        backlog->incoming = 0;
    }
    backlog->is_loaded = false;
}

/* ---- a group failed */

void nj_rows_take_back(struct nj_session *session, const struct nj_row *row)
{
    struct nj_shard *shard = session->shard;
    struct nj_flow *flow = session->flow;
    NJ_STAT_ADD(shard, dropped_store, 1);
    struct nj_flight *flight = row->packet_id && flow ? nj_flow_find(flow, row->packet_id) : NULL;
    if (flight && flight->delivery.seq == row->seq) {
        if (flight->is_unsent) {
            nj_flow_done(flow, flight);
        } else {
            flight->delivery.seq = 0; /* the client has it; only its record is missing */
        }
        return;
    }
    if (row->packet_id) {
        return;
    }
    if (flow && nj_flow_forget(flow, row->seq)) {
        NJ_STAT_SUB(shard, queued, 1);
    } else {
        forget_counted(session, row->seq, row->bytes);
    }
}
