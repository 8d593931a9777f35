/* Password hashes, in the forms of Mosquitto's files:
 *
 *   $6$<salt>$<digest>              SHA-512 over password and salt, one round
 *   $7$<iterations>$<salt>$<key>    PBKDF2-HMAC-SHA512, 64-byte key
 *   $argon2id$v=19$m=…,t=…,p=…$<salt>$<tag>   the PHC string
 *
 * Passwords are bytes: NUL and any length are allowed. Verifying costs up to tens of milliseconds:
 * never on a worker. */
#ifndef NJ_SECURITY_PASSWORD_H
#define NJ_SECURITY_PASSWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

enum nj_hash_kind {
    NJ_HASH_SHA512, /* $6$: for generated secrets of ≥ 160 random bits only */
    NJ_HASH_PBKDF2, /* $7$ */
    NJ_HASH_ARGON2ID,
    NJ_HASH_KIND_COUNT
};

/* Longest encoded form that is made or read, with its NUL. */
#define NJ_HASH_TEXT_MAX 512

/* Whether the text is a whole hash of a known kind, with strict base64 and the usual lengths (salts
 * of 12 or 64 bytes and 64-byte digests for $6$ and $7$; tags of 32 or 64 bytes for argon2id, 64
 * behind a salt of 64), and whether its cost can be afforded: iterations ≤ 10^7, memory ≤ 1 GiB,
 * memory times passes ≤ 4 GiB, ≤ 16 lanes. */
bool nj_password_hash_is_valid(struct nj_bytes hash);
/* Memory that verifying takes, in KiB; 0 when it is not worth counting. */
uint32_t nj_password_memory_kib(struct nj_bytes hash);
/* Constant time in the password. False for a bad hash. */
bool nj_password_verify(struct nj_bytes hash, struct nj_bytes password);

struct nj_hash_cost {
    enum nj_hash_kind kind;
    uint32_t iterations; /* 0 = the default of the kind: PBKDF2 210,000; argon2id t=2, m=19 MiB */
};
/* A new hash with a fresh salt. NJ_EINVAL when its cost is beyond what is read again; NJ_ENOMEM,
 * NJ_ESYS when the library fails. */
enum nj_err nj_password_hash(struct nj_bytes password, const struct nj_hash_cost *cost,
                             char out[NJ_HASH_TEXT_MAX]) NJ_NODISCARD;

#endif
