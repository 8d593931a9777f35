/* The bodies of the records that workers exchange (batch.h). Only copies, counted references and
 * ids: never a pointer into what one worker owns, except a connection that is being handed over. */
#ifndef NJ_BROKER_RECORD_H
#define NJ_BROKER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct nj_link;
struct nj_message;
struct nj_origin;
struct nj_store_rows;

enum nj_record_kind {
    NJ_RECORD_PUBLISH = 1,   /* struct nj_record_publish */
    NJ_RECORD_TICKET_DONE,   /* struct nj_record_ticket */
    NJ_RECORD_STORE_DONE,    /* struct nj_record_store */
    NJ_RECORD_STORE_ROWS,    /* struct nj_record_rows */
    NJ_RECORD_STORE_EXPIRED, /* struct nj_store_expired */
    NJ_RECORD_GROUP_JOIN,    /* struct nj_record_member */
    NJ_RECORD_GROUP_LEAVE,   /* struct nj_record_member */
    NJ_RECORD_GROUP_STATE,   /* struct nj_record_member: a member came or went */
    NJ_RECORD_GROUP_DELIVER, /* struct nj_record_group_deliver */
    NJ_RECORD_FRONT = 64,    /* and above: front's own (front/record.h) */
};

/* A publication for the subscribers of another worker. The bytes follow the struct (topic,
 * properties, payload), or are in `message`, whose reference goes along. */
struct nj_record_publish {
    struct nj_message *message; /* NULL: bytes follow */
    uint64_t expires_ms;
    uint64_t sender; /* session id, for no-local */
    uint64_t ticket; /* 0 = no answer wanted */
    uint64_t joint;  /* 0, or: only rows now, in this joint group; the rest when it is durable */
    uint32_t from;   /* worker that asks */
    uint32_t topic_len;
    uint32_t props_len;
    uint32_t payload_len;
    uint32_t retain_clock;
    uint8_t qos;
    bool is_retain;
    bool is_accepted; /* as in struct nj_publication */
};

/* "What you sent with this ticket is durable here" (or is not: err). */
struct nj_record_ticket {
    uint64_t ticket;
    enum nj_err err;
    uint32_t parts; /* of its joint group, submitted for it */
};

struct nj_record_store {
    uint64_t group;
    enum nj_err err;
};

/* What a session asked the store for; whoever takes the record frees the rows. */
struct nj_record_rows {
    struct nj_store_rows *rows;
};

/* A member of a shared subscription; group and filter follow the struct. */
struct nj_record_member {
    uint64_t session;
    uint64_t ticket; /* of the member's worker, which waits for the join; 0 = no answer wanted */
    uint32_t worker;
    uint32_t group_len;
    uint32_t filter_len;
    bool is_online;
    bool is_stored;
};

/* One message for one member: from the group's home to the member's worker; and back with
 * `is_refused` when that member may not have it or is gone, to try the next one. Group and filter
 * follow the struct. */
struct nj_record_group_deliver {
    struct nj_message *message; /* the reference goes along */
    uint64_t session;           /* the member that is asked */
    uint64_t first;             /* who was asked first in this round: it ends there */
    uint64_t ticket;
    uint64_t joint; /* as in nj_record_publish */
    uint32_t ticket_from;
    uint32_t home;
    uint32_t tried;    /* members asked so far, */
    uint32_t restarts; /* since it began anew so often, */
    uint32_t clock;    /* with the members as they were then */
    uint32_t group_len;
    uint32_t filter_len;
    bool is_second_round; /* no member online took it: those that are away */
    bool is_refused;
    bool is_gone;     /* with is_refused: the member left or ended */
    bool is_accepted; /* as in struct nj_publication */
};

#endif
