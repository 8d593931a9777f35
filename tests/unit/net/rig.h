/* Two ends of a connection in one thread: nightjar's stream on one side, on the other nightjar's
 * client, OpenSSL itself, or raw bytes. */
#ifndef NJ_TESTS_UNIT_NET_RIG_H
#define NJ_TESTS_UNIT_NET_RIG_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "net/stream.h"
#include "unit/net/pki.h"

/* A connected, non-blocking pair of unix sockets, with small buffers when asked for. */
void rig_pair(int fds[2], bool is_small);

/* A CA, a server and a client certificate, all written to files. */
struct rig_pki {
    char *dir;
    struct pki_cert ca;
    struct pki_cert server;
    struct pki_cert client;
    char cafile[512];
    char certfile[512];
    char keyfile[512];
    char client_certfile[512];
    char client_keyfile[512];
    unsigned warnings;
    char warning[1024]; /* the last one */
};
void rig_pki_init(struct rig_pki *pki);
void rig_pki_fini(struct rig_pki *pki);
/* A configuration that works; change it for the test. */
struct nj_tls_server_config rig_server_config(struct rig_pki *pki, bool wants_client_cert);
struct nj_tls_client_config rig_client_config(const struct rig_pki *pki, bool has_cert);
struct nj_tls_server *rig_server(const struct nj_tls_server_config *config,
                                 const struct nj_tls_server *previous);
struct nj_tls_client *rig_client(const struct nj_tls_client_config *config);

/* Runs both handshakes until both have ended; returns what each said. */
void rig_handshake(struct nj_stream *server, struct nj_stream *client, enum nj_err *server_err,
                   enum nj_err *client_err);
/* Both ends of a TLS connection whose handshakes succeed. */
void rig_connect(struct nj_tls_server *server, struct nj_tls_client *client,
                 struct nj_stream **server_end, struct nj_stream **client_end);

/* An OpenSSL client on its own, for what nightjar's client does not do (resumption, odd versions).
 * Its session, if it gets one, replaces *session. */
struct rig_ssl {
    SSL_CTX *ctx;
    SSL *ssl;
    SSL_SESSION *session;
    int fd;
};
void rig_ssl_init(struct rig_ssl *client);
void rig_ssl_fini(struct rig_ssl *client);
void rig_ssl_use_cert(struct rig_ssl *client, const struct pki_cert *cert);
/* Connects to a fresh stream of `server`, which is returned (NULL = its handshake failed; *err and
 * `why` tell). Offers the last session. Reads until tickets have come. */
struct nj_stream *rig_ssl_connect(struct rig_ssl *client, struct nj_tls_server *server,
                                  enum nj_err *err, char why[512]);
void rig_ssl_disconnect(struct rig_ssl *client);

/* A WebSocket server's stream and the raw end of its client. */
struct rig_ws {
    struct nj_stream *stream;
    int raw;
};
/* Nothing was sent yet. */
struct rig_ws rig_ws_begin(const struct nj_ws_server_config *config, bool is_small);
void rig_ws_finish(struct rig_ws *ws);
/* Bytes of the client. */
void rig_ws_say(const struct rig_ws *ws, const void *data, size_t len);

/* Writes all of it / reads exactly `len` bytes, in turns with the other end. */
void rig_send(struct nj_stream *from, struct nj_stream *to, const void *data, size_t len,
              void *received);

#endif
