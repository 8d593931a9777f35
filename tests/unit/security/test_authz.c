/* The one decision: what no rule opens, what acl_default covers, what the cache may never do. */
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "security/acl.h"
#include "security/authz.h"
#include "security/policy.h"
#include "support/test.h"

static struct nj_acl *acl_of(const char *text)
{
    struct nj_acl_options options = {.leading_for_all = true};
    struct nj_acl *acl = NULL;
    char error[256] = "";
    if (nj_acl_parse(nj_bytes_of(text), "f", &options, &acl, error, sizeof(error)) != NJ_OK) {
        fail_msg("%s", error);
    }
    return acl;
}

/* acl NULL = none configured. */
static struct nj_policy *native(uint64_t epoch, const char *acl, bool allows)
{
    const struct nj_scope scope = {
        .acl = acl ? acl_of(acl) : NULL,
        .acl_default_allow = allows,
        .checks_subscribe = true,
    };
    return nj_policy_new(epoch, &scope, 1);
}

static struct nj_policy *compat(const char *acl)
{
    const struct nj_scope scope = {
        .acl = acl ? acl_of(acl) : NULL,
        .acl_default_allow = true,
        .allow_anonymous = true,
        .unverified_user_counts = true,
        .share_as_whole = true,
        .default_covers_sys = true,
    };
    return nj_policy_new(1, &scope, 1);
}

static struct nj_verdict ask_as(const struct nj_policy *policy, const char *user,
                                enum nj_action action, const char *topic)
{
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, nj_bytes_of(user), NJ_BYTES_LIT("c"), 0);
    nj_authz(policy, &subject, action, nj_bytes_of(topic), &verdict);
    nj_subject_fini(&subject);
    return verdict;
}

static bool may(const struct nj_policy *policy, enum nj_action action, const char *topic)
{
    return ask_as(policy, "u", action, topic).allowed;
}

struct row {
    const char *topic;
    bool publish;
    bool deliver;
    bool subscribe;
    bool will;
};

static void expect(struct nj_policy *policy, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        const bool wanted[] = {
            [NJ_ACTION_PUBLISH] = row->publish,     [NJ_ACTION_DELIVER] = row->deliver,
            [NJ_ACTION_SUBSCRIBE] = row->subscribe, [NJ_ACTION_UNSUBSCRIBE] = true,
            [NJ_ACTION_WILL] = row->will,
        };
        for (int action = 0; action < NJ_ACTION_COUNT; action++) {
            if (may(policy, (enum nj_action)action, row->topic) != wanted[action]) {
                fail_msg("%s %s: not %d", nj_action_name((enum nj_action)action), row->topic,
                         wanted[action]);
            }
        }
    }
    nj_policy_unref(policy);
}

#define EXPECT(policy, ...)                                                                        \
    do {                                                                                           \
        const struct row rows[] = {__VA_ARGS__};                                                   \
        expect(policy, rows, sizeof(rows) / sizeof(rows[0]));                                      \
    } while (0)

static void a5_1_without_an_acl_nothing_is_allowed_natively(void **state)
{
    (void)state;
    EXPECT(native(1, NULL, false), {"a", false, false, false, false},
           {"$SYS/a", false, false, false, false}, {"$share/g/a", false, false, false, false},
           {"$CONTROL/dynamic-security/v1", false, false, false, false});
}

static void a5_1_acl_default_allow_covers_neither_sys_nor_control(void **state)
{
    (void)state;
    EXPECT(native(1, NULL, true), {"a", true, true, true, true}, {"#", true, true, true, true},
           {"$SYS/a", false, false, false, false}, {"$SYS/#", false, false, false, false},
           {"$SYS", false, false, false, false}, {"$SYSx/a", true, true, true, true},
           {"$share/g/a", false, true, true, false}, {"$share/g/$SYS/#", false, true, false, false},
           {"$share/g/$CONTROL/#", false, true, false, false},
           {"$CONTROL/a", false, false, false, false}, {"$CONTROL", false, false, false, false},
           {"$CONTROLx", true, true, true, true}, {"$foo/bar", true, true, true, true},
           {"$", true, true, true, true}, {"$/a", true, true, true, true},
           {"$sys/x", true, true, true, true});
}

static void h30_compat_reads_sys_and_never_writes_it(void **state)
{
    (void)state;
    EXPECT(compat(NULL), {"a", true, true, true, true}, {"$SYS/a", false, true, true, false},
           {"$SYS/#", false, true, true, false}, {"$CONTROL/a", true, true, true, false},
           {"$CONTROL/broker/v1", true, true, true, false}, {"$CONTROL/#", true, true, true, false},
           {"$CONTROL/nightjar/v1", false, false, false, false},
           {"$CONTROL/dynamic-security/v1", false, false, false, false},
           {"$CONTROL/certificate-management/v1/response", false, false, false, false},
           {"$CONTROL/cedalo/inspect/v1", false, false, false, false},
           {"$SYS/broker/connection/x/state", true, true, true, true},
           {"$SYS/broker/connection/x/y/state", false, true, true, false},
           {"$SYS/broker/connection/state", false, true, true, false},
           {"$SYS/broker/connection/x/state/y", false, true, true, false},
           {"$share/g/a", false, true, true, false});
}

/* Rules that grant everything do not open what is reserved (L-006, L-020, L-021). */
static void l020_reserved_topics_are_closed_whatever_a_rule_says(void **state)
{
    (void)state;
    const char *acl = "topic #\ntopic $SYS/#\ntopic $share/#\ntopic $queue/#\ntopic $exclusive/#\n"
                      "topic $CONTROL/#\ntopic $int/#\n";
    EXPECT(native(1, acl, false), {"a", true, true, true, true},
           {"$SYS/a", false, true, true, false},
           {"$SYS/broker/connection/x/state", true, true, true, true},
           {"$share/g/a", false, true, true, false}, {"$queue/a", false, true, true, false},
           {"$exclusive/a", false, true, true, false}, {"$int", false, false, false, false},
           {"$share/g/$int/#", false, true, false, false}, {"$intx", false, false, false, false});
}

static void l006_a_will_to_control_is_refused_even_to_an_administrator(void **state)
{
    (void)state;
    EXPECT(native(1, "topic $CONTROL/#\n", false),
           {"$CONTROL/dynamic-security/v1", true, true, true, false},
           {"$CONTROL", true, true, true, false});
}

static void l022_sys_is_not_read_without_a_rule(void **state)
{
    (void)state;
    EXPECT(native(1, "topic #\n", false), {"$SYS/broker/uptime", false, false, false, false},
           {"$SYS/#", false, false, false, false}, {"x", true, true, true, true});
    EXPECT(native(1, "topic read $SYS/#\n", false),
           {"$SYS/broker/uptime", false, true, true, false}, {"$SYS/#", false, true, true, false});
}

static void a4_6_subscribe_is_checked_natively_and_granted_in_compat_mode(void **state)
{
    (void)state;
    const char *acl = "user u\ntopic read r\ntopic write w\n";
    EXPECT(native(1, acl, false), {"r", false, true, true, false}, {"w", true, false, false, true},
           {"x", false, false, false, false}, {"$share/g/r", false, false, true, false},
           {"$share/g/w", false, false, false, false});
    EXPECT(compat(acl), {"r", false, true, true, false}, {"w", true, false, true, true},
           {"x", false, false, true, false}, {"$share/g/w", false, false, true, false});
}

static void l038_publish_and_deliver_are_separate_rights(void **state)
{
    (void)state;
    struct nj_policy *policy = native(1, "user u\ntopic read r\ntopic write w\n", false);
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, NJ_BYTES_LIT("u"), NJ_BYTES_LIT("c"), 0);
    for (int i = 0; i < 20; i++) { /* with the cache, too (L-029) */
        static const enum nj_action actions[] = {NJ_ACTION_PUBLISH, NJ_ACTION_DELIVER,
                                                 NJ_ACTION_WILL};
        for (int j = 0; j < 3; j++) {
            nj_authz(policy, &subject, actions[j], NJ_BYTES_LIT("r"), &verdict);
            assert_int_equal(verdict.allowed, actions[j] == NJ_ACTION_DELIVER);
            nj_authz(policy, &subject, actions[j], NJ_BYTES_LIT("w"), &verdict);
            assert_int_equal(verdict.allowed, actions[j] != NJ_ACTION_DELIVER);
        }
    }
    nj_subject_fini(&subject);
    nj_policy_unref(policy);
}

static void l029_a_new_epoch_ends_every_old_verdict(void **state)
{
    (void)state;
    struct nj_policy *policies[3] = {native(1, "user u\ntopic t\n", false),
                                     native(2, "user x\ntopic t\nuser u\ntopic y\n", false),
                                     native(3, NULL, true)};
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, NJ_BYTES_LIT("u"), NJ_BYTES_LIT("c"), 0);
    for (int i = 0; i < 30; i++) {
        int which = i / 5 % 3;
        nj_authz(policies[which], &subject, NJ_ACTION_PUBLISH, NJ_BYTES_LIT("t"), &verdict);
        assert_int_equal(verdict.allowed, which != 1);
        nj_authz(policies[which], &subject, NJ_ACTION_DELIVER, NJ_BYTES_LIT("t"), &verdict);
        assert_int_equal(verdict.allowed, which != 1);
    }
    nj_subject_fini(&subject);
    for (int i = 0; i < 3; i++) {
        nj_policy_unref(policies[i]);
    }
}

static void l028_topics_that_begin_alike_have_their_own_verdicts(void **state)
{
    (void)state;
    static const size_t lens[] = {1, 8, 119, 120, 121, 1023, 4096};
    char topic[4100];
    char acl[4200];
    memset(topic, 'x', sizeof(topic));
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        (void)snprintf(acl, sizeof(acl), "topic %.*sa\n", (int)lens[i], topic);
        struct nj_policy *policy = native(1, acl, false);
        struct nj_subject subject;
        nj_subject_init(&subject, NJ_BYTES_LIT("u"), NJ_BYTES_LIT("c"), 0);
        for (int turn = 0; turn < 40; turn++) {
            struct nj_verdict verdict;
            char *end = &topic[lens[i]];
            *end = turn / 2 % 2 ? 'b' : 'a';
            nj_authz(policy, &subject, NJ_ACTION_PUBLISH, nj_bytes(topic, lens[i] + 1), &verdict);
            assert_int_equal(verdict.allowed, *end == 'a');
            nj_authz(policy, &subject, NJ_ACTION_PUBLISH, nj_bytes(topic, lens[i]), &verdict);
            assert_false(verdict.allowed);
            *end = 'x';
        }
        nj_subject_fini(&subject);
        nj_policy_unref(policy);
    }
}

static void without_memory_for_the_cache_the_answer_is_the_same(void **state)
{
    (void)state;
    struct nj_policy *policy = native(1, "topic read t\n", false);
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, NJ_BYTES_LIT("u"), NJ_BYTES_LIT("c"), 0);
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    for (int i = 0; i < 600; i++) {
        nj_authz(policy, &subject, NJ_ACTION_DELIVER, NJ_BYTES_LIT("t"), &verdict);
        assert_true(verdict.allowed);
        nj_authz(policy, &subject, NJ_ACTION_PUBLISH, NJ_BYTES_LIT("t"), &verdict);
        assert_false(verdict.allowed);
    }
    nj_fault_disarm();
    assert_null(subject.cache);
    nj_subject_fini(&subject);
    nj_policy_unref(policy);
}

static void a_subject_that_asks_once_makes_no_cache(void **state)
{
    (void)state;
    struct nj_policy *policy = native(1, "topic t\n", false);
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, NJ_BYTES_LIT("u"), NJ_BYTES_LIT("c"), 0);
    nj_authz(policy, &subject, NJ_ACTION_PUBLISH, NJ_BYTES_LIT("t"), &verdict);
    assert_null(subject.cache);
    nj_authz(policy, &subject, NJ_ACTION_PUBLISH, NJ_BYTES_LIT("t"), &verdict);
    assert_non_null(subject.cache);
    nj_subject_fini(&subject);
    nj_policy_unref(policy);
}

/* ---- policy */

static void verdicts_are_described_with_their_rule(void **state)
{
    (void)state;
    char text[256];
    struct nj_policy *policy = native(7, "user u\ntopic deny a\ntopic #\n", false);
    assert_int_equal(nj_policy_epoch(policy), 7);
    struct nj_verdict verdict = ask_as(policy, "u", NJ_ACTION_PUBLISH, "a");
    assert_int_equal(verdict.reason, NJ_VERDICT_RULE);
    assert_string_equal(nj_policy_describe(policy, 0, &verdict, text, sizeof(text)),
                        "f:2: topic deny a");
    verdict = ask_as(policy, "x", NJ_ACTION_PUBLISH, "a");
    assert_string_equal(nj_policy_describe(policy, 0, &verdict, text, sizeof(text)), "no rule");
    verdict = ask_as(policy, "u", NJ_ACTION_PUBLISH, "$SYS/x");
    assert_string_equal(nj_policy_describe(policy, 0, &verdict, text, sizeof(text)),
                        "reserved topic");
    nj_policy_unref(policy);
    policy = native(1, NULL, false);
    verdict = ask_as(policy, "u", NJ_ACTION_PUBLISH, "a");
    assert_string_equal(nj_policy_describe(policy, 0, &verdict, text, sizeof(text)),
                        "no ACL configured (acl_default deny)");
    nj_policy_unref(policy);
}

static void each_scope_decides_for_itself(void **state)
{
    (void)state;
    struct nj_acl *shared = acl_of("topic a\n");
    const struct nj_scope scopes[3] = {
        {.acl = shared}, {.acl = nj_acl_ref(shared)}, {.acl_default_allow = true}};
    struct nj_policy *policy = nj_policy_new(1, scopes, 3);
    static const bool wanted[3] = {false, false, true};
    for (unsigned i = 0; i < 3; i++) {
        struct nj_subject subject;
        struct nj_verdict verdict;
        nj_subject_init(&subject, NJ_BYTES_LIT("u"), NJ_BYTES_LIT("c"), i);
        nj_authz(policy, &subject, NJ_ACTION_PUBLISH, NJ_BYTES_LIT("b"), &verdict);
        assert_int_equal(verdict.allowed, wanted[i]);
        nj_authz(policy, &subject, NJ_ACTION_PUBLISH, NJ_BYTES_LIT("a"), &verdict);
        assert_true(verdict.allowed);
        nj_subject_fini(&subject);
    }
    nj_policy_unref(nj_policy_ref(policy));
    nj_policy_unref(policy);
    nj_policy_unref(NULL);
}

static void a_scope_whose_rules_changed_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *old_acl;
        const char *new_acl;
        bool old_allows;
        bool new_allows;
        bool differs;
    } rows[] = {
        {NULL, NULL, true, true, false},         {NULL, NULL, true, false, true},
        {NULL, "topic a\n", true, true, true},   {"topic a\n", NULL, true, true, true},
        {"topic a\n", "topic a\n", 0, 1, false}, {"topic a\n", "topic b\n", 0, 0, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_policy *old = native(1, rows[i].old_acl, rows[i].old_allows);
        struct nj_policy *new = native(2, rows[i].new_acl, rows[i].new_allows);
        assert_int_equal(nj_policy_scope_count(old), 1);
        assert_int_equal(nj_policy_rules_differ(old, new, 0), rows[i].differs);
        nj_policy_unref(old);
        nj_policy_unref(new);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a5_1_without_an_acl_nothing_is_allowed_natively),
        cmocka_unit_test(a5_1_acl_default_allow_covers_neither_sys_nor_control),
        cmocka_unit_test(h30_compat_reads_sys_and_never_writes_it),
        cmocka_unit_test(l020_reserved_topics_are_closed_whatever_a_rule_says),
        cmocka_unit_test(l006_a_will_to_control_is_refused_even_to_an_administrator),
        cmocka_unit_test(l022_sys_is_not_read_without_a_rule),
        cmocka_unit_test(a4_6_subscribe_is_checked_natively_and_granted_in_compat_mode),
        cmocka_unit_test(l038_publish_and_deliver_are_separate_rights),
        cmocka_unit_test(l029_a_new_epoch_ends_every_old_verdict),
        cmocka_unit_test(l028_topics_that_begin_alike_have_their_own_verdicts),
        cmocka_unit_test(without_memory_for_the_cache_the_answer_is_the_same),
        cmocka_unit_test(a_subject_that_asks_once_makes_no_cache),
        cmocka_unit_test(verdicts_are_described_with_their_rule),
        cmocka_unit_test(each_scope_decides_for_itself),
        cmocka_unit_test(a_scope_whose_rules_changed_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
