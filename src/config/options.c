/* The one table of options: parser, defaults, validation, reload and the reference come from it.
 * Names and meanings are Mosquitto's (feature-map B1–B3), then our own. */
#include "base/log.h"
#include "config/config_priv.h"
#include "config/custom.h"

#define G(field) offsetof(struct nj_settings, field), sizeof(((struct nj_settings *)0)->field)
#define L(field)                                                                                   \
    offsetof(struct nj_listener_settings, field), sizeof(((struct nj_listener_settings *)0)->field)
#define S(field)                                                                                   \
    offsetof(struct nj_scope_settings, field), sizeof(((struct nj_scope_settings *)0)->field)

#define BOOL(name, field, reload, help)                                                            \
    {                                                                                              \
        name, NJ_OPT_BOOL, NJ_PLACE_GLOBAL, reload, false, G(field), 0, 1, NULL, help              \
    }
#define INT(name, field, min, max, reload, help)                                                   \
    {                                                                                              \
        name, NJ_OPT_INT, NJ_PLACE_GLOBAL, reload, false, G(field), min, max, NULL, help           \
    }
#define TEXT(name, field, reload, help)                                                            \
    {                                                                                              \
        name, NJ_OPT_STRING, NJ_PLACE_GLOBAL, reload, false, G(field), 0, 0, NULL, help            \
    }
#define CUSTOM(name, place, reload, repeat, fn, help)                                              \
    {                                                                                              \
        name, NJ_OPT_CUSTOM, place, reload, repeat, 0, 0, 0, 0, fn, help                           \
    }
#define LBOOL(name, field, help)                                                                   \
    {                                                                                              \
        name, NJ_OPT_BOOL, NJ_PLACE_LISTENER, NJ_RELOAD_RESTART, false, L(field), 0, 1, NULL, help \
    }
#define LINT(name, field, min, max, help)                                                          \
    {                                                                                              \
        name, NJ_OPT_INT, NJ_PLACE_LISTENER, NJ_RELOAD_RESTART, false, L(field), min, max, NULL,   \
            help                                                                                   \
    }
#define LTEXT(name, field, reload, help)                                                           \
    {                                                                                              \
        name, NJ_OPT_STRING, NJ_PLACE_LISTENER, reload, false, L(field), 0, 0, NULL, help          \
    }
#define UNBUILT(name, place)                                                                       \
    {                                                                                              \
        name, NJ_OPT_UNBUILT, place, NJ_RELOAD_NONE, true, 0, 0, 0, 0, NULL,                       \
            "Known, not available yet: ends the start."                                            \
    }
#define IGNORED(name, place, help)                                                                 \
    {                                                                                              \
        name, NJ_OPT_IGNORED, place, NJ_RELOAD_NONE, true, 0, 0, 0, 0, NULL, help                  \
    }
#define LIVE      NJ_RELOAD_LIVE
#define RESTART   NJ_RELOAD_RESTART

#define INT_MAX64 2147483647

const struct nj_option nj_options[] = {
    /* -- identity and access -- */
    {"allow_anonymous", NJ_OPT_TRI, NJ_PLACE_SCOPE, LIVE, false, S(allow_anonymous), 0, 1, NULL,
     "Whether clients without a name get in. Default: no (compat mode without any listener: yes)."},
    {"acl_file", NJ_OPT_STRING, NJ_PLACE_SCOPE, LIVE, false, S(acl_file), 0, 0, NULL,
     "File with the rights of users. Default: none."},
    {"password_file", NJ_OPT_STRING, NJ_PLACE_SCOPE, LIVE, false, S(password_file), 0, 0, NULL,
     "File with user names and password hashes. Default: none."},
    CUSTOM("per_listener_settings", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_per_listener,
           "Security settings belong to listeners. Has to come first. Default: false."),
    CUSTOM("acl_default", NJ_PLACE_GLOBAL, LIVE, false, nj_parse_acl_default,
           "Own. Without an ACL: `allow` or `deny` authenticated clients. Default: deny (compat: "
           "allow). "
           "Never covers `$SYS` and `$CONTROL`."),
    CUSTOM("rights_change", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_rights_change,
           "Own. What a change of rights does to live sessions: `recheck`, `kick` or `strict`. "
           "Default: recheck (compat: kick)."),
    CUSTOM("session_owner", NJ_PLACE_GLOBAL, LIVE, false, nj_parse_session_owner,
           "Own. `user`: a session is resumed only by the user who owns it; `none`: by anyone with "
           "its client id. Default: user (compat: none)."),
    CUSTOM("compat", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_compat,
           "Own. `mosquitto`: behave as Mosquitto 2.1.2 does; `none`: native mode."),
    IGNORED("auth_plugin_deny_special_chars", NJ_PLACE_GLOBAL,
            "For old plugin interfaces only; without effect."),
    CUSTOM("plugin", NJ_PLACE_PLUGIN, RESTART, true, nj_parse_plugin,
           "Turns a built-in module on by the file name of Mosquitto's plugin."),
    CUSTOM("global_plugin", NJ_PLACE_PLUGIN, RESTART, true, nj_parse_plugin, "As plugin."),
    CUSTOM("auth_plugin", NJ_PLACE_PLUGIN, RESTART, true, nj_parse_plugin, "As plugin."),
    UNBUILT("plugin_load", NJ_PLACE_PLUGIN),
    UNBUILT("plugin_use", NJ_PLACE_PLUGIN),
    UNBUILT("psk_file", NJ_PLACE_GLOBAL),
    IGNORED("check_retain_source", NJ_PLACE_GLOBAL,
            "The publisher's right is always asked again in native mode; in compat mode it has no "
            "effect, as in the original."),
    /* -- clients and messages -- */
    BOOL("allow_duplicate_messages", allow_duplicate_messages, LIVE,
         "Deprecated. Overlapping subscriptions always give one copy to MQTT 3 clients. Default: "
         "true."),
    BOOL("allow_zero_length_clientid", allow_zero_length_clientid, LIVE,
         "Whether clients may leave their id to the broker. Default: true."),
    TEXT("auto_id_prefix", auto_id_prefix, LIVE,
         "Prefix of ids that the broker makes. Default: auto-."),
    TEXT("clientid_prefixes", clientid_prefixes, LIVE,
         "Only client ids that begin with this get in. Default: none."),
    BOOL("connection_messages", connection_messages, LIVE,
         "Log clients that come and go. Default: true."),
    INT("global_max_clients", global_max_clients, -1, INT_MAX64, LIVE,
        "Sessions at most. Default: -1 (no limit)."),
    INT("global_max_connections", global_max_connections, -1, INT_MAX64, LIVE,
        "Connections at most. Default: -1 (no limit)."),
    INT("max_inflight_bytes", max_inflight_bytes, 0, INT64_MAX, LIVE,
        "Payload bytes in flight to one client. Default: 0 (no limit)."),
    INT("max_inflight_messages", max_inflight_messages, 0, 65535, LIVE,
        "QoS > 0 messages in flight to and from one client. Default: 20; 0 = no limit."),
    INT("max_keepalive", max_keepalive, 0, 65535, LIVE,
        "Longest keep alive in seconds. Default: 0 (any)."),
    INT("max_packet_size", max_packet_size, 20, 268435455, LIVE,
        "Largest packet that is accepted, in bytes. Default: 2000000."),
    INT("max_queued_bytes", max_queued_bytes, 0, INT64_MAX, LIVE,
        "Payload bytes waiting for one client. Default: 0 (no limit)."),
    INT("max_queued_messages", max_queued_messages, 0, INT_MAX64, LIVE,
        "Messages waiting for one client above those in flight. Default: 1000; 0 = no limit."),
    INT("memory_limit", memory_limit, 0, INT64_MAX, LIVE,
        "Bytes of memory at most. Default: 0 (no limit)."),
    INT("message_size_limit", message_size_limit, 0, 268435455, LIVE,
        "Largest payload in bytes. Default: 0 (no limit)."),
    CUSTOM("persistent_client_expiration", NJ_PLACE_GLOBAL, LIVE, false, nj_parse_expiration,
           "Sessions away for longer end: a number and h, d, w, m or y. Default: never."),
    BOOL("queue_qos0_messages", queue_qos0_messages, LIVE,
         "Keep QoS 0 messages for sessions that are away. Default: false."),
    BOOL("retain_available", retain_available, LIVE,
         "Whether messages may be retained. Default: true."),
    INT("retain_expiry_interval", retain_expiry_interval_min, 0, INT_MAX64, LIVE,
        "Retained messages go after so many minutes. Default: 0 (never)."),
    BOOL("set_tcp_nodelay", set_tcp_nodelay, LIVE,
         "Without effect: it is always on. Default: false."),
    BOOL("upgrade_outgoing_qos", upgrade_outgoing_qos, LIVE,
         "Deliver at the subscription's QoS, even above the publication's. Default: false."),
    INT("sys_interval", sys_interval, 0, 65535, LIVE,
        "Seconds between updates of `$SYS`. Default: 10; 0 = off."),
    /* -- log -- */
    CUSTOM("log_dest", NJ_PLACE_GLOBAL, LIVE, true, nj_parse_log_dest,
           "none, stderr, stdout, syslog, topic, or `file PATH`; repeatable. Default: stderr."),
    CUSTOM("log_type", NJ_PLACE_GLOBAL, LIVE, true, nj_parse_log_type,
           "error, warning, notice, information, debug, subscribe, unsubscribe, internal, "
           "websockets, none, all; repeatable. Default: error, warning, notice, information."),
    INT("log_facility", log_facility, 0, 7, LIVE,
        "Syslog facility local0 – local7. Default: daemon."),
    BOOL("log_timestamp", log_timestamp, LIVE, "Begin lines with the time. Default: true."),
    TEXT("log_timestamp_format", log_timestamp_format, LIVE,
         "strftime format of that time. Default: Unix seconds."),
    /* -- persistence -- */
    CUSTOM("persistence", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_persistence,
           "Keep sessions, queues and retained messages over a restart. Until the durable store is "
           "built they are kept in memory only, with a warning. Default: native on, compat false."),
    BOOL("retained_persistence", retained_persistence, LIVE,
         "Whether that includes retained messages. Default: true."),
    TEXT("persistence_file", persistence_file, RESTART,
         "File name of the store. Default: mosquitto.db."),
    TEXT("persistence_location", persistence_location, RESTART,
         "Directory of the store. Default: none."),
    INT("autosave_interval", autosave_interval, 0, INT_MAX64, LIVE,
        "Seconds between saves. Default: 1800."),
    BOOL("autosave_on_changes", autosave_on_changes, LIVE,
         "The interval counts changes instead. Default: false."),
    CUSTOM("durability", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_durability,
           "Own. When an acknowledgement leaves: `fsync`, `interval MILLISECONDS` or `memory`. "
           "Default: fsync."),
    /* -- process -- */
    TEXT("pid_file", pid_file, RESTART, "File for the process number. Default: none."),
    TEXT("user", user, RESTART, "Account to change to when started as root. Default: mosquitto."),
    INT("workers", workers, 0, 64, RESTART,
        "Own. Worker threads. Default: 0 (one for each processor)."),
    CUSTOM("include_dir", NJ_PLACE_GLOBAL, RESTART, true, nj_parse_include_dir,
           "Directory whose *.conf files are read, in the order of their names."),
    CUSTOM("enable_control_api", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_control_api,
           "The `$CONTROL` API. `true` is not available yet. Default: false."),
    IGNORED("retry_interval", NJ_PLACE_GLOBAL, "Without effect, as in the original."),
    IGNORED("packet_buffer_size", NJ_PLACE_GLOBAL, "Without effect here."),
    IGNORED("websockets_log_level", NJ_PLACE_GLOBAL, "Without effect here."),
    INT("websockets_headers_size", websockets_headers_size, 0, 65536, RESTART,
        "Bytes of HTTP headers at most. Default: 4096."),
    /* -- listeners -- */
    CUSTOM("listener", NJ_PLACE_GLOBAL, RESTART, true, nj_parse_listener,
           "Begins a listener: port and address, or `0 PATH` for a unix socket."),
    CUSTOM("port", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_port,
           "Deprecated: port of the default listener."),
    CUSTOM("bind_address", NJ_PLACE_GLOBAL, RESTART, false, nj_parse_bind_address,
           "Deprecated: address of the default listener."),
    CUSTOM("protocol", NJ_PLACE_LISTENER, RESTART, false, nj_parse_protocol,
           "mqtt or websockets. Default: mqtt."),
    CUSTOM("socket_domain", NJ_PLACE_LISTENER, RESTART, false, nj_parse_socket_domain,
           "ipv4 or ipv6. Default: both."),
    CUSTOM("accept_protocol_versions", NJ_PLACE_LISTENER, RESTART, false, nj_parse_versions,
           "MQTT versions that are accepted. Default: 3,4,5."),
    LTEXT("bind_interface", bind_interface, RESTART,
          "Network interface to listen on. Default: all."),
    LINT("max_connections", max_connections, -1, INT_MAX64,
         "Connections at most. Default: -1 (no limit)."),
    LINT("max_qos", max_qos, 0, 2, "Highest QoS. Default: 2."),
    LINT("maximum_qos", max_qos, 0, 2, "As max_qos."),
    LINT("max_topic_alias", max_topic_alias, 0, 65535,
         "Topic aliases a client may use. Default: 10."),
    LINT("max_topic_alias_broker", max_topic_alias_broker, 0, 65535,
         "Topic aliases the broker uses towards a client. Default: 10."),
    CUSTOM("mount_point", NJ_PLACE_LISTENER, RESTART, false, nj_parse_mount_point,
           "Prefix of all topics of the listener. Default: none."),
    LBOOL("use_username_as_clientid", use_username_as_clientid,
          "The user name replaces the client id. Default: false."),
    {"listener_allow_anonymous", NJ_OPT_TRI, NJ_PLACE_LISTENER, LIVE, false, L(allow_anonymous), 0,
     1, NULL, "allow_anonymous for this listener. Default: the global one."},
    LTEXT("listener_auto_id_prefix", auto_id_prefix, RESTART, "auto_id_prefix for this listener."),
    CUSTOM("websockets_origin", NJ_PLACE_LISTENER, RESTART, true, nj_parse_origin,
           "Origin that browsers may come from; repeatable. Default: any."),
    LTEXT("cafile", cafile, LIVE, "PEM file of the authorities that sign client certificates."),
    LTEXT("capath", capath, LIVE, "Directory of such files."),
    LTEXT("certfile", certfile, LIVE,
          "PEM file with the listener's certificate chain; turns TLS on."),
    LTEXT("keyfile", keyfile, LIVE, "PEM file with its private key."),
    LTEXT("crlfile", crlfile, LIVE, "PEM file with revocation lists, for the whole chain."),
    LTEXT("ciphers", ciphers, LIVE, "Cipher list for TLS 1.2."),
    LTEXT("ciphers_tls1.3", ciphers_tls13, LIVE, "Cipher suites for TLS 1.3."),
    CUSTOM("tls_version", NJ_PLACE_LISTENER, LIVE, false, nj_parse_tls_version,
           "Lowest version: tlsv1.2 or tlsv1.3. Default: tlsv1.2."),
    LTEXT("dhparamfile", dhparamfile, LIVE, "Diffie-Hellman parameters. Default: automatic."),
    LBOOL("require_certificate", require_certificate,
          "Clients need a certificate that verifies. Default: false."),
    LBOOL("use_identity_as_username", use_identity_as_username,
          "The certificate's common name is the user name. Default: false."),
    LBOOL("use_subject_as_username", use_subject_as_username,
          "The certificate's subject is the user name. Default: false."),
    LBOOL("disable_client_cert_date_checks", disable_client_cert_date_checks,
          "Do not look at the dates of client certificates. Default: false."),
    UNBUILT("enable_proxy_protocol", NJ_PLACE_LISTENER),
    UNBUILT("proxy_protocol_v2_require_tls", NJ_PLACE_LISTENER),
    UNBUILT("http_dir", NJ_PLACE_LISTENER),
    UNBUILT("psk_hint", NJ_PLACE_LISTENER),
    UNBUILT("tls_engine", NJ_PLACE_LISTENER),
    UNBUILT("tls_engine_kpass_sha1", NJ_PLACE_LISTENER),
    UNBUILT("tls_keyform", NJ_PLACE_LISTENER),
    /* -- bridges: read as far as their own errors need, then refused as a whole -- */
    CUSTOM("connection", NJ_PLACE_GLOBAL, RESTART, true, nj_parse_connection, "Begins a bridge."),
    CUSTOM("address", NJ_PLACE_BRIDGE, RESTART, true, nj_parse_bridge_option, "Bridge."),
    CUSTOM("addresses", NJ_PLACE_BRIDGE, RESTART, true, nj_parse_bridge_option, "Bridge."),
    CUSTOM("topic", NJ_PLACE_BRIDGE, RESTART, true, nj_parse_bridge_option, "Bridge."),
#define BRIDGE(name) CUSTOM(name, NJ_PLACE_BRIDGE, RESTART, true, nj_parse_bridge_option, "Bridge.")
    BRIDGE("bridge_alpn"),
    BRIDGE("bridge_attempt_unsubscribe"),
    BRIDGE("bridge_bind_address"),
    BRIDGE("bridge_cafile"),
    BRIDGE("bridge_capath"),
    BRIDGE("bridge_certfile"),
    BRIDGE("bridge_ciphers"),
    BRIDGE("bridge_ciphers_tls1.3"),
    BRIDGE("bridge_identity"),
    BRIDGE("bridge_insecure"),
    BRIDGE("bridge_keyfile"),
    BRIDGE("bridge_max_packet_size"),
    BRIDGE("bridge_max_topic_alias"),
    BRIDGE("bridge_outgoing_retain"),
    BRIDGE("bridge_protocol_version"),
    BRIDGE("bridge_psk"),
    BRIDGE("bridge_receive_maximum"),
    BRIDGE("bridge_reload_type"),
    BRIDGE("bridge_require_ocsp"),
    BRIDGE("bridge_session_expiry_interval"),
    BRIDGE("bridge_tcp_keepalive"),
    BRIDGE("bridge_tcp_user_timeout"),
    BRIDGE("bridge_tls_use_os_certs"),
    BRIDGE("bridge_tls_version"),
    BRIDGE("cleansession"),
    BRIDGE("clientid"),
    BRIDGE("idle_timeout"),
    BRIDGE("keepalive_interval"),
    BRIDGE("local_cleansession"),
    BRIDGE("local_clientid"),
    BRIDGE("local_password"),
    BRIDGE("local_username"),
    BRIDGE("notification_topic"),
    BRIDGE("notifications"),
    BRIDGE("notifications_local_only"),
    BRIDGE("password"),
    BRIDGE("remote_clientid"),
    BRIDGE("remote_password"),
    BRIDGE("remote_username"),
    BRIDGE("restart_timeout"),
    BRIDGE("round_robin"),
    BRIDGE("start_type"),
    BRIDGE("threshold"),
    BRIDGE("try_private"),
    BRIDGE("username"),
};

const size_t nj_option_count = sizeof(nj_options) / sizeof(nj_options[0]);
