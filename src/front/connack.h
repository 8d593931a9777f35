/* The CONNACK of an accepted login (MQTT5 3.2). */
#ifndef NJ_FRONT_CONNACK_H
#define NJ_FRONT_CONNACK_H

#include <stdbool.h>
#include <stdint.h>

struct nj_conn;
struct nj_login;

/* Response information and the assigned client id are the largest parts. */
#define NJ_CONNACK_MAX 1024
/* An assigned client id of this length always has room in it. */
#define NJ_ASSIGNED_ID_MAX 512

/* For a connection whose session is attached. Returns the packet's length. Response information is
 * left out where the client may not use it, or takes no packet that large. */
uint32_t nj_connack_encode(const struct nj_conn *conn, const struct nj_login *login,
                           bool session_present, uint8_t out[NJ_CONNACK_MAX]);

#endif
