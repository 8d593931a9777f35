/* Shared subscriptions (MQTT5 4.8.2): whose turn it is, who is skipped, and what happens to the
 * messages of a member that goes. */
#include <stdio.h>

#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/share.h"
#include "fixture.h"

static void gives_each_member_its_turn(void **state)
{
    (void)state;
    struct rig_client *members[5];
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (int i = 0; i < 5; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "m%d", i);
        members[i] = rig_connect(&rig, id, NULL);
        rig_sub(members[i], "$share/g/t/#", 1);
    }
    for (int i = 0; i < 15; i++) {
        rig_say(pub, "t/x", "hello", 1, (uint16_t)(i + 1));
        rig_expect_ack(pub, NJ_MQTT_PUBACK, (uint16_t)(i + 1), 0);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(rig_drain(members[i]), 3);
    }
}

static void gives_every_group_a_copy_and_plain_subscribers_too(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *b = rig_connect(&rig, "b", NULL);
    struct rig_client *c = rig_connect(&rig, "c", NULL);
    rig_sub(a, "$share/g1/t", 0);
    rig_sub(b, "$share/g2/t", 0);
    rig_sub(c, "t", 0);
    rig_say(c, "t", "x", 0, 0);
    rig_expect_publish(a, "t", "x", 0);
    rig_expect_publish(b, "t", "x", 0);
    rig_expect_publish(c, "t", "x", 0);
}

/* A publisher waited for ever: members that are not stored answer no ticket, but were counted. */
static void answers_a_publisher_when_only_another_filter_is_stored(void **state)
{
    (void)state;
    struct rig_client *member = rig_connect(&rig, "m", NULL);
    struct rig_client *stored = rig_connect_stored(&rig, "s");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(member, "$share/g/a/+", 1);
    rig_sub(stored, "a/b", 1);
    rig_say(pub, "a/b", "x", 1, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
    rig_expect_publish(member, "a/b", "x", 1);
    rig_expect_publish(stored, "a/b", "x", 1);
}

static void waits_for_the_record_of_a_stored_member(void **state)
{
    (void)state;
    struct rig_client *member = rig_connect_stored(&rig, "m");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(member, "$share/g/t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    rig_expect_nothing(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
}

static void prefers_members_that_are_online(void **state)
{
    (void)state;
    struct rig_client *away = rig_connect_stored(&rig, "away");
    struct rig_client *here = rig_connect(&rig, "here", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(away, "$share/g/t", 1);
    rig_sub(here, "$share/g/t", 1);
    rig_break(away);
    for (uint16_t i = 1; i <= 4; i++) {
        rig_say(pub, "t", "x", 1, i);
    }
    assert_int_equal(rig_drain(here), 4);
    rig_disconnect(here);
    rig_say(pub, "t", "queued", 1, 5);
    away = rig_connect_stored(&rig, "away");
    rig_expect_publish(away, "t", "queued", 1);
}

static void skips_members_that_may_not_have_it(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite #\nuser bad\ntopic deny t\n");
    struct rig_client *good = rig_connect(&rig, "good", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *bad[3];
    for (int i = 0; i < 3; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "bad%d", i);
        bad[i] = rig_connect(&rig, id, &(struct rig_connect){.user = "bad", .is_clean = true});
        rig_sub(bad[i], "$share/g/+", 1);
    }
    rig_sub(good, "$share/g/+", 1);
    for (uint16_t i = 1; i <= 8; i++) {
        rig_say(pub, "t", "x", 1, i);
        rig_expect_ack(pub, NJ_MQTT_PUBACK, i, 0);
    }
    assert_int_equal(rig_drain(good), 8);
    for (int i = 0; i < 3; i++) {
        rig_expect_nothing(bad[i]);
    }
}

static void asks_a_member_that_is_away_when_all_online_ones_refuse(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite #\nuser bad\ntopic deny t\n");
    struct rig_client *bad =
        rig_connect(&rig, "bad", &(struct rig_connect){.user = "bad", .is_clean = true});
    struct rig_client *away = rig_connect_stored(&rig, "away");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(bad, "$share/g/+", 1);
    rig_sub(away, "$share/g/+", 1);
    rig_break(away);
    rig_say(pub, "t", "x", 1, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    away = rig_connect_stored(&rig, "away");
    rig_expect_publish(away, "t", "x", 1);
}

static void drops_and_counts_what_every_member_refuses(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite #\nuser bad\ntopic deny t\n");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (int i = 0; i < 3; i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "bad%d", i);
        rig_sub(rig_connect(&rig, id, &(struct rig_connect){.user = "bad", .expiry_s = 60}),
                "$share/g/+", 1);
    }
    uint64_t before = RIG_STAT(&rig, publish_dropped);
    rig_say(pub, "t", "x", 1, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    assert_int_equal(RIG_STAT(&rig, publish_dropped), before + 1);
    assert_int_equal(RIG_STAT(&rig, denied_deliver), 3);
}

static void goes_round_blindly_in_compat_mode(void **state)
{
    (void)state;
    rig.limits.share_skips_denied = false;
    rig_policy(&rig, "topic readwrite #\nuser bad\ntopic deny t\n");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *good = rig_connect(&rig, "good", NULL);
    struct rig_client *bad =
        rig_connect(&rig, "bad", &(struct rig_connect){.user = "bad", .is_clean = true});
    rig_sub(good, "$share/g/+", 1);
    rig_sub(bad, "$share/g/+", 1);
    for (uint16_t i = 1; i <= 6; i++) {
        rig_say(pub, "t", "x", 1, i);
    }
    assert_int_equal(rig_drain(good), 3);
    rig_expect_nothing(bad);
}

/* The message is on its way to a member whose session ends in the same turn. */
static void tries_the_next_member_when_one_is_gone(void **state)
{
    (void)state;
    for (int compat = 0; compat < 2; compat++) {
        rig.limits.share_skips_denied = !compat;
        struct rig_client *a = rig_connect(&rig, "a", NULL);
        struct rig_client *b = rig_connect(&rig, "b", NULL);
        struct rig_client *pub = rig_connect(&rig, "pub", NULL);
        rig_sub(a, "$share/g/t", 1);
        rig_sub(b, "$share/g/t", 1);
        const struct rig_publish publish = {.topic = "t", .payload = "x", .qos = 1, .id = 1};
        assert_int_equal(rig_publish_quietly(pub, &publish), 0);
        assert_int_equal(rig_publish_quietly(pub, &publish), 0);
        rig_break(a);
        assert_int_equal(rig_drain(b), 2);
        rig_break(b);
        rig_break(pub);
    }
}

/* Its question was on its way to a member that was away and ends, when the other one came: that one
 * had been passed over as away, and then was looked for among those. */
static void asks_a_member_that_comes_while_others_are_asked(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        struct rig_client *a = rig_connect_stored(&rig, "a");
        struct rig_client *b = rig_connect_stored(&rig, "b");
        struct rig_client *pub = rig_connect(&rig, "pub", NULL);
        rig_sub(a, "$share/g/t", 1);
        rig_sub(b, "$share/g/t", 1);
        rig_break(a);
        rig_break(b);
        const struct rig_publish publish = {.topic = "t", .payload = "x", .qos = 1, .id = 1};
        assert_int_equal(rig_publish_quietly(pub, &publish), 0);
        assert_int_equal(rig_publish_quietly(pub, &publish), 0);
        (void)rig_connect_quietly(&rig, "a", &(struct rig_connect){.is_clean = true});
        b = rig_connect_quietly(&rig, "b", &(struct rig_connect){.expiry_s = 3600});
        rig_run(&rig);
        assert_int_equal(rig_drain(b), 2);
        rig_break(pub);
        (void)rig_connect(&rig, "b", &(struct rig_connect){.is_clean = true});
    }
}

static void hands_on_what_an_ended_session_did_not_acknowledge(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(
        &rig, "a", &(struct rig_connect){.is_clean = true, .receive_max = 2, .expiry_s = 60});
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(a, "$share/g/t", 2);
    rig_say(pub, "t", "q1", 1, 1);
    rig_say(pub, "t", "q2", 2, 2);
    rig_pubrel(pub, 2);
    rig_say(pub, "t", "queued", 1, 3);
    rig_say(pub, "t", "queued2", 2, 4);
    rig_pubrel(pub, 4);
    rig_expect_publish(a, "t", "q1", 1);
    rig_expect_publish(a, "t", "q2", 2);
    rig_expect_nothing(a);
    rig_break(a);
    struct rig_client *b = rig_connect(&rig, "b", NULL);
    rig_sub(b, "$share/g/t", 2);
    rig_expect_nothing(b);
    rig_advance(&rig, 61000); /* a's session expires */
    rig_expect_publish(b, "t", "q1", 1);
    rig_expect_publish(b, "t", "queued", 1);
    rig_expect_publish(b, "t", "queued2", 2);
    rig_expect_nothing(b);
}

static void hands_on_from_a_session_that_was_not_stored(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(a, "$share/g/t", 1);
    rig_say(pub, "t", "x", 1, 1);
    rig_expect_publish(a, "t", "x", 1);
    struct rig_client *b = rig_connect(&rig, "b", NULL);
    rig_sub(b, "$share/g/t", 1);
    rig_break(a);
    rig_expect_publish(b, "t", "x", 1);
}

static void ends_quietly_when_the_last_member_goes(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(a, "$share/g/t", 1);
    rig_say(pub, "t", "x", 1, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    rig_break(a);
    rig_say(pub, "t", "x", 1, 2);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 2, NJ_RC_NO_MATCHING_SUBSCRIBERS);
    assert_int_equal(RIG_STAT(&rig, shared_subscriptions), 0);
}

static void leaves_a_group_on_unsubscribe(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *b = rig_connect(&rig, "b", NULL);
    rig_sub(a, "$share/g/t", 0);
    rig_sub(b, "$share/g/t", 0);
    assert_int_equal(rig_unsubscribe(a, "$share/g/t"), 0);
    assert_int_equal(rig_unsubscribe(a, "$share/g/t"), NJ_RC_NO_SUBSCRIPTION_EXISTED);
    assert_int_equal(rig_unsubscribe(a, "t"), NJ_RC_NO_SUBSCRIPTION_EXISTED);
    for (int i = 0; i < 4; i++) {
        rig_say(a, "t", "x", 0, 0);
    }
    assert_int_equal(rig_drain(b), 4);
}

static void counts_shared_subscriptions_against_the_limit(void **state)
{
    (void)state;
    rig.limits.max_subscriptions = 3;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    rig_sub(a, "$share/g/1", 0);
    rig_sub(a, "$share/g/2", 0);
    rig_sub(a, "3", 0);
    assert_int_equal(rig_subscribe(a, &(struct rig_subscribe){.filter = "$share/g/4"}),
                     NJ_RC_QUOTA_EXCEEDED);
    assert_int_equal(rig_subscribe(a, &(struct rig_subscribe){.filter = "4"}),
                     NJ_RC_QUOTA_EXCEEDED);
}

static void puts_the_mount_point_inside_the_share(void **state)
{
    (void)state;
    const struct rig_connect mounted = {.is_clean = true, .mount = "site/"};
    struct rig_client *a = rig_connect(&rig, "a", &mounted);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(a, "$share/g/t", 0);
    rig_say(pub, "t", "no", 0, 0);
    rig_say(pub, "site/t", "yes", 0, 0);
    rig_expect_publish(a, "t", "yes", 0);
    rig_expect_nothing(a);
}

/* They are found by hash (a walk made a client with many cost all others time), and stay a list in
 * the order they were made. */
static void keeps_many_of_one_session_apart(void **state)
{
    (void)state;
    enum {
        COUNT = 60
    };
    char filter[32];
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (int i = 0; i < COUNT; i++) {
        /* Many groups of one filter, and many filters of one group. */
        (void)snprintf(filter, sizeof(filter), i % 2 ? "$share/g%d/t" : "$share/g/t/%d", i);
        rig_sub(a, filter, 0);
    }
    for (int i = 0; i < COUNT; i++) {
        if (i % 3 == 0 || i == COUNT - 1) {
            (void)snprintf(filter, sizeof(filter), i % 2 ? "$share/g%d/t" : "$share/g/t/%d", i);
            assert_int_equal(rig_unsubscribe(a, filter), 0);
            assert_int_equal(rig_unsubscribe(a, filter), 0x11);
        }
    }
    (void)rig_drain(a);
    rig_sub(a, "$share/last/t", 0);
    const struct nj_session *session = rig_session(&rig, "a");
    uint32_t count = 0;
    uint32_t number = 0;
    for (const struct nj_shared_sub *sub = session->shared->first; sub; sub = sub->next, count++) {
        assert_true(sub->number > number);
        number = sub->number;
    }
    assert_int_equal(count, nj_share_count(session));
    rig_say(pub, "t", "x", 0, 0);
    assert_int_equal(rig_drain(a), 20); /* 30 groups, 10 and the last one of them left, a new one */
    rig_say(pub, "t/2", "x", 0, 0);
    assert_int_equal(rig_drain(a), 1);
    rig_say(pub, "t/6", "x", 0, 0);
    assert_int_equal(rig_drain(a), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(gives_each_member_its_turn),
        TEST4(gives_each_member_its_turn),
        TEST4(gives_every_group_a_copy_and_plain_subscribers_too),
        TEST1(answers_a_publisher_when_only_another_filter_is_stored),
        TEST4(answers_a_publisher_when_only_another_filter_is_stored),
        TEST4(waits_for_the_record_of_a_stored_member),
        TEST4(prefers_members_that_are_online),
        TEST1(skips_members_that_may_not_have_it),
        TEST4(skips_members_that_may_not_have_it),
        TEST4(asks_a_member_that_is_away_when_all_online_ones_refuse),
        TEST4(drops_and_counts_what_every_member_refuses),
        TEST1(goes_round_blindly_in_compat_mode),
        TEST1(tries_the_next_member_when_one_is_gone),
        TEST1(asks_a_member_that_comes_while_others_are_asked),
        TEST2(asks_a_member_that_comes_while_others_are_asked),
        TEST4(asks_a_member_that_comes_while_others_are_asked),
        TEST4(hands_on_what_an_ended_session_did_not_acknowledge),
        TEST4(hands_on_from_a_session_that_was_not_stored),
        TEST4(ends_quietly_when_the_last_member_goes),
        TEST4(leaves_a_group_on_unsubscribe),
        TEST1(counts_shared_subscriptions_against_the_limit),
        TEST4(puts_the_mount_point_inside_the_share),
        TEST1(keeps_many_of_one_session_apart),
        TEST4(keeps_many_of_one_session_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
