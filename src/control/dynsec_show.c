/* What the commands of dynamic security answer with. See dynsec_priv.h. */
#include "control/dynsec_priv.h"

static void set_text(json_t *object, const char *key, struct nj_bytes text)
{
    if (text.ptr) {
        (void)json_object_set_new(object, key, json_stringn((const char *)text.ptr, text.len));
    }
}

static void set_priority(json_t *object, int32_t priority)
{
    if (priority != NJ_DYNSEC_NO_PRIORITY) {
        (void)json_object_set_new(object, "priority", json_integer(priority));
    }
}

static json_t *named(const char *key, struct nj_bytes name, int32_t priority)
{
    json_t *object = json_object();
    set_text(object, key, name);
    set_priority(object, priority);
    return object;
}

static json_t *show_roles(const struct nj_dynsec_state *state, const struct nj_dynsec_ref *refs,
                          uint32_t count)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < count; i++) {
        const struct nj_dynsec_role *role = nj_dynsec_role_by_id(state, refs[i].id);
        if (role) {
            (void)json_array_append_new(array, named("rolename", role->name, refs[i].priority));
        }
    }
    return array;
}

json_t *nj_dynsec_show_client(const struct nj_dynsec_state *state,
                              const struct nj_dynsec_client *client)
{
    json_t *object = json_object();
    json_t *groups = json_array();
    set_text(object, "username", client->name);
    set_text(object, "clientid", client->client_id);
    set_text(object, "textname", client->text_name);
    set_text(object, "textdescription", client->text_description);
    if (client->is_disabled) {
        (void)json_object_set_new(object, "disabled", json_true());
    }
    if (client->may_use_certificate) {
        (void)json_object_set_new(object, "certificateLogin", json_true());
    }
    (void)json_object_set_new(object, "roles",
                              show_roles(state, client->roles, client->role_count));
    for (uint32_t i = 0; i < client->group_count; i++) {
        const struct nj_dynsec_group *group = nj_dynsec_group_by_id(state, client->groups[i].id);
        if (group) {
            (void)json_array_append_new(
                groups, named("groupname", group->name, client->groups[i].priority));
        }
    }
    (void)json_object_set_new(object, "groups", groups);
    return object;
}

static bool show_member(void *arg, void *item)
{
    const struct nj_dynsec_member *member = item;
    (void)json_array_append_new(
        arg, named("username", nj_bytes(member->name, member->name_len), member->priority));
    return true;
}

json_t *nj_dynsec_show_group(const struct nj_dynsec_state *state,
                             const struct nj_dynsec_group *group)
{
    json_t *object = json_object();
    json_t *clients = json_array();
    set_text(object, "groupname", group->name);
    set_text(object, "textname", group->text_name);
    set_text(object, "textdescription", group->text_description);
    (void)nj_pmap_walk(&group->members, show_member, clients);
    (void)json_object_set_new(object, "clients", clients);
    (void)json_object_set_new(object, "roles", show_roles(state, group->roles, group->role_count));
    return object;
}

json_t *nj_dynsec_show_role(const struct nj_dynsec_role *role)
{
    json_t *object = json_object();
    json_t *acls = json_array();
    set_text(object, "rolename", role->name);
    set_text(object, "textname", role->text_name);
    set_text(object, "textdescription", role->text_description);
    (void)json_object_set_new(object, "allowwildcardsubs", json_boolean(role->allow_wildcard_subs));
    for (uint32_t i = 0; i < role->acl_count; i++) {
        const struct nj_dynsec_acl *acl = &role->acls[i];
        json_t *entry = json_object();
        const char *type = nj_dynsec_acl_type_name((enum nj_dynsec_acl_type)acl->type);
        (void)json_object_set_new(entry, "acltype", json_string(type));
        set_text(entry, "topic", acl->topic);
        (void)json_object_set_new(entry, "priority", json_integer(acl->priority));
        (void)json_object_set_new(entry, "allow", json_boolean(acl->allow));
        (void)json_array_append_new(acls, entry);
    }
    (void)json_object_set_new(object, "acls", acls);
    return object;
}

json_t *nj_dynsec_show_list(struct nj_control_call *call, const struct nj_pmap *map,
                            const char *key,
                            json_t *(*show)(const struct nj_dynsec_state *state, const void *item))
{
    bool is_verbose = nj_control_call_bool(call, "verbose", false);
    int64_t count = nj_control_call_int(call, "count", -1);
    int64_t offset = nj_control_call_int(call, "offset", 0);
    size_t total = nj_pmap_count(map);
    json_t *array = json_array();
    for (size_t at = offset < 0 ? 0 : (size_t)offset; at < total && count != 0; at++, count--) {
        const void *item = nj_pmap_at(map, at);
        struct nj_bytes name = map->type->key(item);
        (void)json_array_append_new(array, is_verbose
                                               ? show(nj_dynsec_draft(call), item)
                                               : json_stringn((const char *)name.ptr, name.len));
    }
    json_t *data = json_object();
    (void)json_object_set_new(data, "totalCount", json_integer((json_int_t)total));
    (void)json_object_set_new(data, key, array);
    return data;
}
