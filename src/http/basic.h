/* HTTP Basic (RFC 7617): user name and password out of an Authorization header. */
#ifndef NJ_HTTP_BASIC_H
#define NJ_HTTP_BASIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct nj_http_credentials {
    uint8_t *text; /* NULL = none given */
    size_t size;   /* of the allocation */
    struct nj_bytes user;
    struct nj_bytes password;
    const char *fault; /* what is wrong with the header; NULL = nothing */
};

/* Reads the header's value into `out`, which was zeroed; a fault is for the log. The user name is
 * one that MQTT could carry, too. Any thread. */
void nj_http_basic_read(const char *value, struct nj_http_credentials *out);
/* Wipes. */
void nj_http_credentials_fini(struct nj_http_credentials *credentials);

#endif
