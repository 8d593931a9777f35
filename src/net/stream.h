/* One face for TCP, TLS over TCP, and WebSocket over either, as server and as client.
 *
 * A stream owns its descriptor. It holds no pointer to a loop or thread: the connection may move to
 * another worker between two calls. One thread at a time. Nothing here blocks.
 *
 * Life: new, nj_stream_handshake until it is no longer NJ_EAGAIN, read and writev, close, free.
 *
 * The loop is edge-triggered, so:
 *  - after NJ_EAGAIN from any call, call it again after the next event of *any* kind (TLS may have
 *    to write in order to read, and the other way round);
 *  - after NJ_OK from read or handshake, look at nj_stream_has_pending: true means read again
 * without waiting for an event (now, or in the next turn when the turn's budget is used up); false
 * means the next bytes come with an event;
 *  - after an event with NJ_LOOP_HUP read until the call returns an error. */
#ifndef NJ_NET_STREAM_H
#define NJ_NET_STREAM_H

#include <sys/uio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/tls.h"

struct nj_stream;

/* The constructors take the descriptor (or the inner stream) over on success only; on an error it
 * stays the caller's. NJ_ENOMEM. */
enum nj_err nj_stream_tcp_new(int fd, struct nj_stream **out) NJ_NODISCARD;
enum nj_err nj_stream_tls_server_new(int fd, struct nj_tls_server *server, struct nj_stream **out)
    NJ_NODISCARD;
/* `host`: the name that the server's certificate has to bear, and SNI. */
enum nj_err nj_stream_tls_client_new(int fd, struct nj_tls_client *client, const char *host,
                                     struct nj_stream **out) NJ_NODISCARD;

/* Borrowed by the stream until its handshake is done: keep it alive (it is the listener's). */
struct nj_ws_server_config {
    const char *const *origins; /* NULL or empty = any; else Origin has to be one of these */
    size_t origins_count;
    size_t header_max_bytes; /* request line and headers; 0 = 8192 */
};
enum nj_err nj_stream_ws_server_new(struct nj_stream *inner,
                                    const struct nj_ws_server_config *config,
                                    struct nj_stream **out) NJ_NODISCARD;

/* Copied. */
struct nj_ws_client_config {
    const char *host;     /* Host header: name, or name:port */
    const char *path;     /* NULL = "/mqtt" */
    const char *protocol; /* NULL = "mqtt" */
    const char *origin;   /* or NULL */
};
enum nj_err nj_stream_ws_client_new(struct nj_stream *inner,
                                    const struct nj_ws_client_config *config,
                                    struct nj_stream **out) NJ_NODISCARD;

/* Goes on with the TLS handshake, then with the WebSocket upgrade. NJ_OK: ready (at once for TCP).
 * NJ_EAGAIN: call again after the next event. Its length is bounded (bytes, not time: the caller
 * has a timer). Everything else: close and free. NJ_EMALFORMED: the peer does not speak TLS,
 * NJ_ENOENT: the client sent no certificate, NJ_EAUTH: its certificate is refused, NJ_EPROTOCOL:
 * bad WebSocket upgrade (the HTTP refusal has been sent), NJ_ETLS, NJ_ELIMIT, NJ_ECLOSED,
 * NJ_ENOMEM, NJ_ESYS. */
enum nj_err nj_stream_handshake(struct nj_stream *stream) NJ_NODISCARD;

/* Reads what there is, at most `len` bytes (len > 0). NJ_OK: *got is set; it may be 0 when only
 * WebSocket control frames came. NJ_EAGAIN: nothing there. NJ_ECLOSED: the peer closed or reset.
 * NJ_ETLS, NJ_EPROTOCOL (WebSocket; a close frame has been queued), NJ_ELIMIT (flood of pings or
 * empty frames), NJ_ESYS: close and free. */
enum nj_err nj_stream_read(struct nj_stream *stream, void *buf, size_t len, size_t *got)
    NJ_NODISCARD;
bool nj_stream_has_pending(const struct nj_stream *stream);

/* Writes what fits. NJ_OK: *written application bytes were taken, 0 < *written <= all; on a short
 * write, wait for the next event. NJ_EAGAIN: none were taken. Over WebSocket one call makes one
 * binary frame. After a short write or NJ_EAGAIN the first nj_stream_committed bytes of what
 * remains have to be offered again unchanged; what comes behind them may change or go.
 * NJ_ECLOSED, NJ_ETLS, NJ_ESYS: close and free. */
enum nj_err nj_stream_writev(struct nj_stream *stream, const struct iovec *iov, int iov_count,
                             size_t *written) NJ_NODISCARD;
/* Bytes that were not taken yet but are already sealed in a TLS record or announced in a WebSocket
 * frame header. Always 0 for TCP. */
size_t nj_stream_committed(const struct nj_stream *stream);
/* Sends what the stream itself owes (a pong, a close frame, a TLS record). Read and writev do it,
 * too; this is for an NJ_LOOP_OUT event with nothing to write. NJ_OK: nothing left. */
enum nj_err nj_stream_flush(struct nj_stream *stream) NJ_NODISCARD;

/* Says goodbye as far as that is possible without blocking: WebSocket close frame, TLS
 * close_notify, FIN; then drops what the peer still sent, so that the last bytes are not lost to a
 * reset. The descriptor stays open until nj_stream_free. Remove it from the loop first. */
void nj_stream_close(struct nj_stream *stream);
/* Closes the descriptor and frees; accepts NULL. Without nj_stream_close this is an abrupt end. */
void nj_stream_free(struct nj_stream *stream);

int nj_stream_fd(const struct nj_stream *stream);
/* The TLS side, for identity, recheck and log; NULL when there is none. */
struct nj_tls_conn *nj_stream_tls(const struct nj_stream *stream);
bool nj_stream_is_websocket(const struct nj_stream *stream);
/* Why the last call failed, for the log ("WebSocket: frame without mask"); never NULL, valid until
 * the next call. */
const char *nj_stream_error(const struct nj_stream *stream);

#endif
