/* Help texts of the publishing and subscribing tools. */
#ifndef NJ_APPS_NJ_USAGE_H
#define NJ_APPS_NJ_USAGE_H

#include <stdio.h>

#include "opts.h"

void nj_usage_print(const struct nj_command *command, enum nj_tool tool, FILE *out);
/* What follows when the options ended the run; returns the exit status. */
int nj_usage_answer(const struct nj_command *command, enum nj_tool tool,
                    enum nj_opts_result result);

#endif
