/* `nj ctl dynsec …`: every command of dynamic security as a row: what its words mean and how its
 * answer is shown. */
#include "ctl_dynsec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "ctl.h"

#define API "dynamic-security/v1"

/* Words: each a key of the request; `#` behind it makes it a number, `[` in front of it makes it
 * and all that follow optional. NULL: `build` does it. */
struct row {
    const char *name;
    const char *words;
    bool (*build)(struct nj_ctl *ctl, json_t *command, int argc, char **argv);
    nj_ctl_print_fn print;
};

/* ---- words ---- */

static bool put_number(json_t *command, const char *key, const char *text)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (!*text || *end || errno) {
        return false;
    }
    (void)json_object_set_new(command, key, json_integer(value));
    return true;
}

static bool put_word(json_t *command, const char *key, bool is_number, const char *text)
{
    if (is_number) {
        return put_number(command, key, text);
    }
    json_t *value = json_string(text);
    return value && json_object_set_new(command, key, value) == 0;
}

/* Takes argv apart by the row's words. */
static bool put_words(json_t *command, const char *words, int argc, char **argv)
{
    int at = 0;
    bool is_optional = false;
    const char *rest = words;
    while (*rest) {
        char key[64];
        size_t len = strcspn(rest, " ");
        if (*rest == '[') {
            is_optional = true;
            rest++;
            len--;
        }
        bool is_number = rest[len - 1] == '#';
        (void)snprintf(key, sizeof(key), "%.*s", (int)(is_number ? len - 1 : len), rest);
        rest += len;
        rest += strspn(rest, " ");
        if (at == argc) {
            return is_optional;
        }
        if (!put_word(command, key, is_number, argv[at++])) {
            return false;
        }
    }
    return at == argc;
}

/* ---- builders ---- */

static bool put_password(struct nj_ctl *ctl, json_t *command, const char *user, bool may_be_empty)
{
    struct nj_buf typed;
    nj_buf_init(&typed);
    bool is_good = nj_ctl_new_password(ctl, user, may_be_empty, &typed);
    ctl->is_said = !is_good;
    if (is_good && typed.len) {
        json_t *value = json_stringn((const char *)typed.data, typed.len);
        is_good = value && json_object_set_new(command, "password", value) == 0;
    }
    if (typed.data) {
        nj_wipe(typed.data, typed.cap);
    }
    nj_buf_fini(&typed);
    return is_good;
}

/* createClient USER [-i ID] [-c ID] [-p PASSWORD] [--generate-password] */
static bool build_client(struct nj_ctl *ctl, json_t *command, int argc, char **argv)
{
    bool has_password = false;
    if (argc < 1 || !put_word(command, "username", false, argv[0])) {
        return false;
    }
    for (int i = 1; i < argc; i++) {
        char plain[32];
        const char *arg = nj_opts_plain_dashes(argv[i], plain, sizeof(plain));
        bool is_id = strcmp(arg, "-i") == 0 || strcmp(arg, "-c") == 0;
        if (strcmp(arg, "--generate-password") == 0) {
            (void)json_object_set_new(command, "generatePassword", json_true());
            has_password = true;
        } else if (!is_id && strcmp(arg, "-p") != 0) {
            return false;
        } else if (i + 1 == argc) {
            fprintf(stderr, "Error: %s argument given, but no %s provided.\n", arg,
                    is_id ? "clientid" : "password");
            return false;
        } else {
            has_password |= !is_id;
            if (!put_word(command, is_id ? "clientid" : "password", false, argv[++i])) {
                return false;
            }
        }
    }
    return has_password || put_password(ctl, command, argv[0], true);
}

static bool build_password(struct nj_ctl *ctl, json_t *command, int argc, char **argv)
{
    if (argc < 1 || argc > 2 || !put_word(command, "username", false, argv[0])) {
        return false;
    }
    return argc == 2 ? put_word(command, "password", false, argv[1])
                     : put_password(ctl, command, argv[0], false);
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0) {
        words++;
    }
    return *words != NULL;
}

static const char *const default_types[] = {"publishClientSend", "publishClientReceive",
                                            "subscribe", "unsubscribe", NULL};
static const char *const acl_types[] = {"publishClientSend",
                                        "publishClientReceive",
                                        "subscribeLiteral",
                                        "subscribePattern",
                                        "unsubscribeLiteral",
                                        "unsubscribePattern",
                                        NULL};

static bool read_access(const char *word, bool *allow)
{
    *allow = strcmp(word, "allow") == 0;
    if (!*allow && strcmp(word, "deny") != 0) {
        fprintf(stderr, "Error: access must be \"allow\" or \"deny\".\n");
        return false;
    }
    return true;
}

static bool build_default_acl(struct nj_ctl *ctl, json_t *command, int argc, char **argv)
{
    bool allow;
    (void)ctl;
    if (argc != 2 || !is_one_of(argv[0], default_types) || !read_access(argv[1], &allow)) {
        return false;
    }
    json_t *acls = json_pack("[{s:s, s:b}]", "acltype", argv[0], "allow", allow);
    return acls && json_object_set_new(command, "acls", acls) == 0;
}

/* addRoleACL ROLE TYPE TOPIC allow|deny [PRIORITY]; removeRoleACL ROLE TYPE TOPIC */
static bool build_role_acl(struct nj_ctl *ctl, json_t *command, int argc, char **argv)
{
    (void)ctl;
    const char *name = json_string_value(json_object_get(command, "command"));
    bool is_removal = strcmp(name, "removeRoleACL") == 0;
    bool allow;
    if (argc < 3 || !is_one_of(argv[1], acl_types) ||
        !put_words(command, "rolename acltype topic", 3, argv)) {
        return false;
    }
    if (is_removal) {
        return argc == 3;
    }
    if (argc < 4 || argc > 5 || !read_access(argv[3], &allow)) {
        return false;
    }
    (void)json_object_set_new(command, "allow", json_boolean(allow));
    return argc == 4 || put_number(command, "priority", argv[4]);
}

/* modifyRole ROLE allowWildcardSubs true|false, modifyClient USER textName WORDS, … */
static bool build_modify(struct nj_ctl *ctl, json_t *command, int argc, char **argv)
{
    static const char *const fields[] = {"textName", "textDescription", "clientid", NULL};
    const char *name = json_string_value(json_object_get(command, "command"));
    const char *key = strcmp(name, "modifyClient") == 0  ? "username"
                      : strcmp(name, "modifyGroup") == 0 ? "groupname"
                                                         : "rolename";
    (void)ctl;
    if (argc != 3 || !put_word(command, key, false, argv[0])) {
        return false;
    }
    if (strcasecmp(argv[1], "allowWildcardSubs") == 0) {
        bool is_true = strcmp(argv[2], "true") == 0;
        (void)json_object_set_new(command, "allowwildcardsubs", json_boolean(is_true));
        return is_true || strcmp(argv[2], "false") == 0;
    }
    for (const char *const *field = fields; *field; field++) {
        if (strcasecmp(*field, argv[1]) == 0) {
            char lower[32];
            (void)snprintf(lower, sizeof(lower), "%s", *field);
            for (char *at = lower; *at; at++) {
                *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
            }
            return put_word(command, lower, false, argv[2]);
        }
    }
    return false;
}

/* export [--form 2.0|2.1] */
static bool build_export(struct nj_ctl *ctl, json_t *command, int argc, char **argv)
{
    (void)ctl;
    (void)json_object_set_new(command, "command", json_string("exportConfig"));
    if (argc == 0) {
        return true;
    }
    char plain[32];
    const char *arg = nj_opts_plain_dashes(argv[0], plain, sizeof(plain));
    return argc == 2 && strcmp(arg, "--form") == 0 && put_word(command, "form", false, argv[1]);
}

/* ---- the table ---- */

static const struct row rows[] = {
    {"getDetails", "", NULL, nj_ctl_print_details},
    {"getDefaultACLAccess", "", NULL, nj_ctl_print_default_acl},
    {"setDefaultACLAccess", NULL, build_default_acl, NULL},
    {"getAnonymousGroup", "", NULL, nj_ctl_print_anonymous_group},
    {"setAnonymousGroup", "groupname", NULL, NULL},
    {"export", NULL, build_export, nj_ctl_print_export},
    {"setCertificateGroup", "[groupname", NULL, NULL},
    {"getCertificateGroup", "", NULL, nj_ctl_print_anonymous_group},
    {"createClient", NULL, build_client, nj_ctl_print_created},
    {"modifyClient", NULL, build_modify, NULL},
    {"deleteClient", "username", NULL, NULL},
    {"setClientPassword", NULL, build_password, nj_ctl_print_created},
    {"setClientId", "username [clientid", NULL, NULL},
    {"enableClient", "username", NULL, NULL},
    {"disableClient", "username", NULL, NULL},
    {"addClientRole", "username rolename [priority#", NULL, NULL},
    {"removeClientRole", "username rolename", NULL, NULL},
    {"getClient", "username", NULL, nj_ctl_print_client},
    {"listClients", "[count# offset#", NULL, nj_ctl_print_clients},
    {"createGroup", "groupname", NULL, NULL},
    {"modifyGroup", NULL, build_modify, NULL},
    {"deleteGroup", "groupname", NULL, NULL},
    {"addGroupRole", "groupname rolename [priority#", NULL, NULL},
    {"removeGroupRole", "groupname rolename", NULL, NULL},
    {"addGroupClient", "groupname username [priority#", NULL, NULL},
    {"removeGroupClient", "groupname username", NULL, NULL},
    {"getGroup", "groupname", NULL, nj_ctl_print_group},
    {"listGroups", "[count# offset#", NULL, nj_ctl_print_groups},
    {"createRole", "rolename", NULL, NULL},
    {"modifyRole", NULL, build_modify, NULL},
    {"deleteRole", "rolename", NULL, NULL},
    {"addRoleACL", NULL, build_role_acl, NULL},
    {"removeRoleACL", NULL, build_role_acl, NULL},
    {"getRole", "rolename", NULL, nj_ctl_print_role},
    {"listRoles", "[count# offset#", NULL, nj_ctl_print_roles},
};

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcasecmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

json_t *nj_ctl_dynsec_build(struct nj_ctl *ctl, int argc, char **argv, int *status)
{
    const struct row *row = find_row(argv[0]);
    if (!row) {
        *status = NJ_CTL_NO_COMMAND;
        return NULL;
    }
    json_t *command = json_pack("{s:s}", "command", row->name);
    ctl->is_said = false;
    bool is_good = row->build ? row->build(ctl, command, argc - 1, argv + 1)
                              : put_words(command, row->words, argc - 1, argv + 1);
    if (!is_good) {
        json_decref(command);
        *status = ctl->is_said ? nj_ctl_status(ctl, NJ_CTL_FAILED) : NJ_CTL_BAD_ARGS;
        return NULL;
    }
    return command;
}

static void say_unknown(const struct nj_command *command, const char *name)
{
    fprintf(stderr, "Command '%s' not recognised.\n", name);
    if (!command->is_compat) {
        fprintf(stderr, "Use '%s dynsec help' to see the commands.\n", command->name);
    }
}

int nj_ctl_dynsec(struct nj_ctl *ctl, int argc, char **argv)
{
    int status = 0;
    if (argc < 1 || strcmp(argv[0], "help") == 0) {
        nj_ctl_help_dynsec(ctl->command);
        return argc < 1 ? NJ_CTL_FAILED : 0;
    }
    if (strcmp(argv[0], "init") == 0) {
        return nj_ctl_init_file(ctl, argc - 1, argv + 1);
    }
    if (ctl->data_file) {
        return nj_ctl_edit_file(ctl, argc, argv);
    }
    json_t *command = nj_ctl_dynsec_build(ctl, argc, argv, &status);
    if (status == NJ_CTL_NO_COMMAND) {
        say_unknown(ctl->command, argv[0]);
    } else if (!command && !ctl->is_said) {
        fprintf(stderr, "Error: Invalid function arguments provided.\n");
        if (!ctl->command->is_compat) {
            nj_ctl_help_dynsec_words(ctl->command, find_row(argv[0])->name);
        }
    }
    return command ? nj_ctl_run(ctl, API, command, find_row(argv[0])->print) : status;
}
