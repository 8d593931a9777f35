/* Everything that decides about access, as one immutable snapshot with an epoch. Made by the
 * control thread, adopted by each worker at a turn boundary, reference counted. */
#ifndef NJ_SECURITY_POLICY_H
#define NJ_SECURITY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "security/authz.h"

struct nj_acl;
struct nj_dynsec_state;
struct nj_passwords;
struct nj_policy;
struct nj_psks;

/* One set of security settings: the global one, or one for each listener
 * (per_listener_settings). */
struct nj_scope {
    uint32_t id;                    /* what it is called over restarts: see nj_policy_scope_of */
    struct nj_acl *acl;             /* NULL = none configured */
    struct nj_passwords *passwords; /* NULL = no source of identities */
    struct nj_dynsec_state *dynsec; /* dynamic security as it is; NULL = not configured */
    struct nj_psks *psks;           /* pre-shared keys of TLS; NULL = none configured */
    bool acl_default_allow;         /* without an ACL */
    bool allow_anonymous;
    /* Native and compat mode (config/settings.h) */
    bool unverified_user_counts;    /* compat: a user name nobody can verify is taken as given */
    bool checks_subscribe;          /* native: SUBSCRIBE under an ACL file is checked */
    bool share_as_whole;            /* compat: $share/g/f is checked as one string */
    bool default_covers_sys;        /* compat: acl_default covers $SYS and $CONTROL */
    bool dynsec_knows_certificates; /* native: who comes by a certificate has to be known there */
};

/* Takes the scopes' contents over. Epochs begin at 1. */
struct nj_policy *nj_policy_new(uint64_t epoch, const struct nj_scope *scopes, size_t count);
/* One like `from` with what `change` makes of a copy of its scopes: it may replace what they
 * reference (and gives up the old reference then). On an error of `change` nothing is left. */
enum nj_err nj_policy_changed(const struct nj_policy *from, uint64_t epoch,
                              enum nj_err (*change)(void *arg, struct nj_scope *scopes,
                                                    size_t count),
                              void *arg, struct nj_policy **out) NJ_NODISCARD;
struct nj_policy *nj_policy_ref(struct nj_policy *policy);
void nj_policy_unref(struct nj_policy *policy);

uint64_t nj_policy_epoch(const struct nj_policy *policy);
size_t nj_policy_scope_count(const struct nj_policy *policy);
/* For NJ_SCOPE_GONE: one that allows and knows nobody. */
const struct nj_scope *nj_policy_scope(const struct nj_policy *policy, unsigned scope);
/* The scope that is called so, whatever the order of listeners: all are one scope, NJ_SCOPE_IDS, or
 * each (per_listener_settings) is one, by its address: above. NJ_SCOPE_GONE = no listener is called
 * so (any more). Names below NJ_SCOPE_IDS were stored before there were any: places in the
 * configuration. */
#define NJ_SCOPE_IDS  0x80000000u
#define NJ_SCOPE_GONE UINT32_MAX
unsigned nj_policy_scope_of(const struct nj_policy *policy, uint32_t id);
/* Whether the rules of a scope are not the same in both: then sessions under it are concerned by
 * the change. */
bool nj_policy_rules_differ(const struct nj_policy *a, const struct nj_policy *b, unsigned scope);
/* The same for its ACL file alone … */
bool nj_policy_acl_differs(const struct nj_policy *a, const struct nj_policy *b, unsigned scope);
/* … and for what it says about a client of these names. */
bool nj_policy_acl_differs_for(const struct nj_policy *a, const struct nj_policy *b, unsigned scope,
                               struct nj_bytes user, struct nj_bytes client_id);
/* Whether somebody who is logged in may not be any more (nj_login_still_holds). */
bool nj_policy_logins_differ(const struct nj_policy *a, const struct nj_policy *b, unsigned scope);
/* Whose, when logins differ in a scope: hash of the name | 1, at least NJ_POLICY_NAMES_MAX
 * places. False: anybody's. */
#define NJ_POLICY_NAMES_MAX 16
bool nj_policy_login_names(const struct nj_policy *a, const struct nj_policy *b,
                           uint64_t names[NJ_POLICY_NAMES_MAX], unsigned *count);
/* Whether one of the scope's identity sources knows the user; true when it has none to ask, and for
 * certificates when their group takes whoever is unknown. */
bool nj_policy_has_user(const struct nj_policy *policy, unsigned scope, struct nj_bytes user,
                        bool by_certificate);
/* "FILE:LINE: text", "no rule", …: why a verdict came out as it did. Returns buf or a
 * constant text. */
const char *nj_policy_describe(const struct nj_policy *policy, unsigned scope,
                               const struct nj_verdict *verdict, char *buf, size_t size);

#endif
