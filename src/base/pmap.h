/* A persistent map: bytes to items, ordered by key, whose versions share what they have in common.
 *
 *   version 1 ──► m                 put "q": only the way from the root to the new place is copied;
 *                / \                both versions are whole, and neither ever changes
 *   version 2 ► m'  \
 *              / ───►e
 *             s'
 *
 * An AVL tree with counts. Nodes are reference counted and immutable; so are the items as far as
 * the map is concerned, and their key must not change while they are in a map. A version may be
 * read and given up by any thread; put and remove are for the one thread that owns the struct.
 * Look-ups cost log2(n) comparisons, put and remove copy as many nodes. */
#ifndef NJ_BASE_PMAP_H
#define NJ_BASE_PMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_pmap_node;

/* What the map has to know of its items. */
struct nj_pmap_type {
    struct nj_bytes (*key)(const void *item);
    void *(*ref)(void *item); /* returns its argument */
    void (*unref)(void *item);
};

struct nj_pmap {
    const struct nj_pmap_type *type;
    struct nj_pmap_node *root; /* NULL = empty */
};

static inline void nj_pmap_init(struct nj_pmap *map, const struct nj_pmap_type *type)
{
    *map = (struct nj_pmap){type, NULL};
}
/* Gives this version up. */
void nj_pmap_fini(struct nj_pmap *map);
/* A second owner of the same version; costs nothing. */
struct nj_pmap nj_pmap_copy(const struct nj_pmap *map);

/* From items in ascending order of different keys: linear. Takes the references over, also when it
 * fails. */
enum nj_err nj_pmap_build(struct nj_pmap *map, const struct nj_pmap_type *type, void **items,
                          size_t count) NJ_NODISCARD;

size_t nj_pmap_count(const struct nj_pmap *map);
/* Borrowed, as long as this version lives; NULL when there is none. */
void *nj_pmap_get(const struct nj_pmap *map, struct nj_bytes key);
/* The item at a place in the order of keys, from 0; NULL behind the last one. */
void *nj_pmap_at(const struct nj_pmap *map, size_t place);
/* The place of the first key that is not smaller. */
size_t nj_pmap_place(const struct nj_pmap *map, struct nj_bytes key);

/* In place of the item with the same key, or beside the others. Takes one reference over; on
 * NJ_ENOMEM the map is as it was and the reference is given up. */
enum nj_err nj_pmap_put(struct nj_pmap *map, void *item) NJ_NODISCARD;
/* NJ_ENOENT, or NJ_ENOMEM with the map as it was. */
enum nj_err nj_pmap_remove(struct nj_pmap *map, struct nj_bytes key) NJ_NODISCARD;

/* In ascending order, until `fn` says no. False when it did. */
bool nj_pmap_walk(const struct nj_pmap *map, bool (*fn)(void *arg, void *item), void *arg);

/* Bytes before the end sort first; a key is smaller than its continuations. */
int nj_bytes_compare(struct nj_bytes a, struct nj_bytes b);

#endif
