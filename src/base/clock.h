/* The only door to time. Monotonic time drives every interval (keep alive, expiry, delays) and
 * counts suspended time (CLOCK_BOOTTIME); wall time is for certificates, logs and file stamps.
 * Tests replace both with nj_clock_set_fake. Any thread. */
#ifndef NJ_BASE_CLOCK_H
#define NJ_BASE_CLOCK_H

#include <stdint.h>

uint64_t nj_clock_mono_ns(void);
uint64_t nj_clock_mono_ms(void);
/* Seconds / nanoseconds since the Unix epoch. */
int64_t nj_clock_wall_s(void);
int64_t nj_clock_wall_ns(void);

struct nj_clock_fake {
    uint64_t mono_ns;
    int64_t wall_ns;
};
/* NULL goes back to the real clock. The struct stays the caller's and may be changed by it while
 * no other thread runs. */
void nj_clock_set_fake(const struct nj_clock_fake *fake);

#endif
