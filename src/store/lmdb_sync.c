/* How the store learns that a sync failed.
 *
 * liblmdb answers EIO for a short write (the disk is full: nothing was lost, and it recovers), for
 * a write that failed, and for an fdatasync that failed (the kernel has dropped the pages it could
 * not write and will say so only once: what the file holds is unknown, and nothing more may be
 * promised until a restart). The difference decides between waiting and giving up, so fdatasync is
 * the one call that the program takes on its way from liblmdb to the C library: a function of this
 * name in the executable comes before the library's. It counts, it measures, it lets tests fail it,
 * and it calls the next one, so a preloaded library still has its turn. */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "store/lmdb_priv.h"

typedef int (*sync_fn)(int fd);

/* Owner: this file. */
static _Atomic(sync_fn) next_sync;
static _Atomic uint64_t failures;
static _Atomic uint64_t calls;
static _Atomic uint64_t nanoseconds;

static sync_fn find_next(void)
{
    sync_fn found = atomic_load_explicit(&next_sync, memory_order_acquire);
    if (!found) {
        /* The detour through an object pointer is how POSIX has it. */
        *(void **)&found = dlsym(RTLD_NEXT, "fdatasync");
        NJ_ASSERT(found);
        atomic_store_explicit(&next_sync, found, memory_order_release);
    }
    return found;
}

/* Its symbol is the C library's name. */
__attribute__((visibility("default"))) int nj_lmdb_fdatasync(int fd) __asm__("fdatasync");

int nj_lmdb_fdatasync(int fd)
{
    uint64_t start = nj_clock_mono_ns();
    int done = nj_fault_hit(NJ_FAULT_SYNC) ? (errno = EIO, -1) : find_next()(fd);
    int cause = errno;
    atomic_fetch_add_explicit(&nanoseconds, nj_clock_mono_ns() - start, memory_order_relaxed);
    atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed);
    if (done != 0) {
        atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
    }
    errno = cause;
    return done;
}

uint64_t nj_lmdb_sync_failures(void)
{
    return atomic_load_explicit(&failures, memory_order_relaxed);
}

uint64_t nj_lmdb_sync_count(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

uint64_t nj_lmdb_sync_ns(void)
{
    return atomic_load_explicit(&nanoseconds, memory_order_relaxed);
}
