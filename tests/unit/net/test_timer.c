/* The timer wheel against a naive list, and its corners. */
#include <stdlib.h>
#include <string.h>

#include "net/timer.h"
#include "support/test.h"

#define COUNT 500

struct probe {
    struct nj_timer timer;
    uint64_t due_ms; /* 0 = should not be set */
    unsigned fired;
};

struct turn {
    struct nj_timers timers;
    uint64_t now_ms;
    struct probe *victim; /* cancelled, when its killer fires */
};

static void on_probe(struct nj_timer *timer, void *arg)
{
    struct probe *probe = NJ_CONTAINER(timer, struct probe, timer);
    const struct turn *turn = arg;
    assert_false(nj_timer_is_set(timer));
    assert_true(probe->due_ms != 0 && probe->due_ms <= turn->now_ms);
    probe->due_ms = 0;
    probe->fired++;
}

static struct turn *turn_new(uint64_t now_ms)
{
    struct turn *turn = calloc(1, sizeof(*turn));
    nj_timers_init(&turn->timers, now_ms);
    turn->now_ms = now_ms;
    return turn;
}

static size_t run(struct turn *turn, uint64_t now_ms)
{
    turn->now_ms = now_ms;
    return nj_timers_run(&turn->timers, now_ms, turn);
}

static void fires_at_its_millisecond_and_not_before(void **state)
{
    (void)state;
    static const uint64_t waits[] = {1,    2,     63,     64,      65,        127,
                                     128,  4095,  4096,   4097,    262144,    16777216,
                                     5000, 86400, 604800, 1 << 30, 1ul << 35, (1ul << 36) + 7};
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
        struct turn *turn = turn_new(123456789 + i * 61);
        struct probe probe = {.due_ms = turn->now_ms + waits[i]};
        nj_timer_init(&probe.timer, on_probe);
        nj_timer_set(&turn->timers, &probe.timer, probe.due_ms);
        uint64_t due_ms = probe.due_ms;
        /* As a worker does: sleep until next_ms, run, again. */
        unsigned wakes = 0;
        for (uint64_t next = nj_timers_next_ms(&turn->timers); next != NJ_TIMER_NEVER;
             next = nj_timers_next_ms(&turn->timers)) {
            assert_true(next <= due_ms && next > turn->now_ms);
            assert_int_equal(run(turn, next - 1), 0);
            (void)run(turn, next);
            wakes++;
        }
        assert_int_equal(probe.fired, 1);
        assert_int_equal(turn->now_ms, due_ms);
        assert_true(wakes <= 2 * NJ_TIMER_LEVELS);
        free(turn);
    }
}

static void fires_across_a_wrap_of_every_level(void **state)
{
    (void)state;
    for (unsigned bits = 6; bits <= 42; bits += 6) {
        struct turn *turn = turn_new((1ul << bits) - 1);
        struct probe probe = {.due_ms = (1ul << bits) + 3};
        nj_timer_init(&probe.timer, on_probe);
        nj_timer_set(&turn->timers, &probe.timer, probe.due_ms);
        assert_int_equal(run(turn, (1ul << bits) + 2), 0);
        assert_int_equal(run(turn, (1ul << bits) + 3), 1);
        free(turn);
    }
}

static void agrees_with_a_naive_list_over_random_operations(void **state)
{
    (void)state;
    struct turn *turn = turn_new(1000);
    struct probe *probes = calloc(COUNT, sizeof(*probes));
    for (int i = 0; i < COUNT; i++) {
        nj_timer_init(&probes[i].timer, on_probe);
    }
    srand(42);
    for (int step = 0; step < 20000; step++) {
        struct probe *probe = &probes[rand() % COUNT];
        int what = rand() % 10;
        if (what < 6) {
            uint64_t wait = (uint64_t)rand() >> (rand() % 31);
            probe->due_ms = turn->now_ms + 1 + wait;
            nj_timer_set(&turn->timers, &probe->timer, probe->due_ms);
        } else if (what < 7) {
            probe->due_ms = 0;
            nj_timer_cancel(&turn->timers, &probe->timer);
        } else {
            (void)run(turn, turn->now_ms + ((uint64_t)rand() >> (rand() % 31)) / 4);
            uint64_t next = nj_timers_next_ms(&turn->timers);
            size_t set = 0;
            for (int i = 0; i < COUNT; i++) {
                assert_int_equal(nj_timer_is_set(&probes[i].timer), probes[i].due_ms != 0);
                set += probes[i].due_ms != 0;
                assert_true(probes[i].due_ms == 0 || probes[i].due_ms > turn->now_ms);
                assert_true(probes[i].due_ms == 0 || next <= probes[i].due_ms);
            }
            assert_int_equal(turn->timers.count, set);
        }
    }
    free(probes);
    free(turn);
}

static void a_time_that_has_passed_fires_in_the_next_run(void **state)
{
    (void)state;
    struct turn *turn = turn_new(1000);
    struct probe probe = {.due_ms = 1};
    nj_timer_init(&probe.timer, on_probe);
    nj_timer_set(&turn->timers, &probe.timer, 1);
    assert_int_equal(nj_timers_next_ms(&turn->timers), 1001);
    assert_int_equal(run(turn, 1001), 1);
    free(turn);
}

static void on_again(struct nj_timer *timer, void *arg)
{
    struct turn *turn = arg;
    NJ_CONTAINER(timer, struct probe, timer)->fired++;
    nj_timer_set(&turn->timers, timer, 0);
}

static void a_callback_that_sets_itself_does_not_fire_twice_in_a_run(void **state)
{
    (void)state;
    struct turn *turn = turn_new(1000);
    struct probe probe = {0};
    nj_timer_init(&probe.timer, on_again);
    nj_timer_set(&turn->timers, &probe.timer, 1005);
    assert_int_equal(run(turn, 2000), 1);
    assert_int_equal(probe.fired, 1);
    assert_int_equal(run(turn, 2001), 1);
    nj_timer_cancel(&turn->timers, &probe.timer);
    assert_int_equal(nj_timers_next_ms(&turn->timers), NJ_TIMER_NEVER);
    free(turn);
}

static void on_killer(struct nj_timer *timer, void *arg)
{
    struct turn *turn = arg;
    NJ_CONTAINER(timer, struct probe, timer)->fired++;
    nj_timer_cancel(&turn->timers, &turn->victim->timer);
}

static void a_callback_may_cancel_one_that_is_due_in_the_same_run(void **state)
{
    (void)state;
    struct turn *turn = turn_new(1000);
    struct probe killer = {0};
    struct probe victim = {.due_ms = 1005};
    turn->victim = &victim;
    nj_timer_init(&killer.timer, on_killer);
    nj_timer_init(&victim.timer, on_probe);
    nj_timer_set(&turn->timers, &killer.timer, 1005);
    nj_timer_set(&turn->timers, &victim.timer, 1005);
    assert_int_equal(run(turn, 1005), 1);
    assert_int_equal(victim.fired, 0);
    assert_int_equal(turn->timers.count, 0);
    free(turn);
}

static void time_that_goes_back_does_nothing(void **state)
{
    (void)state;
    struct turn *turn = turn_new(1000);
    struct probe probe = {.due_ms = 1100};
    nj_timer_init(&probe.timer, on_probe);
    nj_timer_set(&turn->timers, &probe.timer, 1100);
    assert_int_equal(run(turn, 10), 0);
    assert_int_equal(run(turn, 1100), 1);
    free(turn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fires_at_its_millisecond_and_not_before),
        cmocka_unit_test(fires_across_a_wrap_of_every_level),
        cmocka_unit_test(agrees_with_a_naive_list_over_random_operations),
        cmocka_unit_test(a_time_that_has_passed_fires_in_the_next_run),
        cmocka_unit_test(a_callback_that_sets_itself_does_not_fire_twice_in_a_run),
        cmocka_unit_test(a_callback_may_cancel_one_that_is_due_in_the_same_run),
        cmocka_unit_test(time_that_goes_back_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
