/* `nj ctl`: answers as text, in the original's shapes: lists one name a line, objects with a label
 * in front of each line's first value. What the broker sends is shown with control characters
 * escaped, so that a name cannot steer a terminal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "pretty.h"

#define KIND_WIDTH 20

/* A string from the broker. */
static void put_to(FILE *file, const char *text)
{
    struct nj_buf safe;
    nj_buf_init(&safe);
    if (nj_pretty_put_safe(&safe, nj_bytes_of(text ? text : "")) == NJ_OK && safe.len > 0) {
        (void)fwrite(safe.data, 1, safe.len, file);
    }
    nj_buf_fini(&safe);
}

static void put(const char *text)
{
    put_to(stdout, text);
}

static const char *string(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The library escapes what JSON wants escaped; DEL and C1 controls, which only strings can hold,
 * are left. */
void nj_ctl_print_json(json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENCODE_ANY);
    for (const uint8_t *at = (const uint8_t *)text; at && *at; at++) {
        bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
        at += is_c1;
        if (is_c1 || *at == 0x7f) {
            printf("\\u%04x", *at);
        } else {
            (void)putchar(*at);
        }
    }
    (void)putchar('\n');
    free(text);
}

void nj_ctl_print_error(const char *command, const char *error)
{
    size_t len = error ? strlen(error) : 0;
    fprintf(stderr, "%s: Error: ", command);
    put_to(stderr, error);
    fprintf(stderr, "%s\n", len && error[len - 1] == '.' ? "" : ".");
}

/* ---- lists ---- */

static void print_names(json_t *list, const char *key)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        put(json_is_string(item) ? json_string_value(item) : string(item, key));
        (void)putchar('\n');
    }
}

void nj_ctl_print_clients(json_t *data)
{
    print_names(json_object_get(data, "clients"), "username");
}

void nj_ctl_print_groups(json_t *data)
{
    print_names(json_object_get(data, "groups"), "groupname");
}

void nj_ctl_print_roles(json_t *data)
{
    print_names(json_object_get(data, "roles"), "rolename");
}

/* ---- objects ---- */

/* "Roles:    r2 (priority: 7)", and further ones below the first. `with_default`: a membership
 * without a priority is shown with -1. */
static void print_members(json_t *list, const char *label, const char *key, bool with_default)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const json_t *priority = json_object_get(item, "priority");
        if (i == 0) {
            (void)fputs(label, stdout);
        } else {
            printf("%*s", (int)strlen(label), "");
        }
        put(json_is_string(item) ? json_string_value(item) : string(item, key));
        if (priority) {
            printf(" (priority: %lld)", (long long)json_integer_value(priority));
        } else if (with_default) {
            printf(" (priority: -1)");
        }
        (void)putchar('\n');
    }
}

static void print_text(const json_t *object, const char *key, const char *label)
{
    const char *text = string(object, key);
    if (*text) {
        (void)fputs(label, stdout);
        put(text);
        (void)putchar('\n');
    }
}

void nj_ctl_print_client(json_t *data)
{
    const json_t *client = json_object_get(data, "client");
    (void)fputs("Username: ", stdout);
    put(string(client, "username"));
    (void)fputs("\nClientid: ", stdout);
    put(string(client, "clientid"));
    (void)putchar('\n');
    if (json_is_true(json_object_get(client, "disabled"))) {
        puts("Disabled: true");
    }
    print_members(json_object_get(client, "roles"), "Roles:    ", "rolename", true);
    print_members(json_object_get(client, "groups"), "Groups:   ", "groupname", true);
    print_members(json_object_get(client, "connections"), "Connections: ", "address", false);
}

void nj_ctl_print_group(json_t *data)
{
    const json_t *group = json_object_get(data, "group");
    (void)fputs("Groupname: ", stdout);
    put(string(group, "groupname"));
    (void)putchar('\n');
    print_members(json_object_get(group, "roles"), "Roles:     ", "rolename", true);
    print_members(json_object_get(group, "clients"), "Clients:   ", "username", false);
}

/* The kind of an ACL, filled up to the column behind it. */
static void put_kind(const json_t *acl)
{
    const char *kind = string(acl, "acltype");
    put(kind);
    for (size_t len = strlen(kind); len < KIND_WIDTH; len++) {
        (void)putchar(' ');
    }
}

void nj_ctl_print_role(json_t *data)
{
    const json_t *role = json_object_get(data, "role");
    size_t i;
    json_t *acl;
    (void)fputs("Rolename: ", stdout);
    put(string(role, "rolename"));
    (void)putchar('\n');
    json_array_foreach(json_object_get(role, "acls"), i, acl)
    {
        (void)fputs(i == 0 ? "ACLs:     " : "          ", stdout);
        put_kind(acl);
        printf(" : %s : ", json_is_true(json_object_get(acl, "allow")) ? "allow" : "deny ");
        put(string(acl, "topic"));
        printf(" (priority: %lld)\n",
               (long long)json_integer_value(json_object_get(acl, "priority")));
    }
}

void nj_ctl_print_default_acl(json_t *data)
{
    size_t i;
    json_t *acl;
    json_array_foreach(json_object_get(data, "acls"), i, acl)
    {
        put_kind(acl);
        printf(" : %s\n", json_is_true(json_object_get(acl, "allow")) ? "allow" : "deny");
    }
}

void nj_ctl_print_anonymous_group(json_t *data)
{
    put(string(json_object_get(data, "group"), "groupname"));
    (void)putchar('\n');
}

void nj_ctl_print_details(json_t *data)
{
    static const struct {
        const char *key;
        const char *label;
    } rows[] = {
        {"clientCount", "Client count: "},
        {"groupCount", "Group count:  "},
        {"roleCount", "Role count:   "},
        {"changeIndex", "Change index: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        printf("%s%lld\n", rows[i].label,
               (long long)json_integer_value(json_object_get(data, rows[i].key)));
    }
}

void nj_ctl_print_created(json_t *data)
{
    print_text(data, "password", "Password: ");
}

void nj_ctl_print_export(json_t *data)
{
    json_t *without = json_object_get(data, "withoutPassword");
    size_t i;
    json_t *name;
    nj_ctl_print_json(json_object_get(data, "config"));
    json_array_foreach(without, i, name)
    {
        (void)fputs("Warning: client '", stderr);
        put_to(stderr, json_string_value(name));
        (void)fputs("' is exported without its password, which has no such form.\n", stderr);
    }
}

/* ---- broker ---- */

void nj_ctl_print_plugins(json_t *data)
{
    size_t i;
    json_t *plugin;
    json_array_foreach(json_object_get(data, "plugins"), i, plugin)
    {
        size_t j;
        json_t *endpoint;
        print_text(plugin, "name", "Plugin:            ");
        print_text(plugin, "version", "Version:           ");
        json_array_foreach(json_object_get(plugin, "control-endpoints"), j, endpoint)
        {
            (void)fputs(j == 0 ? "Control endpoints: " : "                   ", stdout);
            put(json_string_value(endpoint));
            (void)putchar('\n');
        }
    }
}

void nj_ctl_print_listeners(json_t *data)
{
    size_t i;
    json_t *listener;
    json_array_foreach(json_object_get(data, "listeners"), i, listener)
    {
        const json_t *id = json_object_get(listener, "id");
        printf("Listener %lld:\n", id ? (long long)json_integer_value(id) : (long long)i + 1);
        printf("  Port:         %lld\n",
               (long long)json_integer_value(json_object_get(listener, "port")));
        print_text(listener, "protocol", "  Protocol:     ");
        print_text(listener, "socket-path", "  Socket path:  ");
        print_text(listener, "bind-address", "  Bind address: ");
        printf("  TLS:          %s\n",
               json_is_true(json_object_get(listener, "tls")) ? "true" : "false");
    }
}
