/* What holds where: global options, listeners, per_listener_settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rig.h"

static void L_084_the_effective_policy_is_the_golden_one(void **state)
{
    /* {global, listener} x {anonymous, passwords, rights} x {default, named listener} */
    static const struct {
        const char *text;
        const char *policy;
    } cases[] = {
        {"", "port 1883 of localhost: anonymous no, passwords none, rights nothing, tls no\n"},
        {"allow_anonymous true\n",
         "port 1883 of localhost: anonymous yes, passwords none, rights nothing, tls no\n"},
        {"compat mosquitto\n",
         "port 1883 of localhost: anonymous yes, passwords none, rights everything, tls no\n"},
        {"compat mosquitto\nallow_anonymous false\n",
         "port 1883 of localhost: anonymous no, passwords none, rights everything, tls no\n"},
        {"compat mosquitto\nacl_default deny\n",
         "port 1883 of localhost: anonymous yes, passwords none, rights nothing, tls no\n"},
        {"compat mosquitto\npassword_file p\nacl_file a\n",
         "port 1883 of localhost: anonymous yes, passwords p, rights a, tls no\n"},
        {"port 1884\nacl_file a\npassword_file p\n",
         "port 1884 of every address: anonymous no, passwords p, rights a, tls no\n"},
        {"bind_address ::1\ncompat mosquitto\n",
         "port 1883 of ::1: anonymous no, passwords none, rights everything, tls no\n"},
        {"listener 1884\nallow_anonymous true\nacl_file a\nlistener 1885\npassword_file p\n",
         "port 1884 of every address: anonymous yes, passwords p, rights a, tls no\n"
         "port 1885 of every address: anonymous yes, passwords p, rights a, tls no\n"},
        {"allow_anonymous true\nlistener 1884\nlistener_allow_anonymous false\nlistener 1885\n",
         "port 1884 of every address: anonymous no, passwords none, rights nothing, tls no\n"
         "port 1885 of every address: anonymous yes, passwords none, rights nothing, tls no\n"},
        {"listener 1884\nlistener_allow_anonymous true\nlistener 0 /s\n",
         "port 1884 of every address: anonymous yes, passwords none, rights nothing, tls no\n"
         "unix socket /s: anonymous no, passwords none, rights nothing, tls no\n"},
        {"per_listener_settings true\nlistener 1884\nacl_file a\nlistener 1885\npassword_file p\n"
         "allow_anonymous true\n",
         "port 1884 of every address: anonymous no, passwords none, rights a, tls no\n"
         "port 1885 of every address: anonymous yes, passwords p, rights nothing, tls no\n"},
        {"compat mosquitto\nper_listener_settings true\nport 1884\nacl_file a\nlistener 1885\n",
         "port 1884 of every address: anonymous no, passwords none, rights a, tls no\n"
         "port 1885 of every address: anonymous no, passwords none, rights everything, tls no\n"},
        {"per_listener_settings true\nglobal_plugin /x/mosquitto_acl_file.so\n"
         "plugin_opt_acl_file a\nlistener 1884\nlistener 1885\npassword_file p\n",
         "port 1884 of every address: anonymous no, passwords none, rights a, tls no\n"
         "port 1885 of every address: anonymous no, passwords p, rights a, tls no\n"},
        {"per_listener_settings true\nlistener 1884\nplugin mosquitto_acl_file.so\n"
         "plugin_opt_acl_file a\nlistener 1885\nplugin mosquitto_password_file.so\n"
         "plugin_opt_password_file p\n",
         "port 1884 of every address: anonymous no, passwords none, rights a, tls no\n"
         "port 1885 of every address: anonymous no, passwords p, rights nothing, tls no\n"},
        {"plugin /usr/lib/with blank/mosquitto_acl_file.so\nauth_opt_acl_file my acl\n"
         "listener 1884\n",
         "port 1884 of every address: anonymous no, passwords none, rights my acl, tls no\n"},
        {"listener 8883\ncertfile c\nkeyfile k\ncafile ca\nrequire_certificate true\n"
         "use_identity_as_username true\nlistener 8884\ncertfile c\nkeyfile k\n"
         "listener 8885\ncertfile c\nkeyfile k\ncapath d\nrequire_certificate 1\n"
         "listener 8886\ncertfile c\nkeyfile k\ncapath d\nrequire_certificate 1\n"
         "use_subject_as_username 1\n",
         "port 8883 of every address: anonymous no, passwords none, rights nothing, "
         "tls certificate as name\n"
         "port 8884 of every address: anonymous no, passwords none, rights nothing, tls yes\n"
         "port 8885 of every address: anonymous no, passwords none, rights nothing, "
         "tls certificate\n"
         "port 8886 of every address: anonymous no, passwords none, rights nothing, "
         "tls certificate subject as name\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nj_settings *settings = rig_good(cases[i].text);
        char *policy = rig_print(nj_config_print_policy, settings);
        assert_string_equal(policy, cases[i].policy);
        free(policy);
        nj_settings_free(settings);
    }
}

static void L_084_a_security_option_that_no_listener_would_see_is_refused(void **state)
{
    static const char *const names[] = {
        "acl_file", "password_file", "allow_anonymous",           "auto_id_prefix",
        "psk_file", "plugin",        "allow_zero_length_clientid"};
    char text[128];
    char error[128];
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(text, sizeof(text), "per_listener_settings true\n%s true\nlistener 1884\n",
                       names[i]);
        (void)snprintf(error, sizeof(error),
                       "Error: The '%s' option requires a listener to be defined first.", names[i]);
        rig_bad(text, error, 2);
    }
    rig_bad("per_listener_settings true\nglobal_plugin mosquitto_acl_file.so\n"
            "plugin_opt_acl_file a\nlistener 1884\nacl_file b\n",
            "Error: 'acl_file' is given by a global_plugin and by a listener; only one of them can "
            "be used.",
            0);
}

static void L_086_anonymous_false_counts_without_a_listener(void **state)
{
    (void)state;
    rig_write("no.conf", "allow_anonymous false\n");
    rig_write("yes.conf", "allow_anonymous true\n");
    static const struct {
        const char *program;
        const char *file;
        bool is_open;
    } cases[] = {
        {"mosquitto", "no.conf", false},
        {"mosquitto", "yes.conf", true},
        {"nightjar", "no.conf", false},
        {"nightjar", "yes.conf", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nj_config_result result =
            rig_run(cases[i].program, "-c", cases[i].file, "-p", "1884", "-p", "1885", NULL);
        assert_int_equal(result.settings->listener_count, 2);
        assert_int_equal(nj_settings_anonymous(result.settings, 0), cases[i].is_open);
        assert_int_equal(nj_settings_anonymous(result.settings, 1), cases[i].is_open);
        nj_settings_free(result.settings);
    }
    struct nj_config_result bare = rig_run("nightjar", NULL);
    assert_false(nj_settings_anonymous(bare.settings, 0));
    nj_settings_free(bare.settings);
    bare = rig_run("mosquitto", NULL);
    assert_true(nj_settings_anonymous(bare.settings, 0));
    assert_string_equal(bare.settings->listeners[0].host, "localhost");
    nj_settings_free(bare.settings);
}

static void ids_follow_listener_then_scope(void **state)
{
    struct nj_settings *settings =
        rig_good("auto_id_prefix g-\nallow_zero_length_clientid false\nlistener 1\n"
                 "listener_auto_id_prefix l-\nlistener 2\n");
    (void)state;
    assert_string_equal(nj_settings_auto_id_prefix(settings, 0), "l-");
    assert_string_equal(nj_settings_auto_id_prefix(settings, 1), "g-");
    assert_false(nj_settings_zero_length_clientid(settings, 1));
    assert_false(settings->allow_zero_length_clientid);
    assert_string_equal(settings->auto_id_prefix, "g-");
    nj_settings_free(settings);
    settings = rig_good("per_listener_settings true\nlistener 1\nauto_id_prefix a-\n"
                        "allow_zero_length_clientid false\nlistener 2\n");
    assert_string_equal(nj_settings_auto_id_prefix(settings, 0), "a-");
    assert_string_equal(nj_settings_auto_id_prefix(settings, 1), "auto-");
    assert_false(nj_settings_zero_length_clientid(settings, 0));
    assert_true(nj_settings_zero_length_clientid(settings, 1));
    nj_settings_free(settings);
}

static void listener_options_belong_to_the_listener_before_them(void **state)
{
    struct nj_settings *settings =
        rig_good("listener 1884 127.0.0.1 # comment\nmax_connections 5\nprotocol websockets\n"
                 "websockets_origin https://a\nwebsockets_origin https://b\nsocket_domain ipv6\n"
                 "accept_protocol_versions 5, 4\nbind_interface lo\nmax_topic_alias 0\n"
                 "listener 0 /run/with blank/s\nmax_qos 0\nmount_point m/\n"
                 "use_username_as_clientid true\nmax_topic_alias_broker 7\n");
    const struct nj_listener_settings *first = &settings->listeners[0];
    const struct nj_listener_settings *second = &settings->listeners[1];
    (void)state;
    assert_string_equal(first->host, "127.0.0.1");
    assert_int_equal(first->max_connections, 5);
    assert_int_equal(first->protocol, NJ_PROTOCOL_WEBSOCKETS);
    assert_int_equal(first->websockets_origin_count, 2);
    assert_string_equal(first->websockets_origins[1], "https://b");
    assert_int_equal(first->socket_domain, 6);
    assert_int_equal(first->accept_versions, 1u << 4 | 1u << 5);
    assert_string_equal(first->bind_interface, "lo");
    assert_int_equal(first->max_topic_alias, 0);
    assert_int_equal(first->max_qos, 2);
    assert_null(first->mount_point);
    assert_string_equal(second->unix_path, "/run/with blank/s");
    assert_int_equal(second->port, 0);
    assert_null(second->host);
    assert_int_equal(second->max_qos, 0);
    assert_string_equal(second->mount_point, "m/");
    assert_true(second->use_username_as_clientid);
    assert_int_equal(second->max_topic_alias, 10);
    assert_int_equal(second->max_topic_alias_broker, 7);
    assert_int_equal(second->max_connections, -1);
    assert_false(settings->is_local_only);
    nj_settings_free(settings);
}

static void log_options_add_up(void **state)
{
    struct nj_settings *settings = rig_good("log_dest stdout\nlog_dest file /x y\nlog_dest topic\n"
                                            "log_type error\nlog_type subscribe\nlog_facility 3\n"
                                            "log_timestamp_format %Y-%m-%dT%H:%M:%S\n");
    (void)state;
    assert_true(settings->log_stdout && settings->log_topic);
    assert_false(settings->log_stderr || settings->log_syslog);
    assert_string_equal(settings->log_file, "/x y");
    assert_int_equal(settings->log_types, 1 | 32);
    assert_int_equal(settings->log_facility, 3);
    assert_string_equal(settings->log_timestamp_format, "%Y-%m-%dT%H:%M:%S");
    nj_settings_free(settings);
    settings = rig_good("log_dest stdout\nlog_dest file x\nlog_dest none\nlog_type all\n"
                        "log_type none\n");
    assert_false(settings->log_stdout || settings->log_stderr || settings->log_file);
    assert_int_equal(settings->log_types, 0);
    nj_settings_free(settings);
    settings = rig_good("log_dest none\nlog_dest syslog\n");
    assert_true(settings->log_syslog);
    nj_settings_free(settings);
}

static void large_and_special_values_arrive(void **state)
{
    struct nj_settings *settings =
        rig_good("memory_limit 9223372036854775807\nmax_queued_bytes 5000000000\n"
                 "max_inflight_bytes 1\npersistent_client_expiration 2147483647y\n"
                 "retain_expiry_interval 10000000\nmessage_size_limit 268435455\n"
                 "durability interval 20\nworkers 3\nautosave_interval 0\n");
    (void)state;
    assert_true(settings->memory_limit == INT64_MAX);
    assert_true(settings->max_queued_bytes == 5000000000);
    assert_true(settings->max_inflight_bytes == 1);
    assert_true(settings->persistent_client_expiration_s == 136ULL * 31536000);
    assert_true(settings->persistent_client_expiration_s < UINT32_MAX);
    assert_int_equal(settings->retain_expiry_interval_min, 10000000);
    assert_int_equal(settings->message_size_limit, 268435455);
    assert_int_equal(settings->durability, NJ_DURABILITY_INTERVAL);
    assert_int_equal(settings->durability_interval_ms, 20);
    assert_int_equal(settings->workers, 3);
    assert_int_equal(settings->autosave_interval, 0);
    nj_settings_free(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(L_084_the_effective_policy_is_the_golden_one),
        cmocka_unit_test(L_084_a_security_option_that_no_listener_would_see_is_refused),
        cmocka_unit_test(L_086_anonymous_false_counts_without_a_listener),
        cmocka_unit_test(ids_follow_listener_then_scope),
        cmocka_unit_test(listener_options_belong_to_the_listener_before_them),
        cmocka_unit_test(log_options_add_up),
        cmocka_unit_test(large_and_special_values_arrive),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
