/* The start: what the store itself has to know (owners, tails, limits), when it is opened, and then
 * what the broker wants to know, when it asks. Messages of queues are not touched. See lmdb_priv.h.
 */
#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_priv.h"

/* What each owner has, counted while its rows are read anyway, until the broker has asked. */
struct nj_lmdb_backlogs {
    struct backlog {
        uint64_t owner;
        struct nj_store_backlog sum;
    } * slots;
    uint64_t mask;
    uint64_t used;
};

static struct backlog *backlog_place(const struct nj_lmdb_backlogs *table, uint64_t owner)
{
    uint64_t at = (owner * 0x9e3779b97f4a7c15ull >> 20) & table->mask;
    while (table->slots[at].owner && table->slots[at].owner != owner) {
        at = (at + 1) & table->mask;
    }
    return &table->slots[at];
}

static struct nj_store_backlog *backlog_of(struct nj_lmdb_backlogs *table, uint64_t owner)
{
    if (!table->slots || 2 * table->used > table->mask) {
        struct nj_lmdb_backlogs old = *table;
        table->mask = old.slots ? 2 * old.mask + 1 : 1023;
        table->slots = nj_zalloc((table->mask + 1) * sizeof(*table->slots));
        for (uint64_t i = 0; old.slots && i <= old.mask; i++) {
            if (old.slots[i].owner) {
                *backlog_place(table, old.slots[i].owner) = old.slots[i];
            }
        }
        nj_free(old.slots);
    }
    struct backlog *found = backlog_place(table, owner);
    table->used += !found->owner;
    found->owner = owner;
    return &found->sum;
}

void nj_lmdb_backlogs_free(struct nj_lmdb_backlogs *backlogs)
{
    if (backlogs) {
        nj_free(backlogs->slots);
        nj_free(backlogs);
    }
}

/* ---- walking tables */

struct walk {
    struct nj_lmdb *db;
    MDB_txn *txn;
    const struct nj_store_loader *loader;
    uint64_t last_in_pages; /* sequence; looked for when the meta table has lost what it knew */
    bool has_lost_limits;
};

typedef enum nj_err (*walk_fn)(struct walk *walk, struct nj_bytes key, struct nj_bytes value);

static enum nj_err walk_table(struct walk *walk, enum nj_lmdb_table table, walk_fn each)
{
    struct nj_lmdb *db = walk->db;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(walk->txn, db->env.dbi[table], &cursor);
    if (rc != MDB_SUCCESS) {
        return nj_lmdb_error(rc);
    }
    enum nj_err err = NJ_OK;
    uint64_t damaged = 0;
    while (err == NJ_OK && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        err = each(walk, nj_lmdb_bytes(key), nj_lmdb_bytes(value));
        if (err == NJ_EMALFORMED) {
            damaged++;
            err = NJ_OK;
        }
    }
    mdb_cursor_close(cursor);
    if (damaged) {
        nj_log(NJ_LOG_ERROR,
               "Error: %llu damaged records in table \"%s\" of the store %s are passed over.",
               (unsigned long long)damaged, nj_lmdb_tables[table].name, db->env.path);
        atomic_fetch_add_explicit(&db->stats.quarantined, damaged, memory_order_relaxed);
    }
    return err == NJ_OK && rc != MDB_NOTFOUND ? nj_lmdb_error(rc) : err;
}

/* ---- what the store has to know */

/* What has no session is not to be delivered any more: it is cleared away as a deleted session. */
static struct nj_lmdb_owner *owner_or_ghost(struct nj_lmdb *db, uint64_t number)
{
    struct nj_lmdb_owner *owner = nj_lmdb_index_find(&db->index, number);
    if (!owner && number) {
        owner = nj_lmdb_index_add(&db->index, number);
        if (owner) {
            owner->is_ghost = true;
            nj_lmdb_keep_grave(db, number);
        }
    }
    return owner;
}

static enum nj_err index_session(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_session session;
    uint64_t number;
    enum nj_err err = nj_record_key_read_u64(key, &number);
    if (err == NJ_OK) {
        err = nj_record_get_session(key, value, &session);
    }
    if (err != NJ_OK) {
        return err;
    }
    struct nj_lmdb_owner *owner = nj_lmdb_index_add(&walk->db->index, number);
    if (!owner) {
        return NJ_ENOMEM;
    }
    owner->is_away = session.away_ms != 0;
    return NJ_OK;
}

static enum nj_err index_grave(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    uint64_t number;
    (void)value;
    enum nj_err err = nj_record_key_read_u64(key, &number);
    return err == NJ_OK && !owner_or_ghost(walk->db, number) ? NJ_ENOMEM : err;
}

static enum nj_err index_row(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_lmdb *db = walk->db;
    struct nj_record_row row;
    enum nj_err err = nj_record_get_row(key, value, &row);
    if (err != NJ_OK) {
        return err;
    }
    struct nj_lmdb_owner *owner = owner_or_ghost(db, row.owner);
    if (!owner) {
        return NJ_ENOMEM;
    }
    nj_lmdb_tail_push(&db->index, owner, row.seq);
    struct nj_store_backlog *sum = backlog_of(db->backlogs, row.owner);
    bool is_queued = row.state == NJ_STORE_ROW_QUEUED;
    sum->queued += is_queued;
    sum->flights += !is_queued;
    sum->bytes += is_queued ? row.bytes : 0;
    atomic_fetch_add_explicit(&db->stats.rows, 1, memory_order_relaxed);
    return NJ_OK;
}

static void note_last(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
    uint32_t count = 0;
    if (nj_record_get_page(key, value, rows, &count) == NJ_OK && count &&
        rows[count - 1].seq > walk->last_in_pages) {
        walk->last_in_pages = rows[count - 1].seq;
    }
}

static enum nj_err index_page(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_lmdb *db = walk->db;
    struct nj_record_page page;
    enum nj_err err = nj_record_get_page_head(key, value, &page);
    if (err != NJ_OK) {
        return err;
    }
    if (!owner_or_ghost(db, page.owner)) {
        return NJ_ENOMEM;
    }
    if (walk->has_lost_limits) {
        note_last(walk, key, value);
    }
    struct nj_store_backlog *sum = backlog_of(db->backlogs, page.owner);
    sum->queued += page.queued;
    sum->flights += page.count - page.queued;
    sum->bytes += page.bytes;
    atomic_fetch_add_explicit(&db->stats.rows, page.count, memory_order_relaxed);
    return NJ_OK;
}

static enum nj_err index_incoming(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    uint64_t number;
    uint16_t packet_id;
    (void)value;
    enum nj_err err = nj_record_key_read_incoming(key, &number, &packet_id);
    if (err == NJ_OK) {
        backlog_of(walk->db->backlogs, number)->incoming++;
    }
    return err;
}

static enum nj_err index_limits(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    uint64_t number;
    if (nj_record_get_number(NJ_TABLE_META, key, value, &number) != NJ_OK) {
        return NJ_EMALFORMED;
    }
    if (nj_bytes_equal(key, NJ_BYTES_LIT("next owner"))) {
        walk->db->owner_limit = number;
    } else if (nj_bytes_equal(key, NJ_BYTES_LIT("next seq"))) {
        walk->db->seq_limit = number;
    }
    return NJ_OK;
}

/* The last key, should the meta table have lost what it knew. */
static void at_least_last(struct walk *walk, enum nj_lmdb_table table, uint64_t *limit)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    uint64_t last;
    if (mdb_cursor_open(walk->txn, walk->db->env.dbi[table], &cursor) != MDB_SUCCESS) {
        return;
    }
    if (mdb_cursor_get(cursor, &key, &value, MDB_LAST) == MDB_SUCCESS &&
        nj_record_key_read_u64(nj_lmdb_bytes(key), &last) == NJ_OK && last >= *limit) {
        *limit = last + 1;
    }
    mdb_cursor_close(cursor);
}

static void find_long_tails(struct nj_lmdb *db)
{
    for (uint64_t i = 0; i <= db->index.mask; i++) {
        if (db->index.slots[i].owner) {
            nj_lmdb_keep_long(db, &db->index.slots[i]);
        }
    }
}

enum nj_err nj_lmdb_load_index(struct nj_lmdb *db)
{
    static const struct {
        enum nj_lmdb_table table;
        walk_fn each;
    } steps[] = {
        {NJ_LMDB_META, index_limits}, {NJ_LMDB_SESSION, index_session},
        {NJ_LMDB_GRAVE, index_grave}, {NJ_LMDB_ROW, index_row},
        {NJ_LMDB_PAGE, index_page},   {NJ_LMDB_INCOMING, index_incoming},
    };
    struct walk walk = {.db = db};
    db->backlogs = nj_zalloc(sizeof(*db->backlogs));
    enum nj_err err = nj_lmdb_error(mdb_txn_begin(db->env.env, NULL, MDB_RDONLY, &walk.txn));
    if (err != NJ_OK) {
        return err;
    }
    for (size_t i = 0; err == NJ_OK && i < sizeof(steps) / sizeof(steps[0]); i++) {
        err = walk_table(&walk, steps[i].table, steps[i].each);
        walk.has_lost_limits = db->seq_limit == 0;
    }
    at_least_last(&walk, NJ_LMDB_SESSION, &db->owner_limit);
    at_least_last(&walk, NJ_LMDB_ROW, &db->seq_limit);
    at_least_last(&walk, NJ_LMDB_BODY, &db->seq_limit);
    if (walk.has_lost_limits && walk.last_in_pages >= db->seq_limit) {
        db->seq_limit = walk.last_in_pages + 1;
    }
    db->next_deadline_ms = 0; /* the writer looks */
    atomic_store(&db->stats.live_bytes, nj_lmdb_env_live(&db->env, walk.txn));
    mdb_txn_abort(walk.txn);
    find_long_tails(db);
    return err;
}

/* ---- what the broker wants to know */

static enum nj_err load_session(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_session record;
    uint64_t owner;
    enum nj_err err = nj_record_key_read_u64(key, &owner);
    if (err == NJ_OK) {
        err = nj_record_get_session(key, value, &record);
    }
    if (err != NJ_OK) {
        return err;
    }
    const struct nj_store_session session = {
        .owner = owner,
        .origin = {.user = record.origin.user,
                   .client_id = record.origin.client_id,
                   .scope = record.origin.scope,
                   .by_certificate = record.origin.by_certificate},
        .away_ms = record.away_ms,
        .expiry_s = record.expiry_s,
        .version = record.version,
        .has_login = record.has_login,
        .is_ending = record.is_ending,
        .is_bridge = record.is_bridge,
    };
    const struct nj_lmdb_backlogs *table = walk->db->backlogs;
    struct nj_store_backlog sum = {0};
    if (table && table->slots) {
        const struct backlog *found = backlog_place(table, owner);
        sum = found->owner ? found->sum : sum;
    }
    return walk->loader->session(walk->loader->arg, &session, &sum);
}

static bool has_session(const struct walk *walk, uint64_t owner)
{
    const struct nj_lmdb_owner *found = nj_lmdb_index_find(&walk->db->index, owner);
    return found && !found->is_ghost;
}

static enum nj_err load_sub(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_sub sub;
    uint64_t owner;
    if (key.len < 9) {
        return NJ_EMALFORMED;
    }
    enum nj_err err = nj_record_key_read_u64(nj_bytes(key.ptr, 8), &owner);
    if (err == NJ_OK) {
        err = nj_record_get_sub(key, value, &sub);
    }
    if (err != NJ_OK || !has_session(walk, owner)) {
        return err;
    }
    return walk->loader->subscription(walk->loader->arg, owner, sub.filter, sub.value, sub.share);
}

/* What cannot be read is passed over: the broker starts with the rest. */
static enum nj_err message_error(enum nj_err err)
{
    return err == NJ_OK || err == NJ_ENOMEM ? err : NJ_EMALFORMED;
}

static enum nj_err load_will(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_message record;
    uint64_t owner;
    uint64_t delay_s;
    enum nj_err err = nj_record_key_read_u64(key, &owner);
    if (err == NJ_OK) {
        err = nj_record_get_will(key, value, &record, &delay_s);
    }
    if (err != NJ_OK || !has_session(walk, owner)) {
        return err;
    }
    struct nj_message *message = nj_lmdb_message_load(walk->db, walk->txn, &record, true, &err);
    if (!message) {
        return message_error(err);
    }
    err = walk->loader->will(walk->loader->arg, owner, message, delay_s);
    nj_message_unref(message);
    return err;
}

static enum nj_err load_retained(struct walk *walk, struct nj_bytes key, struct nj_bytes value)
{
    struct nj_record_message record;
    struct nj_record_origin origin;
    bool has_origin;
    enum nj_err err = nj_record_get_retained(key, value, &record, &origin, &has_origin);
    if (err != NJ_OK) {
        return err;
    }
    /* One that has expired meanwhile is told, too: the broker clears it. */
    struct nj_message *message = nj_lmdb_message_load(walk->db, walk->txn, &record, false, &err);
    if (!message) {
        return message_error(err);
    }
    const struct nj_store_origin from = {.user = origin.user,
                                         .client_id = origin.client_id,
                                         .scope = origin.scope,
                                         .by_certificate = origin.by_certificate};
    err = walk->loader->retained(walk->loader->arg, message, has_origin ? &from : NULL);
    nj_message_unref(message);
    return err;
}

enum nj_err nj_lmdb_load(struct nj_store *store, const struct nj_store_loader *loader,
                         struct nj_store_highest *highest)
{
    struct nj_lmdb *db = (struct nj_lmdb *)store;
    struct walk walk = {.db = db, .loader = loader};
    (void)pthread_rwlock_rdlock(&db->env.map_lock);
    enum nj_err err = nj_lmdb_error(mdb_txn_begin(db->env.env, NULL, MDB_RDONLY, &walk.txn));
    if (err == NJ_OK) {
        err = walk_table(&walk, NJ_LMDB_SESSION, load_session);
        if (err == NJ_OK) {
            err = walk_table(&walk, NJ_LMDB_SUB, load_sub);
        }
        if (err == NJ_OK) {
            err = walk_table(&walk, NJ_LMDB_WILL, load_will);
        }
        if (err == NJ_OK && !db->options.skips_retained) {
            err = walk_table(&walk, NJ_LMDB_RETAINED, load_retained);
        }
        mdb_txn_abort(walk.txn);
    }
    (void)pthread_rwlock_unlock(&db->env.map_lock);
    nj_lmdb_backlogs_free(db->backlogs);
    db->backlogs = NULL;
    *highest = (struct nj_store_highest){
        .owner = db->owner_limit ? db->owner_limit - 1 : 0,
        .seq = db->seq_limit ? db->seq_limit - 1 : 0,
    };
    /* The writer may clear away from now on; the index is its own then. */
    (void)pthread_mutex_lock(&db->lock);
    db->may_keep = true;
    (void)pthread_cond_signal(&db->wake);
    (void)pthread_mutex_unlock(&db->lock);
    return err;
}
