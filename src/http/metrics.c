/* Metrics in the OpenMetrics text format. The number of series is fixed by the configuration:
 * labels are reasons, listeners (at most LISTENERS_MAX of them) and workers, never client ids,
 * users or topics (F-055). */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "broker/message.h"
#include "broker/retain.h"
#include "front/totals.h"
#include "http/http_priv.h"
#include "store/store.h"

#define LISTENERS_MAX 64

/* Errors stick: the text is whole or not at all. */
struct writer {
    struct nj_buf *buf;
    enum nj_err err;
};

#define PUT(writer, ...)                                                                           \
    do {                                                                                           \
        if ((writer)->err == NJ_OK) {                                                              \
            (writer)->err = nj_buf_printf((writer)->buf, __VA_ARGS__);                             \
        }                                                                                          \
    } while (0)

static void begin(struct writer *writer, const char *name, const char *type, const char *help)
{
    PUT(writer, "# TYPE nightjar_%s %s\n# HELP nightjar_%s %s\n", name, type, name, help);
}

static void counter(struct writer *writer, const char *name, const char *help, uint64_t value)
{
    begin(writer, name, "counter", help);
    PUT(writer, "nightjar_%s_total %" PRIu64 "\n", name, value);
}

static void gauge(struct writer *writer, const char *name, const char *help, uint64_t value)
{
    begin(writer, name, "gauge", help);
    PUT(writer, "nightjar_%s %" PRIu64 "\n", name, value);
}

struct labelled {
    const char *label;
    uint64_t value;
};

static void counters(struct writer *writer, const char *name, const char *label,
                     const struct labelled *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        PUT(writer, "nightjar_%s_total{%s=\"%s\"} %" PRIu64 "\n", name, label, values[i].label,
            values[i].value);
    }
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void put_traffic(struct writer *writer, const struct nj_totals *now)
{
    const struct labelled packets[] = {{"received", now->messages_received},
                                       {"sent", now->messages_sent}};
    const struct labelled bytes[] = {{"received", now->bytes_received}, {"sent", now->bytes_sent}};
    const struct labelled publications[] = {{"received", now->publish_received},
                                            {"sent", now->publish_sent}};
    const struct labelled payload[] = {{"received", now->publish_bytes_received},
                                       {"sent", now->publish_bytes_sent}};
    begin(writer, "packets", "counter", "MQTT packets of any type.");
    counters(writer, "packets", "direction", packets, COUNT(packets));
    begin(writer, "bytes", "counter", "Bytes of MQTT packets.");
    counters(writer, "bytes", "direction", bytes, COUNT(bytes));
    begin(writer, "publications", "counter", "PUBLISH packets.");
    counters(writer, "publications", "direction", publications, COUNT(publications));
    begin(writer, "payload_bytes", "counter", "Bytes of payload in PUBLISH packets.");
    counters(writer, "payload_bytes", "direction", payload, COUNT(payload));
}

static void put_refusals(struct writer *writer, const struct nj_totals *now)
{
    const struct labelled denied[] = {
        {"publish", now->denied_publish},     {"receive", now->denied_deliver},
        {"subscribe", now->denied_subscribe}, {"will", now->denied_will},
        {"login", now->denied_login},
    };
    const struct labelled dropped[] = {
        {"queue_full", now->dropped_queue_full}, {"expired", now->dropped_expired},
        {"too_large", now->dropped_too_large},   {"store", now->dropped_store},
        {"memory", now->dropped_memory},         {"slow", now->dropped_slow},
    };
    begin(writer, "denied", "counter", "What rights, and logins, did not allow.");
    counters(writer, "denied", "action", denied, COUNT(denied));
    begin(writer, "dropped", "counter", "Messages that were lost, and why.");
    counters(writer, "dropped", "reason", dropped, COUNT(dropped));
    counter(writer, "bad_packets", "Packets that broke the protocol.", now->bad_packets);
}

static void put_clients(struct writer *writer, const struct nj_front *front,
                        const struct nj_totals *now)
{
    counter(writer, "connections", "Sockets that were accepted.", now->connections);
    counter(writer, "connects", "CONNECT packets.", now->connects);
    counter(writer, "sessions_expired", "Sessions that ended by themselves.", now->clients_expired);
    gauge(writer, "connections_open", "Sockets that are open.", now->connections_open);
    gauge(writer, "clients_connected", "Clients that are logged in.", now->clients_connected);
    gauge(writer, "sessions", "Sessions, connected or away.", now->sessions);
    gauge(writer, "subscriptions", "Subscriptions, shared ones included.", now->subscriptions);
    gauge(writer, "shared_subscriptions", "Members of shared subscriptions.",
          now->shared_subscriptions);
    gauge(writer, "queued_messages", "Messages that wait for sessions.", now->queued);
    gauge(writer, "retained_messages", "Retained messages.",
          (uint64_t)nj_retain_count(front->core.retain));
    gauge(writer, "messages_in_memory", "Messages in memory.", (uint64_t)nj_message_count());
    gauge(writer, "messages_in_memory_bytes", "Their bytes.", (uint64_t)nj_message_bytes());
}

static void put_store(struct writer *writer, const struct nj_front *front)
{
    struct nj_store_status status = {0};
    nj_store_status(front->core.store, &status);
    begin(writer, "store", "info", "What keeps the state.");
    PUT(writer, "nightjar_store_info{name=\"%s\",durable=\"%s\"} 1\n",
        front->core.store->vtable->name, front->core.store->vtable->is_durable ? "true" : "false");
    gauge(writer, "store_good", "1 while the store takes everything, else 0.",
          status.state == NJ_STORE_GOOD);
    gauge(writer, "store_used_bytes", "Bytes that the store uses.", status.bytes_used);
    gauge(writer, "store_rows", "Messages in it that are queued or in flight.", status.rows);
    counter(writer, "store_commits", "Commits since the start.", status.commits);
    gauge(writer, "store_quarantined", "Damaged records that were set aside.", status.quarantined);
    counter(writer, "store_broken", "Changes acknowledged before they were kept, and not kept.",
            status.broken);
}

static void put_process(struct writer *writer, const struct nj_http *http)
{
    const struct nj_front *front = http->front;
    begin(writer, "build", "info", "The program.");
    PUT(writer, "nightjar_build_info{version=\"%s\"} 1\n", NJ_VERSION);
    gauge(writer, "uptime_seconds", "Seconds since the start.",
          (nj_clock_mono_ms() - front->started_ms) / 1000);
    gauge(writer, "memory_bytes", "Bytes of memory in use.", (uint64_t)nj_mem_used());
    gauge(writer, "memory_peak_bytes", "The most there were.", (uint64_t)nj_mem_peak());
    gauge(writer, "auth_pool_waiting", "Passwords that wait for their check.",
          nj_auth_pool_depth(front->auth_pool));
    gauge(writer, "auth_pool_threads", "Threads that check passwords.",
          nj_auth_pool_threads(front->auth_pool));
    gauge(writer, "workers", "Worker threads.", front->worker_count);
}

static void put_workers(struct writer *writer, const struct nj_front *front)
{
    begin(writer, "worker_connections", "gauge", "Open connections of each worker.");
    for (unsigned i = 0; i < front->worker_count; i++) {
        PUT(writer, "nightjar_worker_connections{worker=\"%u\"} %" PRIu64 "\n", i,
            atomic_load_explicit(&front->core.shards[i]->stats.connections_open,
                                 memory_order_relaxed));
    }
    begin(writer, "worker_inbox_bytes", "gauge", "Bytes that wait for each worker.");
    for (unsigned i = 0; i < front->worker_count; i++) {
        PUT(writer, "nightjar_worker_inbox_bytes{worker=\"%u\"} %u\n", i,
            (unsigned)atomic_load_explicit(&front->core.shards[i]->inbox.bytes,
                                           memory_order_relaxed));
    }
}

static void put_listeners(struct writer *writer, const struct nj_front *front)
{
    static const char *const protocols[] = {"mqtt", "websockets", "http_api"};
    unsigned count = front->listener_count < LISTENERS_MAX ? front->listener_count : LISTENERS_MAX;
    begin(writer, "listener_connections", "gauge", "Open MQTT connections of each listener.");
    for (unsigned i = 0; i < count; i++) {
        const struct nj_listener *listener = &front->listeners[i];
        PUT(writer,
            "nightjar_listener_connections{listener=\"%u\",port=\"%u\",protocol=\"%s\"} %d\n",
            i + 1, listener->settings->unix_path ? 0u : listener->port,
            protocols[listener->settings->protocol],
            atomic_load_explicit(&listener->connections, memory_order_relaxed));
    }
}

static void put_http(struct writer *writer, struct nj_http *http)
{
    static const char *const codes[] = {
#define CODE(number) #number,
        NJ_HTTP_CODES(CODE)
#undef CODE
    };
    gauge(writer, "http_connections_open", "Open HTTP connections.",
          atomic_load_explicit(&http->connections_open, memory_order_relaxed));
    begin(writer, "http_requests", "counter", "HTTP requests, by the status of their answer.");
    for (size_t i = 0; i < NJ_HTTP_CODE_COUNT; i++) {
        PUT(writer, "nightjar_http_requests_total{code=\"%s\"} %" PRIu64 "\n", codes[i],
            atomic_load_explicit(&http->requests[i], memory_order_relaxed));
    }
}

enum nj_err nj_http_metrics(struct nj_http *http, struct nj_buf *out)
{
    struct writer writer = {out, NJ_OK};
    struct nj_totals now;
    nj_front_add_up(http->front, &now);
    put_process(&writer, http);
    put_clients(&writer, http->front, &now);
    put_traffic(&writer, &now);
    put_refusals(&writer, &now);
    put_store(&writer, http->front);
    put_workers(&writer, http->front);
    put_listeners(&writer, http->front);
    put_http(&writer, http);
    PUT(&writer, "# EOF\n");
    return writer.err;
}
