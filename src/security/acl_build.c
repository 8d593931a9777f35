/* Makes the compiled form of an ACL; see acl_priv.h. Everything here is sized by the operator's
 * file, not by a peer. */
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_priv.h"

#define FIRST_BUCKETS 64
#define FIRST_ITEMS   16

/* Room for one more in an array whose item 0 is not used. Returns its number. */
static uint32_t append(void **items, uint32_t *count, uint32_t *cap, size_t size)
{
    if (*count + 1 >= *cap) {
        uint32_t old = *cap;
        *cap = old ? old * 2 : FIRST_ITEMS;
        *items = nj_realloc(*items, *cap * size);
        memset((uint8_t *)*items + old * size, 0, (*cap - old) * size);
    }
    return ++*count;
}

#define APPEND(items, count, cap)                                                                  \
    append((void **)(void *)&(items), &(count), &(cap), sizeof(*(items)))

static uint32_t node_new(struct nj_acl *acl, uint32_t parent)
{
    uint32_t at = APPEND(acl->nodes, acl->node_count, acl->node_cap);
    acl->nodes[at].parent = parent;
    return at;
}

static void slot_put(struct nj_acl *acl, uint32_t hash, uint32_t node)
{
    uint32_t at = hash & acl->slot_mask;
    while (acl->slots[at].node) {
        at = (at + 1) & acl->slot_mask;
    }
    acl->slots[at] = (struct nj_acl_slot){.hash = hash, .node = node};
}

static void grow_slots(struct nj_acl *acl)
{
    struct nj_acl_slot *old = acl->slots;
    uint32_t old_size = old ? acl->slot_mask + 1 : 0;
    uint32_t size = old ? old_size * 2 : FIRST_BUCKETS;
    acl->slots = nj_zalloc(size * sizeof(*acl->slots));
    acl->slot_mask = size - 1;
    for (uint32_t i = 0; i < old_size; i++) {
        if (old[i].node) {
            slot_put(acl, old[i].hash, old[i].node);
        }
    }
    nj_free(old);
}

static uint32_t text_child(struct nj_acl *acl, uint32_t parent, struct nj_bytes level)
{
    uint64_t hash = nj_acl_level_hash(level);
    uint32_t at = nj_acl_child(acl, parent, level, hash);
    if (at) {
        return at;
    }
    at = node_new(acl, parent);
    struct nj_acl_node *node = &acl->nodes[at];
    node->level_at = (uint32_t)(level.ptr - acl->text.data);
    node->level_len = (uint16_t)level.len;
    node->next_sibling = acl->nodes[parent].first_child;
    acl->nodes[parent].first_child = at;
    slot_put(acl, nj_acl_slot_hash(parent, hash), at);
    if (++acl->slot_count > acl->slot_mask / 2) {
        grow_slots(acl);
    }
    return at;
}

/* The child that is no text; its number stands in `special` at `offset`. */
static uint32_t special_child(struct nj_acl *acl, uint32_t parent, size_t offset)
{
    if (!acl->nodes[parent].special) {
        acl->nodes[parent].special = APPEND(acl->specials, acl->special_count, acl->special_cap);
    }
    struct nj_acl_special *special = &acl->specials[acl->nodes[parent].special];
    uint32_t *field = (uint32_t *)(void *)((uint8_t *)special + offset);
    if (!*field) {
        *field = node_new(acl, parent);
    }
    return *field;
}

static uint32_t step(struct nj_acl *acl, uint32_t node, struct nj_bytes level, bool is_pattern)
{
    if (nj_mqtt_level_is(level, '+')) {
        return special_child(acl, node, offsetof(struct nj_acl_special, plus));
    }
    if (nj_mqtt_level_is(level, '#')) {
        return special_child(acl, node, offsetof(struct nj_acl_special, hash));
    }
    if (is_pattern && nj_bytes_equal(level, NJ_BYTES_LIT("%u"))) {
        return special_child(acl, node, offsetof(struct nj_acl_special, user));
    }
    if (is_pattern && nj_bytes_equal(level, NJ_BYTES_LIT("%c"))) {
        return special_child(acl, node, offsetof(struct nj_acl_special, client));
    }
    return text_child(acl, node, level);
}

uint32_t nj_acl_build_rule(struct nj_acl *acl, uint32_t line, struct nj_bytes text)
{
    uint32_t at = APPEND(acl->rules, acl->rule_count, acl->rule_cap);
    acl->rules[at] = (struct nj_acl_rule){
        .line = line,
        .text_at = (uint32_t)(text.ptr - acl->text.data),
        .text_len = (uint32_t)text.len,
    };
    return at;
}

struct nj_acl_user *nj_acl_user_of(const struct nj_acl *acl, uint32_t root)
{
    uint32_t low = 1;
    uint32_t high = acl->user_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (acl->users[middle].root < root) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return &acl->users[low];
}

/* The sum of the list that begins at `root`. */
static uint64_t *digest_of(struct nj_acl *acl, uint32_t root)
{
    if (root == acl->leading_root) {
        return &acl->leading_digest;
    }
    if (root == acl->pattern_root) {
        return &acl->pattern_digest;
    }
    return &nj_acl_user_of(acl, root)->digest;
}

static void set_first(uint32_t *field, uint32_t rule, uint64_t *digest, uint64_t hash)
{
    if (!*field) {
        *field = rule;
        *digest += (hash ^ hash >> 32) * 0x9e3779b97f4a7c15ull;
    }
}

void nj_acl_build_add(struct nj_acl *acl, uint32_t root, unsigned access, struct nj_bytes topic,
                      uint32_t rule)
{
    bool is_pattern = root == acl->pattern_root;
    uint32_t at = root;
    uint64_t hash = nj_hash_bytes(topic);
    struct nj_bytes level;
    acl->rules[rule].root = root;
    acl->rules[rule].access = (uint8_t)access;
    acl->rules[rule].topic_at = (uint32_t)(topic.ptr - acl->text.data);
    acl->rules[rule].topic_len = (uint32_t)topic.len;
    while (nj_mqtt_next_level(&topic, &level)) {
        at = step(acl, at, level, is_pattern);
    }
    struct nj_acl_node *node = &acl->nodes[at];
    uint64_t *digest = digest_of(acl, root);
    if (access & NJ_ACL_DENY) {
        set_first(&node->deny, rule, digest, hash + NJ_ACL_DENY);
    }
    if (access & NJ_ACL_READ) {
        set_first(&node->read, rule, digest, hash + NJ_ACL_READ);
    }
    if (access & NJ_ACL_WRITE) {
        set_first(&node->write, rule, digest, hash + NJ_ACL_WRITE);
    }
}

/* ---- users */

static uint32_t user_bucket(const struct nj_acl *acl, struct nj_bytes name)
{
    return (uint32_t)nj_hash_bytes(name) & acl->user_mask;
}

static struct nj_bytes user_name(const struct nj_acl *acl, const struct nj_acl_user *user)
{
    return nj_bytes(acl->text.data + user->name_at, user->name_len);
}

static const struct nj_acl_user *find_user(const struct nj_acl *acl, struct nj_bytes name)
{
    uint32_t at = acl->user_buckets[user_bucket(acl, name)];
    while (at && !nj_bytes_equal(user_name(acl, &acl->users[at]), name)) {
        at = acl->users[at].bucket_next;
    }
    return at ? &acl->users[at] : NULL;
}

uint32_t nj_acl_user_list(const struct nj_acl *acl, struct nj_bytes user)
{
    const struct nj_acl_user *found = user.ptr ? find_user(acl, user) : NULL;
    return found ? found->root : NJ_ACL_NO_LIST;
}

bool nj_acl_same_rights(const struct nj_acl *a, const struct nj_acl *b, struct nj_bytes user,
                        struct nj_bytes client_id)
{
    const struct nj_acl *acls[2] = {a, b};
    uint64_t digests[2][3] = {{0}};
    for (int i = 0; i < 2; i++) {
        const struct nj_acl *acl = acls[i];
        const struct nj_acl_user *own = user.ptr ? find_user(acl, user) : NULL;
        const struct nj_acl_query query = {.user = user, .client_id = client_id};
        uint32_t lists[3];
        nj_acl_lists(acl, &query, lists);
        digests[i][0] = own ? own->digest : 0;
        digests[i][1] = lists[1] ? acl->leading_digest : 0;
        digests[i][2] = lists[2] ? acl->pattern_digest : 0;
    }
    return memcmp(digests[0], digests[1], sizeof(digests[0])) == 0;
}

static void link_user(struct nj_acl *acl, uint32_t at)
{
    uint32_t bucket = user_bucket(acl, user_name(acl, &acl->users[at]));
    acl->users[at].bucket_next = acl->user_buckets[bucket];
    acl->user_buckets[bucket] = at;
}

static void grow_users(struct nj_acl *acl)
{
    uint32_t size = acl->user_buckets ? (acl->user_mask + 1) * 2 : FIRST_BUCKETS;
    nj_free(acl->user_buckets);
    acl->user_buckets = nj_zalloc(size * sizeof(uint32_t));
    acl->user_mask = size - 1;
    for (uint32_t i = 1; i <= acl->user_count; i++) {
        link_user(acl, i);
    }
}

/* Blocks of the same user are one list. */
uint32_t nj_acl_build_user(struct nj_acl *acl, struct nj_bytes name)
{
    const struct nj_acl_user *old = find_user(acl, name);
    if (old) {
        return old->root;
    }
    uint32_t root = node_new(acl, 0);
    uint32_t at = APPEND(acl->users, acl->user_count, acl->user_cap);
    acl->users[at] = (struct nj_acl_user){
        .name_at = (uint32_t)(name.ptr - acl->text.data),
        .name_len = (uint32_t)name.len,
        .root = root,
    };
    link_user(acl, at);
    if (acl->user_count > acl->user_mask) {
        grow_users(acl);
    }
    return root;
}

/* ---- begin and end */

void nj_acl_build_init(struct nj_acl *acl)
{
    grow_slots(acl);
    grow_users(acl);
    acl->specials = nj_zalloc(FIRST_ITEMS * sizeof(*acl->specials));
    acl->special_cap = FIRST_ITEMS;
    acl->leading_root = node_new(acl, 0);
    acl->pattern_root = node_new(acl, 0);
}

/* What `below` of a child means for its parent when the child is to be filled with the user's name
 * (or the client id). */
static uint8_t with_user(uint8_t below)
{
    return (uint8_t)(((below & NJ_ACL_BELOW_PLAIN) ? NJ_ACL_BELOW_USER : 0) |
                     (below & NJ_ACL_BELOW_USER) |
                     ((below & (NJ_ACL_BELOW_CLIENT | NJ_ACL_BELOW_BOTH)) ? NJ_ACL_BELOW_BOTH : 0));
}

static uint8_t with_client(uint8_t below)
{
    return (uint8_t)(((below & NJ_ACL_BELOW_PLAIN) ? NJ_ACL_BELOW_CLIENT : 0) |
                     (below & NJ_ACL_BELOW_CLIENT) |
                     ((below & (NJ_ACL_BELOW_USER | NJ_ACL_BELOW_BOTH)) ? NJ_ACL_BELOW_BOTH : 0));
}

void nj_acl_build_finish(struct nj_acl *acl)
{
    /* Children come after their parents, so one pass from the end sees them complete. */
    for (uint32_t i = acl->node_count; i > 0; i--) {
        struct nj_acl_node *node = &acl->nodes[i];
        struct nj_acl_node *parent = &acl->nodes[node->parent]; /* of a root: [0], for nothing */
        const struct nj_acl_special *siblings = &acl->specials[parent->special];
        node->below |= node->read ? NJ_ACL_BELOW_PLAIN : 0;
        parent->below |= i == siblings->user     ? with_user(node->below)
                         : i == siblings->client ? with_client(node->below)
                                                 : node->below;
    }
    acl->nodes[0].below = 0;
}
