/* The compiled rules of a principal: made by dynsec_compile.c, asked by dynsec_check.c, kept and
 * shared by dynsec_principal.c. Level texts are views into the roles' topics. */
#ifndef NJ_SECURITY_DYNSEC_TRIE_PRIV_H
#define NJ_SECURITY_DYNSEC_TRIE_PRIV_H

#include <stdatomic.h>

#include "mqtt/topic.h"
#include "security/dynsec_principal.h"

/* Ranks and node numbers begin at 1; 0 = none. */
struct nj_dynsec_node {
    uint32_t rank[NJ_DYNSEC_ACCESS_COUNT];      /* the first pattern that ends here */
    uint32_t hash_rank[NJ_DYNSEC_ACCESS_COUNT]; /* the first that ends here with "/#" */
    uint32_t plus;
    uint32_t user;   /* %u */
    uint32_t client; /* %c */
    uint32_t parent;
    const uint8_t *level;
    uint32_t level_len;
};

struct nj_dynsec_slot {
    uint32_t hash;
    uint32_t number; /* of a node or a rank; 0 = empty */
};

/* Open addressing, at most half full. */
struct nj_dynsec_table {
    struct nj_dynsec_slot *slots; /* NULL = nothing in it */
    uint32_t mask;
};

struct nj_dynsec_rule {
    uint32_t role; /* place among the principal's roles */
    uint32_t acl;  /* place in the role, or NJ_DYNSEC_ACL_SWITCH */
};

struct nj_dynsec_principal {
    _Atomic uint32_t refs;
    struct nj_dynsec_principals *table;
    struct nj_dynsec_principal *next; /* in its bucket */
    uint64_t hash;                    /* of the roles */
    struct nj_dynsec_node *nodes;     /* [0] unused, [1] the root */
    uint32_t node_count;
    struct nj_dynsec_table children; /* nodes by parent and level */
    struct nj_dynsec_table literals; /* ranks by kind and whole text */
    struct nj_dynsec_rule *rules;    /* by rank */
    uint32_t switch_rank;            /* the first role without wildcard subscriptions */
    uint32_t role_count;
    struct nj_dynsec_role *roles[]; /* references */
};

/* Compiles the roles that are there. NJ_ENOMEM leaves what nj_dynsec_compiled_fini frees. */
enum nj_err nj_dynsec_compile(struct nj_dynsec_principal *principal) NJ_NODISCARD;
void nj_dynsec_compiled_fini(struct nj_dynsec_principal *principal);

static inline uint32_t nj_dynsec_literal_hash(bool is_subscribe, uint64_t text_hash)
{
    return (uint32_t)((text_hash + is_subscribe) * 0xc4ceb9fe1a85ec53ull >> 32);
}

static inline struct nj_bytes nj_dynsec_level(const struct nj_dynsec_node *node)
{
    return nj_bytes(node->level, node->level_len);
}

static inline const struct nj_dynsec_acl *
nj_dynsec_rule_acl(const struct nj_dynsec_principal *principal, uint32_t rank)
{
    const struct nj_dynsec_rule *rule = &principal->rules[rank];
    return &principal->roles[rule->role]->acls[rule->acl];
}

#endif
