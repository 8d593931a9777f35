/* The database near its limit: what grows stays below nine tenths of it, whatever the clock says;
 * what shrinks goes on, whoever reads; what is full recovers by itself (ledger F-020). */
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "disk.h"
#include "rig.h"
#include "store/lmdb_priv.h"
#include "support/test.h"

static struct rig rig;

/* ---- a process that reads: LMDB does not let one open a database twice */

struct holder {
    pid_t pid;
    int to;
    int from;
};

static struct holder holder;

static void hold(int from, int to)
{
    struct nj_lmdb_env env;
    MDB_txn *txn;
    char byte;
    if (read(from, &byte, 1) == 1 && nj_lmdb_env_open_readonly(&env, rig.path) == NJ_OK &&
        mdb_txn_begin(env.env, NULL, MDB_RDONLY, &txn) == MDB_SUCCESS && write(to, "h", 1) == 1) {
        (void)!read(from, &byte, 1);
        mdb_txn_abort(txn);
        nj_lmdb_env_close(&env);
    }
    _exit(0);
}

/* Before the store is open: a child has none of its threads. */
static void holder_start(void)
{
    int there[2];
    int back[2];
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(back), 0);
    holder.pid = fork();
    assert_true(holder.pid >= 0);
    if (holder.pid == 0) {
        (void)close(there[1]);
        (void)close(back[0]);
        hold(there[0], back[1]);
    }
    (void)close(there[0]);
    (void)close(back[1]);
    holder.to = there[1];
    holder.from = back[0];
}

/* What the store has now is held from here on. */
static void holder_hold(void)
{
    char byte;
    assert_int_equal(write(holder.to, "h", 1), 1);
    assert_int_equal(read(holder.from, &byte, 1), 1);
}

static void holder_end(int signal)
{
    if (signal) {
        (void)kill(holder.pid, signal);
    }
    (void)close(holder.to);
    (void)waitpid(holder.pid, NULL, 0);
    (void)close(holder.from);
    holder.pid = 0;
}

/* ---- */

static int set_up(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_room(UINT64_MAX);
    if (holder.pid > 0) {
        holder_end(SIGKILL);
    }
    rig_fini(&rig);
    return 0;
}

static struct nj_lmdb_env *env_of_store(void)
{
    return &((struct nj_lmdb *)rig.store)->env;
}

/* By what the database itself says. */
/* The writer changes it when it likes. */
static uint64_t map_bytes_now(void)
{
    struct nj_lmdb_env *env = env_of_store();
    (void)pthread_rwlock_rdlock(&env->map_lock);
    uint64_t bytes = env->map_bytes;
    (void)pthread_rwlock_unlock(&env->map_lock);
    return bytes;
}

static uint64_t live_bytes(void)
{
    MDB_txn *txn;
    assert_int_equal(mdb_txn_begin(env_of_store()->env, NULL, MDB_RDONLY, &txn), MDB_SUCCESS);
    uint64_t live = nj_lmdb_env_live(env_of_store(), txn);
    mdb_txn_abort(txn);
    return live;
}

/* Returns the last row that was taken. */
static uint64_t fill_up(uint64_t seq)
{
    while (rig_append(&rig, seq, 2000, 0) == NJ_OK) {
        seq++;
    }
    assert_int_equal(rig.last_err, NJ_ENOSPC);
    assert_int_equal(rig_state(&rig, NULL), NJ_STORE_FULL);
    return seq - 1;
}

static void deletes_though_a_reader_holds_every_free_page(void **state)
{
    (void)state;
    holder_start();
    rig.options.size_max = 4 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t full = fill_up(1);
    holder_hold();
    for (uint64_t seq = 1; seq <= full / 2; seq++) {
        assert_int_equal(rig_take_off(&rig, seq), NJ_OK);
    }
    assert_int_equal(rig_rows_in_store(&rig), full - full / 2);
    /* The file is larger than its limit now; what grows stays within what was used. */
    assert_true(map_bytes_now() > rig.options.size_max);
    holder_end(0);
    rig_append_until_taken(&rig, full + 2);
    assert_true(live_bytes() <= rig.options.size_max);
    /* Opened again with the same limit, it is larger than that. */
    rig_close(&rig);
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_rows_in_store(&rig), full - full / 2 + 1);
    assert_int_equal(rig_append(&rig, full + 3, 2000, 0), NJ_OK);
}

static void uses_again_what_a_dead_reader_held(void **state)
{
    (void)state;
    holder_start();
    rig.options.size_max = 4 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t full = fill_up(1);
    holder_hold();
    for (uint64_t seq = 1; seq <= full; seq++) {
        assert_int_equal(rig_take_off(&rig, seq), NJ_OK);
    }
    holder_end(SIGKILL);
    uint64_t map_bytes = map_bytes_now();
    rig_append_until_taken(&rig, full + 1);
    assert_true(fill_up(full + 2) > full + full / 2);
    assert_true(map_bytes_now() <= map_bytes);
}

static void what_grows_stays_below_nine_tenths(void **state)
{
    (void)state;
    enum {
        ROWS = 20
    };
    static struct nj_store_op ops[ROWS];
    rig.options.size_max = 8 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t seq = 0;
    uint64_t taken = 0;
    for (enum nj_err err = NJ_OK; err == NJ_OK;) {
        for (uint64_t i = 0; i < ROWS; i++) {
            ops[i] = (struct nj_store_op){.kind = NJ_STORE_QUEUE_APPEND,
                                          .owner = RIG_OWNER,
                                          .seq = ++seq,
                                          .message = rig_message("t", 2000, 0)};
        }
        err = rig_do(&rig, ops, ROWS);
        taken += err == NJ_OK ? ROWS : 0;
        for (uint64_t i = 0; i < ROWS; i++) {
            nj_message_unref(ops[i].message);
        }
    }
    assert_int_equal(rig.last_err, NJ_ENOSPC);
    /* The list of free pages is written last and may take some. */
    uint64_t nine_tenths = rig.options.size_max / 10 * 9;
    assert_in_range(live_bytes(), nine_tenths - 128 * 4096, nine_tenths + 8 * 4096);
    assert_int_equal(rig_rows_in_store(&rig), taken);
}

/* Nobody submits anything any more: the rows leave by themselves. */
static void a_full_store_lets_expired_rows_go(void **state)
{
    (void)state;
    rig.options.size_max = 4 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t seq = 0;
    uint64_t taken = 0;
    enum nj_err err = NJ_OK;
    /* On a slow machine they may be gone before it is full: then with more time. */
    for (uint64_t wait_ms = 500; err == NJ_OK; wait_ms *= 2) {
        uint64_t deadline_ms = nj_clock_mono_ms() + wait_ms;
        while (err == NJ_OK && nj_clock_mono_ms() < deadline_ms) {
            err = rig_append(&rig, ++seq, 2000, deadline_ms);
            taken += err == NJ_OK;
        }
    }
    assert_int_equal(err, NJ_ENOSPC);
    (void)pthread_mutex_lock(&rig.lock);
    while (rig.expired < taken) {
        (void)pthread_cond_wait(&rig.changed, &rig.lock);
    }
    (void)pthread_mutex_unlock(&rig.lock);
    rig_wait_until_good(&rig);
    assert_int_equal(rig_rows_in_store(&rig), 0);
}

static void takes_nothing_that_the_disk_has_no_room_for(void **state)
{
    (void)state;
    char text[160];
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    assert_int_equal(rig_append(&rig, 1, 100, 0), NJ_OK);
    assert_int_equal(rig_append(&rig, 2, 100, 0), NJ_OK);
    disk_room((16 << 20) + 100000);
    assert_int_equal(rig_append(&rig, 3, 10000, 0), NJ_OK);
    assert_int_equal(rig_append(&rig, 4, 60000, 0), NJ_ENOSPC);
    assert_int_equal(rig_state(&rig, text), NJ_STORE_FULL);
    assert_non_null(strstr(text, "hardly any room"));
    assert_int_equal(rig_take_off(&rig, 1), NJ_OK);
    disk_room(0);
    assert_int_equal(rig_take_off(&rig, 2), NJ_OK);
    assert_int_equal(rig_append(&rig, 5, 100, 0), NJ_ENOSPC);
    disk_room(UINT64_MAX);
    rig_append_until_taken(&rig, 6);
    assert_int_equal(rig_rows_in_store(&rig), 2);
}

/* ---- durability by interval: acknowledged first, written later */

static uint64_t broken_promises(void)
{
    struct nj_store_status status;
    nj_store_status(rig.store, &status);
    return status.broken;
}

static void keeps_what_it_told_early_near_the_limit(void **state)
{
    (void)state;
    rig.options.durability = NJ_STORE_INTERVAL;
    rig.options.interval_ms = 20;
    rig.options.size_max = 4 << 20;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t taken = 0;
    while (rig_append(&rig, taken + 1, 2000, 0) == NJ_OK) {
        taken++;
    }
    assert_int_equal(rig.last_err, NJ_ENOSPC);
    assert_true(taken > 500);
    assert_int_equal(broken_promises(), 0);
    assert_int_equal(rig_rows_in_store(&rig), taken);
}

static void counts_what_it_told_early_and_could_not_keep(void **state)
{
    (void)state;
    rig.options.durability = NJ_STORE_INTERVAL;
    rig.options.interval_ms = 100000;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    for (uint64_t seq = 1; seq <= 10; seq++) {
        assert_int_equal(rig_append(&rig, seq, 100, 0), NJ_OK);
    }
    assert_int_equal(rig_rows_in_store(&rig), 10); /* a read makes it write */
    assert_int_equal(broken_promises(), 0);
    disk_room(0);
    for (uint64_t seq = 11; seq <= 15; seq++) {
        assert_int_equal(rig_append(&rig, seq, 100, 0), NJ_OK);
    }
    assert_int_equal(rig_rows_in_store(&rig), 10);
    while (broken_promises() < 5) {
        (void)usleep(1000);
    }
    assert_int_equal(broken_promises(), 5);
    assert_int_equal(rig_state(&rig, NULL), NJ_STORE_FULL);
}

static void tells_nothing_before_what_came_before_it(void **state)
{
    (void)state;
    rig.options.durability = NJ_STORE_INTERVAL;
    rig.options.interval_ms = 50;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    assert_int_equal(rig_append(&rig, 1, 100, 0), NJ_OK);
    assert_int_equal(rig_rows_in_store(&rig), 1);
    disk_room(0);
    (void)rig_append(&rig, 2, 100, 0);
    assert_int_equal(rig_rows_in_store(&rig), 1);
    assert_int_equal(rig_state(&rig, NULL), NJ_STORE_FULL);
    const struct nj_store_op off = {.kind = NJ_STORE_QUEUE_REMOVE, .owner = RIG_OWNER, .seq = 1};
    uint64_t grows = rig_submit_append(&rig, 3, 100, 0);
    uint64_t shrinks = rig_submit(&rig, 0, &off, 1, NULL);
    assert_int_equal(rig_wait(&rig, 0, shrinks), NJ_OK);
    assert_int_equal(rig.failed_cookie, grows);
    assert_false(rig.is_wrong);
    assert_int_equal(rig_rows_in_store(&rig), 0);
}

/* ---- payloads in files of their own */

/* A read whose transaction is older than the commit that let go of the file. */
static void tells_a_file_that_went_from_one_that_is_lost(void **state)
{
    (void)state;
    char path[128];
    struct nj_lmdb *db;
    struct nj_record_message record;
    MDB_txn *txn;
    MDB_val value;
    enum nj_err err;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    db = (struct nj_lmdb *)rig.store;
    for (uint64_t seq = 1; seq <= 2; seq++) {
        struct nj_record_key key = nj_record_key_u64(seq);
        MDB_val k = nj_lmdb_key(&key);
        assert_int_equal(rig_append(&rig, seq, 300000, 0), NJ_OK);
        assert_int_equal(mdb_txn_begin(db->env.env, NULL, MDB_RDONLY, &txn), MDB_SUCCESS);
        assert_int_equal(mdb_get(txn, db->env.dbi[NJ_LMDB_BODY], &k, &value), MDB_SUCCESS);
        assert_int_equal(nj_record_get_message(NJ_TABLE_BODY, nj_bytes(key.bytes, key.len),
                                               nj_lmdb_bytes(value), &record),
                         NJ_OK);
        if (seq == 1) {
            assert_int_equal(rig_take_off(&rig, seq), NJ_OK);
        } else {
            (void)snprintf(path, sizeof(path), "%s/blobs/%016llx", rig.path,
                           (unsigned long long)record.blob);
            assert_int_equal(unlink(path), 0);
        }
        assert_null(nj_lmdb_message_load(db, txn, &record, false, &err));
        assert_int_equal(err, seq == 1 ? NJ_EAGAIN : NJ_EMALFORMED);
        mdb_txn_abort(txn);
    }
    assert_int_equal(rig_rows_in_store(&rig), 0); /* the lost one is counted */
    struct nj_store_status status;
    nj_store_status(rig.store, &status);
    assert_int_equal(status.quarantined, 1);
}

/* ---- the map grows */

static void *ask_for_status(void *arg)
{
    _Atomic bool *is_over = arg;
    uint64_t last = 0;
    while (!*is_over) {
        struct nj_store_status status;
        nj_store_status(rig.store, &status);
        last = status.bytes_used;
    }
    return last > 0 ? arg : NULL;
}

static void tells_its_status_while_the_map_moves(void **state)
{
    (void)state;
    _Atomic bool is_over = false;
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t first = map_bytes_now();
    assert_int_equal(pthread_create(&thread, NULL, ask_for_status, &is_over), 0);
    for (uint64_t seq = 1; seq <= 900; seq++) {
        assert_int_equal(rig_append(&rig, seq, 60000, 0), NJ_OK);
    }
    is_over = true;
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
    assert_true(map_bytes_now() > first);
}

#ifndef __SANITIZE_ADDRESS__
static void goes_on_when_the_address_space_ends(void **state)
{
    (void)state;
    struct rlimit before;
    struct nj_store_status status;
    unsigned long pages = 0;
    assert_int_equal(rig_open(&rig), NJ_OK);
    assert_int_equal(rig_save(&rig), NJ_OK);
    uint64_t seq = 0;
    while (++seq <= 500) {
        assert_int_equal(rig_append(&rig, seq, 60000, 0), NJ_OK);
    }
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    (void)fclose(file);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit tight = before;
    tight.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (32 << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    while (rig_append(&rig, seq, 60000, 0) == NJ_OK) {
        seq++;
    }
    assert_int_equal(rig.last_err, NJ_ENOSPC);
    nj_store_status(rig.store, &status);
    assert_int_equal(status.bytes_max, 64 << 20);
    for (uint64_t i = 1; i < seq; i++) {
        assert_int_equal(rig_take_off(&rig, i), NJ_OK);
    }
    rig_append_until_taken(&rig, seq + 1);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
}
#endif

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deletes_though_a_reader_holds_every_free_page),
        TEST(uses_again_what_a_dead_reader_held),
        TEST(what_grows_stays_below_nine_tenths),
        TEST(a_full_store_lets_expired_rows_go),
        TEST(takes_nothing_that_the_disk_has_no_room_for),
        TEST(keeps_what_it_told_early_near_the_limit),
        TEST(counts_what_it_told_early_and_could_not_keep),
        TEST(tells_nothing_before_what_came_before_it),
        TEST(tells_a_file_that_went_from_one_that_is_lost),
        TEST(tells_its_status_while_the_map_moves),
#ifndef __SANITIZE_ADDRESS__
        TEST(goes_on_when_the_address_space_ends),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
