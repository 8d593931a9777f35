/* See authz.h. */
#include "security/authz.h"

#include "base/mem.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/policy.h"

/* Verdicts on the topic used last, one for each of publish and deliver: a device repeats itself. */
#define CACHED_TOPIC_MAX 120

struct cached {
    uint16_t len; /* 0 = empty */
    struct nj_verdict verdict;
    uint8_t topic[CACHED_TOPIC_MAX];
};

struct nj_authz_cache {
    struct cached slot[2];
};

const char *nj_action_name(enum nj_action action)
{
    static const char *const names[] = {
        [NJ_ACTION_PUBLISH] = "publish",     [NJ_ACTION_DELIVER] = "receive",
        [NJ_ACTION_SUBSCRIBE] = "subscribe", [NJ_ACTION_UNSUBSCRIBE] = "unsubscribe",
        [NJ_ACTION_WILL] = "will",
    };
    return action < NJ_ACTION_COUNT ? names[action] : "unknown";
}

void nj_subject_init(struct nj_subject *subject, struct nj_bytes user, struct nj_bytes client_id,
                     unsigned scope)
{
    *subject = (struct nj_subject){.user = user, .client_id = client_id, .scope = scope};
}

void nj_subject_fini(struct nj_subject *subject)
{
    nj_free(subject->cache);
    subject->cache = NULL;
}

static void decide(struct nj_verdict *out, bool allowed, enum nj_verdict_reason reason,
                   uint32_t rule_id)
{
    out->allowed = allowed;
    out->reason = (uint8_t)reason;
    out->rule_id = rule_id;
}

static bool is_at_or_below(struct nj_bytes topic, const char *top)
{
    size_t len = strlen(top);
    return topic.len >= len && memcmp(topic.ptr, top, len) == 0 &&
           (topic.len == len || topic.ptr[len] == '/');
}

/* $SYS/broker/connection/<id>/state: bridges of others report here. */
static bool is_bridge_state(struct nj_bytes topic)
{
    return nj_mqtt_topic_matches(NJ_BYTES_LIT("$SYS/broker/connection/+/state"), topic);
}

/* Topics beginning with '$' that no rule can open. True when it is decided. */
static bool decide_reserved(enum nj_action action, struct nj_bytes topic, struct nj_verdict *out)
{
    bool is_write = action == NJ_ACTION_PUBLISH || action == NJ_ACTION_WILL;
    bool is_refused =
        (is_write && ((is_at_or_below(topic, "$SYS") && !is_bridge_state(topic)) ||
                      is_at_or_below(topic, "$share") || is_at_or_below(topic, "$queue") ||
                      is_at_or_below(topic, "$exclusive"))) ||
        (action == NJ_ACTION_WILL && is_at_or_below(topic, "$CONTROL")) ||
        is_at_or_below(topic, "$int");
    if (is_refused) {
        decide(out, false, NJ_VERDICT_RESERVED, 0);
    }
    return is_refused;
}

static void decide_default(const struct nj_scope *scope, enum nj_action action,
                           struct nj_bytes topic, struct nj_verdict *out)
{
    bool allowed = scope->acl_default_allow || action == NJ_ACTION_UNSUBSCRIBE;
    if (topic.len && topic.ptr[0] == '$') {
        struct nj_bytes group;
        struct nj_bytes filter = topic;
        (void)nj_mqtt_share_parse(topic, &group, &filter);
        if (is_at_or_below(filter, "$CONTROL") ||
            (is_at_or_below(filter, "$SYS") && !scope->default_covers_sys)) {
            allowed = false;
        }
    }
    decide(out, allowed, NJ_VERDICT_DEFAULT, 0);
}

static void from_answer(struct nj_acl_answer answer, struct nj_verdict *out)
{
    decide(out, answer.allowed, answer.has_rule ? NJ_VERDICT_RULE : NJ_VERDICT_NO_RULE,
           answer.rule_id);
}

static void decide_filter(const struct nj_scope *scope, const struct nj_acl_query *query,
                          enum nj_action action, struct nj_bytes filter, struct nj_verdict *out)
{
    if (!scope->checks_subscribe || action == NJ_ACTION_UNSUBSCRIBE) {
        decide(out, true, NJ_VERDICT_UNCHECKED, 0);
        return;
    }
    struct nj_bytes group;
    struct nj_bytes inner = filter;
    if (!scope->share_as_whole) {
        (void)nj_mqtt_share_parse(filter, &group, &inner);
    }
    from_answer(nj_acl_check_filter(scope->acl, query, inner), out);
}

/* Brings the subject up to the policy: its list is looked up anew, old verdicts are forgotten. */
static void refresh(const struct nj_scope *scope, uint64_t epoch, struct nj_subject *subject)
{
    subject->epoch = epoch;
    subject->user_list = nj_acl_user_list(scope->acl, subject->user);
    if (subject->cache) {
        subject->cache->slot[0].len = 0;
        subject->cache->slot[1].len = 0;
    }
}

static struct cached *cache_slot(struct nj_subject *subject, bool is_write)
{
    if (!subject->cache) {
        subject->cache = nj_try_zalloc(sizeof(*subject->cache));
    }
    return subject->cache ? &subject->cache->slot[is_write ? 0 : 1] : NULL;
}

static void decide_topic(const struct nj_scope *scope, struct nj_subject *subject, bool is_write,
                         struct nj_bytes topic, struct nj_verdict *out)
{
    struct cached *slot = cache_slot(subject, is_write);
    if (slot && slot->len == topic.len && memcmp(slot->topic, topic.ptr, topic.len) == 0) {
        *out = slot->verdict;
        return;
    }
    const struct nj_acl_query query = {
        .user = subject->user,
        .client_id = subject->client_id,
        .user_list = subject->user_list,
        .is_write = is_write,
    };
    from_answer(nj_acl_check(scope->acl, &query, topic), out);
    if (slot && topic.len <= CACHED_TOPIC_MAX) {
        slot->len = (uint16_t)topic.len;
        slot->verdict = *out;
        memcpy(slot->topic, topic.ptr, topic.len);
    }
}

void nj_authz(const struct nj_policy *policy, struct nj_subject *subject, enum nj_action action,
              struct nj_bytes topic, struct nj_verdict *out)
{
    const struct nj_scope *scope = nj_policy_scope(policy, subject->scope);
    if (NJ_UNLIKELY(topic.len && topic.ptr[0] == '$') && decide_reserved(action, topic, out)) {
        return;
    }
    if (!scope->acl) {
        decide_default(scope, action, topic, out);
        return;
    }
    if (NJ_UNLIKELY(subject->epoch != nj_policy_epoch(policy))) {
        refresh(scope, nj_policy_epoch(policy), subject);
    }
    if (action == NJ_ACTION_SUBSCRIBE || action == NJ_ACTION_UNSUBSCRIBE) {
        const struct nj_acl_query query = {
            .user = subject->user,
            .client_id = subject->client_id,
            .user_list = subject->user_list,
        };
        decide_filter(scope, &query, action, topic, out);
        return;
    }
    decide_topic(scope, subject, action != NJ_ACTION_DELIVER, topic, out);
}
