/* The words of errors, and where they say that the error is. */
#include <stdio.h>
#include <string.h>

#include "rig.h"

struct bad {
    const char *text;
    const char *error;
    unsigned line; /* 0 = it belongs to no line */
};

static void all_bad(const struct bad *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        rig_bad(list[i].text, list[i].error, list[i].line);
    }
}

#define ALL_BAD(list) all_bad(list, sizeof(list) / sizeof((list)[0]))

#define RESPONSE_ERROR                                                                             \
    "Error: 'response_information' must be `none` or a topic of at most 200 bytes in which %c, "   \
    "and perhaps %u, is a whole level."
#define UNBUILT "' option is not available in this version of nightjar: "

static void B_261_unknown_misplaced_and_surplus_words_are_errors(void **state)
{
    static const struct bad list[] = {
        {"nonsense\n", "Error: Unknown configuration variable 'nonsense'.", 1},
        {"\n\n# x\n nonsense 1\n", "Error: Unknown configuration variable 'nonsense'.", 4},
        {" # not a comment\n", "Error: Unknown configuration variable '#'.", 1},
        {"\t# nor this\n", "Error: Unknown configuration variable '#'.", 1},
        {"Allow_Anonymous true\n", "Error: Unknown configuration variable 'Allow_Anonymous'.", 1},
        {"allow_anonymous=true\n", "Error: Unknown configuration variable 'allow_anonymous=true'.",
         1},
        {"allow_anonymous true # yes\n", "Error: Invalid 'allow_anonymous' value (true # yes).", 1},
        {"allow_anonymous true false\n", "Error: Invalid 'allow_anonymous' value (true false).", 1},
        {"max_keepalive 5 # s\n", "Error: 'max_keepalive' value not a number.", 1},
        {"log_type error warning\n", "Error: Invalid 'log_type' value (error warning).", 1},
        {"log_dest stderr stdout\n", "Error: Invalid 'log_dest' value (stdout).", 1},
        {"listener 1884 127.0.0.1 more\n", "Error: Invalid 'listener' address (127.0.0.1 more).",
         1},
        {"include_dir empty.d\nmax_qos\n", "Error: Empty 'max_qos' value in configuration.", 2},
    };
    (void)state;
    ALL_BAD(list);
}

static void L_087_a_wrong_security_option_never_starts_the_broker(void **state)
{
    static const struct bad list[] = {
        {"aclfile x\n", "Error: Unknown configuration variable 'aclfile'.", 1},
        {"acl_file\n", "Error: Empty 'acl_file' value in configuration.", 1},
        {"acl_file a\nacl_file b\n", "Error: Duplicate 'acl_file' value in configuration.", 2},
        {"password_file a\npassword_file a\n",
         "Error: Duplicate 'password_file' value in configuration.", 2},
        {"allow_anonymous no\n", "Error: Invalid 'allow_anonymous' value (no).", 1},
        {"allow_anonymous false\nallow_anonymous true\n",
         "Error: Duplicate 'allow_anonymous' value in configuration.", 2},
        {"require_certificate true\n",
         "Error: require_certificate needs certfile and keyfile "
         "(port 1883 of localhost).",
         0},
        {"listener 1\ncertfile c\nkeyfile k\nrequire_certificate true\n",
         "Error: require_certificate needs cafile or capath (port 1 of every address).", 0},
        {"listener 1\ncertfile c\n",
         "Error: Both certfile and keyfile must be provided to enable a TLS listener.", 0},
        {"listener 1\nkeyfile c\n",
         "Error: Both certfile and keyfile must be provided to enable a TLS listener.", 0},
        {"listener 1\ncafile c\n", "Error: cafile specified without certfile and keyfile.", 0},
        {"listener 1\ncapath c\n", "Error: capath specified without certfile and keyfile.", 0},
        {"acl_default maybe\n", "Error: Invalid 'acl_default' value (maybe).", 1},
        {"rights_change never\n", "Error: Invalid 'rights_change' value (never).", 1},
        {"session_owner anyone\n", "Error: Invalid 'session_owner' value (anyone).", 1},
        {"response_information reply\n", RESPONSE_ERROR, 1},     /* shared by all clients */
        {"response_information reply/x%c\n", RESPONSE_ERROR, 1}, /* no whole level */
        {"response_information reply/%c%u\n", RESPONSE_ERROR, 1},
        {"response_information reply/%%/%c\n", RESPONSE_ERROR, 1},
        {"response_information $SYS/%c\n", RESPONSE_ERROR, 1},
        {"response_information reply/%c/#\n", RESPONSE_ERROR, 1},
        /* Not a second, open listener on port 1883. */
        {"certfile c\nkeyfile k\nlistener 8883\n",
         "Error: The 'certfile' option requires a listener to be defined first.", 1},
        {"cafile c\ncertfile c\nkeyfile k\nlistener 8883\n",
         "Error: The 'cafile' option requires a listener to be defined first.", 1},
        {"cafile x\n", "Error: cafile specified without certfile and keyfile.", 0},
    };
    (void)state;
    ALL_BAD(list);
}

static void listeners_have_the_originals_errors(void **state)
{
    static const struct bad list[] = {
        {"listener\n", "Error: Empty 'listener port' value in configuration.", 1},
        {"listener x\n", "Error: 'listener port' value not a number.", 1},
        {"listener -1\n", "Error: Invalid 'port' value (-1).", 1},
        {"listener 65536\n", "Error: Invalid 'port' value (65536).", 1},
        {"listener 0\n", "Error: A listener with port 0 must provide a Unix socket path.", 1},
        {"listener 0 # x\n", "Error: A listener with port 0 must provide a Unix socket path.", 1},
        {"port 0\n", "Error: Invalid 'port' value (0).", 1},
        {"port 65536\n", "Error: Invalid 'port' value (65536).", 1},
        {"port x\n", "Error: 'port' value not a number.", 1},
        {"bind_address\n", "Error: Empty 'default listener bind_address' value in configuration.",
         1},
        {"listener 1\nlistener 2\nlistener 1\n",
         "Error: Two listeners have the same address (port 1 of every address).", 3},
        {"listener 0 /x\nlistener 0 /x\n",
         "Error: Two listeners have the same address (unix socket /x).", 2},
        {"port 1884\nlistener 1884\n",
         "Error: Two listeners have the same address (port 1884 of every address).", 2},
        {"listener 1884\nport 1884\n",
         "Error: Two listeners have the same address (port 1884 of every address).", 0},
        {"listener 1\nprotocol coap\n", "Error: Invalid 'protocol' value (coap).", 2},
        {"listener 1\nprotocol http_api\npsk_hint x\npsk_file y\n",
         "Error: psk_hint cannot be used with `protocol http_api` (port 1 of every address).", 0},
        {"listener 1\nprotocol websockets\nhttp_dir x\n",
         "Error: http_dir is available with `protocol http_api` only (port 1 of every address).",
         0},
        {"listener 1\nmax_qos 3\n", "Error: 'max_qos' must be between 0 and 2 inclusive.", 2},
        {"listener 1\nmax_topic_alias 65536\n",
         "Error: Invalid 'max_topic_alias' value in configuration.", 2},
        {"listener 1\nmount_point a/#\n",
         "Error: Invalid 'mount_point' value (a/#). Does it contain a wildcard character?", 2},
        {"listener 1\nsocket_domain ip\n",
         "Error: Invalid 'socket_domain' value 'ip' in configuration.", 2},
        {"listener 1\nenable_proxy_protocol 3\n", "Error: enable_proxy_protocol must be 1 or 2.",
         2},
        {"compat mosquitto\nlistener 1\nenable_proxy_protocol 2\ncertfile c\nkeyfile k\n",
         "Error: certfile and keyfile cannot be used with `enable_proxy_protocol 2`.", 0},
        {"listener 1\nenable_proxy_protocol 1\n",
         "Error: enable_proxy_protocol needs proxy_trusted, the addresses of the proxies: "
         "everybody "
         "else could say that he comes from anywhere (port 1 of every address).",
         0},
        {"listener 1\nenable_proxy_protocol 1\nproxy_trusted ::/0\n"
         "proxy_protocol_v2_require_tls true\n",
         "Error: proxy_protocol_v2_require_tls needs `enable_proxy_protocol 2` (port 1 of every "
         "address).",
         0},
        {"listener 1\nproxy_trusted 10.0.0.1/8\n",
         "Error: Invalid 'proxy_trusted' value (10.0.0.1/8).", 2},
        {"listener 1\npsk_hint h\n", "Error: psk_hint needs a psk_file (port 1 of every address).",
         0},
        {"listener 1\ncertfile c\nkeyfile k\ntls_keyform engine\n",
         "Error: `tls_keyform engine` needs tls_engine (port 1 of every address).", 0},
        {"listener 1\nproxy_trusted proxy.example\n",
         "Error: Invalid 'proxy_trusted' value (proxy.example).", 2},
        {"listener 1\nenable_proxy_protocol 2\nproxy_trusted ::1\n"
         "use_subject_as_username true\n",
         "Error: use_subject_as_username cannot be used with `enable_proxy_protocol 2`.", 0},
        {"listener 1\npsk_hint h\ncertfile c\nkeyfile k\n",
         "Error: Cannot use both certificate and psk encryption in a single listener.", 0},
        {"port 1884\naccept_protocol_versions 5\n",
         "Error: The 'accept_protocol_versions' option requires a listener to be defined first.",
         2},
    };
    (void)state;
    ALL_BAD(list);
}

static void global_options_have_the_originals_errors(void **state)
{
    static const struct bad list[] = {
        {"max_packet_size 19\n", "Error: 'max_packet_size' must be >= 20.", 1},
        {"max_inflight_messages 65536\n", "Error: 'max_inflight_messages' must be <= 65535.", 1},
        {"max_keepalive -1\n", "Error: Invalid 'max_keepalive' value (-1).", 1},
        {"sys_interval 65536\n", "Error: Invalid 'sys_interval' value (65536).", 1},
        {"log_facility 8\n", "Error: Invalid 'log_facility' value (8).", 1},
        {"memory_limit -1\n", "Error: Invalid 'memory_limit' value (-1).", 1},
        {"message_size_limit 268435456\n", "Error: Invalid 'message_size_limit' value (268435456).",
         1},
        {"retain_expiry_interval 0\n", "Error: retain_expiry_interval must be >= 1.", 1},
        {"autosave_interval 2147483648\n", "Error: 'autosave_interval' value out of range.", 1},
        {"websockets_headers_size 65536\n",
         "Error: Packet buffer size must be between 0 and 65535 inclusive.", 1},
        {"packet_buffer_size -1\n",
         "Error: Packet buffer size must be between 0 and 65535 inclusive.", 1},
        {"persistent_client_expiration 5x\n",
         "Error: Invalid 'persistent_client_expiration' duration in configuration.", 1},
        {"log_dest printer\n", "Error: Invalid 'log_dest' value (printer).", 1},
        {"log_dest file\n", "Error: Empty \"log_dest file\" value in configuration.", 1},
        {"log_dest file a\nlog_dest file b\n", "Error: Duplicate \"log_dest file\" value.", 2},
        {"log_dest dlt\n", "Error: The 'log_dest dlt" UNBUILT "logging to DLT is not built.", 1},
        {"log_type all\nlog_type some\n", "Error: Invalid 'log_type' value (some).", 2},
        {"auto_id_prefix 012345678901234567890123456789012345678901234567890\n",
         "Error: auto_id_prefix length must be <= 50.", 1},
        {"listener 1\nlistener_auto_id_prefix "
         "012345678901234567890123456789012345678901234567890\n",
         "Error: 'listener_auto_id_prefix' length must be <= 50.", 2},
        {"allow_anonymous true\nper_listener_settings true\n",
         "Error: per_listener_settings must be set before any other security settings.", 2},
        {"plugin /x/mosquitto_acl_file.so\nplugin_opt_acl_file a\nper_listener_settings true\n",
         "Error: per_listener_settings must be set before any other security settings.", 3},
        {"user \xff\n", "Error: Malformed UTF-8 in configuration.", 1},
        {"workers 65\n", "Error: Invalid 'workers' value (65).", 1},
        {"durability often\n", "Error: Invalid 'durability' value (often).", 1},
        {"durability interval 60001\n",
         "Error: Invalid 'durability interval' value (60001): 1 to 60000 milliseconds.", 1},
        {"compat mosquito\n", "Error: Invalid 'compat' value (mosquito).", 1},
    };
    (void)state;
    ALL_BAD(list);
}

static void plugins_are_known_by_file_name(void **state)
{
    static const struct bad list[] = {
        {"plugin_opt_acl_file a\n",
         "Error: The 'plugin_opt_acl_file' option requires plugin/global_plugin/plugin_load to be "
         "defined first.",
         1},
        {"auth_opt_x a\n",
         "Error: The 'auth_opt_x' option requires plugin/global_plugin/plugin_load to be defined "
         "first.",
         1},
        {"auth_plugin_deny_special_chars true\n",
         "Error: An auth_plugin_deny_special_chars option exists in the config file without a "
         "plugin.",
         1},
        {"plugin /x/y.so\nplugin_opt_ab c\n", "Error: Invalid 'plugin_opt_' config option.", 2},
        {"plugin /x/y.so\nplugin_opt_abc\n", "Error: Empty 'abc' value in configuration.", 2},
        {"plugin /x/mosquitto_acl_file.so\nplugin_opt_password_file x\n",
         "Error: Unknown configuration variable 'plugin_opt_password_file'.", 2},
        {"plugin /x/mosquitto_acl_file.so\n",
         "Error: The plugin mosquitto_acl_file.so needs the option 'plugin_opt_acl_file'.", 1},
        {"plugin /x/mosquitto_password_file.so\nplugin /y.so\n",
         "Error: The plugin mosquitto_password_file.so needs the option "
         "'plugin_opt_password_file'.",
         2},
        {"acl_file a\nplugin mosquitto_acl_file.so\nplugin_opt_acl_file b\n",
         "Error: Duplicate 'acl_file' value in configuration.", 3},
        {"plugin mosquitto_acl_file.so\nplugin_opt_acl_file b\nacl_file a\n",
         "Error: Duplicate 'acl_file' value in configuration.", 3},
        {"plugin mosquitto_acl_file.so\nplugin_opt_acl_file a\vb\n",
         "Error: Malformed UTF-8 in configuration.", 2},
        {"plugin_load a\n", "Error: Missing plugin path for plugin name 'a'.", 1},
        {"plugin_load a /x.so\nplugin_load a /y.so\n", "Error: Duplicate plugin name 'a'.", 2},
        {"listener 1\nplugin_use a\n", "Error: Plugin 'a' not previously loaded.", 2},
        {"plugin_load a /x.so\nplugin_opt_any thing\nlistener 1\nplugin_use a\n",
         "Error: The 'plugin_load" UNBUILT "it is known, but not built yet.", 1},
        {"plugin /usr/lib/mosquitto_dynamic_security.so\nlistener 1\n",
         "Error: The plugin mosquitto_dynamic_security.so needs the option "
         "'plugin_opt_config_file'.",
         2},
        {"plugin /usr/lib/mosquitto_dynamic_security.so\nplugin_opt_config_file /x\n"
         "dynamic_security /y\n",
         "Error: Duplicate 'dynamic_security' value in configuration.", 3},
        {"global_plugin /usr/lib/cedalo_ha.so\ndynamic_security /y\n",
         "Error: Duplicate 'dynamic_security' value in configuration.", 2},
        {"per_listener_settings true\nlistener 1\ndynamic_security /x\nlistener 2\n"
         "dynamic_security /y\n",
         "Error: All 'dynamic_security' lines have to name the same file.", 0},
        {"listener 1\nplugin cedalo_certificate_management.so\n",
         "Error: certificate_management needs a capath (port 1 of every address).", 0},
        {"plugin mosquitto_persist_sqlite.so\nplugin_opt_unknown x\n",
         "Error: Unknown configuration variable 'plugin_opt_unknown'.", 2},
        {"plugin mosquitto_sparkplug_aware.so\n",
         "Error: The 'plugin" UNBUILT
         "mosquitto_sparkplug_aware.so (Sparkplug awareness) is not built yet.",
         1},
        {"auth_plugin /opt/my auth.so\nauth_opt_host x\n",
         "Error: The 'auth_plugin" UNBUILT "foreign plugins (my auth.so) cannot be loaded yet.", 1},
        /* The article's own file, with the name lost from the path. */
        {"allow_anonymous false\nplugin /usr/lib/\n"
         "plugin_opt_config_file /path/to/dynamic-security.json\nlistener 8883\n"
         "certfile c\nkeyfile k\n",
         "Error: Invalid 'plugin' value (/usr/lib/): it names no plugin file. It can mean "
         "mosquitto_dynamic_security.so (clients, groups and roles), cedalo_ha.so (the same with "
         "high availability) or cedalo_certificate_management.so (CA certificates).",
         2},
    };
    (void)state;
    ALL_BAD(list);
}

static void bridges_have_the_originals_errors(void **state)
{
    static const struct bad list[] = {
        {"connection\n", "Error: Empty 'connection' value in configuration.", 1},
        {"connection b\nconnection b\n", "Error: Duplicate bridge name 'b'.", 2},
        {"connection b\naddress\n", "Error: Empty address value in configuration.", 2},
        {"connection b\naddress # x\n", "Error: Empty address value in configuration.", 2},
        {"connection b\naddress h:0\n", "Error: Invalid bridge port value (0).", 2},
        {"connection b\naddress h h:65536\n", "Error: Invalid bridge port value (65536).", 2},
        {"connection b\naddress a\naddresses b\n",
         "Error: Invalid bridge configuration, 'address' only allowed once.", 3},
        {"connection b\ntopic a\n",
         "Error: Invalid bridge configuration: no remote addresses defined.", 0},
        {"connection b\naddress a\n", "Error: Invalid bridge configuration: no topics defined.", 0},
        {"connection b\naddress a\ntopic t\nbridge_identity i\n",
         "Error: Invalid bridge configuration: missing bridge_psk.", 0},
        {"connection b\naddress a\ntopic t\nbridge_psk 00\n",
         "Error: Invalid bridge configuration: missing bridge_identity.", 0},
        {"connection b\nbridge_cafile c\nbridge_identity i\n",
         "Error: 'bridge_identity': Cannot use both certificate and identity encryption in a "
         "single bridge.",
         3},
        {"connection b\nbridge_psk 00\nbridge_cafile c\n",
         "Error: 'bridge_cafile': Cannot use both certificate and psk encryption in a single "
         "bridge.",
         3},
        {"connection b\ntopic a up\n", "Error: Invalid bridge topic direction 'up'.", 2},
        {"connection b\ntopic a out 3\n", "Error: Invalid bridge QoS level '3'.", 2},
        {"connection b\ntopic a out 1 x/+\n", "Error: Invalid bridge topic local prefix 'x/+'.", 2},
        {"connection b\ntopic a out 1 \"\" x/#\n",
         "Error: Invalid bridge topic remote prefix 'x/#'.", 2},
        {"connection b\ntopic \"\" out 1 x\n", "Error: Invalid bridge remapping.", 2},
        {"connection b\ntopic \"a b\n", "Error: Missing closing quote in topic value (\"a b).", 2},
        {"connection b\nbridge_max_topic_alias 65536\n",
         "Error: bridge_max_topic_alias must be > 0 and <= 65535.", 2},
        {"connection b\nbridge_receive_maximum 0\n",
         "Error: bridge_receive_maximum must be greater than 0.", 2},
        {"connection b\nbridge_receive_maximum 65536\n",
         "Error: bridge_receive_maximum must be lower than 65535.", 2},
        {"connection b\nbridge_session_expiry_interval -1\n",
         "Error: bridge_session_expiry_interval must not be negative.", 2},
        {"connection b\nbridge_tcp_user_timeout -1\n", "Error: invalid TCP user timeout value.", 2},
        {"connection b\nbridge_tcp_keepalive 0 1 1\n", "Error: invalid TCP keepalive idle value.",
         2},
        {"connection b\nbridge_tcp_keepalive 1\n",
         "Error: Empty 'bridge_tcp_keepalive_interval' value in configuration.", 2},
        {"connection b\nbridge_tcp_keepalive 1 1 x\n",
         "Error: 'bridge_tcp_keepalive_counter' value not a number.", 2},
        {"connection b\nbridge_protocol_version 5\n",
         "Error: Invalid 'bridge_protocol_version' value (5).", 2},
        {"connection b\nbridge_reload_type soon\n",
         "Error: Invalid 'bridge_reload_type' value in configuration (soon).", 2},
        {"connection b\nstart_type manual\n", "Error: Manual start_type not supported.", 2},
        {"connection b\nstart_type now\n",
         "Error: Invalid 'start_type' value in configuration (now).", 2},
        {"connection b\nkeepalive_interval 65536\n", "Error: Bridge keepalive value too high.", 2},
        {"connection b\nrestart_timeout 20 10\n",
         "Error: backoff cap is lower than the base in restart_timeout.", 2},
        {"connection b\nrestart_timeout 5 30 -1\n",
         "Error: stable connection period cannot be negative.", 2},
        {"connection b\nremote_clientid a\nclientid a\n",
         "Error: Duplicate 'bridge remote clientid' value in configuration.", 3},
        {"connection a\naddress h\ntopic t\nlocal_clientid x\n"
         "connection b\naddress h\ntopic t\nlocal_clientid x\n",
         "Error: Bridge local_clientid 'x' is not unique. Try changing or setting the "
         "local_clientid value for one of the bridges.",
         0},
        {"connection my-bridge\naddress h:1\ntopic # both 1\nkeepalive_interval 1\nthreshold 0\n",
         "Error: The 'connection" UNBUILT "bridges (here: my-bridge) are not built yet.", 0},
    };
    (void)state;
    ALL_BAD(list);
}

static void errors_cannot_forge_log_lines_or_grow(void **state)
{
    (void)state;
    struct nj_config_result result = rig_load("bad\x1b[31m 1\n");
    assert_int_equal(result.exit_status, 3);
    assert_null(strchr(rig_log(), '\x1b'));
    char text[8192];
    memset(text, 'k', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    result = rig_load(text);
    assert_int_equal(result.exit_status, 3);
    assert_true(strlen(result.error) < 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(B_261_unknown_misplaced_and_surplus_words_are_errors),
        cmocka_unit_test(L_087_a_wrong_security_option_never_starts_the_broker),
        cmocka_unit_test(listeners_have_the_originals_errors),
        cmocka_unit_test(global_options_have_the_originals_errors),
        cmocka_unit_test(plugins_are_known_by_file_name),
        cmocka_unit_test(bridges_have_the_originals_errors),
        cmocka_unit_test(errors_cannot_forge_log_lines_or_grow),
    };
    return cmocka_run_group_tests(tests, rig_open, rig_close);
}
