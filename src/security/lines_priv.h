/* The lines of the files that this room reads. */
#ifndef NJ_SECURITY_LINES_PRIV_H
#define NJ_SECURITY_LINES_PRIV_H

#include <stdbool.h>

#include "base/bytes.h"

/* Takes a byte order mark off. */
struct nj_bytes nj_lines_without_bom(struct nj_bytes text);
/* Takes the next line off *rest, without its end (LF or CRLF). False: there is none. */
bool nj_lines_take(struct nj_bytes *rest, struct nj_bytes *line);
/* Without blanks and tabs at both ends. */
struct nj_bytes nj_lines_trim(struct nj_bytes text);
/* "name:value" at the first colon, both trimmed. False: there is no colon. */
bool nj_lines_split(struct nj_bytes line, struct nj_bytes *name, struct nj_bytes *value);

#endif
