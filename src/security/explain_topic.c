/* Comparing what was asked with what a rule says, for a human being. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "mqtt/topic.h"
#include "security/explain_priv.h"

#define TEXT_SHOWN 60

bool nj_explain_concerns(const struct nj_explain_case *the_case, struct nj_bytes filter)
{
    return the_case->is_filter ? nj_mqtt_filter_overlaps(filter, the_case->topic)
                               : nj_mqtt_topic_matches(filter, the_case->topic);
}

static int shown(struct nj_bytes text)
{
    return (int)(text.len < TEXT_SHOWN ? text.len : TEXT_SHOWN);
}

static bool is_same_but_case(struct nj_bytes a, struct nj_bytes b)
{
    return a.len == b.len && strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.len) == 0;
}

static bool is_with_slash(struct nj_bytes longer, struct nj_bytes shorter, bool *is_leading)
{
    if (longer.len != shorter.len + 1) {
        return false;
    }
    *is_leading = longer.ptr[0] == '/' && memcmp(longer.ptr + 1, shorter.ptr, shorter.len) == 0;
    return *is_leading ||
           (longer.ptr[shorter.len] == '/' && memcmp(longer.ptr, shorter.ptr, shorter.len) == 0);
}

/* The whole of it, but for a detail that the eye misses. */
static bool differs_in_spelling(struct nj_bytes topic, struct nj_bytes filter,
                                char why[NJ_EXPLAIN_WHY_MAX])
{
    bool is_leading = false;
    if (is_same_but_case(topic, filter)) {
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "differs in capital letters only");
        return true;
    }
    bool has_more = is_with_slash(topic, filter, &is_leading);
    if (has_more || is_with_slash(filter, topic, &is_leading)) {
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "has %s '/' at the %s", has_more ? "no" : "a",
                       is_leading ? "beginning" : "end");
        return true;
    }
    return false;
}

/* What a walk down both found. */
struct walk {
    unsigned same;      /* levels that agree */
    unsigned different; /* levels that do not */
    unsigned place;     /* the first of these, from 1 */
    struct nj_bytes here;
    struct nj_bytes there;
    unsigned more;  /* levels that only the topic has */
    bool is_longer; /* the rule has levels that the topic has not */
};

static bool agree(struct nj_bytes level, struct nj_bytes rule)
{
    return nj_mqtt_level_is(rule, '+') || nj_mqtt_level_is(level, '+') ||
           nj_bytes_equal(level, rule);
}

static struct walk walk_both(struct nj_bytes topic, struct nj_bytes filter)
{
    struct walk walk = {0};
    struct nj_bytes level;
    struct nj_bytes rule;
    bool has_level = nj_mqtt_next_level(&topic, &level);
    bool has_rule = nj_mqtt_next_level(&filter, &rule);
    for (unsigned place = 1; has_level && has_rule; place++) {
        if (nj_mqtt_level_is(rule, '#') || nj_mqtt_level_is(level, '#')) {
            return walk;
        }
        if (agree(level, rule)) {
            walk.same++;
        } else {
            walk.different++;
            if (walk.place == 0) {
                walk.place = place;
                walk.here = level;
                walk.there = rule;
            }
        }
        has_level = nj_mqtt_next_level(&topic, &level);
        has_rule = nj_mqtt_next_level(&filter, &rule);
    }
    walk.is_longer = has_rule;
    while (has_level) {
        walk.more++;
        has_level = nj_mqtt_next_level(&topic, &level);
    }
    return walk;
}

bool nj_explain_difference(struct nj_bytes topic, struct nj_bytes filter, unsigned *distance,
                           char why[NJ_EXPLAIN_WHY_MAX])
{
    if (differs_in_spelling(topic, filter, why)) {
        *distance = NJ_NEAR_SPELLING;
        return true;
    }
    struct walk walk = walk_both(topic, filter);
    if (walk.different == 0 && walk.more > 0 && walk.same > 0) {
        *distance = NJ_NEAR_BELOW + (walk.more > 1 ? 1 : 0);
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX,
                       "ends after level %u; '#' would cover what is below", walk.same);
        return true;
    }
    if (walk.different == 0 && walk.is_longer && walk.same > 0) {
        *distance = NJ_NEAR_BELOW;
        (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "has more levels than the topic");
        return true;
    }
    if (walk.different == 0 || walk.same < walk.different) {
        return false;
    }
    *distance = walk.different == 1 && walk.more == 0 && !walk.is_longer
                    ? NJ_NEAR_LEVEL
                    : NJ_NEAR_FAR + walk.different + walk.more;
    (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "its level %u is '%.*s', the topic's is '%.*s'",
                   walk.place, shown(walk.there), (const char *)walk.there.ptr, shown(walk.here),
                   (const char *)walk.here.ptr);
    return true;
}

static bool can_fill(struct nj_bytes name)
{
    return name.len > 0 && memchr(name.ptr, '/', name.len) == NULL &&
           memchr(name.ptr, '+', name.len) == NULL && memchr(name.ptr, '#', name.len) == NULL;
}

bool nj_explain_fill(struct nj_bytes filter, struct nj_bytes user, struct nj_bytes client_id,
                     struct nj_buf *out, char why[NJ_EXPLAIN_WHY_MAX])
{
    struct nj_bytes level;
    bool is_first = true;
    out->len = 0;
    while (nj_mqtt_next_level(&filter, &level)) {
        bool is_user = nj_bytes_equal(level, NJ_BYTES_LIT("%u"));
        bool is_client = nj_bytes_equal(level, NJ_BYTES_LIT("%c"));
        struct nj_bytes text = is_user ? user : is_client ? client_id : level;
        if ((is_user || is_client) && !can_fill(text)) {
            (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "this client has no %s that could fill %s",
                           is_user ? "user name" : "client id", is_user ? "%u" : "%c");
            return false;
        }
        if ((!is_first && nj_buf_append(out, "/", 1) != NJ_OK) ||
            (text.len > 0 && nj_buf_append(out, text.ptr, text.len) != NJ_OK)) {
            (void)snprintf(why, NJ_EXPLAIN_WHY_MAX, "there is no memory to look at it");
            return false;
        }
        is_first = false;
    }
    return true;
}
