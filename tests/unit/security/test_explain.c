/* Explanations: what decided, what came close, and a change that really allows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "security/acl.h"
#include "security/explain.h"
#include "security/policy.h"
#include "support/test.h"

static const char ACL[] = "topic read public/#\n"            /* 1 */
                          "topic deny public/secret\n"       /* 2 */
                          "\n"                               /* 3 */
                          "user alice\n"                     /* 4 */
                          "topic read sensors/+/temp\n"      /* 5 */
                          "topic write alarms/alice\n"       /* 6 */
                          "topic deny sensors/7/temp\n"      /* 7 */
                          "\n"                               /* 8 */
                          "user bob\n"                       /* 9 */
                          "topic readwrite machines/#\n"     /* 10 */
                          "\n"                               /* 11 */
                          "pattern write devices/%u/%c/up\n" /* 12 */
                          "pattern deny denied/%u\n";        /* 13 */

struct world {
    struct nj_policy *policy;
    struct nj_explanation explanation;
};

static struct nj_policy *policy_of(const char *text, bool is_compat)
{
    struct nj_acl *acl = NULL;
    char error[200];
    const struct nj_acl_options options = {.leading_for_all = !is_compat};
    if (text != NULL) {
        enum nj_err err =
            nj_acl_parse(nj_bytes_of(text), "acl", &options, &acl, error, sizeof(error));
        if (err != NJ_OK) {
            fail_msg("%s", error);
        }
    }
    const struct nj_scope scope = {
        .acl = acl,
        .allow_anonymous = true,
        .unverified_user_counts = true,
        .checks_subscribe = !is_compat,
        .share_as_whole = is_compat,
    };
    return nj_policy_new(1, &scope, 1);
}

static struct nj_explain_question question(const char *user, enum nj_action action,
                                           const char *topic)
{
    return (struct nj_explain_question){
        .user = user != NULL ? nj_bytes_of(user) : nj_bytes(NULL, 0),
        .client_id = nj_bytes_of("c1"),
        .action = action,
        .topic = nj_bytes_of(topic),
    };
}

static const char *text_of(struct nj_buf *buf)
{
    assert_int_equal(nj_buf_append(buf, "", 1), NJ_OK);
    buf->len--;
    return (const char *)buf->data;
}

/* The file with the edits made, as a person with an editor would do it. */
static char *edited(const char *text, struct nj_explanation *explanation)
{
    struct nj_buf out;
    nj_buf_init(&out);
    unsigned line = 0;
    for (const char *at = text;;) {
        bool is_removed = false;
        for (size_t i = 0; i < explanation->edit_count; i++) {
            struct nj_explain_edit *edit = &explanation->edits[i];
            is_removed = is_removed || (edit->is_removal && edit->line == line);
        }
        if (line > 0) {
            size_t len = strcspn(at, "\n");
            if (!is_removed) {
                assert_int_equal(nj_buf_printf(&out, "%.*s\n", (int)len, at), NJ_OK);
            }
            at += at[len] == '\n' ? len + 1 : len;
        }
        for (size_t i = 0; i < explanation->edit_count; i++) {
            struct nj_explain_edit *edit = &explanation->edits[i];
            if (!edit->is_removal && edit->line == line) {
                assert_int_equal(nj_buf_printf(&out, "%s\n", text_of(&edit->text)), NJ_OK);
            }
        }
        line++;
        if (*at == '\0') {
            break;
        }
    }
    return (char *)(void *)text_of(&out);
}

struct trial {
    const char *user;
    enum nj_action action;
    const char *topic;
    bool is_compat;
    bool allowed;
    const char *where; /* of what decided, "" = nothing */
    const char *near;  /* place and reason of the nearest rule; NULL = any */
    const char *edits; /* "-LINE" removed, "+LINE text" added; NULL = none possible */
};

static const struct trial TRIALS[] = {
    {"alice", NJ_ACTION_DELIVER, "sensors/1/temp", false, true, "acl:5", NULL, NULL},
    {"alice", NJ_ACTION_DELIVER, "sensors/7/temp", false, false, "acl:7",
     "acl:5 matches as well and allows", "-7"},
    {"alice", NJ_ACTION_PUBLISH, "sensors/1/temp", false, false, "", "acl:5 gives read, not write",
     "+7 topic write sensors/1/temp"},
    {"alice", NJ_ACTION_PUBLISH, "Alarms/alice", false, false, "",
     "acl:6 differs in capital letters only", "+7 topic write Alarms/alice"},
    {"alice", NJ_ACTION_PUBLISH, "/alarms/alice", false, false, "",
     "acl:6 has no '/' at the beginning", "+7 topic write /alarms/alice"},
    {"alice", NJ_ACTION_PUBLISH, "alarms/bob", false, false, "", "acl:6 its level 2 is 'alice'",
     "+7 topic write alarms/bob"},
    {"alice", NJ_ACTION_PUBLISH, "alarms/alice/now", false, false, "", "acl:6 ends after level 2",
     "+7 topic write alarms/alice/now"},
    {"alice", NJ_ACTION_PUBLISH, "machines/3", false, false, "", "acl:10 is for the user 'bob'",
     "+7 topic write machines/3"},
    {"alice", NJ_ACTION_PUBLISH, "devices/alice/c2/up", false, false, "",
     "acl:12 would need the client id 'c2'", "+7 topic write devices/alice/c2/up"},
    {"alice", NJ_ACTION_DELIVER, "denied/alice", false, false, "acl:13", NULL,
     "+7 topic read denied/alice"},
    {"alice", NJ_ACTION_DELIVER, "public/secret", false, false, "acl:2",
     "acl:1 matches as well and allows", "+7 topic read public/secret"},
    {"carol", NJ_ACTION_PUBLISH, "a", false, false, "", NULL, "+13 user carol\ntopic write a"},
    {NULL, NJ_ACTION_DELIVER, "public/secret", false, false, "acl:2", NULL, "-2"},
    {NULL, NJ_ACTION_PUBLISH, "public/x", false, false, "", "acl:1 gives read, not write",
     "+2 topic write public/x"},
    {"bob", NJ_ACTION_SUBSCRIBE, "alarms/#", false, false, "", NULL, "+10 topic read alarms/#"},
    {"bob", NJ_ACTION_SUBSCRIBE, "$share/g/alarms/x", false, false, "", NULL,
     "+10 topic read alarms/x"},
    {"bob", NJ_ACTION_SUBSCRIBE, "alarms/#", true, true, "", NULL, NULL},
    {"bob", NJ_ACTION_DELIVER, "public/x", true, false, "", "acl:1 is for anonymous clients only",
     "+10 topic read public/x"},
    {"bob", NJ_ACTION_PUBLISH, "$SYS/x", false, false, "", NULL, NULL},
    {"bob", NJ_ACTION_WILL, "$CONTROL/x", false, false, "", NULL, NULL},
    {"bob", NJ_ACTION_PUBLISH, "a ", false, false, "", NULL, NULL}, /* no line can say it */
    {" x", NJ_ACTION_PUBLISH, "a", false, false, "", NULL, NULL},
    {"bob", NJ_ACTION_PUBLISH, "read", false, false, "", NULL, "+10 topic write read"},
    {"bob", NJ_ACTION_UNSUBSCRIBE, "x", false, true, "", NULL, NULL},
};

static void expect_edits(const struct trial *trial, struct nj_explanation *explanation)
{
    struct nj_buf said;
    nj_buf_init(&said);
    for (size_t i = 0; i < explanation->edit_count; i++) {
        struct nj_explain_edit *edit = &explanation->edits[i];
        assert_string_equal(text_of(&edit->where), "acl");
        enum nj_err err = edit->is_removal
                              ? nj_buf_printf(&said, "-%u", edit->line)
                              : nj_buf_printf(&said, "+%u %s", edit->line, text_of(&edit->text));
        assert_int_equal(err, NJ_OK);
    }
    assert_string_equal(text_of(&said), trial->edits != NULL ? trial->edits : "");
    nj_buf_fini(&said);
}

static void try_one(const struct trial *trial)
{
    struct nj_policy *policy = policy_of(ACL, trial->is_compat);
    struct nj_explain_question asked = question(trial->user, trial->action, trial->topic);
    struct nj_explanation explanation;
    assert_int_equal(nj_explain_decision(policy, &asked, &explanation), NJ_OK);
    assert_int_equal(explanation.verdict.allowed, trial->allowed);
    assert_string_equal(text_of(&explanation.where), trial->where);
    assert_true(explanation.why.len > 0);
    if (trial->near != NULL) {
        char said[500];
        assert_true(explanation.near_count > 0);
        snprintf(said, sizeof(said), "%s %s", text_of(&explanation.near[0].where),
                 text_of(&explanation.near[0].why));
        if (strncmp(said, trial->near, strlen(trial->near)) != 0) {
            fail_msg("near: '%s'", said);
        }
    }
    expect_edits(trial, &explanation);
    if (explanation.edit_count > 0) {
        char *text = edited(ACL, &explanation);
        struct nj_policy *changed = policy_of(text, trial->is_compat);
        struct nj_explanation again;
        assert_int_equal(nj_explain_decision(changed, &asked, &again), NJ_OK);
        assert_true(again.verdict.allowed);
        assert_int_equal(again.edit_count, 0);
        nj_explanation_fini(&again);
        nj_policy_unref(changed);
        nj_free(text);
    }
    nj_explanation_fini(&explanation);
    nj_policy_unref(policy);
}

static void explains_and_proposes_what_really_allows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(TRIALS) / sizeof(TRIALS[0]); i++) {
        print_message("%s %s %s\n", TRIALS[i].user != NULL ? TRIALS[i].user : "-",
                      nj_action_name(TRIALS[i].action), TRIALS[i].topic);
        try_one(&TRIALS[i]);
    }
}

static void without_an_acl_a_new_file_is_proposed(void **state)
{
    (void)state;
    struct nj_policy *policy = policy_of(NULL, false);
    struct nj_explain_question asked = question("bob", NJ_ACTION_PUBLISH, "a/b");
    struct nj_explanation explanation;
    assert_int_equal(nj_explain_decision(policy, &asked, &explanation), NJ_OK);
    assert_false(explanation.verdict.allowed);
    assert_int_equal(explanation.verdict.reason, NJ_VERDICT_DEFAULT);
    assert_int_equal(explanation.edit_count, 1);
    assert_int_equal(explanation.edits[0].where.len, 0);
    assert_int_equal(explanation.edits[0].line, 0);
    assert_string_equal(text_of(&explanation.edits[0].text), "user bob\ntopic write a/b");
    nj_explanation_fini(&explanation);
    nj_policy_unref(policy);
}

static void says_who_could_not_log_in(void **state)
{
    (void)state;
    const struct nj_scope closed = {.acl_default_allow = true};
    const struct nj_scope open = {.acl_default_allow = true, .allow_anonymous = true};
    struct nj_explanation explanation;
    struct nj_policy *policy = nj_policy_new(1, &closed, 1);
    struct nj_explain_question asked = question(NULL, NJ_ACTION_PUBLISH, "a");
    assert_int_equal(nj_explain_decision(policy, &asked, &explanation), NJ_OK);
    assert_true(explanation.verdict.allowed);
    assert_non_null(strstr(text_of(&explanation.login), "allow_anonymous false"));
    nj_explanation_fini(&explanation);
    asked = question("bob", NJ_ACTION_PUBLISH, "a");
    assert_int_equal(nj_explain_decision(policy, &asked, &explanation), NJ_OK);
    assert_non_null(strstr(text_of(&explanation.login), "nobody can log in"));
    nj_explanation_fini(&explanation);
    nj_policy_unref(policy);
    policy = nj_policy_new(1, &open, 1);
    assert_int_equal(nj_explain_decision(policy, &asked, &explanation), NJ_OK);
    assert_non_null(strstr(text_of(&explanation.login), "counts as anonymous"));
    nj_explanation_fini(&explanation);
    nj_policy_unref(policy);
}

static void keeps_the_nearest_rules_in_order(void **state)
{
    (void)state;
    struct nj_explanation explanation = {0};
    static const unsigned DISTANCES[] = {9, 3, 7, 3, 1, 8, 2, 0, 9};
    for (size_t i = 0; i < sizeof(DISTANCES) / sizeof(DISTANCES[0]); i++) {
        char where[4];
        snprintf(where, sizeof(where), "%zu", i);
        assert_int_equal(
            nj_explanation_add_near(&explanation, DISTANCES[i], where, NJ_BYTES_LIT("r"), "w"),
            NJ_OK);
    }
    static const char *const WANTED[] = {"7", "4", "6", "1", "3"};
    assert_int_equal(explanation.near_count, NJ_EXPLAIN_NEAR_MAX);
    for (size_t i = 0; i < NJ_EXPLAIN_NEAR_MAX; i++) {
        assert_string_equal(text_of(&explanation.near[i].where), WANTED[i]);
    }
    nj_explanation_fini(&explanation);
}

/* ---- any rules, any question: a change that is proposed, allows; a refusal is never explained by
 * a rule that does not match */

static const char *const LEVELS[] = {"a", "b", "+", "%u", "%c", "u", "c1"};

static void put_topic(char *out, size_t size, bool is_name)
{
    size_t at = 0;
    int count = 1 + rand() % 3;
    for (int i = 0; i < count; i++) {
        const char *level = LEVELS[rand() % 7];
        level = is_name && (level[0] == '+' || level[0] == '%') ? "a" : level;
        at += (size_t)snprintf(out + at, size - at, "%s%s", i > 0 ? "/" : "", level);
    }
    if (!is_name && rand() % 4 == 0) {
        snprintf(out + at, size - at, "/#");
    }
}

static char *random_acl(void)
{
    static const char *const ACCESS[] = {"read", "write", "readwrite", "deny"};
    struct nj_buf out;
    char topic[100];
    nj_buf_init(&out);
    int lines = rand() % 9;
    for (int i = 0; i < lines; i++) {
        put_topic(topic, sizeof(topic), false);
        enum nj_err err = rand() % 5 == 0
                              ? nj_buf_printf(&out, "user %s\n", rand() % 2 ? "u" : "v")
                              : nj_buf_printf(&out, "%s %s %s\n", rand() % 3 ? "topic" : "pattern",
                                              ACCESS[rand() % 4], topic);
        assert_int_equal(err, NJ_OK);
    }
    return (char *)(void *)text_of(&out);
}

static void every_proposed_change_allows(void **state)
{
    (void)state;
    srand(7);
    unsigned proposed = 0;
    for (int round = 0; round < 4000; round++) {
        char *text = random_acl();
        char topic[100];
        bool is_compat = rand() % 2;
        enum nj_action action = (enum nj_action)(rand() % 3);
        put_topic(topic, sizeof(topic), true);
        struct nj_policy *policy = policy_of(text, is_compat);
        struct nj_explain_question asked = question(rand() % 3 ? "u" : NULL, action, topic);
        struct nj_explanation explanation;
        assert_int_equal(nj_explain_decision(policy, &asked, &explanation), NJ_OK);
        if (!explanation.verdict.allowed) {
            assert_true(explanation.edit_count > 0);
            char *changed_text = edited(text, &explanation);
            struct nj_policy *changed = policy_of(changed_text, is_compat);
            struct nj_explanation again;
            assert_int_equal(nj_explain_decision(changed, &asked, &again), NJ_OK);
            if (!again.verdict.allowed) {
                fail_msg("topic %s, action %d, acl:\n%s\nchanged:\n%s", topic, action, text,
                         changed_text);
            }
            nj_explanation_fini(&again);
            nj_policy_unref(changed);
            nj_free(changed_text);
            proposed++;
        }
        nj_explanation_fini(&explanation);
        nj_policy_unref(policy);
        nj_free(text);
    }
    assert_true(proposed > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(explains_and_proposes_what_really_allows),
        cmocka_unit_test(without_an_acl_a_new_file_is_proposed),
        cmocka_unit_test(says_who_could_not_log_in),
        cmocka_unit_test(keeps_the_nearest_rules_in_order),
        cmocka_unit_test(every_proposed_change_allows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
