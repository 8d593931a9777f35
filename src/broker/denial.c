/* See denial.h. */
#include "broker/denial.h"

#include "broker/session.h"
#include "broker/shard.h"

void nj_session_denied(struct nj_session *session, enum nj_action action, struct nj_bytes topic,
                       const struct nj_verdict *verdict)
{
    struct nj_shard *shard = session->shard;
    switch (action) {
    case NJ_ACTION_PUBLISH:
        NJ_STAT_ADD(shard, denied_publish, 1);
        break;
    case NJ_ACTION_DELIVER:
        NJ_STAT_ADD(shard, denied_deliver, 1);
        break;
    case NJ_ACTION_WILL:
        NJ_STAT_ADD(shard, denied_will, 1);
        break;
    default:
        NJ_STAT_ADD(shard, denied_subscribe, 1);
        break;
    }
    struct nj_denial denial = {
        .user = session->subject.user,
        .client_id = session->subject.client_id,
        .topic = topic,
        .action = action,
        .verdict = *verdict,
        .scope = session->subject.scope,
    };
    shard->core->events->denied(shard, &denial);
}
