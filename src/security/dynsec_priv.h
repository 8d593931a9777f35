/* The module from the inside: dynsec_open.c makes it from what is on disk, dynsec.c runs it. */
#ifndef NJ_SECURITY_DYNSEC_PRIV_H
#define NJ_SECURITY_DYNSEC_PRIV_H

#include <sys/stat.h>
#include <pthread.h>

#include "base/thread.h"
#include "security/dynsec.h"
#include "security/dynsec_journal.h"

#define NJ_DYNSEC_FILE_MODE 0600

/* How a file looks from outside: another one is somebody else's work. */
struct nj_dynsec_look {
    bool is_there;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};
void nj_dynsec_look_at(const char *path, struct nj_dynsec_look *out);
bool nj_dynsec_looks_same(const struct nj_dynsec_look *a, const struct nj_dynsec_look *b);

struct nj_dynsec {
    char *path;
    char *last_path;
    struct nj_dynsec_principals *principals;
    struct nj_dynsec_state *state; /* of the thread that commits */

    struct nj_thread saver;
    struct nj_dynsec_look look; /* of the file as the saver left it; so far the saver's: */
    bool has_last;              /* FILE.last is something that the journal names */
    bool is_last_behind;        /* it is not what FILE is, or is going to be */
    bool has_announced;         /* the journal's last save is this one: */
    struct nj_dynsec_digest announced;
    pthread_mutex_t lock;   /* guards all below */
    pthread_cond_t wake;    /* the saver has something to do */
    pthread_cond_t settled; /* the saver has done it */
    struct nj_dynsec_journal journal;
    struct nj_dynsec_state *unsaved; /* NULL = the file is as it should be */
    uint64_t due_ms;
    uint64_t rest_until_ms; /* after a save that took long, or failed */
    bool is_saving;
    bool has_failed; /* the last save */
    bool is_stopping;
};

/* Fills state, journal and look; `is_dirty`: the file is not what the state is. */
enum nj_err nj_dynsec_recall(struct nj_dynsec *dynsec, const struct nj_dynsec_options *options,
                             bool *is_dirty, char *error, size_t error_size) NJ_NODISCARD;

/* dynsec_put.c; the saver's. */
struct nj_dynsec_put {
    struct nj_dynsec_digest digest; /* of what was written */
    const char *what;               /* the path that an error is about */
};
/* Into FILE, after the journal has announced it. errno says why not. */
enum nj_err nj_dynsec_put(struct nj_dynsec *dynsec, const struct nj_dynsec_state *state,
                          struct nj_dynsec_put *put) NJ_NODISCARD;
/* At the stop: FILE.last becomes what FILE is, if it is not. Logs. */
void nj_dynsec_put_last(struct nj_dynsec *dynsec);

#endif
