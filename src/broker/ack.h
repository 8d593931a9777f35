/* Acknowledgement packets (MQTT5 3.4 – 3.7): short forms where nothing is refused, straight into a
 * connection's output. */
#ifndef NJ_BROKER_ACK_H
#define NJ_BROKER_ACK_H

#include <stdint.h>

#include "broker/hold.h"

struct nj_link;

/* PUBACK, PUBREC, PUBREL or PUBCOMP. A reason other than 0 goes out with MQTT 5 only; a refusal
 * says in words why (explain.h). */
void nj_ack_send(struct nj_link *link, enum nj_hold_kind kind, uint16_t packet_id, uint8_t reason);
/* What the hold promised did not become durable: says so where the protocol can, else ends the
 * connection so that the client tries again. */
void nj_ack_send_failure(struct nj_link *link, const struct nj_hold *hold);
/* Packet id of an encoded SUBACK or UNSUBACK. */
uint16_t nj_ack_frame_packet_id(const uint8_t *frame);

#endif
