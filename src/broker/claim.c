/* See claim.h. */
#include "broker/claim.h"

#include "base/fault.h"
#include "base/mem.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/rows.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/will.h"
#include "security/policy.h"

/* Sessions of anonymous or deleted owners never block, but are never handed on either: a fresh
 * session starts. */
enum owner {
    OWNER_SAME,
    OWNER_FREE,
    OWNER_OTHER,
};

static enum owner compare_owner(const struct nj_session *session, const struct nj_origin *origin)
{
    struct nj_bytes old = nj_origin_user(session->origin);
    struct nj_bytes user = nj_origin_user(origin);
    bool is_same = (old.ptr == NULL) == (user.ptr == NULL) && nj_bytes_equal(old, user) &&
                   session->origin->scope_id == origin->scope_id;
    if (is_same || !session->shard->limits->session_owner) {
        return OWNER_SAME;
    }
    if (!old.ptr || !nj_policy_has_user(session->shard->policy, session->origin->scope, old,
                                        session->origin->by_certificate)) {
        return OWNER_FREE;
    }
    return OWNER_OTHER;
}

/* The old connection goes. Its will: sent at once, unless its delay is longer than the time until
 * the session is resumed, which is now; a session that ends here sends it, too (MQTT5 3.1.2.5,
 * 3.1.3.2.2). A session without expiry ends with its connection, so there is none to resume. */
static void take_over(struct nj_session *session, bool ends)
{
    struct nj_link *old = session->link;
    if (!old) {
        return;
    }
    bool with_will =
        ends || session->expiry_s == 0 || (session->will && session->will->delay_s == 0);
    session->shard->core->link_ops->close(old, NJ_RC_SESSION_TAKEN_OVER, "session taken over");
    nj_session_detach(session, with_will);
}

/* `*had_record`: the store knows of it, whatever becomes of it. */
static struct nj_session *resume_or_end(struct nj_shard *shard, struct nj_session *session,
                                        bool ends, bool *had_record)
{
    struct nj_origin *origin = nj_origin_ref(session->origin);
    struct nj_bytes client_id = nj_origin_client_id(origin);
    *had_record = session->has_record;
    take_over(session, ends);
    /* Detaching may have ended it. */
    session = nj_session_find(shard, client_id);
    nj_origin_unref(origin);
    if (session && ends) {
        nj_session_end(session);
        session = NULL;
    }
    return session;
}

static enum nj_err no_memory(enum nj_mqtt_reason *reason, const char **why)
{
    *reason = NJ_RC_QUOTA_EXCEEDED;
    *why = "out of memory";
    return NJ_ENOMEM;
}

/* Approximate while several workers make sessions at once: a limit, not a count. */
static bool has_room(const struct nj_shard *shard)
{
    uint64_t sessions = 0;
    if (!shard->limits->max_sessions) {
        return true;
    }
    for (unsigned i = 0; i < shard->core->shard_count; i++) {
        sessions +=
            atomic_load_explicit(&shard->core->shards[i]->stats.sessions, memory_order_relaxed);
    }
    return sessions < shard->limits->max_sessions;
}

/* CONNACK follows what was in flight and the beginning of the queue. */
static void read_back(struct nj_session *session, struct nj_wait *wait)
{
    enum nj_err err;
    uint64_t ticket = nj_rows_claim(session, &err);
    if (ticket) {
        NJ_ASSERT(!wait->tickets);
        wait->ticket = ticket;
        wait->tickets = 1;
        session->has_rows = true;
    }
    if (err != NJ_OK) {
        wait->err = err;
    }
}

enum nj_err nj_session_claim(struct nj_link *link, const struct nj_claim *claim,
                             struct nj_claimed *out, enum nj_mqtt_reason *reason, const char **why)
{
    struct nj_shard *shard = link->shard;
    struct nj_session *session = nj_session_find(shard, nj_origin_client_id(claim->origin));
    enum owner owner = session ? compare_owner(session, claim->origin) : OWNER_SAME;
    *out = (struct nj_claimed){0};
    if (owner == OWNER_OTHER) {
        *reason = NJ_RC_NOT_AUTHORIZED;
        *why = "the session belongs to another user";
        return NJ_EACCES;
    }
    if (!session && !has_room(shard)) {
        *reason = NJ_RC_SERVER_BUSY;
        *why = "global_max_clients reached";
        return NJ_ELIMIT;
    }
    if (!session && claim->expiry_s && nj_mem_is_short()) {
        return no_memory(reason, why); /* it would stay; one that is resumed takes its queue out */
    }
    struct nj_will *will = claim->will ? nj_will_new(claim->will_delay_s) : NULL;
    if (claim->will && !will) {
        return no_memory(reason, why); /* nothing was touched yet */
    }
    bool had_record = false;
    if (session) {
        bool ends = claim->is_clean_start || owner == OWNER_FREE;
        session = resume_or_end(shard, session, ends, &had_record);
    }
    out->is_present = session != NULL;
    if (!session) {
        session = nj_session_new(shard, claim->origin);
        if (!session) {
            nj_free(will);
            return no_memory(reason, why);
        }
    } else {
        nj_session_set_origin(session, claim->origin);
    }
    session->version = (uint8_t)link->version;
    session->is_bridge = link->is_bridge;
    session->credential = claim->credential;
    nj_will_drop(session);
    nj_session_set_expiry(session, claim->expiry_s);
    nj_session_attach(session, link);
    /* The will of a session that ends with its connection is to survive a crash all the same. */
    const struct nj_store *store = shard->core->store; /* NULL: the broker stops */
    if (session->is_stored || (will && store && store->vtable->is_durable)) {
        nj_session_save(session);
    }
    if (will) {
        nj_will_give(session, will, claim->will);
    }
    nj_crash_point("claim");
    out->session = session;
    out->wait = nj_session_lane_wait(session);
    if (had_record) {
        out->wait.group = shard->submitted; /* also when it is no more, or stops being stored */
    }
    read_back(session, &out->wait);
    return NJ_OK;
}
