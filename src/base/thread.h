/* Starting threads: named, with all signals blocked (one thread takes them), on small stacks. */
#ifndef NJ_BASE_THREAD_H
#define NJ_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"

struct nj_thread {
    pthread_t handle;
    bool is_running;
};

/* NJ_ESYS when the system refuses one more thread. */
enum nj_err nj_thread_start(struct nj_thread *thread, const char *name, void *(*main_fn)(void *),
                            void *arg) NJ_NODISCARD;
/* Waits for its end. Nothing happens when it never started. */
void nj_thread_join(struct nj_thread *thread);
/* The calling thread gives way from now on: whoever else wakes up gets its processor at once, and
 * it still gets its share when all processors are busy for long. Best effort. */
void nj_thread_give_way(void);

#endif
