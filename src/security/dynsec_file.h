/* The file of dynamic security (dynamic-security.json): a whole state to text and back.
 *
 * Reads what Mosquitto 2.0 and 2.1 write, writes what 2.1 writes. All calls are pure; dynsec.h is
 * about where the text is kept. */
#ifndef NJ_SECURITY_DYNSEC_FILE_H
#define NJ_SECURITY_DYNSEC_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "security/dynsec_json.h"
#include "security/dynsec_model.h"

/* Bytes at most. */
#define NJ_DYNSEC_FILE_MAX ((size_t)1 << 30)

struct nj_dynsec_load {
    bool knows_all_keys;   /* a key that nobody knows is an error: it may be a restriction */
    unsigned unknown_refs; /* out: references to groups, roles and clients that do not exist */
    char error[320];       /* out: "line 3, column 7: …", without a full stop */
};

/* NJ_EMALFORMED with `error`; NJ_ENOMEM. Takes a reference to `principals`. */
enum nj_err nj_dynsec_load(struct nj_bytes text, struct nj_dynsec_principals *principals,
                           struct nj_dynsec_load *load, struct nj_dynsec_state **out) NJ_NODISCARD;

/* Appended to `out`. NJ_ENOMEM. */
enum nj_err nj_dynsec_save(const struct nj_dynsec_state *state, enum nj_dynsec_form form,
                           struct nj_buf *out) NJ_NODISCARD;

#endif
