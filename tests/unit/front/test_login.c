/* Logins from CONNECT to CONNACK: accepted, refused on the tick, and left half way. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "broker/batch.h"
#include "broker/shard.h"
#include "broker/stats.h"
#include "front/conn.h"
#include "rig.h"
#include "support/test.h"

#define REFUSED                                                                                    \
    "\x20\x14\x00\x87\x11\x1f\x00\x0e"                                                             \
    "not authorized"

static struct rig rig;
static char passwords[256];

/* bob's password is "right": $6$, one salted SHA-512, which costs nothing. */
static const char *password_file(void)
{
    static const char salted[] = "right0123456789ab";
    unsigned char digest[64];
    unsigned char salt64[32];
    unsigned char digest64[100];
    unsigned len;
    assert_int_equal(EVP_Digest(salted, sizeof(salted) - 1, digest, &len, EVP_sha512(), NULL), 1);
    (void)EVP_EncodeBlock(salt64, (const unsigned char *)salted + 5, 12);
    (void)EVP_EncodeBlock(digest64, digest, (int)len);
    (void)snprintf(passwords, sizeof(passwords), "bob:$6$%s$%s\n", (const char *)salt64,
                   (const char *)digest64);
    return passwords;
}

static int open_rig(void **state)
{
    const struct rig_options options = {.passwords = password_file()};
    (void)state;
    rig_open(&rig, &options);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

static struct nj_mqtt_connect login_of(const char *user, const char *password)
{
    struct nj_mqtt_connect packet = rig_packet("id");
    packet.has_username = user != NULL;
    packet.username = nj_bytes_of(user);
    packet.has_password = password != NULL;
    packet.password = nj_bytes_of(password);
    return packet;
}

static int login(const char *user, const char *password)
{
    struct nj_mqtt_connect packet = login_of(user, password);
    int fd = rig_connect(&rig);
    rig_login(&rig, fd, &packet);
    return fd;
}

static void expect_nothing(int fd)
{
    uint8_t byte;
    assert_int_equal(rig_read(fd, &byte, 1), 0);
}

static void expect_accepted(int fd)
{
    uint8_t got[64];
    assert_true(rig_read(fd, got, sizeof(got)) > 4);
    assert_int_equal(got[0], 0x20);
    assert_int_equal(got[3], 0);
}

static void the_right_password_gets_in_as_soon_as_it_is_verified(void **state)
{
    (void)state;
    int fd = login("bob", "right");
    rig_await_pool(&rig);
    expect_accepted(fd);
    assert_int_equal(close(fd), 0);
    assert_non_null(strstr(rig_log(), " as id (p5, c1, k60, u'bob').\n"));
}

static void a_remembered_password_needs_no_pool(void **state)
{
    (void)state;
    int fd = login("bob", "right");
    rig_await_pool(&rig);
    expect_accepted(fd);
    assert_int_equal(close(fd), 0);
    fd = login("bob", "right");
    expect_accepted(fd);
    assert_int_equal(close(fd), 0);
}

static uint64_t refused_so_far(void)
{
    return atomic_load(&rig.worker->shard->stats.denied_login);
}

static void L_056_every_refusal_leaves_on_a_tick_and_looks_the_same(void **state)
{
    static const struct {
        const char *user;
        const char *password;
    } rows[] = {
        {"bob", "wrong"}, {"nobody", "right"}, {"bob", NULL},
        {NULL, "right"},  {NULL, NULL},        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nj_shard *shard = rig.worker->shard;
        uint64_t begun = nj_clock_mono_ms();
        begun = begun > shard->now_ms ? begun : shard->now_ms; /* never backwards */
        shard->now_ms = begun;
        int fd = login(rows[i].user, rows[i].password);
        rig_await_pool(&rig);
        expect_nothing(fd);
        /* To the tick, and on from tick to tick until it comes. */
        rig_advance(&rig, 200 - shard->now_ms % 200 - 1);
        expect_nothing(fd);
        rig_advance(&rig, 1);
        while (refused_so_far() == i) {
            rig_advance(&rig, 199);
            expect_nothing(fd);
            rig_advance(&rig, 1);
        }
        assert_in_range(shard->now_ms, begun, begun + 1000);
        RIG_EXPECT(fd, REFUSED);
        rig_expect_closed(fd);
        assert_int_equal(close(fd), 0);
    }
}

static void who_leaves_before_the_answer_leaves_nothing_behind(void **state)
{
    (void)state;
    int fd = login("bob", "right");
    nj_conn_close_all(rig.worker);
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
    while (nj_inbox_is_empty(&rig.worker->shard->inbox)) {
        (void)usleep(500); /* the pool's answer, to nobody */
    }
    rig_turn(&rig);
    fd = login(NULL, NULL); /* and one that waits for its tick */
    nj_conn_close_all(rig.worker);
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
    rig_advance(&rig, 1000);
    assert_int_equal(atomic_load(&rig.worker->shard->stats.connections_open), 0);
}

static void who_says_nothing_is_not_waited_for(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_advance(&rig, 9000);
    expect_nothing(fd);
    rig_advance(&rig, 1100);
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
    assert_non_null(strstr(rig_log(), "no CONNECT in time"));
}

static void what_is_no_connect_ends_the_connection(void **state)
{
    (void)state;
    int fd = rig_connect(&rig);
    rig_send(&rig, fd, "\xc0\x00", 2);
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
    fd = rig_connect(&rig);
    rig_send(&rig, fd, "\x10\xff\xff\x7f", 4); /* more than a stranger may send */
    rig_expect_closed(fd);
    assert_int_equal(close(fd), 0);
    assert_int_equal(atomic_load(&rig.worker->shard->stats.bad_packets), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_gets_in_as_soon_as_it_is_verified),
        TEST(a_remembered_password_needs_no_pool),
        TEST(L_056_every_refusal_leaves_on_a_tick_and_looks_the_same),
        TEST(who_leaves_before_the_answer_leaves_nothing_behind),
        TEST(who_says_nothing_is_not_waited_for),
        TEST(what_is_no_connect_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, rig_group_open, rig_group_close);
}
