/* What a store kept becomes sessions, subscriptions, wills and retained messages again. */
#ifndef NJ_BROKER_BOOT_H
#define NJ_BROKER_BOOT_H

#include <stdint.h>

#include "base/err.h"

struct nj_core;

struct nj_booted {
    uint64_t sessions;
    uint64_t subscriptions;
    uint64_t wills;
    uint64_t retained;
    uint64_t queued;
};

/* Before the workers run, on the thread that opened the store; core->store is set. Sessions that
 * had a connection lost it now: their wills' delays and their expiry begin now; for those that were
 * away both go on. Wills that are due do not all fire in the first second. */
enum nj_err nj_core_boot(struct nj_core *core, uint64_t now_ms, struct nj_booted *booted)
    NJ_NODISCARD;

#endif
