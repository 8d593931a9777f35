/* Quiescent-state-based reclamation: readers of shared immutable data take no lock; a writer that
 * unlinked something frees it when every reader has passed a point where it holds no pointer.
 *
 * Each reader thread owns one slot. It is *online* while it may hold pointers; it announces
 * nj_qsbr_quiescent once per loop turn and goes offline around epoll_wait. A deferred free runs on
 * the thread that calls nj_qsbr_reclaim (any one thread at a time per domain; it takes a lock).
 * Written on C11 atomics so that ThreadSanitizer understands it. */
#ifndef NJ_BASE_QSBR_H
#define NJ_BASE_QSBR_H

#include <stdint.h>

#define NJ_QSBR_SLOTS_MAX 130

struct nj_qsbr;

struct nj_qsbr *nj_qsbr_new(unsigned slots);
void nj_qsbr_free(struct nj_qsbr *domain); /* runs everything deferred; no reader may be online */

void nj_qsbr_online(struct nj_qsbr *domain, unsigned slot);
void nj_qsbr_offline(struct nj_qsbr *domain, unsigned slot);
void nj_qsbr_quiescent(struct nj_qsbr *domain, unsigned slot);

/* `fn(ptr)` runs once no reader that was online at this call can still see `ptr`. Any thread. */
void nj_qsbr_defer(struct nj_qsbr *domain, void (*fn)(void *), void *ptr);
/* Runs what has become safe. Cheap when there is nothing. Any thread, online or not. */
void nj_qsbr_reclaim(struct nj_qsbr *domain);

#endif
