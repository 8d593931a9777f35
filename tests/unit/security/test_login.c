/* The identity chain, row by row (L-050 to L-052), what a reload ends, and remembered
 * credentials. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "security/login.h"
#include "security/password_file.h"
#include "security/policy.h"
#include "support/test.h"

#define H                                                                                          \
    "$6$AAECAwQFBgcICQoL$JqsxEv/ucyxjA5DKsQ+Y8CDWaQDNQI9FpAkmfwAqWfwZLk/"                          \
    "JEGgM0EpylrJHAZKKyFQjJeZ3nFaHjPzOzPPmPw=="
#define H2                                                                                         \
    "$7$101$AAECAwQFBgcICQoL$Xr99N9ym9ys8TWxis5ajETJq6EVYzmc6nb8t3pUYnPBbCAbICS4xejTltonXWCtJNBvA" \
    "+By+TXUqU6qCblO00w=="

enum outcome {
    ANONYMOUS,
    AS_GIVEN,
    REFUSED,
    VERIFIES, /* against the user's hash */
    TICKET,   /* an empty one, which is refused */
};

enum source {
    NO_SOURCE,
    PASSWORD_FILE
};

struct setting {
    enum source source;
    bool allow_anonymous;
    bool unverified_user_counts;
};

static struct nj_policy *policy_with(const struct setting *setting, const char *text)
{
    struct nj_scope scope = {
        .allow_anonymous = setting->allow_anonymous,
        .unverified_user_counts = setting->unverified_user_counts,
    };
    if (setting->source == PASSWORD_FILE) {
        char error[256] = "";
        if (nj_passwords_parse(nj_bytes_of(text), "pw", &scope.passwords, error, sizeof(error)) !=
            NJ_OK) {
            fail_msg("%s", error);
        }
    }
    return nj_policy_new(1, &scope, 1);
}

static enum outcome decide(const struct nj_policy *policy, const char *user, const char *password)
{
    struct nj_login_request request = {
        .user = nj_bytes_of(user),
        .password = nj_bytes_of(password),
        .client_id = NJ_BYTES_LIT("c"),
    };
    struct nj_login_decision decision;
    nj_login_decide(policy, &request, &decision);
    if (decision.result == NJ_LOGIN_REFUSED) {
        assert_non_null(decision.why);
        return REFUSED;
    }
    if (decision.result == NJ_LOGIN_VERIFY) {
        assert_true(nj_bytes_equal(decision.user, request.user));
        assert_int_equal(decision.hash.len > 0, decision.credential != 0);
        return decision.hash.len ? VERIFIES : TICKET;
    }
    assert_true(!decision.user.ptr || nj_bytes_equal(decision.user, request.user));
    return decision.user.ptr ? AS_GIVEN : ANONYMOUS;
}

struct row {
    const char *user; /* NULL = not given */
    const char *password;
    enum outcome wanted;
};

static void expect(const struct setting *setting, const struct row *rows, size_t count)
{
    struct nj_policy *policy = policy_with(setting, "bob:" H "\n");
    for (size_t i = 0; i < count; i++) {
        enum outcome outcome = decide(policy, rows[i].user, rows[i].password);
        if (outcome != rows[i].wanted) {
            fail_msg("row %zu: %d instead of %d", i, outcome, rows[i].wanted);
        }
    }
    nj_policy_unref(policy);
}

#define EXPECT(setting, ...)                                                                       \
    do {                                                                                           \
        const struct row rows[] = {__VA_ARGS__};                                                   \
        expect(setting, rows, sizeof(rows) / sizeof(rows[0]));                                     \
    } while (0)
/* source, allow_anonymous, unverified_user_counts */
static const struct setting file = {PASSWORD_FILE, false, false};
static const struct setting file_anonymous = {PASSWORD_FILE, true, false};
static const struct setting file_compat = {PASSWORD_FILE, true, true};
static const struct setting open_native = {NO_SOURCE, true, false};
static const struct setting open_compat = {NO_SOURCE, true, true};
static const struct setting closed = {NO_SOURCE, false, false};
static const struct setting closed_compat = {NO_SOURCE, false, true};

static void l050_a_user_name_without_a_password_is_refused(void **state)
{
    (void)state;
    EXPECT(&file, {"bob", NULL, REFUSED}, {"eve", NULL, REFUSED}, {"", NULL, REFUSED});
    EXPECT(&file_compat, {"bob", NULL, REFUSED}, {"eve", NULL, REFUSED}, {"", NULL, REFUSED});
}

static void l051_empty_texts_are_texts(void **state)
{
    (void)state;
    EXPECT(&file, {NULL, NULL, REFUSED}, {NULL, "", REFUSED}, {"", NULL, REFUSED}, {"", "", TICKET},
           {"bob", "", VERIFIES}, {NULL, "x", REFUSED});
    EXPECT(&file_anonymous, {NULL, NULL, ANONYMOUS}, {NULL, "", REFUSED}, {"", NULL, REFUSED},
           {"", "", TICKET}, {"bob", "", VERIFIES}, {NULL, "x", REFUSED});
}

static void l052_wrong_credentials_are_never_anonymous(void **state)
{
    (void)state;
    EXPECT(&file_anonymous, {"bob", "wrong", VERIFIES}, {"eve", "x", TICKET},
           {"Bob", "secret", TICKET}, {"bob ", "secret", TICKET});
    EXPECT(&file_compat, {"eve", "x", TICKET}, {"bob", "x", VERIFIES});
}

static void h29_a_name_that_nothing_can_verify(void **state)
{
    (void)state;
    EXPECT(&open_native, {"bob", "x", ANONYMOUS}, {"bob", NULL, ANONYMOUS}, {"", "", ANONYMOUS},
           {NULL, NULL, ANONYMOUS}, {NULL, "x", ANONYMOUS});
    EXPECT(&open_compat, {"bob", "x", AS_GIVEN}, {"bob", NULL, AS_GIVEN}, {NULL, NULL, ANONYMOUS},
           {NULL, "x", ANONYMOUS});
}

static void h29_without_a_source_and_anonymous_access_nobody_gets_in(void **state)
{
    (void)state;
    EXPECT(&closed, {"bob", "x", REFUSED}, {NULL, NULL, REFUSED}, {"", "", REFUSED},
           {NULL, "x", REFUSED});
    EXPECT(&closed_compat, {"bob", "x", REFUSED}, {NULL, NULL, REFUSED});
}

static void a1_13_a_certificate_is_the_identity(void **state)
{
    (void)state;
    struct nj_policy *policy = policy_with(&file, "bob:" H "\n");
    struct nj_login_request request = {
        .user = NJ_BYTES_LIT("bob"),
        .password = NJ_BYTES_LIT("x"),
        .certificate = NJ_BYTES_LIT("device-1"),
    };
    struct nj_login_decision decision;
    nj_login_decide(policy, &request, &decision);
    assert_int_equal(decision.result, NJ_LOGIN_ACCEPTED);
    assert_true(nj_bytes_equal(decision.user, NJ_BYTES_LIT("device-1")));
    assert_true(decision.by_certificate);
    const struct nj_login_held held = {.user = decision.user, .credential = decision.credential};
    assert_true(nj_login_still_holds(policy, 0, &held));
    request.certificate = NJ_BYTES_LIT("");
    nj_login_decide(policy, &request, &decision);
    assert_int_equal(decision.result, NJ_LOGIN_REFUSED);
    nj_policy_unref(policy);
}

/* ---- after a reload */

static bool holds(const struct setting *setting, const char *text, const char *user,
                  uint64_t credential)
{
    struct nj_policy *policy = policy_with(setting, text);
    const struct nj_login_held held = {.user = nj_bytes_of(user), .credential = credential};
    bool result = nj_login_still_holds(policy, 0, &held);
    nj_policy_unref(policy);
    return result;
}

static uint64_t credential_of(const struct setting *setting, const char *text, const char *user)
{
    struct nj_policy *policy = policy_with(setting, text);
    struct nj_login_request request = {.user = nj_bytes_of(user), .password = NJ_BYTES_LIT("x")};
    struct nj_login_decision decision;
    nj_login_decide(policy, &request, &decision);
    nj_policy_unref(policy);
    return decision.credential;
}

static void a_session_ends_with_its_user_or_its_hash(void **state)
{
    (void)state;
    uint64_t credential = credential_of(&file, "bob:" H "\n", "bob");
    assert_true(holds(&file, "bob:" H "\n", "bob", credential));
    assert_true(holds(&file, "eve:" H2 "\nbob:" H "\n", "bob", credential));
    assert_false(holds(&file, "bob:" H2 "\n", "bob", credential));
    assert_false(holds(&file, "eve:" H "\n", "bob", credential));
    assert_false(holds(&open_compat, "", "bob", credential));
}

static void an_anonymous_session_ends_with_anonymous_access(void **state)
{
    (void)state;
    assert_true(holds(&open_native, "", NULL, 0));
    assert_false(holds(&closed, "", NULL, 0));
    assert_true(holds(&file_anonymous, "", NULL, 0));
}

static void an_unverified_name_ends_when_something_can_verify_it(void **state)
{
    (void)state;
    uint64_t credential = credential_of(&open_compat, "", "bob");
    assert_int_equal(credential, NJ_CREDENTIAL_UNVERIFIED);
    assert_true(holds(&open_compat, "", "bob", credential));
    assert_false(holds(&file_compat, "bob:" H "\n", "bob", credential));
    assert_false(holds(&closed_compat, "", "bob", credential));
    assert_false(holds(&open_native, "", "bob", credential));
}

/* ---- remembered credentials */

#define USER NJ_BYTES_LIT("bob")
#define PASS NJ_BYTES_LIT("secret")
#define HASH NJ_BYTES_LIT(H)

static void a_credential_is_remembered_as_a_whole_and_for_a_while(void **state)
{
    (void)state;
    struct nj_remembered *remembered = nj_remembered_new(64, 1000);
    assert_false(nj_remembered_has(remembered, USER, PASS, HASH, 5000));
    nj_remembered_add(remembered, USER, PASS, HASH, 5000);
    assert_true(nj_remembered_has(remembered, USER, PASS, HASH, 5000));
    assert_true(nj_remembered_has(remembered, USER, PASS, HASH, 5999));
    assert_false(nj_remembered_has(remembered, USER, NJ_BYTES_LIT("Secret"), HASH, 5000));
    assert_false(nj_remembered_has(remembered, NJ_BYTES_LIT("eve"), PASS, HASH, 5000));
    assert_false(nj_remembered_has(remembered, USER, PASS, NJ_BYTES_LIT(H2), 5000));
    assert_false(nj_remembered_has(remembered, USER, PASS, HASH, 6000));
    assert_false(nj_remembered_has(remembered, USER, PASS, HASH, 5500)); /* wiped */
    nj_remembered_free(remembered);
    nj_remembered_free(NULL);
}

/* The same bytes cut elsewhere are another credential. */
static void the_parts_of_a_remembered_credential_cannot_be_shifted(void **state)
{
    (void)state;
    struct nj_remembered *remembered = nj_remembered_new(1, 1000);
    nj_remembered_add(remembered, NJ_BYTES_LIT("ab"), NJ_BYTES_LIT("cd"), NJ_BYTES_LIT("ef"), 0);
    assert_true(nj_remembered_has(remembered, NJ_BYTES_LIT("ab"), NJ_BYTES_LIT("cd"),
                                  NJ_BYTES_LIT("ef"), 0));
    assert_false(nj_remembered_has(remembered, NJ_BYTES_LIT("abc"), NJ_BYTES_LIT("d"),
                                   NJ_BYTES_LIT("ef"), 0));
    assert_false(nj_remembered_has(remembered, NJ_BYTES_LIT("a"), NJ_BYTES_LIT("bcd"),
                                   NJ_BYTES_LIT("ef"), 0));
    assert_false(nj_remembered_has(remembered, NJ_BYTES_LIT("ab"), NJ_BYTES_LIT("cde"),
                                   NJ_BYTES_LIT("f"), 0));
    nj_remembered_free(remembered);
}

static void a_newer_credential_takes_the_place_of_an_older_one(void **state)
{
    (void)state;
    struct nj_remembered *remembered = nj_remembered_new(1, 1000);
    nj_remembered_add(remembered, USER, PASS, HASH, 0);
    nj_remembered_add(remembered, NJ_BYTES_LIT("eve"), PASS, HASH, 0);
    assert_false(nj_remembered_has(remembered, USER, PASS, HASH, 0));
    assert_true(nj_remembered_has(remembered, NJ_BYTES_LIT("eve"), PASS, HASH, 0));
    nj_remembered_free(remembered);
}

static void without_memory_nothing_is_remembered(void **state)
{
    (void)state;
    struct nj_remembered *remembered = nj_remembered_new(8, 1000);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    nj_remembered_add(remembered, USER, PASS, HASH, 0);
    assert_false(nj_remembered_has(remembered, USER, PASS, HASH, 0));
    nj_fault_disarm();
    assert_false(nj_remembered_has(remembered, USER, PASS, HASH, 0));
    nj_remembered_free(remembered);
}

static void *remember_many(void *arg)
{
    struct nj_remembered *remembered = arg;
    for (int i = 0; i < 2000; i++) {
        char user[16];
        (void)snprintf(user, sizeof(user), "u%d", i % 50);
        nj_remembered_add(remembered, nj_bytes_of(user), PASS, HASH, (uint64_t)i);
        (void)nj_remembered_has(remembered, nj_bytes_of(user), PASS, HASH, (uint64_t)i);
        assert_false(nj_remembered_has(remembered, nj_bytes_of(user), USER, HASH, (uint64_t)i));
    }
    return NULL;
}

static void any_thread_may_ask_what_is_remembered(void **state)
{
    (void)state;
    struct nj_remembered *remembered = nj_remembered_new(16, 10);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, remember_many, remembered), 0);
    }
    for (int i = 0; i < 3; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    nj_remembered_free(remembered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(l050_a_user_name_without_a_password_is_refused),
        cmocka_unit_test(l051_empty_texts_are_texts),
        cmocka_unit_test(l052_wrong_credentials_are_never_anonymous),
        cmocka_unit_test(h29_a_name_that_nothing_can_verify),
        cmocka_unit_test(h29_without_a_source_and_anonymous_access_nobody_gets_in),
        cmocka_unit_test(a1_13_a_certificate_is_the_identity),
        cmocka_unit_test(a_session_ends_with_its_user_or_its_hash),
        cmocka_unit_test(an_anonymous_session_ends_with_anonymous_access),
        cmocka_unit_test(an_unverified_name_ends_when_something_can_verify_it),
        cmocka_unit_test(a_credential_is_remembered_as_a_whole_and_for_a_while),
        cmocka_unit_test(the_parts_of_a_remembered_credential_cannot_be_shifted),
        cmocka_unit_test(a_newer_credential_takes_the_place_of_an_older_one),
        cmocka_unit_test(without_memory_nothing_is_remembered),
        cmocka_unit_test(any_thread_may_ask_what_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
