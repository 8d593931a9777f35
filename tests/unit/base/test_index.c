/* The hash index: everything is found, chains stay short, and want of memory loses nothing. */
#include "base/fault.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/list.h"
#include "base/mem.h"
#include "support/test.h"

#define THINGS 5000

struct thing {
    uint32_t number;
    struct nj_index_node node;
};

static uint64_t hash_of(uint32_t number)
{
    return nj_hash_bytes(nj_bytes(&number, sizeof(number)));
}

static void add(struct nj_index *index, struct thing *things, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        things[i].number = i;
        assert_int_equal(nj_index_add(index, &things[i].node, hash_of(i)), NJ_OK);
    }
}

static struct thing *find(const struct nj_index *index, uint32_t number)
{
    for (struct nj_index_node *node = nj_index_first(index, hash_of(number)); node;
         node = nj_index_next(node)) {
        struct thing *thing = NJ_CONTAINER(node, struct thing, node);
        if (thing->number == number) {
            return thing;
        }
    }
    return NULL;
}

static void finds_what_is_in_it_and_nothing_else(void **state)
{
    (void)state;
    static struct thing things[THINGS];
    struct nj_index index = {0};
    assert_null(find(&index, 0));
    add(&index, things, THINGS);
    assert_int_equal(index.count, THINGS);
    for (uint32_t i = 0; i < THINGS; i += 2) {
        nj_index_remove(&index, &things[i].node);
    }
    for (uint32_t i = 0; i < THINGS; i++) {
        assert_ptr_equal(find(&index, i), i % 2 ? &things[i] : NULL);
    }
    assert_int_equal(index.count, THINGS / 2);
    nj_index_fini(&index);
    assert_null(find(&index, 1));
}

static unsigned length_of(const struct nj_index *index, uint32_t slot)
{
    unsigned length = 0;
    for (const struct nj_index_node *node = index->slots[slot]; node; node = node->next) {
        length++;
    }
    return length;
}

static void keeps_chains_short(void **state)
{
    (void)state;
    static struct thing things[THINGS];
    struct nj_index index = {0};
    add(&index, things, THINGS);
    assert_int_equal(index.slot_count, THINGS);
    for (uint32_t i = 0; i < index.slot_count; i++) {
        /* Slots that were not split yet have twice the average, which is one. */
        assert_in_range(length_of(&index, i), 0, 16);
    }
    nj_index_fini(&index);
}

/* Whatever the size, an addition moves the nodes of one chain at most: nobody waits for a table to
 * be built anew. */
static void grows_by_one_slot_at_a_time(void **state)
{
    (void)state;
    static struct thing things[THINGS];
    struct nj_index index = {0};
    for (uint32_t i = 0; i < THINGS; i++) {
        things[i].number = i;
        uint32_t before = index.slot_count;
        assert_int_equal(nj_index_add(&index, &things[i].node, hash_of(i)), NJ_OK);
        assert_in_range(index.slot_count - before, 0, 1);
        for (uint32_t j = i; j < THINGS && i % 512 == 511; j = j > 511 ? j - 511 : THINGS) {
            assert_ptr_equal(find(&index, j), &things[j]);
        }
    }
    nj_index_fini(&index);
}

static void keeps_apart_what_has_the_same_hash(void **state)
{
    (void)state;
    struct thing things[3] = {{.number = 1}, {.number = 2}, {.number = 3}};
    struct nj_index index = {0};
    unsigned seen = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(nj_index_add(&index, &things[i].node, 77), NJ_OK);
    }
    nj_index_remove(&index, &things[1].node);
    for (struct nj_index_node *node = nj_index_first(&index, 77); node;
         node = nj_index_next(node)) {
        seen += NJ_CONTAINER(node, struct thing, node)->number;
    }
    assert_int_equal(seen, 4);
    assert_null(nj_index_first(&index, 77 + 8)); /* the same slot */
    nj_index_fini(&index);
}

static void fails_only_without_any_table(void **state)
{
    (void)state;
    static struct thing things[100];
    struct nj_index index = {0};
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    assert_int_equal(nj_index_add(&index, &things[0].node, hash_of(0)), NJ_ENOMEM);
    nj_fault_disarm();
    add(&index, things, 1);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    for (uint32_t i = 1; i < 100; i++) {
        things[i].number = i;
        assert_int_equal(nj_index_add(&index, &things[i].node, hash_of(i)), NJ_OK);
    }
    nj_fault_disarm();
    for (uint32_t i = 0; i < 100; i++) {
        assert_ptr_equal(find(&index, i), &things[i]);
    }
    nj_index_fini(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_in_it_and_nothing_else),
        cmocka_unit_test(keeps_chains_short),
        cmocka_unit_test(grows_by_one_slot_at_a_time),
        cmocka_unit_test(keeps_apart_what_has_the_same_hash),
        cmocka_unit_test(fails_only_without_any_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
