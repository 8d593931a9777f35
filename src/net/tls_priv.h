/* What the TLS files share. */
#ifndef NJ_NET_TLS_PRIV_H
#define NJ_NET_TLS_PRIV_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "net/stream_priv.h"
#include "net/tls.h"

#define NJ_TLS_CHAIN_DEPTH_MAX 5
#define NJ_TLS_CHAIN_BYTES_MAX 65536
#define NJ_TLS_DIGEST_BYTES    32

/* ---- tls_load.c: files to objects ---- */

/* A CA and CRL collection on its way into a store. */
struct nj_tls_bag {
    X509_STORE *store;
    STACK_OF(X509_NAME) * names; /* subjects of the CAs */
    uint8_t (*digests)[NJ_TLS_DIGEST_BYTES];
    size_t digests_count;
    size_t digests_cap;
    size_t ca_count;
    size_t crl_count;
    int64_t crl_next_update_s; /* the earliest; INT64_MAX = none ends */
    nj_tls_warn_fn warn;
    void *warn_arg;
};
enum nj_err nj_tls_bag_init(struct nj_tls_bag *bag) NJ_NODISCARD;
void nj_tls_bag_fini(struct nj_tls_bag *bag);
enum nj_err nj_tls_bag_add_cafile(struct nj_tls_bag *bag, const char *path,
                                  struct nj_net_error *error) NJ_NODISCARD;
enum nj_err nj_tls_bag_add_capath(struct nj_tls_bag *bag, const char *path, bool takes_any_name,
                                  struct nj_net_error *error) NJ_NODISCARD;
enum nj_err nj_tls_bag_add_crlfile(struct nj_tls_bag *bag, const char *path,
                                   struct nj_net_error *error) NJ_NODISCARD;
/* One digest over everything in the bag, whatever the order of its files. */
enum nj_err nj_tls_bag_digest(struct nj_tls_bag *bag, const void *seed, size_t seed_len,
                              uint8_t out[NJ_TLS_DIGEST_BYTES]) NJ_NODISCARD;

/* Certificate chain and key into `ctx`; `option` names the option in texts ("certfile"). */
enum nj_err nj_tls_load_certfile(SSL_CTX *ctx, const char *path, struct nj_net_error *error)
    NJ_NODISCARD;
enum nj_err nj_tls_load_keyfile(SSL_CTX *ctx, const char *path, struct nj_net_error *error)
    NJ_NODISCARD;
enum nj_err nj_tls_load_dhparam(SSL_CTX *ctx, const char *path, struct nj_net_error *error)
    NJ_NODISCARD;

/* The newest error of OpenSSL on this thread as a text; empties its queue. */
const char *nj_tls_openssl_reason(void);
/* Unix seconds; INT64_MAX when the time cannot be read. */
int64_t nj_tls_time_s(const ASN1_TIME *time);

/* ---- tls_context.c: what server and client contexts have in common ---- */

SSL_CTX *nj_tls_context_new(const SSL_METHOD *method);
enum nj_err nj_tls_context_set_ciphers(SSL_CTX *ctx, const char *ciphers, const char *ciphers_tls13,
                                       struct nj_net_error *error) NJ_NODISCARD;
/* Key log: an open file, shared by all connections of a context. -1 = none. */
enum nj_err nj_tls_keylog_open(const char *path, int *fd, struct nj_net_error *error) NJ_NODISCARD;
void nj_tls_keylog_write(int fd, const char *line);

/* ---- tls_ticket.c ---- */

struct nj_tls_tickets;
struct nj_tls_tickets *nj_tls_tickets_new(void); /* NULL = out of memory */
struct nj_tls_tickets *nj_tls_tickets_ref(struct nj_tls_tickets *tickets);
void nj_tls_tickets_unref(struct nj_tls_tickets *tickets);
/* Installs the callbacks; they find the tickets through the server of the connection. */
void nj_tls_tickets_install(SSL_CTX *ctx);
/* What the ticket of a resumed session says. The chain is the caller's, NULL = none. False: it says
 * nothing usable, and only *chain (NULL) is written. */
bool nj_tls_ticket_read(SSL_SESSION *session, int64_t *valid_until_s, STACK_OF(X509) * *chain);

/* ---- tls_verify.c ---- */

/* Sets the rules of chain verification on a store: CRLs when there are any to be had. */
struct nj_tls_trust {
    X509_STORE *store;
    uint8_t digest[NJ_TLS_DIGEST_BYTES];
    int64_t crl_next_update_s;
    size_t crl_count;
    bool has_crl_check;
    bool ignores_dates;
    int security_level;
};
/* The callback for SSL_CTX_set_verify; it finds its rules through the server of the connection. */
int nj_tls_verify_callback(int ok, X509_STORE_CTX *sctx);
/* How long a verified chain stays good. */
int64_t nj_tls_chain_valid_until(const struct nj_tls_trust *trust, const STACK_OF(X509) * chain);
/* Why a leaf that OpenSSL accepts is refused all the same; NULL = it is not. */
const char *nj_tls_leaf_fault(X509 *leaf);

/* ---- tls_identity.c ---- */

/* Who any certificate says its holder is; nj_tls_conn_identity asks for a verified one. NJ_ENOMEM.
 */
enum nj_err nj_tls_cert_identity(X509 *cert, struct nj_tls_identity *out) NJ_NODISCARD;

/* ---- tls_engine.c ---- */

/* From a file or an engine. */
enum nj_err nj_tls_load_key(SSL_CTX *ctx, const struct nj_tls_key *key, struct nj_net_error *error)
    NJ_NODISCARD;
enum nj_err nj_tls_load_engine_key(SSL_CTX *ctx, const struct nj_tls_key *key,
                                   struct nj_net_error *error) NJ_NODISCARD;

/* ---- tls_psk.c ---- */

/* Pre-shared keys of server->psk for the context. */
enum nj_err nj_tls_psk_serve(struct nj_tls_server *server, const char *hint,
                             struct nj_net_error *error) NJ_NODISCARD;
/* Whether the handshake proved the possession of a key that is the same under `server` now. */
enum nj_err nj_tls_psk_recheck(struct nj_tls_conn *conn, const struct nj_tls_server *server,
                               struct nj_net_error *error) NJ_NODISCARD;
enum nj_err nj_tls_psk_present(struct nj_tls_client *client, const char *identity,
                               struct nj_bytes key, struct nj_net_error *error) NJ_NODISCARD;

/* ---- objects ---- */

struct nj_tls_server {
    atomic_uint refs;
    SSL_CTX *ctx;
    struct nj_tls_trust trust; /* store borrowed from ctx */
    struct nj_tls_tickets *tickets;
    size_t ca_count;
    int64_t not_after_s;
    int keylog_fd;
    enum nj_tls_alpn alpn;
    bool is_alpn_strict;
    bool require_certificate;
    struct nj_tls_psk_source psk; /* find NULL = certificates */
    uint8_t psk_secret[32];       /* makes keys for identities that are not known */
};

struct nj_tls_client {
    atomic_uint refs;
    SSL_CTX *ctx;
    int keylog_fd;
    bool is_insecure;
    uint8_t alpn[256]; /* wire form: length, name */
    unsigned alpn_len;
    char *psk_identity; /* NULL = certificates */
    unsigned psk_key_len;
    uint8_t psk_key[NJ_TLS_PSK_KEY_MAX];
};

/* A TLS stream. `base` first: a pointer to one is a pointer to the other. */
struct nj_tls_conn {
    struct nj_stream base;
    SSL *ssl;
    struct nj_tls_server *server; /* one of these two */
    struct nj_tls_client *client;
    int64_t valid_until_s;
    uint8_t verified_by[16];   /* the front of the digest of the trust that verified the peer */
    const char *verify_reason; /* why the peer's certificate was refused */
    char *psk_identity;        /* that the peer named, when it is known */
    uint8_t psk_digest[NJ_TLS_DIGEST_BYTES]; /* of the key it used */
    size_t raw_bytes;    /* read from the socket since application data last came */
    size_t raw_budget;   /* what the current call may still read from the socket */
    uint16_t sealed_len; /* application bytes in a record that is not sent yet */
    bool is_ready : 1;
    bool is_starved : 1;     /* the last read ended because the socket was empty */
    bool is_drained : 1;     /* the last recv got less than it could take */
    bool is_cut : 1;         /* the last read ended because its budget was used up */
    bool is_eof : 1;         /* FIN or reset */
    bool has_bytes : 1;      /* something has been received */
    bool is_not_tls : 1;     /* and it was no TLS record */
    bool is_psk_unknown : 1; /* it named an identity that there is not */
    bool is_broken : 1;      /* after a fatal error nothing more may be sent */
};

/* Fills the error text of a stream from a failed verification. */
void nj_tls_conn_set_verified(struct nj_tls_conn *conn, const struct nj_tls_trust *trust,
                              int64_t valid_until_s);

#endif
