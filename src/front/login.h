/* A login on its way: from the CONNECT packet to the CONNACK.
 *
 *   CONNECT ─ checks ─ identity chain ─┬─ accepted ──► session's worker ─ claim ─► CONNACK
 *                                      ├─ auth pool ─► (record) ─► as above, or refused
 *                                      └─ refused ───► on a tick of 200 ms ─► CONNACK, close */
#ifndef NJ_FRONT_LOGIN_H
#define NJ_FRONT_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct nj_conn;
struct nj_login;
struct nj_worker;

/* The body of a CONNECT packet. */
void nj_login_begin(struct nj_conn *conn, struct nj_bytes body);
/* The connection's timer fired before it was active. False: it waited for CONNECT too long. */
bool nj_login_timer(struct nj_conn *conn);
/* From the auth pool, on the connection's worker. */
void nj_login_verified(struct nj_login *login, bool ok, uint64_t due_ms);
/* From another worker: the connection is ours now. */
void nj_login_adopt(struct nj_conn *conn, struct nj_worker *worker);
/* CONNACK is out: logs the client and forgets the login. */
void nj_login_finished(struct nj_conn *conn);
/* The connection goes. Accepts one without login. */
void nj_login_drop(struct nj_conn *conn);
/* The client id given; empty before CONNECT or when the login is over. Accepts NULL. */
struct nj_bytes nj_login_client_id(const struct nj_login *login);

#endif
