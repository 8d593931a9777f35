/* See sys.h. */
#include "front/sys.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/batch.h"
#include "broker/message.h"
#include "broker/retain.h"
#include "front/front.h"
#include "front/record.h"
#include "front/totals.h"
#include "security/auth_pool.h"

#define VALUES_MAX 128
#define LOADS      9
#define WINDOWS    3

struct nj_sys {
    struct nj_front *front;
    uint64_t last_ms;
    struct nj_totals last;
    double load[LOADS][WINDOWS]; /* exponentially damped, per minute */
    unsigned count;
    char shown[VALUES_MAX][32]; /* what was published last, to publish changes only */
};

struct nj_sys *nj_sys_new(struct nj_front *front)
{
    struct nj_sys *sys = nj_zalloc(sizeof(*sys));
    sys->front = front;
    sys->last_ms = nj_clock_mono_ms();
    return sys;
}

void nj_sys_free(struct nj_sys *sys)
{
    nj_free(sys);
}

void nj_front_publish_message(struct nj_front *front, struct nj_bytes topic,
                              struct nj_bytes payload, uint8_t qos, bool is_retain)
{
    uint32_t len = (uint32_t)(sizeof(struct nj_record_sys) + topic.len + payload.len);
    struct nj_batch *batch = nj_batch_new_small(len);
    struct nj_record_sys *record = batch ? nj_batch_add(batch, NJ_RECORD_SYS, len) : NULL;
    if (!record) {
        nj_batch_free(batch);
        return;
    }
    *record = (struct nj_record_sys){
        .topic_len = (uint32_t)topic.len,
        .payload_len = (uint32_t)payload.len,
        .qos = qos,
        .is_retain = is_retain,
    };
    uint8_t *at = (uint8_t *)(record + 1);
    memcpy(at, topic.ptr, topic.len);
    if (payload.len) {
        memcpy(at + topic.len, payload.ptr, payload.len);
    }
    nj_worker_push(&front->workers[0], batch);
}

static void show(struct nj_sys *sys, const char *name, const char *value)
{
    char topic[128];
    if (sys->count == VALUES_MAX) {
        return;
    }
    char *shown = sys->shown[sys->count++];
    if (strncmp(shown, value, sizeof(sys->shown[0]) - 1) == 0) {
        return;
    }
    (void)snprintf(shown, sizeof(sys->shown[0]), "%s", value);
    (void)snprintf(topic, sizeof(topic), "$SYS/broker/%s", name);
    nj_front_publish_message(sys->front, nj_bytes_of(topic), nj_bytes_of(value), 2, true);
}

static void show_number(struct nj_sys *sys, const char *name, uint64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    show(sys, name, text);
}

void nj_front_add_up(const struct nj_front *front, struct nj_totals *totals)
{
    *totals = (struct nj_totals){0};
    for (unsigned i = 0; i < front->worker_count; i++) {
        const struct nj_stats *stats = &front->core.shards[i]->stats;
#define ADD(name) totals->name += atomic_load_explicit(&stats->name, memory_order_relaxed);
        NJ_STATS_LIST(ADD)
#undef ADD
    }
}

/* load/…: how many per minute, damped over 1, 5 and 15 minutes as the original does. */
static void show_loads(struct nj_sys *sys, const struct nj_totals *now, double seconds)
{
    static const char *const names[LOADS] = {
        "load/messages/received", "load/messages/sent",   "load/publish/received",
        "load/publish/sent",      "load/bytes/received",  "load/bytes/sent",
        "load/sockets",           "load/publish/dropped", "load/connections",
    };
    static const double windows[WINDOWS] = {60, 300, 900};
    static const char *const window_names[WINDOWS] = {"1min", "5min", "15min"};
    const struct nj_totals *old = &sys->last;
    const uint64_t deltas[LOADS] = {
        now->messages_received - old->messages_received,
        now->messages_sent - old->messages_sent,
        now->publish_received - old->publish_received,
        now->publish_sent - old->publish_sent,
        now->bytes_received - old->bytes_received,
        now->bytes_sent - old->bytes_sent,
        now->connections - old->connections,
        now->publish_dropped - old->publish_dropped,
        now->connects - old->connects,
    };
    for (int i = 0; i < LOADS; i++) {
        double per_minute = (double)deltas[i] * 60.0 / seconds;
        for (int w = 0; w < WINDOWS; w++) {
            char name[96];
            char value[32];
            double keep = exp(-seconds / windows[w]);
            sys->load[i][w] = per_minute + keep * (sys->load[i][w] - per_minute);
            (void)snprintf(name, sizeof(name), "%s/%s", names[i], window_names[w]);
            (void)snprintf(value, sizeof(value), "%.2f", sys->load[i][w]);
            show(sys, name, value);
        }
    }
}

static void show_clients(struct nj_sys *sys, const struct nj_totals *now)
{
    uint64_t away =
        now->sessions > now->clients_connected ? now->sessions - now->clients_connected : 0;
    uint64_t maximum = atomic_load_explicit(&sys->front->clients_maximum, memory_order_relaxed);
    if (now->clients_connected > maximum) {
        maximum = now->clients_connected;
        atomic_store_explicit(&sys->front->clients_maximum, maximum, memory_order_relaxed);
    }
    show_number(sys, "clients/total", now->sessions);
    show_number(sys, "clients/connected", now->clients_connected);
    show_number(sys, "clients/active", now->clients_connected);
    show_number(sys, "clients/disconnected", away);
    show_number(sys, "clients/inactive", away);
    show_number(sys, "clients/maximum", maximum);
    show_number(sys, "clients/expired", now->clients_expired);
    show_number(sys, "connections/socket/count", now->connections_open);
}

static void show_messages(struct nj_sys *sys, const struct nj_totals *now)
{
    show_number(sys, "messages/received", now->messages_received);
    show_number(sys, "messages/sent", now->messages_sent);
    show_number(sys, "messages/stored", (uint64_t)nj_message_count());
    show_number(sys, "store/messages/count", (uint64_t)nj_message_count());
    show_number(sys, "store/messages/bytes", (uint64_t)nj_message_bytes());
    show_number(sys, "retained messages/count", (uint64_t)nj_retain_count(sys->front->core.retain));
    show_number(sys, "subscriptions/count", now->subscriptions);
    show_number(sys, "shared_subscriptions/count", now->shared_subscriptions);
    show_number(sys, "heap/current", (uint64_t)nj_mem_used());
    show_number(sys, "heap/maximum", (uint64_t)nj_mem_peak());
    show_number(sys, "bytes/received", now->bytes_received);
    show_number(sys, "bytes/sent", now->bytes_sent);
    show_number(sys, "publish/messages/received", now->publish_received);
    show_number(sys, "publish/messages/sent", now->publish_sent);
    show_number(sys, "publish/messages/dropped", now->publish_dropped);
    show_number(sys, "publish/bytes/received", now->publish_bytes_received);
    show_number(sys, "publish/bytes/sent", now->publish_bytes_sent);
    show_number(sys, "packet/out/count", 0);
    show_number(sys, "packet/out/bytes", 0);
}

static void show_store(struct nj_sys *sys)
{
    static const char *const states[] = {
        [NJ_STORE_GOOD] = "good", [NJ_STORE_FULL] = "full", [NJ_STORE_FAILED] = "failed"};
    struct nj_store *store = sys->front->core.store;
    struct nj_store_status status;
    nj_store_status(store, &status);
    show(sys, "nightjar/store", store->vtable->name);
    show(sys, "nightjar/store/state", states[status.state]);
    show(sys, "nightjar/store/problem", status.text);
    show_number(sys, "nightjar/store/bytes", status.bytes_used);
    show_number(sys, "nightjar/store/commits", status.commits);
    show_number(sys, "nightjar/store/rows", status.rows);
    show_number(sys, "nightjar/store/waiting", nj_store_waiting(store));
    show_number(sys, "nightjar/store/quarantined", status.quarantined);
    show_number(sys, "nightjar/store/broken", status.broken);
}

static void show_own(struct nj_sys *sys, const struct nj_totals *now)
{
    show_number(sys, "nightjar/denied/publish", now->denied_publish);
    show_number(sys, "nightjar/denied/receive", now->denied_deliver);
    show_number(sys, "nightjar/denied/subscribe", now->denied_subscribe);
    show_number(sys, "nightjar/denied/will", now->denied_will);
    show_number(sys, "nightjar/denied/login", now->denied_login);
    show_number(sys, "nightjar/dropped/queue_full", now->dropped_queue_full);
    show_number(sys, "nightjar/dropped/expired", now->dropped_expired);
    show_number(sys, "nightjar/dropped/too_large", now->dropped_too_large);
    show_number(sys, "nightjar/dropped/slow", now->dropped_slow);
    show_number(sys, "nightjar/dropped/memory", now->dropped_memory);
    show_number(sys, "nightjar/bad_packets", now->bad_packets);
    show_number(sys, "nightjar/logins_waiting", nj_auth_pool_depth(sys->front->auth_pool));
    show_number(sys, "nightjar/dropped/store", now->dropped_store);
    show_store(sys);
}

void nj_sys_publish(struct nj_sys *sys)
{
    struct nj_totals now;
    char uptime[48];
    const struct nj_settings *settings = atomic_load(&sys->front->settings);
    uint64_t now_ms = nj_clock_mono_ms();
    double seconds = (double)(now_ms - sys->last_ms) / 1000.0;
    nj_front_add_up(sys->front, &now);
    sys->count = 0;
    show(sys, "version",
         settings->mode.is_compat ? "mosquitto version 2.1.2" : "nightjar version " NJ_VERSION);
    (void)snprintf(uptime, sizeof(uptime), "%llu seconds",
                   (unsigned long long)((now_ms - sys->front->started_ms) / 1000));
    show(sys, "uptime", uptime);
    show_clients(sys, &now);
    show_messages(sys, &now);
    show_own(sys, &now);
    if (seconds > 0.001) {
        show_loads(sys, &now, seconds);
        sys->last = now;
        sys->last_ms = now_ms;
    }
}
