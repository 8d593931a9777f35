/* One round: a plan is run against the broker core and against the model at the same time. */
#ifndef NJ_TESTS_STATEFUL_SIM_H
#define NJ_TESTS_STATEFUL_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "admin.h"
#include "model.h"
#include "plan.h"
#include "unit/broker/rig.h"

/* What the broker still has to answer on a connection, in the order of the questions. */
struct sim_answer {
    enum nj_mqtt_type type;
    uint16_t id;
    uint8_t reason;
    bool is_promise; /* says that something is durable, which it is not yet */
};

#define ANSWERS_MAX 512
#define ALIASES     4

struct sim_client {
    struct rig_client *conn; /* NULL = away */
    uint32_t connection;     /* its number */
    uint8_t version;
    unsigned password; /* that it logged in with; see admin.h */
    uint32_t window;
    bool is_blocked;
    bool has_max_packet;
    uint16_t next_id;
    struct sim_answer answers[ANSWERS_MAX];
    unsigned answer_count;
    char alias_out[ALIASES + 1][256]; /* what the broker told it */
    int alias_in[ALIASES + 1];        /* what it told the broker; -1 = nothing */
};

/* While the store holds groups: what is on the disk if the process dies, and what the model was
 * then. */
struct sim_crash_point {
    unsigned steps_left; /* until it is reached */
    bool is_reached;
    uint32_t cut;    /* where in the groups of the next step; 0 = before them */
    unsigned groups; /* on the disk */
    struct model model;
};

struct sim {
    const struct plan *plan;
    struct rig rig;
    struct model model;
    struct admin *admin; /* NULL = without dynamic security */
    struct sim_client clients[CLIENTS_MAX];
    uint32_t last_serial;
    uint32_t last_connection;
    unsigned step;
    bool is_verbose;
    bool is_lagging; /* what is read now was put out some time ago */
    struct sim_crash_point point;
};

/* Never returns on a difference: it tells it and ends the process. */
void sim_run(const struct plan *plan, bool is_verbose);

/* -- sim.c -- */
void sim_advance(struct sim *sim, uint64_t ms);
void sim_forget_connection(struct sim *sim, unsigned client);

const char *sim_user_name(int user);

/* -- sim_rights.c -- */
void sim_set_rights(struct sim *sim, unsigned rights);
void sim_change_dynsec(struct sim *sim, const struct step *step);
/* Everything is allowed to everybody. */
void sim_open_rights(struct sim *sim);
/* Fills in what the login says; false when it is refused. */
bool sim_log_in(struct sim *sim, unsigned client, int user, struct rig_connect *options);

/* -- sim_crash.c -- */
/* Steps about the store and the process. */
void sim_hold_store(struct sim *sim, const struct step *step);
void sim_release_store(struct sim *sim);
void sim_crash(struct sim *sim);
/* After each step: keeps what is to be there after a crash. */
void sim_pass_crash_point(struct sim *sim);

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
/* The answer expected last may not come before the store has what it is about. */
void sim_expect_durable(struct sim *sim, unsigned client);

#endif
