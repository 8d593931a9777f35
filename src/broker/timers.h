/* Timers of one worker's sessions: a binary heap of intrusive nodes ordered by deadline. */
#ifndef NJ_BROKER_TIMERS_H
#define NJ_BROKER_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct nj_btimer {
    uint64_t due_ms; /* monotonic */
    uint32_t place;  /* in the heap, 1-based; 0 = not set */
};

struct nj_btimers {
    struct nj_btimer **heap; /* heap[1] is the first due */
    uint32_t count;
    uint32_t cap;
};

void nj_btimers_fini(struct nj_btimers *timers);
/* Sets or moves. Aborts when memory is gone: sessions are counted before they get one. */
void nj_btimer_set(struct nj_btimers *timers, struct nj_btimer *timer, uint64_t due_ms);
void nj_btimer_clear(struct nj_btimers *timers, struct nj_btimer *timer);
/* The first timer that is due, taken off; NULL when none is. */
struct nj_btimer *nj_btimers_take_due(struct nj_btimers *timers, uint64_t now_ms);
/* UINT64_MAX when there is none. */
uint64_t nj_btimers_next_ms(const struct nj_btimers *timers);

#endif
