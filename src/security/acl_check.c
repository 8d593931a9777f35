/* Asking a compiled ACL about a topic name. See acl.h and acl_priv.h.
 *
 * Depth first with a stack of its own. Each node is reached on one way only, so a walk touches at
 * most the nodes whose rules begin like the topic. */
#include "base/err.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_priv.h"

/* A step takes one place and puts at most four, and there are NJ_MQTT_LEVELS_MAX steps down. */
#define STACK_MAX (3 * NJ_MQTT_LEVELS_MAX + 4)

struct level {
    struct nj_bytes text;
    uint64_t hash;
};

/* The topic's levels, split as far as they were needed. */
struct levels {
    struct nj_bytes rest;
    uint32_t count;
    bool is_hidden; /* begins with '$' */
    struct level at[NJ_MQTT_LEVELS_MAX];
};

struct place {
    uint32_t node;
    uint32_t depth;
};

/* Lowest rule number of each kind that was met; 0 = none. */
struct found {
    uint32_t deny;
    uint32_t allow;
};

/* NULL behind the last level. `depth` is at most one further than ever before. */
static inline const struct level *level_at(struct levels *levels, uint32_t depth)
{
    static const struct level beyond = {{NULL, 0}, 0}; /* deeper than any rule */
    if (depth < levels->count) {
        return &levels->at[depth];
    }
    if (depth == NJ_MQTT_LEVELS_MAX) {
        return levels->rest.ptr ? &beyond : NULL;
    }
    struct level *level = &levels->at[depth];
    if (!nj_mqtt_next_level(&levels->rest, &level->text)) {
        return NULL;
    }
    level->hash = nj_acl_level_hash(level->text);
    levels->count++;
    return level;
}

static inline void lowest(uint32_t *field, uint32_t rule)
{
    if (rule && (*field == 0 || rule < *field)) {
        *field = rule;
    }
}

static inline void meet(const struct nj_acl_node *node, bool is_write, struct found *found)
{
    lowest(&found->deny, node->deny);
    lowest(&found->allow, is_write ? node->write : node->read);
}

/* What a list says. */
static struct found walk(const struct nj_acl *acl, const struct nj_acl_names *names, bool is_write,
                         uint32_t root, struct levels *levels)
{
    struct place stack[STACK_MAX];
    struct found found = {0, 0};
    uint32_t count = 1;
    stack[0] = (struct place){root, 0};
    while (count) {
        struct place place = stack[--count];
        const struct nj_acl_node *node = &acl->nodes[place.node];
        const struct nj_acl_special *special = &acl->specials[node->special];
        const struct level *level = level_at(levels, place.depth);
        if (!level) {
            meet(node, is_write, &found);
            meet(&acl->nodes[special->hash], is_write, &found); /* "a/#" covers "a", too */
            continue;
        }
        uint32_t depth = place.depth + 1;
        if (node->first_child) {
            uint32_t child = nj_acl_child(acl, place.node, level->text, level->hash);
            stack[count] = (struct place){child, depth};
            count += child != 0;
        }
        if (!node->special || (place.depth == 0 && levels->is_hidden)) {
            continue;
        }
        meet(&acl->nodes[special->hash], is_write, &found);
        stack[count] = (struct place){special->plus, depth};
        count += special->plus != 0;
        if (special->user && names->user.ptr && nj_bytes_equal(names->user, level->text)) {
            stack[count++] = (struct place){special->user, depth};
        }
        if (special->client && names->client.ptr && nj_bytes_equal(names->client, level->text)) {
            stack[count++] = (struct place){special->client, depth};
        }
    }
    return found;
}

static bool holds(struct nj_bytes name, char what)
{
    return name.len && memchr(name.ptr, what, name.len);
}

/* A name that can fill a whole level, or none. */
static struct nj_bytes filling(struct nj_bytes name)
{
    return name.len && !holds(name, '/') ? name : nj_bytes(NULL, 0);
}

struct nj_acl_names nj_acl_names(const struct nj_acl_query *query)
{
    return (struct nj_acl_names){filling(query->user), filling(query->client_id)};
}

void nj_acl_lists(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t lists[3])
{
    lists[0] = query->user_list;
    lists[1] =
        acl->has_leading && (acl->leading_for_all || !query->user.ptr) ? acl->leading_root : 0;
    /* Wildcards in a name would widen every pattern (L-017). */
    bool is_plain = !holds(query->user, '+') && !holds(query->user, '#') &&
                    !holds(query->client_id, '+') && !holds(query->client_id, '#');
    lists[2] = acl->has_patterns && is_plain ? acl->pattern_root : 0;
}

struct nj_acl_answer nj_acl_check(const struct nj_acl *acl, const struct nj_acl_query *query,
                                  struct nj_bytes topic)
{
    uint32_t lists[3];
    struct levels levels;
    const struct nj_acl_names names = nj_acl_names(query);
    nj_acl_lists(acl, query, lists);
    levels.rest = topic;
    levels.count = 0;
    levels.is_hidden = topic.len && topic.ptr[0] == '$';
    for (int i = 0; i < 3; i++) {
        if (!lists[i]) {
            continue;
        }
        struct found found = walk(acl, &names, query->is_write, lists[i], &levels);
        if (found.deny || found.allow) {
            return (struct nj_acl_answer){
                .allowed = !found.deny,
                .has_rule = true,
                .rule_id = found.deny ? found.deny : found.allow,
            };
        }
    }
    return (struct nj_acl_answer){0};
}
