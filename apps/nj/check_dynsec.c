/* What is wrong with a file of dynamic security: see check.h. */
#include <sys/stat.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"

#define ADMIN_TOPIC "$CONTROL/dynamic-security/v1"

/* Salts of $6$ have 12 or 64 bytes: 108 or 180 letters with the rest. */
#define LONG_SALT_MIN 120

struct look {
    struct nj_findings *findings;
    /* Names that stand for nothing: they may be those of elements that were left out, so they are
     * said only when there are none of these. */
    struct nj_findings strangers;
    const char *path;
};

/* A name as much of it as a line needs. */
static int shown(struct nj_bytes name)
{
    return (int)(name.len < 200 ? name.len : 200);
}

/* ---- while it is read */

static void on_doubt(void *arg, const struct nj_dynsec_place *place, enum nj_dynsec_doubt doubt,
                     const char *text)
{
    struct look *look = arg;
    unsigned line = (unsigned)place->line;
    const struct nj_finding_place bad = {NJ_FINDING_ERROR, "dynsec-invalid", look->path, line,
                                         NULL};
    const struct nj_finding_place key = {
        NJ_FINDING_WARNING, "dynsec-unknown-key", look->path, line,
        "it has no effect here, and native mode does not start with it: remove it"};
    const struct nj_finding_place name = {
        NJ_FINDING_WARNING, "dynsec-unknown-name", look->path, line,
        "names are compared byte by byte: look for another spelling, or remove the entry"};
    if (doubt == NJ_DYNSEC_UNKNOWN_NAME) {
        nj_findings_add_at(&look->strangers, &name, (unsigned)place->column, "%s", text);
        return;
    }
    nj_findings_add_at(look->findings, doubt == NJ_DYNSEC_BAD ? &bad : &key,
                       (unsigned)place->column, "%s", text);
}

static void on_client(void *arg, const struct nj_dynsec_place *place,
                      const struct nj_dynsec_client *client)
{
    struct look *look = arg;
    char buf[NJ_CHECK_WHY_MAX];
    const char *why =
        client->hash.ptr != NULL ? nj_check_hash(client->hash, buf, sizeof(buf)) : NULL;
    /* Generated secrets are kept so, with the long salt, and need no more. */
    bool may_be_secret = client->hash.ptr != NULL && client->hash.len > LONG_SALT_MIN &&
                         nj_bytes_starts_with(client->hash, NJ_BYTES_LIT("$6$"));
    const struct nj_finding_place weak = {
        may_be_secret ? NJ_FINDING_NOTE : NJ_FINDING_WARNING, "weak-hash", look->path,
        (unsigned)place->line,
        may_be_secret ? "good for a generated secret (njsec_…); else set another password"
                      : "set the password again with `nj ctl dynsec setClientPassword`"};
    if (why != NULL) {
        nj_findings_add_at(look->findings, &weak, (unsigned)place->column,
                           "the password of '%.*s' %s", shown(client->name),
                           (const char *)client->name.ptr, why);
    }
}

/* ---- as a whole */

/* Who may change dynamic security, and whether he gets in. */
struct admins {
    const struct nj_dynsec_state *state;
    bool has_one;
    struct nj_bytes shut_out; /* the first one who may, but does not get in */
};

static bool may_administer(const struct nj_dynsec_state *state,
                           const struct nj_dynsec_client *client)
{
    struct nj_dynsec_principal *principal = NULL;
    enum nj_dynsec_who who;
    const struct nj_dynsec_question question = {
        .access = NJ_DYNSEC_ACCESS_SEND,
        .topic = NJ_BYTES_LIT(ADMIN_TOPIC),
        .user = client->name,
        .client_id = client->client_id,
    };
    if (!nj_dynsec_client_may_control(state, client) ||
        nj_dynsec_principal_refresh(state, client->name, false, &principal, &who) != NJ_OK ||
        principal == NULL) {
        return false;
    }
    struct nj_dynsec_answer answer = nj_dynsec_principal_check(principal, &question);
    nj_dynsec_principal_unref(principal);
    return answer.has_rule && answer.allowed;
}

static bool look_for_admin(void *arg, void *item)
{
    struct admins *admins = arg;
    const struct nj_dynsec_client *client = item;
    if (!may_administer(admins->state, client)) {
        return true;
    }
    bool gets_in =
        !client->is_disabled && (client->hash.ptr != NULL || client->may_use_certificate);
    if (!gets_in && admins->shut_out.ptr == NULL) {
        admins->shut_out = client->name;
    }
    admins->has_one = gets_in;
    return !gets_in;
}

static void check_admins(const struct look *look, const struct nj_dynsec_state *state)
{
    struct admins admins = {.state = state};
    const struct nj_finding_place none = {
        NJ_FINDING_WARNING, "dynsec-lockout", look->path, 0,
        "give a client with a password a role that allows publishClientSend on " ADMIN_TOPIC};
    const struct nj_finding_place shut_out = {
        NJ_FINDING_WARNING, "dynsec-lockout", look->path, 0,
        "remove \"disabled\", or set a password with `nj ctl -f FILE dynsec setClientPassword`"};
    (void)nj_pmap_walk(&state->clients, look_for_admin, &admins);
    if (admins.has_one) {
        return;
    }
    if (admins.shut_out.ptr != NULL) {
        nj_findings_add(look->findings, &shut_out,
                        "nobody can administer: '%.*s' may, but is disabled or has no password",
                        shown(admins.shut_out), (const char *)admins.shut_out.ptr);
        return;
    }
    nj_findings_add(look->findings, &none,
                    "nobody can administer: no client may publish to " ADMIN_TOPIC);
}

static void check_special(const struct look *look, const struct nj_dynsec_state *state)
{
    const struct nj_dynsec_group *anonymous = nj_dynsec_group_by_id(state, state->anonymous_group);
    const struct nj_dynsec_group *certificate =
        nj_dynsec_group_by_id(state, state->certificate_group);
    const struct nj_finding_place open = {NJ_FINDING_WARNING, "dynsec-open-admin", look->path, 0,
                                          "take the roles with rights on $CONTROL from this group"};
    if (anonymous != NULL &&
        nj_dynsec_roles_may_control(state, anonymous->roles, anonymous->role_count)) {
        nj_findings_add(look->findings, &open,
                        "clients without a name have rights on $CONTROL, by the anonymous group "
                        "'%.*s'",
                        shown(anonymous->name), (const char *)anonymous->name.ptr);
    }
    if (certificate != NULL &&
        nj_dynsec_roles_may_control(state, certificate->roles, certificate->role_count)) {
        nj_findings_add(look->findings, &open,
                        "the certificate group '%.*s' has rights on $CONTROL, so none of its "
                        "members gets in",
                        shown(certificate->name), (const char *)certificate->name.ptr);
    }
}

static void check_defaults(const struct look *look, const struct nj_dynsec_state *state)
{
    static const enum nj_dynsec_access CLOSED[] = {NJ_DYNSEC_ACCESS_SEND,
                                                   NJ_DYNSEC_ACCESS_SUBSCRIBE};
    const struct nj_finding_place wide = {NJ_FINDING_NOTE, "dynsec-wide", look->path, 0,
                                          "set it to false, and give roles what is needed"};
    for (int i = 0; i < 2; i++) {
        if (state->defaults[CLOSED[i]]) {
            nj_findings_add(look->findings, &wide,
                            "defaultACLAccess: %s is allowed to everybody where no role says "
                            "anything",
                            nj_dynsec_access_name(CLOSED[i]));
        }
    }
}

/* Changes that the file may not have: not an error, but worth knowing. */
static void note_journal(const struct look *look)
{
    char path[4096];
    struct stat info;
    int len = snprintf(path, sizeof(path), "%s.journal", look->path);
    const struct nj_finding_place place = {NJ_FINDING_NOTE, "dynsec-journal", look->path, 0, NULL};
    if (len > 0 && (size_t)len < sizeof(path) && stat(path, &info) == 0 && info.st_size > 0) {
        nj_findings_add(look->findings, &place,
                        "%s may hold later changes, which are not looked at", path);
    }
}

static void check_text(struct look *look, struct nj_bytes text, bool is_compat)
{
    const struct nj_dynsec_watch watch = {on_doubt, on_client, look};
    struct nj_dynsec_load load = {.knows_all_keys = !is_compat, .watch = &watch};
    struct nj_dynsec_principals *principals = nj_dynsec_principals_new();
    struct nj_dynsec_state *state;
    nj_findings_init(&look->strangers);
    enum nj_err err = nj_dynsec_load(text, principals, &load, &state);
    if (err != NJ_OK && err != NJ_EMALFORMED) {
        const struct nj_finding_place place = {NJ_FINDING_ERROR, "file-unreadable", look->path, 0,
                                               NULL};
        nj_findings_add(look->findings, &place, "the file could not be read: %s", nj_err_text(err));
    }
    if (err == NJ_OK) {
        nj_findings_move(look->findings, &look->strangers);
        check_admins(look, state);
        check_special(look, state);
        check_defaults(look, state);
        nj_dynsec_state_unref(state);
    }
    nj_findings_fini(&look->strangers);
    nj_dynsec_principals_unref(principals);
}

void nj_check_dynsec(struct nj_findings *findings, const char *path, bool is_compat)
{
    struct look look = {.findings = findings, .path = path};
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, NJ_DYNSEC_FILE_MAX, is_compat, &text);
    if (err != NJ_OK) {
        const struct nj_finding_place place = {NJ_FINDING_ERROR, "file-unreadable", path, 0, NULL};
        nj_findings_add(findings, &place, "the file of dynamic security cannot be read: %s",
                        err == NJ_ESYS ? strerror(errno) : nj_err_text(err));
    } else {
        nj_check_file_mode(findings, path, true);
        note_journal(&look);
        check_text(&look, nj_buf_bytes(&text), is_compat);
    }
    if (text.data != NULL) {
        nj_wipe(text.data, text.cap); /* hashes */
    }
    nj_buf_fini(&text);
}
