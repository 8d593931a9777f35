/* ACL files (mosquitto.conf acl_file): parsed into lists of rules, compiled so that a decision
 * costs the depth of the topic and not the number of rules.
 *
 *   lists:    anonymous or everybody's leading `topic` lines ─┐
 *             one for each `user` ────────────────────────────┼─► trie of levels, one for all lists
 *             patterns (with %u, %c) ─────────────────────────┘   node: deny, read, write rule ids
 *
 * In each list deny comes first, then read or write. A user's own list is asked first, then the
 * leading lines (native: for all; compat: for anonymous clients only), then the patterns. */
#ifndef NJ_SECURITY_ACL_H
#define NJ_SECURITY_ACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_acl;

struct nj_acl_options {
    bool leading_for_all;   /* native: leading `topic` lines are for every client that got in */
    bool any_case_keywords; /* native: `Topic` is understood, with a warning */
    bool nofollow;          /* refuse symbolic links */
};

/* On an error `error` says what is wrong, with file and line, without a trailing newline. */
enum nj_err nj_acl_load(const char *path, const struct nj_acl_options *options, struct nj_acl **out,
                        char *error, size_t error_size) NJ_NODISCARD;
/* The same from memory; `path` is for messages. */
enum nj_err nj_acl_parse(struct nj_bytes text, const char *path,
                         const struct nj_acl_options *options, struct nj_acl **out, char *error,
                         size_t error_size) NJ_NODISCARD;
void nj_acl_free(struct nj_acl *acl);

#define NJ_ACL_NO_LIST 0u
/* The list of a user, NJ_ACL_NO_LIST when there is none. */
uint32_t nj_acl_user_list(const struct nj_acl *acl, struct nj_bytes user);

struct nj_acl_query {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    uint32_t user_list;
    bool is_write; /* else read */
};
struct nj_acl_answer {
    bool allowed;
    bool has_rule;
    uint32_t rule_id;
};
/* For a topic name. */
struct nj_acl_answer nj_acl_check(const struct nj_acl *acl, const struct nj_acl_query *query,
                                  struct nj_bytes topic);
/* For a subscription filter: whether anything could ever be delivered. */
struct nj_acl_answer nj_acl_check_filter(const struct nj_acl *acl, const struct nj_acl_query *query,
                                         struct nj_bytes filter);

/* "FILE:LINE: text of the rule". Returns buf. */
const char *nj_acl_rule_text(const struct nj_acl *acl, uint32_t rule_id, char *buf, size_t size);
size_t nj_acl_rule_count(const struct nj_acl *acl);
/* Warnings of the load (capital keywords, leading lines in compat mode …), for the start-up log. */
size_t nj_acl_warning_count(const struct nj_acl *acl);
const char *nj_acl_warning(const struct nj_acl *acl, size_t index);

#endif
