/* See goodbye.h. */
#include "front/goodbye.h"

#include "broker/explain.h"
#include "broker/limits.h"
#include "broker/shard.h"
#include "front/conn.h"
#include "mqtt/connack.h"
#include "mqtt/disconnect.h"
#include "net/stream.h"

/* The longest packet: code, text, lengths. */
#define PACKET_MAX (NJ_EXPLAIN_MAX + 16)

/* The last bytes of a connection do not wait for the turn's end. */
static void write_now(struct nj_conn *conn, const uint8_t *packet, size_t len)
{
    struct nj_link *link = &conn->link;
    uint8_t *room = nj_out_frame(&link->shard->chunks, &link->out, len);
    if (!room) {
        return;
    }
    memcpy(room, packet, len);
    while (link->out.pending) {
        struct iovec iov[16];
        size_t written;
        int n = nj_out_vectors(&link->out, iov, 16);
        if (nj_stream_writev(conn->stream, iov, n, &written) != NJ_OK) {
            return;
        }
        nj_out_consume(&link->shard->chunks, &link->out, written);
    }
}

/* The bound that a peer exceeded whose connection ends with `reason`; 0 = none that is a number. */
static uint32_t limit_of(const struct nj_conn *conn, enum nj_mqtt_reason reason)
{
    switch (reason) {
    case NJ_RC_PACKET_TOO_LARGE:
        return conn->link.shard->limits->max_packet_size;
    case NJ_RC_RECEIVE_MAXIMUM_EXCEEDED:
        return conn->link.receive_max_in;
    case NJ_RC_TOPIC_ALIAS_INVALID:
        return conn->link.alias_in_max;
    case NJ_RC_KEEP_ALIVE_TIMEOUT:
        return conn->keep_alive_s;
    case NJ_RC_QOS_NOT_SUPPORTED:
        return conn->link.max_qos;
    default:
        return 0;
    }
}

static void set_text(struct nj_mqtt_props *props, struct nj_bytes text)
{
    props->present = 0;
    if (text.len) {
        props->reason_string = text;
        nj_mqtt_props_mark(props, NJ_PROP_REASON_STRING);
    }
}

void nj_goodbye_send(struct nj_conn *conn)
{
    uint8_t packet[PACKET_MAX];
    char buf[NJ_EXPLAIN_MAX];
    enum nj_mqtt_reason reason = (enum nj_mqtt_reason)conn->close_reason;
    struct nj_mqtt_coded disconnect = {.code = conn->close_reason};
    if (conn->link.version != NJ_MQTT_5) {
        return;
    }
    set_text(&disconnect.props, nj_explain(&conn->link, reason, limit_of(conn, reason), buf));
    if (!nj_link_takes(&conn->link, nj_mqtt_disconnect_size(&disconnect, NJ_MQTT_5))) {
        set_text(&disconnect.props, nj_bytes(NULL, 0));
    }
    uint8_t *end = nj_mqtt_disconnect_encode(&disconnect, NJ_MQTT_5, packet);
    write_now(conn, packet, (size_t)(end - packet));
}

void nj_goodbye_refuse(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why)
{
    uint8_t packet[PACKET_MAX];
    char buf[NJ_EXPLAIN_MAX];
    enum nj_mqtt_version version = conn->link.version;
    struct nj_mqtt_connack connack = {
        .code = version == NJ_MQTT_5 ? (uint8_t)reason : nj_mqtt_connack_old_code(reason)};
    set_text(&connack.props, nj_explain(&conn->link, reason, 0, buf));
    if (!nj_link_takes(&conn->link, nj_mqtt_connack_size(&connack, version))) {
        set_text(&connack.props, nj_bytes(NULL, 0));
    }
    uint8_t *end = nj_mqtt_connack_encode(&connack, version, packet);
    write_now(conn, packet, (size_t)(end - packet));
    NJ_STAT_ADD(conn->link.shard, denied_login, 1);
    nj_conn_close(conn, NJ_RC_SUCCESS, why);
}
