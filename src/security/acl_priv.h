/* The compiled form of an ACL: acl_parse.c reads the text, acl_build.c makes this of it,
 * acl_check.c and acl_filter.c ask it.
 *
 *   root ─┬─ "sensors" ─┬─ "+" ── "temp"      a node for each level, at most one for each prefix
 *         │             └─ "#"                of rules; children with a text are found in one hash
 *         └─ %u ── "#"                        table by (parent, text), the others in `special`
 */
#ifndef NJ_SECURITY_ACL_PRIV_H
#define NJ_SECURITY_ACL_PRIV_H

#include <stdatomic.h>

#include "base/buf.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_view.h"

/* Bits of nj_acl_node.below: a read rule lies here or below, and what has to be filled on the way
 * there. */
enum nj_acl_below {
    NJ_ACL_BELOW_PLAIN = 1,
    NJ_ACL_BELOW_USER = 2,
    NJ_ACL_BELOW_CLIENT = 4,
    NJ_ACL_BELOW_BOTH = 8,
};

/* Node, rule and special numbers are 1-based; 0 = none. A child's number is larger than its
 * parent's. */
struct nj_acl_node {
    uint32_t deny; /* first rule of each kind that ends here */
    uint32_t read;
    uint32_t write;
    uint32_t special;     /* children that are not texts */
    uint32_t first_child; /* texts, for enumeration */
    uint32_t next_sibling;
    uint32_t parent;
    uint32_t level_at; /* in acl->text */
    uint16_t level_len;
    uint8_t below; /* enum nj_acl_below */
};

struct nj_acl_special {
    uint32_t plus;
    uint32_t hash;
    uint32_t user;   /* %u */
    uint32_t client; /* %c */
};

struct nj_acl_slot {
    uint32_t hash;
    uint32_t node; /* 0 = empty */
};

struct nj_acl_rule {
    uint32_t line;
    uint32_t text_at; /* in acl->text */
    uint32_t text_len;
    uint32_t topic_at; /* as well */
    uint32_t topic_len;
    uint32_t root;  /* of its list */
    uint8_t access; /* enum nj_acl_access */
};

struct nj_acl_user {
    uint32_t name_at;
    uint32_t name_len;
    uint32_t root; /* grows with the user's number */
    uint32_t bucket_next;
    uint64_t digest; /* of the list */
};

struct nj_acl {
    _Atomic uint32_t refs;
    char *path;
    struct nj_buf text;        /* the file */
    struct nj_acl_node *nodes; /* [0] unused, all zero; so with the other arrays */
    uint32_t node_count;
    uint32_t node_cap;
    struct nj_acl_special *specials;
    uint32_t special_count;
    uint32_t special_cap;
    struct nj_acl_slot *slots; /* open addressing, at most half full */
    uint32_t slot_mask;
    uint32_t slot_count;
    struct nj_acl_user *users;
    uint32_t user_count;
    uint32_t user_cap;
    uint32_t *user_buckets;
    uint32_t user_mask;
    struct nj_acl_rule *rules;
    uint32_t rule_count;
    uint32_t rule_cap;
    uint32_t leading_root;
    uint32_t pattern_root;
    uint64_t leading_digest; /* sums over the rules of a list, each counted once */
    uint64_t pattern_digest;
    uint32_t leading_line; /* the first of them */
    bool has_leading;
    bool has_patterns;
    bool leading_for_all;
    char **warnings;
    uint32_t warning_count;
};

/* -- acl_build.c: texts are views into acl->text -- */
void nj_acl_build_init(struct nj_acl *acl);
/* The number of a new rule whose line is `text`. */
uint32_t nj_acl_build_rule(struct nj_acl *acl, uint32_t line, struct nj_bytes text);
/* Puts a valid topic of at most NJ_MQTT_LEVELS_MAX levels into a list. `access`: enum
 * nj_acl_access. */
void nj_acl_build_add(struct nj_acl *acl, uint32_t root, unsigned access, struct nj_bytes topic,
                      uint32_t rule);
/* The list of a user, made when there is none. */
uint32_t nj_acl_build_user(struct nj_acl *acl, struct nj_bytes name);
/* Whose list begins at `root`, which is one of a user. Users are numbered in the order in which
 * their roots were made. */
struct nj_acl_user *nj_acl_user_of(const struct nj_acl *acl, uint32_t root);
/* To be called once, after the last rule. */
void nj_acl_build_finish(struct nj_acl *acl);

/* Who asks, in the form that both kinds of question need. */
struct nj_acl_names {
    struct nj_bytes user; /* ptr NULL: %u cannot be filled */
    struct nj_bytes client;
};
struct nj_acl_names nj_acl_names(const struct nj_acl_query *query);
/* The lists to ask in order; unused ones are 0. */
void nj_acl_lists(const struct nj_acl *acl, const struct nj_acl_query *query, uint32_t lists[3]);

static inline struct nj_bytes nj_acl_level(const struct nj_acl *acl, const struct nj_acl_node *node)
{
    return nj_bytes(acl->text.data + node->level_at, node->level_len);
}

static inline uint64_t nj_acl_load32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* The last 0 to 8 bytes of a level, without a loop; together with the length it is one to one. */
static inline uint64_t nj_acl_tail(const uint8_t *at, size_t len)
{
    if (len >= 4) {
        return nj_acl_load32(at) << 32 | nj_acl_load32(at + len - 4);
    }
    return len ? (uint64_t)at[0] << 16 | (uint64_t)at[len / 2] << 8 | at[len - 1] : 0;
}

/* Not keyed: what is in the table comes from the operator's file, a peer can only ask. */
static inline uint64_t nj_acl_level_hash(struct nj_bytes level)
{
    const uint64_t factor = 0x9e3779b97f4a7c15ull;
    uint64_t hash = (level.len + 1) * factor;
    const uint8_t *at = level.ptr;
    size_t left = level.len;
    for (; left > 8; at += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
    }
    hash = (hash ^ nj_acl_tail(at, left)) * factor;
    return hash ^ hash >> 32;
}

/* Equal lengths given. Short levels are compared in registers. */
static inline bool nj_acl_same(const uint8_t *a, const uint8_t *b, size_t len)
{
    return len <= 8 ? nj_acl_tail(a, len) == nj_acl_tail(b, len) : memcmp(a, b, len) == 0;
}

static inline uint32_t nj_acl_slot_hash(uint32_t parent, uint64_t level_hash)
{
    return (uint32_t)((level_hash ^ (uint64_t)parent * 0xff51afd7ed558ccdull) *
                          0xc4ceb9fe1a85ec53ull >>
                      32);
}

/* The child of `parent` with this text, 0 when there is none. */
static inline uint32_t nj_acl_child(const struct nj_acl *acl, uint32_t parent,
                                    struct nj_bytes level, uint64_t level_hash)
{
    uint32_t hash = nj_acl_slot_hash(parent, level_hash);
    for (uint32_t at = hash & acl->slot_mask;; at = (at + 1) & acl->slot_mask) {
        const struct nj_acl_slot *slot = &acl->slots[at];
        if (!slot->node) {
            return 0;
        }
        if (slot->hash == hash) {
            const struct nj_acl_node *node = &acl->nodes[slot->node];
            if (node->parent == parent && node->level_len == level.len &&
                nj_acl_same(acl->text.data + node->level_at, level.ptr, level.len)) {
                return slot->node;
            }
        }
    }
}

#endif
