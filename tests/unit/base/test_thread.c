/* Threads: signals blocked, named, joined once, refused by a fault. */
#include <signal.h>
#include <string.h>

#include "base/fault.h"
#include "base/thread.h"
#include "support/test.h"

static void *look_around(void *arg)
{
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    *(bool *)arg = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGHUP) == 1;
    return NULL;
}

static void a_thread_takes_no_signals_and_leaves_ours_alone(void **state)
{
    (void)state;
    bool blocked = false;
    struct nj_thread thread;
    assert_int_equal(
        nj_thread_start(&thread, "a-name-longer-than-the-kernel-takes", look_around, &blocked),
        NJ_OK);
    nj_thread_join(&thread);
    nj_thread_join(&thread); /* nothing left to wait for */
    assert_true(blocked);
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

static void a_refused_thread_is_an_error_and_can_be_joined(void **state)
{
    (void)state;
    struct nj_thread thread;
    nj_fault_arm(NJ_FAULT_THREAD, 1, false);
    assert_int_equal(nj_thread_start(&thread, "none", look_around, NULL), NJ_ESYS);
    nj_fault_disarm();
    nj_thread_join(&thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_takes_no_signals_and_leaves_ours_alone),
        cmocka_unit_test(a_refused_thread_is_an_error_and_can_be_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
