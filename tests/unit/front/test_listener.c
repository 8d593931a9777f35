/* Limits of listeners, and their sockets. */
#include <sys/socket.h>
#include <sys/un.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "broker/stats.h"
#include "front/conn.h"
#include "rig.h"
#include "support/test.h"

static struct rig rig;

static void no_more_connections_than_the_listener_takes(void **state)
{
    static const struct rig_options options = {.config = "max_connections 2\n"};
    (void)state;
    rig_open(&rig, &options);
    int first = rig_connect(&rig);
    int second = rig_connect(&rig);
    int third = rig_connect(&rig);
    rig_expect_closed(third);
    assert_non_null(strstr(rig_log(), "Client connection denied: max_connections exceeded.\n"));
    assert_int_equal(atomic_load(&rig.front.listeners[0].connections), 2);
    assert_int_equal(atomic_load(&rig.front.connections), 2);
    assert_int_equal(atomic_load(&rig.worker->shard->stats.connections_open), 2);
    /* One leaves: there is room again. */
    assert_int_equal(close(first), 0);
    rig_send(&rig, second, "", 0);
    assert_int_equal(atomic_load(&rig.front.listeners[0].connections), 1);
    int fourth = rig_connect(&rig);
    uint8_t byte;
    assert_int_equal(rig_read(fourth, &byte, 1), 0);
    assert_int_equal(close(second) | close(third) | close(fourth), 0);
    rig_close(&rig);
}

static void no_more_connections_than_the_broker_takes(void **state)
{
    static const struct rig_options options = {.config = "global_max_connections 1\n"};
    (void)state;
    rig_open(&rig, &options);
    int first = rig_connect(&rig);
    int second = rig_connect(&rig);
    rig_expect_closed(second);
    assert_int_equal(atomic_load(&rig.front.connections), 1);
    assert_int_equal(close(first) | close(second), 0);
    rig_close(&rig);
    assert_int_equal(atomic_load(&rig.front.connections), 0);
}

static void a_unix_socket_is_removed_at_the_end(void **state)
{
    (void)state;
    rig_open(&rig, NULL);
    const char *path = rig.front.listeners[0].settings->unix_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(close(fd), 0);
    rig_close(&rig);
    assert_int_not_equal(access(address.sun_path, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_connections_than_the_listener_takes),
        cmocka_unit_test(no_more_connections_than_the_broker_takes),
        cmocka_unit_test(a_unix_socket_is_removed_at_the_end),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
