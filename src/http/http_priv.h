/* What the files of this room share. */
#ifndef NJ_HTTP_HTTP_PRIV_H
#define NJ_HTTP_HTTP_PRIV_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/thread.h"
#include "front/front.h"
#include "http/http.h"

#define NJ_HTTP_CLIENT_ID "http-api"

/* Statuses that are counted; everything else counts as the last one. */
#define NJ_HTTP_CODES(X) X(200) X(400) X(401) X(403) X(404) X(405) X(413) X(500) X(503)
enum nj_http_code {
#define NJ_HTTP_CODE(code) NJ_HTTP_CODE_##code,
    NJ_HTTP_CODES(NJ_HTTP_CODE)
#undef NJ_HTTP_CODE
    NJ_HTTP_CODE_COUNT
};

struct nj_http;

/* One listening socket. */
struct nj_http_daemon {
    struct nj_http *http;
    const struct nj_listener *listener;
    struct MHD_Daemon *mhd;
    char *certificate; /* PEM, for as long as the daemon lives; NULL = no TLS */
    char *key;
    int epoll_fd;
};

struct nj_http {
    struct nj_front *front;
    struct nj_thread thread;
    int wake_fd;
    _Atomic bool is_stopping;
    size_t daemon_count;
    struct nj_http_daemon *daemons;
    struct nj_list connections; /* http thread */
    struct nj_list refused;     /* requests that wait until they may be refused; http thread */
    _Atomic uint64_t requests[NJ_HTTP_CODE_COUNT];
    _Atomic uint64_t connections_open;
    pthread_mutex_t lock;   /* guards `answers` and `logins` */
    pthread_cond_t idle;    /* signalled when logins becomes 0 */
    struct nj_list answers; /* requests that the auth pool has answered */
    unsigned logins;        /* requests that the auth pool holds */
};

enum nj_http_login_state {
    NJ_HTTP_NEW,
    NJ_HTTP_ASKED,    /* suspended: the auth pool is asked */
    NJ_HTTP_ANSWERED, /* suspended or just resumed: is_ok and due_ms are set */
};

/* One request; made when its head has arrived. http thread, but for what the auth pool answers. */
struct nj_http_request {
    struct nj_list node; /* in http->answers or ->refused */
    struct nj_http *http;
    struct nj_http_daemon *daemon;
    struct MHD_Connection *connection;
    enum nj_http_login_state state;
    bool is_ok;
    bool is_busy;    /* too many logins wait */
    const char *why; /* refused: for the log */
    uint64_t due_ms;
    char *user; /* NULL = anonymous */
    size_t user_len;
    uint64_t credential; /* what holds the login up */
};

/* server.c. Answers, counts and takes the text over; `type` lives for ever. */
enum MHD_Result nj_http_answer(struct nj_http_request *request, unsigned code, const char *type,
                               struct nj_buf *body);
enum MHD_Result nj_http_answer_text(struct nj_http_request *request, unsigned code,
                                    const char *text);
void nj_http_count(struct nj_http *http, unsigned code);

struct nj_policy;
/* login.c. Whether the user may receive `topic`. */
bool nj_http_may_read(const struct nj_http_request *request, const struct nj_policy *policy,
                      struct nj_bytes topic);
/* Whether the login still holds under `policy`, which may be newer than the one it was made under.
 */
bool nj_http_still_holds(const struct nj_http_request *request, const struct nj_policy *policy);

/* login.c. Who is it? MHD_YES with request->state NJ_HTTP_ASKED: suspended; NJ_HTTP_ANSWERED: go
 * on. */
enum MHD_Result nj_http_login(struct nj_http_request *request);
/* Wakes requests whose answer has come or whose refusal is due; returns when to look again. http
 * thread. */
uint64_t nj_http_login_run(struct nj_http *http, uint64_t now_ms);
/* Waits until the auth pool holds none of our requests. */
void nj_http_login_drain(struct nj_http *http);

/* api.c */
enum MHD_Result nj_http_route(struct nj_http_request *request, const char *path);

/* metrics.c: the whole text. */
enum nj_err nj_http_metrics(struct nj_http *http, struct nj_buf *out) NJ_NODISCARD;

/* files.c: a file below `dir`. */
enum MHD_Result nj_http_file(struct nj_http_request *request, const char *dir, const char *path);

#endif
