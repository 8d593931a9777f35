/* Envelopes and arguments: the table's rows decide, with the words that they give. */
#include <stdio.h>
#include <string.h>

#include "control/control_priv.h"
#include "support/test.h"

static const struct nj_control_arg rows[] = {
    {.name = "username",
     .type = NJ_ARG_STRING,
     .flags = NJ_ARG_REQUIRED,
     .empty = "Empty username",
     .max = 8},
    {.name = "password", .type = NJ_ARG_STRING, .flags = NJ_ARG_SECRET},
    {.name = "priority", .type = NJ_ARG_INTEGER, .min = -5, .max = 5, .error = "Bad priority"},
    {.name = "verbose", .type = NJ_ARG_BOOL},
    {.name = "groups", .type = NJ_ARG_OBJECTS, .error = "'groups' not an array"},
    {.name = "options", .type = NJ_ARG_OBJECT},
    {.name = "note", .type = NJ_ARG_STRING, .flags = NJ_ARG_NULLABLE},
    {0},
};

static void the_rows_decide_about_arguments(void **state)
{
    static const struct {
        const char *json;
        const char *error; /* NULL = accepted */
    } cases[] = {
        {"{\"username\":\"u\"}", NULL},
        {"{\"username\":\"u\",\"other\":[1]}", NULL},
        {"{}", "Invalid/missing username"},
        {"{\"username\":null}", "Invalid/missing username"},
        {"{\"username\":1}", "Invalid/missing username"},
        {"{\"username\":{\"$ne\":1}}", "Invalid/missing username"},
        {"{\"username\":\"\"}", "Empty username"},
        {"{\"username\":\"12345678\"}", NULL},
        {"{\"username\":\"123456789\"}", "Invalid/missing username"},
        {"{\"Username\":\"u\"}", "Invalid/missing username"},
        {"{\"username\":\"u\",\"password\":\"\"}", NULL},
        {"{\"username\":\"u\",\"password\":null}", "Invalid/missing password"},
        {"{\"username\":\"u\",\"priority\":5}", NULL},
        {"{\"username\":\"u\",\"priority\":-5}", NULL},
        {"{\"username\":\"u\",\"priority\":6}", "Bad priority"},
        {"{\"username\":\"u\",\"priority\":1.0}", "Bad priority"},
        {"{\"username\":\"u\",\"priority\":\"1\"}", "Bad priority"},
        {"{\"username\":\"u\",\"priority\":9223372036854775807}", "Bad priority"},
        {"{\"username\":\"u\",\"verbose\":true}", NULL},
        {"{\"username\":\"u\",\"verbose\":\"maybe\"}", "Invalid/missing verbose"},
        {"{\"username\":\"u\",\"verbose\":1}", "Invalid/missing verbose"},
        {"{\"username\":\"u\",\"groups\":[]}", NULL},
        {"{\"username\":\"u\",\"groups\":{}}", "'groups' not an array"},
        {"{\"username\":\"u\",\"options\":{}}", NULL},
        {"{\"username\":\"u\",\"options\":[]}", "Invalid/missing options"},
        {"{\"username\":\"u\",\"note\":null}", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char buf[160];
        json_t *object = nj_control_json_parse(nj_bytes_of(cases[i].json));
        assert_non_null(object);
        const char *error = nj_control_args_check(rows, object, buf, sizeof(buf));
        if (cases[i].error) {
            assert_non_null(error);
            assert_string_equal(error, cases[i].error);
        } else if (error) {
            print_error("%s: %s\n", cases[i].json, error);
            fail();
        }
        json_decref(object);
    }
}

static void a_secret_is_masked_in_the_log_and_long_texts_are_cut(void **state)
{
    struct nj_buf out;
    char longer[400];
    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    json_t *object = json_pack("{s:s, s:s, s:i, s:b, s:[i], s:{}, s:s}", "username", longer,
                               "password", "open sesame", "priority", 3, "verbose", 1, "groups", 1,
                               "options", "unknown", "kept out");
    nj_buf_init(&out);
    nj_control_args_text(rows, object, &out);
    assert_int_equal(nj_buf_append(&out, "", 1), NJ_OK);
    const char *text = (const char *)out.data;
    assert_null(strstr(text, "sesame"));
    assert_non_null(strstr(text, " password=*** priority=3 verbose=true groups=(1) options=(0)"));
    assert_null(strstr(text, "kept out"));
    assert_true(strlen(text) < 300);
    nj_buf_fini(&out);
    json_decref(object);
}

static void an_envelope_is_json_without_doubt_and_not_deep(void **state)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"{}", true},
        {"[]", true},
        {"{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", true},
        {"{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}", true},
        {"", false},
        {" ", false},
        {"1", false},
        {"{}{}", false},
        {"{\"a\":1,\"a\":2}", false},
        {"{'a':1}", false},
        {"{\"a\":NaN}", false},
        {"{\"a\":1e999}", false},
        {"{\"a\":\"\\u0000\"}", false},
        {"{\"a\":\"\xff\"}", false},
        {"\xef\xbb\xbf{}", false},
        {"{\"a\":1,}", false},
        {"// c\n{}", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *value = nj_control_json_parse(nj_bytes_of(cases[i].text));
        if ((value != NULL) != cases[i].is_good) {
            print_error("case %zu: %s\n", i, cases[i].text);
            fail();
        }
        json_decref(value);
    }
    for (unsigned depth = 30; depth < 36; depth++) {
        char text[128];
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        json_t *value = nj_control_json_parse(nj_bytes(text, 2 * (size_t)depth));
        assert_int_equal(value != NULL, depth <= NJ_CONTROL_DEPTH_MAX);
        json_decref(value);
    }
}

/* For every command that there is: without a required argument, and with each argument of every
 * wrong type, it is refused with that argument's own words. */
static void refuses_each_wrong_argument(const struct nj_control_arg *all,
                                        const struct nj_control_arg *row)
{
    json_t *wrong[] = {json_integer(1), json_string("x"), json_true(),
                       json_array(),    json_object(),    json_real(1.5)};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        bool fits = (row->type == NJ_ARG_STRING && json_is_string(wrong[i])) ||
                    (row->type == NJ_ARG_BOOL && json_is_boolean(wrong[i])) ||
                    (row->type == NJ_ARG_INTEGER && json_is_integer(wrong[i])) ||
                    (row->type == NJ_ARG_OBJECTS && json_is_array(wrong[i])) ||
                    (row->type == NJ_ARG_OBJECT && json_is_object(wrong[i]));
        char buf[160];
        char expected[160];
        json_t *object = json_object();
        assert_int_equal(json_object_set(object, row->name, wrong[i]), 0);
        (void)snprintf(expected, sizeof(expected), "Invalid/missing %s", row->name);
        /* Alone: other rows would complain about what is missing. */
        const struct nj_control_arg only[] = {*row, {0}};
        const char *error = nj_control_args_check(only, object, buf, sizeof(buf));
        if (!fits) {
            assert_non_null(error);
            assert_string_equal(error, row->error ? row->error : expected);
        }
        json_decref(object);
        json_decref(wrong[i]);
    }
    if (row->flags & NJ_ARG_REQUIRED) {
        char buf[160];
        json_t *nothing = json_object();
        assert_non_null(nj_control_args_check(all, nothing, buf, sizeof(buf)));
        json_decref(nothing);
    }
}

static void every_command_refuses_every_wrong_argument(void **state)
{
    const struct nj_control_api *api;
    (void)state;
    for (size_t i = 0; (api = nj_control_known_api(i)); i++) {
        for (size_t j = 0; j < api->command_count; j++) {
            const struct nj_control_arg *all = api->commands[j].args;
            for (const struct nj_control_arg *row = all; row && row->name; row++) {
                refuses_each_wrong_argument(all, row);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rows_decide_about_arguments),
        cmocka_unit_test(a_secret_is_masked_in_the_log_and_long_texts_are_cut),
        cmocka_unit_test(an_envelope_is_json_without_doubt_and_not_deep),
        cmocka_unit_test(every_command_refuses_every_wrong_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
