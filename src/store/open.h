/* The implementations of store.h. For whoever puts the program together, and for tests. */
#ifndef NJ_STORE_OPEN_H
#define NJ_STORE_OPEN_H

#include "store/store.h"

struct nj_store *nj_store_ram_open(unsigned lanes, const struct nj_store_events *events);

struct nj_store_chaos_plan {
    uint64_t seed;
    unsigned delay_max_ms;   /* every completion waits up to this long */
    unsigned fail_per_mille; /* so many of 1,000 groups fail with NJ_ENOSPC */
};
/* Over `inner`, which it takes over and which must complete in its flush, as store_ram does. A
 * group reaches it when it is due: what was not completed was not kept. Same events as `inner`. */
struct nj_store *nj_store_chaos_open(const struct nj_store_chaos_plan *plan, struct nj_store *inner,
                                     const struct nj_store_events *events);

enum nj_store_durability {
    NJ_STORE_FSYNC,    /* complete when it is on stable storage */
    NJ_STORE_INTERVAL, /* complete at submit, committed every interval_ms */
    NJ_STORE_MEMORY,   /* complete at submit, committed every few seconds */
};

struct nj_store_lmdb_options {
    const char *path; /* directory; made when missing, locked while open */
    enum nj_store_durability durability;
    uint32_t interval_ms;
    uint64_t size_max; /* of the map; 0 = default */
    bool skips_retained;
};
/* Logs what is wrong and what to do about it. */
enum nj_err nj_store_lmdb_open(unsigned lanes, const struct nj_store_lmdb_options *options,
                               const struct nj_store_events *events, struct nj_store **out)
    NJ_NODISCARD;

#endif
