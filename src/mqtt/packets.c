/* All client packets but CONNECT. See packets.h. */
#include "mqtt/packets.h"

#include "mqtt/utf8.h"

#define PUBLISH_DUP    8
#define PUBLISH_RETAIN 1

static enum nj_err fail(enum nj_mqtt_reason *reason, enum nj_mqtt_reason why)
{
    *reason = why;
    return why == NJ_RC_MALFORMED_PACKET ? NJ_EMALFORMED : NJ_EPROTOCOL;
}

static enum nj_err read_props(struct nj_mqtt_reader *reader, enum nj_mqtt_type type,
                              struct nj_mqtt_props *props, enum nj_mqtt_reason *reason)
{
    enum nj_err err = nj_mqtt_props_decode(reader, type, props);
    if (err == NJ_OK) {
        return NJ_OK;
    }
    return fail(reason, err == NJ_EMALFORMED ? NJ_RC_MALFORMED_PACKET : NJ_RC_PROTOCOL_ERROR);
}

/* ---- PUBLISH */

static enum nj_err check_publish_props(const struct nj_mqtt_publish *out,
                                       enum nj_mqtt_reason *reason)
{
    const struct nj_mqtt_props *props = &out->props;
    if (nj_mqtt_props_has(props, NJ_PROP_SUBSCRIPTION_ID)) {
        return fail(reason, NJ_RC_PROTOCOL_ERROR); /* MQTT5 3.3.4: only servers send them */
    }
    if (nj_mqtt_props_has(props, NJ_PROP_TOPIC_ALIAS) && props->topic_alias == 0) {
        return fail(reason, NJ_RC_TOPIC_ALIAS_INVALID);
    }
    struct nj_bytes response = props->response_topic;
    if (nj_mqtt_props_has(props, NJ_PROP_RESPONSE_TOPIC) &&
        (response.len == 0 || memchr(response.ptr, '+', response.len) ||
         memchr(response.ptr, '#', response.len))) {
        return fail(reason, NJ_RC_PROTOCOL_ERROR); /* MQTT5 3.3.2.3.5 */
    }
    return NJ_OK;
}

enum nj_err nj_mqtt_publish_decode(struct nj_bytes body, uint8_t flags,
                                   enum nj_mqtt_version version, struct nj_mqtt_publish *out,
                                   enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    out->qos = (flags >> 1) & 3;
    out->is_dup = (flags & PUBLISH_DUP) != 0;
    out->is_retain = (flags & PUBLISH_RETAIN) != 0;
    out->packet_id = 0;
    if (out->qos == 3 || (out->qos == 0 && out->is_dup)) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    out->topic = nj_mqtt_read_lv(&reader);
    if (out->qos) {
        out->packet_id = nj_mqtt_read_u16(&reader);
    }
    if (reader.is_short || !nj_mqtt_utf8_is_valid(out->topic)) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (out->qos && out->packet_id == 0) {
        return fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    if (version == NJ_MQTT_5) {
        enum nj_err err = read_props(&reader, NJ_MQTT_PUBLISH, &out->props, reason);
        if (err == NJ_OK) {
            err = check_publish_props(out, reason);
        }
        if (err != NJ_OK) {
            return err;
        }
    }
    out->payload = nj_bytes(reader.at, nj_mqtt_left(&reader));
    if (version == NJ_MQTT_5 && out->props.payload_format == 1 &&
        !nj_mqtt_utf8_is_valid(out->payload)) {
        return fail(reason, NJ_RC_PAYLOAD_FORMAT_INVALID);
    }
    return NJ_OK;
}

/* ---- acknowledgements */

static bool ack_code_is_known(enum nj_mqtt_type type, uint8_t code)
{
    if (type == NJ_MQTT_PUBREL || type == NJ_MQTT_PUBCOMP) {
        return code == NJ_RC_SUCCESS || code == NJ_RC_PACKET_ID_NOT_FOUND;
    }
    switch (code) {
    case NJ_RC_SUCCESS:
    case NJ_RC_NO_MATCHING_SUBSCRIBERS:
    case NJ_RC_UNSPECIFIED:
    case NJ_RC_IMPLEMENTATION_SPECIFIC:
    case NJ_RC_NOT_AUTHORIZED:
    case NJ_RC_TOPIC_NAME_INVALID:
    case NJ_RC_PACKET_ID_IN_USE:
    case NJ_RC_QUOTA_EXCEEDED:
    case NJ_RC_PAYLOAD_FORMAT_INVALID:
        return true;
    default:
        return false;
    }
}

enum nj_err nj_mqtt_ack_decode(struct nj_bytes body, enum nj_mqtt_type type,
                               enum nj_mqtt_version version, struct nj_mqtt_ack *out,
                               enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    struct nj_mqtt_props props;
    out->packet_id = nj_mqtt_read_u16(&reader);
    out->code = 0;
    if (reader.is_short) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (version == NJ_MQTT_5 && nj_mqtt_left(&reader)) {
        out->code = nj_mqtt_read_u8(&reader);
        if (nj_mqtt_left(&reader)) {
            enum nj_err err = read_props(&reader, type, &props, reason);
            if (err != NJ_OK) {
                return err;
            }
        }
    }
    if (nj_mqtt_left(&reader)) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (out->packet_id == 0 || !ack_code_is_known(type, out->code)) {
        return fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return NJ_OK;
}

/* ---- SUBSCRIBE, UNSUBSCRIBE */

static enum nj_err read_subscribe_head(struct nj_mqtt_reader *reader, enum nj_mqtt_type type,
                                       enum nj_mqtt_version version, struct nj_mqtt_subscribe *out,
                                       enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_props props = {0};
    *out = (struct nj_mqtt_subscribe){.packet_id = nj_mqtt_read_u16(reader)};
    if (reader->is_short) {
        return fail(reason, NJ_RC_MALFORMED_PACKET);
    }
    if (version == NJ_MQTT_5) {
        enum nj_err err = read_props(reader, type, &props, reason);
        if (err != NJ_OK) {
            return err;
        }
        out->subscription_id = props.subscription_id_count ? props.subscription_ids[0] : 0;
    }
    if (out->packet_id == 0 || nj_mqtt_left(reader) == 0) {
        return fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    out->filters = nj_bytes(reader->at, nj_mqtt_left(reader));
    return NJ_OK;
}

static bool read_filter(struct nj_mqtt_reader *reader, struct nj_mqtt_filter *out)
{
    out->filter = nj_mqtt_read_lv(reader);
    uint8_t options = nj_mqtt_read_u8(reader);
    out->qos = options & 3;
    out->is_no_local = (options & 4) != 0;
    out->is_retain_as_published = (options & 8) != 0;
    out->retain_handling = (options >> 4) & 3;
    return !reader->is_short && (options & 0xc0) == 0;
}

enum nj_err nj_mqtt_subscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                     struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    enum nj_err err = read_subscribe_head(&reader, NJ_MQTT_SUBSCRIBE, version, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    while (nj_mqtt_left(&reader)) {
        struct nj_mqtt_filter filter;
        bool is_read = read_filter(&reader, &filter);
        bool has_new_options =
            filter.is_no_local || filter.is_retain_as_published || filter.retain_handling;
        if (!is_read || !nj_mqtt_utf8_is_valid(filter.filter) || filter.qos == 3 ||
            (has_new_options && version != NJ_MQTT_5)) {
            return fail(reason, NJ_RC_MALFORMED_PACKET);
        }
        if (filter.retain_handling == 3) {
            return fail(reason, NJ_RC_PROTOCOL_ERROR);
        }
        if (filter.is_no_local && nj_bytes_starts_with(filter.filter, NJ_BYTES_LIT("$share/"))) {
            return fail(reason, NJ_RC_PROTOCOL_ERROR); /* MQTT5 3.8.3.1 */
        }
        out->count++;
    }
    return NJ_OK;
}

enum nj_err nj_mqtt_unsubscribe_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                       struct nj_mqtt_subscribe *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    enum nj_err err = read_subscribe_head(&reader, NJ_MQTT_UNSUBSCRIBE, version, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    while (nj_mqtt_left(&reader)) {
        struct nj_bytes filter = nj_mqtt_read_lv(&reader);
        if (reader.is_short || !nj_mqtt_utf8_is_valid(filter)) {
            return fail(reason, NJ_RC_MALFORMED_PACKET);
        }
        out->count++;
    }
    return NJ_OK;
}

bool nj_mqtt_subscribe_next(struct nj_bytes *rest, struct nj_mqtt_filter *out)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(*rest);
    if (rest->len == 0) {
        return false;
    }
    (void)read_filter(&reader, out);
    *rest = nj_bytes(reader.at, nj_mqtt_left(&reader));
    return true;
}

bool nj_mqtt_unsubscribe_next(struct nj_bytes *rest, struct nj_bytes *filter)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(*rest);
    if (rest->len == 0) {
        return false;
    }
    *filter = nj_mqtt_read_lv(&reader);
    *rest = nj_bytes(reader.at, nj_mqtt_left(&reader));
    return true;
}

/* ---- DISCONNECT, AUTH */

static enum nj_err read_coded(struct nj_bytes body, enum nj_mqtt_type type,
                              struct nj_mqtt_coded *out, enum nj_mqtt_reason *reason)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(body);
    *out = (struct nj_mqtt_coded){0};
    if (nj_mqtt_left(&reader)) {
        out->code = nj_mqtt_read_u8(&reader);
    }
    if (nj_mqtt_left(&reader)) {
        enum nj_err err = read_props(&reader, type, &out->props, reason);
        if (err != NJ_OK) {
            return err;
        }
    }
    return nj_mqtt_left(&reader) ? fail(reason, NJ_RC_MALFORMED_PACKET) : NJ_OK;
}

/* What a client may say (MQTT5 table 3-10). */
static bool disconnect_code_is_known(uint8_t code)
{
    switch (code) {
    case NJ_RC_SUCCESS:
    case NJ_RC_DISCONNECT_WITH_WILL:
    case NJ_RC_UNSPECIFIED:
    case NJ_RC_MALFORMED_PACKET:
    case NJ_RC_PROTOCOL_ERROR:
    case NJ_RC_IMPLEMENTATION_SPECIFIC:
    case NJ_RC_TOPIC_NAME_INVALID:
    case NJ_RC_RECEIVE_MAXIMUM_EXCEEDED:
    case NJ_RC_TOPIC_ALIAS_INVALID:
    case NJ_RC_PACKET_TOO_LARGE:
    case NJ_RC_MESSAGE_RATE_TOO_HIGH:
    case NJ_RC_QUOTA_EXCEEDED:
    case NJ_RC_ADMINISTRATIVE_ACTION:
    case NJ_RC_PAYLOAD_FORMAT_INVALID:
        return true;
    default:
        return false;
    }
}

enum nj_err nj_mqtt_disconnect_decode(struct nj_bytes body, enum nj_mqtt_version version,
                                      struct nj_mqtt_coded *out, enum nj_mqtt_reason *reason)
{
    if (version != NJ_MQTT_5) {
        *out = (struct nj_mqtt_coded){0};
        return body.len ? fail(reason, NJ_RC_MALFORMED_PACKET) : NJ_OK;
    }
    enum nj_err err = read_coded(body, NJ_MQTT_DISCONNECT, out, reason);
    if (err == NJ_OK && !disconnect_code_is_known(out->code)) {
        return fail(reason, NJ_RC_PROTOCOL_ERROR);
    }
    return err;
}

enum nj_err nj_mqtt_auth_decode(struct nj_bytes body, struct nj_mqtt_coded *out,
                                enum nj_mqtt_reason *reason)
{
    enum nj_err err = read_coded(body, NJ_MQTT_AUTH, out, reason);
    if (err != NJ_OK) {
        return err;
    }
    bool is_known = out->code == NJ_RC_SUCCESS || out->code == NJ_RC_CONTINUE_AUTHENTICATION ||
                    out->code == NJ_RC_REAUTHENTICATE;
    return is_known ? NJ_OK : fail(reason, NJ_RC_PROTOCOL_ERROR);
}
