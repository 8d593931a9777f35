/* Parsers of options whose value is more than a number, a switch, a word or a text: custom.c,
 * custom_plugin.c, custom_listener.c, custom_bridge.c. */
#ifndef NJ_CONFIG_CUSTOM_H
#define NJ_CONFIG_CUSTOM_H

#include "config/config_priv.h"

#define NJ_CUSTOM_PARSER(name)                                                                     \
    enum nj_err name(struct nj_parser *parser, const struct nj_option *option, char *value)

NJ_CUSTOM_PARSER(nj_parse_per_listener);
NJ_CUSTOM_PARSER(nj_parse_compat);
NJ_CUSTOM_PARSER(nj_parse_auto_id_prefix);
NJ_CUSTOM_PARSER(nj_parse_response_information);
NJ_CUSTOM_PARSER(nj_parse_expiration);
NJ_CUSTOM_PARSER(nj_parse_log_dest);
NJ_CUSTOM_PARSER(nj_parse_log_type);
NJ_CUSTOM_PARSER(nj_parse_persistence);
NJ_CUSTOM_PARSER(nj_parse_durability);
NJ_CUSTOM_PARSER(nj_parse_include_dir);
NJ_CUSTOM_PARSER(nj_parse_number_only);

NJ_CUSTOM_PARSER(nj_parse_plugin);
NJ_CUSTOM_PARSER(nj_parse_plugin_load);
NJ_CUSTOM_PARSER(nj_parse_plugin_use);
NJ_CUSTOM_PARSER(nj_parse_deny_special_chars);
/* Only for the table: the parser knows `plugin_opt_…` and `auth_opt_…` by their beginning. */
NJ_CUSTOM_PARSER(nj_parse_plugin_option);
enum nj_err nj_parse_plugin_pair(struct nj_parser *parser, const char *key, char *value);

NJ_CUSTOM_PARSER(nj_parse_listener);
NJ_CUSTOM_PARSER(nj_parse_port);
NJ_CUSTOM_PARSER(nj_parse_bind_address);
NJ_CUSTOM_PARSER(nj_parse_socket_domain);
NJ_CUSTOM_PARSER(nj_parse_versions);
NJ_CUSTOM_PARSER(nj_parse_mount_point);
NJ_CUSTOM_PARSER(nj_parse_origin);
NJ_CUSTOM_PARSER(nj_parse_tls_version);
NJ_CUSTOM_PARSER(nj_parse_proxy_trusted);

NJ_CUSTOM_PARSER(nj_parse_connection);
NJ_CUSTOM_PARSER(nj_parse_bridge_address);
NJ_CUSTOM_PARSER(nj_parse_bridge_topic);
NJ_CUSTOM_PARSER(nj_parse_bridge_certificate);
NJ_CUSTOM_PARSER(nj_parse_bridge_psk);
NJ_CUSTOM_PARSER(nj_parse_bridge_word);
NJ_CUSTOM_PARSER(nj_parse_bridge_tcp_keepalive);
NJ_CUSTOM_PARSER(nj_parse_bridge_restart);

#endif
