/* What a service does besides its work: background, pid file, another account, descriptors, and
 * telling systemd. */
#ifndef NJ_APPS_BROKER_PROCESS_H
#define NJ_APPS_BROKER_PROCESS_H

#include <stdint.h>

#include "base/err.h"

struct nj_settings;

enum nj_err nj_process_daemonise(void) NJ_NODISCARD;
enum nj_err nj_process_write_pid(const char *path) NJ_NODISCARD;
/* When root: changes to settings->user (default: mosquitto, else nobody) for good. */
enum nj_err nj_process_drop(const struct nj_settings *settings) NJ_NODISCARD;
void nj_process_raise_limits(void);
/* sd_notify; nothing without systemd. */
void nj_process_notify(const char *state);
/* Milliseconds between signs of life, 0 = none wanted. */
uint64_t nj_process_watchdog_ms(void);

#endif
