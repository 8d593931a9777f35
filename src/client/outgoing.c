/* Outgoing messages: the window of QoS 1 and 2, acknowledgements, and resending. MQTT5 4.3, 4.4,
 * 4.9. */
#include <string.h>

#include "base/mem.h"
#include "client/client_priv.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"

#define FLAG_DUP 0x08

static struct nj_client_out *find_out(struct nj_client *client, uint16_t packet_id)
{
    nj_list_each (node, &client->outs) {
        struct nj_client_out *out = NJ_CONTAINER(node, struct nj_client_out, node);
        if (out->packet_id == packet_id) {
            return out;
        }
    }
    return NULL;
}

static bool id_is_used(struct nj_client *client, uint16_t packet_id)
{
    nj_list_each (node, &client->requests) {
        if (NJ_CONTAINER(node, struct nj_client_request, node)->packet_id == packet_id) {
            return true;
        }
    }
    return find_out(client, packet_id) != NULL;
}

uint16_t nj_client_take_id(struct nj_client *client)
{
    do {
        client->next_id = client->next_id == UINT16_MAX ? 1 : (uint16_t)(client->next_id + 1);
    } while (id_is_used(client, client->next_id));
    return client->next_id;
}

static void free_out(struct nj_client *client, struct nj_client_out *out)
{
    nj_list_remove(&out->node);
    client->outs_count--;
    nj_buf_fini(&out->packet);
    nj_free(out);
}

void nj_client_drop_outgoing(struct nj_client *client)
{
    struct nj_list *node;
    while ((node = client->outs.next) != &client->outs) {
        free_out(client, NJ_CONTAINER(node, struct nj_client_out, node));
    }
    client->window_used = 0;
}

static size_t window_size(const struct nj_client *client)
{
    size_t own =
        client->config.max_inflight != 0 ? client->config.max_inflight : NJ_CLIENT_INFLIGHT;
    return client->server_receive_max < own ? client->server_receive_max : own;
}

static void trace_publish(struct nj_client *client, const struct nj_client_publish *publish,
                          uint16_t packet_id, bool is_dup)
{
    bool has_topic = publish->topic.len > 0;
    nj_client_trace(client,
                    "Client %s sending PUBLISH (d%d, q%d, r%d, m%d, '%.*s', ... (%zu bytes))",
                    nj_client_id_text(client), is_dup, publish->qos, publish->retain, packet_id,
                    has_topic ? (int)publish->topic.len : 6,
                    has_topic ? (const char *)publish->topic.ptr : "(null)", publish->payload.len);
}

static void trace_out(struct nj_client *client, const struct nj_client_out *out, bool is_dup)
{
    struct nj_mqtt_frame frame;
    struct nj_client_publish view = {
        .payload = nj_bytes(NULL, out->payload_len), .qos = out->qos, .retain = out->retain};
    if (nj_mqtt_frame_peek(out->packet.data, out->packet.len, &frame) == NJ_OK) {
        view.topic = nj_bytes(out->packet.data + frame.header_len + 2, out->topic_len);
    }
    trace_publish(client, &view, out->packet_id, is_dup);
}

static void send_out(struct nj_client *client, struct nj_client_out *out)
{
    if (out->is_repeated) {
        out->packet.data[0] |= FLAG_DUP;
    } else {
        out->packet.data[0] &= (uint8_t)~FLAG_DUP;
    }
    trace_out(client, out, out->is_repeated);
    out->state = NJ_CLIENT_PUBLISHED;
    if (nj_buf_append(&client->out, out->packet.data, out->packet.len) != NJ_OK) {
        nj_client_fail(client, NJ_ENOMEM, "out of memory for a message of %zu bytes",
                       out->packet.len);
    }
}

static const struct nj_client_prop *find_prop(const struct nj_client_props *props, uint8_t id)
{
    for (size_t i = 0; i < props->count; i++) {
        if (props->items[i].id == id) {
            return &props->items[i];
        }
    }
    return NULL;
}

/* What the broker of this connection does not take (MQTT5 3.2.2-11, -14, -15, -17, 3.3.2-7), as the
 * code with which it would refuse it; 0 = it takes it. */
static uint8_t refusal_of(const struct nj_client *client, const struct nj_client_out *out)
{
    if (out->state == NJ_CLIENT_RELEASED) {
        return 0;
    }
    if (out->is_orphan || out->alias > client->server_aliases_max) {
        return NJ_RC_TOPIC_ALIAS_INVALID;
    }
    if (out->packet.len > client->server_packet_max) {
        return NJ_RC_PACKET_TOO_LARGE;
    }
    if (out->qos > client->server_max_qos) {
        return NJ_RC_QOS_NOT_SUPPORTED;
    }
    return out->retain && !client->server_retain ? NJ_RC_RETAIN_NOT_SUPPORTED : 0;
}

void nj_client_pump(struct nj_client *client)
{
    if (client->state != NJ_CLIENT_UP) {
        return;
    }
    size_t window = window_size(client);
    nj_list_each (node, &client->outs) {
        if (client->window_used >= window) {
            return;
        }
        struct nj_client_out *out = NJ_CONTAINER(node, struct nj_client_out, node);
        if (out->state == NJ_CLIENT_QUEUED && refusal_of(client, out) == 0) {
            client->window_used++;
            send_out(client, out);
        }
    }
}

/* An earlier connection had other limits. */
static void give_up_unfit(struct nj_client *client)
{
    struct nj_list *node = client->outs.next;
    while (node != &client->outs) {
        struct nj_client_out *out = NJ_CONTAINER(node, struct nj_client_out, node);
        uint16_t packet_id = out->packet_id;
        uint8_t code = refusal_of(client, out);
        node = node->next; /* callbacks may only append */
        if (code != 0) {
            free_out(client, out);
            if (client->callbacks.published != NULL) {
                client->callbacks.published(client, packet_id, code, nj_bytes(NULL, 0),
                                            client->arg);
            }
        }
    }
}

void nj_client_resume(struct nj_client *client, bool is_session_present)
{
    client->window_used = 0;
    nj_list_each (node, &client->outs) {
        struct nj_client_out *out = NJ_CONTAINER(node, struct nj_client_out, node);
        out->is_orphan = out->topic_len == 0;
        out->is_repeated =
            is_session_present && (out->is_repeated || out->state == NJ_CLIENT_PUBLISHED);
        if (out->state == NJ_CLIENT_RELEASED && is_session_present) {
            client->window_used++;
            nj_client_trace(client, "Client %s sending PUBREL (m%d)", nj_client_id_text(client),
                            out->packet_id);
            if (nj_client_put_ack(client, NJ_MQTT_PUBREL, out->packet_id, 0) != NJ_OK) {
                nj_client_fail(client, NJ_ENOMEM, "out of memory");
            }
        } else if (out->state == NJ_CLIENT_PUBLISHED && is_session_present &&
                   client->window_used < window_size(client) && refusal_of(client, out) == 0) {
            client->window_used++;
            send_out(client, out);
        } else {
            /* The broker knows nothing of it, or does not take it now: from the beginning. */
            out->state = NJ_CLIENT_QUEUED;
        }
    }
    give_up_unfit(client);
    nj_client_pump(client);
}

static void finish_out(struct nj_client *client, struct nj_client_out *out, uint8_t code,
                       struct nj_bytes reason)
{
    uint16_t packet_id = out->packet_id;
    client->window_used -= client->window_used > 0 ? 1 : 0;
    free_out(client, out);
    nj_client_pump(client);
    if (client->callbacks.published != NULL) {
        client->callbacks.published(client, packet_id, code, reason, client->arg);
    }
}

static void take_pubrec(struct nj_client *client, struct nj_client_out *out, uint8_t code,
                        struct nj_bytes reason)
{
    if (code >= 0x80) {
        finish_out(client, out, code, reason);
        return;
    }
    out->state = NJ_CLIENT_RELEASED;
    nj_client_trace(client, "Client %s sending PUBREL (m%d)", nj_client_id_text(client),
                    out->packet_id);
    if (nj_client_put_ack(client, NJ_MQTT_PUBREL, out->packet_id, 0) != NJ_OK) {
        nj_client_fail(client, NJ_ENOMEM, "out of memory");
    }
}

void nj_client_take_ack(struct nj_client *client, enum nj_mqtt_type type, uint16_t packet_id,
                        uint8_t code, struct nj_bytes reason)
{
    struct nj_client_out *out = find_out(client, packet_id);
    bool is_known = out != NULL && out->state != NJ_CLIENT_QUEUED &&
                    out->qos == (type == NJ_MQTT_PUBACK ? 1 : 2);
    if (type == NJ_MQTT_PUBREC) {
        if (is_known) {
            take_pubrec(client, out, code, reason);
        } else if (code < 0x80) {
            /* Left from an earlier connection: release it, or the broker asks for ever. */
            nj_client_trace(client,
                            "Warning: Received PUBREC from %s for an unknown packet identifier %d.",
                            nj_client_id_text(client), packet_id);
            if (nj_client_put_ack(client, NJ_MQTT_PUBREL, packet_id, NJ_RC_PACKET_ID_NOT_FOUND) !=
                NJ_OK) {
                nj_client_fail(client, NJ_ENOMEM, "out of memory");
            }
        }
        return;
    }
    bool is_due = is_known &&
                  out->state == (type == NJ_MQTT_PUBACK ? NJ_CLIENT_PUBLISHED : NJ_CLIENT_RELEASED);
    if (is_due) {
        finish_out(client, out, code, reason);
    } else {
        nj_client_trace(client, "Warning: Received %s from %s for an unknown packet identifier %d.",
                        type == NJ_MQTT_PUBACK ? "PUBACK" : "PUBCOMP", nj_client_id_text(client),
                        packet_id);
    }
}

/* 0 = none; the standard knows no alias 0, which nj_client_publish has refused. */
static uint16_t alias_of(const struct nj_client *client, const struct nj_client_publish *publish)
{
    const struct nj_client_prop *alias = find_prop(&publish->props, NJ_PROP_TOPIC_ALIAS);
    return alias != NULL && client->config.version == NJ_MQTT_5 ? (uint16_t)alias->number : 0;
}

static enum nj_err check_publish(const struct nj_client *client,
                                 const struct nj_client_publish *publish)
{
    /* An empty topic needs an alias; that the alias is known is the caller's business. */
    const struct nj_client_prop *alias = find_prop(&publish->props, NJ_PROP_TOPIC_ALIAS);
    bool may_be_empty = alias != NULL && client->config.version == NJ_MQTT_5;
    bool is_topic = publish->topic.len <= UINT16_MAX && nj_mqtt_topic_is_valid(publish->topic, 0) &&
                    nj_mqtt_utf8_is_valid(publish->topic);
    if (!is_topic && !(publish->topic.len == 0 && may_be_empty)) {
        return NJ_EINVAL;
    }
    if (publish->qos > 2) {
        return NJ_EINVAL;
    }
    if (client->state != NJ_CLIENT_UP) {
        return NJ_ECLOSED;
    }
    if (publish->qos > client->server_max_qos) {
        return NJ_ENOTSUP;
    }
    if (publish->retain && !client->server_retain) {
        return NJ_EACCES;
    }
    if (may_be_empty && (alias->number == 0 || alias->number > client->server_aliases_max)) {
        return NJ_EPROTOCOL;
    }
    if (publish->payload.len > NJ_MQTT_VARINT_MAX) {
        return NJ_ETOOBIG;
    }
    return publish->qos > 0 && client->outs_count >= NJ_CLIENT_OUTS_MAX ? NJ_ELIMIT : NJ_OK;
}

static enum nj_err publish_qos0(struct nj_client *client, const struct nj_client_publish *publish,
                                uint16_t packet_id)
{
    size_t start = client->out.len;
    enum nj_err err = nj_buf_reserve(&client->qos0_ids, sizeof(packet_id));
    if (err == NJ_OK) {
        err = nj_client_put_publish(client, publish, packet_id, &client->out);
    }
    if (err == NJ_OK && client->out.len - start > client->server_packet_max) {
        client->out.len = start;
        err = NJ_ETOOBIG;
    }
    if (err == NJ_OK) {
        trace_publish(client, publish, packet_id, false);
        err = nj_buf_append(&client->qos0_ids, &packet_id, sizeof(packet_id));
    }
    return err;
}

static enum nj_err enqueue(struct nj_client *client, const struct nj_client_publish *publish,
                           uint16_t packet_id)
{
    struct nj_client_out *out = nj_try_zalloc(sizeof(*out));
    if (out == NULL) {
        return NJ_ENOMEM;
    }
    nj_buf_init(&out->packet);
    enum nj_err err = nj_client_put_publish(client, publish, packet_id, &out->packet);
    if (err == NJ_OK && out->packet.len > client->server_packet_max) {
        err = NJ_ETOOBIG;
    }
    if (err != NJ_OK) {
        nj_buf_fini(&out->packet);
        nj_free(out);
        return err;
    }
    out->packet_id = packet_id;
    out->qos = publish->qos;
    out->retain = publish->retain;
    out->topic_len = publish->topic.len;
    out->alias = alias_of(client, publish);
    out->payload_len = publish->payload.len;
    nj_list_push_back(&client->outs, &out->node);
    client->outs_count++;
    nj_client_pump(client);
    return NJ_OK;
}

enum nj_err nj_client_publish(struct nj_client *client, const struct nj_client_publish *publish,
                              uint16_t *packet_id)
{
    enum nj_err err = check_publish(client, publish);
    if (err != NJ_OK) {
        return err;
    }
    uint16_t id = nj_client_take_id(client);
    err = publish->qos == 0 ? publish_qos0(client, publish, id) : enqueue(client, publish, id);
    if (err == NJ_OK) {
        *packet_id = id;
    }
    return err;
}

size_t nj_client_unfinished(const struct nj_client *client)
{
    return client->outs_count + client->qos0_ids.len / sizeof(uint16_t);
}
