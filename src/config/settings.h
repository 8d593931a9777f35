/* Everything that can be configured, as plain values. Filled by config/config.c from a file and the
 * command line; read by everybody else. Owned strings, freed by nj_settings_free. Immutable once
 * loaded. */
#ifndef NJ_CONFIG_SETTINGS_H
#define NJ_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nj_tristate {
    NJ_UNSET,
    NJ_NO,
    NJ_YES
};

enum nj_protocol {
    NJ_PROTOCOL_MQTT,
    NJ_PROTOCOL_WEBSOCKETS
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

/* Security settings of one scope: global, or of one listener (per_listener_settings). */
struct nj_scope_settings {
    enum nj_tristate allow_anonymous;
    char *acl_file;
    char *password_file;
};

struct nj_listener_settings {
    int port;
    char *host;      /* NULL = every address */
    char *unix_path; /* then port is 0 */
    enum nj_protocol protocol;
    int socket_domain; /* 0 both, 4, 6 */
    char *bind_interface;
    int max_connections; /* -1 = no limit */
    int max_qos;
    int max_topic_alias;
    int max_topic_alias_broker;
    char *mount_point;
    unsigned accept_versions; /* bit n: protocol level n */
    bool use_username_as_clientid;
    enum nj_tristate allow_anonymous; /* listener_allow_anonymous */
    char *auto_id_prefix;
    char **websockets_origins;
    size_t websockets_origin_count;
    struct nj_scope_settings scope; /* with per_listener_settings */
    /* TLS: on when certfile and keyfile are given */
    char *cafile;
    char *capath;
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
};

/* product.md, "Native mode and compat mode": one field for each row that is built. The code asks
 * these, never the mode. */
struct nj_mode_settings {
    bool is_compat;         /* for the log and the answer to `--version` only */
    bool local_anonymous;   /* no listener configured: anonymous accepted */
    bool acl_default_allow; /* no ACL configured */
    bool default_covers_sys;
    bool unverified_user_counts;
    bool leading_topics_for_all;
    bool any_case_keywords;
    bool checks_subscribe;
    bool share_as_whole;
    bool capath_by_content; /* every CA file, not only hashed names */
    enum nj_rights_change rights_change;
    bool session_owner;
    bool will_checked_at_connect;
    bool retain_rechecks_origin;
    bool share_skips_denied;
    bool default_argon2id;
    bool persistence_default;
    bool reload_keeps_old; /* a broken file on reload: keep serving */
    bool refuses_control_chars;
    bool nofollow_credentials;
};

struct nj_settings {
    struct nj_mode_settings mode;
    char *config_file; /* NULL = none */
    bool per_listener;
    struct nj_scope_settings scope; /* global */
    struct nj_listener_settings *listeners;
    size_t listener_count;
    bool is_local_only; /* no listener was configured */

    bool allow_duplicate_messages;
    bool allow_zero_length_clientid;
    char *auto_id_prefix;
    char *clientid_prefixes;
    bool connection_messages;
    bool check_retain_source;
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
    bool retained_persistence;
    char *persistence_file;
    char *persistence_location;
    uint32_t autosave_interval;
    bool autosave_on_changes;
    uint64_t persistent_client_expiration_s; /* 0 = never */
    char *pid_file;
    char *user;
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
    int rights_change; /* -1 = the mode's */

    /* from the command line */
    bool is_daemon;
    bool is_quiet;
    bool is_verbose;
    char *tls_keylog;
};

void nj_settings_free(struct nj_settings *settings);

/* The settings of the scope a listener belongs to: its own, or the global ones. */
const struct nj_scope_settings *nj_settings_scope(const struct nj_settings *settings,
                                                  size_t listener);
/* Whether anonymous clients may use the listener, all levels considered. */
bool nj_settings_anonymous(const struct nj_settings *settings, size_t listener);

#endif
