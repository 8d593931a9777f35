/* What the files of the client room share. */
#ifndef NJ_CLIENT_CLIENT_PRIV_H
#define NJ_CLIENT_CLIENT_PRIV_H

#include "base/buf.h"
#include "base/list.h"
#include "client/client.h"
#include "mqtt/frame.h"
#include "mqtt/props.h"
#include "net/socket.h"
#include "net/stream.h"

/* Most that is kept of one packet, and of all topic aliases together. */
#define NJ_CLIENT_PACKET_MAX    (NJ_MQTT_VARINT_MAX + 5)
#define NJ_CLIENT_ALIAS_BYTES   (64u << 20)
#define NJ_CLIENT_PROPS_MAX     1024
#define NJ_CLIENT_INFLIGHT      20
#define NJ_CLIENT_OUTS_MAX      32768
#define NJ_CLIENT_INS_BYTES     (1u << 30)
#define NJ_CLIENT_CONNECT_MS    30000
#define NJ_CLIENT_DISCONNECT_MS 5000

enum nj_client_state {
    NJ_CLIENT_DOWN,       /* no connection */
    NJ_CLIENT_CONNECTING, /* CONNECT sent, CONNACK awaited */
    NJ_CLIENT_UP
};

/* An outgoing message of QoS 1 or 2:
 *
 *     QUEUED → PUBLISHED → (QoS 2) RELEASED → gone
 */
enum nj_client_out_state {
    NJ_CLIENT_QUEUED,    /* waits for a place in the window */
    NJ_CLIENT_PUBLISHED, /* sent; PUBACK or PUBREC awaited */
    NJ_CLIENT_RELEASED   /* PUBREC came, PUBREL sent; PUBCOMP awaited */
};

struct nj_client_out {
    struct nj_list node; /* in nj_client.out, in the order of publishing */
    uint16_t packet_id;
    uint8_t qos;
    bool retain;
    enum nj_client_out_state state;
    bool is_repeated; /* the broker's session may know it: DUP */
    bool is_orphan;   /* its topic was an alias of an earlier connection */
    uint16_t alias;   /* 0 = none */
    size_t topic_len; /* for the trace; the topic begins behind the fixed header */
    size_t payload_len;
    struct nj_buf packet; /* as on the wire */
};

/* An incoming QoS 2 message between PUBLISH and PUBREL. */
struct nj_client_in {
    struct nj_list node;
    uint16_t packet_id;
    uint8_t flags;
    struct nj_buf body; /* of the PUBLISH */
    char *topic;        /* resolved from an alias, or NULL */
};

/* A request for which an answer with a known number of codes is awaited. */
struct nj_client_request {
    struct nj_list node;
    uint16_t packet_id;
    bool is_subscribe;
    size_t count;
};

struct nj_client {
    struct nj_client_config config;
    struct nj_client_callbacks callbacks;
    void *arg;
    struct nj_loop *loop;
    struct nj_loop_source source; /* of the stream */
    struct nj_stream *stream;
    enum nj_client_state state;
    enum nj_err down_reason; /* set by whoever finds out that it is over */
    char *id;                /* ours or the broker's; NULL = none */

    struct nj_buf in; /* unparsed bytes */
    struct nj_buf out;
    size_t out_at;          /* of `out`, already written */
    struct nj_buf qos0_ids; /* uint16_t each: in `out`, not reported yet */
    bool may_write;         /* false after EAGAIN until the next event */

    struct nj_list outs;
    size_t outs_count;
    size_t window_used;
    struct nj_list ins;
    size_t ins_count;
    size_t ins_bytes;
    struct nj_list requests;
    uint16_t next_id;

    /* what CONNACK said */
    uint16_t server_receive_max;
    uint32_t server_packet_max;
    uint8_t server_max_qos;
    bool server_retain;
    uint16_t server_aliases_max; /* topic aliases it takes from us */
    uint16_t keep_alive_s;
    uint16_t our_receive_max; /* what CONNECT said */

    char **aliases; /* incoming; index 0 is alias 1 */
    uint16_t aliases_max;
    size_t aliases_bytes;

    uint64_t last_out_ms; /* something was sent */
    uint64_t ping_ms;     /* PINGREQ sent and unanswered since; 0 = none */
    uint64_t connect_ms;  /* CONNECT sent */
    char error[512];
};

/* ---- client.c ---- */

/* Ends the connection with a reason; the first one stays. Safe within callbacks. */
void nj_client_fail(struct nj_client *client, enum nj_err why, const char *fmt, ...)
    NJ_PRINTF(3, 4);
void nj_client_trace(struct nj_client *client, const char *fmt, ...) NJ_PRINTF(2, 3);
const char *nj_client_id_text(const struct nj_client *client);
uint16_t nj_client_take_id(struct nj_client *client);
/* Writes what the socket takes. */
void nj_client_flush(struct nj_client *client);

/* ---- transport.c ---- */

enum nj_err nj_client_open_stream(struct nj_client *client, struct nj_net_error *error)
    NJ_NODISCARD;
/* Speaks SOCKS 5 on a connected, non-blocking descriptor. */
enum nj_err nj_client_socks_connect(int fd, const struct nj_client_config *config,
                                    uint64_t until_ms, struct nj_net_error *error) NJ_NODISCARD;

/* ---- encode.c: append a packet to a buffer ---- */

enum nj_err nj_client_put_connect(const struct nj_client *client, struct nj_buf *out) NJ_NODISCARD;
enum nj_err nj_client_put_publish(const struct nj_client *client,
                                  const struct nj_client_publish *publish, uint16_t packet_id,
                                  struct nj_buf *out) NJ_NODISCARD;
/* PUBACK, PUBREC, PUBREL, PUBCOMP without properties. */
enum nj_err nj_client_put_ack(struct nj_client *client, enum nj_mqtt_type type, uint16_t packet_id,
                              uint8_t code) NJ_NODISCARD;
enum nj_err nj_client_put_subscribe(const struct nj_client *client,
                                    const struct nj_client_filter *filters, size_t count,
                                    const struct nj_client_props *props, uint16_t packet_id,
                                    struct nj_buf *out) NJ_NODISCARD;
enum nj_err nj_client_put_unsubscribe(const struct nj_client *client,
                                      const struct nj_bytes *filters, size_t count,
                                      const struct nj_client_props *props, uint16_t packet_id,
                                      struct nj_buf *out) NJ_NODISCARD;
enum nj_err nj_client_put_disconnect(const struct nj_client *client, uint8_t code,
                                     const struct nj_client_props *props, struct nj_buf *out)
    NJ_NODISCARD;

/* ---- incoming.c ---- */

/* A fixed header, before its body has come: is this packet possible now? If not, it ends the
 * connection. */
bool nj_client_check_header(struct nj_client *client, const struct nj_mqtt_frame *frame);
/* One whole packet. Ends the connection itself when it is not as it should be. */
void nj_client_take_packet(struct nj_client *client, const struct nj_mqtt_frame *frame,
                           struct nj_bytes body);
void nj_client_drop_incoming(struct nj_client *client, bool keep_session);

/* ---- outgoing.c ---- */

void nj_client_take_ack(struct nj_client *client, enum nj_mqtt_type type, uint16_t packet_id,
                        uint8_t code, struct nj_bytes reason);
/* Sends what the window has room for. */
void nj_client_pump(struct nj_client *client);
/* After CONNACK: sends again what was under way. */
void nj_client_resume(struct nj_client *client, bool is_session_present);
void nj_client_drop_outgoing(struct nj_client *client);

#endif
