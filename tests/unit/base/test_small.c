/* The small ones: bytes, errors, lists, the clock, fault plans, random bytes. */
#include <sys/wait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/rand.h"
#include "support/test.h"

static void bytes_compare_by_length_and_content(void **state)
{
    (void)state;
    struct nj_bytes none = nj_bytes_of(NULL);
    assert_int_equal(none.len, 0);
    assert_true(nj_bytes_equal(none, NJ_BYTES_LIT("")));
    assert_true(nj_bytes_equal(nj_bytes_of("a/b"), NJ_BYTES_LIT("a/b")));
    assert_false(nj_bytes_equal(NJ_BYTES_LIT("a/b"), NJ_BYTES_LIT("a/c")));
    assert_false(nj_bytes_equal(NJ_BYTES_LIT("a"), NJ_BYTES_LIT("a\0")));
    assert_true(nj_bytes_starts_with(NJ_BYTES_LIT("$SYS/a"), NJ_BYTES_LIT("$SYS/")));
    assert_true(nj_bytes_starts_with(NJ_BYTES_LIT("a"), none));
    assert_false(nj_bytes_starts_with(NJ_BYTES_LIT("$SY"), NJ_BYTES_LIT("$SYS/")));
}

static void every_error_has_a_name_and_a_text(void **state)
{
    (void)state;
    assert_string_equal(nj_err_name(NJ_OK), "OK");
    assert_string_equal(nj_err_name(NJ_ENOMEM), "ENOMEM");
    assert_string_equal(nj_err_text(NJ_EACCES), "permission denied");
    for (int err = 0; err < NJ_ERR_COUNT; err++) {
        assert_true(strlen(nj_err_name((enum nj_err)err)) > 0);
        assert_true(strlen(nj_err_text((enum nj_err)err)) > 0);
    }
    assert_string_equal(nj_err_name(NJ_ERR_COUNT), "EUNKNOWN");
    assert_string_equal(nj_err_text((enum nj_err)12345), "unknown error");
}

struct item {
    int value;
    struct nj_list link;
};

static void lists_keep_their_order_and_survive_removal(void **state)
{
    (void)state;
    struct nj_list head;
    struct item items[4];
    nj_list_init(&head);
    assert_true(nj_list_is_empty(&head));
    assert_null(nj_list_pop_front(&head));
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        nj_list_init(&items[i].link);
        assert_false(nj_list_is_linked(&items[i].link));
    }
    nj_list_push_back(&head, &items[1].link);
    nj_list_push_back(&head, &items[3].link);
    nj_list_push_front(&head, &items[0].link);
    nj_list_insert_after(&items[1].link, &items[2].link);
    int want = 0;
    nj_list_each (node, &head) {
        assert_int_equal(NJ_CONTAINER(node, struct item, link)->value, want++);
    }
    assert_int_equal(want, 4);
    nj_list_each_safe (node, &head) {
        if (NJ_CONTAINER(node, struct item, link)->value % 2) {
            nj_list_remove(node);
        }
    }
    assert_false(nj_list_is_linked(&items[1].link));
    nj_list_remove(&items[1].link); /* safe twice */
    assert_ptr_equal(nj_list_pop_front(&head), &items[0].link);
    assert_ptr_equal(nj_list_pop_front(&head), &items[2].link);
    assert_true(nj_list_is_empty(&head));
}

static void the_clock_can_be_replaced_and_given_back(void **state)
{
    (void)state;
    uint64_t before = nj_clock_mono_ns();
    assert_true(nj_clock_mono_ns() >= before);
    assert_true(nj_clock_wall_s() > 1600000000);
    struct nj_clock_fake fake = {.mono_ns = 5000000, .wall_ns = 7000000000};
    nj_clock_set_fake(&fake);
    assert_int_equal(nj_clock_mono_ms(), 5);
    assert_int_equal(nj_clock_wall_s(), 7);
    fake.mono_ns += 1000000000;
    assert_int_equal(nj_clock_mono_ms(), 1005);
    nj_clock_set_fake(NULL);
    assert_true(nj_clock_mono_ns() >= before);
}

static void a_plan_fails_the_nth_call_once_or_for_ever(void **state)
{
    (void)state;
    assert_false(nj_fault_hit(NJ_FAULT_SYNC));
    nj_fault_arm(NJ_FAULT_SYNC, 3, false);
    assert_false(nj_fault_hit(NJ_FAULT_SYNC));
    assert_false(nj_fault_hit(NJ_FAULT_OPEN)); /* another kind is not counted */
    assert_false(nj_fault_hit(NJ_FAULT_SYNC));
    assert_true(nj_fault_hit(NJ_FAULT_SYNC));
    assert_false(nj_fault_hit(NJ_FAULT_SYNC));
    assert_int_equal(nj_fault_calls(NJ_FAULT_SYNC), 4);
    nj_fault_arm(NJ_FAULT_SYNC, 2, true);
    assert_false(nj_fault_hit(NJ_FAULT_SYNC));
    assert_true(nj_fault_hit(NJ_FAULT_SYNC));
    assert_true(nj_fault_hit(NJ_FAULT_SYNC));
    nj_fault_disarm();
    assert_false(nj_fault_hit(NJ_FAULT_SYNC));
}

static void random_bytes_differ_and_fill_every_length(void **state)
{
    (void)state;
    assert_true(nj_rand_u64() != nj_rand_u64());
    uint8_t bytes[300] = {0};
    nj_rand_bytes(bytes, 0);
    assert_int_equal(bytes[0], 0);
    nj_rand_bytes(bytes, sizeof(bytes));
    unsigned zeros = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        zeros += bytes[i] == 0;
    }
    assert_true(zeros < 30);
}

/* Runs `fn` in a child whose stderr is thrown away; returns its wait status. */
static int in_child(void (*fn)(void))
{
    (void)fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        fn();
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void draw_without_source(void)
{
    nj_fault_arm(NJ_FAULT_RANDOM, 1, true);
    (void)nj_rand_u64();
}

static void break_an_assertion(void)
{
    NJ_ASSERT(1 + 1 == 3);
}

static void without_random_source_or_with_a_bug_the_process_ends(void **state)
{
    (void)state;
    int status = in_child(draw_without_source);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    status = in_child(break_an_assertion);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_compare_by_length_and_content),
        cmocka_unit_test(every_error_has_a_name_and_a_text),
        cmocka_unit_test(lists_keep_their_order_and_survive_removal),
        cmocka_unit_test(the_clock_can_be_replaced_and_given_back),
        cmocka_unit_test(a_plan_fails_the_nth_call_once_or_for_ever),
        cmocka_unit_test(random_bytes_differ_and_fill_every_length),
        cmocka_unit_test(without_random_source_or_with_a_bug_the_process_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
