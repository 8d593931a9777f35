/* See subscribe.h. */
#include "mqtt/subscribe.h"

#include "mqtt/frame.h"
#include "mqtt/subscribe_priv.h"
#include "mqtt/topic.h"
#include "mqtt/utf8.h"
#include "mqtt/writer.h"

#define OPTION_NO_LOCAL            4
#define OPTION_RETAIN_AS_PUBLISHED 8
#define OPTIONS_RESERVED           0xc0

static uint8_t read_filter(struct nj_mqtt_reader *reader, struct nj_mqtt_filter *out)
{
    out->filter = nj_mqtt_read_lv(reader);
    uint8_t options = nj_mqtt_read_u8(reader);
    out->qos = options & 3;
    out->is_no_local = (options & OPTION_NO_LOCAL) != 0;
    out->is_retain_as_published = (options & OPTION_RETAIN_AS_PUBLISHED) != 0;
    out->retain_handling = (options >> 4) & 3;
    return options;
}

enum nj_err nj_mqtt_subscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                     struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    enum nj_err err = nj_mqtt_read_subscribe_head(&reader, NJ_MQTT_SUBSCRIBE, version, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    /* Before MQTT 5, all but the QoS was reserved. */
    uint8_t reserved = version == NJ_MQTT_5 ? OPTIONS_RESERVED : (uint8_t)~3;
    while (nj_mqtt_left(&reader)) {
        struct nj_mqtt_filter filter;
        uint8_t options = read_filter(&reader, &filter);
        if (reader.is_short || (options & reserved) || filter.qos == 3 ||
            !nj_mqtt_utf8_is_valid(filter.filter)) {
            return nj_mqtt_fail(reason, NJ_RC_MALFORMED_PACKET);
        }
        if (filter.retain_handling == 3) { /* MQTT5 3.8.3.1 */
            return nj_mqtt_fail(reason, NJ_RC_PROTOCOL_ERROR);
        }
        out->count++;
    }
    return NJ_OK;
}

bool nj_mqtt_subscribe_next(struct nj_bytes *rest, struct nj_mqtt_filter *out)
{
    if (rest->len == 0) {
        return false;
    }
    struct nj_mqtt_reader reader = nj_mqtt_reader(*rest);
    (void)read_filter(&reader, out);
    *rest = nj_bytes(reader.at, nj_mqtt_left(&reader));
    return true;
}

/* ---- encoding */

/* 0 = cannot be expressed. */
static size_t body_size(const struct nj_mqtt_subscribe_fields *fields, enum nj_mqtt_version version)
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
        size_t len = fields->filters[i].filter.len;
        if (len > NJ_MQTT_TEXT_MAX) {
            return 0;
        }
        size += 3 + len;
    }
    return size;
}

size_t nj_mqtt_subscribe_size(const struct nj_mqtt_subscribe_fields *fields,
                              enum nj_mqtt_version version)
{
    size_t body = body_size(fields, version);
    return body ? nj_mqtt_frame_size(body) : 0;
}

static uint8_t filter_options(const struct nj_mqtt_filter *filter, enum nj_mqtt_version version)
{
    if (version != NJ_MQTT_5) {
        return filter->qos;
    }
    return (uint8_t)(filter->qos | (filter->is_no_local ? OPTION_NO_LOCAL : 0) |
                     (filter->is_retain_as_published ? OPTION_RETAIN_AS_PUBLISHED : 0) |
                     filter->retain_handling << 4);
}

uint8_t *nj_mqtt_subscribe_encode(const struct nj_mqtt_subscribe_fields *fields,
                                  enum nj_mqtt_version version, uint8_t *at)
{
    at = nj_mqtt_frame_put(at, NJ_MQTT_SUBSCRIBE, 2, body_size(fields, version));
    at = nj_mqtt_put_u16(at, fields->packet_id);
    if (version == NJ_MQTT_5) {
        at = nj_mqtt_props_encode(fields->props, at);
    }
    for (size_t i = 0; i < fields->count; i++) {
        at = nj_mqtt_put_lv(at, fields->filters[i].filter);
        at = nj_mqtt_put_u8(at, filter_options(&fields->filters[i], version));
    }
    return at;
}
