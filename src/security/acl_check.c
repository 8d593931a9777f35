/* Asking a compiled ACL. See acl.h and acl_priv.h.
 *
 * A walk keeps the nodes reached so far in a fixed array; an ACL so contrived that a topic leads to
 * more places at once than fit is answered with no. */
#include "base/err.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_priv.h"

#define FRONTIER_MAX 256

struct frontier {
    uint32_t count;
    bool overflowed;
    uint32_t node[FRONTIER_MAX];
};

/* Lowest rule number of each kind that was met; 0 = none. */
struct found {
    uint32_t deny;
    uint32_t allow;
};

static void add(struct frontier *frontier, uint32_t node)
{
    if (!node) {
        return;
    }
    if (frontier->count == FRONTIER_MAX) {
        frontier->overflowed = true;
        return;
    }
    frontier->node[frontier->count++] = node;
}

static void lowest(uint32_t *field, uint32_t rule)
{
    if (rule && (*field == 0 || rule < *field)) {
        *field = rule;
    }
}

static void meet(const struct nj_acl *acl, uint32_t at, bool is_write, struct found *found)
{
    if (at) {
        const struct nj_acl_node *node = &acl->nodes[at];
        lowest(&found->deny, node->deny);
        lowest(&found->allow, is_write ? node->write : node->read);
    }
}

/* A name with wildcards, or none, never fills a placeholder (L-017). */
static bool fills(struct nj_bytes name, struct nj_bytes level)
{
    return name.ptr && nj_bytes_equal(name, level);
}

static bool has_wildcard(struct nj_bytes name)
{
    return name.len && (memchr(name.ptr, '+', name.len) || memchr(name.ptr, '#', name.len));
}

static void step(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t at,
                 struct nj_bytes level, bool is_hidden, struct frontier *next, struct found *found)
{
    const struct nj_acl_node *node = &acl->nodes[at];
    if (node->first_child) {
        add(next, nj_acl_child(acl, at, level));
    }
    if (is_hidden) {
        return;
    }
    add(next, node->plus);
    if (node->user && fills(query->user, level)) {
        add(next, node->user);
    }
    if (node->client && fills(query->client_id, level)) {
        add(next, node->client);
    }
    meet(acl, node->hash, query->is_write, found);
}

/* What a list says of a topic name. */
static struct found walk(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t root,
                         struct nj_bytes topic)
{
    struct frontier frontier[2];
    struct found found = {0, 0};
    struct nj_bytes level;
    unsigned now = 0;
    bool is_hidden = topic.len && topic.ptr[0] == '$';
    bool overflowed = false;
    frontier[0].count = 0;
    add(&frontier[0], root);
    while (frontier[now].count && nj_mqtt_next_level(&topic, &level)) {
        struct frontier *next = &frontier[1 - now];
        next->count = 0;
        next->overflowed = false;
        for (uint32_t i = 0; i < frontier[now].count; i++) {
            step(acl, query, frontier[now].node[i], level, is_hidden, next, &found);
        }
        overflowed |= next->overflowed;
        is_hidden = false;
        now = 1 - now;
    }
    for (uint32_t i = 0; !topic.ptr && i < frontier[now].count; i++) {
        meet(acl, frontier[now].node[i], query->is_write, &found);
        /* "a/#" covers "a", too. */
        meet(acl, acl->nodes[frontier[now].node[i]].hash, query->is_write, &found);
    }
    if (overflowed) {
        found = (struct found){.deny = UINT32_MAX};
    }
    return found;
}

typedef struct found (*walk_fn)(const struct nj_acl *acl, const struct nj_acl_query *query,
                                uint32_t root, struct nj_bytes topic);

/* Asks the lists in order; the first one that says something decides. */
static struct nj_acl_answer ask(const struct nj_acl *acl, const struct nj_acl_query *query,
                                struct nj_bytes topic, walk_fn walk_list)
{
    uint32_t lists[3] = {query->user_list, 0, 0};
    if (acl->has_leading && (acl->leading_for_all || !query->user.ptr)) {
        lists[1] = acl->leading_root;
    }
    if (acl->has_patterns && !has_wildcard(query->user) && !has_wildcard(query->client_id)) {
        lists[2] = acl->pattern_root;
    }
    for (int i = 0; i < 3; i++) {
        if (!lists[i]) {
            continue;
        }
        struct found found = walk_list(acl, query, lists[i], topic);
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

struct nj_acl_answer nj_acl_check(const struct nj_acl *acl, const struct nj_acl_query *query,
                                  struct nj_bytes topic)
{
    return ask(acl, query, topic, walk);
}

/* ---- filters: could a topic that the filter matches be read? */

/* Whether some read rule lies at `at` or below it. Depth first without recursion: down to the first
 * child, over to the sibling, up to the parent. */
static uint32_t child_after(const struct nj_acl *acl, uint32_t parent, uint32_t child)
{
    const struct nj_acl_node *node = &acl->nodes[parent];
    const uint32_t special[4] = {node->plus, node->hash, node->user, node->client};
    int from = 0;
    if (child) {
        for (int i = 0; i < 4; i++) {
            if (special[i] == child) {
                from = i + 1;
            }
        }
        if (from == 0) {
            return acl->nodes[child].next_sibling;
        }
    }
    for (int i = from; i < 4; i++) {
        if (special[i]) {
            return special[i];
        }
    }
    return node->first_child;
}

static uint32_t read_below(const struct nj_acl *acl, uint32_t top)
{
    uint32_t at = top;
    uint32_t child = 0;
    for (;;) {
        if (child == 0 && acl->nodes[at].read) {
            return acl->nodes[at].read;
        }
        uint32_t next = child_after(acl, at, child);
        if (next) {
            at = next;
            child = 0;
            continue;
        }
        if (at == top) {
            return 0;
        }
        child = at;
        at = acl->nodes[at].parent;
    }
}

static bool is_hidden_level(const struct nj_acl *acl, uint32_t at)
{
    const struct nj_acl_node *node = &acl->nodes[at];
    return node->level_len && acl->text.data[node->level_at] == '$';
}

/* '+' in the filter leads to every child; a text to those that could match it. */
static void step_filter(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t at,
                        struct nj_bytes level, bool is_first, struct frontier *next)
{
    const struct nj_acl_node *node = &acl->nodes[at];
    bool is_any = nj_mqtt_level_is(level, '+');
    bool is_hidden = is_first && level.len && level.ptr[0] == '$';
    if (!is_any) {
        add(next, nj_acl_child(acl, at, level));
    }
    for (uint32_t child = node->first_child; is_any && child;
         child = acl->nodes[child].next_sibling) {
        if (!(is_first && is_hidden_level(acl, child))) {
            add(next, child);
        }
    }
    if (is_hidden) {
        return;
    }
    add(next, node->plus);
    if (node->user && query->user.ptr && (is_any || fills(query->user, level))) {
        add(next, node->user);
    }
    if (node->client && (is_any || fills(query->client_id, level))) {
        add(next, node->client);
    }
}

static uint32_t read_at(const struct nj_acl *acl, uint32_t at)
{
    const struct nj_acl_node *node = &acl->nodes[at];
    return node->read ? node->read : node->hash ? acl->nodes[node->hash].read : 0;
}

/* A read rule that shares a topic with the filter, or 0. Too many ways count as one: SUBSCRIBE is
 * then granted, and deliveries are still decided one by one. */
static uint32_t find_read(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t root,
                          struct nj_bytes filter)
{
    struct frontier frontier[2];
    struct nj_bytes level;
    unsigned now = 0;
    bool is_first = true;
    frontier[0].count = 0;
    add(&frontier[0], root);
    while (frontier[now].count && nj_mqtt_next_level(&filter, &level)) {
        struct frontier *next = &frontier[1 - now];
        next->count = 0;
        next->overflowed = false;
        for (uint32_t i = 0; i < frontier[now].count; i++) {
            uint32_t at = frontier[now].node[i];
            bool is_hidden = is_first && level.len && level.ptr[0] == '$';
            uint32_t hash = is_hidden ? 0 : acl->nodes[at].hash;
            uint32_t rule = nj_mqtt_level_is(level, '#') ? read_below(acl, at)
                            : hash                       ? acl->nodes[hash].read
                                                         : 0;
            if (rule) {
                return rule;
            }
            step_filter(acl, query, at, level, is_first, next);
        }
        if (next->overflowed) {
            return UINT32_MAX;
        }
        is_first = false;
        now = 1 - now;
    }
    for (uint32_t i = 0; !filter.ptr && i < frontier[now].count; i++) {
        uint32_t rule = read_at(acl, frontier[now].node[i]);
        if (rule) {
            return rule;
        }
    }
    return 0;
}

/* A deny rule that covers the whole filter, or 0. Along the filter only '#', and '+' or the same
 * text for a text, cover; so the nodes to look at are few. */
static uint32_t find_deny(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t root,
                          struct nj_bytes filter)
{
    struct frontier frontier[2];
    struct nj_bytes level;
    unsigned now = 0;
    bool is_first = true;
    frontier[0].count = 0;
    add(&frontier[0], root);
    while (frontier[now].count && nj_mqtt_next_level(&filter, &level)) {
        struct frontier *next = &frontier[1 - now];
        bool is_hidden = is_first && level.len && level.ptr[0] == '$';
        next->count = 0;
        for (uint32_t i = 0; i < frontier[now].count; i++) {
            uint32_t at = frontier[now].node[i];
            const struct nj_acl_node *node = &acl->nodes[at];
            if (!is_hidden && node->hash && acl->nodes[node->hash].deny) {
                return acl->nodes[node->hash].deny;
            }
            if (nj_mqtt_level_is(level, '#')) {
                continue;
            }
            if (!nj_mqtt_level_is(level, '+')) {
                add(next, nj_acl_child(acl, at, level));
            }
            if (!is_hidden) {
                add(next, node->plus);
                add(next, fills(query->user, level) ? node->user : 0);
                add(next, fills(query->client_id, level) ? node->client : 0);
            }
        }
        is_first = false;
        now = 1 - now;
    }
    for (uint32_t i = 0; !filter.ptr && i < frontier[now].count; i++) {
        const struct nj_acl_node *node = &acl->nodes[frontier[now].node[i]];
        if (node->deny || (node->hash && acl->nodes[node->hash].deny)) {
            return node->deny ? node->deny : acl->nodes[node->hash].deny;
        }
    }
    return 0;
}

static struct found walk_filter(const struct nj_acl *acl, const struct nj_acl_query *query,
                                uint32_t root, struct nj_bytes filter)
{
    return (struct found){
        .deny = find_deny(acl, query, root, filter),
        .allow = find_read(acl, query, root, filter),
    };
}

struct nj_acl_answer nj_acl_check_filter(const struct nj_acl *acl, const struct nj_acl_query *query,
                                         struct nj_bytes filter)
{
    return ask(acl, query, filter, walk_filter);
}
