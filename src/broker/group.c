/* See group.h. */
#include "broker/group.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "broker/filters.h"

#define MEMBERS_MIN 4u
#define WORD_BITS   64u

/* Filters and groups stay at their places as long as they are in an index. */
static uint64_t name_hash(const struct nj_filter *filter, struct nj_bytes name)
{
    return nj_hash_seeded(name, (uint64_t)(uintptr_t)filter);
}

static uint64_t member_hash(const struct nj_group *group, uint64_t session)
{
    return nj_hash_seeded(nj_bytes(&session, sizeof(session)), (uint64_t)(uintptr_t)group);
}

void nj_groups_fini(struct nj_groups *groups)
{
    nj_index_fini(&groups->by_name);
    nj_index_fini(&groups->members);
}

struct nj_group *nj_group_find(const struct nj_groups *groups, const struct nj_filter *filter,
                               struct nj_bytes name)
{
    struct nj_index_node *node =
        filter ? nj_index_first(&groups->by_name, name_hash(filter, name)) : NULL;
    for (; node; node = nj_index_next(node)) {
        struct nj_group *group = NJ_CONTAINER(node, struct nj_group, node);
        if (group->filter == filter &&
            nj_bytes_equal(nj_bytes(group->name, group->name_len), name)) {
            return group;
        }
    }
    return NULL;
}

struct nj_group *nj_group_demand(struct nj_groups *groups, struct nj_filter *filter,
                                 struct nj_bytes name)
{
    struct nj_group *group = nj_group_find(groups, filter, name);
    if (group) {
        return group;
    }
    group = nj_try_zalloc(sizeof(*group) + name.len);
    if (!group || nj_index_add(&groups->by_name, &group->node, name_hash(filter, name)) != NJ_OK) {
        nj_free(group);
        return NULL;
    }
    group->filter = filter;
    group->name_len = (uint32_t)name.len;
    memcpy(group->name, name.ptr, name.len);
    group->next = filter->groups;
    group->at = &filter->groups;
    if (group->next) {
        group->next->at = &group->next;
    }
    filter->groups = group;
    return group;
}

static void group_free(struct nj_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        nj_free(group->members[i]);
    }
    nj_free(group->members);
    nj_free(group->online);
    nj_free(group);
}

void nj_group_drop_if_empty(struct nj_groups *groups, struct nj_group *group)
{
    if (group->count) {
        return;
    }
    nj_index_remove(&groups->by_name, &group->node);
    *group->at = group->next;
    if (group->next) {
        group->next->at = group->at;
    }
    group_free(group);
}

void nj_groups_free(struct nj_group *first)
{
    while (first) {
        struct nj_group *next = first->next;
        group_free(first);
        first = next;
    }
}

/* ---- members */

struct nj_member *nj_group_member(const struct nj_groups *groups, const struct nj_group *group,
                                  uint64_t session)
{
    struct nj_index_node *node =
        group ? nj_index_first(&groups->members, member_hash(group, session)) : NULL;
    for (; node; node = nj_index_next(node)) {
        struct nj_member *member = NJ_CONTAINER(node, struct nj_member, node);
        if (member->group == group && member->session == session) {
            return member;
        }
    }
    return NULL;
}

static enum nj_err reserve(struct nj_group *group)
{
    if (group->count < group->cap) {
        return NJ_OK;
    }
    uint32_t cap = group->cap ? group->cap * 2 : MEMBERS_MIN;
    uint32_t had = (group->cap + WORD_BITS - 1) / WORD_BITS;
    uint32_t words = (cap + WORD_BITS - 1) / WORD_BITS;
    struct nj_member **members = nj_try_realloc(group->members, cap * sizeof(struct nj_member *));
    if (!members) {
        return NJ_ENOMEM;
    }
    group->members = members;
    if (words > had) {
        uint64_t *online = nj_try_realloc(group->online, words * sizeof(*online));
        if (!online) {
            return NJ_ENOMEM;
        }
        memset(online + had, 0, (words - had) * sizeof(*online));
        group->online = online;
    }
    group->cap = cap;
    return NJ_OK;
}

static void mark(struct nj_group *group, uint32_t place, bool is_online)
{
    uint64_t bit = (uint64_t)1 << place % WORD_BITS;
    uint64_t *word = &group->online[place / WORD_BITS];
    *word = is_online ? *word | bit : *word & ~bit;
}

enum nj_err nj_group_join(struct nj_groups *groups, struct nj_group *group,
                          const struct nj_member *what)
{
    struct nj_member *member = reserve(group) == NJ_OK ? nj_try_alloc(sizeof(*member)) : NULL;
    if (!member) {
        return NJ_ENOMEM;
    }
    *member = *what;
    member->group = group;
    member->place = group->count;
    uint64_t hash = member_hash(group, member->session);
    if (nj_index_add(&groups->members, &member->node, hash) != NJ_OK) {
        nj_free(member);
        return NJ_ENOMEM;
    }
    group->members[group->count++] = member;
    mark(group, member->place, member->is_online);
    group->clock++;
    return NJ_OK;
}

void nj_group_leave(struct nj_groups *groups, struct nj_member *member)
{
    struct nj_group *group = member->group;
    struct nj_member *last = group->members[--group->count];
    mark(group, group->count, false);
    if (last != member) {
        last->place = member->place;
        group->members[last->place] = last;
        mark(group, last->place, last->is_online);
    }
    group->clock++; /* the last one changed its place, or who was asked first is gone */
    nj_index_remove(&groups->members, &member->node);
    nj_free(member);
}

void nj_group_set_online(struct nj_member *member, bool is_online)
{
    if (member->is_online != is_online) {
        member->is_online = is_online;
        member->group->clock++;
        mark(member->group, member->place, is_online);
    }
}

/* ---- whose turn it is */

/* The first place in [from, end) that is wanted; `end` when there is none. */
static uint32_t first_in(const struct nj_group *group, uint32_t from, uint32_t end,
                         enum nj_wanted wanted)
{
    while (from < end && wanted != NJ_WANTED_ANY) {
        uint64_t word = group->online[from / WORD_BITS];
        word = (wanted == NJ_WANTED_ONLINE ? word : ~word) >> from % WORD_BITS;
        if (word) {
            from += (uint32_t)__builtin_ctzll(word);
            break;
        }
        from += WORD_BITS - from % WORD_BITS;
    }
    return from < end ? from : end;
}

struct nj_member *nj_group_next(const struct nj_groups *groups, const struct nj_group *group,
                                uint32_t from, uint64_t stop, enum nj_wanted wanted)
{
    uint32_t count = group->count;
    if (!count) {
        return NULL;
    }
    uint32_t start = from % count + 1;
    uint32_t place = first_in(group, start, count, wanted);
    if (place == count) {
        place = first_in(group, 0, start, wanted);
        if (place == start) {
            return NULL;
        }
    }
    const struct nj_member *end = stop ? nj_group_member(groups, group, stop) : NULL;
    /* Steps from `start` to each of them. */
    if (end && (end->place + count - start) % count <= (place + count - start) % count) {
        return NULL;
    }
    return group->members[place];
}
