/* What SUBSCRIBE and UNSUBSCRIBE share: packet id, properties, then filters. */
#ifndef NJ_MQTT_SUBSCRIBE_PRIV_H
#define NJ_MQTT_SUBSCRIBE_PRIV_H

#include "mqtt/packet_priv.h"
#include "mqtt/subscribe.h"

/* Fills all but `count` and leaves the reader at the first filter; there is at least one byte. */
static inline enum nj_err nj_mqtt_read_subscribe_head(struct nj_mqtt_reader *reader,
                                                      enum nj_mqtt_type type,
                                                      enum nj_mqtt_version version,
                                                      struct nj_mqtt_subscribe *out,
                                                      enum nj_mqtt_reason *reason)
{
    *out = (struct nj_mqtt_subscribe){.packet_id = nj_mqtt_read_u16(reader)};
    if (reader->is_short) {
        return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (version == NJ_MQTT_5) {
        enum nj_err err = nj_mqtt_read_props(reader, type, &out->props, reason);
        if (err != NJ_OK) {
            return err;
        }
        out->subscription_id = out->props.subscription_ids[0];
    }
    out->filters = nj_bytes(reader->at, nj_mqtt_left(reader));
    if (out->packet_id == 0 || out->filters.len == 0) {
        return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return NJ_OK;
}

#endif
