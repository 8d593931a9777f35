/* Files of pre-shared keys: `identity:key`, one to a line, the key in hexadecimal. Loaded as a
 * whole or not at all; immutable afterwards, any number of threads may look identities up.
 *
 * Blank lines and lines that begin with '#' are skipped, blanks around identity and key are no part
 * of them, LF and CRLF end a line. A key keeps its leading zeros; an odd number of digits means one
 * zero more in front, as the original's clients read it. Everything else (no colon, an identity
 * that is empty, too long, not UTF-8, with a control character or twice, a key that is empty, too
 * long or not hexadecimal, NUL) is an error (L-070). */
#ifndef NJ_SECURITY_PSK_FILE_H
#define NJ_SECURITY_PSK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

#define NJ_PSK_IDENTITY_MAX 256
#define NJ_PSK_KEY_MAX      512
/* Fewer bytes than this can be guessed; the loader says so. */
#define NJ_PSK_KEY_SHORT 16

struct nj_psks;

/* One reference for the caller. On an error `error` says what is wrong, with file and line, without
 * a full stop. Blocks; not for workers. */
enum nj_err nj_psks_load(const char *path, bool nofollow, struct nj_psks **out, char *error,
                         size_t error_size) NJ_NODISCARD;
enum nj_err nj_psks_parse(struct nj_bytes text, const char *path, struct nj_psks **out, char *error,
                          size_t error_size) NJ_NODISCARD;
/* Any thread. */
struct nj_psks *nj_psks_ref(struct nj_psks *psks);
/* Gives a reference back; the last one wipes and frees. NULL is allowed. */
void nj_psks_free(struct nj_psks *psks);

/* The key of an identity; ptr NULL when there is none. Lives as long as the table. */
struct nj_bytes nj_psks_find(const struct nj_psks *psks, struct nj_bytes identity);
size_t nj_psks_count(const struct nj_psks *psks);
/* How many keys are shorter than NJ_PSK_KEY_SHORT. */
size_t nj_psks_short_count(const struct nj_psks *psks);

/* Hexadecimal to bytes; an odd number of digits means one zero more in front. False: empty, too
 * long for `cap`, or something else than digits. */
bool nj_psk_decode_key(struct nj_bytes hex, uint8_t *out, size_t cap, size_t *len);

#endif
