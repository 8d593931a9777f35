/* Who asks, and may he? The same chain as for MQTT (security/login.h): only the way in differs.
 * While the auth pool works, the connection is suspended; refusals leave on the grid of time that
 * those of MQTT use. */
#include "security/login.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/basic.h"
#include "http/http_priv.h"
#include "security/policy.h"

#define REFUSAL_TICK_MS UINT64_C(200)

/* ---- the header */

static enum MHD_Result count_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    (void)value;
    *(int *)arg += strcasecmp(name, MHD_HTTP_HEADER_AUTHORIZATION) == 0;
    return MHD_YES;
}

static void read_credentials(struct MHD_Connection *connection, struct nj_http_credentials *out)
{
    int count = 0;
    *out = (struct nj_http_credentials){0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &count);
    if (count == 0) {
        return;
    }
    const char *value =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    if (count > 1 || !value) {
        out->fault = "two Authorization headers";
        return;
    }
    nj_http_basic_read(value, out);
}

/* ---- the login */

static const struct sockaddr *peer_of(const struct nj_http_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return info ? info->client_addr : NULL;
}

/* As for MQTT: all of an IPv4 address, the /64 of an IPv6 one. */
static uint64_t source_of(const struct nj_http_request *request)
{
    uint8_t front[8] = {0};
    const struct sockaddr *peer = peer_of(request);
    if (peer && peer->sa_family == AF_INET) {
        memcpy(front, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    } else if (peer && peer->sa_family == AF_INET6) {
        memcpy(front, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 8);
    }
    return nj_hash_bytes(nj_bytes(front, sizeof(front)));
}

static void log_refusal(const struct nj_http_request *request)
{
    char ip[INET6_ADDRSTRLEN] = "a unix socket";
    const struct sockaddr *peer = peer_of(request);
    if (peer && peer->sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, ip,
                        sizeof(ip));
    } else if (peer && peer->sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, ip,
                        sizeof(ip));
    }
    nj_log(NJ_LOG_INFO, "HTTP login from %s refused: %s.", ip, request->why);
}

static bool keep_user(struct nj_http_request *request, struct nj_bytes user)
{
    request->user = user.ptr ? nj_try_bytes_dup(user) : NULL;
    request->user_len = user.len;
    return !user.ptr || request->user;
}

/* On a thread of the auth pool. */
static void on_answer(void *arg, bool ok, uint64_t due_ms)
{
    struct nj_http_request *request = arg;
    struct nj_http *http = request->http;
    (void)pthread_mutex_lock(&http->lock);
    request->is_ok = ok;
    request->due_ms = due_ms;
    nj_list_push_back(&http->answers, &request->node);
    http->logins--;
    (void)pthread_cond_signal(&http->idle);
    (void)!write(http->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)pthread_mutex_unlock(&http->lock);
}

static void give_ticket_back(struct nj_http *http)
{
    (void)pthread_mutex_lock(&http->lock);
    http->logins--;
    (void)pthread_mutex_unlock(&http->lock);
}

/* Asks the auth pool, be it only in order to take as long as a wrong password does. */
static void ask(struct nj_http_request *request, const struct nj_http_credentials *credentials,
                struct nj_bytes hash)
{
    struct nj_http *http = request->http;
    const struct nj_auth_job job = {
        .user = credentials->user,
        .password = credentials->password,
        .hash = hash,
        .source = source_of(request),
        .done = on_answer,
        .arg = request,
        .is_abandoned = &http->is_stopping,
    };
    request->state = NJ_HTTP_ASKED;
    (void)pthread_mutex_lock(&http->lock);
    http->logins++;
    (void)pthread_mutex_unlock(&http->lock);
    MHD_suspend_connection(request->connection);
    if (nj_auth_pool_submit(http->front->auth_pool, &job) != NJ_OK) {
        give_ticket_back(http);
        request->state = NJ_HTTP_ANSWERED;
        request->is_busy = true;
        MHD_resume_connection(request->connection);
        request->state = NJ_HTTP_ASKED; /* answered when it is called again */
    }
}

static void decide(struct nj_http_request *request, const struct nj_policy *policy,
                   const struct nj_http_credentials *credentials)
{
    struct nj_http *http = request->http;
    const struct nj_login_request asked = {
        .user = credentials->user,
        .password = credentials->password,
        .client_id = NJ_BYTES_LIT(NJ_HTTP_CLIENT_ID),
        .scope = request->daemon->listener->scope,
    };
    struct nj_login_decision decision;
    nj_login_decide(policy, &asked, &decision);
    request->credential = decision.credential;
    bool is_known = decision.result == NJ_LOGIN_VERIFY && decision.hash.len &&
                    nj_remembered_has(http->front->remembered, asked.user, asked.password,
                                      decision.hash, nj_clock_mono_ms());
    bool is_accepted = decision.result == NJ_LOGIN_ACCEPTED || is_known;
    struct nj_bytes user = decision.result == NJ_LOGIN_ACCEPTED ? decision.user : asked.user;
    if (!keep_user(request, user)) {
        request->state = NJ_HTTP_ANSWERED;
        request->is_busy = true;
    } else if (is_accepted) {
        request->state = NJ_HTTP_ANSWERED;
        request->is_ok = true;
    } else {
        request->why = decision.why        ? decision.why
                       : decision.hash.len ? "wrong password"
                                           : "unknown user";
        ask(request, credentials,
            decision.result == NJ_LOGIN_VERIFY ? decision.hash : nj_bytes(NULL, 0));
    }
}

enum MHD_Result nj_http_login(struct nj_http_request *request)
{
    struct nj_http_credentials credentials;
    if (request->state != NJ_HTTP_NEW) {
        /* Called again after it was resumed: only then. */
        request->state = NJ_HTTP_ANSWERED;
        return MHD_YES;
    }
    if (atomic_load_explicit(&request->http->is_stopping, memory_order_acquire)) {
        /* Nothing may be suspended any more: it could not be stopped. */
        request->state = NJ_HTTP_ANSWERED;
        request->is_busy = true;
        return MHD_YES;
    }
    read_credentials(request->connection, &credentials);
    if (credentials.fault) {
        request->state = NJ_HTTP_ANSWERED;
        request->why = credentials.fault;
        log_refusal(request);
    } else {
        struct nj_policy *policy = nj_front_policy(request->http->front);
        decide(request, policy, &credentials);
        nj_policy_unref(policy);
    }
    nj_http_credentials_fini(&credentials);
    return MHD_YES;
}

static uint64_t next_tick(uint64_t at_ms)
{
    return (at_ms / REFUSAL_TICK_MS + 1) * REFUSAL_TICK_MS;
}

/* Returns whether somebody was resumed. */
static bool take_answers(struct nj_http *http, uint64_t now_ms)
{
    bool has_resumed = false;
    struct nj_list *node;
    (void)pthread_mutex_lock(&http->lock);
    while ((node = nj_list_pop_front(&http->answers))) {
        struct nj_http_request *request = NJ_CONTAINER(node, struct nj_http_request, node);
        if (request->is_ok) {
            MHD_resume_connection(request->connection);
            has_resumed = true;
            continue;
        }
        log_refusal(request);
        request->due_ms = next_tick(request->due_ms > now_ms ? request->due_ms : now_ms);
        nj_list_push_back(&http->refused, &request->node);
    }
    (void)pthread_mutex_unlock(&http->lock);
    return has_resumed;
}

uint64_t nj_http_login_run(struct nj_http *http, uint64_t now_ms)
{
    /* libmicrohttpd notices a resumed connection when it is run next, and nothing wakes it. */
    uint64_t next_ms = take_answers(http, now_ms) ? now_ms : UINT64_MAX;
    nj_list_each_safe (node, &http->refused) {
        struct nj_http_request *request = NJ_CONTAINER(node, struct nj_http_request, node);
        if (request->due_ms <= now_ms) {
            nj_list_remove(&request->node);
            MHD_resume_connection(request->connection);
            next_ms = now_ms;
        } else if (request->due_ms < next_ms) {
            next_ms = request->due_ms;
        }
    }
    return next_ms;
}

void nj_http_login_drain(struct nj_http *http)
{
    (void)pthread_mutex_lock(&http->lock);
    while (http->logins > 0) {
        (void)pthread_cond_wait(&http->idle, &http->lock);
    }
    (void)pthread_mutex_unlock(&http->lock);
    /* A connection that is suspended cannot be stopped. */
    (void)nj_http_login_run(http, UINT64_MAX - 2 * REFUSAL_TICK_MS);
    (void)nj_http_login_run(http, UINT64_MAX); /* the tick of those that were answered just now */
}

/* ---- rights */

static struct nj_bytes user_of(const struct nj_http_request *request)
{
    return nj_bytes(request->user, request->user_len);
}

bool nj_http_may_read(const struct nj_http_request *request, const struct nj_policy *policy,
                      struct nj_bytes topic)
{
    struct nj_subject subject;
    struct nj_verdict verdict;
    nj_subject_init(&subject, user_of(request), NJ_BYTES_LIT(NJ_HTTP_CLIENT_ID),
                    request->daemon->listener->scope);
    nj_authz(policy, &subject, NJ_ACTION_DELIVER, topic, &verdict);
    nj_subject_fini(&subject);
    return verdict.allowed;
}

bool nj_http_still_holds(const struct nj_http_request *request, const struct nj_policy *policy)
{
    const struct nj_login_held held = {
        .user = user_of(request),
        .client_id = NJ_BYTES_LIT(NJ_HTTP_CLIENT_ID),
        .credential = request->credential,
    };
    return nj_login_still_holds(policy, request->daemon->listener->scope, &held);
}
