/* The fixed header and variable byte integers. */
#include "mqtt/frame.h"
#include "support/test.h"
#include "unit/mqtt/wire.h"

#define BYTES(text) NJ_BYTES_LIT(text)

static void reads_and_writes_every_length_of_a_varint(void **state)
{
    (void)state;
    static const struct {
        uint32_t value;
        size_t size;
    } cases[] = {{0, 1},     {1, 1},       {127, 1},     {128, 2},       {16383, 2},
                 {16384, 3}, {2097151, 3}, {2097152, 4}, {268435455, 4}, {300, 2}};
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        uint8_t room[4];
        uint32_t value;
        size_t used;
        assert_int_equal(nj_mqtt_varint_size(cases[i].value), cases[i].size);
        assert_ptr_equal(nj_mqtt_varint_put(room, cases[i].value), room + cases[i].size);
        assert_int_equal(nj_mqtt_varint_get(room, cases[i].size, &value, &used), NJ_OK);
        assert_int_equal(value, cases[i].value);
        assert_int_equal(used, cases[i].size);
        for (size_t len = 0; len < cases[i].size; len++) {
            assert_int_equal(nj_mqtt_varint_get(room, len, &value, &used), NJ_EAGAIN);
        }
    }
}

static void b006_refuses_a_fifth_byte(void **state)
{
    (void)state;
    struct nj_mqtt_frame frame;
    static const struct nj_bytes cases[] = {
        {(const uint8_t *)"\x30\xff\xff\xff\xff\x7f", 6},
        {(const uint8_t *)"\x30\x80\x80\x80\x80\x01", 6},
        {(const uint8_t *)"\x30\xff\xff\xff\xff", 5}, /* the fifth need not be awaited */
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        assert_int_equal(nj_mqtt_frame_peek(cases[i].ptr, cases[i].len, &frame), NJ_EMALFORMED);
    }
}

static void b031_refuses_a_length_that_is_not_the_shortest(void **state)
{
    (void)state;
    static const char *const cases[] = {"\x80", "\xff\x80", "\x80\x80", "\x81\x80\x80"};
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        uint32_t value;
        size_t used;
        /* The terminating NUL of the literal is the last byte. */
        assert_int_equal(
            nj_mqtt_varint_get((const uint8_t *)cases[i], strlen(cases[i]) + 1, &value, &used),
            NJ_EMALFORMED);
    }
}

static void b007_sees_the_largest_length_at_the_header(void **state)
{
    (void)state;
    struct nj_mqtt_frame frame;
    struct nj_bytes bytes = BYTES("\x10\xff\xff\xff\x7f");
    assert_int_equal(nj_mqtt_frame_peek(bytes.ptr, bytes.len, &frame), NJ_OK);
    assert_int_equal(frame.type, NJ_MQTT_CONNECT);
    assert_int_equal(frame.header_len, 5);
    assert_int_equal(frame.body_len, 268435455);
}

static void needs_no_body_to_read_a_header(void **state)
{
    (void)state;
    struct nj_mqtt_frame frame;
    struct nj_bytes bytes = BYTES("\x3d\x80\x01");
    assert_int_equal(nj_mqtt_frame_peek(NULL, 0, &frame), NJ_EAGAIN);
    assert_int_equal(nj_mqtt_frame_peek(bytes.ptr, 1, &frame), NJ_EAGAIN);
    assert_int_equal(nj_mqtt_frame_peek(bytes.ptr, 2, &frame), NJ_EAGAIN);
    assert_int_equal(nj_mqtt_frame_peek(bytes.ptr, 3, &frame), NJ_OK);
    assert_int_equal(frame.type, NJ_MQTT_PUBLISH);
    assert_int_equal(frame.flags, 13);
    assert_int_equal(frame.header_len, 3);
    assert_int_equal(frame.body_len, 128);
}

static void refuses_type_0_at_once(void **state)
{
    (void)state;
    struct nj_mqtt_frame frame;
    for (uint8_t flags = 0; flags < 16; flags++) {
        assert_int_equal(nj_mqtt_frame_peek(&flags, 1, &frame), NJ_EPROTOCOL);
    }
}

static void b005_b140_b160_knows_the_flags_of_every_type(void **state)
{
    (void)state;
    for (unsigned type = 1; type < 16; type++) {
        for (unsigned flags = 0; flags < 16; flags++) {
            bool needs_two =
                type == NJ_MQTT_PUBREL || type == NJ_MQTT_SUBSCRIBE || type == NJ_MQTT_UNSUBSCRIBE;
            bool is_valid = type == NJ_MQTT_PUBLISH || flags == (needs_two ? 2 : 0);
            enum nj_mqtt_type as_type = (enum nj_mqtt_type)type;
            uint8_t as_flags = (uint8_t)flags;
            assert_int_equal(nj_mqtt_flags_are_valid(as_type, as_flags), is_valid);
            assert_int_equal(nj_mqtt_flags_are_valid_in(as_type, as_flags, NJ_MQTT_5), is_valid);
            assert_int_equal(nj_mqtt_flags_are_valid_in(as_type, as_flags, NJ_MQTT_311), is_valid);
            assert_int_equal(nj_mqtt_flags_are_valid_in(as_type, as_flags, NJ_MQTT_31),
                             is_valid || (needs_two && flags == 10));
        }
    }
}

static void b004_knows_auth_in_mqtt_5_alone(void **state)
{
    (void)state;
    assert_true(nj_mqtt_type_is_known(NJ_MQTT_AUTH, NJ_MQTT_5));
    assert_false(nj_mqtt_type_is_known(NJ_MQTT_AUTH, NJ_MQTT_311));
    assert_false(nj_mqtt_type_is_known(NJ_MQTT_AUTH, NJ_MQTT_31));
    assert_true(nj_mqtt_type_is_known(NJ_MQTT_CONNECT, NJ_MQTT_31));
    assert_true(nj_mqtt_type_is_known(NJ_MQTT_DISCONNECT, NJ_MQTT_311));
}

static void says_the_size_of_a_frame(void **state)
{
    (void)state;
    uint8_t room[5];
    assert_int_equal(nj_mqtt_frame_size(0), 2);
    assert_int_equal(nj_mqtt_frame_size(127), 129);
    assert_int_equal(nj_mqtt_frame_size(128), 131);
    assert_int_equal(nj_mqtt_frame_size(268435455), 268435460);
    assert_int_equal(nj_mqtt_frame_size(268435456), 0);
    assert_ptr_equal(nj_mqtt_frame_put(room, NJ_MQTT_SUBSCRIBE, 2, 128), room + 3);
    assert_memory_equal(room, "\x82\x80\x01", 3);
}

static void b181_refuses_a_ping_with_a_body(void **state)
{
    (void)state;
    enum nj_mqtt_reason reason;
    uint8_t room[2];
    assert_int_equal(nj_mqtt_ping_decode(nj_bytes(NULL, 0), &reason), NJ_OK);
    assert_int_equal(nj_mqtt_ping_decode(BYTES("a"), &reason), NJ_EMALFORMED);
    assert_int_equal(reason, NJ_RC_MALFORMED_PACKET);
    assert_ptr_equal(nj_mqtt_ping_encode(NJ_MQTT_PINGREQ, room), room + 2);
    assert_memory_equal(room, "\xc0\x00", 2);
    (void)nj_mqtt_ping_encode(NJ_MQTT_PINGRESP, room);
    assert_memory_equal(room, "\xd0\x00", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_every_length_of_a_varint),
        cmocka_unit_test(b006_refuses_a_fifth_byte),
        cmocka_unit_test(b031_refuses_a_length_that_is_not_the_shortest),
        cmocka_unit_test(b007_sees_the_largest_length_at_the_header),
        cmocka_unit_test(needs_no_body_to_read_a_header),
        cmocka_unit_test(refuses_type_0_at_once),
        cmocka_unit_test(b005_b140_b160_knows_the_flags_of_every_type),
        cmocka_unit_test(b004_knows_auth_in_mqtt_5_alone),
        cmocka_unit_test(says_the_size_of_a_frame),
        cmocka_unit_test(b181_refuses_a_ping_with_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
