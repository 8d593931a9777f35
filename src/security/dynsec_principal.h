/* What one identity may do: its roles and those of its groups, flattened in the order in which they
 * are asked, compiled so that a check costs the depth of the topic and not the number of rules.
 *
 *   ranks       0  1  2  3 │ 4  5 │ 6 …       the smaller one decides
 *   role "a" ───┘  literals, then patterns by priority
 *   role "b" ──────────────┘
 *
 * Patterns are one trie of levels, each node with the smallest rank for every kind of access;
 * literal filters are a hash table. Principals with the same roles are the same object: a fleet of
 * devices that hold one role has one. Immutable, reference counted, any thread. */
#ifndef NJ_SECURITY_DYNSEC_PRINCIPAL_H
#define NJ_SECURITY_DYNSEC_PRINCIPAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "security/dynsec_model.h"

struct nj_dynsec_principal;
struct nj_dynsec_principals;

/* The table in which they are found; counted. */
struct nj_dynsec_principals *nj_dynsec_principals_new(void);
struct nj_dynsec_principals *nj_dynsec_principals_ref(struct nj_dynsec_principals *table);
void nj_dynsec_principals_unref(struct nj_dynsec_principals *table);
size_t nj_dynsec_principals_count(struct nj_dynsec_principals *table);

enum nj_dynsec_who {
    NJ_DYNSEC_WHO_KNOWN,       /* a client */
    NJ_DYNSEC_WHO_ANONYMOUS,   /* the anonymous group, or nothing */
    NJ_DYNSEC_WHO_CERTIFICATE, /* a certificate whose name is no client: its group, or nothing */
    NJ_DYNSEC_WHO_UNKNOWN      /* not of this module */
};

/* Brings *principal, which may be NULL, up to `state`: kept when its roles are still the same
 * records. `user` ptr NULL = anonymous. NJ_ENOMEM: *principal is given up and NULL. */
enum nj_err nj_dynsec_principal_refresh(const struct nj_dynsec_state *state, struct nj_bytes user,
                                        bool by_certificate, struct nj_dynsec_principal **principal,
                                        enum nj_dynsec_who *who) NJ_NODISCARD;
void nj_dynsec_principal_unref(struct nj_dynsec_principal *principal); /* NULL is allowed */

struct nj_dynsec_question {
    enum nj_dynsec_access access;
    struct nj_bytes topic; /* or filter, as it is to be checked */
    struct nj_bytes user;  /* for %u and %c */
    struct nj_bytes client_id;
};

/* An answer's `acl` when the role's allowwildcardsubs decided. */
#define NJ_DYNSEC_ACL_SWITCH UINT32_MAX

struct nj_dynsec_answer {
    bool has_rule;
    bool allowed;
    uint32_t role_id;
    uint32_t acl; /* place in the role's entries */
};
/* No rule: the state's defaults are the caller's business. */
struct nj_dynsec_answer nj_dynsec_principal_check(const struct nj_dynsec_principal *principal,
                                                  const struct nj_dynsec_question *question);

/* Roles in order of evaluation, for explanations. */
size_t nj_dynsec_principal_role_count(const struct nj_dynsec_principal *principal);
const struct nj_dynsec_role *nj_dynsec_principal_role(const struct nj_dynsec_principal *principal,
                                                      size_t place);

#endif
