/* The durable store, one step at a time: what was completed is there after closing and opening. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "rig.h"
#include "store/lmdb_priv.h"
#include "support/test.h"

/* ---- what a load tells */

struct seen {
    unsigned sessions;
    unsigned subscriptions;
    unsigned wills;
    unsigned retained;
    struct nj_store_session session;
    struct nj_store_backlog backlog;
    char client_id[64];
    char user[64];
    char filter[600];
    char topic[64];
    uint64_t will_delay;
    uint64_t retained_expires_ms;
    size_t retained_bytes;
    bool retained_has_origin;
};

static void copy_text(char *to, struct nj_bytes from)
{
    if (from.len) {
        memcpy(to, from.ptr, from.len);
    }
    to[from.len] = '\0';
}

static enum nj_err see_session(void *arg, const struct nj_store_session *session,
                               const struct nj_store_backlog *backlog)
{
    struct seen *seen = arg;
    seen->sessions++;
    seen->session = *session;
    seen->backlog = *backlog;
    copy_text(seen->client_id, session->origin.client_id);
    copy_text(seen->user, session->origin.user);
    return NJ_OK;
}

static enum nj_err see_subscription(void *arg, uint64_t owner, struct nj_bytes filter,
                                    uint64_t value, uint32_t share)
{
    struct seen *seen = arg;
    assert_int_equal(owner, seen->session.owner);
    assert_int_equal(value, 77);
    assert_int_equal(share, 3);
    seen->subscriptions++;
    copy_text(seen->filter, filter);
    return NJ_OK;
}

static enum nj_err see_will(void *arg, uint64_t owner, struct nj_message *message, uint64_t delay_s)
{
    struct seen *seen = arg;
    assert_int_equal(owner, seen->session.owner);
    seen->wills++;
    seen->will_delay = delay_s;
    copy_text(seen->topic, nj_message_topic(message));
    return NJ_OK;
}

static enum nj_err see_retained(void *arg, struct nj_message *message,
                                const struct nj_store_origin *origin)
{
    struct seen *seen = arg;
    seen->retained++;
    seen->retained_expires_ms = message->expires_ms;
    seen->retained_bytes = message->payload_len;
    seen->retained_has_origin = origin != NULL;
    copy_text(seen->topic, nj_message_topic(message));
    return NJ_OK;
}

static struct seen load(struct rig *rig, struct nj_store_highest *highest)
{
    struct seen seen = {0};
    struct nj_store_highest unused;
    const struct nj_store_loader loader = {
        .arg = &seen,
        .session = see_session,
        .subscription = see_subscription,
        .will = see_will,
        .retained = see_retained,
    };
    assert_int_equal(nj_store_load(rig->store, &loader, highest ? highest : &unused), NJ_OK);
    return seen;
}

/* ---- helpers */

static struct nj_store_session session_of(uint64_t owner, uint64_t away_ms)
{
    return (struct nj_store_session){
        .owner = owner,
        .origin = {.user = NJ_BYTES_LIT("ann"),
                   .client_id = NJ_BYTES_LIT("meter-1"),
                   .scope = 2,
                   .by_certificate = true},
        .away_ms = away_ms,
        .expiry_s = 3600,
        .version = 5,
        .has_login = true,
        .is_bridge = true,
    };
}

static enum nj_err save(struct rig *rig, uint64_t owner, uint64_t away_ms)
{
    const struct nj_store_session session = session_of(owner, away_ms);
    const struct nj_store_op op = {
        .kind = NJ_STORE_SESSION_SAVE, .owner = owner, .session = &session};
    return rig_do(rig, &op, 1);
}

static enum nj_err append(struct rig *rig, uint64_t owner, uint64_t seq, uint16_t packet_id,
                          struct nj_message *message)
{
    const struct nj_store_op op = {
        .kind = NJ_STORE_QUEUE_APPEND,
        .owner = owner,
        .seq = seq,
        .packet_id = packet_id,
        .qos = 1,
        .message = message,
        .sub_id = 9,
    };
    return rig_do(rig, &op, 1);
}

static enum nj_err row_op(struct rig *rig, enum nj_store_op_kind kind, uint64_t owner, uint64_t seq,
                          uint16_t packet_id)
{
    const struct nj_store_op op = {
        .kind = kind, .owner = owner, .seq = seq, .packet_id = packet_id};
    return rig_do(rig, &op, 1);
}

static struct nj_store_rows *read_from(struct rig *rig, uint64_t owner, uint64_t from,
                                       uint32_t max_rows, bool with_flights)
{
    const struct nj_store_read read = {
        .owner = owner,
        .from_seq = from,
        .max_rows = max_rows,
        .max_bytes = 1 << 20,
        .with_flights = with_flights,
        .cookie = 42,
    };
    struct nj_store_rows *rows = rig_read(rig, &read);
    assert_int_equal(rows->cookie, 42);
    assert_int_equal(rows->err, NJ_OK);
    return rows;
}

/* ---- tests */

static void begins_empty(void **state)
{
    struct rig *rig = *state;
    struct nj_store_highest highest;
    assert_int_equal(rig_open(rig), NJ_OK);
    struct seen seen = load(rig, &highest);
    assert_int_equal(seen.sessions + seen.retained + seen.wills + seen.subscriptions, 0);
    assert_int_equal(highest.owner, 0);
    assert_int_equal(highest.seq, 0);
}

static void keeps_a_session_with_what_hangs_on_it(void **state)
{
    struct rig *rig = *state;
    char filter[500];
    memset(filter, 'x', sizeof(filter));
    assert_int_equal(rig_open(rig), NJ_OK);
    const struct nj_store_session session = session_of(5, 0);
    struct nj_message *will = rig_message("last/words", 10, 60000);
    const struct nj_store_op ops[] = {
        {.kind = NJ_STORE_SESSION_SAVE, .owner = 5, .session = &session},
        {.kind = NJ_STORE_SUBSCRIBE,
         .owner = 5,
         .bytes = NJ_BYTES_LIT("a/+"),
         .value = 77,
         .share = 3},
        {.kind = NJ_STORE_SUBSCRIBE,
         .owner = 5,
         .bytes = nj_bytes(filter, sizeof(filter)),
         .value = 77,
         .share = 3},
        {.kind = NJ_STORE_WILL_SET, .owner = 5, .message = will, .value = 30},
    };
    assert_int_equal(rig_do(rig, ops, 4), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    struct nj_store_highest highest;
    struct seen seen = load(rig, &highest);
    assert_int_equal(seen.sessions, 1);
    assert_int_equal(seen.subscriptions, 2);
    assert_int_equal(seen.wills, 1);
    assert_int_equal(seen.will_delay, 30);
    assert_string_equal(seen.client_id, "meter-1");
    assert_string_equal(seen.user, "ann");
    assert_int_equal(seen.session.expiry_s, 3600);
    assert_int_equal(seen.session.origin.scope, 2);
    assert_true(seen.session.has_login);
    assert_true(seen.session.is_bridge);
    assert_true(seen.session.origin.by_certificate);
    assert_true(highest.owner >= 5);
    const struct nj_store_op fewer[] = {
        {.kind = NJ_STORE_UNSUBSCRIBE, .owner = 5, .bytes = nj_bytes(filter, sizeof(filter))},
        {.kind = NJ_STORE_WILL_CLEAR, .owner = 5},
    };
    assert_int_equal(rig_do(rig, fewer, 2), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    seen = load(rig, NULL);
    assert_int_equal(seen.subscriptions, 1);
    assert_string_equal(seen.filter, "a/+");
    assert_int_equal(seen.wills, 0);
    nj_message_unref(will);
}

static void keeps_retained_messages_and_their_deadlines(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig), NJ_OK);
    struct nj_message *message = rig_message("state/1", 100, nj_clock_mono_ms() + 100000);
    struct nj_message *big = rig_message("state/2", 200000, 0);
    const struct nj_store_origin origin = {.client_id = NJ_BYTES_LIT("c"), .scope = 1};
    const struct nj_store_op ops[] = {
        {.kind = NJ_STORE_RETAIN_SET, .message = message, .origin = &origin},
        {.kind = NJ_STORE_RETAIN_SET, .message = big},
    };
    assert_int_equal(rig_do(rig, ops, 1), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    struct seen seen = load(rig, NULL);
    assert_int_equal(seen.retained, 1);
    assert_true(seen.retained_has_origin);
    assert_in_range(seen.retained_expires_ms, nj_clock_mono_ms() + 50000,
                    nj_clock_mono_ms() + 100001);
    const struct nj_store_op clear = {.kind = NJ_STORE_RETAIN_CLEAR,
                                      .bytes = NJ_BYTES_LIT("state/1")};
    assert_int_equal(rig_do(rig, &clear, 1), NJ_OK);
    assert_int_equal(rig_do(rig, ops + 1, 1), NJ_OK);
    assert_int_equal(rig_do(rig, ops + 1, 1), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    seen = load(rig, NULL);
    assert_int_equal(seen.retained, 1);
    assert_int_equal(seen.retained_bytes, 200000);
    assert_string_equal(seen.topic, "state/2");
    nj_message_unref(message);
    nj_message_unref(big);
}

/* What a start after an upgrade rewrites must not undo what came meanwhile on another lane. */
static void renames_only_the_retained_message_it_read(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig), NJ_OK);
    struct nj_message *old = rig_message("t", 10, 0);
    struct nj_message *newer = rig_message("t", 20, 0);
    const struct nj_store_origin placed = {.client_id = NJ_BYTES_LIT("c"), .scope = 1};
    const struct nj_store_origin named = {.client_id = NJ_BYTES_LIT("c"), .scope = 70000};
    const struct nj_store_op set = {.kind = NJ_STORE_RETAIN_SET, .message = old, .origin = &placed};
    const struct nj_store_op replace = {
        .kind = NJ_STORE_RETAIN_SET, .message = newer, .origin = &named};
    const struct nj_store_op rename = {
        .kind = NJ_STORE_RETAIN_SET, .message = old, .origin = &named, .value = 1 + 1};
    assert_int_equal(rig_do(rig, &rename, 1), NJ_OK); /* nothing there: nothing to rename */
    assert_int_equal(load(rig, NULL).retained, 0);
    assert_int_equal(rig_do(rig, &set, 1), NJ_OK);
    assert_int_equal(rig_do(rig, &replace, 1), NJ_OK);
    assert_int_equal(rig_do(rig, &rename, 1), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    struct seen seen = load(rig, NULL);
    assert_int_equal(seen.retained, 1);
    assert_int_equal(seen.retained_bytes, 20);
    assert_int_equal(rig_do(rig, &set, 1), NJ_OK);
    assert_int_equal(rig_do(rig, &rename, 1), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    seen = load(rig, NULL);
    assert_int_equal(seen.retained_bytes, 10);
    nj_message_unref(old);
    nj_message_unref(newer);
}

static void gives_rows_back_in_order_with_their_states(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 0), NJ_OK);
    struct nj_message *message = rig_message("t", 20, 0);
    assert_int_equal(append(rig, 1, 10, 7, message), NJ_OK);
    assert_int_equal(append(rig, 1, 11, 8, message), NJ_OK);
    assert_int_equal(append(rig, 1, 12, 0, message), NJ_OK);
    assert_int_equal(append(rig, 1, 13, 0, message), NJ_OK);
    assert_int_equal(append(rig, 2, 14, 0, message), NJ_OK); /* nobody's */
    assert_int_equal(row_op(rig, NJ_STORE_QUEUE_RELEASED, 1, 10, 0), NJ_OK);
    const struct nj_store_op put = {
        .kind = NJ_STORE_INCOMING_PUT, .owner = 1, .packet_id = 3, .message = message};
    assert_int_equal(rig_do(rig, &put, 1), NJ_OK);
    for (int round = 0; round < 2; round++) {
        struct nj_store_rows *rows = read_from(rig, 1, 0, 100, true);
        assert_int_equal(rows->count, 5);
        assert_int_equal(rows->row[0].state, NJ_STORE_ROW_INCOMING);
        assert_int_equal(rows->row[0].packet_id, 3);
        assert_int_equal(rows->row[1].seq, 10);
        assert_int_equal(rows->row[1].state, NJ_STORE_ROW_RELEASED);
        assert_int_equal(rows->row[1].packet_id, 7);
        assert_int_equal(rows->row[2].state, NJ_STORE_ROW_SENT);
        assert_int_equal(rows->row[3].seq, 12);
        assert_int_equal(rows->row[4].sub_id, 9);
        assert_int_equal(rows->row[4].message->payload_len, 20);
        assert_true(rows->is_end);
        nj_store_rows_free(rows);
        rig_close(rig);
        assert_int_equal(rig_open(rig), NJ_OK);
        struct seen seen = load(rig, NULL);
        assert_int_equal(seen.backlog.queued, 2);
        assert_int_equal(seen.backlog.flights, 2);
        assert_int_equal(seen.backlog.incoming, 1);
        assert_int_equal(seen.backlog.bytes, 40);
    }
    assert_int_equal(row_op(rig, NJ_STORE_QUEUE_SENT, 1, 12, 9), NJ_OK);
    assert_int_equal(row_op(rig, NJ_STORE_QUEUE_REMOVE, 1, 10, 0), NJ_OK);
    struct nj_store_rows *rows = read_from(rig, 1, 0, 100, false);
    assert_int_equal(rows->count, 1);
    assert_int_equal(rows->row[0].seq, 13);
    nj_store_rows_free(rows);
    nj_message_unref(message);
}

static void makes_pages_of_a_long_queue_and_drains_it_in_order(void **state)
{
    struct rig *rig = *state;
    enum {
        COUNT = 1000
    };
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    assert_int_equal(save(rig, 2, 1), NJ_OK);
    uint64_t cookie = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        struct nj_message *message = rig_message("t", i % 50, 0);
        struct nj_store_op ops[2] = {
            {.kind = NJ_STORE_QUEUE_APPEND, .owner = 1, .seq = 2 * i + 1, .qos = 1},
            {.kind = NJ_STORE_QUEUE_APPEND, .owner = 2, .seq = 2 * i + 2, .qos = 1},
        };
        ops[0].message = message;
        ops[1].message = message;
        cookie = rig_submit(rig, 0, ops, 2, NULL);
        nj_message_unref(message);
    }
    assert_int_equal(rig_wait(rig, 0, cookie), NJ_OK);
    rig_close(rig);
    assert_int_equal(rig_open(rig), NJ_OK);
    struct seen seen = load(rig, NULL);
    assert_int_equal(seen.backlog.queued, COUNT);
    uint64_t next = 0;
    uint64_t from = 0;
    bool is_end = false;
    while (!is_end) {
        struct nj_store_rows *rows = read_from(rig, 1, from, 37, false);
        for (uint32_t i = 0; i < rows->count; i++, next++) {
            assert_int_equal(rows->row[i].seq, 2 * next + 1);
            assert_int_equal(rows->row[i].message->payload_len, next % 50);
            from = rows->row[i].seq + 1;
            assert_int_equal(row_op(rig, next % 3 ? NJ_STORE_QUEUE_REMOVE : NJ_STORE_QUEUE_SENT, 1,
                                    rows->row[i].seq, 5),
                             NJ_OK);
        }
        is_end = rows->is_end;
        nj_store_rows_free(rows);
    }
    assert_int_equal(next, COUNT);
    struct nj_store_rows *rows = read_from(rig, 1, 0, 1, true);
    assert_int_equal(rows->count, (COUNT + 2) / 3);
    nj_store_rows_free(rows);
    const struct nj_store_op end = {.kind = NJ_STORE_SESSION_DELETE, .owner = 1};
    assert_int_equal(rig_do(rig, &end, 1), NJ_OK);
    rows = read_from(rig, 2, 0, 5000, true);
    assert_int_equal(rows->count, COUNT);
    nj_store_rows_free(rows);
}

static uint64_t pages_on_disk(struct rig *rig)
{
    struct nj_lmdb_env *env = &((struct nj_lmdb *)rig->store)->env;
    MDB_txn *txn;
    MDB_stat stat = {0};
    assert_int_equal(mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn), MDB_SUCCESS);
    assert_int_equal(mdb_stat(txn, env->dbi[NJ_LMDB_PAGE], &stat), MDB_SUCCESS);
    mdb_txn_abort(txn);
    return stat.ms_entries;
}

static void append_until(struct rig *rig, uint64_t from, uint64_t to, struct nj_message *message,
                         uint64_t pages)
{
    for (uint64_t seq = from; seq <= to; seq++) {
        assert_int_equal(append(rig, 1, seq, 0, message), NJ_OK);
    }
    while (pages_on_disk(rig) < pages) {
        (void)usleep(1000);
    }
}

/* Sequences rise, but another lane's group may come late. */
static void finds_and_orders_rows_that_come_late(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    struct nj_message *message = rig_message("t", 20, 0);
    append_until(rig, 11, 74, message, 1);
    const struct nj_store_op late = {
        .kind = NJ_STORE_QUEUE_APPEND, .owner = 1, .seq = 5, .qos = 1, .message = message};
    assert_int_equal(rig_wait(rig, 1, rig_submit(rig, 1, &late, 1, NULL)), NJ_OK);
    append_until(rig, 75, 201, message, 2);
    for (int round = 0; round < 2; round++) {
        struct nj_store_rows *rows = read_from(rig, 1, 0, 1000, false);
        assert_int_equal(rows->count, round ? 2 : 192);
        assert_int_equal(rows->row[0].seq, 5);
        for (uint32_t i = 1; i < rows->count; i++) {
            assert_true(rows->row[i].seq > rows->row[i - 1].seq);
        }
        assert_int_equal(rows->row[rows->count - 1].seq, round ? 20 : 201);
        nj_store_rows_free(rows);
        for (uint64_t seq = 11; !round && seq <= 201; seq++) {
            assert_true(seq == 20 || row_op(rig, NJ_STORE_QUEUE_REMOVE, 1, seq, 0) == NJ_OK);
        }
    }
    nj_message_unref(message);
}

static void removes_rows_whose_time_has_come_and_says_so(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    struct nj_message *soon = rig_message("t", 11, nj_clock_mono_ms() + 50);
    struct nj_message *late = rig_message("t", 13, nj_clock_mono_ms() + 5000000);
    for (uint64_t seq = 1; seq <= 200; seq++) {
        assert_int_equal(append(rig, 1, seq, seq == 1 ? 4 : 0, seq % 2 ? soon : late), NJ_OK);
    }
    (void)pthread_mutex_lock(&rig->lock);
    while (rig->expired < 99) {
        (void)pthread_cond_wait(&rig->changed, &rig->lock);
    }
    assert_int_equal(rig->expired, 99);
    assert_int_equal(rig->expired_bytes, 99 * 11);
    (void)pthread_mutex_unlock(&rig->lock);
    struct nj_store_rows *rows = read_from(rig, 1, 0, 1000, true);
    assert_int_equal(rows->count, 101); /* what is in flight does not expire */
    assert_int_equal(rows->row[0].seq, 1);
    assert_int_equal(rows->row[1].seq, 2);
    nj_store_rows_free(rows);
    nj_message_unref(soon);
    nj_message_unref(late);
}

static void f012_commits_joint_groups_together_or_not_at_all(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    struct nj_message *message = rig_message("t", 5, 0);
    const struct nj_store_op put = {
        .kind = NJ_STORE_INCOMING_PUT, .owner = 1, .packet_id = 3, .message = message};
    const struct nj_store_op release = {
        .kind = NJ_STORE_INCOMING_RELEASE, .owner = 1, .packet_id = 3};
    struct nj_store_op add = {
        .kind = NJ_STORE_QUEUE_APPEND, .owner = 1, .seq = 1, .message = message};
    assert_int_equal(rig_do(rig, &put, 1), NJ_OK);
    /* Crosswise, so that each lane's first part waits for the other's second. */
    struct nj_store_joint one = {.id = 1};
    struct nj_store_joint two = {.id = 2};
    (void)rig_submit(rig, 1, &add, 1, &one);
    (void)rig_submit(rig, 2, NULL, 0, &two);
    (void)rig_submit(rig, 1, NULL, 0, &two);
    uint64_t behind = rig_submit(rig, 1, &release, 0, NULL);
    one.parts = 2;
    two.parts = 3;
    uint64_t first = rig_submit(rig, 2, &release, 1, &one);
    uint64_t last = rig_submit(rig, 3, NULL, 0, &two);
    assert_int_equal(rig_wait(rig, 2, first), NJ_OK);
    assert_int_equal(rig_wait(rig, 3, last), NJ_OK);
    assert_int_equal(rig_wait(rig, 1, behind), NJ_OK);
    assert_int_equal(rig->failed, 0);
    struct nj_store_rows *rows = read_from(rig, 1, 0, 10, true);
    assert_int_equal(rows->count, 1);
    assert_int_equal(rows->row[0].seq, 1);
    nj_store_rows_free(rows);
    add.seq = 2;
    struct nj_store_joint three = {.id = 3, .is_aborted = true};
    uint64_t a = rig_submit(rig, 1, &add, 1, &three);
    three = (struct nj_store_joint){.id = 3, .parts = 2};
    uint64_t b = rig_submit(rig, 0, &add, 1, &three);
    (void)rig_wait(rig, 1, a);
    (void)rig_wait(rig, 0, b);
    assert_int_equal(rig->failed, 2);
    assert_int_equal(rig->last_err, NJ_ENOMEM);
    rows = read_from(rig, 1, 0, 10, true);
    assert_int_equal(rows->count, 1);
    nj_store_rows_free(rows);
    nj_message_unref(message);
}

static void tells_early_by_interval_and_writes_in_time(void **state)
{
    struct rig *rig = *state;
    static const enum nj_store_durability kinds[] = {NJ_STORE_INTERVAL, NJ_STORE_MEMORY};
    for (uint64_t owner = 1; owner <= 2; owner++) {
        struct nj_store_status before;
        struct nj_store_status after;
        rig->options.durability = kinds[owner - 1];
        rig->options.interval_ms = 100000;
        assert_int_equal(rig_open(rig), NJ_OK);
        nj_store_status(rig->store, &before);
        assert_int_equal(save(rig, owner, 1), NJ_OK);
        struct nj_message *message = rig_message("t", 20, 0);
        assert_int_equal(append(rig, owner, 10 * owner, 0, message), NJ_OK);
        nj_store_status(rig->store, &after);
        assert_int_equal(after.commits, before.commits); /* nothing is written yet */
        /* A read sees what was told, and so does the next start. */
        struct nj_store_rows *rows = read_from(rig, owner, 0, 10, false);
        assert_int_equal(rows->count, 1);
        nj_store_rows_free(rows);
        assert_int_equal(append(rig, owner, 10 * owner + 1, 0, message), NJ_OK);
        rig_close(rig);
        assert_int_equal(rig_open(rig), NJ_OK);
        rows = read_from(rig, owner, 0, 10, false);
        assert_int_equal(rows->count, 2);
        nj_store_rows_free(rows);
        rig_close(rig);
        nj_message_unref(message);
    }
}

/* ---- records that are lost */

static void take_from_table(struct rig *rig, enum nj_lmdb_table table, struct nj_record_key key)
{
    struct nj_lmdb_env env;
    MDB_txn *txn;
    MDB_val k = nj_lmdb_key(&key);
    assert_int_equal(nj_lmdb_env_open(&env, rig->path, 0), NJ_OK);
    assert_int_equal(mdb_txn_begin(env.env, NULL, 0, &txn), MDB_SUCCESS);
    assert_int_equal(mdb_del(txn, env.dbi[table], &k, NULL), MDB_SUCCESS);
    assert_int_equal(mdb_txn_commit(txn), MDB_SUCCESS);
    nj_lmdb_env_close(&env);
}

/* Numbers are never given out twice, also when the note of them is lost and the highest one stands
 * in a page only. */
static void finds_the_highest_number_in_pages(void **state)
{
    struct rig *rig = *state;
    enum {
        COUNT = 64
    };
    struct nj_store_highest highest;
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    assert_int_equal(save(rig, 2, 1), NJ_OK);
    for (uint64_t i = 0; i < COUNT; i++) {
        struct nj_store_op ops[2] = {
            {.kind = NJ_STORE_QUEUE_APPEND, .owner = 1, .seq = 2 * i + 1, .qos = 1},
            {.kind = NJ_STORE_QUEUE_APPEND, .owner = 2, .seq = 2 * i + 2, .qos = 1},
        };
        ops[0].message = ops[1].message =
            rig_message("t", 10, 0); /* one body, numbered by the first */
        assert_int_equal(rig_do(rig, ops, 2), NJ_OK);
        nj_message_unref(ops[0].message);
    }
    /* The pages are made after the last row was told: another commit, then they are there. */
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    assert_int_equal(save(rig, 2, 1), NJ_OK);
    rig_close(rig);
    take_from_table(rig, NJ_LMDB_META, nj_record_key_text("next seq"));
    assert_int_equal(rig_open(rig), NJ_OK);
    (void)load(rig, &highest);
    assert_true(highest.seq >= 2 * COUNT);
}

static void starts_without_a_payload_that_is_lost(void **state)
{
    struct rig *rig = *state;
    struct nj_store_status status;
    struct nj_message *big = rig_message("state/1", 200000, 0);
    struct nj_message *small = rig_message("state/2", 100, 0);
    const struct nj_store_op ops[] = {
        {.kind = NJ_STORE_RETAIN_SET, .message = big},
        {.kind = NJ_STORE_RETAIN_SET, .message = small},
    };
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(rig_do(rig, ops, 2), NJ_OK);
    rig_close(rig);
    take_from_table(rig, NJ_LMDB_BLOB, nj_record_key_u64(1));
    assert_int_equal(rig_open(rig), NJ_OK);
    struct seen seen = load(rig, NULL);
    assert_int_equal(seen.retained, 1);
    assert_string_equal(seen.topic, "state/2");
    nj_store_status(rig->store, &status);
    assert_int_equal(status.quarantined, 1);
    nj_message_unref(big);
    nj_message_unref(small);
}

/* ---- closing */

static struct nj_lmdb *closing_db;

static void done_when_it_closes(void *arg, unsigned lane, uint64_t cookie, enum nj_err err)
{
    for (bool is_closing = false; !is_closing;) {
        (void)usleep(1000);
        (void)pthread_mutex_lock(&closing_db->lock);
        is_closing = closing_db->is_closing;
        (void)pthread_mutex_unlock(&closing_db->lock);
    }
    struct rig *rig = arg;
    (void)pthread_mutex_lock(&rig->lock);
    rig->done[lane] = cookie;
    rig->failed += err != NJ_OK;
    (void)pthread_mutex_unlock(&rig->lock);
}

static uint64_t subscriptions_on_disk(struct rig *rig)
{
    struct nj_lmdb_env *env = &((struct nj_lmdb *)rig->store)->env;
    MDB_txn *txn;
    MDB_stat stat = {0};
    assert_int_equal(mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn), MDB_SUCCESS);
    assert_int_equal(mdb_stat(txn, env->dbi[NJ_LMDB_SUB], &stat), MDB_SUCCESS);
    mdb_txn_abort(txn);
    return stat.ms_entries;
}

/* What a deleted session leaves may be much: it is cleared away after the next start. */
static void closes_without_waiting_for_housekeeping(void **state)
{
    struct rig *rig = *state;
    enum {
        GROUPS = 5,
        SUBS = 1000
    };
    static struct nj_store_op ops[SUBS];
    static char filters[SUBS][16];
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_int_equal(save(rig, 1, 1), NJ_OK);
    for (unsigned group = 0; group < GROUPS; group++) {
        for (unsigned i = 0; i < SUBS; i++) {
            (void)snprintf(filters[i], sizeof(filters[i]), "a/%u/%u", group, i);
            ops[i] = (struct nj_store_op){
                .kind = NJ_STORE_SUBSCRIBE, .owner = 1, .bytes = nj_bytes_of(filters[i])};
        }
        assert_int_equal(rig_do(rig, ops, SUBS), NJ_OK);
    }
    closing_db = (struct nj_lmdb *)rig->store;
    closing_db->events.done = done_when_it_closes;
    const struct nj_store_op delete = {.kind = NJ_STORE_SESSION_DELETE, .owner = 1};
    (void)rig_submit(rig, 0, &delete, 1, NULL);
    rig_close(rig);
    assert_int_equal(rig->failed, 0);
    assert_int_equal(rig_open(rig), NJ_OK);
    assert_in_range(subscriptions_on_disk(rig), 1, GROUPS * SUBS);
    (void)load(rig, NULL); /* from here on it clears away */
    while (subscriptions_on_disk(rig)) {
        (void)usleep(1000);
    }
}

static int set_up(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_fini(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(begins_empty),
        TEST(keeps_a_session_with_what_hangs_on_it),
        TEST(keeps_retained_messages_and_their_deadlines),
        TEST(renames_only_the_retained_message_it_read),
        TEST(gives_rows_back_in_order_with_their_states),
        TEST(makes_pages_of_a_long_queue_and_drains_it_in_order),
        TEST(finds_and_orders_rows_that_come_late),
        TEST(removes_rows_whose_time_has_come_and_says_so),
        TEST(f012_commits_joint_groups_together_or_not_at_all),
        TEST(tells_early_by_interval_and_writes_in_time),
        TEST(finds_the_highest_number_in_pages),
        TEST(starts_without_a_payload_that_is_lost),
        TEST(closes_without_waiting_for_housekeeping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
