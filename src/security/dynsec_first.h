/* What dynamic security begins with. Pure, except for the files that are named. */
#ifndef NJ_SECURITY_DYNSEC_FIRST_H
#define NJ_SECURITY_DYNSEC_FIRST_H

#include <stddef.h>

#include "base/err.h"
#include "security/dynsec.h"
#include "security/dynsec_principal.h"

/* The state for a first start: an administrator with the given password, or with a
 * generated one, which is then written to PATH.pw. NJ_EINVAL, or what the files say, with `error`.
 */
enum nj_err nj_dynsec_first(const struct nj_dynsec_options *options,
                            struct nj_dynsec_principals *principals, struct nj_dynsec_state **out,
                            char *error, size_t error_size) NJ_NODISCARD;

/* A new file with one client and one role, which may do everything with dynamic security and read
 * everything else (`ctl dynsec init`). Does not overwrite: NJ_EEXIST. */
struct nj_dynsec_init {
    struct nj_bytes user;
    struct nj_bytes password;
    const char *role;
    struct nj_hash_cost cost;
};
enum nj_err nj_dynsec_init_file(const char *path, const struct nj_dynsec_init *init, char *error,
                                size_t error_size) NJ_NODISCARD;
/* Sets a client's password in a file that no broker uses. NJ_ENOENT: there is no such client;
 * NJ_EBUSY: a journal beside it holds changes. */
enum nj_err nj_dynsec_set_file_password(const char *path, struct nj_bytes user,
                                        struct nj_bytes password, const struct nj_hash_cost *cost,
                                        char *error, size_t error_size) NJ_NODISCARD;

#endif
