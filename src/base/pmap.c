/* See pmap.h. The balance is that of OCaml's Map: sub-trees differ by at most two in height, which
 * needs fewer rotations than one; `join` is the only place that makes nodes. */
#include "base/pmap.h"

#include <stdatomic.h>

#include "base/mem.h"

#define SLACK 2

struct nj_pmap_node {
    _Atomic uint32_t refs;
    uint32_t count; /* of the whole sub-tree */
    struct nj_pmap_node *left;
    struct nj_pmap_node *right;
    void *item;
    uint32_t height;
};

/* One operation. Every function below takes the references of the nodes and items it is given over,
 * and after a failure returns NULL, having let them go. */
struct work {
    const struct nj_pmap_type *type;
    bool has_failed;
    bool has_found; /* remove */
};

int nj_bytes_compare(struct nj_bytes a, struct nj_bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static uint32_t height_of(const struct nj_pmap_node *node)
{
    return node ? node->height : 0;
}

static uint32_t count_of(const struct nj_pmap_node *node)
{
    return node ? node->count : 0;
}

static struct nj_pmap_node *ref(struct nj_pmap_node *node)
{
    if (node) {
        (void)atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    }
    return node;
}

/* As deep as the tree is high: 1.8 log2(n). */
static void unref(const struct nj_pmap_type *type, struct nj_pmap_node *node)
{
    while (node && atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) == 1) {
        struct nj_pmap_node *right = node->right;
        unref(type, node->left);
        type->unref(node->item);
        nj_free(node);
        node = right;
    }
}

static struct nj_pmap_node *fail(struct work *work, struct nj_pmap_node *left, void *item,
                                 struct nj_pmap_node *right)
{
    work->has_failed = true;
    unref(work->type, left);
    unref(work->type, right);
    if (item) {
        work->type->unref(item);
    }
    return NULL;
}

static struct nj_pmap_node *join(struct work *work, struct nj_pmap_node *left, void *item,
                                 struct nj_pmap_node *right)
{
    struct nj_pmap_node *node = work->has_failed ? NULL : nj_try_alloc(sizeof(*node));
    if (!node) {
        return fail(work, left, item, right);
    }
    uint32_t high = height_of(left) > height_of(right) ? height_of(left) : height_of(right);
    *node = (struct nj_pmap_node){
        .count = count_of(left) + count_of(right) + 1,
        .left = left,
        .right = right,
        .item = item,
        .height = high + 1,
    };
    atomic_init(&node->refs, 1);
    return node;
}

/* Takes a node apart: its parts with a reference each. */
static void take_apart(struct work *work, struct nj_pmap_node *node, struct nj_pmap_node **left,
                       void **item, struct nj_pmap_node **right)
{
    *left = ref(node->left);
    *item = work->type->ref(node->item);
    *right = ref(node->right);
    unref(work->type, node);
}

static struct nj_pmap_node *lean_right(struct work *work, struct nj_pmap_node *left, void *item,
                                       struct nj_pmap_node *right)
{
    struct nj_pmap_node *ll;
    struct nj_pmap_node *lr;
    void *left_item;
    take_apart(work, left, &ll, &left_item, &lr);
    if (height_of(ll) >= height_of(lr)) {
        return join(work, ll, left_item, join(work, lr, item, right));
    }
    struct nj_pmap_node *lrl;
    struct nj_pmap_node *lrr;
    void *middle;
    take_apart(work, lr, &lrl, &middle, &lrr);
    struct nj_pmap_node *low = join(work, ll, left_item, lrl);
    struct nj_pmap_node *high = join(work, lrr, item, right);
    return join(work, low, middle, high);
}

static struct nj_pmap_node *lean_left(struct work *work, struct nj_pmap_node *left, void *item,
                                      struct nj_pmap_node *right)
{
    struct nj_pmap_node *rl;
    struct nj_pmap_node *rr;
    void *right_item;
    take_apart(work, right, &rl, &right_item, &rr);
    if (height_of(rr) >= height_of(rl)) {
        struct nj_pmap_node *low = join(work, left, item, rl);
        return join(work, low, right_item, rr);
    }
    struct nj_pmap_node *rll;
    struct nj_pmap_node *rlr;
    void *middle;
    take_apart(work, rl, &rll, &middle, &rlr);
    struct nj_pmap_node *low = join(work, left, item, rll);
    struct nj_pmap_node *high = join(work, rlr, right_item, rr);
    return join(work, low, middle, high);
}

/* As join, where one side may have become one or two too high. */
static struct nj_pmap_node *balance(struct work *work, struct nj_pmap_node *left, void *item,
                                    struct nj_pmap_node *right)
{
    if (work->has_failed) {
        return fail(work, left, item, right);
    }
    if (height_of(left) > height_of(right) + SLACK) {
        return lean_right(work, left, item, right);
    }
    if (height_of(right) > height_of(left) + SLACK) {
        return lean_left(work, left, item, right);
    }
    return join(work, left, item, right);
}

static struct nj_pmap_node *put(struct work *work, struct nj_pmap_node *node, void *item)
{
    if (!node) {
        return join(work, NULL, item, NULL);
    }
    struct nj_pmap_node *left;
    struct nj_pmap_node *right;
    void *here;
    int order = nj_bytes_compare(work->type->key(item), work->type->key(node->item));
    take_apart(work, node, &left, &here, &right);
    if (order == 0) {
        work->type->unref(here);
        return join(work, left, item, right);
    }
    if (order < 0) {
        return balance(work, put(work, left, item), here, right);
    }
    return balance(work, left, here, put(work, right, item));
}

/* *item gets the smallest one, which the rest does not hold any more. */
static struct nj_pmap_node *take_first(struct work *work, struct nj_pmap_node *node, void **item)
{
    struct nj_pmap_node *left;
    struct nj_pmap_node *right;
    void *here;
    take_apart(work, node, &left, &here, &right);
    if (!left) {
        *item = here;
        return right;
    }
    return balance(work, take_first(work, left, item), here, right);
}

static struct nj_pmap_node *merge(struct work *work, struct nj_pmap_node *left,
                                  struct nj_pmap_node *right)
{
    void *first = NULL;
    if (!left || !right) {
        return left ? left : right;
    }
    struct nj_pmap_node *rest = take_first(work, right, &first);
    return balance(work, left, first, rest);
}

static struct nj_pmap_node *take_out(struct work *work, struct nj_pmap_node *node,
                                     struct nj_bytes key)
{
    if (!node) {
        return NULL;
    }
    struct nj_pmap_node *left;
    struct nj_pmap_node *right;
    void *here;
    int order = nj_bytes_compare(key, work->type->key(node->item));
    take_apart(work, node, &left, &here, &right);
    if (order == 0) {
        work->has_found = true;
        work->type->unref(here);
        return merge(work, left, right);
    }
    if (order < 0) {
        return balance(work, take_out(work, left, key), here, right);
    }
    return balance(work, left, here, take_out(work, right, key));
}

/* ---- outward */

void nj_pmap_fini(struct nj_pmap *map)
{
    unref(map->type, map->root);
    map->root = NULL;
}

struct nj_pmap nj_pmap_copy(const struct nj_pmap *map)
{
    return (struct nj_pmap){map->type, ref(map->root)};
}

static struct nj_pmap_node *build(struct work *work, void **items, size_t count)
{
    if (!count) {
        return NULL;
    }
    size_t middle = count / 2;
    struct nj_pmap_node *left = build(work, items, middle);
    struct nj_pmap_node *right = build(work, items + middle + 1, count - middle - 1);
    return join(work, left, items[middle], right);
}

enum nj_err nj_pmap_build(struct nj_pmap *map, const struct nj_pmap_type *type, void **items,
                          size_t count)
{
    struct work work = {.type = type};
    struct nj_pmap_node *root = build(&work, items, count);
    if (work.has_failed) {
        unref(type, root);
        return NJ_ENOMEM;
    }
    *map = (struct nj_pmap){type, root};
    return NJ_OK;
}

size_t nj_pmap_count(const struct nj_pmap *map)
{
    return count_of(map->root);
}

void *nj_pmap_get(const struct nj_pmap *map, struct nj_bytes key)
{
    for (const struct nj_pmap_node *node = map->root; node;) {
        int order = nj_bytes_compare(key, map->type->key(node->item));
        if (order == 0) {
            return node->item;
        }
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

void *nj_pmap_at(const struct nj_pmap *map, size_t place)
{
    for (const struct nj_pmap_node *node = map->root; node;) {
        size_t before = count_of(node->left);
        if (place == before) {
            return node->item;
        }
        if (place < before) {
            node = node->left;
        } else {
            place -= before + 1;
            node = node->right;
        }
    }
    return NULL;
}

size_t nj_pmap_place(const struct nj_pmap *map, struct nj_bytes key)
{
    size_t place = 0;
    for (const struct nj_pmap_node *node = map->root; node;) {
        if (nj_bytes_compare(map->type->key(node->item), key) >= 0) {
            node = node->left;
        } else {
            place += count_of(node->left) + 1;
            node = node->right;
        }
    }
    return place;
}

enum nj_err nj_pmap_put(struct nj_pmap *map, void *item)
{
    struct work work = {.type = map->type};
    struct nj_pmap_node *root = put(&work, ref(map->root), item);
    if (work.has_failed) {
        unref(map->type, root);
        return NJ_ENOMEM;
    }
    unref(map->type, map->root);
    map->root = root;
    return NJ_OK;
}

enum nj_err nj_pmap_remove(struct nj_pmap *map, struct nj_bytes key)
{
    struct work work = {.type = map->type};
    struct nj_pmap_node *root = take_out(&work, ref(map->root), key);
    if (work.has_failed || !work.has_found) {
        unref(map->type, root);
        return work.has_failed ? NJ_ENOMEM : NJ_ENOENT;
    }
    unref(map->type, map->root);
    map->root = root;
    return NJ_OK;
}

static bool walk(const struct nj_pmap_node *node, bool (*fn)(void *arg, void *item), void *arg)
{
    for (; node; node = node->right) {
        if (!walk(node->left, fn, arg) || !fn(arg, node->item)) {
            return false;
        }
    }
    return true;
}

bool nj_pmap_walk(const struct nj_pmap *map, bool (*fn)(void *arg, void *item), void *arg)
{
    return walk(map->root, fn, arg);
}
