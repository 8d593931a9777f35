/* From the beginning of a request to its end. See dynsec_api.h and dynsec_priv.h. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "control/control_priv.h"
#include "control/dynsec_priv.h"
#include "front/front.h"
#include "front/sys.h"
#include "mqtt/types.h"
#include "mqtt/utf8.h"
#include "security/policy.h"

#define TOPIC       "$CONTROL/dynamic-security/v1"
#define EVENT_TOPIC TOPIC "/event"
#define INTERNAL    "Internal error"

struct nj_dynsec_module *nj_dynsec_module_new(struct nj_dynsec *dynsec,
                                              const struct nj_dynsec_module_options *options)
{
    struct nj_dynsec_module *module = nj_zalloc(sizeof(*module));
    module->dynsec = dynsec;
    module->options = *options;
    return module;
}

void nj_dynsec_module_configure(struct nj_dynsec_module *module,
                                const struct nj_dynsec_module_options *options)
{
    module->options = *options;
}

const struct nj_hash_cost *nj_dynsec_hash_cost(void *ctx)
{
    const struct nj_dynsec_module *module = ctx;
    return &module->options.cost;
}

static void drop_request(struct nj_dynsec_module *module)
{
    nj_dynsec_edit_forget(&module->mark);
    nj_dynsec_edit_fini(&module->edit);
    nj_dynsec_kick_free(module->kick);
    json_decref(module->events);
    module->kick = NULL;
    module->events = NULL;
}

void nj_dynsec_module_free(struct nj_dynsec_module *module)
{
    if (module) {
        drop_request(module);
        nj_free(module);
    }
}

/* ---- the caller's own rights: nobody saws off the branch that he sits on (B-296) */

/* Whether dynamic security, and not something else, is what lets the caller send commands. */
static bool has_right(const struct nj_dynsec_state *state, const struct nj_control_caller *caller)
{
    struct nj_dynsec_principal *principal = NULL;
    enum nj_dynsec_who who;
    const struct nj_dynsec_client *client =
        caller->user.ptr ? nj_dynsec_client(state, caller->user) : NULL;
    const struct nj_dynsec_question question = {
        .access = NJ_DYNSEC_ACCESS_SEND,
        .topic = NJ_BYTES_LIT(TOPIC),
        .user = caller->user,
        .client_id = caller->client_id,
    };
    if (!client || client->is_disabled ||
        (caller->by_certificate && !client->may_use_certificate) ||
        nj_dynsec_principal_refresh(state, caller->user, false, &principal, &who) != NJ_OK ||
        !principal) {
        return false;
    }
    struct nj_dynsec_answer answer = nj_dynsec_principal_check(principal, &question);
    nj_dynsec_principal_unref(principal);
    return answer.has_rule && answer.allowed;
}

/* ---- begin */

static enum nj_err refuse(struct nj_control_request *request, enum nj_control_fault fault,
                          const char *text)
{
    nj_control_request_fail(request, fault, text);
    return NJ_EINVAL;
}

enum nj_err nj_dynsec_begin(void *ctx, struct nj_control_request *request)
{
    struct nj_dynsec_module *module = ctx;
    struct nj_dynsec_state *state = nj_dynsec_state(module->dynsec);
    json_t *envelope = nj_control_request_envelope(request);
    const json_t *expected = json_object_get(envelope, "changeIndex");
    if (json_is_integer(expected) &&
        (uint64_t)json_integer_value(expected) != state->change_index) {
        char text[96];
        (void)snprintf(text, sizeof(text), "Something changed meanwhile: changeIndex is %llu",
                       (unsigned long long)state->change_index);
        return refuse(request, NJ_REFUSED_CONFLICT, text);
    }
    drop_request(module); /* of a request that was given up */
    module->is_atomic = json_is_true(json_object_get(envelope, "atomic"));
    module->had_right = has_right(state, nj_control_request_caller(request));
    module->kick = nj_dynsec_kick_new();
    module->events = json_array();
    if (nj_dynsec_edit_init(&module->edit, state) != NJ_OK || !module->kick || !module->events) {
        drop_request(module);
        return refuse(request, NJ_REFUSED_INTERNAL, INTERNAL);
    }
    return NJ_OK;
}

/* ---- end */

static enum nj_err put_state(void *arg, struct nj_scope *scopes, size_t count)
{
    const struct nj_dynsec_module *module = arg;
    for (size_t i = 0; i < count; i++) {
        if (scopes[i].dynsec) {
            nj_dynsec_state_unref(scopes[i].dynsec);
            scopes[i].dynsec = nj_dynsec_state_ref(nj_dynsec_state(module->dynsec));
        }
    }
    return NJ_OK;
}

static bool concerns(const void *arg, const struct nj_subject *subject)
{
    return nj_dynsec_kick_concerns(arg, subject->user);
}

static void kicked(void *arg)
{
    nj_dynsec_kick_free(arg);
}

/* One message for the request: what was done to whom, and no secret. */
static void tell(struct nj_dynsec_module *module, struct nj_control_request *request)
{
    const struct nj_control_caller *caller = nj_control_request_caller(request);
    json_t *event = json_pack("{s:I, s:s%, s:O}", "changeIndex",
                              (json_int_t)nj_dynsec_state(module->dynsec)->change_index, "by",
                              caller->user.ptr ? (const char *)caller->user.ptr : "",
                              caller->user.len, "changes", module->events);
    char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
    if (text) {
        nj_front_publish_message(nj_control_plane_front(nj_control_request_plane(request)),
                                 NJ_BYTES_LIT(EVENT_TOPIC), nj_bytes_of(text), 0, false);
        nj_control_json_text_free(text);
    }
    json_decref(event);
}

static void take_effect(struct nj_dynsec_module *module, struct nj_control_request *request)
{
    struct nj_control_plane *plane = nj_control_request_plane(request);
    const struct nj_control_host *host = nj_control_plane_host(plane);
    /* Cannot fail: put_state does not. */
    (void)!host->change_policy(host->arg, put_state, module);
    if (module->options.tells_events) {
        tell(module, request);
    }
    if (module->options.kicks && nj_dynsec_kick_count(module->kick)) {
        nj_dynsec_kick_seal(module->kick);
        nj_control_kick(plane, concerns, module->kick, NJ_RC_ADMINISTRATIVE_ACTION, kicked);
        module->kick = NULL;
    }
}

void nj_dynsec_end(void *ctx, struct nj_control_request *request)
{
    char why[600];
    struct nj_dynsec_module *module = ctx;
    bool is_cancelled = module->is_atomic && nj_control_request_failures(request) > 0;
    if (nj_control_request_is_lost(request)) {
        nj_control_request_fail(request, NJ_REFUSED_INTERNAL, INTERNAL);
    } else if (is_cancelled) {
        nj_control_request_fail(request, NJ_REFUSED_CANCELLED,
                                "Not done: another command of the request failed");
    } else if (module->edit.log.len &&
               nj_dynsec_commit(module->dynsec, &module->edit, why, sizeof(why)) != NJ_OK) {
        nj_log(NJ_LOG_ERROR, "Error: a change of dynamic security was refused: %s.", why);
        nj_control_request_fail(request, NJ_REFUSED_STORAGE, why);
    } else if (module->edit.log.len) {
        take_effect(module, request);
    }
    if (json_object_get(nj_control_request_envelope(request), "changeIndex") || module->is_atomic) {
        nj_control_request_set(
            request, "changeIndex",
            json_integer((json_int_t)nj_dynsec_state(module->dynsec)->change_index));
    }
    drop_request(module);
    nj_control_request_end(request);
}

/* ---- the frame of a command */

struct nj_dynsec_fail nj_dynsec_fail_of(enum nj_err err)
{
    return err == NJ_OK ? NJ_DYNSEC_DONE : nj_dynsec_fail(NJ_REFUSED_INTERNAL, INTERNAL);
}

static void add_event(struct nj_control_call *call)
{
    static const char *const keys[] = {"username", "groupname", "rolename", "acltype", "topic"};
    json_t *event = json_object();
    (void)json_object_set_new(event, "command", json_string(nj_control_call_command(call)->name));
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_t *value = json_object_get(nj_control_call_args(call), keys[i]);
        if (json_is_string(value)) {
            (void)json_object_set(event, keys[i], value);
        }
    }
    (void)json_array_append_new(nj_dynsec_module_of(call)->events, event);
}

void nj_dynsec_run(struct nj_control_call *call,
                   struct nj_dynsec_fail (*change)(struct nj_control_call *call, json_t **data))
{
    struct nj_dynsec_module *module = nj_dynsec_module_of(call);
    json_t *data = NULL;
    size_t kicks = nj_dynsec_kick_count(module->kick);
    if (nj_dynsec_edit_mark(&module->edit, &module->mark) != NJ_OK) {
        nj_control_call_fail(call, NJ_REFUSED_INTERNAL, INTERNAL);
        return;
    }
    struct nj_dynsec_fail fail = change(call, &data);
    if (!fail.text && module->had_right &&
        !has_right(module->edit.state, nj_control_call_caller(call))) {
        fail = nj_dynsec_fail(NJ_REFUSED_FORBIDDEN,
                              "This would take away your own right to administer");
    }
    if (!fail.text && module->edit.log.len > module->mark.log_len) {
        fail = nj_dynsec_fail_of(nj_dynsec_step_index(&module->edit));
    }
    if (fail.text) {
        nj_dynsec_kick_cut(module->kick, kicks);
        nj_dynsec_edit_undo(&module->edit, &module->mark);
        json_decref(data);
        nj_control_call_fail(call, fail.fault, fail.text);
        return;
    }
    if (module->edit.log.len > module->mark.log_len) {
        add_event(call);
    }
    nj_dynsec_edit_forget(&module->mark);
    nj_control_call_done(call, data);
}

/* ---- arguments */

bool nj_dynsec_name(struct nj_control_call *call, const char *key, const char *what,
                    struct nj_bytes *out, struct nj_dynsec_fail *fail)
{
    const json_t *value = json_object_get(nj_control_call_args(call), key);
    *out = nj_bytes(json_string_value(value), json_string_length(value));
    if (out->ptr && (!nj_mqtt_utf8_is_valid(*out) ||
                     (nj_dynsec_module_of(call)->options.refuses_control_chars &&
                      nj_mqtt_utf8_has_control(*out)))) {
        *fail = nj_dynsec_fail(NJ_REFUSED_INVALID, what);
        return false;
    }
    return true;
}

bool nj_dynsec_text(struct nj_control_call *call, const char *key, struct nj_bytes *field,
                    struct nj_dynsec_fail *fail)
{
    const json_t *value = json_object_get(nj_control_call_args(call), key);
    if (!json_is_string(value)) {
        return true; /* not given: as it was */
    }
    *field = nj_bytes(json_string_value(value), json_string_length(value));
    if (!nj_mqtt_utf8_is_valid(*field)) {
        *fail = nj_dynsec_fail(NJ_REFUSED_INVALID, strcmp(key, "textname") == 0
                                                       ? "Invalid/missing textname"
                                                       : "Invalid/missing textdescription");
        return false;
    }
    return true;
}

int32_t nj_dynsec_priority_of(const json_t *object, int32_t otherwise)
{
    const json_t *value = json_object_get(object, "priority");
    json_int_t number = json_is_integer(value) ? json_integer_value(value) : otherwise;
    number = number > NJ_DYNSEC_PRIORITY_MAX ? NJ_DYNSEC_PRIORITY_MAX : number;
    return (int32_t)(number < -NJ_DYNSEC_PRIORITY_MAX ? -NJ_DYNSEC_PRIORITY_MAX : number);
}

struct nj_dynsec_fail nj_dynsec_roles_of(struct nj_control_call *call, struct nj_buf *out)
{
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(nj_control_call_args(call), "roles"), i, entry)
    {
        const json_t *name = json_object_get(entry, "rolename");
        if (!json_is_string(name) || json_string_length(name) == 0) {
            return nj_dynsec_fail(NJ_REFUSED_INVALID,
                                  "'roles' not an array or missing/invalid rolename");
        }
        const struct nj_dynsec_role *role = nj_dynsec_role(
            nj_dynsec_draft(call), nj_bytes(json_string_value(name), json_string_length(name)));
        if (!role) {
            return nj_dynsec_fail(NJ_REFUSED_NOT_FOUND, "Role not found");
        }
        const struct nj_dynsec_ref ref = {role->id,
                                          nj_dynsec_priority_of(entry, NJ_DYNSEC_NO_PRIORITY)};
        if (nj_buf_append(out, &ref, sizeof(ref)) != NJ_OK) {
            return nj_dynsec_fail(NJ_REFUSED_INTERNAL, INTERNAL);
        }
    }
    uint32_t count = (uint32_t)(out->len / sizeof(struct nj_dynsec_ref));
    if (nj_dynsec_refs_unique((struct nj_dynsec_ref *)(void *)out->data, &count) != NJ_OK) {
        return nj_dynsec_fail(NJ_REFUSED_INTERNAL, INTERNAL);
    }
    out->len = count * sizeof(struct nj_dynsec_ref);
    return NJ_DYNSEC_DONE;
}
