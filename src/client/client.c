/* The life of a connection: buffers, the turn of the loop, keep alive. */
#include "client/client.h"

#include <sys/uio.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "client/client_priv.h"

#define READ_BYTES 65536
/* So that one turn ends although the broker never stops sending. */
#define READS_PER_TURN 64

void nj_client_fail(struct nj_client *client, enum nj_err why, const char *fmt, ...)
{
    if (client->down_reason != NJ_OK) {
        return;
    }
    client->down_reason = why;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(client->error, sizeof(client->error), fmt, args);
    va_end(args);
}

void nj_client_trace(struct nj_client *client, const char *fmt, ...)
{
    if (client->callbacks.trace == NULL) {
        return;
    }
    char line[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    client->callbacks.trace(client, line, client->arg);
}

const char *nj_client_id(const struct nj_client *client)
{
    return client->id;
}

const char *nj_client_id_text(const struct nj_client *client)
{
    return client->id != NULL ? client->id : "(null)";
}

const char *nj_client_error(const struct nj_client *client)
{
    return client->error;
}

bool nj_client_is_connected(const struct nj_client *client)
{
    return client->state == NJ_CLIENT_UP && client->down_reason == NJ_OK;
}

size_t nj_client_unsent_bytes(const struct nj_client *client)
{
    return client->out.len - client->out_at;
}

static char *random_id(void)
{
    static const char LETTERS[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t random[18];
    char id[24] = "mosq-";
    nj_rand_bytes(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        id[5 + i] = LETTERS[random[i] % 62];
    }
    return nj_strdup(id);
}

static void on_stream(struct nj_loop_source *source, unsigned ready, void *turn);

static uint16_t alias_max(const struct nj_client_props *props)
{
    for (size_t i = 0; i < props->count; i++) {
        if (props->items[i].id == NJ_PROP_TOPIC_ALIAS_MAXIMUM) {
            return (uint16_t)props->items[i].number;
        }
    }
    return 0;
}

static uint16_t receive_max(const struct nj_client_config *config)
{
    for (size_t i = 0; i < config->connect_props.count; i++) {
        if (config->connect_props.items[i].id == NJ_PROP_RECEIVE_MAXIMUM) {
            return (uint16_t)config->connect_props.items[i].number;
        }
    }
    return config->receive_max != 0 ? config->receive_max : NJ_CLIENT_INFLIGHT;
}

enum nj_err nj_client_new(const struct nj_client_config *config,
                          const struct nj_client_callbacks *callbacks, void *arg,
                          struct nj_client **out)
{
    struct nj_client *client = nj_zalloc(sizeof(*client));
    client->config = *config;
    client->callbacks = *callbacks;
    client->arg = arg;
    nj_loop_source_init(&client->source, on_stream);
    nj_buf_init(&client->in);
    nj_buf_init(&client->out);
    nj_buf_init(&client->qos0_ids);
    nj_list_init(&client->outs);
    nj_list_init(&client->ins);
    nj_list_init(&client->requests);
    client->our_receive_max = receive_max(config);
    if (config->client_id != NULL && config->client_id[0] != '\0') {
        client->id = nj_strdup(config->client_id);
    } else if (config->version == NJ_MQTT_31) {
        client->id = random_id();
    }
    client->aliases_max = config->version == NJ_MQTT_5 ? alias_max(&config->connect_props) : 0;
    if (client->aliases_max > 0) {
        client->aliases = nj_zalloc(client->aliases_max * sizeof(client->aliases[0]));
    }
    enum nj_err err = nj_loop_new(&client->loop);
    if (err != NJ_OK) {
        nj_client_free(client);
        return err;
    }
    *out = client;
    return NJ_OK;
}

static void drop_requests(struct nj_client *client)
{
    struct nj_list *node;
    while ((node = nj_list_pop_front(&client->requests)) != NULL) {
        nj_free(NJ_CONTAINER(node, struct nj_client_request, node));
    }
}

/* The stream and what belongs to it; sessions stay. */
static void drop_connection(struct nj_client *client)
{
    nj_loop_remove(client->loop, &client->source);
    if (client->stream != NULL) {
        nj_stream_close(client->stream);
        nj_stream_free(client->stream);
        client->stream = NULL;
    }
    client->state = NJ_CLIENT_DOWN;
    client->in.len = 0;
    client->out.len = 0;
    client->out_at = 0;
    client->qos0_ids.len = 0;
    client->ping_ms = 0;
    drop_requests(client);
}

void nj_client_free(struct nj_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->loop != NULL) {
        drop_connection(client);
    }
    nj_client_drop_incoming(client, false);
    nj_client_drop_outgoing(client);
    nj_loop_free(client->loop);
    nj_free(client->aliases);
    nj_free(client->id);
    if (client->in.data != NULL) {
        nj_wipe(client->in.data, client->in.cap);
    }
    if (client->out.data != NULL) {
        nj_wipe(client->out.data, client->out.cap); /* held the password */
    }
    nj_buf_fini(&client->in);
    nj_buf_fini(&client->out);
    nj_buf_fini(&client->qos0_ids);
    nj_free(client);
}

enum nj_err nj_client_connect(struct nj_client *client, struct nj_net_error *error)
{
    NJ_ASSERT(client->state == NJ_CLIENT_DOWN);
    client->down_reason = NJ_OK;
    client->error[0] = '\0';
    client->server_receive_max = UINT16_MAX;
    client->server_packet_max = UINT32_MAX;
    client->server_max_qos = 2;
    client->server_retain = true;
    client->server_aliases_max = client->config.ignores_alias_maximum ? UINT16_MAX : 0;
    client->keep_alive_s = client->config.keep_alive_s;
    nj_client_drop_incoming(client, true); /* aliases end with their connection */
    enum nj_err err = nj_client_open_stream(client, error);
    if (err != NJ_OK) {
        return err;
    }
    err = nj_loop_add(client->loop, &client->source, nj_stream_fd(client->stream), NJ_LOOP_STREAM);
    if (err == NJ_OK) {
        err = nj_client_put_connect(client, &client->out);
    }
    if (err != NJ_OK) {
        nj_net_error_set(error, "cannot make the CONNECT packet: %s", nj_err_text(err));
        drop_connection(client);
        return err;
    }
    nj_client_trace(client, "Client %s sending CONNECT", nj_client_id_text(client));
    client->state = NJ_CLIENT_CONNECTING;
    client->may_write = true;
    client->connect_ms = nj_clock_mono_ms();
    client->last_out_ms = client->connect_ms;
    nj_client_flush(client);
    return NJ_OK;
}

/* ---- out ---- */

static void report_qos0(struct nj_client *client)
{
    uint16_t packet_id = 0;
    while (client->qos0_ids.len > 0 && client->down_reason == NJ_OK) {
        size_t count = client->qos0_ids.len / sizeof(packet_id);
        for (size_t i = 0; i < count; i++) {
            memcpy(&packet_id, client->qos0_ids.data + i * sizeof(packet_id), sizeof(packet_id));
            if (client->callbacks.published != NULL) {
                client->callbacks.published(client, packet_id, 0, nj_bytes(NULL, 0), client->arg);
            }
            if (client->qos0_ids.len < count * sizeof(packet_id)) {
                return; /* the callback ended the connection */
            }
        }
        nj_buf_consume(&client->qos0_ids, count * sizeof(packet_id));
        if (client->out.len > client->out_at) {
            return; /* what the callbacks published goes first */
        }
    }
}

void nj_client_flush(struct nj_client *client)
{
    while (client->out_at < client->out.len && client->may_write && client->stream != NULL) {
        const struct iovec iov = {client->out.data + client->out_at,
                                  client->out.len - client->out_at};
        size_t written = 0;
        enum nj_err err = nj_stream_writev(client->stream, &iov, 1, &written);
        if (err == NJ_EAGAIN) {
            client->may_write = false;
            return;
        }
        if (err != NJ_OK) {
            nj_client_fail(client, err, "%s", nj_stream_error(client->stream));
            return;
        }
        client->out_at += written;
        client->last_out_ms = nj_clock_mono_ms();
        if (written < iov.iov_len) {
            client->may_write = false;
        }
    }
    if (client->out_at == client->out.len) {
        client->out.len = 0;
        client->out_at = 0;
    } else if (client->out_at > READ_BYTES && client->out_at > client->out.len / 2) {
        nj_buf_consume(&client->out, client->out_at);
        client->out_at = 0;
    }
}

/* ---- in ---- */

static void take_packets(struct nj_client *client)
{
    size_t at = 0;
    while (client->down_reason == NJ_OK && client->state != NJ_CLIENT_DOWN) {
        struct nj_mqtt_frame frame;
        enum nj_err err = nj_mqtt_frame_peek(client->in.data + at, client->in.len - at, &frame);
        if (err == NJ_EAGAIN) {
            break;
        }
        if (err != NJ_OK) {
            nj_client_fail(client, err, "the broker does not speak MQTT");
            return;
        }
        if (!nj_client_check_header(client, &frame)) {
            return;
        }
        size_t need = (size_t)frame.header_len + frame.body_len;
        if (client->in.len - at < need) {
            /* Memory is taken as bytes come, not as the header promises. */
            break;
        }
        nj_client_take_packet(client, &frame,
                              nj_bytes(client->in.data + at + frame.header_len, frame.body_len));
        at += need;
    }
    if (client->state != NJ_CLIENT_DOWN) {
        nj_buf_consume(&client->in, at);
    }
}

static void read_stream(struct nj_client *client)
{
    for (int i = 0; i < READS_PER_TURN && client->state != NJ_CLIENT_DOWN; i++) {
        size_t got = 0;
        if (nj_buf_reserve(&client->in, READ_BYTES) != NJ_OK) {
            nj_client_fail(client, NJ_ENOMEM, "out of memory for what the broker sends");
            return;
        }
        enum nj_err err =
            nj_stream_read(client->stream, client->in.data + client->in.len, READ_BYTES, &got);
        if (err == NJ_EAGAIN) {
            return;
        }
        if (err != NJ_OK) {
            nj_client_fail(client, err, "%s",
                           err != NJ_ECLOSED ? nj_stream_error(client->stream)
                           : client->state == NJ_CLIENT_CONNECTING
                               ? "the broker closed the connection instead of answering CONNECT"
                               : "the broker closed the connection");
            return;
        }
        client->in.len += got;
        take_packets(client);
        if (client->down_reason != NJ_OK) {
            return;
        }
    }
    if (client->state != NJ_CLIENT_DOWN) {
        nj_loop_wake(client->loop); /* there is more: next turn */
    }
}

static void on_stream(struct nj_loop_source *source, unsigned ready, void *turn)
{
    struct nj_client *client = turn;
    (void)source;
    (void)ready;
    client->may_write = true;
}

/* ---- time ---- */

static int sooner(int timeout_ms, uint64_t due_ms, uint64_t now_ms)
{
    uint64_t wait = due_ms > now_ms ? due_ms - now_ms : 0;
    wait = wait < 60000 ? wait : 60000;
    return timeout_ms < 0 || wait < (uint64_t)timeout_ms ? (int)wait : timeout_ms;
}

static uint64_t connect_limit_ms(const struct nj_client *client)
{
    return client->config.connect_timeout_ms > 0 ? (uint64_t)client->config.connect_timeout_ms
                                                 : NJ_CLIENT_CONNECT_MS;
}

/* Silence after which PINGREQ is sent: before the keep alive is over, because what counts is when
 * it arrives (MQTT5 3.1.2-20). */
static uint64_t ping_after_ms(const struct nj_client *client)
{
    return (uint64_t)client->keep_alive_s * 900;
}

static int next_timeout(const struct nj_client *client, int timeout_ms)
{
    uint64_t now_ms = nj_clock_mono_ms();
    if (client->state == NJ_CLIENT_CONNECTING) {
        return sooner(timeout_ms, client->connect_ms + connect_limit_ms(client), now_ms);
    }
    if (client->keep_alive_s == 0) {
        return timeout_ms;
    }
    uint64_t due_ms = client->ping_ms != 0 ? client->ping_ms + (uint64_t)client->keep_alive_s * 1000
                                           : client->last_out_ms + ping_after_ms(client);
    return sooner(timeout_ms, due_ms, now_ms);
}

static void check_time(struct nj_client *client)
{
    static const uint8_t PINGREQ[2] = {NJ_MQTT_PINGREQ << 4, 0};
    uint64_t now_ms = nj_clock_mono_ms();
    uint64_t keep_alive_ms = (uint64_t)client->keep_alive_s * 1000;
    if (client->state == NJ_CLIENT_CONNECTING) {
        if (now_ms - client->connect_ms >= connect_limit_ms(client)) {
            nj_client_fail(client, NJ_ETIMEDOUT, "the broker did not answer CONNECT in time");
        }
    } else if (keep_alive_ms == 0) {
        return;
    } else if (client->ping_ms != 0) {
        if (now_ms - client->ping_ms >= keep_alive_ms) {
            nj_client_fail(client, NJ_ETIMEDOUT, "the broker did not answer PINGREQ in time");
        }
    } else if (now_ms - client->last_out_ms >= ping_after_ms(client)) {
        nj_client_trace(client, "Client %s sending PINGREQ", nj_client_id_text(client));
        client->ping_ms = now_ms;
        if (nj_buf_append(&client->out, PINGREQ, sizeof(PINGREQ)) != NJ_OK) {
            nj_client_fail(client, NJ_ENOMEM, "out of memory");
        }
    }
}

/* ---- the turn ---- */

static enum nj_err end_turn(struct nj_client *client)
{
    if (client->state == NJ_CLIENT_DOWN && client->down_reason == NJ_OK) {
        return NJ_OK; /* we disconnected */
    }
    if (client->down_reason == NJ_OK) {
        nj_client_flush(client);
        if (client->out.len == 0) {
            report_qos0(client);
            nj_client_flush(client);
        }
    }
    if (client->down_reason == NJ_OK) {
        return NJ_OK;
    }
    drop_connection(client);
    return client->down_reason;
}

enum nj_err nj_client_loop(struct nj_client *client, int timeout_ms)
{
    if (client->state == NJ_CLIENT_DOWN) {
        return client->down_reason != NJ_OK ? client->down_reason : NJ_ECLOSED;
    }
    nj_client_flush(client);
    bool has_work = client->stream != NULL && nj_stream_has_pending(client->stream);
    bool has_reports = client->qos0_ids.len > 0 && client->out.len == 0;
    int wait_ms = has_work || has_reports ? 0 : next_timeout(client, timeout_ms);
    unsigned count = nj_loop_wait(client->loop, wait_ms);
    for (unsigned i = 0; i < count; i++) {
        unsigned ready = 0;
        struct nj_loop_source *source = nj_loop_event(client->loop, i, &ready);
        if (source != NULL) {
            source->fn(source, ready, client);
        }
    }
    if (client->state != NJ_CLIENT_DOWN && client->down_reason == NJ_OK) {
        nj_client_flush(client);
        read_stream(client);
    }
    if (client->state != NJ_CLIENT_DOWN && client->down_reason == NJ_OK) {
        check_time(client);
    }
    return end_turn(client);
}

/* Not by the loop: a callback of its turn may be our caller. */
static void flush_blocking(struct nj_client *client)
{
    uint64_t until_ms = nj_clock_mono_ms() + NJ_CLIENT_DISCONNECT_MS;
    while (client->out_at < client->out.len && client->down_reason == NJ_OK) {
        client->may_write = true;
        nj_client_flush(client);
        if (client->out_at == client->out.len || nj_clock_mono_ms() >= until_ms) {
            return;
        }
        struct pollfd pfd = {nj_stream_fd(client->stream), POLLOUT, 0};
        (void)poll(&pfd, 1, 50);
    }
}

void nj_client_disconnect(struct nj_client *client, uint8_t code,
                          const struct nj_client_props *props)
{
    if (client->state == NJ_CLIENT_UP && client->down_reason == NJ_OK) {
        nj_client_trace(client, "Client %s sending DISCONNECT", nj_client_id_text(client));
        size_t before = client->out.len;
        enum nj_err err = nj_client_put_disconnect(client, code, props, &client->out);
        if (err == NJ_OK && client->out.len - before > client->server_packet_max) {
            client->out.len = before; /* MQTT5 3.14.2-3, 3.14.2-4: without words, then */
            err = nj_client_put_disconnect(client, code, NULL, &client->out);
        }
        if (err == NJ_OK) {
            flush_blocking(client);
        }
    }
    if (client->down_reason == NJ_OK) {
        drop_connection(client);
    }
}

/* ---- requests ---- */

static enum nj_err add_request(struct nj_client *client, uint16_t packet_id, bool is_subscribe,
                               size_t count)
{
    struct nj_client_request *request = nj_try_zalloc(sizeof(*request));
    if (request == NULL) {
        return NJ_ENOMEM;
    }
    request->packet_id = packet_id;
    request->is_subscribe = is_subscribe;
    request->count = count;
    nj_list_push_back(&client->requests, &request->node);
    return NJ_OK;
}

/* What was appended from `before` on is a request, if the broker takes it and its answer can be
 * awaited; else it is taken back. */
static enum nj_err finish_request(struct nj_client *client, size_t before, enum nj_err err,
                                  const struct nj_client_request *request)
{
    if (err == NJ_OK && client->out.len - before > client->server_packet_max) {
        err = NJ_ETOOBIG;
    }
    if (err == NJ_OK) {
        err = add_request(client, request->packet_id, request->is_subscribe, request->count);
    }
    if (err != NJ_OK) {
        client->out.len = before;
    }
    return err;
}

enum nj_err nj_client_subscribe(struct nj_client *client, const struct nj_client_filter *filters,
                                size_t count, const struct nj_client_props *props,
                                uint16_t *packet_id)
{
    if (client->state != NJ_CLIENT_UP) {
        return NJ_ECLOSED;
    }
    size_t before = client->out.len;
    const struct nj_client_request request = {
        .packet_id = nj_client_take_id(client), .is_subscribe = true, .count = count};
    enum nj_err err =
        nj_client_put_subscribe(client, filters, count, props, request.packet_id, &client->out);
    err = finish_request(client, before, err, &request);
    for (size_t i = 0; err == NJ_OK && i < count; i++) {
        nj_client_trace(client,
                        "Client %s sending SUBSCRIBE (Mid: %d, Topic: %.*s, QoS: %d, Options: "
                        "0x%02x)",
                        nj_client_id_text(client), request.packet_id, (int)filters[i].filter.len,
                        (const char *)filters[i].filter.ptr, filters[i].options & 3,
                        filters[i].options & 0xFCu);
    }
    *packet_id = err == NJ_OK ? request.packet_id : *packet_id;
    return err;
}

enum nj_err nj_client_unsubscribe(struct nj_client *client, const struct nj_bytes *filters,
                                  size_t count, const struct nj_client_props *props,
                                  uint16_t *packet_id)
{
    if (client->state != NJ_CLIENT_UP) {
        return NJ_ECLOSED;
    }
    size_t before = client->out.len;
    const struct nj_client_request request = {.packet_id = nj_client_take_id(client),
                                              .count = count};
    enum nj_err err =
        nj_client_put_unsubscribe(client, filters, count, props, request.packet_id, &client->out);
    err = finish_request(client, before, err, &request);
    for (size_t i = 0; err == NJ_OK && i < count; i++) {
        nj_client_trace(client, "Client %s sending UNSUBSCRIBE (Mid: %d, Topic: %.*s)",
                        nj_client_id_text(client), request.packet_id, (int)filters[i].len,
                        (const char *)filters[i].ptr);
    }
    *packet_id = err == NJ_OK ? request.packet_id : *packet_id;
    return err;
}

enum nj_err nj_client_watch(struct nj_client *client, struct nj_loop_source *source, int fd)
{
    enum nj_err err = nj_loop_add(client->loop, source, fd, NJ_LOOP_LEVEL);
    return err == NJ_ESYS && errno == EPERM ? NJ_ENOTSUP : err;
}

void nj_client_unwatch(struct nj_client *client, struct nj_loop_source *source)
{
    nj_loop_remove(client->loop, source);
}
