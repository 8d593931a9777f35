/* What the config tests share: a scratch directory that is the current one, and the log in memory.
 */
#ifndef NJ_TESTS_UNIT_CONFIG_RIG_H
#define NJ_TESTS_UNIT_CONFIG_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "support/test.h"

/* Group set-up and tear-down. */
int rig_open(void **state);
int rig_close(void **state);

void rig_write(const char *name, const char *text);
void rig_write_bytes(const char *name, const void *data, size_t len);

/* Arguments behind the program's name, NULL at the end. */
struct nj_config_result rig_run(const char *program, ...);
/* Loads `text` as c.conf, in native mode. */
struct nj_config_result rig_load(const char *text);
/* The same, and it has to be good. The caller frees. */
struct nj_settings *rig_good(const char *text);
/* It has to be refused with status 3, with `error` as the first error line; line 0 = no place. */
void rig_bad(const char *text, const char *error, unsigned line);

/* The lines since the last load or reload, each ended by a newline. */
const char *rig_log(void);
void rig_log_clear(void);
bool rig_logged(const char *part);

/* What a print function prints. The caller frees with free(). */
char *rig_print(void (*print)(const struct nj_settings *settings, FILE *out),
                const struct nj_settings *settings);

#endif
