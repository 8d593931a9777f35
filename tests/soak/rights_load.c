/* The load of tests/support/revocation.py: writers at a fixed rate, readers that note what arrives.
 *
 * It judges nothing. It notes times of the monotonic clock, which is one for all processes of this
 * machine: when each message was sent, when it arrived, and when its receiver had last found its
 * socket empty. Python changes the rights meanwhile and compares (tests/support/history.py).
 *
 *     rights_load PORT RATE FOLDER USER[,USER...]
 *
 * Every user reads t/+ and end with QoS 0, 1 and 2; two connections of user "w" write. Passwords
 * are the names. Prints "ready", writes until its standard input ends, lets the readers drain,
 * prints "done". FOLDER/published holds one double for each message, FOLDER/received one struct
 * arrival for each delivery. MQTT 3.1.1 throughout. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TOPICS = 4,
    WRITERS = 2,
    USERS_MAX = 8,
    CONNS_MAX = WRITERS + 3 * USERS_MAX,
    BURST = 25, /* messages in one send() of a writer */
    IN_BYTES = 1 << 16,
    OUT_BYTES = 1 << 18,
    OUT_ENOUGH = 1 << 15, /* a writer that is so far behind pauses */
    OPEN_ENOUGH = 80,     /* and with so many QoS 2 exchanges, which a server bounds */
    LAST = UINT32_MAX,    /* the payload of the message that ends the readers */
};

enum packet_type {
    CONNACK = 2,
    PUBLISH,
    PUBACK,
    PUBREC,
    PUBREL,
    PUBCOMP,
    SUBSCRIBE,
    SUBACK
};

/* A line of FOLDER/received; history.py reads the same layout. */
struct arrival {
    double at;
    double empty_at; /* 0: not since the connection began */
    uint32_t number; /* of the message */
    uint8_t user;
    uint8_t topic;
    uint8_t unused[2];
};

struct conn {
    int fd;
    int user; /* -1: a writer */
    int qos;  /* of a reader's subscription */
    bool is_ready;
    bool is_done;
    double empty_at;
    unsigned open; /* QoS 2 exchanges of a writer */
    size_t in_len;
    size_t out_len;
    unsigned char in[IN_BYTES];
    unsigned char out[OUT_BYTES];
};

static struct conn conns[CONNS_MAX];
static int conn_count;
static FILE *published, *received;
static uint32_t sent_count;
static uint64_t received_count;

static void die(const char *what)
{
    fprintf(stderr, "rights_load: %s: %s\n", what, errno ? strerror(errno) : "bad answer");
    exit(1);
}

static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put(struct conn *c, const void *data, size_t len)
{
    if (c->out_len + len > sizeof(c->out)) {
        errno = 0;
        die("a connection is stuck");
    }
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
}

static void put_text(struct conn *c, const char *text)
{
    const size_t len = strlen(text);
    const unsigned char head[2] = {(unsigned char)(len >> 8), (unsigned char)len};
    put(c, head, 2);
    put(c, text, len);
}

/* All packets here are shorter than 128 bytes. */
static void put_head(struct conn *c, unsigned first, size_t len)
{
    const unsigned char head[2] = {(unsigned char)first, (unsigned char)len};
    put(c, head, 2);
}

static void put_ack(struct conn *c, enum packet_type type, const unsigned char *id)
{
    put_head(c, (unsigned)type << 4 | (type == PUBREL ? 2 : 0), 2);
    put(c, id, 2);
}

static void put_connect(struct conn *c, const char *id, const char *user)
{
    static const unsigned char fixed[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 0xC2, 0, 0};
    put_head(c, 0x10, sizeof(fixed) + strlen(id) + 2 + 2 * (strlen(user) + 2));
    put(c, fixed, sizeof(fixed));
    put_text(c, id);
    put_text(c, user);
    put_text(c, user);
}

static void put_subscribe(struct conn *c, int qos)
{
    const unsigned char wanted = (unsigned char)qos, once = 1;
    put_head(c, 0x82, 2 + (2 + 3 + 1) + (2 + 3 + 1));
    put(c, "\0\1", 2);
    put_text(c, "t/+");
    put(c, &wanted, 1);
    put_text(c, "end");
    put(c, &once, 1);
}

static void put_publish(struct conn *c, const char *topic, uint32_t number, unsigned qos)
{
    put_head(c, 0x30 | qos << 1, 2 + strlen(topic) + (qos ? 2 : 0) + sizeof(number));
    put_text(c, topic);
    if (qos) {
        const unsigned id = number % 60000 + 1;
        const unsigned char bytes[2] = {(unsigned char)(id >> 8), (unsigned char)id};
        put(c, bytes, 2);
    }
    put(c, &number, sizeof(number));
}

static void flush(struct conn *c)
{
    while (c->out_len) {
        const ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            die("send");
        }
        c->out_len -= (size_t)n;
        memmove(c->out, c->out + n, c->out_len);
    }
}

static void on_publish(struct conn *c, const unsigned char *p, size_t len, unsigned flags)
{
    const unsigned qos = flags >> 1 & 3;
    const size_t topic_len = (size_t)p[0] << 8 | p[1];
    const size_t at = 2 + topic_len + (qos ? 2 : 0);
    struct arrival one = {.at = now(), .empty_at = c->empty_at, .user = (uint8_t)c->user};
    if (at + sizeof(one.number) != len) {
        die("publish");
    }
    memcpy(&one.number, p + at, sizeof(one.number));
    if (qos) {
        put_ack(c, qos == 1 ? PUBACK : PUBREC, p + 2 + topic_len);
    }
    if (one.number == LAST) {
        c->is_done = true;
        return;
    }
    one.topic = (uint8_t)(p[2 + topic_len - 1] - '0');
    if (fwrite(&one, sizeof(one), 1, received) != 1) {
        die("received");
    }
    received_count++;
}

static void on_packet(struct conn *c, unsigned first, const unsigned char *body, size_t len)
{
    switch (first >> 4) {
    case CONNACK:
        if (len != 2 || body[1] != 0) {
            die("login");
        }
        if (c->user < 0) {
            c->is_ready = true;
        } else {
            put_subscribe(c, c->qos);
        }
        break;
    case SUBACK:
        if (body[2] == 0x80 || body[3] == 0x80) {
            die("subscribe");
        }
        c->is_ready = true;
        break;
    case PUBLISH:
        on_publish(c, body, len, first & 15);
        break;
    case PUBREC:
        put_ack(c, PUBREL, body);
        break;
    case PUBREL:
        put_ack(c, PUBCOMP, body);
        break;
    case PUBCOMP:
        c->open--;
        break;
    case PUBACK:
        break;
    default:
        die("packet");
    }
}

/* Reads until nothing is left. The time is taken before the read that finds nothing: what arrives
 * later was written later. */
static void drain(struct conn *c)
{
    for (;;) {
        const double before = now();
        const ssize_t n = recv(c->fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            c->empty_at = before;
            break;
        }
        if (n <= 0) {
            die("the broker closed a connection");
        }
        c->in_len += (size_t)n;
        errno = 0;
        size_t at = 0;
        while (c->in_len - at >= 2 && c->in_len - at >= 2 + (size_t)c->in[at + 1]) {
            if (c->in[at + 1] & 0x80) {
                die("packet of unexpected length");
            }
            on_packet(c, c->in[at], c->in + at + 2, c->in[at + 1]);
            at += 2 + (size_t)c->in[at + 1];
        }
        c->in_len -= at;
        memmove(c->in, c->in + at, c->in_len);
    }
    flush(c);
}

static void open_conn(int port, const char *name, int user, int qos)
{
    struct conn *c = &conns[conn_count];
    const struct sockaddr_in to = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    char id[32];
    c->user = user;
    c->qos = qos;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        die("connect");
    }
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)snprintf(id, sizeof(id), "load%d", conn_count++);
    put_connect(c, id, name);
    flush(c);
}

/* One turn: waits for events at most so long, and reads. False when standard input has ended. */
static bool turn(bool watches_input, int wait_ms)
{
    struct pollfd polls[CONNS_MAX + 1];
    for (int i = 0; i < conn_count; i++) {
        const short out = conns[i].out_len ? POLLOUT : 0;
        polls[i] = (struct pollfd){.fd = conns[i].fd, .events = (short)(POLLIN | out)};
    }
    polls[conn_count] = (struct pollfd){.fd = watches_input ? 0 : -1, .events = POLLIN};
    if (poll(polls, (nfds_t)conn_count + 1, wait_ms) < 0) {
        die("poll");
    }
    for (int i = 0; i < conn_count; i++) {
        if (polls[i].revents) {
            drain(&conns[i]);
        }
    }
    return !polls[conn_count].revents;
}

static void write_burst(struct conn *c)
{
    const double at = now();
    for (int i = 0; i < BURST; i++) {
        /* All pairs of topic and QoS in turn. */
        const char topic[] = {'t', '/', (char)('0' + sent_count % TOPICS), '\0'};
        if (fwrite(&at, sizeof(at), 1, published) != 1) {
            die("published");
        }
        const unsigned qos = sent_count / TOPICS % 3;
        put_publish(c, topic, sent_count, qos);
        c->open += qos == 2;
        sent_count++;
    }
    flush(c);
}

static void write_at_rate(double rate)
{
    const double began = now();
    uint64_t bursts = 0;
    for (;;) {
        const double due = began + (double)bursts * BURST / rate;
        const double left = due - now();
        if (left <= 0) {
            struct conn *c = &conns[bursts % WRITERS];
            if (c->out_len < OUT_ENOUGH && c->open < OPEN_ENOUGH) {
                write_burst(c);
            }
            bursts++; /* a burst that found its writer behind is left out */
        }
        if (!turn(true, left > 0 ? (int)(left * 1000) + 1 : 0)) {
            return;
        }
    }
}

static bool are_all(bool (*is_so)(const struct conn *))
{
    for (int i = 0; i < conn_count; i++) {
        if (!is_so(&conns[i])) {
            return false;
        }
    }
    return true;
}

static bool is_ready(const struct conn *c)
{
    return c->is_ready;
}

static bool is_done(const struct conn *c)
{
    return c->user < 0 || c->is_done;
}

/* Until everybody is so; `again` is done every half second. */
static void wait_for_all(bool (*is_so)(const struct conn *), void (*again)(void))
{
    const double deadline = now() + 60;
    double next = 0;
    while (!are_all(is_so)) {
        if (now() > deadline) {
            errno = ETIMEDOUT;
            die("waiting");
        }
        if (again && now() >= next) {
            again();
            next = now() + 0.5;
        }
        (void)turn(false, 100);
    }
}

/* A full queue may drop the last message, so it is sent until everybody has it. */
static void send_last(void)
{
    put_publish(&conns[0], "end", LAST, 1);
    flush(&conns[0]);
}

static FILE *open_output(const char *folder, const char *name)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f) {
        die(path);
    }
    return f;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: rights_load PORT RATE FOLDER USER[,USER...]\n");
        return 2;
    }
    const int port = (int)strtol(argv[1], NULL, 10);
    const double rate = strtod(argv[2], NULL);
    published = open_output(argv[3], "published");
    received = open_output(argv[3], "received");
    for (int i = 0; i < WRITERS; i++) {
        open_conn(port, "w", -1, 0);
    }
    char *rest = argv[4];
    for (int user = 0; user < USERS_MAX && rest; user++) {
        const char *name = strsep(&rest, ",");
        for (int qos = 0; qos <= 2; qos++) {
            open_conn(port, name, user, qos);
        }
    }
    wait_for_all(is_ready, NULL);
    printf("ready\n");
    (void)fflush(stdout);
    write_at_rate(rate);
    wait_for_all(is_done, send_last);
    if (fclose(published) || fclose(received)) {
        die("write");
    }
    printf("done %u %llu\n", sent_count, (unsigned long long)received_count);
    return 0;
}
