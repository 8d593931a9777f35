/* An MQTT client for tools: one connection, one thread, an event loop of its own.
 *
 *     nj_client_new → nj_client_connect → nj_client_loop … → nj_client_disconnect → nj_client_free
 *
 * nj_client_connect blocks until TCP, TLS and WebSocket are up and sends CONNECT; everything that
 * comes back arrives through callbacks out of nj_client_loop. Callbacks may call every function
 * here but nj_client_loop, nj_client_connect and nj_client_free. Nothing here is thread safe.
 *
 * QoS 1 and 2 work both ways. At most min(max_inflight, the broker's receive maximum) outgoing
 * messages are under way, more wait in order. After a lost connection, nj_client_connect may be
 * called again: what was under way is sent again (MQTT5 4.4), what waited still waits, and what the
 * broker does not take any more is reported as refused.
 *
 * The broker is not trusted: every packet is checked for state, flags, lengths and counts, and what
 * it may make us keep is bounded (L-126). */
#ifndef NJ_CLIENT_CLIENT_H
#define NJ_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "client/message.h"
#include "mqtt/types.h"
#include "net/loop.h"
#include "net/tls.h"

struct nj_client;

/* Properties to send, in this order. MQTT 5 only; ignored before. */
struct nj_client_props {
    const struct nj_client_prop *items;
    size_t count;
};

struct nj_client_proxy {
    const char *host; /* NULL = no proxy. SOCKS 5; the proxy resolves the broker's name */
    uint16_t port;
    const char *username; /* or NULL */
    const char *password;
};

struct nj_client_will {
    const char *topic; /* NULL = no will */
    struct nj_bytes payload;
    uint8_t qos;
    bool retain;
    struct nj_client_props props;
};

/* Strings, arrays and `tls` are borrowed until nj_client_free. */
struct nj_client_config {
    enum nj_mqtt_version version;
    const char *host;
    uint16_t port;
    const char *unix_path;    /* instead of host and port */
    const char *bind_address; /* or NULL */
    struct nj_client_proxy proxy;
    struct nj_tls_client *tls; /* NULL = without TLS */
    bool is_websocket;
    const char *ws_path;    /* NULL = "/mqtt" */
    int connect_timeout_ms; /* for TCP, TLS and WebSocket together; 0 = 30 s */

    const char *client_id; /* NULL = empty: the broker chooses; a random one for 3.1 */
    bool is_clean_start;
    uint16_t keep_alive_s;
    const char *username;     /* or NULL */
    struct nj_bytes password; /* ptr NULL = none */
    struct nj_client_will will;
    struct nj_client_props connect_props;
    /* Messages unacknowledged at once, outgoing and (MQTT 5) incoming. 0 = 20. */
    uint16_t max_inflight;
    uint16_t receive_max;
    /* Topic aliases are sent whatever the broker said, as mosquitto_pub does: the standard forbids
     * it (MQTT5 3.2.2-17). */
    bool ignores_alias_maximum;
};

struct nj_client_connack {
    uint8_t code; /* reason code (5) or return code (3.x); 0 = accepted */
    bool is_session_present;
    struct nj_bytes reason; /* the broker's words, may be empty */
};

/* All optional. */
struct nj_client_callbacks {
    void (*connected)(struct nj_client *client, const struct nj_client_connack *connack, void *arg);
    void (*message)(struct nj_client *client, const struct nj_client_message *message, void *arg);
    /* QoS 0: handed to the kernel. QoS 1, 2: acknowledged; `code` ≥ 0x80 = refused. */
    void (*published)(struct nj_client *client, uint16_t packet_id, uint8_t code,
                      struct nj_bytes reason, void *arg);
    /* One code per filter, in the order asked. */
    void (*subscribed)(struct nj_client *client, uint16_t packet_id, const uint8_t *codes,
                       size_t count, void *arg);
    void (*unsubscribed)(struct nj_client *client, uint16_t packet_id, void *arg);
    /* The broker sent DISCONNECT (MQTT 5); the end of the connection follows. */
    void (*kicked)(struct nj_client *client, uint8_t code, struct nj_bytes reason, void *arg);
    /* One line per packet, as the original's -d. */
    void (*trace)(struct nj_client *client, const char *line, void *arg);
};

enum nj_err nj_client_new(const struct nj_client_config *config,
                          const struct nj_client_callbacks *callbacks, void *arg,
                          struct nj_client **out) NJ_NODISCARD;
/* Accepts NULL. An open connection ends abruptly. */
void nj_client_free(struct nj_client *client);

/* Blocks. NJ_ENOENT (name), NJ_ECLOSED (refused), NJ_ETIMEDOUT, NJ_ESYS, NJ_EACCES: TCP, with the
 * cause in errno. NJ_ETLS, NJ_EAUTH: TLS. NJ_EPROTOCOL: WebSocket or proxy. NJ_ENOMEM. The text
 * says it in words. */
enum nj_err nj_client_connect(struct nj_client *client, struct nj_net_error *error) NJ_NODISCARD;

/* One turn: waits for at most timeout_ms (-1 = until something happens), reads, calls back, writes,
 * keeps alive. NJ_OK, also when nothing happened. An error means that the connection is down:
 * NJ_ECLOSED (lost), NJ_ETIMEDOUT (no PINGRESP, no CONNACK), NJ_EMALFORMED and NJ_EPROTOCOL (the
 * broker breaks the protocol), NJ_EAUTH (CONNACK refused; the callback ran), NJ_ETLS, NJ_ENOMEM.
 * nj_client_error says it in words. */
enum nj_err nj_client_loop(struct nj_client *client, int timeout_ms) NJ_NODISCARD;
const char *nj_client_error(const struct nj_client *client);

/* DISCONNECT with `code` and properties (5), flushed for at most a few seconds, then closed. */
void nj_client_disconnect(struct nj_client *client, uint8_t code,
                          const struct nj_client_props *props);
/* CONNACK has come and nothing has ended the connection since. */
bool nj_client_is_connected(const struct nj_client *client);

struct nj_client_publish {
    struct nj_bytes topic;
    struct nj_bytes payload;
    uint8_t qos;
    bool retain;
    struct nj_client_props props;
};
/* Takes a copy. *packet_id names it in `published`. NJ_EINVAL: topic. NJ_ETOOBIG: larger than the
 * broker takes. NJ_ENOTSUP: the broker refuses this QoS. NJ_EACCES: it refuses retained
 * messages. NJ_EPROTOCOL: a topic alias above the broker's maximum. NJ_ECLOSED: not connected.
 * NJ_ELIMIT: 32768 messages are waiting. NJ_ENOMEM. */
enum nj_err nj_client_publish(struct nj_client *client, const struct nj_client_publish *publish,
                              uint16_t *packet_id) NJ_NODISCARD;

struct nj_client_filter {
    struct nj_bytes filter;
    uint8_t options; /* QoS, and for MQTT 5 no-local, retain-as-published, retain handling */
};
#define NJ_CLIENT_NO_LOCAL            0x04
#define NJ_CLIENT_RETAIN_AS_PUBLISHED 0x08
#define NJ_CLIENT_RETAIN_HANDLING(n)  ((uint8_t)((n) << 4))
enum nj_err nj_client_subscribe(struct nj_client *client, const struct nj_client_filter *filters,
                                size_t count, const struct nj_client_props *props,
                                uint16_t *packet_id) NJ_NODISCARD;
enum nj_err nj_client_unsubscribe(struct nj_client *client, const struct nj_bytes *filters,
                                  size_t count, const struct nj_client_props *props,
                                  uint16_t *packet_id) NJ_NODISCARD;

/* Bytes that wait for the socket, and messages of QoS 1, 2 that are not done: what a producer looks
 * at before it makes more. */
size_t nj_client_unsent_bytes(const struct nj_client *client);
size_t nj_client_unfinished(const struct nj_client *client);
/* NULL when the broker chose none. */
const char *nj_client_id(const struct nj_client *client);

/* Another descriptor in the same loop (standard input, signals): level-triggered; its fn gets the
 * client as `turn`. NJ_ENOTSUP: a regular file, which is always ready. */
enum nj_err nj_client_watch(struct nj_client *client, struct nj_loop_source *source, int fd)
    NJ_NODISCARD;
void nj_client_unwatch(struct nj_client *client, struct nj_loop_source *source);

#endif
