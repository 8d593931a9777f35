/* Sessions: claim, take-over, owner, expiry, wills, the table and the timers. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/flow.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/timers.h"
#include "fixture.h"

/* ---- claims */

static void resumes_a_stored_session_and_says_so(void **state)
{
    (void)state;
    struct rig_client *client = rig_connect_stored(&rig, "c");
    assert_false(client->was_present);
    rig_sub(client, "t", 1);
    rig_break(client);
    client = rig_connect_stored(&rig, "c");
    assert_true(client->was_present);
    assert_int_equal(rig_session(&rig, "c")->sub_count, 1);
    rig_break(client);
    client = rig_connect(&rig, "c", &(struct rig_connect){.is_clean = true, .expiry_s = 60});
    assert_false(client->was_present);
    assert_int_equal(rig_session(&rig, "c")->sub_count, 0);
}

static void ends_a_session_without_expiry_with_its_connection(void **state)
{
    (void)state;
    struct rig_client *client = rig_connect(&rig, "c", NULL);
    rig_sub(client, "t", 1);
    rig_break(client);
    assert_null(rig_session(&rig, "c"));
    assert_int_equal(RIG_STAT(&rig, sessions), 0);
    assert_int_equal(RIG_STAT(&rig, subscriptions), 0);
    assert_int_equal(rig.store.submits, 0);
}

static void takes_a_session_over_with_0x8e(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *old = rig_connect_stored(&rig, "c");
    rig_sub(old, "t", 1);
    struct rig_client *fresh = rig_connect_stored(&rig, "c");
    assert_true(old->is_closed);
    assert_int_equal(old->reason, NJ_RC_SESSION_TAKEN_OVER);
    assert_true(fresh->was_present);
    rig_say(pub, "t", "x", 1, 1);
    rig_expect_nothing(old);
    rig_expect_publish(fresh, "t", "x", 1);
    assert_int_equal(RIG_STAT(&rig, clients_connected), 2);
}

static void lets_the_last_of_many_claims_win(void **state)
{
    (void)state;
    struct rig_client *clients[10];
    rig.store.holds = true;
    for (int i = 0; i < 10; i++) {
        clients[i] = rig_connect_quietly(&rig, "c", &(struct rig_connect){.expiry_s = 60});
        assert_non_null(clients[i]);
    }
    rig.store.holds = false;
    rig_run(&rig);
    for (int i = 0; i < 9; i++) {
        assert_true(clients[i]->is_closed);
        assert_false(clients[i]->is_ready);
    }
    assert_true(clients[9]->is_ready);
    assert_false(clients[9]->is_closed);
    assert_int_equal(RIG_STAT(&rig, clients_connected), 1);
    assert_int_equal(RIG_STAT(&rig, sessions), 1);
}

static void does_not_resume_a_taken_over_session_without_expiry(void **state)
{
    (void)state;
    struct rig_client *old = rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = 0});
    rig_sub(old, "t", 1);
    struct rig_client *fresh = rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = 60});
    assert_false(fresh->was_present);
    assert_int_equal(rig_session(&rig, "c")->sub_count, 0);
}

static void touches_nothing_when_a_claim_finds_no_memory(void **state)
{
    (void)state;
    struct rig_client *old = rig_connect_stored(&rig, "c");
    rig_sub(old, "t", 1);
    const struct rig_connect with_will = {
        .expiry_s = 60, .will_topic = "w", .will_payload = "gone"};
    for (uint64_t n = 1; n <= 4; n++) {
        nj_fault_arm(NJ_FAULT_ALLOC, n, false);
        struct rig_client *fresh = rig_connect_quietly(&rig, "c", &with_will);
        nj_fault_disarm();
        rig_run(&rig);
        if (!fresh) {
            assert_false(old->is_closed);
            assert_int_equal(rig_session(&rig, "c")->sub_count, 1);
        }
    }
}

/* ---- owner */

static struct rig_client *connect_as(const char *id, const char *user)
{
    return rig_connect(&rig, id, &(struct rig_connect){.user = user, .expiry_s = 60});
}

static void refuses_the_session_of_another_user(void **state)
{
    (void)state;
    struct rig_client *alice = connect_as("c", "alice");
    rig_sub(alice, "t", 1);
    assert_null(connect_as("c", "bob"));
    assert_null(connect_as("c", NULL));
    assert_false(alice->is_closed);
    rig_break(alice);
    assert_null(connect_as("c", "bob"));
    assert_true(connect_as("c", "alice")->was_present);
    rig.limits.session_owner = false; /* compat */
    assert_true(connect_as("c", "bob")->was_present);
}

static void gives_a_fresh_session_instead_of_an_anonymous_one(void **state)
{
    (void)state;
    struct rig_client *nobody = connect_as("c", NULL);
    rig_sub(nobody, "t", 1);
    struct rig_client *again = connect_as("c", NULL);
    assert_true(again->was_present);
    struct rig_client *alice = connect_as("c", "alice");
    assert_non_null(alice);
    assert_false(alice->was_present);
    assert_true(again->is_closed);
}

/* ---- expiry */

static void ends_when_its_time_is_over(void **state)
{
    (void)state;
    struct rig_client *client = rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = 10});
    rig_sub(client, "t", 1);
    rig_advance(&rig, 60000); /* not while it is connected */
    assert_non_null(rig_session(&rig, "c"));
    rig_break(client);
    rig_advance(&rig, 9999);
    assert_non_null(rig_session(&rig, "c"));
    rig_advance(&rig, 1);
    assert_null(rig_session(&rig, "c"));
    assert_int_equal(rig.store.ops[NJ_STORE_SESSION_DELETE], 1);
    assert_int_equal(RIG_STAT(&rig, clients_expired), 1);
}

static void caps_the_expiry(void **state)
{
    (void)state;
    rig.limits.persistent_expiry_s = 5;
    struct rig_client *client =
        rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = NJ_EXPIRY_NEVER});
    assert_int_equal(rig_session(&rig, "c")->expiry_s, 5);
    rig_break(client);
    rig_advance(&rig, 5000);
    assert_null(rig_session(&rig, "c"));
}

static void never_expires_when_told_so(void **state)
{
    (void)state;
    rig_break(rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = NJ_EXPIRY_NEVER}));
    rig_advance(&rig, 1000000000000ull);
    assert_non_null(rig_session(&rig, "c"));
}

/* The store kept it for ever: nobody told it that the session had become volatile. */
static void is_deleted_from_the_store_when_it_stops_being_stored(void **state)
{
    (void)state;
    struct rig_client *client = rig_connect_stored(&rig, "c");
    rig_sub(client, "t", 1);
    nj_session_set_expiry(rig_session(&rig, "c"), 0); /* by DISCONNECT */
    rig_disconnect(client);
    assert_null(rig_session(&rig, "c"));
    assert_int_equal(rig.store.ops[NJ_STORE_SESSION_DELETE], 1);
    client = rig_connect_stored(&rig, "c");
    rig_break(client);
    client = rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = 0});
    assert_true(client->was_present);
    rig_break(client);
    assert_int_equal(rig.store.ops[NJ_STORE_SESSION_DELETE], 2);
}

static void ends_many_at_once_over_several_turns(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "c%d", i);
        struct rig_client *client = rig_connect(
            &rig, id,
            &(struct rig_connect){.expiry_s = 10, .will_topic = "w", .will_payload = "x"});
        rig_break(client);
    }
    rig.now_ms += 10000;
    rig.shards[0]->now_ms = rig.now_ms;
    nj_shard_run_timers(rig.shards[0]);
    assert_true(rig.shards[0]->session_count > 0);
    rig_run(&rig);
    assert_int_equal(rig.shards[0]->session_count, 0);
}

static void keeps_its_table_whole_through_many_sessions(void **state)
{
    (void)state;
    srand(4);
    static struct rig_client *clients[3000];
    for (int i = 0; i < 3000; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "c%d", i);
        clients[i] = rig_connect_quietly(&rig, id, NULL);
    }
    rig_run(&rig);
    for (int i = 0; i < 3000; i++) {
        if (rand() % 2) {
            clients[i]->is_closed = true;
        }
    }
    rig_run(&rig);
    for (int i = 0; i < 3000; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "c%d", i);
        struct nj_session *session = rig_session(&rig, id);
        assert_int_equal(session != NULL, !clients[i]->is_closed);
        if (session) {
            assert_ptr_equal(nj_session_by_id(session->shard, session->id), session);
        }
    }
}

/* ---- wills (MQTT5 3.1.2.5, 3.1.3.2.2) */

static struct rig_client *listener(void)
{
    struct rig_client *client = rig_connect(&rig, "listener", NULL);
    rig_sub(client, "w", 2);
    return client;
}

static const struct rig_connect with_will = {
    .is_clean = true, .will_topic = "w", .will_payload = "gone", .will_qos = 1};

static void sends_the_will_when_a_connection_breaks_only(void **state)
{
    (void)state;
    struct rig_client *sub = listener();
    rig_break(rig_connect(&rig, "c", &with_will));
    rig_expect_publish(sub, "w", "gone", 1);
    rig_disconnect(rig_connect(&rig, "c", &with_will));
    rig_expect_nothing(sub);
}

static void delays_the_will_and_drops_it_when_the_client_is_back(void **state)
{
    (void)state;
    struct rig_client *sub = listener();
    struct rig_connect options = with_will;
    options.is_clean = false;
    options.expiry_s = 60;
    options.will_delay_s = 10;
    rig_break(rig_connect(&rig, "c", &options));
    rig_advance(&rig, 9999);
    rig_expect_nothing(sub);
    rig_advance(&rig, 1);
    rig_expect_publish(sub, "w", "gone", 1);
    rig_break(rig_connect(&rig, "c", &options));
    rig_advance(&rig, 9999);
    struct rig_client *client =
        rig_connect(&rig, "c", &(struct rig_connect){.expiry_s = 60}); /* without a will */
    rig_advance(&rig, 100000);
    rig_break(client);
    rig_advance(&rig, 100000);
    rig_expect_nothing(sub);
}

static void sends_the_will_when_the_session_ends_first(void **state)
{
    (void)state;
    struct rig_client *sub = listener();
    struct rig_connect options = with_will;
    options.is_clean = false;
    options.expiry_s = 5;
    options.will_delay_s = 100;
    rig_break(rig_connect(&rig, "c", &options));
    rig_advance(&rig, 5000);
    rig_expect_publish(sub, "w", "gone", 1);
    rig_break(rig_connect(&rig, "c", &options));
    (void)rig_connect(&rig, "c", NULL); /* a clean start ends the session */
    rig_expect_publish(sub, "w", "gone", 1);
}

static void sends_the_will_at_take_over_unless_it_is_delayed(void **state)
{
    (void)state;
    struct rig_client *sub = listener();
    struct rig_connect options = with_will;
    options.is_clean = false;
    options.expiry_s = 60;
    (void)rig_connect(&rig, "c", &options);
    (void)rig_connect(&rig, "c", &options);
    rig_expect_publish(sub, "w", "gone", 1);
    options.will_delay_s = 10;
    (void)rig_connect(&rig, "c", &options);
    rig_expect_publish(sub, "w", "gone", 1);
    (void)rig_connect(&rig, "c", &options);
    rig_advance(&rig, 100000);
    rig_expect_nothing(sub);
}

/* The interval begins when the will is published. */
static void keeps_a_will_that_expires_for_queues_and_retained(void **state)
{
    (void)state;
    struct rig_client *away = rig_connect_stored(&rig, "away");
    rig_sub(away, "w", 1);
    rig_break(away);
    struct rig_connect options = with_will;
    options.will_expiry_s = 30;
    options.will_retain = true;
    rig_break(rig_connect(&rig, "c", &options));
    rig_advance(&rig, 10000);
    away = rig_connect_stored(&rig, "away");
    assert_int_equal(rig_expect_publish(away, "w", "gone", 1).expiry_s, 20);
    struct rig_client *late = rig_connect(&rig, "late", NULL);
    rig_sub(late, "w", 1);
    assert_int_equal(rig_expect_publish(late, "w", "gone", 1).expiry_s, 20);
    rig_advance(&rig, 20000);
    rig_sub(late, "w", 1);
    rig_expect_nothing(late);
}

static void asks_for_the_right_when_the_will_is_sent(void **state)
{
    (void)state;
    struct rig_client *sub = listener();
    struct rig_client *client = rig_connect(&rig, "c", &with_will);
    rig_policy(&rig, "topic read #\n");
    rig_break(client);
    rig_expect_nothing(sub);
    assert_int_equal(RIG_STAT(&rig, denied_will), 1);
}

static void puts_the_mount_point_before_the_wills_topic(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "#", 0);
    struct rig_connect options = with_will;
    options.mount = "site/";
    rig_break(rig_connect(&rig, "c", &options));
    rig_expect_publish(sub, "site/w", "gone", 0);
}

/* ---- timers */

static void gives_timers_in_the_order_of_their_time(void **state)
{
    (void)state;
    enum {
        COUNT = 500
    };
    static struct nj_btimer timers[COUNT];
    struct nj_btimers heap = {0};
    srand(5);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < COUNT; i++) {
            int what = rand() % 4;
            if (what) {
                nj_btimer_set(&heap, &timers[i], (uint64_t)rand() % 1000);
            } else {
                nj_btimer_clear(&heap, &timers[i]);
            }
        }
        uint64_t until = (uint64_t)rand() % 1200;
        uint64_t last = 0;
        struct nj_btimer *timer;
        while ((timer = nj_btimers_take_due(&heap, until))) {
            assert_true(timer->due_ms >= last && timer->due_ms <= until);
            assert_int_equal(timer->place, 0);
            last = timer->due_ms;
        }
        uint64_t next = UINT64_MAX;
        for (int i = 0; i < COUNT; i++) {
            if (timers[i].place) {
                assert_true(timers[i].due_ms > until);
                next = timers[i].due_ms < next ? timers[i].due_ms : next;
            }
        }
        assert_int_equal(nj_btimers_next_ms(&heap), next);
    }
    nj_btimers_fini(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(resumes_a_stored_session_and_says_so),
        TEST1(ends_a_session_without_expiry_with_its_connection),
        TEST2(takes_a_session_over_with_0x8e),
        TEST1(lets_the_last_of_many_claims_win),
        TEST1(does_not_resume_a_taken_over_session_without_expiry),
        TEST1(touches_nothing_when_a_claim_finds_no_memory),
        TEST1(refuses_the_session_of_another_user),
        TEST1(gives_a_fresh_session_instead_of_an_anonymous_one),
        TEST1(ends_when_its_time_is_over),
        TEST1(caps_the_expiry),
        TEST1(never_expires_when_told_so),
        TEST1(is_deleted_from_the_store_when_it_stops_being_stored),
        TEST1(ends_many_at_once_over_several_turns),
        TEST2(keeps_its_table_whole_through_many_sessions),
        TEST2(sends_the_will_when_a_connection_breaks_only),
        TEST1(delays_the_will_and_drops_it_when_the_client_is_back),
        TEST1(sends_the_will_when_the_session_ends_first),
        TEST1(sends_the_will_at_take_over_unless_it_is_delayed),
        TEST2(keeps_a_will_that_expires_for_queues_and_retained),
        TEST1(asks_for_the_right_when_the_will_is_sent),
        TEST2(puts_the_mount_point_before_the_wills_topic),
        cmocka_unit_test(gives_timers_in_the_order_of_their_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
