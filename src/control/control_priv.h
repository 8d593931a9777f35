/* The insides of the control plane: requests at work, calls, replies. This room alone. */
#ifndef NJ_CONTROL_CONTROL_PRIV_H
#define NJ_CONTROL_CONTROL_PRIV_H

#include "base/buf.h"
#include "base/list.h"
#include "control/api.h"
#include "control/plane.h"

struct nj_request;

#define NJ_CONTROL_DEPTH_MAX    32
#define NJ_CONTROL_COMMANDS_MAX 10000
#define NJ_CONTROL_APIS_MAX     16
/* Bytes of answers to one request: behind them, its commands are refused. */
#define NJ_CONTROL_ANSWERS_MAX ((size_t)16 * 1024 * 1024)

struct nj_control_entry {
    const struct nj_control_api *api;
    void *ctx;
};

struct nj_control_plane {
    struct nj_front *front;
    struct nj_control_host host;
    struct nj_control_entry apis[NJ_CONTROL_APIS_MAX];
    unsigned api_count;
    struct nj_control_request *current; /* the one at work, or NULL */
    struct nj_control_hashing *hashing; /* NULL until passwords come */
    bool is_over;                       /* the front is gone: nothing is sent any more */
    struct nj_list gathers;             /* not answered yet */
};

/* Its life:
 *
 *   READY ─► (its passwords are hashed; others go on) ─► begin ─► RUNNING ─┬─► (call waits) ─►
 * RUNNING … └─► ENDING (end hook) ─► reply, gone */
enum nj_control_state {
    NJ_CONTROL_RUNNING, /* the next command may begin */
    NJ_CONTROL_WAITING, /* a call has not been answered */
    NJ_CONTROL_ENDING,  /* the end hook has it */
    NJ_CONTROL_ENDED,   /* the reply is due */
};

/* A password among the arguments, and what came of it. */
struct nj_control_hash {
    size_t command;           /* its place in the batch */
    struct nj_bytes password; /* borrowed from the envelope */
    char *text;               /* NULL: not made */
};

/* What the log will say about a change when it is known what came of it. */
struct nj_control_line {
    char *text;  /* who, what, with which arguments */
    char *error; /* NULL = done */
};

struct nj_control_call {
    struct nj_control_request *request;
    const struct nj_control_command *command;
    json_t *args; /* borrowed from the envelope */
    struct nj_buf note;
};

struct nj_control_request {
    struct nj_control_plane *plane;
    const struct nj_control_entry *entry;
    struct nj_request *from;
    struct nj_control_caller caller;
    enum nj_control_state state;
    json_t *envelope;
    json_t *commands; /* borrowed */
    size_t next;
    json_t *reply;     /* an object */
    json_t *responses; /* borrowed from it */
    size_t failures;
    size_t answer_bytes; /* of all `data` so far */
    struct nj_control_line *lines;
    size_t line_count;
    size_t line_cap;
    struct nj_list node; /* with hashing.c */
    struct nj_hash_cost hash_cost;
    struct nj_control_hash *hashes; /* in the order of the commands */
    size_t hash_count;
    size_t hash_next;            /* to be made; then: to be used */
    bool is_private;             /* one of its answers is */
    bool is_lost;                /* one of its answers, for want of memory */
    struct nj_control_call call; /* the one at work */
};

/* -- args.c -- */
/* NULL when the object has what the rows ask for; else the text of the error, static or in buf. */
const char *nj_control_args_check(const struct nj_control_arg *rows, json_t *object, char *buf,
                                  size_t size);
/* "username=u, password=***, roles=[2]" for the log. */
void nj_control_args_text(const struct nj_control_arg *rows, json_t *object, struct nj_buf *out);
size_t nj_control_text_max(const struct nj_control_arg *row);

/* -- envelope.c -- */
/* The value, or NULL: no JSON, or deeper than allowed. A new reference. */
json_t *nj_control_json_parse(struct nj_bytes text);
/* Frees what json_dumps gave. */
void nj_control_json_text_free(char *text);

/* -- request.c -- */
/* Takes `from` over and reads the envelope. NULL when memory is short: it gets no answer. */
struct nj_control_request *nj_control_request_new(struct nj_control_plane *plane,
                                                  struct nj_request *from);
/* Its turn has come: before the first nj_control_request_work. */
void nj_control_request_begin(struct nj_control_request *request);
/* Instead of its commands, one answer that says why. Before it begins. */
void nj_control_request_refuse(struct nj_control_request *request, enum nj_control_fault fault,
                               const char *text);
/* The row of a command that is well formed; NULL when it will be refused or unknown. */
const struct nj_control_command *nj_control_request_row(const struct nj_control_request *request,
                                                        json_t *object);
/* Works until it has to wait, ends, or `until_ms` is past. True: it ended and is gone. */
bool nj_control_request_work(struct nj_control_request *request, uint64_t until_ms);
void nj_control_request_free(struct nj_control_request *request);
/* Writes what was changed to the log, with what came of it. */
void nj_control_request_log(struct nj_control_request *request);
/* What was done so far was not done after all. */
void nj_control_request_log_failed(struct nj_control_request *request, const char *error);
/* One finished answer. Takes `data` over. */
void nj_control_request_answer(struct nj_control_request *request, json_t *data,
                               enum nj_control_fault fault, const char *error);

/* -- hashing.c -- */
/* True: the request has passwords; it waits until they are hashed, and its session with it. */
bool nj_control_hashing_defer(struct nj_control_plane *plane, struct nj_control_request *request);
/* One that waited long enough, or NULL. */
struct nj_control_request *nj_control_hashing_take(struct nj_control_plane *plane);
/* Its thread ends, after the hash at work. NULL is allowed. */
void nj_control_hashing_stop(struct nj_control_hashing *hashing);
void nj_control_hashing_free(struct nj_control_hashing *hashing); /* NULL is allowed */

/* -- reply.c -- */
void nj_control_reply_add(struct nj_control_request *request, const char *command, json_t *data,
                          enum nj_control_fault fault, const char *error);
void nj_control_reply_send(struct nj_control_request *request);

/* -- gather.c -- */
void nj_control_gather_init(struct nj_control_plane *plane);
void nj_control_gather_run(struct nj_control_plane *plane);
/* Nobody will answer any more. */
void nj_control_gather_abandon(struct nj_control_plane *plane);

/* -- the room's own APIs -- */
bool nj_control_is_enabled(const struct nj_settings *settings); /* enable_control_api */
bool nj_control_api_is_on(const struct nj_control_plane *plane, const struct nj_control_api *api);
extern const struct nj_control_api nj_certificate_api;
extern const struct nj_control_api nj_broker_api;
extern const struct nj_control_api nj_client_api;
extern const struct nj_control_api nj_inspect_api;
extern const struct nj_control_api nj_nightjar_api;

/* Handlers of nightjar_api.c's table that live in files of their own. */
void nj_nightjar_explain(struct nj_control_call *call);
void nj_nightjar_can_i(struct nj_control_call *call);
void nj_nightjar_list_retained(struct nj_control_call *call);
void nj_nightjar_delete_retained(struct nj_control_call *call);
void nj_nightjar_list_subscriptions(struct nj_control_call *call);

#endif
