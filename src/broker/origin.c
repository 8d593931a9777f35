/* See origin.h. */
#include "broker/origin.h"

#include "base/mem.h"

struct nj_origin *nj_origin_new(unsigned scope, uint32_t scope_id, struct nj_bytes user,
                                struct nj_bytes client_id)
{
    struct nj_origin *origin = nj_try_alloc(sizeof(*origin) + user.len + client_id.len);
    if (!origin) {
        return NULL;
    }
    atomic_init(&origin->refs, 1);
    origin->scope = scope;
    origin->scope_id = scope_id;
    origin->has_user = user.ptr != NULL;
    origin->by_certificate = false;
    origin->user_len = (uint32_t)user.len;
    origin->client_id_len = (uint32_t)client_id.len;
    if (user.ptr && user.len) {
        memcpy(origin->data, user.ptr, user.len);
    }
    if (client_id.ptr && client_id.len) {
        memcpy(origin->data + user.len, client_id.ptr, client_id.len);
    }
    return origin;
}

struct nj_origin *nj_origin_ref(struct nj_origin *origin)
{
    atomic_fetch_add_explicit(&origin->refs, 1, memory_order_relaxed);
    return origin;
}

void nj_origin_unref(struct nj_origin *origin)
{
    if (origin && atomic_fetch_sub_explicit(&origin->refs, 1, memory_order_acq_rel) == 1) {
        nj_free(origin);
    }
}
