/* See release.h, and nj_session_pubrel of publish.h. */
#include "broker/release.h"

#include "base/fault.h"
#include "base/mem.h"
#include "broker/commit.h"
#include "broker/deliver.h"
#include "broker/denial.h"
#include "broker/filters.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/link.h"
#include "broker/origin.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "store/message.h"

struct nj_release {
    struct nj_after after;    /* first: when the last part is complete */
    struct nj_parted parted;  /* when the others have submitted theirs */
    struct nj_release *next;  /* of the same session */
    struct nj_release *newer; /* goes out when this one did; NULL = nobody waits */
    uint64_t session;
    struct nj_message *message;
    uint64_t waiter;         /* ticket that PUBCOMP waits for, of the newest connection */
    uint64_t joint;          /* 0 = all of it is in one group of this lane */
    struct nj_moment moment; /* of this worker's filters when PUBREL came */
    uint32_t own_parts;
    uint16_t packet_id;
    bool is_routed; /* the message goes out; else only its id becomes free */
    bool is_will;
    bool is_behind;   /* an older one is not finished */
    bool is_complete; /* `result` is known */
    enum nj_err result;
    bool has_record;             /* of the session, or of what is released */
    enum nj_store_op_kind frees; /* the operation that lets go of it */
};

static struct nj_release **find(struct nj_session *session, uint16_t packet_id)
{
    struct nj_release **at = &session->releases;
    while (*at && (*at)->packet_id != packet_id) {
        at = &(*at)->next;
    }
    return at;
}

static void release_free(struct nj_shard *shard, struct nj_release *release)
{
    nj_filters_drop_moment(shard->filters, &release->moment);
    nj_message_unref(release->message);
    nj_free(release);
}

/* ---- the end */

static void route_rest(struct nj_shard *shard, struct nj_message *message, uint64_t sender,
                       const struct nj_moment *moment)
{
    if (message->expires_ms && message->expires_ms <= shard->now_ms) {
        NJ_STAT_ADD(shard, dropped_expired, 1); /* the store took that long */
        NJ_STAT_ADD(shard, publish_dropped, 1);
        return;
    }
    enum nj_err err;
    struct nj_publication publication = {
        .view = nj_message_view(message),
        .kept = nj_message_ref(message),
        .sender = sender,
        .phase = NJ_PHASE_REST,
        .moment = moment->number,
    };
    const struct nj_match *match = nj_filters_match_own(shard->filters, publication.view.topic);
    (void)nj_route_local(shard, &publication, match, 0);
    (void)nj_shard_commit(shard, &err);
    nj_publication_fini(&publication);
}

/* The store refused a will. Nobody waits for an answer and nobody tries again: those who need no
 * store get it all the same. */
static void route_unstored(struct nj_shard *shard, const struct nj_release *release)
{
    enum nj_err err;
    struct nj_publication publication = {
        .view = nj_message_view(release->message),
        .kept = nj_message_ref(release->message),
        .sender = release->session,
        .is_accepted = true,
    };
    (void)nj_route(shard, &publication, false);
    (void)nj_shard_commit(shard, &err);
    nj_publication_fini(&publication);
}

static void finish(struct nj_shard *shard, struct nj_release *release)
{
    struct nj_session *session = nj_session_by_id(shard, release->session);
    uint64_t waiter = release->waiter;
    enum nj_err err = release->result;
    if (session && !release->is_will) {
        *find(session, release->packet_id) = release->next;
        if (err == NJ_OK) {
            (void)nj_flow_incoming_drop(session->flow, release->packet_id);
        }
    }
    if (shard->last_will == release) {
        shard->last_will = NULL;
    }
    if (err != NJ_OK && release->is_will) {
        route_unstored(shard, release);
    } else if (err == NJ_OK && release->is_routed) {
        route_rest(shard, release->message, release->session, &release->moment);
    }
    release_free(shard, release);
    nj_shard_ticket_done(shard, waiter, err, 0);
}

/* In the order of the beginnings (MQTT5 4.6), although parts on more workers take longer, and a
 * release with nothing to store takes no time at all. */
static void finished(struct nj_shard *shard, struct nj_release *release, enum nj_err err)
{
    release->result = err;
    release->is_complete = true;
    while (release && release->is_complete && !release->is_behind) {
        struct nj_release *newer = release->newer;
        bool is_closed = release->result == NJ_ECLOSED; /* the broker stops */
        if (newer) {
            newer->is_behind = false;
            newer->result = is_closed ? NJ_ECLOSED : newer->result;
        }
        if (is_closed) {
            shard->last_will = shard->last_will == release ? NULL : shard->last_will;
            release_free(shard, release);
        } else {
            finish(shard, release);
        }
        release = newer;
    }
}

/* `older` is the newest of those that it must not pass; NULL = there is none. */
static void follow(struct nj_release *release, struct nj_release *older)
{
    if (older) {
        older->newer = release;
        release->is_behind = true;
    }
}

static void run_release(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    finished(shard, (struct nj_release *)after, err);
}

/* The session may have been taken over with a new will, whose record replaced this one's. */
static bool is_replaced(struct nj_shard *shard, const struct nj_release *release)
{
    const struct nj_session *session =
        release->frees == NJ_STORE_WILL_CLEAR ? nj_session_by_id(shard, release->session) : NULL;
    return session && session->will;
}

/* The operation that frees the packet id, and with it everything else. */
static void submit_last(struct nj_shard *shard, struct nj_release *release,
                        struct nj_store_joint *joint)
{
    enum nj_err err;
    if (release->has_record && !is_replaced(shard, release)) {
        struct nj_store_op *op = nj_shard_op(shard, release->frees, release->session);
        if (op) {
            op->packet_id = release->packet_id;
        }
    }
    if (!joint && !shard->op_count && !shard->is_group_broken) {
        finished(shard, release, NJ_OK); /* nothing to wait for */
        return;
    }
    uint64_t group =
        joint ? nj_shard_commit_joint(shard, joint, &err) : nj_shard_commit(shard, &err);
    if (!group) {
        finished(shard, release, err);
        return;
    }
    release->after.run = run_release;
    nj_shard_after(shard, &release->after, group);
}

static void counted(struct nj_shard *shard, struct nj_parted *parted, enum nj_err err,
                    uint32_t parts)
{
    struct nj_release *release = NJ_CONTAINER(parted, struct nj_release, parted);
    struct nj_store_joint joint = {
        .id = release->joint,
        .parts = release->own_parts + parts + 1,
        .is_aborted = err != NJ_OK,
    };
    submit_last(shard, release, &joint);
}

/* ---- the beginning */

/* Nobody on either side has anything that outlives the connection. */
static bool is_volatile(struct nj_session *session, const struct nj_message *message)
{
    return !session->has_record && !message->is_retain &&
           !nj_route_reaches_stored(session->shard, nj_message_topic(message));
}

/* With *hold, which counts the answers of other workers; one answer is our own. NULL without
 * memory.
 */
static struct nj_release *release_new(struct nj_session *session, struct nj_message *message,
                                      struct nj_hold **hold)
{
    struct nj_shard *shard = session->shard;
    struct nj_release *release = nj_try_zalloc(sizeof(*release));
    if (!release) {
        return NULL;
    }
    nj_list_init(&release->after.node);
    release->parted.counted = counted;
    release->session = session->id;
    release->has_record = session->has_record;
    release->frees = NJ_STORE_INCOMING_RELEASE;
    nj_filters_keep_moment(shard->filters, &release->moment);
    release->message = nj_message_ref(message);
    release->joint = nj_shard_next_joint(shard);
    *hold = nj_shard_hold_parts(shard, &release->parted, ++shard->next_ticket, 1);
    if (!*hold) {
        release_free(shard, release);
        return NULL;
    }
    return release;
}

/* Several workers: the group of this one is a part, and the last part follows when the others have
 * said how many there are. A will has a part here even if that is empty: what its client has stored
 * when it comes back, and so its CONNACK, is behind it. */
static void begin_joint(struct nj_shard *shard, struct nj_release *release, struct nj_hold *hold,
                        const struct nj_routed *routed)
{
    enum nj_err err = NJ_OK;
    if (release->is_will || shard->op_count || shard->is_group_broken) {
        struct nj_store_joint joint = {.id = release->joint};
        release->own_parts = nj_shard_commit_joint(shard, &joint, &err) ? 1 : 0;
    }
    hold->tickets_left += routed->tickets;
    nj_shard_ticket_done(shard, hold->ticket, err, 0);
}

static void route(struct nj_session *session, struct nj_release *release, struct nj_hold *hold)
{
    struct nj_shard *shard = session->shard;
    struct nj_publication publication = {
        .view = nj_message_view(release->message),
        .kept = release->message,
        .sender = session->id,
        .phase = NJ_PHASE_ROWS,
        .joint = release->joint,
        .ticket = hold->ticket,
    };
    nj_crash_point("release");
    release->is_routed = true;
    struct nj_routed routed = nj_publish_accepted(session, &publication, true);
    if (routed.tickets) {
        begin_joint(shard, release, hold, &routed);
        return;
    }
    nj_shard_drop_hold(shard, hold);
    submit_last(shard, release, NULL);
}

static void release_volatile(struct nj_session *session, uint16_t packet_id,
                             struct nj_message *message)
{
    struct nj_publication publication = {
        .view = nj_message_view(message),
        .kept = nj_message_ref(message),
        .sender = session->id,
        .is_accepted = true,
    };
    (void)nj_flow_incoming_drop(session->flow, packet_id);
    struct nj_routed routed = nj_publish_accepted(session, &publication, true);
    struct nj_wait wait = {.ticket = routed.ticket, .tickets = routed.tickets};
    wait.group = nj_shard_commit(session->shard, &wait.err);
    nj_publication_fini(&publication);
    nj_session_ack(session, NJ_HOLD_PUBCOMP, packet_id, NJ_RC_SUCCESS, wait);
}

/* Its right, its age: what goes out may be less than what came in. */
static bool may_go_out(struct nj_session *session, const struct nj_message *message)
{
    struct nj_shard *shard = session->shard;
    struct nj_bytes topic = nj_message_topic(message);
    struct nj_verdict verdict;
    if (nj_publish_is_request(topic)) {
        return false; /* it was handed on with its PUBLISH */
    }
    nj_authz(shard->policy, &session->subject, NJ_ACTION_PUBLISH, topic, &verdict);
    if (!verdict.allowed) {
        nj_session_denied(session, NJ_ACTION_PUBLISH, topic, &verdict);
        return false;
    }
    if (message->expires_ms && message->expires_ms <= shard->now_ms) {
        /* It took too long: nobody may get it any more (MQTT5 3.3.2.3.3). */
        NJ_STAT_ADD(shard, dropped_expired, 1);
        NJ_STAT_ADD(shard, publish_dropped, 1);
        return false;
    }
    return true;
}

/* Holds PUBCOMP before anything is routed, so that nothing can fail after it. */
static void begin(struct nj_session *session, uint16_t packet_id, struct nj_message *message)
{
    struct nj_shard *shard = session->shard;
    struct nj_hold *hold;
    struct nj_release *release = release_new(session, message, &hold);
    if (!release) {
        nj_link_fail_memory(session->link);
        return;
    }
    release->packet_id = packet_id;
    follow(release, session->releases);
    release->next = session->releases;
    session->releases = release;
    release->waiter = ++shard->next_ticket;
    const struct nj_wait wait = {.ticket = release->waiter, .tickets = 1};
    nj_session_ack(session, NJ_HOLD_PUBCOMP, packet_id, NJ_RC_SUCCESS, wait);
    if (may_go_out(session, message)) {
        route(session, release, hold);
    } else {
        nj_shard_drop_hold(shard, hold);
        submit_last(shard, release, NULL);
    }
}

/* A will of QoS 0 is sent at once: it may get lost, and then need not wait. But it does not pass
 * an older one of its client, which may be retained and wait (MQTT5 4.6). */
bool nj_release_will(struct nj_session *session, struct nj_message *message, bool ends)
{
    struct nj_shard *shard = session->shard;
    struct nj_hold *hold;
    struct nj_release *release = release_new(session, message, &hold);
    if (!release) {
        return false;
    }
    release->is_will = true;
    release->frees = ends ? NJ_STORE_SESSION_DELETE : NJ_STORE_WILL_CLEAR;
    bool needs_store = message->qos > 0 || message->is_retain;
    if (shard->last_will || (needs_store && !is_volatile(session, message))) {
        follow(release, shard->last_will);
        shard->last_will = release;
        route(session, release, hold);
        return true;
    }
    route_unstored(shard, release);
    nj_shard_drop_hold(shard, hold);
    submit_last(shard, release, NULL);
    return true;
}

/* PUBREL again, on a new connection: it waits for the same commit. */
static void wait_too(struct nj_session *session, struct nj_release *release)
{
    release->waiter = ++session->shard->next_ticket;
    const struct nj_wait wait = {.ticket = release->waiter, .tickets = 1};
    nj_session_ack(session, NJ_HOLD_PUBCOMP, release->packet_id, NJ_RC_SUCCESS, wait);
}

void nj_session_pubrel(struct nj_session *session, uint16_t packet_id)
{
    struct nj_link *link = session->link;
    struct nj_release *release = *find(session, packet_id);
    struct nj_incoming *incoming =
        session->flow ? nj_flow_incoming_find(session->flow, packet_id) : NULL;
    if (incoming && incoming->connection == session->connection && link->receive_in) {
        link->receive_in--;
        incoming->connection = 0;
    }
    if (release) {
        wait_too(session, release);
        return;
    }
    if (!incoming) {
        nj_session_ack_unknown(session, NJ_HOLD_PUBCOMP, packet_id);
        return;
    }
    /* Nor does it pass an older one, whatever that waits for. */
    if (session->releases || !is_volatile(session, incoming->message)) {
        begin(session, packet_id, incoming->message);
        return;
    }
    struct nj_message *message = nj_message_ref(incoming->message);
    if (may_go_out(session, message)) {
        release_volatile(session, packet_id, message);
    } else {
        (void)nj_flow_incoming_drop(session->flow, packet_id);
        nj_session_ack(session, NJ_HOLD_PUBCOMP, packet_id, NJ_RC_SUCCESS, (struct nj_wait){0});
    }
    nj_message_unref(message);
}

/* ---- on another worker */

/* What is left to do there. */
struct rest {
    struct nj_after after; /* first */
    struct nj_message *message;
    uint64_t sender;
    struct nj_moment moment;
};

static void run_rest(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    struct rest *rest = (struct rest *)after;
    if (err == NJ_OK) {
        route_rest(shard, rest->message, rest->sender, &rest->moment);
    }
    nj_filters_drop_moment(shard->filters, &rest->moment);
    nj_message_unref(rest->message);
    nj_free(rest);
}

uint32_t nj_release_take_part(struct nj_shard *shard, struct nj_publication *publication,
                              uint64_t joint_id)
{
    enum nj_err err;
    struct nj_store_joint joint = {.id = joint_id};
    struct nj_message *message = nj_publication_keep(publication);
    struct rest *rest = message ? nj_try_zalloc(sizeof(*rest)) : NULL;
    joint.is_aborted = !rest;
    uint64_t group = nj_shard_commit_joint(shard, &joint, &err);
    if (group && rest) {
        rest->after.run = run_rest;
        rest->message = nj_message_ref(message);
        rest->sender = publication->sender;
        nj_filters_keep_moment(shard->filters, &rest->moment);
        nj_shard_after(shard, &rest->after, group);
    } else {
        nj_free(rest);
    }
    return group ? 1 : 0;
}
