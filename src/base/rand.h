/* Random bytes from the kernel. There is no weak fall-back: a source that fails ends the process,
 * because guessable ids and salts are worse than no broker. Any thread. */
#ifndef NJ_BASE_RAND_H
#define NJ_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

void nj_rand_bytes(void *out, size_t len);
uint64_t nj_rand_u64(void);

#endif
