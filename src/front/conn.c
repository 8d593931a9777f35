/* Connections: bytes in, packets out of them, outputs written. See conn.h; the packets themselves
 * are handled in handle.c, logins in login.c. */
#include "front/conn.h"

#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/limits.h"
#include "broker/output.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "front/front.h"
#include "front/goodbye.h"
#include "front/login.h"
#include "front/proxied.h"
#include "mqtt/frame.h"
#include "net/stream.h"

#define IOV_MAX_PER_WRITE 64
/* From accept to an accepted CONNECT. */
#define CONNECT_DEADLINE_MS 10000
#define PRE_AUTH_PACKET_MAX (64u * 1024u)
/* Reads of one connection in one turn, so that a flood of one does not hold the others up. */
#define READS_PER_TURN 4
/* Of SUBSCRIBE and UNSUBSCRIBE, each of them some microseconds: then others have their turn. */
#define FILTERS_PER_TURN 2000u
/* A system call, and what the kernel does with each 2 KiB (broker/turn.h). */
#define STEPS_PER_WRITE 2u
/* Closing one connection: its goodbye, its socket. */
#define STEPS_PER_CLOSE 20u
/* Rounds of "drained, so pump more" in one flush. */
#define PUMP_ROUNDS 16

static void on_event(struct nj_loop_source *source, unsigned ready, void *turn);

/* ---- names for the log */

const char *nj_conn_address(const struct nj_conn *conn, char buf[NJ_ADDR_TEXT_MAX + 8])
{
    char ip[NJ_ADDR_TEXT_MAX];
    nj_addr_text(&conn->peer, ip);
    if (conn->peer.port) {
        (void)snprintf(buf, NJ_ADDR_TEXT_MAX + 8, "%s:%u", ip, conn->peer.port);
    } else {
        (void)snprintf(buf, NJ_ADDR_TEXT_MAX + 8, "%s", ip);
    }
    return buf;
}

const char *nj_conn_name(const struct nj_conn *conn, char *buf, size_t size)
{
    struct nj_bytes id = conn->link.session ? nj_session_client_id(conn->link.session)
                                            : nj_login_client_id(conn->login);
    if (id.len) {
        (void)snprintf(buf, size, "%.*s", (int)id.len, (const char *)id.ptr);
    } else {
        (void)snprintf(buf, size, "<unknown>");
    }
    return buf;
}

/* ---- life */

static struct nj_stream *make_stream(struct nj_listener *listener, int fd, uint64_t *generation)
{
    struct nj_stream *stream = NULL;
    *generation = atomic_load_explicit(&listener->tls_generation, memory_order_acquire);
    struct nj_tls_server *tls = nj_listener_tls(listener);
    enum nj_err err =
        tls ? nj_stream_tls_server_new(fd, tls, &stream) : nj_stream_tcp_new(fd, &stream);
    nj_tls_server_unref(tls);
    if (err != NJ_OK) {
        (void)close(fd);
        return NULL;
    }
    if (listener->settings->protocol == NJ_PROTOCOL_WEBSOCKETS) {
        struct nj_stream *ws;
        if (nj_stream_ws_server_new(stream, &listener->ws, &ws) != NJ_OK) {
            nj_stream_free(stream);
            return NULL;
        }
        stream = ws;
    }
    return stream;
}

static bool may_speak(struct nj_worker *worker, const struct nj_listener_settings *listener,
                      const struct nj_addr *peer)
{
    const struct nj_settings *settings = atomic_load(&worker->front->settings);
    return !listener->proxy_protocol ||
           nj_proxied_is_trusted(listener, peer, settings->mode.proxy_needs_trusted);
}

static bool may_connect(struct nj_worker *worker, struct nj_listener *listener)
{
    const struct nj_settings *settings = atomic_load(&worker->front->settings);
    int here = atomic_fetch_add_explicit(&listener->connections, 1, memory_order_relaxed) + 1;
    int all = atomic_fetch_add_explicit(&worker->front->connections, 1, memory_order_relaxed) + 1;
    int max_here = listener->settings->max_connections;
    int max_all = settings->global_max_connections;
    return (max_here < 0 || here <= max_here) && (max_all < 0 || all <= max_all);
}

static void uncount(struct nj_worker *worker, struct nj_listener *listener)
{
    atomic_fetch_sub_explicit(&listener->connections, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&worker->front->connections, 1, memory_order_relaxed);
}

void nj_conn_accept(struct nj_worker *worker, struct nj_listener *listener, int fd,
                    const struct nj_addr *peer)
{
    NJ_STAT_ADD(worker->shard, connections, 1);
    if (!may_connect(worker, listener)) {
        uncount(worker, listener);
        nj_log(NJ_LOG_NOTICE, "Client connection denied: max_connections exceeded.");
        (void)close(fd);
        return;
    }
    if (!may_speak(worker, listener->settings, peer)) {
        char ip[NJ_ADDR_TEXT_MAX];
        uncount(worker, listener);
        nj_log(NJ_LOG_NOTICE, "Connection from %s rejected, it is not in proxy_trusted.",
               nj_addr_text(peer, ip));
        (void)close(fd);
        return;
    }
    uint64_t generation;
    struct nj_conn *conn = nj_try_zalloc(sizeof(*conn));
    struct nj_stream *stream = conn ? make_stream(listener, fd, &generation) : NULL;
    if (!stream) {
        if (!conn) {
            (void)close(fd);
        }
        nj_free(conn);
        uncount(worker, listener);
        return;
    }
    nj_link_init(&conn->link, worker->shard);
    conn->link.mount_point = listener->mount_point;
    conn->link.max_qos = (uint8_t)listener->settings->max_qos;
    conn->listener = listener;
    conn->stream = stream;
    conn->peer = *peer;
    conn->tls_generation = generation;
    bool is_proxied = listener->settings->proxy_protocol != 0;
    conn->state = is_proxied ? NJ_CONN_PROXY : NJ_CONN_HANDSHAKE;
    nj_list_init(&conn->node);
    nj_list_init(&conn->reread_node);
    nj_loop_source_init(&conn->source, on_event);
    nj_timer_init(&conn->timer, nj_conn_on_timer);
    NJ_STAT_ADD(worker->shard, connections_open, 1);
    nj_conn_enter(conn, worker);
    nj_conn_set_deadline(conn, is_proxied ? NJ_PROXY_DEADLINE_MS : CONNECT_DEADLINE_MS);
    if (conn->state != NJ_CONN_CLOSING) {
        nj_conn_read(conn);
    }
}

void nj_conn_enter(struct nj_conn *conn, struct nj_worker *worker)
{
    conn->worker = worker;
    conn->link.shard = worker->shard;
    conn->last_in_ms = worker->shard->now_ms;
    worker->conn_count++;
    nj_list_push_back(&worker->conns, &conn->node);
    if (nj_loop_add(worker->loop, &conn->source, nj_stream_fd(conn->stream), NJ_LOOP_STREAM) !=
        NJ_OK) {
        nj_conn_close(conn, NJ_RC_SERVER_BUSY, "no descriptor or memory left to watch it");
    }
}

void nj_conn_leave(struct nj_conn *conn)
{
    struct nj_worker *worker = conn->worker;
    nj_loop_remove(worker->loop, &conn->source);
    nj_timer_cancel(&worker->timers, &conn->timer);
    nj_list_remove(&conn->node);
    nj_list_remove(&conn->reread_node);
    nj_list_remove(&conn->link.blocked_node);
    worker->conn_count--;
}

/* Now, because a session that is taken over has another connection by the time this one is freed.
 */
static void log_end(const struct nj_conn *conn)
{
    char name[128];
    char address[NJ_ADDR_TEXT_MAX + 8];
    nj_conn_name(conn, name, sizeof(name));
    nj_conn_address(conn, address);
    if (!conn->is_counted) {
        if (conn->close_why) {
            nj_log(NJ_LOG_NOTICE, "Client %s [%s] disconnected: %s.", name, address,
                   conn->close_why);
        }
        return;
    }
    if (conn->close_why) {
        nj_log(NJ_LOG_NOTICE, "Client %s [%s] disconnected: %s.", name, address, conn->close_why);
    } else {
        nj_log(NJ_LOG_NOTICE, "Client %s [%s] disconnected.", name, address);
    }
}

void nj_conn_close(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why)
{
    if (conn->state == NJ_CONN_CLOSING) {
        return;
    }
    conn->says_goodbye = conn->state == NJ_CONN_ACTIVE && reason >= NJ_RC_UNSPECIFIED;
    conn->state = NJ_CONN_CLOSING;
    conn->close_reason = (uint8_t)reason;
    conn->close_why = why;
    conn->link.is_closing = true; /* from here on its session counts as away */
    nj_list_remove(&conn->node);
    nj_list_remove(&conn->reread_node);
    nj_list_push_back(&conn->worker->closing, &conn->node);
    log_end(conn);
}

void nj_conn_end(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why)
{
    conn->gets_rest = true;
    nj_conn_close(conn, reason, why);
}

static void destroy(struct nj_conn *conn)
{
    struct nj_worker *worker = conn->worker;
    if (conn->says_goodbye) {
        nj_goodbye_send(conn);
    }
    if (conn->link.session) {
        nj_session_detach(conn->link.session, !conn->keeps_will);
    }
    nj_login_drop(conn);
    nj_conn_leave(conn);
    nj_link_fini(&conn->link);
    nj_stream_close(conn->stream);
    nj_stream_free(conn->stream);
    nj_free(conn->in);
    nj_free(conn->proxied);
    uncount(worker, conn->listener);
    NJ_STAT_SUB(worker->shard, connections_open, 1);
    nj_free(conn);
}

/* A link that is marked dirty is still in a list of the shard: it is freed a round later, as are
 * those beyond what a turn may cost. */
void nj_conn_reap(struct nj_worker *worker)
{
    uint32_t steps = NJ_TURN_STEPS;
    nj_list_each_safe (node, &worker->closing) {
        struct nj_conn *conn = NJ_CONTAINER(node, struct nj_conn, node);
        if (steps < STEPS_PER_CLOSE) {
            return;
        }
        if (!conn->link.is_dirty) {
            destroy(conn);
            steps -= STEPS_PER_CLOSE;
        }
    }
}

void nj_conn_close_all(struct nj_worker *worker)
{
    while (!nj_list_is_empty(&worker->conns)) {
        struct nj_conn *conn = NJ_CONTAINER(worker->conns.next, struct nj_conn, node);
        nj_conn_close(conn, NJ_RC_SERVER_SHUTTING_DOWN, NULL);
    }
    while (!nj_list_is_empty(&worker->closing)) {
        struct nj_conn *conn = NJ_CONTAINER(worker->closing.next, struct nj_conn, node);
        conn->link.is_dirty = false;
        conn->keeps_will = true;
        destroy(conn);
    }
    worker->shard->dirty_count = 0;
    worker->shard->late_count = 0;
    worker->shard->rest_count = 0;
}

/* ---- writing */

static void set_blocked(struct nj_conn *conn, bool is_blocked)
{
    if (conn->link.is_blocked == is_blocked) {
        return;
    }
    conn->link.is_blocked = is_blocked;
    nj_list_remove(&conn->link.blocked_node);
    if (is_blocked) {
        nj_list_push_back(&conn->link.shard->blocked, &conn->link.blocked_node);
    }
}

/* True when everything is out. */
static bool write_out(struct nj_conn *conn)
{
    struct nj_link *link = &conn->link;
    struct iovec iov[IOV_MAX_PER_WRITE];
    bool has_steps = true; /* for one write always, so that everybody gets on */
    while (link->out.pending) {
        if (!has_steps) {
            nj_link_go_on(link);
            return false;
        }
        int n = nj_out_vectors(&link->out, iov, IOV_MAX_PER_WRITE);
        size_t offered = 0;
        for (int i = 0; i < n; i++) {
            offered += iov[i].iov_len;
        }
        size_t written;
        nj_crash_point("write");
        enum nj_err err = nj_stream_writev(conn->stream, iov, n, &written);
        if (err == NJ_EAGAIN) {
            set_blocked(conn, true);
            return false;
        }
        if (err != NJ_OK) {
            nj_conn_close(conn, NJ_RC_SUCCESS,
                          err == NJ_ECLOSED ? "connection closed by client" : "write error");
            return false;
        }
        NJ_STAT_ADD(link->shard, bytes_sent, written);
        link->traffic.bytes_out += written;
        nj_out_consume(&link->shard->chunks, &link->out, written);
        has_steps = nj_turn_spend(&link->shard->turn, STEPS_PER_WRITE + (uint32_t)(written >> 11));
        if (written < offered) {
            set_blocked(conn, true);
            return false;
        }
    }
    set_blocked(conn, false);
    return true;
}

static bool wants_pump(const struct nj_session *session)
{
    return session &&
           (session->replay || session->backlog.count ||
            (session->flow && (session->flow->queue_count || session->flow->unsent_count)));
}

/* The stream may not be written to or read from yet. */
static bool is_beginning(const struct nj_conn *conn)
{
    return conn->state == NJ_CONN_PROXY || conn->state == NJ_CONN_HANDSHAKE;
}

void nj_conn_flush(struct nj_conn *conn)
{
    if (is_beginning(conn) || conn->link.is_blocked) {
        return;
    }
    if (conn->state == NJ_CONN_CLOSING) {
        (void)(conn->gets_rest && write_out(conn)); /* in this turn, while its rights hold */
        return;
    }
    for (int round = 0; round < PUMP_ROUNDS; round++) {
        if (!write_out(conn) || !wants_pump(conn->link.session)) {
            return;
        }
        nj_session_pump(conn->link.session);
        if (!conn->link.out.pending || !conn->link.shard->turn.steps_left) {
            break;
        }
    }
    /* If more is to come, it is marked for the next turn; others first. */
}

/* ---- reading */

static bool keep_rest(struct nj_conn *conn, const uint8_t *data, uint32_t len, uint32_t need)
{
    if (len == 0) {
        nj_free(conn->in);
        conn->in = NULL;
        conn->in_len = 0;
        conn->in_cap = 0;
        return true;
    }
    /* A packet larger than the worker's buffer is read into a buffer of its own, which grows with
     * what really came, so that an announced length costs nothing. */
    uint32_t cap = len;
    if (need > NJ_READ_BYTES) {
        cap = conn->in_cap > len ? conn->in_cap : len * 2;
        cap = cap > need ? need : cap;
        cap = cap < len ? len : cap;
    }
    uint8_t *copy = data == conn->in ? nj_try_realloc(conn->in, cap) : nj_try_alloc(cap);
    if (!copy) {
        nj_conn_close(conn, NJ_RC_QUOTA_EXCEEDED, "out of memory");
        return false;
    }
    if (data != conn->in) {
        memcpy(copy, data, len);
        nj_free(conn->in);
    }
    conn->in = copy;
    conn->in_len = len;
    conn->in_cap = cap;
    return true;
}

static uint32_t packet_max(const struct nj_conn *conn)
{
    if (conn->state != NJ_CONN_ACTIVE) {
        return PRE_AUTH_PACKET_MAX;
    }
    uint32_t max = conn->link.shard->limits->max_packet_size;
    return max ? max : UINT32_MAX;
}

static void end_bad(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why)
{
    struct nj_session *session = conn->link.session;
    if (conn->state == NJ_CONN_ACTIVE && session && nj_session_owes_answers(session)) {
        return;
    }
    NJ_STAT_ADD(conn->link.shard, bad_packets, 1);
    nj_conn_end(conn, reason, why);
}

/* Checks the fixed header at `at`. NJ_EAGAIN when it is not complete. */
static enum nj_err peek(struct nj_conn *conn, const uint8_t *at, uint32_t len,
                        struct nj_mqtt_frame *frame)
{
    enum nj_err err = nj_mqtt_frame_peek(at, len, frame);
    if (err == NJ_EAGAIN) {
        return err;
    }
    if (err != NJ_OK) {
        bool is_reserved = err == NJ_EPROTOCOL;
        end_bad(conn, is_reserved ? NJ_RC_PROTOCOL_ERROR : NJ_RC_MALFORMED_PACKET,
                is_reserved ? "protocol error" : "malformed packet");
        return err;
    }
    if (conn->state == NJ_CONN_CONNECT && frame->type != NJ_MQTT_CONNECT) {
        end_bad(conn, NJ_RC_PROTOCOL_ERROR, "protocol error");
        return NJ_EPROTOCOL;
    }
    if (frame->header_len + frame->body_len > packet_max(conn)) {
        end_bad(conn, NJ_RC_PACKET_TOO_LARGE, "oversize packet");
        return NJ_ETOOBIG;
    }
    return NJ_OK;
}

/* Handles all whole packets. *need is the size of the first incomplete one, if known. Returns how
 * many bytes were used up. */
static uint32_t handle_packets(struct nj_conn *conn, const uint8_t *data, uint32_t len,
                               uint32_t *need)
{
    uint32_t at = 0;
    *need = 0;
    while (at < len) {
        struct nj_mqtt_frame frame;
        if (peek(conn, data + at, len - at, &frame) != NJ_OK) {
            return at;
        }
        uint32_t total = frame.header_len + frame.body_len;
        if (len - at < total) {
            *need = total;
            return at;
        }
        bool goes_on = nj_conn_handle_packet(conn, data + at, frame.header_len, frame.body_len);
        if (NJ_UNLIKELY(conn->link.is_held_back)) {
            return at; /* the packet has its turn again when it is read on */
        }
        NJ_STAT_ADD(conn->link.shard, messages_received, 1);
        at += total;
        if (!goes_on) {
            return at;
        }
    }
    return at;
}

static bool is_reading(const struct nj_conn *conn)
{
    return conn->state == NJ_CONN_CONNECT ||
           (conn->state == NJ_CONN_ACTIVE && !conn->link.is_held_back);
}

/* What is read goes behind the bytes kept from before: in the worker's buffer, or in the packet's
 * own when it is large. */
static uint8_t *read_place(struct nj_conn *conn, uint32_t *cap)
{
    uint8_t *buf = conn->worker->read_buf;
    if (conn->in_cap > conn->in_len) {
        *cap = conn->in_cap;
        return conn->in;
    }
    *cap = NJ_READ_BYTES;
    if (conn->in_len >= NJ_READ_BYTES) {
        *cap = conn->in_cap;
        return conn->in;
    }
    if (conn->in_len) {
        memcpy(buf, conn->in, conn->in_len);
    }
    return buf;
}

/* One read and its packets. False: nothing more to do now. */
static bool read_once(struct nj_conn *conn)
{
    uint32_t cap;
    uint8_t *buf = read_place(conn, &cap);
    uint32_t have = conn->in_len;
    size_t got = 0;
    enum nj_err err = nj_stream_read(conn->stream, buf + have, cap - have, &got);
    if (err == NJ_EAGAIN) {
        return false;
    }
    if (err != NJ_OK) {
        const char *why = err == NJ_ECLOSED ? "connection closed by client" : "protocol error";
        nj_conn_end(conn, NJ_RC_SUCCESS, err == NJ_ETLS ? "TLS error" : why);
        return false;
    }
    if (got == 0) {
        return nj_stream_has_pending(conn->stream);
    }
    NJ_STAT_ADD(conn->link.shard, bytes_received, got);
    conn->link.traffic.bytes_in += got;
    conn->last_in_ms = conn->link.shard->now_ms;
    uint32_t len = have + (uint32_t)got;
    bool was_full = len == cap;
    uint32_t need;
    uint32_t used = handle_packets(conn, buf, len, &need);
    if (conn->state == NJ_CONN_CLOSING) {
        return false;
    }
    if (buf == conn->in && used == 0) {
        conn->in_len = len;
        if (!keep_rest(conn, conn->in, len, need)) {
            return false;
        }
    } else if (buf == conn->in) {
        uint8_t *old = conn->in;
        conn->in = NULL;
        bool is_kept = keep_rest(conn, old + used, len - used, need);
        nj_free(old);
        if (!is_kept) {
            return false;
        }
    } else if (!keep_rest(conn, buf + used, len - used, need)) {
        return false;
    }
    /* A short read means that nothing more is there, unless the end of the stream came with it. */
    return is_reading(conn) &&
           (was_full || conn->has_hung_up || nj_stream_has_pending(conn->stream));
}

/* Packets that were read before the connection could handle them (after a login or a move). */
static void handle_kept(struct nj_conn *conn)
{
    uint8_t *data = conn->in;
    uint32_t len = conn->in_len;
    if (!len || conn->in_cap > len) {
        return;
    }
    conn->in = NULL;
    conn->in_len = 0;
    conn->in_cap = 0;
    uint32_t need;
    uint32_t used = handle_packets(conn, data, len, &need);
    if (conn->state != NJ_CONN_CLOSING) {
        (void)keep_rest(conn, data + used, len - used, need);
    }
    nj_free(data);
}

static bool shake(struct nj_conn *conn)
{
    enum nj_err err = nj_stream_handshake(conn->stream);
    if (err == NJ_EAGAIN) {
        return false;
    }
    if (err != NJ_OK) {
        char address[NJ_ADDR_TEXT_MAX + 8];
        nj_log(NJ_LOG_NOTICE, "Client <unknown> [%s] disconnected: %s.",
               nj_conn_address(conn, address), nj_stream_error(conn->stream));
        nj_conn_close(conn, NJ_RC_SUCCESS, NULL);
        return false;
    }
    conn->state = NJ_CONN_CONNECT;
    /* A reload during the handshake: what was verified then may not hold now. */
    uint64_t generation =
        atomic_load_explicit(&conn->listener->tls_generation, memory_order_acquire);
    return conn->tls_generation == generation || nj_conn_recheck_certificate(conn);
}

void nj_conn_read(struct nj_conn *conn)
{
    if (conn->state == NJ_CONN_PROXY) {
        if (!nj_proxied_take(conn)) {
            return;
        }
        conn->state = NJ_CONN_HANDSHAKE;
        nj_conn_set_deadline(conn, CONNECT_DEADLINE_MS);
    }
    if (conn->state == NJ_CONN_HANDSHAKE && !shake(conn)) {
        return;
    }
    conn->link.shard->turn.filters = 0;
    if (is_reading(conn)) {
        handle_kept(conn);
    }
    int reads = 0;
    while (is_reading(conn)) {
        if (reads == READS_PER_TURN || conn->link.shard->turn.filters >= FILTERS_PER_TURN ||
            (conn->worker->is_congested && conn->state == NJ_CONN_ACTIVE)) {
            nj_list_remove(&conn->reread_node);
            nj_list_push_back(&conn->worker->reread, &conn->reread_node);
            return;
        }
        if (!read_once(conn)) {
            return;
        }
        reads++;
    }
}

void nj_conn_reread(struct nj_worker *worker)
{
    struct nj_list due;
    nj_list_init(&due);
    /* Only those that are there now: a connection that still has more goes to the end. */
    while (!nj_list_is_empty(&worker->reread)) {
        nj_list_push_back(&due, nj_list_pop_front(&worker->reread));
    }
    struct nj_list *node;
    while ((node = nj_list_pop_front(&due))) {
        nj_conn_read(NJ_CONTAINER(node, struct nj_conn, reread_node));
    }
}

static void on_event(struct nj_loop_source *source, unsigned ready, void *turn)
{
    struct nj_conn *conn = NJ_CONTAINER(source, struct nj_conn, source);
    (void)turn;
    if (conn->state == NJ_CONN_CLOSING) {
        return;
    }
    conn->has_hung_up |= (ready & NJ_LOOP_HUP) != 0;
    if ((ready & NJ_LOOP_OUT) && !is_beginning(conn)) {
        if (conn->link.is_blocked) {
            set_blocked(conn, false);
            if (!conn->link.is_dirty) {
                nj_shard_mark_dirty(conn->link.shard, &conn->link);
            }
        } else if (nj_stream_flush(conn->stream) == NJ_ECLOSED) {
            nj_conn_close(conn, NJ_RC_SUCCESS, "connection closed by client");
            return;
        }
    }
    if ((ready & (NJ_LOOP_IN | NJ_LOOP_HUP)) || conn->state == NJ_CONN_HANDSHAKE ||
        nj_stream_tls(conn->stream)) {
        nj_conn_read(conn);
    }
}

/* ---- what the core asks */

static void ops_close(struct nj_link *link, enum nj_mqtt_reason reason, const char *why)
{
    nj_conn_close(nj_conn_of(link), reason, why);
}

static size_t ops_committed(struct nj_link *link)
{
    return nj_stream_committed(nj_conn_of(link)->stream);
}

static void ops_ready(struct nj_link *link)
{
    struct nj_conn *conn = nj_conn_of(link);
    if (conn->state == NJ_CONN_CLOSING) {
        return;
    }
    nj_login_finished(conn);
    conn->state = NJ_CONN_ACTIVE;
    nj_conn_arm(conn);
    /* What was read behind the CONNECT is handled in the next turn. */
    nj_list_remove(&conn->reread_node);
    nj_list_push_back(&conn->worker->reread, &conn->reread_node);
}

static void ops_refuse(struct nj_link *link, enum nj_mqtt_reason reason, const char *why)
{
    nj_goodbye_refuse(nj_conn_of(link), reason, why);
}

static void ops_read_on(struct nj_link *link)
{
    struct nj_conn *conn = nj_conn_of(link);
    if (conn->state != NJ_CONN_CLOSING) {
        nj_list_remove(&conn->reread_node);
        nj_list_push_back(&conn->worker->reread, &conn->reread_node);
    }
}

const struct nj_link_ops nj_conn_link_ops = {
    .close = ops_close,
    .committed = ops_committed,
    .ready = ops_ready,
    .refuse = ops_refuse,
    .read_on = ops_read_on,
};
