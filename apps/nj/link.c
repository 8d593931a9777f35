/* See link.h. */
#include "link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "mqtt/props.h"
#include "pretty.h"
#include "security/psk_file.h"
#include "texts.h"

/* Reason strings, topics and the like are the broker's: they do not steer the terminal. */
static void put_safe(FILE *file, struct nj_bytes text)
{
    struct nj_buf safe;
    nj_buf_init(&safe);
    if (nj_pretty_put_safe(&safe, text) == NJ_OK && safe.len > 0) {
        (void)fwrite(safe.data, 1, safe.len, file);
    }
    nj_buf_fini(&safe);
}

void nj_link_say(const struct nj_link *link, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int size = link->opts->is_quiet ? -1 : vasprintf(&text, fmt, args);
    va_end(args);
    for (char *at = text; size >= 0 && *at;) {
        size_t len = strcspn(at, "\n");
        put_safe(stderr, nj_bytes(at, len));
        at += len;
        for (; *at == '\n'; at++) {
            (void)fputc('\n', stderr);
        }
    }
    free(size >= 0 ? text : NULL);
}

void nj_link_trace(const struct nj_link *link, const char *line)
{
    if (link->opts->command->is_compat) {
        printf("%s\n", line);
        return;
    }
    put_safe(stderr, nj_bytes_of(line));
    (void)fputc('\n', stderr);
}

static void take_props(struct nj_client_props *out, const struct nj_opts_props *props,
                       bool has_room)
{
    size_t count = props->count + (has_room ? 1 : 0);
    if (count == 0) {
        return;
    }
    struct nj_client_prop *items = nj_zalloc(count * sizeof(*items));
    for (size_t i = 0; i < props->count; i++) {
        items[i] = (struct nj_client_prop){
            .id = props->items[i].id,
            .number = props->items[i].number,
            .name = nj_bytes_of(props->items[i].name),
            .text = nj_bytes_of(props->items[i].text),
        };
    }
    out->items = items;
    out->count = props->count;
}

static void take_all_props(struct nj_link *link)
{
    const struct nj_opts *opts = link->opts;
    bool has_expiry = opts->version == NJ_MQTT_5 && opts->session_expiry > 0;
    for (size_t i = 0; i < NJ_OPTS_PACKET_COUNT; i++) {
        take_props(&link->props[i], &opts->props[i], i == NJ_OPTS_CONNECT && has_expiry);
    }
    if (has_expiry) {
        struct nj_client_props *connect = &link->props[NJ_OPTS_CONNECT];
        struct nj_client_prop *items = (struct nj_client_prop *)connect->items;
        items[connect->count++] = (struct nj_client_prop){.id = NJ_PROP_SESSION_EXPIRY,
                                                          .number = (uint32_t)opts->session_expiry};
    }
}

static bool take_tls_version(const struct nj_link *link, struct nj_tls_client_config *config)
{
    const char *version = link->opts->tls.version;
    config->min_version = NJ_TLS_12;
    config->max_version = NJ_TLS_13;
    if (version == NULL || strcmp(version, "tlsv1.2") == 0) {
        return true;
    }
    if (strcmp(version, "tlsv1.3") == 0) {
        config->min_version = NJ_TLS_13;
        return true;
    }
    if (strcmp(version, "tlsv1.1") == 0) {
        nj_link_say(link, "Error: TLS 1.1 is not available any more, use tlsv1.2 or tlsv1.3.\n");
    } else {
        nj_link_say(link, "Error: Problem setting TLS options, check the options are valid.\n");
    }
    return false;
}

/* Decodes the key into `room`, which the configuration then points to. */
static bool take_psk(const struct nj_link *link, struct nj_tls_client_config *config,
                     uint8_t room[NJ_PSK_KEY_MAX])
{
    const struct nj_opts_tls *tls = &link->opts->tls;
    size_t len = 0;
    if (tls->psk == NULL) {
        return true;
    }
    if (!nj_psk_decode_key(nj_bytes_of(tls->psk), room, NJ_PSK_KEY_MAX, &len)) {
        nj_link_say(link, "Error: Problem setting TLS-PSK options: the key is not hexadecimal, or "
                          "too long.\n");
        return false;
    }
    config->psk_identity = tls->psk_identity;
    config->psk_key = nj_bytes(room, len);
    return true;
}

static bool take_tls(struct nj_link *link)
{
    const struct nj_opts_tls *tls = &link->opts->tls;
    bool has_ca = tls->cafile != NULL || tls->capath != NULL;
    uint8_t psk[NJ_PSK_KEY_MAX];
    struct nj_tls_client_config config = {
        .cafile = tls->cafile,
        .capath = tls->capath,
        .use_os_certs = tls->use_os_certs || (!has_ca && tls->psk == NULL),
        .certfile = tls->certfile,
        .key = {.file = tls->keyfile,
                .engine = tls->engine,
                .engine_kpass_sha1 = tls->engine_kpass_sha1,
                .is_in_engine = tls->keyform != NULL && strcmp(tls->keyform, "engine") == 0,
                .may_ask = true},
        .ciphers = tls->ciphers,
        .alpn = tls->alpn,
        .keylog_file = tls->keylog,
        .is_insecure = tls->is_insecure,
    };
    if (!take_tls_version(link, &config) || !take_psk(link, &config, psk)) {
        return false;
    }
    struct nj_net_error error = {""};
    enum nj_err err = nj_tls_client_new(&config, &link->config.tls, &error);
    nj_wipe(psk, sizeof(psk));
    if (err == NJ_OK) {
        return true;
    }
    if (!link->opts->command->is_compat) {
        nj_link_say(link, "Error: %s.\n", error.text);
        return false;
    }
    if (link->opts->is_debug) {
        printf("Error: %s.\n", error.text);
    }
    if (err == NJ_ENOENT || err == NJ_EACCES) {
        nj_link_say(link, "Error: Problem setting TLS options: File not found.\n");
    } else {
        nj_link_say(link, "Unable to connect (%s).\n", nj_text_original(NJ_ORIGINAL_TLS));
    }
    return false;
}

static void take_session(struct nj_link *link)
{
    const struct nj_opts *opts = link->opts;
    struct nj_client_config *config = &link->config;
    if (opts->id_prefix != NULL) {
        size_t size = strlen(opts->id_prefix) + 24;
        link->prefixed_id = nj_alloc(size);
        (void)snprintf(link->prefixed_id, size, "%s%d", opts->id_prefix, (int)getpid());
    }
    config->client_id = link->prefixed_id != NULL ? link->prefixed_id : opts->id;
    config->is_clean_start = opts->clean_session;
    config->ignores_alias_maximum = opts->command->is_compat;
    config->keep_alive_s = (uint16_t)opts->keepalive;
    config->username = opts->username;
    config->password = nj_bytes_of(opts->password);
    config->max_inflight = opts->max_inflight > 0 ? (uint16_t)opts->max_inflight : 0;
    /* With -C, no more than is wanted is on its way. */
    config->receive_max =
        opts->message_count > 0 && opts->message_count < 20 ? (uint16_t)opts->message_count : 0;
    config->connect_props = link->props[NJ_OPTS_CONNECT];
    if (opts->will.topic != NULL) {
        config->will = (struct nj_client_will){
            .topic = opts->will.topic,
            .payload = nj_bytes_of(opts->will.payload),
            .qos = (uint8_t)opts->will.qos,
            .retain = opts->will.retain,
            .props = link->props[NJ_OPTS_WILL],
        };
    }
}

/* -S: host and port are those that DNS names for the domain. */
static bool take_srv(struct nj_link *link)
{
    const struct nj_opts *opts = link->opts;
    int port = 0;
    enum nj_err err = nj_srv_find(NULL, opts->host, nj_opts_use_tls(opts), link->srv_host, &port);
    if (err != NJ_OK) {
        nj_link_say(link, "Error: DNS names no broker for '%s' (%s).\n", opts->host,
                    nj_err_text(err));
        return false;
    }
    link->config.host = link->srv_host;
    link->config.port = (uint16_t)port;
    return true;
}

bool nj_link_init(struct nj_link *link, const struct nj_opts *opts)
{
    *link = (struct nj_link){.opts = opts};
    if (opts->password != NULL && opts->username == NULL && opts->version != NJ_MQTT_5) {
        nj_link_say(link, opts->command->is_compat
                              ? "Error: Problem setting username and/or password.\n"
                              : "Error: MQTT 3 has no password without a user name; add -u.\n");
        return false;
    }
    link->config = (struct nj_client_config){
        .version = opts->version,
        .host = opts->host,
        .port = (uint16_t)nj_opts_port(opts),
        .unix_path = opts->unix_path,
        .bind_address = opts->bind_address,
        .proxy = {opts->proxy.host, (uint16_t)opts->proxy.port, opts->proxy.username,
                  opts->proxy.password},
        .is_websocket = opts->is_ws,
        .ws_path = opts->ws_path,
    };
    take_all_props(link);
    take_session(link);
    if (opts->use_srv && !take_srv(link)) {
        nj_link_fini(link);
        return false;
    }
    struct nj_tls_client_config unused;
    if (nj_opts_use_tls(opts) ? !take_tls(link) : !take_tls_version(link, &unused)) {
        nj_link_fini(link);
        return false;
    }
    return true;
}

void nj_link_fini(struct nj_link *link)
{
    nj_tls_client_unref(link->config.tls);
    for (size_t i = 0; i < NJ_OPTS_PACKET_COUNT; i++) {
        nj_free((void *)link->props[i].items);
    }
    nj_free(link->prefixed_id);
    *link = (struct nj_link){0};
}

/* What to do about a server certificate that is not accepted. */
static const char *certificate_hint(const struct nj_link *link, const char *text)
{
    const struct nj_opts_tls *tls = &link->opts->tls;
    if (strstr(text, "mismatch") != NULL) {
        return " Connect to the name in the certificate with -h, or do not check it with "
               "--insecure.";
    }
    if (tls->cafile == NULL && tls->capath == NULL) {
        return " Name the CA that signed it with --cafile.";
    }
    return "";
}

/* What to do when nobody listens. */
static const char *place_hint(const struct nj_link *link)
{
    if (link->opts->unix_path != NULL) {
        return " Is a broker running that listens there?";
    }
    return link->opts->port < 0 ? " Is a broker running? -h and -p name another place."
                                : " Is a broker running on that port?";
}

/* Returns the exit status. */
static int say_connect_error(const struct nj_link *link, enum nj_err err, int cause,
                             const char *text)
{
    if (!link->opts->command->is_compat) {
        nj_link_say(link, "Error: %s.%s\n", text,
                    err == NJ_EAUTH     ? certificate_hint(link, text)
                    : err == NJ_ECLOSED ? place_hint(link)
                                        : "");
        return 1;
    }
    switch (err) {
    case NJ_ENOENT:
        nj_link_say(link, "Unable to connect (Lookup error.).\n");
        break;
    case NJ_ETLS:
    case NJ_EAUTH:
        if (link->opts->is_debug) {
            printf("Error: %s.\n", text);
        }
        nj_link_say(link, "Error: %s\n", nj_text_original(NJ_ORIGINAL_TLS));
        return NJ_ORIGINAL_TLS;
    case NJ_EPROTOCOL:
        nj_link_say(link, "Error: %s\n", text);
        break;
    default:
        nj_link_say(link, "Error: %s\n", cause != 0 ? strerror(cause) : text);
        break;
    }
    return 1;
}

void nj_link_say_lost(const struct nj_link *link, const char *text)
{
    bool is_unanswered = strstr(text, "instead of answering") != NULL;
    const struct nj_opts *opts = link->opts;
    const char *hint = !is_unanswered || nj_opts_use_tls(opts) || opts->unix_path ? ""
                       : opts->is_ws ? " Does that port want TLS (--cafile)?"
                                     : " Does that port want TLS (--cafile), or WebSocket (--ws)?";
    nj_link_say(link, "Error: %s.%s\n", text, hint);
}

int nj_link_connect(const struct nj_link *link, struct nj_client *client)
{
    struct nj_net_error error = {""};
    errno = 0;
    enum nj_err err = nj_client_connect(client, &error);
    if (err == NJ_OK) {
        return 0;
    }
    return say_connect_error(link, err, errno, error.text);
}

static bool is_not_authorised(enum nj_mqtt_version version, uint8_t code)
{
    return version == NJ_MQTT_5
               ? code == NJ_RC_NOT_AUTHORIZED || code == NJ_RC_BAD_USERNAME_OR_PASSWORD
               : code == 4 || code == 5;
}

int nj_link_refused(const struct nj_link *link, const struct nj_client_connack *connack)
{
    enum nj_mqtt_version version = link->opts->version;
    const char *text = nj_text_connack(version, connack->code);
    const char *hint = "";
    bool is_wrong_version = version == NJ_MQTT_5
                                ? connack->code == NJ_RC_UNSUPPORTED_PROTOCOL_VERSION
                                : connack->code == 1 && !link->opts->command->is_compat;
    if (is_wrong_version) {
        hint = version == NJ_MQTT_5
                   ? ". Try connecting to an MQTT v5 broker, or use MQTT v3.x mode."
                   : " Try another version with -V.";
    }
    if (is_not_authorised(version, connack->code) && !link->opts->command->is_compat) {
        hint = link->opts->username == NULL
                   ? " Give a user name and a password: -u and -P, or a file with -o."
                   : " Are the user name and the password right?";
    }
    struct nj_bytes reason = nj_text_beyond(connack->code, connack->reason);
    if (reason.len > 0 && !link->opts->command->is_compat) {
        nj_link_say(link, "Connection error: %s (%.*s)%s%s\n", text, (int)reason.len,
                    (const char *)reason.ptr, hint[0] == ' ' ? "." : "", hint);
    } else if (version == NJ_MQTT_5 && hint[0] == ' ') {
        nj_link_say(link, "Connection error: %s.%s\n", text, hint);
    } else {
        nj_link_say(link, "Connection error: %s%s\n", text, hint);
    }
    return connack->code;
}
