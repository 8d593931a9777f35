/* `nj sub` / mosquitto_sub: subscribes, prints what arrives, and stays until told otherwise. */
#include <sys/signalfd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "link.h"
#include "mqtt/topic.h"
#include "sub_output.h"
#include "texts.h"
#include "usage.h"

#define RECONNECT_MIN_MS 1000
#define RECONNECT_MAX_MS 10000

struct run {
    const struct nj_opts *opts;
    struct nj_link link;
    struct nj_client *client;
    struct nj_sub_output output;
    struct nj_loop_source signals;
    int signal_fd;
    int status;
    int received;
    uint64_t until_ms; /* -W; 0 = no end */
    uint64_t rate_ms;  /* next line of --message-rate */
    int rate_count;
    int reconnect_ms;
    size_t answers_due; /* SUBACK, UNSUBACK */
    size_t clearing;    /* --remove-retained: not acknowledged yet */
    bool is_over;       /* nothing more is wanted */
    bool is_refused;
    bool was_connected; /* CONNACK came at least once */
};

static void end(struct run *run)
{
    run->is_over = true;
}

/* ---- subscribing ---- */

static void subscribe(struct run *run)
{
    const struct nj_opts *opts = run->opts;
    size_t count = opts->topics.count;
    uint16_t packet_id = 0;
    if (count == 0) {
        return;
    }
    uint8_t options = (uint8_t)opts->qos;
    if (opts->version == NJ_MQTT_5) {
        options |= NJ_CLIENT_RETAIN_HANDLING(opts->retain_handling);
        options |= opts->retain_as_published ? NJ_CLIENT_RETAIN_AS_PUBLISHED : 0;
    }
    struct nj_client_filter *filters = nj_zalloc(count * sizeof(*filters));
    for (size_t i = 0; i < count; i++) {
        filters[i] = (struct nj_client_filter){nj_bytes_of(opts->topics.items[i]), options};
    }
    enum nj_err err = nj_client_subscribe(run->client, filters, count,
                                          &run->link.props[NJ_OPTS_SUBSCRIBE], &packet_id);
    nj_free(filters);
    if (err != NJ_OK) {
        nj_link_say(&run->link, "Error: cannot subscribe: %s.\n", nj_err_text(err));
        run->status = 1;
        end(run);
        return;
    }
    run->answers_due++;
}

static void unsubscribe(struct run *run)
{
    const struct nj_opts_list *list = &run->opts->unsubscribes;
    for (size_t i = 0; i < list->count && !run->is_over; i++) {
        uint16_t packet_id = 0;
        struct nj_bytes filter = nj_bytes_of(list->items[i]);
        enum nj_err err = nj_client_unsubscribe(run->client, &filter, 1,
                                                &run->link.props[NJ_OPTS_UNSUBSCRIBE], &packet_id);
        if (err != NJ_OK) {
            nj_link_say(&run->link, "Error: cannot unsubscribe: %s.\n", nj_err_text(err));
            run->status = 1;
            end(run);
        }
        run->answers_due++;
    }
}

/* ---- callbacks ---- */

static void on_connected(struct nj_client *client, const struct nj_client_connack *connack,
                         void *arg)
{
    struct run *run = arg;
    (void)client;
    if (connack->code != 0) {
        run->status = nj_link_refused(&run->link, connack);
        run->is_refused = true;
        end(run);
        return;
    }
    run->reconnect_ms = RECONNECT_MIN_MS;
    run->was_connected = true;
    run->answers_due = 0;
    subscribe(run);
    unsubscribe(run);
}

static void say_granted(const struct run *run, uint16_t packet_id, const uint8_t *codes,
                        size_t count)
{
    FILE *out = run->opts->command->is_compat ? stdout : stderr;
    if (!run->opts->is_debug || run->opts->is_quiet) {
        return;
    }
    fprintf(out, "Subscribed (mid: %u): ", packet_id);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s%u", i > 0 ? ", " : "", codes[i]);
    }
    (void)fputc('\n', out);
}

static void one_answer(struct run *run)
{
    run->answers_due -= run->answers_due > 0 ? 1 : 0;
    if (run->opts->exit_after_sub && run->answers_due == 0) {
        end(run);
    }
}

static void on_subscribed(struct nj_client *client, uint16_t packet_id, const uint8_t *codes,
                          size_t count, void *arg)
{
    struct run *run = arg;
    const struct nj_opts *opts = run->opts;
    size_t refused = 0;
    (void)client;
    say_granted(run, packet_id, codes, count);
    for (size_t i = 0; i < count; i++) {
        if (codes[i] < 0x80) {
            continue;
        }
        refused++;
        if (!opts->command->is_compat) {
            nj_link_say(&run->link, "Error: subscription to '%s' refused: %s.\n",
                        opts->topics.items[i],
                        opts->version == NJ_MQTT_5 ? nj_text_reason(codes[i]) : "not allowed");
            run->status = codes[i];
        }
    }
    if (refused > 0 && refused == count) {
        if (opts->command->is_compat) {
            nj_link_say(&run->link, "All subscription requests were denied.\n");
        }
        end(run);
        return;
    }
    /* The original counts SUBSCRIBE only; UNSUBSCRIBE is on its way with it. */
    run->answers_due = opts->command->is_compat ? 1 : run->answers_due;
    one_answer(run);
}

static void on_unsubscribed(struct nj_client *client, uint16_t packet_id, void *arg)
{
    struct run *run = arg;
    (void)client;
    (void)packet_id;
    if (!run->opts->command->is_compat || run->opts->topics.count == 0) {
        one_answer(run);
    }
}

static bool is_filtered_out(const struct run *run, struct nj_bytes topic)
{
    const struct nj_opts_list *list = &run->opts->filters_out;
    for (size_t i = 0; i < list->count; i++) {
        if (nj_mqtt_topic_matches(nj_bytes_of(list->items[i]), topic)) {
            return true;
        }
    }
    return false;
}

static void clear_retained(struct run *run, struct nj_bytes topic)
{
    const struct nj_client_publish empty = {.topic = topic, .qos = 1, .retain = true};
    uint16_t packet_id = 0;
    enum nj_err err = nj_client_publish(run->client, &empty, &packet_id);
    if (err == NJ_ENOTSUP) { /* a broker without QoS 1 */
        struct nj_client_publish qos0 = empty;
        qos0.qos = 0;
        err = nj_client_publish(run->client, &qos0, &packet_id);
    }
    if (err == NJ_OK) {
        run->clearing++;
    } else {
        nj_link_say(&run->link, "Error: cannot remove a retained message: %s.\n", nj_err_text(err));
    }
}

static void print(struct run *run, const struct nj_client_message *message)
{
    const struct nj_opts *opts = run->opts;
    if (opts->random_filter < 10000 && (int)(nj_rand_u64() % 10000) >= opts->random_filter) {
        return;
    }
    if (opts->is_message_rate) {
        run->rate_count++;
        return;
    }
    if (nj_sub_output_message(&run->output, message) != NJ_OK) {
        nj_link_say(&run->link, "Error: Out of memory.\n");
        run->status = 1;
        end(run);
    }
}

static void on_message(struct nj_client *client, const struct nj_client_message *message, void *arg)
{
    struct run *run = arg;
    const struct nj_opts *opts = run->opts;
    (void)client;
    if (run->is_over) {
        return;
    }
    if (opts->retained_only && !message->retain) {
        end(run);
        return;
    }
    if (is_filtered_out(run, message->topic)) {
        return;
    }
    if (message->retain && opts->remove_retained) {
        clear_retained(run, message->topic);
    }
    if (message->retain && opts->no_retain) {
        return;
    }
    print(run, message);
    run->received++;
    if (opts->message_count > 0 && run->received >= opts->message_count) {
        end(run);
    }
}

static void on_published(struct nj_client *client, uint16_t packet_id, uint8_t code,
                         struct nj_bytes reason, void *arg)
{
    struct run *run = arg;
    (void)client;
    (void)packet_id;
    (void)reason;
    run->clearing -= run->clearing > 0 ? 1 : 0;
    if (code >= 0x80 && !run->opts->command->is_compat) {
        nj_link_say(&run->link, "Error: a retained message could not be removed: %s.\n",
                    nj_text_reason(code));
        run->status = code;
    }
}

/* Reasons after which coming back would only disturb. */
static void on_kicked(struct nj_client *client, uint8_t code, struct nj_bytes reason, void *arg)
{
    struct run *run = arg;
    (void)client;
    if (run->opts->command->is_compat) {
        return;
    }
    reason = nj_text_beyond(code, reason);
    nj_link_say(&run->link, "The broker ended the connection: %s%s%.*s.\n", nj_text_reason(code),
                reason.len > 0 ? ": " : "", (int)reason.len,
                reason.len > 0 ? (const char *)reason.ptr : "");
    switch (code) {
    case NJ_RC_SERVER_SHUTTING_DOWN:
    case NJ_RC_SERVER_BUSY:
    case NJ_RC_KEEP_ALIVE_TIMEOUT:
    case NJ_RC_UNSPECIFIED:
    case NJ_RC_MAXIMUM_CONNECT_TIME:
        break;
    default:
        run->status = code != 0 ? code : 1;
        end(run);
        break;
    }
}

static void on_trace(struct nj_client *client, const char *line, void *arg)
{
    const struct run *run = arg;
    (void)client;
    nj_link_trace(&run->link, line);
}

static void on_signal(struct nj_loop_source *source, unsigned ready, void *turn)
{
    struct run *run = NJ_CONTAINER(source, struct run, signals);
    struct signalfd_siginfo info;
    (void)ready;
    (void)turn;
    if (read(run->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        run->clearing = 0;
        end(run);
    }
}

/* ---- the run ---- */

static int sooner(int timeout_ms, uint64_t due_ms, uint64_t now_ms)
{
    uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    wait_ms = wait_ms < 60000 ? wait_ms : 60000;
    return timeout_ms < 0 || wait_ms < (uint64_t)timeout_ms ? (int)wait_ms : timeout_ms;
}

static int next_timeout(const struct run *run)
{
    uint64_t now_ms = nj_clock_mono_ms();
    int timeout_ms = -1;
    if (run->until_ms != 0) {
        timeout_ms = sooner(timeout_ms, run->until_ms, now_ms);
    }
    if (run->opts->is_message_rate) {
        timeout_ms = sooner(timeout_ms, run->rate_ms, now_ms);
    }
    return timeout_ms;
}

static void check_time(struct run *run)
{
    uint64_t now_ms = nj_clock_mono_ms();
    if (run->opts->is_message_rate && now_ms >= run->rate_ms) {
        printf("%d\n", run->rate_count);
        run->rate_count = 0;
        run->rate_ms = now_ms + 1000;
    }
    if (run->until_ms != 0 && now_ms >= run->until_ms && !run->is_over) {
        nj_link_say(&run->link, "Timed out\n");
        run->status = NJ_ORIGINAL_TIMEOUT;
        run->clearing = 0;
        end(run);
    }
}

static void flush_output(struct run *run)
{
    if ((fflush(stdout) != 0 || ferror(stdout)) && !run->is_over) {
        run->status = run->opts->command->is_compat ? run->status : 1;
        end(run);
    }
}

/* One connection from CONNACK to its end. NJ_OK: nothing more is wanted. */
static enum nj_err run_connection(struct run *run)
{
    while (!run->is_over || run->clearing > 0) {
        enum nj_err err = nj_client_loop(run->client, next_timeout(run));
        flush_output(run);
        if (err != NJ_OK) {
            return err;
        }
        check_time(run);
    }
    nj_client_disconnect(run->client, 0, &run->link.props[NJ_OPTS_DISCONNECT]);
    flush_output(run);
    return NJ_OK;
}

static sigset_t end_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

/* Waits before the next attempt, as long as nothing ends the run. */
static void pause_before_reconnect(struct run *run)
{
    uint64_t until_ms = nj_clock_mono_ms() + (uint64_t)run->reconnect_ms;
    const sigset_t set = end_signals();
    uint64_t now_ms = nj_clock_mono_ms();
    while (now_ms < until_ms && !run->is_over) {
        int wait_ms = sooner(next_timeout(run), until_ms, now_ms);
        const struct timespec wait = {wait_ms / 1000, (long)(wait_ms % 1000) * 1000000};
        if (sigtimedwait(&set, NULL, &wait) > 0) {
            end(run);
        }
        check_time(run);
        now_ms = nj_clock_mono_ms();
    }
    if (!run->opts->command->is_compat) {
        int longer_ms = run->reconnect_ms * 2;
        run->reconnect_ms = longer_ms < RECONNECT_MAX_MS ? longer_ms : RECONNECT_MAX_MS;
    }
}

/* Connecting blocks, so the signals do what they always do: there is no session to end. */
static enum nj_err reconnect(struct run *run)
{
    struct nj_net_error error;
    const sigset_t set = end_signals();
    if (run->is_over) {
        return NJ_OK;
    }
    (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    enum nj_err err = nj_client_connect(run->client, &error);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return err;
}

/* Errors that another attempt would only repeat. */
static bool is_final(const struct run *run, enum nj_err err)
{
    bool is_lost = err == NJ_ECLOSED || err == NJ_ETIMEDOUT || err == NJ_ESYS;
    /* Who never got in has the wrong port or transport, most likely. The original tries for ever.
     */
    return !is_lost || (!run->was_connected && !run->opts->command->is_compat);
}

static void run_all(struct run *run)
{
    for (;;) {
        enum nj_err err = run_connection(run);
        if (err == NJ_OK || run->is_refused || run->is_over) {
            return;
        }
        if (is_final(run, err)) {
            if (run->opts->command->is_compat) {
                run->status = (int)nj_original_error(err);
                nj_link_say(&run->link, "Error: %s\n", nj_text_original(nj_original_error(err)));
            } else {
                run->status = 1;
                nj_link_say_lost(&run->link, nj_client_error(run->client));
            }
            return;
        }
        if (!run->opts->command->is_compat) {
            nj_link_say(&run->link, "Connection lost (%s), trying again.\n",
                        nj_client_error(run->client));
        }
        do {
            pause_before_reconnect(run);
            err = reconnect(run);
        } while (err != NJ_OK);
        if (run->is_over) {
            return;
        }
    }
}

/* Signals come through the loop from here on; during the first connect they end the process. */
static bool watch_signals(struct run *run)
{
    const sigset_t set = end_signals();
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) {
        return false;
    }
    run->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    nj_loop_source_init(&run->signals, on_signal);
    return run->signal_fd >= 0 &&
           nj_client_watch(run->client, &run->signals, run->signal_fd) == NJ_OK;
}

static int connect_and_run(struct run *run)
{
    struct nj_client_callbacks callbacks = {
        .connected = on_connected,
        .message = on_message,
        .published = on_published,
        .subscribed = on_subscribed,
        .unsubscribed = on_unsubscribed,
        .kicked = on_kicked,
    };
    if (run->opts->is_debug) {
        callbacks.trace = on_trace;
    }
    if (nj_client_new(&run->link.config, &callbacks, run, &run->client) != NJ_OK) {
        nj_link_say(&run->link, "Error: Out of memory.\n");
        return 1;
    }
    int status = nj_link_connect(&run->link, run->client);
    if (status == 0 && !watch_signals(run)) {
        nj_link_say(&run->link, "Error: cannot wait for signals.\n");
        status = 1;
    }
    if (status == 0) {
        uint64_t now_ms = nj_clock_mono_ms();
        run->until_ms =
            run->opts->timeout_s > 0 ? now_ms + (uint64_t)run->opts->timeout_s * 1000 : 0;
        run->rate_ms = now_ms + 1000;
        run_all(run);
        status = run->status;
    }
    if (run->signal_fd >= 0) {
        nj_client_unwatch(run->client, &run->signals);
        (void)close(run->signal_fd);
    }
    nj_client_free(run->client);
    return status;
}

const struct nj_manual NJ_MANUAL_SUB = {
    .word = "sub",
    .program = "mosquitto_sub",
    .summary = "subscribe to topics of an MQTT broker, and print what arrives",
    .synopsis = {"[options] {-t FILTER | -U FILTER}...", "[options] -L URL"},
    .description =
        "Subscribes, prints what arrives, and stays until it is told otherwise; a lost connection "
        "is made again.\n\n"
        "In a terminal a message is shown with its time, topic, QoS and retain flag, JSON is laid "
        "out, and nothing in a message can steer the terminal. Into a pipe or file, with -F, -N or "
        "-w, and under the name mosquitto_sub, only what was asked for is printed.",
    .tool = NJ_TOOL_SUB,
    .option = nj_opts_text,
    .statuses = {{"0", "it ended as asked"},
                 {"1", "an error on this side, or no connection"},
                 {"27", "the time of -W is over"},
                 {"128-255", "the broker refused: the reason code of MQTT 5"},
                 {"1-5", "the broker refused an MQTT 3 connection: its return code"}},
    .files = {{"$XDG_CONFIG_HOME/nightjar/sub, $HOME/.config/nightjar/sub",
               "defaults: one option on each line, its value behind it, no quotes"}},
    .examples = {{"nj sub -t 'demo/#'", "watch all topics below demo"},
                 {"nj sub -t 'sensors/+/temperature' -C 10 -F '%I %t %p'",
                  "ten messages, each with time and topic"}},
    .see_also = "nj(1), nj-pub(1), nj-rr(1), nightjar(8)",
};

int nj_cmd_sub(const struct nj_command *command, int argc, char **argv)
{
    struct nj_opts opts;
    nj_opts_init(&opts, command, NJ_TOOL_SUB, stderr);
    enum nj_opts_result result = nj_opts_load(&opts, argc, argv);
    int status = 1;
    if (result != NJ_OPTS_OK) {
        status = nj_usage_answer(command, &NJ_MANUAL_SUB, result);
    } else if (opts.no_retain && opts.retained_only) {
        fprintf(stderr, "\nError: Combining '-R' and '--retained-only' makes no sense.\n");
    } else {
        struct run run = {.opts = &opts, .signal_fd = -1, .reconnect_ms = RECONNECT_MIN_MS};
        nj_loop_source_init(&run.signals, on_signal);
        if (nj_link_init(&run.link, &opts)) {
            nj_sub_output_init(&run.output, &opts);
            status = connect_and_run(&run);
            nj_sub_output_fini(&run.output);
            nj_link_fini(&run.link);
        }
    }
    nj_opts_fini(&opts);
    return status;
}
