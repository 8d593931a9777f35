/* Fuzzes who a certificate says its holder is. The first byte says what the rest is: even, a name
 * as text; odd, a certificate (DER).
 *
 * Oracle: UTF-8 is what the Unicode standard says; a name that is accepted is 1 to 64 characters of
 * text without a control character; what describes the certificate is pure ASCII. */
#include <openssl/err.h>
#include <openssl/x509.h>

#include "fuzz/fuzz.h"
#include "net/text_priv.h"
#include "net/tls_priv.h"

#define CHARS_MAX 64

static bool is_name(struct nj_bytes text)
{
    size_t chars = 0;
    uint32_t code;
    for (size_t at = 0; at < text.len; chars++) {
        at += fuzz_char(text.ptr + at, text.len - at, &code);
    }
    return chars > 0 && chars <= CHARS_MAX && fuzz_is_tame(text) &&
           !memchr(text.ptr, '\n', text.len);
}

static void check_text(struct nj_bytes text)
{
    for (size_t at = 0; at < text.len; at++) {
        uint32_t got = 0;
        uint32_t wanted = 0;
        size_t len = nj_utf8_char(text.ptr + at, text.len - at, &got);
        need(len == fuzz_char(text.ptr + at, text.len - at, &wanted) && got == wanted);
    }
    bool is_good = fuzz_is_utf8(text) && is_name(text);
    need((nj_name_state_of_text(text.ptr, text.len) == NJ_TLS_NAME_OK) == is_good);
}

static void need_ascii(const char *text)
{
    need(text != NULL);
    for (; *text; text++) {
        need(*text >= 0x20 && *text < 0x7f);
    }
}

static void check_certificate(X509 *cert)
{
    struct nj_tls_identity identity;
    (void)nj_tls_leaf_fault(cert);
    if (nj_tls_cert_identity(cert, &identity) != NJ_OK) {
        return;
    }
    need((identity.name_state == NJ_TLS_NAME_OK) == (identity.common_name != NULL));
    need(nj_tls_name_text(identity.name_state) != NULL);
    if (identity.common_name) {
        need(is_name(nj_bytes_of(identity.common_name)));
    }
    need_ascii(identity.subject);
    need_ascii(identity.serial);
    need(strlen(identity.fingerprint) == 64);
    nj_tls_identity_fini(&identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        check_text(nj_bytes(data + 1, size - 1));
        return 0;
    }
    const uint8_t *der = data + 1;
    X509 *cert = d2i_X509(NULL, &der, (long)(size - 1));
    ERR_clear_error();
    if (cert) {
        check_certificate(cert);
    }
    X509_free(cert);
    return 0;
}
