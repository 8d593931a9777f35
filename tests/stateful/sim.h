/* One round: a plan is run against the broker core and against the model at the same time. */
#ifndef NJ_TESTS_STATEFUL_SIM_H
#define NJ_TESTS_STATEFUL_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"
#include "plan.h"
#include "unit/broker/rig.h"

/* What the broker still has to answer on a connection, in the order of the questions. */
struct sim_answer {
    enum nj_mqtt_type type;
    uint16_t id;
    uint8_t reason;
};

#define ANSWERS_MAX 512
#define ALIASES     4

struct sim_client {
    struct rig_client *conn; /* NULL = away */
    uint32_t connection;     /* its number */
    uint8_t version;
    uint32_t window;
    bool is_blocked;
    bool has_max_packet;
    uint16_t next_id;
    struct sim_answer answers[ANSWERS_MAX];
    unsigned answer_count;
    char alias_out[ALIASES + 1][256]; /* what the broker told it */
    int alias_in[ALIASES + 1];        /* what it told the broker; -1 = nothing */
};

struct sim {
    const struct plan *plan;
    struct rig rig;
    struct model model;
    struct sim_client clients[CLIENTS_MAX];
    uint32_t last_serial;
    uint32_t last_connection;
    unsigned step;
    bool is_verbose;
    bool is_lagging; /* what is read now was put out some time ago */
};

/* Never returns on a difference: it tells it and ends the process. */
void sim_run(const struct plan *plan, bool is_verbose);

/* -- sim_check.c -- */
void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));
/* What a step came to, for people; with --verbose only. */
void sim_note(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Reads what came for everybody, and looks for what should have come. */
void sim_check(struct sim *sim);
/* After everybody was there and answered everything: nothing may be left. */
void sim_check_nothing_left(struct sim *sim);
/* Does the client's half of one message; false when there was nothing to answer. `number` picks
 * one. */
bool sim_answer_one(struct sim *sim, unsigned client, uint32_t number);
/* How many more messages of QoS > 0 it takes now. */
unsigned sim_room(const struct sim *sim, unsigned client);
void sim_expect(struct sim *sim, unsigned client, enum nj_mqtt_type type, uint16_t id,
                uint8_t reason);

#endif
