/* Whom a change concerns, for the modes in which they are disconnected. Filled on
 * one thread, asked by any afterwards. */
#ifndef NJ_SECURITY_DYNSEC_KICK_H
#define NJ_SECURITY_DYNSEC_KICK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/err.h"
#include "security/dynsec_model.h"

struct nj_dynsec_kick;

struct nj_dynsec_kick *nj_dynsec_kick_new(void) NJ_NODISCARD;
void nj_dynsec_kick_free(struct nj_dynsec_kick *kick); /* NULL is allowed */
size_t nj_dynsec_kick_count(const struct nj_dynsec_kick *kick);
/* Forgets whom was added after there were `count`. */
void nj_dynsec_kick_cut(struct nj_dynsec_kick *kick, size_t count);

enum nj_err nj_dynsec_kick_client(struct nj_dynsec_kick *kick, struct nj_bytes name) NJ_NODISCARD;
/* Whoever has the role, or is in the group, in `state`, which is kept. Anonymous clients are
 * members of the anonymous group. */
enum nj_err nj_dynsec_kick_role(struct nj_dynsec_kick *kick, struct nj_dynsec_state *state,
                                uint32_t role_id) NJ_NODISCARD;
enum nj_err nj_dynsec_kick_group(struct nj_dynsec_kick *kick, struct nj_dynsec_state *state,
                                 uint32_t group_id) NJ_NODISCARD;
enum nj_err nj_dynsec_kick_anonymous(struct nj_dynsec_kick *kick) NJ_NODISCARD;

/* After the last one is in and before other threads ask: a thousand clients are then found as fast
 * as one. */
void nj_dynsec_kick_seal(struct nj_dynsec_kick *kick);

/* `user` ptr NULL = anonymous. */
bool nj_dynsec_kick_concerns(const struct nj_dynsec_kick *kick, struct nj_bytes user);

#endif
