/* The CONNACK of an accepted login (MQTT5 3.2). */
#ifndef NJ_FRONT_CONNACK_H
#define NJ_FRONT_CONNACK_H

#include <stdbool.h>
#include <stdint.h>

struct nj_conn;
struct nj_login;

/* The assigned client id with a long configured prefix is the largest part. */
#define NJ_CONNACK_MAX 1024

/* Returns the packet's length. */
uint32_t nj_connack_encode(const struct nj_conn *conn, const struct nj_login *login,
                           bool session_present, uint8_t *out, uint32_t size);

#endif
