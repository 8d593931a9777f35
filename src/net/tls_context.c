/* What the TLS contexts of servers and clients have in common. */
#include <sys/stat.h>
#include <sys/uio.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/tls_priv.h"

/* OpenSSL's allocations, counted. Their sizes are chosen by peers, so they may fail. */
static void *counted_alloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return nj_try_alloc(size);
}

static void *counted_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return nj_try_realloc(ptr, size);
}

static void counted_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    nj_free(ptr);
}

void nj_tls_init(void)
{
    /* Fails when OpenSSL has allocated already: then its memory is not counted, nothing worse. */
    (void)CRYPTO_set_mem_functions(counted_alloc, counted_realloc, counted_free);
    (void)OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, NULL);
}

SSL_CTX *nj_tls_context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL) {
        return NULL;
    }
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    (void)SSL_CTX_clear_options(ctx, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_verify_depth(ctx, NJ_TLS_CHAIN_DEPTH_MAX);
    SSL_CTX_set_max_cert_list(ctx, NJ_TLS_CHAIN_BYTES_MAX);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return ctx;
}

enum nj_err nj_tls_context_set_ciphers(SSL_CTX *ctx, const char *ciphers, const char *ciphers_tls13,
                                       struct nj_net_error *error)
{
    if (ciphers != NULL && SSL_CTX_set_cipher_list(ctx, ciphers) != 1) {
        nj_net_error_set(error, "ciphers \"%s\": none of them is known (%s)", ciphers,
                         nj_tls_openssl_reason());
        return NJ_EINVAL;
    }
    if (ciphers_tls13 != NULL && SSL_CTX_set_ciphersuites(ctx, ciphers_tls13) != 1) {
        nj_net_error_set(error, "ciphers_tls1.3 \"%s\": not a list of TLS 1.3 suites (%s)",
                         ciphers_tls13, nj_tls_openssl_reason());
        return NJ_EINVAL;
    }
    return NJ_OK;
}

enum nj_err nj_tls_keylog_open(const char *path, int *fd, struct nj_net_error *error)
{
    *fd = -1;
    if (path == NULL) {
        return NJ_OK;
    }
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        int cause = errno;
        nj_net_error_set(error, "cannot open the TLS key log %s: %s", path,
                         nj_net_errno_text(cause));
        return cause == EACCES ? NJ_EACCES : NJ_ESYS;
    }
    return NJ_OK;
}

void nj_tls_keylog_write(int fd, const char *line)
{
    if (fd < 0) {
        return;
    }
    /* One call per line, so that lines of several threads do not mix. */
    struct iovec iov[2] = {{(void *)line, strlen(line)}, {(void *)"\n", 1}};
    ssize_t done = writev(fd, iov, 2);
    (void)done;
}
