/* The messages of a stored member that ends: each of them is somewhere at any moment, also when the
 * power goes or the store refuses, and QoS 2 comes to nobody twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/session.h"
#include "fixture.h"

#define MANY       600u
#define LOOK_MS    200u
#define AN_HOUR_MS 3600000u

static unsigned seen[MANY];

static uint8_t qos_of(unsigned number)
{
    return number % 2 ? 2 : 1;
}

static void say(struct rig_client *pub, unsigned number)
{
    char payload[16];
    struct rig_packet packet;
    uint16_t id = (uint16_t)(number + 1);
    (void)snprintf(payload, sizeof(payload), "%u", number);
    rig_say(pub, "t", payload, qos_of(number), id);
    if (qos_of(number) == 2) {
        rig_pubrel(pub, id);
    }
    while (rig_next(pub, &packet)) {
    }
}

static unsigned note(const struct rig_packet *packet)
{
    char number[16] = {0};
    assert_in_range(packet->payload.len, 1, sizeof(number) - 1);
    memcpy(number, packet->payload.ptr, packet->payload.len);
    unsigned long at = strtoul(number, NULL, 10);
    assert_in_range(at, 0, MANY - 1);
    seen[at]++;
    return (unsigned)at;
}

static void answer(struct rig_client *client, const struct rig_packet *packet)
{
    if (packet->qos == 2) {
        rig_pubrec(client, packet->id, false);
    } else {
        rig_puback(client, packet->id);
    }
}

/* A client that takes and acknowledges everything. */
static void take(struct rig_client *client)
{
    struct rig_packet packet;
    while (rig_next(client, &packet)) {
        if (packet.type == NJ_MQTT_PUBREL) {
            rig_pubcomp(client, packet.id);
        } else if (packet.type == NJ_MQTT_PUBLISH) {
            (void)note(&packet);
            answer(client, &packet);
        }
    }
}

static void expect_all(unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        if (seen[i] < 1 || (qos_of(i) == 2 && seen[i] > 1)) {
            print_error("message %u came %u times\n", i, seen[i]);
            fail();
        }
    }
}

static struct rig_client *connect_for_ever(const char *id)
{
    return rig_connect(&rig, id, &(struct rig_connect){.expiry_s = UINT32_MAX});
}

/* "a" lasts an hour and has `count` messages; "b" for ever, and none: both are away. */
static void two_members(unsigned count)
{
    memset(seen, 0, sizeof(seen));
    struct rig_client *a = rig_connect_stored(&rig, "a");
    rig_sub(a, "$share/g/t", 2);
    rig_break(a);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    for (unsigned i = 0; i < count; i++) {
        say(pub, i);
    }
    rig_break(pub);
    struct rig_client *b = connect_for_ever("b");
    rig_sub(b, "$share/g/t", 2);
    rig_break(b);
}

static void hands_pages_on_in_order(void **state)
{
    (void)state;
    two_members(MANY);
    rig_advance(&rig, AN_HOUR_MS);
    assert_null(rig_session(&rig, "a"));
    assert_int_equal(rig.store.row_count, MANY);
    assert_int_equal(rig.store.ops[NJ_STORE_SESSION_DELETE], 1);
    struct rig_client *b = connect_for_ever("b");
    struct rig_packet packet;
    unsigned next[3] = {0, 0, 1}; /* QoS 1 may pass QoS 2, whose packet id is recorded first */
    while (rig_next(b, &packet)) {
        if (packet.type == NJ_MQTT_PUBREL) {
            rig_pubcomp(b, packet.id);
        } else if (packet.type == NJ_MQTT_PUBLISH) {
            assert_int_equal(note(&packet), next[packet.qos]);
            next[packet.qos] += 2;
            answer(b, &packet);
        }
    }
    expect_all(0, MANY);
    assert_int_equal(rig.store.row_count, 0);
}

/* The power goes after each group in turn, from the end of the session on. */
static void loses_and_doubles_nothing_wherever_the_power_goes(void **state)
{
    (void)state;
    const unsigned count = 12;
    unsigned groups = 0;
    for (bool has_died = true; has_died; groups++) {
        rig_keep(&rig);
        two_members(count);
        rig.store.dies_after = groups + 1;
        rig_advance(&rig, AN_HOUR_MS);
        has_died = rig.store.is_dead;
        rig.store.dies_after = 0;
        rig_crash(&rig);
        rig_advance(&rig, 1);
        assert_null(rig_session(&rig, "a"));
        struct rig_client *b = connect_for_ever("b");
        take(b);
        expect_all(0, count);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(seen[i], 1); /* nobody was connected to get QoS 1 twice */
        }
        assert_int_equal(rig.store.row_count, 0);
        rig_close(&rig);
        rig_open(&rig, rig.core.shard_count);
    }
    assert_true(groups > 4); /* the mark, parts, the last part, the deletion */
}

static void tries_again_what_the_store_refused(void **state)
{
    (void)state;
    for (unsigned every = 1; every <= 3; every++) {
        two_members(20);
        rig.store.refuse_every = every;
        rig_advance(&rig, AN_HOUR_MS);
        rig.store.state = NJ_STORE_FULL;
        rig_advance(&rig, LOOK_MS);
        rig_advance(&rig, LOOK_MS);
        rig.store.refuse_every = 0;
        rig_advance(&rig, LOOK_MS); /* not while the store says that it is full */
        rig.store.state = NJ_STORE_GOOD;
        rig_advance(&rig, LOOK_MS);
        struct rig_client *b = connect_for_ever("b");
        take(b);
        expect_all(0, 20);
        assert_int_equal(rig.store.row_count, 0);
        rig_close(&rig);
        rig_open(&rig, rig.core.shard_count);
    }
}

static void tries_again_when_a_group_fails(void **state)
{
    (void)state;
    two_members(20);
    rig.store.result = NJ_EIO;
    rig_advance(&rig, AN_HOUR_MS);
    rig_advance(&rig, LOOK_MS);
    rig.store.result = NJ_OK;
    assert_int_equal(rig.store.row_count, 20);
    rig_advance(&rig, LOOK_MS);
    assert_int_equal(rig.store.row_count, 20);
    take(connect_for_ever("b"));
    expect_all(0, 20);
    assert_int_equal(rig.store.row_count, 0);
}

static void tries_again_when_rows_cannot_be_read(void **state)
{
    (void)state;
    two_members(20);
    rig.store.refuse_reads = 1;
    rig_advance(&rig, AN_HOUR_MS);
    rig.store.read_result = NJ_EIO;
    rig_advance(&rig, LOOK_MS);
    rig_advance(&rig, LOOK_MS);
    rig.store.read_result = NJ_OK;
    assert_int_equal(rig.store.ops[NJ_STORE_SESSION_DELETE], 0);
    rig_advance(&rig, LOOK_MS);
    take(connect_for_ever("b"));
    expect_all(0, 20);
    assert_int_equal(rig.store.ops[NJ_STORE_SESSION_DELETE], 1);
}

static void keeps_everything_when_memory_is_short(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 60; nth++) {
        two_members(20);
        rig.now_ms += AN_HOUR_MS; /* not yet run */
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        rig_advance(&rig, 1);
        nj_fault_disarm();
        rig_advance(&rig, LOOK_MS);
        take(connect_for_ever("b"));
        expect_all(0, 20);
        assert_int_equal(rig.store.row_count, 0);
        rig_close(&rig);
        rig_open(&rig, rig.core.shard_count);
    }
}

/* What the session itself had asked for is no page of the handover: that began further on. */
static void an_answer_to_the_session_that_ended_is_not_taken_for_a_page(void **state)
{
    (void)state;
    two_members(MANY);
    struct rig_client *a = rig_connect_stored(&rig, "a");
    rig.store.read_result = NJ_OK;
    rig.store.holds = true;
    unsigned reads = rig.store.reads;
    while (rig.store.reads == reads) { /* until its queue in memory runs low */
        struct rig_packet packet;
        rig_store_release(&rig, NJ_OK);
        rig_run(&rig);
        assert_true(rig_next(a, &packet));
        if (packet.type == NJ_MQTT_PUBLISH) {
            (void)note(&packet);
            answer(a, &packet);
        } else if (packet.type == NJ_MQTT_PUBREL) {
            rig_pubcomp(a, packet.id);
        }
    }
    rig_break(a);
    rig_advance(&rig, AN_HOUR_MS); /* the end, and the answer is still on its way */
    rig.store.holds = false;
    rig_run(&rig);
    take(connect_for_ever("b"));
    for (unsigned i = 0; i < MANY; i++) {
        assert_true(seen[i] || qos_of(i) == 2); /* QoS 2 in flight is nobody else's */
        assert_true(seen[i] < 2 || qos_of(i) == 1);
    }
    assert_int_equal(rig.store.row_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(hands_pages_on_in_order),
        TEST4(hands_pages_on_in_order),
        TEST1(loses_and_doubles_nothing_wherever_the_power_goes),
        TEST2(loses_and_doubles_nothing_wherever_the_power_goes),
        TEST4(loses_and_doubles_nothing_wherever_the_power_goes),
        TEST1(tries_again_what_the_store_refused),
        TEST4(tries_again_what_the_store_refused),
        TEST1(tries_again_when_a_group_fails),
        TEST4(tries_again_when_a_group_fails),
        TEST4(tries_again_when_rows_cannot_be_read),
        TEST2(keeps_everything_when_memory_is_short),
        TEST1(an_answer_to_the_session_that_ended_is_not_taken_for_a_page),
        TEST4(an_answer_to_the_session_that_ended_is_not_taken_for_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
