/* The last packets: a refusing CONNACK, and DISCONNECT with its reason. */
#include <string.h>
#include <unistd.h>

#include "broker/stats.h"
#include "front/conn.h"
#include "rig.h"
#include "support/test.h"

static struct rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig, NULL);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* A client that got in, and whose CONNACK was read. */
static int client(enum nj_mqtt_version version, uint32_t packet_max, bool wants_no_text)
{
    struct nj_mqtt_connect packet = rig_packet("id");
    uint8_t connack[64];
    int fd = rig_connect(&rig);
    packet.version = version;
    if (packet_max) {
        packet.props.maximum_packet_size = packet_max;
        nj_mqtt_props_mark(&packet.props, NJ_PROP_MAXIMUM_PACKET_SIZE);
    }
    if (wants_no_text) {
        packet.props.request_problem_info = 0;
        nj_mqtt_props_mark(&packet.props, NJ_PROP_REQUEST_PROBLEM_INFO);
    }
    rig_login(&rig, fd, &packet);
    assert_true(rig_read(fd, connack, sizeof(connack)) > 0);
    return fd;
}

#define TOO_LARGE "\x30\x81\x89\x7a" /* 2,000,001 bytes behind the fixed header */

static void says_why_a_connection_ends(void **state)
{
    (void)state;
    int fd = client(NJ_MQTT_5, 0, false);
    rig_send(&rig, fd, TOO_LARGE, 4);
    RIG_EXPECT(fd, "\xe0\x2a\x95\x28\x1f\x00\x25"
                   "packet too large: limit 2000000 bytes");
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
}

static void says_it_shortly_where_the_text_would_not_fit_or_is_not_wanted(void **state)
{
    (void)state;
    int fd = client(NJ_MQTT_5, 43, false);
    rig_send(&rig, fd, TOO_LARGE, 4);
    RIG_EXPECT(fd, "\xe0\x01\x95");
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
    fd = client(NJ_MQTT_5, 0, true);
    rig_send(&rig, fd, TOO_LARGE, 4);
    RIG_EXPECT(fd, "\xe0\x01\x95");
    assert_int_equal(close(fd), 0);
    rig.limits.sends_reason_strings = false; /* compat mode */
    fd = client(NJ_MQTT_5, 0, false);
    rig_send(&rig, fd, TOO_LARGE, 4);
    RIG_EXPECT(fd, "\xe0\x01\x95");
    assert_int_equal(close(fd), 0);
}

static void older_versions_get_no_disconnect(void **state)
{
    (void)state;
    int fd = client(NJ_MQTT_311, 0, false);
    rig_send(&rig, fd, TOO_LARGE, 4);
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
}

static void a_client_that_says_goodbye_gets_none(void **state)
{
    (void)state;
    int fd = client(NJ_MQTT_5, 0, false);
    rig_send(&rig, fd, "\xe0\x00", 2);
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
}

static void a_refusal_is_counted_and_says_its_reason_in_the_versions_own_code(void **state)
{
    static const struct {
        enum nj_mqtt_version version;
        const char *wanted;
        size_t len;
    } rows[] = {
#define ROW(version, text) {version, text, sizeof(text) - 1}
        ROW(NJ_MQTT_5, "\x20\x24\x00\x85\x21\x1f\x00\x1e"
                       "client identifier not accepted"),
        ROW(NJ_MQTT_311, "\x20\x02\x00\x02"),
        ROW(NJ_MQTT_31, "\x20\x02\x00\x02"),
#undef ROW
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_mqtt_connect packet = rig_packet("a\x01");
        int fd = rig_connect(&rig);
        packet.version = rows[i].version;
        rig_login(&rig, fd, &packet);
        rig_expect(fd, rows[i].wanted, rows[i].len);
        rig_expect_closed(fd);
        assert_int_equal(close(fd), 0);
    }
    assert_int_equal(atomic_load(&rig.worker->shard->stats.denied_login), 3);
    assert_int_equal(atomic_load(&rig.worker->shard->stats.connections_open), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(says_why_a_connection_ends),
        TEST(says_it_shortly_where_the_text_would_not_fit_or_is_not_wanted),
        TEST(older_versions_get_no_disconnect),
        TEST(a_client_that_says_goodbye_gets_none),
        TEST(a_refusal_is_counted_and_says_its_reason_in_the_versions_own_code),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
