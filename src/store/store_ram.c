/* The store that keeps nothing over a restart. What a session has in the broker's memory while it
 * is connected it also has here as rows (references to the same messages), so that a session that
 * is away costs the broker its record only, as over a durable store; everything else it forgets.
 *
 * Groups are applied when they are submitted, unless the lane waits for the other parts of a joint
 * group; completions leave at the lane's flush. */
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "store/group.h"
#include "store/open.h"
#include "store/ram_rows.h"

/* What will be called at the flush. */
struct outcome {
    struct nj_store_rows *rows; /* NULL: a completion */
    uint64_t cookie;
    enum nj_err err;
};

struct lane {
    pthread_mutex_t calling; /* held while callbacks run, so that they stay in order */
    struct outcome *called;  /* of the calls that run; the two arrays change places */
    unsigned called_cap;
    struct outcome *outcomes; /* this and the rest: under the store's lock */
    unsigned count;
    unsigned cap;
    struct nj_store_group *blocked; /* behind an incomplete joint group, oldest first */
    struct nj_store_group **blocked_end;
};

/* A joint group that is not complete. */
struct joint {
    struct joint *next;
    uint64_t id;
    uint32_t seen;  /* parts submitted */
    uint32_t left;  /* parts submitted and not yet done */
    uint32_t parts; /* 0 = not yet said */
    bool is_aborted;
};

struct store_ram {
    struct nj_store base;
    struct nj_store_events events;
    pthread_mutex_t lock; /* guards everything below */
    struct nj_ram_rows rows;
    struct joint *joints;
    bool has_unblocked; /* a joint group became complete: other lanes have something to say */
    unsigned lane_count;
    struct lane lanes[];
};

/* ---- outcomes */

/* Room is made before anything is applied: an outcome must not get lost. */
static enum nj_err reserve(struct lane *lane, unsigned more)
{
    if (lane->count + more <= lane->cap) {
        return NJ_OK;
    }
    unsigned cap = lane->cap ? lane->cap * 2 : 64;
    cap = cap < lane->count + more ? lane->count + more : cap;
    struct outcome *grown = nj_try_realloc(lane->outcomes, cap * sizeof(*grown));
    if (!grown) {
        return NJ_ENOMEM;
    }
    lane->outcomes = grown;
    lane->cap = cap;
    return NJ_OK;
}

static void add_outcome(struct lane *lane, uint64_t cookie, enum nj_err err,
                        struct nj_store_rows *rows)
{
    lane->outcomes[lane->count++] = (struct outcome){.cookie = cookie, .err = err, .rows = rows};
}

/* ---- joint groups */

static struct joint **find_joint(struct store_ram *ram, uint64_t id)
{
    struct joint **at = &ram->joints;
    while (*at && (*at)->id != id) {
        at = &(*at)->next;
    }
    return at;
}

static bool is_complete(const struct joint *joint)
{
    return joint->is_aborted || (joint->parts && joint->seen >= joint->parts);
}

static enum nj_err enter_joint(struct store_ram *ram, const struct nj_store_joint *part)
{
    struct joint **at = find_joint(ram, part->id);
    if (!*at) {
        *at = nj_try_zalloc(sizeof(**at));
        if (!*at) {
            return NJ_ENOMEM;
        }
        (*at)->id = part->id;
    }
    struct joint *joint = *at;
    joint->seen++;
    joint->left++;
    joint->is_aborted |= part->is_aborted;
    if (part->parts) {
        joint->parts = part->parts;
    }
    ram->has_unblocked |= is_complete(joint);
    return NJ_OK;
}

static void leave_joint(struct joint **at)
{
    struct joint *joint = *at;
    if (--joint->left == 0 && joint->parts && joint->seen >= joint->parts) {
        *at = joint->next;
        nj_free(joint);
    }
}

/* ---- doing what was submitted */

static enum nj_err do_read(struct store_ram *ram, struct lane *lane,
                           const struct nj_store_read *read)
{
    struct nj_store_rows *rows = nj_ram_rows_read(&ram->rows, read);
    if (!rows) {
        return NJ_ENOMEM;
    }
    add_outcome(lane, read->cookie, NJ_OK, rows);
    return NJ_OK;
}

/* False: it waits for other parts. */
static bool do_blocked(struct store_ram *ram, struct lane *lane, struct nj_store_group *group)
{
    enum nj_err err = NJ_OK;
    if (group->is_read) {
        if (do_read(ram, lane, &group->read) != NJ_OK) {
            struct nj_store_rows *none = nj_zalloc(sizeof(*none));
            none->cookie = group->read.cookie;
            none->err = NJ_ENOMEM;
            add_outcome(lane, none->cookie, NJ_OK, none);
        }
        return true;
    }
    if (group->joint.id) {
        struct joint **joint = find_joint(ram, group->joint.id);
        NJ_ASSERT(*joint); /* entered when the group was submitted */
        if (!is_complete(*joint)) {
            return false;
        }
        err = (*joint)->is_aborted ? NJ_ENOMEM : NJ_OK;
        leave_joint(joint);
    }
    if (err == NJ_OK) {
        err = nj_ram_rows_apply(&ram->rows, group->ops, group->count);
    }
    add_outcome(lane, group->cookie, err, NULL);
    return true;
}

static void unblock(struct store_ram *ram, struct lane *lane)
{
    while (lane->blocked && do_blocked(ram, lane, lane->blocked)) {
        struct nj_store_group *group = lane->blocked;
        lane->blocked = group->next;
        if (!lane->blocked) {
            lane->blocked_end = &lane->blocked;
        }
        nj_store_group_free(group);
    }
}

/* Its outcome has its place reserved. */
static void block(struct lane *lane, struct nj_store_group *group)
{
    *lane->blocked_end = group;
    lane->blocked_end = &group->next;
}

static unsigned blocked_count(const struct lane *lane)
{
    unsigned count = 0;
    for (const struct nj_store_group *group = lane->blocked; group; group = group->next) {
        count++;
    }
    return count;
}

static enum nj_err submit_locked(struct store_ram *ram, struct lane *lane,
                                 struct nj_store_group *group)
{
    if (group->joint.id) {
        enum nj_err err = enter_joint(ram, &group->joint);
        if (err != NJ_OK) {
            return err;
        }
    }
    block(lane, group);
    unblock(ram, lane);
    return NJ_OK;
}

static enum nj_err ram_submit(struct nj_store *store, unsigned lane_index,
                              const struct nj_store_op *ops, unsigned count, uint64_t cookie,
                              const struct nj_store_joint *joint)
{
    struct store_ram *ram = (struct store_ram *)store;
    struct lane *lane = &ram->lanes[lane_index];
    (void)pthread_mutex_lock(&ram->lock);
    enum nj_err err = reserve(lane, blocked_count(lane) + 1);
    if (err == NJ_OK && !joint && !lane->blocked) {
        err = nj_ram_rows_apply(&ram->rows, ops, count);
        if (err == NJ_OK) {
            add_outcome(lane, cookie, NJ_OK, NULL);
        }
    } else if (err == NJ_OK) {
        struct nj_store_group *group = nj_store_group_new(lane_index, ops, count, cookie, joint);
        err = group ? submit_locked(ram, lane, group) : NJ_ENOMEM;
        if (err != NJ_OK) {
            nj_store_group_free(group);
        }
    }
    (void)pthread_mutex_unlock(&ram->lock);
    return err;
}

static enum nj_err ram_read(struct nj_store *store, unsigned lane_index,
                            const struct nj_store_read *read)
{
    struct store_ram *ram = (struct store_ram *)store;
    struct lane *lane = &ram->lanes[lane_index];
    (void)pthread_mutex_lock(&ram->lock);
    enum nj_err err = reserve(lane, blocked_count(lane) + 1);
    if (err == NJ_OK && !lane->blocked) {
        err = do_read(ram, lane, read);
    } else if (err == NJ_OK) {
        struct nj_store_group *group = nj_store_group_new_read(lane_index, read);
        err = group ? submit_locked(ram, lane, group) : NJ_ENOMEM;
    }
    (void)pthread_mutex_unlock(&ram->lock);
    return err;
}

/* The array that takes the place of the present one has room for what is blocked, too. */
static bool can_swap(struct lane *lane)
{
    unsigned needed = blocked_count(lane);
    if (lane->called_cap >= needed) {
        return true;
    }
    struct outcome *grown = nj_try_realloc(lane->called, needed * sizeof(*grown));
    if (grown) {
        lane->called = grown;
        lane->called_cap = needed;
    }
    return grown != NULL;
}

/* Calls what is due; where memory is short, at the next flush. */
static void call(struct store_ram *ram, unsigned lane_index)
{
    struct lane *lane = &ram->lanes[lane_index];
    (void)pthread_mutex_lock(&lane->calling);
    (void)pthread_mutex_lock(&ram->lock);
    unblock(ram, lane);
    if (!can_swap(lane)) {
        (void)pthread_mutex_unlock(&ram->lock);
        (void)pthread_mutex_unlock(&lane->calling);
        return;
    }
    unsigned count = lane->count;
    unsigned cap = lane->cap;
    struct outcome *outcomes = lane->outcomes;
    lane->outcomes = lane->called;
    lane->cap = lane->called_cap;
    lane->count = 0;
    lane->called = outcomes;
    lane->called_cap = cap;
    (void)pthread_mutex_unlock(&ram->lock);
    for (unsigned i = 0; i < count; i++) {
        if (outcomes[i].rows) {
            ram->events.rows(ram->events.arg, lane_index, outcomes[i].rows);
        } else {
            ram->events.done(ram->events.arg, lane_index, outcomes[i].cookie, outcomes[i].err);
        }
    }
    (void)pthread_mutex_unlock(&lane->calling);
}

static void ram_flush(struct nj_store *store, unsigned lane_index)
{
    struct store_ram *ram = (struct store_ram *)store;
    (void)pthread_mutex_lock(&ram->lock);
    bool for_all = ram->has_unblocked;
    ram->has_unblocked = false;
    bool has_own = ram->lanes[lane_index].count > 0;
    (void)pthread_mutex_unlock(&ram->lock);
    for (unsigned i = 0; for_all && i < ram->lane_count; i++) {
        call(ram, i);
    }
    if (has_own && !for_all) {
        call(ram, lane_index);
    }
}

static enum nj_err ram_load(struct nj_store *store, const struct nj_store_loader *loader,
                            struct nj_store_highest *highest)
{
    (void)store;
    (void)loader;
    *highest = (struct nj_store_highest){0};
    return NJ_OK;
}

static uint64_t ram_waiting(struct nj_store *store)
{
    (void)store;
    return 0; /* it completes at the end of each turn */
}

static void ram_status(struct nj_store *store, struct nj_store_status *status)
{
    struct store_ram *ram = (struct store_ram *)store;
    *status = (struct nj_store_status){.state = NJ_STORE_GOOD};
    (void)pthread_mutex_lock(&ram->lock);
    status->rows = ram->rows.rows;
    (void)pthread_mutex_unlock(&ram->lock);
}

static void lane_fini(struct lane *lane)
{
    for (unsigned i = 0; i < lane->count; i++) {
        nj_store_rows_free(lane->outcomes[i].rows);
    }
    while (lane->blocked) {
        struct nj_store_group *group = lane->blocked;
        lane->blocked = group->next;
        nj_store_group_free(group);
    }
    nj_free(lane->outcomes);
    nj_free(lane->called);
    (void)pthread_mutex_destroy(&lane->calling);
}

static void ram_close(struct nj_store *store)
{
    struct store_ram *ram = (struct store_ram *)store;
    for (unsigned i = 0; i < ram->lane_count; i++) {
        lane_fini(&ram->lanes[i]);
    }
    while (ram->joints) {
        struct joint *joint = ram->joints;
        ram->joints = joint->next;
        nj_free(joint);
    }
    nj_ram_rows_fini(&ram->rows);
    (void)pthread_mutex_destroy(&ram->lock);
    nj_free(ram);
}

static const struct nj_store_vtable ram_vtable = {
    .name = "memory",
    .is_durable = false,
    .submit = ram_submit,
    .read = ram_read,
    .flush = ram_flush,
    .load = ram_load,
    .waiting = ram_waiting,
    .status = ram_status,
    .close = ram_close,
};

struct nj_store *nj_store_ram_open(unsigned lanes, const struct nj_store_events *events)
{
    struct store_ram *ram = nj_zalloc(sizeof(*ram) + lanes * sizeof(struct lane));
    ram->base.vtable = &ram_vtable;
    ram->events = *events;
    ram->lane_count = lanes;
    (void)pthread_mutex_init(&ram->lock, NULL);
    for (unsigned i = 0; i < lanes; i++) {
        (void)pthread_mutex_init(&ram->lanes[i].calling, NULL);
        ram->lanes[i].blocked_end = &ram->lanes[i].blocked;
    }
    return &ram->base;
}
