/* A thin epoll loop for one worker.
 *
 * Waiting and dispatching are separate calls, because the worker owns the order of its turn and
 * holds its baton (a mutex) for everything but the wait:
 *
 *     unlock(baton); count = nj_loop_wait(loop, timeout_ms); lock(baton);
 *     for (i = 0; i < count; i++) {
 *         source = nj_loop_event(loop, i, &ready);
 *         if (source != NULL) source->fn(source, ready, worker);
 *     }
 *
 * While the worker waits, another thread that holds the baton may add and remove sources. An event
 * of a source that was removed in the meantime, or earlier in the same turn, is not delivered:
 * the kernel is given a slot number and its generation, never a pointer.
 *
 * Threads: nj_loop_wait and nj_loop_event by the worker alone, nj_loop_event, nj_loop_add and
 * nj_loop_remove under the worker's baton, nj_loop_wake from any thread. */
#ifndef NJ_NET_LOOP_H
#define NJ_NET_LOOP_H

#include <stdint.h>

#include "base/err.h"

#define NJ_LOOP_EVENTS_MAX 256

/* Bits of `ready`. */
#define NJ_LOOP_IN  1u /* something to read or to accept */
#define NJ_LOOP_OUT 2u /* room to write */
#define NJ_LOOP_HUP                                                                                \
    4u /* the peer closed, half or whole, or an error is pending: read to the end                  \
        */

struct nj_loop;
struct nj_loop_source;

/* `turn` is whatever the dispatcher passes, as a rule the worker. */
typedef void (*nj_loop_fn)(struct nj_loop_source *source, unsigned ready, void *turn);

/* Embedded in what wants events. Set `fn` before nj_loop_add; the rest belongs to the loop. */
struct nj_loop_source {
    nj_loop_fn fn;
    int fd; /* -1 while in no loop */
    uint32_t slot;
};

enum nj_loop_kind {
    NJ_LOOP_STREAM,   /* IN, OUT and HUP, edge-triggered, armed once */
    NJ_LOOP_LISTENER, /* IN, level-triggered, one of the waiting loops is woken (EPOLLEXCLUSIVE) */
    NJ_LOOP_LEVEL,    /* IN, level-triggered: signalfd, pipes */
    NJ_LOOP_KIND_COUNT
};

static inline void nj_loop_source_init(struct nj_loop_source *source, nj_loop_fn fn)
{
    *source = (struct nj_loop_source){fn, -1, 0};
}

/* NJ_ESYS (errno holds the cause) when descriptors are used up, NJ_ENOMEM. */
enum nj_err nj_loop_new(struct nj_loop **out) NJ_NODISCARD;
/* Sources still in it are forgotten, their descriptors stay open. */
void nj_loop_free(struct nj_loop *loop);

/* The descriptor stays the caller's. A source is in at most one loop. NJ_ENOMEM, NJ_ESYS. */
enum nj_err nj_loop_add(struct nj_loop *loop, struct nj_loop_source *source, int fd,
                        enum nj_loop_kind kind) NJ_NODISCARD;
/* Call before closing the descriptor. Nothing happens when the source is in no loop. */
void nj_loop_remove(struct nj_loop *loop, struct nj_loop_source *source);

/* Blocks for at most timeout_ms (-1 = until something happens, 0 = does not block) and returns how
 * many events there are, at most NJ_LOOP_EVENTS_MAX. A wake counts as an event without source. */
unsigned nj_loop_wait(struct nj_loop *loop, int timeout_ms);
/* Event `index` of the last wait; NULL when its source has gone or it was a wake. */
struct nj_loop_source *nj_loop_event(struct nj_loop *loop, unsigned index, unsigned *ready);

/* Ends the wait that is running, or the next one. Several wakes may become one. Any thread. */
void nj_loop_wake(struct nj_loop *loop);

#endif
