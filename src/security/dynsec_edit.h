/* Changing dynamic security: a few primitive steps from which every command is made.
 *
 * Each step is applied to the draft and written into the edit's log as one line of JSON that says
 * what the record is now. The log is what the journal keeps: to apply its lines to the state before
 * gives the state after, without a password, a random number or a clock.
 *
 * Steps check nothing that a command has to say in words of its own; they assert that what they
 * refer to exists. All functions: the thread that owns the edit. */
#ifndef NJ_SECURITY_DYNSEC_EDIT_H
#define NJ_SECURITY_DYNSEC_EDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/err.h"
#include "security/dynsec_model.h"

struct nj_dynsec_edit {
    struct nj_dynsec_state *state; /* the draft */
    struct nj_buf log;             /* lines so far */
    bool is_replay;                /* nothing is logged */
};

/* A draft of what `base` is. NJ_ENOMEM. */
enum nj_err nj_dynsec_edit_init(struct nj_dynsec_edit *edit, const struct nj_dynsec_state *base)
    NJ_NODISCARD;
void nj_dynsec_edit_fini(struct nj_dynsec_edit *edit);

/* A point to go back to. Either undo or forget ends it. */
struct nj_dynsec_mark {
    struct nj_dynsec_state *state;
    size_t log_len;
};
enum nj_err nj_dynsec_edit_mark(struct nj_dynsec_edit *edit, struct nj_dynsec_mark *mark)
    NJ_NODISCARD;
void nj_dynsec_edit_undo(struct nj_dynsec_edit *edit, struct nj_dynsec_mark *mark);
void nj_dynsec_edit_forget(struct nj_dynsec_mark *mark);

/* -- steps: NJ_ENOMEM, and then the edit has to be undone to a mark or given up -- */

/* Ends a change: changeIndex + 1. */
enum nj_err nj_dynsec_step_index(struct nj_dynsec_edit *edit) NJ_NODISCARD;
enum nj_err nj_dynsec_step_defaults(struct nj_dynsec_edit *edit,
                                    const bool allow[NJ_DYNSEC_ACCESS_COUNT]) NJ_NODISCARD;
/* `group` NULL: none. */
enum nj_err nj_dynsec_step_anonymous(struct nj_dynsec_edit *edit,
                                     const struct nj_dynsec_group *group) NJ_NODISCARD;
enum nj_err nj_dynsec_step_certificate(struct nj_dynsec_edit *edit,
                                       const struct nj_dynsec_group *group) NJ_NODISCARD;
/* New or in place of the one with the same name. The arrays of references are sorted and references
 * to what does not exist are left out. `id` and `credential` are not looked at: the number of an
 * existing one stays, and a credential lives as long as its hash is the same. `groups` and
 * `members` are not looked at either: memberships are steps of their own. */
enum nj_err nj_dynsec_step_role(struct nj_dynsec_edit *edit, const struct nj_dynsec_role *role)
    NJ_NODISCARD;
enum nj_err nj_dynsec_step_group(struct nj_dynsec_edit *edit, const struct nj_dynsec_group *group)
    NJ_NODISCARD;
enum nj_err nj_dynsec_step_client(struct nj_dynsec_edit *edit,
                                  const struct nj_dynsec_client *client) NJ_NODISCARD;
/* Gone with all its memberships. NJ_ENOENT. */
enum nj_err nj_dynsec_step_role_gone(struct nj_dynsec_edit *edit, struct nj_bytes name)
    NJ_NODISCARD;
enum nj_err nj_dynsec_step_group_gone(struct nj_dynsec_edit *edit, struct nj_bytes name)
    NJ_NODISCARD;
enum nj_err nj_dynsec_step_client_gone(struct nj_dynsec_edit *edit, struct nj_bytes name)
    NJ_NODISCARD;
/* In, or with another priority. NJ_ENOENT when one of both does not exist. */
enum nj_err nj_dynsec_step_join(struct nj_dynsec_edit *edit, struct nj_bytes group,
                                struct nj_bytes client, int32_t priority) NJ_NODISCARD;
enum nj_err nj_dynsec_step_leave(struct nj_dynsec_edit *edit, struct nj_bytes group,
                                 struct nj_bytes client) NJ_NODISCARD;

/* Applies lines of a log. NJ_EMALFORMED: they are no such lines. */
enum nj_err nj_dynsec_edit_replay(struct nj_dynsec_edit *edit, struct nj_bytes lines) NJ_NODISCARD;

/* In order of evaluation, without those that mean nothing any more: *out is the caller's to free,
 * *count shrinks. NJ_ENOMEM. */
enum nj_err nj_dynsec_refs_sort(const struct nj_dynsec_state *state, bool is_group,
                                const struct nj_dynsec_ref *refs, uint32_t *count,
                                struct nj_dynsec_ref **out) NJ_NODISCARD;

#endif
