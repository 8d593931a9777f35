/* Two brokers under the same load, in rounds that alternate which one goes first, so that what
 * the machine does meanwhile hits both. */
#ifndef NJ_APPS_NJ_BENCH_COMPARE_H
#define NJ_APPS_NJ_BENCH_COMPARE_H

#include "bench_run.h"

/* Prints the comparison to stdout; returns the exit status. */
int nj_bench_compare(const struct nj_bench_options *options, nj_bench_progress_fn progress,
                     void *arg);

#endif
