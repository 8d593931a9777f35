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
    struct nj_dynsec_look look; /* of the file as the saver left it; the saver's */
    pthread_mutex_t lock;       /* guards all below */
    pthread_cond_t wake;        /* the saver has something to do */
    pthread_cond_t settled;     /* the saver has done it */
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

#endif
