/* Files as they come: bad ones, odd ones, large ones, and directories of them. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "rig.h"

static struct nj_config_result load_file(const char *name)
{
    return rig_run("nightjar", "-c", name, NULL);
}

static void refused(const char *name, const char *error)
{
    struct nj_config_result result = load_file(name);
    assert_int_equal(result.action, NJ_CONFIG_EXIT);
    assert_int_equal(result.exit_status, 3);
    assert_string_equal(result.error, error);
}

static void B_260_what_is_no_readable_file_is_refused(void **state)
{
    (void)state;
    refused("missing.conf", "Error: Unable to open config file 'missing.conf'.");
    assert_true(rig_logged("No such file"));
    refused(".", "Error: Config file '.' is a directory.");
    assert_int_equal(mkfifo("fifo.conf", 0600), 0);
    refused("fifo.conf", "Error: Unable to open config file 'fifo.conf'.");
    assert_true(rig_logged("not a regular file"));
    refused("/dev/zero", "Error: Unable to open config file '/dev/zero'.");
    refused("", "Error: Unable to open config file ''.");
}

static void B_260_a_file_of_one_gibibyte_is_refused_at_once(void **state)
{
    (void)state;
    int fd = open("huge.conf", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1 << 30), 0);
    assert_int_equal(close(fd), 0);
    int64_t before = nj_mem_peak();
    refused("huge.conf", "Error: Unable to open config file 'huge.conf'.");
    assert_true(rig_logged("larger than 16 MiB"));
    assert_true(nj_mem_peak() - before < 1 << 20);
}

static void B_260_a_file_without_permission_is_refused(void **state)
{
    (void)state;
    rig_write("secret.conf", "listener 1884\n");
    assert_int_equal(chmod("secret.conf", 0), 0);
    /* In a child, because root reads everything and the test may run as root. */
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (getuid() == 0 && (chmod(".", 0755) || setuid(65534))) {
            _exit(9);
        }
        struct nj_config_result result = load_file("secret.conf");
        _exit(result.action == NJ_CONFIG_EXIT && result.exit_status == 3 &&
                      strstr(result.error, "Unable to open config file 'secret.conf'")
                  ? 0
                  : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void B_260_a_read_error_is_refused(void **state)
{
    (void)state;
    rig_write("c.conf", "listener 1884\n");
    nj_fault_arm(NJ_FAULT_READ, 1, true);
    refused("c.conf", "Error: Unable to open config file 'c.conf'.");
    nj_fault_arm(NJ_FAULT_OPEN, 1, true);
    refused("c.conf", "Error: Unable to open config file 'c.conf'.");
    nj_fault_arm(NJ_FAULT_ALLOC, 1, true);
    refused("c.conf", "Error: Unable to open config file 'c.conf'.");
    nj_fault_disarm();
}

static void B_260_nul_and_binary_are_refused_with_their_line(void **state)
{
    static const char nul[] = "listener 1884\nacl_file a\0b\n";
    unsigned char binary[256];
    (void)state;
    rig_write_bytes("nul.conf", nul, sizeof(nul) - 1);
    refused("nul.conf", "Error: The configuration holds a NUL byte.");
    assert_true(rig_logged("Error found at nul.conf:2."));
    for (size_t i = 0; i < sizeof(binary); i++) {
        binary[i] = (unsigned char)(255 - i);
    }
    rig_write_bytes("binary.conf", binary, sizeof(binary));
    struct nj_config_result result = load_file("binary.conf");
    assert_int_equal(result.exit_status, 3);
    assert_true(rig_logged("Error found at binary.conf:1."));
}

static void B_260_empty_crlf_bom_and_a_missing_newline_are_accepted(void **state)
{
    static const char *const texts[] = {
        "max_keepalive 77",
        "max_keepalive 77\n",
        "max_keepalive 77\r\n",
        "\xef\xbb\xbfmax_keepalive 77\r\n",
        "\r\n\r\n# x\r\nmax_keepalive   77  \t \r\n",
        "max_keepalive\t77",
        "  max_keepalive 77\n   \n\t\n",
        "#max_keepalive 1\n#\nmax_keepalive 77\n#",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct nj_settings *settings = rig_good(texts[i]);
        assert_int_equal(settings->max_keepalive, 77);
        nj_settings_free(settings);
    }
    static const char *const nothing[] = {"", "\n", "# only a comment", "\xef\xbb\xbf",
                                          "\r\n \r\n"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        struct nj_settings *settings = rig_good(nothing[i]);
        assert_true(settings->is_local_only);
        assert_false(nj_settings_anonymous(settings, 0));
        nj_settings_free(settings);
    }
}

static char *repeat(const char *piece, size_t times)
{
    size_t len = strlen(piece);
    char *text = malloc(len * times + 1);
    assert_non_null(text);
    for (size_t i = 0; i < times; i++) {
        memcpy(text + i * len, piece, len);
    }
    text[len * times] = '\0';
    return text;
}

static void L_098_a_line_of_one_mebibyte_is_an_error_or_a_comment(void **state)
{
    char *line = repeat("x", 1 << 20);
    (void)state;
    struct nj_config_result result = rig_load(line);
    assert_int_equal(result.exit_status, 3);
    memcpy(line, "acl_file ", 9);
    rig_bad(line, "Error: Invalid 'acl_file' value: longer than 65535 bytes.", 1);
    memcpy(line, "log_dest file ", 14);
    rig_bad(line, "Error: Invalid 'log_dest' value: longer than 65535 bytes.", 1);
    memcpy(line, "plugin_opt_", 11);
    result = rig_load(line);
    assert_int_equal(result.exit_status, 3);
    line[0] = '#';
    nj_settings_free(rig_good(line));
    memset(line, ' ', 1 << 20);
    nj_settings_free(rig_good(line));
    free(line);
}

static void L_098_a_million_lines_are_read_in_time(void **state)
{
    char *text = repeat("log_type all\n", 1000000);
    (void)state;
    clock_t before = clock();
    struct nj_settings *settings = rig_good(text);
    /* Far from any limit, but a quadratic parser would not make it. */
    assert_true((clock() - before) / CLOCKS_PER_SEC < 20);
    assert_int_equal(settings->log_types, 511);
    nj_settings_free(settings);
    free(text);
}

static void more_listeners_than_anyone_needs_are_refused(void **state)
{
    char *text = malloc(1100 * 16);
    size_t len = 0;
    (void)state;
    assert_non_null(text);
    for (int i = 1; i <= 1001; i++) {
        len += (size_t)sprintf(text + len, "listener %d\n", i);
    }
    rig_bad(text, "Error: More than 1000 listeners.", 1001);
    free(text);
}

static void B_267_a_path_means_what_it_says(void **state)
{
    static const char *const paths[] = {
        "~/acl",
        "../acl",
        "with two  blanks",
        "\"quoted\"",
        "'quoted'",
        "$HOME/acl",
        "\xc3\xa4\xe4\xb8\xad\xf0\x9f\x90\xa6",
        "a # b",
        "back\\slash",
        "-c",
        "/",
    };
    char text[256];
    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        (void)snprintf(text, sizeof(text), "acl_file %s  \npassword_file  %s\n", paths[i],
                       paths[i]);
        struct nj_settings *settings = rig_good(text);
        assert_string_equal(settings->scope.acl_file, paths[i]);
        assert_string_equal(settings->scope.password_file, paths[i]);
        nj_settings_free(settings);
    }
}

static void include_dir_reads_in_the_order_of_names(void **state)
{
    static const char *const names[] = {"B", "a", "b", "A", "10", "9", "a1", "Z"};
    static const char order[] = "10,9,A,a,a1,B,b,Z,";
    char text[128];
    char got[128] = "";
    (void)state;
    assert_int_equal(mkdir("order.d", 0700), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "order.d/%s.conf", names[i]);
        (void)snprintf(text, sizeof(text), "listener %d 127.0.0.%d\nmount_point %s\n",
                       1884 + (int)i, (int)i + 1, names[i]);
        rig_write(path, text);
    }
    rig_write("order.d/c.conf.bak", "nonsense\n");
    rig_write("order.d/conf", "nonsense\n");
    rig_write("order.d/.conf", "nonsense\n");
    struct nj_settings *settings = rig_good("listener 1883\ninclude_dir order.d\nmax_qos 1\n");
    assert_int_equal(settings->listener_count, 9);
    /* What follows in the main file belongs to its own listener, as before. */
    assert_int_equal(settings->listeners[0].max_qos, 1);
    for (size_t i = 1; i < settings->listener_count; i++) {
        assert_int_equal(settings->listeners[i].max_qos, 2);
        strcat(got, settings->listeners[i].mount_point);
        strcat(got, ",");
    }
    assert_string_equal(got, order);
    nj_settings_free(settings);
}

static void errors_in_included_files_name_both_places(void **state)
{
    (void)state;
    assert_int_equal(mkdir("bad.d", 0700), 0);
    rig_write("bad.d/x.conf", "\nnonsense 1\n");
    struct nj_config_result result = rig_load("# x\ninclude_dir bad.d\n");
    assert_string_equal(result.error, "Error: Unknown configuration variable 'nonsense'.");
    assert_true(rig_logged("Error found at bad.d/x.conf:2.\nError found at c.conf:2.\n"));
    rig_write("bad.d/x.conf", "max_qos 1\n");
    result = rig_load("listener 1884\ninclude_dir bad.d\n");
    assert_string_equal(result.error,
                        "Error: The 'max_qos' option requires a listener to be defined first.");
    assert_true(rig_logged("Error found at bad.d/x.conf:1.\n"));
    rig_write("bad.d/x.conf", "mount_point x\n");
    result = rig_load("listener 1884\ninclude_dir bad.d\n");
    assert_string_equal(result.error,
                        "Error: The 'mount_point' option requires a listener to be defined first.");
    rig_write("bad.d/x.conf", "allow_anonymous true\n");
    rig_bad("allow_anonymous false\ninclude_dir bad.d\n",
            "Error: Duplicate 'allow_anonymous' value in configuration.", 2);
    rig_write("bad.d/x.conf", "compat mosquitto\n");
    rig_bad("include_dir bad.d\n",
            "Error: The 'compat' option is only valid in the main configuration file.", 1);
    rig_write("bad.d/x.conf", "plugin mosquitto_acl_file.so\n");
    rig_bad("include_dir bad.d\nplugin_opt_acl_file a\n",
            "Error: The plugin mosquitto_acl_file.so needs the option 'plugin_opt_acl_file'.", 1);
}

static void L_099_loops_fifos_and_directories_are_errors(void **state)
{
    (void)state;
    assert_int_equal(mkdir("loop.d", 0700), 0);
    rig_write("loop.d/self.conf", "include_dir loop.d\n");
    struct nj_config_result result = load_file("loop.d/self.conf");
    assert_int_equal(result.exit_status, 3);
    assert_string_equal(
        result.error,
        "Error: The include_dir option is only valid in the main configuration file.");
    assert_int_equal(unlink("loop.d/self.conf"), 0);
    assert_int_equal(mkfifo("loop.d/fifo.conf", 0600), 0);
    rig_bad("include_dir loop.d\n", "Error: Unable to open config file 'loop.d/fifo.conf'.", 1);
    assert_int_equal(unlink("loop.d/fifo.conf"), 0);
    assert_int_equal(mkdir("loop.d/dir.conf", 0700), 0);
    rig_bad("include_dir loop.d\n", "Error: Config file 'loop.d/dir.conf' is a directory.", 1);
    assert_int_equal(rmdir("loop.d/dir.conf"), 0);
    assert_int_equal(symlink("/dev/zero", "loop.d/zero.conf"), 0);
    rig_bad("include_dir loop.d\n", "Error: Unable to open config file 'loop.d/zero.conf'.", 1);
    assert_int_equal(unlink("loop.d/zero.conf"), 0);
    assert_int_equal(symlink("nowhere", "loop.d/gone.conf"), 0);
    rig_bad("include_dir loop.d\n", "Error: Unable to open config file 'loop.d/gone.conf'.", 1);
}

static void B_265_a_missing_directory_is_an_error_and_an_empty_one_is_not(void **state)
{
    (void)state;
    rig_bad("include_dir nowhere.d\n", "Error: Unable to open include_dir 'nowhere.d'.", 1);
    rig_bad("include_dir c.conf\n", "Error: Unable to open include_dir 'c.conf'.", 1);
    nj_settings_free(rig_good("include_dir empty.d\ninclude_dir empty.d\n"));
}

static void B_265_ten_thousand_files_are_read_and_one_more_is_refused(void **state)
{
    char path[64];
    (void)state;
    assert_int_equal(mkdir("many.d", 0700), 0);
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(path, sizeof(path), "many.d/%05d.conf", i);
        rig_write(path, "");
    }
    nj_settings_free(rig_good("include_dir many.d\n"));
    rig_write("many.d/last.conf", "");
    rig_bad("include_dir many.d\n", "Error: include_dir 'many.d' holds more than 10000 files.", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(B_260_what_is_no_readable_file_is_refused),
        cmocka_unit_test(B_260_a_file_of_one_gibibyte_is_refused_at_once),
        cmocka_unit_test(B_260_a_file_without_permission_is_refused),
        cmocka_unit_test(B_260_a_read_error_is_refused),
        cmocka_unit_test(B_260_nul_and_binary_are_refused_with_their_line),
        cmocka_unit_test(B_260_empty_crlf_bom_and_a_missing_newline_are_accepted),
        cmocka_unit_test(L_098_a_line_of_one_mebibyte_is_an_error_or_a_comment),
        cmocka_unit_test(L_098_a_million_lines_are_read_in_time),
        cmocka_unit_test(more_listeners_than_anyone_needs_are_refused),
        cmocka_unit_test(B_267_a_path_means_what_it_says),
        cmocka_unit_test(include_dir_reads_in_the_order_of_names),
        cmocka_unit_test(errors_in_included_files_name_both_places),
        cmocka_unit_test(L_099_loops_fifos_and_directories_are_errors),
        cmocka_unit_test(B_265_a_missing_directory_is_an_error_and_an_empty_one_is_not),
        cmocka_unit_test(B_265_ten_thousand_files_are_read_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
