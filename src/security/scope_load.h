/* From settings to what decides on a listener: the files of its scope, loaded and checked. The same
 * for the broker and for the tools that ask what a broker would say. */
#ifndef NJ_SECURITY_SCOPE_LOAD_H
#define NJ_SECURITY_SCOPE_LOAD_H

#include <stddef.h>

#include "base/err.h"
#include "security/acl.h"
#include "security/policy.h"

struct nj_settings;

/* How ACL files are read in the mode of these settings. */
struct nj_acl_options nj_scope_acl_options(const struct nj_settings *settings);
/* The scope of listener `listener` but for dynamic security; `out` is written in any case, its
 * contents are the caller's (nj_policy_new takes them). Without per_listener_settings all listeners
 * have the same files: `same` is the scope of another listener whose loaded copy is shared, or
 * NULL. Says in the log what is wrong. Blocks. */
enum nj_err nj_scope_load(const struct nj_settings *settings, size_t listener,
                          const struct nj_scope *same, struct nj_scope *out) NJ_NODISCARD;
/* The path of the file of dynamic security for a listener, the caller's to free; NULL when it has
 * none. */
char *nj_scope_dynsec_path(const struct nj_settings *settings, size_t listener);

#endif
