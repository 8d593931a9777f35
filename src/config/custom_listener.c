/* Listener and bridge options with parsers of their own. See custom.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "config/custom.h"
#include "mqtt/topic.h"

static enum nj_err invalid(struct nj_parser *parser, const struct nj_option *option,
                           const char *value)
{
    return nj_parser_fail(parser, "Error: Invalid '%s' value (%s).", option->name, value);
}

static void set_text(char **field, const char *value)
{
    nj_free(*field);
    *field = nj_strdup(value);
}

struct nj_listener_settings *nj_settings_add_listener(struct nj_settings *settings)
{
    size_t count = settings->listener_count;
    settings->listeners =
        nj_realloc(settings->listeners, (count + 1) * sizeof(*settings->listeners));
    struct nj_listener_settings *listener = &settings->listeners[count];
    *listener = (struct nj_listener_settings){
        .max_connections = -1,
        .max_qos = 2,
        .max_topic_alias = 10,
        .max_topic_alias_broker = 10,
        .accept_versions = 1u << 3 | 1u << 4 | 1u << 5,
    };
    settings->listener_count++;
    return listener;
}

static bool is_same_address(const struct nj_listener_settings *a,
                            const struct nj_listener_settings *b)
{
    if (a->unix_path || b->unix_path) {
        return a->unix_path && b->unix_path && strcmp(a->unix_path, b->unix_path) == 0;
    }
    bool same_host = a->host && b->host ? strcmp(a->host, b->host) == 0 : a->host == b->host;
    return a->port == b->port && a->port != 0 && same_host;
}

NJ_CUSTOM_PARSER(nj_parse_listener)
{
    char *rest = value;
    const char *word = nj_next_token(&rest);
    int64_t port;
    if (!nj_parse_number(word, 0, 65535, &port)) {
        return nj_parser_fail(parser, "Error: Invalid 'port' value (%s).", word);
    }
    bool has_host = rest && *rest;
    if (port == 0 && !(has_host && strchr(rest, '/'))) {
        return nj_parser_fail(parser, "Error: A listener with port 0 must provide a Unix socket "
                                      "path.");
    }
    (void)option;
    struct nj_listener_settings *listener = nj_settings_add_listener(parser->settings);
    listener->port = (int)port;
    if (has_host) {
        set_text(port == 0 ? &listener->unix_path : &listener->host, rest);
    }
    for (size_t i = 0; i + 1 < parser->settings->listener_count; i++) {
        if (is_same_address(&parser->settings->listeners[i], listener)) {
            return nj_parser_fail(parser, "Error: Two listeners have the same address (%s).",
                                  value);
        }
    }
    parser->listener = listener;
    parser->in_bridge = false;
    memset(parser->seen_listener, 0, sizeof(parser->seen_listener));
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_port)
{
    int64_t port;
    if (!nj_parse_number(value, 1, 65535, &port)) {
        return invalid(parser, option, value);
    }
    parser->default_port = (int)port;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_bind_address)
{
    (void)option;
    set_text(&parser->default_host, value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_protocol)
{
    if (strcmp(value, "mqtt") == 0) {
        parser->listener->protocol = NJ_PROTOCOL_MQTT;
    } else if (strcmp(value, "websockets") == 0) {
        parser->listener->protocol = NJ_PROTOCOL_WEBSOCKETS;
    } else if (strcmp(value, "http_api") == 0) {
        return nj_parser_fail(parser,
                              "Error: The '%s http_api' option is not available in this "
                              "version of nightjar.",
                              option->name);
    } else {
        return invalid(parser, option, value);
    }
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_socket_domain)
{
    if (strcmp(value, "ipv4") == 0) {
        parser->listener->socket_domain = 4;
    } else if (strcmp(value, "ipv6") == 0) {
        parser->listener->socket_domain = 6;
    } else {
        return invalid(parser, option, value);
    }
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_versions)
{
    unsigned versions = 0;
    for (const char *at = value; *at; at++) {
        if (*at >= '3' && *at <= '5') {
            versions |= 1u << (*at - '0');
        } else if (*at != ',' && *at != ' ') {
            return invalid(parser, option, value);
        }
    }
    if (!versions) {
        return invalid(parser, option, value);
    }
    parser->listener->accept_versions = versions;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_mount_point)
{
    if (!nj_mqtt_topic_is_valid(nj_bytes_of(value), 0)) {
        return nj_parser_fail(parser,
                              "Error: Invalid '%s' value (%s). Does it contain a wildcard "
                              "character?",
                              option->name, value);
    }
    set_text(&parser->listener->mount_point, value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_origin)
{
    struct nj_listener_settings *listener = parser->listener;
    (void)option;
    listener->websockets_origins = nj_realloc(
        listener->websockets_origins, (listener->websockets_origin_count + 1) * sizeof(char *));
    listener->websockets_origins[listener->websockets_origin_count++] = nj_strdup(value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_tls_version)
{
    if (strcmp(value, "tlsv1.2") != 0 && strcmp(value, "tlsv1.3") != 0) {
        return invalid(parser, option, value);
    }
    set_text(&parser->listener->tls_version, value);
    return NJ_OK;
}

/* ---- bridges */

NJ_CUSTOM_PARSER(nj_parse_connection)
{
    (void)option;
    if (parser->bridge) {
        /* The first one is refused at the end anyway; its completeness is checked here. */
        nj_free(parser->bridge);
    }
    parser->bridge = nj_strdup(value);
    parser->in_bridge = true;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_bridge_option)
{
    (void)value;
    parser->bridge_has_address |= strncmp(option->name, "address", 7) == 0;
    parser->bridge_has_topic |= strcmp(option->name, "topic") == 0;
    return NJ_OK;
}
