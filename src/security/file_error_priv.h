/* One wording for files that cannot be read. */
#ifndef NJ_SECURITY_FILE_ERROR_PRIV_H
#define NJ_SECURITY_FILE_ERROR_PRIV_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* `option`: the option that named the file. Reads errno. */
static inline void nj_security_open_error(const char *option, const char *path, enum nj_err err,
                                          char *error, size_t error_size)
{
    char system[128];
    const char *why = nj_err_text(err);
    if (err == NJ_ESYS || err == NJ_EIO) {
        why = strerror_r(errno, system, sizeof(system));
    } else if (err == NJ_EINVAL) {
        why = "not a regular file";
    }
    (void)snprintf(error, error_size, "Unable to open %s \"%s\": %s", option, path, why);
}

#endif
