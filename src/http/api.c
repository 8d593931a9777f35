/* Paths and what they tell. Natively each needs the right to receive a topic:
 *
 *   /api/v1/version     $SYS/broker/version
 *   /api/v1/systree     of each value, its own
 *   /api/v1/listeners   $SYS/broker/listeners
 *   /metrics            $SYS/broker/metrics
 *   /health…, files     none: a login is enough
 *
 * In compat mode the path itself is the topic, whatever it is. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "broker/message.h"
#include "broker/retain.h"
#include "front/totals.h"
#include "http/http_priv.h"
#include "security/policy.h"
#include "store/store.h"

#define JSON "application/json"

static const struct nj_settings *settings_of(const struct nj_http_request *request)
{
    return atomic_load(&request->http->front->settings);
}

static enum MHD_Result refuse(struct nj_http_request *request)
{
    bool is_original = settings_of(request)->mode.http_as_original;
    return nj_http_answer_text(request, is_original ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_FORBIDDEN,
                               "Not authorised\n");
}

static enum MHD_Result fail(struct nj_http_request *request, struct nj_buf *body)
{
    nj_buf_fini(body);
    return nj_http_answer_text(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "Out of memory\n");
}

/* ---- version */

static enum MHD_Result get_version(struct nj_http_request *request, const struct nj_policy *policy)
{
    (void)policy;
    return nj_http_answer_text(request, MHD_HTTP_OK,
                               settings_of(request)->mode.is_compat ? "2.1.2" : NJ_VERSION);
}

/* ---- systree */

struct value {
    const char *name; /* below $SYS/broker/ */
    uint64_t value;
};

static uint64_t less(uint64_t all, uint64_t some)
{
    return all > some ? all - some : 0;
}

#define VALUES_MAX 32

static size_t collect(const struct nj_front *front, struct value out[VALUES_MAX])
{
    struct nj_totals now;
    nj_front_add_up(front, &now);
    uint64_t maximum = atomic_load_explicit(&front->clients_maximum, memory_order_relaxed);
    const struct value values[] = {
        {"clients/total", now.sessions},
        {"clients/maximum", maximum > now.clients_connected ? maximum : now.clients_connected},
        {"clients/disconnected", less(now.sessions, now.clients_connected)},
        {"clients/connected", now.clients_connected},
        {"clients/expired", now.clients_expired},
        {"messages/received", now.messages_received},
        {"messages/sent", now.messages_sent},
        {"messages/stored", (uint64_t)nj_message_count()},
        {"store/messages/count", (uint64_t)nj_message_count()},
        {"store/messages/bytes", (uint64_t)nj_message_bytes()},
        {"subscriptions/count", now.subscriptions},
        {"shared_subscriptions/count", now.shared_subscriptions},
        {"retained messages/count", (uint64_t)nj_retain_count(front->core.retain)},
        {"heap/current", (uint64_t)nj_mem_used()},
        {"heap/maximum", (uint64_t)nj_mem_peak()},
        {"bytes/received", now.bytes_received},
        {"bytes/sent", now.bytes_sent},
        {"publish/messages/dropped", now.publish_dropped},
        {"publish/messages/received", now.publish_received},
        {"publish/messages/sent", now.publish_sent},
        {"publish/bytes/received", now.publish_bytes_received},
        {"publish/bytes/sent", now.publish_bytes_sent},
        {"packet/out/count", 0},
        {"packet/out/bytes", 0},
        {"connections/socket/count", now.connections_open},
        {"uptime", (nj_clock_mono_ms() - front->started_ms) / 1000},
    };
    _Static_assert(sizeof(values) / sizeof(values[0]) <= VALUES_MAX, "VALUES_MAX");
    memcpy(out, values, sizeof(values));
    return sizeof(values) / sizeof(values[0]);
}

static enum MHD_Result get_systree(struct nj_http_request *request, const struct nj_policy *policy)
{
    struct value values[VALUES_MAX];
    struct nj_buf body;
    struct nj_json_out out;
    bool checks_each = !settings_of(request)->mode.http_as_original;
    size_t count = collect(request->http->front, values);
    size_t shown = 0;
    nj_buf_init(&body);
    nj_json_out_init(&out, &body, false);
    nj_json_out_object(&out);
    for (size_t i = 0; i < count; i++) {
        char topic[80];
        (void)snprintf(topic, sizeof(topic), "$SYS/broker/%s", values[i].name);
        if (checks_each && !nj_http_may_read(request, policy, nj_bytes_of(topic))) {
            continue;
        }
        nj_json_out_key(&out, topic);
        nj_json_out_int(&out, (int64_t)values[i].value);
        shown++;
    }
    nj_json_out_end(&out);
    if (shown == 0) {
        nj_buf_fini(&body);
        return refuse(request);
    }
    return out.err == NJ_OK ? nj_http_answer(request, MHD_HTTP_OK, JSON, &body)
                            : fail(request, &body);
}

/* ---- listeners */

static void put_listener(struct nj_json_out *out, const struct nj_listener *listener)
{
    static const char *const protocols[] = {"mqtt", "websockets", "httpapi"};
    const struct nj_listener_settings *given = listener->settings;
    nj_json_out_object(out);
    nj_json_out_key(out, "port");
    nj_json_out_int(out, given->unix_path ? 0 : listener->port);
    nj_json_out_key(out, "protocol");
    nj_json_out_text(out, nj_bytes_of(protocols[given->protocol]));
    nj_json_out_key(out, "tls");
    nj_json_out_bool(out, nj_settings_uses_tls(given));
    if (given->host) {
        nj_json_out_key(out, "bind-address");
        nj_json_out_text(out, nj_bytes_of(given->host));
    }
    if (given->unix_path) {
        nj_json_out_key(out, "socket-path");
        nj_json_out_text(out, nj_bytes_of(given->unix_path));
    }
    nj_json_out_end(out);
}

static enum MHD_Result get_listeners(struct nj_http_request *request,
                                     const struct nj_policy *policy)
{
    const struct nj_front *front = request->http->front;
    struct nj_buf body;
    struct nj_json_out out;
    (void)policy;
    nj_buf_init(&body);
    nj_json_out_init(&out, &body, false);
    nj_json_out_object(&out);
    nj_json_out_key(&out, "listeners");
    nj_json_out_array(&out);
    for (unsigned i = 0; i < front->listener_count; i++) {
        put_listener(&out, &front->listeners[i]);
    }
    nj_json_out_end(&out);
    nj_json_out_end(&out);
    return out.err == NJ_OK ? nj_http_answer(request, MHD_HTTP_OK, JSON, &body)
                            : fail(request, &body);
}

/* ---- metrics, health */

static enum MHD_Result get_metrics(struct nj_http_request *request, const struct nj_policy *policy)
{
    struct nj_buf body;
    (void)policy;
    nj_buf_init(&body);
    if (nj_http_metrics(request->http, &body) != NJ_OK) {
        return fail(request, &body);
    }
    return nj_http_answer(request, MHD_HTTP_OK,
                          "application/openmetrics-text; version=1.0.0; charset=utf-8", &body);
}

static enum MHD_Result get_live(struct nj_http_request *request, const struct nj_policy *policy)
{
    const struct nj_front *front = request->http->front;
    (void)policy;
    return nj_front_hangs(front) ? nj_http_answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                                                       "not live: a worker does not turn\n")
                                 : nj_http_answer_text(request, MHD_HTTP_OK, "live\n");
}

static enum MHD_Result get_ready(struct nj_http_request *request, const struct nj_policy *policy)
{
    const struct nj_front *front = request->http->front;
    struct nj_store_status status = {0};
    nj_store_status(front->core.store, &status);
    if (status.state != NJ_STORE_GOOD) {
        return nj_http_answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                                   status.state == NJ_STORE_FULL
                                       ? "not ready: the store is full\n"
                                       : "not ready: the store has failed\n");
    }
    if (nj_front_hangs(front)) {
        return get_live(request, policy);
    }
    return nj_http_answer_text(request, MHD_HTTP_OK, "ready\n");
}

/* ---- paths */

static const struct route {
    const char *path;
    const char *topic; /* whose reading is needed; NULL = none, or checked by the function */
    enum MHD_Result (*get)(struct nj_http_request *request, const struct nj_policy *policy);
} routes[] = {
    {"/api/v1/version", "$SYS/broker/version", get_version},
    {"/api/v1/systree", NULL, get_systree},
    {"/api/v1/listeners", "$SYS/broker/listeners", get_listeners},
    {"/metrics", "$SYS/broker/metrics", get_metrics},
    {"/health", NULL, get_ready},
    {"/health/live", NULL, get_live},
    {"/health/ready", NULL, get_ready},
};

static enum MHD_Result answer(struct nj_http_request *request, const struct nj_policy *policy,
                              const char *path)
{
    bool is_original = settings_of(request)->mode.http_as_original;
    const char *dir = request->daemon->listener->settings->http_dir;
    if (is_original && !nj_http_may_read(request, policy, nj_bytes_of(path))) {
        return refuse(request);
    }
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *route = &routes[i];
        if (strcmp(path, route->path) != 0) {
            continue;
        }
        if (!is_original && route->topic &&
            !nj_http_may_read(request, policy, nj_bytes_of(route->topic))) {
            return refuse(request);
        }
        return route->get(request, policy);
    }
    return dir ? nj_http_file(request, dir, path)
               : nj_http_answer_text(request, MHD_HTTP_NOT_FOUND, "Not found.\n");
}

enum MHD_Result nj_http_route(struct nj_http_request *request, const char *path)
{
    struct nj_policy *policy = nj_front_policy(request->http->front);
    /* A password that was right a moment ago may be gone by now. */
    enum MHD_Result done =
        nj_http_still_holds(request, policy)
            ? answer(request, policy, path)
            : nj_http_answer_text(request, MHD_HTTP_UNAUTHORIZED, "Not authorised\n");
    nj_policy_unref(policy);
    return done;
}
