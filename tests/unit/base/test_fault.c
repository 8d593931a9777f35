/* Plans that let calls fail, and points at which a test lets the process die. */
#include <sys/wait.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "support/test.h"

static void a_plan_hits_its_call_and_counts(void **state)
{
    (void)state;
    nj_fault_arm(NJ_FAULT_READ, 2, false);
    assert_false(nj_fault_hit(NJ_FAULT_WRITE)); /* of another kind */
    assert_false(nj_fault_hit(NJ_FAULT_READ));
    assert_true(nj_fault_hit(NJ_FAULT_READ));
    assert_false(nj_fault_hit(NJ_FAULT_READ));
    assert_int_equal(nj_fault_calls(NJ_FAULT_READ), 3);
    nj_fault_arm(NJ_FAULT_READ, 2, true);
    assert_false(nj_fault_hit(NJ_FAULT_READ));
    assert_true(nj_fault_hit(NJ_FAULT_READ));
    assert_true(nj_fault_hit(NJ_FAULT_READ));
    nj_fault_disarm();
    assert_false(nj_fault_hit(NJ_FAULT_READ));
}

#ifdef NJ_CRASH_POINTS

#    define PASSES 5

/* How many passes of "here" a process comes through with this in its environment; PASSES = it ends
 * as it wants to. Each time it passes "there" first. NULL = nothing is said. */
static int passes_with(const char *plan)
{
    int status;
    int pipes[2];
    char passed[PASSES + 1];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (plan ? setenv("NIGHTJAR_CRASH", plan, 1) != 0 : unsetenv("NIGHTJAR_CRASH") != 0) {
            _exit(2);
        }
        nj_crash_arm();
        for (int i = 0; i < PASSES; i++) {
            nj_crash_point("there");
            nj_crash_point("here");
            if (write(pipes[1], "x", 1) != 1) {
                _exit(2);
            }
        }
        _exit(0);
    }
    (void)close(pipes[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ssize_t count = read(pipes[0], passed, sizeof(passed));
    (void)close(pipes[0]);
    assert_true(count >= 0);
    if (count == PASSES) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    } else {
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    return (int)count;
}

static void the_process_is_killed_at_the_pass_that_was_named(void **state)
{
    (void)state;
    assert_int_equal(passes_with("here:1"), 0);
    assert_int_equal(passes_with("here:4"), 3);
    assert_int_equal(passes_with("there:2"), 1);
    assert_int_equal(passes_with("here:6"), PASSES);
}

static void what_names_no_point_changes_nothing(void **state)
{
    (void)state;
    static const char *const plans[] = {
        NULL,
        "",
        "here",
        ":1",
        "here:0",
        "here:-1",
        "here:x",
        "her:1",
        "here2:1",
        "elsewhere:1",
        "a-name-of-sixty-four-characters-or-more-than-that-does-not-fit-in-here:1",
    };
    for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        assert_int_equal(passes_with(plans[i]), PASSES);
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_hits_its_call_and_counts),
#ifdef NJ_CRASH_POINTS
        cmocka_unit_test(the_process_is_killed_at_the_pass_that_was_named),
        cmocka_unit_test(what_names_no_point_changes_nothing),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
