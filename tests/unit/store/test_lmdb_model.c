/* Random groups against a store and a simple model of it; opened anew again and again, they have to
 * agree. The seed is printed when they do not. */
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "store/tool.h"
#include "support/test.h"

static void submit_some(struct model *model, struct rig *rig, unsigned groups)
{
    uint64_t cookie = 0;
    for (unsigned i = 0; i < groups; i++) {
        struct model_group group;
        model_group_make(model, &group);
        cookie = ++rig->next_cookie;
        assert_int_equal(nj_store_submit(rig->store, 0, group.ops, group.count, cookie, NULL),
                         NJ_OK);
        model_group_fini(&group);
        if (model_random(model, 8) == 0) {
            nj_store_flush(rig->store, 0);
        }
    }
    nj_store_flush(rig->store, 0);
    assert_int_equal(rig_wait(rig, 0, cookie), NJ_OK);
}

static void run(uint64_t seed, unsigned reopenings, unsigned groups, bool has_blobs)
{
    static struct model model;
    static struct rig rig;
    rig_init(&rig);
    model_init(&model, seed);
    model.has_blobs = has_blobs;
    assert_int_equal(rig_open(&rig), NJ_OK);
    for (unsigned i = 0; i < reopenings; i++) {
        submit_some(&model, &rig, 1 + (unsigned)model_random(&model, groups));
        rig_close(&rig);
        struct nj_store_check check;
        assert_int_equal(nj_store_check(rig.path, &check), NJ_OK);
        assert_true(check.records > 0);
        assert_int_equal(rig_open(&rig), NJ_OK);
        if (!model_equals(&model, &rig)) {
            (void)fprintf(stderr, "seed %llu, opening %u\n", (unsigned long long)seed, i);
            fail();
        }
        assert_int_equal(rig.failed, 0);
    }
    rig_fini(&rig);
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    const char *rounds = getenv("NIGHTJAR_MODEL_ROUNDS");
    uint64_t count = rounds ? strtoull(rounds, NULL, 10) : 6;
    for (uint64_t seed = 1; seed <= count; seed++) {
        run(seed, 12, 1500, seed % 3 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
