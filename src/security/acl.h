/* ACL files (mosquitto.conf acl_file): parsed into lists of rules, compiled so that a decision
 * costs the depth of the topic and not the number of rules.
 *
 *   lists:    anonymous or everybody's leading `topic` lines ─┐
 *             one for each `user` ────────────────────────────┼─► trie of levels, one for all lists
 *             patterns (with %u, %c) ─────────────────────────┘   node: deny, read, write rule ids
 *
 * In each list deny comes first, then read or write. A user's own list is asked first, then the
 * leading lines (native: for all; compat: for anonymous clients only), then the patterns; the first
 * list with a rule for the topic decides. Nothing found = no. A topic that begins with '$' is
 * matched only by rules that do, too. %u and %c fill one whole level, and only with a name that
 * holds no '+', '#' or '/' and is not empty; names with '+' or '#' match no pattern at all (L-017).
 *
 * An ACL never changes once it is made; any number of threads may ask it. */
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
    /* compat: what Mosquitto reads as plain text although the writer hardly meant it is read so
     * here, with a warning: `x%u` in a pattern, and `topic read` as a topic named "read". Otherwise
     * such lines are errors. */
    bool doubtful_as_text;
};

/* One reference for the caller. On an error `error` says what is wrong, with file and line, without
 * "Error: " and without a full stop. Blocks; not for workers. */
enum nj_err nj_acl_load(const char *path, const struct nj_acl_options *options, struct nj_acl **out,
                        char *error, size_t error_size) NJ_NODISCARD;
/* The same from memory; `path` is for messages. */
enum nj_err nj_acl_parse(struct nj_bytes text, const char *path,
                         const struct nj_acl_options *options, struct nj_acl **out, char *error,
                         size_t error_size) NJ_NODISCARD;
/* For more than one scope that reads the same file. Any thread. */
struct nj_acl *nj_acl_ref(struct nj_acl *acl);
/* Gives a reference back; the last one frees. NULL is allowed. */
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
    uint32_t rule_id; /* the first in the file of those that decided */
};
/* For a topic name. */
struct nj_acl_answer nj_acl_check(const struct nj_acl *acl, const struct nj_acl_query *query,
                                  struct nj_bytes topic);
/* For a subscription filter without $share/…: no, when nothing that it matches could ever be
 * delivered. A yes is no promise: parts of it may still be denied, and a filter with more ways
 * through the rules than can be looked at in a turn is granted. */
struct nj_acl_answer nj_acl_check_filter(const struct nj_acl *acl, const struct nj_acl_query *query,
                                         struct nj_bytes filter);

/* A rule_id for "some rule, too many to say which". */
#define NJ_ACL_RULE_SOME UINT32_MAX
/* "FILE:LINE: text of the rule". Returns buf. */
const char *nj_acl_rule_text(const struct nj_acl *acl, uint32_t rule_id, char *buf, size_t size);
/* Whether both were made from the same text. */
bool nj_acl_is_same(const struct nj_acl *a, const struct nj_acl *b);
/* Whether a client of these names has the same rights under both: the same rules in the lists that
 * are asked for it. Order, comments and rules of others do not count. Costs two look-ups. */
bool nj_acl_same_rights(const struct nj_acl *a, const struct nj_acl *b, struct nj_bytes user,
                        struct nj_bytes client_id);
size_t nj_acl_rule_count(const struct nj_acl *acl);
/* Warnings of the load (capital keywords, leading lines in compat mode …), for the start-up log. */
size_t nj_acl_warning_count(const struct nj_acl *acl);
const char *nj_acl_warning(const struct nj_acl *acl, size_t index);

#endif
