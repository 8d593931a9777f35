/* See lmdb_joint.h. */
#include "store/lmdb_joint.h"

#include "base/mem.h"
#include "store/group.h"

struct nj_joint *nj_joints_find(const struct nj_joints *joints, uint64_t id)
{
    struct nj_joint *joint = joints->buckets[id % NJ_JOINT_BUCKETS];
    while (joint && joint->id != id) {
        joint = joint->next;
    }
    return joint;
}

void nj_joints_note(struct nj_joints *joints, const struct nj_store_group *group)
{
    if (!group->joint.id) {
        return;
    }
    struct nj_joint *joint = nj_joints_find(joints, group->joint.id);
    if (!joint) {
        joint = nj_zalloc(sizeof(*joint));
        joint->id = group->joint.id;
        joint->next = joints->buckets[joint->id % NJ_JOINT_BUCKETS];
        joints->buckets[joint->id % NJ_JOINT_BUCKETS] = joint;
        joints->count++;
    }
    joint->seen++;
    if (group->joint.parts) {
        joint->parts = group->joint.parts;
    }
    joint->is_aborted |= group->joint.is_aborted;
}

void nj_joints_remove(struct nj_joints *joints, struct nj_joint *joint)
{
    struct nj_joint **at = &joints->buckets[joint->id % NJ_JOINT_BUCKETS];
    while (*at != joint) {
        at = &(*at)->next;
    }
    *at = joint->next;
    joints->count--;
    nj_free(joint);
}

void nj_joints_fini(struct nj_joints *joints)
{
    for (int i = 0; i < NJ_JOINT_BUCKETS; i++) {
        while (joints->buckets[i]) {
            nj_joints_remove(joints, joints->buckets[i]);
        }
    }
}

static bool has_arrived(const struct nj_joint *joint)
{
    return joint->parts && joint->seen >= joint->parts;
}

/* All of each queue up to the first group that waits for parts, or up to `budget` operations. */
static void choose_widely(const struct nj_joints *joints, struct nj_store_group *const *heads,
                          uint32_t lanes, uint32_t budget, uint32_t *take)
{
    for (uint32_t lane = 0; lane < lanes; lane++) {
        uint32_t ops = 0;
        take[lane] = 0;
        for (const struct nj_store_group *group = heads[lane]; group && ops < budget;
             group = group->next) {
            const struct nj_joint *joint =
                group->joint.id ? nj_joints_find(joints, group->joint.id) : NULL;
            if (joint && !has_arrived(joint)) {
                break;
            }
            ops += group->count + 1;
            take[lane]++;
        }
    }
}

static void count_inside(struct nj_joints *joints, struct nj_store_group *const *heads,
                         uint32_t lanes, const uint32_t *take)
{
    for (int i = 0; i < NJ_JOINT_BUCKETS; i++) {
        for (struct nj_joint *joint = joints->buckets[i]; joint; joint = joint->next) {
            joint->inside = 0;
        }
    }
    for (uint32_t lane = 0; lane < lanes; lane++) {
        const struct nj_store_group *group = heads[lane];
        for (uint32_t i = 0; i < take[lane]; i++, group = group->next) {
            struct nj_joint *joint =
                group->joint.id ? nj_joints_find(joints, group->joint.id) : NULL;
            if (joint) {
                joint->inside++;
            }
        }
    }
}

/* Ends each lane's choice before its first part of a joint group that is not inside as a whole. */
static bool cut(struct nj_joints *joints, struct nj_store_group *const *heads, uint32_t lanes,
                uint32_t *take)
{
    bool has_cut = false;
    count_inside(joints, heads, lanes, take);
    for (uint32_t lane = 0; lane < lanes; lane++) {
        const struct nj_store_group *group = heads[lane];
        for (uint32_t i = 0; i < take[lane]; i++, group = group->next) {
            const struct nj_joint *joint =
                group->joint.id ? nj_joints_find(joints, group->joint.id) : NULL;
            if (joint && joint->inside < joint->parts) {
                take[lane] = i;
                has_cut = true;
            }
        }
    }
    return has_cut;
}

static uint32_t choose(struct nj_joints *joints, struct nj_store_group *const *heads,
                       uint32_t lanes, uint32_t budget, uint32_t *take)
{
    uint32_t sum = 0;
    choose_widely(joints, heads, lanes, budget, take);
    while (joints->count && cut(joints, heads, lanes, take)) {
    }
    for (uint32_t lane = 0; lane < lanes; lane++) {
        sum += take[lane];
    }
    return sum;
}

uint32_t nj_joints_choose(struct nj_joints *joints, struct nj_store_group *const *heads,
                          uint32_t lanes, uint32_t budget, uint32_t *take)
{
    uint32_t busy = 0;
    for (uint32_t lane = 0; lane < lanes; lane++) {
        busy += heads[lane] != NULL;
    }
    uint32_t each = busy && budget > busy ? budget / busy : 1;
    uint32_t sum = choose(joints, heads, lanes, each, take);
    /* Joint groups may be tied crosswise beyond the budget: then without it. */
    return sum || !joints->count ? sum : choose(joints, heads, lanes, UINT32_MAX, take);
}
