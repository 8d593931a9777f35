/* Telling why something was denied: one call for every path. */
#ifndef NJ_BROKER_DENIAL_H
#define NJ_BROKER_DENIAL_H

#include "base/bytes.h"
#include "security/authz.h"

struct nj_session;
struct nj_shard;

struct nj_denial {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    struct nj_bytes topic;
    enum nj_action action;
    struct nj_verdict verdict;
    unsigned scope;
};

/* Counts the denial and hands it to the log. */
void nj_session_denied(struct nj_session *session, enum nj_action action, struct nj_bytes topic,
                       const struct nj_verdict *verdict);

#endif
