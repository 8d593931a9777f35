/* What the files of the LMDB store share. Nobody else includes this.
 *
 *   worker ──submit──► lane (its own list) ──flush──► handed (locked) ──► writer thread
 *                                                                          │ one transaction for
 *   worker's inbox ◄──done, expired── writer ◄── commit ◄── batch ◄────────┘ many groups
 *                  ◄──rows── reader thread ◄── jobs, after the commit they have to see
 *
 * store_lmdb.c   the contract's functions, lanes          lmdb_env.c    files, tables
 * lmdb_writer.c  the writer thread, joint groups          lmdb_batch.c  rows of one transaction
 * lmdb_apply.c   everything but rows                      lmdb_index.c  owners and their tails
 * lmdb_keep.c    pages, expiry, graves                    lmdb_read.c   reader thread
 * lmdb_load.c    the start                                lmdb_blob.c   payloads beside the map
 * lmdb_sync.c    how a failed fdatasync is found out      lmdb_room.c   how large it may get
 * record.h       what is on the disk
 */
#ifndef NJ_STORE_LMDB_PRIV_H
#define NJ_STORE_LMDB_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "store/group.h"
#include "store/lmdb_batch.h"
#include "store/lmdb_env.h"
#include "store/lmdb_index.h"
#include "store/lmdb_joint.h"
#include "store/open.h"
#include "store/record.h"

/* ---- what waits for the writer */

/* Roughly what it holds in memory. */
uint64_t nj_lmdb_group_weight(const struct nj_store_group *group);

struct nj_lmdb_list {
    struct nj_store_group *head;
    struct nj_store_group **tail;
    uint32_t count;
};

static inline void nj_lmdb_list_init(struct nj_lmdb_list *list)
{
    *list = (struct nj_lmdb_list){.tail = &list->head};
}

static inline void nj_lmdb_list_push(struct nj_lmdb_list *list, struct nj_store_group *group)
{
    group->next = NULL;
    *list->tail = group;
    list->tail = &group->next;
    list->count++;
}

static inline struct nj_store_group *nj_lmdb_list_take(struct nj_lmdb_list *list)
{
    struct nj_store_group *group = list->head;
    if (group) {
        list->head = group->next;
        list->count--;
        if (!list->head) {
            list->tail = &list->head;
        }
    }
    return group;
}

/* Appends all of `from`, which is empty then. */
static inline void nj_lmdb_list_splice(struct nj_lmdb_list *list, struct nj_lmdb_list *from)
{
    if (from->head) {
        *list->tail = from->head;
        list->tail = from->tail;
        list->count += from->count;
        nj_lmdb_list_init(from);
    }
}

void nj_lmdb_group_free(struct nj_store_group *group);

/* ---- the store */

struct nj_lmdb_lane {
    struct nj_lmdb_list fresh; /* submitted, not handed over: the lane's owner */
    uint64_t fresh_ops;
    _Alignas(64) struct nj_lmdb_list handed; /* under the lock */
    struct nj_lmdb_list queue;               /* the writer's */
    uint64_t done_cookie;                    /* the writer's: good, not reported yet; 0 = none */
    uint32_t untold; /* the writer's: groups in it that were not told early */
};

struct nj_lmdb_stats {
    _Atomic uint64_t commits;
    _Atomic uint64_t groups;
    _Atomic uint64_t ops;
    _Atomic uint64_t waiting; /* bytes submitted, not completed */
    _Atomic int64_t rows;
    _Atomic uint64_t quarantined;
    _Atomic uint64_t broken;     /* groups told to be good that were refused later */
    _Atomic uint64_t live_bytes; /* nj_lmdb_env_live, as of the last commit */
};

/* A read that may start: what it has to see is committed. */
struct nj_lmdb_job {
    struct nj_lmdb_job *next;
    unsigned lane;
    struct nj_store_read read;
    uint32_t tail_count;
    uint64_t tail[]; /* rows of the owner in no page, from from_seq on */
};

struct nj_lmdb_backlogs;

struct nj_lmdb {
    struct nj_store base;
    struct nj_store_events events;
    struct nj_store_lmdb_options options;
    struct nj_lmdb_env env;
    struct nj_lmdb_stats stats;
    unsigned lane_count;
    struct nj_lmdb_lane *lanes;
    _Atomic int state; /* enum nj_store_state */
    struct nj_thread writer;
    struct nj_thread reader;

    pthread_mutex_t lock; /* guards what is handed over, and the next four */
    pthread_cond_t wake;
    uint64_t handed_ops;
    bool is_idle; /* the writer waits on `wake` and has nothing to do */
    bool is_closing;
    char text[160]; /* what is wrong */

    pthread_mutex_t job_lock; /* guards the next four */
    pthread_cond_t job_wake;
    struct nj_lmdb_job *jobs;
    struct nj_lmdb_job **job_tail;
    bool jobs_end;

    /* The writer's own. */
    struct nj_lmdb_index index;
    struct nj_lmdb_batch batch;
    struct nj_lmdb_backlogs *backlogs; /* between opening and loading */
    struct nj_joints joints;
    struct nj_store_group **heads; /* of the lanes' queues, for choosing */
    uint32_t *take;
    struct nj_lmdb_list *chosen; /* of each lane: what is in the transaction */
    uint64_t *graves;            /* owners whose rows are to be removed */
    uint32_t grave_count;
    uint32_t grave_cap;
    uint64_t *to_page; /* owners whose tails may be long enough */
    uint32_t to_page_count;
    uint32_t to_page_cap;
    uint64_t *doubtful; /* files of payloads whose transaction may or may not be on the disk */
    uint32_t doubtful_count;
    uint32_t doubtful_cap;
    uint64_t next_blob;
    uint64_t owner_limit; /* in the meta table: what was given out lies below */
    uint64_t seq_limit;
    uint64_t next_deadline_ms; /* wall clock; the first of the expiry table; UINT64_MAX = none */
    uint64_t full_until_ms;    /* monotonic: do not try again before */
    uint64_t keep_after_ms;    /* monotonic: no housekeeping before, it met a limit */
    uint64_t last_commit_ns;   /* when the last one began */
    uint64_t queued_ops;       /* in the lanes' queues */
    uint64_t queued_since_ms;
    uint32_t broken; /* groups told early and refused, not logged yet */
    bool has_read;   /* a read waits in a queue */
    bool is_stuck;   /* all that is queued waits for parts that have not arrived */
    bool keep_more;
    bool may_keep; /* under the lock: loaded, or in use without */
};

/* Housekeeping inside a transaction, a bounded amount of it (lmdb_keep.c): what makes room, and
 * pages when there is some. *more: call again soon. */
enum nj_err nj_lmdb_keep(struct nj_lmdb *db, bool with_pages, bool *more) NJ_NODISCARD;
/* After the commit: brings the index up to date, removes files. */
void nj_lmdb_keep_committed(struct nj_lmdb *db);
/* After giving the transaction up: takes back what was changed ahead of it. `is_doubtful`: its
 * commit failed, and the disk may name its files all the same. */
void nj_lmdb_keep_given_up(struct nj_lmdb *db, bool is_doubtful);
/* A transaction began, so what was doubtful is not on the disk. */
void nj_lmdb_keep_begun(struct nj_lmdb *db);
/* At the start: a grave that is still to be emptied, a tail that may be long. */
void nj_lmdb_keep_grave(struct nj_lmdb *db, uint64_t owner);
void nj_lmdb_keep_long(struct nj_lmdb *db, const struct nj_lmdb_owner *owner);

void *nj_lmdb_writer_main(void *arg);
void *nj_lmdb_reader_main(void *arg);
/* Hands a read to the reader thread; answers at once when that fails. Writer. */
void nj_lmdb_read_start(struct nj_lmdb *db, const struct nj_store_group *group);
/* A message out of its record; NULL when memory is short or its payload is damaged (*err). */
struct nj_message *nj_lmdb_message_load(struct nj_lmdb *db, MDB_txn *txn,
                                        const struct nj_record_message *record, bool is_interval,
                                        enum nj_err *err);
/* Owners, tails and limits, before the threads start. */
enum nj_err nj_lmdb_load_index(struct nj_lmdb *db) NJ_NODISCARD;
void nj_lmdb_backlogs_free(struct nj_lmdb_backlogs *backlogs);
enum nj_err nj_lmdb_load(struct nj_store *store, const struct nj_store_loader *loader,
                         struct nj_store_highest *highest);

#endif
