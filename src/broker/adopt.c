/* Taking over a new policy at a turn boundary (architecture: the way of a change of rights). */
#include "broker/link.h"
#include "broker/output.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "security/policy.h"

static void recheck(struct nj_shard *shard, struct nj_link *link)
{
    nj_output_recheck(link, shard->core->link_ops->committed(link));
}

/* By place, and only those there now: what is marked meanwhile was put out under the new rights. */
static void recheck_all(struct nj_shard *shard, struct nj_link **const *links, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        recheck(shard, (*links)[i]);
    }
}

struct nj_policy *nj_shard_adopt(struct nj_shard *shard)
{
    shard->limits = atomic_load_explicit(&shard->core->limits, memory_order_acquire);
    struct nj_policy *policy = atomic_load_explicit(&shard->core->policy, memory_order_acquire);
    if (NJ_LIKELY(policy == shard->policy)) {
        return NULL;
    }
    struct nj_policy *old = shard->policy;
    shard->policy = nj_policy_ref(policy);
    shard->changed_scopes = 0;
    shard->changed_acls = 0;
    shard->changed_logins = 0;
    for (unsigned scope = 0; scope < nj_policy_scope_count(policy) && scope < 64; scope++) {
        shard->changed_scopes |= (uint64_t)nj_policy_rules_differ(old, policy, scope) << scope;
        shard->changed_acls |= (uint64_t)nj_policy_acl_differs(old, policy, scope) << scope;
        shard->changed_logins |= (uint64_t)nj_policy_logins_differ(old, policy, scope) << scope;
    }
    shard->all_logins_changed =
        !nj_policy_login_names(old, policy, shard->changed_names, &shard->changed_name_count);
    if (nj_policy_scope_count(policy) > 64) {
        /* More scopes than bits: as if all had changed. */
        shard->changed_scopes = UINT64_MAX;
        shard->changed_acls = UINT64_MAX;
        shard->changed_logins = UINT64_MAX;
    }
    /* At a turn boundary output is left only to connections whose socket takes no more, and to
     * those whose turn was over before all was written. */
    nj_list_each_safe (node, &shard->blocked) {
        recheck(shard, NJ_CONTAINER(node, struct nj_link, blocked_node));
    }
    recheck_all(shard, &shard->dirty, shard->dirty_count);
    recheck_all(shard, &shard->dirty_late, shard->late_count);
    recheck_all(shard, &shard->rest, shard->rest_count);
    return old;
}
