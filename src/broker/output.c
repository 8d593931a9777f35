/* See output.h. */
#include "broker/output.h"

#include "base/mem.h"
#include "broker/commit.h"
#include "broker/denial.h"
#include "broker/link.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "mqtt/props.h"
#include "mqtt/publish.h"

/* Copying a small payload is cheaper than one more vector and a reference count; measured in
 * docs/performance.md. */
#define COPY_MAX 1024u
/* With a single receiver even this is: nothing has to be kept then. */
#define COPY_SINGLE_MAX 16384u

/* ---- topic aliases (MQTT5 3.3.2.3.4): the first topics of a connection get one, for good */

static struct nj_alias_out *demand_aliases(struct nj_link *link)
{
    if (!link->alias_out) {
        uint16_t max = link->alias_out_max;
        link->alias_out =
            nj_try_zalloc(sizeof(*link->alias_out) + max * sizeof(link->alias_out->entry[0]));
        if (link->alias_out) {
            link->alias_out->max = max;
        }
    }
    return link->alias_out;
}

/* Number of the alias; 0 = none. *is_known: the topic may be left out. */
static uint16_t find_alias(struct nj_link *link, struct nj_bytes topic, bool *is_known)
{
    struct nj_alias_out *aliases = demand_aliases(link);
    *is_known = false;
    if (!aliases) {
        return 0;
    }
    for (uint16_t i = 0; i < aliases->count; i++) {
        if (aliases->entry[i].len == topic.len &&
            memcmp(aliases->entry[i].topic, topic.ptr, topic.len) == 0) {
            *is_known = aliases->entry[i].is_known;
            return (uint16_t)(i + 1);
        }
    }
    char *copy = aliases->count < aliases->max ? nj_try_bytes_dup(topic) : NULL;
    if (!copy) {
        return 0;
    }
    aliases->entry[aliases->count].topic = copy;
    aliases->entry[aliases->count].len = (uint32_t)topic.len;
    return ++aliases->count;
}

/* ---- frames */

/* A session that comes back through another listener may have subscriptions from outside this mount
 * point: their topics have no name on this connection. */
static bool is_below_mount(const struct nj_link *link, struct nj_bytes topic)
{
    return topic.len > link->mount_point.len && nj_bytes_starts_with(topic, link->mount_point);
}

static void describe(const struct nj_link *link, const struct nj_publication *publication,
                     const struct nj_delivery *delivery, struct nj_mqtt_publish_fields *out)
{
    const struct nj_message_view *view = &publication->view;
    *out = (struct nj_mqtt_publish_fields){
        .topic = view->topic,
        .props = view->props,
        .payload = view->payload,
        .subscription_ids = &delivery->sub_id,
        .subscription_id_count = delivery->sub_id ? 1 : 0,
        .qos = delivery->qos,
        .is_retain = delivery->is_retain,
        .is_dup = delivery->was_sent,
        .version = link->version,
    };
    if (link->mount_point.len) {
        out->topic.ptr += link->mount_point.len;
        out->topic.len -= link->mount_point.len;
    }
    if (view->expires_ms) {
        uint64_t now = link->shard->now_ms;
        out->has_message_expiry = true;
        out->message_expiry_s =
            view->expires_ms > now ? (uint32_t)((view->expires_ms - now + 999) / 1000) : 0;
    }
}

/* One number for everything that shapes a frame besides the publication. Never 0. */
static uint64_t shape_key(const struct nj_link *link, const struct nj_delivery *delivery)
{
    bool is_v5 = link->version == NJ_MQTT_5;
    return 1ull << 63 | (uint64_t)is_v5 << 40 | (uint64_t)delivery->was_sent << 39 |
           (uint64_t)delivery->is_retain << 38 | (uint64_t)delivery->qos << 36 |
           (is_v5 ? delivery->sub_id : 0);
}

static void encode(const struct nj_mqtt_publish_fields *out,
                   const struct nj_mqtt_publish_layout *layout, bool with_payload, uint8_t *at)
{
    if (with_payload) {
        (void)nj_mqtt_publish_encode(out, layout, at);
    } else {
        (void)nj_mqtt_publish_encode_header(out, layout, at);
    }
}

/* The encoded frame (without a large payload) in shard->frame_buf. */
static bool encode_shared(struct nj_link *link, struct nj_publication *publication,
                          const struct nj_delivery *delivery, bool with_payload)
{
    struct nj_shard *shard = link->shard;
    struct nj_mqtt_publish_fields out;
    describe(link, publication, delivery, &out);
    struct nj_mqtt_publish_layout layout = nj_mqtt_publish_size(&out);
    uint32_t len = with_payload ? layout.total_len : layout.header_len;
    shard->frame_buf.len = 0;
    if (nj_buf_reserve(&shard->frame_buf, len) != NJ_OK) {
        return false;
    }
    if (layout.total_len) {
        encode(&out, &layout, with_payload, shard->frame_buf.data);
    }
    publication->frame_len = len;
    publication->frame_total = layout.total_len;
    publication->frame_id_at = layout.packet_id_at;
    return true;
}

static void count_sent(struct nj_link *link, const struct nj_publication *publication)
{
    struct nj_shard *shard = link->shard;
    link->traffic.published_out++;
    NJ_STAT_ADD(shard, messages_sent, 1);
    NJ_STAT_ADD(shard, publish_sent, 1);
    NJ_STAT_ADD(shard, publish_bytes_sent, publication->view.payload.len);
}

static enum nj_output_result too_large(struct nj_link *link)
{
    NJ_STAT_ADD(link->shard, dropped_too_large, 1);
    NJ_STAT_ADD(link->shard, publish_dropped, 1);
    link->traffic.dropped++;
    return NJ_OUTPUT_TOO_LARGE;
}

/* Room for a frame of `len` bytes; a payload that will not be copied into it has its memory before
 * the frame is begun. */
static uint8_t *begin_frame(struct nj_link *link, struct nj_publication *publication, uint32_t len,
                            bool with_payload)
{
    bool is_prepared = with_payload || (nj_publication_keep(publication) &&
                                        nj_out_prepare(&link->shard->chunks) == NJ_OK);
    return is_prepared ? nj_link_frame(link, len) : NULL;
}

static enum nj_output_result finish_frame(struct nj_link *link, struct nj_publication *publication,
                                          bool with_payload)
{
    if (!with_payload) {
        nj_out_reference(&link->shard->chunks, &link->out, publication->kept,
                         nj_message_view(publication->kept).payload);
    }
    count_sent(link, publication);
    return NJ_OUTPUT_SENT;
}

static bool is_too_large(const struct nj_link *link, uint32_t total)
{
    /* 0: the frame cannot be expressed at all. */
    return total == 0 || total > NJ_FRAME_MAX ||
           (link->max_packet_out && total > link->max_packet_out);
}

/* With a topic alias every connection has its own frame. */
static enum nj_output_result publish_aliased(struct nj_link *link,
                                             struct nj_publication *publication,
                                             const struct nj_delivery *delivery, uint16_t packet_id,
                                             bool with_payload)
{
    struct nj_mqtt_publish_fields out;
    bool is_known;
    describe(link, publication, delivery, &out);
    out.topic_alias = find_alias(link, out.topic, &is_known);
    if (is_known) {
        out.topic.len = 0;
    }
    struct nj_mqtt_publish_layout layout = nj_mqtt_publish_size(&out);
    if (is_too_large(link, layout.total_len)) {
        return too_large(link);
    }
    uint32_t len = with_payload ? layout.total_len : layout.header_len;
    uint8_t *at = begin_frame(link, publication, len, with_payload);
    if (!at) {
        return NJ_OUTPUT_NO_MEMORY;
    }
    encode(&out, &layout, with_payload, at);
    if (layout.packet_id_at) {
        nj_mqtt_publish_set_packet_id(at, layout.packet_id_at, packet_id);
    }
    if (out.topic_alias) {
        link->alias_out->entry[out.topic_alias - 1].is_known = true;
    }
    return finish_frame(link, publication, with_payload);
}

enum nj_output_result nj_output_publish(struct nj_link *link, struct nj_publication *publication,
                                        const struct nj_delivery *delivery, uint16_t packet_id)
{
    size_t payload_len = publication->view.payload.len;
    bool with_payload = payload_len <= COPY_MAX || (publication->is_single && !publication->kept &&
                                                    payload_len <= COPY_SINGLE_MAX);
    if (NJ_UNLIKELY(link->mount_point.len) && !is_below_mount(link, publication->view.topic)) {
        NJ_STAT_ADD(link->shard, publish_dropped, 1);
        link->traffic.dropped++;
        return NJ_OUTPUT_TOO_LARGE;
    }
    if (link->alias_out_max) {
        return publish_aliased(link, publication, delivery, packet_id, with_payload);
    }
    uint64_t key = shape_key(link, delivery) | (uint64_t)(link->mount_point.len > 0) << 41;
    if (publication->frame_key != key || link->mount_point.len) {
        if (!encode_shared(link, publication, delivery, with_payload)) {
            return NJ_OUTPUT_NO_MEMORY;
        }
        publication->frame_key = key;
    }
    if (NJ_UNLIKELY(is_too_large(link, publication->frame_total))) {
        return too_large(link);
    }
    with_payload = publication->frame_len == publication->frame_total;
    uint8_t *at = begin_frame(link, publication, publication->frame_len, with_payload);
    if (!at) {
        return NJ_OUTPUT_NO_MEMORY;
    }
    memcpy(at, link->shard->frame_buf.data, publication->frame_len);
    if (publication->frame_id_at) {
        at[publication->frame_id_at] = (uint8_t)(packet_id >> 8);
        at[publication->frame_id_at + 1] = (uint8_t)packet_id;
    }
    return finish_frame(link, publication, with_payload);
}

/* ---- after a change of rights */

struct recheck {
    struct nj_link *link;
    struct nj_session *session;
};

/* The topic alias of a frame of ours, whose encoder puts it first; `props` begins at the property
 * length. 0 = none. */
static uint16_t leading_alias(struct nj_bytes props)
{
    size_t at = 0;
    while (at < props.len && props.ptr[at++] & 0x80) {
    }
    return at + 3 <= props.len && props.ptr[at] == NJ_PROP_TOPIC_ALIAS
               ? (uint16_t)(props.ptr[at + 1] << 8 | props.ptr[at + 2])
               : 0;
}

/* The frame's topic: in it, or behind its alias. Empty when it is no PUBLISH. */
static struct nj_bytes frame_topic(struct nj_link *link, struct nj_bytes header, uint16_t *id)
{
    struct nj_bytes topic = nj_bytes(NULL, 0);
    *id = 0;
    if (header.ptr[0] >> 4 != NJ_MQTT_PUBLISH) {
        return topic;
    }
    size_t at = 1;
    while (header.ptr[at++] & 0x80) {
    }
    topic = nj_bytes(header.ptr + at + 2, (size_t)header.ptr[at] << 8 | header.ptr[at + 1]);
    at += 2 + topic.len;
    if (header.ptr[0] & 0x06) {
        *id = (uint16_t)(header.ptr[at] << 8 | header.ptr[at + 1]);
        at += 2;
    }
    if (topic.len == 0 && link->alias_out) {
        uint16_t alias = leading_alias(nj_bytes(header.ptr + at, header.len - at));
        if (alias && alias <= link->alias_out->count) {
            topic = nj_bytes(link->alias_out->entry[alias - 1].topic,
                             link->alias_out->entry[alias - 1].len);
        }
    }
    return topic;
}

static bool still_allowed(void *arg, struct nj_bytes header)
{
    struct recheck *recheck = arg;
    struct nj_link *link = recheck->link;
    struct nj_session *session = recheck->session;
    uint16_t id;
    struct nj_bytes topic = frame_topic(link, header, &id);
    if (!topic.ptr) {
        return true;
    }
    struct nj_bytes full = topic;
    if (nj_shard_mounted(session->shard, link->mount_point, &full) != NJ_OK) {
        return false; /* rather a lost message than a forbidden one */
    }
    struct nj_verdict verdict;
    nj_authz(session->shard->policy, &session->subject, NJ_ACTION_DELIVER, full, &verdict);
    if (verdict.allowed) {
        return true;
    }
    nj_session_denied(session, NJ_ACTION_DELIVER, full, &verdict);
    struct nj_flight *flight = id && session->flow ? nj_flow_find(session->flow, id) : NULL;
    if (flight && flight->state != NJ_FLIGHT_WAIT_PUBCOMP) {
        nj_deliver_take_back(session, flight);
    }
    /* All frames of the topic go, so the alias is told anew if it is ever allowed again. */
    for (uint16_t i = 0; link->alias_out && i < link->alias_out->count; i++) {
        if (nj_bytes_equal(nj_bytes(link->alias_out->entry[i].topic, link->alias_out->entry[i].len),
                           topic)) {
            link->alias_out->entry[i].is_known = false;
        }
    }
    return false;
}

void nj_output_recheck(struct nj_link *link, size_t committed)
{
    if (!link->session || !link->out.pending) {
        return;
    }
    struct recheck recheck = {.link = link, .session = link->session};
    nj_out_filter(&link->shard->chunks, &link->out, committed, still_allowed, &recheck);
    enum nj_err err;
    (void)nj_shard_commit(link->shard, &err);
    nj_session_pump(link->session); /* places in flight may have become free */
}
