/* See hold.h. */
#include "broker/hold.h"

#include "base/fault.h"
#include "base/mem.h"
#include "broker/ack.h"
#include "broker/commit.h"
#include "broker/flow.h"
#include "broker/link.h"
#include "broker/message.h"
#include "broker/record.h"
#include "broker/replay.h"
#include "broker/session.h"
#include "broker/shard.h"

#define TICKET_BUCKETS 1024

struct nj_hold_table {
    struct nj_hold *buckets[TICKET_BUCKETS];
};

struct nj_wait nj_session_lane_wait(struct nj_session *session)
{
    struct nj_wait wait = {0};
    (void)nj_shard_commit(session->shard, &wait.err);
    wait.group = session->is_stored ? session->shard->submitted : 0;
    wait.ticket = session->shard->join_ticket;
    wait.tickets = session->shard->join_count;
    session->shard->join_ticket = 0;
    session->shard->join_count = 0;
    return wait;
}

static void ticket_insert(struct nj_shard *shard, struct nj_hold *hold)
{
    if (!shard->tickets) {
        shard->tickets = nj_zalloc(sizeof(*shard->tickets));
    }
    struct nj_hold **bucket = &shard->tickets->buckets[hold->ticket % TICKET_BUCKETS];
    hold->ticket_next = *bucket;
    *bucket = hold;
}

static struct nj_hold *ticket_find(struct nj_shard *shard, uint64_t ticket)
{
    struct nj_hold *hold = shard->tickets ? shard->tickets->buckets[ticket % TICKET_BUCKETS] : NULL;
    while (hold && hold->ticket != ticket) {
        hold = hold->ticket_next;
    }
    return hold;
}

/* The peer may send one more QoS > 0 message (MQTT5 4.9). */
static void give_back_quota(struct nj_link *link)
{
    if (link->receive_in) {
        link->receive_in--;
    }
}

static void ticket_remove(struct nj_shard *shard, struct nj_hold *hold)
{
    struct nj_hold **at = &shard->tickets->buckets[hold->ticket % TICKET_BUCKETS];
    while (*at != hold) {
        at = &(*at)->ticket_next;
    }
    *at = hold->ticket_next;
}

/* The publisher was too far ahead of the store and is not any more, or nothing is owed to it. */
static void let_go(struct nj_session *session)
{
    session->held_count--;
    bool has_caught_up =
        session->held_count <= NJ_HELD_MAX / 2 && nj_shard_store_has_caught_up(session->shard);
    if (session->link && session->link->is_held_back &&
        (has_caught_up || session->held_count == 0)) {
        nj_link_read_on(session->link);
    }
}

static void hold_free(struct nj_shard *shard, struct nj_hold *hold)
{
    if (hold->session) {
        let_go(hold->session);
    }
    nj_list_remove(&hold->in_session);
    nj_list_remove(&hold->in_waiting);
    if (hold->tickets_left) {
        ticket_remove(shard, hold);
    }
    nj_replay_free(hold->replay);
    nj_free(hold);
}

static bool is_ready(const struct nj_hold *hold)
{
    return hold->group == 0 && hold->tickets_left == 0;
}

/* The record of an incoming QoS 2 message was not kept: it is forgotten, so that the client's next
 * try is stored anew. MQTT 5 clients are told so and may use the packet id again. */
static void forget_incoming(struct nj_session *session, uint16_t packet_id)
{
    if (nj_flow_incoming_drop(session->flow, packet_id)) {
        give_back_quota(session->link);
    }
}

/* Sends what a ready hold promised. The session may be gone afterwards only by a close, which is
 * never immediate. */
static void deliver_hold(struct nj_session *session, struct nj_hold *hold)
{
    struct nj_link *link = session->link;
    nj_crash_point("answer");
    if (hold->kind == NJ_HOLD_PUBACK) {
        give_back_quota(link);
    }
    if (hold->err != NJ_OK) {
        if (hold->kind == NJ_HOLD_PUBREC) {
            forget_incoming(session, hold->packet_id);
        }
        nj_ack_send_failure(link, hold);
        return;
    }
    if (NJ_UNLIKELY(hold->len && !nj_link_takes(link, hold->len))) {
        NJ_STAT_ADD(session->shard, dropped_too_large, 1);
        if (hold->kind == NJ_HOLD_CONNACK) {
            session->shard->core->link_ops->close(link, NJ_RC_SUCCESS,
                                                  "its maximum packet size is below a CONNACK");
            return;
        }
    } else if (hold->len) {
        uint8_t *room = nj_link_frame(link, hold->len);
        if (!room) {
            nj_link_fail_memory(link);
            return;
        }
        memcpy(room, hold->frame, hold->len);
        NJ_STAT_ADD(session->shard, messages_sent, 1);
    } else {
        nj_ack_send(link, hold->kind, hold->packet_id, hold->reason);
    }
    if (hold->kind == NJ_HOLD_CONNACK) {
        nj_session_resume(session);
    } else if (hold->replay) {
        nj_replay_start(session, hold->replay);
        hold->replay = NULL;
    }
}

static void release(struct nj_session *session)
{
    while (session->link && !nj_list_is_empty(&session->held)) {
        struct nj_hold *hold = NJ_CONTAINER(session->held.next, struct nj_hold, in_session);
        if (!is_ready(hold)) {
            return;
        }
        nj_list_remove(&hold->in_session);
        deliver_hold(session, hold);
        hold_free(session->shard, hold);
    }
}

/* Almost always the newest group, hence the search from the end. */
static void insert_waiting(struct nj_shard *shard, struct nj_hold *hold)
{
    struct nj_list *place = shard->waiting.prev;
    while (place != &shard->waiting &&
           NJ_CONTAINER(place, struct nj_hold, in_waiting)->group > hold->group) {
        place = place->prev;
    }
    nj_list_insert_after(place, &hold->in_waiting);
}

static struct nj_hold *hold_new(struct nj_shard *shard, enum nj_hold_kind kind, uint32_t len,
                                struct nj_wait wait)
{
    struct nj_hold *hold = nj_try_zalloc(sizeof(*hold) + len);
    if (!hold) {
        return NULL;
    }
    nj_list_init(&hold->in_session);
    nj_list_init(&hold->in_waiting);
    hold->kind = (uint8_t)kind;
    hold->len = len;
    hold->err = wait.err;
    if (wait.group > shard->completed) {
        hold->group = wait.group;
        insert_waiting(shard, hold);
    }
    if (wait.tickets) {
        hold->ticket = wait.ticket;
        hold->tickets_left = wait.tickets;
        ticket_insert(shard, hold);
    }
    return hold;
}

static bool must_wait(const struct nj_session *session, struct nj_wait wait)
{
    return wait.group > session->shard->completed || wait.tickets || wait.err != NJ_OK ||
           !nj_list_is_empty(&session->held);
}

void nj_session_ack(struct nj_session *session, enum nj_hold_kind kind, uint16_t packet_id,
                    uint8_t reason, struct nj_wait wait)
{
    if (!must_wait(session, wait)) {
        nj_ack_send(session->link, kind, packet_id, reason);
        return;
    }
    struct nj_hold *hold = hold_new(session->shard, kind, 0, wait);
    if (!hold) {
        nj_link_fail_memory(session->link);
        return;
    }
    hold->session = session;
    session->held_count++;
    hold->packet_id = packet_id;
    hold->reason = reason;
    if (kind == NJ_HOLD_PUBACK) {
        session->link->receive_in++;
    }
    nj_list_push_back(&session->held, &hold->in_session);
    release(session);
}

void nj_session_ack_unknown(struct nj_session *session, enum nj_hold_kind kind, uint16_t packet_id)
{
    bool is_told = session->link->version == NJ_MQTT_5 && session->shard->limits->names_unknown_ids;
    nj_session_ack(session, kind, packet_id, is_told ? NJ_RC_PACKET_ID_NOT_FOUND : NJ_RC_SUCCESS,
                   (struct nj_wait){0});
}

void nj_session_answer(struct nj_session *session, enum nj_hold_kind kind, const uint8_t *frame,
                       uint32_t len, struct nj_replay *replay, struct nj_wait wait)
{
    struct nj_hold *hold = hold_new(session->shard, kind, len, wait);
    if (!hold) {
        nj_replay_free(replay);
        nj_link_fail_memory(session->link);
        return;
    }
    hold->session = session;
    session->held_count++;
    hold->replay = replay;
    memcpy(hold->frame, frame, len);
    if (kind == NJ_HOLD_SUBACK || kind == NJ_HOLD_UNSUBACK) {
        hold->packet_id = nj_ack_frame_packet_id(frame);
    }
    nj_list_push_back(&session->held, &hold->in_session);
    release(session);
}

static const uint8_t pingresp[] = {NJ_MQTT_PINGRESP << 4, 0};

static void send_pong(struct nj_link *link)
{
    if (!nj_link_takes(link, sizeof(pingresp))) {
        return;
    }
    uint8_t *room = nj_link_frame_late(link, sizeof(pingresp));
    if (!room) {
        nj_link_fail_memory(link);
        return;
    }
    memcpy(room, pingresp, sizeof(pingresp));
    NJ_STAT_ADD(link->shard, messages_sent, 1);
}

bool nj_session_pong(struct nj_session *session)
{
    struct nj_wait wait = {0};
    bool has_unsent = session->flow && session->flow->is_pump_held;
    if ((nj_list_is_empty(&session->held) && !has_unsent) || session->held_count >= NJ_HELD_MAX) {
        send_pong(session->link);
        return true;
    }
    if (has_unsent) {
        wait.group = nj_session_lane_wait(session).group;
    }
    nj_session_answer(session, NJ_HOLD_PINGRESP, pingresp, sizeof(pingresp), NULL, wait);
    return false;
}

void nj_session_overtake(struct nj_session *session)
{
    nj_list_each_safe (node, &session->held) {
        struct nj_hold *hold = NJ_CONTAINER(node, struct nj_hold, in_session);
        if (hold->kind == NJ_HOLD_PINGRESP) {
            send_pong(session->link);
            hold_free(session->shard, hold);
        }
    }
}

bool nj_session_owes_answers(struct nj_session *session)
{
    if (nj_list_is_empty(&session->held)) {
        return false;
    }
    nj_link_hold_back(session->link);
    return true;
}

struct pump_after {
    struct nj_after after; /* first */
    uint64_t session;
};

static void run_pump(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    struct nj_session *session = nj_session_by_id(shard, ((struct pump_after *)after)->session);
    nj_free(after);
    if (session && session->flow && err != NJ_ECLOSED) {
        session->flow->is_pump_held = false;
        nj_session_pump(session);
    }
}

void nj_session_pump_later(struct nj_session *session, uint64_t group)
{
    if (session->flow->is_pump_held) {
        return;
    }
    struct pump_after *pump = nj_try_zalloc(sizeof(*pump));
    if (!pump) {
        nj_link_fail_memory(session->link);
        return;
    }
    pump->session = session->id;
    pump->after.run = run_pump;
    session->flow->is_pump_held = true;
    nj_shard_after(session->shard, &pump->after, group);
}

static void ticket_reply(struct nj_shard *shard, uint32_t from, uint64_t ticket, enum nj_err err,
                         uint32_t parts)
{
    struct nj_record_ticket *record =
        nj_shard_post_surely(shard, from, NJ_RECORD_TICKET_DONE, sizeof(*record));
    record->ticket = ticket;
    record->err = err;
    record->parts = parts;
}

void nj_shard_ticket_reply(struct nj_shard *shard, uint32_t from, uint64_t ticket,
                           struct nj_wait wait, enum nj_err err)
{
    /* Whoever waits for more answers must not be told too early even when it failed: the parts of a
     * joint group are counted. */
    bool has_failed = err != NJ_OK && !(wait.parts && wait.tickets);
    if (has_failed || (wait.group <= shard->completed && !wait.tickets)) {
        ticket_reply(shard, from, ticket, err, wait.parts);
        return;
    }
    struct nj_hold *hold = hold_new(shard, NJ_HOLD_TICKET, 0, wait);
    if (!hold) {
        ticket_reply(shard, from, ticket, NJ_ENOMEM, wait.parts);
        return;
    }
    if (err != NJ_OK) {
        hold->err = err;
    }
    hold->reply_ticket = ticket;
    hold->reply_to = from;
    hold->parts = wait.parts;
}

/* A hold got nearer to being ready. */
static void advance(struct nj_shard *shard, struct nj_hold *hold)
{
    if (hold->kind == NJ_HOLD_PARTS) {
        if (is_ready(hold)) {
            struct nj_parted *parted = hold->parted;
            enum nj_err err = hold->err;
            uint32_t parts = hold->parts;
            hold_free(shard, hold);
            parted->counted(shard, parted, err, parts);
        }
    } else if (hold->kind != NJ_HOLD_TICKET) {
        release(hold->session);
    } else if (is_ready(hold)) {
        ticket_reply(shard, hold->reply_to, hold->reply_ticket, hold->err, hold->parts);
        hold_free(shard, hold);
    }
}

void nj_shard_ticket_done(struct nj_shard *shard, uint64_t ticket, enum nj_err err, uint32_t parts)
{
    struct nj_hold *hold = ticket_find(shard, ticket);
    if (!hold) {
        return; /* the connection that waited is gone */
    }
    hold->parts += parts;
    if (err != NJ_OK) {
        hold->err = err;
    }
    if (hold->tickets_left == 1) {
        ticket_remove(shard, hold);
    }
    hold->tickets_left--;
    advance(shard, hold);
}

void nj_shard_completed(struct nj_shard *shard, uint64_t group, enum nj_err err)
{
    nj_crash_point("completed");
    shard->completed = group;
    nj_commit_completed(shard, group, err);
    while (!nj_list_is_empty(&shard->waiting)) {
        struct nj_hold *hold = NJ_CONTAINER(shard->waiting.next, struct nj_hold, in_waiting);
        if (hold->group > group) {
            return;
        }
        if (hold->group == group && err != NJ_OK) {
            hold->err = err;
        }
        hold->group = 0;
        nj_list_remove(&hold->in_waiting);
        advance(shard, hold);
    }
}

void nj_session_drop_held(struct nj_session *session)
{
    while (!nj_list_is_empty(&session->held)) {
        hold_free(session->shard, NJ_CONTAINER(session->held.next, struct nj_hold, in_session));
    }
}

void nj_shard_drop_hold(struct nj_shard *shard, struct nj_hold *hold)
{
    hold_free(shard, hold);
}

struct nj_hold *nj_shard_hold_parts(struct nj_shard *shard, struct nj_parted *parted,
                                    uint64_t ticket, uint32_t tickets)
{
    struct nj_hold *hold =
        hold_new(shard, NJ_HOLD_PARTS, 0, (struct nj_wait){.ticket = ticket, .tickets = tickets});
    if (hold) {
        hold->parted = parted;
    }
    return hold;
}

void nj_shard_holds_fini(struct nj_shard *shard)
{
    while (!nj_list_is_empty(&shard->waiting)) {
        struct nj_hold *hold = NJ_CONTAINER(shard->waiting.next, struct nj_hold, in_waiting);
        hold_free(shard, hold);
    }
    for (int i = 0; shard->tickets && i < TICKET_BUCKETS; i++) {
        while (shard->tickets->buckets[i]) {
            hold_free(shard, shard->tickets->buckets[i]);
        }
    }
    nj_free(shard->tickets);
    shard->tickets = NULL;
}
