/* AUTH (MQTT5 3.15). There is none before MQTT 5: ask nj_mqtt_type_is_known first. */
#ifndef NJ_MQTT_AUTH_H
#define NJ_MQTT_AUTH_H

#include "mqtt/disconnect.h"

/* A client's: CONTINUE_AUTHENTICATION or REAUTHENTICATE, with a method. */
enum nj_err nj_mqtt_auth_decode(struct nj_bytes body, struct nj_mqtt_coded *out,
                                enum nj_mqtt_reason *reason) NJ_NODISCARD;
/* A server's: SUCCESS or CONTINUE_AUTHENTICATION. */
enum nj_err nj_mqtt_auth_decode_from_server(struct nj_bytes body, struct nj_mqtt_coded *out,
                                            enum nj_mqtt_reason *reason) NJ_NODISCARD;

/* Size of the whole packet; 0 when it cannot be expressed. */
size_t nj_mqtt_auth_size(const struct nj_mqtt_coded *packet);
uint8_t *nj_mqtt_auth_encode(const struct nj_mqtt_coded *packet, uint8_t *at);

#endif
