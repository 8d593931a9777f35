/* Parsers of options whose value is more than a number, a switch or a text (custom.c,
 * custom_listener.c). */
#ifndef NJ_CONFIG_CUSTOM_H
#define NJ_CONFIG_CUSTOM_H

#include "config/config_priv.h"

#define NJ_CUSTOM_PARSER(name)                                                                     \
    enum nj_err name(struct nj_parser *parser, const struct nj_option *option, char *value)

NJ_CUSTOM_PARSER(nj_parse_per_listener);
NJ_CUSTOM_PARSER(nj_parse_acl_default);
NJ_CUSTOM_PARSER(nj_parse_rights_change);
NJ_CUSTOM_PARSER(nj_parse_session_owner);
NJ_CUSTOM_PARSER(nj_parse_compat);
NJ_CUSTOM_PARSER(nj_parse_plugin);
NJ_CUSTOM_PARSER(nj_parse_expiration);
NJ_CUSTOM_PARSER(nj_parse_log_dest);
NJ_CUSTOM_PARSER(nj_parse_log_type);
NJ_CUSTOM_PARSER(nj_parse_persistence);
NJ_CUSTOM_PARSER(nj_parse_durability);
NJ_CUSTOM_PARSER(nj_parse_include_dir);
NJ_CUSTOM_PARSER(nj_parse_control_api);
NJ_CUSTOM_PARSER(nj_parse_listener);
NJ_CUSTOM_PARSER(nj_parse_port);
NJ_CUSTOM_PARSER(nj_parse_bind_address);
NJ_CUSTOM_PARSER(nj_parse_protocol);
NJ_CUSTOM_PARSER(nj_parse_socket_domain);
NJ_CUSTOM_PARSER(nj_parse_versions);
NJ_CUSTOM_PARSER(nj_parse_mount_point);
NJ_CUSTOM_PARSER(nj_parse_origin);
NJ_CUSTOM_PARSER(nj_parse_tls_version);
NJ_CUSTOM_PARSER(nj_parse_connection);
NJ_CUSTOM_PARSER(nj_parse_bridge_option);

/* `plugin_opt_…` and `auth_opt_…` of the last plugin line. */
enum nj_err nj_parse_plugin_option(struct nj_parser *parser, const char *key, char *value);

#endif
