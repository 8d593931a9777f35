/* When something is due on a connection although its peer says nothing. See conn.h. */
#include "base/clock.h"
#include "base/log.h"
#include "broker/hold.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/front.h"
#include "front/login.h"
#include "net/stream.h"

/* How far ahead the end of a certificate is looked for. */
#define CERTIFICATE_LOOK_S 3600
/* So long a PINGRESP waits for answers that wait for the store, and at most half the keep alive. */
#define PONG_WAIT_MS 2000

void nj_conn_set_deadline(struct nj_conn *conn, uint64_t in_ms)
{
    nj_timer_set(&conn->worker->timers, &conn->timer, conn->worker->shard->now_ms + in_ms);
}

/* When the client certificate (or a CRL) runs out, on the monotonic clock; UINT64_MAX = never. */
static uint64_t certificate_due_ms(const struct nj_conn *conn)
{
    const struct nj_tls_conn *tls = nj_stream_tls(conn->stream);
    int64_t until = tls ? nj_tls_conn_valid_until_s(tls) : INT64_MAX;
    if (until == INT64_MAX) {
        return UINT64_MAX;
    }
    int64_t left = until - nj_clock_wall_s();
    /* At most an hour ahead, because the wall clock may be set meanwhile. */
    left = left < 0 ? 0 : left > CERTIFICATE_LOOK_S ? CERTIFICATE_LOOK_S : left;
    return conn->worker->shard->now_ms + (uint64_t)left * 1000;
}

static uint64_t keep_alive_due_ms(const struct nj_conn *conn)
{
    return conn->keep_alive_s ? conn->last_in_ms + conn->keep_alive_s * 1500ull : UINT64_MAX;
}

void nj_conn_arm(struct nj_conn *conn)
{
    uint64_t keep_alive = keep_alive_due_ms(conn);
    uint64_t certificate = certificate_due_ms(conn);
    uint64_t due = keep_alive < certificate ? keep_alive : certificate;
    due = conn->pong_due_ms && conn->pong_due_ms < due ? conn->pong_due_ms : due;
    if (due == UINT64_MAX) {
        nj_timer_cancel(&conn->worker->timers, &conn->timer);
    } else {
        nj_timer_set(&conn->worker->timers, &conn->timer, due);
    }
}

bool nj_conn_recheck_certificate(struct nj_conn *conn)
{
    struct nj_tls_conn *tls = nj_stream_tls(conn->stream);
    struct nj_listener *listener = conn->listener;
    if (!tls) {
        return true;
    }
    conn->tls_generation = atomic_load_explicit(&listener->tls_generation, memory_order_acquire);
    struct nj_tls_server *server = nj_listener_tls(listener);
    struct nj_net_error error;
    enum nj_err err = nj_tls_conn_recheck(tls, server, &error);
    nj_tls_server_unref(server);
    if (err != NJ_OK) {
        nj_log(NJ_LOG_NOTICE, "The client certificate is no longer accepted: %s.", error.text);
        nj_conn_close(conn, NJ_RC_NOT_AUTHORIZED, "not authorised");
    }
    return err == NJ_OK;
}

/* The keep alive is checked lazily: the timer fires at the earliest time it could be over
 * (MQTT5 3.1.2.10: one and a half times the interval). */
void nj_conn_on_timer(struct nj_timer *timer, void *turn)
{
    struct nj_conn *conn = NJ_CONTAINER(timer, struct nj_conn, timer);
    (void)turn;
    if (conn->state != NJ_CONN_ACTIVE) {
        if (!nj_login_timer(conn)) {
            nj_conn_close(conn, NJ_RC_SUCCESS,
                          conn->state == NJ_CONN_PROXY ? "no PROXY header in time"
                                                       : "no CONNECT in time");
        }
        return;
    }
    if (conn->link.is_held_back) {
        conn->last_in_ms = conn->worker->shard->now_ms; /* it is not its fault */
    }
    if (conn->pong_due_ms && conn->pong_due_ms <= conn->worker->shard->now_ms) {
        conn->pong_due_ms = 0;
        nj_session_overtake(conn->link.session);
    }
    if (conn->worker->shard->now_ms >= keep_alive_due_ms(conn)) {
        nj_conn_close(conn, NJ_RC_KEEP_ALIVE_TIMEOUT, "exceeded timeout");
    } else if (nj_conn_recheck_certificate(conn)) {
        nj_conn_arm(conn);
    }
}

void nj_conn_await_pong(struct nj_conn *conn)
{
    uint64_t wait_ms = PONG_WAIT_MS;
    if (conn->keep_alive_s && conn->keep_alive_s * 500ull < wait_ms) {
        wait_ms = conn->keep_alive_s * 500ull;
    }
    if (!conn->pong_due_ms) {
        conn->pong_due_ms = conn->worker->shard->now_ms + wait_ms;
        nj_conn_arm(conn);
    }
}
