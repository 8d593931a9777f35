/* Records between workers that the core does not know (broker/record.h, NJ_RECORD_FRONT). */
#ifndef NJ_FRONT_RECORD_H
#define NJ_FRONT_RECORD_H

#include <stdbool.h>

#include "broker/record.h"

enum nj_front_record_kind {
    NJ_RECORD_ADOPT = NJ_RECORD_FRONT, /* struct nj_record_adopt */
    NJ_RECORD_LOGIN,                   /* struct nj_record_login */
    NJ_RECORD_SYS,                     /* struct nj_record_sys */
    NJ_RECORD_REPLY,                   /* struct nj_record_reply */
    NJ_RECORD_TASK,                    /* struct nj_record_task */
};

struct nj_conn;
struct nj_login;
struct nj_shard;

struct nj_record_adopt {
    struct nj_conn *conn; /* handed over: nobody else touches it any more */
};

struct nj_record_login {
    struct nj_login *login;
    uint64_t due_ms; /* a refusal must not be seen before */
    bool ok;
};

/* A publication of the broker itself; topic and payload follow. */
struct nj_record_sys {
    uint32_t topic_len;
    uint32_t payload_len;
    uint8_t qos;
    bool is_retain;
};

/* What the control thread answers a request; topic, correlation data and payload follow. */
struct nj_record_reply {
    uint64_t session;
    uint32_t connection;
    uint32_t topic_len;
    uint32_t correlation_len;
    uint32_t payload_len;
    bool has_correlation;
    uint8_t way; /* enum nj_reply_way */
};

/* Work that another thread wants done with what this worker owns. `run` returns false to be called
 * again in a later turn; the task belongs to who posted it, who waits for `run` to tell it. */
struct nj_front_task {
    bool (*run)(struct nj_front_task *task, struct nj_shard *shard);
};
struct nj_record_task {
    struct nj_front_task *task;
};

#endif
