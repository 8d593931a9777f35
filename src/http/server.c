/* The thread, its sockets and deadlines. See http.h.
 *
 * libmicrohttpd parses; this file owns the loop around it, so that every connection has a deadline
 * as a whole and not from byte to byte (F-042): a peer that sends a byte now and then is cut off
 * like one that sends none. */
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/http_priv.h"
#include "http/path.h"

/* From one response, or the beginning, to the next whole request head. */
#define HEAD_MS 10000
/* From a whole head to the last byte of the response. */
#define RESPONSE_MS 30000
#define SWEEP_MS    1000
/* Of one connection: request line, headers, and the response's head. */
#define CONNECTION_BYTES    ((size_t)16 * 1024)
#define CONNECTIONS_DEFAULT 128
#define PEM_MAX             ((size_t)1024 * 1024)
/* AEAD and forward secrecy only, as the other listeners prefer. */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CAMELLIA-128-CBC"

/* One open connection. */
struct connection {
    struct nj_list node;
    struct nj_http *http;
    struct MHD_Connection *mhd;
    uint64_t deadline_ms;
};

/* ---- answers */

void nj_http_count(struct nj_http *http, unsigned code)
{
    static const unsigned codes[] = {
#define CODE(number) number,
        NJ_HTTP_CODES(CODE)
#undef CODE
    };
    size_t at = 0;
    while (at + 1 < NJ_HTTP_CODE_COUNT && codes[at] != code) {
        at++;
    }
    atomic_fetch_add_explicit(&http->requests[at], 1, memory_order_relaxed);
}

static void free_body(void *body)
{
    nj_free(body);
}

static void add_headers(struct MHD_Response *response, unsigned code, const char *type, bool cors)
{
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (cors) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, "*");
    }
    if (code == MHD_HTTP_UNAUTHORIZED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                      "Basic realm=\"nightjar\", charset=\"UTF-8\"");
    }
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET");
    }
}

enum MHD_Result nj_http_answer(struct nj_http_request *request, unsigned code, const char *type,
                               struct nj_buf *body)
{
    const struct nj_settings *settings = atomic_load(&request->http->front->settings);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(body->len, body->data, free_body);
    if (!response) {
        nj_buf_fini(body);
        return MHD_NO;
    }
    nj_buf_init(body);
    add_headers(response, code, type, settings->mode.http_as_original);
    enum MHD_Result done = MHD_queue_response(request->connection, code, response);
    MHD_destroy_response(response);
    nj_http_count(request->http, code);
    return done;
}

enum MHD_Result nj_http_answer_text(struct nj_http_request *request, unsigned code,
                                    const char *text)
{
    struct nj_buf body;
    nj_buf_init(&body);
    if (nj_buf_append(&body, text, strlen(text)) != NJ_OK) {
        nj_buf_fini(&body);
        return MHD_NO;
    }
    return nj_http_answer(request, code, "text/plain; charset=utf-8", &body);
}

/* ---- what libmicrohttpd calls: always on our thread */

static struct connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct nj_http *http = ((struct nj_http_daemon *)arg)->http;
    struct connection *connection = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = nj_try_zalloc(sizeof(*connection));
        *context = connection;
        if (connection) {
            connection->http = http;
            connection->mhd = mhd;
            connection->deadline_ms = nj_clock_mono_ms() + HEAD_MS;
            nj_list_push_back(&http->connections, &connection->node);
            atomic_fetch_add_explicit(&http->connections_open, 1, memory_order_relaxed);
        }
    } else if (connection) {
        nj_list_remove(&connection->node);
        atomic_fetch_sub_explicit(&http->connections_open, 1, memory_order_relaxed);
        nj_free(connection);
        *context = NULL;
    }
}

static struct nj_http_request *make_request(struct nj_http_daemon *daemon,
                                            struct MHD_Connection *mhd)
{
    struct nj_http_request *request = nj_try_zalloc(sizeof(*request));
    struct connection *connection = connection_of(mhd);
    if (!request || !connection) {
        nj_free(request); /* without a deadline there is no service */
        return NULL;
    }
    request->http = daemon->http;
    request->daemon = daemon;
    request->connection = mhd;
    nj_list_init(&request->node);
    connection->deadline_ms = nj_clock_mono_ms() + RESPONSE_MS;
    return request;
}

/* Called when the head is there, for each piece of a body, and when all is there; and again after a
 * connection was resumed. */
/* NOLINTNEXTLINE(readability-function-size): the parameters are libmicrohttpd's. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *path,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_len, void **context)
{
    struct nj_http_request *request = *context;
    (void)version;
    (void)body;
    if (!request) {
        request = make_request(arg, mhd);
        *context = request;
        return request ? MHD_YES : MHD_NO;
    }
    if (*body_len > 0) {
        *body_len = 0; /* nobody wants it */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0) {
        return nj_http_answer_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "Only GET is allowed\n");
    }
    enum MHD_Result done = nj_http_login(request);
    if (done == MHD_NO || request->state != NJ_HTTP_ANSWERED) {
        return done;
    }
    if (request->is_busy) {
        return nj_http_answer_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "Too many logins\n");
    }
    if (!request->is_ok) {
        return nj_http_answer_text(request, MHD_HTTP_UNAUTHORIZED, "Not authorised\n");
    }
    return nj_http_route(request, path);
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode why)
{
    struct nj_http_request *request = *context;
    struct connection *connection = connection_of(mhd);
    (void)arg;
    (void)why;
    if (connection) {
        connection->deadline_ms = nj_clock_mono_ms() + HEAD_MS;
    }
    if (request) {
        nj_list_remove(&request->node);
        nj_free(request->user);
        nj_free(request);
        *context = NULL;
    }
}

static size_t unescape(void *arg, struct MHD_Connection *mhd, char *text)
{
    (void)arg;
    (void)mhd;
    return nj_http_unescape(text);
}

/* What it says of its peers goes nowhere: each of them could fill the log. */
static void no_log(void *arg, const char *format, va_list args)
{
    (void)arg;
    (void)format;
    (void)args;
}

/* ---- the loop */

static void sweep(struct nj_http *http, uint64_t now_ms)
{
    nj_list_each_safe (node, &http->connections) {
        struct connection *connection = NJ_CONTAINER(node, struct connection, node);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info && now_ms >= connection->deadline_ms) {
            /* libmicrohttpd finds the end and closes. */
            (void)shutdown(info->connect_fd, SHUT_RDWR);
            connection->deadline_ms = now_ms + SWEEP_MS;
        }
    }
}

static int wait_ms(const struct nj_http *http, uint64_t due_ms, uint64_t now_ms)
{
    uint64_t wait = SWEEP_MS;
    wait = due_ms > now_ms && due_ms - now_ms < wait ? due_ms - now_ms : wait;
    wait = due_ms <= now_ms ? 0 : wait;
    for (size_t i = 0; i < http->daemon_count; i++) {
        MHD_UNSIGNED_LONG_LONG own = 0;
        if (MHD_get_timeout(http->daemons[i].mhd, &own) == MHD_YES && own < wait) {
            wait = own;
        }
    }
    return (int)wait;
}

static void *http_main(void *arg)
{
    struct nj_http *http = arg;
    struct pollfd *fds = nj_zalloc((http->daemon_count + 1) * sizeof(*fds));
    for (size_t i = 0; i < http->daemon_count; i++) {
        fds[i] = (struct pollfd){.fd = http->daemons[i].epoll_fd, .events = POLLIN};
    }
    fds[http->daemon_count] = (struct pollfd){.fd = http->wake_fd, .events = POLLIN};
    uint64_t next_sweep_ms = 0;
    while (!atomic_load_explicit(&http->is_stopping, memory_order_acquire)) {
        uint64_t now_ms = nj_clock_mono_ms();
        uint64_t due_ms = nj_http_login_run(http, now_ms);
        (void)poll(fds, http->daemon_count + 1, wait_ms(http, due_ms, now_ms));
        uint64_t count = 0;
        (void)!read(http->wake_fd, &count, sizeof(count));
        for (size_t i = 0; i < http->daemon_count; i++) {
            (void)MHD_run(http->daemons[i].mhd);
        }
        now_ms = nj_clock_mono_ms();
        if (now_ms >= next_sweep_ms) {
            sweep(http, now_ms);
            next_sweep_ms = now_ms + SWEEP_MS;
        }
    }
    nj_free(fds);
    return NULL;
}

/* ---- life */

static char *read_pem(const char *option, const char *path)
{
    struct nj_buf buf;
    nj_buf_init(&buf);
    if (nj_file_read(path, PEM_MAX, false, &buf) != NJ_OK || nj_buf_append(&buf, "", 1) != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s %s cannot be read.", option, path);
        nj_buf_fini(&buf);
        return NULL;
    }
    return (char *)buf.data;
}

static bool load_certificate(struct nj_http_daemon *daemon,
                             const struct nj_listener_settings *settings)
{
    if (!settings->certfile) {
        return true;
    }
    daemon->certificate = read_pem("certfile", settings->certfile);
    daemon->key = read_pem("keyfile", settings->keyfile);
    return daemon->certificate && daemon->key;
}

static enum nj_err start_daemon(struct nj_http_daemon *daemon, int fd)
{
    const struct nj_listener_settings *settings = daemon->listener->settings;
    if (!load_certificate(daemon, settings)) {
        return NJ_ETLS;
    }
    unsigned connections =
        settings->max_connections > 0 ? (unsigned)settings->max_connections : CONNECTIONS_DEFAULT;
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, daemon->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, daemon->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_PEDANTIC_CHECKS |
                     MHD_USE_ERROR_LOG | (daemon->certificate ? MHD_USE_TLS : 0);
    daemon->mhd =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, daemon, MHD_OPTION_EXTERNAL_LOGGER,
                         no_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                         connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
                         MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_NOTIFY_CONNECTION,
                         on_connection, daemon, MHD_OPTION_NOTIFY_COMPLETED, on_completed, daemon,
                         MHD_OPTION_ARRAY, daemon->certificate ? tls : none, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        daemon->mhd ? MHD_get_daemon_info(daemon->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        nj_log(NJ_LOG_ERROR, "Error: HTTP cannot be served on port %u%s.", daemon->listener->port,
               daemon->certificate ? " (certfile or keyfile may be the reason)" : "");
        return NJ_ETLS;
    }
    daemon->epoll_fd = info->epoll_fd;
    return NJ_OK;
}

static size_t count_sockets(const struct nj_front *front)
{
    size_t count = 0;
    for (unsigned i = 0; i < front->listener_count; i++) {
        bool is_http = front->listeners[i].settings->protocol == NJ_PROTOCOL_HTTP_API;
        count += is_http ? front->listeners[i].fd_count : 0;
    }
    return count;
}

/* The daemon closes its socket at the end, and the front the listener's: each has its own. */
static enum nj_err add_daemon(struct nj_http *http, const struct nj_listener *listener, int fd)
{
    struct nj_http_daemon *daemon = &http->daemons[http->daemon_count++];
    int own_fd = dup(fd);
    daemon->http = http;
    daemon->listener = listener;
    enum nj_err err = own_fd >= 0 ? start_daemon(daemon, own_fd) : NJ_ESYS;
    if (err != NJ_OK && own_fd >= 0 && !daemon->mhd) {
        (void)close(own_fd);
    }
    return err;
}

static enum nj_err start_daemons(struct nj_http *http)
{
    const struct nj_front *front = http->front;
    enum nj_err err = NJ_OK;
    for (unsigned i = 0; i < front->listener_count; i++) {
        const struct nj_listener *listener = &front->listeners[i];
        bool is_http = listener->settings->protocol == NJ_PROTOCOL_HTTP_API;
        for (size_t j = 0; is_http && j < listener->fd_count && err == NJ_OK; j++) {
            err = add_daemon(http, listener, listener->fds[j]);
        }
    }
    return err;
}

enum nj_err nj_http_start(struct nj_front *front, struct nj_http **out)
{
    size_t count = count_sockets(front);
    *out = NULL;
    if (count == 0) {
        return NJ_OK;
    }
    struct nj_http *http = nj_zalloc(sizeof(*http));
    http->front = front;
    http->daemons = nj_zalloc(count * sizeof(*http->daemons));
    nj_list_init(&http->connections);
    nj_list_init(&http->refused);
    nj_list_init(&http->answers);
    (void)pthread_mutex_init(&http->lock, NULL);
    (void)pthread_cond_init(&http->idle, NULL);
    http->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum nj_err err = http->wake_fd >= 0 ? start_daemons(http) : NJ_ESYS;
    if (err == NJ_OK) {
        err = nj_thread_start(&http->thread, "nj-http", http_main, http);
    }
    if (err != NJ_OK) {
        nj_http_stop(http);
        return err;
    }
    *out = http;
    return NJ_OK;
}

void nj_http_stop(struct nj_http *http)
{
    if (!http) {
        return;
    }
    atomic_store_explicit(&http->is_stopping, true, memory_order_release);
    if (http->wake_fd >= 0) {
        (void)!write(http->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    }
    nj_thread_join(&http->thread);
    nj_http_login_drain(http);
    for (size_t i = 0; i < http->daemon_count; i++) {
        if (http->daemons[i].mhd) {
            (void)MHD_run(http->daemons[i].mhd); /* what was resumed a moment ago */
        }
    }
    for (size_t i = 0; i < http->daemon_count; i++) {
        if (http->daemons[i].mhd) {
            MHD_stop_daemon(http->daemons[i].mhd);
        }
        nj_free(http->daemons[i].certificate);
        if (http->daemons[i].key) {
            nj_free_secret(http->daemons[i].key, strlen(http->daemons[i].key));
        }
    }
    if (http->wake_fd >= 0) {
        (void)close(http->wake_fd);
    }
    (void)pthread_mutex_destroy(&http->lock);
    (void)pthread_cond_destroy(&http->idle);
    nj_free(http->daemons);
    nj_free(http);
}
