/* A session ended that was a member of shared subscriptions and has rows in the store: they are
 * read back and given to other members (MQTT5 4.8.2), then its record goes.
 *
 *   its record says "ending" ─► a page of rows is read ─► each message goes to its group's home
 *      ▲                                                     │ rows of other members ───┐
 *      │ next page                                           │ (each a part)            │ one joint
 *      └─────────────────── durable ◄── its own rows go (the part that counts them) ◄───┘ group
 *   no more rows ─► the record is deleted
 *
 * So a crash finds every message in one place, and QoS 2 in no two. What the store refuses stays
 * where it is and is tried again when the store is well; after a restart the record's "ending"
 * begins it anew. Some sessions at a time: a thousand that expire together do not bring a thousand
 * pages into memory. */
#ifndef NJ_BROKER_HANDOVER_H
#define NJ_BROKER_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

struct nj_session;
struct nj_shard;
struct nj_shared_subs;
struct nj_store_rows;

/* Whether the session, which ends, has rows that others may have to get. */
bool nj_handover_is_due(const struct nj_session *session);
/* Begins it; the record is deleted when it is done. Takes over the shared subscriptions that
 * the session had and has left; they are kept (share.h). */
void nj_handover_start(struct nj_session *session, struct nj_shared_subs *subs);
/* Rows that no session waits for. They stay the caller's. */
void nj_handover_rows(struct nj_shard *shard, struct nj_store_rows *rows);
/* The store is well: those that it refused go on, when they waited long enough. */
void nj_handovers_go_on(struct nj_shard *shard);
/* When somebody would go on, if the store is well; UINT64_MAX = never. */
uint64_t nj_handovers_next_ms(const struct nj_shard *shard);
void nj_handovers_fini(struct nj_shard *shard);

#endif
