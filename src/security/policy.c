/* See policy.h. */
#include "security/policy.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "security/acl.h"
#include "security/dynsec_model.h"
#include "security/dynsec_principal.h"
#include "security/password_file.h"
#include "security/psk_file.h"

struct nj_policy {
    _Atomic uint32_t refs;
    uint64_t epoch;
    size_t scope_count;
    struct nj_scope scopes[];
};

struct nj_policy *nj_policy_new(uint64_t epoch, const struct nj_scope *scopes, size_t count)
{
    struct nj_policy *policy = nj_alloc(sizeof(*policy) + count * sizeof(*scopes));
    atomic_init(&policy->refs, 1);
    policy->epoch = epoch;
    policy->scope_count = count;
    memcpy(policy->scopes, scopes, count * sizeof(*scopes));
    return policy;
}

struct nj_policy *nj_policy_ref(struct nj_policy *policy)
{
    atomic_fetch_add_explicit(&policy->refs, 1, memory_order_relaxed);
    return policy;
}

/* What a scope references, once more. */
static void scope_ref(const struct nj_scope *scope)
{
    if (scope->acl) {
        (void)nj_acl_ref(scope->acl);
    }
    if (scope->passwords) {
        (void)nj_passwords_ref(scope->passwords);
    }
    if (scope->dynsec) {
        (void)nj_dynsec_state_ref(scope->dynsec);
    }
    if (scope->psks) {
        (void)nj_psks_ref(scope->psks);
    }
}

void nj_policy_unref(struct nj_policy *policy)
{
    if (!policy || atomic_fetch_sub_explicit(&policy->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < policy->scope_count; i++) {
        nj_acl_free(policy->scopes[i].acl);
        nj_passwords_free(policy->scopes[i].passwords);
        nj_dynsec_state_unref(policy->scopes[i].dynsec);
        nj_psks_free(policy->scopes[i].psks);
    }
    nj_free(policy);
}

enum nj_err nj_policy_changed(const struct nj_policy *from, uint64_t epoch,
                              enum nj_err (*change)(void *arg, struct nj_scope *scopes,
                                                    size_t count),
                              void *arg, struct nj_policy **out)
{
    struct nj_policy *fresh = nj_policy_new(epoch, from->scopes, from->scope_count);
    for (size_t i = 0; i < fresh->scope_count; i++) {
        scope_ref(&fresh->scopes[i]);
    }
    enum nj_err err = change(arg, fresh->scopes, fresh->scope_count);
    if (err != NJ_OK) {
        nj_policy_unref(fresh);
        return err;
    }
    *out = fresh;
    return NJ_OK;
}

uint64_t nj_policy_epoch(const struct nj_policy *policy)
{
    return policy->epoch;
}

size_t nj_policy_scope_count(const struct nj_policy *policy)
{
    return policy->scope_count;
}

const struct nj_scope *nj_policy_scope(const struct nj_policy *policy, unsigned scope)
{
    static const struct nj_scope nobody = {0};
    return scope < policy->scope_count ? &policy->scopes[scope] : &nobody;
}

unsigned nj_policy_scope_of(const struct nj_policy *policy, uint32_t id)
{
    for (unsigned i = 0; i < policy->scope_count; i++) {
        if (policy->scopes[i].id == id) {
            return i;
        }
    }
    if (id >= NJ_SCOPE_IDS) {
        return NJ_SCOPE_GONE;
    }
    bool is_one_scope = policy->scope_count && policy->scopes[0].id == NJ_SCOPE_IDS;
    return id < policy->scope_count ? id : is_one_scope ? 0 : NJ_SCOPE_GONE;
}

bool nj_policy_acl_differs(const struct nj_policy *a, const struct nj_policy *b, unsigned scope)
{
    const struct nj_scope *left = nj_policy_scope(a, scope);
    const struct nj_scope *right = nj_policy_scope(b, scope);
    if (!left->acl || !right->acl) {
        return left->acl != right->acl || left->acl_default_allow != right->acl_default_allow;
    }
    return !nj_acl_is_same(left->acl, right->acl);
}

bool nj_policy_acl_differs_for(const struct nj_policy *a, const struct nj_policy *b, unsigned scope,
                               struct nj_bytes user, struct nj_bytes client_id)
{
    const struct nj_acl *left = nj_policy_scope(a, scope)->acl;
    const struct nj_acl *right = nj_policy_scope(b, scope)->acl;
    return left && right ? !nj_acl_same_rights(left, right, user, client_id)
                         : nj_policy_acl_differs(a, b, scope);
}

/* Where one has dynamic security and the other has not, everything differs. */
static bool versions_differ(const struct nj_scope *a, const struct nj_scope *b,
                            uint64_t (*version)(const struct nj_dynsec_state *state))
{
    if (!a->dynsec || !b->dynsec) {
        return a->dynsec != b->dynsec;
    }
    return version(a->dynsec) != version(b->dynsec);
}

static uint64_t rules_version(const struct nj_dynsec_state *state)
{
    return state->rules_version;
}

static uint64_t identity_version(const struct nj_dynsec_state *state)
{
    return state->identity_version;
}

bool nj_policy_rules_differ(const struct nj_policy *a, const struct nj_policy *b, unsigned scope)
{
    return nj_policy_acl_differs(a, b, scope) ||
           versions_differ(nj_policy_scope(a, scope), nj_policy_scope(b, scope), rules_version);
}

static bool sources_differ(const struct nj_scope *a, const struct nj_scope *b)
{
    return a->passwords != b->passwords || a->allow_anonymous != b->allow_anonymous ||
           a->unverified_user_counts != b->unverified_user_counts ||
           (a->dynsec == NULL) != (b->dynsec == NULL);
}

bool nj_policy_logins_differ(const struct nj_policy *a, const struct nj_policy *b, unsigned scope)
{
    const struct nj_scope *left = nj_policy_scope(a, scope);
    const struct nj_scope *right = nj_policy_scope(b, scope);
    return sources_differ(left, right) || versions_differ(left, right, identity_version);
}

bool nj_policy_login_names(const struct nj_policy *a, const struct nj_policy *b,
                           uint64_t names[NJ_POLICY_NAMES_MAX], unsigned *count)
{
    const struct nj_dynsec_state *old = NULL;
    const struct nj_dynsec_state *fresh = NULL;
    _Static_assert(NJ_POLICY_NAMES_MAX >= NJ_DYNSEC_RECENT, "names");
    *count = 0;
    for (size_t i = 0; i < a->scope_count; i++) {
        if (sources_differ(&a->scopes[i], &b->scopes[i])) {
            return false;
        }
        /* There is one module for the broker: scopes have its state or none. */
        old = a->scopes[i].dynsec ? a->scopes[i].dynsec : old;
        fresh = b->scopes[i].dynsec ? b->scopes[i].dynsec : fresh;
    }
    return !old || !fresh || nj_dynsec_identity_changes(old, fresh, names, count);
}

bool nj_policy_has_user(const struct nj_policy *policy, unsigned scope, struct nj_bytes user,
                        bool by_certificate)
{
    const struct nj_passwords *passwords = nj_policy_scope(policy, scope)->passwords;
    const struct nj_dynsec_state *dynsec = nj_policy_scope(policy, scope)->dynsec;
    if (scope >= policy->scope_count) {
        return false;
    }
    if (dynsec && (nj_dynsec_client(dynsec, user) ||
                   (by_certificate && dynsec->certificate_group != NJ_DYNSEC_NOBODY))) {
        return true;
    }
    return passwords ? nj_passwords_find(passwords, user) != NULL : !dynsec;
}

static const char *describe_role(const struct nj_dynsec_state *state,
                                 const struct nj_verdict *verdict, char *buf, size_t size)
{
    const struct nj_dynsec_role *role =
        state ? nj_dynsec_role_by_id(state, verdict->role_id) : NULL;
    bool is_switch = verdict->rule_id == NJ_DYNSEC_ACL_SWITCH;
    if (!role || (!is_switch && verdict->rule_id >= role->acl_count)) {
        return "a role that is gone";
    }
    if (is_switch) {
        (void)snprintf(buf, size, "role %.*s: allowwildcardsubs false", (int)role->name.len,
                       (const char *)role->name.ptr);
        return buf;
    }
    const struct nj_dynsec_acl *acl = &role->acls[verdict->rule_id];
    (void)snprintf(buf, size, "role %.*s: %s %.*s %s (priority %d)", (int)role->name.len,
                   (const char *)role->name.ptr,
                   nj_dynsec_acl_type_name((enum nj_dynsec_acl_type)acl->type), (int)acl->topic.len,
                   (const char *)acl->topic.ptr, acl->allow ? "allow" : "deny", acl->priority);
    return buf;
}

const char *nj_policy_describe(const struct nj_policy *policy, unsigned scope,
                               const struct nj_verdict *verdict, char *buf, size_t size)
{
    const struct nj_scope *settings = nj_policy_scope(policy, scope);
    switch (verdict->reason) {
    case NJ_VERDICT_RULE:
        return settings->acl ? nj_acl_rule_text(settings->acl, verdict->rule_id, buf, size)
                             : "a rule that is gone";
    case NJ_VERDICT_NO_RULE:
        return "no rule";
    case NJ_VERDICT_DEFAULT:
        return settings->acl_default_allow ? "acl_default allow"
                                           : "no ACL configured (acl_default deny)";
    case NJ_VERDICT_RESERVED:
        return "reserved topic";
    case NJ_VERDICT_IDENTITY:
        return "the user is gone";
    case NJ_VERDICT_ROLE:
        return describe_role(settings->dynsec, verdict, buf, size);
    case NJ_VERDICT_DYNSEC:
        return "no role says anything (default ACL access)";
    case NJ_VERDICT_STRANGER:
        return "dynamic security does not know the user";
    default:
        return "not checked";
    }
}
