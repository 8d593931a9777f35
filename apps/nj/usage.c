/* See usage.h. */
#include "usage.h"

int nj_usage_answer(const struct nj_command *command, const struct nj_manual *manual,
                    enum nj_opts_result result)
{
    switch (result) {
    case NJ_OPTS_HELP:
        nj_manual_print_usage(manual, command, stdout);
        break;
    case NJ_OPTS_VERSION:
        nj_manual_print_version(command, stdout);
        break;
    default:
        return nj_manual_point_to_help(command);
    }
    return command->is_compat ? 1 : 0;
}
