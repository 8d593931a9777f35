/* From roles to ranks, trie and table. See dynsec_principal.h. */
#include "base/mem.h"
#include "mqtt/topic.h"
#include "security/acl_priv.h"
#include "security/dynsec_trie_priv.h"

static const enum nj_dynsec_access access_of[NJ_DYNSEC_ACL_TYPE_COUNT] = {
    [NJ_DYNSEC_SEND] = NJ_DYNSEC_ACCESS_SEND,
    [NJ_DYNSEC_RECEIVE] = NJ_DYNSEC_ACCESS_RECEIVE,
    [NJ_DYNSEC_SUBSCRIBE_LITERAL] = NJ_DYNSEC_ACCESS_SUBSCRIBE,
    [NJ_DYNSEC_SUBSCRIBE_PATTERN] = NJ_DYNSEC_ACCESS_SUBSCRIBE,
    [NJ_DYNSEC_UNSUBSCRIBE_LITERAL] = NJ_DYNSEC_ACCESS_UNSUBSCRIBE,
    [NJ_DYNSEC_UNSUBSCRIBE_PATTERN] = NJ_DYNSEC_ACCESS_UNSUBSCRIBE,
};

static bool is_literal(const struct nj_dynsec_acl *acl)
{
    return acl->type == NJ_DYNSEC_SUBSCRIBE_LITERAL || acl->type == NJ_DYNSEC_UNSUBSCRIBE_LITERAL;
}

static enum nj_err table_init(struct nj_dynsec_table *table, size_t entries)
{
    size_t size = 4;
    while (size < entries * 2) {
        size *= 2;
    }
    table->slots = nj_try_zalloc(size * sizeof(*table->slots));
    table->mask = (uint32_t)(size - 1);
    return table->slots ? NJ_OK : NJ_ENOMEM;
}

static void table_add(struct nj_dynsec_table *table, uint32_t hash, uint32_t number)
{
    uint32_t at = hash & table->mask;
    while (table->slots[at].number) {
        at = (at + 1) & table->mask;
    }
    table->slots[at] = (struct nj_dynsec_slot){hash, number};
}

/* Upper bounds: what shares a beginning needs less. */
struct sizes {
    size_t ranks;
    size_t levels;
    size_t literals;
};

static struct sizes measure(const struct nj_dynsec_principal *principal)
{
    struct sizes sizes = {.ranks = 1, .levels = 2};
    for (uint32_t i = 0; i < principal->role_count; i++) {
        const struct nj_dynsec_role *role = principal->roles[i];
        sizes.ranks += (size_t)role->acl_count + 1;
        for (uint32_t j = 0; j < role->acl_count; j++) {
            struct nj_bytes rest = role->acls[j].topic;
            struct nj_bytes level;
            if (is_literal(&role->acls[j])) {
                sizes.literals++;
                continue;
            }
            while (nj_mqtt_next_level(&rest, &level)) {
                sizes.levels++;
            }
        }
    }
    return sizes;
}

static uint32_t new_node(struct nj_dynsec_principal *principal, uint32_t parent,
                         struct nj_bytes level)
{
    uint32_t number = principal->node_count++;
    principal->nodes[number] = (struct nj_dynsec_node){
        .parent = parent,
        .level = level.ptr,
        .level_len = (uint32_t)level.len,
    };
    return number;
}

static uint32_t text_child(struct nj_dynsec_principal *principal, uint32_t parent,
                           struct nj_bytes level)
{
    struct nj_dynsec_table *table = &principal->children;
    uint32_t hash = nj_acl_slot_hash(parent, nj_acl_level_hash(level));
    for (uint32_t at = hash & table->mask; table->slots[at].number; at = (at + 1) & table->mask) {
        const struct nj_dynsec_node *node = &principal->nodes[table->slots[at].number];
        if (table->slots[at].hash == hash && node->parent == parent &&
            nj_bytes_equal(nj_dynsec_level(node), level)) {
            return table->slots[at].number;
        }
    }
    uint32_t number = new_node(principal, parent, level);
    table_add(table, hash, number);
    return number;
}

static uint32_t child(struct nj_dynsec_principal *principal, uint32_t parent, struct nj_bytes level)
{
    struct nj_dynsec_node *node = &principal->nodes[parent];
    uint32_t *special = nj_mqtt_level_is(level, '+')                ? &node->plus
                        : nj_bytes_equal(level, NJ_BYTES_LIT("%u")) ? &node->user
                        : nj_bytes_equal(level, NJ_BYTES_LIT("%c")) ? &node->client
                                                                    : NULL;
    if (!special) {
        return text_child(principal, parent, level);
    }
    if (!*special) {
        *special = new_node(principal, parent, level);
    }
    return *special;
}

static void add_pattern(struct nj_dynsec_principal *principal, const struct nj_dynsec_acl *acl,
                        uint32_t rank)
{
    struct nj_bytes rest = acl->topic;
    struct nj_bytes level;
    uint32_t at = 1;
    bool has_hash = false;
    while (nj_mqtt_next_level(&rest, &level)) {
        has_hash = nj_mqtt_level_is(level, '#');
        at = has_hash ? at : child(principal, at, level);
    }
    struct nj_dynsec_node *node = &principal->nodes[at];
    uint32_t *place =
        has_hash ? &node->hash_rank[access_of[acl->type]] : &node->rank[access_of[acl->type]];
    /* Ranks come in ascending order: who was here first decides. */
    *place = *place ? *place : rank;
}

static void add_literal(struct nj_dynsec_principal *principal, const struct nj_dynsec_acl *acl,
                        uint32_t rank)
{
    bool is_subscribe = acl->type == NJ_DYNSEC_SUBSCRIBE_LITERAL;
    uint32_t hash = nj_dynsec_literal_hash(is_subscribe, nj_acl_level_hash(acl->topic));
    table_add(&principal->literals, hash, rank);
}

/* Within a role: the switch, then the literal entries, then the patterns, which the role has in
 * their order already. */
static uint32_t add_role(struct nj_dynsec_principal *principal, uint32_t place, uint32_t rank)
{
    const struct nj_dynsec_role *role = principal->roles[place];
    principal->rules[rank] = (struct nj_dynsec_rule){place, NJ_DYNSEC_ACL_SWITCH};
    if (!role->allow_wildcard_subs && !principal->switch_rank) {
        principal->switch_rank = rank;
    }
    rank++;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < role->acl_count; i++) {
            const struct nj_dynsec_acl *acl = &role->acls[i];
            if (is_literal(acl) != (pass == 0)) {
                continue;
            }
            principal->rules[rank] = (struct nj_dynsec_rule){place, i};
            if (pass == 0) {
                add_literal(principal, acl, rank);
            } else {
                add_pattern(principal, acl, rank);
            }
            rank++;
        }
    }
    return rank;
}

enum nj_err nj_dynsec_compile(struct nj_dynsec_principal *principal)
{
    struct sizes sizes = measure(principal);
    uint32_t rank = 1;
    if (sizes.ranks > UINT32_MAX / 4 || sizes.levels > UINT32_MAX / 4) {
        return NJ_ENOMEM;
    }
    principal->nodes = nj_try_alloc(sizes.levels * sizeof(*principal->nodes));
    principal->rules = nj_try_zalloc(sizes.ranks * sizeof(*principal->rules));
    if (!principal->nodes || !principal->rules ||
        table_init(&principal->children, sizes.levels) != NJ_OK ||
        (sizes.literals && table_init(&principal->literals, sizes.literals) != NJ_OK)) {
        return NJ_ENOMEM;
    }
    principal->node_count = 1;
    (void)new_node(principal, 0, nj_bytes(NULL, 0));
    for (uint32_t i = 0; i < principal->role_count; i++) {
        rank = add_role(principal, i, rank);
    }
    /* What shared beginnings saved. */
    struct nj_dynsec_node *fitting =
        nj_try_realloc(principal->nodes, principal->node_count * sizeof(*principal->nodes));
    principal->nodes = fitting ? fitting : principal->nodes;
    return NJ_OK;
}

void nj_dynsec_compiled_fini(struct nj_dynsec_principal *principal)
{
    nj_free(principal->nodes);
    nj_free(principal->rules);
    nj_free(principal->children.slots);
    nj_free(principal->literals.slots);
}
