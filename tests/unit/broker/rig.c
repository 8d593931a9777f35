/* See rig.h: the core, its turns and its store. The connections are in rig_client.c. */
#include "rig.h"

#include <sys/uio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/batch.h"
#include "broker/boot.h"
#include "broker/commit.h"
#include "broker/denial.h"
#include "broker/hold.h"
#include "broker/interest.h"
#include "broker/message.h"
#include "broker/publish.h"
#include "broker/record.h"
#include "broker/retain.h"
#include "rig_priv.h"
#include "security/acl.h"
#include "security/dynsec_model.h"
#include "security/policy.h"
#include "support/test.h"

#define TURNS_MAX     10000
#define NS_PER_MS     1000000u
#define WALL_BEGIN_NS 1700000000000000000

/* ---- what the core asks */

static void on_denied(struct nj_shard *shard, const struct nj_denial *denial)
{
    (void)denial;
    ((struct rig *)shard->core)->denials++;
}

static void on_record(struct nj_shard *shard, unsigned kind, const void *body)
{
    (void)kind;
    (void)body;
    ((struct rig *)shard->core)->outside_records++;
}

static enum nj_mqtt_reason on_request(struct nj_session *session, struct nj_bytes topic,
                                      const struct nj_publish_in *in)
{
    struct rig *rig = (struct rig *)session->shard->core;
    (void)topic;
    (void)in;
    rig->requests++;
    return rig->answer;
}

static const struct nj_core_events events = {
    .denied = on_denied, .record = on_record, .request = on_request};

/* ---- life */

static struct nj_policy *policy_of(struct rig *rig, const char *acl)
{
    struct nj_scope scope = {.acl_default_allow = true,
                             .allow_anonymous = true,
                             .checks_subscribe = true,
                             .default_covers_sys = true};
    if (acl) {
        const struct nj_acl_options options = {.leading_for_all = true};
        char error[200];
        assert_int_equal(
            nj_acl_parse(nj_bytes_of(acl), "acl", &options, &scope.acl, error, sizeof(error)),
            NJ_OK);
    }
    if (rig->dynsec) {
        scope.dynsec = nj_dynsec_state_ref(rig->dynsec);
    }
    return nj_policy_new(++rig->epoch, &scope, 1);
}

void rig_policy(struct rig *rig, const char *acl)
{
    /* A fault plan is for the core, not for the control thread that reads the file. */
    int armed = atomic_exchange(&nj_fault_armed, 0);
    struct nj_policy *old = atomic_load(&rig->core.policy);
    atomic_store(&rig->core.policy, policy_of(rig, acl));
    nj_policy_unref(old);
    atomic_store(&nj_fault_armed, armed);
}

void rig_dynsec(struct rig *rig, struct nj_dynsec_state *state)
{
    nj_dynsec_state_unref(rig->dynsec);
    rig->dynsec = state ? nj_dynsec_state_ref(state) : NULL;
}

void rig_adopt(struct rig *rig)
{
    for (unsigned i = 0; i < rig->core.shard_count; i++) {
        nj_policy_unref(nj_shard_adopt(rig->shards[i]));
    }
}

static void core_open(struct rig *rig)
{
    struct nj_core *core = &rig->core;
    unsigned shards = core->shard_count;
    core->qsbr = nj_qsbr_new(shards + 1); /* the last one is the control thread's */
    core->interest = nj_interest_new(core->qsbr);
    core->retain = nj_retain_new(core->qsbr);
    core->store = &rig->store.base;
    for (unsigned i = 0; i < shards; i++) {
        rig->shards[i] = nj_shard_new(core, i);
        rig->shards[i]->now_ms = rig->now_ms;
        nj_qsbr_online(core->qsbr, i);
    }
}

static void core_close(struct rig *rig)
{
    struct nj_core *core = &rig->core;
    core->store = NULL; /* as front does it: the store is closed first */
    for (unsigned i = 0; i < core->shard_count; i++) {
        struct nj_batch *batches;
        while ((batches = nj_inbox_drain(&rig->shards[i]->inbox))) {
            nj_shard_run(rig->shards[i], batches);
        }
    }
    for (unsigned i = 0; i < core->shard_count; i++) {
        nj_qsbr_offline(core->qsbr, i);
    }
    for (unsigned i = 0; i < core->shard_count; i++) {
        nj_shard_free(rig->shards[i]);
    }
    nj_interest_free(core->interest);
    nj_retain_free(core->retain);
    nj_qsbr_free(core->qsbr);
}

static void set_clock(struct rig *rig)
{
    rig->clock.mono_ns = rig->now_ms * NS_PER_MS;
    rig->clock.wall_ns = WALL_BEGIN_NS + (int64_t)rig->clock.mono_ns;
}

void rig_open(struct rig *rig, unsigned shards)
{
    *rig = (struct rig){.now_ms = 1000000};
    set_clock(rig);
    nj_clock_set_fake(&rig->clock);
    rig->limits = (struct nj_limits){
        .max_inflight = 20,
        .max_queued = 1000,
        .topic_levels = 200,
        .retain_available = true,
        .share_skips_denied = true,
        .retain_rechecks_origin = true,
        .session_owner = true,
        .names_unknown_ids = true,
    };
    rig_store_open(rig, shards);
    struct nj_core *core = &rig->core;
    core->shard_count = shards;
    core->shards = rig->shards;
    core->link_ops = &rig_link_ops;
    core->events = &events;
    atomic_store(&core->limits, &rig->limits);
    atomic_store(&core->policy, policy_of(rig, NULL));
    core_open(rig);
}

void rig_close(struct rig *rig)
{
    rig_clients_close(rig);
    rig->store.holds = false;
    rig_run(rig);
    rig->core.store = NULL;
    rig_store_close(rig);
    core_close(rig);
    nj_policy_unref(atomic_load(&rig->core.policy));
    rig_dynsec(rig, NULL);
    nj_clock_set_fake(NULL);
    assert_int_equal(nj_message_count(), 0);
}

void rig_crash(struct rig *rig)
{
    assert_false(rig->store.holds);
    rig_crash_at(rig, 0);
}

void rig_crash_at(struct rig *rig, unsigned groups)
{
    assert_true(rig->store.keeps_image);
    rig_store_sync(rig, groups);
    rig->store.holds = false;
    rig->store.is_dead = true;
    rig_clients_close(rig);
    rig_run(rig);
    core_close(rig);
    rig_store_crash(rig, rig->core.shard_count);
    core_open(rig);
    struct nj_booted booted;
    assert_int_equal(nj_core_boot(&rig->core, rig->now_ms, &booted), NJ_OK);
    rig_run(rig);
}

/* ---- turns */

static bool hand_over(struct rig *rig, struct nj_shard *shard)
{
    bool had_some = false;
    for (unsigned i = 0; i < rig->core.shard_count; i++) {
        struct nj_batch *batch = shard->outbox[i];
        if (batch && batch->used) {
            shard->outbox[i] = NULL;
            (void)nj_inbox_push(&rig->shards[i]->inbox, batch);
            had_some = true;
        }
    }
    return had_some;
}

static bool turn(struct rig *rig, struct nj_shard *shard)
{
    rig->turns++;
    nj_qsbr_quiescent(rig->core.qsbr, shard->id);
    shard->now_ms = rig->now_ms;
    nj_policy_unref(nj_shard_adopt(shard));
    nj_shard_look_at_store(shard);
    struct nj_batch *batches = nj_inbox_drain(&shard->inbox);
    bool had_some = batches != NULL;
    nj_shard_run(shard, batches);
    nj_shard_run_timers(shard);
    had_some |= nj_btimers_next_ms(&shard->timers) <= rig->now_ms;
    had_some |= shard->id == 0 && nj_shard_sweep_retained(shard);
    had_some |= nj_jobs_run(shard);
    had_some |= rig_flush(shard);
    had_some |= hand_over(rig, shard);
    /* Nobody leaves a group of the store open: its operations point into sessions and packets. */
    assert_int_equal(shard->op_count, 0);
    assert_false(shard->is_group_broken);
    return had_some;
}

void rig_run(struct rig *rig)
{
    bool had_some = true;
    for (int i = 0; had_some; i++) {
        had_some = false;
        assert_true(i < TURNS_MAX); /* or something goes round in circles */
        for (unsigned s = 0; s < rig->core.shard_count; s++) {
            had_some |= turn(rig, rig->shards[s]);
        }
        if (!rig->store.holds && rig->store.group_count) {
            rig_store_release(rig, rig->store.result);
            had_some = true;
        }
        had_some |= rig_reap(rig);
    }
}

void rig_advance(struct rig *rig, uint64_t ms)
{
    rig->now_ms += ms;
    set_clock(rig);
    rig_run(rig);
}

uint64_t rig_stat(const struct rig *rig, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rig->core.shard_count; i++) {
        const void *stats = &rig->shards[i]->stats;
        sum += atomic_load((const _Atomic uint64_t *)((const char *)stats + offset));
    }
    return sum;
}

struct nj_session *rig_session(struct rig *rig, const char *id)
{
    struct nj_bytes client_id = nj_bytes_of(id);
    return nj_session_find(rig->shards[nj_core_home(&rig->core, client_id)], client_id);
}
