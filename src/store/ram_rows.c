/* See ram_rows.h.
 *
 *   session ─► rows[]:  gone gone │ sent sent queued queued … │ room
 *                                 head                        end
 *
 * Rows come in order of seq and leave mostly at the front, so a look-up is a binary search and a
 * row that leaves elsewhere is marked and skipped. */
#include "store/ram_rows.h"

#include <string.h>

#include "base/hash.h"
#include "base/index.h"
#include "base/list.h"
#include "base/mem.h"
#include "store/group.h"
#include "store/message.h"

#define FIRST_TABLE 256
#define FIRST_ROWS  4

struct nj_ram_session {
    struct nj_ram_session *next;
    uint64_t owner;
    struct nj_store_row *rows; /* one that is gone has state GONE */
    uint32_t head;
    uint32_t end;
    uint32_t cap;
    uint32_t live;
    struct nj_index incoming;    /* struct incoming, by packet id */
    struct nj_index_node *spare; /* of them, for what is about to come */
};

struct incoming {
    struct nj_index_node node;
    struct nj_store_row row;
};

#define GONE UINT8_MAX

static uint64_t bucket_of(const struct nj_ram_rows *rows, uint64_t owner)
{
    return (owner * 0x9e3779b97f4a7c15u >> 20) & rows->mask;
}

static struct nj_ram_session *find(const struct nj_ram_rows *rows, uint64_t owner)
{
    struct nj_ram_session *session = rows->table ? rows->table[bucket_of(rows, owner)] : NULL;
    while (session && session->owner != owner) {
        session = session->next;
    }
    return session;
}

static void grow_table(struct nj_ram_rows *rows)
{
    uint64_t size = rows->table ? (rows->mask + 1) * 2 : FIRST_TABLE;
    struct nj_ram_session **table = nj_try_zalloc(size * sizeof(struct nj_ram_session *));
    if (!table) {
        return; /* longer chains, but correct */
    }
    struct nj_ram_rows old = *rows;
    rows->table = table;
    rows->mask = size - 1;
    for (uint64_t i = 0; old.table && i <= old.mask; i++) {
        while (old.table[i]) {
            struct nj_ram_session *session = old.table[i];
            old.table[i] = session->next;
            struct nj_ram_session **bucket = &table[bucket_of(rows, session->owner)];
            session->next = *bucket;
            *bucket = session;
        }
    }
    nj_free(old.table);
}

static struct nj_ram_session *demand(struct nj_ram_rows *rows, uint64_t owner)
{
    struct nj_ram_session *session = find(rows, owner);
    if (session) {
        return session;
    }
    if (!rows->table || rows->sessions > rows->mask) {
        grow_table(rows);
    }
    session = rows->table ? nj_try_zalloc(sizeof(*session)) : NULL;
    if (session) {
        session->owner = owner;
        struct nj_ram_session **bucket = &rows->table[bucket_of(rows, owner)];
        session->next = *bucket;
        *bucket = session;
        rows->sessions++;
    }
    return session;
}

static struct incoming *incoming_of(struct nj_index_node *node)
{
    return NJ_CONTAINER(node, struct incoming, node);
}

static void session_free(struct nj_ram_rows *rows, struct nj_ram_session *session)
{
    for (uint32_t i = session->head; i < session->end; i++) {
        if (session->rows[i].state != GONE) {
            nj_message_unref(session->rows[i].message);
        }
    }
    for (uint32_t i = 0; i < session->incoming.slot_count; i++) {
        while (session->incoming.slots[i]) {
            struct incoming *incoming = incoming_of(session->incoming.slots[i]);
            nj_index_remove(&session->incoming, &incoming->node);
            nj_message_unref(incoming->row.message);
            nj_free(incoming);
        }
    }
    while (session->spare) {
        struct nj_index_node *next = session->spare->next;
        nj_free(incoming_of(session->spare));
        session->spare = next;
    }
    rows->rows -= session->live;
    rows->sessions--;
    nj_free(session->rows);
    nj_index_fini(&session->incoming);
    nj_free(session);
}

static void session_remove(struct nj_ram_rows *rows, uint64_t owner)
{
    if (!rows->table) {
        return;
    }
    struct nj_ram_session **at = &rows->table[bucket_of(rows, owner)];
    while (*at && (*at)->owner != owner) {
        at = &(*at)->next;
    }
    if (*at) {
        struct nj_ram_session *session = *at;
        *at = session->next;
        session_free(rows, session);
    }
}

void nj_ram_rows_fini(struct nj_ram_rows *rows)
{
    for (uint64_t i = 0; rows->table && i <= rows->mask; i++) {
        while (rows->table[i]) {
            struct nj_ram_session *session = rows->table[i];
            rows->table[i] = session->next;
            session_free(rows, session);
        }
    }
    nj_free(rows->table);
    *rows = (struct nj_ram_rows){0};
}

/* ---- room, before anything is changed */

/* Moves the rows to the front when half of the room is behind the head. */
static enum nj_err reserve_row(struct nj_ram_session *session, uint32_t more)
{
    if (session->end + more <= session->cap) {
        return NJ_OK;
    }
    uint32_t used = session->end - session->head;
    if (session->head && used + more <= session->cap / 2) {
        memmove(session->rows, session->rows + session->head, used * sizeof(*session->rows));
        session->head = 0;
        session->end = used;
        return NJ_OK;
    }
    uint32_t cap = session->cap ? session->cap * 2 : FIRST_ROWS;
    cap = cap < session->end + more ? session->end + more : cap;
    struct nj_store_row *grown = nj_try_realloc(session->rows, cap * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    session->rows = grown;
    session->cap = cap;
    return NJ_OK;
}

/* So many spare ones, and a table for them. */
static enum nj_err reserve_incoming(struct nj_ram_session *session, uint32_t more)
{
    struct nj_index_node **at = &session->spare;
    for (uint32_t i = 0; i < more; i++, at = &(*at)->next) {
        struct incoming *incoming = *at ? incoming_of(*at) : nj_try_zalloc(sizeof(*incoming));
        if (!incoming) {
            return NJ_ENOMEM;
        }
        *at = &incoming->node;
    }
    if (!session->incoming.slot_count) {
        struct nj_index_node first;
        if (nj_index_add(&session->incoming, &first, 0) != NJ_OK) {
            return NJ_ENOMEM;
        }
        nj_index_remove(&session->incoming, &first);
    }
    return NJ_OK;
}

/* For as many rows as the whole group has: a group rarely names a session twice. */
static enum nj_err reserve(struct nj_ram_rows *rows, const struct nj_store_op *ops, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bool is_row = ops[i].kind == NJ_STORE_QUEUE_APPEND;
        if (!is_row && ops[i].kind != NJ_STORE_INCOMING_PUT) {
            continue;
        }
        struct nj_ram_session *session = demand(rows, ops[i].owner);
        uint32_t more = 0;
        for (unsigned j = i; j < count && (j == i || ops[j].owner == ops[i].owner); j++) {
            more++;
        }
        enum nj_err err = !session ? NJ_ENOMEM
                          : is_row ? reserve_row(session, more)
                                   : reserve_incoming(session, more);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

/* ---- one operation */

static struct nj_store_row *find_row(const struct nj_ram_rows *rows, const struct nj_store_op *op,
                                     struct nj_ram_session **session)
{
    *session = find(rows, op->owner);
    uint32_t low = *session ? (*session)->head : 0;
    uint32_t high = *session ? (*session)->end : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct nj_store_row *row = &(*session)->rows[middle];
        if (row->seq == op->seq) {
            return row->state == GONE ? NULL : row;
        }
        if (row->seq < op->seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static void append(struct nj_ram_rows *rows, const struct nj_store_op *op)
{
    struct nj_ram_session *session = find(rows, op->owner);
    NJ_ASSERT(session);
    if (reserve_row(session, 1) != NJ_OK) {
        NJ_ASSERT(!"no room was reserved");
    }
    NJ_DEBUG_ASSERT(session->end == session->head || session->rows[session->end - 1].seq < op->seq);
    session->rows[session->end++] = (struct nj_store_row){
        .seq = op->seq,
        .message = nj_message_ref(op->message),
        .sub_id = op->sub_id,
        .share = op->share,
        .packet_id = op->packet_id,
        .qos = op->qos,
        .state = op->packet_id ? NJ_STORE_ROW_SENT : NJ_STORE_ROW_QUEUED,
        .is_retain = op->is_retain,
    };
    session->live++;
    rows->rows++;
}

static void remove_row(struct nj_ram_rows *rows, const struct nj_store_op *op)
{
    struct nj_ram_session *session;
    struct nj_store_row *row = find_row(rows, op, &session);
    if (!row) {
        return;
    }
    nj_message_unref(row->message);
    row->message = NULL;
    row->state = GONE;
    session->live--;
    rows->rows--;
    while (session->head < session->end && session->rows[session->head].state == GONE) {
        session->head++;
    }
    if (session->head == session->end) {
        session->head = 0;
        session->end = 0;
    }
}

static void set_state(struct nj_ram_rows *rows, const struct nj_store_op *op,
                      enum nj_store_row_state state)
{
    struct nj_ram_session *session;
    struct nj_store_row *row = find_row(rows, op, &session);
    if (!row) {
        return;
    }
    row->state = (uint8_t)state;
    if (state == NJ_STORE_ROW_SENT) {
        row->packet_id = op->packet_id;
    }
}

static uint64_t id_hash(uint16_t packet_id)
{
    return nj_hash_bytes(nj_bytes(&packet_id, sizeof(packet_id)));
}

static void release_incoming(struct nj_ram_rows *rows, const struct nj_store_op *op)
{
    struct nj_ram_session *session = find(rows, op->owner);
    struct nj_index_node *node =
        session ? nj_index_first(&session->incoming, id_hash(op->packet_id)) : NULL;
    while (node && incoming_of(node)->row.packet_id != op->packet_id) {
        node = nj_index_next(node);
    }
    if (node) {
        nj_index_remove(&session->incoming, node);
        nj_message_unref(incoming_of(node)->row.message);
        nj_free(incoming_of(node));
    }
}

static void put_incoming(struct nj_ram_rows *rows, const struct nj_store_op *op)
{
    struct nj_ram_session *session = find(rows, op->owner);
    NJ_ASSERT(session && session->spare);
    release_incoming(rows, op);
    struct incoming *incoming = incoming_of(session->spare);
    session->spare = incoming->node.next;
    incoming->row = (struct nj_store_row){
        .message = nj_message_ref(op->message),
        .packet_id = op->packet_id,
        .qos = 2,
        .state = NJ_STORE_ROW_INCOMING,
    };
    enum nj_err err = nj_index_add(&session->incoming, &incoming->node, id_hash(op->packet_id));
    NJ_ASSERT(err == NJ_OK); /* it has a table */
    (void)err;
}

enum nj_err nj_ram_rows_apply(struct nj_ram_rows *rows, const struct nj_store_op *ops,
                              unsigned count)
{
    enum nj_err err = reserve(rows, ops, count);
    if (err != NJ_OK) {
        return err;
    }
    for (unsigned i = 0; i < count; i++) {
        switch (ops[i].kind) {
        case NJ_STORE_SESSION_DELETE:
            session_remove(rows, ops[i].owner);
            break;
        case NJ_STORE_QUEUE_APPEND:
            append(rows, &ops[i]);
            break;
        case NJ_STORE_QUEUE_SENT:
            set_state(rows, &ops[i], NJ_STORE_ROW_SENT);
            break;
        case NJ_STORE_QUEUE_RELEASED:
            set_state(rows, &ops[i], NJ_STORE_ROW_RELEASED);
            break;
        case NJ_STORE_QUEUE_REMOVE:
            remove_row(rows, &ops[i]);
            break;
        case NJ_STORE_INCOMING_PUT:
            put_incoming(rows, &ops[i]);
            break;
        case NJ_STORE_INCOMING_RELEASE:
            release_incoming(rows, &ops[i]);
            break;
        default:
            break; /* the broker has it in memory, and it need not outlive that */
        }
    }
    return NJ_OK;
}

/* ---- reading */

static void give(struct nj_store_rows *out, const struct nj_store_row *row)
{
    struct nj_store_row *to = &out->row[out->count++];
    *to = *row;
    if (row->message) {
        to->message = nj_message_ref(row->message);
    }
}

static uint32_t first_from(const struct nj_ram_session *session, uint64_t seq)
{
    uint32_t low = session->head;
    uint32_t high = session->end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (session->rows[middle].seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Where the answer ends: the first row that is too many. */
static uint32_t end_of_read(const struct nj_ram_session *session, const struct nj_store_read *read,
                            uint32_t from)
{
    uint32_t queued = 0;
    uint64_t bytes = 0;
    uint32_t at = from;
    for (; at < session->end; at++) {
        const struct nj_store_row *row = &session->rows[at];
        if (row->state != NJ_STORE_ROW_QUEUED) {
            continue;
        }
        if (queued && (queued >= read->max_rows || bytes >= read->max_bytes)) {
            break;
        }
        queued++;
        bytes += row->message->payload_len;
    }
    return at;
}

struct nj_store_rows *nj_ram_rows_read(const struct nj_ram_rows *rows,
                                       const struct nj_store_read *read)
{
    const struct nj_ram_session *session = find(rows, read->owner);
    uint32_t from = session ? first_from(session, read->from_seq) : 0;
    uint32_t end = session ? end_of_read(session, read, from) : 0;
    uint32_t incoming = session && read->with_flights ? session->incoming.count : 0;
    struct nj_store_rows *out = nj_store_rows_new(read->cookie, incoming + end - from);
    if (!out) {
        return NULL;
    }
    for (uint32_t i = 0; incoming && i < session->incoming.slot_count; i++) {
        for (struct nj_index_node *at = session->incoming.slots[i]; at; at = at->next) {
            give(out, &incoming_of(at)->row);
        }
    }
    for (uint32_t i = from; i < end; i++) {
        uint8_t state = session->rows[i].state;
        if (state == NJ_STORE_ROW_QUEUED || (state != GONE && read->with_flights)) {
            give(out, &session->rows[i]);
        }
    }
    out->is_end = !session || end == session->end;
    return out;
}
