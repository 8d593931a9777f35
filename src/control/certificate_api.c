/* `$CONTROL/certificate-management/v1`: CA certificates of listeners that run.
 *
 * Only files of the listener's own capath, only where certificate_management is on. A change is on
 * disk, in the listener's context and checked against every connection before it is answered;
 * when one of these fails, the directory is as it was. Whoever may do this decides whose
 * certificates are accepted; what their names may then do is not his to say (certificateLogin). */
#include <sys/stat.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "front/front.h"
#include "net/tls_ca.h"

#define NAME_MAX_BYTES 255
#define PATH_SIZE      4096
#define LINKS_MAX      16 /* certificates with the same hash of the subject */

static const struct nj_settings *settings_of(const struct nj_control_plane *plane)
{
    const struct nj_control_host *host = nj_control_plane_host(plane);
    return host->settings(host->arg);
}

/* ---- what is meant */

struct target {
    struct nj_control_plane *plane;
    const struct nj_listener_settings *listener;
    const char *name; /* of the file */
    char path[PATH_SIZE];
    bool by_content; /* *.pem and *.crt are read; else names as `openssl rehash` makes */
};

static bool is_file_name(const char *name, bool by_content)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "._-+@ ";
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES || name[0] == '.' || name[0] == ' ' ||
        strspn(name, allowed) != len) {
        return false;
    }
    return !by_content || (len > 4 && (strcmp(name + len - 4, ".pem") == 0 ||
                                       strcmp(name + len - 4, ".crt") == 0));
}

static const struct nj_listener_settings *find_listener(const struct nj_control_call *call)
{
    const struct nj_settings *settings = settings_of(nj_control_call_plane(call));
    int64_t id = nj_control_call_int(call, "listener_id", 0);
    if (id < 1 || (uint64_t)id > settings->listener_count) {
        return NULL;
    }
    const struct nj_listener_settings *listener = &settings->listeners[id - 1];
    return listener->certificate_management && listener->capath && nj_settings_uses_tls(listener)
               ? listener
               : NULL;
}

/* False: the call was ended with what is wrong. */
static bool find_target(struct nj_control_call *call, struct target *out)
{
    struct nj_control_plane *plane = nj_control_call_plane(call);
    *out = (struct target){
        .plane = plane,
        .listener = find_listener(call),
        .name = nj_control_call_string(call, "file_name"),
        .by_content = settings_of(plane)->mode.capath_by_content,
    };
    if (!out->listener) {
        nj_control_call_fail(call, NJ_REFUSED_NOT_FOUND,
                             "No such listener, or its CA certificates are not managed");
        return false;
    }
    if (!is_file_name(out->name, out->by_content)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid/missing file_name");
        return false;
    }
    int len = snprintf(out->path, sizeof(out->path), "%s/%s", out->listener->capath, out->name);
    if (len < 0 || (size_t)len >= sizeof(out->path)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid/missing file_name");
        return false;
    }
    return true;
}

static void done(struct nj_control_call *call)
{
    nj_control_call_done(call, json_pack("{s:s}", "response", "SUCCESS"));
}

/* ---- putting it in force */

static enum nj_err same_policy(void *arg, struct nj_scope *scopes, size_t count)
{
    (void)arg;
    (void)scopes;
    (void)count;
    return NJ_OK;
}

/* New contexts for the listeners with this directory; then every worker looks at its connections
 * again, because a new policy is published that is the old one. */
static enum nj_err put_in_force(const struct target *target)
{
    const struct nj_control_host *host = nj_control_plane_host(target->plane);
    enum nj_err err =
        nj_front_reload_capath(nj_control_plane_front(target->plane), target->listener->capath);
    return err == NJ_OK ? host->change_policy(host->arg, same_policy, NULL) : err;
}

/* The contexts may have been made when the rest failed: they follow the directory again. */
static void take_directory_back(const struct target *target)
{
    if (nj_front_reload_capath(nj_control_plane_front(target->plane), target->listener->capath) !=
        NJ_OK) {
        nj_log(NJ_LOG_ERROR,
               "Error: the CA certificates of %s could not be loaded again; reload the "
               "configuration before you trust them.",
               target->listener->capath);
    }
}

static void sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* ---- names as `openssl rehash` makes: where the capath is read by them */

static bool link_path(const struct target *target, uint32_t hash, unsigned number, char *out)
{
    int len = snprintf(out, PATH_SIZE, "%s/%08x.%u", target->listener->capath, hash, number);
    return len > 0 && len < PATH_SIZE;
}

static enum nj_err add_link(const struct target *target, uint32_t hash)
{
    char path[PATH_SIZE];
    for (unsigned i = 0; i < LINKS_MAX && link_path(target, hash, i, path); i++) {
        if (symlink(target->name, path) == 0) {
            return NJ_OK;
        }
        if (errno != EEXIST) {
            return NJ_ESYS;
        }
    }
    return NJ_ELIMIT;
}

/* Numbers have to follow each other without a gap for OpenSSL; ours reads all of them, so a gap
 * that is left costs nothing here. */
static void remove_link(const struct target *target, uint32_t hash)
{
    char path[PATH_SIZE];
    char to[NAME_MAX_BYTES + 2];
    for (unsigned i = 0; i < LINKS_MAX && link_path(target, hash, i, path); i++) {
        ssize_t len = readlink(path, to, sizeof(to) - 1);
        if (len > 0 && (size_t)len == strlen(target->name) &&
            memcmp(to, target->name, (size_t)len) == 0) {
            (void)unlink(path);
        }
    }
}

/* ---- insertCACertificate */

static bool is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

/* The file in which the same certificate is already trusted; "" = in none. */
static void find_same(const struct target *target, const char *fingerprint, char *out, size_t size)
{
    DIR *dir = opendir(target->listener->capath);
    struct dirent *entry;
    out[0] = '\0';
    /* The control thread's own stream. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (dir && !out[0] && (entry = readdir(dir))) {
        char path[PATH_SIZE];
        struct nj_buf text;
        struct nj_tls_ca_info info = {0};
        if (!is_file_name(entry->d_name, target->by_content) ||
            snprintf(path, sizeof(path), "%s/%s", target->listener->capath, entry->d_name) >=
                (int)sizeof(path)) {
            continue;
        }
        nj_buf_init(&text);
        if (nj_file_read(path, NJ_TLS_CA_PEM_MAX, false, &text) == NJ_OK &&
            nj_tls_ca_read(nj_buf_bytes(&text), &info, NULL) == NJ_OK) {
            if (info.count == 1 && strcmp(info.fingerprint, fingerprint) == 0) {
                (void)snprintf(out, size, "%s", entry->d_name);
            }
            nj_tls_ca_info_fini(&info);
        }
        nj_buf_fini(&text);
    }
    if (dir) {
        (void)closedir(dir);
    }
}

static void take_back(const struct target *target, const struct nj_tls_ca_info *info)
{
    (void)unlink(target->path);
    if (!target->by_content) {
        remove_link(target, info->hash);
    }
    sync_directory(target->listener->capath);
}

static const char *store(const struct target *target, struct nj_bytes pem,
                         const struct nj_tls_ca_info *info)
{
    /* Certificates are public, and other programs may share the directory. */
    if (nj_file_replace(target->path, pem.ptr, pem.len, 0644) != NJ_OK) {
        return "The certificate cannot be written to the listener's capath";
    }
    if (!target->by_content && add_link(target, info->hash) != NJ_OK) {
        take_back(target, info);
        return "The certificate cannot be linked in the listener's capath";
    }
    if (put_in_force(target) != NJ_OK) {
        take_back(target, info);
        take_directory_back(target);
        return "The listener does not take the certificate; the log says why";
    }
    return NULL;
}

static void insert(struct nj_control_call *call)
{
    struct target target;
    struct nj_tls_ca_info info;
    struct nj_net_error error;
    char same[NAME_MAX_BYTES + 1];
    struct nj_bytes pem = nj_bytes_of(nj_control_call_string(call, "ca_cert_pem"));
    if (!find_target(call, &target)) {
        return;
    }
    if (is_there(target.path)) {
        nj_control_call_fail(call, NJ_REFUSED_EXISTS, "File already exists");
        return;
    }
    if (nj_tls_ca_check(pem, target.listener->cafile, target.listener->capath, target.by_content,
                        &error) != NJ_OK ||
        nj_tls_ca_read(pem, &info, &error) != NJ_OK) {
        nj_control_call_failf(call, NJ_REFUSED_INVALID, "Invalid ca_cert_pem: %s", error.text);
        return;
    }
    find_same(&target, info.fingerprint, same, sizeof(same));
    const char *why = NULL;
    if (same[0]) {
        nj_control_call_failf(call, NJ_REFUSED_EXISTS, "The certificate is already in %s", same);
    } else {
        nj_control_call_note(call, "%s, SHA-256 %s", info.subject, info.fingerprint);
        why = store(&target, pem, &info);
        if (why) {
            nj_control_call_fail(call, NJ_REFUSED_STORAGE, why);
        } else {
            done(call);
        }
    }
    nj_tls_ca_info_fini(&info);
}

/* ---- deleteCACertificate */

/* Away from the names that are read, but still there. */
static bool hide(const struct target *target, char *hidden, size_t size)
{
    int len = snprintf(hidden, size, "%s/.%s.deleted", target->listener->capath, target->name);
    return len > 0 && (size_t)len < size && rename(target->path, hidden) == 0;
}

static const char *remove_file(const struct target *target, const struct nj_tls_ca_info *info)
{
    char hidden[PATH_SIZE];
    if (!hide(target, hidden, sizeof(hidden))) {
        return "The certificate cannot be removed from the listener's capath";
    }
    if (!target->by_content) {
        remove_link(target, info->hash);
    }
    if (put_in_force(target) != NJ_OK) {
        (void)rename(hidden, target->path);
        if (!target->by_content) {
            (void)!add_link(target, info->hash);
        }
        take_directory_back(target);
        return "The listener does not work without the certificate; the log says why";
    }
    (void)unlink(hidden);
    sync_directory(target->listener->capath);
    return NULL;
}

/* Whether the directory (or the cafile) holds others. */
static bool is_last(const struct target *target)
{
    struct nj_tls_server_info info = {0};
    const struct nj_front *front = nj_control_plane_front(target->plane);
    const struct nj_settings *settings = settings_of(target->plane);
    struct nj_listener *listener = &front->listeners[target->listener - settings->listeners];
    struct nj_tls_server *server = nj_listener_tls(listener);
    if (server) {
        nj_tls_server_info(server, &info);
        nj_tls_server_unref(server);
    }
    return info.ca_count <= 1;
}

static void delete (struct nj_control_call *call)
{
    struct target target;
    struct nj_buf text;
    struct nj_tls_ca_info info = {0};
    if (!find_target(call, &target)) {
        return;
    }
    nj_buf_init(&text);
    /* Only what is a certificate is ours to delete. */
    bool is_ours = nj_file_read(target.path, NJ_TLS_CA_PEM_MAX, true, &text) == NJ_OK &&
                   nj_tls_ca_read(nj_buf_bytes(&text), &info, NULL) == NJ_OK;
    nj_buf_fini(&text);
    if (!is_ours) {
        nj_control_call_fail(call, NJ_REFUSED_NOT_FOUND, "Certificate not found");
        return;
    }
    nj_control_call_note(call, "%s, SHA-256 %s", info.subject, info.fingerprint);
    const char *why = NULL;
    if (is_last(&target) && !nj_control_call_bool(call, "force", false)) {
        nj_control_call_fail(call, NJ_REFUSED_FORBIDDEN,
                             "The last CA certificate of a listener stays, unless force is true");
    } else if ((why = remove_file(&target, &info))) {
        nj_control_call_fail(call, NJ_REFUSED_STORAGE, why);
    } else {
        done(call);
    }
    nj_tls_ca_info_fini(&info);
}

/* ---- listCACertificates */

static json_t *describe(const char *capath, const char *name)
{
    char path[PATH_SIZE];
    struct nj_buf text;
    struct nj_tls_ca_info info;
    json_t *row = NULL;
    if (snprintf(path, sizeof(path), "%s/%s", capath, name) >= (int)sizeof(path)) {
        return NULL;
    }
    nj_buf_init(&text);
    if (nj_file_read(path, NJ_TLS_CA_PEM_MAX, false, &text) == NJ_OK &&
        nj_tls_ca_read(nj_buf_bytes(&text), &info, NULL) == NJ_OK) {
        row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:i}", "file_name", name, "subject",
                        info.subject, "issuer", info.issuer, "serial", info.serial, "fingerprint",
                        info.fingerprint, "notBefore", (json_int_t)info.not_before_s, "notAfter",
                        (json_int_t)info.not_after_s, "certificates", (int)info.count);
        nj_tls_ca_info_fini(&info);
    }
    nj_buf_fini(&text);
    return row;
}

static void list(struct nj_control_call *call)
{
    const struct nj_listener_settings *listener = find_listener(call);
    struct dirent **entries = NULL;
    if (!listener) {
        nj_control_call_fail(call, NJ_REFUSED_NOT_FOUND,
                             "No such listener, or its CA certificates are not managed");
        return;
    }
    int count = scandir(listener->capath, &entries, NULL, alphasort);
    json_t *rows = json_array();
    for (int i = 0; i < count; i++) {
        if (is_file_name(entries[i]->d_name, true)) {
            json_t *row = describe(listener->capath, entries[i]->d_name);
            if (row) {
                (void)json_array_append_new(rows, row);
            }
        }
        free(entries[i]);
    }
    free(entries);
    nj_control_call_done(call, json_pack("{s:o}", "certificates", rows));
}

/* ---- the table */

#define LISTENER                                                                                   \
    {                                                                                              \
        .name = "listener_id", .type = NJ_ARG_INTEGER, .flags = NJ_ARG_REQUIRED, .min = 1,         \
        .max = 65535, .doc = "as listListeners of broker/v1 says"                                  \
    }
#define FILE_NAME                                                                                  \
    {                                                                                              \
        .name = "file_name", .type = NJ_ARG_STRING, .flags = NJ_ARG_REQUIRED,                      \
        .max = NAME_MAX_BYTES,                                                                     \
        .doc = "in the listener's capath: letters, digits, `._-+@` and blanks, ending in `.pem` "  \
               "or `.crt`"                                                                         \
    }

static const struct nj_control_arg insert_args[] = {
    LISTENER,
    FILE_NAME,
    {.name = "ca_cert_pem",
     .type = NJ_ARG_STRING,
     .flags = NJ_ARG_REQUIRED,
     .max = NJ_TLS_CA_PEM_MAX,
     .empty = "Invalid/missing ca_cert_pem",
     .doc = "one or more certificates of CAs, each valid now and with its chain complete"},
    {0},
};

static const struct nj_control_arg delete_args[] = {
    LISTENER,
    FILE_NAME,
    {.name = "force", .type = NJ_ARG_BOOL, .doc = "also the last one of the listener"},
    {0},
};

static const struct nj_control_arg list_args[] = {LISTENER, {0}};

static const struct nj_control_command commands[] = {
    {.name = "insertCACertificate",
     .flags = NJ_COMMAND_CHANGES,
     .args = insert_args,
     .handler = insert,
     .doc = "Trusts one more CA on a listener, from the next handshake on.",
     .answers = "response: SUCCESS"},
    {.name = "deleteCACertificate",
     .flags = NJ_COMMAND_CHANGES,
     .args = delete_args,
     .handler = delete,
     .doc = "Trusts a CA no longer: its clients' connections are ended, and no handshake or "
            "resumption under it succeeds.",
     .answers = "response: SUCCESS"},
    {.name = "listCACertificates",
     .args = list_args,
     .handler = list,
     .doc = "The files in the listener's capath that hold certificates, by their first one.",
     .answers = "certificates: [{file_name, subject, issuer, serial, fingerprint, notBefore, "
                "notAfter, certificates}]"},
};

static bool is_on(const struct nj_settings *settings)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (settings->listeners[i].certificate_management) {
            return true;
        }
    }
    return false;
}

const struct nj_control_api nj_certificate_api = {
    .name = "certificate-management/v1",
    .doc = "CA certificates of listeners with `certificate_management`.",
    .is_on = is_on,
    .is_module = true,
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
};
