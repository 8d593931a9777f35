/* See qsbr.h.
 *
 * A global counter numbers the defers. Each online reader publishes the number it saw at its last
 * quiescent point; what was deferred at number n is safe when every online reader has seen more
 * than n. Offline readers are not waited for.
 *
 * The proof uses no fence, because ThreadSanitizer understands none: coming online and the
 * reclaimer's look are both read-modify-writes of the reader's slot, so one comes first. If the
 * reader does, the reclaimer sees that it is online. If the reclaimer does, the reader acquires all
 * that the reclaimer knew, among it the unlinking of what it is about to free. */
#include "base/qsbr.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

#define OFFLINE UINT64_MAX

/* One cache line apart; a stronger alignment is not promised by the allocator. */
struct slot {
    _Atomic uint64_t seen;
    uint64_t padding[7];
};

struct deferred {
    struct deferred *next;
    void (*fn)(void *);
    void *ptr;
    uint64_t number;
};

struct nj_qsbr {
    unsigned slot_count;
    _Atomic uint64_t number;
    _Atomic uint64_t waiting;
    pthread_mutex_t lock; /* guards the list */
    struct deferred *head;
    struct deferred **tail;
    struct slot slots[NJ_QSBR_SLOTS_MAX];
};

struct nj_qsbr *nj_qsbr_new(unsigned slots)
{
    NJ_ASSERT(slots <= NJ_QSBR_SLOTS_MAX);
    struct nj_qsbr *domain = nj_zalloc(sizeof(*domain));
    domain->slot_count = slots;
    domain->tail = &domain->head;
    atomic_init(&domain->number, 1);
    for (unsigned i = 0; i < slots; i++) {
        atomic_init(&domain->slots[i].seen, OFFLINE);
    }
    (void)pthread_mutex_init(&domain->lock, NULL);
    return domain;
}

void nj_qsbr_online(struct nj_qsbr *domain, unsigned slot)
{
    NJ_DEBUG_ASSERT(slot < domain->slot_count);
    uint64_t number = atomic_load_explicit(&domain->number, memory_order_acquire);
    (void)atomic_exchange_explicit(&domain->slots[slot].seen, number, memory_order_acq_rel);
}

void nj_qsbr_offline(struct nj_qsbr *domain, unsigned slot)
{
    atomic_store_explicit(&domain->slots[slot].seen, OFFLINE, memory_order_release);
}

void nj_qsbr_quiescent(struct nj_qsbr *domain, unsigned slot)
{
    /* Nothing was deferred since: saying the same again would free nothing. */
    if (atomic_load_explicit(&domain->slots[slot].seen, memory_order_relaxed) !=
        atomic_load_explicit(&domain->number, memory_order_relaxed)) {
        nj_qsbr_online(domain, slot);
    }
}

void nj_qsbr_defer(struct nj_qsbr *domain, void (*fn)(void *), void *ptr)
{
    struct deferred *item = nj_alloc(sizeof(*item));
    *item = (struct deferred){.fn = fn, .ptr = ptr};
    (void)pthread_mutex_lock(&domain->lock);
    /* A reader that comes online from here on sees a number above this one. */
    item->number = atomic_fetch_add_explicit(&domain->number, 1, memory_order_acq_rel);
    *domain->tail = item;
    domain->tail = &item->next;
    atomic_fetch_add_explicit(&domain->waiting, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&domain->lock);
}

static uint64_t oldest_seen(struct nj_qsbr *domain)
{
    uint64_t oldest = OFFLINE;
    for (unsigned i = 0; i < domain->slot_count; i++) {
        uint64_t seen = atomic_fetch_add_explicit(&domain->slots[i].seen, 0, memory_order_acq_rel);
        oldest = seen < oldest ? seen : oldest;
    }
    return oldest;
}

void nj_qsbr_reclaim(struct nj_qsbr *domain)
{
    if (atomic_load_explicit(&domain->waiting, memory_order_relaxed) == 0 ||
        pthread_mutex_trylock(&domain->lock) != 0) {
        return;
    }
    uint64_t oldest = oldest_seen(domain);
    struct deferred *safe = NULL;
    struct deferred **end = &safe;
    while (domain->head && domain->head->number < oldest) {
        *end = domain->head;
        end = &domain->head->next;
        domain->head = domain->head->next;
        atomic_fetch_sub_explicit(&domain->waiting, 1, memory_order_relaxed);
    }
    *end = NULL;
    if (!domain->head) {
        domain->tail = &domain->head;
    }
    (void)pthread_mutex_unlock(&domain->lock);
    while (safe) {
        struct deferred *next = safe->next;
        safe->fn(safe->ptr);
        nj_free(safe);
        safe = next;
    }
}

void nj_qsbr_free(struct nj_qsbr *domain)
{
    if (!domain) {
        return;
    }
    NJ_ASSERT(oldest_seen(domain) == OFFLINE);
    while (domain->head) {
        nj_qsbr_reclaim(domain); /* what runs may defer more */
    }
    (void)pthread_mutex_destroy(&domain->lock);
    nj_free(domain);
}
