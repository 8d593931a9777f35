/* The rows of one transaction. See lmdb_priv.h.
 *
 * What is appended stays in memory until the end of the transaction: most messages for clients that
 * are connected are acknowledged within the same one and never touch the database.
 *
 *   fresh row ──► fresh body ──► message (the group's)        by seq, by message
 *   page (256 rows of one owner, read from the database, changed, written back once) */
#include "base/mem.h"
#include "store/lmdb_priv.h"

#define FIRST_ROWS    256u
#define SPARE_NUMBERS 65536u /* so many are marked as given out at once */
#define PAGES_MAX     512u /* of the database in memory, 7 MiB: a transaction may change thousands */

/* Grows *array (of *cap elements) to hold one more than `count`. */
static enum nj_err reserve(void **array, uint32_t *cap, uint32_t count, size_t size)
{
    if (count < *cap) {
        return NJ_OK;
    }
    uint32_t more = *cap ? *cap * 2 : FIRST_ROWS;
    void *grown = nj_try_realloc(*array, more * size);
    if (!grown) {
        return NJ_ENOMEM;
    }
    *array = grown;
    *cap = more;
    return NJ_OK;
}

enum nj_err nj_lmdb_batch_change(struct nj_lmdb_batch *batch, enum nj_lmdb_change_kind kind,
                                 uint64_t owner, uint64_t seq)
{
    enum nj_err err = reserve((void **)&batch->changes, &batch->change_cap, batch->change_count,
                              sizeof(*batch->changes));
    if (err == NJ_OK) {
        batch->changes[batch->change_count++] =
            (struct nj_lmdb_change){.kind = kind, .owner = owner, .seq = seq};
    }
    return err;
}

/* ---- fresh rows */

static uint32_t spread(uint64_t number)
{
    return (uint32_t)(number * 0x9e3779b97f4a7c15ull >> 32);
}

static uint32_t *row_place(struct nj_lmdb_batch *batch, uint64_t seq)
{
    uint32_t at = spread(seq) & batch->row_mask;
    while (batch->row_table[at] && batch->rows[batch->row_table[at] - 1].row.seq != seq) {
        at = (at + 1) & batch->row_mask;
    }
    return &batch->row_table[at];
}

static uint32_t *body_place(struct nj_lmdb_batch *batch, const struct nj_message *message)
{
    uint32_t at = spread((uintptr_t)message >> 4) & batch->body_mask;
    while (batch->body_table[at] && batch->bodies[batch->body_table[at] - 1].message != message) {
        at = (at + 1) & batch->body_mask;
    }
    return &batch->body_table[at];
}

static enum nj_err grow_table(uint32_t **table, uint32_t *mask, uint32_t count)
{
    if (*table && 2 * (count + 1) <= *mask + 1) {
        return NJ_OK;
    }
    uint32_t size = *table ? 2 * (*mask + 1) : 2 * FIRST_ROWS;
    uint32_t *grown = nj_try_zalloc(size * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    nj_free(*table);
    *table = grown;
    *mask = size - 1;
    return NJ_EAGAIN; /* empty: to be filled again */
}

static enum nj_err reserve_row(struct nj_lmdb_batch *batch)
{
    enum nj_err err =
        reserve((void **)&batch->rows, &batch->row_cap, batch->row_count, sizeof(*batch->rows));
    if (err == NJ_OK) {
        err = grow_table(&batch->row_table, &batch->row_mask, batch->row_count);
    }
    if (err == NJ_EAGAIN) {
        for (uint32_t i = 0; i < batch->row_count; i++) {
            *row_place(batch, batch->rows[i].row.seq) = i + 1;
        }
        err = NJ_OK;
    }
    return err;
}

static enum nj_err reserve_body(struct nj_lmdb_batch *batch)
{
    enum nj_err err = reserve((void **)&batch->bodies, &batch->body_cap, batch->body_count,
                              sizeof(*batch->bodies));
    if (err == NJ_OK) {
        err = grow_table(&batch->body_table, &batch->body_mask, batch->body_count);
    }
    if (err == NJ_EAGAIN) {
        for (uint32_t i = 0; i < batch->body_count; i++) {
            *body_place(batch, batch->bodies[i].message) = i + 1;
        }
        err = NJ_OK;
    }
    return err;
}

static enum nj_err fresh_body(struct nj_lmdb_batch *batch, const struct nj_store_op *op,
                              uint32_t *index)
{
    enum nj_err err = reserve_body(batch);
    if (err != NJ_OK) {
        return err;
    }
    uint32_t *place = body_place(batch, op->message);
    if (!*place) {
        batch->bodies[batch->body_count] =
            (struct nj_lmdb_fresh_body){.message = op->message, .number = op->seq};
        *place = ++batch->body_count;
    }
    struct nj_lmdb_fresh_body *body = &batch->bodies[*place - 1];
    body->live++;
    if (op->seq < body->number) {
        body->number = op->seq;
    }
    *index = *place - 1;
    return NJ_OK;
}

static struct nj_lmdb_fresh_row *find_fresh(struct nj_lmdb_batch *batch, uint64_t seq)
{
    uint32_t at = batch->row_count ? *row_place(batch, seq) : 0;
    return at && !batch->rows[at - 1].is_dead ? &batch->rows[at - 1] : NULL;
}

enum nj_err nj_lmdb_batch_append(struct nj_lmdb *db, const struct nj_store_op *op)
{
    struct nj_lmdb_batch *batch = &db->batch;
    const struct nj_lmdb_owner *owner = nj_lmdb_index_find(&db->index, op->owner);
    uint32_t body;
    if (!owner || owner->is_ghost || !op->message || !op->seq) {
        return NJ_OK;
    }
    enum nj_err err = reserve_row(batch);
    if (err == NJ_OK) {
        err = fresh_body(batch, op, &body);
    }
    if (err != NJ_OK) {
        return err;
    }
    const struct nj_message *message = op->message;
    struct nj_lmdb_fresh_row *fresh = &batch->rows[batch->row_count];
    *fresh = (struct nj_lmdb_fresh_row){
        .body = body,
        .row = {.seq = op->seq,
                .owner = op->owner,
                .bytes = message->payload_len,
                .sub_id = op->sub_id,
                .share = op->share,
                .packet_id = op->packet_id,
                .qos = op->qos,
                .state = op->packet_id ? NJ_STORE_ROW_SENT : NJ_STORE_ROW_QUEUED,
                .is_retain = op->is_retain},
    };
    if (message->expires_ms) {
        fresh->row.deadline_ms = message->expires_ms + (uint64_t)batch->wall_offset_ms;
    }
    *row_place(batch, op->seq) = ++batch->row_count;
    batch->row_delta++;
    return NJ_OK;
}

/* ---- pages */

static struct nj_lmdb_page **bucket_of(struct nj_lmdb_batch *batch, uint64_t owner)
{
    return &batch->page_table[spread(owner) % NJ_LMDB_PAGE_BUCKETS];
}

static struct nj_lmdb_page *find_loaded(struct nj_lmdb_batch *batch, uint64_t owner, uint64_t seq)
{
    struct nj_lmdb_page *page = *bucket_of(batch, owner);
    while (page && (page->owner != owner || seq < page->first || seq > page->last)) {
        page = page->next;
    }
    return page;
}

/* The last page of `owner` that begins at or before `seq`: its key and value. */
static enum nj_err seek_page(struct nj_lmdb *db, uint64_t owner, uint64_t seq, MDB_val *key,
                             MDB_val *value)
{
    struct nj_lmdb_batch *batch = &db->batch;
    struct nj_record_key want = nj_record_key_pair(owner, seq);
    if (!batch->page_cursor) {
        int rc = mdb_cursor_open(batch->txn, db->env.dbi[NJ_LMDB_PAGE], &batch->page_cursor);
        if (rc != MDB_SUCCESS) {
            return nj_lmdb_error(rc);
        }
    }
    return nj_lmdb_error(nj_lmdb_page_seek(batch->page_cursor, &want, key, value));
}

int nj_lmdb_page_seek(MDB_cursor *cursor, const struct nj_record_key *want, MDB_val *key,
                      MDB_val *value)
{
    *key = nj_lmdb_key(want);
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (rc == MDB_SUCCESS && key->mv_size == want->len &&
        memcmp(key->mv_data, want->bytes, want->len) == 0) {
        return MDB_SUCCESS;
    }
    if (rc != MDB_SUCCESS && rc != MDB_NOTFOUND) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, key, value, rc == MDB_SUCCESS ? MDB_PREV : MDB_LAST);
    if (rc == MDB_SUCCESS &&
        (key->mv_size != want->len || memcmp(key->mv_data, want->bytes, 8) != 0)) {
        return MDB_NOTFOUND;
    }
    return rc;
}

static struct nj_lmdb_page *take_page(struct nj_lmdb_batch *batch)
{
    struct nj_lmdb_page *page = batch->spare_pages;
    if (page) {
        batch->spare_pages = page->next;
    } else {
        page = nj_try_alloc(sizeof(*page));
    }
    return page;
}

static void link_page(struct nj_lmdb_batch *batch, struct nj_lmdb_page *page)
{
    struct nj_lmdb_page **bucket = bucket_of(batch, page->owner);
    page->next = *bucket;
    *bucket = page;
    batch->page_count++;
}

static enum nj_err flush_pages(struct nj_lmdb *db);

/* *page NULL when there is none that may hold `seq`. */
static enum nj_err load_page(struct nj_lmdb *db, uint64_t owner, uint64_t seq,
                             struct nj_lmdb_page **found)
{
    MDB_val key = {0};
    MDB_val value = {0};
    *found = find_loaded(&db->batch, owner, seq);
    if (*found) {
        return NJ_OK;
    }
    enum nj_err err = NJ_OK;
    if (db->batch.page_count >= PAGES_MAX) {
        err = flush_pages(db);
        nj_lmdb_batch_forget_pages(&db->batch);
    }
    if (err == NJ_OK) {
        err = seek_page(db, owner, seq, &key, &value);
    }
    if (err != NJ_OK) {
        return err == NJ_ENOENT ? NJ_OK : err;
    }
    struct nj_lmdb_page *page = take_page(&db->batch);
    if (!page) {
        return NJ_ENOMEM;
    }
    uint64_t first = 0;
    err = nj_record_key_read_pair(nj_lmdb_bytes(key), &page->owner, &first);
    if (err == NJ_OK) {
        err =
            nj_record_get_page(nj_lmdb_bytes(key), nj_lmdb_bytes(value), page->rows, &page->count);
    }
    if (err != NJ_OK || find_loaded(&db->batch, owner, first)) {
        page->next = db->batch.spare_pages;
        db->batch.spare_pages = page;
        struct nj_record_key bad = nj_record_key_pair(owner, first);
        return err == NJ_EMALFORMED ? nj_lmdb_set_aside(db, NJ_LMDB_PAGE, &bad) : err;
    }
    page->first = first;
    page->last = page->rows[page->count - 1].seq;
    page->is_dirty = false;
    link_page(&db->batch, page);
    *found = seq <= page->last ? page : NULL;
    return NJ_OK;
}

/* Index of the row, or `count`. */
static uint32_t find_in_page(const struct nj_lmdb_page *page, uint64_t seq)
{
    uint32_t low = 0;
    uint32_t high = page->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (page->rows[middle].seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < page->count && page->rows[low].seq == seq ? low : page->count;
}

static enum nj_err write_page(struct nj_lmdb *db, struct nj_lmdb_page *page)
{
    struct nj_record_key key = nj_record_key_pair(page->owner, page->first);
    page->is_dirty = false;
    if (page->count == 0) {
        return nj_lmdb_del(db, NJ_LMDB_PAGE, &key);
    }
    enum nj_err err = nj_record_put_page(&db->batch.scratch, &key, page->rows, page->count);
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_PAGE, &key) : err;
}

static enum nj_err flush_pages(struct nj_lmdb *db)
{
    enum nj_err err = NJ_OK;
    for (int i = 0; i < NJ_LMDB_PAGE_BUCKETS; i++) {
        struct nj_lmdb_page *page = db->batch.page_table[i];
        for (; page && err == NJ_OK; page = page->next) {
            if (page->is_dirty) {
                err = write_page(db, page);
            }
        }
    }
    return err;
}

/* ---- rows in the database */

enum nj_err nj_lmdb_batch_find_row(struct nj_lmdb *db, uint64_t owner, uint64_t seq,
                                   struct nj_record_row *row)
{
    struct nj_record_key key = nj_record_key_u64(seq);
    struct nj_bytes value;
    enum nj_err err = nj_lmdb_get(db, NJ_LMDB_ROW, &key, &value);
    if (err == NJ_OK) {
        err = nj_record_get_row(nj_bytes(key.bytes, key.len), value, row);
    }
    if (err == NJ_EMALFORMED) {
        err = nj_lmdb_set_aside(db, NJ_LMDB_ROW, &key);
        if (err == NJ_OK) {
            err = nj_lmdb_batch_change(&db->batch, NJ_LMDB_TAIL_DROP, owner, seq);
        }
        return err == NJ_OK ? NJ_ENOENT : err;
    }
    return err == NJ_OK && row->owner != owner ? NJ_ENOENT : err;
}

enum nj_err nj_lmdb_batch_find(struct nj_lmdb *db, uint64_t owner, uint64_t seq,
                               struct nj_record_row *row)
{
    const struct nj_lmdb_fresh_row *fresh = find_fresh(&db->batch, seq);
    if (fresh) {
        *row = fresh->row;
        return NJ_OK;
    }
    enum nj_err err = nj_lmdb_batch_find_row(db, owner, seq, row);
    if (err != NJ_ENOENT) {
        return err;
    }
    struct nj_lmdb_page *page;
    err = load_page(db, owner, seq, &page);
    uint32_t at = page ? find_in_page(page, seq) : 0;
    if (err == NJ_OK && (!page || at == page->count)) {
        return NJ_ENOENT;
    }
    if (err == NJ_OK) {
        *row = page->rows[at];
    }
    return err;
}

static enum nj_err drop_body(struct nj_lmdb *db, const struct nj_record_row *row)
{
    struct nj_record_key key = nj_record_key_u64(row->body);
    if (row->bytes > NJ_LMDB_BLOB_MIN) {
        struct nj_bytes value;
        struct nj_record_message message;
        if (nj_lmdb_get(db, NJ_LMDB_BODY, &key, &value) == NJ_OK &&
            nj_record_get_message(NJ_TABLE_BODY, nj_bytes(key.bytes, key.len), value, &message) ==
                NJ_OK &&
            message.blob) {
            enum nj_err err = nj_lmdb_apply_drop_blob(db, message.blob);
            if (err != NJ_OK) {
                return err;
            }
        }
    }
    return nj_lmdb_del(db, NJ_LMDB_BODY, &key);
}

static enum nj_err put_refs(struct nj_lmdb *db, uint64_t body, uint64_t refs)
{
    struct nj_record_key key = nj_record_key_u64(body);
    enum nj_err err = nj_record_put_number(&db->batch.scratch, NJ_TABLE_REFS, &key, refs);
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_REFS, &key) : err;
}

static enum nj_err drop_shared_body(struct nj_lmdb *db, const struct nj_record_row *row)
{
    struct nj_record_key key = nj_record_key_u64(row->body);
    struct nj_bytes value;
    uint64_t refs = 0;
    enum nj_err err = nj_lmdb_get(db, NJ_LMDB_REFS, &key, &value);
    if (err == NJ_OK) {
        err = nj_record_get_number(NJ_TABLE_REFS, nj_bytes(key.bytes, key.len), value, &refs);
    }
    if (err == NJ_EMALFORMED || err == NJ_ENOENT) {
        /* Not known who else uses it: it stays. */
        return NJ_OK;
    }
    if (err != NJ_OK || refs > 1) {
        return err == NJ_OK ? put_refs(db, row->body, refs - 1) : err;
    }
    err = nj_lmdb_del(db, NJ_LMDB_REFS, &key);
    return err == NJ_OK ? drop_body(db, row) : err;
}

enum nj_err nj_lmdb_batch_release(struct nj_lmdb *db, const struct nj_record_row *row)
{
    enum nj_err err = NJ_OK;
    db->batch.row_delta--;
    if (row->deadline_ms) {
        struct nj_record_key key = nj_record_key_pair(row->deadline_ms, row->seq);
        err = nj_lmdb_del(db, NJ_LMDB_EXPIRY, &key);
    }
    if (err == NJ_OK) {
        err = row->is_shared ? drop_shared_body(db, row) : drop_body(db, row);
    }
    return err;
}

enum nj_err nj_lmdb_batch_take_row(struct nj_lmdb *db, uint64_t owner, uint64_t seq)
{
    struct nj_record_key key = nj_record_key_u64(seq);
    enum nj_err err = nj_lmdb_del(db, NJ_LMDB_ROW, &key);
    return err == NJ_OK ? nj_lmdb_batch_change(&db->batch, NJ_LMDB_TAIL_DROP, owner, seq) : err;
}

static enum nj_err remove_from_page(struct nj_lmdb *db, uint64_t owner, uint64_t seq)
{
    struct nj_lmdb_page *page;
    enum nj_err err = load_page(db, owner, seq, &page);
    uint32_t at = page ? find_in_page(page, seq) : 0;
    if (err != NJ_OK || !page || at == page->count) {
        return err;
    }
    err = nj_lmdb_batch_release(db, &page->rows[at]);
    page->count--;
    memmove(&page->rows[at], &page->rows[at + 1], (page->count - at) * sizeof(page->rows[0]));
    page->is_dirty = true;
    return err;
}

enum nj_err nj_lmdb_batch_remove(struct nj_lmdb *db, uint64_t owner, uint64_t seq)
{
    struct nj_lmdb_batch *batch = &db->batch;
    struct nj_lmdb_fresh_row *fresh = find_fresh(batch, seq);
    if (fresh) {
        if (fresh->row.owner == owner) {
            fresh->is_dead = true;
            batch->bodies[fresh->body].live--;
            batch->row_delta--;
        }
        return NJ_OK;
    }
    struct nj_record_row row;
    enum nj_err err = nj_lmdb_batch_find_row(db, owner, seq, &row);
    if (err == NJ_ENOENT) {
        return remove_from_page(db, owner, seq);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_batch_take_row(db, owner, seq);
    }
    return err == NJ_OK ? nj_lmdb_batch_release(db, &row) : err;
}

static void mark(struct nj_record_row *row, const struct nj_store_op *op,
                 enum nj_store_row_state state)
{
    row->state = (uint8_t)state;
    if (op->packet_id) {
        row->packet_id = op->packet_id;
    }
}

static enum nj_err mark_in_page(struct nj_lmdb *db, const struct nj_store_op *op,
                                enum nj_store_row_state state)
{
    struct nj_lmdb_page *page;
    enum nj_err err = load_page(db, op->owner, op->seq, &page);
    uint32_t at = page ? find_in_page(page, op->seq) : 0;
    if (err == NJ_OK && page && at < page->count) {
        mark(&page->rows[at], op, state);
        page->is_dirty = true;
    }
    return err;
}

static enum nj_err put_row(struct nj_lmdb *db, const struct nj_record_row *row)
{
    struct nj_record_key key = nj_record_key_u64(row->seq);
    enum nj_err err = nj_record_put_row(&db->batch.scratch, &key, row);
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_ROW, &key) : err;
}

enum nj_err nj_lmdb_batch_mark(struct nj_lmdb *db, const struct nj_store_op *op,
                               enum nj_store_row_state state)
{
    struct nj_lmdb_fresh_row *fresh = find_fresh(&db->batch, op->seq);
    if (fresh) {
        if (fresh->row.owner == op->owner) {
            mark(&fresh->row, op, state);
        }
        return NJ_OK;
    }
    struct nj_record_row row;
    enum nj_err err = nj_lmdb_batch_find_row(db, op->owner, op->seq, &row);
    if (err == NJ_ENOENT) {
        return mark_in_page(db, op, state);
    }
    if (err != NJ_OK) {
        return err;
    }
    mark(&row, op, state);
    return put_row(db, &row);
}

/* ---- the end of a transaction */

static enum nj_err put_body(struct nj_lmdb *db, const struct nj_lmdb_fresh_body *body)
{
    struct nj_record_key key = nj_record_key_u64(body->number);
    struct nj_record_message record;
    enum nj_err err = nj_lmdb_apply_message(db, body->message, false, &record);
    if (err == NJ_OK) {
        err = nj_record_put_message(&db->batch.scratch, NJ_TABLE_BODY, &key, &record);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_put(db, NJ_LMDB_BODY, &key);
    }
    return err == NJ_OK && body->live > 1 ? put_refs(db, body->number, body->live) : err;
}

static enum nj_err put_fresh_row(struct nj_lmdb *db, struct nj_lmdb_fresh_row *fresh)
{
    struct nj_lmdb_batch *batch = &db->batch;
    struct nj_record_row *row = &fresh->row;
    row->body = batch->bodies[fresh->body].number;
    row->is_shared = batch->bodies[fresh->body].live > 1;
    enum nj_err err = put_row(db, row);
    if (err == NJ_OK && row->deadline_ms) {
        struct nj_record_key key = nj_record_key_pair(row->deadline_ms, row->seq);
        err = nj_record_put_number(&batch->scratch, NJ_TABLE_EXPIRY, &key, row->owner);
        if (err == NJ_OK) {
            err = nj_lmdb_put(db, NJ_LMDB_EXPIRY, &key);
        }
        if (row->deadline_ms < batch->next_deadline_ms) {
            batch->next_deadline_ms = row->deadline_ms;
        }
    }
    return err == NJ_OK ? nj_lmdb_batch_change(batch, NJ_LMDB_TAIL_PUSH, row->owner, row->seq)
                        : err;
}

static void forget_fresh(struct nj_lmdb_batch *batch)
{
    batch->row_count = 0;
    batch->body_count = 0;
    if (batch->row_table) {
        memset(batch->row_table, 0, (batch->row_mask + 1) * sizeof(*batch->row_table));
    }
    if (batch->body_table) {
        memset(batch->body_table, 0, (batch->body_mask + 1) * sizeof(*batch->body_table));
    }
}

enum nj_err nj_lmdb_limit(struct nj_lmdb *db, const char *name, uint64_t number, uint64_t *limit)
{
    if (number < *limit) {
        return NJ_OK;
    }
    struct nj_record_key key = nj_record_key_text(name);
    uint64_t next = number + SPARE_NUMBERS;
    enum nj_err err = nj_record_put_number(&db->batch.scratch, NJ_TABLE_META, &key, next);
    if (err == NJ_OK) {
        err = nj_lmdb_put(db, NJ_LMDB_META, &key);
    }
    if (err == NJ_OK) {
        *limit = next;
    }
    return err;
}

enum nj_err nj_lmdb_batch_flush(struct nj_lmdb *db)
{
    struct nj_lmdb_batch *batch = &db->batch;
    enum nj_err err = NJ_OK;
    uint64_t highest = 0;
    for (uint32_t i = 0; i < batch->body_count && err == NJ_OK; i++) {
        if (batch->bodies[i].live) {
            err = put_body(db, &batch->bodies[i]);
        }
    }
    for (uint32_t i = 0; i < batch->row_count && err == NJ_OK; i++) {
        highest = batch->rows[i].row.seq > highest ? batch->rows[i].row.seq : highest;
        if (!batch->rows[i].is_dead) {
            err = put_fresh_row(db, &batch->rows[i]);
        }
    }
    if (err == NJ_OK) {
        err = nj_lmdb_limit(db, "next seq", highest, &batch->seq_limit);
    }
    forget_fresh(batch);
    return err == NJ_OK ? flush_pages(db) : err;
}

void nj_lmdb_batch_forget_pages(struct nj_lmdb_batch *batch)
{
    for (int i = 0; i < NJ_LMDB_PAGE_BUCKETS; i++) {
        while (batch->page_table[i]) {
            struct nj_lmdb_page *page = batch->page_table[i];
            batch->page_table[i] = page->next;
            page->next = batch->spare_pages;
            batch->spare_pages = page;
        }
    }
    batch->page_count = 0;
}

void nj_lmdb_batch_reset(struct nj_lmdb_batch *batch)
{
    forget_fresh(batch);
    nj_lmdb_batch_forget_pages(batch);
    batch->change_count = 0;
    batch->expired_count = 0;
    batch->row_delta = 0;
    batch->has_new_blob = false;
    batch->page_cursor = NULL; /* it ended with its transaction */
    batch->txn = NULL;
}

void nj_lmdb_batch_fini(struct nj_lmdb_batch *batch)
{
    nj_lmdb_batch_reset(batch);
    while (batch->spare_pages) {
        struct nj_lmdb_page *next = batch->spare_pages->next;
        nj_free(batch->spare_pages);
        batch->spare_pages = next;
    }
    nj_buf_fini(&batch->scratch);
    nj_free(batch->rows);
    nj_free(batch->row_table);
    nj_free(batch->bodies);
    nj_free(batch->body_table);
    nj_free(batch->changes);
    nj_free(batch->expired);
}
