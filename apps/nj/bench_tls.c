/* Bytes in and out of a generator connection. OpenSSL is used directly and not through net: the
 * generator reads into one buffer per thread and has no event loop of net's to be driven by. */
#include <sys/socket.h>
#include <errno.h>
#include <openssl/err.h>

#include "bench_engine.h"

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct nj_bench_conn *conn = SSL_get_app_data(ssl);
    struct nj_bench_thread *thread = conn->thread;
    /* Copies everywhere: a connection that ends badly spoils the session object that it holds. */
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy) {
        SSL_SESSION_free(thread->session);
        thread->session = copy;
    }
    return 0; /* the reference stays OpenSSL's */
}

enum nj_err nj_bench_tls_init(struct nj_bench_engine *engine)
{
    const struct nj_bench_options *options = engine->options;
    engine->tls = SSL_CTX_new(TLS_client_method());
    if (engine->tls == NULL) {
        nj_bench_fail(engine, "OpenSSL gives no context");
        return NJ_ETLS;
    }
    SSL_CTX_set_mode(engine->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
    if (options->is_resume) {
        /* A broker that closes without close_notify would spoil the session otherwise. */
        SSL_CTX_set_options(engine->tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
        SSL_CTX_set_session_cache_mode(engine->tls,
                                       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
        SSL_CTX_sess_set_new_cb(engine->tls, keep_session);
    }
    if (options->is_insecure) {
        return NJ_OK;
    }
    SSL_CTX_set_verify(engine->tls, SSL_VERIFY_PEER, NULL);
    int is_ok = options->capath_or_file
                    ? SSL_CTX_load_verify_locations(engine->tls, options->capath_or_file, NULL)
                    : SSL_CTX_set_default_verify_paths(engine->tls);
    if (!is_ok) {
        nj_bench_fail(engine, "cannot read the trusted certificates%s%s",
                      options->capath_or_file ? " in " : "",
                      options->capath_or_file ? options->capath_or_file : "");
        return NJ_ETLS;
    }
    return NJ_OK;
}

bool nj_bench_tls_start(struct nj_bench_conn *conn)
{
    const struct nj_bench_engine *engine = conn->thread->engine;
    conn->ssl = SSL_new(engine->tls);
    if (conn->ssl == NULL || !SSL_set_fd(conn->ssl, conn->fd)) {
        return false;
    }
    SSL_set_app_data(conn->ssl, conn);
    SSL_set_connect_state(conn->ssl);
    /* The context trusts one CA of a test set-up; names are not what is measured. */
    if (engine->options->is_resume && conn->thread->session) {
        SSL_SESSION *copy = SSL_SESSION_dup(conn->thread->session);
        SSL_set_session(conn->ssl, copy);
        SSL_SESSION_free(copy);
    }
    return true;
}

static int64_t outcome_of(SSL *ssl, int result)
{
    switch (SSL_get_error(ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -2;
    }
}

int nj_bench_tls_handshake(struct nj_bench_conn *conn, const char **why)
{
    ERR_clear_error();
    int result = SSL_do_handshake(conn->ssl);
    if (result == 1) {
        conn->thread->resumed += SSL_session_reused(conn->ssl) == 1;
        return 1;
    }
    if (outcome_of(conn->ssl, result) == -1) {
        return 0;
    }
    long verify = SSL_get_verify_result(conn->ssl);
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    *why = verify != X509_V_OK ? X509_verify_cert_error_string(verify)
           : reason            ? reason
                               : "the handshake was cut off";
    return -1;
}

int64_t nj_bench_io_read(struct nj_bench_conn *conn, uint8_t *into, size_t cap)
{
    if (conn->ssl) {
        ERR_clear_error();
        int got = SSL_read(conn->ssl, into, (int)cap);
        return got > 0 ? got : outcome_of(conn->ssl, got);
    }
    ssize_t got = recv(conn->fd, into, cap, 0);
    if (got >= 0) {
        return got;
    }
    return errno == EAGAIN || errno == EINTR ? -1 : -2;
}

int64_t nj_bench_io_write(struct nj_bench_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->ssl) {
        ERR_clear_error();
        int put = SSL_write(conn->ssl, data, (int)len);
        return put > 0 ? put : outcome_of(conn->ssl, put);
    }
    ssize_t put = send(conn->fd, data, len, MSG_NOSIGNAL);
    if (put >= 0) {
        return put;
    }
    return errno == EAGAIN || errno == EINTR ? -1 : -2;
}
