/* The durable store: the contract's functions. The rest is in lmdb_*.c; lmdb_priv.h is the map. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_priv.h"

#define HAND_OVER_OPS 256u /* not more without a flush */

uint64_t nj_lmdb_group_weight(const struct nj_store_group *group)
{
    uint64_t weight = sizeof(*group) + group->count * sizeof(group->ops[0]);
    for (unsigned i = 0; i < group->count; i++) {
        const struct nj_message *message = group->ops[i].message;
        weight += group->ops[i].bytes.len;
        weight += message ? message->topic_len + message->props_len + message->payload_len : 0;
    }
    return weight;
}

/* ---- lanes */

static void hand_over(struct nj_lmdb *db, struct nj_lmdb_lane *lane)
{
    (void)pthread_mutex_lock(&db->lock);
    nj_lmdb_list_splice(&lane->handed, &lane->fresh);
    db->handed_ops += lane->fresh_ops;
    if (db->is_idle || db->handed_ops >= HAND_OVER_OPS * 4ull) {
        (void)pthread_cond_signal(&db->wake);
    }
    (void)pthread_mutex_unlock(&db->lock);
    lane->fresh_ops = 0;
}

static enum nj_err enqueue(struct nj_lmdb *db, unsigned lane_index, struct nj_store_group *group)
{
    if (!group) {
        return NJ_ENOMEM;
    }
    struct nj_lmdb_lane *lane = &db->lanes[lane_index];
    atomic_fetch_add_explicit(&db->stats.waiting, nj_lmdb_group_weight(group),
                              memory_order_relaxed);
    lane->fresh_ops += group->count + 1;
    nj_lmdb_list_push(&lane->fresh, group);
    if (lane->fresh_ops >= HAND_OVER_OPS) {
        hand_over(db, lane);
    }
    return NJ_OK;
}

/* The other parts must not wait for one that could not be copied. */
static enum nj_err abort_joint(struct nj_lmdb *db, unsigned lane, uint64_t cookie,
                               const struct nj_store_joint *joint)
{
    struct nj_store_joint aborted = *joint;
    aborted.is_aborted = true;
    struct nj_store_group *group = nj_store_group_new(lane, NULL, 0, cookie, &aborted);
    if (!group) {
        nj_log(NJ_LOG_ERROR, "Error: out of memory in the store.");
        abort();
    }
    return enqueue(db, lane, group);
}

static enum nj_err lmdb_submit(struct nj_store *store, unsigned lane, const struct nj_store_op *ops,
                               unsigned count, uint64_t cookie, const struct nj_store_joint *joint)
{
    struct nj_lmdb *db = (struct nj_lmdb *)store;
    struct nj_store_group *group = nj_store_group_new(lane, ops, count, cookie, joint);
    if (!group && joint) {
        return abort_joint(db, lane, cookie, joint);
    }
    return enqueue(db, lane, group);
}

static enum nj_err lmdb_read(struct nj_store *store, unsigned lane,
                             const struct nj_store_read *read)
{
    return enqueue((struct nj_lmdb *)store, lane, nj_store_group_new_read(lane, read));
}

static void lmdb_flush(struct nj_store *store, unsigned lane)
{
    struct nj_lmdb *db = (struct nj_lmdb *)store;
    if (db->lanes[lane].fresh.head) {
        hand_over(db, &db->lanes[lane]);
    }
}

static uint64_t lmdb_waiting(struct nj_store *store)
{
    const struct nj_lmdb *db = (const struct nj_lmdb *)store;
    return atomic_load_explicit(&db->stats.waiting, memory_order_relaxed);
}

static void lmdb_status(struct nj_store *store, struct nj_store_status *status)
{
    struct nj_lmdb *db = (struct nj_lmdb *)store;
    int64_t rows = atomic_load_explicit(&db->stats.rows, memory_order_relaxed);
    *status = (struct nj_store_status){
        .state = (enum nj_store_state)atomic_load(&db->state),
        .bytes_used = atomic_load_explicit(&db->stats.live_bytes, memory_order_relaxed),
        .bytes_max = db->env.map_max,
        .commits = atomic_load_explicit(&db->stats.commits, memory_order_relaxed),
        .rows = rows > 0 ? (uint64_t)rows : 0,
        .broken = atomic_load_explicit(&db->stats.broken, memory_order_relaxed),
        .quarantined = atomic_load_explicit(&db->stats.quarantined, memory_order_relaxed),
    };
    (void)pthread_mutex_lock(&db->lock);
    (void)snprintf(status->text, sizeof(status->text), "%s", db->text);
    (void)pthread_mutex_unlock(&db->lock);
}

/* ---- life */

static void stop_writer(struct nj_lmdb *db)
{
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        if (db->lanes[lane].fresh.head) {
            hand_over(db, &db->lanes[lane]);
        }
    }
    (void)pthread_mutex_lock(&db->lock);
    db->is_closing = true;
    (void)pthread_cond_signal(&db->wake);
    (void)pthread_mutex_unlock(&db->lock);
    nj_thread_join(&db->writer);
}

static void stop_reader(struct nj_lmdb *db)
{
    (void)pthread_mutex_lock(&db->job_lock);
    db->jobs_end = true;
    (void)pthread_cond_signal(&db->job_wake);
    (void)pthread_mutex_unlock(&db->job_lock);
    nj_thread_join(&db->reader);
}

static void lmdb_close(struct nj_store *store)
{
    struct nj_lmdb *db = (struct nj_lmdb *)store;
    stop_writer(db);
    stop_reader(db);
    nj_lmdb_batch_fini(&db->batch);
    nj_lmdb_index_fini(&db->index);
    nj_joints_fini(&db->joints);
    nj_lmdb_backlogs_free(db->backlogs);
    nj_lmdb_env_close(&db->env);
    (void)pthread_cond_destroy(&db->wake);
    (void)pthread_mutex_destroy(&db->lock);
    (void)pthread_cond_destroy(&db->job_wake);
    (void)pthread_mutex_destroy(&db->job_lock);
    nj_free(db->graves);
    nj_free(db->to_page);
    nj_free(db->doubtful); /* the next start knows */
    nj_free(db->heads);
    nj_free(db->take);
    nj_free(db->chosen);
    free(db->lanes);
    nj_free(db);
}

static const struct nj_store_vtable lmdb_vtable = {
    .name = "lmdb",
    .is_durable = true,
    .submit = lmdb_submit,
    .read = lmdb_read,
    .flush = lmdb_flush,
    .load = nj_lmdb_load,
    .waiting = lmdb_waiting,
    .status = lmdb_status,
    .close = lmdb_close,
};

static void make_lanes(struct nj_lmdb *db, unsigned lanes)
{
    db->lane_count = lanes;
    db->lanes = aligned_alloc(64, lanes * sizeof(*db->lanes));
    NJ_ASSERT(db->lanes);
    memset(db->lanes, 0, lanes * sizeof(*db->lanes));
    db->heads = nj_zalloc(lanes * sizeof(struct nj_store_group *));
    db->take = nj_zalloc(lanes * sizeof(*db->take));
    db->chosen = nj_zalloc(lanes * sizeof(*db->chosen));
    for (unsigned i = 0; i < lanes; i++) {
        nj_lmdb_list_init(&db->lanes[i].fresh);
        nj_lmdb_list_init(&db->lanes[i].handed);
        nj_lmdb_list_init(&db->lanes[i].queue);
        nj_lmdb_list_init(&db->chosen[i]);
    }
}

static void make_locks(struct nj_lmdb *db)
{
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&db->lock, NULL);
    (void)pthread_cond_init(&db->wake, &attr);
    (void)pthread_mutex_init(&db->job_lock, NULL);
    (void)pthread_cond_init(&db->job_wake, NULL);
    (void)pthread_condattr_destroy(&attr);
}

enum nj_err nj_store_lmdb_open(unsigned lanes, const struct nj_store_lmdb_options *options,
                               const struct nj_store_events *events, struct nj_store **out)
{
    struct nj_lmdb *db = nj_zalloc(sizeof(*db));
    enum nj_err err = nj_lmdb_env_open(&db->env, options->path, options->size_max);
    if (err != NJ_OK) {
        nj_free(db);
        return err;
    }
    db->base.vtable = &lmdb_vtable;
    db->events = *events;
    db->options = *options;
    db->options.path = db->env.path;
    atomic_store(&db->stats.quarantined, db->env.set_aside);
    db->job_tail = &db->jobs;
    make_lanes(db, lanes);
    make_locks(db);
    err = nj_lmdb_index_init(&db->index);
    if (err == NJ_OK) {
        err = nj_lmdb_blob_sweep(&db->env, &db->next_blob);
        db->next_blob++;
    }
    if (err == NJ_OK) {
        err = nj_lmdb_load_index(db);
    }
    if (err == NJ_OK) {
        err = nj_thread_start(&db->reader, "store-read", nj_lmdb_reader_main, db);
    }
    if (err == NJ_OK) {
        err = nj_thread_start(&db->writer, "store-write", nj_lmdb_writer_main, db);
    }
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: the store %s cannot be used: %s.", options->path,
               nj_err_text(err));
        lmdb_close(&db->base);
        return err;
    }
    *out = &db->base;
    return NJ_OK;
}
