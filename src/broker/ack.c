/* See ack.h. */
#include "broker/ack.h"

#include "broker/explain.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/shard.h"
#include "mqtt/ack.h"
#include "mqtt/props.h"
#include "mqtt/types.h"

static enum nj_mqtt_type type_of(enum nj_hold_kind kind)
{
    switch (kind) {
    case NJ_HOLD_PUBACK:
        return NJ_MQTT_PUBACK;
    case NJ_HOLD_PUBREC:
        return NJ_MQTT_PUBREC;
    case NJ_HOLD_PUBREL:
        return NJ_MQTT_PUBREL;
    default:
        return NJ_MQTT_PUBCOMP;
    }
}

static uint8_t first_byte(enum nj_hold_kind kind)
{
    return (uint8_t)(type_of(kind) << 4 | (kind == NJ_HOLD_PUBREL ? 2 : 0));
}

/* Room for an acknowledgement; NULL: it cannot go out. */
static uint8_t *room_for(struct nj_link *link, enum nj_hold_kind kind, size_t len)
{
    if (NJ_UNLIKELY(!nj_link_takes(link, len))) {
        NJ_STAT_ADD(link->shard, dropped_too_large, 1);
        return NULL;
    }
    /* Answers to a publisher may wait for the end of the turn; PUBREL drives a delivery on. */
    uint8_t *at = kind == NJ_HOLD_PUBREL ? nj_link_frame(link, len) : nj_link_frame_late(link, len);
    if (!at) {
        nj_link_fail_memory(link);
        return NULL;
    }
    NJ_STAT_ADD(link->shard, messages_sent, 1);
    return at;
}

/* PUBACK and PUBREC have no code for a message that is too large (MQTT5 3.4.2.1, 3.5.2.1); what
 * they have says that a limit was exceeded. */
static uint8_t code_of(uint8_t reason)
{
    return reason == NJ_RC_PACKET_TOO_LARGE ? NJ_RC_QUOTA_EXCEEDED : reason;
}

/* With a text, where one is to be said and the peer takes a packet of that size. */
static void send_refusal(struct nj_link *link, enum nj_hold_kind kind, uint16_t packet_id,
                         uint8_t reason)
{
    char buf[NJ_EXPLAIN_MAX];
    uint8_t props[NJ_EXPLAIN_MAX + 3];
    uint32_t limit = reason == NJ_RC_PACKET_TOO_LARGE ? link->shard->limits->max_payload : 0;
    struct nj_mqtt_ack ack = {.packet_id = packet_id, .code = code_of(reason)};
    struct nj_bytes text = nj_explain(link, (enum nj_mqtt_reason)reason, limit, buf);
    if (text.len) {
        uint8_t *end = nj_mqtt_prop_put_bytes(props, NJ_PROP_REASON_STRING, text);
        ack.props = nj_bytes(props, (size_t)(end - props));
    }
    size_t len = nj_mqtt_ack_size(&ack, link->version);
    if (!nj_link_takes(link, len)) {
        ack.props.len = 0;
        len = nj_mqtt_ack_size(&ack, link->version);
    }
    uint8_t *at = room_for(link, kind, len);
    if (at) {
        (void)nj_mqtt_ack_encode(&ack, type_of(kind), link->version, at);
    }
}

void nj_ack_send(struct nj_link *link, enum nj_hold_kind kind, uint16_t packet_id, uint8_t reason)
{
    bool has_reason = reason != 0 && link->version == NJ_MQTT_5;
    if (NJ_UNLIKELY(has_reason && reason >= NJ_RC_UNSPECIFIED)) {
        send_refusal(link, kind, packet_id, reason);
        return;
    }
    size_t len = has_reason ? 5 : 4;
    uint8_t *at = room_for(link, kind, len);
    if (!at) {
        return;
    }
    at[0] = first_byte(kind);
    at[1] = (uint8_t)(len - 2);
    at[2] = (uint8_t)(packet_id >> 8);
    at[3] = (uint8_t)packet_id;
    if (has_reason) {
        at[4] = reason;
    }
}

static void close_link(struct nj_link *link, enum nj_err err)
{
    link->shard->core->link_ops->close(link, NJ_RC_QUOTA_EXCEEDED,
                                       err == NJ_ENOMEM ? "out of memory"
                                                        : "the store refused the message");
}

void nj_ack_send_failure(struct nj_link *link, const struct nj_hold *hold)
{
    bool can_say = link->version == NJ_MQTT_5 &&
                   (hold->kind == NJ_HOLD_PUBACK || hold->kind == NJ_HOLD_PUBREC);
    if (can_say) {
        nj_ack_send(link, hold->kind, hold->packet_id, NJ_RC_QUOTA_EXCEEDED);
        return;
    }
    if (hold->kind == NJ_HOLD_CONNACK) {
        link->shard->core->link_ops->refuse(link, NJ_RC_SERVER_UNAVAILABLE,
                                            "the store refused the session");
        return;
    }
    close_link(link, (enum nj_err)hold->err);
}

uint16_t nj_ack_frame_packet_id(const uint8_t *frame)
{
    size_t at = 1;
    while (frame[at++] & 0x80) {
    }
    return (uint16_t)(frame[at] << 8 | frame[at + 1]);
}
