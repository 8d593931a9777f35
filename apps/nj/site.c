/* See site.h. */
#include "site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "config/config.h"
#include "security/dynsec_file.h"
#include "security/dynsec_model.h"
#include "security/dynsec_principal.h"
#include "security/policy.h"
#include "security/scope_load.h"

#define EPOCH 1

/* ---- what is said */

static const char *without_prefix(const char *line)
{
    static const char *const PREFIXES[] = {"Error: ", "Warning: ", "Error in "};
    for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++) {
        size_t len = strlen(PREFIXES[i]);
        if (strncmp(line, PREFIXES[i], len) == 0) {
            return i < 2 ? line + len : line;
        }
    }
    return line;
}

static void set_place(struct nj_site_line *said, const char *file, size_t len, const char *line)
{
    nj_free(said->file);
    said->file = nj_bytes_dup(nj_bytes(file, len));
    said->line = (unsigned)strtoul(line, NULL, 10);
}

/* "… in ACL file F, line N" and "… in password file F, line N: …": the place is cut out. */
static void find_place(struct nj_site_line *said)
{
    static const char *const WORDS[] = {" in ACL file ", " in password file ", " in psk_file "};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        char *begin = strstr(said->text, WORDS[i]);
        char *end = begin != NULL ? strstr(begin, ", line ") : NULL;
        if (end != NULL) {
            const char *file = begin + strlen(WORDS[i]);
            set_place(said, file, (size_t)(end - file), end + 7);
            const char *rest = end + 7 + strspn(end + 7, "0123456789");
            memmove(begin, rest, strlen(rest) + 1);
            return;
        }
    }
    /* "FILE:LINE: …": warnings of ACL files */
    const char *colon = strchr(said->text, ':');
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    if (said->type == NJ_LOG_WARNING && digits > 0 && colon[1 + digits] == ':' &&
        memchr(said->text, ' ', (size_t)(colon - said->text)) == NULL) {
        const char *rest = colon + digits + 2;
        set_place(said, said->text, (size_t)(colon - said->text), colon + 1);
        rest += strspn(rest, " ");
        memmove(said->text, rest, strlen(rest) + 1);
    }
}

static void add_line(struct nj_site_said *said, enum nj_log_type type, const char *text, size_t len)
{
    static const char PLACE[] = "Error found at ";
    said->lines = nj_realloc(said->lines, (said->count + 1) * sizeof(said->lines[0]));
    struct nj_site_line *line = &said->lines[said->count];
    char *copy = nj_bytes_dup(nj_bytes(text, len));
    if (strncmp(copy, PLACE, sizeof(PLACE) - 1) == 0) {
        const char *file = copy + sizeof(PLACE) - 1;
        const char *colon = strrchr(file, ':');
        /* Behind the error that it places; files that include it say it again. */
        if (said->count > 0 && colon != NULL && line[-1].type == NJ_LOG_ERROR &&
            line[-1].file == NULL) {
            set_place(&line[-1], file, (size_t)(colon - file), colon + 1);
        }
        nj_free(copy);
        return;
    }
    *line = (struct nj_site_line){.type = type, .text = nj_strdup(without_prefix(copy))};
    nj_free(copy);
    size_t end = strlen(line->text);
    if (end > 0 && line->text[end - 1] == '.') {
        line->text[end - 1] = '\0';
    }
    find_place(line);
    said->count++;
}

static void on_line(void *arg, enum nj_log_type type, const char *line, size_t len)
{
    add_line(arg, type, line, len);
}

void nj_site_listen(struct nj_site_said *said)
{
    const struct nj_log_settings settings = {
        .types = NJ_LOG_ERROR | NJ_LOG_WARNING | NJ_LOG_NOTICE,
        .to_topic = true,
        .topic_fn = on_line,
        .topic_arg = said,
    };
    *said = (struct nj_site_said){0};
    if (nj_log_configure(&settings) != NJ_OK) {
        abort(); /* no file is to be opened: it cannot fail */
    }
}

void nj_site_said_fini(struct nj_site_said *said)
{
    for (size_t i = 0; i < said->count; i++) {
        nj_free(said->lines[i].text);
        nj_free(said->lines[i].file);
    }
    nj_free(said->lines);
    *said = (struct nj_site_said){0};
}

/* ---- loading */

bool nj_site_take_mode(const char *value, enum nj_site_mode *mode)
{
    bool is_compat = value != NULL && strcmp(value, "mosquitto") == 0;
    if (!is_compat && (value == NULL || strcmp(value, "none") != 0)) {
        fprintf(stderr, "Error: --compat takes none or mosquitto.\n");
        return false;
    }
    *mode = is_compat ? NJ_SITE_COMPAT : NJ_SITE_NATIVE;
    return true;
}

struct nj_settings *nj_site_load(const char *path, enum nj_site_mode mode)
{
    char *argv[] = {"nightjar",
                    "-c",
                    (char *)path,
                    "--test-config",
                    mode == NJ_SITE_AS_FILE ? NULL : "--compat",
                    mode == NJ_SITE_COMPAT ? "mosquitto" : "none",
                    NULL};
    struct nj_config_result result;
    nj_config_load(mode == NJ_SITE_AS_FILE ? 4 : 6, argv, &result);
    return result.settings;
}

/* The state in the file; changes of the last second may still be in its journal alone. */
static enum nj_err load_dynsec(const struct nj_settings *settings, const char *path,
                               struct nj_dynsec_state **out)
{
    struct nj_dynsec_load load = {.knows_all_keys = !settings->mode.is_compat};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err =
        nj_file_read(path, NJ_DYNSEC_FILE_MAX, settings->mode.nofollow_credentials, &text);
    if (err == NJ_ENOENT) {
        nj_log(NJ_LOG_WARNING, "Warning: %s does not exist yet; the first start makes it.", path);
        *out = nj_dynsec_state_new(principals);
        err = *out != NULL ? NJ_OK : NJ_ENOMEM;
    } else if (err == NJ_OK) {
        err = nj_dynsec_load(nj_buf_bytes(&text), principals, &load, out);
    }
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s: %s.", path,
               err == NJ_EMALFORMED ? load.error : nj_file_why(err));
    }
    if (text.data != NULL) {
        nj_wipe(text.data, text.cap);
    }
    nj_buf_fini(&text);
    nj_dynsec_principals_unref(principals);
    return err;
}

static enum nj_err load_scope(const struct nj_settings *settings, size_t listener,
                              struct nj_scope *scopes)
{
    const struct nj_scope *same = listener > 0 ? &scopes[0] : NULL;
    struct nj_scope *scope = &scopes[listener];
    enum nj_err err = nj_scope_load(settings, listener, same, scope);
    scope->dynsec_knows_certificates = settings->mode.dynsec_knows_certificates;
    char *path = err == NJ_OK ? nj_scope_dynsec_path(settings, listener) : NULL;
    if (path != NULL && same != NULL && same->dynsec != NULL) {
        scope->dynsec = nj_dynsec_state_ref(same->dynsec); /* all name the same file */
    } else if (path != NULL) {
        err = load_dynsec(settings, path, &scope->dynsec);
    }
    nj_free(path);
    return err;
}

struct nj_policy *nj_site_policy(const struct nj_settings *settings)
{
    size_t count = settings->listener_count;
    struct nj_scope *scopes = nj_zalloc(count * sizeof(*scopes));
    enum nj_err err = NJ_OK;
    for (size_t i = 0; i < count && err == NJ_OK; i++) {
        err = load_scope(settings, i, scopes);
    }
    struct nj_policy *policy = nj_policy_new(EPOCH, scopes, count);
    nj_free(scopes);
    if (err != NJ_OK) {
        nj_policy_unref(policy);
        return NULL;
    }
    return policy;
}

const char *nj_site_listener_name(const struct nj_listener_settings *listener, char *out,
                                  size_t size)
{
    if (listener->unix_path != NULL) {
        (void)snprintf(out, size, "unix socket %s", listener->unix_path);
    } else if (listener->host != NULL) {
        (void)snprintf(out, size, "port %d on %s", listener->port, listener->host);
    } else {
        (void)snprintf(out, size, "port %d", listener->port);
    }
    return out;
}
