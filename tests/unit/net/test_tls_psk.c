/* Pre-shared keys: our server and our client, and OpenSSL's own client as a foreign one. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "support/test.h"
#include "unit/net/rig.h"

struct keys {
    const char *identity;
    const char *key;
    int released;
};

static size_t find(const void *arg, struct nj_bytes identity, uint8_t *key, size_t cap)
{
    const struct keys *keys = arg;
    if (!nj_bytes_equal(identity, nj_bytes_of(keys->identity)) || strlen(keys->key) > cap) {
        return 0;
    }
    memcpy(key, keys->key, strlen(keys->key));
    return strlen(keys->key);
}

static void release(void *arg)
{
    ((struct keys *)arg)->released++;
}

static struct nj_tls_server *serve(struct keys *keys)
{
    const struct nj_tls_server_config config = {
        .name = "8884", .psk_hint = "hint", .psk = {find, release, keys}};
    return rig_server(&config, NULL);
}

static struct nj_tls_client *client_with(const char *identity, const char *key, bool is_12)
{
    const struct nj_tls_client_config config = {
        .psk_identity = identity,
        .psk_key = nj_bytes_of(key),
        .max_version = is_12 ? NJ_TLS_12 : NJ_TLS_13,
    };
    return rig_client(&config);
}

/* Returns the server's end, or NULL with the errors of both. */
static struct nj_stream *meet(struct nj_tls_server *server, struct nj_tls_client *client,
                              struct nj_stream **client_end, enum nj_err errs[2], char *why)
{
    int fds[2];
    struct nj_stream *server_end = NULL;
    rig_pair(fds, false);
    assert_int_equal(nj_stream_tls_server_new(fds[0], server, &server_end), NJ_OK);
    assert_int_equal(nj_stream_tls_client_new(fds[1], client, "localhost", client_end), NJ_OK);
    rig_handshake(server_end, *client_end, &errs[0], &errs[1]);
    (void)snprintf(why, 512, "%s", nj_stream_error(server_end));
    if (errs[0] != NJ_OK) {
        nj_stream_free(server_end);
        nj_stream_free(*client_end);
        *client_end = NULL;
        return NULL;
    }
    return server_end;
}

static void the_same_key_meets_in_both_versions(void **state)
{
    (void)state;
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct keys keys = {"alice", "0123456789abcdef", 0};
        struct nj_tls_server *server = serve(&keys);
        struct nj_tls_client *client = client_with("alice", "0123456789abcdef", is_12);
        struct nj_stream *client_end = NULL;
        enum nj_err errs[2];
        char why[512];
        struct nj_stream *server_end = meet(server, client, &client_end, errs, why);
        if (!server_end) {
            fail_msg("%s", why);
        }
        assert_int_equal(errs[1], NJ_OK);
        char got[5];
        struct nj_tls_conn *conn = nj_stream_tls(server_end);
        assert_string_equal(nj_tls_conn_psk_identity(conn), "alice");
        assert_string_equal(nj_tls_conn_version(conn), is_12 ? "TLSv1.2" : "TLSv1.3");
        rig_send(client_end, server_end, "hello", 5, got);
        rig_send(server_end, client_end, "world", 5, got);
        assert_memory_equal(got, "world", 5);

        /* As long as the key is the same, it is good; then no more. */
        struct nj_net_error error;
        assert_int_equal(nj_tls_conn_recheck(conn, server, &error), NJ_OK);
        struct keys others[] = {{"alice", "0123456789abcdeX", 0}, {"bob", "0123456789abcdef", 0}};
        for (int i = 0; i < 2; i++) {
            struct nj_tls_server *fresh = serve(&others[i]);
            assert_int_equal(nj_tls_conn_recheck(conn, fresh, &error), NJ_EAUTH);
            nj_tls_server_unref(fresh);
            assert_int_equal(others[i].released, 1);
        }
        nj_stream_free(client_end);
        nj_stream_free(server_end);
        nj_tls_client_unref(client);
        nj_tls_server_unref(server);
        assert_int_equal(keys.released, 1);
    }
}

static void L056_an_unknown_identity_fails_like_a_wrong_key(void **state)
{
    (void)state;
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct keys keys = {"alice", "0123456789abcdef", 0};
        struct nj_tls_server *server = serve(&keys);
        char errors[2][512];
        for (int i = 0; i < 2; i++) {
            struct nj_tls_client *client = client_with(i ? "mallory" : "alice", "wrong", is_12);
            int fds[2];
            struct nj_stream *server_end = NULL;
            struct nj_stream *client_end = NULL;
            enum nj_err errs[2];
            rig_pair(fds, false);
            assert_int_equal(nj_stream_tls_server_new(fds[0], server, &server_end), NJ_OK);
            assert_int_equal(nj_stream_tls_client_new(fds[1], client, "x", &client_end), NJ_OK);
            rig_handshake(server_end, client_end, &errs[0], &errs[1]);
            assert_int_not_equal(errs[0], NJ_OK);
            assert_int_not_equal(errs[1], NJ_OK);
            (void)snprintf(errors[i], 512, "%s", nj_stream_error(client_end));
            assert_null(nj_tls_conn_psk_identity(nj_stream_tls(server_end)) && i ? "" : NULL);
            if (i) {
                assert_non_null(strstr(nj_stream_error(server_end), "identity is not known"));
            }
            nj_stream_free(client_end);
            nj_stream_free(server_end);
            nj_tls_client_unref(client);
        }
        assert_string_equal(errors[0], errors[1]);
        nj_tls_server_unref(server);
    }
}

static void without_a_key_nobody_gets_in(void **state)
{
    struct rig_pki *pki = *state;
    struct keys keys = {"alice", "0123456789abcdef", 0};
    struct nj_tls_server *server = serve(&keys);
    struct nj_tls_client_config config = rig_client_config(pki, true);
    struct nj_tls_client *client = rig_client(&config);
    struct nj_stream *client_end = NULL;
    enum nj_err errs[2];
    char why[512];
    assert_null(meet(server, client, &client_end, errs, why));
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
}

static void a_client_with_a_key_trusts_no_server_without_it(void **state)
{
    struct rig_pki *pki = *state;
    for (int is_12 = 0; is_12 < 2; is_12++) {
        struct nj_tls_server_config config = rig_server_config(pki, false);
        struct nj_tls_server *server = rig_server(&config, NULL);
        struct nj_tls_client *client = client_with("alice", "0123456789abcdef", is_12);
        int fds[2];
        struct nj_stream *server_end = NULL;
        struct nj_stream *client_end = NULL;
        enum nj_err errs[2];
        rig_pair(fds, false);
        assert_int_equal(nj_stream_tls_server_new(fds[0], server, &server_end), NJ_OK);
        assert_int_equal(nj_stream_tls_client_new(fds[1], client, "localhost", &client_end), NJ_OK);
        rig_handshake(server_end, client_end, &errs[0], &errs[1]);
        assert_int_not_equal(errs[1], NJ_OK);
        nj_stream_free(client_end);
        nj_stream_free(server_end);
        nj_tls_client_unref(client);
        nj_tls_server_unref(server);
    }
}

static void keys_without_a_hint_change_nothing(void **state)
{
    struct rig_pki *pki = *state;
    struct keys keys = {"alice", "0123456789abcdef", 0};
    struct nj_tls_server_config config = rig_server_config(pki, false);
    config.psk = (struct nj_tls_psk_source){find, release, &keys};
    struct nj_tls_server *server = rig_server(&config, NULL);
    struct nj_tls_client_config client_config = rig_client_config(pki, false);
    struct nj_tls_client *client = rig_client(&client_config);
    struct nj_stream *server_end = NULL;
    struct nj_stream *client_end = NULL;
    rig_connect(server, client, &server_end, &client_end);
    nj_stream_free(server_end);
    nj_stream_free(client_end);
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
    assert_int_equal(keys.released, 0);
}

static void nothing_is_resumed(void **state)
{
    (void)state;
    struct keys keys = {"alice", "0123456789abcdef", 0};
    struct nj_tls_server *server = serve(&keys);
    struct nj_tls_client *client = client_with("alice", "0123456789abcdef", true);
    for (int i = 0; i < 2; i++) {
        struct nj_stream *client_end = NULL;
        enum nj_err errs[2];
        char why[512];
        struct nj_stream *server_end = meet(server, client, &client_end, errs, why);
        assert_non_null(server_end);
        assert_false(nj_tls_conn_is_resumed(nj_stream_tls(server_end)));
        nj_stream_free(client_end);
        nj_stream_free(server_end);
    }
    nj_tls_client_unref(client);
    nj_tls_server_unref(server);
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
    struct rig_pki *pki = *state;
    struct keys keys = {"alice", "k", 0};
    struct nj_tls_server *server = NULL;
    struct nj_tls_client *client = NULL;
    struct nj_net_error error;
    char text[700];
    struct nj_tls_server_config config = {.psk_hint = "h"};
    assert_int_equal(nj_tls_server_new(&config, NULL, &server, &error), NJ_EINVAL);
    config.psk = (struct nj_tls_psk_source){find, release, &keys};
    config.certfile = pki->certfile;
    assert_int_equal(nj_tls_server_new(&config, NULL, &server, &error), NJ_EINVAL);
    memset(text, 'h', sizeof(text));
    text[600] = '\0';
    config.certfile = NULL;
    config.psk_hint = text;
    assert_int_equal(nj_tls_server_new(&config, NULL, &server, &error), NJ_EINVAL);
    assert_int_equal(keys.released, 0);
    struct nj_tls_client_config bad = {.psk_identity = "", .psk_key = nj_bytes_of("k")};
    assert_int_equal(nj_tls_client_new(&bad, &client, &error), NJ_EINVAL);
    bad.psk_identity = text;
    assert_int_equal(nj_tls_client_new(&bad, &client, &error), NJ_EINVAL);
    bad.psk_identity = "i";
    bad.psk_key = nj_bytes(text, NJ_TLS_PSK_KEY_MAX + 1);
    assert_int_equal(nj_tls_client_new(&bad, &client, &error), NJ_EINVAL);
}

static void an_engine_that_is_not_there_is_named(void **state)
{
    struct rig_pki *pki = *state;
    struct nj_tls_server *server = NULL;
    struct nj_net_error error;
    struct nj_tls_server_config config = rig_server_config(pki, false);
    config.key = (struct nj_tls_key){.file = "key", .engine = "nonesuch", .is_in_engine = true};
    assert_int_equal(nj_tls_server_new(&config, NULL, &server, &error), NJ_ENOENT);
    assert_non_null(strstr(error.text, "tls_engine nonesuch"));
    config.key.engine = NULL;
    assert_int_equal(nj_tls_server_new(&config, NULL, &server, &error), NJ_EINVAL);
}

static int setup(void **state)
{
    static struct rig_pki pki;
    rig_pki_init(&pki);
    *state = &pki;
    return 0;
}

static int teardown(void **state)
{
    rig_pki_fini(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_key_meets_in_both_versions),
        cmocka_unit_test(L056_an_unknown_identity_fails_like_a_wrong_key),
        cmocka_unit_test(without_a_key_nobody_gets_in),
        cmocka_unit_test(a_client_with_a_key_trusts_no_server_without_it),
        cmocka_unit_test(keys_without_a_hint_change_nothing),
        cmocka_unit_test(nothing_is_resumed),
        cmocka_unit_test(settings_that_contradict_each_other_are_refused),
        cmocka_unit_test(an_engine_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
