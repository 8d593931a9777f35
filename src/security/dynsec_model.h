/* What dynamic security knows, as a value: clients, groups, roles, defaults.
 *
 *   state n ─► clients ──► client "u" ─ roles: (id, priority) …, groups: (id, priority) …
 *     │        groups  ──► group "g" ── roles: (id, priority) …, members: client → priority
 *     ▼        roles   ──► role "r" ─── ACL entries
 *   state n+1, which shares everything but what changed (base/pmap.h)
 *
 * Records never change: a change makes a new one. Roles and groups have numbers that are never used
 * again, and references to one that was deleted mean nothing; so deleting a role that a hundred
 * thousand clients hold costs as much as any other change, and a role of the same name that is made
 * later is another one.
 *
 * A state that others can see is immutable and may be read and given up by any thread. The one that
 * an edit works on (dynsec_edit.h) belongs to its thread. */
#ifndef NJ_SECURITY_DYNSEC_MODEL_H
#define NJ_SECURITY_DYNSEC_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/pmap.h"

#define NJ_DYNSEC_PRIORITY_MAX   100000
#define NJ_DYNSEC_NO_PRIORITY    (-1)  /* of a membership that was given none */
#define NJ_DYNSEC_NAME_MAX       65535 /* bytes of a name, a text or a topic */
#define NJ_DYNSEC_NOBODY         0u    /* no number of a group or role */
#define NJ_DYNSEC_CREDENTIAL_MIN 16u   /* smaller numbers mean something else; see login.h */

enum nj_dynsec_acl_type {
    NJ_DYNSEC_SEND,
    NJ_DYNSEC_RECEIVE,
    NJ_DYNSEC_SUBSCRIBE_LITERAL,
    NJ_DYNSEC_SUBSCRIBE_PATTERN,
    NJ_DYNSEC_UNSUBSCRIBE_LITERAL,
    NJ_DYNSEC_UNSUBSCRIBE_PATTERN,
    NJ_DYNSEC_ACL_TYPE_COUNT
};

/* "publishClientSend", … */
const char *nj_dynsec_acl_type_name(enum nj_dynsec_acl_type type);
/* False when there is no such type. Upper and lower case are the same, as in the original. */
bool nj_dynsec_acl_type_find(const char *name, enum nj_dynsec_acl_type *out);

/* What the defaults are about. */
enum nj_dynsec_access {
    NJ_DYNSEC_ACCESS_SEND,
    NJ_DYNSEC_ACCESS_RECEIVE,
    NJ_DYNSEC_ACCESS_SUBSCRIBE,
    NJ_DYNSEC_ACCESS_UNSUBSCRIBE,
    NJ_DYNSEC_ACCESS_COUNT
};
const char *nj_dynsec_access_name(enum nj_dynsec_access access);
bool nj_dynsec_access_find(const char *name, enum nj_dynsec_access *out);

struct nj_dynsec_acl {
    struct nj_bytes topic;
    int32_t priority;
    uint8_t type; /* enum nj_dynsec_acl_type */
    bool allow;
};

/* A membership: a role of a client or group, a group of a client. */
struct nj_dynsec_ref {
    uint32_t id;
    int32_t priority;
};

/* The records below are also what their makers take: then `refs` is not looked at, texts and arrays
 * belong to the caller. Texts that are not given have ptr NULL. */
struct nj_dynsec_role {
    _Atomic uint32_t refs;
    uint32_t id;
    struct nj_bytes name;
    struct nj_bytes text_name;
    struct nj_bytes text_description;
    bool allow_wildcard_subs;
    uint32_t acl_count;
    const struct nj_dynsec_acl *acls; /* by type; then priority, highest first; then as they came */
};

struct nj_dynsec_group {
    _Atomic uint32_t refs;
    uint32_t id;
    struct nj_bytes name;
    struct nj_bytes text_name;
    struct nj_bytes text_description;
    uint32_t role_count;
    const struct nj_dynsec_ref *roles; /* in order of evaluation */
    struct nj_pmap members;            /* of struct nj_dynsec_member, by name of the client */
};

struct nj_dynsec_client {
    _Atomic uint32_t refs;
    bool is_disabled;
    bool may_use_certificate; /* certificateLogin: although it may administer */
    uint64_t credential;      /* another one whenever the hash is */
    struct nj_bytes name;
    struct nj_bytes client_id; /* the only one it may have */
    struct nj_bytes text_name;
    struct nj_bytes text_description;
    struct nj_bytes hash; /* as in password.h; ptr NULL = no password, no login by one */
    uint32_t role_count;
    uint32_t group_count;
    const struct nj_dynsec_ref *roles; /* in order of evaluation; so are the groups */
    const struct nj_dynsec_ref *groups;
};

struct nj_dynsec_member {
    _Atomic uint32_t refs;
    int32_t priority;
    uint32_t name_len;
    char name[];
};

/* See dynsec_principal.h. */
struct nj_dynsec_principals;

#define NJ_DYNSEC_RECENT    16
#define NJ_DYNSEC_EVERYBODY 0u

struct nj_dynsec_state {
    _Atomic uint32_t refs;
    uint64_t change_index;
    uint64_t rules_version;    /* another one whenever a right of someone may have changed, */
    uint64_t identity_version; /* or whether someone may be logged in: */
    uint64_t recent[NJ_DYNSEC_RECENT]; /* hash of his name, at the version modulo the size */
    bool defaults[NJ_DYNSEC_ACCESS_COUNT];
    uint32_t anonymous_group;   /* number, NJ_DYNSEC_NOBODY = none */
    uint32_t certificate_group; /* of certificates whose name is no client */
    uint32_t next_id;
    uint64_t next_credential;
    struct nj_pmap clients; /* by name */
    struct nj_pmap groups;
    struct nj_pmap roles;
    struct nj_pmap group_ids; /* by number */
    struct nj_pmap role_ids;
    struct nj_dynsec_principals *principals; /* shared by all states of one module */
};

/* Nobody, nothing, the original's defaults. Takes a reference to `principals`. */
struct nj_dynsec_state *nj_dynsec_state_new(struct nj_dynsec_principals *principals) NJ_NODISCARD;
/* Another one with the same contents, for editing. NULL when memory is short. */
struct nj_dynsec_state *nj_dynsec_state_copy(const struct nj_dynsec_state *state) NJ_NODISCARD;
struct nj_dynsec_state *nj_dynsec_state_ref(struct nj_dynsec_state *state);
void nj_dynsec_state_unref(struct nj_dynsec_state *state); /* NULL is allowed */

/* Whose logins may not hold any more, as nj_hash_bytes(name) | 1, from one state to a later
 * one. False: anybody's. */
bool nj_dynsec_identity_changes(const struct nj_dynsec_state *old,
                                const struct nj_dynsec_state *fresh,
                                uint64_t names[NJ_DYNSEC_RECENT], unsigned *count);

/* Borrowed from the state; NULL when there is none. */
const struct nj_dynsec_client *nj_dynsec_client(const struct nj_dynsec_state *state,
                                                struct nj_bytes name);
const struct nj_dynsec_group *nj_dynsec_group(const struct nj_dynsec_state *state,
                                              struct nj_bytes name);
const struct nj_dynsec_role *nj_dynsec_role(const struct nj_dynsec_state *state,
                                            struct nj_bytes name);
const struct nj_dynsec_group *nj_dynsec_group_by_id(const struct nj_dynsec_state *state,
                                                    uint32_t id);
const struct nj_dynsec_role *nj_dynsec_role_by_id(const struct nj_dynsec_state *state, uint32_t id);

/* The place of `id` among references; -1 when it is not there. */
int nj_dynsec_ref_find(const struct nj_dynsec_ref *refs, uint32_t count, uint32_t id);
/* Leaves out what names the same as an earlier one; fewer are left then. NJ_ENOMEM. */
enum nj_err nj_dynsec_refs_unique(struct nj_dynsec_ref *refs, uint32_t *count) NJ_NODISCARD;
/* The entry with this type and topic; -1 when there is none. */
int nj_dynsec_acl_find(const struct nj_dynsec_role *role, enum nj_dynsec_acl_type type,
                       struct nj_bytes topic);
/* Whether the client has the role, itself or by one of its groups. */
bool nj_dynsec_client_has_role(const struct nj_dynsec_state *state,
                               const struct nj_dynsec_client *client, uint32_t role_id);
/* Whether some ACL entry allows something at or below $CONTROL. */
bool nj_dynsec_role_may_control(const struct nj_dynsec_role *role);
bool nj_dynsec_roles_may_control(const struct nj_dynsec_state *state,
                                 const struct nj_dynsec_ref *roles, uint32_t count);
bool nj_dynsec_client_may_control(const struct nj_dynsec_state *state,
                                  const struct nj_dynsec_client *client);

/* -- making records: copies of what is given, in one block; NULL when memory is short -- */
struct nj_dynsec_role *nj_dynsec_role_make(const struct nj_dynsec_role *from) NJ_NODISCARD;
/* Takes no reference to the members: they are those of `from`, whose version is shared. */
struct nj_dynsec_group *nj_dynsec_group_make(const struct nj_dynsec_group *from) NJ_NODISCARD;
struct nj_dynsec_client *nj_dynsec_client_make(const struct nj_dynsec_client *from) NJ_NODISCARD;
struct nj_dynsec_member *nj_dynsec_member_make(struct nj_bytes name, int32_t priority) NJ_NODISCARD;

extern const struct nj_pmap_type nj_dynsec_clients_type;
extern const struct nj_pmap_type nj_dynsec_groups_type;
extern const struct nj_pmap_type nj_dynsec_roles_type;
extern const struct nj_pmap_type nj_dynsec_group_ids_type;
extern const struct nj_pmap_type nj_dynsec_role_ids_type;
extern const struct nj_pmap_type nj_dynsec_members_type;

#endif
