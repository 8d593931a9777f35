/* TLS contexts, who the peer is, and whether it still is.
 *
 * A nj_tls_server is everything one listener needs to speak TLS, built from files once, immutable,
 * reference-counted. A reload builds a new one beside it; connections keep the one they were made
 * with. Session tickets are sealed with keys that belong to one *generation* of CA set, CRL and
 * verify settings: a new context made from equal ones takes the keys over, any difference makes new
 * keys, so no ticket outlives the trust it was given under. A ticket also carries the moment until
 * which its certificate chain and the CRLs were valid.
 *
 * Always: TLS 1.2 or later, no compression, no renegotiation, no early data, security level 2 (no
 * RSA below 2048 bits, no SHA-1 signatures) unless `ciphers` says @SECLEVEL, chain depth 5, 64 KiB
 * of certificates at most, CRLs for the whole chain, and an expired CRL refuses.
 * Time comes from base/clock.h. */
#ifndef NJ_NET_TLS_H
#define NJ_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "net/error.h"

struct nj_tls_server;
struct nj_tls_client;
struct nj_tls_conn; /* the TLS side of a stream: nj_stream_tls() */

/* Call once, before threads and before anything else uses OpenSSL: OpenSSL's memory counts against
 * the limit of base/mem.h from then on. Works without, too (unit tests). */
void nj_tls_init(void);

enum nj_tls_version {
    NJ_TLS_12,
    NJ_TLS_13
};

/* What to answer when a client offers ALPN names. */
enum nj_tls_alpn {
    NJ_TLS_ALPN_MQTT, /* "mqtt" */
    NJ_TLS_ALPN_HTTP  /* "http/1.1": WebSocket listeners */
};

/* A private key, beside the certificate that belongs to it. */
struct nj_tls_key {
    const char *file;              /* PEM; or the name that the engine knows it by */
    const char *engine;            /* OpenSSL engine, or NULL */
    const char *engine_kpass_sha1; /* SHA-1 of the engine's password in hexadecimal, or NULL */
    bool is_in_engine;             /* tls_keyform engine */
    bool may_ask;                  /* tools: the engine may ask the terminal for a PIN */
};

typedef void (*nj_tls_warn_fn)(void *arg, const char *text);

#define NJ_TLS_PSK_IDENTITY_MAX 256
#define NJ_TLS_PSK_KEY_MAX      512

/* Where a listener with pre-shared keys finds them. */
struct nj_tls_psk_source {
    /* Copies the key of an identity, at most `cap` (NJ_TLS_PSK_KEY_MAX) bytes, and returns its
     * length; 0 = there is none. Any thread; must not block. */
    size_t (*find)(const void *arg, struct nj_bytes identity, uint8_t *key, size_t cap);
    void (*release)(void *arg); /* when the context is freed */
    void *arg;
};

/* Plain values; strings are borrowed for the call. */
struct nj_tls_server_config {
    const char *name; /* unique per listener (port and address): separates their sessions */
    const char *certfile;
    struct nj_tls_key key;
    const char *cafile;        /* or NULL */
    const char *capath;        /* or NULL */
    const char *crlfile;       /* or NULL; PEM, any number of CRLs */
    const char *ciphers;       /* TLS 1.2, OpenSSL syntax, or NULL */
    const char *ciphers_tls13; /* or NULL */
    const char *dhparamfile;   /* or NULL */
    const char *keylog_file;   /* or NULL */
    /* Pre-shared keys instead of certificates: certfile, keyfile, CAs and CRLs are NULL then.
     * psk.arg is taken over on success. Without psk_hint `psk` is not looked at. */
    const char *psk_hint;
    struct nj_tls_psk_source psk;
    enum nj_tls_version min_version;
    enum nj_tls_alpn alpn;
    bool is_alpn_strict; /* refuse clients that offer names, but not ours; else ignore the offer */
    bool require_certificate;
    bool disable_client_cert_date_checks; /* certificates only: a CRL's dates always count */
    bool capath_takes_any_name; /* native: every *.pem / *.crt that is a CA; else hashed names only
                                 */
    nj_tls_warn_fn warn;        /* or NULL; e.g. a file in capath that was skipped */
    void *warn_arg;
};

/* `previous`: the context that this one replaces (its ticket keys may be kept), or NULL. Reads
 * files: start-up and control thread only. The error names file and reason. NJ_ENOENT, NJ_EACCES
 * (cannot be read), NJ_EMALFORMED (not what it should be), NJ_EINVAL (settings contradict each
 * other, key and certificate differ, unknown cipher), NJ_ENOMEM. */
enum nj_err nj_tls_server_new(const struct nj_tls_server_config *config,
                              const struct nj_tls_server *previous, struct nj_tls_server **out,
                              struct nj_net_error *error) NJ_NODISCARD;
/* Any thread. unref accepts NULL. */
struct nj_tls_server *nj_tls_server_ref(struct nj_tls_server *server);
void nj_tls_server_unref(struct nj_tls_server *server);

/* For status and health. Times are Unix seconds, 0 = there is none. */
struct nj_tls_server_info {
    size_t ca_count;
    size_t crl_count;
    int64_t crl_next_update_s; /* the earliest: from then on clients are refused */
    int64_t not_after_s;       /* of the server's own certificate */
};
void nj_tls_server_info(const struct nj_tls_server *server, struct nj_tls_server_info *out);
/* True when both trust the same CAs and CRLs under the same settings: live connections of one need
 * no recheck against the other. */
bool nj_tls_server_same_trust(const struct nj_tls_server *a, const struct nj_tls_server *b);

/* Why a certificate has no usable common name. */
enum nj_tls_name {
    NJ_TLS_NAME_OK,
    NJ_TLS_NAME_MISSING,
    NJ_TLS_NAME_EMPTY,
    NJ_TLS_NAME_SEVERAL,
    NJ_TLS_NAME_TOO_LONG, /* more than 64 characters (RFC 5280 ub-common-name) */
    NJ_TLS_NAME_NUL,
    NJ_TLS_NAME_CONTROL,
    NJ_TLS_NAME_ENCODING, /* not valid in its string type, or a type with no defined meaning */
    NJ_TLS_NAME_COUNT
};
const char *nj_tls_name_text(enum nj_tls_name why);

struct nj_tls_identity {
    char *common_name;    /* UTF-8; NULL unless name_state is NJ_TLS_NAME_OK */
    char *subject;        /* RFC 2253, as the original prints it; pure ASCII, specials escaped */
    char *serial;         /* upper-case hexadecimal */
    char fingerprint[65]; /* SHA-256 of the certificate, lower-case hexadecimal */
    int64_t not_before_s;
    int64_t not_after_s;
    enum nj_tls_name name_state;
};
/* The verified certificate of the peer, after the handshake. NJ_ENOENT: it has none. NJ_ENOMEM.
 * fini accepts a zeroed struct. */
enum nj_err nj_tls_conn_identity(const struct nj_tls_conn *conn, struct nj_tls_identity *out)
    NJ_NODISCARD;
void nj_tls_identity_fini(struct nj_tls_identity *identity);

/* The identity whose pre-shared key the peer has proved to have, after the handshake; NULL when it
 * came without. Borrowed from the connection. */
const char *nj_tls_conn_psk_identity(const struct nj_tls_conn *conn);

/* Is the peer's certificate, or its pre-shared key, good under `server`, now? For live connections
 * after a reload of CA or CRL, when a certificate may have expired, and for a handshake that began
 * before a reload. Costs nothing while trust and validity are what they were, else one chain
 * verification. NJ_OK, or NJ_EAUTH with the reason. A connection without certificate: NJ_OK unless
 * `server` requires one. Owner thread of the connection. */
enum nj_err nj_tls_conn_recheck(struct nj_tls_conn *conn, const struct nj_tls_server *server,
                                struct nj_net_error *error) NJ_NODISCARD;
/* Unix seconds until which the verification holds (earliest end of a certificate in the chain or of
 * a CRL); INT64_MAX when nothing expires. When it passes, recheck. */
int64_t nj_tls_conn_valid_until_s(const struct nj_tls_conn *conn);

/* The context that the connection was made with (borrowed); NULL for a client. */
const struct nj_tls_server *nj_tls_conn_server(const struct nj_tls_conn *conn);
/* "TLSv1.3" and "TLS_AES_256_GCM_SHA384" for the log. */
const char *nj_tls_conn_version(const struct nj_tls_conn *conn);
const char *nj_tls_conn_cipher(const struct nj_tls_conn *conn);
bool nj_tls_conn_is_resumed(const struct nj_tls_conn *conn);

struct nj_tls_client_config {
    /* A pre-shared key instead of certificates: no CA is needed, a server without the key is
     * refused. */
    const char *psk_identity;
    struct nj_bytes psk_key;
    const char *cafile;
    const char *capath;
    bool use_os_certs;
    const char *certfile;
    struct nj_tls_key key;
    const char *ciphers;
    const char *ciphers_tls13;
    const char *alpn; /* or NULL */
    const char *keylog_file;
    enum nj_tls_version min_version;
    enum nj_tls_version max_version; /* NJ_TLS_12 pins TLS 1.2; NJ_TLS_13 = no upper limit */
    bool is_insecure;                /* the name in the server's certificate is not checked */
};

/* Reads files. Without any CA source nothing is trusted. Errors as nj_tls_server_new. */
enum nj_err nj_tls_client_new(const struct nj_tls_client_config *config, struct nj_tls_client **out,
                              struct nj_net_error *error) NJ_NODISCARD;
struct nj_tls_client *nj_tls_client_ref(struct nj_tls_client *client);
void nj_tls_client_unref(struct nj_tls_client *client);

#endif
