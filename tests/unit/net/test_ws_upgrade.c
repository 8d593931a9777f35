/* The HTTP upgrade: which requests become WebSocket connections, and what the others hear. */
#include <sys/socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/stream.h"
#include "support/test.h"
#include "unit/net/rig.h"

#define KEY     "dGhlIHNhbXBsZSBub25jZQ=="
#define START   "GET /mqtt HTTP/1.1\r\n"
#define HOST    "Host: localhost\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEYLINE "Sec-WebSocket-Key: " KEY "\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define MQTT    "Sec-WebSocket-Protocol: mqtt\r\n"
#define GOOD    START HOST UPGRADE KEYLINE VERSION

static const char answer_101[] = "HTTP/1.1 101 Switching Protocols\r\n"
                                 "Upgrade: WebSocket\r\n"
                                 "Connection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                                 "Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/* What the client has got so far, as a string. */
static size_t hear(const struct rig_ws *end, char *out, size_t size)
{
    ssize_t got = recv(end->raw, out, size - 1, MSG_DONTWAIT);
    out[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

/* Sends one request; the status that comes back, 0 = none yet. */
static int status_of(const struct nj_ws_server_config *config, const void *request, size_t len)
{
    struct rig_ws end = rig_ws_begin(config, false);
    enum nj_err err = NJ_EAGAIN;
    /* In pieces that a socket takes. */
    for (size_t at = 0; at < len && err == NJ_EAGAIN;) {
        size_t part = len - at < 50000 ? len - at : 50000;
        rig_ws_say(&end, (const char *)request + at, part);
        at += part;
        err = nj_stream_handshake(end.stream);
    }
    char answer[1024];
    int status = 0;
    if (hear(&end, answer, sizeof(answer)) > 0) {
        assert_int_equal(sscanf(answer, "HTTP/1.1 %d ", &status), 1);
        assert_non_null(strstr(answer, "\r\n\r\n"));
    }
    assert_int_equal(err == NJ_OK, status == 101);
    if (err == NJ_EPROTOCOL) {
        assert_non_null(strstr(nj_stream_error(end.stream), "WebSocket upgrade refused"));
        assert_non_null(strstr(answer, "Connection: close\r\n"));
        assert_non_null(strstr(answer, "Content-Length: 0\r\n"));
        /* Refused is refused, whatever is asked afterwards. */
        assert_int_equal(nj_stream_handshake(end.stream), NJ_EPROTOCOL);
    }
    rig_ws_finish(&end);
    return status;
}

struct row {
    const char *what;
    const char *request;
    int status;
};

static void check(const struct row *rows, size_t count)
{
    const struct nj_ws_server_config config = {0};
    for (size_t i = 0; i < count; i++) {
        int status = status_of(&config, rows[i].request, strlen(rows[i].request));
        if (status != rows[i].status) {
            fail_msg("%s: %d, wanted %d", rows[i].what, status, rows[i].status);
        }
    }
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof(rows[0]))

static void the_answer_is_the_originals_byte_for_byte(void **state)
{
    (void)state;
    const struct nj_ws_server_config config = {0};
    struct rig_ws end = rig_ws_begin(&config, false);
    rig_ws_say(&end, GOOD MQTT "\r\n", strlen(GOOD MQTT "\r\n"));
    assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
    assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
    char answer[1024];
    (void)hear(&end, answer, sizeof(answer));
    assert_string_equal(answer, answer_101);
    assert_true(nj_stream_is_websocket(end.stream));
    rig_ws_finish(&end);
}

static void B_200_without_a_known_subprotocol_it_is_400(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"none", GOOD "\r\n", 400},
        {"empty", GOOD "Sec-WebSocket-Protocol: \r\n\r\n", 400},
        {"unknown", GOOD "Sec-WebSocket-Protocol: chat, superchat\r\n\r\n", 400},
        {"other case", GOOD "Sec-WebSocket-Protocol: MQTT\r\n\r\n", 400},
        {"longer", GOOD "Sec-WebSocket-Protocol: mqttx\r\n\r\n", 400},
        {"mqtt", GOOD MQTT "\r\n", 101},
    };
    CHECK(rows);
}

static void B_201_the_subprotocol_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *offer;
        const char *chosen;
    } rows[] = {
        {"Sec-WebSocket-Protocol: mqttv3.1, foo, mqtt\r\n", "mqtt"},
        {"Sec-WebSocket-Protocol: mqttv3.1\r\n", "mqttv3.1"},
        {"Sec-WebSocket-Protocol:mqtt,mqttv3.1\r\n", "mqtt"},
        {"sec-websocket-protocol: ,, mqtt ,\r\n", "mqtt"},
        {"Sec-WebSocket-Protocol: foo\r\nSec-WebSocket-Protocol: mqttv3.1\r\n", "mqttv3.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct nj_ws_server_config config = {0};
        struct rig_ws end = rig_ws_begin(&config, false);
        char request[1024];
        int len = snprintf(request, sizeof(request), GOOD "%s\r\n", rows[i].offer);
        rig_ws_say(&end, request, (size_t)len);
        assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
        char answer[1024];
        char wanted[128];
        (void)hear(&end, answer, sizeof(answer));
        (void)snprintf(wanted, sizeof(wanted), "\r\nSec-WebSocket-Protocol: %s\r\n\r\n",
                       rows[i].chosen);
        assert_non_null(strstr(answer, wanted));
        rig_ws_finish(&end);
    }
}

static void B_202_another_version_is_426_with_13(void **state)
{
    (void)state;
    static const char *const versions[] = {"8", "0", "99", "013", "13.0", "13, 8", ""};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        const struct nj_ws_server_config config = {0};
        struct rig_ws end = rig_ws_begin(&config, false);
        char request[1024];
        int len = snprintf(request, sizeof(request),
                           START HOST UPGRADE KEYLINE MQTT "Sec-WebSocket-Version: %s\r\n\r\n",
                           versions[i]);
        rig_ws_say(&end, request, (size_t)len);
        assert_int_equal(nj_stream_handshake(end.stream), NJ_EPROTOCOL);
        char answer[1024];
        (void)hear(&end, answer, sizeof(answer));
        assert_non_null(strstr(answer, "HTTP/1.1 426 Upgrade Required\r\n"));
        assert_non_null(strstr(answer, "\r\nSec-WebSocket-Version: 13\r\n"));
        rig_ws_finish(&end);
    }
    static const struct row rows[] = {
        {"no version", START HOST UPGRADE KEYLINE MQTT "\r\n", 400},
        {"two versions", GOOD VERSION MQTT "\r\n", 400},
    };
    CHECK(rows);
}

static void B_204_with_a_list_the_origin_has_to_be_on_it(void **state)
{
    (void)state;
    static const char *const origins[] = {"https://app.example.com", "http://localhost:8080"};
    const struct nj_ws_server_config config = {.origins = origins, .origins_count = 2};
    const struct nj_ws_server_config any = {0};
    static const struct row rows[] = {
        {"on it", GOOD MQTT "Origin: https://app.example.com\r\n\r\n", 101},
        {"on it, other case", GOOD MQTT "Origin: HTTPS://App.Example.com\r\n\r\n", 101},
        {"with port", GOOD MQTT "Origin: http://localhost:8080\r\n\r\n", 101},
        {"none", GOOD MQTT "\r\n", 403},
        {"null", GOOD MQTT "Origin: null\r\n\r\n", 403},
        {"empty", GOOD MQTT "Origin:\r\n\r\n", 403},
        {"longer", GOOD MQTT "Origin: https://app.example.com.evil.org\r\n\r\n", 403},
        {"shorter", GOOD MQTT "Origin: https://app.example.co\r\n\r\n", 403},
        {"other scheme", GOOD MQTT "Origin: http://app.example.com\r\n\r\n", 403},
        {"two", GOOD MQTT "Origin: https://app.example.com\r\nOrigin: https://evil.org\r\n\r\n",
         403},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int status = status_of(&config, rows[i].request, strlen(rows[i].request));
        if (status != rows[i].status) {
            fail_msg("%s: %d, wanted %d", rows[i].what, status, rows[i].status);
        }
        assert_int_equal(status_of(&any, rows[i].request, strlen(rows[i].request)), 101);
    }
}

static void B_205_other_methods_and_versions_of_http_are_400(void **state)
{
    (void)state;
#define REST HOST UPGRADE KEYLINE VERSION MQTT "\r\n"
    static const struct row rows[] = {
        {"POST", "POST /mqtt HTTP/1.1\r\n" REST, 400},
        {"get", "get /mqtt HTTP/1.1\r\n" REST, 400},
        {"HEAD", "HEAD /mqtt HTTP/1.1\r\n" REST, 400},
        {"HTTP/1.0", "GET /mqtt HTTP/1.0\r\n" REST, 400},
        {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
        {"HTTP/0.9", "GET /mqtt\r\n\r\n", 400},
        {"MQTT", "\x10\x0c", 400},
        {"TLS", "\x16\x03\x01", 400},
        {"empty line first", "\r\nGET /mqtt HTTP/1.1\r\n" REST, 400},
        {"two spaces", "GET  /mqtt HTTP/1.1\r\n" REST, 400},
    };
    CHECK(rows);
}

static void B_206_malformed_heads_are_400(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"folded line", GOOD "X-Long: a\r\n b\r\n" MQTT "\r\n", 400},
        {"bare LF", "GET /mqtt HTTP/1.1\n" HOST UPGRADE KEYLINE VERSION MQTT "\r\n", 400},
        {"bare LF at the end", GOOD MQTT "\n", 400},
        {"space before colon", GOOD "X-A : b\r\n" MQTT "\r\n", 400},
        {"no colon", GOOD "X-A\r\n" MQTT "\r\n", 400},
        {"no name", GOOD ": b\r\n" MQTT "\r\n", 400},
        {"space in a name", GOOD "X A: b\r\n" MQTT "\r\n", 400},
        {"two hosts", GOOD HOST MQTT "\r\n", 400},
        {"no host", START UPGRADE KEYLINE VERSION MQTT "\r\n", 400},
        {"bell in a value", GOOD "X-A: \a\r\n" MQTT "\r\n", 400},
        {"CR in a value", GOOD "X-A: a\rb\r\n" MQTT "\r\n", 400},
        {"a body", GOOD MQTT "Content-Length: 5\r\n\r\nhello", 400},
        {"chunks", GOOD MQTT "Transfer-Encoding: chunked\r\n\r\n", 400},
        {"no body, said so", GOOD MQTT "Content-Length: 0\r\n\r\n", 101},
        {"no upgrade", START HOST KEYLINE VERSION MQTT "Connection: Upgrade\r\n\r\n", 400},
        {"h2c", START HOST KEYLINE VERSION MQTT "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n", 400},
        {"keep-alive only",
         START HOST KEYLINE VERSION MQTT "Upgrade: websocket\r\nConnection: keep-alive\r\n\r\n",
         400},
        {"keep-alive as well",
         START HOST KEYLINE VERSION MQTT
         "Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n\r\n",
         101},
        {"no key", START HOST UPGRADE VERSION MQTT "\r\n", 400},
        {"two keys", GOOD KEYLINE MQTT "\r\n", 400},
        {"short key", START HOST UPGRADE VERSION MQTT "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n\r\n",
         400},
        {"bad key",
         START HOST UPGRADE VERSION MQTT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ!==\r\n\r\n",
         400},
        {"high bytes in a value", GOOD "X-A: \xc3\xa4\xff\r\n" MQTT "\r\n", 101},
    };
    CHECK(rows);
    const struct nj_ws_server_config config = {0};
    static const char nul[] = GOOD "X-A: a\0b\r\n" MQTT "\r\n";
    assert_int_equal(status_of(&config, nul, sizeof(nul) - 1), 400);
}

static char *fill(const char *start, const char *filler, size_t times, const char *end)
{
    size_t len = strlen(start) + strlen(filler) * times + strlen(end) + 1;
    char *text = malloc(len);
    char *at = stpcpy(text, start);
    for (size_t i = 0; i < times; i++) {
        at = stpcpy(at, filler);
    }
    (void)strcpy(at, end);
    return text;
}

static void B_206_too_much_is_431(void **state)
{
    (void)state;
    const struct nj_ws_server_config config = {0};
    const struct nj_ws_server_config small = {.header_max_bytes = 512};
    const struct nj_ws_server_config large = {.header_max_bytes = 100000};
    char *text = fill("GET /", "a", 65536, " HTTP/1.1\r\n" REST);
    assert_int_equal(status_of(&config, text, strlen(text)), 431);
    assert_int_equal(status_of(&large, text, strlen(text)), 101);
    free(text);
    text = fill(GOOD MQTT, "X: y\r\n", 1000, "\r\n");
    assert_int_equal(status_of(&config, text, strlen(text)), 431);
    free(text);
    text = fill(GOOD MQTT "X: ", "y", 1048576, "\r\n\r\n");
    assert_int_equal(status_of(&config, text, strlen(text)), 431);
    free(text);
    text = fill(GOOD MQTT "X: ", "y", 600, "\r\n\r\n");
    assert_int_equal(status_of(&small, text, strlen(text)), 431);
    assert_int_equal(status_of(&config, text, strlen(text)), 101);
    free(text);
}

static void B_209_odd_paths_are_400(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"root", "GET / HTTP/1.1\r\n" REST, 101},
        {"query", "GET /mqtt?a=b HTTP/1.1\r\n" REST, 101},
        {"dots in a name", "GET /a..b/...c HTTP/1.1\r\n" REST, 101},
        {"up", "GET /../ HTTP/1.1\r\n" REST, 400},
        {"up at the end", "GET /mqtt/.. HTTP/1.1\r\n" REST, 400},
        {"up before a query", "GET /..?a HTTP/1.1\r\n" REST, 400},
        {"%00", "GET /mqtt%00 HTTP/1.1\r\n" REST, 400},
        {"half an escape", "GET /mqtt%0 HTTP/1.1\r\n" REST, 400},
        {"absolute", "GET http://localhost/mqtt HTTP/1.1\r\n" REST, 400},
        {"star", "GET * HTTP/1.1\r\n" REST, 400},
        {"none", "GET  HTTP/1.1\r\n" REST, 400},
        {"backslash", "GET /a\\b HTTP/1.1\r\n" REST, 400},
        {"fragment", "GET /a#b HTTP/1.1\r\n" REST, 400},
        {"high byte", "GET /\xc3\xa4 HTTP/1.1\r\n" REST, 400},
    };
    CHECK(rows);
}

static void B_210_bytes_behind_the_request_are_frames(void **state)
{
    (void)state;
    const struct nj_ws_server_config config = {0};
    struct rig_ws end = rig_ws_begin(&config, false);
    static const uint8_t frame[] = {0x82,    0x85,    1,       2,       3,      4,
                                    'h' ^ 1, 'e' ^ 2, 'l' ^ 3, 'l' ^ 4, 'o' ^ 1};
    char all[1024];
    size_t len = strlen(GOOD MQTT "\r\n");
    memcpy(all, GOOD MQTT "\r\n", len);
    memcpy(all + len, frame, sizeof(frame));
    rig_ws_say(&end, all, len + sizeof(frame));
    assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
    assert_true(nj_stream_has_pending(end.stream));
    char buf[64];
    size_t sum = 0;
    while (nj_stream_has_pending(end.stream)) {
        /* A small buffer: the bytes come out one after the other. */
        size_t got = 0;
        enum nj_err err = nj_stream_read(end.stream, buf + sum, 3, &got);
        assert_true(err == NJ_OK || err == NJ_EAGAIN);
        sum += err == NJ_OK ? got : 0;
    }
    assert_int_equal(sum, 5);
    assert_memory_equal(buf, "hello", 5);
    rig_ws_finish(&end);
}

static void bytes_behind_a_bad_frame_are_not_pending_for_ever(void **state)
{
    (void)state;
    const struct nj_ws_server_config config = {0};
    struct rig_ws end = rig_ws_begin(&config, false);
    static const char all[] = GOOD MQTT "\r\n\x82\x05hello, and a lot more after it";
    rig_ws_say(&end, all, sizeof(all) - 1);
    assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
    char buf[8];
    size_t got = 0;
    assert_int_equal(nj_stream_read(end.stream, buf, sizeof(buf), &got), NJ_EPROTOCOL);
    assert_false(nj_stream_has_pending(end.stream));
    rig_ws_finish(&end);
}

static void B_207_a_request_in_one_byte_pieces_works_and_waits(void **state)
{
    (void)state;
    const struct nj_ws_server_config config = {0};
    struct rig_ws end = rig_ws_begin(&config, false);
    static const char request[] = GOOD MQTT "\r\n";
    for (size_t i = 0; i + 1 < sizeof(request); i++) {
        rig_ws_say(&end, request + i, 1);
        assert_int_equal(nj_stream_handshake(end.stream),
                         i + 2 < sizeof(request) ? NJ_EAGAIN : NJ_OK);
    }
    char answer[1024];
    (void)hear(&end, answer, sizeof(answer));
    assert_string_equal(answer, answer_101);
    rig_ws_finish(&end);

    end = rig_ws_begin(&config, false);
    rig_ws_say(&end, request, 40);
    assert_int_equal(nj_stream_handshake(end.stream), NJ_EAGAIN);
    (void)shutdown(end.raw, SHUT_WR);
    assert_int_equal(nj_stream_handshake(end.stream), NJ_ECLOSED);
    rig_ws_finish(&end);
}

static void B_224_B_225_extensions_and_forwarded_addresses_are_not_taken(void **state)
{
    (void)state;
    const struct nj_ws_server_config config = {0};
    struct rig_ws end = rig_ws_begin(&config, false);
    static const char request[] =
        GOOD MQTT "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
                  "X-Forwarded-For: 10.0.0.1, \"><script>\r\n\r\n";
    rig_ws_say(&end, request, sizeof(request) - 1);
    assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
    char answer[1024];
    (void)hear(&end, answer, sizeof(answer));
    assert_string_equal(answer, answer_101);
    rig_ws_finish(&end);
}

static void the_client_side_agrees_and_checks_what_comes_back(void **state)
{
    (void)state;
    static const struct {
        const char *answer; /* NULL = our own server's; %s = the right accept value */
        const char *why;    /* NULL = accepted */
    } rows[] = {
        {NULL, NULL},
        {"HTTP/1.1 101 X\r\nupgrade: WebSocket\r\nconnection: Upgrade\r\n"
         "sec-websocket-accept: %s\r\nsec-websocket-protocol: mqtt\r\n\r\n",
         NULL},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", "refuses"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"
         "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
         "Accept is wrong"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: %s\r\n\r\n",
         "subprotocol"},
        {"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: mqtt\r\n"
         "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         "malformed"},
        {"\x20\x02\x00\x00", "malformed"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fds[2];
        rig_pair(fds, false);
        struct nj_stream *tcp = NULL;
        struct nj_stream *client = NULL;
        const struct nj_ws_client_config config = {.host = "localhost:8080", .path = "mqtt"};
        assert_int_equal(nj_stream_tcp_new(fds[1], &tcp), NJ_OK);
        assert_int_equal(nj_stream_ws_client_new(tcp, &config, &client), NJ_OK);
        assert_int_equal(nj_stream_handshake(client), NJ_EAGAIN);
        struct nj_stream *server = NULL;
        if (rows[i].answer == NULL) {
            static const struct nj_ws_server_config server_config = {0};
            assert_int_equal(nj_stream_tcp_new(fds[0], &tcp), NJ_OK);
            assert_int_equal(nj_stream_ws_server_new(tcp, &server_config, &server), NJ_OK);
            assert_int_equal(nj_stream_handshake(server), NJ_OK);
        } else {
            /* The right accept value, taken from our own server. */
            char request[1024];
            ssize_t len = recv(fds[0], request, sizeof(request), 0);
            assert_true(len > 0);
            static const struct nj_ws_server_config server_config = {0};
            struct rig_ws end = rig_ws_begin(&server_config, false);
            rig_ws_say(&end, request, (size_t)len);
            assert_int_equal(nj_stream_handshake(end.stream), NJ_OK);
            char good[1024];
            (void)hear(&end, good, sizeof(good));
            char *accept = strstr(good, "Sec-WebSocket-Accept: ") + 22;
            *strchr(accept, '\r') = '\0';
            char answer[1024];
            const char *mark = strstr(rows[i].answer, "%s");
            int before = mark != NULL ? (int)(mark - rows[i].answer) : (int)strlen(rows[i].answer);
            int total = snprintf(answer, sizeof(answer), "%.*s%s%s", before, rows[i].answer,
                                 mark != NULL ? accept : "", mark != NULL ? mark + 2 : "");
            total = total > 0 ? total : 1;
            assert_int_equal(send(fds[0], answer, (size_t)total, 0), total);
            rig_ws_finish(&end);
        }
        enum nj_err err = nj_stream_handshake(client);
        assert_int_equal(err, rows[i].why == NULL ? NJ_OK : NJ_EPROTOCOL);
        assert_true(rows[i].why == NULL || strstr(nj_stream_error(client), rows[i].why) != NULL);
        nj_stream_free(client);
        if (server != NULL) {
            nj_stream_free(server);
        } else {
            (void)close(fds[0]);
        }
    }
    struct nj_stream *none = NULL;
    struct nj_stream *tcp = NULL;
    const struct nj_ws_client_config evil = {.host = "a\r\nX: y"};
    int fds[2];
    rig_pair(fds, false);
    assert_int_equal(nj_stream_tcp_new(fds[0], &tcp), NJ_OK);
    assert_int_equal(nj_stream_ws_client_new(tcp, &evil, &none), NJ_EINVAL);
    nj_stream_free(tcp);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_the_originals_byte_for_byte),
        cmocka_unit_test(B_200_without_a_known_subprotocol_it_is_400),
        cmocka_unit_test(B_201_the_subprotocol_is_chosen),
        cmocka_unit_test(B_202_another_version_is_426_with_13),
        cmocka_unit_test(B_204_with_a_list_the_origin_has_to_be_on_it),
        cmocka_unit_test(B_205_other_methods_and_versions_of_http_are_400),
        cmocka_unit_test(B_206_malformed_heads_are_400),
        cmocka_unit_test(B_206_too_much_is_431),
        cmocka_unit_test(B_207_a_request_in_one_byte_pieces_works_and_waits),
        cmocka_unit_test(B_209_odd_paths_are_400),
        cmocka_unit_test(B_210_bytes_behind_the_request_are_frames),
        cmocka_unit_test(bytes_behind_a_bad_frame_are_not_pending_for_ever),
        cmocka_unit_test(B_224_B_225_extensions_and_forwarded_addresses_are_not_taken),
        cmocka_unit_test(the_client_side_agrees_and_checks_what_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
