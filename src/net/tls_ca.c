/* See tls_ca.h. */
#include "net/tls_ca.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_priv.h"

/* ---- reading */

static void free_infos(STACK_OF(X509_INFO) * infos)
{
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

/* What has no business in a file of trusted certificates, or NULL. */
static const char *stranger(const X509_INFO *info)
{
    if (info->x_pkey || info->enc_data) {
        return "there is a private key in it; a CA's key never leaves its owner";
    }
    return info->crl ? "there is a CRL in it" : NULL;
}

static enum nj_err parse(struct nj_bytes pem, STACK_OF(X509_INFO) * *out,
                         struct nj_net_error *error)
{
    if (pem.len > NJ_TLS_CA_PEM_MAX) {
        nj_net_error_set(error, "more than %zu bytes", NJ_TLS_CA_PEM_MAX);
        return NJ_ETOOBIG;
    }
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (!bio) {
        nj_net_error_set(error, "out of memory");
        return NJ_ENOMEM;
    }
    STACK_OF(X509_INFO) *infos = PEM_X509_INFO_read_bio(bio, NULL, NULL, (void *)"");
    BIO_free(bio);
    const char *why = infos ? NULL : nj_tls_openssl_reason();
    int count = infos ? sk_X509_INFO_num(infos) : 0;
    int certs = 0;
    for (int i = 0; i < count && !why; i++) {
        const X509_INFO *info = sk_X509_INFO_value(infos, i);
        why = stranger(info);
        certs += info->x509 != NULL;
    }
    ERR_clear_error();
    if (!why && certs == 0) {
        why = "there is no certificate in it (PEM expected)";
    }
    if (!why && certs > NJ_TLS_CA_CERTS_MAX) {
        why = "there are too many certificates in it";
    }
    if (why) {
        nj_net_error_set(error, "%s", why);
        free_infos(infos);
        return NJ_EMALFORMED;
    }
    *out = infos;
    return NJ_OK;
}

static X509 *first_of(STACK_OF(X509_INFO) * infos)
{
    for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
        if (sk_X509_INFO_value(infos, i)->x509) {
            return sk_X509_INFO_value(infos, i)->x509;
        }
    }
    return NULL;
}

/* Pure ASCII, specials escaped; a copy of ours. */
static char *name_text(const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
        char *data;
        long len = BIO_get_mem_data(bio, &data);
        text = nj_try_bytes_dup(nj_bytes(data, (size_t)len));
    }
    BIO_free(bio);
    return text;
}

static char *serial_text(const X509 *cert)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    char *text = hex ? nj_try_bytes_dup(nj_bytes_of(hex)) : NULL;
    OPENSSL_free(hex);
    BN_free(number);
    return text;
}

static void fingerprint_text(const X509 *cert, char out[65])
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    out[0] = '\0';
    if (X509_digest(cert, EVP_sha256(), digest, &len) == 1) {
        for (unsigned i = 0; i < len && i < 32; i++) {
            (void)snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
        }
    }
}

void nj_tls_ca_info_fini(struct nj_tls_ca_info *info)
{
    nj_free(info->subject);
    nj_free(info->issuer);
    nj_free(info->serial);
    *info = (struct nj_tls_ca_info){0};
}

enum nj_err nj_tls_ca_read(struct nj_bytes pem, struct nj_tls_ca_info *out,
                           struct nj_net_error *error)
{
    STACK_OF(X509_INFO) *infos = NULL;
    enum nj_err err = parse(pem, &infos, error);
    if (err != NJ_OK) {
        return err;
    }
    X509 *cert = first_of(infos);
    struct nj_tls_ca_info info = {
        .subject = name_text(X509_get_subject_name(cert)),
        .issuer = name_text(X509_get_issuer_name(cert)),
        .serial = serial_text(cert),
        .not_before_s = nj_tls_time_s(X509_get0_notBefore(cert)),
        .not_after_s = nj_tls_time_s(X509_get0_notAfter(cert)),
        .hash = (uint32_t)X509_subject_name_hash(cert),
    };
    fingerprint_text(cert, info.fingerprint);
    for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
        info.count += sk_X509_INFO_value(infos, i)->x509 != NULL;
    }
    free_infos(infos);
    if (!info.subject || !info.issuer || !info.serial) {
        nj_tls_ca_info_fini(&info);
        nj_net_error_set(error, "out of memory");
        return NJ_ENOMEM;
    }
    *out = info;
    return NJ_OK;
}

/* ---- checking */

static enum nj_err refuse(struct nj_net_error *error, const X509 *cert, const char *why)
{
    char *name = name_text(X509_get_subject_name(cert));
    nj_net_error_set(error, "%s (%s)", why, name ? name : "?");
    nj_free(name);
    return NJ_EAUTH;
}

static enum nj_err check_one(X509 *cert, struct nj_net_error *error)
{
    int64_t now_s = nj_clock_wall_s();
    if (X509_check_ca(cert) == 0) {
        return refuse(error, cert, "not a CA certificate");
    }
    if (nj_tls_time_s(X509_get0_notBefore(cert)) > now_s) {
        return refuse(error, cert, "not valid yet");
    }
    if (nj_tls_time_s(X509_get0_notAfter(cert)) <= now_s) {
        return refuse(error, cert, "expired");
    }
    return NJ_OK;
}

/* The chain of one certificate against everything that is, or will be, trusted. */
static enum nj_err check_chain(X509_STORE *store, X509 *cert, struct nj_net_error *error)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    enum nj_err err = NJ_ENOMEM;
    if (ctx && X509_STORE_CTX_init(ctx, store, cert, NULL) == 1) {
        X509_STORE_CTX_set_time(ctx, 0, (time_t)nj_clock_wall_s());
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CHECK_SS_SIGNATURE);
        err = NJ_OK;
        if (X509_verify_cert(ctx) != 1) {
            int code = X509_STORE_CTX_get_error(ctx);
            err = refuse(error, cert, X509_verify_cert_error_string(code));
        }
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return err;
}

static enum nj_err check_all(STACK_OF(X509_INFO) * infos, X509_STORE *store,
                             struct nj_net_error *error)
{
    enum nj_err err = NJ_OK;
    for (int i = 0; i < sk_X509_INFO_num(infos) && err == NJ_OK; i++) {
        X509 *cert = sk_X509_INFO_value(infos, i)->x509;
        if (cert) {
            err = check_one(cert, error);
        }
        /* The same certificate twice in a store is no error. */
        if (cert && err == NJ_OK && X509_STORE_add_cert(store, cert) != 1) {
            err = NJ_ENOMEM;
        }
    }
    for (int i = 0; i < sk_X509_INFO_num(infos) && err == NJ_OK; i++) {
        X509 *cert = sk_X509_INFO_value(infos, i)->x509;
        err = cert ? check_chain(store, cert, error) : NJ_OK;
    }
    return err;
}

enum nj_err nj_tls_ca_check(struct nj_bytes pem, const char *cafile, const char *capath,
                            bool takes_any_name, struct nj_net_error *error)
{
    STACK_OF(X509_INFO) *infos = NULL;
    struct nj_tls_bag bag;
    enum nj_err err = parse(pem, &infos, error);
    if (err != NJ_OK) {
        return err;
    }
    err = nj_tls_bag_init(&bag);
    if (err == NJ_OK && cafile) {
        err = nj_tls_bag_add_cafile(&bag, cafile, error);
    }
    if (err == NJ_OK && capath) {
        err = nj_tls_bag_add_capath(&bag, capath, takes_any_name, error);
    }
    if (err == NJ_OK) {
        err = check_all(infos, bag.store, error);
    }
    if (err == NJ_ENOMEM) {
        nj_net_error_set(error, "out of memory");
    }
    nj_tls_bag_fini(&bag);
    free_infos(infos);
    return err;
}
