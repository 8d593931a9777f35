/* Asking a principal. See dynsec_principal.h, and acl_check.c, whose walk this one resembles: depth
 * first, each node reached on one way only. Here the smallest rank decides
 * (docs/dynamic-security.md). */
#include "mqtt/topic.h"
#include "security/acl_priv.h"
#include "security/dynsec_trie_priv.h"

/* A step takes one place and puts at most four. */
#define STACK_MAX (3 * NJ_MQTT_LEVELS_MAX + 4)

struct level {
    struct nj_bytes text;
    uint64_t hash;
};

struct place {
    uint32_t node;
    uint32_t depth;
};

struct walk {
    const struct nj_dynsec_principal *principal;
    enum nj_dynsec_access access;
    struct nj_bytes user; /* that can fill a level, or ptr NULL */
    struct nj_bytes client_id;
    bool is_hidden; /* begins with '$' */
    struct nj_bytes rest;
    uint32_t level_count;
    uint32_t best; /* rank */
    struct level levels[NJ_MQTT_LEVELS_MAX];
};

/* A wildcard or a separator in a name would widen the pattern (L-017). */
static struct nj_bytes filling(struct nj_bytes name)
{
    bool is_plain = name.len && !memchr(name.ptr, '+', name.len) &&
                    !memchr(name.ptr, '#', name.len) && !memchr(name.ptr, '/', name.len);
    return is_plain ? name : nj_bytes(NULL, 0);
}

/* NULL behind the last level, and behind the deepest that a rule can have. */
static const struct level *level_at(struct walk *walk, uint32_t depth)
{
    if (depth < walk->level_count) {
        return &walk->levels[depth];
    }
    struct level *level = &walk->levels[depth];
    if (depth == NJ_MQTT_LEVELS_MAX || !nj_mqtt_next_level(&walk->rest, &level->text)) {
        return NULL;
    }
    level->hash = nj_acl_level_hash(level->text);
    walk->level_count++;
    return level;
}

static void meet(struct walk *walk, uint32_t rank)
{
    if (rank && (!walk->best || rank < walk->best)) {
        walk->best = rank;
    }
}

static uint32_t text_child(const struct nj_dynsec_principal *principal, uint32_t parent,
                           const struct level *level)
{
    const struct nj_dynsec_table *table = &principal->children;
    uint32_t hash = nj_acl_slot_hash(parent, level->hash);
    for (uint32_t at = hash & table->mask; table->slots[at].number; at = (at + 1) & table->mask) {
        const struct nj_dynsec_node *node = &principal->nodes[table->slots[at].number];
        if (table->slots[at].hash == hash && node->parent == parent &&
            node->level_len == level->text.len &&
            nj_acl_same(node->level, level->text.ptr, level->text.len)) {
            return table->slots[at].number;
        }
    }
    return 0;
}

static bool fills(struct nj_bytes name, const struct level *level)
{
    return name.ptr && nj_bytes_equal(name, level->text);
}

/* The children of a node that the next level leads to; returns the new height of the stack. */
static uint32_t descend(const struct walk *walk, struct place from, const struct level *level,
                        struct place *stack, uint32_t count)
{
    const struct nj_dynsec_node *node = &walk->principal->nodes[from.node];
    const uint32_t depth = from.depth + 1;
    uint32_t exact = text_child(walk->principal, from.node, level);
    stack[count] = (struct place){exact, depth};
    count += exact != 0;
    if (from.depth == 0 && walk->is_hidden) {
        return count; /* nothing but the text itself stands for $… */
    }
    stack[count] = (struct place){node->plus, depth};
    count += node->plus != 0;
    if (node->user && fills(walk->user, level)) {
        stack[count++] = (struct place){node->user, depth};
    }
    if (node->client && fills(walk->client_id, level)) {
        stack[count++] = (struct place){node->client, depth};
    }
    return count;
}

static void walk_patterns(struct walk *walk)
{
    struct place stack[STACK_MAX];
    uint32_t count = 1;
    stack[0] = (struct place){1, 0};
    while (count) {
        struct place place = stack[--count];
        const struct nj_dynsec_node *node = &walk->principal->nodes[place.node];
        const struct level *level = level_at(walk, place.depth);
        if (place.depth || !walk->is_hidden) {
            meet(walk, node->hash_rank[walk->access]); /* "a/#" covers "a", too */
        }
        if (!level) {
            if (!walk->rest.ptr) {
                meet(walk, node->rank[walk->access]);
            }
            continue;
        }
        /* A filter's own '#' asks for everything below: only a '#' gives that. */
        if (!nj_mqtt_level_is(level->text, '#')) {
            count = descend(walk, place, level, stack, count);
        }
    }
}

static void find_literal(struct walk *walk, struct nj_bytes filter)
{
    const struct nj_dynsec_principal *principal = walk->principal;
    const struct nj_dynsec_table *table = &principal->literals;
    bool is_subscribe = walk->access == NJ_DYNSEC_ACCESS_SUBSCRIBE;
    unsigned type = is_subscribe ? NJ_DYNSEC_SUBSCRIBE_LITERAL : NJ_DYNSEC_UNSUBSCRIBE_LITERAL;
    if (!table->slots) {
        return;
    }
    uint32_t hash = nj_dynsec_literal_hash(is_subscribe, nj_acl_level_hash(filter));
    for (uint32_t at = hash & table->mask; table->slots[at].number; at = (at + 1) & table->mask) {
        if (table->slots[at].hash != hash) {
            continue;
        }
        const struct nj_dynsec_acl *acl = nj_dynsec_rule_acl(principal, table->slots[at].number);
        if (acl->type == type && nj_bytes_equal(acl->topic, filter)) {
            meet(walk, table->slots[at].number);
        }
    }
}

struct nj_dynsec_answer nj_dynsec_principal_check(const struct nj_dynsec_principal *principal,
                                                  const struct nj_dynsec_question *question)
{
    struct walk walk;
    struct nj_bytes topic = question->topic;
    walk.principal = principal;
    walk.access = question->access;
    walk.user = filling(question->user);
    walk.client_id = filling(question->client_id);
    walk.is_hidden = topic.len && topic.ptr[0] == '$';
    walk.rest = topic;
    walk.level_count = 0;
    walk.best = 0;
    if (question->access == NJ_DYNSEC_ACCESS_SUBSCRIBE && nj_mqtt_filter_has_wildcard(topic)) {
        meet(&walk, principal->switch_rank);
    }
    if (question->access >= NJ_DYNSEC_ACCESS_SUBSCRIBE) {
        find_literal(&walk, topic);
    }
    walk_patterns(&walk);
    if (!walk.best) {
        return (struct nj_dynsec_answer){0};
    }
    const struct nj_dynsec_rule *rule = &principal->rules[walk.best];
    const struct nj_dynsec_role *role = principal->roles[rule->role];
    return (struct nj_dynsec_answer){
        .has_rule = true,
        .allowed = rule->acl != NJ_DYNSEC_ACL_SWITCH && role->acls[rule->acl].allow,
        .role_id = role->id,
        .acl = rule->acl,
    };
}
