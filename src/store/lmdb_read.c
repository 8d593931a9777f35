/* The reader thread: gives a session back its rows, in order, some at a time. See lmdb_priv.h.
 *
 *   pages of the owner (first sequence ≤ from … end)  ─┬─► rows, by sequence
 *   tail (from the job)                               ─┘
 *
 * The tail was copied when the read's turn came, and the transaction here is newer: a row of it
 * that became part of a page meanwhile is found there, one that is gone is passed over. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_priv.h"

#define NS_PER_MS 1000000
#define TRIES_MAX 4

struct gather {
    struct nj_lmdb *db;
    MDB_txn *txn;
    const struct nj_lmdb_job *job;
    struct nj_store_rows *rows;
    uint32_t cap;
    uint32_t queued; /* count towards the limits */
    uint64_t bytes;
    uint64_t last_seq;
    uint32_t tail_at; /* the job's tail is added up to here */
    bool is_full;
    bool is_last_try; /* passes over what is removed meanwhile */
};

/* ---- messages */

static int64_t wall_offset_ms(void)
{
    return nj_clock_wall_ns() / NS_PER_MS - (int64_t)nj_clock_mono_ms();
}

/* A deadline that is over becomes the first moment there is. */
static uint64_t monotonic_of(uint64_t deadline_ms)
{
    int64_t at = (int64_t)deadline_ms - wall_offset_ms();
    return at > 1 ? (uint64_t)at : 1;
}

/* NJ_EAGAIN when a newer state has let go of it, NJ_EMALFORMED when it is lost. */
static enum nj_err load_payload(struct nj_lmdb *db, MDB_txn *txn, uint64_t number, uint8_t *into,
                                size_t len)
{
    struct nj_record_key key = nj_record_key_u64(number);
    struct nj_record_blob blob;
    MDB_val k = nj_lmdb_key(&key);
    MDB_val value;
    enum nj_err err = nj_lmdb_error(mdb_get(txn, db->env.dbi[NJ_LMDB_BLOB], &k, &value));
    if (err == NJ_OK) {
        err = nj_record_get_blob(nj_lmdb_bytes(k), nj_lmdb_bytes(value), &blob);
    }
    if (err == NJ_OK && blob.bytes != len) {
        err = NJ_EMALFORMED;
    }
    if (err != NJ_OK) {
        return err == NJ_ENOENT ? NJ_EMALFORMED : err;
    }
    err = nj_lmdb_blob_read(&db->env, number, &blob, into);
    /* Files go as soon as a commit lets go of them, and this transaction may be older than that. */
    return err == NJ_EMALFORMED && !nj_lmdb_blob_is_named(&db->env, number) ? NJ_EAGAIN : err;
}

struct nj_message *nj_lmdb_message_load(struct nj_lmdb *db, MDB_txn *txn,
                                        const struct nj_record_message *record, bool is_interval,
                                        enum nj_err *err)
{
    struct nj_message_view view = {
        .topic = record->topic,
        .props = record->props,
        .payload = record->payload,
        .qos = record->qos,
        .is_retain = record->is_retain,
        .expires_ms = record->expires_ms,
    };
    uint8_t *payload = NULL;
    *err = NJ_OK;
    if (view.expires_ms && !is_interval) {
        view.expires_ms = monotonic_of(view.expires_ms);
    }
    if (record->blob) {
        payload = nj_try_alloc(record->payload.len);
        *err =
            payload ? load_payload(db, txn, record->blob, payload, record->payload.len) : NJ_ENOMEM;
        view.payload.ptr = payload;
    }
    struct nj_message *message = *err == NJ_OK ? nj_message_new(&view) : NULL;
    nj_free(payload);
    if (!message && *err == NJ_OK) {
        *err = NJ_ENOMEM;
    }
    return message;
}

static enum nj_err get_message(struct gather *gather, enum nj_lmdb_table table,
                               const struct nj_record_key *key, struct nj_message **message)
{
    struct nj_lmdb *db = gather->db;
    struct nj_record_message record;
    MDB_val k = nj_lmdb_key(key);
    MDB_val value;
    enum nj_err err = nj_lmdb_error(mdb_get(gather->txn, db->env.dbi[table], &k, &value));
    if (err == NJ_OK) {
        err = nj_record_get_message(nj_lmdb_tables[table].letter, nj_lmdb_bytes(k),
                                    nj_lmdb_bytes(value), &record);
    }
    if (err == NJ_OK) {
        *message = nj_lmdb_message_load(db, gather->txn, &record, false, &err);
    }
    return err;
}

/* ---- rows */

static void note_damage(struct gather *gather, const char *what)
{
    atomic_fetch_add_explicit(&gather->db->stats.quarantined, 1, memory_order_relaxed);
    nj_log(NJ_LOG_ERROR, "Error: a %s in the store %s is damaged and is passed over.", what,
           gather->db->env.path);
}

static struct nj_store_row *next_row(struct gather *gather)
{
    if (gather->rows->count == gather->cap) {
        uint32_t cap = gather->cap * 2;
        struct nj_store_rows *grown =
            nj_try_realloc(gather->rows, sizeof(*grown) + cap * sizeof(gather->rows->row[0]));
        if (!grown) {
            return NULL;
        }
        gather->rows = grown;
        gather->cap = cap;
    }
    return &gather->rows->row[gather->rows->count];
}

static bool is_wanted(const struct gather *gather, const struct nj_record_row *record)
{
    return record->seq > gather->last_seq && record->seq >= gather->job->read.from_seq &&
           (record->state == NJ_STORE_ROW_QUEUED || gather->job->read.with_flights);
}

static bool has_reached_limit(const struct gather *gather, uint32_t bytes)
{
    const struct nj_store_read *read = &gather->job->read;
    return gather->queued > 0 &&
           (gather->queued >= read->max_rows || gather->bytes + bytes > read->max_bytes);
}

static enum nj_err add_row(struct gather *gather, const struct nj_record_row *record)
{
    bool is_queued = record->state == NJ_STORE_ROW_QUEUED;
    struct nj_message *message = NULL;
    if (!is_wanted(gather, record)) {
        return NJ_OK;
    }
    if (is_queued && has_reached_limit(gather, record->bytes)) {
        gather->is_full = true;
        return NJ_OK;
    }
    struct nj_store_row *row = next_row(gather);
    if (!row) {
        return NJ_ENOMEM;
    }
    if (record->state != NJ_STORE_ROW_RELEASED) {
        struct nj_record_key key = nj_record_key_u64(record->body);
        enum nj_err err = get_message(gather, NJ_LMDB_BODY, &key, &message);
        if (err == NJ_EAGAIN && gather->is_last_try) {
            return NJ_OK;
        }
        if (err == NJ_EMALFORMED || err == NJ_ENOENT) {
            note_damage(gather, "message");
            return NJ_OK;
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    *row = (struct nj_store_row){
        .seq = record->seq,
        .message = message,
        .sub_id = record->sub_id,
        .share = record->share,
        .packet_id = record->packet_id,
        .qos = record->qos,
        .state = record->state,
        .is_retain = record->is_retain,
    };
    gather->rows->count++;
    gather->last_seq = record->seq;
    if (is_queued) {
        gather->queued++;
        gather->bytes += record->bytes;
    }
    return NJ_OK;
}

static enum nj_err add_from_tail(struct gather *gather, uint64_t seq)
{
    struct nj_record_key key = nj_record_key_u64(seq);
    struct nj_record_row row;
    MDB_val k = nj_lmdb_key(&key);
    MDB_val value;
    enum nj_err err =
        nj_lmdb_error(mdb_get(gather->txn, gather->db->env.dbi[NJ_LMDB_ROW], &k, &value));
    if (err == NJ_OK) {
        err = nj_record_get_row(nj_lmdb_bytes(k), nj_lmdb_bytes(value), &row);
    }
    if (err == NJ_EMALFORMED) {
        note_damage(gather, "row of a queue");
        return NJ_OK;
    }
    if (err != NJ_OK) {
        return err == NJ_ENOENT ? NJ_OK : err; /* in a page, or gone */
    }
    return row.owner == gather->job->read.owner ? add_row(gather, &row) : NJ_OK;
}

/* What comes before `seq`. Mostly the tail is behind all pages. */
static enum nj_err add_tail(struct gather *gather, uint64_t seq)
{
    const struct nj_lmdb_job *job = gather->job;
    enum nj_err err = NJ_OK;
    while (err == NJ_OK && !gather->is_full && gather->tail_at < job->tail_count &&
           job->tail[gather->tail_at] < seq) {
        err = add_from_tail(gather, job->tail[gather->tail_at++]);
    }
    return err;
}

static enum nj_err add_page(struct gather *gather, MDB_val key, MDB_val value)
{
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    uint32_t count = 0;
    enum nj_err err = nj_record_get_page(nj_lmdb_bytes(key), nj_lmdb_bytes(value), rows, &count);
    if (err == NJ_EMALFORMED) {
        note_damage(gather, "page of a queue");
        return NJ_OK;
    }
    for (uint32_t i = 0; i < count && err == NJ_OK && !gather->is_full; i++) {
        err = add_tail(gather, rows[i].seq);
        if (err == NJ_OK && !gather->is_full) {
            err = add_row(gather, &rows[i]);
        }
    }
    return err;
}

static enum nj_err add_pages(struct gather *gather)
{
    const struct nj_store_read *read = &gather->job->read;
    struct nj_record_key want = nj_record_key_pair(read->owner, read->from_seq);
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    enum nj_err err =
        nj_lmdb_error(mdb_cursor_open(gather->txn, gather->db->env.dbi[NJ_LMDB_PAGE], &cursor));
    if (err != NJ_OK) {
        return err;
    }
    int rc = nj_lmdb_page_seek(cursor, &want, &key, &value);
    if (rc == MDB_NOTFOUND) {
        key = nj_lmdb_key(&want);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    }
    while (rc == MDB_SUCCESS && err == NJ_OK && !gather->is_full && key.mv_size == want.len &&
           memcmp(key.mv_data, want.bytes, 8) == 0) {
        err = add_page(gather, key, value);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return err == NJ_OK && rc != MDB_NOTFOUND ? nj_lmdb_error(rc) : err;
}

static enum nj_err add_one_incoming(struct gather *gather, const struct nj_record_key *key,
                                    uint16_t packet_id)
{
    struct nj_message *message = NULL;
    struct nj_store_row *row = next_row(gather);
    if (!row) {
        return NJ_ENOMEM;
    }
    enum nj_err err = get_message(gather, NJ_LMDB_INCOMING, key, &message);
    if (err == NJ_EAGAIN && gather->is_last_try) {
        return NJ_OK;
    }
    if (err == NJ_EMALFORMED || err == NJ_ENOENT) {
        note_damage(gather, "message");
        return NJ_OK;
    }
    if (err == NJ_OK) {
        *row = (struct nj_store_row){
            .message = message,
            .packet_id = packet_id,
            .qos = 2,
            .state = NJ_STORE_ROW_INCOMING,
        };
        gather->rows->count++;
    }
    return err;
}

static enum nj_err add_incoming(struct gather *gather)
{
    uint64_t owner = gather->job->read.owner;
    struct nj_record_key from = nj_record_key_u64(owner);
    MDB_cursor *cursor;
    MDB_val key = nj_lmdb_key(&from);
    MDB_val value;
    enum nj_err err =
        nj_lmdb_error(mdb_cursor_open(gather->txn, gather->db->env.dbi[NJ_LMDB_INCOMING], &cursor));
    if (err != NJ_OK) {
        return err;
    }
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == MDB_SUCCESS && err == NJ_OK) {
        uint64_t found;
        uint16_t packet_id;
        if (nj_record_key_read_incoming(nj_lmdb_bytes(key), &found, &packet_id) != NJ_OK ||
            found != owner) {
            break;
        }
        struct nj_record_key one = nj_record_key_incoming(owner, packet_id);
        err = add_one_incoming(gather, &one, packet_id);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return err == NJ_OK && rc != MDB_NOTFOUND ? nj_lmdb_error(rc) : err;
}

static enum nj_err gather_all(struct gather *gather)
{
    enum nj_err err = NJ_OK;
    if (gather->job->read.with_flights) {
        err = add_incoming(gather);
    }
    if (err == NJ_OK) {
        err = add_pages(gather);
    }
    return err == NJ_OK ? add_tail(gather, UINT64_MAX) : err;
}

/* ---- the thread */

static struct nj_store_rows *fail_rows(struct nj_store_rows *rows, enum nj_err err)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        nj_message_unref(rows->row[i].message);
    }
    rows->count = 0;
    rows->err = err;
    return rows;
}

static struct nj_store_rows *run_once(struct nj_lmdb *db, const struct nj_lmdb_job *job,
                                      bool is_last_try)
{
    struct gather gather = {.db = db, .job = job, .cap = 32, .is_last_try = is_last_try};
    gather.rows = nj_store_rows_new(job->read.cookie, gather.cap);
    if (!gather.rows) {
        /* The one who waits has to hear something. */
        gather.rows = nj_zalloc(sizeof(*gather.rows));
        gather.rows->cookie = job->read.cookie;
        return fail_rows(gather.rows, NJ_ENOMEM);
    }
    (void)pthread_rwlock_rdlock(&db->env.map_lock);
    enum nj_err err = nj_lmdb_error(mdb_txn_begin(db->env.env, NULL, MDB_RDONLY, &gather.txn));
    if (err == NJ_OK) {
        err = gather_all(&gather);
        mdb_txn_abort(gather.txn);
    }
    (void)pthread_rwlock_unlock(&db->env.map_lock);
    gather.rows->is_end = !gather.is_full;
    return err == NJ_OK ? gather.rows : fail_rows(gather.rows, err);
}

/* The state that was read may be so old that a payload is gone: a newer one does not name it. */
static struct nj_store_rows *run(struct nj_lmdb *db, const struct nj_lmdb_job *job)
{
    struct nj_store_rows *rows = run_once(db, job, false);
    for (int tries = 1; rows->err == NJ_EAGAIN; tries++) {
        nj_store_rows_free(rows);
        rows = run_once(db, job, tries == TRIES_MAX);
    }
    return rows;
}

static struct nj_lmdb_job *take_job(struct nj_lmdb *db)
{
    (void)pthread_mutex_lock(&db->job_lock);
    while (!db->jobs && !db->jobs_end) {
        (void)pthread_cond_wait(&db->job_wake, &db->job_lock);
    }
    struct nj_lmdb_job *job = db->jobs;
    if (job) {
        db->jobs = job->next;
        if (!db->jobs) {
            db->job_tail = &db->jobs;
        }
    }
    (void)pthread_mutex_unlock(&db->job_lock);
    return job;
}

void *nj_lmdb_reader_main(void *arg)
{
    struct nj_lmdb *db = arg;
    struct nj_lmdb_job *job;
    while ((job = take_job(db))) {
        db->events.rows(db->events.arg, job->lane, run(db, job));
        nj_free(job);
    }
    return NULL;
}

/* ---- from the writer */

void nj_lmdb_read_start(struct nj_lmdb *db, const struct nj_store_group *group)
{
    const struct nj_lmdb_owner *owner = nj_lmdb_index_find(&db->index, group->read.owner);
    const struct nj_lmdb_tail *tail = nj_lmdb_index_tail(&db->index, owner);
    uint32_t first = 0;
    uint32_t count = tail ? tail->count : 0;
    while (first < count && tail->seqs[tail->head + first] < group->read.from_seq) {
        first++;
    }
    struct nj_lmdb_job *job = nj_alloc(sizeof(*job) + (count - first) * sizeof(uint64_t));
    job->next = NULL;
    job->lane = group->lane;
    job->read = group->read;
    if (!owner || owner->is_ghost) {
        job->read.owner = 0; /* nobody's: no rows */
    }
    job->tail_count = count - first;
    if (job->tail_count) {
        memcpy(job->tail, tail->seqs + tail->head + first, job->tail_count * sizeof(uint64_t));
    }
    (void)pthread_mutex_lock(&db->job_lock);
    *db->job_tail = job;
    db->job_tail = &job->next;
    (void)pthread_cond_signal(&db->job_wake);
    (void)pthread_mutex_unlock(&db->job_lock);
}
