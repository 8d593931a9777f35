/* Starting a broker for the time of a run, with a plain configuration: one listener on a free port
 * of 127.0.0.1, anonymous allowed, no persistence, no limits on queues. Understood by nightjar and
 * Mosquitto. */
#ifndef NJ_APPS_NJ_BENCH_SPAWN_H
#define NJ_APPS_NJ_BENCH_SPAWN_H

#include <sys/types.h>
#include <stdint.h>

#include "base/err.h"

struct nj_bench_broker {
    pid_t pid;
    uint16_t port;
    char dir[64]; /* its configuration and log; gone after stop */
};

/* `conf` is a file with further lines, or NULL. Says on stderr what went wrong, with the end of
 * the broker's log. Blocks until it listens. */
enum nj_err nj_bench_broker_start(const char *path, const char *conf, struct nj_bench_broker *out)
    NJ_NODISCARD;
void nj_bench_broker_stop(struct nj_bench_broker *broker);

#endif
