/* What is wrong with the certificates of a listener: see check.h. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "net/error.h"
#include "net/tls.h"

#define DAY_S        86400LL
#define WARN_DAYS    30
#define RSA_BITS_MIN 2048

static int64_t seconds_of(const ASN1_TIME *when)
{
    struct tm parts;
    return ASN1_TIME_to_tm(when, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static void date_text(int64_t when_s, char *out, size_t size)
{
    time_t when = (time_t)when_s;
    struct tm parts;
    if (gmtime_r(&when, &parts) == NULL || strftime(out, size, "%Y-%m-%d", &parts) == 0) {
        (void)snprintf(out, size, "an unknown day");
    }
}

/* `what`: "the certificate", "the CRL". */
static void check_end(struct nj_findings *findings, const char *file, const char *what,
                      int64_t end_s)
{
    int64_t now_s = (int64_t)time(NULL);
    char date[32];
    if (end_s == 0 || end_s > now_s + WARN_DAYS * DAY_S) {
        return;
    }
    date_text(end_s, date, sizeof(date));
    const struct nj_finding_place over = {NJ_FINDING_ERROR, "expired", file, 0,
                                          "get a new one, and reload the broker"};
    const struct nj_finding_place soon = {NJ_FINDING_WARNING, "expires-soon", file, 0,
                                          "get a new one, and reload the broker"};
    if (end_s <= now_s) {
        nj_findings_add(findings, &over, "%s expired on %s", what, date);
    } else {
        nj_findings_add(findings, &soon, "%s expires in %lld days, on %s", what,
                        (long long)((end_s - now_s) / DAY_S), date);
    }
}

static void name_of(X509 *certificate, char *out, size_t size)
{
    char subject[256] = "";
    (void)X509_NAME_oneline(X509_get_subject_name(certificate), subject, sizeof(subject));
    (void)snprintf(out, size, "the certificate '%s'", subject);
}

static void check_certificate(struct nj_findings *findings, const char *file, X509 *certificate)
{
    char name[300];
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    int64_t begin_s = seconds_of(X509_get0_notBefore(certificate));
    name_of(certificate, name, sizeof(name));
    check_end(findings, file, name, seconds_of(X509_get0_notAfter(certificate)));
    const struct nj_finding_place early = {NJ_FINDING_WARNING, "not-yet-valid", file, 0,
                                           "look at the clock of the computer that made it"};
    const struct nj_finding_place weak = {NJ_FINDING_WARNING, "weak-key", file, 0,
                                          "make a new key: at least 2048 bits of RSA, or an "
                                          "elliptic curve"};
    if (begin_s > (int64_t)time(NULL)) {
        nj_findings_add(findings, &early, "%s is not valid yet", name);
    }
    if (key != NULL && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
        EVP_PKEY_get_bits(key) < RSA_BITS_MIN) {
        nj_findings_add(findings, &weak, "%s has a key of %d bits", name, EVP_PKEY_get_bits(key));
    }
}

/* Every certificate of a PEM file. That it cannot be read is said by who loads it. */
static void check_certificates(struct nj_findings *findings, const char *file)
{
    BIO *bio = file != NULL ? BIO_new_file(file, "r") : NULL;
    if (bio == NULL) {
        ERR_clear_error();
        return;
    }
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        check_certificate(findings, file, certificate);
        X509_free(certificate);
    }
    ERR_clear_error();
    (void)BIO_free(bio);
}

static void on_warning(void *arg, const char *text)
{
    struct nj_findings *findings = arg;
    const struct nj_finding_place place = {NJ_FINDING_WARNING, "tls", NULL, 0, NULL};
    nj_findings_add(findings, &place, "%s", text);
}

void nj_check_tls(struct nj_findings *findings, const struct nj_settings *settings,
                  const struct nj_listener_settings *listener, const char *path)
{
    const struct nj_tls_server_config config = {
        .name = "check",
        .certfile = listener->certfile,
        .key = {.file = listener->keyfile,
                .engine = listener->tls_engine,
                .engine_kpass_sha1 = listener->tls_engine_kpass_sha1,
                .is_in_engine = listener->tls_keyform == 1},
        .cafile = listener->cafile,
        .capath = listener->capath,
        .crlfile = listener->crlfile,
        .ciphers = listener->ciphers,
        .ciphers_tls13 = listener->ciphers_tls13,
        .dhparamfile = listener->dhparamfile,
        .min_version =
            listener->tls_version != NULL && strcmp(listener->tls_version, "tlsv1.3") == 0
                ? NJ_TLS_13
                : NJ_TLS_12,
        .require_certificate = listener->require_certificate,
        .disable_client_cert_date_checks = listener->disable_client_cert_date_checks,
        .capath_takes_any_name = settings->mode.capath_by_content,
        .warn = on_warning,
        .warn_arg = findings,
    };
    struct nj_tls_server *server = NULL;
    struct nj_net_error error = {""};
    char name[200];
    const struct nj_finding_place bad = {NJ_FINDING_ERROR, "tls", path, 0, NULL};
    if (nj_tls_server_new(&config, NULL, &server, &error) != NJ_OK) {
        nj_findings_add(findings, &bad, "listener on %s: %s",
                        nj_site_listener_name(listener, name, sizeof(name)), error.text);
    } else {
        struct nj_tls_server_info info;
        nj_tls_server_info(server, &info);
        check_end(findings, listener->crlfile, "the CRL", info.crl_next_update_s);
        nj_tls_server_unref(server);
    }
    check_certificates(findings, listener->certfile);
    check_certificates(findings, listener->cafile);
    if (listener->keyfile != NULL && listener->tls_keyform == 0) {
        nj_check_file_mode(findings, listener->keyfile, true);
    }
}
