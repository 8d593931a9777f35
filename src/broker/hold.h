/* Answers that wait until what they promise is durable (architecture: acknowledge after commit).
 *
 *   shard->waiting:  hold 17 ─ hold 18 ─ hold 18 ─ …     by number of the store group
 *   session->held:   in the order the client must see them
 *
 * A hold is ready when its store group is complete and every other worker that has stored
 * subscribers answered its ticket. Ready holds leave from the front of their session's list only,
 * so acknowledgements keep the order of the packets they answer (MQTT5 4.6). */
#ifndef NJ_BROKER_HOLD_H
#define NJ_BROKER_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct nj_retained_request;
struct nj_session;
struct nj_shard;

enum nj_hold_kind {
    NJ_HOLD_PUBACK,
    NJ_HOLD_PUBREC,
    NJ_HOLD_PUBREL,
    NJ_HOLD_PUBCOMP,
    NJ_HOLD_SUBACK,
    NJ_HOLD_UNSUBACK,
    NJ_HOLD_CONNACK,
    NJ_HOLD_PINGRESP,
    NJ_HOLD_TICKET, /* no session: another worker waits */
    NJ_HOLD_PARTS,  /* no session: a joint group waits until its parts are counted */
};

/* Told when everybody who takes part in a joint group has submitted for it, and how many parts
 * these are; or that somebody could not. The owner embeds it. */
struct nj_parted {
    void (*counted)(struct nj_shard *shard, struct nj_parted *parted, enum nj_err err,
                    uint32_t parts);
};

struct nj_hold {
    struct nj_list in_session;
    struct nj_list in_waiting;
    struct nj_hold *ticket_next;
    struct nj_session *session;
    struct nj_replay *replay; /* after SUBACK: retained messages to send */
    uint64_t group;           /* store group waited for; 0 = none */
    uint64_t ticket;          /* key among this worker's tickets */
    uint32_t tickets_left;
    uint32_t parts;           /* of a joint group, submitted by those who answered */
    struct nj_parted *parted; /* NJ_HOLD_PARTS */
    uint32_t reply_to;        /* NJ_HOLD_TICKET: the worker that asked, and its ticket */
    uint64_t reply_ticket;
    enum nj_err err;
    uint8_t kind;
    uint8_t reason; /* of the acknowledgement */
    uint16_t packet_id;
    uint32_t len;
    uint8_t frame[]; /* SUBACK, UNSUBACK, CONNACK, PINGRESP: as it goes out */
};

/* What an answer waits for; all zero = nothing. */
struct nj_wait {
    uint64_t group;
    uint64_t ticket;
    uint32_t tickets;
    enum nj_err err; /* it failed already: the answer says so, in its turn */
    uint32_t parts;  /* of a joint group, that were submitted for it here */
};

/* With more answers waiting than this a connection is not read (nj_session_must_wait). */
#define NJ_HELD_MAX 1000u

/* Commits the open group. What an answer waits for that follows all that the session has submitted:
 * the last group of the lane. */
struct nj_wait nj_session_lane_wait(struct nj_session *session);

/* Sends the acknowledgement now, or holds it. */
void nj_session_ack(struct nj_session *session, enum nj_hold_kind kind, uint16_t packet_id,
                    uint8_t reason, struct nj_wait wait);
/* PUBREL or PUBCOMP for a packet id that is not in use; MQTT 5 clients may be told so (0x92). */
void nj_session_ack_unknown(struct nj_session *session, enum nj_hold_kind kind, uint16_t packet_id);
/* The same for an encoded frame. Takes `replay` over (may be NULL). */
void nj_session_answer(struct nj_session *session, enum nj_hold_kind kind, const uint8_t *frame,
                       uint32_t len, struct nj_replay *replay, struct nj_wait wait);
/* PINGRESP, behind the answers to what the client had sent before and behind QoS 2 messages that
 * wait until their packet ids are recorded, so that it may take PINGREQ for a barrier. False: it
 * waits for them, and is to overtake them before the client loses patience. */
bool nj_session_pong(struct nj_session *session);
/* Sends every PINGRESP that waits, in front of what it waits for. */
void nj_session_overtake(struct nj_session *session);
/* Before a connection ends by what the client sent: true when answers to earlier packets wait for
 * the store. Then it is held back, and the packet has its turn again when they are out. */
bool nj_session_owes_answers(struct nj_session *session);
/* Calls nj_session_pump when `group` is complete. The session has a flow. */
void nj_session_pump_later(struct nj_session *session, uint64_t group);
/* Answers `ticket` of worker `from` now or when what it waits for is done. */
void nj_shard_ticket_reply(struct nj_shard *shard, uint32_t from, uint64_t ticket,
                           struct nj_wait wait, enum nj_err err);
/* A ticket of ours was answered, after `parts` parts of its joint group were submitted. */
void nj_shard_ticket_done(struct nj_shard *shard, uint64_t ticket, enum nj_err err, uint32_t parts);
/* Calls `parted` when so many answers to `ticket` have come. NULL when memory is short. Who does
 * not know the number yet begins with one answer, its own, and adds to the hold's tickets_left. */
struct nj_hold *nj_shard_hold_parts(struct nj_shard *shard, struct nj_parted *parted,
                                    uint64_t ticket, uint32_t tickets) NJ_NODISCARD;
void nj_shard_drop_hold(struct nj_shard *shard, struct nj_hold *hold);
/* The connection is gone: nothing that waits will be sent. */
void nj_session_drop_held(struct nj_session *session);
void nj_shard_holds_fini(struct nj_shard *shard);

#endif
