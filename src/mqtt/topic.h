/* Topic names and filters (MQTT5 4.7, 4.8.2). Everything here is linear in the length of its input
 * and uses no recursion. */
#ifndef NJ_MQTT_TOPIC_H
#define NJ_MQTT_TOPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

/* Levels that a topic or filter may have, wherever one comes in: Mosquitto's 200 slashes. */
#define NJ_MQTT_LEVELS_MAX 201

/* A name to publish to: not empty, no wildcard, at most `levels_max` levels (0 = any). UTF-8 is
 * checked by the packet decoders. */
bool nj_mqtt_topic_is_valid(struct nj_bytes topic, unsigned levels_max);
/* A filter without $share/: `+` and `#` fill whole levels, `#` is the last one. */
bool nj_mqtt_filter_is_valid(struct nj_bytes filter, unsigned levels_max);
bool nj_mqtt_filter_has_wildcard(struct nj_bytes filter);

/* Whether the filter begins with "$share/" (valid or not). */
bool nj_mqtt_is_share(struct nj_bytes filter);
/* Takes $share/<group>/<filter> apart. False when it does not begin so, the group is empty or holds
 * a wildcard, or the filter is empty or itself shared. The filter's own grammar is not checked.
 * False does not make it an ordinary filter: ask nj_mqtt_subscription_is_valid before. */
bool nj_mqtt_share_parse(struct nj_bytes text, struct nj_bytes *group, struct nj_bytes *filter);
/* A filter as it may stand in SUBSCRIBE: shared or not. */
bool nj_mqtt_subscription_is_valid(struct nj_bytes text, unsigned levels_max);

/* Whether a valid filter matches a valid topic: `#` covers its parent, too; a wildcard in first
 * place does not match `$…`. */
bool nj_mqtt_topic_matches(struct nj_bytes filter, struct nj_bytes topic);
/* Whether every topic that the valid `filter` matches is matched by the valid `pattern`. Exact, and
 * so is the next one, as if there was an empty topic. */
bool nj_mqtt_filter_covers(struct nj_bytes pattern, struct nj_bytes filter);
/* Whether some topic could be matched by both. */
bool nj_mqtt_filter_overlaps(struct nj_bytes a, struct nj_bytes b);

/* Takes the first level off *rest (ptr becomes NULL after the last one). False when none is left.
 * An empty level counts. */
static inline bool nj_mqtt_next_level(struct nj_bytes *rest, struct nj_bytes *level)
{
    if (!rest->ptr) {
        return false;
    }
    const uint8_t *slash = rest->len ? memchr(rest->ptr, '/', rest->len) : NULL;
    if (slash) {
        *level = nj_bytes(rest->ptr, (size_t)(slash - rest->ptr));
        *rest = nj_bytes(slash + 1, rest->len - level->len - 1);
    } else {
        *level = *rest;
        *rest = nj_bytes(NULL, 0);
    }
    return true;
}

static inline bool nj_mqtt_level_is(struct nj_bytes level, char what)
{
    return level.len == 1 && level.ptr[0] == (uint8_t)what;
}

#endif
