/* Password files: `user:hash`, one to a line (feature-map A2). Loaded as a whole or not at all;
 * immutable afterwards. */
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

/* On an error `error` says what is wrong, with file and line, without a trailing newline. */
enum nj_err nj_passwords_load(const char *path, bool nofollow, struct nj_passwords **out,
                              char *error, size_t error_size) NJ_NODISCARD;
enum nj_err nj_passwords_parse(struct nj_bytes text, const char *path, struct nj_passwords **out,
                               char *error, size_t error_size) NJ_NODISCARD;
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
/* A name that a password file can hold: no colon, no control character, valid UTF-8, not empty. */
bool nj_password_user_is_valid(struct nj_bytes user);

#endif
