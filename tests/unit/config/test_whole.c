/* A file with every option, cut at every byte, and printed and read again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/config_priv.h"
#include "rig.h"

static const char everything[] =
    "\xef\xbb\xbf# every option that can be loaded\r\n"
    "per_listener_settings true\n"
    "acl_default allow\nrights_change strict\nsession_owner none\ncompat none\n"
    "response_information reply/%u/%c\n"
    "workers 2\ndurability interval 7\n"
    "check_retain_source true\nallow_duplicate_messages false\nclientid_prefixes p\n"
    "connection_messages false\nglobal_max_clients 5\nglobal_max_connections 6\n"
    "max_inflight_bytes 7\nmax_inflight_messages 8\nmax_keepalive 9\nmax_packet_size 21\n"
    "max_queued_bytes 22\nmax_queued_messages 23\nmemory_limit 24\nmessage_size_limit 25\n"
    "persistent_client_expiration 2h\nqueue_qos0_messages true\nretain_available false\n"
    "retain_expiry_interval 3\nset_tcp_nodelay true\nupgrade_outgoing_qos true\nsys_interval 0\n"
    "log_dest stderr\nlog_dest file x y.log\nlog_dest topic\nlog_type error\nlog_type debug\n"
    "log_facility 5\nlog_timestamp false\nlog_timestamp_format %H\n"
    "persistence false\nretained_persistence false\npersistence_file f\n"
    "persistence_location /l\nautosave_interval 4\nautosave_on_changes true\n"
    "pid_file p\nuser u\ninclude_dir empty.d\nenable_control_api false\nretry_interval 20\n"
    "websockets_log_level 7\nwebsockets_headers_size 100\npacket_buffer_size 5\n"
    "global_plugin /x/mosquitto_password_file.so\nplugin_opt_password_file pw\n"
    "auth_plugin_deny_special_chars true\n"
    "port 1885\nbind_address ::1\nmax_connections 3\nprotocol websockets\n"
    "websockets_origin https://a\nwebsockets_origin https://b\n"
    "listener 1884 127.0.0.1 # comment\r\n"
    "allow_anonymous true\nallow_zero_length_clientid false\nauto_id_prefix x\nacl_file a b\n"
    "dynamic_security ds\ndynamic_security_password_file pi\n"
    "socket_domain ipv4\naccept_protocol_versions 4, 5\nbind_interface lo\nmax_connections 4\n"
    "max_qos 1\nmax_topic_alias 2\nmax_topic_alias_broker 3\nmount_point m/\n"
    "use_username_as_clientid true\nlistener_allow_anonymous false\n"
    "listener_auto_id_prefix y\ncafile ca\ncapath cp\ncertificate_management true\ncertfile "
    "c\nkeyfile k\ncrlfile r\n"
    "ciphers A\nciphers_tls1.3 B\ntls_version tlsv1.3\ndhparamfile d\nrequire_certificate true\n"
    "use_identity_as_username true\nuse_subject_as_username true\n"
    "disable_client_cert_date_checks true\nenable_proxy_protocol 1\nproxy_trusted ::1\n"
    "proxy_trusted 10.0.0.0/8\nproxy_protocol_v2_require_tls false\n"
    "tls_engine e\ntls_engine_kpass_sha1 00\ntls_keyform engine\npsk_file f\n"
    "listener 1885\nsocket_name s\npsk_hint h\npsk_file f\n"
    "listener 0 /run/s\nplugin /y/mosquitto_dynamic_security.so\n"
    "plugin_opt_config_file ds\nplugin_opt_password_init_file pi\n"
    "plugin /y/mosquitto_acl_file.so\nauth_opt_acl_file z";

static const char bridges[] =
    "connection one\naddress a:1 b c:65535\n"
    "topic # both 2 l/ r/\ntopic \"a b\" in\ntopic \"\" out 0 x y\ntopic q # c\n"
    "bridge_alpn m\nbridge_attempt_unsubscribe false\nbridge_bind_address i\nbridge_cafile c\n"
    "bridge_capath d\nbridge_certfile e\nbridge_keyfile f\nbridge_ciphers g\n"
    "bridge_ciphers_tls1.3 h\nbridge_insecure true\nbridge_max_packet_size -5\n"
    "bridge_max_topic_alias 0\nbridge_outgoing_retain false\nbridge_protocol_version mqttv50\n"
    "bridge_receive_maximum 5\nbridge_reload_type immediate\nbridge_require_ocsp true\n"
    "bridge_session_expiry_interval 6\nbridge_tcp_keepalive 1 2 3\nbridge_tcp_user_timeout 4\n"
    "bridge_tls_use_os_certs true\nbridge_tls_version tlsv1.2\ncleansession true\n"
    "local_cleansession false\nclientid j\nlocal_clientid k\nusername l\npassword m\n"
    "local_username n\nlocal_password o\nidle_timeout 0\nkeepalive_interval 1\n"
    "notification_topic p\nnotifications false\nnotifications_local_only true\n"
    "restart_timeout 1 2 3\nround_robin true\nstart_type lazy\nthreshold 1\ntry_private false\n"
    "connection two\naddresses d\ntopic t\nbridge_identity i\nbridge_psk 00ff\n"
    "restart_timeout 5000\nremote_clientid r\nremote_username s\nremote_password t\n"
    "plugin_load n /x.so\nplugin_opt_abc d\n"
    "listener 1\n"
    "protocol http_api\nhttp_dir .\nplugin_use n\n"
    "plugin /x/foreign.so\nplugin_opt_whatever it\n";

static void cut_everywhere(const char *text, bool is_refused)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        rig_write_bytes("c.conf", text, cut);
        struct nj_config_result result = rig_run("nightjar", "-c", "c.conf", NULL);
        if (result.action == NJ_CONFIG_RUN) {
            assert_int_equal(result.exit_status, 0);
            assert_non_null(result.settings);
        } else {
            assert_int_equal(result.exit_status, 3);
            assert_true(strlen(result.error) > 10);
            assert_null(result.settings);
        }
        nj_settings_free(result.settings);
    }
    struct nj_config_result result = rig_load(text);
    assert_int_equal(result.action, is_refused ? NJ_CONFIG_EXIT : NJ_CONFIG_RUN);
    nj_settings_free(result.settings);
}

static void L_098_a_file_cut_at_any_byte_is_loaded_or_refused(void **state)
{
    (void)state;
    cut_everywhere(everything, false);
    cut_everywhere(bridges, true);
    assert_true(rig_logged("bridges (here: one) are not built yet"));
}

static void the_whole_files_name_every_option(void **state)
{
    (void)state;
    for (size_t i = 0; i < nj_option_count; i++) {
        char line[80];
        (void)snprintf(line, sizeof(line), "\n%s ", nj_options[i].name);
        bool is_elsewhere = strcmp(nj_options[i].name, "auth_plugin") == 0 ||
                            strcmp(nj_options[i].name, "maximum_qos") == 0 ||
                            strcmp(nj_options[i].name, "plugin_opt_acl_file") == 0 ||
                            strcmp(nj_options[i].name, "password_file") == 0;
        if (!is_elsewhere && !strstr(everything, line) && !strstr(bridges, line) &&
            strncmp(bridges, line + 1, strlen(line) - 1) != 0) {
            print_error("missing: %s\n", line + 1);
            fail();
        }
    }
}

static void what_is_printed_can_be_read_again(void **state)
{
    struct nj_settings *settings = rig_good(everything);
    char *first = rig_print(nj_config_print_effective, settings);
    (void)state;
    nj_settings_free(settings);
    settings = rig_good(first);
    char *second = rig_print(nj_config_print_effective, settings);
    assert_string_equal(second, first);
    nj_settings_free(settings);
    free(first);
    free(second);
    settings = rig_good("listener 1884\n");
    first = rig_print(nj_config_print_effective, settings);
    nj_settings_free(settings);
    settings = rig_good(first);
    second = rig_print(nj_config_print_effective, settings);
    assert_string_equal(second, first);
    nj_settings_free(settings);
    free(first);
    free(second);
}

static void a_reload_of_everything_at_every_cut_is_all_or_nothing(void **state)
{
    struct nj_settings *old = rig_good(everything);
    char *before = rig_print(nj_config_print_effective, old);
    size_t len = strlen(everything);
    (void)state;
    for (size_t cut = 0; cut <= len; cut += 3) {
        struct nj_settings *fresh = NULL;
        rig_write_bytes("c.conf", everything, cut);
        rig_log_clear();
        if (nj_config_reload(old, &fresh) == NJ_OK) {
            assert_int_equal(fresh->listener_count, old->listener_count);
            nj_settings_free(fresh);
        } else {
            assert_null(fresh);
        }
    }
    char *after = rig_print(nj_config_print_effective, old);
    assert_string_equal(after, before);
    free(before);
    free(after);
    nj_settings_free(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(L_098_a_file_cut_at_any_byte_is_loaded_or_refused),
        cmocka_unit_test(the_whole_files_name_every_option),
        cmocka_unit_test(what_is_printed_can_be_read_again),
        cmocka_unit_test(a_reload_of_everything_at_every_cut_is_all_or_nothing),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
