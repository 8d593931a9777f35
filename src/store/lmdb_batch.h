/* One transaction of the LMDB store. For src/store alone; lmdb_priv.h is the map. */
#ifndef NJ_STORE_LMDB_BATCH_H
#define NJ_STORE_LMDB_BATCH_H

#include "base/buf.h"
#include "store/lmdb_env.h"
#include "store/store.h"

struct nj_lmdb;

/* ---- one transaction (lmdb_batch.c) */

/* A row that was appended in this transaction and is not written yet. */
struct nj_lmdb_fresh_row {
    struct nj_record_row row;
    uint32_t body; /* index of a fresh body */
    bool is_dead;
};

struct nj_lmdb_fresh_body {
    struct nj_message *message; /* its group holds it */
    uint64_t number;
    uint32_t live;
};

struct nj_lmdb_page {
    struct nj_lmdb_page *next; /* same bucket */
    uint64_t owner;
    uint64_t first; /* its key */
    uint64_t last;  /* of its rows when it was read */
    uint32_t count;
    bool is_dirty;
    struct nj_record_row rows[NJ_RECORD_PAGE_ROWS];
};

/* What the index learns when the transaction is committed. */
struct nj_lmdb_change {
    enum nj_lmdb_change_kind {
        NJ_LMDB_TAIL_PUSH,
        NJ_LMDB_TAIL_DROP,
        NJ_LMDB_SESSION_NEW, /* in the index already; out again when given up */
        NJ_LMDB_SESSION_HERE,
        NJ_LMDB_SESSION_AWAY,
        NJ_LMDB_GRAVE_DUG, /* a ghost in the index already */
        NJ_LMDB_GRAVE_GONE,
        NJ_LMDB_BLOB_MADE, /* owner = its number; removed when given up */
        NJ_LMDB_BLOB_GONE, /* owner = its number; removed when committed */
    } kind;
    uint64_t owner;
    uint64_t seq;
};

#define NJ_LMDB_PAGE_BUCKETS 256

struct nj_lmdb_batch {
    MDB_txn *txn;
    int64_t wall_offset_ms; /* monotonic + this = wall clock */
    struct nj_buf scratch;
    struct nj_lmdb_fresh_row *rows;
    uint32_t row_count;
    uint32_t row_cap;
    uint32_t *row_table; /* by seq: index + 1 */
    uint32_t row_mask;
    struct nj_lmdb_fresh_body *bodies;
    uint32_t body_count;
    uint32_t body_cap;
    uint32_t *body_table; /* by message */
    uint32_t body_mask;
    struct nj_lmdb_page *page_table[NJ_LMDB_PAGE_BUCKETS];
    struct nj_lmdb_page *spare_pages;
    uint32_t page_count; /* in the table */
    MDB_cursor *page_cursor;
    struct nj_lmdb_change *changes;
    uint32_t change_count;
    uint32_t change_cap;
    struct nj_store_expired *expired;
    uint32_t expired_count;
    uint32_t expired_cap;
    uint64_t owner_limit; /* of what the meta table says now */
    uint64_t seq_limit;
    uint64_t next_deadline_ms;
    int64_t row_delta;
    uint64_t live_bytes;
    bool has_new_blob;
};

/* What is on its way to being committed (lmdb_batch.c). All return NJ_OK or the reason to give the
 * transaction up. */
enum nj_err nj_lmdb_batch_append(struct nj_lmdb *db, const struct nj_store_op *op) NJ_NODISCARD;
enum nj_err nj_lmdb_batch_remove(struct nj_lmdb *db, uint64_t owner, uint64_t seq) NJ_NODISCARD;
enum nj_err nj_lmdb_batch_mark(struct nj_lmdb *db, const struct nj_store_op *op,
                               enum nj_store_row_state state) NJ_NODISCARD;
/* NJ_ENOENT when there is none. `find_row` looks at rows of their own only, not into pages. */
enum nj_err nj_lmdb_batch_find(struct nj_lmdb *db, uint64_t owner, uint64_t seq,
                               struct nj_record_row *row) NJ_NODISCARD;
enum nj_err nj_lmdb_batch_find_row(struct nj_lmdb *db, uint64_t owner, uint64_t seq,
                                   struct nj_record_row *row) NJ_NODISCARD;
/* Writes the fresh rows and the changed pages into the transaction. */
enum nj_err nj_lmdb_batch_flush(struct nj_lmdb *db) NJ_NODISCARD;
/* Removes what hangs on a row that is known in full: body, expiry entry. Not the row itself. */
enum nj_err nj_lmdb_batch_release(struct nj_lmdb *db, const struct nj_record_row *row) NJ_NODISCARD;
/* The row of its own, not what hangs on it. */
enum nj_err nj_lmdb_batch_take_row(struct nj_lmdb *db, uint64_t owner, uint64_t seq) NJ_NODISCARD;
/* Notes in the meta table that `number` was given out; *limit is what it says now. */
enum nj_err nj_lmdb_limit(struct nj_lmdb *db, const char *name, uint64_t number, uint64_t *limit)
    NJ_NODISCARD;
/* Puts the cursor on the last page of an owner that begins at or before `want` (owner, seq). */
int nj_lmdb_page_seek(MDB_cursor *cursor, const struct nj_record_key *want, MDB_val *key,
                      MDB_val *value);
enum nj_err nj_lmdb_batch_change(struct nj_lmdb_batch *batch, enum nj_lmdb_change_kind kind,
                                 uint64_t owner, uint64_t seq) NJ_NODISCARD;
/* What is in memory of pages; they are flushed. */
void nj_lmdb_batch_forget_pages(struct nj_lmdb_batch *batch);
/* Forgets everything, for the next transaction. */
void nj_lmdb_batch_reset(struct nj_lmdb_batch *batch);
void nj_lmdb_batch_fini(struct nj_lmdb_batch *batch);

/* Everything but rows (lmdb_apply.c). */
enum nj_err nj_lmdb_apply(struct nj_lmdb *db, const struct nj_store_op *op) NJ_NODISCARD;
/* The message as it is written; a long payload goes to a file of its own. */
enum nj_err nj_lmdb_apply_message(struct nj_lmdb *db, const struct nj_message *message,
                                  bool is_interval, struct nj_record_message *record) NJ_NODISCARD;
/* The payload beside the map is not needed any more. */
enum nj_err nj_lmdb_apply_drop_blob(struct nj_lmdb *db, uint64_t number) NJ_NODISCARD;
/* Incoming or retained, with its payload beside the map. */
enum nj_err nj_lmdb_apply_drop_message(struct nj_lmdb *db, enum nj_lmdb_table table,
                                       const struct nj_record_key *key) NJ_NODISCARD;
enum nj_err nj_lmdb_put(struct nj_lmdb *db, enum nj_lmdb_table table,
                        const struct nj_record_key *key) NJ_NODISCARD; /* the scratch buffer */
/* No error when it is not there. */
enum nj_err nj_lmdb_del(struct nj_lmdb *db, enum nj_lmdb_table table,
                        const struct nj_record_key *key) NJ_NODISCARD;
/* NJ_ENOENT when it is not there. */
enum nj_err nj_lmdb_get(struct nj_lmdb *db, enum nj_lmdb_table table,
                        const struct nj_record_key *key, struct nj_bytes *value) NJ_NODISCARD;
/* A value that cannot be decoded is removed and counted: it must not stop the rest. */
enum nj_err nj_lmdb_set_aside(struct nj_lmdb *db, enum nj_lmdb_table table,
                              const struct nj_record_key *key) NJ_NODISCARD;

#endif
