/* See admin.h. */
#include "admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_principal.h"
#include "support/test.h"
#include "unit/security/naive_dynsec.h"

#define USERS               3
#define ROLES               4
#define GROUPS              2
#define ACLS_MAX            5

#define PICK(table, number) (table)[(number) % (sizeof(table) / sizeof((table)[0]))]

static const char *const user_names[USERS] = {"u0", "u1", "u2"};
static const char *const role_names[ROLES] = {"r0", "r1", "r2", "r3"};
static const char *const group_names[GROUPS] = {"g0", "g1"};

struct account {
    bool is_disabled;
    unsigned password; /* its number; 0 = none */
    int client;        /* the only one it may be; -1 = any */
};

struct admin {
    struct naive naive; /* rights */
    struct account accounts[USERS];
    unsigned last_password;
    struct nj_dynsec_principals *principals;
    struct nj_dynsec_state *state; /* the broker's */
};

/* ---- from the reference to the broker's draft: one record as it is now */

static uint32_t put_refs(const struct nj_dynsec_state *state, const struct naive_refs *from,
                         struct nj_dynsec_ref refs[NAIVE_MAX])
{
    uint32_t count = 0;
    for (int i = 0; i < ROLES; i++) {
        const struct nj_dynsec_role *role = nj_dynsec_role(state, nj_bytes_of(role_names[i]));
        if (from->has[i] && role) {
            refs[count++] = (struct nj_dynsec_ref){role->id, from->priority[i]};
        }
    }
    return count;
}

static void put_client(struct admin *admin, struct nj_dynsec_edit *edit, int user)
{
    const struct account *account = &admin->accounts[user];
    struct nj_dynsec_ref refs[NAIVE_MAX];
    struct nj_dynsec_client client;
    char hash[16];
    char id[8];
    (void)snprintf(hash, sizeof(hash), "hash %u", account->password);
    (void)snprintf(id, sizeof(id), "c%d", account->client);
    memset(&client, 0, sizeof(client));
    client.name = nj_bytes_of(user_names[user]);
    client.is_disabled = account->is_disabled;
    client.hash = account->password ? nj_bytes_of(hash) : nj_bytes(NULL, 0);
    client.client_id = account->client >= 0 ? nj_bytes_of(id) : nj_bytes(NULL, 0);
    client.role_count = put_refs(edit->state, &admin->naive.clients[user].roles, refs);
    client.roles = refs;
    assert_int_equal(nj_dynsec_step_client(edit, &client), NJ_OK);
}

static void put_group(struct admin *admin, struct nj_dynsec_edit *edit, int at)
{
    struct nj_dynsec_ref refs[NAIVE_MAX];
    struct nj_dynsec_group group;
    memset(&group, 0, sizeof(group));
    group.name = nj_bytes_of(group_names[at]);
    group.role_count = put_refs(edit->state, &admin->naive.groups[at].roles, refs);
    group.roles = refs;
    assert_int_equal(nj_dynsec_step_group(edit, &group), NJ_OK);
}

static void put_role(struct admin *admin, struct nj_dynsec_edit *edit, int at)
{
    const struct naive_role *from = &admin->naive.roles[at];
    struct nj_dynsec_acl acls[NAIVE_MAX];
    struct nj_dynsec_role role;
    for (int i = 0; i < from->acl_count; i++) {
        acls[i] = (struct nj_dynsec_acl){nj_bytes_of(from->acls[i].topic), from->acls[i].priority,
                                         (uint8_t)from->acls[i].type, from->acls[i].allow};
    }
    memset(&role, 0, sizeof(role));
    role.name = nj_bytes_of(role_names[at]);
    role.allow_wildcard_subs = from->wildcards;
    role.acls = acls;
    role.acl_count = (uint32_t)from->acl_count;
    assert_int_equal(nj_dynsec_step_role(edit, &role), NJ_OK);
}

/* ---- changes; `number` has what is not said otherwise */

static int priority_of(uint32_t number)
{
    static const int priorities[] = {-1, -1, 0, 1, 5};
    return PICK(priorities, number);
}

static void create_client(struct admin *admin, struct nj_dynsec_edit *edit, int user)
{
    struct naive_client *client = &admin->naive.clients[user];
    memset(client, 0, sizeof(*client));
    client->is_there = true;
    admin->accounts[user] = (struct account){.password = ++admin->last_password, .client = -1};
    put_client(admin, edit, user);
}

static const char *change_client(struct admin *admin, struct nj_dynsec_edit *edit, int user,
                                 uint32_t number)
{
    struct naive_client *client = &admin->naive.clients[user];
    struct account *account = &admin->accounts[user];
    if (!client->is_there) {
        create_client(admin, edit, user);
        return "is made";
    }
    const char *text;
    if (account->is_disabled && number % 8) {
        account->is_disabled = false;
        put_client(admin, edit, user);
        return "is enabled";
    }
    switch (number % 8) {
    case 0:
        assert_int_equal(nj_dynsec_step_client_gone(edit, nj_bytes_of(user_names[user])), NJ_OK);
        memset(client, 0, sizeof(*client));
        return "is deleted";
    case 1:
    case 2:
        account->is_disabled = true;
        text = "is disabled";
        break;
    case 3:
    case 4:
        account->password = number / 8 % 8 ? ++admin->last_password : 0;
        text = "has another password, or none";
        break;
    default:
        account->client = account->client < 0 ? (int)(number / 8 % CLIENTS_MAX) : -1;
        text = "is bound to a client id, or to none";
        break;
    }
    put_client(admin, edit, user);
    return text;
}

static void add_acl(struct naive_role *role, uint32_t number)
{
    struct naive_acl *acl = &role->acls[role->acl_count];
    const char *topic = number / 6 % 3 ? PICK(model_filters, number / 18) /* as it comes */
                                       : PICK(model_topics, number / 18);
    acl->type = (int)(number % NAIVE_TYPES);
    acl->allow = number / 1024 % 2;
    acl->priority = priority_of(number / 2048);
    (void)snprintf(acl->topic, sizeof(acl->topic), "%s", topic);
    for (int i = 0; i < role->acl_count; i++) {
        if (role->acls[i].type == acl->type && strcmp(role->acls[i].topic, acl->topic) == 0) {
            role->acls[i] = *acl;
            return;
        }
    }
    role->acl_count++;
}

static const char *change_role(struct admin *admin, struct nj_dynsec_edit *edit, int at,
                               uint32_t number, uint32_t more)
{
    struct naive_role *role = &admin->naive.roles[at];
    if (role->is_there && number % 6 == 0) {
        assert_int_equal(nj_dynsec_step_role_gone(edit, nj_bytes_of(role_names[at])), NJ_OK);
        memset(role, 0, sizeof(*role));
        /* One that is made later is another one: nobody has it. */
        for (int i = 0; i < NAIVE_MAX; i++) {
            admin->naive.groups[i].roles.has[at] = false;
            admin->naive.clients[i].roles.has[at] = false;
        }
        return "is deleted";
    }
    bool is_new = !role->is_there;
    role->is_there = true;
    role->wildcards = number % 4 != 1;
    if (role->acl_count == ACLS_MAX || (role->acl_count && number % 6 == 1)) {
        role->acl_count--;
    } else {
        add_acl(role, more);
    }
    put_role(admin, edit, at);
    return is_new ? "is made" : "has other entries";
}

static const char *change_client_role(struct admin *admin, struct nj_dynsec_edit *edit, int user,
                                      uint32_t number, uint32_t more)
{
    struct naive_refs *roles = &admin->naive.clients[user].roles;
    unsigned role = number % ROLES;
    if (!admin->naive.clients[user].is_there) {
        create_client(admin, edit, user);
    }
    if (!admin->naive.roles[role].is_there) {
        (void)change_role(admin, edit, (int)role, number, more);
    }
    roles->has[role] = !roles->has[role];
    roles->priority[role] = priority_of(number / ROLES);
    put_client(admin, edit, user);
    return roles->has[role] ? "gets a role" : "loses a role";
}

static const char *change_group(struct admin *admin, struct nj_dynsec_edit *edit, int at,
                                uint32_t number)
{
    struct naive_group *group = &admin->naive.groups[at];
    if (group->is_there && number % 6 == 0) {
        assert_int_equal(nj_dynsec_step_group_gone(edit, nj_bytes_of(group_names[at])), NJ_OK);
        memset(group, 0, sizeof(*group));
        for (int i = 0; i < NAIVE_MAX; i++) {
            admin->naive.clients[i].groups.has[at] = false;
        }
        if (admin->naive.anonymous == at) {
            admin->naive.anonymous = -1;
        }
        return "is deleted";
    }
    unsigned role = number / 6 % ROLES;
    bool is_new = !group->is_there;
    group->is_there = true;
    if (admin->naive.roles[role].is_there) {
        group->roles.has[role] = !group->roles.has[role];
        group->roles.priority[role] = priority_of(number / 24);
    }
    put_group(admin, edit, at);
    return is_new ? "is made" : "has other roles";
}

static const char *change_member(struct admin *admin, struct nj_dynsec_edit *edit, int group,
                                 uint32_t number)
{
    int user = (int)(number % (USERS + 1)) - 1;
    struct nj_bytes name = nj_bytes_of(group_names[group]);
    if (!admin->naive.groups[group].is_there) {
        (void)change_group(admin, edit, group, number);
    }
    if (user < 0) {
        bool is_it = admin->naive.anonymous == group;
        assert_int_equal(
            nj_dynsec_step_anonymous(edit, is_it ? NULL : nj_dynsec_group(edit->state, name)),
            NJ_OK);
        admin->naive.anonymous = is_it ? -1 : group;
        return "is the anonymous group, or none is";
    }
    struct naive_refs *groups = &admin->naive.clients[user].groups;
    if (!admin->naive.clients[user].is_there) {
        create_client(admin, edit, user);
    }
    groups->has[group] = !groups->has[group];
    groups->priority[group] = priority_of(number / 8);
    enum nj_err err = groups->has[group]
                          ? nj_dynsec_step_join(edit, name, nj_bytes_of(user_names[user]),
                                                groups->priority[group])
                          : nj_dynsec_step_leave(edit, name, nj_bytes_of(user_names[user]));
    assert_int_equal(err, NJ_OK);
    return groups->has[group] ? "gets a member" : "loses a member";
}

static void set_defaults(struct admin *admin, struct nj_dynsec_edit *edit, uint32_t number)
{
    for (int i = 0; i < 4; i++) {
        admin->naive.defaults[i] = number >> (2 * i) & 3;
    }
    assert_int_equal(nj_dynsec_step_defaults(edit, admin->naive.defaults), NJ_OK);
}

static void begin(struct admin *admin, struct nj_dynsec_edit *edit)
{
    assert_int_equal(nj_dynsec_edit_init(edit, admin->state), NJ_OK);
}

static void end(struct admin *admin, struct nj_dynsec_edit *edit)
{
    assert_int_equal(nj_dynsec_step_index(edit), NJ_OK);
    nj_dynsec_state_unref(admin->state);
    admin->state = nj_dynsec_state_ref(edit->state);
    nj_dynsec_edit_fini(edit);
}

void admin_change(struct admin *admin, const uint32_t arg[ADMIN_ARGS], char *text, size_t size)
{
    struct nj_dynsec_edit edit;
    const char *what;
    const char *who;
    int user = (int)(arg[1] % USERS);
    int role = (int)(arg[1] % ROLES);
    int group = (int)(arg[1] % GROUPS);
    begin(admin, &edit);
    switch (arg[0] % 12) {
    case 0:
    case 1:
        who = user_names[user];
        what = change_client(admin, &edit, user, arg[2]);
        break;
    case 2:
    case 3:
    case 4:
        who = user_names[user];
        what = change_client_role(admin, &edit, user, arg[2], arg[3]);
        break;
    case 5:
    case 6:
        who = role_names[role];
        what = change_role(admin, &edit, role, arg[2], arg[3]);
        break;
    case 7:
    case 8:
        who = group_names[group];
        what = change_group(admin, &edit, group, arg[2]);
        break;
    case 9:
    case 10:
        who = group_names[group];
        what = change_member(admin, &edit, group, arg[2]);
        break;
    default:
        who = "default access";
        what = "changes";
        set_defaults(admin, &edit, arg[2]);
        break;
    }
    end(admin, &edit);
    (void)snprintf(text, size, "%s %s", who, what);
}

/* ---- life */

void admin_open(struct admin *admin)
{
    struct nj_dynsec_edit edit;
    begin(admin, &edit);
    set_defaults(admin, &edit, UINT32_MAX);
    assert_int_equal(nj_dynsec_step_anonymous(&edit, NULL), NJ_OK);
    admin->naive.anonymous = -1;
    for (int i = 0; i < ROLES; i++) {
        if (admin->naive.roles[i].is_there) {
            assert_int_equal(nj_dynsec_step_role_gone(&edit, nj_bytes_of(role_names[i])), NJ_OK);
        }
    }
    memset(admin->naive.roles, 0, sizeof(admin->naive.roles));
    for (int user = 0; user < USERS; user++) {
        struct account *account = &admin->accounts[user];
        if (!admin->naive.clients[user].is_there) {
            create_client(admin, &edit, user);
            continue;
        }
        account->is_disabled = false;
        account->client = -1;
        account->password = account->password ? account->password : ++admin->last_password;
        put_client(admin, &edit, user);
    }
    end(admin, &edit);
}

struct admin *admin_new(void)
{
    struct admin *admin = calloc(1, sizeof(*admin));
    assert_non_null(admin);
    admin->naive.role_names = role_names;
    admin->naive.group_names = group_names;
    admin->naive.client_names = user_names;
    admin->principals = nj_dynsec_principals_new();
    admin->state = nj_dynsec_state_new(admin->principals);
    assert_non_null(admin->state);
    admin_open(admin);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (admin) {
        nj_dynsec_state_unref(admin->state);
        nj_dynsec_principals_unref(admin->principals);
        free(admin);
    }
}

struct nj_dynsec_state *admin_state(const struct admin *admin)
{
    return admin->state;
}

/* ---- the reference */

bool admin_knows(const struct admin *admin, int user)
{
    return user < 0 || admin->naive.clients[user].is_there;
}

bool admin_lets_in(const struct admin *admin, int user, unsigned client)
{
    if (user < 0) {
        return true;
    }
    const struct account *account = &admin->accounts[user];
    return admin->naive.clients[user].is_there && !account->is_disabled && account->password &&
           (account->client < 0 || account->client == (int)client);
}

unsigned admin_password(const struct admin *admin, int user)
{
    return user < 0 ? 0 : admin->accounts[user].password;
}

enum admin_answer admin_ask(const struct admin *admin, int user, unsigned client,
                            enum admin_access access, const char *topic)
{
    const struct naive *naive = &admin->naive;
    char id[8];
    (void)snprintf(id, sizeof(id), "c%u", client);
    if (!admin_knows(admin, user)) {
        return ADMIN_SILENT;
    }
    struct naive_answer answer = naive_ask(naive, user, id, (enum naive_access)access, topic);
    if (answer.has_rule) {
        return answer.allowed ? ADMIN_YES : ADMIN_NO;
    }
    return naive->defaults[access] ? ADMIN_YES : ADMIN_SILENT;
}
