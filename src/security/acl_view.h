/* Looking into a compiled ACL, rule by rule: for the checker and for explanations. */
#ifndef NJ_SECURITY_ACL_VIEW_H
#define NJ_SECURITY_ACL_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "security/acl.h"

enum nj_acl_list_kind {
    NJ_ACL_LIST_LEADING, /* `topic` lines before the first `user` */
    NJ_ACL_LIST_USER,
    NJ_ACL_LIST_PATTERN
};

/* Bits. */
enum nj_acl_access {
    NJ_ACL_READ = 1,
    NJ_ACL_WRITE = 2,
    NJ_ACL_DENY = 4,
};

/* Views into the ACL, as long as that lives. */
struct nj_acl_rule_view {
    uint32_t id;
    uint32_t line;
    enum nj_acl_list_kind list;
    struct nj_bytes user; /* NJ_ACL_LIST_USER only */
    unsigned access;      /* enum nj_acl_access */
    struct nj_bytes topic;
    struct nj_bytes text; /* the whole line */
};

/* Rules are numbered from 1 to nj_acl_rule_count, in the order of the file. */
struct nj_acl_rule_view nj_acl_rule_view(const struct nj_acl *acl, uint32_t rule_id);
/* The name that messages give to the file. */
const char *nj_acl_path(const struct nj_acl *acl);
/* The whole file. */
struct nj_bytes nj_acl_text(const struct nj_acl *acl);
/* Whether leading lines are for everybody (native) or for anonymous clients only. */
bool nj_acl_leading_for_all(const struct nj_acl *acl);

/* A rule other than `rule_id` that has `access` (one bit) and whose topic covers that of the rule
 * whatever names fill the placeholders; in the list of `kind` (of the rule's own user). 0 = none
 * was found; a topic with very many ways through the rules is not looked at to the end. */
uint32_t nj_acl_rule_cover(const struct nj_acl *acl, uint32_t rule_id, enum nj_acl_list_kind kind,
                           enum nj_acl_access access);

#endif
