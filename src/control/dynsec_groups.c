/* Commands about groups. See dynsec_priv.h. */
#include <string.h>

#include "base/mem.h"
#include "control/dynsec_priv.h"

static const struct nj_dynsec_group *find(struct nj_control_call *call, struct nj_bytes *name,
                                          struct nj_dynsec_fail *fail)
{
    if (!nj_dynsec_name(call, "groupname", "Group name not valid UTF-8", name, fail)) {
        return NULL;
    }
    const struct nj_dynsec_group *group = nj_dynsec_group(nj_dynsec_draft(call), *name);
    if (!group) {
        *fail = nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Group not found");
    }
    return group;
}

/* Members as they are before and after the change. */
static struct nj_dynsec_fail kick_members(struct nj_control_call *call, uint32_t id)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    return nj_dynsec_fail_of(nj_dynsec_kick_group(module->kick, module->mark.state, id));
}

static struct nj_dynsec_fail kick_client(struct nj_control_call *call, struct nj_bytes name)
{
    return nj_dynsec_fail_of(nj_dynsec_kick_client(nj_dynsec_module_of(call)->kick, name));
}

/* ---- making and changing */

static struct nj_dynsec_fail put(struct nj_control_call *call, struct nj_dynsec_group *group)
{
    struct nj_buf roles = {NULL, 0, 0};
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    if (nj_dynsec_text(call, "textname", &group->text_name, &fail) &&
        nj_dynsec_text(call, "textdescription", &group->text_description, &fail) &&
        json_object_get(nj_control_call_args(call), "roles")) {
        fail = nj_dynsec_roles_of(call, &roles);
        group->roles = (const struct nj_dynsec_ref *)(void *)roles.data;
        group->role_count = (uint32_t)(roles.len / sizeof(struct nj_dynsec_ref));
    }
    if (!fail.text) {
        fail = nj_dynsec_fail_of(nj_dynsec_step_group(&nj_dynsec_module_of(call)->edit, group));
    }
    nj_buf_fini(&roles);
    return fail;
}

static struct nj_dynsec_fail create(struct nj_control_call *call, json_t **data)
{
    struct nj_dynsec_group group;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    (void)data;
    memset(&group, 0, sizeof(group));
    if (!nj_dynsec_name(call, "groupname", "Group name not valid UTF-8", &group.name, &fail)) {
        return fail;
    }
    if (nj_dynsec_group(nj_dynsec_draft(call), group.name)) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "Group already exists");
    }
    return put(call, &group);
}

static bool add_name(void *arg, void *item)
{
    const struct nj_dynsec_member *member = item;
    struct nj_bytes name = nj_bytes(member->name, member->name_len);
    return nj_buf_append(arg, &name, sizeof(name)) == NJ_OK;
}

/* Everybody leaves. The names are those of the version before, which the mark keeps. */
static struct nj_dynsec_fail leave_all(struct nj_control_call *call, struct nj_bytes name)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    struct nj_buf names = {NULL, 0, 0};
    const struct nj_dynsec_group *old = nj_dynsec_group(module->mark.state, name);
    enum nj_err err = nj_pmap_walk(&old->members, add_name, &names) ? NJ_OK : NJ_ENOMEM;
    const struct nj_bytes *list = (const struct nj_bytes *)(void *)names.data;
    for (size_t i = 0; i < names.len / sizeof(*list) && err == NJ_OK; i++) {
        err = nj_dynsec_step_leave(&module->edit, name, list[i]);
    }
    nj_buf_fini(&names);
    return nj_dynsec_fail_of(err);
}

static struct nj_dynsec_fail join_given(struct nj_control_call *call, struct nj_bytes name)
{
    struct nj_dynsec_edit *edit = &nj_dynsec_module_of(call)->edit;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(nj_control_call_args(call), "clients"), i, entry)
    {
        const json_t *text = json_object_get(entry, "username");
        if (!json_is_string(text) || json_string_length(text) == 0) {
            return nj_dynsec_fail(NJ_REFUSED_INVALID,
                                  "'clients' contains an object with an invalid 'username'");
        }
        struct nj_bytes client = nj_bytes(json_string_value(text), json_string_length(text));
        if (!nj_dynsec_client(edit->state, client)) {
            return nj_dynsec_fail(
                NJ_REFUSED_NOT_FOUND,
                "'clients' contains an object with a 'username' that does not exist");
        }
        enum nj_err err = nj_dynsec_step_join(edit, name, client,
                                              nj_dynsec_priority_of(entry, NJ_DYNSEC_NO_PRIORITY));
        if (err != NJ_OK) {
            return nj_dynsec_fail_of(err);
        }
    }
    return NJ_DYNSEC_DONE;
}

static struct nj_dynsec_fail modify(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_group next;
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_group *group = find(call, &name, &fail);
    (void)data;
    if (!group) {
        return fail;
    }
    uint32_t id = group->id;
    memcpy(&next, group, sizeof(next));
    fail = kick_members(call, id);
    fail = fail.text ? fail : put(call, &next);
    if (!fail.text && json_object_get(nj_control_call_args(call), "clients")) {
        fail = leave_all(call, name);
        fail = fail.text ? fail : join_given(call, name);
        /* The draft goes on changing: new members by name. */
        size_t i;
        json_t *entry;
        json_array_foreach(json_object_get(nj_control_call_args(call), "clients"), i, entry)
        {
            const json_t *text = json_object_get(entry, "username");
            if (!fail.text) {
                fail = nj_dynsec_fail_of(nj_dynsec_kick_client(
                    module->kick, nj_bytes(json_string_value(text), json_string_length(text))));
            }
        }
    }
    return fail;
}

static struct nj_dynsec_fail delete (struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_group *group = find(call, &name, &fail);
    (void)data;
    if (!group) {
        return fail;
    }
    if (group->id == nj_dynsec_draft(call)->anonymous_group) {
        return nj_dynsec_fail(NJ_REFUSED_FORBIDDEN, "Deleting the anonymous group is forbidden");
    }
    fail = kick_members(call, group->id);
    return fail.text ? fail
                     : nj_dynsec_fail_of(
                           nj_dynsec_step_group_gone(&nj_dynsec_module_of(call)->edit, name));
}

/* ---- members */

static struct nj_dynsec_fail change_member(struct nj_control_call *call, bool is_added)
{
    struct nj_bytes name;
    struct nj_bytes client;
    enum nj_err err;
    struct nj_dynsec_edit *edit = &nj_dynsec_module_of(call)->edit;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    if (!nj_dynsec_name(call, "username", "Username not valid UTF-8", &client, &fail) ||
        !nj_dynsec_name(call, "groupname", "Group name not valid UTF-8", &name, &fail)) {
        return fail;
    }
    if (!nj_dynsec_client(edit->state, client)) {
        return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Client not found");
    }
    const struct nj_dynsec_group *group = nj_dynsec_group(edit->state, name);
    if (!group) {
        return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Group not found");
    }
    bool is_member = nj_pmap_get(&group->members, client) != NULL;
    if (is_added && is_member) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "Client is already in this group");
    }
    if (!is_added && !is_member) {
        return NJ_DYNSEC_DONE;
    }
    if (is_added) {
        err = nj_dynsec_step_join(
            edit, name, client,
            nj_dynsec_priority_of(nj_control_call_args(call), NJ_DYNSEC_NO_PRIORITY));
    } else {
        err = nj_dynsec_step_leave(edit, name, client);
    }
    fail = nj_dynsec_fail_of(err);
    return fail.text ? fail : kick_client(call, client);
}

static struct nj_dynsec_fail add_client(struct nj_control_call *call, json_t **data)
{
    (void)data;
    return change_member(call, true);
}

static struct nj_dynsec_fail remove_client(struct nj_control_call *call, json_t **data)
{
    (void)data;
    return change_member(call, false);
}

/* ---- roles of a group */

static struct nj_dynsec_fail change_role(struct nj_control_call *call, bool is_added)
{
    struct nj_bytes name;
    struct nj_bytes role_name;
    struct nj_dynsec_group next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_group *group = find(call, &name, &fail);
    if (!group ||
        !nj_dynsec_name(call, "rolename", "Role name not valid UTF-8", &role_name, &fail)) {
        return fail;
    }
    const struct nj_dynsec_role *role = nj_dynsec_role(nj_dynsec_draft(call), role_name);
    if (!role) {
        return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Role not found");
    }
    int place = nj_dynsec_ref_find(group->roles, group->role_count, role->id);
    if (is_added && place >= 0) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "Group is already in this role");
    }
    if (!is_added && place < 0) {
        return NJ_DYNSEC_DONE;
    }
    struct nj_dynsec_ref *roles = nj_try_alloc((group->role_count + 1) * sizeof(*roles));
    if (!roles) {
        return nj_dynsec_fail_of(NJ_ENOMEM);
    }
    memcpy(&next, group, sizeof(next));
    memcpy(roles, group->roles, group->role_count * sizeof(*roles));
    if (is_added) {
        roles[next.role_count++] = (struct nj_dynsec_ref){
            role->id, nj_dynsec_priority_of(nj_control_call_args(call), NJ_DYNSEC_NO_PRIORITY)};
    } else {
        roles[place] = roles[--next.role_count];
    }
    next.roles = roles;
    fail = kick_members(call, group->id);
    if (!fail.text) {
        fail = nj_dynsec_fail_of(nj_dynsec_step_group(&nj_dynsec_module_of(call)->edit, &next));
    }
    nj_free(roles);
    return fail;
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

NJ_DYNSEC_CHANGE(nj_dynsec_create_group, create)
NJ_DYNSEC_CHANGE(nj_dynsec_modify_group, modify)
NJ_DYNSEC_CHANGE(nj_dynsec_delete_group, delete)
NJ_DYNSEC_CHANGE(nj_dynsec_add_group_client, add_client)
NJ_DYNSEC_CHANGE(nj_dynsec_remove_group_client, remove_client)
NJ_DYNSEC_CHANGE(nj_dynsec_add_group_role, add_role)
NJ_DYNSEC_CHANGE(nj_dynsec_remove_group_role, remove_role)

void nj_dynsec_get_group(struct nj_control_call *call)
{
    struct nj_bytes name;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_group *group = find(call, &name, &fail);
    if (!group) {
        nj_control_call_fail(call, fail.fault, fail.text);
        return;
    }
    nj_control_call_done(
        call, json_pack("{s:o}", "group", nj_dynsec_show_group(nj_dynsec_draft(call), group)));
}

static json_t *show(const struct nj_dynsec_state *state, const void *item)
{
    return nj_dynsec_show_group(state, item);
}

void nj_dynsec_list_groups(struct nj_control_call *call)
{
    nj_control_call_done(call,
                         nj_dynsec_show_list(call, &nj_dynsec_draft(call)->groups, "groups", show));
}
