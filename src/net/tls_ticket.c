/* Session tickets: the keys that seal them, and what the broker writes into them.
 *
 * The keys belong to one generation of trust (see tls.h). Within it they change every 12 hours; the
 * ones before stay readable for another 12. A ticket carries, sealed, what the broker has to know
 * of a client certificate when the session is resumed, because OpenSSL keeps only the leaf:
 *
 *     version 1 | valid until, 8 bytes | the certificates between leaf and trusted CA, each as
 *                                        3 bytes length and DER, at most CHAIN_MAX bytes
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/tls_priv.h"

#define ROTATE_MS    ((uint64_t)12 * 3600 * 1000)
#define NAME_BYTES   16
#define IV_BYTES     16
#define NOTE_VERSION 1
#define NOTE_HEAD    9
/* A longer chain makes the ticket useless: such clients do a full handshake each time. */
#define CHAIN_MAX 8192

struct ticket_key {
    uint8_t name[NAME_BYTES];
    uint8_t mac[32];
    uint8_t cipher[32];
};

struct nj_tls_keys_locked {
    pthread_mutex_t mutex;
    struct ticket_key now;
    struct ticket_key before;
    bool has_before;
    uint64_t made_ms;
};

struct nj_tls_tickets {
    atomic_uint refs;
    struct nj_tls_keys_locked keys;
};

struct nj_tls_tickets *nj_tls_tickets_new(void)
{
    struct nj_tls_tickets *tickets = nj_try_zalloc(sizeof(*tickets));
    if (tickets == NULL) {
        return NULL;
    }
    atomic_init(&tickets->refs, 1);
    (void)pthread_mutex_init(&tickets->keys.mutex, NULL);
    nj_rand_bytes(&tickets->keys.now, sizeof(tickets->keys.now));
    tickets->keys.made_ms = nj_clock_mono_ms();
    return tickets;
}

struct nj_tls_tickets *nj_tls_tickets_ref(struct nj_tls_tickets *tickets)
{
    (void)atomic_fetch_add_explicit(&tickets->refs, 1, memory_order_relaxed);
    return tickets;
}

void nj_tls_tickets_unref(struct nj_tls_tickets *tickets)
{
    if (tickets == NULL ||
        atomic_fetch_sub_explicit(&tickets->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    (void)pthread_mutex_destroy(&tickets->keys.mutex);
    nj_free_secret(tickets, sizeof(*tickets));
}

/* A copy of the key to seal with. */
static void key_for_sealing(struct nj_tls_tickets *tickets, struct ticket_key *out)
{
    struct nj_tls_keys_locked *keys = &tickets->keys;
    uint64_t now_ms = nj_clock_mono_ms();
    (void)pthread_mutex_lock(&keys->mutex);
    if (now_ms - keys->made_ms >= ROTATE_MS) {
        /* After a quiet spell of two periods the old keys are too old even to read with. */
        keys->has_before = now_ms - keys->made_ms < 2 * ROTATE_MS;
        keys->before = keys->now;
        nj_rand_bytes(&keys->now, sizeof(keys->now));
        keys->made_ms = now_ms;
    }
    *out = keys->now;
    (void)pthread_mutex_unlock(&keys->mutex);
}

/* A copy of the key with this name; false when there is none (any more). */
static bool key_for_opening(struct nj_tls_tickets *tickets, const uint8_t *name,
                            struct ticket_key *out, bool *is_old)
{
    struct nj_tls_keys_locked *keys = &tickets->keys;
    uint64_t now_ms = nj_clock_mono_ms();
    (void)pthread_mutex_lock(&keys->mutex);
    uint64_t age_ms = now_ms - keys->made_ms;
    bool is_found = false;
    if (memcmp(name, keys->now.name, NAME_BYTES) == 0) {
        is_found = age_ms < 2 * ROTATE_MS;
        *is_old = age_ms >= ROTATE_MS;
        *out = keys->now;
    } else if (keys->has_before && memcmp(name, keys->before.name, NAME_BYTES) == 0) {
        is_found = age_ms < ROTATE_MS;
        *is_old = true;
        *out = keys->before;
    }
    (void)pthread_mutex_unlock(&keys->mutex);
    return is_found;
}

static struct nj_tls_server *server_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static bool set_mac_key(EVP_MAC_CTX *mac, struct ticket_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/* OpenSSL's contract: enc: 1 = key set, -1 = failure. dec: 0 = unknown key (full handshake),
 * 1 = key set, 2 = key set and the client shall get a new ticket. */
static int ticket_key_callback(SSL *ssl, unsigned char *name, unsigned char *iv,
                               EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    struct nj_tls_tickets *tickets = server_of(ssl)->tickets;
    struct ticket_key key;
    bool is_old = false;
    if (is_sealing) {
        key_for_sealing(tickets, &key);
        memcpy(name, key.name, NAME_BYTES);
        nj_rand_bytes(iv, IV_BYTES);
    } else if (!key_for_opening(tickets, name, &key, &is_old)) {
        return 0;
    }
    bool is_set =
        EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.cipher, iv, is_sealing) == 1 &&
        set_mac_key(mac, &key);
    nj_wipe(&key, sizeof(key));
    if (!is_set) {
        return -1;
    }
    return is_old ? 2 : 1;
}

/* ---- what the ticket says ---- */

static void put_u64(uint8_t *out, uint64_t value)
{
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

static uint64_t get_u64(const uint8_t *in)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) {
        value = value << 8 | in[i];
    }
    return value;
}

/* Appends the intermediate certificates that the peer sent. False: too long. */
static bool note_add_chain(struct nj_buf *note, const STACK_OF(X509) * chain)
{
    for (int i = 0; i < sk_X509_num(chain); i++) {
        uint8_t *der = NULL;
        int len = i2d_X509(sk_X509_value(chain, i), &der);
        if (len < 0) {
            return false;
        }
        const uint8_t head[3] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
        bool is_added = note->len + (size_t)len <= CHAIN_MAX &&
                        nj_buf_append(note, head, sizeof(head)) == NJ_OK &&
                        nj_buf_append(note, der, (size_t)len) == NJ_OK;
        OPENSSL_free(der);
        if (!is_added) {
            return false;
        }
    }
    return true;
}

/* OpenSSL calls this before it seals a ticket. 1 = go on, 0 = end the connection. */
static int ticket_make_callback(SSL *ssl, void *arg)
{
    (void)arg;
    const struct nj_tls_conn *conn = SSL_get_app_data(ssl);
    SSL_SESSION *session = SSL_get_session(ssl);
    void *had = NULL;
    size_t had_len = 0;
    if (SSL_session_reused(ssl)) {
        /* A renewed ticket says what the first one said. It always does; if not, no connection is
         * better than one that promises too much. */
        return SSL_SESSION_get0_ticket_appdata(session, &had, &had_len) == 1 &&
               had_len >= NOTE_HEAD;
    }
    int64_t valid_until_s = INT64_MAX;
    if (conn->server->require_certificate) {
        valid_until_s =
            nj_tls_chain_valid_until(&conn->server->trust, SSL_get0_verified_chain(ssl));
    }
    uint8_t head[NOTE_HEAD] = {NOTE_VERSION};
    put_u64(head + 1, (uint64_t)valid_until_s);
    struct nj_buf note;
    nj_buf_init(&note);
    if (nj_buf_append(&note, head, sizeof(head)) != NJ_OK ||
        !note_add_chain(&note, SSL_get_peer_cert_chain(ssl))) {
        /* No room: an empty note makes the ticket one that is never accepted. */
        note.len = 0;
    }
    int ok = SSL_SESSION_set1_ticket_appdata(session, note.len > 0 ? (const void *)note.data : "",
                                             note.len);
    nj_buf_fini(&note);
    return ok;
}

bool nj_tls_ticket_read(SSL_SESSION *session, int64_t *valid_until_s, STACK_OF(X509) * *chain)
{
    void *data = NULL;
    size_t len = 0;
    *chain = NULL;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len < NOTE_HEAD) {
        return false;
    }
    const uint8_t *at = data;
    const uint8_t *end = at + len;
    if (at[0] != NOTE_VERSION) {
        return false;
    }
    int64_t until_s = (int64_t)get_u64(at + 1);
    at += NOTE_HEAD;
    while (end - at >= 3) {
        size_t cert_len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        const uint8_t *der = at + 3;
        if (cert_len > (size_t)(end - der)) {
            break;
        }
        X509 *cert = d2i_X509(NULL, &der, (long)cert_len);
        if (*chain == NULL) {
            *chain = sk_X509_new_null();
        }
        bool is_whole = cert != NULL && der == at + 3 + cert_len;
        if (!is_whole || *chain == NULL || sk_X509_push(*chain, cert) == 0) {
            X509_free(cert);
            break;
        }
        at += 3 + cert_len;
    }
    if (at != end) {
        sk_X509_pop_free(*chain, X509_free);
        *chain = NULL;
        return false;
    }
    *valid_until_s = until_s;
    return true;
}

static SSL_TICKET_RETURN ticket_use_callback(SSL *ssl, SSL_SESSION *session,
                                             const unsigned char *name, size_t name_len,
                                             SSL_TICKET_STATUS status, void *arg)
{
    (void)name;
    (void)name_len;
    (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    void *data = NULL;
    size_t len = 0;
    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len < NOTE_HEAD ||
        *(const uint8_t *)data != NOTE_VERSION ||
        nj_clock_wall_s() >= (int64_t)get_u64((const uint8_t *)data + 1)) {
        /* Something in the chain has expired: a full handshake finds out and says what. */
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
    /* TLS 1.3 clients use a ticket once (RFC 8446 C.4), so they need a new one each time. */
    bool is_renewed = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
    return is_renewed ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

void nj_tls_tickets_install(SSL_CTX *ctx)
{
    (void)SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key_callback);
    (void)SSL_CTX_set_session_ticket_cb(ctx, ticket_make_callback, ticket_use_callback, NULL);
    (void)SSL_CTX_set_num_tickets(ctx, 1);
    (void)SSL_CTX_set_timeout(ctx, (long)(ROTATE_MS / 1000));
}
