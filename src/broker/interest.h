/* Which workers have to see a publication: a shared map from filter to two sets of workers.
 *
 *   any     workers that hold at least one subscription of a matching filter
 *   stored  those among them where a matching subscriber's session survives a restart, so that the
 *           publisher's acknowledgement has to wait for that worker's store
 *
 * Each worker keeps its subscriptions to itself and tells this index only when its first
 * subscription of a filter comes or its last one goes. So 100,000 clients on one filter change it
 * once per worker, and a publisher's worker learns all it needs from two words.
 *
 * Readers (nj_interest_match) are online in the qsbr domain and take no lock. */
#ifndef NJ_BROKER_INTEREST_H
#define NJ_BROKER_INTEREST_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "broker/tree.h"

#define NJ_WORKERS_MAX 64

struct nj_qsbr;
struct nj_interest;

struct nj_interest_set {
    uint64_t any;
    uint64_t stored;
};

struct nj_interest *nj_interest_new(struct nj_qsbr *domain);
void nj_interest_free(struct nj_interest *interest);

/* Sets what `worker` wants of `filter`; both false removes it. Only setting the first bit of a new
 * filter can fail (NJ_ENOMEM). Any thread. */
enum nj_err nj_interest_set(struct nj_interest *interest, unsigned worker, struct nj_bytes filter,
                            bool wants_any, bool wants_stored);

/* `scratch` is two lists that the calling worker owns. On NJ_ENOMEM the set is all workers:
 * correct, only slower. */
struct nj_interest_set nj_interest_match(const struct nj_interest *interest, struct nj_bytes topic,
                                         struct nj_tree_nodes scratch[2]);

/* Changes with every change of the index. */
uint64_t nj_interest_generation(const struct nj_interest *interest);

#endif
