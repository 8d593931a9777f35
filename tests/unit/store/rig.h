/* A store with somebody who waits for what it says. Each test has its own directory. */
#ifndef NJ_TESTS_UNIT_STORE_RIG_H
#define NJ_TESTS_UNIT_STORE_RIG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/open.h"

#define RIG_LANES 4

struct rig {
    char path[64];
    struct nj_store *store;
    struct nj_store_lmdb_options options;
    uint64_t next_cookie;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    uint64_t done[RIG_LANES]; /* highest cookie completed */
    enum nj_err last_err;     /* of the last failed group */
    uint64_t failed;          /* groups */
    uint64_t failed_cookie;
    struct nj_store_rows *rows; /* the last answer */
    uint64_t expired;           /* rows */
    uint64_t expired_bytes;
    bool is_wrong; /* the contract was broken */
};

void rig_init(struct rig *rig);
/* Removes the directory. */
void rig_fini(struct rig *rig);
enum nj_err rig_open(struct rig *rig);
void rig_close(struct rig *rig);

/* Submits and flushes; returns the cookie. */
uint64_t rig_submit(struct rig *rig, unsigned lane, const struct nj_store_op *ops, unsigned count,
                    const struct nj_store_joint *joint);
/* Waits for the completion of everything up to `cookie`. */
enum nj_err rig_wait(struct rig *rig, unsigned lane, uint64_t cookie);
/* submit and wait. */
enum nj_err rig_do(struct rig *rig, const struct nj_store_op *ops, unsigned count);
/* The caller frees the rows. */
struct nj_store_rows *rig_read(struct rig *rig, const struct nj_store_read *read);

struct nj_message *rig_message(const char *topic, size_t payload_len, uint64_t expires_ms);

#endif
