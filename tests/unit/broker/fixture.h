/* What tests of the core begin and end with: one rig, opened with one, two or four shards. A file
 * of tests includes this instead of rig.h. */
#ifndef NJ_TESTS_BROKER_FIXTURE_H
#define NJ_TESTS_BROKER_FIXTURE_H

#include "base/fault.h"
#include "rig.h"
#include "support/test.h"

static struct rig rig;

static inline int open_rig(void **state, unsigned shards)
{
    (void)state;
    rig_open(&rig, shards);
    return 0;
}

static inline int open_one(void **state)
{
    return open_rig(state, 1);
}

static inline int open_two(void **state)
{
    return open_rig(state, 2);
}

static inline int open_four(void **state)
{
    return open_rig(state, 4);
}

static inline int close_rig(void **state)
{
    (void)state;
    nj_fault_disarm();
    rig_close(&rig);
    return 0;
}

#define TEST1(name) cmocka_unit_test_setup_teardown(name, open_one, close_rig)
#define TEST2(name) cmocka_unit_test_setup_teardown(name, open_two, close_rig)
#define TEST4(name) cmocka_unit_test_setup_teardown(name, open_four, close_rig)

#endif
