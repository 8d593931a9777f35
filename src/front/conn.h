/* A connection: from accept to close. Reads bytes, finds packets, writes outputs.
 *
 *   (PROXY ─►) HANDSHAKE ─► CONNECT ─► LOGIN ─► MOVING ─► ACTIVE ─► CLOSING
 *
 * Owned by its worker; when the login is accepted, it moves once to the worker of its session. */
#ifndef NJ_FRONT_CONN_H
#define NJ_FRONT_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "broker/link.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/timer.h"

struct nj_front;
struct nj_listener;
struct nj_login;
struct nj_proxied;
struct nj_stream;
struct nj_worker;

enum nj_conn_state {
    NJ_CONN_PROXY,     /* waits for the header of a proxy (proxied.h) */
    NJ_CONN_HANDSHAKE, /* TLS, then the WebSocket upgrade */
    NJ_CONN_CONNECT,   /* waits for the CONNECT packet */
    NJ_CONN_LOGIN,     /* the password is being verified; reads nothing */
    NJ_CONN_MOVING,    /* on its way to the session's worker, or waits for its CONNACK */
    NJ_CONN_ACTIVE,
    NJ_CONN_CLOSING, /* dead to the protocol; freed at the end of the turn */
    NJ_CONN_STATE_COUNT
};

struct nj_conn {
    struct nj_link link; /* first */
    struct nj_list node; /* in worker->conns, or ->closing */
    struct nj_list reread_node;
    struct nj_loop_source source;
    struct nj_timer timer; /* handshake and CONNECT deadline, then keep alive */
    struct nj_worker *worker;
    struct nj_listener *listener;
    struct nj_stream *stream;
    struct nj_login *login; /* between CONNECT and CONNACK */
    uint8_t *in;            /* bytes of an incomplete packet */
    uint32_t in_len;
    uint32_t in_cap;
    struct nj_addr peer;        /* the client, even behind a proxy */
    struct nj_proxied *proxied; /* what its proxy said; NULL = it came by itself */
    uint16_t keep_alive_s;
    uint8_t state;
    uint8_t close_reason; /* enum nj_mqtt_reason, told to MQTT 5 peers */
    bool says_goodbye;    /* DISCONNECT with close_reason before closing */
    bool keeps_will;      /* the will is not sent: DISCONNECT took it back */
    bool has_hung_up; /* the peer closed its half: read until the end, whatever a read returns */
    bool is_counted;  /* got in: its end is logged as a client's */
    bool gets_rest;   /* closing, and what was put for it before is still written */
    const char *close_why; /* for the log; NULL = nothing to say */
    uint64_t last_in_ms;
    uint64_t pong_due_ms;    /* when a PINGRESP waits no longer for the store; 0 = none waits */
    uint64_t tls_generation; /* of the listener's context it was checked against */
};

static inline struct nj_conn *nj_conn_of(struct nj_link *link)
{
    return (struct nj_conn *)link;
}

/* Takes the socket over; on an error it is closed. */
void nj_conn_accept(struct nj_worker *worker, struct nj_listener *listener, int fd,
                    const struct nj_addr *peer);
void nj_conn_flush(struct nj_conn *conn);
/* Marks it for closing at the end of the turn. `why` is a static text or NULL. */
void nj_conn_close(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why);
/* The same when it ends by what the client sent: it still gets what it was due before. */
void nj_conn_end(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why);
/* Closes and frees what was marked. */
void nj_conn_reap(struct nj_worker *worker);
void nj_conn_reread(struct nj_worker *worker);
void nj_conn_close_all(struct nj_worker *worker);
/* Leaves this worker's loop, timers and lists; enters another's. */
void nj_conn_leave(struct nj_conn *conn);
void nj_conn_enter(struct nj_conn *conn, struct nj_worker *worker);
/* Reads and handles what is there. */
void nj_conn_read(struct nj_conn *conn);
/* "192.0.2.1:4711"; returns buf. */
const char *nj_conn_address(const struct nj_conn *conn, char buf[NJ_ADDR_TEXT_MAX + 8]);
/* For log lines: the client id, or the address before there is one. */
const char *nj_conn_name(const struct nj_conn *conn, char *buf, size_t size);

/* -- deadlines (conn_timer.c) -- */
void nj_conn_set_deadline(struct nj_conn *conn, uint64_t in_ms);
/* Sets the timer of an active connection: keep alive, certificate, PINGRESP. */
void nj_conn_arm(struct nj_conn *conn);
/* A PINGRESP waits for the store, but not for long. */
void nj_conn_await_pong(struct nj_conn *conn);
void nj_conn_on_timer(struct nj_timer *timer, void *turn);

/* Is the peer's certificate still good under the listener's current trust? False: it closes. */
bool nj_conn_recheck_certificate(struct nj_conn *conn);

/* One whole packet (handle.c). False: the connection must not be read on (it waits for its
 * login, moved, or closes). */
bool nj_conn_handle_packet(struct nj_conn *conn, const uint8_t *packet, uint32_t header_len,
                           uint32_t body_len);

extern const struct nj_link_ops nj_conn_link_ops;

#endif
