/* Commands about clients. See dynsec_priv.h. */
#include <string.h>

#include "base/mem.h"
#include "control/control_priv.h"
#include "control/dynsec_priv.h"
#include "mqtt/utf8.h"
#include "security/dynsec_secret.h"

#define BAD_NAME "Username not valid UTF-8"
#define BAD_ID   "Client ID not valid UTF-8"

static const struct nj_dynsec_client *find(struct nj_control_call *call, struct nj_bytes *name,
                                           struct nj_dynsec_fail *fail)
{
    if (!nj_dynsec_name(call, "username", BAD_NAME, name, fail)) {
        return NULL;
    }
    const struct nj_dynsec_client *client = nj_dynsec_client(nj_dynsec_draft(call), *name);
    if (!client) {
        *fail = nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Client not found");
    }
    return client;
}

static struct nj_dynsec_fail kick(struct nj_control_call *call, struct nj_bytes name)
{
    return nj_dynsec_fail_of(nj_dynsec_kick_client(nj_dynsec_module_of(call)->kick, name));
}

static struct nj_dynsec_fail step(struct nj_control_call *call,
                                  const struct nj_dynsec_client *client)
{
    return nj_dynsec_fail_of(nj_dynsec_step_client(&nj_dynsec_module_of(call)->edit, client));
}

/* ---- passwords */

/* A secret that is told once, to the one who asked. */
static struct nj_dynsec_fail generate(struct nj_control_call *call, char hash[NJ_HASH_TEXT_MAX],
                                      json_t **data)
{
    static const struct nj_hash_cost cost = {.kind = NJ_HASH_SHA512};
    char secret[NJ_DYNSEC_SECRET_LEN + 1];
    nj_dynsec_secret_make(secret);
    enum nj_err err = nj_password_hash(nj_bytes(secret, NJ_DYNSEC_SECRET_LEN), &cost, hash);
    if (err == NJ_OK) {
        *data = json_pack("{s:s}", "password", secret);
        err = *data ? NJ_OK : NJ_ENOMEM; /* nobody would ever know it */
        nj_control_call_make_private(call);
    }
    nj_wipe(secret, sizeof(secret));
    return nj_dynsec_fail_of(err);
}

/* The hash of what was given or is to be generated; nothing given: *out as it was. */
static struct nj_dynsec_fail take_password(struct nj_control_call *call, struct nj_bytes *out,
                                           char hash[NJ_HASH_TEXT_MAX], json_t **data)
{
    const json_t *given = json_object_get(nj_control_call_args(call), "password");
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    bool is_given = json_string_length(given) > 0;
    if (nj_control_call_bool(call, "generatePassword", false)) {
        fail = is_given ? nj_dynsec_fail(NJ_REFUSED_INVALID, "Invalid/missing password")
                        : generate(call, hash, data);
    } else if (is_given) {
        const struct nj_bytes password =
            nj_bytes(json_string_value(given), json_string_length(given));
        fail = nj_dynsec_fail_of(nj_control_call_hash(call, password, hash));
    } else {
        return fail;
    }
    *out = nj_bytes_of(hash);
    return fail;
}

static struct nj_dynsec_fail set_password(struct nj_control_call *call, json_t **data)
{
    char hash[NJ_HASH_TEXT_MAX];
    struct nj_bytes name;
    struct nj_dynsec_client next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_client *client = find(call, &name, &fail);
    if (!client) {
        return fail;
    }
    const json_t *given = json_object_get(nj_control_call_args(call), "password");
    if (!given && !nj_control_call_bool(call, "generatePassword", false)) {
        return nj_dynsec_fail(NJ_REFUSED_INVALID, "Invalid/missing password");
    }
    memcpy(&next, client, sizeof(next));
    fail = take_password(call, &next.hash, hash, data);
    fail = fail.text ? fail : step(call, &next);
    nj_wipe(hash, sizeof(hash));
    return fail.text ? fail : kick(call, name);
}

/* ---- making and changing */

/* `clientid`: absent as it was, empty none. */
static bool take_id(struct nj_control_call *call, struct nj_bytes *field,
                    struct nj_dynsec_fail *fail)
{
    struct nj_bytes id;
    if (!nj_dynsec_name(call, "clientid", BAD_ID, &id, fail)) {
        return false;
    }
    if (id.ptr) {
        *field = id.len ? id : nj_bytes(NULL, 0);
    }
    return true;
}

/* Groups that the command names become those of the client: all others are left. */
static struct nj_dynsec_fail leave_all(struct nj_control_call *call, struct nj_bytes name)
{
    struct nj_dynsec_edit *edit = &nj_dynsec_module_of(call)->edit;
    const struct nj_dynsec_client *client = nj_dynsec_client(edit->state, name);
    enum nj_err err = NJ_OK;
    while (client->group_count && err == NJ_OK) {
        const struct nj_dynsec_group *group =
            nj_dynsec_group_by_id(edit->state, client->groups[0].id);
        if (!group) {
            break; /* only those that are gone are left: steps sort them out */
        }
        err = nj_dynsec_step_leave(edit, group->name, name);
        client = nj_dynsec_client(edit->state, name);
    }
    return nj_dynsec_fail_of(err);
}

static struct nj_dynsec_fail join_given(struct nj_control_call *call, struct nj_bytes name)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    struct nj_dynsec_edit *edit = &module->edit;
    bool is_new = !nj_dynsec_client(module->mark.state, name);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(nj_control_call_args(call), "groups"), i, entry)
    {
        const json_t *text = json_object_get(entry, "groupname");
        if (!json_is_string(text) || json_string_length(text) == 0) {
            return nj_dynsec_fail(NJ_REFUSED_INVALID,
                                  "'groups' contains an object with an invalid 'groupname'");
        }
        struct nj_bytes group = nj_bytes(json_string_value(text), json_string_length(text));
        if (!nj_dynsec_group(edit->state, group)) {
            /* The original's words for each of both commands. */
            return nj_dynsec_fail(
                NJ_REFUSED_NOT_FOUND,
                is_new ? "Group not found"
                       : "'groups' contains an object with a 'groupname' that does not exist");
        }
        enum nj_err err = nj_dynsec_step_join(edit, group, name,
                                              nj_dynsec_priority_of(entry, NJ_DYNSEC_NO_PRIORITY));
        if (err != NJ_OK) {
            return nj_dynsec_fail_of(err);
        }
    }
    return NJ_DYNSEC_DONE;
}

static struct nj_dynsec_fail put_parts(struct nj_control_call *call,
                                       struct nj_dynsec_client *client, struct nj_buf *roles,
                                       char hash[NJ_HASH_TEXT_MAX], json_t **data)
{
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    if (!take_id(call, &client->client_id, &fail) ||
        !nj_dynsec_text(call, "textname", &client->text_name, &fail) ||
        !nj_dynsec_text(call, "textdescription", &client->text_description, &fail)) {
        return fail;
    }
    client->may_use_certificate =
        nj_control_call_bool(call, "certificateLogin", client->may_use_certificate);
    if (json_object_get(nj_control_call_args(call), "roles")) {
        fail = nj_dynsec_roles_of(call, roles);
        client->roles = (const struct nj_dynsec_ref *)(void *)roles->data;
        client->role_count = (uint32_t)(roles->len / sizeof(struct nj_dynsec_ref));
    }
    /* Last, because it costs: everything else is known to be right by then. */
    fail = fail.text ? fail : take_password(call, &client->hash, hash, data);
    return fail.text ? fail : step(call, client);
}

static struct nj_dynsec_fail put(struct nj_control_call *call, struct nj_dynsec_client *client,
                                 struct nj_bytes name, json_t **data)
{
    char hash[NJ_HASH_TEXT_MAX];
    struct nj_buf roles = {NULL, 0, 0};
    struct nj_dynsec_fail fail = put_parts(call, client, &roles, hash, data);
    client->roles = NULL; /* the record has its own copies */
    client->hash = nj_bytes(NULL, 0);
    nj_buf_fini(&roles);
    nj_wipe(hash, sizeof(hash));
    if (!fail.text && json_object_get(nj_control_call_args(call), "groups")) {
        fail = leave_all(call, name);
        fail = fail.text ? fail : join_given(call, name);
    }
    return fail;
}

static struct nj_dynsec_fail create(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_client client;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    if (!nj_dynsec_name(call, "username", BAD_NAME, &name, &fail)) {
        return fail;
    }
    if (nj_dynsec_client(nj_dynsec_draft(call), name)) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "Client already exists");
    }
    memset(&client, 0, sizeof(client));
    client.name = name;
    return put(call, &client, name, data);
}

static struct nj_dynsec_fail modify(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_client next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_client *client = find(call, &name, &fail);
    if (!client) {
        return fail;
    }
    memcpy(&next, client, sizeof(next));
    fail = put(call, &next, name, data);
    return fail.text ? fail : kick(call, name);
}

static struct nj_dynsec_fail delete (struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    (void)data;
    if (!find(call, &name, &fail)) {
        return fail;
    }
    fail = nj_dynsec_fail_of(nj_dynsec_step_client_gone(&nj_dynsec_module_of(call)->edit, name));
    return fail.text ? fail : kick(call, name);
}

static struct nj_dynsec_fail set_disabled(struct nj_control_call *call, bool is_disabled)
{
    struct nj_bytes name;
    struct nj_dynsec_client next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_client *client = find(call, &name, &fail);
    if (!client) {
        return fail;
    }
    memcpy(&next, client, sizeof(next));
    next.is_disabled = is_disabled;
    fail = step(call, &next);
    return fail.text || !is_disabled ? fail : kick(call, name);
}

static struct nj_dynsec_fail enable(struct nj_control_call *call, json_t **data)
{
    (void)data;
    return set_disabled(call, false);
}

static struct nj_dynsec_fail disable(struct nj_control_call *call, json_t **data)
{
    (void)data;
    return set_disabled(call, true);
}

static struct nj_dynsec_fail set_id(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_client next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_client *client = find(call, &name, &fail);
    (void)data;
    if (!client) {
        return fail;
    }
    memcpy(&next, client, sizeof(next));
    next.client_id = nj_bytes(NULL, 0); /* absent: none */
    if (!take_id(call, &next.client_id, &fail)) {
        return fail;
    }
    fail = step(call, &next);
    return fail.text ? fail : kick(call, name);
}

/* ---- roles of a client */

static const struct nj_dynsec_role *find_role(struct nj_control_call *call,
                                              struct nj_dynsec_fail *fail)
{
    struct nj_bytes name;
    if (!nj_dynsec_name(call, "rolename", "Role name not valid UTF-8", &name, fail)) {
        return NULL;
    }
    const struct nj_dynsec_role *role = nj_dynsec_role(nj_dynsec_draft(call), name);
    if (!role) {
        *fail = nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Role not found");
    }
    return role;
}

static struct nj_dynsec_fail change_role(struct nj_control_call *call, bool is_added)
{
    struct nj_bytes name;
    struct nj_dynsec_client next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_client *client = find(call, &name, &fail);
    const struct nj_dynsec_role *role = client ? find_role(call, &fail) : NULL;
    if (!role) {
        return fail;
    }
    int place = nj_dynsec_ref_find(client->roles, client->role_count, role->id);
    if (is_added && place >= 0) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "Internal error"); /* the original's words */
    }
    if (!is_added && place < 0) {
        return NJ_DYNSEC_DONE; /* it has not got it, as was asked for */
    }
    struct nj_dynsec_ref *roles = nj_try_alloc((client->role_count + 1) * sizeof(*roles));
    if (!roles) {
        return nj_dynsec_fail_of(NJ_ENOMEM);
    }
    memcpy(&next, client, sizeof(next));
    memcpy(roles, client->roles, client->role_count * sizeof(*roles));
    if (is_added) {
        roles[next.role_count++] = (struct nj_dynsec_ref){
            role->id, nj_dynsec_priority_of(nj_control_call_args(call), NJ_DYNSEC_NO_PRIORITY)};
    } else {
        roles[place] = roles[--next.role_count];
    }
    next.roles = roles;
    fail = step(call, &next);
    nj_free(roles);
    return fail.text ? fail : kick(call, name);
}

static struct nj_dynsec_fail add_role(struct nj_control_call *call, json_t **data)
{
    (void)data;
    return change_role(call, true);
}

static struct nj_dynsec_fail remove_role(struct nj_control_call *call, json_t **data)
{
    (void)data;
    return change_role(call, false);
}

/* ---- outward */

NJ_DYNSEC_CHANGE(nj_dynsec_create_client, create)
NJ_DYNSEC_CHANGE(nj_dynsec_modify_client, modify)
NJ_DYNSEC_CHANGE(nj_dynsec_delete_client, delete)
NJ_DYNSEC_CHANGE(nj_dynsec_enable_client, enable)
NJ_DYNSEC_CHANGE(nj_dynsec_disable_client, disable)
NJ_DYNSEC_CHANGE(nj_dynsec_set_password, set_password)
NJ_DYNSEC_CHANGE(nj_dynsec_set_client_id, set_id)
NJ_DYNSEC_CHANGE(nj_dynsec_add_client_role, add_role)
NJ_DYNSEC_CHANGE(nj_dynsec_remove_client_role, remove_role)

static void got_connections(void *arg, json_t *connections)
{
    struct nj_control_call *call = arg;
    struct nj_bytes name;
    struct nj_dynsec_fail fail;
    const struct nj_dynsec_client *client = find(call, &name, &fail);
    NJ_ASSERT(client); /* the draft did not change while the call waited */
    json_t *object = nj_dynsec_show_client(nj_dynsec_draft(call), client);
    (void)json_object_set_new(object, "connections", connections ? connections : json_array());
    nj_control_call_done(call, json_pack("{s:o}", "client", object));
}

void nj_dynsec_get_client(struct nj_control_call *call)
{
    struct nj_bytes name;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    if (!find(call, &name, &fail)) {
        nj_control_call_fail(call, fail.fault, fail.text);
        return;
    }
    nj_control_connections_of(nj_control_call_plane(call), name, got_connections, call);
}

static json_t *show(const struct nj_dynsec_state *state, const void *item)
{
    return nj_dynsec_show_client(state, item);
}

void nj_dynsec_list_clients(struct nj_control_call *call)
{
    nj_control_call_done(
        call, nj_dynsec_show_list(call, &nj_dynsec_draft(call)->clients, "clients", show));
}
