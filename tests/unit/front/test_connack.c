/* What CONNACK says (MQTT5 3.2). Its properties have Mosquitto's order, because clients compare the
 * whole packet. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"
#include "support/test.h"

#define V5_BASE "\x22\x00\x0a\x27\x00\x1e\x84\x80\x21\x00\x14"

static struct rig rig;

static void expect_connack(const struct nj_mqtt_connect *packet, const void *wanted, size_t len)
{
    int fd = rig_connect(&rig);
    rig_login(&rig, fd, packet);
    rig_await_output(&rig, fd);
    rig_expect(fd, wanted, len);
    assert_int_equal(close(fd), 0);
}
#define EXPECT_CONNACK(packet, text) expect_connack(packet, text, sizeof(text) - 1)

static void says_the_limits_in_the_originals_order(void **state)
{
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, NULL);
    EXPECT_CONNACK(&packet, "\x20\x0e\x00\x00\x0b" V5_BASE);
    packet.version = NJ_MQTT_311;
    EXPECT_CONNACK(&packet, "\x20\x02\x00\x00");
    packet.version = NJ_MQTT_31;
    EXPECT_CONNACK(&packet, "\x20\x02\x00\x00");
    rig_close(&rig);
}

static void says_what_was_changed(void **state)
{
    static const struct rig_options options = {
        .config = "max_keepalive 10\nmax_qos 1\nmax_topic_alias 0\n"};
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, &options);
    rig.limits.retain_available = false;
    rig.limits.persistent_expiry_s = 5;
    packet.props.session_expiry_s = 100;
    nj_mqtt_props_mark(&packet.props, NJ_PROP_SESSION_EXPIRY);
    EXPECT_CONNACK(&packet, "\x20\x17\x00\x00\x14"
                            "\x11\x00\x00\x00\x05" /* session expiry */
                            "\x13\x00\x0a"         /* server keep alive */
                            "\x25\x00"             /* retain available */
                            "\x27\x00\x1e\x84\x80\x21\x00\x14"
                            "\x24\x01"); /* maximum QoS */
    rig_close(&rig);
}

static void says_the_client_id_that_it_made(void **state)
{
    struct nj_mqtt_connect packet = rig_packet("");
    uint8_t got[256];
    (void)state;
    rig_open(&rig, NULL);
    int fd = rig_connect(&rig);
    rig_login(&rig, fd, &packet);
    assert_int_equal(rig_read(fd, got, sizeof(got)), 16 + 3 + 41);
    assert_memory_equal(got + 5 + 3,
                        "\x12\x00\x29"
                        "auto-",
                        8); /* behind the alias maximum, as the original */
    assert_int_equal(close(fd), 0);
    rig_close(&rig);
}

static void wants_response_information(struct nj_mqtt_connect *packet, uint32_t packet_max)
{
    packet->props.request_response_info = 1;
    nj_mqtt_props_mark(&packet->props, NJ_PROP_REQUEST_RESPONSE_INFO);
    if (packet_max) {
        packet->props.maximum_packet_size = packet_max;
        nj_mqtt_props_mark(&packet->props, NJ_PROP_MAXIMUM_PACKET_SIZE);
    }
}

#define INFO "\x1a\x00\x0bresponse/id"

static void tells_response_information_to_who_asks_and_may_use_it(void **state)
{
    static const struct rig_options denied = {.acl = "topic read other/#\n"};
    static const struct rig_options allowed = {.acl = "pattern read response/%c/#\n"};
    static const struct rig_options mounted = {.acl = "topic read m/response/id/#\n",
                                               .config = "mount_point m/\n"};
    static const struct rig_options none = {.config = "response_information none\n"};
    struct nj_mqtt_connect packet = rig_packet("id");
    wants_response_information(&packet, 0);
    (void)state;
    rig_open(&rig, NULL);
    EXPECT_CONNACK(&packet,
                   "\x20\x1c\x00\x00\x19\x22\x00\x0a" INFO "\x27\x00\x1e\x84\x80\x21\x00\x14");
    rig_close(&rig);
    rig_open(&rig, &denied);
    EXPECT_CONNACK(&packet, "\x20\x0e\x00\x00\x0b" V5_BASE);
    rig_close(&rig);
    rig_open(&rig, &allowed);
    EXPECT_CONNACK(&packet,
                   "\x20\x1c\x00\x00\x19\x22\x00\x0a" INFO "\x27\x00\x1e\x84\x80\x21\x00\x14");
    rig_close(&rig);
    rig_open(&rig, &mounted);
    EXPECT_CONNACK(&packet,
                   "\x20\x1c\x00\x00\x19\x22\x00\x0a" INFO "\x27\x00\x1e\x84\x80\x21\x00\x14");
    rig_close(&rig);
    rig_open(&rig, &none);
    EXPECT_CONNACK(&packet, "\x20\x0e\x00\x00\x0b" V5_BASE);
    rig_close(&rig);
}

static void leaves_response_information_out_where_it_does_no_good(void **state)
{
    static const char *const names[] = {"a/b", "a+", "#"};
    struct nj_mqtt_connect packet = rig_packet("id");
    char text[600];
    (void)state;
    rig_open(&rig, NULL);
    wants_response_information(&packet, 29); /* a byte less than it needs */
    EXPECT_CONNACK(&packet, "\x20\x0e\x00\x00\x0b" V5_BASE);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        packet = rig_packet(names[i]);
        wants_response_information(&packet, 0);
        EXPECT_CONNACK(&packet, "\x20\x0e\x00\x00\x0b" V5_BASE);
    }
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    packet = rig_packet(text); /* longer than there is room for */
    wants_response_information(&packet, 0);
    EXPECT_CONNACK(&packet, "\x20\x0e\x00\x00\x0b" V5_BASE);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_the_limits_in_the_originals_order),
        cmocka_unit_test(says_what_was_changed),
        cmocka_unit_test(says_the_client_id_that_it_made),
        cmocka_unit_test(tells_response_information_to_who_asks_and_may_use_it),
        cmocka_unit_test(leaves_response_information_out_where_it_does_no_good),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
