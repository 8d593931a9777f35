/* Disks that are full, slow or broken (ledger F-020, F-021): nothing is acknowledged that is not
 * kept, what shrinks goes on, it recovers by itself; after a failed sync nothing more is promised.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "disk.h"
#include "model.h"
#include "support/test.h"

#define OWNER 1

static struct rig rig;

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fail("", 0, 0, false);
    nj_fault_disarm();
    rig_fini(&rig);
    return 0;
}

static enum nj_err save(void)
{
    const struct nj_store_session session = {
        .owner = OWNER, .origin = {.client_id = NJ_BYTES_LIT("c")}, .away_ms = 1, .expiry_s = 9};
    const struct nj_store_op op = {
        .kind = NJ_STORE_SESSION_SAVE, .owner = OWNER, .session = &session};
    return rig_do(&rig, &op, 1);
}

static enum nj_err append(uint64_t seq, size_t bytes)
{
    struct nj_message *message = rig_message("t", bytes, 0);
    const struct nj_store_op op = {
        .kind = NJ_STORE_QUEUE_APPEND, .owner = OWNER, .seq = seq, .message = message};
    enum nj_err err = rig_do(&rig, &op, 1);
    nj_message_unref(message);
    return err;
}

static enum nj_err take_off(uint64_t seq)
{
    const struct nj_store_op op = {.kind = NJ_STORE_QUEUE_REMOVE, .owner = OWNER, .seq = seq};
    return rig_do(&rig, &op, 1);
}

static uint32_t rows_in_store(void)
{
    const struct nj_store_read read = {
        .owner = OWNER, .max_rows = UINT32_MAX, .max_bytes = UINT64_MAX, .with_flights = true};
    struct nj_store_rows *rows = rig_read(&rig, &read);
    assert_int_equal(rows->err, NJ_OK);
    uint32_t count = rows->count;
    nj_store_rows_free(rows);
    return count;
}

static enum nj_store_state state_now(char text[160])
{
    struct nj_store_status status;
    nj_store_status(rig.store, &status);
    if (text) {
        memcpy(text, status.text, sizeof(status.text));
    }
    return status.state;
}

/* A full store finds out by itself that it is not any more: nobody has to submit anything. */
static void wait_until_good(void)
{
    while (state_now(NULL) != NJ_STORE_GOOD) {
        (void)usleep(5000);
    }
}

/* Tries until the store takes rows again. */
static void append_until_taken(uint64_t seq)
{
    enum nj_err err;
    while ((err = append(seq, 100)) != NJ_OK) {
        assert_int_equal(err, NJ_ENOSPC);
        (void)usleep(20000);
    }
}

static void runs_over_every_write_that_fails(void **state)
{
    (void)state;
    static const int causes[] = {ENOSPC, EDQUOT, EIO, 0};
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(save(), NJ_OK);
    uint64_t seq = 0;
    uint32_t kept = 0;
    uint32_t refused = 0;
    for (unsigned nth = 1; nth <= 6; nth++) {
        for (unsigned cause = 0; cause < 4; cause++) {
            char text[160];
            disk_fail(rig.path, nth, causes[cause], true);
            for (int i = 0; i < 6; i++) {
                enum nj_err err = append(++seq, 3000);
                kept += err == NJ_OK;
                refused += err != NJ_OK;
                assert_true(err == NJ_OK || err == NJ_ENOSPC ||
                            (err == NJ_EIO && state_now(NULL) == NJ_STORE_FAILED));
            }
            if (state_now(text) == NJ_STORE_FAILED) {
                /* The write of the state itself failed: only a new start tells. */
                disk_fail("", 0, 0, false);
                rig_close(&rig);
                assert_int_equal(rig_open(&rig), NJ_OK);
                assert_in_range(rows_in_store(), kept, kept + 1);
                kept = rows_in_store();
            } else {
                assert_int_equal(state_now(NULL), NJ_STORE_FULL);
                assert_true(text[0] != '\0');
                disk_fail("", 0, 0, false);
                wait_until_good();
                assert_int_equal(append(++seq, 100), NJ_OK);
                kept++;
            }
            assert_int_equal(rows_in_store(), kept);
        }
    }
    assert_true(refused > 20);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rows_in_store(), kept);
}

static void takes_nothing_new_near_the_limit_but_lets_go(void **state)
{
    (void)state;
    rig.options.size_max = 4 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(save(), NJ_OK);
    uint64_t seq = 0;
    while (append(++seq, 2000) == NJ_OK) {
        assert_true(seq < 5000);
    }
    uint64_t full = seq - 1;
    assert_true(full > 500);
    while (state_now(NULL) != NJ_STORE_FULL) {
        assert_true(seq < 5000); /* on a slow machine it has looked for room again meanwhile */
        full += append(++seq, 2000) == NJ_OK;
    }
    assert_int_equal(rig.last_err, NJ_ENOSPC);
    assert_int_equal(rows_in_store(), full);
    for (uint64_t i = 1; i <= full / 2; i++) {
        assert_int_equal(take_off(i), NJ_OK);
    }
    append_until_taken(++seq);
    assert_int_equal(state_now(NULL), NJ_STORE_GOOD);
    assert_int_equal(rows_in_store(), full - full / 2 + 1);
}

static void promises_nothing_more_after_a_failed_sync(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        char text[160];
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_int_equal(save(), NJ_OK);
        uint32_t before = rows_in_store();
        nj_fault_arm(NJ_FAULT_SYNC, nth, false);
        uint32_t good = 0;
        for (uint64_t seq = 100 * nth; seq < 100 * nth + 5; seq++) {
            good += append(seq, 100) == NJ_OK;
        }
        nj_fault_disarm();
        assert_int_equal(good, nth - 1);
        assert_int_equal(rig.last_err, NJ_EIO);
        assert_int_equal(append(100 * nth + 50, 10), NJ_EIO); /* for ever, though the disk works */
        assert_int_equal(take_off(100 * nth), NJ_EIO);
        assert_int_equal(state_now(text), NJ_STORE_FAILED);
        assert_non_null(strstr(text, "started anew"));
        assert_int_equal(rows_in_store(), before + good); /* reading goes on */
        rig_close(&rig);
        rig.failed = 0;
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_in_range(rows_in_store(), before + good, before + good + 1);
        assert_int_equal(append(100 * nth + 60, 10), NJ_OK);
        rig_close(&rig);
    }
}

static void keeps_nothing_of_a_payload_that_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(save(), NJ_OK);
    nj_fault_arm(NJ_FAULT_WRITE, 1, false);
    assert_int_equal(append(1, 300000), NJ_ENOSPC);
    nj_fault_disarm();
    append_until_taken(2);
    assert_int_equal(append(3, 300000), NJ_OK);
    assert_int_equal(rows_in_store(), 2);
}

/* Memory that fails at every call, one after the other, for a script of groups (F-028). */
static void survives_without_memory(void **state)
{
    (void)state;
    static struct model model;
    model_init(&model, 5);
    assert_int_equal(rig_open(&rig), NJ_OK);
    for (uint64_t nth = 1; nth < 400; nth++) {
        struct model_group group;
        model_group_make(&model, &group);
        uint64_t cookie = ++rig.next_cookie;
        nj_fault_arm(NJ_FAULT_ALLOC, 1 + nth % 23, false);
        enum nj_err err = nj_store_submit(rig.store, 0, group.ops, group.count, cookie, NULL);
        nj_store_flush(rig.store, 0);
        if (err == NJ_OK) {
            (void)rig_wait(&rig, 0, cookie);
        }
        nj_fault_disarm();
        assert_true(err == NJ_OK || err == NJ_ENOMEM);
        model_group_fini(&group);
    }
    assert_true(rig.failed < 400);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), NJ_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_over_every_write_that_fails),
        TEST(takes_nothing_new_near_the_limit_but_lets_go),
        TEST(promises_nothing_more_after_a_failed_sync),
        TEST(keeps_nothing_of_a_payload_that_does_not_fit),
        TEST(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
