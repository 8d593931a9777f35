/* See unsubscribe.h. */
#include "mqtt/unsubscribe.h"

#include "mqtt/frame.h"
#include "mqtt/subscribe_priv.h"
#include "mqtt/utf8.h"
#include "mqtt/writer.h"

enum nj_err nj_mqtt_unsubscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                       struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    enum nj_err err =
        nj_mqtt_read_subscribe_head(&reader, NJ_MQTT_UNSUBSCRIBE, version, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    while (nj_mqtt_left(&reader)) {
        struct nj_bytes filter = nj_mqtt_read_lv(&reader);
        if (reader.is_short || !nj_mqtt_utf8_is_valid(filter)) {
            return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
        }
        out->count++;
    }
    return NJ_OK;
}

bool nj_mqtt_unsubscribe_next(struct nj_bytes *rest, struct nj_bytes *filter)
{
    if (rest->len == 0) {
        return false;
    }
    struct nj_mqtt_reader reader = nj_mqtt_reader(*rest);
    *filter = nj_mqtt_read_lv(&reader);
    *rest = nj_bytes(reader.at, nj_mqtt_left(&reader));
    return true;
}

/* ---- encoding */

/* 0 = cannot be expressed. */
static size_t body_size(const struct nj_mqtt_unsubscribe_fields *fields,
                        enum nj_mqtt_version version)
{
    size_t size = 2;
    if (version == NJ_MQTT_5) {
        size_t props = nj_mqtt_props_size(fields->props);
        if (!props) {
            return 0;
        }
        size += props;
    }
    for (size_t i = 0; i < fields->count; i++) {
        if (fields->filters[i].len > NJ_MQTT_TEXT_MAX) {
            return 0;
        }
        size += 2 + fields->filters[i].len;
    }
    return size;
}

size_t nj_mqtt_unsubscribe_size(const struct nj_mqtt_unsubscribe_fields *fields,
                                enum nj_mqtt_version version)
{
    size_t body = body_size(fields, version);
    return body ? nj_mqtt_frame_size(body) : 0;
}

uint8_t *nj_mqtt_unsubscribe_encode(const struct nj_mqtt_unsubscribe_fields *fields,
                                    enum nj_mqtt_version version, uint8_t *at)
{
    at = nj_mqtt_frame_put(at, NJ_MQTT_UNSUBSCRIBE, 2, body_size(fields, version));
    at = nj_mqtt_put_u16(at, fields->packet_id);
    if (version == NJ_MQTT_5) {
        at = nj_mqtt_props_encode(fields->props, at);
    }
    for (size_t i = 0; i < fields->count; i++) {
        at = nj_mqtt_put_lv(at, fields->filters[i]);
    }
    return at;
}
