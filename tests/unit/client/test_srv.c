/* -S against a name server of our own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <pthread.h>
#include <resolv.h>
#include <string.h>
#include <unistd.h>

#include "srv.h"
#include "support/test.h"

struct record {
    unsigned priority;
    unsigned weight;
    unsigned port;
    const char *name; /* as on the wire: "\4mqtt\7example" */
};

struct server {
    int fd;
    pthread_t thread;
    const struct record *records;
    size_t count;
    unsigned cut; /* bytes left out at the end */
    char asked[256];
    struct __res_state state;
};

static size_t put16(unsigned char *at, unsigned value)
{
    at[0] = (unsigned char)(value >> 8);
    at[1] = (unsigned char)value;
    return 2;
}

static size_t put_record(unsigned char *at, const struct record *record)
{
    size_t name_len = strlen(record->name) + 1;
    size_t len = put16(at, 0xC00C); /* the name that was asked for */
    len += put16(at + len, 33);
    len += put16(at + len, 1);
    len += put16(at + len, 0);
    len += put16(at + len, 60);
    len += put16(at + len, (unsigned)(6 + name_len));
    len += put16(at + len, record->priority);
    len += put16(at + len, record->weight);
    len += put16(at + len, record->port);
    memcpy(at + len, record->name, name_len);
    return len + name_len;
}

/* Answers one question. */
static void *serve(void *arg)
{
    struct server *server = arg;
    unsigned char packet[2048];
    struct sockaddr_in peer;
    socklen_t peer_len = sizeof(peer);
    ssize_t got = recvfrom(server->fd, packet, 512, 0, (struct sockaddr *)&peer, &peer_len);
    if (got < 17) {
        return NULL;
    }
    size_t question = strnlen((char *)packet + 12, 200) + 1 + 4;
    memcpy(server->asked, packet + 12, question - 4);
    size_t len = 12 + question;
    packet[2] = 0x81;
    packet[3] = server->count > 0 ? 0x80 : 0x83; /* no such name */
    (void)put16(packet + 6, (unsigned)server->count);
    (void)put16(packet + 8, 0);
    (void)put16(packet + 10, 0);
    for (size_t i = 0; i < server->count; i++) {
        len += put_record(packet + len, &server->records[i]);
    }
    (void)sendto(server->fd, packet, len - server->cut, 0, (struct sockaddr *)&peer, peer_len);
    return NULL;
}

static void start(struct server *server)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(here);
    server->fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&here, &len), 0);
    assert_int_equal(res_ninit(&server->state), 0);
    server->state.nscount = 1;
    server->state.nsaddr_list[0] = here;
    server->state.retrans = 30;
    server->state.retry = 1;
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server)
{
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    res_nclose(&server->state);
    (void)close(server->fd);
}

static void takes_the_target_with_the_smallest_priority(void **state)
{
    (void)state;
    static const struct record RECORDS[] = {
        {20, 9, 1111, "\4late\7example"},
        {10, 0, 2222, "\5first\7example"},
        {30, 0, 3333, "\4last\7example"},
    };
    struct server server = {.records = RECORDS, .count = 3};
    char host[NJ_SRV_HOST_MAX];
    int port = 0;
    start(&server);
    assert_int_equal(nj_srv_find(&server.state, "example.org", false, host, &port), NJ_OK);
    stop(&server);
    assert_string_equal(host, "first.example");
    assert_int_equal(port, 2222);
    assert_string_equal(server.asked, "\5_mqtt\4_tcp\7example\3org");
}

static void asks_for_another_service_with_tls(void **state)
{
    (void)state;
    static const struct record RECORDS[] = {{0, 0, 8883, "\1b\7example"}};
    struct server server = {.records = RECORDS, .count = 1};
    char host[NJ_SRV_HOST_MAX];
    int port = 0;
    start(&server);
    assert_int_equal(nj_srv_find(&server.state, "example.org", true, host, &port), NJ_OK);
    stop(&server);
    assert_string_equal(server.asked, "\14_secure-mqtt\4_tcp\7example\3org");
}

static void shares_by_weight(void **state)
{
    (void)state;
    static const struct record RECORDS[] = {{1, 99, 1, "\1a\7example"}, {1, 0, 2, "\1b\7example"}};
    unsigned first = 0;
    for (int i = 0; i < 40; i++) {
        struct server server = {.records = RECORDS, .count = 2};
        char host[NJ_SRV_HOST_MAX];
        int port = 0;
        start(&server);
        assert_int_equal(nj_srv_find(&server.state, "x", false, host, &port), NJ_OK);
        stop(&server);
        first += port == 1 ? 1 : 0;
    }
    assert_true(first >= 30);
}

static void no_such_service_is_said(void **state)
{
    (void)state;
    static const struct record NOBODY[] = {{0, 0, 0, ""}};
    struct server none = {.count = 0};
    struct server nobody = {.records = NOBODY, .count = 1};
    char host[NJ_SRV_HOST_MAX];
    int port = 0;
    start(&none);
    assert_int_equal(nj_srv_find(&none.state, "example.org", false, host, &port), NJ_ENOENT);
    stop(&none);
    start(&nobody);
    assert_int_equal(nj_srv_find(&nobody.state, "example.org", false, host, &port), NJ_ENOENT);
    stop(&nobody);
    char domain[2000];
    memset(domain, 'a', sizeof(domain) - 1);
    domain[sizeof(domain) - 1] = '\0';
    assert_int_equal(nj_srv_find(&none.state, domain, false, host, &port), NJ_EINVAL);
}

static void B_350_answers_cut_short_find_nothing(void **state)
{
    (void)state;
    static const struct record RECORDS[] = {{0, 0, 1883, "\1b\7example"}};
    for (unsigned cut = 1; cut < 20; cut++) {
        struct server server = {.records = RECORDS, .count = 1, .cut = cut};
        char host[NJ_SRV_HOST_MAX];
        int port = 0;
        start(&server);
        server.state.retrans = 1; /* the resolver may wait for a better answer */
        assert_int_not_equal(nj_srv_find(&server.state, "x", false, host, &port), NJ_OK);
        stop(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_target_with_the_smallest_priority),
        cmocka_unit_test(asks_for_another_service_with_tls),
        cmocka_unit_test(shares_by_weight),
        cmocka_unit_test(no_such_service_is_said),
        cmocka_unit_test(B_350_answers_cut_short_find_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
