/* Files and tables of the LMDB store. For src/store alone; lmdb_priv.h is the map. */
#ifndef NJ_STORE_LMDB_ENV_H
#define NJ_STORE_LMDB_ENV_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/record.h"

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
    _Atomic uint64_t map_max; /* the limit; the writer lowers it to what the address space gives */
    uint32_t page_bytes;
    uint64_t set_aside; /* records that a salvage could not take over, and 1 for the file */
    MDB_dbi dbi[NJ_LMDB_TABLE_COUNT];
    pthread_rwlock_t map_lock; /* held for reading while a read transaction is open */
};

/* Makes the directory, locks it, opens or makes the database; a damaged one is set aside and what
 * can be read of it taken over. Logs. */
enum nj_err nj_lmdb_env_open(struct nj_lmdb_env *env, const char *path, uint64_t map_max)
    NJ_NODISCARD;
/* Beside a running broker, or without one; makes and changes nothing. Logs. */
enum nj_err nj_lmdb_env_open_readonly(struct nj_lmdb_env *env, const char *path) NJ_NODISCARD;
void nj_lmdb_env_close(struct nj_lmdb_env *env);
/* Whether a record of the meta table says that a newer program wrote the database. */
bool nj_lmdb_is_newer_format(struct nj_bytes key, struct nj_bytes value, uint64_t *format);
/* Says what can be done about a format that is not the program's. NJ_ENOTSUP. */
enum nj_err nj_lmdb_refuse_format(const struct nj_lmdb_env *env, uint64_t format) NJ_NODISCARD;
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

/* ---- room (lmdb_room.c). All but the first two: the writer, outside transactions. */

/* Bytes of the pages that hold something, in this state. What is free for reuse does not count, nor
 * what is free as soon as a reader lets go of it. */
uint64_t nj_lmdb_env_live(const struct nj_lmdb_env *env, MDB_txn *txn);
/* Above nine tenths of the limit; `was_full`: a little less than that already. */
bool nj_lmdb_env_is_nearly_full(const struct nj_lmdb_env *env, uint64_t live, bool was_full);
/* Room on the disk for `bytes` more and for a reserve besides, with which what shrinks can still be
 * written; room in the file counts, of which `live` is in use. `was_full`: a larger reserve. */
bool nj_lmdb_env_has_disk(const struct nj_lmdb_env *env, uint64_t live, uint64_t bytes,
                          bool was_full);
/* Makes the map larger when it is nearly full (or `is_full`) and below its limit; true when it did.
 */
bool nj_lmdb_env_grow(struct nj_lmdb_env *env, bool is_full);
/* The same beyond the limit, which binds only what makes the database grow: a deletion needs fresh
 * pages, too, and readers may hold all that are free. */
bool nj_lmdb_env_grow_beyond(struct nj_lmdb_env *env);
/* Ends growth beyond the limit, for a transaction that is bound by it. */
void nj_lmdb_env_bind(struct nj_lmdb_env *env);
/* Frees what processes hold that died while they read. */
void nj_lmdb_env_forget_dead(struct nj_lmdb_env *env);
/* Tries whether file system and map take something: a file that is removed again, a transaction
 * that is given up. */
enum nj_err nj_lmdb_env_probe(struct nj_lmdb_env *env) NJ_NODISCARD;

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
/* Whether the newest state names it: false = it was let go of, and its file may be gone. */
bool nj_lmdb_blob_is_named(const struct nj_lmdb_env *env, uint64_t number);
void nj_lmdb_blob_remove(const struct nj_lmdb_env *env, uint64_t number);
/* Removes the files that no record names. At the start. */
enum nj_err nj_lmdb_blob_sweep(struct nj_lmdb_env *env, uint64_t *highest) NJ_NODISCARD;

#endif
