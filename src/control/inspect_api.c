/* `$CONTROL/cedalo/inspect/v1`: who is there, and what about him. */
#include "control/control_priv.h"
#include "control/sessions.h"

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void list_clients(struct nj_control_call *call)
{
    int64_t count = nj_control_call_int(call, "count", -1);
    bool is_verbose = nj_control_call_bool(call, "verbose", false);
    const struct nj_session_query query = {
        .key = "clients",
        .online_only = true,
        .offset = clamp(nj_control_call_int(call, "offset", 0), 0, NJ_LIST_OFFSET_MAX),
        .count = count < 0 ? NJ_LIST_COUNT_MAX : clamp(count, 1, NJ_LIST_COUNT_MAX),
        .describe = is_verbose ? nj_control_describe_session : nj_control_describe_id,
    };
    nj_control_list_sessions(call, &query);
}

static json_t *show_client(struct nj_session *session, struct nj_control_call *call,
                           const char **error)
{
    json_t *client = nj_control_describe_session(session);
    (void)call;
    (void)error;
    (void)json_object_set_new(client, "subscriptions",
                              nj_control_subscriptions_of(session, 0, NJ_LIST_COUNT_MAX));
    return json_pack("{s:o}", "client", client);
}

static void get_client(struct nj_control_call *call)
{
    nj_control_with_session(call, nj_control_call_string(call, "clientid"), "Client not found",
                            show_client);
}

static const struct nj_control_arg list_args[] = {
    {.name = "verbose", .type = NJ_ARG_BOOL, .doc = "objects instead of client ids"},
    {.name = "count",
     .type = NJ_ARG_INTEGER,
     .min = -1,
     .max = INT64_MAX,
     .doc = "how many, at most 1000; -1 = as many as that"},
    {.name = "offset",
     .type = NJ_ARG_INTEGER,
     .min = 0,
     .max = NJ_LIST_OFFSET_MAX,
     .doc = "how many to leave out"},
    {0},
};

static const struct nj_control_arg client_args[] = {
    {.name = "clientid",
     .type = NJ_ARG_STRING,
     .flags = NJ_ARG_REQUIRED,
     .empty = "Invalid/missing clientid",
     .doc = "the client id"},
    {0},
};

static const struct nj_control_command commands[] = {
    {.name = "listClients",
     .args = list_args,
     .handler = list_clients,
     .doc = "The clients that are connected, in the order of their ids.",
     .answers = "totalCount, clients: [id or object]"},
    {.name = "getClient",
     .args = client_args,
     .handler = get_client,
     .doc = "One client, connected or away, with up to 1000 of its subscriptions.",
     .answers = "client: {clientid, username, connected, address, protocol, protocolVersion, "
                "lastConnect, lastDisconnect, keepalive, cleanSession, sessionExpiry, listener, "
                "tls, will, queues, "
                "inflight, unsentBytes, counters: {bytesReceived, bytesSent, published, delivered, "
                "dropped} of its connection, subscriptionCount, subscriptions}"},
};

const struct nj_control_api nj_inspect_api = {
    .name = "cedalo/inspect/v1",
    .doc = "Looking at clients.",
    .is_on = nj_control_is_enabled,
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
};
