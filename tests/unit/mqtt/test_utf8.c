/* UTF-8 as MQTT wants it. */
#include <stdlib.h>

#include "mqtt/utf8.h"
#include "support/test.h"
#include "unit/mqtt/naive.h"
#include "unit/mqtt/wire.h"

static void expect_valid(struct nj_bytes text, bool is_valid, const char *why)
{
    struct nj_bytes copy = wire_copy(text);
    if (nj_mqtt_utf8_is_valid(copy) != is_valid) {
        fail_msg("%s", why);
    }
    assert_int_equal(naive_utf8_is_valid(text), is_valid);
    wire_free(copy);
}

/* At every place around the eight bytes that are looked at together. */
static void expect_valid_anywhere(const char *bytes, bool is_valid, const char *why)
{
    for (size_t before = 0; before < 20; before++) {
        for (size_t after = 0; after < 20; after++) {
            char text[64];
            memset(text, 'x', sizeof(text));
            memcpy(text + before, bytes, WIRE_TEXT_LEN);
            expect_valid(nj_bytes(text, before + WIRE_TEXT_LEN + after), is_valid, why);
        }
    }
}

static void accepts_the_empty_text(void **state)
{
    (void)state;
    assert_true(nj_mqtt_utf8_is_valid(nj_bytes(NULL, 0)));
}

static void b015_to_b022_refuses_bad_characters_at_every_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_bad_text_count; i++) {
        /* What is cut at the end is bad before an x, too. */
        expect_valid_anywhere(wire_bad_texts[i].bytes, false, wire_bad_texts[i].why);
    }
}

static void b021_b024_b025_accepts_unusual_characters_at_every_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < wire_good_text_count; i++) {
        expect_valid_anywhere(wire_good_texts[i].bytes, true, wire_good_texts[i].why);
    }
}

static void put_code(uint32_t code, uint8_t *at, size_t *len)
{
    if (code < 0x80) {
        at[0] = (uint8_t)code;
        *len = 1;
    } else if (code < 0x800) {
        at[0] = (uint8_t)(0xc0 | code >> 6);
        at[1] = (uint8_t)(0x80 | (code & 63));
        *len = 2;
    } else if (code < 0x10000) {
        at[0] = (uint8_t)(0xe0 | code >> 12);
        at[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        at[2] = (uint8_t)(0x80 | (code & 63));
        *len = 3;
    } else {
        at[0] = (uint8_t)(0xf0 | code >> 18);
        at[1] = (uint8_t)(0x80 | (code >> 12 & 63));
        at[2] = (uint8_t)(0x80 | (code >> 6 & 63));
        at[3] = (uint8_t)(0x80 | (code & 63));
        *len = 4;
    }
}

static void b026_decides_every_code_point_right(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 0x120000; code++) {
        uint8_t bytes[4];
        size_t len;
        put_code(code, bytes, &len);
        bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
        bool is_noncharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) == 0xfffe;
        bool is_valid = code != 0 && code <= 0x10ffff && !is_surrogate && !is_noncharacter;
        if (nj_mqtt_utf8_is_valid(nj_bytes(bytes, len)) != is_valid) {
            fail_msg("U+%04X", (unsigned)code);
        }
    }
}

static void b026_decides_every_two_and_three_bytes_right(void **state)
{
    (void)state;
    for (unsigned value = 0; value < 0x10000; value++) {
        uint8_t bytes[3] = {(uint8_t)(value >> 8), (uint8_t)value, 'x'};
        for (size_t len = 2; len <= 3; len++) {
            if (nj_mqtt_utf8_is_valid(nj_bytes(bytes, len)) !=
                naive_utf8_is_valid(nj_bytes(bytes, len))) {
                fail_msg("%04x, %zu bytes", value, len);
            }
        }
    }
}

/* The kinds of stress that lists for UTF-8 decoders go through. */
static void b026_decides_stress_cases_right(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        bool is_valid;
        const char *why;
    } cases[] = {
        {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", true, "Greek"},
        {"\xf8\x88\x80\x80\x80", false, "first of five bytes"},
        {"\xfc\x84\x80\x80\x80\x80", false, "first of six bytes"},
        {"\xf7\xbf\xbf\xbf", false, "last of four bytes"},
        {"\xfe", false, "FE"},
        {"\xfe\xfe\xff\xff", false, "FE and FF"},
        {"\x80\xbf\x80\xbf", false, "continuations alone"},
        {"\xc0 \xc1 \xc2 ", false, "first bytes of two, each before a space"},
        {"\xe0 \xef ", false, "first bytes of three"},
        {"\xf0 \xf4 ", false, "first bytes of four"},
        {"\xe0\x80", false, "three bytes without the last"},
        {"\xf0\x80\x80", false, "four bytes without the last"},
        {"\xdf", false, "two bytes without the last"},
        {"\xc1\xbf", false, "longest overlong of two"},
        {"\xe0\x9f\xbf", false, "longest overlong of three"},
        {"\xf0\x8f\xbf\xbf", false, "longest overlong of four"},
        {"\xed\xae\x80\xed\xb0\x80", false, "a pair of surrogates"},
        {"\xc2\x80", true, "first of two bytes"},
        {"\xe0\xa0\x80", true, "first of three bytes"},
        {"\xf0\x90\x80\x80", true, "first of four bytes"},
        {"\xdf\xbf", true, "last of two bytes"},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        expect_valid(nj_bytes_of(cases[i].bytes), cases[i].is_valid, cases[i].why);
    }
}

static void finds_control_characters(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has_control;
    } cases[] = {
        {"", false},
        {"plain text/+#", false},
        {"\x01", true},
        {"a\x1f", true},
        {"a\x7f", true},
        {"\xc2\x80", true},
        {"a\xc2\x9f", true},
        {"\xc2\xa0", false},
        {"\xc3\x80", false},
        {"a b", false},
        {"tab\there", true},
        {"\n", true},
        {"\xe2\x80\xae", false},
    };
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        assert_int_equal(nj_mqtt_utf8_has_control(nj_bytes_of(cases[i].text)),
                         cases[i].has_control);
    }
}

static void b114_a_payload_may_hold_what_a_string_may_not(void **state)
{
    static const struct {
        struct nj_bytes data;
        bool is_well_formed;
    } cases[] = {
        {NJ_BYTES_LIT(""), true},
        {NJ_BYTES_LIT("plain text, eight and more"), true},
        {NJ_BYTES_LIT("\0 in front, in the\0middle, at the end\0"), true},
        {NJ_BYTES_LIT("\xef\xbf\xbf and \xef\xb7\x90"), true}, /* U+FFFF, U+FDD0 */
        {NJ_BYTES_LIT("a surrogate \xed\xa0\x80"), false},
        {NJ_BYTES_LIT("an overlong \xc0\x80 NUL"), false},
        {NJ_BYTES_LIT("above U+10FFFF \xf4\x90\x80\x80"), false},
        {NJ_BYTES_LIT("eight and more, then \xff"), false},
        {NJ_BYTES_LIT("cut \xe2\x82"), false},
    };
    (void)state;
    for (size_t i = 0; i < WIRE_COUNT(cases); i++) {
        struct nj_bytes copy = wire_copy(cases[i].data);
        assert_int_equal(nj_mqtt_utf8_is_well_formed(copy), cases[i].is_well_formed);
        wire_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(b114_a_payload_may_hold_what_a_string_may_not),
        cmocka_unit_test(accepts_the_empty_text),
        cmocka_unit_test(b015_to_b022_refuses_bad_characters_at_every_place),
        cmocka_unit_test(b021_b024_b025_accepts_unusual_characters_at_every_place),
        cmocka_unit_test(b026_decides_every_code_point_right),
        cmocka_unit_test(b026_decides_every_two_and_three_bytes_right),
        cmocka_unit_test(b026_decides_stress_cases_right),
        cmocka_unit_test(finds_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
