/* `nj ctl`: what works on a file of dynamic security without a broker. */
#include <stdio.h>

#include "ctl.h"

int nj_ctl_init_file(struct nj_ctl *ctl, int argc, char **argv)
{
    (void)ctl;
    (void)argc;
    (void)argv;
    fprintf(stderr, "Error: not available yet.\n");
    return NJ_CTL_FAILED;
}

int nj_ctl_edit_file(struct nj_ctl *ctl, int argc, char **argv)
{
    (void)ctl;
    (void)argc;
    (void)argv;
    fprintf(stderr, "Error: not available yet.\n");
    return NJ_CTL_FAILED;
}
