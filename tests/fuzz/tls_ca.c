/* Fuzzes CA certificates as an administrator hands them in over MQTT.
 *
 * Oracle: what is accepted is described completely, in pure ASCII; reading it again says the same;
 * and only what can be read can be trusted. */
#include "net/tls_ca.h"

#include "base/clock.h"
#include "fuzz/fuzz.h"

#define INPUT_MAX 16384

static void need_ascii(const char *text)
{
    need(text != NULL);
    for (; *text; text++) {
        need(*text >= 0x20 && *text < 0x7f);
    }
}

static void need_hex(const char *text, const char *digits)
{
    need(text[0] != '\0' && strspn(text, digits) == strlen(text));
}

static void check(struct nj_bytes pem, const struct nj_tls_ca_info *info)
{
    struct nj_tls_ca_info again;
    need_ascii(info->subject);
    need_ascii(info->issuer);
    need_hex(info->serial, "-0123456789ABCDEF");
    need_hex(info->fingerprint, "0123456789abcdef");
    need(strlen(info->fingerprint) == 64);
    need(info->count > 0 && info->count <= NJ_TLS_CA_CERTS_MAX);
    need(nj_tls_ca_read(pem, &again, NULL) == NJ_OK);
    need(strcmp(info->fingerprint, again.fingerprint) == 0 && info->hash == again.hash);
    nj_tls_ca_info_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* 2027, when the seeds are valid. */
    static const struct nj_clock_fake clock = {.mono_ns = 1, .wall_ns = 1800000000000000000};
    struct nj_net_error error = {0};
    struct nj_tls_ca_info info;
    struct nj_bytes pem = nj_bytes(data, size);
    if (size > INPUT_MAX) {
        return 0;
    }
    nj_clock_set_fake(&clock);
    bool is_read = nj_tls_ca_read(pem, &info, &error) == NJ_OK;
    need(is_read || error.text[0] != '\0');
    if (is_read) {
        check(pem, &info);
        nj_tls_ca_info_fini(&info);
    }
    error.text[0] = '\0';
    bool is_trusted = nj_tls_ca_check(pem, NULL, NULL, false, &error) == NJ_OK;
    need(!is_trusted || is_read);
    need(is_trusted || error.text[0] != '\0');
    return 0;
}
