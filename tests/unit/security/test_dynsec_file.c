/* The file of dynamic security: what is read, what is refused and where, what is written. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "support/test.h"

#define SALT12 "AAECAwQFBgcICQoL"
#define KEY64                                                                                      \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="

static struct nj_dynsec_principals *principals;

static enum nj_err load_bytes(struct nj_bytes text, bool knows_all_keys,
                              struct nj_dynsec_load *load, struct nj_dynsec_state **out)
{
    *load = (struct nj_dynsec_load){.knows_all_keys = knows_all_keys};
    return nj_dynsec_load(text, principals, load, out);
}

static struct nj_dynsec_state *good(const char *text)
{
    struct nj_dynsec_load load;
    struct nj_dynsec_state *state;
    enum nj_err err = load_bytes(nj_bytes_of(text), true, &load, &state);
    if (err != NJ_OK) {
        print_error("%s: %s\n", nj_err_name(err), load.error);
        fail();
    }
    return state;
}

static char *save(const struct nj_dynsec_state *state, enum nj_dynsec_form form)
{
    struct nj_buf text = {NULL, 0, 0};
    assert_int_equal(nj_dynsec_save(state, form, &text), NJ_OK);
    char *copy = nj_bytes_dup(nj_buf_bytes(&text));
    nj_buf_fini(&text);
    return copy;
}

static const char whole[] =
    "{\"changeIndex\":17,\n"
    "\"defaultACLAccess\":{\"publishClientSend\":true,\"publishClientReceive\":false,"
    "\"subscribe\":true,\"unsubscribe\":false},\n"
    "\"anonymousGroup\":\"g\",\"certificateGroup\":\"h\",\n"
    "\"clients\":[{\"username\":\"u\",\"clientid\":\"i\",\"textname\":\"n\","
    "\"textdescription\":\"d\",\"disabled\":true,\"certificateLogin\":true,"
    "\"encoded_password\":\"$7$101$" SALT12 "$" KEY64 "\","
    "\"roles\":[{\"rolename\":\"r\",\"priority\":-5},{\"rolename\":\"s\"}],"
    "\"groups\":[{\"groupname\":\"h\",\"priority\":3}]},\n"
    "{\"username\":\"v\",\"roles\":[]}],\n"
    "\"groups\":[{\"groupname\":\"g\",\"textname\":\"\",\"textdescription\":\"t\","
    "\"roles\":[{\"rolename\":\"r\"}],\"clients\":[{\"username\":\"v\"},"
    "{\"username\":\"u\",\"priority\":7}]},{\"groupname\":\"h\"}],\n"
    "\"roles\":[{\"rolename\":\"r\",\"allowwildcardsubs\":false,\"acls\":["
    "{\"acltype\":\"publishClientSend\",\"topic\":\"a\",\"priority\":1,\"allow\":true},"
    "{\"acltype\":\"publishClientSend\",\"topic\":\"b\",\"priority\":2,\"allow\":false}]},"
    "{\"rolename\":\"s\"}]}";

static void all_parts_are_read(void **state)
{
    struct nj_dynsec_state *all = good(whole);
    const struct nj_dynsec_client *u = nj_dynsec_client(all, NJ_BYTES_LIT("u"));
    const struct nj_dynsec_group *g = nj_dynsec_group(all, NJ_BYTES_LIT("g"));
    const struct nj_dynsec_group *h = nj_dynsec_group(all, NJ_BYTES_LIT("h"));
    const struct nj_dynsec_role *r = nj_dynsec_role(all, NJ_BYTES_LIT("r"));
    (void)state;
    assert_int_equal(all->change_index, 17);
    assert_true(all->defaults[NJ_DYNSEC_ACCESS_SEND] && all->defaults[NJ_DYNSEC_ACCESS_SUBSCRIBE]);
    assert_false(all->defaults[NJ_DYNSEC_ACCESS_RECEIVE]);
    assert_int_equal(all->anonymous_group, g->id);
    assert_int_equal(all->certificate_group, h->id);
    assert_true(u->is_disabled && u->may_use_certificate);
    assert_int_equal(u->role_count, 2);
    assert_int_equal(u->roles[1].priority, -5); /* -1 of "s" comes first */
    assert_int_equal(u->group_count, 2);
    assert_int_equal(u->groups[0].id, g->id);
    assert_int_equal(u->groups[0].priority, 7);
    assert_int_equal(nj_pmap_count(&g->members), 2);
    assert_int_equal(nj_pmap_count(&h->members), 1);
    assert_int_equal(r->acl_count, 2);
    assert_int_equal(r->acls[0].priority, 2); /* highest first */
    assert_false(r->allow_wildcard_subs);
    assert_true(nj_dynsec_role(all, NJ_BYTES_LIT("s"))->allow_wildcard_subs);
    assert_non_null(g->text_name.ptr);
    assert_null(h->text_name.ptr);
    nj_dynsec_state_unref(all);
}

static void the_form_of_2_0_is_read_and_written(void **state)
{
    (void)state;
    struct nj_dynsec_state *old =
        good("{\"defaultACLAccess\":{},\"clients\":[{\"username\":\"u\",\"password\":\"" KEY64
             "\",\"salt\":\"" SALT12 "\",\"iterations\":101,\"roles\":[]},"
             "{\"username\":\"s\",\"encoded_password\":\"$6$" SALT12 "$" KEY64 "\"}]}");
    const struct nj_dynsec_client *u = nj_dynsec_client(old, NJ_BYTES_LIT("u"));
    assert_true(nj_bytes_equal(u->hash, NJ_BYTES_LIT("$7$101$" SALT12 "$" KEY64)));
    assert_true(nj_dynsec_has_form_20(u));
    assert_false(nj_dynsec_has_form_20(nj_dynsec_client(old, NJ_BYTES_LIT("s"))));
    char *new_form = save(old, NJ_DYNSEC_FORM_21);
    char *old_form = save(old, NJ_DYNSEC_FORM_20);
    assert_non_null(strstr(new_form, "\"encoded_password\":\t\"$7$101$" SALT12 "$" KEY64 "\""));
    assert_null(strstr(new_form, "iterations"));
    assert_non_null(strstr(old_form, "\"password\":\t\"" KEY64 "\""));
    assert_non_null(strstr(old_form, "\"iterations\":\t101"));
    assert_null(strstr(old_form, "encoded_password"));
    assert_null(strstr(old_form, "changeIndex"));
    struct nj_dynsec_state *again = good(old_form);
    assert_int_equal(nj_pmap_count(&again->clients), 2);
    nj_dynsec_state_unref(again);
    nj_dynsec_state_unref(old);
    nj_free(new_form);
    nj_free(old_form);
}

static void files_look_as_the_original_writes_them(void **state)
{
    static const char expected[] = "{\n\t\"changeIndex\":\t0,\n\t\"defaultACLAccess\":\t{\n"
                                   "\t\t\"publishClientSend\":\tfalse,\n"
                                   "\t\t\"publishClientReceive\":\tfalse,\n"
                                   "\t\t\"subscribe\":\tfalse,\n"
                                   "\t\t\"unsubscribe\":\tfalse\n\t},\n"
                                   "\t\"clients\":\t[{\n\t\t\t\"username\":\t\"a\\\"b\\\\\",\n"
                                   "\t\t\t\"roles\":\t[{\n\t\t\t\t\t\"rolename\":\t\"r\"\n"
                                   "\t\t\t\t}]\n\t\t}, {\n\t\t\t\"username\":\t\"\xc3\xa4\",\n"
                                   "\t\t\t\"roles\":\t[]\n\t\t}],\n"
                                   "\t\"groups\":\t[],\n\t\"roles\":\t[{\n"
                                   "\t\t\t\"rolename\":\t\"r\",\n"
                                   "\t\t\t\"allowwildcardsubs\":\ttrue,\n\t\t\t\"acls\":\t[]\n"
                                   "\t\t}]\n}";
    (void)state;
    struct nj_dynsec_state *all =
        good("{\"defaultACLAccess\":{},\"clients\":[{\"username\":\"\xc3\xa4\"},"
             "{\"username\":\"a\\\"b\\\\\",\"roles\":[{\"rolename\":\"r\"}]}],"
             "\"roles\":[{\"rolename\":\"r\"}]}");
    char *text = save(all, NJ_DYNSEC_FORM_21);
    assert_string_equal(text, expected);
    nj_free(text);
    nj_dynsec_state_unref(all);
}

static void what_refers_to_nothing_is_left_out_and_counted(void **state)
{
    struct nj_dynsec_load load;
    struct nj_dynsec_state *all;
    (void)state;
    assert_int_equal(
        load_bytes(
            NJ_BYTES_LIT("{\"clients\":[{\"username\":\"u\",\"roles\":[{\"rolename\":\"x\"}],"
                         "\"groups\":[{\"groupname\":\"y\"}]}],\"groups\":[{\"groupname\":"
                         "\"g\",\"clients\":[{\"username\":\"z\"},{\"username\":\"u\"},"
                         "{\"username\":\"u\",\"priority\":1}]}],"
                         "\"anonymousGroup\":\"no\"}"),
            true, &load, &all),
        NJ_OK);
    assert_int_equal(load.unknown_refs, 4);
    assert_int_equal(nj_dynsec_client(all, NJ_BYTES_LIT("u"))->group_count, 1);
    nj_dynsec_state_unref(all);
}

/* ---- what is refused */

static void B_276_bad_files_are_refused_with_line_and_column(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"", "line 1, column 1: the file ends where '{' has to stand"},
        {"[]", "line 1, column 1: '{' has to stand here"},
        {"null", "line 1, column 1: '{' has to stand here"},
        {"\"x\"", "line 1, column 1: '{' has to stand here"},
        {"{", "line 1, column 2: a key has to stand here"},
        {"{}x", "line 1, column 3: nothing may stand behind the last '}'"},
        {"{\n  \"clients\": 5\n}", "line 2, column 14: \"clients\" has to be a list"},
        {"{\n \"unknown\": 5}", "line 2, column 2: the key \"unknown\" is not known here"},
        {"{\"roles\":[],\n\"roles\":[]}", "line 2, column 1: \"roles\" stands here a second time"},
        {"{\"clients\":[{\"username\":\"a\",\"username\":\"b\"}]}", "line 1, column 39: duplicate"},
        {"{\"clients\":[{\"username\":\"a\"},\n{\"username\":\"b\"},\n {\"username\":\"a\"}]}",
         "the client \"a\" is there a second time"},
        {"{\"roles\":[{\"rolename\":\"a\"},\n  {\"rolename\":\"a\"}]}",
         "line 2, column 3: entry 2 of \"roles\": the role \"a\" is there a second time"},
        {"{\"groups\":[{\"groupname\":\"a\"},{\"groupname\":\"a\"}]}",
         "the group \"a\" is there a second time"},
        {"{\"roles\":[{\"rolename\":\"a\",\"acls\":[{\"acltype\":\"x\",\"topic\":\"t\"}]}]}",
         "\"x\" is no acltype"},
        {"{\"roles\":[{\"rolename\":\"a\",\"acls\":[{\"acltype\":\"publishClientSend\","
         "\"topic\":\"a#\"}]}]}",
         "\"topic\" is no topic filter"},
        {"{\"roles\":[{\"rolename\":\"a\",\"acls\":[{\"acltype\":\"publishClientSend\","
         "\"topic\":\"t\",\"allow\":\"true\"}]}]}",
         "\"allow\" has to be true or false"},
        {"{\"roles\":[{\"rolename\":\"a\",\"acls\":[{\"acltype\":\"publishClientSend\","
         "\"topic\":\"t\"},{\"acltype\":\"publishClientSend\",\"topic\":\"t\"}]}]}",
         "two ACL entries for the same acltype and topic"},
        {"{\"clients\":[{\"username\":\"\"}]}", "\"username\" is missing or empty"},
        {"{\"clients\":[{}]}", "\"username\" is missing or empty"},
        {"{\"clients\":[{\"username\":\"a\\u0000b\"}]}", "line 1"},
        {"{\"clients\":[{\"username\":\"\\ud800\"}]}", "line 1"},
        {"{\"clients\":[{\"username\":\"\xff\"}]}", "line 1"},
        {"{\"clients\":[{\"username\":\"a\",\"encoded_password\":\"plain\"}]}",
         "the password hash cannot be read"},
        {"{\"clients\":[{\"username\":\"a\",\"password\":\"" KEY64 "\"}]}",
         "\"password\", \"salt\" and \"iterations\" belong together"},
        {"{\"changeIndex\":1e99}", "line 1, column 16"},
        {"{\"changeIndex\":-1}", "\"changeIndex\" has to be a whole number"},
        {"{\"changeIndex\":99999999999999999999999999}", "line 1"},
        {"{\"anonymousGroup\":7}", "the name of a group has to stand here"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nj_dynsec_load load;
        struct nj_dynsec_state *all;
        assert_int_equal(load_bytes(nj_bytes_of(cases[i].text), true, &load, &all), NJ_EMALFORMED);
        if (!strstr(load.error, cases[i].error)) {
            print_error("%s:\n  %s\n", cases[i].text, load.error);
            fail();
        }
    }
}

static void B_276_every_field_with_every_wrong_type_is_refused(void **state)
{
    static const char *const fields[] = {
        "\"changeIndex\":%s",
        "\"defaultACLAccess\":%s",
        "\"defaultACLAccess\":{\"subscribe\":%s}",
        "\"anonymousGroup\":%s",
        "\"certificateGroup\":%s",
        "\"clients\":%s",
        "\"clients\":[%s]",
        "\"clients\":[{\"username\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"clientid\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"textname\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"textdescription\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"disabled\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"certificateLogin\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"encoded_password\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"password\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"roles\":%s}]",
        "\"clients\":[{\"username\":\"u\",\"roles\":[%s]}]",
        "\"clients\":[{\"username\":\"u\",\"roles\":[{\"rolename\":%s}]}]",
        "\"clients\":[{\"username\":\"u\",\"roles\":[{\"rolename\":\"r\",\"priority\":%s}]}]",
        "\"clients\":[{\"username\":\"u\",\"groups\":[{\"groupname\":%s}]}]",
        "\"groups\":[{\"groupname\":%s}]",
        "\"groups\":[{\"groupname\":\"g\",\"clients\":%s}]",
        "\"groups\":[{\"groupname\":\"g\",\"clients\":[%s]}]",
        "\"groups\":[{\"groupname\":\"g\",\"clients\":[{\"username\":%s}]}]",
        "\"roles\":[{\"rolename\":%s}]",
        "\"roles\":[{\"rolename\":\"r\",\"allowwildcardsubs\":%s}]",
        "\"roles\":[{\"rolename\":\"r\",\"acls\":%s}]",
        "\"roles\":[{\"rolename\":\"r\",\"acls\":[%s]}]",
        "\"roles\":[{\"rolename\":\"r\",\"acls\":[{\"acltype\":%s,\"topic\":\"t\"}]}]",
        "\"roles\":[{\"rolename\":\"r\",\"acls\":[{\"acltype\":\"publishClientSend\","
        "\"topic\":%s}]}]",
        "\"roles\":[{\"rolename\":\"r\",\"acls\":[{\"acltype\":\"publishClientSend\","
        "\"topic\":\"t\",\"priority\":%s}]}]",
        "\"roles\":[{\"rolename\":\"r\",\"acls\":[{\"acltype\":\"publishClientSend\","
        "\"topic\":\"t\",\"allow\":%s}]}]",
    };
    /* Values that no field can have; a place that would take one of them is named below. */
    static const char *const values[] = {"null",   "1.5",    "1e99",      "\"\"", "\"1\"",
                                         "100001", "[null]", "{\"x\":1}", "[[]]", "-100001"};
    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        for (size_t j = 0; j < sizeof(values) / sizeof(values[0]); j++) {
            char part[300];
            char text[400];
            struct nj_dynsec_load load;
            struct nj_dynsec_state *all;
            const char *value = values[j];
            bool is_text = value[0] == '"';
            bool takes_text = strstr(fields[i], "clientid") || strstr(fields[i], "text") ||
                              strstr(fields[i], "Group\"") || strstr(fields[i], "name\":%s") ||
                              strstr(fields[i], "topic\":%s");
            bool takes_index = strstr(fields[i], "changeIndex") && strcmp(value, "100001") == 0;
            if ((is_text && takes_text) || takes_index) {
                continue;
            }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            (void)snprintf(part, sizeof(part), fields[i], value);
#pragma GCC diagnostic pop
            (void)snprintf(text, sizeof(text), "{%s%s}",
                           strncmp(part, "\"roles\"", 7) == 0 ? ""
                                                              : "\"roles\":[{\"rolename\":\"r\"}],",
                           part);
            if (load_bytes(nj_bytes_of(text), true, &load, &all) != NJ_EMALFORMED) {
                print_error("accepted: %s\n", text);
                fail();
            }
            assert_non_null(strstr(load.error, "line 1, column "));
        }
    }
}

static void B_276_a_file_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(whole) - 1; len++) {
        struct nj_dynsec_load load;
        struct nj_dynsec_state *all;
        char *copy = malloc(len + 1); /* an exact block: reading beyond it is seen */
        memcpy(copy, whole, len);
        assert_int_equal(load_bytes(nj_bytes(copy, len), true, &load, &all), NJ_EMALFORMED);
        free(copy);
    }
}

static void B_277_depth_and_size_are_bounded(void **state)
{
    struct nj_dynsec_load load;
    struct nj_dynsec_state *all;
    struct nj_buf text = {NULL, 0, 0};
    (void)state;
    assert_int_equal(nj_buf_append(&text, "{\"x\":", 5), NJ_OK);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(nj_buf_append(&text, i < 10000 ? "[" : "]", 1), NJ_OK);
    }
    assert_int_equal(nj_buf_append(&text, "}", 1), NJ_OK);
    assert_int_equal(load_bytes(nj_buf_bytes(&text), false, &load, &all), NJ_EMALFORMED);
    nj_buf_fini(&text);
}

static void unknown_keys_are_passed_over_in_compat_mode_only(void **state)
{
    static const char text[] = "{\"new\":{\"x\":[1]},\"clients\":[{\"username\":\"u\",\"y\":2}]}";
    struct nj_dynsec_load load;
    struct nj_dynsec_state *all;
    (void)state;
    assert_int_equal(load_bytes(nj_bytes_of(text), true, &load, &all), NJ_EMALFORMED);
    assert_int_equal(load_bytes(nj_bytes_of(text), false, &load, &all), NJ_OK);
    nj_dynsec_state_unref(all);
}

static void running_out_of_memory_leaves_nothing_behind(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct nj_dynsec_load load;
        struct nj_dynsec_state *all;
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        enum nj_err err = load_bytes(nj_bytes_of(whole), true, &load, &all);
        bool was_hit = nj_fault_calls(NJ_FAULT_ALLOC) >= nth;
        nj_fault_disarm();
        if (err == NJ_OK) {
            nj_dynsec_state_unref(all);
            assert_false(was_hit);
            break;
        }
        assert_int_equal(err, NJ_ENOMEM);
    }
}

static int open_all(void **state)
{
    (void)state;
    principals = nj_dynsec_principals_new();
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    nj_dynsec_principals_unref(principals);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_parts_are_read),
        cmocka_unit_test(the_form_of_2_0_is_read_and_written),
        cmocka_unit_test(files_look_as_the_original_writes_them),
        cmocka_unit_test(what_refers_to_nothing_is_left_out_and_counted),
        cmocka_unit_test(B_276_bad_files_are_refused_with_line_and_column),
        cmocka_unit_test(B_276_every_field_with_every_wrong_type_is_refused),
        cmocka_unit_test(B_276_a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(B_277_depth_and_size_are_bounded),
        cmocka_unit_test(unknown_keys_are_passed_over_in_compat_mode_only),
        cmocka_unit_test(running_out_of_memory_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
