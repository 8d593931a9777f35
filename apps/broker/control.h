/* The control thread: signals, reload, $SYS, signs of life, the end. */
#ifndef NJ_APPS_BROKER_CONTROL_H
#define NJ_APPS_BROKER_CONTROL_H

#include "base/err.h"
#include "base/log.h"

struct nj_control;
struct nj_front;
struct nj_limits;
struct nj_settings;

/* Before any thread is started: signals come to the control thread only. */
void nj_control_block_signals(void);
/* Takes settings and limits over, and all that replace them. */
struct nj_control *nj_control_new(struct nj_front *front, struct nj_settings *settings,
                                  struct nj_limits *limits);
/* Opens dynamic security, when it is configured, before the workers run. Says in the log what is
 * wrong. */
enum nj_err nj_control_open_dynsec(struct nj_control *control) NJ_NODISCARD;
/* Runs until SIGINT or SIGTERM; returns the exit status. */
int nj_control_run(struct nj_control *control);
/* Whether it ended in order to start anew (restart.h). */
bool nj_control_wants_restart(const struct nj_control *control);
/* After the front was stopped: nobody looks at settings and limits any more. */
void nj_control_free(struct nj_control *control);

/* `front` may be NULL before it exists: then no line goes to a topic. */
enum nj_err nj_control_configure_log(const struct nj_settings *settings, struct nj_front *front)
    NJ_NODISCARD;
void nj_control_log_topic(void *arg, enum nj_log_type type, const char *line, size_t len);

#endif
