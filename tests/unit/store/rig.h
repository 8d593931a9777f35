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

/* What most tests do, with one session (RIG_OWNER, away) on lane 0. */
#define RIG_OWNER 1
enum nj_err rig_save(struct rig *rig);
enum nj_err rig_append(struct rig *rig, uint64_t seq, size_t bytes, uint64_t expires_ms);
/* Submits only; returns the cookie. */
uint64_t rig_submit_append(struct rig *rig, uint64_t seq, size_t bytes, uint64_t expires_ms);
enum nj_err rig_take_off(struct rig *rig, uint64_t seq);
uint32_t rig_rows_in_store(struct rig *rig);
/* `text` may be NULL. */
enum nj_store_state rig_state(struct rig *rig, char text[160]);
/* A full store finds out by itself that it is not any more: nobody has to submit anything. */
void rig_wait_until_good(struct rig *rig);
/* Tries until the store takes the row, which it refuses for lack of room only. */
void rig_append_until_taken(struct rig *rig, uint64_t seq);

struct nj_message *rig_message(const char *topic, size_t payload_len, uint64_t expires_ms);

#endif
