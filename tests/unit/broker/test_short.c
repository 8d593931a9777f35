/* When memory is short (base/mem.h) what would have to stay is refused, but nothing is lost that
 * was accepted already: released by PUBREL, retained, a will, or on its way to a shared
 * subscription. */
#include "base/mem.h"
#include "fixture.h"

static void *ballast;

static void make_short(void)
{
    ballast = nj_alloc((size_t)64 << 20);
    nj_mem_set_limit(nj_mem_used() + ((int64_t)4 << 20));
    assert_true(nj_mem_is_short());
}

static void make_well(void)
{
    nj_mem_set_limit(0);
    nj_free(ballast);
    ballast = NULL;
}

static int close_well(void **state)
{
    nj_mem_set_limit(0);
    nj_free(ballast);
    ballast = NULL;
    return close_rig(state);
}

/* PUBCOMP said so: the member online gets it. */
static void shared_after_release(void **state)
{
    (void)state;
    struct rig_client *m = rig_connect(&rig, "m", NULL);
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    rig_sub(m, "$share/g/t", 2);
    rig_say(pub, "t", "x", 2, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 1, 0);
    make_short();
    rig_pubrel(pub, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, 0);
    make_well();
    rig_expect_publish(m, "t", "x", 2);
}

/* The id is given up before routing: who has a full window gets it later. */
static void volatile_release(void **state)
{
    (void)state;
    struct rig_client *s =
        rig_connect(&rig, "s", &(struct rig_connect){.is_clean = true, .receive_max = 1});
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(s, "t", 2);
    rig_say(pub, "t", "1", 1, 9);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 9, 0);
    rig_say(pub, "t", "x", 2, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 1, 0);
    make_short();
    rig_pubrel(pub, 1);
    make_well();
    assert_int_equal(rig_drain(s), 2);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, 0);
}

static void retained_to_stored(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *s = rig_connect_stored(&rig, "s");
    rig_retain(pub, "t", "x", 1);
    make_short();
    rig_sub(s, "t", 1);
    make_well();
    assert_int_equal(rig_drain(s), 1);
}

/* Memory aside: who is asked first ends, the next may not, the third is away and gets it. */
static void first_is_gone(void **state)
{
    (void)state;
    rig_policy(&rig, "topic readwrite #\nuser bad\ntopic deny t\n");
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *bad =
        rig_connect(&rig, "bad", &(struct rig_connect){.user = "bad", .is_clean = true});
    struct rig_client *away = rig_connect_stored(&rig, "away");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(a, "$share/g/+", 1);
    rig_sub(bad, "$share/g/+", 1);
    rig_sub(away, "$share/g/+", 1);
    rig_break(away);
    const struct rig_publish publish = {.topic = "t", .payload = "x", .qos = 1, .id = 1};
    assert_int_equal(rig_publish_quietly(pub, &publish), 0);
    rig_break(a);
    rig_run(&rig);
    away = rig_connect_stored(&rig, "away");
    assert_int_equal(rig_drain(away), 1);
}

/* It is at work already: refused, it would be sent and done again. */
static void request_when_short(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    make_short();
    rig_say(pub, "$CONTROL/x", "x", 2, 1);
    make_well();
    assert_int_equal(rig.requests, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 1, 0);
}

static void handed_on_when_short(void **state)
{
    (void)state;
    struct rig_client *a = rig_connect(&rig, "a", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(a, "$share/g/t", 1);
    rig_say(pub, "t", "x", 1, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    rig_expect_publish(a, "t", "x", 1);
    struct rig_client *b = rig_connect(&rig, "b", NULL);
    rig_sub(b, "$share/g/t", 1);
    make_short();
    rig_break(a);
    make_well();
    rig_expect_publish(b, "t", "x", 1);
}

/* Acknowledged, so given. */
static void qos1_shared_when_short(void **state)
{
    (void)state;
    struct rig_client *m = rig_connect(&rig, "m", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(m, "$share/g/t", 1);
    make_short();
    rig_say(pub, "t", "x", 1, 1);
    make_well();
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0); /* told so */
    rig_expect_publish(m, "t", "x", 1);
}

/* Accepted with CONNECT. */
static void will_when_short(void **state)
{
    (void)state;
    struct rig_client *s =
        rig_connect(&rig, "s", &(struct rig_connect){.is_clean = true, .receive_max = 1});
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct rig_client *w =
        rig_connect(&rig, "w",
                    &(struct rig_connect){
                        .is_clean = true, .will_topic = "t", .will_payload = "w", .will_qos = 1});
    rig_sub(s, "t", 1);
    rig_say(pub, "t", "1", 1, 9);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 9, 0);
    make_short();
    rig_break(w);
    make_well();
    assert_int_equal(rig_drain(s), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_two, close_well)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shared_after_release),   TEST(volatile_release),   TEST(retained_to_stored),
        TEST(first_is_gone),          TEST(request_when_short), TEST(handed_on_when_short),
        TEST(qos1_shared_when_short), TEST(will_when_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
