/* Between the files of the tool. */
#ifndef NJ_STORE_TOOL_PRIV_H
#define NJ_STORE_TOOL_PRIV_H

#include "store/lmdb_env.h"
#include "store/tool.h"

/* A store that may be in use, and one moment of it. */
struct nj_tool_view {
    struct nj_lmdb_env env;
    MDB_txn *txn;
};
/* With `pages` what the look at the pages said; without, damaged pages are an error. */
struct nj_lmdb_check;
enum nj_err nj_tool_view_open(struct nj_tool_view *view, const char *path,
                              struct nj_lmdb_check *pages) NJ_NODISCARD;
void nj_tool_view_close(struct nj_tool_view *view);
enum nj_err nj_tool_view_each(struct nj_tool_view *view, enum nj_lmdb_table table,
                              nj_store_each_fn each, void *arg) NJ_NODISCARD;

#endif
