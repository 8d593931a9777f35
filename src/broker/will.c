/* See will.h. */
#include "broker/will.h"

#include "base/mem.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/denial.h"
#include "broker/hold.h"
#include "broker/message.h"
#include "broker/release.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "security/policy.h"

struct nj_will *nj_will_new(uint32_t delay_s)
{
    struct nj_will *will = nj_try_zalloc(sizeof(*will));
    if (will) {
        will->delay_s = delay_s;
    }
    return will;
}

void nj_will_give(struct nj_session *session, struct nj_will *will, struct nj_message *message)
{
    nj_will_drop(session);
    will->message = message;
    session->will = will;
    session->will_due_ms = UINT64_MAX;
    if (session->has_record) {
        struct nj_store_op *op = nj_shard_op(session->shard, NJ_STORE_WILL_SET, session->id);
        if (op) {
            op->message = message;
            op->value = will->delay_s;
        }
    }
}

void nj_will_drop(struct nj_session *session)
{
    if (!session->will) {
        return;
    }
    if (session->has_record) {
        (void)nj_shard_op(session->shard, NJ_STORE_WILL_CLEAR, session->id);
    }
    nj_will_forget(session);
}

void nj_will_forget(struct nj_session *session)
{
    if (session->will) {
        nj_message_unref(session->will->message);
        nj_free(session->will);
        session->will = NULL;
    }
}

/* Who is gone has no last will, even where rules still name the user. */
static bool may_fire(struct nj_session *session, struct nj_bytes topic, struct nj_verdict *verdict)
{
    const struct nj_policy *policy = session->shard->policy;
    if (session->credential &&
        !nj_policy_has_user(policy, session->subject.scope, session->subject.user,
                            session->subject.by_certificate)) {
        *verdict = (struct nj_verdict){.reason = NJ_VERDICT_IDENTITY};
        return false;
    }
    nj_authz(policy, &session->subject, NJ_ACTION_WILL, topic, verdict);
    return verdict->allowed;
}

/* What is published: with the time that begins now. */
static struct nj_message *due_message(const struct nj_shard *shard, struct nj_message *message)
{
    if (!message->expires_ms) {
        return nj_message_ref(message);
    }
    struct nj_message_view view = nj_message_view(message);
    view.expires_ms += shard->now_ms;
    return nj_message_new(&view);
}

bool nj_will_fire(struct nj_session *session, bool ends)
{
    if (!session->will) {
        return false;
    }
    struct nj_shard *shard = session->shard;
    struct nj_will *will = session->will;
    struct nj_message *message = due_message(shard, will->message);
    struct nj_bytes topic = nj_message_topic(will->message);
    struct nj_verdict verdict;
    bool is_taken = false;
    session->will = NULL; /* one that is there later is another one */
    if (!may_fire(session, topic, &verdict)) {
        nj_session_denied(session, NJ_ACTION_WILL, topic, &verdict);
    } else if (message) {
        is_taken = nj_release_will(session, message, ends);
    } else {
        NJ_STAT_ADD(shard, dropped_memory, 1);
        NJ_STAT_ADD(shard, publish_dropped, 1);
    }
    session->will = will;
    if (is_taken) {
        nj_will_forget(session); /* its record goes with the group of what was published */
    } else {
        enum nj_err err;
        nj_will_drop(session);
        (void)nj_shard_commit(shard, &err);
    }
    nj_message_unref(message);
    return is_taken;
}
