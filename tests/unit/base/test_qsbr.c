/* Reclamation: nothing is freed while a reader may see it, everything is freed in the end. The
 * stress test is what ThreadSanitizer and AddressSanitizer are pointed at. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "base/thread.h"
#include "support/test.h"

static int freed;

static void count_free(void *ptr)
{
    (void)ptr;
    freed++;
}

static void waits_for_each_reader_that_was_online(void **state)
{
    (void)state;
    struct nj_qsbr *domain = nj_qsbr_new(3);
    freed = 0;
    nj_qsbr_online(domain, 0);
    nj_qsbr_online(domain, 1);
    nj_qsbr_defer(domain, count_free, NULL);
    nj_qsbr_online(domain, 2); /* came later: cannot see it */
    nj_qsbr_reclaim(domain);
    assert_int_equal(freed, 0);
    nj_qsbr_quiescent(domain, 0);
    nj_qsbr_quiescent(domain, 0);
    nj_qsbr_reclaim(domain);
    assert_int_equal(freed, 0);
    nj_qsbr_offline(domain, 1);
    nj_qsbr_reclaim(domain);
    assert_int_equal(freed, 1);
    nj_qsbr_reclaim(domain);
    assert_int_equal(freed, 1);
    nj_qsbr_offline(domain, 0);
    nj_qsbr_offline(domain, 2);
    nj_qsbr_free(domain);
}

static void frees_in_order_up_to_the_slowest_reader(void **state)
{
    (void)state;
    struct nj_qsbr *domain = nj_qsbr_new(2);
    freed = 0;
    nj_qsbr_online(domain, 0);
    nj_qsbr_online(domain, 1);
    nj_qsbr_defer(domain, count_free, NULL);
    nj_qsbr_quiescent(domain, 0);
    nj_qsbr_quiescent(domain, 1);
    nj_qsbr_defer(domain, count_free, NULL);
    nj_qsbr_quiescent(domain, 0);
    nj_qsbr_reclaim(domain);
    assert_int_equal(freed, 1);
    nj_qsbr_quiescent(domain, 1);
    nj_qsbr_reclaim(domain);
    assert_int_equal(freed, 2);
    nj_qsbr_offline(domain, 0);
    nj_qsbr_offline(domain, 1);
    nj_qsbr_free(domain);
}

static void the_end_frees_what_waits(void **state)
{
    (void)state;
    struct nj_qsbr *domain = nj_qsbr_new(1);
    freed = 0;
    nj_qsbr_online(domain, 0);
    nj_qsbr_defer(domain, count_free, NULL);
    nj_qsbr_defer(domain, count_free, NULL);
    nj_qsbr_offline(domain, 0);
    nj_qsbr_free(domain);
    assert_int_equal(freed, 2);
    nj_qsbr_free(NULL);
}

static struct nj_qsbr *nested;

static void defer_again(void *ptr)
{
    freed++;
    if (ptr) {
        nj_qsbr_defer(nested, defer_again, NULL);
    }
}

static void a_deferred_function_may_defer(void **state)
{
    (void)state;
    nested = nj_qsbr_new(1);
    freed = 0;
    nj_qsbr_defer(nested, defer_again, &freed);
    nj_qsbr_reclaim(nested);
    assert_int_equal(freed, 1);
    nj_qsbr_reclaim(nested);
    assert_int_equal(freed, 2);
    nj_qsbr_defer(nested, defer_again, &freed);
    nj_qsbr_free(nested);
    assert_int_equal(freed, 4);
}

enum {
    READERS = 3,
    CHANGES = 20000,
    ALIVE = 0x5a5a5a5a,
    DEAD = 0
};

/* One shared value that the writer keeps replacing; plain fields, so that a race would be seen. */
struct value {
    int mark;
    int number;
};

struct stress {
    struct nj_qsbr *domain;
    _Atomic(struct value *) current;
    _Atomic bool is_over;
    _Atomic int freed;
    _Atomic unsigned next_slot;
};

static struct stress stress;

static void free_value(void *ptr)
{
    struct value *value = ptr;
    value->mark = DEAD;
    nj_free(value);
    atomic_fetch_add(&stress.freed, 1);
}

static void *read_on(void *arg)
{
    unsigned slot = atomic_fetch_add(&stress.next_slot, 1);
    bool *ok = arg;
    int last = 0;
    unsigned turn = 0;
    nj_qsbr_online(stress.domain, slot);
    while (!atomic_load_explicit(&stress.is_over, memory_order_relaxed)) {
        for (int i = 0; i < 50; i++) {
            const struct value *value = atomic_load_explicit(&stress.current, memory_order_acquire);
            if (value->mark != ALIVE || value->number < last) {
                *ok = false;
            }
            last = value->number;
        }
        if (++turn % 7 == 0) {
            nj_qsbr_offline(stress.domain, slot);
            nj_qsbr_reclaim(stress.domain);
            nj_qsbr_online(stress.domain, slot);
        } else {
            nj_qsbr_quiescent(stress.domain, slot);
            nj_qsbr_reclaim(stress.domain);
        }
    }
    nj_qsbr_offline(stress.domain, slot);
    return NULL;
}

static struct value *new_value(int number)
{
    struct value *value = nj_alloc(sizeof(*value));
    *value = (struct value){.mark = ALIVE, .number = number};
    return value;
}

static void readers_never_see_a_freed_value(void **state)
{
    (void)state;
    struct nj_thread threads[READERS];
    bool ok[READERS];
    stress.domain = nj_qsbr_new(READERS);
    atomic_store(&stress.current, new_value(0));
    for (int i = 0; i < READERS; i++) {
        ok[i] = true;
        assert_int_equal(nj_thread_start(&threads[i], "reader", read_on, &ok[i]), NJ_OK);
    }
    for (int i = 1; i <= CHANGES; i++) {
        struct value *old = atomic_exchange(&stress.current, new_value(i));
        nj_qsbr_defer(stress.domain, free_value, old);
        nj_qsbr_reclaim(stress.domain);
    }
    atomic_store(&stress.is_over, true);
    for (int i = 0; i < READERS; i++) {
        nj_thread_join(&threads[i]);
        assert_true(ok[i]);
    }
    nj_qsbr_reclaim(stress.domain);
    assert_int_equal(atomic_load(&stress.freed), CHANGES);
    nj_free(atomic_load(&stress.current));
    nj_qsbr_free(stress.domain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_each_reader_that_was_online),
        cmocka_unit_test(frees_in_order_up_to_the_slowest_reader),
        cmocka_unit_test(the_end_frees_what_waits),
        cmocka_unit_test(a_deferred_function_may_defer),
        cmocka_unit_test(readers_never_see_a_freed_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
