/* Timers of one worker: a hierarchical wheel of 1 ms ticks, six levels of 64 slots.
 *
 *     level 0   64 slots of 1 ms      level 3   64 slots of 4.4 min
 *     level 1   64 slots of 64 ms     level 4   64 slots of 4.7 h
 *     level 2   64 slots of 4.1 s     level 5   64 slots of 12.4 days (and everything later)
 *
 * Setting, re-arming and cancelling are O(1) and allocate nothing; a timer sinks at most five
 * levels before it fires. A timer never fires early. For keep-alive do not re-arm on every packet:
 * note the time of the last activity and let the timer, when it fires, set itself again for the
 * rest. No clock is read here. Threads: the worker that owns the wheel (under its baton). */
#ifndef NJ_NET_TIMER_H
#define NJ_NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

#define NJ_TIMER_LEVELS 6
#define NJ_TIMER_SLOTS  64
/* What nj_timers_next_ms says when no timer is set. */
#define NJ_TIMER_NEVER UINT64_MAX

struct nj_timer;

/* The timer is no longer set when this runs; it may set, cancel or free this and any other timer.
 */
typedef void (*nj_timer_fn)(struct nj_timer *timer, void *turn);

/* Embedded (32 bytes). Set with nj_timer_init once. */
struct nj_timer {
    struct nj_list link;
    nj_timer_fn fn;
    uint64_t due_ms : 48;
    uint64_t place : 16; /* 0 = not set, else 1 + level * 64 + slot, or NJ_TIMER_FIRING */
};

struct nj_timers {
    uint64_t now_ms;
    uint64_t used[NJ_TIMER_LEVELS]; /* one bit for every slot that is not empty */
    struct nj_list slots[NJ_TIMER_LEVELS][NJ_TIMER_SLOTS];
    size_t count;
};

/* Embedded, about 6 KiB; may not be moved afterwards. */
void nj_timers_init(struct nj_timers *timers, uint64_t now_ms);

static inline void nj_timer_init(struct nj_timer *timer, nj_timer_fn fn)
{
    nj_list_init(&timer->link);
    timer->fn = fn;
    timer->due_ms = 0;
    timer->place = 0;
}

static inline bool nj_timer_is_set(const struct nj_timer *timer)
{
    return timer->place != 0;
}

/* Sets or moves the timer to an absolute time. A time that has passed fires in the next
 * nj_timers_run, never inside the running one. */
void nj_timer_set(struct nj_timers *timers, struct nj_timer *timer, uint64_t due_ms);
void nj_timer_cancel(struct nj_timers *timers, struct nj_timer *timer);

/* Fires what is due at now_ms, earliest tick first as far as the wheel tells. A now_ms before the
 * last one does nothing. Returns how many fired. */
size_t nj_timers_run(struct nj_timers *timers, uint64_t now_ms, void *turn);
/* When to run again: at the latest when the next timer is due, possibly earlier (a timer that has
 * to sink). NJ_TIMER_NEVER when none is set. */
uint64_t nj_timers_next_ms(const struct nj_timers *timers);

#endif
