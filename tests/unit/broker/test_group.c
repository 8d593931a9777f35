/* Groups of shared subscriptions alone: members are found, and whose turn it is agrees with a naive
 * walk, whatever comes, goes and changes. */
#include <stdlib.h>

#include "base/fault.h"
#include "broker/filters.h"
#include "broker/group.h"
#include "support/test.h"

#define SESSIONS 400u

struct rig {
    struct nj_groups groups;
    struct nj_filter filter;
};

static struct nj_group *demand(struct rig *rig, const char *name)
{
    struct nj_group *group =
        nj_group_demand(&rig->groups, &rig->filter, nj_bytes(name, strlen(name)));
    assert_non_null(group);
    return group;
}

static void rig_fini(struct rig *rig)
{
    nj_groups_free(rig->filter.groups);
    nj_groups_fini(&rig->groups);
}

static void join(struct rig *rig, struct nj_group *group, uint64_t session, bool is_online)
{
    const struct nj_member member = {.session = session, .is_online = is_online};
    assert_int_equal(nj_group_join(&rig->groups, group, &member), NJ_OK);
}

static const struct nj_member *naive_next(const struct nj_group *group, uint32_t from,
                                          uint64_t stop, enum nj_wanted wanted)
{
    for (uint32_t i = 1; i <= group->count; i++) {
        const struct nj_member *member = group->members[(from + i) % group->count];
        if (member->session == stop) {
            return NULL;
        }
        if (wanted == NJ_WANTED_ANY || member->is_online == (wanted == NJ_WANTED_ONLINE)) {
            return member;
        }
    }
    return NULL;
}

static void check_turns(const struct rig *rig, const struct nj_group *group, unsigned *seed)
{
    for (int i = 0; i < 20; i++) {
        uint32_t from = (uint32_t)rand_r(seed) % (2 * group->count + 1);
        uint64_t stop = (uint64_t)rand_r(seed) % (SESSIONS + 1);
        for (enum nj_wanted wanted = 0; wanted <= NJ_WANTED_ANY; wanted++) {
            assert_ptr_equal(nj_group_next(&rig->groups, group, from, stop, wanted),
                             naive_next(group, from, stop, wanted));
            assert_ptr_equal(nj_group_next(&rig->groups, group, from, 0, wanted),
                             naive_next(group, from, 0, wanted));
        }
    }
}

static void takes_turns_as_a_naive_walk_does(void **state)
{
    (void)state;
    struct rig rig = {0};
    unsigned seed = 1;
    struct nj_group *group = demand(&rig, "g");
    for (int round = 0; round < 4000; round++) {
        uint64_t session = (uint64_t)rand_r(&seed) % SESSIONS + 1;
        struct nj_member *member = nj_group_member(&rig.groups, group, session);
        /* Now most are there, now hardly anybody. */
        bool comes = rand_r(&seed) % 8 < (round / 500 % 2 ? 2 : 6);
        if (!member && comes) {
            join(&rig, group, session, rand_r(&seed) % 2);
        } else if (member && rand_r(&seed) % 2) {
            nj_group_set_online(member, rand_r(&seed) % 16 == 0);
        } else if (member && !comes) {
            nj_group_leave(&rig.groups, member);
            assert_null(nj_group_member(&rig.groups, group, session));
        }
        check_turns(&rig, group, &seed);
    }
    rig_fini(&rig);
}

static void keeps_groups_apart(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct nj_filter other = {0};
    struct nj_group *a = demand(&rig, "a");
    struct nj_group *b = demand(&rig, "b");
    struct nj_bytes name = NJ_BYTES_LIT("a");
    assert_ptr_equal(demand(&rig, "a"), a);
    assert_null(nj_group_find(&rig.groups, &other, name));
    assert_null(nj_group_find(&rig.groups, NULL, name));
    join(&rig, a, 7, true);
    assert_null(nj_group_member(&rig.groups, b, 7));
    assert_null(nj_group_member(&rig.groups, NULL, 7));
    nj_group_drop_if_empty(&rig.groups, b);
    nj_group_drop_if_empty(&rig.groups, a);
    assert_ptr_equal(rig.filter.groups, a);
    nj_group_leave(&rig.groups, nj_group_member(&rig.groups, a, 7));
    nj_group_drop_if_empty(&rig.groups, a);
    assert_null(rig.filter.groups);
    assert_null(nj_group_find(&rig.groups, &rig.filter, name));
    rig_fini(&rig);
}

static void is_as_it_was_when_memory_is_short(void **state)
{
    (void)state;
    struct rig rig = {0};
    struct nj_group *group = demand(&rig, "g");
    const struct nj_member member = {.session = 1};
    for (unsigned nth = 1;; nth++) {
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        enum nj_err err = nj_group_join(&rig.groups, group, &member);
        nj_fault_disarm();
        if (err == NJ_OK) {
            break;
        }
        assert_int_equal(err, NJ_ENOMEM);
        assert_int_equal(group->count, 0);
        assert_null(nj_group_member(&rig.groups, group, 1));
        assert_in_range(nth, 1, 10);
    }
    assert_int_equal(group->count, 1);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_turns_as_a_naive_walk_does),
        cmocka_unit_test(keeps_groups_apart),
        cmocka_unit_test(is_as_it_was_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
