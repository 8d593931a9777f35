/* See rig.h. */
#include "rig.h"

#include <sys/socket.h>
#include <errno.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/qsbr.h"
#include "broker/batch.h"
#include "config/config.h"
#include "front/conn.h"
#include "front/login_check.h"
#include "front/store_door.h"
#include "security/acl.h"
#include "security/password_file.h"
#include "security/policy.h"
#include "support/test.h"

#define LOG_MAX   (1u << 18)
#define TURNS_MAX 100000

static char log_text[LOG_MAX];
static size_t log_len;
static char dir[] = "/tmp/nj-front-XXXXXX";

static void on_line(void *arg, enum nj_log_type type, const char *line, size_t len)
{
    (void)arg;
    (void)type;
    if (log_len + len + 2 < LOG_MAX) {
        memcpy(log_text + log_len, line, len);
        log_len += len;
        log_text[log_len++] = '\n';
        log_text[log_len] = '\0';
    }
}

const char *rig_log(void)
{
    return log_text;
}

void rig_log_clear(void)
{
    log_len = 0;
    log_text[0] = '\0';
}

int rig_group_open(void **state)
{
    const struct nj_log_settings quiet = {
        .types = NJ_LOG_DEFAULT, .to_topic = true, .topic_fn = on_line};
    (void)state;
    nj_hash_init();
    return nj_log_configure(&quiet) != NJ_OK || !mkdtemp(dir) || chdir(dir) != 0 ? -1 : 0;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info;
    (void)kind;
    (void)at;
    return remove(path);
}

int rig_group_close(void **state)
{
    (void)state;
    return chdir("/") | nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- settings and policy */

static struct nj_settings *load(const char *config)
{
    char name[] = "nightjar";
    char option[] = "-c";
    char file[] = "front.conf";
    char *argv[] = {name, option, file, NULL};
    struct nj_config_result result;
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_true(
        fprintf(out, "persistence false\nlistener 0 %s/sock\n%s", dir, config ? config : "") > 0);
    assert_int_equal(fclose(out), 0);
    nj_config_load(3, argv, &result);
    if (result.action != NJ_CONFIG_RUN) {
        fail_msg("%s", result.error);
    }
    return result.settings;
}

static struct nj_policy *make_policy(const struct rig_options *options)
{
    const struct nj_acl_options native = {.leading_for_all = true, .any_case_keywords = true};
    char error[256];
    struct nj_scope scope = {
        .acl_default_allow = true,
        .allow_anonymous = !options->passwords,
        .checks_subscribe = true,
    };
    if (options->acl) {
        assert_int_equal(nj_acl_parse(nj_bytes_of(options->acl), "acl", &native, &scope.acl, error,
                                      sizeof(error)),
                         NJ_OK);
    }
    if (options->passwords) {
        assert_int_equal(nj_passwords_parse(nj_bytes_of(options->passwords), "pw", &scope.passwords,
                                            error, sizeof(error)),
                         NJ_OK);
    }
    return nj_policy_new(1, &scope, 1);
}

/* ---- life */

void rig_open(struct rig *rig, const struct rig_options *options)
{
    static const struct rig_options none;
    options = options ? options : &none;
    *rig = (struct rig){0};
    rig->limits = (struct nj_limits){
        .max_inflight = 20,
        .max_queued = 1000,
        .max_packet_size = 2000000,
        .topic_levels = 200,
        .retain_available = true,
        .will_checked_at_connect = true,
        .session_owner = true,
        .refuses_control_chars = true,
        .sends_reason_strings = true,
    };
    rig->settings = load(options->config);
    rig->settings->workers = options->workers ? options->workers : 1;
    assert_int_equal(nj_front_open(&rig->front, rig->settings, make_policy(options), &rig->limits),
                     NJ_OK);
    assert_int_equal(nj_front_open_store(&rig->front, rig->settings), NJ_OK);
    rig->worker = &rig->front.workers[0];
    rig->worker->shard->now_ms = nj_clock_mono_ms();
    if (rig->settings->workers == 1) {
        nj_qsbr_online(rig->front.core.qsbr, 0);
    }
    rig_log_clear();
}

void rig_close(struct rig *rig)
{
    if (rig->settings->workers == 1) {
        nj_qsbr_offline(rig->front.core.qsbr, 0);
    }
    nj_front_stop(&rig->front);
    nj_settings_free(rig->settings);
}

void rig_turn(struct rig *rig)
{
    struct nj_shard *shard = rig->worker->shard;
    struct nj_batch *batches = nj_inbox_drain(&shard->inbox);
    nj_qsbr_quiescent(rig->front.core.qsbr, 0);
    if (batches) {
        nj_shard_run(shard, batches);
    }
    (void)nj_timers_run(&rig->worker->timers, shard->now_ms, rig->worker);
    while (shard->dirty_count || shard->late_count) {
        struct nj_link *link = shard->dirty_count ? shard->dirty[--shard->dirty_count]
                                                  : shard->dirty_late[--shard->late_count];
        link->is_dirty = false;
        nj_conn_flush(nj_conn_of(link));
    }
    (void)nj_jobs_run(shard);
    nj_conn_reread(rig->worker);
    nj_conn_reap(rig->worker);
    nj_store_flush(rig->front.core.store, 0);
}

void rig_advance(struct rig *rig, uint64_t ms)
{
    rig->worker->shard->now_ms += ms;
    rig_turn(rig);
}

static bool waits_for_pool(const struct rig *rig)
{
    nj_list_each_safe (node, &rig->worker->conns) {
        const struct nj_conn *conn = NJ_CONTAINER(node, struct nj_conn, node);
        if (conn->login && conn->login->is_at_pool) {
            return true;
        }
    }
    return false;
}

void rig_await_pool(struct rig *rig)
{
    while (waits_for_pool(rig)) {
        (void)usleep(500);
        rig_turn(rig);
    }
}

void rig_await_output(struct rig *rig, int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, 0) == 0) {
        (void)usleep(500);
        rig_turn(rig);
    }
}

/* ---- clients */

int rig_connect(struct rig *rig)
{
    const struct nj_addr peer = {.ip = {127, 0, 0, 1}, .port = 4711, .family = AF_INET};
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    nj_conn_accept(rig->worker, &rig->front.listeners[0], fds[0], &peer);
    rig_turn(rig);
    return fds[1];
}

/* The connection whose socket has the other end. */
static void wake(struct rig *rig)
{
    nj_list_each_safe (node, &rig->worker->conns) {
        nj_conn_read(NJ_CONTAINER(node, struct nj_conn, node));
    }
    rig_turn(rig);
}

void rig_send(struct rig *rig, int fd, const void *data, size_t len)
{
    assert_int_equal(write(fd, data, len), (long)len);
    wake(rig);
}

struct nj_mqtt_connect rig_packet(const char *client_id)
{
    return (struct nj_mqtt_connect){
        .version = NJ_MQTT_5,
        .is_clean_start = true,
        .keep_alive_s = 60,
        .client_id = nj_bytes_of(client_id),
    };
}

void rig_login(struct rig *rig, int fd, const struct nj_mqtt_connect *packet)
{
    uint8_t frame[4096];
    size_t size = nj_mqtt_connect_size(packet);
    assert_in_range(size, 1, sizeof(frame));
    (void)nj_mqtt_connect_encode(packet, frame);
    rig_send(rig, fd, frame, size);
}

long rig_read(int fd, void *out, size_t size)
{
    ssize_t got = read(fd, out, size);
    if (got < 0) {
        return errno == EAGAIN ? 0 : -1;
    }
    return got == 0 ? -1 : (long)got;
}

void rig_expect(int fd, const void *wanted, size_t len)
{
    uint8_t got[4096];
    long count = rig_read(fd, got, sizeof(got));
    assert_int_equal(count, (long)len);
    assert_memory_equal(got, wanted, len);
}

void rig_expect_closed(int fd)
{
    uint8_t byte;
    assert_int_equal(rig_read(fd, &byte, 1), -1);
}
