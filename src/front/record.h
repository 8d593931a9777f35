/* Records between workers that the core does not know (broker/record.h, NJ_RECORD_FRONT). */
#ifndef NJ_FRONT_RECORD_H
#define NJ_FRONT_RECORD_H

#include <stdbool.h>

#include "broker/record.h"

enum nj_front_record_kind {
    NJ_RECORD_ADOPT = NJ_RECORD_FRONT, /* struct nj_record_adopt */
    NJ_RECORD_LOGIN,                   /* struct nj_record_login */
    NJ_RECORD_SYS,                     /* struct nj_record_sys */
};

struct nj_conn;
struct nj_login;

struct nj_record_adopt {
    struct nj_conn *conn; /* handed over: nobody else touches it any more */
};

struct nj_record_login {
    struct nj_login *login;
    bool ok;
};

/* A publication of the broker itself; topic and payload follow. */
struct nj_record_sys {
    uint32_t topic_len;
    uint32_t payload_len;
    uint8_t qos;
    bool is_retain;
};

#endif
