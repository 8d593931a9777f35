/* Which owners exist, and which of their rows are in no page yet. See lmdb_priv.h.
 *
 *   slots:  owner ─► tail ─► seq seq seq …   (open addressing; a tail only where there are rows)
 *
 * 16 bytes for an owner that has nothing queued. Tails are bounded by the making of pages, and a
 * row that is on disk must not be forgotten: their memory does not count as what a peer may be
 * refused. */
#include "base/mem.h"
#include "store/lmdb_priv.h"

#define FIRST_SLOTS 1024u
#define FIRST_SEQS  4u

static uint64_t place_of(const struct nj_lmdb_index *index, uint64_t owner)
{
    /* Owners are numbered in order: a multiplication spreads them well enough. */
    return (owner * 0x9e3779b97f4a7c15ull >> 20) & index->mask;
}

enum nj_err nj_lmdb_index_init(struct nj_lmdb_index *index)
{
    *index = (struct nj_lmdb_index){0};
    index->slots = nj_try_zalloc(FIRST_SLOTS * sizeof(*index->slots));
    index->mask = FIRST_SLOTS - 1;
    return index->slots ? NJ_OK : NJ_ENOMEM;
}

void nj_lmdb_index_fini(struct nj_lmdb_index *index)
{
    for (uint32_t i = 0; i < index->tail_count; i++) {
        nj_free(index->tails[i].seqs);
    }
    nj_free(index->tails);
    nj_free(index->slots);
    *index = (struct nj_lmdb_index){0};
}

struct nj_lmdb_owner *nj_lmdb_index_find(const struct nj_lmdb_index *index, uint64_t owner)
{
    uint64_t at = place_of(index, owner);
    while (index->slots[at].owner && index->slots[at].owner != owner) {
        at = (at + 1) & index->mask;
    }
    return index->slots[at].owner ? &index->slots[at] : NULL;
}

static void place(struct nj_lmdb_index *index, const struct nj_lmdb_owner *owner)
{
    uint64_t at = place_of(index, owner->owner);
    while (index->slots[at].owner) {
        at = (at + 1) & index->mask;
    }
    index->slots[at] = *owner;
}

static enum nj_err grow_slots(struct nj_lmdb_index *index)
{
    uint64_t old_count = index->mask + 1;
    struct nj_lmdb_owner *old = index->slots;
    struct nj_lmdb_owner *slots = nj_try_zalloc(2 * old_count * sizeof(*slots));
    if (!slots) {
        return NJ_ENOMEM;
    }
    index->slots = slots;
    index->mask = 2 * old_count - 1;
    for (uint64_t i = 0; i < old_count; i++) {
        if (old[i].owner) {
            place(index, &old[i]);
        }
    }
    nj_free(old);
    return NJ_OK;
}

struct nj_lmdb_owner *nj_lmdb_index_add(struct nj_lmdb_index *index, uint64_t owner)
{
    struct nj_lmdb_owner *found = nj_lmdb_index_find(index, owner);
    if (found) {
        return found;
    }
    if (owner == 0 ||
        (4 * (index->used + 1) > 3 * (index->mask + 1) && grow_slots(index) != NJ_OK)) {
        return NULL;
    }
    index->used++;
    place(index, &(struct nj_lmdb_owner){.owner = owner});
    return nj_lmdb_index_find(index, owner);
}

static void drop_tail(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner)
{
    if (owner->tail) {
        struct nj_lmdb_tail *tail = &index->tails[owner->tail - 1];
        nj_free(tail->seqs);
        *tail = (struct nj_lmdb_tail){.cap = index->free_tail};
        index->free_tail = owner->tail;
        owner->tail = 0;
    }
}

void nj_lmdb_index_remove(struct nj_lmdb_index *index, uint64_t owner)
{
    struct nj_lmdb_owner *found = nj_lmdb_index_find(index, owner);
    if (!found) {
        return;
    }
    drop_tail(index, found);
    index->used--;
    uint64_t hole = (uint64_t)(found - index->slots);
    index->slots[hole] = (struct nj_lmdb_owner){0};
    /* Those behind it that would not be found any more move up. */
    for (uint64_t at = (hole + 1) & index->mask; index->slots[at].owner;
         at = (at + 1) & index->mask) {
        uint64_t home = place_of(index, index->slots[at].owner);
        if (((at - home) & index->mask) >= ((at - hole) & index->mask)) {
            index->slots[hole] = index->slots[at];
            index->slots[at] = (struct nj_lmdb_owner){0};
            hole = at;
        }
    }
}

struct nj_lmdb_tail *nj_lmdb_index_tail(const struct nj_lmdb_index *index,
                                        const struct nj_lmdb_owner *owner)
{
    return owner && owner->tail ? &index->tails[owner->tail - 1] : NULL;
}

static struct nj_lmdb_tail *new_tail(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner)
{
    if (index->free_tail) {
        NJ_ASSERT(index->tails);
        owner->tail = index->free_tail;
        index->free_tail = index->tails[owner->tail - 1].cap;
    } else {
        if (index->tail_count == index->tail_cap) {
            uint32_t cap = index->tail_cap ? index->tail_cap * 2 : 64;
            index->tails = nj_realloc(index->tails, cap * sizeof(*index->tails));
            index->tail_cap = cap;
        }
        owner->tail = ++index->tail_count;
    }
    NJ_ASSERT(index->tails);
    struct nj_lmdb_tail *tail = &index->tails[owner->tail - 1];
    *tail = (struct nj_lmdb_tail){0};
    return tail;
}

static void make_room(struct nj_lmdb_tail *tail)
{
    if (tail->head + tail->count < tail->cap) {
        return;
    }
    if (tail->head > tail->cap / 2) {
        memmove(tail->seqs, tail->seqs + tail->head, tail->count * sizeof(*tail->seqs));
        tail->head = 0;
        return;
    }
    tail->cap = tail->cap ? tail->cap * 2 : FIRST_SEQS;
    tail->seqs = nj_realloc(tail->seqs, tail->cap * sizeof(*tail->seqs));
}

void nj_lmdb_tail_push(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner, uint64_t seq)
{
    struct nj_lmdb_tail *tail = nj_lmdb_index_tail(index, owner);
    if (!tail) {
        tail = new_tail(index, owner);
    }
    make_room(tail);
    NJ_ASSERT(tail->seqs);
    /* Mostly the highest; lanes that hand a session's rows over may mix them. */
    uint64_t *seqs = tail->seqs + tail->head;
    uint32_t at = tail->count;
    while (at > 0 && seqs[at - 1] > seq) {
        seqs[at] = seqs[at - 1];
        at--;
    }
    seqs[at] = seq;
    tail->count++;
}

void nj_lmdb_tail_drop(struct nj_lmdb_index *index, struct nj_lmdb_owner *owner, uint64_t seq)
{
    struct nj_lmdb_tail *tail = nj_lmdb_index_tail(index, owner);
    if (!tail) {
        return;
    }
    uint64_t *seqs = tail->seqs + tail->head;
    uint32_t low = 0;
    uint32_t high = tail->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (seqs[middle] < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == tail->count || seqs[low] != seq) {
        return;
    }
    /* The shorter side moves. */
    if (low < tail->count / 2) {
        memmove(seqs + 1, seqs, low * sizeof(*seqs));
        tail->head++;
    } else {
        memmove(seqs + low, seqs + low + 1, (tail->count - low - 1) * sizeof(*seqs));
    }
    if (--tail->count == 0) {
        drop_tail(index, owner);
    }
}
