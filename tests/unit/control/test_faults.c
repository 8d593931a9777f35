/* Memory that runs out anywhere while a request is read or an answer is made: nothing breaks,
 * nothing is lost (the sanitizers look), and what is made is whole or not there. */
#include <string.h>

#include "base/fault.h"
#include "control/control_priv.h"
#include "support/test.h"

#define MAX 20000u

static int setup(void **state)
{
    (void)state;
    nj_control_json_init();
    return 0;
}

static void reading_a_request_survives_every_failure(void **state)
{
    static const char text[] =
        "{\"commands\":[{\"command\":\"createClient\",\"username\":\"u\",\"password\":\"secret\","
        "\"groups\":[{\"groupname\":\"g\",\"priority\":1}],\"correlationData\":\"1\"},{}]}";
    json_t *value = NULL;
    (void)state;
    for (uint64_t nth = 1; !value && nth < MAX; nth++) {
        nj_fault_arm(NJ_FAULT_ALLOC, nth, nth % 2);
        value = nj_control_json_parse(nj_bytes_of(text));
        nj_fault_disarm();
    }
    assert_non_null(value);
    assert_int_equal(json_array_size(json_object_get(value, "commands")), 2);
    json_decref(value);
}

static void describing_the_tables_survives_every_failure(void **state)
{
    bool is_whole = false;
    (void)state;
    json_t *wanted = nj_control_describe_api(&nj_nightjar_api);
    assert_non_null(wanted);
    for (uint64_t nth = 1; !is_whole && nth < MAX; nth++) {
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        json_t *made = nj_control_describe_api(&nj_nightjar_api);
        is_whole = nj_fault_calls(NJ_FAULT_ALLOC) < nth;
        nj_fault_disarm();
        assert_true(!is_whole || json_equal(made, wanted));
        json_decref(made);
    }
    assert_true(is_whole);
    json_decref(wanted);
}

static void the_log_text_survives_every_failure(void **state)
{
    const struct nj_control_command *row = &nj_certificate_api.commands[0];
    json_t *object =
        json_pack("{s:i, s:s, s:s}", "listener_id", 2, "file_name", "a.crt", "ca_cert_pem",
                  "a text that is long enough to want memory of its own");
    size_t longest = 0;
    (void)state;
    for (uint64_t nth = 1; nth < 20; nth++) {
        struct nj_buf out;
        nj_buf_init(&out);
        nj_fault_arm(NJ_FAULT_ALLOC, nth, true);
        nj_control_args_text(row->args, object, &out);
        nj_fault_disarm();
        assert_true(out.len >= longest);
        longest = out.len;
        nj_buf_fini(&out);
    }
    assert_true(longest > 20);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_a_request_survives_every_failure),
        cmocka_unit_test(describing_the_tables_survives_every_failure),
        cmocka_unit_test(the_log_text_survives_every_failure),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
