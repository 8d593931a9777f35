/* Rows in the store: queues that are not in memory, what is read back, what is taken back when a
 * group fails, and the release of QoS 2 as one transaction. */
#include <stdio.h>

#include "broker/commit.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/publish.h"
#include "broker/rows.h"
#include "rig.h"
#include "support/test.h"

static struct rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig, 3);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static void say(struct rig_client *pub, unsigned number, uint8_t qos)
{
    char payload[16];
    (void)snprintf(payload, sizeof(payload), "%u", number);
    rig_say(pub, "t", payload, qos, (uint16_t)(number % 60000 + 1));
    if (qos == 2) {
        rig_pubrel(pub, (uint16_t)(number % 60000 + 1));
    }
    struct rig_packet packet;
    while (rig_next(pub, &packet)) {
    }
}

/* Takes everything, acknowledging; returns how many came, which have to rise from `from`. */
static unsigned take_rising(struct rig_client *sub, unsigned from)
{
    unsigned count = 0;
    struct rig_packet packet;
    while (rig_next(sub, &packet)) {
        if (packet.type == NJ_MQTT_PUBREL) {
            rig_pubcomp(sub, packet.id);
        }
        if (packet.type != NJ_MQTT_PUBLISH) {
            continue;
        }
        char payload[16];
        (void)snprintf(payload, sizeof(payload), "%u", from + count++);
        assert_int_equal(packet.payload.len, strlen(payload));
        assert_memory_equal(packet.payload.ptr, payload, packet.payload.len);
        if (packet.qos == 1) {
            rig_puback(sub, packet.id);
        } else if (packet.qos == 2) {
            rig_pubrec(sub, packet.id, false);
        }
    }
    return count;
}

static uint64_t queued(const char *id)
{
    uint64_t bytes;
    return nj_session_queued(rig_session(&rig, id), &bytes);
}

static void costs_its_record_while_it_is_away(void **state)
{
    (void)state;
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct rig_client *pub = rig_connect(&rig, "pub", NULL);
        rig_sub(rig_connect_stored(&rig, "sub"), "t", qos);
        rig_break(rig_connect_stored(&rig, "sub"));
        for (unsigned i = 0; i < 900; i++) {
            say(pub, i, qos);
        }
        assert_null(rig_session(&rig, "sub")->flow);
        assert_int_equal(queued("sub"), 900);
        unsigned reads = rig.store.reads;
        struct rig_client *sub = rig_connect_stored(&rig, "sub");
        assert_int_equal(take_rising(sub, 0), 900);
        assert_in_range(rig.store.reads - reads, 4, 12); /* some at a time */
        assert_int_equal(queued("sub"), 0);
        assert_int_equal(rig.store.row_count, 0);
    }
}

static void keeps_a_bounded_part_in_memory_for_a_slow_client(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 3600, .receive_max = 1});
    rig_sub(sub, "t", 1);
    for (unsigned i = 0; i < 700; i++) {
        say(pub, i, 1);
    }
    const struct nj_session *session = rig_session(&rig, "sub");
    assert_in_range(session->flow->queue_count, 1, 256);
    assert_int_equal(queued("sub"), 699);
    assert_int_equal(take_rising(sub, 0), 700);
    assert_int_equal(rig.store.row_count, 0);
}

static void obeys_the_limit_over_memory_and_store_together(void **state)
{
    (void)state;
    rig.limits.max_queued = 300;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(rig_connect_stored(&rig, "sub"), "t", 1);
    rig_break(rig_connect_stored(&rig, "sub"));
    for (unsigned i = 0; i < 310; i++) {
        say(pub, i, 1);
    }
    assert_int_equal(queued("sub"), 300);
    assert_int_equal(RIG_STAT(&rig, dropped_queue_full), 10);
    assert_int_equal(RIG_STAT(&rig, queued), 300);
}

static void counts_what_the_store_let_expire(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(rig_connect_stored(&rig, "sub"), "t", 1);
    rig_break(rig_connect_stored(&rig, "sub"));
    say(pub, 0, 1);
    say(pub, 1, 1);
    const struct nj_store_expired expired = {
        .owner = rig_session(&rig, "sub")->id, .seq = 1, .bytes = 1};
    rig_store_expire(&rig, &expired);
    rig_run(&rig);
    assert_int_equal(queued("sub"), 1);
    assert_int_equal(RIG_STAT(&rig, dropped_expired), 1);
}

static void refuses_the_session_when_its_rows_cannot_be_read(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(rig_connect_stored(&rig, "sub"), "t", 1);
    rig_break(rig_connect_stored(&rig, "sub"));
    say(pub, 0, 1);
    rig.store.read_result = NJ_EIO;
    struct rig_client *sub =
        rig_connect_quietly(&rig, "sub", &(struct rig_connect){.expiry_s = 3600});
    rig_run(&rig);
    assert_true(sub->is_closed);
    rig.store.read_result = NJ_OK;
    sub = rig_connect_stored(&rig, "sub");
    assert_int_equal(take_rising(sub, 0), 1); /* nothing was lost by it */
}

static void takes_rows_back_when_their_group_fails(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig_sub(rig_connect_stored(&rig, "away"), "t", 2);
    rig_break(rig_connect_stored(&rig, "away"));
    rig_say(pub, "t", "0", 2, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 1, 0);
    rig.store.result = NJ_ENOSPC;
    rig_pubrel(pub, 1);
    assert_true(pub->is_closed); /* it says PUBREL again on its next connection */
    rig_expect_nothing(sub);
    assert_int_equal(queued("away"), 0);
    assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 0);
    assert_int_equal(RIG_STAT(&rig, dropped_store), 2);
    rig.store.result = NJ_OK;
}

/* Subscribers, stored and volatile, on every worker; members of a group, too. */
static void releases_to_all_workers_or_to_none(void **state)
{
    (void)state;
    struct rig_client *subs[12];
    char id[16];
    for (unsigned i = 0; i < 12; i++) {
        (void)snprintf(id, sizeof(id), "s%u", i);
        subs[i] = rig_connect(&rig, id, &(struct rig_connect){.expiry_s = i % 2 ? 3600 : 0});
        rig_sub(subs[i], i < 8 ? "t" : "$share/g/t", 2);
    }
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    rig_say(pub, "t", "0", 2, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, 0);
    rig.store.result = NJ_ENOSPC;
    rig_pubrel(pub, 7);
    assert_true(pub->is_closed);
    for (unsigned i = 0; i < 12; i++) {
        rig_expect_nothing(subs[i]);
    }
    rig.store.result = NJ_OK;
    pub = rig_connect_stored(&rig, "pub");
    rig_pubrel(pub, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 7, 0);
    unsigned members = 0;
    for (unsigned i = 0; i < 12; i++) {
        unsigned got = rig_drain(subs[i]);
        if (i < 8) {
            assert_int_equal(got, 1);
        } else {
            members += got;
        }
    }
    assert_int_equal(members, 1);
    rig_pubrel(pub, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 7, NJ_RC_PACKET_ID_NOT_FOUND);
}

static void waits_for_the_same_commit_when_pubrel_comes_again(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    rig_say(pub, "t", "0", 2, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, 0);
    rig.store.holds = true;
    rig_pubrel(pub, 7);
    rig_break(pub);
    pub = rig_connect_quietly(&rig, "pub", &(struct rig_connect){.expiry_s = 3600});
    rig_run(&rig);
    rig.store.holds = false;
    rig_run(&rig);
    (void)rig_expect(pub, NJ_MQTT_CONNACK);
    rig_pubrel(pub, 7);
    (void)rig_expect(pub, NJ_MQTT_PUBCOMP);
    assert_int_equal(rig_drain(sub), 1);
}

static void sends_qos_2_only_when_its_id_is_recorded(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig_say(pub, "t", "0", 2, 1);
    rig.store.holds = true;
    rig_pubrel(pub, 1);
    rig_expect_nothing(sub);
    rig.store.holds = false;
    rig_run(&rig);
    (void)rig_expect_publish(sub, "t", "0", 2);
}

static void holds_a_publisher_back_that_is_too_far_ahead(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(rig_connect_stored(&rig, "sub"), "t", 1);
    struct nj_session *session = rig_session(&rig, "pub");
    const struct nj_publish_in in = {.topic = NJ_BYTES_LIT("t"), .qos = 1, .packet_id = 1};
    rig.store.holds = true;
    for (unsigned i = 0; i < NJ_HELD_MAX; i++) {
        assert_false(nj_session_must_wait(session, &in));
        rig_say(pub, "t", "x", 1, (uint16_t)(i + 1));
    }
    assert_true(nj_session_must_wait(session, &in));
    assert_true(pub->link.is_held_back);
    const struct nj_publish_in qos0 = {.topic = NJ_BYTES_LIT("t")};
    assert_false(nj_session_must_wait(session, &qos0));
    rig.store.holds = false;
    rig_run(&rig);
    assert_false(pub->link.is_held_back);
}

/* Whoever does not need the store is read all the same. */
static void reads_nothing_for_a_store_that_is_far_behind(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(rig_connect_stored(&rig, "sub"), "t", 1);
    struct nj_session *session = rig_session(&rig, "pub");
    const struct nj_publish_in in = {.topic = NJ_BYTES_LIT("t"), .qos = 1, .packet_id = 1};
    const struct nj_publish_in retained = {.topic = NJ_BYTES_LIT("u"), .is_retain = true};
    const struct nj_publish_in other = {.topic = NJ_BYTES_LIT("u"), .qos = 1, .packet_id = 1};
    const struct nj_publish_in qos0 = {.topic = NJ_BYTES_LIT("t")};
    rig.store.waiting = NJ_STORE_BEHIND_BYTES;
    assert_false(nj_session_must_wait(session, &in));
    rig.store.waiting++;
    assert_false(nj_session_must_wait(session, &other));
    assert_false(nj_session_must_wait(session, &qos0));
    assert_true(nj_session_must_wait(session, &in));
    assert_true(nj_session_must_wait(session, &retained));
    rig.limits.queue_qos0 = true;
    assert_true(nj_session_must_wait(session, &qos0));
    assert_false(nj_session_must_wait(session, &(struct nj_publish_in){.topic = other.topic}));
    rig_advance(&rig, 1000);
    assert_true(pub->link.is_held_back);
    rig.store.waiting = NJ_STORE_CAUGHT_UP_BYTES - 1;
    rig_advance(&rig, 1000);
    assert_false(pub->link.is_held_back);
    assert_false(nj_session_must_wait(session, &in));
}

static void reads_on_with_the_completion_that_brings_the_store_up(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(rig_connect_stored(&rig, "sub"), "t", 1);
    const struct nj_publish_in in = {.topic = NJ_BYTES_LIT("t"), .qos = 1, .packet_id = 2};
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 1);
    rig_say(pub, "t", "x", 1, 2);
    rig.store.waiting = NJ_STORE_BEHIND_BYTES + 1;
    assert_true(nj_session_must_wait(rig_session(&rig, "pub"), &in));
    rig.store.waiting = 0;
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    assert_false(pub->link.is_held_back);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(costs_its_record_while_it_is_away),
        TEST(keeps_a_bounded_part_in_memory_for_a_slow_client),
        TEST(obeys_the_limit_over_memory_and_store_together),
        TEST(counts_what_the_store_let_expire),
        TEST(refuses_the_session_when_its_rows_cannot_be_read),
        TEST(takes_rows_back_when_their_group_fails),
        TEST(releases_to_all_workers_or_to_none),
        TEST(waits_for_the_same_commit_when_pubrel_comes_again),
        TEST(sends_qos_2_only_when_its_id_is_recorded),
        TEST(holds_a_publisher_back_that_is_too_far_ahead),
        TEST(reads_nothing_for_a_store_that_is_far_behind),
        TEST(reads_on_with_the_completion_that_brings_the_store_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
