/* The one table of options: parser, defaults, validation, reload, dump and docs/configuration.md
 * come from it. Names, ranges and meanings are Mosquitto's, then our own. */
#include "config/config_priv.h"
#include "config/custom.h"

#define FIELD(type, name) .offset = offsetof(type, name), .size = sizeof(((type *)0)->name)
#define GLOBAL(name)      .place = NJ_PLACE_GLOBAL, FIELD(struct nj_settings, name)
#define SCOPE(name)       .place = NJ_PLACE_SCOPE, FIELD(struct nj_scope_settings, name)
#define LISTENER(name)    .place = NJ_PLACE_LISTENER, FIELD(struct nj_listener_settings, name)
#define BRIDGE(name)                                                                               \
    .place = NJ_PLACE_BRIDGE, .reload = NJ_RELOAD_NONE, FIELD(struct nj_bridge_settings, name)

#define BRIDGE_LINE   .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_BRIDGE, .reload = NJ_RELOAD_NONE

#define BOOLEAN       .kind = NJ_OPT_BOOL
#define TRISTATE      .kind = NJ_OPT_TRI
#define TEXT          .kind = NJ_OPT_STRING
#define WORDS(list)   .kind = NJ_OPT_WORD, .words = list
#define INT(low, top) .kind = NJ_OPT_INT, .min = low, .max = top
#define IGNORED       .kind = NJ_OPT_IGNORED, .place = NJ_PLACE_GLOBAL, .reload = NJ_RELOAD_NONE
#define BY(function)  .parse = function

#define LIVE          .reload = NJ_RELOAD_LIVE
#define RESTART       .reload = NJ_RELOAD_RESTART
#define NOWHERE       .reload = NJ_RELOAD_NONE
#define DEFAULT       .needs = NJ_NEEDS_DEFAULT
#define EXPLICIT      .needs = NJ_NEEDS_EXPLICIT

#define OLD           .flags = NJ_OPTION_DEPRECATED
#define UNBUILT       .flags = NJ_OPTION_UNBUILT
#define CLAMPS        .flags = NJ_OPTION_CLAMPS
#define REPEATS       .flags = NJ_OPTION_REPEATS
#define OWN           .flags = NJ_OPTION_OWN
#define MAIN_ONLY     NJ_OPTION_MAIN_FILE

#define I32           INT32_MAX

const struct nj_option nj_options[] = {
    /* -- identity and access -- */
    {"allow_anonymous", TRISTATE, SCOPE(allow_anonymous), LIVE,
     .help = "Whether clients without a name get in. Default: no; in compat mode yes while no "
             "listener is configured."},
    {"acl_file", TEXT, SCOPE(acl_file), LIVE,
     .help = "File with the rights of users; an empty one denies everything."},
    {"password_file", TEXT, SCOPE(password_file), LIVE,
     .help = "File with user names and password hashes."},
    {"dynamic_security", TEXT, SCOPE(dynamic_security), RESTART, OWN,
     .help = "File with clients, groups and roles that are changed while the broker runs, in the "
             "form of Mosquitto's dynamic security plugin. Made at the first start. Beside it the "
             "broker keeps `FILE.journal` (changes that are not in it yet) and `FILE.last` (a copy "
             "of it). There can be one for the broker."},
    {"dynamic_security_password_file", TEXT, SCOPE(dynamic_security_password_file), RESTART, OWN,
     .help = "For the first start with dynamic_security: the first line of this file is the "
             "password of the client `admin`. Without it the environment variable "
             "`MOSQUITTO_DYNSEC_PASSWORD` is used (at least 12 characters), else a password is "
             "made and written to `FILE.pw`."},
    {"psk_file", TEXT, SCOPE(psk_file), LIVE,
     .help = "File with pre-shared keys for listeners with psk_hint: lines `identity:key`, the key "
             "in hexadecimal. When a key is removed or changed and the file is read again, the "
             "connections that were made with it end."},
    {"per_listener_settings", BOOLEAN, GLOBAL(per_listener), RESTART, OLD, .def = "false",
     BY(nj_parse_per_listener),
     .help = "The security settings belong to listeners, each with its own. Stands before all of "
             "them."},
    {"acl_default", WORDS("deny|allow"), GLOBAL(acl_default), LIVE, OWN, .min = NJ_NO,
     .help = "What authenticated clients may do where no ACL is configured: `allow` (everything) "
             "or `deny`. It never covers `$SYS` and `$CONTROL` in native mode. Default: deny "
             "(compat: allow)."},
    {"rights_change", WORDS("recheck|kick|strict"), GLOBAL(rights_change), RESTART, OWN,
     .help = "What a change of rights does to live sessions: `recheck` (they go on under the new "
             "rights), `kick` (those whose own rules changed are disconnected) or `strict` (as "
             "recheck; connections that have bytes in the kernel are reset). Default: recheck "
             "(compat: kick)."},
    {"session_owner", WORDS("none|user"), GLOBAL(session_owner), LIVE, OWN, .min = NJ_NO,
     .help = "`user`: a session is resumed only by the user who owns it; `none`: by anyone with "
             "its client id. Default: user (compat: none)."},
    {"response_information", TEXT, GLOBAL(response_information), LIVE, OWN,
     BY(nj_parse_response_information),
     .help = "Prefix of a client's own response topics, told to MQTT 5 clients that ask for it and "
             "may subscribe below it; `%c` is the client id and `%u` the user name, each a whole "
             "level, and clients whose names hold `/`, `+` or `#` are told nothing. It grants no "
             "right: an ACL line such as `pattern read response/%c/#` does. `none`: nobody is told "
             "any. Default: response/%c (compat: none)."},
    {"compat", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, RESTART,
     .flags = NJ_OPTION_OWN | MAIN_ONLY, .words = "none|mosquitto", BY(nj_parse_compat),
     .help = "`mosquitto`: behave as Mosquitto 2.1.2 does; `none`: native mode. The `--compat` "
             "argument wins; without both the program's name decides."},
    {"plugin", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, RESTART, REPEATS,
     BY(nj_parse_plugin),
     .help = "Turns a built-in module on by the file name of Mosquitto's plugin: "
             "`mosquitto_dynamic_security.so`, `mosquitto_acl_file.so`, "
             "`mosquitto_password_file.so`, `cedalo_certificate_management.so` or `cedalo_ha.so` "
             "(dynamic security with its file in persistence_location). Others are not available "
             "yet."},
    {"global_plugin", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, RESTART, REPEATS,
     BY(nj_parse_plugin), .help = "As plugin, for every listener even with per_listener_settings."},
    {"auth_plugin", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, RESTART, REPEATS,
     BY(nj_parse_plugin), .help = "As plugin."},
    {"plugin_opt_acl_file", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, LIVE, REPEATS,
     BY(nj_parse_plugin_option), .help = "The acl_file of the module `mosquitto_acl_file.so`."},
    {"plugin_opt_password_file", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, LIVE, REPEATS,
     BY(nj_parse_plugin_option),
     .help = "The password_file of the module `mosquitto_password_file.so`."},
    {"plugin_opt_config_file", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, RESTART, REPEATS,
     BY(nj_parse_plugin_option),
     .help = "The dynamic_security of the module `mosquitto_dynamic_security.so`."},
    {"plugin_opt_password_init_file", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, RESTART,
     REPEATS, BY(nj_parse_plugin_option),
     .help = "The dynamic_security_password_file of the module `mosquitto_dynamic_security.so`."},
    {"plugin_load", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, NOWHERE,
     .flags = NJ_OPTION_UNBUILT | NJ_OPTION_REPEATS, BY(nj_parse_plugin_load),
     .help = "A plugin with a name, for plugin_use."},
    {"plugin_use", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_LISTENER, EXPLICIT, NOWHERE,
     .flags = NJ_OPTION_UNBUILT | NJ_OPTION_REPEATS, BY(nj_parse_plugin_use),
     .help = "Uses a named plugin on a listener."},
    {"auth_plugin_deny_special_chars", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_PLUGIN, NOWHERE,
     REPEATS, BY(nj_parse_deny_special_chars),
     .help = "For old plugin interfaces only; without effect here."},
    {"check_retain_source", TRISTATE, GLOBAL(check_retain_source), LIVE,
     .help = "Whether the publisher of a retained message is asked again for its right when the "
             "message is delivered. Default: true (compat: false)."},

    /* -- clients and messages -- */
    {"allow_duplicate_messages", BOOLEAN, GLOBAL(allow_duplicate_messages), LIVE, OLD,
     .def = "false",
     .help = "Whether a message comes to an MQTT 3 client once for each of several overlapping "
             "subscriptions, each time with the QoS of that one; else it comes once, with the "
             "highest. To an MQTT 5 client it always comes once for each."},
    {"allow_zero_length_clientid", TRISTATE, SCOPE(allow_zero_length_clientid), LIVE, .def = "true",
     .help = "Whether clients may leave their id to the broker."},
    {"auto_id_prefix", TEXT, SCOPE(auto_id_prefix), LIVE, OLD, BY(nj_parse_auto_id_prefix),
     .help = "Prefix of ids that the broker makes, at most 50 bytes. Default: auto-."},
    {"clientid_prefixes", TEXT, GLOBAL(clientid_prefixes), LIVE, OLD,
     .help = "Only client ids that begin with this get in."},
    {"connection_messages", BOOLEAN, GLOBAL(connection_messages), LIVE, .def = "true",
     .help = "Log clients that come and go."},
    {"global_max_clients", INT(-1, I32), GLOBAL(global_max_clients), LIVE, .def = "-1",
     .help = "Sessions at most; -1 = no limit."},
    {"global_max_connections", INT(-1, I32), GLOBAL(global_max_connections), LIVE, .def = "-1",
     .help = "Connections at most; -1 = no limit."},
    {"max_inflight_bytes", INT(0, INT64_MAX), GLOBAL(max_inflight_bytes), LIVE, .def = "0",
     .help = "Payload bytes in flight to one client; 0 = no limit."},
    {"max_inflight_messages", INT(0, 65535), GLOBAL(max_inflight_messages), LIVE, .def = "20",
     .too_high = "Error: 'max_inflight_messages' must be <= 65535.",
     .help = "QoS 1 and 2 messages in flight to and from one client; 0 = no limit."},
    {"max_keepalive", INT(0, 65535), GLOBAL(max_keepalive), LIVE, .def = "0",
     .help = "Longest keep alive in seconds; 0 = any."},
    {"max_packet_size", INT(20, 268435455), GLOBAL(max_packet_size), LIVE, .def = "2000000",
     .too_low = "Error: 'max_packet_size' must be >= 20.",
     .help = "Largest packet that is accepted, in bytes."},
    {"max_queued_bytes", INT(0, INT64_MAX), GLOBAL(max_queued_bytes), LIVE, .def = "0",
     .help =
         "Payload bytes waiting for one client; 0 = no limit. Of QoS 0 messages for a connected "
         "client that does not read, at most 16 MiB wait even then."},
    {"max_queued_messages", INT(0, I32), GLOBAL(max_queued_messages), LIVE, .def = "1000",
     .help = "Messages waiting for one client, above those in flight; 0 = no limit."},
    {"memory_limit", INT(0, INT64_MAX), GLOBAL(memory_limit), LIVE, .def = "0",
     .help = "Bytes of memory at most; 0 = no limit. Above seven eighths of it, what would have to "
             "stay is refused: messages that wait for clients, new sessions that last."},
    {"message_size_limit", INT(0, 268435455), GLOBAL(message_size_limit), LIVE, .def = "0",
     .help = "Largest payload in bytes; 0 = no limit."},
    {"persistent_client_expiration", INT(1, INT64_MAX), GLOBAL(persistent_client_expiration_s),
     LIVE, BY(nj_parse_expiration),
     .help = "Sessions away for longer end: a number and s, h, d, w, m or y; at most 136 years. "
             "Default: never."},
    {"queue_qos0_messages", BOOLEAN, GLOBAL(queue_qos0_messages), LIVE, .def = "false",
     .help = "Keep QoS 0 messages for sessions that are away."},
    {"retain_available", BOOLEAN, GLOBAL(retain_available), LIVE, .def = "true",
     .help = "Whether messages may be retained."},
    {"retain_expiry_interval", INT(1, 10000000), GLOBAL(retain_expiry_interval_min), LIVE,
     .too_low = "Error: retain_expiry_interval must be >= 1.",
     .help = "Retained messages go after so many minutes. Default: never."},
    {"set_tcp_nodelay", BOOLEAN, GLOBAL(set_tcp_nodelay), NOWHERE,
     .help = "Without effect: it is always on."},
    {"upgrade_outgoing_qos", BOOLEAN, GLOBAL(upgrade_outgoing_qos), LIVE, .def = "false",
     .help = "Deliver at the subscription's QoS, even above the publication's."},
    {"sys_interval", INT(0, 65535), GLOBAL(sys_interval), LIVE, .def = "10",
     .help = "Seconds between updates of `$SYS`; 0 = off."},

    /* -- log -- */
    {"log_dest", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, LIVE, REPEATS, .def = "stderr",
     BY(nj_parse_log_dest),
     .help = "`none`, `stderr`, `stdout`, `syslog`, `topic`, or `file PATH`; repeatable."},
    {"log_type", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, LIVE, REPEATS,
     BY(nj_parse_log_type),
     .help = "`error`, `warning`, `notice`, `information`, `debug`, `subscribe`, `unsubscribe`, "
             "`internal`, `websockets`, `none` or `all`; repeatable. Default: the first four."},
    {"log_facility", INT(0, 7), GLOBAL(log_facility), LIVE,
     .help = "Syslog facility local0 to local7. Default: daemon."},
    {"log_timestamp", BOOLEAN, GLOBAL(log_timestamp), LIVE, .def = "true",
     .help = "Begin lines with the time."},
    {"log_timestamp_format", TEXT, GLOBAL(log_timestamp_format), LIVE,
     .help = "strftime format of that time. Default: Unix seconds."},

    /* -- persistence -- */
    {"persistence", BOOLEAN, GLOBAL(persistence), RESTART, BY(nj_parse_persistence),
     .help = "Keep sessions, queues, retained messages and wills over a restart, and acknowledge "
             "what is durable (docs/durability.md). Default: true (compat: false)."},
    {"retained_persistence", BOOLEAN, GLOBAL(retained_persistence), RESTART, .def = "true",
     .help = "Whether that includes retained messages."},
    {"persistence_file", TEXT, GLOBAL(persistence_file), RESTART,
     .help = "Names the store's directory: this with `.store` behind it. Default: nightjar."},
    {"persistence_location", TEXT, GLOBAL(persistence_location), RESTART,
     .help = "Directory of the store; the environment's MOSQUITTO_PERSISTENCE_LOCATION wins. "
             "Default: the current directory."},
    {"autosave_interval", INT(0, I32), GLOBAL(autosave_interval), LIVE, .def = "1800",
     .help = "Without effect: the store is always current."},
    {"autosave_on_changes", BOOLEAN, GLOBAL(autosave_on_changes), LIVE, .def = "false",
     .help = "Without effect: the store is always current."},
    {"durability", WORDS("fsync|interval|memory"), GLOBAL(durability), RESTART, OWN, .def = "fsync",
     BY(nj_parse_durability),
     .help = "When an acknowledgement leaves: `fsync` (its record is on disk), `interval "
             "MILLISECONDS` (it will be after at most so long) or `memory`."},

    /* -- process -- */
    {"pid_file", TEXT, GLOBAL(pid_file), RESTART, .help = "File for the process number."},
    {"user", TEXT, GLOBAL(user), RESTART,
     .help = "Account to change to when started as root. Default: mosquitto, or nobody where "
             "there is none."},
    {"workers", INT(0, 64), GLOBAL(workers), RESTART, OWN, .def = "0",
     .help = "Worker threads; 0 = one for each processor."},
    {"include_dir", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, NOWHERE, REPEATS,
     BY(nj_parse_include_dir),
     .help = "Directory whose `*.conf` files are read in the order of their names (A a B b). Only "
             "in the main file."},
    {"enable_control_api", TRISTATE, GLOBAL(enable_control_api), LIVE,
     .help = "The control APIs `$CONTROL/broker`, `$CONTROL/nightjar` and those beside them "
             "(docs/control.md), for clients that were given the right to them. Default: true, in "
             "compat mode false."},
    {"retry_interval", IGNORED, .help = "Without effect, as in the original."},
    {"websockets_log_level", INT(-I32, I32), .place = NJ_PLACE_GLOBAL, NOWHERE,
     BY(nj_parse_number_only), .help = "Without effect here."},
    {"websockets_headers_size", INT(0, 65535), GLOBAL(websockets_headers_size), RESTART,
     .def = "4096", .too_low = "Error: Packet buffer size must be between 0 and 65535 inclusive.",
     .too_high = "Error: Packet buffer size must be between 0 and 65535 inclusive.",
     .help = "Bytes of HTTP headers at most."},
    {"packet_buffer_size", INT(0, 65535), .place = NJ_PLACE_GLOBAL, NOWHERE,
     BY(nj_parse_number_only),
     .too_low = "Error: Packet buffer size must be between 0 and 65535 inclusive.",
     .too_high = "Error: Packet buffer size must be between 0 and 65535 inclusive.",
     .help = "Without effect: buffers fit what they hold."},

    /* -- listeners -- */
    {"listener", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, RESTART, REPEATS,
     .label = "listener port", BY(nj_parse_listener),
     .help = "Begins a listener: a port and perhaps an address, or `0 /PATH` for a unix socket."},
    {"port", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, RESTART, OLD, .min = 1, .max = 65535,
     BY(nj_parse_port), .help = "Port of the default listener."},
    {"bind_address", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, RESTART, OLD,
     .label = "default listener bind_address", BY(nj_parse_bind_address),
     .help = "Address of the default listener."},
    {"protocol", WORDS("mqtt|websockets|http_api"), LISTENER(protocol), DEFAULT, RESTART,
     .def = "mqtt",
     .help = "`mqtt`, `websockets`, or `http_api` for status, metrics and health over HTTP "
             "(docs/http.md)."},
    {"socket_domain", INT(4, 6), LISTENER(socket_domain), DEFAULT, RESTART,
     BY(nj_parse_socket_domain), .help = "`ipv4` or `ipv6`. Default: both."},
    {"accept_protocol_versions", INT(0, 255), LISTENER(accept_versions), EXPLICIT, LIVE,
     BY(nj_parse_versions), .help = "MQTT versions that are accepted. Default: 3, 4, 5."},
    {"socket_name", TEXT, LISTENER(socket_name), EXPLICIT, RESTART, OWN,
     .help = "Takes the listening sockets that systemd passes under this name "
             "(`FileDescriptorName=`). Without, the listener takes those that listen at its "
             "address. When none is passed, it opens its own."},
    {"bind_interface", TEXT, LISTENER(bind_interface), DEFAULT, RESTART,
     .help = "Network interface to listen on. Default: all."},
    {"max_connections", INT(-1, I32), LISTENER(max_connections), DEFAULT, LIVE, .def = "-1",
     .help = "Connections at most; -1 = no limit."},
    {"max_qos", INT(0, 2), LISTENER(max_qos), DEFAULT, LIVE, .def = "2",
     .too_low = "Error: 'max_qos' must be between 0 and 2 inclusive.",
     .too_high = "Error: 'max_qos' must be between 0 and 2 inclusive.", .help = "Highest QoS."},
    {"maximum_qos", INT(0, 2), LISTENER(max_qos), DEFAULT, LIVE, .def = "2", .alias = "max_qos",
     .too_low = "Error: 'max_qos' must be between 0 and 2 inclusive.",
     .too_high = "Error: 'max_qos' must be between 0 and 2 inclusive.", .help = "As max_qos."},
    {"max_topic_alias", INT(0, 65535), LISTENER(max_topic_alias), LIVE, .def = "10",
     .too_low = "Error: Invalid 'max_topic_alias' value in configuration.",
     .too_high = "Error: Invalid 'max_topic_alias' value in configuration.",
     .help = "Topic aliases that a client may use."},
    {"max_topic_alias_broker", INT(0, 65535), LISTENER(max_topic_alias_broker), LIVE, .def = "10",
     .too_low = "Error: Invalid 'max_topic_alias_broker' value in configuration.",
     .too_high = "Error: Invalid 'max_topic_alias_broker' value in configuration.",
     .help = "Topic aliases that the broker uses towards a client."},
    {"mount_point", TEXT, LISTENER(mount_point), RESTART, BY(nj_parse_mount_point),
     .help = "Prefix of all topics of the listener."},
    {"use_username_as_clientid", BOOLEAN, LISTENER(use_username_as_clientid), DEFAULT, LIVE,
     .def = "false", .help = "The user name replaces the client id."},
    {"listener_allow_anonymous", TRISTATE, LISTENER(allow_anonymous), LIVE,
     .help = "allow_anonymous for this listener. Default: the global one."},
    {"listener_auto_id_prefix", TEXT, LISTENER(auto_id_prefix), LIVE, BY(nj_parse_auto_id_prefix),
     .help = "auto_id_prefix for this listener."},
    {"websockets_origin", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_LISTENER, RESTART, REPEATS,
     BY(nj_parse_origin), .help = "Origin that browsers may come from; repeatable. Default: any."},
    {"cafile", TEXT, LISTENER(cafile), DEFAULT, LIVE,
     .help = "PEM file with the authorities that sign client certificates."},
    {"capath", TEXT, LISTENER(capath), DEFAULT, LIVE,
     .help = "Directory of such files: every `*.pem` and `*.crt` that is a CA certificate "
             "(compat: hashed names only)."},
    {"certificate_management", BOOLEAN, LISTENER(certificate_management), DEFAULT, LIVE, OWN,
     .def = "false",
     .help = "Whether CA certificates in the listener's capath, which has to be writable, may be "
             "inserted and deleted by `$CONTROL/certificate-management/v1`. Also turned on by a "
             "line `plugin …/cedalo_certificate_management.so` below the listener."},
    {"certfile", TEXT, LISTENER(certfile), DEFAULT, LIVE,
     .help = "PEM file with the listener's certificate chain; with keyfile it turns TLS on."},
    {"keyfile", TEXT, LISTENER(keyfile), DEFAULT, LIVE,
     .help = "PEM file with the private key to it."},
    {"crlfile", TEXT, LISTENER(crlfile), DEFAULT, LIVE,
     .help = "PEM file with revocation lists, for the whole chain."},
    {"ciphers", TEXT, LISTENER(ciphers), DEFAULT, LIVE, .help = "Cipher list for TLS 1.2."},
    {"ciphers_tls1.3", TEXT, LISTENER(ciphers_tls13), DEFAULT, LIVE,
     .help = "Cipher suites for TLS 1.3."},
    {"tls_version", TEXT, LISTENER(tls_version), DEFAULT, LIVE, BY(nj_parse_tls_version),
     .help = "Lowest version: tlsv1.2 or tlsv1.3. Default: tlsv1.2."},
    {"dhparamfile", TEXT, LISTENER(dhparamfile), DEFAULT, LIVE,
     .help = "Diffie-Hellman parameters; no longer needed. Default: automatic."},
    {"require_certificate", BOOLEAN, LISTENER(require_certificate), DEFAULT, LIVE, .def = "false",
     .help = "Clients need a certificate that verifies."},
    {"use_identity_as_username", BOOLEAN, LISTENER(use_identity_as_username), DEFAULT, LIVE,
     .def = "false", .help = "The certificate's common name is the user name."},
    {"use_subject_as_username", BOOLEAN, LISTENER(use_subject_as_username), DEFAULT, LIVE,
     .def = "false", .help = "The certificate's whole subject is the user name."},
    {"disable_client_cert_date_checks", BOOLEAN, LISTENER(disable_client_cert_date_checks), LIVE,
     .def = "false", .help = "Do not look at the dates of client certificates."},
    {"enable_proxy_protocol", INT(1, 2), LISTENER(proxy_protocol), RESTART,
     .too_low = "Error: enable_proxy_protocol must be 1 or 2.",
     .too_high = "Error: enable_proxy_protocol must be 1 or 2.",
     .help = "Every connection begins with a header of the PROXY protocol, version 1 or 2, within "
             "3 seconds; the address in it is the client's everywhere. With version 2 "
             "use_identity_as_username takes the name of the certificate that the proxy verified, "
             "unless the listener has TLS of its own."},
    {"proxy_protocol_v2_require_tls", BOOLEAN, LISTENER(proxy_requires_tls), LIVE, .def = "false",
     .help = "Refuse clients that did not speak TLS with the proxy."},
    {"proxy_trusted", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_LISTENER, LIVE,
     .flags = NJ_OPTION_OWN | NJ_OPTION_REPEATS, BY(nj_parse_proxy_trusted),
     .help = "Address or range (`10.0.0.0/8`) of proxies whose headers are believed; repeatable. "
             "Connections from elsewhere are refused. enable_proxy_protocol needs at least one, "
             "except on a unix socket (compat: none means any)."},
    {"http_dir", TEXT, LISTENER(http_dir), RESTART,
     .help = "Directory of static files that an `http_api` listener serves, to those who log in."},
    {"psk_hint", TEXT, LISTENER(psk_hint), DEFAULT, LIVE,
     .help = "Turns TLS with the pre-shared keys of psk_file on, instead of certificates; the text "
             "is told to clients of TLS 1.2. With use_identity_as_username the identity of the key "
             "is the user name."},
    {"tls_engine", TEXT, LISTENER(tls_engine), DEFAULT, LIVE,
     .help = "OpenSSL engine that holds the private key, for example `pkcs11`."},
    {"tls_engine_kpass_sha1", TEXT, LISTENER(tls_engine_kpass_sha1), DEFAULT, LIVE,
     .help = "SHA-1 of the password of the engine's keys, 40 hexadecimal digits, for engines that "
             "take it so. For PKCS#11 the PIN is part of the key's URI (`pin-source=file:…`)."},
    {"tls_keyform", WORDS("pem|engine"), LISTENER(tls_keyform), DEFAULT, LIVE, .def = "pem",
     .help = "Where the private key is: `pem`, in the file keyfile, or `engine`, in tls_engine, "
             "where keyfile is its name (`pkcs11:token=…;object=…`)."},

    /* -- bridges: read as the original reads them, then refused as a whole -- */
    {"connection", .kind = NJ_OPT_CUSTOM, .place = NJ_PLACE_GLOBAL, NOWHERE,
     .flags = NJ_OPTION_UNBUILT | NJ_OPTION_REPEATS, BY(nj_parse_connection),
     .help = "Begins a bridge with this name."},
    {"address", BRIDGE_LINE, REPEATS, BY(nj_parse_bridge_address),
     .empty = "Error: Empty address value in configuration.",
     .help = "Host and perhaps :port of the other broker; several may follow."},
    {"addresses", BRIDGE_LINE, REPEATS, .alias = "address", BY(nj_parse_bridge_address),
     .empty = "Error: Empty address value in configuration.", .help = "As address."},
    {"topic", BRIDGE_LINE, REPEATS, BY(nj_parse_bridge_topic),
     .help = "Pattern, then perhaps out, in or both, QoS, local prefix, remote prefix."},
    {"bridge_alpn", TEXT, BRIDGE(alpn), .help = "ALPN name."},
    {"bridge_attempt_unsubscribe", BOOLEAN, BRIDGE(attempt_unsubscribe), .def = "true",
     .help = "Unsubscribe at the other broker from topics that are not wanted."},
    {"bridge_bind_address", TEXT, BRIDGE(bind_address), .help = "Local address."},
    {"bridge_cafile", TEXT, BRIDGE(cafile), BY(nj_parse_bridge_certificate),
     .help = "Authorities of the other broker."},
    {"bridge_capath", TEXT, BRIDGE(capath), BY(nj_parse_bridge_certificate),
     .help = "Directory of them."},
    {"bridge_certfile", TEXT, BRIDGE(certfile), BY(nj_parse_bridge_certificate),
     .help = "Our certificate."},
    {"bridge_keyfile", TEXT, BRIDGE(keyfile), BY(nj_parse_bridge_certificate),
     .help = "Its private key."},
    {"bridge_ciphers", TEXT, BRIDGE(ciphers), .help = "Cipher list for TLS 1.2."},
    {"bridge_ciphers_tls1.3", TEXT, BRIDGE(ciphers_tls13), .help = "Suites for TLS 1.3."},
    {"bridge_identity", TEXT, BRIDGE(identity), BY(nj_parse_bridge_psk),
     .help = "Identity for a pre-shared key."},
    {"bridge_psk", TEXT, BRIDGE(psk), BY(nj_parse_bridge_psk), .help = "The key in hex."},
    {"bridge_insecure", BOOLEAN, BRIDGE(insecure), .def = "false",
     .help = "Do not check the other broker's host name."},
    {"bridge_max_packet_size", INT(0, I32), BRIDGE(max_packet_size), CLAMPS, .def = "0",
     .help = "Largest packet to send; 0 = what the other broker says."},
    {"bridge_max_topic_alias", INT(0, 65535), BRIDGE(max_topic_alias), .def = "10",
     .too_low = "Error: bridge_max_topic_alias must be > 0 and <= 65535.",
     .too_high = "Error: bridge_max_topic_alias must be > 0 and <= 65535.",
     .help = "Topic aliases."},
    {"bridge_outgoing_retain", BOOLEAN, BRIDGE(outgoing_retain), .def = "true",
     .help = "Keep the retain flag."},
    {"bridge_protocol_version", WORDS("mqttv31|mqttv311|mqttv50"), BRIDGE(protocol_version),
     .min = 3, .def = "mqttv311", .help = "MQTT version."},
    {"bridge_receive_maximum", INT(1, 65535), BRIDGE(receive_maximum),
     .too_low = "Error: bridge_receive_maximum must be greater than 0.",
     .too_high = "Error: bridge_receive_maximum must be lower than 65535.",
     .help = "Messages in flight."},
    {"bridge_reload_type", WORDS("lazy|immediate"), BRIDGE(reload_type), .def = "lazy",
     BY(nj_parse_bridge_word), .help = "When a reload takes effect."},
    {"bridge_require_ocsp", BOOLEAN, BRIDGE(require_ocsp), .def = "false",
     .help = "Ask for a stapled OCSP answer."},
    {"bridge_session_expiry_interval", INT(0, I32), BRIDGE(session_expiry_s), .def = "0",
     .too_low = "Error: bridge_session_expiry_interval must not be negative.",
     .help = "Session expiry in seconds."},
    {"bridge_tcp_keepalive", BRIDGE_LINE, BY(nj_parse_bridge_tcp_keepalive),
     .help = "TCP keep-alive: idle seconds, interval, count."},
    {"bridge_tcp_user_timeout", INT(0, I32), BRIDGE(tcp_user_timeout_ms),
     .too_low = "Error: invalid TCP user timeout value.", .help = "TCP_USER_TIMEOUT in ms."},
    {"bridge_tls_use_os_certs", BOOLEAN, BRIDGE(use_os_certs), .def = "false",
     .help = "Trust the system's authorities."},
    {"bridge_tls_version", TEXT, BRIDGE(tls_version), .help = "TLS version."},
    {"cleansession", BOOLEAN, BRIDGE(clean_session), .def = "false", .help = "Clean session."},
    {"local_cleansession", TRISTATE, BRIDGE(local_clean_session), .help = "The same, locally."},
    {"remote_clientid", TEXT, BRIDGE(remote_clientid), .label = "bridge remote clientid",
     .help = "Client id. Default: host name, dot, name of the connection."},
    {"clientid", TEXT, BRIDGE(remote_clientid), .alias = "remote_clientid",
     .label = "bridge remote clientid", .help = "As remote_clientid."},
    {"local_clientid", TEXT, BRIDGE(local_clientid), .label = "bridge local clientd",
     .help = "Client id here. Default: local. and the remote one."},
    {"remote_username", TEXT, BRIDGE(remote_username), .label = "bridge remote_username",
     .help = "User name."},
    {"username", TEXT, BRIDGE(remote_username), .alias = "remote_username",
     .label = "bridge remote_username", .help = "As remote_username."},
    {"remote_password", TEXT, BRIDGE(remote_password), .label = "bridge remote_password",
     .help = "Password."},
    {"password", TEXT, BRIDGE(remote_password), .alias = "remote_password",
     .label = "bridge remote_password", .help = "As remote_password."},
    {"local_username", TEXT, BRIDGE(local_username), .label = "bridge local_username",
     .help = "User name here."},
    {"local_password", TEXT, BRIDGE(local_password), .label = "bridge local_password",
     .help = "Password here."},
    {"idle_timeout", INT(1, I32), BRIDGE(idle_timeout_s), CLAMPS, .def = "60",
     .help = "Seconds until a lazy bridge disconnects."},
    {"keepalive_interval", INT(5, 65535), BRIDGE(keepalive_s), CLAMPS, .def = "60",
     .too_high = "Error: Bridge keepalive value too high.", .help = "Keep alive in seconds."},
    {"notification_topic", TEXT, BRIDGE(notification_topic), .help = "Topic of its state."},
    {"notifications", BOOLEAN, BRIDGE(notifications), .def = "true", .help = "Publish its state."},
    {"notifications_local_only", BOOLEAN, BRIDGE(notifications_local_only), .def = "false",
     .help = "Publish it here only."},
    {"restart_timeout", BRIDGE_LINE, BY(nj_parse_bridge_restart),
     .help = "Seconds until it connects again: constant, or base, cap and perhaps stable time."},
    {"round_robin", BOOLEAN, BRIDGE(round_robin), .def = "false",
     .help = "All addresses are equal; otherwise the first is preferred."},
    {"start_type", WORDS("automatic|lazy|once"), BRIDGE(start_type), .def = "automatic",
     BY(nj_parse_bridge_word), .help = "When it starts."},
    {"threshold", INT(1, I32), BRIDGE(threshold), CLAMPS, .def = "10",
     .help = "Messages that make a lazy bridge connect."},
    {"try_private", BOOLEAN, BRIDGE(try_private), .def = "true",
     .help = "Say to the other broker that this is a bridge."},
};

const size_t nj_option_count = sizeof(nj_options) / sizeof(nj_options[0]);

_Static_assert(sizeof(nj_options) / sizeof(nj_options[0]) <= NJ_OPTIONS_MAX, "NJ_OPTIONS_MAX");
