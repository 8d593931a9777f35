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

struct nj_dynsec_place {
    size_t line;
    size_t column; /* bytes, from 1 */
};

/* For who looks at a file without using it: everything that the loader meets, in its order. A bad
 * element is told and left out, so that the next one shows what is wrong with it. */
struct nj_dynsec_watch {
    void (*tell)(void *arg, const struct nj_dynsec_place *place, enum nj_dynsec_doubt doubt,
                 const char *text);
    /* Each good client; lives for this call. */
    void (*client)(void *arg, const struct nj_dynsec_place *place,
                   const struct nj_dynsec_client *client);
    void *arg;
};

struct nj_dynsec_load {
    bool knows_all_keys; /* a key that nobody knows is an error: it may be a restriction */
    const struct nj_dynsec_watch *watch; /* NULL = the first error ends the loading */
    unsigned unknown_refs; /* out: references to groups, roles and clients that do not exist */
    char error[320];       /* out: "line 3, column 7: …", without a full stop */
};

/* NJ_EMALFORMED with `error` (told, when there is a watch); NJ_ENOMEM. Takes a reference to
 * `principals`. */
enum nj_err nj_dynsec_load(struct nj_bytes text, struct nj_dynsec_principals *principals,
                           struct nj_dynsec_load *load, struct nj_dynsec_state **out) NJ_NODISCARD;

/* In pieces of about a quarter of a MiB, to `fn`, whose error ends it. NJ_ENOMEM. */
enum nj_err nj_dynsec_save_in_pieces(const struct nj_dynsec_state *state, enum nj_dynsec_form form,
                                     enum nj_err (*fn)(void *arg, struct nj_bytes piece), void *arg)
    NJ_NODISCARD;
/* Appended to `out`. NJ_ENOMEM. */
enum nj_err nj_dynsec_save(const struct nj_dynsec_state *state, enum nj_dynsec_form form,
                           struct nj_buf *out) NJ_NODISCARD;

#endif
