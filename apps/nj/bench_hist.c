/* See bench_hist.h. Slot numbers: values below 128 stand for themselves; above, the power of two
 * picks a row and the seven bits behind the leading one the step in it. */
#include "bench_hist.h"

#define STEPS (1u << NJ_BENCH_HIST_STEP_BITS)

static uint32_t slot_of(uint32_t us)
{
    if (us < STEPS) {
        return us;
    }
    uint32_t top = 31 - (uint32_t)__builtin_clz(us);
    uint32_t shift = top - NJ_BENCH_HIST_STEP_BITS;
    return ((shift + 1) << NJ_BENCH_HIST_STEP_BITS) + ((us >> shift) & (STEPS - 1));
}

/* The middle of a slot. */
static double value_of(uint32_t slot)
{
    if (slot < STEPS) {
        return slot;
    }
    uint32_t shift = (slot >> NJ_BENCH_HIST_STEP_BITS) - 1;
    uint64_t low = (uint64_t)(STEPS + (slot & (STEPS - 1))) << shift;
    return (double)low + (double)((1ull << shift) - 1) / 2;
}

void nj_bench_hist_add(struct nj_bench_hist *hist, uint64_t us)
{
    uint32_t capped = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    hist->slots[slot_of(capped)]++;
    hist->count++;
    if (us > hist->max_us) {
        hist->max_us = us;
    }
}

void nj_bench_hist_merge(struct nj_bench_hist *into, const struct nj_bench_hist *from)
{
    for (uint32_t i = 0; i < NJ_BENCH_HIST_SLOTS; i++) {
        into->slots[i] += from->slots[i];
    }
    into->count += from->count;
    if (from->max_us > into->max_us) {
        into->max_us = from->max_us;
    }
}

double nj_bench_hist_quantile(const struct nj_bench_hist *hist, double share)
{
    if (hist->count == 0) {
        return 0;
    }
    double wanted = share * (double)hist->count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < NJ_BENCH_HIST_SLOTS; i++) {
        seen += hist->slots[i];
        if ((double)seen >= wanted && seen > 0) {
            return value_of(i);
        }
    }
    return (double)hist->max_us;
}
