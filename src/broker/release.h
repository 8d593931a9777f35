/* The release of an incoming QoS 2 message (MQTT5 4.3.3): PUBREL came, the message is authorised
 * again, and in one transaction its packet id becomes free and every stored session that is to get
 * it has its row. So a crash, or a store that refuses, leaves all of it or nothing: nobody gets it
 * twice, nobody is left out, and PUBCOMP says what is true.
 *
 *   PUBREL ─► rows here ───────────────┐ parts of one joint group of the store
 *          ─► rows on other workers ───┤ (a record each; answered with the number of parts)
 *          ─► the id becomes free ─────┘ the last part, when all answers are there
 *   durable ─► everybody else: volatile sessions, QoS 0; PUBCOMP
 *   failed  ─► nobody; the id stays taken, the connection ends, the client says PUBREL again
 *
 * Subscriptions may be replaced between the two deliveries. Both go by what was in force at PUBREL
 * (nj_moment in filters.h), or somebody would get the message twice or not at all (MQTT5 3.8.4).
 *
 * With no stored session on either side there is nothing to wait for, and nothing of this. */
#ifndef NJ_BROKER_RELEASE_H
#define NJ_BROKER_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct nj_message;
struct nj_publication;
struct nj_record_publish;
struct nj_session;
struct nj_shard;

/* A will goes the same way: published and gone from the store in one transaction. With `ends` the
 * session's whole record goes with it. False: nothing was done, memory is short. */
bool nj_release_will(struct nj_session *session, struct nj_message *message, bool ends);

/* On another worker: the rows of the publication are in the open group; submits them as a part of
 * the joint group `joint`. The rest gets it when that is durable. Returns the number of parts. */
uint32_t nj_release_take_part(struct nj_shard *shard, struct nj_publication *publication,
                              uint64_t joint);

#endif
