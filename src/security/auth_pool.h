/* The threads that hash passwords: so that no worker ever does.
 *
 *   submit ─► lane of the source ─┐
 *   submit ─► lane of the source ─┼─ in turn ─ hash ─► done(yes or no, from when on it may be seen)
 *   (empty ticket)      …         ┘
 *
 * Low priority; bounded in jobs, bytes and hashing memory; fair between sources: lanes take turns,
 * and a lane may only wait with as many jobs as there are places left, so that one address that
 * tries a thousand passwords delays itself and not the others, and never fills the queue.
 *
 * A job without a hash (unknown user) takes the same way and costs nothing. What a refusal's time
 * could tell is how long its hash took; so the answer says from when on it tells nothing: as long
 * after the job was *begun* as hashes have taken lately, whether there was one or not. The caller
 * lets the refusal leave on the first tick of its own after that. */
#ifndef NJ_SECURITY_AUTH_POOL_H
#define NJ_SECURITY_AUTH_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_auth_pool;
struct nj_remembered;

/* Runs on a pool thread; must not block. `due_ms` (base/clock.h): a refusal must not be seen
 * before. */
typedef void (*nj_auth_done_fn)(void *arg, bool ok, uint64_t due_ms);

/* threads = 0: half the processors, at least one. Verified credentials go into `remembered`, which
 * may be NULL and has to outlive the pool. NULL when no thread can be started. */
struct nj_auth_pool *nj_auth_pool_new(unsigned threads, struct nj_remembered *remembered);
/* Waits for the jobs that run; those that wait are called back with false, on the
 * calling thread. NULL is allowed. */
void nj_auth_pool_free(struct nj_auth_pool *pool);

struct nj_auth_job {
    struct nj_bytes user;
    struct nj_bytes password;
    struct nj_bytes hash; /* empty: the answer is no */
    uint64_t source;      /* hash of the peer's address (of its /64 for IPv6) */
    nj_auth_done_fn done;
    void *arg;
    /* NULL, or a flag that the owner of `arg` sets when nobody waits for the answer any more: then
     * nothing is hashed. Has to live until `done`. */
    const _Atomic bool *is_abandoned;
};
/* Copies the texts, which are wiped after use. NJ_EBUSY when too many jobs wait (then `done` is not
 * called). `done` is called exactly once otherwise, perhaps before this returns. Any thread. */
enum nj_err nj_auth_pool_submit(struct nj_auth_pool *pool, const struct nj_auth_job *job)
    NJ_NODISCARD;
/* Jobs that wait or run. Any thread. */
unsigned nj_auth_pool_depth(const struct nj_auth_pool *pool);
unsigned nj_auth_pool_threads(const struct nj_auth_pool *pool);

#endif
