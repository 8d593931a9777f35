/* What follows when the options of pub, sub or rr ended the run. */
#ifndef NJ_APPS_NJ_USAGE_H
#define NJ_APPS_NJ_USAGE_H

#include "manual.h"
#include "opts.h"

/* Help, version, or where to find help. Returns the exit status. */
int nj_usage_answer(const struct nj_command *command, const struct nj_manual *manual,
                    enum nj_opts_result result);

#endif
