/* See crc32c.h. The processor's instruction where there is one, else a table of 256 entries. */
#include "base/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#    include <nmmintrin.h>
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[256];
static bool has_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ POLYNOMIAL : crc >> 1;
        }
        table[i] = crc;
    }
#if defined(__x86_64__)
    has_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t by_table(uint32_t crc, const uint8_t *at, size_t len)
{
    while (len--) {
        crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *at,
                                                                 size_t len)
{
    uint64_t wide = crc;
    while (len >= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        wide = _mm_crc32_u64(wide, word);
        at += sizeof(word);
        len -= sizeof(word);
    }
    crc = (uint32_t)wide;
    while (len--) {
        crc = _mm_crc32_u8(crc, *at++);
    }
    return crc;
}
#else
static uint32_t by_instruction(uint32_t crc, const uint8_t *at, size_t len)
{
    return by_table(crc, at, len);
}
#endif

uint32_t nj_crc32c(uint32_t crc, const void *data, size_t len)
{
    (void)pthread_once(&once, prepare);
    crc = ~crc;
    crc = has_instruction ? by_instruction(crc, data, len) : by_table(crc, data, len);
    return ~crc;
}
