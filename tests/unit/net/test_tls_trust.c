/* Which client certificates get in, who they are, and for how long. */
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
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

/* Connects with a certificate (and further ones for its chain). The stream, or NULL with `why`. */
static struct nj_stream *connect_with(struct nj_tls_server *server, const struct pki_cert *cert,
                                      const struct pki_cert *chain, char why[512])
{
    struct rig_ssl client;
    rig_ssl_init(&client);
    if (cert != NULL) {
        rig_ssl_use_cert(&client, cert);
    }
    if (chain != NULL) {
        assert_int_equal(SSL_CTX_add1_chain_cert(client.ctx, chain->cert), 1);
    }
    enum nj_err err = NJ_OK;
    why[0] = '\0';
    struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
    if (stream == NULL) {
        assert_true(err == NJ_EAUTH || err == NJ_ENOENT || err == NJ_ETLS);
    }
    rig_ssl_fini(&client);
    return stream;
}

static void expect(struct nj_tls_server *server, const struct pki_cert *cert,
                   const struct pki_cert *chain, const char *wanted)
{
    char why[512];
    struct nj_stream *stream = connect_with(server, cert, chain, why);
    bool is_in = stream != NULL;
    nj_stream_free(stream);
    if (is_in != (wanted == NULL)) {
        fail_msg("%s, \"%s\"; wanted \"%s\"", is_in ? "accepted" : "refused", why,
                 wanted != NULL ? wanted : "accepted");
    }
    if (wanted != NULL && strstr(why, wanted) == NULL) {
        fail_msg("refused with \"%s\"; wanted \"%s\"", why, wanted);
    }
}

static void B_340_leaf_shapes(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    static const char forty[] =
        "0102030405060708090A0B0C0D0E0F1011121314151617181920212223242526272829303132333435363738";
    const struct {
        const char *what;
        struct pki_shape shape;
        const char *why; /* NULL = accepted */
    } rows[] = {
        {"no extension at all", {.cn = "a"}, NULL},
        {"EKU clientAuth", {.cn = "a", .eku = "clientAuth"}, NULL},
        {"EKU both", {.cn = "a", .eku = "serverAuth,clientAuth"}, NULL},
        {"P-521", {.cn = "a", .key = PKI_EC521}, NULL},
        {"Ed25519", {.cn = "a", .key = PKI_ED25519}, NULL},
        {"RSA 2048", {.cn = "a", .key = PKI_RSA2048}, NULL},
        {"until 9999", {.cn = "a", .until = "99991231235959Z"}, NULL},
        {"international name", {.cn = "a", .san = "DNS:xn--bcher-kva.example"}, NULL},
        {"no common name", {.org = "a"}, NULL},
        {"expired", {.cn = "a", .from_s = -7200, .until_s = -3600}, "expired"},
        {"not yet valid", {.cn = "a", .from_s = 3600}, "not yet valid"},
        {"CA as a leaf", {.cn = "a", .is_ca = true}, "CA certificate"},
        {"EKU serverAuth only", {.cn = "a", .eku = "serverAuth"}, "purpose"},
        {"RSA 1024", {.cn = "a", .key = PKI_RSA1024}, "too weak"},
        {"SHA-1", {.cn = "a", .md = EVP_sha1()}, "too weak"},
        {"serial 0", {.cn = "a", .serial = "0"}, "serial number 0"},
        {"negative serial", {.cn = "a", .serial = "-5"}, "negative"},
        {"long serial", {.cn = "a", .serial = forty}, "longer than 20"},
        {"unknown critical extension", {.cn = "a", .is_odd = true}, "critical extension"},
        {"an extension twice", {.cn = "a", .is_doubled = true}, "twice"},
        {"NUL in a name", {.cn = "a", .has_nul_san = true}, "NUL"},
        {"1,001 names", {.cn = "a", .many_sans = 1001}, "too many"},
        {"10,000 names", {.cn = "a", .many_sans = 10000}, "excessive message size"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("  %s\n", rows[i].what);
        struct pki_cert cert = pki_make(&pki->ca, &rows[i].shape);
        expect(server, &cert, NULL, rows[i].why);
        pki_free(&cert);
    }
    nj_tls_server_unref(server);
}

static void B_340_chain_shapes(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct pki_cert middle =
        pki_make(&pki->ca, &(struct pki_shape){.cn = "Middle", .is_ca = true, .path_len = 1});
    struct pki_cert good = pki_client(&middle, "good");
    expect(server, &good, &middle, NULL);
    expect(server, &good, NULL, "unable to get local issuer");

    struct pki_cert lower = pki_make(&middle, &(struct pki_shape){.cn = "Lower", .is_ca = true});
    struct pki_cert too_deep = pki_client(&lower, "deep");
    struct rig_ssl client;
    rig_ssl_init(&client);
    rig_ssl_use_cert(&client, &too_deep);
    assert_int_equal(SSL_CTX_add1_chain_cert(client.ctx, lower.cert), 1);
    assert_int_equal(SSL_CTX_add1_chain_cert(client.ctx, middle.cert), 1);
    enum nj_err err;
    char why[512];
    assert_null(rig_ssl_connect(&client, server, &err, why));
    assert_non_null(strstr(why, "path length"));
    rig_ssl_fini(&client);

    struct pki_cert no_ca = pki_client(&pki->ca, "no CA");
    struct pki_cert signed_by_leaf = pki_client(&no_ca, "a");
    expect(server, &signed_by_leaf, &no_ca, "client certificate: ");

    struct pki_cert narrow = pki_make(
        &pki->ca, &(struct pki_shape){
                      .cn = "Narrow", .is_ca = true, .constraint = "permitted;DNS:.example.com"});
    struct pki_cert inside =
        pki_make(&narrow, &(struct pki_shape){.org = "a", .san = "DNS:a.example.com"});
    struct pki_cert outside =
        pki_make(&narrow, &(struct pki_shape){.org = "a", .san = "DNS:a.example.org"});
    expect(server, &inside, &narrow, NULL);
    expect(server, &outside, &narrow, "permitted subtree violation");

    struct pki_cert rsa =
        pki_make(&pki->ca, &(struct pki_shape){.cn = "RSA", .is_ca = true, .key = PKI_RSA2048});
    struct pki_cert md5 = pki_make(&rsa, &(struct pki_shape){.cn = "a", .md = EVP_md5()});
    expect(server, &md5, &rsa, "too weak");

    struct pki_cert self = pki_make(NULL, &(struct pki_shape){.cn = "self"});
    struct pki_cert stranger = pki_ca("Test CA"); /* same name, another key */
    struct pki_cert forged = pki_client(&stranger, "device-1");
    expect(server, &self, NULL, "self-signed");
    expect(server, &forged, NULL, "client certificate: ");
    expect(server, NULL, NULL, "did not provide a certificate");
    struct pki_cert *all[] = {&middle,         &good,   &lower,  &too_deep, &no_ca,
                              &signed_by_leaf, &narrow, &inside, &outside,  &self,
                              &stranger,       &forged, &rsa,    &md5};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        pki_free(all[i]);
    }
    nj_tls_server_unref(server);
}

static void L_220_a_chain_of_more_than_five_is_refused(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    for (int depth = 5; depth <= 7; depth++) {
        struct pki_cert chain[8];
        struct rig_ssl client;
        rig_ssl_init(&client);
        const struct pki_cert *issuer = &pki->ca;
        for (int i = 0; i < depth; i++) {
            char name[16];
            (void)snprintf(name, sizeof(name), "CA %d", i);
            chain[i] = pki_make(issuer, &(struct pki_shape){.cn = name, .is_ca = true});
            issuer = &chain[i];
        }
        struct pki_cert leaf = pki_client(issuer, "leaf");
        rig_ssl_use_cert(&client, &leaf);
        for (int i = depth - 1; i >= 0; i--) {
            assert_int_equal(SSL_CTX_add1_chain_cert(client.ctx, chain[i].cert), 1);
        }
        enum nj_err err;
        char why[512];
        struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
        assert_int_equal(stream != NULL, depth <= 5);
        nj_stream_free(stream);
        rig_ssl_fini(&client);
        pki_free(&leaf);
        for (int i = 0; i < depth; i++) {
            pki_free(&chain[i]);
        }
    }
    nj_tls_server_unref(server);
}

/* ---- names ---- */

static void L_210_B_340_common_names(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    static char long_name[66];
    memset(long_name, 'x', 65);
    const struct {
        struct pki_shape shape;
        enum nj_tls_name state;
        const char *name;
    } rows[] = {
        {{.cn = "device-1"}, NJ_TLS_NAME_OK, "device-1"},
        {{.cn = "Ger\xc3\xa4t"}, NJ_TLS_NAME_OK, "Ger\xc3\xa4t"},
        {{.cn = "device-1", .cn_type = V_ASN1_PRINTABLESTRING}, NJ_TLS_NAME_OK, "device-1"},
        {{.cn = "device-1", .cn_type = V_ASN1_IA5STRING}, NJ_TLS_NAME_OK, "device-1"},
        {{.cn = "\0a\x20\xac", .cn_len = 4, .cn_type = V_ASN1_BMPSTRING},
         NJ_TLS_NAME_OK,
         "a\xe2\x82\xac"},
        {{.org = "org"}, NJ_TLS_NAME_MISSING, NULL},
        {{.cn = "a", .cn2 = "b"}, NJ_TLS_NAME_SEVERAL, NULL},
        {{.cn = "a", .cn2 = "a"}, NJ_TLS_NAME_SEVERAL, NULL},
        {{.cn = "admin\0.evil", .cn_len = 11}, NJ_TLS_NAME_NUL, NULL},
        {{.cn = "admin\0", .cn_len = 6}, NJ_TLS_NAME_NUL, NULL},
        {{.cn = "\0a\0\0", .cn_len = 4, .cn_type = V_ASN1_BMPSTRING}, NJ_TLS_NAME_NUL, NULL},
        {{.cn = "a\nb"}, NJ_TLS_NAME_CONTROL, NULL},
        {{.cn = "a\x7f"}, NJ_TLS_NAME_CONTROL, NULL},
        {{.cn = "a\xc2\x85"}, NJ_TLS_NAME_CONTROL, NULL},
        {{.cn = "a\xe4", .cn_type = V_ASN1_T61STRING}, NJ_TLS_NAME_ENCODING, NULL},
        {{.cn = long_name}, NJ_TLS_NAME_TOO_LONG, NULL},
        {{.cn = long_name, .cn_len = 64}, NJ_TLS_NAME_OK, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pki_cert cert = pki_make(&pki->ca, &rows[i].shape);
        char why[512];
        struct nj_stream *stream = connect_with(server, &cert, NULL, why);
        if (stream == NULL) {
            /* OpenSSL itself may find such a name malformed: refused all the same. */
            assert_int_not_equal(rows[i].state, NJ_TLS_NAME_OK);
            print_message("  row %zu refused: %s\n", i, why);
            pki_free(&cert);
            continue;
        }
        struct nj_tls_identity identity;
        assert_int_equal(nj_tls_conn_identity(nj_stream_tls(stream), &identity), NJ_OK);
        if (identity.name_state != rows[i].state) {
            fail_msg("row %zu: %s", i, nj_tls_name_text(identity.name_state));
        }
        assert_int_equal(identity.common_name != NULL, rows[i].state == NJ_TLS_NAME_OK);
        if (rows[i].name != NULL) {
            assert_string_equal(identity.common_name, rows[i].name);
        }
        nj_tls_identity_fini(&identity);
        nj_stream_free(stream);
        pki_free(&cert);
    }
    nj_tls_server_unref(server);
}

/* OpenSSL does not even take such a certificate apart, so it never reaches the name check. */
static void B_340_a_name_of_invalid_utf8_cannot_be_parsed(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert cert = pki_client(&pki->ca, "AAAA");
    uint8_t *der = NULL;
    int len = i2d_X509(cert.cert, &der);
    static const char *const bad[] = {"A\xff\xff\xff", "AA\xc0\x80", "A\xed\xa0\x80"};
    uint8_t *at = memmem(der, (size_t)len, "AAAA", 4);
    assert_non_null(at);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memcpy(at, bad[i], 4);
        const uint8_t *in = der;
        assert_null(d2i_X509(NULL, &in, len));
    }
    ERR_clear_error();
    OPENSSL_free(der);
    pki_free(&cert);
}

static void an_empty_common_name_is_none(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct pki_cert cert = pki_make(&pki->ca, &(struct pki_shape){.cn = ""});
    char why[512];
    struct nj_stream *stream = connect_with(server, &cert, NULL, why);
    assert_non_null(stream);
    struct nj_tls_identity identity;
    assert_int_equal(nj_tls_conn_identity(nj_stream_tls(stream), &identity), NJ_OK);
    assert_int_equal(identity.name_state, NJ_TLS_NAME_EMPTY);
    assert_null(identity.common_name);
    nj_tls_identity_fini(&identity);
    nj_stream_free(stream);
    pki_free(&cert);
    nj_tls_server_unref(server);
}

static void L_212_a_subject_is_plain_ascii_with_specials_escaped(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    static const struct {
        struct pki_shape shape;
        const char *subject;
    } rows[] = {
        {{.org = "Acme", .cn = "device-1"}, "CN=device-1,O=Acme"},
        {{.cn = "a,O=Acme"}, "CN=a\\,O=Acme"},
        {{.cn = "a+b=c\\d\"e"}, "CN=a\\+b=c\\\\d\\\"e"},
        {{.cn = " a "}, "CN=\\ a\\ "},
        {{.cn = "a\nb"}, "CN=a\\0Ab"},
        {{.cn = "Ger\xc3\xa4t"}, "CN=Ger\\C3\\A4t"},
        {{.cn = "admin\0x", .cn_len = 7}, "CN=admin\\00x"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct pki_cert cert = pki_make(&pki->ca, &rows[i].shape);
        char why[512];
        struct nj_stream *stream = connect_with(server, &cert, NULL, why);
        assert_non_null(stream);
        struct nj_tls_identity identity;
        assert_int_equal(nj_tls_conn_identity(nj_stream_tls(stream), &identity), NJ_OK);
        assert_string_equal(identity.subject, rows[i].subject);
        nj_tls_identity_fini(&identity);
        nj_stream_free(stream);
        pki_free(&cert);
    }
    nj_tls_server_unref(server);
}

/* ---- CRLs ---- */

static void L_214_crls(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert other_ca = pki_ca("Other CA");
    const struct {
        const char *name;
        const struct pki_cert *ca;
        const struct pki_cert *revoked;
        struct pki_crl_shape shape;
        const char *why;
        const char *warning;
    } rows[] = {
        {"good.crl", &pki->ca, NULL, {0, 0}, NULL, NULL},
        {"revoked.crl", &pki->ca, &pki->client, {0, 0}, "revoked", NULL},
        {"expired.crl", &pki->ca, NULL, {-7200, -3600}, "CRL has expired", "has expired"},
        {"future.crl", &pki->ca, NULL, {3600, 7200}, "CRL is not yet valid", "not valid yet"},
        {"foreign.crl", &other_ca, NULL, {0, 0}, "unable to get certificate CRL", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_tls_server_config config = rig_server_config(pki, true);
        config.crlfile =
            pki_write_crl(pki->dir, rows[i].name, rows[i].ca, rows[i].revoked, &rows[i].shape);
        pki->warnings = 0;
        struct nj_tls_server *server = rig_server(&config, NULL);
        assert_int_equal(pki->warnings, rows[i].warning != NULL);
        assert_true(rows[i].warning == NULL || strstr(pki->warning, rows[i].warning) != NULL);
        struct nj_tls_server_info info;
        nj_tls_server_info(server, &info);
        assert_int_equal(info.crl_count, 1);
        assert_true(info.crl_next_update_s != 0);
        expect(server, &pki->client, NULL, rows[i].why);
        nj_tls_server_unref(server);
    }
    /* A forged CRL, in the name of the CA but with another key, frees nobody. */
    struct pki_cert forger = pki_ca("Test CA");
    struct nj_tls_server_config config = rig_server_config(pki, true);
    config.crlfile = pki_write_crl(pki->dir, "forged.crl", &forger, NULL, NULL);
    struct nj_tls_server *server = rig_server(&config, NULL);
    expect(server, &pki->client, NULL, "CRL");
    nj_tls_server_unref(server);

    struct nj_tls_server *none = NULL;
    struct nj_net_error error;
    config.crlfile = "/nonexistent/x.crl";
    assert_int_equal(nj_tls_server_new(&config, NULL, &none, &error), NJ_ENOENT);
    assert_non_null(strstr(error.text, "crlfile /nonexistent/x.crl"));
    config.crlfile = pki_write_text(pki->dir, "garbage.crl", "garbage", 7);
    assert_int_equal(nj_tls_server_new(&config, NULL, &none, &error), NJ_EMALFORMED);
    config.crlfile = pki->cafile;
    assert_int_equal(nj_tls_server_new(&config, NULL, &none, &error), NJ_EMALFORMED);
    assert_non_null(strstr(error.text, "no CRL"));
    pki_free(&forger);
    pki_free(&other_ca);
}

static void L_214_the_whole_chain_is_checked(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert middle = pki_make(&pki->ca, &(struct pki_shape){.cn = "Middle", .is_ca = true});
    struct pki_cert leaf = pki_client(&middle, "leaf");
    struct nj_tls_server_config config = rig_server_config(pki, true);
    config.crlfile = pki_write_crl(pki->dir, "all.crl", &middle, NULL, NULL);
    struct nj_tls_server *server = rig_server(&config, NULL);
    expect(server, &leaf, &middle, "unable to get certificate CRL");
    nj_tls_server_unref(server);
    (void)pki_write_crl(pki->dir, "all.crl", &pki->ca, NULL, NULL);
    server = rig_server(&config, NULL);
    expect(server, &leaf, &middle, NULL);
    nj_tls_server_unref(server);
    config.crlfile = pki_write_crl(pki->dir, "middle.crl", &middle, NULL, NULL);
    (void)pki_write_crl(pki->dir, "middle.crl", &pki->ca, &middle, NULL);
    server = rig_server(&config, NULL);
    expect(server, &leaf, &middle, "revoked");
    nj_tls_server_unref(server);
    pki_free(&middle);
    pki_free(&leaf);
}

static void unchecked_dates_still_leave_the_dates_of_crls(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert old =
        pki_make(&pki->ca, &(struct pki_shape){.cn = "old", .from_s = -7200, .until_s = -3600});
    struct nj_tls_server_config config = rig_server_config(pki, true);
    config.disable_client_cert_date_checks = true;
    struct nj_tls_server *server = rig_server(&config, NULL);
    expect(server, &old, NULL, NULL);
    struct pki_cert stranger = pki_ca("Stranger");
    struct pki_cert foreign =
        pki_make(&stranger, &(struct pki_shape){.cn = "old", .from_s = -7200, .until_s = -3600});
    expect(server, &foreign, NULL, "issuer");
    nj_tls_server_unref(server);
    config.crlfile =
        pki_write_crl(pki->dir, "x.crl", &pki->ca, NULL, &(struct pki_crl_shape){-7200, -3600});
    server = rig_server(&config, NULL);
    expect(server, &old, NULL, "CRL has expired");
    nj_tls_server_unref(server);
    pki_free(&old);
    pki_free(&foreign);
    pki_free(&stranger);
}

/* ---- resumption ---- */

/* Connects twice with one client; was the second time a resumption? `err`: of the second time. */
static bool resumes(struct rig_ssl *client, struct nj_tls_server *first,
                    struct nj_tls_server *second, enum nj_err *err)
{
    char why[512];
    struct nj_stream *stream = rig_ssl_connect(client, first, err, why);
    assert_non_null(stream);
    nj_stream_free(stream);
    rig_ssl_disconnect(client);
    stream = rig_ssl_connect(client, second, err, why);
    bool is_resumed = stream != NULL && nj_tls_conn_is_resumed(nj_stream_tls(stream));
    if (is_resumed) {
        struct nj_tls_identity identity;
        assert_int_equal(nj_tls_conn_identity(nj_stream_tls(stream), &identity), NJ_OK);
        assert_string_equal(identity.common_name, "device-1");
        nj_tls_identity_fini(&identity);
    }
    nj_stream_free(stream);
    rig_ssl_disconnect(client);
    return is_resumed;
}

static void begin_client(struct rig_ssl *client, const struct rig_pki *pki, int version)
{
    rig_ssl_init(client);
    (void)SSL_CTX_set_max_proto_version(client->ctx, version);
    rig_ssl_use_cert(client, &pki->client);
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void B_341_tickets_live_exactly_as_long_as_the_trust_they_were_given_under(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert second_ca = pki_ca("Second CA");
    const struct pki_cert *cas[] = {&second_ca, &pki->ca};
    char both[512];
    char crl[512];
    (void)snprintf(both, sizeof(both), "%s", pki_write_certs(pki->dir, "both.crt", cas, 2));
    (void)snprintf(crl, sizeof(crl), "%s", pki_write_crl(pki->dir, "x.crl", &pki->ca, NULL, NULL));
    for (size_t v = 0; v < 2; v++) {
        struct nj_tls_server_config config = rig_server_config(pki, true);
        struct nj_tls_server *server = rig_server(&config, NULL);
        struct rig_ssl client;
        enum nj_err err;

        begin_client(&client, pki, versions[v]);
        assert_true(resumes(&client, server, server, &err));
        /* A ticket got by resuming works, too, and so on. */
        for (int i = 0; i < 3; i++) {
            char why[512];
            struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
            assert_non_null(stream);
            assert_true(nj_tls_conn_is_resumed(nj_stream_tls(stream)));
            nj_stream_free(stream);
            rig_ssl_disconnect(&client);
        }
        rig_ssl_fini(&client);

        /* A reload that changes nothing of the trust keeps the keys. */
        struct nj_tls_server_config same = config;
        same.ciphers_tls13 = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
        struct nj_tls_server *reloaded = rig_server(&same, server);
        assert_true(nj_tls_server_same_trust(server, reloaded));
        begin_client(&client, pki, versions[v]);
        assert_true(resumes(&client, server, reloaded, &err));
        rig_ssl_fini(&client);
        nj_tls_server_unref(reloaded);

        /* Another CA set, a CRL, or other checks do not. */
        struct nj_tls_server_config others[3] = {config, config, config};
        others[0].cafile = both;
        others[1].crlfile = crl;
        others[2].disable_client_cert_date_checks = true;
        for (int i = 0; i < 3; i++) {
            reloaded = rig_server(&others[i], server);
            assert_false(nj_tls_server_same_trust(server, reloaded));
            begin_client(&client, pki, versions[v]);
            assert_false(resumes(&client, server, reloaded, &err));
            assert_int_equal(err, NJ_OK);
            rig_ssl_fini(&client);
            nj_tls_server_unref(reloaded);
        }

        /* Nor does another listener take it, even with the same files. */
        struct nj_tls_server_config elsewhere = config;
        elsewhere.name = "8884";
        struct nj_tls_server *other = rig_server(&elsewhere, NULL);
        begin_client(&client, pki, versions[v]);
        assert_false(resumes(&client, server, other, &err));
        assert_int_equal(err, NJ_OK);
        rig_ssl_fini(&client);
        nj_tls_server_unref(other);
        nj_tls_server_unref(server);
    }
    pki_free(&second_ca);
}

static void a_session_is_not_resumed_after_its_certificate_or_crl_has_ended(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_clock_fake clock = {.mono_ns = nj_clock_mono_ns(), .wall_ns = nj_clock_wall_ns()};
    nj_clock_set_fake(&clock);
    char crl[512];
    (void)snprintf(
        crl, sizeof(crl), "%s",
        pki_write_crl(pki->dir, "x.crl", &pki->ca, NULL, &(struct pki_crl_shape){0, 600}));
    struct pki_cert brief =
        pki_make(&pki->ca, &(struct pki_shape){.cn = "device-1", .until_s = 600});
    for (size_t v = 0; v < 2; v++) {
        for (int with_crl = 0; with_crl < 2; with_crl++) {
            struct nj_tls_server_config config = rig_server_config(pki, true);
            config.crlfile = with_crl ? crl : NULL;
            struct nj_tls_server *server = rig_server(&config, NULL);
            struct rig_ssl client;
            rig_ssl_init(&client);
            (void)SSL_CTX_set_max_proto_version(client.ctx, versions[v]);
            rig_ssl_use_cert(&client, with_crl ? &pki->client : &brief);
            enum nj_err err;
            char why[512];
            assert_true(resumes(&client, server, server, &err));
            clock.wall_ns += 601 * 1000000000LL;
            struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
            assert_null(stream);
            assert_int_equal(err, NJ_EAUTH);
            assert_non_null(strstr(why, "expired"));
            rig_ssl_fini(&client);
            nj_tls_server_unref(server);
            clock.wall_ns -= 601 * 1000000000LL;
        }
    }
    pki_free(&brief);
}

static void ticket_keys_change_with_time_and_old_ones_are_read_for_one_period(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_clock_fake clock = {.mono_ns = nj_clock_mono_ns(), .wall_ns = nj_clock_wall_ns()};
    nj_clock_set_fake(&clock);
    static const struct {
        uint64_t hours;
        bool resumes;
    } rows[] = {{1, true}, {13, true}, {23, true}, {25, false}, {100, false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_tls_server_config config = rig_server_config(pki, true);
        struct nj_tls_server *server = rig_server(&config, NULL);
        struct rig_ssl client;
        begin_client(&client, pki, TLS1_3_VERSION);
        enum nj_err err;
        char why[512];
        struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
        assert_non_null(stream);
        nj_stream_free(stream);
        rig_ssl_disconnect(&client);
        clock.mono_ns += rows[i].hours * 3600 * 1000000000ULL;
        stream = rig_ssl_connect(&client, server, &err, why);
        assert_non_null(stream);
        assert_int_equal(nj_tls_conn_is_resumed(nj_stream_tls(stream)), rows[i].resumes);
        nj_stream_free(stream);
        rig_ssl_fini(&client);
        nj_tls_server_unref(server);
    }
}

/* ---- rechecks ---- */

static enum nj_err recheck(struct nj_stream *stream, const struct nj_tls_server *server,
                           const char *part)
{
    struct nj_net_error why = {""};
    enum nj_err err = nj_tls_conn_recheck(nj_stream_tls(stream), server, &why);
    if (err != NJ_OK && strstr(why.text, part) == NULL) {
        fail_msg("\"%s\"; wanted \"%s\"", why.text, part);
    }
    return err;
}

static void L_215_a_live_connection_is_judged_anew_under_changed_trust(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert middle = pki_make(&pki->ca, &(struct pki_shape){.cn = "Middle", .is_ca = true});
    struct pki_cert leaf = pki_client(&middle, "leaf");
    struct pki_cert other = pki_ca("Other CA");
    char other_ca[512];
    (void)snprintf(other_ca, sizeof(other_ca), "%s", pki_write_cert(pki->dir, "o.crt", &other));
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    char why[512];
    struct nj_stream *plain = connect_with(server, &pki->client, NULL, why);
    struct nj_stream *chained = connect_with(server, &leaf, &middle, why);
    assert_non_null(plain);
    assert_non_null(chained);
    assert_int_equal(recheck(plain, server, ""), NJ_OK);

    /* A CRL that lists one of them. */
    struct nj_tls_server_config changed = config;
    changed.crlfile = pki_write_crl(pki->dir, "x.crl", &pki->ca, &pki->client, NULL);
    (void)pki_write_crl(pki->dir, "x.crl", &middle, NULL, NULL);
    struct nj_tls_server *next = rig_server(&changed, server);
    assert_int_equal(recheck(plain, next, "revoked"), NJ_EAUTH);
    assert_int_equal(recheck(chained, next, ""), NJ_OK);
    assert_int_equal(recheck(chained, next, ""), NJ_OK); /* remembered */
    nj_tls_server_unref(next);

    /* Its CA is gone. */
    changed = config;
    changed.cafile = other_ca;
    next = rig_server(&changed, server);
    assert_int_equal(recheck(plain, next, "issuer"), NJ_EAUTH);
    assert_int_equal(recheck(chained, next, "issuer"), NJ_EAUTH);
    nj_tls_server_unref(next);

    /* And back again. */
    assert_int_equal(recheck(chained, server, ""), NJ_OK);

    /* A listener that asks for certificates from now on, and one that does no longer. */
    struct nj_tls_server_config open_config = rig_server_config(pki, false);
    struct nj_tls_server *open = rig_server(&open_config, NULL);
    struct nj_stream *nobody = connect_with(open, NULL, NULL, why);
    assert_int_equal(recheck(nobody, server, "there is none"), NJ_EAUTH);
    assert_int_equal(recheck(plain, open, ""), NJ_OK);
    nj_tls_server_unref(open);
    nj_stream_free(nobody);
    nj_stream_free(plain);
    nj_stream_free(chained);
    nj_tls_server_unref(server);
    pki_free(&middle);
    pki_free(&leaf);
    pki_free(&other);
}

static void L_215_a_resumed_connection_still_knows_its_chain(void **state)
{
    struct rig_pki *pki = *state;
    struct pki_cert middle = pki_make(&pki->ca, &(struct pki_shape){.cn = "Middle", .is_ca = true});
    struct pki_cert leaf = pki_client(&middle, "device-1");
    struct nj_tls_server_config config = rig_server_config(pki, true);
    char good[512];
    char bad[512];
    (void)snprintf(good, sizeof(good), "%s",
                   pki_write_crl(pki->dir, "good.crl", &pki->ca, NULL, NULL));
    (void)pki_write_crl(pki->dir, "good.crl", &middle, NULL, NULL);
    (void)snprintf(bad, sizeof(bad), "%s",
                   pki_write_crl(pki->dir, "bad.crl", &pki->ca, &middle, NULL));
    (void)pki_write_crl(pki->dir, "bad.crl", &middle, NULL, NULL);
    for (size_t v = 0; v < 2; v++) {
        struct nj_tls_server *server = rig_server(&config, NULL);
        struct rig_ssl client;
        rig_ssl_init(&client);
        (void)SSL_CTX_set_max_proto_version(client.ctx, versions[v]);
        rig_ssl_use_cert(&client, &leaf);
        assert_int_equal(SSL_CTX_add1_chain_cert(client.ctx, middle.cert), 1);
        enum nj_err err;
        char why[512];
        assert_true(resumes(&client, server, server, &err));
        struct nj_stream *stream = rig_ssl_connect(&client, server, &err, why);
        assert_non_null(stream);
        assert_true(nj_tls_conn_is_resumed(nj_stream_tls(stream)));

        struct nj_tls_server_config changed = config;
        changed.crlfile = good;
        struct nj_tls_server *next = rig_server(&changed, server);
        assert_int_equal(recheck(stream, next, ""), NJ_OK);
        nj_tls_server_unref(next);
        changed.crlfile = bad;
        next = rig_server(&changed, server);
        assert_int_equal(recheck(stream, next, "revoked"), NJ_EAUTH);
        nj_tls_server_unref(next);
        nj_stream_free(stream);
        rig_ssl_fini(&client);
        nj_tls_server_unref(server);
    }
    pki_free(&middle);
    pki_free(&leaf);
}

static void L_216_a_connection_does_not_outlive_its_certificate(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_clock_fake clock = {.mono_ns = nj_clock_mono_ns(), .wall_ns = nj_clock_wall_ns()};
    nj_clock_set_fake(&clock);
    struct pki_cert brief = pki_make(&pki->ca, &(struct pki_shape){.cn = "brief", .until_s = 600});
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    char why[512];
    struct nj_stream *stream = connect_with(server, &brief, NULL, why);
    int64_t until_s = nj_tls_conn_valid_until_s(nj_stream_tls(stream));
    assert_int_equal(until_s, clock.wall_ns / 1000000000 + 600);
    assert_int_equal(recheck(stream, server, ""), NJ_OK);
    clock.wall_ns += 601 * 1000000000LL;
    assert_int_equal(recheck(stream, server, "expired"), NJ_EAUTH);
    nj_stream_free(stream);
    nj_tls_server_unref(server);
    pki_free(&brief);
}

static void a_replaced_context_lives_as_long_as_its_connections(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server_config config = rig_server_config(pki, true);
    struct nj_tls_client_config client_config = rig_client_config(pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client *client = rig_client(&client_config);
    struct nj_stream *ends[2];
    rig_connect(server, client, &ends[0], &ends[1]);
    nj_tls_server_unref(server);
    nj_tls_client_unref(client);
    char received[5];
    rig_send(ends[1], ends[0], "hello", 5, received);
    assert_memory_equal(received, "hello", 5);
    nj_stream_free(ends[0]);
    nj_stream_free(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(B_340_leaf_shapes),
        TEST(B_340_chain_shapes),
        TEST(L_220_a_chain_of_more_than_five_is_refused),
        TEST(L_210_B_340_common_names),
        TEST(B_340_a_name_of_invalid_utf8_cannot_be_parsed),
        TEST(an_empty_common_name_is_none),
        TEST(L_212_a_subject_is_plain_ascii_with_specials_escaped),
        TEST(L_214_crls),
        TEST(L_214_the_whole_chain_is_checked),
        TEST(unchecked_dates_still_leave_the_dates_of_crls),
        TEST(B_341_tickets_live_exactly_as_long_as_the_trust_they_were_given_under),
        TEST(a_session_is_not_resumed_after_its_certificate_or_crl_has_ended),
        TEST(ticket_keys_change_with_time_and_old_ones_are_read_for_one_period),
        TEST(L_215_a_live_connection_is_judged_anew_under_changed_trust),
        TEST(L_215_a_resumed_connection_still_knows_its_chain),
        TEST(L_216_a_connection_does_not_outlive_its_certificate),
        TEST(a_replaced_context_lives_as_long_as_its_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
