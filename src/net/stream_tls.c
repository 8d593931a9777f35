/* TLS over TCP as a stream. OpenSSL reaches the socket through a BIO of our own, which
 *  - sends with MSG_NOSIGNAL,
 *  - bounds what one call may read, so that a peer who floods with records that carry no data
 *    (key updates, empty records) cannot hold the worker,
 *  - knows whether the socket has been read empty, which the edge-triggered loop has to know. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_priv.h"

#define RECORD_BYTES 16384
/* What one read may take from the socket. */
#define CALL_BYTES_MAX ((size_t)128 * 1024)
/* What a whole handshake may take: two certificate chains and room. */
#define HANDSHAKE_BYTES_MAX ((size_t)160 * 1024)
/* What may come without a byte of application data. */
#define BARREN_BYTES_MAX ((size_t)256 * 1024)
#define RECORD_HANDSHAKE 22

static struct nj_tls_conn *conn_of(const struct nj_stream *stream)
{
    return (struct nj_tls_conn *)stream;
}

/* ---- the BIO ---- */

static int bio_write(BIO *bio, const char *data, int len)
{
    struct nj_tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t done;
    do {
        done = send(conn->base.fd, data, (size_t)len, MSG_NOSIGNAL);
    } while (done < 0 && errno == EINTR);
    if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        BIO_set_retry_write(bio);
    }
    return (int)done;
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct nj_tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->raw_budget == 0) {
        conn->is_cut = true;
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t done;
    do {
        done = recv(conn->base.fd, data, (size_t)len, 0);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            conn->is_drained = true;
            BIO_set_retry_read(bio);
        } else {
            conn->is_eof = true;
        }
        return -1;
    }
    if (done == 0) {
        conn->is_eof = true;
        return 0;
    }
    if (!conn->has_bytes) {
        conn->has_bytes = true;
        conn->is_not_tls = (uint8_t)data[0] != RECORD_HANDSHAKE;
    }
    conn->is_drained = done < len;
    conn->raw_bytes += (size_t)done;
    conn->raw_budget -= (size_t)done < conn->raw_budget ? (size_t)done : conn->raw_budget;
    return (int)done;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_method_once = PTHREAD_ONCE_INIT;

static void bio_method_make(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "nightjar socket");
    if (bio_method != NULL) {
        (void)BIO_meth_set_write(bio_method, bio_write);
        (void)BIO_meth_set_read(bio_method, bio_read);
        (void)BIO_meth_set_ctrl(bio_method, bio_ctrl);
    }
}

/* ---- errors ---- */

static enum nj_err fail(struct nj_tls_conn *conn, enum nj_err err, const char *text)
{
    conn->is_broken = true;
    return nj_stream_fail(&conn->base, err, text);
}

/* Why the peer's certificate was refused. */
static enum nj_err fail_verify(struct nj_tls_conn *conn)
{
    const char *reason = conn->verify_reason;
    if (reason == NULL) {
        reason = X509_verify_cert_error_string(SSL_get_verify_result(conn->ssl));
    }
    return nj_stream_failf(&conn->base, NJ_EAUTH, "%s certificate: %s",
                           conn->server != NULL ? "client" : "server", reason);
}

/* The newest error of the SSL library: others below it only say what led there. */
static unsigned long newest_ssl_error(void)
{
    unsigned long newest = 0;
    unsigned long code;
    while ((code = ERR_get_error()) != 0) {
        if (ERR_GET_LIB(code) == ERR_LIB_SSL || ERR_GET_LIB(newest) != ERR_LIB_SSL) {
            newest = code;
        }
    }
    return newest;
}

static enum nj_err fail_ssl(struct nj_tls_conn *conn)
{
    unsigned long code = newest_ssl_error();
    int reason = ERR_GET_REASON(code);
    conn->is_broken = true;
    if (conn->verify_reason != NULL) {
        return fail_verify(conn);
    }
    if (ERR_GET_LIB(code) == ERR_LIB_SSL) {
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
            return fail(conn, NJ_ENOENT, "the client did not provide a certificate");
        }
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
            return fail_verify(conn);
        }
        if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
            return fail(conn, NJ_ECLOSED, "connection closed by the peer");
        }
    }
    if (conn->is_psk_unknown) {
        return fail(conn, NJ_EAUTH, "pre-shared key: the identity is not known");
    }
    if (conn->is_not_tls) {
        return fail(conn, NJ_EMALFORMED, "the peer does not speak TLS");
    }
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    return nj_stream_failf(&conn->base, NJ_ETLS, "TLS: %s", text != NULL ? text : "failed");
}

/* What a failed call of OpenSSL means. NJ_OK stands for "the budget of this call is used up". */
static enum nj_err judge(struct nj_tls_conn *conn, int rc, int cause)
{
    enum nj_err err;
    switch (SSL_get_error(conn->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        if (conn->is_cut) {
            return NJ_OK;
        }
        conn->is_starved = true;
        return NJ_EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        conn->is_starved = true;
        return NJ_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return nj_stream_fail(&conn->base, NJ_ECLOSED, "connection closed by the peer");
    case SSL_ERROR_SYSCALL:
        conn->is_broken = true;
        err = cause != 0 && !conn->is_eof
                  ? nj_stream_fail_errno(&conn->base, cause)
                  : nj_stream_fail(&conn->base, NJ_ECLOSED, "connection closed by the peer");
        break;
    default:
        err = fail_ssl(conn);
        break;
    }
    ERR_clear_error();
    return err;
}

static void begin_call(struct nj_tls_conn *conn)
{
    /* The error queue is the thread's: it may hold another connection's errors. */
    ERR_clear_error();
    conn->raw_budget = CALL_BYTES_MAX;
    conn->is_cut = false;
    conn->is_starved = false;
    errno = 0;
}

/* ---- handshake ---- */

static enum nj_err recheck_peer(struct nj_tls_conn *conn)
{
    struct nj_net_error why;
    enum nj_err err = nj_tls_conn_recheck(conn, conn->server, &why);
    if (err != NJ_OK) {
        conn->is_broken = true;
        return nj_stream_failf(&conn->base, err, "%s", why.text);
    }
    return NJ_OK;
}

/* What the handshake has found out about the peer's certificate or key. */
static enum nj_err adopt_peer(struct nj_tls_conn *conn)
{
    const struct nj_tls_server *server = conn->server;
    if (server != NULL && server->psk.find != NULL) {
        return recheck_peer(conn);
    }
    if (server == NULL || !server->require_certificate) {
        return NJ_OK;
    }
    int64_t valid_until_s = 0;
    if (SSL_session_reused(conn->ssl)) {
        STACK_OF(X509) *chain = NULL;
        if (!nj_tls_ticket_read(SSL_get_session(conn->ssl), &valid_until_s, &chain)) {
            return fail(conn, NJ_EAUTH, "client certificate: the session ticket does not say");
        }
        sk_X509_pop_free(chain, X509_free);
    } else {
        valid_until_s =
            nj_tls_chain_valid_until(&server->trust, SSL_get0_verified_chain(conn->ssl));
    }
    nj_tls_conn_set_verified(conn, &server->trust, valid_until_s);
    return recheck_peer(conn);
}

static enum nj_err tls_handshake(struct nj_stream *stream)
{
    struct nj_tls_conn *conn = conn_of(stream);
    if (conn->is_ready) {
        return NJ_OK;
    }
    begin_call(conn);
    int rc = SSL_do_handshake(conn->ssl);
    int cause = errno;
    if (rc == 1) {
        conn->is_ready = true;
        conn->raw_bytes = 0;
        return adopt_peer(conn);
    }
    enum nj_err err = judge(conn, rc, cause);
    if (conn->raw_bytes > HANDSHAKE_BYTES_MAX) {
        return fail(conn, NJ_ELIMIT, "TLS: handshake too long");
    }
    /* A peer who sends faster than a call reads is beyond that limit already. */
    return err == NJ_OK ? fail(conn, NJ_ELIMIT, "TLS: handshake too long") : err;
}

/* ---- data ---- */

static enum nj_err tls_read(struct nj_stream *stream, void *buf, size_t len, size_t *got)
{
    struct nj_tls_conn *conn = conn_of(stream);
    begin_call(conn);
    size_t sum = 0;
    /* Records that arrived together are taken together, as long as that costs no system call. */
    do {
        size_t part = 0;
        int rc = SSL_read_ex(conn->ssl, (uint8_t *)buf + sum, len - sum, &part);
        if (rc != 1) {
            enum nj_err err = judge(conn, rc, errno);
            if (sum > 0) {
                /* What was read counts first; an end is met again by the next call. */
                conn->is_eof = conn->is_eof || (err != NJ_OK && err != NJ_EAGAIN);
                break;
            }
            if (err != NJ_OK && err != NJ_EAGAIN) {
                return err;
            }
            if (conn->raw_bytes > BARREN_BYTES_MAX) {
                return fail(conn, NJ_ELIMIT, "TLS: too many records without data");
            }
            *got = 0;
            return err;
        }
        sum += part;
    } while (sum < len && SSL_has_pending(conn->ssl));
    ERR_clear_error();
    conn->raw_bytes = 0;
    *got = sum;
    return NJ_OK;
}

static bool tls_has_pending(const struct nj_stream *stream)
{
    const struct nj_tls_conn *conn = conn_of(stream);
    return !conn->is_starved && (!conn->is_drained || conn->is_eof || SSL_has_pending(conn->ssl));
}

/* One record: sealed again with the same content when the last attempt could not be sent. */
static enum nj_err write_record(struct nj_tls_conn *conn, const void *data, size_t len,
                                size_t *taken)
{
    int rc = SSL_write_ex(conn->ssl, data, len, taken);
    if (rc == 1) {
        conn->sealed_len = 0;
        return NJ_OK;
    }
    enum nj_err err = judge(conn, rc, errno);
    if (err == NJ_EAGAIN) {
        conn->sealed_len = (uint16_t)len;
    }
    return err == NJ_OK ? NJ_EAGAIN : err;
}

/* How much goes into the next record: all of a sealed one, which cannot be changed any more. */
static size_t record_bytes(const struct nj_tls_conn *conn, size_t left)
{
    if (conn->sealed_len == 0) {
        return left < RECORD_BYTES ? left : RECORD_BYTES;
    }
    NJ_ASSERT(left >= conn->sealed_len);
    return conn->sealed_len;
}

static enum nj_err tls_writev(struct nj_stream *stream, const struct iovec *iov, int iov_count,
                              size_t *written)
{
    struct nj_tls_conn *conn = conn_of(stream);
    uint8_t record[RECORD_BYTES];
    bool was_starved = conn->is_starved;
    begin_call(conn);
    size_t total = nj_iov_bytes(iov, iov_count);
    size_t sum = 0;
    enum nj_err err = NJ_OK;
    while (err == NJ_OK && sum < total) {
        size_t want = record_bytes(conn, total - sum);
        const void *data = record;
        if (iov_count == 1) {
            data = (const uint8_t *)iov[0].iov_base + sum;
        } else {
            (void)nj_iov_gather(iov, iov_count, sum, record, want);
        }
        size_t taken = 0;
        err = write_record(conn, data, want, &taken);
        sum += taken;
    }
    conn->is_starved = was_starved;
    if (sum == 0 && total > 0) {
        return err;
    }
    *written = sum;
    return err == NJ_EAGAIN ? NJ_OK : err;
}

static size_t tls_committed(const struct nj_stream *stream)
{
    return conn_of(stream)->sealed_len;
}

static enum nj_err tls_flush(struct nj_stream *stream)
{
    /* The rest of a record goes out with the bytes that the caller has to offer again. */
    (void)stream;
    return NJ_OK;
}

/* ---- ends ---- */

static void tls_goodbye(struct nj_stream *stream)
{
    struct nj_tls_conn *conn = conn_of(stream);
    if (conn->is_ready && !conn->is_broken && conn->sealed_len == 0) {
        begin_call(conn);
        (void)SSL_shutdown(conn->ssl);
        ERR_clear_error();
    }
}

static void tls_free(struct nj_stream *stream)
{
    struct nj_tls_conn *conn = conn_of(stream);
    SSL_free(conn->ssl);
    nj_free(conn->psk_identity);
    nj_tls_server_unref(conn->server);
    nj_tls_client_unref(conn->client);
}

static struct nj_tls_conn *tls_tls(const struct nj_stream *stream)
{
    return conn_of(stream);
}

static const struct nj_stream_ops tls_ops = {
    .handshake = tls_handshake,
    .read = tls_read,
    .has_pending = tls_has_pending,
    .writev = tls_writev,
    .committed = tls_committed,
    .flush = tls_flush,
    .goodbye = tls_goodbye,
    .free = tls_free,
    .tls = tls_tls,
};

static enum nj_err conn_new(int fd, SSL_CTX *ctx, struct nj_tls_conn **out)
{
    ERR_clear_error();
    (void)pthread_once(&bio_method_once, bio_method_make);
    struct nj_tls_conn *conn = nj_try_zalloc(sizeof(*conn));
    if (conn == NULL) {
        return NJ_ENOMEM;
    }
    nj_stream_init(&conn->base, &tls_ops, fd);
    conn->valid_until_s = INT64_MAX;
    conn->ssl = SSL_new(ctx);
    BIO *bio = NULL;
    if (bio_method != NULL && conn->ssl != NULL && SSL_set_app_data(conn->ssl, conn) == 1) {
        bio = BIO_new(bio_method);
    }
    if (bio == NULL) {
        SSL_free(conn->ssl);
        nj_free(conn);
        ERR_clear_error();
        return NJ_ENOMEM;
    }
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    SSL_set_bio(conn->ssl, bio, bio);
    X509_VERIFY_PARAM_set_time(SSL_get0_param(conn->ssl), (time_t)nj_clock_wall_s());
    *out = conn;
    return NJ_OK;
}

enum nj_err nj_stream_tls_server_new(int fd, struct nj_tls_server *server, struct nj_stream **out)
{
    struct nj_tls_conn *conn = NULL;
    enum nj_err err = conn_new(fd, server->ctx, &conn);
    if (err != NJ_OK) {
        return err;
    }
    conn->server = nj_tls_server_ref(server);
    SSL_set_accept_state(conn->ssl);
    *out = &conn->base;
    return NJ_OK;
}

static bool is_ip_address(const char *host)
{
    uint8_t ip[16];
    return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* Whose certificate it has to be, and what is asked for by SNI (names only, RFC 6066 3). */
static bool set_host(struct nj_tls_conn *conn, const char *host)
{
    bool is_ip = is_ip_address(host);
    if (!is_ip && SSL_set_tlsext_host_name(conn->ssl, host) != 1) {
        return false;
    }
    if (conn->client->is_insecure) {
        return true;
    }
    if (is_ip) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(conn->ssl), host) == 1;
    }
    SSL_set_hostflags(conn->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(conn->ssl, host) == 1;
}

enum nj_err nj_stream_tls_client_new(int fd, struct nj_tls_client *client, const char *host,
                                     struct nj_stream **out)
{
    struct nj_tls_conn *conn = NULL;
    enum nj_err err = conn_new(fd, client->ctx, &conn);
    if (err != NJ_OK) {
        return err;
    }
    conn->client = nj_tls_client_ref(client);
    SSL_set_connect_state(conn->ssl);
    if (!set_host(conn, host)) {
        ERR_clear_error();
        nj_stream_dispose(&conn->base);
        return NJ_ENOMEM;
    }
    *out = &conn->base;
    return NJ_OK;
}

/* ---- what the log wants to know ---- */

const struct nj_tls_server *nj_tls_conn_server(const struct nj_tls_conn *conn)
{
    return conn->server;
}

const char *nj_tls_conn_version(const struct nj_tls_conn *conn)
{
    return SSL_get_version(conn->ssl);
}

const char *nj_tls_conn_cipher(const struct nj_tls_conn *conn)
{
    return SSL_get_cipher_name(conn->ssl);
}

bool nj_tls_conn_is_resumed(const struct nj_tls_conn *conn)
{
    return SSL_session_reused(conn->ssl) == 1;
}
