/* What the decoders of the packets share. */
#ifndef NJ_MQTT_PACKET_PRIV_H
#define NJ_MQTT_PACKET_PRIV_H

#include "base/err.h"
#include "mqtt/props.h"
#include "mqtt/reader.h"
#include "mqtt/types.h"

/* Tells *reason, and gives the error that goes with it. */
static inline enum nj_err nj_mqtt_fail(enum nj_mqtt_reason *reason, enum nj_mqtt_reason why)
{
    *reason = why;
    return why == NJ_RC_MALFORMED_PACKET ? NJ_EMALFORMED : NJ_EPROTOCOL;
}

static inline enum nj_err nj_mqtt_read_props(struct nj_mqtt_reader *reader, unsigned type,
                                             struct nj_mqtt_props *props,
                                             enum nj_mqtt_reason *reason)
{
    enum nj_err err = nj_mqtt_props_decode(reader, type, props);
    if (NJ_LIKELY(err == NJ_OK)) {
        return NJ_OK;
    }
    return nj_mqtt_fail(reason,
                        err == NJ_EMALFORMED ? NJ_RC_MALFORMED_PACKET : NJ_RC_PROTOCOL_ERROR);
}

/* Whether a code stands in a list of bytes. */
#define NJ_MQTT_CODE_IN(list, code) (memchr((list), (code), sizeof(list)) != NULL)

#endif
