/* See plan.h. */
#include "plan.h"

#include <stdio.h>
#include <string.h>

/* splitmix64: small, and the same everywhere. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static const struct {
    const char *name;
    uint8_t weight;
} kinds[STEP_KIND_COUNT] = {
    [STEP_CONNECT] = {"connect", 12},
    [STEP_DISCONNECT] = {"disconnect", 3},
    [STEP_BREAK] = {"break", 4},
    [STEP_SUBSCRIBE] = {"subscribe", 16},
    [STEP_UNSUBSCRIBE] = {"unsubscribe", 4},
    [STEP_PUBLISH] = {"publish", 30},
    [STEP_PUBREL] = {"pubrel", 10},
    [STEP_ANSWER] = {"answer", 10},
    [STEP_ANSWER_ALL] = {"answer all", 6},
    [STEP_CLOCK] = {"clock", 5},
    [STEP_RIGHTS] = {"rights", 3},
    [STEP_ADMIN] = {"change dynamic security", 8},
    [STEP_BLOCK] = {"block", 2},
    [STEP_UNBLOCK] = {"unblock", 4},
    [STEP_STORE_HOLD] = {"hold the store", 4},
    [STEP_STORE_RELEASE] = {"release the store", 4},
    [STEP_CRASH] = {"crash", 4},
};

static enum step_kind choose(uint64_t number)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < STEP_KIND_COUNT; i++) {
        sum += kinds[i].weight;
    }
    unsigned at = (unsigned)(number % sum);
    unsigned kind = 0;
    while (at >= kinds[kind].weight) {
        at -= kinds[kind++].weight;
    }
    return (enum step_kind)kind;
}

void plan_make(struct plan *plan, uint64_t seed, unsigned steps)
{
    uint64_t state = seed;
    memset(plan, 0, sizeof(*plan));
    plan->seed = seed;
    plan->shards = 1 + (unsigned)(next(&state) % 3);
    plan->clients = 2 + (unsigned)(next(&state) % 5);
    plan->max_inflight = next(&state) % 3 ? 20 : 2;
    plan->queue_qos0 = next(&state) % 4 == 0;
    plan->has_dynsec = next(&state) % 2;
    plan->count = steps < PLAN_STEPS_MAX ? steps : PLAN_STEPS_MAX;
    for (unsigned i = 0; i < plan->count; i++) {
        struct step *step = &plan->steps[i];
        /* Everybody comes first: otherwise half of the steps find nobody to do them. */
        step->kind = (uint8_t)(i < plan->clients ? STEP_CONNECT : choose(next(&state)));
        step->client = (uint8_t)(i < plan->clients ? i : next(&state) % plan->clients);
        for (unsigned a = 0; a < STEP_ARGS; a++) {
            step->arg[a] = (uint32_t)next(&state);
        }
    }
}

const char *plan_step_text(const struct step *step, char *buf, unsigned size)
{
    (void)snprintf(buf, size, "c%u %s", step->client, kinds[step->kind].name);
    return buf;
}
