/* The rules of dynamic security: random changes and a million questions against the naive
 * reference, and what has to hold in particular. */
#include <stdio.h>

#include "base/fault.h"
#include "security/authz.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "security/policy.h"
#include "support/test.h"
#include "unit/security/naive_dynsec.h"

#define ROUNDS    10000
#define QUESTIONS 100
#define CHECK     500 /* rounds between looks at the whole */

static uint32_t dice = 7;

static unsigned roll(unsigned sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 8) % sides;
}

#define ROLES   7
#define GROUPS  4
#define CLIENTS 8
static const char *const role_names[NAIVE_MAX] = {"r", "a", "role", "b", "zz", "R", "m"};
static const char *const group_names[NAIVE_MAX] = {"g", "G", "aa", "z"};
static const char *const client_names[NAIVE_MAX] = {"u", "#", "+", "a/b", "b", "$S", "%u", "x"};
static const char *const client_ids[] = {"c", "u", "+", "b/c", "$S", "%c"};
static const char *const levels[] = {"a",  "b",  "u", "c", "",        "$S",
                                     "%u", "%c", "+", "#", "$CONTROL"};

static void random_filter(char out[NAIVE_TEXT], bool is_name)
{
    size_t len = 0;
    unsigned count = 1 + roll(4);
    for (unsigned i = 0; i < count; i++) {
        const char *level = levels[roll(is_name ? 6 : 11)];
        len += (size_t)snprintf(out + len, NAIVE_TEXT - len, "%s%s", i ? "/" : "", level);
        if (strcmp(level, "#") == 0) {
            break;
        }
    }
    if (!len) {
        (void)snprintf(out, NAIVE_TEXT, "a");
    }
}

/* ---- both models side by side */

struct pair {
    struct naive naive;
    struct nj_dynsec_principals *principals;
    struct nj_dynsec_state *state;
    struct nj_dynsec_edit edit;
};

static int random_priority(void)
{
    static const int priorities[] = {-1, -1, -1, 0, 1, 5, -100000, 100000};
    return priorities[roll(8)];
}

static void change_role(struct pair *pair)
{
    unsigned at = roll(ROLES);
    struct naive_role *naive = &pair->naive.roles[at];
    if (naive->is_there && roll(4) == 0) {
        assert_int_equal(nj_dynsec_step_role_gone(&pair->edit, nj_bytes_of(role_names[at])), NJ_OK);
        memset(naive, 0, sizeof(*naive));
        /* One that is made later is another one: nobody has it. */
        for (int i = 0; i < NAIVE_MAX; i++) {
            pair->naive.groups[i].roles.has[at] = false;
            pair->naive.clients[i].roles.has[at] = false;
        }
        return;
    }
    struct nj_dynsec_acl acls[NAIVE_MAX];
    struct nj_dynsec_role role;
    memset(&role, 0, sizeof(role));
    *naive = (struct naive_role){.is_there = true, .wildcards = roll(3) > 0};
    int wanted = (int)roll(10);
    while (naive->acl_count < wanted) {
        struct naive_acl *acl = &naive->acls[naive->acl_count];
        acl->type = (int)roll(NAIVE_TYPES);
        acl->priority = random_priority();
        acl->allow = roll(2);
        random_filter(acl->topic, false);
        bool is_twice = false;
        for (int i = 0; i < naive->acl_count; i++) {
            is_twice |=
                naive->acls[i].type == acl->type && strcmp(naive->acls[i].topic, acl->topic) == 0;
        }
        naive->acl_count += !is_twice;
    }
    for (int i = 0; i < naive->acl_count; i++) {
        acls[i] = (struct nj_dynsec_acl){nj_bytes_of(naive->acls[i].topic), naive->acls[i].priority,
                                         (uint8_t)naive->acls[i].type, naive->acls[i].allow};
    }
    role.name = nj_bytes_of(role_names[at]);
    role.allow_wildcard_subs = naive->wildcards;
    role.acls = acls;
    role.acl_count = (uint32_t)naive->acl_count;
    assert_int_equal(nj_dynsec_step_role(&pair->edit, &role), NJ_OK);
}

static uint32_t random_roles(struct pair *pair, struct naive_refs *naive,
                             struct nj_dynsec_ref refs[NAIVE_MAX])
{
    uint32_t count = 0;
    memset(naive, 0, sizeof(*naive));
    for (unsigned i = 0; i < ROLES; i++) {
        const struct nj_dynsec_role *role =
            nj_dynsec_role(pair->edit.state, nj_bytes_of(role_names[i]));
        if (role && roll(3) == 0) {
            naive->has[i] = true;
            naive->priority[i] = random_priority();
            refs[count++] = (struct nj_dynsec_ref){role->id, naive->priority[i]};
        }
    }
    return count;
}

static void change_group(struct pair *pair)
{
    unsigned at = roll(GROUPS);
    struct naive_group *naive = &pair->naive.groups[at];
    struct nj_dynsec_ref refs[NAIVE_MAX];
    struct nj_dynsec_group group;
    if (naive->is_there && roll(4) == 0) {
        assert_int_equal(nj_dynsec_step_group_gone(&pair->edit, nj_bytes_of(group_names[at])),
                         NJ_OK);
        memset(naive, 0, sizeof(*naive));
        for (int i = 0; i < NAIVE_MAX; i++) {
            pair->naive.clients[i].groups.has[at] = false;
        }
        pair->naive.anonymous = pair->naive.anonymous == (int)at ? -1 : pair->naive.anonymous;
        return;
    }
    memset(&group, 0, sizeof(group));
    naive->is_there = true;
    group.name = nj_bytes_of(group_names[at]);
    group.role_count = random_roles(pair, &naive->roles, refs);
    group.roles = refs;
    assert_int_equal(nj_dynsec_step_group(&pair->edit, &group), NJ_OK);
}

static void change_client(struct pair *pair)
{
    unsigned at = roll(CLIENTS);
    struct naive_client *naive = &pair->naive.clients[at];
    struct nj_dynsec_ref refs[NAIVE_MAX];
    struct nj_dynsec_client client;
    if (naive->is_there && roll(5) == 0) {
        assert_int_equal(nj_dynsec_step_client_gone(&pair->edit, nj_bytes_of(client_names[at])),
                         NJ_OK);
        memset(naive, 0, sizeof(*naive));
        return;
    }
    memset(&client, 0, sizeof(client));
    naive->is_there = true;
    client.name = nj_bytes_of(client_names[at]);
    client.role_count = random_roles(pair, &naive->roles, refs);
    client.roles = refs;
    assert_int_equal(nj_dynsec_step_client(&pair->edit, &client), NJ_OK);
}

static void change_membership(struct pair *pair)
{
    unsigned group = roll(GROUPS);
    unsigned client = roll(CLIENTS);
    struct naive_refs *naive = &pair->naive.clients[client].groups;
    bool is_there = pair->naive.groups[group].is_there && pair->naive.clients[client].is_there;
    struct nj_bytes group_name = nj_bytes_of(group_names[group]);
    struct nj_bytes client_name = nj_bytes_of(client_names[client]);
    if (is_there && naive->has[group] && roll(2)) {
        assert_int_equal(nj_dynsec_step_leave(&pair->edit, group_name, client_name), NJ_OK);
        naive->has[group] = false;
        return;
    }
    int priority = random_priority();
    enum nj_err err = nj_dynsec_step_join(&pair->edit, group_name, client_name, priority);
    assert_int_equal(err, is_there ? NJ_OK : NJ_ENOENT);
    if (is_there) {
        naive->has[group] = true;
        naive->priority[group] = priority;
    }
}

static void change_rest(struct pair *pair)
{
    if (roll(2)) {
        for (int i = 0; i < 4; i++) {
            pair->naive.defaults[i] = roll(2);
        }
        assert_int_equal(nj_dynsec_step_defaults(&pair->edit, pair->naive.defaults), NJ_OK);
        return;
    }
    int at = (int)roll(GROUPS + 1) - 1;
    if (at >= 0 && !pair->naive.groups[at].is_there) {
        return;
    }
    const struct nj_dynsec_group *group =
        at < 0 ? NULL : nj_dynsec_group(pair->edit.state, nj_bytes_of(group_names[at]));
    assert_int_equal(nj_dynsec_step_anonymous(&pair->edit, group), NJ_OK);
    pair->naive.anonymous = at;
}

/* A change; some are taken back. */
static void change(struct pair *pair)
{
    static void (*const changes[])(struct pair *) = {
        change_role, change_group, change_client, change_membership, change_client, change_rest};
    struct nj_dynsec_mark mark;
    struct naive before = pair->naive;
    assert_int_equal(nj_dynsec_edit_mark(&pair->edit, &mark), NJ_OK);
    unsigned count = 1 + roll(3);
    for (unsigned i = 0; i < count; i++) {
        changes[roll(6)](pair);
    }
    if (roll(6) == 0) {
        nj_dynsec_edit_undo(&pair->edit, &mark);
        pair->naive = before;
    } else {
        nj_dynsec_edit_forget(&mark);
    }
    assert_int_equal(nj_dynsec_step_index(&pair->edit), NJ_OK);
}

/* ---- asking both */

static struct nj_policy *policy_of(struct nj_dynsec_state *state, uint64_t epoch)
{
    const struct nj_scope scope = {
        .dynsec = nj_dynsec_state_ref(state),
        .share_as_whole = true,
        .allow_anonymous = true,
    };
    return nj_policy_new(epoch, &scope, 1);
}

static const enum nj_action actions[] = {NJ_ACTION_PUBLISH, NJ_ACTION_DELIVER, NJ_ACTION_SUBSCRIBE,
                                         NJ_ACTION_UNSUBSCRIBE};

static void ask(struct pair *pair, const struct nj_policy *policy, struct nj_subject *subjects)
{
    char topic[NAIVE_TEXT];
    char text[256];
    struct nj_verdict verdict;
    int client = (int)roll(CLIENTS + 1) - 1;
    unsigned id = roll(6);
    unsigned access = roll(4);
    struct nj_subject *subject = &subjects[(client + 1) * 6 + (int)id];
    random_filter(topic, access < 2);
    nj_authz(policy, subject, actions[access], nj_bytes_of(topic), &verdict);
    bool expected =
        naive_allows(&pair->naive, client, client_ids[id], (enum naive_access)access, topic);
    if (verdict.allowed != expected) {
        print_error("user %s id %s access %u topic %s: %d, reference %d (%s)\n",
                    client < 0 ? "-" : client_names[client], client_ids[id], access, topic,
                    verdict.allowed, expected,
                    nj_policy_describe(policy, 0, &verdict, text, sizeof(text)));
        fail();
    }
    /* Why has always words, and they name the role. */
    const char *why = nj_policy_describe(policy, 0, &verdict, text, sizeof(text));
    assert_true(*why);
    assert_int_equal(verdict.reason == NJ_VERDICT_ROLE, strncmp(why, "role ", 5) == 0);
}

static void subjects_init(struct nj_subject *subjects)
{
    for (int client = -1; client < CLIENTS; client++) {
        for (int id = 0; id < 6; id++) {
            nj_subject_init(&subjects[(client + 1) * 6 + id],
                            client < 0 ? nj_bytes(NULL, 0) : nj_bytes_of(client_names[client]),
                            nj_bytes_of(client_ids[id]), 0);
        }
    }
}

/* The file, and the log from where it was last looked at, give the same state again. */
static struct nj_dynsec_state *check_whole(struct pair *pair, struct nj_dynsec_state *base)
{
    struct nj_buf text = {NULL, 0, 0};
    struct nj_buf again = {NULL, 0, 0};
    struct nj_buf replayed = {NULL, 0, 0};
    struct nj_dynsec_load load = {.knows_all_keys = true};
    struct nj_dynsec_state *loaded;
    struct nj_dynsec_edit edit;
    assert_int_equal(nj_dynsec_save(pair->edit.state, NJ_DYNSEC_FORM_21, &text), NJ_OK);
    assert_int_equal(nj_dynsec_load(nj_buf_bytes(&text), pair->principals, &load, &loaded), NJ_OK);
    assert_int_equal(load.unknown_refs, 0);
    assert_int_equal(nj_dynsec_save(loaded, NJ_DYNSEC_FORM_21, &again), NJ_OK);
    assert_true(nj_bytes_equal(nj_buf_bytes(&text), nj_buf_bytes(&again)));
    assert_int_equal(nj_dynsec_edit_init(&edit, base), NJ_OK);
    assert_int_equal(nj_dynsec_edit_replay(&edit, nj_buf_bytes(&pair->edit.log)), NJ_OK);
    assert_int_equal(edit.log.len, 0);
    assert_int_equal(nj_dynsec_save(edit.state, NJ_DYNSEC_FORM_21, &replayed), NJ_OK);
    assert_true(nj_bytes_equal(nj_buf_bytes(&text), nj_buf_bytes(&replayed)));
    nj_dynsec_edit_fini(&edit);
    nj_buf_fini(&text);
    nj_buf_fini(&again);
    nj_buf_fini(&replayed);
    nj_dynsec_state_unref(base);
    pair->edit.log.len = 0;
    return loaded;
}

static void a_million_decisions_equal_the_references(void **state)
{
    static struct pair pair;
    static struct nj_subject subjects[(CLIENTS + 1) * 6];
    (void)state;
    pair.naive = (struct naive){
        .role_names = role_names,
        .group_names = group_names,
        .client_names = client_names,
        .defaults = {false, true, false, true},
        .anonymous = -1,
    };
    pair.principals = nj_dynsec_principals_new();
    pair.state = nj_dynsec_state_new(pair.principals);
    assert_int_equal(nj_dynsec_edit_init(&pair.edit, pair.state), NJ_OK);
    struct nj_dynsec_state *base = nj_dynsec_state_ref(pair.state);
    subjects_init(subjects);
    for (int round = 1; round <= ROUNDS; round++) {
        change(&pair);
        struct nj_dynsec_state *version = nj_dynsec_state_copy(pair.edit.state);
        struct nj_policy *policy = policy_of(version, (uint64_t)round);
        for (int i = 0; i < QUESTIONS; i++) {
            ask(&pair, policy, subjects);
        }
        nj_policy_unref(policy);
        nj_dynsec_state_unref(version);
        if (round % CHECK == 0) {
            base = check_whole(&pair, base);
        }
    }
    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
        nj_subject_fini(&subjects[i]);
    }
    /* Nobody holds rules that nobody can ask any more. */
    assert_int_equal(nj_dynsec_principals_count(pair.principals), 0);
    nj_dynsec_state_unref(base);
    nj_dynsec_edit_fini(&pair.edit);
    nj_dynsec_state_unref(pair.state);
    nj_dynsec_principals_unref(pair.principals);
}

/* ---- in particular */

static struct nj_policy *policy_of_text(const char *text)
{
    struct nj_dynsec_load load = {.knows_all_keys = true};
    struct nj_dynsec_state *state;
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    if (nj_dynsec_load(nj_bytes_of(text), principals, &load, &state) != NJ_OK) {
        print_error("%s\n", load.error);
        fail();
    }
    const struct nj_scope scope = {.dynsec = state};
    nj_dynsec_principals_unref(principals);
    return nj_policy_new(1, &scope, 1);
}

static const char *why_of(const struct nj_policy *policy, const char *user, enum nj_action action,
                          const char *topic, bool *allowed)
{
    static char text[256];
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, nj_bytes_of(user), NJ_BYTES_LIT("id"), 0);
    nj_authz(policy, &subject, action, nj_bytes_of(topic), &verdict);
    nj_subject_fini(&subject);
    *allowed = verdict.allowed;
    return nj_policy_describe(policy, 0, &verdict, text, sizeof(text));
}

static void each_verdict_names_role_and_entry(void **state)
{
    static const struct {
        enum nj_action action;
        const char *topic;
        bool allowed;
        const char *why;
    } cases[] = {
        {NJ_ACTION_PUBLISH, "a/b", true, "role r: publishClientSend a/# allow (priority 5)"},
        {NJ_ACTION_WILL, "a/b", true, "role r: publishClientSend a/# allow (priority 5)"},
        {NJ_ACTION_PUBLISH, "a/x", false, "role r: publishClientSend a/x deny (priority 9)"},
        {NJ_ACTION_PUBLISH, "b", false, "no role says anything (default ACL access)"},
        {NJ_ACTION_DELIVER, "b", true, "no role says anything (default ACL access)"},
        {NJ_ACTION_SUBSCRIBE, "l", true, "role s: subscribeLiteral l allow (priority 0)"},
        {NJ_ACTION_SUBSCRIBE, "l/#", false, "role s: allowwildcardsubs false"},
        {NJ_ACTION_UNSUBSCRIBE, "l/#", true, "no role says anything (default ACL access)"},
        {NJ_ACTION_PUBLISH, "$CONTROL/x/v1", false, "no role says anything (default ACL access)"},
        {NJ_ACTION_PUBLISH, "$SYS/x", false, "reserved topic"},
        {NJ_ACTION_WILL, "$CONTROL/c", false, "reserved topic"},
        {NJ_ACTION_PUBLISH, "$CONTROL/c", true,
         "role r: publishClientSend $CONTROL/c allow (priority 0)"},
    };
    struct nj_policy *policy = policy_of_text(
        "{\"defaultACLAccess\":{\"publishClientReceive\":true,\"unsubscribe\":true},"
        "\"clients\":[{\"username\":\"u\",\"roles\":[{\"rolename\":\"r\",\"priority\":2},"
        "{\"rolename\":\"s\"}]}],\"roles\":[{\"rolename\":\"r\",\"acls\":["
        "{\"acltype\":\"publishClientSend\",\"topic\":\"a/#\",\"priority\":5,\"allow\":true},"
        "{\"acltype\":\"publishClientSend\",\"topic\":\"$CONTROL/c\",\"allow\":true},"
        "{\"acltype\":\"publishClientSend\",\"topic\":\"a/x\",\"priority\":9}]},"
        "{\"rolename\":\"s\",\"allowwildcardsubs\":false,\"acls\":["
        "{\"acltype\":\"subscribeLiteral\",\"topic\":\"l\",\"allow\":true},"
        "{\"acltype\":\"subscribePattern\",\"topic\":\"#\",\"allow\":true}]}]}");
    bool allowed;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *why = why_of(policy, "u", cases[i].action, cases[i].topic, &allowed);
        assert_string_equal(why, cases[i].why);
        assert_int_equal(allowed, cases[i].allowed);
    }
    assert_string_equal(why_of(policy, "nobody", NJ_ACTION_DELIVER, "b", &allowed),
                        "dynamic security does not know the user");
    assert_false(allowed);
    nj_policy_unref(policy);
}

static void L_017_names_with_wildcards_widen_no_pattern(void **state)
{
    static const char *const users[] = {"#", "+", "a/#", "a/+", "+/b", "a/b", "$CONTROL"};
    bool allowed;
    (void)state;
    struct nj_policy *policy =
        policy_of_text("{\"defaultACLAccess\":{},\"clients\":["
                       "{\"username\":\"#\",\"roles\":[{\"rolename\":\"r\"}]},"
                       "{\"username\":\"+\",\"roles\":[{\"rolename\":\"r\"}]},"
                       "{\"username\":\"a/#\",\"roles\":[{\"rolename\":\"r\"}]},"
                       "{\"username\":\"a/+\",\"roles\":[{\"rolename\":\"r\"}]},"
                       "{\"username\":\"+/b\",\"roles\":[{\"rolename\":\"r\"}]},"
                       "{\"username\":\"a/b\",\"roles\":[{\"rolename\":\"r\"}]},"
                       "{\"username\":\"$CONTROL\",\"roles\":[{\"rolename\":\"r\"}]}],"
                       "\"roles\":[{\"rolename\":\"r\",\"acls\":["
                       "{\"acltype\":\"publishClientSend\",\"topic\":\"p/%u/#\",\"allow\":true},"
                       "{\"acltype\":\"publishClientSend\",\"topic\":\"%u/#\",\"allow\":true},"
                       "{\"acltype\":\"subscribePattern\",\"topic\":\"p/%u/#\",\"allow\":true},"
                       "{\"acltype\":\"subscribePattern\",\"topic\":\"%u\",\"allow\":true}]}]}");
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]) - 1; i++) {
        (void)why_of(policy, users[i], NJ_ACTION_PUBLISH, "p/a/b", &allowed);
        assert_false(allowed);
        (void)why_of(policy, users[i], NJ_ACTION_PUBLISH, "a/b/c", &allowed);
        assert_false(allowed);
        (void)why_of(policy, users[i], NJ_ACTION_SUBSCRIBE, "p/#", &allowed);
        assert_false(allowed);
        (void)why_of(policy, users[i], NJ_ACTION_SUBSCRIBE, users[i], &allowed);
        assert_false(allowed);
    }
    /* A user called $CONTROL does not own the control APIs. */
    (void)why_of(policy, "$CONTROL", NJ_ACTION_PUBLISH, "$CONTROL/dynamic-security/v1", &allowed);
    assert_false(allowed);
    (void)why_of(policy, "$CONTROL", NJ_ACTION_PUBLISH, "p/$CONTROL/x", &allowed);
    assert_true(allowed);
    nj_policy_unref(policy);
}

static void L_032_a_new_client_without_a_role_may_only_connect(void **state)
{
    bool allowed;
    (void)state;
    struct nj_policy *policy =
        policy_of_text("{\"defaultACLAccess\":{\"publishClientReceive\":true,"
                       "\"unsubscribe\":true},\"clients\":[{\"username\":\"u\"}]}");
    (void)why_of(policy, "u", NJ_ACTION_PUBLISH, "a", &allowed);
    assert_false(allowed);
    (void)why_of(policy, "u", NJ_ACTION_SUBSCRIBE, "a", &allowed);
    assert_false(allowed);
    (void)why_of(policy, "u", NJ_ACTION_SUBSCRIBE, "$SYS/#", &allowed); /* L-022 */
    assert_false(allowed);
    nj_policy_unref(policy);
}

static void running_out_of_memory_means_no(void **state)
{
    bool allowed;
    (void)state;
    struct nj_policy *policy = policy_of_text(
        "{\"defaultACLAccess\":{\"publishClientSend\":true},\"clients\":[{\"username\":\"u\","
        "\"roles\":[{\"rolename\":\"r\"}]}],\"roles\":[{\"rolename\":\"r\",\"acls\":["
        "{\"acltype\":\"publishClientSend\",\"topic\":\"a\",\"allow\":false}]}]}");
    for (uint64_t nth = 1; nth < 12; nth++) {
        nj_fault_arm(NJ_FAULT_ALLOC, nth, true);
        (void)why_of(policy, "u", NJ_ACTION_PUBLISH, "a", &allowed);
        nj_fault_disarm();
        assert_false(allowed);
    }
    (void)why_of(policy, "u", NJ_ACTION_PUBLISH, "b", &allowed);
    assert_true(allowed);
    nj_policy_unref(policy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_decisions_equal_the_references),
        cmocka_unit_test(each_verdict_names_role_and_entry),
        cmocka_unit_test(L_017_names_with_wildcards_widen_no_pattern),
        cmocka_unit_test(L_032_a_new_client_without_a_role_may_only_connect),
        cmocka_unit_test(running_out_of_memory_means_no),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
