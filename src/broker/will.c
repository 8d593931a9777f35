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

enum nj_err nj_will_set(struct nj_session *session, struct nj_message *message, uint32_t delay_s)
{
    struct nj_will *will = nj_try_zalloc(sizeof(*will));
    if (!will) {
        return NJ_ENOMEM;
    }
    nj_will_drop(session);
    will->message = message;
    will->delay_s = delay_s;
    session->will = will;
    session->will_due_ms = UINT64_MAX;
    if (session->is_stored) {
        struct nj_store_op *op =
            nj_shard_op(session->shard, NJ_STORE_WILL_SET, nj_session_client_id(session));
        if (op) {
            op->message = message;
            op->value = delay_s;
        }
    }
    return NJ_OK;
}

void nj_will_drop(struct nj_session *session)
{
    if (!session->will) {
        return;
    }
    if (session->is_stored) {
        (void)nj_shard_op(session->shard, NJ_STORE_WILL_CLEAR, nj_session_client_id(session));
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

void nj_will_fire(struct nj_session *session)
{
    if (!session->will) {
        return;
    }
    struct nj_shard *shard = session->shard;
    struct nj_message *message = nj_message_ref(session->will->message);
    nj_will_drop(session);
    struct nj_publication publication = {
        .view = nj_message_view(message),
        .kept = message,
        .sender = session->id,
    };
    struct nj_verdict verdict = {.reason = NJ_VERDICT_IDENTITY};
    /* Who is gone has no last will, even where rules still name the user. */
    bool has_owner =
        !session->credential ||
        nj_policy_has_user(shard->policy, session->subject.scope, session->subject.user);
    if (!has_owner) {
        nj_session_denied(session, NJ_ACTION_WILL, publication.view.topic, &verdict);
        nj_publication_fini(&publication);
        return;
    }
    nj_authz(shard->policy, &session->subject, NJ_ACTION_WILL, publication.view.topic, &verdict);
    if (!verdict.allowed) {
        nj_session_denied(session, NJ_ACTION_WILL, publication.view.topic, &verdict);
    } else {
        if (message->expires_ms) {
            publication.view.expires_ms = shard->now_ms + message->expires_ms;
        }
        nj_publish_accepted(session, &publication, false);
    }
    nj_publication_fini(&publication);
    enum nj_err err;
    (void)nj_shard_commit(shard, &err);
}
