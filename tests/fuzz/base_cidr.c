/* Fuzzes ranges of addresses: the text up to a newline is one, what follows is an address.
 *
 * Oracle: what is accepted is written as a text that means the same; membership is what comparing
 * bit by bit says; the range holds its own first address; and nothing behind the counted bits is
 * set. */
#include <arpa/inet.h>

#include "base/cidr.h"
#include "fuzz/fuzz.h"

static bool bit(const uint8_t ip[16], unsigned at)
{
    return (ip[at / 8] & 0x80u >> at % 8) != 0;
}

static bool has_naively(const struct nj_cidr *cidr, uint16_t family, const uint8_t ip[16])
{
    for (unsigned i = 0; i < cidr->bits; i++) {
        if (bit(cidr->ip, i) != bit(ip, i)) {
            return false;
        }
    }
    return family == cidr->family;
}

static void check(const struct nj_cidr *cidr, const uint8_t ip[16])
{
    char text[NJ_CIDR_TEXT_MAX];
    struct nj_cidr again;
    need(cidr->family == AF_INET || cidr->family == AF_INET6);
    need(cidr->bits <= (cidr->family == AF_INET ? 32 : 128));
    need(nj_cidr_parse(nj_cidr_text(cidr, text), &again) == NJ_OK);
    need(memcmp(&again, cidr, sizeof(again)) == 0);
    need(nj_cidr_has(cidr, cidr->family, cidr->ip));
    for (unsigned i = cidr->bits; i < 128; i++) {
        need(!bit(cidr->ip, i));
    }
    need(nj_cidr_has(cidr, AF_INET, ip) == has_naively(cidr, AF_INET, ip));
    need(nj_cidr_has(cidr, AF_INET6, ip) == has_naively(cidr, AF_INET6, ip));
    /* One that differs in one bit. */
    uint8_t near[16];
    unsigned at = ip[0] % (cidr->family == AF_INET ? 32 : 128);
    memcpy(near, cidr->ip, sizeof(near));
    near[at / 8] ^= 0x80u >> at % 8;
    need(nj_cidr_has(cidr, cidr->family, near) == (at >= cidr->bits));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = newline ? (size_t)(newline - data) : size;
    uint8_t ip[16] = {0};
    if (newline) {
        size_t rest = size - len - 1;
        memcpy(ip, newline + 1, rest < sizeof(ip) ? rest : sizeof(ip));
    }
    char *text = fuzz_text(nj_bytes(data, len));
    struct nj_cidr cidr;
    if (text && nj_cidr_parse(text, &cidr) == NJ_OK) {
        check(&cidr, ip);
    }
    free(text);
    return 0;
}
