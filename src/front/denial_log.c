/* See denial_log.h. */
#include "front/denial_log.h"

#include "base/log.h"
#include "broker/denial.h"
#include "broker/shard.h"
#include "security/policy.h"

#define LINES_PER_SECOND 20

/* What was denied, so that a person reads a sentence: what a client sends comes from it, what it
 * would have been sent goes to it. */
static const char *deed(enum nj_action action)
{
    return action == NJ_ACTION_DELIVER ? "delivery" : nj_action_name(action);
}

static const char *direction(enum nj_action action)
{
    return action == NJ_ACTION_DELIVER ? "to" : "from";
}

void nj_denial_log(struct nj_shard *shard, const struct nj_denial *denial)
{
    struct nj_denial_rate *rate = &shard->denial_rate;
    uint64_t second = shard->now_ms / 1000;
    char rule[512];
    if (!nj_log_wants(NJ_LOG_NOTICE)) {
        return;
    }
    if (rate->second != second) {
        if (rate->suppressed) {
            nj_log(NJ_LOG_NOTICE, "%u more denials in the last second were not logged.",
                   rate->suppressed);
        }
        *rate = (struct nj_denial_rate){.second = second};
    }
    if (++rate->lines > LINES_PER_SECOND) {
        rate->suppressed++;
        return;
    }
    nj_log(NJ_LOG_NOTICE, "Denied %s of '%.*s' %s client %.*s%s%.*s%s: %s.", deed(denial->action),
           (int)denial->topic.len, (const char *)denial->topic.ptr, direction(denial->action),
           (int)denial->client_id.len, (const char *)denial->client_id.ptr,
           denial->user.ptr ? ", user '" : ", anonymous", (int)denial->user.len,
           denial->user.ptr ? (const char *)denial->user.ptr : "", denial->user.ptr ? "'" : "",
           nj_policy_describe(shard->policy, denial->scope, &denial->verdict, rule, sizeof(rule)));
}
