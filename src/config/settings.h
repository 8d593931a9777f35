/* Everything that can be configured. Filled by config/load.c and config/reload.c; read by everybody
 * else. Owned strings, freed by nj_settings_free. Immutable once loaded: any thread may read it. */
#ifndef NJ_CONFIG_SETTINGS_H
#define NJ_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cidr.h"

enum nj_tristate {
    NJ_UNSET,
    NJ_NO,
    NJ_YES
};

enum nj_protocol {
    NJ_PROTOCOL_MQTT,
    NJ_PROTOCOL_WEBSOCKETS,
    NJ_PROTOCOL_HTTP_API
};

enum nj_rights_change {
    NJ_RIGHTS_RECHECK, /* live sessions keep going under the new rights */
    NJ_RIGHTS_KICK,    /* affected sessions are disconnected */
    NJ_RIGHTS_STRICT   /* recheck, and reset connections with forbidden bytes in the kernel */
};

enum nj_durability {
    NJ_DURABILITY_FSYNC,
    NJ_DURABILITY_INTERVAL,
    NJ_DURABILITY_MEMORY
};

/* Security settings of one scope: global, or of one listener (per_listener_settings). Ask
 * nj_settings_scope and the other functions below for what holds on a listener. */
struct nj_scope_settings {
    enum nj_tristate allow_anonymous;
    enum nj_tristate allow_zero_length_clientid;
    char *acl_file;         /* an empty file denies everything; NULL = none configured */
    char *password_file;    /* NULL = none configured */
    char *dynamic_security; /* NULL = none; "" = a file in persistence_location */
    char *dynamic_security_password_file; /* for its first start */
    char *psk_file;                       /* NULL = none configured */
    char *auto_id_prefix;
};

struct nj_listener_settings {
    int port;
    char *host;        /* NULL = every address */
    char *unix_path;   /* then port is 0 */
    char *socket_name; /* the listener takes the sockets that were passed under this name */
    enum nj_protocol protocol;
    int socket_domain; /* 0 both, 4, 6 (never with unix_path) */
    char *bind_interface;
    int max_connections; /* -1 = no limit */
    int max_qos;
    int max_topic_alias;
    int max_topic_alias_broker;
    char *mount_point;
    unsigned accept_versions; /* bit n: protocol level n */
    bool use_username_as_clientid;
    enum nj_tristate allow_anonymous; /* listener_allow_anonymous */
    char *auto_id_prefix; /* listener_auto_id_prefix; nj_settings_auto_id_prefix knows the rest */
    char **websockets_origins; /* none = any */
    size_t websockets_origin_count;
    struct nj_scope_settings scope; /* with per_listener_settings */
    /* TLS: on when certfile and keyfile are given */
    char *cafile;
    char *capath;
    bool certificate_management; /* CA certificates in capath may be changed by $CONTROL */
    char *certfile;
    char *keyfile;
    char *crlfile;
    char *ciphers;
    char *ciphers_tls13;
    char *tls_version;
    char *dhparamfile;
    bool require_certificate;
    bool use_identity_as_username;
    bool use_subject_as_username;
    bool disable_client_cert_date_checks;
    char *tls_engine; /* where the private key is, with tls_keyform 1 */
    char *tls_engine_kpass_sha1;
    int tls_keyform;    /* 0 pem, 1 engine */
    char *psk_hint;     /* TLS with the keys of the scope's psk_file instead of certificates */
    int proxy_protocol; /* 0 off, 1, 2: enable_proxy_protocol */
    bool proxy_requires_tls;
    struct nj_cidr *proxy_trusted; /* who may speak it; none = nobody, or (mode) anybody */
    size_t proxy_trusted_count;
    char *http_dir; /* static files of an http_api listener; NULL = none */
};

/* Bridges are read and checked like the original does; as they are not built yet, a configuration
 * with one is refused after that, so loaded settings hold none. */
struct nj_bridge_address {
    char *host;
    int port;
};

enum nj_bridge_direction {
    NJ_BRIDGE_OUT,
    NJ_BRIDGE_IN,
    NJ_BRIDGE_BOTH
};

struct nj_bridge_topic {
    char *pattern;
    enum nj_bridge_direction direction;
    int qos;
    char *local_prefix;  /* NULL = none */
    char *remote_prefix; /* NULL = none */
};

struct nj_bridge_settings {
    char *name;
    struct nj_bridge_address *addresses;
    size_t address_count;
    struct nj_bridge_topic *topics;
    size_t topic_count;
    char *bind_address;
    char *remote_clientid;
    char *remote_username;
    char *remote_password;
    char *local_clientid;
    char *local_username;
    char *local_password;
    char *notification_topic;
    bool round_robin;
    bool attempt_unsubscribe;
    bool outgoing_retain;
    bool clean_session;
    enum nj_tristate local_clean_session; /* unset = clean_session */
    bool notifications;
    bool notifications_local_only;
    bool try_private;
    int protocol_version; /* 3, 4, 5 */
    int reload_type;      /* 0 lazy, 1 immediate */
    int start_type;       /* 0 automatic, 1 lazy, 2 once */
    int keepalive_s;
    int idle_timeout_s;
    int restart_base_s; /* 0 = constant restart_cap_s */
    int restart_cap_s;
    int restart_stable_s;
    int threshold;
    int max_packet_size;
    int max_topic_alias;
    int receive_maximum; /* 0 = not sent */
    int session_expiry_s;
    int tcp_keepalive_idle_s;
    int tcp_keepalive_interval_s;
    int tcp_keepalive_count;
    int tcp_user_timeout_ms; /* -1 = the system's */
    char *cafile;
    char *capath;
    char *certfile;
    char *keyfile;
    char *identity;
    char *psk;
    char *tls_version;
    char *alpn;
    char *ciphers;
    char *ciphers_tls13;
    bool insecure;
    bool require_ocsp;
    bool use_os_certs;
};

/* Native and compat mode: one field for each difference (docs/configuration.md tells them). The
 * code asks these, never the mode. */
struct nj_mode_settings {
    bool is_compat;         /* for the log and the answer to `--version` only */
    bool local_anonymous;   /* no listener configured: anonymous accepted */
    bool acl_default_allow; /* no ACL configured */
    bool default_covers_sys;
    bool unverified_user_counts;
    bool leading_topics_for_all;
    bool any_case_keywords;
    bool doubtful_acl_as_text; /* see security/acl.h */
    bool checks_subscribe;
    bool share_as_whole;
    bool dynsec_knows_certificates; /* see security/policy.h */
    bool capath_by_content;         /* every CA file, not only hashed names */
    enum nj_rights_change rights_change;
    bool session_owner;
    bool will_checked_at_connect;
    bool retain_rechecks_origin;
    bool share_skips_denied;
    bool default_argon2id;
    bool persistence_default;
    bool reload_keeps_old; /* a broken file on reload: keep serving */
    bool refuses_control_chars;
    bool control_api;         /* $CONTROL/broker and those beside it */
    bool control_as_original; /* its answers go to every subscriber and have no `code` */
    bool sends_reason_strings;
    bool sends_response_info;
    bool checks_payload_format;
    bool names_unknown_ids;
    bool errors_as_original;
    bool nofollow_credentials;
    bool http_as_original;    /* rights by path, 401 for want of them, answers for any origin */
    bool proxy_needs_trusted; /* enable_proxy_protocol only together with proxy_trusted */
    bool proxy_v2_before_tls; /* `enable_proxy_protocol 2` on a listener with TLS of its own */
};

#define NJ_MODE_ROWS_MAX 40

struct nj_settings {
    struct nj_mode_settings mode;
    const char *differences[NJ_MODE_ROWS_MAX + 1]; /* see nj_config_differences */
    char *config_file;                             /* NULL = none */
    bool compat_is_forced;                         /* by --compat: the `compat` line has no say */
    bool per_listener;
    struct nj_scope_settings scope; /* global */
    struct nj_listener_settings *listeners;
    size_t listener_count;
    bool certificate_management; /* a plugin line for all listeners that have a capath */
    bool is_local_only;          /* no listener was configured */
    struct nj_bridge_settings *bridges;
    size_t bridge_count;
    bool allow_duplicate_messages;
    bool allow_zero_length_clientid; /* of the global scope; nj_settings_zero_length_clientid */
    char *auto_id_prefix;            /* of the global scope; nj_settings_auto_id_prefix */
    char *clientid_prefixes;
    bool connection_messages;
    enum nj_tristate check_retain_source; /* unset = the mode's */
    enum nj_tristate enable_control_api;  /* unset = the mode's */
    int global_max_clients;
    int global_max_connections;
    unsigned log_types; /* bits of enum nj_log_type */
    bool has_log_types;
    bool log_stderr;
    bool log_stdout;
    bool log_syslog;
    bool log_topic;
    bool log_none;
    char *log_file;
    int log_facility; /* -1 = daemon */
    bool log_timestamp;
    char *log_timestamp_format;
    uint64_t max_inflight_bytes;
    uint32_t max_inflight_messages;
    uint32_t max_keepalive;
    uint32_t max_packet_size;
    uint64_t max_queued_bytes;
    uint32_t max_queued_messages;
    uint64_t memory_limit;
    uint32_t message_size_limit;
    bool persistence;
    bool persistence_is_set;
    bool persistence_by_plugin; /* the module that stands for the store: persistence is on */
    bool retained_persistence;
    char *persistence_file;
    char *persistence_location;
    uint32_t autosave_interval;
    bool autosave_on_changes;
    uint64_t persistent_client_expiration_s; /* 0 = never; below UINT32_MAX */
    char *pid_file;
    char *user; /* NULL = mosquitto, or nobody where there is none */
    bool queue_qos0_messages;
    bool retain_available;
    uint32_t retain_expiry_interval_min;
    bool set_tcp_nodelay;
    uint32_t sys_interval;
    bool upgrade_outgoing_qos;
    uint32_t websockets_headers_size;

    unsigned workers; /* 0 = processors */
    enum nj_durability durability;
    uint32_t durability_interval_ms;
    enum nj_tristate acl_default; /* NJ_YES = allow */
    enum nj_tristate session_owner;
    char *response_information; /* prefix of response topics, with %u and %c; NULL = the mode's */
    int rights_change;          /* as mode.rights_change once loaded */

    /* from the command line */
    int recover; /* enum nj_dynsec_recover of security/dynsec.h */
    bool is_daemon;
    bool is_quiet;
    bool is_verbose;
    char *tls_keylog;
};

void nj_settings_free(struct nj_settings *settings);

/* The settings of the scope a listener belongs to: its own, or the global ones. */
const struct nj_scope_settings *nj_settings_scope(const struct nj_settings *settings,
                                                  size_t listener);
/* What holds on a listener, all levels considered: */
bool nj_settings_anonymous(const struct nj_settings *settings, size_t listener);
bool nj_settings_zero_length_clientid(const struct nj_settings *settings, size_t listener);
/* Never NULL. */
const char *nj_settings_auto_id_prefix(const struct nj_settings *settings, size_t listener);
/* The template of response topics, or NULL: nobody is told any. */
#define NJ_RESPONSE_PREFIX_MAX 200
const char *nj_settings_response_information(const struct nj_settings *settings);
bool nj_settings_uses_tls(const struct nj_listener_settings *listener); /* of any kind */

#endif
