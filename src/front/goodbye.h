/* The two packets that end a connection from our side: a refusing CONNACK and DISCONNECT. */
#ifndef NJ_FRONT_GOODBYE_H
#define NJ_FRONT_GOODBYE_H

#include "mqtt/types.h"

struct nj_conn;

/* DISCONNECT with the connection's close_reason, written at once as far as the socket takes it; for
 * MQTT 5 only. */
void nj_goodbye_send(struct nj_conn *conn);
/* CONNACK with `reason`, translated for MQTT 3, then the connection closes. `why` is a static text
 * for the log; what the client is told follows from `reason` alone (broker/explain.h). */
void nj_goodbye_refuse(struct nj_conn *conn, enum nj_mqtt_reason reason, const char *why);

#endif
