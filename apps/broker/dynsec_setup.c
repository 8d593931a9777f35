/* See dynsec_setup.h. */
#include "dynsec_setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "security/dynsec.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "security/policy.h"
#include "security/scope_load.h"

#define COMPAT_ITERATIONS 1000u

/* The first scope that has it: they all name the same file. *path is the caller's to free. */
static const struct nj_scope_settings *find_scope(const struct nj_settings *settings, char **path)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        *path = nj_scope_dynsec_path(settings, i);
        if (*path) {
            return nj_settings_scope(settings, i);
        }
    }
    return NULL;
}

struct nj_dynsec_module_options nj_dynsec_setup_options(const struct nj_settings *settings)
{
    const struct nj_mode_settings *mode = &settings->mode;
    struct nj_dynsec_module_options options = {
        .cost = {.kind = NJ_HASH_ARGON2ID},
        .kicks = mode->rights_change == NJ_RIGHTS_KICK,
        .tells_events = !mode->control_as_original,
        .refuses_control_chars = mode->refuses_control_chars,
    };
    if (!mode->default_argon2id) {
        options.cost = (struct nj_hash_cost){NJ_HASH_PBKDF2, COMPAT_ITERATIONS};
    }
    return options;
}

enum nj_err nj_dynsec_setup_open(const struct nj_settings *settings, struct nj_dynsec **out)
{
    char error[1024];
    char *path = NULL;
    const struct nj_scope_settings *scope = find_scope(settings, &path);
    const struct nj_mode_settings *mode = &settings->mode;
    *out = NULL;
    if (!scope) {
        return NJ_OK;
    }
    const struct nj_dynsec_options options = {
        .path = path,
        .knows_all_keys = !mode->is_compat,
        .nofollow = mode->nofollow_credentials,
        .recover = (enum nj_dynsec_recover)settings->recover,
        .password_file = scope->dynamic_security_password_file,
        .password = getenv("MOSQUITTO_DYNSEC_PASSWORD"), /* NOLINT(concurrency-mt-unsafe) */
        .with_democlient = mode->is_compat,
        .cost = nj_dynsec_setup_options(settings).cost,
    };
    enum nj_err err = nj_dynsec_open(&options, out, error, sizeof(error));
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: Dynamic security cannot start: %s.", error);
    } else {
        const struct nj_dynsec_state *state = nj_dynsec_state(*out);
        nj_log(NJ_LOG_INFO, "Dynamic security: %zu clients, %zu groups, %zu roles from %s.",
               nj_pmap_count(&state->clients), nj_pmap_count(&state->groups),
               nj_pmap_count(&state->roles), path);
    }
    nj_free(path);
    return err;
}

static enum nj_err try_text(const struct nj_settings *settings, const char *path,
                            const struct nj_buf *text)
{
    struct nj_dynsec_load load = {.knows_all_keys = !settings->mode.is_compat};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_dynsec_state *state;
    enum nj_err err = nj_dynsec_load(nj_buf_bytes(text), principals, &load, &state);
    if (err == NJ_OK) {
        nj_dynsec_state_unref(state);
    } else {
        nj_log(NJ_LOG_ERROR, "Error: %s, %s.", path,
               err == NJ_EMALFORMED ? load.error : nj_err_text(err));
    }
    nj_dynsec_principals_unref(principals);
    return err;
}

enum nj_err nj_dynsec_setup_test(const struct nj_settings *settings)
{
    char *path = NULL;
    const struct nj_scope_settings *scope = find_scope(settings, &path);
    struct nj_buf text = {NULL, 0, 0};
    if (!scope) {
        return NJ_OK;
    }
    enum nj_err err =
        nj_file_read(path, NJ_DYNSEC_FILE_MAX, settings->mode.nofollow_credentials, &text);
    if (err == NJ_OK) {
        err = try_text(settings, path, &text);
    } else if (err == NJ_ENOENT) {
        err = NJ_OK; /* the first start makes it */
    } else {
        nj_log(NJ_LOG_ERROR, "Error: %s cannot be read: %s.", path, nj_file_why(err));
    }
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    nj_free(path);
    return err;
}

enum nj_err nj_dynsec_setup_scopes(const struct nj_settings *settings,
                                   const struct nj_dynsec *dynsec, struct nj_scope *scopes,
                                   size_t count)
{
    struct nj_dynsec_state *state = NULL;
    char *path = NULL;
    bool has_it = find_scope(settings, &path) != NULL;
    nj_free(path);
    if (!has_it) {
        return NJ_OK;
    }
    if (dynsec) {
        state = nj_dynsec_state_ref(nj_dynsec_state(dynsec));
    } else {
        struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
        state = nj_dynsec_state_new(principals);
        nj_dynsec_principals_unref(principals);
    }
    for (size_t i = 0; state && i < count; i++) {
        if (nj_settings_scope(settings, i)->dynamic_security) {
            nj_dynsec_state_unref(scopes[i].dynsec);
            scopes[i].dynsec = nj_dynsec_state_ref(state);
            scopes[i].dynsec_knows_certificates = settings->mode.dynsec_knows_certificates;
        }
    }
    enum nj_err err = state ? NJ_OK : NJ_ENOMEM;
    nj_dynsec_state_unref(state);
    return err;
}
