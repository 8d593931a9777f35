/* See cidr.h. */
#include "base/cidr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* Decimal, no sign, no leading zero; -1 when it is no such number or above `max`. */
static int parse_bits(const char *text, int max)
{
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 3 || text[len] != '\0' || (text[0] == '0' && len > 1)) {
        return -1;
    }
    int value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value * 10 + (text[i] - '0');
    }
    return value <= max ? value : -1;
}

/* Whether all bits of `ip` from `bits` on are zero. */
static bool has_clean_rest(const uint8_t ip[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++) {
        if (ip[i / 8] >> (7 - i % 8) & 1) {
            return false;
        }
    }
    return true;
}

enum nj_err nj_cidr_parse(const char *text, struct nj_cidr *out)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (len == 0 || len >= sizeof(address)) {
        return NJ_EINVAL;
    }
    memcpy(address, text, len);
    address[len] = '\0';
    struct nj_cidr cidr = {0};
    if (inet_pton(AF_INET, address, cidr.ip) == 1) {
        cidr.family = AF_INET;
        cidr.bits = 32;
    } else if (inet_pton(AF_INET6, address, cidr.ip) == 1) {
        cidr.family = AF_INET6;
        cidr.bits = 128;
    } else {
        return NJ_EINVAL;
    }
    if (slash != NULL) {
        int bits = parse_bits(slash + 1, cidr.bits);
        if (bits < 0 || !has_clean_rest(cidr.ip, (unsigned)bits)) {
            return NJ_EINVAL;
        }
        cidr.bits = (uint16_t)bits;
    }
    *out = cidr;
    return NJ_OK;
}

bool nj_cidr_has(const struct nj_cidr *cidr, uint16_t family, const uint8_t ip[16])
{
    if (family != cidr->family) {
        return false;
    }
    unsigned whole = cidr->bits / 8;
    unsigned rest = cidr->bits % 8;
    if (memcmp(ip, cidr->ip, whole) != 0) {
        return false;
    }
    return rest == 0 || (uint8_t)(ip[whole] ^ cidr->ip[whole]) >> (8 - rest) == 0;
}

const char *nj_cidr_text(const struct nj_cidr *cidr, char out[NJ_CIDR_TEXT_MAX])
{
    char address[INET6_ADDRSTRLEN];
    if (inet_ntop(cidr->family, cidr->ip, address, sizeof(address)) == NULL) {
        address[0] = '\0';
    }
    (void)snprintf(out, NJ_CIDR_TEXT_MAX, "%s/%u", address, cidr->bits);
    return out;
}
