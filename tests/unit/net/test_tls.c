/* TLS contexts and connections: files, handshakes, data, resumption, rechecks. */
#include <sys/socket.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "net/tls.h"
#include "support/test.h"
#include "unit/net/rig.h"

static int setup(void **state)
{
    struct rig_pki *pki = calloc(1, sizeof(*pki));
    rig_pki_init(pki);
    *state = pki;
    return 0;
}

static int teardown(void **state)
{
    nj_clock_set_fake(NULL);
    rig_pki_fini(*state);
    free(*state);
    return 0;
}

static void expect_refused(const struct nj_tls_server_config *config, enum nj_err wanted,
                           const char *part)
{
    struct nj_tls_server *server = NULL;
    struct nj_net_error error = {""};
    enum nj_err err = nj_tls_server_new(config, NULL, &server, &error);
    if (err != wanted || strstr(error.text, part) == NULL || server != NULL) {
        fail_msg("%s, \"%s\"; wanted %s, \"%s\"", nj_err_name(err), error.text, nj_err_name(wanted),
                 part);
    }
}

/* ---- files ---- */

static void B_340_unusable_server_files_are_refused_with_their_name_and_why(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config good = rig_server_config(pki, true);
    struct nj_tls_server_config config;
    const char *empty = pki_write_text(pki->dir, "empty.pem", "", 0);
    const char *garbage = pki_write_text(pki->dir, "garbage.pem", "\x01garbage\n", 9);
    static const char broken_text[] =
        "-----BEGIN CERTIFICATE-----\nMIIBnotbase64!!\n-----END CERTIFICATE-----\n";
    const char *broken = pki_write_text(pki->dir, "broken.pem", broken_text, strlen(broken_text));
    uint8_t *der = NULL;
    int der_len = i2d_X509(pki->server.cert, &der);
    const char *der_file = pki_write_text(pki->dir, "der.pem", der, (size_t)der_len);
    OPENSSL_free(der);

    config = good, config.certfile = "/nonexistent/server.crt";
    expect_refused(&config, NJ_ENOENT, "certfile /nonexistent/server.crt: No such file");
    config = good, config.certfile = pki->dir;
    expect_refused(&config, NJ_EINVAL, "not a regular file");
    config = good, config.certfile = empty;
    expect_refused(&config, NJ_EMALFORMED, "no certificate");
    config = good, config.certfile = garbage;
    expect_refused(&config, NJ_EMALFORMED, "no certificate");
    config = good, config.certfile = broken;
    expect_refused(&config, NJ_EMALFORMED, "broken.pem");
    config = good, config.certfile = der_file;
    expect_refused(&config, NJ_EMALFORMED, "PEM expected");
    config = good, config.key.file = pki->certfile;
    expect_refused(&config, NJ_EMALFORMED, "no usable private key");
    config = good, config.key.file = pki->client_keyfile;
    expect_refused(&config, NJ_EINVAL, "does not belong to the certificate");
    config = good,
    config.key.file = pki_write_key(pki->dir, "secret.key", &pki->server, "passphrase");
    expect_refused(&config, NJ_EMALFORMED, "encrypted");
    config = good, config.key.file = NULL;
    expect_refused(&config, NJ_EINVAL, "both needed");
    config = good, config.dhparamfile = garbage;
    expect_refused(&config, NJ_EMALFORMED, "dhparamfile");
    config = good, config.ciphers = "NO-SUCH-CIPHER";
    expect_refused(&config, NJ_EINVAL, "NO-SUCH-CIPHER");
    config = good, config.ciphers_tls13 = "TLS_NO_SUCH";
    expect_refused(&config, NJ_EINVAL, "TLS_NO_SUCH");

    struct pki_cert weak = pki_make(&pki->ca, &(struct pki_shape){.cn = "w", .key = PKI_RSA1024});
    config = good;
    config.certfile = pki_write_cert(pki->dir, "weak.crt", &weak);
    config.key.file = pki_write_key(pki->dir, "weak.key", &weak, NULL);
    expect_refused(&config, NJ_EINVAL, "too small");
    pki_free(&weak);
}

static void L_218_a_ca_file_that_holds_no_ca_never_means_unverified(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config good = rig_server_config(pki, true);
    struct nj_tls_server_config config = good;
    static const char broken[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    config.cafile = pki_write_text(pki->dir, "empty.pem", "", 0);
    expect_refused(&config, NJ_EMALFORMED, "no certificate");
    config.cafile = "/nonexistent/ca.crt";
    expect_refused(&config, NJ_ENOENT, "cafile /nonexistent/ca.crt");
    config.cafile = pki_write_text(pki->dir, "garbage.pem", "garbage", 7);
    expect_refused(&config, NJ_EMALFORMED, "no certificate");
    config.cafile = pki_write_text(pki->dir, "broken.pem", broken, strlen(broken));
    expect_refused(&config, NJ_EMALFORMED, "broken.pem");
    config.cafile = NULL;
    expect_refused(&config, NJ_EINVAL, "require_certificate needs");
    config.capath = "/nonexistent";
    expect_refused(&config, NJ_ENOENT, "capath /nonexistent");

    /* An empty directory is possible (CAs are deployed into it later): nobody gets in. */
    const char *empty_dir = pki_path(pki->dir, "cas");
    assert_int_equal(mkdir(empty_dir, 0700), 0);
    config.capath = empty_dir;
    struct nj_tls_server *server = rig_server(&config, NULL);
    assert_non_null(strstr(pki->warning, "no CA certificate"));
    struct rig_ssl client;
    char why[512];
    for (int i = 0; i < 2; i++) {
        enum nj_err err;
        rig_ssl_init(&client);
        rig_ssl_use_cert(&client, &pki->client);
        assert_null(rig_ssl_connect(&client, server, &err, why));
        assert_int_equal(err, NJ_EAUTH);
        rig_ssl_fini(&client);
    }
    nj_tls_server_unref(server);

    /* The same for the client side. */
    struct nj_tls_client *tls_client = NULL;
    struct nj_net_error error;
    struct nj_tls_client_config client_config = rig_client_config(pki, false);
    client_config.cafile = pki_path(pki->dir, "empty.pem");
    assert_int_equal(nj_tls_client_new(&client_config, &tls_client, &error), NJ_EMALFORMED);
}

static void a_ca_directory_takes_every_ca_natively_and_hashed_names_in_compat(void **state)
{
    struct rig_pki *pki = *state;
    char dir[512];
    (void)snprintf(dir, sizeof(dir), "%s", pki_path(pki->dir, "cas"));
    assert_int_equal(mkdir(dir, 0700), 0);
    struct pki_cert second = pki_ca("Second CA");
    (void)pki_write_cert(dir, "first.pem", &pki->ca);
    (void)pki_write_cert(dir, "second.crt", &second);
    (void)pki_write_cert(dir, "leaf.pem", &pki->client);
    (void)pki_write_cert(dir, "ignored.txt", &second);
    (void)pki_write_text(dir, "broken.crt", "garbage", 7);
    struct nj_tls_server_config config = rig_server_config(pki, true);
    config.cafile = NULL;
    config.capath = dir;
    config.capath_takes_any_name = true;
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_server_info info;
    nj_tls_server_info(server, &info);
    assert_int_equal(info.ca_count, 2);
    assert_int_equal(pki->warnings, 2); /* leaf.pem, broken.crt */
    nj_tls_server_unref(server);

    config.capath_takes_any_name = false;
    pki->warnings = 0;
    server = rig_server(&config, NULL);
    nj_tls_server_info(server, &info);
    assert_int_equal(info.ca_count, 0);
    nj_tls_server_unref(server);

    char name[32];
    (void)snprintf(name, sizeof(name), "%08lx.0", X509_subject_name_hash(pki->ca.cert));
    (void)pki_write_cert(dir, name, &pki->ca);
    (void)pki_write_cert(dir, "0badc0de.0", &second);
    pki->warnings = 0;
    server = rig_server(&config, NULL);
    nj_tls_server_info(server, &info);
    assert_int_equal(info.ca_count, 1);
    assert_int_equal(pki->warnings, 1);
    assert_non_null(strstr(pki->warning, "0badc0de.0"));

    /* And such a CA lets its clients in. */
    struct nj_tls_client_config client_config = rig_client_config(pki, true);
    struct nj_tls_client *client = rig_client(&client_config);
    struct nj_stream *server_end = NULL;
    struct nj_stream *client_end = NULL;
    rig_connect(server, client, &server_end, &client_end);
    nj_stream_free(server_end);
    nj_stream_free(client_end);
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
    pki_free(&second);
    pki_dir_free(strdup(dir));
}

static void an_expired_server_certificate_is_a_warning(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert old =
        pki_make(&pki->ca, &(struct pki_shape){.cn = "localhost", .from_s = -9000, .until_s = -10});
    struct nj_tls_server_config config = rig_server_config(pki, false);
    config.certfile = pki_write_cert(pki->dir, "old.crt", &old);
    config.key.file = pki_write_key(pki->dir, "old.key", &old, NULL);
    nj_tls_server_unref(rig_server(&config, NULL));
    assert_non_null(strstr(pki->warning, "has expired"));
    pki_free(&old);
}

/* ---- connections ---- */

static void a_connection_carries_bytes_both_ways_and_tells_who_is_there(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_client_config client_config = rig_client_config(pki, true);
    client_config.alpn = "mqtt";
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client *client = rig_client(&client_config);
    struct nj_stream *server_end = NULL;
    struct nj_stream *client_end = NULL;
    rig_connect(server, client, &server_end, &client_end);

    size_t len = 300000;
    uint8_t *sent = malloc(len);
    uint8_t *received = malloc(len);
    for (size_t i = 0; i < len; i++) {
        sent[i] = (uint8_t)(i * 31 >> 3);
    }
    rig_send(client_end, server_end, sent, len, received);
    assert_memory_equal(sent, received, len);
    memset(received, 0, len);
    rig_send(server_end, client_end, sent, len, received);
    assert_memory_equal(sent, received, len);
    free(sent);
    free(received);

    struct nj_tls_conn *conn = nj_stream_tls(server_end);
    assert_string_equal(nj_tls_conn_version(conn), "TLSv1.3");
    assert_string_equal(nj_tls_conn_cipher(conn), "TLS_AES_256_GCM_SHA384");
    assert_ptr_equal(nj_tls_conn_server(conn), server);
    struct nj_tls_identity identity;
    assert_int_equal(nj_tls_conn_identity(conn, &identity), NJ_OK);
    assert_string_equal(identity.common_name, "device-1");
    assert_string_equal(identity.subject, "CN=device-1");
    assert_int_equal(strlen(identity.fingerprint), 64);
    assert_true(identity.not_after_s > nj_clock_wall_s());
    assert_int_equal(nj_tls_conn_valid_until_s(conn), identity.not_after_s);
    nj_tls_identity_fini(&identity);

    /* A polite end is an end, not an error. */
    nj_stream_close(client_end);
    nj_stream_free(client_end);
    uint8_t byte;
    size_t got = 0;
    assert_int_equal(nj_stream_read(server_end, &byte, 1, &got), NJ_ECLOSED);
    nj_stream_free(server_end);
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
}

static void a_short_write_says_what_is_committed_and_goes_on_from_there(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_client_config client_config = rig_client_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client *client = rig_client(&client_config);
    int fds[2];
    rig_pair(fds, true);
    struct nj_stream *from = NULL;
    struct nj_stream *to = NULL;
    enum nj_err errs[2];
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &from), NJ_OK);
    assert_int_equal(nj_stream_tls_client_new(fds[1], client, "localhost", &to), NJ_OK);
    rig_handshake(from, to, &errs[0], &errs[1]);
    assert_int_equal(errs[0], NJ_OK);
    assert_int_equal(errs[1], NJ_OK);

    enum {
        TOTAL = 200000
    };
    uint8_t *data = malloc(TOTAL);
    uint8_t *received = malloc(TOTAL);
    for (size_t i = 0; i < TOTAL; i++) {
        data[i] = (uint8_t)(i % 251);
    }
    size_t sent = 0;
    size_t got = 0;
    bool was_committed = false;
    srand(7);
    while (got < TOTAL) {
        /* The caller may cut the bytes into other pieces each time, and change what is not
         * committed: here the tail is garbage at first. */
        struct iovec iov[7];
        int count = 0;
        size_t committed = nj_stream_committed(from);
        was_committed = was_committed || committed > 0;
        size_t offer = sent;
        while (offer < TOTAL && (count < 6 || offer - sent < committed)) {
            size_t part = 1 + (size_t)rand() % 9000;
            if (count == 6) {
                part = sent + committed - offer;
            }
            part = part < TOTAL - offer ? part : TOTAL - offer;
            iov[count++] = (struct iovec){data + offer, part};
            offer += part;
        }
        size_t part = 0;
        enum nj_err err = count > 0 ? nj_stream_writev(from, iov, count, &part) : NJ_EAGAIN;
        assert_true(err == NJ_OK || err == NJ_EAGAIN);
        sent += err == NJ_OK ? part : 0;
        err = nj_stream_read(to, received + got, TOTAL - got, &part);
        assert_true(err == NJ_OK || err == NJ_EAGAIN);
        got += err == NJ_OK ? part : 0;
    }
    assert_true(was_committed);
    assert_int_equal(nj_stream_committed(from), 0);
    assert_memory_equal(data, received, TOTAL);
    free(data);
    free(received);
    nj_stream_free(from);
    nj_stream_free(to);
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
}

static void bytes_that_arrive_with_the_end_of_the_handshake_are_pending(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    int fds[2];
    rig_pair(fds, false);
    struct nj_stream *stream = NULL;
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &stream), NJ_OK);
    struct rig_ssl client;
    rig_ssl_init(&client);
    client.fd = fds[1];
    client.ssl = SSL_new(client.ctx);
    assert_int_equal(SSL_set_fd(client.ssl, client.fd), 1);
    assert_int_equal(SSL_connect(client.ssl), -1);
    assert_int_equal(nj_stream_handshake(stream), NJ_EAGAIN);
    assert_int_equal(SSL_connect(client.ssl), 1);
    assert_int_equal(SSL_write(client.ssl, "CONNECT", 7), 7);
    assert_int_equal(nj_stream_handshake(stream), NJ_OK);
    assert_true(nj_stream_has_pending(stream));
    uint8_t buf[64];
    size_t got = 0;
    assert_int_equal(nj_stream_read(stream, buf, sizeof(buf), &got), NJ_OK);
    assert_int_equal(got, 7);
    assert_int_equal(nj_stream_read(stream, buf, sizeof(buf), &got), NJ_EAGAIN);
    assert_false(nj_stream_has_pending(stream));

    /* Half a record is no pending data. */
    uint8_t half[1] = {0x17};
    assert_int_equal(SSL_write(client.ssl, "AB", 2), 2);
    assert_int_equal(send(client.fd, half, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(nj_stream_read(stream, buf, sizeof(buf), &got), NJ_OK);
    assert_int_equal(got, 2);
    while (nj_stream_has_pending(stream)) {
        assert_int_equal(nj_stream_read(stream, buf, sizeof(buf), &got), NJ_EAGAIN);
    }
    nj_stream_free(stream);
    rig_ssl_fini(&client);
    nj_tls_server_unref(server);
}

static void many_small_records_come_out_of_few_reads(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct rig_ssl client;
    rig_ssl_init(&client);
    enum nj_err err;
    char why[512];
    struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
    assert_non_null(stream);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(SSL_write(client.ssl, "0123456789", 10), 10);
    }
    uint8_t buf[4096];
    size_t sum = 0;
    int reads = 0;
    do {
        size_t got = 0;
        err = nj_stream_read(stream, buf + sum, sizeof(buf) - sum, &got);
        assert_int_equal(err, NJ_OK);
        sum += got;
        reads++;
    } while (nj_stream_has_pending(stream));
    assert_int_equal(sum, 1000);
    assert_true(reads <= 3);
    nj_stream_free(stream);
    rig_ssl_fini(&client);
    nj_tls_server_unref(server);
}

/* ---- bad handshakes ---- */

static void B_341_old_versions_and_foreign_ciphers_are_refused(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    static const int versions[] = {TLS1_VERSION, TLS1_1_VERSION};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct rig_ssl client;
        rig_ssl_init(&client);
        (void)SSL_CTX_set_min_proto_version(client.ctx, versions[i]);
        (void)SSL_CTX_set_max_proto_version(client.ctx, versions[i]);
        enum nj_err err;
        char why[512];
        assert_null(rig_ssl_connect(&client, server, &err, why));
        assert_int_equal(err, NJ_ETLS);
        rig_ssl_fini(&client);
    }
    nj_tls_server_unref(server);

    config.min_version = NJ_TLS_13;
    server = rig_server(&config, NULL);
    struct rig_ssl client;
    rig_ssl_init(&client);
    (void)SSL_CTX_set_max_proto_version(client.ctx, TLS1_2_VERSION);
    enum nj_err err;
    char why[512];
    assert_null(rig_ssl_connect(&client, server, &err, why));
    assert_int_equal(err, NJ_ETLS);
    rig_ssl_fini(&client);
    nj_tls_server_unref(server);

    config.min_version = NJ_TLS_12;
    config.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    server = rig_server(&config, NULL);
    rig_ssl_init(&client);
    (void)SSL_CTX_set_max_proto_version(client.ctx, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(client.ctx, "ECDHE-ECDSA-AES128-GCM-SHA256"), 1);
    assert_null(rig_ssl_connect(&client, server, &err, why));
    assert_int_equal(err, NJ_ETLS);
    assert_non_null(strstr(why, "no shared cipher"));
    rig_ssl_fini(&client);
    nj_tls_server_unref(server);
}

/* One raw exchange: what does the handshake say to these bytes? */
static enum nj_err say_raw(struct nj_tls_server *server, const void *data, size_t len,
                           bool is_closing)
{
    int fds[2];
    rig_pair(fds, false);
    struct nj_stream *stream = NULL;
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &stream), NJ_OK);
    assert_int_equal(send(fds[1], data, len, MSG_NOSIGNAL), len);
    if (is_closing) {
        (void)shutdown(fds[1], SHUT_WR);
    }
    enum nj_err err = nj_stream_handshake(stream);
    nj_stream_close(stream);
    nj_stream_free(stream);
    (void)close(fds[1]);
    return err;
}

static void B_341_what_is_not_tls_is_told_apart(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    static const uint8_t connect[] = {0x10, 0x0c, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0};
    assert_int_equal(say_raw(server, connect, sizeof(connect), false), NJ_EMALFORMED);
    assert_int_equal(say_raw(server, "GET / HTTP/1.1\r\n\r\n", 18, false), NJ_EMALFORMED);
    assert_int_equal(say_raw(server, "", 0, true), NJ_ECLOSED);
    assert_int_equal(say_raw(server, "\x16\x03\x01", 3, false), NJ_EAGAIN);
    assert_int_equal(say_raw(server, "\x16\x03\x01", 3, true), NJ_ECLOSED);
    assert_int_equal(say_raw(server, "\x16\x03\x01\x00\x05garbage!", 13, false), NJ_ETLS);
    nj_tls_server_unref(server);
}

static void B_341_a_client_hello_in_one_byte_pieces_works(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    int fds[2];
    rig_pair(fds, false);
    struct nj_stream *stream = NULL;
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &stream), NJ_OK);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    assert_int_equal(SSL_connect(ssl), -1);
    char *hello = NULL;
    long len = BIO_get_mem_data(out, &hello);
    for (long i = 0; i < len; i++) {
        assert_int_equal(send(fds[1], hello + i, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(nj_stream_handshake(stream), NJ_EAGAIN);
    }
    uint8_t answer[8192];
    assert_true(recv(fds[1], answer, sizeof(answer), 0) > 100);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    nj_stream_free(stream);
    (void)close(fds[1]);
    nj_tls_server_unref(server);
}

static void B_341_a_handshake_without_end_is_cut(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    int fds[2];
    rig_pair(fds, false);
    struct nj_stream *stream = NULL;
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &stream), NJ_OK);
    /* Records of an unfinished, huge ClientHello. */
    static uint8_t record[5 + 16384] = {0x16, 3, 1, 0x40, 0, 1, 0x0f, 0xff, 0xff};
    enum nj_err err = NJ_EAGAIN;
    size_t sent = 0;
    while (err == NJ_EAGAIN && sent < 10u * 1024 * 1024) {
        ssize_t done = send(fds[1], record, sizeof(record), MSG_NOSIGNAL);
        assert_int_equal(done, sizeof(record));
        sent += (size_t)done;
        record[5] = 0;
        err = nj_stream_handshake(stream);
    }
    assert_true(err == NJ_ETLS || err == NJ_ELIMIT);
    assert_true(sent < 400000);
    nj_stream_free(stream);
    (void)close(fds[1]);
    nj_tls_server_unref(server);
}

static void B_341_an_end_without_close_notify_is_an_end(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct rig_ssl client;
    rig_ssl_init(&client);
    enum nj_err err;
    char why[512];
    struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
    assert_int_equal(SSL_write(client.ssl, "last", 4), 4);
    rig_ssl_fini(&client);
    uint8_t buf[16];
    size_t got = 0;
    assert_int_equal(nj_stream_read(stream, buf, sizeof(buf), &got), NJ_OK);
    assert_int_equal(got, 4);
    assert_int_equal(nj_stream_read(stream, buf, sizeof(buf), &got), NJ_ECLOSED);
    struct iovec iov = {buf, 4};
    assert_int_not_equal(nj_stream_writev(stream, &iov, 1, &got), NJ_OK);
    nj_stream_free(stream);
    nj_tls_server_unref(server);
}

static void B_341_renegotiation_and_endless_key_updates_do_not_hold_the_worker(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct rig_ssl client;
    rig_ssl_init(&client);
    (void)SSL_CTX_set_max_proto_version(client.ctx, TLS1_2_VERSION);
    enum nj_err err;
    char why[512];
    uint8_t buf[64];
    size_t got = 0;
    struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
    assert_non_null(stream);
    if (SSL_renegotiate(client.ssl) == 1) {
        (void)SSL_do_handshake(client.ssl);
    }
    err = nj_stream_read(stream, buf, sizeof(buf), &got);
    assert_true(err == NJ_EAGAIN || err == NJ_ETLS);
    nj_stream_free(stream);
    rig_ssl_fini(&client);

    rig_ssl_init(&client);
    stream = rig_ssl_connect(&client, server, &err, why);
    assert_non_null(stream);
    err = NJ_EAGAIN;
    unsigned updates = 0;
    while ((err == NJ_EAGAIN || err == NJ_OK) && updates < 200000) {
        if (SSL_key_update(client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
            SSL_do_handshake(client.ssl) != 1) {
            break;
        }
        updates++;
        if (updates % 100 == 0) {
            err = nj_stream_read(stream, buf, sizeof(buf), &got);
        }
    }
    assert_int_equal(err, NJ_ELIMIT);
    nj_stream_free(stream);
    rig_ssl_fini(&client);
    nj_tls_server_unref(server);
}

static void L_222_alpn_is_chosen_ignored_or_refused(void **state)
{
    struct rig_pki *pki = *state;
    static const struct {
        const char *offer;
        enum nj_tls_alpn ours;
        bool is_strict;
        bool is_accepted;
        const char *chosen;
    } rows[] = {
        {"\x04mqtt", NJ_TLS_ALPN_MQTT, true, true, "mqtt"},
        {"\x02h2\x04mqtt", NJ_TLS_ALPN_MQTT, true, true, "mqtt"},
        {"\x02h2", NJ_TLS_ALPN_MQTT, true, false, ""},
        {"\x02h2", NJ_TLS_ALPN_MQTT, false, true, ""},
        {"\x02h2\x08http/1.1", NJ_TLS_ALPN_HTTP, true, true, "http/1.1"},
        {"\x04mqtt", NJ_TLS_ALPN_HTTP, true, false, ""},
        {"", NJ_TLS_ALPN_MQTT, true, true, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_tls_server_config config = rig_server_config(pki, false);
        config.alpn = rows[i].ours;
        config.is_alpn_strict = rows[i].is_strict;
        struct nj_tls_server *server = rig_server(&config, NULL);
        struct rig_ssl client;
        rig_ssl_init(&client);
        (void)SSL_CTX_set_alpn_protos(client.ctx, (const uint8_t *)rows[i].offer,
                                      (unsigned)strlen(rows[i].offer));
        enum nj_err err;
        char why[512];
        struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
        assert_int_equal(stream != NULL, rows[i].is_accepted);
        if (stream != NULL) {
            const uint8_t *chosen = NULL;
            unsigned len = 0;
            SSL_get0_alpn_selected(client.ssl, &chosen, &len);
            assert_int_equal(len, strlen(rows[i].chosen));
            assert_memory_equal(chosen != NULL ? (const char *)chosen : "", rows[i].chosen, len);
        }
        nj_stream_free(stream);
        rig_ssl_fini(&client);
        nj_tls_server_unref(server);
    }
}

/* ---- the client side ---- */

static void L_218_a_client_checks_chain_and_name_and_insecure_only_drops_the_name(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert stranger = pki_ca("Stranger CA");
    const char *stranger_file = pki_write_cert(pki->dir, "stranger.crt", &stranger);
    static const struct {
        const char *host;
        bool is_insecure;
        bool is_stranger;
        bool is_good;
        const char *why;
    } rows[] = {
        {"localhost", false, false, true, ""},
        {"127.0.0.1", false, false, true, ""},
        {"example.com", false, false, false, "server certificate: hostname mismatch"},
        {"127.0.0.2", false, false, false, "IP address mismatch"},
        {"example.com", true, false, true, ""},
        {"localhost", false, true, false, "server certificate: unable to get local issuer"},
        {"localhost", true, true, false, "server certificate: unable to get local issuer"},
    };
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_server *server = rig_server(&config, NULL);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_tls_client_config client_config = rig_client_config(pki, false);
        client_config.is_insecure = rows[i].is_insecure;
        if (rows[i].is_stranger) {
            client_config.cafile = stranger_file;
        }
        struct nj_tls_client *client = rig_client(&client_config);
        int fds[2];
        rig_pair(fds, false);
        struct nj_stream *ends[2];
        enum nj_err errs[2];
        assert_int_equal(nj_stream_tls_server_new(fds[0], server, &ends[0]), NJ_OK);
        assert_int_equal(nj_stream_tls_client_new(fds[1], client, rows[i].host, &ends[1]), NJ_OK);
        rig_handshake(ends[0], ends[1], &errs[0], &errs[1]);
        assert_int_equal(errs[1], rows[i].is_good ? NJ_OK : NJ_EAUTH);
        if (!rows[i].is_good) {
            assert_non_null(strstr(nj_stream_error(ends[1]), rows[i].why));
        }
        nj_stream_free(ends[0]);
        nj_stream_free(ends[1]);
        nj_tls_client_unref(client);
    }
    nj_tls_server_unref(server);
    pki_free(&stranger);
}

static void the_key_log_of_both_sides_tells_the_same(void **state)
{
    struct rig_pki *pki = *state;
    char logs[2][512];
    (void)snprintf(logs[0], 512, "%s", pki_path(pki->dir, "server.keys"));
    (void)snprintf(logs[1], 512, "%s", pki_path(pki->dir, "client.keys"));
    struct nj_tls_server_config config = rig_server_config(pki, false);
    struct nj_tls_client_config client_config = rig_client_config(pki, false);
    config.keylog_file = logs[0];
    client_config.keylog_file = logs[1];
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client *client = rig_client(&client_config);
    struct nj_stream *ends[2];
    rig_connect(server, client, &ends[0], &ends[1]);
    char texts[2][4096] = {"", ""};
    for (int i = 0; i < 2; i++) {
        struct stat st;
        assert_int_equal(stat(logs[i], &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        int fd = open(logs[i], O_RDONLY);
        assert_true(read(fd, texts[i], sizeof(texts[i]) - 1) > 100);
        (void)close(fd);
    }
    assert_non_null(strstr(texts[0], "CLIENT_TRAFFIC_SECRET_0 "));
    char *line = strstr(texts[0], "CLIENT_TRAFFIC_SECRET_0 ");
    *strchr(line, '\n') = '\0';
    assert_non_null(strstr(texts[1], line));
    nj_stream_free(ends[0]);
    nj_stream_free(ends[1]);
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
}

static void every_failing_allocation_is_survived(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_client_config client_config = rig_client_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client *client = rig_client(&client_config);
    for (uint64_t nth = 1; nth < 40; nth++) {
        struct nj_tls_server *other = NULL;
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        enum nj_err err = nj_tls_server_new(&config, server, &other, NULL);
        nj_fault_disarm();
        assert_int_equal(err == NJ_OK, other != NULL);
        nj_tls_server_unref(other);
        int fds[2];
        rig_pair(fds, false);
        struct nj_stream *ends[2] = {NULL, NULL};
        assert_int_equal(nj_stream_tls_client_new(fds[1], client, "localhost", &ends[1]), NJ_OK);
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        if (nj_stream_tls_server_new(fds[0], server, &ends[0]) != NJ_OK) {
            (void)close(fds[0]);
            ends[0] = NULL;
        } else {
            enum nj_err errs[2];
            rig_handshake(ends[0], ends[1], &errs[0], &errs[1]);
        }
        nj_fault_disarm();
        nj_stream_free(ends[0]);
        nj_stream_free(ends[1]);
    }
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(B_340_unusable_server_files_are_refused_with_their_name_and_why),
        TEST(L_218_a_ca_file_that_holds_no_ca_never_means_unverified),
        TEST(a_ca_directory_takes_every_ca_natively_and_hashed_names_in_compat),
        TEST(an_expired_server_certificate_is_a_warning),
        TEST(a_connection_carries_bytes_both_ways_and_tells_who_is_there),
        TEST(a_short_write_says_what_is_committed_and_goes_on_from_there),
        TEST(bytes_that_arrive_with_the_end_of_the_handshake_are_pending),
        TEST(many_small_records_come_out_of_few_reads),
        TEST(B_341_old_versions_and_foreign_ciphers_are_refused),
        TEST(B_341_what_is_not_tls_is_told_apart),
        TEST(B_341_a_client_hello_in_one_byte_pieces_works),
        TEST(B_341_a_handshake_without_end_is_cut),
        TEST(B_341_an_end_without_close_notify_is_an_end),
        TEST(B_341_renegotiation_and_endless_key_updates_do_not_hold_the_worker),
        TEST(L_222_alpn_is_chosen_ignored_or_refused),
        TEST(L_218_a_client_checks_chain_and_name_and_insecure_only_drops_the_name),
        TEST(the_key_log_of_both_sides_tells_the_same),
        TEST(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
