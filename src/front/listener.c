/* Listening sockets: opening them, accepting, and their TLS contexts. */
#include "front/listener.h"

#include <sys/socket.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "front/conn.h"
#include "front/front.h"
#include "net/inherit.h"
#include "security/policy.h"
#include "security/psk_file.h"

struct nj_tls_server *nj_listener_tls(struct nj_listener *listener)
{
    if (!nj_settings_uses_tls(listener->settings)) {
        return NULL;
    }
    (void)pthread_mutex_lock(&listener->tls_lock);
    struct nj_tls_server *tls = nj_tls_server_ref(listener->tls);
    (void)pthread_mutex_unlock(&listener->tls_lock);
    return tls;
}

static void on_warning(void *arg, const char *text)
{
    (void)arg;
    nj_log(NJ_LOG_WARNING, "Warning: %s", text);
}

static size_t find_psk(const void *arg, struct nj_bytes identity, uint8_t *key, size_t cap)
{
    const struct nj_psks *psks = arg; /* NULL: the file is no longer configured */
    struct nj_bytes found = psks ? nj_psks_find(psks, identity) : nj_bytes(NULL, 0);
    if (!found.ptr || found.len > cap) {
        return 0;
    }
    memcpy(key, found.ptr, found.len);
    return found.len;
}

static void release_psks(void *psks)
{
    nj_psks_free(psks);
}

enum nj_err nj_listener_make_tls(const struct nj_listener *listener,
                                 const struct nj_settings *settings, const struct nj_policy *policy,
                                 const struct nj_tls_server *previous, struct nj_tls_server **out)
{
    const struct nj_listener_settings *own = &settings->listeners[listener->index];
    struct nj_psks *psks = nj_policy_scope(policy, listener->scope)->psks;
    char name[300];
    (void)snprintf(name, sizeof(name), "%s:%d", own->host ? own->host : "*", own->port);
    const struct nj_tls_server_config config = {
        .name = own->unix_path ? own->unix_path : name,
        .certfile = own->certfile,
        .key = {.file = own->keyfile,
                .engine = own->tls_engine,
                .engine_kpass_sha1 = own->tls_engine_kpass_sha1,
                .is_in_engine = own->tls_keyform == 1},
        .cafile = own->cafile,
        .capath = own->capath,
        .crlfile = own->crlfile,
        .ciphers = own->ciphers,
        .ciphers_tls13 = own->ciphers_tls13,
        .dhparamfile = own->dhparamfile,
        .keylog_file = settings->tls_keylog,
        .psk_hint = own->psk_hint,
        .psk = {find_psk, release_psks, psks},
        .min_version =
            own->tls_version && strcmp(own->tls_version, "tlsv1.3") == 0 ? NJ_TLS_13 : NJ_TLS_12,
        .alpn = own->protocol == NJ_PROTOCOL_WEBSOCKETS ? NJ_TLS_ALPN_HTTP : NJ_TLS_ALPN_MQTT,
        .require_certificate = own->require_certificate,
        .disable_client_cert_date_checks = own->disable_client_cert_date_checks,
        .capath_takes_any_name = settings->mode.capath_by_content,
        .warn = on_warning,
    };
    struct nj_net_error error;
    enum nj_err err = nj_tls_server_new(&config, previous, out, &error);
    if (err != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s", error.text);
    } else if (psks && own->psk_hint) {
        (void)nj_psks_ref(psks); /* the context's */
    }
    return err;
}

static const char *family_of(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    (void)getsockname(fd, (struct sockaddr *)&address, &len);
    return address.ss_family == AF_INET6 ? "ipv6" : "ipv4";
}

/* A line for each socket that is there, as the original's: of a name with addresses of both
 * families or of every address, one of them may be missing on this machine. */
static void log_open(const struct nj_listener *listener)
{
    const struct nj_listener_settings *own = listener->settings;
    if (own->unix_path) {
        nj_log(NJ_LOG_INFO, "Opening unix listen socket on path %s.", own->unix_path);
        return;
    }
    static const char *const kinds[] = {NULL, "websockets", "http_api"};
    const char *kind = kinds[own->protocol];
    for (size_t i = 0; i < (kind ? 1 : listener->fd_count); i++) {
        nj_log(NJ_LOG_INFO, "Opening %s listen socket on port %u.",
               kind ? kind : family_of(listener->fds[i]), listener->port);
    }
    bool is_loopback =
        own->host && (strcmp(own->host, "localhost") == 0 || strncmp(own->host, "127.", 4) == 0 ||
                      strcmp(own->host, "::1") == 0);
    if (!nj_settings_uses_tls(own) && !is_loopback) {
        nj_log(NJ_LOG_WARNING,
               "Warning: the listener on port %u is reachable from other machines "
               "without TLS: passwords cross the network in clear.",
               listener->port);
    }
}

enum nj_err nj_listener_open(struct nj_listener *listener, struct nj_front *front, unsigned index,
                             const struct nj_settings *settings)
{
    const struct nj_listener_settings *own = &settings->listeners[index];
    atomic_store(&listener->settings, own);
    listener->front = front;
    listener->index = index;
    listener->scope = index;
    listener->mount_point = nj_bytes_of(own->mount_point);
    listener->ws.origins = (const char *const *)own->websockets_origins;
    listener->ws.origins_count = own->websockets_origin_count;
    listener->ws.header_max_bytes = settings->websockets_headers_size;
    (void)pthread_mutex_init(&listener->tls_lock, NULL);
    /* src/http has TLS of its own. */
    if (nj_settings_uses_tls(own) && own->protocol != NJ_PROTOCOL_HTTP_API) {
        enum nj_err err = nj_listener_make_tls(listener, settings, atomic_load(&front->core.policy),
                                               NULL, &listener->tls);
        if (err != NJ_OK) {
            return NJ_ETLS;
        }
    }
    const struct nj_listen_options options = {
        .host = own->host,
        .port = (uint16_t)own->port,
        .domain = own->socket_domain == 4   ? NJ_SOCKET_IPV4
                  : own->socket_domain == 6 ? NJ_SOCKET_IPV6
                                            : NJ_SOCKET_ANY,
        .interface = own->bind_interface,
        .unix_path = own->unix_path,
    };
    struct nj_net_error error;
    listener->fd_count = nj_inherit_take(&options, own->socket_name, listener->fds);
    listener->keeps_path = listener->fd_count > 0;
    if (listener->fd_count > 0) {
        nj_log(NJ_LOG_INFO, "Taking over %zu listening sockets.", listener->fd_count);
    } else if (nj_listen(&options, listener->fds, &listener->fd_count, &error) != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: %s", error.text);
        return NJ_ESYS;
    }
    listener->port = nj_listener_port(listener->fds[0]);
    log_open(listener);
    return NJ_OK;
}

void nj_listener_close(struct nj_listener *listener)
{
    for (size_t i = 0; i < listener->fd_count; i++) {
        (void)close(listener->fds[i]);
    }
    if (listener->fd_count && listener->settings->unix_path && !listener->keeps_path) {
        (void)unlink(listener->settings->unix_path);
    }
    nj_tls_server_unref(listener->tls);
    listener->fd_count = 0;
    listener->tls = NULL;
}

/* ---- accepting, on every worker */

#define PAUSE_MS 100

struct acceptor {
    struct nj_loop_source source; /* first */
    struct nj_timer pause;        /* set while no descriptor was left to accept with (F-026) */
    struct nj_listener *listener;
    int fd;
};

static void after_pause(struct nj_timer *timer, void *turn)
{
    struct acceptor *acceptor = NJ_CONTAINER(timer, struct acceptor, pause);
    struct nj_worker *worker = turn;
    if (nj_loop_add(worker->loop, &acceptor->source, acceptor->fd, NJ_LOOP_LISTENER) != NJ_OK) {
        nj_timer_set(&worker->timers, timer, worker->shard->now_ms + PAUSE_MS);
    }
}

static void on_accept(struct nj_loop_source *source, unsigned ready, void *turn)
{
    struct acceptor *acceptor = (struct acceptor *)source;
    struct nj_worker *worker = turn;
    (void)ready;
    for (int i = 0; i < NJ_ACCEPT_BATCH; i++) {
        int fd;
        struct nj_addr peer;
        enum nj_err err = nj_accept(source->fd, &worker->reserve, &fd, &peer);
        if (err == NJ_ELIMIT) {
            nj_log(NJ_LOG_ERROR, "Unable to accept new connection, system socket count has been "
                                 "exceeded. Try increasing \"ulimit -n\" or equivalent.");
            continue;
        }
        if (err == NJ_EBUSY) {
            /* The socket stays readable: without a pause the loop would spin. */
            nj_loop_remove(worker->loop, source);
            nj_timer_set(&worker->timers, &acceptor->pause, worker->shard->now_ms + PAUSE_MS);
            return;
        }
        if (err != NJ_OK) {
            return;
        }
        nj_conn_accept(worker, acceptor->listener, fd, &peer);
    }
}

static bool is_for_workers(const struct nj_listener *listener)
{
    return listener->settings->protocol != NJ_PROTOCOL_HTTP_API;
}

enum nj_err nj_listeners_watch(struct nj_worker *worker)
{
    struct nj_front *front = worker->front;
    size_t count = 0;
    for (unsigned i = 0; i < front->listener_count; i++) {
        count += is_for_workers(&front->listeners[i]) ? front->listeners[i].fd_count : 0;
    }
    struct acceptor *acceptors = nj_zalloc((count + 1) * sizeof(*acceptors));
    worker->acceptors = acceptors;
    for (unsigned i = 0; i < front->listener_count; i++) {
        size_t fd_count = is_for_workers(&front->listeners[i]) ? front->listeners[i].fd_count : 0;
        for (size_t j = 0; j < fd_count; j++) {
            acceptors->listener = &front->listeners[i];
            acceptors->fd = front->listeners[i].fds[j];
            nj_loop_source_init(&acceptors->source, on_accept);
            nj_timer_init(&acceptors->pause, after_pause);
            if (nj_loop_add(worker->loop, &acceptors->source, front->listeners[i].fds[j],
                            NJ_LOOP_LISTENER) != NJ_OK) {
                return NJ_ESYS;
            }
            acceptors++;
        }
    }
    return NJ_OK;
}
