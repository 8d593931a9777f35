/* What the generator sends: the packets of opening, acknowledgements, and messages, either as many
 * as a window lets or those that are due. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "bench_engine.h"
#include "mqtt/props.h"
#include "mqtt/writer.h"

/* Filters in one SUBSCRIBE; Mosquitto takes any number, some brokers stop at a packet of 64 KiB. */
#define FILTERS_MAX 200u
/* A message that leaves so long after its time shows that the generator was starved: it then sends
 * in bursts, which are cheaper for a broker than what was asked for. */
#define LATE_NS 1000000ull
/* --stored, MQTT 5: the property and its identifier. */
#define EXPIRY_PROPS 5u
#define EXPIRY_S     3600u

/* `text` with %n replaced by the number. */
static struct nj_bytes expand(const char *text, uint32_t number, char *out, size_t cap)
{
    size_t len = 0;
    for (const char *at = text; *at && len + 12 < cap; at++) {
        if (at[0] == '%' && at[1] == 'n') {
            len += (size_t)snprintf(out + len, cap - len, "%" PRIu32, number);
            at++;
        } else {
            out[len++] = *at;
        }
    }
    return nj_bytes(out, len);
}

struct credentials {
    struct nj_bytes username;
    struct nj_bytes password;
    char name[256];
    char secret[256];
};

static void find_credentials(const struct nj_bench_conn *conn, struct credentials *out)
{
    const struct nj_bench_options *options = conn->thread->engine->options;
    out->username = nj_bytes(NULL, 0);
    out->password = nj_bytes(NULL, 0);
    if (conn->role == NJ_BENCH_ROLE_LOGIN) {
        out->username = nj_bytes_of(conn->login->username);
        out->password = nj_bytes_of(conn->login->password);
        return;
    }
    if (options->username) {
        out->username = expand(options->username, conn->number, out->name, sizeof(out->name));
    }
    if (options->password) {
        out->password = expand(options->password, conn->number, out->secret, sizeof(out->secret));
    }
}

void nj_bench_send_connect(struct nj_bench_conn *conn)
{
    static const char ROLES[] = "psicl";
    const struct nj_bench_engine *engine = conn->thread->engine;
    unsigned version = engine->options->version;
    struct credentials who;
    find_credentials(conn, &who);
    char id[32];
    int id_len =
        snprintf(id, sizeof(id), "njb%s%c%" PRIu32, engine->nonce, ROLES[conn->role], conn->index);
    struct nj_bytes protocol = version == 3 ? NJ_BYTES_LIT("MQIsdp") : NJ_BYTES_LIT("MQTT");
    bool is_stored = engine->options->is_stored && conn->role == NJ_BENCH_ROLE_SUBSCRIBER;
    bool has_expiry = is_stored && version == 5;
    size_t body = 2 + protocol.len + 4 + (version == 5) + (has_expiry ? EXPIRY_PROPS : 0) + 2 +
                  (size_t)id_len;
    unsigned flags = is_stored ? 0 : 2; /* clean */
    if (who.username.ptr) {
        body += 2 + who.username.len;
        flags |= 0x80;
    }
    if (who.password.ptr) {
        body += 2 + who.password.len;
        flags |= 0x40;
    }
    uint8_t *at = nj_bench_conn_put(conn, (uint32_t)nj_mqtt_frame_size(body));
    at = nj_mqtt_frame_put(at, NJ_MQTT_CONNECT, 0, body);
    at = nj_mqtt_put_lv(at, protocol);
    at = nj_mqtt_put_u8(at, version);
    at = nj_mqtt_put_u8(at, flags);
    at = nj_mqtt_put_u16(at, 3600);
    if (version == 5) {
        at = nj_mqtt_put_u8(at, has_expiry ? EXPIRY_PROPS : 0);
    }
    if (has_expiry) {
        at = nj_mqtt_put_u8(at, NJ_PROP_SESSION_EXPIRY);
        at = nj_mqtt_put_u32(at, EXPIRY_S);
    }
    at = nj_mqtt_put_lv(at, nj_bytes(id, (size_t)id_len));
    if (who.username.ptr) {
        at = nj_mqtt_put_lv(at, who.username);
    }
    if (who.password.ptr) {
        nj_mqtt_put_lv(at, who.password);
    }
}

void nj_bench_send_subscribe(struct nj_bench_conn *conn)
{
    const struct nj_bench_engine *engine = conn->thread->engine;
    struct nj_bench_sub *sub = conn->sub;
    unsigned is_v5 = engine->options->version == 5;
    const char *filters[FILTERS_MAX];
    size_t body = 2 + is_v5;
    sub->pending = 0;
    while (sub->filter_at < engine->filters_count && sub->pending < FILTERS_MAX) {
        const char *filter =
            sub->is_shared ? engine->group_filter : engine->filters[sub->filter_at];
        filters[sub->pending++] = filter;
        body += 2 + strlen(filter) + 1;
        sub->filter_at = sub->is_shared ? engine->filters_count : sub->filter_at + sub->filter_step;
    }
    sub->next_id = sub->next_id % 65535 + 1;
    uint8_t *at = nj_bench_conn_put(conn, (uint32_t)nj_mqtt_frame_size(body));
    at = nj_mqtt_frame_put(at, NJ_MQTT_SUBSCRIBE, 2, body);
    at = nj_mqtt_put_u16(at, sub->next_id);
    if (is_v5) {
        at = nj_mqtt_put_u8(at, 0);
    }
    for (uint32_t i = 0; i < sub->pending; i++) {
        at = nj_mqtt_put_lv(at, nj_bytes_of(filters[i]));
        at = nj_mqtt_put_u8(at, engine->options->qos);
    }
}

void nj_bench_send_ack(struct nj_bench_conn *conn, enum nj_mqtt_type type, uint16_t id)
{
    uint8_t *at = nj_bench_conn_put(conn, 4);
    at = nj_mqtt_frame_put(at, type, type == NJ_MQTT_PUBREL ? 2 : 0, 2);
    nj_mqtt_put_u16(at, id);
}

void nj_bench_send_disconnect(struct nj_bench_conn *conn)
{
    nj_mqtt_frame_put(nj_bench_conn_put(conn, 2), NJ_MQTT_DISCONNECT, 0, 0);
}

static uint16_t take_id(struct nj_bench_pub *pub)
{
    do {
        pub->last_id = pub->last_id == 65535 ? 1 : pub->last_id + 1;
    } while (nj_bench_id_is_set(pub->ids, pub->last_id) ||
             (pub->released && nj_bench_id_is_set(pub->released, pub->last_id)));
    nj_bench_id_flip(pub->ids, pub->last_id);
    return pub->last_id;
}

static void send_message(struct nj_bench_thread *thread, struct nj_bench_pub *pub, uint32_t time_us)
{
    const struct nj_bench_engine *engine = thread->engine;
    const struct nj_bench_topic *topic = &engine->topics[pub->topic_first + pub->topic_at];
    unsigned qos = engine->options->qos;
    unsigned is_v5 = engine->options->version == 5;
    size_t body = 2u + topic->len + (qos ? 2 : 0) + is_v5 + engine->pattern.size;
    uint8_t *at = nj_bench_conn_put(pub->conn, (uint32_t)nj_mqtt_frame_size(body));
    at = nj_mqtt_frame_put(at, NJ_MQTT_PUBLISH, (uint8_t)(qos << 1), body);
    at = nj_mqtt_put_lv(at, nj_bytes(topic->text, topic->len));
    if (qos) {
        uint16_t id = take_id(pub);
        at = nj_mqtt_put_u16(at, id);
        pub->unacked++;
        if (pub->sent_us) {
            pub->sent_us[id] = time_us;
        }
    }
    if (is_v5) {
        at = nj_mqtt_put_u8(at, 0);
    }
    struct nj_bench_stamp stamp = {
        .pub = (uint16_t)pub->index,
        .dest = topic->dest,
        .seq = pub->seqs[topic->dest]++,
        .time_us = time_us,
    };
    nj_bench_payload_write(&engine->pattern, &stamp, topic->hash, at);
    if (engine->has_group) {
        pub->mix += nj_bench_stamp_mix(&stamp);
    }
    pub->sent++;
    pub->topic_at = (pub->topic_at + pub->topic_step) % pub->topic_count;
}

/* `count` more have gone out on this thread. */
static void tell_published(struct nj_bench_thread *thread, uint64_t count)
{
    atomic_fetch_add_explicit(&thread->published, count, memory_order_relaxed);
    if (thread->engine->options->qos) {
        atomic_fetch_add_explicit(&thread->unacked, count, memory_order_relaxed);
    }
}

static uint64_t window_room(const struct nj_bench_engine *engine, const struct nj_bench_pub *pub)
{
    uint64_t returned = atomic_load_explicit(&pub->returned, memory_order_relaxed);
    uint64_t all = pub->sent * engine->deliveries;
    /* A duplicate counts as a return, too; the verifier tells of it. */
    uint64_t away =
        returned < all ? (all - returned + engine->deliveries - 1) / engine->deliveries : 0;
    if (away < pub->unacked) {
        away = pub->unacked;
    }
    /* Half a window at once: brokers meet in batches what clients send in batches. */
    return away > pub->window / 2 || pub->conn->is_blocked ? 0 : pub->window - away;
}

void nj_bench_send_window(struct nj_bench_thread *thread)
{
    uint64_t total = 0;
    uint32_t time_us = nj_bench_time_us(thread->engine, nj_clock_mono_ns());
    for (uint32_t i = 0; i < thread->pubs_count; i++) {
        struct nj_bench_pub *pub = thread->pubs[i];
        uint64_t room = pub->conn->state == NJ_BENCH_OPEN ? window_room(thread->engine, pub) : 0;
        total += room;
        while (room--) {
            send_message(thread, pub, time_us);
        }
    }
    if (total) {
        tell_published(thread, total);
    }
}

void nj_bench_send_due(struct nj_bench_thread *thread)
{
    uint64_t now = nj_clock_mono_ns();
    uint64_t total = 0;
    if (thread->due_start_ns == 0) {
        /* Threads take turns, so the whole load is even. */
        thread->due_start_ns =
            now + (uint64_t)(thread->interval_ns * thread->index / thread->engine->threads_count);
        thread->due_ns = thread->due_start_ns;
    }
    while (thread->due_ns <= now) {
        struct nj_bench_pub *pub = thread->pubs[thread->due_count % thread->pubs_count];
        if (pub->conn->state == NJ_BENCH_OPEN) {
            if (pub->unacked >= pub->unacked_max) {
                nj_bench_fail(thread->engine,
                              "the broker is behind: %u messages of one publisher are not "
                              "acknowledged, and it takes no more",
                              pub->unacked);
                return;
            }
            send_message(thread, pub, nj_bench_time_us(thread->engine, thread->due_ns));
            total++;
            thread->late[thread->phase == NJ_BENCH_PHASE_STORM] +=
                thread->phase >= NJ_BENCH_PHASE_MEASURE && now - thread->due_ns > LATE_NS;
        }
        thread->due_count++;
        thread->due_ns =
            thread->due_start_ns + (uint64_t)((double)thread->due_count * thread->interval_ns);
    }
    if (total) {
        tell_published(thread, total);
    }
}
