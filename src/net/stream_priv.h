/* The vtable behind stream.h, and what its implementations share. */
#ifndef NJ_NET_STREAM_PRIV_H
#define NJ_NET_STREAM_PRIV_H

#include <stdbool.h>

#include "net/stream.h"

/* Each call does what the function of the same name in stream.h says. */
struct nj_stream_ops {
    enum nj_err (*handshake)(struct nj_stream *stream);
    enum nj_err (*read)(struct nj_stream *stream, void *buf, size_t len, size_t *got);
    bool (*has_pending)(const struct nj_stream *stream);
    enum nj_err (*writev)(struct nj_stream *stream, const struct iovec *iov, int iov_count,
                          size_t *written);
    size_t (*committed)(const struct nj_stream *stream);
    enum nj_err (*flush)(struct nj_stream *stream);
    void (*goodbye)(struct nj_stream *stream); /* what precedes the FIN */
    void (*free)(struct nj_stream *stream);    /* all but the descriptor and the error text */
    struct nj_tls_conn *(*tls)(const struct nj_stream *stream);
};

struct nj_stream {
    const struct nj_stream_ops *ops;
    const char *error; /* NULL = none; freed when is_error_owned */
    int fd;
    bool is_error_owned;
    bool has_more; /* TCP: the last recv filled the buffer */
    bool is_websocket;
};

void nj_stream_init(struct nj_stream *stream, const struct nj_stream_ops *ops, int fd);
/* Frees all of an inner stream but its descriptor, which its outer stream closes. */
void nj_stream_dispose(struct nj_stream *stream);
/* A text that lives for ever. Returns `err` so that a refusal is one line. */
enum nj_err nj_stream_fail(struct nj_stream *stream, enum nj_err err, const char *text);
enum nj_err nj_stream_failf(struct nj_stream *stream, enum nj_err err, const char *fmt, ...)
    NJ_PRINTF(3, 4);
/* What errno means after a failed send or recv, with a text. */
enum nj_err nj_stream_fail_errno(struct nj_stream *stream, int cause);

size_t nj_iov_bytes(const struct iovec *iov, int iov_count);
/* Copies the first `len` bytes behind `skip` together; fewer when there are fewer. */
size_t nj_iov_gather(const struct iovec *iov, int iov_count, size_t skip, void *out, size_t len);

#endif
