/* Operations on everything but rows: sessions, subscriptions, wills, incoming and retained
 * messages. Each is one or two records of its own. See lmdb_priv.h. */
#include "base/crc32c.h"
#include "base/log.h"
#include "store/lmdb_priv.h"

/* ---- tables */

enum nj_err nj_lmdb_put(struct nj_lmdb *db, enum nj_lmdb_table table,
                        const struct nj_record_key *key)
{
    MDB_val k = nj_lmdb_key(key);
    MDB_val value = nj_lmdb_val(nj_buf_bytes(&db->batch.scratch));
    return nj_lmdb_error(mdb_put(db->batch.txn, db->env.dbi[table], &k, &value, 0));
}

enum nj_err nj_lmdb_del(struct nj_lmdb *db, enum nj_lmdb_table table,
                        const struct nj_record_key *key)
{
    MDB_val k = nj_lmdb_key(key);
    int rc = mdb_del(db->batch.txn, db->env.dbi[table], &k, NULL);
    return rc == MDB_NOTFOUND ? NJ_OK : nj_lmdb_error(rc);
}

enum nj_err nj_lmdb_get(struct nj_lmdb *db, enum nj_lmdb_table table,
                        const struct nj_record_key *key, struct nj_bytes *value)
{
    MDB_val k = nj_lmdb_key(key);
    MDB_val found;
    int rc = mdb_get(db->batch.txn, db->env.dbi[table], &k, &found);
    if (rc == MDB_SUCCESS) {
        *value = nj_lmdb_bytes(found);
    }
    return nj_lmdb_error(rc);
}

enum nj_err nj_lmdb_set_aside(struct nj_lmdb *db, enum nj_lmdb_table table,
                              const struct nj_record_key *key)
{
    nj_log(NJ_LOG_ERROR, "Error: a damaged record in table \"%s\" of the store %s was dropped.",
           nj_lmdb_tables[table].name, db->env.path);
    atomic_fetch_add_explicit(&db->stats.quarantined, 1, memory_order_relaxed);
    return nj_lmdb_del(db, table, key);
}

/* ---- messages */

static enum nj_err put_blob(struct nj_lmdb *db, uint64_t number, struct nj_bytes payload)
{
    struct nj_record_key key = nj_record_key_u64(number);
    const struct nj_record_blob blob = {
        .bytes = payload.len,
        .crc = nj_crc32c(0, payload.ptr, payload.len),
    };
    enum nj_err err = nj_lmdb_batch_change(&db->batch, NJ_LMDB_BLOB_MADE, number, 0);
    if (err == NJ_OK) {
        err = nj_lmdb_blob_write(&db->env, number, payload);
    }
    if (err == NJ_OK) {
        err = nj_record_put_blob(&db->batch.scratch, &key, &blob);
    }
    db->batch.has_new_blob = true;
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_BLOB, &key) : err;
}

enum nj_err nj_lmdb_apply_message(struct nj_lmdb *db, const struct nj_message *message,
                                  bool is_interval, struct nj_record_message *record)
{
    struct nj_message_view view = nj_message_view(message);
    *record = (struct nj_record_message){
        .topic = view.topic,
        .props = view.props,
        .payload = view.payload,
        .qos = view.qos,
        .is_retain = view.is_retain,
        .expires_ms = view.expires_ms,
    };
    if (view.expires_ms && !is_interval) {
        record->expires_ms += (uint64_t)db->batch.wall_offset_ms;
    }
    if (view.payload.len <= NJ_LMDB_BLOB_MIN) {
        return NJ_OK;
    }
    record->blob = db->next_blob++;
    record->payload.ptr = NULL;
    return put_blob(db, record->blob, view.payload);
}

enum nj_err nj_lmdb_apply_drop_blob(struct nj_lmdb *db, uint64_t number)
{
    struct nj_record_key key = nj_record_key_u64(number);
    enum nj_err err = nj_lmdb_del(db, NJ_LMDB_BLOB, &key);
    return err == NJ_OK ? nj_lmdb_batch_change(&db->batch, NJ_LMDB_BLOB_GONE, number, 0) : err;
}

/* Lets go of the payload beside the map that the record under `key` has, if it has one. */
static enum nj_err drop_old_blob(struct nj_lmdb *db, enum nj_lmdb_table table,
                                 const struct nj_record_key *key)
{
    struct nj_bytes value = {0};
    struct nj_record_message message = {0};
    struct nj_record_origin origin;
    bool has_origin;
    enum nj_err err = nj_lmdb_get(db, table, key, &value);
    if (err == NJ_ENOENT) {
        return NJ_OK;
    }
    if (err == NJ_OK) {
        const struct nj_bytes k = nj_bytes(key->bytes, key->len);
        err = table == NJ_LMDB_RETAINED
                  ? nj_record_get_retained(k, value, &message, &origin, &has_origin)
                  : nj_record_get_message(nj_lmdb_tables[table].letter, k, value, &message);
        if (err == NJ_EMALFORMED) {
            return nj_lmdb_set_aside(db, table, key);
        }
    }
    return err == NJ_OK && message.blob ? nj_lmdb_apply_drop_blob(db, message.blob) : err;
}

enum nj_err nj_lmdb_apply_drop_message(struct nj_lmdb *db, enum nj_lmdb_table table,
                                       const struct nj_record_key *key)
{
    enum nj_err err = drop_old_blob(db, table, key);
    return err == NJ_OK ? nj_lmdb_del(db, table, key) : err;
}

/* ---- sessions */

static struct nj_record_origin origin_of(const struct nj_store_origin *origin)
{
    return (struct nj_record_origin){.user = origin->user,
                                     .client_id = origin->client_id,
                                     .scope = origin->scope,
                                     .by_certificate = origin->by_certificate};
}

static bool exists(const struct nj_lmdb *db, uint64_t owner)
{
    const struct nj_lmdb_owner *found = nj_lmdb_index_find(&db->index, owner);
    return found && !found->is_ghost;
}

static enum nj_err enter_index(struct nj_lmdb *db, const struct nj_store_session *session)
{
    struct nj_lmdb_batch *batch = &db->batch;
    enum nj_err err = NJ_OK;
    if (!nj_lmdb_index_find(&db->index, session->owner)) {
        err = nj_lmdb_batch_change(batch, NJ_LMDB_SESSION_NEW, session->owner, 0);
        if (err == NJ_OK && !nj_lmdb_index_add(&db->index, session->owner)) {
            batch->change_count--;
            err = NJ_ENOMEM;
        }
    }
    return err == NJ_OK ? nj_lmdb_batch_change(
                              batch, session->away_ms ? NJ_LMDB_SESSION_AWAY : NJ_LMDB_SESSION_HERE,
                              session->owner, 0)
                        : err;
}

static enum nj_err session_save(struct nj_lmdb *db, const struct nj_store_session *session)
{
    if (!session || !session->owner) {
        return NJ_OK;
    }
    const struct nj_lmdb_owner *old = nj_lmdb_index_find(&db->index, session->owner);
    if (old && old->is_ghost) {
        return NJ_OK;
    }
    struct nj_record_key key = nj_record_key_u64(session->owner);
    const struct nj_record_session record = {
        .origin = origin_of(&session->origin),
        .away_ms = session->away_ms,
        .expiry_s = session->expiry_s,
        .version = session->version,
        .has_login = session->has_login,
        .is_ending = session->is_ending,
        .is_bridge = session->is_bridge,
    };
    enum nj_err err = enter_index(db, session);
    if (err == NJ_OK) {
        err = nj_lmdb_limit(db, "next owner", session->owner, &db->batch.owner_limit);
    }
    if (err == NJ_OK) {
        err = nj_record_put_session(&db->batch.scratch, &key, &record);
    }
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_SESSION, &key) : err;
}

/* The record goes now, so that it does not come back after a restart; what hangs on it may be much,
 * and goes bit by bit. */
static enum nj_err session_delete(struct nj_lmdb *db, uint64_t owner)
{
    struct nj_lmdb_owner *found = nj_lmdb_index_find(&db->index, owner);
    if (!found || found->is_ghost) {
        return NJ_OK;
    }
    struct nj_record_key key = nj_record_key_u64(owner);
    enum nj_err err = nj_lmdb_batch_flush(db);
    if (err == NJ_OK) {
        err = nj_lmdb_del(db, NJ_LMDB_SESSION, &key);
    }
    if (err == NJ_OK) {
        err = nj_record_put_number(&db->batch.scratch, NJ_TABLE_GRAVE, &key, 0);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_put(db, NJ_LMDB_GRAVE, &key);
    }
    if (err == NJ_OK) {
        err = nj_lmdb_batch_change(&db->batch, NJ_LMDB_GRAVE_DUG, owner, 0);
    }
    found->is_ghost = err == NJ_OK;
    return err;
}

/* ---- the others */

static enum nj_err subscribe(struct nj_lmdb *db, const struct nj_store_op *op)
{
    struct nj_record_key key = nj_record_key_sub(op->owner, op->bytes);
    const struct nj_record_sub sub = {.filter = op->bytes, .value = op->value, .share = op->share};
    enum nj_err err = nj_record_put_sub(&db->batch.scratch, &key, &sub);
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_SUB, &key) : err;
}

static enum nj_err incoming_put(struct nj_lmdb *db, const struct nj_store_op *op)
{
    struct nj_record_key key = nj_record_key_incoming(op->owner, op->packet_id);
    struct nj_record_message record;
    enum nj_err err = drop_old_blob(db, NJ_LMDB_INCOMING, &key);
    if (err == NJ_OK) {
        err = nj_lmdb_apply_message(db, op->message, false, &record);
    }
    if (err == NJ_OK) {
        err = nj_record_put_message(&db->batch.scratch, NJ_TABLE_INCOMING, &key, &record);
    }
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_INCOMING, &key) : err;
}

static bool has_scope(struct nj_lmdb *db, const struct nj_record_key *key, uint64_t scope)
{
    struct nj_bytes value = nj_bytes(NULL, 0);
    struct nj_record_message message;
    struct nj_record_origin origin;
    bool has_origin = false;
    return nj_lmdb_get(db, NJ_LMDB_RETAINED, key, &value) == NJ_OK &&
           nj_record_get_retained(nj_bytes(key->bytes, key->len), value, &message, &origin,
                                  &has_origin) == NJ_OK &&
           has_origin && origin.scope == scope;
}

static enum nj_err retain_set(struct nj_lmdb *db, const struct nj_store_op *op)
{
    struct nj_record_key key = nj_record_key_topic(nj_message_topic(op->message));
    if (op->value && !has_scope(db, &key, op->value - 1)) {
        return NJ_OK;
    }
    struct nj_record_message record;
    struct nj_record_origin origin;
    enum nj_err err = drop_old_blob(db, NJ_LMDB_RETAINED, &key);
    if (err == NJ_OK) {
        err = nj_lmdb_apply_message(db, op->message, false, &record);
    }
    if (err == NJ_OK) {
        if (op->origin) {
            origin = origin_of(op->origin);
        }
        err =
            nj_record_put_retained(&db->batch.scratch, &key, &record, op->origin ? &origin : NULL);
    }
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_RETAINED, &key) : err;
}

static enum nj_err retain_clear(struct nj_lmdb *db, struct nj_bytes topic)
{
    struct nj_record_key key = nj_record_key_topic(topic);
    return nj_lmdb_apply_drop_message(db, NJ_LMDB_RETAINED, &key);
}

static enum nj_err will_set(struct nj_lmdb *db, const struct nj_store_op *op)
{
    struct nj_record_key key = nj_record_key_u64(op->owner);
    struct nj_record_message record;
    /* MQTT bounds a will's payload below what goes to a file of its own. */
    enum nj_err err = nj_lmdb_apply_message(db, op->message, true, &record);
    if (err == NJ_OK) {
        err = nj_record_put_will(&db->batch.scratch, &key, &record, op->value);
    }
    return err == NJ_OK ? nj_lmdb_put(db, NJ_LMDB_WILL, &key) : err;
}

/* Of a session that exists. */
static enum nj_err apply_owned(struct nj_lmdb *db, const struct nj_store_op *op)
{
    struct nj_record_key key;
    switch (op->kind) {
    case NJ_STORE_SESSION_DELETE:
        return session_delete(db, op->owner);
    case NJ_STORE_SUBSCRIBE:
        return subscribe(db, op);
    case NJ_STORE_UNSUBSCRIBE:
        key = nj_record_key_sub(op->owner, op->bytes);
        return nj_lmdb_del(db, NJ_LMDB_SUB, &key);
    case NJ_STORE_QUEUE_APPEND:
        return nj_lmdb_batch_append(db, op);
    case NJ_STORE_QUEUE_SENT:
        return nj_lmdb_batch_mark(db, op, NJ_STORE_ROW_SENT);
    case NJ_STORE_QUEUE_RELEASED:
        return nj_lmdb_batch_mark(db, op, NJ_STORE_ROW_RELEASED);
    case NJ_STORE_QUEUE_REMOVE:
        return nj_lmdb_batch_remove(db, op->owner, op->seq);
    case NJ_STORE_INCOMING_PUT:
        return op->message ? incoming_put(db, op) : NJ_OK;
    case NJ_STORE_INCOMING_RELEASE:
        key = nj_record_key_incoming(op->owner, op->packet_id);
        return nj_lmdb_apply_drop_message(db, NJ_LMDB_INCOMING, &key);
    case NJ_STORE_WILL_SET:
        return op->message ? will_set(db, op) : NJ_OK;
    case NJ_STORE_WILL_CLEAR:
        key = nj_record_key_u64(op->owner);
        return nj_lmdb_del(db, NJ_LMDB_WILL, &key);
    default:
        return NJ_OK;
    }
}

enum nj_err nj_lmdb_apply(struct nj_lmdb *db, const struct nj_store_op *op)
{
    switch (op->kind) {
    case NJ_STORE_SESSION_SAVE:
        return session_save(db, op->session);
    case NJ_STORE_RETAIN_SET:
        return op->message && !db->options.skips_retained ? retain_set(db, op) : NJ_OK;
    case NJ_STORE_RETAIN_CLEAR:
        return retain_clear(db, op->bytes);
    default:
        return exists(db, op->owner) ? apply_owned(db, op) : NJ_OK;
    }
}
