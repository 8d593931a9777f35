/* The store of the rig: groups wait until the test (or the end of a turn) lets them go, and then
 * reach a store_ram behind it, or fail. See rig.h. */
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "broker/batch.h"
#include "broker/record.h"
#include "rig.h"
#include "rig_priv.h"
#include "store/group.h"
#include "store/open.h"
#include "support/test.h"

static void touch(struct rig_store *store, struct nj_bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        store->checksum = store->checksum * 31 + bytes.ptr[i];
    }
}

static void touch_op(struct rig_store *store, const struct nj_store_op *op)
{
    touch(store, op->bytes);
    if (op->message) {
        touch(store, nj_message_topic(op->message));
    }
    if (op->session) {
        touch(store, op->session->origin.user);
        touch(store, op->session->origin.client_id);
    }
    if (op->origin) {
        touch(store, op->origin->user);
        touch(store, op->origin->client_id);
    }
}

static void keep(struct rig_store *store, struct nj_store_group *group)
{
    assert_non_null(group);
    *store->groups_end = group;
    store->groups_end = &group->next;
    store->group_count++;
}

static enum nj_err submit(struct nj_store *base, unsigned lane, const struct nj_store_op *ops,
                          unsigned count, uint64_t cookie, const struct nj_store_joint *joint)
{
    struct rig_store *store = (struct rig_store *)base;
    assert_true(count > 0 || joint);
    if (store->is_dead) {
        return NJ_OK;
    }
    store->submits++;
    for (unsigned i = 0; i < count; i++) {
        touch_op(store, &ops[i]);
    }
    bool is_refused = store->refuse_every && store->submits % store->refuse_every == 0;
    if (store->refuse) {
        store->refuse--;
        is_refused = true;
    }
    if (is_refused && !joint) {
        return NJ_ENOSPC;
    }
    for (unsigned i = 0; i < count && !is_refused; i++) {
        store->ops[ops[i].kind]++;
    }
    int armed = atomic_exchange(&nj_fault_armed, 0);
    struct nj_store_group *group = nj_store_group_new(lane, ops, count, cookie, joint);
    atomic_store(&nj_fault_armed, armed);
    if (is_refused) {
        group->joint.is_aborted = true;
    }
    keep(store, group);
    return NJ_OK;
}

static enum nj_err read_rows(struct nj_store *base, unsigned lane, const struct nj_store_read *read)
{
    struct rig_store *store = (struct rig_store *)base;
    if (store->is_dead) {
        return NJ_OK;
    }
    if (store->refuse_reads) {
        store->refuse_reads--;
        return NJ_ENOMEM;
    }
    int armed = atomic_exchange(&nj_fault_armed, 0);
    keep(store, nj_store_group_new_read(lane, read));
    atomic_store(&nj_fault_armed, armed);
    store->reads++;
    return NJ_OK;
}

static void on_done(void *arg, unsigned lane, uint64_t cookie, enum nj_err err)
{
    struct rig *rig = arg;
    if (rig->store.is_dead) {
        return;
    }
    if (rig->store.keeps_image) {
        rig_image_done(&rig->store.image, lane, cookie, err);
    }
    struct nj_batch *batch = nj_batch_new_small(sizeof(struct nj_record_store));
    struct nj_record_store *record = nj_batch_add(batch, NJ_RECORD_STORE_DONE, sizeof(*record));
    record->group = cookie;
    record->err = err;
    (void)nj_inbox_push(&rig->shards[lane]->inbox, batch);
}

static void on_rows(void *arg, unsigned lane, struct nj_store_rows *rows)
{
    struct rig *rig = arg;
    if (rig->store.is_dead) {
        nj_store_rows_free(rows);
        return;
    }
    if (rig->store.read_result != NJ_OK) {
        uint64_t cookie = rows->cookie;
        nj_store_rows_free(rows);
        rows = nj_store_rows_new(cookie, 0);
        rows->err = rig->store.read_result;
    }
    struct nj_batch *batch = nj_batch_new_small(sizeof(struct nj_record_rows));
    struct nj_record_rows *record = nj_batch_add(batch, NJ_RECORD_STORE_ROWS, sizeof(*record));
    record->rows = rows;
    (void)nj_inbox_push(&rig->shards[lane]->inbox, batch);
}

void rig_store_expire(struct rig *rig, const struct nj_store_expired *expired)
{
    for (unsigned i = 0; i < rig->core.shard_count; i++) {
        struct nj_batch *batch = nj_batch_new_small(sizeof(*expired));
        memcpy(nj_batch_add(batch, NJ_RECORD_STORE_EXPIRED, sizeof(*expired)), expired,
               sizeof(*expired));
        (void)nj_inbox_push(&rig->shards[i]->inbox, batch);
    }
}

/* Takes the group over. */
static void run_group(struct rig *rig, struct nj_store_group *group, enum nj_err result)
{
    struct nj_store *inner = rig->store.inner;
    unsigned lane = group->lane;
    bool is_joint = group->joint.id != 0;
    bool is_kept = rig->store.keeps_image && !group->is_read && (is_joint || result == NJ_OK);
    enum nj_err err = result;
    if (is_kept) {
        rig_image_submitted(&rig->store.image, group);
    }
    if (group->is_read) {
        err = nj_store_read(inner, group->lane, &group->read);
        assert_int_equal(err, NJ_OK);
    } else if (is_joint || result == NJ_OK) {
        group->joint.is_aborted |= result != NJ_OK;
        err = nj_store_submit(inner, group->lane, group->ops, group->count, group->cookie,
                              is_joint ? &group->joint : NULL);
        assert_int_equal(err, NJ_OK);
    } else {
        on_done(rig, group->lane, group->cookie, result);
    }
    if (!is_kept) {
        nj_store_group_free(group);
    }
    nj_store_flush(inner, lane);
}

void rig_store_release(struct rig *rig, enum nj_err result)
{
    struct rig_store *store = &rig->store;
    struct nj_store_group *group = store->groups;
    store->groups = NULL;
    store->groups_end = &store->groups;
    store->group_count = 0;
    int armed = atomic_exchange(&nj_fault_armed, 0);
    while (group) {
        struct nj_store_group *next = group->next;
        if (store->is_dead) {
            nj_store_group_free(group);
        } else {
            run_group(rig, group, result);
            store->is_dead = store->dies_after && --store->dies_after == 0;
        }
        group = next;
    }
    atomic_store(&nj_fault_armed, armed);
    struct nj_store_status inner;
    nj_store_status(store->inner, &inner);
    store->row_count = (unsigned)inner.rows;
}

static void flush(struct nj_store *base, unsigned lane)
{
    (void)base;
    (void)lane;
}

static uint64_t waiting(struct nj_store *base)
{
    return ((struct rig_store *)base)->waiting;
}

static void status(struct nj_store *base, struct nj_store_status *out)
{
    *out = (struct nj_store_status){.state = ((struct rig_store *)base)->state};
}

static enum nj_err load(struct nj_store *base, const struct nj_store_loader *loader,
                        struct nj_store_highest *highest)
{
    return rig_image_load(&((struct rig_store *)base)->image, loader, highest);
}

static const struct nj_store_vtable store_vtable = {
    .name = "rig",
    .submit = submit,
    .read = read_rows,
    .flush = flush,
    .waiting = waiting,
    .status = status,
};

static struct nj_store *open_inner(struct rig *rig, unsigned shards)
{
    const struct nj_store_events events = {.arg = rig, .done = on_done, .rows = on_rows};
    return nj_store_ram_open(shards, &events);
}

void rig_store_open(struct rig *rig, unsigned shards)
{
    rig->store.base.vtable = &store_vtable;
    rig->store.groups_end = &rig->store.groups;
    rig->store.inner = open_inner(rig, shards);
}

void rig_store_close(struct rig *rig)
{
    rig_store_release(rig, NJ_OK);
    nj_store_close(rig->store.inner);
    rig_image_fini(&rig->store.image);
}

void rig_keep(struct rig *rig)
{
    static const struct nj_store_vtable durable_vtable = {
        .name = "rig, durable",
        .is_durable = true,
        .submit = submit,
        .read = read_rows,
        .flush = flush,
        .load = load,
        .waiting = waiting,
        .status = status,
    };
    rig->store.base.vtable = &durable_vtable;
    rig->store.keeps_image = true;
}

/* Of a joint group: all its parts are among the first `count`. */
static bool is_whole(const struct nj_store_group *first, unsigned count, uint64_t joint)
{
    unsigned parts = 0;
    unsigned total = 0;
    for (; count; count--, first = first->next) {
        if (first->joint.id == joint) {
            parts++;
            total += first->joint.parts;
            if (first->joint.is_aborted) {
                return false;
            }
        }
    }
    return parts == total;
}

void rig_store_sync(struct rig *rig, unsigned groups)
{
    const struct nj_store_group *first = rig->store.groups;
    uint64_t stopped = 0; /* lanes */
    unsigned count = 0;
    for (const struct nj_store_group *group = first; group && count < groups; group = group->next) {
        count++;
    }
    const struct nj_store_group *group = first;
    for (unsigned i = 0; i < count; i++, group = group->next) {
        if (group->joint.id && !is_whole(first, count, group->joint.id)) {
            stopped |= 1ull << group->lane;
        }
        if (!group->is_read && !(stopped >> group->lane & 1)) {
            rig_image_apply(&rig->store.image, group);
        }
    }
}

static void drop_groups(struct rig_store *store)
{
    while (store->groups) {
        struct nj_store_group *group = store->groups;
        store->groups = group->next;
        nj_store_group_free(group);
    }
    store->groups_end = &store->groups;
    store->group_count = 0;
}

void rig_store_crash(struct rig *rig, unsigned shards)
{
    struct rig_store *store = &rig->store;
    drop_groups(store);
    nj_store_close(store->inner);
    store->inner = open_inner(rig, shards);
    rig_image_fill(&store->image, store->inner);
    store->is_dead = false; /* only now: nobody is told that the rows were put back */
}
