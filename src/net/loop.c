/* The epoll loop: see loop.h.
 *
 * The kernel stores (generation << 32 | slot) for each source. Slots live in a table of the loop:
 *
 *     slot   0              1              2
 *          [ source, gen ] [ NULL, gen  ] [ source, gen ]     free slots are chained by `next`
 *
 * Removing a source raises the generation of its slot, so an event that the kernel has already
 * handed out finds another number and is dropped, whoever removed the source and however its memory
 * is used by now. The wait touches nothing but `events`, which no other thread does. */
#include "net/loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* What the kernel holds for the wake descriptor. No source gets it: slots end far below. */
#define WAKE_KEY UINT64_MAX
#define NO_SLOT  UINT32_MAX

struct slot {
    struct nj_loop_source *source; /* NULL while free */
    uint32_t generation;
    uint32_t next; /* the next free slot */
};

struct nj_loop {
    int epoll_fd;
    int wake_fd;
    struct slot *slots;
    uint32_t slots_len;
    uint32_t slots_cap;
    uint32_t free_slot;
    unsigned events_count;
    struct epoll_event events[NJ_LOOP_EVENTS_MAX];
};

enum nj_err nj_loop_new(struct nj_loop **out)
{
    struct nj_loop *loop = nj_try_zalloc(sizeof(*loop));
    if (loop == NULL) {
        return NJ_ENOMEM;
    }
    loop->free_slot = NO_SLOT;
    loop->wake_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        goto fail;
    }
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        goto fail;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_KEY};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &event) != 0) {
        goto fail;
    }
    *out = loop;
    return NJ_OK;
fail:;
    int cause = errno;
    nj_loop_free(loop);
    errno = cause;
    return NJ_ESYS;
}

void nj_loop_free(struct nj_loop *loop)
{
    if (loop == NULL) {
        return;
    }
    if (loop->wake_fd >= 0) {
        (void)close(loop->wake_fd);
    }
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
    }
    nj_free(loop->slots);
    nj_free(loop);
}

static enum nj_err slot_take(struct nj_loop *loop, uint32_t *out)
{
    if (loop->free_slot != NO_SLOT) {
        *out = loop->free_slot;
        loop->free_slot = loop->slots[*out].next;
        return NJ_OK;
    }
    if (loop->slots_len == loop->slots_cap) {
        if (loop->slots_cap > UINT32_MAX / 4) {
            return NJ_ENOMEM;
        }
        uint32_t cap = loop->slots_cap == 0 ? 64 : loop->slots_cap + loop->slots_cap / 2;
        struct slot *slots = nj_try_realloc(loop->slots, cap * sizeof(*slots));
        if (slots == NULL) {
            return NJ_ENOMEM;
        }
        loop->slots = slots;
        loop->slots_cap = cap;
    }
    *out = loop->slots_len++;
    loop->slots[*out] = (struct slot){NULL, 0, NO_SLOT};
    return NJ_OK;
}

static void slot_give(struct nj_loop *loop, uint32_t index)
{
    struct slot *slot = &loop->slots[index];
    slot->source = NULL;
    slot->generation++;
    slot->next = loop->free_slot;
    loop->free_slot = index;
}

enum nj_err nj_loop_add(struct nj_loop *loop, struct nj_loop_source *source, int fd,
                        enum nj_loop_kind kind)
{
    static const uint32_t events_of[NJ_LOOP_KIND_COUNT] = {
        [NJ_LOOP_STREAM] = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        [NJ_LOOP_LISTENER] = EPOLLIN | EPOLLEXCLUSIVE,
        [NJ_LOOP_LEVEL] = EPOLLIN,
    };
    NJ_ASSERT(source->fd < 0 && source->fn != NULL);
    uint32_t index = 0;
    enum nj_err err = slot_take(loop, &index);
    if (err != NJ_OK) {
        return err;
    }
    struct slot *slot = &loop->slots[index];
    struct epoll_event event = {.events = events_of[kind],
                                .data.u64 = (uint64_t)slot->generation << 32 | index};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        slot_give(loop, index);
        return errno == ENOMEM ? NJ_ENOMEM : NJ_ESYS;
    }
    slot->source = source;
    source->fd = fd;
    source->slot = index;
    return NJ_OK;
}

void nj_loop_remove(struct nj_loop *loop, struct nj_loop_source *source)
{
    if (source->fd < 0) {
        return;
    }
    NJ_ASSERT(source->slot < loop->slots_len && loop->slots[source->slot].source == source);
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    slot_give(loop, source->slot);
    source->fd = -1;
}

unsigned nj_loop_wait(struct nj_loop *loop, int timeout_ms)
{
    int count = epoll_wait(loop->epoll_fd, loop->events, NJ_LOOP_EVENTS_MAX, timeout_ms);
    /* The only failure of a valid call is EINTR: an empty turn. */
    loop->events_count = count > 0 ? (unsigned)count : 0;
    return loop->events_count;
}

struct nj_loop_source *nj_loop_event(struct nj_loop *loop, unsigned index, unsigned *ready)
{
    NJ_ASSERT(index < loop->events_count);
    const struct epoll_event *event = &loop->events[index];
    if (event->data.u64 == WAKE_KEY) {
        return NULL;
    }
    const struct slot *slot = &loop->slots[(uint32_t)event->data.u64];
    if (slot->source == NULL || slot->generation != event->data.u64 >> 32) {
        return NULL;
    }
    unsigned bits = 0;
    if (event->events & EPOLLIN) {
        bits |= NJ_LOOP_IN;
    }
    if (event->events & EPOLLOUT) {
        bits |= NJ_LOOP_OUT;
    }
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        bits |= NJ_LOOP_HUP;
    }
    *ready = bits;
    return slot->source;
}

void nj_loop_wake(struct nj_loop *loop)
{
    const uint64_t one = 1;
    /* Never read: each write is an edge of its own, and the counter cannot overflow in a lifetime.
     */
    ssize_t done = write(loop->wake_fd, &one, sizeof(one));
    NJ_DEBUG_ASSERT(done == sizeof(one));
    (void)done;
}
