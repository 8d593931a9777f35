/* The command line: defaults of a scenario, what is refused. */
#include <stdlib.h>
#include <unistd.h>

#include "bench_opts.h"
#include "support/test.h"

#define ARGS_MAX 8

static enum nj_err parse(struct nj_bench_options *options, const char *const args[ARGS_MAX])
{
    char *argv[ARGS_MAX + 2] = {(char *)"bench"};
    int argc = 1;
    for (size_t i = 0; i < ARGS_MAX && args[i]; i++) {
        argv[argc++] = (char *)args[i];
    }
    return nj_bench_options_parse(options, argc, argv);
}

static void fills_in_what_a_scenario_usually_has(void **state)
{
    (void)state;
    struct nj_bench_options options;
    static const char *const PAIRS[ARGS_MAX] = {"pairs", "--publishers", "7", "-V", "5"};
    assert_int_equal(parse(&options, PAIRS), NJ_OK);
    assert_int_equal(options.publishers, 7);
    assert_int_equal(options.subscribers, 7);
    assert_int_equal(options.version, 5);
    assert_int_equal(options.port, 1883);
    static const char *const FANIN[ARGS_MAX] = {"fanin", "--cafile", "ca.pem"};
    assert_int_equal(parse(&options, FANIN), NJ_OK);
    assert_int_equal(options.publishers, 100);
    assert_int_equal(options.subscribers, 1);
    assert_true(options.is_tls);
    assert_int_equal(options.port, 8883);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const char *const CASES[][ARGS_MAX] = {
        {NULL},
        {"circles"},
        {"pairs", "--nonsense"},
        {"pairs", "--qos"},
        {"pairs", "--qos", "3"},
        {"pairs", "--size", "15"},
        {"pairs", "--publishers", "0"},
        {"pairs", "--publishers", "-1"},
        {"pairs", "--publishers", "7x"},
        {"pairs", "--port", "65536"},
        {"pairs", "--rate", "nan"},
        {"pairs", "--rate", "-5"},
        {"pairs", "--time", "0"},
        {"pairs", "-V", "4.2"},
        {"storm"},
        {"storm", "--login-file", "x", "--rate", "0"},
    };
    /* The refusals themselves are not wanted in the test's output. */
    assert_non_null(freopen("/dev/null", "w", stderr));
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct nj_bench_options options;
        assert_int_equal(parse(&options, CASES[i]), NJ_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_what_a_scenario_usually_has),
        cmocka_unit_test(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
