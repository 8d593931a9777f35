/* Operator texts: see error.h. */
#include "net/error.h"

#include <stdarg.h>
#include <stdio.h>

void nj_net_error_set(struct nj_net_error *error, const char *fmt, ...)
{
    if (error == NULL) {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(error->text, sizeof(error->text), fmt, args);
    va_end(args);
}
