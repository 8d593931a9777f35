/* See walk.h. */
#include "control/walk.h"

#include "broker/session.h"
#include "broker/shard.h"

#define BUCKETS_PER_TURN 2048

static uint64_t reversed(uint64_t v)
{
    v = (v >> 1 & 0x5555555555555555ull) | (v & 0x5555555555555555ull) << 1;
    v = (v >> 2 & 0x3333333333333333ull) | (v & 0x3333333333333333ull) << 2;
    v = (v >> 4 & 0x0f0f0f0f0f0f0f0full) | (v & 0x0f0f0f0f0f0f0f0full) << 4;
    return __builtin_bswap64(v);
}

/* Counts from the highest bit of the mask down. When the table doubles, bucket b is split into b
 * and b + size, which differ in a bit above all that were counted: what was visited stays visited,
 * what was not stays ahead. */
static uint64_t next_cursor(uint64_t cursor, uint64_t mask)
{
    return reversed(reversed(cursor | ~mask) + 1);
}

bool nj_walk_sessions(struct nj_walk *walk, struct nj_shard *shard,
                      void (*fn)(void *arg, struct nj_session *session), void *arg)
{
    for (unsigned i = 0; i < BUCKETS_PER_TURN; i++) {
        if (!shard->table) {
            return true;
        }
        struct nj_session *session = shard->table[walk->cursor & shard->table_mask];
        while (session) {
            struct nj_session *next = session->hash_next;
            fn(arg, session);
            session = next;
        }
        walk->cursor = next_cursor(walk->cursor, shard->table_mask);
        if (!walk->cursor) {
            return true;
        }
    }
    return false;
}
