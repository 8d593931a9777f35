/* The life of struct nj_opts, its small helpers, and what strings are acceptable. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "opts.h"

void nj_opts_init(struct nj_opts *opts, const struct nj_command *command, enum nj_tool tool,
                  FILE *err)
{
    *opts = (struct nj_opts){
        .command = command,
        .tool = tool,
        .err = err,
        .port = -1,
        .version = tool == NJ_TOOL_RR ? NJ_MQTT_5 : NJ_MQTT_311,
        .keepalive = 60,
        .clean_session = true,
        .session_expiry = -1,
        .max_inflight = -1,
        .repeat_count = 1,
        .random_filter = 10000,
    };
}

static void free_secret(char *text)
{
    if (text != NULL) {
        nj_free_secret(text, strlen(text) + 1);
    }
}

static void free_list(struct nj_opts_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        nj_free(list->items[i]);
    }
    nj_free(list->items);
}

static void free_tls(struct nj_opts_tls *tls)
{
    nj_free(tls->cafile);
    nj_free(tls->capath);
    nj_free(tls->certfile);
    nj_free(tls->keyfile);
    nj_free(tls->keyform);
    nj_free(tls->ciphers);
    nj_free(tls->version);
    nj_free(tls->alpn);
    nj_free(tls->engine);
    nj_free(tls->keylog);
    nj_free(tls->psk_identity);
    free_secret(tls->engine_kpass_sha1);
    free_secret(tls->psk);
}

static void free_props(struct nj_opts_props *props)
{
    for (size_t i = 0; i < props->count; i++) {
        nj_free(props->items[i].name);
        free_secret(props->items[i].text); /* may be authentication data */
    }
    nj_free(props->items);
}

void nj_opts_fini(struct nj_opts *opts)
{
    nj_free(opts->host);
    nj_free(opts->unix_path);
    nj_free(opts->bind_address);
    nj_free(opts->ws_path);
    nj_free(opts->proxy.host);
    nj_free(opts->proxy.username);
    free_secret(opts->proxy.password);
    free_tls(&opts->tls);
    nj_free(opts->id);
    nj_free(opts->id_prefix);
    nj_free(opts->username);
    free_secret(opts->password);
    nj_free(opts->will.topic);
    nj_free(opts->will.payload);
    for (size_t i = 0; i < NJ_OPTS_PACKET_COUNT; i++) {
        free_props(&opts->props[i]);
    }
    free_list(&opts->topics);
    free_list(&opts->filters_out);
    free_list(&opts->unsubscribes);
    nj_free(opts->message);
    nj_free(opts->file);
    nj_free(opts->format);
    nj_free(opts->response_topic);
    *opts = (struct nj_opts){0};
}

void nj_opts_set(char **slot, const char *value)
{
    nj_free(*slot);
    *slot = nj_strdup(value);
}

void nj_opts_set_secret(char **slot, const char *value)
{
    free_secret(*slot);
    *slot = nj_strdup(value);
}

void nj_opts_list_add(struct nj_opts_list *list, const char *value)
{
    list->items = nj_realloc(list->items, (list->count + 1) * sizeof(list->items[0]));
    list->items[list->count] = nj_strdup(value);
    list->count++;
}

/* The length of a dash at the head of `text`: ASCII, or one that word processors put in its
 * place. */
static size_t dash_len(const char *text, bool *is_typographic)
{
    static const char *const DASHES[] = {"‐", "‑", "‒", "–", "—", "―", "−"};
    if (text[0] == '-') {
        return 1;
    }
    for (size_t i = 0; i < sizeof(DASHES) / sizeof(DASHES[0]); i++) {
        size_t len = strlen(DASHES[i]);
        if (strncmp(text, DASHES[i], len) == 0) {
            *is_typographic = true;
            return len;
        }
    }
    return 0;
}

const char *nj_opts_plain_dashes(const char *arg, char *out, size_t out_size)
{
    bool is_typographic = false;
    const char *rest = arg;
    for (size_t len = dash_len(rest, &is_typographic); len > 0;
         len = dash_len(rest, &is_typographic)) {
        rest += len;
    }
    if (!is_typographic || rest[0] == '\0') {
        return arg;
    }
    int need = snprintf(out, out_size, "%s%s", rest[1] == '\0' ? "-" : "--", rest);
    return need > 0 && (size_t)need < out_size ? out : arg;
}

bool nj_opts_is_utf8(const char *text)
{
    return nj_mqtt_utf8_is_valid(nj_bytes_of(text));
}

bool nj_opts_is_topic(const char *text)
{
    struct nj_bytes topic = nj_bytes_of(text);
    return topic.len <= UINT16_MAX && nj_mqtt_topic_is_valid(topic, 0);
}

bool nj_opts_is_filter(const char *text)
{
    struct nj_bytes filter = nj_bytes_of(text);
    return filter.len <= UINT16_MAX && nj_mqtt_subscription_is_valid(filter, 0);
}
