/* The frames of a connection: aliases, mount points, sizes, and what a change of rights takes out.
 */
#include <stdio.h>

#include "broker/flow.h"
#include "broker/output.h"
#include "fixture.h"

static struct rig_client *connect_with(const char *id, struct rig_connect options)
{
    options.is_clean = true;
    return rig_connect(&rig, id, &options);
}

/* ---- topic aliases (MQTT5 3.3.2.3.4) */

static void names_a_topic_once_and_then_its_alias(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = connect_with("sub", (struct rig_connect){.alias_out_max = 2});
    rig_sub(sub, "#", 0);
    for (int round = 0; round < 3; round++) {
        const char *topics[] = {"a", "b", "c"};
        for (int i = 0; i < 3; i++) {
            rig_say(pub, topics[i], "x", 0, 0);
            struct rig_packet packet =
                rig_expect_publish(sub, round && i < 2 ? "" : topics[i], "x", 0);
            assert_int_equal(packet.alias, i < 2 ? i + 1 : 0);
        }
    }
}

static void tells_the_alias_again_when_its_first_frame_was_dropped(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub =
        connect_with("sub", (struct rig_connect){.alias_out_max = 5, .max_packet = 60});
    rig_sub(sub, "#", 0);
    char large[100];
    memset(large, 'x', sizeof(large));
    rig_publish(
        pub, &(struct rig_publish){.topic = "a", .payload = large, .payload_len = sizeof(large)});
    rig_expect_nothing(sub);
    assert_int_equal(RIG_STAT(&rig, dropped_too_large), 1);
    rig_say(pub, "a", "x", 0, 0);
    assert_int_equal(rig_expect_publish(sub, "a", "x", 0).alias, 1);
    rig_say(pub, "a", "x", 0, 0);
    assert_int_equal(rig_expect_publish(sub, "", "x", 0).alias, 1);
    /* A change of rights takes the frame that tells the alias out of the output. */
    rig_block(sub);
    rig_say(pub, "b", "x", 0, 0);
    rig_say(pub, "c", "x", 0, 0);
    rig_say(pub, "b", "x", 0, 0);
    rig_policy(&rig, "topic readwrite #\ntopic deny b\n");
    rig_run(&rig);
    rig_policy(&rig, "topic readwrite #\n");
    rig_run(&rig);
    rig_unblock(sub);
    rig_expect_publish(sub, "c", "x", 0);
    rig_say(pub, "b", "y", 0, 0);
    assert_int_equal(rig_expect_publish(sub, "b", "y", 0).alias, 2);
    rig_expect_nothing(sub);
}

static void gives_aliases_to_topics_below_the_mount_point(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub =
        connect_with("sub", (struct rig_connect){.alias_out_max = 5, .mount = "m/"});
    rig_sub(sub, "#", 1);
    rig_say(pub, "m/a", "x", 1, 1);
    rig_expect_publish(sub, "a", "x", 1);
    rig_say(pub, "m/a", "y", 1, 2);
    rig_expect_publish(sub, "", "y", 1);
}

/* ---- incoming aliases */

static void knows_an_alias_even_if_its_message_was_refused(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite good\n");
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    struct rig_client *pub = connect_with("pub", (struct rig_connect){.alias_in_max = 3});
    rig_sub(sub, "good", 0);
    const struct rig_publish good = {.topic = "good", .payload = "1", .alias = 1};
    const struct rig_publish bad = {.topic = "bad", .payload = "2", .alias = 1};
    const struct rig_publish again = {.topic = "", .payload = "3", .alias = 1};
    assert_int_equal(rig_publish(pub, &good), 0);
    assert_int_equal(rig_publish(pub, &bad), 0);
    /* The alias means "bad" now: this must not be delivered as "good". */
    assert_int_equal(rig_publish(pub, &again), 0);
    rig_expect_publish(sub, "good", "1", 0);
    rig_expect_nothing(sub);
    assert_int_equal(RIG_STAT(&rig, denied_publish), 2);
}

static void refuses_aliases_that_are_unknown_or_too_high(void **state)
{
    (void)state;
    struct rig_client *pub = connect_with("a", (struct rig_connect){.alias_in_max = 3});
    assert_int_equal(
        rig_publish(pub, &(struct rig_publish){.topic = "", .payload = "x", .alias = 2}),
        NJ_RC_PROTOCOL_ERROR);
    pub = connect_with("b", (struct rig_connect){.alias_in_max = 3});
    assert_int_equal(
        rig_publish(pub, &(struct rig_publish){.topic = "t", .payload = "x", .alias = 4}),
        NJ_RC_TOPIC_ALIAS_INVALID);
    pub = connect_with("c", (struct rig_connect){.alias_in_max = 3});
    assert_int_equal(rig_publish(pub, &(struct rig_publish){.topic = "", .payload = "x"}),
                     NJ_RC_PROTOCOL_ERROR);
}

/* ---- mount points */

static void puts_the_mount_point_in_front_and_takes_it_off(void **state)
{
    (void)state;
    const struct rig_connect mounted = {.mount = "site/"};
    struct rig_client *in = connect_with("in", mounted);
    struct rig_client *out = rig_connect(&rig, "out", NULL);
    rig_sub(in, "t/+", 0);
    rig_sub(out, "#", 0);
    rig_say(in, "t/1", "a", 0, 0);
    rig_expect_publish(in, "t/1", "a", 0);
    rig_expect_publish(out, "site/t/1", "a", 0);
    rig_say(out, "t/1", "b", 0, 0);
    rig_expect_nothing(in);
    rig_retain(in, "t/r", "c", 0);
    rig_expect_publish(in, "t/r", "c", 0);
    rig_sub(in, "t/r", 0);
    assert_true(rig_expect_publish(in, "t/r", "c", 0).is_retain);
    rig_expect_nothing(in);
}

static void tells_no_topic_that_lies_outside_the_mount_point(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "#", 1);
    rig_break(sub);
    rig_say(pub, "secret/of/others", "x", 1, 1);
    rig_say(pub, "site/", "x", 1, 2);
    rig_say(pub, "site/t", "x", 1, 3);
    sub = rig_connect(&rig, "sub", &(struct rig_connect){.expiry_s = 60, .mount = "site/"});
    assert_true(sub->was_present);
    rig_expect_publish(sub, "t", "x", 1);
    rig_expect_nothing(sub);
    assert_int_equal(rig.store.row_count, 1);
}

/* ---- sizes */

static void drops_what_is_too_large_for_the_peer(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = connect_with("sub", (struct rig_connect){.max_packet = 20});
    struct rig_client *other = rig_connect(&rig, "other", NULL);
    rig_sub(sub, "t", 2);
    rig_sub(other, "t", 2);
    rig_say(pub, "t", "this is longer than that", 1, 1);
    rig_expect_nothing(sub);
    rig_expect_publish(other, "t", "this is longer than that", 1);
    rig_say(pub, "t", "short", 1, 2);
    assert_int_equal(rig_expect_publish(sub, "t", "short", 1).id, 2);
    assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 1);
}

static void sends_payloads_of_every_size_whole(void **state)
{
    (void)state;
    static char payload[200000];
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (char)(i * 7 + i / 251);
    }
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *subs[3] = {
        rig_connect(&rig, "s0", NULL),
        connect_with("s1", (struct rig_connect){.version = NJ_MQTT_311}),
        connect_with("s2", (struct rig_connect){.alias_out_max = 3}),
    };
    for (int i = 0; i < 3; i++) {
        rig_sub(subs[i], "t", 1);
    }
    for (size_t len = 1; len < sizeof(payload); len = len * 2 + len % 3) {
        const struct rig_publish publish = {
            .topic = "t", .payload = payload, .payload_len = len, .qos = 1, .id = 1};
        rig_publish(pub, &publish);
        for (int i = 0; i < 3; i++) {
            struct rig_packet packet = rig_expect(subs[i], NJ_MQTT_PUBLISH);
            assert_int_equal(packet.payload.len, len);
            assert_memory_equal(packet.payload.ptr, payload, len);
            rig_puback(subs[i], packet.id);
        }
    }
}

static void keeps_the_connection_when_a_large_payload_finds_no_memory(void **state)
{
    (void)state;
    static char payload[50000];
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *subs[2] = {
        rig_connect(&rig, "s0", NULL),
        connect_with("s1", (struct rig_connect){.alias_out_max = 3}),
    };
    rig_sub(subs[0], "t", 0);
    rig_sub(subs[1], "t", 0);
    const struct rig_publish publish = {
        .topic = "t", .payload = payload, .payload_len = sizeof(payload)};
    for (uint64_t n = 1; n < 12; n++) {
        nj_fault_arm(NJ_FAULT_ALLOC, n, true);
        rig_publish(pub, &publish);
        nj_fault_disarm();
        rig_run(&rig);
        for (int i = 0; i < 2; i++) {
            struct rig_packet packet;
            assert_false(subs[i]->is_closed);
            while (rig_next(subs[i], &packet)) {
                assert_int_equal(packet.payload.len, sizeof(payload));
            }
        }
    }
}

/* ---- a change of rights */

/* Promise 3: after "done" not one byte under the old rights. */
static void takes_forbidden_frames_out_of_a_blocked_output(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "#", 2);
    rig_block(sub);
    rig_say(pub, "a", "1", 1, 1);
    rig_say(pub, "b", "2", 1, 2);
    rig_say(pub, "a", "3", 2, 3);
    rig_pubrel(pub, 3);
    rig_say(pub, "b", "4", 2, 4);
    rig_pubrel(pub, 4);
    rig_say(pub, "a", "5", 0, 0);
    rig_say(pub, "b", "6", 0, 0);
    rig_policy(&rig, "topic readwrite #\ntopic deny a\n");
    rig_run(&rig);
    rig_unblock(sub);
    rig_expect_publish(sub, "b", "2", 1);
    rig_expect_publish(sub, "b", "4", 2);
    rig_expect_publish(sub, "b", "6", 0);
    rig_expect_nothing(sub);
    assert_int_equal(rig_session(&rig, "sub")->flow->flight_count, 2);
    assert_int_equal(rig.store.row_count, 2);
}

/* The turn ended before its output was written: the next one begins under the new rights. */
static void takes_forbidden_frames_out_of_an_output_that_is_not_blocked(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "#", 0);
    const struct rig_publish publish = {.topic = "a", .payload = "x"};
    assert_int_equal(rig_publish_quietly(pub, &publish), 0);
    rig_policy(&rig, "topic write #\n");
    rig_run(&rig);
    rig_expect_nothing(sub);
}

static void fills_the_places_that_become_free(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = connect_with("sub", (struct rig_connect){.receive_max = 2});
    rig_sub(sub, "#", 1);
    rig_block(sub);
    rig_say(pub, "a", "1", 1, 1);
    rig_say(pub, "a", "2", 1, 2);
    rig_say(pub, "b", "3", 1, 3);
    rig_policy(&rig, "topic readwrite #\ntopic deny a\n");
    rig_run(&rig);
    rig_unblock(sub);
    rig_expect_publish(sub, "b", "3", 1);
}

static void finishes_a_resent_qos_2_flight_that_is_forbidden_in_the_output(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "#", 2);
    rig_say(pub, "a", "1", 2, 1);
    rig_pubrel(pub, 1);
    struct rig_packet first = rig_expect_publish(sub, "a", "1", 2);
    rig_break(sub);
    sub = rig_connect_quietly(&rig, "sub", &(struct rig_connect){.expiry_s = 60});
    rig_block(sub);
    rig_run(&rig);
    rig_policy(&rig, "topic write #\n");
    rig_run(&rig);
    rig_unblock(sub);
    (void)rig_expect(sub, NJ_MQTT_CONNACK);
    rig_expect_ack(sub, NJ_MQTT_PUBREL, first.id, 0);
    rig_expect_nothing(sub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(names_a_topic_once_and_then_its_alias),
        TEST1(tells_the_alias_again_when_its_first_frame_was_dropped),
        TEST1(gives_aliases_to_topics_below_the_mount_point),
        TEST1(knows_an_alias_even_if_its_message_was_refused),
        TEST1(refuses_aliases_that_are_unknown_or_too_high),
        TEST2(puts_the_mount_point_in_front_and_takes_it_off),
        TEST1(tells_no_topic_that_lies_outside_the_mount_point),
        TEST1(drops_what_is_too_large_for_the_peer),
        TEST1(sends_payloads_of_every_size_whole),
        TEST2(sends_payloads_of_every_size_whole),
        TEST1(keeps_the_connection_when_a_large_payload_finds_no_memory),
        TEST1(takes_forbidden_frames_out_of_a_blocked_output),
        TEST1(takes_forbidden_frames_out_of_an_output_that_is_not_blocked),
        TEST1(fills_the_places_that_become_free),
        TEST1(finishes_a_resent_qos_2_flight_that_is_forbidden_in_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
