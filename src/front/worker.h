/* A worker: one thread, one loop, one shard of the core, and the connections that belong to it.
 *
 * The baton is a mutex that the worker holds except while it waits for events. Whoever holds it is
 * the worker: another worker that has something for a sleeping one takes the baton and acts for it
 * instead of waking it, which saves two context switches per message at low load. So everything
 * below "under the baton" has exactly one user at a time, and there is no other lock. */
#ifndef NJ_FRONT_WORKER_H
#define NJ_FRONT_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/thread.h"
#include "net/loop.h"
#include "net/socket.h"
#include "net/timer.h"

struct nj_conn;
struct nj_front;
struct nj_shard;

#define NJ_READ_BYTES 65536u

struct nj_worker {
    struct nj_front *front;
    unsigned id;
    struct nj_thread thread;
    struct nj_loop *loop;
    _Alignas(64) pthread_mutex_t baton;
    _Atomic bool is_awake;          /* somebody holds the baton */
    _Atomic uint64_t adopted_epoch; /* of the policy, for the one who waits for all workers */
    _Atomic uint64_t sleeps_until_ms;
    _Atomic uint64_t pulse; /* the last question of front->pulse that its own thread has seen */
    _Alignas(64) struct nj_shard *shard; /* from here on: under the baton */
    uint64_t tls_generations;            /* of all listeners, when connections were last asked */
    struct nj_timers timers;
    struct nj_list conns;
    struct nj_list closing; /* to be closed at the end of the turn */
    struct nj_list reread;  /* had more to read than a turn allows */
    struct nj_fd_reserve reserve;
    uint8_t *read_buf; /* NJ_READ_BYTES */
    uint32_t conn_count;
    bool must_sweep;   /* more retained messages have expired than a turn removes */
    bool is_congested; /* another worker cannot keep up: publishers are not read */
    void *acceptors;   /* listener.c: one for each listening socket */
};

enum nj_err nj_worker_start(struct nj_worker *worker) NJ_NODISCARD;
/* Wakes it from any thread. */
void nj_worker_wake(struct nj_worker *worker);
/* Hands a batch to a worker from a thread that is no worker (auth pool, control, store). */
struct nj_batch;
void nj_worker_push(struct nj_worker *worker, struct nj_batch *batch);

#endif
