/* `nj pub` / mosquitto_pub: one message (perhaps repeated), or one per line of standard input. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "link.h"
#include "payload.h"
#include "texts.h"
#include "usage.h"

/* Standard input is left alone while this much is under way. */
#define WAITING_MESSAGES_MAX 1000
#define WAITING_BYTES_MAX    (1u << 20)
#define INPUT_BYTES          65536

struct run {
    const struct nj_opts *opts;
    struct nj_link link;
    struct nj_client *client;
    struct nj_buf payload; /* of -f and -s; with -l, what has been read and not sent */
    int status;            /* exit status */
    int sent;
    int done;
    uint64_t next_ms; /* when the next repetition is due; 0 = none */
    bool is_over;
    bool is_alias_known; /* -D publish topic-alias: the topic went out once */

    struct nj_loop_source input;
    bool is_input_file; /* cannot be waited for, is always ready */
    bool is_input_on;
    bool is_eof;
};

static void say(const struct run *run, const char *text)
{
    nj_link_say(&run->link, "%s", text);
}

/* ---- publishing ---- */

static void end(struct run *run)
{
    run->is_over = true;
}

/* An error on our side. The original then ends with 0. */
static void say_publish_error(struct run *run, enum nj_err err)
{
    static const struct {
        enum nj_err err;
        const char *text;
    } TEXTS[] = {
        {NJ_EINVAL, "Error: Invalid input. Does your topic contain '+' or '#'?\n"},
        {NJ_ENOMEM, "Error: Out of memory when trying to publish message.\n"},
        {NJ_ECLOSED, "Error: Client not connected when trying to publish.\n"},
        {NJ_ETOOBIG, "Error: Message payload is too large.\n"},
        {NJ_ENOTSUP, "Error: Message QoS not supported on broker, try a lower QoS.\n"},
        {NJ_EACCES, "Error: Retained messages not supported on broker.\n"},
        {NJ_EPROTOCOL, "Error: Topic alias not supported on broker, try a lower one.\n"},
    };
    run->status = run->opts->command->is_compat ? run->status : 1;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        if (TEXTS[i].err == err) {
            say(run, TEXTS[i].text);
            return;
        }
    }
    nj_link_say(&run->link, "Error: %s.\n", nj_err_text(err));
}

static bool publish(struct run *run, struct nj_bytes payload)
{
    const struct nj_opts *opts = run->opts;
    const struct nj_client_publish message = {
        .topic = run->is_alias_known ? nj_bytes(NULL, 0) : nj_bytes_of(opts->topics.items[0]),
        .payload = payload,
        .qos = (uint8_t)opts->qos,
        .retain = opts->retain,
        .props = run->link.props[NJ_OPTS_PUBLISH],
    };
    uint16_t packet_id = 0;
    enum nj_err err = nj_client_publish(run->client, &message, &packet_id);
    if (err != NJ_OK) {
        say_publish_error(run, err);
        end(run);
        return false;
    }
    run->sent++;
    for (size_t i = 0; i < message.props.count; i++) {
        run->is_alias_known =
            run->is_alias_known || message.props.items[i].id == NJ_CLIENT_TOPIC_ALIAS;
    }
    return true;
}

static bool publish_once(struct run *run)
{
    return publish(run, nj_payload_bytes(run->opts, &run->payload));
}

/* ---- lines of standard input ---- */

static bool is_busy(const struct run *run)
{
    return nj_client_unfinished(run->client) >= WAITING_MESSAGES_MAX ||
           nj_client_unsent_bytes(run->client) >= WAITING_BYTES_MAX;
}

/* Sends the whole lines, and at the end of the input what is left. */
static void send_lines(struct run *run)
{
    size_t at = 0;
    while (!run->is_over && !is_busy(run) && at < run->payload.len) {
        const uint8_t *line = run->payload.data + at;
        const uint8_t *newline = memchr(line, '\n', run->payload.len - at);
        if (newline == NULL && !run->is_eof) {
            break;
        }
        size_t len = newline != NULL ? (size_t)(newline - line) : run->payload.len - at;
        if (len > NJ_PAYLOAD_MAX || !publish(run, nj_bytes(line, len))) {
            break;
        }
        at += len + (newline != NULL ? 1 : 0);
    }
    nj_buf_consume(&run->payload, at);
    if (run->payload.len > (size_t)NJ_PAYLOAD_MAX + INPUT_BYTES) {
        say_publish_error(run, NJ_ETOOBIG);
        end(run);
    }
    if (run->is_eof && run->payload.len == 0 && nj_client_unfinished(run->client) == 0) {
        end(run);
    }
}

static void on_input(struct nj_loop_source *source, unsigned ready, void *turn)
{
    struct run *run = NJ_CONTAINER(source, struct run, input);
    (void)ready;
    (void)turn;
    if (nj_buf_reserve(&run->payload, INPUT_BYTES) != NJ_OK) {
        say_publish_error(run, NJ_ENOMEM);
        end(run);
        return;
    }
    ssize_t n = read(STDIN_FILENO, run->payload.data + run->payload.len, INPUT_BYTES);
    if (n > 0) {
        run->payload.len += (size_t)n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        run->is_eof = true;
        nj_client_unwatch(run->client, &run->input);
        run->is_input_on = false;
    }
}

/* Watches standard input exactly while its lines can be sent. */
static void steer_input(struct run *run)
{
    bool wants =
        !run->is_eof && !run->is_over && !is_busy(run) && nj_client_is_connected(run->client);
    if (wants == run->is_input_on || run->is_input_file) {
        run->is_input_on = wants;
        return;
    }
    if (!wants) {
        nj_client_unwatch(run->client, &run->input);
    } else if (nj_client_watch(run->client, &run->input, STDIN_FILENO) != NJ_OK) {
        run->is_input_file = true;
    }
    run->is_input_on = wants;
}

/* ---- callbacks ---- */

static void on_connected(struct nj_client *client, const struct nj_client_connack *connack,
                         void *arg)
{
    struct run *run = arg;
    (void)client;
    if (connack->code != 0) {
        run->status = nj_link_refused(&run->link, connack);
        return;
    }
    if (run->opts->mode != NJ_PUB_STDIN_LINES) {
        (void)publish_once(run);
    }
}

static void on_published(struct nj_client *client, uint16_t packet_id, uint8_t code,
                         struct nj_bytes reason, void *arg)
{
    struct run *run = arg;
    (void)client;
    if (code >= 0x80) {
        reason = nj_text_beyond(code, reason);
        bool has_reason = reason.len > 0 && !run->opts->command->is_compat;
        nj_link_say(&run->link, "Warning: Publish %u failed: %s%s%.*s.\n", packet_id,
                    nj_text_reason(code), has_reason ? ": " : "", has_reason ? (int)reason.len : 0,
                    has_reason ? (const char *)reason.ptr : "");
        if (!run->opts->command->is_compat && run->status == 0) {
            run->status = code;
        }
    }
    run->done++;
    if (run->opts->mode == NJ_PUB_STDIN_LINES) {
        return;
    }
    if (run->done >= run->opts->repeat_count) {
        end(run);
    } else {
        uint64_t now_ms = nj_clock_mono_ms();
        run->next_ms = now_ms + run->opts->repeat_delay_us / 1000;
    }
}

static void on_kicked(struct nj_client *client, uint8_t code, struct nj_bytes reason, void *arg)
{
    struct run *run = arg;
    (void)client;
    if (run->opts->command->is_compat) {
        return;
    }
    reason = nj_text_beyond(code, reason);
    nj_link_say(&run->link, "Error: the broker ended the connection: %s%s%.*s.\n",
                nj_text_reason(code), reason.len > 0 ? ": " : "", (int)reason.len,
                reason.len > 0 ? (const char *)reason.ptr : "");
    run->status = code != 0 ? code : 1;
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
    if (run->opts->mode == NJ_PUB_STDIN_LINES) {
        return run->is_input_file && run->is_input_on ? 0 : -1;
    }
    if (run->next_ms == 0) {
        return -1;
    }
    uint64_t now_ms = nj_clock_mono_ms();
    uint64_t wait_ms = run->next_ms > now_ms ? run->next_ms - now_ms : 0;
    return wait_ms < 60000 ? (int)wait_ms : 60000;
}

static void work(struct run *run)
{
    if (run->opts->mode == NJ_PUB_STDIN_LINES && nj_client_is_connected(run->client)) {
        if (run->is_input_file && run->is_input_on) {
            on_input(&run->input, NJ_LOOP_IN, run->client);
        }
        send_lines(run);
        steer_input(run);
    } else if (run->next_ms != 0 && nj_clock_mono_ms() >= run->next_ms) {
        run->next_ms = 0;
        (void)publish_once(run);
    }
}

/* The connection ended without our wish. */
static void say_end(struct run *run, enum nj_err err)
{
    bool is_compat = run->opts->command->is_compat;
    if (err == NJ_EAUTH) { /* CONNACK: said already, the status is set */
        bool is_known = run->opts->version != NJ_MQTT_5 && run->status <= 5;
        if (is_compat) {
            nj_link_say(&run->link, "Error: %s\n",
                        nj_text_original(is_known ? NJ_ORIGINAL_REFUSED : NJ_ORIGINAL_PROTOCOL));
        }
        return;
    }
    if (is_compat) {
        run->status = (int)nj_original_error(err);
        nj_link_say(&run->link, "Error: %s\n", nj_text_original(nj_original_error(err)));
    } else if (run->status == 0) {
        run->status = 1;
        nj_link_say_lost(&run->link, nj_client_error(run->client));
    }
}

static void run_connection(struct run *run)
{
    while (!run->is_over) {
        enum nj_err err = nj_client_loop(run->client, next_timeout(run));
        if (err != NJ_OK) {
            if (!run->is_over) {
                say_end(run, err);
            }
            return;
        }
        work(run);
    }
    nj_client_disconnect(run->client, 0, &run->link.props[NJ_OPTS_DISCONNECT]);
}

static int run_all(struct run *run)
{
    static const struct nj_client_callbacks SILENT = {
        .connected = on_connected, .published = on_published, .kicked = on_kicked};
    struct nj_client_callbacks callbacks = SILENT;
    if (run->opts->is_debug) {
        callbacks.trace = on_trace;
    }
    if (!nj_payload_load(&run->link, &run->payload)) {
        return 1;
    }
    if (nj_client_new(&run->link.config, &callbacks, run, &run->client) != NJ_OK) {
        say(run, "Error: Out of memory.\n");
        return 1;
    }
    int status = nj_link_connect(&run->link, run->client);
    if (status == 0) {
        run_connection(run);
        status = run->status;
    }
    nj_client_free(run->client);
    return status;
}

const struct nj_manual NJ_MANUAL_PUB = {
    .word = "pub",
    .program = "mosquitto_pub",
    .summary = "publish messages to an MQTT broker",
    .synopsis = {"[options] -t TOPIC {-m TEXT | -f FILE | -s | -l | -n}",
                 "[options] -L URL {-m TEXT | -f FILE | -s | -l | -n}"},
    .description =
        "Publishes one message, the same message several times (--repeat), or one message for each "
        "line of standard input (-l), and ends when the broker has acknowledged everything.\n\n"
        "A password on the command line can be seen by others; write it into the defaults file or "
        "the file given with -o.",
    .tool = NJ_TOOL_PUB,
    .option = nj_opts_text,
    .statuses = {{"0", "everything was accepted"},
                 {"1", "an error on this side, or no connection"},
                 {"128-255", "the broker refused: the reason code of MQTT 5"},
                 {"1-5", "the broker refused an MQTT 3 connection: its return code"}},
    .files = {{"$XDG_CONFIG_HOME/nightjar/pub, $HOME/.config/nightjar/pub",
               "defaults: one option on each line, its value behind it, no quotes"}},
    .examples = {{"nj pub -t demo/hello -m hi", "publish `hi` to a broker on this computer"},
                 {"nj pub -L mqtts://broker.example/alarm -u me -q 1 -r -f alarm.json",
                  "publish a file over TLS, acknowledged and retained"}},
    .see_also = "nj(1), nj-sub(1), nj-rr(1), nightjar(8)",
};

/* The original reads the payload before it misses a topic. */
static bool is_payload_there(const struct nj_opts *opts)
{
    const struct nj_link link = {.opts = opts};
    struct nj_buf payload;
    nj_buf_init(&payload);
    bool is_there = nj_payload_load(&link, &payload);
    nj_buf_fini(&payload);
    return is_there;
}

static void say_what_is_missing(const struct nj_opts *opts)
{
    if (!opts->command->is_compat) {
        fprintf(stderr, "Error: a topic (-t) and a message (-m, -f, -l, -s or -n) are needed: "
                        "nj pub -t TOPIC -m TEXT\n");
        (void)nj_manual_point_to_help(opts->command);
    } else if (is_payload_there(opts)) {
        fprintf(stderr, "Error: Both topic and message must be supplied.\n");
        nj_manual_print_usage(&NJ_MANUAL_PUB, opts->command, stdout);
    }
}

int nj_cmd_pub(const struct nj_command *command, int argc, char **argv)
{
    struct nj_opts opts;
    nj_opts_init(&opts, command, NJ_TOOL_PUB, stderr);
    enum nj_opts_result result = nj_opts_load(&opts, argc, argv);
    int status = 1;
    if (result != NJ_OPTS_OK) {
        status = nj_usage_answer(command, &NJ_MANUAL_PUB, result);
    } else if (opts.topics.count == 0 || opts.mode == NJ_PUB_NONE) {
        say_what_is_missing(&opts);
    } else {
        struct run run = {.opts = &opts};
        nj_buf_init(&run.payload);
        nj_loop_source_init(&run.input, on_input);
        if (nj_link_init(&run.link, &opts)) {
            status = run_all(&run);
            nj_link_fini(&run.link);
        }
        nj_buf_fini(&run.payload);
    }
    nj_opts_fini(&opts);
    return status;
}
