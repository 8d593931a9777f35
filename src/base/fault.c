/* Counters behind fault.h. */
#include "base/fault.h"

#ifdef NJ_CRASH_POINTS
#    include <signal.h>
#    include <stdlib.h>
#    include <string.h>
#    include <unistd.h>
#endif

_Atomic int nj_fault_armed;

static struct plan {
    _Atomic uint64_t calls;
    _Atomic uint64_t nth; /* 0 = no plan */
    _Atomic bool forever;
} plans[NJ_FAULT_COUNT];

bool nj_fault_hit_slow(enum nj_fault_kind kind)
{
    struct plan *plan = &plans[kind];
    uint64_t nth = atomic_load(&plan->nth);
    if (nth == 0) {
        return false;
    }
    uint64_t call = atomic_fetch_add(&plan->calls, 1) + 1;
    return call == nth || (call > nth && atomic_load(&plan->forever));
}

void nj_fault_arm(enum nj_fault_kind kind, uint64_t nth, bool forever)
{
    atomic_store(&plans[kind].calls, 0);
    atomic_store(&plans[kind].forever, forever);
    atomic_store(&plans[kind].nth, nth);
    atomic_store(&nj_fault_armed, 1);
}

void nj_fault_disarm(void)
{
    atomic_store(&nj_fault_armed, 0);
    for (int kind = 0; kind < NJ_FAULT_COUNT; kind++) {
        atomic_store(&plans[kind].nth, 0);
    }
}

uint64_t nj_fault_calls(enum nj_fault_kind kind)
{
    return atomic_load(&plans[kind].calls);
}

/* ---- crash points */

#ifdef NJ_CRASH_POINTS

const char *nj_crash_name;
static _Atomic long passes_left;

void nj_crash_arm(void)
{
    static char name[64];
    const char *plan = getenv("NIGHTJAR_CRASH");
    const char *colon = plan ? strchr(plan, ':') : NULL;
    if (!colon || colon == plan || (size_t)(colon - plan) >= sizeof(name)) {
        return;
    }
    memcpy(name, plan, (size_t)(colon - plan));
    atomic_store(&passes_left, strtol(colon + 1, NULL, 10));
    nj_crash_name = name;
}

void nj_crash_pass(const char *name)
{
    if (strcmp(name, nj_crash_name) == 0 && atomic_fetch_sub(&passes_left, 1) == 1) {
        (void)kill(getpid(), SIGKILL);
        for (;;) {
            (void)pause(); /* not one step further */
        }
    }
}

#else

void nj_crash_arm(void)
{
}

#endif
