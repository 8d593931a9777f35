/* Why a decision comes out as it does, which rules came close, and the smallest change that would
 * turn a no into a yes.
 *
 * The verdict is nj_authz's own; nothing here decides. A change is only proposed after it was
 * tried: the edited rules went through the same parser and the same nj_authz and came out as yes.
 *
 * Costs up to a look at every rule of the scope: for tools and the control thread, not for workers.
 * Blocks on nothing. Any thread, as long as the policy is referenced. */
#ifndef NJ_SECURITY_EXPLAIN_H
#define NJ_SECURITY_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "security/authz.h"

struct nj_policy;

#define NJ_EXPLAIN_NEAR_MAX 5
#define NJ_EXPLAIN_EDIT_MAX 8

struct nj_explain_question {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    unsigned scope;
    bool by_certificate; /* the name is a certificate's */
    enum nj_action action;
    struct nj_bytes topic; /* valid for the action, by mqtt/topic.h */
};

/* A rule that did not decide, but nearly. */
struct nj_explain_near {
    unsigned distance;   /* smaller is nearer; 0 = matches as well */
    struct nj_buf where; /* "FILE:LINE" or what names it in another source: "role r" */
    struct nj_buf rule;  /* its text */
    struct nj_buf why;   /* half a sentence: "gives read, not write" */
};

/* One step of the change. A place without a name is a file that does not exist yet; for dynamic
 * security it is "dynamic security", and the text is the command that makes the change. */
struct nj_explain_edit {
    bool is_removal;
    struct nj_buf where;
    uint32_t line;      /* removed: the line; added: the line to put it behind, 0 = at the top */
    struct nj_buf text; /* without a newline at the end; an addition may have two lines */
};

struct nj_explanation {
    struct nj_verdict verdict;
    struct nj_buf where; /* of the rule that decided: "FILE:LINE"; empty = no rule did */
    struct nj_buf rule;  /* its text; empty = no rule did */
    struct nj_buf why;   /* one sentence without a full stop */
    struct nj_buf login; /* why this user could not log in at all, or counts as anonymous; empty =
                            it logs in under its name */
    struct nj_explain_near near[NJ_EXPLAIN_NEAR_MAX]; /* nearest first */
    size_t near_count;
    struct nj_explain_edit edits[NJ_EXPLAIN_EDIT_MAX]; /* all of them together; line numbers are
                                                          those of the file as it is */
    size_t edit_count;                                 /* 0 = no change of rules allows it */
    struct nj_buf caution; /* what else the change does; empty = nothing worth a word */
};

/* `out` is written in any case and wants nj_explanation_fini. NJ_ENOMEM: it is not complete. */
enum nj_err nj_explain_decision(const struct nj_policy *policy,
                                const struct nj_explain_question *question,
                                struct nj_explanation *out) NJ_NODISCARD;
/* An empty one, for who fills it from elsewhere. */
void nj_explanation_init(struct nj_explanation *explanation);
void nj_explanation_fini(struct nj_explanation *explanation);

/* -- for sources of rules -- */

/* Keeps the NJ_EXPLAIN_NEAR_MAX nearest; of equal ones those that came first. */
enum nj_err nj_explanation_add_near(struct nj_explanation *explanation, unsigned distance,
                                    const char *where, struct nj_bytes rule, const char *why)
    NJ_NODISCARD;
/* NJ_ETOOBIG when there is no room for one more. */
enum nj_err nj_explanation_add_edit(struct nj_explanation *explanation, bool is_removal,
                                    const char *where, uint32_t line, struct nj_bytes text)
    NJ_NODISCARD;

#endif
