/* See dynsec_model.h. */
#include "security/dynsec_model.h"

#include <stdlib.h>

#include "base/mem.h"
#include "security/dynsec_principal.h"

static const char *const acl_type_names[NJ_DYNSEC_ACL_TYPE_COUNT] = {
    [NJ_DYNSEC_SEND] = "publishClientSend",
    [NJ_DYNSEC_RECEIVE] = "publishClientReceive",
    [NJ_DYNSEC_SUBSCRIBE_LITERAL] = "subscribeLiteral",
    [NJ_DYNSEC_SUBSCRIBE_PATTERN] = "subscribePattern",
    [NJ_DYNSEC_UNSUBSCRIBE_LITERAL] = "unsubscribeLiteral",
    [NJ_DYNSEC_UNSUBSCRIBE_PATTERN] = "unsubscribePattern",
};

static const char *const access_names[NJ_DYNSEC_ACCESS_COUNT] = {
    [NJ_DYNSEC_ACCESS_SEND] = "publishClientSend",
    [NJ_DYNSEC_ACCESS_RECEIVE] = "publishClientReceive",
    [NJ_DYNSEC_ACCESS_SUBSCRIBE] = "subscribe",
    [NJ_DYNSEC_ACCESS_UNSUBSCRIBE] = "unsubscribe",
};

/* In any case of letters, as the original. -1 when it is not there. */
static int find_name(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++) {
        if (strcasecmp(names[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

const char *nj_dynsec_acl_type_name(enum nj_dynsec_acl_type type)
{
    return acl_type_names[type];
}

bool nj_dynsec_acl_type_find(const char *name, enum nj_dynsec_acl_type *out)
{
    int at = find_name(acl_type_names, NJ_DYNSEC_ACL_TYPE_COUNT, name);
    *out = at < 0 ? *out : (enum nj_dynsec_acl_type)at;
    return at >= 0;
}

const char *nj_dynsec_access_name(enum nj_dynsec_access access)
{
    return access_names[access];
}

bool nj_dynsec_access_find(const char *name, enum nj_dynsec_access *out)
{
    int at = find_name(access_names, NJ_DYNSEC_ACCESS_COUNT, name);
    *out = at < 0 ? *out : (enum nj_dynsec_access)at;
    return at >= 0;
}

/* ---- reference counts */

static void *take(_Atomic uint32_t *refs, void *item)
{
    (void)atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
    return item;
}

static bool is_last(_Atomic uint32_t *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void *client_ref(void *item)
{
    return take(&((struct nj_dynsec_client *)item)->refs, item);
}

static void client_unref(void *item)
{
    struct nj_dynsec_client *client = item;
    if (is_last(&client->refs)) {
        nj_wipe((void *)client->hash.ptr, client->hash.len);
        nj_free(client);
    }
}

static void *group_ref(void *item)
{
    return take(&((struct nj_dynsec_group *)item)->refs, item);
}

static void group_unref(void *item)
{
    struct nj_dynsec_group *group = item;
    if (is_last(&group->refs)) {
        nj_pmap_fini(&group->members);
        nj_free(group);
    }
}

static void *role_ref(void *item)
{
    return take(&((struct nj_dynsec_role *)item)->refs, item);
}

static void role_unref(void *item)
{
    struct nj_dynsec_role *role = item;
    if (is_last(&role->refs)) {
        nj_free(role);
    }
}

static void *member_ref(void *item)
{
    return take(&((struct nj_dynsec_member *)item)->refs, item);
}

static void member_unref(void *item)
{
    struct nj_dynsec_member *member = item;
    if (is_last(&member->refs)) {
        nj_free(member);
    }
}

/* ---- keys */

static struct nj_bytes client_key(const void *item)
{
    return ((const struct nj_dynsec_client *)item)->name;
}

static struct nj_bytes group_key(const void *item)
{
    return ((const struct nj_dynsec_group *)item)->name;
}

static struct nj_bytes role_key(const void *item)
{
    return ((const struct nj_dynsec_role *)item)->name;
}

/* A number as it lies in memory: any order will do. */
static struct nj_bytes id_key(const uint32_t *id)
{
    return nj_bytes(id, sizeof(*id));
}

static struct nj_bytes group_id_key(const void *item)
{
    return id_key(&((const struct nj_dynsec_group *)item)->id);
}

static struct nj_bytes role_id_key(const void *item)
{
    return id_key(&((const struct nj_dynsec_role *)item)->id);
}

static struct nj_bytes member_key(const void *item)
{
    const struct nj_dynsec_member *member = item;
    return nj_bytes(member->name, member->name_len);
}

const struct nj_pmap_type nj_dynsec_clients_type = {client_key, client_ref, client_unref};
const struct nj_pmap_type nj_dynsec_groups_type = {group_key, group_ref, group_unref};
const struct nj_pmap_type nj_dynsec_roles_type = {role_key, role_ref, role_unref};
const struct nj_pmap_type nj_dynsec_group_ids_type = {group_id_key, group_ref, group_unref};
const struct nj_pmap_type nj_dynsec_role_ids_type = {role_id_key, role_ref, role_unref};
const struct nj_pmap_type nj_dynsec_members_type = {member_key, member_ref, member_unref};

/* ---- states */

struct nj_dynsec_state *nj_dynsec_state_new(struct nj_dynsec_principals *principals)
{
    struct nj_dynsec_state *state = nj_try_zalloc(sizeof(*state));
    if (!state) {
        return NULL;
    }
    atomic_init(&state->refs, 1);
    state->rules_version = 1;
    state->identity_version = 1;
    state->defaults[NJ_DYNSEC_ACCESS_RECEIVE] = true;
    state->defaults[NJ_DYNSEC_ACCESS_UNSUBSCRIBE] = true;
    state->next_id = NJ_DYNSEC_NOBODY + 1;
    state->next_credential = NJ_DYNSEC_CREDENTIAL_MIN;
    nj_pmap_init(&state->clients, &nj_dynsec_clients_type);
    nj_pmap_init(&state->groups, &nj_dynsec_groups_type);
    nj_pmap_init(&state->roles, &nj_dynsec_roles_type);
    nj_pmap_init(&state->group_ids, &nj_dynsec_group_ids_type);
    nj_pmap_init(&state->role_ids, &nj_dynsec_role_ids_type);
    state->principals = nj_dynsec_principals_ref(principals);
    return state;
}

struct nj_dynsec_state *nj_dynsec_state_copy(const struct nj_dynsec_state *state)
{
    struct nj_dynsec_state *copy = nj_try_alloc(sizeof(*copy));
    if (!copy) {
        return NULL;
    }
    memcpy(copy, state, sizeof(*copy));
    atomic_init(&copy->refs, 1);
    copy->clients = nj_pmap_copy(&state->clients);
    copy->groups = nj_pmap_copy(&state->groups);
    copy->roles = nj_pmap_copy(&state->roles);
    copy->group_ids = nj_pmap_copy(&state->group_ids);
    copy->role_ids = nj_pmap_copy(&state->role_ids);
    copy->principals = nj_dynsec_principals_ref(state->principals);
    return copy;
}

struct nj_dynsec_state *nj_dynsec_state_ref(struct nj_dynsec_state *state)
{
    return take(&state->refs, state);
}

void nj_dynsec_state_unref(struct nj_dynsec_state *state)
{
    if (!state || !is_last(&state->refs)) {
        return;
    }
    nj_pmap_fini(&state->clients);
    nj_pmap_fini(&state->groups);
    nj_pmap_fini(&state->roles);
    nj_pmap_fini(&state->group_ids);
    nj_pmap_fini(&state->role_ids);
    nj_dynsec_principals_unref(state->principals);
    nj_free(state);
}

bool nj_dynsec_identity_changes(const struct nj_dynsec_state *old,
                                const struct nj_dynsec_state *fresh,
                                uint64_t names[NJ_DYNSEC_RECENT], unsigned *count)
{
    *count = 0;
    if (fresh->identity_version - old->identity_version > NJ_DYNSEC_RECENT) {
        return false;
    }
    for (uint64_t at = old->identity_version + 1; at <= fresh->identity_version; at++) {
        uint64_t name = fresh->recent[at % NJ_DYNSEC_RECENT];
        if (name == NJ_DYNSEC_EVERYBODY) {
            return false;
        }
        names[(*count)++] = name;
    }
    return true;
}

/* ---- looking up */

const struct nj_dynsec_client *nj_dynsec_client(const struct nj_dynsec_state *state,
                                                struct nj_bytes name)
{
    return nj_pmap_get(&state->clients, name);
}

const struct nj_dynsec_group *nj_dynsec_group(const struct nj_dynsec_state *state,
                                              struct nj_bytes name)
{
    return nj_pmap_get(&state->groups, name);
}

const struct nj_dynsec_role *nj_dynsec_role(const struct nj_dynsec_state *state,
                                            struct nj_bytes name)
{
    return nj_pmap_get(&state->roles, name);
}

const struct nj_dynsec_group *nj_dynsec_group_by_id(const struct nj_dynsec_state *state,
                                                    uint32_t id)
{
    return nj_pmap_get(&state->group_ids, id_key(&id));
}

const struct nj_dynsec_role *nj_dynsec_role_by_id(const struct nj_dynsec_state *state, uint32_t id)
{
    return nj_pmap_get(&state->role_ids, id_key(&id));
}

int nj_dynsec_ref_find(const struct nj_dynsec_ref *refs, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (refs[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

static int compare_places(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

enum nj_err nj_dynsec_refs_unique(struct nj_dynsec_ref *refs, uint32_t *count)
{
    uint32_t total = *count;
    uint32_t kept = 0;
    /* Number and place: sorted, the first of each number comes first. */
    uint64_t *places = nj_try_alloc((total + 1) * sizeof(*places));
    bool *is_twice = nj_try_zalloc(total + 1);
    if (!places || !is_twice) {
        nj_free(places);
        nj_free(is_twice);
        return NJ_ENOMEM;
    }
    for (uint32_t i = 0; i < total; i++) {
        places[i] = (uint64_t)refs[i].id << 32 | i;
    }
    qsort(places, total, sizeof(*places), compare_places);
    for (uint32_t i = 1; i < total; i++) {
        is_twice[(uint32_t)places[i]] = places[i] >> 32 == places[i - 1] >> 32;
    }
    for (uint32_t i = 0; i < total; i++) {
        if (!is_twice[i]) {
            refs[kept++] = refs[i];
        }
    }
    nj_free(places);
    nj_free(is_twice);
    *count = kept;
    return NJ_OK;
}

int nj_dynsec_acl_find(const struct nj_dynsec_role *role, enum nj_dynsec_acl_type type,
                       struct nj_bytes topic)
{
    for (uint32_t i = 0; i < role->acl_count; i++) {
        if (role->acls[i].type == type && nj_bytes_equal(role->acls[i].topic, topic)) {
            return (int)i;
        }
    }
    return -1;
}

bool nj_dynsec_client_has_role(const struct nj_dynsec_state *state,
                               const struct nj_dynsec_client *client, uint32_t role_id)
{
    if (nj_dynsec_ref_find(client->roles, client->role_count, role_id) >= 0) {
        return true;
    }
    for (uint32_t i = 0; i < client->group_count; i++) {
        const struct nj_dynsec_group *group = nj_dynsec_group_by_id(state, client->groups[i].id);
        if (group && nj_dynsec_ref_find(group->roles, group->role_count, role_id) >= 0) {
            return true;
        }
    }
    return false;
}

bool nj_dynsec_role_may_control(const struct nj_dynsec_role *role)
{
    const struct nj_bytes top = NJ_BYTES_LIT("$CONTROL");
    for (uint32_t i = 0; i < role->acl_count; i++) {
        struct nj_bytes topic = role->acls[i].topic;
        if (role->acls[i].allow && nj_bytes_starts_with(topic, top) &&
            (topic.len == top.len || topic.ptr[top.len] == '/')) {
            return true;
        }
    }
    return false;
}

bool nj_dynsec_roles_may_control(const struct nj_dynsec_state *state,
                                 const struct nj_dynsec_ref *roles, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct nj_dynsec_role *role = nj_dynsec_role_by_id(state, roles[i].id);
        if (role && nj_dynsec_role_may_control(role)) {
            return true;
        }
    }
    return false;
}

bool nj_dynsec_client_may_control(const struct nj_dynsec_state *state,
                                  const struct nj_dynsec_client *client)
{
    if (nj_dynsec_roles_may_control(state, client->roles, client->role_count)) {
        return true;
    }
    for (uint32_t i = 0; i < client->group_count; i++) {
        const struct nj_dynsec_group *group = nj_dynsec_group_by_id(state, client->groups[i].id);
        if (group && nj_dynsec_roles_may_control(state, group->roles, group->role_count)) {
            return true;
        }
    }
    return false;
}

/* ---- making records: the struct, its arrays, then its texts, in one block */

static size_t texts_size(const struct nj_bytes *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += texts[i].len;
    }
    return size;
}

static struct nj_bytes put_text(char **at, struct nj_bytes text)
{
    if (!text.ptr) {
        return text;
    }
    /* Never NULL, because an empty text that was given is not one that was not. */
    const char *start = *at;
    if (text.len) {
        memcpy(*at, text.ptr, text.len);
    }
    *at += text.len;
    return nj_bytes(start, text.len);
}

static const struct nj_dynsec_ref *put_refs(char **at, const struct nj_dynsec_ref *refs,
                                            uint32_t count)
{
    void *start = *at;
    if (count) {
        memcpy(start, refs, count * sizeof(*refs));
    }
    *at += count * sizeof(*refs);
    return start;
}

struct nj_dynsec_role *nj_dynsec_role_make(const struct nj_dynsec_role *from)
{
    const struct nj_bytes texts[] = {from->name, from->text_name, from->text_description};
    size_t size = sizeof(*from) + from->acl_count * sizeof(*from->acls) + texts_size(texts, 3);
    for (uint32_t i = 0; i < from->acl_count; i++) {
        size += from->acls[i].topic.len;
    }
    /* One byte more, so that an empty text at the end has a place. */
    struct nj_dynsec_role *role = nj_try_alloc(size + 1);
    if (!role) {
        return NULL;
    }
    struct nj_dynsec_acl *acls = (struct nj_dynsec_acl *)(role + 1);
    char *at = (char *)(acls + from->acl_count);
    atomic_init(&role->refs, 1);
    role->id = from->id;
    role->allow_wildcard_subs = from->allow_wildcard_subs;
    role->acl_count = from->acl_count;
    role->acls = acls;
    role->name = put_text(&at, from->name);
    role->text_name = put_text(&at, from->text_name);
    role->text_description = put_text(&at, from->text_description);
    for (uint32_t i = 0; i < from->acl_count; i++) {
        acls[i] = from->acls[i];
        acls[i].topic = put_text(&at, from->acls[i].topic);
    }
    return role;
}

struct nj_dynsec_group *nj_dynsec_group_make(const struct nj_dynsec_group *from)
{
    const struct nj_bytes texts[] = {from->name, from->text_name, from->text_description};
    struct nj_dynsec_group *group = nj_try_alloc(
        sizeof(*group) + from->role_count * sizeof(*from->roles) + texts_size(texts, 3) + 1);
    if (!group) {
        return NULL;
    }
    char *at = (char *)(group + 1);
    atomic_init(&group->refs, 1);
    group->id = from->id;
    group->members = nj_pmap_copy(&from->members);
    group->role_count = from->role_count;
    group->roles = put_refs(&at, from->roles, from->role_count);
    group->name = put_text(&at, from->name);
    group->text_name = put_text(&at, from->text_name);
    group->text_description = put_text(&at, from->text_description);
    return group;
}

struct nj_dynsec_client *nj_dynsec_client_make(const struct nj_dynsec_client *from)
{
    const struct nj_bytes texts[] = {from->name, from->client_id, from->text_name,
                                     from->text_description, from->hash};
    size_t refs = (size_t)from->role_count + from->group_count;
    struct nj_dynsec_client *client = nj_try_alloc(
        sizeof(*client) + refs * sizeof(struct nj_dynsec_ref) + texts_size(texts, 5) + 1);
    if (!client) {
        return NULL;
    }
    char *at = (char *)(client + 1);
    atomic_init(&client->refs, 1);
    client->is_disabled = from->is_disabled;
    client->may_use_certificate = from->may_use_certificate;
    client->credential = from->credential;
    client->role_count = from->role_count;
    client->group_count = from->group_count;
    client->roles = put_refs(&at, from->roles, from->role_count);
    client->groups = put_refs(&at, from->groups, from->group_count);
    client->name = put_text(&at, from->name);
    client->client_id = put_text(&at, from->client_id);
    client->text_name = put_text(&at, from->text_name);
    client->text_description = put_text(&at, from->text_description);
    client->hash = put_text(&at, from->hash);
    return client;
}

struct nj_dynsec_member *nj_dynsec_member_make(struct nj_bytes name, int32_t priority)
{
    struct nj_dynsec_member *member = nj_try_alloc(sizeof(*member) + name.len);
    if (member) {
        atomic_init(&member->refs, 1);
        member->priority = priority;
        member->name_len = (uint32_t)name.len;
        memcpy(member->name, name.ptr, name.len);
    }
    return member;
}
