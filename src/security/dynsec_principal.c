/* Finding and sharing principals. See dynsec_principal.h; dynsec_compile.c and dynsec_check.c do
 * the work. */
#include "security/dynsec_principal.h"

#include <pthread.h>

#include "base/mem.h"
#include "security/dynsec_trie_priv.h"

#define FIRST_BUCKETS 64
#define FEW_ROLES     64

/* Entries are weak: a principal leaves the table with its last reference. */
struct nj_dynsec_principals {
    _Atomic uint32_t refs;
    pthread_mutex_t lock; /* guards what follows, and the step of a principal's count to 0 */
    struct nj_dynsec_principal **buckets;
    size_t mask;
    size_t count;
};

struct nj_dynsec_principals *nj_dynsec_principals_new(void)
{
    struct nj_dynsec_principals *table = nj_zalloc(sizeof(*table));
    atomic_init(&table->refs, 1);
    (void)pthread_mutex_init(&table->lock, NULL);
    table->buckets = nj_zalloc(FIRST_BUCKETS * sizeof(*table->buckets));
    table->mask = FIRST_BUCKETS - 1;
    return table;
}

struct nj_dynsec_principals *nj_dynsec_principals_ref(struct nj_dynsec_principals *table)
{
    (void)atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void nj_dynsec_principals_unref(struct nj_dynsec_principals *table)
{
    if (table && atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) == 1) {
        (void)pthread_mutex_destroy(&table->lock);
        nj_free(table->buckets);
        nj_free(table);
    }
}

size_t nj_dynsec_principals_count(struct nj_dynsec_principals *table)
{
    (void)pthread_mutex_lock(&table->lock);
    size_t count = table->count;
    (void)pthread_mutex_unlock(&table->lock);
    return count;
}

/* ---- the roles of somebody, in order */

struct roles {
    const struct nj_dynsec_role **list;
    size_t count;
    size_t cap;
    const struct nj_dynsec_role *few[FEW_ROLES];
};

static enum nj_err roles_add(struct roles *roles, const struct nj_dynsec_state *state,
                             const struct nj_dynsec_ref *refs, uint32_t count)
{
    if (roles->count + count > roles->cap) {
        size_t cap = (roles->count + count) * 2;
        const struct nj_dynsec_role **list = nj_try_alloc(cap * sizeof(*list));
        if (!list) {
            return NJ_ENOMEM;
        }
        memcpy(list, roles->list, roles->count * sizeof(*list));
        if (roles->list != roles->few) {
            nj_free(roles->list);
        }
        roles->list = list;
        roles->cap = cap;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct nj_dynsec_role *role = nj_dynsec_role_by_id(state, refs[i].id);
        if (role) {
            roles->list[roles->count++] = role;
        }
    }
    return NJ_OK;
}

static enum nj_err roles_of_client(struct roles *roles, const struct nj_dynsec_state *state,
                                   const struct nj_dynsec_client *client)
{
    enum nj_err err = roles_add(roles, state, client->roles, client->role_count);
    for (uint32_t i = 0; i < client->group_count && err == NJ_OK; i++) {
        const struct nj_dynsec_group *group = nj_dynsec_group_by_id(state, client->groups[i].id);
        if (group) {
            err = roles_add(roles, state, group->roles, group->role_count);
        }
    }
    return err;
}

static enum nj_err roles_of(struct roles *roles, const struct nj_dynsec_state *state,
                            struct nj_bytes user, bool by_certificate, enum nj_dynsec_who *who)
{
    const struct nj_dynsec_client *client = user.ptr ? nj_dynsec_client(state, user) : NULL;
    uint32_t group_id = NJ_DYNSEC_NOBODY;
    if (client) {
        *who = NJ_DYNSEC_WHO_KNOWN;
        return roles_of_client(roles, state, client);
    }
    if (!user.ptr) {
        *who = NJ_DYNSEC_WHO_ANONYMOUS;
        group_id = state->anonymous_group;
    } else if (by_certificate && state->certificate_group != NJ_DYNSEC_NOBODY) {
        *who = NJ_DYNSEC_WHO_CERTIFICATE;
        group_id = state->certificate_group;
    } else {
        *who = NJ_DYNSEC_WHO_UNKNOWN;
    }
    const struct nj_dynsec_group *group =
        group_id == NJ_DYNSEC_NOBODY ? NULL : nj_dynsec_group_by_id(state, group_id);
    return group ? roles_add(roles, state, group->roles, group->role_count) : NJ_OK;
}

/* ---- the table */

static uint64_t hash_of(const struct roles *roles)
{
    uint64_t hash = roles->count;
    for (size_t i = 0; i < roles->count; i++) {
        hash = (hash ^ (uint64_t)(uintptr_t)roles->list[i]) * 0x9e3779b97f4a7c15ull;
        hash ^= hash >> 29;
    }
    return hash;
}

static bool is_of(const struct nj_dynsec_principal *principal, const struct roles *roles)
{
    return principal->role_count == roles->count &&
           memcmp(principal->roles, roles->list, roles->count * sizeof(*roles->list)) == 0;
}

static struct nj_dynsec_principal *find_locked(struct nj_dynsec_principals *table, uint64_t hash,
                                               const struct roles *roles)
{
    struct nj_dynsec_principal *at = table->buckets[hash & table->mask];
    while (at && (at->hash != hash || !is_of(at, roles))) {
        at = at->next;
    }
    if (at) {
        (void)atomic_fetch_add_explicit(&at->refs, 1, memory_order_relaxed);
    }
    return at;
}

static void grow_locked(struct nj_dynsec_principals *table)
{
    size_t size = (table->mask + 1) * 2;
    struct nj_dynsec_principal **buckets = nj_try_zalloc(size * sizeof(*buckets));
    if (!buckets) {
        return; /* longer chains, then */
    }
    for (size_t i = 0; i <= table->mask; i++) {
        for (struct nj_dynsec_principal *at = table->buckets[i], *next; at; at = next) {
            next = at->next;
            at->next = buckets[at->hash & (size - 1)];
            buckets[at->hash & (size - 1)] = at;
        }
    }
    nj_free(table->buckets);
    table->buckets = buckets;
    table->mask = size - 1;
}

static void add_locked(struct nj_dynsec_principals *table, struct nj_dynsec_principal *principal)
{
    if (table->count++ > table->mask) {
        grow_locked(table);
    }
    principal->next = table->buckets[principal->hash & table->mask];
    table->buckets[principal->hash & table->mask] = principal;
}

static void remove_locked(struct nj_dynsec_principals *table, struct nj_dynsec_principal *principal)
{
    struct nj_dynsec_principal **at = &table->buckets[principal->hash & table->mask];
    while (*at != principal) {
        at = &(*at)->next;
    }
    *at = principal->next;
    table->count--;
}

/* ---- life */

static void destroy(struct nj_dynsec_principal *principal)
{
    nj_dynsec_compiled_fini(principal);
    for (uint32_t i = 0; i < principal->role_count; i++) {
        nj_dynsec_roles_type.unref(principal->roles[i]);
    }
    nj_dynsec_principals_unref(principal->table);
    nj_free(principal);
}

void nj_dynsec_principal_unref(struct nj_dynsec_principal *principal)
{
    if (!principal) {
        return;
    }
    /* Not the last reference: no lock. The last one goes under it, so that nobody finds it then. */
    uint32_t refs = atomic_load_explicit(&principal->refs, memory_order_relaxed);
    while (refs > 1) {
        if (atomic_compare_exchange_weak_explicit(&principal->refs, &refs, refs - 1,
                                                  memory_order_release, memory_order_relaxed)) {
            return;
        }
    }
    struct nj_dynsec_principals *table = principal->table;
    (void)pthread_mutex_lock(&table->lock);
    bool is_last = atomic_fetch_sub_explicit(&principal->refs, 1, memory_order_acq_rel) == 1;
    if (is_last) {
        remove_locked(table, principal);
    }
    (void)pthread_mutex_unlock(&table->lock);
    if (is_last) {
        destroy(principal);
    }
}

static struct nj_dynsec_principal *make(struct nj_dynsec_principals *table, uint64_t hash,
                                        const struct roles *roles)
{
    struct nj_dynsec_principal *principal =
        nj_try_zalloc(sizeof(*principal) + roles->count * sizeof(principal->roles[0]));
    if (!principal) {
        return NULL;
    }
    atomic_init(&principal->refs, 1);
    principal->table = nj_dynsec_principals_ref(table);
    principal->hash = hash;
    principal->role_count = (uint32_t)roles->count;
    for (size_t i = 0; i < roles->count; i++) {
        principal->roles[i] = nj_dynsec_roles_type.ref((void *)roles->list[i]);
    }
    if (nj_dynsec_compile(principal) != NJ_OK) {
        destroy(principal);
        return NULL;
    }
    return principal;
}

/* Compiled outside the lock; when two do it at once, one of both is thrown away. */
static struct nj_dynsec_principal *find_or_make(struct nj_dynsec_principals *table,
                                                const struct roles *roles)
{
    uint64_t hash = hash_of(roles);
    (void)pthread_mutex_lock(&table->lock);
    struct nj_dynsec_principal *found = find_locked(table, hash, roles);
    (void)pthread_mutex_unlock(&table->lock);
    if (found) {
        return found;
    }
    struct nj_dynsec_principal *made = make(table, hash, roles);
    if (!made) {
        return NULL;
    }
    (void)pthread_mutex_lock(&table->lock);
    found = find_locked(table, hash, roles);
    if (!found) {
        add_locked(table, made);
    }
    (void)pthread_mutex_unlock(&table->lock);
    if (found) {
        destroy(made);
    }
    return found ? found : made;
}

enum nj_err nj_dynsec_principal_refresh(const struct nj_dynsec_state *state, struct nj_bytes user,
                                        bool by_certificate, struct nj_dynsec_principal **principal,
                                        enum nj_dynsec_who *who)
{
    struct roles roles;
    roles.list = roles.few;
    roles.count = 0;
    roles.cap = FEW_ROLES;
    enum nj_err err = roles_of(&roles, state, user, by_certificate, who);
    struct nj_dynsec_principal *old = *principal;
    if (err != NJ_OK || !old || !is_of(old, &roles)) {
        *principal = NULL;
        if (err == NJ_OK && roles.count) {
            *principal = find_or_make(state->principals, &roles);
            err = *principal ? NJ_OK : NJ_ENOMEM;
        }
        nj_dynsec_principal_unref(old);
    }
    if (roles.list != roles.few) {
        nj_free(roles.list);
    }
    return err;
}

size_t nj_dynsec_principal_role_count(const struct nj_dynsec_principal *principal)
{
    return principal ? principal->role_count : 0;
}

const struct nj_dynsec_role *nj_dynsec_principal_role(const struct nj_dynsec_principal *principal,
                                                      size_t place)
{
    return principal->roles[place];
}
