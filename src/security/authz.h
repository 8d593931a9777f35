/* The decision: may this subject do this with this topic? One function on every path of a message.
 *
 * Synchronous, without locks and without allocation on the way; any thread, as long as the policy
 * is referenced. Each verdict names the rule that decided. */
#ifndef NJ_SECURITY_AUTHZ_H
#define NJ_SECURITY_AUTHZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct nj_policy;
struct nj_authz_cache;
struct nj_dynsec_principal;

enum nj_action {
    NJ_ACTION_PUBLISH,
    NJ_ACTION_DELIVER, /* receive: live, queued, retained, shared */
    NJ_ACTION_SUBSCRIBE,
    NJ_ACTION_UNSUBSCRIBE,
    NJ_ACTION_WILL, /* publish a will: at CONNECT, and again when it fires */
    NJ_ACTION_COUNT
};

/* "publish", "receive", …: for logs. */
const char *nj_action_name(enum nj_action action);

enum nj_verdict_reason {
    NJ_VERDICT_RULE,      /* rule_id of the scope's ACL decided */
    NJ_VERDICT_NO_RULE,   /* there is an ACL, but no rule of it matches */
    NJ_VERDICT_DEFAULT,   /* no ACL: acl_default */
    NJ_VERDICT_RESERVED,  /* topics that no rule opens: $SYS writes, $share, $CONTROL */
    NJ_VERDICT_UNCHECKED, /* compat: this action is not checked */
    NJ_VERDICT_IDENTITY,  /* the user does not exist any more */
    NJ_VERDICT_ROLE,      /* entry rule_id of the role role_id of dynamic security decided */
    NJ_VERDICT_DYNSEC,    /* no role says anything: dynamic security's default access */
    NJ_VERDICT_STRANGER,  /* dynamic security does not know the user */
    NJ_VERDICT_REASON_COUNT
};

struct nj_verdict {
    bool allowed;
    uint8_t reason; /* enum nj_verdict_reason */
    uint32_t rule_id;
    uint32_t role_id; /* with NJ_VERDICT_ROLE */
};

/* Who asks. Lives inside a session; owned by its thread. The texts belong to the caller and stay
 * unchanged as long as the subject; for another name make another subject. */
struct nj_subject {
    struct nj_bytes user; /* ptr NULL = anonymous */
    struct nj_bytes client_id;
    unsigned scope;
    uint32_t user_list;  /* of the ACL with `epoch`; see acl.h */
    bool by_certificate; /* the name is a certificate's */
    uint8_t who;         /* enum nj_dynsec_who */
    uint64_t epoch;      /* of the policy that the fields around belong to; 0 = none */
    struct nj_dynsec_principal *principal; /* the roles of dynamic security, compiled */
    struct nj_authz_cache *cache;          /* last verdicts; made at second use under an ACL */
    uint8_t misses[2];                     /* of the cache, since its last hit */
};

void nj_subject_init(struct nj_subject *subject, struct nj_bytes user, struct nj_bytes client_id,
                     unsigned scope);
void nj_subject_fini(struct nj_subject *subject);

/* `topic`: for SUBSCRIBE and UNSUBSCRIBE the filter as it was sent, $share/… included; else the
 * topic name. After all rewriting (alias, mount point). Valid by mqtt/topic.h.
 *
 * Refused whatever a rule says: publishing and wills to $SYS (but
 * $SYS/broker/connection/<id>/state), $share, $queue and $exclusive; wills to $CONTROL; everything
 * below $int, which is the broker's own. Without an ACL `acl_default` decides, which never covers
 * $CONTROL and, natively, not $SYS. Giving up a subscription is always allowed, unless dynamic
 * security has a rule about it.
 *
 * With dynamic security its roles are asked first. Where they and the default
 * access say nothing, or do not know the user, the ACL file decides if there is one, else no. */
void nj_authz(const struct nj_policy *policy, struct nj_subject *subject, enum nj_action action,
              struct nj_bytes topic, struct nj_verdict *out);

#endif
