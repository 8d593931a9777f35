/* See front.h. */
#include "front/front.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/interest.h"
#include "broker/message.h"
#include "broker/publish.h"
#include "broker/record.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "front/conn.h"
#include "front/denial_log.h"
#include "front/door.h"
#include "front/listener.h"
#include "front/login.h"
#include "front/petition.h"
#include "front/record.h"
#include "net/stream.h"
#include "security/login.h"
#include "security/policy.h"

#define REMEMBERED_ENTRIES     65536
#define PULSE_HANGS_MS         10000
#define REMEMBERED_LIFETIME_MS (3600ull * 1000)

/* ---- what the core tells us */

static void on_sys(struct nj_shard *shard, const struct nj_record_sys *record)
{
    const uint8_t *at = (const uint8_t *)(record + 1);
    const struct nj_message_view view = {
        .topic = nj_bytes(at, record->topic_len),
        .payload = nj_bytes(at + record->topic_len, record->payload_len),
        .qos = record->qos,
        .is_retain = record->is_retain,
    };
    nj_publish_by_broker(shard, &view);
}

static void on_task(struct nj_shard *shard, struct nj_front_task *task)
{
    if (!task->run(task, shard)) {
        struct nj_record_task *again =
            nj_shard_post_surely(shard, shard->id, NJ_RECORD_TASK, sizeof(*again));
        again->task = task;
    }
}

void nj_front_post_task(struct nj_front *front, unsigned worker, struct nj_front_task *task)
{
    struct nj_batch *batch = nj_batch_new_small(sizeof(struct nj_record_task));
    struct nj_record_task *record = nj_batch_add(batch, NJ_RECORD_TASK, sizeof(*record));
    NJ_ASSERT(record);
    record->task = task;
    nj_worker_push(&front->workers[worker], batch);
}

static void on_record(struct nj_shard *shard, unsigned kind, const void *body)
{
    struct nj_front *front = (struct nj_front *)shard->core;
    const struct nj_record_adopt *adopt = body;
    const struct nj_record_login *login = body;
    const struct nj_record_task *task = body;
    switch (kind) {
    case NJ_RECORD_ADOPT:
        nj_login_adopt(adopt->conn, &front->workers[shard->id]);
        break;
    case NJ_RECORD_LOGIN:
        nj_login_verified(login->login, login->ok, login->due_ms);
        break;
    case NJ_RECORD_REPLY:
        nj_petition_deliver(shard, body);
        break;
    case NJ_RECORD_TASK:
        on_task(shard, task->task);
        break;
    default:
        on_sys(shard, body);
        break;
    }
}

static const struct nj_core_events events = {
    .denied = nj_denial_log,
    .record = on_record,
    .request = nj_petition_take,
};

/* ---- life */

static enum nj_err make_worker(struct nj_front *front, unsigned id)
{
    struct nj_worker *worker = &front->workers[id];
    worker->front = front;
    worker->id = id;
    (void)pthread_mutex_init(&worker->baton, NULL);
    nj_list_init(&worker->conns);
    nj_list_init(&worker->closing);
    nj_list_init(&worker->reread);
    nj_timers_init(&worker->timers, nj_clock_mono_ms());
    nj_fd_reserve_init(&worker->reserve);
    worker->read_buf = nj_alloc(NJ_READ_BYTES);
    worker->shard = nj_shard_new(&front->core, id);
    front->core.shards[id] = worker->shard;
    atomic_store(&worker->adopted_epoch, nj_policy_epoch(worker->shard->policy));
    if (nj_loop_new(&worker->loop) != NJ_OK) {
        return NJ_ESYS;
    }
    return nj_listeners_watch(worker);
}

static unsigned worker_count(const struct nj_settings *settings)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned count = settings->workers ? settings->workers : cores > 0 ? (unsigned)cores : 1;
    return count > NJ_WORKERS_MAX ? NJ_WORKERS_MAX : count;
}

enum nj_err nj_front_open(struct nj_front *front, const struct nj_settings *settings,
                          struct nj_policy *policy, const struct nj_limits *limits)
{
    *front = (struct nj_front){.worker_count = worker_count(settings)};
    atomic_store(&front->settings, settings);
    (void)pthread_mutex_init(&front->policy_lock, NULL);
    atomic_store(&front->core.policy, policy);
    atomic_store(&front->core.limits, limits);
    front->started_ms = nj_clock_mono_ms();
    front->listener_count = (unsigned)settings->listener_count;
    front->listeners = nj_zalloc(front->listener_count * sizeof(*front->listeners));
    for (unsigned i = 0; i < front->listener_count; i++) {
        enum nj_err err = nj_listener_open(&front->listeners[i], front, i, settings);
        if (err != NJ_OK) {
            return err;
        }
    }
    struct nj_core *core = &front->core;
    core->shard_count = front->worker_count;
    core->shards = nj_zalloc(front->worker_count * sizeof(struct nj_shard *));
    core->qsbr = nj_qsbr_new(front->worker_count + 1); /* the last: the control thread */
    core->interest = nj_interest_new(core->qsbr);
    core->retain = nj_retain_new(core->qsbr);
    core->link_ops = &nj_conn_link_ops;
    core->events = &events;
    front->door = nj_door_new();
    NJ_ASSERT(front->door);
    front->remembered = nj_remembered_new(REMEMBERED_ENTRIES, REMEMBERED_LIFETIME_MS);
    front->auth_pool = nj_auth_pool_new(0, front->remembered);
    front->workers = aligned_alloc(64, front->worker_count * sizeof(*front->workers));
    NJ_ASSERT(front->workers && front->auth_pool);
    memset(front->workers, 0, front->worker_count * sizeof(*front->workers));
    for (unsigned i = 0; i < front->worker_count; i++) {
        if (make_worker(front, i) != NJ_OK) {
            nj_log(NJ_LOG_ERROR,
                   "Error: no descriptors left for worker %u. Raise the limit of open files "
                   "(ulimit -n, "
                   "or LimitNOFILE= in the unit).",
                   i);
            return NJ_ESYS;
        }
    }
    return NJ_OK;
}

enum nj_err nj_front_try(const struct nj_settings *settings, struct nj_policy *policy)
{
    struct nj_front front = {.listener_count = (unsigned)settings->listener_count};
    enum nj_err err = NJ_OK;
    atomic_store(&front.core.policy, policy);
    front.listeners = nj_zalloc(front.listener_count * sizeof(*front.listeners));
    for (unsigned i = 0; i < front.listener_count && err == NJ_OK; i++) {
        err = nj_listener_open(&front.listeners[i], &front, i, settings);
    }
    for (unsigned i = 0; i < front.listener_count; i++) {
        nj_listener_close(&front.listeners[i]);
    }
    nj_free(front.listeners);
    return err;
}

enum nj_err nj_front_start(struct nj_front *front)
{
    for (unsigned i = 0; i < front->worker_count; i++) {
        if (nj_worker_start(&front->workers[i]) != NJ_OK) {
            nj_log(NJ_LOG_ERROR, "Error: unable to start worker thread %u.", i);
            return NJ_ESYS;
        }
    }
    return NJ_OK;
}

static bool hand_over(struct nj_front *front, unsigned to, struct nj_batch *batch)
{
    if (!batch) {
        return false;
    }
    bool had_some = batch->used > 0;
    (void)nj_inbox_push(&front->workers[to].shard->inbox, batch);
    return had_some;
}

/* What workers still had for each other when they stopped: run, so that every reference and every
 * connection that was on its way is let go. */
static void drain_rest(struct nj_front *front)
{
    bool had_some = true;
    while (had_some) {
        had_some = false;
        for (unsigned i = 0; i < front->worker_count; i++) {
            struct nj_worker *worker = &front->workers[i];
            struct nj_batch *batches = nj_inbox_drain(&worker->shard->inbox);
            for (unsigned j = 0; j < front->worker_count; j++) {
                struct nj_batch *batch = worker->shard->outbox[j];
                worker->shard->outbox[j] = NULL;
                had_some |= hand_over(front, j, batch);
            }
            if (batches) {
                had_some = true;
                nj_shard_run(worker->shard, batches);
            }
            nj_conn_close_all(worker);
        }
    }
}

/* A million sessions take seconds to take apart and nothing to leave to the kernel, which does it
 * at once when the process ends. Only who looks for leaks wants them freed. */
static bool frees_everything(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__SANITIZE_HWADDRESS__)
    return true;
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                     \
        __has_feature(memory_sanitizer)
    return true;
#    else
    return false;
#    endif
#else
    return false;
#endif
}

void nj_front_stop(struct nj_front *front)
{
    atomic_store_explicit(&front->is_stopping, true, memory_order_release);
    for (unsigned i = 0; front->workers && i < front->worker_count; i++) {
        if (front->workers[i].loop) {
            nj_worker_wake(&front->workers[i]);
        }
    }
    for (unsigned i = 0; front->workers && i < front->worker_count; i++) {
        nj_thread_join(&front->workers[i].thread);
    }
    nj_auth_pool_free(front->auth_pool);
    nj_store_close(front->core.store);
    front->core.store = NULL;
    bool is_whole = front->workers && front->core.shards[front->worker_count - 1] &&
                    front->workers[front->worker_count - 1].acceptors;
    if (is_whole) {
        drain_rest(front);
        for (unsigned i = 0; i < front->worker_count; i++) {
            struct nj_worker *worker = &front->workers[i];
            if (frees_everything()) {
                nj_shard_free(worker->shard);
            }
            nj_loop_free(worker->loop);
            nj_fd_reserve_fini(&worker->reserve);
            nj_free(worker->read_buf);
            nj_free(worker->acceptors);
        }
    }
    free(front->workers);
    for (unsigned i = 0; i < front->listener_count; i++) {
        nj_listener_close(&front->listeners[i]);
    }
    nj_free(front->listeners);
    nj_remembered_free(front->remembered);
    nj_door_free(front->door);
    if (frees_everything()) {
        nj_interest_free(front->core.interest);
        nj_retain_free(front->core.retain);
        nj_qsbr_free(front->core.qsbr);
    }
    nj_free(front->core.shards);
    nj_policy_unref(atomic_load(&front->core.policy));
}

/* ---- changes of rights */

/* rights_change `kick`: the sessions whose own rules in the ACL file are not the same any more are
 * disconnected. `strict`: those under changed rules that have bytes in the kernel, which may have
 * been written under the old rights, are reset. Asked for by the configuration only; the default is
 * to recheck and disconnect nobody. */
static bool must_end(const struct nj_conn *conn, const struct nj_policy *old, int rights_change)
{
    const struct nj_shard *shard = conn->worker->shard;
    int in_kernel = 0;
    unsigned scope = conn->listener->scope;
    /* Changes of dynamic security concern some sessions and not all: the commands know which. */
    uint64_t changed =
        rights_change == NJ_RIGHTS_KICK ? shard->changed_acls : shard->changed_scopes;
    bool is_concerned = scope >= 64 || (changed >> scope & 1);
    /* The original disconnects nobody when SIGHUP brings a new ACL file; its
     * kicks are those of dynamic security. */
    const struct nj_settings *settings = atomic_load(&conn->worker->front->settings);
    if (!is_concerned || conn->state != NJ_CONN_ACTIVE || !conn->link.session ||
        settings->mode.is_compat) {
        return false;
    }
    if (rights_change == NJ_RIGHTS_KICK) {
        const struct nj_subject *subject = &conn->link.session->subject;
        return nj_policy_acl_differs_for(old, shard->policy, subject->scope, subject->user,
                                         subject->client_id);
    }
    return rights_change == NJ_RIGHTS_STRICT &&
           ioctl(nj_stream_fd(conn->stream), SIOCOUTQ, &in_kernel) == 0 && in_kernel > 0;
}

/* No goodbye, no orderly end: what is in the kernel's buffer is thrown away. */
static void reset(struct nj_conn *conn)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(nj_stream_fd(conn->stream), SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    nj_conn_close(conn, NJ_RC_SUCCESS, "rights changed");
}

/* Whether the change was about a client of this name. */
static bool is_named(const struct nj_shard *shard, struct nj_bytes user)
{
    uint64_t name = user.ptr ? nj_hash_bytes(user) | 1 : 0;
    for (unsigned i = 0; i < shard->changed_name_count; i++) {
        if (shard->changed_names[i] == name) {
            return true;
        }
    }
    return false;
}

static void recheck_conn(struct nj_conn *conn, const struct nj_policy *old, int rights_change)
{
    struct nj_shard *shard = conn->worker->shard;
    struct nj_session *session = conn->link.session;
    struct nj_listener *listener = conn->listener;
    unsigned scope = conn->listener->scope;
    if (session && (scope >= 64 || (shard->changed_logins >> scope & 1)) &&
        (shard->all_logins_changed || is_named(shard, session->subject.user))) {
        const struct nj_login_held held = {
            .user = session->subject.user,
            .client_id = session->subject.client_id,
            .credential = session->credential,
        };
        if (!nj_login_still_holds(shard->policy, session->subject.scope, &held)) {
            nj_conn_close(conn, NJ_RC_NOT_AUTHORIZED, "not authorised");
            return;
        }
    }
    if (must_end(conn, old, rights_change)) {
        if (rights_change == NJ_RIGHTS_STRICT) {
            reset(conn);
        } else {
            nj_conn_close(conn, NJ_RC_ADMINISTRATIVE_ACTION, "rights changed");
        }
        return;
    }
    uint64_t generation = atomic_load_explicit(&listener->tls_generation, memory_order_acquire);
    if (conn->tls_generation != generation && conn->state > NJ_CONN_HANDSHAKE) {
        (void)nj_conn_recheck_certificate(conn);
    }
}

/* Changes whenever one of the listeners' does. */
static uint64_t tls_generations(const struct nj_front *front)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < front->listener_count; i++) {
        sum += atomic_load_explicit(&front->listeners[i].tls_generation, memory_order_acquire);
    }
    return sum;
}

void nj_front_recheck(struct nj_worker *worker, const struct nj_policy *old)
{
    const struct nj_settings *settings = atomic_load(&worker->front->settings);
    const struct nj_shard *shard = worker->shard;
    uint64_t generations = tls_generations(worker->front);
    /* Nearly always with dynamic security: nothing that a connection has to be asked about. */
    if (!shard->changed_logins && worker->tls_generations == generations &&
        (!shard->changed_scopes || settings->rights_change == NJ_RIGHTS_RECHECK)) {
        return;
    }
    worker->tls_generations = generations;
    nj_list_each_safe (node, &worker->conns) {
        recheck_conn(NJ_CONTAINER(node, struct nj_conn, node), old, settings->rights_change);
    }
}

/* ---- watching the workers */

void nj_front_ask_pulse(struct nj_front *front)
{
    atomic_store_explicit(&front->pulse_asked_ms, nj_clock_mono_ms(), memory_order_relaxed);
    atomic_fetch_add_explicit(&front->pulse, 1, memory_order_relaxed);
    for (unsigned i = 0; i < front->worker_count; i++) {
        nj_worker_wake(&front->workers[i]);
    }
}

unsigned nj_front_silent_worker(const struct nj_front *front)
{
    uint64_t asked = atomic_load_explicit(&front->pulse, memory_order_relaxed);
    unsigned i = 0;
    while (i < front->worker_count &&
           atomic_load_explicit(&front->workers[i].pulse, memory_order_relaxed) == asked) {
        i++;
    }
    return i;
}

bool nj_front_hangs(const struct nj_front *front)
{
    uint64_t asked_ms = atomic_load_explicit(&front->pulse_asked_ms, memory_order_relaxed);
    return nj_front_silent_worker(front) != front->worker_count &&
           nj_clock_mono_ms() > asked_ms + PULSE_HANGS_MS;
}

void nj_front_set_settings(struct nj_front *front, const struct nj_settings *settings)
{
    for (unsigned i = 0; i < front->listener_count; i++) {
        atomic_store(&front->listeners[i].settings, &settings->listeners[i]);
    }
    atomic_store(&front->settings, settings);
}

struct nj_policy *nj_front_policy(struct nj_front *front)
{
    (void)pthread_mutex_lock(&front->policy_lock);
    struct nj_policy *policy = nj_policy_ref(atomic_load(&front->core.policy));
    (void)pthread_mutex_unlock(&front->policy_lock);
    return policy;
}

void nj_front_publish(struct nj_front *front, struct nj_policy *policy,
                      const struct nj_limits *limits)
{
    uint64_t epoch = nj_policy_epoch(policy);
    struct nj_policy *old = atomic_load(&front->core.policy);
    if (limits) {
        atomic_store(&front->core.limits, limits);
    }
    (void)pthread_mutex_lock(&front->policy_lock);
    atomic_store_explicit(&front->core.policy, policy, memory_order_release);
    (void)pthread_mutex_unlock(&front->policy_lock);
    for (unsigned i = 0; i < front->worker_count; i++) {
        nj_worker_wake(&front->workers[i]);
    }
    for (unsigned i = 0; i < front->worker_count; i++) {
        while (atomic_load_explicit(&front->workers[i].adopted_epoch, memory_order_acquire) <
               epoch) {
            (void)usleep(200);
        }
    }
    nj_policy_unref(old);
}

/* `capath` NULL: all listeners; else those that read it. */
static enum nj_err replace_tls(struct nj_front *front, const struct nj_settings *settings,
                               const struct nj_policy *policy, const char *capath)
{
    struct nj_tls_server **fresh = nj_zalloc(front->listener_count * sizeof(*fresh));
    enum nj_err err = NJ_OK;
    for (unsigned i = 0; i < front->listener_count && err == NJ_OK; i++) {
        struct nj_listener *listener = &front->listeners[i];
        const char *own = settings->listeners[i].capath;
        if (listener->tls && (!capath || (own && strcmp(own, capath) == 0))) {
            err = nj_listener_make_tls(listener, settings, policy, listener->tls, &fresh[i]);
        }
    }
    for (unsigned i = 0; i < front->listener_count; i++) {
        struct nj_listener *listener = &front->listeners[i];
        if (!fresh[i]) {
            continue;
        }
        if (err != NJ_OK) {
            nj_tls_server_unref(fresh[i]);
            continue;
        }
        (void)pthread_mutex_lock(&listener->tls_lock);
        struct nj_tls_server *old = listener->tls;
        listener->tls = fresh[i];
        atomic_fetch_add_explicit(&listener->tls_generation, 1, memory_order_release);
        (void)pthread_mutex_unlock(&listener->tls_lock);
        nj_tls_server_unref(old);
    }
    nj_free(fresh);
    return err;
}

enum nj_err nj_front_reload_tls(struct nj_front *front, const struct nj_settings *settings,
                                const struct nj_policy *policy)
{
    return replace_tls(front, settings, policy, NULL);
}

enum nj_err nj_front_reload_capath(struct nj_front *front, const char *capath)
{
    return replace_tls(front, atomic_load(&front->settings), atomic_load(&front->core.policy),
                       capath);
}
