/* One save: a state into FILE, now and then into FILE.last. See dynsec.h; when, dynsec.c says.
 *
 *   journal    base A ── changes ── save B ── changes ── save C ── …      trimmed: base C ── …
 *   FILE          A                    B                    C
 *   FILE.last     A                    A                    A                          C
 *
 * FILE.last stays what the journal begins from, so that together they are everything, and a large
 * file is written once and not twice. It is the same as FILE after a trim and after the stop, and
 * before FILE is rewritten in its place. The text goes to the disk in pieces while it is made: a
 * large state is never in memory as a whole, and nobody else's sync has to wait for all of it. */
#include <errno.h>
#include <openssl/evp.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "security/dynsec_file.h"
#include "security/dynsec_priv.h"

#define JOURNAL_TRIM ((size_t)1 << 20)

/* ---- a file beside the one whose place it is going to take */

struct writing {
    struct nj_file_draft *draft;
    EVP_MD_CTX *digest;
};

static enum nj_err put_piece(void *arg, struct nj_bytes piece)
{
    struct writing *writing = arg;
    if (EVP_DigestUpdate(writing->digest, piece.ptr, piece.len) != 1) {
        errno = EIO;
        return NJ_ESYS;
    }
    return nj_file_draft_write(writing->draft, piece.ptr, piece.len);
}

/* On the disk, not in its place. */
static enum nj_err make_draft(const char *path, const struct nj_dynsec_state *state,
                              struct nj_file_draft **out, struct nj_dynsec_digest *digest)
{
    struct writing writing = {.digest = EVP_MD_CTX_new()};
    unsigned len = 0;
    enum nj_err err = NJ_ESYS;
    errno = ENOMEM;
    if (writing.digest && EVP_DigestInit_ex(writing.digest, EVP_sha256(), NULL) == 1) {
        err = nj_file_draft_new(path, NJ_DYNSEC_FILE_MODE, &writing.draft);
    }
    if (err == NJ_OK) {
        errno = ENOMEM;
        err = nj_dynsec_save_in_pieces(state, NJ_DYNSEC_FORM_21, put_piece, &writing);
    }
    err = err == NJ_OK ? nj_file_draft_sync(writing.draft) : err;
    if (err == NJ_OK && EVP_DigestFinal_ex(writing.digest, digest->bytes, &len) != 1) {
        errno = EIO;
        err = NJ_ESYS;
    }
    int cause = errno;
    EVP_MD_CTX_free(writing.digest);
    errno = cause;
    if (err != NJ_OK) {
        nj_file_draft_free(writing.draft);
        return err;
    }
    *out = writing.draft;
    return NJ_OK;
}

/* ---- the copy */

static enum nj_err put_last(struct nj_dynsec *dynsec, const struct nj_dynsec_state *state)
{
    struct nj_file_draft *draft = NULL;
    struct nj_dynsec_digest digest;
    enum nj_err err = make_draft(dynsec->last_path, state, &draft, &digest);
    err = err == NJ_OK ? nj_file_draft_place(draft) : err;
    nj_file_draft_free(draft);
    if (err == NJ_OK) {
        dynsec->is_last_behind = false;
    }
    return err;
}

void nj_dynsec_put_last(struct nj_dynsec *dynsec)
{
    enum nj_err err = dynsec->is_last_behind ? put_last(dynsec, dynsec->state) : NJ_OK;
    if (err != NJ_OK) {
        nj_log(NJ_LOG_WARNING, "Warning: %s cannot be written: %s.", dynsec->last_path,
               nj_file_why(err));
    }
}

/* ---- the file */

static enum nj_err announce(struct nj_dynsec *dynsec, uint64_t index,
                            const struct nj_dynsec_digest *digest)
{
    /* Once is enough: what cannot be put in its place is tried again for ever. */
    if (dynsec->has_announced && nj_dynsec_digest_equal(&dynsec->announced, digest)) {
        return NJ_OK;
    }
    (void)pthread_mutex_lock(&dynsec->lock);
    enum nj_err err = nj_dynsec_journal_save(&dynsec->journal, index, digest);
    (void)pthread_mutex_unlock(&dynsec->lock);
    if (err == NJ_OK) {
        dynsec->is_last_behind = true;
        dynsec->has_announced = true;
        dynsec->announced = *digest;
    }
    return err;
}

static bool cannot_rename(int cause)
{
    return cause == EBUSY || cause == EXDEV || cause == EROFS || cause == EPERM || cause == EACCES;
}

/* What this leaves, whole or not, is nobody else's work. */
static void note_look(struct nj_dynsec *dynsec)
{
    int cause = errno;
    nj_dynsec_look_at(dynsec->path, &dynsec->look);
    errno = cause;
}

static enum nj_err replace(struct nj_dynsec *dynsec, const struct nj_dynsec_state *state,
                           bool with_last, struct nj_dynsec_put *put)
{
    struct nj_file_draft *draft = NULL;
    put->what = dynsec->path;
    enum nj_err err = make_draft(dynsec->path, state, &draft, &put->digest);
    if (err == NJ_OK) {
        put->what = dynsec->journal.path;
        err = announce(dynsec, state->change_index, &put->digest);
    }
    if (err == NJ_OK && with_last) {
        put->what = dynsec->last_path;
        err = put_last(dynsec, state);
    }
    if (err == NJ_OK) {
        put->what = dynsec->path;
        err = nj_file_draft_place(draft);
        if (err == NJ_OK || err == NJ_EIO) {
            note_look(dynsec);
        }
    }
    nj_file_draft_free(draft);
    return err;
}

/* Where it is a mount point, into itself: FILE.last has it first. */
static enum nj_err rewrite(struct nj_dynsec *dynsec, const struct nj_dynsec_state *state,
                           struct nj_dynsec_put *put)
{
    struct nj_buf text = {NULL, 0, 0};
    put->what = dynsec->path;
    errno = ENOMEM;
    enum nj_err err = nj_dynsec_save(state, NJ_DYNSEC_FORM_21, &text);
    if (err == NJ_OK && !nj_dynsec_digest_of(nj_buf_bytes(&text), &put->digest)) {
        errno = EIO;
        err = NJ_ESYS;
    }
    if (err == NJ_OK) {
        put->what = dynsec->journal.path;
        err = announce(dynsec, state->change_index, &put->digest);
    }
    if (err == NJ_OK) {
        put->what = dynsec->last_path;
        err = put_last(dynsec, state);
    }
    if (err == NJ_OK) {
        put->what = dynsec->path;
        err = nj_file_overwrite(dynsec->path, text.data, text.len);
        note_look(dynsec);
    }
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    return err;
}

enum nj_err nj_dynsec_put(struct nj_dynsec *dynsec, const struct nj_dynsec_state *state,
                          struct nj_dynsec_put *put)
{
    (void)pthread_mutex_lock(&dynsec->lock);
    bool is_trim =
        dynsec->journal.text.len > JOURNAL_TRIM || dynsec->is_stopping || !dynsec->has_last;
    (void)pthread_mutex_unlock(&dynsec->lock);
    enum nj_err err = replace(dynsec, state, is_trim, put);
    if (err != NJ_OK && put->what == dynsec->path && cannot_rename(errno)) {
        err = rewrite(dynsec, state, put);
    }
    if (err == NJ_OK && is_trim) {
        dynsec->has_last = true;
        (void)pthread_mutex_lock(&dynsec->lock);
        /* When it fails, the journal is longer than it need be, and that is all. */
        (void)!nj_dynsec_journal_trim(&dynsec->journal, state->change_index, &put->digest);
        (void)pthread_mutex_unlock(&dynsec->lock);
    }
    return err;
}
