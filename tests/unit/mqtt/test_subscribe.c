/* SUBSCRIBE, UNSUBSCRIBE, their answers, DISCONNECT and AUTH. */
#include <stdlib.h>

#include "support/test.h"
#include "unit/mqtt/wire.h"

#define B(text)                                                                                    \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define SUB   NJ_MQTT_SUBSCRIBE
#define UNSUB NJ_MQTT_UNSUBSCRIBE
#define DISC  NJ_MQTT_DISCONNECT
#define OK    NJ_RC_SUCCESS
#define MAL   NJ_RC_MALFORMED_PACKET
#define PROTO NJ_RC_PROTOCOL_ERROR

struct row {
    const char *why;
    enum nj_mqtt_type type;
    enum nj_mqtt_version version;
    struct nj_bytes body;
    enum nj_mqtt_reason reason;
};

static void expect(const struct row *rows, size_t count, bool is_from_server)
{
    for (size_t i = 0; i < count; i++) {
        bool has_flags = rows[i].type == SUB || rows[i].type == UNSUB;
        struct wire_any any = {.type = rows[i].type,
                               .flags = has_flags ? 2 : 0,
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

static void b161_to_b167_checks_a_subscribe(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"3.1.1", SUB, NJ_MQTT_311, B("\x00\x01\x00\x01t\x02"), OK},
        {"5", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x01t\x2d"), OK},
        {"b161: no filter", SUB, NJ_MQTT_311, B("\x00\x01"), PROTO},
        {"b161: no filter", SUB, NJ_MQTT_5, B("\x00\x01\x00"), PROTO},
        {"b162: id 0", SUB, NJ_MQTT_311, B("\x00\x00\x00\x01t\x02"), PROTO},
        {"b162: id 0", SUB, NJ_MQTT_5, B("\x00\x00\x00\x00\x01t\x02"), PROTO},
        {"b164: bit 6", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x01t\x40"), MAL},
        {"b164: bit 7", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x01t\x80"), MAL},
        {"b164: no-local in 3.1.1", SUB, NJ_MQTT_311, B("\x00\x01\x00\x01t\x04"), MAL},
        {"b164: retain in 3.1.1", SUB, NJ_MQTT_311, B("\x00\x01\x00\x01t\x08"), MAL},
        {"b164: handling in 3.1", SUB, NJ_MQTT_31, B("\x00\x01\x00\x01t\x10"), MAL},
        {"QoS 3", SUB, NJ_MQTT_311, B("\x00\x01\x00\x01t\x03"), MAL},
        {"QoS 3", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x01t\x03"), MAL},
        {"b165: handling 3", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x01t\x30"), PROTO},
        {"b166 is for the caller", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x0a$share/g/t\x04"), OK},
        {"shared", SUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x0a$share/g/t\x09"), OK},
        {"b167: identifier 0", SUB, NJ_MQTT_5, B("\x00\x01\x02\x0b\x00\x00\x01t\x01"), PROTO},
        {"b167: twice", SUB, NJ_MQTT_5, B("\x00\x01\x04\x0b\x01\x0b\x01\x00\x01t\x01"), PROTO},
        {"identifier", SUB, NJ_MQTT_5, B("\x00\x01\x02\x0b\x01\x00\x01t\x01"), OK},
        {"no options", SUB, NJ_MQTT_311, B("\x00\x01\x00\x01t"), MAL},
        {"second without options", SUB, NJ_MQTT_311, B("\x00\x01\x00\x01t\x01\x00\x01t"), MAL},
        {"b169 is for the caller", SUB, NJ_MQTT_311,
         B("\x00\x01\x00\x02"
           "a#\x01"),
         OK},
        {"empty filter, too", SUB, NJ_MQTT_311, B("\x00\x01\x00\x00\x01"), OK},
        {"no id", SUB, NJ_MQTT_311, B("\x00"), MAL},
    };
    expect(rows, WIRE_COUNT(rows), false);
}

static void b179_checks_an_unsubscribe(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"3.1.1", UNSUB, NJ_MQTT_311, B("\x00\x01\x00\x01t"), OK},
        {"5", UNSUB, NJ_MQTT_5, B("\x00\x01\x00\x00\x01t\x00\x01u"), OK},
        {"no filter", UNSUB, NJ_MQTT_311, B("\x00\x01"), PROTO},
        {"no filter", UNSUB, NJ_MQTT_5, B("\x00\x01\x00"), PROTO},
        {"id 0", UNSUB, NJ_MQTT_311, B("\x00\x00\x00\x01t"), PROTO},
        {"identifier", UNSUB, NJ_MQTT_5, B("\x00\x01\x02\x0b\x01\x00\x01t"), MAL},
        {"with options", UNSUB, NJ_MQTT_311, B("\x00\x01\x00\x01t\x01"), MAL},
    };
    expect(rows, WIRE_COUNT(rows), false);
}

static void b174_gives_the_filters_in_their_order(void **state)
{
    (void)state;
    struct nj_bytes body = NJ_BYTES_LIT("\x12\x34\x03\x0b\xac\x02\x00\x01t\x2e\x00\x01t\x11\x00"
                                        "\x01u\x00");
    static const struct nj_mqtt_filter want[] = {
        {.qos = 2, .retain_handling = 2, .is_no_local = true, .is_retain_as_published = true},
        {.qos = 1, .retain_handling = 1},
        {.qos = 0},
    };
    struct nj_mqtt_subscribe out;
    enum nj_mqtt_reason reason;
    assert_int_equal(nj_mqtt_subscribe_decode(body, NJ_MQTT_5, &out, &reason), NJ_OK);
    assert_int_equal(out.packet_id, 0x1234);
    assert_int_equal(out.subscription_id, 300);
    assert_int_equal(out.count, 3);
    struct nj_bytes rest = out.filters;
    struct nj_mqtt_filter filter = {0};
    for (size_t i = 0; i < 3; i++) {
        assert_true(nj_mqtt_subscribe_next(&rest, &filter));
        assert_int_equal(filter.qos, want[i].qos);
        assert_int_equal(filter.retain_handling, want[i].retain_handling);
        assert_int_equal(filter.is_no_local, want[i].is_no_local);
        assert_int_equal(filter.is_retain_as_published, want[i].is_retain_as_published);
        assert_int_equal(filter.filter.ptr[0], i == 2 ? 'u' : 't');
    }
    assert_false(nj_mqtt_subscribe_next(&rest, &filter));
}

static void b175_reads_a_subscribe_of_a_megabyte(void **state)
{
    (void)state;
    enum {
        COUNT = 250000,
        SIZE = 4
    };
    uint8_t *body = calloc(1, 2 + COUNT * SIZE);
    struct nj_mqtt_subscribe out;
    enum nj_mqtt_reason reason;
    body[1] = 1;
    for (size_t i = 0; i < COUNT; i++) {
        body[2 + i * SIZE + 1] = 1;
        body[2 + i * SIZE + 2] = 't';
    }
    assert_int_equal(
        nj_mqtt_subscribe_decode(nj_bytes(body, 2 + COUNT * SIZE), NJ_MQTT_311, &out, &reason),
        NJ_OK);
    assert_int_equal(out.count, COUNT);
    free(body);
}

static void encodes_options_of_the_version(void **state)
{
    (void)state;
    struct nj_mqtt_filter filters[] = {
        {NJ_BYTES_LIT("a"), 1, 2, true, true},
        {NJ_BYTES_LIT("b"), 2, 0, false, false},
    };
    struct nj_mqtt_subscribe_fields fields = {.packet_id = 7, .filters = filters, .count = 2};
    uint8_t room[32];
    struct nj_bytes want = NJ_BYTES_LIT("\x82\x0b\x00\x07\x00\x00\x01"
                                        "a\x2d\x00\x01"
                                        "b\x02");
    assert_int_equal(nj_mqtt_subscribe_size(&fields, NJ_MQTT_5), want.len);
    assert_ptr_equal(nj_mqtt_subscribe_encode(&fields, NJ_MQTT_5, room), room + want.len);
    assert_memory_equal(room, want.ptr, want.len);
    want = NJ_BYTES_LIT("\x82\x0a\x00\x07\x00\x01"
                        "a\x01\x00\x01"
                        "b\x02");
    assert_int_equal(nj_mqtt_subscribe_size(&fields, NJ_MQTT_311), want.len);
    assert_ptr_equal(nj_mqtt_subscribe_encode(&fields, NJ_MQTT_311, room), room + want.len);
    assert_memory_equal(room, want.ptr, want.len);
    static uint8_t text[65536];
    filters[1].filter = nj_bytes(text, 65535);
    assert_int_equal(nj_mqtt_subscribe_size(&fields, NJ_MQTT_311), 4 + 2 + 4 + 3 + 65535);
    struct nj_mqtt_unsubscribe_fields longest = {
        .packet_id = 7, .filters = &filters[1].filter, .count = 1};
    assert_int_equal(nj_mqtt_unsubscribe_size(&longest, NJ_MQTT_311), 4 + 2 + 2 + 65535);
    filters[1].filter.len = 65536;
    assert_int_equal(nj_mqtt_subscribe_size(&fields, NJ_MQTT_5), 0);
    assert_int_equal(nj_mqtt_unsubscribe_size(&longest, NJ_MQTT_311), 0);
}

/* ---- answers */

static void l126_checks_suback_and_unsuback(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"granted", NJ_MQTT_SUBACK, NJ_MQTT_311, B("\x00\x01\x00\x01\x02\x80"), OK},
        {"no codes", NJ_MQTT_SUBACK, NJ_MQTT_311, B("\x00\x01"), PROTO},
        {"no codes", NJ_MQTT_SUBACK, NJ_MQTT_5, B("\x00\x01\x00"), PROTO},
        {"code 3", NJ_MQTT_SUBACK, NJ_MQTT_311, B("\x00\x01\x03"), PROTO},
        {"code 0x87 in 3.1.1", NJ_MQTT_SUBACK, NJ_MQTT_311, B("\x00\x01\x87"), PROTO},
        {"code 0x87", NJ_MQTT_SUBACK, NJ_MQTT_5, B("\x00\x01\x00\x87"), OK},
        {"code 0x11", NJ_MQTT_SUBACK, NJ_MQTT_5, B("\x00\x01\x00\x11"), PROTO},
        {"id 0", NJ_MQTT_SUBACK, NJ_MQTT_311, B("\x00\x00\x00"), PROTO},
        {"no id", NJ_MQTT_SUBACK, NJ_MQTT_311, B("\x00"), MAL},
        {"UNSUBACK", NJ_MQTT_UNSUBACK, NJ_MQTT_311, B("\x00\x01"), OK},
        {"with a code", NJ_MQTT_UNSUBACK, NJ_MQTT_311, B("\x00\x01\x00"), MAL},
        {"id 0", NJ_MQTT_UNSUBACK, NJ_MQTT_311, B("\x00\x00"), PROTO},
        {"5", NJ_MQTT_UNSUBACK, NJ_MQTT_5, B("\x00\x01\x00\x00\x11"), OK},
        {"5, no codes", NJ_MQTT_UNSUBACK, NJ_MQTT_5, B("\x00\x01\x00"), PROTO},
        {"5, code 1", NJ_MQTT_UNSUBACK, NJ_MQTT_5, B("\x00\x01\x00\x01"), PROTO},
    };
    expect(rows, WIRE_COUNT(rows), true);
}

static void b144_knows_the_codes_of_suback_and_unsuback(void **state)
{
    (void)state;
    static const char suback[] = "\x00\x01\x02\x80\x83\x87\x8f\x91\x97\x9e\xa1\xa2";
    static const char unsuback[] = "\x00\x11\x80\x83\x87\x8f\x91";
    for (unsigned code = 0; code < 256; code++) {
        uint8_t body[] = {0, 1, 0, (uint8_t)code};
        uint8_t old_body[] = {0, 1, (uint8_t)code};
        struct nj_mqtt_suback out;
        enum nj_mqtt_reason reason;
        bool is_known = memchr(suback, (int)code, sizeof(suback) - 1) != NULL;
        assert_int_equal(nj_mqtt_suback_decode(nj_bytes(body, 4), NJ_MQTT_5, &out, &reason),
                         is_known ? NJ_OK : NJ_EPROTOCOL);
        is_known = memchr(unsuback, (int)code, sizeof(unsuback) - 1) != NULL;
        assert_int_equal(nj_mqtt_unsuback_decode(nj_bytes(body, 4), NJ_MQTT_5, &out, &reason),
                         is_known ? NJ_OK : NJ_EPROTOCOL);
        is_known = code <= 2 || code == 0x80;
        assert_int_equal(nj_mqtt_suback_decode(nj_bytes(old_body, 3), NJ_MQTT_311, &out, &reason),
                         is_known ? NJ_OK : NJ_EPROTOCOL);
    }
}

static void encodes_no_codes_into_an_old_unsuback(void **state)
{
    (void)state;
    struct nj_mqtt_suback packet = {.packet_id = 0x102, .codes = NJ_BYTES_LIT("\x00\x11")};
    uint8_t room[16];
    assert_int_equal(nj_mqtt_unsuback_size(&packet, NJ_MQTT_311), 4);
    assert_ptr_equal(nj_mqtt_unsuback_encode(&packet, NJ_MQTT_311, room), room + 4);
    assert_memory_equal(room, "\xb0\x02\x01\x02", 4);
    assert_int_equal(nj_mqtt_unsuback_size(&packet, NJ_MQTT_5), 7);
    assert_ptr_equal(nj_mqtt_unsuback_encode(&packet, NJ_MQTT_5, room), room + 7);
    assert_memory_equal(room, "\xb0\x05\x01\x02\x00\x00\x11", 7);
}

/* ---- DISCONNECT, AUTH */

static void b184_b185_b187_checks_a_disconnect(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"3.1.1", DISC, NJ_MQTT_311, B(""), OK},
        {"3.1.1 with a code", DISC, NJ_MQTT_311, B("\x00"), MAL},
        {"5", DISC, NJ_MQTT_5, B(""), OK},
        {"b187: length 1", DISC, NJ_MQTT_5, B("\x04"), OK},
        {"b187: length 2", DISC, NJ_MQTT_5, B("\x04\x00"), OK},
        {"b010", DISC, NJ_MQTT_5, B("\x04\x00\x00"), MAL},
        {"session expiry", DISC, NJ_MQTT_5, B("\x00\x05\x11\x00\x00\x00\x01"), OK},
        {"expiry twice", DISC, NJ_MQTT_5, B("\x00\x0a\x11\x00\x00\x00\x01\x11\x00\x00\x00\x01"),
         PROTO},
        {"b030", DISC, NJ_MQTT_5, B("\x00\x01"), MAL},
    };
    expect(rows, WIRE_COUNT(rows), false);
}

static void expect_codes(enum nj_mqtt_type type, bool is_from_server, const char *codes,
                         size_t count)
{
    for (unsigned code = 0; code < 256; code++) {
        uint8_t body[] = {(uint8_t)code, 4, NJ_PROP_AUTH_METHOD, 0, 1, 'm'};
        struct wire_any any = {
            .type = type, .version = NJ_MQTT_5, .is_from_server = is_from_server};
        enum nj_mqtt_reason reason;
        size_t len = type == NJ_MQTT_AUTH ? sizeof(body) : 1;
        enum nj_err err = wire_decode(&any, nj_bytes(body, len), &reason);
        assert_int_equal(err, memchr(codes, (int)code, count) ? NJ_OK : NJ_EPROTOCOL);
    }
}

static void b079_b185_knows_who_may_say_which_code(void **state)
{
    (void)state;
    static const char client[] = "\x00\x04\x80\x81\x82\x83\x90\x93\x94\x95\x96\x97\x98\x99";
    static const char server[] = "\x00\x80\x81\x82\x83\x87\x89\x8b\x8d\x8e\x8f\x90\x93\x94\x95\x96"
                                 "\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2";
    expect_codes(NJ_MQTT_DISCONNECT, false, client, sizeof(client) - 1);
    expect_codes(NJ_MQTT_DISCONNECT, true, server, sizeof(server) - 1);
    expect_codes(NJ_MQTT_AUTH, false, "\x18\x19", 2);
    expect_codes(NJ_MQTT_AUTH, true, "\x00\x18", 2);
}

static void leaves_the_session_expiry_to_the_client(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"expiry", DISC, NJ_MQTT_5, B("\x00\x05\x11\x00\x00\x00\x01"), PROTO},
        {"reference", DISC, NJ_MQTT_5, B("\x9c\x04\x1c\x00\x01s"), OK},
    };
    expect(rows, WIRE_COUNT(rows), true);
}

static void b079_checks_an_auth(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"continue", NJ_MQTT_AUTH, NJ_MQTT_5, B("\x18\x04\x15\x00\x01m"), OK},
        {"no method", NJ_MQTT_AUTH, NJ_MQTT_5, B("\x18\x00"), PROTO},
        {"no properties", NJ_MQTT_AUTH, NJ_MQTT_5, B("\x18"), PROTO},
        {"empty: success, which is the server's", NJ_MQTT_AUTH, NJ_MQTT_5, B(""), PROTO},
        {"data alone", NJ_MQTT_AUTH, NJ_MQTT_5, B("\x18\x04\x16\x00\x01m"), PROTO},
        {"b010", NJ_MQTT_AUTH, NJ_MQTT_5, B("\x18\x04\x15\x00\x01mx"), MAL},
        {"b004: 3.1.1", NJ_MQTT_AUTH, NJ_MQTT_311, B("\x18\x04\x15\x00\x01m"), MAL},
    };
    expect(rows, WIRE_COUNT(rows), false);
    static const struct row answers[] = {
        {"done", NJ_MQTT_AUTH, NJ_MQTT_5, B(""), OK},
        {"done, with data and no method", NJ_MQTT_AUTH, NJ_MQTT_5, B("\x00\x04\x16\x00\x01m"),
         PROTO},
    };
    expect(answers, WIRE_COUNT(answers), true);
}

static void encodes_a_disconnect_as_short_as_can_be(void **state)
{
    (void)state;
    static uint8_t text[65536];
    struct nj_mqtt_coded packet = {.code = 0};
    uint8_t room[16];
    assert_int_equal(nj_mqtt_disconnect_size(&packet, NJ_MQTT_5), 2);
    assert_ptr_equal(nj_mqtt_disconnect_encode(&packet, NJ_MQTT_5, room), room + 2);
    assert_memory_equal(room, "\xe0\x00", 2);
    packet.code = NJ_RC_SESSION_TAKEN_OVER;
    assert_int_equal(nj_mqtt_disconnect_size(&packet, NJ_MQTT_5), 3);
    assert_ptr_equal(nj_mqtt_disconnect_encode(&packet, NJ_MQTT_5, room), room + 3);
    assert_memory_equal(room, "\xe0\x01\x8e", 3);
    assert_int_equal(nj_mqtt_disconnect_size(&packet, NJ_MQTT_311), 2);
    packet.props.reason_string = NJ_BYTES_LIT("r");
    nj_mqtt_props_mark(&packet.props, NJ_PROP_REASON_STRING);
    assert_int_equal(nj_mqtt_disconnect_size(&packet, NJ_MQTT_5), 8);
    assert_ptr_equal(nj_mqtt_disconnect_encode(&packet, NJ_MQTT_5, room), room + 8);
    assert_memory_equal(room, "\xe0\x06\x8e\x04\x1f\x00\x01r", 8);
    packet.props.reason_string = nj_bytes(text, sizeof(text));
    assert_int_equal(nj_mqtt_disconnect_size(&packet, NJ_MQTT_5), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b161_to_b167_checks_a_subscribe),
        cmocka_unit_test(b179_checks_an_unsubscribe),
        cmocka_unit_test(b174_gives_the_filters_in_their_order),
        cmocka_unit_test(b175_reads_a_subscribe_of_a_megabyte),
        cmocka_unit_test(encodes_options_of_the_version),
        cmocka_unit_test(l126_checks_suback_and_unsuback),
        cmocka_unit_test(b144_knows_the_codes_of_suback_and_unsuback),
        cmocka_unit_test(encodes_no_codes_into_an_old_unsuback),
        cmocka_unit_test(b184_b185_b187_checks_a_disconnect),
        cmocka_unit_test(b079_b185_knows_who_may_say_which_code),
        cmocka_unit_test(leaves_the_session_expiry_to_the_client),
        cmocka_unit_test(b079_checks_an_auth),
        cmocka_unit_test(encodes_a_disconnect_as_short_as_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
