/* See subscribe.h. */
#include "broker/subscribe.h"

#include "base/buf.h"
#include "broker/commit.h"
#include "broker/denial.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/replay.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"
#include "mqtt/topic.h"

/* A filter taken apart, with the mount point where it belongs: inside the share. */
struct parts {
    struct nj_bytes whole;  /* what rights are asked for and the store keeps */
    struct nj_bytes group;  /* empty when it is not shared */
    struct nj_bytes filter; /* what topics are matched against */
};

static enum nj_err take_apart(struct nj_session *session, struct nj_bytes text, struct parts *parts)
{
    struct nj_bytes mount = session->link->mount_point;
    struct nj_buf *buf = &session->shard->topic_buf;
    *parts = (struct parts){.whole = text, .filter = text};
    bool is_shared = nj_mqtt_share_parse(text, &parts->group, &parts->filter);
    if (!is_shared) {
        parts->group = nj_bytes(NULL, 0);
        parts->filter = text;
    }
    if (!mount.len) {
        return NJ_OK;
    }
    size_t head = is_shared ? (size_t)(parts->filter.ptr - text.ptr) : 0;
    buf->len = 0;
    if (nj_buf_append(buf, text.ptr, head) != NJ_OK ||
        nj_buf_append(buf, mount.ptr, mount.len) != NJ_OK ||
        nj_buf_append(buf, text.ptr + head, text.len - head) != NJ_OK) {
        return NJ_ENOMEM;
    }
    parts->whole = nj_buf_bytes(buf);
    parts->filter = nj_bytes(buf->data + head, buf->len - head);
    return NJ_OK;
}

static uint8_t code(const struct nj_session *session, enum nj_mqtt_reason reason)
{
    return session->link->version == NJ_MQTT_5 ? (uint8_t)reason : 0x80;
}

static uint8_t denied(struct nj_session *session, enum nj_action action, struct nj_bytes topic,
                      const struct nj_verdict *verdict, uint8_t qos)
{
    nj_session_denied(session, action, topic, verdict);
    /* MQTT 3.1 has no code for a refusal. */
    return session->link->version == NJ_MQTT_31 ? qos : code(session, NJ_RC_NOT_AUTHORIZED);
}

static bool is_over_limit(const struct nj_session *session)
{
    uint32_t max = session->shard->limits->max_subscriptions;
    return max && session->sub_count + nj_share_count(session) >= max;
}

static enum nj_err enter(struct nj_session *session, const struct parts *parts,
                         const struct nj_sub_options *options, bool *is_new)
{
    if (parts->group.len) {
        return nj_share_join(session, parts->group, parts->filter, options, is_new);
    }
    enum nj_err err =
        nj_filters_add(session->shard->filters, session, parts->filter, options, is_new);
    if (err == NJ_OK && *is_new) {
        NJ_STAT_ADD(session->shard, subscriptions, 1);
    }
    return err;
}

static void store_subscription(struct nj_session *session, enum nj_store_op_kind kind,
                               struct nj_bytes whole, const struct nj_sub_options *options,
                               uint32_t share)
{
    if (!session->is_stored) {
        return;
    }
    struct nj_store_op *op = nj_shard_op(session->shard, kind, session->id);
    if (op) {
        op->bytes = whole;
        op->value = options ? nj_sub_options_value(options) : 0;
        op->share = share;
    }
    if (session->link->mount_point.len) {
        /* The bytes are in a buffer that the packet's next filter uses again. */
        enum nj_err err;
        (void)nj_shard_commit(session->shard, &err);
    }
}

/* The subscription is entered: what is retained from now on comes live, what was retained up to now
 * comes as such, and nothing comes both ways or neither (route.c). */
static struct nj_replay *ask_for_retained(struct nj_session *session, struct nj_bytes filter,
                                          const struct nj_sub_options *options, bool is_new,
                                          struct nj_replay *next)
{
    uint64_t clock = nj_retain_clock(session->shard->core->retain);
    if (is_new) {
        nj_filters_set_retain_clock(session->shard->filters, session, filter, (uint32_t)clock);
    }
    return nj_replay_new(session, filter, options, clock, next);
}

uint8_t nj_session_subscribe(struct nj_session *session, const struct nj_subscribe_in *in,
                             struct nj_replay **replay)
{
    struct nj_shard *shard = session->shard;
    struct nj_sub_options options = in->options;
    struct parts parts;
    bool is_new;
    if (options.qos > session->link->max_qos) {
        options.qos = session->link->max_qos;
    }
    if (take_apart(session, in->filter, &parts) != NJ_OK || is_over_limit(session)) {
        return code(session, NJ_RC_QUOTA_EXCEEDED);
    }
    struct nj_verdict verdict;
    nj_authz(shard->policy, &session->subject, NJ_ACTION_SUBSCRIBE, parts.whole, &verdict);
    if (!verdict.allowed) {
        return denied(session, NJ_ACTION_SUBSCRIBE, parts.whole, &verdict, options.qos);
    }
    if (enter(session, &parts, &options, &is_new) != NJ_OK) {
        return code(session, NJ_RC_QUOTA_EXCEEDED);
    }
    store_subscription(session, NJ_STORE_SUBSCRIBE, parts.whole, &options,
                       parts.group.len ? nj_share_number(session, parts.group, parts.filter) : 0);
    bool wants_retained =
        !parts.group.len && (in->retain_handling == 0 || (in->retain_handling == 1 && is_new));
    if (wants_retained) {
        /* Retained copies keep their flag, whatever retain-as-published says. */
        *replay = ask_for_retained(session, parts.filter, &options, is_new, *replay);
    }
    return options.qos;
}

uint8_t nj_session_unsubscribe(struct nj_session *session, struct nj_bytes filter)
{
    struct nj_shard *shard = session->shard;
    struct parts parts;
    if (take_apart(session, filter, &parts) != NJ_OK) {
        return code(session, NJ_RC_UNSPECIFIED);
    }
    struct nj_verdict verdict;
    nj_authz(shard->policy, &session->subject, NJ_ACTION_UNSUBSCRIBE, parts.whole, &verdict);
    if (!verdict.allowed) {
        nj_session_denied(session, NJ_ACTION_UNSUBSCRIBE, parts.whole, &verdict);
        return code(session, NJ_RC_NOT_AUTHORIZED);
    }
    bool existed = parts.group.len ? nj_share_leave(session, parts.group, parts.filter)
                                   : nj_filters_remove(shard->filters, session, parts.filter);
    if (existed && !parts.group.len) {
        NJ_STAT_SUB(shard, subscriptions, 1);
    }
    /* Also when it is gone already: an earlier try may not have reached the store. */
    store_subscription(session, NJ_STORE_UNSUBSCRIBE, parts.whole, NULL, 0);
    return existed ? NJ_RC_SUCCESS : NJ_RC_NO_SUBSCRIPTION_EXISTED;
}
