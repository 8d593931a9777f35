/* The parts of explaining: explain.c asks and puts together, explain_acl.c knows ACL files,
 * explain_topic.c compares a topic with a rule's, explain_dynsec.c knows dynamic security. */
#ifndef NJ_SECURITY_EXPLAIN_PRIV_H
#define NJ_SECURITY_EXPLAIN_PRIV_H

#include "security/explain.h"
#include "security/policy.h"

#define NJ_EXPLAIN_WHY_MAX 400

/* How far a rule is from deciding. */
enum nj_explain_distance {
    NJ_NEAR_MATCHES,  /* it matches, but another one is asked first */
    NJ_NEAR_ACCESS,   /* for another access */
    NJ_NEAR_SPELLING, /* capital letters, a '/' too many */
    NJ_NEAR_OTHERS,   /* for somebody else */
    NJ_NEAR_LEVEL,    /* one level of the topic differs */
    NJ_NEAR_BELOW,    /* it ends above the topic */
    NJ_NEAR_FAR       /* and one more for each level that differs */
};

/* What everybody has to know of a question. */
struct nj_explain_case {
    const struct nj_policy *policy;
    const struct nj_scope *scope;
    const struct nj_explain_question *question;
    struct nj_bytes topic; /* or filter, as it is checked: without $share/… natively */
    bool is_filter;
    bool is_write;
};

/* Whether a rule's `filter`, placeholders filled, is about the topic of the case: matches it; of a
 * subscription, shares a topic with it. */
bool nj_explain_concerns(const struct nj_explain_case *the_case, struct nj_bytes filter);
/* How a filter that does not match differs. False: it has nothing to do with it. */
bool nj_explain_difference(struct nj_bytes topic, struct nj_bytes filter, unsigned *distance,
                           char why[NJ_EXPLAIN_WHY_MAX]);
/* `filter` with %u and %c filled. False: a name cannot fill it; `why` says so. */
bool nj_explain_fill(struct nj_bytes filter, struct nj_bytes user, struct nj_bytes client_id,
                     struct nj_buf *out, char why[NJ_EXPLAIN_WHY_MAX]);

enum nj_err nj_explain_acl_near(const struct nj_explain_case *the_case, struct nj_explanation *out)
    NJ_NODISCARD;
/* No edits when nothing in the file can allow it. */
enum nj_err nj_explain_acl_change(const struct nj_explain_case *the_case,
                                  struct nj_explanation *out) NJ_NODISCARD;
/* explain_dynsec.c: the same for dynamic security. */
enum nj_err nj_explain_dynsec_near(const struct nj_explain_case *the_case,
                                   struct nj_explanation *out) NJ_NODISCARD;
/* Why a client that is known cannot log in as it is asked about; nothing = it can. */
enum nj_err nj_explain_dynsec_login(const struct nj_explain_case *the_case,
                                    struct nj_explanation *out) NJ_NODISCARD;
enum nj_err nj_explain_dynsec_change(const struct nj_explain_case *the_case,
                                     struct nj_explanation *out) NJ_NODISCARD;

#endif
