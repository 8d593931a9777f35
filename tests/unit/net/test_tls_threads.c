/* Contexts shared by threads: handshakes and rechecks while the context is replaced, and a stream
 * that moves from thread to thread. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"
#include "support/test.h"
#include "unit/net/rig.h"

enum {
    THREADS = 3,
    ROUNDS = 40
};

struct shared_locked {
    pthread_mutex_t mutex;
    struct nj_tls_server *server;
};

struct shared {
    struct shared_locked current;
    struct nj_tls_client *client;
};

static struct nj_tls_server *current(struct shared *shared)
{
    (void)pthread_mutex_lock(&shared->current.mutex);
    struct nj_tls_server *server = nj_tls_server_ref(shared->current.server);
    (void)pthread_mutex_unlock(&shared->current.mutex);
    return server;
}

static void *connect_often(void *arg)
{
    struct shared *shared = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct nj_tls_server *server = current(shared);
        struct nj_stream *ends[2];
        rig_connect(server, shared->client, &ends[0], &ends[1]);
        nj_tls_server_unref(server);
        char received[5];
        rig_send(ends[1], ends[0], "hello", 5, received);
        struct nj_tls_server *next = current(shared);
        struct nj_net_error why;
        assert_int_equal(nj_tls_conn_recheck(nj_stream_tls(ends[0]), next, &why), NJ_OK);
        nj_tls_server_unref(next);
        nj_stream_free(ends[0]);
        nj_stream_free(ends[1]);
    }
    return NULL;
}

static void a_context_is_replaced_under_running_handshakes(void **state)
{
    (void)state;
    struct rig_pki pki;
    rig_pki_init(&pki);
    struct pki_cert other = pki_ca("Other CA");
    const struct pki_cert *both[] = {&other, &pki.ca};
    struct nj_tls_server_config configs[2] = {rig_server_config(&pki, true),
                                              rig_server_config(&pki, true)};
    char both_file[512];
    (void)strcpy(both_file, pki_write_certs(pki.dir, "both.crt", both, 2));
    configs[1].cafile = both_file;
    struct nj_tls_client_config client_config = rig_client_config(&pki, true);
    struct shared shared = {.current = {PTHREAD_MUTEX_INITIALIZER, rig_server(&configs[0], NULL)},
                            .client = rig_client(&client_config)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, connect_often, &shared), 0);
    }
    for (int i = 1; i < 30; i++) {
        /* Every other time only the object is new and the ticket keys stay. */
        struct nj_tls_server *next = rig_server(&configs[(i / 2) % 2], shared.current.server);
        (void)pthread_mutex_lock(&shared.current.mutex);
        struct nj_tls_server *old = shared.current.server;
        shared.current.server = next;
        (void)pthread_mutex_unlock(&shared.current.mutex);
        nj_tls_server_unref(old);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    nj_tls_server_unref(shared.current.server);
    nj_tls_client_unref(shared.client);
    pki_free(&other);
    rig_pki_fini(&pki);
}

static void *talk(void *arg)
{
    struct nj_stream **ends = arg;
    char received[5];
    rig_send(ends[1], ends[0], "hello", 5, received);
    rig_send(ends[0], ends[1], received, 5, received);
    return NULL;
}

static void a_stream_moves_between_threads_while_it_is_idle(void **state)
{
    (void)state;
    struct rig_pki pki;
    rig_pki_init(&pki);
    struct nj_tls_server_config config = rig_server_config(&pki, true);
    struct nj_tls_client_config client_config = rig_client_config(&pki, true);
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client *client = rig_client(&client_config);
    struct nj_stream *ends[2];
    rig_connect(server, client, &ends[0], &ends[1]);
    for (int i = 0; i < 5; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, talk, ends), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        (void)talk(ends);
    }
    nj_stream_free(ends[0]);
    nj_stream_free(ends[1]);
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
    rig_pki_fini(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_context_is_replaced_under_running_handshakes),
        cmocka_unit_test(a_stream_moves_between_threads_while_it_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
