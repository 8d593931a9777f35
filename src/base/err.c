/* Names and texts of the error list in err.h, and what a failed assertion does. */
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const err_names[] = {
#define NJ_ERR_NAME(name, text) #name,
    NJ_ERR_LIST(NJ_ERR_NAME)
#undef NJ_ERR_NAME
};

static const char *const err_texts[] = {
#define NJ_ERR_TEXT(name, text) text,
    NJ_ERR_LIST(NJ_ERR_TEXT)
#undef NJ_ERR_TEXT
};

const char *nj_err_name(enum nj_err err)
{
    return (unsigned)err < NJ_ERR_COUNT ? err_names[err] : "EUNKNOWN";
}

const char *nj_err_text(enum nj_err err)
{
    return (unsigned)err < NJ_ERR_COUNT ? err_texts[err] : "unknown error";
}

void nj_assert_failed(const char *expr, const char *file, int line)
{
    (void)fprintf(stderr, "nightjar: internal error: %s does not hold (%s:%d)\n", expr, file, line);
    abort();
}
