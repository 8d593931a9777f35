/* What a broker sends, checked. The path of a PUBLISH is short because a generator that costs as
 * much as a broker measures itself: the topic is hashed only when it differs from the last one, and
 * returns are told to publishers once per run of messages of the same one. */
#include <string.h>

#include "base/clock.h"
#include "bench_engine.h"
#include "mqtt/props.h"

static bool broken(struct nj_bench_conn *conn, const char *why)
{
    nj_bench_conn_lost(conn, why);
    return false;
}

void nj_bench_credit_flush(struct nj_bench_thread *thread)
{
    if (thread->credit) {
        struct nj_bench_pub *pub = &thread->engine->pubs[thread->credit_pub];
        atomic_fetch_add_explicit(&pub->returned, thread->credit, memory_order_relaxed);
        thread->credit = 0;
    }
}

static void credit(struct nj_bench_thread *thread, uint32_t pub)
{
    if (thread->credit_pub != pub) {
        nj_bench_credit_flush(thread);
        thread->credit_pub = pub;
    }
    thread->credit++;
}

static uint32_t topic_hash(struct nj_bench_sub *sub, struct nj_bytes topic)
{
    if (topic.len == 0) {
        return nj_bench_topic_hash(topic);
    }
    if (topic.len == sub->last_len && memcmp(topic.ptr, sub->last_topic, topic.len) == 0) {
        return sub->last_hash;
    }
    uint32_t hash = nj_bench_topic_hash(topic);
    if (topic.len <= sizeof(sub->last_topic)) {
        memcpy(sub->last_topic, topic.ptr, topic.len);
        sub->last_len = (uint32_t)topic.len;
        sub->last_hash = hash;
    }
    return hash;
}

static void acknowledge(struct nj_bench_conn *conn, unsigned qos, uint16_t id)
{
    if (qos == 1) {
        nj_bench_send_ack(conn, NJ_MQTT_PUBACK, id);
    } else if (qos == 2) {
        if (!nj_bench_id_is_set(conn->sub->ids, id)) {
            nj_bench_id_flip(conn->sub->ids, id);
        }
        nj_bench_send_ack(conn, NJ_MQTT_PUBREC, id);
    }
}

static void count(struct nj_bench_conn *conn, const struct nj_bench_stamp *stamp)
{
    struct nj_bench_thread *thread = conn->thread;
    const struct nj_bench_engine *engine = thread->engine;
    struct nj_bench_sub *sub = conn->sub;
    if (sub->is_shared) {
        size_t flow = (size_t)stamp->pub * engine->dests_count + stamp->dest;
        nj_bench_flow_take_shared(&sub->flows[flow], stamp->seq, &thread->tally);
        thread->tally.mix += nj_bench_stamp_mix(stamp);
    } else {
        nj_bench_flow_take(&sub->flows[stamp->pub], stamp->seq, &thread->tally);
    }
    uint64_t delivered = atomic_load_explicit(&thread->delivered, memory_order_relaxed) + 1;
    atomic_store_explicit(&thread->delivered, delivered, memory_order_relaxed);
    if (thread->phase == NJ_BENCH_PHASE_MEASURE || thread->phase == NJ_BENCH_PHASE_STORM) {
        uint32_t now_us = nj_bench_time_us(engine, thread->now_ns);
        int32_t took = (int32_t)(now_us - stamp->time_us);
        nj_bench_hist_add(&thread->hists[thread->phase == NJ_BENCH_PHASE_STORM],
                          took > 0 ? (uint64_t)took : 0);
    }
    credit(thread, stamp->pub);
}

static bool on_publish(struct nj_bench_conn *conn, const struct nj_mqtt_frame *frame,
                       const uint8_t *body)
{
    if (conn->role != NJ_BENCH_ROLE_SUBSCRIBER) {
        return broken(conn, "got a message that it did not subscribe to");
    }
    struct nj_bench_thread *thread = conn->thread;
    const struct nj_bench_engine *engine = thread->engine;
    struct nj_mqtt_reader reader = nj_mqtt_reader(nj_bytes(body, frame->body_len));
    struct nj_bytes topic = nj_mqtt_read_lv(&reader);
    unsigned qos = frame->flags >> 1 & 3;
    uint16_t id = qos ? nj_mqtt_read_u16(&reader) : 0;
    if (engine->options->version == 5) {
        struct nj_bytes props;
        if (nj_mqtt_props_read_block(&reader, &props) != NJ_OK) {
            return broken(conn, "the broker sent malformed properties");
        }
    }
    if (reader.is_short || (qos && !id) || qos == 3) {
        return broken(conn, "the broker sent a malformed PUBLISH");
    }
    acknowledge(conn, qos, id);
    struct nj_bench_stamp stamp;
    struct nj_bytes payload = nj_bytes(reader.at, nj_mqtt_left(&reader));
    if (!nj_bench_payload_read(&engine->pattern, payload, topic_hash(conn->sub, topic), &stamp) ||
        stamp.pub >= engine->pubs_count || stamp.dest >= engine->dests_count) {
        thread->tally.corrupt++;
        return true;
    }
    if (frame->flags != engine->options->qos << 1 ||
        (!conn->sub->is_shared && stamp.dest != conn->sub->dest)) {
        thread->tally.strange++;
    }
    count(conn, &stamp);
    return true;
}

/* PUBACK, PUBREC, PUBCOMP to a publisher. */
static bool on_publisher_ack(struct nj_bench_conn *conn, enum nj_mqtt_type type, uint16_t id)
{
    struct nj_bench_pub *pub = conn->pub;
    uint64_t *ids = type == NJ_MQTT_PUBCOMP ? pub->released : pub->ids;
    enum nj_mqtt_type wanted =
        conn->thread->engine->options->qos == 1 ? NJ_MQTT_PUBACK : NJ_MQTT_PUBREC;
    bool is_expected = type == NJ_MQTT_PUBCOMP || type == wanted;
    if (!is_expected || ids == NULL || !nj_bench_id_is_set(ids, id)) {
        conn->thread->stray++;
        return true;
    }
    nj_bench_id_flip(ids, id);
    if (type == NJ_MQTT_PUBREC) {
        nj_bench_id_flip(pub->released, id);
        nj_bench_send_ack(conn, NJ_MQTT_PUBREL, id);
        return true;
    }
    struct nj_bench_thread *thread = conn->thread;
    if (pub->sent_us && thread->phase == NJ_BENCH_PHASE_MEASURE) {
        int32_t took =
            (int32_t)(nj_bench_time_us(thread->engine, thread->now_ns) - pub->sent_us[id]);
        nj_bench_hist_add(&thread->ack_hist, took > 0 ? (uint64_t)took : 0);
    }
    pub->unacked--;
    atomic_fetch_sub_explicit(&conn->thread->unacked, 1, memory_order_relaxed);
    return true;
}

static bool on_ack(struct nj_bench_conn *conn, const struct nj_mqtt_frame *frame,
                   const uint8_t *body)
{
    if (frame->body_len < 2) {
        return broken(conn, "the broker sent a malformed acknowledgement");
    }
    uint16_t id = (uint16_t)(body[0] << 8 | body[1]);
    if (frame->body_len > 2 && body[2] >= 0x80) {
        return broken(conn, "the broker refused a message");
    }
    if (conn->role == NJ_BENCH_ROLE_PUBLISHER && frame->type != NJ_MQTT_PUBREL) {
        return on_publisher_ack(conn, frame->type, id);
    }
    if (conn->role != NJ_BENCH_ROLE_SUBSCRIBER || frame->type != NJ_MQTT_PUBREL ||
        conn->sub->ids == NULL || !nj_bench_id_is_set(conn->sub->ids, id)) {
        conn->thread->stray++;
        return true;
    }
    nj_bench_id_flip(conn->sub->ids, id);
    nj_bench_send_ack(conn, NJ_MQTT_PUBCOMP, id);
    return true;
}

static void become_ready(struct nj_bench_conn *conn)
{
    conn->state = NJ_BENCH_OPEN;
    conn->thread->opening--;
    atomic_fetch_add_explicit(&conn->thread->ready, 1, memory_order_relaxed);
}

/* The part of CONNACK that only MQTT 5 has. */
static void honour_limits(struct nj_bench_conn *conn, const uint8_t *body, uint32_t len)
{
    struct nj_mqtt_reader reader = nj_mqtt_reader(nj_bytes(body + 2, len - 2));
    struct nj_mqtt_props props;
    if (nj_mqtt_props_decode(&reader, NJ_MQTT_CONNACK, &props) == NJ_OK &&
        nj_mqtt_props_has(&props, NJ_PROP_RECEIVE_MAXIMUM) &&
        conn->role == NJ_BENCH_ROLE_PUBLISHER && conn->thread->engine->options->qos) {
        struct nj_bench_pub *pub = conn->pub;
        pub->window = props.receive_maximum < pub->window ? props.receive_maximum : pub->window;
        pub->unacked_max =
            props.receive_maximum < pub->unacked_max ? props.receive_maximum : pub->unacked_max;
    }
}

static bool on_refused(struct nj_bench_conn *conn, unsigned code)
{
    if (conn->role == NJ_BENCH_ROLE_LOGIN) {
        conn->login->outcome = NJ_BENCH_OUTCOME_REFUSED;
        conn->login->took_ns = nj_clock_mono_ns() - conn->opened_ns;
        atomic_fetch_add_explicit(&conn->thread->logins_done, 1, memory_order_release);
        nj_bench_conn_close(conn);
        return false;
    }
    char why[64];
    (void)snprintf(why, sizeof(why), "the broker refused the connection with code %u", code);
    return broken(conn, why);
}

static bool on_connack(struct nj_bench_conn *conn, const struct nj_mqtt_frame *frame,
                       const uint8_t *body)
{
    if (conn->state != NJ_BENCH_WAIT_CONNACK || frame->body_len < 2) {
        return broken(conn, "the broker sent a CONNACK out of place");
    }
    if (body[1]) {
        return on_refused(conn, body[1]);
    }
    if (conn->thread->engine->options->version == 5) {
        honour_limits(conn, body, frame->body_len);
    }
    uint64_t took_ns = conn->thread->now_ns - conn->opened_ns;
    switch ((enum nj_bench_role)conn->role) {
    case NJ_BENCH_ROLE_SUBSCRIBER:
        conn->state = NJ_BENCH_WAIT_SUBACK;
        nj_bench_send_subscribe(conn);
        return true;
    case NJ_BENCH_ROLE_CYCLE:
        if (conn->thread->phase == NJ_BENCH_PHASE_MEASURE) {
            nj_bench_hist_add(&conn->thread->connect_hist, took_ns / 1000);
        }
        become_ready(conn);
        conn->state = NJ_BENCH_WAIT_END;
        nj_bench_send_disconnect(conn);
        return true;
    case NJ_BENCH_ROLE_LOGIN:
        conn->state = NJ_BENCH_OPEN;
        conn->thread->opening--;
        conn->login->outcome = NJ_BENCH_OUTCOME_IN;
        conn->login->took_ns = took_ns;
        atomic_fetch_add_explicit(&conn->thread->logins_done, 1, memory_order_release);
        return true;
    case NJ_BENCH_ROLE_PUBLISHER:
    case NJ_BENCH_ROLE_IDLE:
        become_ready(conn);
        return true;
    }
    return false;
}

static bool on_suback(struct nj_bench_conn *conn, const struct nj_mqtt_frame *frame,
                      const uint8_t *body)
{
    struct nj_bench_sub *sub = conn->sub;
    const struct nj_bench_options *options = conn->thread->engine->options;
    if (conn->state != NJ_BENCH_WAIT_SUBACK || frame->body_len < sub->pending + 2) {
        return broken(conn, "the broker sent a SUBACK out of place");
    }
    /* The codes are the packet's end, whatever properties come before. */
    const uint8_t *codes = body + frame->body_len - sub->pending;
    for (uint32_t i = 0; i < sub->pending; i++) {
        if (codes[i] != options->qos) {
            return broken(conn, "the broker did not grant a subscription as asked");
        }
    }
    if (sub->filter_at < conn->thread->engine->filters_count) {
        nj_bench_send_subscribe(conn);
    } else {
        become_ready(conn);
    }
    return true;
}

bool nj_bench_packet(struct nj_bench_conn *conn, const struct nj_mqtt_frame *frame,
                     const uint8_t *body)
{
    switch (frame->type) {
    case NJ_MQTT_PUBLISH:
        return on_publish(conn, frame, body);
    case NJ_MQTT_PUBACK:
    case NJ_MQTT_PUBREC:
    case NJ_MQTT_PUBREL:
    case NJ_MQTT_PUBCOMP:
        return on_ack(conn, frame, body);
    case NJ_MQTT_CONNACK:
        return on_connack(conn, frame, body);
    case NJ_MQTT_SUBACK:
        return conn->role == NJ_BENCH_ROLE_SUBSCRIBER
                   ? on_suback(conn, frame, body)
                   : broken(conn, "the broker sent a SUBACK to a publisher");
    case NJ_MQTT_PINGRESP:
        return true;
    case NJ_MQTT_DISCONNECT:
        return broken(conn, "the broker sent DISCONNECT");
    default:
        return broken(conn, "the broker sent a packet that only clients send");
    }
}
