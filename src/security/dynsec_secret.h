/* Secrets that the broker makes for devices.
 *
 *   njsec_k3f2…(40 letters of 5 random bits each)…x7 q4m9zd
 *   └ recognisable in logs and repositories        └ checksum: a slip of the pen is seen offline
 *
 * 200 random bits need no slow hash: they are kept as $6$ with a fresh salt of 64 bytes. */
#ifndef NJ_SECURITY_DYNSEC_SECRET_H
#define NJ_SECURITY_DYNSEC_SECRET_H

#include <stdbool.h>

#include "base/bytes.h"

#define NJ_DYNSEC_SECRET_LEN 52

/* NUL-terminated; to be wiped by the caller. */
void nj_dynsec_secret_make(char out[NJ_DYNSEC_SECRET_LEN + 1]);
/* Form and checksum; says nothing about whether anybody has it. */
bool nj_dynsec_secret_is_well_formed(struct nj_bytes text);

#endif
