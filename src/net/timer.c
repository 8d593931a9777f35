/* The timer wheel: see timer.h.
 *
 * A timer that is due in 64^n to 64^(n+1)-1 ms lies on level n, in the slot that its due time's
 * n-th group of 6 bits names: 1 to 64 steps ahead of the clock's own slot on that level. When the
 * clock reaches the slot, the timer fires or sinks to a lower level. */
#include "net/timer.h"

#include <string.h>

#include "base/err.h"

#define SLOT_BITS 6
#define SLOT_MASK (NJ_TIMER_SLOTS - 1)
/* In the list of the running nj_timers_run, in no slot. */
#define PLACE_FIRING 0x7fffu
#define DUE_MAX      (((uint64_t)1 << 48) - 1)
#define WHEEL_SPAN   (((uint64_t)1 << (NJ_TIMER_LEVELS * SLOT_BITS)) - 1)

void nj_timers_init(struct nj_timers *timers, uint64_t now_ms)
{
    NJ_ASSERT(now_ms <= DUE_MAX);
    timers->now_ms = now_ms;
    timers->count = 0;
    memset(timers->used, 0, sizeof(timers->used));
    for (unsigned level = 0; level < NJ_TIMER_LEVELS; level++) {
        for (unsigned slot = 0; slot < NJ_TIMER_SLOTS; slot++) {
            nj_list_init(&timers->slots[level][slot]);
        }
    }
}

static unsigned slot_of(uint64_t time_ms, unsigned level)
{
    return (unsigned)(time_ms >> (level * SLOT_BITS)) & SLOT_MASK;
}

/* Puts a timer that is in no list into its slot. due_ms > now_ms. */
static void place(struct nj_timers *timers, struct nj_timer *timer)
{
    uint64_t wait = timer->due_ms - timers->now_ms;
    /* Beyond the wheel: into the slot that comes up last, to be looked at again then. */
    uint64_t seen = wait <= WHEEL_SPAN ? timer->due_ms : timers->now_ms + WHEEL_SPAN;
    wait = wait <= WHEEL_SPAN ? wait : WHEEL_SPAN;
    unsigned level = (unsigned)(63 - __builtin_clzll(wait)) / SLOT_BITS;
    unsigned slot = slot_of(seen, level);
    nj_list_push_back(&timers->slots[level][slot], &timer->link);
    timers->used[level] |= (uint64_t)1 << slot;
    timer->place = 1 + level * NJ_TIMER_SLOTS + slot;
}

static void unplace(struct nj_timers *timers, struct nj_timer *timer)
{
    nj_list_remove(&timer->link);
    if (timer->place != PLACE_FIRING) {
        unsigned level = (timer->place - 1u) / NJ_TIMER_SLOTS;
        unsigned slot = (timer->place - 1u) % NJ_TIMER_SLOTS;
        if (nj_list_is_empty(&timers->slots[level][slot])) {
            timers->used[level] &= ~((uint64_t)1 << slot);
        }
    }
    timer->place = 0;
}

void nj_timer_set(struct nj_timers *timers, struct nj_timer *timer, uint64_t due_ms)
{
    if (timer->place != 0) {
        unplace(timers, timer);
        timers->count--;
    }
    if (due_ms > DUE_MAX) {
        due_ms = DUE_MAX;
    }
    timer->due_ms = due_ms > timers->now_ms ? due_ms : timers->now_ms + 1;
    place(timers, timer);
    timers->count++;
}

void nj_timer_cancel(struct nj_timers *timers, struct nj_timer *timer)
{
    if (timer->place != 0) {
        unplace(timers, timer);
        timers->count--;
    }
}

/* The slots of `level` that the clock reaches on its way from `from` to `to`, as bits. */
static uint64_t slots_reached(uint64_t from, uint64_t to, unsigned level)
{
    uint64_t steps = (to >> (level * SLOT_BITS)) - (from >> (level * SLOT_BITS));
    if (steps >= NJ_TIMER_SLOTS) {
        return UINT64_MAX;
    }
    if (steps == 0) {
        return 0;
    }
    uint64_t run = ((uint64_t)1 << steps) - 1;
    unsigned first = (slot_of(from, level) + 1) & SLOT_MASK;
    return first == 0 ? run : run << first | run >> (NJ_TIMER_SLOTS - first);
}

/* Moves the timers of one slot to the end of `list`. */
static void slot_empty(struct nj_timers *timers, unsigned level, unsigned slot,
                       struct nj_list *list)
{
    struct nj_list *node;
    while ((node = nj_list_pop_front(&timers->slots[level][slot])) != NULL) {
        NJ_CONTAINER(node, struct nj_timer, link)->place = PLACE_FIRING;
        nj_list_push_back(list, node);
    }
    timers->used[level] &= ~((uint64_t)1 << slot);
}

size_t nj_timers_run(struct nj_timers *timers, uint64_t now_ms, void *turn)
{
    if (now_ms <= timers->now_ms || now_ms > DUE_MAX) {
        return 0;
    }
    struct nj_list reached;
    nj_list_init(&reached);
    for (unsigned level = 0; level < NJ_TIMER_LEVELS; level++) {
        uint64_t bits = slots_reached(timers->now_ms, now_ms, level) & timers->used[level];
        unsigned first = (slot_of(timers->now_ms, level) + 1) & SLOT_MASK;
        for (unsigned i = 0; bits != 0 && i < NJ_TIMER_SLOTS; i++) {
            unsigned slot = (first + i) & SLOT_MASK;
            if (bits & (uint64_t)1 << slot) {
                bits &= ~((uint64_t)1 << slot);
                slot_empty(timers, level, slot, &reached);
            }
        }
    }
    timers->now_ms = now_ms;

    /* A callback may cancel or set any timer, also those that still wait in `reached`. */
    size_t fired = 0;
    struct nj_list *node;
    while ((node = nj_list_pop_front(&reached)) != NULL) {
        struct nj_timer *timer = NJ_CONTAINER(node, struct nj_timer, link);
        if (timer->due_ms > now_ms) {
            place(timers, timer);
            continue;
        }
        timer->place = 0;
        timers->count--;
        fired++;
        timer->fn(timer, turn);
    }
    return fired;
}

uint64_t nj_timers_next_ms(const struct nj_timers *timers)
{
    uint64_t next = NJ_TIMER_NEVER;
    for (unsigned level = 0; level < NJ_TIMER_LEVELS; level++) {
        uint64_t used = timers->used[level];
        if (used == 0) {
            continue;
        }
        unsigned first = (slot_of(timers->now_ms, level) + 1) & SLOT_MASK;
        uint64_t turned = first == 0 ? used : used >> first | used << (NJ_TIMER_SLOTS - first);
        uint64_t steps = (uint64_t)__builtin_ctzll(turned) + 1;
        unsigned shift = level * SLOT_BITS;
        uint64_t start = ((timers->now_ms >> shift) + steps) << shift;
        if (start < next) {
            next = start;
        }
    }
    return next;
}
