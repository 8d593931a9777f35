/* What happens in one round of the stateful fuzzer: a list of steps made from a seed.
 *
 * A step holds numbers only. What they mean is decided when it is run (the third of the packets
 * that wait, the fifth topic), so every part of a plan is a plan, and a failing one can be made
 * shorter by leaving steps out. */
#ifndef NJ_TESTS_STATEFUL_PLAN_H
#define NJ_TESTS_STATEFUL_PLAN_H

#include <stdbool.h>
#include <stdint.h>

enum step_kind {
    STEP_CONNECT,
    STEP_DISCONNECT,
    STEP_BREAK,
    STEP_SUBSCRIBE,
    STEP_UNSUBSCRIBE,
    STEP_PUBLISH,
    STEP_PUBREL,
    STEP_ANSWER, /* the client acknowledges one of what it got */
    STEP_ANSWER_ALL,
    STEP_CLOCK,
    STEP_RIGHTS, /* another ACL file */
    STEP_ADMIN,  /* a change of dynamic security */
    STEP_BLOCK,
    STEP_UNBLOCK,
    STEP_STORE_HOLD, /* completions of the store wait */
    STEP_STORE_RELEASE,
    STEP_CRASH, /* the process dies and is started anew */
    STEP_KIND_COUNT
};

#define STEP_ARGS 8

struct step {
    uint8_t kind; /* enum step_kind */
    uint8_t client;
    uint32_t arg[STEP_ARGS];
};

#define PLAN_STEPS_MAX 400

struct plan {
    uint64_t seed;
    unsigned shards;
    unsigned clients; /* 2 to 6 */
    unsigned max_inflight;
    bool queue_qos0;
    bool has_dynsec;
    unsigned count;
    struct step steps[PLAN_STEPS_MAX];
};

void plan_make(struct plan *plan, uint64_t seed, unsigned steps);
/* One line for people. Returns buf. */
const char *plan_step_text(const struct step *step, char *buf, unsigned size);

#endif
