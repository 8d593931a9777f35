/* Packets from the broker. Nothing in them is believed before it is checked: order, flags, lengths,
 * counts, ids. MQTT5 chapter 3, from the client's side. */
#include <string.h>

#include "base/mem.h"
#include "client/client_priv.h"
#include "mqtt/ack.h"
#include "mqtt/connack.h"
#include "mqtt/disconnect.h"
#include "mqtt/publish.h"
#include "mqtt/reader.h"
#include "mqtt/suback.h"
#include "mqtt/topic.h"
#include "mqtt/unsuback.h"

/* `why` is what the decoder said: NJ_EMALFORMED or NJ_EPROTOCOL. */
static void fail_packet(struct nj_client *client, enum nj_err why, const char *packet)
{
    nj_client_fail(client, why, "the broker sent a %s %s",
                   why == NJ_EMALFORMED ? "malformed" : "forbidden", packet);
}

static void send_ack(struct nj_client *client, enum nj_mqtt_type type, uint16_t packet_id)
{
    if (type == NJ_MQTT_PUBCOMP) {
        nj_client_trace(client, "Client %s sending PUBCOMP (m%d)", nj_client_id_text(client),
                        packet_id);
    } else {
        nj_client_trace(client, "Client %s sending %s (m%d, rc%d)", nj_client_id_text(client),
                        type == NJ_MQTT_PUBACK ? "PUBACK" : "PUBREC", packet_id, 0);
    }
    if (nj_client_put_ack(client, type, packet_id, 0) != NJ_OK) {
        nj_client_fail(client, NJ_ENOMEM, "out of memory");
    }
}

/* ---- CONNACK ---- */

static void take_limits(struct nj_client *client, const struct nj_mqtt_props *props)
{
    if (nj_mqtt_props_has(props, NJ_PROP_RECEIVE_MAXIMUM)) {
        client->server_receive_max = props->receive_maximum;
    }
    if (nj_mqtt_props_has(props, NJ_PROP_MAXIMUM_PACKET_SIZE)) {
        client->server_packet_max = props->maximum_packet_size;
    }
    if (nj_mqtt_props_has(props, NJ_PROP_MAXIMUM_QOS)) {
        client->server_max_qos = props->max_qos;
    }
    if (nj_mqtt_props_has(props, NJ_PROP_RETAIN_AVAILABLE)) {
        client->server_retain = props->retain_available != 0;
    }
    if (nj_mqtt_props_has(props, NJ_PROP_TOPIC_ALIAS_MAXIMUM) &&
        !client->config.ignores_alias_maximum) {
        client->server_aliases_max = props->topic_alias_maximum;
    }
    if (nj_mqtt_props_has(props, NJ_PROP_SERVER_KEEP_ALIVE)) {
        client->keep_alive_s = props->server_keep_alive;
    }
    if (nj_mqtt_props_has(props, NJ_PROP_ASSIGNED_CLIENT_ID) && client->id == NULL) {
        client->id = nj_try_bytes_dup(props->assigned_client_id);
    }
}

static void take_connack(struct nj_client *client, struct nj_bytes body)
{
    struct nj_mqtt_connack packet;
    enum nj_mqtt_reason reason;
    enum nj_err err = nj_mqtt_connack_decode(body, client->config.version, &packet, &reason);
    /* A return code that MQTT 3 does not know refuses as well. */
    bool is_other_refusal =
        err == NJ_EPROTOCOL && client->config.version != NJ_MQTT_5 && packet.code > 5;
    if (err != NJ_OK && !is_other_refusal) {
        fail_packet(client, err, "CONNACK");
        return;
    }
    if (client->state != NJ_CLIENT_CONNECTING) {
        nj_client_fail(client, NJ_EPROTOCOL, "the broker sent a second CONNACK");
        return;
    }
    if (packet.is_session_present && client->config.is_clean_start &&
        client->config.version == NJ_MQTT_5) {
        /* MQTT5 3.2.2-4. Before, the standard leaves it to the client, and brokers err. */
        nj_client_fail(client, NJ_EPROTOCOL,
                       "the broker speaks of a session although none was to be left");
        return;
    }
    const struct nj_client_connack connack = {
        .code = packet.code,
        .is_session_present = packet.is_session_present && !client->config.is_clean_start,
        .reason = packet.props.reason_string,
    };
    if (connack.code == 0) {
        take_limits(client, &packet.props);
        client->state = NJ_CLIENT_UP;
    }
    nj_client_trace(client, "Client %s received CONNACK (%d)", nj_client_id_text(client),
                    connack.code);
    if (connack.code == 0) {
        /* CONNACK of MQTT 3.1 does not say it; there the session goes on when it was asked for. */
        bool goes_on = client->config.version == NJ_MQTT_31 ? !client->config.is_clean_start
                                                            : connack.is_session_present;
        if (!goes_on) {
            nj_client_drop_incoming(client, false);
        }
        nj_client_resume(client, goes_on);
    }
    if (client->callbacks.connected != NULL) {
        client->callbacks.connected(client, &connack, client->arg);
    }
    if (connack.code != 0) {
        nj_client_fail(client, NJ_EAUTH, "the broker refused the connection (code %u)",
                       connack.code);
    }
}

/* ---- PUBLISH ---- */

/* The properties of a checked block, one after the other. */
static bool next_prop(struct nj_mqtt_reader *reader, struct nj_client_prop *out)
{
    if (nj_mqtt_left(reader) == 0 || reader->is_short) {
        return false;
    }
    *out = (struct nj_client_prop){.id = nj_mqtt_read_u8(reader)};
    uint32_t number = 0;
    size_t used = 0;
    switch (out->id) {
    case NJ_CLIENT_PAYLOAD_FORMAT:
        out->number = nj_mqtt_read_u8(reader);
        break;
    case NJ_CLIENT_MESSAGE_EXPIRY:
        out->number = nj_mqtt_read_u32(reader);
        break;
    case NJ_CLIENT_TOPIC_ALIAS:
        out->number = nj_mqtt_read_u16(reader);
        break;
    case NJ_CLIENT_SUBSCRIPTION_ID:
        if (nj_mqtt_varint_get(reader->at, nj_mqtt_left(reader), &number, &used) != NJ_OK) {
            return false;
        }
        reader->at += used;
        out->number = number;
        break;
    case NJ_CLIENT_USER_PROPERTY:
        out->name = nj_mqtt_read_lv(reader);
        out->text = nj_mqtt_read_lv(reader);
        break;
    default:
        out->text = nj_mqtt_read_lv(reader);
        break;
    }
    return !reader->is_short;
}

/* *out is the caller's to free; NULL when there are none. */
static enum nj_err list_props(struct nj_bytes raw, struct nj_client_prop **out, size_t *count)
{
    *out = NULL;
    *count = 0;
    if (raw.len == 0) {
        return NJ_OK;
    }
    /* A property has at least two bytes. */
    size_t cap = raw.len / 2 < NJ_CLIENT_PROPS_MAX ? raw.len / 2 : NJ_CLIENT_PROPS_MAX;
    struct nj_client_prop *props = nj_try_alloc(cap * sizeof(*props));
    if (props == NULL) {
        return NJ_ENOMEM;
    }
    struct nj_mqtt_reader reader = nj_mqtt_reader(raw);
    while (*count < cap && next_prop(&reader, &props[*count])) {
        (*count)++;
    }
    *out = props;
    return NJ_OK;
}

struct publish {
    struct nj_client_message message; /* without props */
    struct nj_mqtt_props props;
};

static bool decode_publish(const struct nj_client *client, uint8_t flags, struct nj_bytes body,
                           struct publish *out)
{
    struct nj_mqtt_publish packet;
    enum nj_mqtt_reason reason;
    if (nj_mqtt_publish_decode_from_server(body, flags, client->config.version, &packet, &reason) !=
        NJ_OK) {
        return false;
    }
    *out = (struct publish){
        .message = {.topic = packet.topic,
                    .payload = packet.payload,
                    .packet_id = packet.packet_id,
                    .qos = packet.qos,
                    .retain = packet.is_retain,
                    .is_dup = packet.is_dup},
        .props = packet.props,
    };
    return true;
}

static bool store_alias(struct nj_client *client, uint16_t alias, struct nj_bytes topic)
{
    char **slot = &client->aliases[alias - 1];
    size_t old_len = *slot != NULL ? strlen(*slot) + 1 : 0;
    if (client->aliases_bytes - old_len + topic.len + 1 > NJ_CLIENT_ALIAS_BYTES) {
        nj_client_fail(client, NJ_ELIMIT, "the broker's topic aliases take too much memory");
        return false;
    }
    char *copy = nj_try_bytes_dup(topic);
    if (copy == NULL) {
        nj_client_fail(client, NJ_ENOMEM, "out of memory");
        return false;
    }
    nj_free(*slot);
    *slot = copy;
    client->aliases_bytes += topic.len + 1 - old_len;
    return true;
}

/* Puts the real topic into the message. */
static bool resolve_topic(struct nj_client *client, struct publish *publish)
{
    struct nj_bytes *topic = &publish->message.topic;
    uint16_t alias = publish->props.topic_alias;
    if (nj_mqtt_props_has(&publish->props, NJ_PROP_TOPIC_ALIAS)) {
        bool is_known = alias > 0 && alias <= client->aliases_max &&
                        (topic->len > 0 || client->aliases[alias - 1] != NULL);
        if (!is_known) {
            nj_client_fail(client, NJ_EPROTOCOL, "the broker used the unknown topic alias %u",
                           alias);
            return false;
        }
        if (topic->len > 0 && !store_alias(client, alias, *topic)) {
            return false;
        }
        if (topic->len == 0) {
            *topic = nj_bytes_of(client->aliases[alias - 1]);
        }
    }
    if (!nj_mqtt_topic_is_valid(*topic, 0)) {
        nj_client_fail(client, NJ_EPROTOCOL, "the broker sent a PUBLISH with an invalid topic");
        return false;
    }
    return true;
}

static void deliver(struct nj_client *client, struct publish *publish)
{
    struct nj_client_prop *props = NULL;
    enum nj_err err = list_props(publish->props.raw, &props, &publish->message.props_count);
    if (err != NJ_OK) {
        nj_client_fail(client, err, "out of memory");
        return;
    }
    publish->message.props = props;
    if (client->callbacks.message != NULL) {
        client->callbacks.message(client, &publish->message, client->arg);
    }
    nj_free(props);
}

static struct nj_client_in *find_in(struct nj_client *client, uint16_t packet_id)
{
    nj_list_each (node, &client->ins) {
        struct nj_client_in *in = NJ_CONTAINER(node, struct nj_client_in, node);
        if (in->packet_id == packet_id) {
            return in;
        }
    }
    return NULL;
}

static void free_in(struct nj_client *client, struct nj_client_in *in)
{
    nj_list_remove(&in->node);
    client->ins_count--;
    client->ins_bytes -= in->body.len;
    nj_buf_fini(&in->body);
    nj_free(in->topic);
    nj_free(in);
}

void nj_client_drop_incoming(struct nj_client *client, bool keep_session)
{
    struct nj_list *node;
    while (!keep_session && (node = client->ins.next) != &client->ins) {
        free_in(client, NJ_CONTAINER(node, struct nj_client_in, node));
    }
    for (size_t i = 0; i < client->aliases_max && client->aliases != NULL; i++) {
        nj_free(client->aliases[i]);
        client->aliases[i] = NULL;
    }
    client->aliases_bytes = 0;
}

/* QoS 2: kept until PUBREL. */
static bool hold(struct nj_client *client, uint8_t flags, struct nj_bytes body,
                 const struct publish *publish)
{
    size_t limit = client->config.version == NJ_MQTT_5 ? client->our_receive_max : UINT16_MAX;
    if (client->ins_count >= limit || client->ins_bytes + body.len > NJ_CLIENT_INS_BYTES) {
        nj_client_fail(client, NJ_EPROTOCOL,
                       "the broker has more messages of QoS 2 under way than allowed");
        return false;
    }
    struct nj_client_in *in = nj_try_zalloc(sizeof(*in));
    if (in != NULL) {
        nj_buf_init(&in->body);
        in->topic = nj_try_bytes_dup(publish->message.topic);
        if (in->topic == NULL || nj_buf_append(&in->body, body.ptr, body.len) != NJ_OK) {
            nj_buf_fini(&in->body);
            nj_free(in->topic);
            nj_free(in);
            in = NULL;
        }
    }
    if (in == NULL) {
        nj_client_fail(client, NJ_ENOMEM, "out of memory");
        return false;
    }
    in->packet_id = publish->message.packet_id;
    in->flags = flags;
    nj_list_push_back(&client->ins, &in->node);
    client->ins_count++;
    client->ins_bytes += body.len;
    return true;
}

static void take_publish(struct nj_client *client, uint8_t flags, struct nj_bytes body)
{
    struct publish publish;
    if (!decode_publish(client, flags, body, &publish)) {
        fail_packet(client, NJ_EMALFORMED, "PUBLISH");
        return;
    }
    if (!resolve_topic(client, &publish)) {
        return;
    }
    const struct nj_client_message *message = &publish.message;
    nj_client_trace(client,
                    "Client %s received PUBLISH (d%d, q%d, r%d, m%d, '%.*s', ... (%zu bytes))",
                    nj_client_id_text(client), message->is_dup, message->qos, message->retain,
                    message->packet_id, (int)message->topic.len, (const char *)message->topic.ptr,
                    message->payload.len);
    if (message->qos == 2) {
        bool is_held = find_in(client, message->packet_id) != NULL;
        if (is_held || hold(client, flags, body, &publish)) {
            send_ack(client, NJ_MQTT_PUBREC, message->packet_id);
        }
        return;
    }
    if (message->qos == 1) {
        send_ack(client, NJ_MQTT_PUBACK, message->packet_id);
    }
    deliver(client, &publish);
}

static void take_pubrel(struct nj_client *client, uint16_t packet_id)
{
    struct nj_client_in *in = find_in(client, packet_id);
    nj_client_trace(client, "Client %s received PUBREL (Mid: %d)", nj_client_id_text(client),
                    packet_id);
    send_ack(client, NJ_MQTT_PUBCOMP, packet_id);
    if (in == NULL) {
        return;
    }
    struct publish publish;
    bool is_good = decode_publish(client, in->flags, nj_buf_bytes(&in->body), &publish);
    NJ_ASSERT(is_good); /* it was decoded when it came */
    publish.message.topic = nj_bytes_of(in->topic);
    /* Out of the list first: the callback may end the connection. */
    nj_list_remove(&in->node);
    nj_list_init(&in->node);
    deliver(client, &publish);
    free_in(client, in);
}

/* ---- acknowledgements ---- */

static void take_ack(struct nj_client *client, enum nj_mqtt_type type, struct nj_bytes body)
{
    static const char *const NAMES[] = {"PUBACK", "PUBREC", "PUBREL", "PUBCOMP"};
    const char *name = NAMES[type - NJ_MQTT_PUBACK];
    struct nj_mqtt_ack ack;
    struct nj_mqtt_props props = {0};
    enum nj_mqtt_reason reason;
    if (nj_mqtt_ack_decode(body, type, client->config.version, &ack, &reason) != NJ_OK ||
        nj_mqtt_props_parse(ack.props, type, &props) != NJ_OK) {
        fail_packet(client, NJ_EMALFORMED, name);
        return;
    }
    uint16_t packet_id = ack.packet_id;
    uint8_t code = ack.code;
    if (type == NJ_MQTT_PUBREL) {
        take_pubrel(client, packet_id);
        return;
    }
    if (type == NJ_MQTT_PUBREC) {
        nj_client_trace(client, "Client %s received PUBREC (Mid: %d)", nj_client_id_text(client),
                        packet_id);
    } else {
        nj_client_trace(client, "Client %s received %s (Mid: %d, RC:%d)", nj_client_id_text(client),
                        name, packet_id, code);
    }
    nj_client_take_ack(client, type, packet_id, code, props.reason_string);
}

static struct nj_client_request *find_request(struct nj_client *client, uint16_t packet_id,
                                              bool is_subscribe)
{
    nj_list_each (node, &client->requests) {
        struct nj_client_request *request = NJ_CONTAINER(node, struct nj_client_request, node);
        if (request->packet_id == packet_id && request->is_subscribe == is_subscribe) {
            return request;
        }
    }
    return NULL;
}

static void take_suback(struct nj_client *client, enum nj_mqtt_type type, struct nj_bytes body)
{
    bool is_subscribe = type == NJ_MQTT_SUBACK;
    const char *name = is_subscribe ? "SUBACK" : "UNSUBACK";
    enum nj_mqtt_version version = client->config.version;
    struct nj_mqtt_suback packet;
    enum nj_mqtt_reason reason;
    enum nj_err err = is_subscribe ? nj_mqtt_suback_decode(body, version, &packet, &reason)
                                   : nj_mqtt_unsuback_decode(body, version, &packet, &reason);
    if (err != NJ_OK) {
        fail_packet(client, err, name);
        return;
    }
    nj_client_trace(client, "Client %s received %s", nj_client_id_text(client), name);
    struct nj_client_request *request = find_request(client, packet.packet_id, is_subscribe);
    size_t wanted = request != NULL && (is_subscribe || version == NJ_MQTT_5) ? request->count : 0;
    /* One code per filter: no fewer, no more (CVE-2024-10525). */
    if (request == NULL || packet.codes.len != wanted) {
        nj_client_fail(client, NJ_EPROTOCOL, "the broker sent a %s that answers nothing we asked",
                       name);
        return;
    }
    nj_list_remove(&request->node);
    nj_free(request);
    if (is_subscribe && client->callbacks.subscribed != NULL) {
        client->callbacks.subscribed(client, packet.packet_id, packet.codes.ptr, wanted,
                                     client->arg);
    } else if (!is_subscribe && client->callbacks.unsubscribed != NULL) {
        client->callbacks.unsubscribed(client, packet.packet_id, client->arg);
    }
}

static void take_disconnect(struct nj_client *client, struct nj_bytes body)
{
    struct nj_mqtt_coded packet;
    enum nj_mqtt_reason reason;
    if (client->config.version != NJ_MQTT_5 ||
        nj_mqtt_disconnect_decode_from_server(body, &packet, &reason) != NJ_OK) {
        fail_packet(client, NJ_EMALFORMED, "DISCONNECT");
        return;
    }
    nj_client_trace(client, "Client %s received DISCONNECT (%d)", nj_client_id_text(client),
                    packet.code);
    if (client->callbacks.kicked != NULL) {
        client->callbacks.kicked(client, packet.code, packet.props.reason_string, client->arg);
    }
    nj_client_fail(client, NJ_ECLOSED, "the broker ended the connection (reason code %u)",
                   packet.code);
}

bool nj_client_check_header(struct nj_client *client, const struct nj_mqtt_frame *frame)
{
    if (!nj_mqtt_flags_are_valid_in(frame->type, frame->flags, client->config.version)) {
        fail_packet(client, NJ_EMALFORMED, "fixed header");
        return false;
    }
    if (client->state == NJ_CLIENT_CONNECTING && frame->type != NJ_MQTT_CONNACK &&
        frame->type != NJ_MQTT_DISCONNECT) {
        nj_client_fail(client, NJ_EPROTOCOL, "the broker did not answer CONNECT with CONNACK");
        return false;
    }
    return true;
}

void nj_client_take_packet(struct nj_client *client, const struct nj_mqtt_frame *frame,
                           struct nj_bytes body)
{
    switch (frame->type) {
    case NJ_MQTT_CONNACK:
        take_connack(client, body);
        break;
    case NJ_MQTT_PUBLISH:
        take_publish(client, frame->flags, body);
        break;
    case NJ_MQTT_PUBACK:
    case NJ_MQTT_PUBREC:
    case NJ_MQTT_PUBREL:
    case NJ_MQTT_PUBCOMP:
        take_ack(client, frame->type, body);
        break;
    case NJ_MQTT_SUBACK:
    case NJ_MQTT_UNSUBACK:
        take_suback(client, frame->type, body);
        break;
    case NJ_MQTT_PINGRESP:
        nj_client_trace(client, "Client %s received PINGRESP", nj_client_id_text(client));
        client->ping_ms = 0;
        break;
    case NJ_MQTT_DISCONNECT:
        take_disconnect(client, body);
        break;
    default:
        nj_client_fail(client, NJ_EPROTOCOL, "the broker sent a packet of type %d",
                       (int)frame->type);
        break;
    }
}
