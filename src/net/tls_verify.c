/* Is a certificate chain good? The rules beyond OpenSSL's, how long the answer holds, and asking
 * again for a connection that lives on while CAs and CRLs change. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/clock.h"
#include "net/tls_priv.h"

/* RFC 5280 4.1.2.2 */
#define SERIAL_BYTES_MAX 20
/* More alternative names than this are nobody's device. */
#define ALT_NAMES_MAX 1000

static const char *serial_fault(const X509 *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    int len = ASN1_STRING_length(serial);
    if (ASN1_STRING_type(serial) != V_ASN1_INTEGER) {
        return "negative serial number";
    }
    bool is_zero = true;
    for (int i = 0; i < len; i++) {
        is_zero = is_zero && ASN1_STRING_get0_data(serial)[i] == 0;
    }
    if (is_zero) {
        return "serial number 0";
    }
    return len > SERIAL_BYTES_MAX ? "serial number longer than 20 bytes" : NULL;
}

static const char *extensions_fault(const X509 *cert)
{
    int count = X509_get_ext_count(cert);
    for (int i = 0; i < count; i++) {
        const ASN1_OBJECT *id = X509_EXTENSION_get_object(X509_get_ext(cert, i));
        if (X509_get_ext_by_OBJ(cert, id, i) >= 0) {
            return "the same extension twice";
        }
    }
    return NULL;
}

static const char *alt_names_fault(const X509 *cert)
{
    if (X509_get_ext_by_NID(cert, NID_subject_alt_name, -1) < 0) {
        return NULL;
    }
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    if (names == NULL) {
        ERR_clear_error();
        return "unreadable alternative names";
    }
    const char *fault =
        sk_GENERAL_NAME_num(names) > ALT_NAMES_MAX ? "too many alternative names" : NULL;
    for (int i = 0; fault == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        int type = 0;
        const ASN1_STRING *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
        if ((type == GEN_DNS || type == GEN_EMAIL || type == GEN_URI) &&
            memchr(ASN1_STRING_get0_data(value), 0, (size_t)ASN1_STRING_length(value)) != NULL) {
            fault = "NUL in an alternative name";
        }
    }
    GENERAL_NAMES_free(names);
    return fault;
}

const char *nj_tls_leaf_fault(X509 *leaf)
{
    uint32_t flags = X509_get_extension_flags(leaf);
    if (flags & EXFLAG_INVALID) {
        return "invalid extensions";
    }
    if (flags & EXFLAG_CA) {
        return "a CA certificate is no client certificate";
    }
    const char *fault = serial_fault(leaf);
    if (fault == NULL) {
        fault = extensions_fault(leaf);
    }
    return fault != NULL ? fault : alt_names_fault(leaf);
}

static bool is_date_error(int code)
{
    return code == X509_V_ERR_CERT_HAS_EXPIRED || code == X509_V_ERR_CERT_NOT_YET_VALID;
}

/* One step of a verification. Returns NULL when it may go on, else why not. */
static const char *judge(int ok, X509_STORE_CTX *sctx, bool ignores_dates)
{
    if (!ok) {
        int code = X509_STORE_CTX_get_error(sctx);
        if (ignores_dates && is_date_error(code)) {
            X509_STORE_CTX_set_error(sctx, X509_V_OK);
            return NULL;
        }
        return X509_verify_cert_error_string(code);
    }
    if (X509_STORE_CTX_get_error_depth(sctx) != 0) {
        return NULL;
    }
    const char *fault = nj_tls_leaf_fault(X509_STORE_CTX_get_current_cert(sctx));
    if (fault != NULL) {
        X509_STORE_CTX_set_error(sctx, X509_V_ERR_APPLICATION_VERIFICATION);
    }
    return fault;
}

int nj_tls_verify_callback(int ok, X509_STORE_CTX *sctx)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(sctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct nj_tls_conn *conn = SSL_get_app_data(ssl);
    const char *fault = judge(ok, sctx, conn->server->trust.ignores_dates);
    if (fault != NULL) {
        conn->verify_reason = fault;
        return 0;
    }
    return 1;
}

/* The same for nj_tls_conn_recheck, which has no handshake running. */
struct recheck {
    bool ignores_dates;
    const char *fault;
};

static int recheck_callback(int ok, X509_STORE_CTX *sctx)
{
    struct recheck *recheck = X509_STORE_CTX_get_app_data(sctx);
    const char *fault = judge(ok, sctx, recheck->ignores_dates);
    if (fault != NULL) {
        recheck->fault = fault;
        return 0;
    }
    return 1;
}

int64_t nj_tls_chain_valid_until(const struct nj_tls_trust *trust, const STACK_OF(X509) * chain)
{
    int64_t until_s = trust->has_crl_check ? trust->crl_next_update_s : INT64_MAX;
    for (int i = 0; !trust->ignores_dates && i < sk_X509_num(chain); i++) {
        int64_t end_s = nj_tls_time_s(X509_get0_notAfter(sk_X509_value(chain, i)));
        until_s = end_s < until_s ? end_s : until_s;
    }
    return until_s;
}

void nj_tls_conn_set_verified(struct nj_tls_conn *conn, const struct nj_tls_trust *trust,
                              int64_t valid_until_s)
{
    memcpy(conn->verified_by, trust->digest, sizeof(conn->verified_by));
    conn->valid_until_s = valid_until_s;
}

/* Runs one verification. `chain`: what the peer sent beside its certificate. */
static enum nj_err verify(struct nj_tls_conn *conn, const struct nj_tls_trust *trust, X509 *leaf,
                          STACK_OF(X509) * chain, struct nj_net_error *error)
{
    struct recheck recheck = {trust->ignores_dates, NULL};
    X509_STORE_CTX *sctx = X509_STORE_CTX_new();
    if (sctx == NULL || X509_STORE_CTX_init(sctx, trust->store, leaf, chain) != 1 ||
        X509_STORE_CTX_set_default(sctx, "ssl_client") != 1 ||
        X509_STORE_CTX_set_app_data(sctx, &recheck) != 1) {
        X509_STORE_CTX_free(sctx);
        ERR_clear_error();
        nj_net_error_set(error, "out of memory");
        return NJ_ENOMEM;
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(sctx);
    X509_VERIFY_PARAM_set_depth(param, NJ_TLS_CHAIN_DEPTH_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, trust->security_level);
    X509_VERIFY_PARAM_set_time(param, (time_t)nj_clock_wall_s());
    X509_STORE_CTX_set_verify_cb(sctx, recheck_callback);

    enum nj_err err = NJ_OK;
    if (X509_verify_cert(sctx) == 1) {
        nj_tls_conn_set_verified(conn, trust,
                                 nj_tls_chain_valid_until(trust, X509_STORE_CTX_get0_chain(sctx)));
    } else {
        int code = X509_STORE_CTX_get_error(sctx);
        nj_net_error_set(error, "client certificate: %s",
                         recheck.fault != NULL ? recheck.fault
                                               : X509_verify_cert_error_string(code));
        err = NJ_EAUTH;
    }
    X509_STORE_CTX_free(sctx);
    ERR_clear_error();
    return err;
}

enum nj_err nj_tls_conn_recheck(struct nj_tls_conn *conn, const struct nj_tls_server *server,
                                struct nj_net_error *error)
{
    if (server->psk.find != NULL) {
        return nj_tls_psk_recheck(conn, server, error);
    }
    if (!server->require_certificate) {
        return NJ_OK;
    }
    X509 *leaf = SSL_get0_peer_certificate(conn->ssl);
    if (leaf == NULL) {
        nj_net_error_set(error, "client certificate: there is none");
        return NJ_EAUTH;
    }
    const struct nj_tls_trust *trust = &server->trust;
    if (memcmp(conn->verified_by, trust->digest, sizeof(conn->verified_by)) == 0 &&
        nj_clock_wall_s() < conn->valid_until_s) {
        return NJ_OK;
    }
    if (!SSL_session_reused(conn->ssl)) {
        return verify(conn, trust, leaf, SSL_get_peer_cert_chain(conn->ssl), error);
    }
    int64_t valid_until_s = 0;
    STACK_OF(X509) *chain = NULL;
    if (!nj_tls_ticket_read(SSL_get_session(conn->ssl), &valid_until_s, &chain)) {
        nj_net_error_set(error, "client certificate: its chain is not known any more");
        return NJ_EAUTH;
    }
    enum nj_err err = verify(conn, trust, leaf, chain, error);
    sk_X509_pop_free(chain, X509_free);
    return err;
}

int64_t nj_tls_conn_valid_until_s(const struct nj_tls_conn *conn)
{
    return conn->valid_until_s;
}
