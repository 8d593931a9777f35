/* Asking a compiled ACL about a subscription filter: could a topic that it matches be delivered?
 *
 * List by list: a deny rule that covers the whole filter ends it with no, a read rule that shares a
 * topic with it ends it with yes. Denials that cover the filter only together are not seen; the
 * deliveries are decided one by one in any case. */
#include "base/err.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_priv.h"

/* Down a filter a step puts at most four places and the chain that it came from. */
#define STACK_MAX (5 * NJ_MQTT_LEVELS_MAX + 5)
/* Nodes looked at for one question: "+/+/+/x" leads everywhere. */
#define VISITS_MAX 4096

struct filter {
    struct nj_bytes levels[NJ_MQTT_LEVELS_MAX];
    uint32_t count;
    bool is_hidden; /* begins with '$' */
};

struct place {
    uint32_t node;
    uint32_t depth;
    bool is_chain; /* and its siblings after it */
};

struct walk {
    const struct nj_acl *acl;
    struct nj_acl_names names;
    const struct filter *filter;
    uint32_t visits;
    uint32_t count;
    struct place stack[STACK_MAX];
};

static void push(struct walk *walk, uint32_t node, uint32_t depth)
{
    if (node) {
        walk->stack[walk->count++] = (struct place){node, depth, false};
    }
}

static void push_text(struct walk *walk, uint32_t parent, struct nj_bytes level, uint32_t depth)
{
    if (walk->acl->nodes[parent].first_child) {
        push(walk, nj_acl_child(walk->acl, parent, level, nj_acl_level_hash(level)), depth);
    }
}

static bool fills(struct nj_bytes name, struct nj_bytes level)
{
    return name.ptr && nj_bytes_equal(name, level);
}

static void begin(struct walk *walk, uint32_t root)
{
    walk->visits = 0;
    walk->count = 0;
    push(walk, root, 0);
}

/* Takes a place off; of a chain one link. False at the end. */
static bool take(struct walk *walk, struct place *out)
{
    if (walk->count == 0) {
        return false;
    }
    struct place *place = &walk->stack[walk->count - 1];
    *out = *place;
    uint32_t sibling = place->is_chain ? walk->acl->nodes[place->node].next_sibling : 0;
    if (sibling) {
        place->node = sibling;
    } else {
        walk->count--;
    }
    return true;
}

/* ---- a deny rule that covers the filter, or 0 */

static void step_deny(struct walk *walk, uint32_t at, struct nj_bytes level, uint32_t depth)
{
    const struct nj_acl *acl = walk->acl;
    const struct nj_acl_special *special = &acl->specials[acl->nodes[at].special];
    bool is_hidden = depth == 0 && walk->filter->is_hidden;
    if (!nj_mqtt_level_is(level, '+')) {
        push_text(walk, at, level, depth + 1);
    }
    if (!is_hidden) {
        push(walk, special->plus, depth + 1);
        push(walk, fills(walk->names.user, level) ? special->user : 0, depth + 1);
        push(walk, fills(walk->names.client, level) ? special->client : 0, depth + 1);
    }
}

/* "+/#" covers "#", because every topic has a first level. */
static uint32_t deny_of_all(const struct nj_acl *acl, uint32_t root)
{
    const struct nj_acl_node *plus = &acl->nodes[acl->specials[acl->nodes[root].special].plus];
    return acl->nodes[acl->specials[plus->special].hash].deny;
}

static uint32_t find_deny(struct walk *walk, uint32_t root)
{
    const struct nj_acl *acl = walk->acl;
    const struct filter *filter = walk->filter;
    struct place place;
    begin(walk, root);
    if (nj_mqtt_level_is(filter->levels[0], '#') && deny_of_all(acl, root)) {
        return deny_of_all(acl, root);
    }
    while (take(walk, &place)) {
        const struct nj_acl_node *node = &acl->nodes[place.node];
        uint32_t hash = acl->specials[node->special].hash;
        bool is_end = place.depth == filter->count;
        bool is_hidden = place.depth == 0 && filter->is_hidden;
        if (!is_hidden && acl->nodes[hash].deny) {
            return acl->nodes[hash].deny;
        }
        if (is_end && node->deny) {
            return node->deny;
        }
        if (!is_end && !nj_mqtt_level_is(filter->levels[place.depth], '#')) {
            step_deny(walk, place.node, filter->levels[place.depth], place.depth);
        }
    }
    return 0;
}

/* ---- a read rule that shares a topic with the filter, or 0 */

static bool has_read_below(const struct walk *walk, uint32_t at)
{
    unsigned wanted = NJ_ACL_BELOW_PLAIN;
    wanted |= walk->names.user.ptr ? NJ_ACL_BELOW_USER : 0;
    wanted |= walk->names.client.ptr ? NJ_ACL_BELOW_CLIENT : 0;
    wanted |= walk->names.user.ptr && walk->names.client.ptr ? NJ_ACL_BELOW_BOTH : 0;
    return walk->acl->nodes[at].below & wanted;
}

/* A name that begins with '$' is as good as none in first place. */
static bool can_fill(struct nj_bytes name, uint32_t depth)
{
    return name.ptr && !(depth == 0 && name.ptr[0] == '$');
}

static bool is_hidden_text(const struct nj_acl *acl, uint32_t at)
{
    struct nj_bytes level = nj_acl_level(acl, &acl->nodes[at]);
    return level.len && level.ptr[0] == '$';
}

/* Everything that the filter's '#' at `depth` leads to, without what begins with '$'. */
static bool hash_reads(struct walk *walk, uint32_t at, uint32_t depth)
{
    const struct nj_acl *acl = walk->acl;
    if (depth > 0) {
        return has_read_below(walk, at);
    }
    const struct nj_acl_special *special = &acl->specials[acl->nodes[at].special];
    if (has_read_below(walk, special->plus) || has_read_below(walk, special->hash) ||
        (can_fill(walk->names.user, 0) && has_read_below(walk, special->user)) ||
        (can_fill(walk->names.client, 0) && has_read_below(walk, special->client))) {
        return true;
    }
    for (uint32_t child = acl->nodes[at].first_child; child;
         child = acl->nodes[child].next_sibling) {
        if (++walk->visits > VISITS_MAX ||
            (!is_hidden_text(acl, child) && has_read_below(walk, child))) {
            return true;
        }
    }
    return false;
}

static void step_read(struct walk *walk, uint32_t at, struct nj_bytes level, uint32_t depth)
{
    const struct nj_acl *acl = walk->acl;
    const struct nj_acl_node *node = &acl->nodes[at];
    const struct nj_acl_special *special = &acl->specials[node->special];
    bool is_any = nj_mqtt_level_is(level, '+');
    if (is_any && node->first_child) {
        walk->stack[walk->count++] = (struct place){node->first_child, depth + 1, true};
    }
    if (!is_any) {
        push_text(walk, at, level, depth + 1);
    }
    if (depth == 0 && walk->filter->is_hidden) {
        return;
    }
    push(walk, special->plus, depth + 1);
    if (is_any ? can_fill(walk->names.user, depth) : fills(walk->names.user, level)) {
        push(walk, special->user, depth + 1);
    }
    if (is_any ? can_fill(walk->names.client, depth) : fills(walk->names.client, level)) {
        push(walk, special->client, depth + 1);
    }
}

static uint32_t find_read(struct walk *walk, uint32_t root)
{
    const struct nj_acl *acl = walk->acl;
    const struct filter *filter = walk->filter;
    bool begins_wild = nj_mqtt_level_is(filter->levels[0], '+');
    struct place place;
    begin(walk, root);
    while (take(walk, &place)) {
        const struct nj_acl_node *node = &acl->nodes[place.node];
        uint32_t hash = acl->specials[node->special].hash;
        bool is_hidden = place.depth == 0 && filter->is_hidden;
        if (++walk->visits > VISITS_MAX) {
            return NJ_ACL_RULE_SOME;
        }
        if (place.is_chain && place.depth == 1 && begins_wild && is_hidden_text(acl, place.node)) {
            continue;
        }
        if (!is_hidden && acl->nodes[hash].read) {
            return acl->nodes[hash].read;
        }
        if (place.depth == filter->count) {
            if (node->read) {
                return node->read;
            }
        } else if (nj_mqtt_level_is(filter->levels[place.depth], '#')) {
            if (hash_reads(walk, place.node, place.depth)) {
                return NJ_ACL_RULE_SOME;
            }
        } else if (has_read_below(walk, place.node)) {
            step_read(walk, place.node, filter->levels[place.depth], place.depth);
        }
    }
    return 0;
}

/* ---- both */

static bool split(struct nj_bytes text, struct filter *filter)
{
    filter->levels[0] = nj_bytes(NULL, 0);
    filter->count = 0;
    filter->is_hidden = text.len && text.ptr[0] == '$';
    while (filter->count < NJ_MQTT_LEVELS_MAX &&
           nj_mqtt_next_level(&text, &filter->levels[filter->count])) {
        filter->count++;
    }
    return text.ptr == NULL;
}

struct nj_acl_answer nj_acl_check_filter(const struct nj_acl *acl, const struct nj_acl_query *query,
                                         struct nj_bytes filter)
{
    uint32_t lists[3];
    struct filter parts;
    struct walk walk;
    if (!nj_mqtt_filter_has_wildcard(filter)) {
        struct nj_acl_query read = *query;
        read.is_write = false;
        return nj_acl_check(acl, &read, filter);
    }
    if (!split(filter, &parts)) {
        return (struct nj_acl_answer){0}; /* deeper than any topic may be */
    }
    nj_acl_lists(acl, query, lists);
    walk.acl = acl;
    walk.names = nj_acl_names(query);
    walk.filter = &parts;
    for (int i = 0; i < 3; i++) {
        uint32_t deny = lists[i] ? find_deny(&walk, lists[i]) : 0;
        uint32_t allow = lists[i] && !deny ? find_read(&walk, lists[i]) : 0;
        if (deny || allow) {
            return (struct nj_acl_answer){
                .allowed = !deny, .has_rule = true, .rule_id = deny ? deny : allow};
        }
    }
    return (struct nj_acl_answer){0};
}
