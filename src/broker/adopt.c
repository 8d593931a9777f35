/* Taking over a new policy at a turn boundary (architecture: the way of a change of rights). */
#include "broker/link.h"
#include "broker/output.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "security/policy.h"

bool nj_shard_adopt(struct nj_shard *shard)
{
    shard->limits = atomic_load_explicit(&shard->core->limits, memory_order_acquire);
    struct nj_policy *policy = atomic_load_explicit(&shard->core->policy, memory_order_acquire);
    if (NJ_LIKELY(policy == shard->policy)) {
        return false;
    }
    struct nj_policy *old = shard->policy;
    shard->policy = nj_policy_ref(policy);
    nj_policy_unref(old);
    /* At a turn boundary only a blocked connection has output left. */
    nj_list_each_safe (node, &shard->blocked) {
        struct nj_link *link = NJ_CONTAINER(node, struct nj_link, blocked_node);
        nj_output_recheck(link, shard->core->link_ops->committed(link));
    }
    return true;
}
