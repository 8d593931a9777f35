/* Disks that are full, slow or broken (ledger F-020, F-021): nothing is acknowledged that is not
 * kept, what shrinks goes on, it recovers by itself; after a failed sync nothing more is promised.
 */
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "disk.h"
#include "model.h"
#include "store/tool.h"
#include "support/test.h"

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

static void runs_over_every_write_that_fails(void **state)
{
    (void)state;
    static const int causes[] = {ENOSPC, EDQUOT, EIO, 0};
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t seq = 0;
    uint32_t kept = 0;
    uint32_t refused = 0;
    for (unsigned nth = 1; nth <= 6; nth++) {
        for (unsigned cause = 0; cause < 4; cause++) {
            char text[160];
            disk_fail(rig.path, nth, causes[cause], true);
            for (int i = 0; i < 6; i++) {
                enum nj_err err = rig_append(&rig, ++seq, 3000, 0);
                kept += err == NJ_OK;
                refused += err != NJ_OK;
                assert_true(err == NJ_OK || err == NJ_ENOSPC ||
                            (err == NJ_EIO && rig_state(&rig, NULL) == NJ_STORE_FAILED));
            }
            if (rig_state(&rig, text) == NJ_STORE_FAILED) {
                /* The write of the state itself failed: only a new start tells. */
                disk_fail("", 0, 0, false);
                rig_close(&rig);
                assert_int_equal(rig_open(&rig), NJ_OK);
                assert_in_range(rig_rows_in_store(&rig), kept, kept + 1);
                kept = rig_rows_in_store(&rig);
            } else {
                assert_int_equal(rig_state(&rig, NULL), NJ_STORE_FULL);
                assert_true(text[0] != '\0');
                disk_fail("", 0, 0, false);
                rig_wait_until_good(&rig);
                assert_int_equal(rig_append(&rig, ++seq, 100, 0), NJ_OK);
                kept++;
            }
            assert_int_equal(rig_rows_in_store(&rig), kept);
        }
    }
    assert_true(refused > 20);
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_rows_in_store(&rig), kept);
}

static void f020_takes_nothing_new_near_the_limit_but_lets_go(void **state)
{
    (void)state;
    rig.options.size_max = 4 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t seq = 0;
    while (rig_append(&rig, ++seq, 2000, 0) == NJ_OK) {
        assert_true(seq < 5000);
    }
    uint64_t full = seq - 1;
    assert_true(full > 500);
    while (rig_state(&rig, NULL) != NJ_STORE_FULL) {
        assert_true(seq < 5000); /* on a slow machine it has looked for room again meanwhile */
        full += rig_append(&rig, ++seq, 2000, 0) == NJ_OK;
    }
    assert_int_equal(rig.last_err, NJ_ENOSPC);
    assert_int_equal(rig_rows_in_store(&rig), full);
    for (uint64_t i = 1; i <= full / 2; i++) {
        assert_int_equal(rig_take_off(&rig, i), NJ_OK);
    }
    rig_append_until_taken(&rig, ++seq);
    assert_int_equal(rig_state(&rig, NULL), NJ_STORE_GOOD);
    assert_int_equal(rig_rows_in_store(&rig), full - full / 2 + 1);
}

static void f021_promises_nothing_more_after_a_failed_sync(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 2; nth++) {
        char text[160];
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_int_equal(rig_save(&rig), NJ_OK);
        uint32_t before = rig_rows_in_store(&rig);
        nj_fault_arm(NJ_FAULT_SYNC, nth, false);
        uint32_t good = 0;
        for (uint64_t seq = 100 * nth; seq < 100 * nth + 5; seq++) {
            good += rig_append(&rig, seq, 100, 0) == NJ_OK;
        }
        nj_fault_disarm();
        assert_int_equal(good, nth - 1);
        assert_int_equal(rig.last_err, NJ_EIO);
        assert_int_equal(rig_append(&rig, 100 * nth + 50, 10, 0),
                         NJ_EIO); /* for ever, though the disk works */
        assert_int_equal(rig_take_off(&rig, 100 * nth), NJ_EIO);
        assert_int_equal(rig_state(&rig, text), NJ_STORE_FAILED);
        assert_non_null(strstr(text, "started anew"));
        assert_int_equal(rig_rows_in_store(&rig), before + good); /* reading goes on */
        rig_close(&rig);
        rig.failed = 0;
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_in_range(rig_rows_in_store(&rig), before + good, before + good + 1);
        assert_int_equal(rig_append(&rig, 100 * nth + 60, 10, 0), NJ_OK);
        rig_close(&rig);
    }
}

static void keeps_nothing_of_a_payload_that_does_not_fit(void **state)
{
    (void)state;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    nj_fault_arm(NJ_FAULT_WRITE, 1, false);
    assert_int_equal(rig_append(&rig, 1, 300000, 0), NJ_ENOSPC);
    nj_fault_disarm();
    rig_append_until_taken(&rig, 2);
    assert_int_equal(rig_append(&rig, 3, 300000, 0), NJ_OK);
    assert_int_equal(rig_rows_in_store(&rig), 2);
}

static enum nj_err see_retained(void *arg, struct nj_message *message,
                                const struct nj_store_origin *origin)
{
    size_t *bytes = arg;
    (void)origin;
    *bytes = message->payload_len;
    return NJ_OK;
}

static size_t retained_in_store(void)
{
    size_t bytes = 0;
    struct nj_store_highest highest;
    const struct nj_store_loader loader = {.arg = &bytes, .retained = see_retained};
    assert_int_equal(nj_store_load(rig.store, &loader, &highest), NJ_OK);
    return bytes;
}

static enum nj_err retain(size_t bytes)
{
    struct nj_message *message = rig_message("state", bytes, 0);
    const struct nj_store_op op = {.kind = NJ_STORE_RETAIN_SET, .message = message};
    enum nj_err err = rig_do(&rig, &op, 1);
    nj_message_unref(message);
    return err;
}

/* The page that names the new state is written, the system says that it is not: the old message has
 * been replaced then, and the new one's payload must not be gone. */
static void keeps_the_payload_of_a_state_in_doubt(void **state)
{
    (void)state;
    uint32_t in_doubt = 0;
    for (uint64_t nth = 1; nth <= 6; nth++) {
        struct nj_store_status status;
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_int_equal(retain(200000), NJ_OK);
        disk_lie(rig.path, nth);
        assert_true(retain(300000) != NJ_OK || disk_failed() == 0);
        rig_close(&rig);
        disk_fail("", 0, 0, false);
        assert_int_equal(rig_open(&rig), NJ_OK);
        size_t bytes = retained_in_store();
        assert_true(bytes == 200000 || bytes == 300000);
        in_doubt += rig.last_err != NJ_OK && bytes == 300000;
        nj_store_status(rig.store, &status);
        assert_int_equal(status.quarantined, 0);
        rig_close(&rig);
        rig.last_err = NJ_OK;
    }
    assert_true(in_doubt > 0);
}

/* ---- a start that is killed, again and again */

static void path_of_database(char path[128])
{
    (void)snprintf(path, 128, "%s/data.mdb", rig.path);
}

#define ROWS 300

/* A database with one page zeroed: it is damaged then, and much of it sound. Nothing for
 * housekeeping to do, so that it is always the same. */
static void make_damaged(struct nj_buf *image)
{
    static struct nj_store_op ops[ROWS + 1];
    const struct nj_store_session session = {
        .owner = RIG_OWNER, .origin = {.client_id = NJ_BYTES_LIT("c")}, .expiry_s = 9};
    char path[128];
    ops[0] = (struct nj_store_op){
        .kind = NJ_STORE_SESSION_SAVE, .owner = RIG_OWNER, .session = &session};
    for (uint64_t seq = 1; seq <= ROWS; seq++) {
        ops[seq] = (struct nj_store_op){.kind = NJ_STORE_QUEUE_APPEND,
                                        .owner = RIG_OWNER,
                                        .seq = seq,
                                        .message = rig_message("t", 2000, 0)};
    }
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_do(&rig, ops, ROWS + 1), NJ_OK);
    /* Both states that the file knows have the rows. */
    assert_int_equal(rig_do(&rig, ops, 1), NJ_OK);
    assert_int_equal(rig_do(&rig, ops, 1), NJ_OK);
    rig_close(&rig);
    for (uint64_t seq = 1; seq <= ROWS; seq++) {
        nj_message_unref(ops[seq].message);
    }
    nj_buf_init(image);
    path_of_database(path);
    assert_int_equal(nj_file_read(path, 1 << 30, true, image), NJ_OK);
    memset(image->data + image->len / 4096 / 2 * 4096, 0, 4096);
}

/* Alone in a directory of its own. */
static void put_damaged(const struct nj_buf *image)
{
    char path[128];
    rig_fini(&rig);
    rig_init(&rig);
    path_of_database(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, image->data, image->len), (ssize_t)image->len);
    (void)close(fd);
}

static enum nj_err open_it(void)
{
    return rig_open(&rig);
}

static enum nj_err compact_it(void)
{
    uint64_t before;
    uint64_t after;
    return nj_store_compact(rig.path, &before, &after);
}

/* Before its n-th step; false when it came to its end. */
static bool is_killed(enum nj_err (*work)(void), uint64_t nth)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        disk_die(rig.path, nth);
        _exit(work() == NJ_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 1);
    return WEXITSTATUS(status) != 0;
}

static void f008_takes_over_what_is_sound_however_often_it_is_killed(void **state)
{
    (void)state;
    enum {
        DEEP = 10
    };
    struct nj_buf image;
    make_damaged(&image);
    put_damaged(&image);
    assert_int_equal(rig_open(&rig), NJ_OK);
    uint32_t sound = rig_rows_in_store(&rig);
    assert_in_range(sound, 1, ROWS - 1);
    uint64_t kills = 0;
    for (uint64_t nth = 1, before = UINT64_MAX; kills != before; nth++) {
        before = kills;
        put_damaged(&image);
        for (unsigned deep = 0; deep < DEEP && is_killed(open_it, nth); deep++) {
            kills++;
        }
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_int_equal(rig_rows_in_store(&rig), sound);
    }
    assert_true(kills > 10 * (uint64_t)DEEP);
    nj_buf_fini(&image);
}

static void f013_compacting_that_is_killed_changes_nothing(void **state)
{
    (void)state;
    uint64_t nth = 0;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    for (uint64_t seq = 1; seq <= 100; seq++) {
        assert_int_equal(rig_append(&rig, seq, 2000, 0), NJ_OK);
    }
    do {
        rig_close(&rig);
        bool is_over = !is_killed(compact_it, ++nth);
        assert_int_equal(rig_open(&rig), NJ_OK);
        assert_int_equal(rig_rows_in_store(&rig), 100);
        if (is_over) {
            break;
        }
    } while (nth < 1000);
    assert_in_range(nth, 3, 999);
    assert_int_equal(rig_append(&rig, 101, 100, 0), NJ_OK);
}

/* Memory that fails at every call, one after the other, for a script of groups (F-028). */
static void f028_survives_without_memory(void **state)
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
        TEST(f020_takes_nothing_new_near_the_limit_but_lets_go),
        TEST(f021_promises_nothing_more_after_a_failed_sync),
        TEST(keeps_nothing_of_a_payload_that_does_not_fit),
        TEST(keeps_the_payload_of_a_state_in_doubt),
        TEST(f008_takes_over_what_is_sound_however_often_it_is_killed),
        TEST(f013_compacting_that_is_killed_changes_nothing),
        TEST(f028_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
