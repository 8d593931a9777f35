/* See dynsec_secret.h. */
#include "security/dynsec_secret.h"

#include <stdint.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

#define PREFIX       "njsec_"
#define PREFIX_LEN   (sizeof(PREFIX) - 1)
#define RANDOM_LEN   40
#define CHECKSUM_LEN 6

/* Without letters that look alike. */
static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";

static void put_checksum(const char *text, char out[CHECKSUM_LEN])
{
    uint64_t sum = nj_siphash13(nj_bytes(text, PREFIX_LEN + RANDOM_LEN), 0x6e6a736563, 1);
    for (int i = 0; i < CHECKSUM_LEN; i++) {
        out[i] = letters[sum & 31];
        sum >>= 5;
    }
}

void nj_dynsec_secret_make(char out[NJ_DYNSEC_SECRET_LEN + 1])
{
    uint8_t random[RANDOM_LEN];
    nj_rand_bytes(random, sizeof(random));
    memcpy(out, PREFIX, PREFIX_LEN);
    for (size_t i = 0; i < RANDOM_LEN; i++) {
        out[PREFIX_LEN + i] = letters[random[i] & 31];
    }
    put_checksum(out, out + PREFIX_LEN + RANDOM_LEN);
    out[NJ_DYNSEC_SECRET_LEN] = '\0';
    nj_wipe(random, sizeof(random));
}

bool nj_dynsec_secret_is_well_formed(struct nj_bytes text)
{
    char checksum[CHECKSUM_LEN];
    if (text.len != NJ_DYNSEC_SECRET_LEN || memcmp(text.ptr, PREFIX, PREFIX_LEN) != 0) {
        return false;
    }
    for (size_t i = PREFIX_LEN; i < text.len; i++) {
        if (!memchr(letters, text.ptr[i], sizeof(letters) - 1)) {
            return false;
        }
    }
    put_checksum((const char *)text.ptr, checksum);
    return memcmp(text.ptr + PREFIX_LEN + RANDOM_LEN, checksum, CHECKSUM_LEN) == 0;
}
