/* The tables of the control plane: what can be asked on `$CONTROL/<api>`, by whom, and who answers.
 *
 *   PUBLISH $CONTROL/dynamic-security/v1
 *     {"commands":[{"command":"createClient","username":"u","correlationData":"7"}, …]}
 *         │
 *         ▼  worker: right to publish, limits, queue              (front/request.h)
 *   control thread: envelope, right again, table row, arguments   (control/request.c)
 *         │
 *         ▼  handler of the row, one command after the other
 *   {"responses":[{"command":"createClient","correlationData":"7"}, …]}  to the requester
 *
 * One table row for each command is the only place where its name, arguments, rights and words are
 * written: the parser, docs/control.md (`nightjar --control-reference`) and the tests are made from
 * it. Everything here runs on the control thread; handlers may read and write files, but must not
 * wait for workers: they ask them (control/gather.h) and answer later. */
#ifndef NJ_CONTROL_API_H
#define NJ_CONTROL_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "security/authz.h"
#include "security/password.h"

struct nj_control_plane;   /* the whole of it; control/plane.h */
struct nj_control_request; /* one PUBLISH: an envelope with commands */
struct nj_control_call;    /* one command of it, until it is answered */
struct nj_settings;

/* ---- tables */

enum nj_control_arg_type {
    NJ_ARG_STRING,
    NJ_ARG_BOOL,
    NJ_ARG_INTEGER,
    NJ_ARG_OBJECTS, /* an array; the handler looks at its entries (`fields` is for the docs) */
    NJ_ARG_OBJECT,
    NJ_ARG_TYPE_COUNT
};

/* Bits of nj_control_arg.flags */
#define NJ_ARG_REQUIRED 1u
#define NJ_ARG_SECRET   2u /* never logged, wiped after the call */
#define NJ_ARG_NULLABLE 4u /* null means the same as absent */
#define NJ_ARG_HASHED   8u /* a password: nj_control_call_hash has its hash, made beforehand */

struct nj_control_arg {
    const char *name;
    enum nj_control_arg_type type;
    unsigned flags;
    const char *error; /* absent or of the wrong type; NULL = "Invalid/missing NAME" */
    const char *empty; /* a string that is empty is refused with this; NULL = it may be */
    int64_t min;       /* integers, when min < max; out of it = `error` */
    int64_t max;       /* strings: bytes at most, 0 = 65535 */
    const struct nj_control_arg *fields; /* of the objects, for the docs; ends with name NULL */
    const char *doc;
};

/* Bits of nj_control_command.flags */
#define NJ_COMMAND_CHANGES                                                                         \
    1u /* changes something: written to the log with its sender and outcome */
#define NJ_COMMAND_PRIVATE 2u /* the answer is for the requester's eyes only: never routed */

struct nj_control_command {
    const char *name; /* compared without case, as the original does */
    unsigned flags;
    const struct nj_control_arg *args; /* ends with name NULL; NULL = none */
    /* Has to end the call exactly once, now or later (nj_control_call_done, …_fail). The arguments
     * that the table names have been checked; others are ignored, as the original does. */
    void (*handler)(struct nj_control_call *call);
    const char *doc;     /* one sentence */
    const char *answers; /* the keys of `data` in words; NULL = no data */
};

struct nj_control_api {
    const char *name; /* "dynamic-security/v1": the topic is $CONTROL/<name> */
    const char *doc;
    bool is_module; /* listPlugins names it */
    /* Whether it is there under these settings; NULL = always. */
    bool (*is_on)(const struct nj_settings *settings);
    const struct nj_control_command *commands;
    size_t command_count;
    const struct nj_control_arg *envelope; /* keys beside `commands`; checked; NULL = none */
    /* How arguments with NJ_ARG_HASHED are hashed; NULL when there are none. */
    const struct nj_hash_cost *(*hash_cost)(void *ctx);
    /* Both may be NULL. Before the first command; an error ends the request: `begin` has called
     * nj_control_request_fail then. */
    enum nj_err (*begin)(void *ctx, struct nj_control_request *request);
    /* After the last command and before the reply goes out: save, publish, and call
     * nj_control_request_end, now or later. */
    void (*end)(void *ctx, struct nj_control_request *request);
};

/* ---- who asks */

struct nj_control_caller {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    bool by_certificate; /* who the user is was said by a certificate */
    unsigned scope;      /* of the listener's security settings */
    uint64_t credential; /* of the login; see security/login.h */
    const char *address; /* "192.0.2.1:4711" */
    uint64_t session;    /* id, unique while the process lives */
    uint32_t connection; /* number of the session's connection */
    unsigned worker;
    uint8_t version; /* enum nj_mqtt_version */
    bool is_private; /* an MQTT 5 response topic was given: the reply is not routed */
};

/* ---- within a handler */

/* Whether the sender himself may do this now: no command gives him more. */
bool nj_control_caller_may(const struct nj_control_plane *plane,
                           const struct nj_control_caller *caller, enum nj_action action,
                           struct nj_bytes topic);

/* The number that goes beside `error` as `code`: stable, whatever the words are. */
enum nj_control_fault {
    NJ_REFUSED_INVALID = 1,     /* the request or an argument */
    NJ_REFUSED_UNKNOWN_COMMAND, /* 2 */
    NJ_REFUSED_NOT_FOUND,       /* 3 */
    NJ_REFUSED_EXISTS,          /* 4 */
    NJ_REFUSED_FORBIDDEN,       /* 5: the sender lacks a right, or nobody may */
    NJ_REFUSED_CONFLICT,        /* 6: something changed meanwhile (changeIndex) */
    NJ_REFUSED_LIMIT,           /* 7: too many, too large, too deep */
    NJ_REFUSED_STORAGE,         /* 8: could not be saved; nothing changed */
    NJ_REFUSED_INTERNAL,        /* 9 */
    NJ_REFUSED_CANCELLED,       /* 10: another command of an atomic request failed */
    NJ_CONTROL_FAULT_COUNT
};

struct nj_control_plane *nj_control_call_plane(const struct nj_control_call *call);
struct nj_control_request *nj_control_call_request(const struct nj_control_call *call);
const struct nj_control_command *nj_control_call_command(const struct nj_control_call *call);
const struct nj_control_caller *nj_control_call_caller(const struct nj_control_call *call);
/* What was given to nj_control_plane_add. */
void *nj_control_call_ctx(const struct nj_control_call *call);
/* The command's object; borrowed, lives until the call ends. */
json_t *nj_control_call_args(const struct nj_control_call *call);
/* NULL, or the given value: when the argument is absent (or null). */
const char *nj_control_call_string(const struct nj_control_call *call, const char *name);
bool nj_control_call_bool(const struct nj_control_call *call, const char *name, bool otherwise);
int64_t nj_control_call_int(const struct nj_control_call *call, const char *name,
                            int64_t otherwise);

/* The hash of the argument with NJ_ARG_HASHED. It is made before the request's first command, off
 * the control thread (control/hashing.c); where that was not possible, here. */
enum nj_err nj_control_call_hash(struct nj_control_call *call, struct nj_bytes password,
                                 char out[NJ_HASH_TEXT_MAX]) NJ_NODISCARD;
/* This answer is for the requester's eyes only, as with NJ_COMMAND_PRIVATE. */
void nj_control_call_make_private(struct nj_control_call *call);
/* Ends the call; it is gone afterwards. Takes `data` over; NULL = none. */
void nj_control_call_done(struct nj_control_call *call, json_t *data);
/* `text` goes out as `error`, without a full stop. */
void nj_control_call_fail(struct nj_control_call *call, enum nj_control_fault fault,
                          const char *text);
void nj_control_call_failf(struct nj_control_call *call, enum nj_control_fault fault,
                           const char *fmt, ...) NJ_PRINTF(3, 4);
/* What the log line of this call says beside the arguments ("role x: 12 holders"). */
void nj_control_call_note(struct nj_control_call *call, const char *fmt, ...) NJ_PRINTF(2, 3);

/* ---- within begin and end */

json_t *nj_control_request_envelope(const struct nj_control_request *request);
const struct nj_control_caller *nj_control_request_caller(const struct nj_control_request *request);
struct nj_control_plane *nj_control_request_plane(const struct nj_control_request *request);
size_t nj_control_request_count(const struct nj_control_request *request);
/* Commands answered with an error so far. */
size_t nj_control_request_failures(const struct nj_control_request *request);
/* Whether an answer could not be made for want of memory: nobody would know what was done. */
bool nj_control_request_is_lost(const struct nj_control_request *request);
/* Turns every answer without an error into this one (nothing was done after all). */
void nj_control_request_fail(struct nj_control_request *request, enum nj_control_fault fault,
                             const char *text);
/* A key of the reply beside `responses`. Takes `value` over. */
void nj_control_request_set(struct nj_control_request *request, const char *key, json_t *value);
/* From `end`: the reply goes out and the request is gone. */
void nj_control_request_end(struct nj_control_request *request);

#endif
