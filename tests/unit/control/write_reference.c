/* Writes docs/control.md from the tables of commands: write_control_reference FILE. */
#include <stdio.h>

#include "control/plane.h"

int main(int argc, char **argv)
{
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        (void)fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 1;
    }
    nj_control_print_reference(out);
    return fclose(out) == 0 ? 0 : 1;
}
