/* See thread.h. */
#include "base/thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"

#define STACK_BYTES ((size_t)512 * 1024)
#define NICE_VALUE  15
#define SLICE_NS    100000000 /* the longest that sched(7) lets a thread ask for */

/* sched_setattr(2); the C library of Debian 12 has no name for it yet. */
struct sched_attributes {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime; /* of SCHED_OTHER and SCHED_BATCH: the slice, since Linux 6.12 */
    uint64_t deadline;
    uint64_t period;
};

enum nj_err nj_thread_start(struct nj_thread *thread, const char *name, void *(*main_fn)(void *),
                            void *arg)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t old;
    thread->is_running = false;
    if (nj_fault_hit(NJ_FAULT_THREAD) || pthread_attr_init(&attr) != 0) {
        return NJ_ESYS;
    }
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    thread->is_running = pthread_create(&thread->handle, &attr, main_fn, arg) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    if (!thread->is_running) {
        return NJ_ESYS;
    }
    char short_name[16]; /* the kernel refuses longer ones */
    (void)snprintf(short_name, sizeof(short_name), "%s", name);
    (void)pthread_setname_np(thread->handle, short_name);
    return NJ_OK;
}

void nj_thread_join(struct nj_thread *thread)
{
    if (thread->is_running) {
        (void)pthread_join(thread->handle, NULL);
        thread->is_running = false;
    }
}

/* The kernel lets a running thread end its slice, unless one that wakes up asks for shorter slices:
 * so this one asks for the longest. The lower its weight, the more seldom has somebody who wakes up
 * already had more than its share, which would make it wait for the next tick; but it must not be
 * so low that logins starve when every processor is busy, as they do with SCHED_IDLE. */
void nj_thread_give_way(void)
{
    const struct sched_attributes attr = {
        .size = sizeof(attr),
        .policy = SCHED_BATCH,
        .nice = NICE_VALUE,
        .runtime = SLICE_NS,
    };
    if (syscall(SYS_sched_setattr, 0, &attr, 0) != 0) {
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE_VALUE);
    }
}
