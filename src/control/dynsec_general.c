/* Commands about dynamic security as a whole. See dynsec_priv.h. */
#include <string.h>

#include "base/mem.h"
#include "control/dynsec_priv.h"
#include "security/dynsec_file.h"

#define EXPORT_MAX ((size_t)64 << 20)

void nj_dynsec_get_details(struct nj_control_call *call)
{
    const struct nj_dynsec_state *state = nj_dynsec_draft(call);
    nj_control_call_done(call, json_pack("{s:I, s:I, s:I, s:I}", "clientCount",
                                         (json_int_t)nj_pmap_count(&state->clients), "groupCount",
                                         (json_int_t)nj_pmap_count(&state->groups), "roleCount",
                                         (json_int_t)nj_pmap_count(&state->roles), "changeIndex",
                                         (json_int_t)state->change_index));
}

/* ---- defaults */

static struct nj_dynsec_fail set_defaults(struct nj_control_call *call, json_t **data)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    bool allow[NJ_DYNSEC_ACCESS_COUNT];
    size_t i;
    json_t *entry;
    (void)data;
    memcpy(allow, module->edit.state->defaults, sizeof(allow));
    json_array_foreach(json_object_get(nj_control_call_args(call), "acls"), i, entry)
    {
        enum nj_dynsec_access access;
        const char *type = json_string_value(json_object_get(entry, "acltype"));
        const json_t *value = json_object_get(entry, "allow");
        /* What makes no sense is passed over, as the original does; nothing opens by it. */
        if (type && json_is_boolean(value) && nj_dynsec_access_find(type, &access)) {
            allow[access] = json_is_true(value);
        }
    }
    return nj_dynsec_fail_of(nj_dynsec_step_defaults(&module->edit, allow));
}

NJ_DYNSEC_CHANGE(nj_dynsec_set_defaults, set_defaults)

void nj_dynsec_get_defaults(struct nj_control_call *call)
{
    json_t *acls = json_array();
    for (int i = 0; i < NJ_DYNSEC_ACCESS_COUNT; i++) {
        (void)json_array_append_new(acls,
                                    json_pack("{s:s, s:b}", "acltype",
                                              nj_dynsec_access_name((enum nj_dynsec_access)i),
                                              "allow", (int)nj_dynsec_draft(call)->defaults[i]));
    }
    nj_control_call_done(call, json_pack("{s:o}", "acls", acls));
}

/* ---- special groups */

static json_t *show_special(const struct nj_dynsec_state *state, uint32_t id)
{
    const struct nj_dynsec_group *group =
        id == NJ_DYNSEC_NOBODY ? NULL : nj_dynsec_group_by_id(state, id);
    struct nj_bytes name =
        group ? group->name : NJ_BYTES_LIT(""); /* as the original: always there */
    json_t *object = json_object();
    (void)json_object_set_new(object, "groupname", json_stringn((const char *)name.ptr, name.len));
    return json_pack("{s:o}", "group", object);
}

static struct nj_dynsec_fail set_anonymous(struct nj_control_call *call, json_t **data)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    struct nj_bytes name;
    (void)data;
    if (!nj_dynsec_name(call, "groupname", "Group name not valid UTF-8", &name, &fail)) {
        return fail;
    }
    const struct nj_dynsec_group *group = nj_dynsec_group(module->edit.state, name);
    if (!group) {
        return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Group not found");
    }
    enum nj_err err = nj_dynsec_step_anonymous(&module->edit, group);
    err = err == NJ_OK ? nj_dynsec_kick_anonymous(module->kick) : err;
    return nj_dynsec_fail_of(err);
}

NJ_DYNSEC_CHANGE(nj_dynsec_set_anonymous, set_anonymous)

void nj_dynsec_get_anonymous(struct nj_control_call *call)
{
    const struct nj_dynsec_state *state = nj_dynsec_draft(call);
    nj_control_call_done(call, show_special(state, state->anonymous_group));
}

/* Whoever has a certificate is in it: it must not make an administrator of anybody. */
static struct nj_dynsec_fail set_certificate(struct nj_control_call *call, json_t **data)
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    struct nj_dynsec_fail fail = NJ_DYNSEC_DONE;
    struct nj_bytes name;
    (void)data;
    if (!nj_dynsec_name(call, "groupname", "Group name not valid UTF-8", &name, &fail)) {
        return fail;
    }
    const struct nj_dynsec_group *group =
        name.len ? nj_dynsec_group(module->edit.state, name) : NULL;
    if (name.len && !group) {
        return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Group not found");
    }
    if (group && nj_dynsec_roles_may_control(module->edit.state, group->roles, group->role_count)) {
        return nj_dynsec_fail(NJ_REFUSED_FORBIDDEN,
                              "This group may administer, which needs an account");
    }
    return nj_dynsec_fail_of(nj_dynsec_step_certificate(&module->edit, group));
}

NJ_DYNSEC_CHANGE(nj_dynsec_set_certificate, set_certificate)

void nj_dynsec_get_certificate(struct nj_control_call *call)
{
    const struct nj_dynsec_state *state = nj_dynsec_draft(call);
    nj_control_call_done(call, show_special(state, state->certificate_group));
}

/* ---- export */

struct without {
    json_t *names;
};

static bool add_without(void *arg, void *item)
{
    const struct nj_dynsec_client *client = item;
    const struct without *without = arg;
    if (!nj_dynsec_has_form_20(client)) {
        (void)json_array_append_new(without->names,
                                    json_stringn((const char *)client->name.ptr, client->name.len));
    }
    return true;
}

void nj_dynsec_export(struct nj_control_call *call)
{
    const struct nj_dynsec_state *state = nj_dynsec_draft(call);
    const char *name = nj_control_call_string(call, "form");
    bool is_20 = name && strcmp(name, "2.0") == 0;
    struct nj_buf text = {NULL, 0, 0};
    struct without without = {json_array()};
    if (name && !is_20 && strcmp(name, "2.1") != 0) {
        json_decref(without.names);
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid/missing form");
        return;
    }
    enum nj_err err = nj_dynsec_save(state, is_20 ? NJ_DYNSEC_FORM_20 : NJ_DYNSEC_FORM_21, &text);
    json_t *config = err == NJ_OK && text.len <= EXPORT_MAX
                         ? json_loadb((const char *)text.data, text.len, 0, NULL)
                         : NULL;
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    if (!config) {
        json_decref(without.names);
        nj_control_call_fail(call, NJ_REFUSED_LIMIT, "Too large to be sent");
        return;
    }
    if (is_20) {
        (void)nj_pmap_walk(&state->clients, add_without, &without);
    }
    nj_control_call_done(
        call, json_pack("{s:o, s:o}", "config", config, "withoutPassword", without.names));
}
