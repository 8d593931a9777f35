/* Who a certificate says its holder is. A name that could be read in two ways is no name. */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "base/mem.h"
#include "net/text_priv.h"
#include "net/tls_priv.h"

#define COMMON_NAME_CHARS_MAX 64

const char *nj_tls_name_text(enum nj_tls_name why)
{
    static const char *const texts[NJ_TLS_NAME_COUNT] = {
        [NJ_TLS_NAME_OK] = "the common name is usable",
        [NJ_TLS_NAME_MISSING] = "the certificate has no common name",
        [NJ_TLS_NAME_EMPTY] = "the common name is empty",
        [NJ_TLS_NAME_SEVERAL] = "the certificate has more than one common name",
        [NJ_TLS_NAME_TOO_LONG] = "the common name is longer than 64 characters",
        [NJ_TLS_NAME_NUL] = "the common name contains a NUL",
        [NJ_TLS_NAME_CONTROL] = "the common name contains a control character",
        [NJ_TLS_NAME_ENCODING] = "the common name is not valid in its encoding",
    };
    return (unsigned)why < NJ_TLS_NAME_COUNT ? texts[why] : "unknown";
}

enum nj_tls_name nj_name_state_of_text(const uint8_t *text, size_t len)
{
    if (len == 0) {
        return NJ_TLS_NAME_EMPTY;
    }
    if (memchr(text, 0, len) != NULL) {
        return NJ_TLS_NAME_NUL;
    }
    size_t chars = 0;
    for (size_t at = 0; at < len; chars++) {
        uint32_t code = 0;
        size_t step = nj_utf8_char(text + at, len - at, &code);
        if (step == 0) {
            return NJ_TLS_NAME_ENCODING;
        }
        if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) {
            return NJ_TLS_NAME_CONTROL;
        }
        at += step;
    }
    return chars > COMMON_NAME_CHARS_MAX ? NJ_TLS_NAME_TOO_LONG : NJ_TLS_NAME_OK;
}

/* T61 and the like have no agreed meaning; a broker that guesses may guess another's name. */
static bool is_known_string(int type)
{
    return type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING ||
           type == V_ASN1_IA5STRING || type == V_ASN1_BMPSTRING || type == V_ASN1_UNIVERSALSTRING;
}

static enum nj_err common_name_of(X509_NAME *subject, enum nj_tls_name *state, char **out)
{
    *out = NULL;
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at < 0) {
        *state = NJ_TLS_NAME_MISSING;
        return NJ_OK;
    }
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
        *state = NJ_TLS_NAME_SEVERAL;
        return NJ_OK;
    }
    const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    unsigned char *text = NULL;
    int len = -1;
    if (is_known_string(ASN1_STRING_type(value))) {
        len = ASN1_STRING_to_UTF8(&text, value);
    }
    if (len < 0) {
        ERR_clear_error();
        *state = NJ_TLS_NAME_ENCODING;
        return NJ_OK;
    }
    enum nj_err err = NJ_OK;
    *state = nj_name_state_of_text(text, (size_t)len);
    if (*state == NJ_TLS_NAME_OK) {
        *out = nj_try_bytes_dup(nj_bytes(text, (size_t)len));
        err = *out != NULL ? NJ_OK : NJ_ENOMEM;
    }
    OPENSSL_free(text);
    return err;
}

static enum nj_err subject_of(const X509_NAME *subject, char **out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    if (bio != NULL && X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253) >= 0) {
        long len = BIO_get_mem_data(bio, &data);
        *out = nj_try_bytes_dup(nj_bytes(data, len > 0 ? (size_t)len : 0));
    }
    BIO_free(bio);
    ERR_clear_error();
    return *out != NULL ? NJ_OK : NJ_ENOMEM;
}

static enum nj_err serial_of(const X509 *cert, char **out)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *text = number != NULL ? BN_bn2hex(number) : NULL;
    if (text != NULL) {
        *out = nj_try_bytes_dup(nj_bytes_of(text));
    }
    OPENSSL_free(text);
    BN_free(number);
    return *out != NULL ? NJ_OK : NJ_ENOMEM;
}

static enum nj_err fingerprint_of(const X509 *cert, char out[65])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1 || len != 32) {
        ERR_clear_error();
        return NJ_ENOMEM;
    }
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = hex[digest[i] >> 4];
        out[2 * i + 1] = hex[digest[i] & 15];
    }
    out[64] = '\0';
    return NJ_OK;
}

enum nj_err nj_tls_cert_identity(X509 *cert, struct nj_tls_identity *out)
{
    struct nj_tls_identity identity = {0};
    X509_NAME *subject = X509_get_subject_name(cert);
    enum nj_err err = common_name_of(subject, &identity.name_state, &identity.common_name);
    if (err == NJ_OK) {
        err = subject_of(subject, &identity.subject);
    }
    if (err == NJ_OK) {
        err = serial_of(cert, &identity.serial);
    }
    if (err == NJ_OK) {
        err = fingerprint_of(cert, identity.fingerprint);
    }
    if (err != NJ_OK) {
        nj_tls_identity_fini(&identity);
        return err;
    }
    identity.not_before_s = nj_tls_time_s(X509_get0_notBefore(cert));
    identity.not_after_s = nj_tls_time_s(X509_get0_notAfter(cert));
    *out = identity;
    return NJ_OK;
}

enum nj_err nj_tls_conn_identity(const struct nj_tls_conn *conn, struct nj_tls_identity *out)
{
    X509 *cert = SSL_get0_peer_certificate(conn->ssl);
    return cert != NULL ? nj_tls_cert_identity(cert, out) : NJ_ENOENT;
}

void nj_tls_identity_fini(struct nj_tls_identity *identity)
{
    nj_free(identity->common_name);
    nj_free(identity->subject);
    nj_free(identity->serial);
    memset(identity, 0, sizeof(*identity));
}
