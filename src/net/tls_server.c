/* The TLS context of a listener: built whole or not at all, then never changed. */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls_priv.h"

static struct nj_tls_server *server_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static int alpn_callback(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                         const unsigned char *in, unsigned in_len, void *arg)
{
    static const uint8_t mqtt[] = "\x04mqtt";
    static const uint8_t http[] = "\x08http/1.1";
    (void)arg;
    const struct nj_tls_server *server = server_of(ssl);
    const uint8_t *ours = server->alpn == NJ_TLS_ALPN_MQTT ? mqtt : http;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, ours, (unsigned)ours[0] + 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return server->is_alpn_strict ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static void keylog_callback(const SSL *ssl, const char *line)
{
    nj_tls_keylog_write(server_of(ssl)->keylog_fd, line);
}

static void warn_own(const struct nj_tls_server_config *config, const char *what)
{
    if (config->warn != NULL) {
        struct nj_net_error text;
        nj_net_error_set(&text, "certfile %s: the certificate %s", config->certfile, what);
        config->warn(config->warn_arg, text.text);
    }
}

static enum nj_err load_own(struct nj_tls_server *server, const struct nj_tls_server_config *config,
                            struct nj_net_error *error)
{
    enum nj_err err =
        nj_tls_context_set_ciphers(server->ctx, config->ciphers, config->ciphers_tls13, error);
    if (err == NJ_OK) {
        err = nj_tls_load_certfile(server->ctx, config->certfile, error);
    }
    if (err == NJ_OK) {
        err = nj_tls_load_key(server->ctx, &config->key, error);
    }
    if (err == NJ_OK) {
        err = nj_tls_load_dhparam(server->ctx, config->dhparamfile, error);
    }
    if (err != NJ_OK) {
        return err;
    }
    const X509 *own = SSL_CTX_get0_certificate(server->ctx);
    server->not_after_s = nj_tls_time_s(X509_get0_notAfter(own));
    int64_t now_s = nj_clock_wall_s();
    if (server->not_after_s <= now_s) {
        warn_own(config, "has expired");
    } else if (nj_tls_time_s(X509_get0_notBefore(own)) > now_s) {
        warn_own(config, "is not valid yet");
    }
    return NJ_OK;
}

static enum nj_err fill_bag(struct nj_tls_bag *bag, const struct nj_tls_server_config *config,
                            struct nj_net_error *error)
{
    enum nj_err err = NJ_OK;
    if (config->require_certificate && config->cafile == NULL && config->capath == NULL) {
        nj_net_error_set(error,
                         "require_certificate needs cafile or capath: without a CA no client "
                         "could connect");
        return NJ_EINVAL;
    }
    if (config->cafile != NULL) {
        err = nj_tls_bag_add_cafile(bag, config->cafile, error);
    }
    if (err == NJ_OK && config->capath != NULL) {
        err = nj_tls_bag_add_capath(bag, config->capath, config->capath_takes_any_name, error);
    }
    if (err == NJ_OK && config->crlfile != NULL) {
        err = nj_tls_bag_add_crlfile(bag, config->crlfile, error);
    }
    return err;
}

/* Completes the own chain from the CAs once, instead of at every handshake. */
static void build_own_chain(SSL_CTX *ctx)
{
    STACK_OF(X509) *chain = NULL;
    (void)SSL_CTX_get0_chain_certs(ctx, &chain);
    if (sk_X509_num(chain) <= 0) {
        (void)SSL_CTX_build_cert_chain(ctx, SSL_BUILD_CHAIN_FLAG_NO_ROOT |
                                                SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR |
                                                SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    }
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    ERR_clear_error();
}

/* Everything beside the files that decides whether a certificate is good. */
static enum nj_err set_trust(struct nj_tls_server *server, struct nj_tls_bag *bag,
                             const struct nj_tls_server_config *config)
{
    struct nj_tls_trust *trust = &server->trust;
    trust->has_crl_check = config->crlfile != NULL;
    trust->ignores_dates = config->disable_client_cert_date_checks;
    trust->security_level = SSL_CTX_get_security_level(server->ctx);
    trust->crl_count = bag->crl_count;
    trust->crl_next_update_s = bag->crl_next_update_s;
    server->require_certificate = config->require_certificate;
    server->ca_count = bag->ca_count;
    const uint8_t seed[] = {1,
                            trust->has_crl_check,
                            trust->ignores_dates,
                            (uint8_t)trust->security_level,
                            config->require_certificate,
                            config->min_version == NJ_TLS_13};
    enum nj_err err = nj_tls_bag_digest(bag, seed, sizeof(seed), trust->digest);
    if (err != NJ_OK) {
        return err;
    }
    trust->store = bag->store;
    SSL_CTX_set_cert_store(server->ctx, bag->store);
    bag->store = NULL;
    build_own_chain(server->ctx);
    if (trust->has_crl_check) {
        (void)X509_STORE_set_flags(trust->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    }
    if (config->require_certificate) {
        SSL_CTX_set_verify(server->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           nj_tls_verify_callback);
        SSL_CTX_set_client_CA_list(server->ctx, bag->names);
        bag->names = NULL;
    }
    return NJ_OK;
}

static enum nj_err load_trust(struct nj_tls_server *server,
                              const struct nj_tls_server_config *config, struct nj_net_error *error)
{
    struct nj_tls_bag bag;
    enum nj_err err = nj_tls_bag_init(&bag);
    if (err != NJ_OK) {
        return err;
    }
    bag.warn = config->warn;
    bag.warn_arg = config->warn_arg;
    err = fill_bag(&bag, config, error);
    if (err == NJ_OK) {
        err = set_trust(server, &bag, config);
    }
    nj_tls_bag_fini(&bag);
    return err;
}

static enum nj_err load_certificates(struct nj_tls_server *server,
                                     const struct nj_tls_server_config *config,
                                     struct nj_net_error *error)
{
    enum nj_err err = load_own(server, config, error);
    return err == NJ_OK ? load_trust(server, config, error) : err;
}

static enum nj_err load_psk(struct nj_tls_server *server, const struct nj_tls_server_config *config,
                            struct nj_net_error *error)
{
    server->not_after_s = INT64_MAX;
    server->trust.crl_next_update_s = INT64_MAX;
    enum nj_err err =
        nj_tls_context_set_ciphers(server->ctx, config->ciphers, config->ciphers_tls13, error);
    if (err == NJ_OK) {
        err = nj_tls_load_dhparam(server->ctx, config->dhparamfile, error);
    }
    return err == NJ_OK ? nj_tls_psk_serve(server, config->psk_hint, error) : err;
}

static enum nj_err set_sessions(struct nj_tls_server *server,
                                const struct nj_tls_server_config *config,
                                const struct nj_tls_server *previous)
{
    uint8_t id[EVP_MAX_MD_SIZE];
    unsigned id_len = 0;
    const char *name = config->name != NULL ? config->name : "";
    if (EVP_Digest(name, strlen(name), id, &id_len, EVP_sha256(), NULL) != 1 ||
        SSL_CTX_set_session_id_context(server->ctx, id, id_len) != 1) {
        return NJ_ENOMEM;
    }
    if (previous != NULL && nj_tls_server_same_trust(previous, server)) {
        server->tickets = nj_tls_tickets_ref(previous->tickets);
    } else {
        server->tickets = nj_tls_tickets_new();
    }
    if (server->tickets == NULL) {
        return NJ_ENOMEM;
    }
    nj_tls_tickets_install(server->ctx);
    return NJ_OK;
}

enum nj_err nj_tls_server_new(const struct nj_tls_server_config *config,
                              const struct nj_tls_server *previous, struct nj_tls_server **out,
                              struct nj_net_error *error)
{
    bool has_psk = config->psk_hint != NULL;
    if (!has_psk && (config->certfile == NULL || config->key.file == NULL)) {
        nj_net_error_set(error, "certfile and keyfile are both needed");
        return NJ_EINVAL;
    }
    if (has_psk &&
        (config->psk.find == NULL || config->certfile != NULL || config->require_certificate)) {
        nj_net_error_set(error, "psk_hint needs keys, and excludes certificates");
        return NJ_EINVAL;
    }
    nj_net_error_set(error, "%s", nj_err_text(NJ_ENOMEM));
    ERR_clear_error();
    struct nj_tls_server *server = nj_try_zalloc(sizeof(*server));
    if (server == NULL) {
        return NJ_ENOMEM;
    }
    atomic_init(&server->refs, 1);
    server->keylog_fd = -1;
    server->alpn = config->alpn;
    server->is_alpn_strict = config->is_alpn_strict;
    enum nj_err err = NJ_ENOMEM;
    server->ctx = nj_tls_context_new(TLS_server_method());
    if (server->ctx == NULL || SSL_CTX_set_app_data(server->ctx, server) != 1) {
        goto fail;
    }
    (void)SSL_CTX_set_min_proto_version(
        server->ctx, config->min_version == NJ_TLS_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_alpn_select_cb(server->ctx, alpn_callback, NULL);
    err = has_psk ? load_psk(server, config, error) : load_certificates(server, config, error);
    if (err == NJ_OK && !has_psk) {
        err = set_sessions(server, config, previous);
    }
    if (err == NJ_OK) {
        err = nj_tls_keylog_open(config->keylog_file, &server->keylog_fd, error);
    }
    if (err != NJ_OK) {
        goto fail;
    }
    if (server->keylog_fd >= 0) {
        SSL_CTX_set_keylog_callback(server->ctx, keylog_callback);
    }
    ERR_clear_error();
    if (has_psk) {
        server->psk = config->psk;
    }
    *out = server;
    return NJ_OK;
fail:
    ERR_clear_error();
    nj_tls_server_unref(server);
    return err;
}

struct nj_tls_server *nj_tls_server_ref(struct nj_tls_server *server)
{
    (void)atomic_fetch_add_explicit(&server->refs, 1, memory_order_relaxed);
    return server;
}

void nj_tls_server_unref(struct nj_tls_server *server)
{
    if (server == NULL || atomic_fetch_sub_explicit(&server->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    SSL_CTX_free(server->ctx);
    if (server->psk.release != NULL) {
        server->psk.release(server->psk.arg);
    }
    nj_wipe(server->psk_secret, sizeof(server->psk_secret));
    nj_tls_tickets_unref(server->tickets);
    if (server->keylog_fd >= 0) {
        (void)close(server->keylog_fd);
    }
    nj_free(server);
}

void nj_tls_server_info(const struct nj_tls_server *server, struct nj_tls_server_info *out)
{
    int64_t next_s = server->trust.crl_next_update_s;
    *out = (struct nj_tls_server_info){
        .ca_count = server->ca_count,
        .crl_count = server->trust.crl_count,
        .crl_next_update_s = next_s != INT64_MAX ? next_s : 0,
        .not_after_s = server->not_after_s != INT64_MAX ? server->not_after_s : 0,
    };
}

bool nj_tls_server_same_trust(const struct nj_tls_server *a, const struct nj_tls_server *b)
{
    return memcmp(a->trust.digest, b->trust.digest, NJ_TLS_DIGEST_BYTES) == 0;
}
