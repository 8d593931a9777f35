/* The rows and incoming messages that store_ram holds, by session. Not thread safe. */
#ifndef NJ_STORE_RAM_ROWS_H
#define NJ_STORE_RAM_ROWS_H

#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

struct nj_ram_session;

struct nj_ram_rows {
    struct nj_ram_session **table; /* chained by owner */
    uint64_t mask;
    uint64_t sessions;
    uint64_t rows;
};

void nj_ram_rows_fini(struct nj_ram_rows *rows);
/* All of the group or, with NJ_ENOMEM, nothing. */
enum nj_err nj_ram_rows_apply(struct nj_ram_rows *rows, const struct nj_store_op *ops,
                              unsigned count) NJ_NODISCARD;
/* NULL when memory is short. */
struct nj_store_rows *nj_ram_rows_read(const struct nj_ram_rows *rows,
                                       const struct nj_store_read *read) NJ_NODISCARD;

#endif
