/* `$CONTROL/dynamic-security/v1`: the original's commands and some of our own.
 *
 *   begin ─► draft ─► command, command … ─► end: journal ─► policy of all workers ─► reply
 *
 * One request is one change of the journal and one change of policy, however many commands it has.
 * Control thread. */
#ifndef NJ_CONTROL_DYNSEC_API_H
#define NJ_CONTROL_DYNSEC_API_H

#include <stdbool.h>

#include "control/api.h"
#include "security/password.h"

struct nj_dynsec;
struct nj_dynsec_module;

extern const struct nj_control_api nj_dynsec_api;

struct nj_dynsec_module_options {
    struct nj_hash_cost cost;   /* of new passwords */
    bool kicks;                 /* who is concerned by a change is disconnected */
    bool tells_events;          /* changes are published on $CONTROL/dynamic-security/v1/event */
    bool refuses_control_chars; /* in names */
};

/* The ctx for nj_control_plane_add. `dynsec` has to outlive it. */
struct nj_dynsec_module *nj_dynsec_module_new(struct nj_dynsec *dynsec,
                                              const struct nj_dynsec_module_options *options);
void nj_dynsec_module_free(struct nj_dynsec_module *module); /* NULL is allowed */
/* After a reload. */
void nj_dynsec_module_configure(struct nj_dynsec_module *module,
                                const struct nj_dynsec_module_options *options);

#endif
