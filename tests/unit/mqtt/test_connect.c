/* CONNECT and CONNACK. */
#include <stdlib.h>

#include "support/test.h"
#include "unit/mqtt/wire.h"

#define HEAD_31  "\x00\x06MQIsdp\x03"
#define HEAD_311 "\x00\x04MQTT\x04"
#define HEAD_5   "\x00\x04MQTT\x05"
#define KEEP     "\x00\x3c"
#define ID       "\x00\x02id"
#define TOPIC    "\x00\x01t"
#define DATA     "\x00\x03\x00\xff!"
#define B(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

struct refusal {
    const char *why;
    struct nj_bytes body;
    enum nj_err err; /* NJ_OK: is accepted */
    enum nj_mqtt_reason reason;
};

static void expect_connects(const struct refusal *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct wire_any any = {.type = NJ_MQTT_CONNECT, .version = NJ_MQTT_5};
        struct nj_bytes copy = wire_copy(cases[i].body);
        enum nj_mqtt_reason reason;
        enum nj_err err = wire_decode(&any, copy, &reason);
        if (err != cases[i].err || reason != cases[i].reason) {
            fail_msg("%s: %s, 0x%02x", cases[i].why, nj_err_name(err), (unsigned)reason);
        }
        wire_free(copy);
    }
}

static void b052_b054_b055_knows_names_and_levels(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"3.1", B(HEAD_31 "\x02" KEEP ID), NJ_OK, NJ_RC_SUCCESS},
        {"3.1 of a bridge", B("\x00\x06MQIsdp\x83\x02" KEEP ID), NJ_OK, NJ_RC_SUCCESS},
        {"3.1.1", B(HEAD_311 "\x02" KEEP ID), NJ_OK, NJ_RC_SUCCESS},
        {"3.1.1 of a bridge", B("\x00\x04MQTT\x84\x02" KEEP ID), NJ_OK, NJ_RC_SUCCESS},
        {"5", B(HEAD_5 "\x02" KEEP "\x00" ID), NJ_OK, NJ_RC_SUCCESS},
        {"5 of a bridge", B("\x00\x04MQTT\x85\x02" KEEP "\x00" ID), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"level 0", B("\x00\x04MQTT\x00\x02" KEEP ID), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"level 3", B("\x00\x04MQTT\x03\x02" KEEP ID), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"level 6", B("\x00\x04MQTT\x06\x02" KEEP ID), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"level 255", B("\x00\x04MQTT\xff\x02" KEEP ID), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"level 6 and nothing else", B("\x00\x04MQTT\x06"), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"MQIsdp 4", B("\x00\x06MQIsdp\x04\x02" KEEP ID), NJ_ENOTSUP,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"lower case", B("\x00\x04mqtt\x04\x02" KEEP ID), NJ_EDECLINED,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"no name", B("\x00\x00\x04\x02" KEEP ID), NJ_EDECLINED,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"a longer name", B("\x00\x05MQTTT\x04\x02" KEEP ID), NJ_EDECLINED,
         NJ_RC_UNSUPPORTED_PROTOCOL_VERSION},
        {"no level", B("\x00\x04MQTT"), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
        {"nothing", B(""), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
    };
    expect_connects(cases, WIRE_COUNT(cases));
}

static void b056_b057_b066_checks_the_flags(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        static const enum nj_mqtt_version versions[] = {NJ_MQTT_31, NJ_MQTT_311, NJ_MQTT_5};
        for (size_t v = 0; v < WIRE_COUNT(versions); v++) {
            enum nj_mqtt_version version = versions[v];
            struct nj_mqtt_connect packet = {
                .version = version,
                .has_will = (flags & 4) != 0,
                .has_username = (flags & 0x80) != 0,
                .has_password = (flags & 0x40) != 0,
                .will_topic = NJ_BYTES_LIT("t"),
            };
            uint8_t room[64];
            size_t size = nj_mqtt_connect_size(&packet);
            assert_ptr_equal(nj_mqtt_connect_encode(&packet, room), room + size);
            size_t flags_at = version == NJ_MQTT_31 ? 11 : 9;
            room[flags_at] = (uint8_t)flags;
            bool has_will = (flags & 4) != 0;
            bool is_valid = (!(flags & 1) || version == NJ_MQTT_31) &&
                            (has_will || !(flags & 0x38)) && (flags & 0x18) != 0x18 &&
                            (version == NJ_MQTT_5 || (flags & 0xc0) != 0x40);
            struct nj_mqtt_connect out;
            enum nj_mqtt_reason reason = NJ_RC_SUCCESS;
            enum nj_err err = nj_mqtt_connect_decode(nj_bytes(room + 2, size - 2), &out, &reason);
            if (err != (is_valid ? NJ_OK : NJ_EMALFORMED)) {
                fail_msg("flags 0x%02x, version %d: %s", flags, (int)version, nj_err_name(err));
            }
            if (is_valid) {
                assert_int_equal(out.is_clean_start, (flags & 2) != 0);
                assert_int_equal(out.has_will, has_will);
                assert_int_equal(out.will_qos, (flags & 0x18) >> 3);
                assert_int_equal(out.will_retain, (flags & 0x20) != 0);
                assert_int_equal(out.has_password, (flags & 0x40) != 0);
                assert_int_equal(out.has_username, (flags & 0x80) != 0);
            }
        }
    }
}

static void b059_to_b065_checks_the_will(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"a will", B(HEAD_311 "\x36" KEEP ID TOPIC DATA), NJ_OK, NJ_RC_SUCCESS},
        {"b059: no payload", B(HEAD_311 "\x06" KEEP ID TOPIC), NJ_EMALFORMED,
         NJ_RC_MALFORMED_PACKET},
        {"b059: nothing", B(HEAD_5 "\x06" KEEP "\x00" ID), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
        {"b059: 3.1, nothing", B(HEAD_31 "\xc6" KEEP ID), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
        {"an empty payload", B(HEAD_311 "\x06" KEEP ID TOPIC "\x00\x00"), NJ_OK, NJ_RC_SUCCESS},
        {"b060: no topic", B(HEAD_5 "\x06" KEEP "\x00" ID "\x00\x00\x00" DATA), NJ_EPROTOCOL,
         NJ_RC_TOPIC_NAME_INVALID},
        {"b060: no topic", B(HEAD_311 "\x06" KEEP ID "\x00\x00" DATA), NJ_EPROTOCOL,
         NJ_RC_TOPIC_NAME_INVALID},
        {"b061: #", B(HEAD_5 "\x06" KEEP "\x00" ID "\x00\x00\x01#" DATA), NJ_EPROTOCOL,
         NJ_RC_TOPIC_NAME_INVALID},
        {"b061: a/+",
         B(HEAD_311 "\x06" KEEP ID "\x00\x03"
                    "a/+" DATA),
         NJ_EPROTOCOL, NJ_RC_TOPIC_NAME_INVALID},
        {"b062: $SYS/x is for the caller", B(HEAD_311 "\x06" KEEP ID "\x00\x06$SYS/x" DATA), NJ_OK,
         NJ_RC_SUCCESS},
        {"b064", B(HEAD_5 "\x06" KEEP "\x00" ID "\x05\x18\xff\xff\xff\xff" TOPIC DATA), NJ_OK,
         NJ_RC_SUCCESS},
        {"b065: not UTF-8 is for the caller",
         B(HEAD_5 "\x06" KEEP "\x00" ID "\x02\x01\x01" TOPIC DATA), NJ_OK, NJ_RC_SUCCESS},
        {"b065: format 0", B(HEAD_5 "\x06" KEEP "\x00" ID "\x02\x01\x00" TOPIC DATA), NJ_OK,
         NJ_RC_SUCCESS},
        {"b065: good UTF-8", B(HEAD_5 "\x06" KEEP "\x00" ID "\x02\x01\x01" TOPIC TOPIC), NJ_OK,
         NJ_RC_SUCCESS},
        {"a will's property twice",
         B(HEAD_5 "\x06" KEEP "\x00" ID "\x04\x01\x00\x01\x00" TOPIC DATA), NJ_EPROTOCOL,
         NJ_RC_PROTOCOL_ERROR},
        {"will delay among CONNECT's", B(HEAD_5 "\x02" KEEP "\x05\x18\x00\x00\x00\x01" ID),
         NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
    };
    expect_connects(cases, WIRE_COUNT(cases));
}

static void b066_b067_checks_user_name_and_password(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"both", B(HEAD_311 "\xc2" KEEP ID TOPIC DATA), NJ_OK, NJ_RC_SUCCESS},
        {"user name alone", B(HEAD_311 "\x82" KEEP ID TOPIC), NJ_OK, NJ_RC_SUCCESS},
        {"empty ones", B(HEAD_311 "\xc2" KEEP ID "\x00\x00\x00\x00"), NJ_OK, NJ_RC_SUCCESS},
        {"b066: password alone", B(HEAD_311 "\x42" KEEP ID DATA), NJ_EMALFORMED,
         NJ_RC_MALFORMED_PACKET},
        {"b066: 3.1", B(HEAD_31 "\x42" KEEP ID DATA), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
        {"b066: 5", B(HEAD_5 "\x42" KEEP "\x00" ID DATA), NJ_OK, NJ_RC_SUCCESS},
        {"b067", B(HEAD_311 "\x82" KEEP ID), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
        {"b067: 5", B(HEAD_5 "\x82" KEEP "\x00" ID), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
        {"b067: no password", B(HEAD_311 "\xc2" KEEP ID TOPIC), NJ_EMALFORMED,
         NJ_RC_MALFORMED_PACKET},
        {"3.1 forgives a missing name", B(HEAD_31 "\xc2" KEEP ID), NJ_OK, NJ_RC_SUCCESS},
        {"but not a cut one", B(HEAD_31 "\xc2" KEEP ID "\x00\x02u"), NJ_EMALFORMED,
         NJ_RC_MALFORMED_PACKET},
        {"nor half a length", B(HEAD_31 "\xc2" KEEP ID "\x00"), NJ_EMALFORMED,
         NJ_RC_MALFORMED_PACKET},
        {"b010: not announced", B(HEAD_311 "\x02" KEEP ID TOPIC), NJ_EMALFORMED,
         NJ_RC_MALFORMED_PACKET},
    };
    expect_connects(cases, WIRE_COUNT(cases));
}

static void forgives_31_without_making_a_name_up(void **state)
{
    (void)state;
    struct nj_mqtt_connect out;
    enum nj_mqtt_reason reason;
    struct nj_bytes body = NJ_BYTES_LIT(HEAD_31 "\xc2" KEEP ID);
    assert_int_equal(nj_mqtt_connect_decode(body, &out, &reason), NJ_OK);
    assert_false(out.has_username || out.has_password);
    body = NJ_BYTES_LIT(HEAD_31 "\xc2" KEEP ID TOPIC);
    assert_int_equal(nj_mqtt_connect_decode(body, &out, &reason), NJ_OK);
    assert_true(out.has_username && !out.has_password);
}

static void b070_b071_b072_takes_any_client_id(void **state)
{
    (void)state;
    static const char *const ids[] = {"", "a/b", "+", "#", "$x", "a b", "../", "__proto__"};
    for (size_t i = 0; i < WIRE_COUNT(ids); i++) {
        struct nj_mqtt_connect packet = {.version = NJ_MQTT_311, .client_id = nj_bytes_of(ids[i])};
        struct nj_mqtt_connect out;
        enum nj_mqtt_reason reason;
        uint8_t room[64];
        size_t size = nj_mqtt_connect_size(&packet);
        (void)nj_mqtt_connect_encode(&packet, room);
        assert_int_equal(nj_mqtt_connect_decode(nj_bytes(room + 2, size - 2), &out, &reason),
                         NJ_OK);
        assert_true(nj_bytes_equal(out.client_id, packet.client_id));
    }
    uint8_t *longest = malloc(65535);
    memset(longest, 'a', 65535);
    struct nj_mqtt_connect packet = {.version = NJ_MQTT_5, .client_id = nj_bytes(longest, 65535)};
    size_t size = nj_mqtt_connect_size(&packet);
    uint8_t *frame = malloc(size);
    struct nj_mqtt_connect out;
    enum nj_mqtt_reason reason;
    assert_ptr_equal(nj_mqtt_connect_encode(&packet, frame), frame + size);
    assert_int_equal(nj_mqtt_connect_decode(nj_bytes(frame + 4, size - 4), &out, &reason), NJ_OK);
    assert_int_equal(out.client_id.len, 65535);
    packet.client_id.len = 65536;
    assert_int_equal(nj_mqtt_connect_size(&packet), 0);
    free(frame);
    free(longest);
}

static void b076_wants_a_method_with_authentication_data(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {"b076", B(HEAD_5 "\x02" KEEP "\x04\x16\x00\x01x" ID), NJ_EPROTOCOL, NJ_RC_PROTOCOL_ERROR},
        {"with a method", B(HEAD_5 "\x02" KEEP "\x08\x16\x00\x01x\x15\x00\x01m" ID), NJ_OK,
         NJ_RC_SUCCESS},
        {"a method alone", B(HEAD_5 "\x02" KEEP "\x04\x15\x00\x01m" ID), NJ_OK, NJ_RC_SUCCESS},
        {"b087", B(HEAD_5 "\x02" KEEP "\x02\x17\x00" ID), NJ_OK, NJ_RC_SUCCESS},
        {"b039", B(HEAD_5 "\x02" KEEP "\x03\x21\x00\x00" ID), NJ_EPROTOCOL, NJ_RC_PROTOCOL_ERROR},
        {"b030", B(HEAD_5 "\x02" KEEP "\x7f" ID), NJ_EMALFORMED, NJ_RC_MALFORMED_PACKET},
    };
    expect_connects(cases, WIRE_COUNT(cases));
}

static void reads_all_fields(void **state)
{
    (void)state;
    struct nj_mqtt_connect out;
    enum nj_mqtt_reason reason;
    struct nj_bytes body = NJ_BYTES_LIT("\x00\x04MQTT\x84\xf6\x01\x02" ID "\x00\x03top"
                                        "\x00\x02wp\x00\x04user\x00\x02\x00p");
    assert_int_equal(nj_mqtt_connect_decode(body, &out, &reason), NJ_OK);
    assert_int_equal(out.version, NJ_MQTT_311);
    assert_true(out.is_bridge && out.is_clean_start && out.has_will && out.will_retain);
    assert_int_equal(out.will_qos, 2);
    assert_int_equal(out.keep_alive_s, 0x102);
    assert_true(nj_bytes_equal(out.client_id, NJ_BYTES_LIT("id")));
    assert_true(nj_bytes_equal(out.will_topic, NJ_BYTES_LIT("top")));
    assert_true(nj_bytes_equal(out.will_payload, NJ_BYTES_LIT("wp")));
    assert_true(nj_bytes_equal(out.username, NJ_BYTES_LIT("user")));
    assert_true(nj_bytes_equal(out.password, NJ_BYTES_LIT("\x00p")));
}

static void says_the_version_even_when_it_refuses(void **state)
{
    (void)state;
    struct nj_mqtt_connect out;
    enum nj_mqtt_reason reason;
    struct nj_bytes body = NJ_BYTES_LIT(HEAD_5 "\x01" KEEP "\x00" ID);
    assert_int_equal(nj_mqtt_connect_decode(body, &out, &reason), NJ_EMALFORMED);
    assert_int_equal(out.version, NJ_MQTT_5);
    body = NJ_BYTES_LIT("\x00\x04MQTT\x06");
    assert_int_equal(nj_mqtt_connect_decode(body, &out, &reason), NJ_ENOTSUP);
    assert_int_equal(out.version, NJ_MQTT_311);
}

/* ---- CONNACK */

static void checks_what_a_server_answers(void **state)
{
    (void)state;
    static const struct {
        const char *why;
        enum nj_mqtt_version version;
        struct nj_bytes body;
        enum nj_err err;
    } cases[] = {
        {"accepted", NJ_MQTT_311, B("\x00\x00"), NJ_OK},
        {"resumed", NJ_MQTT_311, B("\x01\x00"), NJ_OK},
        {"code 5", NJ_MQTT_311, B("\x00\x05"), NJ_OK},
        {"code 6", NJ_MQTT_311, B("\x00\x06"), NJ_EPROTOCOL},
        {"resumed and refused", NJ_MQTT_311, B("\x01\x05"), NJ_EPROTOCOL},
        {"reserved flag", NJ_MQTT_311, B("\x02\x00"), NJ_EMALFORMED},
        {"reserved byte of 3.1", NJ_MQTT_31, B("\x02\x00"), NJ_OK},
        {"one byte", NJ_MQTT_311, B("\x00"), NJ_EMALFORMED},
        {"three bytes", NJ_MQTT_311, B("\x00\x00\x00"), NJ_EMALFORMED},
        {"5", NJ_MQTT_5, B("\x00\x00\x00"), NJ_OK},
        {"5 without properties", NJ_MQTT_5, B("\x00\x00"), NJ_EPROTOCOL},
        {"5, refused by an older server", NJ_MQTT_5, B("\x00\x01"), NJ_OK},
        {"5, code 1 with properties", NJ_MQTT_5, B("\x00\x01\x00"), NJ_EPROTOCOL},
        {"5, 0x8e is none of these", NJ_MQTT_5, B("\x00\x8e\x00"), NJ_EPROTOCOL},
        {"5, resumed and refused", NJ_MQTT_5, B("\x01\x87\x00"), NJ_EPROTOCOL},
        {"5, property of another packet", NJ_MQTT_5, B("\x00\x00\x02\x01\x01"), NJ_EMALFORMED},
        {"5, a byte too many", NJ_MQTT_5, B("\x00\x00\x00\x00"), NJ_EMALFORMED},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct wire_any any = {.type = NJ_MQTT_CONNACK, .version = cases[i].version};
        struct nj_bytes copy = wire_copy(cases[i].body);
        enum nj_mqtt_reason reason;
        enum nj_err err = wire_decode(&any, copy, &reason);
        if (err != cases[i].err) {
            fail_msg("%s: %s", cases[i].why, nj_err_name(err));
        }
        wire_free(copy);
    }
}

static void knows_the_codes_of_a_connack(void **state)
{
    (void)state;
    static const char codes[] = "\x00\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8c\x90\x95"
                                "\x97\x99\x9a\x9b\x9c\x9d\x9f";
    for (unsigned code = 0; code < 256; code++) {
        uint8_t body[] = {0, (uint8_t)code, 0};
        struct nj_mqtt_connack out;
        enum nj_mqtt_reason reason;
        bool is_known = memchr(codes, (int)code, sizeof(codes) - 1) != NULL;
        assert_int_equal(nj_mqtt_connack_decode(nj_bytes(body, 3), NJ_MQTT_5, &out, &reason),
                         is_known ? NJ_OK : NJ_EPROTOCOL);
        assert_int_equal(nj_mqtt_connack_decode(nj_bytes(body, 2), NJ_MQTT_311, &out, &reason),
                         code <= 5 ? NJ_OK : NJ_EPROTOCOL);
        assert_int_equal(nj_mqtt_connack_decode(nj_bytes(body, 2), NJ_MQTT_5, &out, &reason),
                         code >= 1 && code <= 5 ? NJ_OK : NJ_EPROTOCOL);
    }
}

static void says_reasons_in_the_old_codes(void **state)
{
    (void)state;
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_SUCCESS), 0);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_UNSUPPORTED_PROTOCOL_VERSION), 1);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_CLIENTID_NOT_VALID), 2);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_SERVER_UNAVAILABLE), 3);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_SERVER_BUSY), 3);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_BAD_USERNAME_OR_PASSWORD), 4);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_NOT_AUTHORIZED), 5);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_BANNED), 5);
    assert_int_equal(nj_mqtt_connack_old_code(NJ_RC_BAD_AUTHENTICATION_METHOD), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b052_b054_b055_knows_names_and_levels),
        cmocka_unit_test(b056_b057_b066_checks_the_flags),
        cmocka_unit_test(b059_to_b065_checks_the_will),
        cmocka_unit_test(b066_b067_checks_user_name_and_password),
        cmocka_unit_test(forgives_31_without_making_a_name_up),
        cmocka_unit_test(b070_b071_b072_takes_any_client_id),
        cmocka_unit_test(b076_wants_a_method_with_authentication_data),
        cmocka_unit_test(reads_all_fields),
        cmocka_unit_test(says_the_version_even_when_it_refuses),
        cmocka_unit_test(checks_what_a_server_answers),
        cmocka_unit_test(knows_the_codes_of_a_connack),
        cmocka_unit_test(says_reasons_in_the_old_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
