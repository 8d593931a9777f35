/* Explaining what dynamic security says. */
#include <stdio.h>

#include "base/mem.h"
#include "mqtt/topic.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_model.h"
#include "security/dynsec_principal.h"
#include "security/explain_priv.h"

#define TEXT_MAX 2048
/* Roles of others that are looked through. */
#define ROLES_MAX 20000

static enum nj_dynsec_access access_of(const struct nj_explain_case *the_case)
{
    switch (the_case->question->action) {
    case NJ_ACTION_DELIVER:
        return NJ_DYNSEC_ACCESS_RECEIVE;
    case NJ_ACTION_SUBSCRIBE:
        return NJ_DYNSEC_ACCESS_SUBSCRIBE;
    case NJ_ACTION_UNSUBSCRIBE:
        return NJ_DYNSEC_ACCESS_UNSUBSCRIBE;
    default:
        return NJ_DYNSEC_ACCESS_SEND;
    }
}

static enum nj_dynsec_access access_of_type(enum nj_dynsec_acl_type type)
{
    switch (type) {
    case NJ_DYNSEC_SEND:
        return NJ_DYNSEC_ACCESS_SEND;
    case NJ_DYNSEC_RECEIVE:
        return NJ_DYNSEC_ACCESS_RECEIVE;
    case NJ_DYNSEC_SUBSCRIBE_LITERAL:
    case NJ_DYNSEC_SUBSCRIBE_PATTERN:
        return NJ_DYNSEC_ACCESS_SUBSCRIBE;
    default:
        return NJ_DYNSEC_ACCESS_UNSUBSCRIBE;
    }
}

static bool is_literal(const struct nj_dynsec_acl *acl)
{
    return acl->type == NJ_DYNSEC_SUBSCRIBE_LITERAL || acl->type == NJ_DYNSEC_UNSUBSCRIBE_LITERAL;
}

/* Who the question is about, as the module sees it. */
struct asker {
    const struct nj_explain_case *the_case;
    struct nj_explanation *out;
    struct nj_dynsec_principal *principal; /* or NULL */
    enum nj_dynsec_who who;
    struct nj_buf filled;
};

static enum nj_err asker_init(struct asker *asker, const struct nj_explain_case *the_case,
                              struct nj_explanation *out)
{
    *asker = (struct asker){.the_case = the_case, .out = out};
    nj_buf_init(&asker->filled);
    return nj_dynsec_principal_refresh(the_case->scope->dynsec, the_case->question->user,
                                       the_case->question->by_certificate, &asker->principal,
                                       &asker->who);
}

static void asker_fini(struct asker *asker)
{
    nj_dynsec_principal_unref(asker->principal);
    nj_buf_fini(&asker->filled);
}

static bool has_role(const struct asker *asker, const struct nj_dynsec_role *role)
{
    size_t count = asker->principal ? nj_dynsec_principal_role_count(asker->principal) : 0;
    for (size_t i = 0; i < count; i++) {
        if (nj_dynsec_principal_role(asker->principal, i)->id == role->id) {
            return true;
        }
    }
    return false;
}

/* ---- entries that came close */

static bool concerns(struct asker *asker, const struct nj_dynsec_acl *acl,
                     char why[NJ_EXPLAIN_WHY_MAX])
{
    const struct nj_explain_question *question = asker->the_case->question;
    if (is_literal(acl)) {
        return nj_bytes_equal(acl->topic, asker->the_case->topic);
    }
    if (!nj_explain_fill(acl->topic, question->user, question->client_id, &asker->filled, why)) {
        return false;
    }
    struct nj_bytes filter = nj_buf_bytes(&asker->filled);
    return asker->the_case->is_filter ? nj_mqtt_filter_covers(filter, asker->the_case->topic)
                                      : nj_mqtt_topic_matches(filter, asker->the_case->topic);
}

/* False: it is not near. */
static bool judge(struct asker *asker, const struct nj_dynsec_acl *acl, bool is_mine,
                  unsigned *distance, char why[NJ_EXPLAIN_WHY_MAX])
{
    bool is_access =
        access_of_type((enum nj_dynsec_acl_type)acl->type) == access_of(asker->the_case);
    bool is_concerned = concerns(asker, acl, why);
    if (is_concerned && is_mine && is_access) {
        *distance = NJ_NEAR_MATCHES;
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX,
                       "matches as well and %s, but another entry is asked first",
                       acl->allow ? "allows" : "denies");
        return true;
    }
    if (is_concerned && is_mine && acl->allow) {
        *distance = NJ_NEAR_ACCESS;
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "is about another action");
        return true;
    }
    if (is_concerned && is_access && acl->allow) {
        *distance = NJ_NEAR_OTHERS;
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "is in a role that this client does not have");
        return true;
    }
    struct nj_bytes filter = is_literal(acl) ? acl->topic : nj_buf_bytes(&asker->filled);
    return !is_concerned && is_mine && is_access && acl->allow && filter.len > 0 &&
           nj_explain_difference(asker->the_case->topic, filter, distance, why);
}

static enum nj_err look_at_role(struct asker *asker, const struct nj_dynsec_role *role)
{
    const struct nj_verdict *verdict = &asker->out->verdict;
    bool is_mine = has_role(asker, role);
    for (uint32_t i = 0; i < role->acl_count; i++) {
        const struct nj_dynsec_acl *acl = &role->acls[i];
        char why[NJ_EXPLAIN_WHY_MAX];
        char where[TEXT_MAX];
        char text[TEXT_MAX];
        unsigned distance = 0;
        bool is_decider = verdict->reason == NJ_VERDICT_ROLE && verdict->role_id == role->id &&
                          verdict->rule_id == i;
        if (is_decider || !judge(asker, acl, is_mine, &distance, why)) {
            continue;
        }
        (void)snprintf(where, sizeof(where), "role %.*s", (int)role->name.len,
                       (const char *)role->name.ptr);
        (void)snprintf(text, sizeof(text), "%s %.*s %s (priority %d)",
                       nj_dynsec_acl_type_name((enum nj_dynsec_acl_type)acl->type),
                       (int)acl->topic.len, (const char *)acl->topic.ptr,
                       acl->allow ? "allow" : "deny", acl->priority);
        enum nj_err err =
            nj_explanation_add_near(asker->out, distance, where, nj_bytes_of(text), why);
        if (err != NJ_OK) {
            return err;
        }
    }
    return NJ_OK;
}

enum nj_err nj_explain_dynsec_near(const struct nj_explain_case *the_case,
                                   struct nj_explanation *out)
{
    const struct nj_dynsec_state *state = the_case->scope->dynsec;
    struct asker asker;
    enum nj_err err = asker_init(&asker, the_case, out);
    size_t count = nj_pmap_count(&state->roles);
    for (size_t i = 0; err == NJ_OK && i < count && i < ROLES_MAX; i++) {
        err = look_at_role(&asker, nj_pmap_at(&state->roles, i));
    }
    asker_fini(&asker);
    return err;
}

/* ---- the smallest change: one more entry in the role that is asked first */

static enum nj_dynsec_acl_type type_to_add(const struct nj_explain_case *the_case)
{
    switch (access_of(the_case)) {
    case NJ_DYNSEC_ACCESS_SEND:
        return NJ_DYNSEC_SEND;
    case NJ_DYNSEC_ACCESS_RECEIVE:
        return NJ_DYNSEC_RECEIVE;
    case NJ_DYNSEC_ACCESS_SUBSCRIBE:
        return NJ_DYNSEC_SUBSCRIBE_PATTERN;
    default:
        return NJ_DYNSEC_UNSUBSCRIBE_PATTERN;
    }
}

/* Above every other entry of its type. */
static int32_t priority_to_add(const struct nj_dynsec_role *role, enum nj_dynsec_acl_type type)
{
    int32_t priority = 0;
    for (uint32_t i = 0; i < role->acl_count; i++) {
        const struct nj_dynsec_acl *acl = &role->acls[i];
        if (acl->type == type && acl->priority >= priority && priority < NJ_DYNSEC_PRIORITY_MAX) {
            priority = acl->priority + 1;
        }
    }
    return priority < NJ_DYNSEC_PRIORITY_MAX ? priority : NJ_DYNSEC_PRIORITY_MAX;
}

/* The role with the entry, in the order that records have. */
static enum nj_err step_entry(struct nj_dynsec_edit *edit, const struct nj_dynsec_role *role,
                              const struct nj_dynsec_acl *entry)
{
    struct nj_dynsec_acl *acls = nj_try_alloc((role->acl_count + 1) * sizeof(*acls));
    if (!acls) {
        return NJ_ENOMEM;
    }
    uint32_t at = 0;
    while (at < role->acl_count &&
           (role->acls[at].type < entry->type ||
            (role->acls[at].type == entry->type && role->acls[at].priority >= entry->priority))) {
        at++;
    }
    if (role->acl_count > 0) {
        memcpy(acls, role->acls, at * sizeof(*acls));
        memcpy(acls + at + 1, role->acls + at, (role->acl_count - at) * sizeof(*acls));
    }
    acls[at] = *entry;
    struct nj_dynsec_role with = {
        .name = role->name,
        .text_name = role->text_name,
        .text_description = role->text_description,
        .allow_wildcard_subs = role->allow_wildcard_subs,
        .acl_count = role->acl_count + 1,
        .acls = acls,
    };
    enum nj_err err = nj_dynsec_step_role(edit, &with);
    nj_free(acls);
    return err;
}

static enum nj_err is_allowed_under(const struct nj_explain_case *the_case,
                                    struct nj_dynsec_state *state, bool *allowed)
{
    const struct nj_explain_question *question = the_case->question;
    struct nj_scope scope = *the_case->scope;
    struct nj_subject subject;
    struct nj_verdict verdict;
    scope.acl = NULL;
    scope.passwords = NULL;
    scope.psks = NULL;
    scope.dynsec = nj_dynsec_state_ref(state);
    struct nj_policy *policy = nj_policy_new(1, &scope, 1);
    nj_subject_init(&subject, question->user, question->client_id, 0);
    subject.by_certificate = question->by_certificate;
    nj_authz(policy, &subject, question->action, question->topic, &verdict);
    nj_subject_fini(&subject);
    nj_policy_unref(policy);
    *allowed = verdict.allowed;
    return NJ_OK;
}

static enum nj_err try_entry(const struct nj_explain_case *the_case,
                             const struct nj_dynsec_role *role, const struct nj_dynsec_acl *entry,
                             bool *allowed)
{
    struct nj_dynsec_edit edit;
    *allowed = false;
    enum nj_err err = nj_dynsec_edit_init(&edit, the_case->scope->dynsec);
    if (err != NJ_OK) {
        return err;
    }
    err = step_entry(&edit, role, entry);
    err = err == NJ_OK ? is_allowed_under(the_case, edit.state, allowed) : err;
    nj_dynsec_edit_fini(&edit);
    return err;
}

static enum nj_err note_entry(const struct nj_dynsec_role *role, const struct nj_dynsec_acl *entry,
                              struct nj_explanation *out)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_buf_printf(
        &text, "nj ctl dynsec addRoleACL %.*s %s '%.*s' allow %d", (int)role->name.len,
        (const char *)role->name.ptr, nj_dynsec_acl_type_name((enum nj_dynsec_acl_type)entry->type),
        (int)entry->topic.len, (const char *)entry->topic.ptr, entry->priority);
    if (err == NJ_OK) {
        err = nj_explanation_add_edit(out, false, "dynamic security", 0, nj_buf_bytes(&text));
    }
    nj_buf_fini(&text);
    return err == NJ_OK
               ? nj_buf_printf(&out->caution, "it holds for everybody who has the role '%.*s'",
                               (int)role->name.len, (const char *)role->name.ptr)
               : err;
}

/* ---- a client without roles: one that exists and does it, else one of its own */

static bool is_control(struct nj_bytes topic)
{
    struct nj_bytes control = NJ_BYTES_LIT("$CONTROL");
    return topic.len >= control.len && memcmp(topic.ptr, control.ptr, control.len) == 0;
}

/* Whether one of its entries says yes, and none makes an administrator of who only wants data. */
static bool would_do(struct asker *asker, const struct nj_dynsec_role *role)
{
    char why[NJ_EXPLAIN_WHY_MAX];
    bool does = false;
    for (uint32_t i = 0; i < role->acl_count; i++) {
        const struct nj_dynsec_acl *acl = &role->acls[i];
        enum nj_dynsec_access access = access_of_type((enum nj_dynsec_acl_type)acl->type);
        if (acl->allow && is_control(acl->topic) && !is_control(asker->the_case->topic)) {
            return false;
        }
        does |= acl->allow && access == access_of(asker->the_case) && concerns(asker, acl, why);
    }
    return does;
}

/* Of those that would do the one with the fewest entries; NULL = none. */
static const struct nj_dynsec_role *role_to_give(struct asker *asker)
{
    const struct nj_dynsec_state *state = asker->the_case->scope->dynsec;
    const struct nj_dynsec_role *best = NULL;
    size_t count = nj_pmap_count(&state->roles);
    for (size_t i = 0; i < count && i < ROLES_MAX; i++) {
        const struct nj_dynsec_role *role = nj_pmap_at(&state->roles, i);
        if ((!best || role->acl_count < best->acl_count) && would_do(asker, role)) {
            best = role;
        }
    }
    return best;
}

/* The client with this role alone: it has no other that counts. */
static enum nj_err try_given(const struct nj_explain_case *the_case, struct nj_dynsec_edit *edit,
                             struct nj_bytes role_name, bool *allowed)
{
    const struct nj_dynsec_client *client = nj_dynsec_client(edit->state, the_case->question->user);
    const struct nj_dynsec_role *role = nj_dynsec_role(edit->state, role_name);
    struct nj_dynsec_client with;
    if (!client || !role) {
        return NJ_OK;
    }
    const struct nj_dynsec_ref ref = {role->id, NJ_DYNSEC_NO_PRIORITY};
    memcpy(&with, client, sizeof(with));
    with.roles = &ref;
    with.role_count = 1;
    enum nj_err err = nj_dynsec_step_client(edit, &with);
    return err == NJ_OK ? is_allowed_under(the_case, edit->state, allowed) : err;
}

static enum nj_err note_command(struct nj_explanation *out, const char *verb, struct nj_bytes first,
                                struct nj_bytes second)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_buf_printf(&text, "nj ctl dynsec %s %.*s%s%.*s", verb, (int)first.len,
                                    (const char *)first.ptr, second.len ? " " : "", (int)second.len,
                                    second.len ? (const char *)second.ptr : "");
    if (err == NJ_OK) {
        err = nj_explanation_add_edit(out, false, "dynamic security", 0, nj_buf_bytes(&text));
    }
    nj_buf_fini(&text);
    return err;
}

static enum nj_err propose_given(struct asker *asker, const struct nj_dynsec_role *role)
{
    const struct nj_explain_case *the_case = asker->the_case;
    struct nj_dynsec_edit edit;
    bool allowed = false;
    enum nj_err err = nj_dynsec_edit_init(&edit, the_case->scope->dynsec);
    if (err != NJ_OK) {
        return err;
    }
    err = try_given(the_case, &edit, role->name, &allowed);
    if (err == NJ_OK && allowed) {
        err = note_command(asker->out, "addClientRole", the_case->question->user, role->name);
        err = err == NJ_OK && role->acl_count > 1
                  ? nj_buf_printf(&asker->out->caution, "the role '%.*s' has %u other entries",
                                  (int)role->name.len, (const char *)role->name.ptr,
                                  role->acl_count - 1)
                  : err;
    }
    nj_dynsec_edit_fini(&edit);
    return err;
}

/* A role with the client's own name and the one entry. */
static enum nj_err propose_own(struct asker *asker)
{
    const struct nj_explain_case *the_case = asker->the_case;
    struct nj_bytes name = the_case->question->user;
    const struct nj_dynsec_acl entry = {
        .topic = the_case->topic, .type = (uint8_t)type_to_add(the_case), .allow = true};
    const struct nj_dynsec_role role = {
        .name = name, .allow_wildcard_subs = true, .acl_count = 1, .acls = &entry};
    struct nj_dynsec_edit edit;
    bool allowed = false;
    if (nj_dynsec_role(the_case->scope->dynsec, name)) {
        return NJ_OK; /* not to be touched: others may have it */
    }
    enum nj_err err = nj_dynsec_edit_init(&edit, the_case->scope->dynsec);
    if (err != NJ_OK) {
        return err;
    }
    err = nj_dynsec_step_role(&edit, &role);
    err = err == NJ_OK ? try_given(the_case, &edit, name, &allowed) : err;
    if (err == NJ_OK && allowed) {
        err = note_command(asker->out, "createRole", name, nj_bytes(NULL, 0));
        err = err == NJ_OK ? note_entry(&role, &entry, asker->out) : err;
        err = err == NJ_OK ? note_command(asker->out, "addClientRole", name, name) : err;
    }
    nj_dynsec_edit_fini(&edit);
    return err;
}

static enum nj_err propose_role(struct asker *asker)
{
    const struct nj_dynsec_role *role = role_to_give(asker);
    enum nj_err err = role ? propose_given(asker, role) : NJ_OK;
    return err == NJ_OK && asker->out->edit_count == 0 ? propose_own(asker) : err;
}

enum nj_err nj_explain_dynsec_login(const struct nj_explain_case *the_case,
                                    struct nj_explanation *out)
{
    const struct nj_explain_question *question = the_case->question;
    const struct nj_dynsec_client *client =
        nj_dynsec_client(the_case->scope->dynsec, question->user);
    if (!client || question->by_certificate) {
        return NJ_OK; /* the listener decides what a certificate's name may be */
    }
    if (client->is_disabled) {
        return nj_buf_printf(&out->login,
                             "the client is disabled and cannot log in; `nj ctl dynsec "
                             "enableClient %.*s` lets it in",
                             (int)client->name.len, (const char *)client->name.ptr);
    }
    if (client->client_id.len && question->client_id.len &&
        !nj_bytes_equal(client->client_id, question->client_id)) {
        return nj_buf_printf(&out->login, "the client may only use the client id '%.*s'",
                             (int)client->client_id.len, (const char *)client->client_id.ptr);
    }
    return NJ_OK;
}

enum nj_err nj_explain_dynsec_change(const struct nj_explain_case *the_case,
                                     struct nj_explanation *out)
{
    struct asker asker;
    enum nj_err err = asker_init(&asker, the_case, out);
    bool has_roles = asker.principal && nj_dynsec_principal_role_count(asker.principal) > 0;
    if (err == NJ_OK && has_roles) {
        const struct nj_dynsec_role *role = nj_dynsec_principal_role(asker.principal, 0);
        enum nj_dynsec_acl_type type = type_to_add(the_case);
        const struct nj_dynsec_acl entry = {
            .topic = the_case->topic,
            .priority = priority_to_add(role, type),
            .type = (uint8_t)type,
            .allow = true,
        };
        bool allowed = false;
        err = try_entry(the_case, role, &entry, &allowed);
        err = err == NJ_OK && allowed ? note_entry(role, &entry, out) : err;
    } else if (err == NJ_OK && asker.who == NJ_DYNSEC_WHO_KNOWN) {
        err = propose_role(&asker);
    } else if (err == NJ_OK && asker.who == NJ_DYNSEC_WHO_ANONYMOUS) {
        err = nj_buf_printf(&out->caution,
                            "anonymous clients have the roles of the anonymous group, if there is "
                            "one (`nj ctl dynsec setAnonymousGroup`), and these allow nothing");
    }
    asker_fini(&asker);
    return err;
}
