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
/* Call once at start-up, before threads: draws the key. Idempotent. */
void nj_hash_init(void);

#endif
