/* What the files of the load generator share: the plan of a run and its threads.
 *
 * The coordinator (bench_run.c) moves `phase`; each generator thread owns its connections and what
 * hangs on them, and tells the others only through atomics. Publishers learn from the receivers'
 * thread how many of their messages came back (`returned`): that closes the window. */
#ifndef NJ_APPS_NJ_BENCH_ENGINE_H
#define NJ_APPS_NJ_BENCH_ENGINE_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/thread.h"
#include "bench_hist.h"
#include "bench_opts.h"
#include "bench_verify.h"
#include "mqtt/frame.h"

#define NJ_BENCH_READ_SIZE (256u << 10)
#define NJ_BENCH_ID_WORDS  (65536 / 64)

enum nj_bench_phase {
    NJ_BENCH_PHASE_SETUP,     /* open, subscribe */
    NJ_BENCH_PHASE_READY,     /* all there, nothing moves */
    NJ_BENCH_PHASE_CALIBRATE, /* storm: the first logins, one by one */
    NJ_BENCH_PHASE_WARMUP,    /* messages move, nothing is recorded */
    NJ_BENCH_PHASE_MEASURE,   /* recorded */
    NJ_BENCH_PHASE_STORM,     /* recorded apart, while logins arrive */
    NJ_BENCH_PHASE_DRAIN,     /* nothing new is published */
    NJ_BENCH_PHASE_STOP
};

enum nj_bench_role {
    NJ_BENCH_ROLE_PUBLISHER,
    NJ_BENCH_ROLE_SUBSCRIBER,
    NJ_BENCH_ROLE_IDLE,
    NJ_BENCH_ROLE_CYCLE, /* connects, disconnects, again */
    NJ_BENCH_ROLE_LOGIN  /* one attempt, then stays */
};

enum nj_bench_state {
    NJ_BENCH_CLOSED,
    NJ_BENCH_CONNECTING,  /* TCP */
    NJ_BENCH_HANDSHAKING, /* TLS */
    NJ_BENCH_WAIT_CONNACK,
    NJ_BENCH_WAIT_SUBACK,
    NJ_BENCH_OPEN,
    NJ_BENCH_WAIT_END /* DISCONNECT is out, the broker closes */
};

struct nj_bench_topic {
    char *text;
    uint16_t len;
    uint16_t dest; /* the receivers that it reaches */
    uint32_t hash;
};

struct nj_bench_conn {
    int fd;
    uint8_t state; /* enum nj_bench_state */
    uint8_t role;  /* enum nj_bench_role */
    bool is_dirty; /* in its thread's list */
    bool is_blocked;
    uint32_t index;  /* within its role */
    uint32_t number; /* among all connections: %n in names */
    SSL *ssl;
    uint64_t opened_ns;
    struct nj_bench_thread *thread;
    struct nj_bench_conn *next_dirty;
    uint8_t *out; /* unsent bytes are [out_at, out_len) */
    uint32_t out_at;
    uint32_t out_len;
    uint32_t out_cap;
    uint32_t rest_len; /* an incomplete packet, kept between reads */
    uint8_t *rest;
    union {
        struct nj_bench_pub *pub;
        struct nj_bench_sub *sub;
        struct nj_bench_login *login;
    };
};

struct nj_bench_pub {
    struct nj_bench_conn *conn;
    uint32_t index;
    uint32_t topic_first; /* its topics: topic_first, … + topic_count - 1 */
    uint32_t topic_count;
    uint32_t topic_at;
    uint32_t topic_step;
    uint32_t *seqs; /* by dest */
    uint64_t sent;
    uint64_t mix; /* sum of nj_bench_stamp_mix over all sent, when a group is there to check */
    /* QoS 1 and 2. */
    uint32_t window; /* the broker's receive maximum may make these two smaller */
    uint32_t unacked;
    uint32_t unacked_max;
    uint16_t last_id;
    uint64_t *ids;                          /* waiting for PUBACK or PUBREC */
    uint64_t *released;                     /* waiting for PUBCOMP */
    uint32_t *sent_us;                      /* fixed rate: by id, when it should have left */
    _Alignas(64) _Atomic uint64_t returned; /* deliveries that receivers have seen */
};

struct nj_bench_sub {
    struct nj_bench_conn *conn;
    uint16_t dest;
    bool is_shared;
    uint32_t filter_first; /* its filters: filter_first, + filter_step, … < filters_count */
    uint32_t filter_at;
    uint32_t filter_step;
    uint32_t pending;   /* filters in the SUBSCRIBE that waits for its SUBACK */
    uint32_t next_id;   /* of SUBSCRIBE */
    uint32_t last_hash; /* of last_topic */
    uint32_t last_len;
    char last_topic[256];
    struct nj_bench_flow *flows; /* by pub; of a shared one by pub and dest */
    uint64_t *ids;               /* QoS 2: waiting for PUBREL */
};

enum nj_bench_outcome {
    NJ_BENCH_OUTCOME_NONE,
    NJ_BENCH_OUTCOME_IN,
    NJ_BENCH_OUTCOME_REFUSED,
    NJ_BENCH_OUTCOME_BROKEN
};

struct nj_bench_login {
    const char *username;
    const char *password;
    uint64_t took_ns;
    uint8_t outcome; /* enum nj_bench_outcome */
};

struct nj_bench_thread {
    struct nj_bench_engine *engine;
    uint32_t index;
    struct nj_thread worker;
    int epoll_fd;
    int wake_fd;
    _Atomic bool is_sleeping;
    struct nj_bench_conn *conns; /* those of the plan */
    uint32_t conns_count;
    uint32_t conns_at; /* the next one to open */
    uint32_t opening;
    struct nj_bench_pub **pubs;
    uint32_t pubs_count;
    struct nj_bench_conn *logins;
    uint32_t logins_count;
    uint32_t logins_at;
    uint32_t logins_open;
    struct nj_bench_conn *dirty;
    struct nj_bench_conn *reopen; /* cycling ones that have ended, linked by next_dirty */
    uint8_t *buffer;
    uint64_t now_ns;
    /* Returns of one publisher, not told yet. */
    uint32_t credit_pub;
    uint32_t credit;
    /* Fixed rate. */
    uint64_t due_ns;
    double interval_ns;
    uint64_t due_count;
    uint64_t due_start_ns;
    uint64_t late[2]; /* MEASURE, STORM: messages that left more than LATE_NS after their time */
    SSL_SESSION *session;
    int phase; /* as of this turn */
    struct nj_bench_tally tally;
    struct nj_bench_hist hists[2]; /* MEASURE, STORM */
    struct nj_bench_hist connect_hist;
    struct nj_bench_hist ack_hist; /* MEASURE: from when it was to leave to PUBACK or PUBCOMP */
    uint64_t stray;                /* acknowledgements of nothing */
    /* For the coordinator. */
    _Atomic uint64_t delivered;
    _Atomic uint64_t published;
    _Atomic uint64_t unacked;
    _Atomic uint32_t ready;
    _Atomic uint64_t cycles;
    uint64_t resumed; /* TLS handshakes that resumed a session */
    _Atomic uint32_t logins_done;
};

struct nj_bench_engine {
    const struct nj_bench_options *options;
    struct sockaddr_storage address;
    socklen_t address_len;
    SSL_CTX *tls;
    struct nj_bench_pattern pattern;
    char prefix[128];
    char nonce[16];
    uint64_t epoch_ns;
    uint32_t deliveries; /* of one published message */
    bool has_group;
    struct nj_bench_topic *topics;
    uint32_t topics_count;
    char **filters;
    uint32_t filters_count;
    char *group_filter;
    struct nj_bench_pub *pubs;
    uint32_t pubs_count;
    struct nj_bench_sub *subs;
    uint32_t subs_count;
    uint32_t dests_count;
    struct nj_bench_login *logins;
    uint32_t logins_count;
    char *login_text; /* what their names point into */
    struct nj_bench_thread *threads;
    uint32_t threads_count;
    _Atomic int phase;
    _Atomic int failed; /* 0, 1 = the text is being written, 2 = it is there */
    char problem[256];
};

/* Remembers the first problem of a run; the coordinator then ends it. Any thread. */
void nj_bench_fail(struct nj_bench_engine *engine, const char *fmt, ...) NJ_PRINTF(2, 3);

/* bench_plan.c: fills engine from its options (target and TLS included). NJ_EINVAL with the reason
 * in engine->problem. fini copes with a half-built one. */
enum nj_err nj_bench_plan_init(struct nj_bench_engine *engine, const struct nj_bench_options *opts)
    NJ_NODISCARD;
void nj_bench_plan_fini(struct nj_bench_engine *engine);

/* bench_loop.c */
void *nj_bench_thread_main(void *arg);
void nj_bench_thread_wake(struct nj_bench_thread *thread);

/* bench_conn.c. open starts a connection; the rest follows from events. */
void nj_bench_conn_open(struct nj_bench_conn *conn);
void nj_bench_conn_event(struct nj_bench_conn *conn, uint32_t events);
void nj_bench_conn_close(struct nj_bench_conn *conn);
/* Room for `len` bytes at the end of the output, which they then belong to; marks the connection
 * for the flush at the end of the turn. */
uint8_t *nj_bench_conn_put(struct nj_bench_conn *conn, uint32_t len);
void nj_bench_flush(struct nj_bench_thread *thread);
/* The connection is gone, by the broker or an error: decides what that means for its role. */
void nj_bench_conn_lost(struct nj_bench_conn *conn, const char *why);

/* bench_tls.c. One door for reading and writing, TLS or not: > 0 bytes, 0 = closed, -1 = not now,
 * -2 = broken. */
enum nj_err nj_bench_tls_init(struct nj_bench_engine *engine) NJ_NODISCARD;
bool nj_bench_tls_start(struct nj_bench_conn *conn);
/* 1 = done, 0 = goes on, -1 = failed (*why says so). */
int nj_bench_tls_handshake(struct nj_bench_conn *conn, const char **why);
int64_t nj_bench_io_read(struct nj_bench_conn *conn, uint8_t *into, size_t cap);
int64_t nj_bench_io_write(struct nj_bench_conn *conn, const uint8_t *data, size_t len);

/* bench_packet.c: one whole packet. False when it broke the rules; the connection is then lost. */
bool nj_bench_packet(struct nj_bench_conn *conn, const struct nj_mqtt_frame *frame,
                     const uint8_t *body);
/* Tells the publishers what came back. */
void nj_bench_credit_flush(struct nj_bench_thread *thread);

/* bench_send.c */
void nj_bench_send_connect(struct nj_bench_conn *conn);
void nj_bench_send_subscribe(struct nj_bench_conn *conn);
void nj_bench_send_ack(struct nj_bench_conn *conn, enum nj_mqtt_type type, uint16_t id);
void nj_bench_send_disconnect(struct nj_bench_conn *conn);
/* Saturated: fills up every window of this thread's publishers. */
void nj_bench_send_window(struct nj_bench_thread *thread);
/* Fixed rate: sends all that is due. */
void nj_bench_send_due(struct nj_bench_thread *thread);

static inline bool nj_bench_id_is_set(const uint64_t *ids, uint16_t id)
{
    return (ids[id / 64] >> (id % 64) & 1) != 0;
}

static inline void nj_bench_id_flip(uint64_t *ids, uint16_t id)
{
    ids[id / 64] ^= 1ull << (id % 64);
}

static inline uint32_t nj_bench_time_us(const struct nj_bench_engine *engine, uint64_t at_ns)
{
    return (uint32_t)((at_ns - engine->epoch_ns) / 1000);
}

#endif
