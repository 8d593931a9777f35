/* The door: bounded, fair between sessions, in order for each. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "front/door.h"
#include "support/test.h"

static struct nj_request *request(uint64_t session, uint32_t number, size_t payload)
{
    char *bytes = nj_zalloc(payload + 1);
    const struct nj_request from = {
        .session = session,
        .connection = number,
        .user = nj_bytes_of("user"),
        .client_id = nj_bytes_of("id"),
        .address = nj_bytes_of("127.0.0.1:1"),
        .topic = nj_bytes_of("$CONTROL/x"),
        .payload = nj_bytes(bytes, payload),
    };
    struct nj_request *made = nj_request_new(&from);
    nj_free(bytes);
    assert_non_null(made);
    return made;
}

static void put(struct nj_door *door, uint64_t session, uint32_t number)
{
    assert_int_equal(nj_door_put(door, request(session, number, 10)), NJ_OK);
}

static void take(struct nj_door *door, uint64_t session, uint32_t number)
{
    struct nj_request *taken = nj_door_take(door);
    assert_non_null(taken);
    assert_int_equal(taken->session, session);
    assert_int_equal(taken->connection, number);
    nj_request_free(taken);
}

static bool is_readable(const struct nj_door *door)
{
    struct pollfd fd = {.fd = nj_door_fd(door), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void sessions_take_turns_and_each_keeps_its_order(void **state)
{
    struct nj_door *door = nj_door_new();
    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        put(door, 1, i);
    }
    put(door, 2, 0);
    put(door, 258, 0); /* falls on the same place of the table as 2 */
    put(door, 2, 1);
    take(door, 1, 0);
    take(door, 2, 0);
    take(door, 258, 0);
    take(door, 1, 1);
    take(door, 2, 1);
    put(door, 258, 1);
    take(door, 1, 2);
    take(door, 258, 1);
    take(door, 1, 3);
    assert_null(nj_door_take(door));
    nj_door_free(door);
}

static void it_rings_until_it_is_quiet(void **state)
{
    struct nj_door *door = nj_door_new();
    (void)state;
    assert_false(is_readable(door));
    put(door, 1, 0);
    assert_true(is_readable(door));
    nj_door_quiet(door);
    assert_false(is_readable(door));
    nj_door_ring(door);
    assert_true(is_readable(door));
    nj_door_free(door); /* with what waits */
}

static void one_session_cannot_fill_it(void **state)
{
    struct nj_door *door = nj_door_new();
    (void)state;
    for (uint32_t i = 0; i < NJ_DOOR_LANE_MAX; i++) {
        put(door, 1, i);
    }
    struct nj_request *one_more = request(1, 0, 10);
    assert_int_equal(nj_door_put(door, one_more), NJ_ELIMIT);
    nj_request_free(one_more);
    assert_int_equal(nj_door_refused(door), 1);
    put(door, 2, 0);
    take(door, 1, 0);
    put(door, 1, 1000); /* there is room again */
    nj_door_free(door);
}

static void bytes_are_bounded_for_one_and_for_all(void **state)
{
    struct nj_door *door = nj_door_new();
    uint64_t session = 0;
    size_t taken = 0;
    (void)state;
    for (;;) {
        size_t in_lane = 0;
        struct nj_request *big = request(++session, 0, NJ_REQUEST_BYTES_MAX);
        while (nj_door_put(door, big) == NJ_OK) {
            in_lane += big->size;
            taken += big->size;
            big = request(session, 0, NJ_REQUEST_BYTES_MAX);
        }
        nj_request_free(big);
        assert_true(in_lane <= NJ_DOOR_LANE_BYTES);
        if (in_lane == 0) {
            break;
        }
    }
    assert_true(taken <= NJ_DOOR_BYTES);
    assert_true(session >= NJ_DOOR_BYTES / NJ_DOOR_LANE_BYTES);
    nj_door_free(door);
}

static void a_request_is_a_copy_that_tells_absent_from_empty(void **state)
{
    char text[] = "payload";
    const struct nj_request from = {
        .topic = nj_bytes_of("$CONTROL/x"),
        .correlation_data = nj_bytes("", 0),
        .payload = nj_bytes_of(text),
        .address = nj_bytes_of("a"),
    };
    (void)state;
    struct nj_request *made = nj_request_new(&from);
    assert_non_null(made);
    text[0] = 'x';
    assert_memory_equal(made->payload.ptr, "payload", 7);
    assert_null(made->user.ptr);
    assert_null(made->response_topic.ptr);
    assert_non_null(made->correlation_data.ptr);
    assert_string_equal((const char *)made->address.ptr, "a");
    nj_request_free(made);
    nj_request_free(NULL);
}

#define THREADS 4
#define EACH    200u

static void *fill(void *arg)
{
    static _Atomic uint64_t sessions = 10;
    struct nj_door *door = arg;
    uint64_t session = ++sessions;
    for (uint32_t i = 0; i < EACH; i++) {
        put(door, session, i);
    }
    return NULL;
}

static void several_workers_fill_it_while_it_is_emptied(void **state)
{
    struct nj_door *door = nj_door_new();
    pthread_t threads[THREADS];
    uint32_t next[64] = {0};
    unsigned taken = 0;
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fill, door), 0);
    }
    while (taken < THREADS * EACH) {
        struct pollfd fd = {.fd = nj_door_fd(door), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 10000), 1);
        nj_door_quiet(door);
        struct nj_request *one;
        while ((one = nj_door_take(door))) {
            assert_int_equal(one->connection, next[one->session]++);
            nj_request_free(one);
            taken++;
        }
    }
    for (int i = 0; i < THREADS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    nj_door_free(door);
}

static void a_session_that_is_held_keeps_its_requests_and_its_order(void **state)
{
    struct nj_door *door = nj_door_new();
    (void)state;
    put(door, 1, 0);
    put(door, 1, 1);
    put(door, 2, 0);
    take(door, 1, 0);
    assert_int_equal(nj_door_hold(door, 1), NJ_OK);
    put(door, 1, 2);
    take(door, 2, 0);
    assert_null(nj_door_take(door));
    nj_door_release(door, 1);
    take(door, 1, 1);
    take(door, 1, 2);
    assert_null(nj_door_take(door));
    /* Held while nothing waits: what comes then waits; released without anything: as before. */
    assert_int_equal(nj_door_hold(door, 1), NJ_OK);
    nj_door_release(door, 1);
    nj_door_release(door, 1);
    put(door, 1, 3);
    take(door, 1, 3);
    assert_int_equal(nj_door_hold(door, 1), NJ_OK);
    assert_int_equal(nj_door_hold(door, 257), NJ_OK);
    put(door, 1, 4);
    nj_door_free(door); /* with what is held */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_take_turns_and_each_keeps_its_order),
        cmocka_unit_test(a_session_that_is_held_keeps_its_requests_and_its_order),
        cmocka_unit_test(it_rings_until_it_is_quiet),
        cmocka_unit_test(one_session_cannot_fill_it),
        cmocka_unit_test(bytes_are_bounded_for_one_and_for_all),
        cmocka_unit_test(a_request_is_a_copy_that_tells_absent_from_empty),
        cmocka_unit_test(several_workers_fill_it_while_it_is_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
