/* Reads the file in which Mosquitto keeps its state, mosquitto.db of formats 5 and 6 (Mosquitto 1.6
 * to 2.1). Pure: bytes in, calls out. The file holds some numbers in the byte order of the machine
 * that wrote it; little endian is assumed, as everywhere Mosquitto is packaged. */
#ifndef NJ_STORE_MOSQUITTO_DB_H
#define NJ_STORE_MOSQUITTO_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_mosquitto_head {
    uint32_t crc;
    uint32_t version;
    uint64_t last_id;
    uint8_t id_bytes;
    bool is_clean; /* written at a shutdown */
};

/* A message, which others refer to by its id. */
struct nj_mosquitto_message {
    uint64_t id;
    int64_t expires_s; /* Unix time; 0 = never */
    struct nj_bytes source_id;
    struct nj_bytes source_user;
    struct nj_bytes topic;
    struct nj_bytes payload;
    struct nj_bytes props; /* without their length */
    uint16_t source_mid;
    uint16_t source_port;
    uint8_t qos;
    bool is_retain;
    uint32_t chunk_bytes;
};

struct nj_mosquitto_client {
    struct nj_bytes client_id;
    struct nj_bytes user; /* ptr NULL = none, or not known */
    int64_t expires_s;    /* Unix time; 0 = never, or it had a connection */
    uint32_t expiry_s;    /* UINT32_MAX = never */
    uint16_t last_mid;
    uint16_t port;
    uint32_t chunk_bytes;
};

enum nj_mosquitto_state {
    NJ_MOSQUITTO_QUEUED,
    NJ_MOSQUITTO_SENT,
    NJ_MOSQUITTO_RELEASED, /* PUBREC was there, PUBREL is due */
    NJ_MOSQUITTO_INCOMING, /* QoS 2, waits for PUBREL */
    NJ_MOSQUITTO_DONE,     /* nothing is left to do */
};

struct nj_mosquitto_client_message {
    struct nj_bytes client_id;
    uint64_t message;
    uint32_t sub_id;
    uint16_t mid;
    uint8_t qos;
    uint8_t raw_state;
    uint8_t direction; /* 0 = from the client */
    enum nj_mosquitto_state state;
    bool is_retain;
    bool is_dup;
    uint32_t chunk_bytes;
};

struct nj_mosquitto_sub {
    struct nj_bytes client_id;
    struct nj_bytes filter;
    uint32_t sub_id;
    uint8_t qos;
    uint8_t options; /* as in SUBSCRIBE: no local 4, retain as published 8 */
    uint32_t chunk_bytes;
};

/* Any may be NULL. An error ends the reading. */
struct nj_mosquitto_reader {
    void *arg;
    enum nj_err (*head)(void *arg, const struct nj_mosquitto_head *head);
    enum nj_err (*message)(void *arg, const struct nj_mosquitto_message *message);
    enum nj_err (*client)(void *arg, const struct nj_mosquitto_client *client);
    enum nj_err (*client_message)(void *arg, const struct nj_mosquitto_client_message *message);
    enum nj_err (*sub)(void *arg, const struct nj_mosquitto_sub *sub);
    enum nj_err (*retained)(void *arg, uint64_t message);
};

/* NJ_EMALFORMED: no such file, or it ends or is damaged before its end (what came before was told);
 * NJ_ENOTSUP: a format that is not known. */
enum nj_err nj_mosquitto_db_read(struct nj_bytes file, const struct nj_mosquitto_reader *reader)
    NJ_NODISCARD;

#endif
