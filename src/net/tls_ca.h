/* CA certificates as an administrator hands them in: may this be trusted from now on? Reads files
 * and costs signatures: the control thread only. */
#ifndef NJ_NET_TLS_CA_H
#define NJ_NET_TLS_CA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "net/error.h"

#define NJ_TLS_CA_PEM_MAX   ((size_t)256 * 1024)
#define NJ_TLS_CA_CERTS_MAX 16

/* The first certificate of a PEM text. */
struct nj_tls_ca_info {
    char *subject;        /* RFC 2253 */
    char *issuer;         /* likewise */
    char *serial;         /* upper-case hexadecimal */
    char fingerprint[65]; /* SHA-256, lower-case hexadecimal */
    int64_t not_before_s;
    int64_t not_after_s;
    uint32_t hash;  /* of the subject, as `openssl rehash` names files */
    unsigned count; /* certificates in the text */
};

/* NJ_EMALFORMED: no certificate, or something else in it (a private key above all). NJ_ETOOBIG.
 * NJ_ENOMEM. */
enum nj_err nj_tls_ca_read(struct nj_bytes pem, struct nj_tls_ca_info *out,
                           struct nj_net_error *error) NJ_NODISCARD;
void nj_tls_ca_info_fini(struct nj_tls_ca_info *info);

/* Every certificate in the text is a CA's, valid now, and its chain ends in a self-signed one that
 * is in the text, in `cafile` or in `capath` (each may be NULL; `takes_any_name` as in
 * nj_tls_server_config). NJ_EAUTH: not so, with the reason. Else as nj_tls_ca_read. */
enum nj_err nj_tls_ca_check(struct nj_bytes pem, const char *cafile, const char *capath,
                            bool takes_any_name, struct nj_net_error *error) NJ_NODISCARD;

#endif
