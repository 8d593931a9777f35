/* `$CONTROL/cedalo/client-control/v1`: disconnecting, subscribing and unsubscribing clients.
 *
 * Whoever subscribes another client gives it nothing that it may not have, and nothing that he may
 * not have himself: both rights are asked (L-027). */
#include <string.h>

#include "broker/hold.h"
#include "broker/link.h"
#include "broker/replay.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/subscribe.h"
#include "control/control_priv.h"
#include "control/sessions.h"
#include "front/front.h"
#include "mqtt/topic.h"

static json_t *disconnect(struct nj_session *session, struct nj_control_call *call,
                          const char **error)
{
    (void)call;
    if (!session->link) {
        *error = "Client not connected";
        return NULL;
    }
    nj_control_end_connection(session);
    return NULL;
}

static void disconnect_client(struct nj_control_call *call)
{
    nj_control_with_session(call, nj_control_call_string(call, "clientid"), "Client not found",
                            disconnect);
}

static bool option(const struct nj_control_call *call, const char *name)
{
    json_t *options = json_object_get(nj_control_call_args(call), "options");
    return json_is_true(json_object_get(options, name));
}

static json_t *subscribe(struct nj_session *session, struct nj_control_call *call,
                         const char **error)
{
    struct nj_replay *replay = NULL;
    const struct nj_subscribe_in in = {
        .filter = nj_bytes_of(nj_control_call_string(call, "topic")),
        .options = {.qos = (uint8_t)nj_control_call_int(call, "qos", 0),
                    .is_no_local = option(call, "no_local"),
                    .is_retain_as_published = option(call, "retain_as_published")},
        .retain_handling = option(call, "send_retain") ? 0 : 2,
    };
    if (!session->link) {
        *error = "Client not connected";
        return NULL;
    }
    uint8_t code = nj_session_subscribe(session, &in, &replay);
    /* Nothing is answered to the client; what is retained follows as after its own SUBSCRIBE. */
    (void)nj_session_lane_wait(session);
    if (replay) {
        nj_replay_start(session, replay);
    }
    if (code >= NJ_RC_UNSPECIFIED) {
        *error = code == NJ_RC_NOT_AUTHORIZED || code == 0x80 ? "The client may not subscribe this"
                                                              : "The subscription was refused";
    }
    return NULL;
}

static json_t *unsubscribe(struct nj_session *session, struct nj_control_call *call,
                           const char **error)
{
    uint8_t code =
        nj_session_unsubscribe(session, nj_bytes_of(nj_control_call_string(call, "topic")));
    (void)call;
    if (code == NJ_RC_NO_SUBSCRIPTION_EXISTED) {
        *error = "Subscription not found";
    }
    return NULL;
}

static void subscribe_client(struct nj_control_call *call)
{
    const char *filter = nj_control_call_string(call, "topic");
    if (!nj_mqtt_subscription_is_valid(nj_bytes_of(filter), NJ_MQTT_LEVELS_MAX)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid topic");
    } else if (!nj_control_caller_may(nj_control_call_plane(call), nj_control_call_caller(call),
                                      NJ_ACTION_SUBSCRIBE, nj_bytes_of(filter))) {
        nj_control_call_fail(call, NJ_REFUSED_FORBIDDEN, "You may not subscribe this yourself");
    } else {
        nj_control_with_session(call, nj_control_call_string(call, "clientid"), "Client not found",
                                subscribe);
    }
}

static void unsubscribe_client(struct nj_control_call *call)
{
    const char *filter = nj_control_call_string(call, "topic");
    if (!nj_mqtt_subscription_is_valid(nj_bytes_of(filter), NJ_MQTT_LEVELS_MAX)) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, "Invalid topic");
        return;
    }
    nj_control_with_session(call, nj_control_call_string(call, "clientid"), "Client not found",
                            unsubscribe);
}

#define CLIENT_ID                                                                                  \
    {                                                                                              \
        .name = "clientid", .type = NJ_ARG_STRING, .flags = NJ_ARG_REQUIRED,                       \
        .empty = "Invalid/missing clientid", .doc = "the client id"                                \
    }
#define TOPIC                                                                                      \
    {                                                                                              \
        .name = "topic", .type = NJ_ARG_STRING, .flags = NJ_ARG_REQUIRED,                          \
        .empty = "Invalid/missing topic", .doc = "the topic filter"                                \
    }

static const struct nj_control_arg client_args[] = {CLIENT_ID, {0}};

static const struct nj_control_arg option_fields[] = {
    {.name = "no_local", .type = NJ_ARG_BOOL, .doc = "not its own messages"},
    {.name = "retain_as_published", .type = NJ_ARG_BOOL, .doc = "keep the RETAIN flag"},
    {.name = "send_retain", .type = NJ_ARG_BOOL, .doc = "send what is retained now"},
    {0},
};

static const struct nj_control_arg subscribe_args[] = {
    CLIENT_ID,
    TOPIC,
    {.name = "qos", .type = NJ_ARG_INTEGER, .min = 0, .max = 2, .doc = "0 (default), 1 or 2"},
    {.name = "options", .type = NJ_ARG_OBJECT, .fields = option_fields, .doc = "of MQTT 5"},
    {0},
};

static const struct nj_control_arg unsubscribe_args[] = {CLIENT_ID, TOPIC, {0}};

static const struct nj_control_command commands[] = {
    {.name = "disconnectClient",
     .flags = NJ_COMMAND_CHANGES,
     .args = client_args,
     .handler = disconnect_client,
     .doc = "Ends a client's connection: DISCONNECT 0x98 to MQTT 5, no will."},
    {.name = "subscribeClient",
     .flags = NJ_COMMAND_CHANGES,
     .args = subscribe_args,
     .handler = subscribe_client,
     .doc = "Subscribes for a connected client what both it and the sender may subscribe."},
    {.name = "unsubscribeClient",
     .flags = NJ_COMMAND_CHANGES,
     .args = unsubscribe_args,
     .handler = unsubscribe_client,
     .doc = "Takes a subscription away from a client, connected or not."},
};

const struct nj_control_api nj_client_api = {
    .name = "cedalo/client-control/v1",
    .doc = "Acting on clients.",
    .is_on = nj_control_is_enabled,
    .commands = commands,
    .command_count = sizeof(commands) / sizeof(commands[0]),
};
