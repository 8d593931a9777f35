/* What the commands of dynamic security share. dynsec_table.c has the table, dynsec_module.c begins
 * and ends requests, dynsec_{general,clients,groups,roles}.c are the commands, dynsec_show.c what
 * they answer with. */
#ifndef NJ_CONTROL_DYNSEC_PRIV_H
#define NJ_CONTROL_DYNSEC_PRIV_H

#include "base/buf.h"
#include "control/dynsec_api.h"
#include "control/plane.h"
#include "security/dynsec.h"
#include "security/dynsec_edit.h"
#include "security/dynsec_kick.h"
#include "security/dynsec_principal.h"

struct nj_dynsec_module {
    struct nj_dynsec *dynsec;
    struct nj_dynsec_module_options options;
    /* the request at work */
    struct nj_dynsec_edit edit;
    struct nj_dynsec_mark mark; /* before the command at work */
    struct nj_dynsec_kick *kick;
    json_t *events; /* one for each command that changed something */
    bool is_atomic;
    bool had_right; /* the caller, to what it is using */
};

static inline struct nj_dynsec_module *nj_dynsec_module_of(struct nj_control_call *call)
{
    return nj_control_call_ctx(call);
}

static inline struct nj_dynsec_state *nj_dynsec_draft(struct nj_control_call *call)
{
    return nj_dynsec_module_of(call)->edit.state;
}

const struct nj_hash_cost *nj_dynsec_hash_cost(void *ctx);
enum nj_err nj_dynsec_begin(void *ctx, struct nj_control_request *request) NJ_NODISCARD;
void nj_dynsec_end(void *ctx, struct nj_control_request *request);

/* -- frame of a command that changes something (dynsec_module.c) -- */

/* What went wrong, in words; text NULL = nothing. */
struct nj_dynsec_fail {
    enum nj_control_fault fault;
    const char *text;
};
#define NJ_DYNSEC_DONE ((struct nj_dynsec_fail){NJ_REFUSED_INVALID, NULL})

static inline struct nj_dynsec_fail nj_dynsec_fail(enum nj_control_fault fault, const char *text)
{
    return (struct nj_dynsec_fail){fault, text};
}
/* "Internal error" for whatever a step says. */
struct nj_dynsec_fail nj_dynsec_fail_of(enum nj_err err);

/* Runs `change` on the draft between a mark and its undoing or a new changeIndex, and ends the
 * call. `change` may set *data. */
void nj_dynsec_run(struct nj_control_call *call,
                   struct nj_dynsec_fail (*change)(struct nj_control_call *call, json_t **data));
/* The handler of a row that is no more than that. */
#define NJ_DYNSEC_CHANGE(handler, change)                                                          \
    void handler(struct nj_control_call *call)                                                     \
    {                                                                                              \
        nj_dynsec_run(call, change);                                                               \
    }

/* -- arguments -- */

/* A name given with the command; ptr NULL when it is not there. False: *fail says why. `what` is
 * the text when it is no UTF-8 for MQTT. */
bool nj_dynsec_name(struct nj_control_call *call, const char *key, const char *what,
                    struct nj_bytes *out, struct nj_dynsec_fail *fail);
int32_t nj_dynsec_priority_of(const json_t *object, int32_t otherwise);
/* [{"rolename":…,"priority":…}]: numbers appended to `out` (struct nj_dynsec_ref). */
struct nj_dynsec_fail nj_dynsec_roles_of(struct nj_control_call *call, struct nj_buf *out);
/* Takes a text over into *field when it was given. False: *fail says why. */
bool nj_dynsec_text(struct nj_control_call *call, const char *key, struct nj_bytes *field,
                    struct nj_dynsec_fail *fail);

/* -- answers (dynsec_show.c); new references -- */
json_t *nj_dynsec_show_client(const struct nj_dynsec_state *state,
                              const struct nj_dynsec_client *client);
json_t *nj_dynsec_show_group(const struct nj_dynsec_state *state,
                             const struct nj_dynsec_group *group);
json_t *nj_dynsec_show_role(const struct nj_dynsec_role *role);
/* Pages of a map: {"totalCount":…, KEY:[…]}. */
json_t *nj_dynsec_show_list(struct nj_control_call *call, const struct nj_pmap *map,
                            const char *key,
                            json_t *(*show)(const struct nj_dynsec_state *state, const void *item));

/* -- commands -- */
typedef void nj_dynsec_handler(struct nj_control_call *call);
nj_dynsec_handler nj_dynsec_get_details;
nj_dynsec_handler nj_dynsec_set_defaults;
nj_dynsec_handler nj_dynsec_get_defaults;
nj_dynsec_handler nj_dynsec_set_anonymous;
nj_dynsec_handler nj_dynsec_get_anonymous;
nj_dynsec_handler nj_dynsec_set_certificate;
nj_dynsec_handler nj_dynsec_get_certificate;
nj_dynsec_handler nj_dynsec_export;
nj_dynsec_handler nj_dynsec_create_client;
nj_dynsec_handler nj_dynsec_modify_client;
nj_dynsec_handler nj_dynsec_delete_client;
nj_dynsec_handler nj_dynsec_enable_client;
nj_dynsec_handler nj_dynsec_disable_client;
nj_dynsec_handler nj_dynsec_set_password;
nj_dynsec_handler nj_dynsec_set_client_id;
nj_dynsec_handler nj_dynsec_add_client_role;
nj_dynsec_handler nj_dynsec_remove_client_role;
nj_dynsec_handler nj_dynsec_get_client;
nj_dynsec_handler nj_dynsec_list_clients;
nj_dynsec_handler nj_dynsec_create_group;
nj_dynsec_handler nj_dynsec_modify_group;
nj_dynsec_handler nj_dynsec_delete_group;
nj_dynsec_handler nj_dynsec_add_group_client;
nj_dynsec_handler nj_dynsec_remove_group_client;
nj_dynsec_handler nj_dynsec_add_group_role;
nj_dynsec_handler nj_dynsec_remove_group_role;
nj_dynsec_handler nj_dynsec_get_group;
nj_dynsec_handler nj_dynsec_list_groups;
nj_dynsec_handler nj_dynsec_create_role;
nj_dynsec_handler nj_dynsec_modify_role;
nj_dynsec_handler nj_dynsec_delete_role;
nj_dynsec_handler nj_dynsec_add_role_acl;
nj_dynsec_handler nj_dynsec_remove_role_acl;
nj_dynsec_handler nj_dynsec_get_role;
nj_dynsec_handler nj_dynsec_list_roles;

#endif
