/* MQTT 5 properties: which may stand where, their values, and their encoding. */
#include <stdlib.h>

#include "mqtt/props.h"
#include "mqtt/varint.h"
#include "mqtt/writer.h"
#include "support/test.h"
#include "unit/mqtt/wire.h"

#define BYTES(text) NJ_BYTES_LIT(text)

/* MQTT5 table 2-4 once more, from the packets' side; the will is packet 0. */
static const struct {
    unsigned id;
    const char *value; /* a valid one */
    size_t len;
    const char *packets; /* letters, see packet_of_letter */
} table[] = {
    {1, "\x01", 1, "WP"},
    {2, "\x00\x00\x00\x01", 4, "WP"},
    {3, "\x00\x01t", 3, "WP"},
    {8, "\x00\x01t", 3, "WP"},
    {9, "\x00\x01\xff", 3, "WP"},
    {11, "\x01", 1, "PS"},
    {17, "\x00\x00\x00\x00", 4, "CKD"},
    {18, "\x00\x01i", 3, "K"},
    {19, "\x00\x01", 2, "K"},
    {21, "\x00\x01m", 3, "CKA"},
    {22, "\x00\x01\xff", 3, "CKA"},
    {23, "\x00", 1, "C"},
    {24, "\x00\x00\x00\x01", 4, "W"},
    {25, "\x01", 1, "C"},
    {26, "\x00\x01r", 3, "K"},
    {28, "\x00\x01r", 3, "KD"},
    {31, "\x00\x01r", 3, "K4567suDA"},
    {33, "\x00\x01", 2, "CK"},
    {34, "\xff\xff", 2, "CK"},
    {35, "\x00\x01", 2, "P"},
    {36, "\x01", 1, "K"},
    {37, "\x00", 1, "K"},
    {38, "\x00\x00\x00\x00", 4, "WCKP4567SsUuDA"},
    {39, "\x00\x00\x00\x01", 4, "CK"},
    {40, "\x00", 1, "K"},
    {41, "\x00", 1, "K"},
    {42, "\x01", 1, "K"},
};
static const char letters[] = "WCKP4567SsUu  DA"; /* by packet type; ' ' has no properties */

static enum nj_err parse(unsigned type, struct nj_bytes raw, struct nj_mqtt_props *props)
{
    struct nj_bytes copy = wire_copy(raw);
    enum nj_err err = nj_mqtt_props_parse(copy, type, props);
    wire_free(copy);
    return err;
}

/* One property as `count` copies. */
static enum nj_err parse_row(unsigned type, size_t row, unsigned count)
{
    uint8_t raw[32];
    size_t len = 0;
    struct nj_mqtt_props props;
    for (unsigned i = 0; i < count; i++) {
        raw[len++] = (uint8_t)table[row].id;
        memcpy(raw + len, table[row].value, table[row].len);
        len += table[row].len;
    }
    return parse(type, nj_bytes(raw, len), &props);
}

static void takes_each_property_where_it_may_stand_and_nowhere_else(void **state)
{
    (void)state;
    for (size_t row = 0; row < WIRE_COUNT(table); row++) {
        for (unsigned type = 0; type < 16; type++) {
            bool may_stand = letters[type] != ' ' && strchr(table[row].packets, letters[type]);
            enum nj_err err = parse_row(type, row, 1);
            if (err != (may_stand ? NJ_OK : NJ_EMALFORMED)) {
                fail_msg("property %u in packet %u: %s", table[row].id, type, nj_err_name(err));
            }
        }
    }
}

static void b034_refuses_each_single_property_twice(void **state)
{
    (void)state;
    for (size_t row = 0; row < WIRE_COUNT(table); row++) {
        for (unsigned type = 0; type < 16; type++) {
            if (letters[type] == ' ' || !strchr(table[row].packets, letters[type])) {
                continue;
            }
            bool may_repeat = table[row].id == 38 || (table[row].id == 11 && letters[type] == 'P');
            assert_int_equal(parse_row(type, row, 2), may_repeat ? NJ_OK : NJ_EPROTOCOL);
        }
    }
}

static void b032_refuses_every_unknown_property(void **state)
{
    (void)state;
    for (unsigned id = 0; id < 256; id++) {
        bool is_known = false;
        for (size_t row = 0; row < WIRE_COUNT(table); row++) {
            is_known = is_known || table[row].id == id;
        }
        for (unsigned type = 0; type < 16 && !is_known; type++) {
            uint8_t raw[6] = {(uint8_t)id, 0, 1, 0, 1, 0};
            struct nj_mqtt_props props;
            assert_int_equal(parse(type, nj_bytes(raw, sizeof(raw)), &props), NJ_EMALFORMED);
        }
    }
}

static void b032_refuses_identifiers_of_two_bytes(void **state)
{
    (void)state;
    struct nj_mqtt_props props;
    /* 1 and 129 in two bytes */
    assert_int_equal(parse(NJ_MQTT_PUBLISH, BYTES("\x81\x00\x01"), &props), NJ_EMALFORMED);
    assert_int_equal(parse(NJ_MQTT_PUBLISH, BYTES("\x81\x01\x01"), &props), NJ_EMALFORMED);
}

static void refuses_each_value_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t row = 0; row < WIRE_COUNT(table); row++) {
        for (size_t len = 0; len < table[row].len; len++) {
            for (unsigned type = 0; type < 16; type++) {
                uint8_t raw[16] = {(uint8_t)table[row].id};
                struct nj_mqtt_props props;
                memcpy(raw + 1, table[row].value, len);
                assert_int_equal(parse(type, nj_bytes(raw, 1 + len), &props), NJ_EMALFORMED);
            }
        }
    }
}

static void refuses_values_that_a_property_may_not_have(void **state)
{
    (void)state;
    static const struct {
        unsigned type;
        struct nj_bytes raw;
        enum nj_err err;
        const char *why;
    } cases[] = {
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x21\x00\x00", 3}, NJ_EPROTOCOL, "b039"},
        {NJ_MQTT_CONNACK, {(const uint8_t *)"\x21\x00\x00", 3}, NJ_EPROTOCOL, "b039"},
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x27\x00\x00\x00\x00", 5}, NJ_EPROTOCOL, "b040"},
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x27\x00\x00\x00\x01", 5}, NJ_OK, "b041"},
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x22\xff\xff", 3}, NJ_OK, "b042"},
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x22\x00\x00", 3}, NJ_OK, "no aliases"},
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x17\x02", 2}, NJ_EPROTOCOL, "problem info 2"},
        {NJ_MQTT_CONNECT, {(const uint8_t *)"\x19\x02", 2}, NJ_EPROTOCOL, "response info 2"},
        {NJ_MQTT_CONNACK, {(const uint8_t *)"\x24\x02", 2}, NJ_EPROTOCOL, "maximum QoS 2"},
        {NJ_MQTT_CONNACK, {(const uint8_t *)"\x25\xff", 2}, NJ_EPROTOCOL, "retain 255"},
        {NJ_MQTT_CONNACK, {(const uint8_t *)"\x28\x02", 2}, NJ_EPROTOCOL, "wildcard 2"},
        {NJ_MQTT_CONNACK, {(const uint8_t *)"\x29\x02", 2}, NJ_EPROTOCOL, "identifiers 2"},
        {NJ_MQTT_CONNACK, {(const uint8_t *)"\x2a\x02", 2}, NJ_EPROTOCOL, "shared 2"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x01\x02", 2}, NJ_EPROTOCOL, "format 2"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x08\x00\x00", 3}, NJ_EPROTOCOL, "no topic"},
        {NJ_MQTT_PUBLISH,
         {(const uint8_t *)"\x08\x00\x03"
                           "a/+",
          6},
         NJ_EPROTOCOL,
         "wildcard"},
        {0, {(const uint8_t *)"\x08\x00\x01#", 4}, NJ_EPROTOCOL, "wildcard in a will's"},
        {NJ_MQTT_SUBSCRIBE, {(const uint8_t *)"\x0b\x00", 2}, NJ_EPROTOCOL, "b167: 0"},
        {NJ_MQTT_SUBSCRIBE, {(const uint8_t *)"\x0b\x01\x0b\x02", 4}, NJ_EPROTOCOL, "b167: twice"},
        {NJ_MQTT_SUBSCRIBE, {(const uint8_t *)"\x0b\xff\xff\xff\x7f", 5}, NJ_OK, "largest"},
        {NJ_MQTT_SUBSCRIBE,
         {(const uint8_t *)"\x0b\xff\xff\xff\xff\x01", 6},
         NJ_EMALFORMED,
         "five"},
        {NJ_MQTT_SUBSCRIBE, {(const uint8_t *)"\x0b\x81\x00", 3}, NJ_EMALFORMED, "not shortest"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x03\x00\x01\xff", 4}, NJ_EMALFORMED, "b117"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x26\x00\x00\x00\x00", 5}, NJ_OK, "b035"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x26\x00\x00\x00\x01\xff", 6}, NJ_EMALFORMED, "b037"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x26\x00\x01\xff\x00\x00", 6}, NJ_EMALFORMED, "b037"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x02\xff\xff\xff\xff", 5}, NJ_OK, "b115"},
        {NJ_MQTT_PUBLISH, {(const uint8_t *)"\x02\x00\x00\x00\x00", 5}, NJ_OK, "b115"},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_mqtt_props props;
        enum nj_err err = parse(cases[i].type, cases[i].raw, &props);
        if (err != cases[i].err) {
            fail_msg("%s: %s", cases[i].why, nj_err_name(err));
        }
    }
}

static enum nj_err decode(struct nj_bytes bytes, struct nj_mqtt_props *props)
{
    struct nj_bytes copy = wire_copy(bytes);
    struct nj_mqtt_reader reader = nj_mqtt_reader(copy);
    enum nj_err err = nj_mqtt_props_decode(&reader, NJ_MQTT_PUBLISH, props);
    wire_free(copy);
    return err;
}

static void b030_b031_checks_the_property_length(void **state)
{
    (void)state;
    struct nj_mqtt_props props;
    assert_int_equal(decode(BYTES(""), &props), NJ_EMALFORMED);
    assert_int_equal(decode(BYTES("\x00"), &props), NJ_OK);
    assert_int_equal(decode(BYTES("\x01"), &props), NJ_EMALFORMED);
    assert_int_equal(decode(BYTES("\x03\x01\x01"), &props), NJ_EMALFORMED);
    assert_int_equal(decode(BYTES("\x02\x01\x01"), &props), NJ_OK);
    assert_int_equal(decode(BYTES("\x02\x01\x01rest"), &props), NJ_OK);
    assert_int_equal(decode(BYTES("\x80\x00"), &props), NJ_EMALFORMED);
    assert_int_equal(decode(BYTES("\x82\x00\x01\x01"), &props), NJ_EMALFORMED);
    assert_int_equal(decode(BYTES("\xff\xff\xff\xff\x01"), &props), NJ_EMALFORMED);
    /* l136: a string that ends behind the block, but within the packet */
    assert_int_equal(decode(BYTES("\x04\x03\x00\x02t"
                                  "more"),
                            &props),
                     NJ_EMALFORMED);
}

static void b036_counts_user_properties(void **state)
{
    (void)state;
    enum {
        COUNT = 13000,
        SIZE = 5
    };
    uint8_t *raw = calloc(COUNT, SIZE);
    struct nj_mqtt_props props;
    for (size_t i = 0; i < COUNT; i++) {
        raw[i * SIZE] = NJ_PROP_USER_PROPERTY;
    }
    assert_int_equal(nj_mqtt_props_parse(nj_bytes(raw, COUNT * SIZE), NJ_MQTT_PUBLISH, &props),
                     NJ_OK);
    assert_int_equal(props.user_count, COUNT);
    free(raw);
}

static void b116_takes_the_longest_correlation_data(void **state)
{
    (void)state;
    enum {
        LEN = 65535
    };
    uint8_t *raw = calloc(1, 3 + LEN);
    struct nj_mqtt_props props;
    raw[0] = NJ_PROP_CORRELATION_DATA;
    raw[1] = raw[2] = 0xff;
    assert_int_equal(parse(NJ_MQTT_PUBLISH, nj_bytes(raw, 3 + LEN), &props), NJ_OK);
    assert_int_equal(props.correlation_data.len, LEN);
    assert_int_equal(parse(NJ_MQTT_PUBLISH, nj_bytes(raw, 2 + LEN), &props), NJ_EMALFORMED);
    free(raw);
}

static void leaves_0_in_what_is_not_present(void **state)
{
    (void)state;
    struct nj_mqtt_props props;
    struct nj_mqtt_props zero = {0};
    memset(&props, 0xa5, sizeof(props));
    assert_int_equal(decode(BYTES("\x00"), &props), NJ_OK);
    props.raw = nj_bytes(NULL, 0);
    assert_memory_equal(&props, &zero, sizeof(props));
    assert_false(nj_mqtt_props_has(&props, NJ_PROP_PAYLOAD_FORMAT));
}

static void iterates_over_user_properties_in_their_order(void **state)
{
    (void)state;
    struct nj_mqtt_props props;
    struct nj_bytes raw = BYTES("\x26\x00\x01"
                                "a\x00\x01"
                                "1\x01\x00\x26\x00\x01"
                                "b\x00\x00"
                                "\x02\x00\x00\x00\x01\x26\x00\x01"
                                "a\x00\x01"
                                "2");
    struct nj_bytes key;
    struct nj_bytes value;
    size_t at = 0;
    assert_int_equal(nj_mqtt_props_parse(raw, NJ_MQTT_PUBLISH, &props), NJ_OK);
    assert_int_equal(props.user_count, 3);
    assert_true(nj_mqtt_props_next_user(&props, &at, &key, &value));
    assert_true(nj_bytes_equal(key, BYTES("a")) && nj_bytes_equal(value, BYTES("1")));
    assert_true(nj_mqtt_props_next_user(&props, &at, &key, &value));
    assert_true(nj_bytes_equal(key, BYTES("b")) && value.len == 0);
    assert_true(nj_mqtt_props_next_user(&props, &at, &key, &value));
    assert_true(nj_bytes_equal(key, BYTES("a")) && nj_bytes_equal(value, BYTES("2")));
    assert_false(nj_mqtt_props_next_user(&props, &at, &key, &value));
    assert_false(nj_mqtt_props_next_user(&props, &at, &key, &value));
}

static void keeps_eight_subscription_identifiers_and_iterates_over_all(void **state)
{
    (void)state;
    struct nj_mqtt_props props;
    uint8_t raw[40];
    uint8_t *end = raw;
    uint32_t id;
    size_t at = 0;
    for (uint32_t i = 1; i <= 10; i++) {
        end = nj_mqtt_prop_put_int(end, NJ_PROP_SUBSCRIPTION_ID, i * 100);
    }
    assert_int_equal(
        nj_mqtt_props_parse(nj_bytes(raw, (size_t)(end - raw)), NJ_MQTT_PUBLISH, &props), NJ_OK);
    assert_int_equal(props.subscription_id_count, NJ_MQTT_SUBSCRIPTION_IDS_MAX);
    assert_int_equal(props.subscription_ids[7], 800);
    for (uint32_t i = 1; i <= 10; i++) {
        assert_true(nj_mqtt_props_next_subscription_id(&props, &at, &id));
        assert_int_equal(id, i * 100);
    }
    assert_false(nj_mqtt_props_next_subscription_id(&props, &at, &id));
}

static void encodes_connack_in_the_order_that_clients_compare(void **state)
{
    (void)state;
    struct nj_mqtt_props props = {
        .server_keep_alive = 60,
        .topic_alias_maximum = 10,
        .retain_available = 0,
        .maximum_packet_size = 2000000,
        .receive_maximum = 20,
        .max_qos = 1,
    };
    nj_mqtt_props_mark(&props, NJ_PROP_MAXIMUM_QOS);
    nj_mqtt_props_mark(&props, NJ_PROP_RECEIVE_MAXIMUM);
    nj_mqtt_props_mark(&props, NJ_PROP_MAXIMUM_PACKET_SIZE);
    nj_mqtt_props_mark(&props, NJ_PROP_RETAIN_AVAILABLE);
    nj_mqtt_props_mark(&props, NJ_PROP_TOPIC_ALIAS_MAXIMUM);
    nj_mqtt_props_mark(&props, NJ_PROP_SERVER_KEEP_ALIVE);
    struct nj_bytes want = BYTES("\x12\x13\x00\x3c\x22\x00\x0a\x25\x00\x27\x00\x1e\x84\x80"
                                 "\x21\x00\x14\x24\x01");
    uint8_t room[64];
    assert_int_equal(nj_mqtt_props_size(&props), want.len);
    assert_ptr_equal(nj_mqtt_props_encode(&props, room), room + want.len);
    assert_memory_equal(room, want.ptr, want.len);
}

static void encodes_nothing_as_length_0(void **state)
{
    (void)state;
    struct nj_mqtt_props props = {.message_expiry_s = 5}; /* not marked: not there */
    uint8_t room[2] = {1, 1};
    assert_int_equal(nj_mqtt_props_size(NULL), 1);
    assert_int_equal(nj_mqtt_props_size(&props), 1);
    assert_ptr_equal(nj_mqtt_props_encode(NULL, room), room + 1);
    assert_int_equal(room[0], 0);
    room[0] = 1;
    assert_ptr_equal(nj_mqtt_props_encode(&props, room), room + 1);
    assert_int_equal(room[0], 0);
}

static void says_0_for_what_cannot_be_encoded(void **state)
{
    (void)state;
    static uint8_t text[65536];
    struct nj_mqtt_props props = {.reason_string = nj_bytes(text, 65535)};
    nj_mqtt_props_mark(&props, NJ_PROP_REASON_STRING);
    assert_int_equal(nj_mqtt_props_size(&props), 3 + 3 + 65535);
    props.reason_string.len = 65536;
    assert_int_equal(nj_mqtt_props_size(&props), 0);
    props = (struct nj_mqtt_props){.subscription_ids = {0}, .subscription_id_count = 1};
    nj_mqtt_props_mark(&props, NJ_PROP_SUBSCRIPTION_ID);
    assert_int_equal(nj_mqtt_props_size(&props), 0);
    props.subscription_ids[0] = NJ_MQTT_VARINT_MAX + 1;
    assert_int_equal(nj_mqtt_props_size(&props), 0);
    props.subscription_ids[0] = NJ_MQTT_VARINT_MAX;
    assert_int_equal(nj_mqtt_props_size(&props), 6);
    props.subscription_id_count = NJ_MQTT_SUBSCRIPTION_IDS_MAX + 1;
    assert_int_equal(nj_mqtt_props_size(&props), 0);
    props = (struct nj_mqtt_props){.users = nj_bytes(text, (size_t)NJ_MQTT_VARINT_MAX + 1)};
    assert_int_equal(nj_mqtt_props_size(&props), 0);
}

static void forwards_all_but_what_belongs_to_one_hop(void **state)
{
    (void)state;
    static const struct {
        struct nj_bytes raw;
        struct nj_bytes forwarded;
        bool is_copied;
    } cases[] = {
        {{NULL, 0}, {NULL, 0}, false},
        {{(const uint8_t *)"\x01\x01", 2}, {(const uint8_t *)"\x01\x01", 2}, false},
        {{(const uint8_t *)"\x23\x00\x01", 3}, {NULL, 0}, false},
        {{(const uint8_t *)"\x23\x00\x01\x01\x01", 5}, {(const uint8_t *)"\x01\x01", 2}, false},
        {{(const uint8_t *)"\x01\x01\x02\x00\x00\x00\x01", 7},
         {(const uint8_t *)"\x01\x01", 2},
         false},
        {{(const uint8_t *)"\x23\x00\x01\x01\x01\x03\x00\x00\x02\x00\x00\x00\x01\x0b\x05", 15},
         {(const uint8_t *)"\x01\x01\x03\x00\x00", 5},
         false},
        {{(const uint8_t *)"\x01\x01\x23\x00\x01\x03\x00\x00", 8},
         {(const uint8_t *)"\x01\x01\x03\x00\x00", 5},
         true},
        {{(const uint8_t *)"\x01\x01\x23\x00\x01\x03\x00\x00\x0b\x05\x09\x00\x00", 13},
         {(const uint8_t *)"\x01\x01\x03\x00\x00\x09\x00\x00", 8},
         true},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_mqtt_props props;
        uint8_t scratch[16];
        struct nj_bytes raw = wire_copy(cases[i].raw);
        assert_int_equal(nj_mqtt_props_parse(raw, NJ_MQTT_PUBLISH, &props), NJ_OK);
        struct nj_bytes forwarded = nj_mqtt_props_forwarded(&props, scratch);
        assert_true(nj_bytes_equal(forwarded, cases[i].forwarded));
        assert_int_equal(forwarded.ptr == scratch, cases[i].is_copied);
        wire_free(raw);
    }
}

static void says_the_size_of_each_property(void **state)
{
    (void)state;
    for (size_t row = 0; row < WIRE_COUNT(table); row++) {
        enum nj_mqtt_prop prop = (enum nj_mqtt_prop)table[row].id;
        size_t text_len = table[row].len > 2 ? table[row].len - 2 : 0;
        size_t arg = prop == NJ_PROP_SUBSCRIPTION_ID ? 1
                     : prop == NJ_PROP_USER_PROPERTY ? 0
                                                     : text_len;
        assert_int_equal(nj_mqtt_prop_size(prop, arg), 1 + table[row].len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_property_where_it_may_stand_and_nowhere_else),
        cmocka_unit_test(b034_refuses_each_single_property_twice),
        cmocka_unit_test(b032_refuses_every_unknown_property),
        cmocka_unit_test(b032_refuses_identifiers_of_two_bytes),
        cmocka_unit_test(refuses_each_value_cut_at_every_byte),
        cmocka_unit_test(refuses_values_that_a_property_may_not_have),
        cmocka_unit_test(b030_b031_checks_the_property_length),
        cmocka_unit_test(b036_counts_user_properties),
        cmocka_unit_test(b116_takes_the_longest_correlation_data),
        cmocka_unit_test(leaves_0_in_what_is_not_present),
        cmocka_unit_test(iterates_over_user_properties_in_their_order),
        cmocka_unit_test(keeps_eight_subscription_identifiers_and_iterates_over_all),
        cmocka_unit_test(encodes_connack_in_the_order_that_clients_compare),
        cmocka_unit_test(encodes_nothing_as_length_0),
        cmocka_unit_test(says_0_for_what_cannot_be_encoded),
        cmocka_unit_test(forwards_all_but_what_belongs_to_one_hop),
        cmocka_unit_test(says_the_size_of_each_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
