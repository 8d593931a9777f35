/* SipHash-1-3 (Aumasson, Bernstein) under a key drawn once per process. See hash.h. */
#include "base/hash.h"

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/rand.h"

/* Owner: this file; written once before any other thread can read it. */
static uint64_t process_key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static _Atomic bool has_key;

static void draw_key(void)
{
    nj_rand_bytes(process_key, sizeof(process_key));
    atomic_store_explicit(&has_key, true, memory_order_release);
}

void nj_hash_init(void)
{
    (void)pthread_once(&key_once, draw_key);
}

static inline uint64_t rotl(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

struct sip {
    uint64_t a, b, c, d;
};

static inline void sip_round(struct sip *v)
{
    v->a += v->b;
    v->b = rotl(v->b, 13) ^ v->a;
    v->a = rotl(v->a, 32);
    v->c += v->d;
    v->d = rotl(v->d, 16) ^ v->c;
    v->a += v->d;
    v->d = rotl(v->d, 21) ^ v->a;
    v->c += v->b;
    v->b = rotl(v->b, 17) ^ v->c;
    v->c = rotl(v->c, 32);
}

static inline uint64_t load_tail(const uint8_t *at, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) {
        word |= (uint64_t)at[i] << (8 * i);
    }
    return word;
}

uint64_t nj_siphash13(struct nj_bytes bytes, uint64_t key0, uint64_t key1)
{
    struct sip v = {key0 ^ 0x736f6d6570736575ull, key1 ^ 0x646f72616e646f6dull,
                    key0 ^ 0x6c7967656e657261ull, key1 ^ 0x7465646279746573ull};
    size_t whole = bytes.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, bytes.ptr + i, sizeof(word));
        word = le64toh(word);
        v.d ^= word;
        sip_round(&v);
        v.a ^= word;
    }
    uint64_t last = (uint64_t)bytes.len << 56;
    if (bytes.len & 7) {
        last |= load_tail(bytes.ptr + whole, bytes.len & 7);
    }
    v.d ^= last;
    sip_round(&v);
    v.a ^= last;
    v.c ^= 0xff;
    sip_round(&v);
    sip_round(&v);
    sip_round(&v);
    return v.a ^ v.b ^ v.c ^ v.d;
}

uint64_t nj_hash_bytes(struct nj_bytes bytes)
{
    return nj_hash_seeded(bytes, 0);
}

uint64_t nj_hash_seeded(struct nj_bytes bytes, uint64_t seed)
{
    if (NJ_UNLIKELY(!atomic_load_explicit(&has_key, memory_order_acquire))) {
        nj_hash_init();
    }
    return nj_siphash13(bytes, process_key[0] ^ seed, process_key[1]);
}
