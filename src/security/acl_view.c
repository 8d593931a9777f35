/* See acl_view.h. */
#include "security/acl_view.h"

#include "base/err.h"
#include "mqtt/topic.h"
#include "security/acl_priv.h"

/* Of a walk down a topic a step puts at most three places. */
#define STACK_MAX (3 * NJ_MQTT_LEVELS_MAX + 3)
/* Ways through the rules that are looked at for one question. */
#define VISITS_MAX 1024

static enum nj_acl_list_kind kind_of_root(const struct nj_acl *acl, uint32_t root)
{
    return root == acl->leading_root   ? NJ_ACL_LIST_LEADING
           : root == acl->pattern_root ? NJ_ACL_LIST_PATTERN
                                       : NJ_ACL_LIST_USER;
}

struct nj_acl_rule_view nj_acl_rule_view(const struct nj_acl *acl, uint32_t rule_id)
{
    NJ_ASSERT(rule_id > 0 && rule_id <= acl->rule_count);
    const struct nj_acl_rule *rule = &acl->rules[rule_id];
    struct nj_acl_rule_view view = {
        .id = rule_id,
        .line = rule->line,
        .list = kind_of_root(acl, rule->root),
        .access = rule->access,
        .topic = nj_bytes(acl->text.data + rule->topic_at, rule->topic_len),
        .text = nj_bytes(acl->text.data + rule->text_at, rule->text_len),
    };
    if (view.list == NJ_ACL_LIST_USER) {
        const struct nj_acl_user *user = nj_acl_user_of(acl, rule->root);
        view.user = nj_bytes(acl->text.data + user->name_at, user->name_len);
    }
    return view;
}

const char *nj_acl_path(const struct nj_acl *acl)
{
    return acl->path;
}

struct nj_bytes nj_acl_text(const struct nj_acl *acl)
{
    return nj_buf_bytes(&acl->text);
}

bool nj_acl_leading_for_all(const struct nj_acl *acl)
{
    return acl->leading_for_all;
}

/* ---- covering */

struct place {
    uint32_t node;
    struct nj_bytes rest; /* of the topic; ptr NULL = the end */
    bool is_first;
};

struct walk {
    const struct nj_acl *acl;
    uint32_t rule_id; /* the one that is to be covered */
    enum nj_acl_access access;
    bool has_placeholders; /* %u and %c stand for names in it */
    uint32_t count;
    struct place stack[STACK_MAX];
};

static uint32_t rule_at(const struct walk *walk, uint32_t at)
{
    const struct nj_acl_node *node = &walk->acl->nodes[at];
    uint32_t rule = walk->access == NJ_ACL_DENY   ? node->deny
                    : walk->access == NJ_ACL_READ ? node->read
                                                  : node->write;
    return rule == walk->rule_id ? 0 : rule;
}

static void push(struct walk *walk, uint32_t node, struct nj_bytes rest)
{
    if (node) {
        walk->stack[walk->count++] = (struct place){node, rest, false};
    }
}

static void step_text(struct walk *walk, const struct place *place, struct nj_bytes level,
                      struct nj_bytes rest)
{
    const struct nj_acl *acl = walk->acl;
    const struct nj_acl_node *node = &acl->nodes[place->node];
    const struct nj_acl_special *special = &acl->specials[node->special];
    bool is_hidden = place->is_first && level.len && level.ptr[0] == '$';
    bool is_user = walk->has_placeholders && nj_bytes_equal(level, NJ_BYTES_LIT("%u"));
    bool is_client = walk->has_placeholders && nj_bytes_equal(level, NJ_BYTES_LIT("%c"));
    if (is_user || is_client) {
        push(walk, is_user ? special->user : special->client, rest);
    } else if (node->first_child) {
        push(walk, nj_acl_child(acl, place->node, level, nj_acl_level_hash(level)), rest);
    }
    push(walk, is_hidden ? 0 : special->plus, rest);
}

/* One place: a rule that covers all that follows, or 0 and the places behind the next level. */
static uint32_t visit(struct walk *walk, const struct place *place)
{
    const struct nj_acl *acl = walk->acl;
    const struct nj_acl_special *special = &acl->specials[acl->nodes[place->node].special];
    struct nj_bytes rest = place->rest;
    struct nj_bytes level;
    bool has_level = nj_mqtt_next_level(&rest, &level);
    bool is_hidden = has_level && place->is_first && level.len && level.ptr[0] == '$';
    uint32_t rule = is_hidden ? 0 : rule_at(walk, special->hash);
    if (rule) {
        return rule;
    }
    if (!has_level) {
        return rule_at(walk, place->node);
    }
    if (nj_mqtt_level_is(level, '#')) {
        /* "+/#" covers "#", because every topic has a first level. */
        const struct nj_acl_node *plus = &acl->nodes[special->plus];
        return place->is_first ? rule_at(walk, acl->specials[plus->special].hash) : 0;
    }
    if (nj_mqtt_level_is(level, '+')) {
        push(walk, special->plus, rest);
    } else {
        step_text(walk, place, level, rest);
    }
    return 0;
}

uint32_t nj_acl_rule_cover(const struct nj_acl *acl, uint32_t rule_id, enum nj_acl_list_kind kind,
                           enum nj_acl_access access)
{
    const struct nj_acl_rule *rule = &acl->rules[rule_id];
    struct walk walk = {
        .acl = acl,
        .rule_id = rule_id,
        .access = access,
        .has_placeholders = rule->root == acl->pattern_root,
    };
    uint32_t root = kind == NJ_ACL_LIST_LEADING   ? acl->leading_root
                    : kind == NJ_ACL_LIST_PATTERN ? acl->pattern_root
                                                  : rule->root;
    push(&walk, root, nj_bytes(acl->text.data + rule->topic_at, rule->topic_len));
    walk.stack[0].is_first = true;
    for (uint32_t visits = 0; walk.count && visits < VISITS_MAX; visits++) {
        struct place place = walk.stack[--walk.count];
        uint32_t found = visit(&walk, &place);
        if (found) {
            return found;
        }
    }
    return 0;
}
