/* Accounting, the limit, faults, and what a thread leaves behind. */
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "support/test.h"

#define MIB 1048576

static void counts_what_is_taken_and_given_back(void **state)
{
    (void)state;
    int64_t before = nj_mem_used();
    char *block = nj_alloc(3 * MIB);
    assert_in_range(nj_mem_used() - before, 3 * MIB, 3 * MIB + 65536);
    block = nj_realloc(block, 5 * MIB);
    assert_in_range(nj_mem_used() - before, 5 * MIB, 5 * MIB + 65536);
    block = nj_try_realloc(block, MIB);
    assert_non_null(block);
    assert_in_range(nj_mem_used() - before, MIB, MIB + 65536);
    nj_free(block);
    assert_int_equal(nj_mem_used(), before);
    assert_true(nj_mem_peak() >= before + 5 * MIB - 65536);
    nj_free(NULL);
}

static void many_small_blocks_add_up(void **state)
{
    (void)state;
    enum {
        COUNT = 10000
    };
    static void *blocks[COUNT];
    int64_t before = nj_mem_used();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = nj_try_zalloc(100);
        assert_non_null(blocks[i]);
    }
    assert_true(nj_mem_used() - before >= COUNT * 100);
    for (int i = 0; i < COUNT; i++) {
        nj_free(blocks[i]);
    }
    assert_int_equal(nj_mem_used(), before);
}

static void the_limit_binds_try_only(void **state)
{
    (void)state;
    nj_mem_set_limit(nj_mem_used() + 4 * MIB);
    void *first = nj_try_alloc(3 * MIB);
    assert_non_null(first);
    assert_null(nj_try_alloc(2 * MIB));
    assert_null(nj_try_zalloc(2 * MIB));
    memset(first, 'x', 3 * MIB);
    assert_null(nj_try_realloc(first, 6 * MIB));
    assert_int_equal(((char *)first)[3 * MIB - 1], 'x'); /* untouched */
    void *needed = nj_alloc(2 * MIB); /* start-up memory is counted, not refused */
    nj_free(first);
    void *again = nj_try_alloc(MIB);
    assert_non_null(again);
    nj_free(again);
    nj_free(needed);
    nj_mem_set_limit(0);
    first = nj_try_alloc(8 * MIB);
    assert_non_null(first);
    nj_free(first);
}

static void it_is_short_near_the_limit(void **state)
{
    (void)state;
    assert_false(nj_mem_is_short());
    nj_mem_set_limit(nj_mem_used() + 8 * MIB);
    assert_false(nj_mem_is_short());
    void *large = nj_alloc(7 * MIB + MIB / 2);
    assert_true(nj_mem_is_short());
    void *little = nj_try_alloc(MIB / 8); /* for what makes room */
    assert_non_null(little);
    nj_free(little);
    nj_free(large);
    assert_false(nj_mem_is_short());
    nj_mem_set_limit(0);
}

static void a_fault_plan_refuses_the_nth_allocation(void **state)
{
    (void)state;
    nj_fault_arm(NJ_FAULT_ALLOC, 2, false);
    void *first = nj_try_alloc(10);
    void *second = nj_try_alloc(10);
    void *third = nj_try_bytes_dup(NJ_BYTES_LIT("abc"));
    void *never_refused = nj_alloc(10);
    nj_fault_disarm();
    assert_non_null(first);
    assert_null(second);
    assert_string_equal(third, "abc");
    nj_free(first);
    nj_free(third);
    nj_free(never_refused);
}

static void copies_end_with_nul_and_hold_nuls(void **state)
{
    (void)state;
    char *copy = nj_bytes_dup(nj_bytes("a\0b", 3));
    assert_memory_equal(copy, "a\0b", 4);
    nj_free(copy);
    copy = nj_bytes_dup(nj_bytes(NULL, 0));
    assert_string_equal(copy, "");
    nj_free(copy);
    copy = nj_strdup("text");
    assert_string_equal(copy, "text");
    nj_wipe(copy, 4);
    assert_memory_equal(copy, "\0\0\0\0", 4);
    nj_free_secret(copy, 4);
    nj_free_secret(NULL, 4);
    nj_wipe(NULL, 0);
}

static void zero_sizes_give_blocks(void **state)
{
    (void)state;
    void *block = nj_alloc(0);
    assert_non_null(block);
    nj_free(block);
    block = nj_try_zalloc(0);
    assert_non_null(block);
    block = nj_try_realloc(block, 0);
    assert_non_null(block);
    nj_free(block);
}

static void *take_and_give(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        void *block = nj_try_alloc(1000);
        nj_free(block);
    }
    return NULL;
}

static void threads_do_not_lose_more_than_their_batch(void **state)
{
    (void)state;
    int64_t before = nj_mem_used();
    struct nj_thread threads[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(nj_thread_start(&threads[i], "taker", take_and_give, NULL), NJ_OK);
    }
    for (int i = 0; i < 4; i++) {
        nj_thread_join(&threads[i]);
    }
    int64_t drift = nj_mem_used() - before;
    assert_true(drift <= 4 * 65536 && drift >= -4 * 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_is_taken_and_given_back),
        cmocka_unit_test(many_small_blocks_add_up),
        cmocka_unit_test(the_limit_binds_try_only),
        cmocka_unit_test(it_is_short_near_the_limit),
        cmocka_unit_test(a_fault_plan_refuses_the_nth_allocation),
        cmocka_unit_test(copies_end_with_nul_and_hold_nuls),
        cmocka_unit_test(zero_sizes_give_blocks),
        cmocka_unit_test(threads_do_not_lose_more_than_their_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
