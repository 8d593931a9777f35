/* What an ACL file means, written as simply as possible: all rules one after the other. The
 * reference for the compiled form, in tests and in the fuzz target. Takes files that the real
 * parser accepts. */
#ifndef NJ_TESTS_UNIT_SECURITY_NAIVE_ACL_H
#define NJ_TESTS_UNIT_SECURITY_NAIVE_ACL_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum naive_list {
    NAIVE_LEADING,
    NAIVE_USER,
    NAIVE_PATTERN
};

struct naive_rule {
    enum naive_list list;
    const char *user;
    const char *access;
    const char *topic;
    unsigned line;
};

struct naive_acl {
    char *text;
    struct naive_rule *rules;
    unsigned count;
};

struct naive_query {
    const char *user; /* NULL = anonymous */
    const char *client;
    bool is_write;
    bool leading_for_all;
};

struct naive_answer {
    bool allowed;
    unsigned line; /* 0 = no rule */
};

static inline char *naive_trim(char *text)
{
    while (*text == ' ' || *text == '\t') {
        text++;
    }
    size_t len = strlen(text);
    while (len && strchr(" \t\r", text[len - 1])) {
        text[--len] = '\0';
    }
    return text;
}

/* Cuts the first word off; returns what is behind it. */
static inline char *naive_cut(char *text)
{
    size_t len = strcspn(text, " \t");
    char *rest = text + len + (text[len] ? 1 : 0);
    text[len] = '\0';
    return naive_trim(rest);
}

static inline void naive_line(struct naive_acl *acl, char *text, unsigned line, const char **user)
{
    text = naive_trim(text);
    if (*text == '\0' || *text == '#') {
        return;
    }
    char *rest = naive_cut(text);
    if (strcasecmp(text, "user") == 0) {
        *user = rest;
        return;
    }
    struct naive_rule rule = {.access = "readwrite", .topic = rest, .line = line};
    if (rest[strcspn(rest, " \t")]) {
        rule.access = rest;
        rule.topic = naive_cut(rest);
    }
    bool is_pattern = strcasecmp(text, "pattern") == 0;
    rule.list = is_pattern ? NAIVE_PATTERN : *user ? NAIVE_USER : NAIVE_LEADING;
    rule.user = *user;
    acl->rules = realloc(acl->rules, (acl->count + 1) * sizeof(rule));
    acl->rules[acl->count++] = rule;
}

/* `text` has no NUL. */
static inline void naive_parse(struct naive_acl *acl, const char *text)
{
    const char *user = NULL;
    unsigned line = 0;
    memset(acl, 0, sizeof(*acl));
    acl->text = strdup(text);
    char *at = acl->text;
    if (strncmp(at, "\xef\xbb\xbf", 3) == 0) {
        at += 3;
    }
    while (at) {
        char *end = strchr(at, '\n');
        if (end) {
            *end = '\0';
        }
        naive_line(acl, at, ++line, &user);
        at = end ? end + 1 : NULL;
    }
}

static inline void naive_free(struct naive_acl *acl)
{
    free(acl->text);
    free(acl->rules);
}

/* A name fills its level only when it is one: not empty, no separator. */
static inline bool naive_fills(const char *name, const char *level, size_t len)
{
    return name && *name && !strchr(name, '/') && strlen(name) == len &&
           memcmp(name, level, len) == 0;
}

static inline bool naive_level(const char *want, size_t want_len, const char *have, size_t have_len,
                               const struct naive_query *query)
{
    if (want_len == 1 && *want == '+') {
        return true;
    }
    if (query && want_len == 2 && memcmp(want, "%u", 2) == 0) {
        return naive_fills(query->user, have, have_len);
    }
    if (query && want_len == 2 && memcmp(want, "%c", 2) == 0) {
        return naive_fills(query->client, have, have_len);
    }
    return want_len == have_len && memcmp(want, have, want_len) == 0;
}

/* `query` NULL: no placeholders. */
static inline bool naive_match(const char *filter, const char *topic,
                               const struct naive_query *query)
{
    if (*topic == '$' && *filter != '$') {
        return false;
    }
    for (;;) {
        size_t want = strcspn(filter, "/");
        size_t have = strcspn(topic, "/");
        if (want == 1 && *filter == '#') {
            return true;
        }
        if (!naive_level(filter, want, topic, have, query)) {
            return false;
        }
        filter += want;
        topic += have;
        if (*topic == '\0') {
            return *filter == '\0' || strcmp(filter, "/#") == 0;
        }
        if (*filter == '\0') {
            return false;
        }
        filter++;
        topic++;
    }
}

static inline bool naive_applies(const struct naive_rule *rule, enum naive_list list,
                                 const struct naive_query *query)
{
    if (rule->list != list) {
        return false;
    }
    switch (list) {
    case NAIVE_LEADING:
        return query->leading_for_all || !query->user;
    case NAIVE_USER:
        return query->user && strcmp(rule->user, query->user) == 0;
    default:
        return !(query->user && strpbrk(query->user, "+#")) && !strpbrk(query->client, "+#");
    }
}

static inline bool naive_grants(const char *access, bool is_write)
{
    return strcasecmp(access, "readwrite") == 0 ||
           strcasecmp(access, is_write ? "write" : "read") == 0;
}

/* The first rule of a list for the topic: denials, or grants. 0 = none. */
static inline unsigned naive_find(const struct naive_acl *acl, enum naive_list list, bool denies,
                                  const struct naive_query *query, const char *topic)
{
    for (unsigned i = 0; i < acl->count; i++) {
        const struct naive_rule *rule = &acl->rules[i];
        bool is_kind = denies ? strcasecmp(rule->access, "deny") == 0
                              : naive_grants(rule->access, query->is_write);
        if (is_kind && naive_applies(rule, list, query) &&
            naive_match(rule->topic, topic, list == NAIVE_PATTERN ? query : NULL)) {
            return rule->line;
        }
    }
    return 0;
}

static inline struct naive_answer naive_check(const struct naive_acl *acl,
                                              const struct naive_query *query, const char *topic)
{
    static const enum naive_list order[] = {NAIVE_USER, NAIVE_LEADING, NAIVE_PATTERN};
    for (int i = 0; i < 3; i++) {
        unsigned line = naive_find(acl, order[i], true, query, topic);
        if (line) {
            return (struct naive_answer){false, line};
        }
        line = naive_find(acl, order[i], false, query, topic);
        if (line) {
            return (struct naive_answer){true, line};
        }
    }
    return (struct naive_answer){false, 0};
}

#endif
