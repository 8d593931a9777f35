/* See dynsec_edit.h. dynsec_replay.c reads the log again. */
#include "security/dynsec_edit.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "security/dynsec_json.h"

/* ---- drafts */

enum nj_err nj_dynsec_edit_init(struct nj_dynsec_edit *edit, const struct nj_dynsec_state *base)
{
    *edit = (struct nj_dynsec_edit){.state = nj_dynsec_state_copy(base)};
    return edit->state ? NJ_OK : NJ_ENOMEM;
}

void nj_dynsec_edit_fini(struct nj_dynsec_edit *edit)
{
    nj_dynsec_state_unref(edit->state);
    nj_wipe(edit->log.data, edit->log.len); /* it has password hashes */
    nj_buf_fini(&edit->log);
    edit->state = NULL;
}

enum nj_err nj_dynsec_edit_mark(struct nj_dynsec_edit *edit, struct nj_dynsec_mark *mark)
{
    *mark = (struct nj_dynsec_mark){nj_dynsec_state_copy(edit->state), edit->log.len};
    return mark->state ? NJ_OK : NJ_ENOMEM;
}

void nj_dynsec_edit_undo(struct nj_dynsec_edit *edit, struct nj_dynsec_mark *mark)
{
    /* Numbers that were given away stay so. */
    mark->state->next_id = edit->state->next_id;
    mark->state->next_credential = edit->state->next_credential;
    nj_dynsec_state_unref(edit->state);
    edit->state = mark->state;
    edit->log.len = mark->log_len;
    mark->state = NULL;
}

void nj_dynsec_edit_forget(struct nj_dynsec_mark *mark)
{
    nj_dynsec_state_unref(mark->state);
    mark->state = NULL;
}

/* ---- the log: one object to a line, whose only key says what the step was */

struct line {
    struct nj_json_out out;
    size_t start;
};

static struct nj_json_out *begin_line(struct nj_dynsec_edit *edit, struct line *line,
                                      const char *step)
{
    line->start = edit->log.len;
    nj_json_out_init(&line->out, &edit->log, false);
    nj_json_out_object(&line->out);
    nj_json_out_key(&line->out, step);
    return &line->out;
}

static enum nj_err end_line(struct nj_dynsec_edit *edit, struct line *line)
{
    nj_json_out_end(&line->out);
    enum nj_err err = line->out.err;
    err = err == NJ_OK ? nj_buf_append(&edit->log, "\n", 1) : err;
    if (err != NJ_OK || edit->is_replay) {
        edit->log.len = line->start;
    }
    return err;
}

static enum nj_err log_text(struct nj_dynsec_edit *edit, const char *step, struct nj_bytes text)
{
    struct line line;
    struct nj_json_out *out = begin_line(edit, &line, step);
    if (text.ptr) {
        nj_json_out_text(out, text);
    } else {
        nj_json_out_null(out);
    }
    return end_line(edit, &line);
}

static enum nj_err log_membership(struct nj_dynsec_edit *edit, const char *step,
                                  struct nj_bytes group, struct nj_bytes client,
                                  const int32_t *priority)
{
    struct line line;
    struct nj_json_out *out = begin_line(edit, &line, step);
    nj_json_out_object(out);
    nj_json_out_key(out, "groupname");
    nj_json_out_text(out, group);
    nj_json_out_key(out, "username");
    nj_json_out_text(out, client);
    if (priority) {
        nj_json_out_key(out, "priority");
        nj_json_out_int(out, *priority);
    }
    nj_json_out_end(out);
    return end_line(edit, &line);
}

/* ---- order of evaluation */

struct named_ref {
    struct nj_dynsec_ref ref;
    struct nj_bytes name;
};

static int compare_refs(const void *a, const void *b)
{
    const struct named_ref *x = a;
    const struct named_ref *y = b;
    if (x->ref.priority != y->ref.priority) {
        return x->ref.priority > y->ref.priority ? -1 : 1;
    }
    return nj_bytes_compare(x->name, y->name);
}

static bool name_of(const struct nj_dynsec_state *state, bool is_group, uint32_t id,
                    struct nj_bytes *out)
{
    if (is_group) {
        const struct nj_dynsec_group *group = nj_dynsec_group_by_id(state, id);
        *out = group ? group->name : *out;
        return group != NULL;
    }
    const struct nj_dynsec_role *role = nj_dynsec_role_by_id(state, id);
    *out = role ? role->name : *out;
    return role != NULL;
}

enum nj_err nj_dynsec_refs_sort(const struct nj_dynsec_state *state, bool is_group,
                                const struct nj_dynsec_ref *refs, uint32_t *count,
                                struct nj_dynsec_ref **out)
{
    uint32_t kept = 0;
    struct named_ref *named = nj_try_alloc((*count + 1) * sizeof(*named));
    struct nj_dynsec_ref *sorted = nj_try_alloc((*count + 1) * sizeof(*sorted));
    if (!named || !sorted) {
        nj_free(named);
        nj_free(sorted);
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; i < *count; i++) {
        named[kept].ref = refs[i];
        kept += name_of(state, is_group, refs[i].id, &named[kept].name);
    }
    qsort(named, kept, sizeof(*named), compare_refs);
    for (uint32_t i = 0; i < kept; i++) {
        sorted[i] = named[i].ref;
    }
    nj_free(named);
    *out = sorted;
    *count = kept;
    return NJ_OK;
}

struct placed_acl {
    struct nj_dynsec_acl acl;
    uint32_t place;
};

static int compare_acls(const void *a, const void *b)
{
    const struct placed_acl *x = a;
    const struct placed_acl *y = b;
    if (x->acl.type != y->acl.type) {
        return x->acl.type < y->acl.type ? -1 : 1;
    }
    if (x->acl.priority != y->acl.priority) {
        return x->acl.priority > y->acl.priority ? -1 : 1;
    }
    return x->place < y->place ? -1 : 1;
}

static struct nj_dynsec_role *make_sorted_role(const struct nj_dynsec_role *from, uint32_t id)
{
    struct nj_dynsec_role sorted;
    uint32_t count = from->acl_count;
    struct placed_acl *placed = nj_try_alloc((count + 1) * sizeof(*placed));
    struct nj_dynsec_acl *acls = nj_try_alloc((count + 1) * sizeof(*acls));
    struct nj_dynsec_role *role = NULL;
    if (placed && acls) {
        for (uint32_t i = 0; i < count; i++) {
            placed[i] = (struct placed_acl){from->acls[i], i};
        }
        qsort(placed, count, sizeof(*placed), compare_acls);
        for (uint32_t i = 0; i < count; i++) {
            acls[i] = placed[i].acl;
        }
        memcpy(&sorted, from, sizeof(sorted));
        sorted.id = id;
        sorted.acls = acls;
        role = nj_dynsec_role_make(&sorted);
    }
    nj_free(placed);
    nj_free(acls);
    return role;
}

/* ---- putting records into the draft; each takes the record over */

static enum nj_err put_role(struct nj_dynsec_state *state, struct nj_dynsec_role *role)
{
    if (!role) {
        return NJ_ENOMEM;
    }
    enum nj_err err = nj_pmap_put(&state->role_ids, nj_dynsec_roles_type.ref(role));
    if (err != NJ_OK) {
        nj_dynsec_roles_type.unref(role);
        return err;
    }
    state->rules_version++;
    return nj_pmap_put(&state->roles, role);
}

static enum nj_err put_group(struct nj_dynsec_state *state, struct nj_dynsec_group *group)
{
    if (!group) {
        return NJ_ENOMEM;
    }
    enum nj_err err = nj_pmap_put(&state->group_ids, nj_dynsec_groups_type.ref(group));
    if (err != NJ_OK) {
        nj_dynsec_groups_type.unref(group);
        return err;
    }
    state->rules_version++;
    return nj_pmap_put(&state->groups, group);
}

static enum nj_err put_client(struct nj_dynsec_state *state, struct nj_dynsec_client *client)
{
    if (!client) {
        return NJ_ENOMEM;
    }
    state->rules_version++;
    return nj_pmap_put(&state->clients, client);
}

/* ---- what a change may mean for who is logged in: identity_version makes every session be looked
 * at again, so it moves only when it has to. Whoever may administer needs certificateLogin to come
 * in by a certificate. */

/* `name`: the one client that is concerned; ptr NULL = anybody. */
static void touch_logins(struct nj_dynsec_state *state, struct nj_bytes name)
{
    state->identity_version++;
    state->recent[state->identity_version % NJ_DYNSEC_RECENT] =
        name.ptr ? nj_hash_bytes(name) | 1 : NJ_DYNSEC_EVERYBODY;
}

static void touch_all_logins_if(struct nj_dynsec_state *state, bool is_needed)
{
    if (is_needed) {
        touch_logins(state, nj_bytes(NULL, 0));
    }
}

static bool group_controls(const struct nj_dynsec_state *state, const struct nj_dynsec_group *group)
{
    return nj_dynsec_roles_may_control(state, group->roles, group->role_count);
}

static bool is_same_text(struct nj_bytes a, struct nj_bytes b)
{
    return (a.ptr == NULL) == (b.ptr == NULL) && nj_bytes_equal(a, b);
}

static bool is_same_identity(const struct nj_dynsec_client *a, const struct nj_dynsec_client *b)
{
    return a->is_disabled == b->is_disabled && a->credential == b->credential &&
           a->may_use_certificate == b->may_use_certificate &&
           is_same_text(a->client_id, b->client_id);
}

/* ---- steps */

enum nj_err nj_dynsec_step_index(struct nj_dynsec_edit *edit)
{
    struct line line;
    edit->state->change_index++;
    nj_json_out_int(begin_line(edit, &line, "changeIndex"), (int64_t)edit->state->change_index);
    return end_line(edit, &line);
}

enum nj_err nj_dynsec_step_defaults(struct nj_dynsec_edit *edit,
                                    const bool allow[NJ_DYNSEC_ACCESS_COUNT])
{
    struct line line;
    memcpy(edit->state->defaults, allow, sizeof(edit->state->defaults));
    edit->state->rules_version++;
    nj_dynsec_write_defaults(begin_line(edit, &line, "defaultACLAccess"), allow);
    return end_line(edit, &line);
}

enum nj_err nj_dynsec_step_anonymous(struct nj_dynsec_edit *edit,
                                     const struct nj_dynsec_group *group)
{
    edit->state->anonymous_group = group ? group->id : NJ_DYNSEC_NOBODY;
    edit->state->rules_version++;
    return log_text(edit, "anonymousGroup", group ? group->name : nj_bytes(NULL, 0));
}

enum nj_err nj_dynsec_step_certificate(struct nj_dynsec_edit *edit,
                                       const struct nj_dynsec_group *group)
{
    edit->state->certificate_group = group ? group->id : NJ_DYNSEC_NOBODY;
    edit->state->rules_version++;
    touch_all_logins_if(edit->state, true);
    return log_text(edit, "certificateGroup", group ? group->name : nj_bytes(NULL, 0));
}

enum nj_err nj_dynsec_step_role(struct nj_dynsec_edit *edit, const struct nj_dynsec_role *role)
{
    struct line line;
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_role *old = nj_dynsec_role(state, role->name);
    bool did_control = old && nj_dynsec_role_may_control(old);
    struct nj_dynsec_role *fresh = make_sorted_role(role, old ? old->id : state->next_id);
    enum nj_err err = put_role(state, fresh);
    if (err != NJ_OK) {
        return err;
    }
    state->next_id += old == NULL;
    touch_all_logins_if(state, did_control != nj_dynsec_role_may_control(fresh));
    nj_dynsec_write_role(begin_line(edit, &line, "role"), fresh);
    return end_line(edit, &line);
}

enum nj_err nj_dynsec_step_group(struct nj_dynsec_edit *edit, const struct nj_dynsec_group *group)
{
    struct line line;
    struct nj_dynsec_group next;
    struct nj_dynsec_ref *roles;
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_group *old = nj_dynsec_group(state, group->name);
    memcpy(&next, group, sizeof(next));
    enum nj_err err = nj_dynsec_refs_sort(state, false, group->roles, &next.role_count, &roles);
    if (err != NJ_OK) {
        return err;
    }
    next.id = old ? old->id : state->next_id;
    next.roles = roles;
    if (old) {
        next.members = old->members;
    } else {
        nj_pmap_init(&next.members, &nj_dynsec_members_type);
    }
    bool did_control = old && group_controls(state, old);
    struct nj_dynsec_group *fresh = nj_dynsec_group_make(&next);
    nj_free(roles);
    err = put_group(state, fresh);
    if (err != NJ_OK) {
        return err;
    }
    state->next_id += old == NULL;
    touch_all_logins_if(state, did_control != group_controls(state, fresh));
    nj_dynsec_write_group(begin_line(edit, &line, "group"), state, fresh, false);
    return end_line(edit, &line);
}

/* What a session was let in with: it does not survive another hash, even one of the same
 * password. */
static uint64_t credential_of(struct nj_dynsec_state *state, const struct nj_dynsec_client *old,
                              struct nj_bytes hash)
{
    return old && is_same_text(old->hash, hash) ? old->credential : state->next_credential++;
}

enum nj_err nj_dynsec_step_client(struct nj_dynsec_edit *edit,
                                  const struct nj_dynsec_client *client)
{
    struct line line;
    struct nj_dynsec_client next;
    struct nj_dynsec_ref *roles;
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_client *old = nj_dynsec_client(state, client->name);
    memcpy(&next, client, sizeof(next));
    enum nj_err err = nj_dynsec_refs_sort(state, false, client->roles, &next.role_count, &roles);
    if (err != NJ_OK) {
        return err;
    }
    next.roles = roles;
    next.groups = old ? old->groups : NULL;
    next.group_count = old ? old->group_count : 0;
    next.credential = credential_of(state, old, client->hash);
    struct nj_dynsec_client *fresh = nj_dynsec_client_make(&next);
    nj_free(roles);
    bool is_same =
        fresh && old && is_same_identity(old, fresh) &&
        nj_dynsec_client_may_control(state, old) == nj_dynsec_client_may_control(state, fresh);
    err = put_client(state, fresh);
    if (err != NJ_OK) {
        return err;
    }
    if (!is_same) {
        touch_logins(state, fresh->name);
    }
    nj_dynsec_write_client(begin_line(edit, &line, "client"), state, fresh, NJ_DYNSEC_FORM_21);
    return end_line(edit, &line);
}

enum nj_err nj_dynsec_step_role_gone(struct nj_dynsec_edit *edit, struct nj_bytes name)
{
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_role *role = nj_dynsec_role(state, name);
    if (!role) {
        return NJ_ENOENT;
    }
    /* First, while the name is there: it may be the record's own. */
    enum nj_err err = log_text(edit, "roleGone", name);
    uint32_t id = role->id;
    touch_all_logins_if(state, nj_dynsec_role_may_control(role));
    err = err == NJ_OK ? nj_pmap_remove(&state->roles, name) : err;
    err = err == NJ_OK ? nj_pmap_remove(&state->role_ids, nj_bytes(&id, sizeof(id))) : err;
    state->rules_version++;
    return err;
}

/* The client without the group, or with it at a priority. */
static enum nj_err set_group_of_client(struct nj_dynsec_state *state,
                                       const struct nj_dynsec_client *client, uint32_t group_id,
                                       const int32_t *priority)
{
    struct nj_dynsec_client next;
    struct nj_dynsec_ref *sorted;
    uint32_t count = 0;
    struct nj_dynsec_ref *groups = nj_try_alloc((client->group_count + 1) * sizeof(*groups));
    if (!groups) {
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; i < client->group_count; i++) {
        if (client->groups[i].id != group_id) {
            groups[count++] = client->groups[i];
        }
    }
    if (priority) {
        groups[count++] = (struct nj_dynsec_ref){group_id, *priority};
    }
    enum nj_err err = nj_dynsec_refs_sort(state, true, groups, &count, &sorted);
    nj_free(groups);
    if (err != NJ_OK) {
        return err;
    }
    memcpy(&next, client, sizeof(next));
    next.groups = sorted;
    next.group_count = count;
    struct nj_dynsec_client *fresh = nj_dynsec_client_make(&next);
    nj_free(sorted);
    return put_client(state, fresh);
}

/* Takes the member over; NULL: the client leaves. */
static enum nj_err set_member_of_group(struct nj_dynsec_state *state,
                                       const struct nj_dynsec_group *group, struct nj_bytes client,
                                       struct nj_dynsec_member *member)
{
    struct nj_dynsec_group next;
    memcpy(&next, group, sizeof(next));
    next.members = nj_pmap_copy(&group->members);
    enum nj_err err =
        member ? nj_pmap_put(&next.members, member) : nj_pmap_remove(&next.members, client);
    if (err == NJ_OK) {
        err = put_group(state, nj_dynsec_group_make(&next));
    }
    nj_pmap_fini(&next.members);
    return err;
}

enum nj_err nj_dynsec_step_group_gone(struct nj_dynsec_edit *edit, struct nj_bytes name)
{
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_group *group = nj_dynsec_group(state, name);
    if (!group) {
        return NJ_ENOENT;
    }
    enum nj_err err = log_text(edit, "groupGone", name);
    uint32_t id = group->id;
    touch_all_logins_if(state, group_controls(state, group) || id == state->certificate_group);
    err = err == NJ_OK ? nj_pmap_remove(&state->groups, name) : err;
    err = err == NJ_OK ? nj_pmap_remove(&state->group_ids, nj_bytes(&id, sizeof(id))) : err;
    state->rules_version++;
    if (state->anonymous_group == id) {
        state->anonymous_group = NJ_DYNSEC_NOBODY;
    }
    if (state->certificate_group == id) {
        state->certificate_group = NJ_DYNSEC_NOBODY;
    }
    return err;
}

enum nj_err nj_dynsec_step_client_gone(struct nj_dynsec_edit *edit, struct nj_bytes name)
{
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_client *client = nj_dynsec_client(state, name);
    if (!client) {
        return NJ_ENOENT;
    }
    enum nj_err err = log_text(edit, "clientGone", name);
    for (uint32_t i = 0; i < client->group_count && err == NJ_OK; i++) {
        const struct nj_dynsec_group *group = nj_dynsec_group_by_id(state, client->groups[i].id);
        if (group) {
            err = set_member_of_group(state, group, name, NULL);
        }
    }
    err = err == NJ_OK ? nj_pmap_remove(&state->clients, name) : err;
    state->rules_version++;
    touch_logins(state, name);
    return err;
}

enum nj_err nj_dynsec_step_join(struct nj_dynsec_edit *edit, struct nj_bytes group_name,
                                struct nj_bytes client_name, int32_t priority)
{
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_group *group = nj_dynsec_group(state, group_name);
    const struct nj_dynsec_client *client = nj_dynsec_client(state, client_name);
    if (!group || !client) {
        return NJ_ENOENT;
    }
    enum nj_err err = log_membership(edit, "join", group_name, client_name, &priority);
    if (err != NJ_OK) {
        return err;
    }
    struct nj_dynsec_member *member = nj_dynsec_member_make(client_name, priority);
    err = member ? set_group_of_client(state, client, group->id, &priority) : NJ_ENOMEM;
    if (err != NJ_OK) {
        nj_free(member);
        return err;
    }
    if (group_controls(state, group)) {
        touch_logins(state, client_name);
    }
    return set_member_of_group(state, group, client_name, member);
}

enum nj_err nj_dynsec_step_leave(struct nj_dynsec_edit *edit, struct nj_bytes group_name,
                                 struct nj_bytes client_name)
{
    struct nj_dynsec_state *state = edit->state;
    const struct nj_dynsec_group *group = nj_dynsec_group(state, group_name);
    const struct nj_dynsec_client *client = nj_dynsec_client(state, client_name);
    if (!group || !client || !nj_pmap_get(&group->members, client_name)) {
        return NJ_ENOENT;
    }
    enum nj_err err = log_membership(edit, "leave", group_name, client_name, NULL);
    err = err == NJ_OK ? set_group_of_client(state, client, group->id, NULL) : err;
    if (group_controls(state, group)) {
        touch_logins(state, client_name);
    }
    return err == NJ_OK ? set_member_of_group(state, group, client_name, NULL) : err;
}
