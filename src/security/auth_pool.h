/* The threads that hash passwords: so that no worker ever does.
 *
 * Low priority, a bounded queue, and fair between sources: jobs wait in lanes by the hash of their
 * source address and lanes take turns, so that one address that tries a thousand passwords delays
 * itself and not the others. A job without a hash (unknown user) takes the same way and costs
 * nothing; with the fixed tick on which refusals leave, time tells nothing. */
#ifndef NJ_SECURITY_AUTH_POOL_H
#define NJ_SECURITY_AUTH_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_auth_pool;
struct nj_remembered;

/* Runs on a pool thread; must not block. */
typedef void (*nj_auth_done_fn)(void *arg, bool ok);

/* threads = 0: half the processors, at least one. Verified credentials go into `remembered`. */
struct nj_auth_pool *nj_auth_pool_new(unsigned threads, struct nj_remembered *remembered);
/* Waits for the jobs that run; those that wait are called back with false. */
void nj_auth_pool_free(struct nj_auth_pool *pool);

struct nj_auth_job {
    struct nj_bytes user;
    struct nj_bytes password;
    struct nj_bytes hash; /* empty: the answer is no */
    uint64_t source;      /* hash of the peer's address */
    nj_auth_done_fn done;
    void *arg;
};
/* Copies the texts. NJ_EBUSY when too many jobs wait (then `done` is not called). Any thread. */
enum nj_err nj_auth_pool_submit(struct nj_auth_pool *pool, const struct nj_auth_job *job)
    NJ_NODISCARD;
/* Jobs that wait or run. */
unsigned nj_auth_pool_depth(const struct nj_auth_pool *pool);
unsigned nj_auth_pool_threads(const struct nj_auth_pool *pool);

#endif
