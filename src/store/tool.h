/* What can be done with a store from outside: `nj store`. Everything but nj_store_compact works
 * beside a running broker and changes nothing of its data. All block; errors are logged. */
#ifndef NJ_STORE_TOOL_H
#define NJ_STORE_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "store/record.h"

#define NJ_STORE_TABLES 13

struct nj_store_table_stats {
    const char *name;
    uint64_t records;
    uint64_t pages;
    unsigned depth;
};

struct nj_store_stats {
    struct nj_store_table_stats tables[NJ_STORE_TABLES];
    uint64_t file_bytes;
    uint64_t used_bytes; /* of the file; the rest is free for reuse */
    uint64_t map_bytes;
    uint64_t page_bytes;
    uint64_t transaction;
    uint64_t blobs; /* payloads beside the database */
    uint64_t blob_bytes;
    bool is_running; /* a broker has it open */
};
enum nj_err nj_store_stats_read(const char *path, struct nj_store_stats *stats) NJ_NODISCARD;

/* Every record of one moment, table after table. An error ends it. */
typedef enum nj_err (*nj_store_each_fn)(void *arg, enum nj_record_table table, struct nj_bytes key,
                                        struct nj_bytes value);
enum nj_err nj_store_each(const char *path, nj_store_each_fn each, void *arg) NJ_NODISCARD;

struct nj_store_check {
    uint64_t pages;
    uint64_t damaged_pages;
    uint64_t records;
    uint64_t damaged_records; /* no checksum, or no form */
    uint64_t rows;
    uint64_t rows_without_message;
    uint64_t messages_without_row;
    uint64_t wrong_counts;    /* messages whose number of users is not right */
    uint64_t without_session; /* rows, subscriptions, wills, incoming messages */
    uint64_t damaged_blobs;
    char text[160]; /* the first damage of a page; empty = none */
};
/* NJ_OK when it is sound, NJ_EMALFORMED when not: the result tells. */
enum nj_err nj_store_check(const char *path, struct nj_store_check *result) NJ_NODISCARD;

/* A copy of one moment, compacted, into a new directory that a broker can use. */
enum nj_err nj_store_backup(const char *path, const char *to) NJ_NODISCARD;
/* Rewrites the database without what is free. No broker may have it open (NJ_EBUSY). */
enum nj_err nj_store_compact(const char *path, uint64_t *before, uint64_t *after) NJ_NODISCARD;

#endif
