/* What a CONNECT packet may say, before anybody asks who it is. */
#include <string.h>
#include <unistd.h>

#include "rig.h"
#include "support/test.h"

static struct rig rig;

static void set_will(struct nj_mqtt_connect *packet, const char *topic, uint8_t qos, bool retain)
{
    packet->has_will = true;
    packet->will_topic = nj_bytes_of(topic);
    packet->will_payload = NJ_BYTES_LIT("gone");
    packet->will_qos = qos;
    packet->will_retain = retain;
}

static void expect_code(const char *why, const struct nj_mqtt_connect *packet, int code)
{
    uint8_t got[256];
    int fd = rig_connect(&rig);
    rig_login(&rig, fd, packet);
    long len = rig_read(fd, got, sizeof(got));
    if (code < 0) {
        assert_int_equal(len, -1);
    } else if (len < 4 || got[0] != 0x20 || got[3] != code) {
        fail_msg("%s: got %ld bytes, code 0x%02x instead of 0x%02x", why, len,
                 len > 3 ? got[3] : 0xffu, (unsigned)code);
    } else if (code) {
        rig_expect_closed(fd);
    }
    assert_int_equal(close(fd), 0);
    rig_turn(&rig);
}

static void versions_that_are_not_accepted_are_refused(void **state)
{
    static const struct rig_options options = {.config = "accept_protocol_versions 4\n"};
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, &options);
    expect_code("5", &packet, 0x84);
    packet.version = NJ_MQTT_31;
    expect_code("3.1", &packet, 1);
    packet.version = NJ_MQTT_311;
    expect_code("3.1.1", &packet, 0);
    rig_close(&rig);
}

static void client_ids_are_checked(void **state)
{
    static const struct rig_options options = {.config = "clientid_prefixes ok-\n"};
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, &options);
    expect_code("without the prefix", &packet, 0x87);
    packet = rig_packet("ok-1");
    expect_code("with it", &packet, 0);
    packet = rig_packet("ok-\x7f");
    expect_code("a control character", &packet, 0x85);
    rig.limits.refuses_control_chars = false;
    expect_code("a control character in compat mode", &packet, -1);
    packet = rig_packet("");
    packet.version = NJ_MQTT_311;
    packet.is_clean_start = false;
    expect_code("none, for a session that lasts", &packet, 2);
    rig_close(&rig);
}

static void an_empty_id_needs_permission(void **state)
{
    static const struct rig_options options = {.config = "allow_zero_length_clientid false\n"};
    struct nj_mqtt_connect packet = rig_packet("");
    (void)state;
    rig_open(&rig, &options);
    expect_code("5", &packet, 0x85);
    packet.version = NJ_MQTT_311;
    expect_code("3.1.1", &packet, 2);
    rig_close(&rig);
}

static void keep_alive_is_shortened_or_refused(void **state)
{
    static const struct rig_options options = {.config = "max_keepalive 30\n"};
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, &options);
    packet.keep_alive_s = 31;
    expect_code("5 is told a shorter one", &packet, 0);
    packet.version = NJ_MQTT_311;
    expect_code("3.1.1 cannot be told", &packet, 2);
    packet.keep_alive_s = 0;
    expect_code("and for ever is longer", &packet, 2);
    packet.keep_alive_s = 30;
    expect_code("just allowed", &packet, 0);
    rig_close(&rig);
}

static void wills_are_checked(void **state)
{
    static const struct {
        const char *topic;
        uint8_t qos;
        bool retain;
        uint8_t code;
    } rows[] = {
        {"ok", 1, false, 0},
        {"$SYS/x", 0, false, 0x87},
        {"$CONTROL/x", 0, false, 0x87},
        {"$share/g/t", 0, false, 0x87},
        {"ok", 2, false, 0x9b},
        {"ok", 0, true, 0x9a},
        {"denied", 0, false, 0x87}, /* by the ACL file */
    };
    static const struct rig_options options = {
        .config = "max_qos 1\n", .acl = "topic readwrite ok\ntopic readwrite $SYS/#\n"};
    (void)state;
    rig_open(&rig, &options);
    rig.limits.retain_available = false;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_mqtt_connect packet = rig_packet("id");
        set_will(&packet, rows[i].topic, rows[i].qos, rows[i].retain);
        expect_code(rows[i].topic, &packet, rows[i].code);
    }
    rig.limits.max_payload = 3;
    struct nj_mqtt_connect packet = rig_packet("id");
    set_will(&packet, "ok", 0, false);
    expect_code("too large", &packet, 0x95);
    rig.limits.max_payload = 0;
    rig.limits.topic_levels = 2;
    set_will(&packet, "a/b/c", 0, false);
    expect_code("too many levels", &packet, 0x90);
    packet.version = NJ_MQTT_311;
    expect_code("too many levels", &packet, -1);
    rig_close(&rig);
}

static void authentication_methods_are_unknown(void **state)
{
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, NULL);
    packet.props.auth_method = NJ_BYTES_LIT("SCRAM-SHA-1");
    nj_mqtt_props_mark(&packet.props, NJ_PROP_AUTH_METHOD);
    expect_code("0x8C", &packet, 0x8c);
    rig_close(&rig);
}

static void the_user_name_replaces_the_id_when_told_to(void **state)
{
    static const struct rig_options options = {.config = "use_username_as_clientid true\n"};
    struct nj_mqtt_connect packet = rig_packet("id");
    (void)state;
    rig_open(&rig, &options);
    expect_code("nobody has verified a name", &packet, 0x85);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_that_are_not_accepted_are_refused),
        cmocka_unit_test(client_ids_are_checked),
        cmocka_unit_test(an_empty_id_needs_permission),
        cmocka_unit_test(keep_alive_is_shortened_or_refused),
        cmocka_unit_test(wills_are_checked),
        cmocka_unit_test(authentication_methods_are_unknown),
        cmocka_unit_test(the_user_name_replaces_the_id_when_told_to),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
