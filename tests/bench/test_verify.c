/* Payloads and flows: what passes, what does not, and how it is counted. */
#include <stdlib.h>
#include <string.h>

#include "bench_verify.h"
#include "support/test.h"

static const struct nj_bench_stamp STAMP = {.pub = 300, .dest = 7, .seq = 1234567, .time_us = 99};

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    static const uint32_t SIZES[] = {16, 17, 100, 1024, 70000};
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        struct nj_bench_pattern pattern;
        struct nj_bench_stamp got;
        nj_bench_pattern_init(&pattern, SIZES[i]);
        uint8_t *payload = malloc(SIZES[i]);
        nj_bench_payload_write(&pattern, &STAMP, 5, payload);
        assert_true(nj_bench_payload_read(&pattern, nj_bytes(payload, SIZES[i]), 5, &got));
        assert_memory_equal(&got, &STAMP, sizeof(got));
        free(payload);
        nj_bench_pattern_fini(&pattern);
    }
}

static void refuses_every_changed_bit_and_every_other_length(void **state)
{
    (void)state;
    struct nj_bench_pattern pattern;
    struct nj_bench_stamp got;
    uint8_t payload[64];
    nj_bench_pattern_init(&pattern, sizeof(payload));
    nj_bench_payload_write(&pattern, &STAMP, 5, payload);
    for (size_t bit = 0; bit < 8 * sizeof(payload); bit++) {
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(nj_bench_payload_read(&pattern, nj_bytes(payload, sizeof(payload)), 5, &got));
        payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof(payload); len++) {
        assert_false(nj_bench_payload_read(&pattern, nj_bytes(payload, len), 5, &got));
    }
    /* Right payload, other topic. */
    assert_false(nj_bench_payload_read(&pattern, nj_bytes(payload, sizeof(payload)), 6, &got));
    nj_bench_pattern_fini(&pattern);
}

static void refuses_a_message_of_another_run(void **state)
{
    (void)state;
    struct nj_bench_pattern patterns[2];
    struct nj_bench_stamp got;
    uint8_t payload[32];
    nj_bench_pattern_init(&patterns[0], sizeof(payload));
    nj_bench_pattern_init(&patterns[1], sizeof(payload));
    nj_bench_payload_write(&patterns[0], &STAMP, 5, payload);
    assert_false(nj_bench_payload_read(&patterns[1], nj_bytes(payload, sizeof(payload)), 5, &got));
    nj_bench_pattern_fini(&patterns[0]);
    nj_bench_pattern_fini(&patterns[1]);
}

struct flow_case {
    const char *what;
    uint32_t seqs[8];
    uint32_t count;
    uint32_t sent;
    uint64_t received;
    uint64_t duplicates;
    uint64_t reordered;
    uint64_t lost;
};

static void counts_a_flow(void **state)
{
    (void)state;
    static const struct flow_case CASES[] = {
        {"in order", {0, 1, 2, 3}, 4, 4, 4, 0, 0, 0},
        {"nothing came", {0}, 0, 3, 0, 0, 0, 3},
        {"the end is missing", {0, 1}, 2, 4, 2, 0, 0, 2},
        {"the beginning is missing", {2, 3}, 2, 4, 2, 0, 0, 2},
        {"a hole", {0, 3}, 2, 4, 2, 0, 0, 2},
        {"a hole, filled late", {0, 3, 1, 2}, 4, 4, 4, 0, 2, 0},
        {"a hole, half filled", {0, 4, 2}, 3, 5, 3, 0, 1, 2},
        {"twice at once", {0, 0, 1}, 3, 2, 2, 1, 0, 0},
        {"twice, late", {0, 1, 2, 0}, 4, 3, 3, 1, 0, 0},
        {"twice what filled a hole", {0, 2, 1, 1}, 4, 3, 3, 1, 1, 0},
        {"backwards", {3, 2, 1, 0}, 4, 4, 4, 0, 3, 0},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const struct flow_case *row = &CASES[i];
        struct nj_bench_flow flow = {0};
        struct nj_bench_tally tally = {0};
        for (uint32_t k = 0; k < row->count; k++) {
            nj_bench_flow_take(&flow, row->seqs[k], &tally);
        }
        nj_bench_flow_finish(&flow, row->sent, &tally);
        if (tally.received != row->received || tally.duplicates != row->duplicates ||
            tally.reordered != row->reordered || tally.lost != row->lost) {
            fail_msg("%s", row->what);
        }
        assert_int_equal(nj_bench_tally_is_clean(&tally), i == 0);
        nj_bench_flow_fini(&flow);
    }
}

static void counts_a_shuffled_flow(void **state)
{
    (void)state;
    enum {
        COUNT = 3000
    };
    uint32_t seqs[COUNT];
    uint64_t seed = 7;
    struct nj_bench_flow flow = {0};
    struct nj_bench_tally tally = {0};
    for (uint32_t i = 0; i < COUNT; i++) {
        seqs[i] = i;
    }
    for (uint32_t i = COUNT - 1; i > 0; i--) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t k = (uint32_t)(seed >> 33) % (i + 1);
        uint32_t other = seqs[k];
        seqs[k] = seqs[i];
        seqs[i] = other;
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        nj_bench_flow_take(&flow, seqs[i], &tally);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        nj_bench_flow_take(&flow, i, &tally);
    }
    nj_bench_flow_finish(&flow, COUNT, &tally);
    assert_int_equal(tally.received, COUNT);
    assert_int_equal(tally.duplicates, COUNT);
    assert_int_equal(tally.lost, 0);
    nj_bench_flow_fini(&flow);
}

static void a_member_of_a_group_may_miss_but_not_go_back(void **state)
{
    (void)state;
    struct nj_bench_flow flow = {0};
    struct nj_bench_tally tally = {0};
    nj_bench_flow_take_shared(&flow, 2, &tally);
    nj_bench_flow_take_shared(&flow, 9, &tally);
    assert_true(nj_bench_tally_is_clean(&tally));
    nj_bench_flow_take_shared(&flow, 9, &tally);
    assert_int_equal(tally.reordered, 1);
    assert_int_equal(tally.shared, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(refuses_every_changed_bit_and_every_other_length),
        cmocka_unit_test(refuses_a_message_of_another_run),
        cmocka_unit_test(counts_a_flow),
        cmocka_unit_test(counts_a_shuffled_flow),
        cmocka_unit_test(a_member_of_a_group_may_miss_but_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
