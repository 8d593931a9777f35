/* Which groups may be committed together: lanes in order, joint groups whole. For the writer thread
 * alone. */
#ifndef NJ_STORE_LMDB_JOINT_H
#define NJ_STORE_LMDB_JOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct nj_store_group;

/* A group of several lanes, from its first part until its last one is chosen. */
struct nj_joint {
    struct nj_joint *next; /* same bucket */
    uint64_t id;
    uint32_t seen;   /* parts that arrived */
    uint32_t parts;  /* all of them; 0 = not yet said */
    uint32_t inside; /* parts in the choice at hand */
    bool is_aborted;
};

#define NJ_JOINT_BUCKETS 512

struct nj_joints {
    struct nj_joint *buckets[NJ_JOINT_BUCKETS];
    uint32_t count;
};

/* A part arrived. */
void nj_joints_note(struct nj_joints *joints, const struct nj_store_group *group);
struct nj_joint *nj_joints_find(const struct nj_joints *joints, uint64_t id);
void nj_joints_remove(struct nj_joints *joints, struct nj_joint *joint);
void nj_joints_fini(struct nj_joints *joints);

/* Chooses how many groups from the head of each queue go next: `take[lane]`, at most about `budget`
 * operations in all unless joint groups tie more together. Returns their number; 0 = all that is
 * there waits for parts that have not arrived. */
uint32_t nj_joints_choose(struct nj_joints *joints, struct nj_store_group *const *heads,
                          uint32_t lanes, uint32_t budget, uint32_t *take);

#endif
