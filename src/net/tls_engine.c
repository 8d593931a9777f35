/* Private keys that live in an OpenSSL engine (a hardware token through PKCS#11, a TPM): they never
 * come into our memory; the engine is asked for each signature.
 *
 * OpenSSL 3 calls engines deprecated, but Debian 12 has no PKCS#11 provider to replace them. This
 * file is the only one that knows them. */
#define OPENSSL_SUPPRESS_DEPRECATED /* NOLINT(bugprone-reserved-identifier) */

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/ui.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "net/tls_priv.h"

#define ENGINES_MAX     4
#define ENGINE_ID_MAX   64
#define KPASS_BYTES     20
#define SECRET_MODE_SHA 1

#ifndef OPENSSL_NO_ENGINE

/* Engines once loaded stay for the life of the process: keys out of them point into them. */
static struct {
    pthread_mutex_t lock;
    size_t count;
    struct {
        char id[ENGINE_ID_MAX];
        ENGINE *engine;
    } known[ENGINES_MAX];
} engines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static ENGINE *find_locked(const char *id)
{
    for (size_t i = 0; i < engines.count; i++) {
        if (strcmp(engines.known[i].id, id) == 0) {
            return engines.known[i].engine;
        }
    }
    return NULL;
}

/* Loads and initialises an engine; NULL with a text when that fails. */
static ENGINE *load_locked(const char *id, struct nj_net_error *error)
{
    if (engines.count == ENGINES_MAX || strlen(id) >= ENGINE_ID_MAX) {
        nj_net_error_set(error, "tls_engine %s: more than %d engines, or a name that is too long",
                         id, ENGINES_MAX);
        return NULL;
    }
    ENGINE_load_builtin_engines();
    ENGINE *engine = ENGINE_by_id(id);
    if (engine == NULL) {
        nj_net_error_set(error, "tls_engine %s: there is no such engine (%s)", id,
                         nj_tls_openssl_reason());
        return NULL;
    }
    if (ENGINE_init(engine) != 1) {
        nj_net_error_set(error, "tls_engine %s: it does not start (%s)", id,
                         nj_tls_openssl_reason());
        (void)ENGINE_free(engine);
        return NULL;
    }
    /* It would tell stderr the whole name of a key that it does not find, PIN included. */
    (void)ENGINE_ctrl_cmd_string(engine, "QUIET", NULL, 1);
    memcpy(engines.known[engines.count].id, id, strlen(id) + 1);
    engines.known[engines.count].engine = engine;
    engines.count++;
    return engine;
}

static ENGINE *engine_of(const char *id, struct nj_net_error *error)
{
    (void)pthread_mutex_lock(&engines.lock);
    ENGINE *engine = find_locked(id);
    if (engine == NULL) {
        engine = load_locked(id, error);
    }
    (void)pthread_mutex_unlock(&engines.lock);
    return engine;
}

static bool decode_kpass(const char *hex, uint8_t out[KPASS_BYTES])
{
    long len = 0;
    if (strlen(hex) != (size_t)KPASS_BYTES * 2) {
        return false;
    }
    uint8_t *bytes = OPENSSL_hexstr2buf(hex, &len);
    bool is_good = bytes != NULL && len == KPASS_BYTES;
    if (is_good) {
        memcpy(out, bytes, KPASS_BYTES);
    }
    OPENSSL_clear_free(bytes, (size_t)len);
    return is_good;
}

/* The SHA-1 of the password that opens the engine's keys, for engines that take it so. */
static enum nj_err set_kpass(ENGINE *engine, const char *hex, struct nj_net_error *error)
{
    uint8_t digest[KPASS_BYTES];
    if (!decode_kpass(hex, digest)) {
        nj_net_error_set(error, "tls_engine_kpass_sha1: 40 hexadecimal digits are expected");
        return NJ_EINVAL;
    }
    bool is_set = ENGINE_ctrl_cmd(engine, "SECRET_MODE", SECRET_MODE_SHA, NULL, NULL, 0) == 1 &&
                  ENGINE_ctrl_cmd(engine, "PIN", 0, digest, NULL, 0) == 1;
    nj_wipe(digest, sizeof(digest));
    if (!is_set) {
        nj_net_error_set(error,
                         "tls_engine_kpass_sha1: this engine does not take a password as SHA-1 "
                         "(%s); for PKCS#11 put pin-value or pin-source into the key's URI",
                         nj_tls_openssl_reason());
        return NJ_EINVAL;
    }
    return NJ_OK;
}

/* A service asks nobody for a PIN. */
static int refuse_to_ask(UI *ui, UI_STRING *question)
{
    (void)ui;
    (void)question;
    return 0;
}

static UI_METHOD *silent_method;
static pthread_once_t silent_once = PTHREAD_ONCE_INIT;

static void silent_make(void)
{
    silent_method = UI_create_method("nobody to ask");
    if (silent_method != NULL) {
        (void)UI_method_set_reader(silent_method, refuse_to_ask);
    }
}

static UI_METHOD *ui_of(bool may_ask)
{
    (void)pthread_once(&silent_once, silent_make);
    return may_ask ? UI_OpenSSL() : silent_method;
}

enum nj_err nj_tls_load_engine_key(SSL_CTX *ctx, const struct nj_tls_key *key,
                                   struct nj_net_error *error)
{
    if (key->engine == NULL) {
        nj_net_error_set(error, "keyfile %s: a key in an engine needs tls_engine", key->file);
        return NJ_EINVAL;
    }
    ENGINE *engine = engine_of(key->engine, error);
    if (engine == NULL) {
        return NJ_ENOENT;
    }
    enum nj_err err =
        key->engine_kpass_sha1 != NULL ? set_kpass(engine, key->engine_kpass_sha1, error) : NJ_OK;
    if (err != NJ_OK) {
        return err;
    }
    ERR_clear_error();
    EVP_PKEY *pkey = ENGINE_load_private_key(engine, key->file, ui_of(key->may_ask), NULL);
    if (pkey == NULL) {
        /* The name may hold a PIN: it is not repeated. */
        nj_net_error_set(error,
                         "keyfile: the engine %s has no such private key, or does not open "
                         "it (%s)",
                         key->engine, nj_tls_openssl_reason());
        return NJ_ENOENT;
    }
    if (SSL_CTX_use_PrivateKey(ctx, pkey) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        nj_net_error_set(error,
                         "keyfile: the key in engine %s does not belong to the certificate in "
                         "certfile (%s)",
                         key->engine, nj_tls_openssl_reason());
        err = NJ_EINVAL;
    }
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return err;
}

#else

enum nj_err nj_tls_load_engine_key(SSL_CTX *ctx, const struct nj_tls_key *key,
                                   struct nj_net_error *error)
{
    (void)ctx;
    nj_net_error_set(error, "tls_engine %s: OpenSSL was built without engines", key->engine);
    return NJ_ENOTSUP;
}

#endif

enum nj_err nj_tls_load_key(SSL_CTX *ctx, const struct nj_tls_key *key, struct nj_net_error *error)
{
    return key->is_in_engine ? nj_tls_load_engine_key(ctx, key, error)
                             : nj_tls_load_keyfile(ctx, key->file, error);
}
