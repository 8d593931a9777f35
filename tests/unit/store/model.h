/* What a store should hold, kept the simple way, and the comparison with one that was opened. */
#ifndef NJ_TESTS_UNIT_STORE_MODEL_H
#define NJ_TESTS_UNIT_STORE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "rig.h"

#define MODEL_OWNERS 24
#define MODEL_ROWS   4000
#define MODEL_TOPICS 16
#define MODEL_IDS    8
#define MODEL_SUBS   6

struct model_row {
    uint64_t seq;
    uint32_t owner;
    uint32_t stamp; /* of its message: its payload is made of it */
    uint32_t len;
    uint16_t packet_id;
    uint8_t state; /* enum nj_store_row_state */
};

struct model_owner {
    bool exists;
    uint64_t number;
    bool has_will;
    uint32_t will_stamp;
    uint32_t expiry_s;
    uint32_t subs[MODEL_SUBS];    /* value + 1; 0 = none */
    uint32_t incoming[MODEL_IDS]; /* stamp of the message under packet id i + 1; 0 = none */
    uint32_t incoming_len[MODEL_IDS];
};

struct model {
    struct model_owner owners[MODEL_OWNERS];
    struct model_row rows[MODEL_ROWS]; /* rising */
    uint32_t row_count;
    uint32_t retained[MODEL_TOPICS]; /* stamp; 0 = none */
    uint32_t retained_len[MODEL_TOPICS];
    uint64_t next_seq;
    uint64_t late_seq; /* given and not used yet; 0 = none */
    uint64_t next_owner;
    uint32_t next_stamp;
    uint64_t random;
    bool has_blobs;          /* some payloads go beside the map */
    uint32_t extra_sessions; /* of the test's own, with numbers that are not the model's */
};

void model_init(struct model *model, uint64_t seed);
uint64_t model_random(struct model *model, uint64_t bound);

/* Up to MODEL_OPS random operations, applied to the model. The messages are the caller's to let go
 * of after the submit. */
#define MODEL_OPS 12
struct model_group {
    struct nj_store_op ops[MODEL_OPS];
    struct nj_store_session sessions[MODEL_OPS];
    struct nj_message *messages[MODEL_OPS];
    char texts[MODEL_OPS][24];
    unsigned count;
    unsigned message_count;
};
void model_group_make(struct model *model, struct model_group *group);
void model_group_fini(struct model_group *group);

/* Loads and reads everything from the store and compares; false with a line on stderr when they
 * differ. */
bool model_equals(const struct model *model, struct rig *rig);

#endif
