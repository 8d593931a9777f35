/* See dynsec.h. */
#include "security/dynsec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "security/dynsec_file.h"
#include "security/dynsec_principal.h"
#include "security/dynsec_priv.h"

/* The file is current within a second; changes that come together are written together. A save that
 * takes long is not repeated before it has rested ten times as long. */
#define SAVE_AFTER_MS  300u
#define REST_FACTOR    10u
#define RETRY_AFTER_MS 5000u

void nj_dynsec_look_at(const char *path, struct nj_dynsec_look *out)
{
    struct stat info;
    *out = (struct nj_dynsec_look){0};
    if (stat(path, &info) == 0) {
        *out = (struct nj_dynsec_look){true, info.st_dev, info.st_ino, info.st_size, info.st_mtim};
    }
}

bool nj_dynsec_looks_same(const struct nj_dynsec_look *a, const struct nj_dynsec_look *b)
{
    return a->is_there == b->is_there && a->device == b->device && a->inode == b->inode &&
           a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
           a->changed.tv_nsec == b->changed.tv_nsec;
}

/* ---- saving: on the saver thread, without the lock but where it says so */

static bool save(struct nj_dynsec *dynsec, const struct nj_dynsec_state *state, bool had_failed)
{
    struct nj_dynsec_look look;
    struct nj_dynsec_put put;
    nj_dynsec_look_at(dynsec->path, &look);
    /* A file that is gone is nobody's work. */
    if (look.is_there && !nj_dynsec_looks_same(&look, &dynsec->look)) {
        if (!had_failed) {
            nj_log(NJ_LOG_ERROR,
                   "Error: %s was changed by somebody else while the broker runs; it is not "
                   "overwritten. Changes are kept in %s until the next start, which asks which of "
                   "both counts (--recover json|journal).",
                   dynsec->path, dynsec->journal.path);
        }
        return false;
    }
    enum nj_err err = nj_dynsec_put(dynsec, state, &put);
    if (err != NJ_OK && !had_failed) {
        nj_log(NJ_LOG_ERROR,
               "Error: %s cannot be written: %s. Nothing is lost, changes are in %s; it is tried "
               "again.",
               put.what, nj_file_why(err), dynsec->journal.path);
    } else if (err == NJ_OK && had_failed) {
        nj_log(NJ_LOG_NOTICE, "%s could be written again.", dynsec->path);
    }
    return err == NJ_OK;
}

static void wait_until(struct nj_dynsec *dynsec, uint64_t due_ms)
{
    struct timespec until;
    uint64_t now = nj_clock_mono_ms();
    uint64_t wait = due_ms > now ? due_ms - now : 0;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(wait / 1000);
    until.tv_nsec += (long)(wait % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    (void)pthread_cond_timedwait(&dynsec->wake, &dynsec->lock, &until);
}

/* With the lock. */
static void save_unsaved(struct nj_dynsec *dynsec)
{
    struct nj_dynsec_state *state = dynsec->unsaved;
    bool had_failed = dynsec->has_failed;
    dynsec->unsaved = NULL;
    dynsec->is_saving = true;
    (void)pthread_mutex_unlock(&dynsec->lock);
    uint64_t begin = nj_clock_mono_ms();
    bool ok = save(dynsec, state, had_failed);
    uint64_t end = nj_clock_mono_ms();
    (void)pthread_mutex_lock(&dynsec->lock);
    dynsec->is_saving = false;
    dynsec->has_failed = !ok;
    dynsec->rest_until_ms = ok ? end + (end - begin) * REST_FACTOR : end + RETRY_AFTER_MS;
    if (!ok && !dynsec->unsaved) {
        dynsec->unsaved = nj_dynsec_state_ref(state);
    }
    if (dynsec->due_ms < dynsec->rest_until_ms) {
        dynsec->due_ms = dynsec->rest_until_ms; /* of what came meanwhile, too */
    }
    nj_dynsec_state_unref(state);
    (void)pthread_cond_broadcast(&dynsec->settled);
}

static void *saver_main(void *arg)
{
    struct nj_dynsec *dynsec = arg;
    nj_thread_give_way(); /* traffic comes before saving */
    (void)pthread_mutex_lock(&dynsec->lock);
    while (!dynsec->is_stopping) {
        if (!dynsec->unsaved) {
            (void)pthread_cond_wait(&dynsec->wake, &dynsec->lock);
        } else if (nj_clock_mono_ms() < dynsec->due_ms) {
            wait_until(dynsec, dynsec->due_ms);
        } else {
            save_unsaved(dynsec);
        }
    }
    if (dynsec->unsaved) {
        save_unsaved(dynsec);
    }
    (void)pthread_mutex_unlock(&dynsec->lock);
    if (!dynsec->unsaved) {
        nj_dynsec_put_last(dynsec); /* the journal is going to be removed */
    }
    return NULL;
}

/* ---- life */

static void destroy(struct nj_dynsec *dynsec)
{
    (void)pthread_mutex_destroy(&dynsec->lock);
    (void)pthread_cond_destroy(&dynsec->wake);
    (void)pthread_cond_destroy(&dynsec->settled);
    nj_dynsec_journal_fini(&dynsec->journal);
    nj_dynsec_state_unref(dynsec->unsaved);
    nj_dynsec_state_unref(dynsec->state);
    nj_dynsec_principals_unref(dynsec->principals);
    nj_free(dynsec->path);
    nj_free(dynsec->last_path);
    nj_free(dynsec);
}

static char *beside(const char *path, const char *ending)
{
    size_t size = strlen(path) + strlen(ending) + 1;
    char *name = nj_alloc(size);
    (void)snprintf(name, size, "%s%s", path, ending);
    return name;
}

static struct nj_dynsec *make(const char *path)
{
    pthread_condattr_t attr;
    struct nj_dynsec *dynsec = nj_zalloc(sizeof(*dynsec));
    char *journal = beside(path, ".journal");
    dynsec->path = nj_strdup(path);
    dynsec->last_path = beside(path, ".last");
    dynsec->principals = nj_dynsec_principals_new();
    nj_dynsec_journal_init(&dynsec->journal, journal);
    nj_free(journal);
    (void)pthread_mutex_init(&dynsec->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&dynsec->wake, &attr);
    (void)pthread_cond_init(&dynsec->settled, &attr);
    (void)pthread_condattr_destroy(&attr);
    return dynsec;
}

/* With the lock, or before there is another thread. */
static void want_save(struct nj_dynsec *dynsec)
{
    uint64_t due = nj_clock_mono_ms() + SAVE_AFTER_MS;
    if (!dynsec->unsaved) {
        dynsec->due_ms = due > dynsec->rest_until_ms ? due : dynsec->rest_until_ms;
    }
    nj_dynsec_state_unref(dynsec->unsaved);
    dynsec->unsaved = nj_dynsec_state_ref(dynsec->state);
    (void)pthread_cond_signal(&dynsec->wake);
}

enum nj_err nj_dynsec_open(const struct nj_dynsec_options *options, struct nj_dynsec **out,
                           char *error, size_t error_size)
{
    bool is_dirty = false;
    struct nj_dynsec *dynsec = make(options->path);
    error[0] = '\0';
    enum nj_err err = nj_dynsec_recall(dynsec, options, &is_dirty, error, error_size);
    if (err == NJ_OK && is_dirty) {
        want_save(dynsec);
    }
    if (err == NJ_OK) {
        err = nj_thread_start(&dynsec->saver, "nj-dynsec", saver_main, dynsec);
    }
    if (err != NJ_OK) {
        if (!error[0]) {
            (void)snprintf(error, error_size, "%s: %s", options->path, nj_err_text(err));
        }
        destroy(dynsec);
        return err;
    }
    *out = dynsec;
    return NJ_OK;
}

/* Not when it may still be asked: FILE.last begins it, or somebody else's file lacks its changes.
 */
static bool is_journal_done(const struct nj_dynsec *dynsec)
{
    struct nj_dynsec_look look;
    nj_dynsec_look_at(dynsec->path, &look);
    return !dynsec->unsaved && !dynsec->is_last_behind &&
           (!look.is_there || nj_dynsec_looks_same(&look, &dynsec->look));
}

void nj_dynsec_close(struct nj_dynsec *dynsec)
{
    if (!dynsec) {
        return;
    }
    (void)pthread_mutex_lock(&dynsec->lock);
    dynsec->is_stopping = true;
    (void)pthread_cond_signal(&dynsec->wake);
    (void)pthread_mutex_unlock(&dynsec->lock);
    nj_thread_join(&dynsec->saver);
    if (is_journal_done(dynsec)) {
        nj_dynsec_journal_remove(&dynsec->journal);
    }
    destroy(dynsec);
}

struct nj_dynsec_state *nj_dynsec_state(const struct nj_dynsec *dynsec)
{
    return dynsec->state;
}

const char *nj_dynsec_path(const struct nj_dynsec *dynsec)
{
    return dynsec->path;
}

enum nj_err nj_dynsec_commit(struct nj_dynsec *dynsec, struct nj_dynsec_edit *edit, char *why,
                             size_t why_size)
{
    if (!edit->log.len) {
        return NJ_OK;
    }
    struct nj_dynsec_state *old = dynsec->state;
    (void)pthread_mutex_lock(&dynsec->lock);
    enum nj_err err = nj_dynsec_journal_change(&dynsec->journal, old->change_index,
                                               edit->state->change_index, nj_buf_bytes(&edit->log));
    if (err == NJ_OK) {
        dynsec->state = nj_dynsec_state_ref(edit->state);
        want_save(dynsec);
    } else {
        (void)snprintf(why, why_size, "%s cannot be written: %s", dynsec->journal.path,
                       nj_file_why(err));
    }
    (void)pthread_mutex_unlock(&dynsec->lock);
    if (err == NJ_OK) {
        nj_dynsec_state_unref(old);
    }
    return err;
}

bool nj_dynsec_settle(struct nj_dynsec *dynsec)
{
    (void)pthread_mutex_lock(&dynsec->lock);
    while (dynsec->unsaved || dynsec->is_saving) {
        if (dynsec->unsaved && !dynsec->is_saving) {
            dynsec->due_ms = 0;
            dynsec->has_failed = false;
            (void)pthread_cond_signal(&dynsec->wake);
        }
        (void)pthread_cond_wait(&dynsec->settled, &dynsec->lock);
        if (dynsec->has_failed && !dynsec->is_saving) {
            break;
        }
    }
    bool ok = !dynsec->unsaved;
    (void)pthread_mutex_unlock(&dynsec->lock);
    return ok;
}
