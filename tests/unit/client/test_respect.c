/* What the standard asks of clients and a broker cannot see at once: what CONNACK said is
 * respected, also by what an earlier connection left behind. tests/conformance/mqtt5.txt names this
 * file. */
#include <sys/socket.h>
#include <string.h>

#include "base/clock.h"
#include "scene.h"

/* MQTT5 3.1.2-21, 3.2.2-21, 3.1.2-20 */
static void the_keep_alive_of_the_broker_counts(void **state)
{
    (void)state;
    struct scene s;
    struct nj_clock_fake fake = {.mono_ns = 1000000000, .wall_ns = NJ_OK};
    nj_clock_set_fake(&fake);
    open_scene(&s, NJ_MQTT_5);
    s.config.keep_alive_s = 100;
    connect_scene(&s);
    uint8_t scratch[64];
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x06\x00\x00\x03\x13\x00\x0a");
    assert_int_equal(turn(&s), NJ_OK);
    fake.mono_ns += 8999000000;
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    assert_int_equal(receive(&s, scratch, sizeof(scratch), 0), 0);
    fake.mono_ns += 1000000; /* before the ten seconds are over */
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\xc0\x00");
    nj_clock_set_fake(NULL);
    close_scene(&s);
}

/* MQTT5 3.2.2-4: there was none. */
static void a_session_after_a_clean_start_ends_the_connection(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, NJ_MQTT_5);
    connect_scene(&s);
    SEND(&s, "\x20\x03\x01\x00\x00");
    assert_int_equal(turn(&s), NJ_EPROTOCOL);
    assert_int_equal(s.connected, 0);
    close_scene(&s);
}

/* MQTT5 3.2.2-17, 3.2.2-18 */
static void no_topic_alias_above_the_brokers_maximum(void **state)
{
    (void)state;
    struct scene s;
    struct nj_client_prop alias = {.id = 0x23, .number = 1};
    const struct nj_client_publish message = {.topic = NJ_BYTES_LIT("t"), .props = {&alias, 1}};
    uint16_t id = 0;
    up(&s, NJ_MQTT_5);
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_EPROTOCOL);
    close_scene(&s);
    uint8_t scratch[64];
    open_scene(&s, NJ_MQTT_5);
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x06\x00\x00\x03\x22\x00\x02");
    assert_int_equal(turn(&s), NJ_OK);
    for (uint32_t number = 0; number < 4; number++) {
        alias.number = number;
        assert_int_equal(nj_client_publish(s.client, &message, &id),
                         number == 1 || number == 2 ? NJ_OK : NJ_EPROTOCOL);
    }
    close_scene(&s);
}

/* MQTT5 3.3.4-8, 4.9.0-3: the window is for publications. */
static void a_full_window_holds_nothing_else_back(void **state)
{
    (void)state;
    struct scene s;
    uint8_t scratch[64];
    open_scene(&s, NJ_MQTT_5);
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x06\x00\x00\x03\x21\x00\x01");
    assert_int_equal(turn(&s), NJ_OK);
    publish(&s, 1);
    publish(&s, 1);
    publish(&s, 0);
    const struct nj_client_filter filter = {NJ_BYTES_LIT("a"), 1};
    uint16_t id = 0;
    assert_int_equal(nj_client_subscribe(s.client, &filter, 1, NULL, &id), NJ_OK);
    SEND(&s, "\x32\x07\x00\x01t\x00\x05\x00x");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x32\x07\x00\x01t\x00\x01\x00x\x30\x05\x00\x01t\x00x"
               "\x82\x07\x00\x04\x00\x00\x01"
               "a\x01"
               "\x40\x02\x00\x05");
    close_scene(&s);
}

/* Connects again; the broker's answer is `connack`. */
static void come_back(struct scene *s, const void *connack, size_t len)
{
    uint8_t scratch[256];
    shutdown(s->peer, SHUT_RDWR);
    assert_int_equal(turn(s), NJ_ECLOSED);
    connect_scene(s);
    receive(s, scratch, sizeof(scratch), 1);
    send_bytes(s, connack, len);
    assert_int_equal(turn(s), NJ_OK);
}
#define COME_BACK(scene, literal) come_back(scene, literal, sizeof(literal) - 1)

/* MQTT5 3.3.1-1: also when the window has become too small to send it at once. */
static void what_is_sent_again_has_dup_however_late(void **state)
{
    (void)state;
    struct scene s;
    uint8_t scratch[256];
    open_scene(&s, NJ_MQTT_5);
    s.config.is_clean_start = false;
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x03\x00\x00\x00");
    assert_int_equal(turn(&s), NJ_OK);
    publish(&s, 1);
    publish(&s, 1);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    receive(&s, scratch, sizeof(scratch), 18);
    COME_BACK(&s, "\x20\x06\x01\x00\x03\x21\x00\x01");
    EXPECT(&s, "\x3a\x07\x00\x01t\x00\x01\x00x");
    SEND(&s, "\x40\x02\x00\x01");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x3a\x07\x00\x01t\x00\x02\x00x");
    close_scene(&s);
}

/* MQTT5 3.2.2-11, 3.2.2-14, 3.2.2-15, 3.3.2-7: the limits of the next connection are other ones. */
static void what_the_broker_takes_no_more_is_not_sent_again(void **state)
{
    (void)state;
    struct scene s;
    uint8_t scratch[256];
    uint16_t id = 0;
    const struct nj_client_prop alias = {.id = 0x23, .number = 1};
    struct nj_client_publish message = {.topic = NJ_BYTES_LIT("t"), .qos = 1};
    open_scene(&s, NJ_MQTT_5);
    s.config.is_clean_start = false;
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x06\x00\x00\x03\x22\x00\x01");
    assert_int_equal(turn(&s), NJ_OK);
    message.payload = NJ_BYTES_LIT("0123456789012345");
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_OK);
    message.payload = NJ_BYTES_LIT("x");
    message.retain = true;
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_OK);
    message.retain = false;
    message.props = (struct nj_client_props){&alias, 1};
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_OK);
    message.topic = nj_bytes(NULL, 0);
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_OK);
    publish(&s, 2);
    assert_int_equal(publish(&s, 1), 6);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    receive(&s, scratch, sizeof(scratch), 70);
    /* maximum QoS 1, no retain, maximum packet size 20, aliases as before */
    COME_BACK(&s, "\x20\x0f\x01\x00\x0c\x22\x00\x01\x24\x01\x25\x00\x27\x00\x00\x00\x14");
    assert_int_equal(s.published, 4);
    assert_int_equal(s.published_code, 0x9B);
    EXPECT(&s, "\x3a\x0a\x00\x01t\x00\x03\x03\x23\x00\x01x\x3a\x07\x00\x01t\x00\x06\x00x");
    /* and no aliases at all */
    COME_BACK(&s, "\x20\x03\x01\x00\x00");
    assert_int_equal(s.published, 5);
    assert_int_equal(s.published_code, 0x94);
    EXPECT(&s, "\x3a\x07\x00\x01t\x00\x06\x00x");
    assert_int_equal(nj_client_unfinished(s.client), 1);
    close_scene(&s);
}

/* MQTT 3.1 section 2.1: a repeated PUBREL has DUP there. */
static void a_repeated_pubrel_of_mqtt_31(void **state)
{
    (void)state;
    struct scene s;
    up(&s, NJ_MQTT_31);
    SEND(&s, "\x34\x07\x00\x01t\x00\x06"
             "c1\x6a\x02\x00\x06");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x50\x02\x00\x06\x70\x02\x00\x06");
    assert_int_equal(s.messages, 1);
    close_scene(&s);
}

/* CONNACK of MQTT 3.1 has no session present. */
static void a_session_of_mqtt_31_goes_on(void **state)
{
    (void)state;
    struct scene s;
    uint8_t scratch[64];
    open_scene(&s, NJ_MQTT_31);
    s.config.is_clean_start = false;
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x02\x00\x00");
    assert_int_equal(turn(&s), NJ_OK);
    publish(&s, 1);
    SEND(&s, "\x34\x07\x00\x01t\x00\x06"
             "c1");
    assert_int_equal(turn(&s), NJ_OK);
    receive(&s, scratch, sizeof(scratch), 12);
    COME_BACK(&s, "\x20\x02\x00\x00");
    EXPECT(&s, "\x3a\x06\x00\x01t\x00\x01x");
    SEND(&s, "\x62\x02\x00\x06");
    assert_int_equal(turn(&s), NJ_OK);
    assert_string_equal(s.payload, "c1");
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_keep_alive_of_the_broker_counts),
        cmocka_unit_test(a_session_after_a_clean_start_ends_the_connection),
        cmocka_unit_test(no_topic_alias_above_the_brokers_maximum),
        cmocka_unit_test(a_full_window_holds_nothing_else_back),
        cmocka_unit_test(what_is_sent_again_has_dup_however_late),
        cmocka_unit_test(what_the_broker_takes_no_more_is_not_sent_again),
        cmocka_unit_test(a_repeated_pubrel_of_mqtt_31),
        cmocka_unit_test(a_session_of_mqtt_31_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
