/* Certificates of every shape, made when a test runs, in a directory of its own. */
#ifndef NJ_TESTS_UNIT_NET_PKI_H
#define NJ_TESTS_UNIT_NET_PKI_H

#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>

enum pki_key {
    PKI_EC256,
    PKI_EC521,
    PKI_ED25519,
    PKI_RSA1024,
    PKI_RSA2048
};

/* What a certificate is to look like; zero is a plain client certificate without any extension. */
struct pki_shape {
    const char *cn;  /* NULL = no common name */
    int cn_len;      /* 0 = strlen */
    int cn_type;     /* 0 = UTF8String */
    const char *cn2; /* a second common name */
    const char *org; /* organisation, before the common name */
    enum pki_key key;
    const EVP_MD *md; /* NULL = SHA-256 */
    bool is_ca;
    int path_len;           /* 0 = none, n = n - 1 */
    const char *eku;        /* "clientAuth" */
    const char *san;        /* "DNS:localhost,IP:127.0.0.1" */
    const char *constraint; /* name constraints */
    int64_t from_s;         /* from now; 0 = an hour ago */
    int64_t until_s;        /* from now; 0 = in a day */
    const char *until;      /* instead: "99991231235959Z" */
    const char *serial;     /* hexadecimal, NULL = counted */
    bool is_odd;            /* an unknown critical extension */
    bool is_doubled;        /* an extension twice */
    bool has_nul_san;       /* DNS:a\0b */
    int many_sans;          /* so many names */
};

struct pki_cert {
    X509 *cert;
    EVP_PKEY *key;
};

/* A new directory, and its removal with everything in it. */
char *pki_dir_new(void);
void pki_dir_free(char *dir);
/* dir/name; freed by pki_dir_free's caller with free(). Valid until 64 more calls. */
const char *pki_path(const char *dir, const char *name);

/* Signed by `issuer`, or by itself when NULL. */
struct pki_cert pki_make(const struct pki_cert *issuer, const struct pki_shape *shape);
struct pki_cert pki_ca(const char *cn);
struct pki_cert pki_server(const struct pki_cert *ca);
struct pki_cert pki_client(const struct pki_cert *ca, const char *cn);
void pki_free(struct pki_cert *cert);

/* PEM files; each returns the path. */
const char *pki_write_certs(const char *dir, const char *name, const struct pki_cert *const *certs,
                            int count);
const char *pki_write_cert(const char *dir, const char *name, const struct pki_cert *cert);
const char *pki_write_key(const char *dir, const char *name, const struct pki_cert *cert,
                          const char *passphrase);
const char *pki_write_text(const char *dir, const char *name, const void *data, size_t len);

struct pki_crl_shape {
    int64_t last_s; /* from now; 0 = an hour ago */
    int64_t next_s; /* from now; 0 = in a day */
};
/* A CRL of `ca` that lists `revoked` (NULL = nobody), appended to the file. */
const char *pki_write_crl(const char *dir, const char *name, const struct pki_cert *ca,
                          const struct pki_cert *revoked, const struct pki_crl_shape *shape);

#endif
