/* See lmdb_check.h. */
#include "store/lmdb_check.h"

#include "store/lmdb_priv.h"

enum nj_err nj_lmdb_check_file(int dir_fd, const char *name, struct nj_lmdb_check *result)
{
    (void)dir_fd;
    (void)name;
    (void)result;
    return NJ_OK;
}

enum nj_err nj_lmdb_salvage(struct nj_lmdb_env *env, enum nj_err (*open)(struct nj_lmdb_env *env))
{
    (void)env;
    (void)open;
    return NJ_EMALFORMED;
}
