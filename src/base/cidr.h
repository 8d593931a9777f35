/* Ranges of IP addresses as people write them: "192.0.2.7", "10.0.0.0/8", "2001:db8::/32". */
#ifndef NJ_BASE_CIDR_H
#define NJ_BASE_CIDR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* By value; compare with memcmp after nj_cidr_parse. */
struct nj_cidr {
    uint8_t ip[16];  /* IPv4 in the first 4 bytes, the rest 0 */
    uint16_t family; /* AF_INET or AF_INET6 */
    uint16_t bits;   /* of the address that count */
};

#define NJ_CIDR_TEXT_MAX 64

/* An address alone means exactly this one. NJ_EINVAL: no address, a length that is too long, or
 * bits behind the length that are not zero (10.0.0.1/8: somebody was mistaken). */
enum nj_err nj_cidr_parse(const char *text, struct nj_cidr *out) NJ_NODISCARD;
/* `ip` as in struct nj_cidr, with the family of the address. An address of another family is never
 * in the range. */
bool nj_cidr_has(const struct nj_cidr *cidr, uint16_t family, const uint8_t ip[16]);
/* "10.0.0.0/8"; returns `out`. */
const char *nj_cidr_text(const struct nj_cidr *cidr, char out[NJ_CIDR_TEXT_MAX]);

#endif
