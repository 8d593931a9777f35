/* The persistent map against a sorted array; versions that stay what they were. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/pmap.h"
#include "support/test.h"

#define KEYS     64
#define STEPS    20000
#define VERSIONS 16

struct thing {
    uint32_t refs;
    char key[8];
    unsigned value;
};

static unsigned alive;
static uint32_t dice = 3;

static unsigned roll(unsigned sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 8) % sides;
}

static struct nj_bytes key_of(const void *item)
{
    return nj_bytes_of(((const struct thing *)item)->key);
}

static void *thing_ref(void *item)
{
    ((struct thing *)item)->refs++;
    return item;
}

static void thing_unref(void *item)
{
    struct thing *thing = item;
    if (--thing->refs == 0) {
        alive--;
        free(thing);
    }
}

static const struct nj_pmap_type type = {key_of, thing_ref, thing_unref};

static struct thing *make(unsigned key, unsigned value)
{
    struct thing *thing = calloc(1, sizeof(*thing));
    thing->refs = 1;
    thing->value = value;
    (void)snprintf(thing->key, sizeof(thing->key), "k%u", key);
    alive++;
    return thing;
}

/* The reference: values by key, 0 = none. */
struct model {
    unsigned values[KEYS];
};

static int by_text(const void *a, const void *b)
{
    char x[8];
    char y[8];
    (void)snprintf(x, sizeof(x), "k%u", *(const unsigned *)a);
    (void)snprintf(y, sizeof(y), "k%u", *(const unsigned *)b);
    return strcmp(x, y);
}

static bool add_value(void *arg, void *item)
{
    unsigned **at = arg;
    *(*at)++ = ((const struct thing *)item)->value;
    return true;
}

static void compare(const struct nj_pmap *map, const struct model *model)
{
    unsigned keys[KEYS];
    unsigned walked[KEYS];
    unsigned *at = walked;
    size_t count = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        keys[i] = i;
    }
    qsort(keys, KEYS, sizeof(keys[0]), by_text);
    assert_true(nj_pmap_walk(map, add_value, &at));
    for (unsigned i = 0; i < KEYS; i++) {
        char name[8];
        unsigned value = model->values[keys[i]];
        (void)snprintf(name, sizeof(name), "k%u", keys[i]);
        const struct thing *thing = nj_pmap_get(map, nj_bytes_of(name));
        assert_int_equal(thing ? thing->value : 0, value);
        assert_int_equal(nj_pmap_place(map, nj_bytes_of(name)), count);
        if (value) {
            assert_int_equal(((const struct thing *)nj_pmap_at(map, count))->value, value);
            assert_int_equal(walked[count], value);
            count++;
        }
    }
    assert_int_equal(nj_pmap_count(map), count);
    assert_null(nj_pmap_at(map, count));
    assert_int_equal(at - walked, count);
}

static void every_version_stays_what_it_was(void **state)
{
    struct nj_pmap versions[VERSIONS];
    static struct model models[VERSIONS];
    (void)state;
    for (int i = 0; i < VERSIONS; i++) {
        nj_pmap_init(&versions[i], &type);
    }
    for (unsigned step = 1; step <= STEPS; step++) {
        unsigned from = roll(VERSIONS);
        unsigned to = roll(VERSIONS);
        unsigned key = roll(KEYS);
        char name[8];
        (void)snprintf(name, sizeof(name), "k%u", key);
        if (from != to) {
            nj_pmap_fini(&versions[to]);
            versions[to] = nj_pmap_copy(&versions[from]);
            models[to] = models[from];
        }
        if (roll(5) < 3) {
            assert_int_equal(nj_pmap_put(&versions[to], make(key, step)), NJ_OK);
            models[to].values[key] = step;
        } else {
            enum nj_err err = nj_pmap_remove(&versions[to], nj_bytes_of(name));
            assert_int_equal(err, models[to].values[key] ? NJ_OK : NJ_ENOENT);
            models[to].values[key] = 0;
        }
        compare(&versions[to], &models[to]);
        if (step % 500 == 0) {
            for (int i = 0; i < VERSIONS; i++) {
                compare(&versions[i], &models[i]);
            }
        }
    }
    for (int i = 0; i < VERSIONS; i++) {
        nj_pmap_fini(&versions[i]);
    }
    assert_int_equal(alive, 0);
}

static void maps_are_built_from_sorted_items(void **state)
{
    (void)state;
    for (unsigned count = 0; count < 10; count++) {
        void *items[10];
        struct nj_pmap map;
        for (unsigned i = 0; i < count; i++) {
            items[i] = make(i, i + 1);
        }
        assert_int_equal(nj_pmap_build(&map, &type, items, count), NJ_OK);
        assert_int_equal(nj_pmap_count(&map), count);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(((struct thing *)nj_pmap_at(&map, i))->value, i + 1);
        }
        nj_pmap_fini(&map);
    }
    assert_int_equal(alive, 0);
}

static void without_memory_a_map_is_as_it_was(void **state)
{
    struct nj_pmap map;
    struct model model = {{0}};
    (void)state;
    nj_pmap_init(&map, &type);
    for (unsigned key = 0; key < KEYS; key++) {
        for (uint64_t nth = 1;; nth++) {
            nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
            enum nj_err err = nj_pmap_put(&map, make(key, key + 1));
            nj_fault_disarm();
            if (err == NJ_OK) {
                break;
            }
            assert_int_equal(err, NJ_ENOMEM);
            compare(&map, &model);
        }
        model.values[key] = key + 1;
    }
    for (unsigned key = 0; key < KEYS; key++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "k%u", key);
        for (uint64_t nth = 1;; nth++) {
            nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
            enum nj_err err = nj_pmap_remove(&map, nj_bytes_of(name));
            nj_fault_disarm();
            if (err == NJ_OK) {
                break;
            }
            assert_int_equal(err, NJ_ENOMEM);
            compare(&map, &model);
        }
        model.values[key] = 0;
    }
    nj_pmap_fini(&map);
    assert_int_equal(alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_stays_what_it_was),
        cmocka_unit_test(maps_are_built_from_sorted_items),
        cmocka_unit_test(without_memory_a_map_is_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
