/* `$CONTROL/nightjar/v1`: what somebody may do, and why (not). */
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "control/control_priv.h"
#include "front/front.h"
#include "mqtt/topic.h"
#include "security/explain.h"
#include "security/policy.h"

#define CHECKS_MAX 1000

static bool find_action(const char *name, enum nj_action *out)
{
    for (int i = 0; i < NJ_ACTION_COUNT; i++) {
        if (strcasecmp(name, nj_action_name((enum nj_action)i)) == 0) {
            *out = (enum nj_action)i;
            return true;
        }
    }
    return false;
}

static const struct nj_policy *policy_of(const struct nj_control_call *call)
{
    const struct nj_front *front = nj_control_plane_front(nj_control_call_plane(call));
    return atomic_load(&front->core.policy);
}

static struct nj_bytes field(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? nj_bytes(json_string_value(value), json_string_length(value))
                                 : nj_bytes(NULL, 0);
}

/* NULL, or what is wrong with the question. */
static const char *read_question(const struct nj_control_call *call, const json_t *object,
                                 struct nj_explain_question *out)
{
    const struct nj_control_caller *caller = nj_control_call_caller(call);
    const json_t *listener = json_object_get(object, "listener");
    struct nj_bytes action = field(object, "action");
    size_t scopes = nj_policy_scope_count(policy_of(call));
    *out = (struct nj_explain_question){
        .user = field(object, "username"),
        .client_id = field(object, "clientid"),
        .scope = caller->scope,
        .topic = field(object, "topic"),
    };
    if (!action.ptr || !find_action((const char *)action.ptr, &out->action)) {
        return "Invalid/missing action";
    }
    if (listener) {
        json_int_t id = json_integer_value(listener);
        if (id < 1 || (size_t)id > scopes) {
            return "Invalid/missing listener";
        }
        out->scope = (unsigned)id - 1;
    }
    bool is_filter = out->action == NJ_ACTION_SUBSCRIBE || out->action == NJ_ACTION_UNSUBSCRIBE;
    bool is_valid = is_filter ? nj_mqtt_subscription_is_valid(out->topic, NJ_MQTT_LEVELS_MAX)
                              : nj_mqtt_topic_is_valid(out->topic, NJ_MQTT_LEVELS_MAX);
    return is_valid ? NULL : "Invalid/missing topic";
}

/* ---- canI */

static json_t *check(const struct nj_control_call *call, const json_t *object)
{
    struct nj_explain_question question;
    struct nj_subject subject;
    struct nj_verdict verdict;
    char why[512];
    const char *error = read_question(call, object, &question);
    if (error) {
        return json_pack("{s:s}", "error", error);
    }
    nj_subject_init(&subject, question.user, question.client_id, question.scope);
    nj_authz(policy_of(call), &subject, question.action, question.topic, &verdict);
    nj_subject_fini(&subject);
    return json_pack(
        "{s:b, s:s}", "allowed", verdict.allowed, "why",
        nj_policy_describe(policy_of(call), question.scope, &verdict, why, sizeof(why)));
}

void nj_nightjar_can_i(struct nj_control_call *call)
{
    json_t *checks = json_object_get(nj_control_call_args(call), "checks");
    json_t *results = json_array();
    size_t i;
    json_t *object;
    if (json_array_size(checks) > CHECKS_MAX) {
        json_decref(results);
        nj_control_call_fail(call, NJ_REFUSED_LIMIT, "Too many checks");
        return;
    }
    json_array_foreach(checks, i, object)
    {
        (void)json_array_append_new(results, check(call, object));
    }
    nj_control_call_done(call, json_pack("{s:o}", "results", results));
}

/* ---- explain */

static void put(json_t *object, const char *key, const struct nj_buf *text)
{
    if (text->len) {
        (void)json_object_set_new(object, key, json_stringn((const char *)text->data, text->len));
    }
}

static json_t *describe(const struct nj_explanation *explanation)
{
    json_t *data = json_pack("{s:b}", "allowed", explanation->verdict.allowed);
    put(data, "why", &explanation->why);
    put(data, "rule", &explanation->rule);
    put(data, "where", &explanation->where);
    put(data, "login", &explanation->login);
    json_t *near = json_array();
    for (size_t i = 0; i < explanation->near_count; i++) {
        json_t *row = json_object();
        put(row, "rule", &explanation->near[i].rule);
        put(row, "where", &explanation->near[i].where);
        put(row, "why", &explanation->near[i].why);
        (void)json_array_append_new(near, row);
    }
    (void)json_object_set_new(data, "nearest", near);
    json_t *edits = json_array();
    for (size_t i = 0; i < explanation->edit_count; i++) {
        const struct nj_explain_edit *edit = &explanation->edits[i];
        json_t *row = json_pack("{s:s, s:i}", "edit", edit->is_removal ? "remove" : "add", "line",
                                (int)edit->line);
        put(row, "where", &edit->where);
        put(row, "text", &edit->text);
        (void)json_array_append_new(edits, row);
    }
    (void)json_object_set_new(data, "change", edits);
    put(data, "caution", &explanation->caution);
    return data;
}

void nj_nightjar_explain(struct nj_control_call *call)
{
    struct nj_explain_question question;
    struct nj_explanation explanation;
    const char *error = read_question(call, nj_control_call_args(call), &question);
    if (error) {
        nj_control_call_fail(call, NJ_REFUSED_INVALID, error);
        return;
    }
    if (nj_explain_decision(policy_of(call), &question, &explanation) == NJ_OK) {
        nj_control_call_done(call, describe(&explanation));
    } else {
        nj_control_call_fail(call, NJ_REFUSED_INTERNAL, "Out of memory");
    }
    nj_explanation_fini(&explanation);
}
