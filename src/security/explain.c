/* See explain.h. */
#include "security/explain.h"

#include <stdio.h>

#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_view.h"
#include "security/explain_priv.h"

#define DESCRIPTION_MAX 2048

/* ---- putting together */

static void fini_near(struct nj_explain_near *near)
{
    nj_buf_fini(&near->where);
    nj_buf_fini(&near->rule);
    nj_buf_fini(&near->why);
}

void nj_explanation_init(struct nj_explanation *explanation)
{
    *explanation = (struct nj_explanation){0};
    nj_buf_init(&explanation->where);
    nj_buf_init(&explanation->rule);
    nj_buf_init(&explanation->why);
    nj_buf_init(&explanation->login);
    nj_buf_init(&explanation->caution);
}

void nj_explanation_fini(struct nj_explanation *explanation)
{
    for (size_t i = 0; i < explanation->near_count; i++) {
        fini_near(&explanation->near[i]);
    }
    for (size_t i = 0; i < explanation->edit_count; i++) {
        nj_buf_fini(&explanation->edits[i].where);
        nj_buf_fini(&explanation->edits[i].text);
    }
    nj_buf_fini(&explanation->where);
    nj_buf_fini(&explanation->rule);
    nj_buf_fini(&explanation->why);
    nj_buf_fini(&explanation->login);
    nj_buf_fini(&explanation->caution);
    nj_explanation_init(explanation);
}

static enum nj_err put_text(struct nj_buf *out, const char *text)
{
    return nj_buf_append(out, text, strlen(text));
}

static enum nj_err put_bytes(struct nj_buf *out, struct nj_bytes bytes)
{
    return bytes.len > 0 ? nj_buf_append(out, bytes.ptr, bytes.len) : NJ_OK;
}

enum nj_err nj_explanation_add_near(struct nj_explanation *explanation, unsigned distance,
                                    const char *where, struct nj_bytes rule, const char *why)
{
    size_t at = explanation->near_count;
    while (at > 0 && explanation->near[at - 1].distance > distance) {
        at--;
    }
    if (at == NJ_EXPLAIN_NEAR_MAX) {
        return NJ_OK;
    }
    struct nj_explain_near near = {.distance = distance};
    nj_buf_init(&near.where);
    nj_buf_init(&near.rule);
    nj_buf_init(&near.why);
    if (put_text(&near.where, where) != NJ_OK || put_bytes(&near.rule, rule) != NJ_OK ||
        put_text(&near.why, why) != NJ_OK) {
        fini_near(&near);
        return NJ_ENOMEM;
    }
    if (explanation->near_count == NJ_EXPLAIN_NEAR_MAX) {
        fini_near(&explanation->near[--explanation->near_count]);
    }
    memmove(&explanation->near[at + 1], &explanation->near[at],
            (explanation->near_count - at) * sizeof(near));
    explanation->near[at] = near;
    explanation->near_count++;
    return NJ_OK;
}

enum nj_err nj_explanation_add_edit(struct nj_explanation *explanation, bool is_removal,
                                    const char *where, uint32_t line, struct nj_bytes text)
{
    if (explanation->edit_count == NJ_EXPLAIN_EDIT_MAX) {
        return NJ_ETOOBIG;
    }
    struct nj_explain_edit *edit = &explanation->edits[explanation->edit_count++];
    *edit = (struct nj_explain_edit){.is_removal = is_removal, .line = line};
    nj_buf_init(&edit->where);
    nj_buf_init(&edit->text);
    enum nj_err err = put_text(&edit->where, where);
    return err == NJ_OK ? put_bytes(&edit->text, text) : err;
}

/* ---- who asks */

static bool has_source(const struct nj_scope *scope)
{
    return scope->passwords || scope->dynsec;
}

/* What the login makes of the name, as login.c decides it. */
static enum nj_err note_login(const struct nj_explain_case *the_case,
                              struct nj_explain_question *question, struct nj_explanation *out)
{
    const struct nj_scope *scope = the_case->scope;
    if (!question->user.ptr) {
        return scope->allow_anonymous
                   ? NJ_OK
                   : put_text(&out->login,
                              "anonymous clients are not let in (allow_anonymous false)");
    }
    if (question->by_certificate && !scope->dynsec) {
        return NJ_OK;
    }
    if (has_source(scope)) {
        bool is_known = nj_policy_has_user(the_case->policy, question->scope, question->user,
                                           question->by_certificate);
        if (is_known && scope->dynsec) {
            return nj_explain_dynsec_login(the_case, out);
        }
        return is_known
                   ? NJ_OK
                   : nj_buf_printf(&out->login, "the user is not known here and cannot log in");
    }
    if (!scope->allow_anonymous) {
        return put_text(&out->login, "nobody can log in: there is no password file and no dynamic "
                                     "security, and anonymous clients are not let in");
    }
    if (scope->unverified_user_counts) {
        return NJ_OK;
    }
    question->user = nj_bytes(NULL, 0);
    return put_text(&out->login,
                    "counts as anonymous, because nothing here can verify a user name");
}

/* ---- what decided */

static bool is_below(struct nj_bytes topic, const char *top)
{
    size_t len = strlen(top);
    return topic.len >= len && memcmp(topic.ptr, top, len) == 0 &&
           (topic.len == len || topic.ptr[len] == '/');
}

static const char *default_text(const struct nj_explain_case *the_case, bool allowed)
{
    if (allowed) {
        return "no ACL is configured, and acl_default allows what no rule denies";
    }
    if (the_case->scope->acl_default_allow) {
        return is_below(the_case->topic, "$CONTROL")
                   ? "acl_default never covers $CONTROL; only a rule can allow it"
                   : "acl_default does not cover $SYS; only a rule can allow it";
    }
    return "no ACL is configured, and without one nothing is allowed (acl_default deny)";
}

static const char *why_text(const struct nj_explain_case *the_case,
                            const struct nj_verdict *verdict)
{
    switch (verdict->reason) {
    case NJ_VERDICT_RULE:
        if (the_case->is_filter && verdict->allowed) {
            return "a rule allows something that the filter matches; deliveries are decided one by "
                   "one";
        }
        return verdict->allowed ? "a rule of the ACL file allows it"
                                : "a rule of the ACL file denies it";
    case NJ_VERDICT_NO_RULE:
        return the_case->is_filter
                   ? "no rule of the ACL file would ever deliver something that the filter matches"
                   : "no rule of the ACL file matches, and what no rule allows is denied";
    case NJ_VERDICT_DEFAULT:
        return default_text(the_case, verdict->allowed);
    case NJ_VERDICT_RESERVED:
        return "the topic is the broker's own; no rule can open it";
    case NJ_VERDICT_UNCHECKED:
        return "this action is not checked; deliveries are decided one by one";
    case NJ_VERDICT_ROLE:
        return verdict->allowed ? "a role allows it" : "a role denies it";
    case NJ_VERDICT_DYNSEC:
        return verdict->allowed ? "no role says anything, and the default access allows it"
                                : "no role says anything, and the default access denies it";
    case NJ_VERDICT_STRANGER:
        return "dynamic security does not know the user, and no ACL file does either";
    default:
        return "the user does not exist any more";
    }
}

/* "FILE:LINE: text" apart, or the whole description of a role. */
static enum nj_err note_rule(const struct nj_explain_case *the_case, struct nj_explanation *out)
{
    const struct nj_verdict *verdict = &out->verdict;
    const struct nj_acl *acl = the_case->scope->acl;
    char buf[DESCRIPTION_MAX];
    if (verdict->reason == NJ_VERDICT_ROLE) {
        return put_text(&out->rule, nj_policy_describe(the_case->policy, the_case->question->scope,
                                                       verdict, buf, sizeof(buf)));
    }
    if (verdict->reason != NJ_VERDICT_RULE) {
        return NJ_OK;
    }
    if (verdict->rule_id == NJ_ACL_RULE_SOME || verdict->rule_id == 0) {
        return nj_buf_printf(&out->where, "%s", nj_acl_path(acl));
    }
    struct nj_acl_rule_view rule = nj_acl_rule_view(acl, verdict->rule_id);
    enum nj_err err = nj_buf_printf(&out->where, "%s:%u", nj_acl_path(acl), rule.line);
    return err == NJ_OK ? put_bytes(&out->rule, rule.text) : err;
}

/* ---- the whole */

static struct nj_bytes as_checked(const struct nj_scope *scope,
                                  const struct nj_explain_question *question, bool is_filter)
{
    struct nj_bytes group;
    struct nj_bytes inner;
    bool is_whole = scope->share_as_whole && (scope->acl || scope->dynsec);
    return is_filter && !is_whole && nj_mqtt_share_parse(question->topic, &group, &inner)
               ? inner
               : question->topic;
}

static enum nj_err note_near(const struct nj_explain_case *the_case, struct nj_explanation *out)
{
    enum nj_err err = the_case->scope->dynsec ? nj_explain_dynsec_near(the_case, out) : NJ_OK;
    return err == NJ_OK && the_case->scope->acl ? nj_explain_acl_near(the_case, out) : err;
}

static enum nj_err note_change(const struct nj_explain_case *the_case, struct nj_explanation *out)
{
    switch (out->verdict.reason) {
    case NJ_VERDICT_ROLE:
    case NJ_VERDICT_DYNSEC:
        return nj_explain_dynsec_change(the_case, out);
    case NJ_VERDICT_STRANGER:
        return NJ_OK;
    case NJ_VERDICT_NO_RULE:
        /* Whom dynamic security knows is better served there. */
        if (the_case->scope->dynsec) {
            enum nj_err err = nj_explain_dynsec_change(the_case, out);
            return err == NJ_OK && out->edit_count == 0 ? nj_explain_acl_change(the_case, out)
                                                        : err;
        }
        return nj_explain_acl_change(the_case, out);
    case NJ_VERDICT_RULE:
    case NJ_VERDICT_DEFAULT:
        return nj_explain_acl_change(the_case, out);
    default:
        return NJ_OK;
    }
}

enum nj_err nj_explain_decision(const struct nj_policy *policy,
                                const struct nj_explain_question *question,
                                struct nj_explanation *out)
{
    struct nj_explain_question asked = *question;
    struct nj_subject subject;
    struct nj_explain_case the_case = {
        .policy = policy,
        .scope = nj_policy_scope(policy, question->scope),
        .question = &asked,
        .is_filter =
            question->action == NJ_ACTION_SUBSCRIBE || question->action == NJ_ACTION_UNSUBSCRIBE,
        .is_write = question->action == NJ_ACTION_PUBLISH || question->action == NJ_ACTION_WILL,
    };
    nj_explanation_init(out);
    the_case.topic = as_checked(the_case.scope, question, the_case.is_filter);
    enum nj_err err = note_login(&the_case, &asked, out);
    nj_subject_init(&subject, asked.user, asked.client_id, asked.scope);
    subject.by_certificate = asked.by_certificate;
    nj_authz(policy, &subject, asked.action, asked.topic, &out->verdict);
    nj_subject_fini(&subject);
    if (err == NJ_OK) {
        err = put_text(&out->why, why_text(&the_case, &out->verdict));
    }
    if (err == NJ_OK) {
        err = note_rule(&the_case, out);
    }
    if (err == NJ_OK && out->verdict.reason != NJ_VERDICT_RESERVED) {
        err = note_near(&the_case, out);
    }
    if (err == NJ_OK && !out->verdict.allowed) {
        err = note_change(&the_case, out);
    }
    return err;
}
