/* See pki.h. Every failure aborts: a test without its certificates is none. */
#include "unit/net/pki.h"

#include <sys/stat.h>
#include <dirent.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define NEED(expr)                                                                                 \
    do {                                                                                           \
        if (!(expr)) {                                                                             \
            (void)fprintf(stderr, "pki: %s failed, line %d\n", #expr, __LINE__);                   \
            ERR_print_errors_fp(stderr);                                                           \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

char *pki_dir_new(void)
{
    char *dir = strdup("/tmp/nj-pki-XXXXXX");
    NEED(mkdtemp(dir) != NULL);
    return dir;
}

void pki_dir_free(char *dir)
{
    struct dirent **entries = NULL;
    int count = scandir(dir, &entries, NULL, NULL);
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0 &&
            unlink(path) != 0) {
            (void)rmdir(path);
        }
        free(entries[i]);
    }
    free(entries);
    (void)rmdir(dir);
    free(dir);
}

const char *pki_path(const char *dir, const char *name)
{
    static char paths[64][512];
    static unsigned next;
    char *path = paths[next++ % 64];
    (void)snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static EVP_PKEY *make_key(enum pki_key kind)
{
    switch (kind) {
    case PKI_EC521:
        return EVP_EC_gen("P-521");
    case PKI_ED25519:
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    case PKI_RSA1024:
        return EVP_RSA_gen(1024);
    case PKI_RSA2048:
        return EVP_RSA_gen(2048);
    default:
        return EVP_EC_gen("P-256");
    }
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    NEED(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void add_unknown_critical(X509 *cert)
{
    ASN1_OBJECT *id = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    NEED(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\x05\x00", 2) == 1);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, id, 1, value);
    NEED(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(id);
}

static void add_names(X509 *cert, const struct pki_shape *shape)
{
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    int count = shape->has_nul_san ? 1 : shape->many_sans;
    for (int i = 0; i < count; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "host-%d.example", i);
        if (shape->has_nul_san) {
            len = 4;
            text[1] = '\0';
        }
        ASN1_IA5STRING *value = ASN1_IA5STRING_new();
        NEED(ASN1_STRING_set(value, text, len) == 1);
        GENERAL_NAME *name = GENERAL_NAME_new();
        GENERAL_NAME_set0_value(name, GEN_DNS, value);
        NEED(sk_GENERAL_NAME_push(names, name) > 0);
    }
    NEED(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1);
    GENERAL_NAMES_free(names);
}

/* The library refuses to make some of the names that the tests need, so the check is gone round:
 * the string is made by hand. */
static void add_name_entry(X509_NAME *name, int nid, const char *text, int len, int type)
{
    NEED(X509_NAME_add_entry_by_NID(name, nid, V_ASN1_UTF8STRING, (const unsigned char *)"x", 1, -1,
                                    0) == 1);
    X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, X509_NAME_entry_count(name) - 1);
    ASN1_STRING *value = ASN1_STRING_type_new(type != 0 ? type : V_ASN1_UTF8STRING);
    NEED(ASN1_STRING_set(value, text, len) == 1);
    NEED(X509_NAME_ENTRY_set_data(entry, value->type, value->data, value->length) == 1);
    ASN1_STRING_free(value);
}

static void set_subject(X509 *cert, const struct pki_shape *shape)
{
    X509_NAME *name = X509_NAME_new();
    if (shape->org != NULL) {
        add_name_entry(name, NID_organizationName, shape->org, (int)strlen(shape->org), 0);
    }
    if (shape->cn != NULL) {
        add_name_entry(name, NID_commonName, shape->cn,
                       shape->cn_len != 0 ? shape->cn_len : (int)strlen(shape->cn), shape->cn_type);
    }
    if (shape->cn2 != NULL) {
        add_name_entry(name, NID_commonName, shape->cn2, (int)strlen(shape->cn2), 0);
    }
    NEED(X509_set_subject_name(cert, name) == 1);
    X509_NAME_free(name);
}

static void set_dates(X509 *cert, const struct pki_shape *shape)
{
    time_t now = (time_t)nj_clock_wall_s();
    NEED(ASN1_TIME_set(X509_getm_notBefore(cert),
                       now + (shape->from_s != 0 ? shape->from_s : -3600)) != NULL);
    if (shape->until != NULL) {
        NEED(ASN1_TIME_set_string(X509_getm_notAfter(cert), shape->until) == 1);
    } else {
        NEED(ASN1_TIME_set(X509_getm_notAfter(cert),
                           now + (shape->until_s != 0 ? shape->until_s : 86400)) != NULL);
    }
}

static void set_serial(X509 *cert, const struct pki_shape *shape)
{
    static long counter = 1000;
    BIGNUM *number = NULL;
    if (shape->serial != NULL) {
        NEED(BN_hex2bn(&number, shape->serial) > 0);
    } else {
        number = BN_new();
        NEED(BN_set_word(number, (BN_ULONG)++counter) == 1);
    }
    NEED(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL);
    BN_free(number);
}

static void set_extensions(X509 *cert, X509 *issuer, const struct pki_shape *shape)
{
    if (shape->is_ca) {
        char value[64] = "critical,CA:TRUE";
        if (shape->path_len > 0) {
            (void)snprintf(value, sizeof(value), "critical,CA:TRUE,pathlen:%d",
                           shape->path_len - 1);
        }
        add_extension(cert, issuer, NID_basic_constraints, value);
        add_extension(cert, issuer, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign");
        add_extension(cert, issuer, NID_subject_key_identifier, "hash");
    }
    if (shape->eku != NULL) {
        add_extension(cert, issuer, NID_ext_key_usage, shape->eku);
    }
    if (shape->san != NULL) {
        add_extension(cert, issuer, NID_subject_alt_name, shape->san);
    }
    if (shape->constraint != NULL) {
        add_extension(cert, issuer, NID_name_constraints, shape->constraint);
    }
    if (shape->is_odd) {
        add_unknown_critical(cert);
    }
    if (shape->is_doubled) {
        add_extension(cert, issuer, NID_netscape_comment, "one");
        add_extension(cert, issuer, NID_netscape_comment, "two");
    }
    if (shape->has_nul_san || shape->many_sans > 0) {
        add_names(cert, shape);
    }
}

struct pki_cert pki_make(const struct pki_cert *issuer, const struct pki_shape *shape)
{
    struct pki_cert made = {X509_new(), make_key(shape->key)};
    NEED(made.cert != NULL && made.key != NULL);
    const struct pki_cert *signer = issuer != NULL ? issuer : &made;
    NEED(X509_set_version(made.cert, X509_VERSION_3) == 1);
    NEED(X509_set_pubkey(made.cert, made.key) == 1);
    set_subject(made.cert, shape);
    NEED(X509_set_issuer_name(made.cert, X509_get_subject_name(signer->cert)) == 1);
    set_dates(made.cert, shape);
    set_serial(made.cert, shape);
    set_extensions(made.cert, signer->cert, shape);
    bool is_eddsa = EVP_PKEY_is_a(signer->key, "ED25519") == 1;
    const EVP_MD *md = shape->md != NULL ? shape->md : EVP_sha256();
    NEED(X509_sign(made.cert, signer->key, is_eddsa ? NULL : md) > 0);
    return made;
}

struct pki_cert pki_ca(const char *cn)
{
    return pki_make(NULL, &(struct pki_shape){.cn = cn, .is_ca = true});
}

struct pki_cert pki_server(const struct pki_cert *ca)
{
    return pki_make(ca,
                    &(struct pki_shape){.cn = "localhost", .san = "DNS:localhost,IP:127.0.0.1"});
}

struct pki_cert pki_client(const struct pki_cert *ca, const char *cn)
{
    return pki_make(ca, &(struct pki_shape){.cn = cn});
}

void pki_free(struct pki_cert *cert)
{
    X509_free(cert->cert);
    EVP_PKEY_free(cert->key);
    *cert = (struct pki_cert){NULL, NULL};
}

static FILE *open_file(const char *path, const char *mode)
{
    FILE *file = fopen(path, mode);
    NEED(file != NULL);
    return file;
}

const char *pki_write_certs(const char *dir, const char *name, const struct pki_cert *const *certs,
                            int count)
{
    const char *path = pki_path(dir, name);
    FILE *file = open_file(path, "w");
    for (int i = 0; i < count; i++) {
        NEED(PEM_write_X509(file, certs[i]->cert) == 1);
    }
    NEED(fclose(file) == 0);
    return path;
}

const char *pki_write_cert(const char *dir, const char *name, const struct pki_cert *cert)
{
    return pki_write_certs(dir, name, &cert, 1);
}

const char *pki_write_key(const char *dir, const char *name, const struct pki_cert *cert,
                          const char *passphrase)
{
    const char *path = pki_path(dir, name);
    FILE *file = open_file(path, "w");
    NEED(PEM_write_PrivateKey(file, cert->key, passphrase != NULL ? EVP_aes_128_cbc() : NULL,
                              (const unsigned char *)passphrase,
                              passphrase != NULL ? (int)strlen(passphrase) : 0, NULL, NULL) == 1);
    NEED(fclose(file) == 0);
    return path;
}

const char *pki_write_text(const char *dir, const char *name, const void *data, size_t len)
{
    const char *path = pki_path(dir, name);
    FILE *file = open_file(path, "w");
    NEED(len == 0 || fwrite(data, 1, len, file) == len);
    NEED(fclose(file) == 0);
    return path;
}

const char *pki_write_crl(const char *dir, const char *name, const struct pki_cert *ca,
                          const struct pki_cert *revoked, const struct pki_crl_shape *shape)
{
    int64_t last_s = shape != NULL && shape->last_s != 0 ? shape->last_s : -3600;
    int64_t next_s = shape != NULL && shape->next_s != 0 ? shape->next_s : 86400;
    time_t now = (time_t)nj_clock_wall_s();
    X509_CRL *crl = X509_CRL_new();
    NEED(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1);
    NEED(X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert)) == 1);
    ASN1_TIME *time = ASN1_TIME_set(NULL, now + last_s);
    NEED(X509_CRL_set1_lastUpdate(crl, time) == 1);
    if (revoked != NULL) {
        X509_REVOKED *entry = X509_REVOKED_new();
        NEED(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->cert)) == 1);
        NEED(X509_REVOKED_set_revocationDate(entry, time) == 1);
        NEED(X509_CRL_add0_revoked(crl, entry) == 1);
    }
    ASN1_TIME_free(time);
    time = ASN1_TIME_set(NULL, now + next_s);
    NEED(X509_CRL_set1_nextUpdate(crl, time) == 1);
    ASN1_TIME_free(time);
    NEED(X509_CRL_sign(crl, ca->key, EVP_sha256()) > 0);
    const char *path = pki_path(dir, name);
    FILE *file = open_file(path, "a");
    NEED(PEM_write_X509_CRL(file, crl) == 1);
    NEED(fclose(file) == 0);
    X509_CRL_free(crl);
    return path;
}
