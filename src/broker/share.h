/* Shared subscriptions (MQTT5 4.8.2): $share/<group>/<filter>.
 *
 * A group is kept by one worker, the one that hash(group, filter) names: its *home*. The filter
 * node of the home's subscription index carries the group, so a publication reaches the home like
 * any subscriber; the home picks the next member and sends the message to that member's worker. A
 * member that may not have it sends it back and the next one is tried. */
#ifndef NJ_BROKER_SHARE_H
#define NJ_BROKER_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/filters.h"

struct nj_flow;
struct nj_message;
struct nj_shared_subs;
struct nj_publication;
struct nj_record_group_deliver;
struct nj_record_member;
struct nj_session;
struct nj_shard;

/* -- at the member's worker -- */
enum nj_err nj_share_join(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter,
                          const struct nj_sub_options *options, bool *is_new) NJ_NODISCARD;
/* The same for boot.c, with the number that its rows in the store name. */
enum nj_err nj_share_restore(struct nj_session *session, struct nj_bytes group,
                             struct nj_bytes filter, const struct nj_sub_options *options,
                             uint32_t number) NJ_NODISCARD;
/* 0 = there is none. */
uint32_t nj_share_number(const struct nj_session *session, struct nj_bytes group,
                         struct nj_bytes filter);
uint32_t nj_share_count(const struct nj_session *session);
bool nj_share_leave(struct nj_session *session, struct nj_bytes group, struct nj_bytes filter);
/* The member came, went, or its place in stores changed. Homes learn of it in parts (turn.h). */
void nj_share_tell_state(struct nj_session *session);

/* The session ends. What it had is the caller's; NULL when that is nothing. Its groups still count
 * it as a member, until they learn otherwise: by the next two, or by nj_share_leave_all. */
struct nj_shared_subs *nj_share_take(struct nj_session *session) NJ_NODISCARD;
/* What the session was given and did not get goes back to be given to another member (MQTT5 4.8.2:
 * QoS 1 sent or not, QoS 2 only if its delivery never began). `subs`: what it had, may be NULL.
 * `without_rows`: what has a row in the store goes another way (handover.h). */
void nj_share_hand_on(struct nj_session *session, struct nj_shared_subs *subs, bool without_rows);
/* On behalf of a session that ended. With a ticket its receivers' rows are parts of `joint`. */
struct nj_share_passed {
    struct nj_shared_subs *subs; /* it had */
    uint64_t ticket;             /* 0 = no answer wanted */
    uint64_t joint;
};
/* One message that came by its shared subscription `number`. False: it left that meanwhile, and
 * nobody is to get it. */
bool nj_share_pass_on(struct nj_shard *shard, const struct nj_share_passed *passed, uint32_t number,
                      struct nj_message *message);
/* Tells the homes, in parts, then frees them, unless they are kept: then until nj_share_let_go.
 * Accepts NULL. */
void nj_share_leave_all(struct nj_shard *shard, struct nj_shared_subs *subs, bool is_kept);
void nj_share_let_go(struct nj_shard *shard, struct nj_shared_subs *subs);
/* Frees them at once and tells nobody: the broker stops. Accepts NULL. */
void nj_share_subs_free(struct nj_shared_subs *subs);

/* -- at the home -- */
void nj_share_member_joined(struct nj_shard *shard, const struct nj_record_member *record);
void nj_share_member_left(struct nj_shard *shard, const struct nj_record_member *record);
void nj_share_member_state(struct nj_shard *shard, const struct nj_record_member *record);
/* One copy for each group of the filter. Each asks for an answer to this worker's `ticket` unless
 * that is 0; returns how many were sent. */
uint32_t nj_share_route(struct nj_shard *shard, struct nj_filter *filter,
                        struct nj_publication *publication, uint64_t ticket);

/* -- both -- */
void nj_share_record_deliver(struct nj_shard *shard, const struct nj_record_group_deliver *record);

#endif
