/* Reading the file again: everything or nothing, and never more open than before. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "config/config_priv.h"
#include "rig.h"

static const char secure[] = "password_file p\nacl_file a\nlistener 1884\n";

/* The settings after a reload with `text`, which has to be good. Frees `old`. */
static struct nj_settings *reload(struct nj_settings *old, const char *text)
{
    struct nj_settings *fresh = NULL;
    rig_write("c.conf", text);
    rig_log_clear();
    enum nj_err err = nj_config_reload(old, &fresh);
    if (err != NJ_OK) {
        print_error("%s\n", rig_log());
    }
    assert_int_equal(err, NJ_OK);
    nj_settings_free(old);
    return fresh;
}

static void refuses(const struct nj_settings *old, const char *part)
{
    struct nj_settings *fresh = NULL;
    char error[NJ_CONFIG_ERROR_MAX] = "";
    rig_log_clear();
    assert_int_equal(nj_config_reload_explained(old, &fresh, error), NJ_EINVAL);
    assert_null(fresh);
    if (!strstr(error, part)) {
        print_error("expected: %s\ngot: %s\n", part, error);
    }
    assert_non_null(strstr(error, part));
}

static void L_080_a_reload_without_free_descriptors_is_refused(void **state)
{
    struct nj_settings *old = rig_good(secure);
    char *before = rig_print(nj_config_print_effective, old);
    struct rlimit saved;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &saved), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = saved.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    refuses(old, "Error: Unable to open config file 'c.conf'.");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &saved), 0);
    rig_write("c.conf", "listener 1884\ninclude_dir empty.d\n");
    nj_fault_arm(NJ_FAULT_OPEN, 1, true);
    refuses(old, "Error: Unable to open config file 'c.conf'.");
    nj_fault_arm(NJ_FAULT_READ, 1, true);
    refuses(old, "Error: Unable to open config file 'c.conf'.");
    nj_fault_disarm();
    char *after = rig_print(nj_config_print_effective, old);
    assert_string_equal(after, before);
    free(before);
    free(after);
    nj_settings_free(old);
}

static void L_081_an_unreadable_file_on_reload_is_refused(void **state)
{
    struct nj_settings *old = rig_good(secure);
    (void)state;
    assert_int_equal(chmod("c.conf", 0), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct nj_settings *fresh = NULL;
        if (getuid() == 0 && (chmod(".", 0755) || setuid(65534))) {
            _exit(9);
        }
        _exit(nj_config_reload(old, &fresh) == NJ_EINVAL && !fresh ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(chmod("c.conf", 0600), 0);
    assert_int_equal(unlink("c.conf"), 0);
    refuses(old, "Error: Unable to open config file 'c.conf'.");
    nj_settings_free(old);
}

static void L_082_a_broken_file_on_reload_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } cases[] = {
        {"password_file p\nacl_file\nlistener 1884\n", "Error: Empty 'acl_file' value"},
        {"password_file p\nnonsense\n", "Error: Unknown configuration variable 'nonsense'."},
        {"listener 1884\ncertfile c\n", "Error: Both certfile and keyfile"},
        {"listener 1884\nplugin /x/foreign.so\n", "Error: The 'plugin' option is not available"},
        {"per_listener_settings true\nlistener 1884\n",
         "Error: per_listener_settings cannot be changed while the broker runs."},
    };
    struct nj_settings *old = rig_good(secure);
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rig_write("c.conf", cases[i].text);
        refuses(old, cases[i].error);
    }
    nj_settings_free(old);
}

static void L_090_a_reload_without_change_changes_nothing(void **state)
{
    static const char *const texts[] = {
        "",
        secure,
        "compat mosquitto\nper_listener_settings true\nlistener 1884\nacl_file a\n"
        "auto_id_prefix x\nlistener 0 /s\nprotocol websockets\nwebsockets_origin o\n"
        "durability interval 5\npersistence true\nlog_type all\nlog_dest topic\nuser u\n"
        "workers 2\npid_file p\n",
        "port 1885\nbind_address ::1\ncertfile c\nkeyfile k\nrights_change kick\n",
        "listener 1884\nbind_interface lo\nlistener 1884\nbind_interface eth0\nmax_qos 1\n",
    };
    (void)state;
    assert_int_equal(setenv("MOSQUITTO_PERSISTENCE_LOCATION", "/env", 1), 0);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct nj_settings *settings = rig_good(texts[i]);
        char *before = rig_print(nj_config_print_effective, settings);
        settings = reload(settings, texts[i]);
        char *after = rig_print(nj_config_print_effective, settings);
        assert_string_equal(after, before);
        assert_false(rig_logged("Warning"));
        free(before);
        free(after);
        nj_settings_free(settings);
    }
    assert_int_equal(unsetenv("MOSQUITTO_PERSISTENCE_LOCATION"), 0);
}

static void ports_of_the_command_line_stay(void **state)
{
    (void)state;
    rig_write("c.conf", "max_keepalive 5\n");
    struct nj_config_result result =
        rig_run("mosquitto", "-c", "c.conf", "-p", "1884", "-p", "1885", NULL);
    struct nj_settings *settings = reload(result.settings, "max_keepalive 6\nmax_connections 3\n");
    assert_int_equal(settings->max_keepalive, 6);
    assert_int_equal(settings->listener_count, 2);
    assert_int_equal(settings->listeners[0].port, 1884);
    assert_int_equal(settings->listeners[1].port, 1885);
    assert_int_equal(settings->listeners[1].max_connections, 3);
    assert_true(settings->is_local_only);
    assert_true(settings->mode.is_compat);
    assert_false(rig_logged("Warning"));
    nj_settings_free(settings);
}

static void live_options_take_their_new_value(void **state)
{
    struct nj_settings *settings = reload(
        rig_good(secure), "password_file q\nacl_file b\nallow_anonymous true\nmax_packet_size 99\n"
                          "acl_default allow\nlog_type debug\nlistener 1884\nmax_connections 4\n"
                          "listener_allow_anonymous false\nmax_qos 1\n");
    (void)state;
    assert_string_equal(settings->scope.password_file, "q");
    assert_string_equal(settings->scope.acl_file, "b");
    assert_int_equal(settings->max_packet_size, 99);
    assert_int_equal(settings->log_types, 16);
    assert_true(settings->mode.acl_default_allow);
    assert_int_equal(settings->listeners[0].max_connections, 4);
    assert_int_equal(settings->listeners[0].max_qos, 1);
    assert_false(nj_settings_anonymous(settings, 0));
    assert_false(rig_logged("Warning"));
    settings = reload(settings, "listener 1884\n");
    assert_null(settings->scope.password_file);
    assert_int_equal(settings->max_packet_size, 2000000);
    assert_false(nj_settings_anonymous(settings, 0));
    nj_settings_free(settings);
}

static void options_that_need_a_restart_keep_their_value_and_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        const struct nj_option *option = &nj_options[i];
        char text[256];
        char warning[256];
        const char *value = option->kind == NJ_OPT_BOOL  ? NULL
                            : option->kind == NJ_OPT_INT ? "2"
                                                         : "x";
        bool is_listeners = option->place == NJ_PLACE_LISTENER;
        /* Alone it means nothing, which is an error of its own. */
        if (strcmp(option->name, "dynamic_security_password_file") == 0) {
            continue;
        }
        if (option->reload != NJ_RELOAD_RESTART || !value || option->kind == NJ_OPT_CUSTOM ||
            option->kind == NJ_OPT_WORD || (option->parse && option->kind == NJ_OPT_INT)) {
            continue;
        }
        const char *base = strcmp(option->name, "http_dir") == 0
                               ? "listener 1884\nprotocol http_api\n"
                               : "listener 1884\nproxy_trusted ::1\n";
        struct nj_settings *old = rig_good(base);
        char *before = rig_print(nj_config_print_effective, old);
        (void)snprintf(text, sizeof(text), "%s%s %s\n", base, option->name, value);
        old = reload(old, text);
        char *after = rig_print(nj_config_print_effective, old);
        if (strcmp(after, before) != 0) {
            print_error("changed by %s\n", option->name);
        }
        assert_string_equal(after, before);
        (void)snprintf(warning, sizeof(warning), "Warning: '%s'%s cannot be changed", option->name,
                       is_listeners ? " of port 1884 of every address" : "");
        assert_true(rig_logged(warning));
        free(before);
        free(after);
        nj_settings_free(old);
    }
    struct nj_settings *settings = reload(
        rig_good("listener 1884\n"),
        "compat mosquitto\npersistence false\nretained_persistence false\nrights_change kick\n"
        "durability interval 9\nlistener 1884\nprotocol websockets\nsocket_domain ipv4\n"
        "websockets_origin x\nmount_point m\n");
    assert_true(rig_logged("'compat' cannot") && rig_logged("'persistence' cannot") &&
                rig_logged("'retained_persistence' cannot") &&
                rig_logged("'rights_change' cannot") && rig_logged("'durability' cannot") &&
                rig_logged("'protocol' of port 1884") && rig_logged("'socket_domain' of port") &&
                rig_logged("'websockets_origin' of port") && rig_logged("'mount_point' of port"));
    assert_false(settings->mode.is_compat);
    assert_true(settings->persistence);
    assert_int_equal(settings->mode.rights_change, NJ_RIGHTS_RECHECK);
    assert_int_equal(settings->durability, NJ_DURABILITY_FSYNC);
    assert_int_equal(settings->listeners[0].protocol, NJ_PROTOCOL_MQTT);
    assert_int_equal(settings->listeners[0].websockets_origin_count, 0);
    assert_null(settings->listeners[0].mount_point);
    nj_settings_free(settings);
}

static void
L_090_the_trusted_proxies_of_a_listener_follow_the_file_while_it_has_proxies(void **state)
{
    struct nj_settings *settings =
        reload(rig_good("compat mosquitto\nlistener 1884\nenable_proxy_protocol 2\n"
                        "proxy_trusted 10.0.0.0/8\nproxy_trusted ::1\n"),
               "compat mosquitto\nlistener 1884\nenable_proxy_protocol 2\n"
               "proxy_trusted 10.0.0.0/8\n");
    (void)state;
    assert_int_equal(settings->listeners[0].proxy_trusted_count, 1);
    /* It goes on to speak the protocol, so whom it believes must not become "anybody". */
    settings = reload(settings, "compat mosquitto\nlistener 1884\n");
    assert_int_equal(settings->listeners[0].proxy_protocol, 2);
    assert_int_equal(settings->listeners[0].proxy_trusted_count, 1);
    nj_settings_free(settings);
}

static void listeners_are_neither_added_nor_removed(void **state)
{
    struct nj_settings *settings =
        rig_good("listener 1\nmax_qos 1\nmount_point m\nlistener 2\nlistener 0 /s\n"
                 "websockets_origin x\nlistener 3 ::1\n");
    (void)state;
    settings = reload(settings, "listener 3\nlistener 2\nmax_qos 0\nlistener 0 /other\n");
    assert_int_equal(settings->listener_count, 4);
    assert_int_equal(settings->listeners[0].port, 1);
    assert_int_equal(settings->listeners[0].max_qos, 1);
    assert_string_equal(settings->listeners[0].mount_point, "m");
    assert_int_equal(settings->listeners[1].port, 2);
    assert_int_equal(settings->listeners[1].max_qos, 0);
    assert_string_equal(settings->listeners[2].unix_path, "/s");
    assert_string_equal(settings->listeners[2].websockets_origins[0], "x");
    assert_string_equal(settings->listeners[3].host, "::1");
    assert_true(rig_logged("listener (port 1 of every address) is no longer configured"));
    assert_true(rig_logged("listener (unix socket /s) is no longer configured"));
    assert_true(rig_logged("listener (port 3 of ::1) is no longer configured"));
    assert_true(rig_logged("new listener (port 3 of every address) is not opened"));
    assert_true(rig_logged("new listener (unix socket /other) is not opened"));
    assert_false(rig_logged("port 2 of every address"));
    nj_settings_free(settings);
}

static void removed_lines_do_not_let_anonymous_clients_in(void **state)
{
    (void)state;
    /* Without a listener line compat mode lets anonymous clients of this machine in. The open
     * listener is for everybody, so that must not hold for it. */
    struct nj_settings *settings = rig_good("compat mosquitto\nlistener 1884\n");
    settings = reload(settings, "compat mosquitto\n");
    assert_false(settings->is_local_only);
    assert_int_equal(settings->listener_count, 1);
    assert_int_equal(settings->listeners[0].port, 1884);
    assert_null(settings->listeners[0].host);
    assert_false(nj_settings_anonymous(settings, 0));
    nj_settings_free(settings);
    settings = rig_good("compat mosquitto\n");
    assert_true(nj_settings_anonymous(settings, 0));
    settings = reload(settings, "compat mosquitto\nlistener 1884\n");
    assert_true(settings->is_local_only);
    assert_string_equal(settings->listeners[0].host, "localhost");
    assert_true(rig_logged("new listener (port 1884 of every address) is not opened"));
    nj_settings_free(settings);
}

static void tls_is_neither_switched_on_nor_off(void **state)
{
    static const char tls[] = "listener 1884\ncertfile c\nkeyfile k\ncafile ca\n"
                              "require_certificate true\nuse_identity_as_username true\n";
    struct nj_settings *settings = reload(rig_good(tls), "listener 1884\nmax_qos 1\n");
    const struct nj_listener_settings *listener = settings->listeners;
    (void)state;
    assert_true(rig_logged("'certfile' of port 1884 of every address cannot be changed"));
    assert_string_equal(listener->certfile, "c");
    assert_string_equal(listener->keyfile, "k");
    assert_string_equal(listener->cafile, "ca");
    assert_true(listener->require_certificate && listener->use_identity_as_username);
    assert_int_equal(listener->max_qos, 1);
    settings = reload(settings, "listener 1884\ncertfile c2\nkeyfile k2\ncrlfile r\n");
    listener = settings->listeners;
    assert_false(rig_logged("Warning"));
    assert_string_equal(listener->certfile, "c2");
    assert_string_equal(listener->crlfile, "r");
    assert_false(listener->require_certificate);
    nj_settings_free(settings);
    settings = reload(rig_good("listener 1884\n"), tls);
    assert_true(rig_logged("'certfile' of port 1884 of every address cannot be changed"));
    assert_null(settings->listeners[0].certfile);
    assert_false(settings->listeners[0].require_certificate);
    nj_settings_free(settings);
}

static void the_mode_and_its_overrides_follow_the_file(void **state)
{
    (void)state;
    rig_write("c.conf", "listener 1884\n");
    struct nj_config_result result =
        rig_run("nightjar", "--compat", "mosquitto", "-c", "c.conf", NULL);
    struct nj_settings *settings =
        reload(result.settings, "compat none\nacl_default deny\nlistener 1884\n");
    assert_true(settings->mode.is_compat);
    assert_false(settings->mode.acl_default_allow);
    assert_false(rig_logged("'compat'")); /* --compat wins anyway */
    settings = reload(settings, "listener 1884\n");
    assert_true(settings->mode.acl_default_allow);
    nj_settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(L_080_a_reload_without_free_descriptors_is_refused),
        cmocka_unit_test(L_081_an_unreadable_file_on_reload_is_refused),
        cmocka_unit_test(L_082_a_broken_file_on_reload_is_refused_with_the_reason),
        cmocka_unit_test(L_090_a_reload_without_change_changes_nothing),
        cmocka_unit_test(ports_of_the_command_line_stay),
        cmocka_unit_test(live_options_take_their_new_value),
        cmocka_unit_test(options_that_need_a_restart_keep_their_value_and_are_named),
        cmocka_unit_test(
            L_090_the_trusted_proxies_of_a_listener_follow_the_file_while_it_has_proxies),
        cmocka_unit_test(listeners_are_neither_added_nor_removed),
        cmocka_unit_test(removed_lines_do_not_let_anonymous_clients_in),
        cmocka_unit_test(tls_is_neither_switched_on_nor_off),
        cmocka_unit_test(the_mode_and_its_overrides_follow_the_file),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
