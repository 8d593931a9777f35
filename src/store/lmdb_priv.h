/* What the files of the LMDB store share. Nobody else includes this.
 *
 *   worker ──submit──► lane (its own list) ──flush──► handed (locked) ──► writer thread
 *                                                                          │ one transaction for
 *   worker's inbox ◄──done, expired── writer ◄── commit ◄── batch ◄────────┘ many groups
 *                  ◄──rows── reader thread ◄── jobs, after the commit they have to see
 *
 * store_lmdb.c   the contract's functions, lanes          lmdb_env.c    files, tables, size
 * lmdb_writer.c  the writer thread, joint groups          lmdb_batch.c  rows of one transaction
 * lmdb_apply.c   everything but rows                      lmdb_index.c  owners and their tails
 * lmdb_keep.c    pages, expiry, graves                    lmdb_read.c   reader thread
 * lmdb_load.c    the start                                lmdb_blob.c   payloads beside the map
 * lmdb_sync.c    how a failed fdatasync is found out      record.h      what is on the disk
 */
#ifndef NJ_STORE_LMDB_PRIV_H
#define NJ_STORE_LMDB_PRIV_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/thread.h"
#include "store/group.h"
#include "store/lmdb_joint.h"
#include "store/record.h"
#include "store/store.h"

enum nj_lmdb_table {
    NJ_LMDB_META,
    NJ_LMDB_SESSION,
    NJ_LMDB_SUB,
    NJ_LMDB_WILL,
    NJ_LMDB_INCOMING,
    NJ_LMDB_BODY,
    NJ_LMDB_REFS,
    NJ_LMDB_ROW,
    NJ_LMDB_PAGE,
    NJ_LMDB_EXPIRY,
    NJ_LMDB_RETAINED,
    NJ_LMDB_BLOB,
    NJ_LMDB_GRAVE,
    NJ_LMDB_TABLE_COUNT
};

/* Names and letters of the tables (lmdb_env.c). */
struct nj_lmdb_table_info {
    const char *name;
    enum nj_record_table letter;
};
extern const struct nj_lmdb_table_info nj_lmdb_tables[NJ_LMDB_TABLE_COUNT];

/* ---- files (lmdb_env.c) */

struct nj_lmdb_env {
    MDB_env *env;
    char *path;
    int lock_fd; /* held while open; -1 = read only, beside a broker */
    int dir_fd;
    uint64_t map_bytes;
    uint64_t map_max;
    uint32_t page_bytes;
    MDB_dbi dbi[NJ_LMDB_TABLE_COUNT];
    pthread_rwlock_t map_lock; /* held for reading while a read transaction is open */
};

/* Makes the directory, locks it, opens or makes the database; a damaged one is set aside and what
 * can be read of it taken over. Logs. */
enum nj_err nj_lmdb_env_open(struct nj_lmdb_env *env, const char *path, uint64_t map_max)
    NJ_NODISCARD;
/* Beside a running broker, or without one; changes nothing. */
enum nj_err nj_lmdb_env_open_readonly(struct nj_lmdb_env *env, const char *path) NJ_NODISCARD;
void nj_lmdb_env_close(struct nj_lmdb_env *env);
/* Makes the map larger when it is nearly full (or `is_full`) and may grow; true when it did.
 * Writer, outside transactions. */
bool nj_lmdb_env_grow(struct nj_lmdb_env *env, bool is_full);
/* Bytes of pages in use; `with_free` also asks how many of them are free for reuse. */
uint64_t nj_lmdb_env_used(struct nj_lmdb_env *env, bool with_free);
/* False above nine tenths of the map, or when the disk has hardly any room left: then nothing that
 * grows is taken, so that what shrinks still can be written. `was_full`: a little more is wanted.
 */
bool nj_lmdb_env_has_room(struct nj_lmdb_env *env, bool was_full);
/* What an LMDB return code means to the broker. */
enum nj_err nj_lmdb_error(int code);

static inline MDB_val nj_lmdb_val(struct nj_bytes bytes)
{
    return (MDB_val){bytes.len, (void *)bytes.ptr};
}

static inline MDB_val nj_lmdb_key(const struct nj_record_key *key)
{
    return (MDB_val){key->len, (void *)key->bytes};
}

static inline struct nj_bytes nj_lmdb_bytes(MDB_val val)
{
    return nj_bytes(val.mv_data, val.mv_size);
}

/* ---- syncing (lmdb_sync.c) */

/* Calls of fdatasync that failed, and all of them, in this process. */
uint64_t nj_lmdb_sync_failures(void);
uint64_t nj_lmdb_sync_count(void);
/* Nanoseconds they took, in sum. */
uint64_t nj_lmdb_sync_ns(void);

/* ---- payloads beside the map (lmdb_blob.c) */

#define NJ_LMDB_BLOB_MIN 65536u /* payloads longer than this */

/* Writes and syncs the file; its name is durable after nj_lmdb_blob_sync. */
enum nj_err nj_lmdb_blob_write(struct nj_lmdb_env *env, uint64_t number, struct nj_bytes payload)
    NJ_NODISCARD;
enum nj_err nj_lmdb_blob_sync(struct nj_lmdb_env *env) NJ_NODISCARD;
/* Into `into`, which has room for `blob->bytes`; NJ_EMALFORMED when it is not what was written. */
enum nj_err nj_lmdb_blob_read(const struct nj_lmdb_env *env, uint64_t number,
                              const struct nj_record_blob *blob, uint8_t *into) NJ_NODISCARD;
void nj_lmdb_blob_remove(const struct nj_lmdb_env *env, uint64_t number);
/* Removes the files that no record names. At the start. */
enum nj_err nj_lmdb_blob_sweep(struct nj_lmdb_env *env, uint64_t *highest) NJ_NODISCARD;

/* ---- what waits for the writer */

/* Roughly what it holds in memory. */
uint64_t nj_lmdb_group_weight(const struct nj_store_group *group);

struct nj_lmdb_list {
    struct nj_store_group *head;
    struct nj_store_group **tail;
    uint32_t count;
};

static inline void nj_lmdb_list_init(struct nj_lmdb_list *list)
{
    *list = (struct nj_lmdb_list){.tail = &list->head};
}

static inline void nj_lmdb_list_push(struct nj_lmdb_list *list, struct nj_store_group *group)
{
    group->next = NULL;
    *list->tail = group;
    list->tail = &group->next;
    list->count++;
}

static inline struct nj_store_group *nj_lmdb_list_take(struct nj_lmdb_list *list)
{
    struct nj_store_group *group = list->head;
    if (group) {
        list->head = group->next;
        list->count--;
        if (!list->head) {
            list->tail = &list->head;
        }
    }
    return group;
}

/* Appends all of `from`, which is empty then. */
static inline void nj_lmdb_list_splice(struct nj_lmdb_list *list, struct nj_lmdb_list *from)
{
    if (from->head) {
        *list->tail = from->head;
        list->tail = from->tail;
        list->count += from->count;
        nj_lmdb_list_init(from);
    }
}

void nj_lmdb_group_free(struct nj_store_group *group);

/* ---- owners and tails (lmdb_index.c). The writer's; it shows what is committed. */

/* Rows of an owner that are in no page yet, rising. */
struct nj_lmdb_tail {
    uint64_t *seqs;
    uint32_t head;
    uint32_t count;
    uint32_t cap;
};

struct nj_lmdb_owner {
    uint64_t owner; /* 0 = free place */
    uint32_t tail;  /* 0 = none, else index + 1 */
    bool is_away;
    bool is_ghost; /* no session: a grave is to be emptied */
};

struct nj_lmdb_index {
    struct nj_lmdb_owner *slots;
    uint64_t mask;
    uint64_t used; /* places that are not free */
    struct nj_lmdb_tail *tails;
    uint32_t tail_count;
    uint32_t tail_cap;
    uint32_t free_tail; /* chained through .cap; 0 = none */
};

enum nj_err nj_lmdb_index_init(struct nj_lmdb_index *index) NJ_NODISCARD;
void nj_lmdb_index_fini(struct nj_lmdb_index *index);
struct nj_lmdb_owner *nj_lmdb_index_find(const struct nj_lmdb_index *index, uint64_t owner);
/* Finds or makes it; NULL when memory is short. Pointers to owners are good until the next add. */
struct nj_lmdb_owner *nj_lmdb_index_add(struct nj_lmdb_index *index, uint64_t owner);
void nj_lmdb_index_remove(struct nj_lmdb_index *index, uint64_t owner);
/* NULL when it has none. */
struct nj_lmdb_tail *nj_lmdb_index_tail(const struct nj_lmdb_index *index,
                                        const struct nj_lmdb_owner *owner);
void nj_lmdb_tail_push(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner, uint64_t seq);
void nj_lmdb_tail_drop(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner, uint64_t seq);

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
    bool has_new_blob;
};

/* ---- the store */

struct nj_lmdb_lane {
    struct nj_lmdb_list fresh; /* submitted, not handed over: the lane's owner */
    uint64_t fresh_ops;
    _Alignas(64) struct nj_lmdb_list handed; /* under the lock */
    struct nj_lmdb_list queue;               /* the writer's */
    uint64_t done_cookie;                    /* the writer's: good, not reported yet; 0 = none */
};

struct nj_lmdb_stats {
    _Atomic uint64_t commits;
    _Atomic uint64_t groups;
    _Atomic uint64_t ops;
    _Atomic uint64_t waiting; /* bytes submitted, not completed */
    _Atomic int64_t rows;
    _Atomic uint64_t quarantined;
};

/* A read that may start: what it has to see is committed. */
struct nj_lmdb_job {
    struct nj_lmdb_job *next;
    unsigned lane;
    struct nj_store_read read;
    uint32_t tail_count;
    uint64_t tail[]; /* rows of the owner in no page, from from_seq on */
};

struct nj_lmdb_backlogs;

struct nj_lmdb {
    struct nj_store base;
    struct nj_store_events events;
    struct nj_store_lmdb_options options;
    struct nj_lmdb_env env;
    struct nj_lmdb_stats stats;
    unsigned lane_count;
    struct nj_lmdb_lane *lanes;
    _Atomic int state; /* enum nj_store_state */
    struct nj_thread writer;
    struct nj_thread reader;

    pthread_mutex_t lock; /* guards what is handed over, and the next four */
    pthread_cond_t wake;
    uint64_t handed_ops;
    bool is_idle; /* the writer waits on `wake` and has nothing to do */
    bool is_closing;
    char text[160]; /* what is wrong */

    pthread_mutex_t job_lock; /* guards the next four */
    pthread_cond_t job_wake;
    struct nj_lmdb_job *jobs;
    struct nj_lmdb_job **job_tail;
    bool jobs_end;

    /* The writer's own. */
    struct nj_lmdb_index index;
    struct nj_lmdb_batch batch;
    struct nj_lmdb_backlogs *backlogs; /* between opening and loading */
    struct nj_joints joints;
    struct nj_store_group **heads; /* of the lanes' queues, for choosing */
    uint32_t *take;
    struct nj_lmdb_list *chosen; /* of each lane: what is in the transaction */
    uint64_t *graves;            /* owners whose rows are to be removed */
    uint32_t grave_count;
    uint32_t grave_cap;
    uint64_t *to_page; /* owners whose tails may be long enough */
    uint32_t to_page_count;
    uint32_t to_page_cap;
    uint64_t next_blob;
    uint64_t owner_limit; /* in the meta table: what was given out lies below */
    uint64_t seq_limit;
    uint64_t next_deadline_ms; /* wall clock; the first of the expiry table; UINT64_MAX = none */
    uint64_t full_until_ms;    /* monotonic: do not try again before */
    uint64_t room_checked_ms;
    uint64_t last_commit_ns; /* when the last one began */
    uint64_t queued_ops;     /* in the lanes' queues */
    uint64_t queued_since_ms;
    bool has_room;
    bool has_read; /* a read waits in a queue */
    bool is_stuck; /* all that is queued waits for parts that have not arrived */
    bool keep_more;
    bool may_keep; /* under the lock: loaded, or in use without */
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

/* Housekeeping inside a transaction, a bounded amount of it (lmdb_keep.c). *more: call again soon.
 */
enum nj_err nj_lmdb_keep(struct nj_lmdb *db, bool *more) NJ_NODISCARD;
/* After the commit: brings the index up to date, removes files. */
void nj_lmdb_keep_committed(struct nj_lmdb *db);
/* After giving the transaction up: takes back what was changed ahead of it. */
void nj_lmdb_keep_given_up(struct nj_lmdb *db);
/* At the start: a grave that is still to be emptied, a tail that may be long. */
void nj_lmdb_keep_grave(struct nj_lmdb *db, uint64_t owner);
void nj_lmdb_keep_long(struct nj_lmdb *db, const struct nj_lmdb_owner *owner);

void *nj_lmdb_writer_main(void *arg);
void *nj_lmdb_reader_main(void *arg);
/* Hands a read to the reader thread; answers at once when that fails. Writer. */
void nj_lmdb_read_start(struct nj_lmdb *db, const struct nj_store_group *group);
/* A message out of its record; NULL when memory is short or its payload is damaged (*err). */
struct nj_message *nj_lmdb_message_load(struct nj_lmdb *db, MDB_txn *txn,
                                        const struct nj_record_message *record, bool is_interval,
                                        enum nj_err *err);
/* Owners, tails and limits, before the threads start. */
enum nj_err nj_lmdb_load_index(struct nj_lmdb *db) NJ_NODISCARD;
void nj_lmdb_backlogs_free(struct nj_lmdb_backlogs *backlogs);
enum nj_err nj_lmdb_load(struct nj_store *store, const struct nj_store_loader *loader,
                         struct nj_store_highest *highest);

#endif
