/* The control plane: takes requests from the front's door, runs them in order, sends the replies.
 *
 * Lives on the control thread (apps/broker/control.c), which calls nj_control_plane_run when the
 * door's descriptor is readable. One request is worked on at a time, in the order in which the door
 * gives them out (fair between clients, in order for each client), so handlers never meet. A
 * request with passwords steps aside until they are hashed (hashing.c), and takes its turn then:
 * what its commands and its `changeIndex` meet is the state of that moment. */
#ifndef NJ_CONTROL_PLANE_H
#define NJ_CONTROL_PLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "control/api.h"

struct nj_front;
struct nj_scope;
struct nj_settings;
struct nj_shard;
struct nj_subject;

/* What only the composition root can do. All on the control thread. */
struct nj_control_host {
    void *arg;
    const struct nj_settings *(*settings)(void *arg); /* in force */
    /* As SIGHUP. On an error everything stays as it was and `why` says what is wrong. */
    enum nj_err (*reload)(void *arg, char *why, size_t size);
    /* Makes a policy from the one in force: `change` gets a copy of its scopes, whose contents are
     * referenced, and may replace them; publishes it and returns when every worker has taken it
     * over. */
    enum nj_err (*change_policy)(void *arg,
                                 enum nj_err (*change)(void *arg, struct nj_scope *scopes,
                                                       size_t count),
                                 void *change_arg);
};

/* Once, before the first thread: JSON memory is accounted and wiped. */
void nj_control_json_init(void);

struct nj_control_plane *nj_control_plane_new(struct nj_front *front,
                                              const struct nj_control_host *host);
/* Ends the thread of its own. After the last nj_control_plane_run and before the front stops. */
void nj_control_plane_stop(struct nj_control_plane *plane);
/* Requests that are still waiting get no answer. After the workers have stopped. NULL is allowed.
 */
void nj_control_plane_free(struct nj_control_plane *plane);

/* `api` and `ctx` have to outlive the plane. */
void nj_control_plane_add(struct nj_control_plane *plane, const struct nj_control_api *api,
                          void *ctx);

/* Readable when there is something to run. */
int nj_control_plane_fd(const struct nj_control_plane *plane);
/* Works for a bounded time. */
void nj_control_plane_run(struct nj_control_plane *plane);

/* The APIs of this room: broker, inspection, client control, nightjar, certificates. */
void nj_control_plane_add_own(struct nj_control_plane *plane);

struct nj_front *nj_control_plane_front(const struct nj_control_plane *plane);
const struct nj_control_host *nj_control_plane_host(const struct nj_control_plane *plane);

/* ---- what can be asked */

/* docs/control.md. */
void nj_control_print_reference(FILE *out);
/* Every API that is built in, turned on or not; NULL behind the last one. */
const struct nj_control_api *nj_control_known_api(size_t index);
/* Its table as JSON; a new reference. */
json_t *nj_control_describe_api(const struct nj_control_api *api);

/* ---- asking the workers */

/* On each worker, under its baton, with what it owns; must be short. `slot` is this worker's own
 * (slot_size bytes, zeroed), nobody else touches it until `done`. Returns false to be called again
 * in a later turn of the worker (a long walk in parts). */
typedef bool (*nj_control_worker_fn)(struct nj_shard *shard, void *arg, void *slot);
/* On the control thread, after all of them, and after all that they gave the store is durable:
 * `saved` says how that went. `slots`: one for each worker asked, in their order. */
typedef void (*nj_control_gathered_fn)(void *arg, void *slots, unsigned count, enum nj_err saved);

#define NJ_CONTROL_EVERY_WORKER UINT32_MAX
/* `worker`: one, or all of them. `arg` belongs to the caller and must not change meanwhile. When
 * the broker stops before, `done` is called with count 0. */
void nj_control_gather(struct nj_control_plane *plane, unsigned worker, nj_control_worker_fn fn,
                       nj_control_gathered_fn done, void *arg, size_t slot_size);

/* Ends the connections for which `concerns` says yes, with DISCONNECT `reason` (MQTT 5) and without
 * their wills (the original's kick). `concerns` runs on the workers; it and `arg` are immutable
 * until `done`, which may be NULL, is called on the control thread. */
void nj_control_kick(struct nj_control_plane *plane,
                     bool (*concerns)(const void *arg, const struct nj_subject *subject), void *arg,
                     uint8_t reason, void (*done)(void *arg));

/* The connections of a user now, as [{"address":…}, …] (C2 getClient): a new reference. */
void nj_control_connections_of(struct nj_control_plane *plane, struct nj_bytes user,
                               void (*done)(void *arg, json_t *connections), void *arg);

#endif
