/* `nj rr` / mosquitto_rr: publishes a request and waits for one response.
 *
 *     CONNECT → SUBSCRIBE to the response topic → PUBLISH the request → the first message → end */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "link.h"
#include "payload.h"
#include "sub_output.h"
#include "texts.h"
#include "usage.h"

struct run {
    const struct nj_opts *opts;
    struct nj_link link;
    struct nj_client *client;
    struct nj_sub_output output;
    struct nj_buf payload;
    struct nj_client_props props; /* of the request */
    int status;
    uint64_t until_ms; /* -W; 0 = no end */
    uint64_t asked_ns; /* the request was handed to the connection */
    uint8_t end_code;  /* of our DISCONNECT */
    bool is_over;
};

static bool is_compat(const struct run *run)
{
    return run->opts->command->is_compat;
}

static void end(struct run *run, int status)
{
    run->status = status;
    run->is_over = true;
}

/* ---- callbacks ---- */

static void on_connected(struct nj_client *client, const struct nj_client_connack *connack,
                         void *arg)
{
    struct run *run = arg;
    const struct nj_opts *opts = run->opts;
    if (connack->code != 0) {
        end(run, nj_link_refused(&run->link, connack));
        return;
    }
    struct nj_client_filter filter = {nj_bytes_of(opts->response_topic), (uint8_t)opts->qos};
    if (opts->version == NJ_MQTT_5) {
        filter.options |= NJ_CLIENT_RETAIN_HANDLING(opts->retain_handling);
        filter.options |= opts->retain_as_published ? NJ_CLIENT_RETAIN_AS_PUBLISHED : 0;
    }
    uint16_t packet_id = 0;
    enum nj_err err =
        nj_client_subscribe(client, &filter, 1, &run->link.props[NJ_OPTS_SUBSCRIBE], &packet_id);
    if (err != NJ_OK) {
        nj_link_say(&run->link, "Error: cannot subscribe: %s.\n", nj_err_text(err));
        end(run, 1);
    }
}

static void ask(struct run *run)
{
    const struct nj_opts *opts = run->opts;
    const struct nj_client_publish request = {
        .topic = nj_bytes_of(opts->topics.items[0]),
        .payload = nj_payload_bytes(opts, &run->payload),
        .qos = (uint8_t)opts->qos,
        .props = run->props,
    };
    uint16_t packet_id = 0;
    run->asked_ns = nj_clock_mono_ns();
    enum nj_err err = nj_client_publish(run->client, &request, &packet_id);
    if (err != NJ_OK) {
        nj_link_say(&run->link, "Error: cannot publish the request: %s.\n", nj_err_text(err));
        end(run, 1);
    }
}

static void on_subscribed(struct nj_client *client, uint16_t packet_id, const uint8_t *codes,
                          size_t count, void *arg)
{
    struct run *run = arg;
    (void)client;
    (void)packet_id;
    if (count == 0 || codes[0] < 0x80) {
        ask(run);
    } else if (is_compat(run)) {
        nj_link_say(&run->link, "%s\n", nj_text_reason(codes[0]));
        end(run, 0); /* as the original */
    } else {
        nj_link_say(&run->link, "Error: subscription to '%s' refused: %s.\n",
                    run->opts->response_topic,
                    run->opts->version == NJ_MQTT_5 ? nj_text_reason(codes[0]) : "not allowed");
        end(run, codes[0]);
    }
}

static void on_published(struct nj_client *client, uint16_t packet_id, uint8_t code,
                         struct nj_bytes reason, void *arg)
{
    struct run *run = arg;
    (void)client;
    (void)packet_id;
    if (is_compat(run) || run->is_over) {
        return; /* the original waits on */
    }
    if (code >= 0x80) {
        reason = nj_text_beyond(code, reason);
        nj_link_say(&run->link, "Error: the request was refused: %s%s%.*s.\n", nj_text_reason(code),
                    reason.len > 0 ? ": " : "", (int)reason.len,
                    reason.len > 0 ? (const char *)reason.ptr : "");
        end(run, code);
    } else if (code == NJ_RC_NO_MATCHING_SUBSCRIBERS) {
        nj_link_say(&run->link, "Nobody is subscribed to '%s'; still waiting.\n",
                    run->opts->topics.items[0]);
    }
}

static void say_latency(const struct run *run, uint64_t now_ns)
{
    fprintf(is_compat(run) ? stdout : stderr, "Latency: %.3f ms\n",
            (double)(now_ns - run->asked_ns) / 1e6);
}

static void on_message(struct nj_client *client, const struct nj_client_message *message, void *arg)
{
    struct run *run = arg;
    (void)client;
    uint64_t now_ns = nj_clock_mono_ns();
    /* What is retained was there before the request. */
    if (run->is_over || (message->retain && run->opts->no_retain)) {
        return;
    }
    if (nj_sub_output_message(&run->output, message) != NJ_OK) {
        nj_link_say(&run->link, "Error: Out of memory.\n");
        end(run, 1);
        return;
    }
    if (run->opts->is_latency && run->asked_ns != 0) {
        say_latency(run, now_ns);
    }
    end(run, 0);
}

static void on_kicked(struct nj_client *client, uint8_t code, struct nj_bytes reason, void *arg)
{
    struct run *run = arg;
    (void)client;
    if (is_compat(run) || run->is_over) {
        return;
    }
    reason = nj_text_beyond(code, reason);
    nj_link_say(&run->link, "Error: the broker ended the connection: %s%s%.*s.\n",
                nj_text_reason(code), reason.len > 0 ? ": " : "", (int)reason.len,
                reason.len > 0 ? (const char *)reason.ptr : "");
    end(run, code != 0 ? code : 1);
}

static void on_trace(struct nj_client *client, const char *line, void *arg)
{
    const struct run *run = arg;
    (void)client;
    nj_link_trace(&run->link, line);
}

/* ---- the run ---- */

static int next_timeout(const struct run *run)
{
    if (run->until_ms == 0) {
        return -1;
    }
    uint64_t now_ms = nj_clock_mono_ms();
    uint64_t wait_ms = run->until_ms > now_ms ? run->until_ms - now_ms : 0;
    return wait_ms < 60000 ? (int)wait_ms : 60000;
}

static void check_time(struct run *run)
{
    if (run->until_ms != 0 && !run->is_over && nj_clock_mono_ms() >= run->until_ms) {
        nj_link_say(&run->link, "Timed out\n");
        run->end_code = is_compat(run) ? NJ_RC_DISCONNECT_WITH_WILL : 0;
        end(run, NJ_ORIGINAL_TIMEOUT);
    }
}

/* The connection ended before the response came. */
static void say_lost(struct run *run, enum nj_err err)
{
    if (is_compat(run)) {
        nj_link_say(&run->link, "Error: %s\n", nj_text_original(nj_original_error(err)));
        end(run, (int)nj_original_error(err));
    } else {
        nj_link_say_lost(&run->link, nj_client_error(run->client));
        end(run, 1);
    }
}

static void wait_for_response(struct run *run)
{
    run->until_ms =
        run->opts->timeout_s > 0 ? nj_clock_mono_ms() + (uint64_t)run->opts->timeout_s * 1000 : 0;
    while (!run->is_over) {
        enum nj_err err = nj_client_loop(run->client, next_timeout(run));
        if (err != NJ_OK && !run->is_over) {
            say_lost(run, err);
        }
        check_time(run);
    }
    nj_client_disconnect(run->client, run->end_code, &run->link.props[NJ_OPTS_DISCONNECT]);
    if ((fflush(stdout) != 0 || ferror(stdout)) && !is_compat(run)) {
        run->status = 1;
    }
}

static int connect_and_ask(struct run *run)
{
    struct nj_client_callbacks callbacks = {
        .connected = on_connected,
        .message = on_message,
        .published = on_published,
        .subscribed = on_subscribed,
        .kicked = on_kicked,
    };
    if (run->opts->is_debug) {
        callbacks.trace = on_trace;
    }
    if (!nj_payload_load(&run->link, &run->payload)) {
        return 1;
    }
    if (nj_client_new(&run->link.config, &callbacks, run, &run->client) != NJ_OK) {
        nj_link_say(&run->link, "Error: Out of memory.\n");
        return 1;
    }
    int status = nj_link_connect(&run->link, run->client);
    if (status == 0) {
        wait_for_response(run);
        status = run->status;
    }
    nj_client_free(run->client);
    return status;
}

/* The properties of -D, and for MQTT 5 where the response is awaited. */
static bool take_props(struct run *run)
{
    const struct nj_opts *opts = run->opts;
    const struct nj_client_props *given = &run->link.props[NJ_OPTS_PUBLISH];
    struct nj_client_prop *items = nj_zalloc((given->count + 1) * sizeof(*items));
    run->props = (struct nj_client_props){items, given->count};
    for (size_t i = 0; i < given->count; i++) {
        items[i] = given->items[i];
        if (items[i].id == NJ_CLIENT_RESPONSE_TOPIC) {
            nj_link_say(&run->link, "Error in PUBLISH properties: Duplicate response topic.\n");
            return false;
        }
    }
    if (opts->version == NJ_MQTT_5) {
        items[run->props.count++] = (struct nj_client_prop){
            .id = NJ_CLIENT_RESPONSE_TOPIC, .text = nj_bytes_of(opts->response_topic)};
    }
    return true;
}

const struct nj_manual NJ_MANUAL_RR = {
    .word = "rr",
    .program = "mosquitto_rr",
    .summary = "publish a request to an MQTT broker, and wait for the response",
    .synopsis = {"[options] -t TOPIC -e TOPIC {-m TEXT | -f FILE | -s | -n}",
                 "[options] -L URL -e TOPIC {-m TEXT | -f FILE | -s | -n}"},
    .description =
        "Subscribes to the response topic, publishes the request, prints the first message that "
        "comes back, and ends.\n\n"
        "MQTT 5 is the default: the request then says where the response is awaited. With MQTT 3 "
        "the other side has to know it.",
    .tool = NJ_TOOL_RR,
    .option = nj_opts_text,
    .statuses = {{"0", "the response was printed"},
                 {"1", "an error on this side, or no connection"},
                 {"27", "the time of -W is over"},
                 {"128-255", "the broker refused: the reason code of MQTT 5"},
                 {"1-5", "the broker refused an MQTT 3 connection: its return code"}},
    .files = {{"$XDG_CONFIG_HOME/nightjar/rr, $HOME/.config/nightjar/rr",
               "defaults: one option on each line, its value behind it, no quotes"}},
    .examples = {{"nj rr -t lamp/7/ask -e lamp/7/answer -m status -W 5",
                  "ask, and wait for at most five seconds"}},
    .see_also = "nj(1), nj-pub(1), nj-sub(1), nightjar(8)",
};

int nj_cmd_rr(const struct nj_command *command, int argc, char **argv)
{
    struct nj_opts opts;
    nj_opts_init(&opts, command, NJ_TOOL_RR, stderr);
    enum nj_opts_result result = nj_opts_load(&opts, argc, argv);
    int status = 1;
    if (result == NJ_OPTS_OK &&
        (opts.topics.count == 0 || opts.mode == NJ_PUB_NONE || opts.response_topic == NULL)) {
        fprintf(stderr, command->is_compat
                            ? "Error: All of topic, message, and response topic must be supplied.\n"
                            : "Error: a topic (-t), a message (-m, -f, -s or -n) and the topic of "
                              "the response (-e) are needed: nj rr -t TOPIC -e TOPIC -m TEXT\n");
        result = NJ_OPTS_BAD;
    }
    if (result != NJ_OPTS_OK) {
        status = nj_usage_answer(command, &NJ_MANUAL_RR, result);
    } else {
        struct run run = {.opts = &opts};
        opts.message_count = 1; /* no more than that is to be on its way to us */
        nj_buf_init(&run.payload);
        if (nj_link_init(&run.link, &opts)) {
            nj_sub_output_init(&run.output, &opts);
            status = take_props(&run) ? connect_and_ask(&run) : 1;
            nj_sub_output_fini(&run.output);
            nj_free((void *)run.props.items);
            nj_link_fini(&run.link);
        }
        nj_buf_fini(&run.payload);
    }
    nj_opts_fini(&opts);
    return status;
}
