/* See petition.h. */
#include "front/petition.h"

#include "base/log.h"
#include "broker/publish.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "front/door.h"
#include "front/front.h"
#include "front/record.h"
#include "mqtt/props.h"

static const char full_text[] = "{\"responses\":[{\"command\":\"Unknown command\",\"error\":"
                                "\"Too many requests are waiting\"}]}";

static const char too_large_text[] =
    "{\"responses\":[{\"command\":\"Unknown command\",\"error\":\"The answer is too large for "
    "your maximum packet size; ask for less at once\"}]}";

static struct nj_bytes response_topic_of(struct nj_bytes topic, char *buf, size_t size)
{
    static const char suffix[] = "/response";
    if (topic.len + sizeof(suffix) - 1 > size) {
        return nj_bytes(NULL, 0);
    }
    memcpy(buf, topic.ptr, topic.len);
    memcpy(buf + topic.len, suffix, sizeof(suffix) - 1);
    return nj_bytes(buf, topic.len + sizeof(suffix) - 1);
}

/* Where the acknowledgement cannot say so, a reply does. */
static void say_full(struct nj_session *session, const struct nj_request *request)
{
    char buf[256];
    bool is_straight = request->response_topic.ptr != NULL;
    const struct nj_message_view view = {
        .topic = is_straight ? request->response_topic
                             : response_topic_of(request->topic, buf, sizeof(buf)),
        .payload = NJ_BYTES_LIT(full_text),
    };
    if (view.topic.len) {
        (void)!nj_shard_reply(session->shard, session->id, session->connection, &view,
                              is_straight ? NJ_REPLY_STRAIGHT : NJ_REPLY_SUBSCRIBED);
    }
}

static enum nj_err hand_in(struct nj_front *front, const struct nj_request *from)
{
    struct nj_request *request = nj_request_new(from);
    enum nj_err err = request ? nj_door_put(front->door, request) : NJ_ENOMEM;
    if (err != NJ_OK) {
        nj_request_free(request);
    }
    return err;
}

enum nj_mqtt_reason nj_petition_take(struct nj_session *session, struct nj_bytes topic,
                                     const struct nj_publish_in *in)
{
    struct nj_front *front = (struct nj_front *)session->shard->core;
    struct nj_mqtt_props props = {0};
    char address[NJ_ADDR_TEXT_MAX + 8];
    if (in->props.len && nj_mqtt_props_parse(in->props, NJ_MQTT_PUBLISH, &props) != NJ_OK) {
        return NJ_RC_UNSPECIFIED; /* cannot be: it was decoded from the packet */
    }
    bool is_too_large = in->payload.len > NJ_REQUEST_BYTES_MAX;
    const struct nj_request request = {
        .session = session->id,
        .connection = session->connection,
        .worker = session->shard->id,
        .scope = session->subject.scope,
        .credential = session->credential,
        .version = (uint8_t)session->link->version,
        .by_certificate = session->subject.by_certificate,
        .is_too_large = is_too_large,
        .user = session->subject.user,
        .client_id = session->subject.client_id,
        .address = nj_bytes_of(nj_conn_address(nj_conn_of(session->link), address)),
        .topic = topic,
        .response_topic = props.response_topic,
        .correlation_data = props.correlation_data,
        .payload = is_too_large ? nj_bytes(NULL, 0) : in->payload,
    };
    if (hand_in(front, &request) == NJ_OK) {
        return NJ_RC_SUCCESS;
    }
    if (session->link->version != NJ_MQTT_5 || in->qos == 0) {
        say_full(session, &request);
    }
    return NJ_RC_QUOTA_EXCEEDED;
}

/* ---- the way back */

static uint8_t *put(uint8_t *at, struct nj_bytes bytes)
{
    if (bytes.ptr && bytes.len) {
        memcpy(at, bytes.ptr, bytes.len);
    }
    return at + bytes.len;
}

enum nj_err nj_petition_answer(struct nj_front *front, const struct nj_petition_reply *reply)
{
    size_t texts = reply->topic.len + reply->correlation_data.len + reply->payload.len;
    uint32_t len = (uint32_t)(sizeof(struct nj_record_reply) + texts);
    struct nj_batch *batch = nj_batch_new(len);
    struct nj_record_reply *record = batch ? nj_batch_add(batch, NJ_RECORD_REPLY, len) : NULL;
    if (!record) {
        nj_batch_free(batch);
        return NJ_ENOMEM;
    }
    *record = (struct nj_record_reply){
        .session = reply->session,
        .connection = reply->connection,
        .topic_len = (uint32_t)reply->topic.len,
        .correlation_len = (uint32_t)reply->correlation_data.len,
        .payload_len = (uint32_t)reply->payload.len,
        .has_correlation = reply->correlation_data.ptr != NULL,
        .way = (uint8_t)reply->way,
    };
    uint8_t *at = put((uint8_t *)(record + 1), reply->topic);
    at = put(at, reply->correlation_data);
    (void)put(at, reply->payload);
    nj_worker_push(&front->workers[reply->worker], batch);
    return NJ_OK;
}

void nj_petition_deliver(struct nj_shard *shard, const struct nj_record_reply *record)
{
    const uint8_t *at = (const uint8_t *)(record + 1);
    struct nj_message_view view = {.topic = nj_bytes(at, record->topic_len)};
    at += record->topic_len;
    struct nj_bytes correlation = nj_bytes(at, record->correlation_len);
    at += record->correlation_len;
    view.payload = nj_bytes(at, record->payload_len);
    shard->props_buf.len = 0;
    if (record->has_correlation) {
        size_t size = nj_mqtt_prop_size(NJ_PROP_CORRELATION_DATA, correlation.len);
        if (nj_buf_reserve(&shard->props_buf, size) != NJ_OK) {
            return;
        }
        (void)nj_mqtt_prop_put_bytes(shard->props_buf.data, NJ_PROP_CORRELATION_DATA, correlation);
        view.props = nj_bytes(shard->props_buf.data, size);
    }
    if (nj_shard_reply(shard, record->session, record->connection, &view,
                       (enum nj_reply_way)record->way) == NJ_ETOOBIG) {
        view.payload = NJ_BYTES_LIT(too_large_text);
        (void)!nj_shard_reply(shard, record->session, record->connection, &view,
                              (enum nj_reply_way)record->way);
    }
}
