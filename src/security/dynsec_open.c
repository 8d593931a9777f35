/* From what is on disk to a state. See dynsec.h and dynsec_journal.h.
 *
 *   file known to the journal ─► file + the changes that it does not hold
 *   file bad, half rewritten  ─► FILE.last, which the journal announced, + changes
 *   file bad or foreign       ─► refused, or what --recover says
 *   nothing there             ─► first start */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "security/dynsec_file.h"
#include "security/dynsec_first.h"
#include "security/dynsec_priv.h"

#define JOURNAL_MAX ((size_t)1 << 30)

/* A text that may hold a state. */
struct source {
    const char *path;
    struct nj_buf text;
    struct nj_dynsec_digest digest;
    struct nj_dynsec_state *state; /* NULL: it cannot be read */
    bool is_there;
    bool is_unreadable; /* there, but not for this account */
    bool is_known;      /* to the journal */
    char error[400];
};

struct recall {
    struct nj_dynsec *dynsec;
    const struct nj_dynsec_options *options;
    struct source file;
    struct source last;
    struct nj_buf journal; /* whole records only */
    bool has_journal;
    bool has_changes;
    bool was_announced; /* FILE.last is what a record of a save speaks of */
    char *error;
    size_t error_size;
};

static enum nj_err read_source(struct recall *recall, struct source *source, const char *path)
{
    struct nj_dynsec_load load = {.knows_all_keys = recall->options->knows_all_keys};
    source->path = path;
    enum nj_err err =
        nj_file_read(path, NJ_DYNSEC_FILE_MAX, recall->options->nofollow, &source->text);
    if (err == NJ_ENOENT) {
        return NJ_OK;
    }
    source->is_there = true;
    if (err != NJ_OK) {
        (void)snprintf(source->error, sizeof(source->error), "%s cannot be read: %s", path,
                       nj_file_why(err));
        source->is_unreadable = true;
        return err == NJ_ENOMEM ? err : NJ_OK;
    }
    if (!nj_dynsec_digest_of(nj_buf_bytes(&source->text), &source->digest)) {
        return NJ_ESYS;
    }
    err = nj_dynsec_load(nj_buf_bytes(&source->text), recall->dynsec->principals, &load,
                         &source->state);
    if (err == NJ_EMALFORMED) {
        (void)snprintf(source->error, sizeof(source->error), "%s, %s", path, load.error);
        return NJ_OK;
    }
    if (err == NJ_OK && load.unknown_refs) {
        nj_log(NJ_LOG_WARNING,
               "Warning: %s speaks %u times of clients, groups or roles that do not exist; these "
               "memberships are left out.",
               path, load.unknown_refs);
    }
    return err;
}

/* ---- the journal */

static void look_at_record(struct recall *recall, const struct nj_dynsec_record *record)
{
    if (record->kind == NJ_DYNSEC_RECORD_CHANGE) {
        recall->has_changes = true;
        return;
    }
    bool is_file =
        recall->file.is_there && nj_dynsec_digest_equal(&record->digest, &recall->file.digest);
    bool is_last =
        recall->last.is_there && nj_dynsec_digest_equal(&record->digest, &recall->last.digest);
    recall->file.is_known |= is_file;
    recall->last.is_known |= is_last;
    if (record->kind == NJ_DYNSEC_RECORD_SAVE) {
        recall->was_announced |= is_last;
    }
}

static enum nj_err read_journal(struct recall *recall)
{
    struct nj_dynsec_record record;
    const char *path = recall->dynsec->journal.path;
    enum nj_err err = nj_file_read(path, JOURNAL_MAX, true, &recall->journal);
    if (err == NJ_ENOENT) {
        return NJ_OK;
    }
    if (err != NJ_OK) {
        (void)snprintf(recall->error, recall->error_size, "%s cannot be read: %s", path,
                       nj_file_why(err));
        return err;
    }
    struct nj_bytes rest = nj_buf_bytes(&recall->journal);
    recall->has_journal = true;
    while ((err = nj_dynsec_record_next(&rest, &record)) == NJ_OK) {
        look_at_record(recall, &record);
    }
    if (err == NJ_EMALFORMED) {
        (void)snprintf(recall->error, recall->error_size,
                       "%s is damaged at byte %zu; --recover json starts without it", path,
                       recall->journal.len - rest.len);
        return err;
    }
    if (err == NJ_EAGAIN) {
        nj_log(NJ_LOG_WARNING,
               "Warning: %s ends in the middle of a change, which was never answered; it is "
               "dropped.",
               path);
    }
    recall->journal.len -= rest.len;
    return NJ_OK;
}

static enum nj_err apply(struct recall *recall, struct nj_dynsec_edit *edit,
                         const struct nj_dynsec_record *record)
{
    if (record->kind != NJ_DYNSEC_RECORD_CHANGE || record->index <= edit->state->change_index) {
        return NJ_OK;
    }
    enum nj_err err = record->from == edit->state->change_index
                          ? nj_dynsec_edit_replay(edit, record->lines)
                          : NJ_EMALFORMED;
    if (err == NJ_EMALFORMED) {
        (void)snprintf(recall->error, recall->error_size,
                       "%s does not fit to %s at change %llu; --recover json starts without it",
                       recall->dynsec->journal.path, recall->options->path,
                       (unsigned long long)record->index);
    }
    return err;
}

/* From a state that the journal knows. */
static enum nj_err replay(struct recall *recall, const struct nj_dynsec_state *base, bool *is_dirty)
{
    struct nj_dynsec_edit edit;
    struct nj_dynsec_record record;
    struct nj_bytes rest = nj_buf_bytes(&recall->journal);
    enum nj_err err = nj_dynsec_edit_init(&edit, base);
    while (err == NJ_OK && nj_dynsec_record_next(&rest, &record) == NJ_OK) {
        err = apply(recall, &edit, &record);
    }
    if (err == NJ_OK) {
        *is_dirty |= edit.state->change_index != base->change_index;
        recall->dynsec->state = nj_dynsec_state_ref(edit.state);
        err = nj_dynsec_journal_resume(&recall->dynsec->journal, nj_buf_bytes(&recall->journal));
    }
    nj_dynsec_edit_fini(&edit);
    return err;
}

/* ---- what to begin from */

/* A source without the journal. */
static enum nj_err take(struct recall *recall, struct source *source)
{
    recall->dynsec->state = nj_dynsec_state_ref(source->state);
    return nj_dynsec_journal_start(&recall->dynsec->journal, source->state->change_index,
                                   &source->digest);
}

static bool put_copy(const char *path, const struct nj_buf *text)
{
    enum nj_err err = nj_file_replace(path, text->data, text->len, NJ_DYNSEC_FILE_MODE);
    if (err != NJ_OK) {
        nj_log(NJ_LOG_WARNING, "Warning: %s cannot be written: %s.", path, nj_file_why(err));
    }
    return err == NJ_OK;
}

/* Nobody throws away what a person wrote: it stays under another name. */
static void keep_rejected(const struct recall *recall)
{
    const struct source *file = &recall->file;
    size_t size = strlen(file->path) + 16;
    char *path = nj_alloc(size);
    (void)snprintf(path, size, "%s.rejected", file->path);
    if (file->is_there) {
        (void)put_copy(path, &file->text);
    }
    nj_free(path);
}

static enum nj_err use_last(struct recall *recall, bool *is_dirty)
{
    if (!recall->last.state) {
        (void)snprintf(recall->error, recall->error_size, "there is no good copy: %s",
                       recall->last.error[0] ? recall->last.error : recall->last.path);
        return NJ_EMALFORMED;
    }
    nj_log(NJ_LOG_WARNING, "Warning: dynamic security begins from %s%s.", recall->last.path,
           recall->has_changes && recall->last.is_known ? " and the changes of the journal" : "");
    *is_dirty = true;
    return recall->last.is_known ? replay(recall, recall->last.state, is_dirty)
                                 : take(recall, &recall->last);
}

static enum nj_err refuse(struct recall *recall, const char *what, const char *advice)
{
    (void)snprintf(recall->error, recall->error_size, "%s; %s", what, advice);
    return NJ_EMALFORMED;
}

static enum nj_err make_first(struct recall *recall)
{
    struct nj_dynsec *dynsec = recall->dynsec;
    struct nj_buf text = {NULL, 0, 0};
    struct nj_dynsec_digest digest;
    enum nj_err err = nj_dynsec_first(recall->options, dynsec->principals, &dynsec->state,
                                      recall->error, recall->error_size);
    if (err != NJ_OK) {
        return err;
    }
    err = nj_dynsec_save(dynsec->state, NJ_DYNSEC_FORM_21, &text);
    if (err == NJ_OK && !nj_dynsec_digest_of(nj_buf_bytes(&text), &digest)) {
        err = NJ_ESYS;
    }
    if (err == NJ_OK) {
        err = nj_file_replace(dynsec->path, text.data, text.len, NJ_DYNSEC_FILE_MODE);
        if (err != NJ_OK) {
            (void)snprintf(recall->error, recall->error_size, "%s cannot be written: %s",
                           dynsec->path, nj_file_why(err));
        }
    }
    nj_wipe(text.data, text.len);
    nj_buf_fini(&text);
    if (err != NJ_OK) {
        return err;
    }
    if (!recall->options->password_file && !recall->options->password) {
        nj_log(NJ_LOG_NOTICE,
               "Dynamic security: %s was made with the client \"admin\"; its password is in %s.pw, "
               "which can be deleted once it was read.",
               dynsec->path, dynsec->path);
    }
    return nj_dynsec_journal_start(&dynsec->journal, dynsec->state->change_index, &digest);
}

static enum nj_err without_file(struct recall *recall, bool *is_dirty)
{
    char what[400];
    bool may_be_lost = recall->last.is_there || recall->has_changes;
    if (!may_be_lost) {
        return make_first(recall);
    }
    if (recall->options->recover == NJ_DYNSEC_RECOVER_LAST ||
        recall->options->recover == NJ_DYNSEC_RECOVER_JOURNAL) {
        return use_last(recall, is_dirty);
    }
    (void)snprintf(what, sizeof(what), "%s is gone, but %s is there", recall->file.path,
                   recall->last.is_there ? recall->last.path : recall->dynsec->journal.path);
    return refuse(recall, what, "--recover begins from the copy; remove it to begin anew");
}

static enum nj_err with_bad_file(struct recall *recall, bool *is_dirty)
{
    bool is_half = recall->was_announced && recall->last.state;
    if (recall->options->recover != NJ_DYNSEC_RECOVER_LAST &&
        recall->options->recover != NJ_DYNSEC_RECOVER_JOURNAL && !is_half) {
        return refuse(recall, recall->file.error,
                      recall->file.is_unreadable ? "the broker's account has to read and write it"
                                                 : "--recover begins from the last good copy");
    }
    keep_rejected(recall);
    return use_last(recall, is_dirty);
}

static enum nj_err with_foreign_file(struct recall *recall, bool *is_dirty)
{
    char what[600];
    if (recall->options->recover == NJ_DYNSEC_RECOVER_JSON) {
        return take(recall, &recall->file);
    }
    if (recall->options->recover == NJ_DYNSEC_RECOVER_JOURNAL) {
        keep_rejected(recall);
        return use_last(recall, is_dirty);
    }
    (void)snprintf(what, sizeof(what),
                   "%s was changed by somebody else, while %s holds changes that it does not have",
                   recall->file.path, recall->dynsec->journal.path);
    return refuse(recall, what, "--recover json or --recover journal says which of both counts");
}

static enum nj_err choose(struct recall *recall, bool *is_dirty)
{
    if (!recall->file.is_there) {
        return without_file(recall, is_dirty);
    }
    if (!recall->file.state) {
        return with_bad_file(recall, is_dirty);
    }
    if (!recall->has_changes) {
        return take(recall, &recall->file);
    }
    return recall->file.is_known ? replay(recall, recall->file.state, is_dirty)
                                 : with_foreign_file(recall, is_dirty);
}

static void source_fini(struct source *source)
{
    nj_wipe(source->text.data, source->text.len);
    nj_buf_fini(&source->text);
    nj_dynsec_state_unref(source->state);
}

/* The copy is only looked at when it may be needed: it is as large as the file. */
static enum nj_err read_last(struct recall *recall)
{
    enum nj_err err = read_source(recall, &recall->last, recall->dynsec->last_path);
    recall->last.is_known = false;
    return err;
}

static enum nj_err recall_all(struct recall *recall, bool *is_dirty)
{
    enum nj_err err = read_source(recall, &recall->file, recall->options->path);
    if (err == NJ_OK) {
        err = read_journal(recall);
    }
    if (err == NJ_EMALFORMED && recall->options->recover == NJ_DYNSEC_RECOVER_JSON &&
        recall->file.state) {
        recall->has_changes = false;
        return take(recall, &recall->file);
    }
    bool is_plain = recall->file.state && (!recall->has_changes || recall->file.is_known);
    if (err == NJ_OK && !is_plain) {
        err = read_last(recall);
        recall->journal.len = 0;
        err = err == NJ_OK ? read_journal(recall) : err;
    }
    return err == NJ_OK ? choose(recall, is_dirty) : err;
}

/* A file that could be read is the last good one from now on, before anybody can spoil it. */
static bool keep_copy(const struct recall *recall)
{
    struct nj_buf old = {NULL, 0, 0};
    const char *path = recall->dynsec->last_path;
    bool is_same = nj_file_read(path, NJ_DYNSEC_FILE_MAX, true, &old) == NJ_OK &&
                   nj_bytes_equal(nj_buf_bytes(&old), nj_buf_bytes(&recall->file.text));
    bool is_kept = is_same || put_copy(path, &recall->file.text);
    nj_wipe(old.data, old.len);
    nj_buf_fini(&old);
    return is_kept;
}

enum nj_err nj_dynsec_recall(struct nj_dynsec *dynsec, const struct nj_dynsec_options *options,
                             bool *is_dirty, char *error, size_t error_size)
{
    struct recall recall = {
        .dynsec = dynsec, .options = options, .error = error, .error_size = error_size};
    *is_dirty = false;
    error[0] = '\0';
    nj_file_sweep_drafts(dynsec->path); /* they hold hashes, and may be as large as the file */
    nj_file_sweep_drafts(dynsec->last_path);
    nj_file_sweep_drafts(dynsec->journal.path);
    enum nj_err err = recall_all(&recall, is_dirty);
    if (err == NJ_OK && recall.file.state && !recall.last.text.data) {
        dynsec->has_last = keep_copy(&recall);
    }
    nj_dynsec_look_at(dynsec->path, &dynsec->look);
    source_fini(&recall.file);
    source_fini(&recall.last);
    nj_wipe(recall.journal.data, recall.journal.len);
    nj_buf_fini(&recall.journal);
    return err;
}
