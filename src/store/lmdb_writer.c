/* The one thread that writes: it takes what the lanes handed over, puts as much of it into one
 * transaction as a millisecond brings, commits, and reports. See lmdb_priv.h.
 *
 *   idle: commit at once     busy: a commit begins at most every millisecond, or with 1,000
 * operations
 *
 * While one is being synced more may come, and the next takes up to 8,000 of it: the sync, and the
 * pages that many operations change together, are then paid once.
 *
 * When a transaction cannot be committed, or would fill the database to its limit, the groups that
 * make it grow are refused and the others tried again without them; a failed sync ends all writing
 * until the broker is started anew, because nobody knows what the disk holds then. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/lmdb_priv.h"

#define OPS_ENOUGH       1000u /* to begin at once */
#define OPS_MAX          8000u /* in one transaction, when so much waits already */
#define PAGES_PER_OP     4u    /* that an operation may change, at worst: of rows, bodies, … */
#define OPS_MAX_INTERVAL 20000u
#define SPACING_NS       1000000ull
#define MEMORY_MS        5000u /* durability memory: written so often */
#define FULL_RETRY_MS    200u
#define LOOK_AT_MAX      4096u /* operations, for a read that may go first */
#define NS_PER_MS        1000000ull
#define NS_PER_S         1000000000ull

/* ---- state */

static void set_state(struct nj_lmdb *db, enum nj_store_state state, const char *text)
{
    enum nj_store_state old = (enum nj_store_state)atomic_load(&db->state);
    (void)pthread_mutex_lock(&db->lock);
    (void)snprintf(db->text, sizeof(db->text), "%s", text);
    (void)pthread_mutex_unlock(&db->lock);
    if (old == state) {
        return;
    }
    atomic_store(&db->state, (int)state);
    if (state == NJ_STORE_GOOD) {
        nj_log(NJ_LOG_NOTICE, "The store %s takes new data again.", db->env.path);
    } else {
        nj_log(NJ_LOG_ERROR, "Error: the store %s %s.", db->env.path, text);
    }
}

static bool has_failed(struct nj_lmdb *db)
{
    return atomic_load(&db->state) == NJ_STORE_FAILED;
}

static void fail(struct nj_lmdb *db, const char *what)
{
    char text[sizeof(db->text)];
    (void)snprintf(text, sizeof(text),
                   "has failed (%s) and keeps nothing more until the broker is started anew", what);
    set_state(db, NJ_STORE_FAILED, text);
}

static void fill_up(struct nj_lmdb *db, const char *what)
{
    db->full_until_ms = nj_clock_mono_ms() + FULL_RETRY_MS;
    char text[sizeof(db->text)];
    (void)snprintf(text, sizeof(text), "takes nothing new for now: %s", what);
    set_state(db, NJ_STORE_FULL, text);
}

/* ---- reporting */

static void report_good(struct nj_lmdb *db, unsigned lane)
{
    if (db->lanes[lane].done_cookie) {
        db->events.done(db->events.arg, lane, db->lanes[lane].done_cookie, NJ_OK);
        db->lanes[lane].done_cookie = 0;
    }
}

/* Good completions of a lane are told by the last of them. */
static void report(struct nj_lmdb *db, const struct nj_store_group *group)
{
    if (group->is_told) {
        db->broken += group->err != NJ_OK;
        return;
    }
    db->lanes[group->lane].untold--;
    if (group->err == NJ_OK) {
        db->lanes[group->lane].done_cookie = group->cookie;
        return;
    }
    report_good(db, group->lane);
    db->events.done(db->events.arg, group->lane, group->cookie, group->err);
}

static void finish(struct nj_lmdb *db, struct nj_store_group *group)
{
    if (group->is_read) {
        nj_lmdb_read_start(db, group);
    } else {
        report(db, group);
    }
    atomic_fetch_sub_explicit(&db->stats.waiting, nj_lmdb_group_weight(group),
                              memory_order_relaxed);
    nj_store_group_free(group);
}

/* Durability by interval: what was acknowledged and is not kept. Nobody can be told any more. */
static void own_up(struct nj_lmdb *db)
{
    if (db->broken) {
        nj_log(NJ_LOG_ERROR,
               "Error: the store %s could not keep %" PRIu32
               " changes that were acknowledged before they were written.",
               db->env.path, db->broken);
        atomic_fetch_add_explicit(&db->stats.broken, db->broken, memory_order_relaxed);
        db->broken = 0;
    }
}

static void finish_chosen(struct nj_lmdb *db)
{
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        struct nj_store_group *group = db->chosen[lane].head;
        while (group) {
            struct nj_store_group *next = group->next;
            finish(db, group);
            group = next;
        }
        report_good(db, lane);
        nj_lmdb_list_init(&db->chosen[lane]);
    }
    own_up(db);
}

/* ---- which groups take part */

static bool op_grows(const struct nj_store_op *op)
{
    switch (op->kind) {
    case NJ_STORE_SESSION_SAVE:
    case NJ_STORE_SUBSCRIBE:
    case NJ_STORE_QUEUE_APPEND:
    case NJ_STORE_INCOMING_PUT:
    case NJ_STORE_RETAIN_SET:
    case NJ_STORE_WILL_SET:
        return true;
    default:
        return false;
    }
}

static bool group_grows(const struct nj_store_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        if (op_grows(&group->ops[i])) {
            return true;
        }
    }
    return false;
}

/* The group, and with it all parts of its joint group. */
static void refuse(struct nj_lmdb *db, struct nj_store_group *refused, enum nj_err err)
{
    refused->err = err;
    for (unsigned lane = 0; refused->joint.id && lane < db->lane_count; lane++) {
        struct nj_store_group *group = db->chosen[lane].head;
        for (; group; group = group->next) {
            if (group->joint.id == refused->joint.id) {
                group->err = err;
            }
        }
    }
}

/* Returns how many groups were refused that were not before. */
static uint32_t refuse_all(struct nj_lmdb *db, enum nj_err err, bool only_growing)
{
    uint32_t count = 0;
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        struct nj_store_group *group = db->chosen[lane].head;
        for (; group; group = group->next) {
            if (group->err == NJ_OK && !group->is_read && (!only_growing || group_grows(group))) {
                refuse(db, group, err);
                count++;
            }
        }
    }
    return count;
}

/* ---- room */

static uint64_t live_bytes(struct nj_lmdb *db)
{
    return atomic_load_explicit(&db->stats.live_bytes, memory_order_relaxed);
}

static bool has_growing(const struct nj_lmdb *db, uint64_t *weight)
{
    bool has_some = false;
    *weight = 0;
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        const struct nj_store_group *group = db->chosen[lane].head;
        for (; group; group = group->next) {
            if (group->err == NJ_OK && group_grows(group)) {
                has_some = true;
                *weight += nj_lmdb_group_weight(group);
            }
        }
    }
    return has_some;
}

/* Finds out whether a full store takes something again. */
static bool has_recovered(struct nj_lmdb *db)
{
    uint64_t now_ms = nj_clock_mono_ms();
    if (now_ms < db->full_until_ms) {
        return false;
    }
    db->full_until_ms = now_ms + FULL_RETRY_MS;
    if (nj_lmdb_env_is_nearly_full(&db->env, live_bytes(db), true) ||
        !nj_lmdb_env_has_disk(&db->env, live_bytes(db), 0, true) ||
        nj_lmdb_env_probe(&db->env) != NJ_OK) {
        return false;
    }
    set_state(db, NJ_STORE_GOOD, "");
    return true;
}

/* Refuses what grows when it is known beforehand that there is no room for it. What the transaction
 * adds to the map is known at its end. */
static void check_room(struct nj_lmdb *db)
{
    uint64_t weight;
    bool may_grow = atomic_load(&db->state) != NJ_STORE_FULL || has_recovered(db);
    if (!has_growing(db, &weight)) {
        return;
    }
    if (may_grow && !nj_lmdb_env_has_disk(&db->env, live_bytes(db), 2 * weight, false)) {
        fill_up(db, "the disk has hardly any room left");
        may_grow = false;
    }
    if (may_grow) {
        nj_lmdb_env_bind(&db->env);
    } else {
        (void)refuse_all(db, NJ_ENOSPC, true);
    }
}

static void settle_joint(struct nj_lmdb *db, struct nj_store_group *group)
{
    struct nj_joint *joint = group->joint.id ? nj_joints_find(&db->joints, group->joint.id) : NULL;
    if (joint && joint->is_aborted) {
        refuse(db, group, NJ_ENOMEM);
    }
    if (joint && --joint->inside == 0) {
        nj_joints_remove(&db->joints, joint);
    }
}

/* What shrinks needs pages before it gives some back, and is refused as a whole when there are too
 * few: near a full disk transactions stay so small that the reserve is enough for them. */
static uint32_t budget_of(struct nj_lmdb *db)
{
    if (db->options.durability != NJ_STORE_FSYNC) {
        return OPS_MAX_INTERVAL;
    }
    uint64_t bytes = (uint64_t)OPS_MAX * PAGES_PER_OP * db->env.page_bytes;
    return db->queued_ops > OPS_ENOUGH &&
                   (atomic_load(&db->state) != NJ_STORE_GOOD ||
                    !nj_lmdb_env_has_disk(&db->env, live_bytes(db), bytes, false))
               ? OPS_ENOUGH
               : OPS_MAX;
}

/* Moves the heads of the queues into `chosen`. False when there is nothing that may go. */
static bool choose_groups(struct nj_lmdb *db)
{
    uint32_t budget = budget_of(db);
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        db->heads[lane] = db->lanes[lane].queue.head;
    }
    if (!nj_joints_choose(&db->joints, db->heads, db->lane_count, budget, db->take)) {
        return false;
    }
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        struct nj_lmdb_list *queue = &db->lanes[lane].queue;
        for (uint32_t i = 0; i < db->take[lane]; i++) {
            struct nj_store_group *group = nj_lmdb_list_take(queue);
            db->queued_ops -= group->count + 1;
            nj_lmdb_list_push(&db->chosen[lane], group);
        }
    }
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        for (struct nj_store_group *group = db->chosen[lane].head; group; group = group->next) {
            settle_joint(db, group);
        }
    }
    return true;
}

/* ---- one transaction */

enum stage {
    STAGE_GROUP,
    STAGE_FLUSH,
    STAGE_KEEP,
    STAGE_ROOM,
    STAGE_COMMIT
};

/* How much of the housekeeping takes part. */
enum keep {
    KEEP_NONE,
    KEEP_CLEARING, /* what makes room */
    KEEP_ALL
};

struct attempt {
    enum keep keep;
    enum stage stage;              /* how far it got */
    struct nj_store_group *failed; /* at STAGE_GROUP */
};

static enum nj_err apply_group(struct nj_lmdb *db, struct nj_store_group *group)
{
    for (unsigned i = 0; i < group->count; i++) {
        enum nj_err err = nj_lmdb_apply(db, &group->ops[i]);
        if (err != NJ_OK) {
            return err;
        }
    }
    atomic_fetch_add_explicit(&db->stats.groups, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&db->stats.ops, group->count, memory_order_relaxed);
    return NJ_OK;
}

static enum nj_err apply_chosen(struct nj_lmdb *db, struct nj_store_group **failed)
{
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        struct nj_store_group *group = db->chosen[lane].head;
        for (; group; group = group->next) {
            enum nj_err err =
                group->is_read || group->err != NJ_OK ? NJ_OK : apply_group(db, group);
            if (err != NJ_OK) {
                *failed = group;
                return err;
            }
        }
    }
    return NJ_OK;
}

/* Nothing that grows may use the last tenth: it is for what shrinks. */
static enum nj_err stay_below_limit(struct nj_lmdb *db, const struct attempt *attempt)
{
    uint64_t weight;
    db->batch.live_bytes = nj_lmdb_env_live(&db->env, db->batch.txn);
    return (attempt->keep == KEEP_ALL || has_growing(db, &weight)) &&
                   nj_lmdb_env_is_nearly_full(&db->env, db->batch.live_bytes, false)
               ? NJ_ELIMIT
               : NJ_OK;
}

static enum nj_err fill(struct nj_lmdb *db, struct attempt *attempt)
{
    attempt->stage = STAGE_GROUP;
    enum nj_err err = apply_chosen(db, &attempt->failed);
    if (err != NJ_OK) {
        return err;
    }
    attempt->stage = STAGE_FLUSH;
    err = nj_lmdb_batch_flush(db);
    if (err == NJ_OK && attempt->keep != KEEP_NONE) {
        attempt->stage = STAGE_KEEP;
        err = nj_lmdb_keep(db, attempt->keep == KEEP_ALL, &db->keep_more);
    }
    if (err == NJ_OK) {
        attempt->stage = STAGE_ROOM;
        err = stay_below_limit(db, attempt);
    }
    if (err == NJ_OK && db->batch.has_new_blob) {
        attempt->stage = STAGE_COMMIT;
        err = nj_lmdb_blob_sync(&db->env);
    }
    return err;
}

static enum nj_err begin(struct nj_lmdb *db)
{
    struct nj_lmdb_batch *batch = &db->batch;
    nj_lmdb_batch_reset(batch);
    batch->wall_offset_ms = nj_clock_wall_ns() / (int64_t)NS_PER_MS - (int64_t)nj_clock_mono_ms();
    batch->owner_limit = db->owner_limit;
    batch->seq_limit = db->seq_limit;
    batch->next_deadline_ms = db->next_deadline_ms;
    int rc = mdb_txn_begin(db->env.env, NULL, 0, &batch->txn);
    if (rc == MDB_PANIC) {
        fail(db, "its state could not be written");
    }
    if (rc == MDB_SUCCESS) {
        nj_lmdb_keep_begun(db);
    }
    return nj_lmdb_error(rc);
}

/* All of it is on disk, or nothing changed. */
static enum nj_err try_once(struct nj_lmdb *db, struct attempt *attempt)
{
    uint64_t failures = nj_lmdb_sync_failures();
    attempt->failed = NULL;
    attempt->stage = STAGE_COMMIT;
    enum nj_err err = begin(db);
    if (err != NJ_OK) {
        return err;
    }
    nj_crash_point("begin");
    err = fill(db, attempt);
    bool is_complete = err == NJ_OK;
    if (!is_complete) {
        mdb_txn_abort(db->batch.txn);
    } else {
        attempt->stage = STAGE_COMMIT;
        nj_crash_point("commit");
        err = nj_lmdb_error(mdb_txn_commit(db->batch.txn));
        nj_crash_point("committed");
    }
    if (nj_lmdb_sync_failures() != failures) {
        fail(db, "the disk could not be synced");
        err = NJ_EIO;
    }
    if (err == NJ_OK) {
        atomic_fetch_add_explicit(&db->stats.commits, 1, memory_order_relaxed);
        nj_lmdb_keep_committed(db);
        if (db->batch.expired_count) {
            db->events.expired(db->events.arg, db->batch.expired, db->batch.expired_count);
        }
    } else {
        nj_lmdb_keep_given_up(db, is_complete);
    }
    nj_lmdb_batch_reset(&db->batch);
    return err;
}

static bool is_about_room(enum nj_err err)
{
    /* liblmdb's answer to a short write is EIO; that of a sync was told apart before. */
    return err == NJ_ELIMIT || err == NJ_ENOSPC || err == NJ_EIO;
}

static void keep_less(struct nj_lmdb *db, struct attempt *attempt)
{
    attempt->keep = attempt->keep == KEEP_ALL ? KEEP_CLEARING : KEEP_NONE;
    db->keep_after_ms = nj_clock_mono_ms() + FULL_RETRY_MS;
}

/* Gives way in this order: pages, then what grows, then the limit itself (for what shrinks), then
 * the rest of the housekeeping. */
static bool make_room(struct nj_lmdb *db, enum nj_err err, struct attempt *attempt)
{
    bool is_near = attempt->stage == STAGE_ROOM;
    if (err == NJ_ELIMIT && !is_near && nj_lmdb_env_grow(&db->env, true)) {
        return true;
    }
    bool had_pages = attempt->keep == KEEP_ALL;
    if (had_pages) {
        keep_less(db, attempt);
    }
    if (had_pages && err == NJ_ELIMIT) {
        return true;
    }
    uint32_t refused = refuse_all(db, NJ_ENOSPC, true);
    if (refused) {
        const char *what = is_near ? "it is nearly full" : "no space left";
        fill_up(db, err == NJ_EIO ? "it cannot be written" : what);
        return true;
    }
    if (had_pages || (err == NJ_ELIMIT && nj_lmdb_env_grow_beyond(&db->env))) {
        return true;
    }
    if (attempt->keep == KEEP_CLEARING) {
        keep_less(db, attempt);
        return true;
    }
    fill_up(db, err == NJ_EIO ? "it cannot be written" : "no space left");
    return false;
}

/* What to leave out of the next attempt; each time it is something. False: give all of it up. */
static bool give_way(struct nj_lmdb *db, enum nj_err err, struct attempt *attempt)
{
    if (err == NJ_EMALFORMED) {
        fail(db, "its database is damaged");
    }
    if (has_failed(db)) {
        return false;
    }
    if (is_about_room(err)) {
        return make_room(db, err, attempt);
    }
    if (attempt->stage == STAGE_KEEP) {
        attempt->keep = KEEP_NONE;
        db->keep_after_ms = nj_clock_mono_ms() + FULL_RETRY_MS;
        return true;
    }
    if (attempt->failed) {
        refuse(db, attempt->failed, err);
        return true;
    }
    return false;
}

static enum keep what_to_keep(struct nj_lmdb *db)
{
    if (nj_clock_mono_ms() < db->keep_after_ms) {
        return KEEP_NONE;
    }
    return atomic_load(&db->state) == NJ_STORE_GOOD &&
                   !nj_lmdb_env_is_nearly_full(&db->env, live_bytes(db), false)
               ? KEEP_ALL
               : KEEP_CLEARING;
}

static void write_chosen(struct nj_lmdb *db)
{
    struct attempt attempt;
    enum nj_err err = NJ_EIO;
    (void)nj_lmdb_env_grow(&db->env, false);
    if (!has_failed(db)) {
        check_room(db);
    }
    attempt.keep = what_to_keep(db);
    while (!has_failed(db)) {
        err = try_once(db, &attempt);
        if (err == NJ_OK || !give_way(db, err, &attempt)) {
            break;
        }
    }
    if (err != NJ_OK) {
        (void)refuse_all(db, err == NJ_ELIMIT ? NJ_ENOSPC : err, false);
    }
}

/* ---- what there is to do, and when */

/* Near its limit a store tells nothing early, so that it need not go back on its word. */
static bool may_promise(struct nj_lmdb *db, const struct nj_store_group *group)
{
    int state = atomic_load(&db->state);
    if (state == NJ_STORE_FAILED || !group_grows(group)) {
        return state != NJ_STORE_FAILED;
    }
    uint64_t waiting = atomic_load_explicit(&db->stats.waiting, memory_order_relaxed);
    return state == NJ_STORE_GOOD &&
           !nj_lmdb_env_is_nearly_full(&db->env, live_bytes(db) + 2 * waiting, true);
}

/* Durability by interval: told at once, written later. */
static void tell_early(struct nj_lmdb *db, struct nj_store_group *group)
{
    struct nj_lmdb_lane *lane = &db->lanes[group->lane];
    if (group->is_read) {
        return;
    }
    /* Never before one that was submitted earlier: the last completion speaks for all. */
    bool is_early = db->options.durability != NJ_STORE_FSYNC && !lane->untold &&
                    !group->joint.is_aborted && may_promise(db, group);
    lane->untold++;
    if (is_early) {
        report(db, group);
        group->is_told = true;
    }
}

/* Whether what the lane still has to write may change what the read has to give. A queue that is
 * drained is mostly written to behind the place where it is read: acknowledgements. */
static bool has_to_wait(const struct nj_lmdb *db, const struct nj_store_group *read)
{
    uint32_t looked_at = 0;
    const struct nj_store_group *group = db->lanes[read->lane].queue.head;
    for (; group; group = group->next) {
        looked_at += group->count + 1;
        if (looked_at > LOOK_AT_MAX || group->is_read) {
            return true;
        }
        for (unsigned i = 0; i < group->count; i++) {
            const struct nj_store_op *op = &group->ops[i];
            if (op->owner == read->read.owner &&
                (read->read.with_flights || !op->seq || op->seq >= read->read.from_seq)) {
                return true;
            }
        }
    }
    return false;
}

static void take_in(struct nj_lmdb *db, struct nj_lmdb_list *list, unsigned lane)
{
    struct nj_store_group *group = list->head;
    while (group) {
        struct nj_store_group *next = group->next;
        if (group->is_read && !has_to_wait(db, group)) {
            finish(db, group);
            group = next;
            continue;
        }
        nj_joints_note(&db->joints, group);
        db->queued_ops += group->count + 1;
        db->has_read |= group->is_read;
        tell_early(db, group);
        nj_lmdb_list_push(&db->lanes[lane].queue, group);
        group = next;
    }
    report_good(db, lane);
}

/* Under the lock, which it lets go of meanwhile. True when there was something: then more may have
 * come in the meantime, and nobody wakes a writer that does not sleep. */
static bool take_handed(struct nj_lmdb *db)
{
    bool had_some = false;
    db->handed_ops = 0;
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        struct nj_lmdb_list list;
        nj_lmdb_list_init(&list);
        nj_lmdb_list_splice(&list, &db->lanes[lane].handed);
        if (!list.head) {
            continue;
        }
        if (!db->queued_ops) {
            db->queued_since_ms = nj_clock_mono_ms();
        }
        had_some = true;
        db->is_stuck = false;
        db->may_keep = true;
        (void)pthread_mutex_unlock(&db->lock);
        take_in(db, &list, lane);
        (void)pthread_mutex_lock(&db->lock);
    }
    return had_some;
}

static uint64_t wall_ms(void)
{
    return (uint64_t)(nj_clock_wall_ns() / (int64_t)NS_PER_MS);
}

/* A full store needs it most; but pages make it grow. */
static bool is_keep_due(const struct nj_lmdb *db)
{
    int state = atomic_load(&db->state);
    return db->may_keep && state != NJ_STORE_FAILED &&
           (db->keep_more || db->grave_count || (db->to_page_count && state == NJ_STORE_GOOD) ||
            (db->next_deadline_ms != UINT64_MAX && db->next_deadline_ms <= wall_ms()));
}

/* Nanoseconds until what is queued is to be written; 0 = now. */
static uint64_t queued_due_in_ns(const struct nj_lmdb *db, uint64_t spacing)
{
    if (db->is_closing || db->has_read) {
        return 0;
    }
    if (db->options.durability == NJ_STORE_FSYNC) {
        return db->queued_ops >= OPS_ENOUGH ? 0 : spacing;
    }
    uint64_t interval =
        db->options.durability == NJ_STORE_INTERVAL ? db->options.interval_ms : MEMORY_MS;
    uint64_t waited = nj_clock_mono_ms() - db->queued_since_ms;
    return db->queued_ops >= OPS_MAX_INTERVAL || waited >= interval
               ? 0
               : (interval - waited) * NS_PER_MS;
}

/* Nanoseconds until something is to be written; 0 = now, UINT64_MAX = nothing is in sight. */
static uint64_t due_in_ns(const struct nj_lmdb *db)
{
    uint64_t since = nj_clock_mono_ns() - db->last_commit_ns;
    uint64_t spacing = since < SPACING_NS ? SPACING_NS - since : 0;
    if (db->queued_ops && !db->is_stuck) {
        return queued_due_in_ns(db, spacing);
    }
    uint64_t now_ms = nj_clock_mono_ms();
    if (is_keep_due(db)) {
        return now_ms < db->keep_after_ms ? (db->keep_after_ms - now_ms) * NS_PER_MS : spacing;
    }
    if (atomic_load(&db->state) == NJ_STORE_FULL) {
        return now_ms < db->full_until_ms ? (db->full_until_ms - now_ms) * NS_PER_MS : spacing;
    }
    if (db->next_deadline_ms == UINT64_MAX || !db->may_keep || atomic_load(&db->state)) {
        return UINT64_MAX;
    }
    uint64_t now_wall_ms = wall_ms();
    uint64_t wait_ms = db->next_deadline_ms > now_wall_ms ? db->next_deadline_ms - now_wall_ms : 0;
    /* The wall clock may be set: look again now and then. */
    return (wait_ms < 1000 ? wait_ms : 1000) * NS_PER_MS + spacing;
}

static void wait_ns(struct nj_lmdb *db, uint64_t ns)
{
    if (ns == UINT64_MAX) {
        (void)pthread_cond_wait(&db->wake, &db->lock);
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / NS_PER_S);
    until.tv_nsec = (long)(ns % NS_PER_S);
    (void)pthread_cond_timedwait(&db->wake, &db->lock, &until);
}

/* False when the store closes and everything is written. */
static bool wait_for_work(struct nj_lmdb *db)
{
    (void)pthread_mutex_lock(&db->lock);
    for (;;) {
        /* With so much at hand it is time to write, in every mode. */
        while (take_handed(db) && db->queued_ops < OPS_MAX_INTERVAL) {
        }
        if (db->is_closing && (!db->queued_ops || db->is_stuck)) {
            (void)pthread_mutex_unlock(&db->lock);
            return false; /* housekeeping goes on after the next start */
        }
        uint64_t ns = due_in_ns(db);
        if (ns == 0) {
            break;
        }
        db->is_idle = !db->queued_ops || db->is_stuck || db->options.durability != NJ_STORE_FSYNC;
        wait_ns(db, ns);
        db->is_idle = false;
    }
    (void)pthread_mutex_unlock(&db->lock);
    return true;
}

/* Parts whose others never came: the broker stops in the middle of it, and nothing of it is kept.
 */
static void drop_rest(struct nj_lmdb *db)
{
    for (unsigned lane = 0; lane < db->lane_count; lane++) {
        struct nj_store_group *group;
        while ((group = nj_lmdb_list_take(&db->lanes[lane].queue))) {
            group->err = NJ_ECLOSED;
            finish(db, group);
        }
    }
    own_up(db);
}

void *nj_lmdb_writer_main(void *arg)
{
    struct nj_lmdb *db = arg;
    while (wait_for_work(db)) {
        db->last_commit_ns = nj_clock_mono_ns();
        db->has_read = false;
        db->keep_more = false;
        db->is_stuck = !choose_groups(db) && db->queued_ops;
        write_chosen(db);
        finish_chosen(db);
        nj_crash_point("told");
        db->queued_since_ms = nj_clock_mono_ms();
    }
    drop_rest(db);
    return NULL;
}
