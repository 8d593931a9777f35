/* From files to OpenSSL objects, with texts that an operator can act on. Every file is read whole
 * through base/file.h (regular files only, bounded) and parsed in memory. */
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/tls_priv.h"

#define FILE_BYTES_MAX ((size_t)64 * 1024 * 1024)
/* More CA names than this are not sent to clients as a hint: the message would grow too large. */
#define CA_NAMES_MAX 64

const char *nj_tls_openssl_reason(void)
{
    unsigned long code = ERR_peek_error();
    ERR_clear_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    return text != NULL ? text : "unknown reason";
}

int64_t nj_tls_time_s(const ASN1_TIME *time)
{
    struct tm tm;
    if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1) {
        return INT64_MAX;
    }
    return (int64_t)timegm(&tm);
}

static NJ_PRINTF(2, 3) void warn(const struct nj_tls_bag *bag, const char *fmt, ...)
{
    if (bag->warn == NULL) {
        return;
    }
    char text[1024];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    bag->warn(bag->warn_arg, text);
}

/* Reads `path`; the text of a failure begins with the name of the option. */
static enum nj_err read_file(const char *option, const char *path, struct nj_buf *buf,
                             struct nj_net_error *error)
{
    enum nj_err err = nj_file_read(path, FILE_BYTES_MAX, false, buf);
    if (err == NJ_OK) {
        return NJ_OK;
    }
    int cause = errno;
    nj_net_error_set(error, "%s %s: %s", option, path, nj_file_why(err));
    if (err == NJ_EINVAL || err == NJ_ETOOBIG || err == NJ_ENOMEM) {
        return err;
    }
    return cause == EACCES ? NJ_EACCES : NJ_ENOENT;
}

/* A file as an OpenSSL source of bytes; free it before the buffer. */
static enum nj_err open_file(const char *option, const char *path, struct nj_buf *buf, BIO **bio,
                             struct nj_net_error *error)
{
    ERR_clear_error();
    enum nj_err err = read_file(option, path, buf, error);
    if (err != NJ_OK) {
        return err;
    }
    *bio = BIO_new_mem_buf(buf->len > 0 ? (const void *)buf->data : "", (int)buf->len);
    return *bio != NULL ? NJ_OK : NJ_ENOMEM;
}

/* The queue of OpenSSL says only "no more PEM blocks", which is how reading a file ends. */
static bool is_end_of_pem(void)
{
    unsigned long code = ERR_peek_last_error();
    return code == 0 ||
           (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);
}

/* ---- CA certificates and CRLs ---- */

enum nj_err nj_tls_bag_init(struct nj_tls_bag *bag)
{
    memset(bag, 0, sizeof(*bag));
    bag->crl_next_update_s = INT64_MAX;
    bag->store = X509_STORE_new();
    bag->names = sk_X509_NAME_new_null();
    if (bag->store == NULL || bag->names == NULL) {
        nj_tls_bag_fini(bag);
        return NJ_ENOMEM;
    }
    return NJ_OK;
}

void nj_tls_bag_fini(struct nj_tls_bag *bag)
{
    X509_STORE_free(bag->store);
    sk_X509_NAME_pop_free(bag->names, X509_NAME_free);
    nj_free(bag->digests);
    bag->store = NULL;
    bag->names = NULL;
    bag->digests = NULL;
}

static uint8_t *digest_slot(struct nj_tls_bag *bag)
{
    if (bag->digests_count == bag->digests_cap) {
        size_t cap = bag->digests_cap == 0 ? 16 : bag->digests_cap * 2;
        void *digests = nj_try_realloc(bag->digests, cap * NJ_TLS_DIGEST_BYTES);
        if (digests == NULL) {
            return NULL;
        }
        bag->digests = digests;
        bag->digests_cap = cap;
    }
    return bag->digests[bag->digests_count++];
}

static enum nj_err add_ca(struct nj_tls_bag *bag, X509 *cert)
{
    uint8_t *digest = digest_slot(bag);
    unsigned len = 0;
    if (digest == NULL || X509_digest(cert, EVP_sha256(), digest, &len) != 1 ||
        X509_STORE_add_cert(bag->store, cert) != 1) {
        return NJ_ENOMEM;
    }
    bag->ca_count++;
    if (sk_X509_NAME_num(bag->names) >= CA_NAMES_MAX) {
        return NJ_OK;
    }
    X509_NAME *name = X509_NAME_dup(X509_get_subject_name(cert));
    if (name == NULL || sk_X509_NAME_push(bag->names, name) == 0) {
        X509_NAME_free(name);
        return NJ_ENOMEM;
    }
    return NJ_OK;
}

static enum nj_err add_crl(struct nj_tls_bag *bag, X509_CRL *crl)
{
    uint8_t *digest = digest_slot(bag);
    unsigned len = 0;
    if (digest == NULL || X509_CRL_digest(crl, EVP_sha256(), digest, &len) != 1 ||
        X509_STORE_add_crl(bag->store, crl) != 1) {
        return NJ_ENOMEM;
    }
    bag->crl_count++;
    int64_t next_s = nj_tls_time_s(X509_CRL_get0_nextUpdate(crl));
    if (next_s < bag->crl_next_update_s) {
        bag->crl_next_update_s = next_s;
    }
    return NJ_OK;
}

/* Everything in a PEM source. Keys in it are passed over. */
static enum nj_err read_infos(BIO *bio, STACK_OF(X509_INFO) * *out, const char **why)
{
    *out = PEM_X509_INFO_read_bio(bio, NULL, NULL, (void *)"");
    if (*out == NULL) {
        *why = nj_tls_openssl_reason();
        return NJ_EMALFORMED;
    }
    ERR_clear_error();
    return NJ_OK;
}

static enum nj_err add_infos(struct nj_tls_bag *bag, STACK_OF(X509_INFO) * infos, size_t *certs,
                             size_t *crls)
{
    enum nj_err err = NJ_OK;
    for (int i = 0; err == NJ_OK && i < sk_X509_INFO_num(infos); i++) {
        const X509_INFO *info = sk_X509_INFO_value(infos, i);
        if (info->x509 != NULL) {
            err = add_ca(bag, info->x509);
            *certs += err == NJ_OK;
        }
        if (err == NJ_OK && info->crl != NULL) {
            err = add_crl(bag, info->crl);
            *crls += err == NJ_OK;
        }
    }
    return err;
}

static enum nj_err load_infos(const char *option, const char *path, STACK_OF(X509_INFO) * *infos,
                              struct nj_net_error *error)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    BIO *bio = NULL;
    const char *why = NULL;
    enum nj_err err = open_file(option, path, &buf, &bio, error);
    if (err == NJ_OK) {
        err = read_infos(bio, infos, &why);
    }
    if (why != NULL) {
        nj_net_error_set(error, "%s %s: damaged PEM data (%s)", option, path, why);
    }
    BIO_free(bio);
    nj_buf_fini(&buf);
    return err;
}

enum nj_err nj_tls_bag_add_cafile(struct nj_tls_bag *bag, const char *path,
                                  struct nj_net_error *error)
{
    STACK_OF(X509_INFO) *infos = NULL;
    size_t certs = 0;
    size_t crls = 0;
    enum nj_err err = load_infos("cafile", path, &infos, error);
    if (err == NJ_OK) {
        err = add_infos(bag, infos, &certs, &crls);
    }
    if (err == NJ_OK && certs == 0) {
        nj_net_error_set(error, "cafile %s: there is no certificate in it (PEM expected)", path);
        err = NJ_EMALFORMED;
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    return err;
}

enum nj_err nj_tls_bag_add_crlfile(struct nj_tls_bag *bag, const char *path,
                                   struct nj_net_error *error)
{
    STACK_OF(X509_INFO) *infos = NULL;
    size_t crls = 0;
    enum nj_err err = load_infos("crlfile", path, &infos, error);
    int64_t now_s = nj_clock_wall_s();
    for (int i = 0; err == NJ_OK && i < sk_X509_INFO_num(infos); i++) {
        X509_CRL *crl = sk_X509_INFO_value(infos, i)->crl;
        if (crl == NULL) {
            continue;
        }
        err = add_crl(bag, crl);
        crls++;
        if (nj_tls_time_s(X509_CRL_get0_nextUpdate(crl)) <= now_s) {
            warn(bag, "crlfile %s: a CRL in it has expired; certificates of its issuer are refused",
                 path);
        } else if (nj_tls_time_s(X509_CRL_get0_lastUpdate(crl)) > now_s) {
            warn(bag,
                 "crlfile %s: a CRL in it is not valid yet; certificates of its issuer are "
                 "refused",
                 path);
        }
    }
    if (err == NJ_OK && crls == 0) {
        nj_net_error_set(error, "crlfile %s: there is no CRL in it (PEM expected)", path);
        err = NJ_EMALFORMED;
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    return err;
}

/* One file of a directory that may hold anything: what is not a CA is skipped, with a warning. */
static enum nj_err add_any_file(struct nj_tls_bag *bag, const char *path)
{
    STACK_OF(X509_INFO) *infos = NULL;
    struct nj_net_error why = {"out of memory"};
    enum nj_err err = load_infos("capath", path, &infos, &why);
    if (err != NJ_OK) {
        warn(bag, "%s; skipped", why.text);
        return err == NJ_ENOMEM ? NJ_ENOMEM : NJ_OK;
    }
    size_t certs = 0;
    for (int i = 0; err == NJ_OK && i < sk_X509_INFO_num(infos); i++) {
        X509 *cert = sk_X509_INFO_value(infos, i)->x509;
        if (cert == NULL) {
            continue;
        }
        certs++;
        if (X509_check_ca(cert) == 0) {
            warn(bag, "capath %s: certificate %zu in it is not a CA certificate; skipped", path,
                 certs);
            continue;
        }
        err = add_ca(bag, cert);
    }
    if (err == NJ_OK && certs == 0) {
        warn(bag, "capath %s: there is no certificate in it; skipped", path);
    }
    ERR_clear_error();
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    return err;
}

/* `01234567.0` or `01234567.r0`: the hash of a subject or CRL issuer. */
static bool parse_hashed_name(const char *name, unsigned long *hash, bool *is_crl)
{
    if (strspn(name, "0123456789abcdef") != 8 || name[8] != '.') {
        return false;
    }
    const char *number = name + 9;
    *is_crl = *number == 'r';
    number += *is_crl;
    size_t digits = strspn(number, "0123456789");
    if (digits == 0 || number[digits] != '\0') {
        return false;
    }
    *hash = strtoul(name, NULL, 16);
    return true;
}

static enum nj_err add_hashed_file(struct nj_tls_bag *bag, const char *path, unsigned long hash,
                                   bool wants_crl)
{
    STACK_OF(X509_INFO) *infos = NULL;
    struct nj_net_error why = {"out of memory"};
    enum nj_err err = load_infos("capath", path, &infos, &why);
    if (err != NJ_OK) {
        warn(bag, "%s; skipped", why.text);
        return err == NJ_ENOMEM ? NJ_ENOMEM : NJ_OK;
    }
    bool is_found = false;
    for (int i = 0; err == NJ_OK && i < sk_X509_INFO_num(infos); i++) {
        const X509_INFO *info = sk_X509_INFO_value(infos, i);
        if (!wants_crl && info->x509 != NULL && X509_subject_name_hash(info->x509) == hash) {
            err = add_ca(bag, info->x509);
            is_found = true;
        } else if (wants_crl && info->crl != NULL &&
                   X509_NAME_hash_ex(X509_CRL_get_issuer(info->crl), NULL, NULL, NULL) == hash) {
            err = add_crl(bag, info->crl);
            is_found = true;
        }
    }
    if (err == NJ_OK && !is_found) {
        warn(bag, "capath %s: what is in it does not have the hash of its name; skipped", path);
    }
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    return err;
}

static bool has_ca_suffix(const char *name)
{
    size_t len = strlen(name);
    return len > 4 && (strcmp(name + len - 4, ".pem") == 0 || strcmp(name + len - 4, ".crt") == 0);
}

static enum nj_err add_dir_entry(struct nj_tls_bag *bag, const char *dir, const char *name,
                                 bool takes_any_name)
{
    char path[4096];
    int len = snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (len < 0 || (size_t)len >= sizeof(path)) {
        return NJ_OK;
    }
    unsigned long hash = 0;
    bool is_crl = false;
    if (takes_any_name) {
        return has_ca_suffix(name) ? add_any_file(bag, path) : NJ_OK;
    }
    return parse_hashed_name(name, &hash, &is_crl) ? add_hashed_file(bag, path, hash, is_crl)
                                                   : NJ_OK;
}

enum nj_err nj_tls_bag_add_capath(struct nj_tls_bag *bag, const char *path, bool takes_any_name,
                                  struct nj_net_error *error)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0) {
        int cause = errno;
        nj_net_error_set(error, "capath %s: %s", path, nj_net_errno_text(cause));
        return cause == EACCES ? NJ_EACCES : NJ_ENOENT;
    }
    size_t before = bag->ca_count;
    enum nj_err err = NJ_OK;
    for (int i = 0; i < count; i++) {
        if (err == NJ_OK) {
            err = add_dir_entry(bag, path, entries[i]->d_name, takes_any_name);
        }
        free(entries[i]);
    }
    free(entries);
    if (err == NJ_OK && bag->ca_count == before) {
        warn(bag, "capath %s: no CA certificate in it (%s)", path,
             takes_any_name ? "files named *.pem or *.crt" : "names as \"openssl rehash\" makes");
    }
    return err;
}

static int compare_digests(const void *a, const void *b)
{
    return memcmp(a, b, NJ_TLS_DIGEST_BYTES);
}

enum nj_err nj_tls_bag_digest(struct nj_tls_bag *bag, const void *seed, size_t seed_len,
                              uint8_t out[NJ_TLS_DIGEST_BYTES])
{
    if (bag->digests_count > 0) {
        qsort(bag->digests, bag->digests_count, NJ_TLS_DIGEST_BYTES, compare_digests);
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool is_done = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
                   EVP_DigestUpdate(md, seed, seed_len) == 1;
    for (size_t i = 0; is_done && i < bag->digests_count; i++) {
        if (i == 0 || compare_digests(bag->digests[i - 1], bag->digests[i]) != 0) {
            is_done = EVP_DigestUpdate(md, bag->digests[i], NJ_TLS_DIGEST_BYTES) == 1;
        }
    }
    is_done = is_done && EVP_DigestFinal_ex(md, out, NULL) == 1;
    EVP_MD_CTX_free(md);
    return is_done ? NJ_OK : NJ_ENOMEM;
}

/* ---- the own certificate and key ---- */

static enum nj_err use_chain(SSL_CTX *ctx, BIO *bio, const char *path, struct nj_net_error *error)
{
    X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, NULL, (void *)"");
    if (leaf == NULL) {
        if (is_end_of_pem()) {
            ERR_clear_error();
            nj_net_error_set(error, "certfile %s: there is no certificate in it (PEM expected)",
                             path);
        } else {
            nj_net_error_set(error, "certfile %s: damaged certificate (%s)", path,
                             nj_tls_openssl_reason());
        }
        return NJ_EMALFORMED;
    }
    int ok = SSL_CTX_use_certificate(ctx, leaf);
    X509_free(leaf);
    if (ok != 1) {
        nj_net_error_set(error, "certfile %s: cannot be used (%s)", path, nj_tls_openssl_reason());
        return NJ_EINVAL;
    }
    X509 *next;
    while ((next = PEM_read_bio_X509(bio, NULL, NULL, (void *)"")) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
            X509_free(next);
            nj_net_error_set(error, "certfile %s: a chain certificate cannot be used (%s)", path,
                             nj_tls_openssl_reason());
            return NJ_EINVAL;
        }
    }
    if (!is_end_of_pem()) {
        nj_net_error_set(error, "certfile %s: damaged chain certificate (%s)", path,
                         nj_tls_openssl_reason());
        return NJ_EMALFORMED;
    }
    ERR_clear_error();
    return NJ_OK;
}

enum nj_err nj_tls_load_certfile(SSL_CTX *ctx, const char *path, struct nj_net_error *error)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    BIO *bio = NULL;
    enum nj_err err = open_file("certfile", path, &buf, &bio, error);
    if (err == NJ_OK) {
        err = use_chain(ctx, bio, path, error);
    }
    BIO_free(bio);
    nj_buf_fini(&buf);
    return err;
}

/* Never asks a terminal: notes that a passphrase is wanted and gives none. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's. */
static int no_passphrase(char *buf, int size, int for_writing, void *is_wanted)
{
    (void)buf;
    (void)size;
    (void)for_writing;
    *(bool *)is_wanted = true;
    return -1;
}

enum nj_err nj_tls_load_keyfile(SSL_CTX *ctx, const char *path, struct nj_net_error *error)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    BIO *bio = NULL;
    EVP_PKEY *key = NULL;
    bool is_encrypted = false;
    enum nj_err err = open_file("keyfile", path, &buf, &bio, error);
    if (err != NJ_OK) {
        goto out;
    }
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &is_encrypted);
    if (key == NULL) {
        nj_net_error_set(error, "keyfile %s: %s", path,
                         is_encrypted ? "the key is encrypted; a key without passphrase is needed"
                                      : "there is no usable private key in it (PEM expected)");
        ERR_clear_error();
        err = NJ_EMALFORMED;
        goto out;
    }
    if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        nj_net_error_set(error, "keyfile %s: does not belong to the certificate in certfile (%s)",
                         path, nj_tls_openssl_reason());
        err = NJ_EINVAL;
    }
out:
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (buf.data != NULL) {
        nj_wipe(buf.data, buf.len);
    }
    nj_buf_fini(&buf);
    return err;
}

enum nj_err nj_tls_load_dhparam(SSL_CTX *ctx, const char *path, struct nj_net_error *error)
{
    if (path == NULL) {
        return SSL_CTX_set_dh_auto(ctx, 1) == 1 ? NJ_OK : NJ_ENOMEM;
    }
    struct nj_buf buf;
    nj_buf_init(&buf);
    BIO *bio = NULL;
    enum nj_err err = open_file("dhparamfile", path, &buf, &bio, error);
    if (err == NJ_OK) {
        EVP_PKEY *params = PEM_read_bio_Parameters(bio, NULL);
        if (params == NULL) {
            nj_net_error_set(error, "dhparamfile %s: there are no DH parameters in it", path);
            err = NJ_EMALFORMED;
        } else if (SSL_CTX_set0_tmp_dh_pkey(ctx, params) != 1) {
            EVP_PKEY_free(params);
            nj_net_error_set(error, "dhparamfile %s: cannot be used (%s)", path,
                             nj_tls_openssl_reason());
            err = NJ_EINVAL;
        }
    }
    ERR_clear_error();
    BIO_free(bio);
    nj_buf_fini(&buf);
    return err;
}
