/* Looking at a database file before LMDB is let near it: LMDB trusts what it finds in its pages,
 * and a flipped bit there would end the broker. For the store's own files and `nj store`. */
#ifndef NJ_STORE_LMDB_CHECK_H
#define NJ_STORE_LMDB_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_lmdb_env;

struct nj_lmdb_check {
    uint64_t pages;   /* of the newest state: reached from its roots */
    uint64_t free;    /* pages for reuse */
    uint64_t lost;    /* neither reached nor free: below a damaged page */
    uint64_t damaged; /* pages that are not what they should be */
    char text[160];   /* the first damage, in words; empty = none */
};

/* One record: the name of its table (empty: found on a lost page, the table is not known). */
typedef void (*nj_lmdb_record_fn)(void *arg, struct nj_bytes table, struct nj_bytes key,
                                  struct nj_bytes value);

/* Walks every page of the newest state. NJ_OK also for a file that is not there or empty,
 * NJ_EMALFORMED when something is wrong, NJ_ESYS, NJ_EIO. `result` and `each` may be NULL; `each`
 * gets the records of all pages that are as they should be. */
enum nj_err nj_lmdb_check_file(int dir_fd, const char *name, struct nj_lmdb_check *result,
                               nj_lmdb_record_fn each, void *arg) NJ_NODISCARD;

/* Sets a damaged database aside and makes a new one (by `open`) with every record in it that can
 * still be read and has its checksum. Logs what was done. */
enum nj_err nj_lmdb_salvage(struct nj_lmdb_env *env, enum nj_err (*open)(struct nj_lmdb_env *env))
    NJ_NODISCARD;

#endif
