/* Intrusive doubly linked list with a sentinel head.
 *
 *      head <-> a <-> b <-> head
 *
 * A node that is in no list points to itself, so nj_list_remove is always safe after
 * nj_list_init. Not thread safe: the owner of the list is the owner of its nodes. */
#ifndef NJ_BASE_LIST_H
#define NJ_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct nj_list {
    struct nj_list *next;
    struct nj_list *prev;
};

#define NJ_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void nj_list_init(struct nj_list *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool nj_list_is_empty(const struct nj_list *head)
{
    return head->next == head;
}

static inline bool nj_list_is_linked(const struct nj_list *node)
{
    return node->next != node;
}

static inline void nj_list_insert_after(struct nj_list *place, struct nj_list *node)
{
    node->next = place->next;
    node->prev = place;
    place->next->prev = node;
    place->next = node;
}

static inline void nj_list_push_front(struct nj_list *head, struct nj_list *node)
{
    nj_list_insert_after(head, node);
}

static inline void nj_list_push_back(struct nj_list *head, struct nj_list *node)
{
    nj_list_insert_after(head->prev, node);
}

static inline void nj_list_remove(struct nj_list *node)
{
    node->next->prev = node->prev;
    node->prev->next = node->next;
    nj_list_init(node);
}

/* The first node, unlinked; NULL when empty. */
static inline struct nj_list *nj_list_pop_front(struct nj_list *head)
{
    struct nj_list *node = head->next;
    if (node == head) {
        return NULL;
    }
    nj_list_remove(node);
    return node;
}

#define nj_list_each(node, head)                                                                   \
    for (struct nj_list *node = (head)->next; node != (head); node = node->next)
/* The body may remove `node`. */
#define nj_list_each_safe(node, head)                                                              \
    for (struct nj_list *node = (head)->next, *node##_next = node->next; node != (head);           \
         node = node##_next, node##_next = node->next)

#endif
