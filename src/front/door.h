/* The door between workers and the control thread: requests to `$CONTROL/…` on their way in.
 *
 *   worker ─► lane of session 7  [r r r]          ┐
 *   worker ─► lane of session 9  [r]              ├─ in turn ─► nj_door_take (control thread)
 *             (one lane for each session that waits)┘
 *
 * Bounded in requests and bytes, for one session and for all together, so that a client that asks
 * faster than it is answered delays and loses its own requests only. Lanes take turns; within a
 * lane the order is that of the packets. Any thread. */
#ifndef NJ_FRONT_DOOR_H
#define NJ_FRONT_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"

/* A longer payload is not read: the control thread says so to the sender. */
#define NJ_REQUEST_BYTES_MAX ((size_t)1024 * 1024)
#define NJ_DOOR_LANE_MAX     256u
#define NJ_DOOR_LANE_BYTES   ((size_t)8 * 1024 * 1024)
#define NJ_DOOR_MAX          8192u
#define NJ_DOOR_BYTES        ((size_t)64 * 1024 * 1024)

struct nj_door;
struct nj_session;

/* A request; one block, freed with nj_request_free, which wipes it (it may hold passwords). Views
 * point into the block. */
struct nj_request {
    struct nj_list node;
    uint64_t session; /* id */
    uint32_t connection;
    unsigned worker;
    unsigned scope;
    uint64_t credential; /* of the sender's login; see security/login.h */
    uint8_t version;     /* enum nj_mqtt_version */
    bool by_certificate; /* who the user is was said by a certificate */
    bool is_too_large;
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    struct nj_bytes address; /* also NUL-terminated */
    struct nj_bytes topic;
    struct nj_bytes response_topic;   /* ptr NULL = none */
    struct nj_bytes correlation_data; /* ptr NULL = none */
    struct nj_bytes payload;
    size_t size;
    char data[];
};

/* NULL when there is no descriptor left. */
struct nj_door *nj_door_new(void) NJ_NODISCARD;
/* What waits is dropped. NULL is allowed. */
void nj_door_free(struct nj_door *door);
/* Readable from a ring until nj_door_quiet. */
int nj_door_fd(const struct nj_door *door);
/* Takes the request over. NJ_ELIMIT: it does not fit and stays the caller's. */
enum nj_err nj_door_put(struct nj_door *door, struct nj_request *request) NJ_NODISCARD;
/* Before looking at the door: what comes after this rings again. The control thread. */
void nj_door_quiet(struct nj_door *door);
/* The next request in turn, or NULL. The control thread. */
struct nj_request *nj_door_take(struct nj_door *door);
/* Requests refused because the door was full, ever. */
uint64_t nj_door_refused(const struct nj_door *door);
/* From now on nothing of this session is taken, though it may still be put, until it is released: a
 * request of its is at work somewhere else, and the next one must not overtake it. NJ_ENOMEM: it is
 * not held. The control thread. */
enum nj_err nj_door_hold(struct nj_door *door, uint64_t session) NJ_NODISCARD;
/* What was put meanwhile takes its turns again. The control thread. */
void nj_door_release(struct nj_door *door, uint64_t session);
/* Wakes whoever waits for the descriptor though nothing was put. Any thread. */
void nj_door_ring(struct nj_door *door);

/* Copies everything; only the views and numbers of `from` are read. NULL when memory is short. */
struct nj_request *nj_request_new(const struct nj_request *from) NJ_NODISCARD;
void nj_request_free(struct nj_request *request);

#endif
