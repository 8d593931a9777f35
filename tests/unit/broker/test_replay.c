/* Retained messages on their way to a new subscription (MQTT5 3.3.1.3): pacing, staleness, rights.
 */
#include <stdio.h>

#include "broker/flow.h"
#include "broker/replay.h"
#include "broker/retain.h"
#include "fixture.h"

static void retain_many(struct rig_client *pub, unsigned count, uint8_t qos)
{
    for (unsigned i = 0; i < count; i++) {
        char topic[16];
        (void)snprintf(topic, sizeof(topic), "r/%u", i);
        rig_retain(pub, topic, "old", qos);
    }
}

static void replays_everything_that_matches(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    retain_many(pub, 50, 0);
    rig_retain(pub, "other", "x", 0);
    rig_sub(sub, "r/+", 0);
    for (int i = 0; i < 50; i++) {
        struct rig_packet packet = rig_expect(sub, NJ_MQTT_PUBLISH);
        assert_true(packet.is_retain);
    }
    rig_expect_nothing(sub);
    rig_retain(pub, "other", "", 0);
    rig_sub(sub, "other", 0);
    rig_expect_nothing(sub);
    assert_int_equal(nj_retain_count(rig.core.retain), 50);
}

static void obeys_retain_handling(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_retain(pub, "t", "x", 0);
    struct rig_subscribe subscribe = {.filter = "t", .retain_handling = 2};
    rig_subscribe(sub, &subscribe);
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    rig_expect_nothing(sub);
    subscribe.retain_handling = 1;
    rig_subscribe(sub, &subscribe);
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    rig_expect_nothing(sub);
    subscribe.retain_handling = 0;
    rig_subscribe(sub, &subscribe);
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    rig_expect_publish(sub, "t", "x", 0);
    subscribe = (struct rig_subscribe){.filter = "+", .retain_handling = 1, .sub_id = 77};
    rig_subscribe(sub, &subscribe);
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    assert_int_equal(rig_expect_publish(sub, "t", "x", 0).sub_id, 77);
}

/* Replay and queue waited for each other once a live message was queued behind a full window. */
static void goes_on_when_live_messages_are_queued_meanwhile(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        for (int stored = 0; stored < 2; stored++) {
            retain_many(pub, 30, qos);
            struct rig_client *sub =
                rig_connect(&rig, "sub",
                            &(struct rig_connect){
                                .is_clean = true, .expiry_s = stored * 60u, .receive_max = 3});
            rig_subscribe(sub, &(struct rig_subscribe){.filter = "r/#", .qos = qos});
            for (uint16_t i = 0; i < 5; i++) {
                rig_say(pub, "r/live", "new", 1, i + 1);
            }
            (void)rig_expect(sub, NJ_MQTT_SUBACK);
            assert_int_equal(rig_drain(sub), 35);
            struct nj_session *session = rig_session(&rig, "sub");
            assert_null(session->replay);
            assert_int_equal(session->flow->queue_count, 0);
            assert_int_equal(session->flow->flight_count, 0);
            rig_disconnect(sub);
            rig_advance(&rig, 61000);
        }
    }
    assert_int_equal(rig.store.row_count, 0);
}

static void waits_for_a_blocked_socket(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    static char large[60000];
    for (unsigned i = 0; i < 20; i++) {
        char topic[16];
        (void)snprintf(topic, sizeof(topic), "r/%u", i);
        assert_int_equal(rig_publish(pub, &(struct rig_publish){.topic = topic,
                                                                .payload = large,
                                                                .payload_len = sizeof(large),
                                                                .is_retain = true}),
                         0);
    }
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_block(sub);
    rig_subscribe(sub, &(struct rig_subscribe){.filter = "r/#"});
    assert_true(sub->link.out.pending < 400000);
    assert_non_null(rig_session(&rig, "sub")->replay);
    rig_unblock(sub);
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    assert_int_equal(rig_drain(sub), 20);
}

/* One SUBSCRIBE may ask a thousand times for a million messages: they are looked for one filter
 * after the other, as the connection takes them, and not all of them at once. */
static void looks_for_one_filter_at_a_time(void **state)
{
    (void)state;
    enum {
        TIMES = 200
    };
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    retain_many(pub, 5, 1);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.is_clean = true, .receive_max = 1});
    for (unsigned i = 0; i < TIMES; i++) {
        rig_subscribe(sub, &(struct rig_subscribe){.filter = "#", .qos = 1});
    }
    unsigned waiting = 0;
    unsigned looked = 0;
    for (struct nj_replay *at = rig_session(&rig, "sub")->replay; at; at = at->next, waiting++) {
        looked += at->has_looked;
    }
    assert_int_equal(waiting, TIMES);
    assert_int_equal(looked, 1);
    unsigned count = 0;
    struct rig_packet packet;
    while (rig_next(sub, &packet)) {
        if (packet.type == NJ_MQTT_PUBLISH) {
            count++;
            rig_puback(sub, packet.id);
        }
    }
    assert_int_equal(count, 5 * TIMES);
    assert_null(rig_session(&rig, "sub")->replay);
}

/* What was retained after the subscription went out live, however late it is looked for. */
static void does_not_replay_what_came_live_before_it_was_looked_for(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    retain_many(pub, 2, 1);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.is_clean = true, .receive_max = 1});
    rig_subscribe(sub, &(struct rig_subscribe){.filter = "r/0", .qos = 1});
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    struct rig_packet packet = rig_expect_publish(sub, "r/0", "old", 1);
    rig_subscribe(sub, &(struct rig_subscribe){.filter = "#", .qos = 1}); /* has to wait */
    rig_retain(pub, "late", "x", 1);
    rig_retain(pub, "r/1", "new", 1);
    rig_puback(sub, packet.id);
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    unsigned late = 0;
    unsigned news = 0;
    while (rig_next(sub, &packet)) {
        late += strcmp(packet.topic, "late") == 0;
        news += strcmp(packet.topic, "r/1") == 0;
        assert_int_equal(packet.is_retain, strcmp(packet.topic, "r/0") == 0);
        rig_puback(sub, packet.id);
    }
    assert_int_equal(late, 1);
    assert_int_equal(news, 1);
}

static void skips_what_was_replaced_or_cleared_meanwhile(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    retain_many(pub, 3, 1);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.is_clean = true, .receive_max = 1});
    rig_subscribe(sub, &(struct rig_subscribe){.filter = "r/#", .qos = 1});
    (void)rig_expect(sub, NJ_MQTT_SUBACK);
    struct rig_packet first = rig_expect(sub, NJ_MQTT_PUBLISH);
    rig_retain(pub, "r/0", "new", 1);
    rig_retain(pub, "r/1", "new", 1);
    rig_retain(pub, "r/2", "", 1);
    rig_puback(sub, first.id);
    unsigned live = 0;
    struct rig_packet packet;
    while (rig_next(sub, &packet)) {
        assert_false(packet.is_retain);
        live++;
        rig_puback(sub, packet.id);
    }
    assert_int_equal(live, 3);
}

static void leaves_out_what_has_expired_and_counts_the_interval_down(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_publish publish = {
        .topic = "short", .payload = "x", .is_retain = true, .has_expiry = true, .expiry_s = 5};
    rig_publish(pub, &publish);
    publish.topic = "long";
    publish.expiry_s = 100;
    rig_publish(pub, &publish);
    rig_advance(&rig, 10000);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "#", 0);
    struct rig_packet packet = rig_expect_publish(sub, "long", "x", 0);
    assert_int_equal(packet.expiry_s, 90);
    rig_expect_nothing(sub);
    assert_int_equal(nj_retain_count(rig.core.retain), 1);
}

static void does_not_deliver_what_its_publisher_may_not_publish_any_more(void **state)
{
    (void)state;
    rig_policy(&rig, "topic read #\nuser u\ntopic readwrite #\n");
    struct rig_client *pub =
        rig_connect(&rig, "pub", &(struct rig_connect){.user = "u", .is_clean = true});
    rig_retain(pub, "a", "x", 0);
    rig_retain(pub, "b", "x", 0);
    rig_policy(&rig, "topic read #\nuser u\ntopic readwrite b\n");
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "#", 0);
    rig_expect_publish(sub, "b", "x", 0);
    rig_expect_nothing(sub);
    rig.limits.retain_rechecks_origin = false; /* compat */
    rig_sub(sub, "a", 0);
    rig_expect_publish(sub, "a", "x", 0);
}

static void keeps_the_rest_of_a_replay_for_a_stored_session(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite #\n");
    struct rig_client *pub =
        rig_connect(&rig, "pub", &(struct rig_connect){.user = "u", .is_clean = true});
    retain_many(pub, 5, 1);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60, .receive_max = 1});
    rig_sub(sub, "r/#", 1);
    (void)rig_expect(sub, NJ_MQTT_PUBLISH);
    rig_retain(pub, "r/4", "", 1); /* not what is in flight; the others may be */
    rig_break(sub);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60});
    struct rig_packet packet = rig_expect(sub, NJ_MQTT_PUBLISH);
    assert_true(packet.is_dup);
    sub->in_at = 4; /* again, from behind the CONNACK */
    unsigned count = rig_drain(sub);
    assert_in_range(count, 4, 5);
}

static void never_queues_what_lost_its_right_when_the_connection_breaks(void **state)
{
    (void)state;
    rig_policy(&rig, "topic read #\nuser u\ntopic readwrite #\n");
    struct rig_client *pub =
        rig_connect(&rig, "pub", &(struct rig_connect){.user = "u", .is_clean = true});
    retain_many(pub, 5, 1);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60, .receive_max = 1});
    rig_sub(sub, "r/#", 1);
    rig_policy(&rig, "topic read #\n");
    rig_run(&rig);
    rig_break(sub);
    uint64_t bytes;
    assert_int_equal(nj_session_queued(rig_session(&rig, "sub"), &bytes), 0);
}

static void upgrades_retained_messages_like_live_ones(void **state)
{
    (void)state;
    rig.limits.upgrade_outgoing_qos = true;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_retain(pub, "t", "x", 0);
    rig_sub(sub, "t", 1);
    rig_expect_publish(sub, "t", "x", 1);
    rig_say(pub, "t", "y", 0, 0);
    rig_expect_publish(sub, "t", "y", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(replays_everything_that_matches),
        TEST2(replays_everything_that_matches),
        TEST1(obeys_retain_handling),
        TEST1(goes_on_when_live_messages_are_queued_meanwhile),
        TEST2(goes_on_when_live_messages_are_queued_meanwhile),
        TEST1(waits_for_a_blocked_socket),
        TEST1(looks_for_one_filter_at_a_time),
        TEST1(does_not_replay_what_came_live_before_it_was_looked_for),
        TEST4(does_not_replay_what_came_live_before_it_was_looked_for),
        TEST1(skips_what_was_replaced_or_cleared_meanwhile),
        TEST1(leaves_out_what_has_expired_and_counts_the_interval_down),
        TEST1(does_not_deliver_what_its_publisher_may_not_publish_any_more),
        TEST1(keeps_the_rest_of_a_replay_for_a_stored_session),
        TEST1(never_queues_what_lost_its_right_when_the_connection_breaks),
        TEST1(upgrades_retained_messages_like_live_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
