/* See batch.h. */
#include "broker/batch.h"

#include "base/mem.h"

#define RECORD_ALIGN 16u

static struct nj_batch *batch_init(struct nj_batch *batch, uint32_t cap)
{
    batch->next = NULL;
    batch->used = 0;
    batch->weight = 0;
    batch->cap = cap;
    return batch;
}

static uint32_t room_for(uint32_t body)
{
    return body + (uint32_t)sizeof(struct nj_record) + RECORD_ALIGN;
}

struct nj_batch *nj_batch_new(uint32_t min_body)
{
    uint32_t need = room_for(min_body);
    uint32_t cap = need > NJ_BATCH_BYTES ? need : NJ_BATCH_BYTES;
    struct nj_batch *batch = nj_try_alloc(sizeof(*batch) + cap);
    return batch ? batch_init(batch, cap) : NULL;
}

struct nj_batch *nj_batch_new_small(uint32_t body)
{
    uint32_t cap = room_for(body);
    return batch_init(nj_alloc(sizeof(struct nj_batch) + cap), cap);
}

void nj_batch_free(struct nj_batch *batch)
{
    nj_free(batch);
}

void *nj_batch_add(struct nj_batch *batch, uint16_t kind, uint32_t body_len)
{
    uint32_t len = (uint32_t)sizeof(struct nj_record) + body_len;
    len = (len + RECORD_ALIGN - 1) & ~(RECORD_ALIGN - 1);
    if (batch->cap - batch->used < len) {
        return NULL;
    }
    struct nj_record *record = (void *)(batch->data + batch->used);
    record->len = len;
    record->kind = kind;
    batch->used += len;
    return record + 1;
}

const struct nj_record *nj_batch_next(const struct nj_batch *batch, uint32_t *at)
{
    if (*at >= batch->used) {
        return NULL;
    }
    const struct nj_record *record = (const void *)(batch->data + *at);
    *at += record->len;
    return record;
}

bool nj_inbox_push(struct nj_inbox *inbox, struct nj_batch *batch)
{
    struct nj_batch *head = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    /* Counted before it can be drained, so the count never goes below zero. */
    atomic_fetch_add_explicit(&inbox->bytes, batch->used, memory_order_relaxed);
    do {
        batch->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&inbox->newest, &head, batch,
                                                    memory_order_seq_cst, memory_order_relaxed));
    return head == NULL;
}

struct nj_batch *nj_inbox_drain(struct nj_inbox *inbox)
{
    if (!atomic_load_explicit(&inbox->newest, memory_order_relaxed)) {
        return NULL;
    }
    struct nj_batch *newest = atomic_exchange_explicit(&inbox->newest, NULL, memory_order_seq_cst);
    struct nj_batch *oldest = NULL;
    uint32_t bytes = 0;
    while (newest) {
        struct nj_batch *next = newest->next;
        bytes += newest->used;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    atomic_fetch_sub_explicit(&inbox->bytes, bytes, memory_order_relaxed);
    return oldest;
}
