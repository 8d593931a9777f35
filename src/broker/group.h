/* A group of a shared subscription as its home worker sees it (share.h): who its members are, who
 * of them is connected, and who comes after whom. Tells nobody anything: that is share.c.
 *
 *   groups ── by filter and name ──► group ── members[]   in turn; removal moves the last one into
 *          └─ by group and session ─► member    online[]  the gap. A bit for each place.
 *
 * Members come by the thousand (one user may have that many sessions), so none of this walks
 * through them one by one. All of it belongs to the home's worker. */
#ifndef NJ_BROKER_GROUP_H
#define NJ_BROKER_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/index.h"

struct nj_filter;

struct nj_member {
    struct nj_index_node node;
    struct nj_group *group;
    uint64_t session;
    uint32_t worker;
    uint32_t place;
    bool is_online; /* nj_group_set_online changes it */
    bool is_stored;
};

struct nj_group {
    struct nj_group *next; /* of the same filter */
    struct nj_group **at;  /* what points to it there */
    struct nj_index_node node;
    struct nj_filter *filter;
    struct nj_member **members;
    uint64_t *online; /* bit n: members[n] is */
    uint32_t count;
    uint32_t cap;
    uint32_t turn;  /* place to begin with next time */
    uint32_t clock; /* counts members that came or left, or came online or went away */
    uint32_t name_len;
    char name[];
};

/* Of a worker; all zero is empty. */
struct nj_groups {
    struct nj_index by_name;
    struct nj_index members;
};

/* After the filters, which own the groups, are freed. */
void nj_groups_fini(struct nj_groups *groups);

/* `filter` may be NULL, and so may be what comes out. */
struct nj_group *nj_group_find(const struct nj_groups *groups, const struct nj_filter *filter,
                               struct nj_bytes name);
/* Makes it where there is none; NULL when memory is short. */
struct nj_group *nj_group_demand(struct nj_groups *groups, struct nj_filter *filter,
                                 struct nj_bytes name) NJ_NODISCARD;
/* Takes an empty group out of its filter and frees it; another one stays. */
void nj_group_drop_if_empty(struct nj_groups *groups, struct nj_group *group);
/* Frees a filter's groups when the broker stops: the indexes are not asked any more. */
void nj_groups_free(struct nj_group *first);

/* `group` may be NULL. */
struct nj_member *nj_group_member(const struct nj_groups *groups, const struct nj_group *group,
                                  uint64_t session);
/* Behind the others, as `what` says; it must not be there. */
enum nj_err nj_group_join(struct nj_groups *groups, struct nj_group *group,
                          const struct nj_member *what) NJ_NODISCARD;
/* Frees it. */
void nj_group_leave(struct nj_groups *groups, struct nj_member *member);
void nj_group_set_online(struct nj_member *member, bool is_online);

enum nj_wanted {
    NJ_WANTED_ONLINE,
    NJ_WANTED_AWAY,
    NJ_WANTED_ANY,
};

/* The first member behind place `from`, round to it again, that is wanted; NULL when there is none,
 * or session `stop` (0 = none) comes before it or is it. A word of 64 places at a time. */
struct nj_member *nj_group_next(const struct nj_groups *groups, const struct nj_group *group,
                                uint32_t from, uint64_t stop, enum nj_wanted wanted);

#endif
