/* A session's rows in the store: what is queued for it and in flight to it, beyond what fits in
 * memory and while it is away.
 *
 *                in flight      queue in memory       in the store only
 *   connected:   [flights]  ◄─  [ring, ≤ 256]    ◄──  rows ≥ backlog.from   (read back in order)
 *   away:        ──────────── all of it in the store, the session has counts only ────────────
 *
 * A message goes to the ring while everything older is in memory, too; else it is stored only, so
 * the order holds. Every row in memory of a stored session is also in the store. */
#ifndef NJ_BROKER_ROWS_H
#define NJ_BROKER_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct nj_delivery;
struct nj_message;
struct nj_session;
struct nj_shard;
struct nj_store_expired;
struct nj_store_rows;

/* What the session knows of rows that it does not have in memory. */
struct nj_backlog {
    uint64_t bytes;       /* of the payloads of queued rows that are in the store only */
    uint32_t count;       /* of these rows */
    uint32_t flights;     /* until they are loaded: rows in flight */
    uint32_t incoming;    /* and incoming QoS 2 messages */
    uint32_t since;       /* of `count`: rows younger than the read that is under way */
    uint64_t since_bytes; /* of `bytes` */
    uint64_t from;        /* rows from here on are in the store only */
    uint64_t upto;        /* the newest seq given when the read under way was asked for */
    uint64_t ticket;      /* CONNACK waits for it */
    bool is_loaded;       /* flights and incoming messages are in memory */
    bool is_reading;
    bool has_qos0;        /* while there is a count: some of these rows may be of QoS 0 */
    uint32_t stale_reads; /* asked for by connections that are gone */
};

/* What is left to know of a row when its group failed. */
struct nj_row {
    uint64_t seq;
    uint32_t bytes;
    uint16_t packet_id; /* it was in flight at once */
};

/* Operations for the open group; `seq` 0 = nothing. */
void nj_rows_remove(struct nj_session *session, uint64_t seq);
void nj_rows_sent(struct nj_session *session, uint64_t seq, uint16_t packet_id);
void nj_rows_released(struct nj_session *session, uint64_t seq);
/* Gives the delivery its seq and its group. NJ_ENOMEM: the open group is broken. The operation is
 * the last one of the open group. */
enum nj_err nj_rows_append(struct nj_session *session, struct nj_message *message,
                           struct nj_delivery *delivery) NJ_NODISCARD;

/* New rows may not go to memory: something older is in the store only, or there is no room. */
bool nj_rows_must_spill(const struct nj_session *session);
/* The row appended last is in the store only. */
void nj_rows_spilled(struct nj_session *session, uint8_t qos, uint64_t bytes);
/* The row appended last is in memory, too. */
void nj_rows_kept(struct nj_session *session, uint64_t seq);

/* A connection took the session: asks for what is in flight and the beginning of the queue. Returns
 * the ticket that is answered then; 0 = there is nothing to wait for. */
uint64_t nj_rows_claim(struct nj_session *session, enum nj_err *err);
/* Reads on when the ring runs low. */
void nj_rows_refill(struct nj_session *session);
/* The connection is gone: memory is given back, counts remain. */
void nj_rows_leave(struct nj_session *session);

/* From the store. Takes the rows over. */
void nj_rows_arrived(struct nj_shard *shard, struct nj_store_rows *rows);
void nj_rows_expired(struct nj_shard *shard, const struct nj_store_expired *expired);
/* The group that appended the row failed. */
void nj_rows_take_back(struct nj_session *session, const struct nj_row *row);

#endif
