/* Fuzzes the WebSocket stream: upgrade and frames, as server and as client.
 *
 * The first byte says how: bit 0 = the upgrade is done for the input, which is frames then; bit 1 =
 * the client's side. The second byte seeds the sizes of pieces and buffers. Oracle: however the
 * same bytes are cut and whatever buffers they are read with, the same payload comes out and the
 * same end. */
#include <sys/socket.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/stream.h"

#define INPUT_MAX 16384

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char request[] = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

struct outcome {
    enum nj_err handshake;
    enum nj_err end; /* NJ_EAGAIN = still open */
    size_t len;
    uint8_t payload[INPUT_MAX];
};

struct run {
    struct nj_stream *stream;
    int peer;
    uint32_t dice; /* 0 = everything in one piece */
    size_t limit;  /* how many payload bytes are possible at all */
    bool is_handshaken;
    struct outcome *outcome;
};

static void need(bool holds)
{
    if (!holds) {
        abort();
    }
}

static size_t roll(struct run *run, size_t most)
{
    if (run->dice == 0 || most <= 1) {
        return most;
    }
    run->dice = run->dice * 1664525u + 1013904223u;
    size_t sides = (run->dice >> 8) % 3 == 0 ? 3 : most;
    return 1 + (run->dice >> 10) % (sides < most ? sides : most);
}

static void drain(struct run *run)
{
    struct outcome *outcome = run->outcome;
    uint8_t buf[1024];
    do {
        size_t got = 0;
        size_t len = roll(run, sizeof(buf));
        enum nj_err err = nj_stream_read(run->stream, buf, len, &got);
        if (err != NJ_OK) {
            outcome->end = err;
            return;
        }
        need(got <= len && outcome->len + got <= run->limit);
        memcpy(outcome->payload + outcome->len, buf, got);
        outcome->len += got;
    } while (nj_stream_has_pending(run->stream));
}

/* What the stream wrote is taken away, so that its socket never fills. */
static void take_answers(const struct run *run)
{
    uint8_t waste[4096];
    while (recv(run->peer, waste, sizeof(waste), MSG_DONTWAIT) > 0) {
    }
}

static void step(struct run *run)
{
    struct outcome *outcome = run->outcome;
    if (!run->is_handshaken) {
        outcome->handshake = nj_stream_handshake(run->stream);
        run->is_handshaken = outcome->handshake == NJ_OK;
    }
    if (run->is_handshaken && outcome->end == NJ_EAGAIN) {
        drain(run);
    }
    take_answers(run);
}

static void feed(struct run *run, const uint8_t *data, size_t size)
{
    const struct outcome *outcome = run->outcome;
    for (size_t at = 0;
         at < size && outcome->handshake <= NJ_EAGAIN && outcome->end == NJ_EAGAIN;) {
        size_t part = roll(run, size - at);
        ssize_t done = send(run->peer, data + at, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        need(done > 0);
        at += (size_t)done;
        step(run);
    }
}

static void play(const uint8_t *data, size_t size, unsigned how, uint32_t dice,
                 struct outcome *outcome)
{
    static const struct nj_ws_server_config server_config = {.header_max_bytes = 2048};
    static const struct nj_ws_client_config client_config = {.host = "localhost"};
    int fds[2];
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    struct nj_stream *tcp = NULL;
    struct run run = {.peer = fds[1], .dice = dice, .limit = size, .outcome = outcome};
    outcome->handshake = NJ_EAGAIN;
    outcome->end = NJ_EAGAIN;
    outcome->len = 0;
    need(nj_stream_tcp_new(fds[0], &tcp) == NJ_OK);
    if (how & 2) {
        need(nj_stream_ws_client_new(tcp, &client_config, &run.stream) == NJ_OK);
        need(nj_stream_handshake(run.stream) == NJ_EAGAIN);
        take_answers(&run);
    } else {
        need(nj_stream_ws_server_new(tcp, &server_config, &run.stream) == NJ_OK);
        if (how & 1) {
            feed(&run, (const uint8_t *)request, sizeof(request) - 1);
            need(run.is_handshaken);
        }
    }
    feed(&run, data, size);
    if (outcome->end != NJ_EAGAIN) {
        uint8_t byte;
        size_t got = 0;
        need(nj_stream_read(run.stream, &byte, 1, &got) == outcome->end);
        need(!nj_stream_has_pending(run.stream));
    }
    need(strlen(nj_stream_error(run.stream)) > 0);
    nj_stream_close(run.stream);
    nj_stream_free(run.stream);
    (void)close(fds[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct nj_clock_fake clock = {.mono_ns = 1000000000000, .wall_ns = 1};
    static struct outcome whole;
    static struct outcome pieces;
    if (size < 2 || size > INPUT_MAX) {
        return 0;
    }
    nj_clock_set_fake(&clock);
    play(data + 2, size - 2, data[0], 0, &whole);
    play(data + 2, size - 2, data[0], 1u + data[1], &pieces);
    need(whole.handshake == pieces.handshake ||
         (whole.handshake > NJ_EAGAIN && pieces.handshake > NJ_EAGAIN));
    need(whole.end == pieces.end && whole.len == pieces.len);
    need(memcmp(whole.payload, pieces.payload, whole.len) == 0);
    return 0;
}
