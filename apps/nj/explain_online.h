/* `nj explain --online`: the running broker explains, under the rules that it has now. */
#ifndef NJ_APPS_NJ_EXPLAIN_ONLINE_H
#define NJ_APPS_NJ_EXPLAIN_ONLINE_H

#include "command.h"
#include "security/explain.h"

/* Asks the broker that `nj ctl` would ask: `options_file`, or NULL for its defaults file. False:
 * something was said. `out` wants nj_explanation_fini in any case. */
bool nj_explain_online(const struct nj_command *command, const char *options_file,
                       const struct nj_explain_question *question, struct nj_explanation *out)
    NJ_NODISCARD;

#endif
