/* What the stateful fuzzer found (tests/stateful), each in the fewest steps that showed it. */
#include <stdio.h>
#include <string.h>

#include "broker/flow.h"
#include "broker/message.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/will.h"
#include "fixture.h"
#include "store/group.h"

#define SMALL_PACKET 200u

static void an_expired_qos_2_message_is_not_released(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 1);
    const struct rig_publish publish = {
        .topic = "t", .payload = "x", .qos = 2, .id = 1, .has_expiry = true, .expiry_s = 5};
    assert_int_equal(rig_publish(pub, &publish), 0);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 1, 0);
    rig_advance(&rig, 6000);
    rig_pubrel(pub, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, 0);
    rig_expect_nothing(sub);
    assert_int_equal(RIG_STAT(&rig, dropped_expired), 1);
}

static void a_no_local_subscription_takes_no_copy_from_another_one(void **state)
{
    (void)state;
    struct rig_client *client = rig_connect_stored(&rig, "c");
    const struct rig_subscribe no_local = {.filter = "a/#", .qos = 1, .is_no_local = true};
    assert_int_equal(rig_subscribe(client, &no_local), 1);
    rig_sub(client, "a/+", 0);
    /* The session goes on with a version that gets one copy of overlapping subscriptions. */
    client = rig_connect(&rig, "c",
                         &(struct rig_connect){.version = NJ_MQTT_311, .expiry_s = UINT32_MAX});
    rig_say(client, "a/b", "x", 0, 0);
    rig_expect_publish(client, "a/b", "x", 0);
    rig_expect_nothing(client);
}

/* The store group of a message that is dropped as too large refers to it until it is submitted. */
static void a_message_too_large_for_its_only_receiver_lives_as_long_as_its_group(void **state)
{
    (void)state;
    static char large[5000];
    memset(large, 'x', sizeof(large));
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    const struct rig_connect narrow = {.expiry_s = 60, .max_packet = SMALL_PACKET};
    for (char id[] = "s0"; id[1] < '4'; id[1]++) {
        rig_sub(rig_connect(&rig, id, &narrow), "t", 1);
    }
    const struct rig_publish publish = {
        .topic = "t", .payload = large, .payload_len = sizeof(large), .qos = 1, .id = 1};
    assert_int_equal(rig_publish(pub, &publish), 0);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    assert_int_equal(rig.store.row_count, 0);
}

static void retained_messages_go_on_when_the_queue_before_them_drops_out(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_retain(pub, "r/1", "one", 1);
    rig_retain(pub, "r/2", "two", 1);
    const struct rig_connect narrow = {.expiry_s = 60, .receive_max = 2};
    struct rig_client *sub = rig_connect(&rig, "sub", &narrow);
    rig_sub(sub, "secret", 2);
    rig_sub(sub, "r/1", 1);
    uint16_t first = rig_expect_publish(sub, "r/1", "one", 1).id;
    rig_say(pub, "secret", "a", 1, 1);
    (void)rig_expect_publish(sub, "secret", "a", 1);
    rig_say(pub, "secret", "b", 1, 2); /* waits: the window is full */
    rig_sub(sub, "r/2", 1);            /* and this one behind it */
    rig_policy(&rig, "topic readwrite r/#\n");
    rig_run(&rig);
    rig_puback(sub, first);
    (void)rig_expect_publish(sub, "r/2", "two", 1);
}

static struct rig_client *connect_with_will(const char *payload, uint32_t delay_s)
{
    return rig_connect(&rig, "c",
                       &(struct rig_connect){.expiry_s = 3600,
                                             .will_topic = "w",
                                             .will_payload = payload,
                                             .will_qos = 1,
                                             .will_retain = true,
                                             .will_delay_s = delay_s});
}

static void the_new_will_outlives_the_release_of_the_old_one(void **state)
{
    (void)state;
    rig_keep(&rig);
    (void)connect_with_will("old", 0);
    (void)connect_with_will("new", 0); /* takes over: the old will goes out */
    rig_crash(&rig);
    rig_advance(&rig, 100);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "w", 1);
    (void)rig_expect_publish(sub, "w", "new", 1);
}

static void deadlines_do_not_begin_anew_with_a_second_crash(void **state)
{
    (void)state;
    rig_keep(&rig);
    (void)connect_with_will("x", 30);
    rig_crash(&rig);
    rig_advance(&rig, 20000);
    rig_crash(&rig);
    struct nj_session *session = rig_session(&rig, "c");
    assert_int_equal(session->will_due_ms, rig.now_ms + 10000);
    assert_int_equal(session->expires_ms, rig.now_ms + 3580000);
}

static void connect_with_last_word(const char *payload, bool is_retained)
{
    (void)rig_connect(&rig, "c",
                      &(struct rig_connect){.expiry_s = 3600,
                                            .will_topic = "w",
                                            .will_payload = payload,
                                            .will_retain = is_retained});
}

static void a_will_does_not_pass_an_older_one_that_waits_for_the_store(void **state)
{
    (void)state;
    rig_keep(&rig);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "w", 0);
    connect_with_last_word("one", true);
    rig.store.holds = true;
    connect_with_last_word("two", false); /* takes over: the will before it goes out */
    connect_with_last_word("three", false);
    rig_expect_nothing(sub);
    rig.store.holds = false;
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    (void)rig_expect_publish(sub, "w", "one", 0);
    (void)rig_expect_publish(sub, "w", "two", 0);
    rig_expect_nothing(sub);
}

static struct rig_client *connect_to_say(const char *payload)
{
    return rig_connect(
        &rig, "pub",
        &(struct rig_connect){
            .is_clean = true, .will_topic = "w", .will_payload = payload, .will_qos = 1});
}

/* What waits in this lane is behind the first part of a joint group, so behind all of that. */
static void expect_joint_first(unsigned lane)
{
    const struct nj_store_group *group = rig.store.groups;
    while (group && group->lane != lane) {
        group = group->next;
    }
    assert_non_null(group);
    assert_true(group->joint.id || rig.core.shard_count == 1);
}

/* "offline" said after "online" would be taken for the last word. */
static void a_client_that_is_back_does_not_pass_its_will(void **state)
{
    (void)state;
    rig_keep(&rig);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "w", 1);
    rig_sub(rig_connect_stored(&rig, "stored"), "w", 1); /* so the will waits for the store */
    (void)connect_to_say("offline");
    rig.store.holds = true;
    struct rig_client *pub = connect_to_say("again"); /* takes over */
    struct rig_packet packet;
    assert_false(rig_next(pub, &packet)); /* no CONNACK yet */
    expect_joint_first(rig_session(&rig, "pub")->shard->id);
    rig.store.holds = false;
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    (void)rig_expect(pub, NJ_MQTT_CONNACK);
    rig_say(pub, "w", "online", 1, 1);
    (void)rig_expect_publish(sub, "w", "offline", 1);
    (void)rig_expect_publish(sub, "w", "online", 1);
}

/* Two messages are received, the older one retained when `is_retain`. */
static struct rig_client *received_two(bool is_retain)
{
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (uint16_t id = 1; id <= 2; id++) {
        const struct rig_publish publish = {
            .topic = "t",
            .payload = id == 1 ? "one" : "two",
            .qos = 2,
            .id = id,
            .is_retain = id == 1 && is_retain,
        };
        assert_int_equal(rig_publish(pub, &publish), 0);
        rig_expect_ack(pub, NJ_MQTT_PUBREC, id, 0);
    }
    rig.store.holds = true;
    return pub;
}

static void expect_both_in_order(struct rig_client *sub, struct rig_client *pub)
{
    rig_expect_nothing(sub);
    rig.store.holds = false;
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    (void)rig_expect_publish(sub, "t", "one", 2);
    (void)rig_expect_publish(sub, "t", "two", 2);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, 0);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 2, 0);
}

/* The one who had to have the older one in the store is gone, and with it the need to wait. */
static void a_release_does_not_pass_an_older_one_that_waits_for_the_store(void **state)
{
    (void)state;
    rig_keep(&rig);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 2);
    struct rig_client *stored = rig_connect_stored(&rig, "stored");
    rig_sub(stored, "t", 2);
    struct rig_client *pub = received_two(false);
    rig_pubrel(pub, 1);
    (void)rig_unsubscribe(stored, "t");
    rig_pubrel(pub, 2);
    expect_both_in_order(sub, pub);
}

/* Only the older one is to be kept. */
static void a_release_does_not_pass_a_retained_one_that_waits_for_the_store(void **state)
{
    (void)state;
    rig_keep(&rig);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 2);
    struct rig_client *pub = received_two(true);
    rig_pubrel(pub, 1);
    rig_pubrel(pub, 2);
    expect_both_in_order(sub, pub);
}

static void qos_0_does_not_pass_one_that_is_in_the_store_only(void **state)
{
    (void)state;
    rig_keep(&rig);
    rig.limits.queue_qos0 = true;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 0);
    rig_say(sub, "own", "x", 2, 1); /* something to read back */
    struct rig_client *pub = rig_connect(
        &rig, "pub",
        &(struct rig_connect){
            .is_clean = true, .will_topic = "t", .will_payload = "will", .will_qos = 1});
    rig.store.holds = true;
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 3600});
    rig_say(pub, "t", "word", 1, 1);
    rig_break(pub);
    rig.store.holds = false;
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    (void)rig_expect(sub, NJ_MQTT_CONNACK);
    (void)rig_expect_publish(sub, "t", "word", 0);
    (void)rig_expect_publish(sub, "t", "will", 0);
}

/* The PUBREL comes behind what is older, so it must not take the place of that: both would wait for
 * each other. What is newer waits for PUBCOMP. */
static void a_release_resumed_in_a_narrower_window_keeps_nothing_older_back(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig_say(pub, "t", "one", 1, 1);
    rig_say(pub, "t", "two", 2, 2);
    rig_pubrel(pub, 2);
    uint16_t first = rig_expect_publish(sub, "t", "one", 1).id;
    uint16_t second = rig_expect_publish(sub, "t", "two", 2).id;
    rig_pubrec(sub, second, false);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 3600, .receive_max = 1});
    rig_say(pub, "t", "three", 1, 3);
    assert_int_equal(rig_expect_publish(sub, "t", "one", 1).id, first);
    rig_expect_ack(sub, NJ_MQTT_PUBREL, second, 0);
    rig_puback(sub, first);
    rig_expect_nothing(sub);
    rig_pubcomp(sub, second);
    (void)rig_expect_publish(sub, "t", "three", 1);
}

/* ---- a subscription is replaced while the release of a QoS 2 message waits for the store */

static void publish_and_release(struct rig_client *pub, const char *payload, uint16_t id)
{
    rig_say(pub, "t", payload, 2, id);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, id, 0);
    rig.store.holds = true;
    rig_pubrel(pub, id);
}

static void replace(struct rig_client *sub, uint8_t qos, bool is_no_local)
{
    const struct rig_subscribe subscribe = {.filter = "t", .qos = qos, .is_no_local = is_no_local};
    assert_int_equal(rig_subscribe(sub, &subscribe), qos);
}

/* Takes what came, SUBACK aside. */
static unsigned count_messages(struct rig_client *client, const char *payload, uint8_t qos)
{
    unsigned count = 0;
    struct rig_packet packet;
    while (rig_next(client, &packet)) {
        if (packet.type == NJ_MQTT_PUBLISH) {
            assert_true(nj_bytes_equal(packet.payload, nj_bytes_of(payload)));
            assert_int_equal(packet.qos, qos);
            count++;
        }
    }
    return count;
}

static void let_go(void)
{
    rig.store.holds = false;
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
}

/* One release waits, the subscription becomes another one: the message comes once, by the one that
 * was in force. */
static void check_replaced(uint8_t before, uint8_t after)
{
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", before);
    publish_and_release(pub, "x", 1);
    replace(sub, after, false);
    let_go();
    assert_int_equal(count_messages(sub, "x", before), 1);
}

static void qos_0_that_becomes_1_during_a_release_loses_nothing(void **state)
{
    (void)state;
    check_replaced(0, 1);
}

static void qos_1_that_becomes_0_during_a_release_gets_nothing_twice(void **state)
{
    (void)state;
    check_replaced(1, 0);
}

/* It has its packet id, of which the new connection learns from the store: nobody remembers there
 * that it was never written. DUP says no more than that this may be the second time
 * (MQTT5 3.3.1.1). */
static void what_waits_for_its_record_comes_once_after_a_take_over(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_say(sub, "t", "", 2, 1);
    rig_expect_ack(sub, NJ_MQTT_PUBREC, 1, 0);
    rig.store.holds = true;
    (void)rig_subscribe(sub, &(struct rig_subscribe){.filter = "$share/g/t", .qos = 2});
    rig_pubrel(sub, 1);
    rig_expect_nothing(sub);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 3600}); /* takes over */
    rig_say(pub, "t", "", 0, 0);
    let_go();
    (void)rig_expect(sub, NJ_MQTT_CONNACK);
    struct rig_packet first = rig_expect_publish(sub, "t", "", 2);
    assert_true(first.is_dup);
    struct rig_packet second = rig_expect_publish(sub, "t", "", 0);
    assert_false(second.is_dup);
    rig_expect_nothing(sub);
}

static void no_local_holds_for_what_was_released_before_it_went(void **state)
{
    (void)state;
    struct rig_client *client = rig_connect_stored(&rig, "c");
    replace(client, 2, true);
    (void)rig_expect(client, NJ_MQTT_SUBACK);
    publish_and_release(client, "x", 1);
    replace(client, 0, false);
    let_go();
    assert_int_equal(count_messages(client, "x", 0), 0);
}

static void each_release_goes_by_the_subscription_of_its_moment(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_say(pub, "t", "one", 2, 1);
    rig_say(pub, "t", "two", 2, 2);
    rig_say(pub, "t", "three", 2, 3);
    rig.store.holds = true;
    rig_pubrel(pub, 1); /* before there was a subscription */
    replace(sub, 0, false);
    rig_pubrel(pub, 2);
    replace(sub, 1, false);
    replace(sub, 2, false); /* the one before it was never seen */
    rig_pubrel(pub, 3);
    replace(sub, 0, false);
    let_go();
    unsigned seen[3] = {0};
    struct rig_packet packet;
    while (rig_next(sub, &packet)) {
        bool is_two = nj_bytes_equal(packet.payload, nj_bytes_of("two"));
        if (packet.type == NJ_MQTT_PUBLISH) {
            assert_true(is_two || nj_bytes_equal(packet.payload, nj_bytes_of("three")));
            assert_int_equal(packet.qos, is_two ? 0 : 2);
            seen[packet.qos]++;
        }
    }
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[2], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST2(an_expired_qos_2_message_is_not_released),
        TEST1(a_no_local_subscription_takes_no_copy_from_another_one),
        TEST2(a_message_too_large_for_its_only_receiver_lives_as_long_as_its_group),
        TEST2(retained_messages_go_on_when_the_queue_before_them_drops_out),
        TEST2(the_new_will_outlives_the_release_of_the_old_one),
        TEST2(deadlines_do_not_begin_anew_with_a_second_crash),
        TEST1(a_will_does_not_pass_an_older_one_that_waits_for_the_store),
        TEST4(a_will_does_not_pass_an_older_one_that_waits_for_the_store),
        TEST1(a_client_that_is_back_does_not_pass_its_will),
        TEST4(a_client_that_is_back_does_not_pass_its_will),
        TEST1(a_release_does_not_pass_an_older_one_that_waits_for_the_store),
        TEST1(a_release_does_not_pass_a_retained_one_that_waits_for_the_store),
        TEST4(a_release_does_not_pass_a_retained_one_that_waits_for_the_store),
        TEST4(a_release_does_not_pass_an_older_one_that_waits_for_the_store),
        TEST1(qos_0_does_not_pass_one_that_is_in_the_store_only),
        TEST4(qos_0_does_not_pass_one_that_is_in_the_store_only),
        TEST1(a_release_resumed_in_a_narrower_window_keeps_nothing_older_back),
        TEST4(a_release_resumed_in_a_narrower_window_keeps_nothing_older_back),
        TEST1(qos_0_that_becomes_1_during_a_release_loses_nothing),
        TEST4(qos_0_that_becomes_1_during_a_release_loses_nothing),
        TEST1(qos_1_that_becomes_0_during_a_release_gets_nothing_twice),
        TEST4(qos_1_that_becomes_0_during_a_release_gets_nothing_twice),
        TEST1(what_waits_for_its_record_comes_once_after_a_take_over),
        TEST4(what_waits_for_its_record_comes_once_after_a_take_over),
        TEST1(no_local_holds_for_what_was_released_before_it_went),
        TEST1(each_release_goes_by_the_subscription_of_its_moment),
        TEST4(each_release_goes_by_the_subscription_of_its_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
