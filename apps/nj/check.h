/* The parts of `nj check`: check.c is the command, the others look at one kind of file each. */
#ifndef NJ_APPS_NJ_CHECK_H
#define NJ_APPS_NJ_CHECK_H

#include "base/buf.h"
#include "finding.h"
#include "site.h"

struct nj_acl_options;
struct nj_passwords;

/* Who else may read or write a file that is secret or decides about access; a note when there is no
 * such file (whoever opens it says that). */
void nj_check_file_mode(struct nj_findings *findings, const char *path, bool is_secret);

/* Fills line `number`, from 1, with blanks, so that the next reading shows what is wrong behind it.
 * False: there is no such line, or `is_needed` (which may be NULL) says that others depend on it.
 */
bool nj_check_blank_line(struct nj_buf *text, unsigned number, bool (*is_needed)(struct nj_bytes));

/* check_acl.c. Every bad line, and rules that never decide or say what others said. `passwords`:
 * who can log in at all, or NULL when that is not known. */
void nj_check_acl(struct nj_findings *findings, const char *path,
                  const struct nj_acl_options *options, const struct nj_passwords *passwords);

/* check_passwords.c. Every bad line, and weak hashes. *out, which may be NULL: the good ones, for
 * nj_passwords_free; NULL when the file cannot be read. */
void nj_check_passwords(struct nj_findings *findings, const char *path, bool nofollow,
                        struct nj_passwords **out);

/* Why the hash is weak, static or in buf; NULL = it is not. */
#define NJ_CHECK_WHY_MAX 160
const char *nj_check_hash(struct nj_bytes hash, char *buf, size_t size);

/* check_dynsec.c. Everything that is wrong with a file of dynamic security, names in it that stand
 * for nothing, weak hashes, and whether somebody may administer. */
void nj_check_dynsec(struct nj_findings *findings, const char *path, bool is_compat);

/* check_tls.c. Certificate, key, CAs and CRL of a listener; `path` is the configuration. */
void nj_check_tls(struct nj_findings *findings, const struct nj_settings *settings,
                  const struct nj_listener_settings *listener, const char *path);

/* check_config.c. A configuration and every file that it names. *is_compat: its mode. */
void nj_check_config(struct nj_findings *findings, const char *path, enum nj_site_mode mode,
                     bool *is_compat);

#endif
