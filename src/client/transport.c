/* From a host name to a stream that carries MQTT: TCP or a unix socket, a proxy, TLS, WebSocket.
 * Everything here blocks, but not for longer than the connect timeout. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/client_priv.h"

/* A handshake may wait for room to write, which poll for reading does not see: look again at least
 * this often. */
#define HANDSHAKE_SLICE_MS 50

static enum nj_err connect_fd(const struct nj_client_config *config, uint64_t until_ms, int *fd,
                              struct nj_net_error *error)
{
    bool has_proxy = config->proxy.host != NULL;
    uint64_t now_ms = nj_clock_mono_ms();
    const struct nj_connect_options options = {
        .host = has_proxy ? config->proxy.host : config->host,
        .port = has_proxy ? config->proxy.port : config->port,
        .bind_address = config->bind_address,
        .unix_path = config->unix_path,
        .timeout_ms = until_ms > now_ms ? (int)(until_ms - now_ms) : 1,
    };
    enum nj_err err = nj_connect(&options, fd, error);
    if (err == NJ_OK && has_proxy && config->unix_path == NULL) {
        err = nj_client_socks_connect(*fd, config, until_ms, error);
        if (err != NJ_OK) {
            (void)close(*fd);
        }
    }
    return err;
}

/* Takes the descriptor over, also on an error. */
static enum nj_err wrap_tls(const struct nj_client_config *config, int fd, struct nj_stream **out)
{
    enum nj_err err = config->tls != NULL && config->unix_path == NULL
                          ? nj_stream_tls_client_new(fd, config->tls, config->host, out)
                          : nj_stream_tcp_new(fd, out);
    if (err != NJ_OK) {
        (void)close(fd);
    }
    return err;
}

/* Takes the inner stream over, also on an error. */
static enum nj_err wrap_websocket(const struct nj_client_config *config, struct nj_stream *inner,
                                  struct nj_stream **out)
{
    char host[300];
    bool is_ipv6 = config->host != NULL && strchr(config->host, ':') != NULL;
    (void)snprintf(host, sizeof(host), is_ipv6 ? "[%s]:%u" : "%s:%u",
                   config->unix_path != NULL ? "localhost" : config->host, config->port);
    const struct nj_ws_client_config ws = {.host = host, .path = config->ws_path};
    enum nj_err err = nj_stream_ws_client_new(inner, &ws, out);
    if (err != NJ_OK) {
        nj_stream_free(inner);
    }
    return err;
}

static enum nj_err shake_hands(struct nj_stream *stream, bool has_tls, uint64_t until_ms,
                               struct nj_net_error *error)
{
    for (;;) {
        enum nj_err err = nj_stream_handshake(stream);
        if (err == NJ_ECLOSED) {
            nj_net_error_set(error, "the broker closed the connection instead of a %s handshake",
                             has_tls ? "TLS" : "WebSocket");
            return has_tls ? NJ_ETLS : NJ_EPROTOCOL;
        }
        if (err != NJ_EAGAIN) {
            if (err != NJ_OK) {
                nj_net_error_set(error, "%s", nj_stream_error(stream));
            }
            return err;
        }
        if (nj_clock_mono_ms() >= until_ms) {
            nj_net_error_set(error, "the broker did not finish the handshake in time");
            errno = ETIMEDOUT;
            return NJ_ETIMEDOUT;
        }
        struct pollfd pfd = {nj_stream_fd(stream), POLLIN, 0};
        (void)poll(&pfd, 1, HANDSHAKE_SLICE_MS);
    }
}

enum nj_err nj_client_open_stream(struct nj_client *client, struct nj_net_error *error)
{
    const struct nj_client_config *config = &client->config;
    uint64_t until_ms =
        nj_clock_mono_ms() + (config->connect_timeout_ms > 0 ? (uint64_t)config->connect_timeout_ms
                                                             : NJ_CLIENT_CONNECT_MS);
    int fd = -1;
    struct nj_stream *stream = NULL;
    enum nj_err err = connect_fd(config, until_ms, &fd, error);
    if (err != NJ_OK) {
        return err;
    }
    err = wrap_tls(config, fd, &stream);
    if (err == NJ_OK && config->is_websocket) {
        err = wrap_websocket(config, stream, &stream);
    }
    if (err != NJ_OK) {
        nj_net_error_set(error, "cannot set the connection up: %s", nj_err_text(err));
        return err;
    }
    err = shake_hands(stream, nj_stream_tls(stream) != NULL, until_ms, error);
    if (err != NJ_OK) {
        int cause = errno;
        nj_stream_free(stream);
        errno = cause;
        return err;
    }
    client->stream = stream;
    return NJ_OK;
}
