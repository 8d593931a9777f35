/* A front without threads: one worker that is turned by hand, one listener, and clients at the
 * other end of socket pairs. The clock is the worker's, so time passes only when a test says so. */
#ifndef NJ_TESTS_FRONT_RIG_H
#define NJ_TESTS_FRONT_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/limits.h"
#include "front/front.h"
#include "mqtt/connect.h"

struct rig_options {
    const char *config;    /* lines of the listener and global ones; NULL = none */
    const char *acl;       /* text of an ACL file; NULL = none, everything allowed */
    const char *passwords; /* text of a password file; NULL = none, anonymous allowed */
    unsigned workers;      /* 0 = 1 */
};

struct rig {
    struct nj_front front;
    struct nj_limits limits;
    struct nj_settings *settings;
    struct nj_worker *worker;
};

/* Group set-up and tear-down: a directory, and the log kept in memory. */
int rig_group_open(void **state);
int rig_group_close(void **state);

void rig_open(struct rig *rig, const struct rig_options *options);
void rig_close(struct rig *rig);
/* One turn of the first worker, as its thread would: the inbox, timers, output, closing. */
void rig_turn(struct rig *rig);
/* Time passes, then a turn. */
void rig_advance(struct rig *rig, uint64_t ms);
/* Turns until the auth pool has answered every connection. */
void rig_await_pool(struct rig *rig);

/* Turns until something can be read, or the connection is closed. */
void rig_await_output(struct rig *rig, int fd);

/* Lines since the last clear, each ended by a newline. */
const char *rig_log(void);
void rig_log_clear(void);

/* A connection from 127.0.0.1; the test's end of it. */
int rig_connect(struct rig *rig);
void rig_send(struct rig *rig, int fd, const void *data, size_t len);
/* CONNECT as `packet` says. */
void rig_login(struct rig *rig, int fd, const struct nj_mqtt_connect *packet);
/* What the broker has written, at most `size` bytes; 0 = nothing yet, -1 = it has closed. */
long rig_read(int fd, void *out, size_t size);
/* It wrote exactly this. */
void rig_expect(int fd, const void *wanted, size_t len);
#define RIG_EXPECT(fd, text) rig_expect(fd, text, sizeof(text) - 1)
void rig_expect_closed(int fd);

/* A CONNECT packet of MQTT 5 with a clean start. */
struct nj_mqtt_connect rig_packet(const char *client_id);

#endif
