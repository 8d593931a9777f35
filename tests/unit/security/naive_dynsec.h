/* Dynamic security as its description reads, without a thought of speed: the
 * reference against which the compiled rules are asked. Knows names only, no numbers, no sharing.
 */
#ifndef NJ_TESTS_UNIT_SECURITY_NAIVE_DYNSEC_H
#define NJ_TESTS_UNIT_SECURITY_NAIVE_DYNSEC_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAIVE_MAX   16
#define NAIVE_TEXT  64
#define NAIVE_TYPES 6

struct naive_acl {
    int type;
    int priority;
    bool allow;
    char topic[NAIVE_TEXT];
};

struct naive_role {
    bool is_there;
    bool wildcards;
    int acl_count;
    struct naive_acl acls[NAIVE_MAX];
};

/* Priority of a membership; has[i] false = none. */
struct naive_refs {
    bool has[NAIVE_MAX];
    int priority[NAIVE_MAX];
};

struct naive_group {
    bool is_there;
    struct naive_refs roles;
};

struct naive_client {
    bool is_there;
    struct naive_refs roles;
    struct naive_refs groups;
};

/* Names are those of the test: role i is called names[i], and so on. */
struct naive {
    const char *const *role_names;
    const char *const *group_names;
    const char *const *client_names;
    struct naive_role roles[NAIVE_MAX];
    struct naive_group groups[NAIVE_MAX];
    struct naive_client clients[NAIVE_MAX];
    bool defaults[4];
    int anonymous; /* -1 = none */
};

enum naive_access {
    NAIVE_SEND,
    NAIVE_RECEIVE,
    NAIVE_SUBSCRIBE,
    NAIVE_UNSUBSCRIBE
};

static int naive_split(const char *text, char levels[NAIVE_MAX][NAIVE_TEXT])
{
    int count = 0;
    const char *at = text;
    for (;;) {
        const char *end = strchr(at, '/');
        size_t len = end ? (size_t)(end - at) : strlen(at);
        memcpy(levels[count], at, len);
        levels[count++][len] = '\0';
        if (!end) {
            return count;
        }
        at = end + 1;
    }
}

/* Whether the entry's topic covers a topic or filter. A placeholder stands for a whole level, and
 * only when the name could be one: not empty, without '+', '#' and '/'. */
static bool naive_covers(const char *pattern, const char *topic, const char *user,
                         const char *client_id)
{
    char p[NAIVE_MAX][NAIVE_TEXT];
    char t[NAIVE_MAX][NAIVE_TEXT];
    int pc = naive_split(pattern, p);
    int tc = naive_split(topic, t);
    if (topic[0] == '$' && strcmp(p[0], t[0]) != 0) {
        return false; /* only the text itself covers $… */
    }
    for (int i = 0; i < pc; i++) {
        if (strcmp(p[i], "#") == 0) {
            return true;
        }
        if (i == tc) {
            return false;
        }
        if (strcmp(t[i], "#") == 0) {
            return false; /* asks for all below, which only a '#' gives */
        }
        if (strcmp(p[i], "+") == 0) {
            continue;
        }
        const char *name = strcmp(p[i], "%u") == 0   ? user
                           : strcmp(p[i], "%c") == 0 ? client_id
                                                     : NULL;
        if (name) {
            if (!*name || strpbrk(name, "+#/") || strcmp(name, t[i]) != 0) {
                return false;
            }
            continue;
        }
        /* A level of the pattern that is "%u" for nobody was handled above. */
        if (strcmp(p[i], t[i]) != 0) {
            return false;
        }
    }
    return pc == tc;
}

struct naive_answer {
    bool has_rule;
    bool allowed;
};

static struct naive_answer naive_ask_list(const struct naive_role *role, int type,
                                          const char *topic, const char *user,
                                          const char *client_id)
{
    const struct naive_acl *best = NULL;
    for (int i = 0; i < role->acl_count; i++) {
        const struct naive_acl *acl = &role->acls[i];
        if (acl->type == type && naive_covers(acl->topic, topic, user, client_id) &&
            (!best || acl->priority > best->priority)) {
            best = acl;
        }
    }
    return best ? (struct naive_answer){true, best->allow} : (struct naive_answer){false, false};
}

static struct naive_answer naive_ask_role(const struct naive_role *role, enum naive_access access,
                                          const char *topic, const char *user,
                                          const char *client_id)
{
    if (access == NAIVE_SEND || access == NAIVE_RECEIVE) {
        return naive_ask_list(role, (int)access, topic, user, client_id);
    }
    int literal = access == NAIVE_SUBSCRIBE ? 2 : 4;
    if (access == NAIVE_SUBSCRIBE && !role->wildcards && strpbrk(topic, "+#")) {
        return (struct naive_answer){true, false};
    }
    for (int i = 0; i < role->acl_count; i++) {
        if (role->acls[i].type == literal && strcmp(role->acls[i].topic, topic) == 0) {
            return (struct naive_answer){true, role->acls[i].allow};
        }
    }
    return naive_ask_list(role, literal + 1, topic, user, client_id);
}

/* The next of those that were not asked yet: highest priority, then name. -1 = none is left. */
static int naive_next(const struct naive_refs *refs, const char *const *names, bool *asked)
{
    int best = -1;
    for (int i = 0; i < NAIVE_MAX; i++) {
        if (!refs->has[i] || asked[i]) {
            continue;
        }
        if (best < 0 || refs->priority[i] > refs->priority[best] ||
            (refs->priority[i] == refs->priority[best] && strcmp(names[i], names[best]) < 0)) {
            best = i;
        }
    }
    if (best >= 0) {
        asked[best] = true;
    }
    return best;
}

static struct naive_answer naive_ask_roles(const struct naive *naive, const struct naive_refs *refs,
                                           enum naive_access access, const char *topic,
                                           const char *user, const char *client_id)
{
    bool asked[NAIVE_MAX] = {false};
    int next;
    while ((next = naive_next(refs, naive->role_names, asked)) >= 0) {
        if (!naive->roles[next].is_there) {
            continue;
        }
        struct naive_answer answer =
            naive_ask_role(&naive->roles[next], access, topic, user, client_id);
        if (answer.has_rule) {
            return answer;
        }
    }
    return (struct naive_answer){false, false};
}

/* What the roles say of one who is known, or anonymous (`client` < 0). */
static struct naive_answer naive_ask(const struct naive *naive, int client, const char *client_id,
                                     enum naive_access access, const char *topic)
{
    struct naive_answer answer = {false, false};
    bool asked[NAIVE_MAX] = {false};
    int next;
    const char *user = client < 0 ? "" : naive->client_names[client];
    if (client < 0) {
        if (naive->anonymous >= 0) {
            answer = naive_ask_roles(naive, &naive->groups[naive->anonymous].roles, access, topic,
                                     user, client_id);
        }
    } else {
        const struct naive_client *who = &naive->clients[client];
        answer = naive_ask_roles(naive, &who->roles, access, topic, user, client_id);
        while (!answer.has_rule &&
               (next = naive_next(&who->groups, naive->group_names, asked)) >= 0) {
            answer =
                naive_ask_roles(naive, &naive->groups[next].roles, access, topic, user, client_id);
        }
    }
    return answer;
}

static inline bool naive_allows(const struct naive *naive, int client, const char *client_id,
                                enum naive_access access, const char *topic)
{
    if (client >= 0 && !naive->clients[client].is_there) {
        return false; /* not known: not ours, and nobody else is asked */
    }
    struct naive_answer answer = naive_ask(naive, client, client_id, access, topic);
    if (answer.has_rule) {
        return answer.allowed;
    }
    return naive->defaults[access] && strncmp(topic, "$CONTROL", 8) != 0;
}

#endif
