/* Explaining what an ACL file says. */
#include <stdio.h>

#include "base/mem.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_view.h"
#include "security/explain_priv.h"

static bool leading_is_for_all(const struct nj_explain_case *the_case)
{
    /* A file that is still to be made is one of native mode: only that denies without one. */
    return !the_case->scope->acl || nj_acl_leading_for_all(the_case->scope->acl);
}

/* ---- rules that came close */

static bool is_anonymous(const struct nj_explain_case *the_case)
{
    return the_case->question->user.ptr == NULL;
}

static bool is_asked(const struct nj_explain_case *the_case, const struct nj_acl_rule_view *rule)
{
    switch (rule->list) {
    case NJ_ACL_LIST_LEADING:
        return is_anonymous(the_case) || leading_is_for_all(the_case);
    case NJ_ACL_LIST_USER:
        return !is_anonymous(the_case) && nj_bytes_equal(rule->user, the_case->question->user);
    default:
        return true;
    }
}

static const char *access_text(unsigned access)
{
    return access & NJ_ACL_DENY                     ? "denies"
           : access == (NJ_ACL_READ | NJ_ACL_WRITE) ? "gives read and write"
           : access == NJ_ACL_READ                  ? "gives read, not write"
                                                    : "gives write, not read";
}

static bool has_access(const struct nj_explain_case *the_case, unsigned access)
{
    return access & (the_case->is_write ? NJ_ACL_WRITE : NJ_ACL_READ);
}

/* A rule that is about the topic. False: not worth a word. */
static bool judge_concerned(const struct nj_explain_case *the_case,
                            const struct nj_acl_rule_view *rule, unsigned *distance,
                            char why[NJ_EXPLAIN_WHY_MAX])
{
    bool is_deny = rule->access & NJ_ACL_DENY;
    bool is_mine = is_asked(the_case, rule);
    if (is_mine && (is_deny || has_access(the_case, rule->access))) {
        *distance = NJ_NEAR_MATCHES;
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX,
                       "matches as well and %s, but another rule is asked "
                       "first",
                       is_deny ? "denies" : "allows");
        return true;
    }
    if (is_mine) {
        *distance = NJ_NEAR_ACCESS;
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "%s", access_text(rule->access));
        return true;
    }
    *distance = NJ_NEAR_OTHERS;
    if (is_deny || !has_access(the_case, rule->access)) {
        return false;
    }
    if (rule->list == NJ_ACL_LIST_LEADING) {
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "is for anonymous clients only");
    } else {
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "is for the user '%.*s'",
                       (int)(rule->user.len < 100 ? rule->user.len : 100),
                       (const char *)rule->user.ptr);
    }
    return true;
}

/* Which names would make a pattern match. */
static bool judge_pattern(const struct nj_explain_case *the_case, struct nj_bytes pattern,
                          unsigned *distance, char why[NJ_EXPLAIN_WHY_MAX])
{
    struct nj_bytes topic = the_case->topic;
    struct nj_bytes rest = pattern;
    struct nj_bytes level;
    struct nj_bytes wanted;
    struct nj_bytes found = nj_bytes(NULL, 0);
    bool is_user = false;
    while (nj_mqtt_next_level(&rest, &level) && nj_mqtt_next_level(&topic, &wanted)) {
        bool is_u = nj_bytes_equal(level, NJ_BYTES_LIT("%u"));
        bool is_c = nj_bytes_equal(level, NJ_BYTES_LIT("%c"));
        struct nj_bytes name = is_u ? the_case->question->user : the_case->question->client_id;
        if (nj_mqtt_level_is(level, '#')) {
            break;
        }
        if ((is_u || is_c) && !nj_bytes_equal(name, wanted)) {
            if (found.ptr) {
                return false;
            }
            found = wanted;
            is_user = is_u;
        } else if (!is_u && !is_c && !nj_mqtt_level_is(level, '+') &&
                   !nj_bytes_equal(level, wanted)) {
            return false;
        }
    }
    if (!found.ptr) {
        return false;
    }
    *distance = NJ_NEAR_OTHERS;
    (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "would need the %s '%.*s'",
                   is_user ? "user name" : "client id", (int)(found.len < 100 ? found.len : 100),
                   (const char *)found.ptr);
    return true;
}

/* One rule. False: it is not near. */
static bool judge(const struct nj_explain_case *the_case, const struct nj_acl_rule_view *rule,
                  struct nj_buf *filled, unsigned *distance, char why[NJ_EXPLAIN_WHY_MAX])
{
    const struct nj_explain_question *question = the_case->question;
    struct nj_bytes filter = rule->topic;
    bool is_useful = !(rule->access & NJ_ACL_DENY) && has_access(the_case, rule->access);
    if (rule->list == NJ_ACL_LIST_PATTERN) {
        if (is_useful && judge_pattern(the_case, rule->topic, distance, why)) {
            return true;
        }
        if (!nj_explain_fill(rule->topic, question->user, question->client_id, filled, why)) {
            return false;
        }
        filter = nj_buf_bytes(filled);
    }
    if (nj_explain_concerns(the_case, filter)) {
        return judge_concerned(the_case, rule, distance, why);
    }
    return is_useful && is_asked(the_case, rule) &&
           nj_explain_difference(the_case->topic, filter, distance, why);
}

enum nj_err nj_explain_acl_near(const struct nj_explain_case *the_case, struct nj_explanation *out)
{
    const struct nj_acl *acl = the_case->scope->acl;
    struct nj_buf filled;
    struct nj_buf where;
    enum nj_err err = NJ_OK;
    nj_buf_init(&filled);
    nj_buf_init(&where);
    for (uint32_t id = 1; err == NJ_OK && id <= nj_acl_rule_count(acl); id++) {
        struct nj_acl_rule_view rule = nj_acl_rule_view(acl, id);
        char why[NJ_EXPLAIN_WHY_MAX];
        unsigned distance = 0;
        bool is_decider = out->verdict.reason == NJ_VERDICT_RULE && out->verdict.rule_id == id;
        if (is_decider || !judge(the_case, &rule, &filled, &distance, why)) {
            continue;
        }
        where.len = 0;
        err = nj_buf_printf(&where, "%s:%u%c", nj_acl_path(acl), rule.line, '\0');
        if (err == NJ_OK) {
            err = nj_explanation_add_near(out, distance, (const char *)where.data, rule.text, why);
        }
    }
    nj_buf_fini(&filled);
    nj_buf_fini(&where);
    return err;
}

/* ---- the smallest change: tried on the rules that concern this client */

struct trial {
    const struct nj_explain_case *the_case;
    const char *access; /* word of the line to add */
    uint32_t removed[NJ_EXPLAIN_EDIT_MAX];
    unsigned removed_count;
    bool is_added;
};

static bool is_removed(const struct trial *trial, uint32_t rule_id)
{
    for (unsigned i = 0; i < trial->removed_count; i++) {
        if (trial->removed[i] == rule_id) {
            return true;
        }
    }
    return false;
}

static enum nj_err put_line(struct nj_buf *out, struct nj_bytes line)
{
    enum nj_err err = nj_buf_append(out, line.ptr, line.len);
    return err == NJ_OK ? nj_buf_append(out, "\n", 1) : err;
}

static enum nj_err put_new_line(const struct trial *trial, struct nj_buf *out)
{
    const struct nj_bytes topic = trial->the_case->topic;
    return nj_buf_printf(out, "topic %s %.*s", trial->access, (int)topic.len,
                         (const char *)topic.ptr);
}

/* Appends the rules of one list, edited. */
static enum nj_err put_list(const struct trial *trial, enum nj_acl_list_kind kind, bool gets_line,
                            struct nj_buf *out)
{
    const struct nj_explain_case *the_case = trial->the_case;
    const struct nj_acl *acl = the_case->scope->acl;
    enum nj_err err = NJ_OK;
    for (uint32_t id = 1; acl && err == NJ_OK && id <= nj_acl_rule_count(acl); id++) {
        struct nj_acl_rule_view rule = nj_acl_rule_view(acl, id);
        bool is_others =
            kind == NJ_ACL_LIST_USER && !nj_bytes_equal(rule.user, the_case->question->user);
        if (rule.list == kind && !is_others && !is_removed(trial, id)) {
            err = put_line(out, rule.text);
        }
    }
    if (err == NJ_OK && gets_line && trial->is_added) {
        err = put_new_line(trial, out);
        err = err == NJ_OK ? nj_buf_append(out, "\n", 1) : err;
    }
    return err;
}

/* The rules as this client sees them, edited. */
static enum nj_err put_rules(const struct trial *trial, struct nj_buf *out)
{
    struct nj_bytes user = trial->the_case->question->user;
    enum nj_err err = put_list(trial, NJ_ACL_LIST_LEADING, !user.ptr, out);
    if (err == NJ_OK && user.ptr) {
        err = nj_buf_printf(out, "user %.*s\n", (int)user.len, (const char *)user.ptr);
        err = err == NJ_OK ? put_list(trial, NJ_ACL_LIST_USER, true, out) : err;
    }
    return err == NJ_OK ? put_list(trial, NJ_ACL_LIST_PATTERN, false, out) : err;
}

/* The number of the rule in the file for that of the edited text; they come in the order in which
 * put_rules writes them. 0 = the new line. */
static uint32_t original_rule(const struct trial *trial, struct nj_acl *edited, uint32_t rule_id)
{
    const struct nj_acl *acl = trial->the_case->scope->acl;
    struct nj_acl_rule_view wanted = nj_acl_rule_view(edited, rule_id);
    for (uint32_t id = 1; acl && id <= nj_acl_rule_count(acl); id++) {
        struct nj_acl_rule_view rule = nj_acl_rule_view(acl, id);
        if (rule.list == wanted.list && !is_removed(trial, id) &&
            nj_bytes_equal(rule.user, wanted.user) && nj_bytes_equal(rule.text, wanted.text)) {
            return id;
        }
    }
    return 0;
}

/* What nj_authz says under the edited rules. `rule` is numbered as in the file. */
static enum nj_err try_rules(const struct trial *trial, struct nj_verdict *verdict, uint32_t *rule,
                             enum nj_acl_list_kind *list)
{
    const struct nj_explain_question *question = trial->the_case->question;
    const struct nj_scope *given = trial->the_case->scope;
    struct nj_buf text;
    struct nj_acl *acl = NULL;
    char error[256];
    const struct nj_acl_options options = {
        .leading_for_all = leading_is_for_all(trial->the_case),
        /* What was read before is read again, whatever the mode made of it. */
        .any_case_keywords = true,
        .doubtful_as_text = true,
    };
    nj_buf_init(&text);
    enum nj_err err = put_rules(trial, &text);
    if (err == NJ_OK) {
        err = nj_acl_parse(nj_buf_bytes(&text), "", &options, &acl, error, sizeof(error));
    }
    nj_buf_fini(&text);
    if (err != NJ_OK) {
        return err;
    }
    struct nj_scope scope = *given;
    scope.acl = acl;
    scope.passwords = NULL;
    scope.dynsec = NULL; /* it had nothing to say */
    scope.psks = NULL;
    struct nj_policy *policy = nj_policy_new(1, &scope, 1);
    struct nj_subject subject;
    nj_subject_init(&subject, question->user, question->client_id, 0);
    nj_authz(policy, &subject, question->action, question->topic, verdict);
    bool has_rule = verdict->reason == NJ_VERDICT_RULE && verdict->rule_id != NJ_ACL_RULE_SOME;
    *rule = has_rule ? original_rule(trial, acl, verdict->rule_id) : 0;
    *list = has_rule ? nj_acl_rule_view(acl, verdict->rule_id).list : NJ_ACL_LIST_PATTERN;
    nj_subject_fini(&subject);
    nj_policy_unref(policy);
    return NJ_OK;
}

/* One step towards a yes. False: there is none. */
static bool take_step(struct trial *trial, uint32_t rule, enum nj_acl_list_kind list)
{
    bool is_own = list == (is_anonymous(trial->the_case) ? NJ_ACL_LIST_LEADING : NJ_ACL_LIST_USER);
    if (rule != 0 && is_own) {
        /* A deny of the client's own list comes before whatever is added to it. */
        trial->removed[trial->removed_count++] = rule;
        return trial->removed_count < NJ_EXPLAIN_EDIT_MAX - 1;
    }
    if (trial->is_added) {
        return false;
    }
    trial->is_added = true;
    return true;
}

static uint32_t line_count(struct nj_bytes text)
{
    uint32_t count = 0;
    for (const uint8_t *at = text.ptr; text.len > 0 && at;) {
        count++;
        const uint8_t *end = memchr(at, '\n', text.len);
        size_t used = end ? (size_t)(end - at) + 1 : text.len;
        text.len -= used;
        at = end ? end + 1 : NULL;
    }
    return count;
}

/* The line to put the new one behind, and whether it needs a `user` line of its own. */
static uint32_t find_place(const struct nj_explain_case *the_case, bool *needs_user)
{
    const struct nj_acl *acl = the_case->scope->acl;
    struct nj_bytes user = the_case->question->user;
    uint32_t line = 0;
    for (uint32_t id = 1; acl && id <= nj_acl_rule_count(acl); id++) {
        struct nj_acl_rule_view rule = nj_acl_rule_view(acl, id);
        bool is_here = user.ptr ? rule.list == NJ_ACL_LIST_USER && nj_bytes_equal(rule.user, user)
                                : rule.list == NJ_ACL_LIST_LEADING;
        line = is_here ? rule.line : line;
    }
    *needs_user = user.ptr && line == 0;
    return *needs_user && acl ? line_count(nj_acl_text(acl)) : line;
}

static enum nj_err note_addition(const struct trial *trial, struct nj_explanation *out)
{
    const struct nj_explain_case *the_case = trial->the_case;
    struct nj_bytes user = the_case->question->user;
    bool needs_user = false;
    uint32_t line = find_place(the_case, &needs_user);
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = NJ_OK;
    if (needs_user) {
        err = nj_buf_printf(&text, "user %.*s\n", (int)user.len, (const char *)user.ptr);
    }
    err = err == NJ_OK ? put_new_line(trial, &text) : err;
    if (err == NJ_OK) {
        err = nj_explanation_add_edit(out, false,
                                      the_case->scope->acl ? nj_acl_path(the_case->scope->acl) : "",
                                      line, nj_buf_bytes(&text));
    }
    nj_buf_fini(&text);
    if (err == NJ_OK && !user.ptr && leading_is_for_all(the_case)) {
        err = nj_buf_printf(&out->caution, "such a line is for every client that got in, not only "
                                           "for anonymous ones");
    }
    return err;
}

static enum nj_err note_edits(const struct trial *trial, struct nj_explanation *out)
{
    const struct nj_acl *acl = trial->the_case->scope->acl;
    enum nj_err err = NJ_OK;
    for (unsigned i = 0; err == NJ_OK && i < trial->removed_count; i++) {
        struct nj_acl_rule_view rule = nj_acl_rule_view(acl, trial->removed[i]);
        err = nj_explanation_add_edit(out, true, nj_acl_path(acl), rule.line, rule.text);
    }
    return err == NJ_OK && trial->is_added ? note_addition(trial, out) : err;
}

enum nj_err nj_explain_acl_change(const struct nj_explain_case *the_case,
                                  struct nj_explanation *out)
{
    struct trial trial = {.the_case = the_case, .access = the_case->is_write ? "write" : "read"};
    struct nj_verdict verdict = {0};
    uint32_t rule = 0;
    enum nj_acl_list_kind list = NJ_ACL_LIST_PATTERN;
    for (;;) {
        enum nj_err err = try_rules(&trial, &verdict, &rule, &list);
        if (err == NJ_ENOMEM) {
            return err;
        }
        if (err != NJ_OK) {
            return NJ_OK; /* a name or topic that no line of a file can hold */
        }
        if (verdict.allowed) {
            return note_edits(&trial, out);
        }
        if (!take_step(&trial, rule, list)) {
            return NJ_OK;
        }
    }
}
