/* See boot.h. */
#include "broker/boot.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/qsbr.h"
#include "broker/commit.h"
#include "broker/filters.h"
#include "broker/origin.h"
#include "broker/publish.h"
#include "broker/retain.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/share.h"
#include "broker/will.h"
#include "mqtt/topic.h"
#include "security/policy.h"
#include "store/store.h"

#define NS_PER_MS 1000000
#define MS_PER_S  1000ull
/* So many wills a second at most: whoever they wake up has other things to do at a start, too. */
#define WILLS_PER_MS 1

struct boot {
    struct nj_core *core;
    struct nj_booted *booted;
    uint64_t now_ms; /* monotonic */
    uint64_t wall_ms;
    struct nj_session *last; /* records of one session mostly follow each other */
    /* Format 1 of the store named listeners by their places. They are to be stored under their
     * names before they can change places: */
    bool has_places; /* sessions */
    struct placed {
        struct nj_retained retained;
        uint32_t scope; /* as it is stored */
    } * placed;
    uint32_t placed_count;
    uint32_t placed_cap;
};

/* A moment of the wall clock on the monotonic one; what is past is now. */
static uint64_t mono_of(const struct boot *boot, uint64_t wall_ms)
{
    return wall_ms > boot->wall_ms ? boot->now_ms + (wall_ms - boot->wall_ms) : boot->now_ms;
}

static struct nj_session *find(struct boot *boot, uint64_t owner)
{
    if (boot->last && boot->last->id == owner) {
        return boot->last;
    }
    for (unsigned i = 0; i < boot->core->shard_count; i++) {
        struct nj_session *session = nj_session_by_id(boot->core->shards[i], owner);
        if (session) {
            boot->last = session;
            return session;
        }
    }
    return NULL;
}

static struct nj_origin *origin_of(const struct boot *boot, const struct nj_store_origin *record)
{
    const struct nj_policy *policy = atomic_load(&boot->core->policy);
    unsigned scope = nj_policy_scope_of(policy, record->scope);
    uint32_t id = nj_policy_scope(policy, scope)->id;
    if (scope == NJ_SCOPE_GONE) {
        /* A place where no listener is now must not become the next one's that is put there. */
        id = record->scope < NJ_SCOPE_IDS ? NJ_SCOPE_GONE : record->scope;
    }
    struct nj_origin *origin = nj_origin_new(scope, id, record->user, record->client_id);
    if (origin) {
        origin->by_certificate = record->by_certificate;
    }
    return origin;
}

/* ---- sessions */

/* Two records of one client id: the older one was being handed on when the broker ended. */
static void end_older(struct boot *boot, struct nj_session *session, uint64_t owner)
{
    struct nj_session *other = nj_session_find(session->shard, nj_session_client_id(session));
    if (other && other->id != owner) {
        other->expires_ms = boot->now_ms;
    }
}

static void set_deadline(const struct boot *boot, struct nj_session *session,
                         const struct nj_store_session *record)
{
    uint64_t away_ms = record->away_ms ? record->away_ms : boot->wall_ms;
    if (record->is_ending || record->expiry_s == 0) {
        session->expires_ms = boot->now_ms;
    } else if (record->expiry_s == NJ_EXPIRY_NEVER) {
        session->expires_ms = UINT64_MAX;
    } else {
        session->expires_ms = mono_of(boot, away_ms + record->expiry_s * MS_PER_S);
    }
}

static enum nj_err on_session(void *arg, const struct nj_store_session *record,
                              const struct nj_store_backlog *backlog)
{
    struct boot *boot = arg;
    struct nj_origin *origin = origin_of(boot, &record->origin);
    if (!origin) {
        return NJ_ENOMEM;
    }
    unsigned home = nj_core_home(boot->core, record->origin.client_id);
    struct nj_session *session =
        nj_session_restore(boot->core->shards[home], origin, record->owner);
    nj_origin_unref(origin);
    if (!session) {
        return NJ_ENOMEM;
    }
    end_older(boot, session, record->owner);
    boot->has_places |= session->origin->scope_id != record->origin.scope;
    session->expiry_s = record->expiry_s;
    session->is_stored = record->expiry_s > 0;
    session->has_record = true;
    session->is_ending = record->is_ending;
    session->version = record->version;
    session->is_bridge = record->is_bridge;
    session->credential = record->has_login;
    session->away_wall_ms = record->away_ms ? record->away_ms : boot->wall_ms;
    session->backlog = (struct nj_backlog){
        .bytes = backlog->bytes,
        .count = backlog->queued,
        .has_qos0 = atomic_load(&boot->core->limits)->queue_qos0,
        .flights = backlog->flights,
        .incoming = backlog->incoming,
    };
    NJ_STAT_ADD(session->shard, queued, backlog->queued);
    set_deadline(boot, session, record);
    nj_session_watch(session);
    boot->last = session;
    boot->booted->sessions++;
    boot->booted->queued += backlog->queued;
    return NJ_OK;
}

static enum nj_err on_subscription(void *arg, uint64_t owner, struct nj_bytes text, uint64_t value,
                                   uint32_t share)
{
    struct boot *boot = arg;
    struct nj_session *session = find(boot, owner);
    if (!session) {
        return NJ_OK;
    }
    bool is_new;
    struct nj_bytes group;
    struct nj_bytes filter;
    struct nj_sub_options options = nj_sub_options_of(value);
    boot->booted->subscriptions++;
    if (nj_mqtt_share_parse(text, &group, &filter)) {
        session->last_share = share > session->last_share ? share : session->last_share;
        return nj_share_restore(session, group, filter, &options, share);
    }
    enum nj_err err = nj_filters_add(session->shard->filters, session, text, &options, &is_new);
    if (err == NJ_OK && is_new) {
        NJ_STAT_ADD(session->shard, subscriptions, 1);
    }
    return err;
}

/* ---- wills */

/* The session's end sends it, too, if that comes first. Those that are due now come one after the
 * other. */
static enum nj_err on_will(void *arg, uint64_t owner, struct nj_message *message, uint64_t delay_s)
{
    struct boot *boot = arg;
    struct nj_session *session = find(boot, owner);
    struct nj_will *will = session ? nj_will_new((uint32_t)delay_s) : NULL;
    if (!session) {
        return NJ_OK;
    }
    if (!will) {
        return NJ_ENOMEM;
    }
    will->message = nj_message_ref(message);
    session->will = will;
    session->will_due_ms = mono_of(boot, session->away_wall_ms + delay_s * MS_PER_S);
    uint64_t pace_ms = ++boot->booted->wills / WILLS_PER_MS;
    if (session->will_due_ms < boot->now_ms + pace_ms) {
        session->will_due_ms = boot->now_ms + pace_ms;
    }
    if (session->expires_ms < boot->now_ms + pace_ms) {
        session->expires_ms = boot->now_ms + pace_ms;
    }
    nj_session_watch(session);
    return NJ_OK;
}

/* ---- retained */

static enum nj_err note_placed(struct boot *boot, struct nj_message *message,
                               struct nj_origin *origin, uint32_t scope)
{
    if (boot->placed_count == boot->placed_cap) {
        uint32_t cap = boot->placed_cap ? boot->placed_cap * 2 : 64;
        struct placed *grown = nj_try_realloc(boot->placed, cap * sizeof(*grown));
        if (!grown) {
            return NJ_ENOMEM;
        }
        boot->placed = grown;
        boot->placed_cap = cap;
    }
    boot->placed[boot->placed_count++] = (struct placed){
        .retained = {.message = nj_message_ref(message), .origin = nj_origin_ref(origin)},
        .scope = scope,
    };
    return NJ_OK;
}

static enum nj_err on_retained(void *arg, struct nj_message *message,
                               const struct nj_store_origin *record)
{
    struct boot *boot = arg;
    struct nj_origin *origin = NULL;
    if (record) {
        origin = origin_of(boot, record);
        if (!origin) {
            return NJ_ENOMEM;
        }
    }
    enum nj_err err = nj_retain_put(boot->core->retain, message, origin, NULL);
    if (err == NJ_OK && origin && origin->scope_id != record->scope) {
        err = note_placed(boot, message, origin, record->scope);
    }
    nj_origin_unref(origin);
    boot->booted->retained++;
    return err;
}

/* Members of shared subscriptions told their groups' workers; nobody else has said anything. */
static void run_records(struct nj_core *core)
{
    for (unsigned i = 0; i < core->shard_count; i++) {
        for (unsigned j = 0; j < core->shard_count; j++) {
            struct nj_batch *batch = core->shards[i]->outbox[j];
            core->shards[i]->outbox[j] = NULL;
            if (batch) {
                (void)nj_inbox_push(&core->shards[j]->inbox, batch);
            }
        }
    }
    for (unsigned i = 0; i < core->shard_count; i++) {
        nj_shard_run(core->shards[i], nj_inbox_drain(&core->shards[i]->inbox));
    }
}

/* Other lanes do not wait for this one: what is retained or cleared meanwhile has to stay so. */
static void record_placed(struct boot *boot, struct nj_shard *shard)
{
    for (uint32_t i = 0; i < boot->placed_count; i++) {
        const struct placed *placed = &boot->placed[i];
        enum nj_err err;
        nj_shard_retain_store(shard, placed->retained.message, placed->retained.origin,
                              (uint64_t)placed->scope + 1);
        (void)nj_shard_commit(shard, &err);
    }
}

static void forget_placed(struct boot *boot)
{
    while (boot->placed_count) {
        nj_retained_unref(&boot->placed[--boot->placed_count].retained);
    }
    nj_free(boot->placed);
}

/* Those that lost their connection just now are recorded as away since now, so that deadlines hold
 * over the next start, too. What the store refuses begins anew then. */
static void record_lost(const struct boot *boot, struct nj_shard *shard)
{
    for (uint64_t i = 0; shard->table && i <= shard->table_mask; i++) {
        for (struct nj_session *session = shard->table[i]; session; session = session->hash_next) {
            if (boot->has_places || session->away_wall_ms == boot->wall_ms) {
                enum nj_err err;
                nj_session_save(session);
                (void)nj_shard_commit(shard, &err);
            }
        }
    }
    nj_store_flush(boot->core->store, shard->id);
}

enum nj_err nj_core_boot(struct nj_core *core, uint64_t now_ms, struct nj_booted *booted)
{
    struct boot boot = {
        .core = core,
        .booted = booted,
        .now_ms = now_ms,
        .wall_ms = (uint64_t)(nj_clock_wall_ns() / NS_PER_MS),
    };
    const struct nj_store_loader loader = {
        .arg = &boot,
        .session = on_session,
        .subscription = on_subscription,
        .will = on_will,
        .retained = on_retained,
    };
    struct nj_store_highest highest;
    *booted = (struct nj_booted){0};
    nj_qsbr_online(core->qsbr, core->shard_count); /* as the control thread */
    enum nj_err err = nj_store_load(core->store, &loader, &highest);
    if (err == NJ_OK) {
        nj_crash_point("loaded");
        run_records(core);
        atomic_store(&core->next_session_id, highest.owner);
        atomic_store(&core->next_seq, highest.seq);
        record_placed(&boot, core->shards[0]);
        for (unsigned i = 0; i < core->shard_count; i++) {
            record_lost(&boot, core->shards[i]);
        }
    }
    forget_placed(&boot);
    nj_qsbr_offline(core->qsbr, core->shard_count);
    return err;
}
