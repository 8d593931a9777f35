/* The TLS context of a client: tools, and later bridges. */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/tls_priv.h"

static void keylog_callback(const SSL *ssl, const char *line)
{
    const struct nj_tls_client *client = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    nj_tls_keylog_write(client->keylog_fd, line);
}

static enum nj_err load_trust(struct nj_tls_client *client,
                              const struct nj_tls_client_config *config, struct nj_net_error *error)
{
    struct nj_tls_bag bag;
    enum nj_err err = nj_tls_bag_init(&bag);
    if (err != NJ_OK) {
        return err;
    }
    if (config->cafile != NULL) {
        err = nj_tls_bag_add_cafile(&bag, config->cafile, error);
    }
    if (err == NJ_OK && config->capath != NULL) {
        err = nj_tls_bag_add_capath(&bag, config->capath, false, error);
    }
    if (err == NJ_OK) {
        SSL_CTX_set_cert_store(client->ctx, bag.store);
        bag.store = NULL;
        if (config->use_os_certs && SSL_CTX_set_default_verify_paths(client->ctx) != 1) {
            nj_net_error_set(error, "cannot use the CA certificates of the operating system (%s)",
                             nj_tls_openssl_reason());
            err = NJ_ESYS;
        }
    }
    nj_tls_bag_fini(&bag);
    return err;
}

static enum nj_err load_own(struct nj_tls_client *client, const struct nj_tls_client_config *config,
                            struct nj_net_error *error)
{
    if (config->psk_identity != NULL) {
        return nj_tls_psk_present(client, config->psk_identity, config->psk_key, error);
    }
    if ((config->certfile == NULL) != (config->key.file == NULL)) {
        nj_net_error_set(error, "a client certificate and its key are needed together");
        return NJ_EINVAL;
    }
    if (config->certfile == NULL) {
        return NJ_OK;
    }
    enum nj_err err = nj_tls_load_certfile(client->ctx, config->certfile, error);
    return err == NJ_OK ? nj_tls_load_key(client->ctx, &config->key, error) : err;
}

static enum nj_err set_alpn(struct nj_tls_client *client, const char *name,
                            struct nj_net_error *error)
{
    if (name == NULL) {
        return NJ_OK;
    }
    size_t len = strlen(name);
    if (len == 0 || len > 255) {
        nj_net_error_set(error, "ALPN name \"%s\": 1 to 255 bytes are possible", name);
        return NJ_EINVAL;
    }
    client->alpn[0] = (uint8_t)len;
    memcpy(client->alpn + 1, name, len);
    client->alpn_len = (unsigned)len + 1;
    /* 0 means success in this one function. */
    return SSL_CTX_set_alpn_protos(client->ctx, client->alpn, client->alpn_len) == 0 ? NJ_OK
                                                                                     : NJ_ENOMEM;
}

static enum nj_err configure(struct nj_tls_client *client,
                             const struct nj_tls_client_config *config, struct nj_net_error *error)
{
    (void)SSL_CTX_set_min_proto_version(
        client->ctx, config->min_version == NJ_TLS_13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    (void)SSL_CTX_set_max_proto_version(client->ctx,
                                        config->max_version == NJ_TLS_12 ? TLS1_2_VERSION : 0);
    SSL_CTX_set_verify(client->ctx, SSL_VERIFY_PEER, NULL);
    enum nj_err err =
        nj_tls_context_set_ciphers(client->ctx, config->ciphers, config->ciphers_tls13, error);
    if (err == NJ_OK) {
        err = load_trust(client, config, error);
    }
    if (err == NJ_OK) {
        err = load_own(client, config, error);
    }
    if (err == NJ_OK) {
        err = set_alpn(client, config->alpn, error);
    }
    if (err == NJ_OK) {
        err = nj_tls_keylog_open(config->keylog_file, &client->keylog_fd, error);
    }
    if (client->keylog_fd >= 0) {
        SSL_CTX_set_keylog_callback(client->ctx, keylog_callback);
    }
    return err;
}

enum nj_err nj_tls_client_new(const struct nj_tls_client_config *config, struct nj_tls_client **out,
                              struct nj_net_error *error)
{
    nj_net_error_set(error, "%s", nj_err_text(NJ_ENOMEM));
    ERR_clear_error();
    struct nj_tls_client *client = nj_try_zalloc(sizeof(*client));
    if (client == NULL) {
        return NJ_ENOMEM;
    }
    atomic_init(&client->refs, 1);
    client->keylog_fd = -1;
    client->is_insecure = config->is_insecure;
    enum nj_err err = NJ_ENOMEM;
    client->ctx = nj_tls_context_new(TLS_client_method());
    if (client->ctx != NULL && SSL_CTX_set_app_data(client->ctx, client) == 1) {
        err = configure(client, config, error);
    }
    ERR_clear_error();
    if (err != NJ_OK) {
        nj_tls_client_unref(client);
        return err;
    }
    *out = client;
    return NJ_OK;
}

struct nj_tls_client *nj_tls_client_ref(struct nj_tls_client *client)
{
    (void)atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
    return client;
}

void nj_tls_client_unref(struct nj_tls_client *client)
{
    if (client == NULL || atomic_fetch_sub_explicit(&client->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    SSL_CTX_free(client->ctx);
    nj_free(client->psk_identity);
    nj_wipe(client->psk_key, sizeof(client->psk_key));
    if (client->keylog_fd >= 0) {
        (void)close(client->keylog_fd);
    }
    nj_free(client);
}
