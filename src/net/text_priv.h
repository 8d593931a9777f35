/* Text that comes from peers. */
#ifndef NJ_NET_TEXT_PRIV_H
#define NJ_NET_TEXT_PRIV_H

#include <stddef.h>
#include <stdint.h>

/* Length of the UTF-8 character at `at` (left > 0), its value in *code; 0 = malformed. RFC 3629. */
size_t nj_utf8_char(const uint8_t *at, size_t left, uint32_t *code);

#endif
