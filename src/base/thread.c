/* See thread.h. */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>

#include "base/fault.h"

#define STACK_BYTES ((size_t)512 * 1024)

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
