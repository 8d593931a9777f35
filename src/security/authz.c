/* See authz.h. */
#include "security/authz.h"

#include "base/mem.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/dynsec_principal.h"
#include "security/policy.h"

/* Verdicts on the topic used last, one for each of publish and deliver: a device repeats itself. A
 * hit costs a tenth of a walk. Who never repeats (a receiver of many topics) would pay for the
 * copies, so after PATIENCE misses in a row only each PATIENCE-th verdict is kept. */
#define CACHED_TOPIC_MAX 120
#define PATIENCE         8

struct cached {
    bool is_set;
    uint8_t len;
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
    nj_dynsec_principal_unref(subject->principal);
    subject->cache = NULL;
    subject->principal = NULL;
}

static void decide(struct nj_verdict *out, bool allowed, enum nj_verdict_reason reason,
                   uint32_t rule_id)
{
    out->allowed = allowed;
    out->reason = (uint8_t)reason;
    out->rule_id = rule_id;
    out->role_id = 0;
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

/* Topics beginning with '$' that no rule can open. */
static bool is_reserved(enum nj_action action, struct nj_bytes topic)
{
    bool is_write = action == NJ_ACTION_PUBLISH || action == NJ_ACTION_WILL;
    if (is_at_or_below(topic, "$int")) {
        return true;
    }
    if (action == NJ_ACTION_WILL && is_at_or_below(topic, "$CONTROL")) {
        return true;
    }
    return is_write && ((is_at_or_below(topic, "$SYS") && !is_bridge_state(topic)) ||
                        is_at_or_below(topic, "$share") || is_at_or_below(topic, "$queue") ||
                        is_at_or_below(topic, "$exclusive"));
}

/* The filter that decides what is delivered: behind $share/<group>/. */
static struct nj_bytes without_share(struct nj_bytes filter)
{
    struct nj_bytes group;
    struct nj_bytes inner;
    return nj_mqtt_share_parse(filter, &group, &inner) ? inner : filter;
}

/* What acl_default never opens: APIs that the original does not have, and dynamic security, so that
 * a listener without rules is no way around those of another one. */
static bool needs_rule(struct nj_bytes topic)
{
    return is_at_or_below(topic, "$CONTROL/nightjar") || is_at_or_below(topic, "$CONTROL/cedalo") ||
           is_at_or_below(topic, "$CONTROL/certificate-management") ||
           is_at_or_below(topic, "$CONTROL/dynamic-security");
}

static void decide_default(const struct nj_scope *scope, struct nj_bytes topic,
                           struct nj_verdict *out)
{
    bool is_special = is_at_or_below(topic, "$CONTROL") || is_at_or_below(topic, "$SYS");
    bool is_covered = !is_special || (scope->default_covers_sys && !needs_rule(topic));
    decide(out, scope->acl_default_allow && is_covered, NJ_VERDICT_DEFAULT, 0);
}

static void from_answer(struct nj_acl_answer answer, struct nj_verdict *out)
{
    decide(out, answer.allowed, answer.has_rule ? NJ_VERDICT_RULE : NJ_VERDICT_NO_RULE,
           answer.rule_id);
}

static void decide_filter(const struct nj_scope *scope, const struct nj_subject *subject,
                          struct nj_bytes filter, struct nj_verdict *out)
{
    if (!scope->checks_subscribe) {
        decide(out, true, NJ_VERDICT_UNCHECKED, 0);
        return;
    }
    const struct nj_acl_query query = {
        .user = subject->user,
        .client_id = subject->client_id,
        .user_list = subject->user_list,
    };
    from_answer(nj_acl_check_filter(scope->acl, &query, filter), out);
}

/* ---- dynamic security */

static const enum nj_dynsec_access dynsec_access[NJ_ACTION_COUNT] = {
    [NJ_ACTION_PUBLISH] = NJ_DYNSEC_ACCESS_SEND,
    [NJ_ACTION_DELIVER] = NJ_DYNSEC_ACCESS_RECEIVE,
    [NJ_ACTION_SUBSCRIBE] = NJ_DYNSEC_ACCESS_SUBSCRIBE,
    [NJ_ACTION_UNSUBSCRIBE] = NJ_DYNSEC_ACCESS_UNSUBSCRIBE,
    [NJ_ACTION_WILL] = NJ_DYNSEC_ACCESS_SEND,
};

/* False when it is not for dynamic security to say; then *out says why a no would be one. */
static bool decide_dynsec(const struct nj_scope *scope, const struct nj_subject *subject,
                          enum nj_action action, struct nj_bytes topic, struct nj_verdict *out)
{
    const struct nj_dynsec_question question = {
        .access = dynsec_access[action],
        .topic = topic,
        .user = subject->user,
        .client_id = subject->client_id,
    };
    if (subject->who == NJ_DYNSEC_WHO_UNKNOWN) {
        decide(out, false, NJ_VERDICT_STRANGER, 0);
        return false;
    }
    if (subject->principal) {
        struct nj_dynsec_answer answer = nj_dynsec_principal_check(subject->principal, &question);
        if (answer.has_rule) {
            decide(out, answer.allowed, NJ_VERDICT_ROLE, answer.acl);
            out->role_id = answer.role_id;
            return true;
        }
    }
    bool is_covered = !is_at_or_below(topic, "$CONTROL");
    decide(out, is_covered && scope->dynsec->defaults[question.access], NJ_VERDICT_DYNSEC, 0);
    return out->allowed;
}

/* Brings the subject up to the policy: its list and its roles are looked up anew, old verdicts are
 * forgotten. False when memory is short. */
static bool refresh(const struct nj_scope *scope, uint64_t epoch, struct nj_subject *subject)
{
    subject->user_list = scope->acl ? nj_acl_user_list(scope->acl, subject->user) : NJ_ACL_NO_LIST;
    if (scope->dynsec) {
        enum nj_dynsec_who who;
        if (nj_dynsec_principal_refresh(scope->dynsec, subject->user, subject->by_certificate,
                                        &subject->principal, &who) != NJ_OK) {
            subject->epoch = 0;
            return false;
        }
        subject->who = (uint8_t)who;
    }
    subject->epoch = epoch;
    if (subject->cache) {
        subject->cache->slot[0].is_set = false;
        subject->cache->slot[1].is_set = false;
    }
    return true;
}

static bool find_cached(const struct nj_subject *subject, unsigned slot, struct nj_bytes topic,
                        struct nj_verdict *out)
{
    if (!subject->cache) {
        return false;
    }
    const struct cached *cached = &subject->cache->slot[slot];
    if (!cached->is_set || cached->len != topic.len ||
        memcmp(cached->topic, topic.ptr, topic.len) != 0) {
        return false;
    }
    *out = cached->verdict;
    return true;
}

/* Called after each miss. The first one makes no cache: many subjects ask once. */
static void keep(struct nj_subject *subject, unsigned slot, struct nj_bytes topic,
                 const struct nj_verdict *verdict)
{
    uint8_t misses = ++subject->misses[slot];
    if (misses > PATIENCE && misses % PATIENCE != 0) {
        return;
    }
    if (!subject->cache && misses > 1) {
        subject->cache = nj_try_zalloc(sizeof(*subject->cache));
    }
    if (subject->cache && topic.len <= CACHED_TOPIC_MAX) {
        struct cached *cached = &subject->cache->slot[slot];
        cached->is_set = true;
        cached->len = (uint8_t)topic.len;
        cached->verdict = *verdict;
        memcpy(cached->topic, topic.ptr, topic.len);
    }
}

static void decide_topic(const struct nj_scope *scope, struct nj_subject *subject,
                         enum nj_action action, struct nj_bytes topic, struct nj_verdict *out)
{
    bool is_write = action != NJ_ACTION_DELIVER;
    unsigned slot = is_write ? 0 : 1;
    if (find_cached(subject, slot, topic, out)) {
        subject->misses[slot] = 0;
        return;
    }
    if ((!scope->dynsec || !decide_dynsec(scope, subject, action, topic, out)) && scope->acl) {
        const struct nj_acl_query query = {
            .user = subject->user,
            .client_id = subject->client_id,
            .user_list = subject->user_list,
            .is_write = is_write,
        };
        from_answer(nj_acl_check(scope->acl, &query, topic), out);
    }
    keep(subject, slot, topic, out);
}

static void decide_subscription(const struct nj_scope *scope, const struct nj_subject *subject,
                                enum nj_action action, struct nj_bytes filter,
                                struct nj_verdict *out)
{
    if (scope->dynsec && decide_dynsec(scope, subject, action, filter, out)) {
        return;
    }
    if (scope->acl && action == NJ_ACTION_UNSUBSCRIBE) {
        decide(out, true, NJ_VERDICT_UNCHECKED, 0);
    } else if (scope->acl) {
        decide_filter(scope, subject, filter, out);
    }
}

void nj_authz(const struct nj_policy *policy, struct nj_subject *subject, enum nj_action action,
              struct nj_bytes topic, struct nj_verdict *out)
{
    const struct nj_scope *scope = nj_policy_scope(policy, subject->scope);
    bool has_rules = scope->acl || scope->dynsec;
    bool is_filter = action == NJ_ACTION_SUBSCRIBE || action == NJ_ACTION_UNSUBSCRIBE;
    if (action == NJ_ACTION_UNSUBSCRIBE && !scope->dynsec) {
        decide(out, true, NJ_VERDICT_UNCHECKED, 0);
        return;
    }
    if (NJ_UNLIKELY(topic.len && topic.ptr[0] == '$')) {
        struct nj_bytes inner = is_filter ? without_share(topic) : topic;
        if (action != NJ_ACTION_UNSUBSCRIBE && is_reserved(action, inner)) {
            decide(out, false, NJ_VERDICT_RESERVED, 0);
            return;
        }
        topic = has_rules && scope->share_as_whole ? topic : inner;
    }
    if (!has_rules) {
        decide_default(scope, topic, out);
        return;
    }
    if (NJ_UNLIKELY(subject->epoch != nj_policy_epoch(policy)) &&
        !refresh(scope, nj_policy_epoch(policy), subject)) {
        decide(out, false, NJ_VERDICT_STRANGER, 0); /* out of memory: no */
        return;
    }
    if (is_filter) {
        decide_subscription(scope, subject, action, topic, out);
    } else {
        decide_topic(scope, subject, action, topic, out);
    }
}
