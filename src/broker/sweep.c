/* Expired retained messages go although nobody asks for them: their memory, their place in the
 * count, and their record in the store. */
#include "broker/commit.h"
#include "broker/retain.h"
#include "broker/shard.h"

/* Of one turn: each is a group of the store. */
#define SWEEP_MAX 64

/* Submitted at once, under the index's lock: a new message on this topic is put into the index
 * after that, so its record follows this one. */
static void removed(void *arg, struct nj_bytes topic)
{
    struct nj_shard *shard = arg;
    struct nj_store_op *op = nj_shard_op(shard, NJ_STORE_RETAIN_CLEAR, 0);
    enum nj_err err;
    if (op) {
        op->bytes = topic;
    }
    /* When the store does not take it, it is left out at the next start, expired as it is. */
    (void)nj_shard_commit(shard, &err);
}

bool nj_shard_sweep_retained(struct nj_shard *shard)
{
    struct nj_retain *retain = shard->core->retain;
    if (nj_retain_next_due_ms(retain) > shard->now_ms) {
        return false;
    }
    nj_retain_sweep(retain, shard->now_ms, SWEEP_MAX, removed, shard);
    return nj_retain_next_due_ms(retain) <= shard->now_ms;
}
