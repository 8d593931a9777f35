/* Keyed hashing for tables whose keys a peer chooses (SipHash-1-3) and a fast unkeyed mix for
 * tables it does not. */
#ifndef NJ_BASE_HASH_H
#define NJ_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* SipHash-1-3 under the process key, drawn at first use. Any thread. */
uint64_t nj_hash_bytes(struct nj_bytes bytes);
/* As above with a caller's seed mixed into the key (e.g. a parent's id). */
uint64_t nj_hash_seeded(struct nj_bytes bytes, uint64_t seed);
/* Draws the key, which otherwise the first hash does. Idempotent. Any thread. */
void nj_hash_init(void);
/* SipHash-1-3 under a given key, for values that have to come out the same in every process. */
uint64_t nj_siphash13(struct nj_bytes bytes, uint64_t key0, uint64_t key1);

#endif
