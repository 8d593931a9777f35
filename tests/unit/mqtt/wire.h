/* Any packet, decoded and encoded by its type: for the unit tests and fuzz targets of this room.
 * What is wrong ends the program (NJ_ASSERT), so that both can use it. */
#ifndef NJ_TESTS_UNIT_MQTT_WIRE_H
#define NJ_TESTS_UNIT_MQTT_WIRE_H

#include "mqtt/ack.h"
#include "mqtt/auth.h"
#include "mqtt/connack.h"
#include "mqtt/connect.h"
#include "mqtt/disconnect.h"
#include "mqtt/frame.h"
#include "mqtt/ping.h"
#include "mqtt/publish.h"
#include "mqtt/suback.h"
#include "mqtt/subscribe.h"
#include "mqtt/unsuback.h"
#include "mqtt/unsubscribe.h"

#define WIRE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A packet and where it comes from; the rest says what was in it. */
struct wire_any {
    enum nj_mqtt_type type;
    enum nj_mqtt_version version;
    uint8_t flags;
    bool is_from_server; /* matters for PUBLISH, DISCONNECT and AUTH */
    union {
        struct nj_mqtt_connect connect;
        struct nj_mqtt_connack connack;
        struct nj_mqtt_publish publish;
        struct nj_mqtt_ack ack;
        struct nj_mqtt_subscribe subscribe; /* UNSUBSCRIBE, too */
        struct nj_mqtt_suback suback;       /* UNSUBACK, too */
        struct nj_mqtt_coded coded;         /* DISCONNECT, AUTH */
    };
};

/* `any` names type, version, flags and origin. Reads everything that the decoder promises to be
 * readable: user properties, filters, codes, payload. */
enum nj_err wire_decode(struct wire_any *any, struct nj_bytes body, enum nj_mqtt_reason *reason);

/* Encodes what wire_decode read into a new block of exactly that size, to be freed. */
struct nj_bytes wire_encode(const struct wire_any *any);

/* A copy in a block of exactly that size, so that a sanitizer sees each read behind it; to be freed
 * with wire_free. */
struct nj_bytes wire_copy(struct nj_bytes bytes);
void wire_free(struct nj_bytes bytes);

/* -- valid packets of every type and version -- */

/* Every text is "~~~~" and every binary value "!!!!", so that a test can find and replace them. */
struct wire_packet {
    const char *name;
    enum nj_mqtt_version version;
    bool is_from_server;
    struct nj_bytes frame;
    const char *prefixes;  /* shorter body lengths that are valid, too: their count, then they */
    uint32_t payload_from; /* body length from which on every prefix is valid; 0 = none */
};
extern const struct wire_packet wire_packets[];
extern const size_t wire_packet_count;

/* The packet's type, flags, version and origin, and its body. */
struct wire_any wire_any_of(const struct wire_packet *packet, struct nj_bytes *body);

/* Four bytes each that must not be in a text, and four that may. */
#define WIRE_TEXT_LEN 4
struct wire_text {
    const char *why;
    const char *bytes;
};
extern const struct wire_text wire_bad_texts[];
extern const size_t wire_bad_text_count;
extern const struct wire_text wire_good_texts[];
extern const size_t wire_good_text_count;

#endif
