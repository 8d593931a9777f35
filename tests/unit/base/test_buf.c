/* nj_buf: growth, draining, and what stays when memory is refused. */
#include "base/buf.h"
#include "base/fault.h"
#include "support/test.h"

static void grows_and_keeps_what_was_in_it(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(nj_buf_append(&buf, "0123456789", 10), NJ_OK);
    }
    assert_int_equal(buf.len, 10000);
    for (size_t i = 0; i < buf.len; i++) {
        assert_int_equal(buf.data[i], '0' + i % 10);
    }
    assert_true(nj_bytes_starts_with(nj_buf_bytes(&buf), NJ_BYTES_LIT("01234567890")));
    nj_buf_fini(&buf);
    assert_null(buf.data);
    nj_buf_fini(&buf);
}

static void consumes_from_the_front(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_buf_append(&buf, "hello world", 11), NJ_OK);
    nj_buf_consume(&buf, 6);
    assert_true(nj_bytes_equal(nj_buf_bytes(&buf), NJ_BYTES_LIT("world")));
    nj_buf_consume(&buf, 0);
    nj_buf_consume(&buf, 5);
    assert_int_equal(buf.len, 0);
    nj_buf_fini(&buf);
}

static void appending_nothing_to_nothing_is_fine(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_buf_append(&buf, NULL, 0), NJ_OK);
    assert_int_equal(nj_buf_bytes(&buf).len, 0);
    nj_buf_consume(&buf, 0);
    nj_buf_fini(&buf);
}

static void refuses_a_size_that_overflows(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_buf_append(&buf, "a", 1), NJ_OK);
    assert_int_equal(nj_buf_reserve(&buf, SIZE_MAX), NJ_ENOMEM);
    assert_int_equal(nj_buf_reserve(&buf, SIZE_MAX / 2), NJ_ENOMEM);
    assert_true(nj_bytes_equal(nj_buf_bytes(&buf), NJ_BYTES_LIT("a")));
    nj_buf_fini(&buf);
}

static void stays_as_it_was_when_memory_is_refused(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_buf_append(&buf, "keep", 4), NJ_OK);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_int_equal(nj_buf_reserve(&buf, 1000), NJ_ENOMEM);
    assert_int_equal(nj_buf_printf(&buf, "%0*d", 1000, 1), NJ_ENOMEM);
    nj_fault_disarm();
    assert_true(nj_bytes_equal(nj_buf_bytes(&buf), NJ_BYTES_LIT("keep")));
    nj_buf_fini(&buf);
}

static void prints_behind_what_is_there(void **state)
{
    (void)state;
    struct nj_buf buf;
    nj_buf_init(&buf);
    assert_int_equal(nj_buf_printf(&buf, "%s=%d", "a", 5), NJ_OK);
    assert_int_equal(nj_buf_printf(&buf, ";%0*d", 200, 7), NJ_OK);
    assert_int_equal(buf.len, 3 + 1 + 200);
    assert_true(nj_bytes_starts_with(nj_buf_bytes(&buf), NJ_BYTES_LIT("a=5;000")));
    assert_int_equal(buf.data[buf.len - 1], '7');
    nj_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_keeps_what_was_in_it),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(appending_nothing_to_nothing_is_fine),
        cmocka_unit_test(refuses_a_size_that_overflows),
        cmocka_unit_test(stays_as_it_was_when_memory_is_refused),
        cmocka_unit_test(prints_behind_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
