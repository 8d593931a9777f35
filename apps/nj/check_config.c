/* What is wrong with a configuration as a whole: see check.h. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "config/config.h"
#include "security/acl.h"
#include "security/password_file.h"
#include "security/scope_load.h"

#define CONFIG_MAX ((size_t)16 << 20)

void nj_check_file_mode(struct nj_findings *findings, const char *path, bool is_secret)
{
    struct stat info;
    const struct nj_finding_place readable = {
        NJ_FINDING_WARNING, "file-readable", path, 0,
        "chmod o-rwx, and let the broker's group read it if need be"};
    const struct nj_finding_place writable = {
        NJ_FINDING_WARNING, "file-writable", path, 0,
        "chmod o-w: whoever can write it decides who gets in"};
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        return;
    }
    if ((info.st_mode & S_IROTH) && is_secret) {
        nj_findings_add(findings, &readable, "every user of this computer can read it");
    }
    if (info.st_mode & S_IWOTH) {
        nj_findings_add(findings, &writable, "every user of this computer can change it");
    }
}

/* ---- listeners */

static bool is_local(const struct nj_listener_settings *listener)
{
    const char *host = listener->host;
    return listener->unix_path != NULL ||
           (host != NULL && (strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
                             strcmp(host, "localhost") == 0));
}

struct look {
    struct nj_findings *findings;
    const struct nj_settings *settings;
    const char *path;
    size_t at; /* the listener */
    const struct nj_listener_settings *listener;
    const struct nj_scope_settings *scope;
    char name[200];
};

static bool has_passwords(const struct look *look)
{
    return look->scope->password_file != NULL || look->scope->dynamic_security != NULL;
}

static bool names_by_certificate(const struct look *look)
{
    return look->listener->use_identity_as_username || look->listener->use_subject_as_username;
}

static void check_reach(const struct look *look)
{
    bool is_anonymous = nj_settings_anonymous(look->settings, look->at);
    bool is_clear = !nj_settings_uses_tls(look->listener);
    const struct nj_finding_place clear = {NJ_FINDING_WARNING, "clear-passwords", look->path, 0,
                                           "give it certfile and keyfile, or bind it to 127.0.0.1"};
    const struct nj_finding_place open = {NJ_FINDING_WARNING, "open-listener", look->path, 0,
                                          "allow_anonymous false, or bind it to 127.0.0.1"};
    if (is_local(look->listener)) {
        return;
    }
    if (is_clear && has_passwords(look) && !names_by_certificate(look)) {
        nj_findings_add(look->findings, &clear,
                        "passwords cross the network in clear text on the listener on %s",
                        look->name);
    }
    if (is_anonymous) {
        nj_findings_add(look->findings, &open,
                        "whoever reaches the listener on %s gets in without a name", look->name);
    }
}

static void check_logins(const struct look *look)
{
    bool is_anonymous = nj_settings_anonymous(look->settings, look->at);
    const struct nj_finding_place nobody = {
        NJ_FINDING_WARNING, "nobody-gets-in", look->path, 0,
        "name a password_file, turn dynamic security on, or use certificates"};
    const struct nj_finding_place unused = {NJ_FINDING_WARNING, "identity-unused", look->path, 0,
                                            "add require_certificate true"};
    bool has_source = has_passwords(look) || names_by_certificate(look);
    if (!is_anonymous && !has_source) {
        nj_findings_add(look->findings, &nobody,
                        "nobody can log in on the listener on %s: nothing can verify a name, and "
                        "anonymous clients are not let in",
                        look->name);
    }
    if (names_by_certificate(look) && !look->listener->require_certificate &&
        look->listener->psk_hint == NULL) {
        nj_findings_add(look->findings, &unused,
                        "the listener on %s takes names from certificates but asks for none: every "
                        "client fails",
                        look->name);
    }
}

static void check_rights(const struct look *look)
{
    const struct nj_mode_settings *mode = &look->settings->mode;
    bool has_rules = look->scope->acl_file != NULL || look->scope->dynamic_security != NULL;
    const struct nj_finding_place none = {
        NJ_FINDING_WARNING, "no-acl", look->path, 0,
        "name an acl_file, or write acl_default allow if that is what is meant"};
    const struct nj_finding_place all = {NJ_FINDING_WARNING, "no-acl", look->path, 0,
                                         "name an acl_file"};
    if (has_rules) {
        return;
    }
    if (!mode->acl_default_allow) {
        nj_findings_add(look->findings, &none,
                        "no ACL is configured: clients of the listener on %s may log in, and do "
                        "nothing",
                        look->name);
    } else if (!is_local(look->listener)) {
        nj_findings_add(look->findings, &all,
                        "no ACL is configured: clients of the listener on %s may use every topic",
                        look->name);
    }
}

static void check_dynsec(const struct look *look, const char *path)
{
    const struct nj_finding_place first = {NJ_FINDING_NOTE, "dynsec-first", path, 0, NULL};
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        nj_findings_add(look->findings, &first,
                        "the file does not exist yet; the first start makes it");
        return;
    }
    nj_check_dynsec(look->findings, path, look->settings->mode.is_compat);
}

/* The files of a scope; without per_listener_settings there is one scope. */
static void check_files(const struct look *look)
{
    const struct nj_settings *settings = look->settings;
    struct nj_passwords *passwords = NULL;
    if (look->at > 0 && !settings->per_listener) {
        return;
    }
    if (look->scope->password_file != NULL) {
        nj_check_passwords(look->findings, look->scope->password_file,
                           settings->mode.nofollow_credentials, &passwords);
    }
    if (look->scope->acl_file != NULL) {
        const struct nj_acl_options options = nj_scope_acl_options(settings);
        /* Other sources may know users that the password file does not. */
        bool is_all = look->scope->dynamic_security == NULL && !names_by_certificate(look) &&
                      settings->listener_count == 1;
        nj_check_acl(look->findings, look->scope->acl_file, &options, is_all ? passwords : NULL);
    }
    if (look->scope->psk_file != NULL) {
        nj_check_file_mode(look->findings, look->scope->psk_file, true);
    }
    char *dynsec = nj_scope_dynsec_path(settings, look->at);
    if (dynsec != NULL) {
        check_dynsec(look, dynsec);
        nj_free(dynsec);
    }
    nj_passwords_free(passwords);
}

static void check_listener(struct look *look)
{
    (void)nj_site_listener_name(look->listener, look->name, sizeof(look->name));
    check_reach(look);
    check_logins(look);
    check_rights(look);
    check_files(look);
    if (nj_settings_uses_tls(look->listener) && look->listener->certfile != NULL) {
        nj_check_tls(look->findings, look->settings, look->listener, look->path);
    }
}

/* ---- the whole */

/* Lines of the load; those about files that are checked here in full are left out. */
static void take_said(struct nj_findings *findings, const struct nj_site_said *said,
                      const char *path)
{
    for (size_t i = 0; i < said->count; i++) {
        const struct nj_site_line *line = &said->lines[i];
        bool is_error = line->type == NJ_LOG_ERROR;
        const struct nj_finding_place place = {is_error                       ? NJ_FINDING_ERROR
                                               : line->type == NJ_LOG_WARNING ? NJ_FINDING_WARNING
                                                                              : NJ_FINDING_NOTE,
                                               is_error ? "config-invalid" : "config",
                                               line->file != NULL ? line->file : path, line->line,
                                               NULL};
        nj_findings_add(findings, &place, "%s", line->text);
    }
}

static void note_differences(struct nj_findings *findings, const struct nj_settings *settings,
                             const char *path)
{
    const struct nj_finding_place place = {NJ_FINDING_NOTE, NJ_FINDING_MODE, path, 0, NULL};
    const char *const *differences = nj_config_differences(settings);
    for (size_t i = 0; differences[i] != NULL; i++) {
        size_t len = strlen(differences[i]);
        len -= len > 0 && differences[i][len - 1] == '.' ? 1 : 0;
        nj_findings_add(findings, &place, "%.*s", (int)len, differences[i]);
    }
}

static bool has_secrets(const struct nj_settings *settings)
{
    for (size_t i = 0; i < settings->bridge_count; i++) {
        const struct nj_bridge_settings *bridge = &settings->bridges[i];
        if (bridge->remote_password != NULL || bridge->local_password != NULL ||
            bridge->psk != NULL) {
            return true;
        }
    }
    return false;
}

/* ---- one mistake after the other: the parser stops at the first, so its line is blanked in a copy
 * and the copy is read */

#define COPIES_MAX 20

struct copy {
    struct nj_buf text;
    int fd;
    char path[40];
};

static bool copy_write(struct copy *copy)
{
    copy->fd = memfd_create("check", MFD_CLOEXEC);
    (void)snprintf(copy->path, sizeof(copy->path), "/proc/self/fd/%d", copy->fd);
    return copy->fd >= 0 &&
           write(copy->fd, copy->text.data, copy->text.len) == (ssize_t)copy->text.len;
}

static void copy_close(struct copy *copy)
{
    if (copy->fd >= 0) {
        (void)close(copy->fd);
    }
    copy->fd = -1;
}

/* The line that is to blame, in this file; 0 = none, or one whose loss would let others seem
 * wrong. */
static unsigned line_to_blank(const struct nj_site_said *said, const char *path)
{
    for (size_t i = 0; i < said->count; i++) {
        const struct nj_site_line *line = &said->lines[i];
        bool is_here = line->file != NULL && strcmp(line->file, path) == 0;
        if (line->type == NJ_LOG_ERROR) {
            return is_here && strstr(line->text, "defined first") == NULL ? line->line : 0;
        }
    }
    return 0;
}

static bool begins_section(struct nj_bytes line)
{
    static const char *const WORDS[] = {"listener", "connection", "plugin", "global_plugin",
                                        "per_listener_settings"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (nj_bytes_starts_with(line, nj_bytes_of(WORDS[i]))) {
            return true;
        }
    }
    return false;
}

bool nj_check_blank_line(struct nj_buf *text, unsigned number, bool (*is_needed)(struct nj_bytes))
{
    uint8_t *at = text->data;
    uint8_t *end = text->data + text->len;
    for (unsigned line = 1; at < end; line++) {
        uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        uint8_t *stop = newline != NULL ? newline : end;
        if (line == number && is_needed && is_needed(nj_bytes(at, (size_t)(stop - at)))) {
            return false;
        }
        if (line == number) {
            memset(at, ' ', (size_t)(stop - at));
            return true;
        }
        at = newline != NULL ? newline + 1 : end;
    }
    return false;
}

/* Settings without the bad lines, whose errors become findings; NULL when there is no end to
 * them. */
static struct nj_settings *load_without(struct nj_findings *findings, const char *path,
                                        enum nj_site_mode mode, unsigned line)
{
    struct copy copy = {.fd = -1};
    struct nj_settings *settings = NULL;
    nj_buf_init(&copy.text);
    bool goes_on = nj_file_read(path, CONFIG_MAX, false, &copy.text) == NJ_OK;
    for (int i = 0; goes_on && settings == NULL && i < COPIES_MAX; i++) {
        struct nj_site_said said;
        goes_on = nj_check_blank_line(&copy.text, line, begins_section) && copy_write(&copy);
        if (!goes_on) {
            break;
        }
        nj_site_listen(&said);
        settings = nj_site_load(copy.path, mode);
        line = line_to_blank(&said, copy.path);
        goes_on = line > 0;
        for (size_t k = 0; settings == NULL && k < said.count; k++) {
            const struct nj_finding_place place = {NJ_FINDING_ERROR, "config-invalid", path,
                                                   said.lines[k].line, NULL};
            if (goes_on && said.lines[k].type == NJ_LOG_ERROR && said.lines[k].line == line) {
                nj_findings_add(findings, &place, "%s", said.lines[k].text);
            }
        }
        nj_site_said_fini(&said);
        copy_close(&copy);
    }
    copy_close(&copy);
    nj_buf_fini(&copy.text);
    return settings;
}

static void check_settings(struct nj_findings *findings, const char *path,
                           const struct nj_settings *settings)
{
    nj_check_file_mode(findings, path, has_secrets(settings));
    for (size_t i = 0; i < settings->listener_count; i++) {
        struct look look = {
            .findings = findings,
            .settings = settings,
            .path = path,
            .at = i,
            .listener = &settings->listeners[i],
            .scope = nj_settings_scope(settings, i),
        };
        check_listener(&look);
    }
    note_differences(findings, settings, path);
}

void nj_check_config(struct nj_findings *findings, const char *path, enum nj_site_mode mode,
                     bool *is_compat)
{
    struct nj_site_said said;
    nj_site_listen(&said);
    struct nj_settings *settings = nj_site_load(path, mode);
    take_said(findings, &said, path);
    unsigned line = settings == NULL ? line_to_blank(&said, path) : 0;
    nj_site_said_fini(&said);
    if (line > 0) {
        settings = load_without(findings, path, mode, line);
    }
    *is_compat = mode == NJ_SITE_COMPAT;
    if (settings != NULL) {
        *is_compat = settings->mode.is_compat;
        check_settings(findings, path, settings);
    }
    nj_settings_free(settings);
}
