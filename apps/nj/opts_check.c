/* What has to hold between options, and what follows from them. */
#include <string.h>

#include "opts.h"

bool nj_opts_use_tls(const struct nj_opts *opts)
{
    const struct nj_opts_tls *tls = &opts->tls;
    if (tls->no_tls || opts->unix_path != NULL) {
        return false;
    }
    return tls->cafile != NULL || tls->capath != NULL || tls->use_os_certs || tls->psk != NULL ||
           opts->port == 8883;
}

int nj_opts_port(const struct nj_opts *opts)
{
    if (opts->port >= 0) {
        return opts->port;
    }
    return nj_opts_use_tls(opts) ? 8883 : 1883;
}

static const char *contradiction_in_tls(const struct nj_opts_tls *tls)
{
    if ((tls->certfile == NULL) != (tls->keyfile == NULL)) {
        return "Error: Both certfile and keyfile must be provided if one of them is set.\n";
    }
    if (tls->keyform != NULL && tls->keyfile == NULL) {
        return "Error: If keyform is set, keyfile must be also specified.\n";
    }
    if (tls->engine_kpass_sha1 != NULL && (tls->keyform == NULL || tls->engine == NULL)) {
        return "Error: when using tls-engine-kpass-sha1, both tls-engine and keyform must also be "
               "provided.\n";
    }
    if (tls->psk != NULL && (tls->cafile != NULL || tls->capath != NULL)) {
        return "Error: Only one of --psk or --cafile/--capath may be used at once.\n";
    }
    if (tls->psk != NULL && tls->psk_identity == NULL) {
        return "Error: --psk-identity required if --psk used.\n";
    }
    bool is_pem = tls->keyform == NULL || strcmp(tls->keyform, "pem") == 0;
    if (!is_pem && strcmp(tls->keyform, "engine") != 0) {
        return "Error: Problem setting key form, it must be one of 'pem' or 'engine'.\n";
    }
    if (!is_pem && tls->engine == NULL) {
        return "Error: --keyform engine needs --tls-engine.\n";
    }
    return NULL;
}

static const char *contradiction_in_session(struct nj_opts *opts)
{
    bool has_id = opts->id != NULL && opts->id_prefix == NULL;
    if (opts->version != NJ_MQTT_5) {
        if (!opts->clean_session && !has_id) {
            return "Error: You must provide a client id if you are using the -c option.\n";
        }
        return NULL;
    }
    if (!opts->clean_session && opts->session_expiry < 0) {
        opts->session_expiry = UINT32_MAX;
    }
    if (opts->session_expiry == (int64_t)UINT32_MAX && !has_id) {
        return "Error: You must provide a client id if you are using an infinite session expiry "
               "interval.\n";
    }
    return NULL;
}

static const char *contradiction(struct nj_opts *opts)
{
    if (opts->will.payload != NULL && opts->will.topic == NULL) {
        return "Error: Will payload given, but no will topic given.\n";
    }
    if (opts->will.retain && opts->will.topic == NULL) {
        return "Error: Will retain given, but no will topic given.\n";
    }
    if (opts->id != NULL && !nj_opts_is_utf8(opts->id)) {
        return "Error: Malformed UTF-8 in the client id.\n";
    }
    if (opts->username != NULL && !nj_opts_is_utf8(opts->username)) {
        return "Error: Malformed UTF-8 in the user name.\n";
    }
    const char *text = contradiction_in_tls(&opts->tls);
    if (text == NULL) {
        text = contradiction_in_session(opts);
    }
    if (text == NULL && opts->tool == NJ_TOOL_SUB && opts->topics.count == 0 &&
        opts->unsubscribes.count == 0) {
        text = "Error: You must specify a topic to subscribe to.\n";
    }
    if (text == NULL && opts->use_srv && opts->unix_path != NULL) {
        text = "Error: -S asks DNS for a host; it does not go with --unix.\n";
    }
    return text;
}

/* MQTT5 3.1.2.11, 3.1.3.2, 3.3.2.3: values that the standard forbids although their type allows
 * them. */
static bool is_value_allowed(const struct nj_opts_prop *prop)
{
    switch (prop->id) {
    case 0x01: /* payload format indicator */
    case 0x17: /* request problem information */
    case 0x19: /* request response information */
        return prop->number <= 1;
    case 0x0B: /* subscription identifier */
    case 0x21: /* receive maximum */
    case 0x23: /* topic alias */
    case 0x27: /* maximum packet size */
        return prop->number != 0;
    case 0x08: /* response topic */
        return nj_opts_is_topic(prop->text);
    default:
        return true;
    }
}

static const char *fault_in_props(const struct nj_opts_props *props)
{
    enum {
        USER_PROPERTY = 0x26
    };
    bool seen[256] = {false};
    for (size_t i = 0; i < props->count; i++) {
        const struct nj_opts_prop *prop = &props->items[i];
        if (prop->id != USER_PROPERTY && seen[prop->id]) {
            return "Duplicate property in property list";
        }
        seen[prop->id] = true;
        if (!is_value_allowed(prop)) {
            return "A network protocol error occurred when communicating with the broker.";
        }
    }
    return NULL;
}

enum nj_opts_result nj_opts_check(struct nj_opts *opts)
{
    static const char *const NAMES[NJ_OPTS_PACKET_COUNT] = {
        "CONNECT", "PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "Will"};
    const char *text = contradiction(opts);
    if (text != NULL) {
        (void)fputs(text, opts->err);
        return NJ_OPTS_BAD;
    }
    if (opts->host == NULL) {
        nj_opts_set(&opts->host, "localhost");
    }
    for (size_t i = 0; i < NJ_OPTS_PACKET_COUNT; i++) {
        text = fault_in_props(&opts->props[i]);
        if (text != NULL) {
            fprintf(opts->err, "Error in %s properties: %s\n", NAMES[i], text);
            return NJ_OPTS_BAD;
        }
    }
    return NJ_OPTS_OK;
}
