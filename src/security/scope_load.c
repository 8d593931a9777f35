/* See scope_load.h. */
#include "security/scope_load.h"

#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "security/password_file.h"
#include "security/policy.h"
#include "security/psk_file.h"

#define DYNSEC_FILE_NAME "dynamic-security.json"

struct nj_acl_options nj_scope_acl_options(const struct nj_settings *settings)
{
    return (struct nj_acl_options){
        .leading_for_all = settings->mode.leading_topics_for_all,
        .any_case_keywords = settings->mode.any_case_keywords,
        .nofollow = settings->mode.nofollow_credentials,
        .doubtful_as_text = settings->mode.doubtful_acl_as_text,
    };
}

static enum nj_err load_acl(const struct nj_settings *settings, const char *path,
                            struct nj_acl **out)
{
    char error[512];
    const struct nj_acl_options options = nj_scope_acl_options(settings);
    enum nj_err err = nj_acl_load(path, &options, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s.", error);
        return err;
    }
    for (size_t i = 0; i < nj_acl_warning_count(*out); i++) {
        nj_log(NJ_LOG_WARNING, "Warning: %s.", nj_acl_warning(*out, i));
    }
    return NJ_OK;
}

static enum nj_err load_passwords(const struct nj_settings *settings, const char *path,
                                  struct nj_passwords **out)
{
    char error[512];
    enum nj_err err =
        nj_passwords_load(path, settings->mode.nofollow_credentials, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "%s%s.", error[0] == 'E' ? "" : "Error: ", error);
    }
    return err;
}

static enum nj_err load_psks(const struct nj_settings *settings, const char *path,
                             struct nj_psks **out)
{
    char error[512];
    enum nj_err err =
        nj_psks_load(path, settings->mode.nofollow_credentials, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s.", error);
        return err;
    }
    if (nj_psks_short_count(*out)) {
        nj_log(NJ_LOG_WARNING,
               "Warning: %zu of the keys in psk_file %s have fewer than %d bytes and can be "
               "guessed.",
               nj_psks_short_count(*out), path, NJ_PSK_KEY_SHORT);
    }
    return NJ_OK;
}

static struct nj_bytes address_part(const char *text)
{
    return text ? nj_bytes(text, strlen(text) + 1) : nj_bytes("", 0);
}

static uint32_t address_hash(const struct nj_listener_settings *listener)
{
    const char *const parts[] = {listener->host, listener->unix_path, listener->bind_interface};
    uint32_t hash = nj_crc32c(0, &listener->port, sizeof(listener->port));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct nj_bytes part = address_part(parts[i]);
        uint8_t mark = (uint8_t)i;
        hash = nj_crc32c(hash, &mark, 1);
        hash = nj_crc32c(hash, part.ptr, part.len);
    }
    return hash;
}

/* What it is called over restarts. */
static uint32_t id_of(const struct nj_settings *settings, size_t listener)
{
    if (!settings->per_listener) {
        return NJ_SCOPE_IDS;
    }
    uint32_t hash = address_hash(&settings->listeners[listener]);
    /* Several may have one address, for instance with a port to be chosen: those go by order. */
    uint32_t same = 0;
    for (size_t i = 0; i < listener; i++) {
        same += address_hash(&settings->listeners[i]) == hash;
    }
    hash = nj_crc32c(hash, &same, sizeof(same)) % (NJ_SCOPE_IDS - 1);
    return NJ_SCOPE_IDS + 1 + hash;
}

static enum nj_err load_files(const struct nj_settings *settings,
                              const struct nj_scope_settings *given, struct nj_scope *out)
{
    enum nj_err err = NJ_OK;
    if (given->acl_file) {
        err = load_acl(settings, given->acl_file, &out->acl);
    }
    if (err == NJ_OK && given->password_file) {
        err = load_passwords(settings, given->password_file, &out->passwords);
    }
    if (err == NJ_OK && given->psk_file) {
        err = load_psks(settings, given->psk_file, &out->psks);
    }
    return err;
}

enum nj_err nj_scope_load(const struct nj_settings *settings, size_t listener,
                          const struct nj_scope *same, struct nj_scope *out)
{
    const struct nj_mode_settings *mode = &settings->mode;
    *out = (struct nj_scope){
        .id = id_of(settings, listener),
        .acl_default_allow = mode->acl_default_allow,
        .allow_anonymous = nj_settings_anonymous(settings, listener),
        .unverified_user_counts = mode->unverified_user_counts,
        .checks_subscribe = mode->checks_subscribe,
        .share_as_whole = mode->share_as_whole,
        .default_covers_sys = mode->default_covers_sys,
    };
    if (same && !settings->per_listener) {
        out->acl = same->acl ? nj_acl_ref(same->acl) : NULL;
        out->passwords = same->passwords ? nj_passwords_ref(same->passwords) : NULL;
        out->psks = same->psks ? nj_psks_ref(same->psks) : NULL;
        return NJ_OK;
    }
    return load_files(settings, nj_settings_scope(settings, listener), out);
}

char *nj_scope_dynsec_path(const struct nj_settings *settings, size_t listener)
{
    const char *given = nj_settings_scope(settings, listener)->dynamic_security;
    const char *place = settings->persistence_location ? settings->persistence_location : "";
    size_t len = strlen(place);
    if (!given || given[0]) {
        return given ? nj_strdup(given) : NULL;
    }
    size_t size = len + sizeof(DYNSEC_FILE_NAME) + 1;
    char *path = nj_alloc(size);
    (void)snprintf(path, size, "%s%s%s", place, len && place[len - 1] != '/' ? "/" : "",
                   DYNSEC_FILE_NAME);
    return path;
}
