/* The table of `$CONTROL/dynamic-security/v1`: each command with its arguments and words. See
 * api.h. */
#include "control/dynsec_priv.h"

#define STRING(key, words, ...)                                                                    \
    {                                                                                              \
        .name = (key), .type = NJ_ARG_STRING, .error = (words), __VA_ARGS__                        \
    }
#define USERNAME                                                                                   \
    STRING("username", "Invalid/missing username", .flags = NJ_ARG_REQUIRED,                       \
           .empty = "Empty username", .doc = "the client's name")
#define GROUPNAME                                                                                  \
    STRING("groupname", "Invalid/missing groupname", .flags = NJ_ARG_REQUIRED,                     \
           .empty = "Empty groupname", .doc = "the group's name")
#define ROLENAME                                                                                   \
    STRING("rolename", "Invalid/missing rolename", .flags = NJ_ARG_REQUIRED,                       \
           .empty = "Empty rolename", .doc = "the role's name")
#define TEXTNAME STRING("textname", "Invalid/missing textname", .doc = "for people")
#define TEXTDESCRIPTION                                                                            \
    STRING("textdescription", "Invalid/missing textdescription", .doc = "for people")
#define PRIORITY                                                                                   \
    {                                                                                              \
        .name = "priority", .type = NJ_ARG_INTEGER, .error = "Invalid/missing priority",           \
        .doc = "-100000 to 100000; the higher one is asked first"                                  \
    }
#define ROLES                                                                                      \
    {                                                                                              \
        .name = "roles", .type = NJ_ARG_OBJECTS,                                                   \
        .error = "'roles' not an array or missing/invalid rolename", .fields = role_fields,        \
        .doc = "all roles it has from now on"                                                      \
    }
#define GENERATE                                                                                   \
    {                                                                                              \
        .name = "generatePassword", .type = NJ_ARG_BOOL,                                           \
        .doc = "a random secret, which the answer tells once and to the sender alone"              \
    }
#define ACLTYPE                                                                                    \
    STRING("acltype", "Invalid/missing acltype", .flags = NJ_ARG_REQUIRED,                         \
           .doc = "publishClientSend, publishClientReceive, subscribeLiteral, subscribePattern, "  \
                  "unsubscribeLiteral or unsubscribePattern")
#define TOPIC                                                                                      \
    STRING("topic", "Invalid/missing topic", .flags = NJ_ARG_REQUIRED,                             \
           .doc = "a filter; %u and %c stand for the user name and client id, as whole levels, "   \
                  "but not in literal types")
#define ALLOW                                                                                      \
    {                                                                                              \
        .name = "allow", .type = NJ_ARG_BOOL, .doc = "allow or, by default, deny"                  \
    }

static const struct nj_control_arg role_fields[] = {ROLENAME, PRIORITY, {.name = NULL}};
static const struct nj_control_arg group_fields[] = {GROUPNAME, PRIORITY, {.name = NULL}};
static const struct nj_control_arg member_fields[] = {USERNAME, PRIORITY, {.name = NULL}};
static const struct nj_control_arg acl_fields[] = {
    ACLTYPE, TOPIC,          {.name = "priority", .type = NJ_ARG_INTEGER, .doc = "0 by default"},
    ALLOW,   {.name = NULL},
};
static const struct nj_control_arg default_fields[] = {
    STRING("acltype", NULL, .flags = NJ_ARG_REQUIRED,
           .doc = "publishClientSend, publishClientReceive, subscribe or unsubscribe"),
    ALLOW,
    {.name = NULL},
};

static const struct nj_control_arg defaults_args[] = {
    {.name = "acls",
     .type = NJ_ARG_OBJECTS,
     .flags = NJ_ARG_REQUIRED,
     .error = "Missing/invalid actions array",
     .fields = default_fields,
     .doc = "what is allowed when no role says anything"},
    {.name = NULL},
};

static const struct nj_control_arg client_args[] = {USERNAME, {.name = NULL}};
static const struct nj_control_arg group_args[] = {GROUPNAME, {.name = NULL}};
static const struct nj_control_arg role_args[] = {ROLENAME, {.name = NULL}};

static const struct nj_control_arg special_args[] = {
    STRING("groupname", "Invalid/missing groupname", .flags = NJ_ARG_REQUIRED,
           .doc = "the group; empty = none"),
    {.name = NULL},
};

#define CLIENT_PARTS                                                                               \
    STRING("password", "Invalid/missing password", .flags = NJ_ARG_SECRET | NJ_ARG_HASHED,         \
           .max = 65535, .doc = "empty = as if it was not given"),                                 \
        GENERATE,                                                                                  \
        STRING("clientid", "Invalid/missing client id",                                            \
               .doc = "the only client id it may use; empty = any"),                               \
        TEXTNAME, TEXTDESCRIPTION,                                                                 \
        {.name = "certificateLogin",                                                               \
         .type = NJ_ARG_BOOL,                                                                      \
         .doc = "may log in by a certificate although it has rights on $CONTROL"},                 \
        {.name = "groups",                                                                         \
         .type = NJ_ARG_OBJECTS,                                                                   \
         .error = "'groups' contains an object with an invalid 'groupname'",                       \
         .fields = group_fields,                                                                   \
         .doc = "all groups it is in from now on"},                                                \
        ROLES

static const struct nj_control_arg put_client_args[] = {USERNAME, CLIENT_PARTS, {.name = NULL}};

static const struct nj_control_arg password_args[] = {
    USERNAME,
    STRING("password", "Invalid/missing password", .flags = NJ_ARG_SECRET | NJ_ARG_HASHED,
           .empty = "Empty password is not allowed", .max = 65535, .doc = "the new one"),
    GENERATE,
    {.name = NULL},
};

static const struct nj_control_arg client_id_args[] = {
    USERNAME,
    STRING("clientid", "Invalid/missing client ID",
           .doc = "the only client id it may use; absent or empty = any"),
    {.name = NULL},
};

static const struct nj_control_arg client_role_args[] = {
    USERNAME, ROLENAME, PRIORITY, {.name = NULL}};
static const struct nj_control_arg group_client_args[] = {
    GROUPNAME, USERNAME, PRIORITY, {.name = NULL}};
static const struct nj_control_arg group_role_args[] = {
    GROUPNAME, ROLENAME, PRIORITY, {.name = NULL}};

static const struct nj_control_arg create_group_args[] = {
    GROUPNAME, TEXTNAME, TEXTDESCRIPTION, ROLES, {.name = NULL}};
static const struct nj_control_arg modify_group_args[] = {
    GROUPNAME,
    TEXTNAME,
    TEXTDESCRIPTION,
    ROLES,
    {.name = "clients",
     .type = NJ_ARG_OBJECTS,
     .error = "'clients' contains an object with an invalid 'username'",
     .fields = member_fields,
     .doc = "all clients that are in it from now on"},
    {.name = NULL},
};

static const struct nj_control_arg put_role_args[] = {
    ROLENAME,
    TEXTNAME,
    TEXTDESCRIPTION,
    {.name = "allowwildcardsubs",
     .type = NJ_ARG_BOOL,
     .error = "Invalid allowwildcardsubs",
     .doc = "false: whoever has the role may not subscribe with wildcards; true by default"},
    {.name = "acls",
     .type = NJ_ARG_OBJECTS,
     .error = "Invalid/missing acls",
     .fields = acl_fields,
     .doc = "all entries it has from now on"},
    {.name = NULL},
};

static const struct nj_control_arg add_acl_args[] = {ROLENAME, ACLTYPE, TOPIC,
                                                     PRIORITY, ALLOW,   {.name = NULL}};
static const struct nj_control_arg remove_acl_args[] = {ROLENAME, ACLTYPE, TOPIC, {.name = NULL}};

static const struct nj_control_arg list_args[] = {
    {.name = "verbose", .type = NJ_ARG_BOOL, .doc = "whole objects instead of names"},
    {.name = "count",
     .type = NJ_ARG_INTEGER,
     .min = -1,
     .max = INT32_MAX,
     .doc = "entries at most; -1, the default, = all"},
    {.name = "offset",
     .type = NJ_ARG_INTEGER,
     .min = 0,
     .max = INT32_MAX,
     .doc = "entries to skip, in the order of names"},
    {.name = NULL},
};

static const struct nj_control_arg export_args[] = {
    STRING("form", "Invalid/missing form", .doc = "\"2.1\" (default) or \"2.0\""),
    {.name = NULL},
};

#define READ(command, rows, fn, says, gives)                                                       \
    {                                                                                              \
        .name = (command), .args = (rows), .handler = (fn), .doc = (says), .answers = (gives)      \
    }
#define CHANGE(command, rows, fn, says)                                                            \
    {                                                                                              \
        .name = (command), .flags = NJ_COMMAND_CHANGES, .args = (rows), .handler = (fn),           \
        .doc = (says)                                                                              \
    }

static const struct nj_control_command commands[] = {
    READ("getDetails", NULL, nj_dynsec_get_details, "How much there is.",
         "clientCount, groupCount, roleCount, changeIndex"),
    CHANGE("setDefaultACLAccess", defaults_args, nj_dynsec_set_defaults,
           "What is allowed when no role says anything."),
    READ("getDefaultACLAccess", NULL, nj_dynsec_get_defaults,
         "What is allowed when no role says anything.", "acls"),
    CHANGE("setAnonymousGroup", group_args, nj_dynsec_set_anonymous,
           "The group whose roles count for clients without a user name."),
    READ("getAnonymousGroup", NULL, nj_dynsec_get_anonymous,
         "The group of clients without a user name.", "group: groupname"),
    CHANGE("setCertificateGroup", special_args, nj_dynsec_set_certificate,
           "The group whose roles count for certificates whose name is no client."),
    READ("getCertificateGroup", NULL, nj_dynsec_get_certificate,
         "The group of certificates whose name is no client.", "group: groupname"),
    {.name = "exportConfig",
     .flags = NJ_COMMAND_PRIVATE,
     .args = export_args,
     .handler = nj_dynsec_export,
     .doc = "Everything, in the form of Mosquitto's file, with the password hashes.",
     .answers = "config, withoutPassword: clients whose hash has no such form"},

    {.name = "createClient",
     .flags = NJ_COMMAND_CHANGES,
     .args = put_client_args,
     .handler = nj_dynsec_create_client,
     .doc = "A new client.",
     .answers = "password, when it was generated"},
    {.name = "modifyClient",
     .flags = NJ_COMMAND_CHANGES,
     .args = put_client_args,
     .handler = nj_dynsec_modify_client,
     .doc = "Changes what is given; lists take the place of the old ones.",
     .answers = "password, when it was generated"},
    CHANGE("deleteClient", client_args, nj_dynsec_delete_client, "Removes a client."),
    CHANGE("enableClient", client_args, nj_dynsec_enable_client, "Lets a client log in again."),
    CHANGE("disableClient", client_args, nj_dynsec_disable_client,
           "Ends a client's connections and lets it log in no more."),
    {.name = "setClientPassword",
     .flags = NJ_COMMAND_CHANGES,
     .args = password_args,
     .handler = nj_dynsec_set_password,
     .doc = "A new password; connections that were made with the old one end.",
     .answers = "password, when it was generated"},
    CHANGE("setClientId", client_id_args, nj_dynsec_set_client_id,
           "Binds a client to a client id, or to none."),
    CHANGE("addClientRole", client_role_args, nj_dynsec_add_client_role, "Gives a client a role."),
    CHANGE("removeClientRole", client_role_args, nj_dynsec_remove_client_role,
           "Takes a role from a client."),
    READ("getClient", client_args, nj_dynsec_get_client, "A client and its connections.",
         "client: username, clientid, textname, textdescription, disabled, certificateLogin, "
         "roles, groups, connections"),
    READ("listClients", list_args, nj_dynsec_list_clients, "Clients in the order of their names.",
         "totalCount, clients"),

    CHANGE("createGroup", create_group_args, nj_dynsec_create_group, "A new group."),
    CHANGE("modifyGroup", modify_group_args, nj_dynsec_modify_group,
           "Changes what is given; lists take the place of the old ones."),
    CHANGE("deleteGroup", group_args, nj_dynsec_delete_group, "Removes a group."),
    CHANGE("addGroupClient", group_client_args, nj_dynsec_add_group_client,
           "Puts a client into a group."),
    CHANGE("removeGroupClient", group_client_args, nj_dynsec_remove_group_client,
           "Takes a client out of a group."),
    CHANGE("addGroupRole", group_role_args, nj_dynsec_add_group_role, "Gives a group a role."),
    CHANGE("removeGroupRole", group_role_args, nj_dynsec_remove_group_role,
           "Takes a role from a group."),
    READ("getGroup", group_args, nj_dynsec_get_group, "A group.",
         "group: groupname, textname, textdescription, roles, clients"),
    READ("listGroups", list_args, nj_dynsec_list_groups, "Groups in the order of their names.",
         "totalCount, groups"),

    CHANGE("createRole", put_role_args, nj_dynsec_create_role, "A new role."),
    CHANGE("modifyRole", put_role_args, nj_dynsec_modify_role,
           "Changes what is given; lists take the place of the old ones."),
    CHANGE("deleteRole", role_args, nj_dynsec_delete_role, "Removes a role."),
    CHANGE("addRoleACL", add_acl_args, nj_dynsec_add_role_acl, "Adds an entry to a role."),
    CHANGE("removeRoleACL", remove_acl_args, nj_dynsec_remove_role_acl,
           "Removes an entry from a role."),
    READ("getRole", role_args, nj_dynsec_get_role, "A role.",
         "role: rolename, textname, textdescription, allowwildcardsubs, acls"),
    READ("listRoles", list_args, nj_dynsec_list_roles, "Roles in the order of their names.",
         "totalCount, roles"),
};

static const struct nj_control_arg envelope[] = {
    {.name = "atomic",
     .type = NJ_ARG_BOOL,
     .doc = "all commands are done, or none; by default each for itself"},
    {.name = "changeIndex",
     .type = NJ_ARG_INTEGER,
     .min = 0,
     .max = INT64_MAX,
     .doc = "refuse everything when the state is not the one with this changeIndex"},
    {.name = NULL},
};

const struct nj_control_api nj_dynsec_api = {
    .is_module = true,
    .name = "dynamic-security/v1",
    .doc = "Clients, groups and roles, and what they may do.",
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
    .envelope = envelope,
    .hash_cost = nj_dynsec_hash_cost,
    .begin = nj_dynsec_begin,
    .end = nj_dynsec_end,
};
