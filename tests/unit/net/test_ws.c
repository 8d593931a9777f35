/* WebSocket frames at the level of the stream, over TCP and TLS, as server and as client. */
#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "net/stream.h"
#include "support/test.h"
#include "unit/net/rig.h"

static const char request[] = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                              "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

static const struct nj_ws_server_config any_origin;

/* The server's stream, its upgrade done. */
static struct rig_ws begin(bool is_small)
{
    struct rig_ws ws = rig_ws_begin(&any_origin, is_small);
    rig_ws_say(&ws, request, sizeof(request) - 1);
    assert_int_equal(nj_stream_handshake(ws.stream), NJ_OK);
    char answer[1024];
    assert_true(recv(ws.raw, answer, sizeof(answer), 0) > 0);
    return ws;
}

/* A client's frame; returns its length. */
static size_t frame(uint8_t *out, uint8_t first, const void *payload, size_t len)
{
    static const uint8_t mask[4] = {0xde, 0xad, 0xbe, 0xef};
    size_t at = 0;
    out[at++] = first;
    if (len < 126) {
        out[at++] = (uint8_t)(0x80 | len);
    } else if (len < 65536) {
        out[at++] = 0x80 | 126;
        out[at++] = (uint8_t)(len >> 8);
        out[at++] = (uint8_t)len;
    } else {
        out[at++] = 0x80 | 127;
        for (int i = 7; i >= 0; i--) {
            out[at++] = (uint8_t)((uint64_t)len >> (8 * i));
        }
    }
    memcpy(out + at, mask, 4);
    at += 4;
    for (size_t i = 0; i < len; i++) {
        out[at++] = ((const uint8_t *)payload)[i] ^ mask[i & 3];
    }
    return at;
}

static void say_frame(const struct rig_ws *end, uint8_t first, const void *payload, size_t len)
{
    uint8_t *out = malloc(len + 14);
    size_t total = frame(out, first, payload, len);
    rig_ws_say(end, out, total);
    free(out);
}

/* Reads as a worker does; returns the error that ended it and appends what came. */
static enum nj_err drain(struct nj_stream *stream, uint8_t *buf, size_t size, size_t *sum)
{
    for (;;) {
        uint8_t spill[4096];
        size_t got = 0;
        bool has_room = *sum < size;
        enum nj_err err = nj_stream_read(stream, has_room ? buf + *sum : spill,
                                         has_room ? size - *sum : sizeof(spill), &got);
        if (err != NJ_OK) {
            return err;
        }
        *sum += got;
        if (!nj_stream_has_pending(stream)) {
            return NJ_EAGAIN;
        }
    }
}

/* Expects that these bytes end the connection with `code`, after `payload_len` bytes of data. */
static void expect_end(const void *data, size_t len, unsigned code, enum nj_err wanted,
                       size_t payload_len)
{
    struct rig_ws end = begin(false);
    rig_ws_say(&end, data, len);
    uint8_t buf[256];
    size_t sum = 0;
    enum nj_err err = drain(end.stream, buf, sizeof(buf), &sum);
    if (err != wanted) {
        fail_msg("%s (%s), wanted %s", nj_err_name(err), nj_stream_error(end.stream),
                 nj_err_name(wanted));
    }
    assert_int_equal(sum, payload_len);
    assert_true(strlen(nj_stream_error(end.stream)) > 8);
    /* It stays that way. */
    size_t got = 0;
    assert_int_equal(nj_stream_read(end.stream, buf, sizeof(buf), &got), wanted);
    assert_false(nj_stream_has_pending(end.stream));
    struct iovec iov = {buf, 1};
    assert_int_equal(nj_stream_writev(end.stream, &iov, 1, &got), NJ_ECLOSED);
    uint8_t answer[16];
    assert_int_equal(recv(end.raw, answer, sizeof(answer), MSG_DONTWAIT), 4);
    assert_int_equal(answer[0], 0x88);
    assert_int_equal(answer[1], 2);
    assert_int_equal(answer[2] << 8 | answer[3], code);
    nj_stream_close(end.stream);
    assert_int_equal(recv(end.raw, answer, sizeof(answer), MSG_DONTWAIT), 0); /* FIN, no more */
    nj_stream_free(end.stream);
    (void)close(end.raw);
}

static void data_goes_both_ways_in_binary_frames(void **state)
{
    (void)state;
    struct rig_ws end = begin(false);
    say_frame(&end, 0x82, "hello", 5);
    uint8_t buf[64];
    size_t sum = 0;
    assert_int_equal(drain(end.stream, buf, sizeof(buf), &sum), NJ_EAGAIN);
    assert_int_equal(sum, 5);
    assert_memory_equal(buf, "hello", 5);

    struct iovec iov[3] = {
        {(void *)(uintptr_t) "ab", 2}, {(void *)(uintptr_t) "", 0}, {(void *)(uintptr_t) "cde", 3}};
    size_t written = 0;
    assert_int_equal(nj_stream_writev(end.stream, iov, 3, &written), NJ_OK);
    assert_int_equal(written, 5);
    assert_int_equal(recv(end.raw, buf, sizeof(buf), 0), 7);
    assert_memory_equal(buf,
                        "\x82\x05"
                        "abcde",
                        7);
    assert_int_equal(nj_stream_writev(end.stream, iov, 0, &written), NJ_OK);
    assert_int_equal(written, 0);
    rig_ws_finish(&end);
}

static void B_219_frames_in_one_byte_pieces_and_one_byte_frames_work(void **state)
{
    (void)state;
    struct rig_ws end = begin(false);
    uint8_t payload[700];
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)i;
    }
    /* Lengths with 1, 3 and 9 bytes, an empty and a fragmented message, a ping in between. */
    uint8_t *raw = malloc(80000);
    static uint8_t large[66000];
    size_t len = 0;
    len += frame(raw + len, 0x82, payload, 100);
    len += frame(raw + len, 0x82, payload + 100, 300);
    len += frame(raw + len, 0x82, NULL, 0);
    len += frame(raw + len, 0x02, payload + 400, 100);
    len += frame(raw + len, 0x89, "ping", 4);
    len += frame(raw + len, 0x00, payload + 500, 100);
    len += frame(raw + len, 0x80, payload + 600, 100);
    uint8_t got_bytes[800];
    size_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        rig_ws_say(&end, raw + i, 1);
        assert_int_equal(drain(end.stream, got_bytes, sizeof(got_bytes), &sum), NJ_EAGAIN);
    }
    assert_int_equal(sum, sizeof(payload));
    assert_memory_equal(got_bytes, payload, sizeof(payload));

    /* One byte per frame. */
    sum = 0;
    for (size_t i = 0; i < 200; i++) {
        say_frame(&end, 0x82, payload + i, 1);
    }
    assert_int_equal(drain(end.stream, got_bytes, sizeof(got_bytes), &sum), NJ_EAGAIN);
    assert_int_equal(sum, 200);
    assert_memory_equal(got_bytes, payload, 200);

    /* Read with a buffer of one byte. */
    say_frame(&end, 0x82, payload, 50);
    for (size_t i = 0; i < 50;) {
        uint8_t byte;
        size_t got = 0;
        assert_int_equal(nj_stream_read(end.stream, &byte, 1, &got), NJ_OK);
        if (got == 1) {
            assert_int_equal(byte, payload[i]);
            i++;
        }
    }
    /* A 64-bit length that is needed. */
    sum = 0;
    for (size_t i = 0; i < sizeof(large); i++) {
        large[i] = (uint8_t)(i >> 3);
    }
    len = frame(raw, 0x82, large, sizeof(large));
    uint8_t *back = malloc(sizeof(large));
    for (size_t at = 0; at < len;) {
        size_t part = len - at < 7001 ? len - at : 7001;
        rig_ws_say(&end, raw + at, part);
        at += part;
        assert_int_equal(drain(end.stream, back, sizeof(large), &sum), NJ_EAGAIN);
    }
    assert_int_equal(sum, sizeof(large));
    assert_memory_equal(back, large, sizeof(large));
    free(back);
    free(raw);
    rig_ws_finish(&end);
}

static void B_211_an_unmasked_frame_is_1002(void **state)
{
    (void)state;
    expect_end("\x82\x05hello", 7, 1002, NJ_EPROTOCOL, 0);
    expect_end("\x89\x00", 2, 1002, NJ_EPROTOCOL, 0);
}

static void B_212_reserved_bits_are_1002(void **state)
{
    (void)state;
    static const uint8_t bits[] = {0x40, 0x20, 0x10, 0x70};
    for (size_t i = 0; i < sizeof(bits); i++) {
        uint8_t raw[64];
        size_t len = frame(raw, (uint8_t)(0x82 | bits[i]), "x", 1);
        expect_end(raw, len, 1002, NJ_EPROTOCOL, 0);
    }
    static const uint8_t opcodes[] = {3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf};
    for (size_t i = 0; i < sizeof(opcodes); i++) {
        uint8_t raw[64];
        size_t len = frame(raw, (uint8_t)(0x80 | opcodes[i]), "x", 1);
        expect_end(raw, len, 1002, NJ_EPROTOCOL, 0);
    }
}

static void B_214_a_text_frame_is_1003_but_what_came_before_counts(void **state)
{
    (void)state;
    uint8_t raw[64];
    size_t len = frame(raw, 0x82, "data", 4);
    len += frame(raw + len, 0x81, "text", 4);
    expect_end(raw, len, 1003, NJ_EPROTOCOL, 4);
    len = frame(raw, 0x01, "text", 4);
    expect_end(raw, len, 1003, NJ_EPROTOCOL, 0);
}

static void B_215_long_or_fragmented_control_frames_are_1002(void **state)
{
    (void)state;
    uint8_t payload[200] = {0};
    uint8_t raw[256];
    static const uint8_t opcodes[] = {8, 9, 10};
    for (size_t i = 0; i < sizeof(opcodes); i++) {
        size_t len = frame(raw, 0x80 | opcodes[i], payload, 126);
        expect_end(raw, len, 1002, NJ_EPROTOCOL, 0);
        len = frame(raw, opcodes[i], payload, 5);
        expect_end(raw, len, 1002, NJ_EPROTOCOL, 0);
    }
}

static void B_216_fragments_out_of_order_are_1002(void **state)
{
    (void)state;
    uint8_t raw[64];
    size_t len = frame(raw, 0x80, "x", 1);
    expect_end(raw, len, 1002, NJ_EPROTOCOL, 0);
    len = frame(raw, 0x02, "x", 1);
    len += frame(raw + len, 0x82, "y", 1);
    expect_end(raw, len, 1002, NJ_EPROTOCOL, 1);
    len = frame(raw, 0x82, "x", 1);
    len += frame(raw + len, 0x00, "y", 1);
    expect_end(raw, len, 1002, NJ_EPROTOCOL, 1);
}

static void B_217_impossible_lengths_are_refused_at_the_head(void **state)
{
    (void)state;
    expect_end("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x01", 10, 1009, NJ_EPROTOCOL, 0);
    expect_end("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10, 1009, NJ_EPROTOCOL, 0);
    expect_end("\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00", 10, 1009, NJ_EPROTOCOL, 0);
    /* Not the shortest form. */
    expect_end("\x82\xfe\x00\x7d", 4, 1002, NJ_EPROTOCOL, 0);
    expect_end("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10, 1002, NJ_EPROTOCOL, 0);
}

static void B_220_a_flood_of_empty_fragments_ends_it(void **state)
{
    (void)state;
    struct nj_clock_fake clock = {.mono_ns = 1000000000000, .wall_ns = 1000};
    nj_clock_set_fake(&clock);
    struct rig_ws end = begin(false);
    uint8_t raw[64];
    uint8_t buf[64];
    size_t sum = 0;
    size_t len = frame(raw, 0x02, NULL, 0);
    enum nj_err err = NJ_EAGAIN;
    int frames = 0;
    while (err == NJ_EAGAIN && frames < 1000) {
        rig_ws_say(&end, raw, len);
        len = frame(raw, 0x00, NULL, 0);
        err = drain(end.stream, buf, sizeof(buf), &sum);
        frames++;
    }
    assert_int_equal(err, NJ_ELIMIT);
    assert_true(frames > 50 && frames < 200);
    rig_ws_finish(&end);

    /* At a normal pace nothing happens. */
    end = begin(false);
    for (int i = 0; i < 1000; i++) {
        clock.mono_ns += 60000000;
        say_frame(&end, 0x82, NULL, 0);
        assert_int_equal(drain(end.stream, buf, sizeof(buf), &sum), NJ_EAGAIN);
    }
    rig_ws_finish(&end);
    nj_clock_set_fake(NULL);
}

static void B_221_pings_are_answered_coalesced_and_limited(void **state)
{
    (void)state;
    struct rig_ws end = begin(false);
    uint8_t raw[2048];
    uint8_t buf[2048];
    size_t sum = 0;
    say_frame(&end, 0x89, "one", 3);
    assert_int_equal(drain(end.stream, buf, sizeof(buf), &sum), NJ_EAGAIN);
    assert_int_equal(recv(end.raw, buf, sizeof(buf), MSG_DONTWAIT), 5);
    assert_memory_equal(buf, "\x8a\x03one", 5);

    /* Twenty in one segment: the last one is answered. Data between them gets through. */
    size_t len = 0;
    for (int i = 0; i < 20; i++) {
        char text[8];
        (void)snprintf(text, sizeof(text), "%03d", i);
        len += frame(raw + len, 0x89, text, 3);
        len += frame(raw + len, 0x82, "d", 1);
    }
    rig_ws_say(&end, raw, len);
    assert_int_equal(drain(end.stream, buf, sizeof(buf), &sum), NJ_EAGAIN);
    assert_int_equal(sum, 20);
    assert_int_equal(recv(end.raw, buf, sizeof(buf), MSG_DONTWAIT), 5);
    assert_memory_equal(buf,
                        "\x8a\x03"
                        "019",
                        5);
    /* An unasked pong is nothing. */
    say_frame(&end, 0x8a, "x", 1);
    assert_int_equal(drain(end.stream, buf, sizeof(buf), &sum), NJ_EAGAIN);
    assert_int_equal(recv(end.raw, buf, sizeof(buf), MSG_DONTWAIT), -1);
    rig_ws_finish(&end);

    struct nj_clock_fake clock = {.mono_ns = 1000000000000, .wall_ns = 1000};
    nj_clock_set_fake(&clock);
    end = begin(false);
    enum nj_err err = NJ_EAGAIN;
    int pings = 0;
    while (err == NJ_EAGAIN && pings < 1000) {
        say_frame(&end, 0x89, "x", 1);
        err = drain(end.stream, buf, sizeof(buf), &sum);
        pings++;
    }
    assert_int_equal(err, NJ_ELIMIT);
    assert_true(pings < 200);
    rig_ws_finish(&end);
    nj_clock_set_fake(NULL);
}

static void B_222_close_frames(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        size_t len;
        unsigned code;
        enum nj_err err;
    } rows[] = {
        {"", 0, 1000, NJ_ECLOSED},
        {"\x03\xe8", 2, 1000, NJ_ECLOSED},
        {"\x03\xe9going away", 12, 1001, NJ_ECLOSED},
        {"\x0f\xa0\xc3\xa4", 4, 4000, NJ_ECLOSED},
        {"\x03\xec", 2, 1002, NJ_EPROTOCOL}, /* 1004 */
        {"\x03\xed", 2, 1002, NJ_EPROTOCOL}, /* 1005 */
        {"\x03\xee", 2, 1002, NJ_EPROTOCOL}, /* 1006 */
        {"\x03\xf7", 2, 1002, NJ_EPROTOCOL}, /* 1015 */
        {"\x03\xe7", 2, 1002, NJ_EPROTOCOL}, /* 999 */
        {"\x13\x88", 2, 1002, NJ_EPROTOCOL}, /* 5000 */
        {"\x03", 1, 1002, NJ_EPROTOCOL},
        {"\x03\xe8\xff", 3, 1007, NJ_EPROTOCOL},
        {"\x03\xe8\xed\xa0\x80", 5, 1007, NJ_EPROTOCOL},
        {"\x03\xe8\xc3", 3, 1007, NJ_EPROTOCOL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t raw[64];
        size_t len = frame(raw, 0x82, "bye", 3);
        len += frame(raw + len, 0x88, rows[i].payload, rows[i].len);
        len += frame(raw + len, 0x82, "too late", 8);
        expect_end(raw, len, rows[i].code, rows[i].err, 3);
    }
}

static void a_close_of_ours_says_1000_and_an_abrupt_end_of_theirs_is_an_end(void **state)
{
    (void)state;
    struct rig_ws end = begin(false);
    nj_stream_close(end.stream);
    uint8_t buf[16];
    assert_int_equal(recv(end.raw, buf, sizeof(buf), MSG_DONTWAIT), 4);
    assert_memory_equal(buf, "\x88\x02\x03\xe8", 4);
    nj_stream_free(end.stream);
    (void)close(end.raw);

    end = begin(false);
    (void)close(end.raw);
    size_t sum = 0;
    assert_int_equal(drain(end.stream, buf, sizeof(buf), &sum), NJ_ECLOSED);
    nj_stream_free(end.stream);
}

/* Sends TOTAL bytes with a full socket in between, in changing pieces, and checks the frames. */
static void short_writes_keep_the_frame_and_hold_control_frames_back(void **state)
{
    (void)state;
    enum {
        TOTAL = 300000
    };
    struct rig_ws end = begin(true);
    uint8_t *data = malloc(TOTAL);
    uint8_t *raw = malloc(TOTAL * 2);
    for (size_t i = 0; i < TOTAL; i++) {
        data[i] = (uint8_t)(i % 253);
    }
    size_t sent = 0;
    size_t raw_len = 0;
    int pings = 0;
    bool was_committed = false;
    srand(11);
    while (sent < TOTAL) {
        struct iovec iov[100];
        int count = 0;
        size_t offer = sent;
        size_t committed = nj_stream_committed(end.stream);
        was_committed = was_committed || committed > 0;
        while (offer < TOTAL && (count < 99 || offer - sent < committed)) {
            size_t part = count < 99 ? 1 + (size_t)rand() % 900 : committed - (offer - sent);
            part = part < TOTAL - offer ? part : TOTAL - offer;
            iov[count++] = (struct iovec){data + offer, part};
            offer += part;
        }
        size_t part = 0;
        enum nj_err err = nj_stream_writev(end.stream, iov, count, &part);
        assert_true(err == NJ_OK || err == NJ_EAGAIN);
        sent += err == NJ_OK ? part : 0;
        if (rand() % 4 == 0 && pings < 50) {
            uint8_t buf[64];
            size_t got = 0;
            say_frame(&end, 0x89, "!", 1);
            pings++;
            enum nj_err read_err = nj_stream_read(end.stream, buf, sizeof(buf), &got);
            assert_true(read_err == NJ_OK || read_err == NJ_EAGAIN);
        }
        ssize_t got = recv(end.raw, raw + raw_len, 1 + (size_t)rand() % 9000, MSG_DONTWAIT);
        raw_len += got > 0 ? (size_t)got : 0;
    }
    while (nj_stream_flush(end.stream) == NJ_EAGAIN) {
        ssize_t got = recv(end.raw, raw + raw_len, 65536, MSG_DONTWAIT);
        raw_len += got > 0 ? (size_t)got : 0;
    }
    ssize_t got;
    while ((got = recv(end.raw, raw + raw_len, 65536, MSG_DONTWAIT)) > 0) {
        raw_len += (size_t)got;
    }
    size_t at = 0;
    size_t payload = 0;
    while (at < raw_len) {
        uint8_t first = raw[at];
        size_t len = raw[at + 1];
        at += 2;
        if (len == 126) {
            len = (size_t)raw[at] << 8 | raw[at + 1];
            at += 2;
        } else if (len == 127) {
            len = 0;
            for (int i = 0; i < 8; i++) {
                len = len << 8 | raw[at++];
            }
        }
        assert_true(first == 0x82 || (first == 0x8a && len == 1 && raw[at] == '!'));
        assert_true(at + len <= raw_len);
        if (first == 0x82) {
            assert_memory_equal(raw + at, data + payload, len);
            payload += len;
        }
        at += len;
    }
    assert_int_equal(payload, TOTAL);
    assert_true(was_committed);
    assert_int_equal(nj_stream_committed(end.stream), 0);
    free(data);
    free(raw);
    rig_ws_finish(&end);
}

static void a_frame_that_did_not_leave_at_all_is_forgotten(void **state)
{
    (void)state;
    struct rig_ws end = begin(true);
    static uint8_t data[65536];
    struct iovec iov = {data, sizeof(data)};
    size_t written = 0;
    enum nj_err err;
    do {
        err = nj_stream_writev(end.stream, &iov, 1, &written);
    } while (err == NJ_OK && written == sizeof(data));
    size_t committed = nj_stream_committed(end.stream);
    assert_true(committed > 0);
    uint8_t waste[65536];
    /* The frame is finished with other bytes of the same number; then the socket is full again. */
    while (committed > 0) {
        while (recv(end.raw, waste, sizeof(waste), MSG_DONTWAIT) > 0) {
        }
        iov.iov_len = committed;
        if (nj_stream_writev(end.stream, &iov, 1, &written) == NJ_OK) {
            committed -= written;
        }
        assert_int_equal(nj_stream_committed(end.stream), committed);
    }
    rig_ws_finish(&end);
}

/* ---- both roles, over TLS, too ---- */

static void exchange(struct nj_stream *server, struct nj_stream *client)
{
    enum nj_err errs[2];
    rig_handshake(server, client, &errs[0], &errs[1]);
    if (errs[0] != NJ_OK || errs[1] != NJ_OK) {
        fail_msg("handshake: %s, %s", nj_stream_error(server), nj_stream_error(client));
    }
    enum {
        LEN = 150000
    };
    uint8_t *data = malloc(LEN);
    uint8_t *received = malloc(LEN);
    for (size_t i = 0; i < LEN; i++) {
        data[i] = (uint8_t)(i * 7 >> 2);
    }
    rig_send(client, server, data, LEN, received);
    assert_memory_equal(data, received, LEN);
    memset(received, 0, LEN);
    rig_send(server, client, data, LEN, received);
    assert_memory_equal(data, received, LEN);
    for (size_t len = 1; len < 140; len++) {
        rig_send(client, server, data, len, received);
        rig_send(server, client, data, len, received);
        assert_memory_equal(data, received, len);
    }
    free(data);
    free(received);
    nj_stream_close(client);
    uint8_t buf[64];
    size_t sum = 0;
    assert_int_equal(drain(server, buf, sizeof(buf), &sum), NJ_ECLOSED);
    nj_stream_close(server);
    nj_stream_free(client);
    nj_stream_free(server);
}

static void client_and_server_talk_over_tcp(void **state)
{
    (void)state;
    for (int is_small = 0; is_small < 2; is_small++) {
        int fds[2];
        rig_pair(fds, is_small);
        struct nj_stream *inner[2];
        struct nj_stream *ends[2];
        const struct nj_ws_client_config config = {.host = "localhost"};
        assert_int_equal(nj_stream_tcp_new(fds[0], &inner[0]), NJ_OK);
        assert_int_equal(nj_stream_tcp_new(fds[1], &inner[1]), NJ_OK);
        assert_int_equal(nj_stream_ws_server_new(inner[0], &any_origin, &ends[0]), NJ_OK);
        assert_int_equal(nj_stream_ws_client_new(inner[1], &config, &ends[1]), NJ_OK);
        exchange(ends[0], ends[1]);
    }
}

static void B_226_client_and_server_talk_over_tls_with_the_same_certificate_rules(void **state)
{
    (void)state;
    struct rig_pki pki;
    rig_pki_init(&pki);
    struct nj_tls_server_config server_config = rig_server_config(&pki, true);
    struct nj_tls_server *server = rig_server(&server_config, NULL);
    const struct nj_ws_client_config config = {.host = "localhost"};
    for (int i = 0; i < 3; i++) {
        bool has_cert = i > 0;
        struct nj_tls_client_config client_config = rig_client_config(&pki, has_cert);
        struct nj_tls_client *client = rig_client(&client_config);
        int fds[2];
        rig_pair(fds, i == 2);
        struct nj_stream *inner[2];
        struct nj_stream *ends[2];
        assert_int_equal(nj_stream_tls_server_new(fds[0], server, &inner[0]), NJ_OK);
        assert_int_equal(nj_stream_tls_client_new(fds[1], client, "localhost", &inner[1]), NJ_OK);
        assert_int_equal(nj_stream_ws_server_new(inner[0], &any_origin, &ends[0]), NJ_OK);
        assert_int_equal(nj_stream_ws_client_new(inner[1], &config, &ends[1]), NJ_OK);
        if (has_cert) {
            assert_non_null(nj_stream_tls(ends[0]));
            exchange(ends[0], ends[1]);
        } else {
            enum nj_err errs[2];
            rig_handshake(ends[0], ends[1], &errs[0], &errs[1]);
            assert_int_equal(errs[0], NJ_ENOENT);
            assert_non_null(strstr(nj_stream_error(ends[0]), "did not provide a certificate"));
            nj_stream_free(ends[0]);
            nj_stream_free(ends[1]);
        }
        nj_tls_client_unref(client);
    }
    nj_tls_server_unref(server);
    rig_pki_fini(&pki);
}

static void a_client_refuses_masked_frames(void **state)
{
    (void)state;
    int fds[2];
    rig_pair(fds, false);
    struct nj_stream *inner[2];
    struct nj_stream *ends[2];
    const struct nj_ws_client_config config = {.host = "localhost"};
    assert_int_equal(nj_stream_tcp_new(fds[0], &inner[0]), NJ_OK);
    assert_int_equal(nj_stream_tcp_new(fds[1], &inner[1]), NJ_OK);
    assert_int_equal(nj_stream_ws_server_new(inner[0], &any_origin, &ends[0]), NJ_OK);
    assert_int_equal(nj_stream_ws_client_new(inner[1], &config, &ends[1]), NJ_OK);
    enum nj_err errs[2];
    rig_handshake(ends[0], ends[1], &errs[0], &errs[1]);
    assert_int_equal(errs[1], NJ_OK);
    uint8_t raw[64];
    size_t len = frame(raw, 0x82, "x", 1);
    assert_int_equal(send(fds[0], raw, len, 0), len);
    size_t sum = 0;
    assert_int_equal(drain(ends[1], raw, sizeof(raw), &sum), NJ_EPROTOCOL);
    /* Its close frame reaches the server, masked. */
    assert_int_equal(drain(ends[0], raw, sizeof(raw), &sum), NJ_ECLOSED);
    nj_stream_free(ends[0]);
    nj_stream_free(ends[1]);
}

static void every_failing_allocation_is_survived(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 15; nth++) {
        int fds[2];
        rig_pair(fds, false);
        uint8_t raw[1024];
        memcpy(raw, request, sizeof(request) - 1);
        size_t len = sizeof(request) - 1;
        len += frame(raw + len, 0x82, "data", 4);
        len += frame(raw + len, 0x89, "ping", 4);
        len += frame(raw + len, 0x88, "", 0);
        assert_int_equal(send(fds[1], raw, len, 0), len);
        struct nj_stream *tcp = NULL;
        struct nj_stream *stream = NULL;
        assert_int_equal(nj_stream_tcp_new(fds[0], &tcp), NJ_OK);
        nj_fault_arm(NJ_FAULT_ALLOC, nth, false);
        if (nj_stream_ws_server_new(tcp, &any_origin, &stream) != NJ_OK) {
            nj_fault_disarm();
            nj_stream_free(tcp);
            (void)close(fds[1]);
            continue;
        }
        if (nj_stream_handshake(stream) == NJ_OK) {
            uint8_t buf[64];
            size_t sum = 0;
            enum nj_err err = drain(stream, buf, sizeof(buf), &sum);
            assert_true(err != NJ_OK && err != NJ_EAGAIN);
        }
        nj_stream_close(stream);
        nj_fault_disarm();
        nj_stream_free(stream);
        (void)close(fds[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_goes_both_ways_in_binary_frames),
        cmocka_unit_test(B_219_frames_in_one_byte_pieces_and_one_byte_frames_work),
        cmocka_unit_test(B_211_an_unmasked_frame_is_1002),
        cmocka_unit_test(B_212_reserved_bits_are_1002),
        cmocka_unit_test(B_214_a_text_frame_is_1003_but_what_came_before_counts),
        cmocka_unit_test(B_215_long_or_fragmented_control_frames_are_1002),
        cmocka_unit_test(B_216_fragments_out_of_order_are_1002),
        cmocka_unit_test(B_217_impossible_lengths_are_refused_at_the_head),
        cmocka_unit_test(B_220_a_flood_of_empty_fragments_ends_it),
        cmocka_unit_test(B_221_pings_are_answered_coalesced_and_limited),
        cmocka_unit_test(B_222_close_frames),
        cmocka_unit_test(a_close_of_ours_says_1000_and_an_abrupt_end_of_theirs_is_an_end),
        cmocka_unit_test(short_writes_keep_the_frame_and_hold_control_frames_back),
        cmocka_unit_test(a_frame_that_did_not_leave_at_all_is_forgotten),
        cmocka_unit_test(client_and_server_talk_over_tcp),
        cmocka_unit_test(B_226_client_and_server_talk_over_tls_with_the_same_certificate_rules),
        cmocka_unit_test(a_client_refuses_masked_frames),
        cmocka_unit_test(every_failing_allocation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
