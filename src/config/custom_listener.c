/* Listener options with parsers of their own. See custom.h. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/custom.h"
#include "mqtt/topic.h"

static struct nj_listener_settings *current(struct nj_parser *parser)
{
    return &parser->settings->listeners[parser->context.listener];
}

static enum nj_err read_port(struct nj_parser *parser, const char *name, const char *word,
                             int64_t min, int64_t *port)
{
    enum nj_number is = nj_parse_number(word, port);
    if (is == NJ_NUMBER_BAD) {
        return nj_parser_fail(parser, "Error: '%s' value not a number.", name);
    }
    if (is == NJ_NUMBER_HUGE || *port < min || *port > 65535) {
        return nj_parser_fail(parser, "Error: Invalid 'port' value (%.40s).", word);
    }
    return NJ_OK;
}

static enum nj_err check_address(struct nj_parser *parser,
                                 const struct nj_listener_settings *listener)
{
    char text[256];
    for (size_t i = 0; i < parser->settings->listener_count; i++) {
        const struct nj_listener_settings *other = &parser->settings->listeners[i];
        if (other != listener && nj_listener_is_same_address(other, listener)) {
            return nj_parser_fail(parser, "Error: Two listeners have the same address (%s).",
                                  nj_listener_text(listener, text, sizeof(text)));
        }
    }
    return NJ_OK;
}

/* `listener PORT [ADDRESS]` or `listener 0 PATH`; the original allows a comment behind these. */
NJ_CUSTOM_PARSER(nj_parse_listener)
{
    char *rest = value;
    const char *word = nj_next_token(&rest);
    int64_t port = 0;
    enum nj_err err = read_port(parser, option->label, word, 0, &port);
    if (err != NJ_OK) {
        return err;
    }
    if (*rest == '#') {
        *rest = '\0';
    }
    if (port == 0 && !*rest) {
        return nj_parser_fail(parser,
                              "Error: A listener with port 0 must provide a Unix socket path.");
    }
    char *address = rest;
    if (port != 0 && *rest) {
        address = nj_next_token(&rest);
        if (strchr(address, '/') || (*rest && *rest != '#')) {
            return nj_parser_fail(parser, "Error: Invalid 'listener' address (%.200s%s%.200s).",
                                  address, *rest ? " " : "", rest);
        }
    }
    if (parser->settings->listener_count >= NJ_LISTENERS_MAX) {
        return nj_parser_fail(parser, "Error: More than %d listeners.", NJ_LISTENERS_MAX);
    }
    struct nj_listener_settings *listener = nj_settings_add_listener(parser->settings);
    parser->context.listener = (int)parser->settings->listener_count - 1;
    memset(parser->context.seen_listener, 0, sizeof(parser->context.seen_listener));
    parser->is_public = true;
    listener->port = (int)port;
    if (*address) {
        nj_set_text(port == 0 ? &listener->unix_path : &listener->host, address);
    }
    return check_address(parser, listener);
}

NJ_CUSTOM_PARSER(nj_parse_port)
{
    int64_t port = 0;
    enum nj_err err = read_port(parser, option->name, value, 1, &port);
    if (err != NJ_OK) {
        return err;
    }
    nj_parser_use_default_listener(parser);
    parser->is_public = true;
    parser->default_is_asked_for = true;
    current(parser)->port = (int)port;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_bind_address)
{
    (void)option;
    if (strpbrk(value, " \t/") || value[0] == '#') {
        return nj_parser_invalid(parser, option, value);
    }
    nj_parser_use_default_listener(parser);
    parser->is_public = true;
    parser->default_is_asked_for = true;
    nj_set_text(&current(parser)->host, value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_socket_domain)
{
    int place = nj_parse_word(value, "ipv4|ipv6");
    if (place < 0) {
        return nj_parser_fail(parser, "Error: Invalid '%s' value '%.200s' in configuration.",
                              option->name, value);
    }
    current(parser)->socket_domain = place == 0 ? 4 : 6;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_versions)
{
    unsigned versions = 0;
    for (const char *at = value; *at; at++) {
        bool stands_alone = !at[1] || strchr(", \t", at[1]);
        if (*at >= '3' && *at <= '5' && stands_alone) {
            versions |= 1u << (*at - '0');
        } else if (!strchr(", \t", *at)) {
            return nj_parser_invalid(parser, option, value);
        }
    }
    if (!versions) {
        return nj_parser_invalid(parser, option, value);
    }
    current(parser)->accept_versions = versions;
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_mount_point)
{
    if (!nj_mqtt_topic_is_valid(nj_bytes_of(value), 0)) {
        return nj_parser_fail(parser,
                              "Error: Invalid '%s' value (%.200s). Does it contain a wildcard "
                              "character?",
                              option->name, value);
    }
    nj_set_text(&current(parser)->mount_point, value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_origin)
{
    struct nj_listener_settings *listener = current(parser);
    (void)option;
    listener->websockets_origins = nj_realloc(
        listener->websockets_origins, (listener->websockets_origin_count + 1) * sizeof(char *));
    listener->websockets_origins[listener->websockets_origin_count++] = nj_strdup(value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_tls_version)
{
    if (nj_parse_word(value, "tlsv1.2|tlsv1.3") < 0) {
        return nj_parser_invalid(parser, option, value);
    }
    nj_set_text(&current(parser)->tls_version, value);
    return NJ_OK;
}

NJ_CUSTOM_PARSER(nj_parse_proxy_trusted)
{
    struct nj_listener_settings *listener = current(parser);
    struct nj_cidr range;
    if (nj_cidr_parse(value, &range) != NJ_OK) {
        return nj_parser_invalid(parser, option, value);
    }
    size_t count = listener->proxy_trusted_count;
    listener->proxy_trusted =
        nj_realloc(listener->proxy_trusted, (count + 1) * sizeof(*listener->proxy_trusted));
    listener->proxy_trusted[count] = range;
    listener->proxy_trusted_count++;
    return NJ_OK;
}
