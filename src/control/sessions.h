/* Lists and details of sessions, for several APIs. */
#ifndef NJ_CONTROL_SESSIONS_H
#define NJ_CONTROL_SESSIONS_H

#include "control/api.h"

struct nj_session;

#define NJ_LIST_COUNT_MAX  1000
#define NJ_LIST_OFFSET_MAX 100000

/* One session as JSON; runs on its worker. A new reference, NULL when memory is short. */
typedef json_t *(*nj_control_describe_fn)(const struct nj_session *session);

/* What to list: sessions in the order of their client ids. Texts live as long as the call. */
struct nj_session_query {
    const char *key;   /* of the array in the answer: "clients" */
    const char *after; /* only ids behind this one; NULL = from the first */
    const char *user;  /* of this user only; NULL = all */
    bool online_only;
    bool tells_next; /* with a key `after` when there are more */
    int64_t offset;
    int64_t count; /* 1 to NJ_LIST_COUNT_MAX */
    nj_control_describe_fn describe;
};

/* Answers the call later: {KEY: […], totalCount}. */
void nj_control_list_sessions(struct nj_control_call *call, const struct nj_session_query *query);

/* Has `fn` run for the session with this id on its worker, and ends the call with what it returns:
 * data (new reference), or NULL with *error, a static text. */
typedef json_t *(*nj_control_session_fn)(struct nj_session *session, struct nj_control_call *call,
                                         const char **error);
void nj_control_with_session(struct nj_control_call *call, const char *client_id,
                             const char *not_found, nj_control_session_fn fn);

/* -- describing; on the session's worker -- */
json_t *nj_control_describe_id(const struct nj_session *session);
json_t *nj_control_describe_session(const struct nj_session *session);
/* Ends its connection, if it has one: DISCONNECT 0x98, without the will. */
void nj_control_end_connection(struct nj_session *session);
json_t *nj_control_subscriptions_of(const struct nj_session *session, size_t from, size_t count);

#endif
