/* Ranges of addresses. */
#include <arpa/inet.h>
#include <string.h>

#include "base/cidr.h"
#include "support/test.h"

static bool has(const char *range, const char *address)
{
    struct nj_cidr cidr;
    uint8_t ip[16] = {0};
    int family = strchr(address, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(nj_cidr_parse(range, &cidr), NJ_OK);
    assert_int_equal(inet_pton(family, address, ip), 1);
    return nj_cidr_has(&cidr, (uint16_t)family, ip);
}

static void ranges_hold_what_they_say(void **state)
{
    (void)state;
    assert_true(has("192.0.2.7", "192.0.2.7"));
    assert_false(has("192.0.2.7", "192.0.2.6"));
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.0"));
    assert_true(has("192.0.2.128/25", "192.0.2.200"));
    assert_false(has("192.0.2.128/25", "192.0.2.127"));
    assert_true(has("192.0.2.4/31", "192.0.2.5"));
    assert_false(has("192.0.2.4/31", "192.0.2.6"));
    assert_true(has("0.0.0.0/0", "203.0.113.9"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_true(has("::/0", "2001:db8::1"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_false(has("::1", "0.0.0.1"));
}

static void what_is_no_range_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "/8",           "10.0.0.1/8",  "10.0.0.0/33", "10/8",
        "10.0.0.0/", "10.0.0.0/08",  "10.0.0.0/-1", "::/129",      "localhost",
        "1.2.3.4/x", "1.2.3.4 ",     "01.2.3.4",    "::1%lo",      "2001:db8::1/32",
        "*",         "10.0.0.0/1234"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct nj_cidr cidr;
        if (nj_cidr_parse(bad[i], &cidr) != NJ_EINVAL) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void text_can_be_read_again(void **state)
{
    (void)state;
    static const char *const ranges[] = {"10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::/0"};
    for (size_t i = 0; i < 4; i++) {
        struct nj_cidr cidr;
        char text[NJ_CIDR_TEXT_MAX];
        assert_int_equal(nj_cidr_parse(ranges[i], &cidr), NJ_OK);
        assert_string_equal(nj_cidr_text(&cidr, text), ranges[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_hold_what_they_say),
        cmocka_unit_test(what_is_no_range_is_refused),
        cmocka_unit_test(text_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
