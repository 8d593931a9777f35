/* What is wrong with an ACL file: see check.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "check.h"
#include "mqtt/topic.h"
#include "security/acl.h"
#include "security/acl_view.h"
#include "security/password_file.h"

#define ERRORS_MAX 50
#define FILE_MAX   ((size_t)256 << 20)

/* "WHAT in ACL file PATH, line N" */
static unsigned line_of(const char *error, size_t *what_len)
{
    const char *place = strstr(error, " in ACL file ");
    const char *line = strrchr(error, ' ');
    *what_len = place != NULL ? (size_t)(place - error) : strlen(error);
    return place != NULL && line != NULL ? (unsigned)strtoul(line + 1, NULL, 10) : 0;
}

/* Every line that is refused, until one remains that is not. */
static struct nj_acl *parse(struct nj_findings *findings, struct nj_buf *text, const char *path,
                            const struct nj_acl_options *options)
{
    for (int i = 0; i < ERRORS_MAX; i++) {
        struct nj_acl *acl = NULL;
        char error[512];
        size_t what_len = 0;
        if (nj_acl_parse(nj_buf_bytes(text), path, options, &acl, error, sizeof(error)) == NJ_OK) {
            return acl;
        }
        const struct nj_finding_place place = {
            NJ_FINDING_ERROR, "acl-invalid", path, line_of(error, &what_len),
            "a line is: user NAME, or topic|pattern [read|write|readwrite|deny] TOPIC"};
        nj_findings_add(findings, &place, "%.*s", (int)what_len, error);
        if (!nj_check_blank_line(text, place.line, NULL)) {
            return NULL;
        }
    }
    return NULL;
}

/* ---- rules that never decide */

struct look {
    struct nj_findings *findings;
    const struct nj_acl *acl;
    const char *path;
};

static unsigned line_of_rule(const struct look *look, uint32_t rule_id)
{
    return nj_acl_rule_view(look->acl, rule_id).line;
}

static const char *access_word(unsigned access)
{
    return access == NJ_ACL_READ ? "read" : access == NJ_ACL_WRITE ? "write" : "right";
}

/* A rule that is asked before this one whenever this one matches, for one access; 0 = none. */
static uint32_t find_earlier(const struct look *look, const struct nj_acl_rule_view *rule,
                             enum nj_acl_access access)
{
    uint32_t found = 0;
    if (access != NJ_ACL_DENY) {
        found = nj_acl_rule_cover(look->acl, rule->id, rule->list, NJ_ACL_DENY);
    }
    if (found == 0 && rule->list == NJ_ACL_LIST_PATTERN && nj_acl_leading_for_all(look->acl)) {
        found = nj_acl_rule_cover(look->acl, rule->id, NJ_ACL_LIST_LEADING, NJ_ACL_DENY);
        if (found == 0 && access != NJ_ACL_DENY) {
            found = nj_acl_rule_cover(look->acl, rule->id, NJ_ACL_LIST_LEADING, access);
        }
    }
    return found;
}

/* A deny that comes before everything else of its list: is it said already? */
static void look_at_deny(const struct look *look, const struct nj_acl_rule_view *rule)
{
    uint32_t earlier = find_earlier(look, rule, NJ_ACL_DENY);
    uint32_t same = nj_acl_rule_cover(look->acl, rule->id, rule->list, NJ_ACL_DENY);
    const struct nj_finding_place place = {earlier != 0 ? NJ_FINDING_WARNING : NJ_FINDING_NOTE,
                                           earlier != 0 ? "acl-unreachable" : "acl-redundant",
                                           look->path, rule->line,
                                           "remove the line, or say in it what it should mean"};
    if (earlier != 0) {
        nj_findings_add(look->findings, &place, "this rule never decides: line %u is asked first",
                        line_of_rule(look, earlier));
    } else if (same != 0) {
        nj_findings_add(look->findings, &place, "line %u denies this already",
                        line_of_rule(look, same));
    }
}

static void look_at_allow(const struct look *look, const struct nj_acl_rule_view *rule)
{
    static const enum nj_acl_access BOTH[] = {NJ_ACL_READ, NJ_ACL_WRITE};
    unsigned dead = 0;
    unsigned said = 0;
    uint32_t earlier = 0;
    uint32_t same = 0;
    for (int i = 0; i < 2; i++) {
        if (!(rule->access & BOTH[i])) {
            continue;
        }
        uint32_t before = find_earlier(look, rule, BOTH[i]);
        uint32_t beside = nj_acl_rule_cover(look->acl, rule->id, rule->list, BOTH[i]);
        dead |= before != 0 ? BOTH[i] : 0;
        said |= beside != 0 ? BOTH[i] : 0;
        earlier = before != 0 ? before : earlier;
        same = beside != 0 ? beside : same;
    }
    const struct nj_finding_place warning = {NJ_FINDING_WARNING, "acl-unreachable", look->path,
                                             rule->line,
                                             "the order of lines does not matter: deny is asked "
                                             "first, and leading lines before patterns"};
    const struct nj_finding_place note = {NJ_FINDING_NOTE, "acl-redundant", look->path, rule->line,
                                          "the line can go"};
    if (dead == rule->access) {
        nj_findings_add(look->findings, &warning, "this rule never decides: line %u is asked first",
                        line_of_rule(look, earlier));
    } else if (dead != 0) {
        nj_findings_add(look->findings, &warning,
                        "the %s that it gives never counts: line %u is asked first",
                        access_word(dead), line_of_rule(look, earlier));
    } else if (said == rule->access) {
        nj_findings_add(look->findings, &note, "line %u says this already",
                        line_of_rule(look, same));
    }
}

/* ---- what a rule means */

static bool begins_with(struct nj_bytes topic, const char *top)
{
    return nj_bytes_starts_with(topic, nj_bytes_of(top));
}

static void look_at_topic(const struct look *look, const struct nj_acl_rule_view *rule)
{
    const struct nj_finding_place none = {NJ_FINDING_WARNING, "acl-no-effect", look->path,
                                          rule->line, "the line can go"};
    const struct nj_finding_place wide = {NJ_FINDING_WARNING, "acl-wide", look->path, rule->line,
                                          "name the topics that everybody is to have"};
    const struct nj_finding_place admin = {NJ_FINDING_NOTE, "acl-control", look->path, rule->line,
                                           NULL};
    bool is_deny = rule->access & NJ_ACL_DENY;
    bool is_for_all = rule->list == NJ_ACL_LIST_PATTERN ||
                      (rule->list == NJ_ACL_LIST_LEADING && nj_acl_leading_for_all(look->acl));
    bool is_sys =
        begins_with(rule->topic, "$SYS/") && !begins_with(rule->topic, "$SYS/broker/connection/");
    if (is_sys && rule->access == NJ_ACL_WRITE) {
        nj_findings_add(look->findings, &none, "nobody may publish to $SYS, whatever a rule says");
    }
    if (!is_deny && begins_with(rule->topic, "$CONTROL") && (rule->access & NJ_ACL_WRITE)) {
        nj_findings_add(look->findings, &admin, "whoever has this rule may administer the broker");
    }
    if (!is_deny && is_for_all && nj_bytes_equal(rule->topic, NJ_BYTES_LIT("#"))) {
        nj_findings_add(look->findings, &wide, "everybody gets the right to every topic here");
    }
}

static void look_at_user(const struct look *look, const struct nj_acl_rule_view *rule,
                         const struct nj_passwords *passwords, struct nj_bytes *last)
{
    if (rule->list != NJ_ACL_LIST_USER || nj_bytes_equal(*last, rule->user)) {
        return;
    }
    *last = rule->user;
    if (passwords != NULL && nj_passwords_find(passwords, rule->user) == NULL) {
        const struct nj_finding_place place = {
            NJ_FINDING_WARNING, "acl-unknown-user", look->path, rule->line,
            "names are compared byte by byte: look for another spelling in the password file"};
        nj_findings_add(
            look->findings, &place, "the user '%.*s' of this rule is not in the password file",
            (int)(rule->user.len < 200 ? rule->user.len : 200), (const char *)rule->user.ptr);
    }
}

static void look_at_leading(const struct look *look, const struct nj_acl_rule_view *rule)
{
    const struct nj_finding_place place = {
        NJ_FINDING_NOTE, "acl-leading", look->path, rule->line,
        "to mean the same in both modes, write `pattern` in place of `topic`"};
    if (nj_acl_leading_for_all(look->acl)) {
        nj_findings_add(look->findings, &place,
                        "'topic' lines before the first 'user' are for every client that got in; "
                        "Mosquitto takes them for anonymous clients only");
    }
}

static void look_at_rules(const struct look *look, const struct nj_passwords *passwords)
{
    struct nj_bytes last = nj_bytes(NULL, 0);
    bool is_first = true;
    for (uint32_t id = 1; id <= nj_acl_rule_count(look->acl); id++) {
        struct nj_acl_rule_view rule = nj_acl_rule_view(look->acl, id);
        if (rule.list == NJ_ACL_LIST_LEADING && is_first) {
            look_at_leading(look, &rule);
            is_first = false;
        }
        look_at_user(look, &rule, passwords, &last);
        look_at_topic(look, &rule);
        if (rule.access & NJ_ACL_DENY) {
            look_at_deny(look, &rule);
        } else {
            look_at_allow(look, &rule);
        }
    }
    if (nj_acl_rule_count(look->acl) == 0) {
        const struct nj_finding_place place = {NJ_FINDING_WARNING, "acl-empty", look->path, 0,
                                               NULL};
        nj_findings_add(look->findings, &place, "the file has no rule: everything is denied");
    }
}

/* "PATH:LINE: text" */
static void take_warnings(const struct look *look)
{
    for (size_t i = 0; i < nj_acl_warning_count(look->acl); i++) {
        const char *text = nj_acl_warning(look->acl, i) + strlen(look->path) + 1;
        char *end = NULL;
        const struct nj_finding_place place = {NJ_FINDING_WARNING, "acl-doubtful", look->path,
                                               (unsigned)strtoul(text, &end, 10), NULL};
        nj_findings_add(look->findings, &place, "%s", end + strspn(end, ": "));
    }
}

void nj_check_acl(struct nj_findings *findings, const char *path,
                  const struct nj_acl_options *options, const struct nj_passwords *passwords)
{
    struct nj_buf text;
    nj_buf_init(&text);
    enum nj_err err = nj_file_read(path, FILE_MAX, options->nofollow, &text);
    if (err != NJ_OK) {
        const struct nj_finding_place place = {NJ_FINDING_ERROR, "file-unreadable", path, 0, NULL};
        nj_findings_add(findings, &place, "the ACL file cannot be read: %s", nj_file_why(err));
    } else {
        nj_check_file_mode(findings, path, false);
        struct look look = {.findings = findings, .path = path};
        struct nj_acl *acl = parse(findings, &text, path, options);
        if (acl != NULL) {
            look.acl = acl;
            take_warnings(&look);
            look_at_rules(&look, passwords);
            nj_acl_free(acl);
        }
    }
    nj_buf_fini(&text);
}
