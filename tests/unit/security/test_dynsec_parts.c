/* Parts of dynamic security that are small, or that only many roles show: generated secrets, who a
 * change concerns, principals with more roles than fit without memory, many principals. */
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_file.h"
#include "security/dynsec_kick.h"
#include "security/dynsec_principal.h"
#include "security/dynsec_secret.h"
#include "security/login.h"
#include "security/policy.h"
#include "support/test.h"

static struct nj_dynsec_state *state_of(struct nj_bytes text)
{
    struct nj_dynsec_load load = {.knows_all_keys = true};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_dynsec_state *state;
    if (nj_dynsec_load(text, principals, &load, &state) != NJ_OK) {
        print_error("%s\n", load.error);
        fail();
    }
    nj_dynsec_principals_unref(principals);
    return state;
}

static void secrets_are_known_by_their_form(void **state)
{
    char secret[NJ_DYNSEC_SECRET_LEN + 1];
    char other[NJ_DYNSEC_SECRET_LEN + 1];
    (void)state;
    nj_dynsec_secret_make(secret);
    nj_dynsec_secret_make(other);
    assert_string_not_equal(secret, other);
    assert_true(nj_dynsec_secret_is_well_formed(nj_bytes_of(secret)));
    assert_false(nj_dynsec_secret_is_well_formed(nj_bytes(secret, NJ_DYNSEC_SECRET_LEN - 1)));
    for (size_t i = 0; i < NJ_DYNSEC_SECRET_LEN; i++) {
        char kept = secret[i];
        secret[i] = kept == 'a' ? 'b' : 'a';
        assert_false(nj_dynsec_secret_is_well_formed(nj_bytes_of(secret)));
        secret[i] = '!';
        assert_false(nj_dynsec_secret_is_well_formed(nj_bytes_of(secret)));
        secret[i] = kept;
    }
}

/* ---- who is concerned */

static const char people[] =
    "{\"anonymousGroup\":\"g\",\"clients\":[{\"username\":\"a\",\"roles\":[{\"rolename\":\"r\"}]},"
    "{\"username\":\"m\",\"groups\":[{\"groupname\":\"g\"}]},{\"username\":\"n\"}],"
    "\"groups\":[{\"groupname\":\"g\",\"roles\":[{\"rolename\":\"s\"}]},{\"groupname\":\"h\"}],"
    "\"roles\":[{\"rolename\":\"r\"},{\"rolename\":\"s\"},{\"rolename\":\"t\"}]}";

/* The concerned of "a", "m", "n" and the anonymous, as letters; '-' for the latter. */
static void assert_concerned(struct nj_dynsec_kick *kick, const char *expected)
{
    static const char *const names[] = {"a", "m", "n", "x"};
    for (unsigned round = 0; round < 2; round++) {
        char found[8] = "";
        for (size_t i = 0; i < 4; i++) {
            if (nj_dynsec_kick_concerns(kick, nj_bytes_of(names[i]))) {
                (void)strcat(found, names[i]);
            }
        }
        if (nj_dynsec_kick_concerns(kick, nj_bytes(NULL, 0))) {
            (void)strcat(found, "-");
        }
        assert_string_equal(found, expected);
        nj_dynsec_kick_seal(kick); /* finds the same, only faster */
    }
    nj_dynsec_kick_free(kick);
}

static void of_the_same_references_the_first_stays(void **unused)
{
    struct nj_dynsec_ref refs[] = {{7, 1}, {3, 2}, {7, 3}, {9, 4}, {3, 5}, {3, 6}, {8, 7}};
    static const struct nj_dynsec_ref kept[] = {{7, 1}, {3, 2}, {9, 4}, {8, 7}};
    uint32_t count = sizeof(refs) / sizeof(refs[0]);
    (void)unused;
    assert_int_equal(nj_dynsec_refs_unique(refs, &count), NJ_OK);
    assert_int_equal(count, 4);
    assert_memory_equal(refs, kept, sizeof(kept));
    count = 0;
    assert_int_equal(nj_dynsec_refs_unique(refs, &count), NJ_OK);
    assert_int_equal(count, 0);
}

static void C5_a_change_concerns_holders_members_and_the_anonymous(void **unused)
{
    struct nj_dynsec_state *state = state_of(nj_bytes_of(people));
    struct nj_dynsec_kick *kick;
    static const struct {
        const char *role;
        const char *concerned;
    } roles[] = {{"r", "a"}, {"s", "m-"}, {"t", ""}};
    (void)unused;
    for (size_t i = 0; i < 3; i++) {
        kick = nj_dynsec_kick_new();
        uint32_t id = nj_dynsec_role(state, nj_bytes_of(roles[i].role))->id;
        assert_int_equal(nj_dynsec_kick_role(kick, state, id), NJ_OK);
        assert_concerned(kick, roles[i].concerned);
    }
    kick = nj_dynsec_kick_new();
    uint32_t id = nj_dynsec_group(state, NJ_BYTES_LIT("g"))->id;
    assert_int_equal(nj_dynsec_kick_group(kick, state, id), NJ_OK);
    assert_concerned(kick, "m-");
    kick = nj_dynsec_kick_new();
    id = nj_dynsec_group(state, NJ_BYTES_LIT("h"))->id;
    assert_int_equal(nj_dynsec_kick_group(kick, state, id), NJ_OK);
    assert_concerned(kick, "");
    kick = nj_dynsec_kick_new();
    assert_int_equal(nj_dynsec_kick_anonymous(kick), NJ_OK);
    assert_concerned(kick, "-");
    kick = nj_dynsec_kick_new();
    assert_int_equal(nj_dynsec_kick_client(kick, NJ_BYTES_LIT("n")), NJ_OK);
    assert_concerned(kick, "n");
    kick = nj_dynsec_kick_new();
    assert_int_equal(nj_dynsec_kick_client(kick, NJ_BYTES_LIT("n")), NJ_OK);
    assert_int_equal(nj_dynsec_kick_anonymous(kick), NJ_OK);
    nj_dynsec_kick_cut(kick, 1);
    assert_concerned(kick, "n");
    kick = nj_dynsec_kick_new();
    id = nj_dynsec_role(state, NJ_BYTES_LIT("s"))->id;
    assert_int_equal(nj_dynsec_kick_client(kick, NJ_BYTES_LIT("x")), NJ_OK);
    assert_int_equal(nj_dynsec_kick_role(kick, state, id), NJ_OK);
    assert_int_equal(nj_dynsec_kick_client(kick, NJ_BYTES_LIT("n")), NJ_OK);
    assert_int_equal(nj_dynsec_kick_client(kick, NJ_BYTES_LIT("n")), NJ_OK);
    assert_concerned(kick, "mnx-");
    nj_dynsec_state_unref(state);
}

/* ---- many roles, many principals */

#define OWN_ROLES   150 /* of one client; as many again by its groups */
#define GROUP_ROLES 50
#define GROUPS      3
#define CLIENTS     3000

static void put_refs(struct nj_buf *text, unsigned from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(nj_buf_printf(text, "%s{\"rolename\":\"r%u\"}", i ? "," : "", from + i),
                         NJ_OK);
    }
}

static struct nj_dynsec_state *make_crowd(void)
{
    struct nj_buf text = {NULL, 0, 0};
    unsigned total = OWN_ROLES + GROUPS * GROUP_ROLES;
    assert_int_equal(nj_buf_printf(&text, "{\"clients\":[{\"username\":\"all\",\"roles\":["),
                     NJ_OK);
    put_refs(&text, 0, OWN_ROLES);
    assert_int_equal(nj_buf_printf(&text, "]}"), NJ_OK);
    for (unsigned i = 0; i < CLIENTS; i++) { /* pairs of roles, none twice */
        assert_int_equal(nj_buf_printf(&text,
                                       ",{\"username\":\"c%u\",\"roles\":[{\"rolename\":\"r%u\"},"
                                       "{\"rolename\":\"r%u\"}]}",
                                       i, i % 100, 100 + i / 100),
                         NJ_OK);
    }
    assert_int_equal(nj_buf_printf(&text, "],\"groups\":["), NJ_OK);
    for (unsigned i = 0; i < GROUPS; i++) {
        assert_int_equal(
            nj_buf_printf(&text, "%s{\"groupname\":\"g%u\",\"roles\":[", i ? "," : "", i), NJ_OK);
        put_refs(&text, OWN_ROLES + i * GROUP_ROLES, GROUP_ROLES);
        assert_int_equal(nj_buf_printf(&text, "],\"clients\":[{\"username\":\"all\"}]}"), NJ_OK);
    }
    assert_int_equal(nj_buf_printf(&text, "],\"roles\":["), NJ_OK);
    for (unsigned i = 0; i < total; i++) {
        assert_int_equal(
            nj_buf_printf(&text,
                          "%s{\"rolename\":\"r%u\",\"acls\":[{\"acltype\":\"publishClientSend\","
                          "\"topic\":\"t/%u\",\"allow\":true}]}",
                          i ? "," : "", i, i),
            NJ_OK);
    }
    assert_int_equal(nj_buf_printf(&text, "]}"), NJ_OK);
    struct nj_dynsec_state *state = state_of(nj_buf_bytes(&text));
    nj_buf_fini(&text);
    return state;
}

static bool may_send(const struct nj_dynsec_principal *principal, unsigned topic)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "t/%u", topic);
    const struct nj_dynsec_question question = {.access = NJ_DYNSEC_ACCESS_SEND,
                                                .topic = nj_bytes_of(text)};
    return nj_dynsec_principal_check(principal, &question).allowed;
}

static void any_number_of_roles_and_of_principals_decides(void **unused)
{
    static struct nj_dynsec_principal *each[CLIENTS];
    struct nj_dynsec_state *state = make_crowd();
    struct nj_dynsec_principal *all = NULL;
    enum nj_dynsec_who who;
    (void)unused;
    assert_int_equal(nj_dynsec_principal_refresh(state, NJ_BYTES_LIT("all"), false, &all, &who),
                     NJ_OK);
    unsigned total = OWN_ROLES + GROUPS * GROUP_ROLES;
    assert_int_equal(nj_dynsec_principal_role_count(all), total);
    for (unsigned i = 0; i < total; i++) {
        assert_true(may_send(all, i));
    }
    assert_false(may_send(all, total));
    for (unsigned i = 0; i < CLIENTS; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "c%u", i);
        assert_int_equal(
            nj_dynsec_principal_refresh(state, nj_bytes_of(name), false, &each[i], &who), NJ_OK);
    }
    assert_int_equal(nj_dynsec_principals_count(state->principals), CLIENTS + 1);
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_true(may_send(each[i], i % 100));
        assert_true(may_send(each[i], 100 + i / 100));
        assert_false(may_send(each[i], (i + 1) % 100));
        nj_dynsec_principal_unref(each[i]);
    }
    nj_dynsec_principal_unref(all);
    assert_int_equal(nj_dynsec_principals_count(state->principals), 0);
    nj_dynsec_state_unref(state);
}

/* ---- the certificate group */

static void who_came_by_a_group_that_is_gone_does_not_stay(void **unused)
{
    struct nj_dynsec_state *state =
        state_of(NJ_BYTES_LIT("{\"certificateGroup\":\"g\",\"groups\":[{\"groupname\":\"g\"}]}"));
    struct nj_dynsec_edit edit;
    const struct nj_login_held held = {.user = NJ_BYTES_LIT("stranger"),
                                       .credential = NJ_CREDENTIAL_CERTIFICATE};
    (void)unused;
    assert_int_equal(nj_dynsec_edit_init(&edit, state), NJ_OK);
    assert_int_equal(nj_dynsec_step_group_gone(&edit, NJ_BYTES_LIT("g")), NJ_OK);
    assert_int_equal(edit.state->certificate_group, NJ_DYNSEC_NOBODY);
    assert_int_not_equal(edit.state->identity_version, state->identity_version);
    const struct nj_scope scopes[] = {{.dynsec = nj_dynsec_state_ref(state)},
                                      {.dynsec = nj_dynsec_state_ref(edit.state)}};
    struct nj_policy *policy = nj_policy_new(1, scopes, 2);
    assert_true(nj_login_still_holds(policy, 0, &held));
    assert_false(nj_login_still_holds(policy, 1, &held));
    nj_policy_unref(policy);
    nj_dynsec_edit_fini(&edit);
    nj_dynsec_state_unref(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_known_by_their_form),
        cmocka_unit_test(of_the_same_references_the_first_stays),
        cmocka_unit_test(C5_a_change_concerns_holders_members_and_the_anonymous),
        cmocka_unit_test(any_number_of_roles_and_of_principals_decides),
        cmocka_unit_test(who_came_by_a_group_that_is_gone_does_not_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
