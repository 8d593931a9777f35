/* docs/configuration.md is what the option table says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "config/config_priv.h"
#include "rig.h"

static char *reference(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    nj_config_print_reference(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void docs_configuration_md_is_current(void **state)
{
    char *text = reference();
    struct nj_buf file;
    (void)state;
    nj_buf_init(&file);
    assert_int_equal(nj_file_read(CONFIGURATION_MD, 1 << 20, false, &file), NJ_OK);
    assert_int_equal(nj_buf_append(&file, "", 1), NJ_OK);
    if (strcmp((const char *)file.data, text) != 0) {
        print_error("docs/configuration.md is not current: run write_config_reference "
                    "docs/configuration.md (in the build directory, tests/unit/config)\n");
        fail();
    }
    nj_buf_fini(&file);
    free(text);
}

static void every_option_is_in_the_reference(void **state)
{
    char *text = reference();
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        char row[128];
        (void)snprintf(row, sizeof(row), "\n| `%s` | ", nj_options[i].name);
        assert_non_null(strstr(text, row));
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docs_configuration_md_is_current),
        cmocka_unit_test(every_option_is_in_the_reference),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
