/* See goodbye.h. */
#include "front/goodbye.h"

#include "broker/shard.h"
#include "front/conn.h"
#include "net/stream.h"

/* MQTT3 3.2.2.3. */
static uint8_t v3_code(enum nj_mqtt_reason reason)
{
    switch (reason) {
    case NJ_RC_UNSUPPORTED_PROTOCOL_VERSION:
        return 1;
    case NJ_RC_CLIENTID_NOT_VALID:
        return 2;
    case NJ_RC_SERVER_UNAVAILABLE:
    case NJ_RC_QUOTA_EXCEEDED:
    case NJ_RC_SERVER_BUSY:
        return 3;
    case NJ_RC_BAD_USERNAME_OR_PASSWORD:
        return 4;
    default:
        return 5;
    }
}

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

void nj_goodbye_send(struct nj_conn *conn)
{
    if (conn->link.version != NJ_MQTT_5) {
        return;
    }
    /* Without properties their length is left out, too. */
    const uint8_t packet[] = {NJ_MQTT_DISCONNECT << 4, 1, conn->close_reason};
    write_now(conn, packet, sizeof(packet));
}

void nj_goodbye_refuse(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why)
{
    if (conn->link.version == NJ_MQTT_5) {
        const uint8_t packet[] = {NJ_MQTT_CONNACK << 4, 3, 0, (uint8_t)reason, 0};
        write_now(conn, packet, sizeof(packet));
    } else {
        const uint8_t packet[] = {NJ_MQTT_CONNACK << 4, 2, 0, v3_code(reason)};
        write_now(conn, packet, sizeof(packet));
    }
    NJ_STAT_ADD(conn->link.shard, denied_login, 1);
    nj_conn_close(conn, NJ_RC_SUCCESS, why);
}
