/* See rig.h: the connections, and what their clients see. */
#include <sys/uio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/claim.h"
#include "broker/flow.h"
#include "broker/hold.h"
#include "broker/message.h"
#include "broker/origin.h"
#include "broker/out.h"
#include "broker/publish.h"
#include "broker/replay.h"
#include "broker/subscribe.h"
#include "rig_priv.h"
#include "support/test.h"

/* ---- what the core asks */

static struct rig_client *client_of(struct nj_link *link)
{
    return (struct rig_client *)link;
}

static void ops_close(struct nj_link *link, enum nj_mqtt_reason reason, const char *why)
{
    struct rig_client *client = client_of(link);
    if (!client->is_closed) {
        client->is_closed = true;
        client->reason = reason;
        client->why = why;
        link->is_closing = true;
    }
}

static size_t ops_committed(struct nj_link *link)
{
    (void)link;
    return 0;
}

static void ops_ready(struct nj_link *link)
{
    client_of(link)->is_ready = true;
}

static void ops_refuse(struct nj_link *link, enum nj_mqtt_reason reason, const char *why)
{
    ops_close(link, reason, why);
}

static void ops_read_on(struct nj_link *link)
{
    (void)link; /* the test decides when a client says something */
}

const struct nj_link_ops rig_link_ops = {
    .close = ops_close,
    .committed = ops_committed,
    .ready = ops_ready,
    .refuse = ops_refuse,
    .read_on = ops_read_on,
};

/* ---- writing out */

static void receive(struct rig_client *client, const void *bytes, size_t len)
{
    if (client->in_len + len > client->in_cap) {
        client->in_cap = (client->in_len + len) * 2;
        client->in = realloc(client->in, client->in_cap);
    }
    memcpy(client->in + client->in_len, bytes, len);
    client->in_len += len;
}

/* In uneven steps, so that consuming parts of frames is the normal case. */
static void write_out(struct rig_client *client)
{
    struct nj_link *link = &client->link;
    static size_t step = 1;
    while (link->out.pending) {
        struct iovec iov[4];
        int n = nj_out_vectors(&link->out, iov, 4);
        size_t budget = step = step * 7 % 1009 + 1;
        size_t written = 0;
        for (int i = 0; i < n && budget; i++) {
            size_t len = iov[i].iov_len < budget ? iov[i].iov_len : budget;
            receive(client, iov[i].iov_base, len);
            budget -= len;
            written += len;
        }
        nj_out_consume(&link->shard->chunks, &link->out, written);
    }
}

static void flush_client(struct rig_client *client)
{
    struct nj_link *link = &client->link;
    if (client->is_closed) {
        return;
    }
    if (client->is_blocked) {
        if (!link->is_blocked && link->out.pending) {
            link->is_blocked = true;
            nj_list_push_back(&link->shard->blocked, &link->blocked_node);
        }
        return;
    }
    write_out(client);
    struct nj_session *session = link->session;
    if (session && (session->replay || (session->flow && session->flow->queue_count))) {
        nj_session_pump(session);
    }
}

/* Those marked by now, the last one first: what is marked meanwhile has its turn in the next one.
 */
static bool flush_marked(struct nj_link **marked, uint32_t *count)
{
    uint32_t due = *count;
    struct nj_link **links = malloc((due + 1) * sizeof(struct nj_link *));
    assert_non_null(links);
    if (due) {
        memcpy(links, marked, due * sizeof(struct nj_link *));
    }
    *count = 0;
    for (uint32_t i = due; i > 0; i--) {
        links[i - 1]->is_dirty = false;
        flush_client(client_of(links[i - 1]));
    }
    free(links);
    return due > 0;
}

bool rig_flush(struct nj_shard *shard)
{
    bool had_some = flush_marked(shard->dirty, &shard->dirty_count);
    had_some |= flush_marked(shard->dirty_late, &shard->late_count);
    return had_some;
}

void rig_block(struct rig_client *client)
{
    client->is_blocked = true;
}

void rig_unblock(struct rig_client *client)
{
    struct nj_link *link = &client->link;
    client->is_blocked = false;
    link->is_blocked = false;
    nj_list_remove(&link->blocked_node);
    flush_client(client);
    rig_run(client->rig);
}

/* ---- coming and going */

static struct nj_message *make_will(struct nj_shard *shard, struct nj_link *link,
                                    const struct rig_connect *options)
{
    struct nj_message_view view = {
        .topic = nj_bytes_of(options->will_topic),
        .payload = nj_bytes_of(options->will_payload),
        .qos = options->will_qos,
        .is_retain = options->will_retain,
        .expires_ms = options->will_expiry_s * 1000ull,
    };
    if (nj_shard_mounted(shard, link->mount_point, &view.topic) != NJ_OK) {
        return NULL;
    }
    return nj_message_new(&view);
}

static void set_options(struct nj_link *link, const struct rig_connect *options)
{
    link->version = options->version ? options->version : NJ_MQTT_5;
    link->receive_max_out = options->receive_max;
    link->receive_max_in = options->receive_max_in;
    link->alias_out_max = options->alias_out_max;
    link->alias_in_max = options->alias_in_max;
    link->max_packet_out = options->max_packet;
    link->mount_point = nj_bytes_of(options->mount);
}

static bool claim(struct rig_client *client, const struct rig_connect *options)
{
    struct nj_shard *shard = client->link.shard;
    struct nj_claim request = {
        .origin = nj_origin_new(0, 0, nj_bytes_of(options->user), nj_bytes_of(client->id)),
        .will_delay_s = options->will_delay_s,
        .credential = options->credential,
        .expiry_s = options->expiry_s,
        .is_clean_start = options->is_clean,
    };
    if (!request.origin) {
        return false;
    }
    if (options->will_topic) {
        request.will = make_will(shard, &client->link, options);
    }
    struct nj_claimed claimed;
    bool is_ok =
        (request.will || !options->will_topic) &&
        nj_session_claim(&client->link, &request, &claimed, &client->reason, &client->why) == NJ_OK;
    nj_origin_unref(request.origin);
    if (!is_ok) {
        nj_message_unref(request.will);
        return false;
    }
    const uint8_t connack[] = {NJ_MQTT_CONNACK << 4, 2, claimed.is_present, 0};
    client->was_present = claimed.is_present;
    nj_session_answer(claimed.session, NJ_HOLD_CONNACK, connack, sizeof(connack), NULL,
                      claimed.wait);
    return true;
}

static void client_free(struct rig_client *client)
{
    nj_link_fini(&client->link);
    free(client->in);
    free(client);
}

struct rig_client *rig_connect_quietly(struct rig *rig, const char *id,
                                       const struct rig_connect *options)
{
    static const struct rig_connect plain = {.is_clean = true};
    struct rig_client *client = calloc(1, sizeof(*client));
    client->rig = rig;
    (void)snprintf(client->id, sizeof(client->id), "%s", id);
    nj_link_init(&client->link, rig->shards[nj_core_home(&rig->core, nj_bytes_of(id))]);
    set_options(&client->link, options ? options : &plain);
    if (!claim(client, options ? options : &plain)) {
        client_free(client);
        return NULL;
    }
    client->next = rig->clients;
    rig->clients = client;
    return client;
}

struct rig_client *rig_connect(struct rig *rig, const char *id, const struct rig_connect *options)
{
    struct rig_client *client = rig_connect_quietly(rig, id, options);
    rig_run(rig);
    if (client && client->is_ready) {
        struct rig_packet connack = rig_expect(client, NJ_MQTT_CONNACK);
        assert_int_equal(connack.reason, 0);
    }
    return client;
}

struct rig_client *rig_connect_stored(struct rig *rig, const char *id)
{
    return rig_connect(rig, id, &(struct rig_connect){.expiry_s = 3600});
}

bool rig_reap(struct rig *rig)
{
    bool had_some = false;
    for (struct rig_client *client = rig->clients; client; client = client->next) {
        if (!client->is_closed || client->is_gone) {
            continue;
        }
        client->is_gone = true;
        client->link.is_closing = true;
        had_some = true;
        if (client->link.session) {
            nj_session_detach(client->link.session, !client->keeps_will);
        }
        nj_list_remove(&client->link.blocked_node);
        client->link.is_blocked = false;
        nj_out_clear(&client->link.shard->chunks, &client->link.out);
    }
    return had_some;
}

void rig_break(struct rig_client *client)
{
    ops_close(&client->link, NJ_RC_SUCCESS, "broken");
    rig_run(client->rig);
}

void rig_disconnect(struct rig_client *client)
{
    client->keeps_will = true;
    rig_break(client);
}

void rig_clients_close(struct rig *rig)
{
    for (struct rig_client *client = rig->clients; client; client = client->next) {
        client->keeps_will = true;
        ops_close(&client->link, NJ_RC_SERVER_SHUTTING_DOWN, NULL);
    }
    (void)rig_reap(rig);
    while (rig->clients) {
        struct rig_client *client = rig->clients;
        rig->clients = client->next;
        client_free(client);
    }
}

/* ---- packets in */

static enum nj_mqtt_reason judge(struct rig_client *client, enum nj_err err,
                                 enum nj_mqtt_reason reason)
{
    if (err == NJ_OK) {
        return NJ_RC_SUCCESS;
    }
    ops_close(&client->link, reason, "bad packet");
    return reason;
}

enum nj_mqtt_reason rig_publish_quietly(struct rig_client *client,
                                        const struct rig_publish *publish)
{
    const struct nj_publish_in in = {
        .topic = nj_bytes_of(publish->topic),
        .payload = nj_bytes(publish->payload, publish->payload_len ? publish->payload_len
                                              : publish->payload   ? strlen(publish->payload)
                                                                   : 0),
        .qos = publish->qos,
        .is_retain = publish->is_retain,
        .is_dup = publish->is_dup,
        .packet_id = publish->id,
        .alias = publish->alias,
        .has_expiry = publish->has_expiry,
        .expiry_s = publish->expiry_s,
    };
    enum nj_mqtt_reason reason = NJ_RC_UNSPECIFIED;
    if (client->is_closed) {
        return NJ_RC_UNSPECIFIED;
    }
    enum nj_err err = nj_session_publish(client->link.session, &in, &reason);
    return judge(client, err, reason);
}

enum nj_mqtt_reason rig_publish(struct rig_client *client, const struct rig_publish *publish)
{
    enum nj_mqtt_reason reason = rig_publish_quietly(client, publish);
    rig_run(client->rig);
    return reason;
}

enum nj_mqtt_reason rig_say(struct rig_client *client, const char *topic, const char *payload,
                            uint8_t qos, uint16_t id)
{
    return rig_publish(
        client, &(struct rig_publish){.topic = topic, .payload = payload, .qos = qos, .id = id});
}

void rig_retain(struct rig_client *client, const char *topic, const char *payload, uint8_t qos)
{
    const struct rig_publish publish = {
        .topic = topic, .payload = payload, .qos = qos, .id = 999, .is_retain = true};
    assert_int_equal(rig_publish(client, &publish), 0);
    if (qos == 2) {
        rig_pubrel(client, 999);
    }
    struct rig_packet packet;
    while (qos && rig_next(client, &packet)) {
    }
}

void rig_pubrel(struct rig_client *client, uint16_t id)
{
    if (!client->is_closed) {
        nj_session_pubrel(client->link.session, id);
    }
    rig_run(client->rig);
}

void rig_puback(struct rig_client *client, uint16_t id)
{
    if (!client->is_closed) {
        nj_session_puback(client->link.session, id);
    }
    rig_run(client->rig);
}

void rig_pubrec(struct rig_client *client, uint16_t id, bool is_error)
{
    if (!client->is_closed) {
        nj_session_pubrec(client->link.session, id, is_error);
    }
    rig_run(client->rig);
}

void rig_pubcomp(struct rig_client *client, uint16_t id)
{
    if (!client->is_closed) {
        nj_session_pubcomp(client->link.session, id);
    }
    rig_run(client->rig);
}

uint8_t rig_subscribe(struct rig_client *client, const struct rig_subscribe *subscribe)
{
    const struct nj_subscribe_in in = {
        .filter = nj_bytes_of(subscribe->filter),
        .options = {.sub_id = subscribe->sub_id,
                    .qos = subscribe->qos,
                    .is_no_local = subscribe->is_no_local,
                    .is_retain_as_published = subscribe->is_retain_as_published},
        .retain_handling = subscribe->retain_handling,
    };
    struct nj_session *session = client->link.session;
    struct nj_replay *replay = NULL;
    if (client->is_closed) {
        return 0x80;
    }
    uint8_t code = nj_session_subscribe(session, &in, &replay);
    struct nj_wait wait = nj_session_lane_wait(session);
    const uint8_t suback[] = {NJ_MQTT_SUBACK << 4, 3, 0, 1, code};
    nj_session_answer(session, NJ_HOLD_SUBACK, suback, sizeof(suback), replay, wait);
    rig_run(client->rig);
    return code;
}

void rig_sub(struct rig_client *client, const char *filter, uint8_t qos)
{
    struct rig_subscribe subscribe = {.filter = filter, .qos = qos};
    assert_int_equal(rig_subscribe(client, &subscribe), qos);
    (void)rig_expect(client, NJ_MQTT_SUBACK);
}

uint8_t rig_unsubscribe(struct rig_client *client, const char *filter)
{
    struct nj_session *session = client->link.session;
    if (client->is_closed) {
        return 0x80;
    }
    uint8_t code = nj_session_unsubscribe(session, nj_bytes_of(filter));
    struct nj_wait wait = nj_session_lane_wait(session);
    const uint8_t unsuback[] = {NJ_MQTT_UNSUBACK << 4, 2, 0, 1};
    nj_session_answer(session, NJ_HOLD_UNSUBACK, unsuback, sizeof(unsuback), NULL, wait);
    rig_run(client->rig);
    return code;
}

/* ---- packets out */

static uint32_t get_varint(const uint8_t **at)
{
    uint32_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = *(*at)++;
        value |= (uint32_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    return value;
}

static uint16_t get_u16(const uint8_t **at)
{
    uint16_t value = (uint16_t)((*at)[0] << 8 | (*at)[1]);
    *at += 2;
    return value;
}

/* Only what this core writes by itself; the tests forward no properties of others. */
static void parse_properties(const uint8_t **at, struct rig_packet *packet)
{
    uint32_t len = get_varint(at);
    const uint8_t *end = *at + len;
    while (*at < end) {
        uint8_t kind = *(*at)++;
        switch (kind) {
        case 2:
            packet->has_expiry = true;
            packet->expiry_s = (uint32_t)get_u16(at) << 16;
            packet->expiry_s |= get_u16(at);
            break;
        case 11:
            packet->sub_id = get_varint(at);
            break;
        case 35:
            packet->alias = get_u16(at);
            break;
        default:
            fail_msg("unexpected property %u", kind);
        }
    }
}

static void parse_publish(const struct rig_client *client, const uint8_t *at, const uint8_t *end,
                          struct rig_packet *packet)
{
    uint16_t topic_len = get_u16(&at);
    assert_true(topic_len < sizeof(packet->topic));
    memcpy(packet->topic, at, topic_len);
    at += topic_len;
    if (packet->qos) {
        packet->id = get_u16(&at);
        assert_int_not_equal(packet->id, 0);
    }
    if (client->link.version == NJ_MQTT_5) {
        parse_properties(&at, packet);
    }
    assert_true(at <= end);
    packet->payload = nj_bytes(at, (size_t)(end - at));
}

bool rig_next(struct rig_client *client, struct rig_packet *packet)
{
    *packet = (struct rig_packet){0};
    if (client->in_at == client->in_len) {
        return false;
    }
    const uint8_t *at = client->in + client->in_at;
    uint8_t first = *at++;
    uint32_t len = get_varint(&at);
    const uint8_t *end = at + len;
    assert_true(end <= client->in + client->in_len);
    client->in_at = (size_t)(end - client->in);
    packet->type = (enum nj_mqtt_type)(first >> 4);
    if (packet->type == NJ_MQTT_PUBLISH) {
        packet->qos = first >> 1 & 3;
        packet->is_dup = first >> 3 & 1;
        packet->is_retain = first & 1;
        parse_publish(client, at, end, packet);
    } else if (packet->type == NJ_MQTT_CONNACK) {
        packet->reason = at[1];
    } else if (packet->type != NJ_MQTT_PINGRESP) {
        packet->id = get_u16(&at);
        packet->reason = at < end ? *at : 0;
    }
    return true;
}

struct rig_packet rig_expect(struct rig_client *client, enum nj_mqtt_type type)
{
    struct rig_packet packet;
    if (!rig_next(client, &packet)) {
        fail_msg("%s: expected packet type %d, got nothing", client->id, type);
    }
    assert_int_equal(packet.type, type);
    return packet;
}

struct rig_packet rig_expect_publish(struct rig_client *client, const char *topic,
                                     const char *payload, uint8_t qos)
{
    struct rig_packet packet = rig_expect(client, NJ_MQTT_PUBLISH);
    assert_string_equal(packet.topic, topic);
    assert_int_equal(packet.payload.len, strlen(payload));
    assert_memory_equal(packet.payload.ptr, payload, packet.payload.len);
    assert_int_equal(packet.qos, qos);
    return packet;
}

void rig_expect_ack(struct rig_client *client, enum nj_mqtt_type type, uint16_t id, uint8_t reason)
{
    struct rig_packet packet = rig_expect(client, type);
    assert_int_equal(packet.id, id);
    assert_int_equal(packet.reason, reason);
}

void rig_expect_nothing(struct rig_client *client)
{
    struct rig_packet packet;
    if (rig_next(client, &packet)) {
        fail_msg("%s: expected nothing, got packet type %d (topic '%s', id %u)", client->id,
                 packet.type, packet.topic, packet.id);
    }
}

unsigned rig_drain(struct rig_client *client)
{
    struct rig_packet packet;
    unsigned count = 0;
    while (rig_next(client, &packet)) {
        if (packet.type == NJ_MQTT_PUBLISH) {
            count++;
            if (packet.qos == 1) {
                rig_puback(client, packet.id);
            } else if (packet.qos == 2) {
                rig_pubrec(client, packet.id, false);
            }
        } else if (packet.type == NJ_MQTT_PUBREL) {
            rig_pubcomp(client, packet.id);
        } else if (packet.type == NJ_MQTT_PUBREC && packet.reason < 0x80) {
            rig_pubrel(client, packet.id);
        }
    }
    return count;
}
