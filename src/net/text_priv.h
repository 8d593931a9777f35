/* Text that comes from peers. */
#ifndef NJ_NET_TEXT_PRIV_H
#define NJ_NET_TEXT_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "net/tls.h"

/* Length of the UTF-8 character at `at` (left > 0), its value in *code; 0 = malformed. RFC 3629. */
size_t nj_utf8_char(const uint8_t *at, size_t left, uint32_t *code);

/* Whether a text can be somebody's name: UTF-8 without NUL and control characters, 1 to 64
 * characters (tls_identity.c). */
enum nj_tls_name nj_name_state_of_text(const uint8_t *text, size_t len);

#endif
