/* The load of backlog.py: fills the queues of sessions that are away, and drains them.
 *
 *     backlog_load PORT fill  SESSIONS COUNT SIZE EXPIRY_S    EXPIRY_S 0 = never
 *     backlog_load PORT drain SESSIONS COUNT SIZE
 *
 * Message `number` comes from publisher number % PUBLISHERS and goes to one session, the
 * publisher's messages to all sessions in turn; so what a session has to get from each publisher
 * next is known without noting anything of what was sent. Draining ends with the last message of
 * every session and a PINGRESP after it; one that is missing, doubled, out of order or changed ends
 * the program with an error. Session i is client id "away<i>" with the subscription "b/<i>". MQTT
 * 5, QoS 1.
 *
 * Prints one line of JSON: the count, the seconds from the first message to the last answer, the
 * seconds until the first message came (draining), what each tenth took, how many publications were
 * refused (filling). Progress goes to standard error every ten seconds. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PUBLISHERS = 16,
    SESSIONS_MAX = 1000,
    WINDOW = 64, /* publications of one publisher without an answer */
    PAYLOAD_MIN = 16,
    PAYLOAD_MAX = 1024,
    IN_BYTES = 1 << 16,
    OUT_BYTES = 1 << 18,
    TENTHS = 10,
    REASON_REFUSED = 0x80,
};

enum packet {
    TYPE_CONNACK = 0x20,
    TYPE_PUBLISH = 0x30,
    TYPE_PUBACK = 0x40,
    TYPE_PINGRESP = 0xd0,
};

struct conn {
    int fd;
    unsigned index; /* of the publisher or session */
    bool is_ready;
    bool is_quiet;     /* draining: PINGRESP came after the last message */
    uint64_t next;     /* filling: position in the publisher's messages */
    unsigned open;     /* filling: without an answer */
    uint64_t received; /* draining */
    size_t in_len;
    size_t out_len;
    unsigned char in[IN_BYTES];
    unsigned char out[OUT_BYTES];
};

static struct {
    bool is_filling;
    int port;
    unsigned sessions;
    uint64_t count;
    size_t size;
    uint32_t expiry_s;
    struct conn *conns;
    unsigned conn_count;
    uint64_t *due; /* draining, [session][publisher]: position of the next message */
    uint64_t done;
    uint64_t refused;
    double began;
    double first_at;
    double tenths[TENTHS];
} load;

static void die(const char *what)
{
    fprintf(stderr, "backlog_load: %s: %s\n", what, errno ? strerror(errno) : "bad answer");
    exit(1);
}

static void die_of(const char *what, const struct conn *c, uint64_t number)
{
    fprintf(stderr, "backlog_load: %s: session %u, message %" PRIu64 ", after %" PRIu64 "\n", what,
            c->index, number, c->received);
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* How many messages a publisher sends in all. */
static uint64_t share_of(unsigned publisher)
{
    return load.count / PUBLISHERS + (publisher < load.count % PUBLISHERS);
}

static void count_one(void)
{
    load.done++;
    const uint64_t tenth = load.count / TENTHS;
    if (tenth && load.done % tenth == 0 && load.done / tenth <= TENTHS) {
        load.tenths[load.done / tenth - 1] = now();
    }
}

/* ---- bytes out */

static void put(struct conn *c, const void *data, size_t len)
{
    if (c->out_len + len > sizeof(c->out)) {
        errno = 0;
        die("a connection is stuck");
    }
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
}

static void put_u8(struct conn *c, unsigned value)
{
    const unsigned char byte = (unsigned char)value;
    put(c, &byte, 1);
}

static void put_u16(struct conn *c, unsigned value)
{
    put_u8(c, value >> 8);
    put_u8(c, value);
}

static void put_u32(struct conn *c, uint32_t value)
{
    put_u16(c, value >> 16);
    put_u16(c, value & 0xffff);
}

static void put_text(struct conn *c, const char *text)
{
    put_u16(c, (unsigned)strlen(text));
    put(c, text, strlen(text));
}

/* Two bytes of length do for everything here. */
static void put_head(struct conn *c, unsigned first, size_t len)
{
    put_u8(c, first);
    if (len > 127) {
        put_u8(c, (len & 127) | 128);
    }
    put_u8(c, (unsigned)(len > 127 ? len >> 7 : len));
}

static void put_connect(struct conn *c)
{
    /* Clean start for publishers; sessions resume and last. Both: session expiry interval. */
    char id[32];
    (void)snprintf(id, sizeof(id), load.is_filling ? "fill%u" : "away%u", c->index);
    put_head(c, 0x10, 10 + 1 + 5 + 2 + strlen(id));
    put_text(c, "MQTT");
    put_u8(c, 5);
    put_u8(c, load.is_filling ? 2 : 0);
    put_u16(c, 0);
    put_u8(c, 5);
    put_u8(c, 0x11);
    put_u32(c, load.is_filling ? 0 : UINT32_MAX);
    put_text(c, id);
}

static void fill_payload(unsigned char *payload, uint64_t number)
{
    memset(payload, (int)(number % 251), load.size);
    memcpy(payload, &number, sizeof(number));
}

static void put_publish(struct conn *c)
{
    const uint64_t number = c->next * PUBLISHERS + c->index;
    unsigned char payload[PAYLOAD_MAX];
    char topic[32];
    (void)snprintf(topic, sizeof(topic), "b/%u", (unsigned)(c->next % load.sessions));
    const size_t props = load.expiry_s ? 5 : 0;
    put_head(c, TYPE_PUBLISH | 2, 2 + strlen(topic) + 2 + 1 + props + load.size);
    put_text(c, topic);
    put_u16(c, (unsigned)(c->next % 60000 + 1));
    put_u8(c, (unsigned)props);
    if (props) {
        put_u8(c, 2);
        put_u32(c, load.expiry_s);
    }
    fill_payload(payload, number);
    put(c, payload, load.size);
    c->next++;
    c->open++;
}

static void publish_more(struct conn *c)
{
    const uint64_t all = share_of(c->index);
    while (c->is_ready && c->open < WINDOW && c->next < all) {
        put_publish(c);
    }
}

static void flush(struct conn *c)
{
    size_t at = 0;
    while (at < c->out_len) {
        const ssize_t n = send(c->fd, c->out + at, c->out_len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            die("send");
        }
        at += (size_t)n;
    }
    c->out_len -= at;
    memmove(c->out, c->out + at, c->out_len);
}

/* ---- bytes in */

static void on_connack(struct conn *c, const unsigned char *body, size_t len)
{
    if (len < 2 || body[1] != 0) {
        die("login");
    }
    if (!load.is_filling && !(body[0] & 1)) {
        die("the session is not there");
    }
    c->is_ready = true;
}

static void on_puback(struct conn *c, const unsigned char *body, size_t len)
{
    load.refused += len > 2 && body[2] >= REASON_REFUSED;
    c->open--;
    count_one();
}

/* The next of its publisher for this session, and whole. */
static void check_message(struct conn *c, const unsigned char *payload, size_t len)
{
    unsigned char wanted[PAYLOAD_MAX];
    uint64_t number;
    if (len != load.size) {
        die_of("a payload of another size", c, 0);
    }
    memcpy(&number, payload, sizeof(number));
    fill_payload(wanted, number);
    if (memcmp(wanted, payload, len) != 0 || number >= load.count) {
        die_of("a changed payload", c, number);
    }
    uint64_t *due = &load.due[(size_t)c->index * PUBLISHERS + number % PUBLISHERS];
    if (number / PUBLISHERS != *due) {
        die_of(number / PUBLISHERS < *due ? "doubled or out of order" : "missing before", c,
               number);
    }
    *due += load.sessions;
}

static void on_publish(struct conn *c, const unsigned char *body, size_t len, unsigned flags)
{
    const size_t topic_len = (size_t)body[0] << 8 | body[1];
    const size_t id_at = 2 + topic_len;
    if ((flags >> 1 & 3) != 1 || id_at + 3 > len || body[id_at + 2] & 0x80) {
        die("publish");
    }
    const size_t payload_at = id_at + 3 + body[id_at + 2];
    if (payload_at > len) {
        die("publish");
    }
    if (!load.first_at) {
        load.first_at = now();
    }
    if (flags & 8) {
        die_of("sent again", c, 0);
    }
    check_message(c, body + payload_at, len - payload_at);
    put_head(c, TYPE_PUBACK, 2);
    put(c, body + id_at, 2);
    c->received++;
    count_one();
}

static void on_packet(struct conn *c, unsigned first, const unsigned char *body, size_t len)
{
    switch (first & 0xf0) {
    case TYPE_CONNACK:
        on_connack(c, body, len);
        break;
    case TYPE_PUBACK:
        on_puback(c, body, len);
        break;
    case TYPE_PUBLISH:
        on_publish(c, body, len, first & 15);
        break;
    case TYPE_PINGRESP:
        c->is_quiet = true;
        break;
    default:
        errno = 0;
        die("packet");
    }
}

/* Bytes of the packet at `in`, 0 when it is not whole. *body_at: where its body begins. */
static size_t packet_len(const unsigned char *in, size_t have, size_t *body_at)
{
    size_t len = 0;
    for (size_t i = 1; i < have && i < 4; i++) {
        len |= (size_t)(in[i] & 127) << 7 * (i - 1);
        if (!(in[i] & 128)) {
            *body_at = i + 1;
            return i + 1 + len <= have ? i + 1 + len : 0;
        }
    }
    return 0;
}

static void read_some(struct conn *c)
{
    const ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        die("the broker closed a connection");
    }
    c->in_len += (size_t)n;
    errno = 0;
    size_t at = 0;
    size_t body_at = 0;
    size_t len;
    while ((len = packet_len(c->in + at, c->in_len - at, &body_at))) {
        on_packet(c, c->in[at], c->in + at + body_at, len - body_at);
        at += len;
    }
    c->in_len -= at;
    memmove(c->in, c->in + at, c->in_len);
}

/* ---- running */

static void open_conn(unsigned index)
{
    struct conn *c = &load.conns[load.conn_count++];
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)load.port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    c->index = index;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    put_connect(c);
    flush(c);
}

static void turn(void)
{
    static struct pollfd polls[SESSIONS_MAX];
    for (unsigned i = 0; i < load.conn_count; i++) {
        const short out = load.conns[i].out_len ? POLLOUT : 0;
        polls[i] = (struct pollfd){.fd = load.conns[i].fd, .events = (short)(POLLIN | out)};
    }
    if (poll(polls, load.conn_count, 1000) < 0) {
        die("poll");
    }
    for (unsigned i = 0; i < load.conn_count; i++) {
        struct conn *c = &load.conns[i];
        if (polls[i].revents & (POLLIN | POLLHUP | POLLERR)) {
            read_some(c);
        }
        if (load.is_filling) {
            publish_more(c);
        }
        flush(c);
    }
}

static void tell_progress(void)
{
    static double next;
    if (!next) {
        next = load.began + 10;
    }
    if (now() >= next) {
        fprintf(stderr, "%s: %" PRIu64 " of %" PRIu64 " after %.0f s\n",
                load.is_filling ? "filled" : "drained", load.done, load.count, now() - load.began);
        next = now() + 10;
    }
}

static bool are_quiet(void)
{
    for (unsigned i = 0; i < load.conn_count; i++) {
        if (!load.conns[i].is_quiet) {
            return false;
        }
    }
    return true;
}

/* What comes beyond the last message is an error, and PINGRESP comes behind it. */
static void listen_on(void)
{
    for (unsigned i = 0; i < load.conn_count; i++) {
        put_head(&load.conns[i], 0xc0, 0);
        flush(&load.conns[i]);
    }
    while (!are_quiet()) {
        turn();
    }
}

static void print_result(double ended)
{
    printf("{\"count\": %" PRIu64 ", \"seconds\": %.3f, \"first\": %.3f, \"refused\": %" PRIu64
           ", \"tenths\": [",
           load.done, ended - (load.first_at ? load.first_at : load.began),
           load.first_at ? load.first_at - load.began : 0, load.refused);
    double from = load.first_at ? load.first_at : load.began;
    for (int i = 0; i < TENTHS; i++) {
        printf("%s%.6f", i ? ", " : "", load.tenths[i] ? load.tenths[i] - from : 0);
        from = load.tenths[i];
    }
    printf("]}\n");
}

static bool read_arguments(int argc, char **argv)
{
    if (argc < 6 || (strcmp(argv[2], "fill") != 0 && strcmp(argv[2], "drain") != 0)) {
        return false;
    }
    load.is_filling = strcmp(argv[2], "fill") == 0;
    load.port = (int)strtol(argv[1], NULL, 10);
    load.sessions = (unsigned)strtoul(argv[3], NULL, 10);
    load.count = strtoull(argv[4], NULL, 10);
    load.size = strtoull(argv[5], NULL, 10);
    load.expiry_s = argc > 6 ? (uint32_t)strtoul(argv[6], NULL, 10) : 0;
    return argc == (load.is_filling ? 7 : 6) && load.sessions && load.sessions <= SESSIONS_MAX &&
           load.count && load.size >= PAYLOAD_MIN && load.size <= PAYLOAD_MAX;
}

int main(int argc, char **argv)
{
    if (!read_arguments(argc, argv)) {
        fprintf(stderr, "usage: backlog_load PORT fill SESSIONS COUNT SIZE EXPIRY_S\n"
                        "       backlog_load PORT drain SESSIONS COUNT SIZE\n");
        return 2;
    }
    const unsigned wanted = load.is_filling ? PUBLISHERS : load.sessions;
    load.conns = calloc(wanted, sizeof(*load.conns));
    load.due = calloc((size_t)load.sessions * PUBLISHERS, sizeof(*load.due));
    if (!load.conns || !load.due) {
        die("memory");
    }
    for (size_t i = 0; i < (size_t)load.sessions * PUBLISHERS; i++) {
        load.due[i] = i / PUBLISHERS;
    }
    load.began = now();
    for (unsigned i = 0; i < wanted; i++) {
        open_conn(i);
    }
    while (load.done < load.count) {
        turn();
        tell_progress();
    }
    const double ended = now();
    if (!load.is_filling) {
        listen_on();
    }
    print_result(ended);
    return 0;
}
