/* Commands about roles. See dynsec_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "control/dynsec_priv.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

#define NO_ROLE nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Role not found")

/* The role that the command names; NULL with *fail when there is none. */
static const struct nj_dynsec_role *find(struct nj_control_call *call, struct nj_bytes *name,
                                         struct nj_dynsec_fail *fail)
{
    if (!nj_dynsec_name(call, "rolename", "Role name not valid UTF-8", name, fail)) {
        return NULL;
    }
    const struct nj_dynsec_role *role = nj_dynsec_role(nj_dynsec_draft(call), *name);
    if (!role) {
        *fail = NO_ROLE;
    }
    return role;
}

/* ---- ACL entries of a request */

static const char *read_type(const json_t *object, uint8_t *out)
{
    enum nj_dynsec_acl_type type;
    const json_t *name = json_object_get(object, "acltype");
    if (!json_is_string(name)) {
        return "Invalid/missing acltype";
    }
    if (!nj_dynsec_acl_type_find(json_string_value(name), &type)) {
        return "Unknown acltype";
    }
    *out = (uint8_t)type;
    return NULL;
}

static const char *read_topic(const json_t *object, struct nj_bytes *out)
{
    const json_t *topic = json_object_get(object, "topic");
    if (!json_is_string(topic)) {
        return "Invalid/missing topic";
    }
    *out = nj_bytes(json_string_value(topic), json_string_length(topic));
    if (!nj_mqtt_utf8_is_valid(*out)) {
        return "Topic not valid UTF-8";
    }
    return out->len <= NJ_DYNSEC_NAME_MAX && nj_mqtt_filter_is_valid(*out, NJ_MQTT_LEVELS_MAX)
               ? NULL
               : "Invalid ACL topic";
}

/* NULL, or what is wrong. */
static const char *read_acl(const json_t *object, struct nj_dynsec_acl *out)
{
    const json_t *allow = json_object_get(object, "allow");
    const char *wrong =
        json_is_object(object) ? read_type(object, &out->type) : "Invalid/missing acltype";
    wrong = wrong ? wrong : read_topic(object, &out->topic);
    if (!wrong && allow && !json_is_boolean(allow)) {
        return "Invalid/missing allow";
    }
    out->allow = json_is_true(allow);
    out->priority = nj_dynsec_priority_of(object, 0);
    return wrong;
}

static int compare_keys(const void *a, const void *b)
{
    const struct nj_dynsec_acl *x = a;
    const struct nj_dynsec_acl *y = b;
    return x->type != y->type ? (int)x->type - (int)y->type : nj_bytes_compare(x->topic, y->topic);
}

static struct nj_dynsec_fail check_twice(const struct nj_buf *acls)
{
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    size_t count = acls->len / sizeof(struct nj_dynsec_acl);
    struct nj_dynsec_acl *sorted = nj_try_alloc(acls->len + 1);
    if (!sorted) {
        return nj_dynsec_fail_of(NJ_ENOMEM);
    }
    if (count) {
        memcpy(sorted, acls->data, acls->len);
        qsort(sorted, count, sizeof(*sorted), compare_keys);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_keys(&sorted[i - 1], &sorted[i]) == 0) {
            fail = nj_dynsec_fail(NJ_REFUSED_EXISTS, "ACL with this topic already exists");
        }
    }
    nj_free(sorted);
    return fail;
}

/* `acls` of the command, when it has them. */
static struct nj_dynsec_fail read_acls(struct nj_control_call *call, struct nj_buf *buf,
                                       struct nj_dynsec_role *role)
{
    size_t i;
    json_t *entry;
    const json_t *array = json_object_get(nj_control_call_args(call), "acls");
    if (!array) {
        return NJ_DYNSEC_DONE;
    }
    json_array_foreach(array, i, entry)
    {
        struct nj_dynsec_acl acl = {.priority = 0};
        const char *wrong = read_acl(entry, &acl);
        if (wrong) {
            return nj_dynsec_fail(NJ_REFUSED_INVALID, wrong);
        }
        if (nj_buf_append(buf, &acl, sizeof(acl)) != NJ_OK) {
            return nj_dynsec_fail_of(NJ_ENOMEM);
        }
    }
    role->acls = (const struct nj_dynsec_acl *)(void *)buf->data;
    role->acl_count = (uint32_t)(buf->len / sizeof(struct nj_dynsec_acl));
    return check_twice(buf);
}

/* ---- making and changing */

/* What was given over what is there, then the step. */
static struct nj_dynsec_fail put(struct nj_control_call *call, struct nj_dynsec_role *role)
{
    struct nj_buf acls = {NULL, 0, 0};
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    role->allow_wildcard_subs =
        nj_control_call_bool(call, "allowwildcardsubs", role->allow_wildcard_subs);
    if (nj_dynsec_text(call, "textname", &role->text_name, &fail) &&
        nj_dynsec_text(call, "textdescription", &role->text_description, &fail)) {
        fail = read_acls(call, &acls, role);
    }
    if (!fail.text) {
        fail = nj_dynsec_fail_of(nj_dynsec_step_role(&nj_dynsec_module_of(call)->edit, role));
    }
    nj_buf_fini(&acls);
    return fail;
}

static struct nj_dynsec_fail create(struct nj_control_call *call, json_t **data)
{
    struct nj_dynsec_role role;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    (void)data;
    memset(&role, 0, sizeof(role));
    role.allow_wildcard_subs = true;
    if (!nj_dynsec_name(call, "rolename", "Role name not valid UTF-8", &role.name, &fail)) {
        return fail;
    }
    if (nj_dynsec_role(nj_dynsec_draft(call), role.name)) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "Role already exists");
    }
    return put(call, &role);
}

/* Who has it now is who is concerned. */
static struct nj_dynsec_fail kick_holders(struct nj_control_call *call, uint32_t id)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    return nj_dynsec_fail_of(nj_dynsec_kick_role(module->kick, module->mark.state, id));
}

/* Another text is no reason to disconnect anybody. */
static bool changes_rights(struct nj_control_call *call, const struct nj_dynsec_role *role)
{
    const json_t *args = nj_control_call_args(call);
    const json_t *wildcards = json_object_get(args, "allowwildcardsubs");
    return json_object_get(args, "acls") ||
           (json_is_boolean(wildcards) && json_is_true(wildcards) != role->allow_wildcard_subs);
}

static struct nj_dynsec_fail modify(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_role next;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_role *role = find(call, &name, &fail);
    (void)data;
    if (!role) {
        /* The original's words, for this command alone. */
        return fail.fault == NJ_REFUSED_NOT_FOUND
                   ? nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Role does not exist")
                   : fail;
    }
    memcpy(&next, role, sizeof(next));
    if (changes_rights(call, role)) {
        fail = kick_holders(call, role->id);
    }
    return fail.text ? fail : put(call, &next);
}

static struct nj_dynsec_fail delete (struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_role *role = find(call, &name, &fail);
    (void)data;
    if (!role) {
        return fail;
    }
    fail = kick_holders(call, role->id);
    return fail.text ? fail
                     : nj_dynsec_fail_of(
                           nj_dynsec_step_role_gone(&nj_dynsec_module_of(call)->edit, name));
}

static struct nj_dynsec_fail add_acl(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_role next;
    struct nj_dynsec_acl acl = {.priority = 0};
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_role *role = find(call, &name, &fail);
    (void)data;
    if (!role) {
        return fail;
    }
    const char *wrong = read_acl(nj_control_call_args(call), &acl);
    if (wrong) {
        return nj_dynsec_fail(NJ_REFUSED_INVALID, wrong);
    }
    if (nj_dynsec_acl_find(role, (enum nj_dynsec_acl_type)acl.type, acl.topic) >= 0) {
        return nj_dynsec_fail(NJ_REFUSED_EXISTS, "ACL with this topic already exists");
    }
    struct nj_dynsec_acl *acls = nj_try_alloc((role->acl_count + 1) * sizeof(*acls));
    if (!acls) {
        return nj_dynsec_fail_of(NJ_ENOMEM);
    }
    memcpy(&next, role, sizeof(next));
    memcpy(acls, role->acls, role->acl_count * sizeof(*acls));
    acls[next.acl_count++] = acl;
    next.acls = acls;
    fail = kick_holders(call, role->id);
    if (!fail.text) {
        fail = nj_dynsec_fail_of(nj_dynsec_step_role(&nj_dynsec_module_of(call)->edit, &next));
    }
    nj_free(acls);
    return fail;
}

static struct nj_dynsec_fail remove_acl(struct nj_control_call *call, json_t **data)
{
    struct nj_bytes name;
    struct nj_dynsec_role next;
    struct nj_dynsec_acl key = {.priority = 0};
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_role *role = find(call, &name, &fail);
    (void)data;
    if (!role) {
        return fail;
    }
    const char *wrong = read_type(nj_control_call_args(call), &key.type);
    wrong = wrong ? wrong : read_topic(nj_control_call_args(call), &key.topic);
    if (wrong) {
        return nj_dynsec_fail(NJ_REFUSED_INVALID, wrong);
    }
    int place = nj_dynsec_acl_find(role, (enum nj_dynsec_acl_type)key.type, key.topic);
    if (place < 0) {
        return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "ACL not found");
    }
    struct nj_dynsec_acl *acls = nj_try_alloc(role->acl_count * sizeof(*acls));
    if (!acls) {
        return nj_dynsec_fail_of(NJ_ENOMEM);
    }
    size_t before = (size_t)place;
    memcpy(&next, role, sizeof(next));
    memcpy(acls, role->acls, before * sizeof(*acls));
    memcpy(acls + before, role->acls + before + 1, (role->acl_count - before - 1) * sizeof(*acls));
    next.acls = acls;
    next.acl_count--;
    fail = kick_holders(call, role->id);
    if (!fail.text) {
        fail = nj_dynsec_fail_of(nj_dynsec_step_role(&nj_dynsec_module_of(call)->edit, &next));
    }
    nj_free(acls);
    return fail;
}

/* ---- outward */

NJ_DYNSEC_CHANGE(nj_dynsec_create_role, create)
NJ_DYNSEC_CHANGE(nj_dynsec_modify_role, modify)
NJ_DYNSEC_CHANGE(nj_dynsec_delete_role, delete)
NJ_DYNSEC_CHANGE(nj_dynsec_add_role_acl, add_acl)
NJ_DYNSEC_CHANGE(nj_dynsec_remove_role_acl, remove_acl)

void nj_dynsec_get_role(struct nj_control_call *call)
{
    struct nj_bytes name;
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    const struct nj_dynsec_role *role = find(call, &name, &fail);
    if (!role) {
        nj_control_call_fail(call, fail.fault, fail.text);
        return;
    }
    nj_control_call_done(call, json_pack("{s:o}", "role", nj_dynsec_show_role(role)));
}

static json_t *show(const struct nj_dynsec_state *state, const void *item)
{
    (void)state;
    return nj_dynsec_show_role(item);
}

void nj_dynsec_list_roles(struct nj_control_call *call)
{
    nj_control_call_done(call,
                         nj_dynsec_show_list(call, &nj_dynsec_draft(call)->roles, "roles", show));
}
