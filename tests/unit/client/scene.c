/* What scene.h promises. */
#include "scene.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_connected(struct nj_client *client, const struct nj_client_connack *connack,
                         void *arg)
{
    struct scene *s = arg;
    (void)client;
    s->connected++;
    s->connack_code = connack->code;
    s->is_session_present = connack->is_session_present;
}

static void on_message(struct nj_client *client, const struct nj_client_message *message, void *arg)
{
    struct scene *s = arg;
    s->messages++;
    if (s->disconnects_on_message) {
        nj_client_disconnect(client, 0, NULL);
    }
    snprintf(s->topic, sizeof(s->topic), "%.*s", (int)message->topic.len,
             (const char *)message->topic.ptr);
    snprintf(s->payload, sizeof(s->payload), "%.*s", (int)message->payload.len,
             (const char *)message->payload.ptr);
    s->props_count = message->props_count;
    if (message->props_count > 0) {
        s->prop = message->props[0];
    }
}

static void on_published(struct nj_client *client, uint16_t packet_id, uint8_t code,
                         struct nj_bytes reason, void *arg)
{
    struct scene *s = arg;
    (void)client;
    (void)reason;
    s->published++;
    s->published_id = packet_id;
    s->published_code = code;
}

static void on_subscribed(struct nj_client *client, uint16_t packet_id, const uint8_t *codes,
                          size_t count, void *arg)
{
    struct scene *s = arg;
    (void)client;
    (void)packet_id;
    s->subscribed++;
    s->codes = 0;
    for (size_t i = 0; i < count; i++) {
        s->codes += codes[i] < 0x80 ? 1 : 0;
    }
}

static void on_unsubscribed(struct nj_client *client, uint16_t packet_id, void *arg)
{
    struct scene *s = arg;
    (void)client;
    (void)packet_id;
    s->unsubscribed++;
}

static void on_kicked(struct nj_client *client, uint8_t code, struct nj_bytes reason, void *arg)
{
    struct scene *s = arg;
    (void)client;
    (void)reason;
    s->kicked = code;
}

static const struct nj_client_callbacks CALLBACKS = {
    .connected = on_connected,
    .message = on_message,
    .published = on_published,
    .subscribed = on_subscribed,
    .unsubscribed = on_unsubscribed,
    .kicked = on_kicked,
};

void open_scene(struct scene *s, enum nj_mqtt_version version)
{
    memset(s, 0, sizeof(*s));
    strcpy(s->dir, "/tmp/nj-client-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->path, sizeof(s->path), "%s/s", s->dir);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(s->listener, 5), 0);
    s->config = (struct nj_client_config){
        .version = version, .unix_path = s->path, .is_clean_start = true, .client_id = "c"};
    s->peer = -1;
}

void connect_scene(struct scene *s)
{
    struct nj_net_error error;
    if (s->client == NULL) {
        assert_int_equal(nj_client_new(&s->config, &CALLBACKS, s, &s->client), NJ_OK);
    }
    assert_int_equal(nj_client_connect(s->client, &error), NJ_OK);
    if (s->peer >= 0) {
        close(s->peer);
    }
    s->peer = accept(s->listener, NULL, NULL);
    assert_true(s->peer >= 0);
}

void close_scene(struct scene *s)
{
    nj_client_free(s->client);
    close(s->peer);
    close(s->listener);
    unlink(s->path);
    rmdir(s->dir);
}

void send_bytes(struct scene *s, const void *data, size_t len)
{
    assert_int_equal(send(s->peer, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

size_t receive(struct scene *s, uint8_t *out, size_t size, size_t least)
{
    size_t len = 0;
    for (;;) {
        struct pollfd pfd = {s->peer, POLLIN, 0};
        if (poll(&pfd, 1, len < least ? 5000 : 0) <= 0) {
            return len;
        }
        ssize_t n = recv(s->peer, out + len, size - len, 0);
        if (n <= 0) {
            return len;
        }
        len += (size_t)n;
    }
}

void expect_bytes(struct scene *s, const void *wanted, size_t len)
{
    uint8_t got[512];
    size_t n = receive(s, got, sizeof(got), len);
    if (n != len || memcmp(got, wanted, len) != 0) {
        for (size_t i = 0; i < n; i++) {
            fprintf(stderr, "%02x ", got[i]);
        }
        fail_msg("got %zu bytes, wanted %zu", n, len);
    }
}

enum nj_err turn(struct scene *s)
{
    return nj_client_loop(s->client, 1000);
}

void up(struct scene *s, enum nj_mqtt_version version)
{
    uint8_t scratch[512];
    open_scene(s, version);
    connect_scene(s);
    assert_true(receive(s, scratch, sizeof(scratch), 1) > 0);
    if (version == NJ_MQTT_5) {
        SEND(s, "\x20\x03\x00\x00\x00");
    } else {
        SEND(s, "\x20\x02\x00\x00");
    }
    assert_int_equal(turn(s), NJ_OK);
    assert_true(nj_client_is_connected(s->client));
}

uint16_t publish(struct scene *s, uint8_t qos)
{
    const struct nj_client_publish message = {
        .topic = NJ_BYTES_LIT("t"), .payload = NJ_BYTES_LIT("x"), .qos = qos};
    uint16_t id = 0;
    assert_int_equal(nj_client_publish(s->client, &message, &id), NJ_OK);
    return id;
}
