/* The face of all streams, and TCP itself: see stream.h. TLS is in stream_tls.c, WebSocket in
 * stream_ws.c. */
#include "net/stream.h"

#include <sys/socket.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/stream_priv.h"

/* How much of what a peer still sent is thrown away at a close, so that the kernel sends a FIN and
 * not a reset that overtakes our last bytes. */
#define CLOSE_DRAIN_BYTES 65536

void nj_stream_init(struct nj_stream *stream, const struct nj_stream_ops *ops, int fd)
{
    *stream = (struct nj_stream){.ops = ops, .fd = fd};
}

static void forget_error(struct nj_stream *stream)
{
    if (stream->is_error_owned) {
        nj_free((void *)stream->error);
    }
    stream->error = NULL;
    stream->is_error_owned = false;
}

enum nj_err nj_stream_fail(struct nj_stream *stream, enum nj_err err, const char *text)
{
    forget_error(stream);
    stream->error = text;
    return err;
}

enum nj_err nj_stream_failf(struct nj_stream *stream, enum nj_err err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    size_t size = len < 0 ? 1 : (size_t)len + 1;
    size = size < sizeof(text) ? size : sizeof(text);
    forget_error(stream);
    char *copy = nj_try_alloc(size);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size - 1] = '\0';
        stream->error = copy;
        stream->is_error_owned = true;
    }
    return err;
}

enum nj_err nj_stream_fail_errno(struct nj_stream *stream, int cause)
{
    switch (cause) {
    case EPIPE:
    case ECONNRESET:
    case ESHUTDOWN:
    case ENOTCONN:
        return nj_stream_fail(stream, NJ_ECLOSED, "connection reset by the peer");
    case ETIMEDOUT:
        return nj_stream_fail(stream, NJ_ECLOSED, "the peer does not answer");
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
        return nj_stream_fail(stream, NJ_ECLOSED, "the peer cannot be reached");
    default:
        return nj_stream_failf(stream, NJ_ESYS, "socket error %d (%s)", cause,
                               strerrorname_np(cause) != NULL ? strerrorname_np(cause) : "unknown");
    }
}

size_t nj_iov_bytes(const struct iovec *iov, int iov_count)
{
    size_t sum = 0;
    for (int i = 0; i < iov_count; i++) {
        sum += iov[i].iov_len;
    }
    return sum;
}

size_t nj_iov_gather(const struct iovec *iov, int iov_count, size_t skip, void *out, size_t len)
{
    size_t done = 0;
    for (int i = 0; i < iov_count && done < len; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t part = iov[i].iov_len - skip;
        part = part < len - done ? part : len - done;
        memcpy((uint8_t *)out + done, (const uint8_t *)iov[i].iov_base + skip, part);
        done += part;
        skip = 0;
    }
    return done;
}

/* ---- TCP ---- */

static enum nj_err tcp_handshake(struct nj_stream *stream)
{
    (void)stream;
    return NJ_OK;
}

static enum nj_err tcp_read(struct nj_stream *stream, void *buf, size_t len, size_t *got)
{
    ssize_t done;
    do {
        done = recv(stream->fd, buf, len, 0);
    } while (NJ_UNLIKELY(done < 0 && errno == EINTR));
    if (NJ_LIKELY(done > 0)) {
        stream->has_more = (size_t)done == len;
        *got = (size_t)done;
        return NJ_OK;
    }
    stream->has_more = false;
    if (done == 0) {
        return nj_stream_fail(stream, NJ_ECLOSED, "connection closed by the peer");
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return NJ_EAGAIN;
    }
    return nj_stream_fail_errno(stream, errno);
}

static bool tcp_has_pending(const struct nj_stream *stream)
{
    return stream->has_more;
}

static enum nj_err tcp_writev(struct nj_stream *stream, const struct iovec *iov, int iov_count,
                              size_t *written)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov,
                         .msg_iovlen = (size_t)(iov_count < 1024 ? iov_count : 1024)};
    ssize_t done;
    do {
        done = sendmsg(stream->fd, &msg, MSG_NOSIGNAL);
    } while (NJ_UNLIKELY(done < 0 && errno == EINTR));
    if (NJ_LIKELY(done >= 0)) {
        *written = (size_t)done;
        return NJ_OK;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
        return NJ_EAGAIN;
    }
    return nj_stream_fail_errno(stream, errno);
}

static size_t tcp_committed(const struct nj_stream *stream)
{
    (void)stream;
    return 0;
}

static enum nj_err tcp_flush(struct nj_stream *stream)
{
    (void)stream;
    return NJ_OK;
}

static void tcp_goodbye(struct nj_stream *stream)
{
    (void)stream;
}

static struct nj_tls_conn *tcp_tls(const struct nj_stream *stream)
{
    (void)stream;
    return NULL;
}

static const struct nj_stream_ops tcp_ops = {
    .handshake = tcp_handshake,
    .read = tcp_read,
    .has_pending = tcp_has_pending,
    .writev = tcp_writev,
    .committed = tcp_committed,
    .flush = tcp_flush,
    .goodbye = tcp_goodbye,
    .free = tcp_goodbye,
    .tls = tcp_tls,
};

enum nj_err nj_stream_tcp_new(int fd, struct nj_stream **out)
{
    struct nj_stream *stream = nj_try_alloc(sizeof(*stream));
    if (stream == NULL) {
        return NJ_ENOMEM;
    }
    nj_stream_init(stream, &tcp_ops, fd);
    *out = stream;
    return NJ_OK;
}

/* ---- the common face ---- */

enum nj_err nj_stream_handshake(struct nj_stream *stream)
{
    return stream->ops->handshake(stream);
}

enum nj_err nj_stream_read(struct nj_stream *stream, void *buf, size_t len, size_t *got)
{
    NJ_DEBUG_ASSERT(len > 0);
    return stream->ops->read(stream, buf, len, got);
}

bool nj_stream_has_pending(const struct nj_stream *stream)
{
    return stream->ops->has_pending(stream);
}

enum nj_err nj_stream_writev(struct nj_stream *stream, const struct iovec *iov, int iov_count,
                             size_t *written)
{
    return stream->ops->writev(stream, iov, iov_count, written);
}

size_t nj_stream_committed(const struct nj_stream *stream)
{
    return stream->ops->committed(stream);
}

enum nj_err nj_stream_flush(struct nj_stream *stream)
{
    return stream->ops->flush(stream);
}

void nj_stream_close(struct nj_stream *stream)
{
    stream->ops->goodbye(stream);
    if (shutdown(stream->fd, SHUT_WR) != 0) {
        return;
    }
    uint8_t waste[4096];
    for (size_t sum = 0; sum < CLOSE_DRAIN_BYTES;) {
        ssize_t done = recv(stream->fd, waste, sizeof(waste), MSG_DONTWAIT);
        if (done <= 0) {
            break;
        }
        sum += (size_t)done;
    }
}

void nj_stream_dispose(struct nj_stream *stream)
{
    stream->ops->free(stream);
    forget_error(stream);
    nj_free(stream);
}

void nj_stream_free(struct nj_stream *stream)
{
    if (stream == NULL) {
        return;
    }
    int fd = stream->fd;
    nj_stream_dispose(stream);
    (void)close(fd);
}

int nj_stream_fd(const struct nj_stream *stream)
{
    return stream->fd;
}

struct nj_tls_conn *nj_stream_tls(const struct nj_stream *stream)
{
    return stream->ops->tls(stream);
}

bool nj_stream_is_websocket(const struct nj_stream *stream)
{
    return stream->is_websocket;
}

const char *nj_stream_error(const struct nj_stream *stream)
{
    return stream->error != NULL ? stream->error : "no error";
}
