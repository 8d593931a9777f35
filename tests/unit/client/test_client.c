/* The client library against a broker that the test plays by hand, byte by byte: the normal way,
 * and everything a hostile broker may try (L-126). What a client has to respect: test_respect.c. */
#include <sys/socket.h>
#include <sys/un.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "scene.h"

/* ---- the normal way ---- */

static void greets_in_every_version(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, NJ_MQTT_31);
    connect_scene(&s);
    EXPECT(&s, "\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01"
               "c");
    close_scene(&s);
    open_scene(&s, NJ_MQTT_311);
    s.config.keep_alive_s = 60;
    s.config.username = "u";
    s.config.password = NJ_BYTES_LIT("p");
    connect_scene(&s);
    EXPECT(&s, "\x10\x13\x00\x04MQTT\x04\xc2\x00\x3c\x00\x01"
               "c\x00\x01u\x00\x01p");
    close_scene(&s);
    open_scene(&s, NJ_MQTT_5);
    const struct nj_client_prop expiry = {.id = 0x11, .number = 5};
    s.config.connect_props = (struct nj_client_props){&expiry, 1};
    connect_scene(&s);
    EXPECT(&s, "\x10\x16\x00\x04MQTT\x05\x02\x00\x00\x08\x11\x00\x00\x00\x05\x21\x00\x14\x00\x01"
               "c");
    close_scene(&s);
}

static void reports_a_refusal(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, NJ_MQTT_311);
    connect_scene(&s);
    SEND(&s, "\x20\x02\x00\x05");
    assert_int_equal(turn(&s), NJ_EAUTH);
    assert_int_equal(s.connected, 1);
    assert_int_equal(s.connack_code, 5);
    assert_false(nj_client_is_connected(s.client));
    close_scene(&s);
}

static void receives_every_qos(void **state)
{
    (void)state;
    struct scene s;
    up(&s, NJ_MQTT_311);
    SEND(&s, "\x30\x05\x00\x01ta1");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.messages, 1);
    assert_string_equal(s.payload, "a1");
    SEND(&s, "\x32\x07\x00\x01t\x00\x05"
             "b1");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.messages, 2);
    EXPECT(&s, "\x40\x02\x00\x05");
    SEND(&s, "\x34\x07\x00\x01t\x00\x06"
             "c1");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x50\x02\x00\x06");
    assert_int_equal(s.messages, 2);
    /* sent again: acknowledged again, kept once */
    SEND(&s, "\x3c\x07\x00\x01t\x00\x06"
             "c1");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x50\x02\x00\x06");
    SEND(&s, "\x62\x02\x00\x06");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x70\x02\x00\x06");
    assert_int_equal(s.messages, 3);
    assert_string_equal(s.payload, "c1");
    /* a PUBREL for nothing is answered, nothing is delivered */
    SEND(&s, "\x62\x02\x00\x06");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x70\x02\x00\x06");
    assert_int_equal(s.messages, 3);
    close_scene(&s);
}

static void lists_properties_and_resolves_aliases(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, NJ_MQTT_5);
    const struct nj_client_prop aliases = {.id = 0x22, .number = 2};
    s.config.connect_props = (struct nj_client_props){&aliases, 1};
    connect_scene(&s);
    SEND(&s, "\x20\x03\x00\x00\x00");
    assert_int_equal(turn(&s), NJ_OK);
    SEND(&s, "\x30\x12\x00\x03top\x0c\x23\x00\x01\x0b\x4d\x26\x00\x01k\x00\x01v");
    assert_int_equal(turn(&s), NJ_OK);
    assert_string_equal(s.topic, "top");
    assert_int_equal(s.props_count, 3);
    assert_int_equal(s.prop.id, NJ_CLIENT_TOPIC_ALIAS);
    SEND(&s, "\x30\x07\x00\x00\x03\x23\x00\x01x");
    assert_int_equal(turn(&s), NJ_OK);
    assert_string_equal(s.topic, "top");
    assert_string_equal(s.payload, "x");
    close_scene(&s);
}

static void publishes_every_qos(void **state)
{
    (void)state;
    struct scene s;
    up(&s, NJ_MQTT_311);
    assert_int_equal(publish(&s, 0), 1);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\x30\x04\x00\x01tx");
    assert_int_equal(s.published, 1);
    assert_int_equal(publish(&s, 1), 2);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\x32\x06\x00\x01t\x00\x02x");
    SEND(&s, "\x40\x02\x00\x02");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.published, 2);
    assert_int_equal(publish(&s, 2), 3);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\x34\x06\x00\x01t\x00\x03x");
    SEND(&s, "\x50\x02\x00\x03");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x62\x02\x00\x03");
    assert_int_equal(s.published, 2);
    SEND(&s, "\x70\x02\x00\x03");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.published, 3);
    assert_int_equal(nj_client_unfinished(s.client), 0);
    close_scene(&s);
}

static void respects_what_connack_says(void **state)
{
    (void)state;
    struct scene s;
    open_scene(&s, NJ_MQTT_5);
    connect_scene(&s);
    uint8_t scratch[256];
    receive(&s, scratch, sizeof(scratch), 1);
    /* receive maximum 1, maximum QoS 1, no retain, maximum packet size 20 */
    SEND(&s, "\x20\x0f\x00\x00\x0c\x21\x00\x01\x24\x01\x25\x00\x27\x00\x00\x00\x14");
    assert_int_equal(turn(&s), NJ_OK);
    uint16_t id = 0;
    struct nj_client_publish message = {.topic = NJ_BYTES_LIT("t"), .qos = 2};
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_ENOTSUP);
    message.qos = 0;
    message.retain = true;
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_EACCES);
    message.retain = false;
    message.payload = NJ_BYTES_LIT("0123456789012345");
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_ETOOBIG);
    message.payload = NJ_BYTES_LIT("x");
    message.topic = NJ_BYTES_LIT("a/+");
    assert_int_equal(nj_client_publish(s.client, &message, &id), NJ_EINVAL);
    /* the message that was too large has used up an id */
    assert_int_equal(publish(&s, 1), 2);
    assert_int_equal(publish(&s, 1), 3);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\x32\x07\x00\x01t\x00\x02\x00x"); /* the second one waits */
    SEND(&s, "\x40\x03\x00\x02\x87");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.published_code, 0x87);
    EXPECT(&s, "\x32\x07\x00\x01t\x00\x03\x00x");
    close_scene(&s);
}

static void sends_again_after_a_lost_connection(void **state)
{
    (void)state;
    struct scene s;
    uint8_t scratch[256];
    open_scene(&s, NJ_MQTT_311);
    s.config.is_clean_start = false;
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x02\x00\x00");
    assert_int_equal(turn(&s), NJ_OK);
    publish(&s, 1);
    publish(&s, 2);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    receive(&s, scratch, sizeof(scratch), 16);
    SEND(&s, "\x50\x02\x00\x02");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x62\x02\x00\x02");
    shutdown(s.peer, SHUT_RDWR);
    assert_int_equal(turn(&s), NJ_ECLOSED);

    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x02\x01\x00");
    assert_int_equal(turn(&s), NJ_OK);
    assert_true(s.is_session_present);
    EXPECT(&s, "\x3a\x06\x00\x01t\x00\x01x\x62\x02\x00\x02");
    shutdown(s.peer, SHUT_RDWR);
    assert_int_equal(turn(&s), NJ_ECLOSED);

    /* the broker forgot: everything from the beginning, without DUP */
    connect_scene(&s);
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x02\x00\x00");
    assert_int_equal(turn(&s), NJ_OK);
    EXPECT(&s, "\x32\x06\x00\x01t\x00\x01x\x34\x06\x00\x01t\x00\x02x");
    close_scene(&s);
}

static void subscribe(struct scene *s)
{
    const struct nj_client_filter filters[2] = {{NJ_BYTES_LIT("a"), 1}, {NJ_BYTES_LIT("b"), 0}};
    uint16_t id = 0;
    assert_int_equal(nj_client_subscribe(s->client, filters, 2, NULL, &id), NJ_OK);
    assert_int_equal(id, 1);
    assert_int_equal(nj_client_loop(s->client, 0), NJ_OK);
}

static void subscribes_and_unsubscribes(void **state)
{
    (void)state;
    struct scene s;
    up(&s, NJ_MQTT_311);
    subscribe(&s);
    EXPECT(&s, "\x82\x0a\x00\x01\x00\x01"
               "a\x01\x00\x01"
               "b\x00");
    SEND(&s, "\x90\x04\x00\x01\x01\x80");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.subscribed, 1);
    assert_int_equal(s.codes, 1);
    const struct nj_bytes filter = NJ_BYTES_LIT("a");
    uint16_t id = 0;
    assert_int_equal(nj_client_unsubscribe(s.client, &filter, 1, NULL, &id), NJ_OK);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\xa2\x05\x00\x02\x00\x01"
               "a");
    SEND(&s, "\xb0\x02\x00\x02");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.unsubscribed, 1);
    nj_client_disconnect(s.client, 0, NULL);
    EXPECT(&s, "\xe0\x00");
    close_scene(&s);
}

static void may_disconnect_within_a_callback(void **state)
{
    (void)state;
    struct scene s;
    up(&s, NJ_MQTT_311);
    s.disconnects_on_message = true;
    SEND(&s, "\x32\x07\x00\x01t\x00\x05"
             "b1"
             "\x30\x05\x00\x01ta1");
    assert_int_equal(turn(&s), NJ_OK);
    assert_int_equal(s.messages, 1);
    EXPECT(&s, "\x40\x02\x00\x05\xe0\x00");
    assert_false(nj_client_is_connected(s.client));
    assert_int_equal(turn(&s), NJ_ECLOSED);
    close_scene(&s);
}

static void keeps_alive_and_notices_silence(void **state)
{
    (void)state;
    struct scene s;
    struct nj_clock_fake fake = {.mono_ns = 1000000000, .wall_ns = NJ_OK};
    nj_clock_set_fake(&fake);
    open_scene(&s, NJ_MQTT_311);
    s.config.keep_alive_s = 10;
    connect_scene(&s);
    uint8_t scratch[64];
    receive(&s, scratch, sizeof(scratch), 1);
    SEND(&s, "\x20\x02\x00\x00");
    assert_int_equal(turn(&s), NJ_OK);
    fake.mono_ns += 10000000000;
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\xc0\x00");
    SEND(&s, "\xd0\x00");
    assert_int_equal(turn(&s), NJ_OK);
    fake.mono_ns += 10000000000;
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    EXPECT(&s, "\xc0\x00");
    fake.mono_ns += 10000000000;
    assert_int_equal(nj_client_loop(s.client, 0), NJ_ETIMEDOUT);
    nj_clock_set_fake(NULL);
    close_scene(&s);
}

static void gives_up_on_a_broker_that_never_answers(void **state)
{
    (void)state;
    struct scene s;
    struct nj_clock_fake fake = {.mono_ns = 1000000000};
    nj_clock_set_fake(&fake);
    open_scene(&s, NJ_MQTT_311);
    s.config.connect_timeout_ms = 2000;
    connect_scene(&s);
    assert_int_equal(nj_client_loop(s.client, 0), NJ_OK);
    fake.mono_ns += 2000000000;
    assert_int_equal(nj_client_loop(s.client, 0), NJ_ETIMEDOUT);
    nj_clock_set_fake(NULL);
    close_scene(&s);
}

/* ---- a hostile broker ---- */

struct attack {
    const char *what;
    const char *bytes;
    size_t len;
    enum nj_err wanted;
};
#define ATTACK(what, literal, wanted)                                                              \
    {                                                                                              \
        what, literal, sizeof(literal) - 1, wanted                                                 \
    }

static void attack(enum nj_mqtt_version version, bool is_up, const struct attack *attack)
{
    struct scene s;
    if (is_up) {
        uint8_t scratch[256];
        up(&s, version);
        subscribe(&s);
        receive(&s, scratch, sizeof(scratch), 1);
    } else {
        open_scene(&s, version);
        connect_scene(&s);
    }
    send_bytes(&s, attack->bytes, attack->len);
    enum nj_err err = turn(&s);
    if (err != attack->wanted) {
        fail_msg("%s: %s (%s)", attack->what, nj_err_name(err), nj_client_error(s.client));
    }
    if (err != NJ_OK) {
        assert_false(nj_client_is_connected(s.client));
        assert_true(strlen(nj_client_error(s.client)) > 0);
    }
    close_scene(&s);
}

static void L126_survives_hostile_answers_to_connect(void **state)
{
    (void)state;
    static const struct attack ATTACKS_311[] = {
        ATTACK("no MQTT at all", "HTTP/1.1 400 Bad Request\r\n\r\n", NJ_EMALFORMED),
        ATTACK("a large packet instead of CONNACK", "\x30\xff\xff\xff\x7f", NJ_EPROTOCOL),
        ATTACK("packet type 0", "\x00\x00", NJ_EPROTOCOL),
        ATTACK("a length of five bytes", "\x20\xff\xff\xff\xff\x01", NJ_EMALFORMED),
        ATTACK("an empty CONNACK", "\x20\x00", NJ_EMALFORMED),
        ATTACK("a CONNACK of one byte", "\x20\x01\x00", NJ_EMALFORMED),
        ATTACK("a CONNACK of three bytes", "\x20\x03\x00\x00\x00", NJ_EMALFORMED),
        ATTACK("CONNACK flags", "\x20\x02\x02\x00", NJ_EMALFORMED),
        ATTACK("CONNACK with header flags", "\x21\x02\x00\x00", NJ_EMALFORMED),
        ATTACK("PUBLISH first", "\x30\x05\x00\x01ta1", NJ_EPROTOCOL),
        ATTACK("SUBACK first", "\x90\x03\x00\x01\x00", NJ_EPROTOCOL),
        ATTACK("two CONNACKs", "\x20\x02\x00\x00\x20\x02\x00\x00", NJ_EPROTOCOL),
    };
    static const struct attack ATTACKS_5[] = {
        ATTACK("a CONNACK with a wrong property", "\x20\x06\x00\x00\x03\x23\x00\x01",
               NJ_EMALFORMED),
        ATTACK("a CONNACK with receive maximum 0", "\x20\x06\x00\x00\x03\x21\x00\x00",
               NJ_EPROTOCOL),
        ATTACK("properties longer than the packet", "\x20\x03\x00\x00\x05", NJ_EMALFORMED),
        ATTACK("AUTH without a method", "\xf0\x00", NJ_EPROTOCOL),
        ATTACK("DISCONNECT instead of CONNACK", "\xe0\x01\x89", NJ_ECLOSED),
    };
    for (size_t i = 0; i < sizeof(ATTACKS_311) / sizeof(ATTACKS_311[0]); i++) {
        attack(NJ_MQTT_311, false, &ATTACKS_311[i]);
    }
    for (size_t i = 0; i < sizeof(ATTACKS_5) / sizeof(ATTACKS_5[0]); i++) {
        attack(NJ_MQTT_5, false, &ATTACKS_5[i]);
    }
}

static void L126_survives_hostile_packets(void **state)
{
    (void)state;
    static const struct attack ATTACKS_311[] = {
        ATTACK("SUBACK without anything", "\x90\x00", NJ_EMALFORMED),
        ATTACK("SUBACK without codes", "\x90\x02\x00\x01", NJ_EPROTOCOL),
        ATTACK("SUBACK with too few codes", "\x90\x03\x00\x01\x00", NJ_EPROTOCOL),
        ATTACK("SUBACK with too many codes", "\x90\x05\x00\x01\x00\x00\x00", NJ_EPROTOCOL),
        ATTACK("SUBACK with a code that is none", "\x90\x04\x00\x01\x00\x03", NJ_EPROTOCOL),
        ATTACK("SUBACK for another id", "\x90\x04\x00\x02\x00\x00", NJ_EPROTOCOL),
        ATTACK("SUBACK for id 0", "\x90\x04\x00\x00\x00\x00", NJ_EPROTOCOL),
        ATTACK("UNSUBACK for a SUBSCRIBE", "\xb0\x02\x00\x01", NJ_EPROTOCOL),
        ATTACK("PUBACK of one byte", "\x40\x01\x00", NJ_EMALFORMED),
        ATTACK("PUBACK for nothing", "\x40\x02\x00\x09", NJ_OK),
        ATTACK("PUBCOMP for nothing", "\x70\x02\x00\x09", NJ_OK),
        ATTACK("PUBREC for nothing", "\x50\x02\x00\x09", NJ_OK),
        ATTACK("PUBREL with flags 0", "\x60\x02\x00\x09", NJ_EMALFORMED),
        ATTACK("PUBLISH without a topic", "\x30\x02\x00\x00", NJ_EMALFORMED),
        ATTACK("PUBLISH with a wildcard",
               "\x30\x05\x00\x03"
               "a/#",
               NJ_EPROTOCOL),
        ATTACK("PUBLISH with NUL",
               "\x30\x05\x00\x03"
               "a\0b",
               NJ_EMALFORMED),
        ATTACK("PUBLISH with bad UTF-8", "\x30\x03\x00\x01\xff", NJ_EMALFORMED),
        ATTACK("PUBLISH with a topic beyond its end", "\x30\x03\x00\x09t", NJ_EMALFORMED),
        ATTACK("PUBLISH with QoS 3", "\x36\x05\x00\x01t\x00\x01", NJ_EMALFORMED),
        ATTACK("PUBLISH with id 0", "\x32\x05\x00\x01t\x00\x00", NJ_EMALFORMED),
        ATTACK("PUBLISH without an id", "\x32\x03\x00\x01t", NJ_EMALFORMED),
        ATTACK("a client's CONNECT", "\x10\x02\x00\x00", NJ_EPROTOCOL),
        ATTACK("a client's SUBSCRIBE", "\x82\x06\x00\x01\x00\x01t\x00", NJ_EPROTOCOL),
        ATTACK("a client's PINGREQ", "\xc0\x00", NJ_EPROTOCOL),
        ATTACK("DISCONNECT, which MQTT 3 has not", "\xe0\x00", NJ_EMALFORMED),
        ATTACK("unasked PINGRESPs", "\xd0\x00\xd0\x00\xd0\x00", NJ_OK),
    };
    static const struct attack ATTACKS_5[] = {
        ATTACK("SUBACK without properties", "\x90\x02\x00\x01", NJ_EMALFORMED),
        ATTACK("SUBACK without codes", "\x90\x03\x00\x01\x00", NJ_EPROTOCOL),
        ATTACK("UNSUBACK without codes", "\xb0\x03\x00\x01\x00", NJ_EPROTOCOL),
        ATTACK("PUBLISH with an alias nobody allowed", "\x30\x08\x00\x01t\x03\x23\x00\x01x",
               NJ_EPROTOCOL),
        ATTACK("PUBLISH with a broken property", "\x30\x06\x00\x01t\x02\x03\x00", NJ_EMALFORMED),
        ATTACK("PUBACK with a wrong property", "\x40\x07\x00\x01\x00\x03\x23\x00\x01",
               NJ_EMALFORMED),
        ATTACK("DISCONNECT", "\xe0\x01\x8e", NJ_ECLOSED),
        ATTACK("AUTH", "\xf0\x02\x18\x00", NJ_EPROTOCOL),
    };
    for (size_t i = 0; i < sizeof(ATTACKS_311) / sizeof(ATTACKS_311[0]); i++) {
        attack(NJ_MQTT_311, true, &ATTACKS_311[i]);
    }
    for (size_t i = 0; i < sizeof(ATTACKS_5) / sizeof(ATTACKS_5[0]); i++) {
        attack(NJ_MQTT_5, true, &ATTACKS_5[i]);
    }
}

static void L126_bounds_what_the_broker_may_leave_behind(void **state)
{
    (void)state;
    struct scene s;
    up(&s, NJ_MQTT_5);
    uint8_t packet[] = {0x34, 0x06, 0x00, 0x01, 't', 0x00, 0x01, 0x00};
    enum nj_err err = NJ_OK;
    int sent = 0;
    while (err == NJ_OK && sent < 100) {
        packet[6] = (uint8_t)++sent;
        send_bytes(&s, packet, sizeof(packet));
        err = turn(&s);
    }
    assert_int_equal(err, NJ_EPROTOCOL);
    assert_int_equal(sent, 21);
    close_scene(&s);
}

static void takes_packets_in_any_pieces(void **state)
{
    (void)state;
    static const char BYTES[] = "\x30\x05\x00\x01ta1\x32\x07\x00\x01t\x00\x05"
                                "b1\xd0\x00";
    struct scene s;
    up(&s, NJ_MQTT_311);
    for (size_t i = 0; i < sizeof(BYTES) - 1; i++) {
        send_bytes(&s, BYTES + i, 1);
        assert_int_equal(turn(&s), NJ_OK);
    }
    assert_int_equal(s.messages, 2);
    close_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greets_in_every_version),
        cmocka_unit_test(reports_a_refusal),
        cmocka_unit_test(receives_every_qos),
        cmocka_unit_test(lists_properties_and_resolves_aliases),
        cmocka_unit_test(publishes_every_qos),
        cmocka_unit_test(respects_what_connack_says),
        cmocka_unit_test(sends_again_after_a_lost_connection),
        cmocka_unit_test(subscribes_and_unsubscribes),
        cmocka_unit_test(may_disconnect_within_a_callback),
        cmocka_unit_test(keeps_alive_and_notices_silence),
        cmocka_unit_test(gives_up_on_a_broker_that_never_answers),
        cmocka_unit_test(L126_survives_hostile_answers_to_connect),
        cmocka_unit_test(L126_survives_hostile_packets),
        cmocka_unit_test(L126_bounds_what_the_broker_may_leave_behind),
        cmocka_unit_test(takes_packets_in_any_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
