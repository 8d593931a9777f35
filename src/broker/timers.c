/* See timers.h. */
#include "broker/timers.h"

#include <stddef.h>

#include "base/mem.h"

void nj_btimers_fini(struct nj_btimers *timers)
{
    nj_free(timers->heap);
    *timers = (struct nj_btimers){0};
}

static void put(struct nj_btimers *timers, uint32_t place, struct nj_btimer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct nj_btimers *timers, uint32_t place)
{
    struct nj_btimer *timer = timers->heap[place];
    while (place > 1 && timers->heap[place / 2]->due_ms > timer->due_ms) {
        put(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    put(timers, place, timer);
}

static void sift_down(struct nj_btimers *timers, uint32_t place)
{
    struct nj_btimer *timer = timers->heap[place];
    for (;;) {
        uint32_t child = place * 2;
        if (child > timers->count) {
            break;
        }
        if (child < timers->count &&
            timers->heap[child + 1]->due_ms < timers->heap[child]->due_ms) {
            child++;
        }
        if (timers->heap[child]->due_ms >= timer->due_ms) {
            break;
        }
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

void nj_btimer_set(struct nj_btimers *timers, struct nj_btimer *timer, uint64_t due_ms)
{
    timer->due_ms = due_ms;
    if (!timer->place) {
        if (timers->count + 1 >= timers->cap) {
            timers->cap = timers->cap ? timers->cap * 2 : 64;
            timers->heap = nj_realloc(timers->heap, timers->cap * sizeof(struct nj_btimer *));
        }
        put(timers, ++timers->count, timer);
    }
    sift_up(timers, timer->place);
    sift_down(timers, timer->place);
}

void nj_btimer_clear(struct nj_btimers *timers, struct nj_btimer *timer)
{
    uint32_t place = timer->place;
    if (!place) {
        return;
    }
    struct nj_btimer *last = timers->heap[timers->count--];
    timer->place = 0;
    if (last != timer) {
        put(timers, place, last);
        sift_up(timers, place);
        sift_down(timers, last->place);
    }
}

struct nj_btimer *nj_btimers_take_due(struct nj_btimers *timers, uint64_t now_ms)
{
    if (!timers->count || timers->heap[1]->due_ms > now_ms) {
        return NULL;
    }
    struct nj_btimer *timer = timers->heap[1];
    nj_btimer_clear(timers, timer);
    return timer;
}

uint64_t nj_btimers_next_ms(const struct nj_btimers *timers)
{
    return timers->count ? timers->heap[1]->due_ms : UINT64_MAX;
}
