/* `nj ctl`: one question to a broker and its answer. See ctl.h.
 *
 *     CONNECT → SUBSCRIBE …/response → PUBLISH the request → the answer with our correlation data
 *
 * With MQTT 5 the response topic is asked for as a property, too: nightjar then answers privately,
 * and whoever may not subscribe gets an answer all the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "ctl.h"
#include "prompt.h"
#include "texts.h"

int nj_ctl_status(const struct nj_ctl *ctl, int status)
{
    return ctl->compat_exit ? 0 : status;
}

/* ---- callbacks ---- */

static void give_up(struct nj_ctl *ctl, int status, const char *trouble)
{
    ctl->status = status;
    ctl->trouble = trouble;
}

static void on_connected(struct nj_client *client, const struct nj_client_connack *connack,
                         void *arg)
{
    struct nj_ctl *ctl = arg;
    (void)client;
    if (connack->code != 0) {
        give_up(ctl, nj_ctl_status(ctl, nj_link_refused(&ctl->link, connack)), "");
        return;
    }
    ctl->is_connected = true;
}

static void on_subscribed(struct nj_client *client, uint16_t packet_id, const uint8_t *codes,
                          size_t count, void *arg)
{
    struct nj_ctl *ctl = arg;
    (void)client;
    (void)packet_id;
    ctl->is_subscribed = true;
    /* With MQTT 5 the answer may come privately. */
    if (count && codes[0] >= 0x80 && ctl->opts.version != NJ_MQTT_5) {
        give_up(ctl, nj_ctl_status(ctl, NJ_CTL_FAILED),
                "Error: the broker does not allow to subscribe the response topic");
    }
}

static void on_published(struct nj_client *client, uint16_t packet_id, uint8_t code,
                         struct nj_bytes reason, void *arg)
{
    static char text[128];
    struct nj_ctl *ctl = arg;
    (void)client;
    (void)packet_id;
    (void)reason;
    if (code >= 0x80) {
        (void)snprintf(text, sizeof(text), "Error: %s", nj_text_reason(code));
        give_up(ctl, nj_ctl_status(ctl, code), text);
    }
}

static bool is_ours(const char *correlation, const json_t *response)
{
    const char *given = json_string_value(json_object_get(response, "correlationData"));
    return given && strcmp(given, correlation) == 0;
}

static bool is_private(const char *correlation, const struct nj_client_message *message)
{
    const struct nj_client_prop *prop = nj_client_message_prop(message, NJ_CLIENT_CORRELATION_DATA);
    return prop && nj_bytes_equal(prop->text, nj_bytes_of(correlation));
}

/* Answers to others may come on the same topic: ours bears our mark. An answer to what could not be
 * read at all bears it in the MQTT property only. */
json_t *nj_ctl_find_answer(const char *correlation, const struct nj_client_message *message)
{
    json_t *reply = json_loadb((const char *)message->payload.ptr, message->payload.len, 0, NULL);
    json_t *responses = json_object_get(reply, "responses");
    json_t *answer = NULL;
    size_t i;
    json_t *response;
    json_array_foreach(responses, i, response)
    {
        if (!answer && (is_ours(correlation, response) || is_private(correlation, message))) {
            answer = json_incref(response);
        }
    }
    if (!answer && json_object_get(reply, "error")) {
        answer = json_incref(reply); /* there is no such endpoint */
    }
    json_decref(reply);
    return answer;
}

static void on_message(struct nj_client *client, const struct nj_client_message *message, void *arg)
{
    struct nj_ctl *ctl = arg;
    (void)client;
    if (!ctl->answer) {
        ctl->answer = nj_ctl_find_answer(ctl->correlation, message);
    }
}

static void on_trace(struct nj_client *client, const char *line, void *arg)
{
    const struct nj_ctl *ctl = arg;
    (void)client;
    nj_link_trace(&ctl->link, line);
}

/* ---- the connection ---- */

static void warn_of_clear_text(const struct nj_ctl *ctl)
{
    const struct nj_opts *opts = &ctl->opts;
    const char *host = opts->host;
    bool is_local =
        strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
    if (nj_opts_use_tls(opts) || opts->unix_path || (is_local && !ctl->command->is_compat)) {
        return;
    }
    nj_link_say(&ctl->link,
                "Warning: You are running %s without encryption.\nThis means all of the "
                "configuration changes you are making are visible on the network, including "
                "passwords.\n\n",
                ctl->command->name);
}

static bool ask_for_password(struct nj_ctl *ctl)
{
    struct nj_buf typed;
    char prompt[512];
    nj_buf_init(&typed);
    (void)snprintf(prompt, sizeof(prompt), "Password for %s: ", ctl->opts.username);
    bool is_good = nj_prompt_password(prompt, stdout, &typed);
    if (is_good) {
        char *text = nj_bytes_dup(nj_buf_bytes(&typed));
        nj_opts_set_secret(&ctl->opts.password, text);
        nj_free_secret(text, typed.len + 1);
    }
    if (typed.data) {
        nj_wipe(typed.data, typed.cap);
    }
    nj_buf_fini(&typed);
    return is_good;
}

static bool is_connected(const struct nj_ctl *ctl)
{
    return ctl->is_connected;
}

static bool is_subscribed(const struct nj_ctl *ctl)
{
    return ctl->is_subscribed;
}

static bool is_answered(const struct nj_ctl *ctl)
{
    return ctl->answer != NULL;
}

/* Turns the loop until `done` holds, something goes wrong, or it takes too long. */
static bool wait_for(struct nj_ctl *ctl, bool (*done)(const struct nj_ctl *ctl))
{
    uint64_t until_ms = nj_clock_mono_ms() + NJ_CTL_TIMEOUT_MS;
    while (!done(ctl) && !ctl->trouble) {
        uint64_t now_ms = nj_clock_mono_ms();
        if (now_ms >= until_ms) {
            give_up(ctl, nj_ctl_status(ctl, NJ_CTL_TIMEOUT),
                    ctl->compat_exit ? "" : "Error: Timed out: no answer from the broker");
            break;
        }
        enum nj_err err = nj_client_loop(ctl->client, (int)(until_ms - now_ms));
        if (err != NJ_OK && !ctl->trouble) {
            give_up(ctl, err == NJ_EAUTH ? ctl->status : NJ_CTL_FAILED,
                    err == NJ_EAUTH ? "" : "Error: The connection was lost");
        }
    }
    return done(ctl) && !ctl->trouble;
}

static int say_trouble(struct nj_ctl *ctl)
{
    if (ctl->trouble && ctl->trouble[0]) {
        nj_link_say(&ctl->link, "%s.\n", ctl->trouble);
    }
    int status = ctl->status;
    nj_ctl_disconnect(ctl);
    return status;
}

static int connect_link(struct nj_ctl *ctl)
{
    static const struct nj_client_callbacks callbacks = {
        .connected = on_connected,
        .subscribed = on_subscribed,
        .published = on_published,
        .message = on_message,
    };
    static const struct nj_client_callbacks traced = {
        .connected = on_connected,
        .subscribed = on_subscribed,
        .published = on_published,
        .message = on_message,
        .trace = on_trace,
    };
    if (!nj_link_init(&ctl->link, &ctl->opts)) {
        return NJ_CTL_FAILED;
    }
    ctl->is_link_made = true;
    if (nj_client_new(&ctl->link.config, ctl->opts.is_debug ? &traced : &callbacks, ctl,
                      &ctl->client) != NJ_OK) {
        return NJ_CTL_FAILED;
    }
    int status = nj_link_connect(&ctl->link, ctl->client);
    if (status != 0 && ctl->command->is_compat && status == 1) {
        status = NJ_ORIGINAL_ERRNO;
    }
    return status;
}

static int connect_broker(struct nj_ctl *ctl)
{
    warn_of_clear_text(ctl);
    if (ctl->opts.username && !ctl->opts.password && !ask_for_password(ctl)) {
        return NJ_CTL_FAILED;
    }
    int status = connect_link(ctl);
    if (status != 0) {
        nj_ctl_disconnect(ctl);
        return status;
    }
    return wait_for(ctl, is_connected) ? 0 : say_trouble(ctl);
}

void nj_ctl_disconnect(struct nj_ctl *ctl)
{
    if (ctl->client && ctl->is_connected) {
        nj_client_disconnect(ctl->client, 0, NULL);
    }
    nj_client_free(ctl->client);
    if (ctl->is_link_made) {
        nj_link_fini(&ctl->link);
        ctl->link.opts = &ctl->opts; /* errors are still said */
    }
    json_decref(ctl->answer);
    ctl->client = NULL;
    ctl->answer = NULL;
    ctl->trouble = NULL;
    ctl->is_link_made = ctl->is_connected = ctl->is_subscribed = false;
    ctl->subscribed[0] = '\0';
}

/* ---- one question ---- */

static int subscribe(struct nj_ctl *ctl)
{
    uint16_t packet_id = 0;
    const struct nj_client_filter filter = {nj_bytes_of(ctl->topic), 1};
    const struct nj_client_props none = {0};
    if (strcmp(ctl->subscribed, ctl->topic) == 0) {
        return 0;
    }
    ctl->is_subscribed = false;
    if (nj_client_subscribe(ctl->client, &filter, 1, &none, &packet_id) != NJ_OK) {
        return NJ_CTL_FAILED;
    }
    if (!wait_for(ctl, is_subscribed)) {
        return say_trouble(ctl);
    }
    (void)snprintf(ctl->subscribed, sizeof(ctl->subscribed), "%s", ctl->topic);
    return 0;
}

static enum nj_err publish(struct nj_ctl *ctl, const char *api, const char *payload)
{
    char topic[256];
    uint16_t packet_id = 0;
    const struct nj_client_prop props[] = {
        {.id = NJ_CLIENT_RESPONSE_TOPIC, .text = nj_bytes_of(ctl->topic)},
        {.id = NJ_CLIENT_CORRELATION_DATA, .text = nj_bytes_of(ctl->correlation)},
    };
    (void)snprintf(topic, sizeof(topic), NJ_CTL_CONTROL_PREFIX "%s", api);
    const struct nj_client_publish message = {
        .topic = nj_bytes_of(topic),
        .payload = nj_bytes_of(payload),
        .qos = (uint8_t)ctl->opts.qos,
        .props = {props, ctl->opts.version == NJ_MQTT_5 ? 2 : 0},
    };
    return nj_client_publish(ctl->client, &message, &packet_id);
}

static char *request_text(struct nj_ctl *ctl, json_t *command)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[16];
    nj_rand_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        ctl->correlation[2 * i] = digits[random[i] >> 4];
        ctl->correlation[2 * i + 1] = digits[random[i] & 15];
    }
    ctl->correlation[32] = '\0';
    (void)json_object_set_new(command, "correlationData", json_string(ctl->correlation));
    json_t *request = json_pack("{s:[o]}", "commands", command);
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    return text;
}

static int ask_connected(struct nj_ctl *ctl, const char *api, const char *payload)
{
    int status = subscribe(ctl);
    if (status != 0 || !ctl->client) {
        return status;
    }
    enum nj_err err = publish(ctl, api, payload);
    if (err != NJ_OK) {
        nj_link_say(&ctl->link, "Error: %s.\n", nj_err_text(err));
        nj_ctl_disconnect(ctl);
        return NJ_CTL_FAILED;
    }
    return wait_for(ctl, is_answered) ? 0 : say_trouble(ctl);
}

int nj_ctl_ask(struct nj_ctl *ctl, const char *api, json_t *command, json_t **answer)
{
    int status = 0;
    (void)snprintf(ctl->topic, sizeof(ctl->topic), NJ_CTL_CONTROL_PREFIX "%s/response", api);
    char *payload = request_text(ctl, command);
    if (!payload) {
        return NJ_CTL_FAILED;
    }
    if (!ctl->client) {
        status = connect_broker(ctl);
    }
    if (status == 0 && ctl->client) {
        status = ask_connected(ctl, api, payload);
    }
    nj_wipe(payload, strlen(payload));
    free(payload);
    *answer = ctl->answer; /* NULL: it was said why */
    ctl->answer = NULL;
    return status;
}

int nj_ctl_run(struct nj_ctl *ctl, const char *api, json_t *command, nj_ctl_print_fn print)
{
    char name[128];
    json_t *answer = NULL;
    (void)snprintf(name, sizeof(name), "%s",
                   json_string_value(json_object_get(command, "command")));
    int status = nj_ctl_ask(ctl, api, command, &answer);
    if (!answer) {
        return status;
    }
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (ctl->is_json) {
        (void)json_object_del(answer, "correlationData");
        nj_ctl_print_json(answer);
    } else if (error) {
        nj_ctl_print_error(name, error);
        if (!ctl->command->is_compat && strcmp(error, "endpoint not available") == 0) {
            fprintf(stderr, "That API is not turned on in this broker%s.\n",
                    strcmp(api, "dynamic-security/v1") == 0
                        ? " (`plugin mosquitto_dynamic_security.so` does that)"
                        : "");
        }
    } else if (print) {
        print(json_object_get(answer, "data"));
    }
    json_decref(answer);
    return error ? nj_ctl_status(ctl, NJ_CTL_FAILED) : status;
}
