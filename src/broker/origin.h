/* Who a message came from: kept with retained messages and delayed wills, whose right to publish is
 * decided again later. Immutable, reference counted, any thread. */
#ifndef NJ_BROKER_ORIGIN_H
#define NJ_BROKER_ORIGIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_origin {
    _Atomic uint32_t refs;
    unsigned scope;    /* security scope of the listener, in the policy */
    uint32_t scope_id; /* what it is called over restarts */
    bool has_user;
    bool by_certificate; /* set by who made it, before anybody else sees it */
    uint32_t user_len;
    uint32_t client_id_len;
    char data[]; /* user, client id */
};

struct nj_origin *nj_origin_new(unsigned scope, uint32_t scope_id, struct nj_bytes user,
                                struct nj_bytes client_id) NJ_NODISCARD;
struct nj_origin *nj_origin_ref(struct nj_origin *origin);
void nj_origin_unref(struct nj_origin *origin);

/* ptr is NULL for an anonymous origin. */
static inline struct nj_bytes nj_origin_user(const struct nj_origin *origin)
{
    return nj_bytes(origin->has_user ? origin->data : NULL, origin->user_len);
}

static inline struct nj_bytes nj_origin_client_id(const struct nj_origin *origin)
{
    return nj_bytes(origin->data + origin->user_len, origin->client_id_len);
}

#endif
