/* What refusals say in words, and to whom. */
#include "broker/explain.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/shard.h"
#include "support/test.h"

static struct nj_limits limits = {.sends_reason_strings = true};
static struct nj_shard shard = {.limits = &limits};

static struct nj_link a_link(void)
{
    return (struct nj_link){.shard = &shard, .version = NJ_MQTT_5, .wants_problem_info = true};
}

static void assert_says(struct nj_bytes text, const char *wanted)
{
    assert_int_equal(text.len, strlen(wanted));
    assert_memory_equal(text.ptr, wanted, text.len);
}

static void says_what_the_code_says_and_the_limit(void **state)
{
    struct nj_link link = a_link();
    char buf[NJ_EXPLAIN_MAX];
    (void)state;
    assert_says(nj_explain(&link, NJ_RC_NOT_AUTHORIZED, 0, buf), "not authorized");
    assert_says(nj_explain(&link, NJ_RC_PACKET_TOO_LARGE, 2000000, buf),
                "packet too large: limit 2000000 bytes");
    assert_says(nj_explain(&link, NJ_RC_TOPIC_ALIAS_INVALID, 10, buf),
                "topic alias too high: limit 10");
}

static void fits_every_text_with_the_largest_limit(void **state)
{
    struct nj_link link = a_link();
    char buf[NJ_EXPLAIN_MAX];
    uint8_t codes[1000] = {0};
    (void)state;
    for (unsigned reason = 0; reason < 256; reason++) {
        struct nj_bytes text = nj_explain(&link, (enum nj_mqtt_reason)reason, UINT32_MAX, buf);
        assert_true(text.len < NJ_EXPLAIN_MAX);
        assert_true(reason >= NJ_RC_UNSPECIFIED || text.len == 0);
        codes[999] = (uint8_t)reason;
        text = nj_explain_codes(&link, nj_bytes(codes, sizeof(codes)), buf);
        assert_true(text.len < NJ_EXPLAIN_MAX);
    }
}

static void tells_the_same_to_a_wrong_password_and_a_missing_right(void **state)
{
    struct nj_link link = a_link();
    char buf[NJ_EXPLAIN_MAX];
    (void)state;
    assert_says(nj_explain(&link, NJ_RC_BAD_USERNAME_OR_PASSWORD, 0, buf), "not authorized");
    assert_says(nj_explain(&link, NJ_RC_BANNED, 0, buf), "not authorized");
}

static void names_the_first_filter_that_is_refused(void **state)
{
    struct nj_link link = a_link();
    char buf[NJ_EXPLAIN_MAX];
    const uint8_t granted[] = {0, 1, 2};
    const uint8_t mixed[] = {0, 0x97, 0x87};
    (void)state;
    assert_int_equal(nj_explain_codes(&link, nj_bytes(granted, 3), buf).len, 0);
    assert_says(nj_explain_codes(&link, nj_bytes(mixed, 3), buf),
                "filter 2: a limit of the server was reached");
    assert_says(nj_explain_codes(&link, nj_bytes(mixed + 2, 1), buf), "not authorized");
    assert_int_equal(nj_explain_codes(&link, nj_bytes(NULL, 0), buf).len, 0);
}

static void B_087_says_nothing_to_whom_that_is_not_wanted_or_not_known(void **state)
{
    struct nj_link link = a_link();
    char buf[NJ_EXPLAIN_MAX];
    const uint8_t code = NJ_RC_NOT_AUTHORIZED;
    (void)state;
    link.wants_problem_info = false;
    assert_int_equal(nj_explain(&link, NJ_RC_NOT_AUTHORIZED, 0, buf).len, 0);
    assert_int_equal(nj_explain_codes(&link, nj_bytes(&code, 1), buf).len, 0);
    link = a_link();
    link.version = NJ_MQTT_311;
    assert_int_equal(nj_explain(&link, NJ_RC_NOT_AUTHORIZED, 0, buf).len, 0);
    link = a_link();
    limits.sends_reason_strings = false;
    assert_int_equal(nj_explain(&link, NJ_RC_NOT_AUTHORIZED, 0, buf).len, 0);
    limits.sends_reason_strings = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_code_says_and_the_limit),
        cmocka_unit_test(fits_every_text_with_the_largest_limit),
        cmocka_unit_test(tells_the_same_to_a_wrong_password_and_a_missing_right),
        cmocka_unit_test(names_the_first_filter_that_is_refused),
        cmocka_unit_test(B_087_says_nothing_to_whom_that_is_not_wanted_or_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
