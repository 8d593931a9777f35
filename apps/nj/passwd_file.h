/* A password file as the passwd tool changes it: read, edit in memory, replace in one step. */
#ifndef NJ_APPS_NJ_PASSWD_FILE_H
#define NJ_APPS_NJ_PASSWD_FILE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

struct nj_passwd_file {
    const char *path; /* as given */
    char *real_path;  /* what is replaced; differs when `path` is a link */
    int lock_fd;      /* the directory, locked against another nj passwd */
    struct nj_buf text;
};

/* Locks and reads. `follows_links`: a symbolic link is followed when it belongs to root or to us
 * (Kubernetes secrets); else it is an error, as in the original. Errors are said, naming the file.
 */
bool nj_passwd_file_open(struct nj_passwd_file *file, const char *path, bool follows_links);
/* Replaces the file by `text`; on an error, which is said, the old one is intact. Signals wait
 * meanwhile. */
bool nj_passwd_file_replace(const struct nj_passwd_file *file, struct nj_bytes text);
void nj_passwd_file_close(struct nj_passwd_file *file);

/* Makes a file that must not exist, mode 0600. NJ_EEXIST and others are left to the caller to say;
 * errno holds the cause. */
enum nj_err nj_passwd_file_create(const char *path, struct nj_bytes text) NJ_NODISCARD;

#endif
