/* One wording for files that cannot be read. */
#ifndef NJ_SECURITY_FILE_ERROR_PRIV_H
#define NJ_SECURITY_FILE_ERROR_PRIV_H

#include <stdio.h>

#include "base/file.h"

/* `option`: the option that named the file. Reads errno. */
static inline void nj_security_open_error(const char *option, const char *path, enum nj_err err,
                                          char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "Unable to open %s \"%s\": %s", option, path,
                   nj_file_why(err));
}

#endif
