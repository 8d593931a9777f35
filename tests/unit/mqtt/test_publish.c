/* PUBLISH and its acknowledgements. */
#include <stdlib.h>

#include "support/test.h"
#include "unit/mqtt/wire.h"

#define B(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

struct row {
    const char *why;
    enum nj_mqtt_type type;
    uint8_t flags;
    enum nj_mqtt_version version;
    struct nj_bytes body;
    enum nj_mqtt_reason reason; /* SUCCESS: is accepted */
};

static void expect(const struct row *rows, size_t count, bool is_from_server)
{
    for (size_t i = 0; i < count; i++) {
        struct wire_any any = {.type = rows[i].type,
                               .flags = rows[i].flags,
                               .version = rows[i].version,
                               .is_from_server = is_from_server};
        struct nj_bytes copy = wire_copy(rows[i].body);
        enum nj_mqtt_reason reason;
        (void)wire_decode(&any, copy, &reason);
        if (reason != rows[i].reason) {
            fail_msg("%s: 0x%02x", rows[i].why, (unsigned)reason);
        }
        wire_free(copy);
    }
}

#define PUB NJ_MQTT_PUBLISH

static void b100_to_b112_checks_a_publish(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"QoS 0", PUB, 0, NJ_MQTT_311, B("\x00\x01tx"), NJ_RC_SUCCESS},
        {"no payload", PUB, 1, NJ_MQTT_311, B("\x00\x01t"), NJ_RC_SUCCESS},
        {"QoS 1, again", PUB, 10, NJ_MQTT_311, B("\x00\x01t\x00\x01x"), NJ_RC_SUCCESS},
        {"b100: QoS 3", PUB, 6, NJ_MQTT_311, B("\x00\x01t\x00\x01x"), NJ_RC_MALFORMED_PACKET},
        {"b100: QoS 3", PUB, 15, NJ_MQTT_5, B("\x00\x01t\x00\x01\x00"), NJ_RC_MALFORMED_PACKET},
        {"b101: DUP with QoS 0", PUB, 8, NJ_MQTT_311, B("\x00\x01tx"), NJ_RC_MALFORMED_PACKET},
        {"b101: DUP with QoS 0", PUB, 9, NJ_MQTT_5, B("\x00\x01t\x00"), NJ_RC_MALFORMED_PACKET},
        {"b102: id 0", PUB, 2, NJ_MQTT_311, B("\x00\x01t\x00\x00"), NJ_RC_PROTOCOL_ERROR},
        {"b102: id 0", PUB, 4, NJ_MQTT_5, B("\x00\x01t\x00\x00\x00"), NJ_RC_PROTOCOL_ERROR},
        {"no id", PUB, 2, NJ_MQTT_311, B("\x00\x01t"), NJ_RC_MALFORMED_PACKET},
        {"half an id", PUB, 2, NJ_MQTT_311, B("\x00\x01t\x00"), NJ_RC_MALFORMED_PACKET},
        {"l123: no topic", PUB, 0, NJ_MQTT_311, B("\x00\x00x"), NJ_RC_MALFORMED_PACKET},
        {"l123: no topic", PUB, 2, NJ_MQTT_31, B("\x00\x00\x00\x01"), NJ_RC_MALFORMED_PACKET},
        {"l123: no topic", PUB, 0, NJ_MQTT_5, B("\x00\x00\x00x"), NJ_RC_PROTOCOL_ERROR},
        {"l123: no topic", PUB, 4, NJ_MQTT_5, B("\x00\x00\x00\x01\x00"), NJ_RC_PROTOCOL_ERROR},
        {"an alias", PUB, 0, NJ_MQTT_5, B("\x00\x00\x03\x23\x00\x01x"), NJ_RC_SUCCESS},
        {"alias and topic", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x03\x23\x00\x01x"), NJ_RC_SUCCESS},
        {"b107: alias 0", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x03\x23\x00\x00x"),
         NJ_RC_TOPIC_ALIAS_INVALID},
        {"b107: alias 0", PUB, 0, NJ_MQTT_5, B("\x00\x00\x03\x23\x00\x00x"),
         NJ_RC_TOPIC_ALIAS_INVALID},
        {"b112: identifier", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x02\x0b\x01x"), NJ_RC_PROTOCOL_ERROR},
        {"response topic", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x04\x08\x00\x01+x"),
         NJ_RC_PROTOCOL_ERROR},
        {"b104 is for the caller", PUB, 0, NJ_MQTT_311,
         B("\x00\x03"
           "a/#x"),
         NJ_RC_SUCCESS},
        {"no property length", PUB, 0, NJ_MQTT_5, B("\x00\x01t"), NJ_RC_MALFORMED_PACKET},
        {"b030", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x09x"), NJ_RC_MALFORMED_PACKET},
        {"nothing", PUB, 0, NJ_MQTT_5, B(""), NJ_RC_MALFORMED_PACKET},
    };
    expect(rows, WIRE_COUNT(rows), false);
}

static void lets_a_server_name_subscriptions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"one", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x02\x0b\x01x"), NJ_RC_SUCCESS},
        {"two", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x04\x0b\x01\x0b\x02x"), NJ_RC_SUCCESS},
        {"0", PUB, 0, NJ_MQTT_5, B("\x00\x01t\x02\x0b\x00x"), NJ_RC_PROTOCOL_ERROR},
    };
    expect(rows, WIRE_COUNT(rows), true);
}

static void older_versions_have_no_properties(void **state)
{
    struct nj_mqtt_publish publish;
    enum nj_mqtt_reason reason;
    (void)state;
    memset(&publish, 0xa5, sizeof(publish)); /* what older versions do not set is not looked at */
    assert_int_equal(
        nj_mqtt_publish_decode(NJ_BYTES_LIT("\x00\x01t\xff"), 0, NJ_MQTT_311, &publish, &reason),
        NJ_OK);
    assert_int_equal(publish.props.raw.len, 0);
    assert_int_equal(publish.props.user_count, 0);
}

static void reads_fields_as_views_of_the_packet(void **state)
{
    (void)state;
    struct nj_bytes body = NJ_BYTES_LIT("\x00\x03"
                                        "a/b\x12\x34\x05\x02\x00\x00\x00\x09payload");
    struct nj_mqtt_publish publish;
    enum nj_mqtt_reason reason;
    assert_int_equal(nj_mqtt_publish_decode(body, 13, NJ_MQTT_5, &publish, &reason), NJ_OK);
    assert_ptr_equal(publish.topic.ptr, body.ptr + 2);
    assert_int_equal(publish.topic.len, 3);
    assert_int_equal(publish.packet_id, 0x1234);
    assert_true(publish.is_dup && publish.is_retain);
    assert_int_equal(publish.qos, 2);
    assert_ptr_equal(publish.props.raw.ptr, body.ptr + 8);
    assert_int_equal(publish.props.raw.len, 5);
    assert_int_equal(publish.props.message_expiry_s, 9);
    assert_ptr_equal(publish.payload.ptr, body.ptr + 13);
    assert_int_equal(publish.payload.len, 7);
}

static void expect_frame(const struct nj_mqtt_publish_fields *fields, struct nj_bytes want)
{
    struct nj_mqtt_publish_layout layout = nj_mqtt_publish_size(fields);
    uint8_t *frame = malloc(want.len);
    assert_int_equal(layout.total_len, want.len);
    assert_int_equal(layout.header_len, want.len - fields->payload.len);
    assert_ptr_equal(nj_mqtt_publish_encode(fields, &layout, frame), frame + want.len);
    assert_memory_equal(frame, want.ptr, want.len);
    assert_int_equal(nj_mqtt_publish_packet_id_at(want), layout.packet_id_at);
    free(frame);
}

static void encodes_for_each_version(void **state)
{
    (void)state;
    static const uint32_t ids[] = {1, 300};
    struct nj_mqtt_publish_fields fields = {
        .topic = NJ_BYTES_LIT("a/b"),
        .payload = NJ_BYTES_LIT("xyz"),
        .props = NJ_BYTES_LIT("\x01\x01"),
        .subscription_ids = ids,
        .subscription_id_count = 2,
        .message_expiry_s = 9,
        .topic_alias = 3,
        .packet_id = 7,
        .qos = 1,
        .has_message_expiry = true,
        .is_retain = true,
        .is_dup = true,
        .version = NJ_MQTT_5,
    };
    expect_frame(&fields, NJ_BYTES_LIT("\x3b\x1a\x00\x03"
                                       "a/b\x00\x07\x0f\x23\x00\x03\x0b\x01\x0b\xac\x02\x01\x01"
                                       "\x02\x00\x00\x00\x09xyz"));
    fields.version = NJ_MQTT_311;
    expect_frame(&fields, NJ_BYTES_LIT("\x3b\x0a\x00\x03"
                                       "a/b\x00\x07xyz"));
    fields.qos = 0;
    fields.is_dup = false;
    expect_frame(&fields, NJ_BYTES_LIT("\x31\x08\x00\x03"
                                       "a/bxyz"));
    struct nj_mqtt_publish_fields by_alias = {.topic_alias = 1, .version = NJ_MQTT_5};
    expect_frame(&by_alias, NJ_BYTES_LIT("\x30\x06\x00\x00\x03\x23\x00\x01"));
}

static void patches_the_packet_id_of_a_shared_frame(void **state)
{
    (void)state;
    static uint8_t payload[200];
    struct nj_mqtt_publish_fields fields = {
        .topic = NJ_BYTES_LIT("topic"),
        .payload = nj_bytes(payload, sizeof(payload)),
        .qos = 2,
        .version = NJ_MQTT_5,
    };
    uint8_t frame[256];
    struct nj_mqtt_publish_layout layout = nj_mqtt_publish_size(&fields);
    struct nj_mqtt_publish publish;
    enum nj_mqtt_reason reason;
    assert_int_equal(layout.packet_id_at, 3 + 2 + 5);
    assert_ptr_equal(nj_mqtt_publish_encode_header(&fields, &layout, frame),
                     frame + layout.header_len);
    for (uint32_t id = 1; id <= 65535; id += 257) {
        nj_mqtt_publish_set_packet_id(frame, layout.packet_id_at, (uint16_t)id);
        assert_int_equal(nj_mqtt_publish_decode(nj_bytes(frame + 3, layout.header_len - 3), 4,
                                                NJ_MQTT_5, &publish, &reason),
                         NJ_OK);
        assert_int_equal(publish.packet_id, id);
    }
    nj_mqtt_publish_set_dup(frame);
    assert_int_equal(frame[0], 0x3c);
}

static void finds_the_packet_id_only_where_one_is(void **state)
{
    (void)state;
    static const struct {
        struct nj_bytes frame;
        uint32_t at;
    } cases[] = {
        {B("\x32\x05\x00\x01t\x00\x07"), 5},
        {B("\x30\x03\x00\x01t"), 0},
        {B("\x32\x05\x00\x01t\x00"), 0},
        {B("\x32\x05\x00\x09t\x00\x07"), 0},
        {B("\x32"), 0},
        {B(""), 0},
        {B("\x82\x05\x00\x01t\x00\x07"), 0},
        {B("\x32\x85\x01\x00\x01t\x00\x07"), 6},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes copy = wire_copy(cases[i].frame);
        assert_int_equal(nj_mqtt_publish_packet_id_at(copy), cases[i].at);
        wire_free(copy);
    }
}

static void says_0_for_a_publish_that_cannot_be_encoded(void **state)
{
    (void)state;
    static uint8_t bytes[1];
    uint32_t id = 0;
    struct nj_mqtt_publish_fields fields = {.topic = nj_bytes(bytes, 65536)};
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 0);
    /* The longest one: 268,435,455 bytes of body. */
    fields = (struct nj_mqtt_publish_fields){
        .topic = nj_bytes(bytes, 1),
        .payload = nj_bytes(bytes, 268435455 - 3),
        .version = NJ_MQTT_311,
    };
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 268435460);
    fields.payload.len++;
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 0);
    fields.payload.len = SIZE_MAX;
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 0);
    fields = (struct nj_mqtt_publish_fields){
        .topic = nj_bytes(bytes, 1),
        .subscription_ids = &id,
        .subscription_id_count = 1,
        .version = NJ_MQTT_5,
    };
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 0);
    id = NJ_MQTT_VARINT_MAX + 1;
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 0);
    id = NJ_MQTT_VARINT_MAX;
    assert_int_equal(nj_mqtt_publish_size(&fields).total_len, 1 + 1 + 3 + 1 + 5);
}

/* ---- acknowledgements */

static void b141_b147_checks_acknowledgements(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"PUBACK", NJ_MQTT_PUBACK, 0, NJ_MQTT_311, B("\x00\x01"), NJ_RC_SUCCESS},
        {"b141: id 0", NJ_MQTT_PUBACK, 0, NJ_MQTT_311, B("\x00\x00"), NJ_RC_PROTOCOL_ERROR},
        {"b141: id 0", NJ_MQTT_PUBREC, 0, NJ_MQTT_5, B("\x00\x00"), NJ_RC_PROTOCOL_ERROR},
        {"b141: id 0", NJ_MQTT_PUBREL, 2, NJ_MQTT_5, B("\x00\x00\x00"), NJ_RC_PROTOCOL_ERROR},
        {"b141: id 0", NJ_MQTT_PUBCOMP, 0, NJ_MQTT_31, B("\x00\x00"), NJ_RC_PROTOCOL_ERROR},
        {"b140: flags", NJ_MQTT_PUBREL, 0, NJ_MQTT_311, B("\x00\x01"), NJ_RC_MALFORMED_PACKET},
        {"b140: flags", NJ_MQTT_PUBREL, 10, NJ_MQTT_5, B("\x00\x01"), NJ_RC_MALFORMED_PACKET},
        {"DUP in 3.1", NJ_MQTT_PUBREL, 10, NJ_MQTT_31, B("\x00\x01"), NJ_RC_SUCCESS},
        {"b147: no properties", NJ_MQTT_PUBACK, 0, NJ_MQTT_5, B("\x00\x01\x10"), NJ_RC_SUCCESS},
        {"empty properties", NJ_MQTT_PUBACK, 0, NJ_MQTT_5, B("\x00\x01\x10\x00"), NJ_RC_SUCCESS},
        {"b010", NJ_MQTT_PUBACK, 0, NJ_MQTT_5, B("\x00\x01\x10\x00x"), NJ_RC_MALFORMED_PACKET},
        {"b010", NJ_MQTT_PUBACK, 0, NJ_MQTT_311, B("\x00\x01\x00"), NJ_RC_MALFORMED_PACKET},
        {"one byte", NJ_MQTT_PUBACK, 0, NJ_MQTT_311, B("\x00"), NJ_RC_MALFORMED_PACKET},
        {"nothing", NJ_MQTT_PUBACK, 0, NJ_MQTT_5, B(""), NJ_RC_MALFORMED_PACKET},
        {"b034", NJ_MQTT_PUBACK, 0, NJ_MQTT_5, B("\x00\x01\x00\x06\x1f\x00\x00\x1f\x00\x00"),
         NJ_RC_PROTOCOL_ERROR},
        {"wrong property", NJ_MQTT_PUBACK, 0, NJ_MQTT_5, B("\x00\x01\x00\x02\x01\x01"),
         NJ_RC_MALFORMED_PACKET},
    };
    expect(rows, WIRE_COUNT(rows), false);
}

static void b144_knows_the_reason_codes_of_each(void **state)
{
    (void)state;
    static const uint8_t received[] = {0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99};
    static const uint8_t release[] = {0, 0x92};
    for (enum nj_mqtt_type type = NJ_MQTT_PUBACK; type <= NJ_MQTT_PUBCOMP; type++) {
        bool is_release = type == NJ_MQTT_PUBREL || type == NJ_MQTT_PUBCOMP;
        for (unsigned code = 0; code < 256; code++) {
            bool is_known = is_release ? memchr(release, (int)code, sizeof(release)) != NULL
                                       : memchr(received, (int)code, sizeof(received)) != NULL;
            uint8_t body[] = {0, 1, (uint8_t)code};
            struct nj_mqtt_ack ack;
            enum nj_mqtt_reason reason = NJ_RC_SUCCESS;
            enum nj_err err =
                nj_mqtt_ack_decode(nj_bytes(body, sizeof(body)), type, NJ_MQTT_5, &ack, &reason);
            assert_int_equal(err, is_known ? NJ_OK : NJ_EPROTOCOL);
            assert_int_equal(nj_mqtt_ack_code_is_known(type, (uint8_t)code), is_known);
        }
    }
}

static void encodes_acknowledgements_as_short_as_can_be(void **state)
{
    (void)state;
    static const struct {
        enum nj_mqtt_type type;
        enum nj_mqtt_version version;
        struct nj_mqtt_ack ack;
        struct nj_bytes want;
    } cases[] = {
        {NJ_MQTT_PUBACK, NJ_MQTT_5, {.packet_id = 0x102}, B("\x40\x02\x01\x02")},
        {NJ_MQTT_PUBACK, NJ_MQTT_5, {.packet_id = 1, .code = 0x10}, B("\x40\x03\x00\x01\x10")},
        {NJ_MQTT_PUBREC, NJ_MQTT_5, {.packet_id = 1, .code = 0x97}, B("\x50\x03\x00\x01\x97")},
        {NJ_MQTT_PUBREL, NJ_MQTT_5, {.packet_id = 1}, B("\x62\x02\x00\x01")},
        {NJ_MQTT_PUBCOMP, NJ_MQTT_5, {.packet_id = 1, .code = 0x92}, B("\x70\x03\x00\x01\x92")},
        {NJ_MQTT_PUBACK,
         NJ_MQTT_5,
         {.packet_id = 1, .props = B("\x1f\x00\x01r")},
         B("\x40\x08\x00\x01\x00\x04\x1f\x00\x01r")},
        {NJ_MQTT_PUBREL, NJ_MQTT_311, {.packet_id = 1, .code = 0x92}, B("\x62\x02\x00\x01")},
        {NJ_MQTT_PUBACK,
         NJ_MQTT_31,
         {.packet_id = 1, .code = 0x10, .props = B("\x1f\x00\x01r")},
         B("\x40\x02\x00\x01")},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        uint8_t room[32];
        size_t size = nj_mqtt_ack_size(&cases[i].ack, cases[i].version);
        assert_int_equal(size, cases[i].want.len);
        assert_true(cases[i].ack.props.len || size <= NJ_MQTT_ACK_PLAIN_MAX);
        assert_ptr_equal(nj_mqtt_ack_encode(&cases[i].ack, cases[i].type, cases[i].version, room),
                         room + size);
        assert_memory_equal(room, cases[i].want.ptr, size);
    }
    struct nj_mqtt_ack too_long = {.packet_id = 1,
                                   .props = nj_bytes("", (size_t)NJ_MQTT_VARINT_MAX + 1)};
    assert_int_equal(nj_mqtt_ack_size(&too_long, NJ_MQTT_5), 0);
    too_long.props.len = NJ_MQTT_VARINT_MAX;
    assert_int_equal(nj_mqtt_ack_size(&too_long, NJ_MQTT_5), 0);
}

static void keeps_the_properties_of_an_acknowledgement(void **state)
{
    (void)state;
    struct nj_mqtt_ack ack;
    struct nj_mqtt_props props;
    enum nj_mqtt_reason reason;
    struct nj_bytes body = NJ_BYTES_LIT("\x00\x01\x87\x06\x1f\x00\x03why");
    assert_int_equal(nj_mqtt_ack_decode(body, NJ_MQTT_PUBACK, NJ_MQTT_5, &ack, &reason), NJ_OK);
    assert_int_equal(ack.code, 0x87);
    assert_int_equal(nj_mqtt_props_parse(ack.props, NJ_MQTT_PUBACK, &props), NJ_OK);
    assert_true(nj_bytes_equal(props.reason_string, NJ_BYTES_LIT("why")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b100_to_b112_checks_a_publish),
        cmocka_unit_test(lets_a_server_name_subscriptions),
        cmocka_unit_test(older_versions_have_no_properties),
        cmocka_unit_test(reads_fields_as_views_of_the_packet),
        cmocka_unit_test(encodes_for_each_version),
        cmocka_unit_test(patches_the_packet_id_of_a_shared_frame),
        cmocka_unit_test(finds_the_packet_id_only_where_one_is),
        cmocka_unit_test(says_0_for_a_publish_that_cannot_be_encoded),
        cmocka_unit_test(b141_b147_checks_acknowledgements),
        cmocka_unit_test(b144_knows_the_reason_codes_of_each),
        cmocka_unit_test(encodes_acknowledgements_as_short_as_can_be),
        cmocka_unit_test(keeps_the_properties_of_an_acknowledgement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
