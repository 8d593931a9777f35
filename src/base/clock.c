/* See clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

static _Atomic(const struct nj_clock_fake *) fake_clock;

static uint64_t read_clock(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t nj_clock_mono_ns(void)
{
    const struct nj_clock_fake *fake = atomic_load_explicit(&fake_clock, memory_order_acquire);
    return fake ? fake->mono_ns : read_clock(CLOCK_BOOTTIME);
}

uint64_t nj_clock_mono_ms(void)
{
    return nj_clock_mono_ns() / NS_PER_MS;
}

int64_t nj_clock_wall_ns(void)
{
    const struct nj_clock_fake *fake = atomic_load_explicit(&fake_clock, memory_order_acquire);
    return fake ? fake->wall_ns : (int64_t)read_clock(CLOCK_REALTIME);
}

int64_t nj_clock_wall_s(void)
{
    return nj_clock_wall_ns() / (int64_t)NS_PER_S;
}

void nj_clock_set_fake(const struct nj_clock_fake *fake)
{
    atomic_store_explicit(&fake_clock, fake, memory_order_release);
}
