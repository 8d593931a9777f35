/* Explanations of dynamic security: who decides, and a change that was tried. */
#include <stdio.h>
#include <string.h>

#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "security/explain.h"
#include "security/policy.h"
#include "support/test.h"

/* One client for each case. The role "admin" would allow a/#, and far more than was asked for. */
static const char FILE_TEXT[] =
    "{\"defaultACLAccess\":{\"publishClientSend\":false,\"publishClientReceive\":true,"
    "\"subscribe\":false,\"unsubscribe\":true},\"clients\":["
    "{\"username\":\"bare\"},"
    "{\"username\":\"off\",\"disabled\":true,\"roles\":[{\"rolename\":\"wide\"}]},"
    "{\"username\":\"tied\",\"clientid\":\"only\",\"roles\":[{\"rolename\":\"wide\"}]},"
    "{\"username\":\"sensor\",\"roles\":[{\"rolename\":\"narrow\"}]}],\"groups\":[],\"roles\":["
    "{\"rolename\":\"admin\",\"acls\":["
    "{\"acltype\":\"publishClientSend\",\"topic\":\"$CONTROL/#\",\"allow\":true},"
    "{\"acltype\":\"publishClientSend\",\"topic\":\"a/#\",\"allow\":true}]},"
    "{\"rolename\":\"wide\",\"acls\":["
    "{\"acltype\":\"publishClientSend\",\"topic\":\"a/#\",\"allow\":true},"
    "{\"acltype\":\"publishClientSend\",\"topic\":\"b/#\",\"allow\":true},"
    "{\"acltype\":\"publishClientSend\",\"topic\":\"c/#\",\"allow\":true}]},"
    "{\"rolename\":\"narrow\",\"acls\":["
    "{\"acltype\":\"publishClientSend\",\"topic\":\"a/b\",\"allow\":true},"
    "{\"acltype\":\"publishClientSend\",\"topic\":\"a/c\",\"allow\":false}]}]}";

static struct nj_policy *policy;

static int open_policy(void **state)
{
    struct nj_dynsec_load load = {.knows_all_keys = true};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_scope scope = {.allow_anonymous = true};
    (void)state;
    if (nj_dynsec_load(nj_bytes_of(FILE_TEXT), principals, &load, &scope.dynsec) != NJ_OK) {
        print_error("%s\n", load.error);
        return 1;
    }
    nj_dynsec_principals_unref(principals);
    policy = nj_policy_new(1, &scope, 1);
    return 0;
}

static int close_policy(void **state)
{
    (void)state;
    nj_policy_unref(policy);
    return 0;
}

static void ask(const char *user, enum nj_action action, const char *topic,
                struct nj_explanation *out)
{
    const struct nj_explain_question question = {
        .user = user ? nj_bytes_of(user) : nj_bytes(NULL, 0),
        .client_id = nj_bytes_of("c1"),
        .action = action,
        .topic = nj_bytes_of(topic),
    };
    assert_int_equal(nj_explain_decision(policy, &question, out), NJ_OK);
}

static void is_text(const struct nj_buf *buf, const char *text)
{
    if (!nj_bytes_equal(nj_buf_bytes(buf), nj_bytes_of(text))) {
        fail_msg("\"%.*s\", not \"%s\"", (int)buf->len, buf->data, text);
    }
}

static void a_role_that_decides_is_named_with_its_entry(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask("sensor", NJ_ACTION_PUBLISH, "a/b", &out);
    assert_true(out.verdict.allowed);
    is_text(&out.rule, "role narrow: publishClientSend a/b allow (priority 0)");
    assert_int_equal(out.login.len, 0);
    assert_int_equal(out.edit_count, 0);
    nj_explanation_fini(&out);
}

static void what_a_role_denies_wants_an_entry_above_it(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask("sensor", NJ_ACTION_PUBLISH, "a/c", &out);
    assert_false(out.verdict.allowed);
    is_text(&out.rule, "role narrow: publishClientSend a/c deny (priority 0)");
    assert_int_equal(out.edit_count, 1);
    is_text(&out.edits[0].text, "nj ctl dynsec addRoleACL narrow publishClientSend 'a/c' allow 1");
    is_text(&out.caution, "it holds for everybody who has the role 'narrow'");
    nj_explanation_fini(&out);
}

static void what_no_role_says_is_the_default_access(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask("sensor", NJ_ACTION_SUBSCRIBE, "a/#", &out);
    assert_int_equal(out.verdict.reason, NJ_VERDICT_DYNSEC);
    is_text(&out.why, "no role says anything, and the default access denies it");
    assert_int_equal(out.edit_count, 1);
    is_text(&out.edits[0].text, "nj ctl dynsec addRoleACL narrow subscribePattern 'a/#' allow 0");
    nj_explanation_fini(&out);
    ask("sensor", NJ_ACTION_DELIVER, "any/thing", &out);
    assert_true(out.verdict.allowed);
    is_text(&out.why, "no role says anything, and the default access allows it");
    nj_explanation_fini(&out);
}

static void a_client_without_roles_gets_one_that_does_it_and_never_an_administrators(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask("bare", NJ_ACTION_PUBLISH, "a/x", &out);
    assert_int_equal(out.edit_count, 1);
    is_text(&out.edits[0].text, "nj ctl dynsec addClientRole bare wide");
    is_text(&out.caution, "the role 'wide' has 2 other entries");
    nj_explanation_fini(&out);
    /* The smaller role that allows it is nearer. */
    ask("bare", NJ_ACTION_PUBLISH, "a/b", &out);
    is_text(&out.edits[0].text, "nj ctl dynsec addClientRole bare narrow");
    nj_explanation_fini(&out);
    /* Whoever asks for $CONTROL is told of the role that gives it. */
    ask("bare", NJ_ACTION_PUBLISH, "$CONTROL/dynamic-security/v1", &out);
    is_text(&out.edits[0].text, "nj ctl dynsec addClientRole bare admin");
    nj_explanation_fini(&out);
}

static void where_no_role_does_it_a_client_gets_one_of_its_own(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask("bare", NJ_ACTION_PUBLISH, "new/topic", &out);
    assert_int_equal(out.edit_count, 3);
    is_text(&out.edits[0].text, "nj ctl dynsec createRole bare");
    is_text(&out.edits[1].text,
            "nj ctl dynsec addRoleACL bare publishClientSend 'new/topic' allow 0");
    is_text(&out.edits[2].text, "nj ctl dynsec addClientRole bare bare");
    nj_explanation_fini(&out);
}

static void who_cannot_log_in_is_told_why(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask("off", NJ_ACTION_PUBLISH, "a/x", &out);
    is_text(&out.login, "the client is disabled and cannot log in; `nj ctl dynsec enableClient "
                        "off` lets it in");
    nj_explanation_fini(&out);
    ask("tied", NJ_ACTION_PUBLISH, "a/x", &out);
    is_text(&out.login, "the client may only use the client id 'only'");
    nj_explanation_fini(&out);
    ask("stranger", NJ_ACTION_PUBLISH, "a/x", &out);
    is_text(&out.login, "the user is not known here and cannot log in");
    assert_int_equal(out.edit_count, 0);
    nj_explanation_fini(&out);
}

static void anonymous_clients_are_a_matter_of_their_group(void **state)
{
    struct nj_explanation out;
    (void)state;
    ask(NULL, NJ_ACTION_PUBLISH, "a/x", &out);
    assert_false(out.verdict.allowed);
    assert_int_equal(out.edit_count, 0);
    assert_true(out.caution.len > 0);
    nj_explanation_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_role_that_decides_is_named_with_its_entry),
        cmocka_unit_test(what_a_role_denies_wants_an_entry_above_it),
        cmocka_unit_test(what_no_role_says_is_the_default_access),
        cmocka_unit_test(a_client_without_roles_gets_one_that_does_it_and_never_an_administrators),
        cmocka_unit_test(where_no_role_does_it_a_client_gets_one_of_its_own),
        cmocka_unit_test(who_cannot_log_in_is_told_why),
        cmocka_unit_test(anonymous_clients_are_a_matter_of_their_group),
    };
    return cmocka_run_group_tests(tests, open_policy, close_policy);
}
