/* See rand.h. */
#include "base/rand.h"

#include <sys/random.h>
#include <sys/types.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"

void nj_rand_bytes(void *out, size_t len)
{
    uint8_t *at = out;
    while (len) {
        ssize_t got = nj_fault_hit(NJ_FAULT_RANDOM) ? (errno = EIO, -1) : getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            (void)fprintf(stderr, "nightjar: the kernel gives no random bytes; stopping\n");
            abort();
        }
        at += got;
        len -= (size_t)got;
    }
}

uint64_t nj_rand_u64(void)
{
    uint64_t value;
    nj_rand_bytes(&value, sizeof(value));
    return value;
}
