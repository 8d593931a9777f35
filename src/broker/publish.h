/* Incoming PUBLISH and the acknowledgements around it (MQTT5 3.3 – 3.7). Called by front with
 * decoded packets, on the session's worker. */
#ifndef NJ_BROKER_PUBLISH_H
#define NJ_BROKER_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "broker/deliver.h"
#include "mqtt/types.h"

struct nj_origin;
struct nj_session;

/* A decoded PUBLISH; views into the read buffer. */
struct nj_publish_in {
    struct nj_bytes topic; /* as on the wire; empty with an alias */
    struct nj_bytes props; /* to pass on: without alias and expiry */
    struct nj_bytes payload;
    uint32_t expiry_s;
    bool has_expiry;
    uint16_t packet_id;
    uint16_t alias; /* 0 = none */
    uint8_t qos;
    bool is_retain;
    bool is_dup;
    bool says_utf8; /* payload format indicator 1 */
};

/* Whether the packet has to be left for later: too much waits for the store already, of this client
 * or of all, or the store takes no more and the client's version knows no answer that says so. It
 * is called again when that has changed (nj_link_ops.read_on). */
bool nj_session_must_wait(struct nj_session *session, const struct nj_publish_in *in);
/* NJ_OK, or an error with *reason: the connection has to be closed with it. */
enum nj_err nj_session_publish(struct nj_session *session, const struct nj_publish_in *in,
                               enum nj_mqtt_reason *reason) NJ_NODISCARD;
/* See release.h. */
void nj_session_pubrel(struct nj_session *session, uint16_t packet_id);
/* False: the message with this packet id is answered with another packet. What follows takes such
 * an answer for one to nothing. */
bool nj_session_expects(const struct nj_session *session, enum nj_mqtt_type ack,
                        uint16_t packet_id);
/* The client's answers to what we sent. `is_error`: reason code ≥ 0x80. */
void nj_session_puback(struct nj_session *session, uint16_t packet_id);
void nj_session_pubrec(struct nj_session *session, uint16_t packet_id, bool is_error);
void nj_session_pubcomp(struct nj_session *session, uint16_t packet_id);

/* A publication whose right was decided: retained, then routed. What the publisher's answer has to
 * wait for is in the result (its store group is still open). */
struct nj_routed nj_publish_accepted(struct nj_session *session, struct nj_publication *publication,
                                     bool wants_ticket);
/* Puts the listener's mount point in front of *topic, in shard->topic_buf. */
enum nj_err nj_shard_mounted(struct nj_shard *shard, struct nj_bytes mount_point,
                             struct nj_bytes *topic) NJ_NODISCARD;
/* Takes the retained message of a topic away, in the store, too (the group is still open). False
 * when there is none. */
bool nj_shard_retain_clear(struct nj_shard *shard, struct nj_bytes topic);
/* The operation that keeps a retained message, in the open group; `origin` NULL = the broker;
 * `over`: value of NJ_STORE_RETAIN_SET. */
void nj_shard_retain_store(struct nj_shard *shard, struct nj_message *message,
                           struct nj_origin *origin, uint64_t over);
/* Requests to the broker: never routed, retained or stored. */
bool nj_publish_is_request(struct nj_bytes topic);
/* The broker's own publication ($SYS), or a retained message set by it. */
void nj_publish_by_broker(struct nj_shard *shard, const struct nj_message_view *view);

#endif
