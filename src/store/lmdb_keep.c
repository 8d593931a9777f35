/* Housekeeping, a bounded amount in each transaction: what deleted sessions left, rows whose time
 * has come, and tails that become pages. See lmdb_priv.h.
 *
 *   rows of a session that is away:   q q q q q q q │ page of 64 │ page of 64
 *                                     tail          ◄── moved ──
 *
 * Rows stand in order of arrival, which is cheap to write but leaves the rows of one session far
 * apart. A page brings the rows of one session together (not their messages, which others may
 * share), so that neither the index in memory nor the start grows with what is queued. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "store/lmdb_priv.h"

#define PAGE_ROWS      64u   /* so many rows of a tail become a page: at most 512 bytes in memory */
#define TAIL_MAX       1024u /* of a session that is connected and does not keep up */
#define PURGE_BUDGET   1000u
#define EXPIRE_BUDGET  1000u
#define PAGES_PER_TURN 64u

/* ---- graves */

struct purge {
    uint64_t owner;
    struct nj_record_key from; /* owner */
    uint32_t budget;
};

/* Removes the records of one table that begin with the owner. `each` sees the value first. */
static enum nj_err purge_table(struct nj_lmdb *db, struct purge *purge, enum nj_lmdb_table table,
                               enum nj_err (*each)(struct nj_lmdb *db, MDB_val key, MDB_val value))
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(db->batch.txn, db->env.dbi[table], &cursor);
    enum nj_err err = nj_lmdb_error(rc);
    while (err == NJ_OK && purge->budget) {
        MDB_val key = nj_lmdb_key(&purge->from);
        MDB_val value;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND ||
            (rc == MDB_SUCCESS && (key.mv_size < purge->from.len ||
                                   memcmp(key.mv_data, purge->from.bytes, purge->from.len) != 0))) {
            break;
        }
        err = nj_lmdb_error(rc);
        if (err == NJ_OK && each) {
            err = each(db, key, value);
        }
        if (err == NJ_OK && !each) {
            err = nj_lmdb_error(mdb_cursor_del(cursor, 0));
        }
        purge->budget--;
    }
    if (rc == MDB_SUCCESS || rc == MDB_NOTFOUND) {
        mdb_cursor_close(cursor);
    }
    return err;
}

static struct nj_record_key copy_key(MDB_val key)
{
    struct nj_record_key copy = {.len = (uint32_t)key.mv_size};
    memcpy(copy.bytes, key.mv_data, key.mv_size);
    return copy;
}

static enum nj_err purge_incoming(struct nj_lmdb *db, MDB_val key, MDB_val value)
{
    struct nj_record_key copy = copy_key(key);
    (void)value;
    return nj_lmdb_apply_drop_message(db, NJ_LMDB_INCOMING, &copy);
}

static enum nj_err purge_page(struct nj_lmdb *db, MDB_val key, MDB_val value)
{
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    struct nj_record_key copy = copy_key(key);
    uint32_t count = 0;
    enum nj_err err = nj_record_get_page(nj_lmdb_bytes(key), nj_lmdb_bytes(value), rows, &count);
    if (err == NJ_EMALFORMED) {
        return nj_lmdb_set_aside(db, NJ_LMDB_PAGE, &copy);
    }
    for (uint32_t i = 0; i < count && err == NJ_OK; i++) {
        err = nj_lmdb_batch_release(db, &rows[i]);
    }
    return err == NJ_OK ? nj_lmdb_del(db, NJ_LMDB_PAGE, &copy) : err;
}

static enum nj_err purge_tail(struct nj_lmdb *db, struct purge *purge)
{
    const struct nj_lmdb_owner *owner = nj_lmdb_index_find(&db->index, purge->owner);
    const struct nj_lmdb_tail *tail = nj_lmdb_index_tail(&db->index, owner);
    enum nj_err err = NJ_OK;
    for (uint32_t i = 0; tail && i < tail->count && err == NJ_OK && purge->budget; i++) {
        err = nj_lmdb_batch_remove(db, purge->owner, tail->seqs[tail->head + i]);
        purge->budget--;
    }
    return err;
}

/* budget left = the grave is empty. */
static enum nj_err purge_owner(struct nj_lmdb *db, struct purge *purge)
{
    struct nj_record_key key = nj_record_key_u64(purge->owner);
    enum nj_err err = purge_table(db, purge, NJ_LMDB_SUB, NULL);
    if (err == NJ_OK) {
        err = purge_table(db, purge, NJ_LMDB_INCOMING, purge_incoming);
    }
    if (err == NJ_OK) {
        err = purge_table(db, purge, NJ_LMDB_PAGE, purge_page);
    }
    if (err == NJ_OK) {
        err = purge_tail(db, purge);
    }
    if (err == NJ_OK && purge->budget) {
        err = nj_lmdb_del(db, NJ_LMDB_WILL, &key);
        if (err == NJ_OK) {
            err = nj_lmdb_del(db, NJ_LMDB_GRAVE, &key);
        }
        if (err == NJ_OK) {
            err = nj_lmdb_batch_change(&db->batch, NJ_LMDB_GRAVE_GONE, purge->owner, 0);
        }
    }
    return err;
}

static enum nj_err purge_graves(struct nj_lmdb *db, bool *more)
{
    struct purge purge = {.budget = PURGE_BUDGET};
    enum nj_err err = NJ_OK;
    for (uint32_t i = db->grave_count; i-- > 0 && err == NJ_OK && purge.budget;) {
        purge.owner = db->graves[i];
        purge.from = nj_record_key_u64(purge.owner);
        err = purge_owner(db, &purge);
    }
    *more |= !purge.budget;
    return err;
}

/* ---- expiry */

static enum nj_err note_expired(struct nj_lmdb_batch *batch, const struct nj_record_row *row)
{
    if (batch->expired_count == batch->expired_cap) {
        uint32_t cap = batch->expired_cap ? batch->expired_cap * 2 : 64;
        struct nj_store_expired *grown = nj_try_realloc(batch->expired, cap * sizeof(*grown));
        if (!grown) {
            return NJ_ENOMEM;
        }
        batch->expired = grown;
        batch->expired_cap = cap;
    }
    batch->expired[batch->expired_count++] =
        (struct nj_store_expired){.owner = row->owner, .seq = row->seq, .bytes = row->bytes};
    return NJ_OK;
}

/* Only what waits in the queue: what is in flight the client may have. */
static enum nj_err expire(struct nj_lmdb *db, uint64_t owner, uint64_t seq)
{
    struct nj_record_row row;
    enum nj_err err = nj_lmdb_batch_find(db, owner, seq, &row);
    if (err != NJ_OK) {
        return err == NJ_ENOENT ? NJ_OK : err;
    }
    if (row.state != NJ_STORE_ROW_QUEUED) {
        return NJ_OK;
    }
    err = nj_lmdb_batch_remove(db, owner, seq);
    return err == NJ_OK ? note_expired(&db->batch, &row) : err;
}

static enum nj_err next_expiry(struct nj_lmdb *db, struct nj_record_key *key, uint64_t *deadline_ms,
                               uint64_t *seq, uint64_t *owner)
{
    MDB_cursor *cursor;
    MDB_val k;
    MDB_val value;
    int rc = mdb_cursor_open(db->batch.txn, db->env.dbi[NJ_LMDB_EXPIRY], &cursor);
    if (rc == MDB_SUCCESS) {
        rc = mdb_cursor_get(cursor, &k, &value, MDB_FIRST);
        if (rc == MDB_SUCCESS) {
            *key = copy_key(k);
            if (nj_record_key_read_pair(nj_lmdb_bytes(k), deadline_ms, seq) != NJ_OK ||
                nj_record_get_number(NJ_TABLE_EXPIRY, nj_lmdb_bytes(k), nj_lmdb_bytes(value),
                                     owner) != NJ_OK) {
                *deadline_ms = 0; /* damaged: it goes, and its row stays until it is read */
                *owner = 0;
            }
        }
        mdb_cursor_close(cursor);
    }
    return nj_lmdb_error(rc);
}

static enum nj_err expire_due(struct nj_lmdb *db, bool *more)
{
    uint64_t now_ms = nj_clock_mono_ms() + (uint64_t)db->batch.wall_offset_ms;
    for (uint32_t i = 0; i < EXPIRE_BUDGET; i++) {
        struct nj_record_key key;
        uint64_t deadline_ms = 0;
        uint64_t seq = 0;
        uint64_t owner = 0;
        enum nj_err err = next_expiry(db, &key, &deadline_ms, &seq, &owner);
        if (err == NJ_ENOENT || (err == NJ_OK && deadline_ms > now_ms)) {
            db->batch.next_deadline_ms = err == NJ_OK ? deadline_ms : UINT64_MAX;
            return NJ_OK;
        }
        if (err == NJ_OK) {
            err = nj_lmdb_del(db, NJ_LMDB_EXPIRY, &key);
        }
        if (err == NJ_OK && owner) {
            err = expire(db, owner, seq);
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    *more = true;
    return NJ_OK;
}

/* ---- pages */

static enum nj_err make_page(struct nj_lmdb *db, uint64_t owner, const uint64_t *seqs)
{
    struct nj_record_row rows[PAGE_ROWS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < PAGE_ROWS; i++) {
        enum nj_err err = nj_lmdb_batch_find_row(db, owner, seqs[i], &rows[count]);
        if (err == NJ_OK) {
            err = nj_lmdb_batch_take_row(db, owner, seqs[i]);
            count++;
        }
        if (err != NJ_OK && err != NJ_ENOENT) {
            return err;
        }
    }
    if (!count) {
        return NJ_OK;
    }
    struct nj_record_key key = nj_record_key_pair(owner, rows[0].seq);
    enum nj_err err = nj_record_put_page(&db->batch.scratch, &key, rows, count);
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_PAGE, &key) : err;
}

static bool is_long(const struct nj_lmdb_owner *owner, const struct nj_lmdb_tail *tail)
{
    return owner && tail && !owner->is_ghost &&
           tail->count >= (owner->is_away ? PAGE_ROWS : TAIL_MAX + PAGE_ROWS);
}

/* Pages of an owner must not overlap, or rows would not be found in them: what comes late, with a
 * sequence below those of a page, stays in the tail. Sets *first to how much of the tail that is.
 */
static enum nj_err pass_over_late(struct nj_lmdb *db, uint64_t owner,
                                  const struct nj_lmdb_tail *tail, uint32_t *first)
{
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    struct nj_record_key end = nj_record_key_pair(owner, UINT64_MAX);
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    uint32_t count = 0;
    *first = 0;
    int rc = mdb_cursor_open(db->batch.txn, db->env.dbi[NJ_LMDB_PAGE], &cursor);
    if (rc != MDB_SUCCESS) {
        return nj_lmdb_error(rc);
    }
    rc = nj_lmdb_page_seek(cursor, &end, &key, &value);
    if (rc == MDB_SUCCESS &&
        nj_record_get_page(nj_lmdb_bytes(key), nj_lmdb_bytes(value), rows, &count) == NJ_OK) {
        while (*first < tail->count && tail->seqs[tail->head + *first] < rows[count - 1].seq) {
            ++*first;
        }
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? NJ_OK : nj_lmdb_error(rc);
}

static enum nj_err make_pages(struct nj_lmdb *db, bool *more)
{
    uint32_t made = 0;
    while (db->to_page_count) {
        uint64_t number = db->to_page[db->to_page_count - 1];
        const struct nj_lmdb_owner *owner = nj_lmdb_index_find(&db->index, number);
        const struct nj_lmdb_tail *tail = nj_lmdb_index_tail(&db->index, owner);
        uint32_t keep = owner && owner->is_away ? 0 : TAIL_MAX;
        uint32_t first = 0;
        if (is_long(owner, tail)) {
            enum nj_err err = pass_over_late(db, number, tail, &first);
            if (err != NJ_OK) {
                return err;
            }
        }
        for (uint32_t at = first; is_long(owner, tail) && at + PAGE_ROWS + keep <= tail->count;
             at += PAGE_ROWS) {
            if (made++ == PAGES_PER_TURN) {
                *more = true;
                return NJ_OK;
            }
            enum nj_err err = make_page(db, number, tail->seqs + tail->head + at);
            if (err != NJ_OK) {
                return err;
            }
        }
        db->to_page_count--;
    }
    return NJ_OK;
}

enum nj_err nj_lmdb_keep(struct nj_lmdb *db, bool with_pages, bool *more)
{
    nj_crash_point("keep");
    *more = false;
    nj_lmdb_batch_forget_pages(&db->batch);
    enum nj_err err = purge_graves(db, more);
    if (err == NJ_OK) {
        err = expire_due(db, more);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_batch_flush(db);
    }
    return err == NJ_OK && with_pages ? make_pages(db, more) : err;
}

/* ---- after the transaction */

static void push_number(uint64_t **array, uint32_t *count, uint32_t *cap, uint64_t number)
{
    if (*count == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        *array = nj_realloc(*array, *cap * sizeof(**array));
    }
    (*array)[(*count)++] = number;
}

void nj_lmdb_keep_grave(struct nj_lmdb *db, uint64_t owner)
{
    push_number(&db->graves, &db->grave_count, &db->grave_cap, owner);
}

void nj_lmdb_keep_long(struct nj_lmdb *db, const struct nj_lmdb_owner *owner)
{
    const struct nj_lmdb_tail *tail = nj_lmdb_index_tail(&db->index, owner);
    bool is_last = db->to_page_count && db->to_page[db->to_page_count - 1] == owner->owner;
    if (is_long(owner, tail) && !is_last) {
        push_number(&db->to_page, &db->to_page_count, &db->to_page_cap, owner->owner);
    }
}

static void forget_grave(struct nj_lmdb *db, uint64_t owner)
{
    for (uint32_t i = 0; i < db->grave_count; i++) {
        if (db->graves[i] == owner) {
            db->graves[i] = db->graves[--db->grave_count];
            break;
        }
    }
    nj_lmdb_index_remove(&db->index, owner);
}

static void set_away(struct nj_lmdb *db, uint64_t owner, bool is_away)
{
    struct nj_lmdb_owner *found = nj_lmdb_index_find(&db->index, owner);
    if (found) {
        found->is_away = is_away;
        nj_lmdb_keep_long(db, found);
    }
}

static void push_tail(struct nj_lmdb *db, uint64_t owner, uint64_t seq)
{
    struct nj_lmdb_owner *found = nj_lmdb_index_find(&db->index, owner);
    if (!found) {
        return;
    }
    nj_lmdb_tail_push(&db->index, found, seq);
    const struct nj_lmdb_tail *tail = nj_lmdb_index_tail(&db->index, found);
    if (tail->count % PAGE_ROWS == 0) {
        nj_lmdb_keep_long(db, found);
    }
}

static void drop_tail(struct nj_lmdb *db, uint64_t owner, uint64_t seq)
{
    struct nj_lmdb_owner *found = nj_lmdb_index_find(&db->index, owner);
    if (found) {
        nj_lmdb_tail_drop(&db->index, found, seq);
    }
}

static void apply_change(struct nj_lmdb *db, const struct nj_lmdb_change *change)
{
    switch (change->kind) {
    case NJ_LMDB_TAIL_PUSH:
        push_tail(db, change->owner, change->seq);
        break;
    case NJ_LMDB_TAIL_DROP:
        drop_tail(db, change->owner, change->seq);
        break;
    case NJ_LMDB_SESSION_HERE:
    case NJ_LMDB_SESSION_AWAY:
        set_away(db, change->owner, change->kind == NJ_LMDB_SESSION_AWAY);
        break;
    case NJ_LMDB_GRAVE_DUG:
        nj_lmdb_keep_grave(db, change->owner);
        break;
    case NJ_LMDB_GRAVE_GONE:
        forget_grave(db, change->owner);
        break;
    case NJ_LMDB_BLOB_GONE:
        nj_lmdb_blob_remove(&db->env, change->owner);
        break;
    case NJ_LMDB_SESSION_NEW:
    case NJ_LMDB_BLOB_MADE:
        break;
    }
}

void nj_lmdb_keep_committed(struct nj_lmdb *db)
{
    struct nj_lmdb_batch *batch = &db->batch;
    for (uint32_t i = 0; i < batch->change_count; i++) {
        apply_change(db, &batch->changes[i]);
    }
    db->owner_limit = batch->owner_limit;
    db->seq_limit = batch->seq_limit;
    db->next_deadline_ms = batch->next_deadline_ms;
    atomic_fetch_add_explicit(&db->stats.rows, batch->row_delta, memory_order_relaxed);
    atomic_store_explicit(&db->stats.live_bytes, batch->live_bytes, memory_order_relaxed);
}

void nj_lmdb_keep_begun(struct nj_lmdb *db)
{
    while (db->doubtful_count) {
        nj_lmdb_blob_remove(&db->env, db->doubtful[--db->doubtful_count]);
    }
}

void nj_lmdb_keep_given_up(struct nj_lmdb *db, bool is_doubtful)
{
    const struct nj_lmdb_batch *batch = &db->batch;
    for (uint32_t i = batch->change_count; i-- > 0;) {
        const struct nj_lmdb_change *change = &batch->changes[i];
        struct nj_lmdb_owner *owner;
        switch (change->kind) {
        case NJ_LMDB_SESSION_NEW:
            nj_lmdb_index_remove(&db->index, change->owner);
            break;
        case NJ_LMDB_GRAVE_DUG:
            owner = nj_lmdb_index_find(&db->index, change->owner);
            if (owner) {
                owner->is_ghost = false;
            }
            break;
        case NJ_LMDB_BLOB_MADE:
            if (is_doubtful) {
                push_number(&db->doubtful, &db->doubtful_count, &db->doubtful_cap, change->owner);
            } else {
                nj_lmdb_blob_remove(&db->env, change->owner);
            }
            break;
        default:
            break;
        }
    }
}
