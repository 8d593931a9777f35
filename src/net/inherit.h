/* Listening sockets that the process was started with: by systemd (socket activation: LISTEN_FDS,
 * LISTEN_PID, LISTEN_FDNAMES, see sd_listen_fds(3)) or by its own predecessor in a restart, which
 * speaks the same way.
 *
 * There is one set, the process's, as there is one environment. It belongs to the thread that
 * starts the broker; nothing here is for other threads. */
#ifndef NJ_NET_INHERIT_H
#define NJ_NET_INHERIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "net/socket.h"

#define NJ_INHERIT_MAX      256
#define NJ_INHERIT_NAME_MAX 256

/* Takes them out of the environment, which then no longer speaks of them: call once, before
 * threads. `may_be_parents`: what was passed to the parent counts, too (a process that only tries
 * whether it could start). What is no listening stream socket is closed. Returns how many there
 * are. */
size_t nj_inherit_open(bool may_be_parents);
size_t nj_inherit_count(void);

/* Takes those out that a listener stands for: with `name`, those passed under this name; else those
 * that listen where the options say. An IPv6 socket for every address that takes IPv4, too, stands
 * for both. Returns how many (at most NJ_LISTEN_FDS_MAX); 0 = open them yourself. They are
 * non-blocking and close-on-exec. Blocks (resolves names). */
size_t nj_inherit_take(const struct nj_listen_options *options, const char *name,
                       int fds[NJ_LISTEN_FDS_MAX]);

/* What no listener took: calls `fn` with its address, then closes it. */
typedef void (*nj_inherit_fn)(void *arg, const char *where);
void nj_inherit_close(nj_inherit_fn fn, void *arg);

#endif
