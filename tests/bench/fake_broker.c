/* See fake_broker.h. One thread, poll, blocking writes: it serves a handful of connections. */
#include "fake_broker.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "mqtt/frame.h"
#include "mqtt/reader.h"
#include "mqtt/topic.h"
#include "mqtt/writer.h"

#define CONNS_MAX   64
#define FILTERS_MAX 64
#define FRAME_MAX   2048
/* The lie is told at this message, so that there is truth before and after. */
#define LIE_AT 7

struct filter {
    char text[128];
    struct nj_bytes filter; /* into text */
    bool is_shared;
};

struct conn {
    int fd;
    uint8_t data[65536];
    size_t len;
    struct filter filters[FILTERS_MAX];
    size_t filters_count;
    uint16_t next_id;
};

struct fake_broker {
    enum fake_lie lie;
    int listen_fd;
    int stop_fds[2];
    uint16_t port;
    pthread_t thread;
    struct conn *conns[CONNS_MAX];
    size_t conns_count;
    unsigned messages;
    uint8_t held[FRAME_MAX]; /* FAKE_SWAP: the message that has to wait */
    size_t held_len;
    size_t held_publisher;
};

struct message {
    struct nj_bytes topic;
    struct nj_bytes payload;
    unsigned qos;
    bool is_retain;
};

static void put(const struct conn *conn, const uint8_t *data, size_t len)
{
    while (len && conn->fd >= 0) {
        ssize_t put_len = send(conn->fd, data, len, MSG_NOSIGNAL);
        if (put_len <= 0) {
            return; /* the reader will see it closed */
        }
        data += put_len;
        len -= (size_t)put_len;
    }
}

static void deliver(struct conn *conn, const struct message *message)
{
    uint8_t frame[FRAME_MAX];
    size_t body = 2 + message->topic.len + (message->qos ? 2 : 0) + message->payload.len;
    NJ_ASSERT(body + 5 <= sizeof(frame));
    uint8_t flags = (uint8_t)(message->qos << 1 | message->is_retain);
    uint8_t *at = nj_mqtt_frame_put(frame, NJ_MQTT_PUBLISH, flags, body);
    at = nj_mqtt_put_lv(at, message->topic);
    if (message->qos) {
        conn->next_id = conn->next_id % 60000 + 1;
        at = nj_mqtt_put_u16(at, conn->next_id);
    }
    at = nj_mqtt_put_bytes(at, message->payload);
    put(conn, frame, (size_t)(at - frame));
}

static bool wants(const struct conn *conn, const struct message *message, bool is_shared)
{
    for (size_t i = 0; i < conn->filters_count; i++) {
        if (conn->filters[i].is_shared == is_shared &&
            nj_mqtt_topic_matches(conn->filters[i].filter, message->topic)) {
            return true;
        }
    }
    return false;
}

static void route(struct fake_broker *fake, const struct message *message, bool lies)
{
    unsigned members = 1;
    if (lies && fake->lie == FAKE_GROUP_LOSE) {
        members = 0;
    } else if (lies && fake->lie == FAKE_GROUP_DOUBLE) {
        members = 2;
    }
    bool to_strangers = lies && fake->lie == FAKE_OTHER_RECEIVER;
    for (size_t i = 0; i < fake->conns_count; i++) {
        struct conn *conn = fake->conns[i];
        if (wants(conn, message, false)) {
            deliver(conn, message);
        } else if (to_strangers && conn->filters_count) {
            deliver(conn, message);
            to_strangers = false;
        }
        if (members && wants(conn, message, true)) {
            deliver(conn, message);
            members--;
        }
    }
}

/* Changes the message as the lie wants it. */
static void twist(const struct fake_broker *fake, struct message *message, uint8_t *scratch)
{
    memcpy(scratch, message->topic.ptr, message->topic.len);
    memcpy(scratch + message->topic.len, message->payload.ptr, message->payload.len);
    uint8_t *payload = scratch + message->topic.len;
    message->topic.ptr = scratch;
    message->payload.ptr = payload;
    switch (fake->lie) {
    case FAKE_CORRUPT:
        payload[message->payload.len - 1] ^= 1;
        break;
    case FAKE_CUT:
        message->payload.len--;
        break;
    case FAKE_OTHER_TOPIC:
        /* Both still match the fan's filter. */
        scratch[message->topic.len - 1] ^= 1;
        break;
    case FAKE_OTHER_QOS:
        message->qos ^= 1;
        break;
    case FAKE_RETAIN:
        message->is_retain = true;
        break;
    default:
        break;
    }
}

static void acknowledge(const struct fake_broker *fake, const struct conn *conn, uint16_t id,
                        bool lies)
{
    uint8_t ack[4] = {NJ_MQTT_PUBACK << 4, 2, (uint8_t)(id >> 8), (uint8_t)id};
    if (!(lies && fake->lie == FAKE_NO_ACK)) {
        put(conn, ack, sizeof(ack));
    }
    if (lies && fake->lie == FAKE_STRAY_ACK) {
        put(conn, ack, sizeof(ack));
    }
}

static void on_publish(struct fake_broker *fake, struct conn *conn, uint8_t flags,
                       struct nj_bytes body)
{
    uint8_t scratch[FRAME_MAX];
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    struct message message = {.qos = flags >> 1 & 3, .topic = nj_mqtt_read_lv(&reader)};
    uint16_t id = message.qos ? nj_mqtt_read_u16(&reader) : 0;
    message.payload = nj_bytes(reader.at, nj_mqtt_left(&reader));
    bool lies = ++fake->messages == LIE_AT;
    if (id) {
        acknowledge(fake, conn, id, lies);
    }
    if (lies && fake->lie == FAKE_LOSE) {
        return;
    }
    if (lies && fake->lie == FAKE_HANG_UP) {
        shutdown(conn->fd, SHUT_RDWR);
        return;
    }
    if (lies) {
        twist(fake, &message, scratch);
    }
    if (lies && fake->lie == FAKE_SWAP) {
        fake->held_len = body.len;
        memcpy(fake->held, body.ptr, body.len);
        return;
    }
    route(fake, &message, lies);
    if (lies && fake->lie == FAKE_DOUBLE) {
        route(fake, &message, false);
    }
    if (fake->held_len) {
        size_t len = fake->held_len;
        fake->held_len = 0;
        on_publish(fake, conn, flags, nj_bytes(fake->held, len));
    }
}

static void on_subscribe(const struct fake_broker *fake, struct conn *conn, struct nj_bytes body)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    uint16_t id = nj_mqtt_read_u16(&reader);
    uint8_t codes[FILTERS_MAX];
    size_t count = 0;
    while (nj_mqtt_left(&reader)) {
        struct filter *filter = &conn->filters[conn->filters_count++];
        struct nj_bytes text = nj_mqtt_read_lv(&reader);
        struct nj_bytes group;
        NJ_ASSERT(conn->filters_count < FILTERS_MAX && text.len <= sizeof(filter->text));
        memcpy(filter->text, text.ptr, text.len);
        filter->filter = nj_bytes(filter->text, text.len);
        filter->is_shared = nj_mqtt_share_parse(filter->filter, &group, &filter->filter);
        uint8_t qos = nj_mqtt_read_u8(&reader);
        codes[count++] = fake->lie == FAKE_GRANT_LESS ? 0x80 : qos;
    }
    uint8_t frame[FILTERS_MAX + 8];
    uint8_t *at = nj_mqtt_frame_put(frame, NJ_MQTT_SUBACK, 0, 2 + count);
    at = nj_mqtt_put_u16(at, id);
    at = nj_mqtt_put_bytes(at, nj_bytes(codes, count));
    put(conn, frame, (size_t)(at - frame));
}

static void on_packet(struct fake_broker *fake, struct conn *conn,
                      const struct nj_mqtt_frame *frame, struct nj_bytes body)
{
    const uint8_t connack[4] = {NJ_MQTT_CONNACK << 4, 2, 0, fake->lie == FAKE_REFUSE ? 5 : 0};
    switch (frame->type) {
    case NJ_MQTT_CONNECT:
        put(conn, connack, sizeof(connack));
        break;
    case NJ_MQTT_SUBSCRIBE:
        on_subscribe(fake, conn, body);
        break;
    case NJ_MQTT_PUBLISH:
        on_publish(fake, conn, frame->flags, body);
        break;
    default:
        break;
    }
}

static void on_readable(struct fake_broker *fake, struct conn *conn)
{
    ssize_t got = recv(conn->fd, conn->data + conn->len, sizeof(conn->data) - conn->len, 0);
    if (got <= 0) {
        close(conn->fd);
        conn->fd = -1;
        conn->filters_count = 0;
        return;
    }
    conn->len += (size_t)got;
    size_t at = 0;
    struct nj_mqtt_frame frame;
    while (nj_mqtt_frame_peek(conn->data + at, conn->len - at, &frame) == NJ_OK &&
           conn->len - at >= frame.header_len + frame.body_len) {
        on_packet(fake, conn, &frame, nj_bytes(conn->data + at + frame.header_len, frame.body_len));
        at += frame.header_len + frame.body_len;
    }
    memmove(conn->data, conn->data + at, conn->len - at);
    conn->len -= at;
}

static void on_connection(struct fake_broker *fake)
{
    int fd = accept(fake->listen_fd, NULL, NULL);
    NJ_ASSERT(fd >= 0 && fake->conns_count < CONNS_MAX);
    struct conn *conn = calloc(1, sizeof(*conn));
    NJ_ASSERT(conn != NULL);
    conn->fd = fd;
    fake->conns[fake->conns_count++] = conn;
}

static void *fake_main(void *arg)
{
    struct fake_broker *fake = arg;
    for (;;) {
        struct pollfd fds[CONNS_MAX + 2] = {{.fd = fake->stop_fds[0], .events = POLLIN},
                                            {.fd = fake->listen_fd, .events = POLLIN}};
        size_t count = fake->conns_count;
        for (size_t i = 0; i < count; i++) {
            fds[i + 2] = (struct pollfd){.fd = fake->conns[i]->fd, .events = POLLIN};
        }
        poll(fds, count + 2, -1);
        if (fds[0].revents) {
            return NULL;
        }
        for (size_t i = 0; i < count; i++) {
            if (fds[i + 2].revents) {
                on_readable(fake, fake->conns[i]);
            }
        }
        if (fds[1].revents) {
            on_connection(fake);
        }
    }
}

struct fake_broker *fake_broker_start(enum fake_lie lie)
{
    struct fake_broker *fake = calloc(1, sizeof(*fake));
    NJ_ASSERT(fake != NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    fake->lie = lie;
    fake->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NJ_ASSERT(bind(fake->listen_fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    NJ_ASSERT(listen(fake->listen_fd, CONNS_MAX) == 0);
    NJ_ASSERT(getsockname(fake->listen_fd, (struct sockaddr *)&address, &len) == 0);
    fake->port = ntohs(address.sin_port);
    NJ_ASSERT(pipe(fake->stop_fds) == 0);
    NJ_ASSERT(pthread_create(&fake->thread, NULL, fake_main, fake) == 0);
    return fake;
}

uint16_t fake_broker_port(const struct fake_broker *fake)
{
    return fake->port;
}

void fake_broker_stop(struct fake_broker *fake)
{
    NJ_ASSERT(write(fake->stop_fds[1], "", 1) == 1);
    pthread_join(fake->thread, NULL);
    for (size_t i = 0; i < fake->conns_count; i++) {
        if (fake->conns[i]->fd >= 0) {
            close(fake->conns[i]->fd);
        }
        free(fake->conns[i]);
    }
    close(fake->listen_fd);
    close(fake->stop_fds[0]);
    close(fake->stop_fds[1]);
    free(fake);
}
