/* Writes docs/configuration.md from the option table: write_config_reference FILE. */
#include <stdio.h>

#include "config/config.h"

int main(int argc, char **argv)
{
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        (void)fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 1;
    }
    nj_config_print_reference(out);
    return fclose(out) == 0 ? 0 : 1;
}
