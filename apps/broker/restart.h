/* A restart that refuses nobody: the process replaces itself by a new one (execve) that has the
 * same process number and takes the listening sockets over. Connections that come meanwhile wait
 * in the kernel; those that exist end with DISCONNECT 0x8B and may come back at once.
 *
 *   SIGRTMIN+1 ─► a child tries the new start (configuration, files, keys, sockets)
 *                   failed ─► a log line; everything stays as it was
 *                   good   ─► workers stop, the store is closed ─► execve
 *
 * Everything here is for the main thread. */
#ifndef NJ_APPS_BROKER_RESTART_H
#define NJ_APPS_BROKER_RESTART_H

#include <stdbool.h>

#include "base/err.h"

struct nj_front;

/* First in main: remembers how the program was started, takes inherited sockets. */
void nj_restart_init(char **argv);
/* This process only tries whether it could start: no worker, no store, no account, no pid file. */
bool nj_restart_is_trial(void);
/* This process took over from another one: it is in the background, has its account and its pid
 * file already. */
bool nj_restart_is_successor(void);

/* After the front was opened: paths of unix sockets that the first process of the line made are
 * ours to remove; those that a service manager made are not. */
void nj_restart_adopt(struct nj_front *front);

/* Starts the child that tries. It inherits the listening sockets. */
enum nj_err nj_restart_try(const struct nj_front *front) NJ_NODISCARD;
/* After SIGCHLD. NJ_OK: the child said that a start will do; NJ_EAGAIN: it still runs, or there is
 * none; NJ_EINVAL: it would fail, and the child has said why. */
enum nj_err nj_restart_tried(void) NJ_NODISCARD;

/* Before the front is stopped: keeps its sockets open, and the paths of unix sockets in place. */
void nj_restart_keep(struct nj_front *front);
/* Last in main; returns only when the program cannot be executed. */
void nj_restart_exec(void);

#endif
