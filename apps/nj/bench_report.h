/* Results as text and as JSON. */
#ifndef NJ_APPS_NJ_BENCH_REPORT_H
#define NJ_APPS_NJ_BENCH_REPORT_H

#include <stdio.h>

#include "bench_opts.h"
#include "bench_run.h"

/* A paragraph for people. `name` is the broker. */
void nj_bench_report_text(FILE *out, const char *name, const struct nj_bench_options *options,
                          const struct nj_bench_result *result);
/* One object, without a newline behind. */
void nj_bench_report_json(FILE *out, const char *name, const struct nj_bench_options *options,
                          const struct nj_bench_result *result);
/* What the broker did wrong, in a line; nothing when it did not. */
void nj_bench_report_wrongs(FILE *out, const struct nj_bench_result *result);

#endif
