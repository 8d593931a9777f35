/* Listening, accepting, connecting, addresses. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"
#include "support/test.h"
#include "unit/net/pki.h"

static void await_readable(int fd)
{
    struct pollfd pfd = {fd, POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, -1), 1);
}

static int listen_one(const char *host, uint16_t port)
{
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 0;
    struct nj_net_error error = {""};
    struct nj_listen_options options = {.host = host, .port = port};
    if (nj_listen(&options, fds, &count, &error) != NJ_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(count, 1);
    return fds[0];
}

static void takes_connections_and_tells_their_address(void **state)
{
    (void)state;
    int listener = listen_one("127.0.0.1", 0);
    struct nj_fd_reserve reserve;
    nj_fd_reserve_init(&reserve);
    int fd = -1;
    struct nj_addr peer;
    assert_int_equal(nj_accept(listener, &reserve, &fd, &peer), NJ_EAGAIN);
    int client = -1;
    struct nj_connect_options to = {.host = "127.0.0.1", .port = nj_listener_port(listener)};
    assert_int_equal(nj_connect(&to, &client, NULL), NJ_OK);
    await_readable(listener);
    assert_int_equal(nj_accept(listener, &reserve, &fd, &peer), NJ_OK);
    char text[NJ_ADDR_TEXT_MAX];
    assert_string_equal(nj_addr_text(&peer, text), "127.0.0.1");
    assert_true(nj_addr_is_loopback(&peer));
    struct nj_addr local;
    assert_int_equal(nj_socket_local(client, &local), NJ_OK);
    assert_int_equal(local.port, peer.port);
    int on = 0;
    socklen_t len = sizeof(on);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_int_equal(on, 1);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    nj_socket_set_user_timeout(fd, 5000);
    nj_socket_set_keepalive(fd, 60);
    unsigned timeout = 0;
    len = sizeof(timeout);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, &len), 0);
    assert_int_equal(timeout, 5000);
    (void)close(fd);
    (void)close(client);
    (void)close(listener);
    nj_fd_reserve_fini(&reserve);
}

static void without_an_address_both_families_share_a_port(void **state)
{
    (void)state;
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 0;
    struct nj_listen_options options = {.host = NULL};
    assert_int_equal(nj_listen(&options, fds, &count, NULL), NJ_OK);
    assert_true(count >= 1);
    for (size_t i = 1; i < count; i++) {
        assert_int_equal(nj_listener_port(fds[i]), nj_listener_port(fds[0]));
    }
    for (size_t i = 0; i < count; i++) {
        (void)close(fds[i]);
    }
    options.domain = NJ_SOCKET_IPV4;
    assert_int_equal(nj_listen(&options, fds, &count, NULL), NJ_OK);
    assert_int_equal(count, 1);
    struct nj_addr local;
    assert_int_equal(nj_socket_local(fds[0], &local), NJ_OK);
    assert_int_equal(local.family, AF_INET);
    (void)close(fds[0]);
}

static void B_264_a_port_in_use_is_an_error_that_names_it(void **state)
{
    (void)state;
    int listener = listen_one("127.0.0.1", 0);
    uint16_t port = nj_listener_port(listener);
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 99;
    struct nj_net_error error = {""};
    struct nj_listen_options options = {.host = "127.0.0.1", .port = port};
    assert_int_equal(nj_listen(&options, fds, &count, &error), NJ_EEXIST);
    char where[32];
    (void)snprintf(where, sizeof(where), "127.0.0.1:%u", port);
    assert_non_null(strstr(error.text, where));
    assert_non_null(strstr(error.text, "in use; another program listens there"));
    assert_int_equal(count, 99);
    (void)close(listener);
}

static void an_address_that_means_nothing_is_an_error(void **state)
{
    (void)state;
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 0;
    struct nj_net_error error = {""};
    struct nj_listen_options options = {.host = "256.1.1.1.invalid"};
    assert_int_equal(nj_listen(&options, fds, &count, &error), NJ_ENOENT);
    assert_non_null(strstr(error.text, "256.1.1.1.invalid"));
    options = (struct nj_listen_options){.interface = "nosuchif0"};
    assert_int_not_equal(nj_listen(&options, fds, &count, &error), NJ_OK);
    assert_non_null(strstr(error.text, "nosuchif0"));
}

static void binds_to_an_interface(void **state)
{
    (void)state;
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 0;
    struct nj_net_error error = {""};
    struct nj_listen_options options = {.interface = "lo", .domain = NJ_SOCKET_IPV4};
    if (nj_listen(&options, fds, &count, &error) != NJ_OK) {
        fail_msg("%s", error.text);
    }
    int client = -1;
    struct nj_connect_options to = {.host = "127.0.0.1", .port = nj_listener_port(fds[0])};
    assert_int_equal(nj_connect(&to, &client, NULL), NJ_OK);
    (void)close(client);
    (void)close(fds[0]);
}

static void a_unix_socket_is_made_taken_over_when_dead_and_kept_when_alive(void **state)
{
    (void)state;
    char *dir = pki_dir_new();
    const char *path = pki_path(dir, "mqtt.sock");
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 0;
    struct nj_net_error error = {""};
    struct nj_listen_options options = {.unix_path = path, .unix_mode = 0600};
    assert_int_equal(nj_listen(&options, fds, &count, &error), NJ_OK);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(nj_listener_port(fds[0]), 0);

    int other[NJ_LISTEN_FDS_MAX];
    assert_int_equal(nj_listen(&options, other, &count, &error), NJ_EEXIST);
    assert_non_null(strstr(error.text, path));

    int client = -1;
    struct nj_connect_options to = {.unix_path = path};
    assert_int_equal(nj_connect(&to, &client, NULL), NJ_OK);
    struct nj_fd_reserve reserve;
    nj_fd_reserve_init(&reserve);
    int fd = -1;
    struct nj_addr peer;
    struct nj_addr again;
    assert_int_equal(nj_accept(fds[0], &reserve, &fd, &peer), NJ_OK);
    assert_int_equal(nj_accept(fds[0], &reserve, &fd, &again), NJ_OK); /* the probe of above */
    char text[NJ_ADDR_TEXT_MAX];
    assert_string_equal(nj_addr_text(&peer, text), "unix");
    nj_fd_reserve_fini(&reserve);
    (void)close(client);
    (void)close(fds[0]);

    assert_int_equal(nj_listen(&options, fds, &count, &error), NJ_OK);
    (void)close(fds[0]);
    (void)unlink(path);
    (void)pki_write_text(dir, "mqtt.sock", "x", 1);
    assert_int_equal(nj_listen(&options, fds, &count, &error), NJ_EEXIST);
    assert_non_null(strstr(error.text, "not a socket"));
    (void)close(fd);
    pki_dir_free(dir);
}

static void F_026_without_descriptors_a_connection_is_shed_and_the_loop_does_not_spin(void **state)
{
    (void)state;
    int listener = listen_one("127.0.0.1", 0);
    struct nj_fd_reserve reserve;
    nj_fd_reserve_init(&reserve);
    int clients[3];
    struct nj_connect_options to = {.host = "127.0.0.1", .port = nj_listener_port(listener)};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(nj_connect(&to, &clients[i], NULL), NJ_OK);
    }
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit low = {(rlim_t)dup(0), old.rlim_max};
    (void)close((int)low.rlim_cur);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int fd = -1;
    struct nj_addr peer;
    enum nj_err first = nj_accept(listener, &reserve, &fd, &peer);
    enum nj_err second = nj_accept(listener, &reserve, &fd, &peer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(first, NJ_ELIMIT);
    assert_int_equal(second, NJ_ELIMIT);
    char byte;
    await_readable(clients[0]);
    assert_true(recv(clients[0], &byte, 1, 0) <= 0);
    assert_int_equal(nj_accept(listener, &reserve, &fd, &peer), NJ_OK);
    (void)close(fd);
    assert_int_equal(nj_accept(listener, &reserve, &fd, &peer), NJ_EAGAIN);

    /* Without even the spare one: the caller is told to pause. */
    int late = -1;
    assert_int_equal(nj_connect(&to, &late, NULL), NJ_OK);
    nj_fd_reserve_fini(&reserve);
    low.rlim_cur = (rlim_t)dup(0);
    (void)close((int)low.rlim_cur);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    first = nj_accept(listener, &reserve, &fd, &peer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_int_equal(first, NJ_EBUSY);
    for (int i = 0; i < 3; i++) {
        (void)close(clients[i]);
    }
    (void)close(late);
    (void)close(listener);
}

static void a_broken_listener_is_told_from_an_empty_one(void **state)
{
    (void)state;
    struct nj_fd_reserve reserve;
    nj_fd_reserve_init(&reserve);
    int fd = -1;
    struct nj_addr peer;
    assert_int_equal(nj_accept(-1, &reserve, &fd, &peer), NJ_ESYS);
    nj_fd_reserve_fini(&reserve);
}

static void connecting_to_nobody_says_so(void **state)
{
    (void)state;
    int listener = listen_one("127.0.0.1", 0);
    uint16_t port = nj_listener_port(listener);
    (void)close(listener);
    int fd = -1;
    struct nj_net_error error = {""};
    struct nj_connect_options to = {.host = "127.0.0.1", .port = port, .timeout_ms = 5000};
    assert_int_equal(nj_connect(&to, &fd, &error), NJ_ECLOSED);
    assert_non_null(strstr(error.text, "refused"));
    struct nj_addr addr = {.ip = {127, 0, 0, 1}, .port = port, .family = AF_INET};
    enum nj_err err = nj_connect_start(&addr, &fd);
    if (err == NJ_EAGAIN) {
        struct pollfd pfd = {fd, POLLOUT, 0};
        assert_int_equal(poll(&pfd, 1, -1), 1);
        err = nj_connect_finish(fd);
        (void)close(fd);
    }
    assert_int_equal(err, NJ_ECLOSED);
    to = (struct nj_connect_options){.unix_path = "/nonexistent/socket"};
    assert_int_not_equal(nj_connect(&to, &fd, &error), NJ_OK);
    assert_non_null(strstr(error.text, "/nonexistent/socket"));
}

static void addresses_have_their_usual_text(void **state)
{
    (void)state;
    static const struct {
        struct nj_addr addr;
        const char *text;
        bool is_loopback;
    } rows[] = {
        {{.ip = {192, 0, 2, 1}, .family = AF_INET}, "192.0.2.1", false},
        {{.ip = {127, 9, 9, 9}, .family = AF_INET}, "127.9.9.9", true},
        {{.ip = {[15] = 1}, .family = AF_INET6}, "::1", true},
        {{.ip = {0x20, 1, 0xd, 0xb8, [15] = 1}, .family = AF_INET6}, "2001:db8::1", false},
        {{.ip = {0xfe, 0x80, [15] = 1}, .scope = 2, .family = AF_INET6}, "fe80::1%2", false},
        {{.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .family = AF_INET6},
         "::ffff:127.0.0.1",
         true},
        {{.family = 0}, "unknown", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[NJ_ADDR_TEXT_MAX];
        assert_string_equal(nj_addr_text(&rows[i].addr, text), rows[i].text);
        assert_int_equal(nj_addr_is_loopback(&rows[i].addr), rows[i].is_loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_connections_and_tells_their_address),
        cmocka_unit_test(without_an_address_both_families_share_a_port),
        cmocka_unit_test(B_264_a_port_in_use_is_an_error_that_names_it),
        cmocka_unit_test(an_address_that_means_nothing_is_an_error),
        cmocka_unit_test(binds_to_an_interface),
        cmocka_unit_test(a_unix_socket_is_made_taken_over_when_dead_and_kept_when_alive),
        cmocka_unit_test(F_026_without_descriptors_a_connection_is_shed_and_the_loop_does_not_spin),
        cmocka_unit_test(a_broken_listener_is_told_from_an_empty_one),
        cmocka_unit_test(connecting_to_nobody_says_so),
        cmocka_unit_test(addresses_have_their_usual_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
