/* One connection of the generator: opening, reading packets out of the thread's buffer, and the
 * output that a turn collects and then writes with one call. Events are edge-triggered and armed
 * once, so every read goes on until the socket is dry. */
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench_engine.h"

static const char *role_name(const struct nj_bench_conn *conn)
{
    static const char *const NAMES[] = {"publisher", "subscriber", "idle connection", "connection",
                                        "login"};
    return NAMES[conn->role];
}

void nj_bench_conn_close(struct nj_bench_conn *conn)
{
    if (conn->state == NJ_BENCH_CLOSED) {
        return;
    }
    if (conn->state != NJ_BENCH_OPEN && conn->state != NJ_BENCH_WAIT_END) {
        conn->thread->opening--;
    }
    if (conn->ssl) {
        /* Without this, OpenSSL takes the session for a bad one and never resumes it. */
        SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(conn->ssl);
        conn->ssl = NULL;
    }
    close(conn->fd);
    conn->fd = -1;
    conn->state = NJ_BENCH_CLOSED;
    conn->is_blocked = false;
    /* Nothing of it may stay in the list of the turn, which may open it again. */
    for (struct nj_bench_conn **at = &conn->thread->dirty; conn->is_dirty;
         at = &(*at)->next_dirty) {
        if (*at == conn) {
            *at = conn->next_dirty;
            conn->is_dirty = false;
            break;
        }
    }
    conn->out_at = 0;
    conn->out_len = 0;
    nj_free(conn->rest);
    conn->rest = NULL;
    conn->rest_len = 0;
}

static void finish_login(struct nj_bench_conn *conn, enum nj_bench_outcome outcome)
{
    struct nj_bench_login *login = conn->login;
    if (login->outcome != NJ_BENCH_OUTCOME_NONE) {
        return;
    }
    login->outcome = (uint8_t)outcome;
    login->took_ns = nj_clock_mono_ns() - conn->opened_ns;
    atomic_fetch_add_explicit(&conn->thread->logins_done, 1, memory_order_release);
}

void nj_bench_conn_lost(struct nj_bench_conn *conn, const char *why)
{
    struct nj_bench_thread *thread = conn->thread;
    bool is_end = conn->state == NJ_BENCH_WAIT_END;
    uint32_t index = conn->index;
    const char *role = role_name(conn);
    nj_bench_conn_close(conn);
    if (conn->role == NJ_BENCH_ROLE_LOGIN) {
        finish_login(conn, NJ_BENCH_OUTCOME_BROKEN);
    } else if (conn->role == NJ_BENCH_ROLE_CYCLE && is_end) {
        atomic_fetch_add_explicit(&thread->cycles, 1, memory_order_relaxed);
        conn->next_dirty = thread->reopen;
        thread->reopen = conn;
    } else {
        nj_bench_fail(thread->engine, "%s %u: %s", role, index, why);
    }
}

void nj_bench_conn_open(struct nj_bench_conn *conn)
{
    struct nj_bench_thread *thread = conn->thread;
    const struct nj_bench_engine *engine = thread->engine;
    int one = 1;
    conn->fd = socket(engine->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        nj_bench_fail(thread->engine, "no socket for %s %u: %s", role_name(conn), conn->index,
                      strerror(errno));
        return;
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    conn->state = NJ_BENCH_CONNECTING;
    conn->opened_ns = nj_clock_mono_ns();
    thread->opening++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = conn};
    int result = connect(conn->fd, (const struct sockaddr *)&engine->address, engine->address_len);
    if (result != 0 && errno != EINPROGRESS) {
        nj_bench_conn_lost(conn, strerror(errno));
        return;
    }
    if (epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0) {
        nj_bench_conn_lost(conn, strerror(errno));
    }
}

uint8_t *nj_bench_conn_put(struct nj_bench_conn *conn, uint32_t len)
{
    if (conn->out_cap - conn->out_len < len) {
        if (conn->out_at) {
            memmove(conn->out, conn->out + conn->out_at, conn->out_len - conn->out_at);
            conn->out_len -= conn->out_at;
            conn->out_at = 0;
        }
        if (conn->out_cap - conn->out_len < len) {
            uint32_t cap = conn->out_cap ? conn->out_cap : 256;
            while (cap - conn->out_len < len) {
                cap *= 2;
            }
            conn->out = nj_realloc(conn->out, cap);
            conn->out_cap = cap;
        }
    }
    uint8_t *at = conn->out + conn->out_len;
    conn->out_len += len;
    if (!conn->is_dirty) {
        conn->is_dirty = true;
        conn->next_dirty = conn->thread->dirty;
        conn->thread->dirty = conn;
    }
    return at;
}

static void flush_one(struct nj_bench_conn *conn)
{
    while (conn->out_at < conn->out_len) {
        int64_t put =
            nj_bench_io_write(conn, conn->out + conn->out_at, conn->out_len - conn->out_at);
        if (put == -1) {
            conn->is_blocked = true;
            return;
        }
        if (put < 0) {
            nj_bench_conn_lost(conn, "the broker closed the connection while we were writing");
            return;
        }
        conn->out_at += (uint32_t)put;
    }
    conn->is_blocked = false;
    conn->out_at = 0;
    conn->out_len = 0;
}

void nj_bench_flush(struct nj_bench_thread *thread)
{
    while (thread->dirty) {
        struct nj_bench_conn *conn = thread->dirty;
        thread->dirty = conn->next_dirty;
        conn->is_dirty = false;
        if (!conn->is_blocked && conn->state >= NJ_BENCH_WAIT_CONNACK) {
            flush_one(conn);
        }
    }
}

/* Handles the whole packets in data[0, len); returns how much they were. */
static size_t take_packets(struct nj_bench_conn *conn, const uint8_t *data, size_t len)
{
    size_t at = 0;
    while (at < len) {
        struct nj_mqtt_frame frame;
        enum nj_err err = nj_mqtt_frame_peek(data + at, len - at, &frame);
        if (err == NJ_EAGAIN) {
            break;
        }
        if (err != NJ_OK) {
            nj_bench_conn_lost(conn, "the broker sent a malformed packet");
            return at;
        }
        if (len - at - frame.header_len < frame.body_len) {
            break;
        }
        if (!nj_bench_packet(conn, &frame, data + at + frame.header_len)) {
            return at;
        }
        at += frame.header_len + frame.body_len;
        if (conn->state == NJ_BENCH_CLOSED) {
            break;
        }
    }
    return at;
}

static void keep_rest(struct nj_bench_conn *conn, const uint8_t *data, size_t len)
{
    if (len) {
        conn->rest = nj_alloc(len);
        memcpy(conn->rest, data, len);
        conn->rest_len = (uint32_t)len;
    }
}

/* One read. False when there is no more for now, or the connection is gone. */
static bool read_once(struct nj_bench_conn *conn, bool is_ending)
{
    struct nj_bench_thread *thread = conn->thread;
    uint8_t *buffer = thread->buffer;
    size_t have = conn->rest_len;
    /* The buffer holds one read behind the longest packet that we let a broker send. */
    size_t cap = NJ_BENCH_READ_SIZE;
    if (have > NJ_BENCH_PAYLOAD_MAX + 1024) {
        nj_bench_conn_lost(conn, "the broker sent a packet longer than any of ours");
        return false;
    }
    int64_t got = nj_bench_io_read(conn, buffer + have, cap);
    if (got == -1) {
        return false;
    }
    if (got <= 0) {
        nj_bench_conn_lost(conn,
                           got == 0 ? "the broker closed the connection" : "the connection broke");
        return false;
    }
    if (have) {
        memcpy(buffer, conn->rest, have);
        nj_free(conn->rest);
        conn->rest = NULL;
        conn->rest_len = 0;
    }
    size_t len = have + (size_t)got;
    size_t used = take_packets(conn, buffer, len);
    if (conn->state == NJ_BENCH_CLOSED) {
        return false;
    }
    keep_rest(conn, buffer + used, len - used);
    return conn->ssl || is_ending || (size_t)got == cap;
}

static void read_all(struct nj_bench_conn *conn, bool is_ending)
{
    conn->thread->now_ns = nj_clock_mono_ns();
    while (read_once(conn, is_ending)) {
    }
}

static void on_connected(struct nj_bench_conn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        nj_bench_conn_lost(conn, strerror(error));
        return;
    }
    if (conn->thread->engine->tls == NULL) {
        conn->state = NJ_BENCH_WAIT_CONNACK;
        nj_bench_send_connect(conn);
        return;
    }
    conn->state = NJ_BENCH_HANDSHAKING;
    if (!nj_bench_tls_start(conn)) {
        nj_bench_conn_lost(conn, "OpenSSL gives no connection");
    }
}

static void on_handshake(struct nj_bench_conn *conn)
{
    const char *why = NULL;
    int result = nj_bench_tls_handshake(conn, &why);
    if (result < 0) {
        nj_bench_conn_lost(conn, why);
    } else if (result > 0) {
        conn->state = NJ_BENCH_WAIT_CONNACK;
        nj_bench_send_connect(conn);
    }
}

void nj_bench_conn_event(struct nj_bench_conn *conn, uint32_t events)
{
    if (conn->state == NJ_BENCH_CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        on_connected(conn);
    }
    if (conn->state == NJ_BENCH_HANDSHAKING) {
        on_handshake(conn);
    }
    if (conn->state < NJ_BENCH_WAIT_CONNACK) {
        return;
    }
    if (events & EPOLLOUT && conn->is_blocked) {
        flush_one(conn);
    }
    if (conn->state != NJ_BENCH_CLOSED && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        read_all(conn, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
}
