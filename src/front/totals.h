/* The counters of all workers, added up: for $SYS and the HTTP API. */
#ifndef NJ_FRONT_TOTALS_H
#define NJ_FRONT_TOTALS_H

#include <stdint.h>

#include "broker/stats.h"

struct nj_front;

struct nj_totals {
#define NJ_TOTALS_FIELD(name) uint64_t name;
    NJ_STATS_LIST(NJ_TOTALS_FIELD)
#undef NJ_TOTALS_FIELD
};

/* Any thread. The workers go on counting, so two values may be of two moments. */
void nj_front_add_up(const struct nj_front *front, struct nj_totals *totals);

#endif
