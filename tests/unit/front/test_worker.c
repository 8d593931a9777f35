/* Signs of life of real worker threads. A stalled one is made by holding its baton. */
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig.h"
#include "support/test.h"

static struct rig rig;

/* True when all workers have answered. */
static bool await_pulse(uint64_t patience_ms)
{
    uint64_t deadline = nj_clock_mono_ms() + patience_ms;
    while (nj_front_silent_worker(&rig.front) != rig.front.worker_count) {
        if (nj_clock_mono_ms() > deadline) {
            return false;
        }
        (void)usleep(500);
    }
    return true;
}

static void sleeping_workers_answer_and_one_that_hangs_is_named(void **state)
{
    static const struct rig_options options = {.workers = 3};
    (void)state;
    rig_open(&rig, &options);
    nj_front_ask_pulse(&rig.front);
    assert_int_equal(nj_front_silent_worker(&rig.front), 0); /* nobody runs yet */
    assert_int_equal(nj_front_start(&rig.front), NJ_OK);
    assert_true(await_pulse(10000));
    for (int i = 0; i < 20; i++) {
        nj_front_ask_pulse(&rig.front);
        assert_true(await_pulse(10000));
    }
    (void)pthread_mutex_lock(&rig.front.workers[1].baton);
    nj_front_ask_pulse(&rig.front);
    assert_false(await_pulse(50));
    while (nj_front_silent_worker(&rig.front) == 0) {
        (void)usleep(500);
    }
    assert_int_equal(nj_front_silent_worker(&rig.front), 1);
    (void)pthread_mutex_unlock(&rig.front.workers[1].baton);
    assert_true(await_pulse(10000));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sleeping_workers_answer_and_one_that_hangs_is_named),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
