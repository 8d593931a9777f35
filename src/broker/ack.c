/* See ack.h. */
#include "broker/ack.h"

#include "broker/link.h"
#include "broker/shard.h"
#include "mqtt/types.h"

static uint8_t first_byte(enum nj_hold_kind kind)
{
    switch (kind) {
    case NJ_HOLD_PUBACK:
        return NJ_MQTT_PUBACK << 4;
    case NJ_HOLD_PUBREC:
        return NJ_MQTT_PUBREC << 4;
    case NJ_HOLD_PUBREL:
        return NJ_MQTT_PUBREL << 4 | 2;
    default:
        return NJ_MQTT_PUBCOMP << 4;
    }
}

void nj_ack_send(struct nj_link *link, enum nj_hold_kind kind, uint16_t packet_id, uint8_t reason)
{
    bool has_reason = reason != 0 && link->version == NJ_MQTT_5;
    size_t len = has_reason ? 5 : 4;
    if (NJ_UNLIKELY(!nj_link_takes(link, len))) {
        NJ_STAT_ADD(link->shard, dropped_too_large, 1);
        return;
    }
    /* Answers to a publisher may wait for the end of the turn; PUBREL drives a delivery on. */
    uint8_t *at = kind == NJ_HOLD_PUBREL ? nj_link_frame(link, len) : nj_link_frame_late(link, len);
    if (!at) {
        nj_link_fail_memory(link);
        return;
    }
    at[0] = first_byte(kind);
    at[1] = (uint8_t)(len - 2);
    at[2] = (uint8_t)(packet_id >> 8);
    at[3] = (uint8_t)packet_id;
    if (has_reason) {
        at[4] = reason;
    }
    NJ_STAT_ADD(link->shard, messages_sent, 1);
}

static void close_link(struct nj_link *link)
{
    link->shard->core->link_ops->close(link, NJ_RC_QUOTA_EXCEEDED, "the store refused the message");
}

void nj_ack_send_failure(struct nj_link *link, const struct nj_hold *hold)
{
    bool can_say = link->version == NJ_MQTT_5 &&
                   (hold->kind == NJ_HOLD_PUBACK || hold->kind == NJ_HOLD_PUBREC);
    if (can_say) {
        nj_ack_send(link, hold->kind, hold->packet_id, NJ_RC_QUOTA_EXCEEDED);
        return;
    }
    close_link(link);
}

uint16_t nj_ack_frame_packet_id(const uint8_t *frame)
{
    size_t at = 1;
    while (frame[at++] & 0x80) {
    }
    return (uint16_t)(frame[at] << 8 | frame[at + 1]);
}
