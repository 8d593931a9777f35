/* Password files: `user:hash`, one to a line. Loaded as a whole or not at all;
 * immutable afterwards, any number of threads may look users up.
 *
 * Blank lines and lines that begin with '#' are skipped, blanks around name and hash are no part of
 * them, LF and CRLF end a line. Everything else that is not a user with a hash that can be verified
 * (no colon, no name, no hash, unknown kind, bad base64, absurd cost, a name twice, NUL) is an
 * error (L-053). */
#ifndef NJ_SECURITY_PASSWORD_FILE_H
#define NJ_SECURITY_PASSWORD_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_passwords;

struct nj_password_entry {
    struct nj_bytes user;
    struct nj_bytes hash;
    uint64_t id; /* changes when the hash does: what a session was let in with */
};

/* One reference for the caller. On an error `error` says what is wrong, with file and line, without
 * a full stop; for a bad line it begins with "Error: Unable to decode line in password file".
 * Blocks; not for workers. */
enum nj_err nj_passwords_load(const char *path, bool nofollow, struct nj_passwords **out,
                              char *error, size_t error_size) NJ_NODISCARD;
enum nj_err nj_passwords_parse(struct nj_bytes text, const char *path, struct nj_passwords **out,
                               char *error, size_t error_size) NJ_NODISCARD;
/* For more than one scope that reads the same file. Any thread. */
struct nj_passwords *nj_passwords_ref(struct nj_passwords *passwords);
/* Gives a reference back; the last one wipes and frees. NULL is allowed. */
void nj_passwords_free(struct nj_passwords *passwords);

/* NULL when the user is unknown. Lives as long as the table. */
const struct nj_password_entry *nj_passwords_find(const struct nj_passwords *passwords,
                                                  struct nj_bytes user);
size_t nj_passwords_count(const struct nj_passwords *passwords);

/* -- editing, for the passwd tool: the new text of the file; order and comments are kept -- */
struct nj_buf;
/* Sets or adds `user`. *was_there tells which. */
enum nj_err nj_password_text_set(struct nj_bytes text, struct nj_bytes user, struct nj_bytes hash,
                                 struct nj_buf *out, bool *was_there) NJ_NODISCARD;
enum nj_err nj_password_text_remove(struct nj_bytes text, struct nj_bytes user, struct nj_buf *out,
                                    bool *was_there) NJ_NODISCARD;
/* A name that a password file can hold: valid UTF-8, not empty, no colon, no control character, no
 * blank at either end, no '#' at the beginning. */
bool nj_password_user_is_valid(struct nj_bytes user);

#endif
