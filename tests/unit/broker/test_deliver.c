/* Windows, queues, resending, expiry and rights of what goes out (MQTT5 4.3 – 4.6, 4.9). */
#include <stdio.h>

#include "broker/deliver.h"
#include "broker/flow.h"
#include "fixture.h"

static void say_many(struct rig_client *pub, const char *topic, unsigned count, uint8_t qos)
{
    for (unsigned i = 0; i < count; i++) {
        char payload[16];
        (void)snprintf(payload, sizeof(payload), "%u", i);
        rig_say(pub, topic, payload, qos, (uint16_t)(i + 1));
        if (qos == 2) {
            rig_pubrel(pub, (uint16_t)(i + 1));
        }
    }
}

/* All from `from` on, in order, acknowledging each; returns how many. */
static unsigned expect_rising(struct rig_client *sub, unsigned from)
{
    struct rig_packet packet;
    unsigned next = from;
    while (rig_next(sub, &packet)) {
        if (packet.type == NJ_MQTT_PUBREL) {
            rig_pubcomp(sub, packet.id);
            continue;
        }
        assert_int_equal(packet.type, NJ_MQTT_PUBLISH);
        char payload[16];
        (void)snprintf(payload, sizeof(payload), "%u", next++);
        assert_int_equal(packet.payload.len, strlen(payload));
        assert_memory_equal(packet.payload.ptr, payload, packet.payload.len);
        if (packet.qos == 1) {
            rig_puback(sub, packet.id);
        } else if (packet.qos == 2) {
            rig_pubrec(sub, packet.id, false);
        }
    }
    return next - from;
}

/* ---- flow control */

static void keeps_to_the_receive_maximum_and_the_order(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        for (int stored = 0; stored < 2; stored++) {
            struct rig_client *sub =
                rig_connect(&rig, "sub",
                            &(struct rig_connect){
                                .is_clean = true, .expiry_s = stored * 60u, .receive_max = 4});
            rig_sub(sub, "t", qos);
            say_many(pub, "t", 50, qos);
            assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 4);
            assert_int_equal(expect_rising(sub, 0), 50);
            assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 0);
            rig_disconnect(sub);
            rig_advance(&rig, 61000);
        }
    }
    assert_int_equal(rig.store.row_count, 0);
    assert_int_equal(RIG_STAT(&rig, queued), 0);
}

static void stops_at_the_bytes_in_flight(void **state)
{
    (void)state;
    rig.limits.max_inflight_bytes = 10;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 1);
    say_many(pub, "t", 30, 1); /* of 1 and 2 bytes */
    assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 10);
    assert_int_equal(expect_rising(sub, 0), 30);
}

static void drops_what_exceeds_the_queue_and_leaves_no_row_behind(void **state)
{
    (void)state;
    rig.limits.max_queued = 5;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct rig_client *sub = rig_connect_stored(&rig, "sub");
        rig_sub(sub, "t", qos);
        rig_break(sub);
        uint64_t before = RIG_STAT(&rig, dropped_queue_full);
        say_many(pub, "t", 9, qos);
        assert_int_equal(RIG_STAT(&rig, dropped_queue_full), before + 4);
        assert_int_equal(rig.store.row_count, 5);
        sub = rig_connect_stored(&rig, "sub");
        assert_int_equal(expect_rising(sub, 0), 5);
        assert_int_equal(rig.store.row_count, 0);
        rig_unsubscribe(sub, "t");
        rig_disconnect(sub);
    }
}

static void drops_what_exceeds_the_queued_bytes(void **state)
{
    (void)state;
    rig.limits.max_queued_bytes = 3;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 1);
    rig_break(sub);
    rig_say(pub, "t", "four", 1, 1);
    rig_say(pub, "t", "two", 1, 2);
    rig_say(pub, "t", "one", 1, 3);
    assert_int_equal(rig.store.row_count, 1);
    assert_int_equal(RIG_STAT(&rig, dropped_queue_full), 2);
}

/* Each waits for its record in the queue, which is no reason to count it as queued up. */
static void does_not_drop_qos_2_that_only_waits_for_its_record(void **state)
{
    (void)state;
    rig.limits.max_queued = 2;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig.store.holds = true;
    for (uint16_t i = 1; i <= 10; i++) {
        char payload[8];
        (void)snprintf(payload, sizeof(payload), "%u", i - 1u);
        rig_say(pub, "t", payload, 2, i);
        rig_pubrel(pub, i);
    }
    rig_expect_nothing(sub);
    rig.store.holds = false;
    rig_run(&rig);
    assert_int_equal(expect_rising(sub, 0), 10);
    assert_int_equal(RIG_STAT(&rig, publish_dropped), 0);
}

static void bounds_the_bytes_of_qos_0_to_a_socket_that_takes_no_more(void **state)
{
    static char payload[100001];
    (void)state;
    memset(payload, 'x', sizeof(payload) - 1);
    rig.limits.max_queued = 0;
    rig.limits.max_queued_bytes = 450000;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 0);
    rig_block(sub);
    for (int i = 0; i < 20; i++) {
        rig_say(pub, "t", payload, 0, 0);
    }
    assert_int_equal(sub->link.out.frames, 5);
    assert_int_equal(RIG_STAT(&rig, dropped_slow), 15);
    assert_int_equal(RIG_STAT(&rig, publish_dropped), 15);
    /* Where nothing is configured there is a bound all the same. */
    rig.limits.max_queued_bytes = 0;
    for (int i = 0; i < 300; i++) {
        rig_say(pub, "t", payload, 0, 0);
    }
    assert_in_range(sub->link.out.pending, (16 << 20), (16 << 20) + 100100);
    rig_unblock(sub);
    rig_run(&rig);
    assert_int_equal(sub->link.out.pending, 0);
    rig_say(pub, "t", "again", 0, 0);
    assert_true(RIG_STAT(&rig, dropped_slow) < 15 + 300);
}

static void drops_qos_0_to_a_socket_that_takes_no_more(void **state)
{
    (void)state;
    rig.limits.max_queued = 5;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 0);
    rig_block(sub);
    say_many(pub, "t", 20, 0);
    assert_int_equal(RIG_STAT(&rig, dropped_slow), 15);
    rig_unblock(sub);
    assert_int_equal(rig_drain(sub), 5);
}

static void queues_qos_0_for_those_away_when_told_so(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (int queues = 0; queues < 2; queues++) {
        rig.limits.queue_qos0 = queues;
        struct rig_client *sub = rig_connect_stored(&rig, "sub");
        rig_sub(sub, "t", 1);
        rig_break(sub);
        say_many(pub, "t", 3, 0);
        sub = rig_connect_stored(&rig, "sub");
        assert_int_equal(expect_rising(sub, 0), queues ? 3 : 0);
        rig_disconnect(sub);
    }
}

/* [QoS 1, QoS 0] is queued, the window is full: another QoS 0 must not overtake the first. */
static void does_not_let_qos_0_overtake_its_kind_in_the_queue(void **state)
{
    (void)state;
    rig.limits.queue_qos0 = true;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 1);
    rig_break(sub);
    rig_say(pub, "t", "0", 1, 1);
    rig_say(pub, "t", "1", 1, 2);
    rig_say(pub, "t", "2", 0, 0);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60, .receive_max = 1});
    rig_say(pub, "t", "3", 0, 0);
    assert_int_equal(expect_rising(sub, 0), 4);
    rig_say(pub, "t", "4", 0, 0);
    rig_expect_publish(sub, "t", "4", 0);
}

static void holds_everything_back_until_the_connack_is_out(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 1);
    rig_break(sub);
    rig_say(pub, "t", "0", 1, 1);
    rig.store.holds = true;
    sub = rig_connect_quietly(&rig, "sub", &(struct rig_connect){.expiry_s = 60});
    rig_run(&rig);
    rig_say(pub, "t", "1", 0, 0);
    rig_say(pub, "t", "2", 1, 2);
    rig_expect_nothing(sub);
    rig.store.holds = false;
    rig_run(&rig);
    (void)rig_expect(sub, NJ_MQTT_CONNACK);
    assert_int_equal(expect_rising(sub, 0), 3);
}

/* ---- resending */

static void resends_in_the_first_order_with_the_same_ids(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig_say(pub, "t", "a", 1, 1);
    rig_say(pub, "t", "b", 2, 2);
    rig_pubrel(pub, 2);
    rig_say(pub, "t", "c", 2, 3);
    rig_pubrel(pub, 3);
    rig_say(pub, "t", "d", 1, 4);
    struct rig_packet first[4];
    for (int i = 0; i < 4; i++) {
        first[i] = rig_expect(sub, NJ_MQTT_PUBLISH);
        assert_false(first[i].is_dup);
    }
    rig_pubrec(sub, first[1].id, false);
    rig_expect_ack(sub, NJ_MQTT_PUBREL, first[1].id, 0);
    rig_puback(sub, first[0].id);
    rig_break(sub);
    rig_say(pub, "t", "e", 1, 5);
    sub = rig_connect_stored(&rig, "sub");
    rig_expect_ack(sub, NJ_MQTT_PUBREL, first[1].id, 0);
    struct rig_packet packet = rig_expect_publish(sub, "t", "c", 2);
    assert_true(packet.is_dup);
    assert_int_equal(packet.id, first[2].id);
    packet = rig_expect_publish(sub, "t", "d", 1);
    assert_true(packet.is_dup);
    assert_int_equal(packet.id, first[3].id);
    packet = rig_expect_publish(sub, "t", "e", 1);
    assert_false(packet.is_dup);
    rig_expect_nothing(sub);
}

static void resends_no_more_than_the_new_window(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 1);
    say_many(pub, "t", 12, 1);
    rig_break(sub);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60, .receive_max = 5});
    struct nj_flow *flow = rig_session(&rig, "sub")->flow;
    assert_int_equal(flow->flight_count - flow->unsent_count, 5);
    assert_int_equal(expect_rising(sub, 0), 12);
    assert_int_equal(flow->unsent_count, 0);
    assert_int_equal(flow->flight_count, 0);
    assert_int_equal(rig.store.row_count, 0);
}

static void drops_expired_messages_from_queue_and_flight(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 600, .receive_max = 1});
    rig_sub(sub, "t", 1);
    const struct rig_publish publish = {
        .topic = "t", .payload = "x", .qos = 1, .id = 1, .has_expiry = true, .expiry_s = 10};
    rig_publish(pub, &publish);
    rig_publish(pub, &publish);
    rig_say(pub, "t", "0", 1, 2);
    (void)rig_expect(sub, NJ_MQTT_PUBLISH);
    rig_break(sub);
    rig_advance(&rig, 20000);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 600, .receive_max = 1});
    assert_int_equal(expect_rising(sub, 0), 1);
    assert_int_equal(rig.store.row_count, 0);
    assert_int_equal(RIG_STAT(&rig, queued), 0);
}

/* The client may have it: without PUBREL it would take the next message with this id for the same
 * one and lose it. */
static void finishes_qos_2_in_flight_even_when_it_is_expired_or_forbidden(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig_publish(
        pub,
        &(struct rig_publish){
            .topic = "t", .payload = "x", .qos = 2, .id = 1, .has_expiry = true, .expiry_s = 10});
    rig_pubrel(pub, 1);
    struct rig_packet first = rig_expect_publish(sub, "t", "x", 2);
    rig_break(sub);
    rig_advance(&rig, 20000);
    sub = rig_connect_stored(&rig, "sub");
    struct rig_packet packet = rig_expect_publish(sub, "t", "x", 2);
    assert_int_equal(packet.id, first.id);
    rig_break(sub);
    rig_policy(&rig, "topic write #\n");
    sub = rig_connect_stored(&rig, "sub");
    rig_expect_ack(sub, NJ_MQTT_PUBREL, first.id, 0);
    rig_expect_nothing(sub);
    rig_pubcomp(sub, first.id);
    assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 0);
    assert_int_equal(rig.store.row_count, 0);
}

static void answers_acknowledgements_it_does_not_know(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    struct rig_client *old =
        rig_connect(&rig, "old", &(struct rig_connect){.version = NJ_MQTT_311, .is_clean = true});
    rig_puback(sub, 7);
    rig_pubcomp(sub, 7);
    rig_expect_nothing(sub);
    rig_pubrec(sub, 7, false);
    rig_expect_ack(sub, NJ_MQTT_PUBREL, 7, NJ_RC_PACKET_ID_NOT_FOUND);
    rig_pubrel(sub, 7);
    rig_expect_ack(sub, NJ_MQTT_PUBCOMP, 7, NJ_RC_PACKET_ID_NOT_FOUND);
    rig_pubrec(old, 7, false);
    rig_expect_ack(old, NJ_MQTT_PUBREL, 7, 0);
    rig_pubrel(old, 7);
    rig_expect_ack(old, NJ_MQTT_PUBCOMP, 7, 0);
}

static void ends_a_qos_2_flight_that_the_client_refuses(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    rig_say(pub, "t", "x", 2, 1);
    rig_pubrel(pub, 1);
    struct rig_packet packet = rig_expect_publish(sub, "t", "x", 2);
    rig_pubrec(sub, packet.id, true);
    rig_expect_nothing(sub);
    assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 0);
    assert_int_equal(rig.store.row_count, 0);
}

/* ---- what a subscription asks for */

static void lowers_the_qos_to_the_subscriptions(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 1);
    rig_say(pub, "t", "x", 2, 1);
    rig_pubrel(pub, 1);
    rig_expect_publish(sub, "t", "x", 1);
    rig_say(pub, "t", "x", 0, 0);
    rig_expect_publish(sub, "t", "x", 0);
}

static void sends_overlaps_once_to_old_clients_and_per_subscription_to_new(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *old =
        rig_connect(&rig, "old", &(struct rig_connect){.version = NJ_MQTT_311, .is_clean = true});
    struct rig_client *new = rig_connect(&rig, "new", NULL);
    struct rig_client *const both[] = {old, new};
    for (int i = 0; i < 2; i++) {
        rig_subscribe(both[i], &(struct rig_subscribe){.filter = "a/#", .qos = 0, .sub_id = 1});
        rig_subscribe(both[i], &(struct rig_subscribe){.filter = "a/+", .qos = 2, .sub_id = 2});
        rig_subscribe(both[i], &(struct rig_subscribe){.filter = "a/b", .qos = 1, .sub_id = 3});
        for (int k = 0; k < 3; k++) {
            (void)rig_expect(both[i], NJ_MQTT_SUBACK);
        }
    }
    rig_say(pub, "a/b", "x", 2, 1);
    rig_pubrel(pub, 1);
    rig_expect_publish(old, "a/b", "x", 2);
    rig_expect_nothing(old);
    unsigned ids = 0;
    for (int k = 0; k < 3; k++) {
        struct rig_packet packet = rig_expect(new, NJ_MQTT_PUBLISH);
        const uint8_t qos[] = {0, 0, 2, 1};
        assert_in_range(packet.sub_id, 1, 3);
        assert_int_equal(packet.qos, qos[packet.sub_id]);
        ids |= 1u << packet.sub_id;
    }
    assert_int_equal(ids, 14);
    rig_expect_nothing(new);
}

static void obeys_no_local_and_retain_as_published(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *b = rig_connect(&rig, "b", NULL);
    rig_subscribe(a, &(struct rig_subscribe){.filter = "t", .is_no_local = true});
    rig_subscribe(b, &(struct rig_subscribe){.filter = "t", .is_retain_as_published = true});
    (void)rig_expect(a, NJ_MQTT_SUBACK);
    (void)rig_expect(b, NJ_MQTT_SUBACK);
    rig_retain(a, "t", "x", 0);
    rig_expect_nothing(a);
    assert_true(rig_expect_publish(b, "t", "x", 0).is_retain);
    rig_retain(b, "t", "y", 0);
    assert_false(rig_expect_publish(a, "t", "y", 0).is_retain);
}

/* ---- rights */

static void decides_again_when_a_message_leaves_the_queue(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "+", 1);
    rig_break(sub);
    rig_say(pub, "a", "secret", 1, 1);
    rig_say(pub, "b", "x", 1, 2);
    rig_policy(&rig, "topic readwrite b\n");
    sub = rig_connect_stored(&rig, "sub");
    rig_expect_publish(sub, "b", "x", 1);
    rig_expect_nothing(sub);
    assert_int_equal(rig.store.row_count, 1);
}

static void queues_nothing_that_is_forbidden(void **state)
{
    (void)state;
    rig_policy(&rig, "topic write a\nuser s\ntopic read b\n");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub =
        rig_connect(&rig, "sub", &(struct rig_connect){.user = "s", .expiry_s = 60});
    rig_sub(sub, "+", 1);
    rig_say(pub, "a", "x", 1, 1);
    rig_expect_nothing(sub);
    rig_break(sub);
    rig_say(pub, "a", "x", 1, 2);
    assert_int_equal(rig.store.row_count, 0);
    assert_int_equal(RIG_STAT(&rig, denied_deliver), 2);
}

static void hands_requests_on_and_answers_as_told(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite $CONTROL/#\n");
    struct rig_client *client = rig_connect(&rig, "c", NULL);
    assert_int_equal(rig_say(client, "$CONTROL/x/v1", "{}", 0, 0), 0);
    assert_int_equal(rig_say(client, "$CONTROL/x/v1", "{}", 1, 1), 0);
    rig_expect_ack(client, NJ_MQTT_PUBACK, 1, NJ_RC_SUCCESS);
    assert_int_equal(rig_say(client, "$CONTROL/x/v1", "{}", 2, 2), 0);
    rig_expect_ack(client, NJ_MQTT_PUBREC, 2, NJ_RC_SUCCESS);
    assert_int_equal(rig_say(client, "$CONTROL/x/v1", "{}", 2, 2), 0); /* again: the same request */
    rig_expect_ack(client, NJ_MQTT_PUBREC, 2, NJ_RC_SUCCESS);
    rig_pubrel(client, 2);
    rig_expect_ack(client, NJ_MQTT_PUBCOMP, 2, NJ_RC_SUCCESS);
    assert_int_equal(rig.requests, 3);
    rig.answer = NJ_RC_QUOTA_EXCEEDED;
    assert_int_equal(rig_say(client, "$CONTROL/x/v1", "{}", 1, 3), 0);
    rig_expect_ack(client, NJ_MQTT_PUBACK, 3, NJ_RC_QUOTA_EXCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(keeps_to_the_receive_maximum_and_the_order),
        TEST2(keeps_to_the_receive_maximum_and_the_order),
        TEST1(stops_at_the_bytes_in_flight),
        TEST1(drops_what_exceeds_the_queue_and_leaves_no_row_behind),
        TEST1(drops_what_exceeds_the_queued_bytes),
        TEST1(does_not_drop_qos_2_that_only_waits_for_its_record),
        TEST1(drops_qos_0_to_a_socket_that_takes_no_more),
        TEST1(bounds_the_bytes_of_qos_0_to_a_socket_that_takes_no_more),
        TEST1(queues_qos_0_for_those_away_when_told_so),
        TEST1(does_not_let_qos_0_overtake_its_kind_in_the_queue),
        TEST1(holds_everything_back_until_the_connack_is_out),
        TEST1(resends_in_the_first_order_with_the_same_ids),
        TEST1(resends_no_more_than_the_new_window),
        TEST1(drops_expired_messages_from_queue_and_flight),
        TEST1(finishes_qos_2_in_flight_even_when_it_is_expired_or_forbidden),
        TEST1(answers_acknowledgements_it_does_not_know),
        TEST1(ends_a_qos_2_flight_that_the_client_refuses),
        TEST1(lowers_the_qos_to_the_subscriptions),
        TEST2(sends_overlaps_once_to_old_clients_and_per_subscription_to_new),
        TEST2(obeys_no_local_and_retain_as_published),
        TEST1(decides_again_when_a_message_leaves_the_queue),
        TEST1(queues_nothing_that_is_forbidden),
        TEST1(hands_requests_on_and_answers_as_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
