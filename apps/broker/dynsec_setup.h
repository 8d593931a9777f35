/* From settings to the module of dynamic security, and its state into a policy. */
#ifndef NJ_APPS_BROKER_DYNSEC_SETUP_H
#define NJ_APPS_BROKER_DYNSEC_SETUP_H

#include <stddef.h>

#include "base/err.h"
#include "control/dynsec_api.h"

struct nj_dynsec;
struct nj_scope;
struct nj_settings;

/* Opens it when it is configured; else *out is NULL. Says in the log what is wrong. To be called
 * after the last change of account: its files belong to who writes them. */
enum nj_err nj_dynsec_setup_open(const struct nj_settings *settings, struct nj_dynsec **out)
    NJ_NODISCARD;
/* Only looks whether the file can be read (--test-config). */
enum nj_err nj_dynsec_setup_test(const struct nj_settings *settings) NJ_NODISCARD;

struct nj_dynsec_module_options nj_dynsec_setup_options(const struct nj_settings *settings);

/* Puts the state in force into the scopes of listeners that have dynamic security. `dynsec` may be
 * NULL: then nobody is known to it yet. */
enum nj_err nj_dynsec_setup_scopes(const struct nj_settings *settings,
                                   const struct nj_dynsec *dynsec, struct nj_scope *scopes,
                                   size_t count) NJ_NODISCARD;

#endif
