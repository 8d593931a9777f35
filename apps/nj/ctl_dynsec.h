/* The table of dynamic security's commands, for ctl_dynsec.c and its tests. */
#ifndef NJ_APPS_NJ_CTL_DYNSEC_H
#define NJ_APPS_NJ_CTL_DYNSEC_H

#include "ctl.h"

/* The request for the words of a command line, a new reference; may ask for a password. Else NULL
 * and *status: no such command, or bad arguments. */
json_t *nj_ctl_dynsec_build(struct nj_ctl *ctl, int argc, char **argv, int *status);

#endif
