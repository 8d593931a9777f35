/* The histogram against sorted values. */
#include <stdlib.h>

#include "bench_hist.h"
#include "support/test.h"

#define COUNT 20000

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void quantiles_are_within_one_percent(void **state)
{
    (void)state;
    struct nj_bench_hist *hist = calloc(1, sizeof(*hist));
    uint32_t *values = calloc(COUNT, sizeof(*values));
    uint64_t seed = 1;
    for (size_t i = 0; i < COUNT; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        values[i] = (uint32_t)(seed >> 32) >> (seed >> 27 & 31); /* all magnitudes */
        nj_bench_hist_add(hist, values[i]);
    }
    qsort(values, COUNT, sizeof(*values), compare);
    static const double SHARES[] = {0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof(SHARES) / sizeof(SHARES[0]); i++) {
        size_t rank = (size_t)(SHARES[i] * COUNT);
        double exact = values[rank ? rank - 1 : 0];
        double got = nj_bench_hist_quantile(hist, SHARES[i]);
        assert_true(got >= exact * 0.99 - 1 && got <= exact * 1.01 + 1);
    }
    assert_int_equal(hist->max_us, values[COUNT - 1]);
    free(values);
    free(hist);
}

static void takes_the_ends_of_its_range_and_beyond(void **state)
{
    (void)state;
    struct nj_bench_hist *hist = calloc(2, sizeof(*hist));
    assert_true(nj_bench_hist_quantile(&hist[0], 0.5) == 0);
    nj_bench_hist_add(&hist[0], 0);
    assert_true(nj_bench_hist_quantile(&hist[0], 1) == 0);
    nj_bench_hist_add(&hist[1], UINT32_MAX);
    nj_bench_hist_add(&hist[1], 1ull << 40);
    nj_bench_hist_merge(&hist[0], &hist[1]);
    assert_int_equal(hist[0].count, 3);
    assert_int_equal(hist[0].max_us, 1ull << 40);
    assert_true(nj_bench_hist_quantile(&hist[0], 1) > 0.99 * UINT32_MAX);
    free(hist);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantiles_are_within_one_percent),
        cmocka_unit_test(takes_the_ends_of_its_range_and_beyond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
