/* Fault plans for tests: make the n-th call of a kind fail, once or from then on.
 * In production no plan is armed and a check costs one relaxed load. */
#ifndef NJ_BASE_FAULT_H
#define NJ_BASE_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum nj_fault_kind {
    NJ_FAULT_ALLOC,  /* nj_try_… returns NULL */
    NJ_FAULT_READ,   /* file read fails with EIO */
    NJ_FAULT_WRITE,  /* file write fails with ENOSPC */
    NJ_FAULT_SYNC,   /* fsync fails with EIO */
    NJ_FAULT_OPEN,   /* open fails with EMFILE */
    NJ_FAULT_RENAME, /* rename fails with EROFS */
    NJ_FAULT_RANDOM, /* the random source fails */
    NJ_FAULT_THREAD, /* a thread cannot be created */
    NJ_FAULT_COUNT
};

/* Owner: fault.c. Non-zero while any plan is armed. */
extern _Atomic int nj_fault_armed;

bool nj_fault_hit_slow(enum nj_fault_kind kind);

/* True when this call has to fail. Any thread. */
static inline bool nj_fault_hit(enum nj_fault_kind kind)
{
    return atomic_load_explicit(&nj_fault_armed, memory_order_relaxed) && nj_fault_hit_slow(kind);
}

/* Call number `nth` (1 = the next) of `kind` fails; `forever`: and all after it. */
void nj_fault_arm(enum nj_fault_kind kind, uint64_t nth, bool forever);
void nj_fault_disarm(void);
/* How many calls of `kind` were counted since its plan was armed. */
uint64_t nj_fault_calls(enum nj_fault_kind kind);

/* A place where a test lets the process die: with NIGHTJAR_CRASH=NAME:N in its environment the N-th
 * pass is its end, by SIGKILL, whatever other threads are doing. They stand around every step that
 * makes something durable; `./dev soak crash` finds them in the source and goes through all of
 * them. Nothing in builds without the option crash_points. Any thread. */
#ifdef NJ_CRASH_POINTS
extern const char *nj_crash_name; /* NULL = live on. Owner: fault.c; set by nj_crash_arm only */
void nj_crash_pass(const char *name);
static inline void nj_crash_point(const char *name)
{
    if (__builtin_expect(nj_crash_name != NULL, 0)) {
        nj_crash_pass(name);
    }
}
#else
static inline void nj_crash_point(const char *name)
{
    (void)name;
}
#endif
/* At the start of a program, before there are threads: takes over what the environment says. */
void nj_crash_arm(void);

#endif
