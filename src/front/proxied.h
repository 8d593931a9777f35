/* Connections that come through a proxy: reading its header (net/proxy.h), deciding whether it may
 * say what it says, and keeping what the login needs of it. Worker of the connection. */
#ifndef NJ_FRONT_PROXIED_H
#define NJ_FRONT_PROXIED_H

#include <stdbool.h>

#include "base/bytes.h"
#include "net/socket.h"

struct nj_conn;
struct nj_listener_settings;

/* From accept to a whole header. */
#define NJ_PROXY_DEADLINE_MS 3000

struct nj_proxied {
    struct nj_addr proxy; /* who really connected; conn->peer is the client */
    struct nj_addr local; /* where the client connected to; family 0 = not known */
    bool has_tls;
    bool has_certificate;
    char tls_version[16];
    char tls_cipher[64];
    char common_name[]; /* of the certificate that the proxy verified; "" = none */
};

/* Whether a connection from `peer` may begin with a header: it is listed in proxy_trusted, came
 * through a unix socket, whose mode decides, or nobody has to be listed (compat). */
bool nj_proxied_is_trusted(const struct nj_listener_settings *listener, const struct nj_addr *peer,
                           bool needs_listed);

/* In NJ_CONN_PROXY: reads the header when all of it is there. True: the connection goes on to its
 * handshake, with the client's address; false: it waits for more, or closes. */
bool nj_proxied_take(struct nj_conn *conn);

/* The user name that a listener with use_identity_as_username takes from the header. Returns why
 * there is none, or NULL. */
const char *nj_proxied_identity(const struct nj_conn *conn, struct nj_bytes *out);

#endif
