/* What holds for packets of every type: over the list of valid ones in wire_packets.c. */
#include <stdlib.h>

#include "support/test.h"
#include "unit/mqtt/wire.h"

static void reads_every_valid_packet(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        struct wire_any any = wire_any_of(&wire_packets[i], &body);
        struct nj_bytes copy = wire_copy(body);
        enum nj_mqtt_reason reason;
        if (wire_decode(&any, copy, &reason) != NJ_OK) {
            fail_msg("%s: 0x%02x", wire_packets[i].name, (unsigned)reason);
        }
        wire_free(copy);
    }
}

static void encodes_what_it_read_to_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        struct wire_any any = wire_any_of(&wire_packets[i], &body);
        enum nj_mqtt_reason reason;
        assert_int_equal(wire_decode(&any, body, &reason), NJ_OK);
        struct nj_bytes frame = wire_encode(&any);
        if (!nj_bytes_equal(frame, wire_packets[i].frame)) {
            fail_msg("%s", wire_packets[i].name);
        }
        wire_free(frame);
    }
}

static bool is_valid_prefix(const struct wire_packet *packet, size_t len)
{
    if (packet->payload_from && len >= packet->payload_from) {
        return true;
    }
    for (int i = 0; packet->prefixes && i < packet->prefixes[0]; i++) {
        if (len == (uint8_t)packet->prefixes[1 + i]) {
            return true;
        }
    }
    return false;
}

static void b009_b011_refuses_every_packet_cut_at_every_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        (void)wire_any_of(&wire_packets[i], &body);
        for (size_t len = 0; len < body.len; len++) {
            struct wire_any any = wire_any_of(&wire_packets[i], &body);
            struct nj_bytes copy = wire_copy(nj_bytes(body.ptr, len));
            enum nj_mqtt_reason reason;
            bool is_ok = wire_decode(&any, copy, &reason) == NJ_OK;
            if (is_ok != is_valid_prefix(&wire_packets[i], len)) {
                fail_msg("%s cut at %zu of %zu: 0x%02x", wire_packets[i].name, len, body.len,
                         (unsigned)reason);
            }
            wire_free(copy);
        }
    }
}

static void b011_waits_for_the_rest_of_every_packet(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes whole = wire_packets[i].frame;
        for (size_t len = 0; len < whole.len; len++) {
            struct nj_bytes copy = wire_copy(nj_bytes(whole.ptr, len));
            struct nj_mqtt_frame frame;
            enum nj_err err = nj_mqtt_frame_peek(copy.ptr, copy.len, &frame);
            assert_true(err == NJ_EAGAIN ||
                        (err == NJ_OK && frame.header_len + frame.body_len == whole.len));
            wire_free(copy);
        }
    }
}

static void b010_refuses_a_byte_too_many(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        struct wire_any any = wire_any_of(&wire_packets[i], &body);
        if (any.type == NJ_MQTT_PUBLISH) {
            continue; /* its payload takes everything */
        }
        uint8_t *longer = malloc(body.len + 1);
        if (body.len) {
            memcpy(longer, body.ptr, body.len);
        }
        longer[body.len] = 0xff;
        enum nj_mqtt_reason reason;
        enum nj_err err = wire_decode(&any, nj_bytes(longer, body.len + 1), &reason);
        /* Where a code may follow, the byte is an unknown one. */
        bool ends_with_codes = any.type == NJ_MQTT_SUBACK || any.type == NJ_MQTT_UNSUBACK;
        bool has_no_code = any.version == NJ_MQTT_5 && body.len < 3;
        if (err != NJ_EMALFORMED && !(err == NJ_EPROTOCOL && (ends_with_codes || has_no_code))) {
            fail_msg("%s: %s", wire_packets[i].name, nj_err_name(err));
        }
        free(longer);
    }
}

/* Calls `check` with every packet in which one field that reads `was` now reads `now`. */
static void each_replaced(const char *was, const struct wire_text *now,
                          void (*check)(const struct wire_packet *, const struct wire_text *,
                                        struct wire_any *, struct nj_bytes))
{
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        struct wire_any any = wire_any_of(&wire_packets[i], &body);
        for (size_t at = 0; at + WIRE_TEXT_LEN <= body.len; at++) {
            if (memcmp(body.ptr + at, was, WIRE_TEXT_LEN) != 0) {
                continue;
            }
            struct nj_bytes copy = wire_copy(body);
            memcpy((uint8_t *)(uintptr_t)copy.ptr + at, now->bytes, WIRE_TEXT_LEN);
            check(&wire_packets[i], now, &any, copy);
            wire_free(copy);
        }
    }
}

static void expect_malformed(const struct wire_packet *packet, const struct wire_text *text,
                             struct wire_any *any, struct nj_bytes body)
{
    enum nj_mqtt_reason reason;
    if (wire_decode(any, body, &reason) != NJ_EMALFORMED) {
        fail_msg("%s with %s", packet->name, text->why);
    }
}

static void expect_the_same_bytes(const struct wire_packet *packet, const struct wire_text *text,
                                  struct wire_any *any, struct nj_bytes body)
{
    enum nj_mqtt_reason reason;
    if (wire_decode(any, body, &reason) != NJ_OK) {
        fail_msg("%s with %s: 0x%02x", packet->name, text->why, (unsigned)reason);
    }
    struct nj_bytes frame = wire_encode(any);
    assert_true(frame.len >= body.len);
    assert_memory_equal(frame.ptr + frame.len - body.len, body.ptr, body.len);
    wire_free(frame);
}

static void b015_to_b022_refuses_bad_utf8_in_every_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_bad_text_count; i++) {
        each_replaced("~~~~", &wire_bad_texts[i], expect_malformed);
    }
}

static void b021_b024_b025_keeps_unusual_texts_as_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_good_text_count; i++) {
        each_replaced("~~~~", &wire_good_texts[i], expect_the_same_bytes);
    }
}

static void b069_takes_any_bytes_where_binary_data_stands(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_bad_text_count; i++) {
        each_replaced("!!!!", &wire_bad_texts[i], expect_the_same_bytes);
    }
}

static void b014_refuses_a_text_longer_than_the_packet(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        (void)wire_any_of(&wire_packets[i], &body);
        for (size_t at = 2; at + WIRE_TEXT_LEN <= body.len; at++) {
            if (memcmp(body.ptr + at, "~~~~", WIRE_TEXT_LEN) != 0) {
                continue;
            }
            struct wire_any any = wire_any_of(&wire_packets[i], &body);
            struct nj_bytes copy = wire_copy(body);
            memset((uint8_t *)(uintptr_t)copy.ptr + at - 2, 0xff, 2);
            enum nj_mqtt_reason reason;
            assert_int_equal(wire_decode(&any, copy, &reason), NJ_EMALFORMED);
            wire_free(copy);
        }
    }
}

static void survives_every_changed_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_packet_count; i++) {
        struct nj_bytes body;
        struct wire_any any = wire_any_of(&wire_packets[i], &body);
        struct nj_bytes copy = wire_copy(body);
        uint8_t *bytes = (uint8_t *)(uintptr_t)copy.ptr;
        for (size_t at = 0; at < body.len; at++) {
            for (unsigned value = 0; value < 256; value++) {
                enum nj_mqtt_reason reason;
                bytes[at] = (uint8_t)value;
                struct wire_any changed = any;
                (void)wire_decode(&changed, copy, &reason);
            }
            bytes[at] = body.ptr[at];
        }
        wire_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_valid_packet),
        cmocka_unit_test(encodes_what_it_read_to_the_same_bytes),
        cmocka_unit_test(b009_b011_refuses_every_packet_cut_at_every_byte),
        cmocka_unit_test(b011_waits_for_the_rest_of_every_packet),
        cmocka_unit_test(b010_refuses_a_byte_too_many),
        cmocka_unit_test(b015_to_b022_refuses_bad_utf8_in_every_text),
        cmocka_unit_test(b021_b024_b025_keeps_unusual_texts_as_they_are),
        cmocka_unit_test(b069_takes_any_bytes_where_binary_data_stands),
        cmocka_unit_test(b014_refuses_a_text_longer_than_the_packet),
        cmocka_unit_test(survives_every_changed_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
