/* The front of the broker: listeners, workers, connections, logins; the only room that knows both
 * the network and the core. One for the process, made and taken down by apps/broker. */
#ifndef NJ_FRONT_FRONT_H
#define NJ_FRONT_FRONT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "broker/shard.h"
#include "config/settings.h"
#include "front/worker.h"
#include "net/stream.h"
#include "security/auth_pool.h"

struct nj_door;
struct nj_front_task;
struct nj_tls_server;

/* One configured listener at run time. `tls` is replaced on reload under the lock; connections hold
 * their own reference. */
struct nj_listener {
    /* Replaced on reload; the old ones are kept, so a worker may go on with what it read. */
    _Atomic(const struct nj_listener_settings *) settings;
    struct nj_front *front;
    unsigned index;
    unsigned scope; /* of its security settings */
    int fds[NJ_LISTEN_FDS_MAX];
    size_t fd_count;
    uint16_t port;   /* as bound */
    bool keeps_path; /* of its unix socket, which is somebody else's to remove */
    struct nj_ws_server_config ws;
    struct nj_bytes mount_point;
    pthread_mutex_t tls_lock; /* guards tls and tls_generation */
    struct nj_tls_server *tls;
    _Atomic uint64_t tls_generation;
    _Atomic int connections; /* open now, for max_connections */
};

struct nj_front {
    struct nj_core core; /* first */
    unsigned worker_count;
    struct nj_worker *workers;
    struct nj_listener *listeners;
    unsigned listener_count;
    struct nj_auth_pool *auth_pool;
    struct nj_remembered *remembered;
    struct nj_door *door;                         /* requests to $CONTROL, for the control thread */
    _Atomic(const struct nj_settings *) settings; /* replaced on reload, old ones are kept */
    _Atomic bool is_stopping;
    _Atomic uint64_t pulse;           /* number of the last question whether the workers turn */
    _Atomic uint64_t pulse_asked_ms;  /* when it was asked */
    _Atomic uint64_t clients_maximum; /* that were connected at once */
    pthread_mutex_t policy_lock;      /* taken to reference or replace core.policy */
    _Atomic int connections;          /* open now, for global_max_connections */
    _Atomic uint64_t tls_generation;  /* any listener's context changed */
    const char *tls_keylog;
    uint64_t started_ms;
};

/* Opens the listeners and makes the workers; nothing runs yet. Logs what is wrong. Takes the policy
 * over; settings and limits have to outlive the front. NJ_ETLS: a certificate or key. */
enum nj_err nj_front_open(struct nj_front *front, const struct nj_settings *settings,
                          struct nj_policy *policy, const struct nj_limits *limits) NJ_NODISCARD;
/* Opens the listeners as nj_front_open would, and closes them: whether a start would do. The policy
 * stays the caller's. */
enum nj_err nj_front_try(const struct nj_settings *settings, struct nj_policy *policy) NJ_NODISCARD;
enum nj_err nj_front_start(struct nj_front *front) NJ_NODISCARD;
/* Tells every connection goodbye, stops the workers and frees everything. */
void nj_front_stop(struct nj_front *front);

/* On each worker after it took a new policy over: connections whose identity does not hold any
 * more (user gone, password changed, certificate revoked) are closed, and with `rights_change
 * kick` those whose rights are not what they were under `old`. */
void nj_front_recheck(struct nj_worker *worker, const struct nj_policy *old);
/* A reference to the policy in force, for threads that are no workers. */
struct nj_policy *nj_front_policy(struct nj_front *front);
/* Publishes a new policy and limits and waits until every worker has taken them over. The old
 * policy is released. Control thread. */
void nj_front_publish(struct nj_front *front, struct nj_policy *policy,
                      const struct nj_limits *limits);
/* Builds new TLS contexts from the settings, and the pre-shared keys of a policy that is not
 * published yet, for all listeners: all or none. */
enum nj_err nj_front_reload_tls(struct nj_front *front, const struct nj_settings *settings,
                                const struct nj_policy *policy) NJ_NODISCARD;

/* The same for the listeners with this capath, from the settings in force: its files changed.
 * Connections are looked at again when the next policy is published. Control thread. */
enum nj_err nj_front_reload_capath(struct nj_front *front, const char *capath) NJ_NODISCARD;

/* Asks every worker for a sign of life, which it gives when its own thread turns its loop; those
 * that sleep are woken for it. Control thread. */
void nj_front_ask_pulse(struct nj_front *front);
/* The number of a worker that has not answered the last question yet; worker_count when all have.
 * Any thread. */
unsigned nj_front_silent_worker(const struct nj_front *front);
/* Whether some worker has not answered for so long that it must hang. Any thread. */
bool nj_front_hangs(const struct nj_front *front);

/* New settings take effect for what is decided from here on. They have to outlive the front. */
void nj_front_set_settings(struct nj_front *front, const struct nj_settings *settings);

/* Has a task (front/record.h) run on a worker, under its baton. Any thread but workers. */
void nj_front_post_task(struct nj_front *front, unsigned worker, struct nj_front_task *task);

/* A reference to the listener's current context, or NULL. Any thread. */
struct nj_tls_server *nj_listener_tls(struct nj_listener *listener);

#endif
