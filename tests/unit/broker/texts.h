/* Random topics and filters of few levels, so that paths share nodes and wildcards match often. */
#ifndef NJ_TESTS_BROKER_TEXTS_H
#define NJ_TESTS_BROKER_TEXTS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* `out` has room for 40 bytes. Seeded with srand. */
static inline void random_text(char *out, bool is_filter)
{
    static const char *const levels[] = {"a", "b", "", "cc", "$x", "d"};
    int depth = 1 + rand() % 5;
    out[0] = 0;
    for (int i = 0; i < depth; i++) {
        strcat(out, i ? "/" : "");
        if (is_filter && i == depth - 1 && rand() % 4 == 0) {
            strcat(out, "#");
        } else if (is_filter && rand() % 3 == 0) {
            strcat(out, "+");
        } else {
            strcat(out, levels[rand() % 6]);
        }
    }
    if (!out[0]) {
        strcpy(out, "a");
    }
}

#endif
