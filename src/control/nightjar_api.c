/* `$CONTROL/nightjar/v1`: sessions, topics, rights, and the running of the broker. The table; what
 * is longer lives in nightjar_topics.c and nightjar_rights.c. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "broker/link.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "config/settings.h"
#include "control/control_priv.h"
#include "control/sessions.h"
#include "front/front.h"
#include "security/policy.h"

/* ---- sessions */

static void list_sessions(struct nj_control_call *call)
{
    const struct nj_session_query query = {
        .key = "sessions",
        .after = nj_control_call_string(call, "after"),
        .user = nj_control_call_string(call, "username"),
        .online_only = nj_control_call_bool(call, "connected", false),
        .tells_next = true,
        .count = nj_control_call_int(call, "count", 100),
        .describe = nj_control_describe_session,
    };
    nj_control_list_sessions(call, &query);
}

static json_t *show(struct nj_session *session, struct nj_control_call *call, const char **error)
{
    (void)call;
    (void)error;
    return json_pack("{s:o}", "session", nj_control_describe_session(session));
}

static void get_session(struct nj_control_call *call)
{
    nj_control_with_session(call, nj_control_call_string(call, "clientid"), "Session not found",
                            show);
}

/* Its connection ends first; with no time left to live the session goes with it. */
static json_t *end_session(struct nj_session *session, struct nj_control_call *call,
                           const char **error)
{
    (void)call;
    (void)error;
    if (session->link) {
        nj_session_set_expiry(session, 0);
        nj_control_end_connection(session);
    } else {
        nj_session_end(session);
    }
    return NULL;
}

static void delete_session(struct nj_control_call *call)
{
    nj_control_with_session(call, nj_control_call_string(call, "clientid"), "Session not found",
                            end_session);
}

/* ---- running */

static void reload(struct nj_control_call *call)
{
    char why[1024] = "";
    const struct nj_control_host *host = nj_control_plane_host(nj_control_call_plane(call));
    const struct nj_front *front = nj_control_plane_front(nj_control_call_plane(call));
    if (host->reload(host->arg, why, sizeof(why)) != NJ_OK) {
        /* The log's line, as a text of ours. */
        size_t len = strlen(why);
        const char *text = strncmp(why, "Error: ", 7) == 0 ? why + 7 : why;
        why[len - (len && why[len - 1] == '.')] = '\0';
        nj_control_call_fail(call, NJ_REFUSED_INVALID, text);
        return;
    }
    uint64_t epoch = nj_policy_epoch(atomic_load(&front->core.policy));
    nj_control_call_done(call, json_pack("{s:I}", "epoch", (json_int_t)epoch));
}

static const struct {
    const char *name;
    unsigned type;
} log_types[] = {
    {"error", NJ_LOG_ERROR},
    {"warning", NJ_LOG_WARNING},
    {"notice", NJ_LOG_NOTICE},
    {"information", NJ_LOG_INFO},
    {"debug", NJ_LOG_DEBUG},
    {"subscribe", NJ_LOG_SUBSCRIBE},
    {"unsubscribe", NJ_LOG_UNSUBSCRIBE},
    {"internal", NJ_LOG_INTERNAL},
    {"websockets", NJ_LOG_WEBSOCKETS},
    {"all", NJ_LOG_ALL},
};
#define LOG_TYPE_COUNT (sizeof(log_types) / sizeof(log_types[0]))

static json_t *log_type_list(void)
{
    json_t *list = json_array();
    for (size_t i = 0; i < LOG_TYPE_COUNT && log_types[i].type != NJ_LOG_ALL; i++) {
        if (nj_log_types() & log_types[i].type) {
            (void)json_array_append_new(list, json_string(log_types[i].name));
        }
    }
    return list;
}

static unsigned log_type_of(const char *name)
{
    for (size_t i = 0; name && i < LOG_TYPE_COUNT; i++) {
        if (strcmp(log_types[i].name, name) == 0) {
            return log_types[i].type;
        }
    }
    return 0;
}

static void get_log_types(struct nj_control_call *call)
{
    nj_control_call_done(call, json_pack("{s:o}", "types", log_type_list()));
}

/* "error,notice": one text, as `log_type` lines would be. */
static void set_log_types(struct nj_control_call *call)
{
    char names[256];
    unsigned types = 0;
    char *rest = names;
    char *name;
    (void)snprintf(names, sizeof(names), "%s", nj_control_call_string(call, "types"));
    while ((name = strsep(&rest, ", "))) {
        unsigned type = log_type_of(name);
        if (*name && !type) {
            nj_control_call_failf(call, NJ_REFUSED_INVALID, "Unknown log type '%s'", name);
            return;
        }
        types |= type;
    }
    nj_log_set_types(types);
    nj_control_call_done(call, json_pack("{s:o}", "types", log_type_list()));
}

static void get_counters(struct nj_control_call *call)
{
    const struct nj_front *front = nj_control_plane_front(nj_control_call_plane(call));
    json_t *counters = json_object();
    for (unsigned i = 0; i < front->worker_count; i++) {
        const struct nj_stats *stats = &front->core.shards[i]->stats;
        json_int_t value;
#define ADD(name)                                                                                  \
    value = json_integer_value(json_object_get(counters, #name)) +                                 \
            (json_int_t)atomic_load_explicit(&stats->name, memory_order_relaxed);                  \
    (void)json_object_set_new(counters, #name, json_integer(value));
        NJ_STATS_LIST(ADD)
#undef ADD
    }
    nj_control_call_done(call, json_pack("{s:o}", "counters", counters));
}

static void list_commands(struct nj_control_call *call)
{
    const struct nj_control_plane *plane = nj_control_call_plane(call);
    json_t *list = json_array();
    for (unsigned i = 0; i < plane->api_count; i++) {
        if (nj_control_api_is_on(plane, plane->apis[i].api)) {
            (void)json_array_append_new(list, nj_control_describe_api(plane->apis[i].api));
        }
    }
    nj_control_call_done(call, json_pack("{s:o}", "apis", list));
}

static void get_status(struct nj_control_call *call)
{
    const struct nj_control_host *host = nj_control_plane_host(nj_control_call_plane(call));
    const struct nj_front *front = nj_control_plane_front(nj_control_call_plane(call));
    uint64_t uptime = (nj_clock_mono_ms() - front->started_ms) / 1000;
    uint64_t epoch = nj_policy_epoch(atomic_load(&front->core.policy));
    nj_control_call_done(call,
                         json_pack("{s:s, s:s, s:I, s:I, s:i}", "version", NJ_VERSION, "mode",
                                   host->settings(host->arg)->mode.is_compat ? "compat" : "native",
                                   "uptime", (json_int_t)uptime, "epoch", (json_int_t)epoch,
                                   "workers", (int)front->worker_count));
}

/* ---- the table */

#define CLIENT_ID                                                                                  \
    {                                                                                              \
        .name = "clientid", .type = NJ_ARG_STRING, .flags = NJ_ARG_REQUIRED,                       \
        .empty = "Invalid/missing clientid", .doc = "the client id"                                \
    }
#define COUNT                                                                                      \
    {                                                                                              \
        .name = "count", .type = NJ_ARG_INTEGER, .min = 1, .max = NJ_LIST_COUNT_MAX,               \
        .doc = "how many, 100 unless told"                                                         \
    }
#define AFTER                                                                                      \
    {                                                                                              \
        .name = "after", .type = NJ_ARG_STRING, .doc = "the answer's `after`, for the next page"   \
    }

static const struct nj_control_arg session_list_args[] = {
    COUNT,
    AFTER,
    {.name = "username", .type = NJ_ARG_STRING, .doc = "of this user only"},
    {.name = "connected", .type = NJ_ARG_BOOL, .doc = "only those that are connected"},
    {0},
};

static const struct nj_control_arg session_args[] = {CLIENT_ID, {0}};

static const struct nj_control_arg subscription_args[] = {
    {.name = "clientid", .type = NJ_ARG_STRING, .doc = "those of a client, or …"},
    {.name = "topic", .type = NJ_ARG_STRING, .doc = "those that cover a topic"},
    COUNT,
    {.name = "offset",
     .type = NJ_ARG_INTEGER,
     .min = 0,
     .max = NJ_LIST_OFFSET_MAX,
     .doc = "how many to leave out (of a client's)"},
    {0},
};

static const struct nj_control_arg retained_args[] = {
    {.name = "topic", .type = NJ_ARG_STRING, .doc = "a filter; `#` unless told"},
    COUNT,
    AFTER,
    {.name = "payload", .type = NJ_ARG_BOOL, .doc = "with payloads that are texts up to 64 KiB"},
    {0},
};

static const struct nj_control_arg retained_delete_args[] = {
    {.name = "topic",
     .type = NJ_ARG_STRING,
     .flags = NJ_ARG_REQUIRED,
     .empty = "Invalid/missing topic",
     .doc = "the topic"},
    {0},
};

#define QUESTION                                                                                   \
    {.name = "username", .type = NJ_ARG_STRING, .doc = "who; absent = anonymous"},                 \
        {.name = "clientid", .type = NJ_ARG_STRING, .doc = "his client id, for %c"},               \
        {.name = "action",                                                                         \
         .type = NJ_ARG_STRING,                                                                    \
         .flags = NJ_ARG_REQUIRED,                                                                 \
         .doc = "publish, receive, subscribe, unsubscribe or will"},                               \
        {.name = "topic",                                                                          \
         .type = NJ_ARG_STRING,                                                                    \
         .flags = NJ_ARG_REQUIRED,                                                                 \
         .doc = "the topic, or the filter"},                                                       \
    {                                                                                              \
        .name = "listener", .type = NJ_ARG_INTEGER, .min = 1, .max = 65535,                        \
        .doc = "id of the listener he comes by; the sender's unless told"                          \
    }

static const struct nj_control_arg question_args[] = {QUESTION, {0}};

static const struct nj_control_arg check_args[] = {
    {.name = "checks",
     .type = NJ_ARG_OBJECTS,
     .flags = NJ_ARG_REQUIRED,
     .fields = question_args,
     .doc = "at most 1000 questions"},
    {0},
};

static const struct nj_control_arg log_args[] = {
    {.name = "types",
     .type = NJ_ARG_STRING,
     .flags = NJ_ARG_REQUIRED,
     .max = 255,
     .doc = "words as in `log_type`, separated by commas"},
    {0},
};

static const struct nj_control_command commands[] = {
    {.name = "getStatus",
     .handler = get_status,
     .doc = "What runs here, and since when.",
     .answers = "version, mode, uptime (s), epoch (of the rights), workers"},
    {.name = "listCommands",
     .handler = list_commands,
     .doc =
         "The APIs that are turned on, with their commands and arguments, as this page has them.",
     .answers = "apis: [{name, doc, envelope: [argument], commands: [{name, doc, changes, private, "
                "answers, args: [argument]}]}]"},
    {.name = "getCounters",
     .handler = get_counters,
     .doc = "All counters, added up over the workers.",
     .answers = "counters: {name: number}"},
    {.name = "listSessions",
     .args = session_list_args,
     .handler = list_sessions,
     .doc = "Sessions, connected or away, in the order of their client ids.",
     .answers = "totalCount, sessions: [object], after (when there are more)"},
    {.name = "getSession",
     .args = session_args,
     .handler = get_session,
     .doc = "One session.",
     .answers = "session: object, as getClient's without its subscriptions"},
    {.name = "deleteSession",
     .flags = NJ_COMMAND_CHANGES,
     .args = session_args,
     .handler = delete_session,
     .doc =
         "Ends a session with its subscriptions and queue, and its connection without its will."},
    {.name = "listSubscriptions",
     .args = subscription_args,
     .handler = nj_nightjar_list_subscriptions,
     .doc =
         "The subscriptions of a client, or those of all clients that cover a topic (shared ones "
         "not).",
     .answers = "totalCount, subscriptions: [{clientid, topic, qos, …}]"},
    {.name = "listRetained",
     .args = retained_args,
     .handler = nj_nightjar_list_retained,
     .doc = "Retained messages that the sender may receive, in the order of their topics.",
     .answers = "retained: [{topic, qos, bytes, publishedBy, username, payload}], after (when "
                "there are more)"},
    {.name = "deleteRetained",
     .flags = NJ_COMMAND_CHANGES,
     .args = retained_delete_args,
     .handler = nj_nightjar_delete_retained,
     .doc = "Deletes a retained message from a topic to which the sender may publish."},
    {.name = "explain",
     .args = question_args,
     .handler = nj_nightjar_explain,
     .doc =
         "Whether somebody may do something, the rule that decides, the rules nearest to it, and "
         "the smallest change that would allow it.",
     .answers = "allowed, why, rule, where, login, nearest: [{rule, where, why}], change: [{edit, "
                "where, line, text}], caution"},
    {.name = "canI",
     .args = check_args,
     .handler = nj_nightjar_can_i,
     .doc = "Many questions at once, answered yes or no.",
     .answers = "results: [{allowed, why} or {error}], in the order of the questions"},
    {.name = "reload",
     .flags = NJ_COMMAND_CHANGES,
     .handler = reload,
     .doc = "Reads configuration, password and ACL files and certificates again: all or nothing.",
     .answers = "epoch"},
    {.name = "getLogTypes",
     .handler = get_log_types,
     .doc = "What is written to the log.",
     .answers = "types: [word]"},
    {.name = "setLogTypes",
     .flags = NJ_COMMAND_CHANGES,
     .args = log_args,
     .handler = set_log_types,
     .doc = "What is written to the log until the next reload.",
     .answers = "types: [word]"},
};

const struct nj_control_api nj_nightjar_api = {
    .name = "nightjar/v1",
    .doc = "Sessions, topics, rights, and the running of the broker.",
    .is_on = nj_control_is_enabled,
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
};
