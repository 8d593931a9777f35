/* What went wrong, for the operator: a sentence that names the file, address or option and the
 * reason, without a trailing full stop or newline. Written only when a call fails. Every call that
 * takes one also takes NULL. */
#ifndef NJ_NET_ERROR_H
#define NJ_NET_ERROR_H

#include "base/err.h"

struct nj_net_error {
    char text[512];
};

/* Formats into `error` when it is not NULL; too long texts are cut. */
void nj_net_error_set(struct nj_net_error *error, const char *fmt, ...) NJ_PRINTF(2, 3);

/* The sentence for an errno value, as strerror, but safe on any thread. Never NULL. */
const char *nj_net_errno_text(int cause);

#endif
