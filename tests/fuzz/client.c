/* Fuzzes the client library with what a broker may send.
 *
 * The first byte says how the client behaves: modulo 3 the version; bit 2 = it subscribes,
 * publishes with every QoS and unsubscribes once it is connected; bit 3 = it takes topic aliases
 * and few messages at once. The second seeds the sizes of the pieces in which the rest arrives.
 *
 * Oracle: however the bytes are cut, the same messages and answers come out and the same end;
 * a message has a topic that may be published to, and bounded properties; an answer to SUBSCRIBE
 * has one code for each filter; no publication is reported twice; the client ends. */
#include "client/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "client/client_priv.h"
#include "fuzz/fuzz.h"

#define INPUT_MAX  16384
#define FILTERS    2
#define PUBLISHED  8
#define ACTS       4u
#define IS_LIMITED 8u

struct run {
    unsigned how;
    uint32_t dice; /* 0 = everything in one piece */
    struct nj_client *client;
    int peer;
    uint64_t digest; /* of what the callbacks were told, in order */
    size_t events;
    uint16_t ids[PUBLISHED]; /* published and not reported; 0 = free */
};

/* ---- callbacks */

static void note(struct run *run, uint8_t kind, struct nj_bytes what, uint64_t number)
{
    const uint64_t parts[] = {run->digest, kind, nj_hash_bytes(what), number};
    run->digest = nj_hash_bytes(nj_bytes(parts, sizeof(parts)));
    run->events++;
}

static void publish(struct run *run, uint8_t qos)
{
    const struct nj_client_publish message = {
        .topic = NJ_BYTES_LIT("to/broker"), .payload = NJ_BYTES_LIT("payload"), .qos = qos};
    uint16_t id = 0;
    size_t at = 0;
    if (nj_client_publish(run->client, &message, &id) != NJ_OK) {
        return;
    }
    while (at < PUBLISHED && run->ids[at]) {
        need(run->ids[at] != id);
        at++;
    }
    need(at < PUBLISHED && id != 0);
    run->ids[at] = id;
}

static void on_connected(struct nj_client *client, const struct nj_client_connack *connack,
                         void *arg)
{
    struct run *run = arg;
    const struct nj_client_filter filters[FILTERS] = {{NJ_BYTES_LIT("a/#"), 1},
                                                      {NJ_BYTES_LIT("+/b"), 2}};
    const struct nj_bytes names[FILTERS] = {filters[0].filter, filters[1].filter};
    const struct nj_client_props none = {0};
    uint16_t id;
    note(run, 'c', connack->reason, connack->code * 2u + connack->is_session_present);
    if (connack->code != 0 || !(run->how & ACTS)) {
        return;
    }
    (void)!nj_client_subscribe(client, filters, FILTERS, &none, &id);
    for (uint8_t qos = 0; qos <= 2; qos++) {
        publish(run, qos);
    }
    (void)!nj_client_unsubscribe(client, names, FILTERS, &none, &id);
}

static void on_message(struct nj_client *client, const struct nj_client_message *message, void *arg)
{
    (void)client;
    struct run *run = arg;
    need(message->qos <= 2 && (message->qos > 0) == (message->packet_id > 0));
    need(message->topic.len > 0 && fuzz_is_utf8(message->topic));
    need(!memchr(message->topic.ptr, '#', message->topic.len) &&
         !memchr(message->topic.ptr, '+', message->topic.len) &&
         !memchr(message->topic.ptr, 0, message->topic.len));
    need(message->props_count <= NJ_CLIENT_PROPS_MAX);
    note(run, 'm', message->topic, message->qos * 2u + message->retain);
    note(run, 'p', message->payload, message->props_count);
    for (size_t i = 0; i < message->props_count; i++) {
        const struct nj_client_prop *prop = &message->props[i];
        note(run, prop->id, prop->name, prop->number);
        note(run, prop->id, prop->text, 0);
    }
}

/* Not in the digest: QoS 0 is reported when the kernel has it, which is a matter of time. */
static void on_published(struct nj_client *client, uint16_t packet_id, uint8_t code,
                         struct nj_bytes reason, void *arg)
{
    (void)client;
    (void)code;
    struct run *run = arg;
    size_t at = 0;
    need(fuzz_is_utf8(reason));
    while (at < PUBLISHED && run->ids[at] != packet_id) {
        at++;
    }
    need(at < PUBLISHED && packet_id != 0);
    run->ids[at] = 0;
}

static void on_subscribed(struct nj_client *client, uint16_t packet_id, const uint8_t *codes,
                          size_t count, void *arg)
{
    (void)client;
    need(count == FILTERS);
    note(arg, 's', nj_bytes(codes, count), packet_id);
}

static void on_unsubscribed(struct nj_client *client, uint16_t packet_id, void *arg)
{
    (void)client;
    note(arg, 'u', nj_bytes(NULL, 0), packet_id);
}

static void on_kicked(struct nj_client *client, uint8_t code, struct nj_bytes reason, void *arg)
{
    (void)client;
    note(arg, 'k', reason, code);
}

static void on_trace(struct nj_client *client, const char *line, void *arg)
{
    (void)client;
    (void)arg;
    need(line[0] != '\0');
}

/* ---- the broker's side */

/* A listening socket without a name that stays behind: clients reach it through its descriptor. */
static int listen_once(char path[64])
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char folder[] = "/tmp/njfuzzXXXXXX";
    need(mkdtemp(folder) != NULL);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/s", folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    need(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 8) == 0);
    int name = open(at.sun_path, O_PATH | O_CLOEXEC);
    need(name >= 0 && unlink(at.sun_path) == 0 && rmdir(folder) == 0);
    (void)snprintf(path, 64, "/proc/self/fd/%d", name);
    return fd;
}

static size_t roll(struct run *run, size_t most)
{
    if (run->dice == 0 || most <= 1) {
        return most;
    }
    run->dice = run->dice * 1664525u + 1013904223u;
    size_t sides = (run->dice >> 8) % 3 == 0 ? 3 : most;
    return 1 + (run->dice >> 10) % (sides < most ? sides : most);
}

static void take_requests(const struct run *run)
{
    uint8_t waste[4096];
    while (recv(run->peer, waste, sizeof(waste), MSG_DONTWAIT) > 0) {
    }
}

static enum nj_err feed(struct run *run, const uint8_t *data, size_t size)
{
    enum nj_err err = NJ_OK;
    for (size_t at = 0; at < size && err == NJ_OK;) {
        size_t part = roll(run, size - at);
        ssize_t done = send(run->peer, data + at, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        need(done > 0);
        at += (size_t)done;
        err = nj_client_loop(run->client, 0);
        take_requests(run);
    }
    need(shutdown(run->peer, SHUT_WR) == 0);
    for (unsigned turn = 0; err == NJ_OK; turn++) {
        need(turn < 100);
        err = nj_client_loop(run->client, 0);
        take_requests(run);
    }
    return err;
}

static enum nj_err play(struct run *run, const uint8_t *data, size_t size)
{
    static const enum nj_mqtt_version versions[] = {NJ_MQTT_31, NJ_MQTT_311, NJ_MQTT_5};
    static const struct nj_client_prop aliases = {.id = NJ_PROP_TOPIC_ALIAS_MAXIMUM, .number = 4};
    static const struct nj_client_callbacks callbacks = {
        .connected = on_connected,
        .message = on_message,
        .published = on_published,
        .subscribed = on_subscribed,
        .unsubscribed = on_unsubscribed,
        .kicked = on_kicked,
        .trace = on_trace,
    };
    static char path[64];
    static int listener = -1;
    if (listener < 0) {
        listener = listen_once(path);
    }
    bool is_limited = run->how & IS_LIMITED;
    const struct nj_client_config config = {
        .version = versions[(run->how & 3) % 3],
        .unix_path = path,
        .client_id = "fuzz",
        .is_clean_start = true,
        .receive_max = is_limited ? 2 : 0,
        .max_inflight = is_limited ? 1 : 0,
        .connect_props = {&aliases, is_limited ? 1 : 0},
    };
    struct nj_net_error error;
    need(nj_client_new(&config, &callbacks, run, &run->client) == NJ_OK);
    need(nj_client_connect(run->client, &error) == NJ_OK);
    run->peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    need(run->peer >= 0);
    enum nj_err err = feed(run, data, size);
    need(!nj_client_is_connected(run->client));
    nj_client_free(run->client);
    (void)close(run->peer);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nj_clock_fake clock = {.mono_ns = 1000000000000, .wall_ns = 1};
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    nj_clock_set_fake(&clock);
    struct run whole = {.how = data[0]};
    struct run pieces = {.how = data[0], .dice = 1u + data[1]};
    enum nj_err end = play(&whole, data + 2, size - 2);
    need(play(&pieces, data + 2, size - 2) == end);
    need(whole.events == pieces.events && whole.digest == pieces.digest);
    return 0;
}
