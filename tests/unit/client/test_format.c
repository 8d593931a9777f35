/* -F, JSON, and the view for a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"
#include "json.h"
#include "pretty.h"
#include "support/test.h"

static const struct nj_client_prop PROPS[] = {
    {.id = NJ_CLIENT_SUBSCRIPTION_ID, .number = 77},
    {.id = NJ_CLIENT_CONTENT_TYPE, .text = {(const uint8_t *)"text/plain", 10}},
    {.id = NJ_CLIENT_CORRELATION_DATA, .text = {(const uint8_t *)"co\0r", 4}},
    {.id = NJ_CLIENT_USER_PROPERTY,
     .name = {(const uint8_t *)"k1", 2},
     .text = {(const uint8_t *)"v1", 2}},
    {.id = NJ_CLIENT_MESSAGE_EXPIRY, .number = 5000},
    {.id = NJ_CLIENT_USER_PROPERTY,
     .name = {(const uint8_t *)"k2", 2},
     .text = {(const uint8_t *)"v2", 2}},
    {.id = NJ_CLIENT_PAYLOAD_FORMAT, .number = 1},
    {.id = NJ_CLIENT_RESPONSE_TOPIC, .text = {(const uint8_t *)"resp/t", 6}},
};

static struct nj_client_message rich(void)
{
    return (struct nj_client_message){
        .topic = NJ_BYTES_LIT("fmt/test"),
        .payload = NJ_BYTES_LIT("hello w"),
        .packet_id = 9,
        .qos = 1,
        .retain = true,
        .props = PROPS,
        .props_count = sizeof(PROPS) / sizeof(PROPS[0]),
    };
}

static struct nj_client_message plain(const char *payload)
{
    return (struct nj_client_message){.topic = NJ_BYTES_LIT("t"), .payload = nj_bytes_of(payload)};
}

/* 2020-05-06 22:12:00.000123456 UTC */
#define NOW_NS (1588803120LL * 1000000000 + 123456)

static void expect(const struct nj_client_message *message, bool is_compat, const char *format,
                   struct nj_bytes wanted)
{
    struct nj_buf out;
    nj_buf_init(&out);
    const struct nj_format_options options = {
        .now_ns = NOW_NS, .is_compat = is_compat, .is_pretty = false, .err = NULL};
    assert_true(nj_format_check(format, stderr));
    assert_int_equal(nj_format_message(&out, format, message, &options), NJ_OK);
    if (!nj_bytes_equal(nj_buf_bytes(&out), wanted)) {
        fail_msg("'%s' gave '%.*s', not '%.*s'", format, (int)out.len, (char *)out.data,
                 (int)wanted.len, (const char *)wanted.ptr);
    }
    nj_buf_fini(&out);
}

static void expect_text(const struct nj_client_message *message, const char *format,
                        const char *wanted)
{
    expect(message, true, format, nj_bytes_of(wanted));
}

static void prints_every_conversion(void **state)
{
    (void)state;
    struct nj_client_message m = rich();
    expect_text(&m, "%t|%p|%q|%r|%m|%l|%x|%X|%%",
                "fmt/test|hello w|1|1|9|7|68656c6c6f2077|"
                "68656C6C6F2077|%");
    expect_text(&m, "%A|%C|%E|%F|%P|%R|%S", "|text/plain|5000|1|k1:v1 k2:v2|resp/t|77");
    expect(&m, true, "%D", nj_bytes("co\0r", 4));
    expect(&m, true, "\\\\\\0\\a\\e\\n\\r\\t\\v", nj_bytes("\\\0\a\033\n\r\t\v", 8));
    expect_text(&m, "%I", "2020-05-06T22:12:00+0000");
    expect_text(&m, "%U", "1588803120.000123456");
    expect_text(&m, "@Y-@m @N @@ @s", "2020-05 000123456 @ 1588803120");
}

static void pads_and_cuts_fields(void **state)
{
    (void)state;
    struct nj_client_message m = rich();
    expect_text(&m, "%10t|%-10t|%.3t|%10.3t|%-5.3t|%05t",
                "  fmt/test|fmt/test  |fmt|       fmt|"
                "fmt  |fmt/test");
    expect_text(&m, "%5l|%-5l|%05l|%-05l|%5q|%5r", "    7|7    |00007|7    |1|1");
    expect_text(&m, "%5A|%05A|%010p|%10P", "     |00000|000hello w|k1:v1 k2:v2");
    expect_text(&m, "%2p", "he");
    expect(&m, false, "%2p", NJ_BYTES_LIT("hello w"));
    expect_text(&m, "%.0t|%.t", "|");
    struct nj_client_message p = plain("x");
    expect_text(&p, "%10R|%10C|", "|          |");
}

static void splits_hex_into_groups(void **state)
{
    (void)state;
    struct nj_client_message m = {.topic = NJ_BYTES_LIT("t"), .payload = NJ_BYTES_LIT("\x18\x83")};
    expect_text(&m, "%.2x|%.2:x|%.1-X|%.3/x|%8.2x|%-8.2x|",
                "18 83|18:83|1-8-8-3|188/3|   18 83|"
                "18 83   |");
    expect_text(&m, "%8x|%08x", "    1883|00001883");
}

static void prints_floats(void **state)
{
    (void)state;
    float f = 1.5F;
    double d = -2.25;
    struct nj_client_message m = {.topic = NJ_BYTES_LIT("t"), .payload = nj_bytes(&f, sizeof(f))};
    expect_text(&m, "%f|%.1f|%8.2f", "1.500000|1.5|    1.50");
    expect_text(&m, "%d", "");
    m.payload = nj_bytes(&d, sizeof(d));
    expect_text(&m, "%d|%.2d|%-8.1d|", "-2.250000|-2.25|-2.2    |");
}

static void refuses_incomplete_and_unknown_formats(void **state)
{
    (void)state;
    static const char *const BAD[] = {"%",  "%-",  "%10", "%.", "%5.", "@",   "\\",
                                      "%z", "\\q", "a%Q", "x@", "%.5", "%t%", "%.5.5t"};
    FILE *out = fopen("/dev/null", "w");
    assert_non_null(out);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        if (nj_format_check(BAD[i], out)) {
            fail_msg("'%s' passed", BAD[i]);
        }
    }
    fclose(out);
    struct nj_client_message m = plain("x");
    struct nj_buf huge;
    nj_buf_init(&huge);
    const struct nj_format_options options = {.now_ns = NOW_NS};
    assert_true(nj_format_check("%99999999999999999999t", stderr));
    assert_int_equal(nj_format_message(&huge, "%99999999999999999999t", &m, &options), NJ_OK);
    assert_true(huge.len == 1000000);
    nj_buf_fini(&huge);
}

static void makes_json_of_a_message(void **state)
{
    (void)state;
    struct nj_client_message m = rich();
    expect_text(
        &m, "%j",
        "{\"tst\":\"2020-05-06T22:12:00.000123Z+0000\",\"topic\":\"fmt/test\",\"qos\":1,"
        "\"retain\":1,\"payloadlen\":7,\"mid\":9,\"properties\":{\"subscription-identifier"
        "\":77,\"content-type\":\"text/plain\",\"correlation-data\":\"co\\u0000r\","
        "\"user-properties\":{\"k1\":\"v1\",\"k2\":\"v2\"},\"message-expiry-interval\":5000,"
        "\"payload-format-indicator\":1,\"response-topic\":\"resp/t\"},"
        "\"payload\":\"hello w\"}");
    m = plain("{\"a\":[1.50,2]}");
    expect(&m, false, "%J",
           NJ_BYTES_LIT("{\"tst\":\"2020-05-06T22:12:00.000123+0000\",\"topic\":\"t\",\"qos\":0,"
                        "\"retain\":0,\"payloadlen\":14,\"payload\":{\"a\":[1.50,2]}}"));
    m = plain("");
    expect(&m, false, "%J",
           NJ_BYTES_LIT("{\"tst\":\"2020-05-06T22:12:00.000123+0000\",\"topic\":\"t\",\"qos\":0,"
                        "\"retain\":0,\"payloadlen\":0,\"payload\":null}"));
    m = plain("no json");
    expect_text(&m, "<%J>", "<>");
}

static void expect_json(const char *text, const struct nj_json_style *style, const char *wanted)
{
    struct nj_buf out;
    nj_buf_init(&out);
    enum nj_err err = nj_json_print(&out, nj_bytes_of(text), style);
    if (wanted == NULL) {
        if (err != NJ_EMALFORMED || out.len != 0) {
            fail_msg("'%s' passed as '%.*s'", text, (int)out.len, (char *)out.data);
        }
    } else if (err != NJ_OK || !nj_bytes_equal(nj_buf_bytes(&out), nj_bytes_of(wanted))) {
        fail_msg("'%s' gave %d '%.*s'", text, err, (int)out.len, (char *)out.data);
    }
    nj_buf_fini(&out);
}

static void checks_json_and_lays_it_out(void **state)
{
    (void)state;
    static const struct nj_json_style COMPACT = {.layout = NJ_JSON_COMPACT};
    static const struct nj_json_style EXACT = {.has_exact_numbers = true};
    static const struct nj_json_style TABS = {.layout = NJ_JSON_TABS};
    static const struct nj_json_style SPACES = {.layout = NJ_JSON_SPACES,
                                                .has_exact_numbers = true};
    static const char *const BAD[] = {
        "",      "nul",       "[1,]", "{\"a\"}", "{\"a\":}",   "[1 2]",       "\"",  "\"\\x\"",
        "{a:1}", "1 2",       "]",    "[}",      "{\"a\":1,}", "\"\\ud800\"", "--1", "1.",
        "1e",    "\"\\u12\"", "[",    "{",       "{\"a\":1",   ",",           " "};
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        expect_json(BAD[i], &COMPACT, NULL);
    }
    expect_json(" [1.50, 0.1 ,1e-7,1e400,-0,12345678901234567890,1e3] ", &COMPACT,
                "[1.5,0.1,1e-07,null,-0,1.2345678901234567e+19,1000]");
    expect_json("[1.50,12345678901234567890,1E3]", &EXACT, "[1.50,12345678901234567890,1E3]");
    expect_json("{\"u\":\"\\u00e9\\ud83d\\ude00\\/\\u0000\\n\"}", &COMPACT,
                "{\"u\":\"é😀/\\u0000\\n\"}");
    expect_json("{\"a\":{},\"b\":[]}", &TABS, "{\n\t\"a\":\t{\n\t},\n\t\"b\":\t[]\n}");
    expect_json("[1,{\"b\":2}]", &TABS, "[1, {\n\t\t\"b\":\t2\n\t}]");
    expect_json("{\"a\":[1,{}],\"b\":[]}", &SPACES,
                "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
}

static void survives_deep_json(void **state)
{
    (void)state;
    static const struct nj_json_style COMPACT = {.layout = NJ_JSON_COMPACT};
    char text[2 * NJ_JSON_DEPTH_MAX + 3];
    memset(text, '[', NJ_JSON_DEPTH_MAX - 1);
    memset(text + NJ_JSON_DEPTH_MAX - 1, ']', NJ_JSON_DEPTH_MAX - 1);
    text[2 * NJ_JSON_DEPTH_MAX - 2] = '\0';
    expect_json(text, &COMPACT, text);
    memset(text, '[', NJ_JSON_DEPTH_MAX + 1);
    text[NJ_JSON_DEPTH_MAX + 1] = '\0';
    expect_json(text, &COMPACT, NULL);
}

/* 600 brackets and 30,000 numbers: indenting each number by 600 levels would make 36 MB of 60 KB.
 */
static void does_not_indent_without_end(void **state)
{
    (void)state;
    enum {
        DEPTH = 600,
        NUMBERS = 30000
    };
    static const struct nj_json_style SPACES = {.layout = NJ_JSON_SPACES};
    struct nj_buf text;
    struct nj_buf out;
    nj_buf_init(&text);
    nj_buf_init(&out);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(nj_buf_append(&text, "[", 1), NJ_OK);
    }
    for (int i = 0; i < NUMBERS; i++) {
        assert_int_equal(nj_buf_append(&text, i ? ",1" : "1", i ? 2 : 1), NJ_OK);
    }
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(nj_buf_append(&text, "]", 1), NJ_OK);
    }
    assert_int_equal(nj_json_print(&out, nj_buf_bytes(&text), &SPACES), NJ_OK);
    assert_in_range(out.len, text.len, (NUMBERS + 2 * DEPTH) * 131);
    nj_buf_fini(&text);
    nj_buf_fini(&out);
}

static void expect_pretty(const struct nj_client_message *message, bool has_colour,
                          const char *wanted)
{
    struct nj_buf out;
    nj_buf_init(&out);
    assert_int_equal(nj_pretty_message(&out, message, NOW_NS, has_colour), NJ_OK);
    if (!nj_bytes_equal(nj_buf_bytes(&out), nj_bytes_of(wanted))) {
        fail_msg("got '%.*s'", (int)out.len, (char *)out.data);
    }
    nj_buf_fini(&out);
}

static void shows_messages_to_people(void **state)
{
    (void)state;
    struct nj_client_message m = plain("hi");
    expect_pretty(&m, false, "22:12:00 t (qos 0)  hi\n");
    m.retain = true;
    m.qos = 2;
    m.payload = NJ_BYTES_LIT("");
    expect_pretty(&m, false, "22:12:00 t (qos 2, retained)  empty\n");
    m = plain("{\"a\":1.0}");
    expect_pretty(&m, false, "22:12:00 t (qos 0)\n  {\n    \"a\": 1.0\n  }\n");
    m = plain("{not json}");
    expect_pretty(&m, false, "22:12:00 t (qos 0)\n  {not json}\n");
    m = plain("one\r\ntwo\n");
    expect_pretty(&m, false, "22:12:00 t (qos 0)\n  one\n  two\n");
}

static void lets_no_message_steer_the_terminal(void **state)
{
    (void)state;
    struct nj_client_message m = plain("\033[2Jboo");
    expect_pretty(&m, false, "22:12:00 t (qos 0)  binary, 7 bytes\n  1b 5b 32 4a 62 6f 6f\n");
    m = plain("x");
    m.topic = NJ_BYTES_LIT("a\033]0;t\a\xC2\x9Bz");
    expect_pretty(&m, false, "22:12:00 a\\x1b]0;t\\x07\\x9bz (qos 0)  x\n");
    m = plain("{\"a\":\"\\u001b[2J\\u009b\"}");
    expect_pretty(&m, false, "22:12:00 t (qos 0)\n  {\n    \"a\": \"\\u001b[2J\\u009b\"\n  }\n");
    m = plain("\xff\xfe");
    expect_pretty(&m, false, "22:12:00 t (qos 0)  binary, 2 bytes\n  ff fe\n");
}

static int in_utc(void **state)
{
    (void)state;
    return setenv("TZ", "UTC", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_every_conversion),
        cmocka_unit_test(pads_and_cuts_fields),
        cmocka_unit_test(splits_hex_into_groups),
        cmocka_unit_test(prints_floats),
        cmocka_unit_test(refuses_incomplete_and_unknown_formats),
        cmocka_unit_test(makes_json_of_a_message),
        cmocka_unit_test(checks_json_and_lays_it_out),
        cmocka_unit_test(survives_deep_json),
        cmocka_unit_test(does_not_indent_without_end),
        cmocka_unit_test(shows_messages_to_people),
        cmocka_unit_test(lets_no_message_steer_the_terminal),
    };
    return cmocka_run_group_tests(tests, in_utc, NULL);
}
