/* What is acknowledged is durable: answers wait for the store and for other workers, in order, and
 * say so when it failed. */
#include "broker/flow.h"
#include "broker/hold.h"
#include "fixture.h"

/* ---- waiting */

static void acknowledges_qos_1_after_the_stored_subscribers_row(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    rig_expect_nothing(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
}

static void acknowledges_qos_1_without_stored_subscribers_at_once(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
    rig_say(pub, "nobody", "x", 1, 8);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 8, NJ_RC_NO_MATCHING_SUBSCRIBERS);
}

/* Two clients that live on different workers. */
static void pick_names(char *a, char *b)
{
    char name[3] = {'c', '0', 0};
    *a = *b = 0;
    for (char c = 'a'; c <= 'z' && !(*a && *b); c++) {
        name[1] = c;
        unsigned home = nj_core_home(&rig.core, nj_bytes_of(name));
        if (home == 0 && !*a) {
            *a = c;
        } else if (home == 1 && !*b) {
            *b = c;
        }
    }
    assert_true(*a && *b);
}

static void acknowledges_after_the_row_on_another_worker(void **state)
{
    (void)state;
    char here[3] = "c";
    char there[3] = "c";
    pick_names(&here[1], &there[1]);
    struct rig_client *sub = rig_connect_stored(&rig, there);
    struct rig_client *pub = rig_connect(&rig, here, NULL);
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    rig_expect_nothing(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
}

static void keeps_the_order_of_acknowledgements(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 1);
    rig_say(pub, "nobody", "x", 1, 2);
    rig_say(pub, "other", "x", 2, 3);
    rig_expect_nothing(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 2, NJ_RC_NO_MATCHING_SUBSCRIBERS);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 3, 0);
}

static void forgets_answers_of_a_connection_that_is_gone(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 1);
    rig_break(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_nothing(pub);
}

/* ---- PINGREQ, and what ends a connection */

static void answers_pingreq_behind_what_it_promised_before(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    assert_true(nj_session_pong(rig_session(&rig, "pub")));
    rig_run(&rig);
    (void)rig_expect(pub, NJ_MQTT_PINGRESP);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    assert_false(nj_session_pong(rig_session(&rig, "pub")));
    rig_say(pub, "nobody", "x", 1, 8);
    rig_run(&rig);
    rig_expect_nothing(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
    (void)rig_expect(pub, NJ_MQTT_PINGRESP);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 8, NJ_RC_NO_MATCHING_SUBSCRIBERS);
    rig_expect_nothing(pub);
}

static void lets_pingresp_overtake_a_store_that_hangs(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct nj_session *session = rig_session(&rig, "pub");
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    assert_false(nj_session_pong(session));
    assert_false(nj_session_pong(session));
    nj_session_overtake(session);
    rig_run(&rig);
    (void)rig_expect(pub, NJ_MQTT_PINGRESP);
    (void)rig_expect(pub, NJ_MQTT_PINGRESP);
    rig_expect_nothing(pub);
    assert_int_equal(session->held_count, 1);
    nj_session_overtake(session);
    rig_run(&rig);
    rig_expect_nothing(pub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
    rig_expect_nothing(pub);
}

static void answers_pingreq_behind_messages_that_wait_for_their_record(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 2);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 2, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, 0);
    rig_pubrel(pub, 7);
    assert_false(nj_session_pong(rig_session(&rig, "sub")));
    rig_run(&rig);
    rig_expect_nothing(sub);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    (void)rig_expect_publish(sub, "t", "x", 2);
    (void)rig_expect(sub, NJ_MQTT_PINGRESP);
    rig_expect_nothing(sub);
}

static void bounds_the_pingresps_that_wait(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct nj_session *session = rig_session(&rig, "pub");
    rig_sub(sub, "t", 1);
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    while (!nj_session_pong(session)) {
    }
    assert_int_equal(session->held_count, NJ_HELD_MAX);
    rig_run(&rig);
    (void)rig_expect(pub, NJ_MQTT_PINGRESP);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
    for (unsigned i = 1; i < NJ_HELD_MAX; i++) {
        (void)rig_expect(pub, NJ_MQTT_PINGRESP);
    }
    rig_expect_nothing(pub);
}

static void owes_answers_until_the_last_one_is_out(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    struct nj_session *session = rig_session(&rig, "pub");
    rig_sub(sub, "t", 1);
    assert_false(nj_session_owes_answers(session));
    rig.store.holds = true;
    rig_say(pub, "t", "x", 1, 7);
    rig.shards[0]->store_state = NJ_STORE_FULL; /* it must not wait for better times, too */
    assert_true(nj_session_owes_answers(session));
    assert_true(pub->link.is_held_back);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, 0);
    assert_false(pub->link.is_held_back);
    assert_false(nj_session_owes_answers(session));
}

/* ---- failing */

static void tells_mqtt_5_that_a_qos_1_message_was_not_stored(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    rig.store.result = NJ_ENOSPC;
    rig_say(pub, "t", "x", 1, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, NJ_RC_QUOTA_EXCEEDED);
    rig.store.result = NJ_OK;
    rig.store.refuse = 1;
    rig_say(pub, "t", "x", 1, 8);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 8, NJ_RC_QUOTA_EXCEEDED);
    rig_say(pub, "t", "x", 1, 9);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 9, 0);
}

static void closes_on_mqtt_3_rather_than_acknowledge_what_was_refused(void **state)
{
    (void)state;
    const struct rig_connect v3 = {.version = NJ_MQTT_311, .is_clean = true};
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 2);
    for (uint8_t qos = 1; qos <= 2; qos++) {
        for (int late = 0; late < 2; late++) {
            struct rig_client *pub = rig_connect(
                &rig, "pub", &(struct rig_connect){.version = NJ_MQTT_311, .expiry_s = UINT32_MAX});
            rig.store.refuse = late ? 0 : 1;
            rig.store.result = late ? NJ_ENOSPC : NJ_OK;
            rig_say(pub, "t", "x", qos, 7);
            rig_expect_nothing(pub);
            assert_true(pub->is_closed);
            rig.store.result = NJ_OK;
        }
    }
    /* A session that is not stored has nothing to record with QoS 2 before PUBREL. */
    struct rig_client *pub = rig_connect(&rig, "v3", &v3);
    rig.store.refuse = 1;
    rig_say(pub, "t", "x", 2, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, 0);
    rig_pubrel(pub, 7);
    rig_expect_nothing(pub);
    assert_true(pub->is_closed);
}

static void does_not_acknowledge_a_group_that_lacks_an_operation(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    struct rig_client *pub = rig_connect(&rig, "pub", NULL);
    rig_sub(sub, "t", 1);
    rig.shards[0]->is_group_broken = true;
    rig_say(pub, "t", "x", 1, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 7, NJ_RC_QUOTA_EXCEEDED);
    rig_say(pub, "t", "x", 1, 8);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 8, 0);
}

static void forgets_a_qos_2_message_whose_record_failed(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    rig.store.result = NJ_ENOSPC;
    rig_say(pub, "t", "first", 2, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, NJ_RC_QUOTA_EXCEEDED);
    assert_int_equal(rig_session(&rig, "pub")->flow->incoming.count, 0);
    assert_int_equal(pub->link.receive_in, 0);
    rig.store.result = NJ_OK;
    /* The id is free: another message may use it. */
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 2);
    rig_say(pub, "t", "second", 2, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, 0);
    rig_pubrel(pub, 7);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 7, 0);
    rig_expect_publish(sub, "t", "second", 2);
}

static void records_a_qos_2_duplicate_again(void **state)
{
    (void)state;
    struct rig_client *pub = rig_connect_stored(&rig, "pub");
    rig.store.holds = true;
    rig_say(pub, "t", "x", 2, 7);
    rig_break(pub);
    rig_store_release(&rig, NJ_ENOSPC); /* nobody is there to be told */
    rig.store.holds = false;
    pub = rig_connect_stored(&rig, "pub");
    assert_true(pub->was_present);
    unsigned before = rig.store.ops[NJ_STORE_INCOMING_PUT];
    const struct rig_publish again = {
        .topic = "t", .payload = "x", .qos = 2, .id = 7, .is_dup = true};
    rig_publish(pub, &again);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 7, 0);
    assert_int_equal(rig.store.ops[NJ_STORE_INCOMING_PUT], before + 1);
    assert_int_equal(rig_session(&rig, "pub")->flow->incoming.count, 1);
}

static void closes_when_a_subscription_was_not_stored(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig.store.refuse = 1;
    (void)rig_subscribe(sub, &(struct rig_subscribe){.filter = "t", .qos = 1});
    rig_expect_nothing(sub);
    assert_true(sub->is_closed);
    sub = rig_connect_stored(&rig, "sub");
    rig.store.result = NJ_ENOSPC;
    (void)rig_subscribe(sub, &(struct rig_subscribe){.filter = "t", .qos = 1});
    rig_expect_nothing(sub);
    assert_true(sub->is_closed);
}

static void refuses_a_connect_whose_claim_was_not_stored(void **state)
{
    (void)state;
    rig.store.refuse = 1;
    struct rig_client *client = rig_connect_stored(&rig, "sub");
    assert_non_null(client);
    assert_false(client->is_ready);
    assert_true(client->is_closed);
}

/* ---- receive maximum (MQTT5 4.9) */

static void counts_what_is_not_yet_acknowledged_against_the_receive_maximum(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect_stored(&rig, "sub");
    rig_sub(sub, "t", 1);
    struct rig_client *pub =
        rig_connect(&rig, "pub", &(struct rig_connect){.is_clean = true, .receive_max_in = 2});
    rig.store.holds = true;
    assert_int_equal(rig_say(pub, "t", "x", 1, 1), 0);
    assert_int_equal(rig_say(pub, "t", "x", 2, 2), 0);
    rig_store_release(&rig, NJ_OK);
    rig_run(&rig);
    rig_expect_ack(pub, NJ_MQTT_PUBACK, 1, 0);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 2, 0);
    assert_int_equal(rig_say(pub, "t", "x", 1, 3), 0);
    assert_int_equal(rig_say(pub, "t", "x", 1, 4), NJ_RC_RECEIVE_MAXIMUM_EXCEEDED);
}

static void takes_one_id_over_and_over_for_one_message(void **state)
{
    (void)state;
    struct rig_client *sub = rig_connect(&rig, "sub", NULL);
    rig_sub(sub, "t", 2);
    struct rig_client *pub =
        rig_connect(&rig, "pub", &(struct rig_connect){.expiry_s = 60, .receive_max_in = 2});
    for (int i = 0; i < 10; i++) {
        assert_int_equal(rig_say(pub, "t", "x", 2, 1), 0);
        rig_expect_ack(pub, NJ_MQTT_PUBREC, 1, 0);
    }
    assert_int_equal(pub->link.receive_in, 1);
    rig_pubrel(pub, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, 0);
    rig_expect_publish(sub, "t", "x", 2);
    rig_expect_nothing(sub);
    rig_pubrel(pub, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, NJ_RC_PACKET_ID_NOT_FOUND);
    assert_int_equal(pub->link.receive_in, 0);
}

static void begins_the_receive_maximum_anew_with_each_connection(void **state)
{
    (void)state;
    const struct rig_connect options = {.expiry_s = 3600, .receive_max_in = 2};
    struct rig_client *pub = rig_connect(&rig, "pub", &options);
    rig_say(pub, "t", "x", 2, 1);
    rig_say(pub, "t", "x", 2, 2);
    rig_break(pub);
    pub = rig_connect(&rig, "pub", &options);
    assert_true(pub->was_present);
    assert_int_equal(rig_say(pub, "t", "x", 2, 3), 0);
    rig_expect_ack(pub, NJ_MQTT_PUBREC, 3, 0);
    rig_pubrel(pub, 1);
    rig_expect_ack(pub, NJ_MQTT_PUBCOMP, 1, 0);
}

static void bounds_unreleased_qos_2_messages_of_older_clients(void **state)
{
    (void)state;
    rig.limits.max_queued = 3;
    rig.limits.max_inflight = 2;
    struct rig_client *pub =
        rig_connect(&rig, "pub", &(struct rig_connect){.version = NJ_MQTT_311, .is_clean = true});
    for (uint16_t id = 1; id <= 5; id++) {
        assert_int_equal(rig_say(pub, "t", "x", 2, id), 0);
    }
    assert_int_equal(rig_say(pub, "t", "x", 2, 6), NJ_RC_QUOTA_EXCEEDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST1(acknowledges_qos_1_after_the_stored_subscribers_row),
        TEST1(acknowledges_qos_1_without_stored_subscribers_at_once),
        TEST2(acknowledges_after_the_row_on_another_worker),
        TEST1(keeps_the_order_of_acknowledgements),
        TEST1(forgets_answers_of_a_connection_that_is_gone),
        TEST1(answers_pingreq_behind_what_it_promised_before),
        TEST1(lets_pingresp_overtake_a_store_that_hangs),
        TEST1(answers_pingreq_behind_messages_that_wait_for_their_record),
        TEST1(bounds_the_pingresps_that_wait),
        TEST1(owes_answers_until_the_last_one_is_out),
        TEST1(tells_mqtt_5_that_a_qos_1_message_was_not_stored),
        TEST1(closes_on_mqtt_3_rather_than_acknowledge_what_was_refused),
        TEST1(does_not_acknowledge_a_group_that_lacks_an_operation),
        TEST1(forgets_a_qos_2_message_whose_record_failed),
        TEST1(records_a_qos_2_duplicate_again),
        TEST1(closes_when_a_subscription_was_not_stored),
        TEST1(refuses_a_connect_whose_claim_was_not_stored),
        TEST1(counts_what_is_not_yet_acknowledged_against_the_receive_maximum),
        TEST1(takes_one_id_over_and_over_for_one_message),
        TEST1(begins_the_receive_maximum_anew_with_each_connection),
        TEST1(bounds_unreleased_qos_2_messages_of_older_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
