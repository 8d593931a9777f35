/* The store that keeps nothing: it gives the broker the contract of store.h (order per lane, never
 * inline) at the price of one array append, so that the way of a message is the same as over a
 * durable store. What has to be kept while the process lives, the broker holds itself. */
#include "base/mem.h"
#include "store/store.h"

struct lane {
    uint64_t *cookies; /* submitted, not yet completed */
    unsigned count;
    unsigned cap;
};

struct store_ram {
    struct nj_store base;
    nj_store_done_fn done;
    void *arg;
    unsigned lane_count;
    struct lane lanes[];
};

static enum nj_err ram_submit(struct nj_store *store, unsigned lane_index,
                              const struct nj_store_op *ops, unsigned count, uint64_t cookie)
{
    struct store_ram *ram = (struct store_ram *)store;
    struct lane *lane = &ram->lanes[lane_index];
    (void)ops;
    (void)count;
    if (lane->count == lane->cap) {
        unsigned cap = lane->cap ? lane->cap * 2 : 64;
        uint64_t *grown = nj_try_realloc(lane->cookies, cap * sizeof(*grown));
        if (!grown) {
            return NJ_ENOMEM;
        }
        lane->cookies = grown;
        lane->cap = cap;
    }
    lane->cookies[lane->count++] = cookie;
    return NJ_OK;
}

static void ram_flush(struct nj_store *store, unsigned lane_index)
{
    struct store_ram *ram = (struct store_ram *)store;
    struct lane *lane = &ram->lanes[lane_index];
    for (unsigned i = 0; i < lane->count; i++) {
        ram->done(ram->arg, lane_index, lane->cookies[i], NJ_OK);
    }
    lane->count = 0;
}

static void ram_close(struct nj_store *store)
{
    struct store_ram *ram = (struct store_ram *)store;
    for (unsigned i = 0; i < ram->lane_count; i++) {
        nj_free(ram->lanes[i].cookies);
    }
    nj_free(ram);
}

static const struct nj_store_vtable ram_vtable = {
    .name = "memory",
    .is_durable = false,
    .submit = ram_submit,
    .flush = ram_flush,
    .close = ram_close,
};

struct nj_store *nj_store_ram_open(unsigned lanes, nj_store_done_fn done, void *arg)
{
    struct store_ram *ram = nj_zalloc(sizeof(*ram) + lanes * sizeof(struct lane));
    ram->base.vtable = &ram_vtable;
    ram->done = done;
    ram->arg = arg;
    ram->lane_count = lanes;
    return &ram->base;
}
