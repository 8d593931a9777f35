/* -S: where DNS says that the broker of a domain is (RFC 2782). */
#ifndef NJ_APPS_NJ_SRV_H
#define NJ_APPS_NJ_SRV_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define NJ_SRV_HOST_MAX 256

struct __res_state;

/* Asks for _mqtt._tcp.DOMAIN, or with TLS for _secure-mqtt._tcp.DOMAIN, and takes one of the
 * answers by priority and weight. `state` NULL: the resolver of the system. NJ_ENOENT: there is
 * none (or the domain says that it has no broker). Blocks as long as the resolver does. */
enum nj_err nj_srv_find(struct __res_state *state, const char *domain, bool is_tls,
                        char host[NJ_SRV_HOST_MAX], int *port) NJ_NODISCARD;

/* The same out of an answer that has come. NJ_EMALFORMED, NJ_ENOENT. */
enum nj_err nj_srv_read(const unsigned char *answer, int len, char host[NJ_SRV_HOST_MAX], int *port)
    NJ_NODISCARD;

#endif
