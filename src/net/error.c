/* Operator texts: see error.h. */
#include "net/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

const char *nj_net_errno_text(int cause)
{
    const char *text = strerrordesc_np(cause);
    return text != NULL ? text : "unknown error";
}
