/* See qsbr.h.
 *
 * A global counter numbers the defers. Each online reader publishes the number it saw at its last
 * quiescent point; what was deferred at number n is safe when every online reader has seen more
 * than n. Offline readers are not waited for. */
#include "base/qsbr.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/mem.h"

#define OFFLINE UINT64_MAX

struct slot {
    _Alignas(64) _Atomic uint64_t seen;
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

void nj_qsbr_free(struct nj_qsbr *domain)
{
    if (!domain) {
        return;
    }
    while (domain->head) {
        struct deferred *item = domain->head;
        domain->head = item->next;
        item->fn(item->ptr);
        nj_free(item);
    }
    (void)pthread_mutex_destroy(&domain->lock);
    nj_free(domain);
}

void nj_qsbr_online(struct nj_qsbr *domain, unsigned slot)
{
    atomic_store_explicit(&domain->slots[slot].seen,
                          atomic_load_explicit(&domain->number, memory_order_seq_cst),
                          memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
}

void nj_qsbr_offline(struct nj_qsbr *domain, unsigned slot)
{
    atomic_store_explicit(&domain->slots[slot].seen, OFFLINE, memory_order_release);
}

void nj_qsbr_quiescent(struct nj_qsbr *domain, unsigned slot)
{
    nj_qsbr_online(domain, slot);
}

void nj_qsbr_defer(struct nj_qsbr *domain, void (*fn)(void *), void *ptr)
{
    struct deferred *item = nj_alloc(sizeof(*item));
    *item = (struct deferred){.fn = fn, .ptr = ptr};
    (void)pthread_mutex_lock(&domain->lock);
    /* A reader that comes online from here on sees a number above this one. */
    item->number = atomic_fetch_add_explicit(&domain->number, 1, memory_order_seq_cst);
    *domain->tail = item;
    domain->tail = &item->next;
    atomic_fetch_add_explicit(&domain->waiting, 1, memory_order_relaxed);
    (void)pthread_mutex_unlock(&domain->lock);
}

static uint64_t oldest_seen(const struct nj_qsbr *domain)
{
    uint64_t oldest = OFFLINE;
    atomic_thread_fence(memory_order_seq_cst);
    for (unsigned i = 0; i < domain->slot_count; i++) {
        uint64_t seen = atomic_load_explicit(&domain->slots[i].seen, memory_order_seq_cst);
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
