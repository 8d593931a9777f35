/* See policy.h. */
#include "security/policy.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "security/acl.h"
#include "security/password_file.h"

struct nj_policy {
#include "security/psk_file.h"
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
}

    if (scope->dynsec) {
        (void)nj_dynsec_state_ref(scope->dynsec);
    }
    if (scope->psks) {
        (void)nj_psks_ref(scope->psks);
    }
void nj_policy_unref(struct nj_policy *policy)
{
    if (!policy || atomic_fetch_sub_explicit(&policy->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < policy->scope_count; i++) {
        nj_acl_free(policy->scopes[i].acl);
        nj_passwords_free(policy->scopes[i].passwords);
    }
    nj_free(policy);
        nj_dynsec_state_unref(policy->scopes[i].dynsec);
        nj_psks_free(policy->scopes[i].psks);
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
    NJ_DEBUG_ASSERT(scope < policy->scope_count);
    return &policy->scopes[scope];
}

bool nj_policy_rules_differ(const struct nj_policy *a, const struct nj_policy *b, unsigned scope)
{
    const struct nj_scope *left = nj_policy_scope(a, scope);
    const struct nj_scope *right = nj_policy_scope(b, scope);
    if (!left->acl || !right->acl) {
        return left->acl != right->acl || left->acl_default_allow != right->acl_default_allow;
    }
    return !nj_acl_is_same(left->acl, right->acl);
}

bool nj_policy_has_user(const struct nj_policy *policy, unsigned scope, struct nj_bytes user)
{
    const struct nj_passwords *passwords = policy->scopes[scope].passwords;
    return !passwords || nj_passwords_find(passwords, user) != NULL;
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
    default:
        return "not checked";
    }
}
