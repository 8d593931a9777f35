/* From settings to what the core obeys: the policy with its files, and the limits. */
#ifndef NJ_APPS_BROKER_POLICY_BUILD_H
#define NJ_APPS_BROKER_POLICY_BUILD_H

#include <stdint.h>

#include "base/err.h"

struct nj_dynsec;
struct nj_limits;
struct nj_policy;
struct nj_settings;

/* Loads all password and ACL files; `dynsec` as in dynsec_setup.h. On an error it says in the log
 * what is wrong and leaves nothing behind. */
enum nj_err nj_policy_build(const struct nj_settings *settings, const struct nj_dynsec *dynsec,
                            uint64_t epoch, struct nj_policy **out) NJ_NODISCARD;
struct nj_limits *nj_limits_build(const struct nj_settings *settings);

#endif
