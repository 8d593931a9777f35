/* Asking the workers: a task runs on each of them, and what it leaves comes back to the control
 * thread. See plane.h. */
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "broker/commit.h"
#include "broker/shard.h"
#include "control/control_priv.h"
#include "front/door.h"
#include "front/front.h"
#include "front/record.h"

struct part {
    struct nj_front_task task; /* first */
    struct nj_after after;     /* what the worker did is durable */
    struct gather *gather;
    void *slot;
};

struct gather {
    struct nj_list node; /* in plane->gathers */
    struct nj_control_plane *plane;
    nj_control_worker_fn fn;
    nj_control_gathered_fn done;
    void *arg;
    unsigned count;
    _Atomic unsigned left;
    _Atomic int saved; /* enum nj_err: the first failure of the store */
    struct part *parts;
    void *slots;
};

static void end_part(struct gather *gather)
{
    struct nj_door *door = gather->plane->front->door;
    /* The last one publishes all slots; after it the gather may be gone. */
    if (atomic_fetch_sub_explicit(&gather->left, 1, memory_order_acq_rel) == 1) {
        nj_door_ring(door);
    }
}

static void note(struct gather *gather, enum nj_err err)
{
    if (err != NJ_OK) {
        atomic_store_explicit(&gather->saved, (int)err, memory_order_relaxed);
    }
}

static void on_saved(struct nj_shard *shard, struct nj_after *after, enum nj_err err)
{
    struct part *part = NJ_CONTAINER(after, struct part, after);
    (void)shard;
    note(part->gather, err);
    end_part(part->gather);
}

static bool run_part(struct nj_front_task *task, struct nj_shard *shard)
{
    struct part *part = (struct part *)task;
    struct gather *gather = part->gather;
    uint64_t before = shard->submitted;
    enum nj_err err;
    if (!gather->fn(shard, gather->arg, part->slot)) {
        return false;
    }
    (void)nj_shard_commit(shard, &err);
    note(gather, err);
    if (shard->submitted > before && shard->submitted > shard->completed) {
        part->after.run = on_saved;
        nj_shard_after(shard, &part->after, shard->submitted);
    } else {
        end_part(gather);
    }
    return true;
}

static void free_gather(struct gather *gather)
{
    nj_list_remove(&gather->node);
    nj_free(gather->parts);
    nj_free(gather->slots);
    nj_free(gather);
}

void nj_control_gather(struct nj_control_plane *plane, unsigned worker, nj_control_worker_fn fn,
                       nj_control_gathered_fn done, void *arg, size_t slot_size)
{
    bool is_all = worker == NJ_CONTROL_EVERY_WORKER;
    struct gather *gather = nj_zalloc(sizeof(*gather));
    *gather = (struct gather){
        .plane = plane,
        .fn = fn,
        .done = done,
        .arg = arg,
        .count = is_all ? plane->front->worker_count : 1,
    };
    atomic_init(&gather->left, gather->count);
    gather->parts = nj_zalloc(gather->count * sizeof(*gather->parts));
    gather->slots = nj_zalloc(gather->count * slot_size + 1);
    nj_list_push_back(&plane->gathers, &gather->node);
    for (unsigned i = 0; i < gather->count; i++) {
        gather->parts[i] = (struct part){
            .task = {.run = run_part},
            .gather = gather,
            .slot = (char *)gather->slots + i * slot_size,
        };
    }
    for (unsigned i = 0; i < gather->count; i++) {
        nj_front_post_task(plane->front, is_all ? i : worker, &gather->parts[i].task);
    }
}

void nj_control_gather_init(struct nj_control_plane *plane)
{
    nj_list_init(&plane->gathers);
}

static struct gather *find_finished(struct nj_control_plane *plane)
{
    nj_list_each (node, &plane->gathers) {
        struct gather *gather = NJ_CONTAINER(node, struct gather, node);
        if (atomic_load_explicit(&gather->left, memory_order_acquire) == 0) {
            return gather;
        }
    }
    return NULL;
}

void nj_control_gather_run(struct nj_control_plane *plane)
{
    struct gather *gather;
    while ((gather = find_finished(plane))) {
        nj_list_remove(&gather->node); /* `done` may begin others */
        gather->done(gather->arg, gather->slots, gather->count,
                     (enum nj_err)atomic_load_explicit(&gather->saved, memory_order_relaxed));
        free_gather(gather);
    }
}

void nj_control_gather_abandon(struct nj_control_plane *plane)
{
    struct nj_list *node;
    while ((node = nj_list_pop_front(&plane->gathers))) {
        struct gather *gather = NJ_CONTAINER(node, struct gather, node);
        gather->done(gather->arg, gather->slots, 0, NJ_ECLOSED);
        free_gather(gather);
    }
}
