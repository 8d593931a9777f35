/* docs/control.md is what the tables say, and the tables are complete. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "control/plane.h"
#include "support/test.h"

static void docs_control_md_is_current(void **state)
{
    char *text = NULL;
    size_t size = 0;
    struct nj_buf file;
    (void)state;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    nj_control_print_reference(out);
    assert_int_equal(fclose(out), 0);
    nj_buf_init(&file);
    assert_int_equal(nj_file_read(CONTROL_MD, 1 << 20, false, &file), NJ_OK);
    assert_int_equal(nj_buf_append(&file, "", 1), NJ_OK);
    if (strcmp((const char *)file.data, text) != 0) {
        print_error("docs/control.md is not current: run write_control_reference "
                    "docs/control.md (in the build directory, tests/unit/control)\n");
        fail();
    }
    nj_buf_fini(&file);
    free(text);
}

static void check_args(const struct nj_control_arg *row)
{
    for (; row && row->name; row++) {
        assert_true(row->type < NJ_ARG_TYPE_COUNT);
        assert_non_null(row->doc);
        check_args(row->fields);
    }
}

static void every_command_has_a_handler_and_words(void **state)
{
    const struct nj_control_api *api;
    (void)state;
    for (size_t i = 0; (api = nj_control_known_api(i)); i++) {
        assert_non_null(api->doc);
        check_args(api->envelope);
        for (size_t j = 0; j < api->command_count; j++) {
            assert_non_null(api->commands[j].name);
            assert_non_null(api->commands[j].handler);
            assert_non_null(api->commands[j].doc);
            check_args(api->commands[j].args);
        }
    }
}

static void no_command_is_there_twice(void **state)
{
    const struct nj_control_api *api;
    (void)state;
    for (size_t i = 0; (api = nj_control_known_api(i)); i++) {
        for (size_t j = 0; j < api->command_count; j++) {
            for (size_t k = 0; k < j; k++) {
                assert_true(strcasecmp(api->commands[j].name, api->commands[k].name) != 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docs_control_md_is_current),
        cmocka_unit_test(every_command_has_a_handler_and_words),
        cmocka_unit_test(no_command_is_there_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
