/* The identity chain: who is it that connects, and is it true? (architecture: the way of a login)
 *
 * Each link says yes, no, or not mine; any doubt is no. What can be said without hashing is said at
 * once, on the worker; a password goes to the auth pool (auth_pool.h), except when this very
 * credential was verified before and is remembered. Refusals look the same to the client whatever
 * the reason; the reason is for the log. */
#ifndef NJ_SECURITY_LOGIN_H
#define NJ_SECURITY_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"

struct nj_policy;

struct nj_login_request {
    struct nj_bytes user; /* ptr NULL = none given; empty is a name */
    struct nj_bytes password;
    struct nj_bytes client_id;
    struct nj_bytes certificate; /* identity from the client's certificate; ptr NULL = none asked */
    unsigned scope;
};

enum nj_login_result {
    NJ_LOGIN_ACCEPTED,
    NJ_LOGIN_REFUSED,
    NJ_LOGIN_VERIFY, /* `hash` (or an empty ticket) has to go through the auth pool */
};

/* The credential of a name that nothing could verify (compat). */
#define NJ_CREDENTIAL_UNVERIFIED 2u
/* Of a certificate's name that dynamic security lets in. */
#define NJ_CREDENTIAL_CERTIFICATE 3u

struct nj_login_decision {
    enum nj_login_result result;
    struct nj_bytes user; /* accepted: the identity; ptr NULL = anonymous */
    struct nj_bytes hash; /* to verify against; empty = unknown user, always refused */
    uint64_t credential;  /* what holds the login up; 0 = nothing that can change */
    bool by_certificate;  /* the identity is a certificate's */
    const char *why;      /* refused, or verify in vain: for the log; NULL = as it turns out */
};

/* Any thread; does not block. `policy` has to outlive the decision.
 *
 *   certificate asked for        the certificate's name, whatever CONNECT says
 *                                (with dynamic security: see below)
 *   user and password, source    verify (an unknown user by an empty ticket)
 *   user alone, source           no (L-050)
 *   password alone, source       no
 *   user, no source              allow_anonymous: native anonymous, compat as given; else no
 *   neither                      allow_anonymous: anonymous; else no
 *
 * Sources are asked in this order, and the first that knows the name decides: dynamic security, the
 * password file. A client of dynamic security that is disabled or bound to another client id takes
 * an empty ticket. Natively a certificate's name has to be an enabled client there, with
 * certificateLogin if it may administer; one that is unknown gets in as a member of the certificate
 * group, when there is one.
 *
 * An empty text is a text: "" is a user that no file can hold, and never anonymous (L-051). With a
 * source a wrong name or password is never anonymous either (L-052). */
void nj_login_decide(const struct nj_policy *policy, const struct nj_login_request *request,
                     struct nj_login_decision *out);

/* What a session was let in with. */
struct nj_login_held {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    uint64_t credential;
};
/* Whether it would still get in: not when its user or hash is gone or changed, when it is anonymous
 * and that is no longer allowed, when nothing could verify its name and now something can, or when
 * dynamic security says now that the client is disabled or bound to another client id. */
bool nj_login_still_holds(const struct nj_policy *policy, unsigned scope,
                          const struct nj_login_held *held);

/* -- remembered credentials: only the hash computation is replaced, everything else is decided
 * every time. A keyed digest of (user, password, stored hash) is kept for a while. Any thread. --
 */
struct nj_remembered;
/* A table of `entries` places (40 bytes each); a newer credential takes the place of an older one
 * that falls on the same. */
struct nj_remembered *nj_remembered_new(unsigned entries, uint64_t lifetime_ms);
void nj_remembered_free(struct nj_remembered *remembered);
bool nj_remembered_has(struct nj_remembered *remembered, struct nj_bytes user,
                       struct nj_bytes password, struct nj_bytes hash, uint64_t now_ms);
void nj_remembered_add(struct nj_remembered *remembered, struct nj_bytes user,
                       struct nj_bytes password, struct nj_bytes hash, uint64_t now_ms);

#endif
