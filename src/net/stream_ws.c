/* WebSocket over TCP or TLS as a stream, server and client. The codec is in ws_frame.c, the upgrade
 * in ws_http.c.
 *
 * Reading unmasks in place: raw bytes go into the caller's buffer and what is payload moves to its
 * front. Writing never copies payload on a server: head and payload go out as one vector. A control
 * frame can only be sent between two data frames; a second ping before the first was answered
 * replaces it (RFC 6455 5.5.3). */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/stream_priv.h"
#include "net/ws_priv.h"

#define IOV_MAX_OUT 64
/* One TLS record. */
#define CHUNK_BYTES 16384
/* Empty frames and control frames: this many at once, then this many per second. */
#define GLITCH_BURST      100
#define GLITCH_PER_SECOND 20

enum ws_state {
    WS_INNER,     /* the TLS handshake below is running */
    WS_READ_HEAD, /* the peer's HTTP head is not complete */
    WS_SEND_HEAD, /* our HTTP head is not out yet */
    WS_OPEN,      /* frames */
    WS_ENDED,     /* an end has been decided: reads tell it, writes fail */
    WS_STATE_COUNT
};

/* Exists only while a control frame is coming in or going out. */
struct control {
    uint8_t in[NJ_WS_CONTROL_BYTES_MAX];
    uint8_t pong[NJ_WS_CONTROL_BYTES_MAX];
    uint8_t out[NJ_WS_HEAD_BYTES_MAX + NJ_WS_CONTROL_BYTES_MAX];
    uint8_t in_len;
    uint8_t pong_len;
    uint8_t out_len;
    uint8_t out_at;
    bool has_pong;
};

/* Exists only until the handshake is done. */
struct upgrade {
    const struct nj_ws_server_config *config; /* NULL on a client */
    struct nj_buf head;                       /* what came; later what is going out */
    struct nj_ws_upgrade verdict;
    size_t seen;
    size_t sent;
    char key[NJ_WS_KEY_CHARS + 1];
    char protocol[32];
};

struct ws_stream {
    struct nj_stream base;
    struct nj_stream *inner;
    struct upgrade *upgrade;
    struct control *control;
    struct nj_buf early; /* bytes that came behind the head, in the same read */
    struct nj_ws_in in;
    uint64_t out_left;  /* payload of the open outgoing frame still to be taken */
    uint32_t glitch_ms; /* when the glitch budget was last topped up */
    uint16_t glitches;
    uint16_t close_code; /* to be sent; 0 = none */
    uint8_t out_head[NJ_WS_HEAD_BYTES_MAX];
    uint8_t out_head_len;
    uint8_t out_head_at;
    uint8_t out_mask_at;
    uint8_t state;
    uint8_t end_err; /* what reads return once the state is WS_ENDED */
    bool is_frame_open;
    bool is_close_sent;
    bool has_end_to_tell;
};

static struct ws_stream *ws_of(const struct nj_stream *stream)
{
    return (struct ws_stream *)stream;
}

static bool is_client(const struct ws_stream *ws)
{
    return !ws->in.expects_mask;
}

static void ws_enter(struct ws_stream *ws, enum ws_state state)
{
    static const bool is_legal[WS_STATE_COUNT][WS_STATE_COUNT] = {
        [WS_INNER] = {[WS_READ_HEAD] = true, [WS_SEND_HEAD] = true, [WS_ENDED] = true},
        [WS_READ_HEAD] = {[WS_SEND_HEAD] = true, [WS_OPEN] = true, [WS_ENDED] = true},
        [WS_SEND_HEAD] = {[WS_READ_HEAD] = true, [WS_OPEN] = true, [WS_ENDED] = true},
        [WS_OPEN] = {[WS_ENDED] = true},
    };
    NJ_ASSERT(is_legal[ws->state][state]);
    ws->state = (uint8_t)state;
}

static enum nj_err inner_fail(struct ws_stream *ws, enum nj_err err)
{
    return nj_stream_failf(&ws->base, err, "%s", nj_stream_error(ws->inner));
}

/* From now on nothing is read; `code` goes to the peer as soon as it can. */
static enum nj_err end_with(struct ws_stream *ws, enum nj_err err, uint16_t code, const char *text)
{
    if (ws->state != WS_ENDED) {
        ws_enter(ws, WS_ENDED);
        ws->end_err = (uint8_t)err;
        ws->close_code = code;
        ws->has_end_to_tell = true;
        (void)nj_stream_fail(&ws->base, err, text);
    }
    return (enum nj_err)ws->end_err;
}

/* ---- control frames ---- */

static struct control *control_get(struct ws_stream *ws)
{
    if (ws->control == NULL) {
        ws->control = nj_try_zalloc(sizeof(*ws->control));
    }
    return ws->control;
}

static void control_drop_if_idle(struct ws_stream *ws)
{
    const struct control *control = ws->control;
    bool is_coming = ws->in.in_payload && ws->in.opcode >= NJ_WS_CLOSE;
    if (control != NULL && !is_coming && !control->has_pong &&
        control->out_at == control->out_len) {
        nj_free(ws->control);
        ws->control = NULL;
    }
}

static void control_build(struct ws_stream *ws, struct control *control, enum nj_ws_opcode opcode,
                          const uint8_t *payload, size_t len)
{
    uint8_t mask[4];
    if (is_client(ws)) {
        nj_rand_bytes(mask, sizeof(mask));
    }
    size_t head = nj_ws_head_write(control->out, opcode, len, is_client(ws) ? mask : NULL);
    if (len > 0) {
        memcpy(control->out + head, payload, len);
    }
    if (is_client(ws)) {
        (void)nj_ws_mask(control->out + head, len, mask, 0);
    }
    control->out_len = (uint8_t)(head + len);
    control->out_at = 0;
}

/* Puts the next control frame together; false when none is due. */
static bool control_next(struct ws_stream *ws)
{
    if (ws->close_code != 0 && !ws->is_close_sent) {
        struct control *control = control_get(ws);
        if (control == NULL) {
            return false;
        }
        const uint8_t code[2] = {(uint8_t)(ws->close_code >> 8), (uint8_t)ws->close_code};
        control_build(ws, control, NJ_WS_CLOSE, code, sizeof(code));
        control->has_pong = false;
        ws->is_close_sent = true;
        return true;
    }
    struct control *control = ws->control;
    if (control != NULL && control->has_pong && !ws->is_close_sent) {
        control_build(ws, control, NJ_WS_PONG, control->pong, control->pong_len);
        control->has_pong = false;
        return true;
    }
    return false;
}

/* Sends what is due between two data frames. */
static enum nj_err control_pump(struct ws_stream *ws)
{
    while (!ws->is_frame_open) {
        struct control *control = ws->control;
        if (control == NULL || control->out_at == control->out_len) {
            if (!control_next(ws)) {
                break;
            }
            control = ws->control;
        }
        struct iovec iov = {control->out + control->out_at,
                            (size_t)(control->out_len - control->out_at)};
        size_t done = 0;
        enum nj_err err = nj_stream_writev(ws->inner, &iov, 1, &done);
        if (err == NJ_EAGAIN) {
            return NJ_EAGAIN;
        }
        if (err != NJ_OK) {
            return inner_fail(ws, err);
        }
        control->out_at = (uint8_t)(control->out_at + done);
        if (control->out_at < control->out_len) {
            return NJ_EAGAIN;
        }
    }
    control_drop_if_idle(ws);
    return NJ_OK;
}

/* ---- reading frames ---- */

/* Empty and control frames cost us and bring nothing: they have a budget. */
static bool is_glitch_allowed(struct ws_stream *ws)
{
    uint32_t now_ms = (uint32_t)nj_clock_mono_ms();
    uint32_t refill = (now_ms - ws->glitch_ms) / (1000 / GLITCH_PER_SECOND);
    if (refill > 0) {
        ws->glitches = refill < ws->glitches ? (uint16_t)(ws->glitches - refill) : 0;
        ws->glitch_ms = now_ms;
    }
    return ++ws->glitches <= GLITCH_BURST;
}

static void handle_close(struct ws_stream *ws)
{
    const struct control *control = ws->control;
    size_t len = control != NULL ? control->in_len : 0;
    uint16_t fault = nj_ws_close_fault(control != NULL ? control->in : NULL, len);
    if (fault != 0) {
        (void)end_with(ws, NJ_EPROTOCOL, fault, "WebSocket: malformed close frame");
        return;
    }
    uint16_t code = len >= 2 ? (uint16_t)(control->in[0] << 8 | control->in[1]) : NJ_WS_NORMAL;
    (void)end_with(ws, NJ_ECLOSED, code, "connection closed by the peer");
}

/* The payload of a frame is complete. */
static void frame_end(struct ws_stream *ws)
{
    ws->in.in_payload = false;
    if (ws->in.opcode == NJ_WS_CLOSE) {
        handle_close(ws);
    } else if (ws->in.opcode == NJ_WS_PING) {
        struct control *control = control_get(ws);
        if (control != NULL) {
            memcpy(control->pong, control->in, control->in_len);
            control->pong_len = control->in_len;
            control->has_pong = true;
        }
    }
    if (ws->control != NULL) {
        ws->control->in_len = 0;
    }
}

/* The head of a frame is complete. */
static void frame_begin(struct ws_stream *ws)
{
    bool is_control = ws->in.opcode >= NJ_WS_CLOSE;
    if ((is_control || ws->in.left == 0) && !is_glitch_allowed(ws)) {
        (void)end_with(ws, NJ_ELIMIT, NJ_WS_POLICY, "WebSocket: flood of control or empty frames");
    } else if (is_control && ws->in.left > 0 && control_get(ws) == NULL) {
        (void)end_with(ws, NJ_ENOMEM, NJ_WS_POLICY, "out of memory");
    } else if (ws->in.left == 0) {
        frame_end(ws);
    }
}

/* Takes one raw buffer apart, in place. Returns how many payload bytes are at its front. */
static size_t decode(struct ws_stream *ws, uint8_t *buf, size_t len)
{
    size_t out = 0;
    for (size_t at = 0; at < len && ws->state == WS_OPEN;) {
        if (!ws->in.in_payload) {
            struct nj_ws_fault fault = {0, NULL};
            enum nj_err err = nj_ws_in_head(&ws->in, buf[at++], &fault);
            if (err == NJ_OK) {
                frame_begin(ws);
            } else if (err != NJ_EAGAIN) {
                (void)end_with(ws, NJ_EPROTOCOL, fault.code, fault.text);
            }
            continue;
        }
        size_t part = len - at < ws->in.left ? len - at : (size_t)ws->in.left;
        if (ws->in.opcode < NJ_WS_CLOSE) {
            nj_ws_in_payload(&ws->in, buf + out, buf + at, part);
            out += part;
        } else {
            nj_ws_in_payload(&ws->in, ws->control->in + ws->control->in_len, buf + at, part);
            ws->control->in_len = (uint8_t)(ws->control->in_len + part);
        }
        at += part;
        if (ws->in.left == 0) {
            frame_end(ws);
        }
    }
    return out;
}

/* Raw bytes: first those that came with the upgrade. */
static enum nj_err read_raw(struct ws_stream *ws, void *buf, size_t len, size_t *got)
{
    if (ws->early.len == 0) {
        return nj_stream_read(ws->inner, buf, len, got);
    }
    size_t part = len < ws->early.len ? len : ws->early.len;
    memcpy(buf, ws->early.data, part);
    nj_buf_consume(&ws->early, part);
    if (ws->early.len == 0) {
        nj_buf_fini(&ws->early);
    }
    *got = part;
    return NJ_OK;
}

static enum nj_err ws_read(struct nj_stream *stream, void *buf, size_t len, size_t *got)
{
    struct ws_stream *ws = ws_of(stream);
    if (ws->state != WS_OPEN) {
        ws->has_end_to_tell = false;
        (void)control_pump(ws);
        return ws->state == WS_ENDED ? (enum nj_err)ws->end_err : NJ_EINVAL;
    }
    size_t raw = 0;
    enum nj_err err = read_raw(ws, buf, len, &raw);
    if (err == NJ_EAGAIN) {
        enum nj_err sent = control_pump(ws);
        return sent == NJ_OK ? NJ_EAGAIN : sent;
    }
    if (err != NJ_OK) {
        return inner_fail(ws, err);
    }
    *got = decode(ws, buf, raw);
    err = control_pump(ws);
    if (*got == 0 && ws->state == WS_ENDED) {
        ws->has_end_to_tell = false;
        return (enum nj_err)ws->end_err;
    }
    return err == NJ_OK || err == NJ_EAGAIN || *got > 0 ? NJ_OK : err;
}

static bool ws_has_pending(const struct nj_stream *stream)
{
    const struct ws_stream *ws = ws_of(stream);
    if (ws->state != WS_OPEN) {
        return ws->has_end_to_tell;
    }
    return ws->early.len > 0 || nj_stream_has_pending(ws->inner);
}

/* ---- writing frames ---- */

static void frame_open(struct ws_stream *ws, uint64_t len)
{
    uint8_t mask[4];
    if (is_client(ws)) {
        nj_rand_bytes(mask, sizeof(mask));
    }
    ws->out_head_len =
        (uint8_t)nj_ws_head_write(ws->out_head, NJ_WS_BINARY, len, is_client(ws) ? mask : NULL);
    ws->out_head_at = 0;
    ws->out_mask_at = 0;
    ws->out_left = len;
    ws->is_frame_open = true;
}

/* The rest of the head and as much payload behind `skip` as fits into one vector. */
static int build_vector(const struct ws_stream *ws, const struct iovec *iov, int iov_count,
                        size_t skip, struct iovec out[IOV_MAX_OUT])
{
    int count = 0;
    if (ws->out_head_at < ws->out_head_len) {
        out[count++] = (struct iovec){(void *)(ws->out_head + ws->out_head_at),
                                      (size_t)(ws->out_head_len - ws->out_head_at)};
    }
    uint64_t left = ws->out_left;
    for (int i = 0; i < iov_count && count < IOV_MAX_OUT && left > 0; i++) {
        if (skip >= iov[i].iov_len) {
            skip -= iov[i].iov_len;
            continue;
        }
        size_t part = iov[i].iov_len - skip;
        part = part < left ? part : (size_t)left;
        out[count++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, part};
        left -= part;
        skip = 0;
    }
    return count;
}

/* The same as one piece. A client masks it; a repeated attempt makes the same bytes, because mask
 * and position belong to the frame. */
static struct iovec build_chunk(const struct ws_stream *ws, const struct iovec *iov, int iov_count,
                                size_t skip, uint8_t chunk[CHUNK_BYTES])
{
    size_t head = (size_t)(ws->out_head_len - ws->out_head_at);
    memcpy(chunk, ws->out_head + ws->out_head_at, head);
    size_t want = CHUNK_BYTES - head;
    want = want < ws->out_left ? want : (size_t)ws->out_left;
    size_t len = nj_iov_gather(iov, iov_count, skip, chunk + head, want);
    if (is_client(ws)) {
        (void)nj_ws_mask(chunk + head, len, ws->out_head + ws->out_head_len - 4, ws->out_mask_at);
    }
    return (struct iovec){chunk, head + len};
}

/* One write of the open frame. *took = payload bytes taken; NJ_EAGAIN when the socket is full. */
static enum nj_err write_some(struct ws_stream *ws, const struct iovec *iov, int iov_count,
                              size_t skip, size_t *took)
{
    struct iovec out[IOV_MAX_OUT];
    uint8_t chunk[CHUNK_BYTES];
    int count = is_client(ws) ? 0 : build_vector(ws, iov, iov_count, skip, out);
    /* A record that is sealed already has to be offered whole, in however many pieces it is now. */
    if (count == 0 || nj_iov_bytes(out, count) < nj_stream_committed(ws->inner)) {
        out[0] = build_chunk(ws, iov, iov_count, skip, chunk);
        count = 1;
    }
    size_t offered = nj_iov_bytes(out, count);
    size_t done = 0;
    enum nj_err err = nj_stream_writev(ws->inner, out, count, &done);
    if (err != NJ_OK) {
        return err;
    }
    size_t head_part = (size_t)(ws->out_head_len - ws->out_head_at);
    head_part = done < head_part ? done : head_part;
    ws->out_head_at = (uint8_t)(ws->out_head_at + head_part);
    *took = done - head_part;
    ws->out_left -= *took;
    ws->out_mask_at = (uint8_t)((ws->out_mask_at + *took) & 3);
    if (ws->out_left == 0 && ws->out_head_at == ws->out_head_len) {
        ws->is_frame_open = false;
    }
    return done == offered ? NJ_OK : NJ_EAGAIN;
}

/* A frame of which nothing was sent need not be sent. */
static void frame_cancel_if_untouched(struct ws_stream *ws)
{
    if (ws->is_frame_open && ws->out_head_at == 0 && nj_stream_committed(ws->inner) == 0) {
        ws->is_frame_open = false;
    }
}

static enum nj_err ws_writev(struct nj_stream *stream, const struct iovec *iov, int iov_count,
                             size_t *written)
{
    struct ws_stream *ws = ws_of(stream);
    if (ws->state != WS_OPEN) {
        (void)control_pump(ws);
        return ws->state == WS_ENDED ? NJ_ECLOSED : NJ_EINVAL;
    }
    size_t total = nj_iov_bytes(iov, iov_count);
    size_t sum = 0;
    enum nj_err err = control_pump(ws);
    while (err == NJ_OK && sum < total) {
        if (!ws->is_frame_open) {
            frame_open(ws, total - sum);
        }
        size_t took = 0;
        err = write_some(ws, iov, iov_count, sum, &took);
        sum += took;
        if (err == NJ_OK && !ws->is_frame_open) {
            err = control_pump(ws);
        }
    }
    if (err == NJ_EAGAIN) {
        frame_cancel_if_untouched(ws);
    } else if (err != NJ_OK) {
        return inner_fail(ws, err);
    }
    *written = sum;
    return sum > 0 || total == 0 ? NJ_OK : err;
}

static size_t ws_committed(const struct nj_stream *stream)
{
    const struct ws_stream *ws = ws_of(stream);
    return ws->is_frame_open ? (size_t)ws->out_left : 0;
}

static enum nj_err ws_flush(struct nj_stream *stream)
{
    struct ws_stream *ws = ws_of(stream);
    enum nj_err err = control_pump(ws);
    return err == NJ_OK ? nj_stream_flush(ws->inner) : err;
}

/* ---- the upgrade ---- */

static void upgrade_free(struct ws_stream *ws)
{
    if (ws->upgrade != NULL) {
        nj_buf_fini(&ws->upgrade->head);
        nj_free(ws->upgrade);
        ws->upgrade = NULL;
    }
}

/* Our head is in `upgrade->head`: send what is left of it. */
static enum nj_err send_head(struct ws_stream *ws)
{
    struct upgrade *upgrade = ws->upgrade;
    while (upgrade->sent < upgrade->head.len) {
        struct iovec iov = {upgrade->head.data + upgrade->sent, upgrade->head.len - upgrade->sent};
        size_t done = 0;
        enum nj_err err = nj_stream_writev(ws->inner, &iov, 1, &done);
        if (err != NJ_OK) {
            return err == NJ_EAGAIN ? err : inner_fail(ws, err);
        }
        upgrade->sent += done;
    }
    return NJ_OK;
}

/* The whole head is there, perhaps with frames behind it: keep those, judge it. */
static enum nj_err judge_head(struct ws_stream *ws, size_t head_len)
{
    struct upgrade *upgrade = ws->upgrade;
    struct nj_bytes head = nj_bytes(upgrade->head.data, head_len);
    if (upgrade->head.len > head_len && nj_buf_append(&ws->early, upgrade->head.data + head_len,
                                                      upgrade->head.len - head_len) != NJ_OK) {
        return nj_stream_fail(&ws->base, NJ_ENOMEM, "out of memory");
    }
    if (is_client(ws)) {
        const char *fault = nj_ws_response_fault(head, upgrade->key, upgrade->protocol);
        if (fault != NULL) {
            return nj_stream_fail(&ws->base, NJ_EPROTOCOL, fault);
        }
        ws_enter(ws, WS_OPEN);
        return NJ_OK;
    }
    nj_ws_request_judge(head, upgrade->config, &upgrade->verdict);
    return NJ_OK;
}

static size_t header_max(const struct upgrade *upgrade)
{
    return upgrade->config != NULL && upgrade->config->header_max_bytes != 0
               ? upgrade->config->header_max_bytes
               : NJ_WS_HEADER_MAX_DEFAULT;
}

/* The server's answer, good or bad, becomes the head to send. */
static enum nj_err answer(struct ws_stream *ws)
{
    struct upgrade *upgrade = ws->upgrade;
    upgrade->head.len = 0;
    enum nj_err err = nj_ws_response_build(&upgrade->verdict, &upgrade->head);
    if (err != NJ_OK) {
        return nj_stream_fail(&ws->base, err, "out of memory");
    }
    ws_enter(ws, WS_SEND_HEAD);
    return NJ_OK;
}

/* Reads until the head is complete or cannot become one. NJ_OK: the state has changed. */
static enum nj_err read_head(struct ws_stream *ws)
{
    struct upgrade *upgrade = ws->upgrade;
    for (;;) {
        if (nj_buf_reserve(&upgrade->head, 2048) != NJ_OK) {
            return nj_stream_fail(&ws->base, NJ_ENOMEM, "out of memory");
        }
        size_t got = 0;
        enum nj_err err =
            nj_stream_read(ws->inner, upgrade->head.data + upgrade->head.len, 2048, &got);
        if (err != NJ_OK) {
            return err == NJ_EAGAIN ? err : inner_fail(ws, err);
        }
        upgrade->head.len += got;
        size_t head_len = 0;
        err = nj_ws_head_find(upgrade->head.data, upgrade->head.len, upgrade->seen, &head_len);
        upgrade->seen = upgrade->head.len;
        if (err == NJ_OK && head_len <= header_max(upgrade)) {
            err = judge_head(ws, head_len);
            if (err != NJ_OK || is_client(ws)) {
                return err;
            }
            return answer(ws);
        }
        if (err == NJ_EAGAIN && upgrade->head.len <= header_max(upgrade)) {
            continue;
        }
        if (is_client(ws)) {
            return nj_stream_fail(&ws->base, NJ_EPROTOCOL, "malformed WebSocket response");
        }
        upgrade->verdict = err == NJ_EMALFORMED
                               ? (struct nj_ws_upgrade){.status = 400, .why = "not HTTP"}
                               : (struct nj_ws_upgrade){.status = 431, .why = "headers too long"};
        return answer(ws);
    }
}

/* Our head is out. */
static enum nj_err head_sent(struct ws_stream *ws)
{
    struct upgrade *upgrade = ws->upgrade;
    if (is_client(ws)) {
        upgrade->head.len = 0;
        ws_enter(ws, WS_READ_HEAD);
        return NJ_OK;
    }
    if (upgrade->verdict.status != 101) {
        return nj_stream_failf(&ws->base, NJ_EPROTOCOL, "WebSocket upgrade refused: %d, %s",
                               upgrade->verdict.status, upgrade->verdict.why);
    }
    ws_enter(ws, WS_OPEN);
    return NJ_OK;
}

static enum nj_err begin_head(struct ws_stream *ws)
{
    enum nj_err err = nj_stream_handshake(ws->inner);
    if (err == NJ_OK) {
        ws_enter(ws, is_client(ws) ? WS_SEND_HEAD : WS_READ_HEAD);
    }
    return err == NJ_OK || err == NJ_EAGAIN ? err : inner_fail(ws, err);
}

static enum nj_err ws_handshake(struct nj_stream *stream)
{
    struct ws_stream *ws = ws_of(stream);
    enum nj_err err = NJ_OK;
    while (err == NJ_OK && ws->state != WS_OPEN) {
        switch (ws->state) {
        case WS_INNER:
            err = begin_head(ws);
            break;
        case WS_READ_HEAD:
            err = read_head(ws);
            break;
        case WS_SEND_HEAD:
            err = send_head(ws);
            if (err == NJ_OK) {
                err = head_sent(ws);
            }
            break;
        default:
            return (enum nj_err)ws->end_err;
        }
    }
    if (err != NJ_OK && err != NJ_EAGAIN && ws->state != WS_ENDED) {
        ws_enter(ws, WS_ENDED);
        ws->end_err = (uint8_t)err;
    }
    if (err != NJ_EAGAIN) {
        upgrade_free(ws);
    }
    return err;
}

/* ---- ends ---- */

static void ws_goodbye(struct nj_stream *stream)
{
    struct ws_stream *ws = ws_of(stream);
    if (ws->state == WS_OPEN) {
        (void)end_with(ws, NJ_ECLOSED, NJ_WS_NORMAL, "closed");
    }
    (void)control_pump(ws);
    ws->inner->ops->goodbye(ws->inner);
}

static void ws_free(struct nj_stream *stream)
{
    struct ws_stream *ws = ws_of(stream);
    upgrade_free(ws);
    nj_buf_fini(&ws->early);
    nj_free(ws->control);
    nj_stream_dispose(ws->inner);
}

static struct nj_tls_conn *ws_tls(const struct nj_stream *stream)
{
    return nj_stream_tls(ws_of(stream)->inner);
}

static const struct nj_stream_ops ws_ops = {
    .handshake = ws_handshake,
    .read = ws_read,
    .has_pending = ws_has_pending,
    .writev = ws_writev,
    .committed = ws_committed,
    .flush = ws_flush,
    .goodbye = ws_goodbye,
    .free = ws_free,
    .tls = ws_tls,
};

static enum nj_err ws_new(struct nj_stream *inner, bool expects_mask, struct ws_stream **out)
{
    struct ws_stream *ws = nj_try_zalloc(sizeof(*ws));
    struct upgrade *upgrade = nj_try_zalloc(sizeof(*upgrade));
    if (ws == NULL || upgrade == NULL) {
        nj_free(ws);
        nj_free(upgrade);
        return NJ_ENOMEM;
    }
    nj_stream_init(&ws->base, &ws_ops, inner->fd);
    ws->base.is_websocket = true;
    ws->inner = inner;
    ws->upgrade = upgrade;
    ws->in.expects_mask = expects_mask;
    ws->end_err = NJ_ECLOSED;
    nj_buf_init(&ws->early);
    nj_buf_init(&upgrade->head);
    *out = ws;
    return NJ_OK;
}

enum nj_err nj_stream_ws_server_new(struct nj_stream *inner,
                                    const struct nj_ws_server_config *config,
                                    struct nj_stream **out)
{
    struct ws_stream *ws = NULL;
    enum nj_err err = ws_new(inner, true, &ws);
    if (err == NJ_OK) {
        ws->upgrade->config = config;
        *out = &ws->base;
    }
    return err;
}

enum nj_err nj_stream_ws_client_new(struct nj_stream *inner,
                                    const struct nj_ws_client_config *config,
                                    struct nj_stream **out)
{
    struct ws_stream *ws = NULL;
    enum nj_err err = ws_new(inner, false, &ws);
    if (err != NJ_OK) {
        return err;
    }
    const char *protocol = config->protocol != NULL ? config->protocol : "mqtt";
    struct upgrade *upgrade = ws->upgrade;
    if (strlen(protocol) >= sizeof(upgrade->protocol)) {
        err = NJ_EINVAL;
    } else {
        memcpy(upgrade->protocol, protocol, strlen(protocol) + 1);
        err = nj_ws_request_build(config, upgrade->key, &upgrade->head);
    }
    if (err != NJ_OK) {
        upgrade_free(ws);
        nj_free(ws);
        return err;
    }
    *out = &ws->base;
    return NJ_OK;
}
