/* Files: reading whole small files, and replacing a file so that it is old or new, never half.
 * All calls block; no worker thread may call them. Errors are logged by the caller, who knows what
 * the file was for, in the words of nj_file_why. */
#ifndef NJ_BASE_FILE_H
#define NJ_BASE_FILE_H

#include <sys/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Reads a regular file of at most max_bytes into `out` (appended). Directories, FIFOs and devices
 * are refused with NJ_EINVAL, larger files with NJ_ETOOBIG. `nofollow` refuses symbolic links. */
enum nj_err nj_file_read(const char *path, size_t max_bytes, bool nofollow, struct nj_buf *out)
    NJ_NODISCARD;

/* Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the directory.
 * Keeps mode and owner of an existing file, else uses `mode`; a symbolic link stays one and the
 * file that it names is replaced; anything but a regular file is refused with NJ_EINVAL. On an
 * error the old file is intact and no temporary file is left, except on NJ_EIO from syncing the
 * directory: then the new file is in place, but a power cut may bring the old one back. Never
 * follows a symbolic link planted at the temporary name. */
enum nj_err nj_file_replace(const char *path, const void *data, size_t len, mode_t mode)
    NJ_NODISCARD;

/* The same in steps, for what need not be in memory at once, and with a moment between "the new one
 * is on disk" and "it is in its place". A large one goes to the disk piece by piece, so that other
 * files' syncs do not wait behind it. The errors are those above. */
struct nj_file_draft;
enum nj_err nj_file_draft_new(const char *path, mode_t mode, struct nj_file_draft **out)
    NJ_NODISCARD;
enum nj_err nj_file_draft_write(struct nj_file_draft *draft, const void *data, size_t len)
    NJ_NODISCARD;
enum nj_err nj_file_draft_sync(struct nj_file_draft *draft)
    NJ_NODISCARD; /* nothing is added then */
enum nj_err nj_file_draft_place(struct nj_file_draft *draft) NJ_NODISCARD; /* after its sync */
/* Without a place it is thrown away. NULL is allowed; errno stays. */
void nj_file_draft_free(struct nj_file_draft *draft);

/* Removes what a process that was killed left of its drafts for `path`. Nobody else may have one.
 */
void nj_file_sweep_drafts(const char *path);

/* Writes new content into the file itself and syncs it: for files that cannot be replaced (mounted
 * alone into a container). A crash may leave half of it, which begins with a zero then: the caller
 * keeps a copy elsewhere. Refuses
 * symbolic links and anything but a regular file. */
enum nj_err nj_file_overwrite(const char *path, const void *data, size_t len) NJ_NODISCARD;

/* Why a call of this file answered `err`, in words for an administrator, without a full stop. Reads
 * errno, so it is asked before anything else is done. A constant text; never NULL. */
const char *nj_file_why(enum nj_err err);

/* Opens a file that exists, for writing. -1 with errno. */
int nj_file_open_write(const char *path);
/* Writes at an offset and syncs the data. On an error something of it may be there. */
enum nj_err nj_file_put(int fd, size_t offset, const void *data, size_t len) NJ_NODISCARD;

#endif
