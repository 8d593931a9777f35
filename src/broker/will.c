/* See will.h. */
#include "broker/will.h"

#include "base/mem.h"
#include "broker/deliver.h"
#include "broker/denial.h"
#include "broker/hold.h"
#include "broker/message.h"
#include "broker/publish.h"
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
    if (session->is_stored) {
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
    if (session->is_stored) {
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

void nj_will_fire(struct nj_session *session)
{
    if (!session->will) {
        return;
    }
    struct nj_shard *shard = session->shard;
    struct nj_message *message = nj_message_ref(session->will->message);
    struct nj_publication publication = {.view = nj_message_view(message), .sender = session->id};
    struct nj_verdict verdict;
    nj_will_drop(session);
    if (!message->expires_ms) {
        publication.kept = nj_message_ref(message);
    } else {
        /* What is kept of it is made anew, with the time that begins now. */
        publication.view.expires_ms = shard->now_ms + message->expires_ms;
    }
    if (may_fire(session, publication.view.topic, &verdict)) {
        nj_publish_accepted(session, &publication, false);
    } else {
        nj_session_denied(session, NJ_ACTION_WILL, publication.view.topic, &verdict);
    }
    nj_publication_fini(&publication);
    nj_message_unref(message);
    enum nj_err err;
    (void)nj_shard_commit(shard, &err);
}
