/* The command line, the mode, and the environment. */
#include <sys/wait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "rig.h"

static void refused(const struct nj_config_result *result, const char *error)
{
    assert_int_equal(result->action, NJ_CONFIG_EXIT);
    assert_int_equal(result->exit_status, 3);
    assert_null(result->settings);
    assert_string_equal(result->error, error);
}

static void wrong_arguments_end_with_status_3(void **state)
{
    struct nj_config_result result;
    (void)state;
#define REFUSED(error, ...)                                                                        \
    do {                                                                                           \
        result = rig_run("nightjar", __VA_ARGS__, NULL);                                           \
        refused(&result, error);                                                                   \
    } while (0)
    REFUSED("Error: Unknown option '--x'.", "--x");
    REFUSED("Error: Unknown option 'x'.", "x");
    REFUSED("Error: Unknown option '-vd'.", "-vd");
    REFUSED("Error: Unknown option ''.", "");
    REFUSED("Error: -c argument given, but no config file specified.", "-c");
    REFUSED("Error: -c argument given, but no config file specified.", "--config-file");
    REFUSED("Error: -p argument given, but no port specified.", "-p");
    REFUSED("Error: --tls-keylog argument given, but no file specified.", "--tls-keylog");
    REFUSED("Error: --compat argument given, but no mode specified.", "--compat");
    REFUSED("Error: Invalid '--compat' value (emqx).", "--compat", "emqx");
    REFUSED("Error: Invalid port specified (0).", "-p", "0");
    REFUSED("Error: Invalid port specified (65536).", "-p", "65536");
    REFUSED("Error: Invalid port specified (x).", "-p", "x");
    REFUSED("Error: Invalid port specified (-v).", "-p", "-v");
    REFUSED("Error: A port is specified twice.", "-p", "1884", "-p", "1884");
    REFUSED("Error: Only one config file can be specified.", "-c", "a", "-c", "b");
    REFUSED("Error: Only 10 ports can be specified on the command line.", "-p", "1", "-p", "2",
            "-p", "3", "-p", "4", "-p", "5", "-p", "6", "-p", "7", "-p", "8", "-p", "9", "-p", "10",
            "-p", "11");
    REFUSED("Error: Unable to open config file 'none.conf'.", "-c", "none.conf");
#undef REFUSED
}

static void switches_are_kept(void **state)
{
    struct nj_config_result result = rig_run("nightjar", "-d", "-v", "--tls-keylog", "keys", "-p",
                                             "1884", "--port", "1885", NULL);
    (void)state;
    assert_int_equal(result.action, NJ_CONFIG_RUN);
    assert_true(result.settings->is_daemon);
    assert_true(result.settings->is_verbose);
    assert_int_equal(result.settings->log_types, NJ_LOG_ALL);
    assert_string_equal(result.settings->tls_keylog, "keys");
    assert_true(result.settings->is_local_only);
    assert_int_equal(result.settings->listener_count, 2);
    assert_int_equal(result.settings->listeners[1].port, 1885);
    assert_string_equal(result.settings->listeners[1].host, "localhost");
    nj_settings_free(result.settings);
    result = rig_run("nightjar", "-q", "-v", NULL);
    assert_int_equal(result.settings->log_types, 0);
    nj_settings_free(result.settings);
}

static void ports_are_ignored_when_listeners_are_configured(void **state)
{
    (void)state;
    rig_write("c.conf", "listener 1999\n");
    struct nj_config_result result = rig_run("nightjar", "-c", "c.conf", "-p", "1884", NULL);
    assert_int_equal(result.settings->listener_count, 1);
    assert_int_equal(result.settings->listeners[0].port, 1999);
    assert_true(rig_logged("-p is not used"));
    nj_settings_free(result.settings);
    rig_write("c.conf", "certfile c\nkeyfile k\nmax_connections 5\n");
    result = rig_run("nightjar", "-c", "c.conf", "-p", "1884", "-p", "1885", NULL);
    assert_int_equal(result.settings->listener_count, 2);
    assert_true(result.settings->is_local_only);
    assert_true(nj_settings_uses_tls(&result.settings->listeners[1]));
    assert_int_equal(result.settings->listeners[1].max_connections, 5);
    nj_settings_free(result.settings);
}

static void typographic_dashes_are_understood(void **state)
{
    (void)state;
    rig_write("c.conf", "listener 1999\n");
    struct nj_config_result result = rig_run("nightjar",
                                             "\xe2\x80\x93"
                                             "c",
                                             "c.conf",
                                             "\xe2\x80\x94"
                                             "test-config",
                                             "\xe2\x80\x93\xe2\x80\x93"
                                             "compat",
                                             "mosquitto",
                                             "\xe2\x88\x92"
                                             "d",
                                             NULL);
    assert_int_equal(result.action, NJ_CONFIG_TEST);
    assert_true(result.settings->mode.is_compat);
    assert_true(result.settings->is_daemon);
    nj_settings_free(result.settings);
}

/* Runs in a child, because it prints. */
static char *printed_by(const char *program, const char *arg, int *status)
{
    static char text[8192];
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(ends[1], STDOUT_FILENO) < 0) {
            _exit(99);
        }
        struct nj_config_result result = rig_run(program, arg, NULL);
        (void)fflush(stdout);
        _exit(result.exit_status);
    }
    (void)close(ends[1]);
    size_t len = 0;
    for (ssize_t got = 1; got > 0 && len<sizeof(text) - 1; len += got> 0 ? (size_t)got : 0) {
        got = read(ends[0], text + len, sizeof(text) - 1 - len);
    }
    text[len] = '\0';
    (void)close(ends[0]);
    assert_int_equal(waitpid(child, status, 0), child);
    *status = WEXITSTATUS(*status);
    return text;
}

static void help_and_version_exit_with_0(void **state)
{
    static const char usage[] = "Usage: mosquitto [-c config_file] [-d] [-h] [-p port] [-v]\n";
    int status;
    (void)state;
    assert_int_equal(
        strncmp(printed_by("/usr/sbin/mosquitto", "-h", &status), usage, sizeof(usage) - 1), 0);
    assert_int_equal(status, 0);
    assert_int_equal(strncmp(printed_by("nightjar", "--help", &status), "Usage: nightjar [-c", 19),
                     0);
    assert_int_equal(status, 0);
    assert_int_equal(strncmp(printed_by("nightjar", "--version", &status), "nightjar version ", 17),
                     0);
    assert_int_equal(status, 0);
    assert_int_equal(
        strncmp(printed_by("mosquitto", "--version", &status), "mosquitto version 2.1.2", 23), 0);
    assert_int_equal(
        strncmp(printed_by("mosquitto", "--nonsense", &status), usage, sizeof(usage) - 1), 0);
    assert_int_equal(status, 3);
}

static bool mode_of(struct nj_config_result result)
{
    assert_int_equal(result.action, NJ_CONFIG_RUN);
    bool is_compat = result.settings->mode.is_compat;
    nj_settings_free(result.settings);
    return is_compat;
}

static void the_mode_comes_from_argument_line_and_name_in_this_order(void **state)
{
    (void)state;
    rig_write("plain.conf", "max_qos 1\n");
    rig_write("compat.conf", "\xef\xbb\xbf# compat none\n compat\tmosquitto \r\n");
    rig_write("none.conf", "max_keepalive 5\ncompat none");
    assert_false(mode_of(rig_run("nightjar", NULL)));
    assert_false(mode_of(rig_run("/x/mosquitto/nightjar", NULL)));
    assert_true(mode_of(rig_run("/usr/sbin/mosquitto", NULL)));
    assert_true(mode_of(rig_run("nightjar", "--compat", "mosquitto", NULL)));
    assert_false(mode_of(rig_run("mosquitto", "--compat", "none", NULL)));
    assert_false(mode_of(rig_run("nightjar", "-c", "plain.conf", NULL)));
    assert_true(mode_of(rig_run("nightjar", "-c", "compat.conf", NULL)));
    assert_false(mode_of(rig_run("mosquitto", "-c", "none.conf", NULL)));
    assert_false(mode_of(rig_run("mosquitto", "-c", "compat.conf", "--compat", "none", NULL)));
}

static size_t count_differences(const struct nj_settings *settings)
{
    size_t count = 0;
    for (const char *const *line = nj_config_differences(settings); *line; line++) {
        assert_true(strlen(*line) > 20);
        count++;
    }
    return count;
}

static void modes_have_their_defaults_and_say_how_they_differ(void **state)
{
    struct nj_config_result native = rig_run("nightjar", NULL);
    struct nj_config_result compat = rig_run("mosquitto", NULL);
    const struct nj_mode_settings *mode = &native.settings->mode;
    (void)state;
    assert_false(mode->local_anonymous || mode->acl_default_allow || mode->share_as_whole ||
                 mode->unverified_user_counts || mode->default_covers_sys ||
                 mode->nofollow_credentials);
    assert_true(mode->leading_topics_for_all && mode->any_case_keywords && mode->checks_subscribe &&
                mode->capath_by_content && mode->session_owner && mode->will_checked_at_connect &&
                mode->retain_rechecks_origin && mode->share_skips_denied &&
                mode->default_argon2id && mode->reload_keeps_old && mode->refuses_control_chars &&
                mode->sends_reason_strings && mode->sends_response_info &&
                mode->checks_payload_format);
    assert_int_equal(mode->rights_change, NJ_RIGHTS_RECHECK);
    assert_true(native.settings->persistence);
    mode = &compat.settings->mode;
    assert_true(mode->local_anonymous && mode->acl_default_allow && mode->share_as_whole &&
                mode->unverified_user_counts && mode->nofollow_credentials);
    assert_false(mode->leading_topics_for_all || mode->any_case_keywords ||
                 mode->checks_subscribe || mode->session_owner || mode->reload_keeps_old ||
                 mode->sends_reason_strings || mode->sends_response_info ||
                 mode->checks_payload_format);
    assert_int_equal(mode->rights_change, NJ_RIGHTS_KICK);
    assert_int_equal(compat.settings->rights_change, NJ_RIGHTS_KICK);
    assert_int_equal(native.settings->rights_change, NJ_RIGHTS_RECHECK);
    assert_false(compat.settings->persistence);
    assert_int_equal(count_differences(native.settings), count_differences(compat.settings));
    size_t all = count_differences(native.settings);
    assert_true(all >= 18);
    nj_settings_free(native.settings);
    nj_settings_free(compat.settings);
    struct nj_settings *own =
        rig_good("acl_default allow\nrights_change strict\nsession_owner none\npersistence false\n"
                 "check_retain_source false\nresponse_information none\n");
    assert_true(own->mode.acl_default_allow);
    assert_false(own->mode.session_owner || own->mode.sends_response_info);
    assert_null(nj_settings_response_information(own));
    assert_int_equal(own->mode.rights_change, NJ_RIGHTS_STRICT);
    assert_int_equal(count_differences(own), all - 6);
    nj_settings_free(own);
}

static void B_269_environment_counts_where_it_is_known(void **state)
{
    (void)state;
    assert_int_equal(setenv("MOSQUITTO_PERSISTENCE_LOCATION", "/from/env", 1), 0);
    assert_int_equal(setenv("MOSQUITTO_ALLOW_ANONYMOUS", "s3cret", 1), 0);
    assert_int_equal(setenv("NIGHTJAR_ACL_FILE", "s3cret", 1), 0);
    assert_int_equal(setenv("MOSQUITTO_", "s3cret", 1), 0);
    struct nj_settings *settings = rig_good("persistence_location /from/file\n");
    assert_string_equal(settings->persistence_location, "/from/env");
    assert_int_equal(settings->scope.allow_anonymous, NJ_UNSET);
    assert_true(rig_logged("environment variable MOSQUITTO_ALLOW_ANONYMOUS is not known"));
    assert_true(rig_logged("environment variable NIGHTJAR_ACL_FILE is not known"));
    assert_false(rig_logged("s3cret"));
    nj_settings_free(settings);
    assert_int_equal(setenv("MOSQUITTO_PERSISTENCE_LOCATION", "a\nb", 1), 0);
    settings = rig_good("persistence_location /from/file\n");
    assert_string_equal(settings->persistence_location, "/from/file");
    nj_settings_free(settings);
    assert_int_equal(setenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS", "1", 1), 0);
    struct nj_config_result compat = rig_run("mosquitto", NULL);
    assert_false(compat.settings->mode.nofollow_credentials);
    nj_settings_free(compat.settings);
    assert_int_equal(unsetenv("MOSQUITTO_PERSISTENCE_LOCATION"), 0);
    assert_int_equal(unsetenv("MOSQUITTO_ALLOW_ANONYMOUS"), 0);
    assert_int_equal(unsetenv("NIGHTJAR_ACL_FILE"), 0);
    assert_int_equal(unsetenv("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS"), 0);
    assert_int_equal(unsetenv("MOSQUITTO_"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_arguments_end_with_status_3),
        cmocka_unit_test(switches_are_kept),
        cmocka_unit_test(ports_are_ignored_when_listeners_are_configured),
        cmocka_unit_test(typographic_dashes_are_understood),
        cmocka_unit_test(help_and_version_exit_with_0),
        cmocka_unit_test(the_mode_comes_from_argument_line_and_name_in_this_order),
        cmocka_unit_test(modes_have_their_defaults_and_say_how_they_differ),
        cmocka_unit_test(B_269_environment_counts_where_it_is_known),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
