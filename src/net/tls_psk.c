/* Pre-shared keys (RFC 4279, RFC 8446 2.2) in place of certificates. One callback serves TLS 1.2
 * and external keys of TLS 1.3.
 *
 * An identity that is not known gets a key that nobody has, so that its handshake fails like one
 * with a wrong key: who tries identities learns nothing. Sessions are not resumed, so every
 * connection proves that it has the key of today. */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"
#include "net/text_priv.h"
#include "net/tls_priv.h"

_Static_assert(NJ_TLS_PSK_KEY_MAX <= PSK_MAX_PSK_LEN, "OpenSSL takes no longer keys");
_Static_assert(NJ_TLS_PSK_IDENTITY_MAX <= PSK_MAX_IDENTITY_LEN, "nor longer identities");

/* ---- server */

static unsigned key_of_nobody(const struct nj_tls_server *server, struct nj_bytes identity,
                              uint8_t *key, unsigned cap)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (cap < 32 || HMAC(EVP_sha256(), server->psk_secret, sizeof(server->psk_secret), identity.ptr,
                         identity.len, digest, &len) == NULL) {
        return 0;
    }
    memcpy(key, digest, 32);
    nj_wipe(digest, sizeof(digest));
    return 32;
}

static bool digest_key(const uint8_t *key, size_t len, uint8_t out[NJ_TLS_DIGEST_BYTES])
{
    unsigned out_len = 0;
    return EVP_Digest(key, len, out, &out_len, EVP_sha256(), NULL) == 1;
}

/* OpenSSL's contract: the length of the key; 0 = no such identity. */
static unsigned server_callback(SSL *ssl, const char *name, unsigned char *key, unsigned cap)
{
    struct nj_tls_conn *conn = SSL_get_app_data(ssl);
    const struct nj_tls_server *server = conn->server;
    struct nj_bytes identity = nj_bytes_of(name);
    nj_free(conn->psk_identity);
    conn->psk_identity = NULL;
    conn->is_psk_unknown = true;
    if (identity.len == 0 || identity.len > NJ_TLS_PSK_IDENTITY_MAX) {
        return 0;
    }
    size_t len = server->psk.find(server->psk.arg, identity, key, cap);
    if (len == 0) {
        return key_of_nobody(server, identity, key, cap);
    }
    conn->psk_identity = nj_try_bytes_dup(identity);
    if (conn->psk_identity == NULL || !digest_key(key, len, conn->psk_digest)) {
        return 0;
    }
    conn->is_psk_unknown = false;
    return (unsigned)len;
}

enum nj_err nj_tls_psk_serve(struct nj_tls_server *server, const char *hint,
                             struct nj_net_error *error)
{
    if (SSL_CTX_use_psk_identity_hint(server->ctx, hint) != 1) {
        nj_net_error_set(error, "psk_hint \"%s\": cannot be used (%s)", hint,
                         nj_tls_openssl_reason());
        return NJ_EINVAL;
    }
    nj_rand_bytes(server->psk_secret, sizeof(server->psk_secret));
    SSL_CTX_set_psk_server_callback(server->ctx, server_callback);
    (void)SSL_CTX_set_options(server->ctx, SSL_OP_NO_TICKET);
    (void)SSL_CTX_set_num_tickets(server->ctx, 0);
    return NJ_OK;
}

/* Whether the handshake rests on the key, and not only asked for it. */
static bool has_used_key(const SSL *ssl)
{
    if (SSL_version(ssl) == TLS1_3_VERSION) {
        return SSL_session_reused(ssl) == 1;
    }
    return SSL_CIPHER_get_auth_nid(SSL_get_current_cipher(ssl)) == NID_auth_psk;
}

enum nj_err nj_tls_psk_recheck(struct nj_tls_conn *conn, const struct nj_tls_server *server,
                               struct nj_net_error *error)
{
    uint8_t key[NJ_TLS_PSK_KEY_MAX];
    uint8_t digest[NJ_TLS_DIGEST_BYTES];
    if (conn->psk_identity == NULL || conn->is_psk_unknown || !has_used_key(conn->ssl)) {
        nj_net_error_set(error, "pre-shared key: the identity is not known");
        return NJ_EAUTH;
    }
    size_t len =
        server->psk.find(server->psk.arg, nj_bytes_of(conn->psk_identity), key, sizeof(key));
    bool is_same = len > 0 && digest_key(key, len, digest) &&
                   CRYPTO_memcmp(digest, conn->psk_digest, sizeof(digest)) == 0;
    nj_wipe(key, sizeof(key));
    if (!is_same) {
        nj_net_error_set(error, "pre-shared key: the identity or its key has changed");
        return NJ_EAUTH;
    }
    return NJ_OK;
}

const char *nj_tls_conn_psk_identity(const struct nj_tls_conn *conn)
{
    return conn->is_psk_unknown ? NULL : conn->psk_identity;
}

/* ---- client */

static unsigned client_callback(SSL *ssl, const char *hint, char *identity, unsigned identity_cap,
                                unsigned char *key, unsigned key_cap)
{
    const struct nj_tls_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    size_t len = strlen(client->psk_identity);
    (void)hint;
    if (len >= identity_cap || client->psk_key_len > key_cap) {
        return 0;
    }
    memcpy(identity, client->psk_identity, len + 1);
    memcpy(key, client->psk_key, client->psk_key_len);
    return client->psk_key_len;
}

enum nj_err nj_tls_psk_present(struct nj_tls_client *client, const char *identity,
                               struct nj_bytes key, struct nj_net_error *error)
{
    size_t len = strlen(identity);
    if (len == 0 || len > NJ_TLS_PSK_IDENTITY_MAX) {
        nj_net_error_set(error, "the identity of a pre-shared key has 1 to %d bytes",
                         NJ_TLS_PSK_IDENTITY_MAX);
        return NJ_EINVAL;
    }
    if (key.len == 0 || key.len > NJ_TLS_PSK_KEY_MAX) {
        nj_net_error_set(error, "a pre-shared key has 1 to %d bytes", NJ_TLS_PSK_KEY_MAX);
        return NJ_EINVAL;
    }
    client->psk_identity = nj_try_bytes_dup(nj_bytes_of(identity));
    if (client->psk_identity == NULL) {
        return NJ_ENOMEM;
    }
    memcpy(client->psk_key, key.ptr, key.len);
    client->psk_key_len = (unsigned)key.len;
    SSL_CTX_set_psk_client_callback(client->ctx, client_callback);
    return NJ_OK;
}
