/* A whole run against a broker that lies once: each lie must be noticed, and for what it is; an
 * honest broker must pass. */
#include <string.h>

#include "bench_opts.h"
#include "bench_run.h"
#include "fake_broker.h"
#include "support/test.h"

/* A fixed rate for a moment: some 60 messages however slow the machine is. */
static struct nj_bench_result run_with(enum fake_lie lie, enum nj_bench_scenario scenario,
                                       uint32_t qos)
{
    struct fake_broker *fake = fake_broker_start(lie);
    struct nj_bench_options options = {
        .scenario = scenario,
        .host = "127.0.0.1",
        .port = fake_broker_port(fake),
        .version = 4,
        .qos = qos,
        .publishers = scenario == NJ_BENCH_FANIN ? 3 : 2,
        .subscribers = scenario == NJ_BENCH_FANIN ? 1 : 2,
        .size = 40,
        .window = 8,
        .rate = 300,
        .warmup_s = 0.05,
        .time_s = 0.15,
        .threads = 1,
        .subscriptions = 20,
    };
    struct nj_bench_result result;
    nj_bench_run(&options, NULL, NULL, &result);
    fake_broker_stop(fake);
    return result;
}

static void passes_an_honest_broker(void **state)
{
    (void)state;
    static const enum nj_bench_scenario SCENARIOS[] = {NJ_BENCH_PAIRS, NJ_BENCH_FANOUT,
                                                       NJ_BENCH_FANIN, NJ_BENCH_SUBS};
    for (uint32_t i = 0; i < 4; i++) {
        struct nj_bench_result result = run_with(FAKE_HONEST, SCENARIOS[i], i % 2);
        assert_string_equal(result.problem, "");
        assert_true(nj_bench_result_is_good(&result));
        assert_true(result.sent > 0);
        assert_int_equal(result.tally.received, result.expected);
    }
}

static void passes_an_honest_broker_when_saturated_by_two_threads(void **state)
{
    (void)state;
    struct fake_broker *fake = fake_broker_start(FAKE_HONEST);
    struct nj_bench_options options = {.scenario = NJ_BENCH_PAIRS,
                                       .host = "127.0.0.1",
                                       .port = fake_broker_port(fake),
                                       .version = 4,
                                       .qos = 1,
                                       .publishers = 5,
                                       .subscribers = 5,
                                       .size = 16,
                                       .window = 4,
                                       .warmup_s = 0.05,
                                       .time_s = 0.15,
                                       .threads = 2};
    struct nj_bench_result result;
    nj_bench_run(&options, NULL, NULL, &result);
    fake_broker_stop(fake);
    assert_true(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.received, result.sent);
}

static void notices_a_lost_message(void **state)
{
    (void)state;
    struct nj_bench_result result = run_with(FAKE_LOSE, NJ_BENCH_PAIRS, 1);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.lost, 1);
    assert_int_equal(result.tally.duplicates, 0);
}

static void notices_a_message_that_comes_twice(void **state)
{
    (void)state;
    struct nj_bench_result result = run_with(FAKE_DOUBLE, NJ_BENCH_FANIN, 0);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.duplicates, 1);
    assert_int_equal(result.tally.lost, 0);
}

static void notices_two_messages_that_changed_places(void **state)
{
    (void)state;
    /* One publisher, so that the next message is one of its own. */
    struct fake_broker *fake = fake_broker_start(FAKE_SWAP);
    struct nj_bench_options options = {.scenario = NJ_BENCH_FANOUT,
                                       .host = "127.0.0.1",
                                       .port = fake_broker_port(fake),
                                       .version = 4,
                                       .publishers = 1,
                                       .subscribers = 2,
                                       .size = 16,
                                       .window = 8,
                                       .rate = 300,
                                       .warmup_s = 0.05,
                                       .time_s = 0.15,
                                       .threads = 1};
    struct nj_bench_result result;
    nj_bench_run(&options, NULL, NULL, &result);
    fake_broker_stop(fake);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.reordered, 2); /* each subscriber saw it */
    assert_int_equal(result.tally.lost, 0);
    assert_int_equal(result.tally.duplicates, 0);
}

static void notices_a_payload_or_topic_that_is_not_what_was_sent(void **state)
{
    (void)state;
    static const enum fake_lie LIES[] = {FAKE_CORRUPT, FAKE_CUT, FAKE_OTHER_TOPIC};
    for (size_t i = 0; i < 3; i++) {
        struct nj_bench_result result = run_with(LIES[i], NJ_BENCH_FANIN, 0);
        assert_false(nj_bench_result_is_good(&result));
        assert_int_equal(result.tally.corrupt, 1);
        assert_int_equal(result.tally.lost, 1); /* the true one never came */
    }
}

static void notices_a_message_to_the_wrong_receiver(void **state)
{
    (void)state;
    struct nj_bench_result result = run_with(FAKE_OTHER_RECEIVER, NJ_BENCH_PAIRS, 0);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.strange, 1);
}

static void notices_a_wrong_qos_and_a_wrong_flag(void **state)
{
    (void)state;
    static const enum fake_lie LIES[] = {FAKE_OTHER_QOS, FAKE_RETAIN};
    for (size_t i = 0; i < 2; i++) {
        struct nj_bench_result result = run_with(LIES[i], NJ_BENCH_PAIRS, 1);
        assert_false(nj_bench_result_is_good(&result));
        assert_int_equal(result.tally.strange, 1);
        assert_int_equal(result.tally.lost, 0);
    }
}

static void notices_acknowledgements_that_are_wrong_or_missing(void **state)
{
    (void)state;
    struct nj_bench_result result = run_with(FAKE_STRAY_ACK, NJ_BENCH_PAIRS, 1);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.stray, 1);
    result = run_with(FAKE_NO_ACK, NJ_BENCH_PAIRS, 1);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.unacked, 1);
}

static void calls_a_broker_that_hangs_up_wrong(void **state)
{
    (void)state;
    struct nj_bench_result result = run_with(FAKE_HANG_UP, NJ_BENCH_PAIRS, 0);
    assert_false(nj_bench_result_is_good(&result));
    assert_true(result.is_wrong);
    assert_non_null(strstr(result.problem, "closed the connection"));
}

static void cannot_run_when_it_is_refused(void **state)
{
    (void)state;
    static const enum fake_lie LIES[] = {FAKE_REFUSE, FAKE_GRANT_LESS};
    for (size_t i = 0; i < 2; i++) {
        struct nj_bench_result result = run_with(LIES[i], NJ_BENCH_PAIRS, 0);
        assert_false(result.is_run);
        assert_false(result.is_wrong);
        assert_non_null(strstr(result.problem, i ? "did not grant" : "with code 5"));
    }
}

static void notices_a_group_that_loses_or_doubles(void **state)
{
    (void)state;
    struct nj_bench_result result = run_with(FAKE_GROUP_LOSE, NJ_BENCH_SUBS, 0);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.lost, 1);
    result = run_with(FAKE_GROUP_DOUBLE, NJ_BENCH_SUBS, 0);
    assert_false(nj_bench_result_is_good(&result));
    assert_int_equal(result.tally.duplicates, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_an_honest_broker),
        cmocka_unit_test(passes_an_honest_broker_when_saturated_by_two_threads),
        cmocka_unit_test(notices_a_lost_message),
        cmocka_unit_test(notices_a_message_that_comes_twice),
        cmocka_unit_test(notices_two_messages_that_changed_places),
        cmocka_unit_test(notices_a_payload_or_topic_that_is_not_what_was_sent),
        cmocka_unit_test(notices_a_message_to_the_wrong_receiver),
        cmocka_unit_test(notices_a_wrong_qos_and_a_wrong_flag),
        cmocka_unit_test(notices_acknowledgements_that_are_wrong_or_missing),
        cmocka_unit_test(calls_a_broker_that_hangs_up_wrong),
        cmocka_unit_test(cannot_run_when_it_is_refused),
        cmocka_unit_test(notices_a_group_that_loses_or_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
