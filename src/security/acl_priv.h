/* The compiled form of an ACL: shared by acl_parse.c (makes it) and acl_check.c (asks it). */
#ifndef NJ_SECURITY_ACL_PRIV_H
#define NJ_SECURITY_ACL_PRIV_H

#include "base/buf.h"
#include "security/acl.h"

/* Node and rule numbers are 1-based; 0 = none. */
struct nj_acl_node {
    uint32_t deny; /* first rule of each kind that ends here */
    uint32_t read;
    uint32_t write;
    uint32_t plus; /* children that are not texts */
    uint32_t hash;
    uint32_t user;        /* %u */
    uint32_t client;      /* %c */
    uint32_t first_child; /* texts, for enumeration */
    uint32_t next_sibling;
    uint32_t parent;
    uint32_t level_hash;
    uint32_t level_at; /* in acl->text */
    uint32_t level_len;
    uint32_t bucket_next;
};

struct nj_acl_rule {
    uint32_t line;
    uint32_t text_at; /* in acl->text */
    uint32_t text_len;
};

struct nj_acl_user {
    uint32_t name_at;
    uint32_t name_len;
    uint32_t root;
    uint32_t bucket_next;
};

struct nj_acl {
    char *path;
    struct nj_buf text;        /* the file */
    struct nj_acl_node *nodes; /* [0] unused */
    uint32_t node_count;
    uint32_t node_cap;
    uint32_t *node_buckets;
    uint32_t node_mask;
    struct nj_acl_user *users;
    uint32_t user_count;
    uint32_t user_cap;
    uint32_t *user_buckets;
    uint32_t user_mask;
    struct nj_acl_rule *rules; /* [0] unused */
    uint32_t rule_count;
    uint32_t rule_cap;
    uint32_t leading_root;
    uint32_t pattern_root;
    bool has_leading;
    bool has_patterns;
    bool leading_for_all;
    char **warnings;
    uint32_t warning_count;
};

uint32_t nj_acl_child(const struct nj_acl *acl, uint32_t parent, struct nj_bytes level);
uint32_t nj_acl_level_hash(uint32_t parent, struct nj_bytes level);

static inline struct nj_bytes nj_acl_level(const struct nj_acl *acl, const struct nj_acl_node *node)
{
    return nj_bytes(acl->text.data + node->level_at, node->level_len);
}

#endif
