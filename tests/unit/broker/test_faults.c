/* The n-th allocation fails, for every n of a script that goes through the whole core: nothing
 * crashes, nothing leaks (run under AddressSanitizer), no acknowledgement lies, and afterwards the
 * core works as if nothing had been. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "broker/flow.h"
#include "broker/message.h"
#include "rig.h"
#include "support/test.h"

static struct rig rig;
static struct rig_client *clients[8];

static void come(int i, const struct rig_connect *options)
{
    char id[8];
    (void)snprintf(id, sizeof(id), "c%d", i);
    clients[i] = rig_connect_quietly(&rig, id, options);
    rig_run(&rig);
}

static void sub(int i, const char *filter, uint8_t qos)
{
    if (clients[i]) {
        (void)rig_subscribe(clients[i], &(struct rig_subscribe){.filter = filter,
                                                                .qos = qos,
                                                                .sub_id = (uint32_t)i + 1,
                                                                .is_retain_as_published = true});
    }
}

static void say(int i, const char *topic, size_t len, uint8_t qos, uint16_t id, bool is_retain)
{
    static char payload[40000];
    if (clients[i] && !clients[i]->is_closed) {
        (void)rig_publish(clients[i], &(struct rig_publish){.topic = topic,
                                                            .payload = payload,
                                                            .payload_len = len,
                                                            .qos = qos,
                                                            .id = id,
                                                            .is_retain = is_retain});
    }
}

static void leave(int i, bool keeps_will)
{
    if (clients[i]) {
        clients[i]->keeps_will = keeps_will;
        rig_break(clients[i]);
        clients[i] = NULL;
    }
}

static void drain_all(void)
{
    for (int i = 0; i < 8; i++) {
        if (clients[i]) {
            (void)rig_drain(clients[i]);
        }
    }
}

static void go_through_everything(void)
{
    const struct rig_connect stored = {.expiry_s = 60, .receive_max = 2};
    const struct rig_connect aliased = {
        .is_clean = true, .alias_out_max = 4, .alias_in_max = 4, .mount = "m/"};
    const struct rig_connect with_will = {.is_clean = true,
                                          .will_topic = "t/will",
                                          .will_payload = "gone",
                                          .will_qos = 1,
                                          .will_retain = true,
                                          .will_expiry_s = 5};
    const struct rig_connect old = {.version = NJ_MQTT_311, .is_clean = true};
    come(0, NULL);
    come(1, &stored);
    come(2, &aliased);
    come(3, &with_will);
    come(4, &old);
    come(5, &stored);
    sub(1, "t/#", 2);
    sub(2, "t/#", 1);
    sub(4, "t/+", 2);
    sub(4, "t/a", 1);
    sub(5, "$share/g/t/#", 1);
    sub(3, "$share/g/t/#", 2);
    sub(0, "$share/h/+/a", 0);
    say(0, "t/a", 10, 0, 0, false);
    say(0, "t/a", 10, 1, 1, true);
    say(0, "t/b", 2000, 2, 2, true);
    if (clients[0]) {
        rig_pubrel(clients[0], 2);
    }
    say(0, "t/c", 30000, 1, 3, true);
    say(2, "t/d", 100, 1, 4, false);
    if (clients[2]) {
        (void)rig_publish(
            clients[2],
            &(struct rig_publish){.topic = "t/e", .payload = "x", .qos = 1, .id = 5, .alias = 2});
        (void)rig_publish(
            clients[2],
            &(struct rig_publish){.topic = "", .payload = "x", .qos = 1, .id = 6, .alias = 2});
    }
    drain_all();
    leave(1, false);
    leave(5, false);
    for (uint16_t i = 0; i < 12; i++) {
        say(0, "t/a", 10 + i, i % 3, (uint16_t)(10 + i), i == 5);
        if (i % 3 == 2 && clients[0]) {
            rig_pubrel(clients[0], (uint16_t)(10 + i));
        }
    }
    rig_policy(&rig, "topic readwrite #\ntopic deny t/b\n");
    leave(3, false);
    come(1, &stored);
    come(6, NULL);
    sub(6, "#", 2);
    if (clients[6]) {
        rig_block(clients[6]);
    }
    say(4, "t/z", 5000, 1, 40, false);
    rig_policy(&rig, "topic readwrite #\ntopic deny t/z\n");
    rig_run(&rig);
    if (clients[6] && !clients[6]->is_closed) {
        rig_unblock(clients[6]);
    }
    drain_all();
    come(1, &stored); /* a take-over */
    if (clients[1]) {
        (void)rig_unsubscribe(clients[1], "t/#");
    }
    if (clients[0]) {
        (void)rig_unsubscribe(clients[0], "$share/h/+/a");
    }
    rig_advance(&rig, 61000);
    say(0, "t/a", 0, 1, 50, true);
    drain_all();
    rig_policy(&rig, NULL);
    rig_run(&rig);
}

static void check_that_it_works(void)
{
    struct rig_client *listener = rig_connect(&rig, "probe1", NULL);
    struct rig_client *speaker = rig_connect(&rig, "probe2", NULL);
    assert_non_null(listener);
    assert_non_null(speaker);
    rig_sub(listener, "probe", 2);
    rig_say(speaker, "probe", "one", 1, 1);
    rig_expect_ack(speaker, NJ_MQTT_PUBACK, 1, 0);
    rig_expect_publish(listener, "probe", "one", 1);
    rig_say(speaker, "probe", "two", 2, 2);
    rig_expect_ack(speaker, NJ_MQTT_PUBREC, 2, 0);
    rig_pubrel(speaker, 2);
    rig_expect_ack(speaker, NJ_MQTT_PUBCOMP, 2, 0);
    rig_expect_publish(listener, "probe", "two", 2);
}

static uint64_t run_with_fault(uint64_t n, bool forever)
{
    memset(clients, 0, sizeof(clients));
    rig_open(&rig, 2);
    nj_fault_arm(NJ_FAULT_ALLOC, n, forever);
    go_through_everything();
    uint64_t calls = nj_fault_calls(NJ_FAULT_ALLOC);
    nj_fault_disarm();
    rig_run(&rig);
    check_that_it_works();
    rig_close(&rig);
    return calls;
}

static void f028_survives_each_failed_allocation(void **state)
{
    (void)state;
    uint64_t calls = run_with_fault(UINT64_MAX, false);
    assert_true(calls > 100);
    for (uint64_t n = 1; n <= calls; n++) {
        (void)run_with_fault(n, false);
    }
}

static void survives_when_memory_is_gone_from_some_point_on(void **state)
{
    (void)state;
    uint64_t calls = run_with_fault(UINT64_MAX, false);
    for (uint64_t n = 1; n <= calls; n++) {
        (void)run_with_fault(n, true);
    }
}

static void run_with_store(unsigned refuse_every, enum nj_err result)
{
    memset(clients, 0, sizeof(clients));
    rig_open(&rig, 2);
    rig.store.refuse_every = refuse_every;
    rig.store.result = result;
    go_through_everything();
    rig.store.refuse_every = 0;
    rig.store.result = NJ_OK;
    rig_run(&rig);
    check_that_it_works();
    rig_close(&rig);
}

static void survives_a_store_that_refuses_or_fails(void **state)
{
    (void)state;
    run_with_store(0, NJ_ENOSPC);
    for (unsigned every = 1; every < 12; every++) {
        run_with_store(every, NJ_OK);
        run_with_store(every, NJ_EIO);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f028_survives_each_failed_allocation),
        cmocka_unit_test(survives_when_memory_is_gone_from_some_point_on),
        cmocka_unit_test(survives_a_store_that_refuses_or_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
