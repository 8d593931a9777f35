/* A broker core without sockets: shards that are turned by hand, connections that are buffers, a
 * clock that stands still, and a store whose completions the test decides about.
 *
 * Nothing here uses the nj_try_… allocator, so a fault plan hits the core only. */
#ifndef NJ_TESTS_BROKER_RIG_H
#define NJ_TESTS_BROKER_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "broker/limits.h"
#include "broker/link.h"
#include "broker/session.h"
#include "broker/shard.h"
#include "broker/stats.h"
#include "mqtt/types.h"
#include "store/store.h"

#define RIG_SHARDS_MAX 4

struct nj_dynsec_state;
struct rig_client;

/* ---- the store */

/* What is on the disk; see rig_keep. */
struct rig_image {
    struct rig_record *records;
    unsigned count;
    unsigned cap;
    struct nj_store_group *running; /* submitted and not completed */
    struct nj_store_highest highest;
};

struct rig_store {
    struct nj_store base;
    struct nj_store *inner; /* a store_ram: what was released */
    struct rig_image image;
    bool keeps_image;
    bool is_dead;          /* takes nothing more: the power is gone */
    unsigned dies_after;   /* so many more groups; 0 = does not */
    bool holds;            /* groups and reads wait for rig_store_release */
    unsigned refuse;       /* so many submits are refused at once */
    unsigned refuse_every; /* and each n-th; 0 = none */
    unsigned refuse_reads;
    enum nj_err result;        /* of completions */
    enum nj_err read_result;   /* of reads */
    uint64_t waiting;          /* what it says of itself, */
    enum nj_store_state state; /* and how it is */
    struct nj_store_group *groups;
    struct nj_store_group **groups_end;
    unsigned group_count;
    unsigned submits;
    unsigned reads;
    unsigned ops[NJ_STORE_OP_KIND_COUNT];
    unsigned row_count; /* released, and not removed */
    unsigned checksum;  /* of all bytes handed over, so that dangling ones are found */
};

struct rig {
    struct nj_core core;
    struct nj_limits limits;
    struct rig_store store;
    uint64_t now_ms;
    struct nj_clock_fake clock; /* both clocks stand where now_ms is */
    uint64_t epoch;
    struct nj_dynsec_state *dynsec; /* of policies made from now on; NULL = none */
    struct rig_client *clients;
    unsigned denials;
    unsigned outside_records;
    unsigned requests; /* to $CONTROL: counted and answered with `answer` */
    enum nj_mqtt_reason answer;
    unsigned turns; /* of all shards together */
    struct nj_shard *shards[RIG_SHARDS_MAX];
};

void rig_open(struct rig *rig, unsigned shards);
/* After rig_open: what is completed outlives rig_crash. */
void rig_keep(struct rig *rig);
/* The process dies and is started anew: all connections are gone (forget their rig_client), what
 * the store completed is there again. Between two turns with nothing held. */
void rig_crash(struct rig *rig);
/* The same while the store holds groups: of those that wait the first `groups` are on the disk,
 * although nobody was told, and the others are lost. A joint group of which a part is missing is
 * lost whole, and with it what waits behind its parts. */
void rig_crash_at(struct rig *rig, unsigned groups);
void rig_close(struct rig *rig);
/* Turns every shard until nothing moves any more. */
void rig_run(struct rig *rig);
/* The clock moves on, timers run. */
void rig_advance(struct rig *rig, uint64_t ms);
/* A new policy from the text of an ACL file (NULL = no ACL, everything allowed); in force after
 * the next turn. */
void rig_policy(struct rig *rig, const char *acl);
/* The same with dynamic security, of which it takes a reference; NULL = without. */
void rig_dynsec(struct rig *rig, struct nj_dynsec_state *state);
/* Every shard takes the new policy over without a turn, so that connections whose login does not
 * hold any more can be closed before anything else happens, as front does it. */
void rig_adopt(struct rig *rig);
/* Completes what the store holds. */
void rig_store_release(struct rig *rig, enum nj_err result);
/* The store says that it removed a row. */
void rig_store_expire(struct rig *rig, const struct nj_store_expired *expired);
/* Sum of a counter over all shards. */
#define RIG_STAT(rig, name) rig_stat((rig), offsetof(struct nj_stats, name))
uint64_t rig_stat(const struct rig *rig, size_t offset);

/* ---- connections */

struct rig_connect {
    enum nj_mqtt_version version; /* 0 = 5 */
    const char *user;             /* NULL = anonymous */
    uint64_t credential;          /* of its login; 0 = none that can change */
    bool is_clean;
    uint32_t expiry_s;
    uint16_t receive_max;
    uint16_t receive_max_in;
    uint16_t alias_out_max;
    uint16_t alias_in_max;
    uint32_t max_packet;
    const char *mount;
    const char *will_topic; /* NULL = none */
    const char *will_payload;
    uint8_t will_qos;
    bool will_retain;
    uint32_t will_delay_s;
    uint32_t will_expiry_s;
};

struct rig_client {
    struct nj_link link; /* first */
    struct rig *rig;
    struct rig_client *next;
    char id[32];
    bool is_blocked; /* its socket takes nothing */
    bool is_ready;
    bool is_closed; /* the core closed it */
    bool is_gone;   /* and it was detached */
    bool was_present;
    bool keeps_will;
    enum nj_mqtt_reason reason;
    const char *why;
    uint8_t *in; /* bytes that came out of the core */
    size_t in_len;
    size_t in_cap;
    size_t in_at; /* parsed so far */
};

/* NULL when the claim was refused (or memory was short). `options` may be NULL: MQTT 5, clean. */
struct rig_client *rig_connect(struct rig *rig, const char *id, const struct rig_connect *options);
/* Without a turn afterwards. */
struct rig_client *rig_connect_quietly(struct rig *rig, const char *id,
                                       const struct rig_connect *options);
/* A stored session of MQTT 5 that lasts an hour. */
struct rig_client *rig_connect_stored(struct rig *rig, const char *id);
/* The connection breaks / the client says DISCONNECT. */
void rig_break(struct rig_client *client);
void rig_disconnect(struct rig_client *client);
void rig_block(struct rig_client *client);
void rig_unblock(struct rig_client *client);

struct rig_publish {
    const char *topic;
    const char *payload;
    size_t payload_len; /* 0: strlen of payload */
    uint8_t qos;
    bool is_retain;
    bool is_dup;
    uint16_t id;
    uint16_t alias;
    bool has_expiry;
    uint32_t expiry_s;
};
/* Each of these is followed by rig_run. They return what the core said: 0, or why the connection
 * has to be closed (and it is closed, as front does it). */
enum nj_mqtt_reason rig_publish(struct rig_client *client, const struct rig_publish *publish);
enum nj_mqtt_reason rig_publish_quietly(struct rig_client *client,
                                        const struct rig_publish *publish);
enum nj_mqtt_reason rig_say(struct rig_client *client, const char *topic, const char *payload,
                            uint8_t qos, uint16_t id);
void rig_retain(struct rig_client *client, const char *topic, const char *payload, uint8_t qos);
void rig_pubrel(struct rig_client *client, uint16_t id);
void rig_puback(struct rig_client *client, uint16_t id);
void rig_pubrec(struct rig_client *client, uint16_t id, bool is_error);
void rig_pubcomp(struct rig_client *client, uint16_t id);

struct rig_subscribe {
    const char *filter;
    uint8_t qos;
    uint32_t sub_id;
    bool is_no_local;
    bool is_retain_as_published;
    uint8_t retain_handling;
};
/* The code that went into the SUBACK, which itself is left among the client's packets. */
uint8_t rig_subscribe(struct rig_client *client, const struct rig_subscribe *subscribe);
/* The same, and the SUBACK is taken off. */
void rig_sub(struct rig_client *client, const char *filter, uint8_t qos);
uint8_t rig_unsubscribe(struct rig_client *client, const char *filter);

/* ---- what the client sees */

struct rig_packet {
    enum nj_mqtt_type type;
    uint8_t qos;
    bool is_dup;
    bool is_retain;
    uint16_t id;
    uint8_t reason;
    char topic[256];
    struct nj_bytes payload; /* into the client's bytes; valid until more arrive */
    bool has_expiry;
    uint32_t expiry_s;
    uint32_t sub_id;
    uint16_t alias;
};
/* False when there is none (whole). */
bool rig_next(struct rig_client *client, struct rig_packet *packet);
/* The next one, which has to be there and of this type. */
struct rig_packet rig_expect(struct rig_client *client, enum nj_mqtt_type type);
struct rig_packet rig_expect_publish(struct rig_client *client, const char *topic,
                                     const char *payload, uint8_t qos);
void rig_expect_ack(struct rig_client *client, enum nj_mqtt_type type, uint16_t id, uint8_t reason);
void rig_expect_nothing(struct rig_client *client);
/* A client that acknowledges everything: takes all packets, answers, runs; returns how many
 * PUBLISH packets it saw. */
unsigned rig_drain(struct rig_client *client);

struct nj_session *rig_session(struct rig *rig, const char *id);

#endif
