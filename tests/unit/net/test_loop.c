/* The epoll loop: edges, removal, wakes, exclusive listeners. */
#include <sys/socket.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/loop.h"
#include "net/socket.h"
#include "support/test.h"

static void on_ready(struct nj_loop_source *source, unsigned ready, void *turn)
{
    (void)source;
    (void)ready;
    (void)turn;
}

static void make_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

/* The events of one wait that have a source. */
static unsigned live_events(struct nj_loop *loop, int timeout_ms, struct nj_loop_source **last,
                            unsigned *ready)
{
    unsigned live = 0;
    unsigned count = nj_loop_wait(loop, timeout_ms);
    for (unsigned i = 0; i < count; i++) {
        struct nj_loop_source *source = nj_loop_event(loop, i, ready);
        if (source != NULL) {
            *last = source;
            live++;
        }
    }
    return live;
}

static void a_stream_source_gets_one_event_per_edge(void **state)
{
    (void)state;
    struct nj_loop *loop = NULL;
    int fds[2];
    make_pair(fds);
    assert_int_equal(nj_loop_new(&loop), NJ_OK);
    struct nj_loop_source source;
    nj_loop_source_init(&source, on_ready);
    assert_int_equal(nj_loop_add(loop, &source, fds[0], NJ_LOOP_STREAM), NJ_OK);

    struct nj_loop_source *last = NULL;
    unsigned ready = 0;
    assert_int_equal(live_events(loop, 0, &last, &ready), 1);
    assert_ptr_equal(last, &source);
    assert_int_equal(ready, NJ_LOOP_OUT);
    assert_int_equal(live_events(loop, 0, &last, &ready), 0);

    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(live_events(loop, -1, &last, &ready), 1);
    assert_true(ready & NJ_LOOP_IN);
    assert_int_equal(live_events(loop, 0, &last, &ready), 0);

    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(live_events(loop, -1, &last, &ready), 1);
    assert_true(ready & NJ_LOOP_HUP);
    nj_loop_remove(loop, &source);
    nj_loop_remove(loop, &source);
    assert_int_equal(source.fd, -1);
    (void)close(fds[0]);
    nj_loop_free(loop);
}

static void an_event_of_a_source_removed_in_the_same_turn_is_not_delivered(void **state)
{
    (void)state;
    struct nj_loop *loop = NULL;
    assert_int_equal(nj_loop_new(&loop), NJ_OK);
    int fds[8][2];
    struct nj_loop_source *sources[8];
    for (int i = 0; i < 8; i++) {
        make_pair(fds[i]);
        sources[i] = calloc(1, sizeof(*sources[i]));
        nj_loop_source_init(sources[i], on_ready);
        assert_int_equal(nj_loop_add(loop, sources[i], fds[i][0], NJ_LOOP_STREAM), NJ_OK);
    }
    unsigned count = nj_loop_wait(loop, -1);
    assert_int_equal(count, 8);
    /* Half of them go, their memory too, and new ones take their slots before the dispatch. */
    struct nj_loop_source fresh[4];
    for (int i = 0; i < 4; i++) {
        nj_loop_remove(loop, sources[i]);
        free(sources[i]);
        sources[i] = NULL;
        nj_loop_source_init(&fresh[i], on_ready);
        assert_int_equal(nj_loop_add(loop, &fresh[i], fds[i][1], NJ_LOOP_STREAM), NJ_OK);
    }
    unsigned live = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned ready = 0;
        struct nj_loop_source *source = nj_loop_event(loop, i, &ready);
        live += source != NULL;
        for (int j = 0; j < 4; j++) {
            assert_ptr_not_equal(source, &fresh[j]);
        }
    }
    assert_int_equal(live, 4);
    for (int i = 0; i < 8; i++) {
        free(sources[i]);
        (void)close(fds[i][0]);
        (void)close(fds[i][1]);
    }
    nj_loop_free(loop);
}

static void *waker(void *arg)
{
    nj_loop_wake(arg);
    return NULL;
}

static void a_wake_ends_the_wait_each_time_without_being_read(void **state)
{
    (void)state;
    struct nj_loop *loop = NULL;
    assert_int_equal(nj_loop_new(&loop), NJ_OK);
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, waker, loop), 0);
        assert_int_equal(nj_loop_wait(loop, -1), 1);
        unsigned ready = 0;
        assert_null(nj_loop_event(loop, 0, &ready));
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(nj_loop_wait(loop, 0), 0);
    }
    nj_loop_free(loop);
}

static void a_listener_in_two_loops_stays_ready_until_accepted(void **state)
{
    (void)state;
    int fds[NJ_LISTEN_FDS_MAX];
    size_t count = 0;
    struct nj_listen_options options = {.host = "127.0.0.1"};
    assert_int_equal(nj_listen(&options, fds, &count, NULL), NJ_OK);
    struct nj_loop *loops[2];
    struct nj_loop_source sources[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(nj_loop_new(&loops[i]), NJ_OK);
        nj_loop_source_init(&sources[i], on_ready);
        assert_int_equal(nj_loop_add(loops[i], &sources[i], fds[0], NJ_LOOP_LISTENER), NJ_OK);
    }
    int client = -1;
    struct nj_connect_options to = {.host = "127.0.0.1", .port = nj_listener_port(fds[0])};
    assert_int_equal(nj_connect(&to, &client, NULL), NJ_OK);
    unsigned ready = 0;
    struct nj_loop_source *last = NULL;
    assert_int_equal(live_events(loops[0], -1, &last, &ready), 1);
    assert_int_equal(live_events(loops[0], 0, &last, &ready), 1); /* level-triggered */
    struct nj_fd_reserve reserve;
    nj_fd_reserve_init(&reserve);
    int fd = -1;
    struct nj_addr peer;
    assert_int_equal(nj_accept(fds[0], &reserve, &fd, &peer), NJ_OK);
    assert_int_equal(live_events(loops[0], 0, &last, &ready), 0);
    nj_fd_reserve_fini(&reserve);
    (void)close(fd);
    (void)close(client);
    (void)close(fds[0]);
    nj_loop_free(loops[0]);
    nj_loop_free(loops[1]);
}

static void more_sources_than_events_all_get_their_turn(void **state)
{
    (void)state;
    enum {
        PAIRS = 300
    };
    struct nj_loop *loop = NULL;
    assert_int_equal(nj_loop_new(&loop), NJ_OK);
    static int fds[PAIRS][2];
    static struct nj_loop_source sources[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        make_pair(fds[i]);
        nj_loop_source_init(&sources[i], on_ready);
        assert_int_equal(nj_loop_add(loop, &sources[i], fds[i][0], NJ_LOOP_STREAM), NJ_OK);
    }
    unsigned ready = 0;
    struct nj_loop_source *last = NULL;
    unsigned first = live_events(loop, 0, &last, &ready);
    unsigned second = live_events(loop, 0, &last, &ready);
    assert_int_equal(first, NJ_LOOP_EVENTS_MAX);
    assert_int_equal(first + second, PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        nj_loop_remove(loop, &sources[i]);
        (void)close(fds[i][0]);
        (void)close(fds[i][1]);
    }
    nj_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_source_gets_one_event_per_edge),
        cmocka_unit_test(an_event_of_a_source_removed_in_the_same_turn_is_not_delivered),
        cmocka_unit_test(a_wake_ends_the_wait_each_time_without_being_read),
        cmocka_unit_test(a_listener_in_two_loops_stays_ready_until_accepted),
        cmocka_unit_test(more_sources_than_events_all_get_their_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
