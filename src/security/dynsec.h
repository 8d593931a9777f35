/* Dynamic security as it lives: the state in force, its file and its journal.
 *
 *   command ─► edit ─► commit: journal, synced ─► state in force ─► policy (the caller's)
 *                                   │
 *                            saver thread, within a second
 *                                   ▼
 *             FILE (Mosquitto's form)    FILE.last: the same, a copy to fall back on
 *             FILE.journal: changes that FILE does not hold yet
 *
 * A change is answered when it is in the journal. The file follows in the background: it is
 * replaced as a whole or, where it cannot be (mounted alone into a container), rewritten while
 * FILE.last holds what it is going to be. A file that somebody else changed meanwhile is not
 * overwritten.
 *
 * One thread opens, edits, commits and closes. */
#ifndef NJ_SECURITY_DYNSEC_H
#define NJ_SECURITY_DYNSEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_model.h"
#include "security/password.h"

struct nj_dynsec;

enum nj_dynsec_recover {
    NJ_DYNSEC_RECOVER_NOT,     /* when in doubt, refuse to start */
    NJ_DYNSEC_RECOVER_LAST,    /* a bad file: the last good copy and the journal */
    NJ_DYNSEC_RECOVER_JSON,    /* the file as it is; what only the journal knows is lost */
    NJ_DYNSEC_RECOVER_JOURNAL, /* the last good copy and the journal; the file is lost */
};

struct nj_dynsec_options {
    const char *path;
    bool knows_all_keys; /* native: unknown keys in the file are errors */
    bool nofollow;       /* the file may not be a symbolic link */
    enum nj_dynsec_recover recover;
    /* The first start, when there is no file */
    const char *password_file; /* its first line is the administrator's password; NULL = none */
    const char *password;      /* the same from the environment; NULL = none */
    bool with_democlient;      /* as the original, when both are missing */
    struct nj_hash_cost cost;  /* of the passwords it makes */
};

/* `error` says what is wrong, in one sentence without a full stop. Blocks; may write the file
 * (first start) and PATH.pw. Logs warnings. */
enum nj_err nj_dynsec_open(const struct nj_dynsec_options *options, struct nj_dynsec **out,
                           char *error, size_t error_size) NJ_NODISCARD;
/* Writes what is not written yet. NULL is allowed. */
void nj_dynsec_close(struct nj_dynsec *dynsec);

/* In force; borrowed until the next commit. */
struct nj_dynsec_state *nj_dynsec_state(const struct nj_dynsec *dynsec);
const char *nj_dynsec_path(const struct nj_dynsec *dynsec);

/* The edit's draft comes in force, when its log is on disk; the edit is done and only wants
 * nj_dynsec_edit_fini. On an error nothing changes and `why` says what to do about it. An empty log
 * changes nothing. */
enum nj_err nj_dynsec_commit(struct nj_dynsec *dynsec, struct nj_dynsec_edit *edit, char *why,
                             size_t why_size) NJ_NODISCARD;

/* Logs what the file would change when somebody else edited it; otherwise nothing. It is not put in
 * force. Waits a little for a save that is at work; says nothing when that takes longer. */
void nj_dynsec_preview(struct nj_dynsec *dynsec);

/* Waits until the file holds the state in force, or cannot (then false). */
bool nj_dynsec_settle(struct nj_dynsec *dynsec);

#endif
