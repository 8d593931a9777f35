/* See rig.h. */
#include "unit/net/rig.h"

#include <sys/socket.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

void rig_pair(int fds[2], bool is_small)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; is_small && i < 2; i++) {
        int size = 4096;
        assert_int_equal(setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    }
}

static void copy(char out[512], const char *path)
{
    (void)snprintf(out, 512, "%s", path);
}

void rig_pki_init(struct rig_pki *pki)
{
    memset(pki, 0, sizeof(*pki));
    pki->dir = pki_dir_new();
    pki->ca = pki_ca("Test CA");
    pki->server = pki_server(&pki->ca);
    pki->client = pki_client(&pki->ca, "device-1");
    copy(pki->cafile, pki_write_cert(pki->dir, "ca.crt", &pki->ca));
    copy(pki->certfile, pki_write_cert(pki->dir, "server.crt", &pki->server));
    copy(pki->keyfile, pki_write_key(pki->dir, "server.key", &pki->server, NULL));
    copy(pki->client_certfile, pki_write_cert(pki->dir, "client.crt", &pki->client));
    copy(pki->client_keyfile, pki_write_key(pki->dir, "client.key", &pki->client, NULL));
}

void rig_pki_fini(struct rig_pki *pki)
{
    pki_free(&pki->ca);
    pki_free(&pki->server);
    pki_free(&pki->client);
    pki_dir_free(pki->dir);
}

static void on_warning(void *arg, const char *text)
{
    struct rig_pki *pki = arg;
    pki->warnings++;
    (void)snprintf(pki->warning, sizeof(pki->warning), "%s", text);
}

struct nj_tls_server_config rig_server_config(struct rig_pki *pki, bool wants_client_cert)
{
    return (struct nj_tls_server_config){
        .name = "8883",
        .certfile = pki->certfile,
        .key.file = pki->keyfile,
        .cafile = wants_client_cert ? pki->cafile : NULL,
        .require_certificate = wants_client_cert,
        .warn = on_warning,
        .warn_arg = pki,
    };
}

struct nj_tls_client_config rig_client_config(const struct rig_pki *pki, bool has_cert)
{
    return (struct nj_tls_client_config){
        .cafile = pki->cafile,
        .certfile = has_cert ? pki->client_certfile : NULL,
        .key.file = has_cert ? pki->client_keyfile : NULL,
        .max_version = NJ_TLS_13,
    };
}

struct nj_tls_server *rig_server(const struct nj_tls_server_config *config,
                                 const struct nj_tls_server *previous)
{
    struct nj_tls_server *server = NULL;
    struct nj_net_error error = {""};
    if (nj_tls_server_new(config, previous, &server, &error) != NJ_OK) {
        fail_msg("%s", error.text);
    }
    return server;
}

struct nj_tls_client *rig_client(const struct nj_tls_client_config *config)
{
    struct nj_tls_client *client = NULL;
    struct nj_net_error error = {""};
    if (nj_tls_client_new(config, &client, &error) != NJ_OK) {
        fail_msg("%s", error.text);
    }
    return client;
}

void rig_handshake(struct nj_stream *server, struct nj_stream *client, enum nj_err *server_err,
                   enum nj_err *client_err)
{
    *server_err = NJ_EAGAIN;
    *client_err = NJ_EAGAIN;
    for (int i = 0; i < 100; i++) {
        if (*client_err == NJ_EAGAIN) {
            *client_err = nj_stream_handshake(client);
        }
        if (*server_err == NJ_EAGAIN) {
            *server_err = nj_stream_handshake(server);
        }
        if (*server_err != NJ_EAGAIN && *client_err != NJ_EAGAIN) {
            return;
        }
        if (*server_err != NJ_EAGAIN && *server_err != NJ_OK) {
            *client_err = nj_stream_handshake(client);
            return;
        }
    }
}

void rig_connect(struct nj_tls_server *server, struct nj_tls_client *client,
                 struct nj_stream **server_end, struct nj_stream **client_end)
{
    int fds[2];
    rig_pair(fds, false);
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, server_end), NJ_OK);
    assert_int_equal(nj_stream_tls_client_new(fds[1], client, "localhost", client_end), NJ_OK);
    enum nj_err server_err;
    enum nj_err client_err;
    rig_handshake(*server_end, *client_end, &server_err, &client_err);
    if (server_err != NJ_OK || client_err != NJ_OK) {
        fail_msg("handshake: server %s (%s), client %s (%s)", nj_err_name(server_err),
                 nj_stream_error(*server_end), nj_err_name(client_err),
                 nj_stream_error(*client_end));
    }
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct rig_ssl *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION_free(client->session);
    client->session = session;
    return 1;
}

void rig_ssl_init(struct rig_ssl *client)
{
    memset(client, 0, sizeof(*client));
    client->fd = -1;
    client->ctx = SSL_CTX_new(TLS_client_method());
    assert_non_null(client->ctx);
    SSL_CTX_set_app_data(client->ctx, client);
    SSL_CTX_set_security_level(client->ctx, 0); /* so that it can offer what a server refuses */
    (void)SSL_CTX_set_session_cache_mode(client->ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->ctx, keep_session);
}

void rig_ssl_fini(struct rig_ssl *client)
{
    rig_ssl_disconnect(client);
    SSL_SESSION_free(client->session);
    SSL_CTX_free(client->ctx);
}

void rig_ssl_use_cert(struct rig_ssl *client, const struct pki_cert *cert)
{
    assert_int_equal(SSL_CTX_use_certificate(client->ctx, cert->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(client->ctx, cert->key), 1);
}

struct nj_stream *rig_ssl_connect(struct rig_ssl *client, struct nj_tls_server *server,
                                  enum nj_err *err, char why[512])
{
    int fds[2];
    rig_pair(fds, false);
    struct nj_stream *stream = NULL;
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &stream), NJ_OK);
    client->fd = fds[1];
    client->ssl = SSL_new(client->ctx);
    assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
    if (client->session != NULL) {
        assert_int_equal(SSL_set_session(client->ssl, client->session), 1);
    }
    int rc = 0;
    *err = NJ_EAGAIN;
    for (int i = 0; i < 100 && (rc != 1 || *err == NJ_EAGAIN); i++) {
        ERR_clear_error();
        if (rc != 1) {
            rc = SSL_connect(client->ssl);
            int want = SSL_get_error(client->ssl, rc);
            if (rc != 1 && want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE) {
                /* Let the server see the alert. */
                *err = *err == NJ_EAGAIN ? nj_stream_handshake(stream) : *err;
                break;
            }
        }
        if (*err == NJ_EAGAIN) {
            *err = nj_stream_handshake(stream);
        }
        if (*err != NJ_EAGAIN && *err != NJ_OK) {
            break;
        }
    }
    ERR_clear_error();
    if (*err != NJ_OK) {
        (void)snprintf(why, 512, "%s", nj_stream_error(stream));
        nj_stream_free(stream);
        return NULL;
    }
    char byte;
    (void)SSL_read(client->ssl, &byte, 1); /* takes the tickets */
    ERR_clear_error();
    return stream;
}

void rig_ssl_disconnect(struct rig_ssl *client)
{
    if (client->ssl != NULL) {
        /* Without this OpenSSL thinks the session of a cut connection not fit to be resumed. */
        SSL_set_quiet_shutdown(client->ssl, 1);
        (void)SSL_shutdown(client->ssl);
        SSL_free(client->ssl);
        client->ssl = NULL;
    }
    if (client->fd >= 0) {
        (void)close(client->fd);
        client->fd = -1;
    }
}

void rig_send(struct nj_stream *from, struct nj_stream *to, const void *data, size_t len,
              void *received)
{
    size_t sent = 0;
    size_t got = 0;
    for (int idle = 0; (sent < len || got < len) && idle < 1000; idle++) {
        if (sent < len) {
            struct iovec iov = {(uint8_t *)(uintptr_t)data + sent, len - sent};
            size_t part = 0;
            enum nj_err err = nj_stream_writev(from, &iov, 1, &part);
            if (err == NJ_OK) {
                sent += part;
                idle = 0;
            } else if (err != NJ_EAGAIN) {
                fail_msg("write: %s", nj_stream_error(from));
            }
        }
        size_t part = 0;
        enum nj_err err =
            got < len ? nj_stream_read(to, (uint8_t *)received + got, len - got, &part) : NJ_EAGAIN;
        if (err == NJ_OK) {
            got += part;
            idle = 0;
        } else if (err != NJ_EAGAIN) {
            fail_msg("read: %s", nj_stream_error(to));
        }
    }
    assert_int_equal(sent, len);
    assert_int_equal(got, len);
}

struct rig_ws rig_ws_begin(const struct nj_ws_server_config *config, bool is_small)
{
    int fds[2];
    rig_pair(fds, is_small);
    struct nj_stream *tcp = NULL;
    struct rig_ws ws = {NULL, fds[1]};
    assert_int_equal(nj_stream_tcp_new(fds[0], &tcp), NJ_OK);
    assert_int_equal(nj_stream_ws_server_new(tcp, config, &ws.stream), NJ_OK);
    return ws;
}

void rig_ws_finish(struct rig_ws *ws)
{
    nj_stream_close(ws->stream);
    nj_stream_free(ws->stream);
    (void)close(ws->raw);
}

void rig_ws_say(const struct rig_ws *ws, const void *data, size_t len)
{
    assert_int_equal(send(ws->raw, data, len, MSG_NOSIGNAL), len);
}
