/* A histogram of microseconds with a relative error below 1 %: 128 linear steps per power of two.
 * Value type without pointers; one per thread, merged at the end. */
#ifndef NJ_APPS_NJ_BENCH_HIST_H
#define NJ_APPS_NJ_BENCH_HIST_H

#include <stdint.h>

#define NJ_BENCH_HIST_STEP_BITS 7
#define NJ_BENCH_HIST_SLOTS     ((33 - NJ_BENCH_HIST_STEP_BITS) << NJ_BENCH_HIST_STEP_BITS)

struct nj_bench_hist {
    uint64_t count;
    uint64_t max_us;
    uint64_t slots[NJ_BENCH_HIST_SLOTS];
};

/* Values above 2^32-1 count as that. */
void nj_bench_hist_add(struct nj_bench_hist *hist, uint64_t us);
void nj_bench_hist_merge(struct nj_bench_hist *into, const struct nj_bench_hist *from);
/* The smallest step that `share` (0…1) of all values do not exceed; 0 when empty. */
double nj_bench_hist_quantile(const struct nj_bench_hist *hist, double share);

#endif
